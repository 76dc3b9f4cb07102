/* Which b-tree a page of an SQLite database belongs to, by walking the trees from their roots. Pure: pages come through a
 * function. Nothing read is believed; a page that does not make sense is not followed. The layout: sqlite.org/fileformat2.html */
#ifndef DB_BTREE_H
#define DB_BTREE_H

#include <stdbool.h>
#include <stdint.h>

enum btree_kind {
	BTREE_UNKNOWN, /* not reached: perhaps below a page that cannot be read */
	BTREE_INNER,
	BTREE_LEAF,
	BTREE_UNREAD,   /* reached, but not readable: inner or leaf */
	BTREE_OVERFLOW,
	BTREE_FREE,
};

struct btree_page {
	uint32_t root; /* page number of its tree's root; 0: of none */
	uint8_t kind;
};

struct btree_walk {
	/* Copies page `page_no` (from 1); false when it cannot be read. */
	bool (*read)(void *context, uint32_t page_no, uint8_t page[4096]);
	void *context;
	uint32_t pages;          /* of the database */
	struct btree_page *page; /* pages + 1 of them, zero at first; the result, by page number */
};

/* One tree, or the list of free pages. The page numbers reached before stay as they are. */
void btree_walk(struct btree_walk *w, uint32_t root);
void btree_walk_free(struct btree_walk *w);

#endif
