/* Stackful fibers: straight-line code that may wait. One runs at a time, on the loop that owns it; a
 * switch happens only inside fiber_park (and what calls it), never elsewhere, so code between two
 * waits needs no locks. */
#ifndef CORE_FIBER_H
#define CORE_FIBER_H

#include <base/err.h>
#include <base/list.h>
#include <base/timer.h>
#include <stdint.h>

struct loop;
struct fiber;

/* A list of fibers that wait for the same thing. */
struct fiber_queue {
	struct list waiting;
};

API_BEGIN

/* Starts `run(argument)` on a fiber from the loop's pool at the loop's next round; ERR_NO_MEMORY when
 * all are in use. The fiber ends when `run` returns. */
MUST_USE err fiber_spawn(struct loop *loop, void (*run)(void *argument), void *argument);
/* The running fiber; NULL when the loop itself runs (pollers, timers). */
struct fiber *fiber_self(struct loop *loop);
/* Puts the running fiber to sleep until fiber_wake. Spurious wake-ups do not happen, but a wake that
 * comes before the park is not lost: the park then returns at once. Must be on a fiber (asserted). */
void fiber_park(struct loop *loop);
/* Makes it runnable; harmless when it already is. From the loop or from another fiber. */
void fiber_wake(struct fiber *fiber);
/* Parks until monotonic time `at_ns`. */
void fiber_sleep_until(struct loop *loop, uint64_t at_ns);
/* Lets everything else that is runnable run first. */
void fiber_yield(struct loop *loop);

void fiber_queue_init(struct fiber_queue *q);
/* Parks the running fiber in the queue until a wake; ERR_TIMEOUT when `until_ns` (TIMER_NEVER: none)
 * passes first. */
MUST_USE err fiber_queue_wait(struct loop *loop, struct fiber_queue *q, uint64_t until_ns);
/* Wakes the one that waits longest; false when none waits. */
bool fiber_queue_wake_one(struct fiber_queue *q);
void fiber_queue_wake_all(struct fiber_queue *q);

API_END

#endif
