/* Must be stopped: writes to a constant. */
#include "guest.h"

static const uint8_t constant[16] = {1, 2, 3};

void platform_main(struct platform *p)
{
	volatile uintptr_t at = (uintptr_t)constant;
	*(volatile uint8_t *)at = 0;
	survived(p);
}
