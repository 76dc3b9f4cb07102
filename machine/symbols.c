/* Names for addresses in backtraces.
 *
 * The table is made from the first link of an image and added by the second (symbols.sh):
 *   "INGS", count (32 bits), then count times 32 bits: functions' offsets from the text's start, ascending; then their
 *   names in the same order, each ended by a zero byte.
 * It is read by the panic code: whatever it holds, this does not fault. */
#include "machine.h"

#include <base/bytes.h>

#include "x86_64/image.h"

#define MAGIC 0x53474e49u
#define HEADER_LEN 8u
#define ENTRY_LEN 4u

static struct slice table(void)
{
	return slice_of(image_symbols_start,
		(size_t)((uintptr_t)image_symbols_end - (uintptr_t)image_symbols_start));
}

/* The index of the last entry that begins at or before `offset`; count when there is none. */
static uint32_t entry_find(const uint8_t *entries, uint32_t count, uint64_t offset)
{
	uint32_t low = 0, high = count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (load_le32(entries + (size_t)middle * ENTRY_LEN) <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? low - 1 : count;
}

/* The name of that number: found by walking, which a panic has time for. False: it has no end. */
static bool name_find(struct slice names, uint32_t number, const char **name)
{
	for (;; number--) {
		size_t end = slice_index(names, 0);
		if (end == names.len)
			return false;
		if (number == 0)
			break;
		names = slice_sub(names, end + 1, names.len);
	}
	*name = (const char *)names.ptr;
	return true;
}

bool symbols_find(uint64_t address, const char **name, uint64_t *offset)
{
	struct slice t = table();
	if (address < (uintptr_t)image_text_start || address >= (uintptr_t)image_text_end)
		return false;
	if (t.len < HEADER_LEN || load_le32(t.ptr) != MAGIC)
		return false;
	uint32_t count = load_le32(t.ptr + 4);
	if (count > (t.len - HEADER_LEN) / ENTRY_LEN)
		return false;
	const uint8_t *entries = t.ptr + HEADER_LEN;
	struct slice names = slice_sub(t, HEADER_LEN + (size_t)count * ENTRY_LEN, t.len);
	uint64_t at = address - (uintptr_t)image_text_start;
	uint32_t i = entry_find(entries, count, at);
	if (i == count)
		return false;
	if (!name_find(names, i, name))
		return false;
	*offset = at - load_le32(entries + (size_t)i * ENTRY_LEN);
	return true;
}
