/* Which groups we listen to: told when they change, and when a router asks. */
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

enum { QUERY = 130, REPORT_1 = 131, DONE_1 = 132, REPORT_2 = 143 };
enum { IS_EXCLUDE = 2, TO_INCLUDE = 3, TO_EXCLUDE = 4 };

static void start(struct link6 *l, uint64_t seed)
{
	struct net_config c = link6_config(l, seed);
	link6_start(l, &c);
	link6_run(l, 5 * SECOND); /* what the start has to say is said */
}

/* A query of `len` bytes: 24 is version 1. `group` "::" asks for all. */
static void ask(struct link6 *l, const char *source, const char *group, uint16_t code, uint32_t len,
	uint8_t hop_limit, bool alert)
{
	uint8_t m[64] = {QUERY};
	struct net_address a = link6_address(group);
	store_be16(m + 4, code);
	memcpy(m + 8, &a, 16);
	link6_say(l, source, "ff02::1", hop_limit, alert, m, len);
}

/* How many records of that type, for that group (NULL: any), version 2 reports have had since `from`. */
static uint32_t records(const struct link6 *l, uint32_t from, uint8_t type, const struct net_address *group)
{
	uint32_t n = 0;
	for (uint32_t i = from; i < l->count; i++) {
		const struct link6_message *m = &l->log[i];
		if (m->icmp[0] != REPORT_2)
			continue;
		assert_true(m->router_alert && m->hop_limit == 1);
		assert_int_equal(m->len, 8 + 20 * load_be16(m->icmp + 6));
		struct net_address to = link6_address("ff02::16");
		assert_true(net_address_equal(&to, &m->destination));
		for (uint32_t k = 8; k < m->len; k += 20) {
			assert_int_equal(load_be16(m->icmp + k + 2), 0); /* no sources */
			n += m->icmp[k] == type && (!group || memcmp(m->icmp + k + 4, group, 16) == 0);
		}
	}
	return n;
}

static void a_group_is_told_twice_when_it_is_joined_and_left(void **state)
{
	(void)state;
	struct link6 l;
	start(&l, 1);
	struct net_address group = link6_address("ff02::fb"), other = link6_address("ff02::fc");
	uint32_t from = l.count;
	assert_false(ip6_is_joined(l.net, &group));
	assert_true(mld_join(l.net, &group));
	assert_true(mld_join(l.net, &group));
	assert_true(ip6_is_joined(l.net, &group));
	assert_false(ip6_is_joined(l.net, &other));
	link6_run(&l, 3 * SECOND);
	assert_int_equal(records(&l, from, TO_EXCLUDE, &group), 2);
	mld_leave(l.net, &group);
	link6_run(&l, 3 * SECOND);
	assert_int_equal(records(&l, from, TO_INCLUDE, &group), 0); /* somebody still listens */
	mld_leave(l.net, &group);
	mld_leave(l.net, &group); /* once too often: harmless */
	assert_false(ip6_is_joined(l.net, &group));
	link6_run(&l, 3 * SECOND);
	assert_int_equal(records(&l, from, TO_INCLUDE, &group), 2);
	link6_stop(&l);
}

static void all_nodes_are_heard_and_never_told(void **state)
{
	(void)state;
	struct link6 l;
	start(&l, 2);
	struct net_address all = link6_address("ff02::1");
	assert_true(ip6_is_joined(l.net, &all));
	assert_true(mld_join(l.net, &all));
	ask(&l, "fe80::1", "::", 1000, 28, 1, true);
	ask(&l, "fe80::1", "ff02::1", 1000, 28, 1, true);
	link6_run(&l, 3 * SECOND);
	for (uint8_t type = 1; type <= 6; type++)
		assert_int_equal(records(&l, 0, type, &all), 0);
	link6_stop(&l);
}

static void a_query_is_answered_once_within_its_time(void **state)
{
	(void)state;
	struct link6 l;
	start(&l, 3);
	struct net_address group = link6_address("ff02::fb");
	assert_true(mld_join(l.net, &group));
	link6_run(&l, 3 * SECOND);
	uint32_t from = l.count;
	for (uint32_t i = 0; i < 100; i++)
		ask(&l, "fe80::1", "::", 2000, 28, 1, true);
	assert_int_equal(l.count, from);
	link6_run(&l, 2100 * MS);
	assert_int_equal(records(&l, from, IS_EXCLUDE, &group), 1);
	assert_int_equal(records(&l, from, IS_EXCLUDE, NULL), 2); /* and the solicited-node group */
	assert_int_equal(l.count - from, 1);
	from = l.count;
	ask(&l, "fe80::1", "ff02::fb", 1000, 28, 1, true); /* about one */
	ask(&l, "fe80::1", "ff02::99", 1000, 28, 1, true); /* about one that we are not in */
	link6_run(&l, 1100 * MS);
	assert_int_equal(records(&l, from, IS_EXCLUDE, &group), 1);
	assert_int_equal(records(&l, from, IS_EXCLUDE, NULL), 1);
	link6_stop(&l);
}

static void queries_without_end_draw_few_answers(void **state)
{
	(void)state;
	struct link6 l;
	start(&l, 4);
	uint32_t from = l.count;
	for (uint32_t i = 0; i < 1000; i++) {
		ask(&l, "fe80::1", "::", 0, 28, 1, true);
		link6_run(&l, 10 * MS);
	}
	assert_true(l.count - from >= 10 && l.count - from <= 400);
	link6_stop(&l);
}

static void a_later_query_does_not_put_an_answer_off(void **state)
{
	(void)state;
	struct link6 l;
	start(&l, 9);
	uint32_t from = l.count;
	ask(&l, "fe80::1", "::", 1000, 28, 1, true);
	ask(&l, "fe80::1", "::", 32000, 28, 1, true);
	link6_run(&l, 1100 * MS);
	assert_int_equal(link6_heard(&l, REPORT_2, from), 1);
	link6_stop(&l);
}

static void the_random_delay_is_spread(void **state)
{
	(void)state;
	uint32_t early = 0;
	for (uint64_t seed = 10; seed < 40; seed++) {
		struct link6 l;
		start(&l, seed);
		uint32_t from = l.count;
		ask(&l, "fe80::1", "::", 10000, 28, 1, true);
		link6_run(&l, 5 * SECOND);
		early += link6_heard(&l, REPORT_2, from);
		link6_run(&l, 5100 * MS);
		assert_int_equal(link6_heard(&l, REPORT_2, from), 1);
		link6_stop(&l);
	}
	assert_true(early > 5 && early < 25);
}

static void long_times_are_in_floating_point(void **state)
{
	(void)state;
	struct link6 l;
	start(&l, 5);
	uint32_t from = l.count;
	/* Mantissa 0, exponent 0: 0x1000 << 3 = 32,768 ms. */
	ask(&l, "fe80::1", "::", 0x8000, 28, 1, true);
	link6_run(&l, 33 * SECOND);
	assert_int_equal(link6_heard(&l, REPORT_2, from), 1);
	link6_stop(&l);
}

static void malformed_queries_are_counted(void **state)
{
	(void)state;
	struct link6 l;
	start(&l, 6);
	uint32_t from = l.count;
	ask(&l, "2001:db8::1", "::", 1000, 28, 1, true); /* not from this link for sure */
	ask(&l, "::", "::", 1000, 28, 1, true);
	ask(&l, "fe80::1", "::", 1000, 28, 2, true);
	ask(&l, "fe80::1", "::", 1000, 28, 1, false);
	ask(&l, "fe80::1", "::", 1000, 26, 1, true);
	ask(&l, "fe80::1", "::", 1000, 8, 1, true);
	link6_run(&l, 3 * SECOND);
	assert_int_equal(l.count, from);
	assert_int_equal(net_counters(l.net)->mld_in_errors, 6);
	assert_int_equal(net_counters(l.net)->mld_in_queries, 0);
	link6_stop(&l);
}

/* RFC 3810, 8.2.1; RFC 2710 */
static void a_router_of_version_1_hears_version_1(void **state)
{
	(void)state;
	struct link6 l;
	start(&l, 7);
	struct net_address group = link6_address("ff02::fb"), routers = link6_address("ff02::2");
	assert_true(mld_join(l.net, &group));
	link6_run(&l, 3 * SECOND);
	uint32_t from = l.count;
	ask(&l, "fe80::1", "ff02::fb", 1000, 24, 1, true);
	link6_run(&l, 1100 * MS);
	assert_int_equal(link6_heard(&l, REPORT_1, from), 1);
	assert_int_equal(link6_heard(&l, REPORT_2, from), 0);
	const struct link6_message *m = link6_last(&l, REPORT_1);
	assert_int_equal(m->len, 24);
	assert_true(m->router_alert && m->hop_limit == 1);
	assert_memory_equal(m->icmp + 8, &group, 16);
	assert_true(net_address_equal(&m->destination, &group));
	/* Somebody else is faster: one report is enough. */
	uint8_t theirs[24] = {REPORT_1};
	memcpy(theirs + 8, &group, 16);
	ask(&l, "fe80::1", "ff02::fb", 10000, 24, 1, true);
	link6_say(&l, "fe80::7", "ff02::fb", 1, true, theirs, sizeof theirs);
	link6_run(&l, 11 * SECOND);
	assert_int_equal(link6_heard(&l, REPORT_1, from), 1);
	mld_leave(l.net, &group);
	link6_run(&l, 3 * SECOND);
	assert_true(link6_heard(&l, DONE_1, from) >= 1);
	assert_true(net_address_equal(&link6_last(&l, DONE_1)->destination, &routers));
	/* It has gone: version 2 again. */
	link6_run(&l, 300 * SECOND);
	from = l.count;
	ask(&l, "fe80::1", "::", 1000, 28, 1, true);
	link6_run(&l, 2 * SECOND);
	assert_int_equal(link6_heard(&l, REPORT_1, from), 0);
	assert_int_equal(records(&l, from, IS_EXCLUDE, NULL), 1);
	link6_stop(&l);
}

static void groups_take_bounded_room(void **state)
{
	(void)state;
	struct link6 l;
	start(&l, 8);
	struct net_address group = link6_address("ff02::1:0");
	uint32_t joined = 0;
	for (uint32_t i = 0; i < 100; i++) {
		group.octet[15] = (uint8_t)i;
		joined += mld_join(l.net, &group);
	}
	assert_int_equal(joined, IP6_GROUPS_MAX - 1);
	group.octet[15] = 0;
	mld_leave(l.net, &group);
	group.octet[15] = 99;
	assert_true(mld_join(l.net, &group)); /* in the place of one being left */
	link6_stop(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_group_is_told_twice_when_it_is_joined_and_left),
		cmocka_unit_test(all_nodes_are_heard_and_never_told),
		cmocka_unit_test(a_query_is_answered_once_within_its_time),
		cmocka_unit_test(queries_without_end_draw_few_answers),
		cmocka_unit_test(a_later_query_does_not_put_an_answer_off),
		cmocka_unit_test(the_random_delay_is_spread),
		cmocka_unit_test(long_times_are_in_floating_point),
		cmocka_unit_test(malformed_queries_are_counted),
		cmocka_unit_test(a_router_of_version_1_hears_version_1),
		cmocka_unit_test(groups_take_bounded_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
