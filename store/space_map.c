/* The stored space map. docs/volume-format.md, "Space map".
 *
 * A few pages of the newest map are in memory. While a checkpoint makes the next one, a page that changes moves to
 * a new block: that is an edit as well, and so is that its old block is free. So edits go through a list,
 * which ends because a page moves but once. Invariants:
 *   1. a page in memory has its parent in memory (children counts what holds it there);
 *   2. the entry in the parent is right, except for the place and checksum of a dirty page in memory;
 *   3. counts of used blocks are right at every moment between two edits. */
#include "private.h"

#define SHIFT 7u /* of VOLUME_SPACE_FANOUT */
_Static_assert(1u << SHIFT == VOLUME_SPACE_FANOUT, "fan-out");

uint32_t space_groups(uint32_t blocks)
{
	return (uint32_t)(((uint64_t)blocks + VOLUME_GROUP_BLOCKS - 1) / VOLUME_GROUP_BLOCKS);
}

uint32_t space_levels(uint32_t blocks)
{
	uint32_t levels = 0;
	for (uint64_t room = 1; room < space_groups(blocks); room <<= SHIFT)
		levels++;
	return levels;
}

uint32_t space_map_pages(uint32_t blocks)
{
	uint32_t width = space_groups(blocks), total = width;
	for (uint32_t levels = space_levels(blocks); levels; levels--) {
		width = (width + VOLUME_SPACE_FANOUT - 1) >> SHIFT;
		total += width;
	}
	return total;
}

static err damaged(struct store *s, uint32_t level, uint32_t index, const char *what)
{
	if (s->space.quiet)
		return ERR(CORRUPT);
	if (!s->space.damaged)
		store_log(s, LOG_ERROR, "%s: space map, level %u, number %u: %s", s->device->name, level,
			index, what);
	s->space.damaged = true;
	return ERR(CORRUPT);
}

static uint64_t seed_of(const struct store *s, uint32_t level, uint32_t index, uint32_t generation)
{
	return volume_seed_page(s->nonce, VOLUME_SPACE_OBJECT, level, index, generation);
}

static uint64_t sum_of(uint32_t level, const void *page)
{
	uint64_t sum = 0;
	const struct volume_space_entry *child = page;
	const uint64_t *word = page;
	for (uint32_t i = 0; level && i < VOLUME_SPACE_FANOUT; i++)
		sum += child[i].used;
	for (uint32_t i = 0; !level && i < VOLUME_BLOCK_SIZE / 8; i++)
		sum += (uint64_t)__builtin_popcountll(word[i]);
	return sum;
}

/* used: UINT64_MAX when it is not known. */
static err read_page(struct store *s, uint32_t level, uint32_t index, const struct volume_entry *e,
	uint64_t used, void *out)
{
	if (!e->block) {
		memset(out, 0, VOLUME_BLOCK_SIZE);
		return used && used != UINT64_MAX ? damaged(s, level, index, "is not there") : OK;
	}
	if (!map_entry_is_sane(s, e))
		return damaged(s, level, index, "lies outside of the volume");
	TRY(io_read_block(s, e->block, out));
	if (volume_checksum(seed_of(s, level, index, e->generation), out, VOLUME_BLOCK_SIZE) != e->checksum)
		return damaged(s, level, index, "does not match its checksum");
	if (used != UINT64_MAX && sum_of(level, out) != used)
		return damaged(s, level, index, "does not have as many used blocks as it should");
	return OK;
}

/* --- Pages in memory --- */

static struct space_page *find(struct space *sp, uint32_t level, uint32_t index)
{
	for (struct space_page *p = sp->page; p < sp->page + SPACE_PAGES; p++)
		if (p->valid && p->level == level && p->index == index)
			return p;
	return NULL;
}

static struct space_page *parent_of(struct space *sp, const struct space_page *p)
{
	return p->level == sp->next.levels ? NULL : find(sp, p->level + 1, p->index >> SHIFT);
}

static struct volume_space_entry *entry_in(struct space_page *parent, uint32_t index)
{
	return (struct volume_space_entry *)(void *)parent->data + index % VOLUME_SPACE_FANOUT;
}

static struct volume_entry entry_of(struct space *sp, const struct space_page *p, uint64_t *used)
{
	struct space_page *parent = parent_of(sp, p);
	*used = sp->next.used;
	if (!parent)
		return sp->next.root;
	const struct volume_space_entry *e = entry_in(parent, p->index);
	*used = e->used;
	return (struct volume_entry){e->block, e->generation, e->checksum};
}

static void set_entry(struct space *sp, const struct space_page *p, const struct volume_entry *e)
{
	struct space_page *parent = parent_of(sp, p);
	if (!parent) {
		sp->next.root = *e;
		return;
	}
	struct volume_space_entry *at = entry_in(parent, p->index);
	at->block = e->block;
	at->generation = e->generation;
	at->checksum = e->checksum;
}

static void seal_page(struct store *s, struct space_page *p)
{
	struct space *sp = &s->space;
	struct volume_entry e = {.block = p->block, .generation = sp->generation,
		.checksum = volume_checksum(seed_of(s, p->level, p->index, sp->generation), p->data,
			VOLUME_BLOCK_SIZE)};
	set_entry(sp, p, &e);
	p->dirty = false;
}

static err evict(struct store *s, struct space_page *p)
{
	struct space_page *parent = parent_of(&s->space, p);
	if (p->dirty) {
		uint32_t block = p->block;
		seal_page(s, p);
		TRY(io_write_block(s, block, p->data));
	}
	p->valid = false;
	if (parent)
		parent->children--;
	return OK;
}

/* Room for one more page; not in place of `parent`. */
static err make_room(struct store *s, const struct space_page *parent, struct space_page **out)
{
	struct space_page *best = NULL;
	for (struct space_page *p = s->space.page; p < s->space.page + SPACE_PAGES; p++) {
		if (!p->valid) {
			*out = p;
			return OK;
		}
		if (!p->children && p != parent && (!best || p->tick < best->tick))
			best = p;
	}
	ASSERT(best); /* there are more pages than levels */
	*out = best;
	return evict(s, best);
}

static err load(struct store *s, uint32_t level, uint32_t index, struct space_page *parent,
	struct space_page **out)
{
	struct space *sp = &s->space;
	struct space_page *p;
	uint64_t used;
	TRY(make_room(s, parent, &p));
	p->level = level;
	p->index = index;
	struct volume_entry e = entry_of(sp, p, &used);
	TRY(read_page(s, level, index, &e, used, p->data));
	p->valid = true;
	p->dirty = false;
	p->children = 0;
	if (parent)
		parent->children++;
	*out = p;
	return OK;
}

static err fetch(struct store *s, uint32_t group, struct space_page **out)
{
	struct space *sp = &s->space;
	struct space_page *p = NULL;
	for (uint32_t level = sp->next.levels + 1; level-- > 0;) {
		struct space_page *child = find(sp, level, group >> (SHIFT * level));
		if (!child)
			TRY(load(s, level, group >> (SHIFT * level), p, &child));
		child->tick = ++sp->tick;
		p = child;
	}
	*out = p;
	return OK;
}

/* --- Edits --- */

static err edit_later(struct store *s, uint32_t block, bool used)
{
	struct space *sp = &s->space;
	if (sp->edits == SPACE_EDITS_MAX) /* only in a map that somebody has made so */
		return damaged(s, 0, block / VOLUME_GROUP_BLOCKS, "leads on and on");
	sp->edit[sp->edits++] = (struct space_edit){block, used};
	return OK;
}

/* Where a page moves: a group's into the group; a node to where it was, since that group changes anyway. */
static uint32_t home_of(const struct space_page *p, const struct volume_entry *was)
{
	if (!p->level)
		return p->index;
	return was->block ? was->block / VOLUME_GROUP_BLOCKS : p->index << (SHIFT * p->level);
}

/* Recursion ends with the level. */
static err make_dirty(struct store *s, struct space_page *p)
{
	struct space *sp = &s->space;
	uint64_t used;
	if (p->dirty)
		return OK;
	struct space_page *parent = parent_of(sp, p);
	if (parent)
		TRY(make_dirty(s, parent));
	struct volume_entry was = entry_of(sp, p, &used);
	TRY(space_take_near(s, home_of(p, &was), &p->block));
	p->dirty = true;
	TRY(edit_later(s, p->block, true));
	if (!was.block)
		return OK;
	space_count_superseded(s, was.generation);
	return edit_later(s, was.block, false);
}

static void count(struct space *sp, const struct space_page *p, bool used)
{
	uint32_t by = used ? 1 : UINT32_MAX;
	for (struct space_page *parent; (parent = parent_of(sp, p)); p = parent)
		entry_in(parent, p->index)->used += by;
	sp->next.used += used ? 1 : UINT64_MAX;
}

static err apply(struct store *s, const struct space_edit *edit)
{
	const struct space *sp = &s->space;
	struct space_page *p;
	uint32_t at = edit->block % VOLUME_GROUP_BLOCKS;
	TRY(fetch(s, edit->block / VOLUME_GROUP_BLOCKS, &p));
	uint64_t *word = (uint64_t *)(void *)p->data + at / 64, bit = 1ull << at % 64;
	if (!(*word & bit) != edit->used)
		return damaged(s, 0, p->index, sp->walk ? "a block is used twice" : edit->used ?
			"shows a block as used that is not" : "shows a block as free that is used");
	TRY(make_dirty(s, p));
	*word ^= bit;
	count(&s->space, p, edit->used);
	return OK;
}

err space_map_edit(struct store *s, uint32_t block, bool used)
{
	struct space *sp = &s->space;
	err e = edit_later(s, block, used);
	while (!failed(e) && sp->edits) {
		sp->applying = sp->edit[--sp->edits];
		e = apply(s, &sp->applying);
	}
	sp->edits = 0;
	sp->applying.block = 0;
	return e;
}

/* --- Reading --- */

err space_map_read(struct store *s, const struct space_tree *t, bool newest, uint32_t group,
	uint64_t *out)
{
	struct volume_entry e = t->root;
	uint64_t used = t->used;
	if ((uint64_t)group >> (SHIFT * t->levels))
		e.block = 0, used = 0;
	for (uint32_t level = t->levels;; level--) {
		uint32_t index = group >> (SHIFT * level);
		struct space_page *p = newest ? find(&s->space, level, index) : NULL;
		const void *data = p ? p->data : (void *)out;
		if (!p)
			TRY(read_page(s, level, index, &e, used, out));
		if (!level) {
			if (p)
				memcpy(out, data, VOLUME_BLOCK_SIZE);
			return OK;
		}
		const struct volume_space_entry *child = data;
		child += group >> (SHIFT * (level - 1)) & (VOLUME_SPACE_FANOUT - 1);
		e = (struct volume_entry){child->block, child->generation, child->checksum};
		used = child->used;
	}
}

/* One way down, to the first group from `from` on that is not full as far as can be seen; else `beyond`, where
 * to go on. */
static err find_down(struct store *s, uint32_t from, uint32_t *group, uint32_t *beyond)
{
	struct space *sp = &s->space;
	struct volume_entry e = sp->next.root;
	uint64_t used = sp->next.used;
	for (uint32_t level = sp->next.levels; level && used; level--) {
		struct space_page *p = find(sp, level, from >> (SHIFT * level));
		uint64_t room = (uint64_t)VOLUME_GROUP_BLOCKS << (SHIFT * (level - 1));
		const struct volume_space_entry *child = p ? (const void *)p->data : sp->scratch;
		if (!p)
			TRY(read_page(s, level, from >> (SHIFT * level), &e, used, sp->scratch));
		uint32_t below = from >> (SHIFT * (level - 1)), end = (below | (VOLUME_SPACE_FANOUT - 1)) + 1;
		uint32_t first = below;
		while (below < end && child[below % VOLUME_SPACE_FANOUT].used >= room)
			below++;
		if (below != first)
			from = below << (SHIFT * (level - 1));
		*beyond = from;
		if (below == end)
			return OK;
		child += below % VOLUME_SPACE_FANOUT;
		e = (struct volume_entry){child->block, child->generation, child->checksum};
		used = child->used;
	}
	*group = from;
	return OK;
}

err space_map_find(struct store *s, uint32_t from, uint32_t *group)
{
	struct space *sp = &s->space;
	uint32_t groups = space_groups(sp->blocks);
	*group = from;
	if (sp->walk)
		return OK;
	while (from < groups) {
		*group = SPACE_NOWHERE;
		TRY(find_down(s, from, group, &from));
		if (*group != SPACE_NOWHERE)
			return OK;
	}
	*group = SPACE_NOWHERE;
	return OK;
}

/* --- A new map --- */

/* Nodes above the root, until there is room for the volume. */
static err grow(struct store *s, uint32_t levels)
{
	struct space *sp = &s->space;
	if (!sp->next.root.block && !sp->next.used && sp->next.levels < levels)
		sp->next.levels = levels;
	while (sp->next.levels < levels) {
		struct space_page *below = find(sp, sp->next.levels, 0), *p;
		TRY(make_room(s, below, &p));
		*p = (struct space_page){.data = p->data, .tick = ++sp->tick, .level = sp->next.levels + 1,
			.children = below != NULL, .valid = true};
		memset(p->data, 0, VOLUME_BLOCK_SIZE);
		*entry_in(p, 0) = (struct volume_space_entry){.block = sp->next.root.block,
			.generation = sp->next.root.generation, .checksum = sp->next.root.checksum,
			.used = (uint32_t)sp->next.used};
		sp->next.levels++;
		sp->next.root = (struct volume_entry){0, 0, 0};
		uint32_t at = sp->edits;
		TRY(make_dirty(s, p));
		ASSERT(sp->edits == at + 1);
		sp->edits = at;
		TRY(space_map_edit(s, p->block, true));
	}
	return OK;
}

err space_map_begin(struct store *s, uint32_t generation)
{
	struct space *sp = &s->space;
	sp->generation = generation;
	if (sp->building)
		return OK;
	space_lock(s);
	sp->building = true;
	sp->next = sp->walk ? (struct space_tree){.levels = space_levels(sp->blocks_next)} : sp->tree;
	err e = sp->walk ? OK : grow(s, space_levels(sp->blocks_next));
	space_unlock(s);
	return e;
}

/* A group in which only its own page is used has none. */
static void drop_if_alone(struct space *sp, struct space_page *p)
{
	struct space_page *parent = parent_of(sp, p);
	uint64_t used;
	(void)entry_of(sp, p, &used);
	if (p->level || !parent || used != 1 || p->block / VOLUME_GROUP_BLOCKS != p->index)
		return;
	count(sp, p, false);
	set_entry(sp, p, &(struct volume_entry){0, 0, 0});
	p->valid = p->dirty = false;
	parent->children--;
}

static err write_pages(struct store *s)
{
	struct space *sp = &s->space;
	struct io_run run = {.op = BLOCK_WRITE};
	struct io_wait w;
	io_wait_init(s, &w);
	for (uint32_t level = 0; level <= sp->next.levels; level++)
		for (uint32_t i = 0; i < SPACE_PAGES; i++) {
			struct space_page *p = &sp->page[i];
			if (!p->valid || !p->dirty || p->level != level)
				continue;
			drop_if_alone(sp, p);
			if (!p->valid)
				continue;
			uint32_t block = p->block;
			seal_page(s, p);
			io_run_add(s, &run, &w, block, p->data);
		}
	io_run_submit(s, &run, &w);
	return io_wait_all(s, &w);
}

err space_map_seal(struct store *s, struct volume_superblock *b)
{
	struct space *sp = &s->space;
	space_lock(s);
	err e = write_pages(s);
	space_unlock(s);
	if (failed(e) || sp->leaky) /* without it the next opening walks */
		return e;
	b->features_compatible |= VOLUME_FEATURE_SPACE;
	b->space = sp->next.root;
	b->space_used = sp->next.used;
	b->space_levels = sp->next.levels;
	return OK;
}
