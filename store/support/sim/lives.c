/* A seed: a plan is drawn, and the machine lives several lives on it. Each ends with a power cut at some event
 * of it, of which several outcomes are looked at; the next life begins with one of them. */
#include "sim.h"

#include <string.h>

static void draw_plan(struct run *r)
{
	static const uint32_t sizes[] = {6, 14, 60, 60, 200}, strides[] = {1, 1, 1, 3, 300, 70000, 20000000};
	static const uint32_t caches[] = {32, 32, 40, 64, 200}, buffers[] = {1, 2, 8, 32, 32};
	struct plan *p = &r->plan;
	/* One draw in each statement: compilers order the parts of an expression as they like. */
	p->sector = one_in(r, 2) ? 512 : 4096;
	p->buffers = buffers[below(r, 5)];
	p->cache_pages = caches[below(r, 5)];
	p->objects = 1 + below(r, OBJECTS);
	p->readers = below(r, READERS_MAX);
	p->pages = sizes[below(r, 5)];
	p->stride = strides[below(r, 7)];
	p->checkpoint_in = 5 + below(r, 40);
	p->wait_in = 1 + below(r, 6);
	p->truncate_in = 6 + below(r, 40);
	p->large_in = 6 + below(r, 20);
	p->gentle = one_in(r, 6);
	p->abort_in = 8;
	p->discard = below(r, 4);
	p->named_in = one_in(r, 2) ? 3 + below(r, 12) : 0;
	p->txn_pages = one_in(r, 3) ? 1 + below(r, p->pages / 2 + 4) : 0; /* fewer than pages: large transactions */
	p->blocks = 200 + below(r, 300) + (p->stride > 1 ? 10 : 4) * p->pages * p->objects;
	if (r->faults & FAULT_FULL)
		p->blocks = 64 + below(r, 30) + below(r, 2 * p->pages * p->objects);
	p->blocks_most = r->faults & FAULT_GROW ? p->blocks + 1200 : p->blocks;
	p->delete_in = one_in(r, 2) && !(r->faults & FAULT_LIES) ? 3 + below(r, 20) : 0;
}

static void draw_faults(struct run *r)
{
	static const uint32_t lies[] = {FAULT_ROT, FAULT_PHANTOM, FAULT_MISDIRECT, FAULT_STALE, FAULT_LIES};
	uint32_t kind = below(r, 8);
	r->faults = one_in(r, 4) ? 0 : FAULT_FULL;
	r->faults |= one_in(r, 3) ? FAULT_GROW : 0;
	r->faults |= one_in(r, 2) ? FAULT_LATENCY : 0;
	if (kind == 5)
		r->faults |= FAULT_ERROR;
	else if (kind == 6)
		r->faults |= FAULT_MEMORY;
	else if (kind == 7)
		r->faults |= lies[below(r, 5)];
	if (r->options->faults != FAULTS_DRAWN)
		r->faults = r->options->faults;
}

static void apply_faults(struct run *r, struct life *l)
{
	struct sim_disk *d = &l->rig.disk;
	if (r->faults & FAULT_LATENCY) {
		d->read_ns = 1000u << below(r, 14);
		d->write_ns = 1000u << below(r, 14);
		d->flush_ns = 1000u << below(r, 16);
		d->queue_depth = 1 + below(r, 16);
	}
	d->rot_one_in = r->faults & FAULT_ROT ? 20 + below(r, 100) : 0;
	d->lose_one_in = r->faults & FAULT_PHANTOM ? 20 + below(r, 100) : 0;
	d->misdirect_one_in = r->faults & FAULT_MISDIRECT ? 20 + below(r, 100) : 0;
	d->stale_one_in = r->faults & FAULT_STALE ? 20 + below(r, 100) : 0;
	if (r->faults & FAULT_ERROR) {
		d->fail_at = 1 + below(r, 150);
		d->fail_from = one_in(r, 4);
		d->fail_more = one_in(r, 2) ? below(r, 6) : 0;
		d->fail_only = one_in(r, 2) ? 1u << below(r, 3) : 0;
		d->fails_badly = one_in(r, 2);
	}
}

static void mend(struct life *l)
{
	struct sim_disk *d = &l->rig.disk;
	d->rot_one_in = d->lose_one_in = d->misdirect_one_in = d->stale_one_in = 0;
	d->fail_at = d->fail_flush_at = 0;
	d->fail_more = 0;
	d->fail_from = false;
	seam_fail_allocation(0);
}

struct comparing {
	struct run *run;
	struct life *life;
};

static void compare_newest(void *argument)
{
	struct comparing *c = argument;
	named_compare(c->run, c->run->cut_event);
	named_wake(c->run);
	compare_all(c->run, c->life, c->life->rig.info.generation);
	if (c->run->model->newest == c->life->rig.info.generation)
		model_wake(c->run->model, c->run->found);
}

/* False: what lied has left nothing that opens, or only an old state: a history of two branches is too much for
 * the model. */
static bool wake_up(struct run *r, struct life *l)
{
	err e = life_start(r, l);
	if (failed(e) && (r->faults & FAULT_ERROR)) {
		CHECK(r, e.code == ERR_IO, "opening with a failing device: %s", err_text(e));
		mend(l);
		e = life_start(r, l);
	}
	if (failed(e) && (r->faults & FAULT_LIES))
		return false;
	CHECK(r, !failed(e), "the volume does not open: %s", err_text(e));
	uint64_t found = l->rig.info.generation;
	CHECK(r, found >= l->least || (r->faults & FAULT_LIES), "generation %lu was acknowledged, %lu is there",
		(unsigned long)l->least, (unsigned long)found);
	CHECK(r, found <= r->model->newest, "generation %lu has never been", (unsigned long)found);
	trace(r, "opens with generation %lu", (unsigned long)found);
	mix(r, found);
	bool old = (r->faults & FAULT_LIES) && found < r->model->newest;
	if (!old)
		model_return_to(r->model, found);
	rig_run(&l->rig, compare_newest, &(struct comparing){r, l});
	return !old;
}

static void go_to_sleep(struct run *r, struct life *l)
{
	uint64_t generation = store_generation(l->rig.store);
	err e = rig_close(&l->rig);
	if (failed(e))
		(void)excused(r, e);
	else
		l->most = generation;
	trace(r, "closed: %s", err_text(e));
}

static uint64_t draw_event(struct run *r, const struct life *l)
{
	uint64_t events = l->rig.disk.events + 1;
	uint64_t bound = one_in(r, 3) && events > 24 ? 24 : events;
	return 1 + sim_random(&r->random) % bound;
}

static void cut(struct run *r, struct life *l, uint64_t event, struct life *to)
{
	struct sim_cut c;
	sim_cut_begin(&c, &l->rig.disk, event);
	sim_cut_random(&c, sim_random(&r->random));
	life_cut(&c, l, to);
	trace(r, "cut before event %lu of %lu, %u writes undecided", (unsigned long)event,
		(unsigned long)l->rig.disk.events, c.writes);
	sim_cut_end(&c);
}

static void look_around_life(struct run *r, struct life *l)
{
	for (uint32_t i = 0; i < 4; i++) {
		uint64_t event = draw_event(r, l);
		cut(r, l, event, &r->again[0]);
		look_deeper(r, 0, life_durable(l, event), l, event);
	}
}

/* The device of a life that begins. */
static void grow(struct run *r, struct life *l)
{
	uint64_t more = below(r, 200), room = r->plan.blocks_most - size_now(l);
	if (one_in(r, 2)) {
		size_set(l, size_now(l) + (more < room ? more : room));
		trace(r, "the device has %lu blocks", (unsigned long)size_now(l));
	}
	l->grow_at = one_in(r, 3) ? 1 + below(r, 30) : 1 + below(r, 600);
	l->grow_by = 1 + below(r, 200);
}

/* False: the end. */
static bool live(struct run *r, struct life *l, struct life *next)
{
	apply_faults(r, l);
	if (!wake_up(r, l))
		return false;
	if (r->faults & FAULT_MEMORY)
		seam_fail_allocation(1 + below(r, 400));
	work(r, r->options->steps ? r->options->steps : 5 + below(r, 90));
	CHECK(r, l->rig.disk.overlaps == 0, "two writes of the same sectors at a time");
	if (one_in(r, 4))
		go_to_sleep(r, l);
	mend(l);
	mix(r, l->rig.disk.hash);
	if (!(r->faults & FAULT_LIES))
		look_around_life(r, l);
	uint64_t event = draw_event(r, l);
	if (r->faults & FAULT_LIES) { /* a recording knows nothing of lies */
		rig_crash(&next->rig);
		sim_disk_copy(&l->rig.disk, &next->rig.disk);
		size_set(next, size_now(l));
	} else {
		cut(r, l, event, next);
	}
	next->least = life_durable(l, event);
	r->cut_event = event;
	return true;
}

void run_lives(struct run *r)
{
	r->random = r->options->seed;
	r->next_id = r->options->seed << 32;
	draw_faults(r);
	draw_plan(r);
	run_begin(r);
	uint32_t lives = 3 + below(r, 4);
	for (uint32_t i = 0; i < lives; i++) {
		if (r->faults & FAULT_GROW)
			grow(r, &r->life[i % 2]);
		if (!live(r, &r->life[i % 2], &r->life[(i + 1) % 2]))
			break;
	}
	run_end(r);
}
