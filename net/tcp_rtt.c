/* Round-trip times and the retransmission timeout (RFC 6298).
 *
 * A record that was sent once gives a sample; one that was repeated does only when the timestamp that comes
 * back is that of the last copy (Karn; RFC 7323, 4): after lost acknowledgements it is that of an earlier one,
 * and says nothing. The smoothed estimate takes
 * one sample a round trip, as its gains want it; the least round-trip time, which RACK waits by, takes all,
 * and forgets after a minute.
 *
 * The least timeout is 200 ms, not 1 s (RFC 6298, 2.4 says SHOULD): as the large systems have it. */
#include "tcp_conn.h"

#define MIN_RTT_LIFE_US 60000000u

void tcp_rtt_sample(struct tcp_conn *c, uint32_t rtt)
{
	if (!c->srtt_us) {
		c->srtt_us = rtt ? rtt : 1;
		c->rttvar_us = rtt / 2;
	} else {
		uint32_t gap = c->srtt_us > rtt ? c->srtt_us - rtt : rtt - c->srtt_us;
		c->rttvar_us += gap / 4 - c->rttvar_us / 4;
		c->srtt_us += rtt / 8 - c->srtt_us / 8;
		c->srtt_us += !c->srtt_us;
	}
	uint32_t rto = c->srtt_us + 4 * c->rttvar_us;
	rto = rto > TCP_RTO_MIN_US ? rto : TCP_RTO_MIN_US;
	c->rto_us = rto < TCP_RTO_MAX_US ? rto : TCP_RTO_MAX_US;
	c->rtt_at_us = tcp_now_us(c->net);
}

void tcp_rtt_min(struct tcp_conn *c, uint32_t rtt)
{
	uint32_t now = tcp_now_us(c->net);
	if (c->min_rtt_us && rtt > c->min_rtt_us && now - c->min_rtt_at_us < MIN_RTT_LIFE_US)
		return;
	c->min_rtt_us = rtt ? rtt : 1;
	c->min_rtt_at_us = now;
}

void tcp_rtt_measure(struct tcp_conn *c, const struct tcp_ack *ack)
{
	if (ack->rtt_us > TCP_RTO_MAX_US)
		return;
	tcp_rtt_min(c, ack->rtt_us);
	if (!c->srtt_us || tcp_now_us(c->net) - c->rtt_at_us >= c->srtt_us)
		tcp_rtt_sample(c, ack->rtt_us);
}
