/* One HTTP/1.1 connection, server side, as a machine without I/O: received bytes and the time go
 * in, events come out. RFC 9112 section 9. The glue owns the TCP connection and obeys the events.
 *
 *   IDLE --first byte--> HEAD --head complete--> BODY --body complete--> HANDLING
 *     ^                    |   \--- no body ---------------------------->   |
 *     |                    v error                                          v http_conn_respond
 *     |                 RESPONDING <----------------------------------------+ (from BODY too)
 *     |                    | http_conn_response_sent
 *     +-- keep-alive ------+---- close ----> LINGER --peer closed, limit, deadline--> CLOSED
 *
 * One request is handled at a time. Input that belongs to a later request is simply not consumed
 * until the response has been sent (HTTP_EVENT_WAIT): the receive window is the back-pressure, and
 * pipelined responses leave in order.
 *
 * Where the bytes of the head live:
 *  - In place: as long as no buffer was given, the machine parses in the glue's bytes and consumes
 *    nothing before the head is complete. After HTTP_EVENT_NEED_MORE with *consumed == 0 the next
 *    input must start with the same bytes again, and more. After HTTP_EVENT_REQUEST conn->request
 *    views into those bytes: the glue counts them as consumed in the order of the stream but MUST
 *    keep their memory until http_conn_response_sent returns (or the connection is closed), or call
 *    http_conn_move_head first.
 *  - Gathered: when the glue cannot present a longer contiguous run (the head goes on in another
 *    packet) and http_conn_needs_buffer says so, it gives a buffer with http_conn_give_buffer and
 *    presents the same bytes again. From then on input is copied to the buffer and consumed at
 *    once, and the request views into the buffer. http_conn_take_buffer gives it back in the end.
 *
 * Body pieces are views into the bytes of the same call and expire when the glue releases those. */
#ifndef HTTP_CONN_H
#define HTTP_CONN_H

#include <http/body.h>
#include <http/parse.h>

#define HTTP_TIME_NEVER UINT64_MAX

/* Times in monotonic nanoseconds. */
struct http_limits {
	uint32_t head_bytes_max;     /* 16 KiB */
	uint32_t requests_max;       /* on one connection; 0 (the default): unlimited */
	uint64_t body_bytes_max;     /* 1 MiB; per request: http_conn_body_limit */
	uint64_t discard_bytes_max;  /* 64 KiB: of a body that nobody reads, rather than closing */
	uint64_t linger_bytes_max;   /* 1 MiB: discarded after the last response */
	uint64_t head_ns;            /* 10 s from the first byte of a head to its end */
	uint64_t idle_ns;            /* 60 s between requests, and before the first */
	uint64_t body_ns;            /* 10 s: what a body may take beyond its share at that rate */
	uint64_t body_bytes_per_s_min; /* 1 KiB/s */
	uint64_t handle_ns;          /* 60 s from the request's end to the response's beginning */
	uint64_t write_ns;           /* 30 s without progress in sending */
	uint64_t linger_ns;          /* 5 s from the last response to the peer's close */
};

enum http_conn_state {
	HTTP_CONN_IDLE,
	HTTP_CONN_HEAD,
	HTTP_CONN_BODY,
	HTTP_CONN_HANDLING,
	HTTP_CONN_RESPONDING,
	HTTP_CONN_LINGER,
	HTTP_CONN_CLOSED,
};

enum http_event {
	/* All input that can be used was; present more when there is more. */
	HTTP_EVENT_NEED_MORE,
	/* The input belongs to a later request: present it again after http_conn_response_sent. */
	HTTP_EVENT_WAIT,
	/* conn->request is complete. If its framing is not HTTP_BODY_NONE the body follows: keep
	 * calling http_conn_input (also with empty input), and if http_conn_wants_continue send
	 * HTTP_CONTINUE_LINE once the handler wants the body. */
	HTTP_EVENT_REQUEST,
	/* conn->piece: the next bytes of the body. */
	HTTP_EVENT_BODY,
	/* The body is complete (only after HTTP_EVENT_BODY, or for a chunked body of nothing). */
	HTTP_EVENT_REQUEST_END,
	/* Abandon the handler if there is one; send an error response of conn->status with
	 * "Connection: close", then http_conn_response_sent. If part of a response has already
	 * left, the event is HTTP_EVENT_CLOSE instead. */
	HTTP_EVENT_ERROR,
	/* After the last response: shut down the sending side, go on presenting input until
	 * CLOSE. */
	HTTP_EVENT_LINGER,
	/* Close the TCP connection; conn->end says why. */
	HTTP_EVENT_CLOSE,
};

/* Why a connection ended. */
enum http_end {
	HTTP_END_NONE,
	HTTP_END_CLEAN,       /* the client closed between requests */
	HTTP_END_SERVER,      /* after a response that said so, or in a drain */
	HTTP_END_IDLE,        /* nothing came within idle_ns */
	HTTP_END_IN_HEAD,     /* the client left in the middle of a head */
	HTTP_END_IN_BODY,     /* ... of a body */
	HTTP_END_IN_RESPONSE, /* the response could not be sent in time, or the peer reset */
	HTTP_END_ERROR,       /* after an error response */
};

struct http_conn_counters {
	uint64_t requests;     /* heads completed */
	uint64_t responses;    /* sent */
	uint64_t errors;       /* HTTP_EVENT_ERROR */
	uint64_t timeouts;     /* deadlines passed, idle ones not counted */
	uint64_t head_bytes, body_bytes;
	uint64_t copied_bytes; /* of heads, into buffers */
	uint64_t discarded_bytes;
};

struct http_conn {
	/* For the glue to read. */
	struct http_request request; /* between HTTP_EVENT_REQUEST and http_conn_response_sent */
	struct slice piece;          /* with HTTP_EVENT_BODY */
	uint16_t status;             /* with HTTP_EVENT_ERROR */
	enum http_end end;           /* with HTTP_EVENT_CLOSE */
	enum http_conn_state state;
	struct http_conn_counters count;
	/* For the glue to set as well: what deadlines are asked of. Others may take their place at any time. */
	const struct http_limits *limits;
	/* The machine's own. */
	struct arena *arena;
	struct http_parser parser;
	struct http_body body;
	uint8_t *buffer; /* NULL: in place */
	uint32_t buffer_cap, buffer_len;
	const uint8_t *head; /* where the finished head lies */
	uint64_t since;      /* when the current state began or last made progress */
	uint64_t head_since; /* when the first byte of the request came, until the next one's does */
	uint64_t body_since, paused_at;
	uint64_t discarded;
	bool body_open;      /* the request's body has not been decoded to its end */
	bool paused;
	bool continue_sent;
	bool keep;           /* decided by http_conn_respond */
	bool sent;           /* the response has left, the body's rest is being discarded */
	bool responding_error;
	bool peer_closed, shutting_down;
	bool head_partial;
};

#define HTTP_CONTINUE_LINE SLICE("HTTP/1.1 100 Continue\r\n\r\n")

API_BEGIN

void http_limits_default(struct http_limits *l);

/* `limits` and `arena` are borrowed for the connection's life. The arena receives decoded paths;
 * the glue resets it after http_conn_response_sent (it may be the per-request arena). */
void http_conn_init(struct http_conn *c, const struct http_limits *limits, struct arena *arena,
	uint64_t now);

/* The head's first byte came at `since`, before there was a machine to present it to: its deadline counts
 * from then, and http_conn_shutdown leaves this request its answer. Before any input. */
void http_conn_head_began(struct http_conn *c, uint64_t since);

/* Received bytes, from the first one not yet consumed on; may be empty. *consumed is always
 * written. One event for each call: call again while it is REQUEST, BODY or REQUEST_END (unless the
 * handler wants the body's next piece later: then just do so later, with http_conn_pause
 * meanwhile). */
enum http_event http_conn_input(struct http_conn *c, struct slice bytes, uint64_t now,
	size_t *consumed);

/* The peer closed its sending side and all that came has been consumed (while WAIT leaves pipelined
 * requests unread, this call has to wait too). NEED_MORE: a request is still being answered; go on,
 * the connection closes after it. CLOSE: close now, and abandon the handler if there is one (end is
 * IN_BODY). */
enum http_event http_conn_peer_closed(struct http_conn *c, uint64_t now);

/* The time of the next deadline, or HTTP_TIME_NEVER. It changes with each call on the machine, but
 * asking costs little; an armed timer that fires too early is harmless. */
uint64_t http_conn_deadline(const struct http_conn *c);
/* To be called when the deadline has passed. ERROR (408 or 503), CLOSE, or NEED_MORE when it is not
 * yet due. */
enum http_event http_conn_timeout(struct http_conn *c, uint64_t now);

/* Whether a head lies incomplete in bytes that the glue must keep. */
bool http_conn_needs_buffer(const struct http_conn *c);
/* `buf` has at least limits.head_bytes_max bytes and is the machine's until
 * http_conn_take_buffer. */
void http_conn_give_buffer(struct http_conn *c, uint8_t *buf, uint32_t cap);
/* The buffer, if there is one and no request views into it any more; else NULL. Worth asking after
 * http_conn_response_sent and at the connection's end (http_conn_abort). */
uint8_t *http_conn_take_buffer(struct http_conn *c);
/* Copies a finished head that lies in the glue's bytes to `buf` of at least parser.head_len bytes
 * (the machine's until http_conn_take_buffer), so that those can be released while the request goes
 * on. Harmless when the head was gathered: then the buffer is not taken and false is returned. */
bool http_conn_move_head(struct http_conn *c, uint8_t *buf, uint32_t cap);

/* Sets this request's body limit in bytes, after HTTP_EVENT_REQUEST and before the body's first
 * piece. An announced length over it becomes ERROR 413 with the next input. */
void http_conn_body_limit(struct http_conn *c, uint64_t bytes_max);
/* Whether the client waits for HTTP_CONTINUE_LINE; true until http_conn_continue_sent. */
bool http_conn_wants_continue(const struct http_conn *c);
void http_conn_continue_sent(struct http_conn *c, uint64_t now);
/* While paused nobody takes the body's pieces, and the client is not to blame: no deadline. */
void http_conn_pause(struct http_conn *c, uint64_t now);
void http_conn_resume(struct http_conn *c, uint64_t now);

/* The response begins; no more of the body is delivered. Returns whether the connection persists
 * after it: the response must say so (http_response_init takes it). A body that was not read to its
 * end is discarded if that is little, else the connection closes. Call exactly once for each
 * request, and for each HTTP_EVENT_ERROR. */
bool http_conn_respond(struct http_conn *c, uint64_t now);
/* Some bytes of the response were taken by the peer: the write deadline starts anew. */
void http_conn_progress(struct http_conn *c, uint64_t now);
/* All of the response that there is has been taken, and the rest is yet to be made: no deadline until the next
 * http_conn_progress. */
void http_conn_hold(struct http_conn *c);
/* The whole response was handed over and nothing refers to the request any more. NEED_MORE: present
 * input for the next request; LINGER; or CLOSE. */
enum http_event http_conn_response_sent(struct http_conn *c, uint64_t now);

/* The server drains: an idle connection is CLOSE; else the current request is the last one and
 * NEED_MORE is returned. */
enum http_event http_conn_shutdown(struct http_conn *c, uint64_t now);
/* The TCP connection is gone (reset, or closed by the glue): any state becomes CLOSED with an `end`
 * that fits. */
void http_conn_abort(struct http_conn *c);

API_END

#endif
