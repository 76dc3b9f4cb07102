/* Must be stopped: calls a `ret` that it has written to free memory. */
#include "guest.h"

void platform_main(struct platform *p)
{
	p->memory[0] = 0xc3;
	((void (*)(void))(uintptr_t)p->memory)();
	survived(p);
}
