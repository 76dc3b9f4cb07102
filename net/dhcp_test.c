/* IPv4 addresses by DHCP, checked for conflicts; link-local ones while no server answers. Station 1
 * of the world is the engine, the test is the server and the neighbours. */
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
#define LEASED 0x0a000002u

enum { DISCOVER = 1, OFFER = 2, REQUEST = 3, DECLINE = 4, ACK = 5, NAK = 6 };

struct lab {
	struct world w;
	struct net *net;
	/* The server. */
	bool silent;
	uint64_t slow_ns; /* acknowledgements are held back until then */
	uint8_t extra[64];
	uint32_t extra_len;
	bool no_mask;
	bool overload;    /* the extra options stand in `file` and `sname` */
	uint32_t lease_s, count[8];
	uint32_t declined, requested_at_count;
	uint64_t request_ns;
	/* A neighbour who has `taken`. */
	uint32_t taken_from, taken_to;
	uint32_t probes, claims; /* of the engine: sender 0, sender and target alike */
	uint32_t last_probe;
};

static void udp_say(struct lab *l, const uint8_t *m, uint32_t len)
{
	static const uint8_t head[14] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 0};
	uint8_t f[800] = {0};
	memcpy(f, head, sizeof head);
	f[14] = 0x45;
	store_be16(f + 16, (uint16_t)(28 + len));
	f[22] = 64;
	f[23] = 17;
	store_be32(f + 26, WORLD_A_IP);
	store_be32(f + 30, 0xffffffff);
	store_le16(f + 24, (uint16_t)~checksum_fold(checksum_ip4_header(f + 14)));
	store_be16(f + 34, 67);
	store_be16(f + 36, 68);
	store_be16(f + 38, (uint16_t)(8 + len));
	memcpy(f + 42, m, len);
	world_inject(&l->w, 1, f, 42 + len);
}

static void answer(struct lab *l, const uint8_t *asked, uint8_t type)
{
	uint8_t m[500] = {2, 1, 6};
	uint8_t options[] = {0x63, 0x82, 0x53, 0x63, 53, 1, type, 54, 4, 10, 0, 0, 1, 1, 4, 255, 255, 255, 0,
		3, 4, 10, 0, 0, 1, 51, 4, 0, 0, 0, 0};
	memcpy(m + 4, asked + 4, 4);
	memcpy(m + 28, asked + 28, 6);
	store_be32(m + 16, LEASED);
	store_be32(options + sizeof options - 4, l->lease_s);
	if (l->no_mask)
		memset(options + 13, 0, 6);
	memcpy(m + 236, options, sizeof options);
	uint32_t at = 236 + sizeof options;
	if (l->overload) {
		m[at] = 52;
		m[at + 1] = 1;
		m[at + 2] = 3;
		at += 3;
		memcpy(m + 108, l->extra, l->extra_len / 2);
		m[108 + l->extra_len / 2] = 255;
		memcpy(m + 44, l->extra + l->extra_len / 2, l->extra_len - l->extra_len / 2);
		m[44 + l->extra_len - l->extra_len / 2] = 255;
	} else {
		memcpy(m + at, l->extra, l->extra_len);
		at += l->extra_len;
	}
	m[at++] = 255;
	udp_say(l, m, at < 300 ? 300 : at);
}

static const uint8_t *option(const uint8_t *m, uint32_t len, uint8_t code)
{
	for (uint32_t at = 240; at + 2 < len && m[at] != 255; at += 2u + m[at + 1])
		if (m[at] == code)
			return m + at + 2;
	return NULL;
}

static void serve(struct lab *l, const uint8_t *frame, const uint8_t *m, uint32_t len)
{
	uint8_t type = *option(m, len, 53);
	l->count[type]++;
	if (type == DISCOVER || type == DECLINE)
		assert_int_equal(load_be32(frame + 26), 0); /* from no address */
	if (type == DECLINE) {
		assert_int_equal(load_be32(m + 12), 0);
		assert_int_equal(load_be32(option(m, len, 54)), WORLD_A_IP);
		assert_null(option(m, len, 55));
		l->declined = load_be32(option(m, len, 50));
	}
	if (type == REQUEST)
		l->request_ns = l->w.now_ns;
	if (!l->silent && type == DISCOVER)
		answer(l, m, OFFER);
	if (!l->silent && type == REQUEST && l->w.now_ns >= l->slow_ns)
		answer(l, m, ACK);
}

static void arp_say(struct lab *l, uint16_t op, uint32_t sender, uint32_t target)
{
	uint8_t f[42] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 9, 8, 6};
	store_be32(f + 14, 0x00010800);
	store_be32(f + 18, 0x06040000u | op);
	memcpy(f + 22, f + 6, 6);
	store_be32(f + 28, sender);
	store_be32(f + 38, target);
	world_inject(&l->w, 1, f, sizeof f);
}

static bool record(struct world *w, uint32_t from, uint8_t *b, uint32_t len)
{
	struct lab *l = w->cookie;
	assert_int_equal(from, 1);
	if (load_be16(b + 12) == 0x0806) {
		uint32_t sender = load_be32(b + 28), target = load_be32(b + 38);
		l->probes += sender == 0;
		l->claims += sender == target;
		if (sender == 0)
			l->last_probe = target;
		if (sender && target == WORLD_A_IP)
			arp_say(l, 2, target, sender);
		if (target >= l->taken_from && target <= l->taken_to && sender != target)
			arp_say(l, 2, target, sender);
	} else if (b[23] == 17 && load_be16(b + 36) == 67) {
		serve(l, b, b + 42, len - 42);
	}
	return false;
}

static void lab_start(struct lab *l, uint64_t seed)
{
	memset(l, 0, sizeof *l);
	world_init(&l->w, seed);
	l->w.filter = record;
	l->w.cookie = l;
	l->lease_s = 1000;
	l->taken_from = UINT32_MAX;
	struct net_config c = world_config(&l->w, 1);
	c.address = c.mask = 0;
	world_start(&l->w, 1, &c);
	l->net = l->w.station[1].net;
}

static void run(struct lab *l, uint64_t ns)
{
	world_run(&l->w, l->w.now_ns + ns, NULL);
	net_advance(l->net, l->w.now_ns);
}

static void lab_stop(struct lab *l)
{
	l->silent = true;
	run(l, 20 * SECOND);
	assert_int_equal(net_usage(l->net).tx_frames, 0);
	assert_int_equal(l->w.station[1].buffers_out, 0);
	world_deinit(&l->w);
}

static void an_address_is_probed_before_it_is_used_but_not_for_long(void **state)
{
	(void)state;
	struct lab l;
	lab_start(&l, 1);
	run(&l, 60 * MS);
	assert_int_equal(l.count[REQUEST], 1);
	assert_int_equal(net_counters(l.net)->dhcp_acks, 1);
	assert_int_equal(net_ipv4(l.net).state, NET_IPV4_NONE);
	assert_int_equal(l.probes, 2);
	assert_int_equal(l.last_probe, LEASED);
	assert_int_equal(l.claims, 0);
	run(&l, 40 * MS);
	assert_int_equal(net_ipv4(l.net).state, NET_IPV4_BOUND);
	assert_int_equal(net_ipv4(l.net).address, LEASED);
	assert_int_equal(l.claims, 1);
	run(&l, 5 * SECOND);
	assert_int_equal(l.claims, 2);
	assert_int_equal(l.probes, 2);
	lab_stop(&l);
}

static void a_slow_server_finds_the_probes_done(void **state)
{
	(void)state;
	struct lab l;
	lab_start(&l, 2);
	l.slow_ns = l.w.now_ns + 2 * SECOND;
	run(&l, 2 * SECOND);
	assert_int_equal(net_ipv4(l.net).state, NET_IPV4_NONE);
	run(&l, 4 * SECOND);
	assert_int_equal(net_ipv4(l.net).state, NET_IPV4_BOUND);
	lab_stop(&l);
}

static void a_taken_address_is_declined_and_another_is_asked_for_later(void **state)
{
	(void)state;
	struct lab l;
	lab_start(&l, 3);
	l.taken_from = l.taken_to = LEASED;
	run(&l, SECOND);
	assert_int_equal(l.count[DECLINE], 1);
	assert_int_equal(l.declined, LEASED);
	assert_int_equal(net_ipv4(l.net).state, NET_IPV4_NONE);
	assert_int_equal(net_counters(l.net)->arp_conflicts, 1);
	assert_int_equal(net_counters(l.net)->dhcp_declines, 1);
	assert_int_equal(l.claims, 0);
	run(&l, 8 * SECOND);
	assert_int_equal(l.count[DISCOVER], 1); /* ten seconds of patience */
	l.taken_from = UINT32_MAX;
	run(&l, 3 * SECOND);
	assert_int_equal(net_ipv4(l.net).state, NET_IPV4_BOUND);
	lab_stop(&l);
}

static void a_conflict_right_after_binding_is_ours_to_yield_a_later_one_is_not(void **state)
{
	(void)state;
	struct lab l;
	lab_start(&l, 4);
	run(&l, SECOND);
	assert_int_equal(net_ipv4(l.net).state, NET_IPV4_BOUND);
	arp_say(&l, 2, LEASED, LEASED);
	assert_int_equal(net_ipv4(l.net).state, NET_IPV4_NONE);
	run(&l, SECOND);
	assert_int_equal(l.count[DECLINE], 1);
	run(&l, 40 * SECOND);
	assert_int_equal(net_ipv4(l.net).state, NET_IPV4_BOUND);
	uint32_t claims = l.claims;
	arp_say(&l, 2, LEASED, LEASED);
	arp_say(&l, 2, LEASED, LEASED);
	run(&l, SECOND);
	assert_int_equal(net_ipv4(l.net).state, NET_IPV4_BOUND);
	assert_int_equal(l.claims, claims + 1);
	lab_stop(&l);
}

static void two_that_probe_for_one_address_both_leave_it(void **state)
{
	(void)state;
	struct lab l;
	lab_start(&l, 5);
	run(&l, 20 * MS);
	arp_say(&l, 1, 0, LEASED); /* a probe of another's */
	run(&l, SECOND);
	assert_int_equal(l.count[DECLINE], 1);
	assert_int_equal(net_ipv4(l.net).state, NET_IPV4_NONE);
	lab_stop(&l);
}

static void options_go_on_where_the_server_says(void **state)
{
	(void)state;
	static const uint8_t extra[] = {26, 2, 0x05, 0x78, /* MTU 1400 */
		6, 8, 10, 0, 0, 3, 10, 0, 0, 4, 0, 0 /* two name servers, and padding */};
	for (uint32_t overload = 0; overload < 2; overload++) {
		struct lab l;
		lab_start(&l, 6);
		memcpy(l.extra, extra, sizeof extra);
		l.extra_len = overload ? 8 : sizeof extra; /* cut in two: 4 and 4 */
		l.overload = overload;
		if (overload)
			memcpy(l.extra + 4, "\6\2\1\1", 4); /* too short for an address: nothing */
		run(&l, SECOND);
		assert_int_equal(net_ipv4(l.net).state, NET_IPV4_BOUND);
		assert_int_equal(net_ipv4(l.net).dns[1], overload ? 0 : 0x0a000004);
		struct udp_socket s = {.port = 0};
		static uint8_t bytes[1400];
		struct udp_datagram d = {.segment = {slice_of(bytes, 1400 - 28 + 1)}, .count = 1};
		struct net_endpoint to = {net_address_v4(WORLD_A_IP), 9};
		assert_false(failed(udp_bind(l.net, &s)));
		assert_true(failed(udp_send(&s, &to, &d))); /* one byte more than the MTU of option 26 */
		udp_unbind(&s);
		lab_stop(&l);
	}
}

static void a_classless_default_route_comes_before_the_router_option(void **state)
{
	(void)state;
	static const uint8_t extra[] = {121, 14, 24, 192, 168, 7, 10, 0, 0, 9, 0, 10, 0, 0, 8, 0};
	struct lab l;
	lab_start(&l, 7);
	memcpy(l.extra, extra, sizeof extra);
	l.extra[1] = 13;
	l.extra_len = 15;
	run(&l, SECOND);
	assert_int_equal(net_ipv4(l.net).gateway, 0x0a000008);
	lab_stop(&l);
	/* Cut routes, and none that is the default: there is no router then (RFC 3442). */
	for (uint8_t len = 1; len < 13; len++) {
		lab_start(&l, 8);
		memcpy(l.extra, extra, sizeof extra);
		l.extra[1] = len;
		l.extra_len = 2u + len;
		run(&l, SECOND);
		assert_int_equal(net_ipv4(l.net).state, NET_IPV4_BOUND);
		assert_int_equal(net_ipv4(l.net).gateway, 0);
		lab_stop(&l);
	}
}

static void renewals_are_spread(void **state)
{
	(void)state;
	uint64_t first = UINT64_MAX, last = 0;
	for (uint64_t seed = 10; seed < 30; seed++) {
		struct lab l;
		lab_start(&l, seed);
		uint64_t start = l.w.now_ns;
		run(&l, SECOND);
		run(&l, 505 * SECOND);
		assert_int_equal(l.count[REQUEST], 2);
		uint64_t at = l.request_ns - start;
		assert_true(at >= 474 * SECOND && at <= 501 * SECOND);
		first = at < first ? at : first;
		last = at > last ? at : last;
		lab_stop(&l);
	}
	assert_true(last - first > 5 * SECOND);
}

static void a_lease_without_a_mask_has_that_of_its_class(void **state)
{
	(void)state;
	struct lab l;
	lab_start(&l, 41);
	l.no_mask = true;
	run(&l, 5 * SECOND);
	assert_int_equal(net_ipv4(l.net).state, NET_IPV4_BOUND);
	assert_int_equal(net_ipv4(l.net).mask, 0xff000000);
	lab_stop(&l);
}

static void without_a_server_a_link_local_address_is_used_until_one_answers(void **state)
{
	(void)state;
	struct lab l;
	lab_start(&l, 40);
	l.silent = true;
	run(&l, 8 * SECOND);
	assert_int_equal(net_ipv4(l.net).state, NET_IPV4_NONE);
	run(&l, 12 * SECOND);
	struct net_ipv4 ip = net_ipv4(l.net);
	assert_int_equal(ip.state, NET_IPV4_LINK_LOCAL);
	assert_true(ip.address >= 0xa9fe0100 && ip.address < 0xa9feff00);
	assert_int_equal(ip.mask, 0xffff0000);
	assert_int_equal(ip.gateway, 0);
	assert_int_equal(l.probes, 3);
	assert_int_equal(l.last_probe, ip.address);
	assert_true(l.claims >= 1);
	uint32_t asked = l.count[DISCOVER];
	run(&l, 100 * SECOND);
	assert_true(l.count[DISCOVER] > asked); /* it goes on */
	assert_int_equal(net_ipv4(l.net).address, ip.address);
	l.silent = false;
	run(&l, 70 * SECOND);
	assert_int_equal(net_ipv4(l.net).state, NET_IPV4_BOUND);
	assert_int_equal(net_ipv4(l.net).address, LEASED);
	lab_stop(&l);
	uint32_t before = ip.address; /* the same at the next start */
	lab_start(&l, 41);
	l.silent = true;
	run(&l, 30 * SECOND);
	assert_int_equal(net_ipv4(l.net).address, before);
	lab_stop(&l);
}

static void link_local_addresses_that_others_have_are_left_to_them(void **state)
{
	(void)state;
	struct lab l;
	lab_start(&l, 42);
	l.silent = true;
	l.taken_from = 0xa9fe0000; /* everybody has everything */
	l.taken_to = 0xa9feffff;
	run(&l, 600 * SECOND);
	assert_int_equal(net_ipv4(l.net).state, NET_IPV4_NONE);
	assert_true(l.probes >= 10 && l.probes <= 12); /* it gives up trying */
	lab_stop(&l);
	lab_start(&l, 43);
	l.silent = true;
	run(&l, 40 * SECOND);
	uint32_t first = net_ipv4(l.net).address, claims = l.claims;
	arp_say(&l, 2, first, first);
	run(&l, SECOND);
	assert_int_equal(l.claims, claims + 1); /* defended once */
	assert_int_equal(net_ipv4(l.net).address, first);
	arp_say(&l, 2, first, first);
	run(&l, 10 * SECOND);
	assert_int_equal(net_ipv4(l.net).state, NET_IPV4_LINK_LOCAL);
	assert_int_not_equal(net_ipv4(l.net).address, first);
	lab_stop(&l);
}

static void sources_that_no_host_can_have_are_refused(void **state)
{
	(void)state;
	static const uint32_t martians[] = {0, 1, 0x00ffffff, 0x7f000001, 0x7fffffff, 0xe0000001, 0xefffffff, 0xf0000001,
		0xfffffffe, 0xffffffff, 0x0a0000ff, 0x0a000000, LEASED};
	struct lab l;
	lab_start(&l, 50);
	run(&l, SECOND);
	for (uint32_t i = 0; i < ARRAY_LEN(martians); i++) {
		uint8_t f[42] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45};
		store_be16(f + 16, 28);
		f[22] = 64;
		f[23] = 17;
		store_be32(f + 26, martians[i]);
		store_be32(f + 30, LEASED);
		store_be16(f + 38, 8);
		store_le16(f + 24, (uint16_t)~checksum_fold(checksum_ip4_header(f + 14)));
		world_inject(&l.w, 1, f, sizeof f);
		assert_int_equal(net_counters(l.net)->ip_in_addr_errors, i + 1);
	}
	assert_int_equal(net_counters(l.net)->udp_no_ports, 0);
	lab_stop(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_is_probed_before_it_is_used_but_not_for_long),
		cmocka_unit_test(a_slow_server_finds_the_probes_done),
		cmocka_unit_test(a_taken_address_is_declined_and_another_is_asked_for_later),
		cmocka_unit_test(a_conflict_right_after_binding_is_ours_to_yield_a_later_one_is_not),
		cmocka_unit_test(two_that_probe_for_one_address_both_leave_it),
		cmocka_unit_test(options_go_on_where_the_server_says),
		cmocka_unit_test(a_classless_default_route_comes_before_the_router_option),
		cmocka_unit_test(renewals_are_spread),
		cmocka_unit_test(a_lease_without_a_mask_has_that_of_its_class),
		cmocka_unit_test(without_a_server_a_link_local_address_is_used_until_one_answers),
		cmocka_unit_test(link_local_addresses_that_others_have_are_left_to_them),
		cmocka_unit_test(sources_that_no_host_can_have_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
