/* The store's insides. Who does what:
 *
 *   store.c       open, close, state, snapshots, counters
 *   object.c      objects and named snapshots: their table, and what changes it
 *   recovery.c    superblocks, format, following the chain of records
 *   txn.c         the writer: changes, spilling, commit
 *   journal.c     the fiber that writes batches of commits and flushes; durability
 *   checkpoint.c  the fiber that merges the delta into the maps and moves the superblock
 *   merge.c       one object's merge
 *   share.c       which blocks several versions have in common
 *   delta.c       the map entries that are newer than the maps on the device
 *   cache.c       frames: pages of objects, and map nodes
 *   map.c         page number -> block, through delta and map
 *   space.c       which blocks are used, and when they become free
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
	bool slow, hung;    /* it has been said that the device does not answer; it counts as dead */
	char failure[96];   /* the first write or flush that failed, in words; "" */
	uint64_t log_at_ns; /* not before that, the next line about a failed read */
};

/* A block device's cache may have thrown away what a failed flush was for, and reports the next one as done: so
 * a flush is never tried again. Reads and writes are, up to so many times in all. */
#define IO_TRIES 4u
#define IO_SLOW_NS 10000000000u
#define IO_HUNG_NS 60000000000u
#define LOG_EVERY_NS 1000000000u

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
void io_init(struct store *s);

/* --- space.c --- */

enum space_set {
	SPACE_USED,    /* not free; the blocks of the other sets are used as well */
	SPACE_NEW,     /* superseded since the last checkpoint began */
	SPACE_MERGING, /* no longer needed once the running checkpoint is durable */
	SPACE_WAITING, /* free when no snapshot is older than waiting_for */
	SPACE_YOUNG,   /* taken since the checkpoint of generation young_since was done */
	SPACE_SETS,
	/* While recovery merges, when nothing waits yet: map nodes that it wrote itself. */
	SPACE_REBUILT = SPACE_WAITING
};

struct space {
	uint64_t *bits[SPACE_SETS];
	uint32_t count[SPACE_SETS];
	uint32_t blocks, words, cursor;
	uint64_t promised;    /* to open and unwritten transactions */
	uint64_t waiting_for; /* generation of the checkpoint that freed the waiting set */
	uint64_t young_since;
	uint32_t held;        /* of NEW: what the last checkpoint could not free */
	bool rebuilding;      /* recovery merges: SPACE_REBUILT is in use */
};

/* False when it was used already, or lies outside. */
bool space_mark(struct space *sp, uint32_t block);
/* The first free block from the cursor on; 0 when there is none. */
uint32_t space_take(struct space *sp);
/* Puts the cursor to `block` (any number). */
void space_go(struct space *sp, uint64_t block);
/* Moves the cursor to the next run of free blocks that holds `blocks`, if there is one near. */
void space_seek(struct space *sp, uint32_t blocks);
/* A block that nothing durable has ever referred to is free at once. */
void space_release(struct space *sp, uint32_t block);
void space_defer(struct space *sp, enum space_set set, uint32_t block);
/* A map node has been written, and one is superseded by a merge. Recovery may merge several times before
 * its superblock: a node of its own is free at once, since nothing durable has ever referred to it. So all
 * of its merges together take no more blocks than one would. */
void space_node_written(struct space *sp, uint32_t block);
void space_node_superseded(struct space *sp, uint32_t block);
void space_rebuild_done(struct space *sp);
void space_checkpoint_begin(struct space *sp);
void space_checkpoint_done(struct store *s, uint64_t generation);
/* Frees the waiting set when no snapshot that is older than waiting_for is left. */
void space_collect(struct store *s);
uint64_t space_free(const struct space *sp);
/* What a transaction may still be promised. */
uint64_t space_available(const struct store *s);
void space_check_pressure(struct store *s);

/* --- cache.c --- */

enum frame_state {
	FRAME_FREE,
	FRAME_LOADING,
	FRAME_FAILED,  /* load failed; out of the table; freed by the last put */
	FRAME_CLEAN,
	FRAME_DIRTY,   /* `delta` refers to it; not on the device */
	FRAME_WRITING, /* on its way */
};

struct frame {
	struct store_page page; /* first */
	uint64_t from, until;
	struct frame *next; /* in the bucket */
	struct store *store;
	struct delta *delta;
	uint32_t page_no;
	uint16_t object;
	uint8_t state;
	bool referenced, hashed;
	uint32_t pins;
	err result; /* of a failed load */
	struct fiber_queue waiting;
};

struct cache {
	struct frame *frame;
	struct frame **bucket;
	uint32_t count, hand, shift, dirty, writing; /* dirty: DIRTY or WRITING */
	struct fiber_queue starved; /* fibers that want a frame */
};

void cache_init(struct store *s, struct frame *frames, struct frame **buckets, uint32_t shift,
	uint8_t *pages, uint32_t count);
/* A free frame, pinned once and not in the table. Parks while others are being written. */
err cache_take(struct store *s, struct frame **frame);
void cache_insert(struct store *s, struct frame *f, uint32_t object, uint32_t page_no,
	uint64_t from, uint64_t until);
struct frame *cache_find(struct store *s, uint32_t object, uint32_t page_no, uint64_t generation);
struct frame *cache_find_txn(struct store *s, uint32_t object, uint32_t page_no);
/* Out of the table; freed now or when it is no longer lent. */
void cache_drop(struct store *s, struct frame *f);
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
	uint32_t *sorted;      /* pool indices, for a merge */
};

struct delta *delta_find(struct store *s, uint32_t object, uint32_t page_no, uint64_t base,
	uint64_t generation);
/* NULL: none left. The caller links it into a list. */
struct delta *delta_new(struct store *s, uint32_t object, uint32_t page_no);
/* Takes it out of table and list; its block, unless merged, is deferred (or free at once). */
void delta_remove(struct store *s, struct delta *d, bool release_now);
/* A committed version is superseded by `generation`. */
void delta_supersede(struct store *s, struct delta *d, uint64_t generation);
/* Removes what nobody needs any more from the retained list. */
void delta_sweep(struct store *s);
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
	err (*visit)(struct share_walk *w, uint32_t level, const struct volume_entry *e);
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

/* The checkpoint fiber's part, before the merges: frees what only a map that goes has. */
err table_change_begin(struct store *s, const struct table_change *change, uint64_t generation);
/* After the merges: completes the superblock's table. */
void table_change_fill(struct store *s, const struct table_change *change, struct volume_superblock *b);
/* When that is durable. */
void table_change_done(struct store *s, const struct table_change *change,
	const struct volume_superblock *b);
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
/* Blocks that the next checkpoint may need. */
uint64_t checkpoint_reserve(const struct store *s);
/* Truncations of the object since its base, up to `generation`. */
uint32_t object_low(const struct store_object *o, uint64_t generation);

/* --- journal.c --- */

struct journal {
	uint64_t record, link; /* of the next record */
	uint64_t life;
	uint64_t durable;      /* generation */
	/* Headers since the last checkpoint; the first is that checkpoint's record_block. The last `ahead` are
	 * reserved for the next records: HEADERS_AHEAD, or one less where an older writer had left one. */
	uint32_t header[RECORDS_MAX], header_count, ahead;
	/* The chain as of `durable`. */
	uint64_t durable_record, durable_link;
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

err recovery_open(struct store *s, bool must_exist, struct store_info *info);

/* --- txn.c --- */

struct store_txn {
	struct store *store;
	struct store_object *object;
	struct store_snapshot snapshot;
	struct list changes; /* deltas */
	uint32_t pages, low, count, dirty;
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
	bool closing, kick, notify;
	struct io io;
	uint64_t damage_log_at_ns;
	uint32_t fibers; /* service fibers that run */
	char reason[192];
	uint8_t uuid[16];
	uint64_t nonce;
	uint32_t features_compatible;
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
	struct journal journal;
	struct checkpoint checkpoint;
	struct store_txn txn;
	uint32_t txn_pages_max;
	uint64_t scratch_blocks; /* in use */
	struct pool requests;
	struct list deferred; /* requests that the device's queue had no room for */
	struct fiber_queue request_free, ended;
	struct store_stats stats;
};

/* Read-only from now on; everything that waits for durability fails. The failed request, if there is one, is
 * added to `what`. */
void store_fail(struct store *s, const char *what);
/* At most one such line in a while; false: leave this one out. */
bool store_may_log(struct store *s, uint64_t *at_ns);
/* Waits in the queue; there is no deadline. */
void store_wait(struct store *s, struct fiber_queue *q);
/* Does a snapshot (or the running checkpoint) see the version from..until of something that is not in
 * its base? */
bool store_is_needed(const struct store *s, uint32_t object, uint64_t from, uint64_t until);
/* The least base generation, of at least `from`, among the snapshots; GENERATION_NEVER without any. */
uint64_t store_oldest_base(const struct store *s, uint64_t from);
void snapshot_fill(struct store_object *o, struct store_snapshot *snap);

#define store_log(s, level, ...)                                                                   \
	do {                                                                                       \
		if ((s)->config.log)                                                               \
			log_write((s)->config.log, level, "store", __VA_ARGS__);                   \
	} while (0)

#endif
