/* The volume by the book (docs/volume-format.md), without the store's code but for the checksum. */
#include "sim.h"

#include <abi/volume.h>
#include <stdlib.h>
#include <string.h>

#include "../../checksum.h"

struct walker {
	struct walk *w;
	const uint8_t *media;
	uint64_t nonce;
};

static const uint8_t *block_at(const struct walker *k, uint64_t block)
{
	return k->media + block * VOLUME_BLOCK_SIZE;
}

static bool is_sealed(const struct volume_superblock *b)
{
	struct volume_superblock copy = *b;
	copy.checksum = 0;
	return b->magic == VOLUME_MAGIC &&
	       volume_checksum(VOLUME_MAGIC, (const void *)&copy, sizeof copy) == b->checksum;
}

static bool reach(struct walker *k, uint64_t block)
{
	if (block < VOLUME_RESERVED_BLOCKS || block >= k->w->blocks) {
		k->w->wrong = "a block outside of the volume is in use";
		return false;
	}
	if (k->w->seen[block]) {
		k->w->wrong = "a block is in use twice";
		return false;
	}
	k->w->seen[block] = 1;
	k->w->reachable++;
	return true;
}

static void walk_tree(struct walker *k, uint32_t object, uint32_t level, uint64_t index,
	const struct volume_entry *e)
{
	if (!e->block || !reach(k, e->block))
		return;
	if (e->block == k->w->find) {
		k->w->object = object;
		k->w->from = index << 8 * level;
		k->w->to = (index + 1) << 8 * level;
	}
	const uint8_t *block = block_at(k, e->block);
	uint64_t seed = volume_seed_page(k->nonce, object, level, (uint32_t)index, e->generation);
	if (volume_checksum(seed, block, VOLUME_BLOCK_SIZE) != e->checksum) {
		k->w->damaged++;
		return;
	}
	const struct volume_entry *child = (const void *)block;
	for (uint32_t i = 0; level && i < VOLUME_MAP_FANOUT; i++)
		walk_tree(k, object, level - 1, index * VOLUME_MAP_FANOUT + i, &child[i]);
}

void walk_volume(struct walk *w, const uint8_t *media, uint64_t blocks)
{
	struct walker k = {w, media, 0};
	const struct volume_superblock *newest = NULL;
	w->blocks = blocks;
	w->seen = calloc(1, blocks);
	for (uint32_t i = 0; i < VOLUME_SLOTS; i++) {
		const struct volume_superblock *b = (const void *)block_at(&k, VOLUME_SLOT_BLOCK(i));
		if (is_sealed(b) && (!newest || b->sequence > newest->sequence))
			newest = b;
	}
	if (!newest) {
		w->wrong = "neither superblock is sound";
		return;
	}
	k.nonce = newest->nonce;
	w->generation = newest->generation;
	(void)reach(&k, newest->record_block);
	for (uint32_t i = 0; i < VOLUME_OBJECTS_MAX; i++)
		walk_tree(&k, i, newest->object[i].levels, 0, &newest->object[i].root);
}
