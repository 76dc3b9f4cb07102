/* The invariants of tcp_flight.h, asserted. */
#ifndef FLIGHT_CHECK_H
#define FLIGHT_CHECK_H

#include "../tcp_conn.h"

static inline void flight_check(const struct tcp_conn *c)
{
	uint32_t sacked = 0, lost = 0, records = 0;
	struct tcp_sent *const *link = &c->sent;
	const struct tcp_sent *before = NULL, *once = NULL;
	ASSERT(c->sent->start == c->snd_una);
	for (const struct tcp_sent *r = c->sent; r; before = r, link = &r->next, r = r->next) {
		ASSERT(!before || before->end == r->start);
		ASSERT(r->start < r->end || (r == &c->last && r == c->sent && r->start == r->end));
		ASSERT((r == &c->last) == !r->next);
		if (r == &c->last)
			ASSERT(c->last_link == link);
		else
			records++;
		ASSERT(r->state <= TCP_SENT_LOST);
		sacked += r->state == TCP_SENT_SACKED ? (uint32_t)(r->end - r->start) : 0;
		lost += r->state == TCP_SENT_LOST ? (uint32_t)(r->end - r->start) : 0;
		ASSERT(!before || before->state != TCP_SENT_SACKED || r->state != TCP_SENT_SACKED);
		if (r->state == TCP_SENT_OUT && !r->repeated) {
			ASSERT(!once || (int32_t)(r->sent_us - once->sent_us) >= 0);
			once = r;
		}
	}
	ASSERT(c->last.end == c->snd_max);
	ASSERT(sacked == c->sacked && lost == c->lost && records == c->records);
	ASSERT(c->net->sents.used >= c->records);
}

#endif
