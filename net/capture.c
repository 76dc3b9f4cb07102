/* The capture's ring: pcap records, whole or not at all, wrapped byte by byte. */
#include "capture.h"

#include <base/arith.h>
#include <base/assert.h>
#include <base/bytes.h>

#include "engine.h"
#include "ip6.h"

#define PCAP_MAGIC_NS 0xa1b23c4du
#define PCAP_FILE_HEADER 24
#define PCAP_RECORD_HEADER 16
#define LINKTYPE_ETHERNET 1
#define PROTO_AT_IP4 9
#define PROTO_AT_IP6 6

/* --- The ring --------------------------------------------------------------------------------- */

/* There is room. */
static void put(struct net_capture *c, const uint8_t *from, size_t n)
{
	while (n) {
		size_t at = (c->begin + c->len) % c->size;
		size_t part = n < c->size - at ? n : c->size - at;
		memcpy(c->ring + at, from, part);
		c->len += part;
		from += part;
		n -= part;
	}
}

struct slice net_capture_peek(const struct net_capture *c, size_t skip)
{
	if (skip >= c->len)
		return slice_of(c->ring, 0);
	size_t at = (c->begin + skip) % c->size, left = c->len - skip;
	return slice_of(c->ring + at, left < c->size - at ? left : c->size - at);
}

void net_capture_consume(struct net_capture *c, size_t n)
{
	ASSERT(n <= c->len);
	c->begin = (c->begin + n) % c->size;
	c->len -= n;
}

/* --- What is left out ------------------------------------------------------------------------- */

/* TCP with our end at `port`, told from the frame's first bytes; no extension headers are looked behind. */
static bool is_of_port(struct slice head, uint16_t port, bool ours_first)
{
	const uint8_t *e = head.ptr;
	if (head.len < ETHERNET_HEADER + 20)
		return false;
	uint16_t type = load_be16(e + 12);
	const uint8_t *h = e + ETHERNET_HEADER;
	size_t transport;
	if (type == ETHERTYPE_IP4 && h[PROTO_AT_IP4] == IP_PROTO_TCP)
		transport = ETHERNET_HEADER + (h[0] & 15u) * 4;
	else if (type == ETHERTYPE_IP6 && h[PROTO_AT_IP6] == IP_PROTO_TCP)
		transport = ETHERNET_HEADER + IP6_HEADER;
	else
		return false;
	return head.len >= transport + 4 && load_be16(e + transport + (ours_first ? 0 : 2)) == port;
}

/* --- Records ---------------------------------------------------------------------------------- */

/* Writes the record's header; how many bytes of the frame are to follow, 0: there is no room. */
static uint32_t record_begin(struct net_capture *c, uint32_t frame_len, uint64_t now_ns)
{
	uint8_t h[PCAP_RECORD_HEADER];
	uint32_t kept = frame_len < c->snap_len ? frame_len : c->snap_len;
	uint64_t wall = now_ns + (uint64_t)c->wall_offset_ns;
	if (c->size - c->len < kept + sizeof h) {
		c->dropped++;
		return 0;
	}
	store_le32(h, (uint32_t)(wall / NS_PER_S));
	store_le32(h + 4, (uint32_t)(wall % NS_PER_S));
	store_le32(h + 8, kept);
	store_le32(h + 12, frame_len);
	put(c, h, sizeof h);
	c->frames++;
	return kept;
}

void capture_received(struct net_capture *c, const struct frame_rx *frame, uint64_t now_ns)
{
	uint32_t len = 0;
	if (c->port_left_out && is_of_port(slice_of(frame->data, frame->len), c->port_left_out, false))
		return;
	for (const struct frame_rx *f = frame; f; f = f->frag)
		len += f->len;
	uint32_t left = record_begin(c, len, now_ns);
	for (const struct frame_rx *f = frame; f && left; f = f->frag) {
		uint32_t part = u32_min(f->len, left);
		put(c, f->data, part);
		left -= part;
	}
}

void capture_sent(struct net_capture *c, const struct frame_tx *f, uint64_t now_ns)
{
	struct slice head = slice_of(f->header + FRAME_TX_HEADROOM, f->header_len);
	if (c->port_left_out && is_of_port(head, c->port_left_out, true))
		return;
	uint32_t left = record_begin(c, f->header_len + f->payload_len, now_ns);
	uint32_t part = u32_min(head.len, left);
	put(c, head.ptr, part);
	left -= part;
	for (uint32_t i = 0; i < f->segment_count && left; i++) {
		part = u32_min(f->segment[i].len, left);
		put(c, f->segment[i].ptr, part);
		left -= part;
	}
}

void net_capture_start(struct net *net, struct net_capture *c)
{
	uint8_t h[PCAP_FILE_HEADER] = {0};
	ASSERT(c->size >= NET_CAPTURE_SIZE_MIN);
	c->begin = c->len = 0;
	c->frames = c->dropped = 0;
	store_le32(h, PCAP_MAGIC_NS);
	store_le16(h + 4, 2); /* version 2.4 */
	store_le16(h + 6, 4);
	store_le32(h + 16, c->snap_len);
	store_le32(h + 20, LINKTYPE_ETHERNET);
	put(c, h, sizeof h);
	net->capture = c;
}

void net_capture_stop(struct net *net)
{
	net->capture = NULL;
}
