/* Everything read here comes from the hypervisor: lists are walked with a limit, and offsets are
 * checked against the size of what they point into. */
#include "pci.h"

#define VENDOR 0x00u
#define COMMAND 0x04u
#define STATUS 0x06u
#define CLASS 0x08u /* the upper half holds class and subclass */
#define HEADER_TYPE 0x0eu
#define BAR 0x10u
#define SECONDARY_BUS 0x19u
#define CAPABILITIES 0x34u

#define COMMAND_MEMORY 2u
#define COMMAND_MASTER 4u
#define COMMAND_NO_PIN_INTERRUPT 0x400u
#define STATUS_CAPABILITIES 0x10u
#define CAPABILITIES_MAX 48u /* as many as fit into 192 bytes */

#define ADDRESS_PORT 0xcf8u
#define DATA_PORT 0xcfcu

static void select_port(const struct pci_function *f, uint32_t offset)
{
	outl(ADDRESS_PORT, 0x80000000u | (uint32_t)f->bus << 16 | (uint32_t)f->device << 11 |
		(uint32_t)f->function << 8 | (offset & 0xfc));
}

uint8_t pci_read8(const struct pci_function *f, uint32_t offset)
{
	if (f->ecam)
		return f->ecam[offset];
	select_port(f, offset);
	return inb((uint16_t)(DATA_PORT + (offset & 3)));
}

uint16_t pci_read16(const struct pci_function *f, uint32_t offset)
{
	if (f->ecam)
		return *(volatile uint16_t *)(volatile void *)(f->ecam + offset);
	select_port(f, offset);
	return inw((uint16_t)(DATA_PORT + (offset & 2)));
}

uint32_t pci_read32(const struct pci_function *f, uint32_t offset)
{
	if (f->ecam)
		return *(volatile uint32_t *)(volatile void *)(f->ecam + offset);
	select_port(f, offset);
	return inl(DATA_PORT);
}

void pci_write16(const struct pci_function *f, uint32_t offset, uint16_t v)
{
	if (f->ecam) {
		*(volatile uint16_t *)(volatile void *)(f->ecam + offset) = v;
		return;
	}
	select_port(f, offset);
	outw((uint16_t)(DATA_PORT + (offset & 2)), v);
}

void pci_write32(const struct pci_function *f, uint32_t offset, uint32_t v)
{
	if (f->ecam) {
		*(volatile uint32_t *)(volatile void *)(f->ecam + offset) = v;
		return;
	}
	select_port(f, offset);
	outl(DATA_PORT, v);
}

struct walk {
	struct machine *machine;
	void (*visit)(void *cookie, const struct pci_function *);
	void *cookie;
	uint64_t queued[4], done[4]; /* a bit for each bus */
	volatile uint8_t *ecam;      /* of the bus that is being walked; NULL: ports */
};

static void queue_bus(struct walk *w, uint8_t bus)
{
	w->queued[bus / 64] |= 1ull << bus % 64;
}

/* The next bus to walk, each once, so that a loop of bridges ends. */
static bool next_bus(struct walk *w, uint8_t *bus)
{
	for (uint32_t i = 0; i < 4; i++) {
		uint64_t left = w->queued[i] & ~w->done[i];
		if (!left)
			continue;
		*bus = (uint8_t)(i * 64 + (uint32_t)__builtin_ctzll(left));
		w->done[i] |= left & -left;
		return true;
	}
	return false;
}

static struct pci_function function_at(const struct walk *w, uint8_t bus, uint8_t dev, uint8_t fn)
{
	uint32_t offset = (uint32_t)dev << 15 | (uint32_t)fn << 12;
	return (struct pci_function){
		.machine = w->machine,
		.ecam = w->ecam ? w->ecam + offset : NULL,
		.bus = bus,
		.device = dev,
		.function = fn,
	};
}

/* False when nothing answers. `multi`: the device has more functions. */
static bool walk_function(struct walk *w, uint8_t bus, uint8_t dev, uint8_t fn, bool *multi)
{
	struct pci_function f = function_at(w, bus, dev, fn);
	uint32_t ids = pci_read32(&f, VENDOR);
	f.vendor = (uint16_t)ids;
	f.id = (uint16_t)(ids >> 16);
	if (f.vendor == 0xffff || f.vendor == 0)
		return false;
	uint8_t type = pci_read8(&f, HEADER_TYPE);
	*multi = type & 0x80;
	if ((type & 0x7f) == 1)
		queue_bus(w, pci_read8(&f, SECONDARY_BUS));
	else if ((type & 0x7f) == 0)
		w->visit(w->cookie, &f);
	return true;
}

static void walk_bus(struct walk *w, uint8_t bus)
{
	for (uint8_t dev = 0; dev < 32; dev++) {
		bool multi = false, ignored;
		if (!walk_function(w, bus, dev, 0, &multi) || !multi)
			continue;
		for (uint8_t fn = 1; fn < 8; fn++)
			walk_function(w, bus, dev, fn, &ignored);
	}
}

/* The configuration space of a bus; NULL with `ok` when it is behind the ports. */
static volatile uint8_t *map_bus(struct machine *m, uint8_t bus, bool ports, bool *ok)
{
	const struct pci_ecam *e = &m->acpi.ecam;
	uint64_t offset = (uint64_t)(uint8_t)(bus - e->bus_first) << 20;
	*ok = ports;
	if (bus < e->bus_first || bus > e->bus_last || e->len < (1u << 20) ||
		offset > e->len - (1u << 20))
		return NULL;
	volatile uint8_t *p = machine_map_mmio(m, e->phys + offset, 1u << 20);
	*ok = *ok || p;
	return p;
}

/* Whether the first mechanism answers: its address register keeps what is written to it. */
static bool ports_answer(void)
{
	outl(ADDRESS_PORT, 0x80000000u);
	return inl(ADDRESS_PORT) == 0x80000000u;
}

void pci_walk(struct machine *m, void (*visit)(void *cookie, const struct pci_function *),
	void *cookie)
{
	struct walk w = {.machine = m, .visit = visit, .cookie = cookie};
	bool ports = ports_answer();
	if (!ports && !m->acpi.ecam.len)
		return;
	queue_bus(&w, m->acpi.ecam.len ? m->acpi.ecam.bus_first : 0);
	for (uint8_t bus; next_bus(&w, &bus);) {
		bool ok;
		w.ecam = map_bus(m, bus, ports, &ok);
		if (ok)
			walk_bus(&w, bus);
	}
}

uint32_t pci_capability_next(const struct pci_function *f, uint8_t id, uint32_t from)
{
	if (!(pci_read16(f, STATUS) & STATUS_CAPABILITIES))
		return 0;
	uint32_t at = pci_read8(f, from ? from + 1 : CAPABILITIES) & ~3u;
	for (uint32_t i = 0; i < CAPABILITIES_MAX && at >= 0x40; i++) {
		uint16_t head = pci_read16(f, at);
		if ((head & 0xff) == id)
			return at;
		at = (uint32_t)(head >> 8) & ~3u;
	}
	return 0;
}

struct pci_bar pci_bar_read(const struct pci_function *f, uint32_t index)
{
	if (index >= PCI_BARS)
		return (struct pci_bar){0, 0};
	uint32_t at = BAR + 4 * index;
	uint32_t low = pci_read32(f, at), high = 0;
	bool wide = (low & 6) == 4;
	if (low & 1 || (wide && index + 1 == PCI_BARS))
		return (struct pci_bar){0, 0};
	uint16_t command = pci_read16(f, COMMAND);
	pci_write16(f, COMMAND, (uint16_t)(command & ~(COMMAND_MEMORY | 1u)));
	pci_write32(f, at, UINT32_MAX);
	uint64_t mask = pci_read32(f, at) & ~15u;
	pci_write32(f, at, low);
	if (wide) {
		high = pci_read32(f, at + 4);
		pci_write32(f, at + 4, UINT32_MAX);
		mask |= (uint64_t)pci_read32(f, at + 4) << 32;
		pci_write32(f, at + 4, high);
	} else if (mask) {
		mask |= ~0ull << 32;
	}
	pci_write16(f, COMMAND, command);
	return (struct pci_bar){(uint64_t)high << 32 | (low & ~15u), mask ? ~mask + 1 : 0};
}

void pci_enable(const struct pci_function *f)
{
	uint16_t command = pci_read16(f, COMMAND);
	pci_write16(f, COMMAND, (uint16_t)(command | COMMAND_MEMORY | COMMAND_MASTER |
		COMMAND_NO_PIN_INTERRUPT));
}

bool pci_msix_enable(const struct pci_function *f, const uint8_t *vectors, uint32_t count)
{
	uint32_t at = pci_capability_next(f, PCI_CAPABILITY_MSIX, 0);
	if (!at)
		return false;
	uint16_t control = pci_read16(f, at + 2);
	uint32_t entries = (control & 0x7ffu) + 1, where = pci_read32(f, at + 4);
	struct pci_bar bar = pci_bar_read(f, where & 7);
	uint64_t offset = where & ~7u, len = 16ull * entries;
	if (!bar.base || len > bar.len || offset > bar.len - len || count > entries)
		return false;
	volatile uint32_t *table = machine_map_mmio(f->machine, bar.base + offset, len);
	if (!table)
		return false;
	pci_write16(f, at + 2, (uint16_t)(control | 0xc000u)); /* on, but all masked */
	uint64_t address = machine_msi_address(f->machine);
	for (uint32_t i = 0; i < entries; i++) {
		volatile uint32_t *e = table + 4 * i;
		if (i >= count) {
			e[3] = 1;
			continue;
		}
		e[0] = (uint32_t)address;
		e[1] = (uint32_t)(address >> 32);
		e[2] = machine_msi_data(vectors[i]);
		e[3] = 0;
	}
	pci_write16(f, at + 2, (uint16_t)((control | 0x8000u) & ~0x4000u));
	return true;
}
