/* The map delta: where the pages lie that have changed since the base. A hash table of versions; those
 * of one page stand newest first in their bucket.
 *
 *   new (txn) -> unbatched -> in_flight -> fresh -> merged (removed, or retained for old snapshots)
 *                    \            \          \
 *                     +------------+----------+--> superseded: removed, or retained */
#include "private.h"

#define SWEPT_AT_ONCE 64u

static inline uint32_t bucket_of(const struct store *s, uint32_t object, uint32_t page_no)
{
	uint64_t key = (uint64_t)object << 32 | page_no;
	return (uint32_t)(key * 0x9e3779b97f4a7c15u >> s->deltas.shift);
}

struct delta *delta_find(struct store *s, uint32_t object, uint32_t page_no, uint64_t base,
	uint64_t generation)
{
	for (struct delta *d = s->deltas.bucket[bucket_of(s, object, page_no)]; d; d = d->next)
		if (d->page_no == page_no && d->object == object && d->from <= generation)
			return d->from > base ? d : NULL;
	return NULL;
}

static void hash(struct store *s, struct delta *d)
{
	struct delta **bucket = &s->deltas.bucket[bucket_of(s, d->object, d->page_no)];
	d->next = *bucket;
	*bucket = d;
}

struct delta *delta_new(struct store *s, uint32_t object, uint32_t page_no)
{
	struct delta *d = pool_get(&s->deltas.pool);
	if (!d)
		return NULL;
	*d = (struct delta){.from = GENERATION_TXN, .until = GENERATION_NEVER,
		.page_no = page_no, .object = (uint16_t)object};
	list_init(&d->link);
	hash(s, d);
	return d;
}

static void unhash(struct store *s, const struct delta *d)
{
	struct delta **at = &s->deltas.bucket[bucket_of(s, d->object, d->page_no)];
	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
}

void delta_move(struct store *s, struct delta *d, uint32_t object)
{
	unhash(s, d);
	d->object = (uint16_t)object;
	hash(s, d);
}

void delta_remove(struct store *s, struct delta *d, bool release_now)
{
	unhash(s, d);
	list_remove(&d->link);
	if (d->frame) {
		ASSERT(d->frame->state == FRAME_DIRTY);
		s->space.promised -= !d->block;
		cache_drop(s, d->frame);
	}
	/* (After a failure nothing is given out any more, and a checkpoint may have been left half done.) */
	if (d->block && !d->merged && s->state == STORE_OPEN) {
		/* What was superseded before the base is in no record that recovery would look at. */
		if (release_now || d->from <= s->base)
			space_release(&s->space, d->block);
		else
			space_defer(&s->space, d->block, false);
	}
	if (d->unmapped) {
		s->space.kept--;
		space_set_stale(&s->space);
	}
	pool_put(&s->deltas.pool, d);
}

void delta_unmap_all(struct store *s, uint32_t object)
{
	LIST_FOR_EACH(e, &s->deltas.retained) {
		struct delta *d = LIST_ENTRY(e, struct delta, link);
		if (d->object == object && d->block && d->merged && !d->unmapped) {
			d->unmapped = d->unmapping = true;
			s->space.kept++;
		}
	}
}

void delta_unmap(struct store *s, uint32_t object, uint32_t page_no, uint32_t block)
{
	for (struct delta *d = s->deltas.bucket[bucket_of(s, object, page_no)]; d; d = d->next)
		if (d->page_no == page_no && d->object == object && d->block == block && d->merged &&
			!d->unmapped) {
			d->unmapped = d->unmapping = true;
			s->space.kept++;
		}
}

void delta_unmap_end(struct store *s, bool done)
{
	LIST_FOR_EACH(e, &s->deltas.retained) {
		struct delta *d = LIST_ENTRY(e, struct delta, link);
		if (d->unmapping && !done) {
			d->unmapped = false;
			s->space.kept--;
		}
		d->unmapping = false;
	}
}

void delta_unmap_line(struct store *s, uint32_t line, uint32_t page_no, uint32_t block)
{
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++)
		if (s->object[i].used && s->object[i].line == line)
			delta_unmap(s, i, page_no, block);
}

/* A version may go when nobody sees it any more. What superseded it must be durable: else recovery
 * could still come to it (if it has a block), and so could a snapshot of the durable generation. */
static bool may_go(const struct store *s, const struct delta *d)
{
	if (d->in_flight || (d->frame && d->block))
		return false;
	if ((d->block || d->from <= s->journal.durable) && !d->merged && d->until > s->journal.durable)
		return false;
	if (d->until == GENERATION_NEVER && !d->merged)
		return false;
	return !store_is_needed(s, d->object, d->from, d->until);
}

static void retain(struct store *s, struct delta *d)
{
	if (d->retained)
		return;
	d->retained = true;
	list_remove(&d->link);
	list_push_back(&s->deltas.retained, &d->link);
}

void delta_supersede(struct store *s, struct delta *d, uint64_t generation)
{
	d->until = generation;
	bool unwritten = d->frame != NULL;
	if (may_go(s, d)) {
		s->stats.pages_merged += unwritten;
		delta_remove(s, d, false);
	} else if (!unwritten && !d->in_flight) {
		retain(s, d);
	}
	/* Else it is written with its batch and retained after that. */
}

void delta_drop_unwritten(struct store *s)
{
	LIST_FOR_EACH(e, &s->deltas.unbatched) {
		struct delta *d = LIST_ENTRY(e, struct delta, link);
		if (d->until != GENERATION_NEVER && d->frame && may_go(s, d)) {
			s->stats.pages_merged++;
			delta_remove(s, d, false);
		}
	}
}

/* Whether it is only a reader (or the running checkpoint) that it is kept for. */
static bool is_held(const struct store *s, const struct delta *d)
{
	return d->merged || d->until <= s->journal.durable;
}

void delta_sweep(struct store *s)
{
	s->deltas.held = false;
	LIST_FOR_EACH(e, &s->deltas.retained) {
		struct delta *d = LIST_ENTRY(e, struct delta, link);
		if (may_go(s, d))
			delta_remove(s, d, false);
		else
			s->deltas.held |= is_held(s, d);
	}
}

/* For a few, others at each call: a reader's end must not cost what all others hold. */
static void sweep_some(struct store *s)
{
	struct list *e = s->deltas.retained.next, *kept = NULL;
	for (uint32_t i = 0; i < SWEPT_AT_ONCE && e != &s->deltas.retained && e != kept; i++) {
		struct delta *d = LIST_ENTRY(e, struct delta, link);
		e = e->next;
		if (may_go(s, d)) {
			delta_remove(s, d, false);
		} else {
			list_remove(&d->link);
			list_push_back(&s->deltas.retained, &d->link);
			kept = kept ? kept : &d->link;
		}
	}
}

void delta_reader_ended(struct store *s, const struct store_snapshot *snap)
{
	/* What is `held` was superseded, or merged, before such a reader began. */
	bool saw_none = snap->generation >= s->journal.durable && snap->base_generation == s->base;
	if (!s->deltas.held || saw_none)
		return;
	if (list_is_empty(&s->snapshots))
		delta_sweep(s);
	else
		sweep_some(s);
}

uint32_t delta_free(const struct store *s)
{
	return s->deltas.pool.capacity - s->deltas.pool.used;
}

uint32_t delta_used(const struct store *s)
{
	return s->deltas.pool.used;
}
