/* The request head: RFC 9112 sections 2 to 6, RFC 9110 sections 5 and 7.
 *
 * The parser is incremental and never looks at a byte twice: it keeps its place between calls, and
 * whatever way the input is split, the outcome is the same. It refuses rather than repairs: what
 * two implementations could frame differently is an error and the connection must close. */
#ifndef HTTP_PARSE_H
#define HTTP_PARSE_H

#include <base/arena.h>
#include <base/slice.h>

#define HTTP_HEADERS_MAX 64 /* header fields in a request; more are refused with 431 */

enum http_method {
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_DELETE,
	HTTP_OPTIONS,
	HTTP_PATCH,
	HTTP_TRACE,
	HTTP_METHOD_COUNT
};

enum http_framing {
	HTTP_BODY_NONE,    /* no body, or Content-Length: 0 */
	HTTP_BODY_LENGTH,  /* content_length bytes, at least 1 */
	HTTP_BODY_CHUNKED, /* until the last chunk */
};

/* Fields that the parser indexes by name, so that looking them up costs nothing. */
enum http_known {
	HTTP_HOST,
	HTTP_CONNECTION,
	HTTP_CONTENT_LENGTH,
	HTTP_TRANSFER_ENCODING,
	HTTP_EXPECT,
	HTTP_IF_MATCH,
	HTTP_IF_NONE_MATCH,
	HTTP_IF_MODIFIED_SINCE,
	HTTP_IF_UNMODIFIED_SINCE,
	HTTP_IF_RANGE,
	HTTP_RANGE,
	HTTP_ACCEPT,
	HTTP_ACCEPT_ENCODING,
	HTTP_CONTENT_TYPE,
	HTTP_COOKIE,
	HTTP_ORIGIN,
	HTTP_REFERER,
	HTTP_USER_AGENT,
	HTTP_AUTHORIZATION,
	HTTP_UPGRADE,
	HTTP_KNOWN_COUNT
};

struct http_header {
	struct slice name;  /* as received; compare without regard to case */
	struct slice value; /* without surrounding blanks; visible, SP, HTAB, bytes from 0x80 */
};

/* All slices are views into the input of the last call of http_parse_request (or into the arena)
 * and expire with it. */
struct http_request {
	enum http_method method;
	enum http_framing framing;
	uint64_t content_length;  /* bytes, when framing is HTTP_BODY_LENGTH */
	struct slice method_name; /* "GET" */
	struct slice target;      /* as received */
	/* Percent-decoded and normalised, once: begins with '/', has no "." or ".." segment, no
	 * empty segment but the last, no NUL. "*" for OPTIONS *. Any other byte may occur in it: it
	 * is data. */
	struct slice path;
	struct slice query; /* after '?', raw; ptr is NULL when the target has no '?' */
	/* The authority of the target, else the Host field: "name", "name:port", "[v6]:port". Never
	 * empty in HTTP/1.1; ptr is NULL when a 1.0 request does not name one. */
	struct slice host;
	uint8_t version_minor;    /* 0 or 1: HTTP/1.0 or HTTP/1.1 (and later 1.x) */
	bool keep_alive;          /* the client lets the connection persist */
	bool expect_continue;     /* waits for "100 Continue" before it sends the body */
	uint16_t header_count;
	uint8_t known[HTTP_KNOWN_COUNT]; /* number of the first such field, plus 1; 0: absent */
	uint32_t known_repeated;  /* bit 1 << http_known: the field occurs more than once */
	struct http_header header[HTTP_HEADERS_MAX];
};

enum http_parse_result {
	HTTP_MORE,   /* call again with the same bytes and more behind them */
	HTTP_DONE,   /* the head is complete: parser.head_len bytes */
	HTTP_FAILED, /* refuse with parser.status and close; sticky */
};

/* The members are the parser's own, but for those that say otherwise. */
struct http_parser {
	uint32_t head_len; /* result of HTTP_DONE: bytes of the head with its final empty line */
	uint16_t status;   /* result of HTTP_FAILED: 400, 414, 417, 431, 501 or 505 */
	uint8_t phase;
	bool skipped_line;
	uint8_t seen; /* classes of bytes seen in the target's path */
	bool special; /* a segment of it may be empty, "." or ".." */
	uint32_t pos, mark, colon, value, question;
	uint32_t limit;
	struct arena *arena;
	const uint8_t *base;
};

API_BEGIN

/* `arena` (borrowed until the request is finished) receives the decoded path, and only when it
 * differs from the bytes received. `head_bytes_max`: 64 to 65,535; a longer head is refused with
 * 431, or 414 while still in the request line. */
void http_parser_init(struct http_parser *p, struct arena *arena, uint32_t head_bytes_max);

/* Parses one request head. `input` starts with the head's first byte in every call; it may have
 * grown, and may have moved to another address. `out` is the same in every call, needs no
 * initialisation, and may be read after HTTP_DONE only. Bytes after the head are not looked at.
 * One CRLF before the request line is skipped. A full arena is HTTP_FAILED with 431. */
enum http_parse_result http_parse_request(struct http_parser *p, struct slice input,
	struct http_request *out);

/* The value of the first field of that name, compared without regard to case; ptr is NULL when
 * there is none. A view as the request's. */
struct slice http_request_header(const struct http_request *req, struct slice name);
/* The same by number, without a search. */
struct slice http_request_known(const struct http_request *req, enum http_known which);
/* The next field of that name from number *at on (start with 0), for fields that may occur more
 * than once; ptr is NULL at the end. */
struct slice http_request_header_next(const struct http_request *req, struct slice name,
	uint32_t *at);
/* Whether the comma-separated list in all fields of that name has the token, in any case. */
bool http_request_lists(const struct http_request *req, struct slice name, struct slice token);

/* After the bytes that a finished request views were copied from `from` (of `len` bytes) to `to`:
 * makes its views point there. Views into the arena are left alone. */
void http_request_rebase(struct http_request *req, const uint8_t *from, size_t len,
	const uint8_t *to);

/* "GET"; static. */
struct slice http_method_name(enum http_method m);

API_END

#endif
