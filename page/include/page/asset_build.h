/* The build side of assets: types, validators, and the tables as source text. Pure, like the page
 * compiler: the caller reads files and writes what comes out of the sink. */
#ifndef PAGE_ASSET_BUILD_H
#define PAGE_ASSET_BUILD_H

#include <base/arena.h>
#include <base/err.h>
#include <page/asset.h>
#include <page/compile.h>

struct page_asset_source {
	struct page_asset_source *next;
	struct page_asset asset; /* body: the file's bytes, for page_asset_table_build and tests */
	struct slice file;	 /* what .incbin reads: absolute, or relative to its search path */
};

struct page_assets {
	struct arena *arena;
	struct slice mime_types; /* the text of a mime.types file; empty: only the built-in types */
	struct page_asset_source *first;
	uint32_t count;
};

API_BEGIN

/* `mime_types` is the text of a database in the form of /etc/mime.types (a type, then its
 * extensions; # starts a comment), or empty. Both are borrowed until the last use. */
void page_assets_init(struct page_assets *assets, struct arena *arena, struct slice mime_types);
/* The media type for a path's extension, with "; charset=utf-8" on text; "application/octet-stream"
 * when it is unknown. The common types of the web are built in and win over the database. The
 * result is static or in the arena; empty when the arena is used up. */
struct slice page_asset_type(const struct page_assets *assets, struct slice path);
/* Describes one file: type, ETag (from the SHA-256 of its bytes), heads. `path` starts with "/"
 * (else ERR_INVALID; so is one with control characters) and is copied, as is `file`; `bytes` is
 * borrowed. `immutable`: the path changes with the content, so that clients need never ask again.
 * ERR_BUSY: that path was described before. ERR_NO_MEMORY. */
MUST_USE err page_asset_describe(struct page_assets *assets, struct slice path, struct slice file,
	struct slice bytes, bool immutable);
/* The table in memory, in the arena, for programs that serve without a second build. */
MUST_USE err page_asset_table_build(const struct page_assets *assets, struct page_asset_table *out);
/* C that defines `const struct page_asset_table SYMBOL`, and the assembler source with the bodies
 * (.incbin of each file). Sorted by path: the same files give the same bytes. */
void page_assets_emit_c(
	const struct page_assets *assets, struct slice symbol, struct page_sink *sink);
void page_assets_emit_asm(
	const struct page_assets *assets, struct slice symbol, struct page_sink *sink);

API_END

#endif
