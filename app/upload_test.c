/* Bodies that a handler reads piece by piece. */
#include "support/site_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct world *start(void)
{
	return world_new((struct world_options){.seed = 6});
}

static void end(struct world *w)
{
	struct client *c = client_new(w);
	struct answer a = client_get(c, "/text");
	assert_int_equal(a.status, 200);
	world_end(w);
}

static uint8_t byte_at(size_t i)
{
	return (uint8_t)(i * 13 + (i >> 7));
}

static void put_head(struct client *c, const char *target, const char *fields)
{
	char head[300];
	snprintf(head, sizeof head, "PUT %s HTTP/1.1\r\nHost: t\r\n%s\r\n", target, fields);
	client_text(c, head);
}

static void put_length(struct client *c, const char *target, size_t len)
{
	char field[64];
	snprintf(field, sizeof field, "Content-Length: %zu\r\n", len);
	put_head(c, target, field);
}

static void send_bytes(struct client *c, size_t from, size_t to)
{
	uint8_t *bytes = malloc(to - from + 1);
	assert_non_null(bytes);
	for (size_t i = from; i < to; i++)
		bytes[i - from] = byte_at(i);
	client_send(c, slice_of(bytes, to - from));
	free(bytes);
}

static void check_sum(struct client *c, size_t len)
{
	uint64_t sum = 0;
	char text[64];
	for (size_t i = 0; i < len; i++)
		sum = sum * 31 + byte_at(i);
	snprintf(text, sizeof text, "%zu %lu", len, (unsigned long)sum);
	struct answer a = client_answer(c);
	assert_int_equal(a.status, 200);
	assert_text(a.body, text);
}

/* --- Reading ---------------------------------------------------------------------------------- */

static void a_body_of_any_length_is_read_in_pieces_of_any_length(void **state)
{
	(void)state;
	static const size_t lengths[] = {0, 1, 2, 100, 1460, 4095, 4096, 4097, 100000, 1000000};
	static const char *const targets[] = {"/upload", "/upload?full=1", "/upload?piece=7", "/upload?piece=1000&full=1",
		"/upload/gathered?piece=100", "/upload/gathered?full=1"};
	struct world *w = start();
	struct client *c = client_new(w);
	for (size_t t = 0; t < ARRAY_LEN(targets); t++)
		for (size_t i = 0; i < ARRAY_LEN(lengths) - (t >= 2 ? 2 : 0); i++) {
			put_length(c, targets[t], lengths[i]);
			send_bytes(c, 0, lengths[i]);
			check_sum(c, lengths[i]);
		}
	assert_int_equal(server_stats(w->server).connections, 1);
	end(w);
}

static void a_chunked_body_may_be_cut_anywhere(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	uint8_t body[64], sent[200];
	size_t n = 0;
	for (size_t i = 0; i < sizeof body; i++)
		body[i] = byte_at(i);
	n += (size_t)sprintf((char *)sent + n, "5;x=y\r\n");
	memcpy(sent + n, body, 5);
	n += 5 + (size_t)sprintf((char *)sent + n + 5, "\r\n3b\r\n");
	memcpy(sent + n, body + 5, 59);
	n += 59 + (size_t)sprintf((char *)sent + n + 59, "\r\n0\r\nX-Trailer: checked\r\n\r\n");
	for (size_t cut = 0; cut <= n; cut++) {
		put_head(c, "/upload?piece=9", "Transfer-Encoding: chunked\r\n");
		client_segment(c, slice_of(sent, cut));
		client_segment(c, slice_of(sent + cut, n - cut));
		check_sum(c, sizeof body);
	}
	end(w);
}

static void what_follows_a_body_is_the_next_request(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	put_length(c, "/upload", 5000);
	send_bytes(c, 0, 5000);
	client_text(c, "GET /text HTTP/1.1\r\nHost: t\r\n\r\n");
	put_length(c, "/upload?full=1", 300);
	send_bytes(c, 0, 300);
	check_sum(c, 5000);
	struct answer a = client_answer(c);
	assert_text(a.body, "plain & simple");
	check_sum(c, 300);
	end(w);
}

static void the_handler_begins_before_the_body_has_come(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	put_length(c, "/upload", 200000);
	world_pass(w, SECOND);
	assert_int_equal(w->calls, 1);
	send_bytes(c, 0, 100);
	world_pass(w, SECOND);
	assert_int_equal(w->bytes_read, 100);
	send_bytes(c, 100, 200000);
	check_sum(c, 200000);
	end(w);
}

/* What is not asked for stays with the client. */
static void a_handler_that_does_not_read_holds_the_client_back(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	static const char *const targets[] = {"/upload?gate=1", "/upload?gate=2"};
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		put_length(c, targets[i], 3000000);
		send_bytes(c, 0, 3000000);
		world_pass(w, 100 * SECOND); /* nor is it cut off: it is not to blame */
		assert_int_equal(w->at_gate, 1);
		assert_int_equal(w->server->blocks.used, 0);
		/* Not more than a receive window: the body has 2,000. */
		assert_true(net_usage(w->station[SERVER].net).rx_frames < 1000);
		struct answer a = client_get(client_new(w), "/page");
		assert_int_equal(a.status, 200);
		fiber_queue_wake_all(&w->gate);
		check_sum(c, 3000000);
		assert_int_equal(w->server->blocks.used + w->server->bodies.used, 0);
	}
	end(w);
}

static void a_body_and_then_an_answer_of_any_length(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	put_length(c, "/upload/echo", 2000);
	send_bytes(c, 0, 2000);
	struct answer a = client_answer(c);
	assert_int_equal(a.body.len, 200000);
	assert_int_equal(a.body.ptr[199999], byte_at(1999));
	end(w);
}

/* --- Expect ----------------------------------------------------------------------------------- */

static void continue_is_sent_at_the_first_read(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	put_head(c, "/upload?gate=1", "Content-Length: 10\r\nExpect: 100-continue\r\n");
	world_pass(w, SECOND);
	assert_int_equal(client_unread(c).len, 0);
	fiber_queue_wake_all(&w->gate);
	struct answer a = client_answer(c);
	assert_int_equal(a.status, 100);
	send_bytes(c, 0, 10);
	check_sum(c, 10);
	end(w);
}

static void continue_is_not_sent_for_a_body_that_nobody_reads(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	put_head(c, "/upload/ignored", "Content-Length: 10\r\nExpect: 100-continue\r\n");
	struct answer a = client_answer(c);
	assert_int_equal(a.status, 200);
	assert_text(answer_field(&a, "Connection"), "close");
	end(w);
}

/* --- Limits ----------------------------------------------------------------------------------- */

static void a_route_has_its_own_limit(void **state)
{
	(void)state;
	struct world *w = start();
	static const struct {
		const char *target;
		size_t max;
		bool begins;
	} limits[] = {{"/upload", UPLOAD_MAX, true}, {"/upload/small", BODY_SMALL, false},
		{"/upload/gathered", SERVER_BODY_MAX, false}};
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		struct client *c = client_new(w);
		w->calls = w->ends = 0;
		put_length(c, limits[i].target, limits[i].max);
		send_bytes(c, 0, limits[i].max);
		check_sum(c, limits[i].max);
		put_length(c, limits[i].target, limits[i].max + 1);
		struct answer a = client_answer(c);
		assert_int_equal(a.status, 413);
		assert_text(answer_field(&a, "Connection"), "close");
		assert_int_equal(w->calls, 1);
		/* One that does not say so beforehand. */
		c = client_new(w);
		char size[32];
		snprintf(size, sizeof size, "%zx\r\n", limits[i].max);
		put_head(c, limits[i].target, "Transfer-Encoding: chunked\r\n");
		client_text(c, size);
		send_bytes(c, 0, limits[i].max);
		client_text(c, "\r\n1\r\nx\r\n0\r\n\r\n");
		a = client_answer(c);
		assert_int_equal(a.status, 413);
		assert_int_equal(w->ends, 1);
		assert_int_equal(w->calls, 1 + limits[i].begins);
	}
	end(w);
}

static void what_a_handler_leaves_is_discarded_or_closes(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	put_length(c, "/upload/ignored", 5000);
	send_bytes(c, 0, 5000);
	struct answer a = client_answer(c);
	assert_text(a.body, "not read");
	put_length(c, "/upload/start", 60000);
	send_bytes(c, 0, 60000);
	a = client_answer(c);
	assert_int_equal(a.body.len, 5);
	put_length(c, "/upload/start", 3); /* shorter than what it wants */
	send_bytes(c, 0, 3);
	a = client_answer(c);
	assert_int_equal(a.status, 200);
	assert_int_equal(answer_field(&a, "Connection").len, 0);
	put_length(c, "/upload/ignored", 1000000);
	send_bytes(c, 0, 100000);
	a = client_answer(c);
	assert_int_equal(a.status, 200);
	assert_text(answer_field(&a, "Connection"), "close");
	assert_int_equal(server_stats(w->server).connections, 1);
	end(w);
}

/* --- What goes wrong -------------------------------------------------------------------------- */

static bool nobody_streams(void *world)
{
	return ((struct world *)world)->server->streams == 0;
}

static void a_client_that_leaves_fails_the_request(void **state)
{
	(void)state;
	struct world *w = start();
	for (int how = 0; how < 3; how++) {
		struct client *c = client_new(w);
		put_length(c, how == 2 ? "/upload?gate=1" : "/upload?full=1", 100000);
		send_bytes(c, 0, 5000);
		world_pass(w, SECOND);
		assert_int_equal(w->calls, how + 1);
		if (how == 1)
			client_close(c);
		else
			client_reset(c);
		world_pass(w, SECOND);
		fiber_queue_wake_all(&w->gate);
		world_until(w, nobody_streams, w);
		world_pass(w, SECOND);
		assert_int_equal(w->ends, 0);
	}
	end(w);
}

static void a_body_that_is_too_slow_is_408(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	put_length(c, "/upload", 100000);
	send_bytes(c, 0, 1000);
	struct answer a = client_answer(c);
	assert_int_equal(a.status, 408);
	assert_text(answer_field(&a, "Connection"), "close");
	assert_int_equal(w->ends, 0);
	end(w);
}

static void a_slow_body_that_gets_on_is_taken(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	put_length(c, "/upload", 100000);
	for (size_t i = 0; i < 100; i++) {
		send_bytes(c, i * 1000, i * 1000 + 1000);
		world_pass(w, 900 * MS);
	}
	check_sum(c, 100000);
	end(w);
}

static void malformed_framing_is_400(void **state)
{
	(void)state;
	struct world *w = start();
	static const char *const bodies[] = {"x\r\n", "5\r\nhelloX\r\n", "5\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\nbad\r\n\r\n",
		"fffffffffffffffff\r\n"};
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct client *c = client_new(w);
		put_head(c, "/upload?full=1", "Transfer-Encoding: chunked\r\n");
		client_text(c, bodies[i]);
		struct answer a = client_answer(c);
		assert_int_equal(a.status, 400);
		assert_text(answer_field(&a, "Connection"), "close");
	}
	assert_int_equal(w->ends, 0);
	end(w);
}

static void mistakes_are_named(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	put_length(c, "/upload/late", 3);
	send_bytes(c, 0, 3);
	struct answer a = client_answer(c);
	assert_int_equal(a.status, 500);
	assert_true(world_logged(w, "request_read after reply_begin"));
	c = client_new(w);
	a = client_ask(c, "POST", "/upload/form", "Content-Type: application/x-www-form-urlencoded\r\n", "a=b");
	assert_int_equal(a.status, 500);
	assert_true(world_logged(w, "form_open in a route that is BODY_STREAMED"));
	end(w);
}

static void uploads_leave_fibers_to_others(void **state)
{
	(void)state;
	struct world *w = world_new((struct world_options){.seed = 6, .fibers = 4});
	struct client *c[5];
	for (int i = 0; i < 5; i++) {
		c[i] = client_new(w);
		put_length(c[i], "/upload", 20000);
		world_pass(w, 10 * MS);
	}
	struct answer a = client_answer(c[3]);
	assert_int_equal(a.status, 503);
	a = client_get(client_new(w), "/page");
	assert_int_equal(a.status, 200);
	for (int i = 0; i < 3; i++)
		send_bytes(c[i], 0, 20000);
	for (int i = 0; i < 3; i++)
		check_sum(c[i], 20000);
	end(w);
}

/* A byte now and then is no progress; a handler that is slow itself is not its client's fault. */
static void who_dribbles_makes_room_for_who_does_not(void **state)
{
	(void)state;
	struct world *w = world_new((struct world_options){.seed = 6, .fibers = 4});
	struct client *gate = client_new(w), *slow[2], *c = client_new(w);
	put_length(gate, "/upload?gate=2", 20000);
	send_bytes(gate, 0, 20000);
	for (int i = 0; i < 2; i++) {
		slow[i] = client_new(w);
		put_length(slow[i], "/upload", 20000);
	}
	for (size_t n = 0; n < 20; n++) {
		for (int i = 0; i < 2; i++)
			send_bytes(slow[i], n, n + 1);
		world_pass(w, 100 * MS);
	}
	assert_int_equal(w->server->streams, 3);
	put_length(c, "/upload", 5000);
	send_bytes(c, 0, 5000);
	check_sum(c, 5000);
	world_pass(w, 10 * MS);
	assert_true(slow[0]->reset != slow[1]->reset);
	fiber_queue_wake_all(&w->gate);
	check_sum(gate, 20000);
	end(w);
}

static void an_upload_goes_into_the_database_in_pieces(void **state)
{
	(void)state;
	struct world *w = world_new((struct world_options){.seed = 6, .database = true});
	struct client *c = client_new(w);
	put_length(c, "/upload/store", 500000);
	for (size_t i = 0; i < 50; i++) { /* longer than the time that a request's SQL has */
		send_bytes(c, i * 10000, i * 10000 + 10000);
		world_pass(w, SECOND);
	}
	struct answer a = client_answer(c);
	assert_int_equal(a.status, 200);
	assert_text(a.body, "123");
	c = client_new(w);
	put_length(c, "/upload/store", 50000);
	send_bytes(c, 0, 10000);
	world_pass(w, SECOND);
	client_reset(c);
	world_until(w, nobody_streams, w);
	end(w);
}

#define MANY 12 /* more than the database has connections */

static struct world *start_with_many(void)
{
	return world_new((struct world_options){.seed = 6, .database = true, .fibers = 20});
}

/* Between its statements a handler that waits for its client has none of the database's connections. */
static void slow_uploads_do_not_hold_the_database(void **state)
{
	(void)state;
	struct world *w = start_with_many();
	struct client *c[MANY];
	for (int i = 0; i < MANY; i++) {
		c[i] = client_new(w);
		put_length(c[i], "/upload/store", 30000);
		send_bytes(c[i], 0, 5000);
	}
	world_pass(w, SECOND);
	struct answer a = client_ask(client_new(w), "POST", "/sql/add?name=x", "", "");
	assert_int_equal(a.status, 303);
	assert_int_equal(w->server->streams, MANY);
	for (int i = 0; i < MANY; i++)
		send_bytes(c[i], 5000, 30000);
	for (int i = 0; i < MANY; i++) {
		a = client_answer(c[i]);
		assert_text(a.body, "8");
	}
	end(w);
}

static void an_upload_in_a_transaction_gives_way_to_other_writers(void **state)
{
	(void)state;
	struct world *w = start_with_many();
	struct client *c = client_new(w);
	put_length(c, "/upload/transaction", 20000);
	send_bytes(c, 0, 5000);
	world_pass(w, 5 * SECOND); /* nobody waits */
	send_bytes(c, 5000, 20000);
	struct answer a = client_answer(c);
	assert_int_equal(a.status, 201);
	put_length(c, "/upload/transaction", 20000);
	send_bytes(c, 0, 5000);
	world_pass(w, SECOND);
	uint64_t begun_ns = w->sim.now_ns;
	a = client_ask(client_new(w), "POST", "/sql/add?name=x", "", "");
	assert_int_equal(a.status, 303);
	assert_true(w->sim.now_ns - begun_ns < 2 * SECOND);
	world_pass(w, 10 * MS);
	assert_true(c->reset);
	a = client_get(client_new(w), "/sql/count");
	assert_text(a.body, "3"); /* and what it had begun is undone */
	end(w);
}

static void an_id_stays_known_while_the_client_is_waited_for(void **state)
{
	(void)state;
	struct world *w = start_with_many();
	struct client *c = client_new(w);
	put_length(c, "/upload/last-id", 1000);
	world_pass(w, SECOND);
	for (int i = 0; i < 3; i++) { /* on the same connection */
		char target[40];
		snprintf(target, sizeof target, "/sql/add?name=%d", i);
		struct answer a = client_ask(client_new(w), "POST", target, "", "");
		assert_int_equal(a.status, 303);
	}
	send_bytes(c, 0, 1000);
	struct answer a = client_answer(c);
	assert_text(a.body, "1 1 1 4");
	end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_body_of_any_length_is_read_in_pieces_of_any_length),
		cmocka_unit_test(a_chunked_body_may_be_cut_anywhere),
		cmocka_unit_test(what_follows_a_body_is_the_next_request),
		cmocka_unit_test(the_handler_begins_before_the_body_has_come),
		cmocka_unit_test(a_handler_that_does_not_read_holds_the_client_back),
		cmocka_unit_test(a_body_and_then_an_answer_of_any_length),
		cmocka_unit_test(continue_is_sent_at_the_first_read),
		cmocka_unit_test(continue_is_not_sent_for_a_body_that_nobody_reads),
		cmocka_unit_test(a_route_has_its_own_limit),
		cmocka_unit_test(what_a_handler_leaves_is_discarded_or_closes),
		cmocka_unit_test(a_client_that_leaves_fails_the_request),
		cmocka_unit_test(a_body_that_is_too_slow_is_408),
		cmocka_unit_test(a_slow_body_that_gets_on_is_taken),
		cmocka_unit_test(malformed_framing_is_400),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(uploads_leave_fibers_to_others),
		cmocka_unit_test(who_dribbles_makes_room_for_who_does_not),
		cmocka_unit_test(an_upload_goes_into_the_database_in_pieces),
		cmocka_unit_test(slow_uploads_do_not_hold_the_database),
		cmocka_unit_test(an_upload_in_a_transaction_gives_way_to_other_writers),
		cmocka_unit_test(an_id_stays_known_while_the_client_is_waited_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
