#include <core/loop.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "support/fake.h"

#define MS 1000000ull
#define STACK 65536u

struct bed {
	struct fake fake;
	struct loop loop;
	struct loop_client client, second;
	struct timer timer;
	struct fiber *parked;
	char trace[64];
	size_t trace_len;
	int work; /* polls that will find something */
	int wake; /* whether poll wakes the fiber */
};

static struct bed *bed_of_client(struct loop_client *c)
{
	return CONTAINER_OF(c, struct bed, client);
}

static void note(struct bed *b, char what)
{
	assert_true(b->trace_len < sizeof b->trace - 1);
	b->trace[b->trace_len++] = what;
	b->trace[b->trace_len] = 0;
}

static bool poll(struct loop_client *c)
{
	struct bed *b = bed_of_client(c);
	note(b, 'p');
	if (b->wake)
		fiber_wake(b->parked);
	b->wake = 0;
	return b->work > 0 && b->work--;
}

static void flush(struct loop_client *c)
{
	note(bed_of_client(c), 'f');
}

static void fire(struct timer *t)
{
	note(CONTAINER_OF(t, struct bed, timer), 't');
}

static void park_and_note(void *argument)
{
	struct bed *b = argument;
	b->parked = fiber_self(&b->loop);
	for (;;) {
		fiber_park(&b->loop);
		note(b, 'r');
	}
}

static int set_up(void **state)
{
	struct bed *b = calloc(1, sizeof *b);
	if (!b)
		return -1;
	fake_init(&b->fake, loop_memory_size(2, STACK));
	b->fake.now_ns = 5000 * MS;
	loop_init(&b->loop, &b->fake.platform, b->fake.platform.memory, 2, STACK);
	b->client = (struct loop_client){.poll = poll, .flush = flush};
	loop_add(&b->loop, &b->client);
	timer_init(&b->timer, fire);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bed *b = *state;
	fake_deinit(&b->fake);
	free(b);
	return 0;
}

static void it_sleeps_exactly_until_the_next_timer(void **state)
{
	struct bed *b = *state;
	uint64_t at_ns = 6000 * MS / TIMER_TICK_NS * TIMER_TICK_NS;
	timer_arm(&b->loop.timers, &b->timer, at_ns);
	assert_false(loop_round(&b->loop, true));
	assert_true(b->fake.last_until_ns == at_ns);
	assert_true(loop_round(&b->loop, true));
	assert_string_equal(b->trace, "pfptf");
	assert_int_equal(b->fake.idles, 1);
}

static void early(struct fake *f, uint64_t until_ns)
{
	(void)until_ns;
	f->now_ns += 1;
}

static void waking_early_fires_nothing(void **state)
{
	struct bed *b = *state;
	b->fake.on_idle = early;
	timer_arm(&b->loop.timers, &b->timer, 6000 * MS);
	for (int i = 0; i < 5; i++)
		assert_false(loop_round(&b->loop, true));
	assert_int_equal(b->loop.sleeps, 5);
	assert_null(strchr(b->trace, 't'));
}

static void without_timers_it_sleeps_without_limit(void **state)
{
	struct bed *b = *state;
	b->fake.on_idle = early;
	loop_round(&b->loop, true);
	assert_true(b->fake.last_until_ns == UINT64_MAX);
}

static void work_found_by_poll_keeps_it_awake(void **state)
{
	struct bed *b = *state;
	b->fake.on_idle = early;
	b->work = 3;
	for (int i = 0; i < 3; i++)
		assert_true(loop_round(&b->loop, true));
	assert_int_equal(b->fake.idles, 0);
	assert_false(loop_round(&b->loop, true));
	assert_int_equal(b->fake.idles, 1);
	assert_false(loop_round(&b->loop, false));
	assert_int_equal(b->fake.idles, 1);
}

static void what_a_poll_wakes_runs_in_the_same_round_before_the_flush(void **state)
{
	struct bed *b = *state;
	assert_false(failed(fiber_spawn(&b->loop, park_and_note, b)));
	loop_round(&b->loop, false);
	b->wake = 1;
	b->trace_len = 0;
	assert_true(loop_round(&b->loop, true));
	assert_string_equal(b->trace, "prf");
}

static void flush_wakes(struct loop_client *c)
{
	struct bed *b = CONTAINER_OF(c, struct bed, second);
	if (b->wake)
		fiber_wake(b->parked);
	b->wake = 0;
}

static void what_a_flush_wakes_runs_without_a_sleep(void **state)
{
	struct bed *b = *state;
	b->second = (struct loop_client){.flush = flush_wakes};
	loop_add(&b->loop, &b->second);
	assert_false(failed(fiber_spawn(&b->loop, park_and_note, b)));
	loop_round(&b->loop, false);
	b->client.poll = NULL;
	b->wake = 1;
	b->trace_len = 0;
	assert_false(loop_round(&b->loop, true));
	assert_int_equal(b->fake.idles, 0);
	assert_true(loop_round(&b->loop, true));
	assert_string_equal(b->trace, "frf");
}

static void stop(struct timer *t)
{
	loop_stop(&CONTAINER_OF(t, struct bed, timer)->loop);
}

static void it_runs_until_it_is_stopped(void **state)
{
	struct bed *b = *state;
	b->timer.fire = stop;
	timer_arm(&b->loop.timers, &b->timer, 60000 * MS);
	loop_run(&b->loop);
	assert_in_range(b->fake.now_ns, 60000 * MS, 60000 * MS + TIMER_TICK_NS);
	assert_in_range(b->loop.rounds, 2, 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_sleeps_exactly_until_the_next_timer),
		TEST(waking_early_fires_nothing),
		TEST(without_timers_it_sleeps_without_limit),
		TEST(work_found_by_poll_keeps_it_awake),
		TEST(what_a_poll_wakes_runs_in_the_same_round_before_the_flush),
		TEST(what_a_flush_wakes_runs_without_a_sleep),
		TEST(it_runs_until_it_is_stopped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
