/* virtio-blk against a device that is played here. virtio_block.c is included because machine/ is
 * not built for the host; what it calls of the machine and of virtio.c is in
 * support/virtio_fake.h. */
#include "virtio_block.c"

#include "support/virtio_fake.h"

#define USUAL                                                                                      \
	(F_SEG_MAX | F_BLK_SIZE | F_FLUSH | F_DISCARD | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX)

struct rig {
	struct machine machine;
	struct block_device *disk;
	struct virtio_block *driver;
	struct block_request request[80];
	uint32_t done_count;
	uint16_t used;
	uint8_t memory[8192];
};

static void count_done(struct block_request *r)
{
	((struct rig *)r->cookie)->done_count++;
}

/* A disk of 1000 * 512 bytes. */
static struct rig *rig_start(uint64_t features, uint32_t sector_size)
{
	struct rig *r = calloc(1, sizeof *r);
	fake_start(features);
	store_le64(fake.config + CONFIG_CAPACITY, 1000);
	store_le32(fake.config + CONFIG_SEG_MAX, 254);
	store_le32(fake.config + CONFIG_BLK_SIZE, sector_size);
	store_le32(fake.config + CONFIG_DISCARD_SECTORS_MAX, 64);
	store_le32(fake.config + CONFIG_DISCARD_SEGMENTS_MAX, 1);
	block_probe(&r->machine);
	r->disk = r->machine.platform.block[0];
	r->driver = r->disk ? block_of(r->disk) : NULL;
	return r;
}

static void rig_stop(struct rig *r)
{
	fake_stop();
	free(r);
}

static struct block_request *prepare(
	struct rig *r, uint32_t i, enum block_op op, uint64_t sector, uint32_t count)
{
	struct block_request *q = &r->request[i];
	*q = (struct block_request){.op = op, .sector = sector, .sector_count = count,
		.done = count_done, .cookie = r, .buffer_count = 1};
	q->buffer[0] = (struct block_buffer){r->memory, count * r->disk->sector_size};
	list_init(&q->link);
	return q;
}

static const struct virtio_desc *table_of(struct rig *r, uint32_t slot)
{
	return (const void *)(uintptr_t)r->driver->ring.q.desc[slot].addr;
}

static void device_finishes(struct rig *r, uint32_t slot, uint8_t status, uint32_t len)
{
	const struct virtio_desc *t = table_of(r, slot);
	while (t->flags & VIRTIO_DESC_NEXT)
		t++;
	*(uint8_t *)(uintptr_t)t->addr = status;
	device_returns(&r->driver->ring.q, &r->used, slot, len);
}

static void requests_are_laid_out_as_the_specification_says(void **state)
{
	(void)state;
	struct rig *r = rig_start(USUAL, 4096);
	assert_int_equal(r->disk->sector_size, 4096);
	assert_int_equal(r->disk->sector_count, 125);
	assert_int_equal(r->disk->buffers_max, BLOCK_BUFFERS_MAX);
	struct block_request *q = prepare(r, 0, BLOCK_READ, 3, 2);
	q->buffer_count = 2;
	q->buffer[0].len = 4096;
	q->buffer[1] = (struct block_buffer){r->memory + 4096, 4096};
	assert_true(r->disk->submit(r->disk, q));
	const struct virtio_desc *t = table_of(r, 0);
	const struct wire *w = (const void *)(uintptr_t)t[0].addr;
	assert_int_equal(t[0].len, 16);
	assert_int_equal(t[0].flags, VIRTIO_DESC_NEXT);
	assert_int_equal(w->type, TYPE_IN);
	assert_int_equal(w->sector, 24);
	assert_int_equal(t[2].addr, (uintptr_t)(r->memory + 4096));
	assert_int_equal(t[2].flags, VIRTIO_DESC_NEXT | VIRTIO_DESC_WRITE);
	assert_int_equal(t[3].len, 1);
	assert_int_equal(t[3].flags, VIRTIO_DESC_WRITE);
	r->disk->kick(r->disk);
	device_finishes(r, 0, STATUS_OK, 8193);
	assert_int_equal(r->disk->poll(r->disk), 1);
	assert_false(failed(q->result));
	rig_stop(r);
}

static void a_discard_is_cut_to_what_the_device_takes(void **state)
{
	(void)state;
	struct rig *r = rig_start(USUAL, 512);
	assert_true(r->disk->submit(r->disk, prepare(r, 0, BLOCK_DISCARD, 100, 500)));
	const struct wire *w = (const void *)(uintptr_t)table_of(r, 0)[0].addr;
	assert_int_equal(w->type, TYPE_DISCARD);
	assert_int_equal(w->discard_sector, 100);
	assert_int_equal(w->discard_count, 64);
	rig_stop(r);
}

static void every_status_but_ok_is_an_error(void **state)
{
	(void)state;
	static const uint8_t status[] = {1, 2, 3, STATUS_UNWRITTEN};
	for (size_t i = 0; i < sizeof status; i++) {
		struct rig *r = rig_start(USUAL, 512);
		struct block_request *q = prepare(r, 0, BLOCK_WRITE, 0, 1);
		assert_true(r->disk->submit(r->disk, q));
		r->disk->kick(r->disk);
		device_finishes(r, 0, status[i], 1);
		assert_int_equal(r->disk->poll(r->disk), 1);
		assert_int_equal(q->result.code, ERR_IO);
		assert_int_equal(fake.failures, 0);
		rig_stop(r);
	}
}

static void refusal(struct rig *r, struct block_request *q, enum err_code want)
{
	uint32_t before = r->done_count;
	assert_true(r->disk->submit(r->disk, q));
	assert_int_equal(r->done_count, before); /* never inside of submit */
	assert_int_equal(r->driver->ring.q.in_flight, 0);
	assert_int_equal(r->disk->poll(r->disk), 1);
	assert_int_equal(r->done_count, before + 1);
	assert_int_equal(q->result.code, want);
}

static void impossible_requests_are_refused_at_the_next_poll(void **state)
{
	(void)state;
	struct rig *r = rig_start(USUAL, 512);
	refusal(r, prepare(r, 0, BLOCK_READ, 1000, 1), ERR_INVALID);
	refusal(r, prepare(r, 0, BLOCK_READ, 999, 2), ERR_INVALID);
	refusal(r, prepare(r, 0, BLOCK_WRITE, UINT64_MAX, 2), ERR_INVALID);
	refusal(r, prepare(r, 0, BLOCK_READ, 0, 0), ERR_INVALID);
	struct block_request *q = prepare(r, 0, BLOCK_READ, 0, 2);
	q->buffer[0].len = 512; /* less than the sectors */
	refusal(r, q, ERR_INVALID);
	q = prepare(r, 0, BLOCK_READ, 0, 1);
	q->buffer[0].len = 100;
	refusal(r, q, ERR_INVALID);
	q = prepare(r, 0, BLOCK_READ, 0, 1);
	q->buffer_count = BLOCK_BUFFERS_MAX + 1;
	refusal(r, q, ERR_INVALID);
	rig_stop(r);
	r = rig_start(USUAL | F_RO, 512);
	assert_false(r->disk->has_discard);
	refusal(r, prepare(r, 0, BLOCK_WRITE, 0, 1), ERR_DENIED);
	rig_stop(r);
	r = rig_start(USUAL & ~(F_FLUSH | F_DISCARD), 512);
	refusal(r, prepare(r, 0, BLOCK_FLUSH, 0, 0), ERR_OK); /* there is no cache to flush */
	refusal(r, prepare(r, 0, BLOCK_DISCARD, 0, 1), ERR_UNSUPPORTED);
	rig_stop(r);
}

static void a_full_queue_refuses_until_something_is_done(void **state)
{
	(void)state;
	struct rig *r = rig_start(USUAL, 512);
	for (uint32_t i = 0; i < 64; i++)
		assert_true(r->disk->submit(r->disk, prepare(r, i, BLOCK_READ, i, 1)));
	assert_false(r->disk->submit(r->disk, prepare(r, 64, BLOCK_READ, 64, 1)));
	r->disk->kick(r->disk);
	assert_int_equal(r->disk->poll(r->disk), 0);
	assert_true(r->driver->ring.q.armed);
	device_finishes(r, 40, STATUS_OK, 513);
	assert_int_equal(r->disk->poll(r->disk), 1);
	assert_true(r->disk->submit(r->disk, &r->request[64]));
	rig_stop(r);
}

static void a_lying_device_fails_all_that_is_under_way(void **state)
{
	(void)state;
	for (int lie = 0; lie < 3; lie++) {
		struct rig *r = rig_start(USUAL, 512);
		for (uint32_t i = 0; i < 10; i++)
			assert_true(r->disk->submit(r->disk, prepare(r, i, BLOCK_READ, i, 1)));
		r->disk->kick(r->disk);
		if (lie == 0)
			device_finishes(r, 3, STATUS_OK, 514);
		else if (lie == 1)
			device_returns(&r->driver->ring.q, &r->used, 10, 0);
		else
			r->driver->ring.q.used->index = 11;
		assert_int_equal(r->disk->poll(r->disk), 10);
		assert_int_equal(fake.failures, 1);
		assert_int_equal(r->done_count, 10);
		for (uint32_t i = 0; i < 10; i++)
			assert_int_equal(r->request[i].result.code, ERR_IO);
		refusal(r, prepare(r, 0, BLOCK_FLUSH, 0, 0), ERR_IO);
		rig_stop(r);
	}
}

static void a_disk_that_grows_is_larger_and_one_that_shrinks_is_not_smaller(void **state)
{
	(void)state;
	struct rig *r = rig_start(USUAL, 4096);
	store_le64(fake.config + CONFIG_CAPACITY, 8000);
	assert_int_equal(r->disk->poll(r->disk), 0);
	assert_int_equal(r->disk->sector_count, 125); /* nothing has said so yet */
	fake.config_changed = true;
	assert_int_equal(r->disk->poll(r->disk), 0);
	assert_int_equal(r->disk->sector_count, 1000);
	store_le64(fake.config + CONFIG_CAPACITY, 800);
	fake.config_changed = true;
	assert_int_equal(r->disk->poll(r->disk), 0);
	assert_int_equal(r->disk->sector_count, 1000);
	rig_stop(r);
}

static void a_disk_of_impossible_sectors_is_left_alone(void **state)
{
	(void)state;
	static const uint32_t bad[] = {0, 100, 513, 8192, UINT32_MAX};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct rig *r = rig_start(USUAL, bad[i]);
		assert_null(r->disk);
		assert_int_equal(fake.failures, 1);
		rig_stop(r);
	}
	struct rig *r = rig_start(USUAL, 2048);
	assert_int_equal(r->disk->sector_size, 4096);
	rig_stop(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_laid_out_as_the_specification_says),
		cmocka_unit_test(a_discard_is_cut_to_what_the_device_takes),
		cmocka_unit_test(every_status_but_ok_is_an_error),
		cmocka_unit_test(impossible_requests_are_refused_at_the_next_poll),
		cmocka_unit_test(a_full_queue_refuses_until_something_is_done),
		cmocka_unit_test(a_lying_device_fails_all_that_is_under_way),
		cmocka_unit_test(a_disk_that_grows_is_larger_and_one_that_shrinks_is_not_smaller),
		cmocka_unit_test(a_disk_of_impossible_sectors_is_left_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
