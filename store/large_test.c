/* Transactions that change more pages than there are deltas for. */
#include "support/world.h"

#include <string.h>

enum { PART = 16, PAGES = 64 * PART };

static struct store_txn *begin(struct store_object *o)
{
	struct store_txn *t;
	must(store_txn_begin(o, &t));
	return t;
}

static void write_all(struct store_txn *t, uint32_t pages, uint64_t id)
{
	for (uint32_t i = 0; i < pages; i++)
		world_write(t, i, id + i);
}

static uint64_t commit(struct store_txn *t)
{
	uint64_t generation;
	must(store_txn_commit(t, &generation));
	return generation;
}

static void expect_txn(struct store_txn *t, uint32_t page_no, uint64_t id)
{
	uint8_t page[STORE_PAGE_SIZE];
	must(store_txn_read(t, page_no, page));
	assert_int_equal(rig_identify(page, page_no), id);
}

static void expect_pages(struct store_object *o, uint32_t pages, uint64_t id)
{
	struct store_snapshot s;
	store_snapshot_begin(o, &s);
	assert_int_equal(store_snapshot_pages(&s), pages);
	for (uint32_t i = 0; i < pages; i++)
		assert_int_equal(world_read(&s, i), id + i);
	store_snapshot_end(&s);
}

/* Nothing but this is in use: reserved, pages, map nodes, the space map, the next two headers. */
static void expect_used(struct rig *r, uint32_t pages, uint32_t nodes)
{
	const struct store_check_job job = {.space = true};
	struct store_check_result result;
	struct store_stats stats;
	must(store_checkpoint(r->store));
	must(store_checkpoint(r->store));
	store_stats(r->store, &stats);
	assert_int_equal(stats.blocks - stats.blocks_free - stats.blocks_waiting, 16 + pages + nodes + 1 + 2);
	must(store_check_all(r->store, &job, &result));
	assert_int_equal(result.leaked, 0);
}

static uint64_t larges(struct rig *r)
{
	struct store_stats stats;
	store_stats(r->store, &stats);
	return stats.txns_large;
}

static uint32_t objects(struct rig *r)
{
	struct store_object_info info;
	uint32_t n = 0, cursor = 0;
	while (store_object_next(r->store, &cursor, &info))
		n++;
	return n;
}

static void commits_and_aborts(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	struct store_snapshot before;
	struct store_txn *t = begin(o);
	write_all(t, PART, 100);
	(void)commit(t);
	assert_int_equal(larges(r), 0); /* exactly as many as there is room for */
	t = begin(o);
	write_all(t, PAGES, 1000);
	assert_int_equal(objects(r), 1); /* nobody else sees it */
	expect_pages(o, PART, 100);
	(void)commit(t);
	assert_int_equal(larges(r), 1);
	expect_pages(o, PAGES, 1000);
	expect_used(r, PAGES, 5);

	store_snapshot_begin(o, &before);
	t = begin(o);
	write_all(t, PAGES, 50000);
	write_all(t, PAGES / 2, 90000); /* once more what is in the branch's map */
	expect_txn(t, 1, 90001);
	expect_txn(t, PAGES - 1, 50000 + PAGES - 1);
	expect_pages(o, PAGES, 1000);
	assert_true(store_snapshot_is_newest(&before));
	store_txn_abort(t);
	expect_pages(o, PAGES, 1000);
	store_snapshot_end(&before);
	expect_used(r, PAGES, 5);

	t = begin(o);
	write_all(t, PAGES, 70000);
	must(store_txn_truncate(t, 5));
	expect_txn(t, 4, 70004);
	must(store_txn_truncate(t, 600));
	expect_txn(t, 599, 0);
	world_write(t, 599, 70599);
	must(store_txn_truncate(t, 5));
	store_snapshot_begin(o, &before);
	uint64_t generation = commit(t);
	assert_int_equal(store_durable_generation(r->store), generation);
	assert_false(store_snapshot_is_newest(&before));
	for (uint32_t i = 0; i < PAGES; i += 7)
		assert_int_equal(world_read(&before, i), 1000 + i);
	store_snapshot_end(&before);
	expect_pages(o, 5, 70000);
	expect_used(r, 5, 2);
}

static void run(void (*what)(void *), uint64_t mib)
{
	struct rig r;
	rig_init(&r, 24 * MIB, 512, 5, 8);
	r.disk.device.sector_count = mib * MIB / 512;
	r.config.cache_pages = 40;
	r.config.txn_pages_max = PART;
	must(rig_open(&r));
	rig_run(&r, what, &r);
	must(rig_close(&r));
	rig_free(&r);
}

static void a_transaction_of_64_times_what_memory_can_name_is_seen_whole_or_not_at_all(void **state)
{
	(void)state;
	run(commits_and_aborts, 16);
}

static void beside_others(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r), *other;
	struct store_snapshot early, named;
	struct store_txn *t = begin(o);
	write_all(t, PAGES, 1000);
	(void)commit(t);
	store_snapshot_begin(o, &early);
	t = begin(o);
	for (uint32_t i = 0; i < PAGES; i += 2)
		world_write(t, i, 5000 + i);
	must(store_named_create(o, "in the midst", 1)); /* does not have the transaction's changes */
	assert_int_equal(store_object_open(r->store, "other", true, &other).code, ERR_BUSY);
	assert_int_equal(store_object_delete(r->store, "main").code, ERR_BUSY);
	assert_int_equal(store_named_restore(o, "in the midst").code, ERR_BUSY);
	r->disk.device.sector_count = 24 * MIB / 512; /* it has grown */
	must(store_check(r->store, NULL));
	for (uint32_t i = 0; i < PAGES; i += 4)
		world_write(t, i, 9000 + i);
	(void)commit(t);
	must(store_named_begin(r->store, "in the midst", &named));
	for (uint32_t i = 0; i < PAGES; i++) {
		assert_int_equal(world_read(&early, i), 1000 + i);
		assert_int_equal(world_read(&named, i), 1000 + i);
		assert_int_equal(world_newest(o, i), i % 2 ? 1000 + i : i % 4 ? 5000 + i : 9000 + i);
	}
	store_snapshot_end(&named);
	store_snapshot_end(&early);
	must(store_named_restore(o, "in the midst"));
	must(store_named_delete(r->store, "in the midst"));
	expect_pages(o, PAGES, 1000);
	expect_used(r, PAGES, 5);
}

static void snapshots_checks_and_growth_go_on_beside_it(void **state)
{
	(void)state;
	run(beside_others, 16);
}

static void fill_up(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	struct store_txn *t = begin(o);
	uint8_t page[STORE_PAGE_SIZE];
	err e = OK;
	write_all(t, 300, 1000);
	(void)commit(t);
	t = begin(o);
	for (uint32_t i = 0; i < 100000 && e.code == ERR_OK; i++) {
		rig_fill(page, i, i);
		e = store_txn_write(t, i, page);
	}
	assert_int_equal(e.code, ERR_NO_SPACE);
	expect_pages(o, 300, 1000);
	store_txn_abort(t);
	assert_int_equal(store_state(r->store), STORE_OPEN);
	expect_pages(o, 300, 1000);
	expect_used(r, 300, 3);
	t = begin(o);
	write_all(t, 300, 2000);
	(void)commit(t);
	expect_pages(o, 300, 2000);
}

static void on_a_full_volume_it_fails_whole_and_all_is_free_again(void **state)
{
	(void)state;
	run(fill_up, 4);
}

static void crowd(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	uint8_t page[STORE_PAGE_SIZE];
	char name[] = "A";
	for (uint32_t i = 1; i < STORE_OBJECTS_MAX; i++, name[0]++)
		must(store_named_create(o, name, 1));
	struct store_txn *t = begin(o);
	err e = OK;
	for (uint32_t i = 0; i < PAGES && e.code == ERR_OK; i++) {
		rig_fill(page, i, i);
		e = store_txn_write(t, i, page);
	}
	assert_int_equal(e.code, ERR_NO_MEMORY);
	store_txn_abort(t);
	assert_int_equal(store_state(r->store), STORE_OPEN);
	must(store_named_delete(r->store, "B"));
	t = begin(o);
	write_all(t, PAGES, 1000);
	(void)commit(t);
	expect_pages(o, PAGES, 1000);
	while (name[0]-- > 'A')
		if (name[0] != 'B')
			must(store_named_delete(r->store, name));
	expect_used(r, PAGES, 5);
}

static void without_a_place_in_the_table_it_fails_whole(void **state)
{
	(void)state;
	run(crowd, 16);
}

static void leave_unfinished(void *argument)
{
	struct rig *r = argument;
	struct store_object *o = world_object(r);
	struct store_txn *t = begin(o);
	write_all(t, PAGES, 1000);
	(void)commit(t);
	t = begin(o);
	write_all(t, PAGES, 5000);
}

static void expect_old(void *argument)
{
	struct rig *r = argument;
	assert_int_equal(objects(r), 1);
	expect_pages(world_object(r), PAGES, 1000);
	if (!r->config.device->read_only)
		expect_used(r, PAGES, 5);
}

static void what_a_stop_leaves_of_it_is_gone_at_the_next_opening(void **state)
{
	(void)state;
	struct rig r;
	rig_init(&r, 16 * MIB, 512, 5, 8);
	r.config.cache_pages = 40;
	r.config.txn_pages_max = PART;
	must(rig_open(&r));
	rig_run(&r, leave_unfinished, &r);
	rig_crash(&r);
	r.config.txn_pages_max = 4096; /* there is no merging, and so the journal must fit */
	r.disk.device.read_only = true;
	must(rig_open(&r));
	assert_true(store_state(r.store) == STORE_READ_ONLY);
	rig_run(&r, expect_old, &r);
	must(rig_close(&r));
	r.disk.device.read_only = false;
	r.config.txn_pages_max = PART;
	for (uint32_t i = 0; i < 2; i++) {
		must(rig_open(&r));
		rig_run(&r, expect_old, &r);
		must(rig_close(&r));
	}
	rig_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_transaction_of_64_times_what_memory_can_name_is_seen_whole_or_not_at_all),
		cmocka_unit_test(snapshots_checks_and_growth_go_on_beside_it),
		cmocka_unit_test(on_a_full_volume_it_fails_whole_and_all_is_free_again),
		cmocka_unit_test(without_a_place_in_the_table_it_fails_whole),
		cmocka_unit_test(what_a_stop_leaves_of_it_is_gone_at_the_next_opening),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
