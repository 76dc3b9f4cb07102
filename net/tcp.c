/* TCP: demultiplexing, life of connections, and the API of net/tcp.h.
 *
 * A segment is for (in this order) a connection, a TIME_WAIT entry, a half-open entry, or a listener; else
 * it is answered with RST. All four are found by one keyed hash (tcp_table_hash), so that a peer cannot
 * choose its ports to make a chain long. The segment that an established connection expects does not come
 * here: tcp_short.c takes it.
 *
 * The states of RFC 9293, 3.3.2, and where they live:
 *   LISTEN        struct tcp_listener
 *   SYN_RECEIVED  struct tcp_syn, or nowhere at all (cookies); struct tcp_conn on simultaneous open
 *   TIME_WAIT     struct tcp_time_wait
 *   all others    struct tcp_conn */
#include <net/tcp.h>

#include <base/arith.h>
#include "checksum.h"
#include "tcp_conn.h"

#define EPHEMERAL_FIRST 32768
#define EPHEMERAL_COUNT 28232

/* --- Keys and numbers ------------------------------------------------------------------------ */

static inline uint64_t rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

/* hash_sip13 over the 12 bytes of a key. */
static uint64_t key_hash(struct hash_key secret, const struct tcp_key *key)
{
	uint64_t m[2] = {key->addresses, key->ports | UINT64_C(12) << 56};
	uint64_t v0 = secret.k0 ^ UINT64_C(0x736f6d6570736575), v1 = secret.k1 ^ UINT64_C(0x646f72616e646f6d);
	uint64_t v2 = secret.k0 ^ UINT64_C(0x6c7967656e657261), v3 = secret.k1 ^ UINT64_C(0x7465646279746573);
	for (int i = 0; i < 5; i++) { /* two of input, three to finish */
		uint64_t word = i < 2 ? m[i] : 0;
		v3 ^= word;
		v2 ^= i == 2 ? 0xff : 0;
		v0 += v1;
		v1 = rotate(v1, 13) ^ v0;
		v0 = rotate(v0, 32);
		v2 += v3;
		v3 = rotate(v3, 16) ^ v2;
		v0 += v3;
		v3 = rotate(v3, 21) ^ v0;
		v2 += v1;
		v1 = rotate(v1, 17) ^ v2;
		v2 = rotate(v2, 32);
		v0 ^= word;
	}
	return v0 ^ v1 ^ v2 ^ v3;
}

static uint64_t ends_hash(struct hash_key secret, const struct tcp_ends *ends)
{
	uint8_t bytes[36];
	if (LIKELY(!tcp_key_is_ip6(&ends->key)))
		return key_hash(secret, &ends->key);
	memcpy(bytes, ends->peer.octet, 16);
	memcpy(bytes + 16, ends->own.octet, 16);
	store_le32(bytes + 32, (uint32_t)ends->key.ports);
	return hash_sip13(secret, slice_of(bytes, sizeof bytes));
}

/* The sequence number is a clock of 4 us and a secret of the ends (RFC 6528). The timestamps' offset is a secret
 * alone: the same for one pair of ends always, so that PAWS and RFC 6191 work from one connection to the next.
 * The two halves of one hash tell nothing about each other. */
struct tcp_numbers tcp_initial_numbers(const struct net *net, const struct tcp_ends *ends)
{
	uint64_t secret = ends_hash(net->isn_key, ends);
	return (struct tcp_numbers){
		.seq = (uint32_t)(net->now_ns >> 12) + (uint32_t)secret,
		.ts_offset = (uint32_t)(secret >> 32),
	};
}

static void ends_set(const struct net *net, struct tcp_ends *ends, const struct net_address *peer,
	const struct net_address *own, uint16_t peer_port, uint16_t own_port)
{
	if (net_address_is_v4(peer)) {
		ends->key = tcp_key_of(net_address_to_v4(peer), net_address_to_v4(own), peer_port, own_port);
		return;
	}
	ends->key = tcp_key_of(0, 0, peer_port, own_port);
	ends->key.ports |= TCP_KEY_IP6;
	ends->key.addresses = tcp_ip6_fold(net, peer->octet, own->octet);
	ends->peer = *peer;
	ends->own = *own;
}

void tcp_conn_ends(const struct tcp_conn *c, struct tcp_ends *out)
{
	out->key = c->key;
	if (LIKELY(!tcp_key_is_ip6(&c->key)))
		return;
	memcpy(out->own.octet, tcp_conn_ip6(c), 16);
	memcpy(out->peer.octet, tcp_conn_ip6(c) + 16, 16);
}

static struct net_address ends_peer(const struct tcp_ends *ends)
{
	return tcp_key_is_ip6(&ends->key) ? ends->peer : net_address_v4(tcp_key_peer_ip(&ends->key));
}

static struct net_address ends_own(const struct tcp_ends *ends)
{
	return tcp_key_is_ip6(&ends->key) ? ends->own : net_address_v4(tcp_key_own_ip(&ends->key));
}

static void key_draw(struct net *net, struct hash_key *key)
{
	key->k0 = random_u64(net->random);
	key->k1 = random_u64(net->random);
}

void tcp_init(struct net *net)
{
	for (size_t i = 0; i < ARRAY_LEN(net->hash_key); i++)
		net->hash_key[i] = random_u64(net->random);
	for (size_t i = 0; i < ARRAY_LEN(net->fold_key); i++)
		net->fold_key[i] = random_u64(net->random);
	key_draw(net, &net->flow_key);
	key_draw(net, &net->isn_key);
	key_draw(net, &net->cookie_key);
	list_init(&net->time_wait_list);
	list_init(&net->ooo_conns);
	timer_init(&net->time_wait_timer, tcp_time_wait_timer);
}

uint16_t tcp_own_mss(const struct net *net, bool ip6)
{
	return (uint16_t)(ip_mtu(net, ip6) - (ip6 ? IP6_HEADER : IP4_HEADER) - TCP_HEADER);
}

static bool is_between(const struct tcp_conn *c, const struct tcp_ends *ends)
{
	if (!tcp_key_equal(&c->key, &ends->key))
		return false;
	return LIKELY(!tcp_key_is_ip6(&c->key))
		|| (memcmp(tcp_conn_ip6(c), ends->own.octet, 16) == 0
			&& memcmp(tcp_conn_ip6(c) + 16, ends->peer.octet, 16) == 0);
}

struct tcp_conn *tcp_conn_find(const struct net *net, const struct tcp_ends *ends, uint32_t hash)
{
	struct tcp_conn *c = net->conn_table[hash & net->hash_mask];
	while (c && !is_between(c, ends))
		c = c->hash_next;
	return c;
}

struct tcp_listener *tcp_listener_find(struct net *net, uint16_t port)
{
	for (uint32_t i = 0; port && i < LISTENERS_MAX; i++) {
		if (net->listener[i].port == port)
			return &net->listener[i];
	}
	return NULL;
}

/* --- Connections ----------------------------------------------------------------------------- */

struct tcp_conn *tcp_conn_create(struct net *net, const struct tcp_ends *ends, uint32_t hash)
{
	struct tcp_conn *c = pool_get(&net->conns);
	if (!c)
		return NULL;
	memset(c, 0, sizeof *c);
	c->net = net;
	c->key = ends->key;
	if (UNLIKELY(tcp_key_is_ip6(&ends->key))) {
		memcpy(c->template + ETHERNET_HEADER + 8, ends->own.octet, 16);
		memcpy(c->template + ETHERNET_HEADER + 24, ends->peer.octet, 16);
	}
	c->hash = hash;
	list_init(&c->tx_link);
	list_init(&c->event_link);
	list_init(&c->rx);
	list_init(&c->ooo);
	list_init(&c->ooo_link);
	timer_init(&c->timer, tcp_timer_fire);
	c->rto_at = c->ack_at = TIMER_NEVER;
	c->rto_us = TCP_RTO_INITIAL_US;
	c->sent = &c->last;
	c->last_link = &c->sent;
	c->last_rx_ns = c->progress_ns = net->now_ns;
	c->quick_acks = 4;
	struct tcp_conn **slot = &net->conn_table[hash & net->hash_mask];
	c->hash_next = *slot;
	*slot = c;
	return c;
}

static void table_remove(struct tcp_conn *c)
{
	struct tcp_conn **at = &c->net->conn_table[c->hash & c->net->hash_mask];
	while (*at != c)
		at = &(*at)->hash_next;
	*at = c->hash_next;
}

void tcp_conn_ready(struct tcp_conn *c, uint32_t iss, uint32_t irs, uint16_t peer_mss)
{
	struct net *net = c->net;
	bool ip6 = tcp_key_is_ip6(&c->key);
	uint32_t mss = peer_mss ? peer_mss : tcp_default_mss(ip6), own = tcp_own_mss(net, ip6);
	if (mss > own)
		mss = own;
	if (mss < 88) /* a peer cannot make us send a header for each byte */
		mss = 88;
	c->mss = c->ts_ok ? mss - TCP_TIMESTAMP_OPTION : mss;
	c->mss_max = (uint16_t)c->mss;
	c->snd_una = c->snd_nxt = c->snd_max = c->queue_end = (UINT64_C(1) << 32) + iss + 1;
	c->recover = c->last.start = c->last.end = c->snd_una;
	c->rcv_nxt = c->last_ack_sent = (UINT64_C(1) << 32) + irs + 1;
	c->rcv_space = tcp_window_bound(c, net->receive_window);
	c->rcv_round_seq = (uint32_t)c->rcv_nxt;
	c->rcv_round_us = tcp_now_us(net);
	c->rcv_adv = c->rcv_nxt + (net->receive_window < 0xffff ? net->receive_window : 0xffff);
	c->snd_wl1 = c->rcv_nxt - 1;
	c->cursor = (struct tcp_cursor){.seq = c->snd_nxt};
	c->ts_recent_ns = net->now_ns;
	tcp_congestion_init(c);
	tcp_template_init(c);
	tcp_timer_ensure(c, net->now_ns + u64_min(net->keepalive_idle_ns, 60 * NS_PER_S));
}

void tcp_conn_event(struct tcp_conn *c, uint32_t events)
{
	c->events |= events;
	if (!c->released && list_is_empty(&c->event_link))
		list_push_back(&c->net->events, &c->event_link);
}

static void sends_fail(struct tcp_conn *c)
{
	struct tcp_send *s = c->send_head;
	c->send_head = c->send_tail = NULL;
	c->cursor.send = NULL;
	while (s) {
		struct tcp_send *next = s->next;
		s->finished = s->end <= c->snd_una;
		s->dead = true;
		if (!s->frames)
			s->done(s, s->finished);
		s = next;
	}
}

void tcp_conn_kill(struct tcp_conn *c, uint32_t events)
{
	struct net *net = c->net;
	if (c->state == TCP_STATE_CLOSED)
		return;
	c->state = TCP_STATE_CLOSED;
	table_remove(c);
	timer_cancel(&net->timers, &c->timer);
	list_remove(&c->tx_link);
	tcp_ooo_drop(c);
	tcp_flight_reset(c);
	if (c->accepted && net->listener[c->listener].connections)
		net->listener[c->listener].connections--;
	bool had_sends = c->send_head != NULL;
	sends_fail(c);
	tcp_conn_event(c, TCP_CLOSED | events | (had_sends ? TCP_SENT : 0));
}

/* The next hop does not answer. */
void tcp_conn_unreachable(struct tcp_conn *c)
{
	if (c->state == TCP_STATE_SYN_SENT) {
		c->net->counters.tcp_attempt_fails++;
		tcp_conn_kill(c, TCP_TIMED_OUT);
		return;
	}
	tcp_conn_blocked(c);
}

void tcp_conn_blocked(struct tcp_conn *c)
{
	/* An ACK that was due is lost like one on its way: what the peer repeats asks for another. */
	c->ack_now = c->ack_pending = false;
	if (c->rto_at == TIMER_NEVER)
		tcp_rto_start(c);
}

void tcp_sends_complete_slow(struct tcp_conn *c)
{
	struct tcp_send *s;
	while ((s = c->send_head) && s->end <= c->snd_una && !s->frames) {
		c->send_head = s->next;
		if (!c->send_head)
			c->send_tail = NULL;
		if (c->cursor.send == s)
			c->cursor = (struct tcp_cursor){.send = s->next, .seq = s->end};
		s->finished = true;
		tcp_conn_event(c, TCP_SENT);
		s->done(s, true);
	}
}

void tcp_frame_done(struct net *net, struct tcp_send *first, uint32_t count)
{
	(void)net;
	struct tcp_conn *c = first->dead ? NULL : first->conn;
	for (struct tcp_send *s = first; count; count--) {
		struct tcp_send *next = s->next;
		s->frames--;
		if (s->dead && !s->frames)
			s->done(s, s->finished);
		s = next;
	}
	if (c)
		tcp_sends_complete(c);
}

/* --- Segments that belong to no queue -------------------------------------------------------- */

void tcp_control_send(struct net *net, const struct tcp_control *control)
{
	struct net_frame *f = frame_get(net);
	if (!f)
		return;
	const struct tcp_ends *ends = control->ends;
	bool ip6 = tcp_key_is_ip6(&ends->key);
	uint8_t *h = ip6 ? ip6_transport(f) : ip4_transport(f);
	uint16_t len = (uint16_t)(TCP_HEADER + control->options.len);
	store_be16(h, tcp_key_own_port(&ends->key));
	store_be16(h + 2, tcp_key_peer_port(&ends->key));
	store_be32(h + 4, control->seq);
	store_be32(h + 8, control->ack);
	h[12] = (uint8_t)(len << 2);
	h[13] = control->flags;
	store_be16(h + 14, (uint16_t)control->window);
	store_be32(h + 16, 0);
	if (control->options.len)
		memcpy(h + TCP_HEADER, control->options.ptr, control->options.len);
	uint64_t sum = (ip6 ? ip6_pseudo_sum(&ends->own, &ends->peer, IP_PROTO_TCP)
			: ip4_sum_addresses(ends->key.addresses) + ((uint32_t)IP_PROTO_TCP << 8))
		+ __builtin_bswap16(len) + checksum_sum(slice_of(h, len));
	store_le16(h + 16, (uint16_t)~checksum_fold(sum));
	f->tx.header_len = (uint16_t)(h + len - (f->tx.header + FRAME_TX_HEADROOM));
	net->counters.tcp_out_segs++;
	if (control->flags & TCP_RST)
		net->counters.tcp_out_rsts++;
	if (ip6)
		ip6_send(net, f, &ends->own, &ends->peer, IP_PROTO_TCP, net->ip6.hop_limit);
	else
		ip4_send(net, f, tcp_key_own_ip(&ends->key), tcp_key_peer_ip(&ends->key), IP_PROTO_TCP);
}

void tcp_reset_reply(struct net *net, const struct tcp_segment *s)
{
	struct tcp_control control = {.ends = &s->ends, .flags = TCP_RST};
	if (s->flags & TCP_RST)
		return;
	if (s->flags & TCP_ACK) {
		control.seq = s->ack;
	} else {
		control.flags |= TCP_ACK;
		control.ack = s->seq + s->len + !!(s->flags & TCP_SYN) + !!(s->flags & TCP_FIN);
	}
	tcp_control_send(net, &control);
}

/* --- Input ----------------------------------------------------------------------------------- */

static void options_parse(struct slice options, bool syn, struct tcp_options *out)
{
	const uint8_t *p = options.ptr, *end = p + options.len;
	*out = (struct tcp_options){0};
	while (p < end && *p != 0) {
		if (*p == 1) {
			p++;
			continue;
		}
		if (end - p < 2 || p[1] < 2 || p[1] > end - p)
			return;
		uint8_t len = p[1];
		if (p[0] == 2 && len == 4 && syn) {
			out->mss = load_be16(p + 2);
		} else if (p[0] == 3 && len == 3 && syn) {
			out->has_scale = true;
			out->scale = p[2] < 14 ? p[2] : 14;
		} else if (p[0] == 4 && len == 2 && syn) {
			out->sack_ok = true;
		} else if (p[0] == 5 && len >= 10 && !syn) {
			out->sack = slice_of(p + 2, (len - 2u) & ~7u);
		} else if (p[0] == 8 && len == 10) {
			out->has_ts = true;
			out->ts_value = load_be32(p + 2);
			out->ts_echo = load_be32(p + 6);
		}
		p += len;
	}
}

/* The timestamp is needed for every segment; it nearly always stands in one place. */
static void options_read(struct tcp_segment *s)
{
	const uint8_t *p = s->options.ptr;
	bool syn = s->flags & TCP_SYN;
	if (LIKELY(!syn && s->options.len == TCP_TIMESTAMP_OPTION && load_le32(p) == TCP_OPTIONS_TS_HEAD)) {
		s->has_ts = true;
		s->ts_value = load_be32(p + 4);
		s->ts_echo = load_be32(p + 8);
	} else if (s->options.len || syn) {
		options_parse(s->options, syn, &s->parsed);
		s->has_ts = s->parsed.has_ts;
		s->ts_value = s->parsed.ts_value;
		s->ts_echo = s->parsed.ts_echo;
	}
}

static bool checksum_is_good(const struct ip_packet *p)
{
	if (LIKELY(p->frame->checksum != FRAME_CHECKSUM_NONE))
		return true;
	uint64_t sum = ip_packet_pseudo_sum(p, p->total)
		+ (LIKELY(p->payload.len == p->total) ? checksum_sum(p->payload) : ip_payload_sum(p));
	return checksum_fold(sum) == 0xffff;
}

static void segment_ends(const struct net *net, const struct ip_packet *p, struct tcp_ends *ends)
{
	ends->key.ports = load_le32(p->payload.ptr);
	if (LIKELY(p->family == 4)) {
		ends->key.addresses = load_le64(p->header + 12);
		return;
	}
	ends->key.ports |= TCP_KEY_IP6;
	ends->key.addresses = tcp_ip6_fold(net, p->header + 8, p->header + 24);
	memcpy(ends->peer.octet, p->header + 8, 16);
	memcpy(ends->own.octet, p->header + 24, 16);
}

static bool segment_parse(const struct net *net, const struct ip_packet *p, struct tcp_segment *s)
{
	const uint8_t *h = p->payload.ptr;
	if (UNLIKELY(p->payload.len < TCP_HEADER))
		return false;
	uint32_t header_len = (h[12] >> 4) * 4u;
	if (UNLIKELY(header_len < TCP_HEADER || header_len > p->payload.len || !checksum_is_good(p)))
		return false;
	s->frame = p->frame;
	segment_ends(net, p, &s->ends);
	s->seq = load_be32(h + 4);
	s->ack = load_be32(h + 8);
	s->flags = h[13];
	s->ce = p->ecn == IP_ECN_CE;
	s->window = load_be16(h + 14);
	s->len = p->total - header_len;
	s->payload_offset = (uint32_t)(h - p->frame->data) + header_len;
	s->has_ts = false;
	s->ts_value = s->ts_echo = 0;
	s->options = slice_of(h + TCP_HEADER, header_len - TCP_HEADER);
	options_read(s);
	return true;
}

/* The bare acknowledgement that has completed a handshake: it tells the window, and no more. */
static bool handshake_ack(struct tcp_conn *c, const struct tcp_segment *s)
{
	if (s->flags != TCP_ACK || s->len || s->seq != (uint32_t)c->rcv_nxt)
		return false;
	c->snd_wl1 = c->rcv_nxt;
	tcp_peer_window_set(c, s->window << c->snd_scale);
	if (c->ts_ok)
		c->ts_recent = s->ts_value;
	return true;
}

/* No connection: a half-open one, a finished one, or a new one. */
static bool strange_segment(struct net *net, struct tcp_segment *s)
{
	uint32_t iss = 0;
	bool has_iss = false;
	struct tcp_time_wait *w = tcp_time_wait_find(net, &s->ends, s->hash);
	if (w) {
		if (tcp_time_wait_segment(net, w, s, &iss))
			return false;
		has_iss = true;
	}
	struct tcp_conn *c = NULL;
	struct tcp_syn *syn = tcp_syn_find(net, &s->ends, s->hash);
	struct tcp_listener *l = tcp_listener_find(net, tcp_key_own_port(&s->ends.key));
	uint8_t kind = s->flags & (TCP_SYN | TCP_ACK | TCP_RST);
	if (syn)
		c = tcp_syn_segment(net, syn, s);
	else if (kind == TCP_SYN && l)
		tcp_syn_input(net, l, s, iss, has_iss);
	else if (!(kind == TCP_ACK && l && tcp_cookie_segment(net, l, s, &c))
		&& !tcp_cookie_may_follow(net, l, s))
		tcp_reset_reply(net, s);
	return c && !handshake_ack(c, s) && tcp_conn_segment(c, s);
}

bool tcp_input(struct net *net, const struct ip_packet *p)
{
	struct tcp_segment s;
	net->counters.tcp_in_segs++;
	if (UNLIKELY(!segment_parse(net, p, &s))) {
		net->counters.tcp_in_errs++;
		return false;
	}
	/* IPv4 takes more while it has no address. */
	if (UNLIKELY(p->family == 4 && !ip4_is_own(net, ip4_packet_destination(p))))
		return false;
	s.hash = tcp_hash(net, &s.ends.key);
	struct tcp_conn *c = tcp_conn_find(net, &s.ends, s.hash);
	return LIKELY(c != NULL) ? tcp_conn_segment(c, &s) : strange_segment(net, &s);
}

/* What a router that does not say it may mean (RFC 1191, 7). */
static uint32_t plateau_below(uint32_t size)
{
	static const uint16_t plateau[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006};
	for (uint32_t i = 0; i < ARRAY_LEN(plateau); i++) {
		if (plateau[i] < size)
			return plateau[i];
	}
	return 576;
}

static uint32_t path_overhead(const struct tcp_conn *c)
{
	return tcp_ip_header(&c->key) + TCP_HEADER + (c->ts_ok ? TCP_TIMESTAMP_OPTION : 0u);
}

/* The segment size that the path's new MTU leaves; never below what everybody has to carry (RFC 791: 576 in
 * effect; RFC 8200, 5: 1280), so that a lie costs little. */
static uint32_t path_mss(const struct tcp_conn *c, uint32_t mtu)
{
	uint32_t least = tcp_key_is_ip6(&c->key) ? IP6_MTU_MIN : 576;
	return (mtu > least ? mtu : least) - path_overhead(c);
}

/* Only what concerns data in flight is believed (RFC 5927, 4). Hard errors end an attempt to connect;
 * "too big" lowers the segment size. */
void tcp_icmp_error(struct net *net, const struct net_address *source,
	const struct net_address *destination, const uint8_t *transport, enum ip_error what, uint32_t mtu)
{
	struct tcp_ends ends;
	ends_set(net, &ends, destination, source, load_be16(transport + 2), load_be16(transport));
	struct tcp_conn *c = tcp_conn_find(net, &ends, tcp_hash(net, &ends.key));
	if (!c)
		return;
	if (c->state == TCP_STATE_SYN_SENT) {
		if (load_be32(transport + 4) == (uint32_t)(c->snd_una) && what == IP_ERROR_HARD) {
			net->counters.tcp_attempt_fails++;
			tcp_conn_kill(c, TCP_RESET);
		}
		return;
	}
	uint64_t seq = seq_extend(c->snd_una, load_be32(transport + 4));
	if (seq < c->snd_una || seq >= c->snd_max || what != IP_ERROR_TOO_BIG)
		return;
	if (tcp_key_is_ip6(&c->key) && mtu < IP6_MTU_MIN) /* a lie: every path carries that (RFC 8201, 4) */
		return;
	uint32_t before = c->mss;
	tcp_pmtu_limit(c, path_mss(c, mtu ? mtu : plateau_below(path_overhead(c) + before)));
	if (c->mss < before) { /* it is no sign of congestion: sent again at once, in smaller pieces */
		tcp_flight_lose_all(c, false);
		tcp_conn_wake(c);
	}
}

/* --- The API --------------------------------------------------------------------------------- */

err tcp_listen(struct net *net, uint16_t port, uint32_t connections_max)
{
	return tcp_listen_for(net, port, connections_max, NULL);
}

err tcp_listen_for(struct net *net, uint16_t port, uint32_t connections_max, struct tcp_handler *handler)
{
	if (!port)
		return ERR(INVALID);
	if (tcp_listener_find(net, port))
		return ERR(BUSY);
	for (uint32_t i = 0; i < LISTENERS_MAX; i++) {
		struct tcp_listener *l = &net->listener[i];
		/* A slot whose connections still live cannot count for another port. */
		if (l->port || l->connections)
			continue;
		l->port = port;
		l->connections_max = connections_max ? connections_max : UINT32_MAX;
		l->handler = handler;
		return OK;
	}
	return ERR(NO_MEMORY);
}

void tcp_unlisten(struct net *net, uint16_t port)
{
	struct tcp_listener *l = tcp_listener_find(net, port);
	if (l)
		l->port = 0;
}

static bool port_is_free(struct net *net, const struct tcp_ends *ends, uint32_t hash)
{
	return !tcp_conn_find(net, ends, hash) && !tcp_time_wait_find(net, ends, hash)
		&& !tcp_syn_find(net, ends, hash);
}

/* RFC 6056, 3.3.1: random, and a few tries. */
static bool port_choose(struct net *net, const struct net_endpoint *to, const struct net_address *own,
	struct tcp_ends *ends, uint32_t *hash)
{
	for (uint32_t i = 0; i < 64; i++) {
		uint16_t port = (uint16_t)(EPHEMERAL_FIRST + random_below(net->random, EPHEMERAL_COUNT));
		ends_set(net, ends, &to->address, own, to->port, port);
		*hash = tcp_hash(net, &ends->key);
		if (port_is_free(net, ends, *hash) && !tcp_listener_find(net, port))
			return true;
	}
	return false;
}

err tcp_connect(struct tcp_conn **out, struct net *net, const struct net_endpoint *to)
{
	struct net_address own, hop;
	struct tcp_ends ends;
	uint32_t hash;
	if (!to->port || !ip_route(net, &to->address, &hop) || ip_is_own(net, &to->address)
		|| !ip_source(net, &to->address, &own))
		return ERR(INVALID);
	if (!port_choose(net, to, &own, &ends, &hash))
		return ERR(BUSY);
	struct tcp_conn *c = tcp_conn_create(net, &ends, hash);
	if (!c)
		return ERR(NO_MEMORY);
	/* Until the answer comes: everything offered, nothing agreed. */
	c->ts_ok = c->sack_ok = true;
	struct tcp_numbers first = tcp_initial_numbers(net, &ends);
	c->ts_offset = first.ts_offset;
	tcp_conn_ready(c, first.seq - 1, 0, 0);
	c->state = TCP_STATE_SYN_SENT;
	c->queue_end = c->snd_una + 1;
	c->cursor.seq = c->queue_end;
	net->counters.tcp_active_opens++;
	tcp_conn_wake(c);
	*out = c;
	return OK;
}

struct tcp_conn *net_event_next(struct net *net, uint32_t *events)
{
	struct list *e;
	while ((e = list_pop_front(&net->events))) {
		struct tcp_conn *c = CONTAINER_OF(e, struct tcp_conn, event_link);
		*events = c->events;
		c->events = 0;
		if (LIKELY(!c->handled))
			return c;
		struct tcp_handler *h = c->cookie;
		h->event(h, c, *events);
	}
	return NULL;
}

void tcp_set_cookie(struct tcp_conn *c, void *cookie)
{
	c->cookie = cookie;
	c->handled = false;
}

void tcp_set_handler(struct tcp_conn *c, struct tcp_handler *handler)
{
	c->cookie = handler;
	c->handled = handler != NULL;
}

void *tcp_cookie(const struct tcp_conn *c)
{
	return c->cookie;
}

err tcp_send(struct tcp_conn *c, struct tcp_send *s)
{
	uint64_t len = 0;
	if (c->state == TCP_STATE_CLOSED || c->fin_queued)
		return ERR(CLOSED);
	for (uint32_t i = 0; i < s->count; i++)
		len += s->segments[i].len;
	s->next = NULL;
	s->start = c->queue_end;
	s->end = c->queue_end + len;
	s->conn = c;
	s->frames = 0;
	s->dead = s->finished = false;
	if (c->snd_una == c->queue_end) {
		c->progress_ns = c->net->now_ns;
		if (UNLIKELY(tcp_now_us(c->net) - c->last.sent_us > c->rto_us))
			tcp_congestion_idle(c);
	}
	c->queue_end = s->end;
	if (c->send_tail)
		c->send_tail->next = s;
	else
		c->send_head = s;
	c->send_tail = s;
	if (!c->cursor.send && c->cursor.seq == s->start)
		c->cursor = (struct tcp_cursor){.send = s, .seq = s->start};
	tcp_conn_wake(c);
	return OK;
}

size_t tcp_unsent(const struct tcp_conn *c)
{
	return c->queue_end > c->snd_una ? (size_t)(c->queue_end - c->snd_una) : 0;
}

void tcp_close(struct tcp_conn *c)
{
	if (c->state == TCP_STATE_CLOSED || c->fin_queued)
		return;
	c->fin_queued = true;
	if (c->snd_una == c->queue_end)
		c->progress_ns = c->net->now_ns;
	if (c->state == TCP_STATE_ESTABLISHED)
		c->state = TCP_STATE_FIN_WAIT_1;
	else if (c->state == TCP_STATE_CLOSE_WAIT)
		c->state = TCP_STATE_LAST_ACK;
	tcp_conn_wake(c);
}

void tcp_abort(struct tcp_conn *c)
{
	if (c->state == TCP_STATE_CLOSED)
		return;
	if (c->state != TCP_STATE_SYN_SENT)
		tcp_rst_send(c);
	if (c->state == TCP_STATE_ESTABLISHED || c->state == TCP_STATE_CLOSE_WAIT)
		c->net->counters.tcp_estab_resets++;
	tcp_conn_kill(c, 0);
}

void tcp_release(struct tcp_conn *c)
{
	ASSERT(!c->released);
	c->released = true;
	tcp_abort(c);
	list_remove(&c->event_link);
	tcp_rx_drop(c);
	pool_put(&c->net->conns, c);
}

struct net_endpoint tcp_peer(const struct tcp_conn *c)
{
	struct tcp_ends ends;
	tcp_conn_ends(c, &ends);
	return (struct net_endpoint){ends_peer(&ends), tcp_key_peer_port(&c->key)};
}

struct net_endpoint tcp_local(const struct tcp_conn *c)
{
	struct tcp_ends ends;
	tcp_conn_ends(c, &ends);
	return (struct net_endpoint){ends_own(&ends), tcp_key_own_port(&c->key)};
}

void tcp_info(const struct tcp_conn *c, struct tcp_info *out)
{
	static const char *const name[] = {"CLOSED", "SYN_SENT", "SYN_RECEIVED", "ESTABLISHED",
		"FIN_WAIT_1", "FIN_WAIT_2", "CLOSE_WAIT", "CLOSING", "LAST_ACK"};
	static const char *const recovery[] = {"OPEN", "FAST", "SLOW"};
	*out = (struct tcp_info){
		.state = name[c->state],
		.mss = c->mss,
		.cwnd = c->cwnd,
		.ssthresh = c->ssthresh,
		.peer_window = c->snd_wnd,
		.receive_window = (uint32_t)(c->rcv_adv - c->rcv_nxt),
		.in_flight = (uint32_t)(c->snd_nxt - c->snd_una),
		.srtt_ns = c->srtt_us * UINT64_C(1000),
		.rto_ns = c->rto_us * UINT64_C(1000),
		.min_rtt_ns = c->min_rtt_us * UINT64_C(1000),
		.recovery = recovery[c->recovery],
		.sacked = c->sacked,
		.lost = c->lost,
		.records = c->records,
		.retransmits = c->repeats,
		.dsacks = c->dsacks,
		.ecn = c->ecn_ok,
		.reordering = c->reordering,
		.out_of_order_frames = c->ooo_frames,
		.readable = c->readable,
	};
}
