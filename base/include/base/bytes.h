/* Loads and stores with a stated byte order, at any alignment. All byte order lives here and in
 * cursor.h. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

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

#endif
