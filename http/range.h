/* What the evaluation of one range and of several share. */
#ifndef HTTP_RANGE_PRIVATE_H
#define HTTP_RANGE_PRIVATE_H

#include <http/conditional.h>

/* The text behind "bytes=" when it counts: of a GET, once, and If-Range holds. */
bool http_range_set(const struct http_request *req, const struct http_validators *v, int64_t now_s,
	struct slice *set);
/* "first-last", "first-" or "-suffix"; WHOLE when it is malformed. */
enum http_range_result http_range_parse(struct slice spec, uint64_t size, struct http_range *out);

#endif
