/* A run of pages from which anonymous memory is mapped: first fit over a bitmap. Pure. */
#ifndef LIBC_HEAP_H
#define LIBC_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAP_PAGE 4096u

struct heap {
	uint8_t *pages; /* the first page that can be had, after the bitmap */
	uint64_t *taken; /* a bit for each page */
	size_t count, used, used_max;
	size_t touched; /* pages from here on have never been used: still zero */
	size_t first_free; /* no free page lies before it */
	uint64_t failures;
};

/* `memory` is zeroed, aligned to 4096, `len` a multiple of it and at least two pages. */
void heap_init(struct heap *h, uint8_t *memory, size_t len);
/* `len` bytes, rounded up to pages, zero; NULL when there is no such run (counted) or len is 0. */
void *heap_map(struct heap *h, size_t len);
/* Any part of what was mapped, in whole pages; false (and nothing is done) outside of the heap. */
bool heap_unmap(struct heap *h, void *at, size_t len);
/* Grows or shrinks in place; false when what follows is taken. */
bool heap_resize(struct heap *h, void *at, size_t old_len, size_t new_len);
bool heap_contains(const struct heap *h, const void *at, size_t len);

#endif
