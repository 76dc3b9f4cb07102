/* ACPI tables: found, checked (bounds, length, checksum), and boiled down to struct acpi.
 *
 * Tables come from firmware or a hypervisor: one that is damaged is skipped as if it were absent,
 * and what then is missing is missed where it is needed (no MADT: no device interrupts, and so on).
 * ACPI 6.4, chapter 5.2; PCI Firmware 3.0, 4.1.2 (MCFG). */
#include "machine.h"

#include <base/cursor.h>

#define RSDP_V1_LEN 20u
#define HEADER_LEN 36u
#define TABLE_LEN_MAX (1u << 20)
#define TABLES_MAX 64u
#define BIOS_AREA 0xe0000u
#define BIOS_AREA_END 0x100000u

#define FADT_REDUCED_HARDWARE (1u << 20)
#define FADT_TIMER_32BIT (1u << 8)

static bool sums_to_zero(struct slice s)
{
	uint8_t sum = 0;
	for (size_t i = 0; i < s.len; i++)
		sum = (uint8_t)(sum + s.ptr[i]);
	return sum == 0;
}

/* A number inside a table: 0 beyond the table's end, which older versions of it are allowed. */
static uint64_t field(struct slice t, size_t at, size_t size)
{
	uint64_t v = 0;
	if (at + size > t.len)
		return 0;
	for (size_t i = size; i--;)
		v = v << 8 | t.ptr[at + i];
	return v;
}

static struct acpi_register register_at(struct slice t, size_t at)
{
	uint64_t space = field(t, at, 1), address = field(t, at + 4, 8);
	if (space > 1 || (space == 1 && address > UINT16_MAX))
		return (struct acpi_register){0, false};
	return (struct acpi_register){address, space == 1};
}

/* The whole table at `phys`; empty when it is not a sound table. */
static struct slice table_at(struct machine *m, uint64_t phys)
{
	const struct slice none = {NULL, 0};
	if (!phys || !paging_map(m, phys, HEADER_LEN, PAGE_READ_ONLY))
		return none;
	struct slice t = slice_of((const void *)(uintptr_t)phys, HEADER_LEN);
	t.len = (size_t)field(t, 4, 4);
	if (t.len < HEADER_LEN || t.len > TABLE_LEN_MAX ||
		!paging_map(m, phys, t.len, PAGE_READ_ONLY) || !sums_to_zero(t))
		return none;
	return t;
}

static bool table_is(struct slice t, const char *signature)
{
	return t.len >= HEADER_LEN && memcmp(t.ptr, signature, 4) == 0;
}

/* Multiple APIC Description Table, 5.2.12. */
static void madt_entry(struct acpi *a, uint8_t type, struct slice e)
{
	enum { IO_APIC = 1, SOURCE_OVERRIDE = 2, LOCAL_APIC_ADDRESS = 5 };
	if (type == IO_APIC && e.len >= 12 && a->ioapic_count < MACHINE_IOAPIC_MAX) {
		a->ioapic[a->ioapic_count].phys = field(e, 4, 4);
		a->ioapic[a->ioapic_count++].gsi_base = (uint32_t)field(e, 8, 4);
	} else if (type == SOURCE_OVERRIDE && e.len >= 10 &&
		   a->override_count < MACHINE_OVERRIDES_MAX) {
		uint64_t flags = field(e, 8, 2);
		a->override[a->override_count++] = (struct acpi_override){
			.isa_irq = (uint8_t)field(e, 3, 1),
			.gsi = (uint32_t)field(e, 4, 4),
			.level = (flags >> 2 & 3) == 3,
			.active_low = (flags & 3) == 3,
		};
	} else if (type == LOCAL_APIC_ADDRESS && e.len >= 12) {
		a->lapic_phys = field(e, 4, 8);
	}
}

static void madt_read(struct acpi *a, struct slice t)
{
	a->lapic_phys = field(t, 36, 4);
	for (size_t at = 44; at + 2 <= t.len;) {
		size_t len = t.ptr[at + 1];
		if (len < 2 || len > t.len - at)
			return;
		madt_entry(a, t.ptr[at], slice_sub(t, at, len));
		at += len;
	}
}

/* Enhanced configuration space of segment 0. */
static void mcfg_read(struct acpi *a, struct slice t)
{
	for (size_t at = 44; at + 16 <= t.len; at += 16) {
		uint8_t first = t.ptr[at + 10], last = t.ptr[at + 11];
		if (field(t, at + 8, 2) != 0 || last < first || a->ecam.len)
			continue;
		a->ecam = (struct pci_ecam){
			.phys = field(t, at, 8) + ((uint64_t)first << 20),
			.len = (uint64_t)(last - first + 1) << 20,
			.bus_first = first,
			.bus_last = last,
		};
	}
}

static void fadt_ports(struct acpi *a, struct slice t)
{
	a->sci_irq = (uint16_t)field(t, 46, 2);
	a->smi_command = (uint16_t)field(t, 48, 4);
	a->acpi_enable = (uint8_t)field(t, 52, 1);
	a->pm1a_event = (uint16_t)field(t, 56, 4);
	a->pm1b_event = (uint16_t)field(t, 60, 4);
	a->pm1a_control = (uint16_t)field(t, 64, 4);
	a->pm1b_control = (uint16_t)field(t, 68, 4);
	a->pm1_event_len = (uint8_t)field(t, 88, 1);
	if (field(t, 91, 1) == 4)
		a->pm_timer = (uint16_t)field(t, 76, 4);
	if (a->pm1_event_len < 4)
		a->pm1a_event = a->pm1b_event = 0;
}

/* Fixed ACPI Description Table, 5.2.9, and the DSDT that it names. */
static void fadt_read(struct machine *m, struct slice t)
{
	struct acpi *a = &m->acpi;
	uint64_t flags = field(t, 112, 4);
	a->century = (uint8_t)field(t, 108, 1);
	a->reduced_hardware = flags & FADT_REDUCED_HARDWARE;
	a->pm_timer_32bit = flags & FADT_TIMER_32BIT;
	if (a->reduced_hardware)
		a->sleep_control = register_at(t, 244);
	else
		fadt_ports(a, t);
	a->reset = register_at(t, 116);
	a->reset_value = (uint8_t)field(t, 128, 1);
	uint64_t dsdt = field(t, 140, 8);
	struct slice code = table_at(m, dsdt ? dsdt : field(t, 40, 4));
	if (table_is(code, "DSDT"))
		aml_scan(m, slice_sub(code, HEADER_LEN, code.len));
}

static void table_read(struct machine *m, struct slice t)
{
	if (table_is(t, "APIC"))
		madt_read(&m->acpi, t);
	else if (table_is(t, "MCFG"))
		mcfg_read(&m->acpi, t);
	else if (table_is(t, "FACP"))
		fadt_read(m, t);
	else if (table_is(t, "SSDT"))
		aml_scan(m, slice_sub(t, HEADER_LEN, t.len));
}

static bool rsdp_is_sound(struct machine *m, uint64_t phys)
{
	if (!phys || !paging_map(m, phys, 36, PAGE_READ_ONLY))
		return false;
	const uint8_t *p = (const uint8_t *)(uintptr_t)phys;
	return memcmp(p, "RSD PTR ", 8) == 0 && sums_to_zero(slice_of(p, RSDP_V1_LEN));
}

/* The loader's word, else where a PC BIOS leaves it. */
static uint64_t rsdp_find(struct machine *m)
{
	if (rsdp_is_sound(m, m->rsdp_phys))
		return m->rsdp_phys;
	for (uint64_t at = BIOS_AREA; at < BIOS_AREA_END - 36; at += 16)
		if (rsdp_is_sound(m, at))
			return at;
	return 0;
}

void acpi_start(struct machine *m)
{
	uint64_t rsdp = rsdp_find(m);
	if (!rsdp)
		return;
	struct slice root = slice_of((const void *)(uintptr_t)rsdp, 36);
	uint64_t xsdt = field(root, 15, 1) >= 2 ? field(root, 24, 8) : 0;
	size_t entry_size = 8;
	struct slice list = table_at(m, xsdt);
	if (!table_is(list, "XSDT")) {
		list = table_at(m, field(root, 16, 4));
		entry_size = 4;
		if (!table_is(list, "RSDT"))
			return;
	}
	m->acpi.present = true;
	size_t count = (list.len - HEADER_LEN) / entry_size;
	for (size_t i = 0; i < count && i < TABLES_MAX; i++) {
		uint64_t phys = field(list, HEADER_LEN + i * entry_size, entry_size);
		table_read(m, table_at(m, phys));
	}
}
