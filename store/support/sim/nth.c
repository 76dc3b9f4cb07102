/* The Nth operation of the device fails, or the Nth allocation in the store, for every N: once, for a while,
 * for good. Then the power is cut as well. What had been reported durable is there, and no call has hung. */
#include "sim.h"

#include <string.h>

enum { WAYS = 6 };

static void plan_nth(struct run *r)
{
	r->plan = (struct plan){.sector = 512, .cache_pages = 32, .objects = 2, .pages = 30, .checkpoint_in = 4,
		.wait_in = 2, .truncate_in = 9, .abort_in = 8, .large_in = 5, .blocks = 500,
		.blocks_most = 600};
	r->plan.named_in = one_in(r, 2) ? 3 : 0;
	r->named_count = r->named_here = 0;
	r->plan.buffers = 1 + below(r, 4);
	r->plan.readers = 1 + below(r, 2);
	r->plan.stride = one_in(r, 3) ? 300 : 1;
	r->plan.txn_pages = r->options->seed % 5 == 4 ? 12 : 0;
	r->plan.delete_in = one_in(r, 2) ? 4 : 0;
}

/* A life in which something fails; `arm` says what. False: it was over before that could happen. */
static bool live_with(struct run *r, void (*arm)(struct run *, uint64_t n), bool (*happened)(struct run *),
	uint64_t n, uint64_t seed)
{
	struct life *l = &r->life[0];
	r->random = seed; /* the same life again */
	r->next_id = seed << 32;
	plan_nth(r);
	run_begin(r);
	l->grow_at = one_in(r, 2) ? 1 + below(r, 100) : 0;
	l->grow_by = 50;
	arm(r, n);
	err e = life_start(r, l);
	if (failed(e)) {
		CHECK(r, e.code == ERR_IO || e.code == ERR_NO_MEMORY, "number %lu: opening: %s", (unsigned long)n,
			err_text(e));
		l->rig.disk.fail_at = 0;
		seam_fail_allocation(0);
		e = life_start(r, l);
	}
	CHECK(r, !failed(e), "number %lu: opening again: %s", (unsigned long)n, err_text(e));
	if (r->full)
		seam_fail_space(r->full_at, r->way == 1 ? 2 : r->way == 2 ? 30 : 0);
	work(r, 12);
	bool yes = happened(r);
	l->rig.disk.fail_at = 0;
	seam_fail_allocation(0);
	seam_fail_space(0, 0);
	if (r->full) {
		CHECK(r, store_state(l->rig.store) == STORE_OPEN, "%s", store_reason(l->rig.store));
		r->full = false;
		work(r, 4);
		r->full = true;
		look_alive(r, l);
	}
	uint64_t generation = store_generation(l->rig.store);
	if (n % 3 == 0 && !failed(rig_close(&l->rig)))
		l->most = generation;
	for (uint32_t i = 0; i < 5; i++) {
		uint64_t last = l->rig.disk.events + 1, event = i ? 1 + sim_random(&r->random) % last : last;
		uint32_t depth = DEPTH_MAX - 1 - i % 2;
		struct sim_cut c;
		sim_cut_begin(&c, &l->rig.disk, event);
		if (i == 1)
			sim_cut_lose_all(&c);
		else
			sim_cut_random(&c, sim_random(&r->random));
		life_cut(&c, l, &r->again[depth]);
		sim_cut_end(&c);
		look_deeper(r, depth, life_durable(l, event), l, event);
	}
	run_end(r);
	return yes;
}

static void arm_error(struct run *r, uint64_t n)
{
	struct sim_disk *d = &r->life[0].rig.disk;
	uint32_t way = r->way;
	d->fail_at = n;
	d->fail_more = way == 1 ? 2 : way == 4 ? 7 : 0;
	d->fail_from = way == 2;
	d->fails_badly = way >= 3;
	d->fail_only = way == 5 ? 1u << BLOCK_FLUSH : 0;
}

static bool error_happened(struct run *r)
{
	return r->life[0].rig.disk.failed != 0;
}

void run_errors(struct run *r)
{
	uint64_t n = 1;
	r->faults = FAULT_ERROR;
	r->way = (uint32_t)(r->options->seed % WAYS);
	while (live_with(r, arm_error, error_happened, n, r->options->seed))
		n++;
	r->what = "the Nth operation fails";
	r->counted = n - 1;
}

static void arm_allocation(struct run *r, uint64_t n)
{
	(void)r;
	seam_fail_allocation(n);
}

static bool allocation_happened(struct run *r)
{
	(void)r;
	return seam_has_failed();
}

void run_memory(struct run *r)
{
	uint64_t n = 1;
	r->faults = FAULT_MEMORY;
	while (live_with(r, arm_allocation, allocation_happened, n, r->options->seed))
		n++;
	r->what = "the Nth allocation fails";
	r->counted = n - 1;
}

/* Not while it is opened: then it would stay read-only. */
static void arm_space(struct run *r, uint64_t n)
{
	r->full = true;
	r->full_at = n;
}

static bool space_happened(struct run *r)
{
	(void)r;
	return seam_space_failed() != 0;
}

void run_space(struct run *r)
{
	uint64_t n = 1;
	r->way = (uint32_t)(r->options->seed % WAYS);
	while (live_with(r, arm_space, space_happened, n, r->options->seed))
		n++;
	r->what = "a checkpoint finds no Nth block";
	r->counted = n - 1;
}
