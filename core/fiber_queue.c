/* Waiting for one of two things: to be taken from a queue, or a point in time. */
#include <core/fiber.h>

#include <base/assert.h>
#include <core/loop.h>

enum outcome {
	WAITING,
	WOKEN,
	TIMED_OUT,
};

/* On the stack of the fiber that waits. In the queue exactly while WAITING. */
struct waiter {
	struct list link;
	struct timer timer;
	struct fiber *fiber;
	enum outcome outcome;
};

static void settle(struct waiter *w, enum outcome outcome)
{
	list_remove(&w->link);
	w->outcome = outcome;
	fiber_wake(w->fiber);
}

static void time_out(struct timer *t)
{
	struct waiter *w = CONTAINER_OF(t, struct waiter, timer);
	if (w->outcome == WAITING)
		settle(w, TIMED_OUT);
}

void fiber_queue_init(struct fiber_queue *q)
{
	list_init(&q->waiting);
}

/* A wake may also be meant for something else that this fiber will wait for next; it is kept. */
static void park_until_settled(struct loop *loop, struct waiter *w)
{
	uint32_t parks = 0;
	do {
		fiber_park(loop);
		parks++;
	} while (w->outcome == WAITING);
	if (parks > 1)
		fiber_wake(w->fiber);
}

err fiber_queue_wait(struct loop *loop, struct fiber_queue *q, uint64_t until_ns)
{
	struct waiter w = {.fiber = fiber_self(loop), .outcome = WAITING};
	ASSERT(w.fiber != NULL);
	timer_init(&w.timer, time_out);
	if (until_ns != TIMER_NEVER)
		timer_arm(&loop->timers, &w.timer, until_ns);
	list_push_back(&q->waiting, &w.link);
	park_until_settled(loop, &w);
	timer_cancel(&loop->timers, &w.timer);
	return w.outcome == WOKEN ? OK : ERR(TIMEOUT);
}

bool fiber_queue_wake_one(struct fiber_queue *q)
{
	if (list_is_empty(&q->waiting))
		return false;
	settle(LIST_ENTRY(q->waiting.next, struct waiter, link), WOKEN);
	return true;
}

void fiber_queue_wake_all(struct fiber_queue *q)
{
	while (fiber_queue_wake_one(q))
		;
}

void fiber_sleep_until(struct loop *loop, uint64_t at_ns)
{
	struct fiber_queue nobody;
	fiber_queue_init(&nobody);
	err e = fiber_queue_wait(loop, &nobody, at_ns);
	ASSERT(e.code == ERR_TIMEOUT);
}
