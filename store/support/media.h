/* A volume's media, read without the store's code (but for its checksum): what the maps of its newest superblock refer to. */
#ifndef STORE_SUPPORT_MEDIA_H
#define STORE_SUPPORT_MEDIA_H

#include <abi/volume.h>
#include <stdbool.h>

struct media_use {
	uint32_t blocks; /* different ones: pages and nodes */
	uint32_t shared; /* references to blocks that had been found before */
	bool twice;      /* one is used twice that is not shared as docs/volume-format.md allows */
	uint32_t unlike; /* blocks that the space map shows otherwise; 0 without one */
};

const struct volume_superblock *media_superblock(const uint8_t *media);
struct media_use media_walk(const uint8_t *media, uint64_t bytes);

#endif
