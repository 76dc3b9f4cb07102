/* Neighbour and router discovery on the wire: what is answered, what is believed, what is refused. */
#include <net/net.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include "ip6.h"
#include "support/link6.h"

#define SECOND UINT64_C(1000000000)
#define MS UINT64_C(1000000)

enum { RS = 133, RA = 134, NS = 135, NA = 136, REDIRECT = 137 };
enum { ROUTER = 0x80, SOLICITED = 0x40, OVERRIDE = 0x20 };

static const uint8_t other_mac[6] = {2, 0, 0, 0, 0, 1}, group_mac[6] = {3, 0, 0, 0, 0, 1};

/* 2001:db8::5/64, checked and in use; the router, if any, is by advertisement. */
static void start(struct link6 *l, uint64_t seed)
{
	struct net_config c = link6_config(l, seed);
	c.ip6 = NET_IP6_STATIC;
	c.ip6_address = link6_address("2001:db8::5");
	c.ip6_prefix_len = 64;
	link6_start(l, &c);
	link6_run(l, 2 * SECOND);
}

static void say(struct link6 *l, const char *source, const char *destination, uint8_t type, uint8_t flags,
	const char *target, uint8_t option, const uint8_t mac[6])
{
	uint8_t m[32];
	struct net_address a = link6_address(target);
	uint32_t len = link6_neighbor(m, type, flags, &a, option, mac);
	link6_say(l, source, destination, 255, false, m, len);
}

static struct neighbor *neighbor_of(struct link6 *l, const char *text)
{
	struct net_address a = link6_address(text);
	return neighbor_find(l->net, &a);
}

static void who_asks_for_us_is_answered_and_known(void **state)
{
	(void)state;
	struct link6 l;
	start(&l, 1);
	say(&l, "2001:db8::9", "ff02::1:ff00:5", NS, 0, "2001:db8::5", 1, other_mac);
	link6_run(&l, MS);
	const struct link6_message *m = link6_last(&l, NA);
	struct net_address asker = link6_address("2001:db8::9"), own = link6_address("2001:db8::5");
	assert_true(net_address_equal(&m->destination, &asker));
	assert_true(net_address_equal(&m->source, &own));
	assert_int_equal(m->icmp[4], SOLICITED | OVERRIDE);
	assert_int_equal(m->hop_limit, 255);
	assert_memory_equal(m->icmp + 8, &own, 16);
	assert_int_equal(m->icmp[24], 2);
	assert_memory_equal(m->icmp + 26, "\2\0\0\0\0\2", 6);
	assert_memory_equal(m->to_mac, other_mac, 6);
	struct neighbor *n = neighbor_of(&l, "2001:db8::9");
	assert_non_null(n);
	assert_int_equal(n->state, NEIGHBOR_STALE); /* that it hears us is not shown */
	/* For another address, or from the link but not for us: silence. */
	uint32_t before = l.count;
	say(&l, "2001:db8::9", "ff02::1:ff00:6", NS, 0, "2001:db8::6", 1, other_mac);
	say(&l, "2001:db8::9", "2001:db8::5", NS, 0, "2001:db8::6", 1, other_mac);
	link6_run(&l, MS);
	assert_int_equal(l.count, before);
	link6_stop(&l);
}

static void a_probe_without_an_ethernet_address_is_answered_from_what_is_known(void **state)
{
	(void)state;
	struct link6 l;
	start(&l, 2);
	say(&l, "2001:db8::9", "ff02::1:ff00:5", NS, 0, "2001:db8::5", 1, other_mac);
	link6_run(&l, MS);
	uint32_t before = link6_heard(&l, NA, 0);
	say(&l, "2001:db8::9", "2001:db8::5", NS, 0, "2001:db8::5", 0, NULL);
	link6_run(&l, MS);
	assert_int_equal(link6_heard(&l, NA, 0), before + 1);
	assert_memory_equal(link6_last(&l, NA)->to_mac, other_mac, 6);
	/* Nobody knows where that one is: it is asked for, and answered then. */
	say(&l, "2001:db8::a", "2001:db8::5", NS, 0, "2001:db8::5", 0, NULL);
	link6_run(&l, MS);
	assert_int_equal(link6_heard(&l, NA, 0), before + 1);
	say(&l, "2001:db8::a", "2001:db8::5", NA, SOLICITED | OVERRIDE, "2001:db8::a", 2, other_mac);
	link6_run(&l, MS);
	assert_int_equal(link6_heard(&l, NA, 0), before + 2);
	link6_stop(&l);
}

static void who_is_off_the_link_is_answered_and_not_remembered(void **state)
{
	(void)state;
	struct link6 l;
	start(&l, 3);
	uint32_t before = link6_heard(&l, NA, 0);
	say(&l, "2001:db8:7::9", "ff02::1:ff00:5", NS, 0, "2001:db8::5", 1, other_mac);
	link6_run(&l, MS);
	assert_int_equal(link6_heard(&l, NA, 0), before + 1);
	assert_null(neighbor_of(&l, "2001:db8:7::9"));
	link6_stop(&l);
}

/* RFC 4861, 7.1.1, 7.1.2, 6.1.2, 8.1 */
static void what_is_malformed_is_counted_and_does_nothing(void **state)
{
	(void)state;
	struct link6 l;
	start(&l, 4);
	uint32_t before = l.count, bad = 0;
	uint8_t m[64];
	struct net_address own = link6_address("2001:db8::5"), group = link6_address("ff02::1:ff00:5");
	const struct net_counters *n = net_counters(l.net);

	uint32_t len = link6_neighbor(m, NS, 0, &own, 1, other_mac);
	link6_say(&l, "2001:db8::9", "2001:db8::5", 254, false, m, len); /* came through a router */
	assert_int_equal(n->ndp_in_errors, ++bad);
	m[1] = 1;
	link6_say(&l, "2001:db8::9", "2001:db8::5", 255, false, m, len); /* code */
	assert_int_equal(n->ndp_in_errors, ++bad);
	m[1] = 0;
	link6_say(&l, "2001:db8::9", "2001:db8::5", 255, false, m, 23);
	assert_int_equal(n->ndp_in_errors, ++bad);
	link6_say(&l, "2001:db8::9", "2001:db8::5", 255, false, m, 30); /* an option that is cut */
	assert_int_equal(n->ndp_in_errors, ++bad);
	m[25] = 0;
	link6_say(&l, "2001:db8::9", "2001:db8::5", 255, false, m, len); /* one of no length */
	assert_int_equal(n->ndp_in_errors, ++bad);
	m[25] = 2;
	link6_say(&l, "2001:db8::9", "2001:db8::5", 255, false, m, len); /* one that is too long */
	assert_int_equal(n->ndp_in_errors, ++bad);
	say(&l, "2001:db8::9", "2001:db8::5", NS, 0, "ff02::1:ff00:5", 1, other_mac); /* a group */
	assert_int_equal(n->ndp_in_errors, ++bad);
	say(&l, "::", "ff02::1", NS, 0, "2001:db8::5", 0, NULL); /* a check, but not to the group */
	assert_int_equal(n->ndp_in_errors, ++bad);
	say(&l, "::", "ff02::1:ff00:5", NS, 0, "2001:db8::5", 1, other_mac); /* from nobody, with a place */
	assert_int_equal(n->ndp_in_errors, ++bad);
	len = link6_neighbor(m, NA, SOLICITED, &group, 2, other_mac);
	link6_say(&l, "2001:db8::9", "2001:db8::5", 255, false, m, len);
	assert_int_equal(n->ndp_in_errors, ++bad);
	say(&l, "2001:db8::9", "ff02::1", NA, SOLICITED, "2001:db8::9", 2, other_mac); /* an answer to all */
	assert_int_equal(n->ndp_in_errors, ++bad);
	struct link6_advertisement ra;
	link6_ra(&ra, 1800);
	link6_say(&l, "2001:db8::1", "ff02::1", 255, false, ra.bytes, ra.len); /* not link-local */
	assert_int_equal(n->ndp_in_errors, ++bad);
	link6_say(&l, "fe80::1", "ff02::1", 255, false, ra.bytes, 15);
	assert_int_equal(n->ndp_in_errors, ++bad);
	memset(m, 0, sizeof m);
	m[0] = REDIRECT;
	link6_say(&l, "fe80::1", "2001:db8::5", 255, false, m, 39);
	assert_int_equal(n->ndp_in_errors, ++bad);
	link6_run(&l, MS);
	assert_int_equal(l.count, before);
	/* Ethernet addresses of groups are not taken. */
	say(&l, "2001:db8::9", "ff02::1:ff00:5", NS, 0, "2001:db8::5", 1, group_mac);
	struct neighbor *e = neighbor_of(&l, "2001:db8::9");
	assert_true(!e || memcmp(e->mac, group_mac, 6) != 0);
	struct net_ipv6 now;
	net_ipv6(l.net, &now);
	assert_true(net_address_is_unspecified(&now.router));
	link6_stop(&l);
}

static void redirects_are_counted_and_not_followed(void **state)
{
	(void)state;
	struct link6 l;
	start(&l, 5);
	struct link6_advertisement ra;
	link6_ra(&ra, 1800);
	link6_ra_say(&l, &ra);
	uint8_t m[40] = {REDIRECT};
	struct net_address target = link6_address("fe80::bad"), to = link6_address("2a00::1"), hop;
	memcpy(m + 8, &target, 16);
	memcpy(m + 24, &to, 16);
	link6_say(&l, "fe80::1", "2001:db8::5", 255, false, m, sizeof m);
	assert_int_equal(net_counters(l.net)->ndp_in_redirects, 1);
	assert_true(ip6_route(l.net, &to, &hop));
	struct net_address router = link6_address("fe80::1");
	assert_true(net_address_equal(&hop, &router));
	link6_stop(&l);
}

static void a_router_is_used_while_it_lives(void **state)
{
	(void)state;
	struct link6 l;
	struct net_ipv6 now;
	start(&l, 6);
	struct net_address far = link6_address("2a00::1"), hop;
	assert_false(ip6_route(l.net, &far, &hop));
	struct link6_advertisement ra;
	link6_ra(&ra, 30);
	link6_ra_mac(&ra);
	link6_ra_say(&l, &ra);
	assert_true(ip6_route(l.net, &far, &hop));
	assert_non_null(neighbor_of(&l, "fe80::1")); /* need not be asked for */
	link6_run(&l, 29 * SECOND);
	assert_true(ip6_route(l.net, &far, &hop));
	uint32_t asked = link6_heard(&l, RS, 0), generation = net_ipv6_generation(l.net);
	link6_run(&l, 2 * SECOND);
	assert_false(ip6_route(l.net, &far, &hop));
	assert_true(net_ipv6_generation(l.net) > generation);
	link6_run(&l, SECOND);
	assert_int_equal(link6_heard(&l, RS, 0), asked + 1); /* another one is sought */
	link6_ra(&ra, 1800);
	link6_ra_say(&l, &ra);
	link6_ra(&ra, 0); /* it says goodbye */
	link6_ra_say(&l, &ra);
	net_ipv6(l.net, &now);
	assert_true(net_address_is_unspecified(&now.router));
	link6_stop(&l);
}

static void preferred_routers_come_first_and_silent_ones_last(void **state)
{
	(void)state;
	struct link6 l;
	start(&l, 7);
	struct net_address far = link6_address("2a00::1"), low = link6_address("fe80::a"),
		high = link6_address("fe80::b"), hop;
	struct link6_advertisement ra;
	link6_ra(&ra, 1800);
	ra.bytes[5] = 3 << 3; /* low */
	link6_say(&l, "fe80::a", "ff02::1", 255, false, ra.bytes, ra.len);
	assert_true(ip6_route(l.net, &far, &hop) && net_address_equal(&hop, &low));
	ra.bytes[5] = 1 << 3; /* high */
	link6_say(&l, "fe80::b", "ff02::1", 255, false, ra.bytes, ra.len);
	assert_true(ip6_route(l.net, &far, &hop) && net_address_equal(&hop, &high));
	assert_non_null(neighbor_lookup(l.net, &high));
	link6_run(&l, 4 * SECOND); /* it does not answer */
	assert_true(ip6_route(l.net, &far, &hop) && net_address_equal(&hop, &low));
	assert_non_null(neighbor_lookup(l.net, &low));
	link6_run(&l, 4 * SECOND); /* nor does the other: both are tried in turn */
	assert_true(ip6_route(l.net, &far, &hop) && net_address_equal(&hop, &high));
	link6_say(&l, "fe80::a", "ff02::1", 255, false, ra.bytes, ra.len);
	assert_true(ip6_route(l.net, &far, &hop) && net_address_equal(&hop, &low)); /* it lives */
	/* One that says it is no router any more is none. */
	assert_non_null(neighbor_lookup(l.net, &low));
	say(&l, "fe80::a", "ff02::1", NA, OVERRIDE, "fe80::a", 2, other_mac);
	assert_true(ip6_route(l.net, &far, &hop) && net_address_equal(&hop, &high));
	link6_stop(&l);
}

static void routers_are_sought_less_and_less_often(void **state)
{
	(void)state;
	struct link6 l;
	struct net_config c = link6_config(&l, 8);
	link6_start(&l, &c);
	link6_run(&l, 3600 * SECOND);
	uint64_t last = 0, gap = 0;
	uint32_t n = 0;
	for (uint32_t i = 0; i < l.count; i++) {
		if (l.log[i].icmp[0] != RS)
			continue;
		if (n) {
			uint64_t now = l.log[i].at_ns - last;
			assert_true(n > 1 ? now > gap * 3 / 2 && now < gap * 5 / 2 : now > 3600 * MS && now < 4500 * MS);
			gap = now;
		}
		last = l.log[i].at_ns;
		n++;
	}
	assert_true(n >= 9 && n <= 12); /* 0, 4, 12, 28, ... 2044 s, and a little */
	link6_run(&l, 20 * 3600 * SECOND);
	assert_true(link6_heard(&l, RS, 0) > n + 15);
	assert_true(link6_heard(&l, RS, 0) < n + 25); /* one an hour */
	struct link6_advertisement ra;
	link6_ra(&ra, 9000);
	link6_ra_say(&l, &ra);
	n = link6_heard(&l, RS, 0);
	link6_run(&l, 8000 * SECOND);
	assert_int_equal(link6_heard(&l, RS, 0), n);
	link6_stop(&l);
}

static void what_a_router_says_of_the_link_is_taken_over_within_reason(void **state)
{
	(void)state;
	struct link6 l;
	struct net_ipv6 now;
	start(&l, 9);
	struct link6_advertisement ra;
	link6_ra(&ra, 1800);
	ra.bytes[4] = 100;
	store_be32(ra.bytes + 8, 10000);
	store_be32(ra.bytes + 12, 2000);
	link6_ra_mtu(&ra, 1400);
	link6_ra_dns(&ra, "2001:db8::53", 600);
	link6_ra_dns(&ra, "fe80::53", 600);
	link6_ra_dns(&ra, "ff02::53", 600);
	link6_ra_say(&l, &ra);
	assert_int_equal(l.net->ip6.hop_limit, 100);
	assert_true(l.net->ip6.reachable_ns >= 5 * SECOND && l.net->ip6.reachable_ns <= 15 * SECOND);
	assert_int_equal(l.net->ip6.retrans_ns, 2 * SECOND);
	assert_int_equal(ip6_link_mtu(l.net), 1400);
	net_ipv6(l.net, &now);
	assert_int_equal(now.mtu, 1400);
	assert_int_equal(now.dns_count, 2);
	struct net_address dns = link6_address("2001:db8::53");
	assert_true(net_address_equal(&now.dns[0], &dns));
	static const uint32_t bad_mtu[] = {0, 1279, 1501, UINT32_MAX};
	for (uint32_t i = 0; i < ARRAY_LEN(bad_mtu); i++) {
		link6_ra(&ra, 1800);
		ra.bytes[4] = 5; /* packets would not go far */
		store_be32(ra.bytes + 8, UINT32_MAX);
		store_be32(ra.bytes + 12, i & 1 ? 1 : UINT32_MAX);
		link6_ra_mtu(&ra, bad_mtu[i]);
		link6_ra_say(&l, &ra);
	}
	assert_int_equal(l.net->ip6.hop_limit, 100);
	assert_int_equal(l.net->ip6.retrans_ns, 2 * SECOND);
	assert_true(l.net->ip6.reachable_ns <= 15 * SECOND);
	assert_int_equal(ip6_link_mtu(l.net), 1400);
	link6_run(&l, 601 * SECOND);
	net_ipv6(l.net, &now);
	assert_int_equal(now.dns_count, 0);
	link6_stop(&l);
}

static void a_prefix_is_on_the_link_only_when_told_so(void **state)
{
	(void)state;
	struct link6 l;
	start(&l, 10);
	struct net_address near = link6_address("2001:db8:1::9"), far = link6_address("2001:db8:2::9"), hop;
	struct link6_advertisement ra;
	link6_ra(&ra, 1800);
	link6_ra_prefix(&ra, "2001:db8:1::", 64, 0x80, 100, 50);
	link6_ra_prefix(&ra, "2001:db8:2::", 64, 0x40, 100, 50);
	link6_ra_say(&l, &ra);
	assert_true(ip6_route(l.net, &near, &hop) && net_address_equal(&hop, &near));
	assert_true(ip6_route(l.net, &far, &hop) && !net_address_equal(&hop, &far));
	link6_run(&l, 101 * SECOND);
	assert_true(ip6_route(l.net, &near, &hop) && !net_address_equal(&hop, &near));
	link6_stop(&l);
}

static void floods_of_routers_and_servers_push_nobody_out(void **state)
{
	(void)state;
	struct link6 l;
	struct net_ipv6 now;
	start(&l, 11);
	struct link6_advertisement ra;
	link6_ra(&ra, 1800);
	link6_ra_dns(&ra, "2001:db8::53", 60000);
	link6_ra_prefix(&ra, "2001:db8:1::", 64, 0x80, 60000, 60000);
	link6_ra_say(&l, &ra);
	for (uint32_t i = 0; i < 500; i++) {
		char router[32] = "fe80::ffff:000", server[32] = "2001:db8::aaaa:000", prefix[32] = "2001:db8:2000::";
		for (uint32_t k = 0, n = i; k < 3; k++, n >>= 4) {
			router[13 - k] = server[17 - k] = "0123456789abcdef"[n & 15];
			prefix[12 - k] = router[13 - k];
		}
		link6_ra(&ra, 1800);
		link6_ra_dns(&ra, server, 60000);
		link6_ra_prefix(&ra, prefix, 64, 0x80, 60000, 60000);
		link6_say(&l, router, "ff02::1", 255, false, ra.bytes, ra.len);
	}
	net_ipv6(l.net, &now);
	struct net_address router = link6_address("fe80::1"), dns = link6_address("2001:db8::53"), hop,
		near = link6_address("2001:db8:1::9");
	assert_true(net_address_equal(&now.router, &router));
	assert_true(net_address_equal(&now.dns[0], &dns));
	assert_true(ip6_route(l.net, &near, &hop) && net_address_equal(&hop, &near));
	assert_true(net_counters(l.net)->ndp_table_full > 1400);
	link6_stop(&l);
}

static void a_message_of_any_bytes_does_no_harm(void **state)
{
	(void)state;
	struct link6 l;
	start(&l, 12);
	for (uint32_t i = 0; i < 20000; i++) {
		uint8_t m[120];
		for (uint32_t k = 0; k < sizeof m; k += 8)
			store_le64(m + k, world_random(&l.w));
		m[0] = (uint8_t)(130 + world_below(&l.w, 14));
		m[1] = 0;
		m[25] = (uint8_t)world_below(&l.w, 5);
		m[17] = (uint8_t)world_below(&l.w, 5);
		link6_say(&l, i & 1 ? "fe80::1" : "2001:db8::9", i & 2 ? "ff02::1" : "2001:db8::5", 255, false, m,
			8 + world_below(&l.w, 112));
		if (l.count > LINK6_LOG_MAX / 2)
			l.count = 0;
	}
	link6_stop(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_asks_for_us_is_answered_and_known),
		cmocka_unit_test(a_probe_without_an_ethernet_address_is_answered_from_what_is_known),
		cmocka_unit_test(who_is_off_the_link_is_answered_and_not_remembered),
		cmocka_unit_test(what_is_malformed_is_counted_and_does_nothing),
		cmocka_unit_test(redirects_are_counted_and_not_followed),
		cmocka_unit_test(a_router_is_used_while_it_lives),
		cmocka_unit_test(preferred_routers_come_first_and_silent_ones_last),
		cmocka_unit_test(routers_are_sought_less_and_less_often),
		cmocka_unit_test(what_a_router_says_of_the_link_is_taken_over_within_reason),
		cmocka_unit_test(a_prefix_is_on_the_link_only_when_told_so),
		cmocka_unit_test(floods_of_routers_and_servers_push_nobody_out),
		cmocka_unit_test(a_message_of_any_bytes_does_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
