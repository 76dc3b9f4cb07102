/* What a power cut leaves on a recorded disk. The image of a cut is the *floor* (what flushes have covered by
 * then) with the outcome's sectors on top. To make image after image of a disk cheaply, each keeps note of
 * where it may differ from the floor it was made from; so an image costs what it changes, not its size. */
#include "disk_private.h"

#include <base/assert.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 4096u
#define FLOOR_LOG 65536u /* entries; a power of two */
#define WRITES_MAX UINT16_MAX /* over one sector, undecided */

/* --- Sets of blocks --- */

void sim_marks_init(struct sim_marks *m, uint64_t blocks)
{
	*m = (struct sim_marks){.bits = sim_must(calloc(blocks / 64 + 1, 8)),
		.list = sim_must(malloc(blocks * sizeof(uint32_t))), .blocks = blocks};
}

void sim_marks_free(struct sim_marks *m)
{
	free(m->bits);
	free(m->list);
	*m = (struct sim_marks){.bits = NULL};
}

void sim_marks_add(struct sim_marks *m, uint64_t offset, uint64_t len)
{
	if (!m->bits)
		return;
	for (uint64_t b = offset / BLOCK; b < m->blocks && b * BLOCK < offset + len; b++) {
		uint64_t bit = 1ull << b % 64;
		if (m->bits[b / 64] & bit)
			continue;
		m->bits[b / 64] |= bit;
		m->list[m->count++] = (uint32_t)b;
	}
}

void sim_marks_clear(struct sim_marks *m)
{
	for (uint32_t i = 0; i < m->count; i++)
		m->bits[m->list[i] / 64] = 0;
	m->count = 0;
}

/* A large disk is mostly zero, and memory that was never written costs nothing as long as it is only read. */
static void copy_changed(uint8_t *to, const uint8_t *from, uint64_t len)
{
	for (uint64_t at = 0; at < len; at += BLOCK) {
		uint64_t part = len - at < BLOCK ? len - at : BLOCK;
		if (memcmp(to + at, from + at, part) != 0)
			memcpy(to + at, from + at, part);
	}
}

/* --- The recording --- */

void sim_disk_forget(struct sim_disk *d)
{
	for (size_t i = 0; i < d->op_count; i++) {
		free(d->ops[i].data);
		free(d->ops[i].undo);
	}
	d->op_count = d->settled_count = d->floor_settled = d->first_open = 0;
	d->events = 0;
}

static void floor_note(struct sim_disk *d, uint64_t offset, uint64_t len)
{
	sim_marks_add(&d->above_floor, offset, len);
	for (uint64_t b = offset / BLOCK; b * BLOCK < offset + len; b++)
		d->floor_log[d->floor_changes++ % FLOOR_LOG] = (uint32_t)b;
}

static void floor_from_media(struct sim_disk *d)
{
	if (!d->floor) {
		d->floor = sim_must(calloc(1, d->bytes));
		d->floor_log = d->floor_log ? d->floor_log : sim_must(malloc(FLOOR_LOG * sizeof(uint32_t)));
		sim_marks_init(&d->above_floor, d->bytes / BLOCK);
	} else if (d->origin) {
		for (uint32_t i = 0; i < d->above_floor.count; i++) {
			uint64_t at = (uint64_t)d->above_floor.list[i] * BLOCK;
			memcpy(d->floor + at, d->media + at, BLOCK);
			d->floor_log[d->floor_changes++ % FLOOR_LOG] = d->above_floor.list[i];
		}
		sim_marks_clear(&d->above_floor);
		return;
	}
	copy_changed(d->floor, d->media, d->bytes);
	d->floor_changes += FLOOR_LOG + 1; /* whoever was made from it starts anew */
	sim_marks_clear(&d->above_floor);
}

void sim_disk_record(struct sim_disk *d)
{
	/* What the last recording has put onto the floor since it began is no news to the media. */
	sim_disk_forget(d);
	floor_from_media(d);
	d->recording = true;
}

void sim_disk_settle(struct sim_disk *d, const struct sim_disk_op *flush)
{
	for (size_t i = d->first_open; i < d->op_count && d->ops[i].submitted < flush->submitted; i++) {
		struct sim_disk_op *op = &d->ops[i];
		if (op->flush || op->forgotten || op->durable != SIM_NOT_YET || op->done == SIM_NOT_YET ||
			op->done >= flush->submitted)
			continue;
		op->durable = flush->done;
		if (d->settled_count == d->settled_capacity) {
			d->settled_capacity = d->settled_capacity ? 2 * d->settled_capacity : 256;
			d->settled = sim_must(realloc(d->settled, d->settled_capacity * sizeof(uint32_t)));
		}
		d->settled[d->settled_count++] = (uint32_t)i;
	}
	while (d->first_open < d->op_count &&
		(d->ops[d->first_open].flush || d->ops[d->first_open].durable != SIM_NOT_YET))
		d->first_open++;
}

static void floor_forward(struct sim_disk *d, struct sim_disk_op *op)
{
	op->undo = sim_must(malloc(op->len));
	memcpy(op->undo, d->floor + op->offset, op->len);
	memcpy(d->floor + op->offset, op->data, op->len);
	floor_note(d, op->offset, op->len);
}

static void floor_back(struct sim_disk *d, struct sim_disk_op *op)
{
	memcpy(d->floor + op->offset, op->undo, op->len);
	free(op->undo);
	op->undo = NULL;
	floor_note(d, op->offset, op->len);
}

/* The floor becomes what is safe before that event. */
static void floor_move(struct sim_disk *d, uint64_t event)
{
	ASSERT(d->floor);
	while (d->floor_settled < d->settled_count && d->ops[d->settled[d->floor_settled]].durable < event)
		floor_forward(d, &d->ops[d->settled[d->floor_settled++]]);
	while (d->floor_settled && d->ops[d->settled[d->floor_settled - 1]].durable >= event)
		floor_back(d, &d->ops[d->settled[--d->floor_settled]]);
}

bool sim_disk_flush_ends_at(const struct sim_disk *d, uint64_t event)
{
	for (size_t i = 0; i < d->op_count; i++)
		if (d->ops[i].flush && d->ops[i].done == event)
			return true;
	return false;
}

static bool is_undecided(const struct sim_disk_op *op, uint64_t event)
{
	return !op->flush && op->durable >= event;
}

/* --- Outcomes --- */

static int by_sector(const void *a, const void *b)
{
	const struct sim_cut_piece *x = a, *y = b;
	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static uint64_t times(uint64_t product, uint64_t factor)
{
	return product > UINT64_MAX / factor ? UINT64_MAX : product * factor;
}

/* How many writes there are over the sector; the most that there are over one of the block. */
static uint32_t depth(const struct sim_cut *c, uint32_t sector)
{
	return c->sector[sector + 1] - c->sector[sector];
}

static uint32_t block_depth(const struct sim_cut *c, uint32_t block)
{
	uint32_t most = 0;
	for (uint32_t i = c->block[block]; i < c->block[block + 1]; i++)
		most = depth(c, i) > most ? depth(c, i) : most;
	return most;
}

/* A write that no flush will cover may have been followed by one that a flush has covered. */
static bool is_buried(const struct sim_disk *d, size_t i, uint64_t offset, uint64_t event)
{
	for (size_t k = i + 1; d->ops[i].forgotten && k < d->op_count; k++)
		if (!d->ops[k].flush && d->ops[k].durable < event && d->ops[k].offset <= offset &&
			offset < d->ops[k].offset + d->ops[k].len)
			return true;
	return false;
}

static uint32_t collect(struct sim_cut *c)
{
	const struct sim_disk *d = c->disk;
	uint32_t count = 0;
	for (size_t i = 0; i < d->op_count && d->ops[i].submitted < c->event; i++)
		if (is_undecided(&d->ops[i], c->event))
			count += (uint32_t)(d->ops[i].len / SIM_SECTOR);
	c->piece = sim_must(malloc((count + 1) * sizeof *c->piece));
	count = 0;
	for (size_t i = 0; i < d->op_count && d->ops[i].submitted < c->event; i++) {
		const struct sim_disk_op *op = &d->ops[i];
		if (!is_undecided(op, c->event))
			continue;
		c->writes++;
		for (uint64_t at = 0; at < op->len; at += SIM_SECTOR)
			if (!is_buried(d, i, op->offset + at, c->event))
				c->piece[count++] = (struct sim_cut_piece){op->offset + at, (uint32_t)i,
					op->data + at};
	}
	return count;
}

void sim_cut_begin(struct sim_cut *c, struct sim_disk *d, uint64_t event)
{
	*c = (struct sim_cut){.disk = d, .event = event, .outcomes = 1, .block_outcomes = 1};
	floor_move(d, event);
	uint32_t count = collect(c);
	qsort(c->piece, count, sizeof *c->piece, by_sector);
	c->sector = sim_must(malloc((count + 1) * sizeof *c->sector));
	c->block = sim_must(malloc((count + 1) * sizeof *c->block));
	c->choice = sim_must(calloc(count + 1, sizeof *c->choice));
	for (uint32_t i = 0; i < count; i++) {
		uint64_t at = c->piece[i].offset;
		if (i && c->piece[i - 1].offset == at)
			continue;
		if (!i || c->piece[i - 1].offset / BLOCK != at / BLOCK)
			c->block[c->blocks++] = c->sectors;
		c->sector[c->sectors++] = i;
	}
	c->sector[c->sectors] = count;
	c->block[c->blocks] = c->sectors;
	for (uint32_t i = 0; i < c->sectors; i++) {
		ASSERT(depth(c, i) <= WRITES_MAX);
		c->outcomes = times(c->outcomes, depth(c, i) + 1);
	}
	for (uint32_t i = 0; i < c->blocks; i++)
		c->block_outcomes = times(c->block_outcomes, block_depth(c, i) + 1);
}

void sim_cut_end(struct sim_cut *c)
{
	free(c->piece);
	free(c->sector);
	free(c->block);
	free(c->choice);
}

void sim_cut_by_sector(struct sim_cut *c, uint64_t index)
{
	for (uint32_t i = 0; i < c->sectors; i++) {
		c->choice[i] = (uint16_t)(index % (depth(c, i) + 1));
		index /= depth(c, i) + 1;
	}
}

static void choose_block(struct sim_cut *c, uint32_t block, uint32_t choice)
{
	for (uint32_t i = c->block[block]; i < c->block[block + 1]; i++)
		c->choice[i] = (uint16_t)(choice < depth(c, i) ? choice : depth(c, i));
}

void sim_cut_by_block(struct sim_cut *c, uint64_t index)
{
	for (uint32_t i = 0; i < c->blocks; i++) {
		uint32_t radix = block_depth(c, i) + 1;
		choose_block(c, i, (uint32_t)(index % radix));
		index /= radix;
	}
}

void sim_cut_lose_all(struct sim_cut *c)
{
	memset(c->choice, 0, c->sectors * sizeof *c->choice);
}

void sim_cut_keep_all(struct sim_cut *c)
{
	for (uint32_t i = 0; i < c->blocks; i++)
		choose_block(c, i, WRITES_MAX);
}

void sim_cut_tear_block(struct sim_cut *c, uint32_t block, uint32_t mask)
{
	uint32_t first = c->block[block];
	for (uint32_t i = first; i < c->block[block + 1]; i++)
		c->choice[i] = mask >> (i - first) & 1 ? (uint16_t)depth(c, i) : 0;
}

void sim_cut_random(struct sim_cut *c, uint64_t seed)
{
	uint64_t how = sim_random(&seed) % 8;
	if (how == 0) {
		for (uint32_t i = 0; i < c->sectors; i++)
			c->choice[i] = (uint16_t)(sim_random(&seed) % (depth(c, i) + 1));
		return;
	}
	/* Whole blocks, mostly kept, mostly lost, or half of each; some are torn. */
	uint64_t chance = how < 3 ? 1 : how < 5 ? 7 : 4, torn = sim_random(&seed) % 3 ? 0 : 4;
	for (uint32_t i = 0; i < c->blocks; i++) {
		uint32_t choice = 1 + (uint32_t)(sim_random(&seed) % block_depth(c, i));
		choose_block(c, i, sim_random(&seed) % 8 < chance ? 0 : choice);
		if (torn && sim_random(&seed) % torn == 0)
			sim_cut_tear_block(c, i, (uint32_t)sim_random(&seed) & 0xff);
	}
	if (!c->blocks || how < 5)
		return;
	uint32_t one = (uint32_t)(sim_random(&seed) % c->blocks);
	sim_cut_tear_block(c, one, (uint32_t)sim_random(&seed) & 0xff);
}

/* --- Images --- */

/* `to`'s media becomes d's floor. */
static void take_floor(const struct sim_disk *d, struct sim_disk *to)
{
	ASSERT(to->bytes == d->bytes && to != d && to->queued == 0);
	if (to->origin != d || d->floor_changes - to->origin_seen > FLOOR_LOG) {
		copy_changed(to->media, d->floor, d->bytes);
		if (!to->above_origin.bits)
			sim_marks_init(&to->above_origin, d->bytes / BLOCK);
		sim_marks_clear(&to->above_origin);
		sim_marks_add(&to->above_floor, 0, d->bytes);
	}
	for (uint64_t i = to->origin == d ? to->origin_seen : d->floor_changes; i < d->floor_changes; i++)
		sim_disk_touch(to, (uint64_t)d->floor_log[i % FLOOR_LOG] * BLOCK, BLOCK);
	for (uint32_t i = 0; i < to->above_origin.count; i++) {
		uint64_t at = (uint64_t)to->above_origin.list[i] * BLOCK;
		memcpy(to->media + at, d->floor + at, BLOCK);
		sim_marks_add(&to->above_floor, at, BLOCK);
	}
	sim_marks_clear(&to->above_origin);
	to->origin = (struct sim_disk *)(uintptr_t)d;
	to->origin_seen = d->floor_changes;
}

void sim_cut_apply(const struct sim_cut *c, struct sim_disk *to)
{
	floor_move(c->disk, c->event);
	take_floor(c->disk, to);
	for (uint32_t i = 0; i < c->sectors; i++) {
		if (!c->choice[i])
			continue;
		const struct sim_cut_piece *p = &c->piece[c->sector[i] + c->choice[i] - 1];
		memcpy(to->media + p->offset, p->data, SIM_SECTOR);
		sim_disk_touch(to, p->offset, SIM_SECTOR);
	}
}

void sim_disk_copy(const struct sim_disk *from, struct sim_disk *to)
{
	ASSERT(to->bytes == from->bytes && to->queued == 0);
	memcpy(to->media, from->media, from->bytes);
	to->origin = NULL;
	sim_marks_add(&to->above_floor, 0, to->bytes);
}

/* --- The same by the write, for tests that keep images themselves --- */

static void tear(const struct sim_disk_op *op, uint64_t *random, uint8_t *image)
{
	uint64_t how = sim_random(random) % 4;
	for (uint64_t at = 0; at < op->len; at += SIM_SECTOR)
		if (how == 0 || (how >= 2 && sim_random(random) % 2))
			memcpy(image + op->offset + at, op->data + at, SIM_SECTOR);
}

uint32_t sim_disk_cut(struct sim_disk *d, uint64_t at, enum sim_disk_cut_mode mode, uint64_t seed,
	uint8_t *image)
{
	size_t *undecided = sim_must(malloc((d->op_count + 1) * sizeof(size_t)));
	uint32_t count = 0;
	floor_move(d, at);
	memcpy(image, d->floor, d->bytes);
	for (size_t i = 0; i < d->op_count && d->ops[i].submitted < at; i++)
		if (is_undecided(&d->ops[i], at))
			undecided[count++] = i;
	for (uint32_t i = 0; mode == SIM_CUT_RANDOM && i + 1 < count; i++) {
		uint32_t j = i + (uint32_t)(sim_random(&seed) % (count - i));
		size_t t = undecided[i];
		undecided[i] = undecided[j];
		undecided[j] = t;
	}
	for (uint32_t i = 0; i < count; i++) {
		const struct sim_disk_op *op = &d->ops[undecided[i]];
		if (mode == SIM_CUT_RANDOM)
			tear(op, &seed, image);
		else if (mode == SIM_CUT_KEEP || (mode == SIM_CUT_MASK && seed >> i % 64 & 1))
			memcpy(image + op->offset, op->data, op->len);
	}
	free(undecided);
	return count;
}
