/* The platform in virtual time: nothing waits, sleeping jumps to the next thing that happens. The same
 * seed gives the same run, entropy included. */
#ifndef SIM_PLATFORM_H
#define SIM_PLATFORM_H

#include <platform/platform.h>

/* Something that happens by itself (a disk's completion, a frame's arrival). */
struct sim_source {
	struct list link;
	/* When the next thing is due; UINT64_MAX: none. */
	uint64_t (*next_ns)(struct sim_source *);
};

struct sim_platform {
	struct platform platform; /* first */
	uint64_t now_ns, random;
	struct list sources;
	bool button; /* the power button */
	/* Set by idle when nothing will ever happen again: the program hangs, or is done. */
	bool stuck;
	bool log_full; /* log_offer takes nothing */
	/* Receives log and console lines; may be NULL. */
	void (*log)(void *cookie, struct slice line);
	void *cookie;
};

API_BEGIN
/* `memory` (aligned to 4096, zeroed; may be NULL, 0) is what platform.memory shows. */
void sim_platform_init(struct sim_platform *sim, uint64_t seed, uint8_t *memory, size_t len);
void sim_platform_add(struct sim_platform *sim, struct sim_source *source);
/* A small deterministic generator (splitmix64) for simulators and tests. */
uint64_t sim_random(uint64_t *state);
API_END

#endif
