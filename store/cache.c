/* Frames: a table from (object, page, generation) to 4096 bytes in memory.
 *
 *   FREE -> LOADING -> CLEAN -> FREE (evicted: the hand of a clock; a hit sets `referenced`, a load
 *                 \                    does not, so a scan does not push out what is used again)
 *                  -> FAILED -> FREE
 *   FREE -> DIRTY -> WRITING -> CLEAN
 *             \-> FREE (aborted, or superseded before it was written)
 *
 * A frame's generations from..until never cross another frame's of the same page that a reader could
 * want; that two frames hold the same version is possible (and harmless). A version that is superseded and that no
 * snapshot sees is dropped when the next one comes, so that a page that is changed again and again neither pushes
 * others out nor makes its bucket long. */
#include "private.h"

void cache_init(struct store *s, struct frame *frames, struct frame **buckets, uint32_t shift,
	uint8_t *pages, uint32_t count)
{
	s->cache = (struct cache){.frame = frames, .bucket = buckets, .count = count, .shift = shift};
	fiber_queue_init(&s->cache.starved);
	for (uint32_t i = 0; i < count; i++) {
		frames[i].page.data = pages + (size_t)i * STORE_PAGE_SIZE;
		frames[i].store = s;
		fiber_queue_init(&frames[i].waiting);
	}
	for (uint32_t i = count; i-- > 0; s->cache.free = &frames[i])
		frames[i].next = s->cache.free;
}

static void unhash(struct store *s, struct frame *f)
{
	if (!f->hashed)
		return;
	struct frame **at = cache_bucket(s, f->object, f->page_no);
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	f->hashed = false;
}

static void set_free(struct store *s, struct frame *f)
{
	if (f->state == FRAME_DIRTY)
		s->cache.dirty--;
	f->state = FRAME_FREE;
	f->delta = NULL;
	f->next = s->cache.free;
	s->cache.free = f;
	(void)fiber_queue_wake_one(&s->cache.starved);
}

static struct frame *evict(struct store *s)
{
	struct cache *c = &s->cache;
	struct frame *unused = c->free;
	if (unused) {
		c->free = unused->next;
		return unused;
	}
	for (uint32_t tries = 0; tries < 2 * c->count + 1; tries++) {
		struct frame *f = &c->frame[c->hand];
		c->hand = c->hand + 1 < c->count ? c->hand + 1 : 0;
		if (f->pins || f->state != FRAME_CLEAN)
			continue;
		if (f->referenced) {
			f->referenced = false;
			continue;
		}
		s->stats.page_evictions++;
		unhash(s, f);
		return f;
	}
	return NULL;
}

err cache_take(struct store *s, struct frame **frame)
{
	struct frame *f;
	while (!(f = evict(s))) {
		if (!s->cache.writing && (!s->journal.busy || s->state != STORE_OPEN)) {
			s->stats.no_memory++;
			return ERR(NO_MEMORY);
		}
		store_wait(s, &s->cache.starved);
	}
	f->state = FRAME_LOADING;
	f->pins = 1;
	f->referenced = false;
	f->delta = NULL;
	f->result = OK;
	*frame = f;
	return OK;
}

void cache_insert(struct store *s, struct frame *f, uint32_t object, uint32_t page_no,
	uint64_t from, uint64_t until)
{
	struct frame **bucket = cache_bucket(s, object, page_no);
	f->object = (uint16_t)object;
	f->page_no = page_no;
	f->from = from;
	f->until = until;
	f->next = *bucket;
	f->hashed = true;
	*bucket = f;
}

struct frame *cache_find_txn(struct store *s, uint32_t object, uint32_t page_no)
{
	for (struct frame *f = *cache_bucket(s, object, page_no); f; f = f->next)
		if (f->page_no == page_no && f->object == object && f->from == GENERATION_TXN)
			return f;
	return NULL;
}

void cache_drop(struct store *s, struct frame *f)
{
	unhash(s, f);
	if (f->state == FRAME_DIRTY) {
		s->cache.dirty--;
		f->state = FRAME_CLEAN;
		f->delta = NULL;
	}
	if (f->state != FRAME_LOADING && !f->pins)
		set_free(s, f);
}

void cache_move(struct store *s, struct frame *f, uint32_t object)
{
	unhash(s, f);
	cache_insert(s, f, object, f->page_no, f->from, f->until);
}

void cache_set_dirty(struct store *s, struct frame *f)
{
	f->state = FRAME_DIRTY;
	s->cache.dirty++;
}

void cache_set_writing(struct store *s, struct frame *f)
{
	ASSERT(f->state == FRAME_DIRTY);
	f->state = FRAME_WRITING;
	s->cache.writing++;
}

void cache_written(struct store *s, struct frame *f, bool clean)
{
	ASSERT(f->state == FRAME_WRITING);
	s->cache.writing--;
	if (!clean) {
		f->state = FRAME_DIRTY;
		return;
	}
	s->cache.dirty--;
	f->state = FRAME_CLEAN;
	f->delta = NULL;
	(void)fiber_queue_wake_one(&s->cache.starved);
}

static bool is_seen(const struct store *s, const struct frame *f)
{
	for (const struct list *e = s->snapshots.next; e != &s->snapshots; e = e->next) {
		const struct store_snapshot *snap = LIST_ENTRY(e, const struct store_snapshot, link);
		if (snap->object_id == f->object && f->from <= snap->generation &&
			snap->generation < f->until)
			return true;
	}
	return false;
}

static void supersede_in(struct store *s, struct frame *f, uint32_t object, uint32_t page_no,
	bool all_beyond, uint64_t generation)
{
	for (struct frame *next; f; f = next) {
		next = f->next;
		if (f->object != object || (f->page_no != page_no && !(all_beyond && f->page_no > page_no)))
			continue;
		if (f->until == GENERATION_NEVER && f->from < generation)
			f->until = generation;
		if (f->until != GENERATION_NEVER && f->state == FRAME_CLEAN && !f->pins && !is_seen(s, f))
			cache_drop(s, f);
	}
}

void cache_supersede(struct store *s, uint32_t object, uint32_t page_no, bool all_beyond,
	uint64_t generation)
{
	if (!all_beyond) {
		supersede_in(s, *cache_bucket(s, object, page_no), object, page_no, false, generation);
		return;
	}
	for (uint32_t i = 0; i < 1u << (64 - s->cache.shift); i++)
		supersede_in(s, s->cache.bucket[i], object, page_no, true, generation);
}

void cache_forget(struct store *s, uint32_t object)
{
	for (uint32_t i = 0; i < s->cache.count; i++) {
		struct frame *f = &s->cache.frame[i];
		if (f->hashed && f->object == object)
			cache_drop(s, f);
	}
}

void frame_put(struct frame *f)
{
	ASSERT(f->pins);
	if (--f->pins)
		return;
	if (f->state == FRAME_FAILED || (f->state == FRAME_CLEAN && !f->hashed))
		set_free(f->store, f);
}

err frame_await(struct store *s, struct frame *f)
{
	while (f->state == FRAME_LOADING)
		store_wait(s, &f->waiting);
	if (f->state != FRAME_FAILED)
		return OK;
	err e = f->result;
	frame_put(f);
	return e;
}

static err load_and_verify(struct store *s, struct frame *f, const struct volume_entry *e,
	uint64_t seed)
{
	uint8_t *data = (uint8_t *)(uintptr_t)f->page.data;
	if (!e->block) {
		memset(data, 0, STORE_PAGE_SIZE);
		return OK;
	}
	TRY(io_read_block(s, e->block, data));
	if (volume_checksum(seed, data, STORE_PAGE_SIZE) == e->checksum)
		return OK;
	s->stats.corrupt_pages++;
	if (!store_may_log(s, &s->damage_log))
		return ERR(CORRUPT);
	if (f->object == OBJECT_MAP)
		store_log(s, LOG_ERROR, "map node in block %u does not match its checksum", e->block);
	else if (f->object == OBJECT_SCRATCH)
		store_log(s, LOG_ERROR, "scratch block %u does not match its checksum", e->block);
	else
		store_log(s, LOG_ERROR, "%s \"%s\" page %u (block %u) does not match its checksum",
			s->version[f->object].named ? "snapshot" : "object",
			s->object[f->object].name, f->page_no, e->block);
	return ERR(CORRUPT);
}

err frame_load(struct store *s, struct frame *f, const struct volume_entry *e, uint64_t seed)
{
	s->stats.page_misses++;
	err result = load_and_verify(s, f, e, seed);
	f->state = failed(result) ? FRAME_FAILED : FRAME_CLEAN;
	f->result = result;
	if (failed(result))
		unhash(s, f);
	fiber_queue_wake_all(&f->waiting);
	if (failed(result))
		frame_put(f);
	return result;
}
