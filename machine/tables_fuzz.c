/* Whatever firmware writes into its tables, or a loader on the command line: no overrun, no endless
 * loop. The first byte chooses the parser. */
#include "acpi.c"
#include "aml.c"
#include "command_line.c"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

bool paging_map(struct machine *m, uint64_t phys, uint64_t len, enum page_access access)
{
	(void)m;
	(void)phys;
	(void)len;
	(void)access;
	return false;
}

void machine_log(struct machine *m, const char *fmt, ...)
{
	(void)m;
	(void)fmt;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const signature[] = {"APIC", "MCFG", "FACP"};
	static struct machine m;
	if (len < 1)
		return 0;
	uint8_t *copy = malloc(len - 1);
	struct slice s = slice_of(copy, len - 1);
	if (len > 1)
		memcpy(copy, data + 1, len - 1);
	memset(&m, 0, sizeof m);
	if (data[0] % 5 == 0) {
		aml_scan(&m, s);
	} else if (data[0] % 5 == 1) {
		m.platform.command_line = s;
		command_line_scan(&m);
	} else if (s.len >= HEADER_LEN) {
		memcpy(copy, signature[data[0] % 5 - 2], 4);
		table_read(&m, s);
	}
	if (m.virtio_mmio_count > MACHINE_VIRTIO_MMIO_MAX || m.acpi.ioapic_count > MACHINE_IOAPIC_MAX ||
		m.acpi.override_count > MACHINE_OVERRIDES_MAX)
		abort();
	free(copy);
	return 0;
}
