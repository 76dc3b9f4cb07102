/* What stubs.S saves when the processor reports an exception. */
#ifndef MACHINE_X86_64_TRAPS_H
#define MACHINE_X86_64_TRAPS_H

#include <stdint.h>

struct trap_frame { /* the order in which stubs.S pushes, last first */
	uint64_t rax, rcx, rdx, rbx, rbp, rsi, rdi;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

enum trap_vector {
	TRAP_DIVIDE = 0,
	TRAP_NMI = 2,
	TRAP_INVALID_OPCODE = 6,
	TRAP_DOUBLE_FAULT = 8,
	TRAP_PROTECTION = 13,
	TRAP_PAGE_FAULT = 14,
	TRAP_MACHINE_CHECK = 18,
};

/* Called by stubs.S with a stack of its own. */
_Noreturn void panic_trap(const struct trap_frame *frame);

#endif
