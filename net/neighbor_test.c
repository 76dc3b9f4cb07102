/* The neighbour cache: the states of RFC 4861 for both families, and what a flood cannot do to it. */
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

enum { NS = 135, NA = 136 };
enum { ROUTER = 0x80, SOLICITED = 0x40, OVERRIDE = 0x20 };

static const uint8_t mac_1[6] = {2, 0, 0, 0, 0, 1}, mac_7[6] = {2, 0, 0, 0, 0, 7};

/* 2001:db8::5/64 beside 10.0.0.2/24. */
static void start(struct link6 *l, uint64_t seed, uint32_t neighbors_max)
{
	struct net_config c = link6_config(l, seed);
	c.ip6 = NET_IP6_STATIC;
	c.ip6_address = link6_address("2001:db8::5");
	c.ip6_prefix_len = 64;
	c.neighbors_max = neighbors_max;
	link6_start(l, &c);
	link6_run(l, 2 * SECOND);
}

static void advertise(struct link6 *l, const char *who, uint8_t flags, const uint8_t *mac)
{
	uint8_t m[32];
	struct net_address a = link6_address(who);
	uint32_t len = link6_neighbor(m, NA, flags, &a, mac ? 2 : 0, mac);
	link6_say(l, who, flags & SOLICITED ? "2001:db8::5" : "ff02::1", 255, false, m, len);
}

static struct neighbor *lookup(struct link6 *l, const char *text)
{
	struct net_address a = link6_address(text);
	struct neighbor *n = neighbor_lookup(l->net, &a);
	assert_non_null(n);
	return n;
}

static struct neighbor *reachable(struct link6 *l, const char *text)
{
	struct neighbor *n = lookup(l, text);
	advertise(l, text, SOLICITED | OVERRIDE, mac_1);
	assert_int_equal(n->state, NEIGHBOR_REACHABLE);
	return n;
}

static void a_question_goes_to_the_group_three_times_and_then_fails(void **state)
{
	(void)state;
	struct link6 l;
	start(&l, 1, 64);
	uint32_t from = l.count;
	struct neighbor *n = lookup(&l, "2001:db8::9");
	assert_int_equal(n->state, NEIGHBOR_INCOMPLETE);
	assert_false(neighbor_usable(l.net, n));
	link6_run(&l, 2500 * MS);
	assert_int_equal(link6_heard(&l, NS, from), 3);
	const struct link6_message *m = link6_last(&l, NS);
	struct net_address group = link6_address("ff02::1:ff00:9"), own = link6_address("2001:db8::5");
	assert_true(net_address_equal(&m->destination, &group));
	assert_true(net_address_equal(&m->source, &own));
	assert_memory_equal(m->to_mac, "\x33\x33\xff\0\0\x09", 6);
	assert_memory_equal(m->icmp + 24, "\1\1\2\0\0\0\0\2", 8);
	link6_run(&l, SECOND);
	assert_int_equal(n->state, NEIGHBOR_FREE);
	assert_int_equal(net_counters(l.net)->ndp_failures, 1);
	assert_int_equal(link6_heard(&l, NS, from), 3);
	link6_stop(&l);
}

static void who_is_not_used_is_not_asked_and_who_is_used_is_probed(void **state)
{
	(void)state;
	struct link6 l;
	start(&l, 2, 64);
	struct neighbor *n = reachable(&l, "2001:db8::9");
	link6_run(&l, MS);
	uint32_t from = l.count;
	link6_run(&l, 3600 * SECOND);
	assert_int_equal(link6_heard(&l, NS, from), 0);
	assert_true(neighbor_usable(l.net, n));
	assert_int_equal(n->state, NEIGHBOR_DELAY);
	link6_run(&l, 4900 * MS);
	assert_int_equal(link6_heard(&l, NS, from), 0);
	link6_run(&l, 200 * MS);
	assert_int_equal(n->state, NEIGHBOR_PROBE);
	assert_int_equal(link6_heard(&l, NS, from), 1);
	const struct link6_message *m = link6_last(&l, NS);
	struct net_address peer = link6_address("2001:db8::9");
	assert_true(net_address_equal(&m->destination, &peer)); /* to it alone */
	assert_memory_equal(m->to_mac, mac_1, 6);
	assert_true(neighbor_usable(l.net, n));
	advertise(&l, "2001:db8::9", SOLICITED, mac_1);
	assert_int_equal(n->state, NEIGHBOR_REACHABLE);
	link6_run(&l, 100 * SECOND);
	assert_true(neighbor_usable(l.net, n));
	link6_run(&l, 9 * SECOND); /* nobody answers any more */
	assert_int_equal(n->state, NEIGHBOR_FREE);
	assert_int_equal(link6_heard(&l, NS, from), 4);
	link6_stop(&l);
}

/* RFC 4861, 7.2.5 and appendix C, row by row. */
static void advertisements_change_states_as_the_table_says(void **state)
{
	(void)state;
	static const struct {
		enum neighbor_state before;
		uint8_t flags;
		const uint8_t *mac; /* before: mac_1 */
		enum neighbor_state after;
		const uint8_t *mac_after;
	} rows[] = {
		{NEIGHBOR_INCOMPLETE, SOLICITED, mac_7, NEIGHBOR_REACHABLE, mac_7},
		{NEIGHBOR_INCOMPLETE, 0, mac_7, NEIGHBOR_STALE, mac_7},
		{NEIGHBOR_INCOMPLETE, SOLICITED, NULL, NEIGHBOR_INCOMPLETE, NULL},
		{NEIGHBOR_REACHABLE, SOLICITED, mac_1, NEIGHBOR_REACHABLE, mac_1},
		{NEIGHBOR_REACHABLE, SOLICITED, mac_7, NEIGHBOR_STALE, mac_1},
		{NEIGHBOR_REACHABLE, SOLICITED | OVERRIDE, mac_7, NEIGHBOR_REACHABLE, mac_7},
		{NEIGHBOR_REACHABLE, OVERRIDE, mac_7, NEIGHBOR_STALE, mac_7},
		{NEIGHBOR_REACHABLE, OVERRIDE, mac_1, NEIGHBOR_REACHABLE, mac_1},
		{NEIGHBOR_REACHABLE, 0, mac_1, NEIGHBOR_REACHABLE, mac_1},
		{NEIGHBOR_STALE, SOLICITED, NULL, NEIGHBOR_REACHABLE, mac_1},
		{NEIGHBOR_STALE, SOLICITED, mac_7, NEIGHBOR_STALE, mac_1},
		{NEIGHBOR_STALE, OVERRIDE, mac_7, NEIGHBOR_STALE, mac_7},
		{NEIGHBOR_STALE, 0, mac_7, NEIGHBOR_STALE, mac_1},
		{NEIGHBOR_PROBE, SOLICITED, mac_1, NEIGHBOR_REACHABLE, mac_1},
		{NEIGHBOR_PROBE, SOLICITED, mac_7, NEIGHBOR_PROBE, mac_1},
		{NEIGHBOR_PROBE, OVERRIDE, mac_7, NEIGHBOR_STALE, mac_7},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct link6 l;
		start(&l, 3, 64);
		struct neighbor *n = lookup(&l, "2001:db8::9");
		if (rows[i].before != NEIGHBOR_INCOMPLETE)
			advertise(&l, "2001:db8::9", SOLICITED | OVERRIDE, mac_1);
		if (rows[i].before == NEIGHBOR_STALE)
			neighbors_doubt(l.net);
		if (rows[i].before == NEIGHBOR_PROBE) {
			link6_run(&l, 100 * SECOND);
			assert_true(neighbor_usable(l.net, n));
			link6_run(&l, 5100 * MS);
		}
		assert_int_equal(n->state, rows[i].before);
		advertise(&l, "2001:db8::9", rows[i].flags, rows[i].mac);
		assert_int_equal(n->state, rows[i].after);
		if (rows[i].mac_after)
			assert_memory_equal(n->mac, rows[i].mac_after, 6);
		link6_stop(&l);
	}
}

static void a_new_ethernet_address_sends_every_connection_to_look_again(void **state)
{
	(void)state;
	struct link6 l;
	start(&l, 4, 64);
	struct neighbor *n = reachable(&l, "2001:db8::9");
	uint32_t generation = n->generation;
	advertise(&l, "2001:db8::9", SOLICITED | OVERRIDE, mac_1);
	assert_int_equal(n->generation, generation);
	advertise(&l, "2001:db8::9", SOLICITED | OVERRIDE, mac_7);
	assert_true(n->generation > generation);
	link6_stop(&l);
}

static void what_comes_unasked_makes_no_entry(void **state)
{
	(void)state;
	struct link6 l;
	start(&l, 5, 64);
	struct net_address a = link6_address("2001:db8::9");
	advertise(&l, "2001:db8::9", OVERRIDE, mac_1);
	advertise(&l, "2001:db8::9", SOLICITED | OVERRIDE, mac_1);
	assert_null(neighbor_find(l.net, &a));
	link6_stop(&l);
}

static void progress_of_a_witness_spares_the_question(void **state)
{
	(void)state;
	struct link6 l;
	int one = 0, two = 0;
	start(&l, 6, 64);
	struct neighbor *n = reachable(&l, "2001:db8::9");
	link6_run(&l, 100 * SECOND);
	uint32_t from = l.count;
	neighbor_witness(l.net, n, &one, 1000); /* no doubt yet: nothing to witness */
	assert_true(neighbor_usable(l.net, n));
	neighbor_witness(l.net, n, &one, 1000);
	neighbor_witness(l.net, n, &two, 9000); /* another connection's numbers mean nothing */
	neighbor_witness(l.net, n, &one, 1000); /* no progress */
	assert_int_equal(n->state, NEIGHBOR_DELAY);
	neighbor_witness(l.net, n, &one, 1001);
	assert_int_equal(n->state, NEIGHBOR_REACHABLE);
	link6_run(&l, 10 * SECOND);
	assert_int_equal(link6_heard(&l, NS, from), 0);
	link6_stop(&l);
}

static void floods_of_askers_push_nobody_out_who_answers(void **state)
{
	(void)state;
	struct link6 l;
	start(&l, 7, 16);
	struct net_address friend = link6_address("2001:db8::f");
	reachable(&l, "2001:db8::f");
	struct neighbor *n4 = lookup(&l, "10.0.0.1");
	neighbor_learned(l.net, n4, mac_1);
	uint8_t m[32];
	struct net_address own = link6_address("2001:db8::5");
	uint32_t len = link6_neighbor(m, NS, 0, &own, 1, mac_7);
	for (uint32_t i = 0; i < 3000; i++) {
		char who[40] = "2001:db8::bad:0000";
		for (uint32_t k = 0, rest = i; k < 4; k++, rest >>= 4)
			who[17 - k] = "0123456789abcdef"[rest & 15];
		link6_say(&l, who, "2001:db8::5", 255, false, m, len);
		l.count = 0;
		link6_run(&l, MS);
		assert_int_equal(link6_heard(&l, NA, 0), 1); /* answered all the same */
	}
	struct neighbor *n = neighbor_find(l.net, &friend);
	assert_non_null(n);
	assert_int_equal(n->state, NEIGHBOR_REACHABLE);
	assert_memory_equal(n->mac, mac_1, 6);
	assert_int_equal(n4->state, NEIGHBOR_REACHABLE);
	link6_stop(&l);
}

static void who_asks_gets_no_place_of_one_who_has_answered(void **state)
{
	(void)state;
	static const char *const friend[] = {"2001:db8::a1", "2001:db8::a2", "2001:db8::a3", "2001:db8::a4"};
	struct link6 l;
	uint8_t m[32];
	start(&l, 11, ARRAY_LEN(friend));
	for (size_t i = 0; i < ARRAY_LEN(friend); i++)
		reachable(&l, friend[i]);
	struct net_address own = link6_address("2001:db8::5"), stranger = link6_address("2001:db8::bad");
	uint32_t len = link6_neighbor(m, NS, 0, &own, 1, mac_7), before = link6_heard(&l, NA, 0);
	link6_say(&l, "2001:db8::bad", "2001:db8::5", 255, false, m, len);
	link6_run(&l, MS);
	assert_int_equal(link6_heard(&l, NA, 0), before + 1); /* answered, not remembered */
	assert_null(neighbor_find(l.net, &stranger));
	for (size_t i = 0; i < ARRAY_LEN(friend); i++) {
		struct net_address a = link6_address(friend[i]);
		assert_non_null(neighbor_find(l.net, &a));
	}
	link6_stop(&l);
}

static void questions_about_nobody_push_nobody_out_who_answers(void **state)
{
	(void)state;
	struct link6 l;
	start(&l, 8, 16);
	struct net_address friend = link6_address("2001:db8::f");
	reachable(&l, "2001:db8::f");
	for (uint32_t i = 0; i < 1000; i++) {
		struct net_address a = link6_address("2001:db8::bad:0");
		store_be16(a.octet + 14, (uint16_t)i);
		neighbor_lookup(l.net, &a);
		l.count = 0;
		link6_run(&l, 10 * MS);
	}
	struct neighbor *n = neighbor_find(l.net, &friend);
	assert_non_null(n);
	assert_int_equal(n->state, NEIGHBOR_REACHABLE);
	l.count = 0;
	link6_stop(&l);
}

static void both_families_share_the_table_and_not_their_entries(void **state)
{
	(void)state;
	struct link6 l;
	start(&l, 9, 64);
	struct neighbor *v4 = lookup(&l, "10.0.0.1"), *v6 = reachable(&l, "2001:db8::9");
	assert_ptr_not_equal(v4, v6);
	assert_int_equal(v4->state, NEIGHBOR_INCOMPLETE);
	assert_true(net_counters(l.net)->arp_out_requests >= 1);
	link6_run(&l, 4 * SECOND);
	assert_int_equal(net_counters(l.net)->arp_failures, 1);
	assert_int_equal(net_counters(l.net)->ndp_failures, 0);
	link6_stop(&l);
}

/* Two stations, a transfer of minutes: the cache never asks, since acknowledgements come. */
static uint32_t solicits_seen;

static bool count_solicits(struct world *w, uint32_t from, uint8_t *b, uint32_t len)
{
	(void)w;
	(void)from;
	solicits_seen += len >= 55 && load_be16(b + 12) == 0x86dd && b[20] == 58 && b[54] == NS
		&& (load_le64(b + 22) | load_le64(b + 30)) != 0;
	return true;
}

static void sent(struct tcp_send *s, bool delivered)
{
	(void)s;
	assert_true(delivered);
}

static struct tcp_conn *accepted;

/* Engines with events not taken have work to do for ever. */
static void take_events(struct world *w)
{
	struct tcp_conn *c;
	uint32_t events;
	for (uint32_t i = 0; i < 2; i++) {
		while ((c = net_event_next(w->station[i].net, &events))) {
			if (events & TCP_ACCEPTED)
				accepted = c;
			if (events & TCP_READABLE)
				tcp_consume(c, tcp_readable(c));
		}
	}
}

static void a_connection_that_makes_progress_needs_no_probes(void **state)
{
	(void)state;
	struct world w;
	world_init(&w, 10);
	w.faults.delay_ns = 100000;
	w.filter = count_solicits;
	for (uint32_t i = 0; i < 2; i++) {
		struct net_config c = world_config(&w, i);
		world_config_ip6(&c, i);
		world_start(&w, i, &c);
	}
	struct net *a = w.station[0].net, *b = w.station[1].net;
	world_run(&w, w.now_ns + WORLD_IP6_READY_NS, take_events);
	assert_false(failed(tcp_listen(b, 80, 0)));
	struct net_endpoint to = {world_address(1, true), 80};
	struct tcp_conn *c;
	assert_false(failed(tcp_connect(&c, a, &to)));
	world_run(&w, w.now_ns + SECOND, take_events);
	assert_non_null(accepted);
	solicits_seen = 0;
	struct slice word = SLICE("word");
	struct tcp_send send[200];
	for (uint32_t i = 0; i < ARRAY_LEN(send); i++) {
		send[i] = (struct tcp_send){.segments = &word, .count = 1, .done = sent};
		assert_false(failed(tcp_send(c, &send[i])));
		world_run(&w, w.now_ns + SECOND, take_events);
	}
	/* 200 s: without witnesses there would be six or more from this side alone. The other side sends
	 * nothing but acknowledgements, which nobody acknowledges: it must ask. */
	assert_true(solicits_seen >= 1 && solicits_seen <= 8);
	assert_int_equal(net_counters(a)->ndp_out_solicits, 3 /* 2 checks of ours, the first contact */);
	tcp_release(c);
	tcp_release(accepted);
	world_run(&w, w.now_ns + 100 * SECOND, take_events);
	world_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_question_goes_to_the_group_three_times_and_then_fails),
		cmocka_unit_test(who_is_not_used_is_not_asked_and_who_is_used_is_probed),
		cmocka_unit_test(advertisements_change_states_as_the_table_says),
		cmocka_unit_test(a_new_ethernet_address_sends_every_connection_to_look_again),
		cmocka_unit_test(what_comes_unasked_makes_no_entry),
		cmocka_unit_test(progress_of_a_witness_spares_the_question),
		cmocka_unit_test(floods_of_askers_push_nobody_out_who_answers),
		cmocka_unit_test(who_asks_gets_no_place_of_one_who_has_answered),
		cmocka_unit_test(questions_about_nobody_push_nobody_out_who_answers),
		cmocka_unit_test(both_families_share_the_table_and_not_their_entries),
		cmocka_unit_test(a_connection_that_makes_progress_needs_no_probes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
