/* What stands between the store's files: the linker sends these calls here first (--wrap), so the store
 * itself knows nothing of it. Checkpoints find no block here, and here the store is broken on purpose: each mistake must
 * be noticed by some of the checks. Allocations fail in memory.c. */
#include "sim.h"

#include <string.h>

#include "../../private.h"

enum sabotage {
	NOTHING,
	FLUSH,     /* every third flush is not made */
	REUSE,     /* old blocks are free at once */
	CHECKSUM,  /* everything matches */
	SNAPSHOT,  /* old versions are dropped though readers see them */
	SLOT,      /* the superblock in use is overwritten */
	BOTH,      /* both superblocks are written before the flush */
	STALE,     /* the cache keeps what a truncation has cut off */
	READERS,   /* blocks become free though readers need them */
	LEAK,      /* now and then a block is forgotten */
	NODES,     /* map nodes are free before the checkpoint is done */
	TRUNCATE,  /* a checkpoint forgets truncations */
	RESERVE,   /* nothing is set aside for checkpoints */
	TWICE,     /* that a block is used twice is not noticed, and it is given out twice */
	ORDER,     /* the superblock is written before its maps are flushed */
	PARTS,     /* parts of a large transaction go into the object itself */
	LEFTOVER,  /* what an unfinished one had written stays */
	SHARE,     /* what an object and its branch (or a snapshot) have in common becomes free with one of them */
	GROW,      /* that the device has grown while it runs is not noticed */
	FORGET,    /* the blocks of a deleted object stay in use */
	UNDEAD,    /* a deleted object is still in the superblock */
	SABOTAGES,
};

static const char *const names[SABOTAGES] = {"", "flush", "reuse", "checksum", "snapshot", "slot", "both",
	"stale", "readers", "leak", "nodes", "truncate", "reserve", "twice", "order", "parts", "leftover", "share",
	"grow", "forget", "undead"};

static enum sabotage how;
static uint64_t calls;
static uint64_t blocks_left, blocks_more, blocks_failed;

bool seam_sabotage_exists(const char *name)
{
	for (int i = 1; i < SABOTAGES; i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

void seam_sabotage(const char *name)
{
	for (int i = 1; i < SABOTAGES; i++)
		if (!strcmp(name, names[i]))
			how = (enum sabotage)i;
}

void seam_fail_space(uint64_t n, uint64_t more)
{
	blocks_left = n;
	blocks_more = more;
	blocks_failed = 0;
}

uint64_t seam_space_failed(void)
{
	return blocks_failed;
}

static bool space_fails_now(void)
{
	if (blocks_left > 1) {
		blocks_left--;
		return false;
	}
	if (!blocks_left)
		return false;
	if (!blocks_more--)
		blocks_left = 0;
	blocks_failed++;
	return true;
}

static bool now_and_then(uint32_t n)
{
	return calls++ % n == n - 1;
}

#define WRAP(type, name, ...)                                                                      \
	type __real_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__)

WRAP(err, io_flush, struct store *s)
{
	if (how == FLUSH && now_and_then(3))
		return OK;
	if (how == ORDER && s->checkpoint.running)
		return OK;
	return __real_io_flush(s);
}

WRAP(err, io_write_block, struct store *s, uint32_t block, void *data)
{
	bool slot = block == VOLUME_SLOT_BLOCK(0) || block == VOLUME_SLOT_BLOCK(1);
	uint32_t other = VOLUME_SLOT_BLOCK(0) + VOLUME_SLOT_BLOCK(1) - block;
	if (how == SLOT && slot)
		return __real_io_write_block(s, other, data);
	if (how == BOTH && slot && failed(__real_io_write_block(s, other, data)))
		return ERR(IO);
	return __real_io_write_block(s, block, data);
}

WRAP(void, space_defer, struct space *sp, uint32_t block, bool old)
{
	if (how == REUSE) {
		space_release(sp, block);
		space_go(sp, block);
	} else if (how != LEAK || !now_and_then(20)) {
		__real_space_defer(sp, block, old);
	}
}

WRAP(err, space_superseded, struct store *s, const struct volume_entry *e)
{
	if (how == LEAK && now_and_then(20))
		return OK;
	TRY(__real_space_superseded(s, e));
	if (how == NODES || how == REUSE) /* the base needs it still */
		for (uint32_t i = 0; i < s->space.window_count; i++) {
			struct space_window *w = &s->space.window[i];
			uint32_t at = e->block % SPACE_WINDOW_BLOCKS;
			if (w->index == e->block / SPACE_WINDOW_BLOCKS)
				w->base[at / 64] &= ~(1ull << at % 64);
		}
	return OK;
}

WRAP(uint32_t, space_take, struct space *sp)
{
	uint32_t block = __real_space_take(sp);
	if (how == TWICE && block && now_and_then(50))
		space_release(sp, block);
	return block;
}

WRAP(err, space_node_take, struct store *s, uint32_t *block)
{
	return space_fails_now() ? ERR(NO_SPACE) : __real_space_node_take(s, block);
}

WRAP(err, space_take_near, struct store *s, uint32_t group, uint32_t *block)
{
	return space_fails_now() ? ERR(NO_SPACE) : __real_space_take_near(s, group, block);
}

WRAP(bool, store_reader_of, const struct store *s, uint64_t from, struct store_snapshot *out)
{
	return how != READERS && __real_store_reader_of(s, from, out);
}

WRAP(uint64_t, volume_checksum, uint64_t seed, const void *bytes, size_t len)
{
	return how == CHECKSUM ? 1 : __real_volume_checksum(seed, bytes, len);
}

WRAP(bool, store_is_needed, const struct store *s, uint32_t object, uint64_t from, uint64_t until)
{
	return how != SNAPSHOT && __real_store_is_needed(s, object, from, until);
}

WRAP(uint64_t, store_oldest_base, const struct store *s, uint64_t from)
{
	return how == READERS ? GENERATION_NEVER : __real_store_oldest_base(s, from);
}

WRAP(void, cache_supersede, struct store *s, uint32_t object, uint32_t page_no, bool all_beyond,
	uint64_t generation)
{
	if (how != STALE || !all_beyond)
		__real_cache_supersede(s, object, page_no, all_beyond, generation);
}

WRAP(uint32_t, object_low, const struct store_object *o, uint64_t generation)
{
	return how == TRUNCATE ? o->base_pages : __real_object_low(o, generation);
}

WRAP(uint64_t, store_device_blocks, const struct block_device *d)
{
	return how == GROW ? 0 : __real_store_device_blocks(d);
}

WRAP(uint64_t, checkpoint_reserve, const struct store *s)
{
	return how == RESERVE ? 0 : __real_checkpoint_reserve(s);
}

WRAP(err, object_fork, struct store_object *o, struct store_object **branch)
{
	if (how != PARTS)
		return __real_object_fork(o, branch);
	*branch = o;
	return OK;
}

WRAP(err, share_children, const struct share_query *q, uint32_t level, uint32_t index,
	const struct volume_entry *child, const struct share_set *wanted, struct share_set *found)
{
	err e = __real_share_children(q, level, index, child, wanted, found);
	if (how == SHARE)
		memset(found, 0, sizeof *found);
	return e;
}

static bool removes_object(const struct store *s, const struct table_change *change)
{
	return change->remove < STORE_OBJECTS_MAX && !s->version[change->remove].named;
}

WRAP(err, table_change_begin, struct store *s, const struct table_change *change, uint64_t generation)
{
	struct table_change less = *change;
	if ((how != FORGET && how != UNDEAD) || !removes_object(s, change))
		return __real_table_change_begin(s, change, generation);
	less.remove = VERSION_NONE;
	s->version[change->remove].used = how == UNDEAD;
	return __real_table_change_begin(s, &less, generation);
}

WRAP(err, object_drop_branch, struct store *s)
{
	return how == LEFTOVER ? OK : __real_object_drop_branch(s);
}
