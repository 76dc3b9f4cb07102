/* The input plays the device: each command makes the driver submit, kick, pop, arm, or writes an
 * arbitrary value where the device may write. Tokens must come back once, and only what was
 * submitted; no memory beyond the queue's may be touched. */
#include "virtio_queue.h"

#include <base/cursor.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct model {
	uint8_t taken[256]; /* by token number */
	uint32_t count;
};

static void given_back(struct model *m, uint8_t *token)
{
	size_t i = (size_t)(token - m->taken);
	ASSERT(i < 256 && m->taken[i]);
	m->taken[i] = 0;
	m->count--;
}

static void driver_submits(struct virtio_queue *q, struct model *m, uint8_t number, uint8_t count)
{
	struct virtio_desc *d = virtio_queue_begin(q);
	if (!d || m->taken[number])
		return;
	uint32_t n = 1 + count % q->stride;
	for (uint32_t i = 0; i < n; i++)
		virtio_desc_set(&d[i], i, i, i & VIRTIO_DESC_WRITE);
	m->taken[number] = 1;
	m->count++;
	virtio_queue_submit(q, n, number, &m->taken[number]);
}

static void device_writes(struct virtio_queue *q, struct reader *in, uint8_t command)
{
	uint32_t value = read_le32(in);
	struct virtio_used_entry *e = &q->used->ring[value & q->mask];
	switch (command & 3) {
	case 0:
		q->used->index = (uint16_t)value;
		break;
	case 1:
		e->id = value >> 16;
		e->len = read_u8(in);
		break;
	case 2:
		e->id = read_le32(in);
		e->len = read_le32(in);
		break;
	default:
		q->used->index++;
		q->used->flags = (uint16_t)value;
		*(uint16_t *)(void *)&q->used->ring[q->size] = (uint16_t)(value >> 16);
	}
}

static void step(struct virtio_queue *q, struct model *m, struct reader *in)
{
	uint8_t command = read_u8(in);
	uint32_t written = 0;
	uint8_t *token;
	switch (command >> 5) {
	case 0:
	case 1:
		driver_submits(q, m, read_u8(in), command);
		break;
	case 2:
		virtio_queue_kick(q);
		break;
	case 3:
		token = virtio_queue_pop(q, &written);
		if (token) {
			ASSERT(written <= (uint32_t)(token - m->taken));
			given_back(m, token);
		}
		break;
	case 4:
		virtio_queue_arm(q, (uint16_t)(1 + (command & 31)));
		break;
	default:
		device_writes(q, in, command);
	}
	ASSERT(q->in_flight == m->count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct reader in = reader_of(slice_of(data, len));
	struct virtio_queue q;
	struct model m = {.count = 0};
	uint8_t shape = read_u8(&in);
	uint32_t size = 1u << (shape & 7), segments = 1 + (shape >> 3) % size;
	size_t memory_len = virtio_queue_memory_size(size, segments, shape & 64);
	void *memory = aligned_alloc(64, memory_len);
	memset(memory, 0, memory_len);
	virtio_queue_init(&q, memory, 0x10000, size, segments, shape & 64, shape & 128);
	while (reader_left(&in) && !in.failed)
		step(&q, &m, &in);
	for (uint8_t *token; (token = virtio_queue_drain(&q));)
		given_back(&m, token);
	ASSERT(m.count == 0);
	free(memory);
	return 0;
}
