/* What proxies say in header fields of the clients that they stand for: Forwarded (RFC 7239), or X-Forwarded-For and
 * X-Forwarded-Proto, which have no specification.
 *
 * Each proxy adds whom it has its request from at the end, behind what it was sent; the first of that comes from anybody.
 * So these are claims, from the last one back, each worth as much as who has made it: the last one is the peer's, one
 * before that is of whom the one behind it names. Whom to believe is the caller's matter.
 *
 * Ask for one kind only: a proxy passes the other on as it came from its client. */
#ifndef HTTP_FORWARDED_H
#define HTTP_FORWARDED_H

#include <http/parse.h>

#define HTTP_HOPS_MAX 16 /* the last ones; more are not looked at */

/* Views as the request's. */
struct http_hop {
	struct slice node;  /* "192.0.2.1", "2001:db8::1": without brackets and port. Or what hides it: "unknown", "_x"; empty */
	struct slice proto; /* by which that one has asked: "https"; empty: not said */
};

struct http_hops {
	uint32_t count;
	struct http_hop hop[HTTP_HOPS_MAX]; /* the nearest one first */
	struct slice proto; /* X-Forwarded-Proto without addresses; else empty */
};

API_BEGIN

/* False when there is a Forwarded field that is malformed: then nothing of it can be believed, since what a client has
 * sent (an open quote, say) may have swallowed what its proxy has added. */
bool http_forwarded(const struct http_request *req, struct http_hops *out);
/* The same of X-Forwarded-For and -Proto, where each text between commas stands for itself: never false. */
bool http_x_forwarded(const struct http_request *req, struct http_hops *out);

API_END

#endif
