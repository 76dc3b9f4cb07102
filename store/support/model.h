/* A model of objects and named snapshots that knows nothing of generations or blocks; the random work that is
 * done on a store and on it; and comparing the two. All but model_start and model_finish run on a fiber. */
#ifndef STORE_SUPPORT_MODEL_H
#define STORE_SUPPORT_MODEL_H

#include "world.h"

#define OBJECTS 3u
#define NAMED 6u
#define READERS 3u
#define STATES 400u
#define EVENTS 8192u
#define PLACES 23u /* pages that are used: three levels of map */

struct content {
	bool exists;
	uint32_t pages;
	uint64_t id[PLACES];
};

struct kept {
	struct content content;
	uint64_t time;
	int32_t object; /* -1: deleted */
};

struct state {
	struct content object[OBJECTS];
	struct kept kept[NAMED];
};

struct model {
	struct state state[STATES];
	uint64_t generation[STATES]; /* of a commit; else 0 */
	uint32_t newest, acknowledged;
	uint32_t floor_at[EVENTS], newest_at[EVENTS]; /* by event */
};

struct reader {
	bool open;
	int32_t object; /* -1: a named snapshot's */
	uint32_t kept;
	struct content content;
	struct store_snapshot snapshot;
};

struct run {
	struct rig rig;
	struct model *model;
	uint64_t random, next_id;
	uint32_t steps;
	struct reader reader[READERS];
	uint32_t admin; /* changes of the table, successful */
};

void model_start(struct run *r, struct model *m, uint64_t seed, uint64_t blocks, uint32_t sector);
void model_finish(struct run *r);
/* r->steps random steps. */
void model_work(void *run);
/* The store is what the newest state says, sound, and without leaks. */
void model_examine(void *run);
/* Is the store what some state from `least` to `most` says? The number of that; UINT32_MAX: none. */
uint32_t model_find(struct run *r, uint32_t least, uint32_t most);
/* Forgets all states but number k, which becomes the newest. */
void model_keep(struct model *m, uint32_t k);
/* After a checkpoint, without readers: what is used is what the maps refer to, all sharing is legal. */
void model_expect_no_leak(struct rig *r);
bool model_find_named(const struct store *s, const char *name, struct store_named_info *out);

#endif
