/* The ground under musl: what its system calls (libc/syscalls.h) act on.
 *
 * The C library's interface has no context argument, so this module keeps the one pointer that libc_init sets;
 * it is the only mutable global here. Before libc_init nothing may be called that allocates memory, prints, asks
 * for the time, or sets errno; functions that only compute (memcpy, strlen, snprintf without %f locale) may. */
#ifndef LIBC_LIBC_H
#define LIBC_LIBC_H

#include <core/log.h>
#include <core/loop.h>

#define LIBC_HEAP_MIN (128u * 1024u)

struct libc_config {
	struct platform *platform;
	struct loop *loop;  /* sleeping parks the fiber that runs on it */
	struct log *log;    /* standard output (info) and error (warn) go here; NULL: dropped */
	uint8_t *heap;      /* zeroed, aligned to 4096: what malloc can have, and nothing else */
	size_t heap_len;    /* a multiple of 4096, at least LIBC_HEAP_MIN */
	/* Makes the thread pointer (on x86-64 the base of FS) what errno and the like are found by. */
	void (*set_thread_pointer)(void *);
};

struct libc_stats {
	size_t heap_len, heap_used, heap_used_max; /* bytes, in whole pages */
	uint64_t heap_failures; /* requests refused for want of memory */
};

API_BEGIN
/* Called once, by boot/, before anything else of the C library is used. Copies `config`; the heap is this
 * module's for ever. ERR_INVALID, ERR_NO_MEMORY: heap_len;
 * ERR_IO: the platform has no entropy. */
MUST_USE err libc_init(const struct libc_config *config);
void libc_stats(struct libc_stats *out);
API_END

#endif
