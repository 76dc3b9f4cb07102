#include "checksum.h"

uint64_t checksum_sum(struct slice s)
{
	uint64_t sum = 0;
	const uint8_t *p = s.ptr;
	size_t n = s.len;
	for (; n >= 32; n -= 32, p += 32) {
		uint64_t a = load_le64(p), b = load_le64(p + 8);
		uint64_t c = load_le64(p + 16), d = load_le64(p + 24);
		sum += (a & 0xffffffff) + (a >> 32) + (b & 0xffffffff) + (b >> 32);
		sum += (c & 0xffffffff) + (c >> 32) + (d & 0xffffffff) + (d >> 32);
	}
	for (; n >= 4; n -= 4, p += 4)
		sum += load_le32(p);
	if (n >= 2) {
		sum += load_le16(p);
		p += 2;
		n -= 2;
	}
	return n ? sum + *p : sum;
}

uint64_t checksum_sum_slices(const struct slice *s, uint32_t count)
{
	uint64_t sum = 0;
	bool odd = false;
	for (uint32_t i = 0; i < count; i++) {
		uint16_t part = checksum_fold(checksum_sum(s[i]));
		sum += odd ? __builtin_bswap16(part) : part;
		odd ^= s[i].len & 1;
	}
	return sum;
}
