/* The build side of assets: types, validators, codings, fingerprints, and the tables as source text.
 * Pure, like the page compiler: the caller reads files, compresses, and writes what comes out of the
 * sink.
 *
 *	page_assets_init(&assets, &arena, mime_types);
 *	page_asset_describe(&assets, path, file, bytes, false);    for each file
 *	page_asset_url(&assets, path, &url);                       for each that pages name
 *	page_asset_add_coding(&assets, source, ...);               for what is smaller when coded
 *	page_assets_finish(&assets);
 *	page_assets_emit_c(&assets, ...); page_assets_emit_asm(&assets, ...);
 */
#ifndef PAGE_ASSET_BUILD_H
#define PAGE_ASSET_BUILD_H

#include <base/arena.h>
#include <base/err.h>
#include <page/asset.h>
#include <page/compile.h>

struct page_asset_source {
	struct page_asset_source *next;
	struct page_asset asset; /* body: the file's bytes, for page_asset_table_build and tests */
	struct slice type;	 /* with its charset */
	struct slice etag;
	/* What .incbin reads: absolute, or relative to its search path. Empty when the bytes are no
	 * file yet: a style sheet whose references were changed. The caller writes them and sets it. */
	struct slice file;
	bool immutable;	   /* the path changes with the content */
	/* NULL, or the source that has the same bytes: they are in the image once, and its codings are
	 * this one's too. */
	const struct page_asset_source *twin;
	const struct page_asset_source *origin; /* of a fingerprinted one: the file that it was made from */
	struct page_asset coded[PAGE_CODING_COUNT - 1]; /* the smallest first */
	struct slice coded_file[PAGE_CODING_COUNT - 1];
	struct slice coded_etag[PAGE_CODING_COUNT - 1];
	struct slice url; /* of its fingerprinted twin, once it has one */
	bool naming;	  /* that twin is being made */
};

struct page_assets {
	struct arena *arena;
	struct slice mime_types;
	struct page_asset_source *first; /* sorted by path */
	uint32_t count;
	uint32_t slot_mask; /* after page_assets_finish, as in struct page_asset_table */
	uint16_t *slot;
	bool finished;
};

API_BEGIN

/* `mime_types` is the text of a database in the form of /etc/mime.types (a type, then its
 * extensions; # starts a comment). Both are borrowed until the last use. */
void page_assets_init(struct page_assets *assets, struct arena *arena, struct slice mime_types);
/* The media type for a path's extension, with "; charset=utf-8" on text that is valid UTF-8;
 * "application/octet-stream" when it is unknown. The result is static, of the database or in the
 * arena; empty when the arena is used up. */
struct slice page_asset_type(
	const struct page_assets *assets, struct slice path, struct slice bytes);
/* Whether files of this type become smaller by compression: false for those that are compressed
 * already (images, video, archives, WOFF) and for unknown ones. */
bool page_asset_is_compressible(struct slice type);
/* Describes one file: type and ETag (from the SHA-256 of its bytes). `path` starts with "/" (else
 * ERR_INVALID; so is one that ends with it, or with control characters) and is copied, as is `file`; `bytes` is borrowed.
 * `immutable`: the path changes with the content, so that clients need never ask again. ERR_BUSY:
 * that path was described before. ERR_NO_MEMORY. */
MUST_USE err page_asset_describe(struct page_assets *assets, struct slice path, struct slice file,
	struct slice bytes, bool immutable);
/* The fingerprinted URL of the file at `path`, percent-encoded; it is described under that path as
 * well, as immutable. In a style sheet of that name references to other files are fingerprinted too, so
 * all files are described before. ERR_NOT_FOUND: there is no such file. Else as page_asset_describe. */
MUST_USE err page_asset_url(struct page_assets *assets, struct slice path, struct slice *url);
/* The same file in a coding: `bytes` (borrowed) stand in `file` (copied). ERR_INVALID: it has that
 * coding, or has a twin. ERR_NO_MEMORY. */
MUST_USE err page_asset_add_coding(struct page_assets *assets, struct page_asset_source *source,
	enum page_coding coding, struct slice file, struct slice bytes);
/* Makes the heads and the slots; nothing can be added after it. ERR_NO_MEMORY. ERR_TOO_LARGE: more
 * than 65,535. */
MUST_USE err page_assets_finish(struct page_assets *assets);
/* After page_assets_finish. The table in memory, in the arena, for programs that serve without a
 * second build. */
MUST_USE err page_asset_table_build(const struct page_assets *assets, struct page_asset_table *out);
/* After page_assets_finish. C that defines `const struct page_asset_table SYMBOL`, and the assembler
 * source with the bodies (.incbin of each file). Sorted by path: the same files give the same bytes.
 */
void page_assets_emit_c(
	const struct page_assets *assets, struct slice symbol, struct page_sink *sink);
void page_assets_emit_asm(
	const struct page_assets *assets, struct slice symbol, struct page_sink *sink);

API_END

#endif
