/* Loss and congestion: round-trip times (RFC 6298), selective acknowledgements and fast recovery (RFC 6675;
 * without SACK, NewReno, RFC 6582), CUBIC (RFC 9438), the retransmission timeout, and before that a tail
 * loss probe (RFC 8985, 7).
 *
 *   open --3 duplicates, or SACK says lost--> recovering --all of then acknowledged--> open
 *   open, recovering --timeout--> loss: snd_nxt goes back to snd_una, cwnd to one segment, slow start;
 *                                 no fast recovery until what was out then is acknowledged
 *
 * The minimum timeout is 200 ms, not 1 s (RFC 6298, 2.4 says SHOULD): as the large systems have it. */
#include "tcp_conn.h"

#define DUP_THRESHOLD 3
#define CWND_MAX (UINT32_C(1) << 30)
#define SYN_RETRIES_MAX 7 /* 187 s in all: no less than 3 minutes (RFC 9293, 3.8.3) */
#define BETA_PERCENT 70
#define PROBE_MIN_NS (10 * NS_PER_MS)

static uint32_t u32_min(uint64_t a, uint32_t b)
{
	return a < b ? (uint32_t)a : b;
}

static uint64_t u64_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* --- Round-trip time ------------------------------------------------------------------------- */

void tcp_rtt_sample(struct tcp_conn *c, uint64_t rtt)
{
	if (!c->srtt_ns) {
		c->srtt_ns = rtt ? rtt : 1;
		c->rttvar_ns = rtt / 2;
	} else {
		uint64_t gap = c->srtt_ns > rtt ? c->srtt_ns - rtt : rtt - c->srtt_ns;
		c->rttvar_ns += gap / 4 - c->rttvar_ns / 4;
		c->srtt_ns += rtt / 8 - c->srtt_ns / 8;
	}
	uint64_t rto = c->srtt_ns + 4 * c->rttvar_ns;
	rto = u64_max(rto, TCP_RTO_MIN_NS);
	c->rto_ns = rto < TCP_RTO_MAX_NS ? rto : TCP_RTO_MAX_NS;
}

static void rtt_measure(struct tcp_conn *c, uint64_t ack, uint32_t ts_echo, bool has_ts)
{
	if (c->rtt_sent_ns) {
		if (ack < c->rtt_seq)
			return;
		tcp_rtt_sample(c, c->net->now_ns - c->rtt_sent_ns);
		c->rtt_sent_ns = 0;
	} else if (has_ts && c->ts_ok) { /* retransmitted: the timestamp tells which one arrived */
		uint32_t ms = tcp_ts_now(c->net, c->ts_offset) - ts_echo;
		/* The answer to a repeated SYN|ACK echoes one that came long before. */
		bool handshake = c->state == TCP_STATE_SYN_SENT && ms > TCP_RTO_INITIAL_NS / NS_PER_MS / 3;
		if (ms < 60000 && !handshake)
			tcp_rtt_sample(c, ms * NS_PER_MS);
	}
}

/* --- CUBIC ----------------------------------------------------------------------------------- */

void tcp_congestion_init(struct tcp_conn *c)
{
	uint32_t initial = TCP_INITIAL_SEGMENTS * c->mss; /* RFC 6928 */
	uint32_t bound = 14600 > 2 * c->mss ? 14600 : 2 * c->mss;
	c->cwnd = initial < bound ? initial : bound;
	c->ssthresh = UINT32_MAX;
	c->cubic_max = 0;
	c->epoch_ns = 0;
}

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
	c->epoch_ns = c->net->now_ns;
	c->cubic_reno = c->cwnd;
	c->cubic_k_ms = 0;
	if (c->cwnd < c->cubic_max) {
		/* K = cbrt((Wmax - cwnd) / C), C = 0.4 segments/s^3: here in ms. */
		uint64_t segments = (c->cubic_max - c->cwnd) / c->mss;
		c->cubic_k_ms = cube_root(segments * 2500000000u);
	} else {
		c->cubic_max = c->cwnd;
	}
}

static void cubic_grow(struct tcp_conn *c, uint32_t acked)
{
	if (!c->epoch_ns)
		cubic_epoch(c);
	int64_t t = (int64_t)((c->net->now_ns - c->epoch_ns + c->srtt_ns) / NS_PER_MS) - c->cubic_k_ms;
	if (t > 100000)
		t = 100000;
	/* 0.4 * t^3 segments, t in seconds. */
	int64_t target = (int64_t)c->cubic_max + t * t * t / 1000 * (int64_t)c->mss / 1000000 * 2 / 5;
	c->cubic_reno += (uint32_t)((uint64_t)acked * c->mss * 529 / (UINT64_C(1000) * c->cwnd));
	if (target < (int64_t)c->cubic_reno)
		target = c->cubic_reno;
	if (target > (int64_t)c->cwnd + c->cwnd / 2)
		target = (int64_t)c->cwnd + c->cwnd / 2;
	if (target > (int64_t)c->cwnd)
		c->cwnd += (uint32_t)((uint64_t)(target - (int64_t)c->cwnd) * acked / c->cwnd);
}

static void congestion_acked(struct tcp_conn *c, uint64_t acked)
{
	c->cwnd_limited = false;
	if (c->cwnd < c->ssthresh)
		c->cwnd += u32_min(acked, c->cwnd);
	else
		cubic_grow(c, u32_min(acked, c->cwnd));
	if (c->cwnd > CWND_MAX)
		c->cwnd = CWND_MAX;
}

static void congestion_reduce(struct tcp_conn *c)
{
	uint32_t before = c->cwnd, least = 2 * c->mss;
	/* Fast convergence (RFC 9438, 4.7): give way when the last maximum was not reached again. */
	c->cubic_max = before < c->cubic_max ? before / 100 * 85 : before;
	c->epoch_ns = 0;
	c->ssthresh = (uint32_t)((uint64_t)before * BETA_PERCENT / 100);
	if (c->ssthresh < least)
		c->ssthresh = least;
}

/* --- The scoreboard: what the peer has beyond snd_una, sorted, disjoint ---------------------- */

static void range_remove(struct tcp_conn *c, uint32_t i)
{
	c->sacked_count--;
	memmove(&c->sacked[i], &c->sacked[i + 1], (c->sacked_count - i) * sizeof c->sacked[0]);
}

static void range_add(struct tcp_conn *c, uint64_t start, uint64_t end)
{
	uint32_t i = 0;
	while (i < c->sacked_count && c->sacked[i].end < start)
		i++;
	while (i < c->sacked_count && c->sacked[i].start <= end) {
		start = start < c->sacked[i].start ? start : c->sacked[i].start;
		end = u64_max(end, c->sacked[i].end);
		range_remove(c, i);
	}
	if (c->sacked_count == TCP_SACK_RANGES_MAX)
		return; /* one hole more than we remember: it is repeated although it arrived */
	memmove(&c->sacked[i + 1], &c->sacked[i], (c->sacked_count - i) * sizeof c->sacked[0]);
	c->sacked[i] = (struct tcp_range){start, end};
	c->sacked_count++;
}

static void ranges_prune(struct tcp_conn *c)
{
	while (c->sacked_count && c->sacked[0].end <= c->snd_una)
		range_remove(c, 0);
	if (c->sacked_count && c->sacked[0].start < c->snd_una)
		c->sacked[0].start = c->snd_una;
}

void tcp_sack_input(struct tcp_conn *c, struct slice blocks)
{
	for (size_t i = 0; i + 8 <= blocks.len; i += 8) {
		uint64_t start = seq_extend(c->snd_una, load_be32(blocks.ptr + i));
		uint64_t end = seq_extend(c->snd_una, load_be32(blocks.ptr + i + 4));
		if (start < end && start >= c->snd_una && end <= c->snd_max)
			range_add(c, start, end);
	}
}

uint64_t tcp_sacked_skip(const struct tcp_conn *c, uint64_t seq, uint64_t *limit)
{
	*limit = UINT64_MAX;
	for (uint32_t i = 0; i < c->sacked_count; i++) {
		if (seq < c->sacked[i].start) {
			*limit = c->sacked[i].start;
			return seq;
		}
		if (seq < c->sacked[i].end)
			seq = c->sacked[i].end;
	}
	return seq;
}

/* Below this, what is not acknowledged is taken for lost (IsLost in RFC 6675, 4): three ranges or more
 * than two segments arrived that were sent later; or the tail loss probe did, which had waited long
 * enough for all before it. */
static uint64_t lost_end(const struct tcp_conn *c)
{
	uint64_t above = 0;
	if (c->probe_end && c->sacked_count && c->sacked[c->sacked_count - 1].end >= c->probe_end)
		return c->sacked[c->sacked_count - 1].start;
	for (uint32_t i = c->sacked_count; i-- > 0;) {
		above += c->sacked[i].end - c->sacked[i].start;
		if (above > (DUP_THRESHOLD - 1) * c->mss || c->sacked_count - i >= DUP_THRESHOLD)
			return c->sacked[i].start;
	}
	return c->snd_una;
}

static uint64_t span(uint64_t from, uint64_t to)
{
	return to > from ? to - from : 0;
}

uint64_t tcp_pipe(const struct tcp_conn *c)
{
	if (LIKELY(!c->sacked_count)) {
		uint64_t flight = c->snd_nxt - c->snd_una, left = (uint64_t)c->dup_acks * c->mss;
		return flight > left ? flight - left : 0;
	}
	uint64_t pipe = 0, at = c->snd_una, lost = c->recovering ? lost_end(c) : 0;
	for (uint32_t i = 0; i <= c->sacked_count; i++) {
		uint64_t end = i < c->sacked_count ? c->sacked[i].start : c->snd_nxt;
		end = end < c->snd_nxt ? end : c->snd_nxt;
		/* A hole: below `lost` only what was repeated counts. */
		uint64_t cut = lost < end ? (lost > at ? lost : at) : end;
		if (at < cut)
			pipe += span(at, c->high_rxt < cut ? c->high_rxt : cut);
		pipe += span(cut, end);
		if (i < c->sacked_count)
			at = c->sacked[i].end;
	}
	return pipe;
}

bool tcp_retransmit_next(const struct tcp_conn *c, uint64_t *seq, uint32_t *len)
{
	uint64_t limit, end = u64_max(lost_end(c), c->snd_una + c->mss);
	uint64_t from = tcp_sacked_skip(c, u64_max(c->high_rxt, c->snd_una), &limit);
	uint64_t sent = c->snd_nxt < c->queue_end ? c->snd_nxt : c->queue_end;
	end = end < limit ? end : limit;
	end = end < sent ? end : sent;
	if (from >= end)
		return false;
	*seq = from;
	*len = u32_min(end - from, c->mss);
	return true;
}

/* --- Events ---------------------------------------------------------------------------------- */

static void recovery_acked(struct tcp_conn *c)
{
	c->high_rxt = u64_max(c->high_rxt, c->snd_una);
	c->rxt_mark = c->snd_max; /* or earlier, for the hole that is the first now */
	if (c->snd_una >= c->recover) {
		c->recovering = false;
		c->dup_acks = 0;
		c->cwnd = c->ssthresh;
	} else if (!c->sack_ok) {
		/* A partial acknowledgement: the next hole begins here (RFC 6582). */
		c->high_rxt = c->snd_una;
		c->dup_acks = 0;
	}
}

/* The probe or what it repeats was acknowledged (RFC 8985, 7.4): if the answer is to the probe, a loss was
 * repaired that nothing else tells of. */
static void probe_acked(struct tcp_conn *c, uint32_t ts_echo, bool has_ts)
{
	bool original = has_ts && c->ts_ok && seq_before(ts_echo, c->probe_ts);
	c->probe_end = 0;
	if (c->recovering || original)
		return;
	congestion_reduce(c);
	c->cwnd = c->ssthresh;
}

/* All that an acknowledgement can mean while something is lost, or the window is in the way. */
static void acked_unusual(struct tcp_conn *c, uint64_t acked, uint32_t ts_echo, bool has_ts)
{
	ranges_prune(c);
	if (c->probe_end && c->snd_una >= c->probe_end)
		probe_acked(c, ts_echo, has_ts);
	if (c->recovering) {
		recovery_acked(c);
		return;
	}
	c->dup_acks = 0;
	if (c->cwnd_limited) /* else the application sets the pace: nothing was learnt */
		congestion_acked(c, acked);
}

void tcp_acked(struct tcp_conn *c, uint64_t ack, uint32_t ts_echo, bool has_ts)
{
	uint64_t acked = ack - c->snd_una;
	c->snd_una = ack;
	if (c->snd_nxt < ack)
		c->snd_nxt = ack;
	c->backoff = 0;
	c->progress_ns = c->net->now_ns;
	rtt_measure(c, ack, ts_echo, has_ts);
	if (UNLIKELY(c->sacked_count || c->probe_end || c->recovering || c->cwnd_limited))
		acked_unusual(c, acked, ts_echo, has_ts);
	else
		c->dup_acks = 0;
	if (c->snd_max > c->snd_una)
		tcp_rto_start(c);
	else
		c->rto_at = TIMER_NEVER;
	tcp_sends_complete(c);
}

void tcp_dup_ack(struct tcp_conn *c)
{
	c->net->counters.tcp_dup_acks_in++;
	if (c->dup_acks < UINT8_MAX)
		c->dup_acks++;
}

/* What was sent after the repetition of the first hole has arrived, and the repetition has not: it was
 * lost too. */
static void repetition_check(struct tcp_conn *c)
{
	if (!c->sacked_count || c->high_rxt == c->snd_una)
		return;
	if (c->sacked[c->sacked_count - 1].end <= c->rxt_mark + (DUP_THRESHOLD - 1) * c->mss)
		return;
	c->high_rxt = c->snd_una;
	tcp_conn_wake(c);
}

void tcp_recovery_check(struct tcp_conn *c)
{
	if (c->recovering)
		repetition_check(c);
	if (c->recovering || c->snd_una < c->recover || c->snd_max == c->snd_una)
		return;
	if (c->dup_acks < DUP_THRESHOLD && lost_end(c) <= c->snd_una)
		return;
	c->net->counters.tcp_fast_recoveries++;
	congestion_reduce(c);
	c->cwnd = c->ssthresh;
	c->recovering = true;
	c->recover = c->snd_max;
	c->high_rxt = c->snd_una;
	tcp_conn_wake(c);
}

static void syn_rto(struct tcp_conn *c)
{
	if (c->backoff >= SYN_RETRIES_MAX) {
		c->net->counters.tcp_attempt_fails++;
		tcp_conn_kill(c, TCP_TIMED_OUT);
		return;
	}
	c->backoff++;
	c->snd_nxt = c->snd_una;
	tcp_rto_start(c);
	tcp_conn_wake(c);
}

/* Everything beyond snd_una is taken for lost; what the peer said it has may be forgotten by it. */
static void loss(struct tcp_conn *c)
{
	c->net->counters.tcp_timeouts++;
	if (!c->backoff) {
		congestion_reduce(c);
		c->recover = c->snd_max;
	}
	c->cwnd = c->mss;
	c->snd_nxt = c->snd_una;
	c->sacked_count = 0;
	c->dup_acks = 0;
	c->recovering = false;
	c->rtt_sent_ns = 0;
	c->probe_end = 0;
}

/* Flights of one segment wait for the timeout: their acknowledgement may be delayed as long. */
uint64_t tcp_probe_time(struct tcp_conn *c, uint64_t rto)
{
	uint64_t pto = u64_max(2 * c->srtt_ns, PROBE_MIN_NS);
	c->probe_armed = c->srtt_ns && pto < rto && c->sack_ok && !c->sacked_count && !c->backoff
		&& !c->recovering && !c->probe_end && c->snd_una >= c->recover && c->snd_wnd
		&& tcp_is_open(c);
	return c->probe_armed ? pto : rto;
}

static void probe_due(struct tcp_conn *c)
{
	c->net->counters.tcp_tail_loss_probes++;
	c->tail_probe = true;
	c->probe_end = c->snd_max;
	c->probe_ts = tcp_ts_now(c->net, c->ts_offset);
	tcp_rto_start(c);
	tcp_conn_wake(c);
}

void tcp_rto(struct tcp_conn *c)
{
	struct net *net = c->net;
	if (!tcp_is_open(c)) {
		syn_rto(c);
		return;
	}
	if (c->probe_armed) {
		probe_due(c);
		return;
	}
	bool unsent = c->snd_nxt < c->queue_end, unacked = c->snd_max > c->snd_una;
	if (!unsent && !unacked && !(c->fin_queued && c->snd_una <= c->queue_end))
		return;
	/* A peer that keeps its window closed and answers our probes may do so for ever (RFC 9293, 3.8.6.1). */
	uint64_t since = !c->snd_wnd && c->last_rx_ns > c->progress_ns ? c->last_rx_ns : c->progress_ns;
	if (net->now_ns - since > net->user_timeout_ns) {
		net->counters.tcp_user_timeouts++;
		tcp_rst_send(c);
		tcp_conn_kill(c, TCP_TIMED_OUT);
		return;
	}
	if (unacked && c->snd_nxt > c->snd_una && c->snd_wnd)
		loss(c);
	else if (unsent || !c->snd_wnd) {
		c->snd_nxt = c->snd_una;
		c->probe = true;
	}
	if (c->backoff < 10)
		c->backoff++;
	tcp_rto_start(c);
	tcp_conn_wake(c);
}
