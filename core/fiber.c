/* Fibers. A switch is always between the loop and a fiber, never between two fibers.
 *
 *              spawn            run_one             run returns
 *     (pool) --------> READY -----------> RUNNING --------------> (pool)
 *                        ^      yield      |   ^
 *                        +-----------------+   |  run_one
 *                                    park  v   |
 *                                       PARKED --> WOKEN
 *                                             wake
 *
 * Invariants:
 *  1. exactly the READY and the WOKEN are in loop->runnable;
 *  2. a wake that finds a fiber neither PARKED nor WOKEN sets wake_pending, and the next park
 *     clears it and returns at once: no wake is lost, and none is seen twice;
 *  3. below each stack lies a page that cannot be accessed.
 *
 * In memory: guard, stack, guard, stack, ... A pool item is a stack and the guard of the next one,
 * so that the pool's own link, in an item's first bytes, lies at the low end of a stack and not in
 * a guard. The struct fiber is at the high end. */
#include "fiber.h"

#include <base/assert.h>
#include "sanitizer.h"
#include "switch.h"

/* A fiber that is woken or yields may run this often in one round. */
#define PASSES_MAX 4

enum fiber_state {
	FIBER_READY,
	FIBER_RUNNING,
	FIBER_PARKED,
	FIBER_WOKEN,
};

struct fiber {
	struct list link; /* in loop->runnable */
	struct loop *loop;
	void *context; /* where it goes on */
	void (*run)(void *argument);
	void *argument;
	enum fiber_state state;
	bool wake_pending, ended;
	uint8_t *stack;
	size_t stack_size;
	void *fake_stack;             /* AddressSanitizer's, while another stack runs */
	const void *loop_stack;       /* the same for the loop's own stack: its bounds */
	size_t loop_stack_size;
} ALIGNED(64);

size_t loop_memory_size(uint32_t fiber_count, size_t stack_size)
{
	size_t total;
	return __builtin_mul_overflow(stack_size + FIBER_GUARD, fiber_count, &total) ? SIZE_MAX
										      : total;
}

void fiber_pool_init(struct loop *loop, void *memory, uint32_t count, size_t stack_size)
{
	ASSERT((uintptr_t)memory % FIBER_GUARD == 0);
	ASSERT(stack_size % FIBER_GUARD == 0 && stack_size > 0);
	struct platform *p = loop->platform;
	loop->stack_size = stack_size;
	pool_init(&loop->fibers, (uint8_t *)memory + FIBER_GUARD, stack_size + FIBER_GUARD, count);
	for (uint32_t i = 0; i < count; i++)
		p->guard(p, (uint8_t *)memory + i * (stack_size + FIBER_GUARD), FIBER_GUARD);
}

/* From the running fiber to the loop. */
static void leave(struct fiber *f)
{
	sanitizer_switch_begins(
		f->ended ? NULL : &f->fake_stack, f->loop_stack, f->loop_stack_size);
	switch_stack(&f->context, f->loop->switch_context);
	sanitizer_switch_ends(f->fake_stack, &f->loop_stack, &f->loop_stack_size);
}

static void fiber_main(void *argument)
{
	struct fiber *f = argument;
	sanitizer_switch_ends(NULL, &f->loop_stack, &f->loop_stack_size);
	f->run(f->argument);
	f->ended = true;
	leave(f);
	UNREACHABLE();
}

/* From the loop to a fiber, until that waits or ends. */
static void run_one(struct loop *loop, struct fiber *f)
{
	void *fake_stack = NULL;
	loop->running = f;
	loop->fiber_switches++;
	f->state = FIBER_RUNNING;
	sanitizer_switch_begins(&fake_stack, f->stack, f->stack_size);
	switch_stack(&loop->switch_context, f->context);
	sanitizer_switch_ends(fake_stack, NULL, NULL);
	loop->running = NULL;
	if (f->ended)
		pool_put(&loop->fibers, f->stack);
}

static void make_runnable(struct fiber *f, enum fiber_state state)
{
	f->state = state;
	list_push_back(&f->loop->runnable, &f->link);
}

/* One pass over those that are runnable now; what they wake waits for the next. */
static uint32_t run_pass(struct loop *loop)
{
	uint32_t count = 0;
	for (const struct list *e = loop->runnable.next; e != &loop->runnable; e = e->next)
		count++;
	for (uint32_t i = 0; i < count; i++)
		run_one(loop, LIST_ENTRY(list_pop_front(&loop->runnable), struct fiber, link));
	return count;
}

uint32_t fiber_run_all(struct loop *loop)
{
	uint32_t switches = 0;
	for (int pass = 0; pass < PASSES_MAX && !list_is_empty(&loop->runnable); pass++)
		switches += run_pass(loop);
	return switches;
}

err fiber_spawn(struct loop *loop, void (*run)(void *argument), void *argument)
{
	uint8_t *stack = pool_get(&loop->fibers);
	if (!stack)
		return ERR(NO_MEMORY);
	sanitizer_stack_is_new(stack, loop->stack_size);
	struct fiber *f = (struct fiber *)(void *)(stack + loop->stack_size - sizeof(struct fiber));
	*f = (struct fiber){
		.loop = loop,
		.run = run,
		.argument = argument,
		.stack = stack,
		.stack_size = loop->stack_size,
	};
	f->context = switch_prepare(f, fiber_main, f);
	make_runnable(f, FIBER_READY);
	return OK;
}

struct fiber *fiber_self(struct loop *loop)
{
	return loop->running;
}

void fiber_park(struct loop *loop)
{
	struct fiber *f = loop->running;
	ASSERT(f != NULL);
	if (f->wake_pending) {
		f->wake_pending = false;
		return;
	}
	f->state = FIBER_PARKED;
	leave(f);
}

void fiber_wake(struct fiber *f)
{
	if (f->state == FIBER_PARKED)
		make_runnable(f, FIBER_WOKEN);
	else if (f->state != FIBER_WOKEN)
		f->wake_pending = true;
}

void fiber_yield(struct loop *loop)
{
	struct fiber *f = loop->running;
	ASSERT(f != NULL);
	make_runnable(f, FIBER_READY);
	leave(f);
}
