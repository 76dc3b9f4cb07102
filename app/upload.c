/* Bodies that the handler reads piece by piece, of any length.
 *
 *   routed --app_body_streamed--> PAUSED --request_read--> READING --enough, or the end--> PAUSED ... --> ended
 *                                                           |   ^ bytes came                  |
 *                                                           v   |                             \--> replies
 *                                                          PARKED --connection's end, deadline, bad framing--> failed
 *
 * 1. Nothing is read ahead: what the handler has not asked for stays with TCP, whose window closes. That is all the
 *    back-pressure there is, and a body takes no memory but the handler's own.
 * 2. "100 Continue" is sent when the handler reads for the first time; one that answers without reading saves the
 *    client the body.
 * 3. HTTP's deadline (1 KiB/s at least) counts while PARKED only: in a pause the client is not to blame.
 *    A handler that keeps something of the database (in a transaction) is cut off when nothing comes for half a second
 *    while others wait for that.
 * 4. A body that breaks off fails the request before its handler goes on, so that no commit comes after it.
 * 5. What the handler leaves of a body is discarded if it is little; else the connection closes after the answer. */
#include <app/ingot.h>

#include "stream.h"

#include <string.h>

struct upload {
	struct stream stream;
	struct fiber_queue news;
	bool ended;
};

static uint64_t now_of(const struct exchange *x)
{
	return x->server->config.loop->now_ns;
}

bool app_body_streamed(struct request *req, uint64_t bytes_max)
{
	struct exchange *x = req->exchange;
	http_conn_body_limit(&x->http, bytes_max);
	if (x->http.body.status)
		return false; /* it says itself that it is too long: refused without a handler */
	http_conn_pause(&x->http, now_of(x));
	req->body_left = true;
	return true;
}

bool app_body_limited(struct request *req, uint64_t bytes_max)
{
	if (bytes_max < SERVER_BODY_MAX)
		http_conn_body_limit(&req->exchange->http, bytes_max);
	return false;
}

static bool upload_event(struct exchange *x)
{
	struct upload *u = CONTAINER_OF(x->stream, struct upload, stream);
	fiber_queue_wake_all(&u->news);
	return u->stream.waits;
}

static void upload_finish(struct exchange *x)
{
	stream_leave(x);
	if (x->tcp)
		exchange_respond(x);
	else
		exchange_settle(x);
}

static const struct stream_kind upload_kind = {upload_event, upload_finish};

/* NULL: the request has failed. */
static struct upload *upload_of(struct request *req)
{
	struct exchange *x = req->exchange;
	if (x->stream && x->stream->kind == &upload_kind)
		return CONTAINER_OF(x->stream, struct upload, stream);
	if (x->stream) {
		request_misuse(req, "request_read after reply_begin: read the body first");
		return NULL;
	}
	struct upload *u = ARENA_NEW(&x->arena, struct upload);
	if (!u || !stream_join(x, &u->stream)) {
		request_fail(req, 503);
		return NULL;
	}
	u->stream.kind = &upload_kind;
	fiber_queue_init(&u->news);
	return u;
}

/* Until bytes come. A handler in a transaction keeps others waiting. */
static void park(struct request *req, struct upload *u)
{
	struct exchange *x = req->exchange;
	bool keeps = req->hold && req->hold->park(req);
	exchange_deadline_arm(x);
	stream_wait_begin(x, x->http.body.received);
	err e = fiber_queue_wait(x->server->config.loop, &u->news, keeps ? now_of(x) + STREAM_SLOW_NS : TIMER_NEVER);
	stream_wait_end(x);
	if (failed(e))
		stream_give_way(req);
}

/* The client will send no more: the request fails, and with it what the handler does after. */
static void break_off(struct request *req, uint16_t status)
{
	struct exchange *x = req->exchange;
	if (x->tcp && x->http.state == HTTP_CONN_CLOSED)
		connection_end(x->connection);
	request_fail(req, status);
}

/* One event of the HTTP machine; false: no more can be had without waiting, or at all. */
static bool take(struct request *req, struct upload *u, uint8_t *out, size_t len, size_t *got)
{
	struct exchange *x = req->exchange;
	struct slice bytes;
	size_t used;
	if (!tcp_peek(x->tcp, &bytes))
		bytes = (struct slice){NULL, 0};
	enum http_event event = http_conn_input(&x->http, slice_sub(bytes, 0, len), now_of(x), &used);
	if (event == HTTP_EVENT_BODY) {
		memcpy(out, x->http.piece.ptr, x->http.piece.len);
		*got = x->http.piece.len;
	}
	if (used)
		tcp_consume(x->tcp, used);
	if (event == HTTP_EVENT_NEED_MORE && !used && !tcp_readable(x->tcp) && x->connection->peer_closed)
		event = http_conn_peer_closed(&x->http, now_of(x));
	if (event == HTTP_EVENT_REQUEST_END)
		u->ended = true;
	if (event == HTTP_EVENT_ERROR || event == HTTP_EVENT_CLOSE)
		break_off(req, event == HTTP_EVENT_ERROR ? x->http.status : 400);
	return event == HTTP_EVENT_BODY || (event == HTTP_EVENT_NEED_MORE && used);
}

/* Of a body that was gathered. */
static size_t copy_gathered(struct request *req, uint8_t *out, size_t len)
{
	struct slice part = slice_sub(req->body, 0, len);
	if (part.len)
		memcpy(out, part.ptr, part.len);
	req->body = slice_sub(req->body, part.len, req->body.len);
	return part.len;
}

static size_t read_some(struct request *req, struct upload *u, uint8_t *out, size_t len, bool all)
{
	struct exchange *x = req->exchange;
	size_t n = 0, got;
	while (n < len && !u->ended && !req->broken) {
		if (!x->tcp) {
			break_off(req, 400);
		} else if (x->http.responding_error) {
			break_off(req, x->http.status); /* the deadline */
		} else if (got = 0, take(req, u, out + n, len - n, &got)) {
			n += got;
		} else if (n && !all) {
			break;
		} else if (!u->ended && !req->broken) {
			park(req, u);
		}
	}
	return req->broken ? 0 : n;
}

static size_t body_read(struct request *req, void *out, size_t len, bool all)
{
	struct exchange *x = req->exchange;
	if (req->broken || !len)
		return 0;
	if (!req->body_left)
		return copy_gathered(req, out, len);
	struct upload *u = upload_of(req);
	if (!u)
		return 0;
	if (x->tcp)
		exchange_continue(x);
	http_conn_resume(&x->http, now_of(x));
	size_t n = read_some(req, u, out, len, all);
	http_conn_pause(&x->http, now_of(x));
	if (!req->broken && req->hold)
		req->hold->renew(req);
	return n;
}

size_t request_read(struct request *req, void *out, size_t len)
{
	return body_read(req, out, len, false);
}

size_t request_read_full(struct request *req, void *out, size_t len)
{
	return body_read(req, out, len, true);
}

bool request_failed(const struct request *req)
{
	return req->broken;
}
