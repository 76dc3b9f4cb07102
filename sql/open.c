/* Opening: SQLite's memory, its one VFS, the connections, the migrations.
 *
 * config->memory:  | struct sql and its connections | page cache, 1/4 | SQLite's heap |
 *
 * Pages have a part of their own because the heap is a buddy allocator, in which a page with its header would
 * take two. SQLite reads pages in place (see file.c), so this cache holds what a transaction changes. */
#include <base/assert.h>
#include "private.h"

#include <string.h>

#define HEAP_ALLOCATION_MIN 64
#define CACHE_PAGES_MIN 16
/* A sort goes to scratch pages in pieces; each costs some KiB again when they are merged, so small ones do not help. */
#define SORT_PIECE_MAX (1u << 20)

static err check(const struct sql_config *config)
{
	if (!config->store || !config->loop || !config->random || !config->memory)
		return ERR(INVALID);
	if (config->connections < 1 || config->connections > SQL_CONNECTIONS_MAX)
		return ERR(INVALID);
	return config->memory_len < SQL_MEMORY_MIN ? ERR(NO_MEMORY) : OK;
}

static uint8_t *align_up(uint8_t *p)
{
	return p + (-(uintptr_t)p & 63);
}

/* SQLite's global settings; they can be made while it is not initialised. */
static err set_memory(const struct sql_config *config, uint8_t *from, int *cache_pages)
{
	uint8_t *end = config->memory + config->memory_len;
	int header_len = 0;
	int rc = sqlite3_config(SQLITE_CONFIG_PCACHE_HDRSZ, &header_len);
	if (rc != SQLITE_OK)
		return ERR(BUSY);
	int page_len = (int)STORE_PAGE_SIZE + header_len;
	*cache_pages = (int)(config->memory_len / 4) / page_len;
	sqlite3_config(SQLITE_CONFIG_URI, 0);
	size_t piece = config->memory_len / 8 < SORT_PIECE_MAX ? config->memory_len / 8 : SORT_PIECE_MAX;
	sqlite3_config(SQLITE_CONFIG_PMASZ, (unsigned)(piece / STORE_PAGE_SIZE));
	if (config->memory_methods) {
		rc = sqlite3_config(SQLITE_CONFIG_MALLOC, config->memory_methods);
		sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0);
		sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
		return rc == SQLITE_OK ? OK : ERR(BUSY);
	}
	rc = sqlite3_config(SQLITE_CONFIG_PAGECACHE, from, page_len, *cache_pages);
	from = align_up(from + (size_t)page_len * (size_t)*cache_pages);
	if (rc == SQLITE_OK)
		rc = sqlite3_config(SQLITE_CONFIG_HEAP, from, (int)(end - from), HEAP_ALLOCATION_MIN);
	return rc == SQLITE_OK ? OK : ERR(BUSY);
}

static void close_all(struct sql *sql)
{
	while (sql->conn_count)
		sql_conn_close(&sql->conn[--sql->conn_count]);
	sqlite3_vfs_unregister(&sql->vfs.base);
	sqlite3_free(sql->reserve);
	sqlite3_shutdown();
}

static err run(struct sql_conn *conn, const char *text)
{
	int rc = sqlite3_exec(conn->db, text, NULL, NULL, NULL);
	return rc == SQLITE_OK ? OK : sql_fail(conn, rc, text);
}

/* SQLite keeps the undo log of a transaction in memory as long as its cache lasts, so that a commit is one batch;
 * but not for the very first one of an empty database, unless it is told to. That one has nothing to undo. */
static err migrate(struct sql *sql, struct sql_conn *conn)
{
	int64_t pages;
	TRY(sql_query_int(conn, "PRAGMA page_count", SQL_NO_ARGS, &pages));
	if (!pages)
		TRY(run(conn, "PRAGMA journal_mode = MEMORY"));
	TRY(sql_migrate(sql, conn));
	if (!pages)
		TRY(run(conn, "PRAGMA journal_mode = DELETE"));
	return OK;
}

static err open_all(struct sql *sql, int cache_pages)
{
	if (sqlite3_initialize() != SQLITE_OK || sqlite3_vfs_register(&sql->vfs.base, 1) != SQLITE_OK ||
		!sql_reserve_take(sql))
		return ERR(NO_MEMORY);
	/* With half of the memory in use, pieces of sorts get no larger than that. */
	sqlite3_soft_heap_limit64((sqlite3_int64)(sql->config.memory_len / 2));
	for (uint32_t i = 0; i < sql->config.connections; i++) {
		struct sql_conn *conn = &sql->conn[i];
		err e = sql_conn_open(conn, sql, cache_pages);
		if (failed(e)) {
			if (sql->config.log)
				log_write(sql->config.log, LOG_ERROR, "sql", "cannot open the database: %s",
					conn->message);
			return e;
		}
		sql->conn_count++;
	}
	return migrate(sql, &sql->conn[0]);
}

err sql_open(const struct sql_config *config, struct sql **out)
{
	TRY(check(config));
	struct sql *sql = (struct sql *)(void *)config->memory;
	size_t sql_len = sizeof *sql + config->connections * sizeof sql->conn[0];
	memset(sql, 0, sql_len);
	sql->config = *config;
	list_init(&sql->writer_line);
	list_init(&sql->conn_line);
	TRY(store_object_open(config->store, "main", true, &sql->object));
	sql_vfs_init(&sql->vfs, "store", sql->object, &sql->stats, config->loop, config->random);
	size_t value_max = config->memory_len / SQL_VALUE_SHARE;
	sql->value_max = value_max < SQL_LIMIT_ZEROS ? (int)value_max : SQL_LIMIT_ZEROS;
	int cache_pages;
	TRY(set_memory(config, align_up(config->memory + sql_len), &cache_pages));
	int limit = cache_pages / 2 > CACHE_PAGES_MIN ? cache_pages / 2 : CACHE_PAGES_MIN;
	err e = open_all(sql, limit);
	if (failed(e)) {
		close_all(sql);
		return e;
	}
	sql->ready = true;
	*out = sql;
	return OK;
}

void sql_close(struct sql *sql)
{
	for (uint32_t i = 0; i < sql->conn_count; i++)
		ASSERT(!sql->conn[i].acquired);
	close_all(sql);
}

struct store *sql_store(struct sql *sql)
{
	return sql->config.store;
}

void sql_stats(struct sql *sql, struct sql_stats *out)
{
	sqlite3_int64 used = 0, max = 0;
	sqlite3_status64(SQLITE_STATUS_MEMORY_USED, &used, &max, 0);
	*out = sql->stats;
	out->memory_used = (uint64_t)used;
	out->memory_max = (uint64_t)max;
}
