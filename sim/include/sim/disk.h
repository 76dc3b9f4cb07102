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

/* A set of blocks of 4096 bytes; all the cheaper, the fewer there are. */
struct sim_marks {
	uint64_t *bits;
	uint32_t *list;
	uint32_t count;
	uint64_t blocks;
};

/* What a discarded range reads as. */
enum sim_discard {
	SIM_DISCARD_KEEPS,
	SIM_DISCARD_ZEROES,
	SIM_DISCARD_GARBAGE,
};

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
	uint32_t fail_more;   /* and so many after it */
	uint32_t fail_only;   /* counts and fails only these: 1u << BLOCK_WRITE, ...; 0: all */
	uint64_t fail_flush_at; /* as fail_at and fail_from, counting flushes only */
	/* A write that fails may be done all the same, or half; a flush that fails loses some of what it should
	 * have covered, and no later one brings it back. Else neither has any effect. */
	bool fails_badly;
	enum sim_discard discard;
	/* Lies: one operation in so many, at random, reports success and does nothing, lands in other blocks
	 * (of 4096 bytes), or reads what was there before. One operation in so many is followed by rot
	 * somewhere. 0: none. A recording does not show them. */
	uint32_t lose_one_in, misdirect_one_in, stale_one_in, rot_one_in;
	/* Counters. */
	uint64_t operations, reads, writes, flushes, discards, kicks, bytes_written;
	uint64_t lost, misdirected, stale, rotted, failed;
	uint64_t overlaps;    /* writes of what another one was just writing: the outcome is anybody's guess */
	uint64_t hash;        /* of all operations and when they were done */
	struct list queue; /* requests, by due time not sorted */
	uint32_t queued;
	uint8_t *older; /* each block before it was last written, once stale_one_in is set */
	/* The recording. */
	bool recording;
	struct sim_disk_op *ops;
	size_t op_count, op_capacity, first_open; /* first_open: all before it are settled */
	uint64_t events;
	void (*on_event)(void *cookie); /* before each event; may be NULL */
	void *cookie;
	/* What is on stable storage for sure, before event floor_event: the media when the recording began,
	 * and the settled writes up to then. */
	uint8_t *floor;
	uint32_t *settled; /* ops in the order in which flushes have covered them */
	size_t settled_count, settled_capacity, floor_settled;
	uint32_t *floor_log; /* blocks in which the floor has changed; a ring */
	uint64_t floor_changes;
	/* The media was made by a cut of this disk. */
	struct sim_disk *origin;
	uint64_t origin_seen;          /* of its floor_changes */
	struct sim_marks above_origin; /* where the media may differ from the origin's floor, */
	struct sim_marks above_floor;  /* and from its own */
};

/* What becomes of a write that no completed flush covers. */
enum sim_disk_cut_mode {
	SIM_CUT_KEEP,   /* all are kept */
	SIM_CUT_LOSE,   /* all are lost */
	SIM_CUT_MASK,   /* write number i (of those) is kept if bit i of the seed is set */
	SIM_CUT_RANDOM, /* each is kept, lost or torn, in any order, from the seed */
};

struct sim_cut_piece {
	uint64_t offset;
	uint32_t order;
	const uint8_t *data;
};

enum sim_rot {
	SIM_ROT_BIT,    /* one bit flips */
	SIM_ROT_SECTOR, /* 512 bytes are zero, or garbage */
	SIM_ROT_BLOCK,  /* 4096 bytes */
	SIM_ROT_KINDS,
};

/* The power is cut before event number `event` of d's recording. Then each of these sectors holds what it
 * held at the last flush that covers it (choice 0), or what the nth of the writes since has put there. Outcomes
 * are numbered: as a number of mixed radix, of which each sector, or each block, is a digit. */
struct sim_cut {
	struct sim_disk *disk;
	uint64_t event;
	uint32_t sectors, blocks;
	uint32_t writes; /* that are undecided */
	struct sim_cut_piece *piece; /* 512 bytes of a write; by sector, then in order of writing */
	uint32_t *sector;            /* number of each sector's first piece; and the end */
	uint32_t *block;             /* number of each block's first sector; and the end */
	uint16_t *choice;            /* the outcome: one for each sector */
	/* The number of outcomes, of those too in which a block survives whole or not at all. */
	uint64_t outcomes, block_outcomes; /* UINT64_MAX: as many or more */
};

API_BEGIN
void sim_disk_init(struct sim_disk *d, struct sim_platform *sim, uint64_t bytes,
	uint32_t sector_size, uint64_t seed);
void sim_disk_free(struct sim_disk *d);
/* Begins a recording with what is on the media, which counts as durable. */
void sim_disk_record(struct sim_disk *d);
/* Fills `image` (d->bytes) with what could be there after a power cut before event number `event`
 * (0 to d->events); how many writes were undecided. */
uint32_t sim_disk_cut(struct sim_disk *d, uint64_t event, enum sim_disk_cut_mode mode,
	uint64_t seed, uint8_t *image);

/* The device says that it has so many bytes, of those that it was made with; the rest cannot be had. A recording
 * goes on. */
void sim_disk_resize(struct sim_disk *d, uint64_t bytes);
/* Damages the block of 4096 bytes. */
void sim_disk_rot(struct sim_disk *d, uint64_t block, enum sim_rot how, uint64_t seed);
/* The media has been changed from outside, after a sim_cut_apply. */
void sim_disk_touch(struct sim_disk *d, uint64_t offset, uint64_t len);
/* All that was under way is gone, as the host's memory is; nothing is told to anybody. */
void sim_disk_drop_queue(struct sim_disk *d);

/* Whether event number `event` is the end of a flush that has done its work. */
bool sim_disk_flush_ends_at(const struct sim_disk *d, uint64_t event);
/* The undecided writes. All outcomes start as "all lost". Host memory until sim_cut_end. */
void sim_cut_begin(struct sim_cut *c, struct sim_disk *d, uint64_t event);
void sim_cut_end(struct sim_cut *c);
/* Outcome number `index` of `outcomes`, or `block_outcomes`. */
void sim_cut_by_sector(struct sim_cut *c, uint64_t index);
void sim_cut_by_block(struct sim_cut *c, uint64_t index);
/* All are kept; the last write wins. */
void sim_cut_keep_all(struct sim_cut *c);
void sim_cut_lose_all(struct sim_cut *c);
/* Some outcome: by the sector, by the block, torn in one place, ... */
void sim_cut_random(struct sim_cut *c, uint64_t seed);
/* Of this block the sectors whose bit in `mask` is set are kept, the others lost. */
void sim_cut_tear_block(struct sim_cut *c, uint32_t block, uint32_t mask);
/* Makes `to`'s media what the outcome says. Cheap when its media came from the same disk before: only what
 * has changed since is copied. `to` is as large as the disk, and has nothing under way. */
void sim_cut_apply(const struct sim_cut *c, struct sim_disk *to);
/* The same for the outcome of a sound end: the media as it is. */
void sim_disk_copy(const struct sim_disk *from, struct sim_disk *to);
API_END

#endif
