/* Scanning runs of bytes, 16 at a time. The only file of the engine that names an instruction set:
 * SSE2 is part of every x86-64. Nothing at or behind `end` is read. */
#ifndef HTTP_SCAN_H
#define HTTP_SCAN_H

#include <emmintrin.h>
#include <stddef.h>
#include <stdint.h>

/* The first control character (HTAB too), or `end`. Bytes from 0x80 on are no controls. */
static inline const uint8_t *scan_value(const uint8_t *p, const uint8_t *end)
{
	const __m128i low = _mm_set1_epi8(0x1f), del = _mm_set1_epi8(0x7f);
	for (; end - p >= 16; p += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i control = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(v, low), v),
			_mm_cmpeq_epi8(v, del));
		unsigned found = (unsigned)_mm_movemask_epi8(control);
		if (found)
			return p + __builtin_ctz(found);
	}
	while (p < end && *p >= 0x20 && *p != 0x7f)
		p++;
	return p;
}

/* The first byte that is neither a letter, a digit nor '-', or `end`. */
static inline const uint8_t *scan_name(const uint8_t *p, const uint8_t *end)
{
	const __m128i letters = _mm_set1_epi8(25), digits = _mm_set1_epi8(9);
	for (; end - p >= 16; p += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i letter = _mm_sub_epi8(_mm_or_si128(v, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
		__m128i digit = _mm_sub_epi8(v, _mm_set1_epi8('0'));
		__m128i plain = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(letter, letters), letter),
			_mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(digit, digits), digit),
				_mm_cmpeq_epi8(v, _mm_set1_epi8('-'))));
		unsigned found = (unsigned)_mm_movemask_epi8(plain) ^ 0xffff;
		if (found)
			return p + __builtin_ctz(found);
	}
	while (p < end && ((unsigned)(*p | 0x20) - 'a' < 26 || (unsigned)*p - '0' < 10 || *p == '-'))
		p++;
	return p;
}

#endif
