/* What the store promises while the power stays on. */
#include "private.h"
#include "support/world.h"

#include <stdlib.h>
#include <string.h>

static void write_and_leave(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	for (uint32_t i = 0; i < 20; i++)
		must(store_wait_durable(r->store, world_commit(o, i, i + 100)));
}

static void expect_all(void *argument)
{
	struct rig *r = argument;
	struct store_object *o;
	must(store_object_open(r->store, "main", false, &o));
	for (uint32_t i = 0; i < 20; i++)
		assert_int_equal(world_newest(o, i), i + 100);
	must(store_check(r->store, NULL));
}

static void what_was_committed_is_there_after_closing_and_after_a_crash(void **state)
{
	(void)state;
	for (uint32_t sector = 512; sector <= 4096; sector += 3584) {
		struct rig r;
		rig_init(&r, 4 * MIB, sector, sector, 8);
		must(rig_open(&r));
		assert_true(r.info.formatted);
		rig_run(&r, write_and_leave, &r);
		must(rig_close(&r));
		must(rig_open(&r));
		assert_false(r.info.formatted);
		assert_int_equal(r.info.records_replayed, 0);
		rig_run(&r, expect_all, &r);
		rig_run(&r, write_and_leave, &r);
		rig_crash(&r);
		must(rig_open(&r));
		assert_int_equal(r.info.records_replayed, 20);
		rig_run(&r, expect_all, &r);
		must(rig_close(&r));
		rig_free(&r);
	}
}

static void spilling(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	struct store_txn *t;
	uint8_t page[STORE_PAGE_SIZE];
	struct store_stats stats;
	uint64_t generation;
	must(store_txn_begin(o, &t));
	for (uint32_t i = 0; i < 200; i++)
		world_write(t, i, i + 7);
	for (uint32_t i = 0; i < 200; i += 3)
		world_write(t, i, i + 9);
	for (uint32_t i = 0; i < 200; i++) {
		must(store_txn_read(t, i, page));
		assert_int_equal(rig_identify(page, i), i + (i % 3 ? 7 : 9));
	}
	store_txn_abort(t);
	struct store_snapshot s;
	store_snapshot_begin(o, &s);
	assert_int_equal(store_snapshot_pages(&s), 0);
	must(store_txn_begin(o, &t));
	for (uint32_t i = 0; i < 200; i++)
		world_write(t, i, i + 11);
	must(store_txn_commit(t, &generation));
	assert_int_equal(store_snapshot_pages(&s), 0);
	store_snapshot_end(&s);
	must(store_wait_durable(r->store, generation));
	store_stats(r->store, &stats);
	assert_true(stats.pages_spilled > 100);
	for (uint32_t i = 0; i < 200; i++)
		assert_int_equal(world_newest(o, i), i + 11);
	must(store_checkpoint(r->store));
	must(store_checkpoint(r->store));
	store_stats(r->store, &stats);
	/* reserved, pages, a leaf, the space map, the next two headers: nothing of the aborted one is left */
	assert_int_equal(stats.blocks - stats.blocks_free - stats.blocks_waiting, 16 + 200 + 1 + 1 + 2);
}

static void a_transaction_larger_than_the_cache_spills_and_stays_atomic(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 8 * MIB, 512, 2, 8);
	must(rig_open(&r));
	rig_run(&r, spilling, &r);
	must(rig_close(&r));
	rig_free(&r);
}

static void truncation(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	struct store_txn *t;
	uint64_t generation;
	uint8_t page[STORE_PAGE_SIZE];
	for (uint32_t i = 0; i < 600; i++)
		(void)world_commit(o, i, i + 1);
	must(store_checkpoint(r->store));
	(void)world_commit(o, 550, 5);
	struct store_snapshot before;
	store_snapshot_begin(o, &before);
	must(store_txn_begin(o, &t));
	world_write(t, 590, 77);
	must(store_txn_truncate(t, 300));
	assert_int_equal(store_txn_read(t, 300, page).code, ERR_INVALID);
	must(store_txn_truncate(t, 580));
	must(store_txn_read(t, 550, page));
	assert_int_equal(rig_identify(page, 550), 0);
	world_write(t, 400, 9);
	must(store_txn_commit(t, &generation));
	for (unsigned round = 0; round < 3; round++) {
		assert_int_equal(world_newest(o, 299), 300);
		assert_int_equal(world_newest(o, 300), 0);
		assert_int_equal(world_newest(o, 400), 9);
		assert_int_equal(world_newest(o, 550), 0);
		assert_int_equal(world_read(&before, 550), 5);
		assert_int_equal(world_read(&before, 599), 600);
		must(store_checkpoint(r->store));
	}
	store_snapshot_end(&before);
	must(store_txn_begin(o, &t));
	must(store_txn_truncate(t, 0));
	must(store_txn_commit(t, &generation));
	must(store_checkpoint(r->store));
	must(store_checkpoint(r->store));
	must(store_checkpoint(r->store));
	struct store_stats stats;
	store_stats(r->store, &stats);
	assert_int_equal(stats.blocks - stats.blocks_free, 16 + 1 + 2);
}

static void truncation_hides_and_frees_pages_and_growing_shows_zeros(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 8 * MIB, 4096, 3, 8);
	must(rig_open(&r));
	rig_run(&r, truncation, &r);
	must(rig_close(&r));
	rig_free(&r);
}

static void churn(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	uint64_t random = 4;
	for (uint32_t i = 0; i < 100; i++)
		(void)world_commit(o, i, 1);
	for (uint32_t i = 0; i < 6000; i++) {
		uint64_t generation = world_commit(o, (uint32_t)(sim_random(&random) % 100), i);
		if (i % 3 == 0)
			must(store_wait_durable(r->store, generation));
	}
}

static void constant_data_never_fills_the_volume(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 192 * 4096, 4096, 4, 8); /* 176 usable, 100 in use */
	must(rig_open(&r));
	rig_run(&r, churn, &r);
	must(rig_close(&r));
	must(rig_open(&r));
	assert_int_equal(r.info.blocks - r.info.blocks_free, 16 + 100 + 1 + 1 + 2);
	must(rig_close(&r));
	rig_free(&r);
}

static void fill_up(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	struct store_txn *t;
	uint8_t page[STORE_PAGE_SIZE] = {1};
	uint64_t generation;
	uint32_t n = 0;
	err e = OK;
	for (; n < 1000; n++) {
		e = store_txn_begin(o, &t);
		if (failed(e))
			break;
		rig_fill(page, n, n + 1);
		e = store_txn_write(t, n, page);
		if (failed(e)) {
			store_txn_abort(t);
			break;
		}
		must(store_txn_commit(t, &generation));
	}
	assert_int_equal(e.code, ERR_NO_SPACE);
	assert_in_range(n, 90, 112);
	assert_int_equal(store_state(r->store), STORE_OPEN);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(world_newest(o, i), i + 1);
	must(store_txn_begin(o, &t));
	must(store_txn_truncate(t, 50));
	must(store_txn_commit(t, &generation));
	for (uint32_t i = 0; i < 20; i++)
		(void)world_commit(o, 50 + i, 3);
}

static void a_full_volume_says_so_and_can_be_emptied(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 128 * 4096, 4096, 5, 8);
	must(rig_open(&r));
	rig_run(&r, fill_up, &r);
	must(rig_close(&r));
	rig_free(&r);
}

/* --- Flushes --- */

/* Checkpoints included: they share the flushes of commits. */
static void alone(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	struct store_stats stats;
	uint64_t before = r->disk.flushes;
	for (uint32_t i = 0; i < 1500; i++) {
		must(store_wait_durable(r->store, world_commit(o, i % 100, i)));
		if (i % 3 == 0)
			fiber_sleep_until(&r->loop, r->loop.now_ns + 5000000);
	}
	assert_int_equal(r->disk.flushes - before, 1500);
	store_stats(r->store, &stats);
	assert_true(stats.checkpoints > 3);
}

struct writer {
	struct rig *rig;
	uint32_t number;
	struct store_waiter waiter;
	uint32_t done;
	err result;
};

static void waiter_done(struct store_waiter *w, err result)
{
	struct writer *writer = CONTAINER_OF(w, struct writer, waiter);
	writer->done++;
	writer->result = result;
	if (!failed(result))
		assert_true(store_durable_generation(writer->rig->store) >= w->generation);
}

static void one_of_many(void *argument)
{
	struct writer *w = argument;
	struct store_object *o = world_object(w->rig);
	for (uint32_t i = 0; i < 20; i++) {
		struct store_txn *t;
		struct store_snapshot view; /* as SQLite's: from before the transaction until after its commit */
		store_snapshot_begin(o, &view);
		while (store_txn_begin_from(o, &view, &t).code == ERR_BUSY) {
			store_snapshot_end(&view);
			fiber_sleep_until(&w->rig->loop, w->rig->loop.now_ns + 1000000);
			store_snapshot_begin(o, &view);
		}
		world_write(t, w->number, i);
		world_write(t, 100, i); /* all change this one */
		must(store_txn_commit(t, &w->waiter.generation));
		store_snapshot_end(&view);
		must(store_wait_durable(w->rig->store, w->waiter.generation));
	}
	store_waiter_add(w->rig->store, &w->waiter);
	assert_int_equal(w->done, 0);
}

static void flushes_are_one_for_each_commit_alone_and_shared_by_many(void **state)
{
	(void)state;
	struct rig r;
	struct writer writers[64];
	struct store_stats stats;
	rig_init(&r, 8 * MIB, 4096, 6, RIG_FIBERS);
	r.config.cache_pages = 256;
	must(rig_open(&r));
	rig_run(&r, alone, &r);
	uint64_t before = r.disk.flushes;
	for (uint32_t i = 0; i < 64; i++) {
		writers[i] = (struct writer){.rig = &r, .number = i, .waiter.done = waiter_done, .result = OK};
		rig_spawn(&r, one_of_many, &writers[i]);
	}
	rig_finish(&r);
	assert_in_range(r.disk.flushes - before, 1, 64); /* 1280 commits */
	store_stats(r.store, &stats);
	assert_true(stats.pages_merged > 1000);
	assert_true(stats.checkpoints < 20);
	must(rig_close(&r));
	for (uint32_t i = 0; i < 64; i++)
		assert_true(writers[i].done == 1 && !failed(writers[i].result));
	rig_free(&r);
}

static void steady(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	struct store_stats before, after;
	struct store_txn *t;
	uint64_t generation;
	for (uint32_t i = 0; i < 400; i++)
		(void)world_commit(o, i, 1);
	must(store_checkpoint(r->store));
	store_stats(r->store, &before);
	for (uint32_t i = 0; i < 1000; i++) {
		must(store_txn_begin(o, &t));
		world_write(t, 0, i);
		world_write(t, 100 + i / 40, i);
		world_write(t, 200 + i / 10, i);
		must(store_txn_commit(t, &generation));
		must(store_wait_durable(r->store, generation));
	}
	must(store_checkpoint(r->store));
	store_stats(r->store, &after);
	uint64_t written = after.bytes_written - before.bytes_written;
	assert_in_range(written, 3000 * 4096, 3000 * 4096 * 3 / 2);
}

static void a_commit_writes_little_more_than_its_pages(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 64 * MIB, 4096, 7, 8);
	r.config.cache_pages = 256;
	must(rig_open(&r));
	rig_run(&r, steady, &r);
	must(rig_close(&r));
	rig_free(&r);
}

/* Now and then one is larger, as by a page that splits: the room behind its header does not hold it. */
static void of_changing_size(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	struct store_stats before, after;
	struct store_txn *t;
	uint64_t generation;
	(void)world_commit(o, 400, 1);
	must(store_checkpoint(r->store));
	store_stats(r->store, &before);
	for (uint32_t i = 0; i < 400; i++) {
		must(store_txn_begin(o, &t));
		for (uint32_t page = 0; page < (i % 20 ? 3u : 8u); page++)
			world_write(t, page * 40 + i / 20, i);
		must(store_txn_commit(t, &generation));
		must(store_wait_durable(r->store, generation));
	}
	store_stats(r->store, &after);
	assert_int_equal(after.commits - before.commits, 400);
	assert_int_equal(after.checkpoints, before.checkpoints);
	assert_in_range(after.writes - before.writes, 400, 400 + 2 * 20);
}

static void a_record_and_its_pages_are_one_request(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 64 * MIB, 4096, 7, 8);
	r.config.cache_pages = 512;
	must(rig_open(&r));
	rig_run(&r, of_changing_size, &r);
	must(rig_close(&r));
	rig_free(&r);
}

/* --- Reading --- */

struct reader {
	struct rig *rig;
	struct store_snapshot *snapshot;
};

static void read_same(void *argument)
{
	struct reader *reader = argument;
	assert_int_equal(world_read(reader->snapshot, 17), 18);
}

static void share_reads(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	struct store_snapshot s;
	static struct reader reader;
	for (uint32_t i = 0; i < 300; i++)
		(void)world_commit(o, i, i + 1);
	must(store_wait_durable(r->store, 300));
	store_snapshot_begin(o, &s);
	for (uint32_t i = 100; i < 300; i++)
		(void)world_read(&s, i);
	assert_null(store_page_peek(&s, 17));
	uint64_t before = r->disk.reads;
	reader = (struct reader){r, &s};
	uint32_t running = r->running;
	for (uint32_t i = 0; i < 10; i++)
		rig_spawn(r, read_same, &reader);
	while (r->running > running)
		fiber_sleep_until(&r->loop, r->loop.now_ns + 1000000);
	assert_int_equal(r->disk.reads - before, 1);
	struct store_page *p = store_page_peek(&s, 17);
	assert_non_null(p);
	store_page_put(p);
	store_snapshot_end(&s);
}

/* What the checkpoint's sort does between two rounds of the loop. */
struct sort_watch {
	struct loop_client client;
	const struct deltas *deltas;
	uint64_t before, most;
};

static bool watch_the_sort(struct loop_client *client)
{
	struct sort_watch *w = CONTAINER_OF(client, struct sort_watch, client);
	uint64_t now = w->deltas->sort_steps;
	w->most = now - w->before > w->most ? now - w->before : w->most;
	w->before = now;
	return false;
}

static void merge_many_changes(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	struct store_txn *t;
	uint64_t generation;
	must(store_txn_begin(o, &t));
	for (uint32_t i = 0; i < 4001; i++) /* 4001 is a prime: all of them, in some other order */
		world_write(t, i * 1009 % 4001, i + 1);
	must(store_txn_commit(t, &generation));
	must(store_wait_durable(r->store, generation));
	struct sort_watch watch = {.client.poll = watch_the_sort, .deltas = &r->store->deltas};
	loop_add(&r->loop, &watch.client);
	must(store_checkpoint(r->store));
	list_remove(&watch.client.link);
	assert_true(watch.before > 8 * SORT_STEPS);
	/* A fiber has a few turns in a round, and goes on until the change that it is at has its place. */
	assert_in_range(watch.most, SORT_STEPS, 5 * (SORT_STEPS + 32));
	for (uint32_t i = 0; i < 4001; i += 7)
		assert_int_equal(world_newest(o, i * 1009 % 4001), i + 1);
	must(store_check(r->store, NULL));
}

static void others_run_while_a_checkpoint_sorts_many_changes(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 64 * MIB, 512, 9, 8);
	r.config.cache_pages = 1200;
	must(rig_open(&r));
	rig_run(&r, merge_many_changes, &r);
	must(rig_close(&r));
	rig_free(&r);
}

static void misses_of_one_page_share_one_read(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 8 * MIB, 512, 8, 20);
	must(rig_open(&r));
	rig_run(&r, share_reads, &r);
	must(rig_close(&r));
	rig_free(&r);
}

static uint64_t misses_of(struct rig *r)
{
	struct store_stats stats;
	store_stats(r->store, &stats);
	return stats.page_misses;
}

/* Its old versions would fill the cache and make its bucket long. */
static void change_one_often(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	struct store_snapshot old;
	for (uint32_t i = 0; i < 30; i++)
		(void)world_commit(o, i, i + 1);
	store_snapshot_begin(o, &old);
	for (uint32_t i = 0; i < 30; i++)
		assert_int_equal(world_newest(o, i), i + 1);
	uint64_t misses = misses_of(r);
	for (uint32_t i = 0; i < 1000; i++) {
		must(store_wait_durable(r->store, world_commit(o, 7, 100 + i)));
		uint32_t versions = 0;
		for (uint32_t j = 0; j < r->store->cache.count; j++) {
			const struct frame *f = &r->store->cache.frame[j];
			versions += f->hashed && f->page_no == 7 && f->object == o->id;
		}
		assert_in_range(versions, 1, 3); /* the newest, that before it, and the snapshot's */
	}
	for (uint32_t i = 0; i < 30; i++)
		assert_int_equal(world_read(&old, i), i + 1);
	assert_int_equal(world_newest(o, 7), 1099);
	assert_int_equal(misses_of(r), misses);
	store_snapshot_end(&old);
}

static void a_page_that_is_changed_again_and_again_pushes_no_other_out(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 8 * MIB, 512, 5, 8);
	must(rig_open(&r));
	rig_run(&r, change_one_often, &r);
	must(rig_close(&r));
	rig_free(&r);
}

static void borrow_all(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	struct store_snapshot s;
	struct store_page *page[64], *more;
	for (uint32_t i = 0; i < 100; i++)
		must(store_wait_durable(r->store, world_commit(o, i, i + 1)));
	must(store_checkpoint(r->store));
	store_snapshot_begin(o, &s);
	uint32_t n = 0;
	err e = OK;
	while (n < 64 && !failed(e = store_page_get(&s, n, &page[n])))
		n++;
	e = failed(e) ? e : store_page_get(&s, 99, &more);
	assert_int_equal(e.code, ERR_NO_MEMORY);
	while (n > 0)
		store_page_put(page[--n]);
	assert_int_equal(world_read(&s, 99), 100);
	store_snapshot_end(&s);
}

static void a_cache_of_lent_pages_is_an_error_not_a_crash(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 8 * MIB, 512, 9, 8);
	must(rig_open(&r));
	rig_run(&r, borrow_all, &r);
	must(rig_close(&r));
	rig_free(&r);
}

static void one_writer(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	struct store_object *other;
	struct store_txn *t, *u;
	uint64_t generation = 0;
	must(store_object_open(r->store, "other", true, &other));
	assert_int_equal(store_object_open(r->store, "absent", false, &other).code, ERR_NOT_FOUND);
	assert_int_equal(store_object_open(r->store, "", true, &other).code, ERR_INVALID);
	must(store_object_open(r->store, "other", false, &other));
	must(store_txn_begin(o, &t));
	assert_int_equal(store_txn_begin(other, &u).code, ERR_BUSY);
	must(store_txn_commit(t, &generation));
	assert_int_equal(generation, 0);
	(void)world_commit(other, 0, 5);
	(void)world_commit(o, 0, 6);
	assert_int_equal(world_newest(other, 0), 5);
	assert_int_equal(world_newest(o, 0), 6);
}

static void objects_are_apart_and_there_is_one_writer(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 8 * MIB, 512, 10, 8);
	must(rig_open(&r));
	rig_run(&r, one_writer, &r);
	must(rig_close(&r));
	rig_free(&r);
}

/* --- Volumes that are not ours, or damaged --- */

static void a_foreign_volume_is_refused_untouched(void **state)
{
	(void)state;
	uint64_t seed = 11;
	for (uint32_t where = 0; where < 40; where++) {
		struct rig r;
		rig_init(&r, MIB, 512, 11, 4);
		/* one byte anywhere in the first 128 KiB is enough; or all is noise */
		if (where < 39)
			r.disk.media[sim_random(&seed) % (128 * 1024)] = 1;
		for (uint32_t i = 0; where == 39 && i < MIB; i++)
			r.disk.media[i] = (uint8_t)sim_random(&seed);
		uint8_t *copy = malloc(MIB);
		memcpy(copy, r.disk.media, MIB);
		assert_int_equal(rig_open(&r).code, ERR_FOREIGN);
		assert_non_null(strstr(r.last_log, "not an Ingot volume"));
		assert_memory_equal(copy, r.disk.media, MIB);
		assert_int_equal(r.disk.writes, 0);
		free(copy);
		rig_free(&r);
	}
}

static void a_small_volume_and_a_newer_one_are_refused(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 63 * 4096, 512, 12, 4);
	assert_int_equal(rig_open(&r).code, ERR_NO_SPACE);
	rig_free(&r);
	rig_init(&r, 64 * 4096, 512, 12, 4);
	r.config.must_exist = true;
	assert_int_equal(rig_open(&r).code, ERR_NOT_FOUND);
	r.config.must_exist = false;
	must(rig_open(&r));
	must(rig_close(&r));
	r.disk.media[8] = r.disk.media[8 * 4096 + 8] = 2; /* version */
	uint64_t writes = r.disk.writes;
	assert_int_equal(rig_open(&r).code, ERR_UNSUPPORTED);
	r.disk.media[8] = r.disk.media[8 * 4096 + 8] = 1;
	r.disk.media[20] ^= 1;
	r.disk.media[8 * 4096 + 20] ^= 1;
	assert_int_equal(rig_open(&r).code, ERR_CORRUPT);
	assert_int_equal(r.disk.writes, writes);
	rig_free(&r);
}

static void expect_one_damaged(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	struct store_snapshot s;
	struct store_page *page;
	uint32_t damaged = 0, good = 0;
	uint64_t counted = 0;
	store_snapshot_begin(o, &s);
	for (uint32_t i = 0; i < store_snapshot_pages(&s); i++) {
		err e = store_page_get(&s, i, &page);
		damaged += e.code == ERR_CORRUPT;
		if (failed(e))
			continue;
		good += rig_identify(store_page_data(page), i) == i + 100;
		store_page_put(page);
	}
	store_snapshot_end(&s);
	assert_int_equal(damaged + good, 20);
	assert_int_equal(store_check(r->store, &counted).code, damaged ? ERR_CORRUPT : ERR_OK);
	assert_int_equal(counted, damaged);
}

static void rot_is_noticed_and_never_served(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 64 * 4096, 512, 13, 8);
	must(rig_open(&r));
	rig_run(&r, write_and_leave, &r);
	must(rig_close(&r));
	uint8_t *clean = malloc(r.disk.bytes);
	memcpy(clean, r.disk.media, r.disk.bytes);
	uint64_t seed = 13;
	for (uint32_t i = 0; i < 64; i++) {
		memcpy(r.disk.media, clean, r.disk.bytes);
		r.disk.media[i * 4096 + sim_random(&seed) % 4096] ^= (uint8_t)(1u << sim_random(&seed) % 8);
		rig_crash(&r);
		must(rig_open(&r)); /* each superblock has its twin */
		rig_run(&r, expect_one_damaged, &r);
		if (store_state(r.store) == STORE_OPEN)
			must(rig_close(&r));
		else
			rig_crash(&r);
	}
	free(clean);
	rig_free(&r);
}

/* --- Failing devices --- */

struct attempt {
	struct rig *rig;
	uint64_t acknowledged; /* id */
	bool failed_write;
};

static void write_until_failure(void *argument)
{
	struct attempt *a = argument;
	struct store_object *o;
	struct store_txn *t;
	uint64_t generation;
	uint8_t page[STORE_PAGE_SIZE];
	if (failed(store_object_open(a->rig->store, "main", true, &o)))
		return;
	for (uint64_t id = 1; id <= 12; id++) {
		if (failed(store_txn_begin(o, &t)))
			return;
		err e = OK;
		for (uint32_t p = 0; p < 40 && !failed(e); p++) {
			rig_fill(page, p, id);
			e = store_txn_write(t, p, page);
		}
		if (failed(e)) {
			store_txn_abort(t);
			return;
		}
		if (failed(store_txn_commit(t, &generation)) ||
			failed(store_wait_durable(a->rig->store, generation)))
			return;
		a->acknowledged = id;
		if (id % 5 == 0 && failed(store_checkpoint(a->rig->store)))
			return;
	}
}

static void expect_whole(void *argument)
{
	struct attempt *a = argument;
	struct store_object *o;
	if (failed(store_object_open(a->rig->store, "main", false, &o))) {
		assert_int_equal(a->acknowledged, 0);
		return;
	}
	struct store_snapshot s;
	store_snapshot_begin(o, &s);
	uint64_t id = store_snapshot_pages(&s) ? world_read(&s, 0) : 0;
	assert_in_range(id, a->acknowledged, a->acknowledged + 1);
	for (uint32_t p = 1; p < store_snapshot_pages(&s); p++)
		assert_int_equal(world_read(&s, p), id);
	store_snapshot_end(&s);
}

static void every_operation_may_fail_and_nothing_acknowledged_is_lost(void **state)
{
	(void)state;
	uint32_t n, opened = 0;
	for (n = 1; n < 2000; n++) {
		struct rig r;
		rig_init(&r, 512 * 4096, 512, 14, 8);
		r.config.cache_pages = 32;
		r.disk.fail_at = n;
		r.disk.fail_from = n % 2;
		struct attempt a = {.rig = &r};
		err e = rig_open(&r);
		if (!failed(e)) {
			opened++;
			rig_run(&r, write_until_failure, &a);
			if (store_state(r.store) == STORE_OPEN)
				(void)rig_close(&r).code;
			else
				assert_string_not_equal(store_reason(r.store), "");
		}
		bool reached = r.disk.fail_at == 0 || r.disk.fail_at == 1;
		r.disk.fail_at = 0;
		rig_crash(&r);
		must(rig_open(&r));
		rig_run(&r, expect_whole, &a);
		must(rig_close(&r));
		rig_free(&r);
		if (!reached)
			break;
	}
	assert_in_range(n, 100, 1999);
	assert_true(opened > 80);
}

static void fail_flush(void *argument)
{
	struct writer *w = argument;
	struct rig *r = w->rig;
	struct store_object *o = world_object(r);
	struct store_txn *t;
	must(store_wait_durable(r->store, world_commit(o, 0, 1)));
	r->disk.fail_flush_at = 1;
	w->waiter.generation = world_commit(o, 0, 2);
	store_waiter_add(r->store, &w->waiter);
	assert_int_equal(store_wait_durable(r->store, w->waiter.generation).code, ERR_IO);
	assert_int_equal(store_state(r->store), STORE_READ_ONLY);
	assert_int_equal(store_txn_begin(o, &t).code, ERR_IO);
	assert_int_equal(world_newest(o, 0), 1); /* what is durable */
	assert_int_equal(store_durable_generation(r->store), w->waiter.generation - 1);
}

static void a_failed_flush_fails_all_who_waited_and_ends_writing(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, MIB, 512, 15, 8);
	must(rig_open(&r));
	struct writer w = {.rig = &r, .waiter.done = waiter_done, .result = OK};
	rig_run(&r, fail_flush, &w);
	assert_int_equal(rig_close(&r).code, ERR_IO);
	assert_int_equal(w.done, 1);
	assert_int_equal(w.result.code, ERR_IO);
	rig_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_committed_is_there_after_closing_and_after_a_crash),
		cmocka_unit_test(a_transaction_larger_than_the_cache_spills_and_stays_atomic),
		cmocka_unit_test(truncation_hides_and_frees_pages_and_growing_shows_zeros),
		cmocka_unit_test(constant_data_never_fills_the_volume),
		cmocka_unit_test(a_full_volume_says_so_and_can_be_emptied),
		cmocka_unit_test(flushes_are_one_for_each_commit_alone_and_shared_by_many),
		cmocka_unit_test(a_commit_writes_little_more_than_its_pages),
		cmocka_unit_test(a_record_and_its_pages_are_one_request),
		cmocka_unit_test(others_run_while_a_checkpoint_sorts_many_changes),
		cmocka_unit_test(misses_of_one_page_share_one_read),
		cmocka_unit_test(a_page_that_is_changed_again_and_again_pushes_no_other_out),
		cmocka_unit_test(a_cache_of_lent_pages_is_an_error_not_a_crash),
		cmocka_unit_test(objects_are_apart_and_there_is_one_writer),
		cmocka_unit_test(a_foreign_volume_is_refused_untouched),
		cmocka_unit_test(a_small_volume_and_a_newer_one_are_refused),
		cmocka_unit_test(rot_is_noticed_and_never_served),
		cmocka_unit_test(every_operation_may_fail_and_nothing_acknowledged_is_lost),
		cmocka_unit_test(a_failed_flush_fails_all_who_waited_and_ends_writing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
