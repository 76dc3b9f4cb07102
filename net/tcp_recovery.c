/* What an acknowledgement, a mark or a timeout does to a connection: loss recovery and its end.
 *
 *   OPEN --something is LOST (RACK; without SACK, three duplicates)--> FAST: the window shrinks in proportion to
 *        what arrives (PRR, RFC 9937); LOST first, then new data, as long as the pipe is below the window
 *   OPEN, FAST --timeout--> SLOW: one segment, slow start (RFC 5681, 3.1; RFC 8985, 6.3)
 *   FAST, SLOW --all that was sent before is acknowledged--> OPEN
 *   FAST, SLOW --it was for nothing--> OPEN, with the windows of before. Told by the timestamp of the first
 *        acknowledgement of something repeated, which answers to the original (Eifel, RFC 3522 and 4015),
 *        or by a DSACK for each repetition (RFC 3708). F-RTO (RFC 5682) is left out for Eifel's sake.
 *   OPEN --marked (ECE)--> OPEN with a smaller window, once a round trip
 *
 * The windows are reduced once for all losses and marks of a round trip: `recover` is snd_max at the last
 * reduction. */
#include "tcp_conn.h"

#define DUP_THRESHOLD 3
#define RTO_UNKNOWN_PATH_US 3000000u
#define SYN_RETRIES_MAX 7 /* 187 s in all: no less than 3 minutes (RFC 9293, 3.8.3) */

uint32_t tcp_pipe(const struct tcp_conn *c)
{
	uint32_t flight = (uint32_t)(c->snd_max - c->snd_una) - c->sacked - c->lost;
	uint32_t left = c->sack_ok ? 0 : c->dup_acks * c->mss;
	return flight > left ? flight - left : 0;
}

/* --- Selective acknowledgements -------------------------------------------------------------- */

/* RFC 2883: the first block lies below the acknowledgement, or within the second. It counts only up to as
 * much as was sent twice: a peer that claims more is making it up, or the network repeats. */
static void dsack_input(struct tcp_conn *c, uint64_t start, uint64_t end, struct tcp_ack *ack)
{
	c->net->counters.tcp_dsacks_in++;
	if (start + c->snd_wnd_max + 65536 < c->snd_una || c->dsacks >= c->repeats) {
		c->net->counters.tcp_dsacks_ignored++;
		return;
	}
	c->dsacks++;
	ack->dsack = true;
	uint32_t len = (uint32_t)(end - start);
	c->undo_repeated = c->undo_repeated > len ? c->undo_repeated - len : 0;
}

void tcp_sack_input(struct tcp_conn *c, struct slice blocks, struct tcp_ack *ack)
{
	for (size_t i = 0; i + 8 <= blocks.len; i += 8) {
		uint64_t start = seq_extend(c->snd_una, load_be32(blocks.ptr + i));
		uint64_t end = seq_extend(c->snd_una, load_be32(blocks.ptr + i + 4));
		uint64_t out_start = 0, out_end = 0;
		if (i == 0 && blocks.len >= 16) {
			out_start = seq_extend(c->snd_una, load_be32(blocks.ptr + 8));
			out_end = seq_extend(c->snd_una, load_be32(blocks.ptr + 12));
		}
		bool twice = i == 0 && (end <= ack->ack || (start >= out_start && end <= out_end));
		if (start >= end || end > c->snd_max || (!twice && start < c->snd_una))
			c->net->counters.tcp_sack_discards++;
		else if (twice)
			dsack_input(c, start, end, ack);
		else
			tcp_flight_sack(c, start, end, ack);
	}
}

/* --- Proportional rate reduction ------------------------------------------------------------- */

static void prr_begin(struct tcp_conn *c, const struct tcp_ack *ack)
{
	c->prr_delivered = c->prr_out = 0;
	c->prr_flight = (uint32_t)(c->snd_max - c->snd_una) - c->sacked + ack->delivered;
}

/* `safe`: snd_una has moved and nothing more was lost. */
static void prr_acked(struct tcp_conn *c, const struct tcp_ack *ack, bool safe)
{
	int64_t room, pipe = tcp_pipe(c), ssthresh = c->ssthresh;
	c->prr_delivered += ack->delivered;
	int64_t owed = (int64_t)c->prr_delivered - c->prr_out;
	if (pipe > ssthresh) {
		uint64_t part = (uint64_t)c->prr_delivered * c->ssthresh;
		room = (int64_t)((part + c->prr_flight - 1) / c->prr_flight) - c->prr_out;
	} else {
		room = owed > ack->delivered ? owed : ack->delivered;
		room += safe ? c->mss : 0;
		room = room < ssthresh - pipe ? room : ssthresh - pipe;
	}
	if ((!c->prr_out || !pipe) && room < c->mss)
		room = c->mss; /* the first repetition goes at once; and with an empty pipe nothing else would come */
	c->cwnd = (uint32_t)(pipe + (room > 0 ? room : 0));
}

/* --- Beginning and end ----------------------------------------------------------------------- */

static void undo_save(struct tcp_conn *c)
{
	c->undo_cwnd = c->cwnd;
	c->undo_ssthresh = c->ssthresh;
	c->undo_max = c->cubic_max;
	c->undo_repeated = 0;
	c->undo_ts_known = false;
}

/* A reduction for this window has been made already. */
static bool reduced_already(const struct tcp_conn *c)
{
	return c->snd_una < c->recover;
}

static void fast_begin(struct tcp_conn *c, const struct tcp_ack *ack)
{
	c->net->counters.tcp_fast_recoveries++;
	if (!reduced_already(c)) {
		undo_save(c);
		tcp_congestion_reduce(c);
	}
	c->recovery = TCP_RECOVERY_FAST;
	c->recover = c->snd_max;
	prr_begin(c, ack);
}

static void recovered(struct tcp_conn *c)
{
	if (c->recovery == TCP_RECOVERY_FAST)
		c->cwnd = c->ssthresh;
	c->recovery = TCP_RECOVERY_OPEN;
	c->dup_acks = 0;
	tcp_rack_recovered(c);
}

static void undo(struct tcp_conn *c)
{
	struct net_counters *n = &c->net->counters;
	if (c->recovery == TCP_RECOVERY_SLOW)
		n->tcp_spurious_timeouts++;
	else
		n->tcp_spurious_recoveries++;
	if (c->cwnd < c->undo_cwnd)
		c->cwnd = c->undo_cwnd;
	if (c->ssthresh < c->undo_ssthresh)
		c->ssthresh = c->undo_ssthresh;
	c->cubic_max = c->undo_max;
	c->epoch_ms = 0;
	c->undo_cwnd = 0;
	c->recovery = TCP_RECOVERY_OPEN;
	c->recover = c->snd_una;
	c->dup_acks = 0;
	tcp_flight_restore(c);
}

static bool was_for_nothing(const struct tcp_conn *c, const struct tcp_ack *ack)
{
	if (!c->undo_cwnd || !c->undo_ts_known)
		return false;
	if (ack->dsack && !c->undo_repeated)
		return true;
	return c->recovery != TCP_RECOVERY_OPEN && ack->repeated_acked && ack->has_ts && c->ts_ok
		&& seq_before(ack->ts_echo, c->undo_ts);
}

/* --- Acknowledgements ------------------------------------------------------------------------ */

static void marked(struct tcp_conn *c)
{
	if (c->recovery != TCP_RECOVERY_OPEN || reduced_already(c))
		return;
	c->net->counters.tcp_ecn_reductions++;
	tcp_congestion_reduce(c);
	c->cwnd = c->ssthresh;
	c->recover = c->snd_max;
	c->undo_cwnd = 0;
}

/* Without SACK (RFC 6582): a duplicate stands for a segment that has arrived; a partial acknowledgement
 * shows the next hole. */
static void duplicates_count(struct tcp_conn *c, struct tcp_ack *ack)
{
	if (ack->acked) {
		uint32_t known = c->dup_acks * c->mss;
		ack->delivered = ack->acked > known ? ack->acked - known : c->mss;
		c->dup_acks = 0;
		if (c->recovery == TCP_RECOVERY_FAST && c->snd_una < c->recover)
			tcp_flight_lose_first(c);
	} else if (ack->duplicate) {
		if ((uint64_t)(c->dup_acks + 1) * c->mss < c->snd_max - c->snd_una && c->dup_acks < UINT8_MAX)
			c->dup_acks++;
		ack->delivered = c->mss;
		if (c->dup_acks >= DUP_THRESHOLD && c->recovery == TCP_RECOVERY_OPEN && !reduced_already(c))
			tcp_flight_lose_first(c);
	}
}

/* The windows after an acknowledgement. `more_lost`: it showed so. What is LOST for other reasons (the path's
 * MTU, a window that was closed) is no sign of congestion. */
static void windows_update(struct tcp_conn *c, struct tcp_ack *ack, bool more_lost)
{
	if (c->recovery != TCP_RECOVERY_OPEN && c->snd_una >= c->recover) {
		recovered(c);
		more_lost |= c->lost > 0; /* of what was sent meanwhile */
	}
	if (was_for_nothing(c, ack))
		undo(c);
	if (c->probe_end && tcp_probe_acked(c, ack) && c->recovery == TCP_RECOVERY_OPEN
		&& !reduced_already(c)) {
		tcp_congestion_reduce(c);
		c->cwnd = c->ssthresh;
		c->undo_cwnd = 0;
	}
	if (more_lost && c->lost && c->recovery == TCP_RECOVERY_OPEN)
		fast_begin(c, ack);
	if (ack->ece)
		marked(c);
	if (c->recovery == TCP_RECOVERY_FAST)
		prr_acked(c, ack, ack->acked && !more_lost);
	else if (ack->acked && c->cwnd_limited && !(ack->ece && reduced_already(c)))
		tcp_congestion_acked(c, ack); /* else the application sets the pace: nothing was learnt */
}

static void timer_update(struct tcp_conn *c, const struct tcp_ack *ack, uint32_t reorder_wait_us)
{
	if (c->snd_max == c->snd_una) {
		if (ack->acked) /* else it may be the timer that probes a closed window: nobody puts it off */
			c->rto_at = TIMER_NEVER;
	} else if (reorder_wait_us) {
		c->timer_kind = TCP_TIMER_REORDER;
		c->rto_at = c->net->now_ns + reorder_wait_us * UINT64_C(1000);
		tcp_timer_ensure(c, c->rto_at);
	} else if (ack->acked || c->rto_at == TIMER_NEVER || c->timer_kind == TCP_TIMER_REORDER
		|| (c->timer_kind == TCP_TIMER_PROBE && (c->sacked || c->recovery != TCP_RECOVERY_OPEN))) {
		tcp_rto_start(c);
	}
}

void tcp_acked(struct tcp_conn *c, struct tcp_ack *ack)
{
	uint32_t wait = 0;
	if (ack->ack > c->snd_una) {
		ack->acked = (uint32_t)(ack->ack - c->snd_una);
		tcp_flight_cover(c, ack);
		c->snd_una = ack->ack;
		if (c->snd_nxt < ack->ack)
			c->snd_nxt = ack->ack;
		c->backoff = 0;
		c->progress_ns = c->net->now_ns;
		tcp_pmtu_acked(c);
	}
	tcp_rtt_measure(c, ack);
	if (ack->dsack)
		tcp_rack_duplicate(c);
	uint32_t lost_before = c->lost;
	if (c->sack_ok)
		wait = c->snd_max > c->snd_una ? tcp_rack_detect(c) : 0;
	else
		duplicates_count(c, ack);
	windows_update(c, ack, c->lost > lost_before);
	timer_update(c, ack, wait);
	if (c->lost)
		tcp_conn_wake(c);
	if (ack->acked)
		tcp_sends_complete(c);
}

/* --- Timers ---------------------------------------------------------------------------------- */

static void syn_timeout(struct tcp_conn *c)
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

void tcp_syn_repeated(struct tcp_conn *c, uint32_t times)
{
	if (times && !c->srtt_us)
		c->rto_us = RTO_UNKNOWN_PATH_US;
	if (times > 1)
		c->cwnd = c->mss;
}

/* The first is lost, and all that has been out for too long. When this is not the first timeout in a row, or
 * the peer has taken back what it said it had, nothing that it said counts. */
static void loss(struct tcp_conn *c)
{
	bool reneged = c->sent->state == TCP_SENT_SACKED;
	struct net_counters *n = &c->net->counters;
	n->tcp_timeouts++;
	n->tcp_sack_reneges += reneged;
	if (c->recovery != TCP_RECOVERY_SLOW && !reduced_already(c)) {
		undo_save(c);
		tcp_congestion_reduce(c);
	} else if (c->recovery == TCP_RECOVERY_FAST) {
		c->undo_cwnd = 0; /* what is undone would be this one only */
	}
	if (c->sack_ok && !c->backoff && !reneged)
		tcp_rack_timeout(c);
	else
		tcp_flight_lose_all(c, true);
	c->recovery = TCP_RECOVERY_SLOW;
	c->recover = c->snd_max;
	c->dup_acks = 0;
	c->probe_end = 0;
	c->tail_probe = false;
	c->cwnd = tcp_pipe(c) + c->mss;
	tcp_pmtu_timeout(c);
}

/* The time that a possible reordering was given is over. */
static void reorder_due(struct tcp_conn *c)
{
	struct tcp_ack ack = {.ack = c->snd_una, .rtt_us = UINT32_MAX, .clean_rtt_us = UINT32_MAX};
	tcp_acked(c, &ack);
}

static bool user_timeout(struct tcp_conn *c)
{
	struct net *net = c->net;
	/* A peer that keeps its window closed and answers our probes may do so for ever (RFC 9293, 3.8.6.1). */
	uint64_t since = !c->snd_wnd && c->last_rx_ns > c->progress_ns ? c->last_rx_ns : c->progress_ns;
	if (net->now_ns - since <= net->user_timeout_ns)
		return false;
	net->counters.tcp_user_timeouts++;
	tcp_rst_send(c);
	tcp_conn_kill(c, TCP_TIMED_OUT);
	return true;
}

static void retransmission_due(struct tcp_conn *c)
{
	bool unsent = c->snd_max < c->queue_end, unacked = c->snd_max > c->snd_una;
	if (!unsent && !unacked && !(c->fin_queued && c->snd_una <= c->queue_end))
		return;
	if (user_timeout(c))
		return;
	if (unacked && c->snd_wnd) {
		loss(c);
	} else {
		/* What the peer dropped for want of room is wanted again when it has some. */
		tcp_flight_lose_all(c, true);
		c->probe = true;
	}
	if (c->backoff < 10)
		c->backoff++;
	tcp_rto_start(c);
	tcp_conn_wake(c);
}

void tcp_rto(struct tcp_conn *c)
{
	enum tcp_timer_kind kind = c->timer_kind;
	c->timer_kind = TCP_TIMER_RTO;
	if (!tcp_is_open(c))
		syn_timeout(c);
	else if (kind == TCP_TIMER_PROBE)
		tcp_probe_due(c);
	else if (kind == TCP_TIMER_REORDER)
		reorder_due(c);
	else
		retransmission_due(c);
}
