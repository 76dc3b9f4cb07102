/* Scanning runs of bytes, 16 at a time. The only file of the engine that names an instruction set:
 * SSE2 is part of every x86-64. Nothing at or behind `end` is read. */
#ifndef HTTP_SCAN_H
#define HTTP_SCAN_H

#include <emmintrin.h>
#include <stddef.h>
#include <stdint.h>

static inline __m128i scan_load(const uint8_t *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* A byte that ends a run of ordinary text: a control character or one from 0x80 on. One signed
 * comparison finds them: behind an addition of 1, DEL and 0x80 on are negative, controls below
 * 0x21. */
static inline unsigned scan_unusual(__m128i v)
{
	__m128i moved = _mm_add_epi8(v, _mm_set1_epi8(1));
	return (unsigned)_mm_movemask_epi8(_mm_cmplt_epi8(moved, _mm_set1_epi8(0x21)));
}

/* The first control character or byte from 0x7f on, or `end`. */
static inline const uint8_t *scan_text(const uint8_t *p, const uint8_t *end)
{
	for (; end - p >= 16; p += 16) {
		unsigned found = scan_unusual(scan_load(p));
		if (found)
			return p + __builtin_ctz(found);
	}
	while (p < end && *p >= 0x20 && *p < 0x7f)
		p++;
	return p;
}

/* How many of the 16 bytes from p on are letters or '-', before the first that is not; 16: all. */
static inline unsigned scan_letters(const uint8_t *p)
{
	__m128i v = scan_load(p);
	/* 'a' to 'z' become the 26 least signed bytes, from -128 on. */
	__m128i lower = _mm_or_si128(v, _mm_set1_epi8(0x20));
	__m128i letter = _mm_add_epi8(lower, _mm_set1_epi8(0x80 - 'a'));
	__m128i plain = _mm_or_si128(_mm_cmplt_epi8(letter, _mm_set1_epi8(-128 + 26)),
		_mm_cmpeq_epi8(v, _mm_set1_epi8('-')));
	return (unsigned)__builtin_ctz(~(unsigned)_mm_movemask_epi8(plain));
}

#endif
