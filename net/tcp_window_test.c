/* Receive windows: they follow what the application takes, never move their right edge left, and give way when
 * buffers run short; connections that exist live through that, and new ones wait. */
#include <net/net.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "support/world.h"
#include "tcp_conn.h"

#define SECOND UINT64_C(1000000000)
#define MS UINT64_C(1000000)
#define UPLOADS_MAX 24
#define CHUNK (1u << 20)
#define SENDS 4

/* Station 0 sends on each connection; station 1 reads as it is told. */
struct upload {
	struct tcp_conn *client, *server;
	struct tcp_send send[SENDS];
	bool busy[SENDS];
	uint64_t sent, got, edge;
};

struct bench {
	struct world w;
	struct upload upload[UPLOADS_MAX];
	uint32_t count, accepted, closed;
	bool reading;
	uint32_t read_most; /* bytes for each step; 0: all */
	uint64_t total;
	uint32_t window_most; /* as seen on the wire */
};

static uint8_t bytes[CHUNK];

static void sent(struct tcp_send *s, bool delivered)
{
	(void)delivered;
	*(bool *)s->cookie = false;
}

static void feed(struct bench *b, struct upload *u)
{
	static const struct slice chunk = {bytes, sizeof bytes};
	for (uint32_t i = 0; i < SENDS && u->sent < b->total; i++) {
		if (u->busy[i])
			continue;
		u->send[i] = (struct tcp_send){.segments = &chunk, .count = 1, .done = sent, .cookie = &u->busy[i]};
		u->busy[i] = !failed(tcp_send(u->client, &u->send[i]));
		u->sent += CHUNK;
	}
}

static void take(struct bench *b, struct upload *u)
{
	struct slice s;
	uint32_t left = b->read_most ? b->read_most : UINT32_MAX;
	while (b->reading && left && u->server && tcp_peek(u->server, &s)) {
		size_t n = s.len < left ? s.len : left;
		tcp_consume(u->server, n);
		u->got += n;
		left -= (uint32_t)n;
	}
}

static void serve(struct world *w)
{
	struct bench *b = w->cookie;
	uint32_t events;
	struct tcp_conn *c;
	while ((c = net_event_next(w->station[0].net, &events)))
		b->closed += !!(events & TCP_CLOSED);
	while ((c = net_event_next(w->station[1].net, &events))) {
		b->closed += !!(events & TCP_CLOSED);
		for (uint32_t i = 0; (events & TCP_ACCEPTED) && i < b->count; i++) {
			if (tcp_local(b->upload[i].client).port == tcp_peer(c).port) {
				b->upload[i].server = c;
				b->accepted++;
			}
		}
	}
	for (uint32_t i = 0; i < b->count; i++) {
		feed(b, &b->upload[i]);
		take(b, &b->upload[i]);
	}
}

/* What station 1 promises: the right edge. */
static bool edges_never_move_left(struct world *w, uint32_t from, uint8_t *p, uint32_t len)
{
	struct bench *b = w->cookie;
	(void)len;
	if (from != 1 || load_be16(p + 12) != 0x0800 || p[23] != 6 || (p[47] & (TCP_SYN | TCP_RST)))
		return true;
	for (uint32_t i = 0; i < b->count; i++) {
		struct upload *u = &b->upload[i];
		if (!u->server || tcp_peer(u->server).port != load_be16(p + 36))
			continue;
		uint32_t window = (uint32_t)load_be16(p + 48) << u->server->rcv_scale;
		uint64_t edge = seq_extend(u->server->rcv_nxt, load_be32(p + 42)) + window;
		assert_true(edge >= u->edge);
		u->edge = edge;
		b->window_most = window > b->window_most ? window : b->window_most;
	}
	return true;
}

static struct bench *bench_new(uint32_t count, uint32_t rx_frames, uint64_t delay_ns, uint64_t rate_bps)
{
	struct bench *b = calloc(1, sizeof *b);
	world_init(&b->w, 3);
	b->w.cookie = b;
	b->w.filter = edges_never_move_left;
	b->w.faults = (struct faults){.delay_ns = delay_ns, .rate_bps = rate_bps};
	for (uint32_t i = 0; i < 2; i++) {
		struct net_config c = world_config(&b->w, i);
		c.connections_max = 64;
		c.tx_frames_max = 512;
		c.rx_frames_max = rx_frames;
		c.receive_window_max = 2u << 20;
		c.user_timeout_ns = 1000 * SECOND;
		world_start(&b->w, i, &c);
	}
	assert_false(failed(tcp_listen(b->w.station[1].net, 80, 0)));
	b->reading = true;
	b->total = CHUNK;
	b->count = count;
	struct net_endpoint to = {net_address_v4(WORLD_B_IP), 80};
	for (uint32_t i = 0; i < count; i++)
		assert_false(failed(tcp_connect(&b->upload[i].client, b->w.station[0].net, &to)));
	return b;
}

static void run(struct bench *b, uint64_t ns)
{
	world_run(&b->w, b->w.now_ns + ns, serve);
}

static void run_to_the_end(struct bench *b, uint64_t limit_ns)
{
	uint64_t limit = b->w.now_ns + limit_ns;
	bool over = false;
	while (!over && world_step(&b->w, limit)) {
		serve(&b->w);
		over = true;
		for (uint32_t i = 0; i < b->count; i++)
			over &= b->upload[i].got >= b->total;
	}
	assert_true(over);
}

static void bench_free(struct bench *b)
{
	assert_int_equal(b->closed, 0);
	for (uint32_t i = 0; i < b->count; i++) {
		if (b->upload[i].server)
			tcp_release(b->upload[i].server);
		tcp_release(b->upload[i].client);
	}
	run(b, SECOND);
	assert_int_equal(net_usage(b->w.station[1].net).rx_frames, 0);
	assert_int_equal(b->w.station[1].buffers_out, 0);
	world_deinit(&b->w);
	free(b);
}

static const struct net_counters *counters(const struct bench *b)
{
	return net_counters(b->w.station[1].net);
}

static void a_window_grows_with_what_a_long_path_carries(void **state)
{
	(void)state;
	struct bench *b = bench_new(1, WORLD_RX_FRAMES - 64, 20 * MS, 100u * 1000 * 1000 / 8);
	b->total = 16 * CHUNK;
	uint64_t start = b->w.now_ns;
	run_to_the_end(b, 60 * SECOND);
	double rate = (double)b->total * 8e3 / (double)(b->w.now_ns - start);
	print_message("# upload, 40 ms: %.1f Mbit/s, window up to %u\n", rate, b->window_most);
	assert_true(counters(b)->tcp_window_growths > 0);
	assert_true(b->window_most > 400000); /* 64 KiB would allow 13 Mbit/s */
	assert_true(rate > 70);
	bench_free(b);
}

static void a_slow_reader_keeps_the_window_that_it_had(void **state)
{
	(void)state;
	struct bench *b = bench_new(1, WORLD_RX_FRAMES - 64, 20 * MS, 100u * 1000 * 1000 / 8);
	b->reading = false;
	run(b, SECOND);
	assert_int_equal(counters(b)->tcp_window_growths, 0);
	assert_true(b->window_most <= 64u << 10);
	assert_true(net_usage(b->w.station[1].net).rx_frames < 64); /* held for it, no more than that */
	b->reading = true;
	run_to_the_end(b, 60 * SECOND);
	bench_free(b);
}

/* 20 connections whose data nobody reads, buffers for a few: windows shrink, SYNs are not answered any more; and
 * when reading begins all of them go on, and new ones come. */
static void pressure_shrinks_windows_then_refuses_connections_and_kills_none(void **state)
{
	(void)state;
	struct bench *b = bench_new(20, 200, MS, 100u * 1000 * 1000 / 8);
	run(b, 100 * MS);
	assert_int_equal(b->accepted, 20);
	b->reading = false;
	run(b, 5 * SECOND);
	uint32_t held = net_usage(b->w.station[1].net).rx_frames;
	print_message("# held %u of 200 buffers, %lu segments dropped\n", held,
		(unsigned long)counters(b)->tcp_rx_pressure_drops);
	assert_true(held > 175 && held <= 200);

	struct net_endpoint to = {net_address_v4(WORLD_B_IP), 80};
	struct upload *late = &b->upload[b->count++];
	assert_false(failed(tcp_connect(&late->client, b->w.station[0].net, &to)));
	uint64_t refused = counters(b)->tcp_accept_drops;
	run(b, 2 * SECOND);
	assert_null(late->server);
	assert_true(counters(b)->tcp_accept_drops > refused);
	b->reading = true;
	run_to_the_end(b, 120 * SECOND);
	assert_int_equal(b->accepted, 21);
	bench_free(b);
}

static void a_window_is_what_the_buffers_left_can_hold_and_then_four_segments(void **state)
{
	(void)state;
	struct bench *b = bench_new(1, 40, MS, 100u * 1000 * 1000 / 8);
	struct net *net = b->w.station[1].net;
	b->total = 0;
	run(b, 50 * MS);
	struct tcp_conn *c = b->upload[0].server;
	c->rcv_adv = c->rcv_nxt; /* as if nothing were promised */
	uint32_t held = net->rx_frames_held, most = 20 * c->mss;
	assert_int_equal(c->rcv_space, most); /* half of the buffers */
	assert_int_equal(tcp_window(c), most);
	net->rx_frames_held = 28; /* others' */
	assert_int_equal(tcp_window(c), 12 * c->mss);
	net->rx_frames_held = 31;
	assert_int_equal(tcp_window(c), 4 * c->mss);
	net->rx_frames_held = 38;
	assert_int_equal(tcp_window(c), 2 * c->mss);
	net->rx_frames_held = 40;
	assert_int_equal(tcp_window(c), 0);
	c->rcv_adv = c->rcv_nxt + 5000; /* what was promised stays */
	assert_int_equal(tcp_window(c), 5000);
	net->rx_frames_held = held;
	bench_free(b);
}

static void without_buffers_a_syn_is_not_answered(void **state)
{
	(void)state;
	struct bench *b = bench_new(1, 64, MS, 100u * 1000 * 1000 / 8);
	struct net *net = b->w.station[1].net;
	run(b, 50 * MS);
	net->rx_frames_held += 57; /* as if others held them */
	struct net_endpoint to = {net_address_v4(WORLD_B_IP), 80};
	struct upload *late = &b->upload[b->count++];
	assert_false(failed(tcp_connect(&late->client, b->w.station[0].net, &to)));
	run(b, 500 * MS);
	assert_null(late->server);
	assert_int_equal(counters(b)->tcp_accept_drops, 1);
	net->rx_frames_held -= 57;
	run_to_the_end(b, 60 * SECOND);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_window_grows_with_what_a_long_path_carries),
		cmocka_unit_test(a_slow_reader_keeps_the_window_that_it_had),
		cmocka_unit_test(pressure_shrinks_windows_then_refuses_connections_and_kills_none),
		cmocka_unit_test(a_window_is_what_the_buffers_left_can_hold_and_then_four_segments),
		cmocka_unit_test(without_buffers_a_syn_is_not_answered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
