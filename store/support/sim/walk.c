/* The volume by the book (docs/volume-format.md), without the store's code but for the checksum. */
#include "sim.h"

#include <abi/volume.h>
#include <stdlib.h>
#include <string.h>

#include "../../checksum.h"

/* How a block was reached first. */
struct claim {
	struct volume_entry entry;
	uint64_t index;
	uint32_t line, level;
};

struct walker {
	struct walk *w;
	struct claim *claim;
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

const struct volume_superblock *walk_slot(const uint8_t *media, uint32_t slot)
{
	const struct volume_superblock *b = (const void *)(media + VOLUME_SLOT_BLOCK(slot) * VOLUME_BLOCK_SIZE);
	return is_sealed(b) ? b : NULL;
}

/* False when there is nothing new below. Versions of one line may share a block in the same place. */
static bool reach(struct walker *k, uint64_t block, const struct claim *c)
{
	if (block < VOLUME_RESERVED_BLOCKS || block >= k->w->blocks) {
		k->w->wrong = "a block outside of the volume is in use";
		return false;
	}
	if (k->w->seen[block]) {
		if (memcmp(&k->claim[block], c, sizeof *c) != 0)
			k->w->wrong = "a block is in use twice";
		return false;
	}
	k->w->seen[block] = 1;
	k->claim[block] = *c;
	k->w->reachable++;
	return true;
}

static void walk_tree(struct walker *k, uint32_t object, uint32_t line, uint32_t level, uint64_t index,
	const struct volume_entry *e)
{
	struct claim c = {*e, index, line, level};
	if (!e->block || !reach(k, e->block, &c))
		return;
	if (e->block == k->w->find) {
		k->w->object = object;
		k->w->from = index << 8 * level;
		k->w->to = (index + 1) << 8 * level;
	}
	const uint8_t *block = block_at(k, e->block);
	uint64_t seed = volume_seed_page(k->nonce, line, level, (uint32_t)index, e->generation);
	if (volume_checksum(seed, block, VOLUME_BLOCK_SIZE) != e->checksum) {
		k->w->damaged++;
		return;
	}
	const struct volume_entry *child = (const void *)block;
	for (uint32_t i = 0; level && i < VOLUME_MAP_FANOUT; i++)
		walk_tree(k, object, line, level - 1, index * VOLUME_MAP_FANOUT + i, &child[i]);
}

/* The space map: its pages and nodes are in use; then (`check`) it must show what has been seen. */
static void walk_space(struct walker *k, uint32_t level, uint64_t index, const struct volume_entry *e,
	uint64_t used, bool check)
{
	struct claim c = {*e, index, VOLUME_SPACE_OBJECT, level};
	if (!e->block || (!check && !reach(k, e->block, &c)) || k->w->wrong)
		return;
	const uint8_t *block = block_at(k, e->block);
	uint64_t seed = volume_seed_page(k->nonce, VOLUME_SPACE_OBJECT, level, (uint32_t)index, e->generation);
	if (volume_checksum(seed, block, VOLUME_BLOCK_SIZE) != e->checksum) {
		k->w->space_damaged = true;
		return;
	}
	const struct volume_space_entry *child = (const void *)block;
	for (uint32_t i = 0; level && i < VOLUME_SPACE_FANOUT; i++) {
		struct volume_entry below = {child[i].block, child[i].generation, child[i].checksum};
		walk_space(k, level - 1, index * VOLUME_SPACE_FANOUT + i, &below, child[i].used, check);
		used -= child[i].used;
	}
	for (uint32_t i = 0; check && !level && i < VOLUME_GROUP_BLOCKS; i++) {
		uint64_t at = index * VOLUME_GROUP_BLOCKS + i;
		bool is = block[i / 8] >> i % 8 & 1;
		used -= is;
		if (is != (at < k->w->blocks && k->w->seen[at]))
			k->w->wrong = is ? "the space map shows a block as used that nothing uses" :
					   "the space map shows a block as free that is used";
	}
	if (check && used)
		k->w->wrong = "the space map's counts are wrong";
}

void walk_volume(struct walk *w, const uint8_t *media, uint64_t blocks)
{
	struct walker k = {.w = w, .media = media};
	const struct volume_superblock *newest = NULL;
	w->blocks = blocks;
	w->seen = calloc(1, blocks);
	for (uint32_t i = 0; i < VOLUME_SLOTS; i++) {
		const struct volume_superblock *b = walk_slot(media, i);
		if (b && (!newest || b->sequence > newest->sequence))
			newest = b;
	}
	if (!newest) {
		w->wrong = "neither superblock is sound";
		return;
	}
	k.nonce = newest->nonce;
	w->generation = newest->generation;
	k.claim = calloc(blocks, sizeof *k.claim);
	(void)reach(&k, newest->record_block, &(struct claim){.level = UINT32_MAX});
	for (uint32_t i = 0; i < VOLUME_OBJECTS_MAX; i++) {
		const struct volume_object *o = &newest->object[i];
		w->unfinished |= o->name[0] == 1;
		walk_tree(&k, i, o->line ? o->line - 1u : i, o->levels, 0, &o->root);
	}
	for (uint32_t check = 0; check < 2; check++)
		walk_space(&k, newest->space_levels, 0, &newest->space, newest->space_used, check);
	if (newest->record_block_after)
		(void)reach(&k, newest->record_block_after, &(struct claim){.level = UINT32_MAX});
	free(k.claim);
}
