/* Clocks, sleep and entropy: the platform's. */
#include "private.h"

#include <errno.h>
#include <sys/time.h>
#include <time.h>

#define NS_PER_S 1000000000

static struct platform *platform(void)
{
	return libc_context()->config.platform;
}

/* CPU time, too, counts from the start: there is nobody else on this machine. */
static int64_t clock_ns(long clock)
{
	if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI)
		return platform()->wall_ns(platform());
	return (int64_t)platform()->now_ns(platform());
}

static bool is_clock(long clock)
{
	return clock >= CLOCK_REALTIME && clock <= CLOCK_TAI;
}

long sys_clock_gettime(long clock, long result)
{
	struct timespec *out = (void *)result;
	if (!is_clock(clock))
		return -EINVAL;
	int64_t ns = clock_ns(clock);
	out->tv_sec = ns / NS_PER_S;
	out->tv_nsec = ns % NS_PER_S;
	return 0;
}

long sys_clock_getres(long clock, long result)
{
	struct timespec *out = (void *)result;
	if (!is_clock(clock))
		return -EINVAL;
	if (out)
		*out = (struct timespec){.tv_nsec = 1};
	return 0;
}

long sys_gettimeofday(long result, long zone)
{
	struct timeval *out = (void *)result;
	int64_t ns = clock_ns(CLOCK_REALTIME);
	(void)zone;
	out->tv_sec = ns / NS_PER_S;
	out->tv_usec = ns % NS_PER_S / 1000;
	return 0;
}

/* On a fiber the others go on; before there are any, the machine waits. */
static void sleep_until(uint64_t at_ns)
{
	struct loop *loop = libc_context()->config.loop;
	if (loop && fiber_self(loop)) {
		fiber_sleep_until(loop, at_ns);
		return;
	}
	while (platform()->now_ns(platform()) < at_ns)
		platform()->idle(platform(), at_ns);
}

static bool timespec_to_ns(const struct timespec *t, uint64_t *out)
{
	if (t->tv_sec < 0 || t->tv_nsec < 0 || t->tv_nsec >= NS_PER_S)
		return false;
	if (__builtin_mul_overflow((uint64_t)t->tv_sec, (uint64_t)NS_PER_S, out) ||
		__builtin_add_overflow(*out, (uint64_t)t->tv_nsec, out))
		*out = INT64_MAX;
	return true;
}

long sys_clock_nanosleep(long clock, long flags, long request, long remaining)
{
	uint64_t ns, now_ns = platform()->now_ns(platform());
	(void)remaining;
	if (!is_clock(clock) || !timespec_to_ns((const void *)request, &ns))
		return -EINVAL;
	if (flags & TIMER_ABSTIME) {
		uint64_t clock_now_ns = (uint64_t)clock_ns(clock);
		ns = ns > clock_now_ns ? ns - clock_now_ns : 0;
	}
	sleep_until(ns < INT64_MAX - now_ns ? now_ns + ns : INT64_MAX);
	return 0;
}

long sys_nanosleep(long request, long remaining)
{
	return sys_clock_nanosleep(CLOCK_MONOTONIC, 0, request, remaining);
}

long sys_sched_yield(void)
{
	struct loop *loop = libc_context()->config.loop;
	if (loop && fiber_self(loop))
		fiber_yield(loop);
	return 0;
}

long sys_getrandom(long bytes, long len, long flags)
{
	uint8_t *out = (void *)bytes;
	size_t left = (size_t)len;
	(void)flags;
	while (left) {
		size_t n = platform()->entropy(platform(), out, left);
		if (n == 0)
			return -EIO;
		out += n;
		left -= n;
	}
	return len;
}
