/* Each reader: WAITING for its request --whole--> ANSWERING or CAPTURING --all sent, or gone--> released. */
#include "diagnose.h"

#include <app/manifest.h>
#include <base/cursor.h>

enum {
	READERS_MAX = 4,
	REQUEST_MAX = 1024,
	REPLY_MAX = 16384,
	RING_SIZE = 512 << 10,
	SNAP_DEFAULT = 256,
	SNAP_MIN = 64,
	SNAP_MAX = 65535,
	IN_ONE_SEND = 64 << 10,
};

#define REQUEST_TIME_NS UINT64_C(10000000000)

struct reader_conn {
	struct diagnose *owner;
	struct tcp_conn *tcp; /* NULL: free, unless `sending` */
	struct tcp_send send;
	struct slice segment;
	struct timer deadline; /* for the request */
	struct database_operation operation; /* `sending` until it is done */
	bool sending, answered, capturing;
	uint32_t request_len;
	uint8_t request[REQUEST_MAX];
	uint8_t reply[REPLY_MAX];
};

struct diagnose {
	struct loop_client client;
	struct tcp_handler handler;
	struct loop *loop;
	struct log *log;
	struct net *net;
	struct server *const *server;
	struct database *const *database;
	bool any;
	struct reader_conn *capturing; /* NULL: nobody */
	struct net_capture capture;
	struct reader_conn reader[READERS_MAX];
	uint8_t ring[RING_SIZE];
};

size_t diagnose_memory_size(void)
{
	return sizeof(struct diagnose);
}

static void reader_end(struct reader_conn *r)
{
	struct tcp_conn *tcp = r->tcp;
	if (r->capturing) {
		struct net_capture *c = &r->owner->capture;
		net_capture_stop(r->owner->net);
		r->owner->capturing = NULL;
		log_write(r->owner->log, LOG_INFO, "diagnose", "capture ends: %lu frames, %lu left out",
			c->frames, c->dropped);
	}
	r->capturing = false;
	r->tcp = NULL;
	timer_cancel(&r->owner->loop->timers, &r->deadline);
	if (tcp)
		tcp_release(tcp);
}

static void sent(struct tcp_send *send, bool delivered)
{
	struct reader_conn *r = CONTAINER_OF(send, struct reader_conn, send);
	(void)delivered;
	r->sending = false;
	if (r->capturing && r->segment.ptr != r->reply)
		net_capture_consume(&r->owner->capture, r->segment.len);
}

static void reader_send(struct reader_conn *r, struct slice bytes)
{
	r->segment = bytes;
	r->send = (struct tcp_send){.segments = &r->segment, .count = 1, .done = sent};
	r->sending = !failed(tcp_send(r->tcp, &r->send));
}

static void line(struct writer *w, const char *name, uint64_t value)
{
	write_bytes(w, slice_from_cstr(name));
	write_u8(w, ' ');
	write_dec(w, value);
	write_u8(w, '\n');
}

static void server_write(const struct server *server, struct writer *w)
{
	struct server_stats s = server_stats(server);
	line(w, "http_connections_in_use", s.connections_open);
	line(w, "http_connections_queued", s.connections_queued);
	line(w, "http_exchanges_in_use", s.exchanges_open);
	line(w, "http_requests_waiting", s.requests_waiting);
	line(w, "http_connections", s.connections);
	line(w, "http_requests", s.requests);
	line(w, "http_responses", s.responses);
	line(w, "http_errors", s.errors);
	line(w, "http_shed", s.shed);
	line(w, "http_exchange_waits", s.exchange_waits);
	line(w, "http_bytes_sent", s.bytes_sent);
	line(w, "http_bytes_copied", s.bytes_copied);
}

static void counters_write(const struct net *net, struct writer *w)
{
	struct net_counter counter;
	struct net_usage usage = net_usage(net);
	line(w, "connections_in_use", usage.connections);
	line(w, "half_open_in_use", usage.syns);
	line(w, "time_waits_in_use", usage.time_waits);
	line(w, "tx_frames_in_use", usage.tx_frames);
	line(w, "rx_frames_in_use", usage.rx_frames);
	line(w, "timers_in_use", usage.timers);
	for (uint32_t i = 0; net_counter_at(net, i, &counter); i++)
		line(w, counter.name, counter.value);
}

static void head_write(struct writer *w, const char *status, const char *type)
{
	write_bytes(w, SLICE("HTTP/1.0 "));
	write_bytes(w, slice_from_cstr(status));
	write_bytes(w, SLICE("\r\nContent-Type: "));
	write_bytes(w, slice_from_cstr(type));
	write_bytes(w, SLICE("\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"));
}

/* Bytes of the last capture are still on their way to somebody who has gone. */
static bool ring_is_busy(const struct diagnose *d)
{
	for (uint32_t i = 0; i < READERS_MAX; i++) {
		const struct reader_conn *r = &d->reader[i];
		if (r->sending && r->segment.ptr >= d->ring && r->segment.ptr < d->ring + sizeof d->ring)
			return true;
	}
	return false;
}

static void capture_begin(struct reader_conn *r, uint32_t snap_len, uint16_t port)
{
	struct diagnose *d = r->owner;
	struct platform *p = d->loop->platform;
	d->capture = (struct net_capture){.ring = d->ring, .size = sizeof d->ring, .snap_len = snap_len,
		.wall_offset_ns = p->wall_ns(p) - (int64_t)d->loop->now_ns, .port_left_out = port};
	d->capturing = r;
	r->capturing = true;
	net_capture_start(d->net, &d->capture);
}

static uint32_t snap_of(struct slice query)
{
	uint64_t n;
	if (!slice_starts_with(query, SLICE("snap="))
		|| !slice_to_u64(slice_sub(query, 5, query.len), &n) || n > SNAP_MAX)
		return SNAP_DEFAULT;
	return n < SNAP_MIN ? SNAP_MIN : (uint32_t)n;
}

static void operated(struct database_operation *operation)
{
	struct reader_conn *r = CONTAINER_OF(operation, struct reader_conn, operation);
	r->sending = false;
	if (!r->tcp)
		return;
	reader_send(r, writer_slice(&operation->out));
	tcp_close(r->tcp);
}

static bool operate(struct reader_conn *r, struct slice head, struct writer out)
{
	struct database *database = *r->owner->database;
	r->operation = (struct database_operation){.head = head, .out = out, .done = operated};
	r->sending = database && app_manifest.database->engine->operate(database, &r->operation);
	return r->sending;
}

/* The request's head is whole. */
static void answer(struct reader_conn *r)
{
	struct slice head = slice_of(r->request, r->request_len);
	struct slice rest = slice_sub(head, 4, head.len);
	struct slice target = slice_sub(rest, 0, slice_index(rest, ' '));
	size_t mark = slice_index(target, '?');
	struct slice path = slice_sub(target, 0, mark), query = slice_sub(target, mark + 1, target.len);
	struct writer w = writer_of(r->reply, sizeof r->reply);
	r->answered = true;
	timer_cancel(&r->owner->loop->timers, &r->deadline);
	bool get = slice_starts_with(head, SLICE("GET "));
	if (get && slice_eq(path, SLICE("/counters"))) {
		head_write(&w, "200 OK", "text/plain");
		line(&w, "idle_connection_bytes", net_connection_size() + server_connection_size());
		if (*r->owner->server)
			server_write(*r->owner->server, &w);
		counters_write(r->owner->net, &w);
		if (*r->owner->database)
			app_manifest.database->engine->counters(*r->owner->database, &w);
	} else if (get && slice_eq(path, SLICE("/capture")) && !r->owner->capturing
		&& !ring_is_busy(r->owner)) {
		head_write(&w, "200 OK", "application/vnd.tcpdump.pcap");
		capture_begin(r, snap_of(query), tcp_local(r->tcp).port);
	} else if (get && slice_eq(path, SLICE("/capture"))) {
		head_write(&w, "503 Service Unavailable", "text/plain");
		write_bytes(&w, SLICE("somebody else captures\n"));
	} else if (operate(r, head, w)) {
		return;
	} else {
		head_write(&w, get ? "404 Not Found" : "405 Method Not Allowed", "text/plain");
		write_bytes(&w, SLICE("try GET /counters or /capture?snap=BYTES\n"));
	}
	reader_send(r, writer_slice(&w));
	if (!r->capturing)
		tcp_close(r->tcp);
}

static bool head_is_whole(const struct reader_conn *r)
{
	const uint8_t *p = r->request;
	for (uint32_t i = 3; i < r->request_len; i++)
		if (p[i] == '\n' && p[i - 1] == '\r' && p[i - 2] == '\n' && p[i - 3] == '\r')
			return true;
	return false;
}

static void head_read(struct reader_conn *r)
{
	struct slice part;
	while (!r->answered && r->request_len < REQUEST_MAX && tcp_peek(r->tcp, &part)) {
		part = slice_sub(part, 0, REQUEST_MAX - r->request_len);
		memcpy(r->request + r->request_len, part.ptr, part.len);
		r->request_len += (uint32_t)part.len;
		tcp_consume(r->tcp, part.len);
	}
	if (!r->answered && head_is_whole(r)) {
		answer(r);
		tcp_discard_input(r->tcp);
	}
}

/* On the same link: nobody further away can see packets or counters, unless that is wanted. */
static bool peer_may(const struct diagnose *d, const struct tcp_conn *tcp)
{
	struct net_endpoint peer = tcp_peer(tcp);
	return d->any || net_is_on_link(d->net, &peer.address);
}

/* Who asks nothing keeps no place. */
static void request_late(struct timer *t)
{
	reader_end(CONTAINER_OF(t, struct reader_conn, deadline));
}

static void reader_new(struct diagnose *d, struct tcp_conn *tcp)
{
	for (uint32_t i = 0; i < READERS_MAX && peer_may(d, tcp); i++) {
		struct reader_conn *r = &d->reader[i];
		if (r->tcp || r->sending)
			continue;
		r->owner = d;
		r->tcp = tcp;
		r->request_len = 0;
		r->answered = r->capturing = false;
		timer_init(&r->deadline, request_late);
		timer_arm(&d->loop->timers, &r->deadline, d->loop->now_ns + REQUEST_TIME_NS);
		return;
	}
	tcp_release(tcp);
}

static struct reader_conn *reader_find(struct diagnose *d, const struct tcp_conn *tcp)
{
	for (uint32_t i = 0; i < READERS_MAX; i++)
		if (d->reader[i].tcp == tcp)
			return &d->reader[i];
	return NULL;
}

static void reader_event(struct tcp_handler *h, struct tcp_conn *tcp, uint32_t events)
{
	struct diagnose *d = CONTAINER_OF(h, struct diagnose, handler);
	if (events & TCP_ACCEPTED)
		reader_new(d, tcp);
	struct reader_conn *r = reader_find(d, tcp);
	if (!r)
		return;
	if (events & TCP_READABLE)
		head_read(r);
	bool asks_no_more = (events & TCP_PEER_CLOSED) && (r->capturing || !r->answered);
	if ((events & TCP_CLOSED) || asks_no_more)
		reader_end(r);
}

/* The capture's bytes go out as they come. */
static bool diagnose_poll(struct loop_client *client)
{
	struct diagnose *d = CONTAINER_OF(client, struct diagnose, client);
	struct reader_conn *r = d->capturing;
	if (!r || r->sending)
		return false;
	struct slice bytes = slice_sub(net_capture_peek(&d->capture, 0), 0, IN_ONE_SEND);
	if (!bytes.len)
		return false;
	reader_send(r, bytes);
	return true;
}

void diagnose_start(void *memory, struct loop *loop, struct log *log, struct net *net,
	struct server *const *server, struct database *const *database, uint16_t port, bool any)
{
	struct diagnose *d = memory;
	d->client.poll = diagnose_poll;
	d->handler.event = reader_event;
	d->loop = loop;
	d->log = log;
	d->net = net;
	d->server = server;
	d->database = database;
	d->any = any;
	err e = tcp_listen_for(net, port, READERS_MAX, &d->handler);
	if (failed(e)) {
		log_write(log, LOG_ERROR, "diagnose", "port %u cannot be used: %s", port, err_text(e));
		return;
	}
	loop_add(loop, &d->client);
	log_write(log, LOG_INFO, "diagnose", "GET /counters and /capture on port %u, for %s", port,
		any ? "anybody" : "hosts on this link");
}
