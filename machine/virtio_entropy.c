/* virtio-rng (virtio 1.2, 5.4): a buffer goes to the device, which fills it with random bytes in
 * its own time. A read sleeps until then, within a limit; when the limit passes, the buffer stays with
 * the device, and later reads take what it has brought without waiting. */
#include "virtio.h"

#define BUFFER_LEN 512u
#define WAIT_NS_MAX 100000000u
#define SLEEP_NS_MAX 1000000u /* should the device not interrupt */

struct virtio_entropy {
	struct virtio_device device;
	struct virtio_ring ring;
	uint8_t *buffer;
	uint32_t asked; /* bytes asked of the device; 0: it has no buffer */
};

static void ask(struct virtio_entropy *r, size_t len)
{
	struct virtio_desc *table = virtio_queue_begin(&r->ring.q);
	if (!table)
		return;
	r->asked = len < BUFFER_LEN ? (uint32_t)len : BUFFER_LEN;
	virtio_desc_set(table, dma_addr_of(r->buffer).value, r->asked, VIRTIO_DESC_WRITE);
	virtio_queue_submit(&r->ring.q, 1, r->asked, r->buffer);
	virtio_ring_kick(&r->ring);
}

/* What the device has brought, at most len bytes; the rest is wiped. */
static size_t collect(struct virtio_entropy *r, uint8_t *out, size_t len)
{
	uint32_t written;
	if (!virtio_queue_pop(&r->ring.q, &written))
		return 0;
	r->asked = 0;
	size_t n = written < len ? written : len;
	memcpy(out, r->buffer, n);
	memset(r->buffer, 0, BUFFER_LEN);
	return n;
}

static size_t entropy_device_read(void *cookie, void *out, size_t len)
{
	struct virtio_entropy *r = cookie;
	struct machine *m = r->device.machine;
	uint64_t until = machine_now_ns(m) + (r->asked ? 0 : WAIT_NS_MAX);
	size_t got = 0;
	(void)virtio_poll(&r->device);
	while (got < len && !r->device.failed) {
		if (!r->asked)
			ask(r, len - got);
		got += collect(r, (uint8_t *)out + got, len - got);
		if (r->ring.q.broken)
			virtio_fail(&r->device, "has broken the rules of its queue");
		uint64_t now = machine_now_ns(m);
		if (now > until)
			break;
		if (r->asked && !virtio_queue_arm(&r->ring.q, 1))
			machine_idle(&m->platform, now + SLEEP_NS_MAX);
	}
	return got;
}

static bool entropy_attach(struct machine *m, const struct virtio_device *found)
{
	uint32_t segments = 1;
	struct virtio_entropy *r = machine_alloc_pages(m, 1);
	if (!r)
		return false;
	_Static_assert(sizeof *r + BUFFER_LEN <= PAGE_SIZE, "both lie in one page");
	r->device = *found;
	r->buffer = (uint8_t *)r + PAGE_SIZE - BUFFER_LEN;
	virtio_name(&r->device, "virtio-rng", 0);
	if (m->entropy_device || failed(virtio_start(&r->device, 0)) ||
		failed(virtio_ring_start(&r->device, &r->ring, 0, 8, &segments)))
		return false;
	virtio_ready(&r->device);
	return machine_add_entropy(m, entropy_device_read, r);
}

static void entropy_probe(struct machine *m)
{
	virtio_find(m, VIRTIO_ID_ENTROPY, entropy_attach);
}

MACHINE_DRIVER(virtio_entropy, "virtio-rng", entropy_probe);
