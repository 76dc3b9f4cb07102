/* All versions are gone through side by side, page by page: what the maps say of the places, without reading the pages. A
 * page is shared when the same block stands in two maps at the same place; versions that descend from another never
 * have it elsewhere. The maps' own nodes, less than a hundredth of it, are not counted.
 *
 * Beside a machine that writes, a block of a map may have been reused. Then its checksum does not hold, and all begins
 * anew. */
#include "held.h"

#include <stdlib.h>
#include <string.h>

enum { TRIES = 20, NOT_WRITTEN = UINT32_MAX };

struct view {
	struct store_snapshot snapshot;
	uint32_t pages;
	uint32_t block; /* where the page at hand lies; 0: nowhere */
};

struct views {
	uint32_t count, named; /* the first `named` ones are */
	uint32_t pages;        /* of the longest */
	struct view view[STORE_OBJECTS_MAX];
};

static void add(struct views *v)
{
	struct view *last = &v->view[v->count++];
	last->pages = store_snapshot_pages(&last->snapshot);
	if (last->pages > v->pages)
		v->pages = last->pages;
}

static void views_begin(struct session *s, struct views *v)
{
	struct store_named_info named;
	struct store_object_info info;
	struct store_object *object;
	*v = (struct views){0};
	for (uint32_t cursor = 0; store_named_next(s->store, &cursor, &named);) {
		if (failed(store_named_begin(s->store, named.name, &v->view[v->count].snapshot)))
			die("%s: snapshot \"%s\" is there and cannot be found", s->place.path, named.name);
		add(v);
	}
	v->named = v->count;
	for (uint32_t cursor = 0; store_object_next(s->store, &cursor, &info);)
		if (!failed(store_object_open(s->store, info.name, false, &object))) {
			store_snapshot_begin(object, &v->view[v->count].snapshot);
			add(v);
		}
}

static void views_end(struct views *v)
{
	for (uint32_t i = 0; i < v->count; i++)
		store_snapshot_end(&v->view[i].snapshot);
}

static bool is_among(const struct views *v, uint32_t block, uint32_t from, uint32_t to, uint32_t but)
{
	for (uint32_t i = from; i < to; i++)
		if (i != but && v->view[i].block == block)
			return true;
	return false;
}

static void count_page(const struct views *v, struct held *out)
{
	for (uint32_t i = 0; i < v->named; i++) {
		uint32_t block = v->view[i].block;
		if (!block)
			continue;
		bool is_newest = is_among(v, block, v->named, v->count, i);
		out->alone[i] += !is_newest && !is_among(v, block, 0, v->named, i);
		out->together += !is_newest && !is_among(v, block, 0, i, i);
	}
}

static err count_all(struct views *v, struct held *out)
{
	*out = (struct held){.count = v->named};
	for (uint32_t page = 0; page < v->pages; page++) {
		for (uint32_t i = 0; i < v->count; i++) {
			struct store_page_place at = {0};
			if (page < v->view[i].pages)
				TRY(store_page_locate(&v->view[i].snapshot, page, &at));
			v->view[i].block = at.block == NOT_WRITTEN ? 0 : at.block;
		}
		count_page(v, out);
		if (page % 4096 == 0)
			progress_show("comparing the snapshots", page, v->pages);
	}
	return OK;
}

bool held_count(struct session *s, struct held *out)
{
	struct views *v = must_alloc(sizeof *v);
	bool keep = s->keep_said;
	err e = OK;
	s->keep_said = true;
	for (int i = 0; i < TRIES; i++) {
		if (i > 0)
			session_reopen(s);
		views_begin(s, v);
		e = v->named ? count_all(v, out) : OK;
		views_end(v);
		if (!failed(e) || s->mode != SESSION_READ || !session_is_stale(s))
			break;
	}
	progress_show("", 0, 0);
	if (failed(e) || !v->named)
		*out = (struct held){0};
	s->keep_said = keep;
	free(v);
	return !failed(e);
}
