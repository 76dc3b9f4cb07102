/* Which blocks are used, found without a space map: a volume that an older version has written has none,
 * and one may be damaged. It takes as long as the volume is large. */
#include "private.h"

struct walk {
	struct store *s;
	uint8_t *node[VOLUME_MAP_LEVELS_MAX + 1]; /* a buffer for each level; [0] is not used */
	uint32_t object;
	bool *damaged;  /* NULL: a damaged node is an error */
	err (*visit)(struct walk *, uint32_t block);
	uint64_t *bits; /* of `group` */
	uint32_t group;
	uint64_t count;
};

static err walk_tree(struct walk *w, uint32_t level, uint32_t index, const struct volume_entry *e)
{
	struct store *s = w->s;
	struct volume_entry at = *e;
	if (!at.block)
		return OK;
	if (!map_entry_is_sane(s, &at))
		return ERR(CORRUPT);
	TRY(w->visit(w, at.block));
	if (!level)
		return OK;
	const struct volume_entry *child = (const void *)w->node[level];
	TRY(io_read_block(s, at.block, w->node[level]));
	if (volume_checksum(volume_seed_page(s->nonce, w->object, level, index, at.generation), child,
		VOLUME_BLOCK_SIZE) != at.checksum) {
		if (!w->damaged)
			return ERR(CORRUPT);
		store_log(s, LOG_ERROR, "map of object \"%s\": node in block %u does not match its checksum",
			s->object[w->object].name, at.block);
		s->stats.corrupt_pages++;
		*w->damaged = true;
		return OK;
	}
	for (uint32_t i = 0; i < VOLUME_MAP_FANOUT; i++)
		TRY(walk_tree(w, level - 1, index * VOLUME_MAP_FANOUT + i, &child[i]));
	return OK;
}

static err visit_group(struct walk *w, uint32_t block)
{
	if (block / VOLUME_GROUP_BLOCKS == w->group)
		w->bits[block % VOLUME_GROUP_BLOCKS / 64] |= 1ull << block % 64;
	return OK;
}

static err visit_count(struct walk *w, uint32_t block)
{
	(void)block;
	w->count++;
	return OK;
}

static err visit_rebuild(struct walk *w, uint32_t block)
{
	space_lock(w->s);
	err e = space_map_edit(w->s, block, true);
	space_unlock(w->s);
	return e;
}

/* The base's maps. The buffers are the journal's, which has nothing to do before recovery is over; the first
 * may hold the record that is being replayed. */
static err walk_base(struct walk *w)
{
	struct store *s = w->s;
	for (uint32_t i = 0; i < HEADER_BUFFERS - 1; i++)
		w->node[i + 2] = (void *)s->journal.buffer[i + 1];
	w->node[1] = (void *)s->space.scratch;
	for (w->object = 0; w->object < STORE_OBJECTS_MAX; w->object++) {
		const struct space_base *o = &s->space.base[w->object];
		TRY(walk_tree(w, o->levels, 0, &o->root));
	}
	return OK;
}

err space_walk_group(struct store *s, uint32_t group, uint64_t *out)
{
	struct walk w = {.s = s, .visit = visit_group, .bits = out, .group = group};
	bool damaged = false;
	w.damaged = &damaged;
	return walk_base(&w);
}

err space_walk_count(struct store *s, uint64_t *used, bool *damaged)
{
	struct walk w = {.s = s, .visit = visit_count, .damaged = damaged};
	TRY(walk_base(&w));
	*used = w.count;
	return OK;
}

err space_walk_rebuild(struct store *s, const struct volume_superblock *b)
{
	struct walk w = {.s = s, .visit = visit_rebuild};
	for (uint32_t i = 1; i <= VOLUME_MAP_LEVELS_MAX; i++)
		w.node[i] = s->checkpoint.node[i];
	for (w.object = 0; w.object < STORE_OBJECTS_MAX; w.object++)
		TRY(walk_tree(&w, b->object[w.object].levels, 0, &b->object[w.object].root));
	return visit_rebuild(&w, b->record_block);
}
