/* Conditional and range requests: RFC 9110 sections 13 and 14. */
#ifndef HTTP_CONDITIONAL_H
#define HTTP_CONDITIONAL_H

#include <http/date.h>
#include <http/parse.h>

struct http_validators {
	struct slice etag;     /* with its quotes, and W/ when weak; ptr NULL: none */
	int64_t last_modified; /* seconds since 1970, or HTTP_DATE_NONE */
	bool exists;           /* the resource has a current representation */
};

enum http_condition {
	HTTP_CONDITION_PROCEED,
	HTTP_CONDITION_NOT_MODIFIED, /* answer 304, with the ETag, and no body */
	HTTP_CONDITION_FAILED,       /* answer 412 */
};

enum http_range_result {
	HTTP_RANGE_WHOLE,         /* no range, or one to be ignored: answer 200 */
	HTTP_RANGE_PARTIAL,       /* answer 206 with Content-Range */
	HTTP_RANGE_UNSATISFIABLE, /* answer 416 with "Content-Range: bytes * / size" */
};

struct http_range {
	uint64_t from, len; /* bytes; len > 0, and all of it within the representation */
};

/* Ranges in one request; more are ignored, and the whole is sent. */
#define HTTP_RANGES_MAX 16

API_BEGIN

/* Evaluates If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since in the order of RFC
 * 9110 section 13.2.2, for the method of `req`. `now_s`: the wall clock, seconds. Dates that do not
 * parse are ignored. */
enum http_condition http_condition_evaluate(const struct http_request *req,
	const struct http_validators *v, int64_t now_s);

/* After HTTP_CONDITION_PROCEED, for a GET of a representation of `size` bytes: the single range to
 * be sent, in *out when PARTIAL. Several ranges, other units and malformed sets are ignored (WHOLE),
 * and so is a range whose If-Range does not hold (strong comparison). */
enum http_range_result http_range_evaluate(const struct http_request *req,
	const struct http_validators *v, uint64_t size, int64_t now_s, struct http_range *out);

/* The same for several: *count ranges in the order of the request, no two of which overlap. Those
 * that overlap, or leave a gap smaller than the head of a part, are one; those beyond the end are left
 * out. WHOLE when sending them takes as much as sending it all, so nobody gets more than the
 * representation and HTTP_RANGES_MAX heads out of one request. */
enum http_range_result http_ranges_evaluate(const struct http_request *req,
	const struct http_validators *v, uint64_t size, int64_t now_s,
	struct http_range range[HTTP_RANGES_MAX], uint32_t *count);

/* "bytes 0-4/10", or "bytes * / 10" (no blanks) when len is 0, into `buf` of at least 72 bytes. */
struct slice http_content_range(uint8_t *buf, uint64_t from, uint64_t len, uint64_t size);

/* Strong and weak comparison of entity tags, RFC 9110 section 8.8.3.2. */
bool http_etag_match_strong(struct slice a, struct slice b);
bool http_etag_match_weak(struct slice a, struct slice b);

API_END

#endif
