/* virtio-console (virtio 1.2, 5.3), one port, as a sink for log lines. A line is copied into chunks
 * that wait until the device has read them; a line that does not fit is refused whole, and the
 * machine counts it. Chunks are taken back when the next line comes, so there are no interrupts.
 * Input is not read. */
#include "virtio.h"

#define QUEUE_INPUT 0u
#define QUEUE_OUTPUT 1u
#define CHUNK_LEN 512u
#define CHUNK_COUNT 64u /* 32 KiB of log under way */

struct virtio_console {
	struct virtio_device device;
	struct virtio_ring input, output;
	uint8_t *chunks; /* one for each slot of `output` */
};

static void reclaim(struct virtio_console *c)
{
	uint32_t ignored;
	while (virtio_queue_pop(&c->output.q, &ignored))
		;
	if (c->output.q.broken)
		virtio_fail(&c->device, "has broken the rules of its queue");
}

static bool fits(const struct virtio_console *c, size_t len)
{
	size_t free = (size_t)(c->output.q.slot_count - c->output.q.in_flight);
	return !c->device.failed && len <= free * CHUNK_LEN;
}

static void put_chunk(struct virtio_console *c, const uint8_t *p, size_t len)
{
	struct virtio_desc *table = virtio_queue_begin(&c->output.q);
	uint8_t *chunk = c->chunks + CHUNK_LEN * (size_t)virtio_queue_begin_slot(&c->output.q);
	memcpy(chunk, p, len);
	virtio_desc_set(table, dma_addr_of(chunk).value, (uint32_t)len, 0);
	virtio_queue_submit(&c->output.q, 1, VIRTIO_ANY_LENGTH, chunk);
}

static bool console_write(void *cookie, struct slice line, size_t spare)
{
	struct virtio_console *c = cookie;
	(void)virtio_poll(&c->device);
	reclaim(c);
	if (!fits(c, line.len + spare))
		return false;
	while (line.len) {
		size_t n = line.len < CHUNK_LEN ? line.len : CHUNK_LEN;
		put_chunk(c, line.ptr, n);
		line = slice_of(line.ptr + n, line.len - n);
	}
	virtio_ring_kick(&c->output);
	return true;
}

static bool console_attach(struct machine *m, const struct virtio_device *found)
{
	uint32_t one = 1;
	struct virtio_console *c = machine_alloc_pages(m, 1);
	if (!c)
		return false;
	_Static_assert(sizeof *c <= PAGE_SIZE, "it lies in one page");
	c->device = *found;
	c->chunks = machine_alloc_pages(m, CHUNK_LEN * CHUNK_COUNT / PAGE_SIZE);
	virtio_name(&c->device, "virtio-con", 0);
	if (m->log_device || !c->chunks || failed(virtio_start(&c->device, 0)) ||
		failed(virtio_ring_start(&c->device, &c->input, QUEUE_INPUT, 2, &one)) ||
		failed(virtio_ring_start(&c->device, &c->output, QUEUE_OUTPUT, CHUNK_COUNT, &one)))
		return false;
	virtio_ready(&c->device);
	return machine_add_console(m, console_write, c);
}

static void console_probe(struct machine *m)
{
	virtio_find(m, VIRTIO_ID_CONSOLE, console_attach);
}

MACHINE_DRIVER(virtio_console, "virtio-console", console_probe);
