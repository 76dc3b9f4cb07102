/* Cookies, RFC 6265bis: reading Cookie, writing Set-Cookie. */
#ifndef HTTP_COOKIE_H
#define HTTP_COOKIE_H

#include <base/arena.h>
#include <base/err.h>
#include <http/parse.h>

enum http_same_site {
	HTTP_SAME_SITE_UNSET,
	HTTP_SAME_SITE_LAX,
	HTTP_SAME_SITE_STRICT,
	HTTP_SAME_SITE_NONE, /* needs `secure` */
};

/* What browsers take: of name and value together, and of each attribute's value (section 5.6). */
#define HTTP_COOKIE_MAX 4096
#define HTTP_COOKIE_ATTRIBUTE_MAX 1024

/* Zero-initialised: a session cookie without attributes. */
struct http_cookie {
	struct slice name;      /* a token; "__Host-" and "__Secure-" are held to their rules */
	struct slice value;     /* cookie-octets: no blank, quote, comma, semicolon, backslash */
	struct slice path;      /* begins with '/'; empty: none */
	struct slice domain;    /* letters, digits, '-' and '.'; empty: none (this host only) */
	bool has_max_age, has_expires;
	int64_t max_age_s;      /* 0 or less deletes the cookie */
	int64_t expires_s;      /* since 1970; written as http_date_format does */
	bool http_only, secure;
	enum http_same_site same_site;
};

API_BEGIN

/* The first cookie of that name (exact case) in all Cookie fields, without surrounding quotes; ptr
 * is NULL when there is none. What is no pair is skipped, and an empty name finds nothing. A view as the
 * request's. */
struct slice http_cookie_get(const struct http_request *req, struct slice name);
/* The same in one Cookie field's value. */
struct slice http_cookie_find(struct slice field, struct slice name);

/* What a browser would refuse about it, as a sentence's end that follows "the cookie NAME" ("has a blank ...");
 * static. NULL: nothing. */
const char *http_cookie_problem(const struct http_cookie *c);
/* The value of a Set-Cookie field, in the arena. ERR_INVALID: it has a problem. ERR_NO_MEMORY. */
MUST_USE err http_cookie_format(const struct http_cookie *c, struct arena *arena,
	struct slice *out);

API_END

#endif
