/* An exception in words: what was attempted, on what, with which registers. All are bugs, or memory
 * errors that cannot be repaired: none returns. Intel SDM volume 3, 6.15. */
#include "../machine.h"

#include "image.h"
#include "traps.h"

#define ERROR_PRESENT 1u
#define ERROR_WRITE 2u
#define ERROR_RESERVED 8u
#define ERROR_FETCH 16u


static const char *region_name(uint64_t at)
{
	if (at >= (uintptr_t)image_text_start && at < (uintptr_t)image_rodata_start)
		return "the image's code";
	if (at >= (uintptr_t)image_rodata_start && at < (uintptr_t)image_data_start)
		return "the image's constants";
	if (at >= (uintptr_t)image_data_start && at < (uintptr_t)image_end)
		return "the image's data";
	return "memory";
}

static const char *page_fault_text(uint64_t error, uint64_t at)
{
	if (at < PAGE_SIZE)
		return error & ERROR_FETCH ? "call of a null pointer" : "null pointer dereference";
	if (paging_is_guard(at))
		return "stack overflow: guard page";
	if (error & ERROR_RESERVED)
		return "damaged page table";
	if (error & ERROR_FETCH)
		return error & ERROR_PRESENT ? "execution of data" : "jump to unmapped memory";
	if (error & ERROR_PRESENT)
		return error & ERROR_WRITE ? "write to read-only page" : "access denied";
	return error & ERROR_WRITE ? "write to unmapped memory" : "read of unmapped memory";
}

static const char *trap_text(uint64_t vector)
{
	switch (vector) {
	case TRAP_DIVIDE:
		return "division by zero or overflow";
	case TRAP_NMI:
		return "non-maskable interrupt";
	case TRAP_INVALID_OPCODE:
		return "invalid instruction";
	case TRAP_DOUBLE_FAULT:
		return "double fault";
	case TRAP_PROTECTION:
		return "protection fault (a non-canonical address or a privileged register)";
	case TRAP_PAGE_FAULT:
		return "page fault";
	case TRAP_MACHINE_CHECK:
		return "machine check: the hardware reports damage";
	default:
		return "unexpected exception";
	}
}

static void headline(const struct trap_frame *f)
{
	uint64_t at = read_cr2();
	/* A push below a stack whose guard was hit faults again while the frame is delivered. */
	bool stack = f->vector == TRAP_DOUBLE_FAULT && paging_is_guard(at);
	if (f->vector == TRAP_PAGE_FAULT || stack)
		panic_line("\ningot stopped: %s: address 0x%lx (%s)",
			page_fault_text(f->error, at), (unsigned long)at, region_name(at));
	else
		panic_line("\ningot stopped: %s", trap_text(f->vector));
}

static void registers(const struct trap_frame *f)
{
#define R(name) (unsigned long)f->name
	panic_line("exception %lu, error 0x%lx, cr2 0x%lx", R(vector), R(error),
		(unsigned long)read_cr2());
	panic_line("rip %lx rsp %lx flags %lx", R(rip), R(rsp), R(rflags));
	panic_line("rax %lx rbx %lx rcx %lx rdx %lx", R(rax), R(rbx), R(rcx), R(rdx));
	panic_line("rsi %lx rdi %lx rbp %lx r8 %lx", R(rsi), R(rdi), R(rbp), R(r8));
	panic_line("r9 %lx r10 %lx r11 %lx r12 %lx", R(r9), R(r10), R(r11), R(r12));
	panic_line("r13 %lx r14 %lx r15 %lx", R(r13), R(r14), R(r15));
#undef R
}

void panic_trap(const struct trap_frame *f)
{
	panic_begin();
	headline(f);
	registers(f);
	panic_backtrace(f->rip, f->rbp, f->rsp);
	panic_end();
}
