/* How fast to send: slow start with HyStart++ (RFC 9406), CUBIC (RFC 9438), and what idleness takes away
 * (RFC 5681, 4.1, and RFC 2861). Windows are in bytes, growth is by bytes that have arrived (RFC 3465), so
 * that a peer gains nothing by many acknowledgements.
 *
 *   slow start --round-trip times rise by an eighth--> careful (a quarter as fast)
 *   careful --they fell again--> slow start;  --five rounds--> avoidance
 *   any --loss, or a mark--> avoidance: W(t) = 0.4 (t - K)^3 + w_max, and no less than Reno would have
 *
 * The window grows only while it is what limits the sender. Time in which it was not is taken out of t. */
#include <base/arith.h>

#include "tcp_conn.h"

#define CWND_MAX (UINT32_C(1) << 30)
#define BETA_PERCENT 70
#define SLOW_START_SEGMENTS 8 /* growth by one acknowledgement, when the device does not send bursts anyway */
#define HYSTART_SAMPLES 8
#define HYSTART_MIN_US 4000u
#define HYSTART_MAX_US 16000u
#define CAREFUL_ROUNDS 5
#define CAREFUL_DIVISOR 4

static uint32_t initial_window(const struct tcp_conn *c)
{
	uint32_t initial = TCP_INITIAL_SEGMENTS * c->mss; /* RFC 6928 */
	uint32_t bound = 14600 > 2 * c->mss ? 14600 : 2 * c->mss;
	return initial < bound ? initial : bound;
}

void tcp_congestion_init(struct tcp_conn *c)
{
	c->cwnd = initial_window(c);
	c->ssthresh = UINT32_MAX;
	c->cubic_max = 0;
	c->epoch_ms = 0;
	c->hystart_low_us = c->hystart_last_us = UINT32_MAX;
	c->hystart_round = (uint32_t)c->snd_una;
}

/* --- Slow start ------------------------------------------------------------------------------ */

static void slow_start_leave(struct tcp_conn *c)
{
	c->ssthresh = c->cwnd;
	c->careful_rounds = 0;
	c->net->counters.tcp_hystart_exits++;
}

static void round_begin(struct tcp_conn *c)
{
	c->hystart_round = (uint32_t)c->snd_max;
	c->hystart_last_us = c->hystart_low_us;
	c->hystart_low_us = UINT32_MAX;
	c->hystart_samples = 0;
	if (c->careful_rounds && ++c->careful_rounds > CAREFUL_ROUNDS)
		slow_start_leave(c);
}

/* Only the first acknowledgement of a burst shows the path's delay; those of the rest show how long the
 * burst took to pass. So it counts for all that a burst causes. */
static void hystart(struct tcp_conn *c, const struct tcp_ack *ack)
{
	if (!seq_before((uint32_t)c->snd_una, c->hystart_round))
		round_begin(c);
	if (ack->clean_rtt_us == UINT32_MAX)
		return;
	if (ack->clean_rtt_us < c->hystart_low_us)
		c->hystart_low_us = ack->clean_rtt_us;
	uint32_t samples = c->hystart_samples + (ack->clean_segments + 1) / 2;
	c->hystart_samples = (uint8_t)u32_min(samples, HYSTART_SAMPLES);
	if (c->hystart_samples < HYSTART_SAMPLES || c->hystart_last_us == UINT32_MAX)
		return;
	uint32_t rise = c->hystart_last_us / 8;
	rise = rise < HYSTART_MIN_US ? HYSTART_MIN_US : rise > HYSTART_MAX_US ? HYSTART_MAX_US : rise;
	if (!c->careful_rounds && c->hystart_low_us >= c->hystart_last_us + rise) {
		c->careful_rounds = 1;
		c->hystart_base_us = c->hystart_low_us;
	} else if (c->careful_rounds && c->hystart_low_us < c->hystart_base_us) {
		c->careful_rounds = 0; /* it was a passing queue */
	}
}

static void slow_start(struct tcp_conn *c, const struct tcp_ack *ack, uint32_t bytes)
{
	uint32_t most = SLOW_START_SEGMENTS * c->mss;
	if (tcp_is_cut(c) && most < 65536)
		most = 65536;
	uint32_t growth = u32_min(bytes, most);
	if (c->ssthresh == UINT32_MAX) {
		hystart(c, ack);
		if (c->ssthresh != UINT32_MAX)
			return;
		if (c->careful_rounds)
			growth /= CAREFUL_DIVISOR;
	}
	c->cwnd = u32_min((uint64_t)c->cwnd + growth, c->ssthresh);
}

/* --- CUBIC ----------------------------------------------------------------------------------- */

static uint32_t cube_root(uint64_t x)
{
	uint64_t root = 0;
	for (int bit = 20; bit >= 0; bit--) {
		uint64_t t = root | UINT64_C(1) << bit;
		if (t * t * t <= x)
			root = t;
	}
	return (uint32_t)root;
}

static void cubic_epoch(struct tcp_conn *c)
{
	c->epoch_ms = tcp_now_ms(c->net) | 1;
	c->grown_ms = c->epoch_ms;
	c->cubic_reno = c->cwnd;
	c->cubic_k_ms = 0;
	if (c->cwnd < c->cubic_max) {
		/* K = cbrt((w_max - cwnd) / C), C = 0.4 segments/s^3: here in ms. */
		uint64_t segments = (c->cubic_max - c->cwnd) / c->mss;
		c->cubic_k_ms = cube_root(segments * 2500000000u);
	} else {
		c->cubic_max = c->cwnd;
	}
}

/* `part` of `whole` for each of `acked` bytes, to the nearest. */
static uint32_t share(uint64_t part, uint32_t acked, uint32_t whole)
{
	return (uint32_t)((part * acked + whole / 2) / whole);
}

static void cubic_grow(struct tcp_conn *c, uint32_t acked)
{
	uint32_t now = tcp_now_ms(c->net), rtt = c->srtt_us / 1000;
	if (!c->epoch_ms)
		cubic_epoch(c);
	if (now - c->grown_ms > 2 * rtt + 1) /* the application set the pace (RFC 9438, 5.8) */
		c->epoch_ms += now - c->grown_ms;
	c->grown_ms = now;
	int64_t t = (int64_t)(int32_t)(now - c->epoch_ms) + rtt - c->cubic_k_ms;
	if (t > 100000)
		t = 100000;
	/* 0.4 * t^3 segments, t in seconds. */
	int64_t target = (int64_t)c->cubic_max + t * t * t / 1000 * (int64_t)c->mss / 1000000 * 2 / 5;
	int64_t cwnd = c->cwnd, most = cwnd + cwnd / 2;
	/* Reno's: 3 (1 - beta) / (1 + beta) segments a round trip; one when it is back where it was. */
	uint32_t prior = (uint32_t)((uint64_t)c->ssthresh * 100 / BETA_PERCENT);
	c->cubic_reno += share(c->cubic_reno < prior ? c->mss * 529 / 1000 : c->mss, acked, c->cwnd);
	if (c->cubic_reno > most)
		c->cubic_reno = (uint32_t)most;
	target = target < most ? target : most;
	if (target > cwnd)
		c->cwnd += share((uint64_t)(target - cwnd), acked, c->cwnd);
	if (c->cwnd < c->cubic_reno)
		c->cwnd = c->cubic_reno;
}

void tcp_congestion_acked(struct tcp_conn *c, const struct tcp_ack *ack)
{
	/* After a timeout much that is acknowledged had arrived before. */
	uint32_t bytes = c->recovery == TCP_RECOVERY_OPEN ? ack->acked : ack->delivered;
	if (c->cwnd < c->ssthresh)
		slow_start(c, ack, bytes);
	else
		cubic_grow(c, u32_min(bytes, c->cwnd));
	if (c->cwnd > CWND_MAX)
		c->cwnd = CWND_MAX;
}

void tcp_congestion_reduce(struct tcp_conn *c)
{
	uint32_t before = c->cwnd, least = 2 * c->mss;
	/* Fast convergence (RFC 9438, 4.7): give way when the last maximum was not reached again. */
	c->cubic_max = before < c->cubic_max ? before / 100 * 85 : before;
	c->epoch_ms = 0;
	c->careful_rounds = 0;
	c->ssthresh = (uint32_t)((uint64_t)before * BETA_PERCENT / 100);
	if (c->ssthresh < least)
		c->ssthresh = least;
	c->cwr_due = c->ecn_ok;
}

/* --- Idleness -------------------------------------------------------------------------------- */

/* Nothing was in flight for a timeout or longer: what the path could carry then it may not carry now. Half
 * the window for each timeout, but the initial one is always allowed; where it was is remembered. */
void tcp_congestion_idle(struct tcp_conn *c)
{
	uint32_t idle = tcp_now_us(c->net) - c->last.sent_us, least = initial_window(c);
	c->epoch_ms = 0;
	if (c->cwnd <= least)
		return;
	if (c->ssthresh < c->cwnd / 4 * 3)
		c->ssthresh = c->cwnd / 4 * 3;
	for (; idle > c->rto_us && c->cwnd > least; idle -= c->rto_us)
		c->cwnd /= 2;
	if (c->cwnd < least)
		c->cwnd = least;
	c->net->counters.tcp_idle_restarts++;
}
