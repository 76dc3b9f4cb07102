/* Power cuts. A random workload runs once on a recorded disk; then, for each event of the recording,
 * images that the disk could hold are opened and compared with an independent model: what had been
 * reported durable is there, and the state is exactly that of one generation. Recovery itself and a
 * second life after it are recorded and cut as well. */
#include "support/media.h"
#include "support/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGES 60u
#define GENERATIONS 400u
#define EVENTS 4096u

struct model {
	uint64_t id[GENERATIONS][PAGES]; /* 0: zero, or behind the end */
	uint32_t pages[GENERATIONS];
	uint64_t newest;
	uint64_t durable[EVENTS]; /* by event: reported before it */
};

struct run {
	struct rig rig;
	struct model *model;
	uint64_t random, next_id;
	uint32_t steps, pages; /* of the workload: only pages below `pages` */
	bool gentle;           /* no spilling, no checkpoints asked for */
	struct store_object *object;
};

static uint64_t points; /* power cuts that were looked at */

static void note_durable(void *cookie)
{
	struct run *r = cookie;
	uint64_t at = r->rig.disk.events + 1;
	assert_true(at < EVENTS);
	r->model->durable[at] = r->rig.store ? store_durable_generation(r->rig.store) :
					       r->model->durable[at - 1];
}

static uint32_t below(struct run *r, uint32_t bound)
{
	return (uint32_t)(sim_random(&r->random) % bound);
}

/* --- The workload --- */

struct draft {
	uint64_t id[PAGES];
	uint32_t pages;
};

static err change(struct run *r, struct store_txn *t, struct draft *d)
{
	uint8_t page[STORE_PAGE_SIZE];
	if (below(r, 12) == 0) {
		uint32_t pages = below(r, r->pages);
		TRY(store_txn_truncate(t, pages));
		for (uint32_t i = pages; i < PAGES; i++)
			d->id[i] = 0;
		d->pages = pages;
		return OK;
	}
	uint32_t p = below(r, r->pages);
	rig_fill(page, p, ++r->next_id);
	TRY(store_txn_write(t, p, page));
	d->id[p] = r->next_id;
	if (p >= d->pages)
		d->pages = p + 1;
	return OK;
}

static void transaction(struct run *r)
{
	struct model *m = r->model;
	struct store_txn *t;
	struct draft d;
	uint64_t generation = 0;
	uint32_t changes = !r->gentle && below(r, 10) == 0 ? 60 : 1 + below(r, 5);
	err e = store_txn_begin(r->object, &t);
	assert_int_equal(e.code, ERR_OK);
	memcpy(d.id, m->id[m->newest], sizeof d.id);
	d.pages = m->pages[m->newest];
	for (uint32_t i = 0; i < changes; i++)
		assert_int_equal(change(r, t, &d).code, ERR_OK);
	uint8_t page[STORE_PAGE_SIZE];
	uint32_t p = below(r, PAGES);
	if (p < d.pages) {
		assert_int_equal(store_txn_read(t, p, page).code, ERR_OK);
		assert_int_equal(rig_identify(page, p), d.id[p]);
	}
	if (below(r, 8) == 0) {
		store_txn_abort(t);
		return;
	}
	assert_int_equal(store_txn_commit(t, &generation).code, ERR_OK);
	if (generation == m->newest) { /* an empty object cut to nothing */
		assert_memory_equal(m->id[generation], d.id, sizeof d.id);
		assert_int_equal(m->pages[generation], d.pages);
		return;
	}
	assert_int_equal(generation, m->newest + 1);
	assert_true(generation < GENERATIONS);
	memcpy(m->id[generation], d.id, sizeof d.id);
	m->pages[generation] = d.pages;
	m->newest = generation;
}

static void expect_generation(struct run *r, struct store_snapshot *s, uint64_t generation)
{
	assert_int_equal(store_snapshot_pages(s), r->model->pages[generation]);
	for (uint32_t p = 0; p < store_snapshot_pages(s); p++)
		assert_int_equal(world_read(s, p), r->model->id[generation][p]);
}

#define READERS 4

static void work(void *argument)
{
	struct run *r = argument;
	struct store_snapshot s[READERS];
	bool open[READERS] = {false};
	assert_int_equal(store_object_open(r->rig.store, "main", true, &r->object).code, ERR_OK);
	for (uint32_t step = 0; step < r->steps; step++) {
		transaction(r);
		uint32_t i = below(r, READERS), what = below(r, 6);
		if (open[i] && what < 3) {
			expect_generation(r, &s[i], s[i].generation);
			store_snapshot_end(&s[i]);
			open[i] = false;
		} else if (!open[i] && what == 3) {
			store_snapshot_begin(r->object, &s[i]);
			open[i] = true;
		}
		if (below(r, 3) == 0)
			assert_int_equal(store_wait_durable(r->rig.store, r->model->newest).code, ERR_OK);
		if (below(r, 8) == 0) /* long enough for a seal */
			fiber_sleep_until(&r->rig.loop, r->rig.loop.now_ns + 1200000000u);
		if (!r->gentle && below(r, 9) == 0)
			assert_int_equal(store_checkpoint(r->rig.store).code, ERR_OK);
	}
	for (uint32_t i = 0; i < READERS; i++)
		if (open[i]) {
			expect_generation(r, &s[i], s[i].generation);
			store_snapshot_end(&s[i]);
		}
}

/* --- Looking at what a cut has left --- */

static void start(struct run *r, struct model *m, uint64_t seed, uint64_t blocks, uint32_t sector)
{
	memset(r, 0, sizeof *r);
	rig_init(&r->rig, blocks * 4096, sector, seed, 4);
	r->rig.config.cache_pages = 32;
	r->rig.disk.device.has_discard = seed % 2;
	r->rig.disk.discard = SIM_DISCARD_GARBAGE;
	r->model = m;
	r->random = seed;
	r->next_id = seed << 32;
	r->pages = PAGES;
	r->rig.disk.on_event = note_durable;
	r->rig.disk.cookie = r;
}

static void compare(void *argument)
{
	struct run *r = argument;
	struct store_snapshot s;
	err e = store_object_open(r->rig.store, "main", false, &r->object);
	if (e.code == ERR_NOT_FOUND) {
		assert_int_equal(r->rig.info.generation, 0);
		r->object = NULL;
		return;
	}
	store_snapshot_begin(r->object, &s);
	expect_generation(r, &s, s.generation);
	store_snapshot_end(&s);
	/* No block is lost: all that is not referred to is free after a checkpoint. */
	assert_int_equal(store_checkpoint(r->rig.store).code, ERR_OK);
}

static uint32_t live_blocks(const struct model *m, uint64_t generation)
{
	uint32_t n = 0;
	for (uint32_t p = 0; p < PAGES; p++)
		n += m->id[generation][p] != 0;
	return 16 + n + (n != 0) + 2; /* reserved, pages, a leaf, the next two headers */
}

/* Opens what is on v's disk; between `least` and the model's newest generation must be there. */
static uint64_t examine(struct run *v, uint64_t least)
{
	struct store_stats stats;
	points++;
	rig_crash(&v->rig);
	err e = rig_open(&v->rig);
	if (failed(e))
		printf("# %s", v->rig.last_log);
	assert_int_equal(e.code, ERR_OK);
	assert_int_equal(store_state(v->rig.store), STORE_OPEN);
	uint64_t generation = v->rig.info.generation;
	assert_in_range(generation, least, v->model->newest);
	rig_run(&v->rig, compare, v);
	store_stats(v->rig.store, &stats);
	/* The first checkpoint makes the space map: that of the object, or one that mends what a cut left of formatting. */
	bool mapped = media_superblock(v->rig.disk.media)->space.block != 0;
	assert_true(mapped || !v->object);
	assert_int_equal(stats.blocks - stats.blocks_free, live_blocks(v->model, generation) + mapped);
	return generation;
}

/* A cut image is opened on a recorded disk, lives a while, and is cut again. */
static void live_again(struct run *v, const uint8_t *image, uint64_t least, uint64_t seed, uint32_t steps)
{
	struct model *m = malloc(sizeof *m);
	uint8_t *second = malloc(v->rig.disk.bytes);
	struct run x;
	memcpy(m, v->model, sizeof *m);
	start(&x, m, seed, v->rig.disk.bytes / 4096, v->rig.disk.device.sector_size);
	memcpy(x.rig.disk.media, image, x.rig.disk.bytes);
	x.steps = steps;
	x.pages = v->pages;
	x.gentle = v->gentle;
	x.rig.config.txn_pages_max = steps ? 0 : v->rig.config.txn_pages_max;
	m->durable[0] = least;
	sim_disk_record(&x.rig.disk);
	assert_int_equal(rig_open(&x.rig).code, ERR_OK);
	m->newest = x.rig.info.generation;
	assert_true(m->newest >= least);
	if (steps)
		rig_run(&x.rig, work, &x);
	struct run y;
	uint64_t events = x.rig.disk.events;
	/* Until the first commit of this life, the last life's generation is what may be found. */
	start(&y, m, seed + 1, v->rig.disk.bytes / 4096, v->rig.disk.device.sector_size);
	for (unsigned i = 0; i < 6; i++) {
		uint64_t at = 1 + sim_random(&seed) % (events + 1);
		(void)sim_disk_cut(&x.rig.disk, at, i ? SIM_CUT_RANDOM : SIM_CUT_KEEP, seed, second);
		memcpy(y.rig.disk.media, second, y.rig.disk.bytes);
		uint64_t floor = at <= events && m->durable[at] > least ? m->durable[at] : least;
		(void)examine(&y, floor);
	}
	rig_crash(&y.rig);
	rig_free(&y.rig);
	rig_crash(&x.rig);
	rig_free(&x.rig);
	free(second);
	free(m);
}

static void cut_everywhere(uint64_t seed, uint64_t blocks, uint32_t steps, uint32_t pages, bool gentle,
	unsigned tries)
{
	struct model *m = calloc(1, sizeof *m);
	struct run r, v;
	uint8_t *image = malloc(blocks * 4096);
	start(&r, m, seed, blocks, seed % 2 ? 512 : 4096);
	r.steps = steps;
	r.pages = pages;
	r.gentle = gentle;
	sim_disk_record(&r.rig.disk);
	assert_int_equal(rig_open(&r.rig).code, ERR_OK);
	rig_run(&r.rig, work, &r);
	if (seed % 4 == 0)
		assert_int_equal(rig_close(&r.rig).code, ERR_OK);
	r.rig.store = seed % 4 ? r.rig.store : NULL;
	start(&v, m, seed + 7, blocks, seed % 2 ? 512 : 4096);
	v.rig.config.txn_pages_max = seed % 3 == 1 ? 4 : 0; /* recovery has to merge again and again */
	v.pages = pages;
	v.gentle = gentle;
	for (uint64_t at = 1; at <= r.rig.disk.events; at++)
		for (unsigned i = 0; i < tries; i++) {
			enum sim_disk_cut_mode mode = i == 0 ? SIM_CUT_LOSE : i == 1 ? SIM_CUT_KEEP :
				SIM_CUT_RANDOM;
			uint64_t draw = seed * 1000003 + at * 64 + i;
			(void)sim_disk_cut(&r.rig.disk, at, mode, draw, image);
			memcpy(v.rig.disk.media, image, v.rig.disk.bytes);
			(void)examine(&v, m->durable[at]);
			if (draw % 16 == 3)
				live_again(&v, image, m->durable[at], draw, (uint32_t)(draw / 16 % 4));
		}
	rig_crash(&v.rig);
	rig_free(&v.rig);
	rig_crash(&r.rig);
	rig_free(&r.rig);
	free(image);
	free(m);
}

/* Every combination of kept and lost writes. */
static void every_subset_of_a_small_workload_recovers(void **state)
{
	(void)state;
	uint64_t before = points;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct model *m = calloc(1, sizeof *m);
		struct run r, v;
		uint8_t *image = malloc(96 * 4096);
		start(&r, m, seed, 96, 512);
		start(&v, m, seed + 1, 96, 512);
		r.steps = 5;
		r.pages = 12;
		r.rig.disk.device.buffers_max = 2; /* many small writes */
		sim_disk_record(&r.rig.disk);
		assert_int_equal(rig_open(&r.rig).code, ERR_OK);
		r.gentle = seed % 2;
		rig_run(&r.rig, work, &r);
		for (uint64_t at = 1; at <= r.rig.disk.events; at++) {
			uint64_t subsets = 1;
			for (uint64_t mask = 0; mask < subsets; mask++) {
				uint32_t n = sim_disk_cut(&r.rig.disk, at, SIM_CUT_MASK, mask, image);
				subsets = 1ull << (n < 7 ? n : 7);
				memcpy(v.rig.disk.media, image, v.rig.disk.bytes);
				(void)examine(&v, m->durable[at]);
			}
		}
		rig_crash(&v.rig);
		rig_free(&v.rig);
		rig_crash(&r.rig);
		rig_free(&r.rig);
		free(image);
		free(m);
	}
	assert_true(points - before > 1000);
	printf("# %lu power cuts\n", (unsigned long)(points - before));
}

static void random_cuts_lose_nothing_acknowledged_and_tear_nothing(void **state)
{
	(void)state;
	uint64_t before = points;
	const char *runs = getenv("CRASH_RUNS");
	uint64_t last = runs ? strtoull(runs, NULL, 10) : 24;
	for (uint64_t seed = 1; seed <= last; seed++)
		cut_everywhere(seed, 300, 20, seed % 3 ? PAGES : 14, seed % 5 == 0, 5);
	printf("# %lu power cuts\n", (unsigned long)(points - before));
	assert_true(points - before > last * 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_subset_of_a_small_workload_recovers),
		cmocka_unit_test(random_cuts_lose_nothing_acknowledged_and_tear_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
