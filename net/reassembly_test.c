/* Fragments of both families, in any order, doubled, overlapping, too many, and none at all any more. Station B
 * is the engine; the fragments are made by hand. */
#include <net/net.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include "checksum.h"
#include "engine.h"
#include "support/world.h"

#define SECOND UINT64_C(1000000000)
#define PORT 7
#define DATAGRAM 3000u /* with UDP's header */

struct bench {
	struct world w;
	struct net *net;
	const struct net_counters *n;
	bool ip6;
	uint32_t id;
	struct udp_socket socket;
	uint8_t datagram[8200];
	uint32_t received, last_len;
	bool intact, to_all; /* frames to the Ethernet broadcast address */
	uint32_t time_exceeded; /* heard by A */
};

static void received(struct udp_socket *s, const struct net_endpoint *from, struct slice payload)
{
	struct bench *b = s->cookie;
	assert_int_equal(from->port, 9);
	b->received++;
	b->last_len = (uint32_t)payload.len;
	b->intact = memcmp(payload.ptr, b->datagram + 8, payload.len) == 0;
}

static bool heard(struct world *w, uint32_t from, uint8_t *f, uint32_t len)
{
	struct bench *b = w->cookie;
	if (from == 1 && len > 54 && load_be16(f + 12) == ETHERTYPE_IP4 && f[23] == 1 && f[34] == 11 && f[35] == 1)
		b->time_exceeded++;
	if (from == 1 && len > 54 && load_be16(f + 12) == 0x86dd && f[20] == 58 && f[54] == 3 && f[55] == 1)
		b->time_exceeded++;
	return true;
}

static void bench_start(struct bench *b, bool ip6)
{
	memset(b, 0, sizeof *b);
	world_init(&b->w, 11);
	b->w.filter = heard;
	b->w.cookie = b;
	b->ip6 = ip6;
	for (uint32_t i = 0; i < 2; i++) {
		struct net_config c = world_config(&b->w, i);
		world_config_ip6(&c, i);
		c.rx_frames_max = 256;
		world_start(&b->w, i, &c);
	}
	b->net = b->w.station[1].net;
	b->n = net_counters(b->net);
	world_run(&b->w, b->w.now_ns + 10 * SECOND, NULL);
	b->socket = (struct udp_socket){.port = PORT, .receive = received, .cookie = b};
	assert_false(failed(udp_bind(b->net, &b->socket)));
	for (uint32_t i = 8; i < sizeof b->datagram; i++)
		b->datagram[i] = (uint8_t)(i * 7 + i / 256);
}

static void bench_stop(struct bench *b)
{
	world_run(&b->w, b->w.now_ns + 70 * SECOND, NULL);
	assert_int_equal(net_usage(b->net).rx_frames, 0);
	world_deinit(&b->w);
}

/* UDP's header in front of DATAGRAM bytes, with the checksum that the whole must have. */
static void datagram_make(struct bench *b, uint32_t len)
{
	struct net_address from = world_address(0, b->ip6), to = world_address(1, b->ip6);
	uint32_t at = b->ip6 ? 0 : 12, n = b->ip6 ? 16 : 4;
	store_be16(b->datagram, 9);
	store_be16(b->datagram + 2, PORT);
	store_be16(b->datagram + 4, (uint16_t)len);
	store_le16(b->datagram + 6, 0);
	uint64_t sum = checksum_sum(slice_of(from.octet + at, n)) + checksum_sum(slice_of(to.octet + at, n))
		+ (17 << 8) + __builtin_bswap16((uint16_t)len) + checksum_sum(slice_of(b->datagram, len));
	store_le16(b->datagram + 6, (uint16_t)~checksum_fold(sum));
	b->id++;
}

/* The bytes from `offset` on as a fragment of the datagram. */
static void fragment(struct bench *b, uint32_t offset, uint32_t len, bool more, uint8_t tos)
{
	static const uint8_t macs[12] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
	struct net_address from = world_address(0, b->ip6), to = world_address(1, b->ip6);
	uint8_t f[2048] = {0}, *h = f + 14;
	memcpy(f, macs, 12);
	if (b->to_all)
		memset(f, 0xff, 6);
	uint32_t header;
	if (b->ip6) {
		header = 48;
		store_be16(f + 12, 0x86dd);
		store_be32(h, UINT32_C(6) << 28 | (uint32_t)tos << 20);
		store_be16(h + 4, (uint16_t)(8 + len));
		h[6] = 44;
		h[7] = 64;
		memcpy(h + 8, from.octet, 16);
		memcpy(h + 24, to.octet, 16);
		h[40] = 17;
		store_be16(h + 42, (uint16_t)(offset | more));
		store_be32(h + 44, b->id);
	} else {
		header = 20;
		store_be16(f + 12, 0x0800);
		h[0] = 0x45;
		h[1] = tos;
		store_be16(h + 2, (uint16_t)(20 + len));
		store_be16(h + 4, (uint16_t)b->id);
		store_be16(h + 6, (uint16_t)(offset / 8 | (more ? 0x2000u : 0)));
		h[8] = 64;
		h[9] = 17;
		memcpy(h + 12, from.octet + 12, 4);
		memcpy(h + 16, to.octet + 12, 4);
		store_le16(h + 10, (uint16_t)~checksum_fold(checksum_ip4_header(h)));
	}
	memcpy(h + header, b->datagram + (offset + len <= sizeof b->datagram ? offset : 0), len);
	uint32_t total = 14 + header + len;
	world_inject(&b->w, 1, f, total < 60 ? 60 : total); /* short ones are padded, as Ethernet does */
}

static void part(struct bench *b, uint32_t offset, uint32_t len)
{
	fragment(b, offset, len, offset + len < DATAGRAM, 0);
}

static void for_both(void (*test)(struct bench *))
{
	static struct bench b;
	for (int ip6 = 0; ip6 < 2; ip6++) {
		bench_start(&b, ip6);
		datagram_make(&b, DATAGRAM);
		test(&b);
		bench_stop(&b);
	}
}

static void any_order(struct bench *b)
{
	static const uint8_t order[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	uint32_t held = net_usage(b->net).rx_frames;
	for (uint32_t i = 0; i < 6; i++) {
		for (uint32_t k = 0; k < 3; k++) {
			assert_int_equal(b->received, i);
			part(b, order[i][k] * 1400u, order[i][k] == 2 ? 200 : 1400);
		}
		assert_int_equal(b->received, i + 1);
		assert_int_equal(b->last_len, DATAGRAM - 8);
		assert_true(b->intact);
		b->id++;
	}
	assert_int_equal(b->n->ip_reasm_oks, 6);
	assert_true(net_usage(b->net).rx_frames <= held);
}

static void fragments_in_any_order_make_the_datagram(void **state)
{
	(void)state;
	for_both(any_order);
}

static void doubled(struct bench *b)
{
	part(b, 0, 1400);
	part(b, 0, 1400);
	part(b, 1400, 1400);
	part(b, 1400, 1400);
	assert_int_equal(b->received, 0);
	part(b, 2800, 200);
	assert_int_equal(b->received, 1);
	assert_true(b->intact);
}

static void a_fragment_that_comes_twice_does_no_harm(void **state)
{
	(void)state;
	for_both(doubled);
}

static void overlapping(struct bench *b)
{
	static const struct {
		uint32_t offset, len;
	} bad[] = {{8, 1400}, {0, 1392}, {0, 1408}, {1392, 16}};
	for (uint32_t i = 0; i < ARRAY_LEN(bad); i++) {
		part(b, 0, 1400);
		part(b, 2800, 200);
		part(b, bad[i].offset, bad[i].len);
		assert_int_equal(net_usage(b->net).rx_frames, i);
		part(b, 1400, 1400); /* too late, and left alone */
		assert_int_equal(b->received, 0);
		b->id++;
	}
	assert_int_equal(b->n->ip_reasm_overlaps, ARRAY_LEN(bad));
}

static void an_overlap_drops_the_whole_packet(void **state)
{
	(void)state;
	for_both(overlapping);
}

static void contradicting(struct bench *b)
{
	part(b, 2800, 200); /* the last */
	fragment(b, 2800 + 200, 8, true, 0); /* and more behind it */
	assert_int_equal(net_usage(b->net).rx_frames, 0);
	b->id++;
	part(b, 0, 1400);
	part(b, 1400, 1400);
	fragment(b, 1000, 200, false, 0); /* ends before what is there */
	assert_int_equal(net_usage(b->net).rx_frames, 0);
	b->id++;
	part(b, 2800, 200);
	fragment(b, 2808, 192 - 8, false, 0); /* another end */
	assert_int_equal(net_usage(b->net).rx_frames, 0);
	assert_int_equal(b->received, 0);
}

static void two_ends_are_a_contradiction(void **state)
{
	(void)state;
	for_both(contradicting);
}

/* However many buffers there are, one packet gets 64; and none when all are held. */
static void too_many_pieces(struct bench *b)
{
	b->net->rx_frames_max = 1024;
	for (uint32_t i = 0; i < 64; i++)
		fragment(b, 8 * i, 8, true, 0);
	assert_int_equal(net_usage(b->net).rx_frames, 64);
	fragment(b, 8 * 64, 8, true, 0);
	assert_int_equal(net_usage(b->net).rx_frames, 0);
	assert_int_equal(b->n->ip_reasm_fails, 1);
	b->net->rx_frames_held = 1024;
	fragment(b, 0, 8, true, 0);
	assert_int_equal(net_usage(b->net).rx_frames, 1024);
	assert_int_equal(b->n->ip_reasm_fails, 2);
	b->net->rx_frames_held = 0;
}

static void a_packet_holds_so_many_buffers_and_no_more(void **state)
{
	(void)state;
	for_both(too_many_pieces);
}

/* The bytes would sum up, with a hole. */
static void ended_before(struct bench *b)
{
	fragment(b, 800, 1400, true, 0);
	fragment(b, 1400, 8, false, 0);
	assert_int_equal(b->received, 0);
	assert_int_equal(b->n->ip_reasm_fails, 1);
	assert_int_equal(b->n->ip_reasm_oks, 0);
	b->id++;
	fragment(b, 2200, 1400, true, 0);
	fragment(b, 1400, 200, false, 0);
	assert_int_equal(b->n->ip_reasm_fails, 2);
	assert_int_equal(b->n->ip_reasm_oks, 0);
}

static void an_end_before_what_has_come_is_a_contradiction(void **state)
{
	(void)state;
	for_both(ended_before);
}

/* Nobody is told of a closed port who did not ask for it from us alone. */
static void broadcast_in_part(struct bench *b)
{
	udp_unbind(&b->socket);
	for (uint32_t i = 0; i < 3; i++) {
		b->to_all = i == 0;
		part(b, 0, 1400);
		b->to_all = i == 1;
		part(b, 1400, 1400);
		b->to_all = false;
		part(b, 2800, 200);
		b->id++;
		uint64_t told = b->ip6 ? b->n->icmp6_out_dest_unreachs : b->n->icmp_out_dest_unreachs;
		assert_int_equal(told, i == 2);
	}
	world_run(&b->w, b->w.now_ns + SECOND, NULL);
}

static void a_packet_that_came_by_broadcast_in_part_did_so_as_a_whole(void **state)
{
	(void)state;
	for_both(broadcast_in_part);
}

static void malformed(struct bench *b)
{
	fragment(b, 0, 1399, true, 0); /* not in steps of 8 */
	fragment(b, 65528, 16, false, 0); /* beyond what a packet can be */
	b->id++;
	fragment(b, 65528, 8, false, 0); /* by one */
	world_run(&b->w, b->w.now_ns + SECOND, NULL); /* an ICMPv6 error quotes it from its buffer */
	assert_int_equal(b->n->icmp6_out_parm_problems, b->ip6 ? 3 : 0); /* RFC 8200, 4.5 */
	assert_int_equal(net_usage(b->net).rx_frames, 0);
	assert_int_equal(b->received, 0);
}

static void fragments_of_impossible_size_are_dropped(void **state)
{
	(void)state;
	for_both(malformed);
}

static void expiring(struct bench *b)
{
	part(b, 0, 1400);
	b->id++;
	part(b, 1400, 1400);
	assert_int_equal(net_usage(b->net).rx_frames, 2);
	world_run(&b->w, b->w.now_ns + 59 * SECOND, NULL);
	assert_int_equal(net_usage(b->net).rx_frames, 2);
	assert_int_equal(b->time_exceeded, 0);
	world_run(&b->w, b->w.now_ns + 2 * SECOND, NULL);
	assert_int_equal(net_usage(b->net).rx_frames, 0);
	assert_int_equal(b->n->ip_reasm_timeouts, 2);
	/* Said only of the one whose beginning is known. */
	assert_int_equal(b->time_exceeded, 1);
}

static void after_a_minute_the_sender_is_told(void **state)
{
	(void)state;
	for_both(expiring);
}

static void a_flood_holds_few_buffers_and_does_not_keep_others_out(void **state)
{
	(void)state;
	static struct bench b;
	for (int ip6 = 0; ip6 < 2; ip6++) {
		bench_start(&b, ip6);
		datagram_make(&b, DATAGRAM);
		for (uint32_t i = 0; i < 5000; i++) {
			part(&b, 0, 8);
			b.id++;
			assert_true(net_usage(b.net).rx_frames <= REASSEMBLIES_MAX);
		}
		for (uint32_t i = 0; i < 300; i++) {
			fragment(&b, i * 8, 8, true, 0);
			assert_true(net_usage(b.net).rx_frames <= 256 / 8);
		}
		b.id++;
		any_order(&b);
		bench_stop(&b);
	}
}

static void marked(struct bench *b)
{
	/* CE on one of them and ECT on the others is a mark; none on one of them hides one. */
	fragment(b, 0, 1400, true, 2);
	fragment(b, 1400, 1400, true, 3);
	fragment(b, 2800, 200, false, 2);
	assert_int_equal(b->received, 1);
	b->id++;
	fragment(b, 0, 1400, true, 3);
	fragment(b, 1400, 1400, true, 0);
	fragment(b, 2800, 200, false, 2);
	assert_int_equal(b->received, 1);
}

static void fragments_with_and_without_ecn_do_not_mix(void **state)
{
	(void)state;
	for_both(marked);
}

static void corrupted(struct bench *b)
{
	b->datagram[2000] ^= 1;
	part(b, 0, 1400);
	part(b, 1400, 1400);
	part(b, 2800, 200);
	b->datagram[2000] ^= 1;
	assert_int_equal(b->received, 0);
	assert_int_equal(b->n->udp_in_errors, 1);
	assert_int_equal(net_usage(b->net).rx_frames, 0);
}

static void the_whole_is_checked_by_its_checksum(void **state)
{
	(void)state;
	for_both(corrupted);
}

static void a_datagram_longer_than_can_be_gathered_is_an_error(void **state)
{
	(void)state;
	static struct bench b;
	for (int ip6 = 0; ip6 < 2; ip6++) {
		bench_start(&b, ip6);
		datagram_make(&b, 8192);
		for (uint32_t at = 0; at < 8192; at += 1024)
			fragment(&b, at, 1024, at + 1024 < 8192, 0);
		assert_int_equal(b.received, 1);
		assert_true(b.intact);
		/* 8 bytes more, which the buffer of 8,192 does not hold. */
		datagram_make(&b, 8192);
		for (uint32_t at = 0; at < 8192; at += 1024)
			fragment(&b, at, 1024, true, 0);
		fragment(&b, 8192, 8, false, 0);
		assert_int_equal(b.received, 1);
		assert_int_equal(b.n->udp_in_errors, 1);
		assert_int_equal(net_usage(b.net).rx_frames, 0);
		bench_stop(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fragments_in_any_order_make_the_datagram),
		cmocka_unit_test(a_fragment_that_comes_twice_does_no_harm),
		cmocka_unit_test(an_overlap_drops_the_whole_packet),
		cmocka_unit_test(two_ends_are_a_contradiction),
		cmocka_unit_test(a_packet_holds_so_many_buffers_and_no_more),
		cmocka_unit_test(an_end_before_what_has_come_is_a_contradiction),
		cmocka_unit_test(a_packet_that_came_by_broadcast_in_part_did_so_as_a_whole),
		cmocka_unit_test(fragments_of_impossible_size_are_dropped),
		cmocka_unit_test(after_a_minute_the_sender_is_told),
		cmocka_unit_test(a_flood_holds_few_buffers_and_does_not_keep_others_out),
		cmocka_unit_test(fragments_with_and_without_ecn_do_not_mix),
		cmocka_unit_test(the_whole_is_checked_by_its_checksum),
		cmocka_unit_test(a_datagram_longer_than_can_be_gathered_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
