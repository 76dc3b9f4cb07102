/* The Internet checksum (RFC 1071). Sums are kept in memory order, so what comes out is stored with
 * store_le16 whatever the bytes mean: one's complement addition does not care. */
#ifndef CHECKSUM_H
#define CHECKSUM_H

#include <base/bytes.h>
#include <base/slice.h>

/* 16 bits from any sum. When a number is added to itself with its halves exchanged, the upper half becomes the
 * one's complement sum of the two: the lower half gives it the carry. */
static inline uint16_t checksum_fold(uint64_t sum)
{
	sum += sum << 32 | sum >> 32;
	uint32_t half = (uint32_t)(sum >> 32);
	half += half << 16 | half >> 16;
	return (uint16_t)(half >> 16);
}

/* The sum of five 32-bit words: an IPv4 header without options. Folds to 0xffff when it is intact. */
static inline uint64_t checksum_ip4_header(const uint8_t *p)
{
	return (uint64_t)load_le32(p) + load_le32(p + 4) + load_le32(p + 8) + load_le32(p + 12)
		+ load_le32(p + 16);
}

/* The sum over the bytes, which begin at an even position. At most 4 GiB. */
uint64_t checksum_sum(struct slice s);
/* The sum over `count` slices one behind the other, of whatever lengths. */
uint64_t checksum_sum_slices(const struct slice *s, uint32_t count);

#endif
