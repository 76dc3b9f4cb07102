/* Named snapshots: what each was made of, and when. One whose making or deleting a power cut has interrupted
 * may be there or not; all others must be as they were told to be. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void name_of(const struct run *r, const struct named *n, char name[16])
{
	snprintf(name, 16, "snapshot %u", (unsigned)(n - r->named));
}

static struct named *find(struct run *r, const char *name)
{
	unsigned number;
	bool known = sscanf(name, "snapshot %u", &number) == 1 && number < r->named_count;
	CHECK(r, known, "there is a snapshot called \"%s\", which nobody made", name);
	return &r->named[number];
}

static bool is_there(const struct named *n)
{
	return n->gone_from == UINT64_MAX;
}

struct named *named_any(struct run *r, uint32_t draw)
{
	uint32_t there = 0;
	for (uint32_t i = 0; i < r->named_count; i++)
		there += is_there(&r->named[i]);
	draw = there ? draw % there : 0;
	for (uint32_t i = 0; i < r->named_count; i++)
		if (is_there(&r->named[i]) && draw-- == 0)
			return &r->named[i];
	return NULL;
}

static err create(struct run *r, uint32_t object)
{
	struct named *n = &r->named[r->named_count];
	char name[16];
	*n = (struct named){.content = model_at(r->model, object, r->model->newest), .object = object,
		.made_from = r->now->rig.disk.events, .made_at = UINT64_MAX, .gone_from = UINT64_MAX,
		.gone_at = UINT64_MAX};
	name_of(r, n, name);
	r->named_count++;
	err e = store_named_create(r->now->object[object], name, 1000);
	trace(r, "event %lu: \"%s\" of \"%s\": %s", (unsigned long)r->now->rig.disk.events, name, object_names[object],
		err_text(e));
	if (!failed(e))
		n->made_at = r->now->rig.disk.events;
	else if (e.code != ERR_IO) /* nothing has been written */
		r->named_count--;
	return e;
}

static err delete(struct run *r, struct named *n)
{
	char name[16];
	name_of(r, n, name);
	n->gone_from = r->now->rig.disk.events;
	err e = store_named_delete(r->now->rig.store, name);
	trace(r, "event %lu: \"%s\" is deleted: %s", (unsigned long)r->now->rig.disk.events, name, err_text(e));
	if (!failed(e))
		n->gone_at = r->now->rig.disk.events;
	else if (e.code != ERR_IO)
		n->gone_from = UINT64_MAX;
	return e.code == ERR_BUSY ? OK : e;
}

/* It is a generation like any other; readers may see it before the call returns. */
static err restore(struct run *r, struct named *n, uint32_t object)
{
	struct model *m = r->model;
	char name[16];
	name_of(r, n, name);
	model_commit(m, object, n->content);
	err e = store_named_restore(r->now->object[object], name);
	trace(r, "event %lu: \"%s\" gets \"%s\", generation %lu: %s", (unsigned long)r->now->rig.disk.events,
		object_names[object], name, (unsigned long)m->newest, err_text(e));
	if (!failed(e)) {
		uint64_t generation = store_generation(r->now->rig.store);
		CHECK(r, generation == m->newest, "a restore is generation %lu, not %lu", (unsigned long)generation,
			(unsigned long)m->newest);
		CHECK(r, store_durable_generation(r->now->rig.store) >= generation, "a restore is not durable");
	} else if (e.code != ERR_IO) {
		model_return_to(m, m->newest - 1);
	}
	return e;
}

err named_step(struct run *r)
{
	uint32_t object = below(r, r->plan.objects);
	struct named *any = named_any(r, below(r, 100));
	uint32_t what = below(r, 8);
	if (!r->now->object[object])
		return OK;
	if ((!any || what < 3) && r->named_count < NAMED_MAX && r->named_here < 6) {
		TRY(create(r, object));
		r->named_here++;
	} else if (any && what < 6) {
		TRY(delete(r, any));
		r->named_here -= !is_there(any);
	} else if (any) {
		TRY(restore(r, any, object));
	}
	return OK;
}

static void read_one(struct run *r, struct store_snapshot *s, const struct named *n, uint32_t page_no)
{
	struct store_page *page;
	if (!excused(r, store_page_get(s, page_no, &page)))
		return;
	uint64_t right = page_no % r->plan.stride ? 0 : n->content->id[page_no / r->plan.stride];
	uint64_t found = rig_identify(store_page_data(page), page_no);
	CHECK(r, found == right, "snapshot %u, page %u is %lx where it should be %lx", (unsigned)(n - r->named), page_no,
		(unsigned long)found, (unsigned long)right);
	store_page_put(page);
}

void named_read(struct run *r, const struct named *n, uint32_t every)
{
	struct store_snapshot s;
	char name[16];
	name_of(r, n, name);
	err e = store_named_begin(r->now->rig.store, name, &s);
	if (e.code == ERR_NOT_FOUND && n->gone_from != UINT64_MAX)
		return;
	CHECK(r, !failed(e), "\"%s\": %s", name, err_text(e));
	CHECK(r, s.pages == n->content->pages, "\"%s\" has %u pages, not %u", name, s.pages, n->content->pages);
	for (uint64_t p = 0; p < s.pages; p += (uint64_t)r->plan.stride * every)
		read_one(r, &s, n, (uint32_t)p);
	store_snapshot_end(&s);
}

void named_compare(struct run *r, uint64_t event)
{
	struct store_named_info info;
	bool *there = calloc(NAMED_MAX, sizeof *there);
	for (uint32_t cursor = 0; store_named_next(r->now->rig.store, &cursor, &info);) {
		struct named *n = find(r, info.name);
		there[n - r->named] = true;
		named_read(r, n, 1);
	}
	for (uint32_t i = 0; i < r->named_count && !(r->faults & FAULT_LIES); i++) {
		const struct named *n = &r->named[i];
		bool must = n->made_at < event && n->gone_from + 1 >= event;
		bool may = (!n->made_at || n->made_from + 1 < event) && n->gone_at >= event;
		CHECK(r, there[i] || !must, "snapshot %u is gone", i);
		CHECK(r, !there[i] || may, "snapshot %u should not be there", i);
	}
	free(there);
}

void named_wake(struct run *r)
{
	struct store_named_info info;
	r->named_here = 0;
	for (uint32_t i = 0; i < r->named_count; i++) {
		struct named *n = &r->named[i];
		n->made_from = n->made_at = UINT64_MAX - 1;
		n->gone_from = n->gone_at = 0;
	}
	for (uint32_t cursor = 0; store_named_next(r->now->rig.store, &cursor, &info); r->named_here++) {
		struct named *n = find(r, info.name);
		n->made_from = n->made_at = 0;
		n->gone_from = n->gone_at = UINT64_MAX;
	}
}
