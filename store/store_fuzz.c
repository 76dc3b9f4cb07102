/* A hostile volume: a good one, of which the input changes bytes; then checksums are made right again,
 * so that what lies behind them is reached. Opening, reading, checking and writing must end in
 * an error or in good order: no crash, no hang. */
#include "support/hostile.h"
#include "support/rig.h"

#include <abi/volume.h>
#include <stdlib.h>
#include <string.h>

#include "support/hostile.c"
#include "support/rig.c"

#define BLOCKS 96u
#define CHANGES_MAX 40u
#define OPERATIONS_MAX 200000u

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

/* Whatever a volume says, the device is asked a bounded number of times. */
static void expect_few_reads(void)
{
	ASSERT(rig.disk.operations < OPERATIONS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!good)
		make_good();
	if (!size)
		return 0;
	uint8_t *media = rig.disk.media;
	memcpy(media, good, BLOCKS * 4096);
	for (size_t i = 1; i + HOSTILE_CHANGE <= size && i < 1 + CHANGES_MAX * HOSTILE_CHANGE; i += HOSTILE_CHANGE)
		hostile_change(media, BLOCKS, &data[i]);
	if (data[0] & 1)
		hostile_seal(media, BLOCKS);
	rig_crash(&rig);
	rig.disk.operations = 0;
	rig.config.txn_pages_max = data[0] & 2 ? 2 : 0; /* 2: recovery merges again and again */
	rig.config.accept_loss = data[0] & 4;
	rig.disk.device.read_only = data[0] & 8;
	err e = rig_open(&rig);
	expect_few_reads();
	if (failed(e))
		return 0;
	rig_run(&rig, read_all, &rig);
	expect_few_reads();
	rig_run(&rig, commit_some, &rig);
	rig_run(&rig, change_all, &rig);
	expect_few_reads();
	if (store_state(rig.store) == STORE_OPEN)
		(void)rig_close(&rig).code;
	return 0;
}
