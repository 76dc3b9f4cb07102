/* Looks at a guestbook's volume from outside, as a Linux process under the sanitizers: every checksum,
 * the page map, SQLite's own integrity check, and the number of entries.
 *
 *	volume_check VOLUME
 *
 * Prints "ok ENTRIES" or what is wrong. It is the same store and the same SQLite as in the guest. */
#include <core/log.h>
#include <core/loop.h>
#include <host/host.h>
#include <sql/sql.h>
#include <store/store.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STACK = 512 << 10, FIBERS = 4, MEMORY = 64 << 20, SQL_MEMORY = 16 << 20, CACHE_PAGES = 2048 };

struct check {
	struct host *host;
	struct loop loop;
	struct log log;
	struct random random;
	struct store *store;
	struct sql *sql;
	uint8_t *memory;
	int status;
};

static _Noreturn void give_up(const char *what, err e)
{
	printf("%s: %s\n", what, err_text(e));
	exit(1);
}

static void must(const char *what, err e)
{
	if (failed(e))
		give_up(what, e);
}

static void integrity(struct check *c, struct sql_conn *conn)
{
	struct sql_query q;
	must("integrity_check", sql_query_begin(conn, &q, "PRAGMA integrity_check", SQL_NO_ARGS));
	while (sql_query_next(&q)) {
		struct slice line = sql_column_text(&q, 0);
		if (slice_eq(line, SLICE("ok")))
			continue;
		printf("integrity_check: %.*s\n", SLICE_ARG(line));
		c->status = 1;
	}
	must("integrity_check", sql_query_end(&q));
}

static void check(void *argument)
{
	struct check *c = argument;
	struct platform *p = host_platform(c->host);
	struct store_config config = {.loop = &c->loop, .device = p->block[0], .log = &c->log,
		.random = &c->random, .memory = c->memory, .cache_pages = CACHE_PAGES, .must_exist = true};
	struct store_info info;
	struct sql_conn *conn;
	uint64_t damaged = 0;
	int64_t entries;
	config.memory_len = store_memory_size(&config);
	must("open", store_open(&config, &c->store, &info));
	must("checksums", store_check(c->store, &damaged));
	struct sql_config sql = {.store = c->store, .loop = &c->loop, .log = &c->log, .random = &c->random,
		.memory = c->memory + ((config.memory_len + 4095) & ~(size_t)4095), .memory_len = SQL_MEMORY,
		.connections = 1};
	/* The guestbook's migrations were applied by the guest; without any here, the schema is taken as it is. */
	must("database", sql_open(&sql, &c->sql));
	must("connection", sql_acquire(c->sql, TIMER_NEVER, &conn));
	integrity(c, conn);
	must("count", sql_query_int(conn, "SELECT count(*) FROM entry", SQL_NO_ARGS, &entries));
	sql_release(conn);
	sql_close(c->sql);
	must("close", store_close(c->store));
	if (c->status == 0)
		printf("ok %ld\n", (long)entries);
	exit(c->status);
}

_Noreturn void platform_main(struct platform *p)
{
	(void)p;
	abort(); /* host/ wants one to link; it is not called */
}

int main(int argc, char **argv)
{
	static struct check c;
	uint8_t text[256], seed[32];
	struct writer why = writer_of(text, sizeof text);
	if (argc != 2) {
		fprintf(stderr, "usage: volume_check VOLUME\n");
		return 2;
	}
	struct host_options options = {.data = argv[1], .memory_len = MEMORY};
	err e = host_create(&options, &why, &c.host);
	if (failed(e)) {
		printf("%.*s\n", SLICE_ARG(writer_slice(&why)));
		return 1;
	}
	struct platform *p = host_platform(c.host);
	size_t fibers = loop_memory_size(FIBERS, STACK);
	random_init(&c.random);
	random_mix(&c.random, slice_of(seed, p->entropy(p, seed, sizeof seed)));
	log_init(&c.log, p, LOG_WARN);
	loop_init(&c.loop, p, p->memory, FIBERS, STACK);
	c.memory = p->memory + fibers;
	must("fiber", fiber_spawn(&c.loop, check, &c));
	loop_run(&c.loop);
	return 1;
}
