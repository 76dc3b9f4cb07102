/* What a reader sees, and when it stops: durable generations, pages that the disk has to be asked for, and the
 * parts of SQLite that an application may count on. */
#include "support/check.h"

#include <stdlib.h>

#define DISK_LEN (48u << 20)

static const struct sql_migration schema[] = {
	{1, "t", "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, body BLOB);"},
};

static struct world *new_world(void)
{
	struct world *w = world_new(DISK_LEN);
	w->sql_config.migrations = schema;
	w->sql_config.migration_count = ARRAY_LEN(schema);
	return w;
}

/* Also the ways out wait for the disk. */
static void release(struct world *w, struct sql_conn *conn)
{
	w->hold_flushes = false;
	sql_release(conn);
}

#define WORLD_TEST(name)                                                                           \
	static void name##_run(struct world *w);                                                   \
	static void name(void **state)                                                             \
	{                                                                                          \
		(void)state;                                                                       \
		in_world(new_world(), name##_run);                                                 \
	}                                                                                          \
	static void name##_run(struct world *w)

static void insert(struct sql_conn *conn, const char *name)
{
	ok(sql_exec(conn, "INSERT INTO t (name) VALUES (?)", SQL_ARGS(sql_text(slice_from_cstr(name)))), conn);
}

static void make_durable(struct world *w)
{
	w->hold_flushes = false;
	ok(store_wait_durable(w->store, store_generation(w->store)), NULL);
	w->hold_flushes = true;
}

/* --- Durable generations ---------------------------------------------------------------------- */

/* Nothing becomes durable but by make_durable. */
WORLD_TEST(a_durable_reader_does_not_see_what_is_not_durable)
{
	struct sql_conn *writer = acquire(w), *reader = acquire(w);
	insert(writer, "durable");
	make_durable(w);
	sql_read_durable(reader);
	insert(writer, "not yet");
	assert_int_equal(number(reader, "SELECT count(*) FROM t"), 1);
	assert_int_equal(number(writer, "SELECT count(*) FROM t"), 2);
	assert_true(sql_generation(reader) <= store_durable_generation(w->store));
	/* Several queries see one state, also when it becomes durable meanwhile. */
	ok(sql_begin(reader, SQL_READ), reader);
	assert_int_equal(number(reader, "SELECT count(*) FROM t"), 1);
	make_durable(w);
	assert_int_equal(number(reader, "SELECT count(*) FROM t"), 1);
	assert_err(sql_exec(reader, "DELETE FROM t", SQL_NO_ARGS), STALE);
	sql_rollback(reader);
	assert_int_equal(number(reader, "SELECT count(*) FROM t"), 2);
	sql_release(writer);
	release(w, reader);
}

WORLD_TEST(own_writes_are_seen_by_a_durable_reader)
{
	struct sql_conn *conn = acquire(w), *other = acquire(w);
	sql_read_durable(conn);
	assert_int_equal(number(conn, "SELECT count(*) FROM t"), 0);
	insert(conn, "mine");
	assert_int_equal(number(conn, "SELECT count(*) FROM t"), 1);
	insert(other, "another's, on top of it");
	assert_int_equal(number(conn, "SELECT count(*) FROM t"), 2);
	/* A write begins at the newest, whoever made it. */
	sql_release(conn);
	conn = acquire(w);
	sql_read_durable(conn);
	ok(sql_exec(conn, "UPDATE t SET name = 'x' WHERE name LIKE 'another%'", SQL_NO_ARGS), conn);
	assert_int_equal(sql_changes(conn), 1);
	sql_release(conn);
	release(w, other);
}

/* SQLite has cached pages, and the schema, of a newer generation on this connection. */
WORLD_TEST(a_connection_goes_back_to_what_is_durable)
{
	struct sql_conn *conn = acquire(w);
	ok(sql_exec(conn, "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 2000) "
			  "INSERT INTO t SELECT x, 'old', randomblob(200) FROM c",
		   SQL_NO_ARGS),
		conn);
	make_durable(w);
	for (int i = 0; i < 5; i++) {
		sql_release(conn);
		conn = acquire(w);
		ok(sql_begin(conn, SQL_WRITE), conn);
		ok(sql_exec(conn, "UPDATE t SET name = 'new' WHERE id % 3 = 0", SQL_NO_ARGS), conn);
		ok(sql_exec(conn, "DELETE FROM t WHERE id > 1000", SQL_NO_ARGS), conn);
		ok(sql_exec(conn, "CREATE TABLE later (a)", SQL_NO_ARGS), conn);
		ok(sql_commit(conn), conn);
		assert_int_equal(number(conn, "SELECT count(*) FROM t, (SELECT count(*) FROM later)"), 1000);
		struct sql_conn *same = conn;
		sql_release(conn);
		conn = acquire(w);
		assert_ptr_equal(conn, same);
		sql_read_durable(conn);
		assert_int_equal(number(conn, "SELECT count(*) FROM t WHERE name = 'old'"), 2000);
		assert_err(sql_exec(conn, "SELECT * FROM later", SQL_NO_ARGS), INVALID);
		check_integrity(conn);
		make_durable(w);
		assert_int_equal(number(conn, "SELECT count(*) FROM t"), 1000);
		assert_int_equal(number(conn, "SELECT count(*) FROM later"), 0);
		check_integrity(conn);
		ok(sql_run(conn, "DROP TABLE later; UPDATE t SET name = 'old';"), conn);
		ok(sql_exec(conn, "INSERT INTO t SELECT id + 1000, name, body FROM t", SQL_NO_ARGS), conn);
		make_durable(w);
	}
	release(w, conn);
}

/* --- Pages ------------------------------------------------------------------------------------ */

static struct gone {
	bool gone;
	uint32_t asked;
} gone;

static bool is_gone(void *cookie)
{
	struct gone *g = cookie;
	g->asked++;
	return g->gone;
}

static uint32_t reads, reads_after_gone, go_after;

static void count_reads(struct world *w, const struct block_request *r)
{
	(void)w;
	if (r->op != BLOCK_READ)
		return;
	reads++;
	reads_after_gone += gone.gone;
	if (go_after && reads == go_after)
		gone.gone = true;
}

static struct sql_conn *cold_table(struct world *w)
{
	struct sql_conn *conn = acquire(w);
	ok(sql_exec(conn, "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 2000) "
			  "INSERT INTO t SELECT x, 'name', randomblob(3000) FROM c",
		   SQL_NO_ARGS),
		conn);
	make_durable(w);
	return conn;
}

/* A virtual machine step is cheap, and a page may take long: it does not come to the progress handler. */
WORLD_TEST(who_has_gone_while_a_page_is_read_waits_for_no_other)
{
	struct sql_conn *writer = cold_table(w), *conn;
	gone = (struct gone){false, 0};
	reads = reads_after_gone = 0;
	go_after = 30;
	w->on_request = count_reads;
	ok(sql_acquire_watched(w->sql, TIMER_NEVER, &(struct sql_watch){is_gone, &gone}, &conn), NULL);
	assert_err(sql_exec(conn, "SELECT sum(length(body)) FROM t", SQL_NO_ARGS), CLOSED);
	assert_string_equal(sql_error(conn), "nobody waits for the result any more");
	assert_int_equal(reads_after_gone, 0);
	assert_true(reads < 40);
	sql_release(conn);
	/* And at a deadline. */
	conn = acquire(w);
	go_after = 0;
	reads = 0;
	sql_set_deadline(conn, w->now_ns + 100000);
	assert_err(sql_exec(conn, "SELECT sum(length(body)) FROM t", SQL_NO_ARGS), TIMEOUT);
	assert_in_range(reads, 1, 200);
	sql_set_deadline(conn, TIMER_NEVER);
	assert_int_equal(number(conn, "SELECT sum(length(body)) FROM t"), 2000 * 3000);
	sql_release(conn);
	release(w, writer);
}

/* Queries copy nothing; a connection that has changed something reads copies until its commit. */
WORLD_TEST(queries_copy_no_pages)
{
	struct sql_conn *writer = cold_table(w), *conn = acquire(w);
	struct sql_stats before, after;
	ok(sql_run(writer, "CREATE INDEX t_name ON t (name, id);"), writer);
	sql_stats(w->sql, &before);
	assert_int_equal(number(conn, "SELECT count(*) FROM t WHERE name = 'name'"), 2000);
	assert_int_equal(number(conn, "SELECT sum(length(body)) FROM t"), 2000 * 3000);
	assert_int_equal(number(conn, "SELECT count(*) FROM t a JOIN t b ON b.id = a.id + 1 WHERE a.id < 200"), 199);
	struct sql_blob b;
	uint8_t piece[500];
	ok(sql_blob_open(conn, &b, "t", "body", 77, SQL_READ), conn);
	ok(sql_blob_read(&b, 2000, piece, sizeof piece), conn);
	ok(sql_blob_close(&b), conn);
	sql_stats(w->sql, &after);
	assert_true(after.pages_lent - before.pages_lent > 2000);
	/* Once for each read transaction SQLite reads 16 bytes of the header, to see whether its cache holds. */
	assert_in_range(after.pages_copied - before.pages_copied, 0, 8);
	sql_release(writer);
	release(w, conn);
}

/* --- What is there ---------------------------------------------------------------------------- */

WORLD_TEST(what_an_application_counts_on_is_there)
{
	static const char *const true_sql[] = {
		"sqrt(2) BETWEEN 1.414 AND 1.415 AND pi() > 3.14 AND log2(8) = 3 AND mod(7, 3) = 1",
		"json_extract('{\"a\":[1,2]}', '$.a[1]') = 2 AND '{\"a\":5}' ->> 'a' = 5 AND json_valid('[')= 0",
		"(SELECT group_concat(value) FROM json_each('[1,2,3]')) = '1,2,3'",
		"json_group_array(1) = '[1]' AND length(jsonb('[1]')) > 0",
		"date('2024-02-29', '+1 year') = '2025-03-01' AND unixepoch('now') > 1600000000",
		"strftime('%Y', 'now') = '2023' AND julianday('2000-01-01 12:00') = 2451545.0",
		"upper('x') = 'X' AND instr('abc', 'c') = 3 AND printf('%05.1f', 2.25) = '002.3' AND iif(1, 2, 3) = 2",
		"(SELECT sum(x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM "
		"(SELECT 1 AS x UNION SELECT 2) ORDER BY x DESC LIMIT 1) = 3",
		"(SELECT max(r) FROM (SELECT rank() OVER (ORDER BY value) AS r FROM json_each('[5,5,7]'))) = 3",
		"abs(random()) >= 0 AND random() <> random() AND randomblob(16) <> randomblob(16)",
		"1 IS NOT DISTINCT FROM 1 AND (1, 2) < (1, 3)",
	};
	struct sql_conn *conn = acquire(w);
	char text[512];
	for (size_t i = 0; i < ARRAY_LEN(true_sql); i++) {
		snprintf(text, sizeof text, "SELECT %s", true_sql[i]);
		if (number(conn, text) != 1)
			fail_msg("not true: %s", true_sql[i]);
	}
	ok(sql_run(conn, "CREATE VIRTUAL TABLE f USING fts5(title, body, tokenize = 'porter unicode61', prefix = '2 3');"
			 "INSERT INTO f VALUES ('Running', 'A caf\xc3\xa9 for runners'), ('Standing', 'still');"
			 "CREATE VIRTUAL TABLE r USING rtree(id, x0, x1, y0, y1);"
			 "INSERT INTO r VALUES (1, 0, 10, 0, 10), (2, 20, 30, 20, 30);"
			 "CREATE TABLE g (a INTEGER, b INTEGER AS (a * 2) STORED, CHECK (a > 0)) STRICT;"
			 "INSERT INTO g VALUES (4) ON CONFLICT DO NOTHING RETURNING b;"
			 "CREATE TABLE p (id INTEGER PRIMARY KEY);"
			 "CREATE TABLE k (p REFERENCES p ON DELETE CASCADE) ;"
			 "INSERT INTO p VALUES (1); INSERT INTO k VALUES (1); DELETE FROM p;"
			 "INSERT INTO t (id, name) SELECT value, 'n' || value % 10 FROM json_each('[1,2,3,4,5,6,7,8]');"
			 "CREATE INDEX t_name ON t (name) WHERE name > ''; ANALYZE;"),
		conn);
	assert_int_equal(number(conn, "SELECT count(*) FROM f WHERE f MATCH 'run* AND cafe'"), 1);
	assert_int_equal(number(conn, "SELECT rowid FROM f WHERE f MATCH 'stand' ORDER BY rank"), 2);
	assert_int_equal(number(conn, "SELECT id FROM r WHERE x0 < 25 AND x1 > 25"), 2);
	assert_int_equal(number(conn, "SELECT b FROM g"), 8);
	assert_int_equal(number(conn, "SELECT count(*) FROM k"), 0);
	assert_true(number(conn, "SELECT count(*) FROM sqlite_stat1") > 0);
	assert_true(number(conn, "SELECT count(*) FROM sqlite_stat4") > 0);
	assert_err(sql_exec(conn, "INSERT INTO k VALUES (9)", SQL_NO_ARGS), INVALID);
	assert_err(sql_exec(conn, "INSERT INTO g VALUES ('text')", SQL_NO_ARGS), INVALID);
	check_integrity(conn);
	release(w, conn);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_durable_reader_does_not_see_what_is_not_durable),
		cmocka_unit_test(own_writes_are_seen_by_a_durable_reader),
		cmocka_unit_test(a_connection_goes_back_to_what_is_durable),
		cmocka_unit_test(who_has_gone_while_a_page_is_read_waits_for_no_other),
		cmocka_unit_test(queries_copy_no_pages),
		cmocka_unit_test(what_an_application_counts_on_is_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
