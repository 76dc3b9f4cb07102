/* AddressSanitizer keeps books about the running stack and must hear about each switch. Its
 * functions are weak references: where it is not linked they are null and the calls do nothing. */
#ifndef CORE_SANITIZER_H
#define CORE_SANITIZER_H

#include <base/api.h>
#include <stddef.h>

API_BEGIN
__attribute__((weak)) void __sanitizer_start_switch_fiber(
	void **fake_stack_save, const void *bottom, size_t size);
__attribute__((weak)) void __sanitizer_finish_switch_fiber(
	void *fake_stack_save, const void **bottom_old, size_t *size_old);
__attribute__((weak)) void __asan_unpoison_memory_region(const volatile void *start, size_t size);
API_END

/* Before a switch to the stack at `bottom`. `save` NULL: the running stack is left for ever. */
static inline void sanitizer_switch_begins(void **save, const void *bottom, size_t size)
{
	if (__sanitizer_start_switch_fiber)
		__sanitizer_start_switch_fiber(save, bottom, size);
}

/* On the new stack, with what was saved when it was left; tells where the switch came from. */
static inline void sanitizer_switch_ends(void *saved, const void **bottom_old, size_t *size_old)
{
	if (__sanitizer_finish_switch_fiber)
		__sanitizer_finish_switch_fiber(saved, bottom_old, size_old);
}

/* A stack is used again: the frames of the last fiber are no longer on it. */
static inline void sanitizer_stack_is_new(const void *bottom, size_t size)
{
	if (__asan_unpoison_memory_region)
		__asan_unpoison_memory_region(bottom, size);
}

#endif
