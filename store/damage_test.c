/* What has rotted on the device is noticed, named, and costs no more than itself. */
#include "support/world.h"

#include <abi/volume.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"

#define COMMITS 12u
#define PART_PAGES (3 * VOLUME_RECORD_ITEMS + 20) /* a commit of four records */

struct scene {
	struct rig rig;
	uint8_t *image; /* what the crash has left */
	uint64_t first; /* number of the first record after the checkpoint */
	uint32_t header[64], headers; /* blocks of the records' headers */
	uint64_t expected; /* of page 0, or UINT64_MAX: do not look */
	bool large, idle;
};

static void live(void *argument)
{
	struct scene *c = argument;
	struct store *s = c->rig.store;
	struct store_object *o = world_object(&c->rig);
	struct store_txn *t;
	uint64_t generation;
	must(store_wait_durable(s, world_commit(o, 1, 1)));
	must(store_checkpoint(s));
	for (uint64_t i = 1; i <= COMMITS; i++) {
		must(store_txn_begin(o, &t));
		for (uint32_t p = 0; p < (c->large && i == COMMITS / 2 ? PART_PAGES : 3); p++)
			world_write(t, p, p == 0 ? i : 1000 * i + p);
		must(store_txn_commit(t, &generation));
		must(store_wait_durable(s, generation));
	}
	struct fiber_queue never;
	fiber_queue_init(&never);
	if (c->idle)
		assert_int_equal(fiber_queue_wait(&c->rig.loop, &never,
			c->rig.loop.now_ns + 5000000000u).code, ERR_TIMEOUT);
}

static struct volume_record *at(const struct scene *c, uint8_t *image, uint32_t block)
{
	assert_true(block && block < c->rig.disk.bytes / 4096);
	return (void *)(image + (size_t)block * 4096);
}

static void find_headers(struct scene *c)
{
	struct volume_superblock slot[2];
	memcpy(&slot[0], c->image, sizeof slot[0]);
	memcpy(&slot[1], c->image + VOLUME_SLOT_BLOCK(1) * 4096, sizeof slot[1]);
	const struct volume_superblock *b = &slot[slot[1].sequence > slot[0].sequence];
	uint32_t block = b->record_block;
	c->first = b->record;
	c->headers = 0;
	for (uint64_t number = b->record;; number++) {
		const struct volume_record *r = at(c, c->image, block);
		if (r->magic != VOLUME_RECORD_MAGIC || r->record != number)
			return;
		assert_true(c->headers < 64);
		c->header[c->headers++] = block;
		block = r->next_block;
	}
}

/* The power goes after COMMITS generations that all are durable; after some idle time, if `idle`. */
static void scene_begin(struct scene *c, uint64_t seed, bool large, bool idle)
{
	memset(c, 0, sizeof *c);
	c->large = large;
	c->idle = idle;
	rig_init(&c->rig, 6 * MIB, 4096, seed, 8);
	c->rig.config.cache_pages = 2048;
	must(rig_open(&c->rig));
	rig_run(&c->rig, live, c);
	c->image = malloc(c->rig.disk.bytes);
	memcpy(c->image, c->rig.disk.media, c->rig.disk.bytes);
	rig_crash(&c->rig);
	find_headers(c);
}

static void scene_end(struct scene *c)
{
	rig_crash(&c->rig);
	rig_free(&c->rig);
	free(c->image);
}

static void look(void *argument)
{
	struct scene *c = argument;
	assert_int_equal(world_newest(world_object(&c->rig), 0), c->expected);
	must(store_check(c->rig.store, NULL));
}

static void expect_one_damaged(void *argument)
{
	struct scene *c = argument;
	struct store_snapshot s;
	struct store_page *page;
	uint64_t damaged;
	store_snapshot_begin(world_object(&c->rig), &s);
	assert_int_equal(store_page_get(&s, 0, &page).code, ERR_CORRUPT);
	assert_int_equal(world_read(&s, 1), 1000 * COMMITS + 1);
	store_snapshot_end(&s);
	assert_int_equal(store_check(c->rig.store, &damaged).code, ERR_CORRUPT);
	assert_int_equal(damaged, 1);
}

static err open_again(struct scene *c)
{
	rig_crash(&c->rig);
	err e = rig_open(&c->rig);
	if (!failed(e))
		rig_run(&c->rig, look, c);
	return e;
}

static void rot(struct scene *c, uint32_t block, uint32_t byte)
{
	memcpy(c->rig.disk.media, c->image, c->rig.disk.bytes);
	c->rig.disk.media[(size_t)block * 4096 + byte] ^= 0x40;
}

static void expect_refused(struct scene *c, uint32_t i)
{
	char text[64];
	uint8_t *before = malloc(c->rig.disk.bytes);
	memcpy(before, c->rig.disk.media, c->rig.disk.bytes);
	assert_int_equal(open_again(c).code, ERR_CORRUPT);
	snprintf(text, sizeof text, "record %lu in block %u", (unsigned long)(c->first + i), c->header[i]);
	assert_non_null(strstr(c->rig.last_log, text));
	assert_non_null(strstr(c->rig.last_log, "ingot db repair"));
	assert_memory_equal(before, c->rig.disk.media, c->rig.disk.bytes);
	free(before);
}

static void a_rotted_header_of_a_durable_record_is_no_end(void **state)
{
	(void)state;
	struct scene c;
	scene_begin(&c, 41, false, false);
	assert_int_equal(c.headers, COMMITS);
	c.expected = COMMITS;
	memcpy(c.rig.disk.media, c.image, c.rig.disk.bytes);
	must(open_again(&c));
	for (uint32_t i = 0; i + 1 < c.headers; i++)
		for (uint32_t byte = 0; byte < 4096; byte += 811) {
			rot(&c, c.header[i], byte);
			expect_refused(&c, i);
		}
	/* Nothing comes after the last: it looks as if it had never been durable. */
	rot(&c, c.header[COMMITS - 1], 0);
	c.expected = COMMITS - 1;
	must(open_again(&c));
	scene_end(&c);
}

/* The seal stands behind it. */
static void rot_in_the_last_record_is_noticed_after_a_second(void **state)
{
	(void)state;
	struct scene c;
	scene_begin(&c, 42, false, true);
	assert_int_equal(c.headers, COMMITS + 1);
	c.expected = COMMITS;
	for (uint32_t byte = 0; byte < 4096; byte += 811) {
		rot(&c, c.header[COMMITS - 1], byte);
		expect_refused(&c, COMMITS - 1);
		rot(&c, c.header[COMMITS], byte); /* the seal itself: nothing is lost */
		must(open_again(&c));
	}
	/* A page of it is no longer what says whether the record counts. */
	struct volume_record last = *at(&c, c.image, c.header[COMMITS - 1]);
	assert_int_equal(last.item[0].page, 0);
	rot(&c, last.item[0].block, 100);
	rig_crash(&c.rig);
	must(rig_open(&c.rig));
	assert_int_equal(store_state(c.rig.store), STORE_OPEN);
	assert_int_equal(c.rig.info.records_replayed, COMMITS + 1);
	rig_run(&c.rig, expect_one_damaged, &c);
	scene_end(&c);
}

static void rot_in_any_part_of_a_large_commit_is_noticed(void **state)
{
	(void)state;
	struct scene c;
	scene_begin(&c, 43, true, true);
	assert_int_equal(c.headers, COMMITS + 1 + 3);
	c.expected = COMMITS;
	memcpy(c.rig.disk.media, c.image, c.rig.disk.bytes);
	must(open_again(&c));
	for (uint32_t i = 0; i + 1 < c.headers; i++) {
		rot(&c, c.header[i], 16 * i);
		expect_refused(&c, i);
		/* And another one, further on. */
		if (i + 3 < c.headers) {
			c.rig.disk.media[(size_t)c.header[i + 2] * 4096] ^= 1;
			expect_refused(&c, i);
		}
	}
	scene_end(&c);
}

static void go_on(void *argument)
{
	struct scene *c = argument;
	c->expected++;
	must(store_wait_durable(c->rig.store, world_commit(world_object(&c->rig), 0, c->expected)));
}

static void a_loss_that_is_accepted_is_over(void **state)
{
	(void)state;
	struct scene c;
	scene_begin(&c, 44, true, true);
	for (uint32_t i = 0; i + 1 < c.headers; i++) {
		/* The large commit is the sixth, four records from the fifth on. */
		uint64_t kept = i < 6 ? i : i < 9 ? 5 : i - 3;
		rot(&c, c.header[i], 24);
		c.rig.config.accept_loss = true;
		c.expected = kept ? kept : 0;
		rig_crash(&c.rig);
		must(rig_open(&c.rig));
		c.rig.config.accept_loss = false;
		assert_int_equal(store_state(c.rig.store), STORE_OPEN);
		assert_int_equal(c.rig.info.lost_to - c.rig.info.lost_from, COMMITS - kept - 1);
		assert_true(c.rig.info.generation > c.rig.info.lost_to);
		rig_run(&c.rig, look, &c);
		/* From now on it is a volume like others, though the lost records are still on it. */
		for (unsigned life = 0; life < 4; life++) {
			must(open_again(&c));
			assert_int_equal(c.rig.info.lost_to, 0);
			if (life % 2)
				rig_run(&c.rig, go_on, &c);
		}
	}
	scene_end(&c);
}

/* What a writer without next_block_after leaves: the same chain with that field 0. */
static void make_old(struct scene *c)
{
	struct volume_superblock *slot[2] = {(void *)c->image, (void *)(c->image + 8 * 4096)};
	uint64_t link = 0;
	for (unsigned i = 0; i < 2; i++) {
		slot[i]->record_block_after = 0;
		slot[i]->checksum = 0;
		slot[i]->checksum = volume_checksum(VOLUME_MAGIC, slot[i], 4096);
	}
	for (uint32_t i = 0; i < c->headers; i++) {
		struct volume_record *r = at(c, c->image, c->header[i]);
		r->link = i ? link : r->link;
		r->next_block_after = 0;
		r->checksum = 0;
		r->checksum = link = volume_checksum(
			volume_seed_record(slot[0]->nonce, r->record), r, 4096);
	}
}

static void a_volume_of_an_older_writer_opens_as_before(void **state)
{
	(void)state;
	struct scene c;
	scene_begin(&c, 45, true, false);
	make_old(&c);
	memcpy(c.rig.disk.media, c.image, c.rig.disk.bytes);
	c.expected = COMMITS;
	must(open_again(&c));
	rig_run(&c.rig, go_on, &c);
	must(open_again(&c));
	rot(&c, c.header[3], 24); /* known to be not noticed there */
	c.expected = 3;
	must(open_again(&c));
	scene_end(&c);
}

/* --- A checkpoint that ends in the midst of a batch of many records --- */

static void checkpoint(void *argument)
{
	struct scene *c = argument;
	must(store_checkpoint(c->rig.store));
}

static void write_long_batch(void *argument)
{
	struct scene *c = argument;
	struct store *s = c->rig.store;
	struct store_object *o = world_object(&c->rig);
	struct store_txn *t;
	uint64_t generation;
	for (uint32_t i = 0; i < 5; i++)
		must(store_wait_durable(s, world_commit(o, 2000 + i, c->expected)));
	must(store_txn_begin(o, &t));
	for (uint32_t p = 0; p < 7 * VOLUME_RECORD_ITEMS; p++)
		world_write(t, p, c->expected);
	rig_spawn(&c->rig, checkpoint, c);
	fiber_sleep_until(&c->rig.loop, c->rig.loop.now_ns + c->expected * 25000);
	must(store_txn_commit(t, &generation));
	must(store_wait_durable(s, generation));
}

static void a_checkpoint_may_end_in_the_midst_of_a_batch(void **state)
{
	(void)state;
	struct scene c = {.expected = 0};
	rig_init(&c.rig, 32 * MIB, 4096, 46, 16);
	c.rig.config.cache_pages = 4096;
	must(rig_open(&c.rig));
	for (c.expected = 1; c.expected < 16; c.expected++) {
		c.rig.disk.flush_ns = 50000;
		rig_run(&c.rig, write_long_batch, &c);
		must(open_again(&c));
	}
	scene_end(&c);
}

static void idle_during_a_checkpoint(void *argument)
{
	struct scene *c = argument;
	struct rig *r = &c->rig;
	struct store_object *o = world_object(r);
	struct store_stats stats;
	must(store_wait_durable(r->store, world_commit(o, 0, 1)));
	r->disk.flush_ns = 800000000;
	fiber_sleep_until(&r->loop, r->loop.now_ns + 500000000);
	must(store_checkpoint(r->store));
	store_stats(r->store, &stats);
	assert_int_equal(stats.seals, 0);
	must(store_wait_durable(r->store, world_commit(o, 0, c->expected)));
	fiber_sleep_until(&r->loop, r->loop.now_ns + 1500000000);
	store_stats(r->store, &stats);
	assert_int_equal(stats.seals, 1);
	must(store_wait_durable(r->store, world_commit(o, 0, ++c->expected)));
}

/* Its generation would be that of the checkpoint, behind which nothing of the same generation counts. */
static void no_seal_is_written_during_a_checkpoint(void **state)
{
	(void)state;
	struct scene c = {.expected = 2};
	rig_init(&c.rig, MIB, 4096, 47, 8);
	must(rig_open(&c.rig));
	rig_run(&c.rig, idle_during_a_checkpoint, &c);
	must(open_again(&c));
	assert_int_equal(c.rig.info.records_replayed, 3);
	scene_end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rotted_header_of_a_durable_record_is_no_end),
		cmocka_unit_test(rot_in_the_last_record_is_noticed_after_a_second),
		cmocka_unit_test(rot_in_any_part_of_a_large_commit_is_noticed),
		cmocka_unit_test(a_loss_that_is_accepted_is_over),
		cmocka_unit_test(a_volume_of_an_older_writer_opens_as_before),
		cmocka_unit_test(no_seal_is_written_during_a_checkpoint),
		cmocka_unit_test(a_checkpoint_may_end_in_the_midst_of_a_batch),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
