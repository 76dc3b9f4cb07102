/* The local APIC with its one-shot timer, the I/O APICs, and sleeping.
 *
 * Interrupts are enabled in cpu_wait only (machine.h, rule 2). A handler marks the vector and returns with
 * interrupts off; the interrupt is ended at the APIC before the next sleep, when the drivers have looked at
 * their devices. So an interrupt costs one wake-up, and what arrives at other times waits in the APIC until the
 * next sleep, which it ends at once.
 *
 * Intel SDM volume 3, chapter 11 (APIC); 82093AA data sheet (I/O APIC). */
#include "../machine.h"

#include "vectors.h"

#define MSR_APIC_BASE 0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC 0x800
#define APIC_BASE_X2APIC (1ull << 10)
#define APIC_BASE_ENABLE (1ull << 11)
#define APIC_BASE_ADDRESS 0x000ffffffffff000ull

enum lapic_register {
	LAPIC_ID = 0x20,
	LAPIC_TASK_PRIORITY = 0x80,
	LAPIC_EOI = 0xb0,
	LAPIC_SPURIOUS = 0xf0,
	LAPIC_LVT_TIMER = 0x320,
	LAPIC_LVT_LINT0 = 0x350,
	LAPIC_LVT_ERROR = 0x370,
	LAPIC_TIMER_INITIAL = 0x380,
	LAPIC_TIMER_CURRENT = 0x390,
	LAPIC_TIMER_DIVIDE = 0x3e0,
};

#define LVT_MASKED 0x10000u
#define LVT_TSC_DEADLINE 0x40000u
#define SPURIOUS_ENABLE 0x100u
#define DIVIDE_BY_1 0xbu
#define DIVIDE_BY_16 0x3u
#define TIMER_DIVISOR 16u

#define IOAPIC_DEFAULT 0xfec00000u
#define IOAPIC_SELECT 0 /* indices of 32-bit words */
#define IOAPIC_WINDOW 4
#define IOAPIC_VERSION 1
#define IOAPIC_REDIRECT 0x10
#define REDIRECT_ACTIVE_LOW (1u << 13)
#define REDIRECT_LEVEL (1u << 15)
#define REDIRECT_MASKED (1u << 16)

extern void cpu_wait(void);

/* Per-CPU state: what the handler needs, and it gets no argument. */
static struct cpu {
	struct machine *machine;
	volatile uint32_t *lapic; /* NULL: x2APIC, by MSR */
	bool has_tsc_deadline;
	bool in_service; /* an interrupt has come that the APIC has not been told the end of */
	uint64_t timer_hz; /* of the APIC's counter, undivided; 0: not known yet */
	uint64_t timer_at_ns; /* what the timer is set to; UINT64_MAX: off */
} cpu;

static uint32_t lapic_read(enum lapic_register r)
{
	return cpu.lapic ? cpu.lapic[r / 4] : (uint32_t)rdmsr(MSR_X2APIC + r / 16u);
}

static void lapic_write(enum lapic_register r, uint32_t v)
{
	if (cpu.lapic)
		cpu.lapic[r / 4] = v;
	else
		wrmsr(MSR_X2APIC + r / 16u, v);
}

void interrupt_arrived(uint64_t vector)
{
	if (vector == VECTOR_SPURIOUS)
		return;
	if (vector == VECTOR_TIMER)
		cpu.timer_at_ns = UINT64_MAX;
	cpu.machine->pending[vector & 0xff] = true;
	cpu.in_service = true;
}

/* Not sooner: until the device's registers have been looked at, its line is still raised, and the interrupt would
 * come again for nothing. */
static void interrupt_end(void)
{
	if (!cpu.in_service)
		return;
	cpu.in_service = false;
	lapic_write(LAPIC_EOI, 0);
}

/* The old interrupt controller must stay silent; where there is none, the writes go nowhere. */
static void pic_mask(void)
{
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
}

static void lapic_start(struct machine *m)
{
	struct cpuid features = cpuid(1, 0);
	uint64_t base = rdmsr(MSR_APIC_BASE);
	if (!(features.edx & 1u << 9))
		machine_panic("the processor has no local APIC");
	base |= APIC_BASE_ENABLE;
	wrmsr(MSR_APIC_BASE, base);
	if (features.ecx & 1u << 21) {
		wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2APIC);
	} else {
		cpu.lapic = machine_map_mmio(m, base & APIC_BASE_ADDRESS, PAGE_SIZE);
		if (!cpu.lapic)
			machine_panic("the local APIC's registers cannot be mapped");
	}
	cpu.has_tsc_deadline = features.ecx & 1u << 24;
	lapic_write(LAPIC_TASK_PRIORITY, 0);
	lapic_write(LAPIC_LVT_LINT0, LVT_MASKED);
	lapic_write(LAPIC_LVT_ERROR, LVT_MASKED);
	lapic_write(LAPIC_SPURIOUS, SPURIOUS_ENABLE | VECTOR_SPURIOUS);
	/* Until the clock is calibrated the timer runs down from the top, undivided and silent. */
	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
	lapic_write(LAPIC_TIMER_DIVIDE, DIVIDE_BY_1);
	lapic_write(LAPIC_TIMER_INITIAL, UINT32_MAX);
}

static uint32_t ioapic_read(const struct ioapic *a, uint32_t index)
{
	a->registers[IOAPIC_SELECT] = index;
	return a->registers[IOAPIC_WINDOW];
}

static void ioapic_write(const struct ioapic *a, uint32_t index, uint32_t v)
{
	a->registers[IOAPIC_SELECT] = index;
	a->registers[IOAPIC_WINDOW] = v;
}

static void ioapic_start(struct machine *m)
{
	if (!m->acpi.present) { /* Firecracker, microvm without ACPI: where the first one always is */
		m->acpi.ioapic_count = 1;
		m->acpi.ioapic[0].phys = IOAPIC_DEFAULT;
		m->acpi.ioapic[0].gsi_base = 0;
	}
	for (uint32_t i = 0; i < m->acpi.ioapic_count; i++) {
		struct ioapic *a = &m->ioapic[m->ioapic_count];
		a->registers = machine_map_mmio(m, m->acpi.ioapic[i].phys, 0x20);
		a->gsi_base = m->acpi.ioapic[i].gsi_base;
		if (!a->registers)
			continue;
		uint32_t version = ioapic_read(a, IOAPIC_VERSION);
		if (version == 0 || version == UINT32_MAX)
			continue; /* nobody there */
		a->pin_count = (version >> 16 & 0xff) + 1;
		for (uint32_t pin = 0; pin < a->pin_count; pin++)
			ioapic_write(a, IOAPIC_REDIRECT + 2 * pin, REDIRECT_MASKED);
		m->ioapic_count++;
	}
}

static uint32_t lapic_id(void)
{
	uint32_t id = lapic_read(LAPIC_ID);
	return cpu.lapic ? id >> 24 : id;
}

bool machine_irq_route_polarity(struct machine *m, uint32_t gsi, uint8_t vector, bool level,
	bool active_low)
{
	for (uint32_t i = 0; i < m->ioapic_count; i++) {
		const struct ioapic *a = &m->ioapic[i];
		if (gsi < a->gsi_base || gsi - a->gsi_base >= a->pin_count)
			continue;
		uint32_t index = IOAPIC_REDIRECT + 2 * (gsi - a->gsi_base);
		ioapic_write(a, index + 1, lapic_id() << 24);
		ioapic_write(a, index, vector | (level ? REDIRECT_LEVEL : 0) |
			(active_low ? REDIRECT_ACTIVE_LOW : 0));
		return true;
	}
	return false;
}

bool machine_irq_route(struct machine *m, uint32_t gsi, uint8_t vector, bool level)
{
	return machine_irq_route_polarity(m, gsi, vector, level, false);
}

uint8_t machine_vector_allocate(struct machine *m)
{
	if (m->vector_next >= VECTOR_TIMER + VECTOR_COUNT)
		return MACHINE_VECTOR_NONE;
	return m->vector_next++;
}

uint64_t machine_msi_address(const struct machine *m)
{
	(void)m;
	return 0xfee00000 | (uint64_t)(lapic_id() & 0xff) << 12;
}

uint32_t machine_msi_data(uint8_t vector)
{
	return vector; /* fixed delivery, edge */
}

bool machine_interrupt_take(struct machine *m, uint8_t vector)
{
	bool was = m->pending[vector];
	m->pending[vector] = false;
	return was;
}

void interrupts_start(struct machine *m)
{
	cpu.machine = m;
	cpu.timer_at_ns = UINT64_MAX;
	m->vector_next = VECTOR_DEVICE;
	pic_mask();
	lapic_start(m);
	ioapic_start(m);
}

/* How far the undivided counter has run since interrupts_start; it wraps in seconds. */
uint32_t interrupts_timer_ticks(void)
{
	return UINT32_MAX - lapic_read(LAPIC_TIMER_CURRENT);
}

void interrupts_timer_calibrated(struct machine *m, uint64_t lapic_hz)
{
	(void)m;
	cpu.timer_hz = lapic_hz;
	lapic_write(LAPIC_TIMER_INITIAL, 0);
	lapic_write(LAPIC_TIMER_DIVIDE, DIVIDE_BY_16);
	lapic_write(LAPIC_LVT_TIMER, VECTOR_TIMER | (cpu.has_tsc_deadline ? LVT_TSC_DEADLINE : 0));
	/* The mode must be set before the deadline is written (SDM 11.5.4.1). */
	__asm__ volatile("mfence" : : : "memory");
}

/* Sets the one-shot timer; a time that has passed interrupts at once. */
static void timer_set(struct machine *m, uint64_t now_ns, uint64_t at_ns)
{
	if (at_ns == cpu.timer_at_ns)
		return;
	cpu.timer_at_ns = at_ns;
	if (cpu.has_tsc_deadline) {
		uint64_t tsc = at_ns == UINT64_MAX ? 0 : clock_tsc_at(&m->clock, at_ns);
		wrmsr(MSR_TSC_DEADLINE, tsc);
		return;
	}
	uint64_t ticks = 0;
	if (at_ns != UINT64_MAX) {
		ticks = mul_div(at_ns - now_ns, cpu.timer_hz / TIMER_DIVISOR, 1000000000u);
		ticks = ticks < UINT32_MAX ? ticks + 1 : UINT32_MAX;
	}
	lapic_write(LAPIC_TIMER_INITIAL, (uint32_t)ticks);
}

void machine_idle(struct platform *p, uint64_t until_ns)
{
	struct machine *m = (struct machine *)(void *)p;
	uint64_t now_ns = machine_now_ns(m);
	if (until_ns <= now_ns)
		return;
	if (UNLIKELY(!m->tlb_grown))
		paging_grow_tlb(m);
	timer_set(m, now_ns, until_ns);
	interrupt_end();
	cpu_wait();
}
