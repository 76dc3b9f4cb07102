/* The last events, in a ring: cheap enough to be always on, printed by a panic and on request. */
#ifndef CORE_TRACE_H
#define CORE_TRACE_H

#include <base/slice.h>

struct trace_event {
	uint64_t time_ns;
	const char *what; /* a static string, "tcp retransmit"; the event's id is its address */
	uint64_t a, b;    /* what they mean belongs to the event */
};

struct trace {
	struct trace_event *ring;
	uint64_t mask;  /* size - 1; the size is a power of two */
	uint64_t count; /* events ever written */
};

static inline void trace_add(
	struct trace *t, uint64_t time_ns, const char *what, uint64_t a, uint64_t b)
{
	t->ring[t->count++ & t->mask] = (struct trace_event){time_ns, what, a, b};
}

API_BEGIN

/* `ring`: memory for `size` events, a power of two, the trace's until its last use. */
void trace_init(struct trace *t, struct trace_event *ring, uint32_t size);
/* Gives the last `max` events, oldest first, as text: "    1.234567 tcp retransmit 0x1f90 0x3\n".
 * Needs no memory; each line is borrowed for the call. */
void trace_write(const struct trace *t, uint32_t max, void (*line)(void *cookie, struct slice),
	void *cookie);

API_END

#endif
