/* The memory budget: at start all memory is divided into pools, once, by a table that says what
 * each needs and what it wants. The same memory and the same table always give the same division.
 *
 *	struct budget_item items[] = {
 *		{.name = "connections", .pool = &conns, .item_size = sizeof(struct conn),
 *			.count_min = 16, .count_per_mib = 64, .count_max = 65536},
 *		{.name = "fiber stacks", .item_size = loop_memory_size(1, 16384), .alignment = 4096,
 *			.count_min = 4, .count_per_mib = 2, .count_max = 1024},
 *		{.name = "pages", .pool = &pages, .item_size = 4096, .alignment = 4096,
 *			.count_min = 64, .takes_rest = true},
 *	};
 *	struct budget budget;
 *	if (failed(budget_divide(&budget, platform, items, ARRAY_LEN(items)))) {
 *		budget_explain(&budget, &writer); // "needs at least 2304 KiB of memory, ..."
 *	}
 *	loop_init(&loop, platform, items[1].memory, items[1].count, 16384); */
#ifndef CORE_BUDGET_H
#define CORE_BUDGET_H

#include <base/cursor.h>
#include <base/pool.h>
#include <platform/platform.h>

struct budget_item {
	const char *name;       /* for messages and metrics; static */
	struct pool *pool;      /* initialised when not NULL; the caller's */
	size_t item_size;       /* bytes, > 0; rounded up to 16 */
	size_t alignment;       /* of the first item: a power of two up to 4096; 0 means 16 */
	uint32_t count_min;     /* without these the program cannot run */
	uint32_t count_per_mib; /* wanted for each MiB of memory; at least count_min */
	uint32_t count_max;     /* 0: no limit */
	bool takes_rest;        /* gets what all others leave, up to count_max */
	/* Results. */
	uint32_t count;
	uint8_t *memory; /* count items, zeroed as the platform gave it */
};

struct budget {
	size_t memory_len;   /* what was to be divided */
	size_t memory_total; /* what the machine has */
	size_t needed;       /* for the minimum of all items, with alignment */
	size_t used;         /* after the division */
};

API_BEGIN

/* Divides platform->memory. When it does not hold everything that is wanted, all shrink towards
 * their minima in the same proportion. ERR_NO_MEMORY when the minima do not fit; then nothing is
 * initialised and budget_explain has the numbers. */
MUST_USE err budget_divide(struct budget *b, struct platform *platform, struct budget_item *items,
	uint32_t item_count);
/* One sentence for the console: "needs at least N KiB of memory, the machine has M KiB". */
void budget_explain(const struct budget *b, struct writer *w);
/* One line for each item: its name, count and KiB. */
void budget_write(const struct budget_item *items, uint32_t item_count, struct writer *w);

API_END

#endif
