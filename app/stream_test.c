/* Answers made piece by piece, and server-sent events. */
#include "support/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACK_TIME (100 * MS)
#define STREAM_MEMORY (8 * SERVER_BLOCK_SIZE) /* for the pieces of one answer */

static struct world *start(void)
{
	return world_new((struct world_options){.seed = 5});
}

static struct world *start_with_database(void)
{
	return world_new((struct world_options){.seed = 5, .database = true});
}

/* The server still serves, no handler runs any more, and everything comes back. */
static void end(struct world *w)
{
	struct client *c = client_new(w);
	struct answer a = client_get(c, "/text");
	assert_int_equal(a.status, 200);
	world_end(w);
	/* (world_end has checked the pools.) */
}

static void ask(struct client *c, const char *target)
{
	char head[300];
	snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: t\r\n\r\n", target);
	client_text(c, head);
}

static bool starts_with(struct slice s, const char *text)
{
	return slice_starts_with(s, slice_from_cstr(text));
}

static void check_lines(struct slice body, int count)
{
	char line[32];
	size_t at = 0;
	for (int i = 0; i < count; i++) {
		size_t n = (size_t)snprintf(line, sizeof line, "line %d\n", i);
		assert_true(starts_with(slice_sub(body, at, n), line));
		at += n;
	}
	assert_int_equal(at, body.len);
}

static bool handler_has_ended(void *world)
{
	return ((struct world *)world)->ends > 0;
}

/* --- Framing ---------------------------------------------------------------------------------- */

static void a_long_answer_comes_in_chunks_and_the_connection_persists(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	for (int i = 0; i < 3; i++) {
		struct answer a = client_get(c, "/stream/lines?n=100000");
		assert_int_equal(a.status, 200);
		assert_text(answer_field(&a, "Transfer-Encoding"), "chunked");
		assert_text(answer_field(&a, "Content-Type"), "text/plain");
		check_lines(a.body, 100000);
	}
	assert_int_equal(server_stats(w->server).connections, 1);
	assert_int_equal(server_stats(w->server).responses, 3);
	end(w);
}

static void an_answer_that_fits_has_a_length(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	struct answer a = client_get(c, "/stream/lines?n=3");
	assert_int_equal(answer_field(&a, "Transfer-Encoding").len, 0);
	assert_text(answer_field(&a, "Content-Length"), "21");
	check_lines(a.body, 3);
	a = client_get(c, "/stream/lines?n=0");
	assert_text(answer_field(&a, "Content-Length"), "0");
	a = client_get(c, "/stream/lines?n=2");
	check_lines(a.body, 2);
	end(w);
}

/* Whole pieces, and one byte more or less: 8 KiB are some 800 lines. */
static void answers_of_any_length_are_whole(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	char target[64];
	for (int n = 700; n < 1000; n += 3) {
		snprintf(target, sizeof target, "/stream/lines?n=%d", n);
		struct answer a = client_get(c, target);
		check_lines(a.body, n);
	}
	end(w);
}

static void an_answer_of_a_known_length_is_not_chunked(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	struct answer a = client_get(c, "/stream/length?n=100000&say=100000");
	assert_text(answer_field(&a, "Content-Length"), "100000");
	assert_int_equal(a.body.len, 100000);
	a = client_get(c, "/stream/length?n=0&say=0");
	assert_int_equal(a.body.len, 0);
	a = client_get(c, "/text");
	assert_int_equal(a.status, 200);
	end(w);
}

static void a_client_of_http_1_0_gets_it_until_the_end_of_the_connection(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	client_text(c, "GET /stream/lines?n=5000 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	world_until(w, client_is_closed, c);
	struct slice all = client_unread(c);
	assert_true(slice_has(slice_sub(all, 0, 400), "Connection: close\r\n"));
	assert_false(slice_has(slice_sub(all, 0, 400), "Transfer-Encoding"));
	const uint8_t *body = memmem(all.ptr, all.len, "\r\n\r\n", 4);
	check_lines(slice_of(body + 4, (size_t)(all.ptr + all.len - body - 4)), 5000);
	assert_false(c->reset);
	c = client_new(w);
	client_text(c, "GET /stream/lines?n=2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	struct answer a = client_answer(c);
	assert_text(answer_field(&a, "Connection"), "keep-alive"); /* it fits, and has a length */
	end(w);
}

static void a_head_request_gets_the_head_and_ends_the_handler(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	struct answer a = client_ask(c, "HEAD", "/stream/endless", "", "");
	assert_int_equal(a.status, 200);
	world_until(w, handler_has_ended, w);
	assert_int_equal(w->calls, 0);
	a = client_ask(c, "HEAD", "/stream/length?n=7&say=7", "", "");
	assert_text(answer_field(&a, "Content-Length"), "7");
	a = client_get(c, "/text");
	assert_int_equal(a.status, 200);
	end(w);
}

static void a_status_without_a_body_has_none(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	struct answer a = client_get(c, "/stream/status?n=204");
	assert_int_equal(a.status, 204);
	assert_int_equal(answer_field(&a, "Transfer-Encoding").len, 0);
	a = client_get(c, "/stream/status?n=304");
	assert_int_equal(a.status, 304);
	a = client_get(c, "/text");
	assert_int_equal(a.status, 200);
	end(w);
}

static void pipelined_requests_wait_for_its_end(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	ask(c, "/stream/lines?n=50000");
	ask(c, "/text");
	ask(c, "/stream/lines?n=2");
	ask(c, "/site.css");
	struct answer a = client_answer(c);
	check_lines(a.body, 50000);
	a = client_answer(c);
	assert_text(a.body, "plain & simple");
	a = client_answer(c);
	check_lines(a.body, 2);
	a = client_answer(c);
	assert_int_equal(a.status, 200);
	end(w);
}

static void pieces_of_pages_are_escaped(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	struct answer a = client_get(c, "/stream/pages");
	assert_has(a.body, "<p>&lt;0&gt;</p>");
	assert_has(a.body, "<p>&lt;99&gt;</p>");
	assert_true(a.body.len > 80000);
	end(w);
}

/* --- Time ------------------------------------------------------------------------------------- */

static void a_flushed_piece_arrives_while_the_handler_waits(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	ask(c, "/stream/gate");
	world_pass(w, SECOND);
	assert_int_equal(w->at_gate, 1);
	assert_true(slice_has(client_unread(c), "first "));
	/* Longer than any deadline: the client is not to blame. */
	world_pass(w, 200 * SECOND);
	assert_false(c->closed);
	fiber_queue_wake_all(&w->gate);
	struct answer a = client_answer(c);
	assert_text(a.body, "first second");
	end(w);
}

static void what_is_not_flushed_waits(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	ask(c, "/stream/gate?flush=0");
	world_pass(w, SECOND);
	assert_int_equal(client_unread(c).len, 0);
	fiber_queue_wake_all(&w->gate);
	struct answer a = client_answer(c);
	assert_text(a.body, "first second");
	end(w);
}

static void an_answer_that_the_client_has_before_its_handler_returns_ends(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	ask(c, "/stream/length?n=20000&say=20000&gate=1");
	ask(c, "/text");
	world_pass(w, SECOND);
	struct answer a = client_answer(c);
	assert_int_equal(a.body.len, 20000);
	world_pass(w, 100 * SECOND);
	assert_int_equal(client_unread(c).len, 0);
	fiber_queue_wake_all(&w->gate);
	a = client_answer(c);
	assert_text(a.body, "plain & simple");
	end(w);
}

/* A head that never comes is the handler's fault, and has the deadline of all answers. */
static void an_answer_that_never_begins_costs_its_connection(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	ask(c, "/stream/gate?flush=0");
	world_until(w, client_is_closed, c);
	assert_int_equal(client_unread(c).len, 0);
	fiber_queue_wake_all(&w->gate);
	world_until(w, handler_has_ended, w);
	end(w);
}

/* --- Back-pressure ---------------------------------------------------------------------------- */

static void a_client_that_does_not_read_stops_its_handler_only(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w), *other = client_new(w);
	c->stalled = true;
	ask(c, "/stream/endless");
	world_pass(w, 5 * SECOND);
	uint32_t calls = w->calls;
	assert_true(w->server->blocks.used * SERVER_BLOCK_SIZE <= STREAM_MEMORY + SERVER_BLOCK_SIZE);
	assert_true(calls > 100);
	for (int i = 0; i < 20; i++) {
		struct answer a = client_get(other, i % 2 ? "/stream/lines?n=1000" : "/page");
		assert_int_equal(a.status, 200);
	}
	assert_int_equal(w->calls, calls);
	/* When it takes something, the handler goes on. */
	client_read(c, 64 << 10);
	world_pass(w, 5 * SECOND);
	assert_true(w->calls > calls);
	/* In the end it is cut off. */
	w->ends = 0;
	world_until(w, handler_has_ended, w);
	world_pass(w, SECOND);
	assert_int_equal(w->server->blocks.used, 0);
	end(w);
}

static void a_slow_reader_that_gets_on_is_served_to_the_end(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	c->stalled = true;
	ask(c, "/stream/length?n=1000000&say=1000000");
	for (int i = 0; i < 100; i++) {
		world_pass(w, 5 * SECOND);
		client_read(c, 16 << 10);
	}
	c->stalled = false;
	struct answer a = client_answer(c);
	assert_int_equal(a.body.len, 1000000);
	end(w);
}

static void a_client_that_leaves_ends_the_handler(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	ask(c, "/stream/endless");
	world_pass(w, 50 * MS);
	assert_int_equal(w->ends, 0);
	client_reset(c);
	world_until(w, handler_has_ended, w);
	w->ends = 0;
	c = client_new(w);
	c->stalled = true;
	ask(c, "/stream/endless");
	world_pass(w, 5 * SECOND);
	client_reset(c); /* while it waits for room */
	world_pass(w, SECOND);
	assert_int_equal(w->ends, 1);
	end(w);
}

/* Those who do not read what they have asked for must not hold all the fibers. */
static void who_does_not_read_gives_way_to_who_waits(void **state)
{
	(void)state;
	struct world *w = world_new((struct world_options){.seed = 5, .fibers = 4});
	struct client *slow[3];
	for (int i = 0; i < 3; i++) {
		slow[i] = client_new(w);
		slow[i]->stalled = true;
		ask(slow[i], "/stream/endless");
	}
	world_pass(w, 100 * MS);
	assert_int_equal(w->server->streams, 3);
	/* One fiber is left to others, and a fourth stream is refused while nobody is slow. */
	struct client *c = client_new(w);
	struct answer a = client_get(c, "/stream/lines?n=5");
	assert_int_equal(a.status, 503);
	assert_true(answer_field(&a, "Retry-After").len > 0);
	world_pass(w, SECOND);
	a = client_get(c, "/stream/lines?n=5");
	assert_int_equal(a.status, 200);
	assert_int_equal(w->ends, 2); /* of it, and of the slowest */
	slow[0] = client_new(w);
	slow[0]->stalled = true;
	ask(slow[0], "/stream/endless");
	world_pass(w, SECOND);
	assert_int_equal(w->server->streams, 3);
	w->ends = 0;
	ask(c, "/wait?name=a"); /* takes it */
	world_pass(w, SECOND);
	struct client *d = client_new(w);
	a = client_get(d, "/page");
	assert_int_equal(a.status, 200);
	assert_true(w->ends > 0);
	fiber_queue_wake_all(&w->gate);
	a = client_answer(c);
	assert_int_equal(a.status, 200);
	end(w);
}

static void without_memory_a_stream_waits_or_fails_but_the_server_lives(void **state)
{
	(void)state;
	struct world *w = world_new((struct world_options){.seed = 5, .blocks = 8});
	struct client *c[4];
	for (int i = 0; i < 4; i++) {
		c[i] = client_new(w);
		c[i]->stalled = i < 3;
		ask(c[i], "/stream/lines?n=100000");
	}
	world_pass(w, 10 * SECOND);
	assert_true(w->server->blocks.used <= 8);
	for (int i = 0; i < 4; i++)
		c[i]->stalled = false;
	world_pass(w, 60 * SECOND);
	int whole = 0;
	for (int i = 0; i < 4; i++) {
		struct answer a;
		bool answered = client_has_answer(c[i], false, &a);
		assert_true(answered ? a.status == 200 || a.status == 503 : c[i]->reset);
		if (answered && a.status == 200)
			check_lines(a.body, 100000);
		whole += answered && a.status == 200;
	}
	assert_true(whole >= 2);
	end(w);
}

/* The Nth block that is asked for is not there. */
static void an_answer_is_whole_or_refused_with_any_memory(void **state)
{
	(void)state;
	for (uint32_t blocks = 1; blocks < 8; blocks++) {
		struct world *w = world_new((struct world_options){.seed = 5, .blocks = blocks});
		struct client *c = client_new(w);
		struct answer a = client_get(c, "/stream/lines?n=5000");
		if (a.status == 200)
			check_lines(a.body, 5000);
		else
			assert_int_equal(a.status, 503);
		assert_true(blocks < 2 || a.status == 200);
		a = client_get(c, "/stream/pages");
		assert_true(a.status == 200 || a.status == 503);
		end(w);
	}
}

static void lost_frames_lose_nothing(void **state)
{
	(void)state;
	struct world *w = start();
	w->loss = 300;
	w->delay_ns = 5 * MS;
	struct client *c = client_new(w);
	struct answer a = client_get(c, "/stream/lines?n=50000");
	check_lines(a.body, 50000);
	end(w);
}

/* --- Failures --------------------------------------------------------------------------------- */

/* The connection ends without the last chunk, or by RST. */
static void check_cut(struct world *w, const char *target)
{
	struct client *c = client_new(w);
	struct answer a;
	ask(c, target);
	world_until(w, client_is_closed, c);
	struct slice all = client_unread(c);
	assert_true(starts_with(all, "HTTP/1.1 200 "));
	assert_false(slice_has(all, "never sent"));
	assert_false(client_has_answer(c, false, &a));
	c = client_new(w);
	char head[200];
	snprintf(head, sizeof head, "GET %s HTTP/1.0\r\n\r\n", target);
	client_text(c, head);
	world_until(w, client_is_closed, c);
	assert_true(c->reset || slice_has(client_unread(c), "Content-Length"));
	assert_false(slice_has(client_unread(c), "never sent"));
}

static void a_failure_before_the_head_is_an_error_page(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	struct answer a = client_get(c, "/stream/cut");
	assert_int_equal(a.status, 500);
	a = client_get(c, "/stream/bad-header");
	assert_int_equal(a.status, 500);
	assert_true(world_logged(w, "the header field \"X-Name\" is malformed"));
	a = client_get(c, "/stream/length?n=5&say=6");
	assert_int_equal(a.status, 500);
	a = client_get(c, "/stream/length?n=7&say=6");
	assert_int_equal(a.status, 500);
	a = client_get(c, "/text");
	assert_int_equal(a.status, 200);
	end(w);
}

static void a_failure_after_the_head_cuts_the_connection(void **state)
{
	(void)state;
	struct world *w = start();
	check_cut(w, "/stream/cut?flush=1");
	check_cut(w, "/stream/length?n=50000&say=50001");
	assert_true(world_logged(w, "and reply_begin_length said 50001"));
	check_cut(w, "/stream/length?n=50001&say=50000");
	assert_true(world_logged(w, "longer than"));
	end(w);
}

static void mistakes_are_named(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	struct answer a = client_get(c, "/stream/status?n=1000");
	assert_int_equal(a.status, 500);
	assert_true(world_logged(w, "1000 is not a status"));
	a = client_get(c, "/stream/no-begin");
	assert_int_equal(a.status, 500);
	assert_true(world_logged(w, "reply_write without reply_begin"));
	a = client_get(c, "/stream/twice");
	assert_int_equal(a.status, 500);
	assert_true(world_logged(w, "second answer"));
	a = client_get(c, "/stream/late-header");
	assert_int_equal(a.status, 500);
	assert_true(world_logged(w, "reply_header of X-Late after the body"));
	end(w);
}

/* --- The database ----------------------------------------------------------------------------- */

static void rows_of_any_number_are_streamed(void **state)
{
	(void)state;
	struct world *w = start_with_database();
	struct client *c = client_new(w);
	struct answer a = client_get(c, "/stream/rows?n=50000");
	assert_int_equal(a.status, 200);
	assert_true(starts_with(a.body, "1,name 1\n2,name 2\n"));
	assert_has(slice_sub(a.body, a.body.len - 20, 20), "50000,name 50000\n");
	a = client_get(c, "/sql/count");
	assert_text(a.body, "0");
	end(w);
}

/* Three minutes: six times what a request's SQL has. */
static void a_slow_reader_of_rows_does_not_run_into_the_deadline(void **state)
{
	(void)state;
	struct world *w = start_with_database();
	struct client *c = client_new(w);
	c->stalled = true;
	ask(c, "/stream/rows?n=50000");
	for (int i = 0; i < 36; i++) {
		world_pass(w, 5 * SECOND);
		client_read(c, 16 << 10);
	}
	c->stalled = false;
	struct answer a = client_answer(c);
	assert_has(slice_sub(a.body, a.body.len - 20, 20), "50000,name 50000\n");
	end(w);
}

static void who_does_not_read_rows_gives_way_to_who_waits_for_the_database(void **state)
{
	(void)state;
	enum { MANY = 12 }; /* more than it has connections */
	struct world *w = world_new((struct world_options){.seed = 5, .database = true, .fibers = 20, .blocks = 256});
	struct client *slow[MANY];
	for (int i = 0; i < MANY; i++) {
		slow[i] = client_new(w);
		slow[i]->stalled = true;
		ask(slow[i], "/stream/rows?n=1000000");
	}
	world_pass(w, 20 * MS);
	uint64_t begun_ns = w->sim.now_ns;
	struct answer a = client_get(client_new(w), "/sql/count");
	assert_int_equal(a.status, 200);
	assert_true(w->sim.now_ns - begun_ns < 5 * SECOND);
	end(w);
}

/* A client that has closed its side and reads on. */
static void a_half_closed_client_gets_all_of_its_rows(void **state)
{
	(void)state;
	struct world *w = start_with_database();
	struct client *c = client_new(w);
	c->stalled = true;
	ask(c, "/stream/rows?n=50000");
	client_close(c);
	for (int i = 0; i < 20; i++) {
		world_pass(w, 4 * SECOND);
		client_read(c, 16 << 10);
	}
	c->stalled = false;
	struct answer a = client_answer(c);
	assert_has(slice_sub(a.body, a.body.len - 20, 20), "50000,name 50000\n");
	end(w);
}

static void each_piece_waits_for_what_it_says_to_be_durable(void **state)
{
	(void)state;
	struct world *w = start_with_database();
	struct client *c = client_new(w);
	uint64_t flushes = w->disk.flushes;
	struct answer a = client_ask(c, "POST", "/stream/after-write", "", "");
	assert_text(a.body, "012end");
	assert_true(w->disk.flushes >= flushes + 4);
	end(w);
}

static void a_failing_statement_is_told(void **state)
{
	(void)state;
	struct world *w = start_with_database();
	struct client *c = client_new(w);
	struct answer a = client_get(c, "/stream/sql-error");
	assert_int_equal(a.status, 500);
	check_cut(w, "/stream/sql-error?flush=1");
	end(w);
}

static void queries_without_end_take_no_memory(void **state)
{
	(void)state;
	struct world *w = start_with_database();
	struct client *c = client_new(w);
	struct answer a = client_get(c, "/sql/many");
	assert_int_equal(a.status, 200);
	assert_text(a.body, "200010000");
	end(w);
}

/* --- Events ----------------------------------------------------------------------------------- */

#define EVENTS "id: 7\nretry: 2000\nevent: note\ndata: two\ndata: lines\n\n" \
	"data: a\ndata: b\ndata: c\ndata: \n\n"

static void events_are_lines(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	struct answer a = client_get(c, "/events?n=2&wait=10");
	assert_text(answer_field(&a, "Content-Type"), "text/event-stream");
	assert_text(answer_field(&a, "Cache-Control"), "no-store");
	assert_text(a.body, EVENTS "data: tick\n\ndata: tick\n\n");
	end(w);
}

static void a_quiet_stream_has_heartbeats_and_lives(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	ask(c, "/events?n=2&wait=100000");
	world_pass(w, 50 * SECOND);
	struct slice all = client_unread(c);
	assert_true(slice_has(all, "\r\n:\n\n\r\n"));
	assert_false(slice_has(all, "tick"));
	world_pass(w, 60 * SECOND);
	assert_true(slice_has(client_unread(c), "tick"));
	struct answer a = client_answer(c);
	assert_int_equal(w->calls, 2);
	assert_int_equal(a.status, 200);
	end(w);
}

static void a_listener_that_leaves_is_noticed(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	ask(c, "/events?n=2&wait=1000000");
	world_pass(w, SECOND);
	client_reset(c);
	world_pass(w, SECOND);
	assert_int_equal(w->ends, 1);
	c = client_new(w);
	ask(c, "/events?n=2&wait=1000000");
	world_pass(w, SECOND);
	client_close(c); /* as a browser's tab does */
	world_pass(w, SECOND);
	assert_int_equal(w->ends, 2);
	assert_int_equal(w->server->streams, 0);
	end(w);
}

static void listeners_hear_of_commits(void **state)
{
	(void)state;
	struct world *w = start_with_database();
	struct client *writer = client_new(w), *c[3];
	for (int i = 0; i < 3; i++) {
		c[i] = client_new(w);
		ask(c[i], "/events/changes");
	}
	world_pass(w, SECOND);
	assert_int_equal(w->calls, 3);
	world_pass(w, 40 * SECOND); /* with no connection of the database's */
	struct answer a = client_ask(writer, "POST", "/sql/add?name=ada", "", "");
	assert_int_equal(a.status, 303);
	world_pass(w, SECOND);
	a = client_ask(writer, "POST", "/sql/add?name=bob", "", "");
	world_pass(w, SECOND);
	for (int i = 0; i < 3; i++) {
		assert_true(slice_has(client_unread(c[i]), "id: 1\ndata: ada\n\n"));
		assert_true(slice_has(client_unread(c[i]), "id: 2\ndata: bob\n\n"));
		client_reset(c[i]);
	}
	assert_int_equal(w->calls, 9);
	struct client *again = client_new(w);
	client_text(again, "GET /events/changes HTTP/1.1\r\nHost: t\r\nLast-Event-ID: 1\r\n\r\n");
	world_pass(w, SECOND);
	assert_false(slice_has(client_unread(again), "ada"));
	assert_true(slice_has(client_unread(again), "id: 2\ndata: bob\n\n"));
	client_reset(again);
	world_pass(w, SECOND);
	assert_int_equal(w->ends, 4);
	end(w);
}

static void a_listener_may_stay_for_ever(void **state)
{
	(void)state;
	struct world *w = start_with_database();
	struct client *writer = client_new(w), *c = client_new(w);
	ask(c, "/events/changes");
	for (int i = 0; i < 10000; i++) {
		c->in_len = c->taken = 0;
		struct answer a = client_ask(writer, "POST", "/sql/touch", "", "");
		assert_int_equal(a.status, 200);
	}
	assert_true(w->calls > 5000 && w->ends == 0);
	client_reset(c);
	world_pass(w, SECOND);
	assert_int_equal(w->ends, 1);
	end(w);
}

static void a_drain_ends_listeners(void **state)
{
	(void)state;
	struct world *w = start_with_database();
	struct client *c = client_new(w), *d = client_new(w);
	ask(c, "/events?n=2&wait=1000000");
	ask(d, "/events/changes");
	world_pass(w, SECOND);
	server_drain(w->server);
	world_pass(w, SECOND);
	assert_int_equal(w->ends, 2);
	assert_true(c->peer_closed && d->peer_closed);
	struct answer a;
	assert_true(client_has_answer(c, false, &a)); /* with its last chunk */
	client_free(c);
	client_free(d);
	world_pass(w, 10 * SECOND);
	assert_true(server_is_drained(w->server));
	world_end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_long_answer_comes_in_chunks_and_the_connection_persists),
		cmocka_unit_test(an_answer_that_fits_has_a_length),
		cmocka_unit_test(answers_of_any_length_are_whole),
		cmocka_unit_test(an_answer_of_a_known_length_is_not_chunked),
		cmocka_unit_test(a_client_of_http_1_0_gets_it_until_the_end_of_the_connection),
		cmocka_unit_test(a_head_request_gets_the_head_and_ends_the_handler),
		cmocka_unit_test(a_status_without_a_body_has_none),
		cmocka_unit_test(pipelined_requests_wait_for_its_end),
		cmocka_unit_test(pieces_of_pages_are_escaped),
		cmocka_unit_test(a_flushed_piece_arrives_while_the_handler_waits),
		cmocka_unit_test(what_is_not_flushed_waits),
		cmocka_unit_test(an_answer_that_the_client_has_before_its_handler_returns_ends),
		cmocka_unit_test(an_answer_that_never_begins_costs_its_connection),
		cmocka_unit_test(a_client_that_does_not_read_stops_its_handler_only),
		cmocka_unit_test(a_slow_reader_that_gets_on_is_served_to_the_end),
		cmocka_unit_test(a_client_that_leaves_ends_the_handler),
		cmocka_unit_test(who_does_not_read_gives_way_to_who_waits),
		cmocka_unit_test(without_memory_a_stream_waits_or_fails_but_the_server_lives),
		cmocka_unit_test(an_answer_is_whole_or_refused_with_any_memory),
		cmocka_unit_test(lost_frames_lose_nothing),
		cmocka_unit_test(a_failure_before_the_head_is_an_error_page),
		cmocka_unit_test(a_failure_after_the_head_cuts_the_connection),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(rows_of_any_number_are_streamed),
		cmocka_unit_test(a_slow_reader_of_rows_does_not_run_into_the_deadline),
		cmocka_unit_test(who_does_not_read_rows_gives_way_to_who_waits_for_the_database),
		cmocka_unit_test(a_half_closed_client_gets_all_of_its_rows),
		cmocka_unit_test(each_piece_waits_for_what_it_says_to_be_durable),
		cmocka_unit_test(a_failing_statement_is_told),
		cmocka_unit_test(queries_without_end_take_no_memory),
		cmocka_unit_test(events_are_lines),
		cmocka_unit_test(a_quiet_stream_has_heartbeats_and_lives),
		cmocka_unit_test(a_listener_that_leaves_is_noticed),
		cmocka_unit_test(listeners_hear_of_commits),
		cmocka_unit_test(a_listener_may_stay_for_ever),
		cmocka_unit_test(a_drain_ends_listeners),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
