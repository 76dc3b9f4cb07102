/* Block requests from fibers: a few in flight, adjacent blocks together. */
#include "private.h"

static void request_submit(struct store *s, struct io_request *r)
{
	if (!list_is_empty(&s->deferred) || !s->device->submit(s->device, &r->block))
		list_push_back(&s->deferred, &r->block.link);
	else
		s->kick = true;
}

static void request_done(struct block_request *block)
{
	struct io_request *r = CONTAINER_OF(block, struct io_request, block);
	struct store *s = r->store;
	struct io_wait *w = r->wait;
	if (failed(block->result) && !failed(w->result))
		w->result = block->result;
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

err io_flush(struct store *s)
{
	struct io_wait w;
	if (!s->device->has_flush)
		return OK;
	io_wait_init(s, &w);
	struct io_request *r = request_new(s, &w, BLOCK_FLUSH);
	s->stats.flushes++;
	request_submit(s, r);
	return io_wait_all(s, &w);
}
