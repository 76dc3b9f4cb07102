/* Readers and the writer: what snapshots see, whatever is written, and what they hold back. */
#include "support/world.h"

#include <stdlib.h>
#include <string.h>

static void snapshots(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	struct store_snapshot s[50];
	for (uint32_t i = 0; i < 50; i++) {
		(void)world_commit(o, 3, i + 1);
		(void)world_commit(o, 100 + i, i + 1);
		store_snapshot_begin(o, &s[i]);
		if (i % 7 == 6)
			must(store_checkpoint(r->store));
	}
	for (uint32_t i = 0; i < 50; i += 2) {
		assert_int_equal(world_read(&s[i], 3), i + 1);
		assert_int_equal(store_snapshot_pages(&s[i]), 101 + i);
		store_snapshot_end(&s[i]);
	}
	for (uint32_t i = 0; i < 200; i++)
		(void)world_commit(o, 200 + i, 1); /* pushes all out of the cache */
	for (uint32_t i = 1; i < 50; i += 2) {
		assert_int_equal(world_read(&s[i], 3), i + 1);
		assert_int_equal(world_read(&s[i], 0), 0);
		assert_int_equal(world_read(&s[i], 100 + i), i + 1);
		assert_false(store_snapshot_is_newest(&s[i]));
		store_snapshot_end(&s[i]);
	}
	assert_int_equal(world_newest(o, 3), 50);
	must(store_check(r->store, NULL));
}

static void a_snapshot_sees_its_generation_whatever_is_written_and_checkpointed(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 16 * MIB, 4096, 1, 8);
	must(rig_open(&r));
	rig_run(&r, snapshots, &r);
	must(rig_close(&r));
	rig_free(&r);
}

/* Each commit by itself, so that it costs two blocks. ERR_NO_SPACE is the only excuse. */
static err commit_durably(struct rig *r, struct store_object *o, uint32_t page_no, uint64_t id)
{
	struct store_txn *t;
	uint64_t generation = 0;
	uint8_t page[STORE_PAGE_SIZE];
	TRY(store_txn_begin(o, &t));
	rig_fill(page, page_no, id);
	err e = store_txn_write(t, page_no, page);
	if (failed(e)) {
		store_txn_abort(t);
		return e;
	}
	must(store_txn_commit(t, &generation));
	must(store_wait_durable(r->store, generation));
	return OK;
}

static void rewrite_all(struct rig *r, struct store_object *o, uint64_t id)
{
	for (uint32_t i = 0; i < 40; i++)
		must(commit_durably(r, o, i, id + i));
}

/* Rewrites pages until the volume has been written over three times. */
static err rewrite_over_and_over(struct rig *r, struct store_object *o, uint32_t checkpoint_each)
{
	uint64_t until = r->disk.bytes_written + 3 * r->disk.bytes;
	for (uint32_t n = 1; r->disk.bytes_written < until; n++) {
		TRY(commit_durably(r, o, n % 40, 100000 + n));
		if (n % checkpoint_each == 0)
			must(store_checkpoint(r->store));
	}
	return OK;
}

static void old_reader(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	struct store_snapshot old;
	for (uint32_t checkpoint_each = 3; checkpoint_each < 100; checkpoint_each *= 3) {
		rewrite_all(r, o, 500);
		if (checkpoint_each != 9) /* else it stands on the delta */
			must(store_checkpoint(r->store));
		store_snapshot_begin(o, &old);
		/* It holds what it sees, not all that is written meanwhile. */
		must(rewrite_over_and_over(r, o, checkpoint_each));
		for (uint32_t i = 40; i < 140; i++) /* what is not on the device is not to help */
			assert_int_equal(world_newest(o, i), i);
		assert_null(store_page_peek(&old, 0));
		for (uint32_t i = 0; i < 40; i++)
			assert_int_equal(world_read(&old, i), 500 + i);
		store_snapshot_end(&old);
		/* Now all of that is free again. */
		must(rewrite_over_and_over(r, o, checkpoint_each));
		must(store_check(r->store, NULL));
	}
}

static void fill_behind(void *argument)
{
	struct store_object *o = world_object(argument);
	for (uint32_t i = 40; i < 140; i++)
		(void)world_commit(o, i, i);
}

static void what_an_old_snapshot_needs_is_not_reused(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 512 * 4096, 4096, 16, 8);
	must(rig_open(&r));
	rig_run(&r, fill_behind, &r);
	rig_run(&r, old_reader, &r);
	must(rig_close(&r));
	rig_free(&r);
}

/* As many snapshots as there are checkpoints, until nothing is left; they end in any order. */
static void many_readers(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	struct store_snapshot s[60];
	for (uint32_t round = 0; round < 3; round++) {
		uint32_t n = 0;
		err e = OK;
		for (; n < 60 && !failed(e); n++) {
			for (uint32_t i = 0; i < 8 && !failed(e); i++)
				e = commit_durably(r, o, (n + i) % 40, n + i);
			store_snapshot_begin(o, &s[n]);
		}
		assert_int_equal(e.code, ERR_NO_SPACE);
		assert_int_equal(store_state(r->store), STORE_OPEN);
		for (uint32_t i = 0; i < n; i++)
			store_snapshot_end(&s[(i * 61 + round) % n]); /* a prime above n */
		rewrite_all(r, o, 1000 * round);
	}
	must(store_check(r->store, NULL));
}

static void writing_works_again_when_the_readers_that_filled_the_volume_end(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 384 * 4096, 4096, 17, 8);
	must(rig_open(&r));
	rig_run(&r, fill_behind, &r);
	rig_run(&r, many_readers, &r);
	must(rig_close(&r));
	rig_free(&r);
}

/* --- Readers of all ages while space is reused --- */

#define AGES_PAGES 50u
#define AGES_READERS 3u

struct ages {
	struct rig *rig;
	struct store_object *object;
	uint64_t random, next_id;
	uint64_t id[AGES_PAGES];
	struct store_snapshot snapshot[AGES_READERS];
	uint64_t seen[AGES_READERS][AGES_PAGES];
	bool open[AGES_READERS];
	uint32_t refused;
};

/* One to four pages, often not durable yet when it returns; false: no space. */
static bool change_some(struct ages *a)
{
	struct store_txn *t;
	uint64_t generation, id[AGES_PAGES];
	uint8_t page[STORE_PAGE_SIZE];
	err e = store_txn_begin(a->object, &t);
	if (!failed(e)) {
		memcpy(id, a->id, sizeof id);
		for (uint64_t n = 1 + sim_random(&a->random) % 4; n > 0 && !failed(e); n--) {
			uint32_t p = (uint32_t)(sim_random(&a->random) % AGES_PAGES);
			rig_fill(page, p, ++a->next_id);
			id[p] = a->next_id;
			e = store_txn_write(t, p, page);
		}
		if (failed(e)) {
			store_txn_abort(t);
		} else {
			must(store_txn_commit(t, &generation));
			memcpy(a->id, id, sizeof id);
			if (sim_random(&a->random) % 2)
				must(store_wait_durable(a->rig->store, generation));
		}
	}
	if (failed(e))
		assert_int_equal(e.code, ERR_NO_SPACE);
	return !failed(e);
}

static void end_reader(struct ages *a, uint32_t i)
{
	for (uint32_t p = 0; p < store_snapshot_pages(&a->snapshot[i]); p++)
		assert_int_equal(world_read(&a->snapshot[i], p), a->seen[i][p]);
	store_snapshot_end(&a->snapshot[i]);
	a->open[i] = false;
}

static void grow_old(void *argument)
{
	struct ages *a = argument;
	a->object = world_object(a->rig);
	for (uint32_t step = 0; step < 1500; step++) {
		uint32_t i = (uint32_t)(sim_random(&a->random) % AGES_READERS);
		bool changed = change_some(a);
		a->refused += !changed;
		if (!changed) {
			for (i = 0; i < AGES_READERS; i++)
				if (a->open[i])
					end_reader(a, i);
			assert_true(change_some(a)); /* and again there is room */
		} else if (!a->open[i] && sim_random(&a->random) % 8 == 0) {
			store_snapshot_begin(a->object, &a->snapshot[i]);
			memcpy(a->seen[i], a->id, sizeof a->id);
			a->open[i] = true;
		} else if (a->open[i] && sim_random(&a->random) % 16 == 0) {
			end_reader(a, i);
		}
		if (sim_random(&a->random) % 4 == 0)
			must(store_checkpoint(a->rig->store));
	}
	for (uint32_t i = 0; i < AGES_READERS; i++)
		if (a->open[i])
			end_reader(a, i);
	must(store_check(a->rig->store, NULL));
}

static void readers_of_all_ages_see_their_generation_while_space_is_reused(void **state)
{
	(void)state;
	uint32_t refused = 0;
	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct rig r;
		rig_init(&r, (140 + 40 * (seed % 3)) * 4096, 4096, seed, 4);
		r.config.cache_pages = STORE_CACHE_PAGES_MIN;
		struct ages a = {.rig = &r, .random = seed};
		must(rig_open(&r));
		rig_run(&r, grow_old, &a);
		refused += a.refused;
		must(rig_close(&r));
		rig_free(&r);
	}
	assert_true(refused < 12 * 1500 / 10);
}

/* Snapshots that stand on the delta hold its entries; a writer then runs out of them, but not for good. */
static void hold_the_delta(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	struct store_snapshot s[8];
	struct store_txn *t;
	uint64_t generation;
	uint32_t n = 0;
	err e = OK;
	for (; n < 8 && !failed(e); n++) {
		e = store_txn_begin(o, &t);
		for (uint32_t i = 0; i < 64 && !failed(e); i++) {
			uint8_t page[STORE_PAGE_SIZE];
			rig_fill(page, i, 100 * n + i);
			e = store_txn_write(t, i, page);
		}
		if (failed(e)) {
			store_txn_abort(t);
			break;
		}
		must(store_txn_commit(t, &generation));
		store_snapshot_begin(o, &s[n]);
	}
	assert_int_equal(e.code, ERR_NO_MEMORY);
	assert_int_equal(store_state(r->store), STORE_OPEN);
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(world_read(&s[i], 63), 100 * i + 63);
		store_snapshot_end(&s[i]);
	}
	rewrite_all(r, o, 5000);
	must(store_check(r->store, NULL));
}

static void writing_works_again_when_the_readers_that_filled_the_delta_end(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 8 * MIB, 4096, 18, 8);
	r.config.txn_pages_max = 64;
	must(rig_open(&r));
	rig_run(&r, hold_the_delta, &r);
	must(rig_close(&r));
	rig_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_snapshot_sees_its_generation_whatever_is_written_and_checkpointed),
		cmocka_unit_test(what_an_old_snapshot_needs_is_not_reused),
		cmocka_unit_test(writing_works_again_when_the_readers_that_filled_the_volume_end),
		cmocka_unit_test(readers_of_all_ages_see_their_generation_while_space_is_reused),
		cmocka_unit_test(writing_works_again_when_the_readers_that_filled_the_delta_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
