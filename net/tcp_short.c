/* The short way in: the segment that an established connection expects. In order, nothing special about
 * it, in one buffer, and its acknowledgement within what was sent: nearly every segment of a server. From
 * the frame's first byte to the connection without the layers between.
 *
 * All is looked at before anything is changed: false leaves no trace, and the long way (ip4.c, tcp.c,
 * tcp_input.c), which is complete without this file, decides. What is not checked here holds because the
 * connection exists: its addresses and ports have passed those checks. */
#include "checksum.h"
#include "tcp_conn.h"

#define TRANSPORT (ETHERNET_HEADER + IP4_HEADER)
#define TRANSPORT6 (ETHERNET_HEADER + IP6_HEADER)
#define TYPE_IP4_45 0x00450008u /* type, version and header length, as load_le32 reads them from byte 12 */
#define TYPE_IP6_6 0x0060dd86u  /* type and version; half of the traffic class masked out */

/* What the checks have found. */
struct expected {
	const uint8_t *tcp;       /* its header */
	uint32_t len, header_len; /* of TCP */
	uint32_t acked, window;
	bool has_ts;
};

static bool checksum_is_good(const struct frame_rx *f, uint32_t total)
{
	const uint8_t *h = f->data + ETHERNET_HEADER;
	if (LIKELY(f->checksum != FRAME_CHECKSUM_NONE))
		return true;
	uint64_t sum = ip4_sum_addresses(load_le64(h + 12)) + ((uint32_t)IP_PROTO_TCP << 8)
		+ __builtin_bswap16((uint16_t)total) + checksum_sum(slice_of(h + IP4_HEADER, total));
	return checksum_fold(sum) == 0xffff;
}

/* As a multiple of 0xffff it is intact: 2^64 is 1 modulo 0xffff, so a carry is worth 1. */
static inline bool ip4_header_is_intact(const uint8_t *h)
{
	uint64_t a = load_le64(h), b = load_le64(h + 8), sum;
	sum = a + b;
	sum += sum < a;
	a = load_le32(h + 16);
	sum += a;
	sum += sum < a;
	return sum % 0xffff == 0;
}

/* No flags but ACK and PSH, no options but a timestamp; `total`: bytes from here on. */
static inline bool tcp_header_is_plain(struct expected *x, uint32_t total)
{
	const uint8_t *t = x->tcp;
	uint16_t offset_flags = load_le16(t + 12); /* PSH does not matter; marks are for the long way */
	x->has_ts = (offset_flags & 0xf0) == 0x80;
	if ((offset_flags & 0xf70f) != TCP_ACK << 8)
		return false;
	x->header_len = (offset_flags & 0xf0u) >> 2;
	if (total < x->header_len)
		return false;
	if (x->has_ts ? load_le32(t + TCP_HEADER) != TCP_OPTIONS_TS_HEAD : x->header_len != TCP_HEADER)
		return false;
	x->len = total - x->header_len;
	return true;
}

/* A frame to us with a TCP segment, whole, with no IP options and no TCP options but a timestamp. */
static bool headers_are_plain(const struct net *net, const struct frame_rx *f, struct expected *x)
{
	const uint8_t *e = f->data, *h = e + ETHERNET_HEADER;
	x->tcp = e + TRANSPORT;
	if (f->len < TRANSPORT + TCP_HEADER || f->frag)
		return false;
	if (load_le64(e) << 16 != net->mac_shifted || (load_le32(e + 12) & 0x00ffffff) != TYPE_IP4_45
		|| (h[1] & IP_ECN_MASK) == IP_ECN_CE)
		return false;
	uint32_t total = load_be16(h + 2);
	/* DF may be set, reserved bit and fragments not. */
	if ((load_le16(h + 6) & 0xffbf) || h[9] != IP_PROTO_TCP || !ip4_header_is_intact(h)
		|| total > f->len - ETHERNET_HEADER || total < IP4_HEADER)
		return false;
	return tcp_header_is_plain(x, total - IP4_HEADER) && checksum_is_good(f, total - IP4_HEADER);
}

static bool checksum6_is_good(const struct frame_rx *f, uint32_t total)
{
	const uint8_t *h = f->data + ETHERNET_HEADER;
	if (LIKELY(f->checksum != FRAME_CHECKSUM_NONE))
		return true;
	uint64_t sum = ((uint32_t)IP_PROTO_TCP << 8) + __builtin_bswap16((uint16_t)total)
		+ checksum_sum(slice_of(h + 8, 32 + total)); /* the addresses stand before the segment */
	return checksum_fold(sum) == 0xffff;
}

/* The same with IPv6, with no extension headers. */
static bool headers6_are_plain(const struct net *net, const struct frame_rx *f, struct expected *x)
{
	const uint8_t *e = f->data, *h = e + ETHERNET_HEADER;
	x->tcp = e + TRANSPORT6;
	if (f->len < TRANSPORT6 + TCP_HEADER || f->frag)
		return false;
	if ((load_le32(e + 12) & 0x00f0ffff) != TYPE_IP6_6 || load_le64(e) << 16 != net->mac_shifted)
		return false;
	uint32_t total = load_be16(h + 4);
	if (h[6] != IP_PROTO_TCP || (h[1] >> 4 & IP_ECN_MASK) == IP_ECN_CE || total > f->len - TRANSPORT6)
		return false;
	return tcp_header_is_plain(x, total) && checksum6_is_good(f, total);
}

static struct tcp_conn *conn_of(const struct net *net, const uint8_t *frame)
{
	uint64_t addresses = load_le64(frame + ETHERNET_HEADER + 12);
	uint32_t ports = load_le32(frame + TRANSPORT);
	if (addresses >> 32 != net->own_address_wire)
		return NULL;
	struct tcp_conn *c = net->conn_table[tcp_table_hash(net, addresses, ports) & net->hash_mask];
	while (c && (c->key.addresses != addresses || c->key.ports != ports))
		c = c->hash_next;
	return c;
}

static struct tcp_conn *conn6_of(const struct net *net, const uint8_t *frame)
{
	const uint8_t *peer = frame + ETHERNET_HEADER + 8, *own = peer + 16;
	uint64_t fold = tcp_ip6_fold(net, peer, own);
	uint32_t ports = load_le32(frame + TRANSPORT6);
	struct tcp_conn *c = net->conn_table[tcp_table_hash6(net, fold, ports) & net->hash_mask];
	while (c && (c->key.addresses != fold || c->key.ports != (ports | TCP_KEY_IP6)
			|| memcmp(tcp_conn_ip6(c), own, 16) != 0 || memcmp(tcp_conn_ip6(c) + 16, peer, 16) != 0))
		c = c->hash_next;
	/* An address can be lost while connections live. */
	struct net_address to;
	memcpy(to.octet, own, sizeof to.octet);
	return c && ip6_is_own(net, &to) ? c : NULL;
}

/* Nothing that the states, windows or recovery of the long way would have to look at. */
static bool is_expected(struct tcp_conn *c, struct expected *x)
{
	const uint8_t *t = x->tcp;
	if (c->state != TCP_STATE_ESTABLISHED || load_be32(t + 4) != (uint32_t)c->rcv_nxt
		|| (c->ooo_frames | c->sacked | c->lost | c->recovery) || x->has_ts != c->ts_ok)
		return false;
	if (x->has_ts && seq_before(load_be32(t + TCP_HEADER + 4), c->ts_recent))
		return false;
	x->acked = load_be32(t + 8) - (uint32_t)c->snd_una;
	x->window = (uint32_t)load_be16(t + 14) << c->snd_scale;
	if (x->acked > c->snd_nxt - c->snd_una || !(x->acked | x->len) || !x->window || !c->snd_wnd)
		return false;
	return !x->len || (x->len <= c->rcv_adv - c->rcv_nxt && tcp_rx_room(c));
}

/* What tcp_acked comes to when the flight is one record that was sent once, and nothing else goes on. */
static inline void acked(struct tcp_conn *c, uint64_t ack, uint32_t ts_echo, bool has_ts)
{
	if (UNLIKELY(c->sent != &c->last || c->last.repeated || c->cwnd_limited || c->probe_end
		    || c->backoff || c->dup_acks || c->mss_trial)) {
		struct tcp_ack news = {.ack = ack, .ts_echo = ts_echo, .has_ts = has_ts,
			.rtt_us = UINT32_MAX, .clean_rtt_us = UINT32_MAX};
		tcp_acked(c, &news);
		return;
	}
	uint32_t now = tcp_now_us(c->net), rtt = now - c->last.sent_us;
	c->snd_una = c->last.start = ack;
	c->last.touched = true;
	c->progress_ns = c->net->now_ns;
	if (now - c->rtt_at_us >= c->srtt_us || !c->srtt_us) {
		tcp_rtt_min(c, rtt);
		tcp_rtt_sample(c, rtt);
	}
	if (c->snd_max > ack)
		tcp_rto_start(c);
	else
		c->rto_at = TIMER_NEVER;
	tcp_sends_complete(c);
}

static void take(struct tcp_conn *c, struct frame_rx *f, const struct expected *x)
{
	const uint8_t *t = x->tcp;
	uint32_t ts_echo = 0;
	c->last_rx_ns = c->net->now_ns;
	c->keepalive_probes = 0;
	if (x->has_ts) {
		ts_echo = load_be32(t + TCP_HEADER + 8);
		if (LIKELY(c->rcv_nxt == c->last_ack_sent)) { /* RFC 7323, 4.3: the first of those acknowledged together */
			c->ts_recent = load_be32(t + TCP_HEADER + 4);
			c->ts_recent_ns = c->net->now_ns;
		}
	}
	c->snd_wl1 = c->rcv_nxt;
	bool was_blocked = c->snd_wnd < c->snd_wnd_max;
	tcp_peer_window_set(c, x->window);
	if (x->len) {
		c->rcv_nxt += x->len;
		f->data += (size_t)(t - f->data) + x->header_len;
		f->len = x->len;
		tcp_rx_append_one(c, f);
		tcp_data_received(c);
	} else {
		frame_rx_put(f);
	}
	if (x->acked)
		acked(c, c->snd_una + x->acked, ts_echo, x->has_ts);
	if ((c->snd_nxt < c->queue_end || was_blocked) && c->state != TCP_STATE_CLOSED)
		tcp_conn_wake(c);
}

bool tcp_short_way(struct net *net, struct frame_rx *f)
{
	struct expected x;
	struct tcp_conn *c;
	uint64_t *receives = &net->counters.ip_in_receives;
	if (LIKELY(headers_are_plain(net, f, &x))) {
		c = conn_of(net, f->data);
	} else if (headers6_are_plain(net, f, &x)) {
		c = conn6_of(net, f->data);
		receives = &net->counters.ip6_in_receives;
	} else {
		return false;
	}
	if (!c || !is_expected(c, &x))
		return false;
	(*receives)++;
	net->counters.tcp_in_segs++;
	net->counters.tcp_fast_path++;
	take(c, f, &x);
	return true;
}
