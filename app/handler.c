/* Routes and handlers: what a request is answered with.
 *
 *   routed --asset, or nothing fits--> answered at once, without a fiber
 *      | a handler, and the body is there
 *      v
 *   (waiting for a fiber, or for memory) --> its handler runs --> HOLDING, until its changes are durable
 *
 * Received bytes that the request's slices view are kept in the device's buffer while an asset is looked up; a
 * request that gets a fiber has its head copied, so that a slow handler holds no buffer of the device. */
#include "server.h"

#define BLOCKS_PER_PAGE 4 /* what most need, or less */

static void handling_ended(struct exchange *x)
{
	x->in_use = false;
	x->server->handlers--;
	if (x->stream)
		x->stream->kind->finish(x);
	else if (x->tcp)
		exchange_respond(x);
	else {
		exchange_answered(x, STATUS_CLIENT_GONE);
		exchange_settle(x);
	}
}

void request_release(struct request *req, bool ok)
{
	if (!ok)
		request_fail(req, 500);
	handling_ended(req->exchange);
}

static void handler_run(void *argument)
{
	struct exchange *x = argument;
	struct request *req = &x->request;
	struct server *s = x->server;
	s->config.manifest->routes[req->match.index].handler(req);
	if (req->reply == REPLY_NONE) {
		request_misuse(req, "the handler gave no answer: each way through it ends with a reply_ call");
	}
	if (!req->hold || !req->hold->finish(req))
		handling_ended(x);
}

/* A page takes a few blocks of memory, and it is better to wait for them than to be refused half-way.
 * With nothing in flight there is nothing to wait for. */
static bool blocks_suffice(const struct server *s)
{
	uint32_t left = s->blocks.capacity - s->blocks.used;
	return s->in_flight == 0 || left >= (s->handlers + 1) * BLOCKS_PER_PAGE;
}

static bool handler_start(struct exchange *x)
{
	struct server *s = x->server;
	if (!blocks_suffice(s) || failed(fiber_spawn(s->config.loop, handler_run, x)))
		return false;
	x->in_flight = true;
	s->in_flight++;
	s->handlers++;
	return true;
}

void handler_begin(struct exchange *x)
{
	struct server *s = x->server;
	x->in_use = true;
	if (!list_is_empty(&s->waiting) || !handler_start(x)) {
		x->waiting = true;
		s->stats.requests_waiting++;
		list_push_back(&s->waiting, &x->link);
	}
}

void handler_forget(struct exchange *x)
{
	x->waiting = x->in_use = false;
	list_remove(&x->link);
	x->server->stats.requests_waiting--;
}

void handlers_start_waiting(struct server *s)
{
	if (list_is_empty(&s->waiting))
		return;
	blocks_reserve(s);
	while (!list_is_empty(&s->waiting)) {
		struct exchange *x = LIST_ENTRY(s->waiting.next, struct exchange, link);
		if (!handler_start(x))
			return;
		x->waiting = false;
		list_remove(&x->link);
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
static bool head_keep(struct exchange *x)
{
	if (!x->head_buffer) {
		const uint8_t *path = x->http.request.path.ptr;
		uint32_t len = x->http.parser.head_len;
		uint8_t *copy = arena_alloc(&x->arena, len);
		if (!copy)
			return false;
		if (http_conn_move_head(&x->http, copy, len))
			x->head_buffer = copy;
		params_rebase(&x->request.match, path, x->http.request.path.ptr);
	}
	exchange_input_release(x);
	return true;
}

static void respond_no_route(struct exchange *x, enum http_route_result found)
{
	struct request *req = &x->request;
	if (found == HTTP_ROUTE_NOT_FOUND && asset_directory_reply(req)) {
		req->target = TARGET_FILE;
		exchange_respond(x);
		return;
	}
	if (found != HTTP_ROUTE_NOT_FOUND)
		reply_header(req, "Allow", http_allow_list(req->match.allow, &x->arena));
	if (found == HTTP_ROUTE_OPTIONS)
		reply_bytes(req, 204, NULL, SLICE(""));
	else
		reply_error(req, found == HTTP_ROUTE_METHOD ? 405 : 404, NULL);
	exchange_respond(x);
}

static const struct page_asset *asset_find(const struct exchange *x)
{
	const struct page_asset_table *assets = x->server->config.manifest->assets;
	return assets ? page_asset_find(assets, x->http.request.path) : NULL;
}

/* What a route's handler is to answer, or nobody. `is_asset`: there is a file, but not for this method. */
static NOINLINE bool route_take(struct exchange *x, bool is_asset)
{
	struct server *s = x->server;
	struct request *req = &x->request;
	const struct http_request *http = &x->http.request;
	enum http_route_result found = http_route_find(
		s->routes, s->route_count, http->method, http->path, &req->match);
	if (is_asset && found == HTTP_ROUTE_NOT_FOUND) {
		found = http->method == HTTP_OPTIONS ? HTTP_ROUTE_OPTIONS : HTTP_ROUTE_METHOD;
		req->match.allow = 1u << HTTP_GET | 1u << HTTP_HEAD | 1u << HTTP_OPTIONS;
	}
	if (found != HTTP_ROUTE_FOUND) {
		respond_no_route(x, found);
		return false;
	}
	const struct app_route *route = &s->config.manifest->routes[req->match.index];
	req->target = TARGET_ROUTE;
	if (route->service && route->service->answer) {
		route->service->answer(req);
		exchange_respond(x);
		return false;
	}
	if (!head_keep(x)) {
		exchange_respond_error(x, 503);
		return false;
	}
	if (route->limits && !route->limits->apply(s, req, route->limits)) {
		exchange_respond_error(x, 503);
		return false;
	}
	const struct app_body *body = route->body;
	if (http->framing != HTTP_BODY_NONE && !(body && body->begin(req, body->bytes_max)))
		return true;
	handler_begin(x);
	return false;
}

bool request_route(struct exchange *x)
{
	struct server *s = x->server;
	struct request *req = &x->request;
	const struct http_request *http = &x->http.request;
	const struct page_asset *asset = asset_find(x);
	s->stats.requests++;
	x->head_known = true;
	loop_trace(s->config.loop, "request: connection, method", connection_number(s, x->connection), http->method);
	blocks_reserve(s);
	request_init(req, x);
	if (!asset || (http->method != HTTP_GET && http->method != HTTP_HEAD))
		return route_take(x, asset != NULL);
	req->target = TARGET_FILE;
	asset_reply(req, asset);
	exchange_respond(x);
	return false;
}
