#include <core/budget.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "support/fake.h"

#define ITEMS 4

static void make_items(struct budget_item items[ITEMS], struct pool *pool)
{
	const struct budget_item table[ITEMS] = {
		{.name = "connections", .pool = pool, .item_size = 300, .count_min = 8,
			.count_per_mib = 64, .count_max = 1000},
		{.name = "stacks", .item_size = 20480, .alignment = 4096, .count_min = 4,
			.count_per_mib = 4},
		{.name = "odd", .item_size = 1, .count_min = 1},
		{.name = "pages", .item_size = 4096, .alignment = 4096, .count_min = 10,
			.takes_rest = true},
	};
	memcpy(items, table, sizeof table);
}

static err divide(size_t memory_len, struct budget *b, struct budget_item items[ITEMS])
{
	struct fake f;
	fake_init(&f, memory_len);
	f.platform.memory_total = memory_len + 512 * 1024;
	static struct pool pool;
	make_items(items, &pool);
	err e = budget_divide(b, &f.platform, items, ITEMS);
	if (!failed(e)) {
		assert_int_equal(pool.capacity, items[0].count);
		uint8_t *end = f.platform.memory;
		for (int i = 0; i < ITEMS; i++) {
			assert_true(items[i].memory >= end); /* none overlaps the one before */
			assert_true(items[i].count >= items[i].count_min);
			end = items[i].memory
				+ pool_memory_size(items[i].item_size, items[i].count);
			memset(items[i].memory, 0xff, (size_t)(end - items[i].memory));
		}
		assert_true(end <= f.platform.memory + memory_len);
		assert_int_equal((uintptr_t)items[1].memory % 4096, 0);
		assert_int_equal((uintptr_t)items[3].memory % 4096, 0);
		assert_true(b->used <= memory_len);
	}
	fake_deinit(&f);
	return e;
}

static void every_size_of_memory_is_divided_or_refused(void **state)
{
	(void)state;
	struct budget b;
	struct budget_item items[ITEMS];
	bool fitted = false;
	for (size_t pages = 1; pages < 600; pages += 1 + pages / 64) {
		err e = divide(pages * 4096, &b, items);
		assert_true(failed(e) == (b.needed > pages * 4096));
		assert_false(fitted && failed(e));
		fitted = !failed(e);
	}
	assert_true(fitted);
}

static void plenty_gives_what_is_wanted_and_the_rest_to_who_takes_it(void **state)
{
	(void)state;
	struct budget b;
	struct budget_item items[ITEMS];
	assert_false(failed(divide((size_t)8 << 20, &b, items)));
	assert_int_equal(items[0].count, 8 * 64);
	assert_int_equal(items[1].count, 8 * 4);
	assert_int_equal(items[2].count, 1);
	assert_true(b.memory_len - b.used < 3 * 4096);
	assert_false(failed(divide((size_t)32 << 20, &b, items)));
	assert_int_equal(items[0].count, 1000);
}

static void scarcity_shrinks_all_in_proportion(void **state)
{
	(void)state;
	struct budget b;
	struct fake f;
	fake_init(&f, (size_t)1 << 20);
	struct budget_item items[] = {
		{.name = "a", .item_size = 1024, .count_per_mib = 2048},
		{.name = "b", .item_size = 4096, .count_per_mib = 512},
	};
	assert_false(failed(budget_divide(&b, &f.platform, items, 2)));
	assert_in_range(items[0].count, 500, 512);
	assert_in_range(items[1].count, 125, 128);
	fake_deinit(&f);
}

static void too_little_says_how_much_would_do(void **state)
{
	(void)state;
	struct budget b;
	struct budget_item items[ITEMS];
	assert_int_equal(divide(65536, &b, items).code, ERR_NO_MEMORY);
	char text[128] = {0};
	struct writer w = writer_of(text, sizeof text - 1);
	budget_explain(&b, &w);
	/* 8 * 304 + 4 * 20480 + 16 + 10 * 4096 and alignment: 133552 bytes; 512 KiB are taken. */
	assert_string_equal(text, "needs at least 643 KiB of memory, the machine has 576 KiB");
	assert_false(failed(divide((133552 + 4095) / 4096 * 4096, &b, items)));
	assert_int_equal(b.needed, 8 * 304 + 4 * 20480 + 16 + 10 * 4096 + 2 * 4096 + 2 * 16);
}

static void absurd_minima_are_refused_and_do_not_wrap(void **state)
{
	(void)state;
	struct budget b;
	struct fake f;
	fake_init(&f, 65536);
	struct budget_item items[] = {
		{.name = "a", .item_size = SIZE_MAX / 2, .count_min = UINT32_MAX},
		{.name = "b", .item_size = 16, .count_min = 1},
	};
	assert_int_equal(budget_divide(&b, &f.platform, items, 2).code, ERR_NO_MEMORY);
	assert_true(b.needed == SIZE_MAX);
	fake_deinit(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_of_memory_is_divided_or_refused),
		cmocka_unit_test(plenty_gives_what_is_wanted_and_the_rest_to_who_takes_it),
		cmocka_unit_test(scarcity_shrinks_all_in_proportion),
		cmocka_unit_test(too_little_says_how_much_would_do),
		cmocka_unit_test(absurd_minima_are_refused_and_do_not_wrap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
