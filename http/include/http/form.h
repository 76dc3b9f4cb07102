/* Query strings and application/x-www-form-urlencoded bodies, percent-coding, UTF-8. */
#ifndef HTTP_FORM_H
#define HTTP_FORM_H

#include <base/arena.h>
#include <base/cursor.h>
#include <base/err.h>

struct http_field {
	struct slice name, value;
};

struct http_form {
	struct http_field *field; /* in the order of the text */
	uint32_t count;
};

API_BEGIN

/* Parses as browsers write it (WHATWG URL, application/x-www-form-urlencoded): '+' is a blank, a
 * '%' that two hexadecimal digits do not follow stands for itself, empty pairs are dropped. Names
 * and values are arbitrary bytes; check http_utf8_is_valid where text is meant. What needs no
 * decoding is a view into `text`, the rest and the array lie in the arena. ERR_TOO_LARGE: more than
 * `fields_max` pairs; ERR_NO_MEMORY: the arena is full. */
MUST_USE err http_form_parse(struct slice text, uint32_t fields_max, struct arena *arena,
	struct http_form *out);
/* The first value of that name (exact bytes); ptr is NULL when there is none. */
struct slice http_form_get(const struct http_form *form, struct slice name);
/* The same from number *at on (start with 0), for names that occur more than once. */
struct slice http_form_next(const struct http_form *form, struct slice name, uint32_t *at);

/* Strict percent-decoding into the arena, or a view when there is nothing to decode. ERR_INVALID:
 * an incomplete or malformed escape. */
MUST_USE err http_percent_decode(struct slice text, struct arena *arena, struct slice *out);
/* Writes `text` as one component of a URL: all but RFC 3986's unreserved characters as %XX. */
void http_percent_encode(struct writer *w, struct slice text);

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool http_utf8_is_valid(struct slice text);

API_END

#endif
