/* memcpy and memmove. The linker takes these rather than musl's, which copy the bytes before and behind a number of
 * aligned words one by one, and upwards within memory all of them: SQLite does that for each cell that it puts into a
 * page. */
#include <string.h>

#include <base/api.h>

#include "copy.h"

API_BEGIN

__attribute__((noinline)) void *memcpy(void *to, const void *from, size_t len)
{
	copy_up(to, from, len);
	return to;
}

void *memmove(void *to, const void *from, size_t len)
{
	if ((uintptr_t)to - (uintptr_t)from < len)
		len = copy_down(to, from, len);
	return memcpy(to, from, len); /* of a few bytes all is read before anything is written */
}

API_END
