/* Copies of every length up to some words, from every place to every other, overlapping or not. */
#include "copy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define SPACE 700u

static void fill(uint8_t *at)
{
	for (size_t i = 0; i < SPACE; i++)
		at[i] = (uint8_t)(i * 7 + i / 256);
}

static void expect_moved(const uint8_t *at, size_t to, size_t from, size_t len)
{
	uint8_t was[SPACE];
	fill(was);
	for (size_t i = 0; i < SPACE; i++)
		assert_int_equal(at[i], i >= to && i < to + len ? was[from + i - to] : was[i]);
}

static void move(size_t to, size_t from, size_t len)
{
	uint8_t at[SPACE];
	fill(at);
	if (to <= from || to >= from + len)
		copy_up(at + to, at + from, len);
	else
		copy_few(at + to, at + from, copy_down(at + to, at + from, len));
	expect_moved(at, to, from, len);
}

static void any_length_goes_to_any_place(void **state)
{
	(void)state;
	for (size_t len = 0; len <= 300; len++)
		for (size_t distance = 0; distance <= 40; distance++) {
			move(300, 300 - distance, len);
			move(300 - distance, 300, len);
		}
}

/* In memory of exactly that length. */
static void nothing_beyond_is_touched(void **state)
{
	(void)state;
	for (size_t len = 0; len <= 300; len++) {
		uint8_t *from = malloc(len ? len : 1), *to = malloc(len ? len : 1);
		memset(from, (int)len, len);
		copy_up(to, from, len);
		assert_memory_equal(to, from, len);
		memset(to, 0, len);
		copy_few(to, from, copy_down(to, from, len));
		assert_memory_equal(to, from, len);
		free(from);
		free(to);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_length_goes_to_any_place),
		cmocka_unit_test(nothing_beyond_is_touched),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
