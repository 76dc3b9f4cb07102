/* Which blocks are used. Five bits for each block of the volume:
 *
 *            take                  defer              checkpoint begins
 *   free ----------> USED ---------------------> NEW -------------------> MERGING
 *     ^                |  (superseded by a            (the checkpoint's own frees join) |
 *     |                |   durable generation)                                          | it is durable
 *     |  release       |                        no older snapshot                       v
 *     +----------------+<---------------------------------------------------------- WAITING
 *
 * (USED stays set through all of them.) When the waiting set is not empty yet as the next checkpoint
 * is done, what that would add goes back to NEW and waits for the one after it; except for what is too young
 * for the reader that holds the waiting set (free_young): so a long reader holds about what it can see, and
 * not all that is written in its time. */
#include "private.h"

static inline bool test(const struct space *sp, enum space_set set, uint32_t block)
{
	return sp->bits[set][block / 64] >> block % 64 & 1;
}

bool space_mark(struct space *sp, uint32_t block)
{
	if (block < VOLUME_RESERVED_BLOCKS || block >= sp->blocks || test(sp, SPACE_USED, block))
		return false;
	sp->bits[SPACE_USED][block / 64] |= 1ull << block % 64;
	sp->count[SPACE_USED]++;
	return true;
}

uint64_t space_free(const struct space *sp)
{
	return sp->blocks - VOLUME_RESERVED_BLOCKS - sp->count[SPACE_USED];
}

/* The first free block in from .. to - 1, or `to`. */
static uint32_t find_free(const struct space *sp, uint32_t from, uint32_t to)
{
	for (uint32_t b = from; b < to; b = (b / 64 + 1) * 64) {
		uint64_t open = ~sp->bits[SPACE_USED][b / 64] >> b % 64;
		if (open) {
			b += (uint32_t)__builtin_ctzll(open);
			return b < to ? b : to;
		}
	}
	return to;
}

uint32_t space_take(struct space *sp)
{
	uint32_t b = find_free(sp, sp->cursor, sp->blocks);
	if (b == sp->blocks) {
		b = find_free(sp, VOLUME_RESERVED_BLOCKS, sp->cursor);
		if (b == sp->cursor)
			return 0;
	}
	(void)space_mark(sp, b);
	sp->bits[SPACE_YOUNG][b / 64] |= 1ull << b % 64;
	sp->cursor = b + 1 < sp->blocks ? b + 1 : VOLUME_RESERVED_BLOCKS;
	return b;
}

void space_go(struct space *sp, uint64_t block)
{
	sp->cursor = block < sp->blocks ? (uint32_t)block : VOLUME_RESERVED_BLOCKS;
}

void space_seek(struct space *sp, uint32_t blocks)
{
	uint32_t at = sp->cursor;
	for (unsigned tries = 0; tries < 64; tries++) {
		uint32_t start = find_free(sp, at, sp->blocks), end = start;
		while (end < sp->blocks && end - start < blocks && !test(sp, SPACE_USED, end))
			end++;
		if (end - start >= blocks) {
			sp->cursor = start;
			return;
		}
		at = end < sp->blocks ? end : VOLUME_RESERVED_BLOCKS;
	}
}

void space_release(struct space *sp, uint32_t block)
{
	ASSERT(test(sp, SPACE_USED, block));
	sp->bits[SPACE_USED][block / 64] &= ~(1ull << block % 64);
	sp->bits[SPACE_YOUNG][block / 64] &= ~(1ull << block % 64);
	sp->count[SPACE_USED]--;
}

void space_defer(struct space *sp, enum space_set set, uint32_t block)
{
	ASSERT(test(sp, SPACE_USED, block) && !test(sp, SPACE_NEW, block) &&
	       !test(sp, SPACE_MERGING, block) && !test(sp, SPACE_WAITING, block));
	sp->bits[set][block / 64] |= 1ull << block % 64;
	sp->count[set]++;
}

void space_node_written(struct space *sp, uint32_t block)
{
	if (sp->rebuilding)
		sp->bits[SPACE_REBUILT][block / 64] |= 1ull << block % 64;
}

void space_node_superseded(struct space *sp, uint32_t block)
{
	if (!sp->rebuilding || !test(sp, SPACE_REBUILT, block)) {
		space_defer(sp, SPACE_MERGING, block);
		return;
	}
	sp->bits[SPACE_REBUILT][block / 64] &= ~(1ull << block % 64);
	space_release(sp, block);
}

void space_rebuild_done(struct space *sp)
{
	memset(sp->bits[SPACE_REBUILT], 0, sp->words * sizeof(uint64_t));
	sp->rebuilding = false;
}

/* All of `from` goes to `to`. */
static void move(struct space *sp, enum space_set from, enum space_set to)
{
	if (!sp->count[from])
		return;
	if (!sp->count[to]) {
		uint64_t *bits = sp->bits[from];
		sp->bits[from] = sp->bits[to];
		sp->bits[to] = bits;
	} else {
		for (uint32_t i = 0; i < sp->words; i++) {
			sp->bits[to][i] |= sp->bits[from][i];
			sp->bits[from][i] = 0;
		}
	}
	sp->count[to] += sp->count[from];
	sp->count[from] = 0;
}

void space_checkpoint_begin(struct space *sp)
{
	move(sp, SPACE_NEW, SPACE_MERGING);
	sp->held = 0;
}

/* Only what an old reader may see shall wait for it: a block that was taken since its base is in none of its
 * maps. It may see it through the delta, which says so. Readers of bases between have maps of their own: then
 * all waits. */
static void free_young(struct store *s, uint64_t generation)
{
	struct space *sp = &s->space;
	if (store_oldest_base(s, sp->young_since + 1) < generation)
		return;
	for (const struct list *e = s->deltas.retained.next; e != &s->deltas.retained; e = e->next) {
		uint32_t b = LIST_ENTRY(e, const struct delta, link)->block;
		sp->bits[SPACE_YOUNG][b / 64] &= ~(1ull << b % 64);
	}
	for (uint32_t i = 0; i < sp->words; i++) {
		uint64_t open = sp->bits[SPACE_MERGING][i] & sp->bits[SPACE_YOUNG][i];
		uint32_t n = (uint32_t)__builtin_popcountll(open);
		sp->bits[SPACE_MERGING][i] &= ~open;
		sp->bits[SPACE_YOUNG][i] &= ~open;
		sp->bits[SPACE_USED][i] &= ~open;
		sp->count[SPACE_MERGING] -= n;
		sp->count[SPACE_USED] -= n;
	}
}

void space_checkpoint_done(struct store *s, uint64_t generation)
{
	struct space *sp = &s->space;
	free_young(s, generation);
	if (sp->count[SPACE_WAITING]) {
		move(sp, SPACE_MERGING, SPACE_NEW);
		sp->held = sp->count[SPACE_NEW];
		return;
	}
	move(sp, SPACE_MERGING, SPACE_WAITING);
	sp->waiting_for = generation;
}

void space_collect(struct store *s)
{
	struct space *sp = &s->space;
	bool nothing = !sp->count[SPACE_WAITING] && sp->young_since == s->base;
	if (nothing || store_oldest_base(s, 0) < sp->waiting_for)
		return;
	for (uint32_t i = 0; i < sp->words; i++) {
		sp->bits[SPACE_USED][i] &= ~sp->bits[SPACE_WAITING][i];
		sp->bits[SPACE_WAITING][i] = sp->bits[SPACE_YOUNG][i] = 0;
	}
	sp->young_since = s->base;
	sp->held = 0;
	sp->count[SPACE_USED] -= sp->count[SPACE_WAITING];
	sp->count[SPACE_WAITING] = 0;
}

uint64_t space_available(const struct store *s)
{
	uint64_t open = space_free(&s->space);
	uint64_t taken = s->space.promised + checkpoint_reserve(s);
	return open > taken ? open - taken : 0;
}

void space_check_pressure(struct store *s)
{
	uint32_t fresh = s->space.count[SPACE_NEW] - s->space.held;
	if (fresh >= 64 && fresh > space_available(s) / 4)
		checkpoint_want(s);
}
