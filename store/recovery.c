/* What lies on the device when it is opened: blank, foreign, or a volume to recover.
 * docs/volume-format.md, "Opening", whose steps the functions here are, in that order. Nothing read is
 * believed: each field that becomes an index is checked first. */
#include "private.h"

enum slot_state {
	SLOT_NONE,
	SLOT_DAMAGED,
	SLOT_DAMAGED_NEWER, /* perhaps a newer version has another checksum */
	SLOT_NEWER,
	SLOT_SHRUNK, /* larger than the device */
	SLOT_VALID,
};

static bool is_zero(const uint64_t *block)
{
	uint64_t any = 0;
	for (size_t i = 0; i < VOLUME_BLOCK_SIZE / sizeof *block; i += 4)
		any |= block[i] | block[i + 1] | block[i + 2] | block[i + 3];
	return any == 0;
}

static bool checksum_holds(uint64_t seed, void *block, uint64_t *field)
{
	uint64_t stored = *field;
	*field = 0;
	uint64_t actual = volume_checksum(seed, block, VOLUME_BLOCK_SIZE);
	*field = stored;
	return actual == stored;
}

static enum slot_state judge_slot(struct store *s, struct volume_superblock *b)
{
	if (b->magic != VOLUME_MAGIC)
		return SLOT_NONE;
	if (!checksum_holds(VOLUME_MAGIC, b, &b->checksum))
		return b->version > VOLUME_VERSION ? SLOT_DAMAGED_NEWER : SLOT_DAMAGED;
	if (b->version > VOLUME_VERSION || (b->features_incompatible & ~VOLUME_FEATURES_INCOMPATIBLE))
		return SLOT_NEWER;
	if (b->blocks > s->space.blocks_next)
		return SLOT_SHRUNK;
	if (b->version != VOLUME_VERSION || b->generation >= UINT64_MAX / 2 ||
		!map_block_is_sane(s, b->record_block) || b->blocks < VOLUME_BLOCKS_MIN ||
		b->object_count > VOLUME_OBJECTS_MAX ||
		b->sequence >= UINT64_MAX / 2)
		return SLOT_DAMAGED;
	return table_is_sane(s, b) ? SLOT_VALID : SLOT_DAMAGED;
}

bool recovery_slot_is_sound(struct store *s, struct volume_superblock *b)
{
	return judge_slot(s, b) == SLOT_VALID && !memcmp(b->uuid, s->uuid, sizeof s->uuid);
}

/* --- Format --- */

static err write_first_slots(struct store *s, struct volume_superblock *b)
{
	b->checksum = volume_checksum(VOLUME_MAGIC, b, VOLUME_BLOCK_SIZE);
	TRY(io_write_block(s, VOLUME_SLOT_BLOCK(0), b));
	TRY(io_flush(s));
	TRY(io_write_block(s, VOLUME_SLOT_BLOCK(1), b));
	return io_flush(s);
}

static err format(struct store *s)
{
	struct volume_superblock *b = s->checkpoint.superblock;
	if (s->device->read_only)
		return ERR(DENIED);
	memset(b, 0, sizeof *b);
	random_bytes(s->config.random, s->uuid, sizeof s->uuid);
	b->magic = VOLUME_MAGIC;
	b->version = VOLUME_VERSION;
	b->header_size = 512;
	memcpy(b->uuid, s->uuid, sizeof b->uuid);
	b->nonce = random_u64(s->config.random);
	b->sequence = 1;
	b->blocks = s->space.blocks_next;
	b->record = 1;
	b->record_block = VOLUME_RESERVED_BLOCKS;
	b->record_block_after = VOLUME_RESERVED_BLOCKS + 4;
	TRY(write_first_slots(s, b));
	store_log(s, LOG_INFO, "%s: blank, formatted as a volume of %u MiB", s->device->name,
		s->space.blocks_next / 256);
	return OK;
}

/* The first blocks, a few at once, and the last one. */
static err device_is_blank(struct store *s, bool *blank)
{
	struct io_wait w;
	*blank = true;
	for (uint32_t i = 0, count; i <= VOLUME_BLANK_BLOCKS && *blank; i += count) {
		struct io_run run = {.op = BLOCK_READ};
		io_wait_init(s, &w);
		for (count = 0; count < NODE_BUFFERS && i + count <= VOLUME_BLANK_BLOCKS; count++)
			io_run_add(s, &run, &w,
				i + count < VOLUME_BLANK_BLOCKS ? i + count : s->space.blocks_next - 1,
				s->checkpoint.node[count]);
		io_run_submit(s, &run, &w);
		TRY(io_wait_all(s, &w));
		for (uint32_t j = 0; j < count; j++)
			*blank = *blank && is_zero((const void *)s->checkpoint.node[j]);
	}
	return OK;
}

static err refuse_foreign(struct store *s, const enum slot_state state[])
{
	const char *name = s->device->name;
	if (state[0] == SLOT_DAMAGED || state[1] == SLOT_DAMAGED) {
		store_log(s, LOG_ERROR, "%s: both superblocks are damaged: restore the volume from a copy",
			name);
		return ERR(CORRUPT);
	}
	store_log(s, LOG_ERROR, "%s holds something that is not an Ingot volume; it was not touched. "
		"Attach another disk, or zero the first 128 KiB and the last 4 KiB to have it formatted",
		name);
	return ERR(FOREIGN);
}

/* Which slot to go by, or why none. */
static err choose_slot(struct store *s, struct volume_superblock *slot[2], bool must_exist, bool *blank,
	uint32_t *chosen)
{
	enum slot_state state[2];
	*blank = false;
	for (uint32_t i = 0; i < 2; i++) {
		TRY(io_read_block(s, VOLUME_SLOT_BLOCK(i), slot[i]));
		state[i] = judge_slot(s, slot[i]);
	}
	bool any = state[0] == SLOT_VALID || state[1] == SLOT_VALID;
	if (state[0] == SLOT_NEWER || state[1] == SLOT_NEWER ||
		(!any && (state[0] == SLOT_DAMAGED_NEWER || state[1] == SLOT_DAMAGED_NEWER))) {
		store_log(s, LOG_ERROR, "%s was written by a newer version (or with a feature that this one "
			"lacks); it was not touched. Use a newer image", s->device->name);
		return ERR(UNSUPPORTED);
	}
	if (state[0] == SLOT_SHRUNK || state[1] == SLOT_SHRUNK) {
		uint64_t blocks = slot[state[1] == SLOT_SHRUNK]->blocks;
		store_log(s, LOG_ERROR, "%s has %lu MiB, but the volume on it %lu MiB: it was made smaller, "
			"or is not all there; it was not touched. Give it its size back",
			s->device->name, (unsigned long)(s->space.blocks_next / 256),
			(unsigned long)(blocks / 256));
		return ERR(NO_SPACE);
	}
	if (any) {
		*chosen = state[0] != SLOT_VALID ||
			  (state[1] == SLOT_VALID && slot[1]->sequence > slot[0]->sequence);
		/* The only copy shall not stay the only one, once it says more than format did. */
		s->checkpoint.force = state[1 - *chosen] != SLOT_VALID && slot[*chosen]->generation;
		return OK;
	}
	/* Zero blocks in the slots leave it to the rest: a torn format is blank again. */
	TRY(device_is_blank(s, blank));
	if (!*blank)
		return refuse_foreign(s, state);
	if (!must_exist)
		return OK;
	store_log(s, LOG_ERROR, "%s is blank", s->device->name);
	return ERR(NOT_FOUND);
}

/* Without a map that makes sense the objects' maps are walked; without any of those either, nothing is used. */
static void load_space(struct store *s, const struct volume_superblock *b)
{
	struct space *sp = &s->space;
	bool any = false, there = b->features_compatible & VOLUME_FEATURE_SPACE && b->space.block;
	for (uint32_t i = 0; i < VOLUME_OBJECTS_MAX; i++) {
		sp->base[i] = (struct space_base){b->object[i].root, b->object[i].levels,
			s->version[i].line};
		any |= b->object[i].root.block != 0;
	}
	sp->blocks = (uint32_t)b->blocks;
	sp->tree = (struct space_tree){.levels = space_levels(sp->blocks)};
	sp->distrusted = false;
	sp->walk = sp->walk || (any && !there);
	sp->record_unmapped = !any && !there;
	if (there && (b->space_levels != sp->tree.levels || b->space_used > b->blocks ||
		!map_entry_is_sane(s, &b->space)))
		sp->walk = true;
	else if (there && !sp->walk)
		sp->tree = (struct space_tree){b->space, b->space_levels, b->space_used};
	sp->distrusted = there && sp->walk;
	space_reset(s);
}

static void load_superblock(struct store *s, const struct volume_superblock *b, uint32_t slot, struct chain *start)
{
	*start = (struct chain){.record = b->record, .link = b->record_link, .generation = b->generation,
		.block = b->record_block};
	if (map_block_is_sane(s, b->record_block_after))
		start->after = b->record_block_after;
	memcpy(s->uuid, b->uuid, sizeof s->uuid);
	s->nonce = b->nonce;
	s->features_compatible = b->features_compatible & ~VOLUME_FEATURES_COMPATIBLE;
	s->generation = s->base = s->journal.durable = b->generation;
	s->checkpoint.sequence = b->sequence;
	s->checkpoint.slot = slot;
	table_load(s, b);
	load_space(s, b);
}

/* --- The chain of records --- */

static bool item_is_sane(const struct store *s, const struct volume_item *i, uint64_t generation)
{
	if (i->object >= STORE_OBJECTS_MAX || !s->object[i->object].used)
		return false;
	if (i->kind == VOLUME_ITEM_SIZE)
		return true;
	return i->kind == VOLUME_ITEM_PAGE && i->page != UINT32_MAX &&
	       (i->generation <= generation || generation > UINT32_MAX) && map_block_is_sane(s, i->block);
}

/* Record `number` of this volume, in whichever life it was written. */
static bool record_is_sound(const struct store *s, uint64_t number, struct volume_record *r)
{
	if (r->magic != VOLUME_RECORD_MAGIC || memcmp(r->uuid, s->uuid, sizeof r->uuid) ||
		r->record != number || r->item_count > VOLUME_RECORD_ITEMS ||
		r->generation >= UINT64_MAX / 2 || r->durable > r->generation ||
		!map_block_is_sane(s, r->next_block) ||
		!checksum_holds(volume_seed_record(s->nonce, r->record), r, &r->checksum))
		return false;
	for (uint32_t i = 0; i < r->item_count; i++)
		if (!item_is_sane(s, &r->item[i], r->generation))
			return false;
	return true;
}

/* The link matters: after a power cut that lost a record and kept the next one, a later life may write the lost
 * number anew and lead to that next one's place. Number, nonce and checksum are right then. */
static bool record_is_valid(const struct store *s, const struct chain *c, struct volume_record *r)
{
	return record_is_sound(s, c->record, r) && r->link == c->link &&
	       r->generation >= c->generation && r->generation > s->base;
}

static err read_record(struct store *s, const struct chain *c, struct volume_record *r, bool *valid)
{
	*valid = false;
	if (c->headers >= RECORDS_MAX - 1)
		return OK;
	TRY(io_read_block(s, c->block, r));
	*valid = record_is_valid(s, c, r);
	return OK;
}

static void advance(const struct store *s, struct chain *c, const struct volume_record *r)
{
	c->record++;
	c->link = r->checksum;
	c->generation = r->generation;
	c->block = r->next_block;
	c->after = map_block_is_sane(s, r->next_block_after) ? r->next_block_after : 0;
	c->headers++;
}

static err pages_are_complete(struct store *s, const struct volume_record *r, bool *complete)
{
	uint8_t *page = s->checkpoint.node[0];
	*complete = true;
	for (uint32_t i = 0; i < r->item_count && *complete; i++) {
		const struct volume_item *item = &r->item[i];
		if (item->kind != VOLUME_ITEM_PAGE)
			continue;
		TRY(io_read_block(s, item->block, page));
		*complete = volume_checksum(volume_seed_page(s->nonce, s->object[item->object].line, 0,
			item->page, item->generation), page, VOLUME_BLOCK_SIZE) == item->checksum;
	}
	return OK;
}

/* Follows the chain up to its end. What the records name becomes part of `loss`: `to` is the largest generation
 * that one of them says was durable. */
static err follow(struct store *s, struct chain *c, struct volume_record *r, struct store_loss *loss)
{
	bool valid;
	for (;; advance(s, c, r)) {
		TRY(read_record(s, c, r, &valid));
		if (!valid)
			return OK;
		if (r->durable > loss->to)
			loss->to = r->durable;
		if (r->generation > loss->seen)
			loss->seen = r->generation;
	}
}

/* The end of the chain may be a record that has rotted: what its successor's place holds tells. Its link cannot be
 * checked, and need not be: whatever record of this volume says that a generation was durable is right, since no
 * opening since then can have missed it. docs/volume-format.md, "A record that has rotted". */
static err find_durable(struct store *s, struct chain c, struct volume_record *r, struct store_loss *loss)
{
	*loss = (struct store_loss){.to = s->base, .seen = s->base};
	TRY(follow(s, &c, r, loss));
	loss->record = c.record;
	loss->block = c.block;
	while (c.after && c.headers < RECORDS_MAX - 1) {
		TRY(io_read_block(s, c.after, r));
		if (!record_is_sound(s, c.record + 1, r))
			break;
		struct chain next = {c.record + 1, r->link, 0, c.after, 0, c.headers + 1};
		TRY(follow(s, &next, r, loss));
		c = next;
	}
	return OK;
}

/* The end of the last whole generation. */
static err find_end(struct store *s, struct chain c, struct volume_record *r, struct chain *end)
{
	bool valid;
	TRY(find_durable(s, c, r, &s->loss));
	*end = c;
	for (;;) {
		bool complete = true;
		TRY(read_record(s, &c, r, &valid));
		if (valid && r->generation > s->loss.to)
			TRY(pages_are_complete(s, r, &complete));
		if (!valid || !complete)
			break;
		advance(s, &c, r);
		if (r->flags & VOLUME_RECORD_COMMIT)
			*end = c;
	}
	s->loss.from = end->generation + 1;
	if (s->loss.to <= end->generation)
		s->loss.record = 0;
	return s->loss.record && !s->config.accept_loss ? ERR(CORRUPT) : OK;
}

/* --- Used blocks --- */

/* A record that was valid a moment ago. */
static err read_again(struct store *s, const struct chain *c, struct volume_record *r)
{
	bool valid;
	TRY(read_record(s, c, r, &valid));
	return valid ? OK : ERR(IO);
}

/* What the chain names: the headers, and how many blocks there are. */
static err list_chain(struct store *s, struct chain c, const struct chain *end)
{
	struct journal *j = &s->journal;
	struct volume_record *r = j->buffer[0];
	j->header_count = 0;
	for (;; advance(s, &c, r)) {
		j->header[j->header_count++] = c.block;
		if (c.record == end->record)
			break;
		TRY(read_again(s, &c, r));
		s->space.taken++;
		for (uint32_t i = 0; i < r->item_count; i++)
			s->space.taken += r->item[i].kind == VOLUME_ITEM_PAGE;
	}
	if (end->after)
		j->header[j->header_count++] = end->after;
	j->ahead = end->after ? HEADERS_AHEAD : 1;
	return OK;
}

static void mark(uint32_t block, uint32_t group, uint64_t *out)
{
	if (block / VOLUME_GROUP_BLOCKS == group)
		out[block % VOLUME_GROUP_BLOCKS / 64] |= 1ull << block % 64;
}

err recovery_chain_group(struct store *s, uint32_t group, uint64_t *out)
{
	struct volume_record *r = s->journal.buffer[1]; /* the first may be in use */
	for (struct chain c = s->journal.found;; advance(s, &c, r)) {
		mark(c.block, group, out);
		if (c.record == s->journal.found_end.record)
			break;
		TRY(read_again(s, &c, r));
		for (uint32_t i = 0; i < r->item_count; i++)
			if (r->item[i].kind == VOLUME_ITEM_PAGE)
				mark(r->item[i].block, group, out);
	}
	mark(s->journal.found_end.after, group, out);
	return OK;
}

/* --- Replay --- */

/* What had changed behind the new end gets tombstones. */
static err apply_size(struct store *s, struct store_object *o, const struct volume_item *item,
	uint64_t generation)
{
	uint32_t low = item->block < item->page ? item->block : item->page;
	LIST_FOR_EACH(e, &s->deltas.fresh) {
		struct delta *d = LIST_ENTRY(e, struct delta, link);
		if (d->object != o->id || d->page_no < low || d->from == generation)
			continue;
		if (d->block) {
			struct delta *tomb = delta_new(s, o->id, d->page_no);
			if (!tomb)
				return ERR(NO_MEMORY);
			tomb->from = generation;
			list_push_back(&s->deltas.fresh, &tomb->link);
			delta_supersede(s, d, generation);
		}
	}
	if (low < o->pages) {
		if (o->truncations == TRUNCATIONS_MAX) /* all end in the same generation anyway */
			o->truncations--;
		struct store_truncation *last = &o->truncation[o->truncations];
		if (o->truncations++ == TRUNCATIONS_MAX - 1 && last->generation && last->pages < low)
			low = last->pages;
		*last = (struct store_truncation){generation, low};
	}
	o->pages = o->record_low = o->batch_pages = o->durable_pages = item->page;
	o->changed_at = generation;
	return OK;
}

static err apply_page(struct store *s, const struct volume_item *item, uint64_t generation)
{
	struct delta *old = delta_find(s, item->object, item->page, s->base, generation);
	struct delta *d = delta_new(s, item->object, item->page);
	if (!d)
		return ERR(NO_MEMORY);
	d->from = generation;
	d->block = item->block;
	d->generation = item->generation;
	d->checksum = item->checksum;
	list_push_back(&s->deltas.fresh, &d->link);
	if (old && old->until == GENERATION_NEVER)
		delta_supersede(s, old, generation);
	s->object[item->object].changed_at = generation;
	return OK;
}

/* Moves what has been replayed so far out of the delta, into new map nodes. Nothing refers to those before
 * the checkpoint at the end, so it may happen anywhere, in the midst of a transaction as well. */
static err merge_replayed(struct store *s, uint64_t generation)
{
	TRY(space_map_begin(s, (uint32_t)generation));
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++) {
		struct store_object *o = &s->object[i];
		struct volume_entry root;
		uint32_t levels;
		if (!o->used)
			continue;
		TRY(merge_object(s, o, generation, o->pages, object_low(o, generation), &root, &levels));
		o->root = root;
		o->levels = levels;
		o->base_pages = o->pages;
		o->truncations = 0;
	}
	LIST_FOR_EACH(e, &s->deltas.fresh) {
		struct delta *d = LIST_ENTRY(e, struct delta, link);
		d->merged = true;
		delta_remove(s, d, false);
	}
	return OK;
}

static err apply_record(struct store *s, const struct volume_record *r, bool may_merge)
{
	for (uint32_t i = 0; i < r->item_count; i++) {
		const struct volume_item *item = &r->item[i];
		if (may_merge && !delta_free(s)) /* an item takes one */
			TRY(merge_replayed(s, r->generation));
		if (item->kind == VOLUME_ITEM_SIZE)
			TRY(apply_size(s, &s->object[item->object], item, r->generation));
		else
			TRY(apply_page(s, item, r->generation));
	}
	return OK;
}

static err replay(struct store *s, struct chain c, const struct chain *end, bool may_merge)
{
	struct journal *j = &s->journal;
	struct volume_record *r = j->buffer[0];
	/* All that follows is durable after the flush that the checkpoint begins with. */
	s->generation = j->durable = end->generation;
	for (; c.record != end->record; advance(s, &c, r)) {
		TRY(read_again(s, &c, r));
		TRY(apply_record(s, r, may_merge));
	}
	if (s->space.building) /* the checkpoint shall not copy nodes that are ours */
		TRY(merge_replayed(s, end->generation));
	j->record = j->durable_record = end->record;
	j->link = j->durable_link = end->link;
	j->durable_headers = end->headers;
	return OK;
}

/* What was reserved for the next records. In the space map is only the first of the two (unless there is no map). */
static err reserve_headers(struct store *s)
{
	struct journal *j = &s->journal;
	if (s->space.record_unmapped)
		TRY(space_take_this(s, j->header[0]));
	if (j->ahead == HEADERS_AHEAD && failed(space_take_this(s, j->header[1])))
		j->header_count = j->ahead = 1; /* an older writer has used it */
	if (s->space.damaged)
		return ERR(CORRUPT);
	if (j->ahead == HEADERS_AHEAD || space_free(&s->space) <= VOLUME_BLOCKS_MIN / 2 ||
		failed(space_ensure(s, 1)))
		return OK;
	j->header[j->header_count++] = space_take(&s->space);
	j->ahead = HEADERS_AHEAD;
	return OK;
}

/* The next generation is larger than all that any life may have given away: what is left of them on the device
 * must not look lost again. */
static void give_up_loss(struct store *s)
{
	const struct store_loss *l = &s->loss;
	store_log(s, LOG_WARN, "%s: record %lu in block %u has rotted: generations %lu to %lu are given up",
		s->device->name, l->record, l->block, l->from, l->to);
	s->generation = s->journal.durable = l->seen + GENERATIONS_SKIPPED;
	s->checkpoint.force = true;
}

/* At the end of the chain may be a record that is torn, or lacks a page. When the next one that is written there is torn
 * as well, the two together may be the old one, whole. */
static err find_leftover(struct store *s, const struct chain *end, bool *found)
{
	struct volume_record *r = s->journal.buffer[0];
	TRY(io_read_block(s, end->block, r));
	*found = r->magic == VOLUME_RECORD_MAGIC && r->record == end->record &&
		 !memcmp(r->uuid, s->uuid, sizeof r->uuid);
	return OK;
}

static err recover_chain(struct store *s, struct chain start, uint32_t *replayed)
{
	struct journal *j = &s->journal;
	struct space *sp = &s->space;
	struct chain end;
	bool damaged = false, leftover;
	sp->recovering = true;
	TRY(find_end(s, start, j->buffer[0], &end));
	TRY(list_chain(s, start, &end));
	j->found = start;
	j->found_end = end;
	if (sp->walk)
		TRY(space_walk_count(s, &sp->tree.used, &damaged));
	bool may_write = !damaged && !s->device->read_only;
	TRY(replay(s, start, &end, may_write));
	*replayed = end.headers;
	j->life = random_u64(s->config.random);
	if (s->loss.record)
		give_up_loss(s);
	if (s->device->read_only)
		store_fail(s, "the device is read-only");
	else if (damaged)
		store_fail(s, "the page map is damaged: what can be read is served; restore from a copy");
	if (!may_write)
		return OK;
	TRY(find_leftover(s, &end, &leftover));
	s->checkpoint.force |= sp->walk || sp->blocks < sp->blocks_next || leftover;
	if (*replayed || s->checkpoint.force) {
		/* No record that is there already follows a number that is drawn now. */
		j->link = j->durable_link = random_u64(s->config.random);
		TRY(checkpoint_now(s));
	} else { /* what is used is what the space map shows */
		sp->recovering = false;
		space_reset(s);
	}
	return reserve_headers(s);
}

static err recover_once(struct store *s, uint32_t slot, struct store_info *info)
{
	struct volume_superblock *b = s->checkpoint.superblock;
	struct chain start;
	TRY(io_read_block(s, VOLUME_SLOT_BLOCK(slot), b));
	if (judge_slot(s, b) != SLOT_VALID)
		return ERR(IO);
	info->version = b->version;
	info->features_compatible = b->features_compatible;
	info->features_incompatible = b->features_incompatible;
	load_superblock(s, b, slot, &start);
	return recover_chain(s, start, &info->records_replayed);
}

static void forget_replayed(struct store *s)
{
	LIST_FOR_EACH(e, &s->deltas.fresh)
		delta_remove(s, LIST_ENTRY(e, struct delta, link), true);
	LIST_FOR_EACH(e, &s->deltas.retained)
		delta_remove(s, LIST_ENTRY(e, struct delta, link), true);
}

/* When a map contradicts what recovery does, that begins anew and walks all of them: then either the space map is
 * made new, or what is damaged is known. It has changed nothing that the device refers to. */
static err recover(struct store *s, uint32_t slot, struct store_info *info)
{
	err e = recover_once(s, slot, info);
	if (!failed(e) || e.code != ERR_CORRUPT || s->space.walk || s->loss.record)
		return e;
	store_log(s, LOG_WARN, "%s: reading all maps of the volume, since the space map does not hold",
		s->device->name);
	forget_replayed(s);
	s->space.walk = true;
	s->space.damaged = false;
	return recover_once(s, slot, info);
}

static void explain(struct store *s, err e)
{
	const char *name = s->device->name;
	const struct store_loss *l = &s->loss;
	if (e.code == ERR_CORRUPT && l->record)
		store_log(s, LOG_ERROR, "%s: record %lu in block %u has rotted, and with it generations %lu to "
			"%lu, which had been durable. The volume was not touched. Restore it from a copy, or "
			"give these up with `ingot db repair`", name, l->record, l->block, l->from, l->to);
	else if (e.code == ERR_CORRUPT)
		store_log(s, LOG_ERROR, "%s: the volume's structure is damaged; it was not touched. "
			"Restore it from a copy", name);
	else if (e.code == ERR_NO_MEMORY)
		store_log(s, LOG_ERROR, "%s: the volume's journal does not fit in memory, and cannot be "
			"merged (the device is read-only, or the page map damaged): give the machine more",
			name);
	else
		store_log(s, LOG_ERROR, "%s: %s", name, err_text(e));
}

err recovery_open(struct store *s, bool must_exist, struct store_info *info)
{
	struct volume_superblock *slot[2] = {(void *)s->journal.buffer[0], (void *)s->journal.buffer[1]};
	uint32_t chosen = 0;
	bool blank;
	*info = (struct store_info){.formatted = false};
	TRY(choose_slot(s, slot, must_exist, &blank, &chosen));
	err e = OK;
	s->space.walk = s->config.rebuild_space && !blank;
	if (blank) {
		e = format(s);
		info->formatted = true;
	}
	if (!failed(e))
		e = recover(s, chosen, info);
	if (s->loss.record) {
		info->lost_from = s->loss.from;
		info->lost_to = s->loss.to;
	}
	if (failed(e))
		explain(s, e);
	return e;
}
