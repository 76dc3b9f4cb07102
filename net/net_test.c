/* Below TCP: what comes in malformed goes nowhere; ARP, ICMP, UDP, DHCP. Station B is the engine. */
#include <net/net.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include "checksum.h"
#include "support/world.h"

#define SECOND UINT64_C(1000000000)
#define MS UINT64_C(1000000)

struct tape {
	struct world w;
	struct net *net;
	uint32_t frames, arp_requests, arp_replies, gratuitous, icmps;
	uint8_t last[2048];
	uint32_t last_len;
	bool answer_arp;
	/* A DHCP server. */
	bool dhcp, nak, offers_only;
	uint32_t lease_s, discovers, requests, renewals;
};

static void ip_wrap(uint8_t *f, uint32_t source, uint32_t destination, uint8_t protocol, uint32_t len)
{
	static const uint8_t head[14] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0};
	memcpy(f, head, sizeof head);
	memset(f + 14, 0, 20);
	f[14] = 0x45;
	store_be16(f + 16, (uint16_t)(20 + len));
	f[22] = 64;
	f[23] = protocol;
	store_be32(f + 26, source);
	store_be32(f + 30, destination);
	store_le16(f + 24, (uint16_t)~checksum_fold(checksum_ip4_header(f + 14)));
}

static void udp_say(struct tape *t, uint32_t from, uint32_t to, uint16_t from_port, uint16_t to_port,
	const uint8_t *data, uint32_t len)
{
	uint8_t f[1600] = {0};
	ip_wrap(f, from, to, 17, 8 + len);
	store_be16(f + 34, from_port);
	store_be16(f + 36, to_port);
	store_be16(f + 38, (uint16_t)(8 + len));
	memcpy(f + 42, data, len);
	uint64_t sum = checksum_sum(slice_of(f + 26, 8)) + (17 << 8)
		+ __builtin_bswap16((uint16_t)(8 + len)) + checksum_sum(slice_of(f + 34, 8 + len));
	store_le16(f + 40, (uint16_t)~checksum_fold(sum));
	world_inject(&t->w, 1, f, 42 + len);
}

/* The value of an option in a client's message, or 0. */
static uint32_t option(const uint8_t *m, uint32_t len, uint8_t code)
{
	for (uint32_t at = 240; at + 2 < len && m[at] != 255; at += 2u + m[at + 1]) {
		if (m[at] == code)
			return m[at + 1] == 4 ? load_be32(m + at + 2) : m[at + 2];
	}
	return 0;
}

static void dhcp_answer(struct tape *t, const uint8_t *asked, uint8_t type)
{
	uint8_t m[300] = {2, 1, 6};
	memcpy(m + 4, asked + 4, 4);
	memcpy(m + 28, asked + 28, 6);
	store_be32(m + 16, WORLD_B_IP);
	const uint8_t options[] = {0x63, 0x82, 0x53, 0x63, 53, 1, type, 54, 4, 10, 0, 0, 1, 1, 4, 255, 255, 255,
		0, 3, 4, 10, 0, 0, 1, 6, 8, 10, 0, 0, 3, 10, 0, 0, 4, 51, 4, 0, 0, 0, 0, 255};
	memcpy(m + 236, options, sizeof options);
	store_be32(m + 236 + sizeof options - 5, t->lease_s);
	udp_say(t, WORLD_A_IP, 0xffffffff, 67, 68, m, sizeof m);
}

static void dhcp_serve(struct tape *t, const uint8_t *m, uint32_t len)
{
	uint32_t type = option(m, len, 53);
	if (type == 1) {
		t->discovers++;
		dhcp_answer(t, m, 2);
	} else if (type == 3 && load_be32(m + 12)) {
		t->renewals++;
		if (!t->offers_only)
			dhcp_answer(t, m, t->nak ? 6 : 5);
	} else if (type == 3) {
		t->requests++;
		assert_int_equal(option(m, len, 50), WORLD_B_IP);
		assert_int_equal(option(m, len, 54), WORLD_A_IP);
		if (!t->offers_only)
			dhcp_answer(t, m, t->nak ? 6 : 5);
	}
}

static void arp_say(struct tape *t, uint16_t op, uint32_t sender, uint32_t target)
{
	uint8_t f[42] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 6};
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
	store_be32(f + 14, 0x00010800);
	store_be32(f + 18, 0x06040000u | op);
	memcpy(f + 22, mac, 6);
	store_be32(f + 28, sender);
	store_be32(f + 38, target);
	world_inject(&t->w, 1, f, sizeof f);
}

static bool record(struct world *w, uint32_t from, uint8_t *b, uint32_t len)
{
	struct tape *t = w->cookie;
	(void)from;
	t->frames++;
	if (load_be16(b + 12) == 0x0806) {
		uint32_t sender = load_be32(b + 28), target = load_be32(b + 38);
		if (sender == target)
			t->gratuitous++;
		else if (load_be16(b + 20) == 1)
			t->arp_requests++;
		else
			t->arp_replies++;
		if (t->answer_arp && load_be16(b + 20) == 1 && sender && sender != target)
			arp_say(t, 2, target, sender);
		return false;
	}
	memcpy(t->last, b, len);
	t->last_len = len;
	t->icmps += b[23] == 1;
	if (t->dhcp && b[23] == 17 && load_be16(b + 36) == 67)
		dhcp_serve(t, b + 42, len - 42);
	return false;
}

static void tape_start(struct tape *t, bool dhcp)
{
	memset(t, 0, sizeof *t);
	world_init(&t->w, 3);
	t->w.filter = record;
	t->w.cookie = t;
	struct net_config c = world_config(&t->w, 1);
	c.host_name = SLICE("guest");
	if (dhcp)
		c.address = c.mask = 0;
	world_start(&t->w, 1, &c);
	t->net = t->w.station[1].net;
	t->answer_arp = true;
}

static void run(struct tape *t, uint64_t ns)
{
	world_run(&t->w, t->w.now_ns + ns, NULL);
}

static void tape_stop(struct tape *t)
{
	run(t, 20 * SECOND);
	assert_int_equal(net_usage(t->net).tx_frames, 0);
	assert_int_equal(t->w.station[1].buffers_out, 0);
	world_deinit(&t->w);
}

static void the_address_is_announced_and_answered_for(void **state)
{
	(void)state;
	struct tape t;
	tape_start(&t, false);
	run(&t, 5 * SECOND);
	assert_int_equal(t.gratuitous, 2);
	arp_say(&t, 1, WORLD_A_IP, WORLD_B_IP);
	arp_say(&t, 1, WORLD_A_IP, 0x0a000009); /* for another */
	run(&t, MS);
	assert_int_equal(t.arp_replies, 1);
	arp_say(&t, 1, WORLD_B_IP, WORLD_B_IP); /* a thief */
	arp_say(&t, 1, WORLD_B_IP, WORLD_B_IP);
	run(&t, MS);
	assert_int_equal(net_counters(t.net)->arp_conflicts, 2);
	assert_int_equal(t.gratuitous, 3); /* defended once */
	tape_stop(&t);
}

static void echo_is_answered_from_the_same_bytes(void **state)
{
	(void)state;
	struct tape t;
	tape_start(&t, false);
	uint8_t f[34 + 8 + 1001] = {0};
	ip_wrap(f, WORLD_A_IP, WORLD_B_IP, 1, 1009);
	f[34] = 8;
	for (uint32_t i = 0; i < 1001; i++)
		f[42 + i] = (uint8_t)(i * 3);
	store_le16(f + 36, (uint16_t)~checksum_fold(checksum_sum(slice_of(f + 34, 1009))));
	world_inject(&t.w, 1, f, sizeof f);
	run(&t, 10 * MS);
	assert_int_equal(t.icmps, 1);
	assert_int_equal(t.last[34], 0);
	assert_int_equal(t.last_len, sizeof f);
	assert_memory_equal(t.last + 42, f + 42, 1001);
	assert_int_equal(checksum_fold(checksum_sum(slice_of(t.last + 34, 1009))), 0xffff);
	for (uint32_t i = 0; i < 1000; i++)
		world_inject(&t.w, 1, f, sizeof f);
	run(&t, 10 * MS);
	assert_true(t.icmps <= 210);
	assert_true(net_counters(t.net)->icmp_out_rate_limited > 0);
	tape_stop(&t);
}

static void a_closed_udp_port_is_told_but_not_too_often(void **state)
{
	(void)state;
	struct tape t;
	tape_start(&t, false);
	run(&t, 3 * SECOND);
	for (uint32_t i = 0; i < 100; i++) {
		udp_say(&t, WORLD_A_IP, WORLD_B_IP, 1, 999, (const uint8_t *)"x", 1);
		run(&t, 10000);
	}
	run(&t, MS);
	assert_int_equal(net_counters(t.net)->udp_no_ports, 100);
	assert_true(t.icmps >= 10 && t.icmps <= 21);
	assert_int_equal(t.last[34], 3);
	assert_int_equal(t.last[35], 3);
	udp_say(&t, WORLD_A_IP, 0x0a0000ff, 1, 999, (const uint8_t *)"x", 1); /* never for a broadcast */
	uint32_t before = t.icmps;
	run(&t, SECOND);
	assert_int_equal(t.icmps, before);
	tape_stop(&t);
}

static uint32_t got_len;

static void receive(struct udp_socket *s, const struct net_endpoint *from, struct slice payload)
{
	(void)s;
	assert_int_equal(from->port, 4444);
	got_len = (uint32_t)payload.len;
}

static uint32_t datagrams_done;

static void datagram_done(struct udp_datagram *d)
{
	(void)d;
	datagrams_done++;
}

static void datagrams_come_and_go_and_wait_bounded_for_arp(void **state)
{
	(void)state;
	struct tape t;
	tape_start(&t, false);
	t.answer_arp = false;
	struct udp_socket s = {.port = 53, .receive = receive}, twin = {.port = 53, .receive = receive};
	assert_false(failed(udp_bind(t.net, &s)));
	assert_true(failed(udp_bind(t.net, &twin)));
	udp_say(&t, WORLD_A_IP, WORLD_B_IP, 4444, 53, (const uint8_t *)"hello", 5);
	assert_int_equal(got_len, 5);
	struct udp_datagram d[8];
	struct net_endpoint to = {net_address_v4(WORLD_A_IP), 4444};
	for (uint32_t i = 0; i < 8; i++) {
		d[i] = (struct udp_datagram){.segment = {SLICE("odd"), SLICE("lengths")}, .count = 2,
			.done = datagram_done};
		assert_false(failed(udp_send(&s, &to, &d[i])));
	}
	assert_int_equal(datagrams_done, 4); /* the rest waits */
	assert_int_equal(net_counters(t.net)->arp_queue_drops, 4);
	t.answer_arp = true;
	run(&t, 2 * SECOND);
	assert_int_equal(datagrams_done, 8);
	assert_int_equal(t.last_len, 52);
	uint64_t sum = checksum_sum(slice_of(t.last + 26, 8)) + (17 << 8) + __builtin_bswap16(18)
		+ checksum_sum(slice_of(t.last + 34, 18));
	assert_int_equal(checksum_fold(sum), 0xffff);
	udp_unbind(&s);
	tape_stop(&t);
}

static void malformed_packets_are_counted_and_dropped(void **state)
{
	(void)state;
	struct tape t;
	tape_start(&t, false);
	run(&t, 3 * SECOND);
	uint32_t before = t.frames;
	const struct net_counters *n = net_counters(t.net);
	uint8_t f[64] = {0};
	ip_wrap(f, WORLD_A_IP, WORLD_B_IP, 6, 20);
	world_inject(&t.w, 1, f, 13);
	assert_int_equal(n->if_in_runts, 1);
	world_inject(&t.w, 1, f, 30);
	f[24] ^= 1;
	world_inject(&t.w, 1, f, 54);
	assert_int_equal(n->ip_in_hdr_errors, 2);
	f[24] ^= 1;
	world_inject(&t.w, 1, f, 50);
	assert_int_equal(n->ip_in_truncated, 1);
	world_inject(&t.w, 1, f, 54); /* no TCP header in there */
	assert_int_equal(n->tcp_in_errs, 1);
	static const uint32_t martians[] = {0x7f000001, 0xe0000001, 0, 0xffffffff, 0x0a0000ff, WORLD_B_IP};
	for (uint32_t i = 0; i < ARRAY_LEN(martians); i++) {
		ip_wrap(f, martians[i], WORLD_B_IP, 6, 20);
		world_inject(&t.w, 1, f, 54);
	}
	assert_int_equal(n->ip_in_addr_errors, ARRAY_LEN(martians));
	ip_wrap(f, WORLD_A_IP, WORLD_B_IP, 6, 20);
	f[20] = 0x20;
	store_le16(f + 24, 0);
	store_le16(f + 24, (uint16_t)~checksum_fold(checksum_ip4_header(f + 14)));
	world_inject(&t.w, 1, f, 54);
	assert_int_equal(n->ip_reasm_reqds, 1);
	for (uint32_t i = 0; i < 20000; i++) {
		uint8_t junk[200];
		for (uint32_t k = 0; k < sizeof junk; k += 8)
			store_le64(junk + k, world_random(&t.w));
		if (i & 1)
			memcpy(junk, f, 6 + i % 30);
		world_inject(&t.w, 1, junk, world_below(&t.w, 200));
	}
	run(&t, MS);
	assert_int_equal(t.frames, before);
	tape_stop(&t);
}

static void dhcp_binds_renews_and_gives_up_an_expired_lease(void **state)
{
	(void)state;
	struct tape t;
	tape_start(&t, true);
	t.dhcp = true;
	t.lease_s = 1000;
	assert_int_equal(net_ipv4(t.net).state, NET_IPV4_NONE);
	run(&t, 100 * MS);
	struct net_ipv4 ip = net_ipv4(t.net);
	assert_int_equal(ip.state, NET_IPV4_BOUND);
	assert_int_equal(ip.address, WORLD_B_IP);
	assert_int_equal(ip.mask, 0xffffff00);
	assert_int_equal(ip.gateway, WORLD_A_IP);
	assert_int_equal(ip.dns[1], 0x0a000004);
	assert_int_equal(ip.lease_s, 1000);
	assert_int_equal(t.discovers, 1);
	assert_int_equal(t.requests, 1);
	run(&t, 510 * SECOND);
	assert_int_equal(t.renewals, 1);
	t.offers_only = true; /* the server stops to acknowledge */
	run(&t, 950 * SECOND);
	assert_true(t.renewals > 4);
	assert_int_equal(net_ipv4(t.net).state, NET_IPV4_BOUND);
	run(&t, 60 * SECOND);
	assert_int_equal(net_ipv4(t.net).state, NET_IPV4_NONE);
	assert_int_equal(net_counters(t.net)->dhcp_expiries, 1);
	t.offers_only = false;
	run(&t, 100 * SECOND);
	assert_int_equal(net_ipv4(t.net).state, NET_IPV4_BOUND);
	tape_stop(&t);
}

static void dhcp_starts_over_after_a_refusal_and_backs_off_without_a_server(void **state)
{
	(void)state;
	struct tape t;
	tape_start(&t, true);
	run(&t, 130 * SECOND);
	uint64_t asked = net_counters(t.net)->dhcp_discovers;
	assert_true(asked >= 5 && asked <= 7);
	t.dhcp = t.nak = true;
	t.lease_s = 1000;
	run(&t, 100 * SECOND);
	assert_true(net_counters(t.net)->dhcp_naks >= 2);
	assert_int_equal(net_ipv4(t.net).state, NET_IPV4_NONE);
	t.nak = false;
	run(&t, 70 * SECOND);
	assert_int_equal(net_ipv4(t.net).state, NET_IPV4_BOUND);
	t.nak = true; /* refused while renewing: the address goes at once */
	run(&t, 501 * SECOND);
	assert_int_equal(net_ipv4(t.net).state, NET_IPV4_NONE);
	tape_stop(&t);
}

static void checksums_agree_with_the_plain_definition(void **state)
{
	(void)state;
	struct world w;
	world_init(&w, 9);
	for (uint32_t round = 0; round < 500; round++) {
		uint8_t bytes[300];
		uint32_t len = world_below(&w, sizeof bytes), cut = world_below(&w, len + 1), plain = 0;
		for (uint32_t i = 0; i < sizeof bytes; i++)
			bytes[i] = (uint8_t)world_random(&w);
		for (uint32_t i = 0; i < len; i++)
			plain += i & 1 ? (uint32_t)bytes[i] << 8 : bytes[i];
		while (plain >> 16)
			plain = (plain & 0xffff) + (plain >> 16);
		struct slice part[3] = {slice_of(bytes, cut / 2), slice_of(bytes + cut / 2, cut - cut / 2),
			slice_of(bytes + cut, len - cut)};
		assert_int_equal(checksum_fold(checksum_sum(slice_of(bytes, len))), plain);
		assert_int_equal(checksum_fold(checksum_sum_slices(part, 3)), plain);
	}
	world_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksums_agree_with_the_plain_definition),
		cmocka_unit_test(the_address_is_announced_and_answered_for),
		cmocka_unit_test(echo_is_answered_from_the_same_bytes),
		cmocka_unit_test(a_closed_udp_port_is_told_but_not_too_often),
		cmocka_unit_test(datagrams_come_and_go_and_wait_bounded_for_arp),
		cmocka_unit_test(malformed_packets_are_counted_and_dropped),
		cmocka_unit_test(dhcp_binds_renews_and_gives_up_an_expired_lease),
		cmocka_unit_test(dhcp_starts_over_after_a_refusal_and_backs_off_without_a_server),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
