#include "sim.h"

#include <base/assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *object_names[OBJECTS] = {"main", "second", "a third one"};

void fail_at(struct run *r, const char *file, int line, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	printf("seed %lu: ", (unsigned long)r->options->seed);
	vprintf(format, args);
	va_end(args);
	printf(" (%s:%d)\n", file, line);
	if (r->now)
		printf("the store's last line: %s\n", r->now->rig.last_log);
	fflush(stdout);
	_Exit(1);
}

void trace(const struct run *r, const char *format, ...)
{
	va_list args;
	if (!r->options->trace)
		return;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

uint32_t below(struct run *r, uint32_t bound)
{
	return (uint32_t)(sim_random(&r->random) % bound);
}

bool one_in(struct run *r, uint32_t n)
{
	return n && below(r, n) == 0;
}

void mix(struct run *r, uint64_t v)
{
	r->hash = (r->hash ^ v) * 0x9e3779b97f4a7c15u;
	r->hash ^= r->hash >> 31;
}

static void note_event(void *cookie)
{
	struct life *l = cookie;
	uint64_t at = l->rig.disk.events + 1;
	size_event(l, at);
	while (at >= l->durable_capacity) {
		l->durable_capacity = 2 * l->durable_capacity + 1024;
		l->durable = realloc(l->durable, l->durable_capacity * sizeof *l->durable);
		ASSERT(l->durable);
	}
	uint64_t before = at > 1 ? l->durable[at - 1] : l->least;
	uint64_t told = l->rig.store ? store_durable_generation(l->rig.store) : 0;
	l->durable[at] = told > before ? told : before;
}

uint64_t life_durable(const struct life *l, uint64_t event)
{
	if (event <= l->rig.disk.events)
		return l->durable[event];
	uint64_t told = l->rig.store ? store_durable_generation(l->rig.store) : 0;
	uint64_t before = l->rig.disk.events ? l->durable[l->rig.disk.events] : l->least;
	told = l->most > told ? l->most : told;
	return told > before ? told : before;
}

void life_cut(struct sim_cut *c, const struct life *from, struct life *to)
{
	rig_crash(&to->rig);
	sim_cut_apply(c, &to->rig.disk);
	to->grow_at = 0;
	to->smaller = from->grown_at ? from->blocks : 0;
	size_set(to, size_before(from, c->event));
}

static void life_init(struct run *r, struct life *l, uint64_t seed)
{
	memset(l, 0, sizeof *l);
	uint64_t most = r->plan.blocks_most > r->plan.blocks ? r->plan.blocks_most : r->plan.blocks;
	rig_init(&l->rig, most * 4096, r->plan.sector, seed, 10);
	size_set(l, r->plan.blocks);
	l->rig.disk.on_event = note_event;
	l->rig.disk.cookie = l;
	l->rig.disk.device.buffers_max = r->plan.buffers;
	l->rig.disk.device.has_discard = r->plan.discard != 0;
	l->rig.disk.discard = r->plan.discard ? (enum sim_discard)(r->plan.discard - 1) : SIM_DISCARD_KEEPS;
	l->rig.config.cache_pages = r->plan.cache_pages;
	l->rig.config.txn_pages_max = r->plan.txn_pages;
}

static void life_free(struct life *l)
{
	rig_crash(&l->rig);
	rig_free(&l->rig);
	free(l->durable);
}

void run_begin(struct run *r)
{
	for (uint32_t i = 0; i < 2; i++)
		life_init(r, &r->life[i], r->options->seed + i);
	for (uint32_t i = 0; i < DEPTH_MAX; i++)
		life_init(r, &r->again[i], r->options->seed + 10 + i);
	r->now = &r->life[0];
	model_init(r->model);
}

void run_end(struct run *r)
{
	for (uint32_t i = 0; i < 2; i++)
		life_free(&r->life[i]);
	for (uint32_t i = 0; i < DEPTH_MAX; i++)
		life_free(&r->again[i]);
}

err life_start(struct run *r, struct life *l)
{
	rig_crash(&l->rig);
	sim_disk_record(&l->rig.disk);
	size_begin(l);
	r->now = l;
	l->most = 0;
	memset(l->object, 0, sizeof l->object);
	return rig_open(&l->rig);
}
