/* Opening and closing, the state, snapshots and reading. private.h says where the rest is. */
#include "private.h"

#include <base/cursor.h>

static uint32_t shift_for(uint32_t items)
{
	uint32_t bits = 4;
	while (bits < 24 && 1u << bits < items)
		bits++;
	return 64 - bits;
}

uint64_t store_device_blocks(const struct block_device *d)
{
	return d->sector_count / (VOLUME_BLOCK_SIZE / d->sector_size);
}

/* Of space: what is enough for a commit and a checkpoint, and for large transactions where free space is
 * scattered. */
#define WINDOWS_MIN 24u
#define TXN_PAGES_PER_WINDOW 64u

/* The memory that the store lies in, part by part. */
struct layout {
	uint32_t cache_pages, txn_pages, deltas, window_count;
	size_t frames, buckets, delta_pool, delta_buckets, sorted, requests, windows, pages, total;
};

static size_t part(size_t *at, size_t size)
{
	size_t start = *at;
	*at = (start + size + 63) & ~(size_t)63;
	return start;
}

static struct layout lay_out(const struct store_config *c)
{
	struct layout l = {.cache_pages = c->cache_pages, .txn_pages = c->txn_pages_max};
	if (!l.txn_pages)
		l.txn_pages = l.cache_pages < 64 ? 256 : 4 * l.cache_pages;
	l.deltas = 2 * l.txn_pages;
	l.window_count = WINDOWS_MIN + l.txn_pages / TXN_PAGES_PER_WINDOW;
	size_t at = sizeof(struct store);
	l.frames = part(&at, 0);
	l.frames = part(&at, l.cache_pages * sizeof(struct frame));
	l.buckets = part(&at, (1ull << (64 - shift_for(l.cache_pages))) * sizeof(void *));
	l.delta_pool = part(&at, pool_memory_size(sizeof(struct delta), l.deltas));
	l.delta_buckets = part(&at, (1ull << (64 - shift_for(l.deltas))) * sizeof(void *));
	l.sorted = part(&at, l.deltas * sizeof(uint32_t));
	l.requests = part(&at, pool_memory_size(sizeof(struct io_request), IO_REQUESTS));
	l.windows = part(&at, l.window_count * sizeof(struct space_window));
	at = (at + STORE_PAGE_SIZE - 1) & ~(size_t)(STORE_PAGE_SIZE - 1);
	l.pages = part(&at, (size_t)STORE_PAGE_SIZE *
		((size_t)l.cache_pages + HEADER_BUFFERS + NODE_BUFFERS + VOLUME_MAP_LEVELS_MAX + 1 +
			SPACE_PAGES + 2));
	l.total = at;
	return l;
}

size_t store_memory_size(const struct store_config *config)
{
	return lay_out(config).total;
}

static void init_lists(struct store *s)
{
	list_init(&s->snapshots);
	list_init(&s->deltas.unbatched);
	list_init(&s->deltas.in_flight);
	list_init(&s->deltas.fresh);
	list_init(&s->deltas.retained);
	list_init(&s->scratch.pending);
	list_init(&s->journal.waiters);
	fiber_queue_init(&s->journal.idle);
	fiber_queue_init(&s->journal.progress);
	fiber_queue_init(&s->checkpoint.idle);
	fiber_queue_init(&s->checkpoint.done);
	fiber_queue_init(&s->ended);
	fiber_queue_init(&s->admin.queue);
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++) {
		s->object[i].store = s;
		s->object[i].id = i;
	}
}

static struct store *init(const struct store_config *c, const struct layout *l)
{
	uint8_t *m = c->memory;
	memset(m, 0, l->delta_pool); /* of the rest only what is in use is looked at */
	memset(m + l->delta_buckets, 0, l->sorted - l->delta_buckets);
	struct store *s = (void *)m;
	s->config = *c;
	s->loop = c->loop;
	s->device = c->device;
	s->txn_pages_max = l->txn_pages;
	s->opening = true;
	init_lists(s);
	uint8_t *pages = m + l->pages;
	for (uint32_t i = 0; i < HEADER_BUFFERS; i++, pages += STORE_PAGE_SIZE)
		s->journal.buffer[i] = (void *)pages;
	for (uint32_t i = 0; i < NODE_BUFFERS; i++, pages += STORE_PAGE_SIZE)
		s->checkpoint.node[i] = pages;
	for (uint32_t i = 1; i <= VOLUME_MAP_LEVELS_MAX; i++, pages += STORE_PAGE_SIZE)
		s->share.node[i] = pages;
	s->checkpoint.superblock = (void *)pages;
	pages += STORE_PAGE_SIZE;
	s->sectors = c->device->sector_count;
	s->space.blocks = s->space.blocks_next = (uint32_t)store_device_blocks(c->device);
	space_init(s, (void *)(m + l->windows), l->window_count, pages);
	pages += (SPACE_PAGES + 2) * STORE_PAGE_SIZE;
	cache_init(s, (void *)(m + l->frames), (void *)(m + l->buckets), shift_for(l->cache_pages),
		pages, l->cache_pages);
	pool_init(&s->deltas.pool, m + l->delta_pool, (sizeof(struct delta) + 15) & ~(size_t)15,
		l->deltas);
	s->deltas.bucket = (void *)(m + l->delta_buckets);
	s->deltas.shift = shift_for(l->deltas);
	s->deltas.sorted = (void *)(m + l->sorted);
	pool_init(&s->requests, m + l->requests, (sizeof(struct io_request) + 15) & ~(size_t)15,
		IO_REQUESTS);
	io_init(s);
	return s;
}

#define refuse(c, ...)                                                                             \
	do {                                                                                       \
		if ((c)->log)                                                                      \
			log_write((c)->log, LOG_ERROR, "store", __VA_ARGS__);                      \
	} while (0)

static err check_config(const struct store_config *c)
{
	const struct block_device *d = c->device;
	if ((d->sector_size != 512 && d->sector_size != 4096) || d->buffers_max < 1 ||
		d->transfer_max < VOLUME_BLOCK_SIZE || c->cache_pages < STORE_CACHE_PAGES_MIN ||
		c->txn_pages_max > 100000 || c->cache_pages > 1u << 24) {
		refuse(c, "%s: sector size, transfer size or cache_pages cannot be used", d->name);
		return ERR(INVALID);
	}
	if (store_device_blocks(d) < VOLUME_BLOCKS_MIN) {
		refuse(c, "%s has %lu KiB; a volume needs at least %u: use a larger one", d->name,
			(unsigned long)(store_device_blocks(d) * 4), VOLUME_BLOCKS_MIN * 4);
		return ERR(NO_SPACE);
	}
	if (store_device_blocks(d) > STORE_BLOCKS_MAX) {
		refuse(c, "%s is larger than 16 TiB: use a smaller one", d->name);
		return ERR(TOO_LARGE);
	}
	size_t least = store_memory_size(c);
	if (c->memory_len < least) {
		refuse(c, "%s: the store needs %lu KiB of memory and has %lu: give the machine more",
			d->name, (unsigned long)(least / 1024), (unsigned long)(c->memory_len / 1024));
		return ERR(NO_MEMORY);
	}
	return OK;
}

/* ERR_TIMEOUT: a dead device still has their memory. */
static err stop_fibers(struct store *s)
{
	s->closing = true;
	fiber_queue_wake_all(&s->journal.idle);
	fiber_queue_wake_all(&s->checkpoint.idle);
	while (s->fibers && !s->io.hung)
		store_wait(s, &s->ended);
	journal_notify(s);
	if (s->fibers)
		return ERR(TIMEOUT);
	timer_cancel(&s->loop->timers, &s->io.watch);
	list_remove(&s->client.link);
	s->state = STORE_CLOSED;
	return OK;
}

static err start_fibers(struct store *s)
{
	TRY(fiber_spawn(s->loop, journal_fiber, s));
	s->fibers++;
	TRY(fiber_spawn(s->loop, checkpoint_fiber, s));
	s->fibers++;
	return OK;
}

/* If that cannot be done for another reason than the device's, it can be read at least. */
static err drop_leftover(struct store *s)
{
	err e = object_drop_branch(s);
	return e.code == ERR_IO ? e : OK;
}

err store_open(const struct store_config *config, struct store **store, struct store_info *info)
{
	TRY(check_config(config));
	struct layout l = lay_out(config);
	struct store *s = init(config, &l);
	err e = start_fibers(s);
	if (failed(e))
		refuse(config, "no fibers left for the store: give the loop more");
	else
		e = recovery_open(s, config->must_exist, info);
	if (!failed(e) && s->state == STORE_OPEN)
		e = drop_leftover(s);
	if (failed(e)) {
		TRY(stop_fibers(s));
		return e;
	}
	s->opening = false;
	info->blocks = s->space.blocks;
	info->blocks_free = space_free(&s->space);
	info->generation = s->generation;
	memcpy(info->uuid, s->uuid, sizeof info->uuid);
	*store = s;
	return OK;
}

err store_close(struct store *s)
{
	ASSERT(list_is_empty(&s->snapshots) && !s->txn.open);
	err e = store_wait_durable(s, s->generation);
	if (!failed(e) && s->state == STORE_OPEN)
		e = checkpoint_now(s);
	if (e.code == ERR_NO_SPACE) /* all is durable; the next opening replays it */
		e = OK;
	if (!failed(e) && s->state == STORE_OPEN)
		e = io_flush(s);
	if (!failed(e) && s->state == STORE_OPEN)
		discard_old(s);
	TRY(stop_fibers(s));
	return e;
}

err store_checkpoint(struct store *s)
{
	return checkpoint_now(s);
}

enum store_state store_state(const struct store *s)
{
	return s->state;
}

const char *store_reason(const struct store *s)
{
	return s->reason;
}

static void explain_failure(struct store *s, const char *what)
{
	struct writer w = writer_of(s->reason, sizeof s->reason - 1);
	write_bytes(&w, slice_from_cstr(what));
	if (s->io.failure[0]) {
		write_bytes(&w, SLICE(": "));
		write_bytes(&w, slice_from_cstr(s->io.failure));
	}
	*w.pos = 0;
}

bool store_may_log(struct store *s, struct log_limit *limit)
{
	if (s->loop->now_ns >= limit->until_ns)
		*limit = (struct log_limit){.until_ns = s->loop->now_ns + 1000000000u};
	return limit->lines++ < LOG_LINES_MAX;
}

void store_fail(struct store *s, const char *what)
{
	if (s->state != STORE_OPEN)
		return;
	s->state = STORE_READ_ONLY;
	explain_failure(s, what);
	s->notify = true;
	store_log(s, LOG_ERROR, "%s: read-only from now on: %s", s->device->name, s->reason);
	fiber_queue_wake_all(&s->journal.progress);
	fiber_queue_wake_all(&s->checkpoint.done);
	fiber_queue_wake_all(&s->cache.starved);
	fiber_queue_wake_all(&s->ended);
}

void store_wait(struct store *s, struct fiber_queue *q)
{
	err e = fiber_queue_wait(s->loop, q, TIMER_NEVER);
	ASSERT(!failed(e));
}

void store_stats(const struct store *s, struct store_stats *out)
{
	*out = s->stats;
	out->blocks = s->space.blocks;
	out->blocks_free = space_free(&s->space);
	out->blocks_waiting = space_waiting(&s->space);
}

struct store *store_object_store(const struct store_object *o)
{
	return o->store;
}

uint64_t store_generation(const struct store *s)
{
	return s->generation;
}

static void fill(struct store_object *o, struct store_snapshot *snap, bool durable)
{
	struct store *s = o->store;
	uint64_t generation = durable ? s->journal.durable : s->generation;
	*snap = (struct store_snapshot){.object = o, .generation = generation,
		.base_generation = s->base, .root_checksum = o->root.checksum,
		.root_block = o->root.block, .root_generation = o->root.generation,
		.pages = durable ? o->durable_pages : o->pages,
		.base_pages = object_low(o, generation), .object_id = (uint16_t)o->id, .line = o->line,
		.levels = (uint8_t)o->levels, .space_levels = (uint8_t)s->space.tree.levels,
		.space_block = s->space.tree.root.block,
		.space_generation = s->space.tree.root.generation,
		.space_checksum = s->space.tree.root.checksum, .space_sequence = s->space.sequence};
	list_push_back(&s->snapshots, &snap->link);
}

/* What is not durable when the store fails never will be. */
void snapshot_fill(struct store_object *o, struct store_snapshot *snap)
{
	fill(o, snap, o->store->state != STORE_OPEN);
}

void store_snapshot_begin_durable(struct store_object *o, struct store_snapshot *snap)
{
	fill(o, snap, true);
}

void store_snapshot_begin(struct store_object *o, struct store_snapshot *snap)
{
	snapshot_fill(o, snap);
}

void store_snapshot_end(struct store_snapshot *snap)
{
	struct store *s = snap->object->store;
	if (snap->named) {
		s->version[snap->named - 1].readers--;
		return;
	}
	list_remove(&snap->link);
	delta_reader_ended(s, snap);
	space_collect(s);
}

bool store_snapshot_is_newest(const struct store_snapshot *snap)
{
	return snap->object->changed_at <= snap->generation || snap->object->store->state != STORE_OPEN;
}

bool store_is_needed(const struct store *s, uint32_t object, uint64_t from, uint64_t until)
{
	if (s->checkpoint.running && from <= s->checkpoint.target && s->checkpoint.target < until)
		return true;
	for (const struct list *e = s->snapshots.next; e != &s->snapshots; e = e->next) {
		const struct store_snapshot *snap = LIST_ENTRY(e, const struct store_snapshot, link);
		if (snap->object_id == object && snap->base_generation < from &&
			from <= snap->generation && snap->generation < until)
			return true;
	}
	return false;
}

bool store_reader_of(const struct store *s, uint64_t from, struct store_snapshot *out)
{
	uint64_t base = store_oldest_base(s, from);
	for (const struct list *e = s->snapshots.next; e != &s->snapshots; e = e->next) {
		const struct store_snapshot *snap = LIST_ENTRY(e, const struct store_snapshot, link);
		if (snap->space_sequence != base)
			continue;
		*out = *snap;
		return true;
	}
	return false;
}

uint64_t store_oldest_base(const struct store *s, uint64_t from)
{
	uint64_t oldest = GENERATION_NEVER;
	for (const struct list *e = s->snapshots.next; e != &s->snapshots; e = e->next) {
		const struct store_snapshot *snap = LIST_ENTRY(e, const struct store_snapshot, link);
		if (snap->space_sequence >= from && snap->space_sequence < oldest)
			oldest = snap->space_sequence;
	}
	return oldest;
}

/* Whether the newest generation, too, sees what was resolved for the snapshot. */
static bool is_current(struct store *s, const struct store_snapshot *snap, uint32_t page_no)
{
	if (snap->named)
		return false;
	if (snap->generation == s->generation)
		return true;
	return snap->base_generation == s->base &&
	       snap->base_pages == object_low(snap->object, s->generation) &&
	       delta_find(s, snap->object_id, page_no, s->base, s->generation) ==
		       delta_find(s, snap->object_id, page_no, s->base, snap->generation);
}

static err page_miss(struct store *s, struct store_snapshot *snap, uint32_t page_no,
	struct store_page **page)
{
	struct map_result r;
	struct frame *f = NULL, *found;
	TRY(map_resolve(s, snap, page_no, snap->generation, &r));
	if (!r.frame)
		TRY(cache_take(s, &f));
	found = cache_find(s, snap->object_id, page_no, snap->generation);
	if (found) { /* meanwhile another fiber has */
		found->pins++;
		if (f) {
			f->state = FRAME_CLEAN;
			frame_put(f);
		}
		TRY(frame_await(s, found));
		*page = &found->page;
		return OK;
	}
	ASSERT(f); /* what is only in memory is in the table */
	bool current = is_current(s, snap, page_no);
	cache_insert(s, f, snap->object_id, page_no, current ? r.from : snap->generation,
		current ? GENERATION_NEVER : snap->generation + 1);
	TRY(frame_load(s, f, &r.entry, volume_seed_page(s->nonce, snap->line, 0, page_no,
		r.entry.generation)));
	*page = &f->page;
	return OK;
}

err store_page_get(struct store_snapshot *snap, uint32_t page_no, struct store_page **page)
{
	if (UNLIKELY(page_no >= snap->pages))
		return ERR(INVALID);
	struct store *s = snap->object->store;
	struct frame *f = cache_find(s, snap->object_id, page_no, snap->generation);
	if (UNLIKELY(!f))
		return page_miss(s, snap, page_no, page);
	s->stats.page_hits++;
	f->referenced = true;
	f->pins++;
	if (UNLIKELY(f->state == FRAME_LOADING))
		TRY(frame_await(s, f));
	*page = &f->page;
	return OK;
}

struct store_page *store_page_peek(struct store_snapshot *snap, uint32_t page_no)
{
	struct store *s = snap->object->store;
	struct frame *f = cache_find(s, snap->object_id, page_no, snap->generation);
	if (page_no >= snap->pages || !f || f->state == FRAME_LOADING)
		return NULL;
	f->pins++;
	s->stats.page_hits++;
	f->referenced = true;
	return &f->page;
}

void store_page_put(struct store_page *page)
{
	frame_put(CONTAINER_OF(page, struct frame, page));
}

uint64_t store_durable_generation(const struct store *s)
{
	return s->journal.durable;
}

err store_wait_durable(struct store *s, uint64_t generation)
{
	while (s->journal.durable < generation) {
		if (s->state != STORE_OPEN)
			return ERR(IO);
		store_wait(s, &s->journal.progress);
	}
	return OK;
}

void store_waiter_add(struct store *s, struct store_waiter *w)
{
	list_push_back(&s->journal.waiters, &w->link);
	if (w->generation <= s->journal.durable || s->state != STORE_OPEN)
		s->notify = true;
}

void store_waiter_remove(struct store_waiter *w)
{
	list_remove(&w->link);
}
