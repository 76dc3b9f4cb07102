/* Half-open connections: a small entry for each, and none at all under pressure.
 *
 *   SYN, entry free     -> entry, SYN|ACK repeated after 1.1 s, then ever twice that, 5 times, then dropped;
 *                          a repeated SYN is answered at once instead
 *   SYN, no entry free  -> SYN|ACK whose sequence number is a cookie (RFC 4987, 3.6); the options that a
 *                          cookie has no room for ride in the low bits of our timestamp
 *   ACK of either       -> struct tcp_conn, TCP_ACCEPTED
 *
 * A cookie is 5 bits of a 64 s clock, 3 bits of segment size, 24 bits of a keyed hash over both, the
 * ends and the peer's initial sequence number. It is good for 64 to 128 s. */
#include "tcp_conn.h"

#define SYN_RETRIES 5
#define SYN_LIFE_NS (40 * NS_PER_S) /* in which repeated SYNs keep the entry */
/* A little more than the second after which a peer repeats its SYN: the answer to that one, unlike a
 * repetition of ours, tells it the round-trip time (else it would believe in one of a second or more). */
#define SYN_ACK_TIMEOUT_NS (1100 * NS_PER_MS)
#define COOKIE_PERIOD_NS (64 * NS_PER_S)
#define COOKIE_TS_BITS 6
#define COOKIE_TS_NO_SCALE 15
#define COOKIE_TS_SACK 16
#define COOKIE_TS_ECN 32

static const uint16_t cookie_mss[8] = {536, 1024, 1220, 1360, 1400, 1440, 1460, 8960};

struct tcp_syn *tcp_syn_find(const struct net *net, const struct tcp_ends *ends, uint32_t hash)
{
	struct tcp_syn *s = net->syn_table[hash & net->hash_mask];
	while (s && !tcp_ends_equal(&s->ends, ends))
		s = s->hash_next;
	return s;
}

static void syn_free(struct tcp_syn *syn)
{
	struct net *net = syn->net;
	struct tcp_syn **at = &net->syn_table[syn->hash & net->hash_mask];
	while (*at != syn)
		at = &(*at)->hash_next;
	*at = syn->hash_next;
	timer_cancel(&net->timers, &syn->timer);
	pool_put(&net->syns, syn);
}

size_t tcp_syn_options(uint8_t *out, uint16_t mss, bool sack, int scale, bool ts, uint32_t ts_value,
	uint32_t ts_echo)
{
	uint8_t *p = out;
	store_be32(p, 0x02040000u | mss);
	p += 4;
	if (ts) {
		store_be32(p, sack ? 0x0402080a : 0x0101080a);
		store_be32(p + 4, ts_value);
		store_be32(p + 8, ts_echo);
		p += 12;
	} else if (sack) {
		store_be32(p, 0x01010402);
		p += 4;
	}
	if (scale >= 0) {
		store_be32(p, 0x01030300u | (uint32_t)scale);
		p += 4;
	}
	return (size_t)(p - out);
}

static uint32_t initial_window(const struct net *net)
{
	return net->receive_window < 0xffff ? net->receive_window : 0xffff;
}

static void syn_ack_send(struct tcp_syn *syn, uint32_t ts_value)
{
	syn->sent_ts = ts_value;
	struct net *net = syn->net;
	uint8_t options[40];
	size_t len = tcp_syn_options(options, tcp_own_mss(net, tcp_key_is_ip6(&syn->ends.key)), syn->sack_ok,
		syn->scale_ok ? net->receive_scale : -1, syn->ts_ok, ts_value, syn->ts_recent);
	struct tcp_control control = {
		.ends = &syn->ends,
		.seq = syn->iss,
		.ack = syn->irs + 1,
		.window = initial_window(net),
		.flags = TCP_SYN | TCP_ACK | (syn->ecn_ok ? TCP_ECE : 0),
		.options = slice_of(options, len),
	};
	tcp_control_send(net, &control);
}

static void syn_ack_repeat(struct tcp_syn *syn)
{
	struct net *net = syn->net;
	net->counters.tcp_retrans_segs++;
	syn->repeated = true;
	timer_arm(&net->timers, &syn->timer, net->now_ns + (SYN_ACK_TIMEOUT_NS << syn->retries));
	syn_ack_send(syn, tcp_ts_now(net, syn->ts_offset));
}

static void syn_timer(struct timer *t)
{
	struct tcp_syn *syn = CONTAINER_OF(t, struct tcp_syn, timer);
	struct net *net = syn->net;
	if (syn->retries >= SYN_RETRIES) {
		net->counters.tcp_attempt_fails++;
		syn_free(syn);
		return;
	}
	syn->retries++;
	syn_ack_repeat(syn);
}

/* The SYN again: the answer to it was lost, or is late. The timer begins anew, so that the two ends do not
 * both repeat; but nobody keeps an entry for ever by repeating a SYN. */
static void syn_again(struct tcp_syn *syn, const struct tcp_segment *s)
{
	if (s->seq != syn->irs || syn->net->now_ns - syn->sent_ns > SYN_LIFE_NS) {
		syn->repeated = true;
		syn_ack_send(syn, tcp_ts_now(syn->net, syn->ts_offset));
		return;
	}
	if (s->has_ts && !seq_before(s->ts_value, syn->ts_recent))
		syn->ts_recent = s->ts_value;
	syn_ack_repeat(syn);
}

static void syn_from_segment(struct tcp_syn *syn, struct net *net, const struct tcp_segment *s)
{
	const struct tcp_options o = s->parsed;
	struct tcp_numbers first = tcp_initial_numbers(net, &s->ends);
	*syn = (struct tcp_syn){
		.ends = s->ends,
		.hash = s->hash,
		.irs = s->seq,
		.iss = first.seq,
		.peer_window = s->window,
		.mss = o.mss ? o.mss : tcp_default_mss(tcp_key_is_ip6(&s->ends.key)),
		.snd_scale = o.scale,
		.scale_ok = o.has_scale,
		.ts_ok = o.has_ts,
		.sack_ok = o.sack_ok,
		.ecn_ok = net->ecn != NET_ECN_OFF && (s->flags & TCP_ECE) && (s->flags & TCP_CWR),
		.ts_recent = o.ts_value,
		.ts_offset = first.ts_offset,
		.sent_ns = net->now_ns,
		.net = net,
	};
}

/* --- Cookies --------------------------------------------------------------------------------- */

static uint32_t cookie_hash(const struct net *net, const struct tcp_ends *ends, uint32_t irs,
	uint32_t mss_index, uint64_t period)
{
	uint8_t bytes[60];
	size_t len = 28;
	store_le64(bytes, ends->key.addresses);
	store_le32(bytes + 8, (uint32_t)ends->key.ports);
	store_le32(bytes + 12, irs);
	store_le32(bytes + 16, mss_index);
	store_le64(bytes + 20, period);
	if (tcp_key_is_ip6(&ends->key)) { /* the longer input is another one, whatever its bytes */
		memcpy(bytes + 28, ends->peer.octet, 16);
		memcpy(bytes + 44, ends->own.octet, 16);
		len = sizeof bytes;
	}
	return (uint32_t)hash_sip13(net->cookie_key, slice_of(bytes, len)) & 0xffffff;
}

static void cookie_send(struct net *net, struct tcp_syn *syn)
{
	uint64_t period = net->now_ns / COOKIE_PERIOD_NS;
	uint32_t index = 0, ts = tcp_ts_now(net, syn->ts_offset), bits;
	while (index < 7 && cookie_mss[index + 1] <= syn->mss)
		index++;
	syn->iss = (uint32_t)(period & 31) << 27 | index << 24
		| cookie_hash(net, &syn->ends, syn->irs, index, period);
	bits = (syn->scale_ok ? syn->snd_scale : COOKIE_TS_NO_SCALE) | (syn->sack_ok ? COOKIE_TS_SACK : 0)
		| (syn->ecn_ok ? COOKIE_TS_ECN : 0);
	uint32_t marked = (ts & ~((1u << COOKIE_TS_BITS) - 1)) | bits;
	if (seq_before(ts, marked)) /* never ahead of our clock */
		marked -= 1u << COOKIE_TS_BITS;
	/* Without a timestamp there is no place for a scale, SACK or ECN. */
	if (!syn->ts_ok)
		syn->scale_ok = syn->sack_ok = syn->ecn_ok = false;
	net->cookies_until_ns = net->now_ns + 2 * COOKIE_PERIOD_NS;
	net->counters.tcp_syn_cookies_sent++;
	syn_ack_send(syn, marked);
}

/* Restores what the entry would have held; false: no cookie of ours. */
static bool cookie_open(struct net *net, const struct tcp_segment *s, struct tcp_syn *syn)
{
	uint32_t cookie = s->ack - 1, index = cookie >> 24 & 7;
	uint64_t now = net->now_ns / COOKIE_PERIOD_NS, age = (now - (cookie >> 27)) & 31;
	if (age > 1 || age > now)
		return false;
	if (cookie_hash(net, &s->ends, s->seq - 1, index, now - age) != (cookie & 0xffffff))
		return false;
	uint32_t bits = s->has_ts ? s->ts_echo : COOKIE_TS_NO_SCALE, scale = bits & 15;
	*syn = (struct tcp_syn){
		.ends = s->ends,
		.hash = s->hash,
		.irs = s->seq - 1,
		.iss = cookie,
		.mss = cookie_mss[index],
		.peer_window = s->window << (scale == COOKIE_TS_NO_SCALE ? 0 : scale),
		.scale_ok = scale != COOKIE_TS_NO_SCALE,
		.snd_scale = (uint8_t)(scale == COOKIE_TS_NO_SCALE ? 0 : scale),
		.ts_ok = s->has_ts,
		.sack_ok = s->has_ts && (bits & COOKIE_TS_SACK),
		.ecn_ok = s->has_ts && (bits & COOKIE_TS_ECN),
		.ts_recent = s->ts_value,
		.ts_offset = tcp_initial_numbers(net, &s->ends).ts_offset,
		.net = net,
	};
	return true;
}

/* --- In and out ------------------------------------------------------------------------------ */

void tcp_syn_input(struct net *net, struct tcp_listener *l, const struct tcp_segment *s,
	uint32_t iss_after, bool has_iss_after)
{
	struct tcp_syn syn, *entry;
	if (s->flags & TCP_FIN) /* never legitimate */
		return;
	if (l->connections >= l->connections_max) {
		net->counters.tcp_listen_limit_drops++;
		return;
	}
	if (net->conns.used == net->conns.capacity || tcp_rx_is_short(net)) { /* the peer tries again in a second */
		net->counters.tcp_accept_drops++;
		return;
	}
	syn_from_segment(&syn, net, s);
	syn.listener = (uint16_t)(l - net->listener);
	if (has_iss_after && !seq_before(iss_after, syn.iss))
		syn.iss = iss_after + 1;
	if (net->syns.used == net->syns.capacity) {
		cookie_send(net, &syn);
		return;
	}
	entry = pool_get(&net->syns);
	*entry = syn;
	entry->hash_next = net->syn_table[s->hash & net->hash_mask];
	net->syn_table[s->hash & net->hash_mask] = entry;
	timer_init(&entry->timer, syn_timer);
	timer_arm(&net->timers, &entry->timer, net->now_ns + SYN_ACK_TIMEOUT_NS);
	syn_ack_send(entry, tcp_ts_now(net, entry->ts_offset));
}

/* The first round-trip time: SYN|ACK and its acknowledgement. When several were sent, the timestamp must be
 * that of the last: an older one may be echoed by the answer to a later. When the bare ACK was lost and
 * data completes the handshake, or when any was lost, the time may be one in which nobody spoke: it is
 * believed only if it gives no more than the initial timeout. */
static void handshake_rtt(struct tcp_conn *c, const struct tcp_syn *syn, const struct tcp_segment *s)
{
	const struct net *net = c->net;
	uint64_t rtt;
	if (!syn->sent_ns)
		return;
	if (!syn->repeated)
		rtt = net->now_ns - syn->sent_ns;
	else if (syn->ts_ok && s->has_ts && s->ts_echo == syn->sent_ts)
		rtt = (uint32_t)(tcp_ts_now(net, syn->ts_offset) - s->ts_echo) * NS_PER_MS;
	else
		return;
	if ((!(s->len || syn->repeated) && rtt <= TCP_RTO_MAX_US * UINT64_C(1000))
		|| 3 * rtt <= TCP_RTO_INITIAL_US * UINT64_C(1000)) {
		tcp_rtt_sample(c, (uint32_t)(rtt / 1000));
		tcp_rtt_min(c, (uint32_t)(rtt / 1000));
	}
}

static struct tcp_conn *conn_from(struct net *net, const struct tcp_syn *syn,
	const struct tcp_segment *s)
{
	struct tcp_listener *l = &net->listener[syn->listener];
	if (l->connections >= l->connections_max) {
		net->counters.tcp_listen_limit_drops++;
		return NULL;
	}
	struct tcp_conn *c = tcp_conn_create(net, &syn->ends, syn->hash);
	if (!c) {
		net->counters.tcp_accept_drops++;
		return NULL;
	}
	c->ts_ok = syn->ts_ok;
	c->sack_ok = syn->sack_ok;
	c->ecn_ok = syn->ecn_ok;
	net->counters.tcp_ecn_connections += c->ecn_ok;
	c->snd_scale = syn->scale_ok ? syn->snd_scale : 0;
	c->rcv_scale = syn->scale_ok ? net->receive_scale : 0;
	c->ts_recent = syn->ts_recent;
	c->ts_offset = syn->ts_offset;
	c->listener = syn->listener;
	c->accepted = true;
	c->state = TCP_STATE_ESTABLISHED;
	tcp_conn_ready(c, syn->iss, syn->irs, syn->mss);
	c->snd_wnd = c->snd_wnd_max = syn->peer_window;
	l->connections++;
	tcp_set_handler(c, l->handler);
	net->counters.tcp_passive_opens++;
	handshake_rtt(c, syn, s);
	tcp_syn_repeated(c, syn->retries);
	tcp_conn_event(c, TCP_ACCEPTED);
	return c;
}

/* The listener may have gone meanwhile, another one may have its place, or another place its port. */
static bool listener_is_there(struct net *net, struct tcp_syn *syn)
{
	uint16_t port = tcp_key_own_port(&syn->ends.key);
	if (LIKELY(net->listener[syn->listener].port == port))
		return true;
	struct tcp_listener *l = tcp_listener_find(net, port);
	if (l)
		syn->listener = (uint16_t)(l - net->listener);
	return l != NULL;
}

struct tcp_conn *tcp_syn_segment(struct net *net, struct tcp_syn *syn, const struct tcp_segment *s)
{
	uint32_t ahead = s->seq - (syn->irs + 1);
	if (s->flags & TCP_RST) {
		if (ahead == 0) {
			net->counters.tcp_attempt_fails++;
			syn_free(syn);
		} else {
			net->counters.tcp_rst_ignored++;
		}
		return NULL;
	}
	if (s->flags & TCP_SYN) {
		syn_again(syn, s);
		return NULL;
	}
	if (ahead > initial_window(net)) { /* our answer tells the peer what we think */
		syn->repeated = true;
		syn_ack_send(syn, tcp_ts_now(net, syn->ts_offset));
		return NULL;
	}
	if (!(s->flags & TCP_ACK))
		return NULL;
	if (s->ack != syn->iss + 1) {
		tcp_reset_reply(net, s);
		return NULL;
	}
	if (syn->ts_ok && (!s->has_ts || seq_before(s->ts_value, syn->ts_recent))) {
		net->counters.tcp_paws_drops++;
		return NULL;
	}
	if (!listener_is_there(net, syn)) {
		net->counters.tcp_attempt_fails++;
		tcp_reset_reply(net, s);
		syn_free(syn);
		return NULL;
	}
	struct tcp_conn *c = conn_from(net, syn, s);
	if (c) /* else the entry stays: the peer's next segment tries again */
		syn_free(syn);
	return c;
}

COLD bool tcp_cookie_segment(struct net *net, struct tcp_listener *l, const struct tcp_segment *s,
	struct tcp_conn **out)
{
	struct tcp_syn syn;
	if (net->now_ns >= net->cookies_until_ns)
		return false;
	if (!cookie_open(net, s, &syn)) {
		net->counters.tcp_syn_cookies_bad++;
		return false;
	}
	net->counters.tcp_syn_cookies_good++;
	syn.listener = (uint16_t)(l - net->listener);
	*out = conn_from(net, &syn, s); /* when there is none, the peer's next segment tries again */
	return true;
}
