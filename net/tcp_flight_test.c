/* The records of a flight against a plain model: an array with the fate of each byte. */
#include "tcp_flight.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "support/flight_check.h"
#include "support/world.h"

#define BYTES 60000
#define MSS 1000
#define MS UINT64_C(1000000)

struct model {
	struct world w;
	struct net *net;
	struct tcp_conn *c;
	uint64_t base;
	uint8_t fate[BYTES]; /* enum tcp_sent_state */
};

static void model_start(struct model *m, uint64_t seed, uint32_t records)
{
	memset(m, 0, sizeof *m);
	world_init(&m->w, seed);
	struct net_config config = world_config(&m->w, 0);
	config.sent_records_max = records;
	world_start(&m->w, 0, &config);
	m->net = m->w.station[0].net;
	struct net_endpoint to = {net_address_v4(WORLD_B_IP), 80};
	assert_false(failed(tcp_connect(&m->c, m->net, &to)));
	m->c->sack_ok = true;
	m->c->mss = MSS;
	m->base = m->c->snd_una;
	assert_true(m->c->last.start == m->base && m->c->last.end == m->base);
}

static void model_stop(struct model *m)
{
	tcp_release(m->c);
	assert_int_equal(net_usage(m->net).sent_records, 0);
	world_deinit(&m->w);
}

static void clock_move(struct model *m)
{
	m->net->now_ns = m->w.now_ns;
	m->net->now_us = (uint32_t)(m->w.now_ns / 1000);
}

static void send_new(struct model *m, uint32_t len)
{
	struct tcp_conn *c = m->c;
	uint64_t end = c->snd_max + len;
	if (end > m->base + BYTES)
		return;
	memset(m->fate + (c->snd_max - m->base), TCP_SENT_OUT, len);
	tcp_flight_sent(c, c->snd_max, end);
	c->snd_nxt = c->snd_max = end;
}

static struct tcp_ack ack_at(const struct model *m, uint64_t ack)
{
	(void)m;
	return (struct tcp_ack){.ack = ack, .rtt_us = UINT32_MAX, .clean_rtt_us = UINT32_MAX};
}

static uint32_t cover(struct model *m, uint64_t ack)
{
	struct tcp_ack a = ack_at(m, ack);
	uint32_t news = 0;
	for (uint64_t s = m->c->snd_una; s < ack; s++)
		news += m->fate[s - m->base] != TCP_SENT_SACKED;
	tcp_flight_cover(m->c, &a);
	m->c->snd_una = ack;
	assert_int_equal(a.delivered, news);
	return news;
}

static void sack(struct model *m, uint64_t start, uint64_t end)
{
	struct tcp_ack a = ack_at(m, m->c->snd_una);
	uint32_t news = 0;
	tcp_flight_sack(m->c, start, end, &a);
	for (uint64_t s = start; s < end; s++) {
		news += m->fate[s - m->base] != TCP_SENT_SACKED;
		m->fate[s - m->base] = TCP_SENT_SACKED;
	}
	assert_int_equal(a.delivered, news);
}

/* The records say of each byte what the model says. */
static void agree(const struct model *m)
{
	const struct tcp_conn *c = m->c;
	flight_check(c);
	for (const struct tcp_sent *r = c->sent; r; r = r->next) {
		for (uint64_t s = r->start; s < r->end; s++)
			assert_int_equal(m->fate[s - m->base], r->state);
	}
}

static void lose_overdue(struct model *m, uint32_t older_us)
{
	uint32_t now = tcp_now_us(m->net);
	for (struct tcp_sent *r = m->c->sent; r; r = r->next) {
		if (r->state != TCP_SENT_OUT || now - r->sent_us < older_us || r->start == r->end)
			continue;
		memset(m->fate + (r->start - m->base), TCP_SENT_LOST, (size_t)(r->end - r->start));
		tcp_flight_lose(m->c, r);
	}
}

static void repeat_first(struct model *m, uint32_t len)
{
	const struct tcp_sent *r = tcp_flight_first_lost(m->c);
	if (!r)
		return;
	uint64_t start = r->start, end = r->end < start + len ? r->end : start + len;
	tcp_flight_repeated(m->c, start, end);
	memset(m->fate + (start - m->base), TCP_SENT_OUT, (size_t)(end - start));
}

static uint64_t between(struct model *m, uint64_t low, uint64_t high)
{
	return low + world_below(&m->w, (uint32_t)(high - low + 1));
}

static void any_step(struct model *m)
{
	struct tcp_conn *c = m->c;
	uint64_t a = between(m, c->snd_una, c->snd_max), b = between(m, c->snd_una, c->snd_max);
	m->w.now_ns += world_below(&m->w, 3) * MS;
	clock_move(m);
	switch (world_below(&m->w, 7)) {
	case 0: case 1: send_new(m, 1 + world_below(&m->w, 5 * MSS)); break;
	case 2: case 3:
		if (a != b)
			sack(m, a < b ? a : b, a < b ? b : a);
		break;
	case 4: repeat_first(m, 1 + world_below(&m->w, 2 * MSS)); break;
	case 5: lose_overdue(m, world_below(&m->w, 20000)); break;
	default: cover(m, between(m, c->snd_una, c->snd_una + (c->snd_max - c->snd_una) / 3)); break;
	}
}

static void records_and_bytes_agree_whatever_happens(void **state)
{
	(void)state;
	struct model *m = malloc(sizeof *m);
	for (uint64_t seed = 1; seed <= 60; seed++) {
		model_start(m, seed, 4096);
		for (uint32_t i = 0; i < 300; i++) {
			any_step(m);
			agree(m);
		}
		assert_int_equal(net_counters(m->net)->tcp_sent_record_failures, 0);
		cover(m, m->c->snd_max);
		agree(m);
		assert_int_equal(m->c->records, 0);
		model_stop(m);
	}
	free(m);
}

static void a_flight_sent_at_one_time_takes_nothing_from_the_pool(void **state)
{
	(void)state;
	struct model *m = malloc(sizeof *m);
	model_start(m, 1, 64);
	for (uint32_t i = 0; i < 10; i++)
		send_new(m, MSS);
	assert_int_equal(net_usage(m->net).sent_records, 0);
	cover(m, m->base + 3 * MSS); /* acknowledged piece by piece */
	cover(m, m->base + 10 * MSS);
	assert_int_equal(net_usage(m->net).sent_records, 0);
	model_stop(m);
	free(m);
}

static void a_burst_that_arrived_in_part_is_cut_and_joined_again(void **state)
{
	(void)state;
	struct model *m = malloc(sizeof *m);
	model_start(m, 1, 128);
	send_new(m, 40 * MSS);
	for (uint32_t i = 1; i < 40; i += 2) /* 20 holes */
		sack(m, m->base + i * MSS, m->base + (i + 1) * MSS);
	agree(m);
	assert_int_equal(m->c->records, 39);
	assert_int_equal(m->c->sacked, 20 * MSS);
	for (uint32_t i = 2; i < 40; i += 2)
		sack(m, m->base + i * MSS, m->base + (i + 1) * MSS);
	agree(m);
	assert_int_equal(m->c->records, 1); /* a hole, and the rest */
	model_stop(m);
	free(m);
}

/* Any operations at all with few records, and none: what is not noted is never taken for arrived. */
static void without_records_the_notes_are_coarser_but_never_wrong(void **state)
{
	(void)state;
	struct model *m = malloc(sizeof *m);
	for (uint64_t seed = 1; seed <= 200; seed++) {
		model_start(m, seed, 1 + (uint32_t)seed % 6);
		for (uint32_t i = 0; i < 200; i++) {
			struct tcp_conn *c = m->c;
			uint64_t a = between(m, c->snd_una, c->snd_max), b = between(m, c->snd_una, c->snd_max);
			struct tcp_ack ack = ack_at(m, c->snd_una);
			m->w.now_ns += MS;
			clock_move(m);
			switch (world_below(&m->w, 5)) {
			case 0: send_new(m, MSS); break;
			case 1:
				if (a == b)
					break;
				for (uint64_t s = a < b ? a : b; s < (a < b ? b : a); s++)
					m->fate[s - m->base] = TCP_SENT_SACKED;
				tcp_flight_sack(c, a < b ? a : b, a < b ? b : a, &ack);
				break;
			case 2: lose_overdue(m, 5000); break;
			case 3: {
				const struct tcp_sent *r = tcp_flight_first_lost(c);
				if (r)
					tcp_flight_repeated(c, r->start, r->end - r->start > MSS ? r->start + MSS : r->end);
				break;
			}
			default:
				ack.ack = between(m, c->snd_una, c->snd_una + (c->snd_max - c->snd_una) / 3);
				tcp_flight_cover(c, &ack);
				c->snd_una = ack.ack;
				break;
			}
			flight_check(c);
			for (const struct tcp_sent *r = c->sent; r; r = r->next) {
				for (uint64_t s = r->start; s < r->end && r->state == TCP_SENT_SACKED; s++)
					assert_int_equal(m->fate[s - m->base], TCP_SENT_SACKED);
			}
		}
		assert_true(net_usage(m->net).sent_records <= 1 + (uint32_t)seed % 6);
		model_stop(m);
	}
	free(m);
}

static void a_lost_stretch_without_a_record_is_repeated_segment_by_segment(void **state)
{
	(void)state;
	struct model *m = malloc(sizeof *m);
	model_start(m, 1, 1);
	struct tcp_conn *c = m->c;
	c->records = 1; /* as if it had what there is for it */
	send_new(m, 5 * MSS);
	tcp_flight_lose(c, c->sent);
	for (uint32_t i = 0; i < 5; i++) {
		const struct tcp_sent *r = tcp_flight_first_lost(c);
		assert_non_null(r);
		assert_true(r->start == m->base + i * MSS);
		tcp_flight_repeated(c, r->start, r->start + MSS);
		assert_int_equal(c->lost, 0);
		struct tcp_ack ack = ack_at(m, r->start + MSS);
		tcp_flight_cover(c, &ack);
		c->snd_una = ack.ack;
		assert_int_equal(c->lost, (4 - i) * MSS); /* known to be missing at once */
	}
	assert_true(net_counters(m->net)->tcp_sent_record_failures > 0);
	c->records = 0;
	model_stop(m);
	free(m);
}

/* One connection cannot take what others need: it gets no more than it leaves. */
static void a_connection_takes_at_most_half_of_the_records(void **state)
{
	(void)state;
	struct model *m = malloc(sizeof *m);
	model_start(m, 1, 32);
	for (uint32_t i = 0; i < 50; i++) {
		m->w.now_ns += MS;
		clock_move(m);
		send_new(m, MSS);
		flight_check(m->c);
	}
	assert_int_equal(net_usage(m->net).sent_records, 16);
	assert_true(m->c->last.end - m->c->last.start > 30 * MSS);
	model_stop(m);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flight_sent_at_one_time_takes_nothing_from_the_pool),
		cmocka_unit_test(a_burst_that_arrived_in_part_is_cut_and_joined_again),
		cmocka_unit_test(records_and_bytes_agree_whatever_happens),
		cmocka_unit_test(without_records_the_notes_are_coarser_but_never_wrong),
		cmocka_unit_test(a_lost_stretch_without_a_record_is_repeated_segment_by_segment),
		cmocka_unit_test(a_connection_takes_at_most_half_of_the_records),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
