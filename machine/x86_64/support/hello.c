/* Says what the platform offers and checks what can be checked from within; then powers off. With
 * "button" on the command line it first sleeps until the power button is pressed. */
#include "guest.h"

#define NS_PER_MS 1000000ull
#define SLEEP_NS (20 * NS_PER_MS)
#define SLEEPS 5

static void check(struct platform *p, bool holds, const char *what)
{
	if (holds)
		return;
	say(p, "WRONG: %s", what);
	p->power_off(p, PLATFORM_EXIT_FAILED);
}

static void memory_is_zero_and_ours(struct platform *p)
{
	uint64_t *words = (uint64_t *)(void *)p->memory;
	size_t count = p->memory_len / sizeof *words;
	size_t dirty = 0, highest = 0;
	for (size_t i = 0; i < count; i++) {
		if (words[i]) {
			dirty++;
			highest = count - i > highest ? count - i : highest;
		}
		words[i] = i;
	}
	if (dirty)
		say(p, "dirty words %lu, the lowest %lu KiB below the end", (unsigned long)dirty,
			(unsigned long)(highest / 128));
	check(p, dirty == 0, "memory is not zero");
	for (size_t i = 0; i < count; i += 511)
		check(p, words[i] == i, "memory does not hold what was written");
}

static void sleep_is_long_enough(struct platform *p)
{
	for (int i = 0; i < SLEEPS; i++) {
		uint64_t start_ns = p->now_ns(p), wakes = 0;
		while (p->now_ns(p) < start_ns + SLEEP_NS) {
			p->idle(p, start_ns + SLEEP_NS);
			wakes++;
		}
		check(p, wakes < 4, "an idle machine was woken for nothing");
		check(p, p->now_ns(p) - start_ns < 10 * SLEEP_NS, "the timer is late");
	}
}

static void entropy_differs(struct platform *p)
{
	uint8_t a[40] = {0}, b[40] = {0};
	size_t n = p->entropy(p, a, sizeof a);
	say(p, "entropy %lu of %lu bytes", (unsigned long)n, (unsigned long)sizeof a);
	if (n != sizeof a || p->entropy(p, b, sizeof b) != sizeof b)
		return;
	check(p, memcmp(a, b, sizeof a) != 0, "entropy repeats");
}

void platform_main(struct platform *p)
{
	say(p, "hello at %lu us, wall clock %lu", (unsigned long)(p->now_ns(p) / 1000),
		(unsigned long)(p->wall_ns(p) / 1000000000));
	say(p, "memory %lu of %lu KiB at %p", (unsigned long)(p->memory_len / 1024),
		(unsigned long)(p->memory_total / 1024), (void *)p->memory);
	say(p, "%u network, %u block devices", p->net_count, p->block_count);
	say(p, "command line: %.*s", SLICE_ARG(p->command_line));
	check(p, (uintptr_t)p->memory % 4096 == 0, "memory is not aligned");
	if (!asked_for(p, SLICE("nomemory")))
		memory_is_zero_and_ours(p);
	p->guard(p, p->memory + 4096 * 3, 4096);
	p->memory[4096 * 3 - 1] = 1;
	p->memory[4096 * 4] = 1;
	sleep_is_long_enough(p);
	entropy_differs(p);
	if (asked_for(p, SLICE("button"))) {
		say(p, "waiting for the button");
		while (!p->power_button(p))
			p->idle(p, UINT64_MAX);
		say(p, "button pressed");
	}
	while (asked_for(p, SLICE("forever")))
		p->idle(p, UINT64_MAX);
	say(p, "all is well at %lu us", (unsigned long)(p->now_ns(p) / 1000));
	p->power_off(p, PLATFORM_EXIT_OK);
}
