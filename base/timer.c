/* The wheel in ticks: level L has a slot for each value of the L-th base-64 digit of a tick.
 *
 * A timer lies at the level of the highest digit in which its tick differs from now, in the slot of
 * its own digit there. Hence:
 *  1. at level L > 0 only slots above now's digit are occupied, and all timers there agree with now
 *     in the digits above L: what lies at a lower level is due sooner;
 *  2. slot 0 of the top level is never used by rule 1. It holds what is beyond the wheel's span
 *     (2^36 ticks, about 800 days) and is sorted again when the span is over;
 *  3. the slot of now at level 0 holds what is due already and fires at the next advance;
 *  4. a bit in `occupied` is set exactly when its slot has a timer.
 *
 * After Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987), scheme 6. */
#include <base/timer.h>

#define DIGIT_BITS 6
#define SPAN_BITS (DIGIT_BITS * TIMER_LEVELS)
/* How many timers of one slot timer_wheel_next looks at for an exact answer. */
#define LOOK_MAX 16

_Static_assert(TIMER_SLOTS == 1 << DIGIT_BITS, "a slot for each value of a digit");

struct place {
	unsigned level, slot;
};

static uint64_t due_tick(const struct timer *t)
{
	return t->at_ns / TIMER_TICK_NS + (t->at_ns % TIMER_TICK_NS != 0);
}

static uint64_t tick_ns(uint64_t tick)
{
	return tick > TIMER_NEVER / TIMER_TICK_NS ? TIMER_NEVER : tick * TIMER_TICK_NS;
}

static unsigned digit(uint64_t tick, unsigned level)
{
	return (unsigned)(tick >> (DIGIT_BITS * level)) & (TIMER_SLOTS - 1);
}

static struct place place_of(uint64_t now, uint64_t due)
{
	if (due <= now)
		return (struct place){0, digit(now, 0)};
	unsigned level = (63 - (unsigned)__builtin_clzll(now ^ due)) / DIGIT_BITS;
	if (level >= TIMER_LEVELS)
		return (struct place){TIMER_LEVELS - 1, 0};
	return (struct place){level, digit(due, level)};
}

static void put(struct timer_wheel *w, struct timer *t)
{
	struct place p = place_of(w->now_tick, due_tick(t));
	list_push_back(&w->slot[p.level][p.slot], &t->link);
	w->occupied[p.level] |= 1ull << p.slot;
}

/* Moves everything from a slot to the end of `to`. */
static void take_slot(struct timer_wheel *w, struct place p, struct list *to)
{
	struct list *from = &w->slot[p.level][p.slot];
	w->occupied[p.level] &= ~(1ull << p.slot);
	if (list_is_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

/* The occupied slot that comes first, and the tick at which it begins; false when there is none. */
static bool first_slot(const struct timer_wheel *w, struct place *place, uint64_t *tick)
{
	for (unsigned level = 0; level < TIMER_LEVELS; level++) {
		uint64_t slots = w->occupied[level];
		if (level == TIMER_LEVELS - 1)
			slots &= ~1ull;
		if (!slots)
			continue;
		unsigned shift = DIGIT_BITS * level;
		unsigned slot = (unsigned)__builtin_ctzll(slots);
		*place = (struct place){level, slot};
		*tick = (w->now_tick >> (shift + DIGIT_BITS) << (shift + DIGIT_BITS))
			| (uint64_t)slot << shift;
		return true;
	}
	*place = (struct place){TIMER_LEVELS - 1, 0};
	*tick = ((w->now_tick >> SPAN_BITS) + 1) << SPAN_BITS;
	return (w->occupied[TIMER_LEVELS - 1] & 1) != 0;
}

void timer_wheel_init(struct timer_wheel *w, uint64_t now_ns)
{
	w->now_tick = now_ns / TIMER_TICK_NS;
	w->count = 0;
	for (unsigned level = 0; level < TIMER_LEVELS; level++) {
		w->occupied[level] = 0;
		for (unsigned slot = 0; slot < TIMER_SLOTS; slot++)
			list_init(&w->slot[level][slot]);
	}
}

void timer_init(struct timer *t, void (*fire)(struct timer *))
{
	list_init(&t->link);
	t->at_ns = 0;
	t->fire = fire;
	t->armed = false;
}

void timer_arm(struct timer_wheel *w, struct timer *t, uint64_t at_ns)
{
	timer_cancel(w, t);
	t->at_ns = at_ns;
	t->armed = true;
	w->count++;
	put(w, t);
}

void timer_cancel(struct timer_wheel *w, struct timer *t)
{
	if (!t->armed)
		return;
	struct list *next = t->link.next, *prev = t->link.prev;
	list_remove(&t->link);
	t->armed = false;
	w->count--;
	if (next != prev)
		return;
	/* It may have been the last of its slot, whose sentinel `next` then is; else `next` is
	 * another timer, or the list of those that timer_wheel_advance is about to fire. */
	uintptr_t index = ((uintptr_t)next - (uintptr_t)w->slot) / sizeof(struct list);
	if (index < TIMER_LEVELS * TIMER_SLOTS && list_is_empty(next))
		w->occupied[index / TIMER_SLOTS] &= ~(1ull << index % TIMER_SLOTS);
}

/* Moves now to `target`; what became due on the way goes to `due`, in order. No timer fires
 * meanwhile, so that none sees a wheel that stands between two times. */
static void turn(struct timer_wheel *w, uint64_t target, struct list *due)
{
	struct place place;
	uint64_t tick;
	while (first_slot(w, &place, &tick) && tick <= target) {
		struct list taken, *e;
		list_init(&taken);
		take_slot(w, place, &taken);
		w->now_tick = tick;
		while ((e = list_pop_front(&taken)) != NULL) {
			struct timer *t = LIST_ENTRY(e, struct timer, link);
			if (due_tick(t) <= tick)
				list_push_back(due, e);
			else
				put(w, t);
		}
	}
	w->now_tick = target;
}

uint32_t timer_wheel_advance(struct timer_wheel *w, uint64_t now_ns)
{
	uint64_t target = now_ns / TIMER_TICK_NS;
	if (target < w->now_tick)
		target = w->now_tick;
	if (w->count == 0) {
		w->now_tick = target;
		return 0;
	}
	struct list due, *e;
	list_init(&due);
	turn(w, target, &due);
	uint32_t fired = 0;
	while ((e = list_pop_front(&due)) != NULL) {
		struct timer *t = LIST_ENTRY(e, struct timer, link);
		t->armed = false;
		w->count--;
		fired++;
		t->fire(t);
	}
	return fired;
}

uint64_t timer_wheel_next(const struct timer_wheel *w)
{
	struct place place;
	uint64_t tick;
	if (!first_slot(w, &place, &tick))
		return TIMER_NEVER;
	if (tick <= w->now_tick || place.level == 0)
		return tick_ns(tick);
	/* The slot's begin is a right answer, but one that wakes an idle machine only to sort
	 * timers. */
	uint64_t earliest = UINT64_MAX;
	const struct list *slot = &w->slot[place.level][place.slot];
	unsigned looked = 0;
	for (const struct list *e = slot->next; e != slot; e = e->next) {
		uint64_t due = due_tick(LIST_ENTRY(e, struct timer, link));
		if (due < earliest)
			earliest = due;
		if (++looked == LOOK_MAX && e->next != slot)
			return tick_ns(tick);
	}
	return tick_ns(earliest);
}
