/* strcspn. The linker takes this one rather than musl's, which looks at one byte at a time: SQLite's LIKE spends
 * most of its time here, looking for one letter in both of its cases.
 *
 * Whole words are read, also behind the text's end; since they are aligned, never beyond its page. */
#include <stdint.h>
#include <string.h>

#include <base/api.h>

#define ONES UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

/* Bit 7 of the lowest byte that is zero, and perhaps of some above it. */
static uint64_t zero_bytes(uint64_t word)
{
	return (word - ONES) & ~word & HIGHS;
}

/* The first byte that is `a`, `b` or NUL. */
__attribute__((no_sanitize("address"))) static size_t until_either(const char *s, uint8_t a, uint8_t b)
{
	size_t i = 0;
	for (; (uintptr_t)(s + i) % sizeof(uint64_t); i++)
		if (!s[i] || (uint8_t)s[i] == a || (uint8_t)s[i] == b)
			return i;
	uint64_t found, all_a = ONES * a, all_b = ONES * b;
	for (;; i += sizeof found) {
		uint64_t word;
		memcpy(&word, s + i, sizeof word);
		found = zero_bytes(word) | zero_bytes(word ^ all_a) | zero_bytes(word ^ all_b);
		if (found)
			return i + (size_t)__builtin_ctzll(found) / 8;
	}
}

static size_t until_any(const char *s, const char *reject)
{
	uint64_t set[4] = {1}; /* NUL ends it as well */
	for (; *reject; reject++)
		set[(uint8_t)*reject / 64] |= UINT64_C(1) << (uint8_t)*reject % 64;
	size_t i = 0;
	while (!(set[(uint8_t)s[i] / 64] >> (uint8_t)s[i] % 64 & 1))
		i++;
	return i;
}

API_BEGIN

size_t strcspn(const char *s, const char *reject)
{
	uint8_t first = (uint8_t)reject[0];
	if (!first || !reject[1])
		return until_either(s, first, first);
	if (!reject[2])
		return until_either(s, first, (uint8_t)reject[1]);
	return until_any(s, reject);
}

API_END
