#include <base/arena.h>
#include <base/bytes.h>
#include <base/cursor.h>
#include <base/pool.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

static void numbers_parse_and_refuse_overflow(void **state)
{
	(void)state;
	uint64_t v = 7;
	assert_true(slice_to_u64(SLICE("18446744073709551615"), &v));
	assert_true(v == UINT64_MAX);
	assert_false(slice_to_u64(SLICE("18446744073709551616"), &v));
	assert_false(slice_to_u64(SLICE(""), &v));
	assert_false(slice_to_u64(SLICE("-1"), &v));
}

static int sign(int n)
{
	return (n > 0) - (n < 0);
}

/* In memory of exactly that length, so that a byte read beyond it is found. */
static void bytes_compare_as_with_memcmp_at_every_length_and_place(void **state)
{
	static const uint8_t value[] = {0, 1, 127, 128, 255};
	(void)state;
	for (size_t len = 0; len <= 40; len++) {
		uint8_t *a = malloc(len ? len : 1), *b = malloc(len ? len : 1);
		memset(a, 127, len);
		memset(b, 127, len);
		assert_int_equal(bytes_compare(a, b, len), 0);
		for (size_t at = 0; at < len; at++) {
			for (size_t i = 0; i < sizeof value; i++) {
				a[at] = value[i];
				b[len - 1] = 128; /* a later byte does not matter */
				assert_int_equal(sign(bytes_compare(a, b, len)), sign(memcmp(a, b, len)));
				assert_int_equal(sign(bytes_compare(b, a, len)), sign(memcmp(b, a, len)));
			}
			a[at] = 127;
		}
		free(a);
		free(b);
	}
}

static void a_pool_hands_out_each_item_once(void **state)
{
	(void)state;
	_Alignas(16) uint8_t memory[16 * 3];
	struct pool p;
	pool_init(&p, memory, 10, 3);
	void *a = pool_get(&p), *b = pool_get(&p), *c = pool_get(&p);
	assert_true(a && b && c && a != b && b != c && a != c);
	assert_null(pool_get(&p));
	assert_int_equal(p.failures, 1);
	pool_put(&p, b);
	assert_ptr_equal(pool_get(&p), b);
	assert_int_equal(p.used_max, 3);
}

static void an_arena_gives_its_blocks_back(void **state)
{
	(void)state;
	_Alignas(16) uint8_t memory[256 * 4];
	struct pool p;
	struct arena a;
	pool_init(&p, memory, 256, 4);
	arena_init(&a, NULL, 0, &p, 3);
	assert_non_null(arena_alloc(&a, 240));
	assert_null(arena_alloc(&a, 241));
	assert_true(a.exhausted);
	assert_non_null(arena_alloc(&a, 100));
	assert_non_null(arena_alloc(&a, 200));
	assert_null(arena_alloc(&a, 200));
	arena_reset(&a);
	assert_int_equal(p.used, 0);
	struct slice s = arena_format(&a, "%s-%u-%.*s-%lx", "a", 7u, 2, "xyz", 255ul);
	assert_true(slice_eq(s, SLICE("a-7-xy-ff")));
	arena_reset(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_parse_and_refuse_overflow),
		cmocka_unit_test(bytes_compare_as_with_memcmp_at_every_length_and_place),
		cmocka_unit_test(a_pool_hands_out_each_item_once),
		cmocka_unit_test(an_arena_gives_its_blocks_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
