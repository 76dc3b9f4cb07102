/* virtio-blk (virtio 1.2, 5.2), one queue.
 *
 *   submit -> with the device -> done
 *          -> refused (invalid, read-only, the device has failed) -> done at the next poll
 *
 * A request is one slot: a header, the buffers, a status byte. A device that breaks the rules is
 * reset, and everything that was under way or comes later is done with ERR_IO. */
#include "virtio.h"

#include <base/assert.h>

#define F_SIZE_MAX VIRTIO_F(1)
#define F_SEG_MAX VIRTIO_F(2)
#define F_RO VIRTIO_F(5)
#define F_BLK_SIZE VIRTIO_F(6)
#define F_FLUSH VIRTIO_F(9)
#define F_DISCARD VIRTIO_F(13)
#define WANTED (F_SIZE_MAX | F_SEG_MAX | F_RO | F_BLK_SIZE | F_FLUSH | F_DISCARD)

#define CONFIG_CAPACITY 0u
#define CONFIG_SIZE_MAX 8u
#define CONFIG_SEG_MAX 12u
#define CONFIG_BLK_SIZE 20u
#define CONFIG_DISCARD_SECTORS_MAX 36u
#define CONFIG_DISCARD_SEGMENTS_MAX 40u

#define TYPE_IN 0u
#define TYPE_OUT 1u
#define TYPE_FLUSH 4u
#define TYPE_DISCARD 11u

#define STATUS_OK 0u
#define STATUS_UNWRITTEN 0xffu

#define QUEUE_SIZE 128u
#define SEGMENTS_MAX (BLOCK_BUFFERS_MAX + 2u)
/* Without indirect descriptors: fewer buffers, so that more than a few requests are in flight. */
#define DIRECT_QUEUE_SIZE 256u
#define DIRECT_SEGMENTS_MAX 8u
_Static_assert(DIRECT_QUEUE_SIZE / 2 <= QUEUE_SIZE, "a slot has three segments at least");
#define TRANSFER_MAX (16u << 20)
#define WIRE_SECTOR_SHIFT 9u /* the device counts in 512 bytes, whatever its sectors are */

/* What the device reads and writes besides the buffers. */
struct wire {
	uint32_t type, reserved;
	uint64_t sector;
	uint64_t discard_sector;
	uint32_t discard_count, discard_flags;
	uint8_t status;
	uint8_t pad[31];
};
_Static_assert(sizeof(struct wire) == 64, "a line each");

struct slot {
	struct block_request *request;
	struct wire *wire;
};

struct virtio_block {
	struct block_device block; /* first: a device pointer is a pointer to this */
	struct virtio_device device;
	struct virtio_ring ring;
	uint32_t sector_shift;
	uint32_t discard_max; /* sectors in one request */
	struct list refused;  /* done at the next poll */
	bool over;
	struct slot slot[QUEUE_SIZE];
};

static struct virtio_block *block_of(struct block_device *d)
{
	return (struct virtio_block *)(void *)d;
}

/* --- Submit --- */

static bool in_range(const struct virtio_block *b, const struct block_request *r)
{
	return r->sector <= b->block.sector_count &&
	       r->sector_count <= b->block.sector_count - r->sector && r->sector_count;
}

/* Adds a descriptor for each buffer; false when they do not make up the request. */
static bool add_buffers(
	struct virtio_block *b, const struct block_request *r, struct virtio_desc *table)
{
	uint64_t sum = 0;
	uint32_t bad = 0;
	unsigned flags = r->op == BLOCK_READ ? VIRTIO_DESC_WRITE : 0;
	if (r->buffer_count > b->block.buffers_max)
		return false;
	for (uint32_t i = 0; i < r->buffer_count; i++) {
		uint32_t len = r->buffer[i].len;
		virtio_desc_set(&table[i], dma_addr_of(r->buffer[i].ptr).value, len, flags);
		bad |= len & (b->block.sector_size - 1);
		bad |= !len;
		sum += len;
	}
	return !bad && sum <= b->block.transfer_max &&
	       sum == (uint64_t)r->sector_count << b->sector_shift;
}

static err fill_transfer(struct virtio_block *b, const struct block_request *r, struct wire *w,
	struct virtio_desc *table, uint32_t *count)
{
	if (!in_range(b, r) || !add_buffers(b, r, table))
		return ERR(INVALID);
	w->type = r->op == BLOCK_READ ? TYPE_IN : TYPE_OUT;
	w->sector = r->sector << (b->sector_shift - WIRE_SECTOR_SHIFT);
	*count = r->buffer_count;
	return OK;
}

/* A hint: what is more than the device takes at once is left out. */
static err fill_discard(struct virtio_block *b, const struct block_request *r, struct wire *w,
	struct virtio_desc *table, uint32_t *count)
{
	if (!b->block.has_discard)
		return ERR(UNSUPPORTED);
	if (!in_range(b, r))
		return ERR(INVALID);
	uint32_t shift = b->sector_shift - WIRE_SECTOR_SHIFT;
	uint32_t n = r->sector_count < b->discard_max ? r->sector_count : b->discard_max;
	w->type = TYPE_DISCARD;
	w->sector = 0;
	w->discard_sector = r->sector << shift;
	w->discard_count = n << shift;
	w->discard_flags = 0;
	virtio_desc_set(table, dma_addr_of(&w->discard_sector).value, 16, 0);
	*count = 1;
	return OK;
}

static err fill(struct virtio_block *b, const struct block_request *r, struct wire *w,
	struct virtio_desc *table, uint32_t *count)
{
	if (b->block.read_only && (r->op == BLOCK_WRITE || r->op == BLOCK_DISCARD))
		return ERR(DENIED);
	switch (r->op) {
	case BLOCK_READ:
	case BLOCK_WRITE:
		return fill_transfer(b, r, w, table, count);
	case BLOCK_DISCARD:
		return fill_discard(b, r, w, table, count);
	case BLOCK_FLUSH:
		break;
	}
	w->type = TYPE_FLUSH;
	w->sector = 0;
	*count = 0;
	return OK;
}

static void refuse(struct virtio_block *b, struct block_request *r, err why)
{
	r->result = why;
	list_push_back(&b->refused, &r->link);
}

static bool block_submit(struct block_device *d, struct block_request *r)
{
	struct virtio_block *b = block_of(d);
	if (UNLIKELY(b->over)) {
		refuse(b, r, ERR(IO));
		return true;
	}
	/* Without a volatile cache what is written is already stable. */
	if (UNLIKELY(r->op == BLOCK_FLUSH && !d->has_flush)) {
		refuse(b, r, OK);
		return true;
	}
	struct virtio_desc *table = virtio_queue_begin(&b->ring.q);
	if (UNLIKELY(!table))
		return false;
	struct slot *s = &b->slot[virtio_queue_begin_slot(&b->ring.q)];
	uint32_t count;
	err e = fill(b, r, s->wire, table + 1, &count);
	if (UNLIKELY(failed(e))) {
		refuse(b, r, e);
		return true;
	}
	s->request = r;
	s->wire->status = STATUS_UNWRITTEN;
	virtio_desc_set(table, dma_addr_of(s->wire).value, 16, 0);
	virtio_desc_set(&table[count + 1], dma_addr_of(&s->wire->status).value, 1,
		VIRTIO_DESC_WRITE);
	uint32_t writable = r->op == BLOCK_READ ? r->sector_count << b->sector_shift : 0;
	virtio_queue_submit(&b->ring.q, count + 2, writable + 1, s);
	return true;
}

static void block_kick(struct block_device *d)
{
	virtio_ring_kick(&block_of(d)->ring);
}

/* --- Poll --- */

static void complete(struct slot *s, err result)
{
	struct block_request *r = s->request;
	s->request = NULL;
	r->result = result;
	r->done(r);
}

static uint32_t finished(struct virtio_block *b)
{
	struct slot *s;
	uint32_t written, count = 0;
	while ((s = virtio_queue_pop(&b->ring.q, &written))) {
		uint8_t status = *(volatile uint8_t *)&s->wire->status;
		complete(s, LIKELY(status == STATUS_OK) ? OK : ERR(IO));
		count++;
	}
	return count;
}

/* Those refused until now; `done` may submit others, which wait for the next poll. */
static COLD uint32_t refused_done(struct virtio_block *b)
{
	struct list *e, all;
	uint32_t count = 0;
	list_init(&all);
	while ((e = list_pop_front(&b->refused)))
		list_push_back(&all, e);
	while ((e = list_pop_front(&all))) {
		struct block_request *r = LIST_ENTRY(e, struct block_request, link);
		r->done(r);
		count++;
	}
	return count;
}

static COLD uint32_t block_break(struct virtio_block *b)
{
	struct slot *s;
	uint32_t count = 0;
	virtio_fail(&b->device, "has broken the rules of its queue");
	b->over = true;
	while ((s = virtio_queue_drain(&b->ring.q))) {
		complete(s, ERR(IO));
		count++;
	}
	return count;
}

/* The disk may have grown. One that has shrunk keeps its size here: what lies behind the end fails. */
static inline void read_size(struct virtio_block *b)
{
	uint64_t count = virtio_config64(&b->device, CONFIG_CAPACITY) >> (b->sector_shift - WIRE_SECTOR_SHIFT);
	if (count > b->block.sector_count)
		b->block.sector_count = count;
}

static uint32_t block_poll(struct block_device *d)
{
	struct virtio_block *b = block_of(d);
	struct virtio_queue *q = &b->ring.q;
	if (UNLIKELY(virtio_poll(&b->device)))
		read_size(b);
	uint32_t count = finished(b);
	/* Nothing yet: whoever asked may sleep next, so an interrupt is wanted. */
	if (!count && q->in_flight && !q->armed && virtio_queue_arm(q, 1))
		count = finished(b);
	if (UNLIKELY((q->broken || b->device.failed) && !b->over))
		count += block_break(b);
	if (UNLIKELY(!list_is_empty(&b->refused)))
		count += refused_done(b);
	return count;
}

/* --- Probe --- */

/* Sectors of other sizes than 512 and 4096 are treated as the next larger of these. */
static bool read_geometry(struct virtio_block *b)
{
	struct virtio_device *v = &b->device;
	uint32_t size = virtio_has(v, F_BLK_SIZE) ? virtio_config32(v, CONFIG_BLK_SIZE) : 512;
	if (size > 4096 || size < 512 || size & (size - 1)) {
		virtio_fail(v, "has sectors that are not of 512 to 4096 bytes");
		return false;
	}
	b->sector_shift = size == 512 ? 9 : 12;
	b->block.sector_size = 1u << b->sector_shift;
	read_size(b);
	return true;
}

static bool read_limits(struct virtio_block *b)
{
	struct virtio_device *v = &b->device;
	struct block_device *d = &b->block;
	uint32_t segments = virtio_has(v, F_SEG_MAX) ? virtio_config32(v, CONFIG_SEG_MAX) : 1;
	d->buffers_max = segments < 1 ? 1 : segments;
	if (d->buffers_max > BLOCK_BUFFERS_MAX)
		d->buffers_max = BLOCK_BUFFERS_MAX;
	d->transfer_max = TRANSFER_MAX;
	uint32_t size_max = virtio_has(v, F_SIZE_MAX) ? virtio_config32(v, CONFIG_SIZE_MAX) : 0;
	if (size_max && size_max < d->transfer_max) /* then no buffer is longer either */
		d->transfer_max = size_max & ~(d->sector_size - 1);
	if (!d->transfer_max) {
		virtio_fail(v, "takes less than a sector at once");
		return false;
	}
	d->read_only = virtio_has(v, F_RO);
	d->has_flush = virtio_has(v, F_FLUSH);
	if (virtio_has(v, F_DISCARD) && virtio_config32(v, CONFIG_DISCARD_SEGMENTS_MAX))
		b->discard_max = virtio_config32(v, CONFIG_DISCARD_SECTORS_MAX) >>
			(b->sector_shift - WIRE_SECTOR_SHIFT);
	d->has_discard = b->discard_max > 0 && !d->read_only;
	return true;
}

static bool start_queue(struct virtio_block *b)
{
	bool indirect = virtio_has(&b->device, VIRTIO_F_INDIRECT_DESC);
	uint32_t segments = indirect ? SEGMENTS_MAX : DIRECT_SEGMENTS_MAX;
	uint32_t size = indirect ? QUEUE_SIZE : DIRECT_QUEUE_SIZE;
	if (failed(virtio_ring_start(&b->device, &b->ring, 0, size, &segments)))
		return false;
	if (segments < 3) {
		virtio_fail(&b->device, "has too short a queue");
		return false;
	}
	if (b->block.buffers_max > segments - 2)
		b->block.buffers_max = segments - 2;
	size_t len = sizeof(struct wire) * b->ring.q.slot_count;
	struct wire *wire =
		machine_alloc_pages(b->device.machine, (len + PAGE_SIZE - 1) / PAGE_SIZE);
	if (!wire) {
		virtio_fail(&b->device, "gets no memory for its requests");
		return false;
	}
	for (uint32_t i = 0; i < b->ring.q.slot_count; i++)
		b->slot[i].wire = &wire[i];
	return true;
}

static COLD bool block_attach(struct machine *m, const struct virtio_device *found)
{
	struct virtio_block *b =
		machine_alloc_pages(m, (sizeof *b + PAGE_SIZE - 1) / PAGE_SIZE);
	if (!b)
		return false;
	b->device = *found;
	list_init(&b->refused);
	virtio_name(&b->device, "virtio-blk", m->platform.block_count);
	memcpy(b->block.name, b->device.name, sizeof b->block.name);
	if (failed(virtio_start(&b->device, WANTED)) || !read_geometry(b) || !read_limits(b) ||
		!start_queue(b))
		return false;
	b->block.submit = block_submit;
	b->block.kick = block_kick;
	b->block.poll = block_poll;
	if (!machine_add_block(m, &b->block)) {
		virtio_fail(&b->device, "is one disk too many");
		return false;
	}
	virtio_ready(&b->device);
	return true;
}

static void block_probe(struct machine *m)
{
	virtio_find(m, VIRTIO_ID_BLOCK, block_attach);
}

MACHINE_DRIVER(virtio_block, "virtio-blk", block_probe);
