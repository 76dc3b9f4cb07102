#include <core/fiber.h>

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <core/loop.h>
#include "support/fake.h"

#define MS 1000000ull
#define STACK 65536u
#define FIBERS 4

struct bed {
	struct fake fake;
	struct loop loop;
	struct fiber_queue queue;
	struct fiber *parked;
	char trace[64]; /* what happened, one letter for each step */
	size_t trace_len;
	uint32_t runs, live, live_max;
	err result;
};

static void note(struct bed *b, char what)
{
	assert_true(b->trace_len < sizeof b->trace - 1);
	b->trace[b->trace_len++] = what;
	b->trace[b->trace_len] = 0;
}

static int set_up(void **state)
{
	struct bed *b = calloc(1, sizeof *b);
	if (!b)
		return -1;
	fake_init(&b->fake, loop_memory_size(FIBERS, STACK));
	b->fake.now_ns = 1000 * MS;
	loop_init(&b->loop, &b->fake.platform, b->fake.platform.memory, FIBERS, STACK);
	fiber_queue_init(&b->queue);
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

static void spawn(struct bed *b, void (*run)(void *))
{
	assert_false(failed(fiber_spawn(&b->loop, run, b)));
}

/* Until nothing runs any more; timers stay. */
static void run_rounds(struct bed *b)
{
	while (loop_round(&b->loop, false))
		;
}

static void park_three_times(void *argument)
{
	struct bed *b = argument;
	b->parked = fiber_self(&b->loop);
	for (int i = 0; i < 3; i++) {
		note(b, 'p');
		fiber_park(&b->loop);
		note(b, 'w');
	}
}

static void a_fiber_sleeps_until_it_is_woken(void **state)
{
	struct bed *b = *state;
	spawn(b, park_three_times);
	assert_null(fiber_self(&b->loop));
	run_rounds(b);
	assert_string_equal(b->trace, "p");
	run_rounds(b);
	assert_string_equal(b->trace, "p");
	fiber_wake(b->parked);
	fiber_wake(b->parked); /* already runnable: no second wake */
	run_rounds(b);
	assert_string_equal(b->trace, "pwp");
	fiber_wake(b->parked);
	run_rounds(b);
	fiber_wake(b->parked);
	run_rounds(b);
	assert_string_equal(b->trace, "pwpwpw");
	assert_int_equal(b->loop.fibers.used, 0);
}

static void wake_itself_then_park(void *argument)
{
	struct bed *b = argument;
	fiber_wake(fiber_self(&b->loop));
	fiber_park(&b->loop);
	note(b, 'a');
	fiber_park(&b->loop);
	note(b, 'b');
}

static void a_wake_before_the_park_is_not_lost_and_counts_once(void **state)
{
	struct bed *b = *state;
	spawn(b, wake_itself_then_park);
	run_rounds(b);
	assert_string_equal(b->trace, "a");
}

static void yield_then_park(void *argument)
{
	struct bed *b = argument;
	b->parked = fiber_self(&b->loop);
	note(b, 'y');
	fiber_yield(&b->loop);
	fiber_park(&b->loop);
	note(b, 'a');
}

static void wake_the_other(void *argument)
{
	struct bed *b = argument;
	note(b, 'o');
	fiber_wake(b->parked);
}

static void a_wake_while_it_yields_is_not_lost(void **state)
{
	struct bed *b = *state;
	spawn(b, yield_then_park);
	spawn(b, wake_the_other);
	run_rounds(b);
	assert_string_equal(b->trace, "yoa");
}

static void yield_twice(void *argument)
{
	struct bed *b = argument;
	char name = (char)('a' + b->runs++);
	note(b, name);
	fiber_yield(&b->loop);
	note(b, name);
	fiber_yield(&b->loop);
	note(b, name);
}

static void yield_lets_the_others_run_first(void **state)
{
	struct bed *b = *state;
	spawn(b, yield_twice);
	spawn(b, yield_twice);
	spawn(b, yield_twice);
	run_rounds(b);
	assert_string_equal(b->trace, "abcabcabc");
}

static void yield_for_ever(void *argument)
{
	struct bed *b = argument;
	for (;;) {
		b->runs++;
		fiber_yield(&b->loop);
	}
}

static void a_fiber_that_never_waits_does_not_keep_a_round_from_ending(void **state)
{
	struct bed *b = *state;
	spawn(b, yield_for_ever);
	for (uint32_t i = 1; i <= 10; i++) {
		uint32_t before = b->runs;
		assert_true(loop_round(&b->loop, true));
		assert_in_range(b->runs - before, 1, 100);
	}
	assert_int_equal(b->fake.idles, 0);
}

static void sleeper(struct bed *b, char name, uint64_t ms)
{
	fiber_sleep_until(&b->loop, b->fake.now_ns + ms * MS);
	note(b, name);
}

static void sleep_30(void *argument)
{
	sleeper(argument, 'c', 30);
}

static void sleep_10(void *argument)
{
	sleeper(argument, 'a', 10);
}

static void sleep_20_twice(void *argument)
{
	sleeper(argument, 'b', 20);
	sleeper(argument, 'd', 20);
}

static void sleepers_wake_in_the_order_of_their_times(void **state)
{
	struct bed *b = *state;
	spawn(b, sleep_30);
	spawn(b, sleep_10);
	spawn(b, sleep_20_twice);
	uint64_t start = b->fake.now_ns;
	while (b->loop.fibers.used)
		loop_round(&b->loop, true);
	assert_string_equal(b->trace, "abcd");
	assert_in_range(b->fake.now_ns - start, 40 * MS, 40 * MS + 2 * TIMER_TICK_NS);
	assert_in_range(b->fake.idles, 4, 5);
}

static void wait_100ms(void *argument)
{
	struct bed *b = argument;
	b->result = fiber_queue_wait(&b->loop, &b->queue, b->fake.now_ns + 100 * MS);
	note(b, 'w');
}

static void a_wait_ends_by_a_wake_or_by_its_time(void **state)
{
	struct bed *b = *state;
	spawn(b, wait_100ms);
	run_rounds(b);
	assert_true(fiber_queue_wake_one(&b->queue));
	assert_false(fiber_queue_wake_one(&b->queue));
	run_rounds(b);
	assert_int_equal(b->result.code, ERR_OK);
	assert_int_equal(b->loop.timers.count, 0);
	spawn(b, wait_100ms);
	run_rounds(b);
	b->fake.now_ns += 90 * MS;
	run_rounds(b);
	assert_string_equal(b->trace, "w");
	b->fake.now_ns += 15 * MS;
	run_rounds(b);
	assert_string_equal(b->trace, "ww");
	assert_int_equal(b->result.code, ERR_TIMEOUT);
	assert_false(fiber_queue_wake_one(&b->queue));
}

static void a_wake_and_the_time_at_once_wake_it_once(void **state)
{
	struct bed *b = *state;
	spawn(b, wait_100ms);
	run_rounds(b);
	assert_true(fiber_queue_wake_one(&b->queue));
	b->fake.now_ns += 200 * MS; /* the timer fires before the fiber has run */
	run_rounds(b);
	assert_string_equal(b->trace, "w");
	assert_int_equal(b->result.code, ERR_OK);
}

static void wait_for_ever(void *argument)
{
	struct bed *b = argument;
	char name = (char)('a' + b->runs++);
	assert_false(failed(fiber_queue_wait(&b->loop, &b->queue, TIMER_NEVER)));
	note(b, name);
}

static void the_longest_waiting_is_woken_first(void **state)
{
	struct bed *b = *state;
	for (int i = 0; i < FIBERS; i++)
		spawn(b, wait_for_ever);
	run_rounds(b);
	fiber_queue_wake_one(&b->queue);
	run_rounds(b);
	assert_string_equal(b->trace, "a");
	fiber_queue_wake_all(&b->queue);
	run_rounds(b);
	assert_string_equal(b->trace, "abcd");
}

static void wait_then_park(void *argument)
{
	struct bed *b = argument;
	b->parked = fiber_self(&b->loop);
	assert_false(failed(fiber_queue_wait(&b->loop, &b->queue, TIMER_NEVER)));
	note(b, 'q');
	fiber_park(&b->loop);
	note(b, 'p');
}

static void a_direct_wake_during_a_queue_wait_is_kept_for_the_next_park(void **state)
{
	struct bed *b = *state;
	spawn(b, wait_then_park);
	run_rounds(b);
	fiber_wake(b->parked);
	run_rounds(b);
	assert_string_equal(b->trace, "");
	fiber_queue_wake_one(&b->queue);
	run_rounds(b);
	assert_string_equal(b->trace, "qp");
}

static void one_of_many(void *argument)
{
	struct bed *b = argument;
	volatile uint8_t local[512]; /* frames that AddressSanitizer watches */
	if (++b->live > b->live_max)
		b->live_max = b->live;
	memset((void *)(uintptr_t)local, (int)b->runs, sizeof local);
	uint8_t mine = local[17];
	if (b->runs % 3 == 0)
		fiber_yield(&b->loop);
	if (b->runs % 5 == 0)
		fiber_sleep_until(&b->loop, b->loop.now_ns + MS);
	for (size_t i = 0; i < sizeof local; i++)
		assert_int_equal(local[i], mine);
	b->runs++;
	b->live--;
}

static void ten_thousand_fibers_pass_through_a_pool_of_four(void **state)
{
	struct bed *b = *state;
	uint32_t spawned = 0, refused = 0;
	while (spawned < 10000) {
		err e = fiber_spawn(&b->loop, one_of_many, b);
		if (failed(e)) {
			assert_int_equal(e.code, ERR_NO_MEMORY);
			refused++;
			loop_round(&b->loop, true);
		} else {
			spawned++;
		}
	}
	while (b->loop.fibers.used)
		loop_round(&b->loop, true);
	assert_int_equal(b->runs, 10000);
	assert_int_equal(b->live_max, FIBERS);
	assert_int_equal(b->loop.fibers.failures, refused);
	assert_true(refused > 1000);
}

static void modes(void *argument)
{
	struct bed *b = argument;
	unsigned mxcsr = 0x1f80 | 0x6000; /* round towards zero */
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	fiber_yield(&b->loop);
	unsigned after = 0;
	__asm__ volatile("stmxcsr %0" : "=m"(after));
	assert_int_equal(after & 0x6000, 0x6000);
	note(b, 'm');
}

static void floating_point_modes_belong_to_the_fiber(void **state)
{
	struct bed *b = *state;
	unsigned mine = 0;
	spawn(b, modes);
	run_rounds(b);
	__asm__ volatile("stmxcsr %0" : "=m"(mine));
	assert_int_equal(mine & 0x6000, 0);
	assert_string_equal(b->trace, "m");
}

static void stacks_are_aligned(void *argument)
{
	struct bed *b = argument;
	assert_int_equal((uintptr_t)__builtin_frame_address(0) % 16, 0);
	note(b, 'k');
}

static void a_fiber_begins_with_an_aligned_stack(void **state)
{
	struct bed *b = *state;
	spawn(b, stacks_are_aligned);
	run_rounds(b);
	assert_string_equal(b->trace, "k");
}

/* In a child, since it must die. Without the sanitizer's handler, to see the plain signal. */
static void touch_below_the_stack(void *argument)
{
	struct bed *b = argument;
	volatile uint8_t *below = b->fake.platform.memory + 4095;
	*below = 1;
}

static void below_each_stack_lies_a_guard(void **state)
{
	struct bed *b = *state;
	assert_int_equal(b->fake.guards, FIBERS);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		signal(SIGSEGV, SIG_DFL);
		spawn(b, touch_below_the_stack);
		run_rounds(b);
		_exit(0);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_fiber_sleeps_until_it_is_woken),
		TEST(a_wake_before_the_park_is_not_lost_and_counts_once),
		TEST(a_wake_while_it_yields_is_not_lost),
		TEST(yield_lets_the_others_run_first),
		TEST(a_fiber_that_never_waits_does_not_keep_a_round_from_ending),
		TEST(sleepers_wake_in_the_order_of_their_times),
		TEST(a_wait_ends_by_a_wake_or_by_its_time),
		TEST(a_wake_and_the_time_at_once_wake_it_once),
		TEST(the_longest_waiting_is_woken_first),
		TEST(a_direct_wake_during_a_queue_wait_is_kept_for_the_next_park),
		TEST(ten_thousand_fibers_pass_through_a_pool_of_four),
		TEST(floating_point_modes_belong_to_the_fiber),
		TEST(a_fiber_begins_with_an_aligned_stack),
		TEST(below_each_stack_lies_a_guard),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
