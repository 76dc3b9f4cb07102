/* What must hold when a database's schema changes: all of it or nothing, in the right order, and never behind the back
 * of the one who wrote it. */
#include "support/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define DISK_LEN (4u << 20)
#define ROWS 200

#define FIRST                                                                                      \
	"CREATE TABLE entry (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;\n"                \
	"CREATE TABLE tag (entry INTEGER NOT NULL REFERENCES entry ON DELETE CASCADE, word TEXT NOT NULL) STRICT;\n"
/* A table made anew, as SQLite's documentation says, and one more. */
#define SECOND                                                                                     \
	"CREATE TABLE entry_new (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, note TEXT) STRICT;\n" \
	"INSERT INTO entry_new (id, name) SELECT id, name FROM entry;\n"                           \
	"DROP TABLE entry;\n"                                                                      \
	"ALTER TABLE entry_new RENAME TO entry;\n"
#define THIRD "CREATE INDEX tag_word ON tag (word);\nUPDATE entry SET note = 'third';\n"

static const struct sql_migration schema[] = {
	{1, "001-first.sql", FIRST}, {2, "002-second.sql", SECOND}, {3, "003-third.sql", THIRD}};

/* What the log has said since it was last cleared. */
static char said[8192];

static void log_write_here(struct platform *p, struct slice line)
{
	(void)p;
	size_t len = strlen(said);
	if (len + line.len + 1 > sizeof said)
		return;
	memcpy(said + len, line.ptr, line.len);
	said[len + line.len] = '\0';
}

static void must_at(err e, int line)
{
	if (failed(e))
		fail_msg("line %d: %s\n%s", line, err_text(e), said);
}
#define must(e) must_at(e, __LINE__)

static struct world *new_world(void)
{
	struct world *w = world_new(DISK_LEN);
	w->platform.log_write = log_write_here;
	said[0] = '\0';
	return w;
}

static void know(struct world *w, const struct sql_migration *migrations, uint32_t count)
{
	w->sql_config.migrations = migrations;
	w->sql_config.migration_count = count;
}

static void opens(struct world *w)
{
	must(world_open(w));
}

static void opens_and_closes(struct world *w)
{
	must(world_open(w));
	world_close(w);
}

static void is_invalid(struct world *w)
{
	assert_int_equal(world_open(w).code, ERR_INVALID);
	world_close(w);
}

static void is_unsupported(struct world *w)
{
	assert_int_equal(world_open(w).code, ERR_UNSUPPORTED);
	world_close(w);
}

static struct sql_conn *acquire(struct world *w)
{
	struct sql_conn *conn;
	must(sql_acquire(w->sql, TIMER_NEVER, &conn));
	return conn;
}

static int64_t number(struct sql_conn *conn, const char *sql)
{
	int64_t n = -1;
	must(sql_query_int(conn, sql, SQL_NO_ARGS, &n));
	return n;
}

static void run(struct world *w, const char *sql)
{
	struct sql_conn *conn = acquire(w);
	err e = sql_run(conn, sql);
	if (failed(e))
		fail_msg("%s: %s", sql, sql_error(conn));
	must(store_wait_durable(w->store, sql_generation(conn)));
	sql_release(conn);
}

static void fill(struct world *w)
{
	run(w, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)"
	       " INSERT INTO entry SELECT i, 'name ' || i FROM n; INSERT INTO tag SELECT id, 'word' FROM entry");
}

/* The schema that the database has: the number of the migration that made it. All of it fits together. */
static int64_t schema_number(struct world *w)
{
	struct sql_conn *conn = acquire(w);
	int64_t version = number(conn, "PRAGMA user_version");
	bool third = number(conn, "SELECT count(*) FROM sqlite_schema WHERE name = 'tag_word'") == 1;
	bool second = number(conn, "SELECT count(*) FROM pragma_table_info('entry') WHERE name = 'note'") == 1;
	assert_int_equal(version, third ? 3 : second ? 2 : 1);
	assert_int_equal(number(conn, "SELECT count(*) FROM ingot_migration"), version);
	assert_int_equal(number(conn, "SELECT count(*) FROM entry"), ROWS);
	assert_int_equal(number(conn, "SELECT count(*) FROM tag"), ROWS);
	if (third)
		assert_int_equal(number(conn, "SELECT count(*) FROM entry WHERE note = 'third'"), ROWS);
	assert_int_equal(number(conn, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
	assert_int_equal(number(conn, "SELECT count(*) FROM sqlite_schema WHERE name = 'entry_new'"), 0);
	sql_release(conn);
	return version;
}

static void is_first(struct world *w)
{
	assert_int_equal(schema_number(w), 1);
	world_close(w);
}

static void is_third(struct world *w)
{
	assert_int_equal(schema_number(w), 3);
	world_close(w);
}

/* A closed volume with the first migration and its rows. */
static struct world *first_world(void)
{
	struct world *w = new_world();
	know(w, schema, 1);
	world_run(w, opens);
	world_run(w, fill);
	world_run(w, world_close);
	return w;
}

/* --- One transaction -------------------------------------------------------------------------- */

static uint64_t generation_before;

static void note_generation(struct world *w)
{
	must(world_open(w));
	generation_before = store_generation(w->store);
	world_close(w);
}

static void one_generation_more(struct world *w)
{
	must(world_open(w));
	struct sql_stats stats;
	sql_stats(w->sql, &stats);
	assert_int_equal(stats.commits, 1);
	assert_int_equal(stats.batches, 1);
	assert_int_equal(store_generation(w->store), generation_before + 1);
	assert_int_equal(store_durable_generation(w->store), generation_before + 1);
}

static void nothing_is_written(struct world *w)
{
	must(world_open(w));
	struct sql_stats stats;
	sql_stats(w->sql, &stats);
	assert_int_equal(stats.commits, 0);
	world_close(w);
}

static void all_that_are_pending_are_one_transaction(void **state)
{
	(void)state;
	struct world *w = first_world();
	world_run(w, note_generation);
	know(w, schema, 3);
	world_run(w, one_generation_more);
	world_run(w, is_third);
	assert_non_null(strstr(said, "migration 3 (003-third.sql): applied"));
	world_run(w, nothing_is_written);
	world_free(w);
}

static void a_failed_migration_leaves_the_volume_as_it_was(void **state)
{
	(void)state;
	/* It is the data that it fails on, in its third line, after all that came before has been done. */
	static const struct sql_migration bad[] = {{1, "001-first.sql", FIRST}, {2, "002-second.sql", SECOND},
		{3, "003-bad.sql", "CREATE TABLE late (n INTEGER);\n-- A row\nINSERT INTO entry VALUES (1000, 'name 7', NULL);"}};
	struct world *w = first_world();
	know(w, bad, 3);
	world_run(w, is_invalid);
	assert_non_null(strstr(said, "migration 3 (003-bad.sql), line 3: UNIQUE constraint failed: entry.name"));
	assert_non_null(strstr(said, "the volume is as it was"));
	assert_null(strstr(said, "applied\n"  "migration 2"));
	know(w, schema, 1);
	world_run(w, opens);
	world_run(w, is_first);
	know(w, schema, 3);
	world_run(w, opens);
	world_run(w, is_third);
	world_free(w);
}

static void a_newer_volume_is_refused_and_untouched(void **state)
{
	(void)state;
	struct world *w = first_world();
	know(w, schema, 3);
	world_run(w, opens_and_closes);
	know(w, schema, 2);
	world_run(w, is_unsupported);
	assert_non_null(strstr(said, "the volume's schema is number 3, and this image knows migrations up to 2"));
	know(w, schema, 3);
	world_run(w, opens);
	world_run(w, is_third);
	world_free(w);
}

/* --- What was applied, and what it says now --------------------------------------------------- */

static void a_migration_that_has_changed_since_is_refused(void **state)
{
	(void)state;
	static const struct sql_migration changed[] = {{1, "001-first.sql", FIRST "CREATE TABLE more (n INTEGER);"},
		{2, "002-second.sql", SECOND}};
	struct world *w = first_world();
	know(w, changed, 2);
	world_run(w, is_invalid);
	assert_non_null(strstr(said, "migration 1 (001-first.sql) is not what was applied to this volume as 001-first.sql"));
	know(w, schema, 1);
	world_run(w, opens);
	world_run(w, is_first);
	world_free(w);
}

static void comments_and_blanks_of_a_migration_may_change(void **state)
{
	(void)state;
	static const struct sql_migration dressed[] = {{1, "001-begin.sql",
		"-- Entries.\n\nCREATE TABLE entry(id INTEGER PRIMARY KEY,\n\tname TEXT NOT NULL)STRICT; /* and */\r\n"
		"CREATE TABLE tag (entry INTEGER NOT NULL REFERENCES entry ON DELETE CASCADE,word TEXT NOT NULL) STRICT;"}};
	static const struct sql_migration other_string[] = {{1, "1", "CREATE TABLE a (x DEFAULT 'a  b')"}};
	static const struct sql_migration one_blank[] = {{1, "1", "CREATE TABLE a (x DEFAULT 'a b')"}};
	struct world *w = first_world();
	know(w, dressed, 1);
	world_run(w, opens);
	world_run(w, is_first);
	world_free(w);
	w = new_world();
	know(w, other_string, 1);
	world_run(w, opens_and_closes);
	know(w, one_blank, 1);
	world_run(w, is_invalid);
	world_free(w);
}

static void drop_notes(struct world *w)
{
	run(w, "DROP TABLE ingot_migration");
	world_close(w);
}

static void a_volume_without_notes_goes_on_and_gets_them(void **state)
{
	(void)state;
	static const struct sql_migration changed[] = {{1, "001-first.sql", FIRST "CREATE TABLE more (n INTEGER);"}};
	struct world *w = first_world();
	world_run(w, opens);
	world_run(w, drop_notes);
	know(w, schema, 1);
	world_run(w, opens);
	world_run(w, is_first);
	know(w, changed, 1);
	world_run(w, is_invalid);
	/* And with migrations to come. */
	know(w, schema, 1);
	world_run(w, opens);
	world_run(w, drop_notes);
	know(w, schema, 3);
	world_run(w, opens);
	world_run(w, is_third);
	world_free(w);
}

static void drop_version(struct world *w)
{
	run(w, "PRAGMA user_version = 0");
	drop_notes(w);
}

static void tables_without_a_number_are_refused_with_a_hint(void **state)
{
	(void)state;
	struct world *w = first_world();
	know(w, NULL, 0);
	world_run(w, opens);
	world_run(w, drop_version);
	know(w, schema, 3);
	world_run(w, is_invalid);
	assert_non_null(strstr(said, "migration 1 (001-first.sql), line 1: table entry already exists"));
	assert_non_null(strstr(said, "ingot db import --migrated N"));
	world_free(w);
}

/* --- Foreign keys ----------------------------------------------------------------------------- */

static void cascades_are_on(struct world *w)
{
	run(w, "DELETE FROM entry WHERE id = 1");
	struct sql_conn *conn = acquire(w);
	assert_int_equal(number(conn, "SELECT count(*) FROM tag WHERE entry = 1"), 0);
	sql_release(conn);
	world_close(w);
}

static void rebuilding_a_table_keeps_what_refers_to_it(void **state)
{
	(void)state;
	struct world *w = first_world();
	know(w, schema, 2);
	world_run(w, opens_and_closes);
	know(w, schema, 3);
	world_run(w, opens);
	world_run(w, is_third); /* all tags are there */
	world_run(w, opens);
	world_run(w, cascades_are_on);
	world_free(w);
}

static void a_broken_reference_is_refused(void **state)
{
	(void)state;
	static const struct sql_migration bad[] = {{1, "001-first.sql", FIRST},
		{2, "002-bad.sql", "DELETE FROM entry WHERE id = 3"}};
	struct world *w = first_world();
	know(w, bad, 2);
	world_run(w, is_invalid);
	assert_non_null(strstr(said, "row 3 of tag would refer to a row of entry that is not there"));
	know(w, schema, 1);
	world_run(w, opens);
	world_run(w, is_first);
	world_free(w);
}

/* --- Power cuts and failing disks ------------------------------------------------------------- */

/* A write or a flush (data NULL), in the order in which the disk performed them. */
struct op {
	uint64_t offset, len;
	uint8_t *data;
};

static struct op ops[256];
static uint32_t op_count;

static void record(struct world *w, const struct block_request *r)
{
	(void)w;
	if (r->op != BLOCK_WRITE && r->op != BLOCK_FLUSH)
		return;
	assert_true(op_count < ARRAY_LEN(ops));
	struct op *op = &ops[op_count++];
	*op = (struct op){.offset = r->sector * 512};
	if (r->op == BLOCK_FLUSH)
		return;
	for (uint32_t i = 0; i < r->buffer_count; i++)
		op->len += r->buffer[i].len;
	uint8_t *to = op->data = malloc(op->len);
	for (uint32_t i = 0; i < r->buffer_count; to += r->buffer[i++].len)
		memcpy(to, r->buffer[i].ptr, r->buffer[i].len);
}

/* The disk as a power cut before operation `at` could leave it: what is not flushed is lost (0), kept (1), or
 * each sector either (more). */
static void cut_before(uint32_t at, unsigned mode, uint8_t *image)
{
	uint32_t flushed = 0;
	uint64_t seed = at * 977 + mode;
	for (uint32_t i = 0; i < at; i++)
		if (!ops[i].data)
			flushed = i;
	for (uint32_t i = 0; i < at; i++)
		for (uint64_t from = 0; ops[i].data && from < ops[i].len; from += 512) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			if (i < flushed || mode == 1 || (mode > 1 && seed >> 63))
				memcpy(image + ops[i].offset + from, ops[i].data + from, 512);
		}
}

static int64_t found;

static void look(struct world *w)
{
	found = schema_number(w);
	assert_true(found == 1 || found == 3);
}

static void a_power_cut_leaves_the_old_schema_or_the_new_one(void **state)
{
	(void)state;
	struct world *w = first_world();
	uint32_t old = 0, new = 0;
	uint8_t *start = malloc(DISK_LEN);
	memcpy(start, w->image, DISK_LEN);
	know(w, schema, 3);
	op_count = 0;
	w->on_request = record;
	world_run(w, opens_and_closes);
	w->on_request = NULL;
	assert_true(op_count > 4);
	for (uint32_t at = 0; at <= op_count; at++)
		for (unsigned mode = 0; mode < 4; mode++) {
			memcpy(w->image, start, DISK_LEN);
			cut_before(at, mode, w->image);
			memcpy(w->stable, w->image, DISK_LEN);
			/* As it is; then a boot of the new image completes it. */
			know(w, NULL, 0);
			world_run(w, opens);
			world_run(w, look);
			old += found == 1;
			new += found == 3;
			world_run(w, world_close);
			know(w, schema, 3);
			world_run(w, opens);
			world_run(w, is_third);
		}
	assert_true(old > 3 && new > 3);
	for (uint32_t i = 0; i < op_count; i++)
		free(ops[i].data);
	free(start);
	world_free(w);
}

static void opens_or_not(struct world *w)
{
	err e = world_open(w);
	found = failed(e);
	if (w->sql)
		sql_close(w->sql);
	w->sql = NULL;
}

static void a_disk_that_fails_leaves_the_old_schema_or_the_new_one(void **state)
{
	(void)state;
	struct world *w = first_world();
	uint32_t failures = 0;
	uint8_t *start = malloc(DISK_LEN);
	memcpy(start, w->image, DISK_LEN);
	for (uint64_t n = 0;; n++) {
		memcpy(w->image, start, DISK_LEN);
		memcpy(w->stable, start, DISK_LEN);
		know(w, schema, 3);
		w->fail_writes_after = n;
		world_run(w, opens_or_not);
		bool went_well = !found;
		bool all = w->fail_writes_after > 0 && went_well;
		w->fail_writes_after = UINT64_MAX;
		world_power_cut(w);
		know(w, NULL, 0);
		world_run(w, opens);
		world_run(w, look);
		if (went_well)
			assert_int_equal(found, 3);
		failures += !went_well;
		world_run(w, world_close);
		if (all)
			break;
		assert_true(n < 100);
	}
	assert_true(failures > 0);
	free(start);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_that_are_pending_are_one_transaction),
		cmocka_unit_test(a_failed_migration_leaves_the_volume_as_it_was),
		cmocka_unit_test(a_newer_volume_is_refused_and_untouched),
		cmocka_unit_test(a_migration_that_has_changed_since_is_refused),
		cmocka_unit_test(comments_and_blanks_of_a_migration_may_change),
		cmocka_unit_test(a_volume_without_notes_goes_on_and_gets_them),
		cmocka_unit_test(tables_without_a_number_are_refused_with_a_hint),
		cmocka_unit_test(rebuilding_a_table_keeps_what_refers_to_it),
		cmocka_unit_test(a_broken_reference_is_refused),
		cmocka_unit_test(a_power_cut_leaves_the_old_schema_or_the_new_one),
		cmocka_unit_test(a_disk_that_fails_leaves_the_old_schema_or_the_new_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
