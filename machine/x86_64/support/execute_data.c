/* Must be stopped: calls a `ret` that lies in its data. */
#include "guest.h"

static uint8_t code[16] = {0xc3};

void platform_main(struct platform *p)
{
	((void (*)(void))(uintptr_t)code)();
	survived(p);
}
