#include <sim/platform.h>

#include <stdlib.h>

static struct sim_platform *of(struct platform *p)
{
	return CONTAINER_OF(p, struct sim_platform, platform);
}

uint64_t sim_random(uint64_t *state)
{
	uint64_t v = *state += 0x9e3779b97f4a7c15u;
	v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9u;
	v = (v ^ v >> 27) * 0x94d049bb133111ebu;
	return v ^ v >> 31;
}

static uint64_t now_ns(struct platform *p)
{
	return of(p)->now_ns;
}

static int64_t wall_ns(struct platform *p)
{
	return (int64_t)(1767225600ull * 1000000000ull + of(p)->now_ns); /* from 2026-01-01 on */
}

static size_t entropy(struct platform *p, void *out, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)out)[i] = (uint8_t)sim_random(&of(p)->random);
	return len;
}

static void write_line(struct platform *p, struct slice line)
{
	if (of(p)->log)
		of(p)->log(of(p)->cookie, line);
}

static bool offer_line(struct platform *p, struct slice line)
{
	if (of(p)->log_full)
		return false;
	write_line(p, line);
	return true;
}

static void idle(struct platform *p, uint64_t until_ns)
{
	struct sim_platform *sim = of(p);
	uint64_t next = until_ns;
	LIST_FOR_EACH(e, &sim->sources) {
		struct sim_source *source = LIST_ENTRY(e, struct sim_source, link);
		uint64_t due = source->next_ns(source);
		if (due < next)
			next = due;
	}
	if (next == UINT64_MAX)
		sim->stuck = true;
	else if (next > sim->now_ns)
		sim->now_ns = next;
}

static bool power_button(struct platform *p)
{
	return of(p)->button;
}

static __attribute__((noreturn)) void power_off(struct platform *p, enum platform_exit code)
{
	(void)p;
	exit((int)code);
}

static void guard(struct platform *p, void *at, size_t len)
{
	(void)p;
	(void)at;
	(void)len;
}

void sim_platform_init(struct sim_platform *sim, uint64_t seed, uint8_t *memory, size_t len)
{
	*sim = (struct sim_platform){
		.platform = {.now_ns = now_ns, .wall_ns = wall_ns, .entropy = entropy,
			.log_write = write_line, .log_offer = offer_line, .console_write = write_line, .idle = idle,
			.power_button = power_button, .power_off = power_off, .guard = guard,
			.memory = memory, .memory_len = len, .memory_total = len, .kind = "sim"},
		.random = seed,
	};
	list_init(&sim->sources);
}

void sim_platform_add(struct sim_platform *sim, struct sim_source *source)
{
	list_push_back(&sim->sources, &source->link);
}
