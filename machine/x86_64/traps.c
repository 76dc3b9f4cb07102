/* The interrupt descriptor table and the task state: which stack each exception gets.
 *
 * A fault on a bad stack must still be reported, so every exception switches to a stack of its own:
 * double faults, machine checks and NMIs to one each, all others to a third. Each has a guard page.
 * */
#include "../machine.h"

#include "traps.h"
#include "vectors.h"

enum stack_index { IST_NONE, IST_DOUBLE_FAULT, IST_FAULT, IST_MACHINE_CHECK };

struct gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_middle;
	uint32_t offset_high, reserved;
};
_Static_assert(sizeof(struct gate) == 16, "Intel SDM volume 3, 6.14.1");

struct __attribute__((packed)) task_state {
	uint32_t reserved0;
	uint64_t rsp[3], reserved1, ist[7], reserved2;
	uint16_t reserved3, io_map;
};
_Static_assert(sizeof(struct task_state) == 104, "Intel SDM volume 3, 7.7");

struct __attribute__((packed)) table_pointer {
	uint16_t limit;
	uint64_t base;
};

extern const uint8_t trap_stubs[], interrupt_stubs[];
extern uint8_t double_fault_stack_top[], fault_stack_top[], machine_check_stack_top[];
extern uint64_t gdt[];

/* Per-CPU state. */
static struct gate idt[256] ALIGNED(16);
static struct task_state task_state ALIGNED(16);

static void gate_set(unsigned vector, const uint8_t *stub, enum stack_index ist)
{
	uint64_t at = (uintptr_t)stub;
	idt[vector] = (struct gate){
		.offset_low = (uint16_t)at,
		.offset_middle = (uint16_t)(at >> 16),
		.offset_high = (uint32_t)(at >> 32),
		.selector = 0x08,
		.ist = (uint8_t)ist,
		.type = 0x8e, /* present, interrupt gate */
	};
}

static enum stack_index stack_of(unsigned vector)
{
	if (vector == TRAP_DOUBLE_FAULT)
		return IST_DOUBLE_FAULT;
	if (vector == TRAP_NMI || vector == TRAP_MACHINE_CHECK)
		return IST_MACHINE_CHECK;
	return IST_FAULT;
}

static void task_state_load(void)
{
	uint64_t at = (uintptr_t)&task_state;
	task_state.ist[IST_DOUBLE_FAULT - 1] = (uintptr_t)double_fault_stack_top;
	task_state.ist[IST_FAULT - 1] = (uintptr_t)fault_stack_top;
	task_state.ist[IST_MACHINE_CHECK - 1] = (uintptr_t)machine_check_stack_top;
	task_state.io_map = sizeof task_state;
	gdt[3] = (sizeof task_state - 1) | (at & 0xffffff) << 16 | 0x89ULL << 40 |
		 (at >> 24 & 0xff) << 56;
	gdt[4] = at >> 32;
	__asm__ volatile("ltr %w0" : : "r"(0x18) : "memory");
}

void traps_start(void)
{
	for (unsigned v = 0; v < VECTOR_EXCEPTIONS; v++)
		gate_set(v, trap_stubs + 16 * v, stack_of(v));
	for (unsigned v = 0; v < VECTOR_COUNT; v++)
		gate_set(VECTOR_TIMER + v, interrupt_stubs + 16 * v, IST_NONE);
	gate_set(VECTOR_SPURIOUS, interrupt_stubs + 16 * VECTOR_COUNT, IST_NONE);
	task_state_load();
	struct table_pointer p = {sizeof idt - 1, (uintptr_t)idt};
	__asm__ volatile("lidt %0" : : "m"(p) : "memory");
}
