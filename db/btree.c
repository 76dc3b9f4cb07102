#include "btree.h"

#include <base/bytes.h>
#include <stddef.h>

enum { PAGE = 4096, DEPTH_MAX = 24 };

enum {
	INDEX_INNER = 2,
	TABLE_INNER = 5,
	INDEX_LEAF = 10,
	TABLE_LEAF = 13,
};

/* A page marked now, that has not been before. */
static bool reach(struct btree_walk *w, uint32_t root, uint32_t page_no, enum btree_kind kind)
{
	if (page_no < 1 || page_no > w->pages || w->page[page_no].kind != BTREE_UNKNOWN)
		return false;
	w->page[page_no] = (struct btree_page){root, (uint8_t)kind};
	return true;
}

/* Up to nine bytes; where the next thing is, or PAGE when it does not end within the page. */
static uint32_t varint(const uint8_t *page, uint32_t at, uint64_t *value)
{
	uint64_t v = 0;
	for (int i = 0; i < 9 && at < PAGE; i++, at++) {
		if (i == 8) {
			*value = v << 8 | page[at];
			return at + 1;
		}
		v = v << 7 | (page[at] & 0x7f);
		if (!(page[at] & 0x80)) {
			*value = v;
			return at + 1;
		}
	}
	return PAGE;
}

static void walk_overflow(struct btree_walk *w, uint32_t root, uint32_t page_no)
{
	uint8_t page[PAGE];
	while (reach(w, root, page_no, BTREE_OVERFLOW) && w->read(w->context, page_no, page))
		page_no = load_be32(page);
}

/* How much of a payload is in the cell itself. */
static uint64_t local_size(uint64_t payload, uint32_t usable, bool table)
{
	uint64_t most = table ? usable - 35 : (usable - 12) * 64 / 255 - 23;
	uint64_t least = (usable - 12) * 32 / 255 - 23;
	uint64_t odd = least + (payload - least) % (usable - 4);
	if (payload <= most)
		return payload;
	return odd <= most ? odd : least;
}

static void walk_payload(struct btree_walk *w, uint32_t root, const uint8_t *page, uint32_t at, bool table,
	uint32_t usable)
{
	uint64_t payload, row;
	at = varint(page, at, &payload);
	if (table && at < PAGE)
		at = varint(page, at, &row);
	if (at >= PAGE)
		return;
	uint64_t local = local_size(payload, usable, table);
	if (local < payload && at + local + 4 <= PAGE)
		walk_overflow(w, root, load_be32(page + at + local));
}

static void walk_tree(struct btree_walk *w, uint32_t root, uint32_t page_no, uint32_t usable, int depth);

static void walk_cell(struct btree_walk *w, uint32_t root, const uint8_t *page, uint32_t at, uint8_t type,
	uint32_t usable, int depth)
{
	bool inner = type == TABLE_INNER || type == INDEX_INNER;
	if (at + 4 > PAGE)
		return;
	if (inner)
		walk_tree(w, root, load_be32(page + at), usable, depth + 1);
	if (type != TABLE_INNER)
		walk_payload(w, root, page, inner ? at + 4 : at, type == TABLE_LEAF, usable);
}

/* Of a page that is a b-tree's. Each level has a page of its own on the stack: a tree is not deep. */
static void walk_tree(struct btree_walk *w, uint32_t root, uint32_t page_no, uint32_t usable, int depth)
{
	uint8_t page[PAGE];
	if (depth > DEPTH_MAX || !reach(w, root, page_no, BTREE_UNREAD) ||
		!w->read(w->context, page_no, page))
		return;
	uint32_t head = page_no == 1 ? 100 : 0;
	uint8_t type = page[head];
	bool inner = type == TABLE_INNER || type == INDEX_INNER;
	if (!inner && type != TABLE_LEAF && type != INDEX_LEAF)
		return;
	w->page[page_no].kind = inner ? BTREE_INNER : BTREE_LEAF;
	uint32_t cells = load_be16(page + head + 3), array = head + (inner ? 12 : 8);
	for (uint32_t i = 0; i < cells && array + 2 * i + 2 <= PAGE; i++)
		walk_cell(w, root, page, load_be16(page + array + 2 * i), type, usable, depth);
	if (inner)
		walk_tree(w, root, load_be32(page + head + 8), usable, depth + 1);
}

/* From the header: what of each page is used for content. */
static uint32_t usable_size(struct btree_walk *w, uint8_t page[PAGE])
{
	uint32_t usable = w->read(w->context, 1, page) ? PAGE - page[20] : PAGE;
	return usable >= 480 ? usable : PAGE;
}

void btree_walk(struct btree_walk *w, uint32_t root)
{
	uint8_t page[PAGE];
	walk_tree(w, root, root, usable_size(w, page), 0);
}

void btree_walk_free(struct btree_walk *w)
{
	uint8_t page[PAGE];
	if (!w->read(w->context, 1, page))
		return;
	uint32_t trunk = load_be32(page + 32);
	while (reach(w, 0, trunk, BTREE_FREE) && w->read(w->context, trunk, page)) {
		uint32_t leaves = load_be32(page + 4);
		for (uint32_t i = 0; i < leaves && i < (PAGE - 8) / 4; i++)
			reach(w, 0, load_be32(page + 8 + (size_t)4 * i), BTREE_FREE);
		trunk = load_be32(page);
	}
}
