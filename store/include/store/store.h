/* The page store: named spaces of 4096-byte pages (objects) on a block device, with snapshots, one
 * writer at a time, atomic commit and checksums. docs/volume-format.md says what lies on the device.
 *
 * Rules for using it
 * 1. Everything runs on one event loop. A call that is said to park must be made on a fiber; during
 *    it other fibers run. All others may be made from anywhere on the loop.
 * 2. A commit is visible to new snapshots at once and durable later: an effect that must not be
 *    taken back (a response) waits for the generation (store_wait_durable, store_waiter_add).
 * 3. After a failed flush, a write that has failed several times, or a device that has not answered for a
 *    minute, the store refuses to write for good (STORE_READ_ONLY). Snapshots that begin after that see the
 *    newest durable generation; what was committed in memory but never became durable is only seen by those
 *    that were open. A read that fails is tried again a few times and then fails alone. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <base/random.h>
#include <core/log.h>
#include <core/loop.h>
#include <platform/block.h>

#define STORE_PAGE_SIZE 4096u
#define STORE_OBJECT_NAME_MAX 31 /* bytes */
#define STORE_OBJECTS_MAX 32
#define STORE_CACHE_PAGES_MIN 32u

struct store;
struct store_object;
struct store_txn;

/* What the volume has under a name. Names are 1 to STORE_OBJECT_NAME_MAX bytes without control
 * characters; objects and named snapshots have name spaces of their own. */
struct store_object_info {
	char name[STORE_OBJECT_NAME_MAX + 1];
	uint32_t pages; /* newest */
};

struct store_named_info {
	char name[STORE_OBJECT_NAME_MAX + 1];
	char object[STORE_OBJECT_NAME_MAX + 1]; /* of which; "" when it has been deleted since */
	uint64_t generation;
	uint64_t time; /* seconds since 1970, as store_named_create was told */
	uint32_t pages;
};

struct store_config {
	struct loop *loop;
	struct block_device *device; /* nobody else may use it while the store is open */
	struct log *log;             /* may be NULL */
	struct random *random;       /* seeded */
	uint8_t *memory;             /* aligned to 4096, DMA-able, store_memory_size() bytes */
	size_t memory_len;
	uint32_t cache_pages; /* at least STORE_CACHE_PAGES_MIN */
	/* Pages that one transaction may change before it counts as large (see store_txn_begin), and about how many
	 * changes lie between two checkpoints. 0: 4 for each cache page, at least 256. About 200 bytes of memory for
	 * each. */
	uint32_t txn_pages_max;
	/* Refuse to format a blank volume: ERR_NOT_FOUND instead. */
	bool must_exist;
	/* Open a volume of which durable generations cannot be read any more at the last one that can be, for
	 * good, instead of refusing it with ERR_CORRUPT (`ingot db repair`). */
	bool accept_loss;
	/* Make the space map anew, from the objects' maps, and both copies of the superblock with it. */
	bool rebuild_space;
};

struct store_info {
	uint8_t uuid[16];
	uint32_t version, features_compatible, features_incompatible; /* of the format */
	bool formatted;        /* the volume was blank and has been formatted */
	uint64_t generation;   /* newest */
	uint64_t blocks;       /* usable, of 4096 bytes */
	uint64_t blocks_free;
	uint32_t records_replayed; /* after an unclean stop */
	/* Generations that had been durable and cannot be read any more, both included; 0: none. Set also when
	 * store_open has refused the volume for it; then at least these. */
	uint64_t lost_from, lost_to;
};

enum store_state {
	STORE_OPEN,
	STORE_READ_ONLY, /* store_reason() says why */
	STORE_CLOSED,
};

/* Counters, from store_open on. */
struct store_stats {
	uint64_t commits;        /* generations formed */
	uint64_t records;        /* of batches; each batch has cost one flush */
	uint64_t seals;          /* empty records, written when idle, without a flush */
	uint64_t checkpoints;    /* each needs two flushes: those of commits, if any come */
	uint64_t flushes, reads, writes; /* requests to the device */
	uint64_t bytes_read, bytes_written;
	uint64_t page_hits, page_misses, page_evictions;
	uint64_t pages_written;  /* of objects; the rest of bytes_written is headers and map */
	uint64_t pages_spilled;  /* of pages_written: before their commit */
	uint64_t txns_large;     /* that have changed more than txn_pages_max pages; each of their parts is in `commits` */
	uint64_t pages_merged;   /* not written, because superseded within a batch */
	uint64_t corrupt_pages;  /* reads refused because of a checksum */
	uint64_t io_retries, io_errors; /* requests tried again; failed for good */
	uint64_t no_space, no_memory; /* calls that failed so */
	uint64_t scratch_writes; /* pages; not among pages_written */
	uint64_t discards, discards_failed, blocks_discarded; /* discards: requests */
	uint64_t blocks, blocks_free, blocks_waiting; /* waiting: free after a checkpoint or a snapshot's end */
};

enum store_damage_kind {
	STORE_DAMAGE_PAGE, /* its content is not what was written */
	STORE_DAMAGE_MAP,  /* the map node that says where these pages lie is damaged */
};

struct store_damage {
	enum store_damage_kind kind;
	const char *object, *snapshot; /* a named snapshot of it; NULL: its newest generation */
	uint32_t page, pages; /* the first, and how many */
	uint32_t block;       /* of a page */
	err reason;           /* ERR_CORRUPT: a checksum; ERR_IO: the device */
};

/* Both functions may be NULL; they must not park. */
struct store_check_job {
	bool map_only; /* do not read the pages */
	bool space;    /* compare the space map with what the maps refer to */
	void (*damage)(void *context, const struct store_damage *);
	void (*progress)(void *context, uint64_t done, uint64_t all); /* pages */
	void *context;
};

struct store_check_result {
	uint64_t pages;   /* that lie somewhere; those that several versions share count once */
	uint64_t damaged; /* pages that cannot be had */
	/* Blocks: shown as used that nothing refers to; used, but shown as free; used for two things. */
	uint64_t leaked, missing, twice;
	/* Of what there is twice, or can be made anew (config->rebuild_space): a copy of the superblock (in block 0 or 8)
	 * or some of the space map does not match its checksum. With job->space. */
	bool slot_damaged[2], space_damaged;
};

/* Where a page lies on the device. Two that are equal have the same content. */
struct store_page_place {
	uint32_t block;      /* 0: nowhere, it reads as zero; UINT32_MAX: not written yet */
	uint32_t generation; /* low bits of the one that wrote it */
	uint64_t checksum;
};

/* A page in the cache, pinned for whoever got it; read only. */
struct store_page {
	const uint8_t *data; /* STORE_PAGE_SIZE bytes, aligned to 4096 */
};

/* A reader's view: one generation of one object. The structure is the caller's; it must not move. */
struct store_snapshot {
	struct list link;
	struct store_object *object;
	uint64_t generation;
	uint64_t base_generation; /* private, as are the following */
	uint64_t root_checksum;
	uint32_t root_block, root_generation;
	uint32_t pages, base_pages;
	uint16_t object_id, line;
	uint8_t levels, space_levels;
	uint8_t named; /* slot + 1 of a named snapshot */
	uint32_t space_block, space_generation; /* root of the base's space map */
	uint64_t space_checksum;
	uint64_t space_sequence; /* which base it is: two may have the same generation */
};

/* A page that need not survive; the structure is the caller's, {0} at first: a page of zeros. Once written it stays
 * where it is until it is freed. */
struct store_scratch_page {
	uint64_t checksum;
	uint32_t block;
};

/* Told when a generation has become durable (OK) or never will (ERR_IO). The structure is the
 * caller's, from add until `done` or remove. */
struct store_waiter {
	struct list link;
	uint64_t generation;
	void (*done)(struct store_waiter *, err result); /* on the loop; may add and remove waiters */
};

API_BEGIN

/* Bytes of memory for config's cache_pages and txn_pages_max: about 4210 for a cache page, the map delta (see
 * txn_pages_max), and about 160 KiB; the size of the volume does not matter. It takes two fibers of the loop for
 * good. */
size_t store_memory_size(const struct store_config *config);
/* Opens, recovers or (blank) formats the volume. Parks. The store lies in config->memory. Errors:
 *   ERR_FOREIGN      holds something else; untouched
 *   ERR_UNSUPPORTED  made by a newer version, or has an unknown incompatible feature; untouched
 *   ERR_NO_SPACE     the device is too small
 *   ERR_TOO_LARGE    the device is larger than 16 TiB
 *   ERR_CORRUPT      ours, but damaged; untouched. See store_info.lost_from and config->accept_loss
 *   ERR_NO_MEMORY    memory_len too small; or the device is read-only (or its map damaged) and the
 *                    journal, which then must stay in memory, needs a larger txn_pages_max
 *   ERR_NOT_FOUND    blank, and config->must_exist
 *   ERR_INVALID      nonsense in config, a device with an unusable sector size
 *   ERR_IO           the device fails
 * Each writes a line to the log that says what to do. */
MUST_USE err store_open(const struct store_config *config, struct store **store,
	struct store_info *info);
/* Waits until all is durable, checkpoints, and lets go of the device. No snapshot or transaction may be
 * open (asserted). ERR_IO when something committed could not be made durable. Parks. The store's memory
 * is the caller's again; but not after ERR_TIMEOUT: then the device has not answered, and still has some of it. */
MUST_USE err store_close(struct store *store);
enum store_state store_state(const struct store *store);
/* Why the store is read-only, and which request failed where; valid while it is open, "" when it is not. */
const char *store_reason(const struct store *store);
void store_stats(const struct store *store, struct store_stats *out);
/* Reads everything and verifies each checksum and the map; logs each damage. ERR_CORRUPT when there is
 * any; `damaged` (may be NULL) counts the pages and map nodes. Parks; others go on meanwhile. */
MUST_USE err store_check(struct store *store, uint64_t *damaged);
/* The same, told in detail. ERR_IO of the device is counted as damage too, and so are `missing` and `twice`, and
 * what of the superblocks and the space map is damaged. */
MUST_USE err store_check_all(struct store *store, const struct store_check_job *job,
	struct store_check_result *result);
/* Writes a checkpoint now, so that the next open has nothing to replay. Parks. ERR_NO_SPACE: there is no room for
 * one; commits that still find space go on, and a later one may find room. ERR_IO. */
MUST_USE err store_checkpoint(struct store *store);

/* The object called `name` (1 to STORE_OBJECT_NAME_MAX bytes; "main" is the database). Creating one
 * is durable on return. Parks only when it creates. ERR_NOT_FOUND, ERR_INVALID, ERR_NO_SPACE (32
 * objects and named snapshots), ERR_BUSY (a transaction is open). The object lives as long as the store,
 * or until it is deleted. */
MUST_USE err store_object_open(struct store *store, const char *name, bool create,
	struct store_object **object);
/* Each object in turn; start with *cursor = 0. False after the last. */
bool store_object_next(const struct store *store, uint32_t *cursor, struct store_object_info *out);
/* The object is gone (of the same generation), and its pages are free but for what snapshots need; those stay.
 * Durable on return; a power cut leaves all or nothing. Parks. ERR_NOT_FOUND, ERR_IO, ERR_BUSY (a
 * transaction is open, or a reader of this object). Its struct store_object must not be used any more. */
MUST_USE err store_object_delete(struct store *store, const char *name);
/* `object` gets the content of the object called `from`, as a new generation, and that one is gone: one
 * step, whatever their sizes, so that much can be prepared in many transactions and shown at once.
 * Otherwise as store_object_delete (whose ERR_BUSY holds for `from`); ERR_INVALID: the two are one. */
MUST_USE err store_object_replace(struct store_object *object, const char *from);
/* The newest generation of the store, whatever object it changed. */
uint64_t store_generation(const struct store *store);

/* Begins to read the object's newest generation. Cheap, does not park. Old versions of pages stay on the
 * volume as long as a snapshot needs them, so end it. */
void store_snapshot_begin(struct store_object *object, struct store_snapshot *snapshot);
/* The same with the newest generation that is durable: what is read in it may be told at once. */
void store_snapshot_begin_durable(struct store_object *object, struct store_snapshot *snapshot);
void store_snapshot_end(struct store_snapshot *snapshot);
/* True while no newer generation has changed this object (in a read-only store always). */
bool store_snapshot_is_newest(const struct store_snapshot *snapshot);

/* Lends page `page_no` (0 to pages - 1; ERR_INVALID beyond) until store_page_put. A page that was never
 * written is zero. Parks on a miss; misses of the same page share one read. ERR_CORRUPT (logged with
 * object and page), ERR_IO, ERR_NO_MEMORY (every cache page is lent). */
MUST_USE err store_page_get(struct store_snapshot *snapshot, uint32_t page_no,
	struct store_page **page);
void store_page_put(struct store_page *page);
/* Where the page lies, without reading it. Parks. ERR_CORRUPT: the map there is damaged; ERR_INVALID beyond the end. */
MUST_USE err store_page_locate(struct store_snapshot *snapshot, uint32_t page_no,
	struct store_page_place *place);
/* Lends it only if it is in the cache; NULL otherwise. Never parks. */
struct store_page *store_page_peek(struct store_snapshot *snapshot, uint32_t page_no);

/* Named snapshots: what an object was at one generation, kept on the volume under a name until deleted.
 * It shares all blocks with the object that have not changed since; the rest is what it costs. */

/* Keeps the object as it is committed now (or a little later). Durable on return, as is all that it shows.
 * Parks for a checkpoint; others go on, also a transaction, which is not in it. `time`: seconds since 1970,
 * only kept. ERR_INVALID (name), ERR_DENIED (it is taken), ERR_NO_SPACE (32 objects and named snapshots, or no room
 * for the checkpoint), ERR_IO. */
MUST_USE err store_named_create(struct store_object *object, const char *name, uint64_t time);
/* Each in turn; start with *cursor = 0. False after the last. */
bool store_named_next(const struct store *store, uint32_t *cursor, struct store_named_info *out);
/* What only it referred to becomes free. Durable on return; a power cut leaves it whole or gone. Parks.
 * ERR_NOT_FOUND, ERR_BUSY (a reader is open on it), ERR_IO. */
MUST_USE err store_named_delete(struct store *store, const char *name);
/* The object gets the snapshot's content, as a new generation; durable on return, and a power cut leaves the
 * one or the other. The snapshot stays, as do newer ones. `object` may be another than the snapshot's: then
 * both share its blocks from now on. Readers keep what they see. Whoever has derived something from newer
 * content must forget that: SQLite's connections cannot tell (their counters go back), so restore a database
 * before it is opened. Parks. ERR_NOT_FOUND, ERR_BUSY (a transaction is open; while it runs, none can be
 * begun), ERR_IO. */
MUST_USE err store_named_restore(struct store_object *object, const char *name);
/* Begins to read it: like store_snapshot_begin in all, but it holds back nothing else. ERR_NOT_FOUND.
 * Works on a store that is read-only as well. */
MUST_USE err store_named_begin(struct store *store, const char *name,
	struct store_snapshot *snapshot);

/* The one writer. It may change as many pages as the volume has room for. When they are more than txn_pages_max it is
 * large: from then on it works in a hidden copy of the object (which shares all that is the same, and takes a place
 * in the table of 32 objects and named snapshots), so the generation goes on while it runs though nobody sees a
 * difference; its commit and its end without one need checkpoints, and park. ERR_BUSY while another transaction is open (or an object is being replaced, deleted or
 * restored), ERR_NOT_FOUND when the object has been deleted, ERR_IO when read-only. May park for a
 * checkpoint. */
MUST_USE err store_txn_begin(struct store_object *object, struct store_txn **txn);
/* The same for somebody who reads in a snapshot as well, which nobody else may use until the transaction's end. When
 * it is of the newest generation, the transaction may move it on to a newer map (it sees the same), so that it does
 * not hold back the space that the transaction needs. */
MUST_USE err store_txn_begin_from(struct store_object *object, struct store_snapshot *snapshot,
	struct store_txn **txn);
/* Page `page_no` gets this content (copied); the object grows to hold it. After a failure (ERR_NO_SPACE, ERR_IO,
 * ERR_NO_MEMORY: the table has no place for a large one, or readers of old generations hold all that there is) the
 * transaction can only be aborted. Parks when the cache is full of changes, which then spill to the device, and when
 * it becomes large or a part of it is complete. */
MUST_USE err store_txn_write(struct store_txn *txn, uint32_t page_no, const void *page);
/* Copies the page as the transaction sees it into `page`. Parks on a miss. */
MUST_USE err store_txn_read(struct store_txn *txn, uint32_t page_no, void *page);
/* The object gets this size; pages beyond are gone, pages that are new are zero. */
MUST_USE err store_txn_truncate(struct store_txn *txn, uint32_t pages);
uint32_t store_txn_pages(const struct store_txn *txn);
/* Forms the next generation and returns at once, without parking; a transaction that has changed nothing
 * gives the newest generation. That of a large one parks, and is durable when it returns. The transaction ends
 * either way: on failure it is aborted. */
MUST_USE err store_txn_commit(struct store_txn *txn, uint64_t *generation);
/* Nothing of it ever happened. That of a large one parks. */
void store_txn_abort(struct store_txn *txn);

/* Pages on free blocks of the volume, for what memory cannot hold: writing takes a block at first and overwrites it
 * later, freeing gives it back. After a stop all are gone. One user at a time for each page. They park. What is written
 * goes to the device later; that this fails is told to whoever writes then, and nothing is lost as long as it stays in
 * memory.
 * ERR_NO_SPACE (they take no more than half of what is free), ERR_NO_MEMORY (every cache page is lent),
 * ERR_CORRUPT, ERR_IO. */
MUST_USE err store_scratch_write(struct store *store, struct store_scratch_page *p, const void *page);
MUST_USE err store_scratch_read(struct store *store, const struct store_scratch_page *p, void *page);
void store_scratch_free(struct store *store, struct store_scratch_page *p);
/* The store that the object is in. */
struct store *store_object_store(const struct store_object *object);

/* Everything up to this generation survives a power cut. */
uint64_t store_durable_generation(const struct store *store);
/* Parks until `generation` is durable, or returns ERR_IO when it never will be. */
MUST_USE err store_wait_durable(struct store *store, uint64_t generation);
/* Calls waiter->done once; never inside this call: when the generation already is durable (or the store
 * has failed), at the loop's next round. */
void store_waiter_add(struct store *store, struct store_waiter *waiter);
void store_waiter_remove(struct store_waiter *waiter);

API_END

static inline const uint8_t *store_page_data(const struct store_page *page)
{
	return page->data;
}

static inline uint32_t store_snapshot_pages(const struct store_snapshot *snapshot)
{
	return snapshot->pages;
}

#endif
