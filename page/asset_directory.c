/* Directories by the name of their index. Asked only for a path that nothing else fits. */
#include <page/asset.h>

/* Compares a file's path with directory + "/index.html". */
static int compare(struct slice path, struct slice directory)
{
	size_t cut = directory.len < path.len ? directory.len : path.len;
	int order = slice_cmp(slice_sub(path, 0, cut), directory);
	return order ? order : slice_cmp(slice_sub(path, cut, path.len), SLICE("/index.html"));
}

bool page_asset_is_directory(const struct page_asset_table *t, struct slice path)
{
	uint32_t low = 0, high = t->count;
	if (path.len == 0 || path.ptr[path.len - 1] == '/')
		return false;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = compare(t->asset[middle].path, path);
		if (order == 0)
			return true;
		if (order > 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}
