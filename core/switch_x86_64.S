# switch_stack and switch_prepare for x86-64 (System V ABI 1.0, section 3.2.1): rbx, rbp, r12 to
# r15, the control bits of MXCSR and the x87 control word belong to the caller. See switch.h.
#
# A saved stack, from its pointer up:
#	0	MXCSR
#	4	x87 control word
#	8	r15, r14, r13, r12, rbx, rbp
#	56	where to go on

	.text

	.globl	switch_stack
	.hidden	switch_stack
	.type	switch_stack, @function
	.balign	16
switch_stack:
	.cfi_sections .debug_frame /* for debuggers: nothing at run time reads it */
	.cfi_startproc
	pushq	%rbp
	pushq	%rbx
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	subq	$8, %rsp
	.cfi_def_cfa_offset 64
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)
	movq	%rsp, (%rdi)
	movq	%rsi, %rsp
	ldmxcsr	(%rsp)
	fldcw	4(%rsp)
	addq	$8, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbx
	popq	%rbp
	.cfi_def_cfa_offset 8
	ret
	.cfi_endproc
	.size	switch_stack, . - switch_stack

# r12 carries the entry, r13 its argument. rbp is zero: backtraces end here.
	.globl	switch_prepare
	.hidden	switch_prepare
	.type	switch_prepare, @function
	.balign	16
switch_prepare:
	.cfi_startproc
	leaq	-64(%rdi), %rax
	stmxcsr	(%rax)
	fnstcw	4(%rax)
	movq	$0, 8(%rax)
	movq	$0, 16(%rax)
	movq	%rdx, 24(%rax)
	movq	%rsi, 32(%rax)
	movq	$0, 40(%rax)
	movq	$0, 48(%rax)
	leaq	first_entry(%rip), %rcx
	movq	%rcx, 56(%rax)
	ret
	.cfi_endproc
	.size	switch_prepare, . - switch_prepare

	.type	first_entry, @function
	.balign	16
first_entry:
	.cfi_startproc
	.cfi_undefined rip
	movq	%r13, %rdi
	call	*%r12
	ud2
	.cfi_endproc
	.size	first_entry, . - first_entry

	.section .note.GNU-stack, "", @progbits
