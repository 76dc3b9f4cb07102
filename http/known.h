/* Field names that are recognised while parsing. */
#ifndef HTTP_KNOWN_H
#define HTTP_KNOWN_H

#include <base/bytes.h>
#include <http/parse.h>

extern const uint8_t http_known_slot[64]; /* enum http_known plus 1, by known_hash; 0: none */
extern const struct slice http_known_name[HTTP_KNOWN_COUNT]; /* lower case, at least 4 bytes */

/* Different for each known name. */
static inline unsigned known_hash(struct slice name)
{
	unsigned first = name.ptr[0] | 0x20u, last = name.ptr[name.len - 1] | 0x20u;
	return ((unsigned)name.len + first * 4 + last) & 63;
}

/* Whether `name`, of tchar bytes only, is `lower`, of letters and '-'. Setting bit 5 is exact here:
 * it makes equal only letters of both cases among tchars and these. */
static inline bool known_equal(struct slice name, struct slice lower)
{
	const uint8_t *a = name.ptr, *b = lower.ptr;
	size_t n = lower.len;
	if (name.len != n)
		return false;
	if (n < 8) {
		const uint32_t bit = 0x20202020u;
		return ((((load_le32(a) | bit) ^ load_le32(b))
			| ((load_le32(a + n - 4) | bit) ^ load_le32(b + n - 4)))) == 0;
	}
	const uint64_t bit = 0x2020202020202020u;
	uint64_t diff = (load_le64(a + n - 8) | bit) ^ load_le64(b + n - 8);
	for (size_t i = 0; i + 8 < n; i += 8)
		diff |= (load_le64(a + i) | bit) ^ load_le64(b + i);
	return diff == 0;
}

/* enum http_known plus 1, or 0. `name` has at least 1 byte, of tchars. */
static inline unsigned known_find(struct slice name)
{
	unsigned k = http_known_slot[known_hash(name)];
	return k && known_equal(name, http_known_name[k - 1]) ? k : 0;
}

#endif
