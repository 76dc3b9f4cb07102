#include "model.h"

#include "media.h"

#include <stdlib.h>
#include <string.h>

static const uint32_t place[PLACES] = {0, 1, 2, 3, 4, 5, 8, 200, 254, 255, 256, 257, 300, 511, 512, 600, 5000,
	65534, 65535, 65536, 65537, 66000, 70000};
static const char *const object_name[OBJECTS] = {"main", "second", "third"};
static const char *const snapshot_name[NAMED] = {"monday", "before update", "c", "d",
	"a name of thirty-one characters", "x"};

static uint32_t below(struct run *r, uint32_t bound)
{
	return (uint32_t)(sim_random(&r->random) % bound);
}

static struct state *now(struct run *r)
{
	return &r->model->state[r->model->newest];
}

/* The next state, so far the same; it may be found from now on. */
static struct state *advance(struct run *r)
{
	struct model *m = r->model;
	assert_true(m->newest + 1 < STATES);
	m->state[m->newest + 1] = m->state[m->newest];
	m->newest++;
	m->generation[m->newest] = 0;
	return &m->state[m->newest];
}

static void note_event(void *cookie)
{
	struct run *r = cookie;
	struct model *m = r->model;
	uint64_t at = r->rig.disk.events + 1;
	uint64_t durable = r->rig.store ? store_durable_generation(r->rig.store) : 0;
	assert_true(at < EVENTS);
	for (uint32_t k = m->acknowledged + 1; k <= m->newest; k++)
		if (m->generation[k] && m->generation[k] <= durable)
			m->acknowledged = k;
	m->floor_at[at] = m->acknowledged;
	m->newest_at[at] = m->newest;
}

/* --- Looking --- */

static bool content_is(struct store_snapshot *s, const struct content *c)
{
	if (store_snapshot_pages(s) != c->pages)
		return false;
	for (uint32_t i = 0; i < PLACES; i++)
		if (place[i] < c->pages && world_read(s, place[i]) != c->id[i])
			return false;
	return true;
}

static bool object_is(struct run *r, uint32_t i, const struct content *c)
{
	struct store_object *o;
	struct store_snapshot s;
	err e = store_object_open(r->rig.store, object_name[i], false, &o);
	if (failed(e))
		return e.code == ERR_NOT_FOUND && !c->exists;
	if (!c->exists)
		return false;
	store_snapshot_begin(o, &s);
	bool same = content_is(&s, c);
	store_snapshot_end(&s);
	return same;
}

bool model_find_named(const struct store *s, const char *name, struct store_named_info *out)
{
	for (uint32_t cursor = 0; store_named_next(s, &cursor, out);)
		if (!strcmp(out->name, name))
			return true;
	return false;
}

static bool named_is(struct run *r, uint32_t i, const struct kept *k)
{
	struct store_snapshot s;
	struct store_named_info info;
	if (!model_find_named(r->rig.store, snapshot_name[i], &info))
		return !k->content.exists;
	const char *object = k->object < 0 ? "" : object_name[k->object];
	if (!k->content.exists || info.time != k->time || info.pages != k->content.pages ||
		strcmp(info.object, object))
		return false;
	must(store_named_begin(r->rig.store, snapshot_name[i], &s));
	bool same = content_is(&s, &k->content);
	store_snapshot_end(&s);
	return same;
}

static bool state_is(struct run *r, const struct state *state)
{
	for (uint32_t i = 0; i < OBJECTS; i++)
		if (!object_is(r, i, &state->object[i]))
			return false;
	for (uint32_t i = 0; i < NAMED; i++)
		if (!named_is(r, i, &state->kept[i]))
			return false;
	return true;
}

uint32_t model_find(struct run *r, uint32_t least, uint32_t most)
{
	for (uint32_t k = most + 1; k-- > least;)
		if (state_is(r, &r->model->state[k]))
			return k;
	return UINT32_MAX;
}

void model_keep(struct model *m, uint32_t k)
{
	m->state[0] = m->state[k];
	m->newest = m->acknowledged = 0;
}

/* Blocks that an empty volume uses. */
static uint32_t used_by_nothing(void)
{
	static uint32_t used;
	struct store_stats stats;
	struct rig r;
	if (used)
		return used;
	rig_init(&r, 1 * MIB, 4096, 1, 4);
	must(rig_open(&r));
	store_stats(r.store, &stats);
	used = (uint32_t)(stats.blocks - stats.blocks_free);
	must(rig_close(&r));
	rig_free(&r);
	return used;
}

/* After a checkpoint, without readers: what is used is what the maps refer to. */
void model_expect_no_leak(struct rig *r)
{
	struct store_stats stats;
	must(store_checkpoint(r->store));
	must(store_checkpoint(r->store));
	store_stats(r->store, &stats);
	struct media_use use = media_walk(r->disk.media, r->disk.bytes);
	assert_false(use.twice);
	assert_int_equal(use.unlike, 0);
	assert_int_equal(stats.blocks - stats.blocks_free, use.blocks + used_by_nothing());
	const struct volume_superblock *b = media_superblock(r->disk.media);
	bool any = false;
	for (uint32_t i = 0; i < VOLUME_OBJECTS_MAX; i++)
		any |= b->object[i].kind || b->object[i].line;
	assert_int_equal(b->features_incompatible & VOLUME_FEATURE_VERSIONS, any);
}

/* --- Changing --- */

static void change(struct run *r, struct store_txn *t, struct content *c)
{
	uint8_t page[STORE_PAGE_SIZE];
	if (below(r, 9) == 0) {
		uint32_t pages = below(r, 3) ? place[below(r, PLACES)] : below(r, 300);
		must(store_txn_truncate(t, pages));
		for (uint32_t i = 0; i < PLACES; i++)
			if (place[i] >= pages)
				c->id[i] = 0;
		c->pages = pages;
		return;
	}
	uint32_t i = below(r, below(r, 3) ? 12 : PLACES);
	rig_fill(page, place[i], ++r->next_id);
	must(store_txn_write(t, place[i], page));
	c->id[i] = r->next_id;
	if (place[i] >= c->pages)
		c->pages = place[i] + 1;
}

static void do_commit(struct run *r, uint32_t object)
{
	struct model *m = r->model;
	struct store_object *o;
	struct store_txn *t;
	uint64_t generation;
	must(store_object_open(r->rig.store, object_name[object], false, &o));
	struct content c = now(r)->object[object];
	must(store_txn_begin(o, &t));
	for (uint32_t changes = 1 + below(r, 6); changes; changes--)
		change(r, t, &c);
	if (below(r, 10) == 0) {
		store_txn_abort(t);
		return;
	}
	uint64_t before = store_generation(r->rig.store);
	must(store_txn_commit(t, &generation));
	if (generation == before)
		return;
	struct state *next = advance(r);
	next->object[object] = c;
	m->generation[m->newest] = generation;
	if (below(r, 3) == 0) {
		must(store_wait_durable(r->rig.store, generation));
		m->acknowledged = m->newest;
	}
}

/* What the next state was made for has been done, or refused as it should be. */
static void settle(struct run *r, err e, enum err_code expected)
{
	assert_int_equal(e.code, expected);
	if (failed(e)) {
		r->model->newest--;
		return;
	}
	r->model->acknowledged = r->model->newest;
	r->admin++;
}

static bool is_read(const struct run *r, int32_t object, uint32_t kept)
{
	for (uint32_t i = 0; i < READERS; i++)
		if (r->reader[i].open && r->reader[i].object == object &&
			(object >= 0 || r->reader[i].kept == kept))
			return true;
	return false;
}

static void do_create(struct run *r, uint32_t object, uint32_t i)
{
	struct store_object *o;
	bool taken = now(r)->kept[i].content.exists;
	must(store_object_open(r->rig.store, object_name[object], false, &o));
	struct state *next = advance(r);
	next->kept[i] = (struct kept){next->object[object], 1000 + r->next_id, (int32_t)object};
	settle(r, store_named_create(o, snapshot_name[i], 1000 + r->next_id), taken ? ERR_DENIED : ERR_OK);
}

static void do_delete(struct run *r, uint32_t i)
{
	struct state *next = advance(r);
	enum err_code expected = !next->kept[i].content.exists ? ERR_NOT_FOUND :
				 is_read(r, -1, i) ? ERR_BUSY : ERR_OK;
	next->kept[i] = (struct kept){.object = 0};
	settle(r, store_named_delete(r->rig.store, snapshot_name[i]), expected);
}

static void do_restore(struct run *r, uint32_t object, uint32_t i)
{
	struct store_object *o;
	must(store_object_open(r->rig.store, object_name[object], false, &o));
	struct state *next = advance(r);
	enum err_code expected = next->kept[i].content.exists ? ERR_OK : ERR_NOT_FOUND;
	next->object[object] = next->kept[i].content;
	settle(r, store_named_restore(o, snapshot_name[i]), expected);
}

static void forget_parent(struct state *state, uint32_t object)
{
	for (uint32_t i = 0; i < NAMED; i++)
		if (state->kept[i].content.exists && state->kept[i].object == (int32_t)object)
			state->kept[i].object = -1;
}

static void do_object_delete(struct run *r, uint32_t object)
{
	struct state *next = advance(r);
	next->object[object] = (struct content){.exists = false};
	forget_parent(next, object);
	settle(r, store_object_delete(r->rig.store, object_name[object]),
		is_read(r, (int32_t)object, 0) ? ERR_BUSY : ERR_OK);
}

static void do_replace(struct run *r, uint32_t object, uint32_t from)
{
	struct store_object *o;
	must(store_object_open(r->rig.store, object_name[object], false, &o));
	struct state *next = advance(r);
	enum err_code expected = object == from ? ERR_INVALID :
				 is_read(r, (int32_t)from, 0) ? ERR_BUSY : ERR_OK;
	next->object[object] = next->object[from];
	next->object[from] = (struct content){.exists = false};
	forget_parent(next, from);
	settle(r, store_object_replace(o, object_name[from]), expected);
}

static void do_object_create(struct run *r, uint32_t object)
{
	struct store_object *o;
	struct state *next = advance(r);
	next->object[object] = (struct content){.exists = true};
	settle(r, store_object_open(r->rig.store, object_name[object], true, &o), ERR_OK);
}

static void end_reader(struct reader *reader)
{
	if (!reader->open)
		return;
	assert_true(content_is(&reader->snapshot, &reader->content));
	store_snapshot_end(&reader->snapshot);
	reader->open = false;
}

static void toggle_reader(struct run *r)
{
	struct reader *reader = &r->reader[below(r, READERS)];
	struct store_object *o;
	uint32_t object = below(r, OBJECTS), i = below(r, NAMED);
	if (reader->open) {
		end_reader(reader);
	} else if (below(r, 2) && now(r)->object[object].exists) {
		must(store_object_open(r->rig.store, object_name[object], false, &o));
		store_snapshot_begin(o, &reader->snapshot);
		reader->object = (int32_t)object;
		reader->content = now(r)->object[object];
		reader->open = true;
	} else if (now(r)->kept[i].content.exists) {
		must(store_named_begin(r->rig.store, snapshot_name[i], &reader->snapshot));
		assert_false(store_snapshot_is_newest(&reader->snapshot));
		reader->object = -1;
		reader->kept = i;
		reader->content = now(r)->kept[i].content;
		reader->open = true;
	}
}

static void end_readers(struct run *r)
{
	for (uint32_t i = 0; i < READERS; i++)
		end_reader(&r->reader[i]);
}

static void do_step(struct run *r)
{
	uint32_t what = below(r, 30), object = below(r, OBJECTS), i = below(r, NAMED);
	if (!now(r)->object[object].exists)
		do_object_create(r, object);
	else if (what < 14)
		do_commit(r, object);
	else if (what < 19)
		do_create(r, object, i);
	else if (what < 22)
		do_delete(r, i);
	else if (what < 24)
		do_restore(r, object, i);
	else if (what < 25)
		must(store_checkpoint(r->rig.store));
	else if (what < 28)
		toggle_reader(r);
	else if (what < 29)
		do_object_delete(r, object);
	else if (now(r)->object[i % OBJECTS].exists)
		do_replace(r, object, i % OBJECTS);
}

void model_work(void *argument)
{
	struct run *r = argument;
	for (uint32_t step = 0; step < r->steps; step++)
		do_step(r);
	end_readers(r);
}

void model_examine(void *argument)
{
	struct run *r = argument;
	assert_true(state_is(r, now(r)));
	must(store_check(r->rig.store, NULL));
	model_expect_no_leak(&r->rig);
}

void model_start(struct run *r, struct model *m, uint64_t seed, uint64_t blocks, uint32_t sector)
{
	memset(r, 0, sizeof *r);
	rig_init(&r->rig, blocks * 4096, sector, seed, 6);
	r->rig.config.cache_pages = 32 + (uint32_t)(seed % 3) * 16;
	r->model = m;
	r->random = seed;
	r->next_id = seed << 32;
	r->rig.disk.on_event = note_event;
	r->rig.disk.cookie = r;
}

void model_finish(struct run *r)
{
	rig_crash(&r->rig);
	rig_free(&r->rig);
}
