/* virtio-net against a device that is played here. virtio_net.c is included because machine/ is not
 * built for the host; what it calls of the machine and of virtio.c is in support/virtio_fake.h. */
#include "virtio_net.c"

#include "support/virtio_fake.h"

#define BUFFERS 8u
#define BUFFER_LEN 256u

/* --- The rig --- */

struct rig {
	struct machine machine;
	struct net_device *net;
	struct virtio_net *driver;
	struct frame_rx rx[BUFFERS];
	uint8_t buffer[BUFFERS][BUFFER_LEN];
	struct frame_tx tx[4];
	uint32_t put_count, done_count;
	uint16_t rx_used, tx_used;
};

static void count_put(void *owner, struct frame_rx *f)
{
	(void)f;
	((struct rig *)owner)->put_count++;
}

static void count_done(void *owner, struct frame_tx *f)
{
	(void)f;
	((struct rig *)owner)->done_count++;
}

static struct rig *rig_start(uint64_t features)
{
	struct rig *r = calloc(1, sizeof *r);
	fake_start(features);
	store_le16(fake.config + CONFIG_MTU, 9000);
	memcpy(fake.config + CONFIG_MAC, (uint8_t[]){2, 1, 2, 3, 4, 0x55}, 6);
	net_probe(&r->machine);
	r->net = r->machine.platform.net[0];
	r->driver = net_of(r->net);
	for (uint32_t i = 0; i < BUFFERS; i++) {
		r->rx[i] = (struct frame_rx){.buffer = r->buffer[i], .capacity = BUFFER_LEN,
			.put = count_put, .owner = r};
		list_init(&r->rx[i].link);
		assert_true(r->net->give(r->net, &r->rx[i]));
	}
	for (uint32_t i = 0; i < 4; i++) {
		r->tx[i] = (struct frame_tx){.header_len = 54, .done = count_done, .owner = r};
		list_init(&r->tx[i].link);
	}
	r->net->kick(r->net);
	return r;
}

static void rig_stop(struct rig *r)
{
	fake_stop();
	free(r);
}

static void device_fills(struct rig *r, uint16_t id, uint8_t flags, uint16_t buffers, uint32_t len)
{
	uint8_t *p = (uint8_t *)(uintptr_t)r->driver->rx.q.desc[id].addr;
	p[0] = flags;
	store_le16(p + offsetof(struct header, buffers), buffers);
	device_returns(&r->driver->rx.q, &r->rx_used, id, len);
}

static uint32_t poll(struct rig *r, struct list *into)
{
	list_init(into);
	return r->net->poll(r->net, into, 16);
}

#define USUAL                                                                                      \
	(F_CSUM | F_GUEST_CSUM | F_MAC | F_MTU | F_HOST_TSO4 | F_HOST_ECN | F_MRG_RXBUF |          \
		VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX)

/* --- The tests --- */

static void the_device_is_described_by_its_features(void **state)
{
	(void)state;
	struct rig *r = rig_start(USUAL);
	assert_int_equal(r->net->mtu, 9000);
	assert_int_equal(r->net->mac[5], 0x55);
	assert_true(r->net->tx_checksum && r->net->tx_tso4 && !r->net->tx_tso6);
	assert_int_equal(r->net->tx_segments_max, FRAME_TX_SEGMENTS_MAX);
	rig_stop(r);
	r = rig_start(F_HOST_TSO4); /* segmentation without checksums is useless */
	assert_int_equal(r->net->mtu, 1500);
	assert_false(r->net->tx_checksum || r->net->tx_tso4);
	rig_stop(r);
}

static void a_frame_is_one_descriptor_of_the_ring(void **state)
{
	(void)state;
	struct rig *r = rig_start(USUAL);
	struct frame_tx *f = &r->tx[0];
	struct list got;
	static const uint8_t page[3000];
	f->segment[0] = slice_of(page, 3000);
	f->segment[1] = slice_of(page, 0);
	f->segment[2] = slice_of(page + 8, 100);
	f->segment_count = 3;
	f->checksum_start = 34;
	f->checksum_offset = 16;
	f->gso = FRAME_GSO_TCP4;
	f->gso_size = 1460;
	f->header[FRAME_TX_HEADROOM + 34 + TCP_FLAGS] = TCP_CWR;
	assert_true(r->net->send(r->net, f));
	const struct virtio_queue *q = &r->driver->tx.q;
	assert_int_equal(q->desc[0].flags, VIRTIO_DESC_INDIRECT);
	assert_int_equal(q->desc[0].len, 3 * 16);
	const struct virtio_desc *t = (const void *)(uintptr_t)q->desc[0].addr;
	const uint8_t *h = (const void *)(uintptr_t)t[0].addr;
	assert_ptr_equal(h, f->header + 4);
	assert_int_equal(t[0].len, 12 + 54);
	assert_int_equal(t[1].len, 3000);
	assert_int_equal(t[2].addr, (uintptr_t)(page + 8));
	assert_int_equal(t[2].flags, 0);
	static const uint8_t want[12] = {1, 0x81, 54, 0, 0xb4, 5, 34, 0, 16, 0, 0, 0};
	assert_memory_equal(h, want, 12);
	r->net->kick(r->net);
	assert_int_equal(r->net->tx_kicks, 1);
	assert_int_equal(poll(r, &got), 0);
	assert_int_equal(r->done_count, 0);
	device_returns(&r->driver->tx.q, &r->tx_used, 0, 0);
	poll(r, &got);
	assert_int_equal(r->done_count, 1);
	assert_int_equal(r->net->tx_frames, 1);
	rig_stop(r);
}

static void segments_of_ip6_are_cut_where_the_device_offers_it(void **state)
{
	(void)state;
	struct rig *r = rig_start(USUAL | F_HOST_TSO6);
	struct frame_tx *f = &r->tx[0];
	static const uint8_t page[3000];
	assert_true(r->net->tx_tso6);
	f->segment[0] = slice_of(page, 3000);
	f->segment_count = 1;
	f->checksum_start = 54;
	f->checksum_offset = 16;
	f->gso = FRAME_GSO_TCP6;
	f->gso_size = 1440;
	/* With IPv4's headers these would be TCP's flags. */
	f->header[FRAME_TX_HEADROOM + 34 + TCP_FLAGS] = TCP_CWR;
	assert_true(r->net->send(r->net, f));
	const struct virtio_desc *t = (const void *)(uintptr_t)r->driver->tx.q.desc[0].addr;
	const uint8_t *h = (const void *)(uintptr_t)t[0].addr;
	static const uint8_t want[12] = {1, 4, 54, 0, 0xa0, 5, 54, 0, 16, 0, 0, 0};
	assert_memory_equal(h, want, 12);
	rig_stop(r);
}

static void a_received_frame_lies_behind_the_header(void **state)
{
	(void)state;
	struct rig *r = rig_start(USUAL);
	struct list got;
	static const enum frame_checksum want[] = {
		FRAME_CHECKSUM_NONE, FRAME_CHECKSUM_PARTIAL, FRAME_CHECKSUM_GOOD};
	for (uint8_t flags = 0; flags < 3; flags++) {
		device_fills(r, flags, flags, 1, 12 + 60);
		assert_int_equal(poll(r, &got), 1);
		struct frame_rx *f = LIST_ENTRY(got.next, struct frame_rx, link);
		assert_ptr_equal(f->data, f->buffer + 12);
		assert_int_equal(f->len, 60);
		assert_int_equal(f->checksum, want[flags]);
		assert_null(f->frag);
	}
	rig_stop(r);
}

static void the_buffers_of_one_frame_are_chained_over_polls(void **state)
{
	(void)state;
	struct rig *r = rig_start(USUAL);
	struct list got;
	device_fills(r, 3, FLAG_DATA_VALID, 3, BUFFER_LEN);
	device_returns(&r->driver->rx.q, &r->rx_used, 1, BUFFER_LEN);
	assert_int_equal(poll(r, &got), 0);
	device_returns(&r->driver->rx.q, &r->rx_used, 2, 40);
	assert_int_equal(poll(r, &got), 1);
	struct frame_rx *f = LIST_ENTRY(got.next, struct frame_rx, link);
	assert_ptr_equal(f, &r->rx[3]);
	assert_int_equal(f->len, BUFFER_LEN - 12);
	assert_ptr_equal(f->frag, &r->rx[1]);
	assert_ptr_equal(f->frag->data, f->frag->buffer);
	assert_ptr_equal(f->frag->frag, &r->rx[2]);
	assert_int_equal(f->frag->frag->len, 40);
	assert_null(f->frag->frag->frag);
	frame_rx_put(f);
	assert_int_equal(r->put_count, 3);
	rig_stop(r);
}

static void a_runt_is_dropped_and_counted(void **state)
{
	(void)state;
	struct rig *r = rig_start(USUAL);
	struct list got;
	device_fills(r, 0, 0, 1, 12 + 13);
	device_fills(r, 1, 0, 1, 0);
	device_fills(r, 2, 0, 1, 12 + 14);
	assert_int_equal(poll(r, &got), 1);
	assert_int_equal(r->net->rx_dropped, 2);
	assert_int_equal(r->put_count, 2);
	assert_int_equal(fake.failures, 0);
	rig_stop(r);
}

/* All that the device had goes back, and what is sent later is done without it. */
static void check_broken(struct rig *r, uint32_t put, uint32_t done)
{
	struct list got;
	poll(r, &got);
	assert_int_equal(fake.failures, 1);
	assert_int_equal(r->put_count, put);
	assert_int_equal(r->done_count, done);
	assert_false(r->net->give(r->net, &r->rx[0]));
	assert_true(r->net->send(r->net, &r->tx[3]));
	assert_int_equal(r->done_count, done);
	r->net->kick(r->net);
	poll(r, &got);
	assert_int_equal(r->done_count, done + 1);
	assert_int_equal(fake.failures, 1);
	rig_stop(r);
}

static void a_lying_device_is_given_up_and_nothing_is_lost(void **state)
{
	(void)state;
	static const struct {
		uint16_t id, buffers;
		uint32_t len;
	} lie[] = {
		{0, 0, 100}, {0, 65535, 100}, {0, 1, BUFFER_LEN + 1}, {BUFFERS, 1, 100},
		{999, 1, 100}};
	for (size_t i = 0; i < ARRAY_LEN(lie); i++) {
		struct rig *r = rig_start(USUAL);
		assert_true(r->net->send(r->net, &r->tx[0]));
		assert_true(r->net->send(r->net, &r->tx[1]));
		r->net->kick(r->net);
		if (lie[i].id < BUFFERS)
			device_fills(r, lie[i].id, 0, lie[i].buffers, lie[i].len);
		else
			device_returns(&r->driver->rx.q, &r->rx_used, lie[i].id, lie[i].len);
		check_broken(r, BUFFERS, 2);
	}
}

static void a_frame_half_received_is_given_back_when_the_device_fails(void **state)
{
	(void)state;
	struct rig *r = rig_start(USUAL);
	device_fills(r, 5, 0, 4, BUFFER_LEN);
	device_returns(&r->driver->rx.q, &r->rx_used, 6, BUFFER_LEN);
	device_returns(&r->driver->rx.q, &r->rx_used, 6, BUFFER_LEN);
	check_broken(r, BUFFERS, 0);
}

static void a_full_ring_refuses_and_wants_an_interrupt(void **state)
{
	(void)state;
	struct rig *r = rig_start(USUAL);
	struct frame_tx *many = calloc(65, sizeof *many);
	struct list got;
	for (uint32_t i = 0; i < 65; i++) {
		many[i] = r->tx[0];
		assert_int_equal(r->net->send(r->net, &many[i]), i < 64);
	}
	r->net->kick(r->net);
	assert_false(r->driver->tx.q.armed);
	poll(r, &got);
	assert_true(r->driver->rx.q.armed && r->driver->tx.q.armed);
	assert_int_equal(r->driver->tx.q.avail->ring[64], 63); /* when the last of 64 is done */
	device_returns(&r->driver->tx.q, &r->tx_used, 0, 0);
	poll(r, &got);
	assert_true(r->net->send(r->net, &many[64]));
	free(many);
	rig_stop(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_device_is_described_by_its_features),
		cmocka_unit_test(a_frame_is_one_descriptor_of_the_ring),
		cmocka_unit_test(segments_of_ip6_are_cut_where_the_device_offers_it),
		cmocka_unit_test(a_received_frame_lies_behind_the_header),
		cmocka_unit_test(the_buffers_of_one_frame_are_chained_over_polls),
		cmocka_unit_test(a_runt_is_dropped_and_counted),
		cmocka_unit_test(a_lying_device_is_given_up_and_nothing_is_lost),
		cmocka_unit_test(a_frame_half_received_is_given_back_when_the_device_fails),
		cmocka_unit_test(a_full_ring_refuses_and_wants_an_interrupt),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
