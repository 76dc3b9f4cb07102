/* virtio-net (virtio 1.2, 5.1), one pair of queues.
 *
 * Invariants:
 * 1. A frame to send is one slot: a descriptor with our header and the frame's, which lie side by
 *    side in frame_tx, and one for each segment. Nothing is copied.
 * 2. A received frame lies where the device put it, behind the device's header in the first buffer.
 *    Buffers are aligned to 2 at least. Those of one frame may arrive over several polls; they wait
 *    in `partial`.
 * 3. A poll that finds nothing arms the interrupt and looks once more, so that whoever then sleeps
 *    is woken. Sent frames raise interrupts only when many are under way or one was refused.
 * 4. A device that breaks the rules is reset; all frames go back to their owners, and those that
 *    are sent afterwards are dropped: `done` is called for each. */
#include "virtio.h"

#include <base/assert.h>

#define F_CSUM VIRTIO_F(0)
#define F_GUEST_CSUM VIRTIO_F(1)
#define F_MTU VIRTIO_F(3)
#define F_MAC VIRTIO_F(5)
#define F_HOST_TSO4 VIRTIO_F(11)
#define F_HOST_TSO6 VIRTIO_F(12)
#define F_HOST_ECN VIRTIO_F(13)
#define F_MRG_RXBUF VIRTIO_F(15)
#define F_STATUS VIRTIO_F(16)
#define WANTED                                                                                     \
	(F_CSUM | F_GUEST_CSUM | F_MTU | F_MAC | F_HOST_TSO4 | F_HOST_TSO6 | F_HOST_ECN |          \
		F_MRG_RXBUF | F_STATUS)

#define CONFIG_MAC 0u
#define CONFIG_MTU 10u

/* Before each frame, both ways. */
struct header {
	uint8_t flags, gso;
	uint16_t header_len, gso_size, checksum_start, checksum_offset;
	uint16_t buffers; /* received: the frame lies in that many */
};
#define HEADER_LEN 12u
#define FLAG_NEEDS_CSUM 1u
#define FLAG_DATA_VALID 2u
#define GSO_TCP4 1u
#define GSO_TCP6 4u
#define GSO_ECN 0x80u

#define TCP_FLAGS 13u /* offset in the TCP header */
#define TCP_CWR 0x80u

#define QUEUE_SIZE 256u
#define DIRECT_SEGMENTS_MAX 8u /* without indirect descriptors, so that more frames fit */
#define TX_INTERRUPT_MIN 16u /* frames under way that are worth an interrupt when they are done */
#define MTU_MIN 1280u
#define MTU_DEFAULT 1500u

_Static_assert(sizeof(struct header) == HEADER_LEN, "as on the wire");
_Static_assert(FRAME_TX_HEADROOM >= HEADER_LEN && FRAME_TX_HEADROOM % 2 == 0,
	"the header lies in the headroom, aligned");

struct virtio_net {
	struct net_device net; /* first: a device pointer is a pointer to this */
	struct virtio_device device;
	struct virtio_ring rx, tx;
	struct {
		struct frame_rx *head, *tail;
		uint32_t left; /* buffers still to come; 0: no frame is under way */
		bool drop;
	} partial;
	struct list dropped; /* sent after the device failed, not yet `done` */
	bool tx_refused;
	bool over; /* the device has failed and everything was handed back */
};

static struct virtio_net *net_of(struct net_device *d)
{
	return (struct virtio_net *)(void *)d;
}

/* --- Transmit --- */

/* Field by field: where the build forbids the compiler to know memcpy, store_le16() is a call. */
static void header_write(const struct virtio_net *n, struct frame_tx *f)
{
	struct header *h = (struct header *)(void *)(f->header + FRAME_TX_HEADROOM - HEADER_LEN);
	h->flags = f->checksum_start ? FLAG_NEEDS_CSUM : 0;
	h->gso = 0;
	h->gso_size = 0;
	h->header_len = f->header_len;
	h->checksum_start = f->checksum_start;
	h->checksum_offset = f->checksum_offset;
	h->buffers = 0;
	if (f->gso == FRAME_GSO_NONE)
		return;
	h->gso = f->gso == FRAME_GSO_TCP4 ? GSO_TCP4 : GSO_TCP6;
	h->gso_size = f->gso_size;
	if (virtio_has(&n->device, F_HOST_ECN) &&
		f->header[FRAME_TX_HEADROOM + f->checksum_start + TCP_FLAGS] & TCP_CWR)
		h->gso |= GSO_ECN;
}

static bool net_send(struct net_device *d, struct frame_tx *f)
{
	struct virtio_net *n = net_of(d);
	if (UNLIKELY(n->over)) {
		list_push_back(&n->dropped, &f->link);
		return true;
	}
	struct virtio_desc *table = virtio_queue_begin(&n->tx.q);
	if (UNLIKELY(!table)) {
		n->tx_refused = true;
		return false;
	}
	ASSERT(f->segment_count <= d->tx_segments_max && f->header_len <= FRAME_TX_HEADER_MAX);
	header_write(n, f);
	virtio_desc_set(table, dma_addr_of(f->header + FRAME_TX_HEADROOM - HEADER_LEN).value,
		f->header_len + HEADER_LEN, 0);
	struct virtio_desc *to = table + 1;
	for (const struct slice *s = f->segment, *end = s + f->segment_count; s < end; s++) {
		if (UNLIKELY(!s->len))
			continue; /* an empty descriptor is not allowed */
		virtio_desc_set(to++, dma_addr_of(s->ptr).value, (uint32_t)s->len, 0);
	}
	virtio_queue_submit(&n->tx.q, (uint32_t)(to - table), VIRTIO_ANY_LENGTH, f);
	return true;
}

static void net_kick(struct net_device *d)
{
	struct virtio_net *n = net_of(d);
	if (UNLIKELY(n->over))
		return;
	if (virtio_ring_kick(&n->tx))
		d->tx_kicks++;
	virtio_ring_kick(&n->rx); /* the buffers given since */
}

static uint32_t transmitted(struct virtio_net *n)
{
	struct frame_tx *f;
	uint32_t ignored, count = 0;
	for (uint32_t left = virtio_queue_ready(&n->tx.q); left; left--) {
		if (UNLIKELY(!(f = virtio_queue_take(&n->tx.q, &ignored))))
			break;
		f->done(f->owner, f);
		count++;
	}
	n->net.tx_frames += count;
	if (count)
		n->tx_refused = false;
	return count;
}

/* --- Receive --- */

static bool net_give(struct net_device *d, struct frame_rx *f)
{
	struct virtio_net *n = net_of(d);
	struct virtio_desc *table = virtio_queue_begin(&n->rx.q);
	if (UNLIKELY(n->over || !table))
		return false;
	virtio_desc_set(table, dma_addr_of(f->buffer).value, f->capacity, VIRTIO_DESC_WRITE);
	virtio_queue_submit(&n->rx.q, 1, f->capacity, f);
	return true;
}

static enum frame_checksum checksum_of(uint8_t flags)
{
	if (flags & FLAG_NEEDS_CSUM)
		return FRAME_CHECKSUM_PARTIAL;
	return flags & FLAG_DATA_VALID ? FRAME_CHECKSUM_GOOD : FRAME_CHECKSUM_NONE;
}

/* The first buffer of a frame, of which the device has written `written` bytes. */
static void frame_begin(struct virtio_net *n, struct frame_rx *f, uint32_t written)
{
	const struct header *h = (const void *)f->buffer;
	bool valid = written >= HEADER_LEN + FRAME_MTU_HEADER;
	uint32_t buffers = 1;
	if (valid && virtio_has(&n->device, F_MRG_RXBUF))
		buffers = h->buffers;
	if (UNLIKELY(!buffers || buffers > n->rx.q.slot_count)) {
		n->rx.q.broken = true;
		buffers = 1;
		valid = false;
	}
	f->data = f->buffer + HEADER_LEN;
	f->len = valid ? written - HEADER_LEN : 0;
	f->frag = NULL;
	f->checksum = valid && virtio_has(&n->device, F_GUEST_CSUM)
		? checksum_of(h->flags) : FRAME_CHECKSUM_NONE;
	n->partial.head = n->partial.tail = f;
	n->partial.left = buffers - 1;
	n->partial.drop = !valid;
}

static void frame_go_on(struct virtio_net *n, struct frame_rx *f, uint32_t written)
{
	f->data = f->buffer;
	f->len = written;
	f->frag = NULL;
	f->checksum = n->partial.head->checksum;
	n->partial.tail->frag = f;
	n->partial.tail = f;
	n->partial.left--;
}

static uint32_t received(struct virtio_net *n, struct list *into, uint32_t max)
{
	uint32_t count = 0, written;
	struct frame_rx *f;
	for (uint32_t left = virtio_queue_ready(&n->rx.q); left && count < max; left--) {
		if (UNLIKELY(!(f = virtio_queue_take(&n->rx.q, &written))))
			break;
		if (n->partial.left)
			frame_go_on(n, f, written);
		else
			frame_begin(n, f, written);
		if (n->partial.left)
			continue;
		struct frame_rx *whole = n->partial.head;
		n->partial.head = NULL;
		if (UNLIKELY(n->partial.drop)) {
			n->net.rx_dropped++;
			frame_rx_put(whole);
			continue;
		}
		list_push_back(into, &whole->link);
		count++;
	}
	n->net.rx_frames += count;
	return count;
}

/* --- Poll --- */

static void dropped_done(struct virtio_net *n)
{
	struct list *e, all;
	list_init(&all);
	while ((e = list_pop_front(&n->dropped)))
		list_push_back(&all, e);
	while ((e = list_pop_front(&all))) {
		struct frame_tx *f = LIST_ENTRY(e, struct frame_tx, link);
		f->done(f->owner, f);
	}
}

static COLD void net_break(struct virtio_net *n)
{
	if (!n->over) {
		struct frame_rx *r;
		struct frame_tx *t;
		virtio_fail(&n->device, "has broken the rules of its queues");
		n->over = true;
		frame_rx_put(n->partial.head);
		n->partial.head = NULL;
		while ((r = virtio_queue_drain(&n->rx.q))) {
			r->frag = NULL;
			frame_rx_put(r);
		}
		while ((t = virtio_queue_drain(&n->tx.q)))
			t->done(t->owner, t);
	}
	dropped_done(n);
}

/* Nothing was received: whoever asked may sleep next. True when there is something after all. */
static bool arm(struct virtio_net *n)
{
	bool more = !n->rx.q.armed && virtio_queue_arm(&n->rx.q, 1);
	uint16_t sending = n->tx.q.in_flight;
	if (!n->tx.q.armed && sending && (n->tx_refused || sending >= TX_INTERRUPT_MIN))
		more |= virtio_queue_arm(&n->tx.q, sending);
	return more;
}

static uint32_t net_poll(struct net_device *d, struct list *into, uint32_t max)
{
	struct virtio_net *n = net_of(d);
	(void)virtio_poll(&n->device);
	transmitted(n);
	uint32_t count = received(n, into, max);
	if (!count && max && arm(n)) {
		transmitted(n);
		count = received(n, into, max);
	}
	if (UNLIKELY(n->rx.q.broken || n->tx.q.broken || n->device.failed))
		net_break(n);
	return count;
}

/* --- Probe --- */

static void read_config(struct virtio_net *n, uint32_t number)
{
	struct virtio_device *v = &n->device;
	struct net_device *d = &n->net;
	uint16_t mtu = virtio_has(v, F_MTU) ? virtio_config16(v, CONFIG_MTU) : MTU_DEFAULT;
	d->mtu = mtu >= MTU_MIN ? mtu : MTU_DEFAULT;
	for (uint32_t i = 0; i < 6 && virtio_has(v, F_MAC); i++)
		d->mac[i] = virtio_config8(v, CONFIG_MAC + i);
	if (!virtio_has(v, F_MAC))
		memcpy(d->mac, (uint8_t[]){2, 0, 0, 0, 0, (uint8_t)number}, 6);
	d->tx_checksum = virtio_has(v, F_CSUM);
	d->tx_tso4 = d->tx_checksum && virtio_has(v, F_HOST_TSO4);
	d->tx_tso6 = d->tx_checksum && virtio_has(v, F_HOST_TSO6);
}

static bool start_queues(struct virtio_net *n)
{
	uint32_t rx_segments = 1, tx_segments = DIRECT_SEGMENTS_MAX;
	if (virtio_has(&n->device, VIRTIO_F_INDIRECT_DESC))
		tx_segments = 1 + FRAME_TX_SEGMENTS_MAX;
	if (failed(virtio_ring_start(&n->device, &n->rx, 0, QUEUE_SIZE, &rx_segments)) ||
		failed(virtio_ring_start(&n->device, &n->tx, 1, QUEUE_SIZE, &tx_segments)))
		return false;
	n->net.tx_segments_max = tx_segments - 1;
	n->net.rx_capacity = n->rx.q.slot_count;
	return true;
}

static bool net_attach(struct machine *m, const struct virtio_device *found)
{
	uint32_t number = m->platform.net_count;
	struct virtio_net *n =
		machine_alloc_pages(m, (sizeof *n + PAGE_SIZE - 1) / PAGE_SIZE);
	if (!n)
		return false;
	n->device = *found;
	list_init(&n->dropped);
	virtio_name(&n->device, "virtio-net", number);
	memcpy(n->net.name, n->device.name, sizeof n->net.name);
	if (failed(virtio_start(&n->device, WANTED)))
		return false;
	read_config(n, number);
	if (!start_queues(n))
		return false;
	n->net.send = net_send;
	n->net.kick = net_kick;
	n->net.give = net_give;
	n->net.poll = net_poll;
	if (!machine_add_net(m, &n->net)) {
		virtio_fail(&n->device, "is one interface too many");
		return false;
	}
	virtio_ready(&n->device);
	return true;
}

static void net_probe(struct machine *m)
{
	virtio_find(m, VIRTIO_ID_NET, net_attach);
}

MACHINE_DRIVER(virtio_net, "virtio-net", net_probe);
