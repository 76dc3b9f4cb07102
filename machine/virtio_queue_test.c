/* The ring against a device that is played here, honest or not. */
#include "virtio_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

struct rig {
	struct virtio_queue q;
	void *memory;
	uint16_t seen, used; /* the device's indices */
	int token[64];
};

static void rig_start(struct rig *r, uint32_t size, uint32_t segments, bool indirect, bool event)
{
	size_t len = virtio_queue_memory_size(size, segments, indirect);
	*r = (struct rig){.memory = aligned_alloc(64, len)};
	assert_non_null(r->memory);
	memset(r->memory, 0, len);
	virtio_queue_init(&r->q, r->memory, (uint64_t)(uintptr_t)r->memory, size, segments,
		indirect, event);
}

/* Starts both sides at an index as it is after that many requests. */
static void rig_fast_forward(struct rig *r, uint16_t index)
{
	struct virtio_queue *q = &r->q;
	q->avail_next = q->avail_shown = q->used_next = r->seen = r->used = index;
	q->avail->index = q->used->index = index;
	q->armed = true;
	virtio_queue_disarm(q);
	uint16_t *event = (uint16_t *)(void *)&q->used->ring[q->size];
	*event = index;
}

static uint16_t *avail_event(struct rig *r)
{
	return (uint16_t *)(void *)&r->q.used->ring[r->q.size];
}

static uint16_t used_event(struct rig *r)
{
	return r->q.avail->ring[r->q.size];
}

/* Follows a chain as a device does; the number of descriptors, all of which must have `len`. */
static uint32_t chain_length(struct rig *r, uint16_t head, uint32_t len)
{
	struct virtio_desc *table = r->q.desc, *d = &table[head];
	uint32_t limit = r->q.size, n = 1;
	if (d->flags & VIRTIO_DESC_INDIRECT) {
		table = (struct virtio_desc *)(uintptr_t)d->addr;
		limit = d->len / 16;
		assert_int_equal(d->len % 16, 0);
		d = table;
	}
	for (; d->flags & VIRTIO_DESC_NEXT; n++) {
		assert_int_equal(d->len, len);
		assert_true(d->next < limit && n < limit);
		d = &table[d->next];
	}
	assert_int_equal(d->len, len);
	return n;
}

static bool device_take(struct rig *r, uint16_t *head)
{
	if (r->seen == r->q.avail->index)
		return false;
	*head = r->q.avail->ring[r->seen++ & r->q.mask];
	return true;
}

static void device_return(struct rig *r, uint32_t id, uint32_t len)
{
	struct virtio_used_entry *e = &r->q.used->ring[r->used & r->q.mask];
	*e = (struct virtio_used_entry){id, len};
	r->q.used->index = ++r->used;
}

static void submit(struct rig *r, uint32_t count, uint32_t writable, void *token)
{
	struct virtio_desc *d = virtio_queue_begin(&r->q);
	assert_non_null(d);
	for (uint32_t i = 0; i < count; i++)
		virtio_desc_set(&d[i], 0x1000u + i, 77, 0);
	virtio_queue_submit(&r->q, count, writable, token);
}

static void rig_stop(struct rig *r)
{
	free(r->memory);
}

static void requests_come_back_with_their_tokens(void **state)
{
	(void)state;
	for (int mode = 0; mode < 4; mode++) {
		struct rig r;
		rig_start(&r, 16, 3, mode & 1, mode & 2);
		assert_int_equal(r.q.slot_count, mode & 1 ? 16 : 4);
		for (int i = 0; i < r.q.slot_count; i++)
			submit(&r, 1 + (uint32_t)i % 3, 100, &r.token[i]);
		assert_null(virtio_queue_begin(&r.q));
		uint16_t head[16], n = 0;
		assert_false(device_take(&r, head)); /* nothing is shown before the kick */
		assert_true(virtio_queue_kick(&r.q));
		assert_false(virtio_queue_kick(&r.q));
		while (device_take(&r, &head[n])) {
			assert_int_equal(chain_length(&r, head[n], 77), 1 + n % 3u);
			n++;
		}
		assert_int_equal(n, r.q.slot_count);
		for (int i = n; i-- > 0;) /* in the reverse order: devices may */
			device_return(&r, head[i], (uint32_t)i);
		uint32_t len;
		for (int i = n; i-- > 0;) {
			assert_ptr_equal(virtio_queue_pop(&r.q, &len), &r.token[i]);
			assert_int_equal(len, i);
		}
		assert_null(virtio_queue_pop(&r.q, &len));
		assert_false(r.q.broken);
		assert_int_equal(r.q.in_flight, 0);
		rig_stop(&r);
	}
}

static void indices_wrap_at_65536(void **state)
{
	(void)state;
	struct rig r;
	rig_start(&r, 8, 2, true, true);
	rig_fast_forward(&r, 65530);
	uint32_t len;
	uint16_t head;
	for (int i = 0; i < 20; i++) {
		submit(&r, 2, 4, &r.token[i]);
		*avail_event(&r) = r.seen;
		assert_true(virtio_queue_kick(&r.q));
		assert_null(virtio_queue_pop(&r.q, &len));
		assert_true(device_take(&r, &head));
		device_return(&r, head, 4);
		assert_ptr_equal(virtio_queue_pop(&r.q, &len), &r.token[i]);
	}
	assert_int_equal(r.q.used_next, 14);
	assert_false(r.q.broken);
	rig_stop(&r);
}

static void event_arithmetic_is_modular(void **state)
{
	(void)state;
	assert_true(virtio_event_passed(0, 1, 0));
	assert_false(virtio_event_passed(1, 1, 0));
	assert_true(virtio_event_passed(4, 5, 0));
	assert_false(virtio_event_passed(5, 5, 0));
	assert_true(virtio_event_passed(65535, 0, 65535));
	assert_true(virtio_event_passed(0, 3, 65533));
	assert_false(virtio_event_passed(65532, 3, 65533));
	assert_false(virtio_event_passed(7, 7, 7));
}

static void one_notification_covers_many_requests(void **state)
{
	(void)state;
	struct rig r;
	rig_start(&r, 16, 1, true, true);
	for (int i = 0; i < 5; i++)
		submit(&r, 1, 0, &r.token[i]);
	*avail_event(&r) = 0;
	assert_true(virtio_queue_kick(&r.q));
	/* The device is still working on those: it asks for nothing before it has seen all five. */
	submit(&r, 1, 0, &r.token[5]);
	assert_false(virtio_queue_kick(&r.q));
	*avail_event(&r) = 6;
	submit(&r, 1, 0, &r.token[6]);
	assert_true(virtio_queue_kick(&r.q));
	rig_stop(&r);
	rig_start(&r, 16, 1, true, false);
	r.q.used->flags = VIRTIO_USED_NO_NOTIFY;
	submit(&r, 1, 0, &r.token[0]);
	assert_false(virtio_queue_kick(&r.q));
	r.q.used->flags = 0;
	submit(&r, 1, 0, &r.token[0]);
	assert_true(virtio_queue_kick(&r.q));
	rig_stop(&r);
}

/* What a device with EVENT_IDX does after each completion. */
static bool interrupts(struct rig *r, uint32_t id)
{
	uint16_t old = r->used;
	device_return(r, id, 0);
	return virtio_event_passed(used_event(r), r->used, old);
}

static void interrupts_come_only_when_armed(void **state)
{
	(void)state;
	struct rig r;
	rig_start(&r, 16, 1, true, true);
	rig_fast_forward(&r, 65535);
	uint16_t head[8];
	uint32_t len;
	for (int i = 0; i < 8; i++)
		submit(&r, 1, 0, &r.token[i]);
	virtio_queue_kick(&r.q);
	for (int i = 0; i < 8; i++)
		assert_true(device_take(&r, &head[i]));
	assert_false(interrupts(&r, head[0]));
	assert_true(virtio_queue_arm(&r.q, 1)); /* there is work already */
	assert_non_null(virtio_queue_pop(&r.q, &len));
	assert_false(interrupts(&r, head[1])); /* pop has disarmed */
	assert_non_null(virtio_queue_pop(&r.q, &len));
	assert_false(virtio_queue_arm(&r.q, 1));
	assert_true(interrupts(&r, head[2]));
	assert_false(interrupts(&r, head[3])); /* once */
	assert_non_null(virtio_queue_pop(&r.q, &len));
	assert_non_null(virtio_queue_pop(&r.q, &len));
	assert_false(virtio_queue_arm(&r.q, 3));
	assert_false(interrupts(&r, head[4]));
	assert_false(interrupts(&r, head[5]));
	assert_true(interrupts(&r, head[6]));
	rig_stop(&r);
	rig_start(&r, 16, 1, true, false);
	assert_int_equal(r.q.avail->flags, VIRTIO_AVAIL_NO_INTERRUPT);
	assert_false(virtio_queue_arm(&r.q, 1));
	assert_int_equal(r.q.avail->flags, 0);
	virtio_queue_disarm(&r.q);
	assert_int_equal(r.q.avail->flags, VIRTIO_AVAIL_NO_INTERRUPT);
	rig_stop(&r);
}

/* Two requests with the device; it answers with (id, len) at `index`. */
static bool lie_is_noticed(bool indirect, uint32_t id, uint32_t len, uint16_t index_step)
{
	struct rig r;
	uint32_t written;
	uint16_t head;
	rig_start(&r, 16, 4, indirect, true);
	submit(&r, 4, 10, &r.token[0]);
	submit(&r, 4, 10, &r.token[1]);
	virtio_queue_kick(&r.q);
	assert_true(device_take(&r, &head));
	if (id == UINT32_MAX - 1)
		id = head;
	r.q.used->ring[0] = (struct virtio_used_entry){id, len};
	r.q.used->index = index_step;
	bool noticed = !virtio_queue_pop(&r.q, &written) && r.q.broken;
	if (noticed) {
		int drained = 0;
		assert_null(virtio_queue_begin(&r.q));
		assert_false(virtio_queue_kick(&r.q));
		while (virtio_queue_drain(&r.q))
			drained++;
		assert_int_equal(drained, 2);
		assert_null(virtio_queue_pop(&r.q, &written));
	}
	rig_stop(&r);
	return noticed;
}

static void a_lying_device_breaks_the_queue_and_nothing_else(void **state)
{
	(void)state;
	const uint32_t honest = UINT32_MAX - 1;
	for (int indirect = 0; indirect < 2; indirect++) {
		assert_false(lie_is_noticed(indirect, honest, 10, 1));
		assert_true(lie_is_noticed(indirect, honest, 11, 1));
		assert_true(lie_is_noticed(indirect, honest, UINT32_MAX, 1));
		assert_true(lie_is_noticed(indirect, 16, 0, 1));
		assert_true(lie_is_noticed(indirect, 0x10000, 0, 1));
		assert_true(lie_is_noticed(indirect, UINT32_MAX, 0, 1));
		assert_true(lie_is_noticed(indirect, indirect ? 9 : 12, 0, 1)); /* free slot */
		assert_true(lie_is_noticed(indirect, honest, 0, 3));     /* more than there are */
		assert_true(lie_is_noticed(indirect, honest, 0, 65535)); /* backwards */
	}
	assert_true(lie_is_noticed(false, 1, 0, 1)); /* the middle of a chain */
}

static void an_unshown_request_cannot_be_finished(void **state)
{
	(void)state;
	struct rig r;
	uint32_t len;
	rig_start(&r, 8, 1, false, true);
	submit(&r, 1, 0, &r.token[0]);
	device_return(&r, 0, 0);
	assert_null(virtio_queue_pop(&r.q, &len));
	assert_true(r.q.broken);
	assert_true(virtio_queue_arm(&r.q, 1)); /* nobody must sleep on a broken queue */
	assert_ptr_equal(virtio_queue_drain(&r.q), &r.token[0]);
	assert_null(virtio_queue_drain(&r.q));
	rig_stop(&r);
}

static void a_request_finished_twice_breaks_the_queue(void **state)
{
	(void)state;
	struct rig r;
	uint32_t len;
	rig_start(&r, 8, 1, false, false);
	submit(&r, 1, 0, &r.token[0]);
	submit(&r, 1, 0, &r.token[1]);
	virtio_queue_kick(&r.q);
	device_return(&r, 0, 0);
	device_return(&r, 0, 0);
	assert_ptr_equal(virtio_queue_pop(&r.q, &len), &r.token[0]);
	assert_null(virtio_queue_pop(&r.q, &len));
	assert_true(r.q.broken);
	rig_stop(&r);
}

static void the_largest_ring_works_to_its_last_slot(void **state)
{
	(void)state;
	struct rig r;
	uint32_t len;
	uint16_t head;
	rig_start(&r, VIRTIO_QUEUE_SIZE_MAX, 1, true, true);
	for (uint32_t i = 0; i < VIRTIO_QUEUE_SIZE_MAX; i++)
		submit(&r, 1, 5, &r.token[i % 64]);
	assert_null(virtio_queue_begin(&r.q));
	virtio_queue_kick(&r.q);
	for (uint32_t i = 0; i < VIRTIO_QUEUE_SIZE_MAX; i++) {
		assert_true(device_take(&r, &head));
		device_return(&r, head, 5);
	}
	for (uint32_t i = 0; i < VIRTIO_QUEUE_SIZE_MAX; i++)
		assert_ptr_equal(virtio_queue_pop(&r.q, &len), &r.token[i % 64]);
	assert_null(virtio_queue_pop(&r.q, &len));
	assert_false(r.q.broken);
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_come_back_with_their_tokens),
		cmocka_unit_test(indices_wrap_at_65536),
		cmocka_unit_test(event_arithmetic_is_modular),
		cmocka_unit_test(one_notification_covers_many_requests),
		cmocka_unit_test(interrupts_come_only_when_armed),
		cmocka_unit_test(a_lying_device_breaks_the_queue_and_nothing_else),
		cmocka_unit_test(an_unshown_request_cannot_be_finished),
		cmocka_unit_test(a_request_finished_twice_breaks_the_queue),
		cmocka_unit_test(the_largest_ring_works_to_its_last_slot),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
