/* Scratch pages: written late and together, each read as it was written last, whatever the device does meanwhile. */
#include "support/world.h"

#include <stdlib.h>
#include <string.h>

#define CACHE_PAGES 256u
#define KEPT (CACHE_PAGES / 16) /* so many are not written at once */
#define PAGES 600u              /* more than the cache has */
#define USERS 5u
#define USER_PAGES 120u

struct scene {
	struct rig rig;
	struct store_scratch_page page[PAGES];
	uint32_t user;
};

static struct scene *scene_open(void)
{
	struct scene *c = calloc(1, sizeof *c);
	rig_init(&c->rig, 16 * MIB, 512, 11, 16);
	c->rig.config.cache_pages = CACHE_PAGES;
	must(rig_open(&c->rig));
	return c;
}

static void scene_close(struct scene *c)
{
	must(rig_close(&c->rig));
	rig_free(&c->rig);
	free(c);
}

static err put(struct scene *c, uint32_t i, uint64_t id)
{
	uint8_t page[STORE_PAGE_SIZE];
	rig_fill(page, i, id);
	return store_scratch_write(c->rig.store, &c->page[i], page);
}

static void expect(struct scene *c, uint32_t i, uint64_t id)
{
	uint8_t page[STORE_PAGE_SIZE];
	must(store_scratch_read(c->rig.store, &c->page[i], page));
	assert_int_equal(rig_identify(page, i), id);
}

static void free_all(struct scene *c)
{
	for (uint32_t i = 0; i < PAGES; i++)
		store_scratch_free(c->rig.store, &c->page[i]);
}

static void use_a_few(void *argument)
{
	struct scene *c = argument;
	for (uint64_t id = 1; id < 20; id++)
		for (uint32_t i = 0; i < KEPT; i++)
			must(put(c, i, id));
	for (uint32_t i = 0; i < KEPT; i++)
		expect(c, i, 19);
	free_all(c);
}

static void a_few_pages_are_never_written(void **state)
{
	(void)state;
	struct scene *c = scene_open();
	uint64_t writes = c->rig.disk.writes;
	rig_run(&c->rig, use_a_few, c);
	assert_int_equal(c->rig.disk.writes, writes);
	scene_close(c);
}

static void use_many(void *argument)
{
	struct scene *c = argument;
	uint64_t writes = c->rig.disk.writes;
	for (uint32_t i = 0; i < PAGES; i++)
		must(put(c, i, i + 1));
	assert_in_range(c->rig.disk.writes - writes, PAGES / KEPT - 2, PAGES / KEPT + 2);
	for (uint32_t i = PAGES; i-- > 0;)
		expect(c, i, i + 1);
	/* They keep their blocks, which are adjacent in whatever order they are written. */
	writes = c->rig.disk.writes;
	for (uint32_t i = PAGES; i-- > 0;)
		must(put(c, i, 2 * PAGES + i));
	assert_in_range(c->rig.disk.writes - writes, PAGES / KEPT - 2, PAGES / KEPT + 2);
	for (uint32_t i = 0; i < PAGES; i++)
		expect(c, i, 2 * PAGES + i);
	free_all(c);
}

static void many_pages_go_out_together(void **state)
{
	(void)state;
	struct scene *c = scene_open();
	rig_run(&c->rig, use_many, c);
	scene_close(c);
}

static void use_a_failing_device(void *argument)
{
	struct scene *c = argument;
	uint32_t failures = 0;
	for (uint32_t i = 0; i < 100; i++)
		must(put(c, i, i + 1));
	c->rig.disk.fail_only = 1u << BLOCK_WRITE;
	c->rig.disk.fail_from = true;
	c->rig.disk.fail_at = 1;
	for (uint32_t i = 0; i < 100; i += 3) {
		err e = put(c, i, 1000);
		assert_true(!failed(e) || e.code == ERR_IO);
		failures += failed(e);
	}
	assert_true(failures > 10);
	for (uint32_t i = 1; i < 100; i += 3)
		expect(c, i, i + 1);
	c->rig.disk.fail_at = 0;
	for (uint32_t i = 0; i < 100; i += 3)
		must(put(c, i, 2000 + i));
	for (uint32_t i = 0; i < 100; i++)
		expect(c, i, i % 3 ? i + 1 : 2000 + i);
	assert_int_equal(store_state(c->rig.store), STORE_OPEN);
	free_all(c);
}

static void what_could_not_be_written_is_not_lost(void **state)
{
	(void)state;
	struct scene *c = scene_open();
	rig_run(&c->rig, use_a_failing_device, c);
	scene_close(c);
}

/* Writes, writes again, reads and gives back its own pages, in an order of its own. */
static void be_a_user(void *argument)
{
	struct scene *c = argument;
	uint32_t user = c->user++, first = user * USER_PAGES;
	uint64_t id[USER_PAGES] = {0}, random = user + 1;
	for (uint32_t step = 1; step < 2500; step++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		uint32_t i = (uint32_t)(random >> 33) % USER_PAGES;
		if ((random >> 60) < 9) {
			must(put(c, first + i, step));
			id[i] = step;
		} else if ((random >> 60) < 12) {
			store_scratch_free(c->rig.store, &c->page[first + i]);
			id[i] = 0;
		} else if (id[i]) {
			expect(c, first + i, id[i]);
		}
	}
	for (uint32_t i = 0; i < USER_PAGES; i++)
		if (id[i])
			expect(c, first + i, id[i]);
}

/* Whose blocks are those that the others give back. */
static void commit_beside(void *argument)
{
	struct scene *c = argument;
	struct store_object *o = world_object(&c->rig);
	for (uint32_t i = 0; i < 400; i++)
		must(store_wait_durable(c->rig.store, world_commit(o, i % 50, i + 1)));
	for (uint32_t i = 0; i < 50; i++)
		assert_int_equal(world_newest(o, i), 350 + i + 1);
}

static void use_together(void *argument)
{
	struct scene *c = argument;
	for (uint32_t i = 0; i < USERS; i++)
		rig_spawn(&c->rig, be_a_user, c);
	commit_beside(c);
}

static void end_together(void *argument)
{
	free_all(argument);
}

static void several_users_do_not_disturb_each_other(void **state)
{
	(void)state;
	struct scene *c = scene_open();
	c->rig.disk.write_ns = 300000;
	rig_run(&c->rig, use_together, c);
	assert_int_equal(c->rig.disk.overlaps, 0);
	rig_run(&c->rig, end_together, c);
	scene_close(c);
}

static void find_rot(void *argument)
{
	struct scene *c = argument;
	uint8_t page[STORE_PAGE_SIZE];
	for (uint32_t i = 0; i < PAGES; i++)
		must(put(c, i, i + 1));
	c->rig.disk.media[(uint64_t)c->page[0].block * STORE_PAGE_SIZE + 99] ^= 1;
	assert_int_equal(store_scratch_read(c->rig.store, &c->page[0], page).code, ERR_CORRUPT);
	expect(c, 1, 2);
	free_all(c);
}

static void a_rotten_one_is_an_error(void **state)
{
	(void)state;
	struct scene *c = scene_open();
	rig_run(&c->rig, find_rot, c);
	scene_close(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_few_pages_are_never_written),
		cmocka_unit_test(many_pages_go_out_together),
		cmocka_unit_test(what_could_not_be_written_is_not_lost),
		cmocka_unit_test(several_users_do_not_disturb_each_other),
		cmocka_unit_test(a_rotten_one_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
