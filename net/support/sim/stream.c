/* The two ends of a connection, as applications. Each byte of a stream follows from its key and its
 * place, so what comes can be judged without having kept what went. */
#include "run.h"

#include <stdlib.h>
#include <string.h>
#include <base/assert.h>
#include <base/bytes.h>

#define EPHEMERAL_FIRST 32768 /* as in net/tcp.c, for simultaneous opens */
#define EPHEMERAL_COUNT 28232

static uint64_t stream_word(uint64_t key, uint64_t index)
{
	uint64_t x = (key + index) * UINT64_C(0x9e3779b97f4a7c15);
	return x ^ x >> 32;
}

uint8_t stream_byte(uint64_t key, uint64_t offset)
{
	return (uint8_t)(stream_word(key, offset >> 3) >> (8 * (offset & 7)));
}

static void stream_fill(uint64_t key, uint64_t offset, uint8_t *out, size_t len)
{
	size_t i = 0;
	for (; i < len && (offset + i) & 7; i++)
		out[i] = stream_byte(key, offset + i);
	for (; i + 8 <= len; i += 8)
		store_le64(out + i, stream_word(key, (offset + i) >> 3));
	for (; i < len; i++)
		out[i] = stream_byte(key, offset + i);
}

size_t stream_compare(uint64_t key, uint64_t offset, const uint8_t *p, size_t len)
{
	size_t i = 0;
	while (i < len) {
		if (!((offset + i) & 7) && i + 8 <= len && load_le64(p + i) == stream_word(key, (offset + i) >> 3)) {
			i += 8;
		} else if (p[i] == stream_byte(key, offset + i)) {
			i++;
		} else {
			return i;
		}
	}
	return len;
}

static struct end *other(const struct end *e)
{
	return &e->flow->end[!e->side];
}

static bool is_ghost(const struct end *e)
{
	return e == &e->flow->ghost;
}

static const char *name(const struct end *e)
{
	return is_ghost(e) ? "ghost" : e->side ? "server" : "client";
}

/* --- Sending --------------------------------------------------------------------------------- */

/* Acknowledged bytes are with the peer's engine, unless that is gone. */
static void delivered_check(struct end *e)
{
	struct end *p = other(e);
	if (!p->conn || p->gone || p->intent.discards || (p->events & TCP_CLOSED) || is_ghost(e))
		return;
	if (p->received + tcp_readable(p->conn) < e->delivered)
		run_fail(e->flow->run, "connection %u: %lu bytes of the %s were reported as delivered, and %lu"
			" have arrived", e->flow->id, (unsigned long)e->delivered, name(e),
			(unsigned long)(p->received + tcp_readable(p->conn)));
}

static void item_done(struct tcp_send *s, bool delivered)
{
	struct item *item = s->cookie;
	struct end *e = item->end;
	if (!item->busy)
		run_fail(e->flow->run, "connection %u: done was called twice", e->flow->id);
	item->busy = false;
	e->has_news = true;
	memset(item->bytes, 0xee, item->len);
	free(item->bytes);
	item->bytes = NULL;
	if (!delivered)
		return;
	e->delivered += item->len;
	delivered_check(e);
}

static void item_fill(struct run *r, struct end *e, struct item *item, uint32_t len)
{
	uint32_t at = 0, count = 0, most = 1 + draw_below(r, ARRAY_LEN(item->slice));
	item->bytes = malloc(len ? len : 1);
	ASSERT(item->bytes);
	stream_fill(e->key, e->queued, item->bytes, len);
	while (at < len) {
		uint32_t n = count + 1 == most ? len - at : draw_below(r, len - at + 1);
		item->slice[count++] = slice_of(item->bytes + at, n);
		at += n;
	}
	item->send = (struct tcp_send){.segments = item->slice, .count = count, .done = item_done,
		.cookie = item};
	item->end = e;
	item->len = len;
	item->busy = true;
}

static void send_one(struct run *r, struct end *e, struct item *item)
{
	uint64_t left = e->intent.to_send - e->queued;
	uint32_t len = draw_chance(r, 2) ? 0 : 1 + draw_below(r, e->intent.send_max);
	len = len < left ? len : (uint32_t)left;
	item_fill(r, e, item, len);
	err x = tcp_send(e->conn, &item->send);
	if (failed(x))
		run_fail(r, "connection %u: tcp_send: %s", e->flow->id, err_text(x));
	e->queued += len;
	if (e->intent.send_pause_ns)
		e->send_ns = r->network.now_ns + e->intent.send_pause_ns;
}

static struct item *item_free(struct end *e)
{
	for (uint32_t i = 0; i < ITEMS_MAX; i++)
		if (!e->item[i].busy)
			return &e->item[i];
	return NULL;
}

static void send_more(struct run *r, struct end *e)
{
	struct item *item;
	bool early = e->flow->id & 1; /* queues before the connection stands */
	if (!(e->events & (TCP_CONNECTED | TCP_ACCEPTED)) && !early)
		return;
	while (e->queued < e->intent.to_send && (item = item_free(e))) {
		if (e->send_ns)
			return;
		send_one(r, e, item);
	}
	if (e->queued < e->intent.to_send || e->closing)
		return;
	if (e->intent.close_after_peer && !(e->events & TCP_PEER_CLOSED))
		return;
	tcp_close(e->conn);
	e->closing = true;
}

/* --- Receiving ------------------------------------------------------------------------------- */

static void bytes_check(struct run *r, struct end *e, uint64_t offset, struct slice s)
{
	size_t same = stream_compare(other(e)->key, offset, s.ptr, s.len);
	if (same != s.len)
		run_fail(r, "connection %u: the stream that the %s receives differs at byte %lu", e->flow->id,
			name(e), (unsigned long)(offset + same));
	const struct end *p = other(e);
	if (offset + s.len > p->queued)
		run_fail(r, "connection %u: the %s received more than was sent", e->flow->id, name(e));
}

static void peek_further(struct run *r, struct end *e)
{
	struct slice s;
	size_t have = tcp_readable(e->conn);
	if (!have || !draw_chance(r, 10))
		return;
	size_t offset = draw_below(r, (uint32_t)have);
	if (!tcp_peek_at(e->conn, offset, &s))
		run_fail(r, "connection %u: tcp_peek_at finds nothing", e->flow->id);
	bytes_check(r, e, e->received + offset, s);
}

static void receive(struct run *r, struct end *e)
{
	uint64_t now = r->network.now_ns;
	uint32_t left = e->intent.read_max;
	struct slice s;
	if (e->intent.discards || e->read_ns > now)
		return;
	e->read_ns = 0;
	peek_further(r, e);
	while (left && tcp_peek(e->conn, &s)) {
		if (!s.len || s.len > tcp_readable(e->conn))
			run_fail(r, "connection %u: tcp_peek lends %zu bytes", e->flow->id, s.len);
		bytes_check(r, e, e->received, s);
		size_t n = draw_chance(r, 80) ? s.len : 1 + draw_below(r, (uint32_t)s.len);
		n = n < left ? n : left;
		tcp_consume(e->conn, n);
		e->received += n;
		r->bytes += n;
		left -= (uint32_t)n;
	}
	if (e->intent.read_pause_ns || !left)
		e->read_ns = now + 1000 + e->intent.read_pause_ns;
}

/* --- Life ------------------------------------------------------------------------------------ */

static void release(struct end *e)
{
	tcp_release(e->conn);
	e->conn = NULL;
	e->gone = true;
}

static void give_up(struct run *r, struct end *e)
{
	(void)r;
	e->aborted = true;
	if (e->flow->id & 2)
		tcp_abort(e->conn);
	else
		release(e);
}

/* All that the peer has sent must be here when it says that nothing follows. */
static void whole_check(struct run *r, struct end *e)
{
	const struct end *p = other(e);
	if (!(e->events & TCP_PEER_CLOSED) || e->intent.discards || is_ghost(e))
		return;
	if (e->received + tcp_readable(e->conn) != p->queued || !p->closing)
		run_fail(r, "connection %u: the %s was told of the end at byte %lu, and %lu were sent",
			e->flow->id, name(e), (unsigned long)(e->received + tcp_readable(e->conn)),
			(unsigned long)p->queued);
}

static void end_serve(struct run *r, struct end *e)
{
	if (!e->conn)
		return;
	e->has_news = false;
	if (e->send_ns <= r->network.now_ns)
		e->send_ns = 0;
	receive(r, e);
	if (!(e->events & TCP_CLOSED)) {
		if (!e->aborted && e->queued + e->received >= e->intent.abort_after) {
			give_up(r, e);
			return;
		}
		if (!e->aborted)
			send_more(r, e);
	} else {
		if (tcp_readable(e->conn) && !e->intent.leaves_unread)
			return;
		release(e);
	}
}

void ends_serve(struct host *h)
{
	struct run *r = h->run;
	for (uint32_t i = 0; i < r->flows; i++)
		for (uint32_t k = 0; k < 2; k++)
			if (r->flow[i].end[k].host == h)
				end_serve(r, &r->flow[i].end[k]);
}

static uint64_t end_next(const struct end *e, uint64_t now)
{
	uint64_t next = UINT64_MAX;
	if (!e->conn)
		return next;
	if (e->has_news)
		return now;
	if (e->read_ns && tcp_readable(e->conn))
		next = e->read_ns;
	if (e->send_ns && e->queued < e->intent.to_send && e->send_ns < next)
		next = e->send_ns;
	return next > now ? next : now;
}

uint64_t ends_next(const struct run *r, const struct host *h)
{
	uint64_t next = UINT64_MAX;
	for (uint32_t i = 0; i < r->flows; i++) {
		for (uint32_t k = 0; k < 2; k++) {
			const struct end *e = &r->flow[i].end[k];
			uint64_t at = e->host == h ? end_next(e, r->network.now_ns) : UINT64_MAX;
			next = at < next ? at : next;
		}
	}
	return next;
}

static bool sends_are_out(const struct end *e)
{
	for (uint32_t i = 0; i < ITEMS_MAX; i++)
		if (e->item[i].busy)
			return true;
	return false;
}

static void end_forget(struct end *e)
{
	for (uint32_t i = 0; i < ITEMS_MAX; i++) {
		e->item[i].busy = false;
		free(e->item[i].bytes);
		e->item[i].bytes = NULL;
	}
	e->conn = NULL;
	e->gone = true;
}

void ends_forget(struct host *h)
{
	for (uint32_t i = 0; i < h->run->flows; i++) {
		struct flow *f = &h->run->flow[i];
		/* Over, but for frames that the card has not given back, is not over. */
		bool over = flow_is_over(f) && !sends_are_out(&f->end[0]) && !sends_are_out(&f->end[1]);
		if (!f->started || over || (f->client != h->index && f->server != h->index))
			continue;
		f->excuse = "a host was restarted";
		for (uint32_t k = 0; k < 2; k++)
			if (f->end[k].host == h)
				end_forget(&f->end[k]);
	}
}

/* --- Opening --------------------------------------------------------------------------------- */

static void end_begin(struct end *e, struct host *h, struct tcp_conn *c)
{
	e->host = h;
	e->conn = c;
	e->exists = true;
	e->incarnation = h->incarnation;
	e->has_news = true;
	tcp_set_cookie(c, e);
	if (e->intent.discards)
		tcp_discard_input(c);
}

static uint64_t drops(const struct host *h)
{
	const struct net_counters *c = net_counters(h->net);
	return c->tcp_accept_drops + c->tcp_listen_limit_drops + c->tcp_syn_drops;
}

/* To the first of the other's addresses that can be reached. */
static err connect_any(struct flow *f, struct host *h, const struct host *to, uint16_t port,
	struct tcp_conn **c)
{
	struct net_endpoint end = {.port = port};
	err e = ERR(NOT_FOUND);
	for (uint32_t i = 0; host_address(to, f->ip6, i, &end.address); i++) {
		e = tcp_connect(c, h->net, &end);
		if (!failed(e))
			return e;
	}
	return e;
}

/* They are to be had three seconds after the start, if nothing is in the way. */
static bool may_lack_address(const struct flow *f, const struct host *a, const struct host *b)
{
	uint64_t since = a->started_ns > b->started_ns ? a->started_ns : b->started_ns;
	return fault_since(f->run, a->index, since) || fault_since(f->run, b->index, since)
		|| f->run->network.now_ns - since < 3 * SECOND;
}

static bool open_from(struct flow *f, struct end *e, struct host *h, const struct host *to, uint16_t port)
{
	struct tcp_conn *c;
	net_advance(h->net, host_clock(h));
	err x = connect_any(f, h, to, port, &c);
	if (failed(x)) {
		f->excuse = x.code == ERR_NO_MEMORY ? "no connection was free" : "no address yet";
		if (x.code != ERR_NO_MEMORY && !may_lack_address(f, h, to))
			run_fail(f->run, "connection %u: tcp_connect: %s", f->id, err_text(x));
		e->gone = true;
		return false;
	}
	h->attention = true;
	end_begin(e, h, c);
	return true;
}

/* The port that the engine will take next: it draws from the host's generator. */
static uint16_t port_foreseen(const struct host *h)
{
	struct random copy = h->random;
	return (uint16_t)(EPHEMERAL_FIRST + random_below(&copy, EPHEMERAL_COUNT));
}

static bool endpoint_equal(const struct net_endpoint *a, const struct net_endpoint *b)
{
	return a->port == b->port && memcmp(&a->address, &b->address, sizeof a->address) == 0;
}

/* Both connect at once, to each other's port (RFC 9293, 3.5, figure 7). */
static void open_both(struct flow *f, struct host *a, struct host *b)
{
	uint16_t port = port_foreseen(a);
	if (!open_from(f, &f->end[1], b, a, port)) {
		f->end[0].gone = true;
		return;
	}
	f->peer = tcp_local(f->end[1].conn);
	if (!open_from(f, &f->end[0], a, b, f->peer.port))
		return;
	f->local = tcp_local(f->end[0].conn);
	struct net_endpoint meant = tcp_peer(f->end[1].conn);
	if (!endpoint_equal(&f->local, &meant))
		f->excuse = "the ends do not meet";
}

void flow_start(struct flow *f)
{
	struct run *r = f->run;
	struct host *a = &r->host[f->client], *b = &r->host[f->server];
	f->started = true;
	f->started_as = ++r->flows_started;
	f->drops_before = drops(b);
	f->cookies_before = net_counters(b->net)->tcp_syn_cookies_sent;
	f->simultaneous &= host_runs(b);
	if (f->simultaneous) {
		open_both(f, a, b);
	} else if (open_from(f, &f->end[0], a, b, f->port)) {
		f->local = tcp_local(f->end[0].conn);
		f->peer = tcp_peer(f->end[0].conn);
	}
}

struct flow *flow_find(struct run *r, const struct net_endpoint *from, const struct net_endpoint *to,
	uint32_t *side)
{
	struct flow *best = NULL;
	for (uint32_t i = 0; i < r->flows; i++) {
		struct flow *f = &r->flow[i];
		bool client = endpoint_equal(from, &f->local) && endpoint_equal(to, &f->peer);
		bool server = endpoint_equal(from, &f->peer) && endpoint_equal(to, &f->local);
		if (!f->started || !(client || server) || (best && best->started_as > f->started_as))
			continue;
		best = f;
		*side = server;
	}
	return best;
}

static struct flow *flow_of(struct host *h, const struct tcp_conn *c)
{
	struct net_endpoint peer = tcp_peer(c), local = tcp_local(c);
	uint32_t side = 1;
	struct flow *f = flow_find(h->run, &local, &peer, &side);
	if (!f || side != 1 || f->simultaneous)
		run_fail(h->run, "host %u has accepted a connection that nobody has opened", h->index);
	return f;
}

static void accepted(struct host *h, struct tcp_conn *c)
{
	struct flow *f = flow_of(h, c);
	struct end *e = &f->end[1];
	if (!e->exists) {
		end_begin(e, h, c);
		return;
	}
	/* A cookie opens more than once while it is good, for whoever sends its ACK again. */
	if (!h->incarnation && !net_counters(h->net)->tcp_syn_cookies_sent)
		run_fail(h->run, "connection %u was accepted twice", f->id);
	f->ghost.host = h;
	f->ghost.conn = c;
	tcp_set_cookie(c, &f->ghost);
}

/* --- Events ---------------------------------------------------------------------------------- */

static bool excusable(struct run *r, struct flow *f, const struct end *e)
{
	const struct host *a = &r->host[f->client], *b = &r->host[f->server];
	bool faults = fault_since(r, f->client, f->start_ns) || fault_since(r, f->server, f->start_ns);
	bool connected = e->events & (TCP_CONNECTED | TCP_ACCEPTED);
	if (drops(b) != f->drops_before && !f->end[1].exists)
		return true;
	/* A segment that overtakes the one that would open a cookie is answered by RST. */
	if (net_counters(b->net)->tcp_syn_cookies_sent != f->cookies_before)
		return true;
	/* The peer is through, and its TIME_WAIT too (or it had to give way): our last ACK was lost. */
	bool in_order = (other(e)->events & (TCP_CLOSED | TCP_RESET | TCP_TIMED_OUT)) == TCP_CLOSED;
	if (in_order && (e->events & TCP_PEER_CLOSED) && e->closing)
		return true;
	/* Its simultaneous peer has not come through, and it had no listener to fall back to. */
	if (f->simultaneous && !connected && (faults || other(e)->gone))
		return true;
	if (faults && (!connected || !(other(e)->events & (TCP_CONNECTED | TCP_ACCEPTED))))
		return true;
	return !(a->patient && b->patient);
}

static void closed(struct run *r, struct end *e)
{
	struct flow *f = e->flow;
	uint32_t bad = e->events & (TCP_RESET | TCP_TIMED_OUT);
	if (f->excuse || e->aborted)
		return;
	if (bad && excusable(r, f, e))
		f->excuse = "it was cut off by faults or limits";
	else if (bad)
		run_fail(r, "connection %u: the %s's end %s, and nothing explains it", f->id, name(e),
			bad & TCP_RESET ? "was reset" : "timed out");
	else if (!(e->events & TCP_PEER_CLOSED) || !e->closing)
		run_fail(r, "connection %u: the %s's end is closed as if in order, and is not at its end",
			f->id, name(e));
}

void end_event(struct host *h, struct tcp_conn *c, uint32_t events)
{
	struct run *r = h->run;
	uint32_t once = TCP_ACCEPTED | TCP_CONNECTED | TCP_PEER_CLOSED | TCP_CLOSED;
	if (!tcp_cookie(c))
		accepted(h, c);
	struct end *e = tcp_cookie(c);
	if (is_ghost(e)) {
		tcp_release(c);
		e->conn = NULL;
		return;
	}
	if (!events)
		run_fail(r, "connection %u: an event without news", e->flow->id);
	if (e->events & TCP_CLOSED)
		run_fail(r, "connection %u: an event after TCP_CLOSED", e->flow->id);
	if (e->events & events & once)
		run_fail(r, "connection %u: an event has come twice", e->flow->id);
	e->events |= events;
	e->has_news = true;
	if (events & TCP_PEER_CLOSED)
		whole_check(r, e);
	if (events & TCP_CLOSED)
		closed(r, e);
}

/* --- The end --------------------------------------------------------------------------------- */

bool flow_is_over(const struct flow *f)
{
	return f->started && f->end[0].gone && (f->end[1].gone || !f->end[1].exists);
}

static void end_judge(struct run *r, const struct end *e)
{
	const struct end *p = other(e);
	if (!e->intent.discards && e->received != p->intent.to_send)
		run_fail(r, "connection %u: the %s has received %lu of %lu bytes", e->flow->id, name(e),
			(unsigned long)e->received, (unsigned long)p->intent.to_send);
	if (e->delivered != e->intent.to_send)
		run_fail(r, "connection %u: %lu of the %s's %lu bytes were reported as delivered", e->flow->id,
			(unsigned long)e->delivered, name(e), (unsigned long)e->intent.to_send);
}

void flow_judge(struct flow *f)
{
	struct run *r = f->run;
	for (uint32_t k = 0; k < 2; k++)
		if (sends_are_out(&f->end[k]))
			run_fail(r, "connection %u: a send of the %s is not done", f->id, name(&f->end[k]));
	if (r->options.trace)
		run_note(r, "connection %u%s%s, host %u to %u: %s", f->id, f->ip6 ? ", IPv6" : "",
			f->simultaneous ? ", simultaneous" : "", f->client, f->server, f->excuse ? f->excuse : "whole");
	if (f->excuse) {
		r->excused++;
		return;
	}
	end_judge(r, &f->end[0]);
	end_judge(r, &f->end[1]);
	r->completed++;
}
