#include "heap.h"

#include <string.h>

static bool is_taken(const struct heap *h, size_t i)
{
	return h->taken[i / 64] >> (i % 64) & 1;
}

static void mark(struct heap *h, size_t from, size_t count, bool taken)
{
	for (size_t i = from; i < from + count; i++) {
		uint64_t bit = (uint64_t)1 << (i % 64);
		if (is_taken(h, i) != taken)
			h->used += taken ? (size_t)1 : (size_t)-1;
		h->taken[i / 64] = taken ? h->taken[i / 64] | bit : h->taken[i / 64] & ~bit;
	}
	if (h->used > h->used_max)
		h->used_max = h->used;
	if (!taken && from < h->first_free)
		h->first_free = from;
}

static size_t pages_of(size_t len)
{
	return len / HEAP_PAGE + (len % HEAP_PAGE != 0);
}

void heap_init(struct heap *h, uint8_t *memory, size_t len)
{
	size_t all = len / HEAP_PAGE;
	size_t bitmap_len = (all + 63) / 64 * sizeof(uint64_t);
	size_t skip = pages_of(bitmap_len);
	*h = (struct heap){.taken = (uint64_t *)(void *)memory, .pages = memory + skip * HEAP_PAGE,
		.count = all - skip};
}

/* The length of the free run at `from`, up to `want`. */
static size_t free_run(const struct heap *h, size_t from, size_t want)
{
	size_t n = 0;
	while (n < want && from + n < h->count && !is_taken(h, from + n))
		n++;
	return n;
}

/* Takes the run; what was used before is made zero again. */
static void *take(struct heap *h, size_t from, size_t count)
{
	uint8_t *at = h->pages + from * HEAP_PAGE;
	size_t used_before = h->touched > from ? h->touched - from : 0;
	mark(h, from, count, true);
	memset(at, 0, (used_before < count ? used_before : count) * HEAP_PAGE);
	if (h->touched < from + count)
		h->touched = from + count;
	return at;
}

void *heap_map(struct heap *h, size_t len)
{
	size_t want = pages_of(len);
	while (h->first_free < h->count && is_taken(h, h->first_free))
		h->first_free++;
	for (size_t i = h->first_free; want && want <= h->count && i <= h->count - want;) {
		size_t n = free_run(h, i, want);
		if (n == want)
			return take(h, i, want);
		i += n + 1;
	}
	h->failures++;
	return NULL;
}

bool heap_contains(const struct heap *h, const void *at, size_t len)
{
	uintptr_t start = (uintptr_t)h->pages, from = (uintptr_t)at;
	size_t heap_len = h->count * HEAP_PAGE;
	return from >= start && from - start <= heap_len && len <= heap_len - (from - start);
}

bool heap_unmap(struct heap *h, void *at, size_t len)
{
	size_t offset = (size_t)((uintptr_t)at - (uintptr_t)h->pages);
	if (!heap_contains(h, at, len) || offset % HEAP_PAGE)
		return false;
	size_t count = pages_of(len);
	mark(h, offset / HEAP_PAGE, count, false);
	return true;
}

bool heap_resize(struct heap *h, void *at, size_t old_len, size_t new_len)
{
	size_t from = (size_t)((uintptr_t)at - (uintptr_t)h->pages) / HEAP_PAGE;
	size_t old_count = pages_of(old_len), new_count = pages_of(new_len);
	if (new_count <= old_count) {
		mark(h, from + new_count, old_count - new_count, false);
		return true;
	}
	size_t more = new_count - old_count;
	if (free_run(h, from + old_count, more) < more)
		return false;
	take(h, from + old_count, more);
	return true;
}
