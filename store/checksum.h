/* The one checksum of the volume format, and the seeds that say what a block is. Pure. */
#ifndef STORE_CHECKSUM_H
#define STORE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* `len` bytes, a multiple of 32. */
uint64_t volume_checksum(uint64_t seed, const void *bytes, size_t len);

/* level 0: a page of the object, index its number; else a map node. */
uint64_t volume_seed_page(uint64_t nonce, uint32_t object, uint32_t level, uint32_t index,
	uint32_t generation);
uint64_t volume_seed_record(uint64_t nonce, uint64_t record);

#endif
