#include <page/asset.h>

#include <string.h>
#include "asset_hash.h"

/* The index of a directory is found under the directory's path. */
static COLD bool is_index_of(struct slice file, struct slice path)
{
	return path.len && path.ptr[path.len - 1] == '/' && file.len == path.len + ASSET_INDEX.len &&
	       slice_ends_with(file, ASSET_INDEX) && memcmp(file.ptr, path.ptr, path.len) == 0;
}

const struct page_asset *page_asset_find(const struct page_asset_table *t, struct slice path)
{
	if (t->count == 0)
		return NULL;
	/* At least half of the slots are empty. */
	for (uint32_t i = asset_hash(path) & t->slot_mask; t->slot[i]; i = (i + 1) & t->slot_mask) {
		const struct page_asset *a = &t->asset[t->slot[i] - 1];
		if (LIKELY(a->path.len == path.len) ? bytes_equal(a->path.ptr, path.ptr, path.len)
			: UNLIKELY(a->path.len == path.len + ASSET_INDEX.len) && is_index_of(a->path, path))
			return a;
	}
	return NULL;
}
