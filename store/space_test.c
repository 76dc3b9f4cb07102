/* The space map: large volumes, fragments, readers of many ages, damage, growth, discard. */
#include "support/world.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "checksum.h"
#include "private.h"

static void expect_sound(void *argument)
{
	struct rig *r = argument;
	struct space_report report;
	must(space_check(r->store, &report));
	assert_true(report.there && !report.incomplete);
	assert_int_equal(report.leaked, 0);
	assert_int_equal(report.missing, 0);
	assert_int_equal(report.twice, 0);
	assert_int_equal(report.used, r->store->space.tree.used);
}

static void set_media(struct rig *r, uint64_t bytes)
{
	free(r->disk.media);
	r->disk.media = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(r->disk.media != MAP_FAILED);
	r->disk.bytes = bytes;
	r->disk.device.sector_count = bytes / r->disk.device.sector_size;
}

static void end_sparse(struct rig *r)
{
	munmap(r->disk.media, r->disk.bytes);
	r->disk.media = NULL;
	rig_free(r);
}

/* --- Size --- */

static void some_commits(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	for (uint32_t i = 0; i < 300; i++) {
		uint64_t generation = world_commit(o, i % 40, i + 1);
		if (i % 3 == 0)
			must(store_wait_durable(r->store, generation));
		if (i % 50 == 49)
			must(store_checkpoint(r->store));
	}
}

static void memory_and_opening_do_not_grow_with_the_volume(void **state)
{
	(void)state;
	size_t memory[2];
	uint64_t reads[2];
	for (uint32_t large = 0; large < 2; large++) {
		struct rig r;
		rig_init(&r, MIB, 4096, 1, 8);
		r.config.cache_pages = 64;
		set_media(&r, large ? 1ull << 40 : 16 * MIB);
		must(rig_open(&r));
		memory[large] = r.config.memory_len;
		rig_run(&r, some_commits, &r);
		rig_run(&r, expect_sound, &r);
		rig_crash(&r);
		must(rig_open(&r));
		rig_run(&r, some_commits, &r);
		must(rig_close(&r));
		uint64_t before = r.disk.reads;
		must(rig_open(&r));
		reads[large] = r.disk.reads - before;
		assert_int_equal(r.info.blocks, r.disk.bytes / 4096);
		rig_run(&r, expect_sound, &r);
		must(rig_close(&r));
		end_sparse(&r);
	}
	assert_int_equal(memory[0], memory[1]);
	assert_true(memory[1] < MIB);
	assert_true(reads[1] <= reads[0] + 4);
}

/* --- Free space in pieces, all over a volume of many groups --- */

#define PIECES_GROUPS 300u
#define PIECES_PAGES (PIECES_GROUPS * 64)

struct pieces {
	struct rig *rig;
	uint64_t random, next_id;
	uint64_t id[PIECES_PAGES];
	uint32_t pages;
};

/* Puts the cursor into some group, as if what lies before it were full. */
static void scatter(struct pieces *p)
{
	struct space *sp = &p->rig->store->space;
	uint32_t group = (uint32_t)(sim_random(&p->random) % space_groups(sp->blocks));
	sp->search = group;
	for (uint32_t i = SPACE_NODE_WINDOWS; i < sp->window_count; i++) {
		struct space_window *w = &sp->window[i];
		if (w->index == SPACE_NOWHERE || w->taken)
			continue;
		sp->open -= w->free;
		w->free = 0;
		w->index = SPACE_NOWHERE;
	}
}

static void change_pages(struct pieces *p, struct store_object *o, uint32_t count)
{
	struct store_txn *t;
	uint64_t generation;
	must(store_txn_begin(o, &t));
	for (uint32_t i = 0; i < count; i++) {
		uint32_t n = (uint32_t)(sim_random(&p->random) % PIECES_PAGES);
		p->id[n] = ++p->next_id;
		world_write(t, n, p->id[n]);
		p->pages = n >= p->pages ? n + 1 : p->pages;
	}
	must(store_txn_commit(t, &generation));
	must(store_wait_durable(p->rig->store, generation));
}

static void cut_pages(struct pieces *p, struct store_object *o, uint32_t pages)
{
	struct store_txn *t;
	uint64_t generation;
	must(store_txn_begin(o, &t));
	must(store_txn_truncate(t, pages));
	must(store_txn_commit(t, &generation));
	memset(p->id + pages, 0, (PIECES_PAGES - pages) * sizeof p->id[0]);
	p->pages = pages;
}

static void in_pieces(void *argument)
{
	struct pieces *p = argument;
	struct rig *r = p->rig;
	struct store_object *o = world_object(r);
	for (uint32_t step = 0; step < 150; step++) {
		change_pages(p, o, 1 + (uint32_t)(sim_random(&p->random) % 20));
		if (step % 2)
			scatter(p);
		if (step % 10 == 9)
			must(store_checkpoint(r->store));
		if (step % 30 == 29)
			expect_sound(r);
	}
	cut_pages(p, o, PIECES_PAGES / 3);
	must(store_checkpoint(r->store));
	expect_sound(r);
}

static void expect_pieces(void *argument)
{
	struct pieces *p = argument;
	struct store_snapshot s;
	store_snapshot_begin(world_object(p->rig), &s);
	assert_int_equal(store_snapshot_pages(&s), p->pages);
	for (uint32_t i = 0; i < p->pages; i++)
		if (p->id[i])
			assert_int_equal(world_read(&s, i), p->id[i]);
	store_snapshot_end(&s);
}

static void scattered_space_is_mapped_to_the_block(void **state)
{
	(void)state;
	static struct pieces p;
	struct rig r;
	rig_init(&r, MIB, 4096, 2, 8);
	r.config.cache_pages = 64;
	set_media(&r, (uint64_t)PIECES_GROUPS * VOLUME_GROUP_BLOCKS * 4096);
	p = (struct pieces){.rig = &r, .random = 2};
	must(rig_open(&r));
	assert_int_equal(r.store->space.tree.levels, 2);
	for (uint32_t life = 0; life < 3; life++) {
		rig_run(&r, in_pieces, &p);
		if (life == 1)
			must(rig_close(&r));
		else
			rig_crash(&r);
		must(rig_open(&r));
		rig_run(&r, expect_pieces, &p);
		rig_run(&r, expect_sound, &r);
	}
	must(rig_close(&r));
	end_sparse(&r);
}

/* --- Growth --- */

static uint32_t fill_volume(struct rig *r, struct store_object *o, uint32_t from)
{
	struct store_txn *t;
	uint64_t generation;
	uint8_t page[STORE_PAGE_SIZE];
	for (uint32_t n = from;; n++) {
		err e = store_txn_begin(o, &t);
		if (failed(e)) {
			assert_int_equal(e.code, ERR_NO_SPACE);
			return n;
		}
		rig_fill(page, n, n + 1);
		e = store_txn_write(t, n, page);
		if (failed(e)) {
			assert_int_equal(e.code, ERR_NO_SPACE);
			store_txn_abort(t);
			return n;
		}
		must(store_txn_commit(t, &generation));
		must(store_wait_durable(r->store, generation));
	}
}

static void grow_while_open(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	struct store_stats stats;
	uint32_t full = fill_volume(r, o, 0);
	uint64_t blocks = r->disk.bytes / 4096;
	r->disk.device.sector_count = 3 * 32768 * (4096 / r->disk.device.sector_size); /* 3 groups */
	r->disk.bytes = 3ull * 32768 * 4096;
	for (uint32_t i = 0; i < 100; i++)
		fiber_sleep_until(&r->loop, r->loop.now_ns + 1000000);
	store_stats(r->store, &stats);
	assert_int_equal(stats.blocks, 3 * 32768);
	assert_true(stats.blocks_free > 3 * 32768 - 2 * blocks);
	for (uint32_t i = full; i < full + 500; i++)
		(void)world_commit(o, i, i + 1);
	must(store_checkpoint(r->store));
	expect_sound(r);
	for (uint32_t i = 0; i < full + 500; i++)
		assert_int_equal(world_newest(o, i), i + 1);
}

static void a_device_that_grows_makes_the_volume_larger_at_once_or_when_opened(void **state)
{
	(void)state;
	for (uint32_t sector = 512; sector <= 4096; sector *= 8) {
		struct rig r;
		rig_init(&r, MIB, sector, 3, 8);
		set_media(&r, 8ull * 32768 * 4096); /* room for all that follows */
		r.disk.bytes = 300 * 4096;
		r.disk.device.sector_count = r.disk.bytes / sector;
		must(rig_open(&r));
		rig_run(&r, grow_while_open, &r);
		if (sector == 512)
			must(rig_close(&r));
		else
			rig_crash(&r);
		r.disk.bytes = 5ull * 32768 * 4096;
		r.disk.device.sector_count = r.disk.bytes / sector;
		must(rig_open(&r));
		assert_int_equal(r.info.blocks, 5 * 32768);
		rig_run(&r, expect_sound, &r);
		must(rig_close(&r));
		/* Made smaller: not touched. */
		uint64_t writes = r.disk.writes;
		r.disk.device.sector_count -= 8;
		assert_int_equal(rig_open(&r).code, ERR_NO_SPACE);
		assert_non_null(strstr(r.last_log, "Give it its size back"));
		assert_int_equal(r.disk.writes, writes);
		rig_crash(&r);
		r.disk.bytes = 8ull * 32768 * 4096;
		end_sparse(&r);
	}
}

/* --- Volumes without a map, or with a damaged one --- */

static void expect_forty(void *argument)
{
	struct rig *r = argument;
	for (uint32_t i = 0; i < 40; i++)
		assert_int_equal(world_newest(world_object(r), i), i + (i < 20 ? 281 : 241));
	expect_sound(r);
}

static struct volume_superblock *slot_of(struct rig *r, uint32_t slot)
{
	return (void *)(r->disk.media + (size_t)VOLUME_SLOT_BLOCK(slot) * 4096);
}

static void without_a_map_that_holds_the_volume_is_walked_and_gets_one(void **state)
{
	(void)state;
	for (uint32_t how = 0; how < 3; how++) {
		struct rig r;
		rig_init(&r, 16 * MIB, 4096, 4, 8);
		must(rig_open(&r));
		rig_run(&r, some_commits, &r);
		if (how == 2)
			rig_crash(&r);
		else
			must(rig_close(&r));
		for (uint32_t i = 0; i < 2; i++) {
			struct volume_superblock *b = slot_of(&r, i);
			if (how == 0) { /* as an older version writes it */
				b->space = (struct volume_entry){0, 0, 0};
				b->space_used = b->space_levels = 0;
				b->checksum = 0;
				b->checksum = volume_checksum(VOLUME_MAGIC, b, 4096);
			} else {
				r.disk.media[(size_t)b->space.block * 4096 + 100 + i] ^= 0x10;
			}
		}
		must(rig_open(&r));
		rig_run(&r, expect_forty, &r);
		rig_run(&r, some_commits, &r);
		must(rig_close(&r));
		must(rig_open(&r));
		rig_run(&r, expect_forty, &r);
		must(rig_close(&r));
		rig_free(&r);
	}
}

struct noticing {
	struct rig rig;
	bool by_commit; /* else by the checkpoint */
};

static void notice_the_rot(void *argument)
{
	struct noticing *n = argument;
	struct store *s = n->rig.store;
	struct store_object *o = world_object(&n->rig);
	struct store_snapshot reader;
	struct store_txn *t;
	n->rig.disk.media[(size_t)s->space.tree.root.block * 4096 + 100] ^= 0x10;
	if (n->by_commit) {
		space_reset(s); /* as if blocks were needed of a part that nobody has looked at yet */
		assert_int_equal(store_txn_begin(o, &t).code, ERR_IO);
	} else {
		must(store_wait_durable(s, world_commit(o, 20, 261)));
		assert_true(failed(store_checkpoint(s)));
	}
	fiber_sleep_until(&n->rig.loop, n->rig.loop.now_ns + 100000000);
	assert_int_equal(store_state(s), STORE_READ_ONLY);
	assert_string_equal(store_reason(s), "the space map is damaged: it is made anew when the volume is opened again");
	assert_int_equal(store_txn_begin(o, &t).code, ERR_IO);
	store_snapshot_begin(o, &reader);
	assert_int_equal(world_read(&reader, 1), 282);
	store_snapshot_end(&reader);
}

/* Whoever notices it: the store says so at once, reads go on, and the next opening has a map again. */
static void a_map_that_rots_while_the_volume_is_open_is_said_and_made_anew(void **state)
{
	(void)state;
	for (unsigned by_commit = 0; by_commit < 2; by_commit++) {
		static struct noticing n;
		n.by_commit = by_commit;
		rig_init(&n.rig, 16 * MIB, 4096, 4, 8);
		must(rig_open(&n.rig));
		rig_run(&n.rig, some_commits, &n.rig);
		must(rig_close(&n.rig));
		must(rig_open(&n.rig));
		rig_run(&n.rig, notice_the_rot, &n);
		(void)rig_close(&n.rig);
		uint32_t newest = slot_of(&n.rig, 1)->sequence > slot_of(&n.rig, 0)->sequence;
		assert_int_equal(slot_of(&n.rig, newest)->space.block, 0);
		must(rig_open(&n.rig));
		rig_run(&n.rig, expect_forty, &n.rig);
		must(rig_close(&n.rig));
		assert_true(slot_of(&n.rig, 0)->space.block && slot_of(&n.rig, 1)->space.block);
		rig_free(&n.rig);
	}
}

/* --- Discard --- */

static void write_much(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	for (uint32_t i = 0; i < 1500; i++)
		(void)world_commit(o, i, i + 1);
	must(store_wait_durable(r->store, store_generation(r->store)));
}

static uint32_t blocks_in_use(const struct rig *r)
{
	static const uint8_t zero[4096];
	uint32_t n = 0;
	for (uint64_t at = 0; at < r->disk.bytes; at += 4096)
		n += memcmp(r->disk.media + at, zero, 4096) != 0;
	return n;
}

/* The second checkpoint's flush lets go of what the first has freed. */
static void keep_ten(struct rig *r, struct store_object *o)
{
	struct store_txn *t;
	uint64_t generation;
	must(store_txn_begin(o, &t));
	must(store_txn_truncate(t, 10));
	must(store_txn_commit(t, &generation));
	must(store_checkpoint(r->store));
	(void)world_commit(o, 3, 4);
	must(store_checkpoint(r->store));
}

static void delete_most(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	struct store_snapshot reader;
	struct store_stats stats;
	store_snapshot_begin(o, &reader);
	keep_ten(r, o);
	for (uint32_t i = 0; i < 1500; i += 100) /* nothing of what somebody reads */
		assert_int_equal(world_read(&reader, i), i + 1);
	store_snapshot_end(&reader);
	store_stats(r->store, &stats);
	assert_int_equal(stats.discards_failed, 0);
}

static void delete_rest(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	struct store_stats stats;
	keep_ten(r, o);
	store_stats(r->store, &stats);
	assert_true(stats.blocks_discarded > 1000);
	expect_sound(r);
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(world_newest(o, i), i + 1);
}

static void what_is_deleted_is_discarded_unless_somebody_reads_it(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 32 * MIB, 4096, 5, 8);
	r.disk.device.has_discard = true;
	r.disk.discard = SIM_DISCARD_ZEROES;
	must(rig_open(&r));
	rig_run(&r, write_much, &r);
	rig_run(&r, delete_most, &r);
	rig_run(&r, write_much, &r);
	uint32_t before = blocks_in_use(&r);
	rig_run(&r, delete_rest, &r);
	must(rig_close(&r));
	assert_true(before > 3000);
	assert_true(blocks_in_use(&r) + 1000 < before);
	must(rig_open(&r));
	rig_run(&r, expect_sound, &r);
	must(rig_close(&r));
	rig_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_map_that_rots_while_the_volume_is_open_is_said_and_made_anew),
		cmocka_unit_test(what_is_deleted_is_discarded_unless_somebody_reads_it),
		cmocka_unit_test(a_device_that_grows_makes_the_volume_larger_at_once_or_when_opened),
		cmocka_unit_test(without_a_map_that_holds_the_volume_is_walked_and_gets_one),
		cmocka_unit_test(memory_and_opening_do_not_grow_with_the_volume),
		cmocka_unit_test(scattered_space_is_mapped_to_the_block),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
