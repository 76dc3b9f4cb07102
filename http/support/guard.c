#include "guard.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void guard_init(struct guard *g)
{
	uint8_t *map = mmap(NULL, GUARD_MAX + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, 0);
	if (map == MAP_FAILED || mprotect(map + GUARD_MAX, 4096, PROT_NONE) != 0)
		abort();
	g->end = map + GUARD_MAX;
}

void guard_deinit(struct guard *g)
{
	munmap(g->end - GUARD_MAX, GUARD_MAX + 4096);
}

struct slice guard_copy(struct guard *g, struct slice s)
{
	if (s.len > GUARD_MAX)
		abort();
	size_t gap = GUARD_MAX - s.len;
	memset(g->end - s.len - (gap < 256 ? gap : 256), 0xa5, gap < 256 ? gap : 256);
	if (s.len)
		memcpy(g->end - s.len, s.ptr, s.len);
	return slice_of(g->end - s.len, s.len);
}
