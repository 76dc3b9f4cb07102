/* Objects are made, deleted, and put in the place of another. The first two take no generation of their own: after a
 * power cut meanwhile such an object may be there or not, of the same generation; a replacement is one, and whoever
 * has it has both halves. */
#include "sim.h"

static struct store *store_of(const struct run *r)
{
	return r->now->rig.store;
}

static uint64_t events(const struct run *r)
{
	return r->now->rig.disk.events;
}

/* A store that is still open after a failure has changed nothing; of another nobody knows before the next life. */
static err settle(struct run *r, err e)
{
	if (!failed(e))
		model_change_done(r->model, events(r));
	else if (store_state(store_of(r)) == STORE_OPEN)
		model_change_undo(r->model);
	return e;
}

static err make(struct run *r, uint32_t o)
{
	static const struct content nothing;
	struct store_object *object;
	model_change(r->model, o, &nothing, events(r));
	TRY(settle(r, store_object_open(store_of(r), object_names[o], true, &object)));
	trace(r, "event %lu: \"%s\" is made", (unsigned long)events(r), object_names[o]);
	r->now->object[o] = object;
	return OK;
}

err objects_open(struct run *r)
{
	struct model *m = r->model;
	for (uint32_t o = 0; o < r->plan.objects; o++) {
		struct store_object **object = &r->now->object[o];
		if (*object || (o && !one_in(r, 4)))
			continue;
		if (model_at(m, o, m->newest) == &model_absent)
			TRY(make(r, o));
		else
			TRY(store_object_open(store_of(r), object_names[o], false, object));
	}
	return OK;
}

/* A reader keeps it, or it is as it was. */
static err put_back(struct run *r, uint32_t o, err e)
{
	if (store_state(store_of(r)) != STORE_OPEN)
		return e;
	struct store_object *object;
	err there = store_object_open(store_of(r), object_names[o], false, &object);
	CHECK(r, !failed(there), "\"%s\" could not be deleted (%s), and is gone", object_names[o], err_text(e));
	r->now->object[o] = object;
	return e.code == ERR_BUSY ? OK : e;
}

/* Others may not begin to read it. */
static err delete(struct run *r, uint32_t o)
{
	struct store_object *object;
	r->now->object[o] = NULL;
	model_change(r->model, o, &model_absent, events(r));
	err e = settle(r, store_object_delete(store_of(r), object_names[o]));
	trace(r, "event %lu: \"%s\" is deleted: %s", (unsigned long)events(r), object_names[o], err_text(e));
	if (failed(e))
		return put_back(r, o, e);
	e = store_object_open(store_of(r), object_names[o], false, &object);
	CHECK(r, e.code == ERR_NOT_FOUND, "\"%s\" was deleted, and is there", object_names[o]);
	return OK;
}

/* Readers of `to` may see it before the call returns. */
static err replace(struct run *r, uint32_t to, uint32_t from)
{
	struct model *m = r->model;
	r->now->object[from] = NULL;
	model_replace(m, to, from);
	err e = store_object_replace(r->now->object[to], object_names[from]);
	uint64_t generation = store_generation(store_of(r));
	trace(r, "event %lu: \"%s\" is put in the place of \"%s\", generation %lu: %s", (unsigned long)events(r),
		object_names[from], object_names[to], (unsigned long)m->newest, err_text(e));
	if (failed(e)) {
		if (store_state(store_of(r)) == STORE_OPEN)
			model_return_to(m, generation);
		return put_back(r, from, e);
	}
	CHECK(r, generation == m->newest, "a replacement is generation %lu, not %lu", (unsigned long)generation,
		(unsigned long)m->newest);
	CHECK(r, store_durable_generation(store_of(r)) >= generation, "a replacement is not durable");
	return OK;
}

err objects_step(struct run *r)
{
	uint32_t o = below(r, r->plan.objects), to = below(r, r->plan.objects);
	if (!r->now->object[o] || r->model->change_count + 2 * OBJECTS > CHANGES_MAX)
		return OK;
	return to == o || !r->now->object[to] ? delete(r, o) : replace(r, to, o);
}
