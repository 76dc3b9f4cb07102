/* Telling the device which blocks are free, so that it need not keep them. docs/volume-format.md, "Discard".
 *
 *   superseded by the running checkpoint -> noted -> (checkpoint done) old -> (the next flush) discarded
 *
 * What a checkpoint frees is noted as runs; short ones are soon taken again and not worth it, and when there are too
 * many, some are left out: it is a hint. That flush has made the copy of the checkpoint in the second slot durable. A
 * block is discarded only if no map and no reader shows it then and nobody has taken it; while that is under
 * way nobody can. A discard that fails is counted, no more. */
#include "private.h"

#define RUN_MIN 16u /* blocks */
#define DISCARDS_MAX 64u /* of the device, for one checkpoint */

void discard_note(struct store *s, uint32_t block)
{
	struct discards *d = &s->discards;
	if (!s->device->has_discard)
		return;
	struct discard_run *last = d->noted ? &d->run[d->old + d->noted - 1] : NULL;
	if (last && last->start + last->count == block) {
		last->count++;
	} else if (last && last->start == block + 1) {
		last->start--;
		last->count++;
	} else if (last && last->count < RUN_MIN) {
		*last = (struct discard_run){block, 1};
	} else if (d->old + d->noted < DISCARD_RUNS) {
		d->run[d->old + d->noted++] = (struct discard_run){block, 1};
	}
}

void discard_checkpoint_done(struct store *s)
{
	s->discards.old += s->discards.noted;
	s->discards.noted = 0;
}

static err submit(struct store *s, uint32_t start, uint32_t count)
{
	s->stats.discards++;
	err e = io_discard(s, start, count);
	if (failed(e))
		s->stats.discards_failed++;
	else
		s->stats.blocks_discarded += count;
	return e;
}

/* The parts of the run that are free. */
static uint32_t discard_run(struct store *s, const struct discard_run *r)
{
	uint32_t requests = 0, start, count;
	for (uint32_t at = r->start; at < r->start + r->count; at = start + count) {
		if (failed(space_hide(s, at, r->start + r->count - at, &start, &count)))
			break;
		if (count >= RUN_MIN && s->state == STORE_OPEN) {
			requests++;
			(void)submit(s, start, count).code;
		}
		if (!count)
			break;
	}
	return requests;
}

void discard_old(struct store *s)
{
	struct discards *d = &s->discards;
	uint32_t requests = 0;
	if (!d->old)
		return;
	space_lock(s);
	for (uint32_t i = 0; i < d->old && requests < DISCARDS_MAX; i++)
		if (d->run[i].count >= RUN_MIN)
			requests += discard_run(s, &d->run[i]);
	memmove(d->run, d->run + d->old, d->noted * sizeof d->run[0]);
	d->old = 0;
	space_unlock(s);
}
