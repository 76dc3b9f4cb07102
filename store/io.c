/* Block requests from fibers: a few in flight, adjacent blocks together.
 *
 *   new -> under way -> (done) -> the fiber goes on
 *              ^   \-> (failed: read or write, not too often) -> at once, then after 10 and 100 ms -+
 *              +------------------------------------------------------------------------------------+
 *
 * A request cannot be taken back from the device, which owns its memory until it answers. When one has been
 * under way for IO_SLOW_NS a line says so, after IO_HUNG_NS the store is read-only: everybody who waits for
 * durability is told that it will not come. Should the device answer after all, its fibers go on. */
#include "private.h"

#include <base/cursor.h>

#include <stdarg.h>

static void put_words(char *out, size_t size, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void put_words(char *out, size_t size, const char *fmt, ...)
{
	struct writer w = writer_of(out, size - 1);
	va_list args;
	va_start(args, fmt);
	write_format(&w, fmt, args);
	va_end(args);
	*w.pos = 0;
}

static void describe(const struct store *s, const struct io_request *r, char *out, size_t size)
{
	uint32_t sectors = VOLUME_BLOCK_SIZE / s->device->sector_size;
	if (r->block.op == BLOCK_FLUSH)
		put_words(out, size, "flush");
	else
		put_words(out, size, "%s of %u blocks from block %lu on",
			r->block.op == BLOCK_READ ? "read" : "write", r->block.sector_count / sectors,
			r->block.sector / sectors);
}

/* --- A device that does not answer --- */

static void watch_again(struct store *s, uint64_t at_ns)
{
	timer_arm(&s->loop->timers, &s->io.watch, at_ns);
}

static void watch_fires(struct timer *t)
{
	struct store *s = CONTAINER_OF(t, struct store, io.watch);
	char what[64];
	if (list_is_empty(&s->io.under_way))
		return;
	const struct io_request *r = LIST_ENTRY(s->io.under_way.next, const struct io_request, link);
	uint64_t age_ns = s->loop->now_ns - r->since_ns;
	if (age_ns < IO_SLOW_NS) {
		watch_again(s, r->since_ns + IO_SLOW_NS);
		return;
	}
	describe(s, r, what, sizeof what);
	if (!s->io.slow) { /* not hung yet, however late it is: perhaps it was we who did not run */
		store_log(s, LOG_WARN, "%s has not answered for %lu s: a %s", s->device->name,
			age_ns / 1000000000u, what);
		s->io.slow = true;
		watch_again(s, s->loop->now_ns + IO_HUNG_NS - IO_SLOW_NS);
		return;
	}
	if (age_ns < IO_HUNG_NS) {
		watch_again(s, r->since_ns + IO_HUNG_NS);
		return;
	}
	s->io.hung = true;
	put_words(s->io.failure, sizeof s->io.failure, "a %s, for %lu s", what, age_ns / 1000000000u);
	store_fail(s, "the device does not answer");
}

static void watch(struct store *s, struct io_request *r)
{
	r->since_ns = s->loop->platform->now_ns(s->loop->platform); /* the round may have begun long ago */
	list_push_back(&s->io.under_way, &r->link);
	if (!s->io.watch.armed && !s->io.hung)
		watch_again(s, r->since_ns + IO_SLOW_NS);
}

static void unwatch(struct store *s, struct io_request *r)
{
	list_remove(&r->link);
	if (!s->io.slow || !list_is_empty(&s->io.under_way))
		return;
	s->io.slow = false;
	if (!s->io.hung)
		store_log(s, LOG_INFO, "%s answers again", s->device->name);
}

/* --- Requests --- */

static void request_submit(struct store *s, struct io_request *r)
{
	watch(s, r);
	if (!list_is_empty(&s->deferred) || !s->device->submit(s->device, &r->block))
		list_push_back(&s->deferred, &r->block.link);
	else
		s->kick = true;
}

static void submit_again(struct timer *t)
{
	struct io_request *r = CONTAINER_OF(t, struct io_request, again);
	request_submit(r->store, r);
}

/* True: it is tried again. */
static bool try_again(struct store *s, struct io_request *r)
{
	static const uint32_t pause_ms[IO_TRIES] = {0, 0, 10, 100};
	if ((r->block.op != BLOCK_READ && r->block.op != BLOCK_WRITE) || r->tries == IO_TRIES)
		return false;
	s->stats.io_retries++;
	timer_arm(&s->loop->timers, &r->again, s->loop->now_ns + pause_ms[r->tries] * 1000000u);
	r->tries++;
	return true;
}

static void note_failure(struct store *s, const struct io_request *r)
{
	char what[64];
	s->stats.io_errors++;
	describe(s, r, what, sizeof what);
	if (r->block.op != BLOCK_READ && !s->io.failure[0])
		put_words(s->io.failure, sizeof s->io.failure, "a %s has failed", what);
	if (store_may_log(s, &s->io.log_limit))
		store_log(s, LOG_ERROR, "%s: a %s has failed, tried %u times", s->device->name, what,
			r->tries);
}

static void request_done(struct block_request *block)
{
	struct io_request *r = CONTAINER_OF(block, struct io_request, block);
	struct store *s = r->store;
	struct io_wait *w = r->wait;
	unwatch(s, r);
	if (failed(block->result)) {
		if (try_again(s, r))
			return;
		if (r->block.op != BLOCK_DISCARD) /* a hint: counted by who gives it */
			note_failure(s, r);
		s->io.flush_failed |= r->block.op == BLOCK_FLUSH;
		if (!failed(w->result))
			w->result = block->result;
	}
	pool_put(&s->requests, r);
	(void)fiber_queue_wake_one(&s->request_free);
	if (--w->pending == 0 && w->parked)
		fiber_wake(w->fiber);
}

static bool io_poll(struct loop_client *client)
{
	struct store *s = CONTAINER_OF(client, struct store, client);
	bool worked = s->device->poll(s->device) != 0;
	while (!list_is_empty(&s->deferred)) {
		struct list *first = list_pop_front(&s->deferred);
		struct block_request *b = LIST_ENTRY(first, struct block_request, link);
		if (!s->device->submit(s->device, b)) {
			list_push_front(&s->deferred, &b->link);
			break;
		}
		s->kick = worked = true;
	}
	/* The next checkpoint makes the volume as large. */
	if (UNLIKELY(s->device->sector_count != s->sectors) && !s->opening) {
		s->sectors = s->device->sector_count;
		s->checkpoint.force = true;
		checkpoint_want(s);
	}
	if (s->notify) {
		s->notify = false;
		worked = true;
		journal_notify(s);
	}
	return worked;
}

static void io_kick(struct loop_client *client)
{
	struct store *s = CONTAINER_OF(client, struct store, client);
	if (!s->kick)
		return;
	s->kick = false;
	s->device->kick(s->device);
}

void io_init(struct store *s)
{
	list_init(&s->deferred);
	list_init(&s->io.under_way);
	timer_init(&s->io.watch, watch_fires);
	fiber_queue_init(&s->request_free);
	s->client.poll = io_poll;
	s->client.flush = io_kick;
	loop_add(s->loop, &s->client);
}

void io_wait_init(struct store *s, struct io_wait *w)
{
	*w = (struct io_wait){.result = OK, .fiber = fiber_self(s->loop)};
	ASSERT(w->fiber);
}

static struct io_request *request_new(struct store *s, struct io_wait *w, enum block_op op)
{
	struct io_request *r;
	while (!(r = pool_get(&s->requests)))
		store_wait(s, &s->request_free);
	r->store = s;
	r->wait = w;
	r->block.op = op;
	r->block.done = request_done;
	r->block.result = OK;
	r->tries = 1;
	timer_init(&r->again, submit_again);
	r->block.sector = 0;
	r->block.sector_count = r->block.buffer_count = 0;
	list_init(&r->block.link);
	w->pending++;
	return r;
}

void io_run_submit(struct store *s, struct io_run *run, struct io_wait *w)
{
	if (!run->count)
		return;
	struct io_request *r = request_new(s, w, run->op);
	uint32_t sectors = VOLUME_BLOCK_SIZE / s->device->sector_size;
	r->block.sector = (uint64_t)run->block * sectors;
	r->block.sector_count = run->count * sectors;
	r->block.buffer_count = run->count;
	memcpy(r->block.buffer, run->buffer, run->count * sizeof run->buffer[0]);
	uint64_t bytes = (uint64_t)run->count * VOLUME_BLOCK_SIZE;
	if (run->op == BLOCK_WRITE) {
		s->stats.writes++;
		s->stats.bytes_written += bytes;
	} else {
		s->stats.reads++;
		s->stats.bytes_read += bytes;
	}
	run->count = 0;
	request_submit(s, r);
}

void io_run_add(struct store *s, struct io_run *run, struct io_wait *w, uint32_t block, void *data)
{
	uint32_t most = s->device->transfer_max / VOLUME_BLOCK_SIZE;
	if (most > s->device->buffers_max)
		most = s->device->buffers_max;
	if (most > BLOCK_BUFFERS_MAX)
		most = BLOCK_BUFFERS_MAX;
	if (run->count && (block != run->block + run->count || run->count >= most))
		io_run_submit(s, run, w);
	if (!run->count)
		run->block = block;
	run->buffer[run->count++] = (struct block_buffer){data, VOLUME_BLOCK_SIZE};
}

err io_wait_all(struct store *s, struct io_wait *w)
{
	while (w->pending) {
		w->parked = true;
		fiber_park(s->loop);
		w->parked = false;
	}
	return w->result;
}

static err transfer(struct store *s, enum block_op op, uint32_t block, void *data)
{
	struct io_wait w;
	struct io_run run = {.op = op};
	io_wait_init(s, &w);
	io_run_add(s, &run, &w, block, data);
	io_run_submit(s, &run, &w);
	return io_wait_all(s, &w);
}

err io_read_block(struct store *s, uint32_t block, void *data)
{
	return transfer(s, BLOCK_READ, block, data);
}

err io_write_block(struct store *s, uint32_t block, void *data)
{
	return transfer(s, BLOCK_WRITE, block, data);
}

err io_discard(struct store *s, uint32_t block, uint32_t count)
{
	struct io_wait w;
	uint32_t sectors = VOLUME_BLOCK_SIZE / s->device->sector_size;
	io_wait_init(s, &w);
	struct io_request *r = request_new(s, &w, BLOCK_DISCARD);
	r->block.sector = (uint64_t)block * sectors;
	r->block.sector_count = count * sectors;
	request_submit(s, r);
	return io_wait_all(s, &w);
}

/* The device tells a loss to one flush only. What has been written while that was under way may be lost as well, so
 * another that succeeds then says nothing. */
err io_flush(struct store *s)
{
	struct io_wait w;
	if (!s->device->has_flush) {
		s->io.flushed = ++s->io.flushes_begun;
		return OK;
	}
	io_wait_init(s, &w);
	struct io_request *r = request_new(s, &w, BLOCK_FLUSH);
	s->stats.flushes++;
	uint64_t number = ++s->io.flushes_begun;
	request_submit(s, r);
	TRY(io_wait_all(s, &w));
	if (s->io.flush_failed)
		return ERR(IO);
	if (number > s->io.flushed)
		s->io.flushed = number;
	return OK;
}
