/* Merging one object's part of the delta into its map: the nodes on the way to each changed page are
 * copied to new blocks, bottom up; old nodes and old pages are deferred, unless a named snapshot (or another
 * object of the line) has them, too. One buffer for each level. */
#include "private.h"

struct merge {
	struct store *s;
	struct store_object *o;
	uint32_t generation; /* of the new nodes */
	uint32_t low;        /* pages from here on had been truncated away */
	uint32_t count, next; /* sorted[next] is the first change that is not merged yet */
	struct share_query query; /* versions that may have blocks of this map */
};

static struct delta *change_at(const struct merge *m, uint32_t i)
{
	return pool_at(&m->s->deltas.pool, m->s->deltas.sorted[i]);
}

static void sort_changes(struct merge *m)
{
	struct delta_sort sort = {.heaping = m->count / 2, .unsorted = m->count, .count = m->count};
	while (!delta_sort_some(&m->s->deltas, &sort))
		fiber_yield(m->s->loop);
}

static void collect_from(struct merge *m, const struct list *list, uint64_t generation)
{
	for (const struct list *e = list->next; e != list; e = e->next) {
		const struct delta *d = LIST_ENTRY(e, const struct delta, link);
		if (d->object == m->o->id && !d->merged && d->from <= generation && d->until > generation)
			m->s->deltas.sorted[m->count++] = pool_index(&m->s->deltas.pool, d);
	}
}

static uint64_t node_seed(const struct merge *m, uint32_t level, uint32_t index, uint32_t generation)
{
	return volume_seed_page(m->s->nonce, m->o->line, level, index, generation);
}

static err read_node(struct merge *m, uint32_t level, uint32_t index, const struct volume_entry *e)
{
	struct store *s = m->s;
	uint8_t *node = s->checkpoint.node[level];
	if (!e->block) {
		memset(node, 0, VOLUME_BLOCK_SIZE);
		return OK;
	}
	struct frame *f = cache_find(s, OBJECT_MAP, e->block, 0);
	if (f && f->state == FRAME_CLEAN)
		memcpy(node, f->page.data, VOLUME_BLOCK_SIZE);
	else
		TRY(io_read_block(s, e->block, node));
	if (volume_checksum(node_seed(m, level, index, e->generation), node, VOLUME_BLOCK_SIZE) !=
		e->checksum)
		return ERR(CORRUPT);
	struct volume_entry *child = (void *)node;
	for (uint32_t i = 0; i < VOLUME_MAP_FANOUT; i++)
		if (child[i].block && !map_entry_is_sane(s, &child[i]))
			return ERR(CORRUPT);
	return OK;
}

/* Writes the level's buffer; gives the entry for its parent. An empty node needs no block. */
static err write_node(struct merge *m, uint32_t level, uint32_t index, struct volume_entry *out)
{
	struct store *s = m->s;
	struct volume_entry *child = (void *)s->checkpoint.node[level];
	uint32_t i = 0;
	while (i < VOLUME_MAP_FANOUT && !child[i].block)
		i++;
	*out = (struct volume_entry){0, 0, 0};
	if (i == VOLUME_MAP_FANOUT)
		return OK;
	TRY(space_node_take(s, &out->block));
	out->generation = m->generation;
	out->checksum = volume_checksum(node_seed(m, level, index, out->generation), child,
		VOLUME_BLOCK_SIZE);
	struct frame *stale = cache_find(s, OBJECT_MAP, out->block, 0);
	if (stale)
		cache_drop(s, stale);
	return io_write_block(s, out->block, child);
}

static bool has_bit(const struct share_set *set, uint32_t i)
{
	return set->bits[i / 64] >> i % 64 & 1;
}

/* Which of the node's children other versions have. All, when they have the node (`held`). */
static err find_shared(struct merge *m, uint32_t level, uint32_t index, bool held,
	const struct share_set *wanted, struct share_set *shared)
{
	memset(shared, held ? 0xff : 0, sizeof *shared);
	if (held || !m->query.count)
		return OK;
	return share_children(&m->query, level, index, (void *)m->s->checkpoint.node[level], wanted, shared);
}

static err free_page(struct merge *m, uint32_t page_no, const struct volume_entry *old)
{
	if (m->query.count) /* another object may have superseded it long ago, and still have readers of it */
		delta_unmap_line(m->s, m->o->line, page_no, old->block);
	else
		delta_unmap(m->s, m->o->id, page_no, old->block);
	return space_superseded(m->s, old);
}

static err free_tree(struct merge *m, uint32_t level, uint32_t index, bool held, struct volume_entry *e)
{
	static const struct share_set all = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
	struct volume_entry old = *e;
	struct share_set shared;
	*e = (struct volume_entry){0, 0, 0};
	if (!old.block || held)
		return OK;
	if (!level) {
		return free_page(m, index, &old);
	}
	TRY(read_node(m, level, index, &old));
	TRY(find_shared(m, level, index, false, &all, &shared));
	struct volume_entry *child = (void *)m->s->checkpoint.node[level];
	for (uint32_t i = 0; i < VOLUME_MAP_FANOUT; i++)
		TRY(free_tree(m, level - 1, index * VOLUME_MAP_FANOUT + i, has_bit(&shared, i), &child[i]));
	return space_superseded(m->s, &old);
}

static err put_page(struct merge *m, bool held, struct volume_entry *slot)
{
	const struct delta *d = change_at(m, m->next++);
	struct volume_entry old = *slot, new = {d->block, d->generation, d->checksum};
	if (!d->block)
		new = (struct volume_entry){0, 0, 0};
	*slot = new;
	if (old.block && !held)
		TRY(free_page(m, d->page_no, &old));
	return new.block ? space_mapped(m->s, new.block) : OK;
}

/* The first page after the part of the object that this node (level 0: page) is for. */
static uint64_t end_of(uint32_t level, uint32_t index)
{
	return ((uint64_t)index + 1) << (8 * level);
}

static bool has_changes(const struct merge *m, uint32_t level, uint32_t index)
{
	return m->next < m->count && change_at(m, m->next)->page_no < end_of(level, index);
}

/* The children that change, or may. */
static struct share_set touched(const struct merge *m, uint32_t level, uint32_t index)
{
	struct share_set set = {{0}};
	for (uint32_t i = 0; i < VOLUME_MAP_FANOUT; i++)
		if (end_of(level - 1, index * VOLUME_MAP_FANOUT + i) > m->low)
			set.bits[i / 64] |= 1ull << i % 64;
	for (uint32_t j = m->next; j < m->count && change_at(m, j)->page_no < end_of(level, index); j++) {
		uint32_t i = change_at(m, j)->page_no >> (8 * (level - 1)) & (VOLUME_MAP_FANOUT - 1);
		set.bits[i / 64] |= 1ull << i % 64;
	}
	return set;
}

/* Recursion ends with the level: at most VOLUME_MAP_LEVELS_MAX deep. */
static err merge_node(struct merge *m, uint32_t level, uint32_t index, bool held, struct volume_entry *e)
{
	struct volume_entry old = *e;
	struct share_set shared, wanted = {{0}};
	TRY(read_node(m, level, index, &old));
	if (m->query.count && !held)
		wanted = touched(m, level, index);
	TRY(find_shared(m, level, index, held, &wanted, &shared));
	struct volume_entry *child = (void *)m->s->checkpoint.node[level];
	for (uint32_t i = 0; i < VOLUME_MAP_FANOUT; i++) {
		uint32_t below = level - 1, number = index * VOLUME_MAP_FANOUT + i;
		uint64_t start = (uint64_t)number << (8 * below), end = end_of(below, number);
		if (start >= m->low)
			TRY(free_tree(m, below, number, has_bit(&shared, i), &child[i]));
		bool cut = start < m->low && m->low < end && child[i].block;
		if (below && (cut || has_changes(m, below, number)))
			TRY(merge_node(m, below, number, has_bit(&shared, i), &child[i]));
		else if (!below && has_changes(m, below, number))
			TRY(put_page(m, has_bit(&shared, i), &child[i]));
	}
	if (old.block && !held) /* its content is in the buffer */
		TRY(space_superseded(m->s, &old));
	return write_node(m, level, index, e);
}

/* Puts nodes above the root until the map has room for `levels`. */
static err grow(struct merge *m, uint32_t levels, struct volume_entry *root, uint32_t *have)
{
	if (!root->block && *have < levels)
		*have = levels;
	for (; *have < levels; ++*have) {
		struct volume_entry *child = (void *)m->s->checkpoint.node[*have + 1];
		memset(child, 0, VOLUME_BLOCK_SIZE);
		child[0] = *root;
		TRY(write_node(m, *have + 1, 0, root));
	}
	return OK;
}

err merge_object(struct store *s, struct store_object *o, uint64_t generation, uint32_t pages,
	uint32_t low, struct volume_entry *root, uint32_t *levels)
{
	struct merge m = {.s = s, .o = o, .generation = (uint32_t)generation, .low = low};
	bool held;
	*root = o->root;
	*levels = o->levels;
	share_query_init(&m.query, s, o->id, UINT32_MAX);
	TRY(share_has(&m.query, *levels, 0, root, &held));
	collect_from(&m, &s->deltas.fresh, generation);
	collect_from(&m, &s->deltas.retained, generation);
	sort_changes(&m);
	/* A page that was changed and then truncated away lies behind the end. */
	uint32_t reach = m.count ? change_at(&m, m.count - 1)->page_no + 1 : 0;
	TRY(grow(&m, map_levels(reach > pages ? reach : pages), root, levels));
	held = held && *levels == o->levels;
	if (*levels && (m.count || low < o->base_pages))
		TRY(merge_node(&m, *levels, 0, held, root));
	if (!root->block)
		*levels = 0;
	s->version[o->id].root = *root;
	s->version[o->id].levels = *levels;
	return OK;
}
