/* Loads and stores with a stated byte order, at any alignment. All byte order lives here and in
 * cursor.h. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BYTES_LOAD_STORE(bits, swap_be)                                                            \
	static inline uint##bits##_t load_be##bits(const void *p)                                  \
	{                                                                                          \
		uint##bits##_t v;                                                                  \
		memcpy(&v, p, sizeof v);                                                           \
		return swap_be(v);                                                                 \
	}                                                                                          \
	static inline uint##bits##_t load_le##bits(const void *p)                                  \
	{                                                                                          \
		uint##bits##_t v;                                                                  \
		memcpy(&v, p, sizeof v);                                                           \
		return v;                                                                          \
	}                                                                                          \
	static inline void store_be##bits(void *p, uint##bits##_t v)                               \
	{                                                                                          \
		v = swap_be(v);                                                                    \
		memcpy(p, &v, sizeof v);                                                           \
	}                                                                                          \
	static inline void store_le##bits(void *p, uint##bits##_t v)                               \
	{                                                                                          \
		memcpy(p, &v, sizeof v);                                                           \
	}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian hosts and guests only");

BYTES_LOAD_STORE(16, __builtin_bswap16)
BYTES_LOAD_STORE(32, __builtin_bswap32)
BYTES_LOAD_STORE(64, __builtin_bswap64)

/* By words; the last one may overlap those before it. */
static inline bool bytes_equal(const void *a, const void *b, size_t len)
{
	const uint8_t *p = a, *q = b;
	uint64_t diff = 0;
	if (len >= 8) {
		for (size_t at = 0; at < len - 8; at += 8)
			diff |= load_le64(p + at) ^ load_le64(q + at);
		return (diff | (load_le64(p + len - 8) ^ load_le64(q + len - 8))) == 0;
	}
	if (len >= 4)
		return ((load_le32(p) ^ load_le32(q)) | (load_le32(p + len - 4) ^ load_le32(q + len - 4))) == 0;
	for (size_t at = 0; at < len; at++)
		diff |= p[at] ^ q[at];
	return diff == 0;
}

/* As memcmp. Numbers in big-endian order compare as their bytes do, so it goes by words; the last one may
 * overlap what was found equal before it. */
static inline int bytes_compare(const void *a, const void *b, size_t len)
{
	const uint8_t *p = a, *q = b;
	uint64_t v = 0, w = 0;
	if (len >= 8) {
		for (size_t at = 0; at < len - 8; at += 8) {
			v = load_be64(p + at);
			w = load_be64(q + at);
			if (v != w)
				return v < w ? -1 : 1;
		}
		v = load_be64(p + len - 8);
		w = load_be64(q + len - 8);
	} else if (len >= 4) {
		v = (uint64_t)load_be32(p) << 32 | load_be32(p + len - 4);
		w = (uint64_t)load_be32(q) << 32 | load_be32(q + len - 4);
	} else {
		for (size_t at = 0; at < len; at++) {
			v = v << 8 | p[at];
			w = w << 8 | q[at];
		}
	}
	return (v > w) - (v < w);
}

#endif
