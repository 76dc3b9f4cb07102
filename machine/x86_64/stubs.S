/* Where the processor enters on exceptions and interrupts.
 *
 * Exceptions never return: they save all registers as struct trap_frame (traps.h) and end in
 * panic_trap. Interrupts come only while cpu_wait halts (machine.h, rule 2), which C sees as a
 * call: so a handler need not save what a call may destroy. It returns with interrupts off, so that
 * exactly one is taken for each wait, and a level-triggered line that its driver has not
 * acknowledged yet cannot hold the processor. */

#include "vectors.h"

	.text
	/* 32 stubs of 16 bytes each. */
	.globl trap_stubs
	.hidden trap_stubs
	.balign 16
	.type trap_stubs, @function
trap_stubs:
	.set vector, 0
	.rept 32
	.balign 16
	/* 8, 10 to 14, 17, 21, 29 and 30 come with an error code. */
	.if !((0x60227d00 >> vector) & 1)
	pushq $0
	.endif
	pushq $vector
	jmp trap_common
	.set vector, vector + 1
	.endr
	.size trap_stubs, . - trap_stubs

	.type trap_common, @function
trap_common:
	pushq %r15
	pushq %r14
	pushq %r13
	pushq %r12
	pushq %r11
	pushq %r10
	pushq %r9
	pushq %r8
	pushq %rdi
	pushq %rsi
	pushq %rbp
	pushq %rbx
	pushq %rdx
	pushq %rcx
	pushq %rax
	cld
	movq %rsp, %rdi
	andq $~15, %rsp
	call panic_trap
	ud2
	.size trap_common, . - trap_common

	/* 16 bytes each again; the last is the spurious vector's. */
	.globl interrupt_stubs
	.hidden interrupt_stubs
	.balign 16
	.type interrupt_stubs, @function
interrupt_stubs:
	.set vector, VECTOR_TIMER
	.rept VECTOR_COUNT
	.balign 16
	pushq $vector
	jmp interrupt_common
	.set vector, vector + 1
	.endr
	.balign 16
	pushq $VECTOR_SPURIOUS
	jmp interrupt_common
	.size interrupt_stubs, . - interrupt_stubs

	.type interrupt_common, @function
interrupt_common:
	popq %rdi
	cld
	subq $8, %rsp /* the processor aligned the stack, then pushed five words */
	call interrupt_arrived
	addq $8, %rsp
	andq $~0x200, 16(%rsp) /* the saved flags: return with interrupts off */
	iretq
	.size interrupt_common, . - interrupt_common

	/* Halts until an interrupt was handled. An interrupt that is pending when this is called is
	 * taken after hlt has begun (sti delays it by one instruction), so none is lost. */
	.globl cpu_wait
	.hidden cpu_wait
	.type cpu_wait, @function
cpu_wait:
	pushq %rbp
	movq %rsp, %rbp
	sti
	hlt
	cli
	popq %rbp
	ret
	.size cpu_wait, . - cpu_wait

	.section .note.GNU-stack, "", @progbits
