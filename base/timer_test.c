/* The wheel against a model that looks at every timer. */
#include <base/timer.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define TICK ((uint64_t)TIMER_TICK_NS)
#define COUNT 200

struct bed;

struct subject {
	struct timer timer;
	struct bed *bed;
	uint32_t fired;
	/* what it does when it fires */
	struct subject *cancels, *arms;
	uint64_t arms_in_ns;
	/* the model */
	bool armed;
	uint64_t at_ns, due_ns; /* due: in whole ticks, and not before it was armed */
};

struct bed {
	struct timer_wheel wheel;
	uint64_t now_ns;
	uint64_t seed;
	uint64_t last_due_ns; /* of those fired in this advance */
	struct subject subject[COUNT];
};

static uint64_t draw(struct bed *b, uint64_t bound)
{
	b->seed = b->seed * 6364136223846793005 + 1442695040888963407;
	return (b->seed >> 20) % bound;
}

static uint64_t due_ns(uint64_t at_ns)
{
	return (at_ns + TICK - 1) / TICK * TICK;
}

static void arm(struct subject *s, uint64_t at_ns)
{
	timer_arm(&s->bed->wheel, &s->timer, at_ns);
	uint64_t now_tick_ns = s->bed->now_ns / TICK * TICK;
	s->armed = true;
	s->at_ns = at_ns;
	s->due_ns = due_ns(at_ns) > now_tick_ns ? due_ns(at_ns) : now_tick_ns;
}

static void cancel(struct subject *s)
{
	timer_cancel(&s->bed->wheel, &s->timer);
	s->armed = false;
}

static void fire(struct timer *t)
{
	struct subject *s = CONTAINER_OF(t, struct subject, timer);
	struct bed *b = s->bed;
	assert_true(s->armed);
	assert_false(t->armed);
	assert_true(s->at_ns <= b->now_ns); /* never early */
	assert_true(s->due_ns >= b->last_due_ns);
	b->last_due_ns = s->due_ns;
	s->armed = false;
	s->fired++;
	if (s->cancels)
		cancel(s->cancels);
	if (s->arms)
		arm(s->arms, b->now_ns + s->arms_in_ns);
}

static void set_up(struct bed *b, uint64_t now_ns)
{
	memset(b, 0, sizeof *b);
	b->now_ns = now_ns;
	timer_wheel_init(&b->wheel, now_ns);
	for (int i = 0; i < COUNT; i++) {
		b->subject[i].bed = b;
		timer_init(&b->subject[i].timer, fire);
	}
}

/* The model's earliest due time, and how many are armed. */
static uint64_t model_next(const struct bed *b, uint32_t *armed)
{
	uint64_t next = TIMER_NEVER;
	*armed = 0;
	for (int i = 0; i < COUNT; i++)
		if (b->subject[i].armed) {
			++*armed;
			if (b->subject[i].at_ns < next)
				next = b->subject[i].at_ns;
		}
	return next;
}

static void check(const struct bed *b)
{
	uint32_t armed;
	uint64_t next = model_next(b, &armed), wheel_next = timer_wheel_next(&b->wheel);
	assert_int_equal(b->wheel.count, armed);
	if (!armed) {
		assert_true(wheel_next == TIMER_NEVER);
		return;
	}
	uint64_t now_tick_ns = b->now_ns / TICK * TICK;
	uint64_t due = due_ns(next) > now_tick_ns ? due_ns(next) : now_tick_ns;
	assert_true(wheel_next <= due);
	assert_true(wheel_next >= now_tick_ns);
	for (unsigned level = 0; level < TIMER_LEVELS; level++)
		for (unsigned slot = 0; slot < TIMER_SLOTS; slot++)
			assert_true((b->wheel.occupied[level] >> slot & 1)
				== !list_is_empty(&b->wheel.slot[level][slot]));
}

/* Everything that was due at the call has fired after it, unless a callback armed it again. */
static void advance(struct bed *b, uint64_t now_ns)
{
	uint32_t expected = 0;
	uint32_t before[COUNT];
	bool was_due[COUNT];
	bool quiet = true;
	b->now_ns = now_ns;
	b->last_due_ns = 0;
	for (int i = 0; i < COUNT; i++) {
		struct subject *s = &b->subject[i];
		before[i] = s->fired;
		was_due[i] = s->armed && due_ns(s->at_ns) <= now_ns;
		expected += was_due[i];
		quiet = quiet && !s->cancels && !s->arms;
	}
	uint32_t fired = timer_wheel_advance(&b->wheel, now_ns);
	if (quiet)
		assert_int_equal(fired, expected);
	for (int i = 0; i < COUNT; i++) {
		assert_true(b->subject[i].fired - before[i] <= (was_due[i] ? 1u : 0u));
		if (quiet && was_due[i])
			assert_int_equal(b->subject[i].fired - before[i], 1);
	}
}

static uint64_t random_delay(struct bed *b)
{
	switch (draw(b, 4)) {
	case 0: return draw(b, 100 * TICK);
	case 1: return draw(b, 100000 * TICK);
	case 2: return draw(b, (uint64_t)1 << (20 + draw(b, 40)));
	default: return draw(b, 3) * TICK;
	}
}

static void random_walk(uint64_t seed, bool callbacks)
{
	static struct bed b;
	set_up(&b, seed * 123456789);
	b.seed = seed;
	for (int step = 0; step < 4000; step++) {
		struct subject *s = &b.subject[draw(&b, COUNT)];
		s->cancels = callbacks && draw(&b, 4) == 0 ? &b.subject[draw(&b, COUNT)] : NULL;
		s->arms = callbacks && draw(&b, 4) == 0 ? &b.subject[draw(&b, COUNT)] : NULL;
		/* Into the past too; but not below zero. */
		s->arms_in_ns = random_delay(&b);
		uint64_t action = draw(&b, 8);
		if (action < 4)
			arm(s, b.now_ns + random_delay(&b));
		else if (action == 4)
			arm(s, b.now_ns - draw(&b, b.now_ns + 1));
		else if (action == 5)
			cancel(s);
		else if (action == 6)
			advance(&b, b.now_ns + random_delay(&b) / 16);
		else if (timer_wheel_next(&b.wheel) != TIMER_NEVER
			&& timer_wheel_next(&b.wheel) > b.now_ns)
			advance(&b, timer_wheel_next(&b.wheel));
		check(&b);
	}
}

static void it_agrees_with_a_model_that_looks_at_every_timer(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++)
		random_walk(seed, false);
}

static void it_agrees_when_callbacks_arm_and_cancel(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 10; seed++)
		random_walk(seed, true);
}

static void waiting_for_next_always_gets_to_the_last_timer(void **state)
{
	(void)state;
	static struct bed b;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		set_up(&b, seed * 987654321987);
		b.seed = seed;
		uint64_t last = 0;
		for (int i = 0; i < COUNT; i++) {
			arm(&b.subject[i], b.now_ns + draw(&b, (uint64_t)1 << (20 + draw(&b, 43))));
			if (b.subject[i].at_ns > last)
				last = b.subject[i].at_ns;
		}
		int rounds = 0;
		while (b.wheel.count) {
			uint64_t next = timer_wheel_next(&b.wheel);
			advance(&b, next);
			check(&b);
			assert_true(++rounds < COUNT * (TIMER_LEVELS + 200));
		}
		assert_true(b.now_ns == due_ns(last));
	}
}

static void a_lone_timer_is_waited_for_in_one_step(void **state)
{
	(void)state;
	static struct bed b;
	static const uint64_t delays[] = {1, TICK, 63 * TICK + 5, 64 * TICK, 100000 * TICK + 1,
		(uint64_t)1 << 50};
	for (size_t i = 0; i < ARRAY_LEN(delays); i++) {
		set_up(&b, 5 * TICK + 77);
		arm(&b.subject[0], b.now_ns + delays[i]);
		assert_true(timer_wheel_next(&b.wheel) == due_ns(b.now_ns + delays[i]));
		advance(&b, timer_wheel_next(&b.wheel) - 1);
		assert_int_equal(b.subject[0].fired, 0);
		advance(&b, b.now_ns + 1);
		assert_int_equal(b.subject[0].fired, 1);
	}
}

static void what_is_past_fires_at_the_next_advance_and_not_within_it(void **state)
{
	(void)state;
	static struct bed b;
	set_up(&b, 1000 * TICK);
	struct subject *again = &b.subject[0];
	again->arms = again;
	arm(again, 1);
	assert_true(timer_wheel_next(&b.wheel) == 1000 * TICK);
	for (uint32_t i = 1; i <= 5; i++) {
		advance(&b, 1000 * TICK);
		assert_int_equal(again->fired, i);
	}
}

static void time_that_runs_backwards_is_ignored(void **state)
{
	(void)state;
	static struct bed b;
	set_up(&b, 1000 * TICK);
	arm(&b.subject[0], 1001 * TICK);
	assert_int_equal(timer_wheel_advance(&b.wheel, 0), 0);
	assert_true(timer_wheel_next(&b.wheel) == 1001 * TICK);
	advance(&b, 1001 * TICK);
	assert_int_equal(b.subject[0].fired, 1);
}

static void the_end_of_time_never_comes(void **state)
{
	(void)state;
	static struct bed b;
	set_up(&b, 7);
	arm(&b.subject[0], TIMER_NEVER);
	arm(&b.subject[1], TIMER_NEVER - 1);
	for (int i = 0; i < 300 && timer_wheel_next(&b.wheel) != TIMER_NEVER; i++)
		timer_wheel_advance(&b.wheel, timer_wheel_next(&b.wheel));
	assert_true(timer_wheel_next(&b.wheel) == TIMER_NEVER);
	timer_wheel_advance(&b.wheel, TIMER_NEVER);
	assert_int_equal(b.subject[0].fired, 0);
	assert_int_equal(b.wheel.count, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_agrees_with_a_model_that_looks_at_every_timer),
		cmocka_unit_test(it_agrees_when_callbacks_arm_and_cancel),
		cmocka_unit_test(waiting_for_next_always_gets_to_the_last_timer),
		cmocka_unit_test(a_lone_timer_is_waited_for_in_one_step),
		cmocka_unit_test(what_is_past_fires_at_the_next_advance_and_not_within_it),
		cmocka_unit_test(time_that_runs_backwards_is_ignored),
		cmocka_unit_test(the_end_of_time_never_comes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
