/* Must be stopped: an assertion that does not hold. */
#include <base/assert.h>

#include "guest.h"

void platform_main(struct platform *p)
{
	ASSERT(p->memory_len == 1);
	survived(p);
}
