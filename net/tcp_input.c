/* A segment arrives for a connection (RFC 9293, 3.10.7).
 *
 *   SYN_SENT -> ESTABLISHED -FIN-> CLOSE_WAIT
 *   FIN_WAIT_1 -ack of FIN-> FIN_WAIT_2 -FIN-> (TIME_WAIT)
 *   FIN_WAIT_1 -FIN-> CLOSING -ack of FIN-> (TIME_WAIT)
 *   LAST_ACK -ack of FIN-> (CLOSED)
 *
 * The expected segment of an established connection (in order, nothing special) has taken the short way of
 * tcp_short.c; all others go through the checks in the order of the RFC, tightened by RFC 5961 (RST, SYN and
 * ACK must fit exactly, else a challenge ACK answers) and RFC 7323 (PAWS). */
#include "tcp_conn.h"

#define CHALLENGE_INTERVAL_MS 500
#define PAWS_IDLE_NS (UINT64_C(24) * 86400 * NS_PER_S)

static void ack_soon(struct tcp_conn *c)
{
	c->ack_now = true;
	tcp_conn_wake(c);
}

/* At most two a second for each connection: no shared budget that would tell others about this one. */
static void challenge_ack(struct tcp_conn *c)
{
	struct net *net = c->net;
	uint32_t now = tcp_now_ms(net) | 1;
	if (c->challenge_at_ms && now - c->challenge_at_ms < CHALLENGE_INTERVAL_MS) {
		net->counters.tcp_challenge_acks_limited++;
		return;
	}
	c->challenge_at_ms = now;
	net->counters.tcp_challenge_acks++;
	ack_soon(c);
}

void tcp_data_received(struct tcp_conn *c)
{
	/* Every second full segment at once (RFC 9293, 3.8.6.3), else with the answer or after 40 ms. */
	if (c->rcv_nxt - c->last_ack_sent >= 2 * c->mss) {
		c->ack_now = true;
		tcp_window_measure(c);
	} else if (c->quick_acks && c->rcv_nxt - c->last_ack_sent >= c->mss) {
		c->quick_acks--;
		c->ack_now = true;
	}
	c->ack_pending = true;
	tcp_conn_wake(c);
	if (!c->discard)
		tcp_conn_event(c, TCP_READABLE);
}

/* RFC 7323, 5.3: false: an old duplicate. After 24 days of silence the clock may have wrapped. */
static bool paws_pass(struct tcp_conn *c, const struct tcp_segment *s)
{
	if (!c->ts_ok || (s->flags & TCP_RST))
		return true;
	if (!s->has_ts) /* must have one (3.2); those without are dropped */
		return false;
	return !seq_before(s->ts_value, c->ts_recent)
		|| c->net->now_ns - c->ts_recent_ns > PAWS_IDLE_NS;
}

/* RFC 9293, 3.4: some of it lies in the window, or it is empty and at an edge. */
static bool in_window(const struct tcp_conn *c, uint64_t seq, uint32_t len)
{
	uint64_t edge = c->rcv_adv > c->rcv_nxt ? c->rcv_adv : c->rcv_nxt;
	if (len == 0)
		return seq >= c->rcv_nxt && seq <= edge;
	return seq < edge && seq + len > c->rcv_nxt;
}

static void reset_received(struct tcp_conn *c, uint64_t seq)
{
	if (seq != c->rcv_nxt) {
		c->net->counters.tcp_rst_ignored++;
		if (seq >= c->rcv_nxt && seq < c->rcv_adv)
			challenge_ack(c);
		return;
	}
	if (c->state == TCP_STATE_ESTABLISHED || c->state == TCP_STATE_CLOSE_WAIT)
		c->net->counters.tcp_estab_resets++;
	tcp_conn_kill(c, TCP_RESET);
}

/* The handshake of tcp_connect is complete, or that of a simultaneous open. */
static void established(struct tcp_conn *c, uint32_t events)
{
	c->state = c->fin_queued ? TCP_STATE_FIN_WAIT_1 : TCP_STATE_ESTABLISHED;
	tcp_conn_event(c, events);
	tcp_conn_wake(c);
}

/* What the peer's SYN agrees to. */
static void peer_syn(struct tcp_conn *c, const struct tcp_segment *s)
{
	const struct tcp_options o = s->parsed;
	bool ip6 = tcp_key_is_ip6(&c->key);
	uint32_t mss = o.mss ? o.mss : tcp_default_mss(ip6), own = tcp_own_mss(c->net, ip6);
	mss = mss < own ? mss : own;
	c->ts_ok = o.has_ts;
	c->sack_ok = o.sack_ok;
	c->snd_scale = o.has_scale ? o.scale : 0;
	c->rcv_scale = o.has_scale ? c->net->receive_scale : 0;
	c->mss = (mss < 88 ? 88 : mss) - (c->ts_ok ? TCP_TIMESTAMP_OPTION : 0);
	c->mss_max = (uint16_t)c->mss;
	c->rcv_space = tcp_window_bound(c, c->net->receive_window);
	/* Asked for, and granted: ECE alone; a simultaneous SYN asks as we do. */
	uint8_t ecn = s->flags & (TCP_ECE | TCP_CWR);
	c->ecn_ok = c->net->ecn == NET_ECN_ASK && !c->last.repeated
		&& ecn == (s->flags & TCP_ACK ? TCP_ECE : TCP_ECE | TCP_CWR);
	c->net->counters.tcp_ecn_connections += c->ecn_ok;
	c->ts_recent = o.ts_value;
	c->ts_recent_ns = c->net->now_ns;
	c->rcv_nxt = c->last_ack_sent = (UINT64_C(1) << 32) + s->seq + 1;
	c->rcv_round_seq = (uint32_t)c->rcv_nxt;
	c->rcv_adv = c->rcv_nxt + (c->net->receive_window < 0xffff ? c->net->receive_window : 0xffff);
	c->snd_wl1 = c->rcv_nxt - 1;
	tcp_peer_window_set(c, s->window); /* that of a SYN is never scaled */
	tcp_congestion_init(c);
	tcp_template_init(c);
}

static void syn_sent(struct tcp_conn *c, const struct tcp_segment *s)
{
	bool good_ack = (s->flags & TCP_ACK) && s->ack == (uint32_t)c->snd_una + 1
		&& c->snd_max > c->snd_una;
	if ((s->flags & TCP_ACK) && !good_ack) {
		tcp_reset_reply(c->net, s);
	} else if (s->flags & TCP_RST) {
		if (!good_ack)
			return;
		c->net->counters.tcp_attempt_fails++;
		tcp_conn_kill(c, TCP_RESET);
	} else if (s->flags & TCP_SYN) {
		peer_syn(c, s);
		c->last_rx_ns = c->net->now_ns;
		c->ack_now = true;
		if (good_ack) {
			struct tcp_ack news = {.ack = c->snd_una + 1, .ts_echo = s->ts_echo,
				.has_ts = s->has_ts, .rtt_us = UINT32_MAX, .clean_rtt_us = UINT32_MAX};
			uint32_t times = c->backoff;
			tcp_acked(c, &news);
			tcp_syn_repeated(c, times);
			established(c, TCP_CONNECTED);
		} else { /* simultaneous open (3.5, figure 7): repeat the SYN, now with an ACK */
			c->state = TCP_STATE_SYN_RECEIVED;
			c->snd_nxt = c->snd_una;
			tcp_conn_wake(c);
		}
	}
}

/* Our FIN is acknowledged. */
static void fin_acked(struct tcp_conn *c)
{
	if (c->state == TCP_STATE_FIN_WAIT_1) {
		c->state = TCP_STATE_FIN_WAIT_2;
		c->progress_ns = c->net->now_ns;
		tcp_timer_ensure(c, c->net->now_ns + c->net->fin_wait_2_ns);
	} else if (c->state == TCP_STATE_CLOSING) {
		tcp_time_wait_enter(c);
	} else if (c->state == TCP_STATE_LAST_ACK) {
		tcp_conn_kill(c, 0);
	}
}

/* What the acknowledgement says about the flight. */
static void flight_news(struct tcp_conn *c, const struct tcp_segment *s, uint64_t ack, bool same_window)
{
	struct tcp_ack news = {
		.ack = ack,
		.ts_echo = s->ts_echo,
		.has_ts = s->has_ts,
		.ece = c->ecn_ok && (s->flags & TCP_ECE),
		.rtt_us = UINT32_MAX,
		.clean_rtt_us = UINT32_MAX,
	};
	c->net->counters.tcp_ecn_ece_in += news.ece;
	news.duplicate = ack == c->snd_una && c->snd_max > c->snd_una && c->snd_wnd && !s->len
		&& !(s->flags & TCP_FIN) && (same_window || c->sacked);
	c->net->counters.tcp_dup_acks_in += news.duplicate;
	if (c->sack_ok && s->options.len > (s->has_ts ? TCP_TIMESTAMP_OPTION : 0))
		tcp_sack_input(c, s->parsed.sack, &news);
	tcp_acked(c, &news);
}

/* What probed the closed window was most likely thrown away: sending goes on from there, and with the usual
 * timeout. */
static void window_reopened(struct tcp_conn *c)
{
	tcp_flight_lose_all(c, true);
	c->backoff = 0;
	c->rto_at = TIMER_NEVER;
}

/* False: the segment is to go no further. */
static bool ack_received(struct tcp_conn *c, const struct tcp_segment *s, uint64_t seq)
{
	uint64_t ack = seq_extend(c->snd_una, s->ack), una = c->snd_una;
	if (c->state == TCP_STATE_SYN_RECEIVED) {
		if (ack <= c->snd_una || ack > c->snd_max) {
			tcp_reset_reply(c->net, s);
			return false;
		}
		tcp_peer_window_set(c, s->window << c->snd_scale);
		established(c, TCP_CONNECTED);
	}
	if (ack > c->snd_max || ack + c->snd_wnd_max + 65536 < una) { /* RFC 5961, 5 */
		challenge_ack(c);
		return false;
	}
	if (ack < una)
		return true;
	uint32_t window = s->window << c->snd_scale;
	bool same_window = window == c->snd_wnd;
	/* The newest by sequence number or by ACK: one window counted from the other's ACK reaches too far. */
	if (c->snd_wl1 <= seq || ack > una) {
		if (UNLIKELY(!c->snd_wnd && window && c->backoff && ack == una))
			window_reopened(c);
		c->snd_wl1 = seq > c->snd_wl1 ? seq : c->snd_wl1;
		tcp_peer_window_set(c, window);
	}
	bool had_fin = tcp_fin_sent(c);
	flight_news(c, s, ack, same_window);
	if (had_fin && c->snd_una == c->queue_end + 1)
		fin_acked(c);
	if (c->state == TCP_STATE_CLOSED)
		return false;
	tcp_conn_wake(c);
	return true;
}

static void fin_received(struct tcp_conn *c)
{
	c->rcv_nxt++;
	c->fin_received = true;
	c->ack_now = true;
	tcp_ooo_drop(c);
	tcp_conn_event(c, TCP_PEER_CLOSED);
	tcp_conn_wake(c);
	if (c->state == TCP_STATE_ESTABLISHED) {
		c->state = TCP_STATE_CLOSE_WAIT;
	} else if (c->state == TCP_STATE_FIN_WAIT_1) {
		c->state = TCP_STATE_CLOSING;
	} else if (c->state == TCP_STATE_FIN_WAIT_2) {
		tcp_time_wait_enter(c);
	}
}

/* These bytes arrived twice (RFC 2883). */
static void duplicate_note(struct tcp_conn *c, uint64_t start, uint64_t end)
{
	c->dsack_start = (uint32_t)start;
	c->dsack_end = (uint32_t)end;
	c->dsack_due = c->sack_ok && end > start;
}

/* RFC 3168, 6.1.3: the mark is echoed until CWR; a packet with CWR that is marked itself begins anew. */
static void mark_received(struct tcp_conn *c, const struct tcp_segment *s)
{
	if (s->flags & TCP_CWR)
		c->ecn_echo = false;
	if (!s->ce)
		return;
	c->net->counters.tcp_ecn_ce_in++;
	c->ecn_echo = true;
	c->ack_now = true;
	tcp_conn_wake(c);
}

/* A hole before it: keep it if there is room, and say at once what is missing. */
static bool early_data(struct tcp_conn *c, const struct tcp_segment *s, uint64_t seq, uint32_t offset,
	uint32_t len, bool fin)
{
	if (fin) {
		c->fin_early = true;
		c->fin_early_seq = seq + len;
	}
	if (c->acks_owed < 16)
		c->acks_owed++;
	c->ack_now = true;
	tcp_conn_wake(c);
	if (!len)
		return false;
	if (tcp_ooo_has(c, seq, len)) {
		duplicate_note(c, seq, seq + len);
		c->ooo_last_seq = seq;
		return false;
	}
	if (tcp_ooo_insert(c, s->frame, offset, len, seq))
		return true;
	c->net->counters.tcp_out_of_order_drops++;
	return false;
}

/* Payload and FIN (3.10.7.4, seventh and eighth). True: the frame was kept. */
static bool text_received(struct tcp_conn *c, const struct tcp_segment *s, uint64_t seq)
{
	uint32_t offset = s->payload_offset, len = s->len;
	bool fin = s->flags & TCP_FIN, kept = false;
	if (c->fin_received) { /* nothing can follow; a repeated FIN wants its ACK again */
		if (len || fin)
			ack_soon(c);
		return false;
	}
	if (UNLIKELY(c->ecn_ok))
		mark_received(c, s);
	if (seq < c->rcv_nxt) {
		uint32_t old = (uint32_t)(c->rcv_nxt - seq);
		duplicate_note(c, seq, seq + (old < len ? old : len));
		if (len || fin)
			c->ack_now = true;
		if (old > len)
			return false;
		offset += old;
		len -= old;
		seq = c->rcv_nxt;
	}
	if (seq + len > c->rcv_adv) {
		len = c->rcv_adv > seq ? (uint32_t)(c->rcv_adv - seq) : 0;
		fin = false;
	}
	if (seq > c->rcv_nxt && (len || fin))
		return early_data(c, s, seq, offset, len, fin);
	if (len && !tcp_rx_room(c)) {
		c->net->counters.tcp_rx_pressure_drops++;
		ack_soon(c);
		return false;
	}
	if (len) {
		c->rcv_nxt += len;
		tcp_rx_append(c, s->frame, offset, len);
		kept = true;
		if (c->ooo_frames) {
			c->ack_now = true; /* a hole was filled (RFC 5681, 4.2) */
			tcp_ooo_drain(c);
		}
		tcp_data_received(c);
	}
	if (fin || (c->fin_early && c->fin_early_seq == c->rcv_nxt))
		fin_received(c);
	return kept;
}

static bool slow_path(struct tcp_conn *c, struct tcp_segment *s)
{
	struct net *net = c->net;
	uint64_t seq = seq_extend(c->rcv_nxt, s->seq);
	uint32_t len = s->len + !!(s->flags & TCP_FIN) + !!(s->flags & TCP_SYN);
	if (!paws_pass(c, s)) {
		net->counters.tcp_paws_drops++;
		challenge_ack(c);
		return false;
	}
	if (s->flags & TCP_RST) {
		reset_received(c, seq);
		return false;
	}
	if (!in_window(c, seq, len)) {
		/* Old, or a probe of ours to keep alive: the answer is rate-limited only when empty. */
		if (len) {
			if (s->len && seq + s->len <= c->rcv_nxt)
				duplicate_note(c, seq, seq + s->len);
			ack_soon(c);
		} else {
			challenge_ack(c);
		}
		/* What does not fit into a closed window may still acknowledge; nothing else is believed, or a
		 * guess at the acknowledgement alone would do for an attacker. */
		if (!(s->flags & TCP_ACK) || (s->flags & TCP_SYN) || seq != c->rcv_nxt)
			return false;
		return ack_received(c, s, seq) && false;
	}
	if (s->flags & TCP_SYN) {
		challenge_ack(c);
		return false;
	}
	if (!(s->flags & TCP_ACK))
		return false;
	if (s->has_ts && c->ts_ok && seq <= c->last_ack_sent) {
		c->ts_recent = s->ts_value;
		c->ts_recent_ns = net->now_ns;
	}
	c->last_rx_ns = net->now_ns;
	c->keepalive_probes = 0;
	if (!ack_received(c, s, seq))
		return false;
	return text_received(c, s, seq);
}

bool tcp_conn_segment(struct tcp_conn *c, struct tcp_segment *s)
{
	if (c->state == TCP_STATE_SYN_SENT) {
		syn_sent(c, s);
		return false;
	}
	/* A simultaneous open's SYN|ACK: the SYN part is known already. */
	if (c->state == TCP_STATE_SYN_RECEIVED && (s->flags & TCP_SYN)
		&& seq_extend(c->rcv_nxt, s->seq) == c->rcv_nxt - 1) {
		s->flags &= (uint8_t)~TCP_SYN;
		s->seq++;
		s->window >>= c->snd_scale; /* that of a SYN is not scaled (RFC 7323, 2.2) */
	}
	return slow_path(c, s);
}
