/* The frequency of this processor's time-stamp counter in kHz, measured over 200 ms: what a guest under
 * TCG sees of it, and cannot measure by itself on a machine without PIT. */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

static double now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(void)
{
	double from_ns = now_ns();
	uint64_t from = __rdtsc();
	nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
	double ns = now_ns() - from_ns;
	printf("%.0f\n", (double)(__rdtsc() - from) * 1e6 / ns);
	return 0;
}
