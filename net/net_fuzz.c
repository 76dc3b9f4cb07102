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

#define OWN_IP 0x0a000001u
#define PEER_IP 0x0a000002u
#define PORTS 4
#define BUFFERS 64
#define BUFFER_SIZE 2048
#define MS UINT64_C(1000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct buffer {
	struct frame_rx frame;
	struct fuzz *owner;
	bool out;
	uint8_t bytes[BUFFER_SIZE];
};

/* What the engine last said to one of our ports. */
struct view {
	uint32_t seq, ack, ts;
	uint16_t own_port;
};

struct fuzz {
	struct net *net;
	uint64_t now_ns;
	struct buffer buffer[BUFFERS];
	uint32_t out;
	struct view view[PORTS];
	struct tcp_send send[8];
	bool send_busy[8];
	struct frame_tx *at_device[8];
	uint32_t at_device_count;
	struct tcp_conn *conn[16];
};

static const uint8_t own_mac[6] = {2, 0, 0, 0, 0, 1}, peer_mac[6] = {2, 0, 0, 0, 0, 2};
static const uint8_t payload[4096];
static const struct slice segments[3] = {{payload, 700}, {payload, 0}, {payload, 3000}};

static void put(void *owner, struct frame_rx *f)
{
	struct fuzz *z = owner;
	struct buffer *b = (struct buffer *)(void *)f;
	ASSERT(b->out);
	b->out = false;
	z->out--;
}

static void input(struct fuzz *z, const uint8_t *bytes, size_t len)
{
	for (uint32_t i = 0; i < BUFFERS; i++) {
		struct buffer *b = &z->buffer[i];
		if (b->out)
			continue;
		b->out = true;
		z->out++;
		/* At the buffer's end, where the sanitizer sees a step too far. */
		uint8_t *at = b->bytes + BUFFER_SIZE - len;
		memcpy(at, bytes, len);
		b->frame = (struct frame_rx){.data = at, .len = (uint32_t)len, .capacity = BUFFER_SIZE,
			.buffer = b->bytes, .put = put, .owner = z};
		net_input(z->net, &b->frame, z->now_ns);
		return;
	}
}

static void observe(struct fuzz *z, const struct frame_tx *f)
{
	const uint8_t *e = f->header + FRAME_TX_HEADROOM;
	if (f->header_len < 54 || load_be16(e + 12) != 0x0800 || e[23] != 6)
		return;
	struct view *v = &z->view[load_be16(e + 36) % PORTS];
	v->seq = load_be32(e + 38) + f->payload_len + !!(e[47] & 3);
	v->ack = load_be32(e + 42);
	v->own_port = load_be16(e + 34);
	if (f->header_len >= 66 && load_be32(e + 54) == 0x0101080a)
		v->ts = load_be32(e + 58);
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
	struct net_endpoint to = {net_address_v4(PEER_IP), (uint16_t)(1000 + (arg & 3))};
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

/* 12 bytes of the input say what the segment is; then come options and payload. */
static void segment(struct fuzz *z, struct reader *r)
{
	uint8_t f[200] = {0};
	uint8_t port = read_u8(r) % PORTS, flags = read_u8(r), shape = read_u8(r);
	int32_t seq = (int16_t)read_be16(r), ack = (int16_t)read_be16(r);
	uint16_t window = read_be16(r), len = read_u8(r) & 63;
	uint32_t options = (shape & 15u) * 4;
	options = options > 40 ? 40 : options;
	struct view *v = &z->view[port];
	memcpy(f, own_mac, 6);
	memcpy(f + 6, peer_mac, 6);
	store_be16(f + 12, 0x0800);
	f[14] = 0x45;
	store_be16(f + 16, (uint16_t)(40 + options + len));
	f[22] = 64;
	f[23] = 6;
	store_be32(f + 26, PEER_IP);
	store_be32(f + 30, OWN_IP);
	store_le16(f + 24, (uint16_t)~checksum_fold(checksum_ip4_header(f + 14)));
	uint8_t *t = f + 34;
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
	uint64_t sum = checksum_sum(slice_of(f + 26, 8)) + (6 << 8) + __builtin_bswap16((uint16_t)total);
	store_le16(t + 16, (uint16_t)~checksum_fold(sum + checksum_sum(slice_of(t, total))));
	input(z, f, 34 + total);
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
			store_be16(f + 12, 0x0800);
		if ((what & 4) && raw.len >= 34) {
			store_be32(f + 30, OWN_IP);
			store_le16(f + 24, 0);
			store_le16(f + 24, (uint16_t)~checksum_fold(checksum_ip4_header(f + 14)));
		}
		input(z, f, raw.len);
		break;
	}
	case 1: api(z, what, read_u8(r)); break;
	case 2: z->now_ns += (uint64_t)read_u8(r) << (what & 31); break;
	case 3: output(z); break;
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
	ASSERT(u.tx_frames == 0 && u.rx_frames == 0 && u.sent_records == 0 && z->out == 0);
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
		.tx_frames_max = 16, .rx_frames_max = BUFFERS - 8, .neighbors_max = 4,
		.receive_window = 20000, .address = data[0] & 1 ? 0 : OWN_IP, .mask = 0xffffff00,
		.tx_checksum = data[0] >> 1 & 1, .tx_tso4 = (data[0] & 6) == 6, .random = &random,
		.now_ns = z->now_ns};
	memcpy(c.mac, own_mac, 6);
	void *memory = aligned_alloc(64, (net_memory_size(&c) + 63) & ~(size_t)63);
	err e = net_init(&z->net, &c, memory);
	ASSERT(!failed(e));
	e = tcp_listen(z->net, 80, 6);
	ASSERT(!failed(e));
	if (!(data[0] & 1)) {
		output(z);
		arp_reply(z); /* otherwise only the address resolution is fuzzed */
	}
	struct reader r = reader_of(slice_of(data + 1, size - 1));
	while (!r.failed && reader_left(&r))
		command(z, &r);
	finish(z);
	free(memory);
	free(z);
	return 0;
}
