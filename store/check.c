/* Verification: reads every page and map node of each object's newest generation, and of each named snapshot, from the
 * device. What is in the cache was verified when it came there; the device's copy may have rotted since, so it is
 * read as well.
 *
 * All versions are gone through side by side, page by page, so that a block which several of them have is read once.
 * The pages below a map node that does not hold cannot be found: they are reported as one run, as wide as it
 * goes. */
#include "private.h"

/* One version on its way. */
struct view {
	struct store_snapshot snapshot;
	char object[STORE_OBJECT_NAME_MAX + 1], snapshot_name[STORE_OBJECT_NAME_MAX + 1];
	uint64_t next;            /* page to look at */
	struct store_damage lost; /* a run of pages whose map cannot be read; pages 0: none */
};

/* A block that was read for the page at hand. */
struct verified {
	struct volume_entry entry;
	uint32_t line;
	err result;
};

struct check {
	struct store *s;
	const struct store_check_job *job;
	struct store_check_result *result;
	struct view *view;
	struct verified verified[STORE_OBJECTS_MAX];
	uint32_t views, verified_count;
};

static void report(struct check *c, const struct store_damage *d)
{
	const char *of = d->snapshot ? d->snapshot : "newest";
	if (d->kind == STORE_DAMAGE_MAP)
		store_log(c->s, LOG_ERROR, "object \"%s\" (%s) pages %u to %u: their map is damaged", d->object, of,
			d->page, d->page + d->pages - 1);
	else
		store_log(c->s, LOG_ERROR, "object \"%s\" (%s) page %u (block %u) is damaged", d->object, of,
			d->page, d->block);
	c->result->damaged += d->pages;
	if (c->job->damage)
		c->job->damage(c->job->context, d);
}

static struct store_damage damage_of(const struct view *v, enum store_damage_kind kind, uint64_t page, err e)
{
	return (struct store_damage){.kind = kind, .object = v->object, .page = (uint32_t)page, .reason = e,
		.snapshot = v->snapshot_name[0] ? v->snapshot_name : NULL};
}

static void report_lost(struct check *c, struct view *v)
{
	if (v->lost.pages)
		report(c, &v->lost);
	v->lost.pages = 0;
}

static void lose(struct view *v, uint64_t from, uint64_t until, err e)
{
	if (!v->lost.pages)
		v->lost = damage_of(v, STORE_DAMAGE_MAP, from, e);
	v->lost.pages += (uint32_t)(until - from);
}

/* The page as it lies on the device, into a frame that is nobody's. */
static err read_and_verify(struct store *s, uint32_t line, uint32_t page_no, const struct volume_entry *at)
{
	struct frame *f;
	TRY(cache_take(s, &f));
	err e = io_read_block(s, at->block, (void *)(uintptr_t)f->page.data);
	uint64_t seed = volume_seed_page(s->nonce, line, 0, page_no, at->generation);
	if (!failed(e) && volume_checksum(seed, f->page.data, STORE_PAGE_SIZE) != at->checksum)
		e = ERR(CORRUPT);
	f->state = FRAME_CLEAN;
	frame_put(f);
	return e;
}

static err verify(struct check *c, uint32_t line, uint32_t page_no, const struct volume_entry *at)
{
	for (uint32_t i = 0; i < c->verified_count; i++)
		if (c->verified[i].line == line && !memcmp(&c->verified[i].entry, at, sizeof *at))
			return c->verified[i].result;
	c->result->pages++;
	err e = c->job->map_only ? OK : read_and_verify(c->s, line, page_no, at);
	c->verified[c->verified_count++] = (struct verified){*at, line, e};
	return e;
}

/* ERR_CORRUPT and ERR_IO are findings; what else fails ends the check. */
static bool is_finding(err e)
{
	return e.code == ERR_CORRUPT || e.code == ERR_IO;
}

static err check_page(struct check *c, struct view *v, uint32_t page_no)
{
	struct map_result r;
	err e = map_resolve(c->s, &v->snapshot, page_no, v->snapshot.generation, &r);
	v->next = (uint64_t)page_no + 1;
	if (is_finding(e)) {
		v->next = map_skip_hole(c->s, &v->snapshot, page_no);
		lose(v, page_no, v->next, e);
		return OK;
	}
	TRY(e);
	report_lost(c, v);
	if (!r.frame && !r.entry.block)
		v->next = map_skip_hole(c->s, &v->snapshot, page_no);
	if (r.frame || !r.entry.block)
		return OK;
	e = verify(c, v->snapshot.line, page_no, &r.entry);
	if (!is_finding(e))
		return e;
	struct store_damage d = damage_of(v, STORE_DAMAGE_PAGE, page_no, e);
	d.pages = 1;
	d.block = r.entry.block;
	report(c, &d);
	return OK;
}

/* The least page that some version is to look at next. */
static bool next_page(const struct check *c, uint64_t *page)
{
	*page = UINT64_MAX;
	for (uint32_t i = 0; i < c->views; i++) {
		const struct view *v = &c->view[i];
		if (v->next < v->snapshot.pages && v->next < *page)
			*page = v->next;
	}
	return *page != UINT64_MAX;
}

static err check_all(struct check *c)
{
	uint64_t page, all = 0;
	for (uint32_t i = 0; i < c->views; i++)
		if (c->view[i].snapshot.pages > all)
			all = c->view[i].snapshot.pages;
	for (uint32_t steps = 1; next_page(c, &page); steps++) {
		c->verified_count = 0;
		for (uint32_t i = 0; i < c->views; i++) {
			struct view *v = &c->view[i];
			if (v->next == page && page < v->snapshot.pages)
				TRY(check_page(c, v, (uint32_t)page));
		}
		if (steps % 256)
			continue;
		if (c->job->progress)
			c->job->progress(c->job->context, page, all);
		fiber_yield(c->s->loop);
	}
	for (uint32_t i = 0; i < c->views; i++)
		report_lost(c, &c->view[i]);
	return OK;
}

static void views_open(struct check *c)
{
	struct store_named_info named;
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++) {
		if (!c->s->object[i].used || c->s->version[i].hidden)
			continue;
		struct view *v = &c->view[c->views++];
		memcpy(v->object, c->s->object[i].name, sizeof v->object);
		store_snapshot_begin(&c->s->object[i], &v->snapshot);
	}
	for (uint32_t cursor = 0; c->views < STORE_OBJECTS_MAX && store_named_next(c->s, &cursor, &named);) {
		struct view *v = &c->view[c->views];
		memcpy(v->object, named.object, sizeof v->object);
		memcpy(v->snapshot_name, named.name, sizeof v->snapshot_name);
		if (!failed(store_named_begin(c->s, named.name, &v->snapshot)))
			c->views++;
	}
}

/* A volume whose maps are damaged in places tells nothing about its space. */
static err check_space(struct check *c)
{
	struct space_report report;
	TRY(space_check(c->s, &report));
	c->result->space_damaged = report.damaged;
	if (!report.there || report.incomplete)
		return OK;
	c->result->leaked = report.leaked;
	c->result->missing = report.missing;
	c->result->twice = report.twice;
	return OK;
}

/* A copy that is being written meanwhile says nothing. */
static err check_slots(struct check *c)
{
	struct store *s = c->s;
	struct frame *f;
	TRY(cache_take(s, &f));
	err e = OK;
	for (uint32_t i = 0; i < 2 && !failed(e); i++) {
		struct volume_superblock *b = (void *)(uintptr_t)f->page.data;
		uint64_t sequence = s->checkpoint.sequence;
		e = io_read_block(s, VOLUME_SLOT_BLOCK(i), b);
		bool sound = !failed(e) && recovery_slot_is_sound(s, b);
		if (!sound && !s->checkpoint.active && s->checkpoint.sequence == sequence)
			c->result->slot_damaged[i] = true;
		if (e.code == ERR_IO)
			e = OK;
	}
	f->state = FRAME_CLEAN;
	frame_put(f);
	return e;
}

err store_check_all(struct store *s, const struct store_check_job *job, struct store_check_result *result)
{
	struct view views[STORE_OBJECTS_MAX] = {0};
	struct check c = {.s = s, .job = job, .result = result, .view = views};
	*result = (struct store_check_result){0};
	views_open(&c);
	err e = check_all(&c);
	while (c.views)
		store_snapshot_end(&views[--c.views].snapshot);
	if (!failed(e) && job->space)
		e = check_space(&c);
	if (!failed(e) && job->space)
		e = check_slots(&c);
	TRY(e);
	return result->damaged || result->missing || result->twice || result->space_damaged ||
		result->slot_damaged[0] || result->slot_damaged[1] ? ERR(CORRUPT) : OK;
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
