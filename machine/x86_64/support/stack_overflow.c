/* Must be stopped: recursion without end. */
#include "guest.h"

static uint32_t deeper(volatile uint32_t *n)
{
	volatile uint32_t frame[64];
	frame[*n % 64] = *n;
	++*n;
	return *n ? deeper(n) + frame[*n % 64] : 0;
}

void platform_main(struct platform *p)
{
	volatile uint32_t n = 1;
	say(p, "%u", deeper(&n));
	survived(p);
}
