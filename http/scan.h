/* Scanning runs of bytes, 16 at a time. The only file of the engine that names an instruction set:
 * SSE2 is part of every x86-64. Nothing at or behind `end` is read. */
#ifndef HTTP_SCAN_H
#define HTTP_SCAN_H

#include <emmintrin.h>
#include <stdbool.h>
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

/* 0xff for each letter. */
static inline __m128i scan_is_letter(__m128i v)
{
	/* 'a' to 'z' become the 26 least signed bytes, from -128 on. */
	__m128i lower = _mm_or_si128(v, _mm_set1_epi8(0x20));
	return _mm_cmplt_epi8(_mm_add_epi8(lower, _mm_set1_epi8(0x80 - 'a')), _mm_set1_epi8(-128 + 26));
}

/* A bit for each byte that is a letter or '-'. */
static inline unsigned scan_letter_bits(__m128i v)
{
	__m128i plain = _mm_or_si128(scan_is_letter(v), _mm_cmpeq_epi8(v, _mm_set1_epi8('-')));
	return (unsigned)_mm_movemask_epi8(plain);
}

/* How many of the 16 bytes from p on are letters or '-', before the first that is not; 16: all. */
static inline unsigned scan_letters(const uint8_t *p)
{
	return (unsigned)__builtin_ctz(~scan_letter_bits(scan_load(p)));
}

/* 0xff for what paths are mostly made of: letters, digits, "-./_". */
static inline __m128i scan_is_path(__m128i v)
{
	/* '-' to '9' become the 13 least signed bytes. */
	__m128i digit = _mm_cmplt_epi8(_mm_add_epi8(v, _mm_set1_epi8(0x80 - '-')), _mm_set1_epi8(-128 + 13));
	return _mm_or_si128(_mm_or_si128(scan_is_letter(v), digit), _mm_cmpeq_epi8(v, _mm_set1_epi8('_')));
}

/* How many of the 16 bytes from p on are of that kind. Looks at p[-1], too: *special is set when
 * one of those counted is a '.' or '/' behind a '/', so that a segment may be empty, "." or "..". */
static inline unsigned scan_path(const uint8_t *p, bool *special)
{
	__m128i v = scan_load(p), slash = _mm_set1_epi8('/'), plain = scan_is_path(v);
	/* '.' and '/' differ in the lowest bit. */
	__m128i begins = _mm_and_si128(_mm_cmpeq_epi8(scan_load(p - 1), slash),
		_mm_cmpeq_epi8(_mm_or_si128(v, _mm_set1_epi8(1)), slash));
	unsigned count = (unsigned)__builtin_ctz(~(unsigned)_mm_movemask_epi8(plain));
	*special |= ((unsigned)_mm_movemask_epi8(begins) & ((1u << count) - 1)) != 0;
	return count;
}

/* Whether `name` is at least 8 bytes of letters, digits, '-', '.' and '_': what most hosts' names are. By sixteen,
 * of which the last may overlap those before; a short one as its first and its last eight. */
static inline bool scan_is_host(const uint8_t *name, size_t len)
{
	__m128i slash = _mm_set1_epi8('/');
	if (len < 8)
		return false;
	for (;; name += 16, len -= 16) {
		__m128i v = len >= 16 ? scan_load(name)
			: _mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *)(const void *)name),
				_mm_loadl_epi64((const __m128i *)(const void *)(name + len - 8)));
		__m128i plain = _mm_andnot_si128(_mm_cmpeq_epi8(v, slash), scan_is_path(v));
		if (_mm_movemask_epi8(plain) != 0xffff)
			return false;
		if (len <= 16)
			return true;
		if (len < 32) {
			name -= 32 - len;
			len = 32;
		}
	}
}

/* How many of the 16 bytes from p on may stand in a query: visible, and not '#'. */
static inline unsigned scan_query(const uint8_t *p)
{
	__m128i v = scan_load(p), moved = _mm_add_epi8(v, _mm_set1_epi8(1));
	__m128i other = _mm_or_si128(_mm_cmplt_epi8(moved, _mm_set1_epi8(0x22)), _mm_cmpeq_epi8(v, _mm_set1_epi8('#')));
	return (unsigned)__builtin_ctz((unsigned)_mm_movemask_epi8(other) | 0x10000);
}

#endif
