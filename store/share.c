/* Which blocks the versions of a line share. docs/volume-format.md, "Lines and versions".
 *
 * 1. Two versions share a block when their maps have the same entry at the same level and index.
 * 2. What is asked about is compared with the other versions' maps, which `query` says: the neighbours in the
 *    chain, and all of other forks.
 * 3. Nodes of other versions are read through the cache's copies or into the buffers here, one for each
 *    level, and verified at every use: nothing in them is believed. */
#include "private.h"

static bool entry_equal(const struct volume_entry *a, const struct volume_entry *b)
{
	return a->block == b->block && a->generation == b->generation && a->checksum == b->checksum;
}

/* In the order of the chain. Objects are newer than all snapshots. */
static bool is_older(const struct store *s, uint32_t a, uint32_t b)
{
	uint64_t at_a = s->version[a].generation, at_b = s->version[b].generation;
	return at_a != at_b ? at_a < at_b : a < b;
}

void share_query_init(struct share_query *q, struct store *s, uint32_t self, uint32_t among)
{
	const struct version *v = &s->version[self];
	uint32_t older = VERSION_NONE, newer = VERSION_NONE;
	*q = (struct share_query){.s = s, .self = self, .hold = true};
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++) {
		const struct version *o = &s->version[i];
		if (i == self || !o->used || !(among >> i & 1) || o->line != v->line || o->fork != v->fork)
			continue;
		if (is_older(s, i, self) && (older == VERSION_NONE || is_older(s, older, i)))
			older = i;
		if (is_older(s, self, i) && (newer == VERSION_NONE || is_older(s, i, newer)))
			newer = i;
	}
	if (older != VERSION_NONE)
		q->other[q->count++] = (uint8_t)older;
	if (newer != VERSION_NONE)
		q->other[q->count++] = (uint8_t)newer;
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++) {
		const struct version *o = &s->version[i];
		if (o->used && among >> i & 1 && o->line == v->line && o->fork != v->fork)
			q->other[q->count++] = (uint8_t)i;
	}
}

/* A node of the line; what it points to is valid until the next call, or until the fiber parks. */
static err node_get(struct store *s, uint32_t line, uint32_t level, uint32_t index,
	const struct volume_entry *e, const struct volume_entry **node)
{
	struct share_buffers *b = &s->share;
	uint64_t seed = volume_seed_page(s->nonce, line, level, index, e->generation);
	if (!map_entry_is_sane(s, e))
		return ERR(CORRUPT);
	const struct frame *f = cache_find(s, OBJECT_MAP, e->block, 0);
	*node = (const void *)(f && f->state == FRAME_CLEAN ? f->page.data : b->node[level]);
	if ((f && f->state == FRAME_CLEAN) || b->block[level] == e->block)
		if (volume_checksum(seed, *node, VOLUME_BLOCK_SIZE) == e->checksum)
			return OK;
	*node = (const void *)b->node[level];
	b->block[level] = 0;
	TRY(io_read_block(s, e->block, b->node[level]));
	if (volume_checksum(seed, *node, VOLUME_BLOCK_SIZE) != e->checksum)
		return ERR(CORRUPT);
	b->block[level] = e->block;
	return OK;
}

/* The version's entry for (level, index); block 0 when it has none. */
static err find_entry(struct store *s, const struct version *v, uint32_t level, uint32_t index,
	struct volume_entry *out)
{
	*out = (struct volume_entry){0, 0, 0};
	if (level > v->levels || (uint64_t)index >> (8 * (v->levels - level)))
		return OK;
	struct volume_entry e = v->root;
	for (uint32_t at = v->levels; at > level && e.block; at--) {
		const struct volume_entry *node;
		uint64_t wide = index;
		uint32_t below = 8 * (at - 1 - level);
		TRY(node_get(s, v->line, at, (uint32_t)(wide >> (below + 8)), &e, &node));
		e = node[wide >> below & (VOLUME_MAP_FANOUT - 1)];
	}
	*out = e;
	return OK;
}

/* Surely not in the other version, because it is too young. Not asked once the generations in entries
 * may have wrapped. */
static bool is_too_young(const struct share_query *q, const struct version *other,
	const struct volume_entry *e)
{
	const struct version *self = &q->s->version[q->self];
	uint64_t bound = other->generation < self->generation ? other->generation : self->generation;
	if (bound == GENERATION_NEVER)
		bound = other->fork > self->fork ? other->fork : self->fork;
	return q->s->generation <= UINT32_MAX && e->generation > bound;
}

/* What cannot be compared must be held: it may be needed. Otherwise the other version knows nothing. */
static err judge(const struct share_query *q, err e, bool *hold)
{
	*hold = e.code == ERR_CORRUPT && q->hold;
	q->s->space.leaky |= *hold;
	return e.code == ERR_CORRUPT ? OK : e;
}

err share_has(const struct share_query *q, uint32_t level, uint32_t index, const struct volume_entry *e,
	bool *shared)
{
	*shared = false;
	for (uint32_t i = 0; i < q->count && e->block && !*shared; i++) {
		const struct version *other = &q->s->version[q->other[i]];
		struct volume_entry theirs = {0, 0, 0};
		if (is_too_young(q, other, e))
			continue;
		TRY(judge(q, find_entry(q->s, other, level, index, &theirs), shared));
		*shared = *shared || entry_equal(&theirs, e);
	}
	return OK;
}

static bool has_bit(const struct share_set *set, uint32_t i)
{
	return set->bits[i / 64] >> i % 64 & 1;
}

static void set_bit(struct share_set *set, uint32_t i)
{
	set->bits[i / 64] |= 1ull << i % 64;
}

/* Which of `wanted` the other version may have at all. False: none. */
static bool narrow(const struct share_query *q, const struct version *other,
	const struct volume_entry *child, const struct share_set *wanted, const struct share_set *found,
	struct share_set *open)
{
	bool any = false;
	*open = (struct share_set){{0}};
	for (uint32_t i = 0; i < VOLUME_MAP_FANOUT; i++)
		if (has_bit(wanted, i) && !has_bit(found, i) && child[i].block &&
			!is_too_young(q, other, &child[i])) {
			set_bit(open, i);
			any = true;
		}
	return any;
}

static void match(const struct volume_entry *child, const struct volume_entry *theirs,
	const struct share_set *open, struct share_set *found)
{
	for (uint32_t i = 0; i < VOLUME_MAP_FANOUT; i++)
		if (has_bit(open, i) && entry_equal(&child[i], &theirs[i]))
			set_bit(found, i);
}

/* A lower map's root stands where the other has the first child of its leftmost node. */
static bool is_above(const struct version *other, uint32_t level, uint32_t index)
{
	return other->levels + 1 == level && index == 0;
}

err share_children(const struct share_query *q, uint32_t level, uint32_t index,
	const struct volume_entry *child, const struct share_set *wanted, struct share_set *found)
{
	struct volume_entry last = {0, 0, 0};
	*found = (struct share_set){{0}};
	for (uint32_t i = 0; i < q->count; i++) {
		const struct version *other = &q->s->version[q->other[i]];
		const struct volume_entry *theirs = NULL;
		struct volume_entry e = {0, 0, 0};
		struct share_set open;
		bool hold;
		if (!narrow(q, other, child, wanted, found, &open))
			continue;
		err result = find_entry(q->s, other, level, index, &e);
		if (is_above(other, level, index) && has_bit(&open, 0) && entry_equal(&child[0], &other->root))
			set_bit(found, 0);
		if (!failed(result) && e.block && !entry_equal(&e, &last))
			result = node_get(q->s, other->line, level, index, &e, &theirs);
		TRY(judge(q, result, &hold));
		if (theirs)
			match(child, theirs, &open, found);
		for (uint32_t w = 0; w < VOLUME_MAP_FANOUT / 64 && hold; w++)
			found->bits[w] |= open.bits[w];
		last = e;
	}
	return OK;
}

/* A node is written after what it refers to; what is younger would not be taken for shared. */
static bool is_older_than(const struct store *s, const struct volume_entry *e, uint64_t generation)
{
	return s->generation > UINT32_MAX || e->generation <= generation;
}

static err walk(struct share_walk *w, uint32_t level, uint32_t index, const struct volume_entry *e)
{
	static const struct share_set all = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
	struct store *s = w->query.s;
	uint32_t line = s->version[w->query.self].line;
	struct volume_entry at = *e, *child = (void *)s->checkpoint.node[level];
	struct share_set shared;
	TRY(w->visit(w, level, index, &at));
	if (!level)
		return OK;
	TRY(io_read_block(s, at.block, child));
	if (volume_checksum(volume_seed_page(s->nonce, line, level, index, at.generation), child,
		VOLUME_BLOCK_SIZE) != at.checksum) {
		store_log(s, LOG_ERROR, "map of %s \"%s\": node in block %u does not match its checksum",
			s->version[w->query.self].named ? "snapshot" : "object",
			s->object[w->query.self].name, at.block);
		s->stats.corrupt_pages++;
		w->damaged = true;
		return OK;
	}
	TRY(share_children(&w->query, level, index, child, &all, &shared));
	for (uint32_t i = 0; i < VOLUME_MAP_FANOUT; i++) {
		if (child[i].block && !is_older_than(s, &child[i], at.generation))
			return ERR(CORRUPT);
		if (child[i].block && !has_bit(&shared, i))
			TRY(walk(w, level - 1, index * VOLUME_MAP_FANOUT + i, &child[i]));
	}
	return OK;
}

err share_walk(struct share_walk *w)
{
	const struct version *v = &w->query.s->version[w->query.self];
	bool shared;
	if (!v->root.block)
		return OK;
	if (!is_older_than(w->query.s, &v->root, v->named ? v->generation : w->query.s->generation))
		return ERR(CORRUPT);
	TRY(share_has(&w->query, v->levels, 0, &v->root, &shared));
	return shared ? OK : walk(w, v->levels, 0, &v->root);
}
