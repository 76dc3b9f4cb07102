#include "hostile.h"

#include <abi/volume.h>
#include <stdbool.h>
#include <string.h>

#include "../checksum.h"

#define VISITS_MAX 20000u /* of blocks: maps may go in circles */

struct hostile {
	uint8_t *media;
	uint32_t blocks, visits;
	uint64_t nonce;
};

static uint8_t *block_at(const struct hostile *h, uint32_t block)
{
	return h->media + (size_t)block * VOLUME_BLOCK_SIZE;
}

static struct volume_superblock *slot_at(uint8_t *media, uint32_t slot)
{
	return (void *)(media + (size_t)VOLUME_SLOT_BLOCK(slot) * VOLUME_BLOCK_SIZE);
}

static uint32_t line_of(const struct volume_superblock *b, uint32_t object)
{
	uint32_t line = object < VOLUME_OBJECTS_MAX ? b->object[object].line : 0;
	return line ? line - 1 : object;
}

/* --- Sealing --- */

/* Children first. */
static void seal_tree(struct hostile *h, uint32_t line, uint32_t level, uint32_t index, struct volume_entry *e)
{
	if (!e->block || e->block >= h->blocks || h->visits++ > VISITS_MAX)
		return;
	struct volume_entry *child = (void *)block_at(h, e->block);
	for (uint32_t i = 0; level && i < VOLUME_MAP_FANOUT; i++)
		seal_tree(h, line, level - 1, index * VOLUME_MAP_FANOUT + i, &child[i]);
	e->checksum = volume_checksum(volume_seed_page(h->nonce, line, level, index, e->generation),
		block_at(h, e->block), VOLUME_BLOCK_SIZE);
}

static void seal_superblock(struct hostile *h, struct volume_superblock *b)
{
	h->nonce = b->nonce;
	h->visits = 0;
	for (uint32_t i = 0; i < VOLUME_OBJECTS_MAX; i++)
		if (b->object[i].levels && b->object[i].levels <= VOLUME_MAP_LEVELS_MAX)
			seal_tree(h, line_of(b, i), b->object[i].levels, 0, &b->object[i].root);
	b->checksum = 0;
	b->checksum = volume_checksum(VOLUME_MAGIC, (const void *)b, VOLUME_BLOCK_SIZE);
}

static void seal_items(struct hostile *h, const struct volume_superblock *b, struct volume_record *r)
{
	for (uint32_t i = 0; i < r->item_count && i < VOLUME_RECORD_ITEMS; i++) {
		struct volume_item *item = &r->item[i];
		if (item->kind == VOLUME_ITEM_PAGE && item->block < h->blocks)
			item->checksum = volume_checksum(volume_seed_page(h->nonce, line_of(b, item->object), 0,
				item->page, item->generation), block_at(h, item->block), VOLUME_BLOCK_SIZE);
	}
}

static void seal_records(struct hostile *h, const struct volume_superblock *b)
{
	uint32_t at = b->record_block;
	uint64_t link = b->record_link;
	h->nonce = b->nonce;
	for (uint32_t i = 0; i < 64 && at < h->blocks; i++) {
		struct volume_record *r = (void *)block_at(h, at);
		if (r->magic != VOLUME_RECORD_MAGIC)
			return;
		r->link = link;
		r->record = b->record + i;
		memcpy(r->uuid, b->uuid, sizeof r->uuid);
		seal_items(h, b, r);
		r->checksum = 0;
		link = r->checksum = volume_checksum(volume_seed_record(h->nonce, r->record), r, VOLUME_BLOCK_SIZE);
		at = r->next_block;
	}
}

void hostile_seal(uint8_t *media, uint32_t blocks)
{
	struct hostile h = {.media = media, .blocks = blocks};
	seal_records(&h, slot_at(media, 0));
	for (uint32_t i = 0; i < VOLUME_SLOTS; i++)
		seal_superblock(&h, slot_at(media, i));
}

/* --- Changes --- */

/* Numbers near which mistakes are made. */
static uint64_t value(uint32_t blocks, uint8_t how, uint8_t v, uint64_t old)
{
	switch (how % 8) {
	case 0: return v;
	case 1: return v % blocks;
	case 2: return old + v;
	case 3: return old - v;
	case 4: return UINT64_MAX - v;
	case 5: return 1ull << v % 64;
	case 6: return (1ull << v % 64) - 1;
	default: return blocks + v;
	}
}

static void set(uint8_t *at, uint32_t blocks, const uint8_t *in)
{
	uint64_t old = 0, new;
	size_t size = (size_t)1 << (in[4] >> 3) % 4;
	memcpy(&old, at, size);
	new = value(blocks, in[4], in[5], old);
	memcpy(at, &new, size);
}

/* The nth node of the object's map on the way that the input chooses. */
static uint8_t *node_of(uint8_t *media, uint32_t blocks, const struct volume_object *o, uint8_t way)
{
	struct hostile h = {.media = media, .blocks = blocks};
	uint32_t at = o->root.block;
	for (uint32_t level = o->levels; level > 1 && level <= VOLUME_MAP_LEVELS_MAX && at && at < blocks && way & 1;
		level--, way >>= 1)
		at = ((const struct volume_entry *)(void *)block_at(&h, at))[way >> 1 & 3].block;
	return at && at < blocks ? block_at(&h, at) : NULL;
}

static uint8_t *record_of(uint8_t *media, uint32_t blocks, uint8_t n)
{
	struct hostile h = {.media = media, .blocks = blocks};
	uint32_t at = slot_at(media, 0)->record_block;
	for (n %= 16; n && at < blocks; n--)
		at = ((const struct volume_record *)(void *)block_at(&h, at))->next_block;
	return at < blocks ? block_at(&h, at) : NULL;
}

void hostile_change(uint8_t *media, uint32_t blocks, const uint8_t *in)
{
	uint32_t where = in[2] | (uint32_t)in[3] << 8;
	uint8_t *at = NULL;
	for (uint32_t slot = 0; in[0] % 8 < 3 && slot < VOLUME_SLOTS; slot++) {
		struct volume_superblock *b = slot_at(media, slot);
		if (in[0] % 8 == 0) /* not the magic, not the checksum */
			set((uint8_t *)b + 8 + where % 112 / 2 * 2, blocks, in);
		else if (in[0] % 8 == 1)
			set((uint8_t *)&b->object[in[1] % 8] + where % 56, blocks, in);
		else
			set((uint8_t *)&b->versions[in[1] % 8] + where % 24, blocks, in);
	}
	if (in[0] % 8 == 3 || in[0] % 8 == 4)
		at = node_of(media, blocks, &slot_at(media, 0)->object[in[1] % 8], in[1] >> 3);
	else if (in[0] % 8 == 5 || in[0] % 8 == 6)
		at = record_of(media, blocks, in[1]);
	else if (in[0] % 8 == 7)
		at = media + (size_t)(in[1] % blocks) * VOLUME_BLOCK_SIZE;
	/* Of nodes and records mostly the first entries, where something stands. */
	if (at && in[0] % 8 != 7)
		where = where & 0x8000 ? where : where % (in[0] % 2 ? 128 : 320);
	if (at)
		set(at + where % (VOLUME_BLOCK_SIZE - 8), blocks, in);
}
