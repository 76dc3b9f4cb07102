/* What a virtio driver calls of the machine and of virtio.c, for unit tests of one driver: queues
 * of 64 entries, a configuration that the test fills in, and a count of failures. */
#ifndef MACHINE_SUPPORT_VIRTIO_FAKE_H
#define MACHINE_SUPPORT_VIRTIO_FAKE_H

#include "virtio.h"

#include <base/bytes.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static struct {
	uint64_t features; /* what the device offers */
	uint8_t config[64];
	bool config_changed;
	uint32_t failures; /* devices given up */
	uint16_t bell;
	void *pages[8];
	uint32_t page_count;
} fake;

static inline void fake_start(uint64_t features)
{
	memset(&fake, 0, sizeof fake);
	fake.features = features;
}

static inline void fake_stop(void)
{
	for (uint32_t i = 0; i < fake.page_count; i++)
		free(fake.pages[i]);
}

/* The device's side: says that it has finished the request that begins at descriptor `id`. */
static inline void device_returns(struct virtio_queue *q, uint16_t *used, uint32_t id, uint32_t len)
{
	q->used->ring[*used & q->mask] = (struct virtio_used_entry){id, len};
	q->used->index = ++*used;
}

bool machine_add_net(struct machine *m, struct net_device *device)
{
	m->platform.net[m->platform.net_count++] = device;
	return true;
}

bool machine_add_block(struct machine *m, struct block_device *device)
{
	m->platform.block[m->platform.block_count++] = device;
	return true;
}

void *machine_alloc_pages(struct machine *m, size_t count)
{
	(void)m;
	void *p = aligned_alloc(PAGE_SIZE, count * PAGE_SIZE);
	memset(p, 0, count * PAGE_SIZE);
	assert_true(fake.page_count < ARRAY_LEN(fake.pages));
	fake.pages[fake.page_count++] = p;
	return p;
}

void virtio_find(struct machine *m, enum virtio_id id, virtio_attach *attach)
{
	struct virtio_device d = {.machine = m};
	(void)id;
	attach(m, &d);
}

void virtio_name(struct virtio_device *d, const char *kind, uint32_t number)
{
	(void)kind;
	(void)number;
	memcpy(d->name, "fake", 5);
}

err virtio_start(struct virtio_device *d, uint64_t wanted)
{
	d->features = fake.features & (wanted | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX);
	return OK;
}

err virtio_ring_start(struct virtio_device *d, struct virtio_ring *r, uint16_t index,
	uint32_t size_max, uint32_t *segments)
{
	uint32_t size = size_max < 64 ? size_max : 64;
	void *memory = machine_alloc_pages(d->machine, 16);
	virtio_queue_init(&r->q, memory, (uint64_t)(uintptr_t)memory, size, *segments,
		virtio_has(d, VIRTIO_F_INDIRECT_DESC), virtio_has(d, VIRTIO_F_EVENT_IDX));
	r->index = index;
	r->bell = &fake.bell;
	return OK;
}

void virtio_ready(struct virtio_device *d)
{
	(void)d;
}

void virtio_fail(struct virtio_device *d, const char *why)
{
	(void)why;
	fake.failures += !d->failed;
	d->failed = true;
}

bool virtio_poll(struct virtio_device *d)
{
	(void)d;
	bool changed = fake.config_changed;
	fake.config_changed = false;
	return changed;
}

uint8_t virtio_config8(struct virtio_device *d, uint32_t offset)
{
	(void)d;
	return fake.config[offset];
}

uint16_t virtio_config16(struct virtio_device *d, uint32_t offset)
{
	(void)d;
	return load_le16(fake.config + offset);
}

uint32_t virtio_config32(struct virtio_device *d, uint32_t offset)
{
	(void)d;
	return load_le32(fake.config + offset);
}

uint64_t virtio_config64(struct virtio_device *d, uint32_t offset)
{
	(void)d;
	return load_le64(fake.config + offset);
}

#endif
