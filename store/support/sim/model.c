#include "sim.h"

#include <base/assert.h>
#include <stdlib.h>

/* Contents are shared by the generations that did not change them, and live until the process ends. */
const struct content model_absent;

void model_init(struct model *m)
{
	m->newest = 0;
	m->change_count = 0;
	for (uint32_t o = 0; o < OBJECTS; o++)
		m->formed[o][0] = m->at[o][0] = &model_absent;
}

static void go_on(struct model *m)
{
	ASSERT(m->newest + 1 < GENERATIONS_MAX);
	for (uint32_t o = 0; o < OBJECTS; o++)
		m->formed[o][m->newest + 1] = m->at[o][m->newest + 1] = m->at[o][m->newest];
	m->newest++;
}

static void set(struct model *m, uint32_t object, const struct content *content)
{
	m->formed[object][m->newest] = m->at[object][m->newest] = content;
}

void model_commit(struct model *m, uint32_t object, const struct content *content)
{
	struct content *copy = malloc(sizeof *copy);
	ASSERT(copy);
	*copy = *content;
	go_on(m);
	set(m, object, copy);
}

void model_replace(struct model *m, uint32_t object, uint32_t from)
{
	go_on(m);
	set(m, object, m->at[from][m->newest]);
	set(m, from, &model_absent);
}

void model_change(struct model *m, uint32_t object, const struct content *content, uint64_t event)
{
	ASSERT(m->change_count < CHANGES_MAX);
	m->change[m->change_count++] = (struct model_change){content, object, m->newest, event, UINT64_MAX};
}

/* Nobody reads it meanwhile. */
void model_change_done(struct model *m, uint64_t event)
{
	struct model_change *c = &m->change[m->change_count - 1];
	c->at = event;
	m->at[c->object][m->newest] = c->content;
}

void model_change_undo(struct model *m)
{
	m->change_count--;
}

const struct content *model_find(const struct model *m, uint32_t object, uint64_t generation, uint64_t event,
	bool there, uint32_t pages)
{
	const struct content *could = m->formed[object][generation], *found = NULL;
	if ((could != &model_absent) == there && could->pages == pages)
		found = could;
	for (uint32_t i = 0; i < m->change_count; i++) {
		const struct model_change *c = &m->change[i];
		if (c->object != object || c->generation != generation || c->from + 1 >= event)
			continue;
		bool is = (c->content != &model_absent) == there && c->content->pages == pages;
		if (c->at < event && event != UINT64_MAX) /* what was before cannot be */
			found = NULL;
		found = is ? c->content : found;
	}
	return found;
}

void model_wake(struct model *m, const struct content *const found[OBJECTS])
{
	m->change_count = 0;
	for (uint32_t o = 0; o < OBJECTS; o++)
		set(m, o, found && found[o] ? found[o] : m->at[o][m->newest]);
}

const struct content *model_at(const struct model *m, uint32_t object, uint64_t generation)
{
	ASSERT(generation <= m->newest);
	return m->at[object][generation];
}

void model_return_to(struct model *m, uint64_t generation)
{
	ASSERT(generation <= m->newest);
	m->newest = generation;
}

void model_pass(struct model *m, uint64_t generation)
{
	while (m->newest < generation)
		go_on(m);
}
