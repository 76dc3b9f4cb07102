#include <page/asset.h>

static const struct slice index_name = SLICE_INIT("index.html");

/* Compares a path with another that is given in two parts. */
static int compare(struct slice path, struct slice head, struct slice tail)
{
	size_t cut = head.len < path.len ? head.len : path.len;
	int order = slice_cmp(slice_sub(path, 0, cut), head);
	return order ? order : slice_cmp(slice_sub(path, cut, path.len), tail);
}

static const struct page_asset *find(
	const struct page_asset_table *t, struct slice head, struct slice tail)
{
	uint32_t low = 0, high = t->count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = compare(t->asset[middle].path, head, tail);
		if (order == 0)
			return &t->asset[middle];
		if (order > 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const struct page_asset *page_asset_find(const struct page_asset_table *t, struct slice path)
{
	bool directory = path.len && path.ptr[path.len - 1] == '/';
	return find(t, path, directory ? index_name : (struct slice){NULL, 0});
}

bool page_asset_is_directory(const struct page_asset_table *t, struct slice path)
{
	if (path.len == 0 || path.ptr[path.len - 1] == '/')
		return false;
	return find(t, path, SLICE("/index.html")) != NULL;
}
