/* Paths that swallow large packets without a word (RFC 4821, 8899): when a segment times out three times in a row
 * that is larger than the next size, this is tried: first 1,024 bytes and then 512 (with the options; with IPv6 1,220,
 * which every path carries). What gets through stays in use; a minute later the old size is tried again, and given
 * up at its first timeout.
 *
 *   full --3 timeouts in a row--> 1024 --2 more--> 512 --1 min--> trial of full
 *   trial --timeout--> the size of before;  --a full segment arrives--> full
 *
 * What an ICMP message says (tcp_icmp_error) comes sooner where it comes at all. */
#include "tcp_conn.h"

#define TIMEOUTS_FIRST 3
#define TIMEOUTS_NEXT 2
#define RAISE_MS (60u * 1000)
#define RAISE_TOLD_MS (600u * 1000) /* RFC 1191, 6.3: no sooner than five minutes after a router said so */

static const uint16_t sizes[] = {1024, 512}, sizes6[] = {IP6_MTU_MIN - IP6_HEADER - TCP_HEADER};

static void mss_set(struct tcp_conn *c, uint32_t mss)
{
	c->mss = mss;
	c->mss_changed_ms = tcp_now_ms(c->net);
}

void tcp_pmtu_limit(struct tcp_conn *c, uint32_t mss)
{
	if (mss >= c->mss)
		return;
	mss_set(c, mss);
	c->mss_told = true;
	c->mss_trial = false;
}

void tcp_pmtu_timeout(struct tcp_conn *c)
{
	const struct tcp_sent *first = c->sent;
	if (c->mss_trial) {
		c->mss_trial = false;
		mss_set(c, c->mss_good);
		return;
	}
	uint32_t timeouts = c->backoff + 1u;
	if (timeouts < TIMEOUTS_FIRST || (timeouts - TIMEOUTS_FIRST) % TIMEOUTS_NEXT)
		return;
	uint64_t len = first->end - first->start;
	bool ip6 = tcp_key_is_ip6(&c->key);
	for (uint32_t i = 0; i < (ip6 ? ARRAY_LEN(sizes6) : ARRAY_LEN(sizes)); i++) {
		uint32_t mss = (ip6 ? sizes6[i] : sizes[i]) - (c->ts_ok ? TCP_TIMESTAMP_OPTION : 0u);
		if (mss >= c->mss || mss >= len)
			continue;
		mss_set(c, mss);
		c->mss_told = false;
		c->net->counters.tcp_pmtu_black_holes++;
		return;
	}
}

void tcp_pmtu_raise(struct tcp_conn *c)
{
	if (tcp_now_ms(c->net) - c->mss_changed_ms < (c->mss_told ? RAISE_TOLD_MS : RAISE_MS))
		return;
	c->mss_good = (uint16_t)c->mss;
	c->mss_trial = true;
	c->mss_trial_end = (uint32_t)c->snd_max + c->mss_max;
	mss_set(c, c->mss_max);
	if (c->cwnd < c->mss)
		c->cwnd = c->mss;
	c->net->counters.tcp_pmtu_raises++;
}
