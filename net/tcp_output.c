/* What a connection sends next (RFC 9293, 3.8; RFC 6675, 5). Asked for one frame at a time, so that each
 * decision sees the newest state. In order of urgency: repeated data in fast recovery; new data (or data
 * repeated after a timeout, since snd_nxt was moved back); FIN; a probe; a bare ACK. Any of them carries the
 * acknowledgement that is due. */
#include "checksum.h"
#include "tcp_conn.h"

#define IP_TOTAL_MAX 65535u

struct piece {
	uint64_t seq;
	uint32_t len;
	uint8_t flags;
	bool fin; /* alone */
};

/* --- Headers --------------------------------------------------------------------------------- */

static void template_ip4(struct tcp_conn *c, uint8_t *h)
{
	store_be16(h - 2, ETHERTYPE_IP4);
	h[0] = 0x45;
	store_be16(h + 6, 0x4000);
	h[8] = IP_TTL;
	h[9] = IP_PROTO_TCP;
	store_be32(h + 12, tcp_key_own_ip(&c->key));
	store_be32(h + 16, tcp_key_peer_ip(&c->key));
	c->ip_sum = checksum_fold(checksum_ip4_header(h));
	c->tcp_sum = checksum_fold(
		ip4_pseudo_sum(tcp_key_own_ip(&c->key), tcp_key_peer_ip(&c->key), IP_PROTO_TCP));
}

/* The addresses are there. */
static void template_ip6(struct tcp_conn *c, uint8_t *h)
{
	struct tcp_ends ends;
	tcp_conn_ends(c, &ends);
	store_be16(h - 2, ETHERTYPE_IP6);
	store_be32(h, UINT32_C(6) << 28 | ip6_flow_label(c->net, &ends.own, &ends.peer,
		tcp_key_own_port(&c->key), tcp_key_peer_port(&c->key)));
	h[6] = IP_PROTO_TCP;
	h[7] = c->net->ip6.hop_limit;
	c->tcp_sum = checksum_fold(ip6_pseudo_sum(&ends.own, &ends.peer, IP_PROTO_TCP));
}

void tcp_template_init(struct tcp_conn *c)
{
	uint32_t ip_header = tcp_ip_header(&c->key);
	uint8_t *e = c->template, *h = e + ETHERNET_HEADER, *t = h + ip_header;
	if (c->hop.neighbor)
		memcpy(e, c->hop.neighbor->mac, 6);
	memcpy(e + 6, c->net->mac, 6);
	if (ip_header == IP4_HEADER)
		template_ip4(c, h);
	else
		template_ip6(c, h);
	store_be16(t, tcp_key_own_port(&c->key));
	store_be16(t + 2, tcp_key_peer_port(&c->key));
	if (c->ts_ok)
		store_be32(t + TCP_HEADER, 0x0101080a);
	c->template_len = (uint8_t)(TCP_TEMPLATE_MAX(ip_header) - (c->ts_ok ? 0 : TCP_TIMESTAMP_OPTION));
}

static inline bool has_blocks(const struct tcp_conn *c)
{
	return (c->ooo_frames || c->dsack_due) && c->sack_ok;
}

/* Bytes of SACK option that the next segment will carry. `block` has room for 5. */
static uint32_t sack_option_len(const struct tcp_conn *c, struct tcp_range *block, uint32_t *count)
{
	uint32_t max = c->ts_ok ? 3 : 4, twice = c->dsack_due;
	if (twice) /* RFC 2883: first of all */
		block[0] = (struct tcp_range){c->dsack_start, c->dsack_end};
	*count = twice + (c->ooo_frames ? tcp_ooo_blocks(c, block + twice, max - twice) : 0);
	return *count ? 4 + 8 * *count : 0;
}

static COLD uint8_t *sack_option_write(struct tcp_conn *c, uint8_t *p)
{
	struct tcp_range block[5];
	uint32_t count;
	if (!sack_option_len(c, block, &count))
		return p;
	if (c->dsack_due) {
		c->dsack_due = false;
		c->net->counters.tcp_dsacks_out++;
	}
	store_be32(p, 0x01010500u | (2 + 8 * count));
	p += 4;
	for (uint32_t i = 0; i < count; i++, p += 8) {
		store_be32(p, (uint32_t)block[i].start);
		store_be32(p + 4, (uint32_t)block[i].end);
	}
	return p;
}

static uint16_t window_field(struct tcp_conn *c)
{
	uint32_t window = tcp_window(c), field = window >> c->rcv_scale;
	if (UNLIKELY(field > 0xffff))
		field = 0xffff;
	uint64_t edge = c->rcv_nxt + (field << c->rcv_scale);
	/* Rounding must not take back what was promised (RFC 7323, 2.4), as long as that is in bounds. */
	if (UNLIKELY(edge < c->rcv_adv) && field << c->rcv_scale < window && field < 0xffff
		&& c->readable <= c->rcv_space) {
		field++;
		edge += UINT64_C(1) << c->rcv_scale;
	}
	if (edge > c->rcv_adv)
		c->rcv_adv = edge;
	return (uint16_t)field;
}

/* Of a few 16-bit numbers. */
static inline uint16_t fold_small(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)(sum + (sum >> 16));
}

static void ip_finish(struct tcp_conn *c, uint8_t *h, uint32_t total, uint8_t ecn)
{
	uint16_t len = __builtin_bswap16((uint16_t)total), id = c->net->ip_id++;
	store_le16(h + 2, len);
	store_le16(h + 4, id);
	h[1] = ecn;
	store_le16(h + 10, (uint16_t)~fold_small((uint32_t)c->ip_sum + len + id + ((uint32_t)ecn << 8)));
}

static void ip6_finish(uint8_t *h, uint32_t payload, uint8_t ecn)
{
	h[1] |= (uint8_t)(ecn << 4); /* the low bits of the traffic class */
	store_be16(h + 4, (uint16_t)payload);
}

static inline void checksum_finish(struct tcp_conn *c, struct net_frame *f, uint8_t *t, uint32_t ip_header,
	uint32_t tcp_header)
{
	uint64_t sum = c->tcp_sum + __builtin_bswap16((uint16_t)(tcp_header + f->tx.payload_len));
	if (LIKELY(c->net->tx_checksum)) {
		store_le16(t + 16, fold_small((uint32_t)sum));
		f->tx.checksum_start = (uint16_t)(ETHERNET_HEADER + ip_header);
		f->tx.checksum_offset = 16;
		return;
	}
	sum += checksum_sum(slice_of(t, tcp_header))
		+ checksum_sum_slices(f->tx.segment, f->tx.segment_count);
	store_le16(t + 16, (uint16_t)~checksum_fold(sum));
}

/* RFC 3168, 6.1: new data may be marked on its way; what is sent again, probes and bare acknowledgements may
 * not. ECE goes on until the peer has heard; CWR is on one segment of new data. The bits for the IP header. */
static COLD uint8_t ecn_write(struct tcp_conn *c, uint8_t *t, const struct piece *p)
{
	bool fresh = p->len && p->seq == c->snd_max;
	if (c->ecn_echo)
		t[13] |= TCP_ECE;
	if (!fresh || !c->snd_wnd)
		return 0;
	if (c->cwr_due)
		t[13] |= TCP_CWR;
	c->cwr_due = false;
	return IP_ECN_ECT0;
}

/* Inlined twice: for what a short response of IPv4 needs, and for all. */
static inline ALWAYS_INLINE void headers_write_at(struct tcp_conn *c, struct net_frame *f,
	const struct piece *p, uint32_t ip_header)
{
	uint8_t *e = f->tx.header + FRAME_TX_HEADROOM, *h = e + ETHERNET_HEADER, *t = h + ip_header;
	memcpy(e, c->template, TCP_TEMPLATE_MAX(ip_header));
	store_be32(t + 4, (uint32_t)p->seq);
	store_be32(t + 8, (uint32_t)c->rcv_nxt);
	t[13] = p->flags;
	store_be16(t + 14, window_field(c));
	uint8_t *end = e + c->template_len;
	if (LIKELY(c->ts_ok)) {
		store_be32(t + TCP_HEADER + 4, tcp_ts_now(c->net, c->ts_offset));
		store_be32(t + TCP_HEADER + 8, c->ts_recent);
	}
	uint8_t ecn = UNLIKELY(c->ecn_ok) ? ecn_write(c, t, p) : 0;
	if (UNLIKELY(has_blocks(c)))
		end = sack_option_write(c, end);
	uint32_t tcp_header = (uint32_t)(end - t);
	t[12] = (uint8_t)(tcp_header << 2);
	f->tx.header_len = (uint16_t)(end - e);
	if (ip_header == IP4_HEADER)
		ip_finish(c, h, IP4_HEADER + tcp_header + f->tx.payload_len, ecn);
	else
		ip6_finish(h, tcp_header + f->tx.payload_len, ecn);
	checksum_finish(c, f, t, ip_header, tcp_header);
}

/* The payload is in place; writes all headers. */
static NOINLINE void headers_write(struct tcp_conn *c, struct net_frame *f, const struct piece *p)
{
	headers_write_at(c, f, p, tcp_ip_header(&c->key));
}

/* --- Payload --------------------------------------------------------------------------------- */

static struct tcp_cursor cursor_at(const struct tcp_conn *c, uint64_t seq)
{
	struct tcp_send *s = c->send_head;
	while (s && s->end <= seq)
		s = s->next;
	if (!s)
		return (struct tcp_cursor){.seq = seq};
	struct tcp_cursor at = {.send = s, .seq = seq};
	uint64_t skip = seq - s->start;
	while (skip >= s->segments[at.index].len) {
		skip -= s->segments[at.index].len;
		at.index++;
	}
	at.offset = (size_t)skip;
	return at;
}

static void frame_refer(struct net_frame *f, struct tcp_send *s)
{
	if (!f->send_count)
		f->sends = s;
	f->send_count++;
	s->frames++;
}

/* Refers to up to `len` bytes from the cursor on, and moves it; the number of bytes that found room. */
static uint32_t gather(struct net_frame *f, struct tcp_cursor *at, uint32_t len, uint32_t segments_max)
{
	uint32_t done = 0;
	struct tcp_send *referred = NULL;
	while (at->send && done < len) {
		struct tcp_send *s = at->send;
		if (at->index == s->count) {
			*at = (struct tcp_cursor){.send = s->next, .seq = at->seq};
			/* An empty item between two keeps its place: frames refer to a row. */
			if (referred && s->next && done < len && s->next->start == s->next->end) {
				frame_refer(f, s->next);
				referred = s->next;
			}
			continue;
		}
		struct slice part = slice_sub(s->segments[at->index], at->offset, len - done);
		if (part.len && f->tx.segment_count == segments_max)
			break;
		if (part.len && referred != s) {
			frame_refer(f, s);
			referred = s;
		}
		if (part.len)
			f->tx.segment[f->tx.segment_count++] = part;
		done += (uint32_t)part.len;
		at->seq += part.len;
		at->offset += part.len;
		if (at->offset == s->segments[at->index].len) {
			at->index++;
			at->offset = 0;
		}
	}
	f->tx.payload_len = done;
	return done;
}

/* --- What to send ---------------------------------------------------------------------------- */

/* The payload that one wire segment can have. */
static uint32_t segment_size(const struct tcp_conn *c)
{
	struct tcp_range block[5];
	uint32_t count;
	if (LIKELY(!has_blocks(c)))
		return c->mss;
	return c->mss - sack_option_len(c, block, &count);
}

/* Cut to what one frame may carry: one segment, or many when the device cuts. */
static uint32_t frame_limit(const struct tcp_conn *c, uint64_t len, uint32_t size, bool last)
{
	if (len <= size)
		return (uint32_t)len;
	if (!tcp_is_cut(c) || c->cwr_due) /* devices repeat CWR on all that they cut */
		return size;
	uint32_t room = IP_TOTAL_MAX - tcp_ip_header(&c->key) - 60;
	if (len <= room && last)
		return (uint32_t)len;
	uint32_t n = len < room ? (uint32_t)len : room;
	return n - n % size;
}

/* How much more the peer's window takes from `seq` on. */
static uint64_t window_room(const struct tcp_conn *c, uint64_t seq)
{
	uint64_t edge = c->snd_una + c->snd_wnd;
	return edge > seq ? edge - seq : 0;
}

/* New data, as windows allow. False: none, for now. */
static bool choose_data(struct tcp_conn *c, struct piece *p)
{
	uint64_t len = c->queue_end - c->snd_nxt, window = window_room(c, c->snd_nxt);
	if (c->snd_nxt >= c->queue_end)
		return false;
	if (UNLIKELY(c->mss < c->mss_max))
		tcp_pmtu_raise(c);
	uint32_t size = segment_size(c), pipe = tcp_pipe(c), room = c->cwnd > pipe ? c->cwnd - pipe : 0;
	bool closing = window < len;
	if (closing) {
		len = window;
		c->net->counters.tcp_peer_window_full++;
	}
	if (UNLIKELY(c->tail_probe) && room < size)
		room = size; /* a probe of new data may exceed the window by one (RFC 8985, 7.3) */
	c->cwnd_limited = room < len;
	if (room < len) {
		len = room >= size || !pipe ? room : 0;
	} else if (closing && len < size && len < c->snd_wnd_max / 2) {
		len = 0; /* not worth a segment (3.8.6.2.1); the probe timer sees to it */
	}
	if (!len)
		return false;
	p->seq = c->snd_nxt;
	p->len = frame_limit(c, len, size, c->snd_nxt + len == c->queue_end);
	return true;
}

/* The first stretch that is lost. */
static bool choose_repeat(struct tcp_conn *c, struct piece *p)
{
	if (LIKELY(!c->lost))
		return false;
	const struct tcp_sent *r = tcp_flight_first_lost(c);
	uint64_t end = r->end < c->queue_end ? r->end : c->queue_end, window = window_room(c, r->start);
	uint32_t size = segment_size(c), pipe = tcp_pipe(c), room = c->cwnd > pipe ? c->cwnd - pipe : 0;
	if (!window)
		return false;
	p->seq = r->start;
	p->fin = end <= r->start;
	if (p->fin)
		return true;
	/* The end of the flight, if it is short, takes new data along: what probed a closed window was a byte. */
	uint64_t len = r->end == c->snd_max && end - r->start < size ? c->queue_end - r->start : end - r->start;
	if (len > size && r->end == c->snd_max && end - r->start < size)
		len = size;
	len = len < window ? len : window;
	uint64_t least = len < size ? len : size;
	if (room < len) {
		c->cwnd_limited = true;
		len = room;
	}
	if (room < least)
		return false;
	p->len = frame_limit(c, len, size, false);
	return true;
}

static bool fin_is_next(const struct tcp_conn *c)
{
	return c->fin_queued && c->snd_nxt == c->queue_end;
}

/* The last segment sent, once more (RFC 8985, 7.3). */
static bool choose_tail(struct tcp_conn *c, struct piece *p)
{
	uint64_t end = c->snd_max < c->queue_end ? c->snd_max : c->queue_end, size = segment_size(c);
	c->tail_probe = false;
	if (c->snd_max == c->snd_una || c->recovery != TCP_RECOVERY_OPEN)
		return false;
	c->probe_again = true;
	c->undo_cwnd = 0;
	p->len = (uint32_t)(end - c->snd_una < size ? end - c->snd_una : size);
	p->seq = end - p->len;
	p->fin = !p->len;
	return true;
}

/* A bare byte or nothing at all, to hear from the peer. */
static bool choose_probe(struct tcp_conn *c, struct piece *p)
{
	if (UNLIKELY(c->tail_probe) && choose_tail(c, p))
		return true;
	if (c->probe) {
		c->probe = false;
		c->net->counters.tcp_zero_window_probes++;
		p->seq = c->snd_una;
		p->len = c->snd_una < c->queue_end;
		p->fin = !p->len && tcp_fin_sent(c); /* when only that is left, it is what probes */
		if (p->len || p->fin)
			return true;
	}
	if (c->keepalive_due) {
		c->keepalive_due = false;
		p->seq = c->snd_una - 1;
		p->len = 0;
		return true;
	}
	return false;
}

static bool choose(struct tcp_conn *c, struct piece *p)
{
	p->flags = TCP_ACK;
	p->fin = false;
	p->len = 0;
	p->seq = c->snd_nxt > c->snd_max ? c->snd_nxt : c->snd_max;
	struct piece data = *p;
	bool data_next = choose_repeat(c, &data) || choose_data(c, &data);
	if (data_next || choose_probe(c, &data)) {
		if (data_next && UNLIKELY(c->tail_probe)) {
			c->tail_probe = false; /* new data probes as well (RFC 8985, 7.3) */
			c->probe_end = data.seq + data.len;
		}
		*p = data;
		return true;
	}
	if (fin_is_next(c)) {
		p->seq = c->snd_nxt;
		p->fin = true;
		return true;
	}
	return c->ack_now;
}

/* --- Sending --------------------------------------------------------------------------------- */

/* What was out already leaves again. */
static NOINLINE void repeat_accounting(struct tcp_conn *c, const struct piece *p, uint64_t end)
{
	uint32_t len = (uint32_t)(end - p->seq), segments = (len + c->mss - 1) / c->mss;
	c->net->counters.tcp_retrans_segs += segments;
	c->repeats += segments;
	if (!c->undo_ts_known) {
		c->undo_ts_known = true;
		c->undo_ts = tcp_ts_now(c->net, c->ts_offset);
	}
	c->undo_repeated += len;
	if (end <= c->snd_una + 1 && c->snd_wnd == 0) {
		c->sent->repeated = true; /* a probe of a closed window: whether it arrives says nothing */
		c->sent->sent_us = tcp_now_us(c->net);
	} else {
		tcp_flight_repeated(c, p->seq, end);
	}
}

static inline void timer_accounting(struct tcp_conn *c, bool fresh, uint64_t end)
{
	/* A probe is due so long after the last new segment. */
	if (c->rto_at == TIMER_NEVER
		|| (fresh && end - c->snd_una > c->mss && !c->backoff && c->timer_kind != TCP_TIMER_REORDER))
		tcp_rto_start(c);
}

static void sent_accounting(struct tcp_conn *c, const struct piece *p, uint64_t end)
{
	bool fresh = p->seq == c->snd_max;
	if (UNLIKELY(!fresh))
		repeat_accounting(c, p, end < c->snd_max ? end : c->snd_max);
	if (end > c->snd_max) {
		tcp_flight_sent(c, c->snd_max, end);
		c->snd_nxt = c->snd_max = end;
	}
	if (UNLIKELY(c->recovery == TCP_RECOVERY_FAST))
		c->prr_out += p->len;
	timer_accounting(c, fresh, end);
}

static void ack_accounting(struct tcp_conn *c, bool data)
{
	c->last_ack_sent = c->rcv_nxt;
	c->ack_pending = false;
	c->ack_at = TIMER_NEVER;
	c->acks_owed = data || !c->acks_owed ? 0 : (uint8_t)(c->acks_owed - 1);
	c->ack_now = c->acks_owed > 0;
}

/* Takes the last `excess` bytes out of the frame again, and moves the cursor back. (The frame goes on referring to
 * items that it reads nothing from any more: no harm.) */
static COLD void trim_tail(struct tcp_conn *c, struct net_frame *f, struct tcp_cursor *at, uint32_t excess)
{
	bool found = at->send != NULL;
	at->seq -= excess;
	f->tx.payload_len -= excess;
	while (excess) {
		struct slice *last = &f->tx.segment[f->tx.segment_count - 1];
		uint32_t n = last->len < excess ? (uint32_t)last->len : excess;
		while (found && !at->offset && at->index)
			at->offset = at->send->segments[--at->index].len;
		found = found && at->offset >= n;
		at->offset -= found ? n : 0;
		last->len -= n;
		if (!last->len)
			f->tx.segment_count--;
		excess -= n;
	}
	if (!found) /* it lies in an item before */
		*at = cursor_at(c, at->seq);
}

static void payload_attach(struct tcp_conn *c, struct net_frame *f, struct piece *p)
{
	struct tcp_cursor far;
	struct tcp_cursor *at = &c->cursor;
	if (UNLIKELY(at->seq != p->seq || !at->send)) {
		far = cursor_at(c, p->seq);
		at = p->seq == c->snd_nxt ? &c->cursor : &far;
		*at = far;
	}
	uint32_t size = segment_size(c), wanted = p->len;
	p->len = gather(f, at, wanted, c->net->tx_segments_max);
	f->tx.gso = FRAME_GSO_NONE;
	if (UNLIKELY(p->len < wanted && p->len > size && p->len % size)) {
		/* A frame of many segments that ran out of slices ends at a whole one. */
		trim_tail(c, f, at, p->len % size);
		p->len -= p->len % size;
	}
	if (p->len > size) {
		f->tx.gso = tcp_key_is_ip6(&c->key) ? FRAME_GSO_TCP6 : FRAME_GSO_TCP4;
		f->tx.gso_size = (uint16_t)size;
	}
}

/* The item that comes next, if it fits in one segment whole and nothing else is going on: a short response.
 * What `choose` and `gather` would come to, without looking at all that they look at. */
static inline struct tcp_send *whole_next(const struct tcp_conn *c)
{
	struct tcp_send *s = c->cursor.send;
	if (!s || s->end != c->queue_end || s->start != c->cursor.seq || s->start != c->snd_nxt
		|| s->start != c->snd_max)
		return NULL;
	uint64_t flight = s->end - c->snd_una, len = s->end - s->start;
	if ((c->cursor.index | c->cursor.offset | c->ooo_frames | c->sacked | c->lost | c->dup_acks
		    | c->acks_owed | c->recovery) || c->dsack_due || c->cwr_due || c->probe || c->tail_probe || c->keepalive_due
		|| !tcp_is_open(c))
		return NULL;
	bool fits = len - 1 < c->mss && flight <= c->snd_wnd && flight <= c->cwnd
		&& s->count <= c->net->tx_segments_max;
	return fits ? s : NULL;
}

static inline void whole_attach(struct tcp_conn *c, struct net_frame *f, struct tcp_send *s, uint32_t len)
{
	struct slice *to = f->tx.segment;
	for (const struct slice *from = s->segments, *last = from + s->count; from < last; from++) {
		*to = *from;
		to += from->len != 0;
	}
	f->tx.segment_count = (uint16_t)(to - f->tx.segment);
	f->tx.payload_len = len;
	f->sends = s;
	f->send_count = 1;
	s->frames++;
	c->cursor.index = s->count;
	c->cursor.seq = s->end;
}

static NOINLINE struct net_frame *send_piece(struct tcp_conn *c, struct piece *p)
{
	struct net_frame *f = frame_get(c->net);
	if (UNLIKELY(!f)) {
		tcp_conn_wake(c);
		return NULL;
	}
	if (p->len)
		payload_attach(c, f, p);
	uint64_t end = p->seq + p->len;
	if (p->len && end == c->queue_end)
		p->flags |= TCP_PSH;
	if (c->fin_queued && end == c->queue_end && (p->len || p->fin)) {
		p->flags |= TCP_FIN;
		end++;
	}
	headers_write(c, f, p);
	if (end > p->seq)
		sent_accounting(c, p, end);
	ack_accounting(c, p->len > 0);
	c->net->counters.tcp_out_segs++;
	c->net->counters.ip_out_requests++;
	if (c->snd_nxt < c->queue_end || c->lost || c->ack_now || fin_is_next(c))
		tcp_conn_wake(c);
	return f;
}

/* The same for what whole_next has found, of which nearly all is known that send_piece looks at. */
static inline struct net_frame *send_whole(struct tcp_conn *c, struct tcp_send *s)
{
	struct net *net = c->net;
	struct net_frame *f = frame_get(net);
	struct piece p = {s->start, (uint32_t)(s->end - s->start), TCP_ACK | TCP_PSH, false};
	uint64_t end = s->end;
	if (UNLIKELY(!f)) {
		tcp_conn_wake(c);
		return NULL;
	}
	whole_attach(c, f, s, p.len);
	if (c->fin_queued) {
		p.flags |= TCP_FIN;
		end++;
	}
	if (LIKELY(!tcp_key_is_ip6(&c->key)))
		headers_write_at(c, f, &p, IP4_HEADER);
	else
		headers_write(c, f, &p);
	tcp_flight_sent(c, s->start, end);
	c->snd_nxt = c->snd_max = end;
	timer_accounting(c, true, end);
	ack_accounting(c, true);
	net->counters.tcp_out_segs++;
	net->counters.ip_out_requests++;
	return f;
}

/* Which neighbour the frames go to; false: there is no way, or the address is ours no longer. */
static bool hop_route(const struct tcp_conn *c, struct net_address *hop)
{
	struct tcp_ends ends;
	uint32_t ip;
	if (UNLIKELY(tcp_key_is_ip6(&c->key))) {
		tcp_conn_ends(c, &ends);
		return ip6_is_own(c->net, &ends.own) && ip_route(c->net, &ends.peer, hop);
	}
	if (!ip4_is_own(c->net, tcp_key_own_ip(&c->key)) || !ip4_route(c->net, tcp_key_peer_ip(&c->key), &ip))
		return false;
	*hop = net_address_v4(ip);
	return true;
}

/* The Ethernet address of the next hop is known, and in the template. Else the connection waits with the
 * neighbour, or for its retransmission timer. */
static COLD bool hop_find(struct tcp_conn *c)
{
	struct net *net = c->net;
	struct net_address hop;
	bool routed = hop_route(c, &hop);
	struct neighbor *n = routed ? neighbor_lookup(net, &hop) : NULL;
	if (!n) {
		net->counters.ip_out_no_routes++;
		if (routed) /* all neighbours' places are taken by questions: somebody asks for strangers */
			tcp_conn_blocked(c);
		else
			tcp_conn_unreachable(c);
		return false;
	}
	if (!neighbor_usable(net, n)) {
		list_push_back(&n->waiting, &c->tx_link);
		if (c->rto_at == TIMER_NEVER && (c->queue_end > c->snd_una || c->fin_queued))
			tcp_rto_start(c);
		return false;
	}
	if (UNLIKELY(n->state != NEIGHBOR_REACHABLE))
		neighbor_witness(net, n, c, c->snd_una);
	c->hop = (struct hop){n, n->generation};
	memcpy(c->template, n->mac, 6);
	return true;
}

static inline bool hop_ready(struct tcp_conn *c)
{
	struct neighbor *n = c->hop.neighbor;
	bool known = n && n->generation == c->hop.generation && n->state == NEIGHBOR_REACHABLE
		&& c->net->now_ns <= n->fresh_until_ns;
	return LIKELY(known) || hop_find(c);
}

/* A SYN that asks for ECN may not get through everywhere: it does so once (RFC 3168, 6.1.1.1). */
static uint8_t syn_flags(const struct tcp_conn *c, bool both)
{
	if (both)
		return TCP_SYN | TCP_ACK | (c->ecn_ok ? TCP_ECE : 0);
	bool ask = c->net->ecn == NET_ECN_ASK && c->snd_max == c->snd_una;
	return TCP_SYN | (ask ? TCP_ECE | TCP_CWR : 0);
}

/* SYN, or SYN|ACK on simultaneous open. */
static COLD void syn_output(struct tcp_conn *c)
{
	struct net *net = c->net;
	uint8_t options[40];
	struct tcp_ends ends;
	bool both = c->state == TCP_STATE_SYN_RECEIVED;
	if (c->snd_nxt > c->snd_una) /* on its way */
		return;
	tcp_conn_ends(c, &ends);
	size_t len = tcp_syn_options(options, tcp_own_mss(net, tcp_key_is_ip6(&c->key)), c->sack_ok,
		both && !c->rcv_scale ? -1 : net->receive_scale, c->ts_ok,
		tcp_ts_now(net, c->ts_offset), c->ts_recent);
	struct tcp_control control = {
		.ends = &ends,
		.seq = (uint32_t)c->snd_una,
		.ack = both ? (uint32_t)c->rcv_nxt : 0,
		.window = net->receive_window < 0xffff ? net->receive_window : 0xffff,
		.flags = syn_flags(c, both),
		.options = slice_of(options, len),
	};
	if (c->snd_max > c->snd_una) {
		net->counters.tcp_retrans_segs++;
		c->last.repeated = true;
		c->last.sent_us = tcp_now_us(net);
	} else {
		tcp_flight_sent(c, c->snd_una, c->snd_una + 1);
	}
	c->snd_nxt = c->snd_max = c->snd_una + 1;
	if (c->rto_at == TIMER_NEVER)
		tcp_rto_start(c);
	c->ack_now = false;
	tcp_control_send(net, &control);
}

/* False: nothing is to be sent now as a segment of the stream. */
static bool choose_any(struct tcp_conn *c, struct piece *p)
{
	if (!tcp_is_open(c)) {
		syn_output(c);
		return false;
	}
	if (choose(c, p))
		return true;
	if (c->ack_pending && c->ack_at == TIMER_NEVER) {
		c->ack_at = c->net->now_ns + TCP_DELAYED_ACK_NS;
		tcp_timer_ensure(c, c->ack_at);
	}
	if (c->snd_nxt < c->queue_end && c->rto_at == TIMER_NEVER)
		tcp_rto_start(c); /* the window is closed and nothing is under way: probe later */
	if (c->send_head)
		tcp_sends_complete(c); /* items without bytes */
	return false;
}

static NOINLINE struct net_frame *output_any(struct tcp_conn *c)
{
	struct piece p;
	return choose_any(c, &p) ? send_piece(c, &p) : NULL;
}

struct net_frame *tcp_output(struct tcp_conn *c)
{
	if (c->state == TCP_STATE_CLOSED || !hop_ready(c))
		return NULL;
	struct tcp_send *whole = whole_next(c);
	return LIKELY(whole != NULL) ? send_whole(c, whole) : output_any(c);
}

void tcp_rst_send(struct tcp_conn *c)
{
	struct tcp_ends ends;
	tcp_conn_ends(c, &ends);
	struct tcp_control control = {
		.ends = &ends,
		.seq = (uint32_t)c->snd_nxt,
		.ack = (uint32_t)c->rcv_nxt,
		.flags = TCP_RST | TCP_ACK,
	};
	tcp_control_send(c->net, &control);
}
