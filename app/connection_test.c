#include "support/world.h"

#include <string.h>

/* Clients acknowledge after up to 40 ms. */
#define ACK_TIME (100 * MS)
#define GET_TEXT "GET /text HTTP/1.1\r\nHost: t\r\n\r\n"
#define GET_WAIT "GET /wait?name=abc HTTP/1.1\r\nHost: t\r\n\r\n"
#define GET_BIG "GET /big.bin HTTP/1.1\r\nHost: t\r\n\r\n"

static struct world *start(uint32_t exchanges)
{
	return world_new((struct world_options){.seed = 5, .exchanges = exchanges, .connections_max = 64,
		.fibers = 8});
}

static struct server_stats stats(struct world *w)
{
	return server_stats(w->server);
}

/* The server still serves, and everything comes back. */
static void end(struct world *w)
{
	assert_int_equal(client_get(client_new(w), "/text").status, 200);
	world_end(w);
}

/* --- Idle connections ------------------------------------------------------------------------- */

static void an_idle_connection_is_small_and_holds_no_exchange(void **state)
{
	(void)state;
	struct world *w = start(24);
	struct client *c[30];
	assert_true(server_connection_size() <= 192);
	for (size_t i = 0; i < ARRAY_LEN(c); i++)
		c[i] = client_new(w); /* some never say a word */
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < 20; i++)
			assert_int_equal(client_get(c[i], "/text").status, 200);
		world_pass(w, ACK_TIME);
		assert_int_equal(stats(w).connections_open, 30);
		assert_int_equal(stats(w).exchanges_open, 0);
	}
	assert_int_equal(stats(w).exchange_waits, 0);
	assert_int_equal(w->station[SERVER].buffers_out, 0);
	/* As many as are at work at a time, and no more: an exchange is used again and again. */
	client_text(c[0], GET_WAIT);
	client_text(c[1], "GET /te");
	world_pass(w, ACK_TIME);
	assert_int_equal(stats(w).exchanges_open, 2);
	assert_true(w->server->exchanges.used_max <= 20);
	fiber_queue_wake_all(&w->gate);
	end(w);
}

static void all_idle_connections_are_closed_when_it_is_time(void **state)
{
	(void)state;
	struct world *w = world_new((struct world_options){.seed = 5, .connections_max = 320});
	struct client *c[300];
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		c[i] = client_new(w);
		world_pass(w, MS / 100);
	}
	world_pass(w, ACK_TIME);
	client_get(c[7], "/text");
	world_pass(w, 40 * SECOND);
	client_get(c[8], "/text");
	world_pass(w, 36 * SECOND);
	for (size_t i = 0; i < ARRAY_LEN(c); i++)
		assert_int_equal(c[i]->peer_closed, i != 8);
	world_pass(w, 40 * SECOND);
	assert_true(c[8]->peer_closed && !c[8]->reset);
	assert_int_equal(stats(w).shed, 0);
	end(w);
}

/* Acknowledges our FIN, never sends its own, and speaks often enough that TCP does not lose patience. */
static void a_client_that_never_closes_does_not_keep_its_connection(void **state)
{
	(void)state;
	struct world *w = start(4);
	struct client *c = client_new(w);
	world_pass(w, 80 * SECOND);
	assert_true(c->peer_closed);
	assert_int_equal(stats(w).connections_open, 1);
	for (int i = 0; i < 4; i++) {
		client_text(c, "x");
		world_pass(w, 20 * SECOND);
	}
	assert_int_equal(stats(w).connections_open, 0);
	assert_true(c->reset);
	end(w);
}

static void those_that_never_close_make_room_for_new_ones(void **state)
{
	(void)state;
	struct world *w = world_new((struct world_options){.seed = 5, .connections_max = 8});
	struct client *c[7]; /* one is kept free */
	for (size_t i = 0; i < ARRAY_LEN(c); i++)
		c[i] = client_new(w);
	world_pass(w, 80 * SECOND);
	assert_true(c[6]->peer_closed && !c[6]->reset);
	assert_int_equal(stats(w).connections_open, 7);
	struct client *new = client_new(w);
	client_text(new, "GET /te");
	world_pass(w, ACK_TIME);
	assert_int_equal(client_get(client_new(w), "/text").status, 200);
	client_text(new, "xt HTTP/1.1\r\nHost: t\r\n\r\n");
	world_pass(w, ACK_TIME);
	assert_true(new->in_len > 0);
	assert_int_equal(client_get(client_new(w), "/text").status, 200);
	end(w);
}

static void the_limit_of_requests_counts_over_all_exchanges(void **state)
{
	(void)state;
	struct world *w = start(4);
	struct client *c = client_new(w), *other = client_new(w);
	w->server->limits.requests_max = 3;
	for (int i = 1; i <= 3; i++) {
		struct answer a = client_get(c, "/text");
		assert_int_equal(answer_field(&a, "Connection").len != 0, i == 3);
		world_pass(w, ACK_TIME);
		if (i == 1)
			client_get(other, "/text");
	}
	w->server->limits.requests_max = 0;
	end(w);
}

/* --- More requests than exchanges ------------------------------------------------------------- */

static void requests_wait_for_an_exchange_in_order_and_all_are_served(void **state)
{
	(void)state;
	struct world *w = start(2);
	struct client *c[20];
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		c[i] = client_new(w);
		client_text(c[i], i % 2 ? GET_WAIT : GET_WAIT GET_TEXT);
		world_pass(w, MS);
	}
	assert_int_equal(w->at_gate, 2);
	assert_int_equal(stats(w).connections_queued, 18);
	assert_int_equal(stats(w).exchange_waits, 18);
	assert_int_equal(stats(w).exchanges_open, 2);
	for (size_t done = 0; done < ARRAY_LEN(c); done++) {
		struct answer a;
		for (size_t i = done; i < ARRAY_LEN(c); i++)
			assert_false(client_has_answer(c[i], false, &a));
		fiber_queue_wake_one(&w->gate);
		world_pass(w, ACK_TIME);
		assert_true(client_has_answer(c[done], false, &a)); /* first come, first served */
		assert_text(a.body, "abc");
	}
	for (size_t i = 0; i < ARRAY_LEN(c); i += 2)
		assert_text(client_answer(c[i]).body, "plain & simple");
	assert_int_equal(stats(w).connections_queued, 0);
	assert_int_equal(stats(w).shed, 0);
	end(w);
}

static void who_pipelines_does_not_shut_out_others(void **state)
{
	(void)state;
	struct world *w = start(1);
	struct client *greedy = client_new(w), *modest = client_new(w);
	struct answer a;
	uint32_t before = 0;
	for (int i = 0; i < 40; i++)
		client_text(greedy, GET_TEXT);
	world_pass(w, 2 * MS);
	client_text(modest, GET_TEXT);
	while (!client_has_answer(modest, false, &a)) {
		while (client_has_answer(greedy, false, &a))
			before++;
		world_pass(w, MS / 10);
	}
	assert_true(before < 10);
	for (; before < 40; before++)
		assert_int_equal(client_answer(greedy).status, 200);
	end(w);
}

/* Each has an exchange for half a second at most while others wait, however many they are. */
static void those_that_dribble_their_heads_do_not_keep_the_exchanges(void **state)
{
	(void)state;
	struct world *w = start(3);
	struct client *slow[12];
	for (size_t i = 0; i < ARRAY_LEN(slow); i++) {
		slow[i] = client_new(w);
		client_segment(slow[i], SLICE("GET /te"));
	}
	assert_int_equal(stats(w).exchanges_open, 3);
	assert_int_equal(stats(w).connections_queued, 9);
	uint64_t before = w->sim.now_ns;
	struct client *good = client_new(w);
	assert_int_equal(client_get(good, "/text").status, 200);
	assert_true(w->sim.now_ns - before < 2 * SECOND);
	assert_true(stats(w).shed >= 9);
	end(w);
}

static void a_head_that_was_cut_waits_with_its_bytes(void **state)
{
	(void)state;
	struct world *w = start(1);
	struct client *first = client_new(w), *c = client_new(w), *half = client_new(w);
	client_text(first, GET_WAIT);
	world_pass(w, MS);
	client_segment(c, SLICE("GET /echo/as"));
	client_segment(c, SLICE("it%20w"));
	client_text(half, GET_TEXT GET_TEXT);
	client_close(half);
	world_pass(w, ACK_TIME);
	client_segment(c, SLICE("as HTTP/1.1\r\nHost: t\r\n\r\n"));
	assert_int_equal(stats(w).connections_queued, 2);
	fiber_queue_wake_all(&w->gate);
	assert_text(client_answer(c).body, "asit was");
	assert_int_equal(client_answer(half).status, 200);
	assert_int_equal(client_answer(half).status, 200);
	world_pass(w, ACK_TIME);
	assert_true(half->peer_closed && !half->reset);
	end(w);
}

/* --- Deadlines -------------------------------------------------------------------------------- */

/* Told to come again, and closed. */
static void is_refused(struct client *c)
{
	struct answer a = client_answer(c);
	assert_int_equal(a.status, 503);
	assert_text(answer_field(&a, "Retry-After"), "1");
	assert_text(answer_field(&a, "Connection"), "close");
	assert_true(c->peer_closed && !c->reset);
}

/* Without a word when there are more than can be told: a quarter of the exchanges and eight. */
static void many_that_wait_for_too_long_are_cut_off(void **state)
{
	(void)state;
	struct world *w = start(1);
	struct client *c[12];
	uint32_t told = 0, cut = 0;
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		c[i] = client_new(w);
		client_text(c[i], GET_WAIT);
		world_pass(w, 10 * MS);
		c[i]->stalled = i > 0; /* what it is told stays on its way */
	}
	w->loss = 10000;
	world_pass(w, 11 * SECOND);
	assert_int_equal(w->server->refusals.used, 8);
	assert_int_equal(stats(w).shed, 11);
	w->loss = 0;
	world_pass(w, 20 * SECOND);
	for (size_t i = 1; i < ARRAY_LEN(c); i++) {
		client_read(c[i], SIZE_MAX);
		told += client_unread(c[i]).len > 0;
		cut += client_unread(c[i]).len == 0;
	}
	assert_int_equal(told, 8);
	assert_int_equal(cut, 3);
	fiber_queue_wake_all(&w->gate);
	assert_text(client_answer(c[0]).body, "abc");
	end(w);
}

static void who_waits_for_an_exchange_for_too_long_is_shed(void **state)
{
	(void)state;
	struct world *w = start(1);
	struct client *c[4];
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		c[i] = client_new(w);
		client_text(c[i], GET_WAIT);
		world_pass(w, SECOND);
	}
	world_pass(w, 6500 * MS);
	assert_false(c[1]->peer_closed); /* 9.5 seconds */
	world_pass(w, SECOND);
	is_refused(c[1]);
	assert_false(c[2]->peer_closed);
	world_pass(w, SECOND);
	is_refused(c[2]);
	assert_int_equal(stats(w).shed, 2);
	fiber_queue_wake_one(&w->gate);
	assert_text(client_answer(c[0]).body, "abc");
	world_pass(w, ACK_TIME);
	fiber_queue_wake_one(&w->gate);
	assert_text(client_answer(c[3]).body, "abc");
	end(w);
}

static void the_time_for_a_head_counts_from_its_first_byte(void **state)
{
	(void)state;
	struct world *w = start(2);
	struct client *first[2] = {client_new(w), client_new(w)}, *c = client_new(w);
	client_text(first[0], GET_WAIT);
	client_text(first[1], GET_WAIT);
	world_pass(w, MS);
	client_text(c, "GET /te");
	world_pass(w, 8 * SECOND);
	fiber_queue_wake_all(&w->gate);
	world_pass(w, 1500 * MS);
	assert_int_equal(client_unread(c).len, 0);
	world_pass(w, SECOND); /* 10.5 seconds, of which it had an exchange for 2.5 */
	struct answer a;
	assert_true(client_has_answer(c, false, &a));
	assert_int_equal(a.status, 408);
	assert_true(c->peer_closed);
	end(w);
}

/* --- Endings ---------------------------------------------------------------------------------- */

/* There is one exchange only: whatever ends badly, the next one has it. */
static void the_exchange_comes_back_whatever_ends(void **state)
{
	(void)state;
	static const char *const request[] = {
		"GET /te",                                                             /* in the head */
		"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 9000\r\n\r\nbegin", /* in the body */
		"POST /echo HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
		GET_BIG,                                                               /* in the response */
		GET_TEXT,                                                              /* when it is over */
		GET_WAIT,                                                              /* in the handler */
		"POST /wait HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
		"no request\r\n\r\n",                                                  /* after an error */
		"GET /text HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
	};
	enum { RESET, CLOSE, LEAVE_ALONE, KINDS };
	struct world *w = start(1);
	for (size_t i = 0; i < ARRAY_LEN(request); i++) {
		for (int kind = 0; kind < KINDS; kind++) {
			struct client *c = client_new(w), *next = client_new(w);
			c->stalled = true;
			client_text(c, request[i]);
			world_pass(w, MS);
			client_text(next, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc");
			world_pass(w, 20 * MS);
			if (kind == RESET)
				client_reset(c);
			else if (kind == CLOSE)
				client_close(c);
			if (kind != LEAVE_ALONE)
				world_pass(w, 20 * MS);
			fiber_queue_wake_all(&w->gate);
			assert_text(client_answer(next).body, "abc");
			assert_true(stats(w).exchanges_open <= 1);
			client_free(c);
			world_pass(w, ACK_TIME);
			assert_int_equal(stats(w).exchanges_open, 0);
			client_free(next);
		}
	}
	end(w);
}

static void who_leaves_while_it_waits_for_an_exchange_is_forgotten(void **state)
{
	(void)state;
	struct world *w = start(1);
	struct client *c[4];
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		c[i] = client_new(w);
		client_text(c[i], GET_WAIT);
		world_pass(w, MS);
	}
	client_reset(c[1]);
	client_reset(c[3]);
	world_pass(w, ACK_TIME);
	assert_int_equal(stats(w).connections_queued, 1);
	assert_int_equal(w->station[SERVER].buffers_out, 1); /* the bytes of c[2] */
	fiber_queue_wake_all(&w->gate);
	assert_text(client_answer(c[0]).body, "abc");
	world_pass(w, ACK_TIME);
	fiber_queue_wake_all(&w->gate);
	assert_text(client_answer(c[2]).body, "abc");
	assert_int_equal(w->calls, 2);
	end(w);
}

static bool is_drained(void *server)
{
	return server_is_drained(server);
}

static void a_drain_serves_those_that_wait_for_an_exchange(void **state)
{
	(void)state;
	struct world *w = start(1);
	struct client *first = client_new(w), *second = client_new(w), *idle = client_new(w);
	client_text(first, GET_WAIT);
	world_pass(w, MS);
	client_text(second, GET_TEXT);
	world_pass(w, ACK_TIME);
	assert_int_equal(stats(w).connections_queued, 1);
	server_drain(w->server);
	world_pass(w, ACK_TIME);
	assert_true(idle->peer_closed && !second->peer_closed);
	fiber_queue_wake_all(&w->gate);
	assert_text(client_answer(first).body, "abc");
	struct answer a = client_answer(second);
	assert_int_equal(a.status, 200);
	assert_text(answer_field(&a, "Connection"), "close");
	client_close(first);
	client_close(second);
	client_close(idle);
	world_until(w, is_drained, w->server);
	world_end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_idle_connection_is_small_and_holds_no_exchange),
		cmocka_unit_test(all_idle_connections_are_closed_when_it_is_time),
		cmocka_unit_test(a_client_that_never_closes_does_not_keep_its_connection),
		cmocka_unit_test(those_that_never_close_make_room_for_new_ones),
		cmocka_unit_test(the_limit_of_requests_counts_over_all_exchanges),
		cmocka_unit_test(requests_wait_for_an_exchange_in_order_and_all_are_served),
		cmocka_unit_test(who_pipelines_does_not_shut_out_others),
		cmocka_unit_test(those_that_dribble_their_heads_do_not_keep_the_exchanges),
		cmocka_unit_test(a_head_that_was_cut_waits_with_its_bytes),
		cmocka_unit_test(who_waits_for_an_exchange_for_too_long_is_shed),
		cmocka_unit_test(many_that_wait_for_too_long_are_cut_off),
		cmocka_unit_test(the_time_for_a_head_counts_from_its_first_byte),
		cmocka_unit_test(the_exchange_comes_back_whatever_ends),
		cmocka_unit_test(who_leaves_while_it_waits_for_an_exchange_is_forgotten),
		cmocka_unit_test(a_drain_serves_those_that_wait_for_an_exchange),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
