/* The checkpoint fiber: brings the maps on the device up to a durable generation and moves a superblock
 * there, so that recovery is short and old blocks become free.
 *
 *   idle -> (wanted) -> merge -> flush -> write one slot -> flush -> switch base -> write the other slot
 *    ^                    | no space
 *    +----- abandon ------+
 *
 * Commits go on meanwhile. docs/volume-format.md, "Checkpoint". */
#include "private.h"

/* One for record_block, one for a space map that becomes higher when the device has grown. */
#define SPACE_RESERVE 2u

uint64_t checkpoint_reserve_most(const struct store *s)
{
	return ((uint64_t)s->deltas.pool.used + STORE_OBJECTS_MAX) * VOLUME_MAP_LEVELS_MAX +
		space_map_pages(s->space.blocks) + SPACE_RESERVE;
}

uint64_t checkpoint_reserve(const struct store *s)
{
	uint64_t nodes = 0;
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++) {
		const struct store_object *o = &s->object[i];
		uint32_t pages = o->pages > o->base_pages ? o->pages : o->base_pages;
		if (o->used && s->txn.open && s->txn.object == o && s->txn.pages > pages)
			pages = s->txn.pages;
		if (o->used)
			nodes += map_nodes(pages) + VOLUME_MAP_LEVELS_MAX;
	}
	nodes += space_map_pages(s->space.blocks) + SPACE_RESERVE;
	uint64_t most = checkpoint_reserve_most(s);
	return nodes < most ? nodes : most;
}

uint32_t object_low(const struct store_object *o, uint64_t generation)
{
	uint32_t low = o->base_pages;
	for (uint32_t i = 0; i < o->truncations; i++)
		if (o->truncation[i].generation <= generation && o->truncation[i].pages < low)
			low = o->truncation[i].pages;
	return low;
}

static void fill_superblock(struct store *s, struct volume_superblock *b, uint64_t generation)
{
	memset(b, 0, sizeof *b);
	b->magic = VOLUME_MAGIC;
	b->version = VOLUME_VERSION;
	b->header_size = 512;
	b->features_compatible = s->features_compatible;
	memcpy(b->uuid, s->uuid, sizeof b->uuid);
	b->nonce = s->nonce;
	b->sequence = s->checkpoint.sequence + 1;
	b->blocks = s->space.blocks_next;
	b->generation = generation;
	b->record = s->journal.durable_record;
	b->record_link = s->journal.durable_link;
	const uint32_t *next = s->journal.header + s->journal.durable_headers;
	b->record_block = next[0];
	if (s->journal.durable_headers + 1 < s->journal.header_count)
		b->record_block_after = next[1];
}

static err merge_all(struct store *s, uint64_t generation, const struct table_change *change)
{
	struct volume_entry root;
	uint32_t levels;
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++)
		if (s->object[i].used && i != change->to)
			s->version[i].pages = s->object[i].durable_pages;
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++) {
		struct store_object *o = &s->object[i];
		if (o->used && i != change->to && i != change->remove)
			TRY(merge_object(s, o, generation, s->version[i].pages,
				object_low(o, generation), &root, &levels));
	}
	return OK;
}

static void forget_truncations(struct store_object *o, uint64_t generation)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < o->truncations; i++)
		if (o->truncation[i].generation > generation)
			o->truncation[kept++] = o->truncation[i];
	o->truncations = kept;
}

/* own: the block is not the base's yet. */
static void mark_merged(struct store *s, struct list *list, uint64_t generation, bool own)
{
	LIST_FOR_EACH(e, list) {
		struct delta *d = LIST_ENTRY(e, struct delta, link);
		if (d->from > generation || d->until <= generation)
			continue;
		if (own && !d->merged && d->block)
			space_mapped_done(&s->space, d->block);
		d->merged = true;
		if (!d->retained) {
			d->retained = true;
			list_remove(e);
			list_push_back(&s->deltas.retained, e);
		}
	}
}

/* The new maps are the base from now on. */
static void switch_base(struct store *s, const struct volume_superblock *b,
	const struct table_change *change, uint32_t headers)
{
	struct journal *j = &s->journal;
	bool own = !s->space.recovering;
	table_change_done(s, change, b);
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++) {
		struct store_object *o = &s->object[i];
		if (!o->used)
			continue;
		o->root = b->object[i].root;
		o->levels = b->object[i].levels;
		o->base_pages = b->object[i].pages;
		forget_truncations(o, b->generation);
	}
	if (own && (headers || s->space.record_unmapped))
		space_mapped_done(&s->space, j->header[headers]);
	/* The first is the base's record_block, of which the space map has been told. */
	for (uint32_t i = s->space.record_unmapped ? 0 : 1; i < headers; i++)
		space_defer(&s->space, j->header[i], true);
	j->header_count -= headers;
	j->durable_headers -= headers;
	memmove(j->header, j->header + headers, j->header_count * sizeof j->header[0]);
	space_checkpoint_done(s);
	j->rewind = true;
	s->base = b->generation;
	s->checkpoint.running = false;
	delta_unmap_end(s, true);
	mark_merged(s, &s->deltas.fresh, s->base, own);
	mark_merged(s, &s->deltas.retained, s->base, own);
	delta_sweep(s);
}

/* The last of the new checkpoint's blocks: where the next record will be. */
static err map_space(struct store *s, struct volume_superblock *b, uint32_t headers)
{
	struct journal *j = &s->journal;
	if (s->space.walk) {
		TRY(space_walk_rebuild(s, b->record_block));
	} else if (headers || s->space.record_unmapped) {
		if (!s->space.record_unmapped)
			TRY(space_superseded(s, &(struct volume_entry){
				.block = j->header[0], .generation = (uint32_t)s->base}));
		TRY(space_mapped(s, b->record_block));
	}
	return space_map_seal(s, b);
}

/* What the checkpoint has written so far is on stable storage after any flush that begins from now on: that of the
 * next commit, if one is being written or is likely to come soon and nobody waits for us. */
static err flush_shared(struct store *s)
{
	struct journal *j = &s->journal;
	uint64_t enough = s->io.flushes_begun + 1, until_ns = j->durable_at_ns + FLUSH_SHARE_NS;
	while (s->io.flushed < enough) {
		bool likely = !s->checkpoint.awaited && s->loop->now_ns < until_ns;
		if (s->state != STORE_OPEN)
			return ERR(IO);
		if (!j->writing && !likely)
			return io_flush(s);
		err e = fiber_queue_wait(s->loop, &j->progress, j->writing ? TIMER_NEVER : until_ns);
		(void)e; /* whatever has come, we look again */
	}
	return OK;
}

/* A device that has grown: blocks behind the old end are taken when a superblock says so. A space map that recovery has
 * begun already was begun for the old size; then it is the next checkpoint's. */
static void note_growth(struct store *s)
{
	uint64_t blocks = store_device_blocks(s->device);
	if (blocks <= s->space.blocks_next || blocks > STORE_BLOCKS_MAX || s->space.building)
		return;
	s->space.blocks_next = (uint32_t)blocks;
	store_log(s, LOG_INFO, "%s has grown: the volume has %lu MiB now", s->device->name,
		(unsigned long)(blocks / 256));
}

/* All that the superblock will refer to but for itself. */
static err make_maps(struct store *s, const struct table_change *change, uint32_t headers)
{
	struct checkpoint *c = &s->checkpoint;
	TRY(space_map_begin(s, (uint32_t)c->target));
	TRY(table_change_begin(s, change, c->target));
	TRY(merge_all(s, c->target, change));
	table_change_fill(s, change, c->superblock);
	return map_space(s, c->superblock, headers);
}

/* There is no room for it. Nothing durable refers to what it has written, and the base is what it was: so
 * commits go on as long as they find space, and the next checkpoint begins anew. */
static void abandon(struct store *s, const struct table_change *change, const struct version *was)
{
	space_checkpoint_abandon(s);
	table_change_abandon(s, change, was);
	delta_unmap_end(s, false);
	s->discards.noted = 0;
	s->checkpoint.running = false;
	s->checkpoint.force |= s->space.blocks_next > s->space.blocks;
	s->stats.no_space++;
	if (store_may_log(s, &s->io.log_limit))
		store_log(s, LOG_WARN, "%s: no room for a checkpoint: delete something, or make the disk larger",
			s->device->name);
}

static err run_checkpoint(struct store *s)
{
	struct checkpoint *c = &s->checkpoint;
	struct table_change change = {VERSION_NONE, VERSION_NONE, VERSION_NONE, VERSION_NONE};
	if (s->space.damaged)
		return ERR(CORRUPT);
	if (!c->force && s->journal.durable == s->base && !s->journal.durable_headers)
		return OK;
	c->force = false;
	note_growth(s);
	c->running = true;
	if (s->admin.pending)
		change = s->admin.change;
	s->admin.pending = false;
	struct version was = s->version[change.to != VERSION_NONE ? change.to : 0];
	c->target = s->journal.durable + (change.to != VERSION_NONE);
	uint32_t headers = s->journal.durable_headers;
	fill_superblock(s, c->superblock, c->target);
	space_checkpoint_begin(&s->space);
	err e = make_maps(s, &change, headers);
	if (e.code == ERR_NO_SPACE && !s->space.recovering)
		abandon(s, &change, &was);
	TRY(e);
	c->superblock->checksum = volume_checksum(VOLUME_MAGIC, c->superblock, VOLUME_BLOCK_SIZE);
	TRY(flush_shared(s));
	discard_old(s);
	TRY(io_write_block(s, VOLUME_SLOT_BLOCK(1 - c->slot), c->superblock));
	TRY(flush_shared(s));
	c->sequence++;
	c->slot = 1 - c->slot;
	space_lock(s); /* what is being loaded stays the base's */
	switch_base(s, c->superblock, &change, headers);
	space_unlock(s);
	s->stats.checkpoints++;
	discard_checkpoint_done(s);
	return io_write_block(s, VOLUME_SLOT_BLOCK(1 - c->slot), c->superblock);
}

void checkpoint_want(struct store *s)
{
	s->checkpoint.wanted = true;
	(void)fiber_queue_wake_one(&s->checkpoint.idle);
}

err checkpoint_now(struct store *s)
{
	TRY(store_wait_durable(s, s->generation));
	err e = OK;
	s->checkpoint.awaited++;
	fiber_queue_wake_all(&s->journal.progress); /* a checkpoint that waits for a commit */
	/* One that runs already may have begun too early. */
	uint64_t enough = s->checkpoint.done_count + 1 + s->checkpoint.active;
	while (s->checkpoint.done_count < enough) {
		if (s->state != STORE_OPEN) {
			e = ERR(IO);
			break;
		}
		checkpoint_want(s);
		store_wait(s, &s->checkpoint.done);
	}
	s->checkpoint.awaited--;
	return failed(e) ? e : s->checkpoint.result;
}

static const char *why_failed(const struct store *s, err e)
{
	if (s->space.damaged)
		return "the space map is damaged: it is made anew when the volume is opened again";
	return e.code == ERR_CORRUPT ? "the page map is damaged" : "a checkpoint could not be written";
}

/* The checkpoint's superblock again, but without a space map: so the next opening walks and makes a new one.
 * Nothing more can be done if that fails as well. */
static void drop_map(struct store *s)
{
	struct checkpoint *c = &s->checkpoint;
	struct volume_superblock *b = c->superblock;
	if (failed(io_read_block(s, VOLUME_SLOT_BLOCK(c->slot), b)) || b->sequence != c->sequence)
		return;
	b->space = (struct volume_entry){0, 0, 0};
	b->sequence++;
	b->checksum = 0;
	b->checksum = volume_checksum(VOLUME_MAGIC, b, VOLUME_BLOCK_SIZE);
	if (!failed(io_write_block(s, VOLUME_SLOT_BLOCK(1 - c->slot), b)))
		(void)io_flush(s).code;
}

void checkpoint_fiber(void *argument)
{
	struct store *s = argument;
	struct checkpoint *c = &s->checkpoint;
	for (;;) {
		while (!c->wanted && !s->closing)
			store_wait(s, &c->idle);
		if (!c->wanted)
			break;
		c->wanted = false;
		c->active = true;
		c->result = s->state == STORE_OPEN ? run_checkpoint(s) : ERR(IO);
		c->running = false;
		/* Recovery knows what to do; and one that has found no space has been abandoned. */
		if (failed(c->result) && !s->space.recovering && c->result.code != ERR_NO_SPACE) {
			store_fail(s, why_failed(s, c->result));
			if (s->space.damaged)
				drop_map(s);
		}
		c->active = false;
		c->done_count++;
		fiber_queue_wake_all(&c->done);
	}
	s->fibers--;
	fiber_queue_wake_all(&s->ended);
}
