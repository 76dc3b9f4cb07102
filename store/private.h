/* The store's insides. Who does what:
 *
 *   store.c       open, close, state, snapshots, counters
 *   object.c      objects and named snapshots: their table, and what changes it
 *   recovery.c    superblocks, format, following the chain of records
 *   txn.c         the writer: changes, spilling, commit
 *   journal.c     the fiber that writes batches of commits and flushes; durability
 *   checkpoint.c  the fiber that merges the delta into the maps and moves the superblock
 *   merge.c       one object's merge
 *   sort.c        its changes in the order of their pages
 *   share.c       which blocks several versions have in common
 *   delta.c       the map entries that are newer than the maps on the device
 *   cache.c       frames: pages of objects, and map nodes
 *   map.c         page number -> block, through delta and map
 *   space.c       which blocks are free, and taking them
 *   space_ages.c  counts what readers of several ages hold back
 *   space_map.c   the stored space map
 *   space_walk.c  the same without one: from the objects' maps
 *   space_check.c compares the two
 *   discard.c     telling the device what is free
 *   io.c          block requests
 *   scratch.c     pages that need not survive
 *
 * Generations: snapshot.base_generation <= base <= durable <= current. A version of a page, in a frame
 * or a delta, is what generations from <= g < until see. */
#ifndef STORE_PRIVATE_H
#define STORE_PRIVATE_H

#include <abi/volume.h>
#include <base/assert.h>
#include <base/list.h>
#include <base/pool.h>
#include <store/store.h>

#include <string.h>

#include "checksum.h"

#define GENERATION_NEVER UINT64_MAX
#define GENERATION_TXN (UINT64_MAX - 1) /* of what a transaction has not committed yet */
#define OBJECT_MAP 0xffffu              /* in frames: a map node, "page_no" is its block */
#define OBJECT_SCRATCH 0xfffeu          /* the same, a scratch page */
#define RECORDS_MAX 1024u               /* between two checkpoints */
#define TRUNCATIONS_MAX 32u
#define IO_REQUESTS 8u
#define HEADER_BUFFERS 4u
#define HEADERS_AHEAD 2u /* reserved for the records to come */
#define FLUSH_SHARE_NS 20000000u /* so soon after a commit the next one is likely */
#define GENERATIONS_SKIPPED (1u << 20) /* after a loss */
#define SEAL_AFTER_NS 1000000000u
#define NODE_BUFFERS (VOLUME_MAP_LEVELS_MAX + 1)

/* --- io.c --- */

/* What may fail for every request shall not fill the log. */
struct log_limit {
	uint64_t until_ns; /* the end of this second */
	uint32_t lines;    /* in it */
};

#define LOG_LINES_MAX 4u /* in a second */

/* Requests that a fiber waits for together. */
struct io_wait {
	uint32_t pending;
	bool parked;
	err result; /* the first failure */
	struct fiber *fiber;
};

struct io_request {
	struct block_request block;
	struct io_wait *wait;
	struct store *store;
	struct list link;  /* in io.under_way, oldest first */
	struct timer again; /* for the next try */
	uint64_t since_ns; /* of this try */
	uint32_t tries;
};

struct io {
	struct list under_way;
	struct timer watch; /* armed while something may be under way */
	uint64_t flushes_begun, flushed; /* flushed: number of the newest that has succeeded */
	bool flush_failed;
	bool slow, hung;    /* it has been said that the device does not answer; it counts as dead */
	char failure[96];   /* the first write or flush that failed, in words; "" */
	struct log_limit log_limit;
};

/* A block device's cache may have thrown away what a failed flush was for, and reports the next one as done: so
 * a flush is never tried again. Reads and writes are, up to so many times in all. */
#define IO_TRIES 4u
#define IO_SLOW_NS 10000000000u
#define IO_HUNG_NS 60000000000u

/* A run of adjacent blocks that becomes one request. */
struct io_run {
	enum block_op op;
	uint32_t block, count;
	struct block_buffer buffer[BLOCK_BUFFERS_MAX];
};

void io_wait_init(struct store *s, struct io_wait *w);
/* Adds one block to the run, submitting what does not fit together. Parks. */
void io_run_add(struct store *s, struct io_run *run, struct io_wait *w, uint32_t block, void *data);
void io_run_submit(struct store *s, struct io_run *run, struct io_wait *w);
/* Parks until all have completed. */
err io_wait_all(struct store *s, struct io_wait *w);
err io_read_block(struct store *s, uint32_t block, void *data);
err io_write_block(struct store *s, uint32_t block, void *data);
err io_flush(struct store *s);
/* A hint. */
err io_discard(struct store *s, uint32_t block, uint32_t count);
void io_init(struct store *s);

/* --- space.c, space_ages.c, space_map.c, space_walk.c --- */

#define SPACE_WINDOW_BLOCKS 4096u
#define SPACE_WINDOW_WORDS (SPACE_WINDOW_BLOCKS / 64)
#define SPACE_GROUP_WINDOWS (VOLUME_GROUP_BLOCKS / SPACE_WINDOW_BLOCKS)
#define SPACE_NOWHERE UINT32_MAX
#define SPACE_NODE_WINDOWS 2u /* the first windows are for the checkpoint's own blocks */
#define SPACE_PAGES 12u       /* of the space map, in memory */
#define SPACE_EDITS_MAX 256u
#define SPACE_AGES_MAX 16u

/* A part of a group from which blocks are taken. A bit in `base` alone: not free, some map shows it. Else
 * own: taken; dead: superseded since the last checkpoint began; both: before that. */
struct space_window {
	uint64_t base[SPACE_WINDOW_WORDS], own[SPACE_WINDOW_WORDS], dead[SPACE_WINDOW_WORDS];
	uint32_t index;       /* SPACE_NOWHERE: not in use */
	uint32_t free, taken; /* blocks; taken: in own or dead */
	bool stale;           /* `base` may show more than need be */
};

/* Counts the blocks that only readers hold back, by the oldest and the newest checkpoint that shows them. */
struct space_ages {
	uint64_t from[SPACE_AGES_MAX], to[SPACE_AGES_MAX]; /* sequences of readers' bases */
	uint64_t generation[SPACE_AGES_MAX];               /* of base `to` */
	uint32_t dead[SPACE_AGES_MAX][SPACE_AGES_MAX];     /* [oldest][newest] */
	uint32_t pending[SPACE_AGES_MAX + 1]; /* [oldest]: superseded by the running checkpoint */
	uint32_t count;
	uint64_t held; /* the sum of dead */
};

struct space_tree {
	struct volume_entry root;
	uint32_t levels;
	uint64_t used;
};

/* A page or node of the space map in memory: the newest map's, which is the one being made, if any. */
struct space_page {
	uint8_t *data;
	uint64_t tick; /* last use */
	uint32_t level, index;
	uint32_t block;    /* where it will be, when dirty */
	uint32_t children; /* of it in memory: then it stays */
	bool valid, dirty;
};

/* The map of a version in the checkpoint that was opened. */
struct space_base {
	struct volume_entry root;
	uint32_t levels, line;
};

struct space_edit {
	uint32_t block;
	bool used;
};

struct space {
	struct space_window *window;
	uint32_t window_count, window_end; /* end: those behind it have never been in use */
	uint32_t blocks, blocks_next; /* next: from the next checkpoint on */
	uint32_t at;          /* the window from which was taken last, and ... */
	uint32_t cursor;      /* ... the bit behind that */
	uint32_t search, node_search; /* groups */
	uint64_t open;        /* free blocks in the windows that are not the checkpoint's */
	uint64_t promised;    /* to open and unwritten transactions */
	uint64_t taken;       /* blocks in own or dead; in recovery: of the chain */
	uint64_t moved;       /* taken by the running checkpoint for its maps */
	uint64_t dead_new, dead_old;
	uint64_t kept;        /* blocks that only entries of the delta refer to, which were merged */
	struct space_ages ages;
	struct space_tree tree, next; /* the base's; and the newest */
	struct space_base base[STORE_OBJECTS_MAX]; /* for `walk` */
	struct space_page page[SPACE_PAGES];
	struct space_edit edit[SPACE_EDITS_MAX]; /* that are still to be made */
	uint32_t edits;
	struct space_edit applying; /* the one that is being made, out of that list; block 0: none */
	uint32_t generation;  /* of the pages being made */
	uint64_t tick;
	uint64_t sequence;    /* counts the bases since opening */
	uint64_t staled;      /* counts space_set_stale: what is being loaded meanwhile is stale as well */
	uint64_t loaded_at;   /* ... when what is in `unavailable` began to be loaded */
	uint64_t *unavailable, *scratch; /* a page each */
	bool building;   /* `next` is being made */
	bool recovering; /* blocks of the chain are not in the windows */
	bool walk;       /* ... and there is no map that could be believed: walk the objects' */
	bool record_unmapped; /* the base's record_block is in no map: there is none yet */
	bool distrusted; /* the superblock names a map, but it did not hold */
	bool damaged;    /* the map does not match its checksums, or contradicts itself */
	bool quiet;      /* what is read may be gone by now: whoever reads it decides what that means */
	bool leaky;      /* it shows blocks that perhaps nobody needs: the next opening shall make it anew */
	bool locked;
	struct fiber_queue unlocked;
};

void space_init(struct store *s, struct space_window *windows, uint32_t count, uint8_t *pages);
/* All windows are forgotten, and the newest map is the base's. */
void space_reset(struct store *s);

/* A free block of those that were promised; 0 when there is none. */
uint32_t space_take(struct space *sp);
/* Puts the cursor to `block` (any number). */
void space_go(struct space *sp, uint64_t block);
/* Puts the cursor to the start of what is loaded. */
void space_rewind(struct space *sp);
/* Whether `blocks` from the cursor on are free. */
bool space_is_run(const struct space *sp, uint32_t blocks);
/* Moves the cursor to the next run of free blocks that holds `blocks`, if there is one near. */
void space_seek(struct space *sp, uint32_t blocks);
/* A taken block that nothing durable has ever referred to is free at once ... */
void space_release(struct space *sp, uint32_t block);
/* ... and one that only records refer to when the next checkpoint that begins is durable, or (old) the one that
 * runs. */
void space_defer(struct space *sp, uint32_t block, bool old);
/* Sees to it that `blocks` more than what is promised can be taken without waiting. Parks. ERR_NO_SPACE: not
 * before the next checkpoint. */
err space_ensure(struct store *s, uint64_t blocks);

/* Takes this very block, which should be free. Parks. ERR_CORRUPT: it is not. */
err space_take_this(struct store *s, uint32_t block);

/* For the running checkpoint (and recovery's merges). They park.
 * A new block, for a node, that its map shows as used. */
err space_node_take(struct store *s, uint32_t *block);
/* A taken block that its maps refer to; and when it is done, so that they are the base's. */
err space_mapped(struct store *s, uint32_t block);
void space_mapped_done(struct space *sp, uint32_t block);
/* Every block of a page or node that its maps refer to no more. */
err space_superseded(struct store *s, const struct volume_entry *e);

/* For a block that the running checkpoint frees otherwise. */
void space_count_superseded(struct store *s, uint32_t birth);
void space_checkpoint_begin(struct space *sp);
void space_checkpoint_done(struct store *s);
/* It will not be done: all is as if it had not begun, and what it has taken is free. Parks. */
void space_checkpoint_abandon(struct store *s);
/* A reader has ended. */
void space_collect(struct store *s);
uint64_t space_free(const struct space *sp);
uint64_t space_waiting(const struct space *sp);
/* What a transaction may still be promised. */
uint64_t space_available(const struct store *s);
/* It is so much. (Without asking how much, when there is plenty.) */
bool space_has(const struct store *s, uint64_t blocks);
void space_check_pressure(struct store *s);
/* A block of a window may have become free; it is when the windows are read again. */
void space_set_stale(struct space *sp);
void space_lock(struct store *s);
void space_unlock(struct store *s);
/* A block for a page of the space map, in the group if it has one. Locked. Parks. */
err space_take_near(struct store *s, uint32_t group, uint32_t *block);

/* Which of the ages is the oldest that may see a block of this birth; their count: none. */
void space_ages_superseded(struct space_ages *a, uint64_t base, uint32_t birth);
/* A checkpoint is done; `held`: somebody reads the one before, of that sequence and generation. */
void space_ages_switch(struct space_ages *a, uint64_t sequence, uint64_t base, bool held);
void space_ages_remove(struct space_ages *a, uint32_t age);

uint32_t space_groups(uint32_t blocks);
uint32_t space_levels(uint32_t blocks);
/* Blocks that a space map has at most. */
uint32_t space_map_pages(uint32_t blocks);
/* The group's bitmap in that map. Locked. Parks. ERR_CORRUPT. */
err space_map_read(struct store *s, const struct space_tree *t, bool newest, uint32_t group,
	uint64_t *out);
/* The first group from `from` on that is not full; SPACE_NOWHERE. Locked. Parks. */
err space_map_find(struct store *s, uint32_t from, uint32_t *group);
/* Begins the next map, of this generation, unless it is begun. */
err space_map_begin(struct store *s, uint32_t generation);
/* Locked. Parks. */
err space_map_edit(struct store *s, uint32_t block, bool used);
/* The next map is complete: writes it and says so in the superblock. */
err space_map_seal(struct store *s, struct volume_superblock *b);

/* All that the base's maps refer to in the group is set. Only while nobody else is at work. Parks. */
err space_walk_group(struct store *s, uint32_t group, uint64_t *out);
/* Reads all nodes of the base's maps: counts what they refer to; whether some are damaged. */
err space_walk_count(struct store *s, uint64_t *used, bool *damaged);
/* Puts what the versions' maps refer to, and record_block, into the next space map. */
err space_walk_rebuild(struct store *s, uint32_t record_block);

/* Finds the first free blocks among `most` from `from` on that stand together in one window's part; nobody can take
 * them until the lock, under which this is called, is given back. count 0: there are none. Parks. */
err space_hide(struct store *s, uint32_t from, uint32_t most, uint32_t *start, uint32_t *count);

/* --- discard.c --- */

#define DISCARD_RUNS 256u

struct discard_run {
	uint32_t start, count; /* blocks */
};

struct discards {
	struct discard_run run[DISCARD_RUNS]; /* first the old ones, then the noted ones */
	uint32_t old, noted;
};

/* The running checkpoint frees the block. */
void discard_note(struct store *s, uint32_t block);
void discard_checkpoint_done(struct store *s);
/* A flush has completed that began after the last checkpoint was done. Parks. */
void discard_old(struct store *s);

/* --- space_check.c --- */

struct space_report {
	bool there;      /* there is a space map */
	bool damaged;    /* ... some of which cannot be read */
	bool incomplete; /* a damaged node hides something: the counts say little */
	uint64_t used;   /* blocks that the checkpoint's maps refer to */
	uint64_t leaked, missing, twice; /* shown and not used; used and not shown; used by two */
};

/* Compares the space map with a walk of all maps; logs what is wrong. Parks, others go on meanwhile.
 * ERR_NO_MEMORY (frames), ERR_IO. */
err space_check(struct store *s, struct space_report *report);

/* --- cache.c --- */

enum frame_state {
	FRAME_FREE,
	FRAME_LOADING,
	FRAME_FAILED,  /* load failed; out of the table; freed by the last put */
	FRAME_CLEAN,
	FRAME_DIRTY,   /* `delta` refers to it, or it is a pending scratch page; not on the device */
	FRAME_WRITING, /* on its way */
};

struct frame {
	struct store_page page; /* first */
	uint64_t from, until;
	struct frame *next; /* in the bucket, or among the free */
	struct store *store;
	union {
		struct delta *delta;                /* while dirty or being written ... */
		struct store_scratch_page *scratch; /* ... of an OBJECT_SCRATCH */
	};
	uint32_t page_no;
	uint16_t object;
	uint8_t state;
	bool referenced, hashed;
	uint32_t pins;
	err result; /* of a failed load */
	union {
		struct fiber_queue waiting; /* for a load, or for a scratch page's writing */
		struct list link;           /* of a dirty scratch page: in scratch.pending */
	};
};

struct cache {
	struct frame *frame;
	struct frame **bucket;
	struct frame *free;
	uint32_t count, hand, shift, dirty, writing; /* dirty: DIRTY or WRITING */
	struct fiber_queue starved; /* fibers that want a frame */
};

void cache_init(struct store *s, struct frame *frames, struct frame **buckets, uint32_t shift,
	uint8_t *pages, uint32_t count);
/* A free frame, pinned once and not in the table. Parks while others are being written. */
err cache_take(struct store *s, struct frame **frame);
void cache_insert(struct store *s, struct frame *f, uint32_t object, uint32_t page_no,
	uint64_t from, uint64_t until);
struct frame *cache_find_txn(struct store *s, uint32_t object, uint32_t page_no);
/* Out of the table; freed now or when it is no longer lent. */
void cache_drop(struct store *s, struct frame *f);
/* It becomes the same page of another object. */
void cache_move(struct store *s, struct frame *f, uint32_t object);
void cache_set_dirty(struct store *s, struct frame *f);
void cache_set_writing(struct store *s, struct frame *f);
/* All of the object's, in every version. */
void cache_forget(struct store *s, uint32_t object);
/* After a write (false: it failed, dirty again). */
void cache_written(struct store *s, struct frame *f, bool clean);
/* Every version in the cache that `generation` supersedes: this page, or (all_beyond) those from it on. */
void cache_supersede(struct store *s, uint32_t object, uint32_t page_no, bool all_beyond,
	uint64_t generation);
void frame_put(struct frame *f);
/* Waits until a frame that another fiber loads is there; unpins it on failure. */
err frame_await(struct store *s, struct frame *f);
/* Reads the block into a frame that is in the table in state LOADING, and wakes who waits. */
err frame_load(struct store *s, struct frame *f, const struct volume_entry *e, uint64_t seed);

/* --- scratch.c --- */

struct scratch {
	uint64_t blocks; /* in use */
	struct list pending; /* frames that are not written yet, oldest first */
	uint32_t pending_count;
};

/* --- delta.c --- */

struct delta {
	struct list link; /* in txn->changes, unbatched, in_flight, fresh or retained */
	struct delta *next; /* in the bucket; versions of one page newest first */
	uint64_t from, until;
	struct frame *frame; /* NULL: it is in `block` */
	uint64_t checksum;
	uint32_t page_no, block, generation; /* the checksum's */
	uint16_t object;
	bool merged;   /* the map refers to the block */
	bool unmapped; /* no longer: only this does */
	bool unmapping; /* ... as soon as the running checkpoint is done */
	bool retained, in_flight; /* in that list */
};

struct deltas {
	struct pool pool;
	struct delta **bucket;
	uint32_t shift;
	struct list unbatched; /* committed, no record is being written yet */
	struct list in_flight; /* in the record that is being written */
	struct list fresh;     /* durable, newest of their page when last looked at */
	struct list retained;  /* superseded or merged, kept for a snapshot or until durable */
	bool held;             /* some of those were not kept for want of durability when last swept */
	uint32_t *sorted;      /* pool indices, for a merge */
	uint64_t sort_steps;   /* that have been done */
};

#define SORT_STEPS 4096u /* at once: some ten microseconds */

/* Sorting `count` of deltas.sorted by page. */
struct delta_sort {
	uint32_t heaping;  /* half of count: so many are to be put into the heap; then ... */
	uint32_t unsorted; /* count: ... so many are still in it */
	uint32_t count;
};

struct delta *delta_find(struct store *s, uint32_t object, uint32_t page_no, uint64_t base,
	uint64_t generation);
/* NULL: none left. The caller links it into a list. */
struct delta *delta_new(struct store *s, uint32_t object, uint32_t page_no);
/* It becomes the same page of another object. */
void delta_move(struct store *s, struct delta *d, uint32_t object);
/* Takes it out of table and list; its block, unless merged, is deferred (or free at once). */
void delta_remove(struct store *s, struct delta *d, bool release_now);
/* A merge takes the page's version in this block out of the map. Snapshots of an older base may see it still. */
void delta_unmap(struct store *s, uint32_t object, uint32_t page_no, uint32_t block);
/* The same for all objects that may have had it. */
void delta_unmap_line(struct store *s, uint32_t line, uint32_t page_no, uint32_t block);
/* The same for all of the object's. */
void delta_unmap_all(struct store *s, uint32_t object);
/* The checkpoint that has taken them out is done; or (false) will not be, and the map still has them. */
void delta_unmap_end(struct store *s, bool done);
/* A committed version is superseded by `generation`. */
void delta_supersede(struct store *s, struct delta *d, uint64_t generation);
/* Versions of which nothing has been written yet and that by now nobody sees need no block: in a batch each page is
 * written once, however many of its commits have changed it. */
void delta_drop_unwritten(struct store *s);
/* Removes what nobody needs any more from the retained list. */
void delta_sweep(struct store *s);
/* The same, or a part of it, if this snapshot, which is in the list no more, may have been what needed it. */
void delta_reader_ended(struct store *s, const struct store_snapshot *snap);
/* Goes on for a while (SORT_STEPS); true when done. */
bool delta_sort_some(struct deltas *d, struct delta_sort *q);
uint32_t delta_free(const struct store *s);
uint32_t delta_used(const struct store *s);

/* --- map.c --- */

/* Where the snapshot's page lies. `frame` is set when it is (only) there. Parks. */
struct map_result {
	struct volume_entry entry;
	struct frame *frame;
	uint64_t from; /* the first generation that is sure to see this version */
};
err map_resolve(struct store *s, const struct store_snapshot *snap, uint32_t page_no,
	uint64_t generation, struct map_result *out);
/* The first page after page_no that may lie somewhere (or the size), when page_no is a hole or its map cannot be
 * had. Parks. */
uint64_t map_skip_hole(struct store *s, const struct store_snapshot *snap, uint32_t page_no);
/* It is one that pages, nodes and records may lie in. */
bool map_block_is_sane(const struct store *s, uint32_t block);
bool map_entry_is_sane(const struct store *s, const struct volume_entry *e);
uint32_t map_levels(uint32_t pages);
/* How many nodes a map of so many pages has at most. */
uint64_t map_nodes(uint32_t pages);

/* --- share.c --- */

/* A map on the device with its place in the table: of an object or of a named snapshot. */
struct version {
	struct volume_entry root; /* an object's: as the running merge has left it */
	uint64_t generation;      /* of a snapshot; GENERATION_NEVER for an object */
	uint64_t time, fork;
	uint32_t levels, pages;   /* pages: of a snapshot */
	uint32_t readers;         /* of a snapshot */
	uint16_t line;
	uint8_t parent;           /* of a snapshot; VERSION_NONE when that has been deleted */
	bool used, named;
	bool hidden;              /* is being made or deleted */
};

#define VERSION_NONE 0xffu

struct share_buffers {
	uint8_t *node[VOLUME_MAP_LEVELS_MAX + 1];
	uint32_t block[VOLUME_MAP_LEVELS_MAX + 1]; /* that is in it */
};

/* What a version's blocks are compared with. For the checkpoint fiber, and for opening. */
struct share_query {
	struct store *s;
	uint32_t self, count;
	uint8_t other[STORE_OBJECTS_MAX];
	bool hold; /* what a damaged map may refer to counts as shared */
};

struct share_set {
	uint64_t bits[VOLUME_MAP_FANOUT / 64];
};

/* `among`: a bit for each version that counts. */
void share_query_init(struct share_query *q, struct store *s, uint32_t self, uint32_t among);
/* Does another version have this entry at the same place? */
err share_has(const struct share_query *q, uint32_t level, uint32_t index, const struct volume_entry *e,
	bool *shared);
/* Which of the node's `wanted` children do. */
err share_children(const struct share_query *q, uint32_t level, uint32_t index,
	const struct volume_entry *child, const struct share_set *wanted, struct share_set *found);

/* Visits each block that the version `self` has alone, parents first. */
struct share_walk {
	struct share_query query;
	err (*visit)(struct share_walk *w, uint32_t level, uint32_t index,
		const struct volume_entry *e);
	void *cookie;
	bool damaged; /* what is below some node could not be visited */
};
err share_walk(struct share_walk *w);

/* --- object.c --- */

/* What the next checkpoint does to the table; slots, or VERSION_NONE. */
struct table_change {
	uint8_t add;      /* a snapshot of what its parent then is */
	uint8_t from, to; /* `to` gets the content of `from`, as a new generation */
	uint8_t remove;
};

struct admin {
	bool busy;      /* somebody changes the table; others wait in the queue */
	bool exclusive; /* no transaction can be begun */
	bool pending;   /* `change` is for the next checkpoint */
	struct fiber_queue queue;
	struct table_change change;
};

/* What a large transaction has written so far: docs/volume-format.md, "A large transaction". They park.
 * A new object with the content of `o`, as a new generation. ERR_NO_MEMORY: the table is full. */
err object_fork(struct store_object *o, struct store_object **branch);
/* `to` gets the branch's content, as a new generation, and the branch is gone; durable on return. Nobody may read
 * the branch any more. */
err object_join(struct store_object *branch, struct store_object *to);
/* The branch is gone, if there is one: of a transaction that ends so, or that a stop had ended. When that fails,
 * store.branch_left says so. */
err object_drop_branch(struct store *s);

/* The checkpoint fiber's part, before the merges: frees what only a map that goes has. */
err table_change_begin(struct store *s, const struct table_change *change, uint64_t generation);
/* After the merges: completes the superblock's table. */
void table_change_fill(struct store *s, const struct table_change *change, struct volume_superblock *b);
/* When that is durable. */
void table_change_done(struct store *s, const struct table_change *change,
	const struct volume_superblock *b);
/* It will not be. `was`: what the object `to` had been. */
void table_change_abandon(struct store *s, const struct table_change *change, const struct version *was);
/* From a superblock. False when it makes no sense. */
bool table_is_sane(const struct store *s, const struct volume_superblock *b);
void table_load(struct store *s, const struct volume_superblock *b);

/* --- merge.c, checkpoint.c --- */

struct store_truncation {
	uint64_t generation;
	uint32_t pages;
};

struct store_object {
	struct store *store;
	uint32_t id;
	uint16_t line;      /* what the checksums of its pages and nodes bind */
	bool used, changed; /* size changed since the last record */
	char name[VOLUME_NAME_SIZE]; /* also of a named snapshot in this place; `used` is false then */
	struct volume_entry root; /* of the base */
	uint32_t levels, base_pages;
	uint32_t pages;           /* newest */
	uint32_t record_low;      /* least size since the last record */
	uint32_t batch_pages, durable_pages;
	uint64_t changed_at;      /* newest generation that changed it */
	struct store_truncation truncation[TRUNCATIONS_MAX]; /* since the base */
	uint32_t truncations;
};

struct checkpoint {
	bool active; /* until it counts as done; `running` only until the new maps are the base */
	bool running, wanted, force;
	uint64_t target;
	uint64_t done_count;
	struct fiber_queue idle, done;
	uint32_t awaited; /* fibers in checkpoint_now */
	uint8_t *node[NODE_BUFFERS];
	struct volume_superblock *superblock;
	uint64_t sequence;
	uint32_t slot; /* holds the current checkpoint for sure */
	err result;
};

/* Merges the deltas up to `generation` into the object's map; gives the new root. Parks. */
err merge_object(struct store *s, struct store_object *o, uint64_t generation, uint32_t pages,
	uint32_t low, struct volume_entry *root, uint32_t *levels);
void checkpoint_fiber(void *store);
/* Has a checkpoint made and waits for it; all that is committed now will be in it. Parks. */
err checkpoint_now(struct store *s);
/* Has one made some time. */
void checkpoint_want(struct store *s);
/* Blocks that the next checkpoint may need; and a number that is no less and found at once. */
uint64_t checkpoint_reserve(const struct store *s);
uint64_t checkpoint_reserve_most(const struct store *s);
/* Truncations of the object since its base, up to `generation`. */
uint32_t object_low(const struct store_object *o, uint64_t generation);

/* --- journal.c --- */

/* Position in the chain of records: what the next one must be. */
struct chain {
	uint64_t record, link, generation;
	uint32_t block, after; /* after: where the one after that is; 0: not known */
	uint32_t headers;
};

struct journal {
	uint64_t record, link; /* of the next record */
	uint64_t life;
	uint64_t durable;      /* generation */
	/* Headers since the last checkpoint; the first is that checkpoint's record_block. The last `ahead` are
	 * reserved for the next records: HEADERS_AHEAD, or one less where an older writer had left one. */
	uint32_t header[RECORDS_MAX], header_count, ahead;
	bool rewind;   /* a checkpoint has freed blocks: take those again, see take_ahead */
	uint32_t room; /* blocks kept free behind the newest header, for its record's pages */
	/* The chain as of `durable`. */
	uint64_t durable_record, durable_link;
	struct chain found, found_end; /* what recovery replays */
	uint32_t durable_headers;
	bool writing;          /* a flush will come */
	bool busy, sealed; /* sealed: the last record says that all before it is durable */
	uint64_t durable_at_ns; /* when the last batch became so */
	uint64_t seal_at_ns;    /* seal: see write_seal */
	uint64_t header_promise; /* part of space.promised */
	struct list waiters;
	struct fiber_queue idle, progress; /* progress: a batch has become durable, or the store failed */
	struct volume_record *buffer[HEADER_BUFFERS];
};

void journal_fiber(void *store);
/* There is something to write. */
void journal_kick(struct store *s);
void journal_notify(struct store *s);

/* --- recovery.c --- */

/* Sets the blocks of the group that the chain names, while recovering. Parks. */
err recovery_chain_group(struct store *s, uint32_t group, uint64_t *out);
/* A copy of this volume's superblock that could be opened. */
bool recovery_slot_is_sound(struct store *s, struct volume_superblock *b);
err recovery_open(struct store *s, bool must_exist, struct store_info *info);

/* --- txn.c --- */

struct store_txn {
	struct store *store;
	struct store_object *target; /* what it changes */
	struct store_object *object; /* where it writes: the same, or (a large one) a branch of it */
	struct store_snapshot snapshot; /* of `object`, with all parts that are committed there */
	struct store_snapshot *companion; /* NULL, or the caller's own, of the same generation */
	struct list changes; /* deltas, of the part at hand */
	uint32_t pages, low, count, dirty; /* low, count and dirty: of the part at hand */
	uint64_t header_promise;
	bool open, resized;
	err failure; /* it can only be aborted */
};

/* Generations that were durable and cannot be read; record 0: none. */
struct store_loss {
	uint64_t record, from, to, seen; /* seen: the largest generation that a record names */
	uint32_t block;
};

struct store {
	struct store_config config;
	struct loop_client client;
	struct loop *loop;
	struct block_device *device;
	enum store_state state;
	bool opening; /* until all that recovery has found is in place, no checkpoint but its own is made */
	bool closing, kick, notify;
	uint64_t sectors; /* of the device, as last seen */
	struct io io;
	struct log_limit damage_log;
	uint32_t fibers; /* service fibers that run */
	char reason[192];
	uint8_t uuid[16];
	uint64_t nonce;
	uint32_t features_compatible; /* that this version does not know */
	uint64_t generation; /* newest */
	uint64_t base;       /* that the maps on the device show */
	struct store_loss loss; /* what recovery has missed */
	struct list snapshots;
	struct store_object object[STORE_OBJECTS_MAX];
	struct version version[STORE_OBJECTS_MAX];
	struct share_buffers share;
	struct admin admin;
	struct cache cache;
	struct deltas deltas;
	struct space space;
	struct discards discards;
	struct journal journal;
	struct checkpoint checkpoint;
	struct store_txn txn;
	bool branch_left; /* a large one's that could not be dropped: before the next transaction */
	uint32_t txn_pages_max;
	struct scratch scratch;
	struct pool requests;
	struct list deferred; /* requests that the device's queue had no room for */
	struct fiber_queue request_free, ended;
	struct store_stats stats;
};

#define STORE_BLOCKS_MAX (UINT32_MAX - 64)
/* Of VOLUME_BLOCK_SIZE. */
uint64_t store_device_blocks(const struct block_device *d);
/* Read-only from now on; everything that waits for durability fails. The failed request, if there is one, is
 * added to `what`. */
void store_fail(struct store *s, const char *what);
/* At most a few such lines in a second; false: leave this one out. */
bool store_may_log(struct store *s, struct log_limit *limit);
/* Waits in the queue; there is no deadline. */
void store_wait(struct store *s, struct fiber_queue *q);
/* Does a snapshot (or the running checkpoint) see the version from..until of something that is not in
 * its base? */
bool store_is_needed(const struct store *s, uint32_t object, uint64_t from, uint64_t until);
/* A copy of the snapshot with that. */
bool store_reader_of(const struct store *s, uint64_t from, struct store_snapshot *out);
/* The least space_sequence, of at least `from`, among the snapshots; GENERATION_NEVER without any. */
uint64_t store_oldest_base(const struct store *s, uint64_t from);
void snapshot_fill(struct store_object *o, struct store_snapshot *snap);

static inline struct frame **cache_bucket(struct store *s, uint32_t object, uint32_t page_no)
{
	uint64_t key = (uint64_t)object << 32 | page_no;
	return &s->cache.bucket[key * 0x9e3779b97f4a7c15u >> s->cache.shift];
}

static inline struct frame *cache_find(struct store *s, uint32_t object, uint32_t page_no,
	uint64_t generation)
{
	for (struct frame *f = *cache_bucket(s, object, page_no); f; f = f->next)
		if (f->page_no == page_no && f->object == object && f->from <= generation &&
			generation < f->until)
			return f;
	return NULL;
}

#define store_log(s, level, ...)                                                                   \
	do {                                                                                       \
		if ((s)->config.log)                                                               \
			log_write((s)->config.log, level, "store", __VA_ARGS__);                   \
	} while (0)

#endif
