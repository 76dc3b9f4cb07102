/* The database's pages into an ordinary file, from a volume that a machine may be writing to.
 *
 * A pass goes over all pages of one generation. When a block turns out to have been reused, the volume is opened anew, and
 * the next pass, over a newer generation, reads only what is not in the file already: a page is known by its
 * checksum, and by the generation and block where it was written. So passes get shorter and shorter, and the one that goes through leaves
 * a file that is that generation, whole. */
#include "tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "copy.h"

enum { PASSES_MAX = 50 };

struct copy {
	struct session *s;
	const struct copy_job *job;
	struct store_snapshot snapshot;
	struct store_page_place *have; /* what the file holds */
	uint32_t have_count;
	uint32_t page_no;   /* where a pass has failed */
	uint32_t lost;
};

static void write_page(const struct copy *c, uint32_t page_no, const uint8_t *data)
{
	uint8_t page[STORE_PAGE_SIZE];
	size_t done = 0;
	memcpy(page, data, sizeof page);
	if (page_no == 0 && memcmp(page, "SQLite format 3", 16) == 0)
		page[18] = page[19] = 1; /* a rollback journal, which is what an ordinary file has */
	while (done < sizeof page) {
		ssize_t n = pwrite(c->job->fd, page + done, sizeof page - done,
			(off_t)page_no * STORE_PAGE_SIZE + (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			die("cannot write %s: %s", c->job->path, strerror(n < 0 ? errno : ENOSPC));
		done += (size_t)n;
	}
}

static bool is_same(const struct store_page_place *a, const struct store_page_place *b)
{
	return a->checksum == b->checksum && a->generation == b->generation && a->block == b->block;
}

static const uint8_t zero[STORE_PAGE_SIZE];

static err copy_page(struct copy *c, uint32_t page_no)
{
	struct store_page_place at;
	struct store_page *page;
	TRY(store_page_locate(&c->snapshot, page_no, &at));
	if (page_no < c->have_count && is_same(&at, &c->have[page_no]))
		return OK;
	if (!at.block) {
		write_page(c, page_no, zero);
	} else {
		TRY(store_page_get(&c->snapshot, page_no, &page));
		write_page(c, page_no, store_page_data(page));
		store_page_put(page);
	}
	c->have[page_no] = at;
	return OK;
}

/* Whether to go on without the page. */
static bool is_given_up(struct copy *c, uint32_t page_no)
{
	if (!c->job->salvage || (c->s->mode == SESSION_READ && session_is_stale(c->s)))
		return false;
	write_page(c, page_no, zero);
	c->have[page_no] = (struct store_page_place){.block = UINT32_MAX};
	c->lost++;
	return true;
}

static err pass(struct copy *c)
{
	c->lost = 0;
	uint32_t count = store_snapshot_pages(&c->snapshot);
	c->have = realloc(c->have, ((size_t)count + 1) * sizeof *c->have);
	if (!c->have)
		die("out of memory");
	for (uint32_t p = c->have_count; p < count; p++)
		c->have[p] = (struct store_page_place){.block = UINT32_MAX};
	c->have_count = count;
	for (uint32_t p = 0; p < count; p++) {
		c->page_no = p;
		err e = copy_page(c, p);
		if (failed(e) && !is_given_up(c, p))
			return e;
		if (p % 256 == 0)
			progress_show(c->job->what, p, count);
	}
	progress_show("", 0, 0);
	return OK;
}

static _Noreturn void refuse_damaged(const struct copy *c, err e)
{
	if (e.code == ERR_CORRUPT)
		die("page %u of the database is damaged on the volume; %s was not written. `ingot db check` says "
		    "what the page belongs to; with --salvage the rest is written", c->page_no + 1, c->job->path);
	die("page %u of the database cannot be read: %s; %s was not written", c->page_no + 1,
		err_text(e), c->job->path);
}

static void open_snapshot(struct copy *c)
{
	struct session *s = c->s;
	const char *name = c->job->snapshot;
	if (!s->object)
		die("%s: there is no database in it yet", s->place.path);
	if (!name)
		store_snapshot_begin(s->object, &c->snapshot);
	else if (failed(store_named_begin(s->store, name, &c->snapshot)))
		die("%s: there is no snapshot \"%s\"; see: ingot db snapshots", s->place.path, name);
}

struct copy_result copy_database(struct session *s, const struct copy_job *job)
{
	struct copy c = {.s = s, .job = job};
	bool keep = s->keep_said;
	s->keep_said = true; /* what the store says about damage, we say ourselves */
	for (int i = 0;; i++) {
		open_snapshot(&c);
		err e = pass(&c);
		struct copy_result r = {c.snapshot.generation, c.have_count, c.lost};
		store_snapshot_end(&c.snapshot);
		if (!failed(e)) {
			if (ftruncate(job->fd, (off_t)r.pages * STORE_PAGE_SIZE) != 0)
				die("cannot write %s: %s", job->path, strerror(errno));
			free(c.have);
			s->keep_said = keep;
			return r;
		}
		if (s->mode != SESSION_READ || !session_is_stale(s))
			refuse_damaged(&c, e);
		if (i == PASSES_MAX)
			die("a machine writes to %s faster than it can be read; try again when it is less "
			    "busy, or stop it", s->place.path);
		session_reopen(s);
	}
}
