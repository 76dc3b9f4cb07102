/* Recovery in particular circumstances; crash_test.c cuts the power everywhere. */
#include "support/world.h"

#include <abi/volume.h>
#include <stdlib.h>
#include <string.h>

/* --- Recovery in less memory than the writer had --- */

#define LONG_PAGES 3000u

/* What `long_journal` leaves, by page. */
struct picture {
	struct rig *rig;
	uint64_t id[LONG_PAGES];
	uint32_t pages;
	struct store_object *object;
};

static void write_range(struct picture *p, uint32_t from, uint32_t to, uint64_t id)
{
	struct store_txn *t;
	uint64_t generation;
	must(store_txn_begin(p->object, &t));
	for (uint32_t i = from; i < to; i++) {
		world_write(t, i, id + i);
		p->id[i] = id + i;
	}
	p->pages = to > p->pages ? to : p->pages;
	must(store_txn_commit(t, &generation));
	must(store_wait_durable(p->rig->store, generation));
}

static void cut_off(struct picture *p, uint32_t pages)
{
	struct store_txn *t;
	uint64_t generation;
	must(store_txn_begin(p->object, &t));
	must(store_txn_truncate(t, pages));
	for (uint32_t i = pages; i < LONG_PAGES; i++)
		p->id[i] = 0;
	p->pages = pages;
	must(store_txn_commit(t, &generation));
	must(store_wait_durable(p->rig->store, generation));
}

static void long_journal(void *argument)
{
	struct picture *p = argument;
	p->object = world_object(p->rig);
	write_range(p, 0, 1500, 10000);
	must(store_checkpoint(p->rig->store));
	write_range(p, 700, 1900, 20000);
	cut_off(p, 1000);
	write_range(p, 2200, LONG_PAGES, 30000);
	cut_off(p, 2600);
	for (uint32_t i = 0; i < 300; i++)
		write_range(p, i * 5, i * 5 + 1, 40000 + i);
}

static void expect_readable(void *argument)
{
	struct picture *p = argument;
	struct store_snapshot s;
	store_snapshot_begin(world_object(p->rig), &s);
	assert_int_equal(store_snapshot_pages(&s), p->pages);
	for (uint32_t i = 0; i < p->pages; i++)
		assert_int_equal(world_read(&s, i), p->id[i]);
	store_snapshot_end(&s);
	must(store_check(p->rig->store, NULL));
}

static void expect_picture(void *argument)
{
	struct picture *p = argument;
	struct store_stats stats;
	uint32_t used = 0;
	expect_readable(p);
	for (uint32_t i = 0; i < LONG_PAGES; i += 256) {
		uint32_t before = used;
		for (uint32_t j = i; j < i + 256 && j < LONG_PAGES; j++)
			used += p->id[j] != 0;
		used += used != before; /* the leaf */
	}
	must(store_checkpoint(p->rig->store));
	store_stats(p->rig->store, &stats);
	/* ... reserved, the root, the space map, the next two headers: no block is lost */
	assert_int_equal(stats.blocks - stats.blocks_free, used + 16 + 1 + 1 + 2);
	p->object = world_object(p->rig);
	write_range(p, 0, 1, p->id[0]);
}

static void a_journal_is_recovered_in_any_memory(void **state)
{
	(void)state;
	static struct picture p;
	struct rig r;
	rig_init(&r, 64 * MIB, 4096, 21, 8);
	r.config.cache_pages = 1024;
	r.config.txn_pages_max = 4096;
	p = (struct picture){.rig = &r};
	must(rig_open(&r));
	rig_run(&r, long_journal, &p);
	uint8_t *left = malloc(r.disk.bytes);
	memcpy(left, r.disk.media, r.disk.bytes);
	for (uint32_t txn_pages_max = 0; txn_pages_max <= 1024; txn_pages_max = 4 * txn_pages_max + 1) {
		rig_crash(&r);
		memcpy(r.disk.media, left, r.disk.bytes);
		r.config.cache_pages = STORE_CACHE_PAGES_MIN;
		r.config.txn_pages_max = txn_pages_max; /* 0: the default, 256 */
		must(rig_open(&r));
		assert_true(r.info.records_replayed > 300);
		rig_run(&r, expect_picture, &p);
		if (txn_pages_max % 2)
			rig_crash(&r);
		else
			must(rig_close(&r));
		must(rig_open(&r));
		rig_run(&r, expect_picture, &p);
	}
	/* What may not be written cannot be merged. */
	rig_crash(&r);
	memcpy(r.disk.media, left, r.disk.bytes);
	r.disk.device.read_only = true;
	assert_int_equal(rig_open(&r).code, ERR_NO_MEMORY);
	assert_non_null(strstr(r.last_log, "give the machine more"));
	rig_crash(&r);
	r.config.txn_pages_max = 4096;
	must(rig_open(&r));
	assert_int_equal(store_state(r.store), STORE_READ_ONLY);
	rig_run(&r, expect_readable, &p);
	rig_crash(&r);
	assert_memory_equal(r.disk.media, left, r.disk.bytes);
	free(left);
	rig_free(&r);
}

/* --- The same on a volume without room --- */

struct tight {
	struct rig rig;
	uint32_t pages, every; /* 5 of so many are changed */
};

static uint64_t tight_id(const struct tight *t, uint32_t page_no)
{
	return page_no % t->every < 5 ? 2 : 1;
}

/* One checkpointed generation, then one transaction that changes a part of it, here and there. */
static void tight_journal(void *argument)
{
	struct tight *v = argument;
	struct store_object *o = world_object(&v->rig);
	struct store_txn *t;
	uint64_t generation;
	uint8_t page[STORE_PAGE_SIZE];
	must(store_txn_begin(o, &t));
	for (uint32_t i = 0; i < v->pages; i++)
		world_write(t, i, 1);
	must(store_txn_commit(t, &generation));
	must(store_checkpoint(v->rig.store));
	must(store_checkpoint(v->rig.store));
	must(store_txn_begin(o, &t));
	err e = OK;
	for (uint32_t i = 0; i < v->pages && !failed(e); i++) {
		uint32_t p = (uint32_t)((uint64_t)i * 7919 % v->pages);
		rig_fill(page, p, 2);
		if (tight_id(v, p) == 2)
			e = store_txn_write(t, p, page);
	}
	if (failed(e)) {
		assert_int_equal(e.code, ERR_NO_SPACE);
		store_txn_abort(t);
		return;
	}
	must(store_txn_commit(t, &generation));
	must(store_wait_durable(v->rig.store, generation));
}

static void tight_expect(void *argument)
{
	struct tight *v = argument;
	struct store_snapshot s;
	struct store_stats stats;
	store_snapshot_begin(world_object(&v->rig), &s);
	for (uint32_t i = 0; i < v->pages; i++)
		assert_int_equal(world_read(&s, i), tight_id(v, i));
	store_snapshot_end(&s);
	must(store_checkpoint(v->rig.store));
	store_stats(v->rig.store, &stats);
	assert_int_equal(stats.blocks - stats.blocks_free, 16 + v->pages + (v->pages + 255) / 256 + 1 + 1 + 2);
}

/* Leaves the journal on the smallest volume on which there is room for it; the image. */
static uint8_t *tight_init(struct tight *v, uint32_t pages, uint32_t every)
{
	struct rig *r = &v->rig;
	v->pages = pages;
	v->every = every;
	uint64_t blocks = 16 + pages + 5 * pages / every, least = (16 + pages + 64) * 16 / 15 + 1; /* to grow to it */
	for (blocks = blocks > least ? blocks : least;; blocks++) {
		rig_init(r, blocks * 4096, 512, 23, 4);
		r->config.cache_pages = 4096;
		must(rig_open(r));
		rig_run(r, tight_journal, v);
		rig_crash(r);
		uint8_t *image = malloc(r->disk.bytes);
		memcpy(image, r->disk.media, r->disk.bytes);
		must(rig_open(r));
		bool fits = r->info.records_replayed > 1;
		rig_crash(r);
		r->config.cache_pages = STORE_CACHE_PAGES_MIN;
		if (fits)
			return image;
		free(image);
		rig_free(r);
	}
}

static void recovery_in_little_memory_and_space_can_be_cut_anywhere(void **state)
{
	(void)state;
	struct tight v;
	struct rig *r = &v.rig;
	uint8_t *left = tight_init(&v, 600, 12), *image = malloc(r->disk.bytes);
	for (r->config.txn_pages_max = 8; r->config.txn_pages_max <= 64; r->config.txn_pages_max *= 8) {
		memcpy(r->disk.media, left, r->disk.bytes);
		sim_disk_record(&r->disk);
		must(rig_open(r));
		r->disk.recording = false;
		rig_run(r, tight_expect, &v);
		rig_crash(r);
		assert_true(r->disk.events > 20);
		for (uint64_t at = 1; at <= r->disk.events; at++)
			for (unsigned i = 0; i < 3; i++) {
				(void)sim_disk_cut(&r->disk, at, i == 0 ? SIM_CUT_LOSE : i == 1 ?
					SIM_CUT_KEEP : SIM_CUT_RANDOM, at, image);
				memcpy(r->disk.media, image, r->disk.bytes);
				must(rig_open(r));
				rig_run(r, tight_expect, &v);
				rig_crash(r);
			}
	}
	free(image);
	free(left);
	rig_free(r);
}

/* All leaves of the map change in each of the merges; that must not take more room than one merge. */
static void recovery_takes_no_more_space_in_less_memory(void **state)
{
	(void)state;
	struct tight v;
	struct rig *r = &v.rig;
	uint8_t *left = tight_init(&v, 4000, 64);
	for (r->config.txn_pages_max = 1; r->config.txn_pages_max <= 128; r->config.txn_pages_max *= 3) {
		memcpy(r->disk.media, left, r->disk.bytes);
		must(rig_open(r));
		rig_run(r, tight_expect, &v);
		rig_crash(r);
	}
	free(left);
	rig_free(r);
}

/* --- Records of a life that was lost --- */

#define CHAIN_PAGES 600u

struct lives {
	struct rig rig;
	uint8_t *base; /* what all of them begin with */
	/* The life's one transaction: pages 0 to count - 1 get the id, but the first `same` get 2. */
	uint32_t count, same;
	uint64_t id;
};

static void chain_base(void *argument)
{
	struct lives *l = argument;
	struct store_object *o = world_object(&l->rig);
	struct store_txn *t;
	uint64_t generation;
	must(store_txn_begin(o, &t));
	for (uint32_t i = 0; i < CHAIN_PAGES; i++)
		world_write(t, i, 1);
	must(store_txn_commit(t, &generation));
}

static void chain_life(void *argument)
{
	struct lives *l = argument;
	struct store_object *o = world_object(&l->rig);
	struct store_txn *t;
	uint64_t generation;
	must(store_txn_begin(o, &t));
	for (uint32_t i = 0; i < l->count; i++)
		world_write(t, i, i < l->same ? 2 : l->id);
	must(store_txn_commit(t, &generation));
	must(store_wait_durable(l->rig.store, generation));
}

/* One life on `start`, then the power goes; what is on the disk then. */
static uint8_t *live(struct lives *l, const uint8_t *start, uint32_t count, uint32_t same, uint64_t id)
{
	struct rig *r = &l->rig;
	uint8_t *after = malloc(r->disk.bytes);
	memcpy(r->disk.media, start, r->disk.bytes);
	l->count = count;
	l->same = same;
	l->id = id;
	must(rig_open(r));
	assert_int_equal(r->info.records_replayed, 0);
	rig_run(r, chain_life, l);
	memcpy(after, r->disk.media, r->disk.bytes);
	rig_crash(r);
	return after;
}

/* The header of record `number` in the image, which must hold it. */
static uint32_t find_record(struct lives *l, const uint8_t *image, uint64_t number)
{
	uint32_t found = 0;
	for (uint32_t b = VOLUME_RESERVED_BLOCKS; b < l->rig.disk.bytes / 4096; b++) {
		struct volume_record h;
		memcpy(&h, image + (size_t)b * 4096, sizeof h);
		if (h.magic == VOLUME_RECORD_MAGIC && h.record == number) {
			assert_int_equal(found, 0);
			found = b;
		}
	}
	assert_int_not_equal(found, 0);
	return found;
}

static uint64_t next_record(const uint8_t *image)
{
	struct volume_superblock slot[2];
	memcpy(&slot[0], image, sizeof slot[0]);
	memcpy(&slot[1], image + VOLUME_SLOT_BLOCK(1) * 4096, sizeof slot[1]);
	return slot[slot[1].sequence > slot[0].sequence].record;
}

static void expect_life(void *argument)
{
	struct lives *l = argument;
	struct store_snapshot s;
	store_snapshot_begin(world_object(&l->rig), &s);
	for (uint32_t i = 0; i < CHAIN_PAGES; i++)
		assert_int_equal(world_read(&s, i), i >= l->count ? 1 : i < l->same ? 2 : l->id);
	store_snapshot_end(&s);
	must(store_check(l->rig.store, NULL));
}

static void open_and_expect(struct lives *l, const uint8_t *image, uint32_t records)
{
	memcpy(l->rig.disk.media, image, l->rig.disk.bytes);
	must(rig_open(&l->rig));
	assert_int_equal(l->rig.info.records_replayed, records);
	rig_run(&l->rig, expect_life, l);
	rig_crash(&l->rig);
}

static void lives_begin(struct lives *l, uint64_t seed)
{
	rig_init(&l->rig, 16 * MIB, 4096, seed, 8);
	l->rig.config.cache_pages = 2048;
	must(rig_open(&l->rig));
	rig_run(&l->rig, chain_base, l);
	must(rig_close(&l->rig));
	l->base = malloc(l->rig.disk.bytes);
	memcpy(l->base, l->rig.disk.media, l->rig.disk.bytes);
}

static void lives_end(struct lives *l)
{
	free(l->base);
	rig_free(&l->rig);
}

/* A transaction of two records, of which the power cut has lost the first. The next life writes the first
 * anew, in the same place, and leads to the place of the second: which is still there, with the right
 * number, generation and checksum. */
static void a_record_that_follows_a_lost_one_is_never_believed(void **state)
{
	(void)state;
	struct lives l;
	lives_begin(&l, 31);
	uint64_t number = next_record(l.base);
	uint8_t *lost = live(&l, l.base, VOLUME_RECORD_ITEMS + 50, 0, 3);
	uint32_t first = find_record(&l, lost, number), second = find_record(&l, lost, number + 1);
	memcpy(lost + first * 4096, l.base + first * 4096, 4096);
	uint8_t *left = live(&l, lost, VOLUME_RECORD_ITEMS, 0, 4);
	assert_int_equal(find_record(&l, left, number), first);
	assert_int_equal(find_record(&l, left, number + 1), second);
	struct volume_record h;
	memcpy(&h, left + first * 4096, sizeof h);
	assert_int_equal(h.next_block, second); /* it is offered */
	open_and_expect(&l, left, 1);
	free(left);
	free(lost);
	lives_end(&l);
}

/* Both lives write the same in the first two records of three, and lose the end: the second life's beginning
 * and the first life's end would make a transaction that nobody has made. */
static void a_transaction_is_never_completed_by_another_life(void **state)
{
	(void)state;
	enum { SAME = 2 * VOLUME_RECORD_ITEMS };
	struct lives l;
	lives_begin(&l, 32);
	uint64_t number = next_record(l.base);
	uint8_t *first_life = live(&l, l.base, SAME + 50, SAME, 3);
	uint32_t first = find_record(&l, first_life, number);
	uint32_t third = find_record(&l, first_life, number + 2);
	memcpy(first_life + first * 4096, l.base + first * 4096, 4096);
	uint8_t *left = live(&l, first_life, SAME + 60, SAME, 4);
	assert_int_equal(find_record(&l, left, number), first);
	assert_int_equal(find_record(&l, left, number + 2), third);
	/* The second life's third record and its pages are lost as well. */
	memcpy(left + third * 4096, first_life + third * 4096, 80 * 4096);
	l.count = 0;
	open_and_expect(&l, left, 0);
	free(left);
	free(first_life);
	lives_end(&l);
}

/* A record of which one sector is lost: nobody sees it. In the next life the header in the same place is torn so that
 * just that sector arrives, and what it has there is the same. The two together are the first life's record. */
static void a_lost_record_does_not_come_back_in_a_later_life(void **state)
{
	(void)state;
	struct lives l;
	lives_begin(&l, 33);
	uint64_t number = next_record(l.base);
	uint8_t *image = live(&l, l.base, 10, 0, 3);
	uint8_t *sector = image + find_record(&l, image, number) * 4096 + 7 * 512;
	memset(sector, 0xff, 512); /* what had been there before */
	memcpy(l.rig.disk.media, image, l.rig.disk.bytes);
	l.count = 0;
	must(rig_open(&l.rig));
	assert_int_equal(l.rig.info.records_replayed, 0);
	rig_run(&l.rig, expect_life, &l);
	memcpy(image, l.rig.disk.media, l.rig.disk.bytes);
	rig_crash(&l.rig);
	memset(sector, 0, 512);
	open_and_expect(&l, image, 0);
	free(image);
	lives_end(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_journal_is_recovered_in_any_memory),
		cmocka_unit_test(recovery_in_little_memory_and_space_can_be_cut_anywhere),
		cmocka_unit_test(recovery_takes_no_more_space_in_less_memory),
		cmocka_unit_test(a_record_that_follows_a_lost_one_is_never_believed),
		cmocka_unit_test(a_transaction_is_never_completed_by_another_life),
		cmocka_unit_test(a_lost_record_does_not_come_back_in_a_later_life),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
