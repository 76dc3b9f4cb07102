/* The records of what is in flight; see tcp_flight.h. */
#include "tcp_flight.h"

#include "tcp_conn.h"

/* NULL: the pool is empty, or this connection has as many as are left for all others. */
static struct tcp_sent *record_get(struct tcp_conn *c)
{
	struct pool *pool = &c->net->sents;
	if (UNLIKELY(pool->capacity - pool->used <= c->records)) {
		c->net->counters.tcp_sent_record_failures++;
		return NULL;
	}
	c->records++;
	return pool_get(pool);
}

/* Takes the record at `at` out of the list; not the last. */
static void record_remove(struct tcp_conn *c, struct tcp_sent **at)
{
	struct tcp_sent *r = *at;
	*at = r->next;
	if (c->last_link == &r->next)
		c->last_link = at;
	c->records--;
	pool_put(&c->net->sents, r);
}

/* Cuts the record at `at` in two: the first part is the new *at, the second is what the record becomes.
 * False: there is no record for it. */
static bool record_split(struct tcp_conn *c, struct tcp_sent **at, uint64_t middle)
{
	struct tcp_sent *r = *at, *front = record_get(c);
	if (!front)
		return false;
	*front = *r;
	front->end = middle;
	front->next = r;
	r->start = middle;
	r->touched = true;
	*at = front;
	if (r == &c->last)
		c->last_link = &front->next;
	return true;
}

static uint32_t record_len(const struct tcp_sent *r)
{
	return (uint32_t)(r->end - r->start);
}

static void record_state(struct tcp_conn *c, struct tcp_sent *r, enum tcp_sent_state state)
{
	uint32_t len = record_len(r);
	if (r->state == TCP_SENT_SACKED)
		c->sacked -= len;
	else if (r->state == TCP_SENT_LOST)
		c->lost -= len;
	if (state == TCP_SENT_SACKED)
		c->sacked += len;
	else if (state == TCP_SENT_LOST)
		c->lost += len;
	r->state = (uint8_t)state;
}

/* --- Sending --------------------------------------------------------------------------------- */

void tcp_flight_sent_slow(struct tcp_conn *c, uint64_t start, uint64_t end)
{
	struct tcp_sent *last = &c->last, *front;
	uint32_t now = tcp_now_us(c->net);
	if (last->sent_us == now && last->state == TCP_SENT_OUT && !last->repeated) {
		last->end = end;
		return;
	}
	front = record_get(c);
	if (!front) {
		if (last->state == TCP_SENT_SACKED)
			record_state(c, last, TCP_SENT_OUT);
		if (last->state == TCP_SENT_LOST)
			c->lost += (uint32_t)(end - start);
		last->end = end;
		last->sent_us = now;
		return;
	}
	*front = *last;
	*c->last_link = front;
	c->last_link = &front->next;
	front->next = last;
	*last = (struct tcp_sent){.start = start, .end = end, .sent_us = now};
}

/* Joins a record to the one before it when both were sent again at the same time. */
static void repeated_join(struct tcp_conn *c, struct tcp_sent **before)
{
	struct tcp_sent *a = before ? *before : NULL, *b = a ? a->next : NULL;
	if (!b || a->state != TCP_SENT_OUT || !a->repeated || a->coarse || b->coarse || a->sent_us != b->sent_us)
		return;
	b->start = a->start;
	record_remove(c, before);
}

void tcp_flight_repeated(struct tcp_conn *c, uint64_t start, uint64_t end)
{
	struct tcp_sent **at = &c->sent, **before = NULL;
	while (*at != &c->last && (*at)->end <= start) {
		before = at;
		at = &(*at)->next;
	}
	if ((*at)->start < start) {
		if (!record_split(c, at, start)) {
			(*at)->repeated = true; /* of the tail, by a probe: its time stays */
			return;
		}
		before = at;
		at = &(*at)->next;
	}
	bool coarse = end < (*at)->end && !record_split(c, at, end);
	struct tcp_sent *r = *at;
	record_state(c, r, TCP_SENT_OUT);
	r->repeated = true;
	r->coarse = coarse;
	r->touched = true;
	r->sent_us = tcp_now_us(c->net);
	repeated_join(c, before);
}

/* --- Acknowledgements ------------------------------------------------------------------------ */

/* Is the time since it left last its round-trip time? Not if another copy may have been answered, nor if it
 * may have arrived long ago: behind a hole that only now is filled, or in a silence before a timeout. */
static bool rtt_is_told(const struct tcp_conn *c, const struct tcp_sent *r, uint64_t upto,
	const struct tcp_ack *ack)
{
	bool cumulative = upto <= ack->ack;
	if (r->repeated)
		return cumulative && ack->has_ts && c->ts_ok
			&& !seq_before(ack->ts_echo, tcp_ts_at(c->net, c->ts_offset, r->sent_us));
	return cumulative ? !ack->repeated_acked : c->recovery != TCP_RECOVERY_SLOW;
}

/* Bytes of a record arrive that were not known to have arrived. */
static void arrived(struct tcp_conn *c, const struct tcp_sent *r, uint64_t upto, struct tcp_ack *ack)
{
	uint32_t age = tcp_now_us(c->net) - r->sent_us;
	ack->delivered += (uint32_t)(upto - r->start);
	if (age < ack->rtt_us && rtt_is_told(c, r, upto, ack))
		ack->rtt_us = age;
	if (!r->repeated) {
		if (!r->touched && age < ack->clean_rtt_us) {
			ack->clean_rtt_us = age;
			ack->clean_segments = (record_len(r) + c->mss - 1) / c->mss;
		}
		ack->never_repeated_lost |= r->state == TCP_SENT_LOST;
	}
	tcp_rack_delivered(c, r, upto, ack);
}

void tcp_flight_cover(struct tcp_conn *c, struct tcp_ack *ack)
{
	struct tcp_sent *r;
	while ((r = c->sent)->start < ack->ack) {
		uint64_t upto = r->end < ack->ack ? r->end : ack->ack;
		ack->repeated_acked |= r->repeated;
		if (r->state != TCP_SENT_SACKED)
			arrived(c, r, upto, ack);
		uint32_t len = (uint32_t)(upto - r->start);
		if (r->state == TCP_SENT_SACKED)
			c->sacked -= len;
		else if (r->state == TCP_SENT_LOST)
			c->lost -= len;
		r->start = upto;
		if (upto < r->end) {
			r->touched = true;
			if (r->coarse && r->state == TCP_SENT_OUT)
				tcp_flight_lose(c, r);
		} else if (r == &c->last) {
			r->state = TCP_SENT_OUT;
			r->repeated = r->coarse = r->touched = false;
			return;
		} else {
			record_remove(c, &c->sent);
		}
	}
}

/* The record at `at` has become SACKED: it takes in its neighbours that are. The link to what it is now. */
static struct tcp_sent **sacked_join(struct tcp_conn *c, struct tcp_sent **before, struct tcp_sent **at)
{
	struct tcp_sent *next = (*at)->next;
	if (next && next->state == TCP_SENT_SACKED) {
		next->start = (*at)->start;
		record_remove(c, at);
	}
	if (before && (*before)->state == TCP_SENT_SACKED) {
		(*at)->start = (*before)->start;
		record_remove(c, before);
		at = before;
	}
	return at;
}

void tcp_flight_sack(struct tcp_conn *c, uint64_t start, uint64_t end, struct tcp_ack *ack)
{
	struct tcp_sent **at = &c->sent, **before = NULL;
	for (; *at && (*at)->start < end; before = at, at = &(*at)->next) {
		if ((*at)->state == TCP_SENT_SACKED || (*at)->end <= start)
			continue;
		if ((*at)->start < start) {
			if (!record_split(c, at, start))
				continue;
			before = at;
			at = &(*at)->next;
		}
		if ((*at)->end > end && !record_split(c, at, end))
			return;
		arrived(c, *at, (*at)->end, ack);
		record_state(c, *at, TCP_SENT_SACKED);
		at = sacked_join(c, before, at);
	}
}

/* --- Losses ---------------------------------------------------------------------------------- */

void tcp_flight_lose(struct tcp_conn *c, struct tcp_sent *r)
{
	if (r->start == r->end)
		return;
	if (r->repeated)
		c->net->counters.tcp_lost_retransmits++;
	record_state(c, r, TCP_SENT_LOST);
	r->coarse = false;
}

void tcp_flight_lose_first(struct tcp_conn *c)
{
	struct tcp_sent *r = c->sent;
	if (r->state != TCP_SENT_OUT)
		return;
	if (record_len(r) > c->mss)
		(void)record_split(c, &c->sent, r->start + c->mss);
	tcp_flight_lose(c, c->sent);
}

void tcp_flight_lose_all(struct tcp_conn *c, bool reneged)
{
	for (struct tcp_sent *r = c->sent; r; r = r->next) {
		if (r->state == TCP_SENT_OUT || (r->state == TCP_SENT_SACKED && reneged))
			tcp_flight_lose(c, r);
	}
}

void tcp_flight_restore(struct tcp_conn *c)
{
	for (struct tcp_sent *r = c->sent; r; r = r->next) {
		if (r->state == TCP_SENT_LOST)
			record_state(c, r, TCP_SENT_OUT);
	}
}

const struct tcp_sent *tcp_flight_first_lost(const struct tcp_conn *c)
{
	const struct tcp_sent *r = c->sent;
	while (r && r->state != TCP_SENT_LOST)
		r = r->next;
	return r;
}

void tcp_flight_reset(struct tcp_conn *c)
{
	while (c->sent != &c->last)
		record_remove(c, &c->sent);
	c->sacked = c->lost = 0;
	c->last.state = TCP_SENT_OUT;
	c->last.repeated = c->last.coarse = c->last.touched = false;
	c->last.start = c->last.end;
}
