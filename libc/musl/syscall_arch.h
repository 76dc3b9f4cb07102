/* Stands before musl's own syscall_arch.h on the include path when musl is compiled, and replaces the
 * `syscall` instruction: each system call becomes a direct call of the function sys_NAME().
 *
 * The number is a constant at almost every call site, so the switch below folds to one call and the
 * linker sees exactly which system calls a program can reach: one that libc/ does not implement fails
 * to link, by name. musl's few call sites with a computed number are left out of the library (see
 * third_party/musl.mk); should one come back, it references sys_by_number, which nobody defines.
 *
 * syscall_list.h is generated: SYSCALL_LIST(X) holds X(NAME, NUMBER, ARITY) for each call of the
 * architecture, with the prototypes before it. Written in C99, as musl is compiled. */
#define __SYSCALL_LL_E(x) (x)
#define __SYSCALL_LL_O(x) (x)

#include "syscall_list.h"

#define INGOT_INLINE static __inline __attribute__((__always_inline__, __unused__))

extern long sys_by_number(long);

#define INGOT_ARGS_0(a, b, c, d, e, f) ()
#define INGOT_ARGS_1(a, b, c, d, e, f) (a)
#define INGOT_ARGS_2(a, b, c, d, e, f) (a, b)
#define INGOT_ARGS_3(a, b, c, d, e, f) (a, b, c)
#define INGOT_ARGS_4(a, b, c, d, e, f) (a, b, c, d)
#define INGOT_ARGS_5(a, b, c, d, e, f) (a, b, c, d, e)
#define INGOT_ARGS_6(a, b, c, d, e, f) (a, b, c, d, e, f)

INGOT_INLINE long __syscall6(long n, long a1, long a2, long a3, long a4, long a5, long a6)
{
	switch (n) {
#define INGOT_CASE(name, number, arity)                                                            \
	case number:                                                                               \
		return sys_##name INGOT_ARGS_##arity(a1, a2, a3, a4, a5, a6);
		SYSCALL_LIST(INGOT_CASE)
#undef INGOT_CASE
	default:
		return sys_by_number(n);
	}
}

INGOT_INLINE long __syscall0(long n)
{
	return __syscall6(n, 0, 0, 0, 0, 0, 0);
}

INGOT_INLINE long __syscall1(long n, long a1)
{
	return __syscall6(n, a1, 0, 0, 0, 0, 0);
}

INGOT_INLINE long __syscall2(long n, long a1, long a2)
{
	return __syscall6(n, a1, a2, 0, 0, 0, 0);
}

INGOT_INLINE long __syscall3(long n, long a1, long a2, long a3)
{
	return __syscall6(n, a1, a2, a3, 0, 0, 0);
}

INGOT_INLINE long __syscall4(long n, long a1, long a2, long a3, long a4)
{
	return __syscall6(n, a1, a2, a3, a4, 0, 0);
}

INGOT_INLINE long __syscall5(long n, long a1, long a2, long a3, long a4, long a5)
{
	return __syscall6(n, a1, a2, a3, a4, a5, 0);
}

/* A cancellation point is a plain call: there are no threads to cancel. musl's syscall.h declares this
 * function again, which leaves it static. */
INGOT_INLINE long __syscall_cp(long n, long a1, long a2, long a3, long a4, long a5, long a6)
{
	return __syscall6(n, a1, a2, a3, a4, a5, a6);
}

#define IPC_64 0
