/* What a request costs: one kept-alive connection, a request of 120 bytes that acknowledges the previous
 * response, a response of two slices, ROUNDS times. Built by hand, as the guest is compiled, and run under
 * an instruction counter; the difference of two runs with different ROUNDS is free of what starting costs:
 *
 *   gcc -std=c17 -O2 -g -fno-strict-aliasing -mno-red-zone -fno-pic -no-pie -fno-omit-frame-pointer \
 *     -fstack-protector-strong -Inet/include -Ibase/include -Inet \
 *     $(ls net/[a-z]*.c base/[a-z]*.c | grep -vE '_(test|fuzz).c') host/assert.c \
 *     net/support/hot/keepalive.c -o keepalive
 *   valgrind --tool=callgrind ./keepalive ROUNDS [6] -- over IPv6 */
#include <base/timer.h>
#include <net/net.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "checksum.h"

#define OWN_IP 0x0a000001u
#define PEER_IP 0x0a000002u
#define REQUEST_LEN 120
#define FRAME (FRAME_TX_HEADROOM) /* where a sent frame begins */

struct hot {
	struct net *net;
	struct tcp_conn *conn;
	struct frame_rx rx;
	uint8_t bytes[2048], body[1024];
	uint64_t now_ns;
	uint32_t seq, ack, ts;
	bool ip6;
	uint32_t at; /* where TCP's header is in a frame */
};

static void rx_put(void *owner, struct frame_rx *f)
{
	(void)owner;
	(void)f;
}

static void give(struct hot *h, uint32_t len)
{
	h->rx = (struct frame_rx){.data = h->bytes, .len = len, .capacity = sizeof h->bytes,
		.buffer = h->bytes, .checksum = FRAME_CHECKSUM_GOOD, .put = rx_put};
	list_init(&h->rx.link);
	net_input(h->net, &h->rx, h->now_ns);
}

static const struct net_address own_ip6 = {{0xfd, [15] = 1}}, peer_ip6 = {{0xfd, [15] = 2}};

static void ip_head(const struct hot *h, uint8_t *b, uint8_t protocol, uint32_t len)
{
	static const uint8_t head[] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45};
	memcpy(b, head, sizeof head);
	if (h->ip6) {
		store_be16(b + 12, 0x86dd);
		b[14] = 0x60;
		store_be16(b + 18, (uint16_t)len);
		b[20] = protocol;
		b[21] = 255;
		memcpy(b + 22, peer_ip6.octet, 16);
		memcpy(b + 38, own_ip6.octet, 16);
		return;
	}
	store_be16(b + 16, (uint16_t)(20 + len));
	b[22] = 64;
	b[23] = protocol;
	store_be32(b + 26, PEER_IP);
	store_be32(b + 30, OWN_IP);
	store_le16(b + 24, (uint16_t)~checksum_fold(checksum_ip4_header(b + 14)));
}

static void give_segment(struct hot *h, uint8_t flags, uint32_t options_len, uint32_t len)
{
	uint8_t *t = h->bytes + h->at;
	memset(h->bytes, 0, h->at + 20 + options_len);
	ip_head(h, h->bytes, 6, 20 + options_len + len);
	store_be16(t, 5000);
	store_be16(t + 2, 80);
	store_be32(t + 4, h->seq);
	store_be32(t + 8, h->ack);
	t[12] = (uint8_t)((20 + options_len) << 2);
	t[13] = flags;
	store_be16(t + 14, 0xffff);
	if (options_len == 20) { /* SYN: size, SACK, timestamp, scale */
		store_be32(t + 20, 0x020405b4);
		store_be32(t + 24, 0x0402080a);
		store_be32(t + 28, 1);
		store_be32(t + 36, 0x01030307);
	} else {
		store_be32(t + 20, 0x0101080a);
		store_be32(t + 24, (uint32_t)(h->now_ns / 1000000));
		store_be32(t + 28, h->ts);
	}
	give(h, h->at + 20 + options_len + len);
	h->seq += len + !!(flags & 2);
}

static void give_arp(struct hot *h)
{
	static const uint8_t head[] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2};
	memcpy(h->bytes, head, sizeof head);
	memcpy(h->bytes + 22, head + 6, 6);
	store_be32(h->bytes + 28, PEER_IP);
	memcpy(h->bytes + 32, head, 6);
	store_be32(h->bytes + 38, OWN_IP);
	give(h, 42);
}

/* A solicitation: it says where the peer is. */
static void give_solicitation(struct hot *h)
{
	uint8_t *b = h->bytes, *m = b + 54;
	memset(b, 0, 86);
	ip_head(h, b, 58, 32);
	m[0] = 135;
	memcpy(m + 8, own_ip6.octet, 16);
	m[24] = m[25] = 1;
	memcpy(m + 26, b + 6, 6);
	uint64_t sum = checksum_sum(slice_of(b + 22, 32)) + (58 << 8) + __builtin_bswap16(32);
	store_le16(m + 2, (uint16_t)~checksum_fold(sum + checksum_sum(slice_of(m, 32))));
	give(h, 86);
}

/* Takes what is to be sent; `ts_at`: where its timestamp stands, behind the options' beginning. */
static void drain(struct hot *h, uint32_t ts_at, uint32_t syn)
{
	struct frame_tx *f;
	while ((f = net_output(h->net))) {
		const uint8_t *e = f->header + FRAME, *t = e + h->at;
		if (h->ip6 ? load_be16(e + 12) == 0x86dd && e[20] == 6 : load_be16(e + 12) == 0x0800) {
			h->ack = load_be32(t + 4) + f->payload_len + syn;
			h->ts = load_be32(t + 20 + ts_at);
		}
		f->done(f->owner, f);
	}
}

static bool start(struct hot *h, struct random *random)
{
	uint32_t events;
	struct net_config config = {.mac = {2, 0, 0, 0, 0, 1}, .address = OWN_IP, .mask = 0xffffff00,
		.random = random, .now_ns = h->now_ns, .tx_checksum = true, .tx_tso4 = true,
		.tx_tso6 = true, .ip6 = h->ip6 ? NET_IP6_STATIC : NET_IP6_OFF, .ip6_address = own_ip6,
		.ip6_prefix_len = 64};
	void *memory = aligned_alloc(64, (net_memory_size(&config) + 63) & ~(size_t)63);
	if (!memory || failed(net_init(&h->net, &config, memory)) || failed(tcp_listen(h->net, 80, 0)))
		return false;
	h->seq = 100;
	for (uint32_t i = 0; h->ip6 && i < 4; i++) { /* until the address is ours */
		drain(h, 8, 1);
		h->now_ns += 1000000000;
		net_advance(h->net, h->now_ns);
	}
	if (h->ip6)
		give_solicitation(h);
	give_segment(h, 2, 20, 0);
	drain(h, 8, 1);
	if (!h->ip6)
		give_arp(h);
	drain(h, 8, 1);
	give_segment(h, 16, 12, 0);
	h->conn = net_event_next(h->net, &events);
	return h->conn != NULL;
}

static void sent(struct tcp_send *s, bool delivered)
{
	(void)s;
	(void)delivered;
}

int main(int argc, char **argv)
{
	static struct hot h = {.now_ns = 1000000000, .at = 34};
	struct random random;
	struct slice page[2] = {{h.body, 150}, {h.body + 200, 612}};
	struct tcp_send send[2];
	long rounds = argc > 1 ? atol(argv[1]) : 1000;
	h.ip6 = argc > 2;
	h.at = h.ip6 ? 54 : 34;
	random_init(&random);
	random_mix(&random, SLICE("thirty-two bytes of no entropy!!"));
	if (!start(&h, &random))
		return 1;
	for (long i = 0; i < rounds; i++) {
		struct slice got;
		uint32_t events;
		h.now_ns += 50000;
		give_segment(&h, 24, 12, REQUEST_LEN);
		net_advance(h.net, h.now_ns);
		while (net_event_next(h.net, &events)) {
			if (!tcp_peek(h.conn, &got))
				continue;
			send[i & 1] = (struct tcp_send){.segments = page, .count = 2, .done = sent};
			if (failed(tcp_send(h.conn, &send[i & 1])))
				return 1;
			tcp_consume(h.conn, got.len);
		}
		drain(&h, 4, 0);
	}
	printf("fast %lu out %lu\n", net_counters(h.net)->tcp_fast_path, net_counters(h.net)->tcp_out_segs);
	return 0;
}
