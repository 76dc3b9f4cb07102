/* The split virtqueue of virtio 1.x (section 2.7), the driver's side.
 *
 * A request takes one slot. A slot owns a table of descriptors for good, so nothing is allocated or
 * linked while requests flow: with indirect descriptors the table lies beside the ring and the
 * request costs one descriptor of the ring; without them the ring's own descriptor table is cut
 * into one run for each slot.
 *
 *   begin -> (virtio_desc_set ...) -> submit     the driver's, not yet seen by the device
 *   kick                                         published; true: ring the bell
 *   pop (or: ready, then take for each)          the device is done, the slot is free again
 *
 * Rules:
 * 1. Nothing that the device wrote is believed: an index, an id or a length that cannot be makes
 *    the queue `broken`, and it stays so until it is initialised again. drain() then hands back
 *    what was in flight, once the device has been reset.
 * 2. What the device wrote is read once, into a local variable, then checked, then used.
 * 3. Interrupts are off except between arm() and the next pop() or disarm().
 *
 * Ordering: an entry is written before the index that shows it (release), and the index is read
 * before the entry (acquire). Between writing our index and reading the event field of the device,
 * and between writing our event field and reading its index, stands a full barrier: without it both
 * sides could miss each other and sleep.
 *
 * Only memory is touched here, no register, so that unit tests and fuzzers can play the device; and
 * all of it is in this header, so that the compiler sees through the ring into the driver's
 * loops. */
#ifndef MACHINE_VIRTIO_QUEUE_H
#define MACHINE_VIRTIO_QUEUE_H

#include <base/assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define VIRTIO_SLOT_NONE UINT16_MAX
#define VIRTIO_AVAIL_NO_INTERRUPT 1u
#define VIRTIO_USED_NO_NOTIFY 1u
#define VIRTIO_DESC_NEXT 1u
#define VIRTIO_DESC_WRITE 2u /* the device writes it */
#define VIRTIO_DESC_INDIRECT 4u

#define VIRTIO_QUEUE_SIZE_MAX 32768u
/* As `writable` of submit: the length that the device reports means nothing and is not checked. */
#define VIRTIO_ANY_LENGTH UINT32_MAX

struct virtio_desc {
	uint64_t addr; /* as the device sees it */
	uint32_t len;
	uint16_t flags, next;
};

struct virtio_avail {
	uint16_t flags, index;
	uint16_t ring[]; /* then: used_event */
};

struct virtio_used_entry {
	uint32_t id, len;
};

struct virtio_used {
	uint16_t flags, index;
	struct virtio_used_entry ring[]; /* then: avail_event */
};

struct virtio_slot {
	void *token;       /* the driver's, not NULL while the slot is taken */
	uint32_t writable; /* bytes that the device may have written at most */
	uint16_t free_next;
};

struct virtio_queue {
	struct virtio_desc *desc;
	struct virtio_avail *avail;
	struct virtio_used *used;
	struct virtio_desc *table; /* `stride` descriptors for each slot */
	struct virtio_slot *slot;
	uint64_t desc_dma, avail_dma, used_dma, table_dma;
	uint32_t stride;
	uint16_t size, mask;    /* entries of the rings, a power of two */
	uint16_t slot_count;    /* requests in flight at most */
	uint16_t head_shift;    /* slot << head_shift is the number of its first descriptor */
	uint16_t free;          /* first free slot, or VIRTIO_SLOT_NONE */
	uint16_t avail_next;    /* the next avail entry that we write */
	uint16_t avail_shown;   /* avail entries before it are the device's */
	uint16_t used_next;     /* the next used entry that we read */
	uint16_t in_flight;     /* taken slots */
	uint16_t drain_next;
	bool indirect, event_idx, armed, broken;
};

/* Whether the other side, who asked for a signal at `event`, is to get one now that the index moves
 * from `old` to `new` (2.7.10, in arithmetic modulo 65536). */
static inline bool virtio_event_passed(uint16_t event, uint16_t new, uint16_t old)
{
	return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

/* The descriptors of the next free slot, to be filled from the first on; NULL when all are taken or
 * the queue is broken. Calling it again without submit gives the same. */
static inline struct virtio_desc *virtio_queue_begin(const struct virtio_queue *q)
{
	if (UNLIKELY(q->free == VIRTIO_SLOT_NONE || q->broken))
		return NULL;
	return q->table + (size_t)q->free * q->stride;
}

/* The number of the slot that begin gave, 0 to slot_count - 1. */
static inline uint16_t virtio_queue_begin_slot(const struct virtio_queue *q)
{
	return q->free;
}

/* `flags`: 0 or VIRTIO_DESC_WRITE. Descriptors that the device reads come before those it
 * writes. */
static inline void virtio_desc_set(
	struct virtio_desc *d, uint64_t addr, uint32_t len, unsigned flags)
{
	d->addr = addr;
	d->len = len;
	d->flags = (uint16_t)(flags | VIRTIO_DESC_NEXT);
}

static inline uint16_t virtio_load_(const uint16_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline void virtio_store_(uint16_t *p, uint16_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELAXED);
}

static inline void virtio_barrier_(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* With event indices there is no "never": the event is put just behind us, where the device's index
 * comes by once in 65536 completions. */
static inline void virtio_queue_disarm(struct virtio_queue *q)
{
	if (!q->armed)
		return;
	q->armed = false;
	if (q->event_idx)
		virtio_store_(&q->avail->ring[q->size], (uint16_t)(q->used_next - 1));
	else
		virtio_store_(&q->avail->flags, VIRTIO_AVAIL_NO_INTERRUPT);
}

/* Where each part of a queue's memory begins. */
struct virtio_layout_ {
	size_t avail, used, table, slot, end;
	uint32_t head_shift, stride, slot_count;
	bool indirect;
};

static inline size_t virtio_round_up_(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

static inline struct virtio_layout_ virtio_layout_of_(
	uint32_t size, uint32_t segments, bool indirect)
{
	ASSERT(size && size <= VIRTIO_QUEUE_SIZE_MAX && !(size & (size - 1)));
	ASSERT(segments && segments <= size);
	struct virtio_layout_ l = {.indirect = indirect && segments > 1};
	if (!l.indirect)
		while (1u << l.head_shift < segments)
			l.head_shift++;
	l.stride = l.indirect ? segments : 1u << l.head_shift;
	l.slot_count = size >> l.head_shift;
	l.avail = virtio_round_up_(sizeof(struct virtio_desc) * size);
	l.used = l.avail + virtio_round_up_(sizeof(struct virtio_avail) + 2 * size + 2);
	l.table = l.used + virtio_round_up_(sizeof(struct virtio_used) +
		sizeof(struct virtio_used_entry) * size + 2);
	size_t tables = l.indirect ? sizeof(struct virtio_desc) * l.stride * l.slot_count : 0;
	l.slot = l.table + virtio_round_up_(tables);
	l.end = l.slot + virtio_round_up_(sizeof(struct virtio_slot) * l.slot_count);
	return l;
}

/* A request of one segment needs no indirect table: `indirect` is then ignored.
 * The bytes that init needs, a multiple of 64, for a ring of `size` entries (a power of two, at
 * most VIRTIO_QUEUE_SIZE_MAX) and requests of at most `segments` descriptors (1 to size). */
static inline size_t virtio_queue_memory_size(uint32_t size, uint32_t segments, bool indirect)
{
	return virtio_layout_of_(size, segments, indirect).end;
}

/* The `next` fields never change: within a table each descriptor points at the one behind it. */
static inline void virtio_link_tables_(struct virtio_queue *q)
{
	for (uint32_t s = 0; s < q->slot_count; s++) {
		struct virtio_desc *t = q->table + (size_t)s * q->stride;
		uint32_t first = q->indirect ? 0 : s << q->head_shift;
		for (uint32_t i = 0; i < q->stride; i++)
			t[i].next = (uint16_t)(first + i + 1);
	}
}

/* `memory`, aligned to 64 and zero, is the queue's and the device's until the device is reset; the device
 * sees it at `dma`. It is not cleared here: it is much, and fresh pages are clear. */
static inline void virtio_queue_init(struct virtio_queue *q, void *memory, uint64_t dma,
	uint32_t size, uint32_t segments, bool indirect, bool event_idx)
{
	struct virtio_layout_ l = virtio_layout_of_(size, segments, indirect);
	uint8_t *base = memory;
	*q = (struct virtio_queue){
		.desc = (void *)base,
		.avail = (void *)(base + l.avail),
		.used = (void *)(base + l.used),
		.table = (void *)(base + (l.indirect ? l.table : 0)),
		.slot = (void *)(base + l.slot),
		.desc_dma = dma,
		.avail_dma = dma + l.avail,
		.used_dma = dma + l.used,
		.table_dma = dma + l.table,
		.stride = l.stride,
		.size = (uint16_t)size,
		.mask = (uint16_t)(size - 1),
		.slot_count = (uint16_t)l.slot_count,
		.head_shift = (uint16_t)l.head_shift,
		.indirect = l.indirect,
		.event_idx = event_idx,
		.armed = true,
	};
	for (uint32_t s = 0; s < l.slot_count; s++)
		q->slot[s].free_next = (uint16_t)(s + 1 < l.slot_count ? s + 1 : VIRTIO_SLOT_NONE);
	virtio_link_tables_(q);
	virtio_queue_disarm(q);
}

/* The descriptor of the ring for a slot whose descriptors are in a table of their own. One that has
 * a single descriptor takes it over: the device need not fetch the table. */
static inline void virtio_point_at_table_(struct virtio_queue *q, uint16_t slot, uint32_t count)
{
	struct virtio_desc *d = &q->desc[slot];
	size_t offset = (size_t)slot * q->stride * sizeof(struct virtio_desc);
	if (count == 1) {
		*d = q->table[(size_t)slot * q->stride];
		return;
	}
	d->addr = q->table_dma + offset;
	d->len = count * (uint32_t)sizeof(struct virtio_desc);
	d->flags = VIRTIO_DESC_INDIRECT;
}

/* Takes the slot that begin gave, with its first `count` descriptors (1 to segments). The device
 * may report at most `writable` bytes written. `token`, not NULL, comes back from pop. */
static inline void virtio_queue_submit(
	struct virtio_queue *q, uint32_t count, uint32_t writable, void *token)
{
	uint16_t slot = q->free;
	ASSERT(slot != VIRTIO_SLOT_NONE && count && count <= q->stride && token);
	struct virtio_slot *s = &q->slot[slot];
	q->free = s->free_next;
	q->in_flight++;
	s->token = token;
	s->writable = writable;
	struct virtio_desc *last = &q->table[(size_t)slot * q->stride + count - 1];
	last->flags = (uint16_t)(last->flags & ~VIRTIO_DESC_NEXT);
	if (q->indirect)
		virtio_point_at_table_(q, slot, count);
	virtio_store_(&q->avail->ring[q->avail_next & q->mask], (uint16_t)(slot << q->head_shift));
	q->avail_next++;
}

/* Shows the device what was submitted since the last kick. True: it wants to be notified. */
static inline bool virtio_queue_kick(struct virtio_queue *q)
{
	uint16_t old = q->avail_shown, new = q->avail_next;
	if (old == new || q->broken)
		return false;
	__atomic_store_n(&q->avail->index, new, __ATOMIC_RELEASE);
	q->avail_shown = new;
	virtio_barrier_();
	if (!q->event_idx)
		return !(virtio_load_(&q->used->flags) & VIRTIO_USED_NO_NOTIFY);
	uint16_t event = virtio_load_((uint16_t *)(void *)&q->used->ring[q->size]);
	return virtio_event_passed(event, new, old);
}

/* How many finished requests have not been popped; more than the device holds are impossible. */
static inline uint16_t virtio_pending_(struct virtio_queue *q)
{
	uint16_t index = __atomic_load_n(&q->used->index, __ATOMIC_ACQUIRE);
	uint16_t n = (uint16_t)(index - q->used_next);
	uint16_t shown = (uint16_t)(q->in_flight - (uint16_t)(q->avail_next - q->avail_shown));
	if (UNLIKELY(n > shown)) {
		q->broken = true;
		return 0;
	}
	return n;
}

static inline void virtio_release_(struct virtio_queue *q, uint32_t slot)
{
	q->slot[slot].token = NULL;
	q->slot[slot].free_next = q->free;
	q->free = (uint16_t)slot;
	q->in_flight--;
}

/* How many requests the device has finished, each for one virtio_queue_take; 0 also when the queue is broken. */
static inline uint16_t virtio_queue_ready(struct virtio_queue *q)
{
	uint16_t n = LIKELY(!q->broken) ? virtio_pending_(q) : 0;
	if (n && q->armed)
		virtio_queue_disarm(q);
	return n;
}

/* The token of the next of those that virtio_queue_ready has counted, and how many bytes the device says it wrote;
 * NULL when the queue is broken. */
static inline void *virtio_queue_take(struct virtio_queue *q, uint32_t *written)
{
	const struct virtio_used_entry *e = &q->used->ring[q->used_next & q->mask];
	uint32_t id = __atomic_load_n(&e->id, __ATOMIC_RELAXED);
	uint32_t len = __atomic_load_n(&e->len, __ATOMIC_RELAXED);
	uint32_t slot = id >> q->head_shift;
	if (UNLIKELY(slot >= q->slot_count || slot << q->head_shift != id ||
		    !q->slot[slot].token || len > q->slot[slot].writable)) {
		q->broken = true;
		return NULL;
	}
	void *token = q->slot[slot].token;
	q->used_next++;
	virtio_release_(q, slot);
	*written = len;
	return token;
}

/* The next one that is finished, one by one; NULL when there is none (or the queue is broken). */
static inline void *virtio_queue_pop(struct virtio_queue *q, uint32_t *written)
{
	return virtio_queue_ready(q) ? virtio_queue_take(q, written) : NULL;
}

/* Asks for an interrupt as soon as `count` (at least 1) more requests are finished; true when they
 * already are, in which case the interrupt may never come. */
static inline bool virtio_queue_arm(struct virtio_queue *q, uint16_t count)
{
	if (q->broken)
		return true;
	q->armed = true;
	if (q->event_idx)
		virtio_store_(&q->avail->ring[q->size], (uint16_t)(q->used_next + count - 1));
	else
		virtio_store_(&q->avail->flags, 0);
	virtio_barrier_();
	return virtio_pending_(q) >= count || q->broken;
}

/* After the device was reset: the token of some request that was still in flight, NULL after the
 * last. The queue is broken from the first call on. */
static inline void *virtio_queue_drain(struct virtio_queue *q)
{
	q->broken = true;
	while (q->drain_next < q->slot_count) {
		uint32_t slot = q->drain_next++;
		void *token = q->slot[slot].token;
		if (token) {
			virtio_release_(q, slot);
			return token;
		}
	}
	return NULL;
}

#endif
