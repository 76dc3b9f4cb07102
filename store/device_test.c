/* A device that fails once, for good, or does not answer. */
#include "support/world.h"

#include <string.h>

#define SECOND 1000000000u

struct scene {
	struct rig rig;
	err result;
	struct store_waiter waiter[4];
	err told[4];
	uint32_t tell; /* bits: has been told */
};

static err put(struct scene *c, struct store_object *o, uint32_t page_no, uint64_t id)
{
	uint8_t page[STORE_PAGE_SIZE];
	uint64_t generation;
	struct store_txn *t;
	rig_fill(page, page_no, id);
	TRY(store_txn_begin(o, &t));
	err e = store_txn_write(t, page_no, page);
	if (failed(e)) {
		store_txn_abort(t);
		return e;
	}
	TRY(store_txn_commit(t, &generation));
	return store_wait_durable(c->rig.store, generation);
}

static err get(struct store_object *o, uint32_t page_no, uint64_t id)
{
	struct store_snapshot s;
	struct store_page *page;
	store_snapshot_begin(o, &s);
	err e = store_page_get(&s, page_no, &page);
	if (!failed(e)) {
		assert_int_equal(rig_identify(store_page_data(page), page_no), id);
		store_page_put(page);
	}
	store_snapshot_end(&s);
	return e;
}

/* Reads, writes, checkpoints; more pages than the cache has. */
static err use(struct scene *c)
{
	struct store_object *o;
	TRY(store_object_open(c->rig.store, "main", true, &o));
	for (uint32_t i = 0; i < 60; i++)
		TRY(put(c, o, i, i + 1));
	TRY(store_checkpoint(c->rig.store));
	for (uint32_t i = 0; i < 60; i++)
		TRY(get(o, i, i + 1));
	return OK;
}

static void run_use(void *argument)
{
	struct scene *c = argument;
	c->result = use(c);
}

static void read_what_is_durable(void *argument)
{
	struct scene *c = argument;
	struct store_object *o;
	if (failed(store_object_open(c->rig.store, "main", false, &o)))
		return;
	struct store_snapshot s;
	store_snapshot_begin(o, &s);
	assert_int_equal(s.generation, store_durable_generation(c->rig.store));
	uint32_t pages = store_snapshot_pages(&s);
	store_snapshot_end(&s);
	for (uint32_t i = 0; i < pages; i++)
		must(get(o, i, i + 1));
	assert_int_equal(put(c, o, 0, 9).code, ERR_IO);
}

/* True: the N-th operation was reached. */
static bool fail_the_nth(struct scene *c, uint64_t n, bool for_good)
{
	struct rig *r = &c->rig;
	struct store_stats stats;
	rig_init(r, 512 * 4096, 512, n, 8);
	r->config.cache_pages = 32;
	r->disk.fail_at = n;
	r->disk.fail_from = for_good;
	c->result = rig_open(r);
	bool opened = !failed(c->result);
	if (opened)
		rig_run(r, run_use, c);
	bool reached = for_good ? r->disk.fail_at == 1 : r->disk.fail_at == 0;
	r->disk.fail_at = 0;
	if (opened) {
		store_stats(r->store, &stats);
		bool flush = strstr(store_reason(r->store), "a flush has failed") != NULL;
		bool other = strstr(store_reason(r->store), "write of") != NULL;
		if (!reached || !for_good) {
			/* Only a flush is not tried again. */
			assert_int_equal(failed(c->result), flush);
			assert_int_equal(stats.io_errors, flush);
			assert_true(stats.io_retries + stats.io_errors <= 1);
		} else if (failed(c->result) && store_state(r->store) == STORE_READ_ONLY) {
			assert_true(flush || other || strstr(store_reason(r->store), "map"));
			assert_true(stats.io_errors >= 1);
		}
		assert_int_equal(store_state(r->store) == STORE_OPEN, !*store_reason(r->store));
		/* Reads go on when the device does. */
		if (store_state(r->store) == STORE_READ_ONLY)
			rig_run(r, read_what_is_durable, c);
		bool fine = store_state(r->store) == STORE_OPEN;
		err e = rig_close(r);
		assert_true(!failed(e) || !fine);
	} else {
		assert_int_equal(c->result.code, ERR_IO);
	}
	rig_crash(r);
	rig_free(r);
	return reached;
}

static void what_fails_once_is_tried_again_except_a_flush(void **state)
{
	(void)state;
	static struct scene c;
	uint32_t read_only = 0, n = 1;
	for (; fail_the_nth(&c, n, false); n++)
		read_only += failed(c.result);
	assert_in_range(n, 200, 2000);
	assert_in_range(read_only, 60, n / 2); /* the flushes */
}

static void what_always_fails_makes_it_read_only_and_is_named(void **state)
{
	(void)state;
	static struct scene c;
	uint32_t n = 1;
	while (fail_the_nth(&c, n, true))
		n++;
	assert_in_range(n, 200, 2000);
}

/* --- Who is told what --- */

static void told(struct store_waiter *w, err result)
{
	uint32_t i = (uint32_t)(w->generation % 4);
	struct scene *c = CONTAINER_OF(w - i, struct scene, waiter);
	assert_false(c->tell & 1u << i);
	c->tell |= 1u << i;
	c->told[i] = result;
}

static void wait_for(struct scene *c, uint64_t generation)
{
	struct store_waiter *w = &c->waiter[generation % 4];
	*w = (struct store_waiter){.generation = generation, .done = told};
	store_waiter_add(c->rig.store, w);
}

/* A truncating transaction and one more are in memory when the flush of the first fails. */
static void fail_a_flush(void *argument)
{
	struct scene *c = argument;
	struct store *s = c->rig.store;
	struct store_object *o = world_object(&c->rig);
	struct store_txn *t;
	struct store_snapshot old, lost, now;
	uint64_t durable, first, second;
	for (uint32_t i = 0; i < 10; i++)
		must(put(c, o, i, i + 1));
	must(store_checkpoint(s));
	must(put(c, o, 5, 6));
	durable = store_generation(s);
	wait_for(c, durable);
	c->rig.disk.fail_flush_at = 1;
	c->rig.disk.flush_ns = 50000000;
	store_snapshot_begin(o, &old);
	must(store_txn_begin(o, &t));
	must(store_txn_truncate(t, 3));
	world_write(t, 0, 77);
	must(store_txn_commit(t, &first));
	wait_for(c, first);
	fiber_sleep_until(&c->rig.loop, c->rig.loop.now_ns + 20000000); /* the flush is under way */
	second = world_commit(o, 1, 78);
	wait_for(c, second);
	store_snapshot_begin(o, &lost);
	store_snapshot_begin_durable(o, &now);
	assert_int_equal(now.generation, durable);
	assert_false(store_snapshot_is_newest(&now));
	assert_int_equal(store_snapshot_pages(&now), 10);
	assert_int_equal(world_read(&now, 0), 1);
	store_snapshot_end(&now);
	assert_int_equal(store_wait_durable(s, second).code, ERR_IO);
	assert_int_equal(store_wait_durable(s, first).code, ERR_IO);
	must(store_wait_durable(s, durable));
	assert_non_null(strstr(store_reason(s), "a flush has failed"));
	/* Those who began before see what they saw; a new reader what is on stable storage. */
	assert_int_equal(store_snapshot_pages(&lost), 3);
	assert_int_equal(world_read(&lost, 0), 77);
	assert_int_equal(world_read(&lost, 1), 78);
	store_snapshot_begin(o, &now);
	assert_int_equal(now.generation, durable);
	for (struct store_snapshot *each = &now; each; each = each == &now ? &old : NULL) {
		assert_int_equal(store_snapshot_pages(each), 10);
		for (uint32_t i = 0; i < 10; i++)
			assert_int_equal(world_read(each, i), i + 1);
	}
	assert_int_equal(store_txn_begin(o, &t).code, ERR_IO);
	store_snapshot_end(&lost);
	store_snapshot_end(&now);
	store_snapshot_end(&old);
	fiber_sleep_until(&c->rig.loop, c->rig.loop.now_ns + 1000000);
	assert_int_equal(c->told[durable % 4].code, ERR_OK);
	assert_int_equal(c->told[first % 4].code, ERR_IO);
	assert_int_equal(c->told[second % 4].code, ERR_IO);
	assert_int_equal(__builtin_popcount(c->tell), 3);
}

static void a_failed_flush_fails_just_those_who_waited_for_it(void **state)
{
	(void)state;
	static struct scene c;
	rig_init(&c.rig, MIB, 512, 3, 8);
	must(rig_open(&c.rig));
	rig_run(&c.rig, fail_a_flush, &c);
	assert_int_equal(rig_close(&c.rig).code, ERR_IO);
	rig_free(&c.rig);
}

static void checkpoint_fails(void *argument)
{
	struct scene *c = argument;
	c->result = store_checkpoint(c->rig.store);
}

/* The device may report a loss to that flush alone, and what is written while it is under way may be lost with it. So
 * the next one's success says nothing. */
static void commit_beside_a_flush_that_fails(void *argument)
{
	struct scene *c = argument;
	struct store *s = c->rig.store;
	struct store_object *o = world_object(&c->rig);
	must(put(c, o, 0, 1));
	fiber_sleep_until(&c->rig.loop, c->rig.loop.now_ns + 100000000);
	c->rig.disk.flush_ns = 50000000;
	c->rig.disk.fail_flush_at = 1;
	must(fiber_spawn(&c->rig.loop, checkpoint_fails, c));
	fiber_sleep_until(&c->rig.loop, c->rig.loop.now_ns + 20000000); /* its flush is under way */
	assert_int_equal(c->rig.disk.fail_flush_at, 0);
	c->rig.disk.flush_ns = 500000000;
	uint64_t before = store_durable_generation(s), generation = world_commit(o, 0, 2);
	wait_for(c, generation);
	c->tell = 0;
	assert_int_equal(store_wait_durable(s, generation).code, ERR_IO);
	fiber_sleep_until(&c->rig.loop, c->rig.loop.now_ns + 1000000000);
	assert_int_equal(c->result.code, ERR_IO);
	assert_int_equal(c->told[generation % 4].code, ERR_IO);
	assert_int_equal(store_durable_generation(s), before);
}

static void no_flush_that_was_under_way_beside_a_failed_one_counts(void **state)
{
	(void)state;
	static struct scene c;
	rig_init(&c.rig, MIB, 512, 3, 8);
	must(rig_open(&c.rig));
	rig_run(&c.rig, commit_beside_a_flush_that_fails, &c);
	assert_int_equal(rig_close(&c.rig).code, ERR_IO);
	rig_free(&c.rig);
}

/* --- A device that does not answer --- */

static void hang(void *argument)
{
	struct scene *c = argument;
	struct store_object *o = world_object(&c->rig);
	must(put(c, o, 0, 1));
	must(put(c, o, 1, 2));
	uint64_t before = c->rig.loop.now_ns;
	c->rig.disk.flush_ns = 3600ull * SECOND;
	assert_int_equal(put(c, o, 0, 5).code, ERR_IO);
	assert_in_range(c->rig.loop.now_ns - before, 60ull * SECOND, 62ull * SECOND);
	assert_int_equal(store_state(c->rig.store), STORE_READ_ONLY);
	assert_non_null(strstr(store_reason(c->rig.store), "the device does not answer: a flush, for 60 s"));
	must(get(o, 0, 1));
	must(get(o, 1, 2));
	assert_int_equal(store_txn_begin(o, &(struct store_txn *){NULL}).code, ERR_IO);
	assert_int_equal(store_close(c->rig.store).code, ERR_TIMEOUT);
}

static void a_device_that_never_answers_counts_as_dead_after_a_minute(void **state)
{
	(void)state;
	static struct scene c;
	rig_init(&c.rig, MIB, 512, 4, 8);
	must(rig_open(&c.rig));
	rig_run(&c.rig, hang, &c);
	rig_crash(&c.rig);
	rig_free(&c.rig);
}

static void be_slow(void *argument)
{
	struct scene *c = argument;
	struct store_object *o = world_object(&c->rig);
	must(put(c, o, 0, 1));
	c->rig.disk.flush_ns = 20ull * SECOND; /* to 40 */
	must(put(c, o, 0, 5));
	assert_non_null(strstr(c->rig.last_log, "answers again"));
	c->rig.disk.flush_ns = 1000;
	must(put(c, o, 0, 6));
}

static void a_slow_device_is_only_mentioned(void **state)
{
	(void)state;
	static struct scene c;
	rig_init(&c.rig, MIB, 512, 5, 8);
	must(rig_open(&c.rig));
	rig_run(&c.rig, be_slow, &c);
	must(rig_close(&c.rig));
	rig_free(&c.rig);
}

static void sleep_long(void *argument)
{
	struct scene *c = argument;
	fiber_sleep_until(&c->rig.loop, c->rig.sim.now_ns + SECOND / 10); /* the flush is under way */
	c->rig.sim.now_ns += 61ull * SECOND;
}

/* The machine does something else for so long, or is stopped by its host, before the request is made or after. */
static void be_away(void *argument)
{
	struct scene *c = argument;
	struct store_object *o = world_object(&c->rig);
	must(put(c, o, 0, 1));
	c->rig.sim.now_ns += 100ull * SECOND;
	must(put(c, o, 0, 5));
	assert_null(strstr(c->rig.last_log, "answer"));
	c->rig.disk.flush_ns = 62ull * SECOND; /* of which all but a little is its own sleep */
	rig_spawn(&c->rig, sleep_long, c);
	must(put(c, o, 0, 6));
	c->rig.disk.flush_ns = 1000;
	assert_int_equal(store_state(c->rig.store), STORE_OPEN);
}

static void a_machine_that_was_away_does_not_blame_the_device(void **state)
{
	(void)state;
	static struct scene c;
	rig_init(&c.rig, MIB, 512, 6, 8);
	must(rig_open(&c.rig));
	rig_run(&c.rig, be_away, &c);
	must(rig_close(&c.rig));
	rig_free(&c.rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_fails_once_is_tried_again_except_a_flush),
		cmocka_unit_test(what_always_fails_makes_it_read_only_and_is_named),
		cmocka_unit_test(a_failed_flush_fails_just_those_who_waited_for_it),
		cmocka_unit_test(no_flush_that_was_under_way_beside_a_failed_one_counts),
		cmocka_unit_test(a_device_that_never_answers_counts_as_dead_after_a_minute),
		cmocka_unit_test(a_slow_device_is_only_mentioned),
		cmocka_unit_test(a_machine_that_was_away_does_not_blame_the_device),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
