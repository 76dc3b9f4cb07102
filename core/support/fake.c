#include "fake.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <base/assert.h>

static struct fake *fake_of(struct platform *p)
{
	return (struct fake *)(void *)p;
}

static uint64_t now(struct platform *p)
{
	return fake_of(p)->now_ns;
}

static int64_t wall(struct platform *p)
{
	return fake_of(p)->wall_ns;
}

static void idle(struct platform *p, uint64_t until_ns)
{
	struct fake *f = fake_of(p);
	f->idles++;
	f->last_until_ns = until_ns;
	if (f->on_idle) {
		f->on_idle(f, until_ns);
		return;
	}
	ASSERT(until_ns != UINT64_MAX); /* nothing would ever end this sleep */
	if (until_ns > f->now_ns)
		f->now_ns = until_ns;
}

static void log_line(struct platform *p, struct slice line)
{
	struct fake *f = fake_of(p);
	ASSERT(line.len < sizeof f->log - f->log_len);
	memcpy(f->log + f->log_len, line.ptr, line.len);
	f->log_len += line.len;
	f->log[f->log_len] = 0;
}

static void guard(struct platform *p, void *at, size_t len)
{
	fake_of(p)->guards++;
	int e = mprotect(at, len, PROT_NONE);
	ASSERT(e == 0);
}

void fake_init(struct fake *f, size_t memory_len)
{
	memset(f, 0, sizeof *f);
	void *memory = mmap(
		NULL, memory_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT(memory != MAP_FAILED);
	f->platform = (struct platform){
		.now_ns = now,
		.wall_ns = wall,
		.log_write = log_line,
		.idle = idle,
		.guard = guard,
		.memory = memory,
		.memory_len = memory_len,
		.memory_total = memory_len,
		.kind = "fake",
	};
}

void fake_deinit(struct fake *f)
{
	munmap(f->platform.memory, f->platform.memory_len);
}
