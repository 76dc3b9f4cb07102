/* A store on a simulated disk, for tests: a machine with a loop, on whose fibers test code runs. */
#ifndef STORE_SUPPORT_RIG_H
#define STORE_SUPPORT_RIG_H

#include <sim/disk.h>
#include <store/store.h>

#define RIG_FIBERS 80

struct rig {
	struct sim_platform sim;
	struct sim_disk disk;
	struct loop loop;
	struct log log;
	struct random random;
	struct store_config config;
	struct store *store;
	struct store_info info;
	uint8_t *fiber_memory, *store_memory;
	char last_log[512]; /* newest line */
	uint32_t running;   /* fibers that rig_spawn has started */
	uint32_t fibers, stack; /* stack: bytes for each */
	bool hung;          /* nothing would ever happen again, yet some run */
};

/* A machine with a blank disk. cache_pages and txn_pages_max go into config. */
void rig_init(struct rig *r, uint64_t bytes, uint32_t sector_size, uint64_t seed, uint32_t fibers);
/* The same with stacks of so many bytes, for what needs more. */
void rig_init_large(struct rig *r, uint64_t bytes, uint32_t sector_size, uint64_t seed, uint32_t fibers,
	uint32_t stack);
void rig_free(struct rig *r);
/* Runs it on a fiber until that, and all started meanwhile, have ended. */
void rig_run(struct rig *r, void (*run)(void *), void *argument);
void rig_spawn(struct rig *r, void (*run)(void *), void *argument);
void rig_finish(struct rig *r);
/* store_open and store_close on a fiber. */
err rig_open(struct rig *r);
err rig_close(struct rig *r);
/* Forgets the store and the machine's memory, as a crash does; the disk stays as it is. */
void rig_crash(struct rig *r);
/* The content of page `page_no` number `id`; and which id a page holds, UINT64_MAX when it is none. */
void rig_fill(uint8_t *page, uint32_t page_no, uint64_t id);
uint64_t rig_identify(const uint8_t *page, uint32_t page_no);

#endif
