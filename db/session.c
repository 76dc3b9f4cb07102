/* A volume opened: a host platform with the file as its device, a loop, the store, and one fiber on which the command
 * runs.
 *
 * A command that only reads takes no lock, so that it works beside the machine that owns the volume. The store then
 * recovers in memory, and sees the newest checkpoint and what follows it; blocks that the checkpoint needs are left
 * alone until a newer one is durable. So as long as the superblocks are as they were before the opening, all that is
 * read is what the volume holds, and a wrong checksum is damage. Afterwards a block may have been reused, which
 * its checksum tells: then session_reopen, and try again. Nothing is ever taken for something else. */
#include "tool.h"

#include <abi/volume.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	STACK = 2 << 20, /* SQLite's shell has large things on it */
	FIBERS = 4,      /* two of the store's, one of ours */
	CACHE_PAGES = 8192,
	OPEN_TRIES = 20,
	OPEN_APART_NS = 50 * 1000 * 1000,
};

/* What any journal fits into, since nothing can be merged when a volume is read-only. */
#define TXN_PAGES 100000u

/* --- What the store says --- */

/* "2026-01-31T12:00:00.123Z error store: what" without what comes before `what`. */
static struct slice message_of(struct slice line)
{
	for (size_t i = 0; i + 1 < line.len; i++)
		if (line.ptr[i] == ':' && line.ptr[i + 1] == ' ') {
			line = slice_of(line.ptr + i + 2, line.len - i - 2);
			break;
		}
	while (line.len && line.ptr[line.len - 1] == '\n')
		line.len--;
	return line;
}

static void take_line(struct platform *p, struct slice line)
{
	/* The session hangs off the platform's command line, which nobody else reads here. */
	struct session *s = (struct session *)(uintptr_t)p->command_line.ptr;
	struct slice text = message_of(line);
	if (!s->keep_said) {
		notice("%.*s", SLICE_ARG(text));
		return;
	}
	int n = snprintf(s->said + s->said_len, sizeof s->said - s->said_len, "%s%.*s",
		s->said_len ? "\n" : "", SLICE_ARG(text));
	if (n > 0 && s->said_len + (size_t)n < sizeof s->said)
		s->said_len += (size_t)n;
}

/* --- The device --- */

static bool read_slots(const struct session *s, uint8_t slots[2][4096])
{
	int fd = open(s->place.path, O_RDONLY | O_CLOEXEC);
	bool all = fd >= 0;
	memset(slots, 0, (size_t)2 * 4096);
	for (uint32_t i = 0; i < 2 && all; i++)
		all = pread(fd, slots[i], 4096, (off_t)VOLUME_SLOT_BLOCK(i) * 4096) >= 0;
	if (fd >= 0)
		close(fd);
	return all;
}

bool session_is_stale(struct session *s)
{
	uint8_t now[2][4096];
	return !read_slots(s, now) || memcmp(now, s->slots, sizeof now) != 0;
}

static _Noreturn void refuse_held(const struct session *s)
{
	die("the volume %s is in use by %s; stop that first (commands that only read work meanwhile: "
	    "info, check, export, snapshots)", s->place.path, place_holder(&s->place));
}

static void platform_make(struct session *s)
{
	char text[512] = "";
	struct writer why = writer_of(text, sizeof text - 1);
	bool reads = s->mode == SESSION_READ;
	struct host_options o = {.data = s->place.path, .data_size = s->size,
		.data_must_exist = s->size == 0, .data_read_only = reads, .keep_signals = true,
		.memory_len = loop_memory_size(FIBERS, STACK)};
	err e = host_create(&o, &why, &s->host);
	if (e.code == ERR_BUSY && !reads)
		refuse_held(s);
	if (failed(e))
		die("%s", text[0] ? text : err_text(e));
	struct platform *p = host_platform(s->host);
	uint8_t seed[32];
	p->log_write = take_line;
	p->command_line = slice_of((const uint8_t *)s, 0);
	random_init(&s->random);
	random_mix(&s->random, slice_of(seed, p->entropy(p, seed, sizeof seed)));
	log_init(&s->log, p, LOG_WARN);
	loop_init(&s->loop, p, p->memory, FIBERS, STACK);
}

/* --- The store --- */

static void memory_take(struct session *s)
{
	struct block_device *d = host_platform(s->host)->block[0];
	s->config = (struct store_config){.loop = &s->loop, .device = d, .log = &s->log,
		.random = &s->random, .cache_pages = CACHE_PAGES, .txn_pages_max = TXN_PAGES,
		.accept_loss = s->accept_loss, .rebuild_space = s->rebuild_space,
		.must_exist = s->must_exist || s->mode == SESSION_READ};
	snprintf(d->name, sizeof d->name, "the file");
	s->config.memory_len = store_memory_size(&s->config);
	void *m = mmap(NULL, s->config.memory_len, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m == MAP_FAILED)
		die("out of memory: %s", strerror(errno));
	s->config.memory = s->memory = m;
}

static uint32_t pages_of(struct store_object *object)
{
	struct store_snapshot snapshot;
	store_snapshot_begin(object, &snapshot);
	uint32_t pages = store_snapshot_pages(&snapshot);
	store_snapshot_end(&snapshot);
	return pages;
}

static void open_once(struct session *s)
{
	s->said_len = 0;
	s->said[0] = '\0';
	s->object = NULL;
	s->object_pages = 0;
	read_slots(s, s->slots);
	s->opened = store_open(&s->config, &s->store, &s->info);
	s->open_now = !failed(s->opened);
	if (!s->open_now)
		s->store = NULL;
	else if (failed(store_object_open(s->store, "main", false, &s->object)))
		s->object = NULL;
	else
		s->object_pages = pages_of(s->object);
}

static void close_now(struct session *s)
{
	if (!s->open_now)
		return;
	s->open_now = false;
	err e = store_close(s->store);
	s->store = NULL;
	if (failed(e))
		die("%s: closing the volume: %s; what was not reported as done may be lost", s->place.path,
			err_text(e));
}

/* A volume that a machine writes to may change between the first block that is read of it and the last; and when
 * it has, an older state may have been taken than was durable before. */
static void open_steadily(struct session *s)
{
	bool keep = s->keep_said;
	s->keep_said = true;
	for (int i = 0; i < OPEN_TRIES; i++) {
		open_once(s);
		if (!session_is_stale(s))
			break;
		if (i + 1 == OPEN_TRIES)
			die("%s: a machine writes to this volume faster than it can be read; stop it, or try "
			    "again when it is less busy", s->place.path);
		close_now(s);
		fiber_sleep_until(&s->loop, s->loop.now_ns + OPEN_APART_NS);
	}
	s->keep_said = keep;
}

void session_reopen(struct session *s)
{
	s->reopened++;
	close_now(s);
	open_steadily(s);
	if (!s->open_now)
		die("%s: %s", s->place.path, s->said_len ? s->said : err_text(s->opened));
}

static void run(void *argument)
{
	struct session *s = argument;
	if (s->mode == SESSION_READ) {
		open_steadily(s);
	} else {
		bool keep = s->keep_said;
		s->keep_said = true;
		open_once(s);
		s->keep_said = keep;
	}
	if (!s->open_now && !s->may_break)
		die("%s: %s", s->place.path, s->said_len ? s->said : err_text(s->opened));
	s->status = s->work(s, s->context);
	close_now(s);
	loop_stop(&s->loop);
}

int session_run(struct session *s, int (*work)(struct session *, void *), void *context)
{
	if (!s->place.exists && s->size == 0) {
		if (s->place.folder)
			die("%s has no database yet: `ingot run` makes it, and so does `ingot db import`",
				s->place.folder);
		die("there is no %s", s->place.path);
	}
	if (place_is_sqlite(&s->place))
		die("%s is an ordinary SQLite database, not a volume; it becomes an application's by: ingot db import "
		    "WHERE %s", s->place.path, s->place.path);
	s->work = work;
	s->context = context;
	platform_make(s);
	memory_take(s);
	if (failed(fiber_spawn(&s->loop, run, s)))
		die("out of memory");
	loop_run(&s->loop);
	host_destroy(s->host);
	munmap(s->memory, s->config.memory_len);
	return s->status;
}
