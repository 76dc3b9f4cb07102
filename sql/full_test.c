/* A volume filled to the brim: reads go on, and what fills it can be deleted in one statement. Nothing is free then but
 * what growth leaves (store/txn.c). That must do for what the deletion changes, for SQLite's undo log of it on scratch
 * pages, and for the maps: the more of each, the larger the table. */
#include "support/check.h"

#include <stdlib.h>

#define MIB ((size_t)1 << 20)

static const struct sql_migration schema[] = {
	{1, "t", "CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB NOT NULL);"},
};

struct full {
	size_t disk_len;
	bool vacuums;          /* auto_vacuum = INCREMENTAL: the pointer map changes too, and free pages can go back */
	const char *statement; /* what must work then */
	uint32_t steps;        /* so often, with the numbers from 0 */
	bool empty;            /* afterwards */
};

/* Memory is for a small part of it. */
static struct world *new_world(const struct full *f)
{
	struct world *w = world_new(f->disk_len);
	free(w->stable); /* there is no power cut */
	w->stable = NULL;
	w->sql_config.migrations = schema;
	w->sql_config.migration_count = ARRAY_LEN(schema);
	w->sql_config.memory_len = 2 * MIB;
	w->cache_pages = 128;
	w->txn_pages_max = 512;
	w->context = (void *)(uintptr_t)f;
	return w;
}

static void run(struct sql_conn *conn, const char *sql, uint32_t step)
{
	struct sql_query q;
	const struct sql_value values[] = {sql_int(step)};
	err e = sql_query_begin(conn, &q, sql, values, strchr(sql, '?') ? 1 : 0);
	while (!failed(e) && sql_query_next(&q))
		;
	if (!failed(e))
		e = sql_query_end(&q);
	if (failed(e))
		fail_msg("%s (%u): %s", sql, step, sql_error(conn));
}

/* In large pieces, then in small ones. */
static void fill(struct sql_conn *conn)
{
	for (int len = 100000; len > 1000; len = len * 3 / 100)
		for (err e = OK; !failed(e);) {
			e = sql_exec(conn, "INSERT INTO t (body) VALUES (zeroblob(?))", SQL_ARGS(sql_int(len)));
			if (failed(e))
				assert_err(e, NO_SPACE);
		}
}

/* Free pages go back to the volume, as many at once as docs/sql.md says. */
static void give_back(struct sql_conn *conn, size_t disk_len)
{
	char text[64];
	snprintf(text, sizeof text, "PRAGMA incremental_vacuum(%zu)", disk_len / STORE_PAGE_SIZE / 512);
	while (number(conn, "PRAGMA freelist_count"))
		run(conn, text, 0);
}

static void run_full(struct world *w)
{
	const struct full *f = w->context;
	struct sql_conn *conn = acquire(w);
	if (f->vacuums) {
		run(conn, "PRAGMA auto_vacuum = INCREMENTAL", 0);
		run(conn, "VACUUM", 0);
	}
	uint64_t free_before = world_settled_free(w);
	for (int round = 0; round < 2; round++) {
		fill(conn);
		uint64_t pages = (uint64_t)number(conn, "PRAGMA page_count");
		assert_true(pages * STORE_PAGE_SIZE > f->disk_len / 100 * 85);
		assert_int_equal(number(conn, "SELECT count(*) FROM t WHERE id % 50 = 0 AND substr(body, -1) = x'00'"),
			number(conn, "SELECT count(*) FROM t WHERE id % 50 = 0"));
		for (uint32_t i = 0; i < f->steps; i++)
			run(conn, f->statement, i);
		if (f->vacuums)
			give_back(conn, f->disk_len);
		if (!f->empty)
			continue;
		run(conn, "CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, body BLOB NOT NULL)", 0);
		assert_int_equal(number(conn, "SELECT count(*) FROM t"), 0);
		if (f->vacuums)
			assert_in_range(world_settled_free(w), free_before - 8, free_before);
	}
	check_integrity(conn);
	sql_release(conn);
}

static void try_each(const struct full *f, size_t count)
{
	for (; count--; f++)
		in_world(new_world(f), run_full);
}

static void a_table_that_fills_the_volume_is_deleted_in_one_statement(void **state)
{
	static const struct full all[] = {
		{4 * MIB, false, "DELETE FROM t", 1, true},
		{16 * MIB, false, "DELETE FROM t WHERE id > 0", 1, true},
		{16 * MIB, true, "DELETE FROM t WHERE id > 0", 1, true},
		{96 * MIB, false, "DROP TABLE t", 1, true},
		{96 * MIB, true, "DELETE FROM t", 1, true},
		{576 * MIB, true, "DELETE FROM t", 1, true},
		{576 * MIB, true, "DROP TABLE t", 1, true},
	};
	(void)state;
	try_each(all, ARRAY_LEN(all));
}

/* Each of these changes many pages that stay. */
static void half_of_it_is_deleted_and_given_back_in_steps(void **state)
{
	static const struct full all[] = {
		{16 * MIB, true, "DELETE FROM t WHERE id % 16 = 2 * ?", 8, false},
		{128 * MIB, true, "DELETE FROM t WHERE id % 16 = 2 * ?", 8, false},
		{576 * MIB, true, "DELETE FROM t WHERE id % 16 = 2 * ?", 8, false},
	};
	(void)state;
	try_each(all, ARRAY_LEN(all));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_that_fills_the_volume_is_deleted_in_one_statement),
		cmocka_unit_test(half_of_it_is_deleted_and_given_back_in_steps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
