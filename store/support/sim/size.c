/* A device whose size changes: at any event of a life it becomes larger, while it is opened as well; after a power
 * cut it is what it was then, or is larger, or is smaller again. */
#include "sim.h"

#include <abi/volume.h>
#include <stdlib.h>
#include <string.h>

uint64_t size_now(const struct life *l)
{
	const struct block_device *d = &l->rig.disk.device;
	return d->sector_count * d->sector_size / VOLUME_BLOCK_SIZE;
}

void size_set(struct life *l, uint64_t blocks)
{
	sim_disk_resize(&l->rig.disk, blocks * VOLUME_BLOCK_SIZE);
}

void size_begin(struct life *l)
{
	l->blocks = size_now(l);
	l->grown_at = 0;
}

void size_event(struct life *l, uint64_t event)
{
	if (event != l->grow_at)
		return;
	uint64_t most = l->rig.disk.bytes / VOLUME_BLOCK_SIZE, blocks = size_now(l) + l->grow_by;
	l->grow_at = 0;
	l->grown_at = event;
	size_set(l, blocks < most ? blocks : most);
}

uint64_t size_before(const struct life *l, uint64_t event)
{
	return l->grown_at && event > l->grown_at ? size_now(l) : l->blocks;
}

/* What the volume needs, as the superblocks say. A torn one counts: the next write to that slot, torn as well, may leave
 * what makes it whole. */
static uint64_t blocks_needed(const struct life *l)
{
	uint64_t most = 0;
	for (uint32_t i = 0; i < VOLUME_SLOTS; i++) {
		const struct volume_superblock *b = (const void *)(l->rig.disk.media +
			VOLUME_SLOT_BLOCK(i) * VOLUME_BLOCK_SIZE);
		most = b->magic == VOLUME_MAGIC && b->blocks > most ? b->blocks : most;
	}
	return most;
}

static bool is_refused(const struct life *l, uint64_t blocks)
{
	const struct volume_superblock *a = walk_slot(l->rig.disk.media, 0), *b = walk_slot(l->rig.disk.media, 1);
	return (a && a->blocks > blocks) || (b && b->blocks > blocks);
}

void size_try(struct run *r, struct life *l, uint64_t blocks)
{
	struct sim_disk *d = &l->rig.disk;
	uint64_t right = size_now(l), writes = d->writes;
	bool needed = blocks < blocks_needed(l);
	if (needed && !is_refused(l, blocks))
		return;
	size_set(l, blocks);
	if (!needed) /* it goes on like this */
		return;
	err e = life_start(r, l);
	CHECK(r, e.code == ERR_NO_SPACE && d->writes == writes,
		"a device of %lu blocks, too few for the volume: %s, %lu writes", (unsigned long)blocks, err_text(e),
		(unsigned long)(d->writes - writes));
	rig_crash(&l->rig);
	size_set(l, right);
}

static void wait_for(void *argument)
{
	struct life *l = argument;
	struct store_stats stats;
	for (uint32_t i = 0; i < 200; i++) { /* the store looks at the size now and then */
		store_stats(l->rig.store, &stats);
		if (stats.blocks == size_now(l))
			return;
		fiber_sleep_until(l->rig.config.loop, l->rig.sim.now_ns + 1000000);
	}
}

void size_expect(struct run *r, struct life *l)
{
	struct store_stats stats;
	rig_run(&l->rig, wait_for, l);
	store_stats(l->rig.store, &stats);
	CHECK(r, stats.blocks == size_now(l), "the device has %lu blocks, the volume only %lu", (unsigned long)size_now(l),
		(unsigned long)stats.blocks);
}
