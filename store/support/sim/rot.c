/* Each block of a volume rots, one after the other, in each way. What depends on it is refused, never served
 * wrong; all the rest is served right. */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

struct damage {
	struct run *run;
	struct walk walk; /* of the sound volume: who depends on the block */
	uint64_t block, generation;
};

static bool depends(const struct damage *d, uint32_t object, uint32_t page_no)
{
	return d->walk.to && d->walk.object == object && page_no >= d->walk.from && page_no < d->walk.to;
}

static void read_damaged(struct damage *d, uint32_t o, struct store_snapshot *s, uint32_t page_no)
{
	struct run *r = d->run;
	struct store_page *page;
	err e = store_page_get(s, page_no, &page);
	if (failed(e)) {
		CHECK(r, e.code == ERR_CORRUPT, "block %lu has rotted, page %u: %s", (unsigned long)d->block, page_no,
			err_text(e));
		CHECK(r, depends(d, o, page_no), "block %lu has rotted: page %u of \"%s\" is refused, which does not "
			"depend on it", (unsigned long)d->block, page_no, object_names[o]);
		r->excused++;
		return;
	}
	const struct content *c = model_at(r->model, o, d->generation);
	uint64_t right = page_no % r->plan.stride ? 0 : c->id[page_no / r->plan.stride];
	CHECK(r, rig_identify(store_page_data(page), page_no) == right, "block %lu has rotted: page %u is served wrong",
		(unsigned long)d->block, page_no);
	store_page_put(page);
}

static void read_all(void *argument)
{
	struct damage *d = argument;
	struct run *r = d->run;
	for (uint32_t o = 0; o < r->plan.objects; o++) {
		struct store_object *object;
		struct store_snapshot s;
		if (failed(store_object_open(r->now->rig.store, object_names[o], false, &object)))
			continue;
		store_snapshot_begin(object, &s);
		CHECK(r, s.pages == model_at(r->model, o, d->generation)->pages, "block %lu has rotted: \"%s\" has %u pages",
			(unsigned long)d->block, object_names[o], s.pages);
		for (uint64_t p = 0; p < s.pages; p += r->plan.stride)
			read_damaged(d, o, &s, (uint32_t)p);
		store_snapshot_end(&s);
	}
}

static void rot_one(struct run *r, struct damage *d, const struct sim_disk *sound, enum sim_rot how)
{
	struct life *l = &r->again[0];
	rig_crash(&l->rig);
	sim_disk_copy(sound, &l->rig.disk);
	sim_disk_rot(&l->rig.disk, d->block, how, sim_random(&r->random));
	r->points++;
	err e = life_start(r, l);
	CHECK(r, !failed(e), "block %lu has rotted: the volume does not open: %s", (unsigned long)d->block, err_text(e));
	CHECK(r, l->rig.info.generation == d->generation, "block %lu has rotted: generation %lu instead of %lu",
		(unsigned long)d->block, (unsigned long)l->rig.info.generation, (unsigned long)d->generation);
	rig_run(&l->rig, read_all, d);
}

void run_rot(struct run *r)
{
	static const uint32_t strides[] = {1, 3, 300, 70000};
	struct life *l = &r->life[0];
	r->random = r->options->seed;
	r->next_id = r->options->seed << 32;
	r->plan = (struct plan){.sector = 512, .buffers = 8, .cache_pages = 32, .objects = 2, .pages = 40,
		.stride = strides[below(r, 4)], .checkpoint_in = 4, .wait_in = 2, .truncate_in = 12, .abort_in = 8, .large_in = 4,
		.blocks = 400};
	r->plan.txn_pages = one_in(r, 2) ? 10 : 0;
	run_begin(r);
	err e = life_start(r, l);
	CHECK(r, !failed(e), "a volume does not open: %s", err_text(e));
	work(r, 20);
	e = rig_close(&l->rig);
	CHECK(r, !failed(e), "a volume does not close: %s", err_text(e));
	for (uint64_t block = 0; block < r->plan.blocks; block++) {
		struct damage d = {.run = r, .block = block, .generation = r->model->newest, .walk = {.find = block}};
		walk_volume(&d.walk, l->rig.disk.media, r->plan.blocks);
		if (d.walk.seen[block] || block < 16)
			for (int how = 0; how < SIM_ROT_KINDS; how++)
				rot_one(r, &d, &l->rig.disk, (enum sim_rot)how);
		free(d.walk.seen);
	}
	run_end(r);
	r->what = "each block rots";
}
