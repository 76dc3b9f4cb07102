/* What the files of the build side of assets share. */
#ifndef PAGE_ASSET_PRIVATE_H
#define PAGE_ASSET_PRIVATE_H

#include <page/asset_build.h>

/* The strong validator of these bytes, with its quotes; empty when the arena is used up. */
struct slice asset_etag(struct arena *arena, struct slice bytes);
/* The longest that a URL of an asset can be. */
size_t asset_url_max(const struct page_assets *assets);
/* Makes the references of a style sheet at `path` to other assets fingerprinted ones. *bytes becomes a
 * text in the arena; it is left alone when there is nothing to do. */
MUST_USE err asset_css_link(struct page_assets *assets, struct slice path, struct slice *bytes);

#endif
