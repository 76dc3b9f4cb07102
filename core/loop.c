#include <core/loop.h>

#include <base/assert.h>
#include "fiber.h"

void loop_init(struct loop *loop, struct platform *platform, void *memory, uint32_t fiber_count,
	size_t stack_size)
{
	*loop = (struct loop){.platform = platform, .now_ns = platform->now_ns(platform)};
	timer_wheel_init(&loop->timers, loop->now_ns);
	list_init(&loop->clients);
	list_init(&loop->runnable);
	fiber_pool_init(loop, memory, fiber_count, stack_size);
}

void loop_add(struct loop *loop, struct loop_client *client)
{
	list_push_back(&loop->clients, &client->link);
}

static bool poll_clients(struct loop *loop)
{
	bool worked = false;
	LIST_FOR_EACH(e, &loop->clients) {
		struct loop_client *c = LIST_ENTRY(e, struct loop_client, link);
		if (c->poll && c->poll(c))
			worked = true;
	}
	return worked;
}

static void flush_clients(struct loop *loop)
{
	LIST_FOR_EACH(e, &loop->clients) {
		struct loop_client *c = LIST_ENTRY(e, struct loop_client, link);
		if (c->flush)
			c->flush(c);
	}
}

static void sleep_until_next(struct loop *loop)
{
	uint64_t until_ns = timer_wheel_next(&loop->timers);
	if (!list_is_empty(&loop->runnable) || loop->stopping || until_ns <= loop->now_ns)
		return;
	loop->sleeps++;
	loop->platform->idle(loop->platform, until_ns);
}

bool loop_round(struct loop *loop, bool may_sleep)
{
	ASSERT(loop->running == NULL);
	loop->rounds++;
	loop->now_ns = loop->platform->now_ns(loop->platform);
	bool worked = poll_clients(loop);
	if (timer_wheel_advance(&loop->timers, loop->now_ns))
		worked = true;
	if (fiber_run_all(loop))
		worked = true;
	flush_clients(loop);
	if (may_sleep && !worked)
		sleep_until_next(loop);
	return worked;
}

void loop_run(struct loop *loop)
{
	loop->stopping = false;
	while (!loop->stopping)
		loop_round(loop, true);
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}
