#include "rig.h"

#include <base/assert.h>
#include <stdlib.h>
#include <string.h>

#define STACK 65536u

static void keep_log(void *cookie, struct slice line)
{
	struct rig *r = cookie;
	size_t len = line.len < sizeof r->last_log ? line.len : sizeof r->last_log - 1;
	memcpy(r->last_log, line.ptr, len);
	r->last_log[len] = 0;
}

static void start_machine(struct rig *r)
{
	loop_init(&r->loop, &r->sim.platform, r->fiber_memory, r->fibers, r->stack);
	log_init(&r->log, &r->sim.platform, LOG_INFO);
	r->running = 0;
	r->hung = false;
	r->store = NULL;
}

void rig_init(struct rig *r, uint64_t bytes, uint32_t sector_size, uint64_t seed, uint32_t fibers)
{
	rig_init_large(r, bytes, sector_size, seed, fibers, STACK);
}

void rig_init_large(struct rig *r, uint64_t bytes, uint32_t sector_size, uint64_t seed, uint32_t fibers,
	uint32_t stack)
{
	memset(r, 0, sizeof *r);
	r->stack = stack;
	sim_platform_init(&r->sim, seed, NULL, 0);
	r->sim.log = keep_log;
	r->sim.cookie = r;
	sim_disk_init(&r->disk, &r->sim, bytes, sector_size, seed + 1);
	r->fibers = fibers;
	r->fiber_memory = aligned_alloc(4096, loop_memory_size(fibers, stack));
	ASSERT(r->fiber_memory);
	random_init(&r->random);
	uint8_t entropy[32];
	r->sim.platform.entropy(&r->sim.platform, entropy, sizeof entropy);
	random_mix(&r->random, slice_of(entropy, sizeof entropy));
	r->config = (struct store_config){.loop = &r->loop, .device = &r->disk.device, .log = &r->log,
		.random = &r->random, .cache_pages = 64};
	start_machine(r);
}

void rig_free(struct rig *r)
{
	sim_disk_free(&r->disk);
	free(r->fiber_memory);
	free(r->store_memory);
}

struct start {
	struct rig *rig;
	void (*run)(void *);
	void *argument;
};

static void run_start(void *argument)
{
	struct start *s = argument;
	s->run(s->argument);
	s->rig->running--;
	free(s);
}

void rig_spawn(struct rig *r, void (*run)(void *), void *argument)
{
	struct start *s = malloc(sizeof *s);
	ASSERT(s);
	*s = (struct start){r, run, argument};
	r->running++;
	err e = fiber_spawn(&r->loop, run_start, s);
	ASSERT(!failed(e));
}

void rig_finish(struct rig *r)
{
	r->sim.stuck = false;
	while (r->running && !r->sim.stuck)
		(void)loop_round(&r->loop, true);
	r->hung = r->running != 0;
	ASSERT(!r->hung);
}

void rig_run(struct rig *r, void (*run)(void *), void *argument)
{
	rig_spawn(r, run, argument);
	rig_finish(r);
}

struct call {
	struct rig *rig;
	err result;
};

static void do_open(void *argument)
{
	struct call *c = argument;
	c->result = store_open(&c->rig->config, &c->rig->store, &c->rig->info);
}

err rig_open(struct rig *r)
{
	struct call c = {r, OK};
	size_t need = store_memory_size(&r->config);
	if (need != r->config.memory_len) {
		free(r->store_memory);
		r->store_memory = aligned_alloc(4096, need);
		ASSERT(r->store_memory);
		r->config.memory = r->store_memory;
		r->config.memory_len = need;
	}
	rig_run(r, do_open, &c);
	return c.result;
}

static void do_close(void *argument)
{
	struct call *c = argument;
	c->result = store_close(c->rig->store);
}

err rig_close(struct rig *r)
{
	struct call c = {r, OK};
	rig_run(r, do_close, &c);
	r->store = NULL;
	return c.result;
}

void rig_crash(struct rig *r)
{
	sim_disk_drop_queue(&r->disk);
	start_machine(r);
}

void rig_fill(uint8_t *page, uint32_t page_no, uint64_t id)
{
	uint64_t state = id * 0x9e3779b97f4a7c15u + page_no;
	memcpy(page, &id, 8);
	memcpy(page + 8, &page_no, 4);
	for (uint32_t i = 16; i < STORE_PAGE_SIZE; i += 8) {
		uint64_t v = (state + i) * 6364136223846793005u; /* each by itself: this is done very often */
		memcpy(page + i, &v, 8);
	}
	memset(page + 12, 0, 4);
}

uint64_t rig_identify(const uint8_t *page, uint32_t page_no)
{
	static const uint8_t zero[STORE_PAGE_SIZE];
	uint8_t expected[STORE_PAGE_SIZE];
	uint64_t id;
	if (!memcmp(page, zero, STORE_PAGE_SIZE))
		return 0;
	memcpy(&id, page, 8);
	rig_fill(expected, page_no, id);
	return memcmp(page, expected, STORE_PAGE_SIZE) ? UINT64_MAX : id;
}
