/* The heap under malloc. This module is part of guest builds only, so its one pure file is compiled here. */
#include "heap.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#define PAGES 200u

static uint8_t *new_heap(struct heap *h)
{
	uint8_t *memory = aligned_alloc(HEAP_PAGE, PAGES * HEAP_PAGE);
	memset(memory, 0, PAGES * HEAP_PAGE);
	heap_init(h, memory, PAGES * HEAP_PAGE);
	return memory;
}

static void exhaustion_is_counted_and_ends(void **state)
{
	(void)state;
	struct heap h;
	uint8_t *memory = new_heap(&h);
	assert_int_equal(h.count, PAGES - 1);
	assert_null(heap_map(&h, PAGES * HEAP_PAGE));
	assert_null(heap_map(&h, SIZE_MAX));
	assert_int_equal(h.failures, 2);
	uint8_t *all = heap_map(&h, (PAGES - 1) * HEAP_PAGE);
	assert_non_null(all);
	assert_null(heap_map(&h, 1));
	assert_true(heap_unmap(&h, all + HEAP_PAGE, HEAP_PAGE));
	assert_ptr_equal(heap_map(&h, 1), all + HEAP_PAGE);
	assert_int_equal(h.used, PAGES - 1);
	free(memory);
}

static void memory_is_zero_again(void **state)
{
	(void)state;
	struct heap h;
	uint8_t *memory = new_heap(&h);
	uint8_t *a = heap_map(&h, 3 * HEAP_PAGE);
	memset(a, 0xff, 3 * HEAP_PAGE);
	assert_true(heap_unmap(&h, a, 3 * HEAP_PAGE));
	uint8_t *b = heap_map(&h, 5 * HEAP_PAGE);
	assert_ptr_equal(a, b);
	for (size_t i = 0; i < 5 * HEAP_PAGE; i++)
		assert_int_equal(b[i], 0);
	free(memory);
}

static void what_is_not_in_the_heap_is_refused(void **state)
{
	(void)state;
	struct heap h;
	uint8_t *memory = new_heap(&h);
	uint8_t *a = heap_map(&h, HEAP_PAGE);
	assert_false(heap_unmap(&h, memory, HEAP_PAGE));
	assert_false(heap_unmap(&h, a + 1, 100));
	assert_false(heap_unmap(&h, a, SIZE_MAX));
	assert_false(heap_unmap(&h, a + (PAGES - 1) * HEAP_PAGE, HEAP_PAGE));
	assert_int_equal(h.used, 1);
	free(memory);
}

static void runs_grow_in_place_only_into_free_pages(void **state)
{
	(void)state;
	struct heap h;
	uint8_t *memory = new_heap(&h);
	uint8_t *a = heap_map(&h, HEAP_PAGE), *b = heap_map(&h, HEAP_PAGE);
	assert_false(heap_resize(&h, a, HEAP_PAGE, 2 * HEAP_PAGE));
	assert_true(heap_unmap(&h, b, HEAP_PAGE));
	assert_true(heap_resize(&h, a, HEAP_PAGE, 4 * HEAP_PAGE));
	assert_int_equal(h.used, 4);
	assert_true(heap_resize(&h, a, 4 * HEAP_PAGE, HEAP_PAGE));
	assert_int_equal(h.used, 1);
	assert_false(heap_resize(&h, a, HEAP_PAGE, PAGES * HEAP_PAGE));
	free(memory);
}

/* Against a model: no two runs overlap, and the count is right. */
static void runs_never_overlap(void **state)
{
	(void)state;
	struct heap h;
	uint8_t *memory = new_heap(&h), *at[64] = {0};
	size_t len[64] = {0}, used = 0;
	uint32_t seed = 1;
	for (int step = 0; step < 20000; step++) {
		seed = seed * 1664525 + 1013904223;
		size_t i = seed >> 16 & 63, pages = (seed >> 22 & 7) + 1;
		if (at[i]) {
			for (size_t k = 0; k < len[i]; k += HEAP_PAGE)
				assert_int_equal(at[i][k], i);
			assert_true(heap_unmap(&h, at[i], len[i]));
			used -= len[i] / HEAP_PAGE;
			at[i] = NULL;
		} else if ((at[i] = heap_map(&h, pages * HEAP_PAGE))) {
			len[i] = pages * HEAP_PAGE;
			used += pages;
			for (size_t k = 0; k < len[i]; k += HEAP_PAGE) {
				assert_int_equal(at[i][k], 0);
				at[i][k] = (uint8_t)i;
			}
		}
		assert_int_equal(h.used, used);
	}
	assert_true(h.failures > 0);
	free(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exhaustion_is_counted_and_ends),
		cmocka_unit_test(memory_is_zero_again),
		cmocka_unit_test(what_is_not_in_the_heap_is_refused),
		cmocka_unit_test(runs_grow_in_place_only_into_free_pages),
		cmocka_unit_test(runs_never_overlap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
