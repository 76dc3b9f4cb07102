#ifndef LIBC_PRIVATE_H
#define LIBC_PRIVATE_H

#include <libc/libc.h>
#include <libc/syscalls.h>
#include "heap.h"

#define LIBC_LINE_MAX 400

struct libc_line {
	enum log_level level;
	uint32_t len;
	char text[LIBC_LINE_MAX];
};

struct libc {
	struct libc_config config;
	struct heap heap;
	struct libc_line out[2]; /* of file descriptors 1 and 2: what came after the last newline */
	size_t auxiliary[6];
	uint8_t entropy[16];
};

/* The context; NULL before libc_init. */
struct libc *libc_context(void);

#endif
