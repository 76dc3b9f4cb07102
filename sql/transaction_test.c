/* Transactions that are functions, savepoints, and blobs in pieces. */
#include "support/check.h"

#include <stdlib.h>

#define DISK_LEN (64u << 20)

static const struct sql_migration schema[] = {
	{1, "first", "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL UNIQUE);"
		     "CREATE TABLE counter (n INTEGER NOT NULL); INSERT INTO counter VALUES (0);"
		     "CREATE TABLE file (id INTEGER PRIMARY KEY, body BLOB);"},
};

static struct world *new_world(void)
{
	struct world *w = world_new(DISK_LEN);
	w->sql_config.migrations = schema;
	w->sql_config.migration_count = ARRAY_LEN(schema);
	return w;
}

#define WORLD_TEST(name)                                                                           \
	static void name##_run(struct world *w);                                                   \
	static void name(void **state)                                                             \
	{                                                                                          \
		(void)state;                                                                       \
		in_world(new_world(), name##_run);                                                 \
	}                                                                                          \
	static void name##_run(struct world *w)

static err add(struct sql_conn *conn, int64_t n)
{
	return sql_exec(conn, "INSERT INTO t (n) VALUES (?)", SQL_ARGS(sql_int(n)));
}

WORLD_TEST(savepoints_nest)
{
	struct sql_conn *conn = acquire(w);
	assert_err(sql_savepoint(conn), INVALID);
	ok(sql_begin(conn, SQL_WRITE), conn);
	assert_err(sql_savepoint_undo(conn), INVALID);
	ok(add(conn, 1), conn);
	ok(sql_savepoint(conn), conn);
	ok(add(conn, 2), conn);
	ok(sql_savepoint(conn), conn);
	ok(add(conn, 3), conn);
	ok(sql_savepoint_undo(conn), conn);
	ok(sql_savepoint(conn), conn);
	ok(add(conn, 4), conn);
	ok(sql_savepoint_release(conn), conn);
	assert_int_equal(number(conn, "SELECT sum(n) FROM t"), 7);
	ok(sql_savepoint_undo(conn), conn);
	assert_err(sql_savepoint_release(conn), INVALID);
	assert_int_equal(number(conn, "SELECT sum(n) FROM t"), 1);
	ok(sql_commit(conn), conn);
	assert_int_equal(number(conn, "SELECT sum(n) FROM t"), 1);
	check_integrity(conn);
	sql_release(conn);
}

struct body {
	struct sql_conn *other;
	uint32_t runs, disturbed; /* runs in which another writes in between */
	err result;
};

static err increment(struct sql_conn *conn, void *context)
{
	struct body *b = context;
	int64_t n;
	TRY(sql_query_int(conn, "SELECT n FROM counter", SQL_NO_ARGS, &n));
	if (b->runs++ < b->disturbed && b->other)
		TRY(sql_exec(b->other, "UPDATE counter SET n = n + 100", SQL_NO_ARGS));
	TRY(sql_exec(conn, "UPDATE counter SET n = ?", SQL_ARGS(sql_int(n + 1))));
	return b->result;
}

WORLD_TEST(a_transaction_that_became_stale_runs_again)
{
	struct body b = {.disturbed = 2, .result = OK};
	struct sql_conn *conn = acquire(w);
	struct sql_stats s;
	b.other = acquire(w);
	ok(sql_transaction(conn, SQL_READ, increment, &b), conn);
	assert_int_equal(b.runs, 3);
	assert_int_equal(number(conn, "SELECT n FROM counter"), 201);
	sql_stats(w->sql, &s);
	assert_int_equal(s.retries, 2);
	assert_false(sql_in_transaction(conn));
	sql_release(b.other);
	sql_release(conn);
}

static err ignore_failures(struct sql_conn *conn, void *context)
{
	err e = increment(conn, context);
	(void)e;
	return OK;
}

WORLD_TEST(a_stale_transaction_is_not_committed_though_its_function_looks_away)
{
	struct body b = {.disturbed = 1, .result = OK};
	struct sql_conn *conn = acquire(w);
	b.other = acquire(w);
	ok(sql_transaction(conn, SQL_READ, ignore_failures, &b), conn);
	assert_int_equal(b.runs, 2);
	assert_int_equal(number(conn, "SELECT n FROM counter"), 101);
	sql_release(b.other);
	sql_release(conn);
}

/* The last attempt waits its turn instead: nobody can come in between. */
static uint32_t disturber_runs;

static void disturb(struct world *w)
{
	struct sql_conn *conn = acquire(w);
	for (int i = 0; i < 200; i++, disturber_runs++) {
		ok(sql_exec(conn, "UPDATE counter SET n = n + 1000", SQL_NO_ARGS), conn);
		fiber_yield(&w->loop);
	}
	sql_release(conn);
}

static err increment_slowly(struct sql_conn *conn, void *context)
{
	struct world *w = context;
	int64_t n;
	TRY(sql_query_int(conn, "SELECT n FROM counter", SQL_NO_ARGS, &n));
	for (int i = 0; i < 3; i++)
		fiber_yield(&w->loop);
	return sql_exec(conn, "UPDATE counter SET n = ?", SQL_ARGS(sql_int(n + 1)));
}

WORLD_TEST(a_transaction_gets_its_turn_among_many_writers)
{
	struct sql_conn *conn = acquire(w);
	disturber_runs = 0;
	world_spawn(w, disturb);
	for (int i = 0; i < 10; i++)
		ok(sql_transaction(conn, SQL_READ, increment_slowly, w), conn);
	assert_true(disturber_runs < 200);
	while (disturber_runs < 200)
		fiber_yield(&w->loop);
	assert_int_equal(number(conn, "SELECT n FROM counter"), 200 * 1000 + 10);
	sql_release(conn);
}

WORLD_TEST(a_transaction_whose_function_fails_leaves_nothing)
{
	struct body b = {.result = ERR(NOT_FOUND)};
	struct sql_conn *conn = acquire(w);
	assert_err(sql_transaction(conn, SQL_WRITE, increment, &b), NOT_FOUND);
	assert_int_equal(b.runs, 1);
	assert_int_equal(number(conn, "SELECT n FROM counter"), 0);
	/* Nested, it undoes only its own part. */
	ok(sql_begin(conn, SQL_WRITE), conn);
	ok(add(conn, 1), conn);
	assert_err(sql_transaction(conn, SQL_WRITE, increment, &b), NOT_FOUND);
	b.result = OK;
	ok(sql_transaction(conn, SQL_WRITE, increment, &b), conn);
	ok(sql_commit(conn), conn);
	assert_int_equal(number(conn, "SELECT n FROM counter"), 1);
	assert_int_equal(number(conn, "SELECT count(*) FROM t"), 1);
	sql_release(conn);
}

/* --- Blobs ------------------------------------------------------------------------------------ */

#define BLOB_LEN (12u << 20) /* twice what SQLite has of memory */
#define PIECE 30000u

static void fill(uint8_t *piece, uint32_t offset, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		piece[i] = (uint8_t)((offset + i) * 31 + (offset + i) / 4091);
}

WORLD_TEST(a_blob_larger_than_memory_is_written_and_read_in_pieces)
{
	static uint8_t piece[PIECE], expected[PIECE];
	struct sql_conn *conn = acquire(w), *other = acquire(w);
	struct sql_blob b;
	ok(sql_exec(conn, "INSERT INTO file VALUES (1, ?)", SQL_ARGS(sql_zeros(BLOB_LEN))), conn);
	/* In a few transactions of their own. */
	for (uint32_t at = 0; at < BLOB_LEN;) {
		ok(sql_blob_open(conn, &b, "file", "body", 1, SQL_WRITE), conn);
		assert_int_equal(sql_blob_len(&b), BLOB_LEN);
		for (uint32_t i = 0; i < 20 && at < BLOB_LEN; i++) {
			uint32_t len = BLOB_LEN - at < PIECE ? BLOB_LEN - at : PIECE;
			fill(piece, at, len);
			ok(sql_blob_write(&b, at, slice_of(piece, len)), conn);
			at += len;
		}
		ok(sql_blob_close(&b), conn);
	}
	ok(sql_blob_open(other, &b, "file", "body", 1, SQL_READ), other);
	for (uint32_t at = 0; at < BLOB_LEN; at += PIECE) {
		uint32_t len = BLOB_LEN - at < PIECE ? BLOB_LEN - at : PIECE;
		ok(sql_blob_read(&b, at, piece, len), other);
		fill(expected, at, len);
		assert_memory_equal(piece, expected, len);
	}
	/* From the end to the front, and across ends. */
	ok(sql_blob_read(&b, BLOB_LEN - 10, piece, 10), other);
	assert_err(sql_blob_read(&b, BLOB_LEN - 10, piece, 11), INVALID);
	assert_err(sql_blob_read(&b, BLOB_LEN + 1, piece, 0), INVALID);
	assert_err(sql_blob_write(&b, 0, SLICE("x")), INVALID); /* open for reading */
	ok(sql_blob_close(&b), other);
	/* As a whole it is more than a value may be. */
	assert_err(sql_exec(conn, "SELECT body || 'x' FROM file", SQL_NO_ARGS), TOO_LARGE);
	assert_int_equal(number(conn, "SELECT length(body) FROM file"), BLOB_LEN);
	assert_err(sql_exec(conn, "SELECT zeroblob(10000000)", SQL_NO_ARGS), TOO_LARGE); /* the limit is back */
	check_integrity(conn);
	sql_release(conn);
	sql_release(other);
}

WORLD_TEST(a_blob_that_is_open_sees_one_generation)
{
	uint8_t out[4];
	struct sql_conn *conn = acquire(w), *other = acquire(w);
	struct sql_blob b, c;
	ok(sql_exec(conn, "INSERT INTO file VALUES (1, x'01020304')", SQL_NO_ARGS), conn);
	ok(sql_blob_open(conn, &b, "file", "body", 1, SQL_READ), conn);
	ok(sql_exec(other, "UPDATE file SET body = x'0a0b0c0d'", SQL_NO_ARGS), other);
	ok(sql_blob_read(&b, 0, out, 4), conn);
	assert_memory_equal(out, "\1\2\3\4", 4);
	ok(sql_blob_close(&b), conn);
	/* A change on the same connection ends it. */
	ok(sql_blob_open(conn, &b, "file", "body", 1, SQL_READ), conn);
	ok(sql_exec(conn, "UPDATE file SET body = x'ff'", SQL_NO_ARGS), conn);
	assert_err(sql_blob_read(&b, 0, out, 1), INVALID);
	assert_string_equal(sql_error(conn), "the row of this blob has been changed meanwhile");
	err e = sql_blob_close(&b);
	(void)e;
	assert_err(sql_blob_open(conn, &b, "file", "body", 2, SQL_READ), NOT_FOUND);
	assert_err(sql_blob_open(conn, &b, "file", "bodi", 1, SQL_READ), INVALID);
	assert_err(sql_blob_open(conn, &b, "t", "n", 1, SQL_WRITE), INVALID);
	/* While one writes, others wait for the slot; and a rollback takes back what was written. */
	ok(sql_begin(conn, SQL_WRITE), conn);
	ok(sql_blob_open(conn, &b, "file", "body", 1, SQL_WRITE), conn);
	ok(sql_blob_write(&b, 0, SLICE("!")), conn);
	ok(sql_blob_close(&b), conn);
	sql_set_deadline(other, w->now_ns + 10000000);
	assert_err(sql_blob_open(other, &c, "file", "body", 1, SQL_WRITE), TIMEOUT);
	sql_set_deadline(other, TIMER_NEVER);
	sql_rollback(conn);
	assert_int_equal(number(other, "SELECT body = x'ff' FROM file"), 1);
	sql_release(conn);
	sql_release(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(savepoints_nest),
		cmocka_unit_test(a_transaction_that_became_stale_runs_again),
		cmocka_unit_test(a_stale_transaction_is_not_committed_though_its_function_looks_away),
		cmocka_unit_test(a_transaction_gets_its_turn_among_many_writers),
		cmocka_unit_test(a_transaction_whose_function_fails_leaves_nothing),
		cmocka_unit_test(a_blob_larger_than_memory_is_written_and_read_in_pieces),
		cmocka_unit_test(a_blob_that_is_open_sees_one_generation),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
