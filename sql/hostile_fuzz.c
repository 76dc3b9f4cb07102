/* A hostile database: bytes of a good one are changed through the store, so that every checksum is right, and
 * SQLite meets b-trees, schemas and records that make no sense. Everything ends in an error or in good
 * order, in bounded memory and time: no crash, no hang, no assertion. */
#include "support/world.h"

#include <base/assert.h>
#include <stdlib.h>
#include <string.h>

#include "support/world.c"

#define DISK_LEN (3u << 20)
#define CHANGES_MAX 24u
#define CHANGE 5u /* bytes of input */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct sql_migration schema[] = {
	{1, "all", "CREATE TABLE t (id INTEGER PRIMARY KEY, k INTEGER, v TEXT UNIQUE);"
		"CREATE INDEX t_k ON t (k);"
		"CREATE TABLE large (id INTEGER PRIMARY KEY, data BLOB);"
		"CREATE TABLE pairs (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID;"
		"CREATE TRIGGER gone AFTER DELETE ON t BEGIN INSERT INTO pairs VALUES (old.id, old.k); END;"
		"CREATE VIRTUAL TABLE f USING fts5(body);"
		"CREATE VIRTUAL TABLE r USING rtree(id, x0, x1);"
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)"
		" INSERT INTO t (k, v) SELECT i % 17, 'value ' || i FROM n;"
		"INSERT INTO large (data) SELECT zeroblob(id * 400) FROM t WHERE id < 30;"
		"DELETE FROM large WHERE id % 3 = 0;"
		"INSERT INTO pairs SELECT id, k FROM t WHERE id < 100;"
		"INSERT INTO f (body) SELECT 'word' || k || ' ' || v FROM t WHERE id < 90;"
		"INSERT INTO r SELECT id, id, id + k FROM t WHERE id < 80;"},
};

static struct world *world;
static uint8_t *good;

static struct {
	const uint8_t *at;
	size_t len;
} input;

static const char *const statements[] = {
	"SELECT count(*), sum(k) FROM t",
	"SELECT * FROM t WHERE k = 3 ORDER BY v DESC",
	"SELECT id, hex(data) FROM large",
	"SELECT * FROM pairs WHERE a > 50",
	"SELECT rowid, body FROM f WHERE f MATCH 'word3'",
	"SELECT * FROM r WHERE x1 > 20 AND x0 < 40",
	"SELECT * FROM sqlite_schema",
	"UPDATE t SET k = k + 1, v = v || 'x' WHERE id % 5 = 0",
	"INSERT INTO large (data) VALUES (zeroblob(20000))",
	"DELETE FROM t WHERE id % 3 = 0",
	"INSERT INTO f (body) VALUES ('word1 word3')",
	"DELETE FROM f WHERE rowid < 40",
	"DELETE FROM r WHERE id % 2 = 0",
	"DELETE FROM large",
	"CREATE INDEX another ON t (v, k)",
	"DROP TABLE pairs",
	"PRAGMA integrity_check",
};

static void open_good(struct world *w)
{
	err e = world_open(w);
	ASSERT(!failed(e));
	world_close(w);
}

static void make_good(void)
{
	world = world_new(DISK_LEN);
	world->sql_config.migrations = schema;
	world->sql_config.migration_count = 1;
	world->sql_config.connections = 2;
	world_run(world, open_good);
	good = malloc(DISK_LEN);
	ASSERT(good);
	memcpy(good, world->image, DISK_LEN);
}

/* Where in a page, mostly in its head and its cells' pointers; and what. */
static void change_page(uint8_t *page, uint32_t page_no, const uint8_t *in)
{
	uint32_t at = in[1] | (uint32_t)in[2] << 8, head = page_no == 0 ? 100 : 0;
	at = at & 0x8000 ? at % STORE_PAGE_SIZE : (head + at % 64) % STORE_PAGE_SIZE;
	page[at] = in[3] & 1 ? (uint8_t)(page[at] + in[4]) : in[4];
}

static err change_all(struct store_object *o)
{
	struct store_txn *t;
	uint64_t generation;
	uint8_t page[STORE_PAGE_SIZE];
	err e = OK;
	TRY(store_txn_begin(o, &t));
	uint32_t pages = store_txn_pages(t);
	for (size_t i = 0; i + CHANGE <= input.len && i < CHANGES_MAX * CHANGE && pages && !failed(e); i += CHANGE) {
		uint32_t page_no = input.at[i] % pages;
		e = store_txn_read(t, page_no, page);
		change_page(page, page_no, &input.at[i]);
		if (!failed(e))
			e = store_txn_write(t, page_no, page);
	}
	if (failed(e)) {
		store_txn_abort(t);
		return e;
	}
	return store_txn_commit(t, &generation);
}

static void change_database(struct world *w)
{
	struct store_object *o;
	err e = world_open_store(w);
	ASSERT(!failed(e));
	e = store_object_open(w->store, "main", false, &o);
	if (!failed(e))
		e = change_all(o);
	ASSERT(!failed(e));
	e = store_close(w->store);
	ASSERT(!failed(e));
	w->store = NULL;
}

static void use_database(struct world *w)
{
	struct sql_conn *conn;
	if (failed(world_open(w)))
		return;
	err e = sql_acquire(w->sql, w->now_ns + 2000000000, &conn);
	ASSERT(!failed(e));
	for (size_t i = 0; i < ARRAY_LEN(statements); i++) {
		e = sql_run(conn, statements[i]);
		if (e.code == ERR_TIMEOUT)
			break;
		ASSERT(e.code != ERR_FOREIGN && e.code != ERR_DENIED);
	}
	sql_release(conn);
}

static void close_all(struct world *w)
{
	if (w->sql)
		world_close(w);
	else if (w->store && failed(store_close(w->store)))
		w->store = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!good)
		make_good();
	memcpy(world->image, good, DISK_LEN);
	input.at = data;
	input.len = size;
	world_run(world, change_database);
	world_run(world, use_database);
	world_run(world, close_all);
	return 0;
}
