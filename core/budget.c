#include <core/budget.h>

#include <base/assert.h>

#define MIB ((size_t)1 << 20)
#define PAGE 4096u
/* Shares are in units of 1 / SHARE_ONE. */
#define SHARE_ONE 65536u

static size_t size_of(const struct budget_item *i)
{
	return pool_memory_size(i->item_size, 1);
}

static size_t alignment_of(const struct budget_item *i)
{
	return i->alignment > 16 ? i->alignment : 16;
}

/* a + b * c, at most SIZE_MAX. */
static size_t add_product(size_t a, size_t b, size_t c)
{
	size_t product, sum;
	if (__builtin_mul_overflow(b, c, &product) || __builtin_add_overflow(a, product, &sum))
		return SIZE_MAX;
	return sum;
}

static uint32_t limited(const struct budget_item *i, uint64_t count)
{
	uint32_t max = i->count_max ? i->count_max : UINT32_MAX;
	if (count > max)
		return max > i->count_min ? max : i->count_min;
	return count < i->count_min ? i->count_min : (uint32_t)count;
}

static uint32_t wanted(const struct budget_item *i, size_t memory_len)
{
	return limited(i, add_product(0, memory_len / 1024, i->count_per_mib) / 1024);
}

/* Each item may lose as much as its alignment where it begins. */
static size_t minimum(const struct budget_item *items, uint32_t item_count)
{
	size_t sum = 0;
	for (uint32_t n = 0; n < item_count; n++) {
		sum = add_product(sum, size_of(&items[n]), items[n].count_min);
		sum = add_product(sum, alignment_of(&items[n]), 1);
	}
	return sum;
}

/* What is wanted over the minimum, in bytes. */
static size_t surplus_wanted(
	const struct budget_item *items, uint32_t item_count, size_t memory_len)
{
	size_t sum = 0;
	for (uint32_t n = 0; n < item_count; n++)
		sum = add_product(sum, size_of(&items[n]),
			wanted(&items[n], memory_len) - items[n].count_min);
	return sum;
}

/* Which part of that there is, rounded down. */
static uint32_t share_of(size_t available, size_t surplus)
{
	if (available >= surplus)
		return SHARE_ONE;
	return (uint32_t)(available / (surplus / SHARE_ONE + 1));
}

static void count_items(
	const struct budget *b, struct budget_item *items, uint32_t item_count, size_t *rest)
{
	size_t available = b->memory_len - b->needed;
	uint32_t share = share_of(available, surplus_wanted(items, item_count, b->memory_len));
	for (uint32_t n = 0; n < item_count; n++) {
		struct budget_item *i = &items[n];
		uint64_t extra = wanted(i, b->memory_len) - i->count_min;
		i->count = i->count_min + (uint32_t)(extra * share / SHARE_ONE);
		available -= size_of(i) * (i->count - i->count_min);
	}
	*rest = available;
}

static void give_rest(struct budget_item *items, uint32_t item_count, size_t rest)
{
	for (uint32_t n = 0; n < item_count; n++) {
		struct budget_item *i = &items[n];
		if (!i->takes_rest)
			continue;
		uint32_t before = i->count;
		i->count = limited(i, i->count + (uint64_t)(rest / size_of(i)));
		rest -= size_of(i) * (i->count - before);
	}
}

static void place(struct budget *b, uint8_t *memory, struct budget_item *items, uint32_t item_count)
{
	size_t at = 0;
	for (uint32_t n = 0; n < item_count; n++) {
		struct budget_item *i = &items[n];
		size_t mask = alignment_of(i) - 1;
		at = (at + mask) & ~mask;
		i->memory = memory + at;
		at += size_of(i) * i->count;
		if (i->pool)
			pool_init(i->pool, i->memory, i->item_size, i->count);
	}
	ASSERT(at <= b->memory_len);
	b->used = at;
}

err budget_divide(struct budget *b, struct platform *platform, struct budget_item *items,
	uint32_t item_count)
{
	ASSERT((uintptr_t)platform->memory % PAGE == 0);
	*b = (struct budget){
		.memory_len = platform->memory_len,
		.memory_total = platform->memory_total,
		.needed = minimum(items, item_count),
	};
	if (b->needed > b->memory_len)
		return ERR(NO_MEMORY);
	size_t rest;
	count_items(b, items, item_count, &rest);
	give_rest(items, item_count, rest);
	place(b, platform->memory, items, item_count);
	return OK;
}

void budget_explain(const struct budget *b, struct writer *w)
{
	/* What the program itself and the machine's tables occupy comes on top. */
	size_t outside = b->memory_total > b->memory_len ? b->memory_total - b->memory_len : 0;
	write_bytes(w, SLICE("needs at least "));
	write_dec(w, add_product(add_product(b->needed, outside, 1), 1023, 1) / 1024);
	write_bytes(w, SLICE(" KiB of memory, the machine has "));
	write_dec(w, b->memory_total / 1024);
	write_bytes(w, SLICE(" KiB"));
}

void budget_write(const struct budget_item *items, uint32_t item_count, struct writer *w)
{
	for (uint32_t n = 0; n < item_count; n++) {
		const struct budget_item *i = &items[n];
		write_bytes(w, slice_from_cstr(i->name));
		write_bytes(w, SLICE(": "));
		write_dec(w, i->count);
		write_bytes(w, SLICE(", "));
		write_dec(w, (size_of(i) * i->count + 1023) / 1024);
		write_bytes(w, SLICE(" KiB\n"));
	}
}
