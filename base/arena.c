#include <base/arena.h>

#include <stdarg.h>
#include <string.h>
#include <base/cursor.h>

struct arena_block {
	struct arena_block *next;
	uint64_t pad;
};

void arena_init(struct arena *a, void *buf, size_t len, struct pool *blocks, uint32_t block_limit)
{
	*a = (struct arena){
		.pos = buf,
		.end = (uint8_t *)buf + len,
		.first = buf,
		.first_end = (uint8_t *)buf + len,
		.blocks = blocks,
		.block_limit = block_limit,
	};
}

static bool arena_grow(struct arena *a, size_t size)
{
	if (!a->blocks || a->block_count >= a->block_limit
		|| size > pool_item_size(a->blocks) - sizeof(struct arena_block))
		return false;
	struct arena_block *b = pool_get(a->blocks);
	if (!b)
		return false;
	b->next = a->chain;
	a->chain = b;
	a->block_count++;
	a->pos = (uint8_t *)(b + 1);
	a->end = (uint8_t *)b + pool_item_size(a->blocks);
	return true;
}

void *arena_alloc(struct arena *a, size_t size)
{
	size_t skip = (size_t)(-(uintptr_t)a->pos & 15);
	size_t left = (size_t)(a->end - a->pos);
	if (left < skip || left - skip < size) {
		if (!arena_grow(a, size)) {
			a->exhausted = true;
			return NULL;
		}
		skip = 0;
	}
	uint8_t *p = a->pos + skip;
	a->pos = p + size;
	return p;
}

void *arena_zalloc(struct arena *a, size_t count, size_t size)
{
	size_t total;
	if (__builtin_mul_overflow(count, size, &total)) {
		a->exhausted = true;
		return NULL;
	}
	void *p = arena_alloc(a, total);
	return p ? memset(p, 0, total) : NULL;
}

struct slice arena_copy(struct arena *a, struct slice s)
{
	uint8_t *p = arena_alloc(a, s.len);
	if (!p)
		return (struct slice){NULL, 0};
	if (s.len)
		memcpy(p, s.ptr, s.len);
	return (struct slice){p, s.len};
}

struct slice arena_format(struct arena *a, const char *fmt, ...)
{
	uint8_t buf[1024];
	struct writer w = writer_of(buf, sizeof buf);
	va_list args;
	va_start(args, fmt);
	write_format(&w, fmt, args);
	va_end(args);
	return arena_copy(a, writer_slice(&w));
}

void arena_reset(struct arena *a)
{
	while (a->chain) {
		struct arena_block *b = a->chain;
		a->chain = b->next;
		pool_put(a->blocks, b);
	}
	a->pos = a->first;
	a->end = a->first_end;
	a->block_count = 0;
	a->exhausted = false;
}
