/* A response as a list of segments, RFC 9112 sections 4 and 6. Static bytes (status lines, prebuilt
 * header blocks, assets, template text) are referred to where they lie; only header fields that
 * vary are copied, once, and counted.
 *
 *   struct http_response r;
 *   http_response_init(&r, segments, count, arena, &conn->request, http_conn_respond(conn, now));
 *   http_response_status(&r, 200);
 *   http_response_static_fields(&r, SLICE("Content-Type: text/html; charset=utf-8\r\n"));
 *   http_response_date(&r, &dates, wall_s);
 *   http_response_body(&r, piece);          // as often as needed
 *   TRY(http_response_finish(&r, &list, &list_len));
 *
 * Errors are sticky: calls after the first failure do nothing and finish reports it. */
#ifndef HTTP_RESPONSE_H
#define HTTP_RESPONSE_H

#include <base/err.h>
#include <http/date.h>
#include <http/parse.h>

/* Segments at the list's start that the head may need. */
#define HTTP_RESPONSE_HEAD_SEGMENTS 5
/* Bytes of header fields that vary, in one response. */
#define HTTP_RESPONSE_FIELDS_MAX 16384

struct http_response {
	uint64_t bytes_copied; /* for the owner to read: what the CPU copied into this response */
	uint64_t body_len;     /* bytes of body segments so far, also for HEAD */
	uint16_t status;
	err error;
	struct slice bad_name; /* of the field that ERR_INVALID or ERR_TOO_LARGE is about, if it is about one */
	struct arena *arena;
	struct slice *segment;
	uint32_t capacity, count; /* count: used from HTTP_RESPONSE_HEAD_SEGMENTS on */
	struct slice head[HTTP_RESPONSE_HEAD_SEGMENTS - 1];
	uint32_t head_count;
	uint8_t *fields; /* the fields that vary */
	uint32_t fields_len, fields_cap;
	bool is_head, http10, keep_alive;
	bool length_known; /* a static head holds Content-Length */
	bool chunked, until_close, has_date;
};

/* The longest head of a chunk: 16 digits and CRLF. */
#define HTTP_CHUNK_HEAD_MAX 18
#define HTTP_CHUNK_TAIL SLICE("\r\n")       /* after each chunk's data */
#define HTTP_CHUNK_LAST SLICE("0\r\n\r\n") /* ends the body */

API_BEGIN

/* `segment[capacity]` (capacity > HTTP_RESPONSE_HEAD_SEGMENTS) and `arena` are borrowed until the
 * response has been sent. `req` is looked at here only (method and version); NULL for an error
 * before any request was understood. `keep_alive` as http_conn_respond says. */
void http_response_init(struct http_response *r, struct slice *segment, uint32_t capacity,
	struct arena *arena, const struct http_request *req, bool keep_alive);

/* 200 to 599, first of all. Known statuses are static segments. Else ERR_INVALID. */
void http_response_status(struct http_response *r, uint16_t status);
/* Instead of http_response_status: a prebuilt block with a status line of `status`, fields, and
 * Content-Length: of the body, each line ended by CRLF, and no empty line. Static or of the arena.
 * It must not hold Date, Connection or Transfer-Encoding. */
void http_response_static_head(struct http_response *r, uint16_t status, struct slice head);
/* More fields that are not copied, "Name: value\r\n" each, trusted (not validated), without
 * Content-Length. At most two such blocks in a response. */
void http_response_static_fields(struct http_response *r, struct slice lines);
/* A field that varies; name and value are copied. ERR_INVALID when the name is not a token, is one
 * that the builder itself writes (Content-Length, Transfer-Encoding, Connection, Date), or
 * the value holds CR, LF, NUL or another control character but HTAB: no response can be split. */
void http_response_header(struct http_response *r, struct slice name, struct slice value);
/* The Date field of wall-clock second `unix_s`; copied, since the cache changes while segments
 * wait. */
void http_response_date(struct http_response *r, struct http_date_cache *cache, int64_t unix_s);
/* A piece of the body, referred to until sent. Empty pieces are dropped. ERR_NO_SPACE when the list
 * is full. */
void http_response_body(struct http_response *r, struct slice piece);
/* The body follows later, in chunks; HTTP/1.0 clients get it until the connection closes. */
void http_response_stream(struct http_response *r);
/* For a body that follows later and has a known length; not said with a status that has no body. */
void http_response_stream_length(struct http_response *r, uint64_t len);

/* Ends the head and gives the list: status line, fields, empty line, body (none for HEAD, 204, 205
 * and 304). The list lies in `segment`. Errors: what a call before ran into; ERR_NO_MEMORY when the
 * arena is full; ERR_INVALID without a status. */
MUST_USE err http_response_finish(struct http_response *r, struct slice **list, uint32_t *list_len);

/* An error page of a few lines of HTML, "404 Not Found": static segments of its body, so many of them.
 * Writes status, type and body; the caller adds date and fields, and finishes. */
#define HTTP_ERROR_PAGE_SEGMENTS 5
void http_response_error_page(struct http_response *r, uint16_t status);

/* The line before a chunk of `len` bytes (> 0), in `buf` of HTTP_CHUNK_HEAD_MAX bytes. */
struct slice http_chunk_head(uint8_t *buf, uint64_t len);

/* "Not Found"; static; "Unknown" for what RFC 9110 does not name. */
struct slice http_status_reason(uint16_t status);

API_END

#endif
