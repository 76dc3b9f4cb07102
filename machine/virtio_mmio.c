/* virtio over memory-mapped registers (virtio 1.2, 4.2), version 2. */
#include "virtio.h"

#define MAGIC 0x000u
#define VERSION 0x004u
#define DEVICE_ID 0x008u
#define DEVICE_FEATURES 0x010u
#define DEVICE_FEATURES_SELECT 0x014u
#define DRIVER_FEATURES 0x020u
#define DRIVER_FEATURES_SELECT 0x024u
#define QUEUE_SELECT 0x030u
#define QUEUE_SIZE_MAX 0x034u
#define QUEUE_SIZE 0x038u
#define QUEUE_READY 0x044u
#define QUEUE_NOTIFY 0x050u
#define INTERRUPT_STATUS 0x060u
#define INTERRUPT_ACK 0x064u
#define STATUS 0x070u
#define QUEUE_DESC 0x080u
#define QUEUE_DRIVER 0x090u
#define QUEUE_DEVICE 0x0a0u
#define GENERATION 0x0fcu
#define CONFIG 0x100u

#define MAGIC_VALUE 0x74726976u /* "virt" */
#define INTERRUPT_CONFIG 2u

static volatile uint32_t *reg(struct virtio_device *d, uint32_t offset)
{
	return (volatile uint32_t *)(volatile void *)(d->registers + offset);
}

static uint8_t mmio_status(struct virtio_device *d)
{
	return (uint8_t)*reg(d, STATUS);
}

static void mmio_set_status(struct virtio_device *d, uint8_t status)
{
	*reg(d, STATUS) = status;
}

static uint64_t mmio_offered(struct virtio_device *d)
{
	*reg(d, DEVICE_FEATURES_SELECT) = 1;
	uint64_t high = *reg(d, DEVICE_FEATURES);
	*reg(d, DEVICE_FEATURES_SELECT) = 0;
	return high << 32 | *reg(d, DEVICE_FEATURES);
}

static void mmio_accept(struct virtio_device *d, uint64_t features)
{
	*reg(d, DRIVER_FEATURES_SELECT) = 0;
	*reg(d, DRIVER_FEATURES) = (uint32_t)features;
	*reg(d, DRIVER_FEATURES_SELECT) = 1;
	*reg(d, DRIVER_FEATURES) = (uint32_t)(features >> 32);
}

static uint32_t mmio_generation(struct virtio_device *d)
{
	return *reg(d, GENERATION);
}

static uint32_t mmio_queue_size_max(struct virtio_device *d, uint16_t index)
{
	*reg(d, QUEUE_SELECT) = index;
	return *reg(d, QUEUE_READY) ? 0 : *reg(d, QUEUE_SIZE_MAX);
}

static void write64(struct virtio_device *d, uint32_t offset, uint64_t v)
{
	*reg(d, offset) = (uint32_t)v;
	*reg(d, offset + 4) = (uint32_t)(v >> 32);
}

static bool mmio_queue_start(struct virtio_device *d, uint16_t index, const struct virtio_queue *q,
	volatile void **bell)
{
	*reg(d, QUEUE_SELECT) = index;
	*reg(d, QUEUE_SIZE) = q->size;
	write64(d, QUEUE_DESC, q->desc_dma);
	write64(d, QUEUE_DRIVER, q->avail_dma);
	write64(d, QUEUE_DEVICE, q->used_dma);
	*reg(d, QUEUE_READY) = 1;
	*bell = d->registers + QUEUE_NOTIFY;
	return *reg(d, QUEUE_READY) == 1;
}

/* The device holds its line until it is told that we have seen why; before that no further edge
 * comes. So this stands before the look at the rings. */
static bool mmio_acknowledge(struct virtio_device *d)
{
	if (!machine_interrupt_take(d->machine, d->vector))
		return false;
	uint32_t why = *reg(d, INTERRUPT_STATUS);
	*reg(d, INTERRUPT_ACK) = why & 3;
	return why & INTERRUPT_CONFIG;
}

static const struct virtio_transport mmio_transport = {
	.status = mmio_status,
	.set_status = mmio_set_status,
	.offered = mmio_offered,
	.accept = mmio_accept,
	.generation = mmio_generation,
	.queue_size_max = mmio_queue_size_max,
	.queue_start = mmio_queue_start,
	.acknowledge = mmio_acknowledge,
};

/* Whether anybody sleeps until this kind of device interrupts. The others get no line: a device
 * raises it at its first completion whatever the ring asks for, and as their rings are not polled in
 * each round, nobody would acknowledge it, and a line that stays up ends every sleep. */
static bool is_waited_for(enum virtio_id id)
{
	return id == VIRTIO_ID_NET || id == VIRTIO_ID_BLOCK;
}

static bool line_connect(struct machine *m, const struct virtio_mmio_window *w, struct virtio_device *d)
{
	d->vector = machine_vector_allocate(m);
	if (d->vector && machine_irq_route(m, w->gsi, d->vector, w->level))
		return true;
	machine_log(m, "virtio-mmio at %lx: no way to deliver interrupt %u", w->phys, w->gsi);
	return false;
}

static void try_window(struct machine *m, const struct virtio_mmio_window *w, enum virtio_id id,
	virtio_attach *attach)
{
	struct virtio_device d = {
		.machine = m,
		.transport = &mmio_transport,
		.wide_bell = true,
		.name = "virtio-mmio",
	};
	if (w->len <= CONFIG)
		return;
	d.registers = machine_map_mmio(m, w->phys, w->len);
	d.config = d.registers + CONFIG;
	d.config_len = w->len - CONFIG;
	if (!d.registers || *reg(&d, MAGIC) != MAGIC_VALUE || *reg(&d, DEVICE_ID) != (uint32_t)id)
		return;
	if (*reg(&d, VERSION) != 2) {
		machine_log(m,
			"virtio-mmio at %lx speaks the legacy interface; it is left alone (QEMU: "
			"-global virtio-mmio.force-legacy=false)",
			w->phys);
		return;
	}
	if (!is_waited_for(id) || line_connect(m, w, &d))
		attach(m, &d);
}

void virtio_mmio_find(struct machine *m, enum virtio_id id, virtio_attach *attach)
{
	for (uint32_t i = 0; i < m->virtio_mmio_count; i++)
		try_window(m, &m->virtio_mmio[i], id, attach);
}
