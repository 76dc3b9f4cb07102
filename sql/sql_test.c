/* SQL end to end on the page store: what holds for an application. crash_test.c has power cuts and failing
 * allocations. */
#include "support/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define DISK_LEN (96u << 20)

static const struct sql_migration schema[] = {
	{1, "entries", "CREATE TABLE entry (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, body BLOB);"
		       "CREATE TABLE counter (n INTEGER NOT NULL); INSERT INTO counter VALUES (0);"},
	{2, "dates", "ALTER TABLE entry ADD COLUMN at REAL;"},
};

static struct world *new_world(void)
{
	struct world *w = world_new(DISK_LEN);
	w->sql_config.migrations = schema;
	w->sql_config.migration_count = ARRAY_LEN(schema);
	return w;
}

static void ok_at(err e, struct sql_conn *conn, int line)
{
	if (failed(e))
		fail_msg("line %d: %s: %s", line, err_text(e), conn ? sql_error(conn) : "");
}
#define ok(e, conn) ok_at(e, conn, __LINE__)
#define assert_err(e, name) assert_int_equal((e).code, ERR_##name)

static struct sql_conn *acquire(struct world *w)
{
	struct sql_conn *conn;
	ok(sql_acquire(w->sql, TIMER_NEVER, &conn), NULL);
	return conn;
}

static int64_t number_at(struct sql_conn *conn, const char *sql, int line)
{
	int64_t n = -1;
	ok_at(sql_query_int(conn, sql, SQL_NO_ARGS, &n), conn, line);
	return n;
}
#define number(conn, sql) number_at(conn, sql, __LINE__)

static void insert(struct sql_conn *conn, const char *name)
{
	ok(sql_exec(conn, "INSERT INTO entry (name) VALUES (?)", SQL_ARGS(sql_text(slice_from_cstr(name)))),
		conn);
}

static void check_integrity(struct sql_conn *conn)
{
	struct sql_query q;
	ok(sql_query_begin(conn, &q, "PRAGMA integrity_check", SQL_NO_ARGS), conn);
	assert_true(sql_query_next(&q));
	assert_true(slice_eq(sql_column_text(&q, 0), SLICE("ok")));
	ok(sql_query_end(&q), conn);
}

/* Each commit was one batch, but for transactions that are larger than SQLite's cache. */
static void check_batches(struct world *w)
{
	struct sql_stats s;
	sql_stats(w->sql, &s);
	assert_int_equal(s.batches + s.journal_opens, s.commits + s.rollbacks);
	if (!s.pages_spilled)
		assert_int_equal(s.journal_opens, 0);
}

static void open_world(struct world *w)
{
	ok(world_open(w), NULL);
}

static void close_world(struct world *w)
{
	check_batches(w);
	world_close(w);
}

static void close_only(struct world *w)
{
	world_close(w);
}

static void in_world(void (*run)(struct world *))
{
	struct world *w = new_world();
	world_run(w, open_world);
	world_run(w, run);
	world_run(w, close_world);
	world_free(w);
}

#define WORLD_TEST(name)                                                                           \
	static void name##_run(struct world *w);                                                   \
	static void name(void **state)                                                             \
	{                                                                                          \
		(void)state;                                                                       \
		in_world(name##_run);                                                              \
	}                                                                                          \
	static void name##_run(struct world *w)

WORLD_TEST(rows_survive_reopening)
{
	struct sql_conn *conn = acquire(w);
	insert(conn, "ada");
	insert(conn, "grace");
	sql_release(conn);
	close_world(w);
	open_world(w);
	conn = acquire(w);
	assert_int_equal(number(conn, "SELECT count(*) FROM entry"), 2);
	assert_int_equal(number(conn, "SELECT count(*) FROM entry WHERE name = 'grace'"), 1);
	check_integrity(conn);
	sql_release(conn);
}

WORLD_TEST(a_rollback_leaves_nothing)
{
	struct sql_conn *conn = acquire(w);
	insert(conn, "kept");
	ok(sql_begin(conn, SQL_WRITE), conn);
	insert(conn, "lost");
	ok(sql_exec(conn, "CREATE TABLE lost (a)", SQL_NO_ARGS), conn);
	assert_int_equal(number(conn, "SELECT count(*) FROM entry"), 2);
	sql_rollback(conn);
	assert_int_equal(number(conn, "SELECT count(*) FROM entry"), 1);
	assert_err(sql_exec(conn, "SELECT * FROM lost", SQL_NO_ARGS), INVALID);
	/* A released connection takes its open transaction with it. */
	ok(sql_begin(conn, SQL_WRITE), conn);
	insert(conn, "lost too");
	sql_release(conn);
	conn = acquire(w);
	assert_int_equal(number(conn, "SELECT count(*) FROM entry"), 1);
	check_integrity(conn);
	sql_release(conn);
}

WORLD_TEST(a_failing_statement_is_undone_alone)
{
	struct sql_conn *conn = acquire(w);
	ok(sql_begin(conn, SQL_WRITE), conn);
	insert(conn, "b");
	assert_err(sql_exec(conn, "INSERT INTO entry (name) VALUES ('a'), ('b'), ('c')", SQL_NO_ARGS),
		INVALID);
	assert_true(sql_error_is_constraint(conn));
	assert_true(sql_error_is_unique(conn));
	insert(conn, "d");
	ok(sql_commit(conn), conn);
	assert_int_equal(number(conn, "SELECT count(*) FROM entry"), 2);
	sql_release(conn);
}

WORLD_TEST(a_reader_keeps_its_snapshot_while_another_writes)
{
	struct sql_conn *reader = acquire(w), *writer = acquire(w);
	insert(writer, "first");
	ok(sql_begin(reader, SQL_READ), reader);
	assert_int_equal(number(reader, "SELECT count(*) FROM entry"), 1);
	insert(writer, "second");
	assert_int_equal(number(writer, "SELECT count(*) FROM entry"), 2);
	assert_int_equal(number(reader, "SELECT count(*) FROM entry"), 1);
	ok(sql_commit(reader), reader);
	assert_int_equal(number(reader, "SELECT count(*) FROM entry"), 2);
	sql_release(reader);
	sql_release(writer);
}

WORLD_TEST(a_query_in_progress_is_not_disturbed_by_a_commit)
{
	struct sql_conn *reader = acquire(w), *writer = acquire(w);
	ok(sql_exec(writer,
		   "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 3000) "
		   "INSERT INTO entry (name) SELECT 'name ' || x FROM c",
		   SQL_NO_ARGS),
		writer);
	struct sql_query q;
	uint32_t rows = 0;
	ok(sql_query_begin(reader, &q, "SELECT name FROM entry ORDER BY id", SQL_NO_ARGS), reader);
	while (sql_query_next(&q)) {
		char expected[32];
		snprintf(expected, sizeof expected, "name %u", ++rows);
		assert_true(slice_eq(sql_column_text(&q, 0), slice_from_cstr(expected)));
		if (rows == 10)
			ok(sql_exec(writer, "UPDATE entry SET name = 'x' || name", SQL_NO_ARGS), writer);
		if (rows == 20)
			ok(sql_exec(writer, "DELETE FROM entry WHERE id > 100", SQL_NO_ARGS), writer);
	}
	ok(sql_query_end(&q), reader);
	assert_int_equal(rows, 3000);
	assert_int_equal(number(reader, "SELECT count(*) FROM entry"), 100);
	sql_release(reader);
	sql_release(writer);
}

WORLD_TEST(a_stale_reader_cannot_write)
{
	struct sql_conn *reader = acquire(w), *writer = acquire(w);
	struct sql_stats s;
	ok(sql_begin(reader, SQL_READ), reader);
	assert_int_equal(number(reader, "SELECT n FROM counter"), 0);
	/* While another writes: busy. */
	ok(sql_begin(writer, SQL_WRITE), writer);
	assert_err(sql_exec(reader, "UPDATE counter SET n = n + 10", SQL_NO_ARGS), BUSY);
	ok(sql_exec(writer, "UPDATE counter SET n = n + 1", SQL_NO_ARGS), writer);
	ok(sql_commit(writer), writer);
	/* And then for ever. */
	assert_err(sql_exec(reader, "UPDATE counter SET n = n + 10", SQL_NO_ARGS), STALE);
	assert_int_equal(number(reader, "SELECT n FROM counter"), 0);
	sql_rollback(reader);
	/* From the newest generation it can. */
	ok(sql_begin(reader, SQL_READ), reader);
	assert_int_equal(number(reader, "SELECT n FROM counter"), 1);
	ok(sql_exec(reader, "UPDATE counter SET n = n + 10", SQL_NO_ARGS), reader);
	ok(sql_commit(reader), reader);
	assert_int_equal(number(writer, "SELECT n FROM counter"), 11);
	sql_stats(w->sql, &s);
	assert_int_equal(s.busy, 1);
	assert_int_equal(s.stale, 1);
	sql_release(reader);
	sql_release(writer);
}

static void increment_50_times(struct world *w)
{
	for (int i = 0; i < 50; i++) {
		struct sql_conn *conn = acquire(w);
		if (i % 2) {
			ok(sql_exec(conn, "UPDATE counter SET n = n + 1", SQL_NO_ARGS), conn);
		} else {
			ok(sql_begin(conn, SQL_WRITE), conn);
			int64_t n = number(conn, "SELECT n FROM counter");
			fiber_yield(&w->loop);
			ok(sql_exec(conn, "UPDATE counter SET n = ?", SQL_ARGS(sql_int(n + 1))), conn);
			ok(sql_commit(conn), conn);
		}
		sql_release(conn);
	}
}

static void counter_is_400(struct world *w)
{
	struct sql_conn *conn = acquire(w);
	assert_int_equal(number(conn, "SELECT n FROM counter"), 400);
	sql_release(conn);
}

static void writers_queue_and_lose_nothing(void **state)
{
	(void)state;
	struct world *w = new_world();
	world_run(w, open_world);
	for (int i = 0; i < 8; i++) /* more than there are connections */
		world_spawn(w, increment_50_times);
	world_run(w, NULL);
	world_run(w, counter_is_400);
	world_run(w, close_world);
	world_free(w);
}

WORLD_TEST(values_come_back_as_they_went)
{
	struct sql_conn *conn = acquire(w);
	struct slice text = SLICE("gr\xc3\xbc\xc3\x9f\0e"), blob = SLICE("\0\xff\n");
	struct sql_query q;
	ok(sql_query_begin(conn, &q, "SELECT ?, ?, ?, ?, ?, ? AS last",
		   SQL_ARGS(sql_int(INT64_MIN), sql_real(0.1), sql_text(text), sql_blob(blob), sql_null(),
			   sql_text((struct slice){NULL, 0}))),
		conn);
	assert_true(sql_query_next(&q));
	assert_int_equal(sql_column_count(&q), 6);
	assert_true(sql_column_type(&q, 0) == SQL_INT && sql_column_int(&q, 0) == INT64_MIN);
	assert_true(sql_column_type(&q, 1) == SQL_REAL && sql_column_real(&q, 1) == 0.1);
	assert_true(sql_column_type(&q, 2) == SQL_TEXT && slice_eq(sql_column_text(&q, 2), text));
	assert_true(sql_column_type(&q, 3) == SQL_BLOB && slice_eq(sql_column_blob(&q, 3), blob));
	assert_true(sql_column_type(&q, 4) == SQL_NULL && sql_column_text(&q, 4).len == 0);
	assert_true(sql_column_type(&q, 5) == SQL_TEXT && sql_column_text(&q, 5).len == 0);
	assert_true(slice_eq(sql_column_name(&q, 5), SLICE("last")));
	assert_false(sql_query_next(&q));
	ok(sql_query_end(&q), conn);
	sql_release(conn);
}

WORLD_TEST(an_error_says_what_and_where)
{
	struct sql_conn *conn = acquire(w);
	assert_err(sql_exec(conn, "SELECT id,\n  nmae FROM entry", SQL_NO_ARGS), INVALID);
	assert_string_equal(sql_error(conn), "no such column: nmae (line 2, column 3)");
	assert_err(sql_exec(conn, "SELECT ?", SQL_NO_ARGS), INVALID);
	assert_string_equal(sql_error(conn), "wrong number of arguments");
	assert_err(sql_exec(conn, "SELECT 1; SELECT 2", SQL_NO_ARGS), INVALID);
	assert_err(sql_exec(conn, "SELECT \"id\" FROM entry WHERE name = \"no string\"", SQL_NO_ARGS),
		INVALID);
	insert(conn, "twice");
	assert_string_equal(sql_error(conn), "");
	int64_t n;
	assert_err(sql_query_int(conn, "SELECT id FROM entry WHERE id = 77", SQL_NO_ARGS, &n), NOT_FOUND);
	sql_release(conn);
}

WORLD_TEST(what_the_vfs_relies_on_cannot_be_changed)
{
	static const char *const denied[] = {"BEGIN", "COMMIT", "SAVEPOINT a", "PRAGMA journal_mode = DELETE",
		"PRAGMA locking_mode = EXCLUSIVE", "PRAGMA synchronous = OFF", "PRAGMA writable_schema = 1",
		"PRAGMA writable_schema", "PRAGMA foreign_keys = OFF", "PRAGMA cache_size = 100000",
		"PRAGMA encoding = 'UTF-16'", "PRAGMA case_sensitive_like = 1", "PRAGMA hard_heap_limit = 0",
		"PRAGMA trusted_schema = 1", "PRAGMA max_page_count = 3", "PRAGMA no_such_thing",
		"PRAGMA optimize", "CREATE TEMP TABLE x (a)",
		"CREATE TEMP VIEW x AS SELECT 1", "CREATE VIRTUAL TABLE temp.x USING fts5(a)",
		"ATTACH 'other' AS other", "ATTACH ':memory:' AS other", "DETACH main"};
	struct sql_conn *conn = acquire(w);
	for (size_t i = 0; i < ARRAY_LEN(denied); i++)
		assert_err(sql_exec(conn, denied[i], SQL_NO_ARGS), DENIED);
	assert_non_null(strstr(sql_error(conn), "transactions are begun by calls"));
	/* Also what was allowed a moment ago, within a transaction. */
	ok(sql_begin(conn, SQL_WRITE), conn);
	ok(sql_exec(conn, "SAVEPOINT a", SQL_NO_ARGS), conn);
	ok(sql_exec(conn, "PRAGMA optimize", SQL_NO_ARGS), conn);
	ok(sql_commit(conn), conn);
	assert_err(sql_exec(conn, "SAVEPOINT a", SQL_NO_ARGS), DENIED);
	assert_err(sql_exec(conn, "PRAGMA optimize", SQL_NO_ARGS), DENIED);
	/* Nobody writes to the schema by hand, and strings are in single quotes. */
	assert_err(sql_exec(conn, "DELETE FROM sqlite_schema", SQL_NO_ARGS), INVALID);
	assert_err(sql_exec(conn, "SELECT load_extension('x')", SQL_NO_ARGS), INVALID);
	assert_int_equal(number(conn, "PRAGMA foreign_keys"), 1);
	assert_int_equal(number(conn, "PRAGMA cell_size_check"), 0); /* see configure() */
	assert_int_equal(number(conn, "PRAGMA trusted_schema"), 0);
	struct sql_query q;
	ok(sql_query_begin(conn, &q, "PRAGMA journal_mode", SQL_NO_ARGS), conn);
	assert_true(sql_query_next(&q));
	assert_true(slice_eq(sql_column_text(&q, 0), SLICE("delete")));
	ok(sql_query_end(&q), conn);
	sql_release(conn);
}

WORLD_TEST(a_deadline_ends_an_endless_query)
{
	static const char endless[] = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
				      "SELECT max(x) FROM c";
	struct sql_conn *conn = acquire(w);
	ok(sql_begin(conn, SQL_WRITE), conn);
	insert(conn, "before");
	sql_set_deadline(conn, w->now_ns + 50000000);
	assert_err(sql_exec(conn, endless, SQL_NO_ARGS), TIMEOUT);
	assert_err(sql_exec(conn, "SELECT 1", SQL_NO_ARGS), TIMEOUT);
	sql_rollback(conn);
	sql_set_deadline(conn, TIMER_NEVER);
	assert_int_equal(number(conn, "SELECT count(*) FROM entry"), 0);
	sql_release(conn);
}

static bool other_ran;

static void note_that_it_ran(struct world *w)
{
	(void)w;
	other_ran = true;
}

WORLD_TEST(a_long_query_lets_others_run)
{
	struct sql_conn *conn = acquire(w);
	other_ran = false;
	world_spawn(w, note_that_it_ran);
	assert_int_equal(number(conn,
				 "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c "
				 "WHERE x < 3000000) SELECT count(*) FROM c"),
		3000000);
	assert_true(other_ran);
	sql_release(conn);
}

WORLD_TEST(many_short_queries_let_others_run)
{
	struct sql_conn *conn = acquire(w);
	other_ran = false;
	world_spawn(w, note_that_it_ran);
	for (int i = 0; i < 100000 && !other_ran; i++)
		assert_int_equal(number(conn, "SELECT 1"), 1);
	assert_true(other_ran);
	sql_release(conn);
}

WORLD_TEST(waiting_for_a_connection_times_out)
{
	struct sql_conn *conn[4], *fifth;
	for (int i = 0; i < 4; i++)
		conn[i] = acquire(w);
	assert_err(sql_acquire(w->sql, w->now_ns + 10000000, &fifth), TIMEOUT);
	/* And so does waiting for the writer's slot. */
	ok(sql_begin(conn[0], SQL_WRITE), conn[0]);
	sql_set_deadline(conn[1], w->now_ns + 10000000);
	assert_err(sql_begin(conn[1], SQL_WRITE), TIMEOUT);
	for (int i = 0; i < 4; i++)
		sql_release(conn[i]);
}

WORLD_TEST(results_depend_on_what_was_read_and_written)
{
	struct sql_conn *a = acquire(w), *b = acquire(w);
	assert_int_equal(sql_generation(a), 0);
	insert(a, "x");
	uint64_t written = sql_generation(a);
	assert_int_equal(written, store_generation(w->store));
	assert_int_equal(number(b, "SELECT count(*) FROM entry"), 1);
	assert_int_equal(sql_generation(b), written);
	insert(a, "y");
	assert_true(sql_generation(a) > written);
	assert_int_equal(sql_generation(b), written);
	ok(store_wait_durable(w->store, sql_generation(a)), NULL);
	assert_true(store_durable_generation(w->store) >= sql_generation(a));
	sql_release(a);
	sql_release(b);
	a = acquire(w);
	assert_int_equal(sql_generation(a), 0);
	sql_release(a);
}

WORLD_TEST(statements_are_prepared_once)
{
	struct sql_conn *conn = acquire(w);
	struct sql_stats before, after;
	char other[64] = "SELECT count(*) FROM entry";
	assert_int_equal(number(conn, "SELECT count(*) FROM entry"), 0);
	sql_stats(w->sql, &before);
	for (int i = 0; i < 100; i++)
		assert_int_equal(number(conn, i % 2 ? other : "SELECT count(*) FROM entry"), 0);
	sql_stats(w->sql, &after);
	assert_int_equal(after.prepares, before.prepares);
	assert_int_equal(after.statements, before.statements + 100);
	/* One that is in use is not shared; and far more texts than the cache has room for. */
	struct sql_query a, b;
	ok(sql_query_begin(conn, &a, "SELECT 1", SQL_NO_ARGS), conn);
	assert_true(sql_query_next(&a));
	ok(sql_query_begin(conn, &b, "SELECT 1", SQL_NO_ARGS), conn);
	assert_true(sql_query_next(&b));
	for (int i = 0; i < 100; i++) {
		snprintf(other, sizeof other, "SELECT %d", i);
		assert_int_equal(number(conn, other), i);
	}
	assert_int_equal(sql_column_int(&a, 0), 1);
	ok(sql_query_end(&a), conn);
	ok(sql_query_end(&b), conn);
	sql_release(conn);
}

WORLD_TEST(pages_are_read_in_place)
{
	struct sql_conn *conn = acquire(w);
	ok(sql_exec(conn, "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 500) "
			  "INSERT INTO entry (name, body) SELECT 'n' || x, randomblob(1000) FROM c",
		   SQL_NO_ARGS),
		conn);
	struct sql_stats before, after;
	struct sql_conn *reader = acquire(w);
	sql_stats(w->sql, &before);
	assert_int_equal(number(reader, "SELECT sum(length(body)) FROM entry"), 500000);
	sql_stats(w->sql, &after);
	assert_true(after.pages_lent - before.pages_lent > 100);
	assert_true(after.pages_copied - before.pages_copied < 8);
	sql_release(conn);
	sql_release(reader);
}

/* Far more than SQLite's memory: it spills, and still all or nothing is visible. */
static void insert_10_mib(struct sql_conn *conn)
{
	for (int i = 0; i < 2600; i++)
		ok(sql_exec(conn, "INSERT INTO entry (name, body) VALUES (?, randomblob(4000))",
			   SQL_ARGS(sql_int(i))),
			conn);
}

WORLD_TEST(a_large_transaction_is_atomic)
{
	struct sql_conn *conn = acquire(w), *reader = acquire(w);
	struct sql_stats s;
	ok(sql_begin(conn, SQL_WRITE), conn);
	insert_10_mib(conn);
	sql_stats(w->sql, &s);
	assert_true(s.pages_spilled > 1000);
	assert_int_equal(number(reader, "SELECT count(*) FROM entry"), 0);
	sql_rollback(conn);
	assert_int_equal(number(conn, "SELECT count(*) FROM entry"), 0);
	check_integrity(conn);

	ok(sql_begin(conn, SQL_WRITE), conn);
	insert_10_mib(conn);
	assert_int_equal(number(conn, "SELECT sum(length(body)) FROM entry"), 2600 * 4000);
	assert_int_equal(number(reader, "SELECT count(*) FROM entry"), 0);
	ok(sql_commit(conn), conn);
	assert_int_equal(number(reader, "SELECT sum(length(body)) FROM entry"), 2600 * 4000);
	check_integrity(reader);

	/* Changing what was there before, then undoing a part of it and all of it. */
	ok(sql_begin(conn, SQL_WRITE), conn);
	ok(sql_exec(conn, "UPDATE entry SET body = zeroblob(4000) WHERE id <= 300", SQL_NO_ARGS), conn);
	ok(sql_exec(conn, "SAVEPOINT half", SQL_NO_ARGS), conn);
	ok(sql_exec(conn, "UPDATE entry SET body = NULL WHERE id <= 300", SQL_NO_ARGS), conn);
	ok(sql_exec(conn, "ROLLBACK TO half", SQL_NO_ARGS), conn);
	assert_int_equal(number(conn, "SELECT count(*) FROM entry WHERE body = zeroblob(4000)"), 300);
	sql_rollback(conn);
	assert_int_equal(number(conn, "SELECT count(*) FROM entry WHERE body = zeroblob(4000)"), 0);
	assert_int_equal(number(conn, "SELECT sum(length(body)) FROM entry"), 2600 * 4000);
	check_integrity(conn);
	sql_release(conn);
	sql_release(reader);
}

static void insert_pages(struct sql_conn *conn, int count, err *e)
{
	*e = OK;
	for (int i = 0; i < count && !failed(*e); i++)
		*e = sql_exec(conn, "INSERT INTO entry (name, body) VALUES (?, randomblob(4000))",
			SQL_ARGS(sql_int(i)));
}

static void insert_more(struct sql_conn *conn, int count, int round, err *e)
{
	*e = OK;
	for (int i = 0; i < count && !failed(*e); i++)
		*e = sql_exec(conn, "INSERT INTO entry (name, body) VALUES (?, randomblob(4000))",
			SQL_ARGS(sql_int(round * count + i)));
}

/* The store can name 64 changed pages at a time. One transaction that SQLite holds until the commit, and one of which it
 * writes a part before. */
static void exceed_the_store(struct world *w)
{
	struct sql_conn *conn = acquire(w), *reader = acquire(w);
	struct store_stats before, after;
	insert(conn, "there");
	store_stats(w->store, &before);
	for (int count = 80; count <= 640; count *= 8) {
		err e;
		ok(sql_begin(conn, SQL_WRITE), conn);
		insert_pages(conn, count, &e);
		ok(e, conn);
		sql_rollback(conn);
		assert_int_equal(number(conn, "SELECT count(*) FROM entry"), 1);
		ok(sql_begin(conn, SQL_WRITE), conn);
		insert_pages(conn, count, &e);
		ok(e, conn);
		assert_int_equal(number(reader, "SELECT count(*) FROM entry"), 1);
		ok(sql_commit(conn), conn);
		assert_true(store_durable_generation(w->store) >= sql_generation(conn));
		assert_int_equal(number(reader, "SELECT count(*) FROM entry"), 1 + count);
		check_integrity(reader);
		/* One statement, without a transaction around it. */
		ok(sql_exec(conn, "UPDATE entry SET body = zeroblob(4001) WHERE name <> 'there'", SQL_NO_ARGS), conn);
		assert_int_equal(number(reader, "SELECT count(*) FROM entry WHERE body = zeroblob(4001)"), count);
		assert_err(sql_exec(conn, "UPDATE entry SET name = CASE WHEN name = '70' THEN NULL ELSE name || 'x' END, "
					  "body = randomblob(4001)", SQL_NO_ARGS), INVALID);
		assert_int_equal(number(conn, "SELECT count(*) FROM entry WHERE body = zeroblob(4001)"), count);
		ok(sql_exec(conn, "VACUUM", SQL_NO_ARGS), conn);
		ok(sql_exec(conn, "DELETE FROM entry WHERE name <> 'there'", SQL_NO_ARGS), conn);
		check_integrity(conn);
	}
	store_stats(w->store, &after);
	assert_true(after.txns_large - before.txns_large >= 6);
	sql_release(conn);
	sql_release(reader);
}

/* The places in the volume's table are all taken: what changes everything says so, and nothing has happened. */
static void exceed_a_crowded_store(struct world *w)
{
	struct sql_conn *conn = acquire(w);
	struct store_object *object;
	char name[] = "A";
	err e = store_object_open(w->store, "main", false, &object);
	for (; !failed(e); name[0]++)
		e = store_named_create(object, name, 1);
	assert_int_equal(e.code, ERR_NO_SPACE);
	insert_pages(conn, 40, &e);
	insert_more(conn, 40, 2, &e);
	ok(e, conn);
	for (int i = 0; i < 2; i++) {
		assert_err(sql_exec(conn, i ? "VACUUM" : "UPDATE entry SET body = randomblob(4000)", SQL_NO_ARGS),
			NO_MEMORY);
		assert_non_null(strstr(sql_error(conn), "delete a snapshot or split it"));
	}
	assert_int_equal(number(conn, "SELECT count(*) FROM entry"), 81);
	check_integrity(conn);
	assert_true(store_state(w->store) == STORE_OPEN);
	ok(store_named_delete(w->store, "C"), NULL);
	ok(sql_exec(conn, "VACUUM", SQL_NO_ARGS), conn);
	check_integrity(conn);
	sql_release(conn);
}

static void a_transaction_may_change_more_pages_than_memory_can_name(void **state)
{
	(void)state;
	struct world *w = new_world();
	w->txn_pages_max = 64;
	world_run(w, open_world);
	world_run(w, exceed_the_store);
	world_run(w, exceed_a_crowded_store);
	world_run(w, close_only);
	world_free(w);
}

WORLD_TEST(space_is_given_back_by_vacuum)
{
	struct sql_conn *conn = acquire(w);
	ok(sql_exec(conn, "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 200) "
			  "INSERT INTO entry (name, body) SELECT 'n' || x, randomblob(4000) FROM c",
		   SQL_NO_ARGS),
		conn);
	int64_t before = number(conn, "PRAGMA page_count");
	ok(sql_exec(conn, "DELETE FROM entry WHERE id > 10", SQL_NO_ARGS), conn);
	ok(sql_exec(conn, "VACUUM", SQL_NO_ARGS), conn);
	assert_true(number(conn, "PRAGMA page_count") < before / 4);
	assert_int_equal(number(conn, "SELECT count(*) FROM entry"), 10);
	check_integrity(conn);
	sql_release(conn);
}

WORLD_TEST(the_extensions_are_there)
{
	struct sql_conn *conn = acquire(w);
	ok(sql_run(conn, "CREATE VIRTUAL TABLE t USING fts5(body); -- full text\n"
			 "INSERT INTO t VALUES ('the quick brown fox'), ('a lazy dog');"
			 "CREATE VIRTUAL TABLE r USING rtree(id, x0, x1); INSERT INTO r VALUES (1, 0, 10);"),
		conn);
	assert_int_equal(number(conn, "SELECT rowid FROM t WHERE t MATCH 'lazy'"), 2);
	assert_int_equal(number(conn, "SELECT id FROM r WHERE x0 < 5 AND x1 > 5"), 1);
	assert_int_equal(number(conn, "SELECT sqrt(49) + json_extract('{\"a\":1}', '$.a')"), 8);
	assert_int_equal(number(conn, "SELECT strftime('%Y', 'now')"), 2023);
	assert_int_equal(number(conn, "PRAGMA foreign_keys"), 1);
	sql_release(conn);
}

static void use_every_connection(struct world *w)
{
	struct sql_conn *conn[8];
	for (int i = 0; i < 8; i++) {
		char name[16];
		conn[i] = acquire(w);
		snprintf(name, sizeof name, "%d", i);
		insert(conn[i], name);
	}
	for (int i = 0; i < 8; i++) {
		assert_int_equal(number(conn[i], "SELECT count(*) FROM entry"), 8);
		sql_release(conn[i]);
	}
}

static void eight_connections_run_in_the_least_memory(void **state)
{
	(void)state;
	struct world *w = new_world();
	w->sql_config.memory_len = SQL_MEMORY_MIN;
	w->sql_config.connections = 8;
	world_run(w, open_world);
	world_run(w, use_every_connection);
	world_run(w, close_world);
	world_free(w);
}

static void version_is_2(struct world *w)
{
	struct sql_conn *conn = acquire(w);
	assert_int_equal(number(conn, "PRAGMA user_version"), 2);
	assert_int_equal(number(conn, "SELECT count(*) FROM counter"), 1);
	sql_release(conn);
}

static void migrations_run_once(void **state)
{
	(void)state;
	struct world *w = new_world();
	w->sql_config.migration_count = 1;
	world_run(w, open_world);
	world_run(w, close_world);
	w->sql_config.migration_count = 2;
	world_run(w, open_world);
	world_run(w, version_is_2);
	world_run(w, close_world);
	world_free(w);
}

static void open_is_unsupported(struct world *w)
{
	assert_err(world_open(w), UNSUPPORTED);
	world_close(w);
}

static void open_is_invalid(struct world *w)
{
	assert_err(world_open(w), INVALID);
	world_close(w);
}

static void only_the_first_was_applied(struct world *w)
{
	struct sql_conn *conn = acquire(w);
	assert_int_equal(number(conn, "PRAGMA user_version"), 1);
	assert_int_equal(number(conn, "SELECT count(*) FROM sqlite_schema WHERE name <> 'ingot_migration'"), 1);
	ok(sql_exec(conn, "PRAGMA user_version = 9", SQL_NO_ARGS), conn);
	sql_release(conn);
}

static void bad_migrations_and_newer_volumes_are_refused(void **state)
{
	(void)state;
	static const struct sql_migration bad[] = {
		{1, "good", "CREATE TABLE a (x)"},
		{2, "bad", "CREATE TABLE b (x); INSERT INTO nowhere VALUES (1)"},
	};
	struct world *w = new_world();
	w->sql_config.migrations = bad;
	world_run(w, open_is_invalid);
	w->sql_config.migration_count = 1;
	world_run(w, open_world);
	world_run(w, only_the_first_was_applied);
	world_run(w, close_world);
	world_run(w, open_is_unsupported);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_survive_reopening),
		cmocka_unit_test(a_rollback_leaves_nothing),
		cmocka_unit_test(a_failing_statement_is_undone_alone),
		cmocka_unit_test(a_reader_keeps_its_snapshot_while_another_writes),
		cmocka_unit_test(a_query_in_progress_is_not_disturbed_by_a_commit),
		cmocka_unit_test(a_stale_reader_cannot_write),
		cmocka_unit_test(writers_queue_and_lose_nothing),
		cmocka_unit_test(values_come_back_as_they_went),
		cmocka_unit_test(an_error_says_what_and_where),
		cmocka_unit_test(what_the_vfs_relies_on_cannot_be_changed),
		cmocka_unit_test(a_deadline_ends_an_endless_query),
		cmocka_unit_test(a_long_query_lets_others_run),
		cmocka_unit_test(many_short_queries_let_others_run),
		cmocka_unit_test(waiting_for_a_connection_times_out),
		cmocka_unit_test(results_depend_on_what_was_read_and_written),
		cmocka_unit_test(statements_are_prepared_once),
		cmocka_unit_test(pages_are_read_in_place),
		cmocka_unit_test(a_large_transaction_is_atomic),
		cmocka_unit_test(a_transaction_may_change_more_pages_than_memory_can_name),
		cmocka_unit_test(space_is_given_back_by_vacuum),
		cmocka_unit_test(the_extensions_are_there),
		cmocka_unit_test(eight_connections_run_in_the_least_memory),
		cmocka_unit_test(migrations_run_once),
		cmocka_unit_test(bad_migrations_and_newer_volumes_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
