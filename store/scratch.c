/* Scratch pages: what need not survive, on free blocks of the volume. Sorting, building an index or a large
 * transaction's undo log take more than memory holds.
 *
 * Nothing durable ever names such a block, so after a power cut all of them are free, as are the blocks of a
 * transaction's spilled pages. They never take more than half of what is free, so that commits go on. Each has its
 * checksum in its owner's memory: a rotten one is an error, not a wrong answer. */
#include "private.h"

/* As if it were a page of an object of that number, that no object can have. */
static uint64_t seed_of(const struct store *s, const struct store_scratch_page *p)
{
	return volume_seed_page(s->nonce, OBJECT_SCRATCH, 0, p->block, 0);
}

static err take_block(struct store *s, struct store_scratch_page *p)
{
	const struct space *sp = &s->space;
	for (unsigned tries = 0;; tries++) {
		bool few = s->scratch.blocks < (uint64_t)sp->window_count / 2 * SPACE_WINDOW_BLOCKS;
		err e = few && space_available(s) > s->scratch.blocks ? space_ensure(s, 1) : ERR(NO_SPACE);
		if (!failed(e) && space_available(s) > s->scratch.blocks) /* it may have parked */
			break;
		if (failed(e) && e.code != ERR_NO_SPACE)
			return e;
		if (tries == 2) {
			s->stats.no_space++;
			return ERR(NO_SPACE);
		}
		TRY(checkpoint_now(s));
	}
	p->block = space_take(&s->space);
	if (!p->block)
		return ERR(NO_SPACE);
	s->scratch.blocks++;
	return OK;
}

/* --- Written later, and many together ---
 *
 *   written by its user: pending (DIRTY) -> WRITING -> CLEAN, evictable
 *                          ^   \-> freed    | (failed)
 *                          +---------------+
 *
 * Much of what is written to a scratch page is written again or freed soon; so pages are kept, as far as a share of the
 * cache goes, and then the oldest ones go out, adjacent blocks together. Whoever finds too many waits for that. */

#define WRITTEN_AT_ONCE 64u
#define PENDING_SHARE 16u

/* (They were taken one after the other: there is little to sort.) */
static void sort_by_block(struct frame **f, uint32_t count)
{
	for (uint32_t i = 1; i < count; i++) {
		struct frame *moving = f[i];
		uint32_t at = i;
		for (; at && f[at - 1]->page_no > moving->page_no; at--)
			f[at] = f[at - 1];
		f[at] = moving;
	}
}

static void add_pending(struct store *s, struct frame *f)
{
	list_push_back(&s->scratch.pending, &f->link);
	s->scratch.pending_count++;
}

static void remove_pending(struct store *s, struct frame *f)
{
	list_remove(&f->link);
	fiber_queue_init(&f->waiting);
	s->scratch.pending_count--;
}

static uint32_t begin_writing(struct store *s, struct frame **batch)
{
	uint32_t count = 0;
	while (count < WRITTEN_AT_ONCE && !list_is_empty(&s->scratch.pending)) {
		struct frame *f = LIST_ENTRY(s->scratch.pending.next, struct frame, link);
		remove_pending(s, f);
		f->pins++;
		f->scratch->checksum = volume_checksum(seed_of(s, f->scratch), f->page.data, STORE_PAGE_SIZE);
		cache_set_writing(s, f);
		batch[count++] = f;
	}
	sort_by_block(batch, count);
	return count;
}

static void end_writing(struct store *s, struct frame *f, bool written)
{
	fiber_queue_wake_all(&f->waiting);
	cache_written(s, f, written);
	if (!written)
		add_pending(s, f);
	frame_put(f);
}

static err write_some(struct store *s)
{
	struct frame *batch[WRITTEN_AT_ONCE];
	struct io_run run = {.op = BLOCK_WRITE};
	struct io_wait w;
	uint32_t count = begin_writing(s, batch);
	io_wait_init(s, &w);
	for (uint32_t i = 0; i < count; i++)
		io_run_add(s, &run, &w, batch[i]->page_no, (void *)(uintptr_t)batch[i]->page.data);
	io_run_submit(s, &run, &w);
	err e = io_wait_all(s, &w);
	for (uint32_t i = 0; i < count; i++)
		end_writing(s, batch[i], !failed(e));
	return e;
}

/* The page's frame, if there is one: not while the device reads it. */
static struct frame *find(struct store *s, const struct store_scratch_page *p)
{
	struct frame *f;
	while ((f = cache_find(s, OBJECT_SCRATCH, p->block, 0)) && f->state == FRAME_WRITING)
		store_wait(s, &f->waiting);
	return f;
}

static bool is_pending(struct store *s, const struct store_scratch_page *p)
{
	const struct frame *f = find(s, p);
	return f && f->state == FRAME_DIRTY;
}

static err frame_for(struct store *s, struct store_scratch_page *p, struct frame **frame)
{
	struct frame *f = find(s, p);
	if (f) {
		f->pins++;
	} else {
		TRY(cache_take(s, &f));
		cache_insert(s, f, OBJECT_SCRATCH, p->block, 0, GENERATION_NEVER);
		f->state = FRAME_CLEAN;
	}
	*frame = f;
	return OK;
}

err store_scratch_write(struct store *s, struct store_scratch_page *p, const void *page)
{
	struct frame *f;
	if (s->state != STORE_OPEN)
		return ERR(IO);
	if (s->scratch.pending_count >= s->cache.count / PENDING_SHARE && !is_pending(s, p))
		TRY(write_some(s));
	if (!p->block)
		TRY(take_block(s, p));
	TRY(frame_for(s, p, &f));
	memcpy((void *)(uintptr_t)f->page.data, page, STORE_PAGE_SIZE);
	if (f->state == FRAME_CLEAN) {
		cache_set_dirty(s, f);
		f->scratch = p;
		add_pending(s, f);
	}
	frame_put(f);
	s->stats.scratch_writes++;
	return OK;
}

err store_scratch_read(struct store *s, const struct store_scratch_page *p, void *page)
{
	struct frame *f = cache_find(s, OBJECT_SCRATCH, p->block, 0);
	if (!p->block) {
		memset(page, 0, STORE_PAGE_SIZE);
		return OK;
	}
	if (f) {
		f->pins++;
	} else {
		struct volume_entry e = {p->block, 0, p->checksum};
		TRY(cache_take(s, &f));
		cache_insert(s, f, OBJECT_SCRATCH, p->block, 0, GENERATION_NEVER);
		TRY(frame_load(s, f, &e, seed_of(s, p)));
	}
	memcpy(page, f->page.data, STORE_PAGE_SIZE);
	f->referenced = true;
	frame_put(f);
	return OK;
}

void store_scratch_free(struct store *s, struct store_scratch_page *p)
{
	if (!p->block)
		return;
	struct frame *f = find(s, p);
	if (f && f->state == FRAME_DIRTY)
		remove_pending(s, f);
	if (f)
		cache_drop(s, f);
	space_release(&s->space, p->block);
	s->scratch.blocks--;
	*p = (struct store_scratch_page){0, 0};
}
