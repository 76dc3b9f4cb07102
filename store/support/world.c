#include "world.h"

struct store_object *world_object(struct rig *r)
{
	struct store_object *o;
	must(store_object_open(r->store, "main", true, &o));
	return o;
}

void world_write(struct store_txn *t, uint32_t page_no, uint64_t id)
{
	uint8_t page[STORE_PAGE_SIZE];
	rig_fill(page, page_no, id);
	must(store_txn_write(t, page_no, page));
}

uint64_t world_commit(struct store_object *o, uint32_t page_no, uint64_t id)
{
	struct store_txn *t;
	uint64_t generation = 0;
	must(store_txn_begin(o, &t));
	world_write(t, page_no, id);
	must(store_txn_commit(t, &generation));
	return generation;
}

uint64_t world_read(struct store_snapshot *s, uint32_t page_no)
{
	struct store_page *page;
	must(store_page_get(s, page_no, &page));
	uint64_t id = rig_identify(store_page_data(page), page_no);
	store_page_put(page);
	return id;
}

uint64_t world_newest(struct store_object *o, uint32_t page_no)
{
	struct store_snapshot s;
	store_snapshot_begin(o, &s);
	uint64_t id = world_read(&s, page_no);
	store_snapshot_end(&s);
	return id;
}
