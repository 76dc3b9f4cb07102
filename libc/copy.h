/* What memcpy and memmove do, apart from their names, which a test on the host cannot have.
 *
 * Most copies are of a record, a header or a name: up to COPY_SHORT bytes go by words, the last of which overlaps what
 * has been copied, without a step for each byte. What is longer (a page) is one instruction, which processors have
 * made fast; backwards, which they have not, it is words again. */
#ifndef LIBC_COPY_H
#define LIBC_COPY_H

#include <base/bytes.h>
#include <stddef.h>

#define COPY_SHORT 64u

/* Of less than 16 bytes. All is read before anything is written, so they may overlap. */
static inline void copy_few(uint8_t *to, const uint8_t *from, size_t len)
{
	if (len >= 8) {
		uint64_t first = load_le64(from), last = load_le64(from + len - 8);
		store_le64(to, first);
		store_le64(to + len - 8, last);
	} else if (len >= 4) {
		uint32_t first = load_le32(from), last = load_le32(from + len - 4);
		store_le32(to, first);
		store_le32(to + len - 4, last);
	} else if (len) {
		uint8_t first = from[0], middle = from[len / 2], last = from[len - 1];
		to[0] = first;
		to[len / 2] = middle;
		to[len - 1] = last;
	}
}

static inline void copy_16(uint8_t *to, const uint8_t *from)
{
	uint64_t a = load_le64(from), b = load_le64(from + 8);
	store_le64(to, a);
	store_le64(to + 8, b);
}

/* From the first byte to the last: they do not overlap, or `to` is below `from` by any number of bytes. */
static inline void copy_up(uint8_t *to, const uint8_t *from, size_t len)
{
	if (len > COPY_SHORT) {
		size_t words = len / 8;
		__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
		len %= 8;
	}
	for (; len >= 16; to += 16, from += 16, len -= 16)
		copy_16(to, from);
	copy_few(to, from, len);
}

/* From the last byte to the first, but for the first few: `to` is above `from`. How many those are. */
static inline size_t copy_down(uint8_t *to, const uint8_t *from, size_t len)
{
	while (len >= 16) {
		len -= 16;
		copy_16(to + len, from + len);
	}
	return len;
}

#endif
