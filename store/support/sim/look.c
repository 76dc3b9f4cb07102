/* What a power cut has left is a volume that opens; it holds what had been acknowledged, and exactly one
 * generation; and of its blocks none is lost. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

struct looking {
	struct run *run;
	struct life *life;
	uint64_t generation;
	err result;
};

static void look_around(void *argument)
{
	struct looking *k = argument;
	uint64_t damaged = 0;
	k->result = OK;
	compare_all(k->run, k->life, k->generation);
	named_compare(k->run, k->run->cut_event);
	if (k->run->points % 8 == 0 && k->run->plan.stride <= 300)
		k->result = store_check(k->life->rig.store, &damaged);
	if (!failed(k->result))
		k->result = store_checkpoint(k->life->rig.store);
}

/* All that the newest checkpoint does not need is free. */
static void expect_no_lost_block(struct run *r, struct life *l)
{
	struct walk w = {.find = 0};
	struct store_stats stats;
	uint64_t blocks = size_now(l);
	walk_volume(&w, l->rig.disk.media, blocks);
	CHECK(r, !w.wrong && !w.damaged && !w.space_damaged, "the volume on the disk: %s", w.wrong ? w.wrong : "damaged pages");
	CHECK(r, !w.unfinished, "what an unfinished transaction had written is still there");
	store_stats(l->rig.store, &stats);
	uint64_t used = stats.blocks - stats.blocks_free - stats.blocks_waiting; /* these the next checkpoint frees */
	CHECK(r, used == 16 + w.reachable, "%lu blocks are in use, of which %lu can be reached",
		(unsigned long)used, (unsigned long)(16 + w.reachable));
	free(w.seen);
}

static uint64_t look_at(struct run *r, struct life *l, uint64_t least, const struct life *before,
	uint64_t event)
{
	r->points++;
	if (before)
		r->cut_event = event;
	l->least = least;
	uint64_t blocks = size_now(l);
	if (l->smaller && one_in(r, 2))
		size_try(r, l, l->smaller);
	else if (r->faults & FAULT_GROW && one_in(r, 4))
		size_try(r, l, VOLUME_BLOCKS_MIN + below(r, (uint32_t)(blocks - VOLUME_BLOCKS_MIN) + 1));
	if (r->faults & FAULT_GROW && one_in(r, 4)) {
		l->grow_at = 1 + below(r, 40);
		l->grow_by = 1 + below(r, 100);
	}
	err e = life_start(r, l);
	CHECK(r, !failed(e), "after a power cut the volume does not open: %s", err_text(e));
	CHECK(r, store_state(l->rig.store) == STORE_OPEN, "after a power cut: %s", store_reason(l->rig.store));
	uint64_t found = l->rig.info.generation;
	CHECK(r, found >= least, "generation %lu was acknowledged, %lu is there", (unsigned long)least,
		(unsigned long)found);
	CHECK(r, found <= r->model->newest, "generation %lu has never been", (unsigned long)found);
	CHECK(r, l->rig.disk.overlaps == 0, "two writes of the same sectors at a time");
	struct looking k = {r, l, found, OK};
	rig_run(&l->rig, look_around, &k);
	CHECK(r, !failed(k.result), "checking what a power cut has left: %s", err_text(k.result));
	size_expect(r, l);
	expect_no_lost_block(r, l);
	return found;
}

void look_alive(struct run *r, struct life *l)
{
	struct looking k = {r, l, store_generation(l->rig.store), OK};
	r->cut_event = l->rig.disk.events + 1;
	r->points++;
	rig_run(&l->rig, look_around, &k);
	CHECK(r, !failed(k.result), "checking what there is: %s", err_text(k.result));
	size_expect(r, l);
	expect_no_lost_block(r, l);
}

void look(struct run *r, struct life *l, uint64_t least, const struct life *before, uint64_t event)
{
	struct life *now = r->now;
	(void)look_at(r, l, least, before, event);
	r->now = now;
}

void look_deeper(struct run *r, uint32_t depth, uint64_t least, const struct life *before, uint64_t event)
{
	struct life *l = &r->again[depth], *now = r->now;
	struct sim_cut c;
	(void)look_at(r, l, least, before, event);
	for (uint32_t i = 0; depth + 1 < DEPTH_MAX && i < 2; i++) {
		uint64_t at = 1 + sim_random(&r->random) % (l->rig.disk.events + 1);
		sim_cut_begin(&c, &l->rig.disk, at);
		sim_cut_random(&c, sim_random(&r->random));
		life_cut(&c, l, &r->again[depth + 1]);
		sim_cut_end(&c);
		uint64_t floor = life_durable(l, at);
		look_deeper(r, depth + 1, floor > least ? floor : least, NULL, 0);
	}
	r->now = now;
}
