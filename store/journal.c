/* The journal fiber: makes commits durable. All that has been committed since it last looked becomes one
 * batch: a record (or several, when it names many pages), its pages, one flush. While the flush is under
 * way further commits gather for the next batch; a page that two of them have changed is written once.
 *
 *   idle -> (commit) -> allocate, checksum -> write -> flush -> durable: tell who waits -> idle
 *                                               \        \-> failed: the store is read-only
 *
 * docs/volume-format.md, "Record". */
#include "private.h"

static bool has_work(const struct store *s)
{
	return s->state == STORE_OPEN && s->generation > s->journal.durable;
}

void journal_kick(struct store *s)
{
	s->journal.busy = true;
	(void)fiber_queue_wake_one(&s->journal.idle);
}

void journal_notify(struct store *s)
{
	struct list ready;
	list_init(&ready);
	LIST_FOR_EACH(e, &s->journal.waiters) {
		struct store_waiter *w = LIST_ENTRY(e, struct store_waiter, link);
		if (w->generation <= s->journal.durable || s->state != STORE_OPEN) {
			list_remove(e);
			list_push_back(&ready, e);
		}
	}
	for (struct list *e; (e = list_pop_front(&ready)) != NULL;) {
		struct store_waiter *w = LIST_ENTRY(e, struct store_waiter, link);
		w->done(w, w->generation <= s->journal.durable ? OK : ERR(IO));
	}
	fiber_queue_wake_all(&s->journal.progress);
}

/* The record names what is live at its generation; the rest is written only because a snapshot sees it. */
static bool is_listed(const struct delta *d, uint64_t target)
{
	return d->until > target && (d->frame || d->block);
}

static uint32_t count_items(const struct store *s)
{
	uint32_t n = 0;
	for (const struct list *e = s->deltas.unbatched.next; e != &s->deltas.unbatched; e = e->next)
		n += is_listed(LIST_ENTRY(e, const struct delta, link), s->generation);
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++)
		n += s->object[i].changed;
	return n;
}

static uint32_t parts_of(uint32_t items)
{
	return items ? (items + VOLUME_RECORD_ITEMS - 1) / VOLUME_RECORD_ITEMS : 1;
}

/* Waits for a checkpoint while there are too many records since the last; the number of parts. */
static uint32_t make_room(struct store *s)
{
	uint32_t parts;
	while ((parts = parts_of(count_items(s))) + s->journal.header_count > RECORDS_MAX - 2 &&
		s->state == STORE_OPEN && s->journal.durable_headers) {
		checkpoint_want(s);
		s->checkpoint.awaited++;
		fiber_queue_wake_all(&s->journal.progress);
		store_wait(s, &s->checkpoint.done);
		s->checkpoint.awaited--;
		if (s->checkpoint.result.code == ERR_NO_SPACE)
			break;
	}
	return parts;
}

struct batch {
	uint64_t target;
	uint32_t parts;
	uint32_t sizes;        /* items for sizes; they come first */
	struct volume_item size[STORE_OBJECTS_MAX];
	struct io_wait wait;
	struct io_run run;
};

static void take_sizes(struct store *s, struct batch *b)
{
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++) {
		struct store_object *o = &s->object[i];
		if (!o->changed)
			continue;
		b->size[b->sizes++] = (struct volume_item){.object = (uint16_t)i,
			.kind = VOLUME_ITEM_SIZE, .page = o->pages, .block = o->record_low};
		o->changed = false;
		o->record_low = o->pages;
		o->batch_pages = o->pages;
	}
}

static bool take_header(struct store *s)
{
	struct journal *j = &s->journal;
	uint32_t block = space_take(&s->space);
	if (block)
		j->header[j->header_count++] = block;
	return block != 0;
}

static bool place(struct store *s, struct delta *d)
{
	d->in_flight = true;
	if (!d->frame)
		return true;
	d->block = space_take(&s->space);
	if (!d->block)
		return false;
	s->space.promised--;
	d->generation = (uint32_t)d->from;
	cache_set_writing(s, d->frame);
	return true;
}

/* Reserves the headers of the records to come. Each lies behind room for the pages of the one before, as much as the
 * last batches have taken: then header and pages are one run, and one request. After a checkpoint the first free
 * blocks are taken again, not those that have never been written: for these a device that is thinly provisioned has
 * to find room first. */
static bool take_ahead(struct store *s, uint32_t next, uint32_t pages)
{
	struct journal *j = &s->journal;
	uint32_t last_room = j->room;
	j->room = pages >= j->room ? pages : j->room - 1;
	if (j->room > BLOCK_BUFFERS_MAX - 1)
		j->room = BLOCK_BUFFERS_MAX - 1;
	while (j->header_count < next + HEADERS_AHEAD) {
		if (j->header_count > next)
			space_go(&s->space, (uint64_t)j->header[j->header_count - 1] + 1 + last_room);
		if (j->rewind)
			space_rewind(&s->space);
		j->rewind = false;
		space_seek(&s->space, j->room + 1);
		if (!take_header(s))
			return false;
		last_room = j->room;
	}
	return true;
}

static uint32_t count_pages(const struct store *s)
{
	uint32_t n = 0;
	for (const struct list *e = s->deltas.unbatched.next; e != &s->deltas.unbatched; e = e->next)
		n += LIST_ENTRY(e, const struct delta, link)->frame != NULL;
	return n;
}

/* Where the batch's pages go: behind its header, if they have room there. If not, behind the last header that is
 * reserved and its room: in the room of the next they would only have that batch's pages in two places as well, and
 * so on for ever. */
static void go_to_room(struct store *s, uint32_t header, uint32_t pages)
{
	struct journal *j = &s->journal;
	space_go(&s->space, (uint64_t)header + 1);
	if (space_is_run(&s->space, pages))
		return;
	space_go(&s->space, (uint64_t)j->header[j->header_count - 1] + 1 + j->room);
	space_seek(&s->space, pages);
}

/* Gives each page and header its block, in the order in which they are written. Does not park. */
static bool place_all(struct store *s, struct batch *b)
{
	struct journal *j = &s->journal;
	uint32_t items = b->sizes, pages = count_pages(s), first = j->header_count - j->ahead, part = first;
	bool ok = true;
	s->space.promised -= j->header_promise;
	j->header_promise = 0;
	go_to_room(s, j->header[first], pages);
	LIST_FOR_EACH(e, &s->deltas.unbatched) {
		struct delta *d = LIST_ENTRY(e, struct delta, link);
		if (is_listed(d, b->target)) {
			if (items == VOLUME_RECORD_ITEMS) {
				if (++part == j->header_count)
					ok = ok && take_header(s);
				items = 0;
			}
			items++;
		}
		ok = ok && place(s, d);
		list_remove(e);
		list_push_back(&s->deltas.in_flight, e);
	}
	j->ahead = HEADERS_AHEAD;
	return ok && take_ahead(s, first + b->parts, pages);
}

/* Of a page that is placed. Not all at once: a batch may have thousands of pages, and others want to run. */
static void checksum_page(struct store *s, struct delta *d)
{
	d->checksum = volume_checksum(volume_seed_page(s->nonce, s->object[d->object].line, 0, d->page_no,
		d->generation), d->frame->page.data, STORE_PAGE_SIZE);
	s->stats.pages_written++;
}

static struct list *fill_record(struct store *s, struct batch *b, uint32_t part, struct list *at,
	struct volume_record *r)
{
	uint32_t n = 0;
	memset(r, 0, sizeof *r);
	if (part == 0)
		for (; n < b->sizes; n++)
			r->item[n] = b->size[n];
	for (; at != &s->deltas.in_flight; at = at->next) {
		struct delta *d = LIST_ENTRY(at, struct delta, link);
		bool listed = is_listed(d, b->target);
		if (listed && n == VOLUME_RECORD_ITEMS)
			break;
		if (d->frame)
			checksum_page(s, d);
		if (!listed)
			continue;
		r->item[n++] = (struct volume_item){.object = d->object, .kind = VOLUME_ITEM_PAGE,
			.page = d->page_no, .block = d->block, .generation = d->generation,
			.checksum = d->checksum};
	}
	r->item_count = n;
	return at;
}

/* Where the header of a part is, once all are placed. (A checkpoint takes headers off the array's front.) */
static const uint32_t *header_of(const struct journal *j, const struct batch *b, uint32_t part)
{
	return j->header + j->header_count - HEADERS_AHEAD - b->parts + part;
}

static void finish_record(struct store *s, struct batch *b, uint32_t part, struct volume_record *r)
{
	struct journal *j = &s->journal;
	const uint32_t *header = header_of(j, b, part);
	r->magic = VOLUME_RECORD_MAGIC;
	memcpy(r->uuid, s->uuid, sizeof r->uuid);
	r->record = j->record;
	r->link = j->link;
	r->life = j->life;
	r->generation = b->target;
	r->durable = j->durable;
	r->next_block = header[1];
	r->next_block_after = header[2];
	r->flags = part + 1 == b->parts ? VOLUME_RECORD_COMMIT : 0;
	r->checksum = volume_checksum(volume_seed_record(s->nonce, r->record), r, sizeof *r);
	j->link = r->checksum;
	j->record++;
}

static err write_all(struct store *s, struct batch *b)
{
	struct list *at = s->deltas.in_flight.next;
	for (uint32_t part = 0; part < b->parts; part++) {
		struct volume_record *r = s->journal.buffer[part % HEADER_BUFFERS];
		if (part >= HEADER_BUFFERS) {
			io_run_submit(s, &b->run, &b->wait);
			TRY(io_wait_all(s, &b->wait));
		}
		if (part)
			fiber_yield(s->loop);
		uint32_t block = *header_of(&s->journal, b, part);
		struct list *end = fill_record(s, b, part, at, r);
		finish_record(s, b, part, r);
		s->stats.records++;
		io_run_add(s, &b->run, &b->wait, block, r);
		for (; at != end; at = at->next) {
			struct delta *d = LIST_ENTRY(at, struct delta, link);
			if (d->frame)
				io_run_add(s, &b->run, &b->wait, d->block,
					(void *)(uintptr_t)d->frame->page.data);
		}
	}
	io_run_submit(s, &b->run, &b->wait);
	TRY(io_wait_all(s, &b->wait));
	return io_flush(s);
}

static void settle(struct store *s, bool written)
{
	LIST_FOR_EACH(e, &s->deltas.in_flight) {
		struct delta *d = LIST_ENTRY(e, struct delta, link);
		if (d->frame && d->frame->state == FRAME_WRITING)
			cache_written(s, d->frame, written);
		if (!written)
			continue;
		d->frame = NULL;
		d->in_flight = false;
		list_remove(e);
		d->retained = d->until != GENERATION_NEVER;
		list_push_back(d->retained ? &s->deltas.retained : &s->deltas.fresh, e);
	}
}

static void chain_is_durable(struct journal *j)
{
	j->durable_record = j->record;
	j->durable_link = j->link;
	j->durable_headers = j->header_count - j->ahead;
}

static void become_durable(struct store *s, const struct batch *b)
{
	struct journal *j = &s->journal;
	j->durable = b->target;
	chain_is_durable(j);
	j->sealed = false;
	j->durable_at_ns = s->loop->now_ns;
	j->seal_at_ns = j->durable_at_ns + SEAL_AFTER_NS;
	for (uint32_t i = 0; i < STORE_OBJECTS_MAX; i++)
		s->object[i].durable_pages = s->object[i].batch_pages;
	settle(s, true);
	delta_sweep(s);
	if (j->header_count > RECORDS_MAX / 2 || delta_free(s) < s->deltas.pool.capacity / 2)
		checkpoint_want(s);
	space_check_pressure(s);
}

static void write_batch(struct store *s)
{
	struct batch b = {.run = {.op = BLOCK_WRITE}};
	delta_drop_unwritten(s);
	uint32_t parts = make_room(s);
	if (s->state != STORE_OPEN)
		return;
	if (parts + s->journal.header_count > RECORDS_MAX - 2) {
		store_fail(s, s->checkpoint.result.code == ERR_NO_SPACE ?
			"the journal is full, and there is no room for a checkpoint" :
			"a transaction has more pages than the journal can name");
		return;
	}
	b.parts = parts;
	b.target = s->generation;
	io_wait_init(s, &b.wait);
	s->journal.writing = true;
	take_sizes(s, &b);
	bool placed = place_all(s, &b);
	bool written = placed && !failed(write_all(s, &b));
	s->journal.writing = false;
	if (!written) {
		(void)io_wait_all(s, &b.wait);
		settle(s, false);
		store_fail(s, placed ? "a commit could not be written" :
				       "the volume is full though space was promised");
		return;
	}
	become_durable(s, &b);
	journal_notify(s);
}

/* An empty record says that all before it was durable: from then on rot in the last one is noticed. It has no
 * flush of its own, since nothing is lost with it. A checkpoint that begins meanwhile needs only its link; one
 * that runs already may show its generation, to which no record could be added. */
static void write_seal(struct store *s)
{
	struct journal *j = &s->journal;
	struct volume_record *r = j->buffer[0];
	struct batch b = {.target = j->durable, .parts = 1};
	uint32_t first = j->header_count - j->ahead;
	j->sealed = true; /* or there is no room for one */
	if (s->state != STORE_OPEN || j->header_count > RECORDS_MAX / 2 || space_available(s) < HEADERS_AHEAD)
		return;
	bool placed = take_ahead(s, first + 1, 3);
	j->ahead = placed ? HEADERS_AHEAD : j->header_count - first;
	if (!placed)
		return;
	memset(r, 0, sizeof *r);
	finish_record(s, &b, 0, r);
	chain_is_durable(j);
	s->stats.seals++;
	if (failed(io_write_block(s, *header_of(j, &b, 0), r)))
		store_fail(s, "a record could not be written");
}

/* Until there is something to write; a while after the last batch, a seal. */
static void rest(struct store *s)
{
	struct journal *j = &s->journal;
	j->busy = false;
	fiber_queue_wake_all(&s->cache.starved);
	err e = fiber_queue_wait(s->loop, &j->idle,
		!j->sealed && j->durable_headers ? j->seal_at_ns : TIMER_NEVER);
	if (!failed(e) || has_work(s))
		return;
	if (s->checkpoint.running || s->admin.exclusive)
		j->seal_at_ns = s->loop->now_ns + SEAL_AFTER_NS;
	else if (j->durable_headers)
		write_seal(s);
}

void journal_fiber(void *argument)
{
	struct store *s = argument;
	for (;;) {
		while (!has_work(s) && !s->closing)
			rest(s);
		if (!has_work(s))
			break;
		s->journal.busy = true;
		write_batch(s);
	}
	s->fibers--;
	fiber_queue_wake_all(&s->ended);
}
