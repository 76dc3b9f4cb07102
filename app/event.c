/* Server-sent events (HTML Living Standard, 9.2): an answer that is made piece by piece, in lines. */
#include <app/ingot.h>

#include "stream.h"

#include <string.h>

#define HEARTBEAT_NS UINT64_C(15000000000)

int64_t event_last_id(struct request *req)
{
	uint64_t id;
	return slice_to_u64(request_header(req, "Last-Event-ID"), &id) && id <= INT64_MAX ? (int64_t)id : 0;
}

bool event_begin(struct request *req)
{
	reply_header(req, "Cache-Control", SLICE("no-store"));
	return reply_begin(req, 200, "text/event-stream") && reply_flush(req);
}

/* CRLF, LF and CR each end a line. */
static struct slice line_next(struct slice *text)
{
	size_t end = 0;
	while (end < text->len && text->ptr[end] != '\n' && text->ptr[end] != '\r')
		end++;
	struct slice line = slice_sub(*text, 0, end);
	size_t skip = end + 1 < text->len && text->ptr[end] == '\r' && text->ptr[end + 1] == '\n' ? 2 : 1;
	*text = slice_sub(*text, end + skip, text->len);
	return line;
}

/* A text that ends with a line end ends with an empty line, as the client puts it together again. */
static void data_write(struct request *req, struct slice text)
{
	bool more = true;
	while (more) {
		struct slice before = text, line = line_next(&text);
		more = line.len < before.len;
		reply_write(req, SLICE("data: "));
		reply_write(req, line);
		reply_write(req, SLICE("\n"));
	}
}

bool event_send(struct request *req, const struct app_event *event)
{
	struct slice type = slice_from_cstr(event->type ? event->type : "");
	if (!reply_stream_of(req, "event_send"))
		return false;
	if (slice_index(type, '\n') < type.len || slice_index(type, '\r') < type.len)
		request_misuse(req, "event_send of a type with a line end in it");
	if (event->id < 0)
		request_misuse(req, "event_send of an id below 0, which no client would say again");
	if (req->broken)
		return false;
	if (event->id)
		reply_writef(req, "id: %ld\n", (long)event->id);
	if (event->retry_ms)
		reply_writef(req, "retry: %u\n", (unsigned)event->retry_ms);
	if (type.len) {
		reply_write(req, SLICE("event: "));
		reply_write(req, type);
		reply_write(req, SLICE("\n"));
	}
	data_write(req, event->data);
	reply_write(req, SLICE("\n"));
	return reply_flush(req);
}

bool event_sleep(struct request *req, struct reply_stream *s, uint64_t until_ns, const bool *news)
{
	const struct exchange *x = req->exchange;
	const struct loop *loop = x->server->config.loop;
	while (!*news && loop->now_ns < until_ns) {
		uint64_t heartbeat_ns = s->sent_ns + HEARTBEAT_NS;
		if (!reply_is_wanted(req, s) || x->connection->peer_closed || x->server->draining)
			return false;
		if (heartbeat_ns <= loop->now_ns) {
			reply_write(req, SLICE(":\n\n"));
			if (!reply_flush(req))
				return false;
		} else {
			if (req->hold)
				(void)req->hold->park(req);
			stream_wait(req, s, heartbeat_ns < until_ns ? heartbeat_ns : until_ns);
		}
	}
	return reply_is_wanted(req, s) && !x->connection->peer_closed && !x->server->draining;
}

bool event_wait(struct request *req, uint32_t ms)
{
	struct reply_stream *s = reply_stream_of(req, "event_wait");
	static const bool never = false;
	return s && event_sleep(req, s, req->exchange->server->config.loop->now_ns + ms * UINT64_C(1000000), &never);
}
