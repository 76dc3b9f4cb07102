/* Static files in the image: each with its response head ready to send, found by path. */
#ifndef PAGE_ASSET_H
#define PAGE_ASSET_H

#include <base/slice.h>

/* A file from so many bytes on is worth answering several ranges of it in parts; of a smaller one the
 * whole is sent, which RFC 9110 section 14.2 leaves to the server. */
#define PAGE_ASSET_LARGE 16384u

enum page_coding {
	PAGE_CODING_NONE,
	PAGE_CODING_GZIP,
	PAGE_CODING_BROTLI,
	PAGE_CODING_COUNT
};

/* A file, or the same file in a content coding. */
struct page_asset {
	struct slice path; /* "/css/site.css", decoded and normalised; the same for its codings */
	/* A whole header block, each line with its CRLF, without the empty line that ends the block:
	 * status line of a 200, Content-Length, Accept-Ranges, Content-Type, Content-Encoding, ETag,
	 * Cache-Control, Vary. */
	struct slice head;
	struct slice body;
	const struct page_asset *coded; /* its codings, the smallest first; not of a coding itself */
	uint8_t coded_count;
	uint8_t coding;	     /* enum page_coding */
	uint16_t fields_at;  /* in head: Content-Type, where a part's fields (206) begin */
	uint16_t etag_at;    /* in head: ETag, where the fields of a 304 begin */
	uint16_t etag_len;   /* of the tag, with its quotes */
};

struct page_asset_table {
	const struct page_asset *asset; /* sorted by path (slice_cmp) */
	uint32_t count;
	/* By a hash of the path, then the next free one: the number of an asset from 1 on, 0 for none. The
	 * index.html of a directory is there also by the directory's path. */
	uint32_t slot_mask;
	const uint16_t *slot; /* slot_mask + 1, a power of two; NULL without assets */
};

/* The strong validator, with its quotes. */
static inline struct slice page_asset_etag(const struct page_asset *a)
{
	return slice_of(a->head.ptr + a->etag_at + sizeof "ETag: " - 1, a->etag_len);
}

/* The header lines of a part of it: Content-Type to Vary. */
static inline struct slice page_asset_part_fields(const struct page_asset *a)
{
	return slice_of(a->head.ptr + a->fields_at, a->head.len - a->fields_at);
}

/* The header lines of a 304: ETag, Cache-Control, Vary. */
static inline struct slice page_asset_validator_fields(const struct page_asset *a)
{
	return slice_of(a->head.ptr + a->etag_at, a->head.len - a->etag_at);
}

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
