/* Which blocks are free, and taking them. docs/volume-format.md, "When a block may be reused".
 *
 *            take                 defer                      checkpoint begins
 *   free ----------> own --------------------> dead (new) ---------------------> dead (old)
 *     ^               | \                                                            |
 *     |    release    |  \ mapped, checkpoint done: the maps refer to it             | checkpoint done
 *     +---------------+   +--> in `base` --superseded--> not in the next space map   |
 *     ^                              no reader of a map with it: stale, refreshed |  |
 *     +---------------------------------------------------------------------------+--+
 *
 * Of the volume only *windows* are in memory, those from which blocks are taken: a number that does not
 * depend on the volume's size. `base` of a window is what the space maps show on the device: of the base, of the
 * checkpoint that is being made, and of those that readers still have. It may show more than that when some
 * of these are gone; then the window is stale, and read anew when blocks are needed. A window with taken blocks
 * stays; there are always some windows for the checkpoint's own blocks, which are in its map at once.
 *
 * Transactions are promised blocks that are free in windows, so that the journal need not wait. The lock
 * makes loading, and changing the map, one after the other; taking, releasing and deferring do not need it. */
#include "private.h"

void space_init(struct store *s, struct space_window *windows, uint32_t count, uint8_t *pages)
{
	struct space *sp = &s->space;
	sp->window = windows;
	sp->window_count = count;
	for (uint32_t i = 0; i < SPACE_PAGES; i++, pages += VOLUME_BLOCK_SIZE)
		sp->page[i].data = pages;
	sp->unavailable = (void *)pages;
	sp->scratch = (void *)(pages + VOLUME_BLOCK_SIZE);
	fiber_queue_init(&sp->unlocked);
	space_reset(s);
}

void space_reset(struct store *s)
{
	struct space *sp = &s->space;
	for (uint32_t i = 0; i < sp->window_count; i++) {
		sp->window[i].index = SPACE_NOWHERE;
		sp->window[i].free = sp->window[i].taken = 0;
		sp->window[i].stale = false;
	}
	sp->window_end = SPACE_NODE_WINDOWS;
	for (uint32_t i = 0; i < SPACE_PAGES; i++)
		sp->page[i].valid = sp->page[i].dirty = false;
	sp->next = sp->tree;
	sp->at = SPACE_NODE_WINDOWS;
	sp->edits = 0;
	sp->open = sp->taken = sp->moved = sp->dead_new = sp->dead_old = 0;
	sp->building = false;
}

void space_lock(struct store *s)
{
	while (s->space.locked)
		store_wait(s, &s->space.unlocked);
	s->space.locked = true;
}

void space_unlock(struct store *s)
{
	s->space.locked = false;
	(void)fiber_queue_wake_one(&s->space.unlocked);
}

/* --- Counts --- */

uint64_t space_free(const struct space *sp)
{
	uint64_t used = VOLUME_RESERVED_BLOCKS + sp->tree.used + sp->taken + sp->moved + sp->ages.held +
			sp->kept;
	return used < sp->blocks ? sp->blocks - used : 0;
}

uint64_t space_waiting(const struct space *sp)
{
	return sp->dead_new + sp->dead_old + sp->ages.held + sp->kept;
}

uint64_t space_available(const struct store *s)
{
	uint64_t open = space_free(&s->space);
	uint64_t taken = s->space.promised + checkpoint_reserve(s);
	return open > taken ? open - taken : 0;
}

bool space_has(const struct store *s, uint64_t blocks)
{
	uint64_t most = s->space.promised + checkpoint_reserve_most(s);
	return space_free(&s->space) >= most + blocks || space_available(s) >= blocks;
}

void space_set_stale(struct space *sp)
{
	sp->staled++;
	for (uint32_t i = 0; i < sp->window_end; i++)
		sp->window[i].stale = true;
}

void space_check_pressure(struct store *s)
{
	uint64_t dead = s->space.dead_new, least = s->space.blocks < 2048 ? s->space.blocks / 32 : 64;
	if (dead >= least && dead > space_available(s) / 4)
		checkpoint_want(s);
}

/* --- Windows --- */

static inline uint64_t free_bits(const struct space_window *w, uint32_t word)
{
	return ~(w->base[word] | w->own[word] | w->dead[word]);
}

static inline bool is_for_nodes(const struct space *sp, const struct space_window *w)
{
	return w < sp->window + SPACE_NODE_WINDOWS;
}

static struct space_window *find(struct space *sp, uint32_t block)
{
	uint32_t index = block / SPACE_WINDOW_BLOCKS;
	if (sp->window[sp->at].index == index)
		return &sp->window[sp->at];
	for (struct space_window *w = sp->window; w < sp->window + sp->window_end; w++)
		if (w->index == index)
			return w;
	return NULL;
}

static inline uint64_t *word_of(uint64_t *bits, uint32_t block)
{
	return &bits[block % SPACE_WINDOW_BLOCKS / 64];
}

static inline uint64_t bit_of(uint32_t block)
{
	return 1ull << block % 64;
}

static void count_free(struct space *sp, struct space_window *w, int32_t more)
{
	w->free += (uint32_t)more;
	if (!is_for_nodes(sp, w))
		sp->open += (uint64_t)(int64_t)more;
}

/* The first free bit from `from` on, or SPACE_WINDOW_BLOCKS. */
static uint32_t next_free(const struct space_window *w, uint32_t from)
{
	for (uint32_t b = from; b < SPACE_WINDOW_BLOCKS; b = (b / 64 + 1) * 64) {
		uint64_t open = free_bits(w, b / 64) >> b % 64;
		if (open)
			return b + (uint32_t)__builtin_ctzll(open);
	}
	return SPACE_WINDOW_BLOCKS;
}

static uint32_t next_used(const struct space_window *w, uint32_t from)
{
	for (uint32_t b = from; b < SPACE_WINDOW_BLOCKS; b = (b / 64 + 1) * 64) {
		uint64_t used = ~free_bits(w, b / 64) >> b % 64;
		if (used)
			return b + (uint32_t)__builtin_ctzll(used);
	}
	return SPACE_WINDOW_BLOCKS;
}

/* The window behind this one that has free blocks; behind the last comes the first. */
static uint32_t window_after(const struct space *sp, uint32_t at)
{
	uint32_t here = sp->window[at].index, next = at, first = at;
	for (uint32_t i = SPACE_NODE_WINDOWS; i < sp->window_end; i++) {
		const struct space_window *w = &sp->window[i];
		if (w->index == SPACE_NOWHERE || !w->free || i == at)
			continue;
		if (w->index > here && (next == at || w->index < sp->window[next].index))
			next = i;
		if (first == at || w->index < sp->window[first].index)
			first = i;
	}
	return next != at && here != SPACE_NOWHERE ? next : first;
}

/* The block at the cursor, which stands in the window `at`. */
static uint32_t window_take(struct space *sp, struct space_window *w, uint32_t from, bool own)
{
	uint32_t bit = next_free(w, from);
	if (bit == SPACE_WINDOW_BLOCKS)
		bit = next_free(w, 0);
	ASSERT(bit < SPACE_WINDOW_BLOCKS);
	if (own)
		w->own[bit / 64] |= bit_of(bit);
	else
		w->base[bit / 64] |= bit_of(bit);
	count_free(sp, w, -1);
	return w->index * SPACE_WINDOW_BLOCKS + bit;
}

uint32_t space_take(struct space *sp)
{
	if (!sp->open)
		return 0;
	struct space_window *w = &sp->window[sp->at];
	if (!w->free || next_free(w, sp->cursor) == SPACE_WINDOW_BLOCKS) {
		sp->at = window_after(sp, sp->at);
		sp->cursor = 0;
		w = &sp->window[sp->at];
	}
	uint32_t block = window_take(sp, w, sp->cursor, true);
	w->taken++;
	sp->taken++;
	sp->cursor = block % SPACE_WINDOW_BLOCKS + 1;
	return block;
}

void space_go(struct space *sp, uint64_t block)
{
	for (uint32_t i = sp->at, next = SPACE_NODE_WINDOWS; i < sp->window_end; i = next++)
		if (sp->window[i].index == block / SPACE_WINDOW_BLOCKS) {
			sp->at = i;
			sp->cursor = block % SPACE_WINDOW_BLOCKS;
			return;
		}
}

void space_rewind(struct space *sp)
{
	for (uint32_t i = SPACE_NODE_WINDOWS; i < sp->window_end; i++)
		if (sp->window[i].free && sp->window[i].index < sp->window[sp->at].index)
			sp->at = i;
	sp->cursor = 0;
}

static bool seek_in(struct space *sp, uint32_t at, uint32_t from, uint32_t blocks)
{
	const struct space_window *w = &sp->window[at];
	while (w->free >= blocks && from < SPACE_WINDOW_BLOCKS) {
		uint32_t start = next_free(w, from);
		from = next_used(w, start);
		if (from - start >= blocks && start < SPACE_WINDOW_BLOCKS) {
			sp->at = at;
			sp->cursor = start;
			return true;
		}
	}
	return false;
}

bool space_is_run(const struct space *sp, uint32_t blocks)
{
	const struct space_window *w = &sp->window[sp->at];
	return next_free(w, sp->cursor) == sp->cursor && next_used(w, sp->cursor) - sp->cursor >= blocks;
}

void space_seek(struct space *sp, uint32_t blocks)
{
	uint32_t at = sp->at;
	if (seek_in(sp, at, sp->cursor, blocks))
		return;
	for (uint32_t i = SPACE_NODE_WINDOWS; i < sp->window_end; i++) {
		at = window_after(sp, at);
		if (seek_in(sp, at, 0, blocks) || at == sp->at)
			return;
	}
}

static struct space_window *find_own(struct space *sp, uint32_t block)
{
	struct space_window *w = find(sp, block);
	ASSERT(w && *word_of(w->own, block) & ~*word_of(w->dead, block) & bit_of(block));
	return w;
}

void space_release(struct space *sp, uint32_t block)
{
	if (sp->recovering)
		return;
	struct space_window *w = find_own(sp, block);
	*word_of(w->own, block) &= ~bit_of(block);
	w->taken--;
	sp->taken--;
	count_free(sp, w, 1);
}

void space_defer(struct space *sp, uint32_t block, bool old)
{
	if (sp->recovering)
		return;
	struct space_window *w = find_own(sp, block);
	*word_of(w->dead, block) |= bit_of(block);
	if (old) {
		sp->dead_old++;
		return;
	}
	*word_of(w->own, block) &= ~bit_of(block);
	sp->dead_new++;
}

/* --- Loading --- */

static void set_bits(uint64_t *bits, uint64_t from, uint64_t to)
{
	for (uint64_t b = from; b < to; b++)
		bits[b / 64] |= bit_of((uint32_t)b);
}

static void merge_bits(struct space *sp)
{
	for (uint32_t i = 0; i < VOLUME_GROUP_BLOCKS / 64; i++)
		sp->unavailable[i] |= sp->scratch[i];
}

/* What the maps show that readers began with. One that ends meanwhile does not matter any more. */
static err add_readers(struct store *s, uint32_t group)
{
	struct space *sp = &s->space;
	struct store_snapshot at;
	for (uint64_t from = 0; store_reader_of(s, from, &at) && at.space_sequence < sp->sequence;) {
		from = at.space_sequence + 1;
		struct space_tree t = {.root = {at.space_block, at.space_generation, at.space_checksum},
			.levels = at.space_levels, .used = UINT64_MAX};
		struct store_snapshot again;
		sp->quiet = true; /* until it is sure that it matters */
		err e = t.root.block ? space_map_read(s, &t, false, group, sp->scratch) : OK;
		sp->quiet = false;
		if (failed(e) && store_reader_of(s, from - 1, &again) &&
			again.space_sequence == from - 1) {
			store_log(s, LOG_ERROR, "%s: space map of generation %lu, which is being read: %s",
				s->device->name, (unsigned long)again.base_generation, err_text(e));
			sp->damaged |= e.code == ERR_CORRUPT;
			return e;
		}
		if (!failed(e) && t.root.block)
			merge_bits(sp);
	}
	return OK;
}

static void add_kept(struct store *s, uint32_t group)
{
	for (const struct list *e = s->deltas.retained.next; e != &s->deltas.retained; e = e->next) {
		const struct delta *d = LIST_ENTRY(e, const struct delta, link);
		if (d->unmapped && d->block / VOLUME_GROUP_BLOCKS == group)
			s->space.unavailable[d->block % VOLUME_GROUP_BLOCKS / 64] |= bit_of(d->block);
	}
}

/* A block that is about to be shown as used. */
static void add_edit(struct space *sp, uint32_t group, const struct space_edit *edit)
{
	if (edit->used && edit->block && edit->block / VOLUME_GROUP_BLOCKS == group)
		sp->unavailable[edit->block % VOLUME_GROUP_BLOCKS / 64] |= bit_of(edit->block);
}

/* sp->unavailable: all of the group that may not be taken. */
static err load_group(struct store *s, uint32_t group)
{
	struct space *sp = &s->space;
	uint64_t start = (uint64_t)group * VOLUME_GROUP_BLOCKS;
	sp->loaded_at = sp->staled;
	memset(sp->unavailable, 0, VOLUME_BLOCK_SIZE);
	if (sp->walk) {
		TRY(space_walk_group(s, group, sp->unavailable));
	} else {
		TRY(space_map_read(s, &sp->tree, !sp->building, group, sp->scratch));
		merge_bits(sp);
		TRY(add_readers(s, group));
		add_kept(s, group);
	}
	if (sp->building && !sp->walk) {
		TRY(space_map_read(s, &sp->next, true, group, sp->scratch));
		merge_bits(sp);
	}
	if (sp->recovering)
		TRY(recovery_chain_group(s, group, sp->unavailable));
	add_edit(sp, group, &sp->applying);
	for (uint32_t i = 0; i < sp->edits; i++)
		add_edit(sp, group, &sp->edit[i]);
	if (!group)
		set_bits(sp->unavailable, 0, VOLUME_RESERVED_BLOCKS);
	if (start + VOLUME_GROUP_BLOCKS > sp->blocks)
		set_bits(sp->unavailable, sp->blocks - start, VOLUME_GROUP_BLOCKS);
	return OK;
}

static const uint64_t *part_of(const struct space *sp, uint32_t index)
{
	return sp->unavailable + index % SPACE_GROUP_WINDOWS * SPACE_WINDOW_WORDS;
}

static uint32_t count_part(const struct space *sp, uint32_t index)
{
	uint32_t used = 0;
	for (uint32_t i = 0; i < SPACE_WINDOW_WORDS; i++)
		used += (uint32_t)__builtin_popcountll(part_of(sp, index)[i]);
	return SPACE_WINDOW_BLOCKS - used;
}

/* The window, which is this part's already or nobody's, gets what has been loaded. */
static void fill(struct space *sp, struct space_window *w, uint32_t index)
{
	uint32_t open = 0;
	if (w->index == SPACE_NOWHERE) {
		memset(w->own, 0, sizeof w->own);
		memset(w->dead, 0, sizeof w->dead);
	}
	if (w >= sp->window + sp->window_end)
		sp->window_end = (uint32_t)(w - sp->window) + 1;
	w->index = index;
	w->stale = sp->staled != sp->loaded_at;
	memcpy(w->base, part_of(sp, index), sizeof w->base);
	for (uint32_t i = 0; i < SPACE_WINDOW_WORDS; i++)
		open += (uint32_t)__builtin_popcountll(free_bits(w, i));
	count_free(sp, w, (int32_t)(open - w->free));
}

static void drop(struct space *sp, struct space_window *w)
{
	count_free(sp, w, -(int32_t)w->free);
	w->taken = 0;
	w->index = SPACE_NOWHERE;
}

/* A window for a part with so many free blocks; NULL: all have more or are needed. */
static struct space_window *choose(struct space *sp, bool nodes, uint32_t open)
{
	struct space_window *best = NULL;
	uint32_t from = nodes ? 0 : SPACE_NODE_WINDOWS;
	uint32_t to = nodes && !sp->recovering ? SPACE_NODE_WINDOWS : sp->window_count;
	for (struct space_window *w = sp->window + from; w < sp->window + to; w++) {
		if (w->index == SPACE_NOWHERE)
			return w;
		bool kept = w->taken && !(sp->recovering && !sp->walk);
		bool promised = !is_for_nodes(sp, w) && sp->open - w->free < sp->promised;
		if (!kept && !promised && w->free <= open / 2 && (!best || w->free < best->free))
			best = w;
	}
	/* The checkpoint's own can always be read again, wherever they are. */
	if (!best && nodes)
		best = &sp->window[sp->window[0].free > sp->window[1].free];
	if (best && best->taken && sp->recovering && sp->walk)
		return NULL;
	if (best)
		drop(sp, best);
	return best;
}

static struct space_window *find_index(struct space *sp, uint32_t index)
{
	return find(sp, index * SPACE_WINDOW_BLOCKS);
}

static uint32_t windows_of(const struct space *sp)
{
	return (sp->blocks + SPACE_WINDOW_BLOCKS - 1) / SPACE_WINDOW_BLOCKS;
}

/* Loads or refreshes the group's windows, as long as there is room for them. */
static err load_windows(struct store *s, uint32_t group, bool nodes)
{
	struct space *sp = &s->space;
	uint32_t first = group * SPACE_GROUP_WINDOWS, end = first + SPACE_GROUP_WINDOWS;
	if (end > windows_of(sp))
		end = windows_of(sp);
	TRY(load_group(s, group));
	bool enough = false;
	for (uint32_t i = first; i < end; i++) {
		struct space_window *w = find_index(sp, i);
		uint32_t open = count_part(sp, i);
		if (w && (nodes || !is_for_nodes(sp, w))) {
			fill(sp, w, i);
			continue;
		}
		struct space_window *to = open && !enough ? choose(sp, nodes, open) : NULL;
		if (to && w) /* it was the checkpoint's; all that it has taken is in its map */
			drop(sp, w);
		if (to)
			fill(sp, to, i);
		enough |= to && nodes;
	}
	return OK;
}

/* Refreshing it, or loading more of it, could help. */
static bool is_worth_loading(struct space *sp, uint32_t group, bool nodes)
{
	uint32_t first = group * SPACE_GROUP_WINDOWS, end = first + SPACE_GROUP_WINDOWS;
	for (uint32_t i = first; i < end && i < windows_of(sp); i++) {
		const struct space_window *w = find_index(sp, i);
		if (!w || w->stale || (is_for_nodes(sp, w) && !nodes))
			return true;
	}
	return false;
}

static uint64_t open_to(const struct space *sp, bool nodes)
{
	uint64_t surplus = sp->open > sp->promised ? sp->open - sp->promised : 0;
	return nodes ? surplus + sp->window[0].free + sp->window[1].free : sp->open;
}

/* Goes on through the groups until `wanted` blocks can be taken, or all have been seen. */
static err load_more(struct store *s, bool nodes, uint64_t wanted)
{
	struct space *sp = &s->space;
	uint32_t *search = nodes ? &sp->node_search : &sp->search;
	for (uint32_t i = 0; i < sp->window_count && open_to(sp, nodes) < wanted; i++)
		if (sp->window[i].index != SPACE_NOWHERE && sp->window[i].stale)
			TRY(load_windows(s, sp->window[i].index / SPACE_GROUP_WINDOWS, nodes));
	uint32_t groups = space_groups(sp->blocks);
	for (uint32_t seen = 0; seen <= groups && open_to(sp, nodes) < wanted;) {
		uint32_t group, from = *search < groups ? *search : 0;
		TRY(space_map_find(s, from, &group));
		if (group >= groups) {
			seen += groups - from;
			*search = 0;
			continue;
		}
		seen += group - from + 1;
		if (is_worth_loading(sp, group, nodes))
			TRY(load_windows(s, group, nodes));
		if (open_to(sp, nodes) < wanted || !is_worth_loading(sp, group, nodes))
			*search = group + 1;
	}
	return OK;
}

err space_ensure(struct store *s, uint64_t blocks)
{
	struct space *sp = &s->space;
	if (LIKELY(sp->open >= sp->promised + blocks))
		return OK;
	space_lock(s);
	err e = load_more(s, false, sp->promised + blocks);
	space_unlock(s);
	if (failed(e) && e.code == ERR_CORRUPT) {
		sp->damaged = true;
		checkpoint_want(s); /* which says so */
	}
	if (failed(e))
		return ERR(IO);
	return sp->open >= sp->promised + blocks ? OK : ERR(NO_SPACE);
}

/* --- The checkpoint's blocks --- */

static bool take_node_from(struct space *sp, struct space_window *w, uint32_t from, uint32_t *block)
{
	if (!w->free || (!is_for_nodes(sp, w) && sp->open <= sp->promised))
		return false;
	*block = window_take(sp, w, from, sp->recovering);
	w->taken += sp->recovering;
	sp->moved++;
	return true;
}

static bool take_node_in(struct space *sp, uint32_t group, uint32_t *block)
{
	for (uint32_t i = 0; i < sp->window_end; i++) {
		struct space_window *w = &sp->window[i];
		if (w->index != SPACE_NOWHERE && w->index / SPACE_GROUP_WINDOWS == group &&
			take_node_from(sp, w, 0, block))
			return true;
	}
	return false;
}

static bool take_node(struct space *sp, uint32_t *block)
{
	struct space_window *at = &sp->window[sp->at];
	if (take_node_from(sp, at, sp->cursor < SPACE_WINDOW_BLOCKS ? sp->cursor : 0, block))
		return true;
	for (uint32_t i = 0; i < sp->window_end; i++)
		if (sp->window[i].index != SPACE_NOWHERE &&
			take_node_from(sp, &sp->window[i], 0, block))
			return true;
	return false;
}

err space_take_near(struct store *s, uint32_t group, uint32_t *block)
{
	struct space *sp = &s->space;
	if (group != SPACE_NOWHERE) {
		if (take_node_in(sp, group, block))
			return OK;
		if (is_worth_loading(sp, group, true))
			TRY(load_windows(s, group, true));
		if (take_node_in(sp, group, block))
			return OK;
	}
	if (!take_node(sp, block))
		TRY(load_more(s, true, 1));
	else
		return OK;
	return take_node(sp, block) ? OK : ERR(NO_SPACE);
}

static err node_take(struct store *s, uint32_t *block)
{
	TRY(space_take_near(s, SPACE_NOWHERE, block));
	return s->space.walk ? OK : space_map_edit(s, *block, true);
}

err space_node_take(struct store *s, uint32_t *block)
{
	space_lock(s);
	err e = node_take(s, block);
	space_unlock(s);
	return e;
}

err space_mapped(struct store *s, uint32_t block)
{
	struct space *sp = &s->space;
	space_lock(s);
	err e = sp->walk ? OK : space_map_edit(s, block, true);
	space_unlock(s);
	return e;
}

void space_mapped_done(struct space *sp, uint32_t block)
{
	struct space_window *w = find_own(sp, block);
	*word_of(w->own, block) &= ~bit_of(block);
	*word_of(w->base, block) |= bit_of(block);
	w->taken--;
	sp->taken--;
}

/* Recovery may merge several times before its superblock. Nothing durable has ever referred to a node of its
 * own, so that is free at once: all of its merges together take no more blocks than one would. */
static void release_recovered(struct space *sp, uint32_t block)
{
	struct space_window *w = find(sp, block);
	if (!w || !(*word_of(w->own, block) & bit_of(block)))
		return;
	*word_of(w->own, block) &= ~bit_of(block);
	*word_of(w->base, block) &= ~bit_of(block); /* of the map that is being made, if the window was read again since */
	w->taken--;
	count_free(sp, w, 1);
}

void space_count_superseded(struct store *s, uint32_t birth)
{
	struct space *sp = &s->space;
	bool now = birth == sp->generation && birth != (uint32_t)s->base;
	if (!sp->recovering && !now) /* else no reader has seen it */
		space_ages_superseded(&sp->ages, s->base, birth);
}

err space_superseded(struct store *s, const struct volume_entry *e)
{
	struct space *sp = &s->space;
	discard_note(s, e->block);
	space_lock(s);
	err result = sp->walk ? OK : space_map_edit(s, e->block, false);
	if (sp->recovering)
		release_recovered(sp, e->block);
	space_count_superseded(s, e->generation);
	space_unlock(s);
	return result;
}

/* The first free ones among `most` from `from` on that stand together in this window's part. */
static err find_run(struct store *s, uint32_t from, uint32_t most, uint32_t *start, uint32_t *count)
{
	struct space *sp = &s->space;
	uint32_t part = from / SPACE_WINDOW_BLOCKS, left = SPACE_WINDOW_BLOCKS - from % SPACE_WINDOW_BLOCKS;
	uint32_t end = from + (left < most ? left : most);
	*start = end;
	*count = 0;
	TRY(load_group(s, from / VOLUME_GROUP_BLOCKS));
	/* Nothing below parks. Blocks that are taken are in no map. */
	struct space_window *w = find(sp, from);
	for (uint32_t b = from; b < end; b++) {
		bool open = !(*word_of(sp->unavailable + part % SPACE_GROUP_WINDOWS * SPACE_WINDOW_WORDS, b) &
			bit_of(b)) && (!w || !((*word_of(w->own, b) | *word_of(w->dead, b)) & bit_of(b)));
		if (!open && *count)
			break;
		*start = open && !*count ? b : *start;
		*count += open;
	}
	return OK;
}

err space_hide(struct store *s, uint32_t from, uint32_t most, uint32_t *start, uint32_t *count)
{
	struct space *sp = &s->space;
	uint32_t end = from + most;
	for (*start = from, *count = 0; *start < end && !*count;)
		TRY(find_run(s, *start, end - *start, start, count));
	struct space_window *w = *count ? find(sp, *start) : NULL;
	for (uint32_t b = *start; w && b < *start + *count; b++) {
		if (!(free_bits(w, b % SPACE_WINDOW_BLOCKS / 64) & bit_of(b)))
			continue;
		if (!is_for_nodes(sp, w) && sp->open <= sp->promised) { /* these are promised */
			*count = b - *start;
			break;
		}
		*word_of(w->base, b) |= bit_of(b);
		count_free(sp, w, -1);
	}
	if (w)
		w->stale = true; /* so they are free again when it is read again, which the lock delays */
	return OK;
}

err space_take_this(struct store *s, uint32_t block)
{
	struct space *sp = &s->space;
	space_lock(s);
	err e = load_windows(s, block / VOLUME_GROUP_BLOCKS, false);
	space_unlock(s);
	struct space_window *w = find(sp, block);
	if (failed(e) || !w || !(free_bits(w, block % SPACE_WINDOW_BLOCKS / 64) & bit_of(block)))
		return ERR(CORRUPT);
	*word_of(w->own, block) |= bit_of(block);
	w->taken++;
	sp->taken++;
	count_free(sp, w, -1);
	return OK;
}

void space_checkpoint_begin(struct space *sp)
{
	for (struct space_window *w = sp->window; w < sp->window + sp->window_end; w++)
		for (uint32_t j = 0; w->taken && j < SPACE_WINDOW_WORDS; j++)
			w->own[j] |= w->dead[j];
	sp->dead_old += sp->dead_new;
	sp->dead_new = 0;
}

static void free_dead(struct space *sp, struct space_window *w)
{
	uint32_t freed = 0;
	for (uint32_t i = 0; i < SPACE_WINDOW_WORDS; i++) {
		uint64_t old = w->own[i] & w->dead[i];
		w->own[i] &= ~old;
		w->dead[i] &= ~old;
		freed += (uint32_t)__builtin_popcountll(old);
	}
	w->taken -= freed;
	sp->taken -= freed;
	count_free(sp, w, (int32_t)freed);
}

void space_checkpoint_done(struct store *s)
{
	struct space *sp = &s->space;
	bool recovered = sp->recovering;
	space_ages_switch(&sp->ages, sp->sequence, s->base,
		store_oldest_base(s, sp->sequence) == sp->sequence);
	sp->sequence++;
	sp->tree = sp->next;
	sp->blocks = sp->blocks_next;
	sp->moved = 0;
	sp->record_unmapped = false;
	sp->building = sp->walk = sp->recovering = sp->distrusted = false;
	for (struct space_window *w = sp->window; w < sp->window + sp->window_end; w++) {
		if (w->index == SPACE_NOWHERE)
			continue;
		if (recovered)
			drop(sp, w);
		else if (w->taken)
			free_dead(sp, w);
		w->stale = true;
	}
	sp->dead_old = 0;
	sp->taken = recovered ? 0 : sp->taken;
	space_collect(s);
}

void space_checkpoint_abandon(struct store *s)
{
	struct space *sp = &s->space;
	space_lock(s);
	for (uint32_t i = 0; i < SPACE_PAGES; i++)
		sp->page[i].valid = sp->page[i].dirty = false;
	sp->next = sp->tree;
	sp->building = false;
	sp->moved = 0; /* free again when the windows are read anew */
	memset(sp->ages.pending, 0, sizeof sp->ages.pending);
	space_set_stale(sp);
	space_unlock(s);
}

void space_collect(struct store *s)
{
	struct space *sp = &s->space;
	for (uint32_t i = sp->ages.count; i-- > 0;) {
		if (store_oldest_base(s, sp->ages.from[i]) <= sp->ages.to[i])
			continue;
		space_ages_remove(&sp->ages, i);
		space_set_stale(sp);
	}
}
