/* What must hold when the power fails, the disk fails, or memory runs out: a transaction is there or not, what
 * was acknowledged is there, and the database is sound. */
#include "support/counted.h"
#include "support/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sqlite3.h>

#define DISK_LEN (24u << 20)

/* Each transaction adds three rows with its number, and 3 to the total. */
static const struct sql_migration schema[] = {
	{1, "rows", "CREATE TABLE r (txn INTEGER NOT NULL, part INTEGER NOT NULL, body BLOB, PRIMARY KEY (txn, part));"
		    "CREATE TABLE total (n INTEGER NOT NULL); INSERT INTO total VALUES (0);"},
};

/* What the outside world has been told, across boots. */
struct told {
	int64_t next;           /* number of the next transaction */
	int64_t acknowledged[4096]; /* numbers */
	uint32_t count;
	uint32_t recovered_more; /* boots that found more than was acknowledged */
	int64_t checked;
};

static void must_at(err e, const char *detail, int line)
{
	if (failed(e))
		fail_msg("line %d: %s: %s", line, err_text(e), detail);
}
#define must(e, conn) must_at(e, sql_error(conn), __LINE__)

static void open_world(struct world *w)
{
	must_at(world_open(w), "open", __LINE__);
}

static void close_world(struct world *w)
{
	world_close(w);
}

static err one_transaction(struct sql_conn *conn, int64_t number)
{
	TRY(sql_begin(conn, SQL_WRITE));
	for (int part = 0; part < 3; part++)
		TRY(sql_exec(conn, "INSERT INTO r VALUES (?, ?, randomblob(900))",
			SQL_ARGS(sql_int(number), sql_int(part))));
	TRY(sql_exec(conn, "UPDATE total SET n = n + 3", SQL_NO_ARGS));
	return sql_commit(conn);
}

/* Transactions until the power goes; each is acknowledged once it is durable, as a response would be. */
static void transact_for_ever(struct world *w)
{
	struct told *told = w->context;
	for (;;) {
		struct sql_conn *conn;
		int64_t number = ++told->next;
		must_at(sql_acquire(w->sql, TIMER_NEVER, &conn), "acquire", __LINE__);
		must(one_transaction(conn, number), conn);
		uint64_t generation = sql_generation(conn);
		sql_release(conn);
		must_at(store_wait_durable(w->store, generation), "wait", __LINE__);
		if (told->count < ARRAY_LEN(told->acknowledged))
			told->acknowledged[told->count++] = number;
	}
}

static int64_t number(struct sql_conn *conn, const char *sql)
{
	int64_t n = -1;
	must(sql_query_int(conn, sql, SQL_NO_ARGS, &n), conn);
	return n;
}

static void is_sound(struct sql_conn *conn)
{
	struct sql_query q;
	must(sql_query_begin(conn, &q, "PRAGMA integrity_check", SQL_NO_ARGS), conn);
	assert_true(sql_query_next(&q));
	assert_true(slice_eq(sql_column_text(&q, 0), SLICE("ok")));
	must(sql_query_end(&q), conn);
	assert_int_equal(number(conn, "SELECT count(*) FROM r"), number(conn, "SELECT n FROM total"));
	assert_int_equal(number(conn, "SELECT count(*) FROM r"),
		3 * number(conn, "SELECT count(DISTINCT txn) FROM r"));
}

static void nothing_acknowledged_is_lost(struct world *w)
{
	struct told *told = w->context;
	struct sql_conn *conn;
	must_at(sql_acquire(w->sql, TIMER_NEVER, &conn), "acquire", __LINE__);
	is_sound(conn);
	for (uint32_t i = 0; i < told->count; i++) {
		int64_t parts = 0;
		must(sql_query_int(conn, "SELECT count(*) FROM r WHERE txn = ?",
			     SQL_ARGS(sql_int(told->acknowledged[i])), &parts),
			conn);
		assert_int_equal(parts, 3);
	}
	told->recovered_more += number(conn, "SELECT count(DISTINCT txn) FROM r") > (int64_t)told->count;
	struct sql_stats s;
	sql_stats(w->sql, &s);
	assert_int_equal(s.batches, s.commits);
	assert_int_equal(s.journal_opens, 0);
	sql_release(conn);
}

static void a_power_cut_at_any_time_loses_nothing_acknowledged(void **state)
{
	(void)state;
	struct world *w = world_new(DISK_LEN);
	struct told *told = calloc(1, sizeof *told);
	w->context = told;
	w->sql_config.migrations = schema;
	w->sql_config.migration_count = 1;
	for (uint32_t boot = 0; boot < 40; boot++) {
		world_run(w, open_world);
		world_run(w, nothing_acknowledged_is_lost);
		for (int i = 0; i < 6; i++)
			world_spawn(w, transact_for_ever);
		for (uint32_t round = 0; round < 1 + boot * 7 % 60; round++)
			loop_round(&w->loop, true);
		world_power_cut(w);
	}
	assert_true(told->count > 100);
	free(told);
	world_free(w);
}

/* --- Transactions larger than memory ------------------------------------------------------------ */

#define LARGE_TRANSACTIONS 300

static void fill_large(struct world *w)
{
	struct sql_conn *conn;
	must_at(sql_acquire(w->sql, TIMER_NEVER, &conn), "acquire", __LINE__);
	for (int64_t i = 0; i < LARGE_TRANSACTIONS; i++)
		must(one_transaction(conn, i), conn);
	must(sql_exec(conn, "UPDATE r SET body = printf('%08d', 0)", SQL_NO_ARGS), conn);
	sql_release(conn);
}

/* Each changes every row, so that it spills, with its undo log on scratch pages; and sorts are on others. */
static void rewrite_for_ever(struct world *w)
{
	struct told *told = w->context;
	struct sql_conn *conn;
	must_at(sql_acquire(w->sql, TIMER_NEVER, &conn), "acquire", __LINE__);
	for (;;) {
		int64_t number_now = ++told->next;
		must(sql_exec(conn, "UPDATE r SET body = printf('%08d', ?) || hex(randomblob(500))",
			     SQL_ARGS(sql_int(number_now))),
			conn);
		must_at(store_wait_durable(w->store, sql_generation(conn)), "wait", __LINE__);
		told->acknowledged[0] = number_now;
		told->count++;
		struct sql_stats stats;
		sql_stats(w->sql, &stats);
		assert_true(stats.journal_opens > 0 && stats.pages_spilled > 100);
		must(sql_exec(conn, "SELECT body FROM r ORDER BY substr(body, 100)", SQL_NO_ARGS), conn);
	}
}

static void one_of_them_is_there_whole(struct world *w)
{
	struct told *told = w->context;
	struct sql_conn *conn;
	struct store_stats s;
	must_at(sql_acquire(w->sql, TIMER_NEVER, &conn), "acquire", __LINE__);
	is_sound(conn);
	assert_int_equal(number(conn, "SELECT count(DISTINCT substr(body, 1, 8)) FROM r"), 1);
	int64_t found = number(conn, "SELECT CAST(substr(body, 1, 8) AS INTEGER) FROM r LIMIT 1");
	assert_true(found >= told->acknowledged[0] && found <= told->next);
	told->next = told->acknowledged[0] = found;
	/* Neither spilled pages nor scratch pages of the last life are in the way. */
	for (int i = 0; i < 3; i++)
		must_at(store_checkpoint(w->store), "checkpoint", __LINE__);
	store_stats(w->store, &s);
	assert_true(s.blocks - s.blocks_free < (uint64_t)number(conn, "PRAGMA page_count") + 100);
	sql_release(conn);
}

static void a_power_cut_in_a_transaction_larger_than_memory_leaves_it_whole_or_not_there(void **state)
{
	(void)state;
	struct world *w = world_new(DISK_LEN);
	struct told *told = calloc(1, sizeof *told);
	w->context = told;
	w->cache_pages = 96;
	w->sql_config.migrations = schema;
	w->sql_config.migration_count = 1;
	w->sql_config.memory_len = SQL_MEMORY_MIN;
	world_run(w, open_world);
	world_run(w, fill_large);
	for (uint32_t boot = 0; boot < 25; boot++) {
		w->txn_pages_max = boot % 2 ? 24 : 8192; /* 24: the store writes it in parts */
		if (boot)
			world_run(w, open_world);
		world_run(w, one_of_them_is_there_whole);
		world_spawn(w, rewrite_for_ever);
		for (uint32_t round = 0; round < 20 + boot * 137 % 900; round++)
			loop_round(&w->loop, true);
		world_power_cut(w);
	}
	assert_true(told->count > 3);
	free(told);
	world_free(w);
}

/* --- Transactions that shrink the database ------------------------------------------------------ */

#define SHRINK_DISK_LEN (3u << 20)
#define KEPT 5 /* transactions whose rows stay */

/* A write or flush of the shrinking transaction, in the order in which the disk performed them. */
struct shrink_op {
	uint64_t offset, len, durable; /* durable: generation, before it */
	uint8_t *data; /* NULL: a flush */
};

struct shrink {
	const char *prepare, *statement; /* statement: NULL for the transaction that deletes */
	uint8_t start[SHRINK_DISK_LEN];
	struct shrink_op op[256];
	uint32_t count;
	uint64_t generation;
	int64_t pages[2], rows[2]; /* before and after */
	bool must_be_after;
	uint32_t seen[2];
};

static void record_request(struct world *w, const struct block_request *r)
{
	struct shrink *s = w->context;
	if (r->op != BLOCK_WRITE && r->op != BLOCK_FLUSH)
		return;
	assert_true(s->count < ARRAY_LEN(s->op));
	struct shrink_op *op = &s->op[s->count++];
	*op = (struct shrink_op){.offset = r->sector * 512, .durable = store_durable_generation(w->store)};
	if (r->op == BLOCK_FLUSH)
		return;
	op->data = malloc(r->buffer_count * (size_t)STORE_PAGE_SIZE);
	for (uint32_t i = 0; i < r->buffer_count; op->len += r->buffer[i++].len)
		memcpy(op->data + op->len, r->buffer[i].ptr, r->buffer[i].len);
}

/* The disk as a power cut before operation `at` could leave it: what is not flushed is lost (0), kept (1), or
 * kept and lost by the sector. */
static void cut_before(const struct shrink *s, uint32_t at, unsigned mode, uint64_t seed, uint8_t *image)
{
	uint32_t flushed = 0;
	memcpy(image, s->start, SHRINK_DISK_LEN);
	for (uint32_t i = 0; i < at; i++)
		if (!s->op[i].data)
			flushed = i;
	for (uint32_t i = 0; i < at; i++)
		for (uint64_t from = 0; s->op[i].data && from < s->op[i].len; from += 512) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			if (i < flushed || mode == 1 || (mode == 2 && seed >> 63))
				memcpy(image + s->op[i].offset + from, s->op[i].data + from, 512);
		}
}

/* The file is as long as the database in it says. */
static int64_t file_pages(struct world *w, struct sql_conn *conn)
{
	struct store_object *o;
	struct store_snapshot snap;
	must_at(store_object_open(w->store, "main", false, &o), "open", __LINE__);
	store_snapshot_begin(o, &snap);
	uint32_t pages = store_snapshot_pages(&snap);
	store_snapshot_end(&snap);
	assert_int_equal(pages, number(conn, "PRAGMA page_count"));
	return pages;
}

static void fill_and_prepare(struct world *w)
{
	struct shrink *s = w->context;
	struct sql_conn *conn;
	must_at(sql_acquire(w->sql, TIMER_NEVER, &conn), "acquire", __LINE__);
	for (int64_t i = 0; i < 40; i++)
		must(one_transaction(conn, i), conn);
	must(sql_run(conn, s->prepare), conn);
	sql_release(conn);
	must_at(store_checkpoint(w->store), "checkpoint", __LINE__);
}

static void shrink_it(struct world *w)
{
	struct shrink *s = w->context;
	struct sql_conn *conn;
	must_at(sql_acquire(w->sql, TIMER_NEVER, &conn), "acquire", __LINE__);
	s->pages[0] = file_pages(w, conn);
	s->rows[0] = number(conn, "SELECT count(*) FROM r");
	memcpy(s->start, w->image, SHRINK_DISK_LEN);
	w->on_request = record_request;
	uint64_t before = store_generation(w->store);
	if (s->statement) {
		must(sql_exec(conn, s->statement, SQL_NO_ARGS), conn);
	} else {
		must(sql_begin(conn, SQL_WRITE), conn);
		must(sql_exec(conn, "DELETE FROM r WHERE txn >= ?", SQL_ARGS(sql_int(KEPT))), conn);
		must(sql_exec(conn, "UPDATE total SET n = ?", SQL_ARGS(sql_int(3 * KEPT))), conn);
		must(sql_commit(conn), conn);
	}
	s->generation = sql_generation(conn);
	/* One generation, truncation and all: that two of them share a record would be luck. */
	assert_int_equal(s->generation, before + 1);
	must_at(store_wait_durable(w->store, s->generation), "wait", __LINE__);
	must_at(store_checkpoint(w->store), "checkpoint", __LINE__);
	w->on_request = NULL;
	s->pages[1] = file_pages(w, conn);
	s->rows[1] = number(conn, "SELECT count(*) FROM r");
	assert_true(s->pages[1] < s->pages[0] / 2);
	sql_release(conn);
}

static void is_before_or_after(struct world *w)
{
	struct shrink *s = w->context;
	struct sql_conn *conn;
	must_at(sql_acquire(w->sql, TIMER_NEVER, &conn), "acquire", __LINE__);
	is_sound(conn);
	int64_t pages = file_pages(w, conn);
	unsigned after = pages == s->pages[1];
	assert_int_equal(pages, s->pages[after]);
	assert_int_equal(number(conn, "SELECT count(*) FROM r"), s->rows[after]);
	assert_true(after || !s->must_be_after);
	s->seen[after]++;
	sql_release(conn);
}

static struct world *shrink_world(struct shrink *s)
{
	struct world *w = world_new(SHRINK_DISK_LEN);
	w->context = s;
	w->sql_config.migrations = schema;
	w->sql_config.migration_count = 1;
	return w;
}

static void cut_everywhere(struct shrink *s)
{
	struct world *w = shrink_world(s);
	world_run(w, open_world);
	world_run(w, fill_and_prepare);
	world_run(w, shrink_it);
	world_run(w, close_world);
	for (uint32_t at = 0; at <= s->count; at++)
		for (unsigned mode = 0; mode < 3; mode++) {
			cut_before(s, at, mode, at + 1, w->image);
			memcpy(w->stable, w->image, SHRINK_DISK_LEN);
			s->must_be_after = at == s->count || s->op[at].durable >= s->generation;
			world_run(w, open_world);
			world_run(w, is_before_or_after);
			world_power_cut(w);
		}
	assert_true(s->seen[0] > 3 && s->seen[1] > 3);
	for (uint32_t i = 0; i < s->count; i++)
		free(s->op[i].data);
	world_free(w);
}

static void a_transaction_that_shrinks_the_database_is_atomic(void **state)
{
	(void)state;
	static const char *const how[][2] = {
		{"PRAGMA auto_vacuum = FULL; VACUUM;", NULL},
		{"DELETE FROM r WHERE txn >= 5; UPDATE total SET n = 15;", "VACUUM"},
		{"PRAGMA auto_vacuum = INCREMENTAL; VACUUM;"
		 "DELETE FROM r WHERE txn >= 5; UPDATE total SET n = 15;", "PRAGMA incremental_vacuum"},
	};
	for (size_t i = 0; i < ARRAY_LEN(how); i++) {
		struct shrink *s = calloc(1, sizeof *s);
		s->prepare = how[i][0];
		s->statement = how[i][1];
		cut_everywhere(s);
		free(s);
	}
}

/* --- Memory ----------------------------------------------------------------------------------- */

static struct world *new_counted_world(void)
{
	struct world *w = world_new(DISK_LEN);
	w->sql_config.migrations = schema;
	w->sql_config.migration_count = 1;
	w->sql_config.connections = 2;
	w->sql_config.memory_methods = &counted_methods;
	counted.left = -1;
	return w;
}

static void run_counted(void (*run)(struct world *))
{
	struct world *w = new_counted_world();
	world_run(w, open_world);
	world_run(w, run);
	world_run(w, close_world);
	world_free(w);
}

static void fail_each_allocation(struct world *w)
{
	struct sql_conn *conn;
	must_at(sql_acquire(w->sql, TIMER_NEVER, &conn), "acquire", __LINE__);
	int64_t n = 0, committed = 0, refused = 0;
	do {
		char fresh[100]; /* not in the statement cache */
		snprintf(fresh, sizeof fresh, "SELECT count(*) FROM r WHERE body > x'00' /* %ld */", (long)n);
		counted.failed = false;
		counted.left = n;
		err e = one_transaction(conn, n);
		int64_t count;
		if (!failed(e) && failed(sql_query_int(conn, fresh, SQL_NO_ARGS, &count)))
			assert_true(counted.failed);
		counted.left = -1;
		sql_rollback(conn);
		if (failed(e))
			assert_int_equal(e.code, ERR_NO_MEMORY);
		committed += !failed(e);
		refused += failed(e);
		char there[64];
		snprintf(there, sizeof there, "SELECT count(*) FROM r WHERE txn = %ld", (long)n);
		assert_int_equal(number(conn, there), failed(e) ? 0 : 3);
		if (n % 16 == 0)
			is_sound(conn);
		n++;
	} while (counted.failed);
	assert_true(refused > 10);
	assert_true(committed > 1);
	assert_int_equal(number(conn, "SELECT n FROM total"), committed * 3);
	is_sound(conn);
	sql_release(conn);
}

static void any_allocation_may_fail(void **state)
{
	(void)state;
	run_counted(fail_each_allocation);
}

static void write_something(struct sql_conn *conn, const char *more)
{
	must_at(sql_begin(conn, SQL_WRITE), "begin", __LINE__);
	must_at(sql_exec(conn, "INSERT INTO r (txn, part, body) VALUES (1, 1, x'00')", SQL_NO_ARGS), "insert", __LINE__);
	if (more)
		must_at(sql_run(conn, more), more, __LINE__);
}

static void roll_back_without_memory(struct world *w)
{
	/* What makes SQLite forget a schema, or prepare its statements anew, must not change it. */
	static const char *const more[] = {NULL, "CREATE TABLE other (a)", "ALTER TABLE r ADD COLUMN z", NULL,
		"CREATE INDEX r_body ON r (body)", "ANALYZE", NULL, "DROP TABLE total"};
	struct sql_conn *conn;
	must_at(sql_acquire(w->sql, TIMER_NEVER, &conn), "acquire", __LINE__);
	for (size_t i = 0; i < ARRAY_LEN(more); i++) {
		write_something(conn, more[i]);
		counted.bytes_max = counted.bytes; /* others have taken the rest */
		sql_rollback(conn);
		counted.bytes_max = SIZE_MAX;
		assert_int_equal(number(conn, "SELECT count(*) FROM r"), 0);
	}
	sql_release(conn);
}

static void a_rollback_needs_no_memory(void **state)
{
	(void)state;
	run_counted(roll_back_without_memory);
}

static void open_failing(struct world *w)
{
	err e = world_open(w);
	bool hit = counted.failed;
	counted.left = -1;
	if (failed(e))
		assert_true(hit && e.code == ERR_NO_MEMORY);
	world_close(w);
}

static void any_allocation_of_opening_may_fail(void **state)
{
	(void)state;
	struct world *w = new_counted_world();
	int64_t n = 0;
	do {
		counted.failed = false;
		counted.left = n++;
		world_run(w, open_failing);
	} while (counted.failed);
	assert_true(n > 50);
	world_run(w, open_world);
	world_run(w, close_world);
	world_free(w);
}

/* --- The disk --------------------------------------------------------------------------------- */

static void transact_until_it_fails(struct world *w)
{
	struct told *told = w->context;
	struct sql_conn *conn;
	err e;
	must_at(sql_acquire(w->sql, TIMER_NEVER, &conn), "acquire", __LINE__);
	do {
		e = one_transaction(conn, ++told->next);
		sql_rollback(conn);
		if (!failed(e))
			e = store_wait_durable(w->store, sql_generation(conn));
		if (!failed(e))
			told->acknowledged[told->count++] = told->next;
	} while (!failed(e));
	assert_int_equal(e.code, ERR_IO);
	/* Reading goes on. */
	assert_true(number(conn, "SELECT count(*) FROM r") >= (int64_t)told->count * 3);
	assert_true(failed(one_transaction(conn, ++told->next)));
	sql_release(conn);
}

static void a_failing_disk_is_reported_and_loses_nothing_acknowledged(void **state)
{
	(void)state;
	struct world *w = world_new(DISK_LEN);
	struct told *told = calloc(1, sizeof *told);
	w->context = told;
	w->sql_config.migrations = schema;
	w->sql_config.migration_count = 1;
	for (uint64_t n = 0; n < 12; n++) {
		world_run(w, open_world);
		w->fail_writes_after = n;
		world_run(w, transact_until_it_fails);
		w->fail_writes_after = UINT64_MAX;
		world_power_cut(w);
		world_run(w, open_world);
		world_run(w, nothing_acknowledged_is_lost);
		world_run(w, close_world);
	}
	assert_true(told->count > 10);
	free(told);
	world_free(w);
}

/* So that all is read anew: the store keeps few pages. */
static void read_something_else(struct sql_conn *conn)
{
	assert_int_equal(number(conn, "SELECT count(*) FROM large WHERE length(hex(body))"), 200);
}

static err insert_text(struct world *w, struct sql_conn *conn, uint64_t n)
{
	w->fail_reads_after = n;
	return sql_exec(conn, "INSERT INTO f (body) VALUES ('seven')", SQL_NO_ARGS);
}

static err commit_text(struct world *w, struct sql_conn *conn, uint64_t n)
{
	must(sql_begin(conn, SQL_WRITE), conn);
	must(sql_exec(conn, "INSERT INTO f (body) VALUES ('seven')", SQL_NO_ARGS), conn);
	read_something_else(conn);
	w->fail_reads_after = n;
	return sql_commit(conn);
}

static void fail_each_read_of(struct world *w, err (*write)(struct world *, struct sql_conn *, uint64_t n))
{
	struct sql_conn *conn, *other;
	must_at(sql_acquire(w->sql, TIMER_NEVER, &conn), "acquire", __LINE__);
	must_at(sql_acquire(w->sql, TIMER_NEVER, &other), "acquire", __LINE__);
	uint64_t n = 0;
	err e;
	do {
		must(sql_exec(other, "INSERT INTO f (body) VALUES ('two')", SQL_NO_ARGS), other);
		read_something_else(conn);
		e = write(w, conn, n++);
		w->fail_reads_after = UINT64_MAX;
		assert_true(!failed(e) || e.code == ERR_IO);
		assert_int_equal(number(conn, "SELECT count(*) FROM total"), 1);
		must(sql_exec(other, "INSERT INTO f (body) VALUES ('eight nine')", SQL_NO_ARGS), other);
		must(sql_exec(conn, "INSERT INTO f (body) VALUES ('ten')", SQL_NO_ARGS), conn);
		must(sql_exec(conn, "INSERT INTO f (f) VALUES ('integrity-check')", SQL_NO_ARGS), conn);
		is_sound(conn);
	} while (failed(e));
	assert_true(n > 2);
	sql_release(other);
	sql_release(conn);
}

/* Full text keeps how many rows and words it has beside its index, and reads that first when it writes. When this read
 * fails, and only it, the connection must not take what it has not got for the totals. */
static void fail_each_read_of_an_insert(struct world *w)
{
	fail_each_read_of(w, insert_text);
}

/* What it writes itself at the commit may fail as well: the transaction is over then, and no other statement is told of
 * it or has to wait. */
static void fail_each_read_of_a_commit(struct world *w)
{
	fail_each_read_of(w, commit_text);
}

static void open_with_text(struct world *w)
{
	struct sql_conn *conn;
	open_world(w);
	must_at(sql_acquire(w->sql, TIMER_NEVER, &conn), "acquire", __LINE__);
	must(sql_run(conn, "CREATE VIRTUAL TABLE f USING fts5(body);"
		"CREATE TABLE large (body BLOB);"
		"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) "
		"INSERT INTO large SELECT randomblob(3000) FROM n;"
		"INSERT INTO f (body) SELECT hex(substr(body, 1, 60)) FROM large"), conn);
	sql_release(conn);
}

static void run_with_text(void (*run)(struct world *))
{
	struct world *w = world_new(DISK_LEN);
	w->sql_config.migrations = schema;
	w->sql_config.migration_count = 1;
	w->cache_pages = 32;
	world_run(w, open_with_text);
	world_run(w, run);
	world_run(w, close_world);
	world_free(w);
}

static void full_text_counts_right_after_any_read_has_failed(void **state)
{
	(void)state;
	run_with_text(fail_each_read_of_an_insert);
}

static void nothing_stays_of_a_commit_of_full_text_that_has_failed(void **state)
{
	(void)state;
	run_with_text(fail_each_read_of_a_commit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_power_cut_at_any_time_loses_nothing_acknowledged),
		cmocka_unit_test(a_power_cut_in_a_transaction_larger_than_memory_leaves_it_whole_or_not_there),
		cmocka_unit_test(a_transaction_that_shrinks_the_database_is_atomic),
		cmocka_unit_test(any_allocation_may_fail),
		cmocka_unit_test(a_rollback_needs_no_memory),
		cmocka_unit_test(any_allocation_of_opening_may_fail),
		cmocka_unit_test(a_failing_disk_is_reported_and_loses_nothing_acknowledged),
		cmocka_unit_test(full_text_counts_right_after_any_read_has_failed),
		cmocka_unit_test(nothing_stays_of_a_commit_of_full_text_that_has_failed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
