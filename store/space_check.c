/* Does the space map show what the checkpoint's maps refer to, no more and no less? The maps are walked once for as many
 * groups as there are frames for; others go on meanwhile, since snapshots hold all of that checkpoint. */
#include "private.h"

#define FRAMES_MIN (VOLUME_MAP_LEVELS_MAX + 2)
#define GROUPS_MAX 32u

struct space_check {
	struct store *s;
	struct store_snapshot snapshot; /* of any object: it holds all of the checkpoint */
	struct space_base version[STORE_OBJECTS_MAX];
	struct space_tree tree;
	uint32_t record_block;
	/* A node for each level; bitmaps of all that is used, and of what the line uses. */
	struct frame *node[FRAMES_MIN], *used[GROUPS_MAX], *line[GROUPS_MAX];
	uint32_t groups; /* at once */
	bool shares;     /* several versions of the line: what two have is not used twice */
	uint32_t from, to; /* groups */
	struct space_report *report;
};

static void *data_of(const struct frame *f)
{
	return (void *)(uintptr_t)f->page.data;
}

static void mark(struct space_check *c, uint32_t block)
{
	uint32_t group = block / VOLUME_GROUP_BLOCKS, at = block % VOLUME_GROUP_BLOCKS;
	if (group < c->from || group >= c->to)
		return;
	uint64_t *used = (uint64_t *)data_of(c->used[group - c->from]) + at / 64, bit = 1ull << at % 64;
	uint64_t *line = (uint64_t *)data_of(c->line[group - c->from]) + at / 64;
	if (*used & bit && !(c->shares && *line & bit)) {
		c->report->twice++;
		store_log(c->s, LOG_ERROR, "block %u is used twice", block);
	}
	*used |= bit;
	*line |= bit;
}

/* The node's content, for a little while; NULL: it is damaged. */
static err read_node(struct space_check *c, uint32_t object, uint32_t level, uint32_t index,
	const struct volume_entry *e, void **node)
{
	*node = data_of(c->node[level]);
	TRY(io_read_block(c->s, e->block, *node));
	if (volume_checksum(volume_seed_page(c->s->nonce, object, level, index, e->generation), *node,
		VOLUME_BLOCK_SIZE) == e->checksum)
		return OK;
	c->report->incomplete = true;
	c->report->damaged |= object == VOLUME_SPACE_OBJECT;
	*node = NULL;
	return OK;
}

/* False: nothing is there, or nothing that could be read. */
static bool mark_entry(struct space_check *c, const struct volume_entry *e)
{
	if (!e->block)
		return false;
	if (!map_entry_is_sane(c->s, e)) {
		c->report->incomplete = true;
		return false;
	}
	mark(c, e->block);
	return true;
}

static err walk_map(struct space_check *c, uint32_t object, uint32_t level, uint32_t index,
	const struct volume_entry *entry)
{
	struct volume_entry e = *entry;
	void *node;
	if (!mark_entry(c, &e) || !level)
		return OK;
	TRY(read_node(c, object, level, index, &e, &node));
	const struct volume_entry *child = node;
	for (uint32_t i = 0; node && i < VOLUME_MAP_FANOUT; i++)
		TRY(walk_map(c, object, level - 1, index * VOLUME_MAP_FANOUT + i, &child[i]));
	return OK;
}

static err walk_space(struct space_check *c, uint32_t level, uint32_t index, const struct volume_entry *entry)
{
	struct volume_entry e = *entry;
	void *node;
	if (!mark_entry(c, &e) || !level)
		return OK;
	TRY(read_node(c, VOLUME_SPACE_OBJECT, level, index, &e, &node));
	const struct volume_space_entry *child = node;
	for (uint32_t i = 0; node && i < VOLUME_SPACE_FANOUT; i++) {
		struct volume_entry below = {child[i].block, child[i].generation, child[i].checksum};
		TRY(walk_space(c, level - 1, index * VOLUME_SPACE_FANOUT + i, &below));
	}
	return OK;
}

static void clear(struct space_check *c, struct frame *bitmaps[])
{
	for (uint32_t i = 0; i < c->groups; i++)
		memset(data_of(bitmaps[i]), 0, VOLUME_BLOCK_SIZE);
}

static err walk_line(struct space_check *c, uint32_t line)
{
	uint32_t versions = 0;
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++)
		versions += c->version[i].root.block && c->version[i].line == line;
	c->shares = versions > 1;
	clear(c, c->line);
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++)
		if (c->version[i].line == line)
			TRY(walk_map(c, line, c->version[i].levels, 0, &c->version[i].root));
	return OK;
}

static err walk_all(struct space_check *c)
{
	clear(c, c->used);
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++) {
		uint32_t j = 0;
		while (c->version[j].line != c->version[i].line)
			j++;
		if (j == i && c->version[i].root.block)
			TRY(walk_line(c, c->version[i].line));
	}
	c->shares = false;
	TRY(walk_space(c, c->tree.levels, 0, &c->tree.root));
	mark(c, c->record_block);
	return OK;
}

static void compare(struct space_check *c, uint32_t group, const uint64_t *found, const uint64_t *shown)
{
	uint64_t leaked = 0, missing = 0;
	for (uint32_t i = 0; i < VOLUME_GROUP_BLOCKS / 64; i++) {
		leaked += (uint64_t)__builtin_popcountll(shown[i] & ~found[i]);
		missing += (uint64_t)__builtin_popcountll(found[i] & ~shown[i]);
		c->report->used += (uint64_t)__builtin_popcountll(found[i]);
	}
	if (leaked || missing)
		store_log(c->s, LOG_ERROR, "space map, blocks %lu to %lu: %lu are used by nothing, %lu are used "
			"and shown as free", (unsigned long)group * VOLUME_GROUP_BLOCKS,
			((unsigned long)group + 1) * VOLUME_GROUP_BLOCKS - 1, (unsigned long)leaked,
			(unsigned long)missing);
	c->report->leaked += leaked;
	c->report->missing += missing;
}

static err check_groups(struct space_check *c)
{
	uint64_t *shown = data_of(c->node[FRAMES_MIN - 1]);
	TRY(walk_all(c));
	for (uint32_t g = c->from; g < c->to && !c->report->incomplete; g++) {
		err e = space_map_read(c->s, &c->tree, false, g, shown);
		if (e.code == ERR_CORRUPT)
			c->report->incomplete = c->report->damaged = true;
		else if (failed(e))
			return e;
		else
			compare(c, g, data_of(c->used[g - c->from]), shown);
	}
	return OK;
}

static err take_frames(struct space_check *c)
{
	uint32_t most = c->s->cache.count / 16 < GROUPS_MAX ? c->s->cache.count / 16 : GROUPS_MAX;
	uint32_t groups = space_groups(c->s->space.blocks_next);
	c->groups = groups < most ? groups : most;
	for (uint32_t i = 0; i < FRAMES_MIN; i++)
		TRY(cache_take(c->s, &c->node[i]));
	for (uint32_t i = 0; i < c->groups; i++) {
		TRY(cache_take(c->s, &c->used[i]));
		TRY(cache_take(c->s, &c->line[i]));
	}
	return OK;
}

static void give_back(struct frame *f)
{
	if (!f)
		return;
	f->state = FRAME_CLEAN;
	frame_put(f);
}

static err check_all(struct space_check *c)
{
	uint32_t groups = space_groups(c->s->space.blocks_next);
	err e = take_frames(c);
	for (c->to = 0; c->to < groups && !c->report->incomplete && !failed(e);) {
		c->from = c->to;
		c->to = groups - c->from < c->groups ? groups : c->from + c->groups;
		e = check_groups(c);
	}
	for (uint32_t i = 0; i < FRAMES_MIN; i++)
		give_back(c->node[i]);
	for (uint32_t i = 0; i < GROUPS_MAX; i++) {
		give_back(c->used[i]);
		give_back(c->line[i]);
	}
	return e;
}

err space_check(struct store *s, struct space_report *report)
{
	struct space_check c = {.s = s, .report = report, .tree = s->space.tree,
		.record_block = s->journal.header[0]};
	struct store_object *any = NULL;
	*report = (struct space_report){.there = c.tree.root.block != 0, .damaged = s->space.distrusted};
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++) {
		struct store_object *o = &s->object[i];
		const struct version *v = &s->version[i];
		any = o->used && !v->hidden ? o : any; /* what is hidden may go */
		if (o->used) /* the running merge may have left another root in the version */
			c.version[i] = (struct space_base){o->root, o->levels, o->line};
		else if (v->used)
			c.version[i] = (struct space_base){v->root, v->levels, v->line};
	}
	if (!report->there || !any)
		return OK;
	store_snapshot_begin(any, &c.snapshot);
	err e = check_all(&c);
	store_snapshot_end(&c.snapshot);
	return e;
}
