/* What the boot needs from ACPI's bytecode, without interpreting it: the value of \_S5, and the
 * resources of two kinds of device: the generic event device (ACPI0013) and virtio over MMIO
 * (LNRO0005).
 *
 * A Device is found by its opcode and package length, its identity and resources by name within
 * that package. Bytes that merely look like one lead to nothing worse than a device that does not
 * answer: its registers are checked before use. ACPI 6.4: 20.2 (encoding), 6.4 (resources). */
#include "machine.h"

#include <base/cursor.h>

enum opcode {
	OP_ZERO = 0x00,
	OP_ONE = 0x01,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_QWORD = 0x0e,
	OP_EXTENDED = 0x5b,
	OP_EXTENDED_DEVICE = 0x82,
};

struct resources {
	uint64_t memory;
	uint32_t memory_len, gsi;
	bool has_gsi, level;
};

/* The package's content after its length, which counts itself; empty on nonsense. */
static struct slice package_content(struct reader *r)
{
	const uint8_t *start = r->pos;
	uint8_t lead = read_u8(r);
	unsigned more = lead >> 6;
	size_t len = more ? lead & 15u : lead & 63u;
	for (unsigned i = 0; i < more; i++)
		len |= (size_t)read_u8(r) << (4 + 8 * i);
	size_t head = (size_t)(r->pos - start);
	if (len < head)
		r->failed = true;
	return read_bytes(r, len - head);
}

/* The same as a reader: failed when there is no package. */
static struct reader package_reader(struct reader *r)
{
	struct slice content = package_content(r);
	return content.len ? reader_of(content) : (struct reader){NULL, NULL, true};
}

static uint64_t integer(struct reader *r)
{
	switch (read_u8(r)) {
	case OP_ZERO:
		return 0;
	case OP_ONE:
		return 1;
	case OP_BYTE:
		return read_u8(r);
	case OP_WORD:
		return read_le16(r);
	case OP_DWORD:
		return read_le32(r);
	case OP_QWORD:
		return read_le64(r);
	default:
		r->failed = true;
		return 0;
	}
}

/* A reader behind the first occurrence of `pattern`; failed when there is none. */
static struct reader after(struct slice s, struct slice pattern)
{
	for (size_t i = 0; pattern.len <= s.len && i <= s.len - pattern.len; i++)
		if (s.ptr[i] == pattern.ptr[0] &&
			memcmp(s.ptr + i, pattern.ptr, pattern.len) == 0)
			return reader_of(slice_sub(s, i + pattern.len, s.len));
	return (struct reader){NULL, NULL, true};
}

static void resource_read(struct resources *out, uint8_t type, struct slice body)
{
	enum { MEMORY32_FIXED = 0x86, EXTENDED_INTERRUPT = 0x89 };
	if (body.len < 6)
		return;
	struct reader r = reader_of(body);
	if (type == MEMORY32_FIXED && body.len >= 9 && !out->memory) {
		read_u8(&r);
		out->memory = read_le32(&r);
		out->memory_len = read_le32(&r);
	} else if (type == EXTENDED_INTERRUPT && !out->has_gsi) {
		out->level = !(read_u8(&r) & 2);
		out->has_gsi = read_u8(&r) > 0;
		out->gsi = read_le32(&r);
	}
}

static struct resources resources_of(struct slice device)
{
	struct resources out = {0};
	struct reader r = after(device, SLICE("\x08_CRS\x11"));
	struct reader b = package_reader(&r);
	integer(&b); /* the buffer's size */
	while (!b.failed && reader_left(&b)) {
		uint8_t type = read_u8(&b);
		if ((type & 0xf8) == 0x78)
			break; /* the end tag */
		size_t len = type & 0x80 ? read_le16(&b) : type & 7u;
		resource_read(&out, type, read_bytes(&b, len));
	}
	return out;
}

static void ged_read(struct machine *m, struct slice device)
{
	struct resources res = resources_of(device);
	struct reader r = after(device, SLICE("\x5b\x80"));
	read_bytes(&r, 4); /* the region's name */
	uint8_t space = read_u8(&r);
	uint64_t address = integer(&r);
	if (r.failed || space != 0 || address % 4 != 0 || !res.has_gsi)
		return;
	m->acpi.ged.phys = address;
	m->acpi.ged.gsi = res.gsi;
	m->acpi.ged.level = res.level;
}

static void device_read(struct machine *m, struct slice device)
{
	struct reader hid = after(device, SLICE("\x08_HID\x0d"));
	struct slice id = read_bytes(&hid, 9);
	if (slice_eq(id, slice_of("ACPI0013", 9)))
		ged_read(m, device);
	if (!slice_eq(id, slice_of("LNRO0005", 9)))
		return;
	struct resources res = resources_of(device);
	if (res.memory && res.has_gsi)
		virtio_mmio_add(m, (struct virtio_mmio_window){
			res.memory, res.memory_len, res.gsi, res.level});
}

/* Name (_S5, Package { SLP_TYPa, SLP_TYPb, ... }) */
static void s5_read(struct acpi *a, struct slice aml)
{
	struct reader r = after(aml, SLICE("_S5_\x12"));
	struct reader p = package_reader(&r);
	uint8_t count = read_u8(&p);
	uint64_t type_a = integer(&p), type_b = count > 1 ? integer(&p) : 0;
	if (p.failed || count == 0 || type_a > 7 || type_b > 7)
		return;
	a->has_s5 = true;
	a->s5_a = (uint8_t)type_a;
	a->s5_b = (uint8_t)type_b;
}

void aml_scan(struct machine *m, struct slice aml)
{
	if (!m->acpi.has_s5)
		s5_read(&m->acpi, aml);
	for (size_t i = 0; i + 2 < aml.len; i++) {
		if (aml.ptr[i] != OP_EXTENDED || aml.ptr[i + 1] != OP_EXTENDED_DEVICE)
			continue;
		struct reader r = reader_of(slice_sub(aml, i + 2, aml.len));
		struct slice device = package_content(&r);
		if (!r.failed && device.len)
			device_read(m, device);
	}
}
