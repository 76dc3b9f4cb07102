/* A hierarchical timer wheel: O(1) to arm and cancel, for any number of timers, without allocation.
 * Pure: time comes in as an argument. Used by the TCP/IP engine and by the event loop. */
#ifndef BASE_TIMER_H
#define BASE_TIMER_H

#include <base/list.h>
#include <stdint.h>

/* The wheel's resolution; a timer never fires early and at most one tick late (plus the loop's delay). */
#define TIMER_TICK_NS 1048576u /* 2^20: about 1 ms */
#define TIMER_NEVER UINT64_MAX

#define TIMER_LEVELS 6
#define TIMER_SLOTS 64

struct timer {
	struct list link;
	uint64_t at_ns;
	void (*fire)(struct timer *); /* may arm or cancel any timer, this one too */
	bool armed;
};

struct timer_wheel {
	uint64_t now_tick;
	uint32_t count;                     /* armed timers */
	uint64_t occupied[TIMER_LEVELS];    /* a bit for each slot that may hold timers */
	struct list slot[TIMER_LEVELS][TIMER_SLOTS];
};

API_BEGIN

void timer_wheel_init(struct timer_wheel *w, uint64_t now_ns);
void timer_init(struct timer *t, void (*fire)(struct timer *));
/* Arms or re-arms; `at_ns` in the past fires at the next advance. */
void timer_arm(struct timer_wheel *w, struct timer *t, uint64_t at_ns);
/* Harmless when not armed. */
void timer_cancel(struct timer_wheel *w, struct timer *t);
/* Fires everything that is due at now_ns; time never runs backwards (a smaller now_ns is ignored).
 * The number fired. */
uint32_t timer_wheel_advance(struct timer_wheel *w, uint64_t now_ns);
/* A time no later than when the next timer is due, no earlier than now; TIMER_NEVER when none is
 * armed. Never so early that waiting for it and advancing makes no progress. */
uint64_t timer_wheel_next(const struct timer_wheel *w);

API_END

#endif
