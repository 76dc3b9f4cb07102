/* How fast a download is over simulated links, in virtual time, so that the figures are the same everywhere:
 * what loss, reordering and long paths cost is bounded by what CUBIC should reach there. */
#include <net/net.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "support/flight_check.h"
#include "support/world.h"

#define SECOND UINT64_C(1000000000)
#define MS UINT64_C(1000000)
#define MIB (1u << 20)
#define CHUNK (64u << 10)
#define CHUNKS 128

/* Station 1 sends `total` bytes to station 0, which reads at once. */
struct download {
	struct world w;
	struct tcp_conn *client, *server;
	struct tcp_send send[CHUNKS];
	bool busy[CHUNKS];
	uint64_t total, queued, got;
	uint64_t done_ns, first_ns;
	uint64_t queue_max_ns; /* of the line: what does not fit is dropped */
	uint64_t mark_ns;      /* what waits longer is marked; 0: never */
	uint32_t queue_drops, marks;
};

static uint8_t bytes[CHUNK];
static const struct slice chunk = {bytes, sizeof bytes};

static void sent(struct tcp_send *s, bool delivered)
{
	(void)delivered;
	*(bool *)s->cookie = false;
}

static void feed(struct download *d)
{
	for (uint32_t i = 0; i < CHUNKS && d->queued < d->total; i++) {
		if (d->busy[i])
			continue;
		d->send[i] = (struct tcp_send){.segments = &chunk, .count = 1, .done = sent, .cookie = &d->busy[i]};
		d->busy[i] = true;
		assert_false(failed(tcp_send(d->server, &d->send[i])));
		d->queued += CHUNK;
	}
}

static void serve(struct world *w)
{
	struct download *d = w->cookie;
	uint32_t events;
	struct tcp_conn *c;
	struct slice s;
	while ((c = net_event_next(w->station[0].net, &events))) {
		if (events & TCP_CLOSED)
			fail_msg("closed: events %x after %lu bytes", events, (unsigned long)d->got);
		while (tcp_peek(c, &s)) {
			d->got += s.len;
			tcp_consume(c, s.len);
		}
	}
	while ((c = net_event_next(w->station[1].net, &events))) {
		assert_false(events & TCP_CLOSED);
		d->server = c;
	}
	if (d->server) {
		feed(d);
		flight_check(d->server);
	}
	if (d->got >= d->total && !d->done_ns)
		d->done_ns = w->now_ns;
}

/* A drop-tail queue before the line of station 1. */
static bool filter(struct world *w, uint32_t from, uint8_t *b, uint32_t len)
{
	struct download *d = w->cookie;
	const struct station *s = &w->station[1];
	if (from != 1 || !d->queue_max_ns || s->line_free_ns <= w->now_ns)
		return true;
	uint64_t waits = s->line_free_ns - w->now_ns;
	if (d->mark_ns && waits > d->mark_ns && (b[15] & 3) == 2) {
		uint32_t sum = load_be16(b + 24) + 0xffffu - 1; /* one less in the sum's complement */
		b[15] |= 1;
		store_be16(b + 24, (uint16_t)((sum & 0xffff) + (sum >> 16)));
		d->marks++;
	}
	if (waits <= d->queue_max_ns)
		return true;
	d->queue_drops++;
	(void)len;
	return false;
}

static struct download *download_new(uint64_t seed, const struct faults *faults, bool tso, enum net_ecn ecn,
	uint32_t window)
{
	struct download *d = calloc(1, sizeof *d);
	world_init(&d->w, seed);
	d->w.cookie = d;
	d->w.filter = filter;
	for (uint32_t i = 0; i < 2; i++) {
		struct net_config c = world_config(&d->w, i);
		c.tx_checksum = c.tx_tso4 = tso;
		c.receive_window = window;
		c.receive_window_max = 4 * MIB;
		c.rx_frames_max = WORLD_RX_FRAMES - 64;
		c.ecn = ecn;
		c.user_timeout_ns = 1000 * SECOND;
		world_start(&d->w, i, &c);
	}
	d->w.faults = *faults;
	assert_false(failed(tcp_listen(d->w.station[1].net, 80, 0)));
	struct net_endpoint to = {net_address_v4(WORLD_B_IP), 80};
	assert_false(failed(tcp_connect(&d->client, d->w.station[0].net, &to)));
	return d;
}

static const struct net_counters *counters(const struct download *d)
{
	return net_counters(d->w.station[1].net);
}

/* Mbit/s */
static double download_run(struct download *d, uint64_t total, uint64_t limit_ns)
{
	uint64_t start = d->w.now_ns;
	d->total = total;
	while (!d->done_ns && d->w.now_ns < start + limit_ns && world_step(&d->w, start + limit_ns))
		serve(&d->w);
	if (!d->done_ns)
		fail_msg("%lu of %lu bytes after %lu s", (unsigned long)d->got, (unsigned long)total,
			(unsigned long)(limit_ns / SECOND));
	return (double)total * 8e3 / (double)(d->done_ns - start);
}

static void download_free(struct download *d)
{
	tcp_release(d->client);
	tcp_release(d->server);
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(net_usage(d->w.station[i].net).sent_records, 0);
	world_run(&d->w, d->w.now_ns + SECOND, NULL);
	world_deinit(&d->w);
	free(d);
}

/* The median of three seeds. */
static double goodput(const struct faults *faults, bool tso, uint64_t total)
{
	double v[3];
	uint32_t timeouts = 0, spurious = 0;
	for (uint32_t i = 0; i < 3; i++) {
		struct download *d = download_new(100 + i, faults, tso, NET_ECN_ACCEPT, 0);
		v[i] = download_run(d, total, 600 * SECOND);
		timeouts += (uint32_t)counters(d)->tcp_timeouts;
		spurious += (uint32_t)(counters(d)->tcp_spurious_recoveries + counters(d)->tcp_spurious_timeouts);
		download_free(d);
	}
	double low = v[0] < v[1] ? v[0] : v[1], high = v[0] < v[1] ? v[1] : v[0];
	double median = v[2] < low ? low : v[2] > high ? high : v[2];
	print_message("# %.1f %% loss, %.0f %% reordered, RTT %lu ms%s: %.1f Mbit/s (%u timeouts, %u undone)\n",
		faults->loss / 100.0, faults->reorder / 100.0, (unsigned long)(2 * faults->delay_ns / MS),
		tso ? ", bursts" : "", median, timeouts, spurious);
	return median;
}

#define LINE (100u * 1000 * 1000 / 8) /* 100 Mbit/s */

/* By Mathis' formula Reno reaches MSS/RTT * sqrt(3/2) / sqrt(p); CUBIC is at least as fast. */
static void loss_costs_no_more_than_congestion_control_says(void **state)
{
	(void)state;
	static const struct { uint32_t loss; double least; uint32_t mib; } row[] = {
		{0, 70, 16}, {10, 9.5, 8}, {100, 3.0, 4}, {500, 1.1, 1}, {2000, 0.05, 0},
	};
	for (uint32_t tso = 0; tso < 2; tso++) {
		for (uint32_t i = 0; i < ARRAY_LEN(row); i++) {
			struct faults f = {.loss = row[i].loss, .delay_ns = 20 * MS, .rate_bps = LINE};
			double got = goodput(&f, tso, row[i].mib ? row[i].mib * (uint64_t)MIB : MIB / 4);
			if (got < row[i].least)
				fail_msg("%.2f Mbit/s, less than %.2f", got, row[i].least);
		}
	}
}

static void reordering_a_quarter_costs_little(void **state)
{
	(void)state;
	struct faults f = {.delay_ns = 10 * MS, .rate_bps = LINE};
	double straight = goodput(&f, true, 8 * MIB);
	f.reorder = 2500;
	f.jitter_ns = 4 * MS;
	double mixed = goodput(&f, true, 8 * MIB);
	assert_true(mixed > straight * 0.5);
}

static void short_paths_fill_a_fast_line(void **state)
{
	(void)state;
	struct faults f = {.delay_ns = MS / 2, .rate_bps = LINE * UINT64_C(10)};
	assert_true(goodput(&f, true, 32 * MIB) > 600);
}

/* A deep queue in front of the line: slow start ends by delay, not by losing a window's worth. */
static void slow_start_ends_before_the_queue_overflows(void **state)
{
	(void)state;
	struct faults f = {.delay_ns = 20 * MS, .rate_bps = LINE / 5};
	for (uint32_t tso = 0; tso < 2; tso++) {
		struct download *d = download_new(7, &f, tso, NET_ECN_ACCEPT, 4 * MIB);
		d->queue_max_ns = 400 * MS;
		double got = download_run(d, 6 * MIB, 60 * SECOND);
		print_message("# queue of 400 ms%s: %.1f Mbit/s, %u dropped, %lu exits\n", tso ? ", bursts" : "", got,
			d->queue_drops, (unsigned long)counters(d)->tcp_hystart_exits);
		assert_int_equal(counters(d)->tcp_hystart_exits, 1);
		assert_int_equal(d->queue_drops, 0);
		download_free(d);
	}
}

static void a_queue_that_marks_drops_nothing(void **state)
{
	(void)state;
	struct faults f = {.delay_ns = 20 * MS, .rate_bps = LINE};
	struct download *d = download_new(9, &f, true, NET_ECN_ASK, 4 * MIB);
	d->queue_max_ns = 150 * MS;
	d->mark_ns = 20 * MS;
	double got = download_run(d, 24 * MIB, 60 * SECOND);
	print_message("# marked: %.1f Mbit/s, %u marks, %u dropped, %lu reductions\n", got, d->marks, d->queue_drops,
		(unsigned long)counters(d)->tcp_ecn_reductions);
	assert_true(d->marks > 0 && counters(d)->tcp_ecn_reductions > 0);
	assert_int_equal(d->queue_drops, 0);
	assert_int_equal(counters(d)->tcp_retrans_segs, 0);
	assert_true(got > 50);
	download_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loss_costs_no_more_than_congestion_control_says),
		cmocka_unit_test(reordering_a_quarter_costs_little),
		cmocka_unit_test(short_paths_fill_a_fast_line),
		cmocka_unit_test(slow_start_ends_before_the_queue_overflows),
		cmocka_unit_test(a_queue_that_marks_drops_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
