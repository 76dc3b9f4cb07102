/* Everything that SQL stands on, in one process: a clock that only moves when asked, a disk in memory that
 * completes requests at the loop's next round and loses unflushed writes in a power cut, the loop, the store. */
#ifndef SQL_SUPPORT_WORLD_H
#define SQL_SUPPORT_WORLD_H

#include <sql/sql.h>

#define WORLD_FIBERS 16

struct world;

struct world_start {
	struct world *w;
	void (*run)(struct world *); /* NULL: free */
};

struct world {
	struct platform platform;
	uint64_t now_ns;
	struct block_device device; /* the disk */
	struct loop_client disk_client;
	struct list requests;
	/* As the disk would read, and as of the last flush; a test without power cuts may free the latter. */
	uint8_t *image, *stable;
	size_t image_len;
	uint64_t seed; /* of what a power cut keeps */
	uint64_t flushes;
	bool hold_flushes; /* none completes meanwhile */
	/* Writes, and reads, until the disk fails; UINT64_MAX: never. */
	uint64_t fail_writes_after, fail_reads_after;

	struct loop loop;
	struct log log;
	struct random random;
	void *loop_memory;
	uint8_t *store_memory, *sql_memory;
	struct store *store;
	struct sql *sql;
	bool quiet;
	/* What the next world_open uses. */
	struct sql_config sql_config;
	uint32_t cache_pages, txn_pages_max;
	uint32_t running; /* fibers that have not ended */
	struct world_start start[WORLD_FIBERS];
	void *context; /* the test's */
	/* Before the disk performs a request; may be NULL. */
	void (*on_request)(struct world *w, const struct block_request *r);
};

/* A blank disk of `disk_len` bytes. */
struct world *world_new(size_t disk_len);
void world_free(struct world *w);
/* Opens the store, then the database; closes them. Must be on a fiber. */
MUST_USE err world_open(struct world *w);
/* The store only, into w->store. */
MUST_USE err world_open_store(struct world *w);
void world_close(struct world *w);
/* Runs `run` on a fiber; with several, all of them, until they have ended. */
void world_run(struct world *w, void (*run)(struct world *));
void world_spawn(struct world *w, void (*run)(struct world *));
/* The power fails: nothing is closed, unflushed sectors are kept or lost at random; then a new boot. */
void world_power_cut(struct world *w);
/* Blocks that are free once everything is checkpointed and nobody reads. On a fiber. */
uint64_t world_settled_free(struct world *w);

#endif
