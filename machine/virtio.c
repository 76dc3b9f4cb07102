/* The handshake (virtio 1.2, 3.1.1) and what all device drivers share. */
#include "virtio.h"

#include <base/cursor.h>

#define RESET_NS_MAX 1000000000u
#define GENERATION_TRIES 16

void virtio_find(struct machine *m, enum virtio_id id, virtio_attach *attach)
{
	virtio_mmio_find(m, id, attach);
	virtio_pci_find(m, id, attach);
}

void virtio_name(struct virtio_device *d, const char *kind, uint32_t number)
{
	struct writer w = writer_of(d->name, sizeof d->name - 1);
	write_bytes(&w, slice_from_cstr(kind));
	write_dec(&w, number);
	d->name[writer_len(&w)] = 0;
}

/* Reset is complete when the status reads as zero. */
static bool reset(struct virtio_device *d)
{
	uint64_t until = machine_now_ns(d->machine) + RESET_NS_MAX;
	d->transport->set_status(d, 0);
	while (d->transport->status(d)) {
		if (machine_now_ns(d->machine) > until)
			return false;
		cpu_relax();
	}
	return true;
}

static void add_status(struct virtio_device *d, uint32_t bits)
{
	d->transport->set_status(d, (uint8_t)(d->transport->status(d) | bits));
}

err virtio_start(struct virtio_device *d, uint64_t wanted)
{
	if (!reset(d)) {
		virtio_fail(d, "does not reset");
		return ERR(IO);
	}
	add_status(d, VIRTIO_STATUS_ACKNOWLEDGE);
	add_status(d, VIRTIO_STATUS_DRIVER);
	uint64_t offered = d->transport->offered(d);
	if (!(offered & VIRTIO_F_VERSION_1)) {
		virtio_fail(d, "is not a virtio 1.x device");
		return ERR(UNSUPPORTED);
	}
	d->features = offered & (wanted | VIRTIO_F_VERSION_1 | VIRTIO_F_ACCESS_PLATFORM |
		VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX);
	d->transport->accept(d, d->features);
	add_status(d, VIRTIO_STATUS_FEATURES_OK);
	if (!(d->transport->status(d) & VIRTIO_STATUS_FEATURES_OK)) {
		virtio_fail(d, "refuses the features that it offered");
		return ERR(UNSUPPORTED);
	}
	return OK;
}

err virtio_ring_start(struct virtio_device *d, struct virtio_ring *r, uint16_t index,
	uint32_t size_max, uint32_t *segments)
{
	uint32_t size = d->transport->queue_size_max(d, index);
	if (!size || size > VIRTIO_QUEUE_SIZE_MAX) {
		virtio_fail(d, "lacks a queue");
		return ERR(INVALID);
	}
	while (size & (size - 1))
		size &= size - 1;
	if (size > size_max)
		size = size_max;
	if (*segments > size)
		*segments = size;
	bool indirect = virtio_has(d, VIRTIO_F_INDIRECT_DESC);
	size_t len = virtio_queue_memory_size(size, *segments, indirect);
	void *memory = machine_alloc_pages(d->machine, (len + PAGE_SIZE - 1) / PAGE_SIZE);
	if (!memory) {
		virtio_fail(d, "gets no memory for its queues");
		return ERR(NO_MEMORY);
	}
	virtio_queue_init(&r->q, memory, dma_addr_of(memory).value, size, *segments, indirect,
		virtio_has(d, VIRTIO_F_EVENT_IDX));
	r->index = index;
	r->wide_bell = d->wide_bell;
	if (!d->transport->queue_start(d, index, &r->q, &r->bell)) {
		virtio_fail(d, "refuses a queue");
		return ERR(IO);
	}
	return OK;
}

void virtio_ready(struct virtio_device *d)
{
	add_status(d, VIRTIO_STATUS_DRIVER_OK);
}

void virtio_fail(struct virtio_device *d, const char *why)
{
	if (d->failed)
		return;
	d->failed = true;
	machine_log(d->machine, "%s: %s; it is out of use", d->name, why);
	reset(d);
	d->transport->set_status(d, VIRTIO_STATUS_FAILED);
}

bool virtio_poll(struct virtio_device *d)
{
	if (LIKELY(!d->transport->acknowledge(d)) || d->failed)
		return false;
	if (d->transport->status(d) & VIRTIO_STATUS_NEEDS_RESET)
		virtio_fail(d, "has failed and asks for a reset");
	return !d->failed;
}

/* Fields are read with their own width, those of 64 bits as two halves (4.1.3.1, 4.2.2.2). */
static uint32_t config_field(struct virtio_device *d, uint32_t offset, uint32_t width)
{
	if (width > d->config_len || offset > d->config_len - width)
		return 0;
	volatile uint8_t *p = d->config + offset;
	if (width == 1)
		return *p;
	if (width == 2)
		return *(volatile uint16_t *)(volatile void *)p;
	return *(volatile uint32_t *)(volatile void *)p;
}

uint8_t virtio_config8(struct virtio_device *d, uint32_t offset)
{
	return (uint8_t)config_field(d, offset, 1);
}

uint16_t virtio_config16(struct virtio_device *d, uint32_t offset)
{
	return (uint16_t)config_field(d, offset, 2);
}

uint32_t virtio_config32(struct virtio_device *d, uint32_t offset)
{
	return config_field(d, offset, 4);
}

uint64_t virtio_config64(struct virtio_device *d, uint32_t offset)
{
	uint64_t v = 0;
	for (uint32_t tries = 0; tries < GENERATION_TRIES; tries++) {
		uint32_t before = d->transport->generation(d);
		v = config_field(d, offset, 4) | (uint64_t)config_field(d, offset + 4, 4) << 32;
		if (d->transport->generation(d) == before)
			break;
	}
	return v;
}
