/* The request body: RFC 9112 sections 6 and 7. Decoded in place and in pieces: what comes out is a
 * view into what went in. Trailer fields are checked for form and discarded. */
#ifndef HTTP_BODY_H
#define HTTP_BODY_H

#include <http/parse.h>

/* Bytes of chunk extensions in one chunk, and of all trailers together: more is refused. */
#define HTTP_CHUNK_LINE_MAX 256
#define HTTP_TRAILERS_MAX 4096
#define HTTP_EXTENSIONS_MAX 16384 /* of all chunks of a body */

enum http_body_result {
	HTTP_BODY_MORE,   /* everything was consumed and gave no data */
	HTTP_BODY_DATA,   /* *data has at least 1 byte; call again with what was not consumed */
	HTTP_BODY_END,    /* the body is complete; bytes not consumed belong to the next request */
	HTTP_BODY_FAILED, /* refuse with body.status and close; sticky */
};

struct http_body {
	uint64_t received; /* bytes of data so far */
	uint64_t limit;    /* bytes of data allowed */
	uint64_t left;     /* of this chunk, or of the body by length */
	uint32_t line_len; /* bytes of the current chunk line; of the trailers */
	uint32_t wire_overhead; /* bytes of chunk extensions so far */
	uint16_t status;   /* result of HTTP_BODY_FAILED: 400 or 413 */
	uint8_t phase;
};

API_BEGIN

/* For the body that req->framing announces. A body over `limit` bytes is 413: at once when its
 * length is announced, else when the chunk that passes the limit is. */
void http_body_init(struct http_body *b, const struct http_request *req, uint64_t limit);

/* Decodes from `input`. *consumed (0 to input.len) and *data (a view into input, empty unless
 * HTTP_BODY_DATA) are always written. Returns after each run of data, so that pieces can be handed
 * on with back-pressure. Call until HTTP_BODY_END. Without a body the first call is
 * HTTP_BODY_END. */
enum http_body_result http_body_decode(struct http_body *b, struct slice input, size_t *consumed,
	struct slice *data);

API_END

#endif
