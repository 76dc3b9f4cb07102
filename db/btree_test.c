#include "btree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sqlite3.h>

struct file {
	uint8_t *bytes;
	sqlite3_int64 len;
	uint32_t hidden; /* a page that cannot be read; 0: none */
};

static bool read_page(void *context, uint32_t page_no, uint8_t page[4096])
{
	const struct file *f = context;
	if (page_no == f->hidden || (sqlite3_int64)page_no * 4096 > f->len)
		return false;
	memcpy(page, f->bytes + (size_t)(page_no - 1) * 4096, 4096);
	return true;
}

static void run(sqlite3 *db, const char *sql)
{
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* Trees of every kind: deep, with long rows, without rowid, with free pages. */
static sqlite3 *make(struct file *f)
{
	sqlite3 *db;
	assert_int_equal(sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix"),
		SQLITE_OK);
	run(db, "PRAGMA page_size = 4096; CREATE TABLE a (id INTEGER PRIMARY KEY, t TEXT); CREATE INDEX ai ON a (t);"
		"CREATE TABLE w (k TEXT PRIMARY KEY, v) WITHOUT ROWID; CREATE TABLE gone (x);"
		"WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
		"INSERT INTO a SELECT i, printf('%0*d', CASE WHEN i % 100 = 0 THEN 20000 ELSE i % 300 END, i) FROM n;"
		"INSERT INTO w SELECT t, zeroblob(id % 50 * 200) FROM a; INSERT INTO gone SELECT zeroblob(3000) FROM a;"
		"DROP TABLE gone; CREATE TABLE after (x); INSERT INTO after VALUES (zeroblob(100000))");
	f->bytes = sqlite3_serialize(db, "main", &f->len, 0);
	f->hidden = 0;
	assert_non_null(f->bytes);
	return db;
}

static void add_roots(sqlite3 *db, struct btree_walk *w)
{
	sqlite3_stmt *q;
	btree_walk(w, 1);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT rootpage FROM sqlite_schema WHERE rootpage > 0", -1, &q,
		NULL), SQLITE_OK);
	while (sqlite3_step(q) == SQLITE_ROW)
		btree_walk(w, (uint32_t)sqlite3_column_int(q, 0));
	sqlite3_finalize(q);
	btree_walk_free(w);
}

static struct btree_walk walk_of(struct file *f)
{
	struct btree_walk w = {.read = read_page, .context = f, .pages = (uint32_t)(f->len / 4096)};
	w.page = calloc(w.pages + 1, sizeof *w.page);
	return w;
}

/* dbstat is SQLite's own answer to the same question. */
static void each_page_is_where_sqlite_says(void **state)
{
	(void)state;
	struct file f;
	sqlite3 *db = make(&f);
	struct btree_walk w = walk_of(&f);
	sqlite3_stmt *q;
	uint32_t known = 0, kinds[6] = {0};
	add_roots(db, &w);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT d.pageno, d.pagetype, coalesce(s.rootpage, 1) FROM dbstat d "
		"LEFT JOIN sqlite_schema s ON s.name = d.name", -1, &q, NULL), SQLITE_OK);
	for (; sqlite3_step(q) == SQLITE_ROW; known++) {
		const struct btree_page *p = &w.page[sqlite3_column_int(q, 0)];
		static const char *const name[] = {"", "internal", "leaf", "", "overflow", ""};
		assert_int_equal(p->root, sqlite3_column_int(q, 2));
		assert_string_equal(name[p->kind], (const char *)sqlite3_column_text(q, 1));
		kinds[p->kind]++;
	}
	sqlite3_finalize(q);
	assert_true(kinds[BTREE_INNER] > 3 && kinds[BTREE_LEAF] > 100 && kinds[BTREE_OVERFLOW] > 100);
	for (uint32_t i = 1; i <= w.pages; i++)
		kinds[BTREE_FREE] += w.page[i].kind == BTREE_FREE;
	assert_true(kinds[BTREE_FREE] > 100);
	assert_int_equal(known + kinds[BTREE_FREE], w.pages);
	free(w.page);
	sqlite3_free(f.bytes);
	sqlite3_close(db);
}

static void a_page_that_cannot_be_read_still_has_an_owner(void **state)
{
	(void)state;
	struct file f;
	sqlite3 *db = make(&f);
	struct btree_walk whole = walk_of(&f);
	add_roots(db, &whole);
	for (uint32_t hidden = 2; hidden <= whole.pages; hidden += 7) {
		struct btree_walk w = walk_of(&f);
		f.hidden = hidden;
		add_roots(db, &w);
		/* ... unless it is a free page that the list goes on in, or below one that is hidden. */
		assert_int_equal(w.page[hidden].root, whole.page[hidden].root);
		assert_true(w.page[hidden].kind != BTREE_UNKNOWN);
		free(w.page);
	}
	free(whole.page);
	sqlite3_free(f.bytes);
	sqlite3_close(db);
}

static void nonsense_ends(void **state)
{
	(void)state;
	struct file f;
	sqlite3 *db = make(&f);
	uint64_t x = 88172645463325252u;
	for (int round = 0; round < 200; round++) {
		struct btree_walk w = walk_of(&f);
		for (int i = 0; i < 50; i++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			f.bytes[x % (uint64_t)f.len] = (uint8_t)(x >> 40);
		}
		for (uint32_t root = 1; root < 8; root++)
			btree_walk(&w, root);
		btree_walk_free(&w);
		free(w.page);
	}
	sqlite3_free(f.bytes);
	sqlite3_close(db);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_page_is_where_sqlite_says),
		cmocka_unit_test(a_page_that_cannot_be_read_still_has_an_owner),
		cmocka_unit_test(nonsense_ends),
	};
	return cmocka_run_group_tests_name("btree", tests, NULL, NULL);
}
