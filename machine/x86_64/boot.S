/* From the loader's first instruction to C.
 *
 * Entry (PVH, see Xen's docs/misc/pvh.pandoc): 32-bit protected mode, flat segments, paging off,
 * interrupts off, ebx = physical address of struct hvm_start_info. The ELF loader has zeroed what
 * the file does not fill.
 *
 * Before any C runs: the page tables that hold for good (text R-X, constants R--, everything else
 * RW-NX, page 0 and the guard pages absent), 64-bit mode with write protection in supervisor mode,
 * SSE, and a canary that nobody can guess. machine_start never returns. */

#define PTE_PRESENT 0x001
#define PTE_WRITE 0x002
#define PTE_GUARD 0x200 /* free for software; paging.c knows it too */
#define PTE_NX_HIGH 0x80000000

#define CR0_BITS 0x80010023 /* PG, WP, NE, MP, PE */
#define CR4_BITS 0x000006a0 /* PAE, PGE, OSFXSR, OSXMMEXCPT */
#define EFER 0xc0000080
#define EFER_BITS 0x900 /* LME, NXE */

#define STACK_SIZE 0x10000
#define FAULT_STACK_SIZE 0x2000

	/* XEN_ELFNOTE_PHYS32_ENTRY: where to enter. */
	.section .note.Xen, "a", @note
	.balign 4
	.long 4, 8, 18
	.asciz "Xen"
	.quad pvh_entry

	.section .boot.text, "ax"
	.code32
	.globl pvh_entry
	.type pvh_entry, @function
pvh_entry:
	cli
	cld
	movl $boot_stack_top, %esp
	movl %ebx, %ebp /* the start info, until C gets it */

	/* Without 64-bit mode and no-execute there is nothing to protect us: say so and stop. */
	movl $0x80000000, %eax
	cpuid
	cmpl $0x80000001, %eax
	jb .Lno_cpu
	movl $0x80000001, %eax
	cpuid
	andl $0x20100000, %edx
	cmpl $0x20100000, %edx
	jne .Lno_cpu

	/* 4 KiB pages from 0 to beyond the image. */
	movl $boot_pt, %edi
	xorl %esi, %esi
.Lfill:
	movl %esi, %eax
	orl $(PTE_PRESENT | PTE_WRITE), %eax
	movl $PTE_NX_HIGH, %edx
	cmpl $image_text_start, %esi
	jb .Lstore
	cmpl $image_data_start, %esi
	jae .Lstore
	andl $~PTE_WRITE, %eax
	cmpl $image_rodata_start, %esi
	jae .Lstore
	xorl %edx, %edx
.Lstore:
	movl %eax, (%edi)
	movl %edx, 4(%edi)
	addl $8, %edi
	addl $0x1000, %esi
	cmpl $image_spare_tables_start, %edi /* where boot_pt ends */
	jb .Lfill

	/* Absent pages: 0, and under each stack. */
	movl $.Lguard_list, %esi
	movl $GUARD_COUNT, %ecx
.Lguard:
	lodsl
	shrl $9, %eax
	movl $PTE_GUARD, boot_pt(%eax)
	movl $0, boot_pt+4(%eax)
	loop .Lguard
	movl $0, boot_pt
	movl $0, boot_pt+4

	/* The levels above. Their rights are the widest; the last level decides. */
	movl $boot_pd, %edi
	movl $(boot_pt + PTE_PRESENT + PTE_WRITE), %eax
	movl $image_table_count, %ecx
.Ldirectory:
	movl %eax, (%edi)
	movl $0, 4(%edi)
	addl $8, %edi
	addl $0x1000, %eax
	loop .Ldirectory
	movl $(boot_pd + PTE_PRESENT + PTE_WRITE), boot_pdpt
	movl $(boot_pdpt + PTE_PRESENT + PTE_WRITE), boot_pml4

	movl $CR4_BITS, %eax
	movl %eax, %cr4
	movl $boot_pml4, %eax
	movl %eax, %cr3
	movl $EFER, %ecx
	rdmsr
	orl $EFER_BITS, %eax
	wrmsr
	movl $CR0_BITS, %eax
	movl %eax, %cr0
	lgdt .Lgdt_pointer
	ljmp $0x08, $long_mode

.Lno_cpu:
	movl $.Lno_cpu_text, %esi
	movw $0x3f8, %dx
1:	lodsb
	testb %al, %al
	jz 2f
	outb %al, %dx
	jmp 1b
2:	hlt
	jmp 2b
	.size pvh_entry, . - pvh_entry

	.code64
	.type long_mode, @function
long_mode:
	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movq $boot_stack_top, %rsp
	movl %ebp, %r12d
	xorl %ebp, %ebp /* the last frame of every backtrace */

	/* The canary: the processor's generator where there is one, and the time-stamp counter, spread
	 * over all bits by a multiplication. Its lowest byte is 0, which ends a string. */
	xorl %r13d, %r13d
	movl $1, %eax
	cpuid
	btl $30, %ecx
	jnc 2f
	movl $10, %ecx
1:	rdrand %r13
	jc 2f
	loop 1b
2:	rdtsc
	shlq $32, %rdx
	orq %rdx, %rax
	movabsq $0x9e3779b97f4a7c15, %rdx
	imulq %rdx, %rax
	bswapq %rax
	imulq %rdx, %rax
	xorq %r13, %rax
	xorb %al, %al
	movq %rax, __stack_chk_guard(%rip)

	movl %r12d, %edi
	call machine_start
	ud2
	.size long_mode, . - long_mode

	.section .rodata.boot, "a"
.Lno_cpu_text:
	.asciz "ingot: this processor lacks 64-bit mode or no-execute pages; cannot start\r\n"
	.balign 4
.Lguard_list:
	.long boot_stack_guard, double_fault_guard, fault_guard, machine_check_guard
	.equ GUARD_COUNT, 4

	.section .data.boot, "aw"
	.balign 8
	.globl gdt
	.hidden gdt
gdt:
	.quad 0
	.quad 0x00af9b000000ffff /* 0x08: 64-bit code */
	.quad 0x00cf93000000ffff /* 0x10: data */
	.quad 0, 0               /* 0x18: the task state, by traps.c */
.Lgdt_end:
	.word 0
.Lgdt_pointer:
	.word .Lgdt_end - gdt - 1
	.long gdt
	.long 0

	.section .stacks, "aw", @nobits
	.balign 4096
	.globl boot_stack_top, double_fault_stack_top, fault_stack_top, machine_check_stack_top
	.hidden boot_stack_top, double_fault_stack_top, fault_stack_top, machine_check_stack_top
boot_stack_guard:
	.skip 4096
	.skip STACK_SIZE
boot_stack_top:
double_fault_guard:
	.skip 4096
	.skip FAULT_STACK_SIZE
double_fault_stack_top:
fault_guard:
	.skip 4096
	.skip FAULT_STACK_SIZE
fault_stack_top:
machine_check_guard:
	.skip 4096
	.skip FAULT_STACK_SIZE
machine_check_stack_top:

	.section .note.GNU-stack, "", @progbits
