/* What store_check_all says of damage: each version that has a damaged block, once; the block; what is below a map node;
 * and that it ends. */
#include "support/media.h"
#include "support/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAMAGES_MAX 16u

struct seen {
	struct store_damage damage[DAMAGES_MAX];
	char snapshot[DAMAGES_MAX][32];
	uint32_t count, calls;
	uint64_t done, all;
	struct store_check_result result;
	err e;
	bool map_only;
	struct rig *rig;
};

static void on_damage(void *context, const struct store_damage *d)
{
	struct seen *s = context;
	assert_true(s->count < DAMAGES_MAX);
	assert_string_equal(d->object, "main");
	if (d->snapshot)
		snprintf(s->snapshot[s->count], sizeof s->snapshot[0], "%s", d->snapshot);
	s->damage[s->count++] = *d;
}

static void on_progress(void *context, uint64_t done, uint64_t all)
{
	struct seen *s = context;
	assert_true(done >= s->done && done < all);
	s->done = done;
	s->all = all;
	s->calls++;
}

static void look(void *argument)
{
	struct seen *s = argument;
	struct store_check_job job = {.map_only = s->map_only, .space = true, .damage = on_damage, .progress = on_progress,
		.context = s};
	s->e = store_check_all(s->rig->store, &job, &s->result);
}

static void check(struct rig *r, bool map_only, struct seen *s)
{
	*s = (struct seen){.rig = r, .map_only = map_only};
	rig_run(r, look, s);
}

/* Pages 0 to 599, a snapshot of them, and then page 5 anew. */
static void make(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	struct store_txn *t;
	uint64_t generation;
	for (uint32_t p = 0; p < 600;) {
		must(store_txn_begin(o, &t));
		do
			world_write(t, p, p + 1);
		while (++p % 50);
		must(store_txn_commit(t, &generation));
	}
	must(store_named_create(o, "kept", 1));
	world_commit(o, 5, 7777);
	must(store_checkpoint(r->store));
}

static void start(struct rig *r)
{
	rig_init(r, 8 * MIB, 512, 1, 8);
	must(rig_open(r));
	rig_run(r, make, r);
}

/* Where the newest version's page lies. */
struct where {
	struct rig *rig;
	uint32_t page_no;
	struct store_page_place place;
};

static void locate(void *argument)
{
	struct where *w = argument;
	struct store_snapshot s;
	store_snapshot_begin(world_object(w->rig), &s);
	must(store_page_locate(&s, w->page_no, &w->place));
	store_snapshot_end(&s);
}

static uint32_t block_of(struct rig *r, uint32_t page_no)
{
	struct where w = {.rig = r, .page_no = page_no};
	rig_run(r, locate, &w);
	return w.place.block;
}

static void flip(struct rig *r, uint32_t block)
{
	r->disk.media[(size_t)block * 4096 + 99] ^= 1;
}

static void a_sound_volume_is_read_once_whole(void **state)
{
	(void)state;
	struct rig r;
	struct seen s;
	start(&r);
	check(&r, false, &s);
	must(s.e);
	assert_int_equal(s.result.pages, 601); /* what both versions have counts once */
	assert_int_equal(s.count, 0);
	assert_int_equal(s.result.leaked + s.result.missing + s.result.twice, 0);
	assert_true(s.calls >= 2 && s.all == 600);
	must(rig_close(&r));
	rig_free(&r);
}

static void a_damaged_page_is_reported_for_each_version_that_has_it(void **state)
{
	(void)state;
	struct rig r;
	struct seen s;
	start(&r);
	uint32_t shared = block_of(&r, 300), alone = block_of(&r, 5);
	flip(&r, shared);
	flip(&r, alone);
	check(&r, false, &s);
	assert_int_equal(s.e.code, ERR_CORRUPT);
	assert_int_equal(s.result.damaged, 3);
	assert_int_equal(s.count, 3);
	assert_int_equal(s.damage[0].kind, STORE_DAMAGE_PAGE);
	assert_int_equal(s.damage[0].page, 5);
	assert_int_equal(s.damage[0].block, alone);
	assert_string_equal(s.snapshot[0], "");
	for (uint32_t i = 1; i < 3; i++) {
		assert_int_equal(s.damage[i].page, 300);
		assert_int_equal(s.damage[i].block, shared);
		assert_int_equal(s.damage[i].reason.code, ERR_CORRUPT);
		assert_string_equal(s.snapshot[i], i == 1 ? "" : "kept");
	}
	check(&r, true, &s); /* the maps alone are well */
	must(s.e);
	must(rig_close(&r));
	rig_free(&r);
}

static const struct volume_object *object_on_media(const struct rig *r)
{
	return &media_superblock(r->disk.media)->object[0];
}

static void below_a_damaged_map_node_nothing_is_found(void **state)
{
	(void)state;
	struct rig r;
	struct seen s;
	start(&r);
	must(rig_close(&r));
	/* The second of the three leaves: pages 256 to 511, in both versions. */
	const struct volume_entry *root = (const void *)(r.disk.media +
		(size_t)object_on_media(&r)->root.block * 4096);
	flip(&r, root[1].block);
	must(rig_open(&r));
	check(&r, true, &s);
	assert_int_equal(s.e.code, ERR_CORRUPT);
	assert_int_equal(s.count, 2);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(s.damage[i].kind, STORE_DAMAGE_MAP);
		assert_int_equal(s.damage[i].page, 256);
		assert_int_equal(s.damage[i].pages, 256);
	}
	assert_int_equal(s.result.pages, 345); /* 600 - 256, and page 5 twice */
	(void)rig_close(&r);
	rig_free(&r);
}

static bool slots_are_well(const struct seen *s)
{
	return !s->result.slot_damaged[0] && !s->result.slot_damaged[1];
}

/* Either copy of the superblock; opening for writing makes it anew. */
static void a_damaged_superblock_is_reported_and_mended(void **state)
{
	(void)state;
	for (uint32_t slot = 0; slot < 2; slot++) {
		struct rig r;
		struct seen s;
		start(&r);
		must(rig_close(&r));
		flip(&r, VOLUME_SLOT_BLOCK(slot));
		r.disk.device.read_only = true;
		must(rig_open(&r));
		check(&r, true, &s);
		assert_int_equal(s.e.code, ERR_CORRUPT);
		assert_true(s.result.slot_damaged[slot] && !s.result.slot_damaged[1 - slot]);
		assert_int_equal(s.count, 0);
		assert_false(s.result.space_damaged);
		(void)rig_close(&r);
		r.disk.device.read_only = false;
		must(rig_open(&r));
		check(&r, false, &s);
		must(s.e);
		assert_true(slots_are_well(&s));
		must(rig_close(&r));
		rig_free(&r);
	}
}

/* ... also where opening has no reason to look. */
static void a_damaged_space_map_is_reported_and_made_anew(void **state)
{
	(void)state;
	struct rig r;
	struct seen s;
	start(&r);
	must(rig_close(&r));
	const struct volume_superblock *b = media_superblock(r.disk.media);
	flip(&r, b->space.block);
	r.disk.device.read_only = true;
	must(rig_open(&r));
	check(&r, true, &s);
	assert_int_equal(s.e.code, ERR_CORRUPT);
	assert_true(s.result.space_damaged && slots_are_well(&s));
	assert_int_equal(s.count + s.result.damaged, 0);
	(void)rig_close(&r);
	r.disk.device.read_only = false;
	r.config.rebuild_space = true;
	must(rig_open(&r));
	check(&r, false, &s);
	must(s.e);
	assert_false(s.result.space_damaged);
	must(rig_close(&r));
	b = media_superblock(r.disk.media);
	assert_int_equal(media_walk(r.disk.media, r.disk.bytes).unlike, 0);
	assert_true(b->space.block != 0);
	rig_free(&r);
}

static void grow(void *argument)
{
	struct rig *r = argument;
	struct store_txn *t;
	uint64_t generation;
	must(store_txn_begin(world_object(r), &t));
	must(store_txn_truncate(t, UINT32_MAX - 1));
	must(store_txn_commit(t, &generation));
	must(store_wait_durable(r->store, generation));
}

/* Four thousand million pages, with and without a map. */
static void what_is_not_there_takes_no_time(void **state)
{
	(void)state;
	struct rig r;
	struct seen s;
	rig_init(&r, 8 * MIB, 512, 1, 8);
	must(rig_open(&r));
	rig_run(&r, grow, &r);
	check(&r, false, &s);
	must(s.e);
	assert_int_equal(s.result.pages, 0);
	rig_run(&r, make, &r);
	check(&r, false, &s);
	must(s.e);
	assert_int_equal(s.result.pages, 601);
	must(rig_close(&r));
	/* ... and when its map's root cannot be read. */
	flip(&r, object_on_media(&r)->root.block);
	must(rig_open(&r));
	check(&r, false, &s);
	assert_int_equal(s.e.code, ERR_CORRUPT);
	assert_int_equal(s.damage[0].kind, STORE_DAMAGE_MAP);
	assert_int_equal(s.damage[0].pages, UINT32_MAX - 1);
	(void)rig_close(&r);
	rig_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_volume_is_read_once_whole),
		cmocka_unit_test(a_damaged_page_is_reported_for_each_version_that_has_it),
		cmocka_unit_test(below_a_damaged_map_node_nothing_is_found),
		cmocka_unit_test(a_damaged_superblock_is_reported_and_mended),
		cmocka_unit_test(a_damaged_space_map_is_reported_and_made_anew),
		cmocka_unit_test(what_is_not_there_takes_no_time),
	};
	return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
