/* A style sheet of arbitrary bytes, under its fingerprinted name: only references to what there is are
 * changed, each into a URL that means just that, and doing it again changes nothing. */
#include <page/asset_build.h>

#include <base/assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Alignas(16) uint8_t memory[1u << 20];

static void describe(struct page_assets *assets, struct slice path, struct slice bytes)
{
	ASSERT(!failed(page_asset_describe(assets, path, SLICE("f"), bytes, false)));
}

static struct slice link_once(struct slice css)
{
	static _Alignas(16) uint8_t again[1u << 20];
	static bool second;
	struct arena arena;
	struct page_assets assets;
	struct slice url;
	second = !second;
	arena_init(&arena, second ? again : memory, sizeof memory, NULL, 0);
	page_assets_init(&assets, &arena, SLICE("text/css css"));
	describe(&assets, SLICE("/d/a.css"), css);
	describe(&assets, SLICE("/d/b.css"), SLICE("@import 'a.css';"));
	describe(&assets, SLICE("/i"), SLICE("i"));
	ASSERT(!failed(page_asset_url(&assets, SLICE("/d/a.css"), &url)));
	for (struct page_asset_source *s = assets.first; s; s = s->next)
		if (s->origin && slice_eq(s->origin->asset.path, SLICE("/d/a.css")))
			return s->asset.body;
	UNREACHABLE();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 4096)
		return 0;
	struct slice css = slice_of(data, size), once = link_once(css);
	struct slice twice = link_once(once);
	ASSERT(slice_eq(once, twice));
	return 0;
}
