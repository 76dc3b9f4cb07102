/* Verification: reads every page and map node of each object's newest generation from the device. What is in the
 * cache was verified when it came there; the device's copy may have rotted since, so it is read as well.
 *
 * The pages below a map node that does not hold cannot be found. They are reported as one run, as wide as it
 * goes. */
#include "private.h"

struct check {
	struct store *s;
	const struct store_check_job *job;
	struct store_snapshot snapshot;
	const char *name;
	struct store_damage lost; /* a run of pages whose map cannot be read; pages 0: none */
	uint64_t done, all;
	struct store_check_result *result;
};

static void report(struct check *c, const struct store_damage *d)
{
	if (d->kind == STORE_DAMAGE_MAP)
		store_log(c->s, LOG_ERROR, "object \"%s\" pages %u to %u: their map is damaged",
			d->object, d->page, d->page + d->pages - 1);
	else
		store_log(c->s, LOG_ERROR, "object \"%s\" page %u (block %u) is damaged", d->object, d->page,
			d->block);
	c->result->damaged += d->pages;
	if (c->job->damage)
		c->job->damage(c->job->context, d);
}

static void report_lost(struct check *c)
{
	if (c->lost.pages)
		report(c, &c->lost);
	c->lost.pages = 0;
}

static void lose(struct check *c, uint32_t page_no, err e)
{
	if (!c->lost.pages)
		c->lost = (struct store_damage){STORE_DAMAGE_MAP, c->name, page_no, 0, 0, e};
	c->lost.pages++;
}

/* The page as it lies on the device, into a frame that is nobody's. */
static err verify(struct check *c, uint32_t page_no, const struct volume_entry *at)
{
	struct frame *f;
	TRY(cache_take(c->s, &f));
	err e = io_read_block(c->s, at->block, (void *)(uintptr_t)f->page.data);
	uint64_t seed = volume_seed_page(c->s->nonce, c->snapshot.line, 0, page_no, at->generation);
	if (!failed(e) && volume_checksum(seed, f->page.data, STORE_PAGE_SIZE) != at->checksum)
		e = ERR(CORRUPT);
	f->state = FRAME_CLEAN;
	frame_put(f);
	return e;
}

/* ERR_CORRUPT and ERR_IO are findings; what else fails ends the check. */
static bool is_finding(err e)
{
	return e.code == ERR_CORRUPT || e.code == ERR_IO;
}

static err check_page(struct check *c, uint32_t page_no, bool *hole)
{
	struct map_result r;
	err e = map_resolve(c->s, &c->snapshot, page_no, c->snapshot.generation, &r);
	*hole = false;
	if (is_finding(e)) {
		lose(c, page_no, e);
		return OK;
	}
	TRY(e);
	report_lost(c);
	*hole = !r.frame && !r.entry.block;
	if (r.frame || *hole)
		return OK;
	c->result->pages++;
	if (c->job->map_only)
		return OK;
	e = verify(c, page_no, &r.entry);
	if (!is_finding(e))
		return e;
	report(c, &(struct store_damage){STORE_DAMAGE_PAGE, c->name, page_no, 1, r.entry.block, e});
	return OK;
}

static err check_snapshot(struct check *c)
{
	for (uint64_t p = 0; p < c->snapshot.pages;) {
		bool hole;
		TRY(check_page(c, (uint32_t)p, &hole));
		p = hole ? map_skip_hole(c->s, &c->snapshot, (uint32_t)p) : p + 1;
		if (c->job->progress && (p & 255) == 0)
			c->job->progress(c->job->context, c->done + p, c->all);
	}
	report_lost(c);
	c->done += c->snapshot.pages;
	return OK;
}

err store_check_all(struct store *s, const struct store_check_job *job, struct store_check_result *result)
{
	struct check c = {.s = s, .job = job, .result = result};
	err e = OK;
	*result = (struct store_check_result){0};
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++)
		if (s->object[i].used)
			c.all += s->object[i].pages;
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX && !failed(e); i++) {
		if (!s->object[i].used)
			continue;
		c.name = s->object[i].name;
		store_snapshot_begin(&s->object[i], &c.snapshot);
		e = check_snapshot(&c);
		store_snapshot_end(&c.snapshot);
	}
	TRY(e);
	return result->damaged ? ERR(CORRUPT) : OK;
}

err store_check(struct store *s, uint64_t *damaged)
{
	static const struct store_check_job plain;
	struct store_check_result result;
	err e = store_check_all(s, &plain, &result);
	if (damaged)
		*damaged = result.damaged;
	return e;
}

err store_page_locate(struct store_snapshot *snap, uint32_t page_no, struct store_page_place *place)
{
	struct map_result r;
	if (page_no >= snap->pages)
		return ERR(INVALID);
	TRY(map_resolve(snap->object->store, snap, page_no, snap->generation, &r));
	*place = (struct store_page_place){r.frame ? UINT32_MAX : r.entry.block, r.entry.generation,
		r.entry.checksum};
	return OK;
}
