/* store_check: reads every page and map node of each object's newest generation. */
#include "private.h"

struct check {
	struct store *s;
	struct store_snapshot snapshot;
	uint64_t damaged;
};

/* One page; what is in the cache was verified when it was read, so the device's copy is read as well. */
static err check_page(struct check *c, uint32_t page_no, bool *hole)
{
	struct map_result r;
	err e = map_resolve(c->s, &c->snapshot, page_no, c->snapshot.generation, &r);
	*hole = !failed(e) && !r.frame && !r.entry.block;
	if (!failed(e) && (r.frame || !r.entry.block))
		return OK;
	if (!failed(e)) {
		struct frame *f;
		TRY(cache_take(c->s, &f));
		e = io_read_block(c->s, r.entry.block, (void *)(uintptr_t)f->page.data);
		uint64_t seed = volume_seed_page(c->s->nonce, c->snapshot.line, 0, page_no,
			r.entry.generation);
		if (!failed(e) && volume_checksum(seed, f->page.data, STORE_PAGE_SIZE) != r.entry.checksum) {
			e = ERR(CORRUPT);
			store_log(c->s, LOG_ERROR, "object \"%s\" page %u (block %u) is damaged",
				c->snapshot.object->name, page_no, r.entry.block);
		}
		f->state = FRAME_CLEAN;
		frame_put(f);
	}
	if (e.code == ERR_CORRUPT) {
		c->damaged++;
		return OK;
	}
	return e;
}

static err check_object(struct store *s, struct store_object *o, uint64_t *damaged)
{
	struct check c = {.s = s};
	err e = OK;
	store_snapshot_begin(o, &c.snapshot);
	for (uint64_t p = 0; p < c.snapshot.pages && !failed(e);) {
		bool hole;
		e = check_page(&c, (uint32_t)p, &hole);
		p = hole ? map_skip_hole(s, &c.snapshot, (uint32_t)p) : p + 1;
	}
	store_snapshot_end(&c.snapshot);
	*damaged += c.damaged;
	return e;
}

err store_check(struct store *s, uint64_t *damaged)
{
	uint64_t count = 0;
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++)
		if (s->object[i].used)
			TRY(check_object(s, &s->object[i], &count));
	if (damaged)
		*damaged = count;
	return count ? ERR(CORRUPT) : OK;
}
