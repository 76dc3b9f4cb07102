#include <page/template.h>

const struct page_template *page_template_find(
	const struct page_template_set *set, struct slice name)
{
	uint32_t low = 0, high = set ? set->count : 0;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = slice_cmp(name, set->template[middle] -> name);
		if (order == 0)
			return set->template[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}
