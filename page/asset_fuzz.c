/* A path and a MIME database of arbitrary bytes, divided by a NUL. Whatever they hold, a header
 * block has its own lines and no others, and what was described is found. */
#include <page/asset_build.h>

#include <base/assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Alignas(16) uint8_t memory[1u << 16];

static unsigned lines(struct slice head)
{
	unsigned count = 0;
	for (size_t i = 0; i < head.len; i++) {
		ASSERT(head.ptr[i] != '\r' || (i + 1 < head.len && head.ptr[i + 1] == '\n'));
		ASSERT(head.ptr[i] != '\n' || (i > 0 && head.ptr[i - 1] == '\r'));
		ASSERT(head.ptr[i] >= 0x20 || head.ptr[i] == '\r' || head.ptr[i] == '\n');
		count += head.ptr[i] == '\n';
	}
	return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;
	struct page_assets assets;
	struct page_asset_table table;
	struct slice input = slice_of(data, size);
	size_t cut = slice_index(input, 0);
	struct slice path = slice_sub(input, 0, cut);
	arena_init(&arena, memory, sizeof memory, NULL, 0);
	page_assets_init(&assets, &arena, slice_sub(input, cut + 1, size));
	err e = page_asset_describe(&assets, path, SLICE("f"), input, size & 1);
	if (failed(e)) {
		ASSERT(e.code == ERR_INVALID && assets.count == 0);
		return 0;
	}
	ASSERT(!failed(page_asset_add_coding(
		&assets, assets.first, PAGE_CODING_GZIP, SLICE("g"), slice_sub(input, 0, cut))));
	ASSERT(!failed(page_assets_finish(&assets)));
	ASSERT(!failed(page_asset_table_build(&assets, &table)));
	const struct page_asset *a = &table.asset[0];
	ASSERT(lines(a->head) == 6 && lines(page_asset_validator_fields(a)) == 3);
	ASSERT(lines(a->coded->head) == 7 && lines(page_asset_part_fields(a->coded)) == 5);
	ASSERT(page_asset_find(&table, path) == a);
	page_asset_is_directory(&table, slice_sub(path, 0, path.len / 2));
	return 0;
}
