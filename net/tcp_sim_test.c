/* Two engines and bulk: every way of sending on a clean link, and how long megabytes take on a lossy one. Faults
 * of all other kinds are the simulator's (support/sim/, ./ingot sim net). */
#include <net/net.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "support/world.h"

#define SECOND UINT64_C(1000000000)
#define MS UINT64_C(1000000)
#define SENDS 8
#define SEND_MAX 40000

/* One end of a transfer: sends `to_send` bytes of its stream, checks what comes. */
struct end {
	struct world *world;
	struct tcp_conn *conn;
	uint64_t key;                 /* of the stream that it sends */
	uint64_t to_send, queued, delivered, to_receive, received;
	struct item {
		struct tcp_send send;
		struct end *end;
		struct slice slice[5];
		uint8_t bytes[SEND_MAX];
		bool busy;
	} item[SENDS];
	bool closed_by_us, peer_closed, gone, failed_;
	uint32_t events_seen;
};

static uint8_t stream_byte(uint64_t key, uint64_t offset)
{
	uint64_t x = (key + (offset >> 3)) * UINT64_C(0x9e3779b97f4a7c15);
	return (uint8_t)(x >> (8 * (offset & 7)));
}

static void item_done(struct tcp_send *s, bool delivered)
{
	struct item *item = s->cookie;
	assert_true(item->busy);
	item->busy = false;
	if (delivered)
		item->end->delivered += s->end - s->start;
	memset(item->bytes, 0xee, sizeof item->bytes);
}

static void fill(struct end *e, struct item *item, uint32_t len)
{
	uint32_t at = 0, count = 0;
	for (uint32_t i = 0; i < len; i++)
		item->bytes[i] = stream_byte(e->key, e->queued + i);
	while (at < len && count < 5) {
		uint32_t n = count == 4 ? len - at : world_below(e->world, len - at + 1);
		item->slice[count++] = slice_of(item->bytes + at, n);
		at += n;
	}
	item->send = (struct tcp_send){.segments = item->slice, .count = count, .done = item_done,
		.cookie = item};
	item->end = e;
	item->busy = true;
}

static void end_send(struct end *e)
{
	for (uint32_t i = 0; i < SENDS && e->queued < e->to_send; i++) {
		struct item *item = &e->item[i];
		if (item->busy)
			continue;
		uint64_t left = e->to_send - e->queued;
		uint32_t len = 1 + world_below(e->world, world_below(e->world, 4) ? SEND_MAX - 1 : 300);
		len = len < left ? len : (uint32_t)left;
		fill(e, item, len);
		assert_false(failed(tcp_send(e->conn, &item->send)));
		e->queued += len;
	}
	if (e->queued == e->to_send && !e->closed_by_us) {
		tcp_close(e->conn);
		e->closed_by_us = true;
	}
}

static void end_receive(struct end *e)
{
	struct slice s;
	while (tcp_peek(e->conn, &s)) {
		assert_true(s.len > 0 && s.len <= tcp_readable(e->conn));
		for (size_t i = 0; i < s.len; i++) {
			if (s.ptr[i] != stream_byte(~e->key, e->received + i))
				fail_msg("stream differs at %lu", (unsigned long)(e->received + i));
		}
		size_t n = world_below(e->world, 5) ? s.len : 1 + world_below(e->world, (uint32_t)s.len);
		tcp_consume(e->conn, n);
		e->received += n;
		if (world_below(e->world, 50) == 0)
			return; /* lazy: the rest at the next step */
	}
}

static void end_serve(struct end *e)
{
	if (!e->conn || e->gone)
		return;
	end_receive(e);
	if (!(e->events_seen & TCP_CLOSED))
		end_send(e);
	if ((e->events_seen & TCP_CLOSED) && !tcp_readable(e->conn)) {
		e->failed_ = e->events_seen & (TCP_RESET | TCP_TIMED_OUT);
		tcp_release(e->conn);
		e->gone = true;
	}
}

struct transfer {
	struct end client, server;
};

static void serve(struct world *w)
{
	struct transfer *t = w->cookie;
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t events;
		struct tcp_conn *c;
		while ((c = net_event_next(w->station[i].net, &events))) {
			if (events & TCP_ACCEPTED) {
				assert_null(t->server.conn);
				t->server.conn = c;
				tcp_set_cookie(c, &t->server);
			}
			struct end *e = tcp_cookie(c);
			e->events_seen |= events;
		}
	}
	end_serve(&t->client);
	end_serve(&t->server);
}

static void pools_are_back(struct world *w)
{
	for (uint32_t i = 0; i < 2; i++) {
		struct net_usage u = net_usage(w->station[i].net);
		assert_int_equal(u.connections, 0);
		assert_int_equal(u.syns, 0);
		assert_int_equal(u.time_waits, 0);
		assert_int_equal(u.tx_frames, 0);
		assert_int_equal(u.rx_frames, 0);
		assert_int_equal(u.sent_records, 0);
		assert_int_equal(w->station[i].buffers_out, 0);
	}
}

struct result {
	uint64_t hash, took_ns;
	bool failed_;
};

static struct result transfer(uint64_t seed, struct faults faults, uint64_t up, uint64_t down,
	uint32_t variant)
{
	struct world *w = malloc(sizeof *w);
	struct transfer *t = calloc(1, sizeof *t);
	world_init(w, seed);
	w->fragment = variant & 1;
	w->faults = faults;
	w->cookie = t;
	bool ip6 = variant & 16;
	for (uint32_t i = 0; i < 2; i++) {
		struct net_config c = world_config(w, i);
		c.tx_checksum = (variant >> 1 & 1) != 0;
		c.tx_tso4 = c.tx_tso6 = (variant >> 1 & 1) && (variant >> 2 & 1);
		if (ip6)
			world_config_ip6(&c, i);
		c.receive_window = variant & 8 ? 20000 : 0;
		c.user_timeout_ns = 1200 * SECOND;
		world_start(w, i, &c);
	}
	t->client = (struct end){.world = w, .key = seed, .to_send = up, .to_receive = down};
	t->server = (struct end){.world = w, .key = ~seed, .to_send = down, .to_receive = up};
	assert_false(failed(tcp_listen(w->station[1].net, 80, 0)));
	if (ip6)
		world_run(w, w->now_ns + WORLD_IP6_READY_NS, NULL);
	struct net_endpoint to = {world_address(1, ip6), 80};
	assert_false(failed(tcp_connect(&t->client.conn, w->station[0].net, &to)));
	tcp_set_cookie(t->client.conn, &t->client);
	uint64_t start = w->now_ns, limit = start + 3600 * SECOND;
	while (!(t->client.gone && (t->server.gone || !t->server.conn)) && w->now_ns < limit) {
		world_step(w, limit);
		serve(w);
	}
	struct result r = {.took_ns = w->now_ns - start};
	r.failed_ = t->client.failed_ || t->server.failed_ || !t->server.conn;
	if (!r.failed_) {
		assert_int_equal(t->server.received, up);
		assert_int_equal(t->client.received, down);
	}
	assert_true(t->client.gone);
	w->faults.loss = w->faults.corrupt = 0;
	world_run(w, w->now_ns + 200 * SECOND, serve);
	pools_are_back(w);
	if (!r.failed_) { /* the last `done` came when the device was done */
		assert_int_equal(t->client.delivered, up);
		assert_int_equal(t->server.delivered, down);
	}
	r.hash = w->hash;
	world_deinit(w);
	free(w);
	free(t);
	return r;
}

static void a_clean_link_carries_both_streams(void **state)
{
	(void)state;
	for (uint32_t variant = 0; variant < 32; variant++) {
		struct faults f = {.delay_ns = 100000};
		struct result r = transfer(variant + 1, f, 300000, 2000000, variant);
		assert_false(r.failed_);
	}
}

static void several_mebibytes_cross_a_lossy_link_both_ways(void **state)
{
	(void)state;
	struct faults f = {.loss = 100, .reorder = 100, .delay_ns = 20 * MS, .jitter_ns = 3 * MS};
	for (uint32_t ip6 = 0; ip6 < 2; ip6++) {
		struct result r = transfer(77, f, 3000000, 4000000, 6 | ip6 << 4);
		assert_false(r.failed_);
		/* 1 % loss and 40 ms: a stack that only knows timeouts would need minutes. */
		assert_true(r.took_ns < 60 * SECOND);
		printf("# 7 MB, 40 ms, 1 %% loss, IPv%c: %.1f s\n", ip6 ? '6' : '4', (double)r.took_ns / 1e9);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_clean_link_carries_both_streams),
		cmocka_unit_test(several_mebibytes_cross_a_lossy_link_both_ways),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
