/* PCI configuration space: walking the functions, their capabilities, BARs and MSI-X.
 * PCI Local Bus 3.0 (6.1, 6.2.5, 6.7, 6.8), PCI Express Base (7.2.2: ECAM). */
#ifndef MACHINE_PCI_H
#define MACHINE_PCI_H

#include "machine.h"

#define PCI_CAPABILITY_VENDOR 0x09u
#define PCI_CAPABILITY_MSIX 0x11u
#define PCI_BARS 6u

struct pci_function {
	struct machine *machine;
	volatile uint8_t *ecam; /* its configuration space; NULL: through ports */
	uint8_t bus, device, function;
	uint16_t vendor, id;
};

/* A memory BAR; base 0: unassigned, an I/O BAR, or absent. */
struct pci_bar {
	uint64_t base, len;
};

/* `offset`: 0 to 255, aligned to the access. */
uint8_t pci_read8(const struct pci_function *f, uint32_t offset);
uint16_t pci_read16(const struct pci_function *f, uint32_t offset);
uint32_t pci_read32(const struct pci_function *f, uint32_t offset);
void pci_write16(const struct pci_function *f, uint32_t offset, uint16_t v);
void pci_write32(const struct pci_function *f, uint32_t offset, uint32_t v);

/* Calls `visit` for each function there is, behind bridges too; the structure is the caller's for
 * that call only (copy it). */
void pci_walk(struct machine *m, void (*visit)(void *cookie, const struct pci_function *),
	void *cookie);
/* The offset of the next capability of kind `id` behind `from` (0: from the first), 0 when there is
 * none. A malformed list ends early. */
uint32_t pci_capability_next(const struct pci_function *f, uint8_t id, uint32_t from);
/* Sizes BAR `index` (0 to 5); the function does not decode while that goes on. */
struct pci_bar pci_bar_read(const struct pci_function *f, uint32_t index);
/* Lets the function decode memory and master the bus; its pin interrupt stays off. */
void pci_enable(const struct pci_function *f);
/* Turns MSI-X on with `count` vectors in the first entries, the rest masked. False when the
 * function has no MSI-X, too few entries, or a table that lies nowhere. */
bool pci_msix_enable(const struct pci_function *f, const uint8_t *vectors, uint32_t count);

#endif
