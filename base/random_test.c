#include <base/random.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include <base/bytes.h>
#include "chacha20.h"

static void chacha20_gives_the_block_of_rfc_8439(void **state)
{
	(void)state;
	/* Section 2.3.2: key 00..1f, nonce 000000090000004a00000000, counter 1. */
	static const uint8_t expected[64] = {
		0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15, 0x50, 0x0f, 0xdd, 0x1f, 0xa3, 0x20,
		0x71, 0xc4, 0xc7, 0xd1, 0xf4, 0xc7, 0x33, 0xc0, 0x68, 0x03, 0x04, 0x22, 0xaa, 0x9a,
		0xc3, 0xd4, 0x6c, 0x4e, 0xd2, 0x82, 0x64, 0x46, 0x07, 0x9f, 0xaa, 0x09, 0x14, 0xc2,
		0xd7, 0x05, 0xd9, 0x8b, 0x02, 0xa2, 0xb5, 0x12, 0x9c, 0xd1, 0xde, 0x16, 0x4e, 0xb9,
		0xcb, 0xd0, 0x83, 0xe8, 0xa2, 0x50, 0x3c, 0x4e,
	};
	uint8_t bytes[32], out[64];
	uint32_t key[8];
	for (unsigned i = 0; i < 32; i++)
		bytes[i] = (uint8_t)i;
	for (unsigned i = 0; i < 8; i++)
		key[i] = load_le32(bytes + 4 * i);
	const uint32_t tail[4] = {1, 0x09000000, 0x4a000000, 0};
	chacha20_block(key, tail, out);
	assert_memory_equal(out, expected, sizeof out);
}

static struct random seeded(uint8_t byte)
{
	uint8_t seed[32];
	struct random r;
	memset(seed, byte, sizeof seed);
	random_init(&r);
	random_mix(&r, slice_of(seed, sizeof seed));
	return r;
}

static void it_is_seeded_after_32_bytes_in_any_pieces(void **state)
{
	(void)state;
	struct random r;
	random_init(&r);
	for (int i = 0; i < 4; i++) {
		assert_false(random_is_seeded(&r));
		random_mix(&r, SLICE("eight by"));
	}
	assert_true(random_is_seeded(&r));
	assert_int_equal(r.seeded, 32);
	random_mix(&r, SLICE(""));
	assert_true(random_is_seeded(&r));
}

static void output_does_not_depend_on_how_it_is_cut(void **state)
{
	(void)state;
	struct random a = seeded(1), b = seeded(1);
	uint8_t whole[1000], parts[1000];
	random_bytes(&a, whole, sizeof whole);
	for (size_t at = 0, n = 1; at < sizeof parts; at += n, n = n * 2 % 97 + 1) {
		if (n > sizeof parts - at)
			n = sizeof parts - at;
		random_bytes(&b, parts + at, n);
	}
	assert_memory_equal(whole, parts, sizeof whole);
}

static bool contains(const void *hay, size_t hay_len, const void *needle, size_t len)
{
	for (size_t i = 0; i + len <= hay_len; i++)
		if (memcmp((const uint8_t *)hay + i, needle, len) == 0)
			return true;
	return false;
}

static void the_state_keeps_nothing_of_what_was_given_out(void **state)
{
	(void)state;
	struct random r = seeded(2);
	uint32_t old_key[8];
	uint8_t out[100];
	memcpy(old_key, r.key, sizeof old_key);
	random_bytes(&r, out, sizeof out);
	assert_memory_not_equal(old_key, r.key, sizeof old_key);
	for (size_t i = 0; i + 8 <= sizeof out; i++)
		assert_false(contains(&r, sizeof r, out + i, 8));
}

static void mixing_changes_what_follows(void **state)
{
	(void)state;
	struct random a = seeded(3), b = seeded(3);
	assert_true(random_u64(&a) == random_u64(&b));
	random_mix(&a, SLICE("x"));
	assert_true(random_u64(&a) != random_u64(&b));
	struct random c = seeded(4);
	assert_true(random_u64(&c) != random_u64(&b));
}

static void below_is_within_bounds_and_even(void **state)
{
	(void)state;
	struct random r = seeded(5);
	uint32_t count[7] = {0};
	for (int i = 0; i < 7000; i++) {
		uint32_t v = random_below(&r, 7);
		assert_true(v < 7);
		count[v]++;
	}
	for (int i = 0; i < 7; i++)
		assert_in_range(count[i], 850, 1150); /* 5 standard deviations */
	assert_int_equal(random_below(&r, 1), 0);
	/* With a bound just over 2^31 nearly half of all draws are refused. */
	for (int i = 0; i < 100; i++)
		assert_true(random_below(&r, 0x80000001) <= 0x80000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chacha20_gives_the_block_of_rfc_8439),
		cmocka_unit_test(it_is_seeded_after_32_bytes_in_any_pieces),
		cmocka_unit_test(output_does_not_depend_on_how_it_is_cut),
		cmocka_unit_test(the_state_keeps_nothing_of_what_was_given_out),
		cmocka_unit_test(mixing_changes_what_follows),
		cmocka_unit_test(below_is_within_bounds_and_even),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
