/* Which memory there is, and who has it.
 *
 * The largest free region above the image is used; the rest stays unmapped. It is cut from its
 * start on: page tables and what drivers take while they are probed (zeroed page by page), then a
 * reserve of tables so that guard pages can be made anywhere later, then platform.memory.
 *
 * platform.memory must be zero, but touching all of it would cost more than the rest of the boot. A
 * virtual machine starts with zeroed memory, and only firmware writes to it before us. SeaBIOS, the
 * only firmware that direct boot meets, leaves something (50 to 200 KiB were measured) in two
 * places: at the top of memory below 4 GiB, and 16 MiB lower. It works downwards from there, so
 * both are cleared downwards, until a stretch of zeroes as long as CLEAN_STRETCH. Everything is
 * cleared when memory may hold more than that: after a reset, which leaves memory as it was. A mark
 * in the first free page tells, and so does anything else but zero in its place.
 *
 * The PVH start info: Xen, xen/include/public/arch-x86/hvm/start_info.h. Nothing in it is trusted:
 * addresses are mapped before they are read, counts have limits. */
#include "machine.h"

#include <base/assert.h>
#include <string.h>

#include "x86_64/image.h"

#define START_MAGIC 0x336ec578u
#define MAP_ENTRIES_MAX 256u
#define MAP_USABLE 1u
#define FIRST_CHUNK (32ull << 20) /* what the spare tables can map for certain */
#define FIRMWARE_TOP (16ull << 20) /* below the end of memory, that is */
#define FIRMWARE_ALIGN (1ull << 20)
#define CLEAN_STRETCH (256ull << 10)
#define LARGE_SIZE (2ull << 20)
#define MARK 0x746f676e49202e31ull

struct hvm_start_info {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, command_line, rsdp;
	uint64_t map; /* from version 1 on */
	uint32_t map_count, reserved;
};

struct map_entry {
	uint64_t address, size;
	uint32_t type, reserved;
};

struct region {
	uint64_t start, end;
};

static void command_line_copy(struct machine *m, uint64_t at)
{
	size_t len = 0;
	while (at && len < MACHINE_COMMAND_LINE_MAX) {
		if (!paging_map(m, at + len, 1, PAGE_READ_ONLY))
			break;
		char c = *(const char *)(uintptr_t)(at + len);
		if (c == 0)
			break;
		m->command_line[len++] = c;
	}
	m->platform.command_line = slice_of(m->command_line, len);
}

/* The part of a usable entry that lies above the image, in whole pages. */
static struct region region_of(const struct map_entry *e)
{
	uint64_t top = e->size > UINT64_MAX - e->address ? UINT64_MAX : e->address + e->size;
	uint64_t start = e->address, image = (uintptr_t)image_end;
	if (start < image)
		start = image;
	if (start > UINT64_MAX - PAGE_SIZE || top <= start)
		return (struct region){0, 0};
	start = (start + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
	top &= ~(uint64_t)(PAGE_SIZE - 1);
	return top > start ? (struct region){start, top} : (struct region){0, 0};
}

static struct region largest_region(struct machine *m, const struct map_entry *map, uint32_t count)
{
	struct region best = {0, 0};
	uint64_t total = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (map[i].type != MAP_USABLE)
			continue;
		total += map[i].size;
		struct region r = region_of(&map[i]);
		if (r.end - r.start > best.end - best.start)
			best = r;
	}
	m->platform.memory_total = total;
	return best;
}

void *memory_table_page(struct machine *m)
{
	static uint8_t *spare = image_spare_tables_start; /* until memory is known */
	if (m->memory_pos == NULL) {
		if (spare == image_spare_tables_end)
			return NULL;
		spare += PAGE_SIZE;
		return spare - PAGE_SIZE;
	}
	if (m->table_pos != m->table_end) {
		m->table_pos += PAGE_SIZE;
		return m->table_pos - PAGE_SIZE;
	}
	if (m->memory_finished || m->memory_end - m->memory_pos < (ptrdiff_t)PAGE_SIZE)
		return NULL;
	m->memory_pos += PAGE_SIZE;
	return m->memory_pos - PAGE_SIZE;
}

/* Takes the first page for the mark. */
static void mark_set(struct machine *m)
{
	uint64_t *mark = (uint64_t *)(void *)m->memory_pos;
	m->memory_used_before = *mark != 0;
	*mark = MARK;
	m->memory_pos += PAGE_SIZE;
}

void memory_start(struct machine *m, const struct hvm_start_info *info)
{
	paging_null_page(true);
	if (!paging_map(m, (uintptr_t)info, sizeof *info, PAGE_READ_ONLY) ||
		info->magic != START_MAGIC)
		machine_panic("the loader gave no PVH start info; boot with a PVH loader");
	if (info->version < 1 || info->map_count == 0 || info->map_count > MAP_ENTRIES_MAX)
		machine_panic("the loader gave no memory map; a newer loader is needed");
	m->rsdp_phys = info->rsdp;
	command_line_copy(m, info->command_line);
	if (!paging_map(m, info->map, info->map_count * sizeof(struct map_entry), PAGE_READ_ONLY))
		machine_panic("the loader's memory map at 0x%lx is not in memory",
			(unsigned long)info->map);
	struct region r = largest_region(m, (const struct map_entry *)(uintptr_t)info->map,
		info->map_count);
	paging_null_page(false);
	uint64_t first = r.end - r.start < FIRST_CHUNK ? r.end - r.start : FIRST_CHUNK;
	if (first == 0 || !paging_map(m, r.start, first, PAGE_READ_WRITE))
		machine_panic("no free memory above the image; give the machine more memory");
	m->memory_pos = (uint8_t *)(uintptr_t)r.start;
	m->memory_end = m->memory_pos + first;
	mark_set(m);
	if (r.end - r.start > first &&
		paging_map(m, r.start + first, r.end - r.start - first, PAGE_READ_WRITE))
		m->memory_end = (uint8_t *)(uintptr_t)r.end;
}

void *machine_alloc_pages(struct machine *m, size_t count)
{
	ASSERT(!m->memory_finished);
	if (count == 0 || count > (size_t)(m->memory_end - m->memory_pos) / PAGE_SIZE)
		return NULL;
	uint8_t *pages = m->memory_pos;
	m->memory_pos += count * PAGE_SIZE;
	memset(pages, 0, count * PAGE_SIZE);
	return pages;
}

static bool page_is_zero(const uint64_t *words)
{
	uint64_t any = 0;
	for (size_t i = 0; i < PAGE_SIZE / sizeof *words; i += 4)
		any |= words[i] | words[i + 1] | words[i + 2] | words[i + 3];
	return any == 0;
}

/* Clears what firmware has left below `top`, as far down as it goes. */
static void clear_downwards(const struct machine *m, uint64_t top)
{
	uint64_t start = (uintptr_t)m->memory_pos, clean = 0;
	for (uint64_t at = top; at - start >= PAGE_SIZE && at > start && clean < CLEAN_STRETCH;) {
		at -= PAGE_SIZE;
		uint64_t *page = (uint64_t *)(uintptr_t)at;
		clean = page_is_zero(page) ? clean + PAGE_SIZE : 0;
		if (!clean)
			memset(page, 0, PAGE_SIZE);
	}
}

static void memory_clear(struct machine *m)
{
	uint64_t end = (uintptr_t)m->memory_end;
	if (m->memory_used_before) {
		machine_log(m, "ingot: memory was in use before, clearing all of it");
		memset(m->memory_pos, 0, (size_t)(m->memory_end - m->memory_pos));
	} else if (end <= 1ull << 32) {
		uint64_t top = (end + FIRMWARE_ALIGN - 1) & ~(FIRMWARE_ALIGN - 1);
		clear_downwards(m, end);
		if (top - FIRMWARE_TOP < end)
			clear_downwards(m, top - FIRMWARE_TOP);
	}
}

void memory_finish(struct machine *m)
{
	size_t len = (size_t)(m->memory_end - m->memory_pos);
	size_t reserve = (len / LARGE_SIZE + 2) * PAGE_SIZE;
	if (len < 2 * reserve)
		machine_panic("%lu KiB of free memory are too little; give the machine more",
			(unsigned long)(len / 1024));
	m->table_pos = m->memory_pos;
	m->memory_pos += reserve;
	m->table_end = m->memory_pos;
	m->memory_finished = true;
	memory_clear(m);
	m->platform.memory = m->memory_pos;
	m->platform.memory_len = (size_t)(m->memory_end - m->memory_pos);
}
