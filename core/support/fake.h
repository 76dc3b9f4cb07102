/* A platform for tests: virtual time, which passes only in idle; memory with real guards. */
#ifndef CORE_SUPPORT_FAKE_H
#define CORE_SUPPORT_FAKE_H

#include <platform/platform.h>

struct fake {
	struct platform platform;
	uint64_t now_ns;
	int64_t wall_ns;
	uint64_t last_until_ns; /* of the last idle */
	uint32_t idles, guards;
	/* Called instead of waiting, unless NULL; what does not move now_ns is an early return. */
	void (*on_idle)(struct fake *, uint64_t until_ns);
	char log[2048];
	size_t log_len;
};

/* With `memory_len` bytes of memory (a multiple of 4096). */
void fake_init(struct fake *f, size_t memory_len);
void fake_deinit(struct fake *f);

#endif
