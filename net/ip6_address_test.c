/* IPv6 addresses: made, checked for duplicates, aged, chosen as sources. */
#include <base/cursor.h>
#include <net/net.h>

#include <base/cursor.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include "ip6.h"
#include "support/link6.h"

#define SECOND UINT64_C(1000000000)
#define MS UINT64_C(1000000)

enum { RS = 133, NS = 135, NA = 136, REPORT = 143 };
enum { ON_LINK = 0x80, AUTONOMOUS = 0x40, BOTH = 0xc0 };

static const uint8_t other_mac[6] = {2, 0, 0, 0, 0, 1};

/* An advertisement of 2001:db8:1::/64. */
static void advertise(struct link6 *l, uint32_t valid_s, uint32_t preferred_s)
{
	struct link6_advertisement ra;
	link6_ra(&ra, 1800);
	link6_ra_mac(&ra);
	link6_ra_prefix(&ra, "2001:db8:1::", 64, BOTH, valid_s, preferred_s);
	link6_ra_say(l, &ra);
}

static enum net_ipv6_state state_of(struct link6 *l, enum net_ipv6_origin origin)
{
	struct net_ipv6_address a;
	assert_true(link6_own(l, origin, 0, &a));
	return a.state;
}

static void is_checked_and_told_before_all_else(void **state)
{
	(void)state;
	struct link6 l;
	struct net_config c = link6_config(&l, 1);
	link6_start(&l, &c);
	struct net_ipv6_address own;
	assert_true(link6_own(&l, NET_IPV6_LINK_LOCAL, 0, &own));
	assert_int_equal(own.state, NET_IPV6_OPTIMISTIC);
	assert_int_equal(own.prefix_len, 64);
	assert_int_equal(load_be64(own.address.octet), UINT64_C(0xfe80000000000000));
	link6_run(&l, 900 * MS);
	/* The group, the question, the question for routers: at once, in that order. */
	assert_int_equal(l.log[0].icmp[0], REPORT);
	assert_int_equal(l.log[1].icmp[0], NS);
	assert_int_equal(l.log[2].icmp[0], RS);
	assert_int_equal(l.log[2].at_ns, 1000000000);
	struct net_address group = ip6_solicited_node(&own.address);
	assert_memory_equal(l.log[0].icmp + 12, &group, 16);
	assert_true(net_address_is_unspecified(&l.log[1].source));
	assert_true(net_address_equal(&l.log[1].destination, &group));
	assert_memory_equal(l.log[1].icmp + 8, &own.address, 16);
	assert_int_equal(l.log[1].hop_limit, 255);
	assert_int_equal(l.log[1].icmp[24], 14); /* a nonce, and no Ethernet address */
	assert_int_equal(l.log[1].len, 32);
	assert_int_equal(l.log[2].len, 8); /* from an optimistic address: without ours */
	assert_int_equal(link6_heard(&l, NA, 0), 0);
	uint32_t generation = net_ipv6_generation(l.net);
	link6_run(&l, 200 * MS);
	assert_int_equal(state_of(&l, NET_IPV6_LINK_LOCAL), NET_IPV6_PREFERRED);
	assert_true(net_ipv6_generation(l.net) > generation);
	assert_int_equal(link6_heard(&l, NA, 0), 1);
	assert_int_equal(link6_last(&l, NA)->icmp[4], 0x20);
	link6_stop(&l);
}

static void a_prefix_makes_an_address_at_once(void **state)
{
	(void)state;
	struct link6 l;
	struct net_config c = link6_config(&l, 2);
	link6_start(&l, &c);
	link6_run(&l, 10 * MS);
	advertise(&l, 7200 * 2, 3600);
	struct net_ipv6_address own;
	assert_true(link6_own(&l, NET_IPV6_ROUTER, 0, &own));
	assert_int_equal(load_be64(own.address.octet), UINT64_C(0x20010db800010000));
	assert_int_equal(own.state, NET_IPV6_OPTIMISTIC);
	assert_true(ip6_is_own(l.net, &own.address));
	link6_run(&l, 1100 * MS);
	assert_int_equal(state_of(&l, NET_IPV6_ROUTER), NET_IPV6_PREFERRED);
	advertise(&l, 7200 * 2, 3600); /* no second one */
	assert_false(link6_own(&l, NET_IPV6_ROUTER, 1, &own));
	struct net_ipv6 now;
	net_ipv6(l.net, &now);
	struct net_address router = link6_address("fe80::1");
	assert_true(net_address_equal(&now.router, &router));
	link6_stop(&l);
}

static void first_address(uint64_t seed, const char *secret, uint8_t mac, struct net_address *out)
{
	struct link6 l;
	struct net_ipv6_address own;
	struct net_config c = link6_config(&l, seed);
	memcpy(c.ip6_secret, secret, 32);
	c.mac[5] = mac;
	link6_start(&l, &c);
	advertise(&l, 9000, 9000);
	assert_true(link6_own(&l, NET_IPV6_ROUTER, 0, &own));
	*out = own.address;
	assert_true(link6_own(&l, NET_IPV6_LINK_LOCAL, 0, &own));
	assert_memory_not_equal(own.address.octet + 8, out->octet + 8, 8); /* another for each prefix */
	link6_stop(&l);
}

static void identifiers_are_stable_and_follow_secret_and_card(void **state)
{
	(void)state;
	struct net_address a, b;
	first_address(3, "a secret of thirty-two bytes....", 2, &a);
	first_address(4, "a secret of thirty-two bytes....", 2, &b);
	assert_memory_equal(&a, &b, 16);
	first_address(3, "b secret of thirty-two bytes....", 2, &b);
	assert_memory_not_equal(&a, &b, 16);
	first_address(3, "a secret of thirty-two bytes....", 3, &b);
	assert_memory_not_equal(&a, &b, 16);
	assert_memory_not_equal(a.octet + 8, "\0\0\0\xff\xfe", 5);
}

static void wrong_prefixes_make_no_address(void **state)
{
	(void)state;
	struct link6 l;
	struct link6_advertisement ra;
	struct net_ipv6_address own;
	struct net_config c = link6_config(&l, 5);
	link6_start(&l, &c);
	link6_ra(&ra, 1800);
	link6_ra_prefix(&ra, "2001:db8:1::", 63, BOTH, 9000, 9000);  /* not 64 bits */
	link6_ra_prefix(&ra, "2001:db8:2::", 64, BOTH, 9000, 9001);  /* preferred beyond valid */
	link6_ra_prefix(&ra, "2001:db8:3::", 64, BOTH, 0, 0);        /* over already */
	link6_ra_prefix(&ra, "2001:db8:4::", 64, ON_LINK, 9000, 9000); /* not autonomous */
	link6_ra_prefix(&ra, "fe80::", 64, BOTH, 9000, 9000);
	link6_ra_prefix(&ra, "ff02::", 64, BOTH, 9000, 9000);
	link6_ra_prefix(&ra, "::", 64, BOTH, 9000, 9000);
	link6_ra_say(&l, &ra);
	assert_false(link6_own(&l, NET_IPV6_ROUTER, 0, &own));
	link6_stop(&l);
}

/* RFC 4862, 5.5.3 e */
static void an_advertisement_cannot_cut_a_lifetime_below_two_hours(void **state)
{
	(void)state;
	struct link6 l;
	struct net_ipv6_address own;
	struct net_config c = link6_config(&l, 6);
	link6_start(&l, &c);
	advertise(&l, 86400, 86400);
	link6_run(&l, 2 * SECOND);
	advertise(&l, 1, 0); /* an attacker, or a router that goes */
	assert_int_equal(state_of(&l, NET_IPV6_ROUTER), NET_IPV6_DEPRECATED);
	link6_run(&l, 7199 * SECOND);
	assert_int_equal(state_of(&l, NET_IPV6_ROUTER), NET_IPV6_DEPRECATED);
	advertise(&l, 1, 1);
	link6_run(&l, 2 * SECOND);
	assert_false(link6_own(&l, NET_IPV6_ROUTER, 0, &own));
	advertise(&l, 1000, 1000); /* what began short may be made longer, and ends short */
	link6_run(&l, 500 * SECOND);
	advertise(&l, 1000, 1000);
	link6_run(&l, 900 * SECOND);
	assert_true(link6_own(&l, NET_IPV6_ROUTER, 0, &own));
	link6_run(&l, 101 * SECOND);
	assert_false(link6_own(&l, NET_IPV6_ROUTER, 0, &own));
	link6_stop(&l);
}

static void an_address_grows_old_and_goes(void **state)
{
	(void)state;
	struct link6 l;
	struct net_ipv6_address own;
	struct net_config c = link6_config(&l, 7);
	link6_start(&l, &c);
	advertise(&l, 7300, 100);
	link6_run(&l, 99 * SECOND);
	assert_int_equal(state_of(&l, NET_IPV6_ROUTER), NET_IPV6_PREFERRED);
	assert_true(link6_own(&l, NET_IPV6_ROUTER, 0, &own));
	link6_run(&l, 2 * SECOND);
	assert_int_equal(state_of(&l, NET_IPV6_ROUTER), NET_IPV6_DEPRECATED);
	struct net_address far = link6_address("2001:db8:9::9");
	assert_true(net_address_equal(ip6_source(l.net, &far), &own.address)); /* for want of a better one */
	uint32_t generation = net_ipv6_generation(l.net);
	link6_run(&l, 7200 * SECOND);
	assert_true(net_ipv6_generation(l.net) > generation);
	assert_false(link6_own(&l, NET_IPV6_ROUTER, 0, &own));
	assert_null(ip6_source(l.net, &far));
	assert_true(link6_heard(&l, REPORT, 0) > 0);
	link6_stop(&l);
}

/* Says that the address in the engine's question is taken. */
static void occupied(struct link6 *l, const struct link6_message *m)
{
	struct net_address target;
	uint8_t answer[32];
	memcpy(&target, m->icmp + 8, 16);
	if (m->icmp[0] != NS || !net_address_is_unspecified(&m->source) || target.octet[0] == 0xfe)
		return;
	uint8_t text[NET_ADDRESS_TEXT_MAX + 1] = {0};
	struct writer w = writer_of(text, NET_ADDRESS_TEXT_MAX);
	net_address_write(&w, &target);
	uint32_t len = link6_neighbor(answer, NA, 0x20, &target, 2, other_mac);
	link6_say(l, (const char *)text, "ff02::1", 255, false, answer, len);
}

static void a_taken_address_gives_way_to_others_and_at_last_to_none(void **state)
{
	(void)state;
	struct link6 l;
	struct net_ipv6_address first, own;
	struct net_config c = link6_config(&l, 8);
	link6_start(&l, &c);
	l.heard = occupied;
	advertise(&l, 90000, 90000);
	assert_true(link6_own(&l, NET_IPV6_ROUTER, 0, &first));
	link6_run(&l, 500 * MS);
	assert_int_equal(net_counters(l.net)->ndp_conflicts, 1);
	assert_false(ip6_is_own(l.net, &first.address));
	assert_true(link6_own(&l, NET_IPV6_ROUTER, 0, &own));
	assert_memory_not_equal(&own.address, &first.address, 16);
	assert_int_equal(own.state, NET_IPV6_TENTATIVE);
	link6_run(&l, 20 * SECOND);
	assert_int_equal(net_counters(l.net)->ndp_conflicts, 4);
	assert_int_equal(state_of(&l, NET_IPV6_ROUTER), NET_IPV6_DUPLICATE);
	assert_int_equal(state_of(&l, NET_IPV6_LINK_LOCAL), NET_IPV6_PREFERRED);
	advertise(&l, 90000, 90000); /* the same prefix again: no new try */
	assert_false(link6_own(&l, NET_IPV6_ROUTER, 1, &own));
	link6_stop(&l);
}

static void the_second_choice_is_taken_when_only_the_first_is_occupied(void **state)
{
	(void)state;
	struct link6 l;
	struct net_ipv6_address first, own;
	struct net_config c = link6_config(&l, 9);
	link6_start(&l, &c);
	l.heard = occupied;
	advertise(&l, 90000, 90000);
	assert_true(link6_own(&l, NET_IPV6_ROUTER, 0, &first));
	link6_run(&l, 500 * MS);
	l.heard = NULL;
	link6_run(&l, 3 * SECOND);
	assert_true(link6_own(&l, NET_IPV6_ROUTER, 0, &own));
	assert_int_equal(own.state, NET_IPV6_PREFERRED);
	assert_memory_not_equal(&own.address, &first.address, 16);
	link6_stop(&l);
}

static struct net_config static_config(struct link6 *l, uint64_t seed)
{
	struct net_config c = link6_config(l, seed);
	c.ip6 = NET_IP6_STATIC;
	c.ip6_address = link6_address("2001:db8::5");
	c.ip6_prefix_len = 64;
	c.ip6_gateway = link6_address("fe80::1");
	return c;
}

static void a_configured_address_is_used_when_it_has_been_checked(void **state)
{
	(void)state;
	struct link6 l;
	struct net_config c = static_config(&l, 10);
	link6_start(&l, &c);
	assert_int_equal(state_of(&l, NET_IPV6_CONFIGURED), NET_IPV6_TENTATIVE);
	assert_false(ip6_is_own(l.net, &c.ip6_address));
	link6_run(&l, 1100 * MS);
	assert_int_equal(state_of(&l, NET_IPV6_CONFIGURED), NET_IPV6_PREFERRED);
	assert_int_equal(link6_heard(&l, RS, 0), 0);
	struct net_ipv6_address own;
	advertise(&l, 9000, 9000); /* no advice is wanted */
	assert_false(link6_own(&l, NET_IPV6_ROUTER, 0, &own));
	struct net_address far = link6_address("2001:db8:9::9"), near = link6_address("2001:db8::77"), hop;
	assert_true(ip6_route(l.net, &far, &hop));
	assert_true(net_address_equal(&hop, &c.ip6_gateway));
	assert_true(ip6_route(l.net, &near, &hop));
	assert_true(net_address_equal(&hop, &near));
	link6_stop(&l);
}

static void a_configured_address_that_is_taken_is_not_used(void **state)
{
	(void)state;
	struct link6 l;
	struct net_config c = static_config(&l, 11);
	link6_start(&l, &c);
	l.heard = occupied;
	link6_run(&l, 3 * SECOND);
	assert_int_equal(state_of(&l, NET_IPV6_CONFIGURED), NET_IPV6_DUPLICATE);
	assert_false(ip6_is_own(l.net, &c.ip6_address));
	/* And not answered for. */
	uint8_t m[32];
	uint32_t before = link6_heard(&l, NA, 0);
	uint32_t len = link6_neighbor(m, NS, 0, &c.ip6_address, 1, other_mac);
	link6_say(&l, "2001:db8::9", "ff02::1:ff00:5", 255, false, m, len);
	link6_run(&l, SECOND);
	assert_int_equal(link6_heard(&l, NA, 0), before);
	link6_stop(&l);
}

static void our_own_question_that_comes_back_is_no_conflict(void **state)
{
	(void)state;
	struct link6 l;
	struct net_config c = static_config(&l, 12);
	link6_start(&l, &c);
	link6_run(&l, 100 * MS);
	for (uint32_t i = 0, n = l.count; i < n; i++) {
		if (l.log[i].icmp[0] != NS)
			continue;
		struct link6_message m = l.log[i];
		uint8_t text[NET_ADDRESS_TEXT_MAX + 1] = {0};
		struct writer w = writer_of(text, NET_ADDRESS_TEXT_MAX);
		net_address_write(&w, &m.destination);
		link6_say(&l, "::", (const char *)text, 255, false, m.icmp, m.len);
	}
	assert_int_equal(net_counters(l.net)->ndp_in_loops, 2);
	link6_run(&l, 2 * SECOND);
	assert_int_equal(state_of(&l, NET_IPV6_CONFIGURED), NET_IPV6_PREFERRED);
	assert_int_equal(net_counters(l.net)->ndp_conflicts, 0);
	link6_stop(&l);
}

static void two_that_check_the_same_address_at_once_both_give_way(void **state)
{
	(void)state;
	struct link6 l;
	uint8_t m[32];
	struct net_config c = static_config(&l, 13);
	link6_start(&l, &c);
	link6_run(&l, 100 * MS);
	uint32_t len = link6_neighbor(m, NS, 0, &c.ip6_address, 14, (const uint8_t *)"another");
	link6_say(&l, "::", "ff02::1:ff00:5", 255, false, m, len);
	assert_int_equal(state_of(&l, NET_IPV6_CONFIGURED), NET_IPV6_DUPLICATE);
	link6_stop(&l);
}

static void an_address_in_use_is_defended_but_not_too_often(void **state)
{
	(void)state;
	struct link6 l;
	uint8_t m[32];
	struct net_config c = static_config(&l, 14);
	link6_start(&l, &c);
	link6_run(&l, 5 * SECOND);
	uint32_t before = link6_heard(&l, NA, 0);
	uint32_t len = link6_neighbor(m, NA, 0x20, &c.ip6_address, 2, other_mac);
	for (uint32_t i = 0; i < 50; i++)
		link6_say(&l, "2001:db8::5", "ff02::1", 255, false, m, len);
	link6_run(&l, SECOND);
	assert_int_equal(link6_heard(&l, NA, 0), before + 1);
	assert_int_equal(link6_last(&l, NA)->icmp[4], 0x20);
	assert_int_equal(net_counters(l.net)->ndp_conflicts, 50);
	assert_int_equal(state_of(&l, NET_IPV6_CONFIGURED), NET_IPV6_PREFERRED);
	/* Who asks whether it is free hears that it is not. */
	link6_run(&l, 10 * SECOND);
	len = link6_neighbor(m, NS, 0, &c.ip6_address, 0, NULL);
	link6_say(&l, "::", "ff02::1:ff00:5", 255, false, m, len);
	link6_run(&l, MS);
	assert_int_equal(link6_heard(&l, NA, 0), before + 2);
	struct net_address all = link6_address("ff02::1");
	assert_true(net_address_equal(&link6_last(&l, NA)->destination, &all));
	assert_int_equal(state_of(&l, NET_IPV6_CONFIGURED), NET_IPV6_PREFERRED);
	link6_stop(&l);
}

static void two_engines_with_one_address_on_one_link(void **state)
{
	(void)state;
	struct world w;
	world_init(&w, 15);
	w.faults.delay_ns = 100000;
	struct net_config c = world_config(&w, 0);
	c.ip6 = NET_IP6_STATIC;
	c.ip6_address = link6_address("2001:db8::5");
	c.ip6_prefix_len = 64;
	world_start(&w, 0, &c);
	world_run(&w, w.now_ns + 3 * SECOND, NULL);
	struct net_config d = world_config(&w, 1);
	d.ip6 = c.ip6;
	d.ip6_address = c.ip6_address;
	d.ip6_prefix_len = 64;
	world_start(&w, 1, &d);
	world_run(&w, w.now_ns + 3 * SECOND, NULL);
	struct net_ipv6 a, b;
	net_ipv6(w.station[0].net, &a);
	net_ipv6(w.station[1].net, &b);
	assert_int_equal(a.address[1].state, NET_IPV6_PREFERRED);
	assert_int_equal(b.address[1].state, NET_IPV6_DUPLICATE);
	assert_int_equal(b.address[0].state, NET_IPV6_PREFERRED);
	world_deinit(&w);
}

static void sources_are_chosen_as_rfc_6724_says(void **state)
{
	(void)state;
	struct link6 l;
	struct link6_advertisement ra;
	struct net_ipv6_address link, ula, global, old;
	struct net_config c = link6_config(&l, 16);
	link6_start(&l, &c);
	link6_ra(&ra, 1800);
	link6_ra_prefix(&ra, "2001:db8:aaaa::", 64, BOTH, 9000, 100); /* soon deprecated */
	link6_ra_prefix(&ra, "fd00:1::", 64, BOTH, 9000, 9000);
	link6_ra_prefix(&ra, "2001:db8:bbbb::", 64, BOTH, 9000, 9000);
	link6_ra_say(&l, &ra);
	link6_run(&l, 200 * SECOND);
	assert_true(link6_own(&l, NET_IPV6_LINK_LOCAL, 0, &link) && link6_own(&l, NET_IPV6_ROUTER, 0, &old)
		&& link6_own(&l, NET_IPV6_ROUTER, 1, &ula) && link6_own(&l, NET_IPV6_ROUTER, 2, &global));
	const struct {
		const char *to;
		const struct net_address *from;
	} cases[] = {
		{"fe80::1", &link.address},                 /* 2: scope */
		{"ff02::fb", &link.address},
		{"2001:db8:aaaa::1", &global.address},      /* 3: not the deprecated one, however near */
		{"2a00::1", &global.address},               /* 6: label */
		{"fd00:2::1", &ula.address},
		{"2001:db8:bbbb::1", &global.address},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct net_address to = link6_address(cases[i].to);
		const struct net_address *from = ip6_source(l.net, &to);
		assert_non_null(from);
		assert_memory_equal(from, cases[i].from, 16);
	}
	assert_memory_equal(ip6_source(l.net, &old.address), &old.address, 16); /* 1: the same */
	link6_stop(&l);
}

static void the_nearer_of_two_prefixes_is_the_source(void **state)
{
	(void)state;
	struct link6 l;
	struct link6_advertisement ra;
	struct net_ipv6_address a, b;
	struct net_config c = link6_config(&l, 17);
	link6_start(&l, &c);
	link6_ra(&ra, 1800);
	link6_ra_prefix(&ra, "2001:db8:1::", 64, BOTH, 9000, 9000);
	link6_ra_prefix(&ra, "2400::", 64, BOTH, 9000, 9000);
	link6_ra_say(&l, &ra);
	link6_run(&l, 2 * SECOND);
	assert_true(link6_own(&l, NET_IPV6_ROUTER, 0, &a) && link6_own(&l, NET_IPV6_ROUTER, 1, &b));
	struct net_address to = link6_address("2001:db9::1");
	assert_memory_equal(ip6_source(l.net, &to), &a.address, 16);
	to = link6_address("2401::1");
	assert_memory_equal(ip6_source(l.net, &to), &b.address, 16);
	link6_stop(&l);
}

static void when_the_link_comes_back_all_is_checked_again(void **state)
{
	(void)state;
	struct link6 l;
	struct net_config c = link6_config(&l, 18);
	link6_start(&l, &c);
	advertise(&l, 9000, 9000);
	link6_run(&l, 5 * SECOND);
	uint32_t from = l.count;
	net_link_up(l.net);
	assert_int_equal(state_of(&l, NET_IPV6_ROUTER), NET_IPV6_OPTIMISTIC);
	link6_run(&l, 1100 * MS);
	assert_int_equal(link6_heard(&l, NS, from), 2);
	assert_int_equal(link6_heard(&l, RS, from), 1);
	assert_true(link6_heard(&l, REPORT, from) >= 1);
	assert_int_equal(state_of(&l, NET_IPV6_ROUTER), NET_IPV6_PREFERRED);
	link6_stop(&l);
}

static void off_is_off_and_a_small_mtu_too(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 2; i++) {
		struct link6 l;
		struct net_ipv6 now;
		struct net_config c = link6_config(&l, 19);
		c.ip6 = i ? NET_IP6_AUTO : NET_IP6_OFF;
		c.mtu = i ? 1279 : 1500;
		link6_start(&l, &c);
		advertise(&l, 9000, 9000);
		link6_run(&l, 5 * SECOND);
		net_ipv6(l.net, &now);
		assert_int_equal(now.count, 0);
		assert_int_equal(l.count, 0);
		link6_stop(&l);
	}
}

static void configurations_that_make_no_sense_are_refused(void **state)
{
	(void)state;
	static const char *const address[] = {"::", "::1", "ff02::1", "fe80::5", "::ffff:10.0.0.1"};
	struct link6 l;
	struct net *net;
	struct net_config c = static_config(&l, 20);
	void *memory = aligned_alloc(64, (net_memory_size(&c) + 63) & ~(size_t)63);
	for (size_t i = 0; i < ARRAY_LEN(address); i++) {
		c.ip6_address = link6_address(address[i]);
		assert_true(failed(net_init(&net, &c, memory)));
	}
	c = static_config(&l, 20);
	c.ip6_prefix_len = 0;
	assert_true(failed(net_init(&net, &c, memory)));
	c.ip6_prefix_len = 129;
	assert_true(failed(net_init(&net, &c, memory)));
	c.ip6_prefix_len = 128;
	c.ip6_gateway = c.ip6_address;
	assert_true(failed(net_init(&net, &c, memory)));
	c.ip6_gateway = link6_address("ff02::2");
	assert_true(failed(net_init(&net, &c, memory)));
	c.ip6_gateway = link6_address("2001:db8:ffff::1"); /* off the prefix: on the link all the same */
	assert_false(failed(net_init(&net, &c, memory)));
	struct net_address hop;
	assert_true(ip6_route(net, &c.ip6_gateway, &hop));
	assert_true(net_address_equal(&hop, &c.ip6_gateway));
	free(memory);
	world_deinit(&l.w);
}

/* RFC 7217 leaves addresses no choice but these: more prefixes than the table has room for are left out. */
static void a_flood_of_prefixes_takes_bounded_room(void **state)
{
	(void)state;
	struct link6 l;
	struct net_ipv6 now;
	struct net_config c = link6_config(&l, 21);
	link6_start(&l, &c);
	advertise(&l, 9000, 9000);
	struct net_ipv6_address first, still;
	assert_true(link6_own(&l, NET_IPV6_ROUTER, 0, &first));
	for (uint32_t i = 0; i < 1000; i++) {
		struct link6_advertisement ra;
		link6_ra(&ra, 1800);
		link6_ra_prefix(&ra, "2001:db8:f::", 64, BOTH, 90000, 90000);
		store_be16(ra.bytes + 16 + 16 + 6, (uint16_t)i);
		link6_ra_say(&l, &ra);
	}
	net_ipv6(l.net, &now);
	assert_int_equal(now.count, NET_IPV6_ADDRESSES_MAX);
	assert_true(net_counters(l.net)->ndp_table_full > 900);
	link6_run(&l, 3 * SECOND);
	assert_true(link6_own(&l, NET_IPV6_ROUTER, 0, &still));
	assert_memory_equal(&first.address, &still.address, 16);
	assert_int_equal(still.state, NET_IPV6_PREFERRED);
	assert_true(l.count < 100);
	link6_stop(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_checked_and_told_before_all_else),
		cmocka_unit_test(a_prefix_makes_an_address_at_once),
		cmocka_unit_test(identifiers_are_stable_and_follow_secret_and_card),
		cmocka_unit_test(wrong_prefixes_make_no_address),
		cmocka_unit_test(an_advertisement_cannot_cut_a_lifetime_below_two_hours),
		cmocka_unit_test(an_address_grows_old_and_goes),
		cmocka_unit_test(a_taken_address_gives_way_to_others_and_at_last_to_none),
		cmocka_unit_test(the_second_choice_is_taken_when_only_the_first_is_occupied),
		cmocka_unit_test(a_configured_address_is_used_when_it_has_been_checked),
		cmocka_unit_test(a_configured_address_that_is_taken_is_not_used),
		cmocka_unit_test(our_own_question_that_comes_back_is_no_conflict),
		cmocka_unit_test(two_that_check_the_same_address_at_once_both_give_way),
		cmocka_unit_test(an_address_in_use_is_defended_but_not_too_often),
		cmocka_unit_test(two_engines_with_one_address_on_one_link),
		cmocka_unit_test(sources_are_chosen_as_rfc_6724_says),
		cmocka_unit_test(the_nearer_of_two_prefixes_is_the_source),
		cmocka_unit_test(when_the_link_comes_back_all_is_checked_again),
		cmocka_unit_test(off_is_off_and_a_small_mtu_too),
		cmocka_unit_test(configurations_that_make_no_sense_are_refused),
		cmocka_unit_test(a_flood_of_prefixes_takes_bounded_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
