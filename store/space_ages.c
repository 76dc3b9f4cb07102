/* How many blocks are held back by readers alone. Which ones they are is not remembered: the space maps
 * that were the base's when they began say so. But the count of free blocks has to be exact.
 *
 * An age is a base (or several neighbours, when there are many) that a reader still has. A block
 * that no map shows any more is counted by the oldest and the newest age whose maps show it. When an age ends,
 * what it was the oldest of has the next one as oldest; of what it was the newest, the one before; and
 * what is left with an oldest that is newer than its newest is free. */
#include "private.h"

/* Where oldest and newest go when age `a` is gone (merge: has become one with the next). */
static void close_up(struct space_ages *a, uint32_t age, bool merge)
{
	uint32_t was[SPACE_AGES_MAX][SPACE_AGES_MAX], pending[SPACE_AGES_MAX + 1], n = a->count;
	memcpy(was, a->dead, sizeof was);
	memcpy(pending, a->pending, sizeof pending);
	memset(a->dead, 0, sizeof a->dead);
	memset(a->pending, 0, sizeof a->pending);
	a->held = 0;
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t j = i; j < n; j++) {
			int32_t oldest = (int32_t)(i <= age ? i : i - 1);
			int32_t newest = (int32_t)j - (j >= age + merge);
			if (oldest > newest)
				continue;
			a->dead[oldest][newest] += was[i][j];
			a->held += was[i][j];
		}
	for (uint32_t i = 0; i <= n; i++)
		a->pending[i <= age ? i : i - 1] += pending[i];
	a->count--;
	for (uint32_t i = age; i < a->count; i++) {
		a->from[i] = a->from[i + 1];
		a->to[i] = a->to[i + 1];
		a->generation[i] = a->generation[i + 1];
	}
}

void space_ages_remove(struct space_ages *a, uint32_t age)
{
	close_up(a, age, false);
}

/* The two neighbours that are nearest to each other become one. */
static void make_room(struct space_ages *a)
{
	uint32_t best = 0;
	for (uint32_t i = 1; i + 1 < a->count; i++)
		if (a->to[i + 1] - a->from[i] < a->to[best + 1] - a->from[best])
			best = i;
	uint64_t from = a->from[best];
	close_up(a, best, true);
	a->from[best] = from;
}

void space_ages_superseded(struct space_ages *a, uint64_t base, uint32_t birth)
{
	uint64_t born = base - (uint32_t)((uint32_t)base - birth);
	uint32_t i = 0;
	while (i < a->count && a->generation[i] < born)
		i++;
	a->pending[i]++;
}

void space_ages_switch(struct space_ages *a, uint64_t sequence, uint64_t base, bool held)
{
	if (held) {
		if (a->count == SPACE_AGES_MAX)
			make_room(a);
		a->from[a->count] = a->to[a->count] = sequence;
		a->generation[a->count] = base;
		a->count++;
	}
	for (uint32_t i = 0; i < a->count; i++) {
		a->dead[i][a->count - 1] += a->pending[i];
		a->held += a->pending[i];
	}
	memset(a->pending, 0, sizeof a->pending);
}
