#include "sim.h"

#include <base/assert.h>
#include <stdlib.h>

/* Contents are shared by the generations that did not change them, and live until the process ends. */
void model_init(struct model *m)
{
	static const struct content nothing;
	m->first = m->newest = 0;
	for (uint32_t o = 0; o < OBJECTS; o++)
		m->at[o][0] = &nothing;
}

void model_commit(struct model *m, uint32_t object, const struct content *content)
{
	struct content *copy = malloc(sizeof *copy);
	ASSERT(copy && m->newest + 1 < GENERATIONS_MAX);
	*copy = *content;
	for (uint32_t o = 0; o < OBJECTS; o++)
		m->at[o][m->newest + 1] = m->at[o][m->newest];
	m->at[object][++m->newest] = copy;
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
	ASSERT(generation < GENERATIONS_MAX);
	while (m->newest < generation) {
		for (uint32_t o = 0; o < OBJECTS; o++)
			m->at[o][m->newest + 1] = m->at[o][m->newest];
		m->newest++;
	}
}
