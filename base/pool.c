#include <base/pool.h>

#include <string.h>
#include <base/assert.h>

static size_t round_up(size_t n)
{
	return (n + 15) & ~(size_t)15;
}

size_t pool_memory_size(size_t item_size, uint32_t capacity)
{
	size_t total;
	return __builtin_mul_overflow(round_up(item_size), capacity, &total) ? SIZE_MAX : total;
}

void pool_init(struct pool *p, void *memory, size_t item_size, uint32_t capacity)
{
	ASSERT(item_size > 0 && ((uintptr_t)memory & 15) == 0);
	*p = (struct pool){
		.memory = memory,
		.item_size = round_up(item_size),
		.capacity = capacity,
	};
}

static void count_use(struct pool *p)
{
	if (++p->used > p->used_max)
		p->used_max = p->used;
}

void *pool_get(struct pool *p)
{
	void *item = p->free;
	if (item) {
		memcpy(&p->free, item, sizeof p->free);
	} else if (p->touched < p->capacity) {
		item = p->memory + (size_t)p->touched++ * p->item_size;
	} else {
		p->failures++;
		return NULL;
	}
	count_use(p);
	return item;
}

void pool_put(struct pool *p, void *item)
{
	size_t offset = (size_t)((uint8_t *)item - p->memory); /* beyond all when it is below */
	ASSERT(offset / p->item_size < p->touched && offset % p->item_size == 0 && p->used > 0);
	memcpy(item, &p->free, sizeof p->free);
	p->free = item;
	p->used--;
}

size_t pool_item_size(const struct pool *p)
{
	return p->item_size;
}

uint32_t pool_index(const struct pool *p, const void *item)
{
	size_t offset = (size_t)((const uint8_t *)item - p->memory);
	ASSERT((const uint8_t *)item >= p->memory && offset / p->item_size < p->capacity
		&& offset % p->item_size == 0);
	return (uint32_t)(offset / p->item_size);
}

void *pool_at(const struct pool *p, uint32_t index)
{
	ASSERT(index < p->capacity);
	return p->memory + (size_t)index * p->item_size;
}
