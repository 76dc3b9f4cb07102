/* Must be stopped: calls a `ret` that lies in its data. */
#include "guest.h"

static volatile uint8_t code[16] = {0x90};

void platform_main(struct platform *p)
{
	code[0] = 0xc3;
	((void (*)(void))(uintptr_t)code)();
	survived(p);
}
