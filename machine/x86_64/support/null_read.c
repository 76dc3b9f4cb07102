/* Must be stopped: reads a member of a structure at NULL. */
#include "guest.h"

void platform_main(struct platform *p)
{
	struct slice *volatile none = NULL;
	say(p, "%lu", (unsigned long)((volatile struct slice *)none)->len);
	survived(p);
}
