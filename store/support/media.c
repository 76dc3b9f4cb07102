#include "media.h"

#include <base/assert.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"

/* Where a block was found first. */
struct found {
	struct volume_entry entry;
	uint32_t line, level, index, padding;
};

struct walk {
	const uint8_t *media;
	struct found *found; /* by block */
	uint32_t blocks;
	struct media_use use;
};

static bool is_whole(const struct volume_superblock *b)
{
	struct volume_superblock copy = *b;
	copy.checksum = 0;
	return volume_checksum(VOLUME_MAGIC, &copy, sizeof copy) == b->checksum;
}

const struct volume_superblock *media_superblock(const uint8_t *media)
{
	const struct volume_superblock *a = (const void *)media;
	const struct volume_superblock *b = (const void *)(media + VOLUME_SLOT_BLOCK(1) * VOLUME_BLOCK_SIZE);
	return is_whole(b) && (!is_whole(a) || b->sequence > a->sequence) ? b : a;
}

static void walk(struct walk *w, uint32_t line, uint32_t level, uint32_t index,
	const struct volume_entry *e)
{
	if (!e->block)
		return;
	ASSERT(e->block >= VOLUME_RESERVED_BLOCKS && e->block < w->blocks);
	struct found *f = &w->found[e->block], here = {*e, line, level, index, 0};
	if (f->entry.block) {
		w->use.shared++;
		w->use.twice |= memcmp(f, &here, sizeof here) != 0;
		return;
	}
	*f = here;
	w->use.blocks++;
	const struct volume_entry *child = (const void *)(w->media + (uint64_t)e->block * VOLUME_BLOCK_SIZE);
	for (uint32_t i = 0; level && i < VOLUME_MAP_FANOUT; i++)
		walk(w, line, level - 1, index * VOLUME_MAP_FANOUT + i, &child[i]);
}

/* The space map of a volume of one group, which is one page. */
static void compare_space(struct walk *w, const struct volume_superblock *b)
{
	const uint8_t *bits = w->media + (uint64_t)b->space.block * VOLUME_BLOCK_SIZE;
	ASSERT(w->blocks <= VOLUME_GROUP_BLOCKS && !b->space_levels);
	if (!b->space.block)
		return;
	w->use.blocks++;
	for (uint32_t i = 0; i < w->blocks; i++) {
		bool used = w->found[i].entry.block || i == b->space.block || i == b->record_block;
		w->use.unlike += used != (bits[i / 8] >> i % 8 & 1);
	}
}

struct media_use media_walk(const uint8_t *media, uint64_t bytes)
{
	const struct volume_superblock *b = media_superblock(media);
	struct walk w = {.media = media, .blocks = (uint32_t)(bytes / VOLUME_BLOCK_SIZE)};
	w.found = calloc(w.blocks, sizeof *w.found);
	ASSERT(w.found);
	for (uint32_t i = 0; i < VOLUME_OBJECTS_MAX; i++) {
		const struct volume_object *o = &b->object[i];
		walk(&w, o->line ? o->line - 1u : i, o->levels, 0, &o->root);
	}
	compare_space(&w, b);
	free(w.found);
	return w.use;
}
