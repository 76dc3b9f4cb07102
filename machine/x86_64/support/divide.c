/* Must be stopped: divides by zero. */
#include "guest.h"

void platform_main(struct platform *p)
{
	volatile uint32_t zero = 0;
	say(p, "%u", 7 / zero);
	survived(p);
}
