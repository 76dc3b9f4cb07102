/* Must be stopped: writes to its own code. */
#include "guest.h"

void platform_main(struct platform *p)
{
	*(volatile uint8_t *)(uintptr_t)platform_main = 0xc3;
	survived(p);
}
