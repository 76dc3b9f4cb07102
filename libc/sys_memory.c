/* Anonymous memory. There is one address space without protection between its parts, and no files to map. */
#include "private.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static struct heap *heap(void)
{
	return &libc_context()->heap;
}

/* No break: musl's malloc then maps what it needs. */
long sys_brk(long end)
{
	(void)end;
	return 0;
}

long sys_mmap(long hint, long len, long protection, long flags, long fd, long offset)
{
	(void)hint, (void)protection, (void)fd, (void)offset;
	if (!(flags & MAP_ANONYMOUS) || (flags & MAP_FIXED))
		return -ENODEV;
	if (len <= 0)
		return len ? -ENOMEM : -EINVAL;
	void *at = heap_map(heap(), (size_t)len);
	return at ? (long)at : -ENOMEM;
}

long sys_munmap(long at, long len)
{
	if (len <= 0 || !heap_unmap(heap(), (void *)at, (size_t)len))
		return -EINVAL;
	return 0;
}

long sys_mremap(long at, long old_len, long new_len, long flags, long hint)
{
	(void)hint;
	struct heap *h = heap();
	if (old_len <= 0 || new_len <= 0 || at % HEAP_PAGE || (flags & MREMAP_FIXED) ||
		!heap_contains(h, (void *)at, (size_t)old_len))
		return -EINVAL;
	if (heap_resize(h, (void *)at, (size_t)old_len, (size_t)new_len))
		return at;
	void *moved = flags & MREMAP_MAYMOVE ? heap_map(h, (size_t)new_len) : NULL;
	if (!moved)
		return -ENOMEM;
	memcpy(moved, (void *)at, (size_t)old_len);
	heap_unmap(h, (void *)at, (size_t)old_len);
	return (long)moved;
}

long sys_madvise(long at, long len, long advice)
{
	if (len < 0 || at % HEAP_PAGE || !heap_contains(heap(), (void *)at, (size_t)len))
		return -EINVAL;
	if (advice == MADV_DONTNEED)
		memset((void *)at, 0, (size_t)len);
	return 0;
}

/* Everything mapped here stays readable and writable, whatever was asked for. */
long sys_mprotect(long at, long len, long protection)
{
	(void)protection;
	return len >= 0 && heap_contains(heap(), (void *)at, (size_t)len) ? 0 : -ENOMEM;
}
