/* The request target: RFC 9112 section 3.2. Resolved once, here. */
#ifndef HTTP_TARGET_H
#define HTTP_TARGET_H

#include <base/arena.h>
#include <http/parse.h>

/* Splits req->target into path, query and (absolute-form) host. `question`: the index of the first
 * '?', or target.len. `escaped`: the path may hold '%'; `special`: it may have segments that are empty, "." or
 * "..". 0, or the status to refuse with. */
uint16_t http_target_resolve(struct http_request *req, size_t question, bool escaped, bool special,
	struct arena *arena);

/* uri-host [ ":" port ]: a name, an IPv4 address or a bracketed IPv6 address; no user
 * information. */
bool http_authority_is_valid(struct slice authority);

#endif
