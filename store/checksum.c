/* A 64-bit checksum against accidents (docs/volume-format.md, "Checksums"): four independent lanes, so
 * that the multiplications overlap; each step is a bijection of the word that goes in, so a change
 * within one word always changes the lane, and the final fold keeps lanes apart by rotation. */
#include "checksum.h"

#include <base/bytes.h>

#define MULTIPLY_A 0x9fb21c651e98df25u
#define MULTIPLY_B 0xd6e8feb86659fd93u

static inline uint64_t rotate(uint64_t v, unsigned by)
{
	return v << by | v >> (64 - by);
}

static inline uint64_t mix(uint64_t v)
{
	v = (v ^ v >> 32) * MULTIPLY_B;
	v = (v ^ v >> 29) * MULTIPLY_A;
	return v ^ v >> 32;
}

static inline uint64_t step(uint64_t lane, uint64_t word)
{
	return rotate((lane ^ word) * MULTIPLY_A, 29);
}

uint64_t volume_checksum(uint64_t seed, const void *bytes, size_t len)
{
	const uint8_t *p = bytes, *end = p + len;
	uint64_t a = seed, b = mix(seed + 1), c = mix(seed + 2), d = mix(seed + 3);
	for (; p < end; p += 32) {
		a = step(a, load_le64(p));
		b = step(b, load_le64(p + 8));
		c = step(c, load_le64(p + 16));
		d = step(d, load_le64(p + 24));
	}
	return mix(mix(mix(mix(a + len) + b) + c) + d);
}

uint64_t volume_seed_page(uint64_t nonce, uint32_t object, uint32_t level, uint32_t index,
	uint32_t generation)
{
	uint64_t seed = mix(nonce + ((uint64_t)(object << 8 | level) << 32) + index);
	return mix(seed ^ generation);
}

uint64_t volume_seed_record(uint64_t nonce, uint64_t record)
{
	return mix(mix(~nonce) + record);
}
