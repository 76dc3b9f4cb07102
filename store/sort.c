/* Sorting the changes of an object by their pages, a little at a time: others want to run meanwhile. A heap in place,
 * so it needs no memory and takes no longer for some orders than for others.
 *
 *   heaping: those that have children sift down, the last first -> taking: the largest goes behind the others -> done */
#include "private.h"

static uint32_t page_at(const struct deltas *d, uint32_t i)
{
	const struct delta *change = pool_at(&d->pool, d->sorted[i]);
	return change->page_no;
}

static void swap(struct deltas *d, uint32_t i, uint32_t j)
{
	uint32_t t = d->sorted[i];
	d->sorted[i] = d->sorted[j];
	d->sorted[j] = t;
}

static void sift_down(struct deltas *d, uint32_t at, uint32_t count)
{
	for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
		if (child + 1 < count && page_at(d, child + 1) > page_at(d, child))
			child++;
		d->sort_steps++;
		if (page_at(d, at) >= page_at(d, child))
			return;
		swap(d, at, child);
	}
}

bool delta_sort_some(struct deltas *d, struct delta_sort *q)
{
	uint64_t enough = d->sort_steps + SORT_STEPS;
	while (q->heaping && d->sort_steps < enough)
		sift_down(d, --q->heaping, q->count);
	while (!q->heaping && q->unsorted > 1 && d->sort_steps < enough) {
		swap(d, 0, --q->unsorted);
		sift_down(d, 0, q->unsorted);
	}
	return !q->heaping && q->unsorted <= 1;
}
