/* The one writer. Its changes are deltas and frames of the generation GENERATION_TXN, which no reader
 * sees; commit gives them their generation, abort removes them. When they take too much of the cache,
 * some are written early to free blocks (spilled): nothing refers to those until the commit's record.
 *
 * A transaction that changes more pages than there are deltas for is *large*: it goes on in a branch of its
 * object (docs/volume-format.md, "A large transaction"), into which it commits what it has, part by part.
 *
 *   begun -> (no delta left) object_fork, commit_part -> ... commit_part -> commit: object_join
 *                                                                      \-> abort: object_drop
 *
 * Nobody else can find the branch or commit meanwhile, so each generation on the way changes nothing that is seen.
 *
 * Space is promised when a page is changed, so that a commit never lacks it: a dirty frame without a
 * block stands for one promised block. */
#include "private.h"

#define SPILL_MAX 32u
#define HEADERS_PER_TXN 2u
#define GROWTH_RESERVE_SMALL 1024u /* blocks: 4 MiB */

/* What the snapshot saw is still the newest: only a checkpoint has happened, or a part has been committed. */
static void rebase(struct store_txn *t)
{
	store_snapshot_end(&t->snapshot);
	snapshot_fill(t->object, &t->snapshot);
	if (t->companion) {
		store_snapshot_end(t->companion);
		snapshot_fill(t->target, t->companion);
	}
	delta_sweep(t->store); /* all that was kept for us: there may be little else left */
}

static err settle_checkpoint(struct store_txn *t)
{
	TRY(checkpoint_now(t->store));
	rebase(t);
	return OK;
}

/* Growing an object must leave so much: what changes its pages needs new blocks before the old ones become free, and so
 * a full volume could not even be emptied. A 32nd of the volume; of one below 128 MiB a 16th, up to 4 MiB.
 *
 * It is for what frees a table of n pages in one transaction: SQLite changes some n/450 pages (of its free list and its
 * pointer map), keeps what they were on scratch pages, which leave as many blocks free; and both the object and a
 * large transaction's branch may get a new map, of n/255 blocks each. In all that is n/69. */
static uint64_t growth_reserve(const struct store *s)
{
	uint64_t small = s->space.blocks / 16, large = s->space.blocks / 32;
	if (small > GROWTH_RESERVE_SMALL)
		small = GROWTH_RESERVE_SMALL;
	return large > small ? large : small;
}

/* What is superseded is free after a checkpoint, what the running one no longer sees after the next. */
static err promise(struct store_txn *t, uint32_t blocks, uint64_t keep)
{
	struct store *s = t->store;
	for (unsigned tries = 0;; tries++) {
		err e = ERR(NO_SPACE);
		if (space_has(s, blocks + keep))
			e = space_ensure(s, blocks);
		if (!failed(e) && space_has(s, blocks + keep))
			break;
		if (failed(e) && e.code != ERR_NO_SPACE)
			return e;
		bool grown = store_device_blocks(s->device) > s->space.blocks;
		bool hope = grown || space_waiting(&s->space) || s->generation > s->base;
		if (tries == 2 || !hope) {
			s->stats.no_space++;
			return ERR(NO_SPACE);
		}
		s->checkpoint.force |= grown;
		TRY(settle_checkpoint(t));
	}
	s->space.promised += blocks;
	return OK;
}

err store_txn_begin(struct store_object *o, struct store_txn **txn)
{
	return store_txn_begin_from(o, NULL, txn);
}

err store_txn_begin_from(struct store_object *o, struct store_snapshot *companion, struct store_txn **txn)
{
	struct store *s = o->store;
	struct store_txn *t = &s->txn;
	if (s->state != STORE_OPEN)
		return ERR(IO);
	if (t->open || s->admin.exclusive)
		return ERR(BUSY);
	if (UNLIKELY(s->branch_left)) {
		TRY(object_drop_branch(s));
		return store_txn_begin_from(o, companion, txn);
	}
	if (!o->used)
		return ERR(NOT_FOUND);
	/* The journal must not become full while no checkpoint can be made. */
	if (UNLIKELY(s->checkpoint.result.code == ERR_NO_SPACE) && s->journal.header_count > RECORDS_MAX / 2) {
		TRY(checkpoint_now(s));
		return store_txn_begin_from(o, companion, txn);
	}
	*t = (struct store_txn){.store = s, .object = o, .target = o, .open = true, .failure = OK};
	if (companion && companion->generation == s->generation)
		t->companion = companion;
	list_init(&t->changes);
	snapshot_fill(o, &t->snapshot);
	t->pages = t->low = o->pages;
	err e = promise(t, HEADERS_PER_TXN, 0);
	t->header_promise = failed(e) ? 0 : HEADERS_PER_TXN;
	if (failed(e)) {
		store_snapshot_end(&t->snapshot);
		t->open = false;
		return e;
	}
	*txn = t;
	return OK;
}

static struct delta *own_change(struct store_txn *t, uint32_t page_no)
{
	struct delta *d = delta_find(t->store, t->object->id, page_no, t->snapshot.base_generation,
		GENERATION_TXN);
	return d && d->from == GENERATION_TXN ? d : NULL;
}

static err write_spill(struct store_txn *t, struct delta *chosen[], uint32_t count)
{
	struct store *s = t->store;
	struct io_run run = {.op = BLOCK_WRITE};
	struct io_wait w;
	io_wait_init(s, &w);
	for (uint32_t i = 0; i < count; i++)
		io_run_add(s, &run, &w, chosen[i]->block, (void *)(uintptr_t)chosen[i]->frame->page.data);
	io_run_submit(s, &run, &w);
	return io_wait_all(s, &w);
}

static err spill(struct store_txn *t)
{
	struct store *s = t->store;
	struct delta *chosen[SPILL_MAX];
	uint32_t count = 0;
	LIST_FOR_EACH(e, &t->changes) {
		struct delta *d = LIST_ENTRY(e, struct delta, link);
		if (!d->frame || count == SPILL_MAX)
			continue;
		d->block = space_take(&s->space);
		ASSERT(d->block); /* promised */
		s->space.promised--;
		d->generation = (uint32_t)(s->generation + 1);
		d->checksum = volume_checksum(volume_seed_page(s->nonce, t->object->line, 0, d->page_no,
			d->generation), d->frame->page.data, STORE_PAGE_SIZE);
		cache_set_writing(s, d->frame);
		chosen[count++] = d;
	}
	err result = write_spill(t, chosen, count);
	for (uint32_t i = 0; i < count; i++) {
		cache_written(s, chosen[i]->frame, !failed(result));
		if (!failed(result))
			chosen[i]->frame = NULL;
	}
	if (failed(result)) {
		store_fail(s, "pages of a transaction could not be written");
		return result;
	}
	t->dirty -= count;
	s->stats.pages_spilled += count;
	s->stats.pages_written += count;
	return OK;
}

/* Keeps half of the cache for readers. */
static err limit_dirty(struct store_txn *t)
{
	struct store *s = t->store;
	while (s->cache.dirty >= s->cache.count / 2) {
		if (s->state != STORE_OPEN)
			return ERR(IO);
		if (t->dirty)
			TRY(spill(t));
		else if (s->journal.durable < s->generation)
			store_wait(s, &s->journal.progress);
		else
			return OK;
	}
	return OK;
}

static err new_frame(struct store_txn *t, uint32_t page_no, const void *page, struct frame **out)
{
	struct store *s = t->store;
	struct frame *f;
	TRY(limit_dirty(t));
	TRY(cache_take(s, &f));
	memcpy((void *)(uintptr_t)f->page.data, page, STORE_PAGE_SIZE);
	cache_set_dirty(s, f);
	cache_insert(s, f, t->object->id, page_no, GENERATION_TXN, GENERATION_NEVER);
	frame_put(f);
	*out = f;
	return OK;
}

/* A block of a spilled page that is written again, or a tombstone's nothing: back to a dirty frame. */
static void forget_block(struct store_txn *t, struct delta *d)
{
	struct store *s = t->store;
	struct frame *spilled = cache_find_txn(s, d->object, d->page_no);
	if (spilled && !d->frame)
		cache_drop(s, spilled);
	if (d->block)
		space_release(&s->space, d->block);
	d->block = 0;
}

static struct delta *new_change(struct store_txn *t, uint32_t page_no)
{
	struct store *s = t->store;
	struct delta *d = t->count < s->txn_pages_max ? delta_new(s, t->object->id, page_no) : NULL;
	if (!d) {
		s->stats.no_memory++;
		return NULL;
	}
	t->count++;
	list_push_back(&t->changes, &d->link);
	return d;
}

/* --- A large transaction's parts --- */

/* The changes so far, still uncommitted, are changes of the branch. */
static err branch_off(struct store_txn *t)
{
	struct store *s = t->store;
	struct store_object *branch;
	TRY(object_fork(t->object, &branch));
	LIST_FOR_EACH(e, &t->changes) {
		struct delta *d = LIST_ENTRY(e, struct delta, link);
		struct frame *f = cache_find_txn(s, d->object, d->page_no);
		if (f)
			cache_move(s, f, branch->id);
		delta_move(s, d, branch->id);
	}
	t->object = branch;
	s->stats.txns_large++;
	rebase(t);
	return OK;
}

static void form_generation(struct store_txn *t);

/* One after the other, so that the journal never has more than one to name. */
static err commit_part(struct store_txn *t)
{
	struct store *s = t->store;
	TRY(store_wait_durable(s, s->generation));
	form_generation(t);
	t->count = t->dirty = 0;
	t->low = t->pages;
	t->resized = false;
	rebase(t);
	return s->state == STORE_OPEN ? OK : ERR(IO);
}

/* There will be a delta for one page more, unless readers hold all of them. */
static err make_room(struct store_txn *t)
{
	struct store *s = t->store;
	if (t->count < s->txn_pages_max && !delta_free(s)) /* the journal asked for a checkpoint long ago */
		TRY(settle_checkpoint(t));
	if (!t->count || (t->count < s->txn_pages_max && delta_free(s)))
		return OK;
	if (t->object == t->target)
		TRY(branch_off(t));
	TRY(commit_part(t));
	TRY(promise(t, HEADERS_PER_TXN, 0));
	t->header_promise = HEADERS_PER_TXN;
	return delta_free(s) ? OK : settle_checkpoint(t);
}

static err change_page(struct store_txn *t, uint32_t page_no, const void *page)
{
	struct store *s = t->store;
	struct delta *d = own_change(t, page_no);
	struct frame *f;
	if (d && d->frame) {
		memcpy((void *)(uintptr_t)d->frame->page.data, page, STORE_PAGE_SIZE);
		return OK;
	}
	if (!d && (t->count == s->txn_pages_max || !delta_free(s)))
		TRY(make_room(t));
	if (!d && t->count % 128 == 127) {
		TRY(promise(t, 1, 0));
		t->header_promise++;
	}
	TRY(promise(t, 1, page_no < t->snapshot.pages ? 0 : growth_reserve(s)));
	if (d)
		forget_block(t, d);
	err e = new_frame(t, page_no, page, &f);
	if (!failed(e) && !d && !(d = new_change(t, page_no))) {
		cache_drop(s, f);
		e = ERR(NO_MEMORY);
	}
	if (failed(e)) {
		s->space.promised--;
		return e;
	}
	d->frame = f;
	f->delta = d;
	t->dirty++;
	return OK;
}

err store_txn_write(struct store_txn *t, uint32_t page_no, const void *page)
{
	if (failed(t->failure))
		return t->failure;
	if (page_no == UINT32_MAX)
		return ERR(INVALID);
	t->failure = change_page(t, page_no, page);
	if (failed(t->failure))
		return t->failure;
	if (page_no >= t->pages) {
		t->pages = page_no + 1;
		t->resized = true;
	}
	return OK;
}

/* A page that was spilled and is perhaps no longer in the cache. */
static err read_spilled(struct store_txn *t, const struct delta *d, void *page)
{
	struct store *s = t->store;
	struct frame *f = cache_find_txn(s, d->object, d->page_no);
	if (f) {
		f->pins++;
	} else {
		struct volume_entry e = {d->block, d->generation, d->checksum};
		TRY(cache_take(s, &f));
		cache_insert(s, f, d->object, d->page_no, GENERATION_TXN, GENERATION_NEVER);
		TRY(frame_load(s, f, &e, volume_seed_page(s->nonce, t->object->line, 0, d->page_no,
			e.generation)));
	}
	memcpy(page, f->page.data, STORE_PAGE_SIZE);
	frame_put(f);
	return OK;
}

err store_txn_read(struct store_txn *t, uint32_t page_no, void *page)
{
	struct store_page *committed;
	if (page_no >= t->pages)
		return ERR(INVALID);
	struct delta *d = own_change(t, page_no);
	if (d && d->frame) {
		memcpy(page, d->frame->page.data, STORE_PAGE_SIZE);
	} else if (d && d->block) {
		return read_spilled(t, d, page);
	} else if (d || page_no >= t->low || page_no >= t->snapshot.pages) {
		memset(page, 0, STORE_PAGE_SIZE);
	} else {
		TRY(store_page_get(&t->snapshot, page_no, &committed));
		memcpy(page, committed->data, STORE_PAGE_SIZE);
		store_page_put(committed);
	}
	return OK;
}

/* What the transaction itself had written there is gone; the entry stays, as a tombstone. */
static void bury_own(struct store_txn *t, uint32_t pages)
{
	struct store *s = t->store;
	LIST_FOR_EACH(e, &t->changes) {
		struct delta *d = LIST_ENTRY(e, struct delta, link);
		if (d->page_no < pages)
			continue;
		if (d->frame) {
			s->space.promised -= !d->block;
			cache_drop(s, d->frame);
			d->frame = NULL;
			t->dirty--;
		}
		forget_block(t, d);
	}
}

/* Changes since the base would show through: they get tombstones. Older pages are hidden by the size. False: no room
 * for so many. */
static bool bury_committed(struct store_txn *t, uint32_t pages)
{
	struct store *s = t->store;
	for (uint32_t i = 0; i < 1u << (64 - s->deltas.shift); i++)
		for (struct delta *d = s->deltas.bucket[i]; d; d = d->next) {
			if (d->object != t->object->id || d->page_no < pages ||
				d->from == GENERATION_TXN || d->from <= s->base ||
				d->until != GENERATION_NEVER || (!d->block && !d->frame) ||
				own_change(t, d->page_no))
				continue;
			if (!new_change(t, d->page_no))
				return false;
		}
	return true;
}

err store_txn_truncate(struct store_txn *t, uint32_t pages)
{
	if (failed(t->failure))
		return t->failure;
	if (pages < t->pages) {
		if (t->object->truncations == TRUNCATIONS_MAX || delta_free(t->store) < delta_used(t->store))
			t->failure = settle_checkpoint(t);
		if (!failed(t->failure) && t->object->truncations == TRUNCATIONS_MAX)
			t->failure = ERR(NO_MEMORY);
		if (!failed(t->failure) && !bury_committed(t, pages)) {
			t->failure = settle_checkpoint(t);
			ASSERT(failed(t->failure) || bury_committed(t, pages)); /* all is in the map */
		}
		if (failed(t->failure))
			return t->failure;
		bury_own(t, pages);
		if (pages < t->low)
			t->low = pages;
	}
	t->resized |= pages != t->pages;
	t->pages = pages;
	return OK;
}

uint32_t store_txn_pages(const struct store_txn *t)
{
	return t->pages;
}

static void end(struct store_txn *t)
{
	t->store->space.promised -= t->header_promise;
	t->open = false;
}

/* When that fails the next transaction begins with it, or (the store is read-only) the next opening. */
static void drop_branch(struct store_txn *t)
{
	if (t->object == t->target || t->store->state != STORE_OPEN)
		return;
	err e = object_drop_branch(t->store);
	(void)e;
}

void store_txn_abort(struct store_txn *t)
{
	ASSERT(t->open);
	struct store *s = t->store;
	LIST_FOR_EACH(e, &t->changes) {
		struct delta *d = LIST_ENTRY(e, struct delta, link);
		struct frame *f = cache_find_txn(s, d->object, d->page_no);
		if (f && !d->frame)
			cache_drop(s, f);
		delta_remove(s, d, true);
	}
	t->count = t->dirty = 0;
	store_snapshot_end(&t->snapshot);
	drop_branch(t);
	end(t);
}

/* The version that this one replaces, if it is in the delta. */
static struct delta *previous(struct delta *d)
{
	struct delta *p = d->next;
	while (p && (p->page_no != d->page_no || p->object != d->object))
		p = p->next;
	return p && p->until == GENERATION_NEVER ? p : NULL;
}

static void publish(struct store *s, struct delta *d, uint64_t generation)
{
	struct frame *f = cache_find_txn(s, d->object, d->page_no);
	struct delta *old = previous(d);
	cache_supersede(s, d->object, d->page_no, false, generation);
	if (f)
		f->from = generation;
	d->from = generation;
	list_remove(&d->link);
	list_push_back(&s->deltas.unbatched, &d->link);
	if (old)
		delta_supersede(s, old, generation);
}

static void publish_size(struct store_txn *t, uint64_t generation)
{
	struct store_object *o = t->object;
	if (t->low < o->pages) {
		o->truncation[o->truncations++] = (struct store_truncation){generation, t->low};
		cache_supersede(t->store, o->id, t->low, true, generation);
	}
	if (t->low < o->record_low)
		o->record_low = t->low;
	o->changed = true;
	o->pages = t->pages;
}

static void form_generation(struct store_txn *t)
{
	struct store *s = t->store;
	uint64_t next = s->generation + 1;
	if (t->resized)
		publish_size(t, next);
	LIST_FOR_EACH(item, &t->changes)
		publish(s, LIST_ENTRY(item, struct delta, link), next);
	s->journal.header_promise += t->header_promise;
	t->header_promise = 0;
	t->object->changed_at = s->generation = next;
	s->stats.commits++;
	journal_kick(s);
}

static err commit_large(struct store_txn *t, uint64_t *generation)
{
	struct store *s = t->store;
	err e = list_is_empty(&t->changes) && !t->resized ? OK : commit_part(t);
	if (failed(e)) {
		store_txn_abort(t);
		return e;
	}
	store_snapshot_end(&t->snapshot);
	e = object_join(t->object, t->target);
	if (failed(e))
		drop_branch(t);
	end(t);
	*generation = s->generation;
	return e;
}

err store_txn_commit(struct store_txn *t, uint64_t *generation)
{
	struct store *s = t->store;
	err e = t->failure;
	if (!failed(e) && s->state != STORE_OPEN)
		e = ERR(IO);
	if (!failed(e) && t->object != t->target)
		return commit_large(t, generation);
	if (failed(e) || (list_is_empty(&t->changes) && !t->resized)) {
		store_txn_abort(t);
		if (!failed(e))
			*generation = s->generation;
		return e;
	}
	store_snapshot_end(&t->snapshot);
	form_generation(t);
	end(t);
	*generation = s->generation;
	return OK;
}
