/* Must be stopped: a function that writes beyond its buffer returns. */
#include "guest.h"

static __attribute__((noinline)) void fill(struct platform *p, size_t len)
{
	char buffer[16];
	for (volatile size_t i = 0; i < len; i++)
		((volatile char *)buffer)[i] = 'x';
	say(p, "%c", buffer[3]);
}

void platform_main(struct platform *p)
{
	volatile size_t len = 32;
	fill(p, len);
	survived(p);
}
