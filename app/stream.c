/* Answers that are made piece by piece, by a handler that runs meanwhile.
 *
 *   reply_begin --> FILLING --buffer full, or reply_flush--> (its generation is durable) --> sent, by reference
 *                    ^   |                                                                        |
 *                    |   | no buffer is left                       TCP lets go of one             |
 *                    |   v                                                                        |
 *                    +--PARKED <------------------------------------------------------------------+
 *
 *   the handler returns --> database.c's finish --> the rest and the end are sent --> RESPONDING (exchange.c)
 *                      \--something has failed--> an error page, or when the head has gone, a cut
 *
 * 1. What is written is copied into blocks of the server's pool: one that is being filled, and those that TCP has.
 *    There are two for everybody, and up to an eighth of the pool (BUFFERS_MAX) while less than a quarter of it is in
 *    use, so that handlers which begin find what they need (blocks_suffice). So
 *    an answer of any length takes some 64 KiB in a machine of 16 MiB, at most 264 KiB in a large one, and a client
 *    that does not read stops its own handler and nobody else.
 * 2. The head goes with the first piece. Until then a failure is answered with its page, and an answer that ends
 *    before is one with a length.
 * 3. A piece leaves when all that its request has read and committed is durable; an end, too.
 * 4. After the head an answer that cannot be completed ends with the connection, without its last chunk, or short of
 *    its length, or, where the connection's end is that of the answer, by RST: no client takes it for the whole.
 *    While a handler waits for its client it has no connection of the database's, unless it is in the middle of rows,
 *    a blob or a transaction. Then others that wait for it come first: a client that takes nothing for half a second
 *    is cut off. The same goes for the fiber.
 * 5. HTTP's deadline for progress counts while TCP has something of ours; while the handler makes it wait, there is
 *    none.
 *    When as many stream as may, the one whose client has not got on for longest (half a second at least) makes room.
 * 6. x->stream is set from the first piece of either direction until finish. What TCP has then lives on by itself. */
#include <app/ingot.h>

#include "stream.h"

#include <stdarg.h>
#include <string.h>
#include <base/assert.h>

enum { BUFFERS_MIN = 2, BUFFERS_MAX = 32, STREAMS_LEAST = 8 };
#define PROGRESS_BYTES 4096              /* less than that does not count */
#define NO_MEMORY_NS UINT64_C(5000000000) /* for a first buffer */
#define PAGE_BLOCKS_MAX 4                /* for a page within the answer */
#define CHUNK_ROOM 8                     /* "1fff\r\n" before, */
#define CHUNK_TAIL_ROOM 8                /* "\r\n0\r\n\r\n" behind */

/* In a block of the server's pool. */
struct reply_buffer {
	struct tcp_send send;
	struct slice bytes; /* as they are sent */
	struct exchange *exchange;
	size_t len;         /* of the data, which begins CHUNK_ROOM bytes into memory */
	uint8_t memory[];
};
#define BUFFER_LEN (SERVER_BLOCK_SIZE - sizeof(struct reply_buffer) - CHUNK_ROOM - CHUNK_TAIL_ROOM)

static uint64_t now_of(const struct exchange *x)
{
	return x->server->config.loop->now_ns;
}

/* --- Who streams ------------------------------------------------------------------------------ */

/* How long it has waited for its client for want of progress; what the handler takes itself does not count. */
static uint64_t waited_ns(const struct exchange *x)
{
	const struct stream *stream = x->stream;
	return x->tcp && stream && stream->waits ? stream->waited_ns + now_of(x) - stream->wait_begun_ns : 0;
}

/* Ends the one whose client has not got on for longest, if it is slow. */
static bool shed_slowest(struct server *s)
{
	uint64_t now_ns = s->config.loop->now_ns;
	uint64_t longest_ns = 0;
	struct exchange *found = NULL;
	if (now_ns < s->next_stream_look_ns)
		return false;
	for (uint32_t i = 0; i < s->exchanges.touched; i++) {
		struct exchange *x = pool_at(&s->exchanges, i);
		if (waited_ns(x) > longest_ns) {
			longest_ns = waited_ns(x);
			found = x;
		}
	}
	if (longest_ns < STREAM_SLOW_NS) {
		s->next_stream_look_ns = now_ns + STREAM_SLOW_NS / 10;
		return false;
	}
	s->stats.shed++;
	connection_end(found->connection);
	return true;
}

bool stream_join(struct exchange *x, struct stream *stream)
{
	struct server *s = x->server;
	uint32_t fibers = s->config.loop->fibers.capacity;
	if (!x->stream && s->streams + 1 > fibers - (fibers + 3) / 4 && !shed_slowest(s))
		return false;
	s->streams += !x->stream;
	x->stream = stream;
	return true;
}

void stream_wait_begin(struct exchange *x, uint64_t passed)
{
	struct stream *stream = x->stream;
	if (passed - stream->marked >= PROGRESS_BYTES) {
		stream->waited_ns = 0;
		stream->marked = passed;
	}
	stream->wait_begun_ns = now_of(x);
	stream->waits = true;
}

void stream_wait_end(struct exchange *x)
{
	struct stream *stream = x->stream;
	stream->waited_ns += now_of(x) - stream->wait_begun_ns;
	stream->waits = false;
}

void stream_leave(struct exchange *x)
{
	x->server->streams--;
	x->stream = NULL;
}

static bool reply_event(struct exchange *x)
{
	fiber_queue_wake_all(&CONTAINER_OF(x->stream, struct reply_stream, stream)->changed);
	return false;
}

static void reply_finish(struct exchange *x);

static const char body_begun[] = "after the body has begun: call it before the first reply_write";

static const struct stream_kind reply_kind = {reply_event, reply_finish};

/* NULL when the handler has not begun to stream: its mistake. */
struct reply_stream *reply_stream_of(struct request *req, const char *call)
{
	struct stream *stream = req->exchange->stream;
	if (req->broken)
		return NULL;
	if (stream && stream->kind == &reply_kind)
		return CONTAINER_OF(stream, struct reply_stream, stream);
	request_misuse(req, "%s without reply_begin before it", call);
	return NULL;
}

bool reply_is_wanted(const struct request *req, const struct reply_stream *s)
{
	return !req->broken && req->exchange->tcp && !s->bodiless;
}

/* --- To TCP ----------------------------------------------------------------------------------- */

/* One of the sends of x's stream has ended. */
static void send_over(struct exchange *x)
{
	x->sends_left--;
	if (x->stream) {
		if (x->sends_left)
			http_conn_progress(&x->http, now_of(x));
		else
			http_conn_hold(&x->http);
		(void)x->stream->kind->event(x);
	}
	exchange_settle(x);
}

static void plain_done(struct tcp_send *send, bool delivered)
{
	(void)delivered;
	send_over(send->cookie);
}

static void buffer_done(struct tcp_send *send, bool delivered)
{
	struct reply_buffer *b = CONTAINER_OF(send, struct reply_buffer, send);
	struct exchange *x = b->exchange;
	(void)delivered;
	if (x->stream)
		CONTAINER_OF(x->stream, struct reply_stream, stream)->buffers--;
	pool_put(&x->server->blocks, b);
	send_over(x);
}

/* False: TCP takes no more. */
static bool queue(struct exchange *x, struct tcp_send *send)
{
	if (!x->sends_left)
		http_conn_progress(&x->http, now_of(x));
	x->sends_left++;
	if (failed(tcp_send(x->tcp, send))) {
		x->sends_left--;
		return false;
	}
	exchange_deadline_arm(x);
	return true;
}

static bool head_build(struct request *req, struct reply_stream *s, struct http_response *r, struct slice **list,
	uint32_t *count)
{
	struct exchange *x = req->exchange;
	struct slice *segments = ARENA_NEW_ARRAY(&x->arena, struct slice, HTTP_RESPONSE_HEAD_SEGMENTS + 1);
	bool http10 = x->http.request.version_minor == 0;
	if (!segments)
		return false;
	s->chunked = !s->has_length && !http10 && !s->bodiless;
	if (!s->has_length && http10)
		(void)http_conn_shutdown(&x->http, now_of(x)); /* the end of the connection is that of the answer */
	s->keep = http_conn_respond(&x->http, now_of(x));
	http_response_init(r, segments, HTTP_RESPONSE_HEAD_SEGMENTS + 1, &x->arena, &x->http.request, s->keep);
	http_response_status(r, req->status);
	http_response_static_fields(r, req->type_fields);
	for (struct reply_field *f = req->fields; f; f = f->next)
		http_response_header(r, f->name, f->value);
	if (req->status == 503)
		http_response_static_fields(r, SLICE("Retry-After: 1\r\n"));
	http_response_date(r, &x->server->dates, server_time(x->server));
	if (s->has_length)
		http_response_stream_length(r, s->length);
	else
		http_response_stream(r);
	if (failed(http_response_finish(r, list, count)))
		return false;
	req->bytes_copied += r->bytes_copied;
	return true;
}

/* False, and the request has failed, when there can be no such head. */
static bool head_send(struct request *req, struct reply_stream *s)
{
	struct exchange *x = req->exchange;
	struct server_stats *stats = &x->server->stats;
	struct http_response r = {.bad_name = {NULL, 0}};
	struct slice *list;
	uint32_t count;
	if (!head_build(req, s, &r, &list, &count)) {
		reply_not_built(req, &r);
		return false;
	}
	loop_trace(x->server->config.loop, "response: connection, status",
		pool_index(&x->server->connections, x->connection), req->status);
	stats->responses++;
	stats->errors += req->status >= 500;
	stats->bytes_copied += req->bytes_copied;
	x->send_head = (struct tcp_send){.segments = list, .count = count, .done = plain_done, .cookie = x};
	s->head_sent = true;
	return queue(x, &x->send_head);
}

/* Frames what has been written; `last` with the end of the body behind it. */
static void buffer_close(struct reply_stream *s, struct reply_buffer *b, bool last)
{
	uint8_t *from = b->memory + CHUNK_ROOM, *to = from + b->len;
	if (s->chunked) {
		uint8_t line[HTTP_CHUNK_HEAD_MAX];
		struct slice head = http_chunk_head(line, b->len);
		ASSERT(head.len <= CHUNK_ROOM);
		from -= head.len;
		memcpy(from, head.ptr, head.len);
		memcpy(to, "\r\n0\r\n\r\n", 7);
		to += last ? 7 : 2;
	}
	b->bytes = slice_of(from, (size_t)(to - from));
}

/* The current buffer becomes TCP's. */
static bool buffer_send(struct exchange *x, struct reply_stream *s, bool last)
{
	struct reply_buffer *b = s->current;
	struct server_stats *stats = &x->server->stats;
	buffer_close(s, b, last);
	stats->bytes_sent += b->len;
	stats->bytes_copied += b->len;
	x->request.bytes_body += b->len;
	x->request.bytes_copied += b->len;
	b->send = (struct tcp_send){.segments = &b->bytes, .count = 1, .done = buffer_done};
	s->current = NULL;
	s->sent_ns = now_of(x);
	if (queue(x, &b->send))
		return true;
	s->buffers--;
	pool_put(&x->server->blocks, b);
	return false;
}

/* What has been written leaves, and the head before it. May park. */
static bool push(struct request *req, struct reply_stream *s)
{
	struct exchange *x = req->exchange;
	if (req->hold && !req->hold->settle(req))
		return false;
	if (!x->tcp || (!s->head_sent && !head_send(req, s)))
		return false;
	return !s->current || !s->current->len || buffer_send(x, s, false);
}

/* --- Waiting ---------------------------------------------------------------------------------- */

void stream_wait(struct request *req, struct reply_stream *s, uint64_t until_ns)
{
	/* Until then is what matters, and the caller looks. */
	if (failed(fiber_queue_wait(req->exchange->server->config.loop, &s->changed, until_ns)))
		return;
}

void stream_give_way(struct request *req)
{
	struct exchange *x = req->exchange;
	struct server *s = x->server;
	if (!x->tcp || (list_is_empty(&s->waiting) && !(req->hold && req->hold->is_awaited(req))))
		return;
	s->stats.shed++;
	connection_end(x->connection);
}

static bool may_take(const struct exchange *x, const struct reply_stream *s)
{
	const struct pool *blocks = &x->server->blocks;
	return s->buffers < BUFFERS_MIN || (s->buffers < BUFFERS_MAX && s->buffers < blocks->capacity / STREAMS_LEAST
		&& blocks->used < blocks->capacity / 4);
}

/* Parks until there is one. */
static bool buffer_take(struct request *req, struct reply_stream *s)
{
	struct exchange *x = req->exchange;
	uint64_t begun_ns = now_of(x);
	while (!s->current) {
		if (!reply_is_wanted(req, s))
			return false;
		if (may_take(x, s) && (s->current = pool_get(&x->server->blocks))) {
			s->buffers++;
			break;
		}
		if (!s->buffers && now_of(x) > begun_ns + NO_MEMORY_NS) {
			request_fail(req, 503);
			return false;
		}
		uint32_t before = s->buffers;
		if (req->hold)
			(void)req->hold->park(req);
		uint64_t slow_ns = now_of(x) + STREAM_SLOW_NS;
		stream_wait_begin(x, s->written);
		stream_wait(req, s, slow_ns);
		stream_wait_end(x);
		if (before && s->buffers == before && now_of(x) >= slow_ns)
			stream_give_way(req);
	}
	s->current->exchange = x;
	s->current->len = 0;
	if (req->hold)
		req->hold->renew(req);
	return true;
}

/* --- What handlers call ----------------------------------------------------------------------- */

static bool begin(struct request *req, int status, const char *type, bool has_length, uint64_t length)
{
	struct exchange *x = req->exchange;
	if (!reply_is_due(req, status, 200))
		return false;
	req->reply = REPLY_STREAM;
	req->status = (uint16_t)status;
	struct reply_stream *s = ARENA_NEW(&x->arena, struct reply_stream);
	if (!s || !stream_join(x, &s->stream)) {
		request_fail(req, 503);
		return false;
	}
	s->stream.kind = &reply_kind;
	fiber_queue_init(&s->changed);
	s->bodiless = x->http.request.method == HTTP_HEAD || status == 204 || status == 205 || status == 304;
	s->has_length = has_length;
	s->length = length;
	req->type_fields = SLICE("X-Content-Type-Options: nosniff\r\n");
	if (type)
		reply_header(req, "Content-Type", slice_from_cstr(type));
	return !req->broken;
}

bool reply_begin(struct request *req, int status, const char *content_type)
{
	return begin(req, status, content_type, false, 0);
}

bool reply_begin_length(struct request *req, int status, const char *content_type, uint64_t len)
{
	return begin(req, status, content_type, true, len);
}

static bool length_allows(struct request *req, struct reply_stream *s, size_t more)
{
	if (!s->has_length || more <= s->length - s->written)
		return true;
	request_misuse(req, "the answer is longer than reply_begin_length said (%u bytes)", (unsigned)s->length);
	return false;
}

bool reply_write(struct request *req, struct slice bytes)
{
	struct reply_stream *s = reply_stream_of(req, "reply_write");
	if (!s || !length_allows(req, s, bytes.len))
		return false;
	req->fields_closed = body_begun;
	while (bytes.len && reply_is_wanted(req, s)) {
		struct reply_buffer *b = s->current;
		if (b && b->len == BUFFER_LEN) {
			if (!push(req, s))
				return false;
		} else if (!b) {
			if (!buffer_take(req, s))
				return false;
		} else {
			struct slice part = slice_sub(bytes, 0, BUFFER_LEN - b->len);
			memcpy(b->memory + CHUNK_ROOM + b->len, part.ptr, part.len);
			b->len += part.len;
			s->written += part.len;
			bytes = slice_sub(bytes, part.len, bytes.len);
		}
	}
	return reply_is_wanted(req, s);
}

bool reply_writef(struct request *req, const char *fmt, ...)
{
	uint8_t text[1024];
	struct writer w = writer_of(text, sizeof text);
	va_list args;
	va_start(args, fmt);
	write_format(&w, fmt, args);
	va_end(args);
	if (!w.failed)
		return reply_write(req, writer_slice(&w));
	request_misuse(req, "reply_writef of more than %u bytes (use reply_write), or with a format that there is not: %s",
		(unsigned)sizeof text, fmt);
	return false;
}

/* The values' text is copied; the template's too, since TCP refers to what lies in one buffer. */
bool reply_write_page(struct request *req, const struct page_template *page, const struct page_value *data)
{
	struct server *s = req->exchange->server;
	struct arena arena;
	struct page_output out;
	arena_init(&arena, NULL, 0, &s->blocks, PAGE_BLOCKS_MAX);
	page_output_init(&out, &arena);
	err e = page_render(page, data, &out);
	if (failed(e)) {
		log_write(s->config.log, LOG_WARN, "page", "%.*s: %s", SLICE_ARG(page->name), err_text(e));
		request_fail(req, e.code == ERR_NO_MEMORY ? 503 : 500);
	}
	bool wanted = !failed(e);
	for (struct page_chunk *chunk = out.first; chunk && wanted; chunk = chunk->next)
		for (uint32_t i = 0; i < chunk->count && wanted; i++)
			wanted = reply_write(req, chunk->segment[i]);
	arena_reset(&arena);
	return wanted;
}

bool reply_flush(struct request *req)
{
	struct reply_stream *s = reply_stream_of(req, "reply_flush");
	if (!s)
		return false;
	req->fields_closed = body_begun;
	return push(req, s) && reply_is_wanted(req, s);
}

void reply_cut(struct request *req)
{
	if (reply_stream_of(req, "reply_cut"))
		request_fail(req, 500);
}

/* --- The end ---------------------------------------------------------------------------------- */

static void buffer_drop(struct exchange *x, struct reply_stream *s)
{
	if (s->current)
		pool_put(&x->server->blocks, s->current);
	s->current = NULL;
}

/* Before anything has left: the whole answer is there, and has a length. */
static bool head_send_late(struct request *req, struct reply_stream *s)
{
	if (!s->has_length && !s->bodiless) {
		s->has_length = true;
		s->length = s->written;
	}
	return head_send(req, s);
}

static bool is_complete(const struct reply_stream *s)
{
	return !s->has_length || s->bodiless || s->written == s->length;
}

/* The rest of the answer, and what ends it. */
static bool end_send(struct exchange *x, struct reply_stream *s)
{
	static const struct slice last_chunk[] = {SLICE_INIT("0\r\n\r\n")};
	if (s->current && s->current->len)
		return buffer_send(x, s, true);
	if (!s->chunked)
		return true;
	s->last = (struct tcp_send){.segments = last_chunk, .count = 1, .done = plain_done, .cookie = x};
	return queue(x, &s->last);
}

/* All that is left to do is to wait until the peer has it. */
static void respond_end(struct exchange *x, bool keep)
{
	x->responding = true;
	x->unsent = tcp_unsent(x->tcp);
	http_conn_progress(&x->http, now_of(x));
	if (!keep)
		tcp_close(x->tcp);
	exchange_deadline_arm(x);
	if (!x->sends_left)
		exchange_event(x, TCP_SENT); /* it has it already, and there will be no such event */
}

static void reply_finish(struct exchange *x)
{
	struct reply_stream *s = CONTAINER_OF(x->stream, struct reply_stream, stream);
	struct request *req = &x->request;
	stream_leave(x);
	if (x->tcp && !req->broken && !is_complete(s)) {
		request_misuse(req, "the answer has %u bytes, and reply_begin_length said %u", (unsigned)s->written,
			(unsigned)s->length);
	}
	if (x->tcp && !req->broken && (s->head_sent || head_send_late(req, s)) && end_send(x, s)) {
		buffer_drop(x, s); /* one without a byte in it */
		exchange_answered(x, req->status);
		respond_end(x, s->keep);
		return;
	}
	buffer_drop(x, s);
	if (x->tcp && !s->head_sent) {
		exchange_respond(x);
		return;
	}
	exchange_answered(x, x->tcp ? 500 : STATUS_CLIENT_GONE); /* it was cut, whatever its head said */
	if (!x->tcp)
		exchange_settle(x);
	else if (s->chunked || s->has_length)
		connection_close(x->connection); /* what has been sent arrives, and is seen to be no whole answer */
	else
		connection_end(x->connection);
}
