#include "machine.h"

#include <base/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#define SECTOR 512u
#define FIBERS 128u /* one for the program, two for each volume; SUITE_FIBERS changes it */
#define STACK_LEN ((size_t)8 << 20)

static struct suite_machine *machine_of(struct platform *p)
{
	return CONTAINER_OF(p, struct suite_machine, platform);
}

static uint64_t now_ns(struct platform *p)
{
	return machine_of(p)->now_ns += 1000;
}

static int64_t wall_ns(struct platform *p)
{
	return 1700000000000000000 + (int64_t)machine_of(p)->now_ns;
}

static void log_line(struct platform *p, struct slice line)
{
	(void)p;
	fprintf(stderr, "# %.*s", SLICE_ARG(line));
}

/* Nobody is runnable, so what everybody waits for is a timer or a disk. */
static void idle(struct platform *p, uint64_t until_ns)
{
	struct suite_machine *m = machine_of(p);
	if (m->pending)
		return;
	ASSERT(until_ns != UINT64_MAX); /* else everybody waits for ever */
	if (m->now_ns < until_ns)
		m->now_ns = until_ns;
}

static void guard(struct platform *p, void *at, size_t len)
{
	(void)p;
	int e = mprotect(at, len, PROT_NONE);
	ASSERT(e == 0);
}

/* --- Disks ------------------------------------------------------------------------------------ */

static struct suite_disk *disk_of(struct block_device *base)
{
	return (struct suite_disk *)base;
}

static bool disk_submit(struct block_device *base, struct block_request *r)
{
	struct suite_disk *d = disk_of(base);
	list_push_back(&d->requests, &r->link);
	d->machine->pending++;
	return true;
}

static void disk_kick(struct block_device *base)
{
	(void)base;
}

static void disk_perform(struct suite_disk *d, const struct block_request *r)
{
	uint8_t *at = d->image + r->sector * SECTOR;
	size_t len = (size_t)r->sector_count * SECTOR;
	if (r->op == BLOCK_FLUSH) {
		d->flushes++;
		return;
	}
	ASSERT(r->sector * SECTOR + len <= d->image_len);
	if (r->op == BLOCK_DISCARD)
		memset(at, 0, len);
	for (uint32_t i = 0; r->op != BLOCK_DISCARD && i < r->buffer_count; i++) {
		if (r->op == BLOCK_READ)
			memcpy(r->buffer[i].ptr, at, r->buffer[i].len);
		else
			memcpy(at, r->buffer[i].ptr, r->buffer[i].len);
		at += r->buffer[i].len;
	}
}

/* Only what was submitted before: what a completion submits is for the next round. */
static uint32_t disk_poll(struct block_device *base)
{
	struct suite_disk *d = disk_of(base);
	struct list *last = d->requests.prev, *e;
	uint32_t count = 0;
	if (list_is_empty(&d->requests))
		return 0;
	do {
		e = list_pop_front(&d->requests);
		struct block_request *r = LIST_ENTRY(e, struct block_request, link);
		disk_perform(d, r);
		d->machine->pending--;
		r->result = OK;
		r->done(r);
		count++;
	} while (e != last);
	return count;
}

bool suite_disk_init(struct suite_disk *d, struct suite_machine *m, size_t len)
{
	*d = (struct suite_disk){.machine = m, .image_len = len};
	d->image = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (d->image == MAP_FAILED)
		return false;
	list_init(&d->requests);
	d->device = (struct block_device){.sector_size = SECTOR, .sector_count = len / SECTOR,
		.has_flush = true, .buffers_max = BLOCK_BUFFERS_MAX, .transfer_max = 128 * 1024,
		.name = "memory", .submit = disk_submit, .kick = disk_kick, .poll = disk_poll};
	return true;
}

void suite_disk_deinit(struct suite_disk *d)
{
	munmap(d->image, d->image_len);
}

/* --- The program ------------------------------------------------------------------------------ */

static void run(void *argument)
{
	struct suite_machine *m = argument;
	m->status = m->program(m->argc, m->argv);
	m->done = true;
}

static void seed(struct random *r)
{
	uint8_t bytes[32];
	ssize_t n = getrandom(bytes, sizeof bytes, 0);
	ASSERT(n == (ssize_t)sizeof bytes);
	random_init(r);
	random_mix(r, slice_of(bytes, sizeof bytes));
}

int suite_machine_run(struct suite_machine *m, int (*program)(int, char **), int argc, char **argv)
{
	*m = (struct suite_machine){.program = program, .argc = argc, .argv = argv};
	m->platform = (struct platform){.now_ns = now_ns, .wall_ns = wall_ns, .log_write = log_line,
		.console_write = log_line, .idle = idle, .guard = guard, .kind = "suite"};
	const char *wanted = getenv("SUITE_FIBERS");
	uint32_t fibers = wanted ? (uint32_t)atoi(wanted) : FIBERS;
	size_t len = loop_memory_size(fibers, STACK_LEN);
	void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT(memory != MAP_FAILED);
	loop_init(&m->loop, &m->platform, memory, fibers, STACK_LEN);
	log_init(&m->log, &m->platform, LOG_WARN);
	seed(&m->random);
	err e = fiber_spawn(&m->loop, run, m);
	ASSERT(!failed(e));
	while (!m->done)
		loop_round(&m->loop, true);
	munmap(memory, len);
	return m->status;
}
