/* The database file as SQLite itself uses it, without our connections' settings: modes that sql_open never
 * sets but that a program on the host may (`ingot db` has SQLite's whole shell). */
#include "support/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <sqlite3.h>

#define DISK_LEN (64u << 20)

static sqlite3 *open_raw(void)
{
	sqlite3 *db;
	int rc = sqlite3_open_v2("main", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE, "store");
	assert_int_equal(rc, SQLITE_OK);
	return db;
}

static void run_at(sqlite3 *db, const char *text, int expected, int line)
{
	int rc = sqlite3_exec(db, text, NULL, NULL, NULL);
	if (rc != expected)
		fail_msg("line %d: %s: %d (%s)", line, text, rc, sqlite3_errmsg(db));
}
#define run(db, text) run_at(db, text, SQLITE_OK, __LINE__)
#define run_fails(db, text, code) run_at(db, text, code, __LINE__)

static int64_t number_of(sqlite3 *db, const char *text)
{
	sqlite3_stmt *s;
	assert_int_equal(sqlite3_prepare_v2(db, text, -1, &s, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(s), SQLITE_ROW);
	int64_t n = sqlite3_column_int64(s, 0);
	assert_int_equal(sqlite3_finalize(s), SQLITE_OK);
	return n;
}

static void in_world(void (*test)(struct world *))
{
	struct world *w = world_new(DISK_LEN);
	world_run(w, test);
	world_free(w);
}

static void opened(struct world *w)
{
	err e = world_open(w);
	assert_false(failed(e));
}

/* SQLite keeps the lock after a commit and writes again without asking for one. */
static void write_exclusively(struct world *w)
{
	opened(w);
	sqlite3 *db = open_raw(), *other = open_raw();
	run(db, "PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; CREATE TABLE t (x)");
	run(db, "INSERT INTO t VALUES (1)");
	run(db, "INSERT INTO t VALUES (2)");
	assert_int_equal(number_of(other, "SELECT count(*) FROM t"), 2);
	run(db, "BEGIN; INSERT INTO t VALUES (3); ROLLBACK");
	run(db, "INSERT INTO t VALUES (4)");
	assert_int_equal(number_of(other, "SELECT sum(x) FROM t"), 7);
	sqlite3_close(db);
	sqlite3_close(other);
	world_close(w);
}

static void exclusive_locking_commits_again_and_again(void **state)
{
	(void)state;
	in_world(write_exclusively);
}

/* Nothing keeps another connection from writing between two of those transactions; what must not happen is that
 * the second one is based on what is no longer true. */
static void write_between(struct world *w)
{
	opened(w);
	sqlite3 *db = open_raw(), *other = open_raw();
	run(db, "PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; CREATE TABLE t (x)");
	run(other, "PRAGMA journal_mode = MEMORY; INSERT INTO t VALUES (1)");
	run_fails(db, "INSERT INTO t VALUES (2)", SQLITE_BUSY_SNAPSHOT);
	assert_int_equal(number_of(other, "SELECT sum(x) FROM t"), 1);
	run(db, "PRAGMA locking_mode = NORMAL; SELECT * FROM t"); /* lets go after the next read */
	assert_int_equal(number_of(db, "SELECT sum(x) FROM t"), 1);
	run(db, "INSERT INTO t VALUES (4)");
	assert_int_equal(number_of(other, "SELECT sum(x) FROM t"), 5);
	sqlite3_close(db);
	sqlite3_close(other);
	world_close(w);
}

static void exclusive_locking_overwrites_nobodys_commit(void **state)
{
	(void)state;
	in_world(write_between);
}

static sqlite3_file *file_of(sqlite3 *db)
{
	sqlite3_file *file;
	assert_int_equal(sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file), SQLITE_OK);
	return file;
}

static int control(sqlite3_file *f, int op)
{
	return f->pMethods->xFileControl(f, op, NULL);
}

/* SQLite does so when anything fails in a batch: it gives the batch up and writes the same pages one by one. */
static void give_up_a_batch(struct world *w)
{
	opened(w);
	sqlite3 *db = open_raw();
	run(db, "PRAGMA journal_mode = MEMORY; CREATE TABLE t (x)");
	sqlite3_file *f = file_of(db);
	uint8_t page[STORE_PAGE_SIZE], back[STORE_PAGE_SIZE];
	assert_int_equal(f->pMethods->xLock(f, SQLITE_LOCK_SHARED), SQLITE_OK);
	assert_int_equal(f->pMethods->xLock(f, SQLITE_LOCK_RESERVED), SQLITE_OK);
	memset(page, 1, sizeof page);
	assert_int_equal(control(f, SQLITE_FCNTL_BEGIN_ATOMIC_WRITE), SQLITE_OK);
	assert_int_equal(f->pMethods->xWrite(f, page, sizeof page, 5 * STORE_PAGE_SIZE), SQLITE_OK);
	assert_int_equal(control(f, SQLITE_FCNTL_ROLLBACK_ATOMIC_WRITE), SQLITE_OK);
	memset(page, 2, sizeof page);
	assert_int_equal(f->pMethods->xWrite(f, page, sizeof page, 5 * STORE_PAGE_SIZE), SQLITE_OK);
	assert_int_equal(control(f, SQLITE_FCNTL_COMMIT_PHASETWO), SQLITE_OK);
	assert_int_equal(f->pMethods->xUnlock(f, SQLITE_LOCK_NONE), SQLITE_OK);
	assert_int_equal(f->pMethods->xRead(f, back, sizeof back, 5 * STORE_PAGE_SIZE), SQLITE_OK);
	assert_memory_equal(back, page, sizeof page);
	sqlite3_close(db);
	world_close(w);
}

static void a_batch_that_is_given_up_can_be_written_page_by_page(void **state)
{
	(void)state;
	in_world(give_up_a_batch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exclusive_locking_commits_again_and_again),
		cmocka_unit_test(exclusive_locking_overwrites_nobodys_commit),
		cmocka_unit_test(a_batch_that_is_given_up_can_be_written_page_by_page),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
