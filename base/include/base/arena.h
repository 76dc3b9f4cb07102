/* Memory that is freed all at once: a request's, a page's.
 *
 * An arena takes blocks from a source as it grows and gives all of them back in arena_reset. It
 * never frees a single allocation, so what hangs off a request cannot leak. An arena without a
 * source lives in one buffer of its owner's. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <base/pool.h>
#include <base/slice.h>

struct arena_block; /* at the start of each block */

struct arena {
	uint8_t *pos, *end;
	struct pool *blocks;        /* NULL: only the first buffer */
	struct arena_block *chain;  /* blocks taken, newest first */
	uint8_t *first, *first_end; /* the owner's buffer, used before any block */
	uint32_t block_count, block_limit;
	bool exhausted; /* sticky: some allocation failed */
};

API_BEGIN

/* `buf` (may be NULL, 0) is used first; then at most `block_limit` blocks from `blocks` (may be NULL).
 * Both are borrowed until the arena's last use. */
void arena_init(struct arena *a, void *buf, size_t len, struct pool *blocks, uint32_t block_limit);
/* `size` bytes, uninitialised, aligned to 16; NULL when exhausted, or when size exceeds what a block
 * holds (pool item size minus 16) and does not fit in the first buffer. */
void *arena_alloc(struct arena *a, size_t size);
/* The same, zeroed, for `count` items; NULL also when count * size overflows. */
void *arena_zalloc(struct arena *a, size_t count, size_t size);
/* Copies into the arena; an empty slice when exhausted (check a->exhausted). */
struct slice arena_copy(struct arena *a, struct slice s);
/* Formats into the arena as write_format does; empty when exhausted. At most 1 KiB. */
struct slice arena_format(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Gives all blocks back; every pointer from this arena expires. */
void arena_reset(struct arena *a);

API_END

#define ARENA_NEW(a, T) ((T *)arena_zalloc(a, 1, sizeof(T)))
#define ARENA_NEW_ARRAY(a, T, n) ((T *)arena_zalloc(a, n, sizeof(T)))

#endif
