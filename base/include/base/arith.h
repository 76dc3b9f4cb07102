/* The smaller one. */
#ifndef BASE_ARITH_H
#define BASE_ARITH_H

#include <stdint.h>

static inline uint64_t u64_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* At most `b`, so 32 bits hold it whatever `a` is. */
static inline uint32_t u32_min(uint64_t a, uint32_t b)
{
	return a < b ? (uint32_t)a : b;
}

#endif
