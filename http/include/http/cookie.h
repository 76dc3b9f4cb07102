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

/* Zero-initialised: a session cookie without attributes. */
struct http_cookie {
	struct slice name;      /* a token; "__Host-" and "__Secure-" are held to their rules */
	struct slice value;     /* cookie-octets: no blank, quote, comma, semicolon, backslash */
	struct slice path;      /* begins with '/'; empty: none */
	struct slice domain;    /* letters, digits, '-' and '.'; empty: none (this host only) */
	bool has_max_age;
	int64_t max_age_s;      /* 0 or less deletes the cookie */
	bool http_only, secure;
	enum http_same_site same_site;
};

API_BEGIN

/* The first cookie of that name (exact case) in all Cookie fields, without surrounding quotes; ptr
 * is NULL when there is none. A view as the request's. */
struct slice http_cookie_get(const struct http_request *req, struct slice name);
/* The same in one Cookie field's value. */
struct slice http_cookie_find(struct slice field, struct slice name);

/* The value of a Set-Cookie field, in the arena. ERR_INVALID: a name, value or attribute that the
 * grammar or a name prefix does not allow. ERR_NO_MEMORY. ERR_TOO_LARGE: over 4,096 bytes. */
MUST_USE err http_cookie_format(const struct http_cookie *c, struct arena *arena,
	struct slice *out);

API_END

#endif
