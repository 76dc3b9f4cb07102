/* Must be stopped: touches a page that was made a guard, in the middle of a large page. */
#include "guest.h"

void platform_main(struct platform *p)
{
	uint8_t *page = p->memory + (p->memory_len / 2 & ~(size_t)4095);
	page[0] = 1;
	p->guard(p, page, 4096);
	page[-1] = page[4096] = 1;
	*(volatile uint8_t *)page = 2;
	survived(p);
}
