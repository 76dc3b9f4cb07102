/* The event loop, the only scheduler. A round: poll the devices, advance the timers, run the fibers
 * that are runnable, let everybody send what the round has produced (one notification for many
 * frames), and when nothing happened, sleep until a device or a timer wants attention. */
#ifndef CORE_LOOP_H
#define CORE_LOOP_H

#include <base/pool.h>
#include <base/timer.h>
#include <core/fiber.h>
#include <core/trace.h>
#include <platform/platform.h>

/* Called each round: `poll` first (true: it found work, so do not sleep), `flush` last. Either may be
 * NULL. The structure is the owner's. */
struct loop_client {
	struct list link;
	bool (*poll)(struct loop_client *);
	void (*flush)(struct loop_client *);
};

struct loop {
	struct platform *platform;
	uint64_t now_ns; /* monotonic, read once in each round */
	struct timer_wheel timers;
	struct list clients;
	struct list runnable; /* fibers */
	struct fiber *running;
	struct pool fibers; /* stacks with the struct fiber at their top */
	size_t stack_size;
	void *switch_context; /* where the loop itself continues */
	struct trace *trace;  /* set by the owner after loop_init; NULL: no events are kept */
	bool stopping;
	uint64_t rounds, sleeps, fiber_switches; /* counters */
};

/* Keeps an event for whoever looks into a panic; `what` is a static string. */
static inline void loop_trace(struct loop *loop, const char *what, uint64_t a, uint64_t b)
{
	if (loop->trace)
		trace_add(loop->trace, loop->now_ns, what, a, b);
}

API_BEGIN

/* Bytes of memory, aligned to 4096, that loop_init wants for `fiber_count` fibers whose usable stacks
 * are `stack_size` bytes (a multiple of 4096); a guard page lies under each. */
size_t loop_memory_size(uint32_t fiber_count, size_t stack_size);
void loop_init(struct loop *loop, struct platform *platform, void *memory, uint32_t fiber_count,
	size_t stack_size);
void loop_add(struct loop *loop, struct loop_client *client);
/* Runs rounds until loop_stop. */
void loop_run(struct loop *loop);
/* One round, for tests and for waiting during start-up; sleeps only when `may_sleep`. True when
 * anything happened. */
bool loop_round(struct loop *loop, bool may_sleep);
void loop_stop(struct loop *loop);

API_END

#endif
