/* The receive side of a connection: the stream that the application reads in place, and the segments
 * that came early.
 *
 * Invariants:
 *  1. Each buffer in `rx` and `ooo`, fragments included, is counted once in net.rx_frames_held.
 *  2. `rx` holds single buffers (fragments are taken apart), each with at least one byte; the lengths sum
 *     to `readable`.
 *  3. `ooo` holds whole frames in order of sequence, not overlapping, all above rcv_nxt; each carries a
 *     struct ooo_mark in the room of its own headers, just before the payload.
 *  4. c->ooo_link is in net.ooo_conns if and only if `ooo` is not empty. */
#include "tcp_conn.h"

struct ooo_mark {
	uint64_t seq;
	uint32_t len;
};

_Static_assert(sizeof(struct ooo_mark) <= ETHERNET_HEADER + IP4_HEADER + TCP_HEADER,
	"the mark replaces headers");

static struct ooo_mark mark_of(const struct frame_rx *f)
{
	struct ooo_mark m;
	memcpy(&m, f->data - sizeof m, sizeof m);
	return m;
}

static void mark_set(struct frame_rx *f, uint64_t seq, uint32_t len)
{
	struct ooo_mark m = {.seq = seq, .len = len};
	memcpy(f->data - sizeof m, &m, sizeof m);
}

static uint32_t frame_count(const struct frame_rx *f)
{
	uint32_t n = 0;
	for (; f; f = f->frag)
		n++;
	return n;
}

/* --- The stream ------------------------------------------------------------------------------ */

/* Small pieces are copied behind the last one while there is room in its buffer, so that a peer that
 * sends single bytes cannot hold a buffer for each. */
static COLD bool try_copy(struct tcp_conn *c, const uint8_t *data, uint32_t len)
{
	if (list_is_empty(&c->rx))
		return false;
	struct frame_rx *last = LIST_ENTRY(c->rx.prev, struct frame_rx, link);
	size_t room = (size_t)(last->buffer + last->capacity - (last->data + last->len));
	if (len > room || len > last->capacity / 4)
		return false;
	memcpy(last->data + last->len, data, len);
	last->len += len;
	c->net->counters.tcp_rx_copied_octets += len;
	return true;
}

void tcp_rx_append_one_slow(struct tcp_conn *c, struct frame_rx *f)
{
	if (!f->len || c->discard || try_copy(c, f->data, f->len)) {
		if (!c->discard)
			c->readable += f->len;
		frame_rx_put(f);
		return;
	}
	tcp_rx_push(c, f);
}

void tcp_rx_append(struct tcp_conn *c, struct frame_rx *f, uint32_t offset, uint32_t len)
{
	while (f) {
		struct frame_rx *next = f->frag;
		uint32_t skip = offset < f->len ? offset : f->len;
		f->frag = NULL;
		f->data += skip;
		f->len -= skip;
		offset -= skip;
		if (f->len > len)
			f->len = len;
		len -= f->len;
		tcp_rx_append_one(c, f);
		f = next;
	}
}

static void rx_put_first(struct tcp_conn *c, struct frame_rx *f)
{
	list_remove(&f->link);
	c->rx_frames--;
	c->net->rx_frames_held--;
	frame_rx_put(f);
}

void tcp_rx_drop(struct tcp_conn *c)
{
	while (!list_is_empty(&c->rx))
		rx_put_first(c, LIST_ENTRY(c->rx.next, struct frame_rx, link));
	c->readable = 0;
}

bool tcp_rx_room_slow(struct tcp_conn *c)
{
	struct net *net = c->net;
	if (UNLIKELY(c->rx_frames >= TCP_RX_FRAMES_MAX))
		return false;
	while (UNLIKELY(net->rx_frames_held >= net->rx_frames_max)) {
		if (list_is_empty(&net->ooo_conns))
			return false;
		tcp_ooo_drop(LIST_ENTRY(net->ooo_conns.next, struct tcp_conn, ooo_link));
	}
	return true;
}

bool tcp_peek(struct tcp_conn *c, struct slice *out)
{
	if (list_is_empty(&c->rx))
		return false;
	struct frame_rx *f = LIST_ENTRY(c->rx.next, struct frame_rx, link);
	*out = slice_of(f->data, f->len);
	return true;
}

bool tcp_peek_at(struct tcp_conn *c, size_t offset, struct slice *out)
{
	LIST_FOR_EACH(e, &c->rx) {
		struct frame_rx *f = LIST_ENTRY(e, struct frame_rx, link);
		if (offset < f->len) {
			*out = slice_of(f->data + offset, f->len - offset);
			return true;
		}
		offset -= f->len;
	}
	return false;
}

size_t tcp_readable(const struct tcp_conn *c)
{
	return c->readable;
}

/* Tells the peer only of a gain that matters: half the window, or the end of a stall. */
static void window_opened_slow(struct tcp_conn *c)
{
	if (c->state == TCP_STATE_CLOSED || c->fin_received)
		return;
	uint64_t window = tcp_window(c), most = UINT64_C(0xffff) << c->rcv_scale;
	uint64_t edge = c->rcv_nxt + (window < most ? window : most); /* what can be said */
	uint64_t gain = edge > c->rcv_adv ? edge - c->rcv_adv : 0;
	bool stalled = c->rcv_adv - c->rcv_nxt < c->mss;
	if (gain >= c->rcv_space / 2 || (stalled && gain >= c->mss)) {
		c->ack_now = true;
		tcp_conn_wake(c);
	}
}

static inline void window_opened(struct tcp_conn *c)
{
	uint64_t left = c->rcv_adv - c->rcv_nxt;
	if (UNLIKELY(left <= c->rcv_space / 2 || left < c->mss))
		window_opened_slow(c);
}

void tcp_consume(struct tcp_conn *c, size_t n)
{
	ASSERT(n <= c->readable);
	c->readable -= (uint32_t)n;
	while (n) {
		struct frame_rx *f = LIST_ENTRY(c->rx.next, struct frame_rx, link);
		uint32_t part = n < f->len ? (uint32_t)n : f->len;
		f->data += part;
		f->len -= part;
		n -= part;
		if (!f->len)
			rx_put_first(c, f);
	}
	window_opened(c);
}

void tcp_discard_input(struct tcp_conn *c)
{
	c->discard = true;
	tcp_rx_drop(c);
	window_opened(c);
}

uint32_t tcp_window_bound(const struct tcp_conn *c, uint64_t window)
{
	const struct net *net = c->net;
	uint64_t most = (uint64_t)(net->rx_frames_max / 2) * c->mss;
	most = most < net->receive_window_max ? most : net->receive_window_max;
	return (uint32_t)(window < most ? window : most);
}

uint32_t tcp_window_short(const struct tcp_conn *c, uint32_t room)
{
	const struct net *net = c->net;
	uint32_t left = net->rx_frames_max > net->rx_frames_held ? net->rx_frames_max - net->rx_frames_held : 0;
	if ((uint64_t)left * c->mss < room)
		room = left * c->mss;
	return left < net->rx_frames_max / 4 && room > 4 * c->mss ? 4 * c->mss : room;
}

/* Three times what the application took in a round trip: a sender in slow start doubles in the next one, and
 * hears of the larger window half-way. The round-trip time is the handshake's, or what our own data showed. */
void tcp_window_measure(struct tcp_conn *c)
{
	struct net *net = c->net;
	uint32_t now = tcp_now_us(net), consumed = (uint32_t)c->rcv_nxt - c->readable;
	uint32_t rtt = c->srtt_us > 1000 ? c->srtt_us : 1000;
	if (now - c->rcv_round_us < rtt)
		return;
	uint64_t space = 3 * (uint64_t)(consumed - c->rcv_round_seq);
	bool whole = now - c->rcv_round_us < 2 * rtt; /* else part of it was idle */
	c->rcv_round_us = now;
	c->rcv_round_seq = consumed;
	if (UNLIKELY(net->rx_frames_held > net->rx_frames_max / 4 * 3)) {
		c->rcv_space = tcp_window_bound(c, net->receive_window);
		return;
	}
	space = tcp_window_bound(c, space);
	if (!whole || space < c->rcv_space + c->mss || net->rx_frames_held > net->rx_frames_max / 2)
		return;
	c->rcv_space = (uint32_t)space;
	net->counters.tcp_window_growths++;
}

/* --- Out of order ---------------------------------------------------------------------------- */

static void ooo_remove(struct tcp_conn *c, struct frame_rx *f)
{
	uint32_t count = frame_count(f);
	list_remove(&f->link);
	c->ooo_frames -= count;
	c->net->rx_frames_held -= count;
	if (list_is_empty(&c->ooo))
		list_remove(&c->ooo_link);
}

void tcp_ooo_drop(struct tcp_conn *c)
{
	while (!list_is_empty(&c->ooo)) {
		struct frame_rx *f = LIST_ENTRY(c->ooo.next, struct frame_rx, link);
		ooo_remove(c, f);
		frame_rx_put(f);
		c->net->counters.tcp_out_of_order_drops++;
	}
}

/* Takes `n` bytes off the front; the mark moves along, over bytes that are no longer wanted. False: the
 * first buffer is too short for that, which only fragments can be. */
static bool trim_front(struct frame_rx *f, uint32_t n)
{
	if (n >= f->len)
		return false;
	f->data += n;
	f->len -= n;
	return true;
}

COLD bool tcp_ooo_insert(struct tcp_conn *c, struct frame_rx *f, uint32_t offset, uint32_t len,
	uint64_t seq)
{
	struct net *net = c->net;
	uint32_t count = frame_count(f);
	if (c->ooo_frames + count > TCP_OOO_FRAMES_MAX || offset >= f->len
		|| net->rx_frames_held + count > net->rx_frames_max / 4 * 3)
		return false;
	/* From the back: segments mostly come in order even behind a hole. */
	struct list *before = c->ooo.prev;
	while (before != &c->ooo && mark_of(LIST_ENTRY(before, struct frame_rx, link)).seq > seq)
		before = before->prev;
	if (before != &c->ooo) {
		struct ooo_mark m = mark_of(LIST_ENTRY(before, struct frame_rx, link));
		uint64_t end = m.seq + m.len;
		if (end >= seq + len)
			return false;
		if (end > seq) {
			uint32_t overlap = (uint32_t)(end - seq);
			if (overlap >= f->len - offset)
				return false;
			offset += overlap;
			len -= overlap;
			seq = end;
		}
	}
	if (!trim_front(f, offset))
		return false;
	/* What the new one covers wholly goes; a partial overlap is cut from the new one's end. */
	while (before->next != &c->ooo) {
		struct frame_rx *next = LIST_ENTRY(before->next, struct frame_rx, link);
		struct ooo_mark m = mark_of(next);
		if (m.seq >= seq + len)
			break;
		if (m.seq + m.len > seq + len) {
			len = (uint32_t)(m.seq - seq);
			break;
		}
		ooo_remove(c, next);
		frame_rx_put(next);
	}
	mark_set(f, seq, len);
	if (list_is_empty(&c->ooo))
		list_push_back(&net->ooo_conns, &c->ooo_link);
	list_insert_before(before->next, &f->link);
	c->ooo_frames += count;
	net->rx_frames_held += count;
	c->ooo_last_seq = seq;
	net->counters.tcp_out_of_order++;
	return true;
}

COLD bool tcp_ooo_has(const struct tcp_conn *c, uint64_t seq, uint32_t len)
{
	/* From the back, as in tcp_ooo_insert. */
	for (const struct list *e = c->ooo.prev; e != &c->ooo; e = e->prev) {
		struct ooo_mark m = mark_of(LIST_ENTRY(e, struct frame_rx, link));
		if (m.seq <= seq)
			return seq + len <= m.seq + m.len;
	}
	return false;
}

COLD void tcp_ooo_drain(struct tcp_conn *c)
{
	while (!list_is_empty(&c->ooo)) {
		struct frame_rx *f = LIST_ENTRY(c->ooo.next, struct frame_rx, link);
		struct ooo_mark m = mark_of(f);
		if (m.seq > c->rcv_nxt)
			return;
		ooo_remove(c, f);
		uint64_t overlap = c->rcv_nxt - m.seq;
		if (overlap >= m.len || c->rx_frames >= TCP_RX_FRAMES_MAX) {
			frame_rx_put(f);
			continue;
		}
		tcp_rx_append(c, f, (uint32_t)overlap, m.len - (uint32_t)overlap);
		c->rcv_nxt = m.seq + m.len;
	}
}

COLD uint32_t tcp_ooo_blocks(const struct tcp_conn *c, struct tcp_range *out, uint32_t max)
{
	struct tcp_range block = {0, 0};
	uint32_t count = 1; /* out[0] is the newest one's */
	out[0] = block;
	LIST_FOR_EACH(e, &c->ooo) {
		struct ooo_mark m = mark_of(LIST_ENTRY(e, struct frame_rx, link));
		if (block.end == m.seq) {
			block.end = m.seq + m.len;
		} else {
			block = (struct tcp_range){m.seq, m.seq + m.len};
		}
		bool ends = e->next == &c->ooo
			|| mark_of(LIST_ENTRY(e->next, struct frame_rx, link)).seq != block.end;
		if (!ends)
			continue;
		if (block.start <= c->ooo_last_seq && c->ooo_last_seq < block.end)
			out[0] = block;
		else if (count < max)
			out[count++] = block;
	}
	if (out[0].end)
		return count;
	/* The newest has been dropped meanwhile. */
	memmove(out, out + 1, (count - 1) * sizeof out[0]);
	return count - 1;
}
