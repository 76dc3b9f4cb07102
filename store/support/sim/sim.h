/* The store under simulation: random lives and exhaustive small ones, power cuts, failing devices and lying
 * ones, held against a model that knows nothing of the store. One seed is one run, the same in every
 * build; what fails says so, prints how to replay it, and ends the process. */
#ifndef STORE_SUPPORT_SIM_SIM_H
#define STORE_SUPPORT_SIM_SIM_H

#include <abi/volume.h>

#include "../rig.h"
#include "memory.h"

#define OBJECTS 3u
#define PAGES_MAX 220u
#define GENERATIONS_MAX 40000u
#define READERS_MAX 4u
#define DEPTH_MAX 4u /* power cuts one in the recovery from another */

enum fault {
	FAULT_FULL = 1,      /* volumes that have hardly room for what is written */
	FAULT_GROW = 2,      /* the device becomes larger, while it runs and between lives; and smaller again */
	FAULT_LATENCY = 4,   /* slow and fast operations, at random */
	FAULT_ERROR = 8,     /* reads, writes and flushes fail, for a while or for good */
	FAULT_MEMORY = 16,   /* the store's pools and frames run out */
	FAULT_ROT = 32,
	FAULT_PHANTOM = 64,  /* writes that were never done */
	FAULT_MISDIRECT = 128,
	FAULT_STALE = 256,   /* reads of what was there before */
	FAULT_LIES = 32 | 64 | 128 | 256,
	FAULTS_DRAWN = 1 << 30, /* from the seed */
};

struct run;

struct options {
	uint64_t seed;
	uint32_t steps;  /* of each life; 0: from the seed */
	uint32_t faults; /* that happen, or FAULTS_DRAWN */
	uint32_t bound;  /* exhaustive: outcomes that are looked at of one cut */
	bool verbose, trace;
	const char *sabotage;
	void (*run)(struct run *r); /* of these kinds */
};

/* What the parent learns of a run. */
struct verdict {
	bool finished;
	uint64_t hash, points, commits, large, excused, counted;
	const char *what; /* static */
};

/* --- model.c: what each generation is --- */

struct content {
	uint32_t pages;
	uint64_t id[PAGES_MAX]; /* of every stride'th page; 0: zero, or behind the end */
};

/* An object was made or deleted, which takes no generation of its own. */
struct model_change {
	const struct content *content; /* from then on: model_absent, or nothing yet */
	uint32_t object;
	uint64_t generation, from, at; /* events; at: UINT64_MAX, it has not returned */
};

#define CHANGES_MAX 1000u /* of one life */

struct model {
	/* By generation, which one is never changed; of those that were given to readers: as the commit left them, and
	 * as they were when the next came. */
	const struct content *formed[OBJECTS][GENERATIONS_MAX], *at[OBJECTS][GENERATIONS_MAX];
	uint64_t newest;
	struct model_change change[CHANGES_MAX]; /* in this life */
	uint32_t change_count;
};

extern const struct content model_absent; /* of an object that is not there */

void model_init(struct model *m);
/* The next generation: as the newest, but for this object. */
void model_commit(struct model *m, uint32_t object, const struct content *content);
const struct content *model_at(const struct model *m, uint32_t object, uint64_t generation);
/* The same, and that object is gone with it. */
void model_replace(struct model *m, uint32_t object, uint32_t from);
/* The object is being made or deleted; then it has been, or has not. */
void model_change(struct model *m, uint32_t object, const struct content *content, uint64_t event);
void model_change_done(struct model *m, uint64_t event);
void model_change_undo(struct model *m);
/* What the object may be in the generation after a power cut before that event (UINT64_MAX: whenever it was), if it
 * is there or is not, with so many pages. NULL: that cannot be. */
const struct content *model_find(const struct model *m, uint32_t object, uint64_t generation, uint64_t event,
	bool there, uint32_t pages);
/* A life begins with the newest generation: these contents, which model_find has given; NULL: as it was last. */
void model_wake(struct model *m, const struct content *const found[OBJECTS]);
/* The generation is the newest now; the later ones never were. */
void model_return_to(struct model *m, uint64_t generation);
/* The store has gone on to this generation without changing anything. */
void model_pass(struct model *m, uint64_t generation);

/* A snapshot with a name, and the events between which it was made and deleted. */
struct named {
	const struct content *content;
	uint32_t object;
	uint64_t made_from, made_at, gone_from, gone_at; /* UINT64_MAX: not yet */
};

#define NAMED_MAX 300u

/* --- run.c --- */

struct plan {
	uint64_t blocks;      /* of the device at first */
	uint64_t blocks_most; /* that it can have */
	uint32_t sector, buffers, cache_pages, txn_pages, objects, readers;
	uint32_t discard; /* 0: the device cannot; else one more than what is there afterwards, enum sim_discard */
	uint32_t pages, stride; /* that may hold something: 0, stride, 2 * stride, ... */
	uint32_t checkpoint_in, wait_in, truncate_in, large_in, named_in, delete_in, abort_in; /* one in so many */
	bool gentle; /* no large transactions, no checkpoints asked for */
};

struct reader {
	struct run *run;
	uint64_t random;
};

/* A machine with its disk. */
struct life {
	struct rig rig;
	uint64_t *durable; /* by event: what was reported before it */
	uint64_t durable_capacity;
	uint64_t least; /* before the first event, */
	uint64_t most;  /* and after the last */
	struct store_object *object[OBJECTS];
	uint64_t blocks;            /* of the device, when the recording began */
	uint64_t grow_at, grow_by;  /* event before which it will be so many blocks larger; 0: it will not */
	uint64_t grown_at;          /* event before which it has become so; 0: it has not */
	uint64_t smaller;           /* blocks that the device had before it grew, in the life that was cut; or 0 */
};

struct run {
	const struct options *options;
	struct model *model;
	struct plan plan;
	struct life life[2], again[DEPTH_MAX]; /* again: to look at what a cut has left */
	struct life *now;
	const struct content *found[OBJECTS]; /* by compare_all */
	const char *what; /* this seed is about */
	uint64_t random, next_id, points, commits, hash, excused, counted;
	uint64_t large, large_commits; /* large: txns_large of the store when the transaction began */
	uint32_t faults; /* of this seed */
	uint32_t steps_to_do;
	uint32_t way; /* nth.c: how it fails */
	bool full;    /* and: the checkpoint's block number full_at */
	uint64_t full_at;
	bool writer_done;
	struct reader reader[READERS_MAX];
	struct named named[NAMED_MAX];
	uint32_t named_count, named_here;
	uint64_t cut_event; /* of the newest life: what is looked at was cut there */
};

extern const char *object_names[OBJECTS];

/* Prints it with what is known about the store and ends the process. */
_Noreturn void fail_at(struct run *r, const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
#define CHECK(r, condition, ...)                                                                   \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_at(r, __FILE__, __LINE__, __VA_ARGS__);                               \
	} while (0)
void trace(const struct run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
uint32_t below(struct run *r, uint32_t bound);
bool one_in(struct run *r, uint32_t n);
void mix(struct run *r, uint64_t v);

/* Makes the machines for the plan. */
void run_begin(struct run *r);
void run_end(struct run *r);
/* A recording begins, and the volume is opened. */
err life_start(struct run *r, struct life *l);
uint64_t life_durable(const struct life *l, uint64_t event);
/* What that outcome leaves becomes `to`'s disk. */
void life_cut(struct sim_cut *c, const struct life *from, struct life *to);

/* --- size.c --- */

/* Blocks of the device. */
uint64_t size_now(const struct life *l);
void size_set(struct life *l, uint64_t blocks);
void size_begin(struct life *l);
void size_event(struct life *l, uint64_t event);
uint64_t size_before(const struct life *l, uint64_t event);
/* With fewer blocks the volume is refused and untouched, or goes on like that. */
void size_try(struct run *r, struct life *l, uint64_t blocks);
/* The volume is as large as its device, at once or a little later. */
void size_expect(struct run *r, struct life *l);

/* --- work.c: what applications do --- */

/* Errors that are the device's or memory's right now are no mistakes; false: go on no more. */
bool excused(struct run *r, err e);
/* The writer, `steps` transactions, with the readers. */
void work(struct run *r, uint32_t steps);
/* The newest generation is what the model says, all of it. On a fiber. */
void compare_all(struct run *r, struct life *l, uint64_t generation);

/* --- objects.c --- */

/* Makes those that are not there, some a little later. */
err objects_open(struct run *r);
/* One of them is deleted, or becomes what another is and replaces it. */
err objects_step(struct run *r);

/* --- named.c --- */

/* Creates, deletes or restores one. */
err named_step(struct run *r);
/* One that is there, or NULL. */
struct named *named_any(struct run *r, uint32_t draw);
/* Every so many of its pages. */
void named_read(struct run *r, const struct named *n, uint32_t every);
/* Those that are there after a power cut before that event. */
void named_compare(struct run *r, uint64_t event);
/* What is there is what this life begins with. */
void named_wake(struct run *r);

/* --- look.c: what a power cut has left --- */

/* Opens what is on l's disk (and records that for a further cut), compares, and looks for lost blocks. At
 * least generation `least` must be there, and what `before` had been told before the event. `before` is NULL when
 * this is a further cut. */
void look(struct run *r, struct life *l, uint64_t least, const struct life *before, uint64_t event);
/* The life goes on; what it has now is looked at in the same way, as far as that can be seen. */
void look_alive(struct run *r, struct life *l);
/* The same with again[depth], and then at cuts of the opening itself, at random. */
void look_deeper(struct run *r, uint32_t depth, uint64_t least, const struct life *before, uint64_t event);

/* --- walk.c: the volume as docs/volume-format.md describes it --- */

struct walk {
	uint64_t reachable, damaged; /* blocks */
	uint64_t generation;
	const char *wrong; /* NULL: all is well */
	bool space_damaged; /* a block of the space map does not match its checksum */
	bool unfinished;    /* an object is a transaction's that has not ended */
	uint8_t *seen;
	uint64_t blocks;
	/* Who uses this block: pages from .. to - 1 of the object depend on it. Set `find` before the walk. */
	uint64_t find;
	uint32_t object;
	uint64_t from, to;
};

/* A sound superblock, or NULL. */
const struct volume_superblock *walk_slot(const uint8_t *media, uint32_t slot);
/* All that the newest checkpoint needs, without the store's code. `w` is zero, but for `find`. */
void walk_volume(struct walk *w, const uint8_t *media, uint64_t blocks);

/* --- The kinds of runs --- */

void run_lives(struct run *r);  /* lives.c: random */
void run_small(struct run *r);  /* exhaustive.c */
void run_errors(struct run *r); /* nth.c: the Nth operation fails, for every N */
void run_memory(struct run *r); /* the Nth allocation fails, for every N */
void run_space(struct run *r);  /* a checkpoint finds no Nth block, for every N */
void run_rot(struct run *r);    /* rot.c: each block, one after the other */

/* --- seam.c: between the store's files, by the linker --- */

/* From now on block number `n` that a checkpoint takes is not there, nor are `more` after it; 0: none. */
void seam_fail_space(uint64_t n, uint64_t more);
uint64_t seam_space_failed(void);
bool seam_sabotage_exists(const char *name);
void seam_sabotage(const char *name);

#endif
