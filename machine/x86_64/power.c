/* The power button, and the ways to stop.
 *
 * PC chipsets have the button in PM1's status and interrupt through the SCI; machines with reduced
 * ACPI hardware (microvm) have a generic event device, whose event word is cleared by reading it.
 * power_button reads the hardware when its interrupt came, else at most every 10 ms: a machine that
 * is so busy that it never sleeps sees the button too. ACPI 6.4, chapters 4 and 5.6.9. */
#include "../machine.h"

#define CHECK_NS 10000000u
#define PM1_BUTTON 0x100u
#define PM1_SCI_ENABLE 1u
#define PM1_SLEEP_ENABLE 0x2000u
#define SLEEP_CONTROL_ENABLE 0x20u
#define GED_BUTTON 2u
#define OFF_WAIT_TICKS 2000000000u /* a second or so */
#define ACPI_ENABLE_TRIES 100000u
#define DEBUG_EXIT_PORT 0x501 /* QEMU's isa-debug-exit; its status is 2 * value + 1 */
#define PVPANIC_PORT 0x505
#define PVPANIC_PANICKED 1u

static struct machine *machine; /* for power_fail, which may come from anywhere */

static bool ged_pressed(const struct machine *m)
{
	if (!m->acpi.ged.phys)
		return false;
	return *(volatile uint32_t *)(uintptr_t)m->acpi.ged.phys & GED_BUTTON;
}

static bool pm1_pressed(uint16_t event_port)
{
	if (!event_port || !(inw(event_port) & PM1_BUTTON))
		return false;
	outw(event_port, PM1_BUTTON); /* writing 1 clears it */
	return true;
}

bool power_button(struct platform *p)
{
	struct machine *m = (struct machine *)(void *)p;
	if (m->power_pressed)
		return true;
	uint64_t now_ns = machine_now_ns(m);
	if (!machine_interrupt_take(m, m->power_vector) && now_ns < m->power_check_ns)
		return false;
	m->power_check_ns = now_ns + CHECK_NS;
	if (pm1_pressed(m->acpi.pm1a_event) || pm1_pressed(m->acpi.pm1b_event) || ged_pressed(m))
		m->power_pressed = true;
	return m->power_pressed;
}

static void route_sci(struct machine *m)
{
	uint32_t gsi = m->acpi.sci_irq;
	bool level = true, active_low = true; /* as ACPI says, unless an override says otherwise */
	for (uint32_t i = 0; i < m->acpi.override_count; i++) {
		const struct acpi_override *o = &m->acpi.override[i];
		if (o->isa_irq == m->acpi.sci_irq) {
			gsi = o->gsi;
			level = o->level;
			active_low = o->active_low;
		}
	}
	machine_irq_route_polarity(m, gsi, m->power_vector, level, active_low);
}

/* Takes the power management registers over from the firmware. */
static void pm1_start(struct machine *m)
{
	const struct acpi *a = &m->acpi;
	if (a->smi_command && a->acpi_enable && !(inw(a->pm1a_control) & PM1_SCI_ENABLE)) {
		outb(a->smi_command, a->acpi_enable);
		for (unsigned i = 0; i < ACPI_ENABLE_TRIES; i++)
			if (inw(a->pm1a_control) & PM1_SCI_ENABLE)
				break;
	}
	uint16_t enable = a->pm1_event_len / 2;
	outw(a->pm1a_event, PM1_BUTTON);
	outw((uint16_t)(a->pm1a_event + enable), PM1_BUTTON);
	if (a->pm1b_event)
		outw((uint16_t)(a->pm1b_event + enable), PM1_BUTTON);
	route_sci(m);
}

void power_start(struct machine *m)
{
	machine = m;
	m->power_vector = machine_vector_allocate(m);
	if (m->acpi.pm1a_event && m->acpi.pm1a_control)
		pm1_start(m);
	if (!m->acpi.ged.phys)
		return;
	if (machine_map_mmio(m, m->acpi.ged.phys, 4))
		machine_irq_route(m, m->acpi.ged.gsi, m->power_vector, m->acpi.ged.level);
	else
		m->acpi.ged.phys = 0;
	if (m->acpi.sleep_control.address && !m->acpi.sleep_control.is_io &&
		!machine_map_mmio(m, m->acpi.sleep_control.address, 1))
		m->acpi.sleep_control.address = 0;
}

/* The machine goes on for a while after it was switched off: as long as this, at least. */
static void wait_for_the_end(void)
{
	for (uint64_t start = rdtsc(); rdtsc() - start < OFF_WAIT_TICKS;)
		cpu_relax();
}

static void sleep_s5(const struct acpi *a)
{
	if (!a->has_s5)
		return;
	if (a->sleep_control.address) {
		uint8_t v = (uint8_t)((uint32_t)a->s5_a << 2 | SLEEP_CONTROL_ENABLE);
		if (a->sleep_control.is_io)
			outb((uint16_t)a->sleep_control.address, v);
		else
			*(volatile uint8_t *)(uintptr_t)a->sleep_control.address = v;
	}
	if (a->pm1a_control)
		outw(a->pm1a_control, (uint16_t)((uint32_t)a->s5_a << 10 | PM1_SLEEP_ENABLE));
	if (a->pm1b_control)
		outw(a->pm1b_control, (uint16_t)((uint32_t)a->s5_b << 10 | PM1_SLEEP_ENABLE));
	wait_for_the_end();
}

/* An empty interrupt table turns the next exception into a triple fault, which resets the machine.
 * */
static _Noreturn void reset(void)
{
	static const struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} none;
	__asm__ volatile("lidt %0; ud2" : : "m"(none) : "memory");
	for (;;)
		__asm__ volatile("cli; hlt");
}

void power_fail(void)
{
	outb(DEBUG_EXIT_PORT, 1);
	uint8_t events = inb(PVPANIC_PORT);
	if (events != 0xff && events & PVPANIC_PANICKED)
		outb(PVPANIC_PORT, PVPANIC_PANICKED);
	/* Both take effect a little later, and the exit status is theirs. */
	if (inb(DEBUG_EXIT_PORT) != 0xff || events != 0xff)
		wait_for_the_end();
	if (machine)
		sleep_s5(&machine->acpi);
	reset();
}

void power_off(struct platform *p, enum platform_exit status)
{
	struct machine *m = (struct machine *)(void *)p;
	if (status != PLATFORM_EXIT_OK)
		power_fail();
	sleep_s5(&m->acpi);
	machine_log(m, "ingot: the machine has no power switch; resetting it");
	reset();
}
