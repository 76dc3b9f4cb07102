/* What a request needs while it is at work: received bytes go to the HTTP machine, its events come here.
 *
 *   free --taken--> READING --request complete--> HANDLING (handler.c) --finish--> HOLDING (for its generation)
 *    ^               ^   \--asset or error: no fiber--\        |                      |
 *    |               |                                v       v                      v
 *    +---- nothing --+------- keep-alive ---------- RESPONDING (sends on their way) <-+
 *    |    to read                                     | close
 *    |                                                v
 *    +-- all let go of it --- abandoned <---------- LINGERING --peer closed or deadline
 *                                ^
 *                                +-- the TCP connection ends, in any state
 *
 * `in_use` covers HANDLING and HOLDING, `responding` RESPONDING. An exchange may outlive its connection: then
 * tcp is NULL, and it is free when no handler runs and no frame at the device refers to its bytes any more,
 * whichever comes last (exchange_settle).
 *
 * A free one is as a new one: in particular its HTTP machine is idle, and its memory is reset. So one that is
 * taken is not initialised, but the first time that its memory is used at all. Its timer may still be armed,
 * and then fires in vain. */
#include "server.h"

#include <string.h>
#include <base/assert.h>
#include <http/conditional.h>

#define PROGRESS_BYTES (16u << 10) /* of a response, within the time that HTTP allows for progress */
#define SLOW_NS UINT64_C(500000000) /* without progress: may be shed when others need what it has */

static uint64_t now_of(const struct exchange *x)
{
	return x->server->config.loop->now_ns;
}

/* --- Life ------------------------------------------------------------------------------------- */

static void deadline_passed(struct timer *t);
static void progress_look(struct exchange *x);

/* The first use of its memory. */
static void exchange_prepare(struct server *s, struct exchange *x)
{
	memset(x, 0, offsetof(struct exchange, memory));
	x->server = s;
	list_init(&x->link);
	arena_init(&x->arena, x->memory, sizeof x->memory, &s->blocks, REQUEST_BLOCKS_MAX);
	http_conn_init(&x->http, &s->limits, &x->arena, now_of(x));
	timer_init(&x->deadline, deadline_passed);
}

bool exchange_take(struct connection *c)
{
	struct server *s = c->server;
	uint32_t touched = s->exchanges.touched;
	struct exchange *x = pool_get(&s->exchanges);
	if (!x)
		return false;
	if (UNLIKELY(s->exchanges.touched != touched))
		exchange_prepare(s, x);
	x->connection = c;
	x->tcp = c->tcp;
	c->exchange = x;
	x->http.count.requests = c->requests;
	http_conn_head_began(&x->http, c->since_ns);
	if (UNLIKELY(s->draining))
		exchange_shutdown(x);
	return true;
}

/* After the last response; what it took is given back. */
static void exchange_give(struct exchange *x)
{
	struct connection *c = x->connection;
	c->requests = (uint32_t)x->http.count.requests;
	c->exchange = NULL;
	x->connection = NULL;
	x->tcp = NULL;
	pool_put(&x->server->exchanges, x);
	connection_rest(c);
}

void exchange_memory_reset(struct exchange *x)
{
	if (x->body_capacity == SERVER_BODY_MAX)
		pool_put(&x->server->bodies, x->body);
	x->body = NULL;
	x->body_len = x->body_capacity = 0;
	x->http.limits = &x->server->limits; /* its route's lay there */
	arena_reset(&x->arena);
}

/* The request is over. */
static void request_end(struct exchange *x)
{
	if (x->head_buffer && http_conn_take_buffer(&x->http))
		x->head_buffer = NULL;
	x->head_known = false;
	x->server->in_flight -= x->in_flight;
	x->in_flight = false;
	exchange_memory_reset(x);
}

void exchange_settle(struct exchange *x)
{
	struct server *s = x->server;
	if (x->tcp || x->in_use || x->sends_left || x->continue_busy)
		return;
	request_end(x);
	http_conn_init(&x->http, &s->limits, &x->arena, now_of(x));
	x->sends = NULL;
	x->held = 0;
	x->responding = x->peer_closed_told = false;
	pool_put(&s->exchanges, x);
}

void exchange_abandon(struct exchange *x)
{
	bool waited = x->waiting;
	http_conn_abort(&x->http);
	if (waited)
		handler_forget(x);
	x->connection = NULL;
	x->tcp = NULL;
	if (waited)
		exchange_answered(x, STATUS_CLIENT_GONE);
	if (x->stream)
		(void)x->stream->kind->event(x);
	exchange_settle(x);
}

void exchange_deadline_arm(struct exchange *x)
{
	uint64_t at = http_conn_deadline(&x->http);
	if (at == HTTP_TIME_NEVER || (x->deadline.armed && x->deadline.at_ns <= at))
		return; /* an early firing is harmless, and cheaper than moving the timer each time */
	timer_arm(&x->server->config.loop->timers, &x->deadline, at);
}

/* --- When there is not enough for all -------------------------------------------------------- */

/* Room for new work is made at the cost of those who have not got on for longest: a client that dribbles
 * its request or does not read its answers must not shut out the others. NULL: nobody is slow. */
static struct exchange *slowest(struct server *s, bool with_blocks)
{
	uint64_t now = s->config.loop->now_ns;
	struct exchange *found = NULL;
	for (uint32_t i = 0; i < s->exchanges.touched; i++) {
		struct exchange *x = pool_at(&s->exchanges, i);
		if (!x->tcp || x->in_use || (with_blocks && !x->arena.block_count))
			continue;
		progress_look(x);
		if (x->http.since + SLOW_NS <= now && (!found || x->http.since < found->http.since))
			found = x;
	}
	return found;
}

/* Looking costs a step for each exchange, so when there was nobody to end, the next look has to wait. */
bool exchange_shed(struct server *s, bool with_blocks)
{
	uint64_t now = s->config.loop->now_ns;
	if (now < s->next_look_ns[with_blocks])
		return false;
	struct exchange *x = slowest(s, with_blocks);
	if (!x) {
		s->next_look_ns[with_blocks] = now + SLOW_NS / 10;
		return false;
	}
	s->stats.shed++;
	connection_end(x->connection);
	return true;
}

COLD void blocks_make_room(struct server *s)
{
	while (blocks_are_short(s) && exchange_shed(s, true))
		;
}

/* --- Responding ------------------------------------------------------------------------------- */

static void send_done(struct tcp_send *send, bool delivered)
{
	struct exchange *x = send->cookie;
	(void)delivered;
	x->sends_left--;
	exchange_settle(x);
}

/* Hands the response to TCP. The sends are the head and, for a page, one for each of its chunks. */
static void sends_queue(struct exchange *x)
{
	for (struct tcp_send *s = x->sends; s;) {
		struct tcp_send *next = s->next;
		s->done = send_done;
		s->cookie = x;
		x->sends_left++;
		if (failed(tcp_send(x->tcp, s)))
			x->sends_left--;
		s = next;
	}
}

/* A response is one send, or few, which end all at once: how it gets on shows in what is unsent. Less
 * than PROGRESS_BYTES do not count, so that nobody holds memory by reading a byte now and then. */
static void progress_look(struct exchange *x)
{
	if (!x->tcp || !x->responding)
		return;
	size_t unsent = tcp_unsent(x->tcp);
	if (unsent + PROGRESS_BYTES > x->unsent)
		return;
	http_conn_progress(&x->http, now_of(x));
	x->unsent = unsent;
}

void exchange_input_release(struct exchange *x)
{
	if (x->held)
		tcp_consume(x->tcp, x->held);
	x->held = 0;
}

uint64_t exchange_duration_ns(const struct exchange *x)
{
	struct platform *p = x->server->config.loop->platform;
	uint64_t now = p->now_ns(p); /* the loop's is that of its round, in which a short request begins and ends */
	return now > x->http.head_since ? now - x->http.head_since : 0;
}

void exchange_respond(struct exchange *x)
{
	struct server_stats *stats = &x->server->stats;
	bool keep = http_conn_respond(&x->http, now_of(x));
	if (!reply_build(&x->request, keep)) {
		exchange_answered(x, 503);
		connection_end(x->connection);
		return;
	}
	x->responding = true;
	loop_trace(x->server->config.loop, "response: connection, status",
		connection_number(x->server, x->connection), x->request.status);
	stats->responses++;
	if (UNLIKELY(x->request.status >= 500)) {
		stats->errors++;
		stats->shed += x->request.status == 503;
	}
	stats->bytes_copied += x->request.bytes_copied;
	sends_queue(x);
	x->unsent = tcp_unsent(x->tcp);
	exchange_answered(x, x->request.status);
	exchange_input_release(x);
	if (!keep)
		tcp_close(x->tcp);
	exchange_deadline_arm(x);
}

void exchange_respond_error(struct exchange *x, uint16_t status)
{
	request_fail(&x->request, status);
	exchange_respond(x);
}

/* --- Reading ---------------------------------------------------------------------------------- */

static void continue_done(struct tcp_send *send, bool delivered)
{
	struct exchange *x = send->cookie;
	(void)delivered;
	x->continue_busy = false;
	exchange_settle(x);
}

void exchange_continue(struct exchange *x)
{
	static const struct slice line = SLICE_INIT("HTTP/1.1 100 Continue\r\n\r\n");
	if (!http_conn_wants_continue(&x->http) || x->continue_busy)
		return;
	x->send_continue = (struct tcp_send){
		.segments = &line, .count = 1, .done = continue_done, .cookie = x};
	x->continue_busy = !failed(tcp_send(x->tcp, &x->send_continue));
	http_conn_continue_sent(&x->http, now_of(x));
}

/* Makes room for `more` bytes of the body. */
static bool body_reserve(struct exchange *x, size_t more)
{
	const struct http_request *http = &x->http.request;
	size_t need = x->body_len + more;
	if (need <= x->body_capacity)
		return true;
	if (http->framing == HTTP_BODY_LENGTH && http->content_length > need)
		need = http->content_length;
	bool small = need <= SERVER_BLOCK_SIZE - 64 && !x->body;
	size_t capacity = small ? (need < 2048 ? 2048 : need) : SERVER_BODY_MAX;
	uint8_t *at = small ? arena_alloc(&x->arena, capacity) : pool_get(&x->server->bodies);
	if (!at)
		return false;
	if (x->body_len)
		memcpy(at, x->body, x->body_len);
	x->body = at;
	x->body_capacity = capacity;
	return true;
}

static bool body_take(struct exchange *x, struct slice piece)
{
	if (!body_reserve(x, piece.len))
		return false;
	memcpy(x->body + x->body_len, piece.ptr, piece.len);
	x->body_len += piece.len;
	return true;
}

/* Carries out one event of the HTTP machine. False: there is nothing more to read for now. */
static bool event_take(struct exchange *x, enum http_event event)
{
	switch (event) {
	case HTTP_EVENT_REQUEST:
		if (request_route(x))
			exchange_continue(x);
		return !x->responding && !x->in_use;
	case HTTP_EVENT_BODY:
		if (!x->responding && !body_take(x, x->http.piece))
			exchange_respond_error(x, 503);
		return true;
	case HTTP_EVENT_REQUEST_END:
		if (x->responding)
			return true;
		x->request.body = slice_of(x->body, x->body_len);
		handler_begin(x);
		return false;
	case HTTP_EVENT_ERROR:
		if (x->waiting)
			handler_forget(x); /* its handler has not begun: it can be told */
		if (x->stream && x->stream->kind->event(x))
			return false;
		if (x->in_use || x->responding) {
			connection_end(x->connection);
			return false;
		}
		request_init(&x->request, x);
		exchange_respond_error(x, x->http.status);
		return true;
	case HTTP_EVENT_LINGER:
		tcp_close(x->tcp);
		return true;
	case HTTP_EVENT_CLOSE:
		if (x->http.end == HTTP_END_CLEAN || x->http.end == HTTP_END_SERVER
			|| x->http.end == HTTP_END_ERROR || x->http.end == HTTP_END_IDLE)
			connection_close(x->connection);
		else
			connection_end(x->connection);
		return false;
	case HTTP_EVENT_NEED_MORE:
	case HTTP_EVENT_WAIT:
		return false;
	}
	UNREACHABLE();
}

/* A head that does not lie in one piece is gathered in a buffer. */
static bool head_gather(struct exchange *x)
{
	if (x->head_buffer || !http_conn_needs_buffer(&x->http))
		return false;
	blocks_reserve(x->server);
	x->head_buffer = arena_alloc(&x->arena, HEAD_BYTES_MAX);
	if (!x->head_buffer) {
		connection_refuse(x->connection);
		return false;
	}
	http_conn_give_buffer(&x->http, x->head_buffer, HEAD_BYTES_MAX);
	return true;
}

static bool peer_close_tell(struct exchange *x)
{
	if (!x->tcp || !x->connection->peer_closed || x->peer_closed_told)
		return false;
	x->peer_closed_told = true;
	return event_take(x, http_conn_peer_closed(&x->http, now_of(x)));
}

void exchange_read(struct exchange *x)
{
	while (x->tcp && !x->in_use) {
		struct slice bytes = {NULL, 0};
		size_t used = 0;
		if (!tcp_peek_at(x->tcp, x->held, &bytes))
			bytes = (struct slice){NULL, 0};
		enum http_event event = http_conn_input(&x->http, bytes, now_of(x), &used);
		x->held += used;
		bool more = event_take(x, event);
		if (!x->tcp)
			return;
		if (!x->in_use)
			exchange_input_release(x);
		if (more || (event == HTTP_EVENT_NEED_MORE && (used || head_gather(x))))
			continue;
		/* Only when all that came before the peer's close has been taken. */
		if (event != HTTP_EVENT_NEED_MORE || !peer_close_tell(x))
			break;
	}
	if (!x->tcp)
		return;
	if (x->http.state == HTTP_CONN_IDLE)
		exchange_give(x);
	else if (!x->responding) /* else exchange_respond did */
		exchange_deadline_arm(x);
}

/* The response has left: on to the next request. Others that wait come first, so that all have their turn. */
static void response_finish(struct exchange *x)
{
	x->responding = false;
	x->sends = NULL;
	enum http_event event = http_conn_response_sent(&x->http, now_of(x));
	request_end(x);
	if (UNLIKELY(event != HTTP_EVENT_NEED_MORE))
		event_take(x, event);
	if (x->tcp && x->http.state == HTTP_CONN_IDLE && !list_is_empty(&x->server->queued))
		exchange_give(x);
}

void exchange_event(struct exchange *x, uint32_t events)
{
	if (events & TCP_SENT && x->responding) {
		if (x->sends_left == 0)
			response_finish(x);
		else
			progress_look(x);
	}
	if (x->tcp && !x->in_use)
		exchange_read(x);
	else if (x->stream)
		(void)x->stream->kind->event(x);
}

static void deadline_passed(struct timer *t)
{
	struct exchange *x = CONTAINER_OF(t, struct exchange, deadline);
	if (!x->tcp)
		return;
	progress_look(x);
	if (http_conn_deadline(&x->http) <= now_of(x))
		event_take(x, http_conn_timeout(&x->http, now_of(x)));
	if (x->tcp)
		exchange_deadline_arm(x);
}

void exchange_shutdown(struct exchange *x)
{
	if (x->tcp)
		event_take(x, http_conn_shutdown(&x->http, now_of(x)));
	if (x->stream)
		(void)x->stream->kind->event(x);
}
