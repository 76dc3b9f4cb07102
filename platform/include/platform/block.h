/* A block device. Asynchronous: requests are submitted, then completed from the device's poll, on the
 * event loop and never inside submit. */
#ifndef PLATFORM_BLOCK_H
#define PLATFORM_BLOCK_H

#include <base/err.h>
#include <base/list.h>
#include <stdint.h>

enum block_op {
	BLOCK_READ,
	BLOCK_WRITE,
	BLOCK_FLUSH,   /* all writes completed before its submission are on stable storage after it */
	BLOCK_DISCARD, /* the content of the range is no longer needed; a hint */
};

#define BLOCK_BUFFERS_MAX 32

struct block_buffer {
	void *ptr;    /* in DMA-able memory: pools, page cache */
	uint32_t len; /* bytes, a multiple of the sector size */
};

struct block_request {
	struct list link; /* the device's while submitted */
	enum block_op op;
	uint64_t sector;   /* in units of the device's sector_size */
	uint32_t sector_count; /* sum of the buffers for reads and writes; the range for discard */
	uint32_t buffer_count;
	struct block_buffer buffer[BLOCK_BUFFERS_MAX];
	err result; /* valid in done */
	void (*done)(struct block_request *);
	void *cookie; /* the submitter's */
};

struct block_device {
	uint32_t sector_size;  /* bytes: 512 or 4096 */
	uint64_t sector_count; /* may become more during a poll */
	bool read_only, has_flush, has_discard;
	uint32_t buffers_max;  /* per request, at most BLOCK_BUFFERS_MAX */
	uint32_t transfer_max; /* bytes in one request */
	char name[16];         /* "virtio-blk0" */
	/* Takes the request (and the buffers' memory) until done is called; false when the queue is
	 * full: submit again after some completion. Never completes inside. */
	bool (*submit)(struct block_device *, struct block_request *);
	/* Rings the device's bell for what was submitted since the last kick. */
	void (*kick)(struct block_device *);
	/* Calls done for what has completed; the number of completions. */
	uint32_t (*poll)(struct block_device *);
};

#endif
