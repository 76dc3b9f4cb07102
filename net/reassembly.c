/* Packets that come in fragments (RFC 791, 3.2; RFC 8200, 4.5), put together in the buffers in which they came:
 * nothing is copied; the whole packet is a chain of buffers, as one that a device has spread over several.
 *
 *   first fragment --> collecting --all there--> handed on
 *                          |--60 s--> dropped (and said, if the one with the header has come)
 *                          |--overlap, contradiction, too many pieces--> dropped
 *                          |--room is needed: the oldest first--> dropped
 *
 * Fragments that overlap are never legitimate: the whole packet goes (RFC 5722, and the same for IPv4). Bounded
 * are the packets being collected, the buffers of one, and the buffers of all.
 *
 * Invariants: `parts` is in order of offset without overlaps; each part's head buffer carries a struct mark in
 * place of its Ethernet header; each of its buffers is counted in net.rx_frames_held and reassembly.buffers. */
#include "ip6.h"

#define BUFFERS_OF_ONE 64u
#define BUFFERS_SHARE 8u /* of net.rx_frames_max, for all */
#define LIFE_NS (60 * NS_PER_S)
#define PACKET_MAX 65535u

struct mark {
	uint16_t offset, len; /* of its payload, in the packet's */
	uint16_t at;          /* where that begins in the frame */
};

_Static_assert(sizeof(struct mark) <= ETHERNET_HEADER, "the mark replaces the Ethernet header");

static struct mark mark_of(const struct frame_rx *f)
{
	struct mark m;
	memcpy(&m, f->data, sizeof m);
	return m;
}

static struct frame_rx *part_at(struct list *e)
{
	return LIST_ENTRY(e, struct frame_rx, link);
}

static uint32_t buffer_count(const struct frame_rx *f)
{
	uint32_t n = 0;
	for (; f; f = f->frag)
		n++;
	return n;
}

/* --- Life ------------------------------------------------------------------------------------- */

static void forget(struct net *net, struct reassembly *r)
{
	net->rx_frames_held -= r->buffers;
	net->reassembly_buffers -= r->buffers;
	list_init(&r->parts);
	r->buffers = 0;
	list_remove(&r->link);
	list_push_back(&net->reassemblies_free, &r->link);
}

static void drop(struct net *net, struct reassembly *r)
{
	struct list parts;
	list_init(&parts);
	for (struct list *e; (e = list_pop_front(&r->parts));)
		list_push_back(&parts, e);
	forget(net, r);
	net->counters.ip_reasm_fails++;
	for (struct list *e; (e = list_pop_front(&parts));)
		frame_rx_put(part_at(e));
}

/* The packet of the first fragment, as an error quotes it. False: that has not come. */
static bool first_fragment(const struct reassembly *r, struct ip_packet *p)
{
	struct frame_rx *f = part_at(r->parts.next);
	if (list_is_empty(&r->parts) || mark_of(f).offset != 0)
		return false;
	struct mark m = mark_of(f);
	uint32_t here = f->len - m.at < m.len ? f->len - m.at : m.len;
	*p = (struct ip_packet){.frame = f, .header = f->data + ETHERNET_HEADER,
		.header_len = m.at - (uint32_t)ETHERNET_HEADER, .payload = slice_of(f->data + m.at, here),
		.total = m.len, .family = r->family, .protocol = r->protocol, .broadcast = r->broadcast};
	return true;
}

static void expire(struct net *net, struct reassembly *r)
{
	struct ip_packet p;
	net->counters.ip_reasm_timeouts++;
	if (first_fragment(r, &p)) {
		struct frame_rx *f = p.frame;
		uint32_t buffers = buffer_count(f);
		/* The error may keep the buffer: it is taken out before. */
		list_remove(&f->link);
		r->buffers -= buffers;
		net->rx_frames_held -= buffers;
		net->reassembly_buffers -= buffers;
		if (p.family == 4)
			icmp4_reassembly_exceeded(net, &p);
		if (p.family == 4 || !icmp6_reassembly_exceeded(net, &p))
			frame_rx_put(f);
	}
	drop(net, r);
}

static struct reassembly *oldest(struct net *net)
{
	return CONTAINER_OF(net->reassemblies.next, struct reassembly, link);
}

static void reassembly_timer(struct timer *t)
{
	struct net *net = CONTAINER_OF(t, struct net, reassembly_timer);
	while (!list_is_empty(&net->reassemblies) && oldest(net)->expires_ns <= net->now_ns)
		expire(net, oldest(net));
	if (!list_is_empty(&net->reassemblies))
		timer_arm(&net->timers, t, oldest(net)->expires_ns);
}

void reassembly_init(struct net *net)
{
	list_init(&net->reassemblies);
	list_init(&net->reassemblies_free);
	timer_init(&net->reassembly_timer, reassembly_timer);
	for (uint32_t i = 0; i < REASSEMBLIES_MAX; i++) {
		list_init(&net->reassembly[i].parts);
		list_push_back(&net->reassemblies_free, &net->reassembly[i].link);
	}
}

static bool is_for(const struct reassembly *r, const struct ip_packet *p, uint32_t id)
{
	size_t len = p->family == 6 ? 32 : 8;
	/* In IPv4 the protocol is part of the name (RFC 791, 3.2), in IPv6 it is not (RFC 8200, 4.5). */
	return r->family == p->family && r->id == id && (p->family == 6 || r->protocol == p->protocol)
		&& memcmp(r->addresses, p->header + (p->family == 6 ? 8 : 12), len) == 0;
}

static struct reassembly *reassembly_find(struct net *net, const struct ip_packet *p, uint32_t id)
{
	LIST_FOR_EACH(e, &net->reassemblies) {
		struct reassembly *r = LIST_ENTRY(e, struct reassembly, link);
		if (is_for(r, p, id))
			return r;
	}
	if (list_is_empty(&net->reassemblies_free))
		drop(net, oldest(net));
	struct reassembly *r =
		CONTAINER_OF(list_pop_front(&net->reassemblies_free), struct reassembly, link);
	r->family = p->family;
	r->protocol = p->protocol;
	r->broadcast = p->broadcast;
	r->id = id;
	r->end = r->received = 0;
	r->ecn = p->ecn;
	memcpy(r->addresses, p->header + (p->family == 6 ? 8 : 12), p->family == 6 ? 32 : 8);
	r->expires_ns = net->now_ns + LIFE_NS;
	list_push_back(&net->reassemblies, &r->link);
	if (!net->reassembly_timer.armed)
		timer_arm(&net->timers, &net->reassembly_timer, r->expires_ns);
	return r;
}

/* --- Fragments -------------------------------------------------------------------------------- */

/* Leaves the first `len` bytes of the frame; the buffers behind go back. */
static void frame_cut(struct frame_rx *f, uint32_t len)
{
	while (f->len < len && f->frag) {
		len -= f->len;
		f = f->frag;
	}
	if (f->len > len)
		f->len = len;
	struct frame_rx *rest = f->frag;
	f->frag = NULL;
	if (rest)
		frame_rx_put(rest);
}

enum placing { PLACED, REPEATED, CONTRADICTION };

/* Where a fragment goes; *before: the element before which. */
static enum placing place(struct reassembly *r, uint32_t offset, uint32_t len, bool more, struct list **before)
{
	uint32_t end = offset + len;
	if ((r->end && (more ? end > r->end : end != r->end)))
		return CONTRADICTION;
	*before = &r->parts;
	LIST_FOR_EACH(e, &r->parts) {
		struct mark m = mark_of(part_at(e));
		if (m.offset == offset && m.len == len)
			return REPEATED;
		if (m.offset + (uint32_t)m.len > offset && m.offset < end)
			return CONTRADICTION;
		if (!more && m.offset >= end)
			return CONTRADICTION;
		if (m.offset >= end && *before == &r->parts)
			*before = e;
	}
	return PLACED;
}

/* Hands the chain on as one packet. */
static void complete(struct net *net, struct reassembly *r, struct ip_packet *p)
{
	struct frame_rx *first = part_at(list_pop_front(&r->parts)), *last = first;
	struct mark m = mark_of(first);
	uint32_t end = r->end;
	uint8_t ecn = r->ecn;
	while (last->frag)
		last = last->frag;
	for (struct list *e; (e = list_pop_front(&r->parts));) {
		struct frame_rx *f = part_at(e);
		uint32_t at = mark_of(f).at;
		f->data += at;
		f->len -= at;
		last->frag = f;
		while (last->frag)
			last = last->frag;
	}
	/* No device has seen the whole. */
	first->checksum = FRAME_CHECKSUM_NONE;
	p->frame = first;
	p->header = first->data + ETHERNET_HEADER;
	p->header_len = m.at - (uint32_t)ETHERNET_HEADER;
	p->payload = slice_of(first->data + m.at, first->len - m.at);
	p->total = end;
	p->protocol = r->protocol;
	p->ecn = ecn;
	p->broadcast = r->broadcast;
	forget(net, r);
	net->counters.ip_reasm_oks++;
}

static bool has_room(struct net *net, struct reassembly *r, uint32_t buffers)
{
	if (r->buffers + buffers > BUFFERS_OF_ONE)
		return false;
	uint32_t share = net->rx_frames_max / BUFFERS_SHARE;
	while (net->reassembly_buffers + buffers > share && oldest(net) != r)
		drop(net, oldest(net));
	return net->reassembly_buffers + buffers <= share
		&& net->rx_frames_held + buffers <= net->rx_frames_max;
}

/* A fragment with none of ECN's bits among others with them, or the other way round, hides a mark (RFC 3168,
 * 5.3); that all others agree on is kept. */
static bool ecn_agrees(struct reassembly *r, uint8_t ecn)
{
	if (ecn == r->ecn)
		return true;
	if (!ecn || !r->ecn)
		return false;
	r->ecn = ecn == 3 || r->ecn == 3 ? 3 : r->ecn;
	return true;
}

bool ip_reassemble(struct net *net, struct ip_packet *p, uint32_t id, uint32_t offset, bool more)
{
	struct frame_rx *f = p->frame;
	uint32_t at = (uint32_t)(p->payload.ptr - f->data), len = p->total;
	struct list *before;
	net->counters.ip_reasm_reqds++;
	if (!len || (more && len % 8) || offset + len > PACKET_MAX) {
		net->counters.ip_reasm_fails++;
		frame_rx_put(f);
		return false;
	}
	struct reassembly *r = reassembly_find(net, p, id);
	frame_cut(f, at + len);
	uint32_t buffers = buffer_count(f);
	enum placing placing = place(r, offset, len, more, &before);
	if (placing == REPEATED) {
		frame_rx_put(f);
		return false;
	}
	if (placing == CONTRADICTION || !has_room(net, r, buffers) || !ecn_agrees(r, p->ecn)) {
		net->counters.ip_reasm_overlaps += placing == CONTRADICTION;
		drop(net, r);
		frame_rx_put(f);
		return false;
	}
	struct mark m = {(uint16_t)offset, (uint16_t)len, (uint16_t)at};
	memcpy(f->data, &m, sizeof m);
	list_insert_before(before, &f->link);
	r->buffers += buffers;
	net->rx_frames_held += buffers;
	net->reassembly_buffers += buffers;
	r->received += len;
	r->broadcast |= p->broadcast;
	if (offset == 0)
		r->protocol = p->protocol;
	if (!more)
		r->end = offset + len;
	if (!r->end || r->received != r->end)
		return false;
	complete(net, r, p);
	return true;
}

struct slice ip_payload_gather(struct net *net, const struct ip_packet *p)
{
	if (p->total > GATHER_MAX)
		return slice_of(NULL, 0);
	uint32_t done = (uint32_t)p->payload.len;
	memcpy(net->gather, p->payload.ptr, done);
	for (const struct frame_rx *f = p->frame->frag; f && done < p->total; f = f->frag) {
		uint32_t part = f->len < p->total - done ? f->len : p->total - done;
		memcpy(net->gather + done, f->data, part);
		done += part;
	}
	return slice_of(net->gather, done);
}
