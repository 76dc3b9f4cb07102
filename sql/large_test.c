/* What is larger than memory: transactions, sorts, indexes, VACUUM. SQLite gets little, the store's cache is small, and
 * what does not fit goes to scratch pages of the volume, of which nothing is left afterwards. */
#include "support/check.h"

#include <stdlib.h>

#define DISK_LEN (96u << 20)
#define ROWS 3000


static const struct sql_migration schema[] = {
	{1, "t", "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL, body BLOB);"},
};

static struct world *new_world(size_t memory_len)
{
	struct world *w = world_new(DISK_LEN);
	w->sql_config.migrations = schema;
	w->sql_config.migration_count = ARRAY_LEN(schema);
	w->sql_config.memory_len = memory_len;
	w->cache_pages = 128;
	return w;
}

static void fill(struct sql_conn *conn)
{
	ok(sql_exec(conn, "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < ?) "
			  "INSERT INTO t (name, body) SELECT 'name ' || (x * 7919 % 10007), randomblob(1500) FROM c",
		   SQL_ARGS(sql_int(ROWS))),
		conn);
}

static uint64_t scratch_writes(struct world *w)
{
	struct store_stats s;
	store_stats(w->store, &s);
	return s.scratch_writes;
}

/* With several sizes of SQLite's memory, and of what the store has for a transaction. */
static void with_each_memory(void (*run)(struct world *))
{
	struct world *w = new_world(2u << 20);
	in_world(w, run);
	w = new_world(6u << 20);
	w->txn_pages_max = 64; /* a part; the database has twenty of them */
	in_world(w, run);
}

#define LARGE_TEST(name)                                                                           \
	static void name##_run(struct world *w);                                                   \
	static void name(void **state)                                                             \
	{                                                                                          \
		(void)state;                                                                       \
		with_each_memory(name##_run);                                                      \
	}                                                                                          \
	static void name##_run(struct world *w)

LARGE_TEST(everything_is_updated_in_one_transaction)
{
	struct sql_conn *conn = acquire(w), *reader = acquire(w);
	struct sql_stats s;
	fill(conn);
	uint64_t writes = scratch_writes(w);
	ok(sql_begin(conn, SQL_WRITE), conn);
	ok(sql_exec(conn, "UPDATE t SET body = zeroblob(1500)", SQL_NO_ARGS), conn);
	assert_int_equal(number(reader, "SELECT count(*) FROM t WHERE body = zeroblob(1500)"), 0);
	sql_rollback(conn);
	assert_int_equal(number(conn, "SELECT count(*) FROM t WHERE body = zeroblob(1500)"), 0);
	check_integrity(conn);
	assert_true(scratch_writes(w) > writes);

	ok(sql_begin(conn, SQL_WRITE), conn);
	ok(sql_exec(conn, "UPDATE t SET body = zeroblob(1500)", SQL_NO_ARGS), conn);
	ok(sql_savepoint(conn), conn);
	ok(sql_exec(conn, "UPDATE t SET body = x'01' || body", SQL_NO_ARGS), conn);
	ok(sql_savepoint_undo(conn), conn);
	ok(sql_commit(conn), conn);
	assert_int_equal(number(reader, "SELECT count(*) FROM t WHERE body = zeroblob(1500)"), ROWS);
	check_integrity(reader);
	sql_stats(w->sql, &s);
	assert_true(s.journal_opens >= 2 && s.pages_spilled > 0);
	/* One that fails in the midst of it is undone alone. */
	ok(sql_begin(conn, SQL_WRITE), conn);
	ok(sql_exec(conn, "UPDATE t SET name = 'first' WHERE id = 1", SQL_NO_ARGS), conn);
	assert_err(sql_exec(conn, "UPDATE t SET name = CASE id WHEN 2990 THEN NULL ELSE 'x' END", SQL_NO_ARGS), INVALID);
	ok(sql_commit(conn), conn);
	assert_int_equal(number(conn, "SELECT count(*) FROM t WHERE name = 'x'"), 0);
	assert_int_equal(number(conn, "SELECT count(*) FROM t WHERE name = 'first'"), 1);
	check_integrity(conn);
	sql_release(conn);
	sql_release(reader);
}

LARGE_TEST(large_results_are_sorted_and_grouped)
{
	struct sql_conn *conn = acquire(w);
	fill(conn);
	uint64_t free_before = world_settled_free(w), writes = scratch_writes(w);
	struct sql_query q;
	uint32_t rows = 0;
	char last[32] = "";
	ok(sql_query_begin(conn, &q, "SELECT name, body FROM t ORDER BY name, length(body), id", SQL_NO_ARGS), conn);
	for (; sql_query_next(&q); rows++) {
		char name[32];
		snprintf(name, sizeof name, "%.*s", SLICE_ARG(sql_column_text(&q, 0)));
		assert_true(strcmp(last, name) <= 0);
		assert_int_equal(sql_column_blob(&q, 1).len, 1500);
		memcpy(last, name, sizeof last);
	}
	ok(sql_query_end(&q), conn);
	assert_int_equal(rows, ROWS);
	assert_true(scratch_writes(w) - writes > 500);
	assert_int_equal(number(conn, "SELECT count(*) FROM (SELECT DISTINCT body FROM t)"), ROWS);
	assert_int_equal(number(conn, "SELECT count(*) FROM (SELECT body FROM t UNION SELECT body FROM t)"), ROWS);
	/* Given up half-way. */
	ok(sql_query_begin(conn, &q, "SELECT body FROM t ORDER BY body", SQL_NO_ARGS), conn);
	assert_true(sql_query_next(&q));
	ok(sql_query_end(&q), conn);
	assert_int_equal(world_settled_free(w), free_before);
	sql_release(conn);
}

LARGE_TEST(the_schema_is_changed_under_much_data)
{
	struct sql_conn *conn = acquire(w);
	fill(conn);
	ok(sql_run(conn, "CREATE INDEX t_name ON t (name);"), conn);
	ok(sql_run(conn, "CREATE INDEX t_body ON t (body);"), conn);
	assert_int_equal(number(conn, "SELECT count(*) FROM t INDEXED BY t_name WHERE name >= 'name'"), ROWS);
	check_integrity(conn);
	ok(sql_run(conn, "REINDEX;"), conn);
	ok(sql_run(conn, "ANALYZE;"), conn);
	ok(sql_begin(conn, SQL_WRITE), conn);
	ok(sql_exec(conn, "PRAGMA optimize", SQL_NO_ARGS), conn);
	ok(sql_commit(conn), conn);
	assert_true(number(conn, "SELECT count(*) FROM sqlite_stat4") > 0);
	ok(sql_run(conn, "ALTER TABLE t ADD COLUMN extra TEXT DEFAULT 'e'; ALTER TABLE t RENAME COLUMN name TO title;"),
		conn);
	ok(sql_run(conn, "DROP INDEX t_body; ALTER TABLE t DROP COLUMN body; ALTER TABLE t RENAME TO u;"), conn);
	assert_int_equal(number(conn, "SELECT count(*) FROM u WHERE extra = 'e' AND title LIKE 'name %'"), ROWS);
	check_integrity(conn);
	sql_release(conn);
}

LARGE_TEST(deleting_and_vacuum_give_the_space_back)
{
	struct sql_conn *conn = acquire(w);
	uint64_t empty = world_settled_free(w);
	fill(conn);
	ok(sql_exec(conn, "VACUUM", SQL_NO_ARGS), conn);
	assert_int_equal(number(conn, "SELECT count(*) FROM t"), ROWS);
	check_integrity(conn);
	uint64_t full = world_settled_free(w);
	assert_true(full < empty - 1000);
	ok(sql_exec(conn, "DELETE FROM t WHERE id % 100 > 0", SQL_NO_ARGS), conn);
	assert_int_equal(number(conn, "SELECT count(*) FROM t"), ROWS / 100);
	/* Deleting alone leaves free pages in the database's file: they are the volume's after VACUUM. */
	ok(sql_exec(conn, "VACUUM", SQL_NO_ARGS), conn);
	check_integrity(conn);
	assert_true(world_settled_free(w) > empty - 100);
	sql_release(conn);
}

/* --- Others meanwhile ------------------------------------------------------------------------- */

static bool commit_done;
static uint64_t most_in_a_round;

/* What the journal does between two turns of another fiber. */
static void watch_the_journal(struct world *w)
{
	struct store_stats before, now;
	store_stats(w->store, &before);
	while (!commit_done) {
		fiber_yield(&w->loop);
		store_stats(w->store, &now);
		if (now.pages_written - before.pages_written > most_in_a_round)
			most_in_a_round = now.pages_written - before.pages_written;
		before = now;
	}
}

static void commit_many_pages(struct world *w)
{
	struct sql_conn *conn = acquire(w);
	struct store_stats before, after;
	store_stats(w->store, &before);
	commit_done = false;
	most_in_a_round = 0;
	ok(sql_begin(conn, SQL_WRITE), conn);
	fill(conn);
	world_spawn(w, watch_the_journal);
	ok(sql_commit(conn), conn);
	ok(store_wait_durable(w->store, sql_generation(conn)), NULL);
	commit_done = true;
	store_stats(w->store, &after);
	assert_int_equal(after.pages_spilled, before.pages_spilled);
	assert_true(after.pages_written - before.pages_written > 1000);
	/* A record's pages, of which each costs a checksum. */
	assert_in_range(most_in_a_round, 1, 200);
	fiber_yield(&w->loop);
	sql_release(conn);
}

static void others_run_while_a_large_commit_is_written(void **state)
{
	(void)state;
	struct world *w = new_world(6u << 20);
	w->cache_pages = 4096;
	in_world(w, commit_many_pages);
}

/* Each read transaction's end looks at a few versions that others hold, and not at all of them. */
static void read_beside_an_old_reader(struct world *w)
{
	struct sql_conn *old = acquire(w), *conn = acquire(w);
	fill(conn);
	ok(sql_begin(old, SQL_READ), old);
	assert_int_equal(number(old, "SELECT count(*) FROM t WHERE name = 'x'"), 0);
	ok(sql_exec(conn, "UPDATE t SET name = 'x'", SQL_NO_ARGS), conn);
	ok(store_wait_durable(w->store, sql_generation(conn)), NULL);
	for (int i = 0; i < 100; i++)
		assert_int_equal(number(conn, "SELECT count(*) FROM t WHERE id = 7 AND name = 'x'"), 1);
	assert_int_equal(number(old, "SELECT count(*) FROM t WHERE name = 'x'"), 0);
	ok(sql_commit(old), old);
	assert_int_equal(number(old, "SELECT count(*) FROM t WHERE name = 'x'"), ROWS);
	sql_release(old);
	sql_release(conn);
	struct store_stats s;
	world_settled_free(w);
	store_stats(w->store, &s);
	assert_int_equal(s.blocks_waiting, 0);
}

static void an_old_reader_keeps_its_versions_and_gives_them_back(void **state)
{
	(void)state;
	in_world(new_world(6u << 20), read_beside_an_old_reader);
}

/* --- Limits ----------------------------------------------------------------------------------- */

static void fill_until_full_run(struct world *w)
{
	struct sql_conn *conn = acquire(w), *other = acquire(w);
	fill(conn);
	uint64_t free_before = world_settled_free(w);
	/* A set that grows without end takes no more than half of what is free, and then it ends. */
	assert_err(sql_exec(conn, "WITH RECURSIVE c(x, y) AS (SELECT 1, randomblob(1000) UNION SELECT x + 1, "
				  "randomblob(1000) FROM c) SELECT max(x) FROM c ORDER BY y",
			   SQL_NO_ARGS),
		NO_SPACE);
	assert_non_null(strstr(sql_error(conn), "full"));
	assert_int_equal(world_settled_free(w), free_before);
	ok(sql_exec(other, "INSERT INTO t (name) VALUES ('goes on')", SQL_NO_ARGS), other);
	check_integrity(conn);
	sql_release(conn);
	sql_release(other);
}

static void an_endless_set_leaves_room_for_others(void **state)
{
	(void)state;
	struct world *w = world_new(32u << 20);
	w->sql_config.migrations = schema;
	w->sql_config.migration_count = ARRAY_LEN(schema);
	w->sql_config.memory_len = 2u << 20;
	in_world(w, fill_until_full_run);
}

/* Of the disk's writes, the one that comes then fails, and all after it. */
static void sort_on_a_failing_disk(struct world *w)
{
	struct sql_conn *conn = acquire(w);
	fill(conn);
	ok(store_wait_durable(w->store, sql_generation(conn)), NULL);
	w->fail_writes_after = 20;
	struct sql_query q;
	ok(sql_query_begin(conn, &q, "SELECT body FROM t ORDER BY body", SQL_NO_ARGS), conn);
	while (sql_query_next(&q))
		;
	assert_err(sql_query_end(&q), IO);
	assert_int_equal(number(conn, "SELECT count(*) FROM t"), ROWS);
	sql_release(conn);
}

static void a_sort_on_a_failing_disk_is_an_error(void **state)
{
	(void)state;
	in_world(new_world(2u << 20), sort_on_a_failing_disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_is_updated_in_one_transaction),
		cmocka_unit_test(large_results_are_sorted_and_grouped),
		cmocka_unit_test(the_schema_is_changed_under_much_data),
		cmocka_unit_test(deleting_and_vacuum_give_the_space_back),
		cmocka_unit_test(others_run_while_a_large_commit_is_written),
		cmocka_unit_test(an_old_reader_keeps_its_versions_and_gives_them_back),
		cmocka_unit_test(an_endless_set_leaves_room_for_others),
		cmocka_unit_test(a_sort_on_a_failing_disk_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
