/* A fixed number of items of one size, taken and given back in O(1). The memory is the owner's. Free
 * items are linked through their own first bytes; items are handed out uninitialised. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <base/api.h>

struct pool {
	void *free;         /* items given back */
	uint8_t *memory;    /* start; items up to `touched` have been handed out at least once */
	size_t item_size;   /* bytes, a multiple of 16 */
	uint32_t capacity, touched, used;
	uint32_t used_max;  /* high-water mark */
	uint64_t failures;  /* gets that found it empty */
};

API_BEGIN

/* The bytes of memory that pool_init needs, aligned to 16, for `capacity` items. */
size_t pool_memory_size(size_t item_size, uint32_t capacity);
/* `memory` of pool_memory_size() bytes, aligned to 16 (or to what the items need, item_size being a
 * multiple of it), stays the pool's until its last use. It is not touched before items are. */
void pool_init(struct pool *p, void *memory, size_t item_size, uint32_t capacity);
/* NULL when empty, and counted. */
void *pool_get(struct pool *p);
/* Consumes an item that this pool handed out; a foreign or misaligned pointer is a bug (asserted). */
void pool_put(struct pool *p, void *item);
size_t pool_item_size(const struct pool *p);
/* The item's number, 0 to capacity - 1, and back. */
uint32_t pool_index(const struct pool *p, const void *item);
void *pool_at(const struct pool *p, uint32_t index);

API_END

#endif
