/* Frames from an attacker who knows the protocol. The input is a list of commands: raw frames; segments whose
 * checksums are made right and whose sequence numbers are relative to what the engine last sent on that
 * connection; API calls; time. After it all, everything that was lent must be back. */
#include <net/net.h>

#include <base/assert.h>
#include <base/bytes.h>
#include <base/cursor.h>
#include <base/timer.h>
#include <stdlib.h>
#include <string.h>
#include "checksum.h"
#include "support/fuzz_frames.h"

#define OWN_IP 0x0a000001u
#define PEER_IP 0x0a000002u
#define PORTS 4
#define MS UINT64_C(1000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the engine last said to one of our ports. */
struct view {
	uint32_t seq, ack, ts;
	uint16_t own_port;
};

struct fuzz {
	struct net *net;
	uint64_t now_ns;
	struct fuzz_frames frames;
	struct view view[2 * PORTS]; /* those of IPv4, those of IPv6 */
	bool ip6;
	struct tcp_send send[8];
	bool send_busy[8];
	struct frame_tx *at_device[8];
	uint32_t at_device_count;
	struct tcp_conn *conn[16];
};

static const struct net_address own_ip6 = {{0xfd, [15] = 1}}, peer_ip6 = {{0xfd, [15] = 2}};
static const uint8_t payload[4096];
static const struct slice segments[3] = {{payload, 700}, {payload, 0}, {payload, 3000}};

static void input(struct fuzz *z, const uint8_t *bytes, size_t len)
{
	fuzz_frame_input(&z->frames, z->net, z->now_ns, bytes, len, FUZZ_AT_END);
}

static void observe(struct fuzz *z, const struct frame_tx *f)
{
	const uint8_t *e = f->header + FRAME_TX_HEADROOM;
	bool ip6 = load_be16(e + 12) == 0x86dd;
	uint32_t at = ip6 ? 54 : 34;
	const uint8_t *t = e + at;
	ASSERT(!ip6 || z->ip6);
	if (f->header_len < at + 20u || (!ip6 && load_be16(e + 12) != 0x0800) || e[ip6 ? 20 : 23] != 6)
		return;
	struct view *v = &z->view[load_be16(t + 2) % PORTS + (ip6 ? PORTS : 0)];
	v->seq = load_be32(t + 4) + f->payload_len + !!(t[13] & 3);
	v->ack = load_be32(t + 8);
	v->own_port = load_be16(t);
	if (f->header_len >= at + 32u && load_be32(t + 20) == 0x0101080a)
		v->ts = load_be32(t + 24);
}

static void device_finish(struct fuzz *z)
{
	for (uint32_t i = 0; i < z->at_device_count; i++)
		z->at_device[i]->done(z->at_device[i]->owner, z->at_device[i]);
	z->at_device_count = 0;
}

static void output(struct fuzz *z)
{
	struct frame_tx *f;
	for (uint32_t i = 0; i < 200 && (f = net_output(z->net)); i++) {
		uint64_t sum = 0;
		for (uint32_t k = 0; k < f->segment_count; k++) {
			sum += f->segment[k].len;
			ASSERT(f->segment[k].len > 0);
		}
		ASSERT(sum == f->payload_len && f->header_len <= FRAME_TX_HEADER_MAX);
		observe(z, f);
		if (z->at_device_count == 8)
			device_finish(z);
		z->at_device[z->at_device_count++] = f;
	}
}

static void events(struct fuzz *z, bool release)
{
	uint32_t e;
	struct tcp_conn *c;
	while ((c = net_event_next(z->net, &e))) {
		for (uint32_t i = 0; (e & TCP_ACCEPTED) && i < 16; i++) {
			if (z->conn[i])
				continue;
			z->conn[i] = c;
			break;
		}
		if (!(e & TCP_CLOSED) && !release)
			continue;
		for (uint32_t i = 0; i < 16; i++)
			z->conn[i] = z->conn[i] == c ? NULL : z->conn[i];
		tcp_release(c);
	}
}

static void sent(struct tcp_send *s, bool delivered)
{
	(void)delivered;
	*(bool *)s->cookie = false;
}

static void api(struct fuzz *z, uint8_t what, uint8_t arg)
{
	struct tcp_conn *c = z->conn[arg & 15];
	struct net_endpoint to = {what & 8 ? peer_ip6 : net_address_v4(PEER_IP), (uint16_t)(1000 + (arg & 3))};
	if ((what & 7) == 0) {
		for (uint32_t i = 0; i < 16; i++) {
			if (z->conn[i])
				continue;
			if (failed(tcp_connect(&z->conn[i], z->net, &to)))
				z->conn[i] = NULL;
			return;
		}
	}
	if (!c)
		return;
	uint32_t k = arg >> 4 & 7;
	struct slice s;
	switch (what & 7) {
	case 1: tcp_close(c); break;
	case 2: tcp_abort(c); break;
	case 3: tcp_consume(c, tcp_readable(c) * (arg >> 4) / 15); break;
	case 4:
		if (z->send_busy[k])
			break;
		z->send[k] = (struct tcp_send){.segments = segments, .count = arg >> 6, .done = sent,
			.cookie = &z->send_busy[k]};
		z->send_busy[k] = !failed(tcp_send(c, &z->send[k]));
		break;
	case 5: tcp_discard_input(c); break;
	case 6:
		for (size_t at = 0; tcp_peek_at(c, at, &s); at += s.len)
			ASSERT(s.len > 0 && at + s.len <= tcp_readable(c));
		break;
	default: break;
	}
}

/* Ethernet and IP header in front of `len` bytes; where those go. */
static uint32_t ip_head(uint8_t *f, bool ip6, uint8_t protocol, uint32_t len)
{
	memcpy(f, own_mac, 6);
	memcpy(f + 6, peer_mac, 6);
	store_be16(f + 12, ip6 ? 0x86dd : 0x0800);
	if (ip6) {
		f[14] = 0x60;
		store_be16(f + 18, (uint16_t)len);
		f[20] = protocol;
		f[21] = 255;
		memcpy(f + 22, peer_ip6.octet, 16);
		memcpy(f + 38, own_ip6.octet, 16);
		return 54;
	}
	f[14] = 0x45;
	store_be16(f + 16, (uint16_t)(20 + len));
	f[22] = 64;
	f[23] = protocol;
	store_be32(f + 26, PEER_IP);
	store_be32(f + 30, OWN_IP);
	store_le16(f + 24, (uint16_t)~checksum_fold(checksum_ip4_header(f + 14)));
	return 34;
}

static uint64_t pseudo(const uint8_t *f, bool ip6, uint8_t protocol, uint32_t len)
{
	return checksum_sum(ip6 ? slice_of(f + 22, 32) : slice_of(f + 26, 8)) + ((uint32_t)protocol << 8)
		+ __builtin_bswap16((uint16_t)len);
}

/* ICMPv6 with a good checksum, perhaps behind extension headers that the input gives; now and then to a group. */
static void icmp6(struct fuzz *z, struct reader *r)
{
	uint8_t f[256] = {0};
	uint8_t kind = read_u8(r), extra = read_u8(r) & 56;
	struct slice body = read_bytes(r, read_u8(r) & 127), chain = read_bytes(r, extra);
	uint32_t len = (uint32_t)(chain.len + body.len), at = ip_head(f, true, 58, len);
	if (kind & 1)
		store_be64(f + 22, kind & 2 ? 0 : UINT64_C(0xfe80000000000000));
	if (kind & 4) {
		static const struct net_address all_nodes = {{0xff, 2, [15] = 1}};
		memcpy(f + 38, all_nodes.octet, 16);
	}
	if (kind & 8)
		f[21] = 1;
	if (chain.len) {
		memcpy(f + at, chain.ptr, chain.len);
		f[20] = kind & 16 ? 60 : kind & 32 ? 0 : 44;
	}
	if (body.len >= 4) {
		uint8_t *m = f + at + chain.len;
		memcpy(m, body.ptr, body.len);
		store_le16(m + 2, 0);
		uint64_t sum = pseudo(f, true, 58, (uint32_t)body.len) + checksum_sum(slice_of(m, body.len));
		store_le16(m + 2, (uint16_t)~checksum_fold(sum));
	}
	input(z, f, at + len);
}

/* 12 bytes of the input say what the segment is; then come options and payload. */
static void segment(struct fuzz *z, struct reader *r)
{
	uint8_t f[200] = {0};
	uint8_t first = read_u8(r), port = first % PORTS, flags = read_u8(r), shape = read_u8(r);
	bool ip6 = z->ip6 && (first & 128);
	int32_t seq = (int16_t)read_be16(r), ack = (int16_t)read_be16(r);
	uint16_t window = read_be16(r), len = read_u8(r) & 63;
	uint32_t options = (shape & 15u) * 4;
	options = options > 40 ? 40 : options;
	struct view *v = &z->view[port + (ip6 ? PORTS : 0)];
	uint32_t at = ip_head(f, ip6, 6, 20 + options + len);
	uint8_t *t = f + at;
	store_be16(t, (uint16_t)(1000 + port));
	/* The listener, or a connection that the engine began. */
	store_be16(t + 2, flags & 64 ? v->own_port : 80);
	/* Small numbers are offsets from what is expected; large ones reach the window's edges. */
	store_be32(t + 4, v->ack + (uint32_t)(shape & 64 ? seq * 8 : seq / 256));
	store_be32(t + 8, v->seq + (uint32_t)(shape & 128 ? ack * 8 : ack / 256));
	t[12] = (uint8_t)((20 + options) << 2);
	t[13] = flags;
	store_be16(t + 14, window);
	struct slice extra = read_bytes(r, options + len);
	if (extra.len)
		memcpy(t + 20, extra.ptr, extra.len);
	if ((shape & 16) && options >= 12) {
		store_be32(t + 20, 0x0101080a);
		store_be32(t + 24, (uint32_t)(z->now_ns / MS));
		store_be32(t + 28, v->ts);
	}
	if ((shape & 32) && options >= 24) { /* SACK blocks near what is in flight */
		store_be32(t + 32, 0x0101050a);
		store_be32(t + 36, v->seq - 1000 + t[36]);
		store_be32(t + 40, v->seq - 500 + t[40]);
	}
	uint32_t total = 20 + options + len;
	uint64_t sum = pseudo(f, ip6, 6, total) + checksum_sum(slice_of(t, total));
	store_le16(t + 16, (uint16_t)~checksum_fold(sum));
	input(z, f, at + total);
}

static void arp_reply(struct fuzz *z)
{
	uint8_t f[42] = {0};
	memcpy(f, own_mac, 6);
	memcpy(f + 6, peer_mac, 6);
	store_be16(f + 12, 0x0806);
	store_be64(f + 14, UINT64_C(0x0001080006040002));
	memcpy(f + 22, peer_mac, 6);
	store_be32(f + 28, PEER_IP);
	memcpy(f + 32, own_mac, 6);
	store_be32(f + 38, OWN_IP);
	input(z, f, sizeof f);
}

/* Until our IPv6 address is ours; then the peer asks for it, and so says where it is. */
static void ip6_begin(struct fuzz *z)
{
	uint8_t f[86] = {0};
	for (uint32_t i = 0; i < 4; i++) {
		output(z);
		device_finish(z);
		z->now_ns += 1000 * MS;
		net_advance(z->net, z->now_ns);
	}
	uint32_t at = ip_head(f, true, 58, 32);
	f[at] = 135;
	memcpy(f + at + 8, own_ip6.octet, 16);
	f[at + 24] = f[at + 25] = 1;
	memcpy(f + at + 26, peer_mac, 6);
	uint64_t sum = pseudo(f, true, 58, 32) + checksum_sum(slice_of(f + at, 32));
	store_le16(f + at + 2, (uint16_t)~checksum_fold(sum));
	input(z, f, sizeof f);
	output(z);
	device_finish(z);
}

static void command(struct fuzz *z, struct reader *r)
{
	uint8_t what = read_u8(r);
	switch (what >> 5) {
	case 0: {
		struct slice raw = read_bytes(r, read_u8(r));
		uint8_t f[256];
		if (raw.len)
			memcpy(f, raw.ptr, raw.len);
		if ((what & 1) && raw.len >= 14)
			memcpy(f, own_mac, 6);
		if ((what & 2) && raw.len >= 34)
			store_be16(f + 12, what & 8 ? 0x86dd : 0x0800);
		if ((what & 8) && raw.len >= 54) {
			store_be16(f + 18, (uint16_t)(raw.len - 54));
			memcpy(f + 38, own_ip6.octet, 16);
		} else if ((what & 4) && raw.len >= 34) {
			store_be32(f + 30, OWN_IP);
			store_le16(f + 24, 0);
			store_le16(f + 24, (uint16_t)~checksum_fold(checksum_ip4_header(f + 14)));
		}
		input(z, f, raw.len);
		break;
	}
	case 1: api(z, what, read_u8(r)); break;
	case 2: z->now_ns += (uint64_t)read_u8(r) << (what & 31); break;
	case 3:
		if (what & 1)
			icmp6(z, r);
		else
			output(z);
		break;
	case 4: device_finish(z); break;
	case 5: events(z, what & 1); break;
	default:
		segment(z, r);
		if (what & 1)
			output(z);
		break;
	}
	net_advance(z->net, z->now_ns);
}

static void finish(struct fuzz *z)
{
	for (uint32_t i = 0; i < 16; i++) {
		if (z->conn[i])
			tcp_release(z->conn[i]);
		z->conn[i] = NULL;
	}
	events(z, true);
	for (uint32_t i = 0; i < 400; i++) {
		output(z);
		device_finish(z);
		z->now_ns += 1000 * MS;
		net_advance(z->net, z->now_ns);
		events(z, true);
	}
	output(z); /* DHCP and ARP go on for ever */
	device_finish(z);
	struct net_usage u = net_usage(z->net);
	ASSERT(u.connections == 0 && u.syns == 0 && u.time_waits == 0);
	ASSERT(u.tx_frames == 0 && u.rx_frames == 0 && u.sent_records == 0 && z->frames.out == 0);
	for (uint32_t i = 0; i < 8; i++)
		ASSERT(!z->send_busy[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 4096)
		return 0;
	struct random random;
	random_init(&random);
	random_mix(&random, SLICE("thirty-two bytes of no entropy!!"));
	struct fuzz *z = calloc(1, sizeof *z);
	z->now_ns = 1000 * MS;
	struct net_config c = {.mtu = 1500, .connections_max = 8, .syn_max = 2, .time_wait_max = 2,
		.tx_frames_max = 16, .rx_frames_max = FUZZ_BUFFERS - 8, .neighbors_max = 4,
		.receive_window = 20000, .address = data[0] & 1 ? 0 : OWN_IP, .mask = 0xffffff00,
		.tx_checksum = data[0] >> 1 & 1, .tx_tso4 = (data[0] & 6) == 6,
		.tx_tso6 = (data[0] & 6) == 6, .ip6 = data[0] & 8 ? NET_IP6_STATIC : NET_IP6_OFF,
		.ip6_address = own_ip6, .ip6_prefix_len = 64, .random = &random,
		.now_ns = z->now_ns};
	memcpy(c.mac, own_mac, 6);
	z->ip6 = c.ip6 != NET_IP6_OFF;
	void *memory = aligned_alloc(64, (net_memory_size(&c) + 63) & ~(size_t)63);
	err e = net_init(&z->net, &c, memory);
	ASSERT(!failed(e));
	e = tcp_listen(z->net, 80, 6);
	ASSERT(!failed(e));
	if (!(data[0] & 1)) {
		output(z);
		arp_reply(z); /* otherwise only the address resolution is fuzzed */
	}
	if (z->ip6)
		ip6_begin(z);
	struct reader r = reader_of(slice_of(data + 1, size - 1));
	while (!r.failed && reader_left(&r))
		command(z, &r);
	finish(z);
	free(memory);
	free(z);
	return 0;
}
