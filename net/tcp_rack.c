/* What is lost, told by time (RACK-TLP, RFC 8985): a segment is lost when one that was sent later has arrived
 * and the reordering window has passed since. It needs SACK; without, three duplicates say it (RFC 6582, in
 * tcp_recovery.c).
 *
 * The reordering window is a quarter of the least round-trip time for each round in which the peer
 * reported a duplicate (DSACK, so a repetition was for nothing), forgotten after 16 recoveries, never more
 * than the smoothed round-trip time; and nothing at all while no reordering was ever seen and the evidence
 * is strong (three segments beyond, or already recovering).
 *
 * The tail loss probe: two round-trip times after the last transmission, new data or the last segment goes
 * out once more, so that something arrives by which the rest can be judged. A flight of one segment waits for
 * the retransmission timer: its acknowledgement may be delayed by as much. */
#include "tcp_conn.h"

#define PROBE_MIN_US 10000u
#define REORDER_PERSIST 16
#define REORDER_STEPS_MAX 60

/* RACK_sent_after: of two that left at one time, the one that ends later did. */
static bool sent_after(uint32_t a_us, uint32_t a_end, uint32_t b_us, uint32_t b_end)
{
	int32_t gap = (int32_t)(a_us - b_us);
	return gap > 0 || (gap == 0 && seq_before(b_end, a_end));
}

void tcp_rack_delivered(struct tcp_conn *c, const struct tcp_sent *r, uint64_t end, const struct tcp_ack *ack)
{
	uint32_t rtt = tcp_now_us(c->net) - r->sent_us;
	if (seq_before(c->rack_front, (uint32_t)end)) {
		c->rack_front = (uint32_t)end;
	} else if (c->rack_front != (uint32_t)end && !r->repeated) {
		c->net->counters.tcp_rack_reorderings++;
		c->reordering = true;
	}
	if (r->repeated) { /* is it the last copy, or one before? What came early echoes no timestamp of its own. */
		if (end <= ack->ack && ack->has_ts && c->ts_ok
			&& seq_before(ack->ts_echo, tcp_ts_at(c->net, c->ts_offset, r->sent_us)))
			return;
		if (rtt < c->min_rtt_us)
			return;
	}
	c->rack_rtt_us = rtt;
	if (!c->rack_valid || sent_after(r->sent_us, (uint32_t)end, c->rack_sent_us, c->rack_end)) {
		c->rack_valid = true;
		c->rack_sent_us = r->sent_us;
		c->rack_end = (uint32_t)end;
	}
}

static uint32_t reorder_window(const struct tcp_conn *c)
{
	if (!c->reordering && (c->recovery != TCP_RECOVERY_OPEN || c->sacked > 2 * c->mss))
		return 0;
	uint64_t window = (uint64_t)(c->reorder_steps + 1) * c->min_rtt_us / 4;
	return window < c->srtt_us ? (uint32_t)window : c->srtt_us;
}

void tcp_rack_duplicate(struct tcp_conn *c)
{
	if (c->reorder_round_open && seq_before((uint32_t)c->snd_una, c->reorder_round))
		return;
	c->reorder_round = (uint32_t)c->snd_max;
	c->reorder_round_open = true;
	c->reorder_persist = REORDER_PERSIST;
	if (c->reorder_steps < REORDER_STEPS_MAX)
		c->reorder_steps++;
}

void tcp_rack_recovered(struct tcp_conn *c)
{
	if (c->reorder_persist && !--c->reorder_persist)
		c->reorder_steps = 0;
}

/* The invariant that times of what was sent once grow along the list ends the walk early. */
uint32_t tcp_rack_detect(struct tcp_conn *c)
{
	uint32_t now = tcp_now_us(c->net), limit = c->rack_rtt_us + reorder_window(c), wait = 0;
	if (!c->rack_valid)
		return 0;
	for (struct tcp_sent *r = c->sent; r; r = r->next) {
		if (r->state != TCP_SENT_OUT)
			continue;
		if (!sent_after(c->rack_sent_us, c->rack_end, r->sent_us, (uint32_t)r->end)) {
			if (!r->repeated)
				break;
			continue;
		}
		uint32_t age = now - r->sent_us;
		if (age >= limit)
			tcp_flight_lose(c, r);
		else if (limit - age > wait)
			wait = limit - age;
	}
	return wait;
}

void tcp_rack_timeout(struct tcp_conn *c)
{
	uint32_t now = tcp_now_us(c->net), limit = c->rack_rtt_us + reorder_window(c);
	for (struct tcp_sent *r = c->sent; r; r = r->next) {
		if (r->state == TCP_SENT_OUT && (r == c->sent || now - r->sent_us >= limit))
			tcp_flight_lose(c, r);
	}
}

/* --- The tail loss probe --------------------------------------------------------------------- */

uint64_t tcp_probe_time(struct tcp_conn *c, uint64_t rto_us)
{
	uint64_t pto = 2 * (uint64_t)c->srtt_us;
	if (pto < PROBE_MIN_US)
		pto = PROBE_MIN_US;
	bool wanted = c->srtt_us && pto < rto_us && c->sack_ok && !c->sacked && !c->backoff
		&& c->recovery == TCP_RECOVERY_OPEN && !c->probe_end && c->snd_wnd && tcp_is_open(c);
	c->timer_kind = wanted ? TCP_TIMER_PROBE : TCP_TIMER_RTO;
	return wanted ? pto : rto_us;
}

void tcp_probe_due(struct tcp_conn *c)
{
	c->net->counters.tcp_tail_loss_probes++;
	c->tail_probe = true;
	c->probe_end = c->snd_max;
	c->probe_again = false;
	c->probe_ts = tcp_ts_now(c->net, c->ts_offset);
	tcp_rto_start(c);
	tcp_conn_wake(c);
}

/* RFC 8985, 7.4. True: the probe itself repaired a loss that nothing else tells of. */
bool tcp_probe_acked(struct tcp_conn *c, const struct tcp_ack *ack)
{
	if (ack->ack < c->probe_end)
		return false;
	bool original = ack->has_ts && c->ts_ok && seq_before(ack->ts_echo, c->probe_ts);
	if (!c->probe_again || ack->dsack || original
		|| (ack->ack == c->probe_end && !ack->acked && !ack->delivered)) {
		c->probe_end = 0; /* new data was the probe; or both copies came */
		return false;
	}
	if (ack->ack == c->probe_end && ack->acked && !(ack->has_ts && c->ts_ok))
		return false; /* one of the two copies: the next acknowledgement tells */
	c->probe_end = 0;
	return true;
}
