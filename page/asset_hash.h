/* Where a path stands in an asset table's slots: the build fills them, the server looks there. What it
 * must do is spread the paths of one site, which nobody chooses who could gain by it. */
#ifndef PAGE_ASSET_HASH_PRIVATE_H
#define PAGE_ASSET_HASH_PRIVATE_H

#include <base/bytes.h>
#include <base/slice.h>

#define ASSET_INDEX SLICE("index.html")

/* Eight bytes at a time; the last eight may overlap those before. */
static inline uint32_t asset_hash(struct slice path)
{
	uint64_t h = path.len, word = 0;
	size_t at = 0;
	for (; path.len - at > 8; at += 8) {
		h = (h ^ load_le64(path.ptr + at)) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 32;
	}
	if (path.len >= 8) {
		word = load_le64(path.ptr + path.len - 8);
	} else {
		for (; at < path.len; at++)
			word = word << 8 | path.ptr[at];
	}
	h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(h >> 32);
}

#endif
