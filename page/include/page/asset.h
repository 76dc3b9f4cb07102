/* Static files in the image: each with its response head ready to send, found by path. */
#ifndef PAGE_ASSET_H
#define PAGE_ASSET_H

#include <base/slice.h>

struct page_asset {
	struct slice path;	   /* "/css/site.css", decoded and normalised */
	struct slice content_type; /* "text/css; charset=utf-8" */
	struct slice etag;	   /* strong, with its quotes */
	/* Whole header blocks, each line with its CRLF, without the empty line that ends the block:
	 * status line, Content-Type, ETag, Content-Length, Cache-Control. */
	struct slice head;
	/* The same for 304 Not Modified: status line, ETag, Cache-Control. */
	struct slice head_not_modified;
	struct slice body;
};

struct page_asset_table {
	const struct page_asset *asset; /* sorted by path (slice_cmp) */
	uint32_t count;
};

API_BEGIN

/* The asset at `path`, a target's path without query, decoded and normalised; a path that ends in
 * "/" means the index.html there. NULL when there is none. The asset is as constant as the table.
 */
const struct page_asset *page_asset_find(const struct page_asset_table *t, struct slice path);
/* Whether `path` names a directory with an index but lacks its final "/", so that the answer should
 * be a redirect to `path` + "/" (else the relative links of that page would break). */
bool page_asset_is_directory(const struct page_asset_table *t, struct slice path);

API_END

#endif
