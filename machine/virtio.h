/* A virtio device: what its transport (PCI or MMIO) and the device drivers agree on.
 *
 *   found -> (virtio_start: reset, ACKNOWLEDGE, DRIVER, features, FEATURES_OK)
 *         -> virtio_ring_start for each queue -> virtio_ready (DRIVER_OK) -> in use
 *   from any of these -> virtio_fail: reset, FAILED; it stays out of use
 *
 * Specification: virtio 1.2, chapters 2, 3 and 4. Only modern devices; of transitional ones the
 * modern interface. */
#ifndef MACHINE_VIRTIO_H
#define MACHINE_VIRTIO_H

#include "machine.h"
#include "virtio_queue.h"

enum virtio_id {
	VIRTIO_ID_NET = 1,
	VIRTIO_ID_BLOCK = 2,
	VIRTIO_ID_CONSOLE = 3,
	VIRTIO_ID_ENTROPY = 4,
};

#define VIRTIO_F(bit) (1ull << (bit))
#define VIRTIO_F_INDIRECT_DESC VIRTIO_F(28)
#define VIRTIO_F_EVENT_IDX VIRTIO_F(29)
#define VIRTIO_F_VERSION_1 VIRTIO_F(32)
/* The device goes through the platform's address translation. There is none that we turn on, so
 * addresses stay what they are. */
#define VIRTIO_F_ACCESS_PLATFORM VIRTIO_F(33)

#define VIRTIO_STATUS_ACKNOWLEDGE 1u
#define VIRTIO_STATUS_DRIVER 2u
#define VIRTIO_STATUS_DRIVER_OK 4u
#define VIRTIO_STATUS_FEATURES_OK 8u
#define VIRTIO_STATUS_NEEDS_RESET 64u
#define VIRTIO_STATUS_FAILED 128u

struct virtio_device;

struct virtio_transport {
	uint8_t (*status)(struct virtio_device *);
	void (*set_status)(struct virtio_device *, uint8_t status);
	uint64_t (*offered)(struct virtio_device *);
	void (*accept)(struct virtio_device *, uint64_t features);
	uint32_t (*generation)(struct virtio_device *);
	/* The largest size of a queue, 0 when the device has no such queue. */
	uint32_t (*queue_size_max)(struct virtio_device *, uint16_t index);
	/* Tells the device where the queue is and sets *bell; false when the device refuses. */
	bool (*queue_start)(struct virtio_device *, uint16_t index, const struct virtio_queue *,
		volatile void **bell);
	/* Acknowledges interrupts; whether the configuration may have changed since. */
	bool (*acknowledge)(struct virtio_device *);
};

struct virtio_device {
	struct machine *machine;
	const struct virtio_transport *transport;
	uint64_t features; /* negotiated */
	uint32_t config_len;
	uint8_t vector, config_vector;
	bool wide_bell; /* the bell takes 32 bits, else 16 */
	bool failed;
	char name[16];
	volatile uint8_t *registers; /* PCI: the common configuration; MMIO: the window */
	volatile uint8_t *notify; /* PCI only */
	volatile uint8_t *config; /* `config_len` bytes that are the device's kind's */
	uint32_t notify_len, notify_multiplier;
};

struct virtio_ring {
	struct virtio_queue q;
	volatile void *bell;
	uint16_t index;
	bool wide_bell;
};

/* Calls `attach` for each device of a kind. The structure is attach's to copy; false: it was not
 * taken. Implemented by each transport, and for all of them by virtio_find. */
typedef bool virtio_attach(struct machine *m, const struct virtio_device *found);
void virtio_find(struct machine *m, enum virtio_id id, virtio_attach *attach);
void virtio_pci_find(struct machine *m, enum virtio_id id, virtio_attach *attach);
void virtio_mmio_find(struct machine *m, enum virtio_id id, virtio_attach *attach);

/* "virtio-net" and 0 give "virtio-net0". */
void virtio_name(struct virtio_device *d, const char *kind, uint32_t number);
/* Resets the device and negotiates: `wanted` is what the driver can use; VERSION_1 is required. */
err virtio_start(struct virtio_device *d, uint64_t wanted);
static inline bool virtio_has(const struct virtio_device *d, uint64_t feature)
{
	return d->features & feature;
}
/* Makes queue `index` with at most `size_max` entries (a power of two) for requests of at most
 * `*segments` descriptors, which is lowered to what the queue allows. */
err virtio_ring_start(struct virtio_device *d, struct virtio_ring *r, uint16_t index,
	uint32_t size_max, uint32_t *segments);
void virtio_ready(struct virtio_device *d);
/* Stops the device for good; afterwards it touches no memory. Says why on the console. */
void virtio_fail(struct virtio_device *d, const char *why);
/* Acknowledges interrupts; fails the device when it says that it needs a reset. To be called when a
 * poll begins: it costs a memory access as long as nothing has interrupted. True: the configuration may have
 * changed. */
bool virtio_poll(struct virtio_device *d);

/* Bytes of the device's configuration; zero beyond its end. */
uint8_t virtio_config8(struct virtio_device *d, uint32_t offset);
uint16_t virtio_config16(struct virtio_device *d, uint32_t offset);
uint32_t virtio_config32(struct virtio_device *d, uint32_t offset);
uint64_t virtio_config64(struct virtio_device *d, uint32_t offset);

/* Shows the device what was submitted, and rings its bell if it asks for that; whether it did. */
static inline bool virtio_ring_kick(struct virtio_ring *r)
{
	if (!virtio_queue_kick(&r->q))
		return false;
	if (r->wide_bell)
		*(volatile uint32_t *)r->bell = r->index;
	else
		*(volatile uint16_t *)r->bell = r->index;
	return true;
}

#endif
