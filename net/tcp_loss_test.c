/* Short connections over a link that loses frames, in virtual time, over IPv4 and over IPv6: every one completes, within bounds, and
 * everything is given back. First hundreds at random loss, then one at a time with chosen losses. */
#include <net/net.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "support/world.h"
#include "tcp_conn.h"

#define SECOND UINT64_C(1000000000)
#define MS UINT64_C(1000000)
#define EXCHANGES_MAX 400
#define REQUEST_LEN 120
#define RESPONSE_MAX 200000

enum order {
	SERVER_FIRST,
	CLIENT_FIRST,       /* when it has the response */
	CLIENT_HALF_CLOSED, /* right behind the request */
	BOTH_AT_ONCE,
	ORDERS,
};

/* One connection: both ends of it. */
struct exchange {
	struct tcp_conn *client, *server;
	enum order order;
	uint32_t response_len, client_got, server_got;
	bool client_gone, server_gone, client_bad, server_bad, answered;
	uint64_t start_ns, answered_ns, client_gone_ns, accepted_ns, server_gone_ns;
	struct tcp_send request, response;
	struct slice request_slice, response_slice[2];
	bool request_done, response_done;
};

/* Drops chosen packets: `count` of those from station `from` that `match`. */
struct rule {
	uint32_t from, count, skip; /* lets `skip` pass first */
	bool (*match)(const uint8_t *packet, uint32_t len);
};

struct load {
	struct world w;
	struct exchange exchange[EXCHANGES_MAX];
	uint32_t started, total, running_max;
	struct exchange *by_port[65536]; /* the client's */
	struct rule rule[4];
	uint32_t rules;
	bool quiet_client; /* connects, and sends nothing for two seconds */
};

static uint8_t pattern[RESPONSE_MAX];
static bool ip6; /* which family the tests speak now */

/* Where TCP's header begins in a frame. */
static uint32_t segment_at(void)
{
	return ip6 ? 54 : 34;
}

static void send_done(struct tcp_send *s, bool delivered)
{
	bool *done = s->cookie;
	(void)delivered;
	assert_false(*done);
	*done = true;
}

static void exchange_start(struct load *l)
{
	struct exchange *x = &l->exchange[l->started++];
	struct net_endpoint to = {world_address(1, ip6), 80};
	x->start_ns = l->w.now_ns;
	assert_false(failed(tcp_connect(&x->client, l->w.station[0].net, &to)));
	tcp_set_cookie(x->client, x);
	l->by_port[tcp_local(x->client).port] = x;
}

static void client_request(struct exchange *x)
{
	x->request_slice = slice_of(pattern, REQUEST_LEN);
	x->request = (struct tcp_send){.segments = &x->request_slice, .count = 1, .done = send_done,
		.cookie = &x->request_done};
	assert_false(failed(tcp_send(x->client, &x->request)));
	if (x->order == CLIENT_HALF_CLOSED)
		tcp_close(x->client);
}

static void server_respond(struct exchange *x)
{
	x->response_slice[0] = slice_of(pattern, x->response_len / 3);
	x->response_slice[1] = slice_of(pattern + x->response_len / 3, x->response_len - x->response_len / 3);
	x->response = (struct tcp_send){.segments = x->response_slice, .count = 2, .done = send_done,
		.cookie = &x->response_done};
	x->answered = true;
	assert_false(failed(tcp_send(x->server, &x->response)));
	if (x->order == SERVER_FIRST || x->order == BOTH_AT_ONCE)
		tcp_close(x->server);
}

static uint32_t receive(struct tcp_conn *c, uint32_t at)
{
	struct slice s;
	while (tcp_peek(c, &s)) {
		assert_true(at + s.len <= sizeof pattern);
		assert_memory_equal(s.ptr, pattern + at, s.len);
		at += (uint32_t)s.len;
		tcp_consume(c, s.len);
	}
	return at;
}

static void client_event(struct load *l, struct exchange *x, uint32_t events)
{
	if ((events & TCP_CONNECTED) && !l->quiet_client)
		client_request(x);
	x->client_got = receive(x->client, x->client_got);
	if (x->client_got == x->response_len && !x->answered_ns) {
		x->answered_ns = l->w.now_ns;
		if (x->order == CLIENT_FIRST || x->order == BOTH_AT_ONCE)
			tcp_close(x->client);
	}
	if (events & TCP_PEER_CLOSED)
		tcp_close(x->client);
	if (events & TCP_CLOSED) {
		x->client_bad = events & (TCP_RESET | TCP_TIMED_OUT);
		x->client_gone = true;
		x->client_gone_ns = l->w.now_ns;
		tcp_release(x->client);
	}
}

static void server_event(struct load *l, struct exchange *x, uint32_t events)
{
	if (events & TCP_ACCEPTED)
		x->accepted_ns = l->w.now_ns;
	x->server_got = receive(x->server, x->server_got);
	if (x->server_got == REQUEST_LEN && !x->answered)
		server_respond(x);
	if (events & TCP_PEER_CLOSED)
		tcp_close(x->server);
	if (events & TCP_CLOSED) {
		x->server_bad = events & (TCP_RESET | TCP_TIMED_OUT);
		x->server_gone = true;
		x->server_gone_ns = l->w.now_ns;
		tcp_release(x->server);
	}
}

static void serve(struct world *w)
{
	struct load *l = w->cookie;
	uint32_t events, running = 0;
	struct tcp_conn *c;
	while ((c = net_event_next(w->station[0].net, &events)))
		client_event(l, tcp_cookie(c), events);
	while ((c = net_event_next(w->station[1].net, &events))) {
		if (events & TCP_ACCEPTED) {
			struct exchange *x = l->by_port[tcp_peer(c).port];
			assert_non_null(x);
			assert_null(x->server);
			x->server = c;
			tcp_set_cookie(c, x);
		}
		server_event(l, tcp_cookie(c), events);
	}
	for (uint32_t i = 0; i < l->started; i++)
		running += !l->exchange[i].client_gone || !l->exchange[i].server_gone;
	while (l->started < l->total && running < l->running_max) {
		exchange_start(l);
		running++;
	}
}

static bool filter(struct world *w, uint32_t from, uint8_t *bytes, uint32_t len)
{
	struct load *l = w->cookie;
	for (uint32_t i = 0; i < l->rules; i++) {
		struct rule *r = &l->rule[i];
		if (r->count && r->from == from && load_be16(bytes + 12) == (ip6 ? 0x86dd : 0x0800)
			&& bytes[ip6 ? 20 : 23] == 6
			&& r->match(bytes, len)) {
			if (r->skip) {
				r->skip--;
				continue;
			}
			r->count--;
			return false;
		}
	}
	return true;
}

static struct load *load_new(uint64_t seed, uint32_t total, uint32_t running_max)
{
	struct load *l = calloc(1, sizeof *l);
	for (uint32_t i = 0; i < sizeof pattern; i++)
		pattern[i] = (uint8_t)(i * 7 + (i >> 8));
	world_init(&l->w, seed);
	l->w.cookie = l;
	l->w.filter = filter;
	l->total = total;
	l->running_max = running_max;
	for (uint32_t i = 0; i < 2; i++) {
		struct net_config c = world_config(&l->w, i);
		c.connections_max = 2 * running_max;
		c.syn_max = running_max;
		c.time_wait_max = 2 * total;
		c.tx_checksum = c.tx_tso4 = c.tx_tso6 = seed & 1;
		if (ip6)
			world_config_ip6(&c, i);
		world_start(&l->w, i, &c);
	}
	if (ip6)
		world_run(&l->w, l->w.now_ns + WORLD_IP6_READY_NS, NULL);
	assert_false(failed(tcp_listen(l->w.station[1].net, 80, 0)));
	return l;
}

static bool all_gone(const struct load *l)
{
	for (uint32_t i = 0; i < l->total; i++)
		if (!l->exchange[i].client_gone || !l->exchange[i].server_gone)
			return false;
	return true;
}

static void load_run(struct load *l, uint64_t limit_ns)
{
	serve(&l->w);
	while (!all_gone(l) && world_step(&l->w, limit_ns))
		serve(&l->w);
}

static void load_end(struct load *l)
{
	l->w.faults = (struct faults){0};
	world_run(&l->w, l->w.now_ns + 70 * SECOND, serve);
	for (uint32_t i = 0; i < 2; i++) {
		struct net_usage u = net_usage(l->w.station[i].net);
		assert_int_equal(u.connections, 0);
		assert_int_equal(u.syns, 0);
		assert_int_equal(u.time_waits, 0);
		assert_int_equal(u.tx_frames, 0);
		assert_int_equal(u.rx_frames, 0);
		assert_int_equal(u.sent_records, 0);
		assert_int_equal(l->w.station[i].buffers_out, 0);
	}
	world_deinit(&l->w);
	free(l);
}

/* --- Many, at random ------------------------------------------------------------------------- */

static void check_exchange(const struct exchange *x, uint32_t i, uint64_t bound_ns, uint64_t *worst_ns)
{
	uint64_t took = x->client_gone_ns > x->server_gone_ns ? x->client_gone_ns : x->server_gone_ns;
	took -= x->start_ns;
	if (!x->client_gone || !x->server_gone)
		fail_msg("connection %u (order %d) is not over: client %d, server %d, accepted %d, answered %d", i,
			(int)x->order, x->client_gone, x->server_gone, x->server != NULL, x->answered);
	if (x->client_bad || x->server_bad || x->client_got != x->response_len)
		fail_msg("connection %u (order %d) failed: client %d, server %d, got %u of %u", i,
			(int)x->order, x->client_bad, x->server_bad, x->client_got, x->response_len);
	if (took > bound_ns)
		fail_msg("connection %u (order %d) took %lu ms", i, (int)x->order, (unsigned long)(took / MS));
	*worst_ns = took > *worst_ns ? took : *worst_ns;
}

static void many(uint64_t seed, uint32_t loss, uint64_t bound_ns)
{
	static const uint32_t response_len[] = {5, 612, 1448, 5000, 20000};
	uint64_t worst_ns = 0, sum_ns = 0;
	struct load *l = load_new(seed, EXCHANGES_MAX, 40);
	l->w.faults = (struct faults){.loss = loss, .delay_ns = 200000 + seed % 5 * 5 * MS};
	for (uint32_t i = 0; i < l->total; i++) {
		l->exchange[i].order = i % ORDERS;
		l->exchange[i].response_len = response_len[i % ARRAY_LEN(response_len)];
	}
	load_run(l, l->w.now_ns + 1000 * SECOND);
	for (uint32_t i = 0; i < l->total; i++) {
		check_exchange(&l->exchange[i], i, bound_ns, &worst_ns);
		sum_ns += l->exchange[i].answered_ns - l->exchange[i].start_ns;
	}
	print_message("# seed %lu, %.1f %% loss: mean to the answer %.1f ms, worst to the end %.2f s\n",
		(unsigned long)seed, loss / 100.0, (double)(sum_ns / l->total) / 1e6, (double)worst_ns / 1e9);
	load_end(l);
}

static void short_connections_complete_at_1_percent_loss(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++)
		many(seed, 100, 10 * SECOND);
}

static void short_connections_complete_at_5_percent_loss(void **state)
{
	(void)state;
	for (uint64_t seed = 11; seed <= 16; seed++)
		many(seed, 500, 15 * SECOND);
}

static void short_connections_complete_at_10_percent_loss(void **state)
{
	(void)state;
	for (uint64_t seed = 21; seed <= 26; seed++)
		many(seed, 1000, 20 * SECOND);
}

/* --- One, with chosen losses ----------------------------------------------------------------- */

#define DELAY_NS (5 * MS) /* one way */

static uint8_t flags_of(const uint8_t *b)
{
	return b[segment_at() + 13] & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK);
}

static uint32_t payload_of(const uint8_t *b)
{
	return (ip6 ? load_be16(b + 18) : load_be16(b + 16) - 20u) - (b[segment_at() + 12] >> 4) * 4u;
}

static bool is_syn_ack(const uint8_t *b, uint32_t len)
{
	(void)len;
	return flags_of(b) == (TCP_SYN | TCP_ACK);
}

static bool is_fin(const uint8_t *b, uint32_t len)
{
	(void)len;
	return flags_of(b) & TCP_FIN;
}

static bool is_bare_ack(const uint8_t *b, uint32_t len)
{
	(void)len;
	return flags_of(b) == TCP_ACK && !payload_of(b);
}

static bool has_data(const uint8_t *b, uint32_t len)
{
	(void)len;
	return payload_of(b) > 0;
}

static struct load *one(enum order order, uint32_t response_len)
{
	struct load *l = load_new(2, 1, 8);
	l->w.faults = (struct faults){.delay_ns = DELAY_NS};
	l->exchange[0].order = order;
	l->exchange[0].response_len = response_len;
	return l;
}

static void lose(struct load *l, uint32_t from, uint32_t count, bool (*match)(const uint8_t *, uint32_t))
{
	l->rule[l->rules++] = (struct rule){.from = from, .count = count, .match = match};
}

/* Runs it; the answer came within `answer_ns`, and both ends were gone within `end_ns`. */
static void completes(struct load *l, uint64_t answer_ns, uint64_t end_ns)
{
	struct exchange *x = &l->exchange[0];
	uint64_t worst_ns = 0;
	load_run(l, l->w.now_ns + 100 * SECOND);
	check_exchange(x, 0, end_ns, &worst_ns);
	for (uint32_t i = 0; i < l->rules; i++)
		assert_int_equal(l->rule[i].count, 0); /* what was to be lost was */
	if (x->answered_ns - x->start_ns > answer_ns)
		fail_msg("the answer took %lu ms", (unsigned long)((x->answered_ns - x->start_ns) / MS));
	load_end(l);
}

static void a_lost_syn_ack_is_repeated_after_1_then_2_seconds(void **state)
{
	(void)state;
	for (uint32_t lost = 1; lost <= 2; lost++) {
		struct load *l = one(SERVER_FIRST, 600);
		lose(l, 1, lost, is_syn_ack);
		completes(l, ((1u << lost) - 1) * SECOND + 100 * MS, ((1u << lost) + 1) * SECOND);
	}
}

/* Up to where the client has sent the bare ACK, which is lost; then it sends its request. */
static void run_to_the_bare_ack(struct load *l)
{
	l->quiet_client = true;
	lose(l, 0, 1, is_bare_ack);
	serve(&l->w);
	while (l->rule[0].count && world_step(&l->w, l->w.now_ns + SECOND))
		serve(&l->w);
	client_request(&l->exchange[0]);
}

static void both_ends_know_the_round_trip_time_after_a_lost_syn_ack(void **state)
{
	(void)state;
	struct load *l = one(SERVER_FIRST, 600);
	struct tcp_info info;
	struct exchange *x = &l->exchange[0];
	l->quiet_client = true;
	lose(l, 1, 1, is_syn_ack);
	serve(&l->w);
	world_run(&l->w, l->w.now_ns + 2 * SECOND, serve);
	assert_non_null(x->server);
	tcp_info(x->server, &info);
	assert_true(info.srtt_ns >= 10 * MS && info.srtt_ns < 15 * MS);
	tcp_info(x->client, &info);
	assert_true(info.srtt_ns >= 10 * MS && info.srtt_ns < 15 * MS);
	client_request(x);
	completes(l, 3 * SECOND, 4 * SECOND);
}

static void data_accepts_when_the_last_ack_of_the_handshake_was_lost(void **state)
{
	(void)state;
	struct load *l = one(SERVER_FIRST, 600);
	run_to_the_bare_ack(l);
	completes(l, 60 * MS, SECOND);
}

static void a_repeated_syn_ack_brings_the_lost_last_ack_of_the_handshake(void **state)
{
	(void)state;
	struct load *l = one(SERVER_FIRST, 600);
	struct exchange *x = &l->exchange[0];
	l->quiet_client = true;
	lose(l, 0, 1, is_bare_ack);
	serve(&l->w);
	world_run(&l->w, l->w.now_ns + 2 * SECOND, serve);
	assert_non_null(x->server);
	assert_true(x->accepted_ns - x->start_ns < 1200 * MS);
	assert_int_equal(l->rule[0].count, 0);
	client_request(x);
	completes(l, 3 * SECOND, 4 * SECOND);
}

static void a_request_and_the_last_ack_of_the_handshake_lost_together(void **state)
{
	(void)state;
	struct load *l = one(SERVER_FIRST, 600);
	run_to_the_bare_ack(l);
	lose(l, 0, 1, has_data);
	completes(l, 300 * MS, SECOND);
}

static void a_lost_fin_is_repeated_by_either_side(void **state)
{
	(void)state;
	for (enum order order = 0; order < ORDERS; order++) {
		for (uint32_t sides = 1; sides <= 3; sides++) {
			struct load *l = one(order, 600);
			if (sides & 1)
				lose(l, 1, 2, is_fin);
			if (sides & 2)
				lose(l, 0, 2, is_fin);
			completes(l, 4 * SECOND, 6 * SECOND);
		}
	}
}

/* From the moment at which the server's FIN is on its way. */
static bool server_fin_seen;

static bool note_fin(const uint8_t *b, uint32_t len)
{
	server_fin_seen |= is_fin(b, len);
	return false;
}

static bool is_ack_of_fin(const uint8_t *b, uint32_t len)
{
	return server_fin_seen && is_bare_ack(b, len);
}

static void a_lost_ack_of_a_fin_is_repeated_from_time_wait_or_any_state(void **state)
{
	(void)state;
	for (enum order order = 0; order < ORDERS; order++) {
		for (uint32_t side = 0; side < 2; side++) {
			for (uint32_t count = 1; count <= 3; count++) {
				struct load *l = one(order, 600);
				server_fin_seen = false;
				l->rule[l->rules++] = (struct rule){.from = !side, .count = 1, .match = note_fin};
				l->rule[l->rules++] = (struct rule){.from = side, .count = count, .match = is_ack_of_fin};
				load_run(l, l->w.now_ns + 100 * SECOND);
				uint64_t worst_ns = 0;
				check_exchange(&l->exchange[0], 0, 4 * SECOND, &worst_ns);
				load_end(l);
			}
		}
	}
}

static void a_lost_answer_is_repeated_soon_after_a_lost_syn_ack(void **state)
{
	(void)state;
	struct load *l = one(SERVER_FIRST, 600);
	lose(l, 1, 1, is_syn_ack);
	lose(l, 1, 1, has_data);
	completes(l, 1400 * MS, 3 * SECOND); /* the timestamp tells the round-trip time all the same */
}

static void lose_data(struct load *l, uint32_t skip, uint32_t count)
{
	lose(l, 1, count, has_data);
	l->rule[l->rules - 1].skip = skip;
}

/* 12,000 bytes are nine segments: 30 ms to the answer without loss. */
static void a_lost_tail_is_probed_for_before_the_timeout(void **state)
{
	(void)state;
	for (uint32_t lost = 2; lost <= 5; lost++) {
		struct load *l = one(CLIENT_FIRST, 12000);
		lose_data(l, 9 - lost, lost);
		completes(l, 120 * MS, SECOND);
	}
}

static void a_whole_flight_that_is_lost_is_probed_for_before_the_timeout(void **state)
{
	(void)state;
	struct load *l = one(CLIENT_FIRST, 3 * 1448);
	lose_data(l, 0, 3);
	completes(l, 120 * MS, SECOND);
}

/* The first `skip` data segments pass; the next one is lost, and so is its first repetition. */
static uint32_t lost_seq, lost_seq_count;

static bool is_chosen_twice(const uint8_t *b, uint32_t len)
{
	if (!has_data(b, len))
		return false;
	if (lost_seq_count == 0)
		lost_seq = load_be32(b + segment_at() + 4);
	if (load_be32(b + segment_at() + 4) != lost_seq)
		return false;
	return ++lost_seq_count <= 2;
}

static void a_lost_repetition_is_repeated_without_a_timeout(void **state)
{
	(void)state;
	struct load *l = one(CLIENT_FIRST, RESPONSE_MAX);
	lost_seq = lost_seq_count = 0;
	lose(l, 1, 2, is_chosen_twice);
	load_run(l, l->w.now_ns + 100 * SECOND);
	uint64_t worst_ns = 0;
	check_exchange(&l->exchange[0], 0, SECOND, &worst_ns);
	assert_int_equal(lost_seq_count, 2);
	assert_int_equal(net_counters(l->w.station[1].net)->tcp_timeouts, 0);
	load_end(l);
}

static int use_ip4(void **state)
{
	(void)state;
	ip6 = false;
	return 0;
}

static int use_ip6(void **state)
{
	(void)state;
	ip6 = true;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lost_syn_ack_is_repeated_after_1_then_2_seconds),
		cmocka_unit_test(both_ends_know_the_round_trip_time_after_a_lost_syn_ack),
		cmocka_unit_test(data_accepts_when_the_last_ack_of_the_handshake_was_lost),
		cmocka_unit_test(a_repeated_syn_ack_brings_the_lost_last_ack_of_the_handshake),
		cmocka_unit_test(a_request_and_the_last_ack_of_the_handshake_lost_together),
		cmocka_unit_test(a_lost_fin_is_repeated_by_either_side),
		cmocka_unit_test(a_lost_ack_of_a_fin_is_repeated_from_time_wait_or_any_state),
		cmocka_unit_test(a_lost_answer_is_repeated_soon_after_a_lost_syn_ack),
		cmocka_unit_test(a_lost_tail_is_probed_for_before_the_timeout),
		cmocka_unit_test(a_whole_flight_that_is_lost_is_probed_for_before_the_timeout),
		cmocka_unit_test(a_lost_repetition_is_repeated_without_a_timeout),
		cmocka_unit_test(short_connections_complete_at_1_percent_loss),
		cmocka_unit_test(short_connections_complete_at_5_percent_loss),
		cmocka_unit_test(short_connections_complete_at_10_percent_loss),
	};
	int failures = cmocka_run_group_tests_name("IPv4", tests, use_ip4, NULL);
	return failures + cmocka_run_group_tests_name("IPv6", tests, use_ip6, NULL);
}
