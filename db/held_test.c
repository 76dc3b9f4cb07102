/* What each snapshot holds alone, against a count by hand: in a small volume, with pages that are changed, deleted and
 * added between snapshots; and that it is what becomes free when the snapshot is deleted. */
#include "held.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define SIZE (16u << 20)

/* The program never frees what it allocates (tool.h). */
API_BEGIN
const char *__asan_default_options(void);
API_END
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

static void change(struct session *s, uint32_t from, uint32_t to, int value)
{
	uint8_t page[STORE_PAGE_SIZE];
	struct store_txn *t;
	uint64_t generation;
	memset(page, value, sizeof page);
	assert_false(failed(store_txn_begin(s->object, &t)));
	for (uint32_t p = from; p < to; p++)
		assert_false(failed(store_txn_write(t, p, page)));
	assert_false(failed(store_txn_commit(t, &generation)));
	assert_false(failed(store_wait_durable(s->store, generation)));
}

static void cut_to(struct session *s, uint32_t pages)
{
	struct store_txn *t;
	uint64_t generation;
	assert_false(failed(store_txn_begin(s->object, &t)));
	assert_false(failed(store_txn_truncate(t, pages)));
	assert_false(failed(store_txn_commit(t, &generation)));
	assert_false(failed(store_wait_durable(s->store, generation)));
}

static void keep(struct session *s, const char *name)
{
	assert_false(failed(store_named_create(s->object, name, 1)));
}

static void expect(struct session *s, uint32_t count, const uint64_t *alone, uint64_t together)
{
	struct held h;
	assert_true(held_count(s, &h));
	assert_int_equal(h.count, count);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(h.alone[i], alone[i]);
	assert_int_equal(h.together, together);
}

static int changed_here(struct session *s, void *context)
{
	(void)context;
	assert_false(failed(store_object_open(s->store, "main", true, &s->object)));
	expect(s, 0, NULL, 0);
	change(s, 0, 1000, 1);
	keep(s, "a");
	expect(s, 1, (uint64_t[]){0}, 0);
	change(s, 0, 100, 2); /* also while that is only in the journal */
	expect(s, 1, (uint64_t[]){100}, 100);
	keep(s, "b");
	change(s, 50, 300, 3); /* 50 of b alone; 200 of a and b */
	expect(s, 2, (uint64_t[]){100, 50}, 350);
	keep(s, "c");
	cut_to(s, 900); /* of all three */
	change(s, 900, 950, 4);
	expect(s, 3, (uint64_t[]){100, 50, 0}, 450);
	return 0;
}

/* Another process, as the command is one. The objects besides count as well. */
static int found_again(struct session *s, void *context)
{
	(void)context;
	expect(s, 3, (uint64_t[]){100, 50, 0}, 450);
	return 0;
}

static uint64_t blocks_free(struct session *s)
{
	struct store_stats stats;
	assert_false(failed(store_checkpoint(s->store)));
	assert_false(failed(store_checkpoint(s->store)));
	store_stats(s->store, &stats);
	return stats.blocks_free;
}

static int freed(struct session *s, void *context)
{
	(void)context;
	static const char *const names[] = {"b", "a", "c"};
	static const uint64_t more[] = {50, 300, 100}; /* as soon as b has gone, a alone holds those 200 */
	for (uint32_t i = 0; i < 3; i++) {
		uint64_t before = blocks_free(s);
		assert_false(failed(store_named_delete(s->store, names[i])));
		uint64_t after = blocks_free(s);
		/* And the nodes of its map. */
		assert_in_range(after - before, more[i], more[i] + 16);
	}
	expect(s, 0, NULL, 0);
	return 0;
}

static void what_only_a_snapshot_holds_is_counted_and_becomes_free(void **state)
{
	(void)state;
	char path[] = "/tmp/held_test.XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	struct session made = {.place = {.path = path}, .mode = SESSION_WRITE, .size = SIZE};
	assert_int_equal(session_run(&made, changed_here, NULL), 0);
	struct session read = {.place = {.path = path, .exists = true}, .mode = SESSION_READ};
	assert_int_equal(session_run(&read, found_again, NULL), 0);
	struct session alone = {.place = {.path = path, .exists = true}, .mode = SESSION_WRITE};
	assert_int_equal(session_run(&alone, freed, NULL), 0);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_only_a_snapshot_holds_is_counted_and_becomes_free),
	};
	return cmocka_run_group_tests_name("held", tests, NULL, NULL);
}
