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
		bool few = s->scratch_blocks < (uint64_t)sp->window_count / 2 * SPACE_WINDOW_BLOCKS;
		err e = few && space_available(s) > s->scratch_blocks ? space_ensure(s, 1) : ERR(NO_SPACE);
		if (!failed(e) && space_available(s) > s->scratch_blocks) /* it may have parked */
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
	s->scratch_blocks++;
	return OK;
}

static err frame_for(struct store *s, struct store_scratch_page *p, struct frame **frame)
{
	struct frame *f = cache_find(s, OBJECT_SCRATCH, p->block, 0);
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
	if (!p->block)
		TRY(take_block(s, p));
	TRY(frame_for(s, p, &f));
	memcpy((void *)(uintptr_t)f->page.data, page, STORE_PAGE_SIZE);
	p->checksum = volume_checksum(seed_of(s, p), page, STORE_PAGE_SIZE);
	err e = io_write_block(s, p->block, (void *)(uintptr_t)f->page.data);
	if (failed(e))
		cache_drop(s, f);
	frame_put(f);
	s->stats.scratch_writes++;
	return e;
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
	struct frame *f = cache_find(s, OBJECT_SCRATCH, p->block, 0);
	if (f)
		cache_drop(s, f);
	space_release(&s->space, p->block);
	s->scratch_blocks--;
	*p = (struct store_scratch_page){0, 0};
}
