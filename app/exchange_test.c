#include "support/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Clients acknowledge after up to 40 ms. */
#define ACK_TIME (100 * MS)
#define GET_TEXT "GET /text HTTP/1.1\r\nHost: t\r\n\r\n"
#define GET_WAIT "GET /wait?name=abc HTTP/1.1\r\nHost: t\r\n\r\n"
#define GET_BIG "GET /big.bin HTTP/1.1\r\nHost: t\r\n\r\n"

static struct world *start(void)
{
	return world_new((struct world_options){.seed = 2});
}

/* The server still serves, and everything comes back. */
static void end(struct world *w)
{
	struct client *c = client_new(w);
	struct answer a = client_get(c, "/text");
	assert_int_equal(a.status, 200);
	world_end(w);
}

/* --- Persistence ------------------------------------------------------------------------------ */

static void a_connection_serves_many_requests(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	for (int i = 0; i < 50; i++) {
		struct answer a = client_get(c, i % 2 ? "/text" : "/site.css");
		assert_int_equal(a.status, 200);
		assert_int_equal(answer_field(&a, "Connection").len, 0);
	}
	assert_int_equal(server_stats(w->server).connections, 1);
	assert_int_equal(server_stats(w->server).requests, 50);
	assert_int_equal(server_stats(w->server).responses, 50);
	end(w);
}

static void connection_close_is_obeyed(void **state)
{
	(void)state;
	static const char *const target[] = {"/text", "/site.css", "/nothing", "/none"};
	struct world *w = start();
	for (size_t i = 0; i < ARRAY_LEN(target); i++) {
		struct client *c = client_new(w);
		struct answer a = client_ask(c, "GET", target[i], "Connection: close\r\n", "");
		assert_text(answer_field(&a, "Connection"), "close");
		world_pass(w, ACK_TIME);
		assert_true(c->peer_closed && !c->reset);
		assert_int_equal(client_unread(c).len, 0);
	}
	end(w);
}

static void http_1_0_closes_unless_asked_not_to(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	client_text(c, "GET /text HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	struct answer a = client_answer(c);
	assert_int_equal(a.status, 200);
	assert_text(answer_field(&a, "Connection"), "keep-alive");
	client_text(c, "GET /text HTTP/1.0\r\n\r\n");
	a = client_answer(c);
	assert_int_equal(a.status, 200);
	assert_text(answer_field(&a, "Connection"), "close");
	world_pass(w, ACK_TIME);
	assert_true(c->peer_closed);
	end(w);
}

/* A head of one line and nothing else. */
static void a_head_request_without_fields_has_no_body(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	client_text(c, "HEAD /text HTTP/1.0\r\n\r\n");
	struct answer a = client_answer_to_head(c);
	assert_int_equal(a.status, 200);
	world_pass(w, ACK_TIME);
	assert_int_equal(client_unread(c).len, 0);
	end(w);
}

/* What went before must not show: this error is no answer to a HEAD. */
static void an_error_after_a_head_request_has_its_body(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	client_ask(c, "HEAD", "/text", "", "");
	client_text(c, "GET / HTTP/1.1\r\nno field\r\n\r\n");
	struct answer a = client_answer(c);
	assert_int_equal(a.status, 400);
	assert_true(a.body.len > 0);
	assert_text(answer_field(&a, "Connection"), "close");
	world_pass(w, ACK_TIME);
	assert_true(c->peer_closed);
	end(w);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	client_text(c, "GET /site.css HTTP/1.1\r\nHost: t\r\n\r\nGET /echo/1 HTTP/1.1\r\nHost: t\r\n\r\n"
		"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\ntwo"
		"GET /nothing HTTP/1.1\r\nHost: t\r\n\r\nGET /echo/3 HTTP/1.1\r\nHost: t\r\n\r\n"
		"GET /page?text=4 HTTP/1.1\r\nHost: t\r\n\r\nGET /empty.txt HTTP/1.1\r\nHost: t\r\n\r\n"
		"POST /nothing HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nGET /"
		"GET /echo/5 HTTP/1.1\r\nHost: t\r\n\r\nGET /echo/6 HTTP/1.1\r\nHost: t\r\n\r\n");
	assert_text(client_answer(c).body, "body { margin: 0 }\n");
	assert_text(client_answer(c).body, "1");
	assert_text(client_answer(c).body, "two");
	assert_int_equal(client_answer(c).status, 404);
	assert_text(client_answer(c).body, "3");
	assert_has(client_answer(c).body, "<p>4</p>");
	assert_text(client_answer(c).body, "");
	assert_int_equal(client_answer(c).status, 404);
	assert_text(client_answer(c).body, "5");
	assert_text(client_answer(c).body, "6");
	assert_int_equal(client_unread(c).len, 0);
	end(w);
}

/* A client may say all it has to say, close its side, and read. */
static void a_half_closed_client_gets_all_of_its_answers(void **state)
{
	(void)state;
	static const char *const request[] = {GET_TEXT, "GET /site.css HTTP/1.1\r\nHost: t\r\n\r\n"};
	struct world *w = start();
	for (size_t first = 0; first < 2; first++) {
		struct client *c = client_new(w);
		for (size_t i = 0; i < 6; i++)
			client_text(c, request[(first + i) % 2]);
		client_close(c);
		for (size_t i = 0; i < 6; i++) {
			struct answer a = client_answer(c);
			assert_int_equal(a.status, 200);
		}
		world_pass(w, ACK_TIME);
		assert_true(c->peer_closed && !c->reset);
	}
	end(w);
}

static void a_client_that_half_closes_while_its_handler_waits_is_answered(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	client_text(c, GET_WAIT);
	client_close(c);
	world_pass(w, ACK_TIME);
	assert_int_equal(w->at_gate, 1);
	fiber_queue_wake_all(&w->gate);
	assert_text(client_answer(c).body, "abc");
	world_pass(w, ACK_TIME);
	assert_true(client_is_closed(c));
	end(w);
}

/* --- How input is cut ------------------------------------------------------------------------- */

static void a_head_may_be_cut_anywhere(void **state)
{
	(void)state;
	static const char text[] = "POST /echo?x=1 HTTP/1.1\r\nHost: ingot.test\r\nX-One: a b\r\n"
		"Content-Length: 5\r\n\r\nhello" GET_TEXT;
	struct world *w = start();
	struct client *c = client_new(w);
	for (size_t cut = 1; cut < sizeof text - 1; cut++) {
		client_segment(c, slice_of(text, cut));
		client_segment(c, slice_of(text + cut, sizeof text - 1 - cut));
		struct answer a = client_answer(c);
		assert_int_equal(a.status, 200);
		assert_text(a.body, "hello");
		assert_text(client_answer(c).body, "plain & simple");
	}
	end(w);
}

static void a_head_may_come_byte_by_byte(void **state)
{
	(void)state;
	static const char text[] = "GET /echo/slow HTTP/1.1\r\nHost: t\r\nX-One: 1\r\n\r\n";
	struct world *w = start();
	struct client *c = client_new(w);
	for (size_t i = 0; i + 1 < sizeof text; i++)
		client_segment(c, slice_of(text + i, 1));
	assert_text(client_answer(c).body, "slow");
	end(w);
}

static void a_head_over_the_limit_is_431(void **state)
{
	(void)state;
	struct world *w = start();
	for (size_t len = HEAD_BYTES_MAX - 100; len < 3 * HEAD_BYTES_MAX; len += 3000) {
		struct client *c = client_new(w);
		char *text = calloc(1, len + 1);
		size_t at = (size_t)sprintf(text, "GET /text HTTP/1.1\r\nHost: t\r\n");
		while (at + 210 < len) {
			memset(text + at, 'x', 200);
			memcpy(text + at, "X-A:", 4);
			memcpy(text + at + 198, "\r\n", 2);
			at += 200;
		}
		memcpy(text + at, "\r\n", 2);
		client_send(c, slice_of(text, at + 2));
		struct answer a = client_answer(c);
		assert_int_equal(a.status, at + 2 <= HEAD_BYTES_MAX ? 200 : 431);
		free(text);
	}
	end(w);
}

/* --- Bodies ----------------------------------------------------------------------------------- */

static void post(struct client *c, const char *fields, size_t len)
{
	char head[200];
	snprintf(head, sizeof head, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: %zu\r\n%s\r\n", len,
		fields);
	client_text(c, head);
}

static void a_body_of_any_length_up_to_the_limit_arrives(void **state)
{
	(void)state;
	static const size_t length[] = {1, 2000, 2048, 2049, 8000, 8384, 8385, 8433, 20000, 65535, 65536};
	struct world *w = start();
	struct client *c = client_new(w);
	for (size_t i = 0; i < ARRAY_LEN(length); i++) {
		post(c, "", length[i]);
		client_send(c, slice_of(w->big, length[i]));
		struct answer a = client_answer(c);
		assert_int_equal(a.status, 200);
		assert_int_equal(a.body.len, length[i]);
		assert_memory_equal(a.body.ptr, w->big, length[i]);
	}
	end(w);
}

static void a_body_may_come_in_many_segments(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	post(c, "", 3000);
	for (size_t at = 0; at < 3000; at += 7)
		client_segment(c, slice_of(w->big + at, at + 7 > 3000 ? 3000 - at : 7));
	struct answer a = client_answer(c);
	assert_int_equal(a.body.len, 3000);
	assert_memory_equal(a.body.ptr, w->big, 3000);
	end(w);
}

static void a_chunked_body_is_put_together(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	for (int pass = 0; pass < 3; pass++) {
		char line[40];
		client_text(c, "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
		size_t at = 0;
		for (size_t n = 1; at + n <= 30000; at += n, n = n * 3 / 2 + 1) {
			snprintf(line, sizeof line, "%zx\r\n", n);
			client_text(c, line);
			client_send(c, slice_of(w->big + at, n));
			client_text(c, "\r\n");
			if (pass)
				world_pass(w, MS);
		}
		client_text(c, "0\r\nX-Trailer: 1\r\n\r\n");
		struct answer a = client_answer(c);
		assert_int_equal(a.status, 200);
		assert_int_equal(a.body.len, at);
		assert_memory_equal(a.body.ptr, w->big, at);
	}
	end(w);
}

static void a_body_over_the_limit_is_413(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	post(c, "", SERVER_BODY_MAX + 1);
	client_send(c, slice_of(w->big, 10000));
	struct answer a = client_answer(c);
	assert_int_equal(a.status, 413);
	assert_text(answer_field(&a, "Connection"), "close");
	c = client_new(w);
	client_text(c, "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n11170\r\n");
	client_send(c, slice_of(w->big, 70000));
	a = client_answer(c);
	assert_int_equal(a.status, 413);
	assert_int_equal(w->calls, 0);
	end(w);
}

static void expect_100_is_answered_before_the_body(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	for (int i = 0; i < 3; i++) {
		post(c, "Expect: 100-continue\r\n", 5);
		assert_int_equal(client_answer(c).status, 100);
		client_text(c, "hello");
		struct answer a = client_answer(c);
		assert_int_equal(a.status, 200);
		assert_text(a.body, "hello");
	}
	client_text(c, "POST /nothing HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
	assert_int_equal(client_answer(c).status, 404); /* without having asked for the body */
	end(w);
}

static void a_client_that_leaves_in_its_body_is_forgotten(void **state)
{
	(void)state;
	struct world *w = start();
	static const size_t length[] = {100, 60000};
	for (size_t i = 0; i < ARRAY_LEN(length); i++) {
		struct client *c = client_new(w);
		post(c, "", length[i]);
		client_send(c, slice_of(w->big, length[i] - 1));
		client_close(c);
		world_pass(w, SECOND);
		assert_true(c->closed);
	}
	assert_int_equal(w->calls, 0);
	assert_int_equal(w->server->bodies.used, 0);
	end(w);
}

/* --- Clients that go away --------------------------------------------------------------------- */

static void a_reset_while_the_handler_waits_frees_when_it_returns(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	client_text(c, GET_WAIT);
	world_pass(w, ACK_TIME);
	client_reset(c);
	world_pass(w, ACK_TIME);
	assert_int_equal(w->at_gate, 1);
	assert_int_equal(server_stats(w->server).connections_open, 0);
	assert_int_equal(server_stats(w->server).exchanges_open, 1);
	fiber_queue_wake_all(&w->gate);
	world_pass(w, ACK_TIME);
	assert_int_equal(server_stats(w->server).exchanges_open, 0);
	assert_int_equal(w->calls, 1);
	end(w);
}

/* At each moment of a transfer. */
static void a_reset_while_bytes_are_in_flight_frees_them(void **state)
{
	(void)state;
	static const char *const request[] = {GET_BIG, "GET /huge?n=2000 HTTP/1.1\r\nHost: t\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"};
	struct world *w = start();
	for (size_t k = 0; k < ARRAY_LEN(request); k++) {
		for (uint64_t at = 0; at < 3 * MS; at += MS / 20) {
			struct client *c = client_new(w);
			client_text(c, request[k]);
			world_pass(w, at + 1);
			client_reset(c);
			world_pass(w, MS);
		}
	}
	world_pass(w, SECOND);
	assert_int_equal(server_stats(w->server).connections_open, 0);
	end(w);
}

static void a_client_that_does_not_read_is_cut_off(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	c->stalled = true;
	client_text(c, GET_BIG);
	world_pass(w, 5 * SECOND);
	assert_false(c->closed);
	world_pass(w, 65 * SECOND); /* 30 seconds, from when that is first looked at */
	assert_true(c->closed && c->reset);
	end(w);
}

/* However long it takes: what counts is that it gets on. */
static void a_slow_reader_that_gets_on_is_served(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	c->stalled = true;
	client_text(c, GET_BIG);
	for (int i = 0; i < 60 && c->in_len < BIG_LEN; i++) {
		world_pass(w, 5 * SECOND);
		client_read(c, 6000);
	}
	struct answer a = client_answer(c);
	assert_int_equal(a.body.len, BIG_LEN);
	assert_memory_equal(a.body.ptr, w->big, BIG_LEN);
	c->stalled = false;
	assert_int_equal(client_get(c, "/text").status, 200);
	end(w);
}

/* --- Deadlines -------------------------------------------------------------------------------- */

static void a_slow_head_is_408_and_the_end(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	for (int i = 0; i < 12 && !c->peer_closed; i++) {
		client_text(c, i ? "x" : "GET /te");
		world_pass(w, SECOND);
	}
	struct answer a = client_answer(c);
	assert_int_equal(a.status, 408);
	assert_true(c->peer_closed);
	end(w);
}

static void a_slow_body_is_408(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	post(c, "", 1000);
	client_text(c, "a beginning");
	struct answer a = client_answer(c);
	assert_int_equal(a.status, 408);
	assert_int_equal(w->calls, 0);
	end(w);
}

static void an_idle_connection_is_closed_after_its_time(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *silent = client_new(w), *c = client_new(w);
	client_get(c, "/text");
	world_pass(w, 73 * SECOND);
	assert_false(c->peer_closed || silent->peer_closed);
	world_pass(w, 4 * SECOND);
	assert_true(c->peer_closed && silent->peer_closed && !c->reset);
	assert_int_equal(client_unread(c).len, 0);
	end(w);
}

/* Keep-alive without a pause lives on. */
static void a_busy_connection_is_not_idle(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	for (int i = 0; i < 10; i++) {
		struct answer a = client_get(c, "/text");
		assert_int_equal(a.status, 200);
		world_pass(w, 40 * SECOND);
	}
	assert_int_equal(server_stats(w->server).connections, 1);
	end(w);
}

static void a_handler_that_never_answers_costs_its_connection(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	client_text(c, GET_WAIT);
	world_pass(w, 70 * SECOND);
	assert_true(c->closed);
	assert_int_equal(server_stats(w->server).exchanges_open, 1); /* the handler's memory */
	fiber_queue_wake_all(&w->gate);
	world_pass(w, MS);
	assert_int_equal(server_stats(w->server).exchanges_open, 0);
	end(w);
}

static void a_request_whose_turn_never_comes_is_503(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c[8];
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		c[i] = client_new(w);
		client_text(c[i], i < 6 ? GET_WAIT : "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nx");
		world_pass(w, SECOND);
	}
	struct answer a = client_answer(c[6]);
	assert_int_equal(a.status, 503);
	assert_text(answer_field(&a, "Retry-After"), "1");
	assert_int_equal(client_answer(c[7]).status, 503);
	assert_int_equal(server_stats(w->server).requests_waiting, 0);
	fiber_queue_wake_all(&w->gate);
	assert_int_equal(w->calls, 0);
	end(w);
}

/* --- More than there is room for -------------------------------------------------------------- */

static void requests_wait_for_a_fiber_in_order(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c[20];
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		c[i] = client_new(w);
		client_text(c[i], GET_WAIT);
		world_pass(w, MS);
	}
	assert_int_equal(w->at_gate, 6);
	assert_int_equal(server_stats(w->server).requests_waiting, 14);
	client_reset(c[10]);
	world_pass(w, 100 * MS);
	assert_int_equal(server_stats(w->server).requests_waiting, 13);
	for (uint32_t done = 0; done < 19; done++) {
		fiber_queue_wake_one(&w->gate);
		world_pass(w, 10 * MS);
		assert_int_equal(w->calls, done + 1);
		uint32_t answered = 0;
		struct answer a;
		for (size_t i = 0; i < ARRAY_LEN(c); i++)
			if (i != 10 && (c[i]->taken || client_has_answer(c[i], false, &a)))
				answered++;
		assert_int_equal(answered, done + 1);
		assert_true(c[done < 10 ? done : done + 1]->taken > 0); /* first come, first served */
	}
	assert_int_equal(server_stats(w->server).requests_waiting, 0);
	end(w);
}

static void connections_beyond_the_pool_are_refused_until_there_is_room(void **state)
{
	(void)state;
	struct world *w = world_new((struct world_options){.connections_max = 4, .fibers = 4});
	struct client *c[4], *more[10];
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		c[i] = client_new(w);
		client_text(c[i], GET_WAIT);
	}
	world_pass(w, SECOND);
	for (size_t i = 0; i < ARRAY_LEN(more); i++) {
		more[i] = client_new(w);
		client_text(more[i], GET_TEXT);
	}
	world_pass(w, 100 * MS);
	for (size_t i = 0; i < ARRAY_LEN(more); i++) {
		assert_int_equal(client_unread(more[i]).len, 0);
		client_free(more[i]);
	}
	fiber_queue_wake_all(&w->gate);
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		assert_text(client_answer(c[i]).body, "abc");
		client_free(c[i]);
	}
	world_pass(w, 5 * SECOND);
	end(w);
}

/* The one that has been idle for longest; not one that waits for its answer, nor one that reads. */
static void a_new_connection_takes_the_place_of_an_idle_one(void **state)
{
	(void)state;
	struct world *w = world_new((struct world_options){.connections_max = 5});
	struct client *waiting = client_new(w), *reading = client_new(w), *idle = client_new(w);
	client_text(waiting, GET_WAIT);
	reading->stalled = true;
	client_text(reading, GET_BIG);
	client_get(idle, "/text");
	world_pass(w, SECOND);
	struct client *later = client_new(w);
	client_get(later, "/text");
	world_pass(w, SECOND);
	client_read(reading, 50000);
	world_pass(w, 300 * MS);
	assert_false(client_is_closed(idle));
	struct client *c = client_new(w);
	assert_int_equal(client_get(c, "/text").status, 200);
	world_pass(w, ACK_TIME);
	assert_true(client_is_closed(idle));
	assert_false(client_is_closed(later) || client_is_closed(waiting) || client_is_closed(reading));
	assert_int_equal(client_get(later, "/text").status, 200);
	reading->stalled = false;
	assert_int_equal(client_answer(reading).body.len, BIG_LEN);
	fiber_queue_wake_all(&w->gate);
	assert_text(client_answer(waiting).body, "abc");
	client_free(c);
	world_pass(w, SECOND);
	end(w);
}

static void idle_connections_do_not_shut_out_others(void **state)
{
	(void)state;
	struct world *w = world_new((struct world_options){.connections_max = 4});
	struct client *idle[6];
	for (size_t i = 0; i < ARRAY_LEN(idle); i++)
		idle[i] = client_new(w); /* all at once, and they never say a word */
	world_pass(w, 2 * SECOND);
	for (int i = 0; i < 3; i++) {
		uint64_t before = w->sim.now_ns;
		struct client *c = client_new(w);
		assert_int_equal(client_get(c, "/text").status, 200);
		assert_true(w->sim.now_ns - before < 2 * SECOND); /* a SYN may have to be repeated */
		world_pass(w, SECOND);
	}
	end(w);
}

static void a_page_too_large_for_the_memory_is_503_and_the_server_lives(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	for (int i = 0; i < 3; i++) {
		struct answer a = client_get(c, "/huge?n=1000000");
		assert_int_equal(a.status, 503);
		assert_text(answer_field(&a, "Retry-After"), "1");
		a = client_get(c, "/huge?n=100");
		assert_int_equal(a.status, 200);
		assert_has(a.body, "<li>99</li>");
	}
	assert_int_equal(server_stats(w->server).shed, 3);
	end(w);
}

static void a_response_that_finds_no_memory_is_503(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	for (int i = 0; i < 3; i++) {
		struct answer a = client_get(c, "/hog");
		assert_int_equal(a.status, 503);
		assert_text(answer_field(&a, "Retry-After"), "1");
		assert_true(a.body.len > 0);
		assert_text(client_get(c, "/echo/next").body, "next");
	}
	end(w);
}

/* Two bodies of the largest size fit; the third is told to come back. */
static void no_room_for_a_body_is_503(void **state)
{
	(void)state;
	struct world *w = world_new((struct world_options){.blocks = 32, .seed = 3});
	struct client *c[3];
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		c[i] = client_new(w);
		post(c[i], "", 60000);
		client_segment(c[i], slice_of(w->big, 20000));
	}
	struct answer a = client_answer(c[2]);
	assert_int_equal(a.status, 503);
	assert_text(answer_field(&a, "Retry-After"), "1");
	for (size_t i = 0; i < 2; i++) {
		client_send(c[i], slice_of(w->big + 20000, 40000));
		a = client_answer(c[i]);
		assert_int_equal(a.status, 200);
		assert_memory_equal(a.body.ptr, w->big, 60000);
	}
	end(w);
}

static void no_room_for_heads_costs_those_that_dribble_them(void **state)
{
	(void)state;
	struct world *w = world_new((struct world_options){.blocks = 4, .seed = 3});
	struct client *c[12];
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		c[i] = client_new(w);
		client_segment(c[i], SLICE("GET /te"));
	}
	world_pass(w, SECOND);
	struct client *good = client_new(w);
	struct answer a = client_get(good, "/text");
	assert_int_equal(a.status, 200);
	end(w);
}

static void no_room_for_a_head_that_was_cut_is_503(void **state)
{
	(void)state;
	struct world *w = world_new((struct world_options){.blocks = 4, .seed = 3});
	struct client *c = client_new(w), *next = client_new(w);
	void *taken[4];
	for (size_t i = 0; i < ARRAY_LEN(taken); i++)
		assert_non_null(taken[i] = pool_get(&w->server->blocks));
	client_segment(c, SLICE("GET /te"));
	struct answer a = client_answer(c);
	assert_int_equal(a.status, 503);
	assert_text(answer_field(&a, "Retry-After"), "1");
	world_pass(w, ACK_TIME);
	assert_true(c->peer_closed && !c->reset);
	assert_int_equal(client_get(next, "/site.css").status, 200); /* a head in one piece */
	assert_int_equal(server_stats(w->server).shed, 1);
	for (size_t i = 0; i < ARRAY_LEN(taken); i++)
		pool_put(&w->server->blocks, taken[i]);
	end(w);
}

/* However little memory is left, from nothing on: the answer or 503, and the connection goes on. */
static void a_request_is_answered_with_any_memory(void **state)
{
	(void)state;
	static const char *const target[] = {"/site.css", "/text", "/page?text=a%26b", "/error", "/redirect",
		"/echo/%41%42", "/nothing", "/form", "/head", "/huge?n=300", "/huge?n=3000", "/sql/list",
		"/sql/values", "/a%20b%c3%a9/docs", "/client", "/limited/big"};
	struct world *w = world_new((struct world_options){.seed = 3, .blocks = 40, .database = true});
	struct client *c = client_new(w);
	for (uint32_t left = 0; left < 12; left++) {
		void *taken[40];
		for (uint32_t i = 0; i < 40 - left; i++)
			assert_non_null(taken[i] = pool_get(&w->server->blocks));
		for (size_t i = 0; i < ARRAY_LEN(target); i++) {
			struct answer a = client_ask(c, "GET", target[i],
				"Cookie: csrf=0; a=b\r\nAccept: text/html, text/plain, */*\r\n", "");
			assert_true(a.status < 500 || a.status == 503);
			assert_true(left < 11 || i == 10 || a.status != 503);
		}
		world_pass(w, ACK_TIME);
		assert_int_equal(w->server->blocks.used, 40 - left);
		for (uint32_t i = 0; i < 40 - left; i++)
			pool_put(&w->server->blocks, taken[i]);
	}
	assert_int_equal(server_stats(w->server).connections, 1);
	end(w);
}

/* --- Draining --------------------------------------------------------------------------------- */

static bool is_drained(void *server)
{
	return server_is_drained(server);
}

static void a_drain_finishes_what_has_begun(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *idle = client_new(w), *silent = client_new(w), *waiting = client_new(w),
		      *half = client_new(w), *reading = client_new(w);
	client_get(idle, "/text");
	client_text(waiting, GET_WAIT);
	client_text(half, "GET /text HTTP/1.1\r\nHos");
	reading->stalled = true;
	client_text(reading, GET_BIG);
	world_pass(w, ACK_TIME);
	server_drain(w->server);
	world_pass(w, ACK_TIME);
	assert_true(idle->peer_closed && silent->peer_closed && !idle->reset);
	assert_false(server_is_drained(w->server));
	client_text(half, "t: t\r\n\r\n");
	struct answer a = client_answer(half);
	assert_int_equal(a.status, 200);
	assert_text(answer_field(&a, "Connection"), "close");
	fiber_queue_wake_all(&w->gate);
	a = client_answer(waiting);
	assert_text(a.body, "abc");
	assert_text(answer_field(&a, "Connection"), "close");
	reading->stalled = false;
	client_text(reading, GET_TEXT); /* too late */
	a = client_answer(reading);
	assert_int_equal(a.body.len, BIG_LEN);
	client_close(idle);
	client_close(silent);
	client_close(waiting);
	client_close(half);
	client_close(reading);
	uint64_t before = w->sim.now_ns;
	world_until(w, is_drained, w->server);
	assert_true(w->sim.now_ns - before < 8 * SECOND);
	struct client *late = client_new(w);
	world_pass(w, SECOND);
	assert_false(late->connected);
	world_end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_serves_many_requests),
		cmocka_unit_test(connection_close_is_obeyed),
		cmocka_unit_test(http_1_0_closes_unless_asked_not_to),
		cmocka_unit_test(a_head_request_without_fields_has_no_body),
		cmocka_unit_test(an_error_after_a_head_request_has_its_body),
		cmocka_unit_test(pipelined_requests_are_answered_in_order),
		cmocka_unit_test(a_half_closed_client_gets_all_of_its_answers),
		cmocka_unit_test(a_client_that_half_closes_while_its_handler_waits_is_answered),
		cmocka_unit_test(a_head_may_be_cut_anywhere),
		cmocka_unit_test(a_head_may_come_byte_by_byte),
		cmocka_unit_test(a_head_over_the_limit_is_431),
		cmocka_unit_test(a_body_of_any_length_up_to_the_limit_arrives),
		cmocka_unit_test(a_body_may_come_in_many_segments),
		cmocka_unit_test(a_chunked_body_is_put_together),
		cmocka_unit_test(a_body_over_the_limit_is_413),
		cmocka_unit_test(expect_100_is_answered_before_the_body),
		cmocka_unit_test(a_client_that_leaves_in_its_body_is_forgotten),
		cmocka_unit_test(a_reset_while_the_handler_waits_frees_when_it_returns),
		cmocka_unit_test(a_reset_while_bytes_are_in_flight_frees_them),
		cmocka_unit_test(a_client_that_does_not_read_is_cut_off),
		cmocka_unit_test(a_slow_reader_that_gets_on_is_served),
		cmocka_unit_test(a_slow_head_is_408_and_the_end),
		cmocka_unit_test(a_slow_body_is_408),
		cmocka_unit_test(an_idle_connection_is_closed_after_its_time),
		cmocka_unit_test(a_busy_connection_is_not_idle),
		cmocka_unit_test(a_handler_that_never_answers_costs_its_connection),
		cmocka_unit_test(a_request_whose_turn_never_comes_is_503),
		cmocka_unit_test(requests_wait_for_a_fiber_in_order),
		cmocka_unit_test(connections_beyond_the_pool_are_refused_until_there_is_room),
		cmocka_unit_test(a_new_connection_takes_the_place_of_an_idle_one),
		cmocka_unit_test(idle_connections_do_not_shut_out_others),
		cmocka_unit_test(a_page_too_large_for_the_memory_is_503_and_the_server_lives),
		cmocka_unit_test(a_response_that_finds_no_memory_is_503),
		cmocka_unit_test(no_room_for_a_body_is_503),
		cmocka_unit_test(no_room_for_heads_costs_those_that_dribble_them),
		cmocka_unit_test(no_room_for_a_head_that_was_cut_is_503),
		cmocka_unit_test(a_request_is_answered_with_any_memory),
		cmocka_unit_test(a_drain_finishes_what_has_begun),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
