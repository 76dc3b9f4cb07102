/* What stream.c, and what stands on it, know of an answer that is made piece by piece. */
#ifndef APP_STREAM_PRIVATE_H
#define APP_STREAM_PRIVATE_H

#include "server.h"

struct reply_buffer;

/* In the request's memory. */
struct reply_stream {
	struct stream stream;
	struct fiber_queue changed;   /* its handler, while that waits */
	struct reply_buffer *current; /* being filled; NULL: none */
	uint32_t buffers;             /* that one, and those that TCP has */
	bool has_length;              /* `length` was announced, or is known by now */
	bool bodiless;                /* HEAD, 204, 304: nothing that is written is sent */
	bool head_sent, chunked, keep;
	uint64_t length, written;     /* bytes of the body */
	uint64_t sent_ns;             /* when the last piece left */
	uint64_t generation;          /* event_wait_change: up to which the handler has been told */
	struct tcp_send last;
};

/* For the handler's first use of either direction. False: as many stream as may, and all get on. */
bool stream_join(struct exchange *x, struct stream *stream);
void stream_leave(struct exchange *x);
/* Around a wait for the client, of whose bytes `passed` have passed up to now. When a further stream finds no place, the
 * one whose client has not got on for longest (for STREAM_SLOW_NS at least) is ended. */
void stream_wait_begin(struct exchange *x, uint64_t passed);
void stream_wait_end(struct exchange *x);

/* The stream that the handler has begun. NULL: the request has failed, at the latest now, since the handler has
 * begun none; `call` says what it called. */
struct reply_stream *reply_stream_of(struct request *req, const char *call);
/* Somebody still wants to have what is written. */
bool reply_is_wanted(const struct request *req, const struct reply_stream *s);
/* Without progress of its client's for so long, a handler is worth no more than who waits for what it has. */
#define STREAM_SLOW_NS UINT64_C(500000000)
/* If somebody does, the connection is ended. */
void stream_give_way(struct request *req);
/* Parks the handler until something may have changed, or until then. */
void stream_wait(struct request *req, struct reply_stream *s, uint64_t until_ns);
/* Parks the handler until then, or until *news, or until the client has gone or is to go: false. */
bool event_sleep(struct request *req, struct reply_stream *s, uint64_t until_ns, const bool *news);

#endif
