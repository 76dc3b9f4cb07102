/* ACPI tables, bytecode and the command line, from memory that ends where the table ends. */
#include "acpi.c"
#include "aml.c"
#include "command_line.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

/* What the tables of a test may touch: anything else is "not memory". */
static struct slice mapped[8];
static unsigned mapped_count, complaints;

bool paging_map(struct machine *m, uint64_t phys, uint64_t len, enum page_access access)
{
	(void)m;
	assert_int_equal(access, PAGE_READ_ONLY);
	for (unsigned i = 0; i < mapped_count; i++) {
		uint64_t start = (uintptr_t)mapped[i].ptr;
		if (phys >= start && phys - start <= mapped[i].len &&
			len <= mapped[i].len - (phys - start))
			return true;
	}
	return false;
}

void machine_log(struct machine *m, const char *fmt, ...)
{
	(void)m;
	(void)fmt;
	complaints++;
}

static uint8_t *memory(size_t len)
{
	uint8_t *p = calloc(1, len);
	assert_non_null(p);
	mapped[mapped_count++] = slice_of(p, len);
	return p;
}

static int reset_memory(void **state)
{
	(void)state;
	while (mapped_count)
		free((void *)(uintptr_t)mapped[--mapped_count].ptr);
	complaints = 0;
	return 0;
}

static void fix_checksum(uint8_t *p, size_t len, size_t at)
{
	uint8_t sum = 0;
	p[at] = 0;
	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + p[i]);
	p[at] = (uint8_t)-sum;
}

static uint8_t *table(const char *signature, size_t len)
{
	uint8_t *t = memory(len);
	memcpy(t, signature, 4);
	store_le32(t + 4, (uint32_t)len);
	return t;
}

/* A machine with one table, found through RSDP and XSDT. */
static struct machine *machine_with(uint8_t *t, size_t len)
{
	static struct machine m;
	uint8_t *rsdp = memory(36), *xsdt = table("XSDT", HEADER_LEN + 8);
	memset(&m, 0, sizeof m);
	if (len > 9)
		fix_checksum(t, len, 9);
	store_le64(xsdt + HEADER_LEN, (uintptr_t)t);
	fix_checksum(xsdt, HEADER_LEN + 8, 9);
	memcpy(rsdp, "RSD PTR ", 8);
	rsdp[15] = 2;
	store_le64(rsdp + 24, (uintptr_t)xsdt);
	fix_checksum(rsdp, 20, 8);
	m.rsdp_phys = (uintptr_t)rsdp;
	return &m;
}

static uint8_t *madt(size_t len)
{
	static const uint8_t entries[] = {
		1, 12, 0, 0, 0x00, 0x00, 0xc0, 0xfe, 24, 0, 0, 0, /* I/O APIC from GSI 24 */
		2, 10, 0, 9, 11, 0, 0, 0, 0x0f, 0,                /* IRQ 9: GSI 11, level, low */
	};
	uint8_t *t = table("APIC", len);
	store_le32(t + 36, 0xfee00000);
	memcpy(t + 44, entries, sizeof entries);
	return t;
}

static void the_interrupt_controllers_are_found(void **state)
{
	(void)state;
	struct machine *m = machine_with(madt(66), 66);
	acpi_start(m);
	assert_true(m->acpi.present);
	assert_int_equal(m->acpi.lapic_phys, 0xfee00000);
	assert_int_equal(m->acpi.ioapic_count, 1);
	assert_int_equal(m->acpi.ioapic[0].phys, 0xfec00000);
	assert_int_equal(m->acpi.ioapic[0].gsi_base, 24);
	assert_int_equal(m->acpi.override_count, 1);
	assert_int_equal(m->acpi.override[0].gsi, 11);
	assert_true(m->acpi.override[0].level && m->acpi.override[0].active_low);
}

static void an_entry_that_is_cut_off_is_not_read(void **state)
{
	(void)state;
	uint8_t *t = madt(66);
	t[44 + 12 + 1] = 11; /* the override claims a byte beyond the table */
	struct machine *m = machine_with(t, 66);
	acpi_start(m);
	assert_int_equal(m->acpi.ioapic_count, 1);
	assert_int_equal(m->acpi.override_count, 0);
}

static void an_entry_of_length_zero_ends_the_table(void **state)
{
	(void)state;
	uint8_t *t = madt(66);
	t[45] = 0;
	struct machine *m = machine_with(t, 66);
	acpi_start(m);
	assert_int_equal(m->acpi.ioapic_count, 0);
}

static void a_table_with_a_wrong_checksum_is_ignored(void **state)
{
	(void)state;
	uint8_t *t = madt(66);
	struct machine *m = machine_with(t, 66);
	t[50] ^= 1;
	acpi_start(m);
	assert_true(m->acpi.present);
	assert_int_equal(m->acpi.ioapic_count, 0);
}

static void a_table_that_is_longer_than_memory_is_ignored(void **state)
{
	(void)state;
	uint8_t *t = madt(66);
	store_le32(t + 4, 67);
	struct machine *m = machine_with(t, 66);
	acpi_start(m);
	assert_int_equal(m->acpi.ioapic_count, 0);
}

static void without_a_root_nothing_is_assumed(void **state)
{
	(void)state;
	static struct machine m;
	m.rsdp_phys = 0x1234;
	acpi_start(&m);
	assert_false(m.acpi.present);
}

static void the_pci_window_of_segment_0_is_found(void **state)
{
	(void)state;
	uint8_t *t = table("MCFG", 44 + 32);
	store_le64(t + 44, 0xd0000000);
	t[44 + 8] = 1; /* segment 1 */
	t[44 + 11] = 255;
	store_le64(t + 60, 0xb0000000);
	t[60 + 10] = 2;
	t[60 + 11] = 255;
	struct machine *m = machine_with(t, 44 + 32);
	acpi_start(m);
	assert_int_equal(m->acpi.ecam.phys, 0xb0200000);
	assert_int_equal(m->acpi.ecam.len, 254u << 20);
	assert_int_equal(m->acpi.ecam.bus_first, 2);
}

/* As QEMU's microvm writes them: \_S5, a generic event device, a virtio window. */
static const uint8_t code[] = "\x08\\_S5_\x12\x08\x04\x0a\x05\x0a\x03\x00\x00"
			      "\x5b\x82\x36GED_"
			      "\x08_HID\x0d" "ACPI0013\x00"
			      "\x08_CRS\x11\x0e\x0a\x0b\x89\x06\x00\x03\x01\x09\x00\x00\x00\x79\x00"
			      "\x5b\x80" "EREG\x00\x0c\x00\x00\xa0\xfe\x0a\x04"
			      "\x5b\x82\x34VR00"
			      "\x08_HID\x0d" "LNRO0005\x00"
			      "\x08_CRS\x11\x1a\x0a\x17\x86\x09\x00\x01\x00\x0e\xb0\xfe\x00\x02\x00\x00"
			      "\x89\x06\x00\x01\x01\x0c\x00\x00\x00\x79\x00";

static struct slice exact_copy(struct slice s)
{
	uint8_t *p = memory(s.len);
	memcpy(p, s.ptr, s.len);
	return slice_of(p, s.len);
}

static void bytecode_yields_power_and_virtio(void **state)
{
	(void)state;
	static struct machine m;
	memset(&m, 0, sizeof m);
	aml_scan(&m, exact_copy(slice_of(code, sizeof code - 1)));
	assert_true(m.acpi.has_s5);
	assert_int_equal(m.acpi.s5_a, 5);
	assert_int_equal(m.acpi.s5_b, 3);
	assert_int_equal(m.acpi.ged.phys, 0xfea00000);
	assert_int_equal(m.acpi.ged.gsi, 9);
	assert_false(m.acpi.ged.level);
	assert_int_equal(m.virtio_mmio_count, 1);
	assert_int_equal(m.virtio_mmio[0].phys, 0xfeb00e00);
	assert_int_equal(m.virtio_mmio[0].len, 0x200);
	assert_int_equal(m.virtio_mmio[0].gsi, 12);
	assert_true(m.virtio_mmio[0].level);
}

static void bytecode_that_ends_anywhere_does_no_harm(void **state)
{
	(void)state;
	static struct machine m;
	for (size_t len = 0; len < sizeof code - 1; len++) {
		memset(&m, 0, sizeof m);
		aml_scan(&m, exact_copy(slice_of(code, len)));
		assert_int_equal(m.virtio_mmio_count, 0);
		reset_memory(NULL);
	}
}

static struct machine *with_command_line(const char *text)
{
	static struct machine m;
	memset(&m, 0, sizeof m);
	m.platform.command_line = exact_copy(slice_of(text, strlen(text)));
	command_line_scan(&m);
	return &m;
}

static void windows_on_the_command_line_are_read(void **state)
{
	(void)state;
	struct machine *m = with_command_line("a=b virtio_mmio.device=4K@0xd0000000:5 x "
		"virtio_mmio.device=512@0xfeb00e00:12:3 virtio_mmio.device=512@0xfeb00e00:12");
	assert_int_equal(m->virtio_mmio_count, 2); /* the last is there already */
	assert_int_equal(m->virtio_mmio[0].phys, 0xd0000000);
	assert_int_equal(m->virtio_mmio[0].len, 4096);
	assert_int_equal(m->virtio_mmio[0].gsi, 5);
	assert_int_equal(m->virtio_mmio[1].len, 512);
	assert_int_equal(complaints, 0);
}

static void malformed_windows_are_refused_aloud(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "4K", "4K@", "4K@0xd0000000", "4K@0xd0000000:",
		"@1:2", "4K@zz:5", "4K@0x:5", "1@0xd0000000:5", "99999999999999999999999@1:5",
		"4K@0xd0000000:99999", "0xffffffffffffffffM@0x1000:5x"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char text[128] = "virtio_mmio.device=";
		complaints = 0;
		strcat(text, bad[i]);
		struct machine *m = with_command_line(text);
		assert_int_equal(m->virtio_mmio_count, 0);
		assert_int_equal(complaints, 1);
		reset_memory(NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(the_interrupt_controllers_are_found, reset_memory),
		cmocka_unit_test_teardown(an_entry_that_is_cut_off_is_not_read, reset_memory),
		cmocka_unit_test_teardown(an_entry_of_length_zero_ends_the_table, reset_memory),
		cmocka_unit_test_teardown(a_table_with_a_wrong_checksum_is_ignored, reset_memory),
		cmocka_unit_test_teardown(a_table_that_is_longer_than_memory_is_ignored, reset_memory),
		cmocka_unit_test_teardown(without_a_root_nothing_is_assumed, reset_memory),
		cmocka_unit_test_teardown(the_pci_window_of_segment_0_is_found, reset_memory),
		cmocka_unit_test_teardown(bytecode_yields_power_and_virtio, reset_memory),
		cmocka_unit_test_teardown(bytecode_that_ends_anywhere_does_no_harm, reset_memory),
		cmocka_unit_test_teardown(windows_on_the_command_line_are_read, reset_memory),
		cmocka_unit_test_teardown(malformed_windows_are_refused_aloud, reset_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
