/* Every byte of a volume. docs/volume-format.md explains; this is the same as C. Little-endian,
 * blocks of 4096 bytes, all structures naturally aligned and without padding. */
#ifndef ABI_VOLUME_H
#define ABI_VOLUME_H

#include <stdint.h>

#define VOLUME_BLOCK_SIZE 4096u
#define VOLUME_MAGIC 0x314c4f56544f474eu /* "NGOTVOL1" */
#define VOLUME_VERSION 1u
/* Features: a set bit that the reader does not know is refused (incompatible) or ignored. */
#define VOLUME_FEATURE_VERSIONS 1u /* the table has snapshots, or objects of another line */
#define VOLUME_FEATURES_INCOMPATIBLE VOLUME_FEATURE_VERSIONS
#define VOLUME_FEATURE_SPACE 1u /* compatible: there is a space map, if space.block is not 0 */
#define VOLUME_FEATURES_COMPATIBLE VOLUME_FEATURE_SPACE

/* The first blocks belong to the superblocks; allocation starts behind them. */
#define VOLUME_RESERVED_BLOCKS 16u
#define VOLUME_SLOTS 2u
#define VOLUME_SLOT_BLOCK(slot) ((slot) * 8u)
/* A volume is blank when this many of its first blocks are zero. */
#define VOLUME_BLANK_BLOCKS 32u
#define VOLUME_BLOCKS_MIN 64u
#define VOLUME_OBJECTS_MAX 32u
#define VOLUME_NAME_SIZE 32u

#define VOLUME_MAP_FANOUT 256u
#define VOLUME_MAP_LEVELS_MAX 4u

/* The space map: a page is the bitmap of one group of blocks. */
#define VOLUME_GROUP_BLOCKS 32768u
#define VOLUME_SPACE_FANOUT 128u
#define VOLUME_SPACE_LEVELS_MAX 3u
#define VOLUME_SPACE_OBJECT 0xfffeu /* in the seeds of its checksums */

/* Where a page or a map node lies. block 0: nowhere (a hole). */
struct volume_entry {
	uint32_t block;
	uint32_t generation; /* low 32 bits of the generation that wrote it */
	uint64_t checksum;
};

struct volume_space_entry {
	uint32_t block; /* 0: all is free below */
	uint32_t generation;
	uint64_t checksum;
	uint32_t used; /* blocks below that are used */
	uint32_t zero32;
	uint64_t zero64;
};

enum volume_kind {
	VOLUME_KIND_OBJECT = 0,
	VOLUME_KIND_SNAPSHOT = 1,
};

struct volume_object {
	uint8_t name[VOLUME_NAME_SIZE]; /* NUL-padded; all zero: unused */
	struct volume_entry root;
	uint32_t pages;  /* size */
	uint32_t levels; /* 0: no map at all */
	uint16_t kind;
	uint16_t line;   /* 0: its number in the table; else the line is one less */
	uint16_t parent; /* of a snapshot: one more than its object's number in the table; 0: deleted */
	uint16_t reserved;
};

/* More of the entry of the same number. */
struct volume_version {
	uint64_t generation; /* of a snapshot */
	uint64_t time;       /* of a snapshot: seconds since 1970 */
	uint64_t fork;       /* generation that last gave it another version's content */
	uint64_t reserved;
};

struct volume_superblock {
	uint64_t magic;
	uint32_t version;
	uint32_t header_size; /* 512: the objects start there */
	uint64_t checksum; /* of the whole block, with this field zero */
	uint32_t features_incompatible;
	uint32_t features_compatible;
	uint8_t uuid[16];
	uint64_t nonce;      /* random, drawn by format: the seed of every checksum */
	uint64_t sequence;   /* number of superblocks written; the larger is the newer */
	uint64_t blocks;     /* of the volume */
	uint64_t generation; /* that the maps below show */
	uint64_t record;     /* number that the next record will have */
	uint64_t record_link; /* checksum of the record before it, or drawn by an opening */
	uint32_t record_block; /* where the next record's header will be */
	uint32_t object_count;
	struct volume_entry space; /* root of the space map; block 0: there is none */
	uint64_t space_used;       /* blocks that it shows as used */
	uint32_t space_levels;     /* 0: the root is the page of the only group */
	uint32_t record_block_after; /* the header after record_block; 0: not known */
	uint8_t zero[512 - 136];
	struct volume_object object[VOLUME_OBJECTS_MAX];
	struct volume_version versions[VOLUME_OBJECTS_MAX];
	uint8_t zero_end[4096 - 512 - (64 + 32) * VOLUME_OBJECTS_MAX];
};

enum volume_item_kind {
	VOLUME_ITEM_PAGE = 1, /* `page` of `object` lies in `block` */
	VOLUME_ITEM_SIZE = 2, /* the object has `page` pages; on the way it had only `block` */
};

struct volume_item {
	uint16_t object;
	uint16_t kind;
	uint32_t page;
	uint32_t block;
	uint32_t generation; /* of the page: its checksum's */
	uint64_t checksum;
};

#define VOLUME_RECORD_MAGIC 0x4452434552544f4eu
#define VOLUME_RECORD_ITEMS ((4096u - 88u) / 24u)
#define VOLUME_RECORD_COMMIT 1u /* flag: the generation is complete with this record */

struct volume_record {
	uint64_t magic;
	uint64_t checksum; /* of the whole block, with this field zero */
	uint8_t uuid[16];
	uint64_t record;     /* number, by one more than the last */
	uint64_t link;       /* checksum of the record before; of the first, record_link */
	uint64_t life;       /* random, drawn at each opening */
	uint64_t generation; /* the newest in it */
	uint64_t durable;    /* this generation was durable when the record was formed */
	uint32_t next_block; /* the next record's header */
	uint32_t item_count;
	uint32_t flags;
	uint32_t next_block_after; /* the header after that one; 0: not known */
	struct volume_item item[VOLUME_RECORD_ITEMS];
};

_Static_assert(sizeof(struct volume_entry) == 16, "layout");
_Static_assert(sizeof(struct volume_space_entry) * VOLUME_SPACE_FANOUT == 4096, "layout");
_Static_assert(sizeof(struct volume_object) == 64, "layout");
_Static_assert(sizeof(struct volume_version) == 32, "layout");
_Static_assert(sizeof(struct volume_superblock) == 4096, "layout");
_Static_assert(sizeof(struct volume_item) == 24, "layout");
_Static_assert(sizeof(struct volume_record) == 4096, "layout");

#endif
