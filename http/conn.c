/* The connection machine; the state diagram stands in its header.
 *
 * Invariants:
 *  1. A request's views are valid from HTTP_EVENT_REQUEST until http_conn_response_sent: nothing
 *     here writes to the head's bytes in between, and a given buffer is not handed back.
 *  2. body_open: bytes of the current request's body are still to be decoded. No byte of a later
 *     request is looked at before it is false and the response has been sent.
 *  3. Each state but CLOSED has a deadline, except for a paused body and a response that is held.
 *  4. `keep` is true only if the response said so, so what the client was told is what happens. */
#include <http/conn.h>

#include <string.h>
#include <base/assert.h>

#define SECOND_NS UINT64_C(1000000000)

void http_limits_default(struct http_limits *l)
{
	*l = (struct http_limits){
		.head_bytes_max = 16 << 10,
		.requests_max = 0,
		.body_bytes_max = 1 << 20,
		.discard_bytes_max = 64 << 10,
		.linger_bytes_max = 1 << 20,
		.head_ns = 10 * SECOND_NS,
		.idle_ns = 60 * SECOND_NS,
		.body_ns = 10 * SECOND_NS,
		.body_bytes_per_s_min = 1 << 10,
		.handle_ns = 60 * SECOND_NS,
		.write_ns = 30 * SECOND_NS,
		.linger_ns = 5 * SECOND_NS,
	};
}

static void enter(struct http_conn *c, enum http_conn_state state, uint64_t now)
{
	c->state = state;
	c->since = now;
}

static enum http_event close_with(struct http_conn *c, enum http_end end)
{
	c->state = HTTP_CONN_CLOSED;
	if (c->end == HTTP_END_NONE)
		c->end = end;
	return HTTP_EVENT_CLOSE;
}

/* The request ends here as far as reading goes: answer `status` and close. */
static enum http_event error(struct http_conn *c, unsigned status, uint64_t now)
{
	c->status = (uint16_t)status;
	c->count.errors++;
	c->body_open = c->paused = false;
	if (c->state == HTTP_CONN_RESPONDING)
		return close_with(c, HTTP_END_ERROR);
	c->responding_error = true;
	enter(c, HTTP_CONN_RESPONDING, now);
	return HTTP_EVENT_ERROR;
}

static void next_request(struct http_conn *c, uint64_t now)
{
	http_parser_init(&c->parser, c->arena, c->limits->head_bytes_max);
	c->buffer_len = 0;
	c->head = NULL;
	c->head_partial = false;
	c->body_open = c->paused = false;
	c->continue_sent = c->sent = c->keep = c->responding_error = false;
	c->discarded = 0;
	enter(c, HTTP_CONN_IDLE, now);
}

void http_conn_init(struct http_conn *c, const struct http_limits *limits, struct arena *arena,
	uint64_t now)
{
	memset(c, 0, offsetof(struct http_conn, request));
	memset((uint8_t *)c + offsetof(struct http_conn, piece), 0,
		sizeof *c - offsetof(struct http_conn, piece));
	c->limits = limits;
	c->arena = arena;
	next_request(c, now);
}

void http_conn_head_began(struct http_conn *c, uint64_t since)
{
	ASSERT(c->state == HTTP_CONN_IDLE);
	c->head_since = since;
	enter(c, HTTP_CONN_HEAD, since);
}

/* --- Input ------------------------------------------------------------------------------------ */

static enum http_event request_ready(struct http_conn *c, uint64_t now)
{
	c->head = c->parser.base;
	c->head_partial = false;
	c->count.requests++;
	c->count.head_bytes += c->parser.head_len;
	c->body_open = c->request.framing != HTTP_BODY_NONE;
	if (c->body_open)
		http_body_init(&c->body, &c->request, c->limits->body_bytes_max);
	c->body_since = now;
	enter(c, c->body_open ? HTTP_CONN_BODY : HTTP_CONN_HANDLING, now);
	return HTTP_EVENT_REQUEST;
}

/* Parses in the buffer: what does not belong to the head is not consumed. */
static COLD enum http_parse_result gather(struct http_conn *c, struct slice bytes, size_t *consumed)
{
	uint32_t before = c->buffer_len, room = c->buffer_cap - before;
	uint32_t n = bytes.len < room ? (uint32_t)bytes.len : room;
	memcpy(c->buffer + before, bytes.ptr, n);
	c->count.copied_bytes += n;
	enum http_parse_result result = http_parse_request(&c->parser,
		slice_of(c->buffer, before + n), &c->request);
	*consumed = result == HTTP_DONE ? c->parser.head_len - before : n;
	c->buffer_len = before + (uint32_t)*consumed;
	return result;
}

static enum http_event input_head(struct http_conn *c, struct slice bytes, uint64_t now,
	size_t *consumed)
{
	enum http_parse_result result;
	if (bytes.len == 0)
		return HTTP_EVENT_NEED_MORE;
	if (c->state == HTTP_CONN_IDLE) {
		c->head_since = now;
		enter(c, HTTP_CONN_HEAD, now);
	}
	if (c->buffer) {
		result = gather(c, bytes, consumed);
	} else {
		result = http_parse_request(&c->parser, bytes, &c->request);
		*consumed = result == HTTP_DONE ? c->parser.head_len : 0;
	}
	switch (result) {
	case HTTP_DONE: return request_ready(c, now);
	case HTTP_FAILED: return error(c, c->parser.status, now);
	case HTTP_MORE: break;
	}
	if (c->buffer && c->buffer_len == c->buffer_cap) /* http_conn_move_head takes small ones */
		return error(c, 431, now);
	c->head_partial = !c->buffer;
	return HTTP_EVENT_NEED_MORE;
}

static enum http_event body_complete(struct http_conn *c, uint64_t now)
{
	c->body_open = false;
	if (c->state == HTTP_CONN_BODY)
		enter(c, HTTP_CONN_HANDLING, now);
	return HTTP_EVENT_REQUEST_END;
}

static NOINLINE enum http_event input_body(struct http_conn *c, struct slice bytes, uint64_t now,
	size_t *consumed)
{
	switch (http_body_decode(&c->body, bytes, consumed, &c->piece)) {
	case HTTP_BODY_DATA:
		c->count.body_bytes += c->piece.len;
		return HTTP_EVENT_BODY;
	case HTTP_BODY_END: return body_complete(c, now);
	case HTTP_BODY_FAILED: return error(c, c->body.status, now);
	case HTTP_BODY_MORE: break;
	}
	return HTTP_EVENT_NEED_MORE;
}

static enum http_event response_over(struct http_conn *c, uint64_t now)
{
	if (c->peer_closed)
		return close_with(c, c->responding_error ? HTTP_END_ERROR : HTTP_END_CLEAN);
	if (!c->keep) {
		c->discarded = 0;
		c->head = NULL;
		enter(c, HTTP_CONN_LINGER, now);
		return HTTP_EVENT_LINGER;
	}
	next_request(c, now);
	return c->shutting_down ? close_with(c, HTTP_END_SERVER) : HTTP_EVENT_NEED_MORE;
}

/* The rest of a body that nobody reads any more. Bounded: keep is false when it may be long, and a
 * chunked one that turns out to be is cut off. */
static COLD enum http_event input_discard(struct http_conn *c, struct slice bytes, uint64_t now,
	size_t *consumed)
{
	struct slice data;
	size_t n;
	*consumed = 0;
	for (;;) {
		enum http_body_result result = http_body_decode(&c->body,
			slice_sub(bytes, *consumed, bytes.len), &n, &data);
		*consumed += n;
		c->discarded += n;
		c->count.discarded_bytes += n;
		if (result == HTTP_BODY_FAILED || c->discarded > c->limits->discard_bytes_max)
			break;
		if (result == HTTP_BODY_END) {
			c->body_open = false;
			return c->sent ? response_over(c, now) : HTTP_EVENT_WAIT;
		}
		if (result == HTTP_BODY_MORE)
			return HTTP_EVENT_NEED_MORE;
	}
	c->body_open = c->keep = false; /* the response is not harmed: it goes out, then we close */
	return c->sent ? response_over(c, now) : HTTP_EVENT_WAIT;
}

static COLD enum http_event input_linger(struct http_conn *c, struct slice bytes, size_t *consumed)
{
	*consumed = bytes.len;
	c->discarded += bytes.len;
	c->count.discarded_bytes += bytes.len;
	if (c->discarded > c->limits->linger_bytes_max)
		return close_with(c, c->responding_error ? HTTP_END_ERROR : HTTP_END_SERVER);
	return HTTP_EVENT_NEED_MORE;
}

enum http_event http_conn_input(struct http_conn *c, struct slice bytes, uint64_t now,
	size_t *consumed)
{
	*consumed = 0;
	switch (c->state) {
	case HTTP_CONN_IDLE:
	case HTTP_CONN_HEAD: return input_head(c, bytes, now, consumed);
	case HTTP_CONN_BODY: return input_body(c, bytes, now, consumed);
	case HTTP_CONN_HANDLING: return HTTP_EVENT_WAIT;
	case HTTP_CONN_RESPONDING:
		if (!c->body_open)
			return HTTP_EVENT_WAIT;
		return input_discard(c, bytes, now, consumed);
	case HTTP_CONN_LINGER: return input_linger(c, bytes, consumed);
	case HTTP_CONN_CLOSED: break;
	}
	return HTTP_EVENT_CLOSE;
}

enum http_event http_conn_peer_closed(struct http_conn *c, uint64_t now)
{
	(void)now;
	c->peer_closed = true;
	switch (c->state) {
	case HTTP_CONN_IDLE: return close_with(c, HTTP_END_CLEAN);
	case HTTP_CONN_HEAD: return close_with(c, HTTP_END_IN_HEAD);
	case HTTP_CONN_BODY: return close_with(c, HTTP_END_IN_BODY);
	case HTTP_CONN_RESPONDING:
		if (c->sent)
			return close_with(c, HTTP_END_IN_BODY);
		c->body_open = c->keep = false; /* a client may half-close and still read */
		return HTTP_EVENT_NEED_MORE;
	case HTTP_CONN_HANDLING: return HTTP_EVENT_NEED_MORE;
	case HTTP_CONN_LINGER:
		return close_with(c, c->responding_error ? HTTP_END_ERROR : HTTP_END_SERVER);
	case HTTP_CONN_CLOSED: break;
	}
	return HTTP_EVENT_CLOSE;
}

/* --- Time ------------------------------------------------------------------------------------- */

static uint64_t later(uint64_t from, uint64_t ns)
{
	uint64_t at;
	return __builtin_add_overflow(from, ns, &at) ? HTTP_TIME_NEVER : at;
}

/* What is there of the body has earned its time at the least rate. */
static uint64_t body_deadline(const struct http_conn *c)
{
	uint64_t earned, rate = c->limits->body_bytes_per_s_min;
	if (c->paused)
		return HTTP_TIME_NEVER;
	if (!rate || __builtin_mul_overflow(c->body.received, SECOND_NS, &earned))
		return rate ? HTTP_TIME_NEVER : later(c->body_since, c->limits->body_ns);
	return later(c->body_since, later(c->limits->body_ns, earned / rate));
}

uint64_t http_conn_deadline(const struct http_conn *c)
{
	const struct http_limits *l = c->limits;
	switch (c->state) {
	case HTTP_CONN_IDLE: return later(c->since, l->idle_ns);
	case HTTP_CONN_HEAD: return later(c->since, l->head_ns);
	case HTTP_CONN_BODY: return body_deadline(c);
	case HTTP_CONN_HANDLING: return later(c->since, l->handle_ns);
	case HTTP_CONN_RESPONDING: return c->sent ? body_deadline(c) : later(c->since, l->write_ns);
	case HTTP_CONN_LINGER: return later(c->since, l->linger_ns);
	case HTTP_CONN_CLOSED: break;
	}
	return HTTP_TIME_NEVER;
}

enum http_event http_conn_timeout(struct http_conn *c, uint64_t now)
{
	if (c->state == HTTP_CONN_CLOSED)
		return HTTP_EVENT_CLOSE;
	if (now < http_conn_deadline(c))
		return HTTP_EVENT_NEED_MORE;
	if (c->state == HTTP_CONN_IDLE)
		return close_with(c, HTTP_END_IDLE);
	c->count.timeouts++;
	switch (c->state) {
	case HTTP_CONN_HEAD:
	case HTTP_CONN_BODY: return error(c, 408, now);
	case HTTP_CONN_HANDLING: return error(c, 503, now);
	case HTTP_CONN_LINGER:
		return close_with(c, c->responding_error ? HTTP_END_ERROR : HTTP_END_SERVER);
	case HTTP_CONN_RESPONDING:
		return close_with(c, c->sent ? HTTP_END_IN_BODY : HTTP_END_IN_RESPONSE);
	case HTTP_CONN_IDLE:
	case HTTP_CONN_CLOSED: break;
	}
	return HTTP_EVENT_CLOSE;
}

void http_conn_pause(struct http_conn *c, uint64_t now)
{
	if (!c->paused && c->body_open) {
		c->paused = true;
		c->paused_at = now;
	}
}

void http_conn_resume(struct http_conn *c, uint64_t now)
{
	if (c->paused) {
		c->paused = false;
		c->body_since = later(c->body_since, now - c->paused_at);
	}
}

/* --- Where the head lies ---------------------------------------------------------------------- */

bool http_conn_needs_buffer(const struct http_conn *c)
{
	return c->state == HTTP_CONN_HEAD && !c->buffer && c->head_partial;
}

void http_conn_give_buffer(struct http_conn *c, uint8_t *buf, uint32_t cap)
{
	ASSERT(!c->buffer && cap >= c->limits->head_bytes_max);
	c->buffer = buf;
	c->buffer_cap = cap;
	c->buffer_len = 0;
}

uint8_t *http_conn_take_buffer(struct http_conn *c)
{
	uint8_t *buf = c->buffer;
	/* Answered, and only the body's rest is still being discarded. */
	bool answered = c->state == HTTP_CONN_RESPONDING && c->sent;
	if (c->state != HTTP_CONN_IDLE && c->state != HTTP_CONN_LINGER
		&& c->state != HTTP_CONN_CLOSED && !answered)
		return NULL;
	c->buffer = NULL;
	return buf;
}

bool http_conn_move_head(struct http_conn *c, uint8_t *buf, uint32_t cap)
{
	if (!c->head || c->buffer)
		return false;
	ASSERT(cap >= c->parser.head_len);
	c->buffer = buf;
	c->buffer_cap = cap;
	memcpy(buf, c->head, c->parser.head_len);
	http_request_rebase(&c->request, c->head, c->parser.head_len, buf);
	c->count.copied_bytes += c->parser.head_len;
	c->head = buf;
	c->buffer_len = c->parser.head_len;
	return true;
}

/* --- The request's body ----------------------------------------------------------------------- */

void http_conn_body_limit(struct http_conn *c, uint64_t bytes_max)
{
	if (c->body_open && c->body.received == 0)
		http_body_init(&c->body, &c->request, bytes_max);
}

bool http_conn_wants_continue(const struct http_conn *c)
{
	return c->state == HTTP_CONN_BODY && c->request.expect_continue && !c->continue_sent
		&& c->body.received == 0 && !c->body.status;
}

void http_conn_continue_sent(struct http_conn *c, uint64_t now)
{
	c->continue_sent = true;
	c->body_since = now;
}

/* --- The response ----------------------------------------------------------------------------- */

/* Whether what is left of the body is worth reading for the sake of the connection. */
static bool rest_is_small(const struct http_conn *c)
{
	if (c->request.expect_continue && !c->continue_sent)
		return false; /* RFC 9110 section 10.1.1: it may come or not */
	if (c->body.status)
		return false;
	return c->request.framing == HTTP_BODY_CHUNKED
		|| c->request.content_length - c->body.received <= c->limits->discard_bytes_max;
}

bool http_conn_respond(struct http_conn *c, uint64_t now)
{
	const struct http_limits *l = c->limits;
	c->keep = !c->responding_error && c->request.keep_alive && !c->shutting_down
		&& !c->peer_closed
		&& (!l->requests_max || c->count.requests < l->requests_max);
	if (c->body_open && c->keep)
		c->keep = rest_is_small(c);
	if (!c->keep)
		c->body_open = false;
	http_conn_resume(c, now);
	enter(c, HTTP_CONN_RESPONDING, now);
	return c->keep;
}

void http_conn_progress(struct http_conn *c, uint64_t now)
{
	if (c->state == HTTP_CONN_RESPONDING)
		c->since = now;
}

void http_conn_hold(struct http_conn *c)
{
	http_conn_progress(c, HTTP_TIME_NEVER); /* `later` than that is never */
}

enum http_event http_conn_response_sent(struct http_conn *c, uint64_t now)
{
	if (c->state != HTTP_CONN_RESPONDING)
		return c->state == HTTP_CONN_CLOSED ? HTTP_EVENT_CLOSE : HTTP_EVENT_NEED_MORE;
	c->count.responses++;
	c->sent = true;
	if (!c->body_open)
		return response_over(c, now);
	c->body_since = later(now, 0);
	return HTTP_EVENT_NEED_MORE;
}

enum http_event http_conn_shutdown(struct http_conn *c, uint64_t now)
{
	(void)now;
	c->shutting_down = true;
	if (c->state == HTTP_CONN_IDLE)
		return close_with(c, HTTP_END_SERVER);
	return c->state == HTTP_CONN_CLOSED ? HTTP_EVENT_CLOSE : HTTP_EVENT_NEED_MORE;
}

void http_conn_abort(struct http_conn *c)
{
	switch (c->state) {
	case HTTP_CONN_IDLE: (void)close_with(c, HTTP_END_CLEAN); break;
	case HTTP_CONN_HEAD: (void)close_with(c, HTTP_END_IN_HEAD); break;
	case HTTP_CONN_BODY: (void)close_with(c, HTTP_END_IN_BODY); break;
	case HTTP_CONN_HANDLING:
	case HTTP_CONN_RESPONDING: (void)close_with(c, HTTP_END_IN_RESPONSE); break;
	case HTTP_CONN_LINGER:
	case HTTP_CONN_CLOSED: (void)close_with(c, HTTP_END_SERVER); break;
	}
}
