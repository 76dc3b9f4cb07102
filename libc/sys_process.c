/* One process with one thread, which nobody can send a signal to. */
#include <base/assert.h>
#include "private.h"

#include <errno.h>
#include <string.h>

long sys_getpid(void)
{
	return 1;
}

long sys_gettid(void)
{
	return 1;
}

long sys_set_tid_address(long at)
{
	(void)at;
	return 1;
}

long sys_exit_group(long status)
{
	struct platform *platform = libc_context()->config.platform;
	sys_write(1, (long)"\n", 1);
	sys_write(2, (long)"\n", 1);
	platform->power_off(platform, status ? PLATFORM_EXIT_FAILED : PLATFORM_EXIT_OK);
}

long sys_exit(long status)
{
	return sys_exit_group(status);
}

long sys_rt_sigprocmask(long how, long set, long old, long size)
{
	(void)how, (void)set;
	if (old)
		memset((void *)old, 0, (size_t)size);
	return 0;
}

/* Handlers may be set; they are never called. */
long sys_rt_sigaction(long signal, long action, long old, long size)
{
	(void)signal, (void)action, (void)old, (void)size;
	return 0;
}

/* raise() and abort(). */
long sys_tkill(long thread, long signal)
{
	(void)thread, (void)signal;
	assert_fail("the program raised a signal (abort?)", __FILE__, __LINE__);
}

/* Nobody else can hold a lock that is waited for, but another fiber may. */
long sys_futex(long word, long operation, long value, long timeout, long word2, long value3)
{
	enum { FUTEX_WAIT = 0, FUTEX_OPERATION = 0x7f };
	(void)word, (void)value, (void)timeout, (void)word2, (void)value3;
	if ((operation & FUTEX_OPERATION) != FUTEX_WAIT)
		return 0;
	sys_sched_yield();
	return -EAGAIN;
}
