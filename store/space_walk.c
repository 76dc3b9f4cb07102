/* Which blocks are used, found without a space map: a volume that an older version has written has none,
 * and one may be damaged. It takes as long as the volume is large. */
#include "private.h"

struct walk {
	struct store *s;
	uint8_t *node[VOLUME_MAP_LEVELS_MAX + 1]; /* a buffer for each level; [0] is not used */
	uint32_t line, group;
	uint64_t *bits; /* of `group` */
};

/* What lies below a damaged node cannot be found; then nothing will be written. */
static err walk_tree(struct walk *w, uint32_t level, uint32_t index, const struct volume_entry *e)
{
	struct store *s = w->s;
	struct volume_entry at = *e;
	if (!at.block)
		return OK;
	if (!map_entry_is_sane(s, &at))
		return ERR(CORRUPT);
	if (at.block / VOLUME_GROUP_BLOCKS == w->group)
		w->bits[at.block % VOLUME_GROUP_BLOCKS / 64] |= 1ull << at.block % 64;
	if (!level)
		return OK;
	const struct volume_entry *child = (const void *)w->node[level];
	TRY(io_read_block(s, at.block, w->node[level]));
	if (volume_checksum(volume_seed_page(s->nonce, w->line, level, index, at.generation), child,
		VOLUME_BLOCK_SIZE) != at.checksum)
		return ERR(CORRUPT);
	for (uint32_t i = 0; i < VOLUME_MAP_FANOUT; i++)
		TRY(walk_tree(w, level - 1, index * VOLUME_MAP_FANOUT + i, &child[i]));
	return OK;
}

/* The buffers are the journal's, which has nothing to do before recovery is over; the first may hold the record
 * that is being replayed. */
err space_walk_group(struct store *s, uint32_t group, uint64_t *out)
{
	struct walk w = {.s = s, .bits = out, .group = group};
	for (uint32_t i = 0; i < HEADER_BUFFERS - 1; i++)
		w.node[i + 2] = (void *)s->journal.buffer[i + 1];
	w.node[1] = (void *)s->space.scratch;
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++) {
		w.line = s->space.base[i].line;
		TRY(walk_tree(&w, s->space.base[i].levels, 0, &s->space.base[i].root));
	}
	return OK;
}

/* --- Each block once --- */

/* The version to visit next, newest first: what it shares with those before it has been visited. */
static uint32_t next_version(const struct store *s, uint32_t visited)
{
	uint32_t newest = VERSION_NONE;
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++)
		if (s->version[i].used && !(visited >> i & 1) &&
			(newest == VERSION_NONE ||
				s->version[i].generation >= s->version[newest].generation))
			newest = i;
	return newest;
}

static err visit_all(struct store *s,
	err (*visit)(struct share_walk *, uint32_t, uint32_t, const struct volume_entry *), void *cookie,
	bool *damaged)
{
	uint32_t slot, visited = 0;
	while ((slot = next_version(s, visited)) != VERSION_NONE) {
		struct share_walk w = {.visit = visit, .cookie = cookie};
		share_query_init(&w.query, s, slot, visited);
		w.query.hold = false;
		TRY(share_walk(&w));
		*damaged |= w.damaged;
		visited |= 1u << slot;
	}
	return OK;
}

static err visit_count(struct share_walk *w, uint32_t level, uint32_t index,
	const struct volume_entry *e)
{
	uint64_t *count = w->cookie;
	(void)level, (void)index;
	++*count;
	return map_entry_is_sane(w->query.s, e) ? OK : ERR(CORRUPT);
}

err space_walk_count(struct store *s, uint64_t *used, bool *damaged)
{
	*used = 0;
	return visit_all(s, visit_count, used, damaged);
}

static err add(struct store *s, uint32_t block)
{
	space_lock(s);
	err e = space_map_edit(s, block, true);
	space_unlock(s);
	return e;
}

static err visit_rebuild(struct share_walk *w, uint32_t level, uint32_t index,
	const struct volume_entry *e)
{
	(void)level, (void)index;
	return map_entry_is_sane(w->query.s, e) ? add(w->query.s, e->block) : ERR(CORRUPT);
}

err space_walk_rebuild(struct store *s, uint32_t record_block)
{
	bool damaged = false;
	TRY(visit_all(s, visit_rebuild, NULL, &damaged));
	return damaged ? ERR(CORRUPT) : add(s, record_block);
}
