/* virtio over PCI (virtio 1.2, 4.1): vendor capabilities say where in which BAR each part lies. */
#include "virtio.h"

#include "pci.h"

#define VENDOR_VIRTIO 0x1af4u
#define ID_TRANSITIONAL 0x1000u /* to 0x103f; the kind is in the subsystem id */
#define ID_MODERN 0x1040u       /* + the kind */
#define SUBSYSTEM_ID 0x2eu

#define CAPABILITY_COMMON 1u
#define CAPABILITY_NOTIFY 2u
#define CAPABILITY_DEVICE 4u
#define VENDOR_CAPABILITIES_MAX 32

/* The common configuration. */
#define DEVICE_FEATURE_SELECT 0x00u
#define DEVICE_FEATURE 0x04u
#define DRIVER_FEATURE_SELECT 0x08u
#define DRIVER_FEATURE 0x0cu
#define CONFIG_VECTOR 0x10u
#define DEVICE_STATUS 0x14u
#define CONFIG_GENERATION 0x15u
#define QUEUE_SELECT 0x16u
#define QUEUE_SIZE 0x18u
#define QUEUE_VECTOR 0x1au
#define QUEUE_ENABLE 0x1cu
#define QUEUE_NOTIFY_OFFSET 0x1eu
#define QUEUE_DESC 0x20u
#define QUEUE_DRIVER 0x28u
#define QUEUE_DEVICE 0x30u
#define COMMON_LEN 56u

#define ENTRY_QUEUES 0u /* of the MSI-X table */
#define ENTRY_CONFIG 1u

static volatile uint16_t *reg16(struct virtio_device *d, uint32_t offset)
{
	return (volatile uint16_t *)(volatile void *)(d->registers + offset);
}

static volatile uint32_t *reg32(struct virtio_device *d, uint32_t offset)
{
	return (volatile uint32_t *)(volatile void *)(d->registers + offset);
}

static uint8_t pci_status(struct virtio_device *d)
{
	return d->registers[DEVICE_STATUS];
}

static void pci_set_status(struct virtio_device *d, uint8_t status)
{
	d->registers[DEVICE_STATUS] = status;
}

static uint64_t pci_offered(struct virtio_device *d)
{
	*reg32(d, DEVICE_FEATURE_SELECT) = 1;
	uint64_t high = *reg32(d, DEVICE_FEATURE);
	*reg32(d, DEVICE_FEATURE_SELECT) = 0;
	return high << 32 | *reg32(d, DEVICE_FEATURE);
}

static void pci_accept(struct virtio_device *d, uint64_t features)
{
	*reg32(d, DRIVER_FEATURE_SELECT) = 0;
	*reg32(d, DRIVER_FEATURE) = (uint32_t)features;
	*reg32(d, DRIVER_FEATURE_SELECT) = 1;
	*reg32(d, DRIVER_FEATURE) = (uint32_t)(features >> 32);
	*reg16(d, CONFIG_VECTOR) = ENTRY_CONFIG;
}

static uint32_t pci_generation(struct virtio_device *d)
{
	return d->registers[CONFIG_GENERATION];
}

static uint32_t pci_queue_size_max(struct virtio_device *d, uint16_t index)
{
	*reg16(d, QUEUE_SELECT) = index;
	return *reg16(d, QUEUE_SIZE);
}

static void write64(struct virtio_device *d, uint32_t offset, uint64_t v)
{
	*reg32(d, offset) = (uint32_t)v;
	*reg32(d, offset + 4) = (uint32_t)(v >> 32);
}

static bool pci_queue_start(struct virtio_device *d, uint16_t index, const struct virtio_queue *q,
	volatile void **bell)
{
	*reg16(d, QUEUE_SELECT) = index;
	*reg16(d, QUEUE_SIZE) = q->size;
	*reg16(d, QUEUE_VECTOR) = ENTRY_QUEUES;
	uint64_t offset = (uint64_t)*reg16(d, QUEUE_NOTIFY_OFFSET) * d->notify_multiplier;
	if (*reg16(d, QUEUE_VECTOR) != ENTRY_QUEUES || *reg16(d, QUEUE_SIZE) != q->size ||
		offset + 2 > d->notify_len || offset & 1)
		return false;
	write64(d, QUEUE_DESC, q->desc_dma);
	write64(d, QUEUE_DRIVER, q->avail_dma);
	write64(d, QUEUE_DEVICE, q->used_dma);
	*reg16(d, QUEUE_ENABLE) = 1;
	*bell = d->notify + offset;
	return *reg16(d, QUEUE_ENABLE) == 1;
}

/* With MSI-X there is nothing to acknowledge: the ISR register is not used. */
static bool pci_acknowledge(struct virtio_device *d)
{
	return machine_interrupt_take(d->machine, d->config_vector);
}

static const struct virtio_transport pci_transport = {
	.status = pci_status,
	.set_status = pci_set_status,
	.offered = pci_offered,
	.accept = pci_accept,
	.generation = pci_generation,
	.queue_size_max = pci_queue_size_max,
	.queue_start = pci_queue_start,
	.acknowledge = pci_acknowledge,
};

/* Maps what a vendor capability describes, when it is at least `least` bytes long. */
static volatile uint8_t *map_part(
	const struct pci_function *f, uint32_t at, uint32_t least, uint32_t *len)
{
	uint32_t offset = pci_read32(f, at + 8);
	*len = pci_read32(f, at + 12);
	struct pci_bar bar = pci_bar_read(f, pci_read8(f, at + 4));
	if (!bar.base || *len < least || *len > bar.len || offset > bar.len - *len || offset & 3)
		return NULL;
	return machine_map_mmio(f->machine, bar.base + offset, *len);
}

/* Of several capabilities of a kind the first that we can use counts. */
static void find_part(const struct pci_function *f, uint32_t at, struct virtio_device *d)
{
	uint32_t len;
	uint8_t cap_len = pci_read8(f, at + 2), kind = pci_read8(f, at + 3);
	if (cap_len < 16 || at + cap_len > 256)
		return;
	if (kind == CAPABILITY_COMMON && !d->registers) {
		d->registers = map_part(f, at, COMMON_LEN, &len);
	} else if (kind == CAPABILITY_NOTIFY && !d->notify && cap_len >= 20) {
		d->notify = map_part(f, at, 2, &d->notify_len);
		d->notify_multiplier = pci_read32(f, at + 16);
	} else if (kind == CAPABILITY_DEVICE && !d->config) {
		d->config = map_part(f, at, 1, &d->config_len);
		if (!d->config)
			d->config_len = 0;
	}
}

static bool set_up(const struct pci_function *f, struct virtio_device *d)
{
	uint32_t at = 0;
	for (int i = 0; i < VENDOR_CAPABILITIES_MAX; i++) {
		at = pci_capability_next(f, PCI_CAPABILITY_VENDOR, at);
		if (!at)
			break;
		find_part(f, at, d);
	}
	if (!d->registers || !d->notify)
		return false;
	d->vector = machine_vector_allocate(d->machine);
	d->config_vector = machine_vector_allocate(d->machine);
	if (!d->vector || !d->config_vector)
		return false;
	pci_enable(f);
	return pci_msix_enable(f, (uint8_t[]){d->vector, d->config_vector}, 2);
}

struct search {
	enum virtio_id id;
	virtio_attach *attach;
};

static uint32_t kind_of(const struct pci_function *f)
{
	if (f->vendor != VENDOR_VIRTIO)
		return 0;
	if (f->id >= ID_MODERN && f->id < ID_MODERN + 0x40)
		return f->id - ID_MODERN;
	if (f->id >= ID_TRANSITIONAL && f->id < ID_MODERN)
		return pci_read16(f, SUBSYSTEM_ID);
	return 0;
}

static void visit(void *cookie, const struct pci_function *f)
{
	const struct search *s = cookie;
	if (kind_of(f) != (uint32_t)s->id)
		return;
	struct virtio_device d = {
		.machine = f->machine,
		.transport = &pci_transport,
		.name = "virtio-pci",
	};
	if (set_up(f, &d))
		s->attach(f->machine, &d);
	else
		machine_log(f->machine,
			"PCI %x:%x.%x: virtio device %u lacks its modern registers, an assigned "
			"BAR or MSI-X; it is left alone",
			f->bus, f->device, f->function, (unsigned)s->id);
}

void virtio_pci_find(struct machine *m, enum virtio_id id, virtio_attach *attach)
{
	struct search s = {id, attach};
	pci_walk(m, visit, &s);
}
