/* Small workloads, each cut everywhere. What a cut may leave only grows until a flush is done: so it is
 * enough to look just before the events at which one is, and at the end; and there at every combination of
 * lost, kept and torn, as far as the bound allows:
 *   1. each sector of its own, if these are few; else each block, if those are few; else as many at random;
 *   2. each block torn in every way of its eight sectors, the others all kept and all lost;
 *   3. the opening that follows is recorded, and cut in the same way (with less of a bound). */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

struct small {
	const char *what;
	uint32_t steps, pages, stride, truncate_in, large_in, checkpoint_in, wait_in, cache_pages, txn_pages;
	uint32_t named_in, objects, delete_in;
	bool close, crash_first; /* crash_first: it is the second life, which begins with a journal */
	uint64_t blocks;
	uint32_t grow, grow_while; /* blocks: before the (second) life; and in it, at every event */
};

static const struct small smalls[] = {
	{.what = "formatting"},
	{.what = "one commit", .steps = 1, .pages = 2, .wait_in = 1},
	{.what = "commits that share a flush", .steps = 4, .pages = 4},
	{.what = "commits that wait", .steps = 4, .pages = 4, .wait_in = 1},
	{.what = "a checkpoint", .steps = 3, .pages = 5, .wait_in = 2, .checkpoint_in = 1},
	{.what = "truncation", .steps = 4, .pages = 6, .wait_in = 2, .truncate_in = 2, .checkpoint_in = 3},
	{.what = "a spill", .steps = 2, .pages = 40, .wait_in = 1, .large_in = 1},
	{.what = "a commit of several records", .steps = 3, .pages = 200, .wait_in = 1, .large_in = 1, .cache_pages = 500},
	{.what = "deep maps", .steps = 3, .pages = 4, .stride = 300000, .checkpoint_in = 2, .wait_in = 2},
	{.what = "closing", .steps = 2, .pages = 3, .wait_in = 2, .close = true},
	{.what = "the recovery of a journal", .steps = 4, .pages = 5, .wait_in = 2, .crash_first = true},
	{.what = "recovery that merges again and again", .steps = 5, .pages = 12, .wait_in = 2, .txn_pages = 8,
		.crash_first = true},
	{.what = "snapshots are made and deleted", .steps = 5, .pages = 3, .wait_in = 3, .named_in = 1},
	{.what = "snapshots of deep maps", .steps = 6, .pages = 4, .stride = 300, .wait_in = 4, .named_in = 1, .truncate_in = 4},
	{.what = "a large transaction", .steps = 1, .pages = 5, .wait_in = 1, .large_in = 1, .txn_pages = 3},
	{.what = "a large transaction of a second life", .steps = 1, .pages = 6, .wait_in = 1, .large_in = 1,
		.txn_pages = 2, .crash_first = true},
	{.what = "objects are deleted, replaced and made anew", .steps = 6, .pages = 3, .wait_in = 4, .objects = 3,
		.delete_in = 1, .named_in = 4},
	{.what = "growth", .steps = 3, .pages = 5, .wait_in = 2, .crash_first = true, .grow = 40},
	{.what = "growth at every event of formatting and work", .steps = 3, .pages = 5, .wait_in = 2, .grow_while = 40},
	{.what = "growth at every event of recovery and work", .steps = 4, .pages = 4, .wait_in = 2, .named_in = 3,
		.checkpoint_in = 3, .crash_first = true, .grow_while = 100},
	{.what = "growth into another group of blocks", .steps = 5, .pages = 12, .wait_in = 2, .txn_pages = 8,
		.checkpoint_in = 4, .crash_first = true, .blocks = VOLUME_GROUP_BLOCKS - 20, .grow_while = 40},
};

#define SMALLS (sizeof smalls / sizeof smalls[0])

/* `from` has been cut. */
static void look_once(struct run *r, struct sim_cut *c, uint32_t depth, uint64_t least, const struct life *from)
{
	life_cut(c, from, &r->again[depth]);
	look(r, &r->again[depth], least, depth ? NULL : from, c->event);
}

static void cut_everywhere(struct run *r, struct life *l, uint32_t depth, uint64_t bound, uint64_t least);

/* Some of the openings are cut themselves. */
static void look_and_cut(struct run *r, struct sim_cut *c, uint32_t depth, uint64_t bound, uint64_t least,
	const struct life *from, bool deeper)
{
	look_once(r, c, depth, least, from);
	if (deeper && depth + 1 < DEPTH_MAX && bound >= 8)
		cut_everywhere(r, &r->again[depth], depth + 1, bound / 8, least);
}

static void tear_each_block(struct run *r, struct sim_cut *c, uint32_t depth, uint64_t bound, uint64_t least,
	const struct life *from)
{
	/* All ways of tearing eight sectors, or the prefixes and suffixes, or (with many blocks) of some blocks. */
	uint32_t ways = bound >= 1024 && c->blocks * 64ull <= bound ? 256 : bound >= 64 ? 16 : 0;
	uint32_t step = 1 + (uint32_t)(c->blocks * 2ull * ways / (8 * bound));
	for (uint32_t b = 0; b < c->blocks; b += step)
		for (uint32_t way = 0; way < 2 * ways; way++) {
			uint32_t mask = ways == 256 ? way / 2 : (way / 2 < 8 ? 0xffu >> way / 2 : 0xffu << (way / 2 - 8));
			if (way & 1)
				sim_cut_keep_all(c);
			else
				sim_cut_lose_all(c);
			sim_cut_tear_block(c, b, mask & 0xff);
			look_once(r, c, depth, least, from);
		}
}

static void cut_at(struct run *r, struct life *l, uint64_t event, uint32_t depth, uint64_t bound, uint64_t least)
{
	struct sim_cut c;
	uint64_t durable = life_durable(l, event);
	least = durable > least ? durable : least;
	sim_cut_begin(&c, &l->rig.disk, event);
	bool by_sector = c.outcomes <= bound, by_block = c.block_outcomes <= bound;
	uint64_t count = by_sector ? c.outcomes : by_block ? c.block_outcomes : bound;
	for (uint64_t i = 0; i < count; i++) {
		if (by_sector)
			sim_cut_by_sector(&c, i);
		else if (by_block)
			sim_cut_by_block(&c, i);
		else
			sim_cut_random(&c, sim_random(&r->random));
		look_and_cut(r, &c, depth, bound, least, l, i % 97 == 1 || i + 1 == count);
	}
	if (!by_sector)
		tear_each_block(r, &c, depth, bound, least, l);
	sim_cut_end(&c);
}

static void cut_everywhere(struct run *r, struct life *l, uint32_t depth, uint64_t bound, uint64_t least)
{
	uint64_t last = l->rig.disk.events + 1;
	for (uint64_t event = 1; event <= last; event++)
		if (event == last || sim_disk_flush_ends_at(&l->rig.disk, event))
			cut_at(r, l, event, depth, bound, least);
}

static void plan_small(struct run *r, const struct small *s)
{
	uint64_t blocks = s->blocks ? s->blocks : s->stride ? 400 : s->pages > 100 ? 1500 : 128;
	r->plan = (struct plan){.sector = r->options->seed % 2 ? 512 : 4096, .buffers = 1 + (uint32_t)r->options->seed % 3,
		.cache_pages = s->cache_pages ? s->cache_pages : 32, .txn_pages = s->txn_pages,
		.objects = s->objects ? s->objects : 1, .delete_in = s->delete_in,
		.pages = s->pages ? s->pages : 2, .stride = s->stride ? s->stride : 1, .checkpoint_in = s->checkpoint_in,
		.wait_in = s->wait_in, .truncate_in = s->truncate_in, .large_in = s->large_in, .named_in = s->named_in,
		.blocks = blocks, .blocks_most = blocks + s->grow + s->grow_while};
}

static void life_small(struct run *r, struct life *l, const struct small *s)
{
	err e = life_start(r, l);
	CHECK(r, !failed(e), "a volume does not open: %s", err_text(e));
	model_return_to(r->model, l->rig.info.generation);
	model_wake(r->model, NULL);
	named_wake(r);
	work(r, s->steps);
	if (s->close) {
		e = rig_close(&l->rig);
		CHECK(r, !failed(e), "a volume does not close: %s", err_text(e));
		l->most = r->model->newest;
	}
}

/* The life that is to be cut; the device becomes larger before event `grow_at` of it. */
static struct life *live_once(struct run *r, const struct small *s, uint64_t grow_at)
{
	struct life *l = &r->life[0];
	r->random = r->options->seed;
	r->next_id = r->options->seed << 32;
	r->named_count = r->named_here = 0;
	plan_small(r, s);
	run_begin(r);
	if (s->crash_first) {
		struct sim_cut c;
		life_small(r, l, s);
		sim_cut_begin(&c, &l->rig.disk, l->rig.disk.events + 1);
		sim_cut_keep_all(&c);
		life_cut(&c, l, &r->life[1]);
		sim_cut_end(&c);
		r->life[1].least = life_durable(l, l->rig.disk.events + 1);
		rig_crash(&l->rig);
		l = &r->life[1];
		size_set(l, size_now(l) + s->grow);
	}
	l->grow_at = grow_at;
	l->grow_by = s->grow_while;
	life_small(r, l, s);
	return l;
}

void run_small(struct run *r)
{
	const struct small *s = &smalls[r->options->seed % SMALLS];
	uint64_t at = 0, bound = s->grow_while ? r->options->bound / 32 : r->options->bound;
	if (!bound)
		bound = 1;
	r->faults = s->grow_while ? FAULT_GROW : 0;
	for (bool more = true; more; ) {
		struct life *l = live_once(r, s, s->grow_while ? ++at : 0);
		more = l->grown_at != 0;
		cut_everywhere(r, l, 0, bound, 0);
		run_end(r);
	}
	trace(r, "%s: %lu crash points", s->what, (unsigned long)r->points);
	r->what = s->what;
}
