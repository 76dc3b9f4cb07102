#include "world.h"

#include <base/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#define SECTOR 512u
#define STACK_LEN (512u * 1024u)
#define SQL_LEN (6u * 1024u * 1024u)

static struct world *world_of(struct platform *p)
{
	return CONTAINER_OF(p, struct world, platform);
}

static uint64_t now_ns(struct platform *p)
{
	return world_of(p)->now_ns += 1000;
}

static int64_t wall_ns(struct platform *p)
{
	return 1700000000000000000 + (int64_t)world_of(p)->now_ns;
}

static void log_line(struct platform *p, struct slice line)
{
	if (!world_of(p)->quiet)
		fprintf(stderr, "# %.*s", SLICE_ARG(line));
}

static void idle(struct platform *p, uint64_t until_ns)
{
	struct world *w = world_of(p);
	if (!list_is_empty(&w->requests))
		return;
	ASSERT(until_ns != UINT64_MAX); /* else everybody waits for ever */
	if (w->now_ns < until_ns)
		w->now_ns = until_ns;
}

/* --- The disk --------------------------------------------------------------------------------- */

static bool disk_submit(struct block_device *d, struct block_request *r)
{
	struct world *w = CONTAINER_OF(d, struct world, device);
	list_push_back(&w->requests, &r->link);
	return true;
}

static void disk_kick(struct block_device *d)
{
	(void)d;
}

static bool fails_now(uint64_t *after)
{
	if (*after == 0)
		return true;
	*after -= *after != UINT64_MAX;
	return false;
}

static err disk_transfer(struct world *w, struct block_request *r)
{
	uint8_t *at = w->image + r->sector * SECTOR;
	ASSERT((r->sector + r->sector_count) * SECTOR <= w->image_len);
	if ((r->op == BLOCK_WRITE && fails_now(&w->fail_writes_after)) ||
		(r->op == BLOCK_READ && fails_now(&w->fail_reads_after)))
		return ERR(IO);
	for (uint32_t i = 0; i < r->buffer_count; i++) {
		if (r->op == BLOCK_READ)
			memcpy(r->buffer[i].ptr, at, r->buffer[i].len);
		else
			memcpy(at, r->buffer[i].ptr, r->buffer[i].len);
		at += r->buffer[i].len;
	}
	return OK;
}

static void disk_complete(struct world *w, struct block_request *r)
{
	r->result = OK;
	if (w->on_request)
		w->on_request(w, r);
	if (r->op == BLOCK_FLUSH) {
		if (w->stable)
			memcpy(w->stable, w->image, w->image_len);
		w->flushes++;
	} else if (r->op != BLOCK_DISCARD) {
		r->result = disk_transfer(w, r);
	}
	r->done(r);
}

static uint32_t disk_poll(struct block_device *d)
{
	struct world *w = CONTAINER_OF(d, struct world, device);
	struct list ready, *e;
	uint32_t count = 0;
	list_init(&ready);
	while ((e = list_pop_front(&w->requests)))
		list_push_back(&ready, e);
	while ((e = list_pop_front(&ready))) {
		struct block_request *r = LIST_ENTRY(e, struct block_request, link);
		if (w->hold_flushes && r->op == BLOCK_FLUSH) {
			list_push_back(&w->requests, e);
			continue;
		}
		disk_complete(w, r);
		count++;
	}
	return count;
}

static bool poll_disk(struct loop_client *c)
{
	struct world *w = CONTAINER_OF(c, struct world, disk_client);
	return disk_poll(&w->device) > 0;
}

static uint64_t next_random(struct world *w)
{
	w->seed ^= w->seed << 13;
	w->seed ^= w->seed >> 7;
	w->seed ^= w->seed << 17;
	return w->seed;
}

/* --- Boots ------------------------------------------------------------------------------------ */

static void boot(struct world *w)
{
	size_t len = loop_memory_size(WORLD_FIBERS, STACK_LEN);
	free(w->loop_memory);
	w->loop_memory = aligned_alloc(4096, (len + 4095) / 4096 * 4096);
	loop_init(&w->loop, &w->platform, w->loop_memory, WORLD_FIBERS, STACK_LEN);
	list_init(&w->requests);
	w->disk_client = (struct loop_client){.poll = poll_disk};
	loop_add(&w->loop, &w->disk_client);
	log_init(&w->log, &w->platform, LOG_INFO);
	random_init(&w->random);
	random_mix(&w->random, SLICE("a test needs no secrets, but at least 32 bytes of them"));
	w->store = NULL;
	w->sql = NULL;
	w->running = 0;
	memset(w->start, 0, sizeof w->start);
}

static void guard(struct platform *p, void *at, size_t len)
{
	(void)p, (void)at, (void)len;
}

struct world *world_new(size_t disk_len)
{
	struct world *w = calloc(1, sizeof *w);
	w->platform = (struct platform){.now_ns = now_ns, .wall_ns = wall_ns, .log_write = log_line,
		.console_write = log_line, .idle = idle, .guard = guard, .kind = "sim"};
	w->device = (struct block_device){.sector_size = SECTOR, .sector_count = disk_len / SECTOR,
		.has_flush = true, .buffers_max = BLOCK_BUFFERS_MAX, .transfer_max = 128 * 1024,
		.name = "memory", .submit = disk_submit, .kick = disk_kick, .poll = disk_poll};
	w->image_len = disk_len;
	w->image = calloc(1, disk_len);
	w->stable = calloc(1, disk_len);
	w->seed = 88172645463325252u;
	w->fail_writes_after = w->fail_reads_after = UINT64_MAX;
	w->cache_pages = 256;
	w->txn_pages_max = 8192;
	w->sql_config = (struct sql_config){.connections = 4, .memory_len = SQL_LEN};
	w->quiet = true;
	boot(w);
	return w;
}

void world_free(struct world *w)
{
	free(w->loop_memory);
	free(w->store_memory);
	free(w->sql_memory);
	free(w->image);
	free(w->stable);
	free(w);
}

err world_open_store(struct world *w)
{
	struct store_config config = {.loop = &w->loop, .device = &w->device, .log = &w->log,
		.random = &w->random, .cache_pages = w->cache_pages, .txn_pages_max = w->txn_pages_max};
	struct store_info info;
	config.memory_len = store_memory_size(&config);
	free(w->store_memory);
	w->store_memory = aligned_alloc(4096, (config.memory_len + 4095) / 4096 * 4096);
	config.memory = w->store_memory;
	return store_open(&config, &w->store, &info);
}

err world_open(struct world *w)
{
	struct sql_config *s = &w->sql_config;
	TRY(world_open_store(w));
	free(w->sql_memory);
	w->sql_memory = aligned_alloc(4096, s->memory_len);
	s->store = w->store;
	s->loop = &w->loop;
	s->log = &w->log;
	s->random = &w->random;
	s->memory = w->sql_memory;
	return sql_open(s, &w->sql);
}

void world_close(struct world *w)
{
	if (w->sql)
		sql_close(w->sql);
	err e = store_close(w->store);
	ASSERT(!failed(e) || w->fail_writes_after == 0);
	w->sql = NULL;
	w->store = NULL;
}

static void run_fiber(void *argument)
{
	struct world_start *s = argument;
	s->run(s->w);
	s->run = NULL;
	s->w->running--;
}

void world_spawn(struct world *w, void (*run)(struct world *))
{
	struct world_start *s = w->start;
	while (s->run)
		s++;
	ASSERT(s < w->start + WORLD_FIBERS);
	*s = (struct world_start){w, run};
	w->running++;
	err e = fiber_spawn(&w->loop, run_fiber, s);
	ASSERT(!failed(e));
}

void world_run(struct world *w, void (*run)(struct world *))
{
	if (run)
		world_spawn(w, run);
	while (w->running)
		loop_round(&w->loop, true);
}

/* SQLite's global state belongs to the machine that has died. */
static void forget_sqlite(void)
{
	sqlite3_vfs_unregister(sqlite3_vfs_find("store"));
	sqlite3_shutdown();
}

uint64_t world_settled_free(struct world *w)
{
	struct store_stats s;
	for (int i = 0; i < 3; i++) {
		err e = store_checkpoint(w->store);
		ASSERT(!failed(e));
	}
	store_stats(w->store, &s);
	return s.blocks_free;
}

void world_power_cut(struct world *w)
{
	for (size_t at = 0; at < w->image_len; at += SECTOR)
		if (next_random(w) & 1)
			memcpy(w->stable + at, w->image + at, SECTOR);
	memcpy(w->image, w->stable, w->image_len);
	if (w->sql)
		forget_sqlite();
	boot(w);
}
