#include "memory.h"

#include "../../private.h"

static uint64_t left;
static bool has_failed;

void seam_fail_allocation(uint64_t n)
{
	left = n;
	if (n)
		has_failed = false;
}

bool seam_has_failed(void)
{
	return has_failed;
}

static bool fails_now(void)
{
	bool yes = left == 1;
	left -= left != 0;
	has_failed |= yes;
	return yes;
}

err __real_cache_take(struct store *s, struct frame **frame);
err __wrap_cache_take(struct store *s, struct frame **frame);
err __wrap_cache_take(struct store *s, struct frame **frame)
{
	return fails_now() ? ERR(NO_MEMORY) : __real_cache_take(s, frame);
}

struct delta *__real_delta_new(struct store *s, uint32_t object, uint32_t page_no);
struct delta *__wrap_delta_new(struct store *s, uint32_t object, uint32_t page_no);
struct delta *__wrap_delta_new(struct store *s, uint32_t object, uint32_t page_no)
{
	return fails_now() ? NULL : __real_delta_new(s, object, page_no);
}
