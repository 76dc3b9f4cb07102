/* What a durable row costs on the device, everything included: headers, map, checkpoints, superblocks, seals.
 * The yardstick is what SQLite itself writes: the pages that it has changed. */
#include "support/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ok(e) assert_int_equal((e).code, ERR_OK)

static const struct sql_migration schema[] = {
	{1, "entries", "CREATE TABLE entry (id INTEGER PRIMARY KEY, name TEXT NOT NULL, body TEXT);"
		       "CREATE INDEX entry_name ON entry (name);"},
};

struct load {
	uint32_t rows, each, writers;
	uint64_t random, flushes;
	struct sql_stats sql_before, sql_after;
	struct store_stats before, after;
};

static void insert(struct world *w, struct load *l, bool wait)
{
	struct sql_conn *conn;
	static const char body[120] = "what somebody has written into a guestbook";
	char name[24];
	l->random = l->random * 6364136223846793005u + 1442695040888963407u;
	snprintf(name, sizeof name, "%016lx", (unsigned long)l->random);
	ok(sql_acquire(w->sql, TIMER_NEVER, &conn));
	ok(sql_exec(conn, "INSERT INTO entry (name, body) VALUES (?, ?)",
		SQL_ARGS(sql_text(slice_from_cstr(name)), sql_text(slice_of(body, sizeof body)))));
	uint64_t generation = sql_generation(conn);
	sql_release(conn);
	if (wait)
		ok(store_wait_durable(w->store, generation));
}

/* The table as it is before: its index's pages are many, and each row changes another one. */
static void prepare(struct world *w)
{
	struct load *l = w->context;
	ok(world_open(w));
	for (uint32_t i = 0; i < l->rows; i++)
		insert(w, l, i + 1 == l->rows);
	ok(store_checkpoint(w->store));
	sql_stats(w->sql, &l->sql_before);
	store_stats(w->store, &l->before);
	l->flushes = w->flushes;
}

static void one_writer(struct world *w)
{
	struct load *l = w->context;
	for (uint32_t i = 0; i < l->each; i++)
		insert(w, l, true);
}

static void finish(struct world *w)
{
	struct load *l = w->context;
	sql_stats(w->sql, &l->sql_after);
	l->flushes = w->flushes - l->flushes;
	ok(store_checkpoint(w->store)); /* what the last rows still cost */
	store_stats(w->store, &l->after);
	world_close(w);
}

/* Bytes on the device for 100 bytes of pages that SQLite has changed. */
static uint64_t per_cent(const struct load *l)
{
	uint64_t changed = l->sql_after.pages_written - l->sql_before.pages_written;
	uint64_t commits = l->sql_after.commits - l->sql_before.commits;
	uint64_t written = l->after.bytes_written - l->before.bytes_written;
	uint64_t checkpoints = l->after.checkpoints - l->before.checkpoints;
	assert_int_equal(commits, (uint64_t)l->each * l->writers);
	printf("# %u rows, %u writers: %lu bytes a commit, %lu of them changed by SQLite: %lu %%; "
		"%lu flushes, %lu checkpoints for %lu commits\n", l->rows, l->writers,
		(unsigned long)(written / commits), (unsigned long)(changed * STORE_PAGE_SIZE / commits),
		(unsigned long)(written * 100 / (changed * STORE_PAGE_SIZE)),
		(unsigned long)l->flushes, (unsigned long)checkpoints, (unsigned long)commits);
	assert_true(checkpoints > 0);
	return written * 100 / (changed * STORE_PAGE_SIZE);
}

static uint64_t run(struct load *l)
{
	struct world *w = world_new(160u << 20);
	w->sql_config.migrations = schema;
	w->sql_config.migration_count = 1;
	w->context = l;
	free(w->stable); /* there is no power cut, and copying it at each flush takes long */
	w->stable = NULL;
	world_run(w, prepare);
	for (uint32_t i = 1; i < l->writers; i++)
		world_spawn(w, one_writer);
	world_run(w, one_writer);
	world_run(w, finish);
	world_free(w);
	return per_cent(l);
}

static void a_row_alone_costs_one_flush_and_little_more_than_its_pages(void **state)
{
	(void)state;
	for (uint32_t rows = 100; rows <= 20000; rows *= 12) {
		struct load l = {.rows = rows, .each = 2500, .writers = 1, .random = 7};
		assert_in_range(run(&l), 100, 150);
		assert_int_equal(l.flushes, l.each);
	}
}

static void many_writers_write_less_than_their_pages(void **state)
{
	(void)state;
	struct load l = {.rows = 5000, .each = 200, .writers = 12, .random = 7};
	assert_in_range(run(&l), 1, 150);
	assert_true(l.flushes < l.each * l.writers / 2);
}

/* --- A volume that is full --- */

static err add_large(struct sql_conn *conn)
{
	return sql_exec(conn, "INSERT INTO entry (name, body) VALUES ('large', zeroblob(60000))", SQL_NO_ARGS);
}

static void fill_and_empty(struct world *w)
{
	struct sql_conn *conn;
	struct sql_query q;
	err e;
	ok(world_open(w));
	ok(sql_acquire(w->sql, TIMER_NEVER, &conn));
	for (unsigned round = 0; round < 3; round++) {
		uint32_t n = 0;
		while (!failed(e = add_large(conn)))
			assert_in_range(++n, 1, 100);
		assert_int_equal(e.code, ERR_NO_SPACE);
		assert_in_range(n, 10, 40);
		ok(sql_query_begin(conn, &q, "SELECT count(*) FROM entry", SQL_NO_ARGS));
		assert_true(sql_query_next(&q));
		assert_int_equal(sql_column_int(&q, 0), n);
		ok(sql_query_end(&q));
		ok(sql_exec(conn, "DELETE FROM entry", SQL_NO_ARGS));
	}
	ok(add_large(conn));
	sql_release(conn);
	world_close(w);
}

static void a_full_volume_can_be_emptied_and_filled_again(void **state)
{
	(void)state;
	struct world *w = world_new(2u << 20);
	w->sql_config.migrations = schema;
	w->sql_config.migration_count = 1;
	world_run(w, fill_and_empty);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_row_alone_costs_one_flush_and_little_more_than_its_pages),
		cmocka_unit_test(many_writers_write_less_than_their_pages),
		cmocka_unit_test(a_full_volume_can_be_emptied_and_filled_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
