/* The congestion window by itself: acknowledgements and losses in, bytes out. */
#include "tcp_conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include "support/world.h"

#define MSS 1000u
#define MS UINT64_C(1000000)
#define RTT_MS 100u

struct window {
	struct world w;
	struct tcp_conn *c;
};

static void window_start(struct window *s)
{
	world_init(&s->w, 1);
	struct net_config config = world_config(&s->w, 0);
	world_start(&s->w, 0, &config);
	struct net_endpoint to = {net_address_v4(WORLD_B_IP), 80};
	assert_false(failed(tcp_connect(&s->c, s->w.station[0].net, &to)));
	s->c->mss = MSS;
	s->c->srtt_us = RTT_MS * 1000;
	tcp_congestion_init(s->c);
}

static void window_stop(struct window *s)
{
	tcp_release(s->c);
	world_deinit(&s->w);
}

/* A round trip in which a whole window is sent and acknowledged, two segments at a time. */
static void round_trip(struct window *s)
{
	struct net *net = s->c->net;
	uint32_t acks = s->c->cwnd / (2 * MSS);
	for (uint32_t i = 0; i < acks; i++) {
		s->w.now_ns += RTT_MS * MS / acks;
		net->now_ns = s->w.now_ns;
		net->now_us = (uint32_t)(s->w.now_ns / 1000);
		struct tcp_ack ack = {.acked = 2 * MSS, .delivered = 2 * MSS, .rtt_us = RTT_MS * 1000,
			.clean_rtt_us = UINT32_MAX};
		s->c->cwnd_limited = true;
		tcp_congestion_acked(s->c, &ack);
	}
}

static void lose(struct window *s)
{
	tcp_congestion_reduce(s->c);
	s->c->cwnd = s->c->ssthresh;
}

static void slow_start_doubles_and_stops_at_the_threshold(void **state)
{
	(void)state;
	struct window s;
	window_start(&s);
	assert_int_equal(s.c->cwnd, 10 * MSS);
	round_trip(&s);
	assert_int_equal(s.c->cwnd, 20 * MSS);
	s.c->ssthresh = 35 * MSS;
	round_trip(&s);
	assert_in_range(s.c->cwnd, 35 * MSS, 35 * MSS + MSS / 2); /* what came after it counts as avoidance */
	window_stop(&s);
}

static void a_loss_leaves_seven_tenths(void **state)
{
	(void)state;
	struct window s;
	window_start(&s);
	s.c->cwnd = 100 * MSS;
	lose(&s);
	assert_int_equal(s.c->cwnd, 70 * MSS);
	s.c->cwnd = 2 * MSS;
	lose(&s);
	assert_int_equal(s.c->cwnd, 2 * MSS); /* no less than two segments */
	window_stop(&s);
}

/* 200 segments: K = cbrt(60 / 0.4) = 5.3 s. */
static void the_old_maximum_is_reached_after_k(void **state)
{
	(void)state;
	struct window s;
	window_start(&s);
	s.c->cwnd = 200 * MSS;
	lose(&s);
	for (uint32_t i = 0; i < 27; i++)
		round_trip(&s);
	assert_in_range(s.c->cwnd, 185 * MSS, 199 * MSS);
	for (uint32_t i = 0; i < 26; i++)
		round_trip(&s);
	assert_in_range(s.c->cwnd, 197 * MSS, 203 * MSS);
	for (uint32_t i = 0; i < 40; i++)
		round_trip(&s);
	assert_in_range(s.c->cwnd, 215 * MSS, 245 * MSS); /* 0.4 * 4^3 = 26 above */
	window_stop(&s);
}

static void who_lost_before_the_old_maximum_gives_way(void **state)
{
	(void)state;
	struct window s;
	window_start(&s);
	s.c->cwnd = 100 * MSS;
	lose(&s);
	assert_int_equal(s.c->cubic_max, 100 * MSS);
	s.c->cwnd = 80 * MSS;
	lose(&s);
	assert_int_equal(s.c->cubic_max, 68 * MSS); /* RFC 9438, 4.7: 0.85 of what it reached */
	s.c->cwnd = 90 * MSS;
	lose(&s);
	assert_int_equal(s.c->cubic_max, 90 * MSS);
	window_stop(&s);
}

static void time_without_need_is_not_counted(void **state)
{
	(void)state;
	struct window s[2];
	for (uint32_t i = 0; i < 2; i++) {
		window_start(&s[i]);
		s[i].c->cwnd = 200 * MSS;
		lose(&s[i]);
		round_trip(&s[i]);
		if (i)
			s[i].w.now_ns += 30000 * MS; /* the application had little to say */
		round_trip(&s[i]);
		round_trip(&s[i]);
	}
	assert_in_range(s[1].c->cwnd, s[0].c->cwnd - 2 * MSS, s[0].c->cwnd + 2 * MSS);
	window_stop(&s[0]);
	window_stop(&s[1]);
}

static void an_acknowledgement_of_much_counts_for_little_at_once(void **state)
{
	(void)state;
	struct window s;
	window_start(&s);
	struct tcp_ack ack = {.acked = 1000 * MSS, .delivered = 1000 * MSS, .rtt_us = 1, .clean_rtt_us = UINT32_MAX};
	tcp_congestion_acked(s.c, &ack);
	assert_int_equal(s.c->cwnd, 18 * MSS); /* RFC 9406, 4.2: eight segments */
	s.c->ssthresh = s.c->cwnd;
	tcp_congestion_acked(s.c, &ack);
	assert_true(s.c->cwnd <= 27 * MSS);
	window_stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slow_start_doubles_and_stops_at_the_threshold),
		cmocka_unit_test(a_loss_leaves_seven_tenths),
		cmocka_unit_test(the_old_maximum_is_reached_after_k),
		cmocka_unit_test(who_lost_before_the_old_maximum_gives_way),
		cmocka_unit_test(time_without_need_is_not_counted),
		cmocka_unit_test(an_acknowledgement_of_much_counts_for_little_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
