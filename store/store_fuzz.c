/* A hostile volume: a good one, of which the input changes bytes; then checksums are made right again,
 * so that what lies behind them is reached. Opening, reading, checking and writing must end in
 * an error or in good order: no crash, no hang. */
#include "support/rig.h"

#include <abi/volume.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "support/rig.c"

#define BLOCKS 96u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *good; /* with a checkpoint and some records after it */
static struct rig rig;

/* Two snapshots, and an object that shares with them. */
static err share_some(struct rig *r, bool create)
{
	struct store_object *o, *branch;
	TRY(store_object_open(r->store, "main", true, &o));
	TRY(store_named_create(o, create ? "old" : "newer", 1));
	TRY(store_object_open(r->store, "branch", true, &branch));
	return store_named_restore(branch, create ? "old" : "newer");
}

static void commit_some(void *argument)
{
	struct rig *r = argument;
	struct store_object *o;
	struct store_txn *t;
	uint8_t page[STORE_PAGE_SIZE];
	uint64_t generation;
	if (failed(store_object_open(r->store, "main", true, &o)))
		return;
	for (uint32_t i = 0; i < 12; i++) {
		if (failed(store_txn_begin(o, &t)))
			return;
		rig_fill(page, i, i);
		err e = store_txn_write(t, i % 9, page);
		if (!failed(e) && i == 6)
			e = store_txn_truncate(t, 4);
		if (failed(e))
			store_txn_abort(t);
		else if (failed(store_txn_commit(t, &generation)) ||
			failed(store_wait_durable(r->store, generation)))
			return;
		if (i == 4 && failed(store_checkpoint(r->store)))
			return;
		if (i == 7 && !good && failed(share_some(r, true)))
			return;
	}
}

static void read_one(struct store_snapshot *s)
{
	struct store_page *page;
	uint32_t pages = store_snapshot_pages(s);
	for (uint32_t i = 0; i < pages && i < 64; i++)
		if (!failed(store_page_get(s, i < 32 ? i : pages - 1 - (i - 32), &page)))
			store_page_put(page);
	store_snapshot_end(s);
}

static void read_all(void *argument)
{
	struct rig *r = argument;
	struct store_object *o;
	struct store_snapshot s;
	struct store_object_info object;
	struct store_named_info named;
	for (uint32_t cursor = 0; store_object_next(r->store, &cursor, &object);) {
		if (failed(store_object_open(r->store, object.name, false, &o)))
			continue;
		store_snapshot_begin(o, &s);
		read_one(&s);
	}
	for (uint32_t cursor = 0; store_named_next(r->store, &cursor, &named);)
		if (!failed(store_named_begin(r->store, named.name, &s)))
			read_one(&s);
	if (failed(store_check(r->store, NULL)))
		return;
}

/* Whatever is there goes, one after the other, in an order that the input chooses. */
static void change_all(void *argument)
{
	struct rig *r = argument;
	struct store_object *o;
	struct store_named_info named;
	uint32_t n = 0, first = rig.config.txn_pages_max;
	if (failed(share_some(r, false)) || failed(store_object_open(r->store, "main", true, &o)))
		return;
	for (uint32_t cursor = 0; n < 40 && store_named_next(r->store, &cursor, &named); n++) {
		if (n == first && failed(store_named_restore(o, named.name)))
			return;
		if (failed(store_named_delete(r->store, named.name)))
			return;
	}
	if (failed(store_object_replace(o, "branch")))
		return;
	if (failed(store_object_delete(r->store, "main")))
		return;
}

static void make_good(void)
{
	rig_init(&rig, BLOCKS * 4096, 4096, 1, 8);
	rig.config.cache_pages = 32;
	rig.config.log = NULL;
	err e = rig_open(&rig);
	ASSERT(!failed(e));
	rig_run(&rig, commit_some, &rig);
	good = malloc(BLOCKS * 4096);
	ASSERT(good);
	memcpy(good, rig.disk.media, BLOCKS * 4096);
}

static void seal(uint64_t seed, uint8_t *block, uint64_t *field)
{
	*field = 0;
	*field = volume_checksum(seed, block, 4096);
}

/* Each map's root, when it lies somewhere. */
static void seal_roots(uint8_t *media, struct volume_superblock *b)
{
	for (uint32_t i = 0; i < VOLUME_OBJECTS_MAX; i++) {
		struct volume_object *o = &b->object[i];
		if (o->levels && o->levels <= VOLUME_MAP_LEVELS_MAX && o->root.block < BLOCKS)
			o->root.checksum = volume_checksum(volume_seed_page(b->nonce,
				o->line ? o->line - 1u : i, o->levels, 0, o->root.generation),
				media + o->root.block * 4096, 4096);
	}
}

static void seal_all(uint8_t *media)
{
	for (uint32_t slot = 0; slot < 2; slot++) {
		struct volume_superblock *b = (void *)(media + VOLUME_SLOT_BLOCK(slot) * 4096);
		seal_roots(media, b);
		seal(VOLUME_MAGIC, (void *)b, &b->checksum);
	}
	const struct volume_superblock *first = (void *)media;
	uint32_t at = first->record_block;
	uint64_t link = first->record_link;
	for (uint32_t i = 0; i < 32 && at < BLOCKS; i++) {
		struct volume_record *r = (void *)(media + at * 4096);
		if (r->magic != VOLUME_RECORD_MAGIC)
			break;
		r->link = link;
		r->record = first->record + i;
		memcpy(r->uuid, first->uuid, 16);
		seal(volume_seed_record(first->nonce, r->record), (void *)r, &r->checksum);
		link = r->checksum;
		at = r->next_block;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!good)
		make_good();
	uint8_t *media = rig.disk.media;
	memcpy(media, good, BLOCKS * 4096);
	bool reseal = size && data[0] & 1;
	for (size_t i = 1; i + 4 <= size; i += 4)
		media[(data[i] % BLOCKS) * 4096u + (data[i + 1] | data[i + 2] % 16u << 8)] = data[i + 3];
	if (reseal)
		seal_all(media);
	rig_crash(&rig);
	rig.config.txn_pages_max = size && data[0] & 2 ? 2 : 0; /* 2: recovery merges again and again */
	if (failed(rig_open(&rig)))
		return 0;
	rig_run(&rig, read_all, &rig);
	rig_run(&rig, commit_some, &rig);
	rig_run(&rig, change_all, &rig);
	if (store_state(rig.store) == STORE_OPEN)
		(void)rig_close(&rig).code;
	return 0;
}
