/* Named snapshots and several objects: what each shows, what they share, what is free when one goes; with and
 * without power cuts, on damaged, full and hostile volumes. */
#include "support/media.h"
#include "support/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "private.h"

/* A volume that has lived long. */
static void set_generation(struct rig *r, uint64_t generation)
{
	for (uint32_t slot = 0; slot < VOLUME_SLOTS; slot++) {
		struct volume_superblock *b =
			(void *)(r->disk.media + (size_t)VOLUME_SLOT_BLOCK(slot) * VOLUME_BLOCK_SIZE);
		b->generation = generation;
		b->checksum = 0;
		b->checksum = volume_checksum(VOLUME_MAGIC, b, sizeof *b);
	}
}

static uint32_t live_and_reopen(uint64_t seed, uint32_t rounds, uint32_t steps, uint64_t generation)
{
	struct model *m = calloc(1, sizeof *m);
	struct run r;
	model_start(&r, m, seed, 1200, seed % 2 ? 512 : 4096);
	must(rig_open(&r.rig));
	if (generation) {
		must(rig_close(&r.rig));
		set_generation(&r.rig, generation);
		must(rig_open(&r.rig));
		assert_int_equal(store_generation(r.rig.store), generation);
	}
	r.steps = steps;
	for (uint32_t round = 0; round < rounds; round++) {
		rig_run(&r.rig, model_work, &r);
		rig_run(&r.rig, model_examine, &r);
		must(rig_close(&r.rig));
		must(rig_open(&r.rig));
		rig_run(&r.rig, model_examine, &r);
		model_keep(m, m->newest);
	}
	must(rig_close(&r.rig));
	model_finish(&r);
	free(m);
	return r.admin;
}

static void objects_and_snapshots_are_what_the_model_says_and_nothing_leaks(void **state)
{
	(void)state;
	uint32_t admin = 0;
	for (uint64_t seed = 1; seed <= 40; seed++)
		admin += live_and_reopen(seed, 3, 100, 0);
	assert_true(admin > 1000);
}

static void that_holds_when_generations_wrap_as_well(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++) {
		(void)live_and_reopen(seed, 2, 100, UINT32_MAX - 40);
		(void)live_and_reopen(seed, 2, 100, 7ull << 32 | 20);
	}
}

/* --- Power cuts --- */

static uint64_t points;

struct look {
	struct run *run;
	uint32_t least, most, found;
};

static void look(void *argument)
{
	struct look *l = argument;
	l->found = model_find(l->run, l->least, l->most);
	if (l->found == UINT32_MAX)
		return;
	model_expect_no_leak(&l->run->rig);
	assert_int_equal(model_find(l->run, l->found, l->found), l->found);
}

/* Opens what is on v's disk, which is in one of these states. */
static uint32_t open_and_look(struct run *v, uint32_t least, uint32_t most)
{
	struct look l = {v, least, most, 0};
	points++;
	rig_crash(&v->rig);
	err e = rig_open(&v->rig);
	if (failed(e))
		printf("# %s", v->rig.last_log);
	must(e);
	assert_int_equal(store_state(v->rig.store), STORE_OPEN);
	rig_run(&v->rig, look, &l);
	assert_int_not_equal(l.found, UINT32_MAX);
	return l.found;
}

static void cut_everywhere(struct run *r, uint64_t seed, unsigned tries, unsigned depth);

/* What a cut has left lives on, and is cut as well. */
static void live_again(const struct run *v, uint32_t found, uint64_t seed, unsigned depth)
{
	struct model *m = calloc(1, sizeof *m);
	struct run r;
	model_start(&r, m, seed, v->rig.disk.bytes / 4096, v->rig.disk.device.sector_size);
	memcpy(r.rig.disk.media, v->rig.disk.media, r.rig.disk.bytes);
	m->state[0] = v->model->state[found];
	r.steps = 4;
	cut_everywhere(&r, seed, 1, depth - 1);
	free(m);
}

/* Works on what is on r's disk; then looks at power cuts at each event of that. */
static void cut_everywhere(struct run *r, uint64_t seed, unsigned tries, unsigned depth)
{
	struct run v;
	sim_disk_record(&r->rig.disk);
	must(rig_open(&r->rig));
	rig_run(&r->rig, model_work, r);
	model_start(&v, r->model, seed + 7, r->rig.disk.bytes / 4096,
		r->rig.disk.device.sector_size);
	v.rig.disk.on_event = NULL;
	v.rig.config.txn_pages_max = seed % 3 == 1 ? 4 : 0; /* recovery has to merge again and again */
	for (uint64_t at = 1; at <= r->rig.disk.events; at++)
		for (unsigned i = 0; i < tries; i++) {
			uint64_t draw = seed * 1000003 + at * 64 + i;
			enum sim_disk_cut_mode mode = tries == 1 || i > 1 ? SIM_CUT_RANDOM :
						      i ? SIM_CUT_KEEP : SIM_CUT_LOSE;
			(void)sim_disk_cut(&r->rig.disk, at, mode, draw, v.rig.disk.media);
			uint32_t found = open_and_look(&v, r->model->floor_at[at], r->model->newest_at[at]);
			if (depth && draw % 32 == 5)
				live_again(&v, found, draw, depth);
		}
	model_finish(&v);
	model_finish(r);
}

static void a_power_cut_leaves_one_state_whole_and_no_leak(void **state)
{
	(void)state;
	const char *runs = getenv("CRASH_RUNS");
	uint64_t last = runs ? strtoull(runs, NULL, 10) : 8;
	for (uint64_t seed = 1; seed <= last; seed++) {
		struct model *m = calloc(1, sizeof *m);
		struct run r;
		model_start(&r, m, seed, 600, seed % 2 ? 512 : 4096);
		r.steps = 30;
		cut_everywhere(&r, seed, 4, 1);
		free(m);
	}
	printf("# %lu power cuts\n", (unsigned long)points);
	assert_true(points > last * 100);
}

/* --- One thing at a time --- */

/* A test is a function on a fiber of a rig with an open store. */
static void run_on(void (*test)(void *), uint64_t blocks)
{
	struct rig r;
	rig_init(&r, blocks * 4096, 4096, 11, 8);
	must(rig_open(&r));
	rig_run(&r, test, &r);
	rig_crash(&r);
	rig_free(&r);
}

static uint64_t named_read(struct store *s, const char *name, uint32_t page_no)
{
	struct store_snapshot snapshot;
	must(store_named_begin(s, name, &snapshot));
	uint64_t id = world_read(&snapshot, page_no);
	store_snapshot_end(&snapshot);
	return id;
}

static uint64_t blocks_free(const struct store *s)
{
	struct store_stats stats;
	store_stats(s, &stats);
	return stats.blocks_free;
}

static void errors(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r), *other;
	struct store_snapshot reader;
	struct store_txn *t;
	(void)world_commit(o, 1, 1);
	must(store_named_create(o, "a", 5));
	assert_int_equal(store_named_create(o, "a", 5).code, ERR_DENIED);
	assert_int_equal(store_named_create(o, "", 5).code, ERR_INVALID);
	assert_int_equal(store_named_create(o, "line\n", 5).code, ERR_INVALID);
	assert_int_equal(store_named_create(o, "a name of more than thirty-one b", 5).code, ERR_INVALID);
	assert_int_equal(store_named_delete(r->store, "b").code, ERR_NOT_FOUND);
	assert_int_equal(store_named_restore(o, "main").code, ERR_NOT_FOUND);
	assert_int_equal(store_named_begin(r->store, "b", &reader).code, ERR_NOT_FOUND);
	assert_int_equal(store_object_delete(r->store, "a").code, ERR_NOT_FOUND);
	must(store_txn_begin(o, &t)); /* a snapshot may be taken meanwhile, and go; nothing else */
	world_write(t, 1, 2);
	must(store_named_create(o, "b", 6));
	assert_int_equal(store_named_restore(o, "a").code, ERR_BUSY);
	assert_int_equal(store_object_delete(r->store, "main").code, ERR_BUSY);
	must(store_named_delete(r->store, "a"));
	store_txn_abort(t);
	must(store_txn_begin(o, &t));
	store_txn_abort(t);
	store_snapshot_begin(o, &reader);
	assert_int_equal(store_object_delete(r->store, "main").code, ERR_BUSY);
	must(store_named_restore(o, "b"));
	store_snapshot_end(&reader);
	must(store_object_open(r->store, "other", true, &other));
	must(store_object_delete(r->store, "main"));
	assert_int_equal(store_txn_begin(o, &t).code, ERR_NOT_FOUND);
	assert_int_equal(store_named_create(o, "c", 1).code, ERR_NOT_FOUND);
	assert_int_equal(named_read(r->store, "b", 1), 1);
	must(store_named_restore(other, "b"));
	assert_int_equal(world_newest(other, 1), 1);
}

static void what_cannot_be_done_is_refused_and_changes_nothing(void **state)
{
	(void)state;
	run_on(errors, 256);
}

/* Each commit writes the same into two pages. */
struct bench {
	struct rig *rig;
	struct store_object *object;
	bool stop, ended;
	uint64_t commits, refused;
};

static void write_pairs(void *argument)
{
	struct bench *b = argument;
	struct store_txn *t;
	uint64_t generation;
	while (!b->stop) {
		err e = store_txn_begin(b->object, &t);
		if (e.code == ERR_BUSY) { /* while the object is being restored */
			b->refused++;
			fiber_sleep_until(&b->rig->loop, b->rig->loop.now_ns + 20000);
			continue;
		}
		must(e);
		world_write(t, 7, 1 + b->commits);
		world_write(t, 300, 1 + b->commits);
		must(store_txn_commit(t, &generation));
		b->commits++;
		if (b->commits % 3 == 0)
			must(store_wait_durable(b->rig->store, generation));
	}
	b->ended = true;
}

static void snapshots_while_writing(void *argument)
{
	struct rig *r = argument;
	struct bench b = {.rig = r, .object = world_object(r), .commits = 1};
	uint64_t last = 0, restored = 0;
	(void)world_commit(b.object, 7, 1);
	(void)world_commit(b.object, 300, 1);
	rig_spawn(r, write_pairs, &b);
	for (uint32_t i = 0; i < 60; i++) {
		uint64_t before = b.commits;
		must(store_named_create(b.object, i % 2 ? "odd" : "even", i));
		uint64_t id = named_read(r->store, i % 2 ? "odd" : "even", 7);
		assert_int_equal(named_read(r->store, i % 2 ? "odd" : "even", 300), id);
		assert_in_range(id, before > last ? before : 0, b.commits);
		if (i % 5 == 4) {
			err e = store_named_restore(b.object, i % 2 ? "odd" : "even");
			assert_true(!failed(e) || e.code == ERR_BUSY);
			last = b.commits;
			restored += !failed(e);
		}
		if (i)
			must(store_named_delete(r->store, i % 2 ? "even" : "odd"));
	}
	b.stop = true;
	while (!b.ended)
		fiber_sleep_until(&r->loop, r->loop.now_ns + 20000);
	assert_true(b.commits > 60 && b.refused && restored > 3);
}

static void a_snapshot_of_a_store_at_work_is_one_generation(void **state)
{
	(void)state;
	run_on(snapshots_while_writing, 1024);
}

/* 40 pages; number i of round n is id n * 100 + i. */
static err write_round(struct store_object *o, uint32_t round)
{
	for (uint32_t i = 0; i < 40; i++) {
		struct store_txn *t;
		uint64_t generation;
		uint8_t page[STORE_PAGE_SIZE];
		TRY(store_txn_begin(o, &t));
		rig_fill(page, i * 20, round * 100 + i);
		err e = store_txn_write(t, i * 20, page);
		if (failed(e)) {
			store_txn_abort(t);
			return e;
		}
		TRY(store_txn_commit(t, &generation));
	}
	return OK;
}

static void fill_up(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	char name[] = "a";
	uint32_t kept = 0;
	for (; name[0] < 'z'; name[0]++, kept++) {
		err e = write_round(o, 1 + kept);
		if (failed(e)) {
			assert_int_equal(e.code, ERR_NO_SPACE);
			break;
		}
		must(store_named_create(o, name, 0));
	}
	assert_in_range(kept, 3, 20);
	/* Full: what is there can be read, and kept, and each snapshot that goes gives its room back. */
	must(store_named_create(o, "full", 0));
	assert_int_equal(named_read(r->store, "a", 0), 100);
	assert_int_equal(write_round(o, 50).code, ERR_NO_SPACE);
	assert_int_equal(store_state(r->store), STORE_OPEN);
	must(store_named_delete(r->store, "full"));
	must(store_named_delete(r->store, "b"));
	must(write_round(o, 51));
	assert_int_equal(named_read(r->store, "a", 0), 100);
	assert_int_equal(named_read(r->store, "c", 39 * 20), 339);
	must(store_named_delete(r->store, "c"));
	must(store_named_delete(r->store, "a"));
	must(store_named_restore(o, "d"));
	assert_int_equal(world_newest(o, 20), 401);
	model_expect_no_leak(r);
}

static void a_full_volume_keeps_its_snapshots_and_deleting_one_makes_room(void **state)
{
	(void)state;
	run_on(fill_up, 400);
}

static void fill_the_table(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r), *other;
	uint64_t random = 5, before;
	uint32_t left = STORE_OBJECTS_MAX - 1;
	must(write_round(o, 900));
	must(store_checkpoint(r->store));
	before = blocks_free(r->store);
	for (uint32_t i = 0; i < left; i++) {
		char name[] = {(char)('A' + i), 0};
		must(store_named_create(o, name, i));
		(void)world_commit(o, i * 20, 1000 + i);
	}
	assert_int_equal(store_named_create(o, "more", 0).code, ERR_NO_SPACE);
	assert_int_equal(store_object_open(r->store, "more", true, &other).code, ERR_NO_SPACE);
	for (uint32_t i = 0; i < left; i++) /* page i * 20 changed after number i was taken */
		for (uint32_t p = 0; p < 40; p++) {
			char name[] = {(char)('A' + i), 0};
			assert_int_equal(named_read(r->store, name, p * 20), p < i ? 1000 + p : 90000 + p);
		}
	model_expect_no_leak(r);
	for (uint32_t gone = 0; gone < left;) {
		char name[] = {(char)('A' + sim_random(&random) % left), 0};
		gone += !failed(store_named_delete(r->store, name));
	}
	model_expect_no_leak(r);
	must(store_checkpoint(r->store));
	assert_int_equal(blocks_free(r->store), before);
}

static void many_snapshots_share_what_has_not_changed_and_go_in_any_order(void **state)
{
	(void)state;
	run_on(fill_the_table, 1000);
}

/* A reader sees a page's version through what was committed after its base; meanwhile a snapshot that has it, too,
 * comes and goes. */
static void read_what_a_snapshot_had(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r), *branch;
	struct store_snapshot reader;
	must(store_object_open(r->store, "branch", true, &branch));
	must(write_round(o, 1));
	must(store_checkpoint(r->store));
	(void)world_commit(o, 0, 77);
	(void)world_commit(o, 20, 177);
	store_snapshot_begin(o, &reader);
	must(store_named_create(o, "short", 0));
	(void)world_commit(o, 0, 78);
	(void)world_commit(o, 20, 178);
	must(store_checkpoint(r->store));
	must(store_named_restore(branch, "short"));
	(void)world_commit(branch, 0, 79); /* 77 is in the snapshot alone, 177 in the branch as well */
	must(store_checkpoint(r->store));
	must(store_named_delete(r->store, "short"));
	(void)world_commit(branch, 20, 179);
	for (uint32_t round = 2; round < 30; round++) {
		must(write_round(o, round));
		must(store_checkpoint(r->store));
	}
	assert_int_equal(world_read(&reader, 0), 77);
	assert_int_equal(world_read(&reader, 20), 177);
	store_snapshot_end(&reader);
	must(store_checkpoint(r->store));
	model_expect_no_leak(r);
}

static void deleting_a_snapshot_takes_nothing_from_a_reader(void **state)
{
	(void)state;
	run_on(read_what_a_snapshot_had, 500);
}

/* --- Damage --- */

static struct volume_superblock *newest(uint8_t *media)
{
	return (struct volume_superblock *)(uintptr_t)media_superblock(media);
}

static struct volume_entry *entry_in(struct volume_superblock *b, uint8_t *media, uint32_t slot,
	uint32_t level, uint32_t page_no)
{
	struct volume_object *o = &b->object[slot];
	struct volume_entry *e = &o->root;
	for (uint32_t at = o->levels; at > level; at--) {
		struct volume_entry *node = (void *)(media + (size_t)e->block * VOLUME_BLOCK_SIZE);
		e = &node[page_no >> (8 * (at - 1)) & (VOLUME_MAP_FANOUT - 1)];
	}
	return e;
}

static struct volume_entry *entry_at(uint8_t *media, uint32_t slot, uint32_t level, uint32_t page_no)
{
	return entry_in(newest(media), media, slot, level, page_no);
}

static void rot(uint8_t *media, const struct volume_entry *e)
{
	media[(size_t)e->block * VOLUME_BLOCK_SIZE + 77] ^= 4;
}

/* Object 0 has three leaves, snapshot 1 ("old") what they were before pages 0 and 300 changed. */
static void prepare(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	for (uint32_t i = 0; i < 10; i++) {
		(void)world_commit(o, i, 1 + i);
		(void)world_commit(o, 300 + i, 1 + i);
		(void)world_commit(o, 600 + i, 1 + i);
	}
	must(store_named_create(o, "old", 9));
	(void)world_commit(o, 0, 50);
	(void)world_commit(o, 300, 51);
	must(store_checkpoint(r->store));
}

static void prepare_closed(struct rig *r)
{
	rig_init(r, 512 * 4096, 4096, 11, 8);
	must(rig_open(r));
	rig_run(r, prepare, r);
	must(rig_close(r));
}

static void read_rotten(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	struct store_snapshot live, old;
	struct store_page *page;
	uint64_t damaged = 0;
	store_snapshot_begin(o, &live);
	must(store_named_begin(r->store, "old", &old));
	assert_int_equal(store_page_get(&live, 5, &page).code, ERR_CORRUPT); /* shared: both see it */
	assert_int_equal(store_page_get(&old, 5, &page).code, ERR_CORRUPT);
	assert_non_null(strstr(r->last_log, "snapshot \"old\" page 5"));
	assert_int_equal(world_read(&live, 0), 50); /* only the old one is rotten */
	assert_int_equal(store_page_get(&old, 0, &page).code, ERR_CORRUPT);
	assert_int_equal(world_read(&live, 4), 5);
	assert_int_equal(world_read(&old, 4), 5);
	store_snapshot_end(&live);
	store_snapshot_end(&old);
	assert_int_equal(store_check(r->store, &damaged).code, ERR_CORRUPT);
	must(store_named_delete(r->store, "old"));
}

static void rot_in_a_shared_page_is_seen_by_all_who_share_it(void **state)
{
	(void)state;
	struct rig r;
	prepare_closed(&r);
	rot(r.disk.media, entry_at(r.disk.media, 0, 0, 5));
	rot(r.disk.media, entry_at(r.disk.media, 1, 0, 0));
	must(rig_open(&r));
	rig_run(&r, read_rotten, &r);
	rig_crash(&r);
	rig_free(&r);
}

static void live_with_rotten_node(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	rot(r->disk.media, entry_at(r->disk.media, 1, 1, 0));
	rot(r->disk.media, entry_at(r->disk.media, 1, 1, 300));
	for (uint32_t i = 0; i < 10; i++) {
		(void)world_commit(o, i, 200 + i);
		(void)world_commit(o, 300 + i, 200 + i);
		must(store_checkpoint(r->store));
	}
	assert_int_equal(named_read(r->store, "old", 603), 4);
	must(store_named_delete(r->store, "old"));
	assert_int_equal(world_newest(o, 303), 203);
	must(store_named_create(o, "new", 9));
}

static void sound_again(void *argument)
{
	struct rig *r = argument;
	assert_int_equal(named_read(r->store, "new", 303), 203);
	must(store_check(r->store, NULL));
	model_expect_no_leak(r);
}

/* What a rotten node of a snapshot may refer to is not freed; nothing else suffers. */
static void a_rotten_map_of_a_snapshot_harms_nobody_else_and_it_can_be_deleted(void **state)
{
	(void)state;
	struct rig r;
	prepare_closed(&r);
	must(rig_open(&r));
	rig_run(&r, live_with_rotten_node, &r);
	must(rig_close(&r));
	must(rig_open(&r));
	rig_run(&r, sound_again, &r);
	must(rig_close(&r));
	rig_free(&r);
}

/* Makes the checksums right from the snapshot's first leaf up. */
static void seal_snapshot(struct volume_superblock *b, uint8_t *media)
{
	for (uint32_t level = 1; level <= b->object[1].levels; level++) {
		struct volume_entry *e = entry_in(b, media, 1, level, 0);
		e->checksum = volume_checksum(volume_seed_page(b->nonce, b->object[1].line - 1u, level, 0,
			e->generation), media + (size_t)e->block * VOLUME_BLOCK_SIZE, VOLUME_BLOCK_SIZE);
	}
	struct volume_superblock copy = *b;
	copy.checksum = 0;
	copy.checksum = volume_checksum(VOLUME_MAGIC, &copy, sizeof copy);
	for (uint32_t slot = 0; slot < VOLUME_SLOTS; slot++)
		memcpy(media + (size_t)VOLUME_SLOT_BLOCK(slot) * VOLUME_BLOCK_SIZE, &copy, sizeof copy);
}

enum forgery {
	NOTHING,
	OTHER_INDEX,      /* a page of the object, at another place */
	OTHER_GENERATION, /* at its own place, but another entry */
	A_LOOP,           /* a leaf that is its own page */
	NODE_OF_OBJECT,   /* the object's leaf, as another leaf */
	FUTURE,           /* a snapshot younger than the volume */
	NO_FEATURE,
	OTHER_LINE,       /* whose line nobody has: then it shares nothing */
	FORGERIES,
};

static void forge(uint8_t *media, enum forgery forgery, bool keep_space)
{
	struct volume_superblock *b = newest(media);
	if (!keep_space)
		b->space = (struct volume_entry){0, 0, 0};
	struct volume_entry *page = entry_at(media, 1, 0, 3);
	if (forgery == OTHER_INDEX)
		*page = *entry_at(media, 0, 0, 4);
	if (forgery == OTHER_GENERATION)
		page->generation--;
	if (forgery == A_LOOP)
		page->block = entry_at(media, 1, 1, 0)->block;
	if (forgery == NODE_OF_OBJECT)
		entry_at(media, 1, 1, 300)->block = entry_at(media, 0, 1, 600)->block;
	if (forgery == FUTURE)
		b->versions[1].generation = b->generation + 1;
	if (forgery == NO_FEATURE)
		b->features_incompatible = 0;
	if (forgery == OTHER_LINE)
		b->object[1].line = 20;
	seal_snapshot(b, media);
}

/* Opening by the space map does not see it; a check does. */
static void expect_found(void *argument)
{
	struct rig *r = argument;
	struct space_report report;
	must(space_check(r->store, &report));
	assert_true(report.incomplete || report.twice || report.leaked || report.missing);
}

static void a_volume_that_shares_what_it_must_not_is_refused(void **state)
{
	(void)state;
	for (enum forgery f = NOTHING; f < FORGERIES; f++) {
		struct rig r;
		prepare_closed(&r);
		forge(r.disk.media, f, false);
		err e = rig_open(&r);
		if (f == NOTHING)
			must(e);
		else if (!failed(e)) /* a node that does not belong there: nothing is written */
			assert_int_equal(store_state(r.store), STORE_READ_ONLY);
		else
			assert_int_equal(e.code, ERR_CORRUPT);
		rig_crash(&r);
		rig_free(&r);
		prepare_closed(&r);
		forge(r.disk.media, f, true);
		e = rig_open(&r);
		if (failed(e))
			assert_int_equal(e.code, ERR_CORRUPT);
		else if (f == OTHER_LINE) /* within a line only the pages' checksums tell */
			rig_run(&r, expect_found, &r);
		rig_crash(&r);
		rig_free(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_and_snapshots_are_what_the_model_says_and_nothing_leaks),
		cmocka_unit_test(that_holds_when_generations_wrap_as_well),
		cmocka_unit_test(a_power_cut_leaves_one_state_whole_and_no_leak),
		cmocka_unit_test(what_cannot_be_done_is_refused_and_changes_nothing),
		cmocka_unit_test(a_snapshot_of_a_store_at_work_is_one_generation),
		cmocka_unit_test(a_full_volume_keeps_its_snapshots_and_deleting_one_makes_room),
		cmocka_unit_test(many_snapshots_share_what_has_not_changed_and_go_in_any_order),
		cmocka_unit_test(deleting_a_snapshot_takes_nothing_from_a_reader),
		cmocka_unit_test(rot_in_a_shared_page_is_seen_by_all_who_share_it),
		cmocka_unit_test(a_rotten_map_of_a_snapshot_harms_nobody_else_and_it_can_be_deleted),
		cmocka_unit_test(a_volume_that_shares_what_it_must_not_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
