/* Time: the time-stamp counter, scaled.
 *
 * Its frequency comes from the first of these that answers:
 * 1. CPUID leaf 0x15 (crystal and ratio), 2. hypervisor leaf 0x40000010 (kHz), 3. KVM's paravirtual
 * clock, else it is measured, against the first of: 4. the local APIC's timer, which runs at
 * exactly 1 GHz under QEMU's emulation and KVM, 5. the ACPI timer, 6. channel 2 of the 8254, which
 * may be switched off, 7. CPUID leaf 0x16, nominal. Without any the machine cannot tell time, and
 * says so.
 *
 * A measurement begins in clock_begin and ends in clock_finish, after the devices have been probed:
 * so most of its time is not spent waiting. Until then time is a lower estimate (as if the counter
 * ran at 4 GHz), good for bounded waits; it never runs backwards. */
#include "../machine.h"

#include <string.h>

#define NS_PER_S 1000000000ull
#define MSR_KVM_SYSTEM_TIME 0x4b564d01
#define KVM_FEATURE_CLOCKSOURCE2 (1u << 3)
#define APIC_HZ 1000000000ull
#define PM_TIMER_HZ 3579545ull
#define PIT_HZ 1193182ull
#define MEASURE_NS 1000000u  /* a counter of 1 GHz */
#define MEASURE_SLOW_NS 4000000u /* one of a few MHz, whose reading takes a microsecond */
#define PROVISIONAL_HZ 4000000000ull

enum reference { REFERENCE_NONE, REFERENCE_APIC, REFERENCE_PM, REFERENCE_PIT };

/* One look at a reference counter and the time-stamp counter at the same moment. */
struct sample {
	uint64_t tsc;
	uint32_t ticks, apic_ticks;
};

static struct measurement {
	enum reference reference;
	struct sample begin;
	bool hypervisor_apic; /* the APIC timer's frequency is known */
} measurement; /* only during the boot */

/* The largest hypervisor leaf; 0 when no hypervisor says that it is one. */
static uint32_t hypervisor_leaf_max(void)
{
	if (!(cpuid(1, 0).ecx & 1u << 31))
		return 0;
	return cpuid(0x40000000, 0).eax;
}

static uint64_t hz_from_cpuid(void)
{
	if (cpuid(0, 0).eax < 0x15)
		return 0;
	struct cpuid r = cpuid(0x15, 0); /* denominator, numerator, crystal in Hz */
	if (!r.eax || !r.ebx || !r.ecx)
		return 0;
	return (uint64_t)r.ecx * r.ebx / r.eax;
}

static uint64_t hz_from_hypervisor(void)
{
	uint32_t max = hypervisor_leaf_max();
	if (max < 0x40000010 || max > 0x400000ff)
		return 0;
	return (uint64_t)cpuid(0x40000010, 0).eax * 1000;
}

/* KVM writes how it scales the counter into memory; once is enough, so it is switched off again. */
static uint64_t hz_from_pvclock(void)
{
	static volatile struct {
		uint32_t version, pad;
		uint64_t tsc, system_time;
		uint32_t multiplier; /* ns = (ticks << shift) * multiplier >> 32 */
		int8_t shift;
		uint8_t flags, pad2[2];
	} info ALIGNED(32);
	if (!hypervisor_leaf_max() || !cpu_hypervisor_is("KVMKVMKVM\0\0\0") ||
		!(cpuid(0x40000001, 0).eax & KVM_FEATURE_CLOCKSOURCE2))
		return 0;
	wrmsr(MSR_KVM_SYSTEM_TIME, (uintptr_t)&info | 1);
	uint32_t multiplier = info.multiplier;
	int shift = info.shift;
	wrmsr(MSR_KVM_SYSTEM_TIME, 0);
	if (!multiplier || shift < -31 || shift > 31)
		return 0;
	uint64_t hz = (NS_PER_S << 32) / multiplier;
	return shift < 0 ? hz << -shift : hz >> shift;
}

static uint64_t hz_nominal(void)
{
	if (cpuid(0, 0).eax < 0x16)
		return 0;
	return (uint64_t)(cpuid(0x16, 0).eax & 0xffff) * 1000000;
}

static uint32_t pit_read(void)
{
	outb(0x43, 0x80); /* latch channel 2 */
	uint32_t low = inb(0x42);
	return low | (uint32_t)inb(0x42) << 8;
}

/* Channel 2 from the top, its gate open and the speaker off; false when there is no such timer. */
static bool pit_start(void)
{
	outb(0x61, (uint8_t)((inb(0x61) & ~2u) | 1u));
	outb(0x43, 0xb4); /* channel 2, both bytes, rate generator */
	outb(0x42, 0xff);
	outb(0x42, 0xff);
	uint32_t first = pit_read();
	for (unsigned i = 0; i < 64; i++)
		if (pit_read() != first)
			return true;
	return false;
}

static uint32_t reference_read(const struct machine *m)
{
	switch (measurement.reference) {
	case REFERENCE_APIC:
		return interrupts_timer_ticks();
	case REFERENCE_PM:
		return inl(m->acpi.pm_timer);
	case REFERENCE_PIT:
		return 0xffff - pit_read();
	case REFERENCE_NONE:
		break;
	}
	return 0;
}

/* The best of a few tries: the one that took the shortest time, as the machine may be interrupted
 * by its host between two reads. */
static struct sample sample_take(const struct machine *m)
{
	struct sample best = {0, 0, 0};
	uint64_t best_width = UINT64_MAX;
	for (unsigned i = 0; i < 5; i++) {
		uint64_t before = rdtsc();
		uint32_t ticks = reference_read(m);
		uint64_t width = rdtsc() - before;
		if (width < best_width) {
			best_width = width;
			best = (struct sample){before + width / 2, ticks, 0};
		}
	}
	best.apic_ticks = measurement.reference == REFERENCE_APIC ? best.ticks
								   : interrupts_timer_ticks();
	return best;
}

static void reference_choose(struct machine *m)
{
	if (measurement.hypervisor_apic) {
		measurement.reference = REFERENCE_APIC;
		m->clock.source = "APIC timer";
	} else if (m->acpi.pm_timer) {
		measurement.reference = REFERENCE_PM;
		m->clock.source = "ACPI timer";
	} else if (pit_start()) {
		measurement.reference = REFERENCE_PIT;
		m->clock.source = "8254";
	} else {
		measurement.reference = REFERENCE_NONE;
	}
}

static void hz_set(struct machine *m, uint64_t hz)
{
	m->clock.tsc_hz = hz;
	m->clock.multiplier = mul_div(NS_PER_S, 1ull << 32, hz);
}

static bool hz_known(struct machine *m, uint64_t hz, const char *source)
{
	if (hz < 1000000)
		return false;
	hz_set(m, hz);
	m->clock.source = source;
	return true;
}

COLD void clock_begin(struct machine *m)
{
	measurement.hypervisor_apic =
		cpu_hypervisor_is("TCGTCGTCGTCG") || cpu_hypervisor_is("KVMKVMKVM\0\0\0");
	if (!hz_known(m, hz_from_cpuid(), "CPUID") &&
		!hz_known(m, hz_from_hypervisor(), "hypervisor") &&
		!hz_known(m, hz_from_pvclock(), "pvclock")) {
		hz_set(m, PROVISIONAL_HZ);
		m->clock.source = NULL;
		reference_choose(m);
	}
	measurement.begin = sample_take(m);
}

/* Ticks of the reference between two samples; each counter's width. */
static uint64_t reference_elapsed(const struct machine *m, uint32_t from, uint32_t to)
{
	uint32_t mask = UINT32_MAX;
	if (measurement.reference == REFERENCE_PIT)
		mask = 0xffff;
	else if (measurement.reference == REFERENCE_PM && !m->acpi.pm_timer_32bit)
		mask = 0xffffff;
	return (to - from) & mask;
}

static void measure(struct machine *m)
{
	static const uint64_t reference_hz[] = {
		[REFERENCE_APIC] = APIC_HZ,
		[REFERENCE_PM] = PM_TIMER_HZ,
		[REFERENCE_PIT] = PIT_HZ,
	};
	uint64_t rate = reference_hz[measurement.reference], elapsed = 0;
	uint64_t wait_ns = rate == APIC_HZ ? MEASURE_NS : MEASURE_SLOW_NS;
	if (measurement.reference == REFERENCE_PIT)
		measurement.begin = sample_take(m); /* it would have wrapped after 55 ms */
	uint64_t limit = rdtsc() + PROVISIONAL_HZ; /* a counter that stands still: 1 s or so */
	struct sample end;
	do {
		end = sample_take(m);
		elapsed = reference_elapsed(m, measurement.begin.ticks, end.ticks);
	} while (elapsed < rate * wait_ns / NS_PER_S && rdtsc() < limit);
	if (elapsed < rate / 1000)
		machine_panic("the %s does not count; the machine has no clock", m->clock.source);
	hz_set(m, mul_div(end.tsc - measurement.begin.tsc, rate, elapsed));
}

static uint64_t apic_measure(struct machine *m)
{
	if (measurement.hypervisor_apic)
		return APIC_HZ;
	struct sample end;
	do
		end = sample_take(m);
	while (end.tsc - measurement.begin.tsc < m->clock.tsc_hz / 1000);
	return mul_div(end.apic_ticks - measurement.begin.apic_ticks, m->clock.tsc_hz,
		end.tsc - measurement.begin.tsc);
}

COLD void clock_finish(struct machine *m)
{
	if (measurement.reference != REFERENCE_NONE)
		measure(m);
	else if (!m->clock.source && !hz_known(m, hz_nominal(), "CPUID (nominal)"))
		machine_panic("no way to learn the clock's frequency; give the machine a PIT");
	interrupts_timer_calibrated(m, apic_measure(m));
	int64_t wall_ns = rtc_read_ns(&m->acpi);
	if (wall_ns)
		m->clock.wall_base_ns = wall_ns - (int64_t)machine_now_ns(m);
}

uint64_t machine_now_ns(struct machine *m)
{
	struct clock *c = &m->clock;
	uint64_t ticks = rdtsc() - c->tsc_base;
	uint64_t ns = (uint64_t)((unsigned __int128)ticks * c->multiplier >> 32);
	if (ns > c->last_ns)
		c->last_ns = ns;
	return c->last_ns;
}

uint64_t clock_tsc_at(const struct clock *c, uint64_t at_ns)
{
	uint64_t ticks = mul_div(at_ns, c->tsc_hz, NS_PER_S);
	return c->tsc_base + (ticks < UINT64_MAX / 2 ? ticks : UINT64_MAX / 2) + 1;
}
