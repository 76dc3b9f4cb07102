/* One connection: received bytes go to the HTTP machine, its events come here.
 *
 *   READING --request complete--> HANDLING (on a fiber) --finish--> HOLDING (for its generation)
 *      ^  \--asset or error: no fiber--\        |                      |
 *      |                                v       v                      v
 *      +------- keep-alive ---------- RESPONDING (sends on their way) <-+
 *                                       | close
 *                                       v
 *                                    LINGERING --peer closed or deadline--> gone
 *
 * `in_use` covers HANDLING and HOLDING, `responding` RESPONDING. A connection's memory is given back
 * when TCP has let go of it, nothing is in use, and no frame at the device refers to its bytes any
 * more; whichever comes last frees it (connection_settle).
 *
 * Received bytes that the request's slices view are kept in the device's buffer while an asset is
 * looked up; a request that gets a fiber has its head copied, so that a slow handler holds no
 * buffer of the device. */
#include "server.h"

#include <string.h>
#include <base/assert.h>
#include <http/conditional.h>

#define PROGRESS_BYTES (16u << 10) /* of a response, within the time that HTTP allows for progress */
#define SLOW_NS UINT64_C(500000000) /* without progress: may be shed when memory is short */
#define BLOCKS_PER_PAGE 4 /* what most need, or less */

static uint64_t now_of(const struct connection *c)
{
	return c->server->config.loop->now_ns;
}

/* --- Life ------------------------------------------------------------------------------------- */

static void connection_deadline(struct timer *t);
static void connection_end(struct connection *c);
static void progress_look(struct connection *c);

/* Room for new work is made at the cost of those who have not got on for longest: a client that dribbles
 * its request or does not read its answers must not shut out the others. Idle connections hold no
 * blocks, and go only when there is no room for a new connection. NULL: nobody is slow. */
static struct connection *connection_slowest(struct server *s, bool with_blocks)
{
	uint64_t now = s->config.loop->now_ns;
	struct connection *slowest = NULL;
	LIST_FOR_EACH(e, &s->open) {
		struct connection *c = LIST_ENTRY(e, struct connection, open_link);
		progress_look(c);
		if (c->gone || c->in_use || c->http.since + SLOW_NS > now || (with_blocks && !c->arena.block_count))
			continue;
		if (!slowest || c->http.since < slowest->http.since)
			slowest = c;
	}
	return slowest;
}

static bool connection_shed(struct server *s, bool with_blocks)
{
	struct connection *c = connection_slowest(s, with_blocks);
	if (!c)
		return false;
	s->stats.shed++;
	connection_end(c);
	return true;
}

/* Before a request is begun: what it needs should be there. */
static void blocks_reserve(struct server *s)
{
	uint32_t most = s->blocks.capacity - s->blocks.capacity / 4;
	while (s->blocks.used >= most && connection_shed(s, true))
		;
}

/* One connection is kept free, since the engine refuses the next client before it is seen here. Looking
 * costs a step for each connection, so when there was nobody to end, the next look has to wait. */
void connections_make_room(struct server *s)
{
	uint64_t now = s->config.loop->now_ns;
	if (s->connections.used < s->connections.capacity || now < s->next_look_ns)
		return;
	if (!connection_shed(s, false))
		s->next_look_ns = now + SLOW_NS / 10;
}

void connection_open(struct server *s, struct tcp_conn *tcp)
{
	struct connection *c = s->draining ? NULL : pool_get(&s->connections);
	if (!c)
		return; /* without a cookie: the caller releases it */
	memset(c, 0, offsetof(struct connection, memory));
	c->server = s;
	c->tcp = tcp;
	list_init(&c->link);
	list_push_back(&s->open, &c->open_link);
	arena_init(&c->arena, c->memory, sizeof c->memory, &s->blocks, REQUEST_BLOCKS_MAX);
	http_conn_init(&c->http, &s->limits, &c->arena, now_of(c));
	timer_init(&c->deadline, connection_deadline);
	tcp_set_cookie(tcp, c);
	s->stats.connections++;
}

void connection_memory_reset(struct connection *c)
{
	if (c->body_capacity == SERVER_BODY_MAX)
		pool_put(&c->server->bodies, c->body);
	c->body = NULL;
	c->body_len = c->body_capacity = 0;
	arena_reset(&c->arena);
}

/* The request is over. */
static void request_end(struct connection *c)
{
	if (c->head_buffer && http_conn_take_buffer(&c->http))
		c->head_buffer = NULL;
	c->head_known = false;
	c->server->in_flight -= c->in_flight;
	c->in_flight = false;
	connection_memory_reset(c);
}

/* Frees the connection once nothing refers to it. */
static void connection_settle(struct connection *c)
{
	struct server *s = c->server;
	if (!c->gone || c->in_use || c->sends_left || c->continue_busy)
		return;
	request_end(c);
	timer_cancel(&s->config.loop->timers, &c->deadline);
	list_remove(&c->open_link);
	list_remove(&c->link);
	pool_put(&s->connections, c);
}

static void waiting_leave(struct connection *c)
{
	c->waiting = c->in_use = false;
	list_remove(&c->link);
	c->server->stats.requests_waiting--;
}

/* The TCP connection is over, or is ended here without ceremony. */
static void connection_end(struct connection *c)
{
	if (c->gone)
		return;
	http_conn_abort(&c->http);
	c->gone = true;
	if (c->waiting)
		waiting_leave(c);
	struct tcp_conn *tcp = c->tcp;
	c->tcp = NULL;
	c->sends_left++; /* keeps c alive while unfinished sends are done */
	tcp_release(tcp);
	c->sends_left--;
	connection_settle(c);
}

static void deadline_arm(struct connection *c)
{
	uint64_t at = http_conn_deadline(&c->http);
	if (at == HTTP_TIME_NEVER || (c->deadline.armed && c->deadline.at_ns <= at))
		return; /* an early firing is harmless, and cheaper than moving the timer each time */
	timer_arm(&c->server->config.loop->timers, &c->deadline, at);
}

/* --- Responding ------------------------------------------------------------------------------- */

static void send_done(struct tcp_send *send, bool delivered)
{
	struct connection *c = send->cookie;
	(void)delivered;
	c->sends_left--;
	connection_settle(c);
}

/* Hands the response to TCP. The sends are the head and, for a page, one for each of its chunks. */
static void sends_queue(struct connection *c)
{
	for (struct tcp_send *s = c->sends; s;) {
		struct tcp_send *next = s->next;
		s->done = send_done;
		s->cookie = c;
		c->sends_left++;
		if (failed(tcp_send(c->tcp, s)))
			c->sends_left--;
		s = next;
	}
}

/* A response is one send, or few, which end all at once: how it gets on shows in what is unsent. Less
 * than PROGRESS_BYTES do not count, so that nobody holds memory by reading a byte now and then. */
static void progress_look(struct connection *c)
{
	if (c->gone || !c->responding)
		return;
	size_t unsent = tcp_unsent(c->tcp);
	if (unsent + PROGRESS_BYTES > c->unsent)
		return;
	http_conn_progress(&c->http, now_of(c));
	c->unsent = unsent;
}

/* Gives the device its buffers back. */
static void input_release(struct connection *c)
{
	if (c->held)
		tcp_consume(c->tcp, c->held);
	c->held = 0;
}

static void connection_respond(struct connection *c)
{
	struct server_stats *stats = &c->server->stats;
	bool keep = http_conn_respond(&c->http, now_of(c));
	if (!reply_build(&c->request, keep)) {
		connection_end(c);
		return;
	}
	c->responding = true;
	loop_trace(c->server->config.loop, "response: connection, status",
		pool_index(&c->server->connections, c), c->request.status);
	stats->responses++;
	stats->errors += c->request.status >= 500;
	stats->shed += c->request.status == 503;
	stats->bytes_copied += c->request.bytes_copied;
	sends_queue(c);
	c->unsent = tcp_unsent(c->tcp);
	input_release(c);
	if (!keep)
		tcp_close(c->tcp);
	deadline_arm(c);
}

static void respond_error(struct connection *c, uint16_t status)
{
	request_fail(&c->request, status);
	connection_respond(c);
}

/* --- Handling --------------------------------------------------------------------------------- */

static void handling_ended(struct connection *c)
{
	c->in_use = false;
	c->server->handlers--;
	if (c->gone)
		connection_settle(c);
	else
		connection_respond(c);
}

void request_release(struct request *req, bool ok)
{
	if (!ok)
		request_fail(req, 500);
	handling_ended(req->connection);
}

static void handler_run(void *argument)
{
	struct connection *c = argument;
	struct request *req = &c->request;
	struct server *s = c->server;
	s->config.manifest->routes[req->match.index].handler(req);
	if (req->reply == REPLY_NONE) {
		log_write(s->config.log, LOG_ERROR, "app", "the handler of %.*s gave no answer",
			SLICE_ARG(s->routes[req->match.index].pattern));
		request_fail(req, 500);
	}
	if (!req->finish || !req->finish(req))
		handling_ended(c);
}

/* A page takes a few blocks of memory, and it is better to wait for them than to be refused half-way.
 * With nothing in flight there is nothing to wait for. */
static bool blocks_suffice(const struct server *s)
{
	uint32_t left = s->blocks.capacity - s->blocks.used;
	return s->in_flight == 0 || left >= (s->handlers + 1) * BLOCKS_PER_PAGE;
}

static bool handler_start(struct connection *c)
{
	struct server *s = c->server;
	if (!blocks_suffice(s) || failed(fiber_spawn(s->config.loop, handler_run, c)))
		return false;
	c->in_flight = true;
	s->in_flight++;
	s->handlers++;
	return true;
}

/* Starts the handler, or lets the request wait. */
static void connection_handle(struct connection *c)
{
	struct server *s = c->server;
	c->in_use = true;
	if (!list_is_empty(&s->waiting) || !handler_start(c)) {
		c->waiting = true;
		s->stats.requests_waiting++;
		list_push_back(&s->waiting, &c->link);
	}
}

void connections_start_waiting(struct server *s)
{
	if (list_is_empty(&s->waiting))
		return;
	blocks_reserve(s);
	while (!list_is_empty(&s->waiting)) {
		struct connection *c = LIST_ENTRY(s->waiting.next, struct connection, link);
		if (!handler_start(c))
			return;
		c->waiting = false;
		list_remove(&c->link);
		s->stats.requests_waiting--;
	}
}

/* The route's parameters are parts of the path: they move with it. */
static void params_rebase(struct http_match *match, const uint8_t *from, const uint8_t *to)
{
	for (uint32_t i = 0; i < match->param_count; i++)
		match->param[i].value.ptr = to + (match->param[i].value.ptr - from);
}

/* Copies the head out of the device's buffer, so that this can go back while the request goes on. */
static bool head_keep(struct connection *c)
{
	if (!c->head_buffer) {
		const uint8_t *path = c->http.request.path.ptr;
		uint32_t len = c->http.parser.head_len;
		uint8_t *copy = arena_alloc(&c->arena, len);
		if (!copy)
			return false;
		if (http_conn_move_head(&c->http, copy, len))
			c->head_buffer = copy;
		params_rebase(&c->request.match, path, c->http.request.path.ptr);
	}
	input_release(c);
	return true;
}

static void respond_no_route(struct connection *c, enum http_route_result found)
{
	struct request *req = &c->request;
	if (found == HTTP_ROUTE_NOT_FOUND && asset_directory_reply(req)) {
		connection_respond(c);
		return;
	}
	if (found != HTTP_ROUTE_NOT_FOUND)
		reply_header(req, "Allow", http_allow_list(req->match.allow, &c->arena));
	if (found == HTTP_ROUTE_OPTIONS)
		reply_bytes(req, 204, NULL, SLICE(""));
	else
		reply_error(req, found == HTTP_ROUTE_METHOD ? 405 : 404, NULL);
	connection_respond(c);
}

static const struct page_asset *asset_find(const struct connection *c)
{
	const struct page_asset_table *assets = c->server->config.manifest->assets;
	return assets ? page_asset_find(assets, c->http.request.path) : NULL;
}

/* What answers this request, once its head is there. True when the answer is on its way; false when a
 * handler will run, after the body. */
static bool request_route(struct connection *c)
{
	struct server *s = c->server;
	struct request *req = &c->request;
	const struct http_request *http = &c->http.request;
	const struct page_asset *asset = asset_find(c);
	s->stats.requests++;
	c->head_known = true;
	loop_trace(s->config.loop, "request: connection, method", pool_index(&s->connections, c),
		http->method);
	blocks_reserve(s);
	request_init(req, c);
	if (asset && (http->method == HTTP_GET || http->method == HTTP_HEAD)) {
		asset_reply(req, asset);
		connection_respond(c);
		return true;
	}
	enum http_route_result found = http_route_find(
		s->routes, s->route_count, http->method, http->path, &req->match);
	if (asset && found == HTTP_ROUTE_NOT_FOUND) {
		found = http->method == HTTP_OPTIONS ? HTTP_ROUTE_OPTIONS : HTTP_ROUTE_METHOD;
		req->match.allow = 1u << HTTP_GET | 1u << HTTP_HEAD | 1u << HTTP_OPTIONS;
	}
	if (found != HTTP_ROUTE_FOUND) {
		respond_no_route(c, found);
		return true;
	}
	if (!head_keep(c)) {
		respond_error(c, 503);
		return true;
	}
	return false;
}

/* --- Reading ---------------------------------------------------------------------------------- */

static void continue_done(struct tcp_send *send, bool delivered)
{
	struct connection *c = send->cookie;
	(void)delivered;
	c->continue_busy = false;
	connection_settle(c);
}

static void continue_send(struct connection *c)
{
	static const struct slice line = SLICE_INIT("HTTP/1.1 100 Continue\r\n\r\n");
	if (!http_conn_wants_continue(&c->http) || c->continue_busy)
		return;
	c->send_continue = (struct tcp_send){
		.segments = &line, .count = 1, .done = continue_done, .cookie = c};
	c->continue_busy = !failed(tcp_send(c->tcp, &c->send_continue));
	http_conn_continue_sent(&c->http, now_of(c));
}

/* Makes room for `more` bytes of the body. */
static bool body_reserve(struct connection *c, size_t more)
{
	const struct http_request *http = &c->http.request;
	size_t need = c->body_len + more;
	if (need <= c->body_capacity)
		return true;
	if (http->framing == HTTP_BODY_LENGTH && http->content_length > need)
		need = http->content_length;
	bool small = need <= SERVER_BLOCK_SIZE - 64 && !c->body;
	size_t capacity = small ? (need < 2048 ? 2048 : need) : SERVER_BODY_MAX;
	uint8_t *at = small ? arena_alloc(&c->arena, capacity) : pool_get(&c->server->bodies);
	if (!at)
		return false;
	if (c->body_len)
		memcpy(at, c->body, c->body_len);
	c->body = at;
	c->body_capacity = capacity;
	return true;
}

static bool body_take(struct connection *c, struct slice piece)
{
	if (!body_reserve(c, piece.len))
		return false;
	memcpy(c->body + c->body_len, piece.ptr, piece.len);
	c->body_len += piece.len;
	return true;
}

static void connection_close(struct connection *c)
{
	/* What the peer still sends is of no interest; the engine ends the connection by itself. */
	c->closing = true;
	tcp_close(c->tcp);
	tcp_discard_input(c->tcp);
	c->held = 0;
}

/* Carries out one event of the HTTP machine. False: there is nothing more to read for now. */
static bool event_take(struct connection *c, enum http_event event)
{
	switch (event) {
	case HTTP_EVENT_REQUEST:
		if (!request_route(c) && c->http.request.framing == HTTP_BODY_NONE)
			connection_handle(c);
		else if (!c->responding && !c->gone)
			continue_send(c);
		return !c->responding && !c->in_use;
	case HTTP_EVENT_BODY:
		if (!c->responding && !body_take(c, c->http.piece))
			respond_error(c, 503);
		return true;
	case HTTP_EVENT_REQUEST_END:
		if (c->responding)
			return true;
		c->request.body = slice_of(c->body, c->body_len);
		connection_handle(c);
		return false;
	case HTTP_EVENT_ERROR:
		if (c->waiting)
			waiting_leave(c); /* its handler has not begun: it can be told */
		if (c->in_use || c->responding) {
			connection_end(c);
			return false;
		}
		request_init(&c->request, c);
		respond_error(c, c->http.status);
		return true;
	case HTTP_EVENT_LINGER:
		tcp_close(c->tcp);
		return true;
	case HTTP_EVENT_CLOSE:
		if (c->http.end == HTTP_END_CLEAN || c->http.end == HTTP_END_SERVER
			|| c->http.end == HTTP_END_ERROR || c->http.end == HTTP_END_IDLE)
			connection_close(c);
		else
			connection_end(c);
		return false;
	case HTTP_EVENT_NEED_MORE:
	case HTTP_EVENT_WAIT:
		return false;
	}
	UNREACHABLE();
}

/* A head that does not lie in one piece is gathered in a buffer. */
static bool head_gather(struct connection *c)
{
	if (c->head_buffer || !http_conn_needs_buffer(&c->http))
		return false;
	blocks_reserve(c->server);
	c->head_buffer = arena_alloc(&c->arena, HEAD_BYTES_MAX);
	if (!c->head_buffer) {
		c->server->stats.shed++;
		connection_end(c);
		return false;
	}
	http_conn_give_buffer(&c->http, c->head_buffer, HEAD_BYTES_MAX);
	return true;
}

static bool peer_close_tell(struct connection *c)
{
	if (!c->peer_closed || c->peer_closed_told)
		return false;
	c->peer_closed_told = true;
	return event_take(c, http_conn_peer_closed(&c->http, now_of(c)));
}

/* Presents input as long as the machine makes something of it. */
static void connection_read(struct connection *c)
{
	while (!c->gone && !c->closing && !c->in_use) {
		struct slice bytes = {NULL, 0};
		size_t used = 0;
		if (!tcp_peek_at(c->tcp, c->held, &bytes))
			bytes = (struct slice){NULL, 0};
		enum http_event event = http_conn_input(&c->http, bytes, now_of(c), &used);
		c->held += used;
		bool more = event_take(c, event);
		if (c->gone || c->closing)
			return;
		if (!c->in_use)
			input_release(c);
		if (more || (event == HTTP_EVENT_NEED_MORE && (used || head_gather(c))))
			continue;
		/* Only when all that came before the peer's close has been taken. */
		if (event != HTTP_EVENT_NEED_MORE || !peer_close_tell(c))
			break;
	}
	if (!c->gone && !c->closing)
		deadline_arm(c);
}

/* The response has left: on to the next request. */
static void response_finish(struct connection *c)
{
	c->responding = false;
	c->sends = NULL;
	enum http_event event = http_conn_response_sent(&c->http, now_of(c));
	request_end(c);
	event_take(c, event);
}

void connection_event(struct connection *c, uint32_t events)
{
	if (events & TCP_CLOSED) {
		connection_end(c);
		return;
	}
	if (events & TCP_PEER_CLOSED)
		c->peer_closed = true;
	if (events & TCP_SENT && c->responding) {
		if (c->sends_left == 0)
			response_finish(c);
		else
			progress_look(c);
	}
	if (!c->gone && !c->closing && !c->in_use)
		connection_read(c);
}

static void connection_deadline(struct timer *t)
{
	struct connection *c = CONTAINER_OF(t, struct connection, deadline);
	progress_look(c);
	uint64_t at = http_conn_deadline(&c->http);
	if (c->gone || c->closing)
		return;
	if (at <= now_of(c))
		event_take(c, http_conn_timeout(&c->http, now_of(c)));
	if (!c->gone && !c->closing)
		deadline_arm(c);
}

void connection_shutdown(struct connection *c)
{
	if (!c->gone && !c->closing)
		event_take(c, http_conn_shutdown(&c->http, now_of(c)));
}
