/* A block device in virtual time that forgets: until a flush has completed, each 512 bytes of each
 * write may or may not survive a power cut. It completes requests out of order, and can fail, rot,
 * and write to the wrong place.
 *
 * To look at many power cuts of one run, record it (sim_disk_record): every submission and completion
 * is an *event*, and sim_disk_cut makes an image that the device could hold if the power went between
 * two of them. Host memory from malloc. */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include <platform/block.h>
#include <sim/platform.h>

struct sim_disk_op; /* a recorded write or flush */

struct sim_disk {
	struct block_device device; /* first */
	struct sim_source source;
	struct sim_platform *sim;
	uint8_t *media; /* what a read sees; `bytes` long */
	uint64_t bytes;
	uint64_t random;
	/* Behaviour; may be changed any time. */
	uint64_t read_ns, write_ns, flush_ns; /* up to twice as long, at random */
	uint32_t queue_depth;
	uint64_t fail_at;     /* this operation (1: the next) fails with ERR_IO; 0: none */
	bool fail_from;       /* and all after it */
	uint64_t fail_flush_at; /* the same, counting flushes only */
	/* Lies: one write in so many, at random, reports success and does nothing, or lands in other blocks
	 * (of 4096 bytes). 0: none. A recording does not show them. */
	uint32_t lose_one_in, misdirect_one_in;
	/* Counters. */
	uint64_t operations, reads, writes, flushes, kicks, bytes_written, lost, misdirected;
	struct list queue; /* requests, by due time not sorted */
	uint32_t queued;
	/* The recording. */
	bool recording;
	struct sim_disk_op *ops;
	size_t op_count, op_capacity;
	uint64_t events;
	uint8_t *start; /* media when recording began */
	void (*on_event)(void *cookie); /* before each event; may be NULL */
	void *cookie;
};

/* What becomes of a write that no completed flush covers. */
enum sim_disk_cut_mode {
	SIM_CUT_KEEP,   /* all are kept */
	SIM_CUT_LOSE,   /* all are lost */
	SIM_CUT_MASK,   /* write number i (of those) is kept if bit i of the seed is set */
	SIM_CUT_RANDOM, /* each is kept, lost or torn, in any order, from the seed */
};

API_BEGIN
void sim_disk_init(struct sim_disk *d, struct sim_platform *sim, uint64_t bytes,
	uint32_t sector_size, uint64_t seed);
void sim_disk_free(struct sim_disk *d);
/* Begins a recording with what is on the media, which counts as durable. */
void sim_disk_record(struct sim_disk *d);
/* Fills `image` (d->bytes) with what could be there after a power cut before event number `event`
 * (0 to d->events); how many writes were undecided. */
uint32_t sim_disk_cut(const struct sim_disk *d, uint64_t event, enum sim_disk_cut_mode mode,
	uint64_t seed, uint8_t *image);
API_END

#endif
