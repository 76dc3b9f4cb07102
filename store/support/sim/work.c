/* What applications do: one writes, others read. Whatever is read is held against the model. */
#include "sim.h"

#include <base/assert.h>
#include <string.h>

bool excused(struct run *r, err e)
{
	bool yes = !failed(e) || e.code == ERR_NO_SPACE || /* looked into by expect_full */
		   (e.code == ERR_NO_MEMORY && (r->faults & FAULT_MEMORY)) ||
		   (e.code == ERR_NO_MEMORY && (r->plan.txn_pages || r->plan.pages > 60)) ||
		   (e.code == ERR_IO && (r->faults & (FAULT_ERROR | FAULT_LIES | FAULT_MEMORY))) ||
		   (e.code == ERR_CORRUPT && (r->faults & FAULT_LIES));
	r->excused += failed(e) && yes;
	CHECK(r, yes, "%s, which nothing excuses", err_text(e));
	return !failed(e);
}

static struct store *store_of(struct run *r)
{
	return r->now->rig.store;
}

/* What a large transaction commits on its way changes nothing that anybody sees. The last may have come to a slot of the
 * device that then failed. */
static void pass(struct run *r)
{
	bool open = store_state(store_of(r)) == STORE_OPEN;
	model_pass(r->model, store_generation(store_of(r)) + !open);
}

static bool is_large(struct run *r)
{
	struct store_stats stats;
	store_stats(store_of(r), &stats);
	return stats.txns_large > r->large;
}

/* --- Reading --- */

/* Every `stride`th page may hold something; so maps have holes, and many levels. */
static uint64_t model_id(const struct run *r, const struct content *c, uint32_t page_no)
{
	return page_no < c->pages && page_no % r->plan.stride == 0 ? c->id[page_no / r->plan.stride] : 0;
}

static void expect_page(struct run *r, const struct content *c, uint32_t object, uint64_t generation,
	uint32_t page_no, const uint8_t *data)
{
	uint64_t found = rig_identify(data, page_no);
	uint64_t right = model_id(r, c, page_no);
	CHECK(r, found == right, "generation %lu of \"%s\", page %u is %lx where it should be %lx",
		(unsigned long)generation, object_names[object], page_no, (unsigned long)found,
		(unsigned long)right);
}

static void read_one(struct run *r, struct store_snapshot *s, uint32_t object, uint32_t page_no)
{
	struct store_page *page = store_page_peek(s, page_no);
	if (!page && !excused(r, store_page_get(s, page_no, &page)))
		return;
	const struct content *c = model_at(r->model, object, s->generation);
	expect_page(r, c, object, s->generation, page_no, store_page_data(page));
	if (one_in(r, 4)) {
		fiber_yield(r->now->rig.config.loop);
		expect_page(r, c, object, s->generation, page_no, store_page_data(page));
	}
	store_page_put(page);
}

static void expect_size(struct run *r, const struct store_snapshot *s, uint32_t object)
{
	uint32_t right = model_at(r->model, object, s->generation)->pages;
	CHECK(r, store_snapshot_pages(s) == right, "generation %lu of \"%s\" has %u pages, not %u",
		(unsigned long)s->generation, object_names[object], store_snapshot_pages(s), right);
}

static void compare_page(struct run *r, struct store_snapshot *s, const struct content *c, uint32_t object,
	uint32_t page_no)
{
	struct store_page *page;
	if (!excused(r, store_page_get(s, page_no, &page)))
		return;
	expect_page(r, c, object, s->generation, page_no, store_page_data(page));
	store_page_put(page);
}

/* What lies loses what has been made, if nothing else came after it. */
static const struct content *expect_object(struct run *r, uint32_t o, uint64_t generation, bool there, uint32_t pages)
{
	bool lies = r->faults & FAULT_LIES;
	uint64_t event = lies ? UINT64_MAX : r->cut_event;
	const struct content *c = model_find(r->model, o, generation, event, there, pages);
	if (!c && lies && !there && model_at(r->model, o, generation)->pages == 0)
		c = &model_absent;
	CHECK(r, c, "generation %lu should not have \"%s\" %s (%u pages)", (unsigned long)generation, object_names[o],
		there ? "like this" : "deleted, or not yet made", pages);
	return c;
}

void compare_all(struct run *r, struct life *l, uint64_t generation)
{
	for (uint32_t o = 0; o < r->plan.objects; o++) {
		struct store_snapshot s;
		err e = store_object_open(l->rig.store, object_names[o], false, &l->object[o]);
		if (e.code == ERR_NOT_FOUND) {
			r->found[o] = expect_object(r, o, generation, false, 0);
			continue;
		}
		CHECK(r, !failed(e), "\"%s\": %s", object_names[o], err_text(e));
		store_snapshot_begin(l->object[o], &s);
		CHECK(r, s.generation == generation, "generation %lu instead of %lu",
			(unsigned long)s.generation, (unsigned long)generation);
		const struct content *c = r->found[o] = expect_object(r, o, generation, true, store_snapshot_pages(&s));
		for (uint64_t p = 0; p < store_snapshot_pages(&s); p += r->plan.stride)
			compare_page(r, &s, c, o, (uint32_t)p);
		if (store_snapshot_pages(&s))
			compare_page(r, &s, c, o, store_snapshot_pages(&s) - 1);
		store_snapshot_end(&s);
	}
}

static void nap(struct run *r, struct reader *me, uint64_t most_ns)
{
	uint64_t at = r->now->rig.sim.now_ns + 1 + sim_random(&me->random) % most_ns;
	fiber_sleep_until(r->now->rig.config.loop, at);
}

/* Snapshots of several ages: a reader keeps one for a while. */
static void read_on(void *argument)
{
	struct reader *me = argument;
	struct run *r = me->run;
	while (!r->writer_done) {
		uint32_t o = (uint32_t)(sim_random(&me->random) % r->plan.objects);
		struct store_snapshot s;
		nap(r, me, 3000000);
		if (!r->now->object[o] || r->writer_done)
			continue;
		struct named *n = named_any(r, (uint32_t)sim_random(&me->random));
		if (n && n->made_at != UINT64_MAX && sim_random(&me->random) % 4 == 0) {
			named_read(r, n, 5);
			continue;
		}
		if (!r->plan.gentle && sim_random(&me->random) % 8 == 0) { /* while the writer goes on */
			(void)excused(r, store_checkpoint(store_of(r)));
			continue;
		}
		pass(r);
		store_snapshot_begin(r->now->object[o], &s);
		expect_size(r, &s, o);
		uint32_t reads = (uint32_t)(sim_random(&me->random) % 40);
		for (uint32_t i = 0; i < reads && store_snapshot_pages(&s); i++) {
			uint32_t p = (uint32_t)(sim_random(&me->random) % store_snapshot_pages(&s));
			read_one(r, &s, o, p % 16 ? p / r->plan.stride * r->plan.stride : p);
			if (sim_random(&me->random) % 8 == 0)
				nap(r, me, 8000000);
		}
		expect_size(r, &s, o);
		store_snapshot_end(&s);
	}
}

/* --- Writing --- */

static err change(struct run *r, struct store_txn *t, struct content *c)
{
	uint8_t page[STORE_PAGE_SIZE];
	if (one_in(r, r->plan.truncate_in)) {
		uint32_t pages = below(r, r->plan.pages * r->plan.stride + 1);
		TRY(store_txn_truncate(t, pages));
		for (uint64_t i = 0; i < PAGES_MAX; i++)
			c->id[i] = i * r->plan.stride < pages ? c->id[i] : 0;
		c->pages = pages;
		return OK;
	}
	uint32_t i = below(r, r->plan.pages), p = i * r->plan.stride;
	rig_fill(page, p, ++r->next_id);
	TRY(store_txn_write(t, p, page));
	c->id[i] = r->next_id;
	c->pages = p >= c->pages ? p + 1 : c->pages;
	return OK;
}

static err read_back(struct run *r, struct store_txn *t, const struct content *c, uint32_t object)
{
	uint8_t page[STORE_PAGE_SIZE];
	uint32_t i = below(r, r->plan.pages), p = i * r->plan.stride;
	CHECK(r, store_txn_pages(t) == c->pages, "a transaction sees %u pages, not %u", store_txn_pages(t),
		c->pages);
	if (p >= c->pages)
		return OK;
	TRY(store_txn_read(t, p, page));
	uint64_t found = rig_identify(page, p);
	CHECK(r, found == c->id[i], "a transaction on \"%s\" sees %lx as page %u, not %lx",
		object_names[object], (unsigned long)found, p, (unsigned long)c->id[i]);
	return OK;
}

static bool is_same(const struct content *a, const struct content *b)
{
	return a->pages == b->pages && !memcmp(a->id, b->id, sizeof a->id);
}

/* Its last part, and then all of it: readers may see it before the call returns. */
static err commit_large(struct run *r, struct store_txn *t, const struct content *c, uint32_t object)
{
	struct model *m = r->model;
	uint64_t generation = 0, before = store_generation(store_of(r));
	model_pass(m, before + 1);
	model_commit(m, object, c);
	err e = store_txn_commit(t, &generation);
	trace(r, "event %lu: generation %lu of \"%s\", %u pages, a large transaction: %s",
		(unsigned long)r->now->rig.disk.events, (unsigned long)generation, object_names[object], c->pages,
		err_text(e));
	if (failed(e) && e.code != ERR_IO)
		model_return_to(m, store_generation(store_of(r)));
	TRY(e);
	CHECK(r, generation == before + 2, "generation %lu follows upon %lu", (unsigned long)generation,
		(unsigned long)before);
	CHECK(r, store_durable_generation(store_of(r)) >= generation, "a large transaction is not durable");
	r->commits++;
	r->large_commits++;
	mix(r, generation);
	return OK;
}

static err commit(struct run *r, struct store_txn *t, const struct content *c, uint32_t object)
{
	struct model *m = r->model;
	uint64_t generation = 0;
	if (is_large(r))
		return commit_large(r, t, c, object);
	TRY(store_txn_commit(t, &generation));
	if (generation == m->newest) {
		CHECK(r, is_same(c, model_at(m, object, generation)), "changes without a generation");
		return OK;
	}
	CHECK(r, generation == m->newest + 1, "generation %lu follows upon %lu", (unsigned long)generation,
		(unsigned long)m->newest);
	model_commit(m, object, c);
	r->commits++;
	trace(r, "event %lu: generation %lu of \"%s\", %u pages", (unsigned long)r->now->rig.disk.events,
		(unsigned long)generation, object_names[object], c->pages);
	mix(r, generation);
	return OK;
}

/* Blocks that were not free though hardly any are needed: readers' at most. */
static void expect_full(struct run *r, uint32_t object, const struct content *c, err e)
{
	uint64_t used = 0;
	if (e.code != ERR_NO_SPACE || r->plan.readers || r->plan.stride > 1 || r->named_here)
		return;
	for (uint32_t o = 0; o < OBJECTS; o++)
		for (uint32_t p = 0; p < PAGES_MAX; p++)
			used += model_at(r->model, o, r->model->newest)->id[p] != 0;
	for (uint32_t p = 0; p < PAGES_MAX; p++)
		used += c->id[p] && c->id[p] != model_at(r->model, object, r->model->newest)->id[p];
	/* Superblocks, headers, and each object's map twice. */
	CHECK(r, 2 * used + 16 + 40 > size_now(r->now), "full with %lu of %lu blocks in use", (unsigned long)used,
		(unsigned long)size_now(r->now));
}

static err transaction(struct run *r)
{
	uint32_t object = below(r, r->plan.objects);
	bool large = !r->plan.gentle && one_in(r, r->plan.large_in);
	uint32_t changes = large ? 10 + below(r, r->plan.pages) : 1 + below(r, 5);
	if (large && one_in(r, 2)) /* of nearly all pages: more than one record names */
		changes = 3 * r->plan.pages;
	struct content c;
	struct store_txn *t;
	struct store_stats stats;
	if (!r->now->object[object])
		return OK;
	c = *model_at(r->model, object, r->model->newest);
	store_stats(store_of(r), &stats);
	r->large = stats.txns_large;
	err e = store_txn_begin(r->now->object[object], &t);
	if (failed(e)) {
		expect_full(r, object, &c, e);
		return e;
	}
	for (uint32_t i = 0; i < changes && !failed(e); i++) {
		e = i && one_in(r, 4) ? read_back(r, t, &c, object) : change(r, t, &c);
		pass(r);
	}
	if (failed(e) || one_in(r, r->plan.abort_in)) {
		store_txn_abort(t);
		pass(r);
		expect_full(r, object, &c, e);
		return e;
	}
	return commit(r, t, &c, object);
}

static err unless_full(struct run *r, err e)
{
	return e.code == ERR_NO_SPACE && !excused(r, e) ? OK : e;
}

static err step(struct run *r)
{
	struct store *s = store_of(r);
	TRY(objects_open(r));
	err e = transaction(r);
	if (e.code == ERR_NO_SPACE || e.code == ERR_NO_MEMORY) {
		(void)excused(r, e);
		e = OK;
	}
	TRY(e);
	if (one_in(r, r->plan.wait_in)) {
		uint64_t upto = r->model->newest;
		TRY(store_wait_durable(s, upto));
		CHECK(r, store_durable_generation(s) >= upto, "told durable too early");
	}
	if (one_in(r, r->plan.named_in))
		TRY(unless_full(r, named_step(r)));
	if (one_in(r, r->plan.delete_in))
		TRY(unless_full(r, objects_step(r)));
	if (!r->plan.gentle && one_in(r, r->plan.checkpoint_in))
		TRY(store_checkpoint(s));
	return OK;
}

static void write_on(void *argument)
{
	struct run *r = argument;
	for (uint32_t i = 0; i < r->steps_to_do; i++)
		if (!excused(r, step(r)) && store_state(store_of(r)) != STORE_OPEN)
			break;
	r->writer_done = true;
}

void work(struct run *r, uint32_t steps)
{
	r->steps_to_do = steps;
	r->writer_done = false;
	rig_spawn(&r->now->rig, write_on, r);
	for (uint32_t i = 0; i < r->plan.readers; i++) {
		r->reader[i] = (struct reader){.run = r, .random = sim_random(&r->random)};
		rig_spawn(&r->now->rig, read_on, &r->reader[i]);
	}
	rig_finish(&r->now->rig);
}
