/* Page tables: a one-to-one map of the image, of the memory that is used, and of device registers
 * on request. Everything else is absent.
 *
 * Invariants:
 * 1. No page is both writable and executable. boot.S makes the only executable ones: the
 *    image's text.
 * 2. A mapping's rights never change, except that paging_guard takes a page away for good.
 * 3. Only the boot tables' and memory_table_page's pages hold tables; all are mapped.
 *
 * Intel SDM volume 3, chapter 4: four levels, numbered here 4 (root) to 1 (pages of 4 KiB). */
#include "../machine.h"

#include <base/assert.h>
#include <string.h>

#include "image.h"

#define PTE_PRESENT 0x001ULL
#define PTE_WRITE 0x002ULL
#define PTE_WRITE_THROUGH 0x008ULL
#define PTE_UNCACHED 0x010ULL
#define PTE_LARGE 0x080ULL
#define PTE_GUARD 0x200ULL /* not present: a guard page; boot.S knows it too */
#define PTE_NX (1ULL << 63)
#define PTE_ADDRESS 0x000ffffffffff000ULL
#define LARGE_SIZE 0x200000ULL
#define LEVELS 4

#define CR4_UMIP (1ULL << 11)
#define CR4_SMEP (1ULL << 20)
#define CR4_SMAP (1ULL << 21)

static uint64_t address_limit(void)
{
	unsigned bits = 36;
	if (cpuid(0x80000000, 0).eax >= 0x80000008)
		bits = cpuid(0x80000008, 0).eax & 0xff;
	return 1ULL << (bits < 47 ? bits : 47); /* the lower half of a 48-bit space */
}

static uint64_t *table_at(uint64_t entry)
{
	return (uint64_t *)(uintptr_t)(entry & PTE_ADDRESS);
}

static unsigned index_at(uint64_t address, unsigned level)
{
	return (unsigned)(address >> (12 + 9 * (level - 1))) & 511;
}

/* The entry that decides about `address`, and its level: a leaf, or the absent one where the walk
 * ends. */
static uint64_t *entry_find(uint64_t address, unsigned *level_out)
{
	uint64_t *table = boot_pml4;
	unsigned level = LEVELS;
	for (;; level--) {
		uint64_t *entry = &table[index_at(address, level)];
		bool leaf = level == 1 || !(*entry & PTE_PRESENT) || (*entry & PTE_LARGE);
		if (leaf) {
			*level_out = level;
			return entry;
		}
		table = table_at(*entry);
	}
}

static bool table_add(struct machine *m, uint64_t *entry)
{
	uint64_t *table = memory_table_page(m);
	if (!table)
		return false;
	memset(table, 0, PAGE_SIZE);
	*entry = (uintptr_t)table | PTE_PRESENT | PTE_WRITE;
	return true;
}

/* Whether what is there already serves. */
static bool rights_suffice(uint64_t have, uint64_t want)
{
	bool same_cache = (have & PTE_UNCACHED) == (want & PTE_UNCACHED);
	return same_cache && (have & PTE_NX) && ((have & PTE_WRITE) || !(want & PTE_WRITE));
}

/* Maps one page, large if the range allows, at `at`; the bytes covered, or 0 on failure. */
static uint64_t map_one(struct machine *m, uint64_t at, uint64_t end, uint64_t rights)
{
	for (;;) {
		unsigned level;
		uint64_t *entry = entry_find(at, &level);
		uint64_t size = 1ULL << (12 + 9 * (level - 1));
		if (*entry & PTE_PRESENT)
			return rights_suffice(*entry, rights) ? size - (at & (size - 1)) : 0;
		if (*entry & PTE_GUARD || at == 0)
			return 0;
		bool large = level == 2 && at % LARGE_SIZE == 0 && end - at >= LARGE_SIZE;
		if (large || level == 1) {
			*entry = at | rights | (large ? PTE_LARGE : 0);
			return size;
		}
		if (!table_add(m, entry))
			return 0;
	}
}

bool paging_map(struct machine *m, uint64_t phys, uint64_t len, enum page_access access)
{
	static const uint64_t rights[] = {
		[PAGE_READ_ONLY] = PTE_PRESENT | PTE_NX,
		[PAGE_READ_WRITE] = PTE_PRESENT | PTE_NX | PTE_WRITE,
		[PAGE_DEVICE] = PTE_PRESENT | PTE_NX | PTE_WRITE | PTE_UNCACHED | PTE_WRITE_THROUGH,
	};
	uint64_t limit = address_limit();
	if (len == 0 || phys >= limit || len > limit - phys)
		return false;
	uint64_t end = (phys + len + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
	for (uint64_t at = phys & ~(uint64_t)(PAGE_SIZE - 1); at < end;) {
		uint64_t covered = map_one(m, at, end, rights[access]);
		if (!covered)
			return false;
		at += covered;
	}
	return true;
}

/* Loaders leave their data in page 0 too; it is there only while that is read. */
void paging_null_page(bool readable)
{
	unsigned level;
	*entry_find(0, &level) = readable ? PTE_PRESENT | PTE_NX : 0;
	invlpg(0);
}

volatile void *machine_map_mmio(struct machine *m, uint64_t phys, uint64_t len)
{
	if (!paging_map(m, phys, len, PAGE_DEVICE))
		return NULL;
	return (volatile void *)(uintptr_t)phys;
}

bool paging_is_readable(uint64_t address, size_t len)
{
	uint64_t limit = address_limit();
	if (address >= limit || len > limit - address)
		return false;
	for (uint64_t at = address & ~(uint64_t)(PAGE_SIZE - 1); at < address + len;
		at += PAGE_SIZE) {
		unsigned level;
		if (!(*entry_find(at, &level) & PTE_PRESENT))
			return false;
	}
	return true;
}

bool paging_is_guard(uint64_t address)
{
	unsigned level;
	return address < address_limit() &&
	       (*entry_find(address, &level) & (PTE_GUARD | PTE_PRESENT)) == PTE_GUARD;
}

/* Replaces a large page by a table of small ones with the same rights. */
static void split(struct machine *m, uint64_t *entry)
{
	uint64_t large = *entry, *table = memory_table_page(m);
	ASSERT(table); /* memory_finish has set enough aside for all memory */
	for (unsigned i = 0; i < 512; i++)
		table[i] = (large & ~PTE_LARGE) + i * (uint64_t)PAGE_SIZE;
	*entry = (uintptr_t)table | PTE_PRESENT | PTE_WRITE;
}

void paging_guard(struct platform *p, void *at, size_t len)
{
	struct machine *m = (struct machine *)(void *)p;
	uint64_t start = (uintptr_t)at;
	ASSERT(start % PAGE_SIZE == 0 && len % PAGE_SIZE == 0);
	ASSERT(start >= (uintptr_t)p->memory && len <= p->memory_len &&
	       start - (uintptr_t)p->memory <= p->memory_len - len);
	for (uint64_t page = start; page < start + len; page += PAGE_SIZE) {
		unsigned level;
		uint64_t *entry = entry_find(page, &level);
		if (level == 2) {
			split(m, entry);
			entry = entry_find(page, &level);
		}
		ASSERT(level == 1);
		*entry = PTE_GUARD;
		invlpg(page);
	}
}

/* QEMU's emulator (TCG) keeps what it has translated of addresses in a table of its own, for 256 pages at first; that
 * is made larger when it is emptied and had been almost full. Other systems empty it whenever they switch processes. We
 * never do, so that all beyond a MiB in use would go the slow way for ever; hence it is filled and emptied, once. */
#define EMULATOR_PAGES_MIN 256u
#define EMULATOR_PAGES_MAX 4096u

/* Reads a byte of each of so many pages. Those that are mapped one by one may be guards, and are left out. */
static void touch_pages(const struct platform *p, size_t pages)
{
	uint64_t at = ((uintptr_t)p->memory + LARGE_SIZE - 1) & ~(LARGE_SIZE - 1);
	uint64_t end = (uintptr_t)p->memory + p->memory_len;
	for (; at + LARGE_SIZE <= end && pages; at += LARGE_SIZE) {
		unsigned level;
		if (!(*entry_find(at, &level) & PTE_PRESENT) || level == 1)
			continue;
		for (uint64_t page = at; page < at + LARGE_SIZE && pages; page += PAGE_SIZE, pages--)
			(void)*(const volatile uint8_t *)(uintptr_t)page;
	}
}

void paging_grow_tlb(struct machine *m)
{
	m->tlb_grown = true;
	if (!cpu_hypervisor_is("TCGTCGTCGTCG"))
		return;
	for (size_t pages = EMULATOR_PAGES_MIN; pages < EMULATOR_PAGES_MAX; pages *= 2) {
		touch_pages(&m->platform, pages - pages / 4);
		write_cr3(read_cr3());
	}
}

void paging_start(struct machine *m)
{
	(void)m;
	uint64_t cr4 = read_cr4();
	if (cpuid(0, 0).eax >= 7) {
		struct cpuid features = cpuid(7, 0);
		if (features.ebx & 1u << 7)
			cr4 |= CR4_SMEP;
		if (features.ebx & 1u << 20)
			cr4 |= CR4_SMAP;
		if (features.ecx & 1u << 2)
			cr4 |= CR4_UMIP;
	}
	write_cr4(cr4);
}
