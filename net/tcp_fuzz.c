/* A peer that knows the protocol and means no good, or is only confused: after a proper handshake, with
 * options that the input chooses, the input's commands say what it acknowledges, reports by SACK, sends,
 * marks and tells by ICMP, how time passes, and what the application does. Sequence numbers are always near
 * those that matter.
 *
 * After each command the invariants of the flight hold, windows are sane, and whatever waits has a timer.
 * In the end the peer becomes honest, and a connection that still lives must deliver its stream. */
#include <net/net.h>

#include <base/assert.h>
#include <base/bytes.h>
#include <base/cursor.h>
#include <stdlib.h>
#include <string.h>
#include "checksum.h"
#include "support/flight_check.h"
#include "support/fuzz_frames.h"

#define OWN_IP 0x0a000001u
#define PEER_IP 0x0a000002u
#define PEER_PORT 1000
#define STREAM_MAX (128u << 10)
#define SENDS 8
#define MS UINT64_C(1000000)
#define PEER_ISS 7000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
	struct net *net;
	uint64_t now_ns;
	struct fuzz_frames frames;
	struct frame_tx *at_device[32];
	uint32_t at_device_count;
	struct tcp_conn *conn;
	bool accepted, over;
	/* What the engine sends */
	uint32_t iss, sent_end;       /* its numbers; the end of what came so far */
	uint32_t whole;               /* of the stream: bytes from its start that came */
	uint32_t queued;              /* by the application */
	uint8_t came[STREAM_MAX / 8];
	bool fin_came, ts, sack, honest, closed;
	uint32_t fin_at;              /* in the stream */
	uint32_t last_ts, echo;
	/* What we send */
	uint32_t seq, engine_ack, window;
	uint32_t top;                 /* the highest number used so far: an honest peer's next */
	struct slice part[SENDS];
	struct tcp_send send[SENDS];
	bool busy[SENDS];
};

static uint8_t stream[STREAM_MAX];

static void input(struct fuzz *z, const uint8_t *bytes, size_t len)
{
	fuzz_frame_input(&z->frames, z->net, z->now_ns, bytes, len, FUZZ_AT_START);
}

/* --- What the engine says -------------------------------------------------------------------- */

static void came(struct fuzz *z, uint32_t at, const struct frame_tx *f)
{
	for (uint32_t k = 0; k < f->segment_count; k++) {
		for (size_t i = 0; i < f->segment[k].len; i++, at++) {
			ASSERT(at < z->queued && f->segment[k].ptr[i] == stream[at]);
			z->came[at / 8] |= (uint8_t)(1u << at % 8);
		}
	}
	while (z->whole < z->queued && (z->came[z->whole / 8] >> z->whole % 8 & 1))
		z->whole++;
}

static void observe(struct fuzz *z, const struct frame_tx *f)
{
	const uint8_t *e = f->header + FRAME_TX_HEADROOM, *t = e + 34;
	if (f->header_len < 54 || load_be16(e + 12) != 0x0800 || e[23] != 6 || load_be16(t + 2) != PEER_PORT)
		return;
	uint32_t seq = load_be32(t + 4), options = (t[12] >> 4) * 4u - 20;
	z->engine_ack = load_be32(t + 8);
	if (t[13] & TCP_SYN) {
		z->iss = seq;
		z->sent_end = seq + 1;
	}
	if (options >= 12 && load_be32(t + 20) == 0x0101080a)
		z->last_ts = load_be32(t + 24);
	if (t[13] & TCP_RST)
		z->over = true;
	if (f->payload_len)
		came(z, seq - z->iss - 1, f);
	if (t[13] & TCP_FIN) {
		z->fin_came = true;
		z->fin_at = seq + f->payload_len - z->iss - 1;
	}
	uint32_t end = seq + f->payload_len + !!(t[13] & (TCP_SYN | TCP_FIN));
	if ((int32_t)(end - z->sent_end) > 0)
		z->sent_end = end;
}

static void device_finish(struct fuzz *z, uint32_t keep)
{
	while (z->at_device_count > keep) {
		struct frame_tx *f = z->at_device[--z->at_device_count];
		f->done(f->owner, f);
	}
}

static void output(struct fuzz *z)
{
	struct frame_tx *f;
	for (uint32_t i = 0; i < 300 && (f = net_output(z->net)); i++) {
		observe(z, f);
		if (z->at_device_count == ARRAY_LEN(z->at_device))
			device_finish(z, 8);
		z->at_device[z->at_device_count++] = f;
	}
}

/* --- What the peer says ---------------------------------------------------------------------- */

struct say {
	uint8_t flags, tos;
	uint32_t seq, ack, len;
	uint32_t ts_back; /* milliseconds by which the echoed timestamp is too old */
	uint32_t blocks, block[6];
};

static uint32_t options_write(struct fuzz *z, uint8_t *o, const struct say *s)
{
	uint32_t at = 0;
	if (z->ts) {
		store_be32(o, 0x0101080a);
		store_be32(o + 4, (uint32_t)(z->now_ns / MS));
		store_be32(o + 8, z->last_ts - s->ts_back);
		at = 12;
	}
	if (s->blocks && z->sack) {
		store_be32(o + at, 0x01010500u | (2 + 8 * s->blocks));
		for (uint32_t i = 0; i < 2 * s->blocks; i++)
			store_be32(o + at + 4 + 4 * i, s->block[i]);
		at += 4 + 8 * s->blocks;
	}
	return at;
}

static void frame_send(struct fuzz *z, uint8_t *f, uint8_t protocol, uint32_t len, uint8_t tos)
{
	memcpy(f, own_mac, 6);
	memcpy(f + 6, peer_mac, 6);
	store_be16(f + 12, 0x0800);
	f[14] = 0x45;
	f[15] = tos;
	store_be16(f + 16, (uint16_t)(20 + len));
	f[22] = 64;
	f[23] = protocol;
	store_be32(f + 26, PEER_IP);
	store_be32(f + 30, OWN_IP);
	store_le16(f + 24, (uint16_t)~checksum_fold(checksum_ip4_header(f + 14)));
	input(z, f, 34 + len);
}

static void say_with(struct fuzz *z, const struct say *s, const uint8_t *options, uint32_t options_len)
{
	uint8_t f[1700] = {0}, *t = f + 34;
	uint32_t total = 20 + options_len + s->len;
	store_be16(t, PEER_PORT);
	store_be16(t + 2, 80);
	store_be32(t + 4, s->seq);
	store_be32(t + 8, s->ack);
	t[12] = (uint8_t)((20 + options_len) << 2);
	t[13] = s->flags;
	store_be16(t + 14, (uint16_t)z->window);
	memcpy(t + 20, options, options_len);
	uint8_t pseudo[12] = {0};
	store_be32(pseudo, PEER_IP);
	store_be32(pseudo + 4, OWN_IP);
	pseudo[9] = 6;
	store_be16(pseudo + 10, (uint16_t)total);
	uint64_t sum = checksum_sum(slice_of(pseudo, sizeof pseudo)) + checksum_sum(slice_of(t, total));
	store_le16(t + 16, (uint16_t)~checksum_fold(sum));
	frame_send(z, f, 6, total, s->tos);
}

static void say(struct fuzz *z, const struct say *s)
{
	uint8_t options[40];
	uint32_t end = s->seq + s->len + !!(s->flags & TCP_FIN);
	/* What lies outside of the window is not believed, and so not used. */
	if (z->conn && seq_before(z->top, end)
		&& end - (uint32_t)z->conn->rcv_nxt <= z->conn->rcv_adv - z->conn->rcv_nxt)
		z->top = end;
	say_with(z, s, options, options_write(z, options, s));
}

/* A number of the engine's, near what it has in flight. */
static uint32_t number(const struct fuzz *z, struct reader *r)
{
	uint8_t kind = read_u8(r);
	uint32_t una = z->conn ? (uint32_t)z->conn->snd_una : z->iss + 1;
	int32_t off = (int8_t)read_u8(r);
	switch (kind & 7) {
	case 0: return z->sent_end + (uint32_t)off;
	case 1: return una + (uint32_t)off;
	case 2: return una + (uint32_t)off * 100;
	case 3: return z->iss + 1 + z->whole;
	default: return una + (z->sent_end - una) / 16 * (kind >> 3 & 15) + (kind & 1 ? (uint32_t)off : 0);
	}
}

static void acknowledge(struct fuzz *z, struct reader *r, uint8_t what)
{
	struct say s = {.flags = TCP_ACK, .seq = z->seq, .ack = number(z, r)};
	if (what & 1)
		s.flags |= TCP_ECE;
	if (what & 2)
		s.ts_back = read_u8(r) * 4u;
	s.blocks = what >> 2 & 3;
	for (uint32_t i = 0; i < 2 * s.blocks; i++)
		s.block[i] = number(z, r);
	if (what & 16)
		s.ack = z->conn ? (uint32_t)z->conn->snd_una : s.ack;
	say(z, &s);
}

static void data(struct fuzz *z, struct reader *r, uint8_t what)
{
	uint8_t at = read_u8(r), len = read_u8(r);
	struct say s = {.flags = TCP_ACK, .ack = z->conn ? (uint32_t)z->conn->snd_una : z->iss + 1};
	s.len = len * 5u;
	s.seq = z->engine_ack + (what & 1 ? (uint32_t)(int8_t)at * 100 : 0);
	if (what & 2)
		s.flags |= TCP_CWR;
	if (what & 4)
		s.flags |= TCP_URG;
	if ((what & 24) == 24)
		s.flags |= TCP_FIN;
	s.tos = what >> 5 & 3;
	say(z, &s);
	if (!(what & 1) && z->seq - z->engine_ack < 1u << 30)
		z->seq = s.seq + s.len;
}

static void too_big(struct fuzz *z, struct reader *r)
{
	uint8_t f[100] = {0}, *i = f + 34;
	i[0] = 3;
	i[1] = 4;
	store_be16(i + 6, (uint16_t)(read_u8(r) * 8));
	i[8] = 0x45;
	store_be16(i + 10, 40);
	i[16] = 64;
	i[17] = 6;
	store_be32(i + 20, OWN_IP);
	store_be32(i + 24, PEER_IP);
	store_be16(i + 28, 80);
	store_be16(i + 30, PEER_PORT);
	store_be32(i + 32, number(z, r));
	store_le16(i + 2, (uint16_t)~checksum_fold(checksum_sum(slice_of(i, 36))));
	frame_send(z, f, 1, 36, 0);
}

/* --- The application ------------------------------------------------------------------------- */

static void sent(struct tcp_send *s, bool delivered)
{
	(void)delivered;
	*(bool *)s->cookie = false;
}

static void app_send(struct fuzz *z, uint8_t what)
{
	uint32_t k = what & 7, len = 1 + (what >> 3) * 700u;
	if (!z->conn || z->busy[k] || z->closed || z->queued + len > STREAM_MAX)
		return;
	z->part[k] = slice_of(stream + z->queued, len);
	z->send[k] = (struct tcp_send){.segments = &z->part[k], .count = 1, .done = sent, .cookie = &z->busy[k]};
	if (failed(tcp_send(z->conn, &z->send[k])))
		return;
	z->busy[k] = true;
	z->queued += len;
}

static void events(struct fuzz *z)
{
	uint32_t e;
	struct tcp_conn *c;
	while ((c = net_event_next(z->net, &e))) {
		if (e & TCP_ACCEPTED) {
			if (z->conn) { /* another after the first was over */
				tcp_release(c);
				continue;
			}
			z->conn = c;
			z->accepted = true;
		}
		if (c == z->conn && (e & TCP_CLOSED)) {
			z->over = true;
			tcp_release(c);
			z->conn = NULL;
		}
	}
}

/* --- Checks ---------------------------------------------------------------------------------- */

static void check(const struct fuzz *z)
{
	const struct tcp_conn *c = z->conn;
	if (!c || c->state == TCP_STATE_CLOSED)
		return;
	flight_check(c);
	ASSERT(c->cwnd > 0 && c->ssthresh >= 2 * 44 && c->mss >= 44 && c->mss <= 1460);
	ASSERT(tcp_pipe(c) <= c->snd_max - c->snd_una);
	ASSERT(c->rcv_adv >= c->rcv_nxt || c->fin_received);
	bool waits = c->snd_max > c->snd_una || c->snd_max < c->queue_end;
	ASSERT(!waits || c->rto_at != TIMER_NEVER || !list_is_empty(&c->tx_link));
	ASSERT(c->rto_at == TIMER_NEVER || c->timer.armed);
	ASSERT(c->recovery == TCP_RECOVERY_OPEN || c->snd_una < c->recover);
	ASSERT(c->rto_us >= TCP_RTO_MIN_US && c->rto_us <= TCP_RTO_MAX_US);
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

static void handshake(struct fuzz *z, uint8_t options)
{
	uint8_t o[40], len = 0;
	struct say s = {.flags = TCP_SYN, .seq = PEER_ISS};
	z->ts = options & 1;
	z->sack = options & 2;
	store_be32(o, 0x02040000u | (options & 64 ? 536 : 1460));
	len = 4;
	if (z->sack) {
		store_be32(o + len, 0x01010402);
		len += 4;
	}
	if (z->ts) {
		store_be32(o + len, 0x0101080a);
		store_be32(o + len + 4, (uint32_t)(z->now_ns / MS));
		store_be32(o + len + 8, 0);
		len += 12;
	}
	if (options & 4) {
		store_be32(o + len, 0x01030302);
		len += 4;
	}
	if (options & 8)
		s.flags |= TCP_ECE | TCP_CWR;
	z->window = 65535;
	say_with(z, &s, o, len);
	output(z); /* a question to the neighbour, at first */
	arp_reply(z);
	output(z);
	z->now_ns += 10 * MS;
	z->seq = z->top = PEER_ISS + 1;
	s = (struct say){.flags = TCP_ACK, .seq = z->seq, .ack = z->iss + 1};
	say(z, &s);
	output(z);
	events(z);
	ASSERT(z->conn);
}

static void command(struct fuzz *z, struct reader *r)
{
	uint8_t op = read_u8(r), what = read_u8(r);
	switch (op % 12) {
	case 0: case 1: case 2: acknowledge(z, r, what); break;
	case 3: data(z, r, what); break;
	case 4: case 5: app_send(z, what); break;
	case 6: z->now_ns += what * MS; break;
	case 7: z->now_ns += what * 20 * MS; break;
	case 8: z->window = what & 1 ? what * 256u : what < 128 ? 0 : 65535; break;
	case 9:
		if (what < 8)
			too_big(z, r);
		else
			device_finish(z, 0);
		break;
	case 10:
		if (z->conn)
			tcp_consume(z->conn, tcp_readable(z->conn) * what / 255);
		break;
	default:
		if (z->conn && what < 4 && !z->closed) {
			z->closed = true;
			tcp_close(z->conn);
		} else if (what == 200) {
			struct say s = {.flags = TCP_RST, .seq = z->engine_ack};
			say(z, &s);
		}
		break;
	}
	net_advance(z->net, z->now_ns);
	events(z);
	check(z);
	if (!(op & 128)) {
		output(z);
		check(z);
	}
}

/* From here on the peer acknowledges what it has, with an open window. */
static void be_honest(struct fuzz *z)
{
	z->window = 65535;
	arp_reply(z);
	z->queued = z->queued < STREAM_MAX ? z->queued : STREAM_MAX;
	for (uint32_t i = 0; i < 3000 && z->conn && !z->over; i++) {
		tcp_consume(z->conn, tcp_readable(z->conn));
		bool fin = z->fin_came && z->whole == z->fin_at;
		if ((uint32_t)z->conn->snd_una == z->iss + 1 + z->queued + fin && z->whole == z->queued)
			return;
		/* Its numbers go on from where they were: with older ones its window is not believed. */
		uint32_t seq = seq_before(z->engine_ack, z->top) ? z->top : z->engine_ack;
		struct say s = {.flags = TCP_ACK, .seq = seq, .ack = z->iss + 1 + z->whole + fin};
		if (i % 64 == 63)
			arp_reply(z);
		say(z, &s);
		z->now_ns += (i < 1000 ? 20 : 500) * MS;
		net_advance(z->net, z->now_ns);
		events(z);
		check(z);
		output(z);
		device_finish(z, 0);
	}
	/* It had acknowledged what it did not have, perhaps: then nothing can be asked for. */
	uint32_t una = z->conn ? (uint32_t)z->conn->snd_una - z->iss - 1 : 0;
	ASSERT(!z->conn || z->over || una > z->whole);
}

static void finish(struct fuzz *z)
{
	if (z->conn)
		tcp_release(z->conn);
	z->conn = NULL;
	for (uint32_t i = 0; i < 100; i++) {
		output(z);
		device_finish(z, 0);
		z->now_ns += 2000 * MS;
		net_advance(z->net, z->now_ns);
		events(z);
	}
	struct net_usage u = net_usage(z->net);
	ASSERT(u.connections == 0 && u.syns == 0 && u.time_waits == 0);
	ASSERT(u.tx_frames == 0 && u.rx_frames == 0 && u.sent_records == 0 && z->frames.out == 0);
	for (uint32_t i = 0; i < SENDS; i++)
		ASSERT(!z->busy[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (size < 3 || size > 2048)
		return 0;
	struct random random;
	random_init(&random);
	random_mix(&random, SLICE("thirty-two bytes of no entropy!!"));
	for (uint32_t i = 0; !stream[1] && i < STREAM_MAX; i++) /* once */
		stream[i] = (uint8_t)(i * 7 + (i >> 8) * 3);
	struct fuzz *z = calloc(1, sizeof *z);
	z->now_ns = 1000 * MS;
	struct net_config c = {.mtu = 1500, .connections_max = 2, .syn_max = 2, .time_wait_max = 2,
		.tx_frames_max = 48, .rx_frames_max = FUZZ_BUFFERS - 16, .neighbors_max = 4, .address = OWN_IP,
		.mask = 0xffffff00, .tx_checksum = bytes[0] & 1, .tx_tso4 = (bytes[0] & 3) == 3, .random = &random,
		.sent_records_max = bytes[0] & 4 ? 4 : 64, .now_ns = z->now_ns};
	memcpy(c.mac, own_mac, 6);
	void *memory = aligned_alloc(64, (net_memory_size(&c) + 63) & ~(size_t)63);
	err e = net_init(&z->net, &c, memory);
	ASSERT(!failed(e));
	e = tcp_listen(z->net, 80, 2);
	ASSERT(!failed(e));
	output(z);
	handshake(z, bytes[1]);
	struct reader r = reader_of(slice_of(bytes + 2, size - 2));
	while (!r.failed && reader_left(&r))
		command(z, &r);
	if (z->conn)
		be_honest(z);
	finish(z);
	free(memory);
	free(z);
	return 0;
}
