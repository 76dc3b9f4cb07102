/* From page numbers to blocks: first the delta, then the snapshot's map on the device, whose nodes are
 * cached like pages. */
#include "private.h"

uint32_t map_levels(uint32_t pages)
{
	uint32_t levels = 0;
	for (uint64_t room = 1; pages && room < pages; room *= VOLUME_MAP_FANOUT)
		levels++;
	return pages && !levels ? 1 : levels;
}

uint64_t map_nodes(uint32_t pages)
{
	uint64_t total = 0, width = pages;
	for (uint32_t levels = map_levels(pages); levels; levels--) {
		width = (width + VOLUME_MAP_FANOUT - 1) / VOLUME_MAP_FANOUT;
		total += width;
	}
	return total;
}

bool map_block_is_sane(const struct store *s, uint32_t block)
{
	return block >= VOLUME_RESERVED_BLOCKS && block < s->space.blocks_next;
}

bool map_entry_is_sane(const struct store *s, const struct volume_entry *e)
{
	return map_block_is_sane(s, e->block);
}

/* Lends the node; parks on a miss. */
static err node_get(struct store *s, const struct volume_entry *e, uint64_t seed, struct frame **node)
{
	struct frame *f = cache_find(s, OBJECT_MAP, e->block, 0);
	if (!f) {
		struct frame *mine;
		TRY(cache_take(s, &mine));
		f = cache_find(s, OBJECT_MAP, e->block, 0);
		if (!f) {
			cache_insert(s, mine, OBJECT_MAP, e->block, 0, GENERATION_NEVER);
			TRY(frame_load(s, mine, e, seed));
			*node = mine;
			return OK;
		}
		mine->state = FRAME_CLEAN;
		frame_put(mine);
	}
	f->pins++;
	f->referenced = true;
	TRY(frame_await(s, f));
	*node = f;
	return OK;
}

static err map_walk(struct store *s, const struct store_snapshot *snap, uint32_t page_no,
	struct volume_entry *out, uint32_t *hole_level)
{
	struct volume_entry e = {snap->root_block, snap->root_generation, snap->root_checksum};
	if ((uint64_t)page_no >> (8 * snap->levels))
		e.block = 0;
	*hole_level = snap->levels;
	for (uint32_t level = snap->levels; level && e.block; level--) {
		struct frame *node;
		if (!map_entry_is_sane(s, &e))
			return ERR(CORRUPT);
		uint32_t index = level < 4 ? page_no >> (8 * level) : 0;
		TRY(node_get(s, &e, volume_seed_page(s->nonce, snap->line, level, index,
				e.generation), &node));
		const struct volume_entry *entries = (const void *)node->page.data;
		e = entries[page_no >> (8 * (level - 1)) & (VOLUME_MAP_FANOUT - 1)];
		frame_put(node);
		*hole_level = level - 1;
	}
	if (e.block && !map_entry_is_sane(s, &e))
		return ERR(CORRUPT);
	*out = e;
	return OK;
}

err map_resolve(struct store *s, const struct store_snapshot *snap, uint32_t page_no,
	uint64_t generation, struct map_result *out)
{
	struct delta *d = delta_find(s, snap->object_id, page_no, snap->base_generation, generation);
	*out = (struct map_result){.from = generation};
	if (d) {
		out->from = d->from;
		out->frame = d->frame;
		out->entry = (struct volume_entry){d->block, d->generation, d->checksum};
		return OK;
	}
	if (page_no >= snap->base_pages)
		return OK;
	out->from = snap->base_generation;
	uint32_t hole_level;
	return map_walk(s, snap, page_no, &out->entry, &hole_level);
}

uint64_t map_skip_hole(struct store *s, const struct store_snapshot *snap, uint32_t page_no)
{
	struct volume_entry e;
	uint32_t level = 0;
	uint64_t next = snap->pages;
	bool in_reach = snap->levels && !((uint64_t)page_no >> (8 * snap->levels));
	if (page_no < snap->base_pages && in_reach) { /* beyond the map's reach nothing lies */
		err result = map_walk(s, snap, page_no, &e, &level);
		(void)result; /* all below the node that is missing, or cannot be had */
		if (!level)
			return (uint64_t)page_no + 1;
		next = (((uint64_t)page_no >> (8 * level)) + 1) << (8 * level);
		if (next > snap->pages)
			next = snap->pages;
	}
	for (uint32_t i = 0; i < 1u << (64 - s->deltas.shift); i++)
		for (const struct delta *d = s->deltas.bucket[i]; d; d = d->next)
			if (d->object == snap->object_id && d->page_no > page_no && d->page_no < next)
				next = d->page_no;
	return next;
}
