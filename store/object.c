/* The table of the superblock: objects, and named snapshots of them. docs/volume-format.md, "Lines and
 * versions".
 *
 * 1. Who changes the table holds s->admin.busy; the change itself is made by a checkpoint, which makes it
 *    durable in one step (table_change_*, on the checkpoint fiber).
 * 2. A change that gives an object other content, or takes one away, is made in a store at rest: no transaction
 *    can be begun (admin.exclusive), and a checkpoint before it has put all that was committed in the maps.
 * 3. What is hidden is not there for others: it is being made, or is going. */
#include "private.h"

/* No other object can be called so. */
static const char branch_name[] = "\1transaction";

static const struct table_change no_change = {VERSION_NONE, VERSION_NONE, VERSION_NONE, VERSION_NONE};

/* --- The superblock's table --- */

static bool is_zero(const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

static uint32_t line_of(const struct volume_object *o, uint32_t i)
{
	return o->line ? o->line - 1u : i;
}

static bool is_object(const struct volume_object *o)
{
	return o->name[0] && o->kind == VOLUME_KIND_OBJECT;
}

static bool map_is_sane(const struct store *s, const struct volume_object *o)
{
	if (o->name[VOLUME_NAME_SIZE - 1] || o->levels > VOLUME_MAP_LEVELS_MAX)
		return false;
	if (!o->root.block)
		return o->levels == 0;
	return o->levels && map_entry_is_sane(s, &o->root) && map_levels(o->pages) <= o->levels;
}

static bool entry_is_sane(const struct volume_superblock *b, uint32_t i)
{
	const struct volume_object *o = &b->object[i];
	const struct volume_version *v = &b->versions[i];
	bool versions = b->features_incompatible & VOLUME_FEATURE_VERSIONS;
	if (!o->name[0])
		return is_zero(o, sizeof *o) && is_zero(v, sizeof *v);
	if (o->reserved || v->reserved || v->fork > b->generation || (!versions && (o->kind || o->line)))
		return false;
	if (o->kind == VOLUME_KIND_OBJECT)
		return !o->parent && !v->generation;
	return o->kind == VOLUME_KIND_SNAPSHOT && o->line && v->generation <= b->generation &&
	       v->fork <= v->generation && o->parent <= VOLUME_OBJECTS_MAX &&
	       (!o->parent || is_object(&b->object[o->parent - 1]));
}

/* A name stands for one thing, and a chain has one object. */
static bool pair_is_sane(const struct volume_superblock *b, uint32_t i, uint32_t j)
{
	const struct volume_object *x = &b->object[i], *y = &b->object[j];
	if (!x->name[0] || !y->name[0] || x->kind != y->kind)
		return true;
	if (!strcmp((const char *)x->name, (const char *)y->name))
		return false;
	return x->kind != VOLUME_KIND_OBJECT || line_of(x, i) != line_of(y, j) ||
	       b->versions[i].fork != b->versions[j].fork;
}

bool table_is_sane(const struct store *s, const struct volume_superblock *b)
{
	for (uint32_t i = 0; i < VOLUME_OBJECTS_MAX; i++) {
		if (!entry_is_sane(b, i) || !map_is_sane(s, &b->object[i]))
			return false;
		for (uint32_t j = 0; j < i; j++)
			if (!pair_is_sane(b, i, j))
				return false;
	}
	return true;
}

static void load_object(struct store *s, const struct volume_object *from, uint32_t i,
	uint64_t generation)
{
	struct store_object *o = &s->object[i];
	o->used = true;
	o->root = from->root;
	o->levels = from->levels;
	o->base_pages = o->pages = o->record_low = o->batch_pages = o->durable_pages = from->pages;
	o->changed_at = generation;
	o->line = s->version[i].line;
	o->truncations = 0;
}

void table_load(struct store *s, const struct volume_superblock *b)
{
	for (uint32_t i = 0; i < VOLUME_OBJECTS_MAX; i++) {
		const struct volume_object *from = &b->object[i];
		struct version *v = &s->version[i];
		*v = (struct version){.used = from->name[0] != 0};
		if (!v->used)
			continue;
		memcpy(s->object[i].name, from->name, VOLUME_NAME_SIZE);
		v->named = from->kind == VOLUME_KIND_SNAPSHOT;
		v->root = from->root;
		v->levels = from->levels;
		v->pages = from->pages;
		v->line = (uint16_t)line_of(from, i);
		v->parent = from->parent ? (uint8_t)(from->parent - 1) : VERSION_NONE;
		v->generation = v->named ? b->versions[i].generation : GENERATION_NEVER;
		v->time = b->versions[i].time;
		v->fork = b->versions[i].fork;
		v->hidden = from->name[0] == branch_name[0] && !v->named;
		s->object[i].changed_at = GENERATION_NEVER;
		if (!v->named)
			load_object(s, from, i, b->generation);
	}
}

static void fill_entry(const struct store *s, const struct table_change *change, struct volume_superblock *b,
	uint32_t i)
{
	const struct version *v = &s->version[i];
	struct volume_object *o = &b->object[i];
	memcpy(o->name, s->object[i].name, sizeof o->name);
	o->root = v->root;
	o->levels = v->levels;
	o->pages = v->pages;
	o->kind = v->named ? VOLUME_KIND_SNAPSHOT : VOLUME_KIND_OBJECT;
	o->line = v->named || v->line != i ? (uint16_t)(v->line + 1) : 0;
	if (v->named) {
		bool orphan = v->parent == VERSION_NONE || v->parent == change->remove;
		o->parent = orphan ? 0 : (uint16_t)(v->parent + 1);
		b->versions[i].generation = v->generation;
		b->versions[i].time = v->time;
	}
	b->versions[i].fork = v->fork;
	if (o->line)
		b->features_incompatible |= VOLUME_FEATURE_VERSIONS;
	b->object_count = i + 1;
}

/* --- The checkpoint's part --- */

/* A reader of an object of the line may have a page as one that was changed after its base: then its map does
 * not show that the block is needed. */
static err release_block(struct share_walk *w, uint32_t level, uint32_t index,
	const struct volume_entry *e)
{
	struct store *s = w->query.s;
	if (!map_entry_is_sane(s, e))
		return ERR(CORRUPT);
	if (!level)
		delta_unmap_line(s, s->version[w->query.self].line, index, e->block);
	return space_superseded(s, e);
}

/* Frees what no other version has. What lies below a damaged node stays used until the next opening, which
 * finds no space map and makes a new one. */
static err release(struct store *s, uint32_t slot)
{
	struct share_walk w = {.visit = release_block};
	delta_unmap_all(s, slot);
	share_query_init(&w.query, s, slot, UINT32_MAX);
	err e = share_walk(&w);
	s->space.leaky |= w.damaged;
	return e;
}

err table_change_begin(struct store *s, const struct table_change *change, uint64_t generation)
{
	if (change->to != VERSION_NONE) {
		struct version *to = &s->version[change->to];
		const struct version *from = &s->version[change->from];
		TRY(release(s, change->to));
		to->root = from->root;
		to->levels = from->levels;
		to->line = from->line;
		to->pages = from->named ? from->pages : s->object[change->from].durable_pages;
		to->fork = generation;
	}
	if (change->remove != VERSION_NONE) {
		TRY(release(s, change->remove));
		s->version[change->remove].used = false;
	}
	return OK;
}

static void add_snapshot(struct store *s, uint32_t slot, uint64_t generation)
{
	struct version *v = &s->version[slot];
	const struct version *parent = &s->version[v->parent];
	v->root = parent->root;
	v->levels = parent->levels;
	v->pages = parent->pages;
	v->line = parent->line;
	v->fork = parent->fork;
	v->generation = generation;
	v->used = true;
}

void table_change_fill(struct store *s, const struct table_change *change, struct volume_superblock *b)
{
	if (change->add != VERSION_NONE)
		add_snapshot(s, change->add, b->generation);
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++)
		if (s->version[i].used)
			fill_entry(s, change, b, i);
}

void table_change_abandon(struct store *s, const struct table_change *change, const struct version *was)
{
	if (change->to != VERSION_NONE) {
		s->version[change->to].line = was->line;
		s->version[change->to].fork = was->fork;
	}
	if (change->remove != VERSION_NONE)
		s->version[change->remove].used = true;
	if (change->add != VERSION_NONE)
		s->version[change->add].used = false;
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++) {
		if (!s->object[i].used)
			continue;
		s->version[i].root = s->object[i].root;
		s->version[i].levels = s->object[i].levels;
	}
}

void table_change_done(struct store *s, const struct table_change *change,
	const struct volume_superblock *b)
{
	if (change->to != VERSION_NONE) {
		s->object[change->to].truncations = 0;
		load_object(s, &b->object[change->to], change->to, b->generation);
		s->generation = s->journal.durable = b->generation;
		cache_supersede(s, change->to, 0, true, b->generation);
	}
	if (change->remove != VERSION_NONE) {
		for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++)
			if (s->version[i].parent == change->remove)
				s->version[i].parent = VERSION_NONE;
		s->object[change->remove] = (struct store_object){.store = s, .id = change->remove};
		s->version[change->remove] = (struct version){.used = false};
	}
}

/* --- Changing it --- */

static void enter(struct store *s)
{
	while (s->admin.busy)
		store_wait(s, &s->admin.queue);
	s->admin.busy = true;
}

static err leave(struct store *s, err e)
{
	s->admin.busy = s->admin.exclusive = false;
	(void)fiber_queue_wake_one(&s->admin.queue);
	return e;
}

static err name_check(const char *name)
{
	size_t len = 0;
	for (; len <= STORE_OBJECT_NAME_MAX && name[len]; len++)
		if ((uint8_t)name[len] < ' ' || name[len] == 0x7f)
			return ERR(INVALID);
	return len && len <= STORE_OBJECT_NAME_MAX ? OK : ERR(INVALID);
}

static uint32_t slot_find(const struct store *s, const char *name, bool named)
{
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++) {
		const struct version *v = &s->version[i];
		if (v->used && !v->hidden && v->named == named && !strcmp(s->object[i].name, name))
			return i;
	}
	return VERSION_NONE;
}

static uint32_t slot_take(struct store *s, const char *name)
{
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++) {
		if (s->version[i].used)
			continue;
		cache_forget(s, i);
		s->object[i] = (struct store_object){.store = s, .id = i, .changed_at = GENERATION_NEVER};
		memcpy(s->object[i].name, name, strlen(name));
		return i;
	}
	return VERSION_NONE;
}

/* Has the next checkpoint make the change. */
static err apply(struct store *s, struct table_change change)
{
	/* A checkpoint that somebody else asks for may take the change, so it must not come too early. */
	TRY(store_wait_durable(s, s->generation));
	s->admin.change = change;
	s->admin.pending = true;
	s->checkpoint.force = true;
	err e = checkpoint_now(s);
	s->admin.pending = false;
	return e;
}

/* Nobody but us commits. */
static err apply_at_rest(struct store *s, struct table_change change)
{
	s->admin.exclusive = true;
	TRY(checkpoint_now(s));
	ASSERT(s->generation == s->base);
	return apply(s, change);
}

static err apply_alone(struct store *s, struct table_change change)
{
	return s->txn.open ? ERR(BUSY) : apply_at_rest(s, change);
}

static uint16_t new_line(const struct store *s, uint32_t slot)
{
	uint32_t line = slot;
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX;) {
		if (s->version[i].used && s->version[i].line == line) {
			line = line < STORE_OBJECTS_MAX ? STORE_OBJECTS_MAX : line + 1;
			i = 0;
		} else {
			i++;
		}
	}
	return (uint16_t)line;
}

/* Empty, and hidden. */
static uint32_t slot_prepare(struct store *s, const char *name)
{
	uint32_t slot = slot_take(s, name);
	if (slot == VERSION_NONE)
		return slot;
	struct store_object *o = &s->object[slot];
	struct version *v = &s->version[slot];
	*v = (struct version){.used = true, .hidden = true, .generation = GENERATION_NEVER,
		.line = new_line(s, slot), .parent = VERSION_NONE};
	o->used = true;
	o->line = v->line;
	o->changed_at = s->generation;
	return slot;
}

static err object_create(struct store *s, const char *name, uint32_t *slot)
{
	if (s->txn.open)
		return ERR(BUSY);
	if (s->state != STORE_OPEN)
		return ERR(IO);
	*slot = slot_prepare(s, name);
	if (*slot == VERSION_NONE)
		return ERR(NO_SPACE);
	struct store_object *o = &s->object[*slot];
	struct version *v = &s->version[*slot];
	err e = apply(s, no_change);
	v->hidden = false;
	o->used = v->used = !failed(e);
	return e;
}

err store_object_open(struct store *s, const char *name, bool create, struct store_object **object)
{
	TRY(name_check(name));
	uint32_t slot = slot_find(s, name, false);
	if (slot == VERSION_NONE && !create)
		return ERR(NOT_FOUND);
	if (slot == VERSION_NONE) {
		enter(s);
		slot = slot_find(s, name, false); /* another fiber may have made it meanwhile */
		TRY(leave(s, slot == VERSION_NONE ? object_create(s, name, &slot) : OK));
	}
	*object = &s->object[slot];
	return OK;
}

static bool next(const struct store *s, uint32_t *cursor, bool named, uint32_t *slot)
{
	while (*cursor < STORE_OBJECTS_MAX) {
		const struct version *v = &s->version[*slot = (*cursor)++];
		if (v->used && !v->hidden && v->named == named)
			return true;
	}
	return false;
}

bool store_object_next(const struct store *s, uint32_t *cursor, struct store_object_info *out)
{
	uint32_t slot;
	if (!next(s, cursor, false, &slot))
		return false;
	memcpy(out->name, s->object[slot].name, sizeof out->name);
	out->pages = s->object[slot].pages;
	return true;
}

/* Nobody may find it from now on. */
static err object_hide(struct store *s, uint32_t slot)
{
	if (s->state != STORE_OPEN)
		return ERR(IO);
	for (const struct list *e = s->snapshots.next; e != &s->snapshots; e = e->next)
		if (LIST_ENTRY(e, const struct store_snapshot, link)->object_id == slot)
			return ERR(BUSY);
	s->version[slot].hidden = true;
	return OK;
}

static err object_remove(struct store *s, const char *name, struct store_object *to)
{
	struct table_change change = no_change;
	uint32_t slot = slot_find(s, name, false);
	if (slot == VERSION_NONE)
		return ERR(NOT_FOUND);
	if (to == &s->object[slot])
		return ERR(INVALID);
	change.remove = (uint8_t)slot;
	if (to) {
		change.from = (uint8_t)slot;
		change.to = (uint8_t)to->id;
	}
	TRY(object_hide(s, slot));
	err e = apply_alone(s, change);
	s->version[slot].hidden = false;
	return e;
}

err store_object_delete(struct store *s, const char *name)
{
	enter(s);
	return leave(s, object_remove(s, name, NULL));
}

err store_object_replace(struct store_object *object, const char *from)
{
	enter(object->store);
	return leave(object->store, object->used ? object_remove(object->store, from, object) :
						   ERR(NOT_FOUND));
}

/* --- Large transactions --- */

static err fork(struct store_object *o, struct store_object **branch)
{
	struct store *s = o->store;
	struct table_change change = no_change;
	uint32_t slot = slot_prepare(s, branch_name);
	if (slot == VERSION_NONE)
		return ERR(NO_MEMORY);
	change.from = (uint8_t)o->id;
	change.to = (uint8_t)slot;
	err e = apply_at_rest(s, change);
	if (failed(e))
		s->object[slot].used = s->version[slot].used = false;
	else
		*branch = &s->object[slot];
	return e;
}

err object_fork(struct store_object *o, struct store_object **branch)
{
	enter(o->store);
	return leave(o->store, fork(o, branch));
}

err object_join(struct store_object *branch, struct store_object *to)
{
	struct table_change change = no_change;
	change.from = change.remove = (uint8_t)branch->id;
	change.to = (uint8_t)to->id;
	enter(to->store);
	return leave(to->store, apply_at_rest(to->store, change));
}

static err drop_branches(struct store *s)
{
	struct table_change change = no_change;
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++) {
		change.remove = (uint8_t)i;
		if (s->object[i].used && s->object[i].name[0] == branch_name[0])
			TRY(apply_at_rest(s, change));
	}
	return OK;
}

err object_drop_branch(struct store *s)
{
	enter(s);
	err e = leave(s, drop_branches(s));
	s->branch_left = failed(e);
	return e;
}

/* --- Named snapshots --- */

static err named_create(struct store_object *o, const char *name, uint64_t time)
{
	struct store *s = o->store;
	struct table_change change = no_change;
	if (s->state != STORE_OPEN)
		return ERR(IO);
	if (!o->used)
		return ERR(NOT_FOUND);
	if (slot_find(s, name, true) != VERSION_NONE)
		return ERR(DENIED);
	uint32_t slot = slot_take(s, name);
	if (slot == VERSION_NONE)
		return ERR(NO_SPACE);
	struct version *v = &s->version[slot];
	*v = (struct version){.named = true, .hidden = true, .time = time, .parent = (uint8_t)o->id};
	change.add = (uint8_t)slot;
	err e = apply(s, change);
	v->hidden = false;
	return e;
}

err store_named_create(struct store_object *o, const char *name, uint64_t time)
{
	TRY(name_check(name));
	enter(o->store);
	return leave(o->store, named_create(o, name, time));
}

bool store_named_next(const struct store *s, uint32_t *cursor, struct store_named_info *out)
{
	uint32_t slot;
	if (!next(s, cursor, true, &slot))
		return false;
	const struct version *v = &s->version[slot];
	*out = (struct store_named_info){.generation = v->generation, .time = v->time, .pages = v->pages};
	memcpy(out->name, s->object[slot].name, sizeof out->name);
	if (v->parent != VERSION_NONE)
		memcpy(out->object, s->object[v->parent].name, sizeof out->object);
	return true;
}

static err named_delete(struct store *s, const char *name)
{
	struct table_change change = no_change;
	uint32_t slot = slot_find(s, name, true);
	if (slot == VERSION_NONE)
		return ERR(NOT_FOUND);
	if (s->state != STORE_OPEN)
		return ERR(IO);
	struct version *v = &s->version[slot];
	if (v->readers)
		return ERR(BUSY);
	v->hidden = true;
	change.remove = (uint8_t)slot;
	err e = apply(s, change);
	v->hidden = false;
	return e;
}

err store_named_delete(struct store *s, const char *name)
{
	enter(s);
	return leave(s, named_delete(s, name));
}

static err named_restore(struct store_object *o, const char *name)
{
	struct store *s = o->store;
	struct table_change change = no_change;
	uint32_t slot = slot_find(s, name, true);
	if (slot == VERSION_NONE || !o->used)
		return ERR(NOT_FOUND);
	if (s->state != STORE_OPEN)
		return ERR(IO);
	change.from = (uint8_t)slot;
	change.to = (uint8_t)o->id;
	return apply_alone(s, change);
}

err store_named_restore(struct store_object *o, const char *name)
{
	enter(o->store);
	return leave(o->store, named_restore(o, name));
}

err store_named_begin(struct store *s, const char *name, struct store_snapshot *snap)
{
	uint32_t slot = slot_find(s, name, true);
	if (slot == VERSION_NONE)
		return ERR(NOT_FOUND);
	struct version *v = &s->version[slot];
	*snap = (struct store_snapshot){.object = &s->object[slot], .generation = v->generation,
		.base_generation = v->generation, .root_checksum = v->root.checksum,
		.root_block = v->root.block, .root_generation = v->root.generation,
		.pages = v->pages, .base_pages = v->pages, .object_id = (uint16_t)slot,
		.line = v->line, .levels = (uint8_t)v->levels, .named = (uint8_t)(slot + 1)};
	list_init(&snap->link);
	v->readers++;
	return OK;
}
