#include "support/world.h"

#include <stdio.h>
#include <string.h>

static struct world *start(void)
{
	return world_new((struct world_options){.seed = 5, .database = true});
}

static int64_t entries(struct world *w)
{
	uint64_t n = 0;
	struct client *c = client_new(w);
	struct answer a = client_get(c, "/sql/count");
	assert_int_equal(a.status, 200);
	assert_true(slice_to_u64(a.body, &n));
	client_free(c);
	return (int64_t)n;
}

/* The database still serves, and everything comes back. */
static void end(struct world *w, int64_t expected)
{
	assert_int_equal(entries(w), expected);
	world_end(w);
}

static int post(struct client *c, const char *target)
{
	return client_ask(c, "POST", target, "", "").status;
}

static void a_machine_that_nobody_operates_works_and_stops(void **state)
{
	(void)state;
	struct world *w = world_new((struct world_options){.seed = 5, .database = true, .unoperated = true});
	struct client *c = client_new(w);
	assert_int_equal(post(c, "/sql/add?name=one"), 303);
	end(w, 1);
}

/* --- What a handler gets ---------------------------------------------------------------------- */

static void rows_are_stored_and_shown(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	assert_int_equal(post(c, "/sql/add?name=Ann"), 303);
	assert_int_equal(post(c, "/sql/add?name=B%3C"), 303);
	assert_text(client_get(c, "/sql/list").body, "2: 1=Ann 2=B&lt;\n");
	assert_text(client_get(c, "/sql/values").body, "7 5 text slice");
	end(w, 2);
}

static void a_constraint_is_an_answer_with_db_try_and_500_without(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	assert_int_equal(post(c, "/sql/try?name=x"), 201);
	assert_int_equal(post(c, "/sql/try?name=x"), 409);
	assert_int_equal(post(c, "/sql/try?name=y"), 201);
	assert_int_equal(post(c, "/sql/conflict"), 500);
	assert_true(world_logged(w, "UNIQUE"));
	end(w, 3); /* the first of the two was a transaction of its own */
}

static void a_transaction_is_all_or_nothing(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	assert_int_equal(post(c, "/sql/both?commit=0"), 200);
	assert_int_equal(entries(w), 0);
	assert_int_equal(post(c, "/sql/begin-only"), 200);
	assert_int_equal(entries(w), 0);
	assert_int_equal(post(c, "/sql/both"), 200);
	end(w, 2);
}

static void queries_left_open_are_closed(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	assert_int_equal(post(c, "/sql/both"), 200);
	for (int i = 0; i < 40; i++)
		assert_int_equal(client_get(c, "/sql/left-open").status, 200);
	assert_int_equal(post(c, "/sql/add?name=x"), 303);
	end(w, 3);
}

static void a_column_that_is_not_there_is_500(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	assert_int_equal(post(c, "/sql/add?name=x"), 303);
	assert_int_equal(client_get(c, "/sql/no-column").status, 500);
	assert_true(world_logged(w, "there is no column 1"));
	end(w, 1);
}

static void columns_outside_of_a_row_are_nothing(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	assert_int_equal(post(c, "/sql/add?name=x"), 303);
	assert_text(client_get(c, "/sql/before-first").body, "0 after 0");
	end(w, 1);
}

static void wrong_sql_is_500_and_nothing_after_it_happens(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	struct answer a = client_ask(c, "POST", "/sql/wrong", "", "");
	assert_int_equal(a.status, 500);
	assert_false(slice_has(a.body, "nowhere")); /* for the log, not for visitors */
	assert_true(world_logged(w, "nowhere"));
	assert_int_equal(post(c, "/sql/late"), 500);
	end(w, 0);
}

static void without_a_database_sql_is_500(void **state)
{
	(void)state;
	struct world *w = world_new((struct world_options){.seed = 5});
	struct client *c = client_new(w);
	assert_int_equal(client_get(c, "/sql/count").status, 500);
	assert_int_equal(client_get(c, "/sql/list").status, 500);
	assert_int_equal(post(c, "/sql/both"), 500);
	assert_true(world_logged(w, "this application has no database"));
	world_end(w);
}

static void more_requests_than_database_connections_take_turns(void **state)
{
	(void)state;
	struct world *w = world_new((struct world_options){.seed = 5, .database = true, .fibers = 20});
	struct client *c[20];
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		c[i] = client_new(w);
		client_text(c[i], "GET /sql/wait HTTP/1.1\r\nHost: t\r\n\r\n");
	}
	world_pass(w, SECOND);
	assert_in_range(w->at_gate, 1, 16);
	client_reset(c[0]);
	client_reset(c[19]);
	for (int i = 0; i < 20; i++) {
		fiber_queue_wake_all(&w->gate);
		world_pass(w, 10 * MS);
	}
	for (size_t i = 1; i < 19; i++)
		assert_text(client_answer(c[i]).body, "waited");
	end(w, 0);
}

static void a_request_that_gets_no_database_connection_is_503(void **state)
{
	(void)state;
	struct world *w = world_new((struct world_options){.seed = 5, .database = true, .fibers = 20});
	struct client *c[20];
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		c[i] = client_new(w);
		client_text(c[i], "GET /sql/wait HTTP/1.1\r\nHost: t\r\n\r\n");
		world_pass(w, MS);
	}
	struct answer a = client_answer(c[19]);
	assert_int_equal(a.status, 503);
	assert_text(answer_field(&a, "Retry-After"), "1");
	fiber_queue_wake_all(&w->gate);
	world_pass(w, SECOND);
	end(w, 0);
}

/* --- Transactions, blobs, many rows ----------------------------------------------------------- */

static void a_transaction_is_a_function(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	assert_int_equal(post(c, "/sql/transaction?keep=0"), 409);
	assert_int_equal(entries(w), 0);
	/* With one inside that is undone alone. */
	assert_int_equal(post(c, "/sql/transaction?keep=2"), 500); /* both insert 'first' */
	assert_true(world_logged(w, "UNIQUE"));
	assert_int_equal(entries(w), 0);
	assert_int_equal(post(c, "/sql/transaction?keep=1"), 201);
	assert_text(client_ask(c, "POST", "/sql/savepoints", "", "").body, "4 1");
	end(w, 4);
}

static void an_optimistic_transaction_runs_again_when_another_has_written(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w), *other = client_new(w);
	client_text(c, "POST /sql/optimistic HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
	world_pass(w, 100 * MS);
	assert_int_equal(w->at_gate, 1);
	assert_int_equal(post(other, "/sql/add?name=x"), 303); /* does not wait for it */
	fiber_queue_wake_all(&w->gate);
	world_pass(w, 100 * MS);
	assert_int_equal(w->calls, 2);
	fiber_queue_wake_all(&w->gate);
	assert_text(client_answer(c).body, "1");
	end(w, 2);
}

static void a_blob_is_written_and_read_in_pieces(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	assert_text(client_ask(c, "POST", "/sql/blob", "", "").body, "300000 0 0");
	assert_text(client_get(c, "/sql/columns").body, "11 1 0 3 last end");
	end(w, 0);
}

static void more_rows_than_fit_are_503_and_the_log_says_why(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	assert_int_equal(client_get(c, "/sql/too-many-rows").status, 503);
	assert_true(world_logged(w, "more than a request's memory holds: ask for fewer, with LIMIT"));
	assert_text(client_get(c, "/sql/all-rows").body, "5001038895");
	end(w, 0);
}

/* --- Nobody waits any more -------------------------------------------------------------------- */

/* Virtual time passes until the server works on so many requests. */
static void until_at_work(struct world *w, uint32_t requests, uint64_t most_ns)
{
	uint64_t end_ns = w->sim.now_ns + most_ns;
	while (server_stats(w->server).exchanges_open != requests && w->sim.now_ns < end_ns)
		world_pass(w, 10 * MS);
	assert_int_equal(server_stats(w->server).exchanges_open, requests);
}

static void ask(struct client *c, const char *method, const char *target)
{
	char text[120];
	snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n", method, target);
	client_text(c, text);
	world_pass(c->w, 20 * MS);
}

static void a_query_ends_when_its_client_has_gone(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w), *other = client_new(w);
	w->tick_ns = MS;
	ask(c, "GET", "/sql/endless");
	world_pass(w, 200 * MS);
	assert_int_equal(w->at_gate, 1);
	assert_int_equal(post(other, "/sql/add?name=x"), 303); /* meanwhile */
	until_at_work(w, 1, 100 * MS);
	client_reset(c);
	until_at_work(w, 0, 200 * MS);
	assert_true(world_logged(w, "nobody waits for the result any more"));
	w->tick_ns = 0;
	end(w, 1);
}

/* Most who close their side have gone, but a few still read: they have some seconds. */
static void a_query_of_a_half_closed_client_ends_after_a_while(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	w->tick_ns = 5 * MS;
	ask(c, "GET", "/sql/endless");
	client_close(c);
	world_pass(w, 4 * SECOND);
	assert_int_equal(server_stats(w->server).exchanges_open, 1);
	until_at_work(w, 0, 3 * SECOND);
	w->tick_ns = 0;
	end(w, 0);
}

static void an_endless_query_is_503_at_its_deadline(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	w->tick_ns = 20 * MS;
	ask(c, "GET", "/sql/endless");
	assert_int_equal(client_answer(c).status, 503);
	assert_true(world_logged(w, "the deadline has passed (in: WITH RECURSIVE"));
	w->tick_ns = 0;
	end(w, 0);
}

static void who_has_gone_waits_for_neither_slot_nor_connection(void **state)
{
	(void)state;
	struct world *w = world_new((struct world_options){.seed = 5, .database = true, .fibers = 20});
	struct client *writer = client_new(w), *c = client_new(w), *next = client_new(w), *reader[17];
	ask(writer, "POST", "/sql/write-and-wait");
	ask(c, "POST", "/sql/add?name=never");
	ask(next, "POST", "/sql/add?name=next");
	assert_int_equal(server_stats(w->server).exchanges_open, 3);
	client_reset(c);
	until_at_work(w, 2, 200 * MS);
	/* And for a connection, of which there are at most 16. */
	for (size_t i = 0; i < ARRAY_LEN(reader); i++)
		ask(reader[i] = client_new(w), "GET", "/sql/wait");
	assert_in_range(w->at_gate, 2, 16);
	uint32_t at_work = server_stats(w->server).exchanges_open;
	client_reset(reader[16]);
	until_at_work(w, at_work - 1, 200 * MS);
	for (int i = 0; i < 20; i++) {
		fiber_queue_wake_all(&w->gate);
		world_pass(w, 10 * MS);
	}
	assert_int_equal(client_answer(writer).status, 200);
	assert_int_equal(client_answer(next).status, 303);
	end(w, 1);
}

/* --- Durability ------------------------------------------------------------------------------- */

static void an_answer_leaves_only_when_its_change_is_durable(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	w->disk.flush_ns = 2 * SECOND; /* to four */
	uint64_t flushes = w->disk.flushes;
	client_text(c, "POST /sql/add?name=x HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
	world_pass(w, 19 * SECOND / 10);
	assert_int_equal(w->disk.flushes, flushes);
	assert_int_equal(client_unread(c).len, 0);
	assert_int_equal(server_stats(w->server).responses, 0);
	struct answer a = client_answer(c);
	assert_int_equal(a.status, 303);
	assert_true(w->disk.flushes > flushes);
	end(w, 1);
}

static void a_handler_can_wait_until_its_change_is_durable(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	uint64_t flushes = w->disk.flushes;
	assert_int_equal(post(c, "/sql/add-two?name=first&then=second"), 303);
	assert_int_equal(w->disk.flushes, flushes + 2);
	assert_text(client_get(c, "/sql/count").body, "2");
	w->database_broken = true;
	assert_int_equal(post(c, "/sql/wait-within"), 500);
	w->disk.fail_flush_at = 1;
	w->disk.fail_from = true;
	assert_int_equal(post(c, "/sql/add-two?name=third&then=fourth"), 500);
	assert_text(client_get(c, "/sql/count").body, "2");
	world_end(w);
}

/* Who only asks sees what is durable, and has nothing to wait for. What a POST saw must not be taken back. */
static void a_reader_sees_what_is_durable_and_waits_for_no_flush(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w), *reader = client_new(w), *poster = client_new(w);
	w->disk.flush_ns = 2 * SECOND;
	uint64_t flushes = w->disk.flushes, before = w->sim.now_ns;
	ask(c, "POST", "/sql/add?name=x");
	ask(poster, "POST", "/sql/count");
	for (int i = 0; i < 4; i++) /* on whichever connection of the database */
		assert_text(client_get(reader, "/sql/count").body, "0");
	assert_int_equal(client_get(reader, "/site.css").status, 200);
	assert_true(w->sim.now_ns - before < SECOND);
	world_pass(w, SECOND);
	assert_int_equal(client_unread(poster).len, 0);
	assert_int_equal(w->disk.flushes, flushes);
	assert_int_equal(client_answer(c).status, 303);
	assert_true(w->disk.flushes > flushes);
	assert_text(client_answer(poster).body, "1");
	for (int i = 0; i < 4; i++)
		assert_text(client_get(reader, "/sql/count").body, "1");
	end(w, 1);
}

static void many_writers_share_a_flush(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c[30];
	w->disk.flush_ns = 100 * MS;
	for (size_t i = 0; i < ARRAY_LEN(c); i++)
		c[i] = client_new(w);
	world_pass(w, 10 * MS);
	uint64_t flushes = w->disk.flushes;
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		char text[120];
		snprintf(text, sizeof text,
			"POST /sql/add?name=%zu HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n", i);
		client_text(c[i], text);
	}
	for (size_t i = 0; i < ARRAY_LEN(c); i++)
		assert_int_equal(client_answer(c[i]).status, 303);
	assert_in_range(w->disk.flushes - flushes, 1, 4); /* a checkpoint costs two */
	end(w, 30);
}

static void a_client_that_leaves_while_its_answer_waits_harms_nobody(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w), *other = client_new(w);
	w->disk.flush_ns = SECOND;
	client_text(c, "POST /sql/add?name=x HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
	client_text(other, "POST /sql/add?name=y HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
	client_close(other);
	world_pass(w, 100 * MS);
	client_reset(c);
	world_pass(w, 100 * MS);
	assert_int_equal(server_stats(w->server).connections_open, 1);
	assert_int_equal(server_stats(w->server).exchanges_open, 2);
	assert_int_equal(client_answer(other).status, 303);
	world_pass(w, 100 * MS);
	assert_int_equal(server_stats(w->server).responses, 1);
	end(w, 2);
}

static void a_drain_waits_for_what_is_not_yet_durable(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	w->disk.flush_ns = SECOND;
	client_text(c, "POST /sql/add?name=x HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
	world_pass(w, 100 * MS);
	server_drain(w->server);
	world_pass(w, 100 * MS);
	assert_false(server_is_drained(w->server));
	struct answer a = client_answer(c);
	assert_int_equal(a.status, 303);
	assert_text(answer_field(&a, "Connection"), "close");
	client_close(c);
	world_pass(w, 10 * SECOND);
	assert_true(server_is_drained(w->server));
	world_end(w);
}

static void after_a_failed_flush_writes_are_refused_and_reads_go_on(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w), *reader = client_new(w);
	assert_int_equal(post(c, "/sql/add?name=durable"), 303);
	w->disk.fail_flush_at = 1;
	w->disk.fail_from = true;
	w->database_broken = true;
	assert_int_equal(post(c, "/sql/add?name=lost"), 500);
	assert_int_equal(post(c, "/sql/add?name=refused"), 503);
	assert_int_equal(post(c, "/sql/both"), 503);
	assert_true(world_logged(w, "the volume is read-only: a commit could not be written: a flush has failed"));
	assert_int_equal(client_get(c, "/text").status, 200);
	/* A reader sees what is durable, and nothing of what was lost. */
	assert_int_equal(client_get(reader, "/sql/values").status, 200);
	struct answer a = client_get(reader, "/sql/count");
	assert_int_equal(a.status, 200);
	assert_text(a.body, "1");
	world_end(w);
}

static void a_write_error_is_500(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	w->disk.fail_at = 1;
	w->disk.fail_from = true;
	w->database_broken = true;
	assert_int_equal(post(c, "/sql/add?name=lost"), 500);
	assert_int_equal(client_get(c, "/site.css").status, 200);
	world_end(w);
}

static void a_full_volume_is_507_and_reads_go_on(void **state)
{
	(void)state;
	struct world *w = world_new((struct world_options){.seed = 5, .database = true, .disk_kib = 768});
	struct client *c = client_new(w);
	int status = 303;
	char target[1200];
	int64_t stored = 0;
	for (int i = 0; i < 2000 && status == 303; i++) {
		snprintf(target, sizeof target, "/sql/add?name=%01000d", i);
		status = post(c, target);
		stored += status == 303;
	}
	assert_int_equal(status, 507);
	assert_true(stored > 20);
	assert_int_equal(client_get(c, "/sql/list").status, 200);
	end(w, stored);
}

/* --- What an operator asks -------------------------------------------------------------------- */

struct operation {
	struct database_operation op; /* first */
	bool done;
	uint8_t memory[4096];
	char text[4096];
};

static void operation_done(struct database_operation *op)
{
	((struct operation *)op)->done = true;
}

static bool is_done(void *operation)
{
	return ((struct operation *)operation)->done;
}

/* The status, and in `text` the whole answer; 0: it is none of the database's business. */
static int operate(struct world *w, const char *head, char text[4096])
{
	struct operation o = {.op = {.head = slice_from_cstr(head), .done = operation_done}};
	o.op.out = writer_of(o.memory, sizeof o.memory);
	if (!app_database_sqlite.operate(w->database, &o.op))
		return 0;
	world_until(w, is_done, &o);
	struct slice out = writer_slice(&o.op.out);
	memcpy(text, out.ptr, out.len);
	text[out.len] = 0;
	assert_memory_equal(text, "HTTP/1.0 ", 9);
	return (text[9] - '0') * 100 + (text[10] - '0') * 10 + text[11] - '0';
}

static void snapshots_are_made_listed_and_deleted_while_requests_are_served(void **state)
{
	(void)state;
	char text[4096];
	struct world *w = start();
	struct client *c = client_new(w);
	assert_int_equal(post(c, "/sql/add?name=Ann"), 303);
	assert_int_equal(operate(w, "PUT /snapshots/before HTTP/1.1", text), 201);
	assert_int_equal(post(c, "/sql/add?name=Bea"), 303);
	assert_int_equal(operate(w, "PUT /snapshots/a%20day%2F1 HTTP/1.1", text), 201);
	assert_int_equal(operate(w, "PUT /snapshots/before HTTP/1.1", text), 409);
	assert_int_equal(operate(w, "GET /snapshots HTTP/1.1", text), 200);
	assert_non_null(strstr(text, "\r\n\r\nbefore\tmain\t"));
	assert_non_null(strstr(text, "\na day/1\tmain\t"));
	assert_int_equal(operate(w, "DELETE /snapshots/before HTTP/1.1", text), 200);
	assert_int_equal(operate(w, "DELETE /snapshots/before HTTP/1.1", text), 404);
	assert_int_equal(operate(w, "GET /snapshots HTTP/1.1", text), 200);
	assert_null(strstr(text, "before"));
	end(w, 2);
}

static void wait_at_gate(void *world)
{
	struct world *w = world;
	assert_false(failed(fiber_queue_wait(&w->loop, &w->gate, TIMER_NEVER)));
}

static void a_snapshot_is_made_while_every_fiber_is_at_work(void **state)
{
	(void)state;
	char text[4096];
	struct world *w = start();
	while (!failed(fiber_spawn(&w->loop, wait_at_gate, w)))
		;
	assert_int_equal(operate(w, "PUT /snapshots/busy HTTP/1.1", text), 201);
	assert_int_equal(operate(w, "DELETE /snapshots/busy HTTP/1.1", text), 200);
	fiber_queue_wake_all(&w->gate);
	end(w, 0);
}

/* Several at once take turns; what waits at the machine's end is done. */
static void operations_take_turns(void **state)
{
	(void)state;
	struct world *w = start();
	struct operation o[3];
	static const char *const heads[] = {"PUT /snapshots/a HTTP/1.1", "PUT /snapshots/a HTTP/1.1",
		"DELETE /snapshots/a HTTP/1.1"};
	static const char *const answers[] = {"HTTP/1.0 201", "HTTP/1.0 409", "HTTP/1.0 200"};
	for (unsigned i = 0; i < 3; i++) {
		o[i] = (struct operation){.op = {.head = slice_from_cstr(heads[i]), .done = operation_done}};
		o[i].op.out = writer_of(o[i].memory, sizeof o[i].memory);
		assert_true(app_database_sqlite.operate(w->database, &o[i].op));
	}
	end(w, 0);
	for (unsigned i = 0; i < 3; i++)
		assert_memory_equal(o[i].memory, answers[i], strlen(answers[i]));
}

static void what_is_no_question_about_snapshots_is_refused(void **state)
{
	(void)state;
	char text[4096];
	struct world *w = start();
	assert_int_equal(operate(w, "GET /nothing HTTP/1.1", text), 0);
	assert_int_equal(operate(w, "", text), 0);
	assert_int_equal(operate(w, "PUT /snapshots HTTP/1.1", text), 400);
	assert_int_equal(operate(w, "PUT /snapshots/ HTTP/1.1", text), 400);
	assert_int_equal(operate(w, "PUT /snapshotsx HTTP/1.1", text), 400);
	assert_int_equal(operate(w, "PUT /snapshots/%0a HTTP/1.1", text), 400);
	assert_int_equal(operate(w, "PUT /snapshots/a%00b HTTP/1.1", text), 400);
	assert_int_equal(operate(w, "PUT /snapshots/%zz HTTP/1.1", text), 400);
	assert_int_equal(operate(w, "PUT /snapshots/0123456789012345678901234567890x HTTP/1.1", text), 400);
	assert_int_equal(operate(w, "POST /snapshots/a HTTP/1.1", text), 405);
	for (int i = 0; i < 31; i++) {
		char head[64];
		snprintf(head, sizeof head, "PUT /snapshots/%d HTTP/1.1", i);
		assert_int_equal(operate(w, head, text), 201);
	}
	assert_int_equal(operate(w, "PUT /snapshots/more HTTP/1.1", text), 507);
	end(w, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_stored_and_shown),
		cmocka_unit_test(a_constraint_is_an_answer_with_db_try_and_500_without),
		cmocka_unit_test(a_transaction_is_all_or_nothing),
		cmocka_unit_test(queries_left_open_are_closed),
		cmocka_unit_test(a_column_that_is_not_there_is_500),
		cmocka_unit_test(columns_outside_of_a_row_are_nothing),
		cmocka_unit_test(wrong_sql_is_500_and_nothing_after_it_happens),
		cmocka_unit_test(without_a_database_sql_is_500),
		cmocka_unit_test(more_requests_than_database_connections_take_turns),
		cmocka_unit_test(a_request_that_gets_no_database_connection_is_503),
		cmocka_unit_test(a_transaction_is_a_function),
		cmocka_unit_test(an_optimistic_transaction_runs_again_when_another_has_written),
		cmocka_unit_test(a_blob_is_written_and_read_in_pieces),
		cmocka_unit_test(more_rows_than_fit_are_503_and_the_log_says_why),
		cmocka_unit_test(a_query_ends_when_its_client_has_gone),
		cmocka_unit_test(a_query_of_a_half_closed_client_ends_after_a_while),
		cmocka_unit_test(an_endless_query_is_503_at_its_deadline),
		cmocka_unit_test(who_has_gone_waits_for_neither_slot_nor_connection),
		cmocka_unit_test(an_answer_leaves_only_when_its_change_is_durable),
		cmocka_unit_test(a_handler_can_wait_until_its_change_is_durable),
		cmocka_unit_test(a_reader_sees_what_is_durable_and_waits_for_no_flush),
		cmocka_unit_test(many_writers_share_a_flush),
		cmocka_unit_test(a_client_that_leaves_while_its_answer_waits_harms_nobody),
		cmocka_unit_test(a_drain_waits_for_what_is_not_yet_durable),
		cmocka_unit_test(after_a_failed_flush_writes_are_refused_and_reads_go_on),
		cmocka_unit_test(a_write_error_is_500),
		cmocka_unit_test(a_full_volume_is_507_and_reads_go_on),
		cmocka_unit_test(snapshots_are_made_listed_and_deleted_while_requests_are_served),
		cmocka_unit_test(a_snapshot_is_made_while_every_fiber_is_at_work),
		cmocka_unit_test(operations_take_turns),
		cmocka_unit_test(a_machine_that_nobody_operates_works_and_stops),
		cmocka_unit_test(what_is_no_question_about_snapshots_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
