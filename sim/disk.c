#include "disk_private.h"

#include <base/assert.h>
#include <stdlib.h>
#include <string.h>

/* While a request is queued, its cookie-less link is all we have; the rest stands here. */
struct pending {
	struct list link;
	struct block_request *request;
	uint64_t due_ns;
	size_t op; /* recorded as; SIZE_MAX: not */
	bool fails, outside; /* outside: of the device */
};

static struct sim_disk *of(struct block_device *device)
{
	return CONTAINER_OF(device, struct sim_disk, device);
}

void *sim_must(void *p)
{
	if (!p)
		abort();
	return p;
}

static void event(struct sim_disk *d)
{
	if (!d->recording)
		return;
	if (d->on_event)
		d->on_event(d->cookie);
	d->events++;
}

static uint64_t length(const struct block_request *r)
{
	uint64_t len = 0;
	for (uint32_t i = 0; i < r->buffer_count; i++)
		len += r->buffer[i].len;
	return len;
}

static void gather(const struct block_request *r, uint8_t *out)
{
	for (uint32_t i = 0; i < r->buffer_count; i++) {
		memcpy(out, r->buffer[i].ptr, r->buffer[i].len);
		out += r->buffer[i].len;
	}
}

/* What a discarded range will hold. */
static void fill_discarded(struct sim_disk *d, uint8_t *out, uint64_t len)
{
	memset(out, 0, len);
	for (uint64_t i = 0; d->discard == SIM_DISCARD_GARBAGE && i < len; i += 8) {
		uint64_t v = sim_random(&d->random);
		memcpy(out + i, &v, 8);
	}
}

static bool changes(const struct sim_disk *d, enum block_op op)
{
	return op == BLOCK_WRITE || (op == BLOCK_DISCARD && d->discard != SIM_DISCARD_KEEPS);
}

static size_t record(struct sim_disk *d, const struct block_request *r)
{
	if (!d->recording || (r->op != BLOCK_FLUSH && !changes(d, r->op)))
		return SIZE_MAX;
	event(d);
	if (d->op_count == d->op_capacity) {
		d->op_capacity = d->op_capacity ? 2 * d->op_capacity : 256;
		d->ops = sim_must(realloc(d->ops, d->op_capacity * sizeof *d->ops));
	}
	struct sim_disk_op *op = &d->ops[d->op_count];
	*op = (struct sim_disk_op){.flush = r->op == BLOCK_FLUSH, .submitted = d->events, .done = SIM_NOT_YET,
		.durable = SIM_NOT_YET, .offset = r->sector * d->device.sector_size,
		.len = (uint64_t)r->sector_count * d->device.sector_size};
	if (!op->flush) {
		op->data = sim_must(malloc(op->len));
		if (r->op == BLOCK_WRITE)
			gather(r, op->data);
		else
			fill_discarded(d, op->data, op->len);
	}
	return d->op_count++;
}

static uint64_t duration(struct sim_disk *d, enum block_op op)
{
	uint64_t ns = op == BLOCK_READ ? d->read_ns : op == BLOCK_FLUSH ? d->flush_ns : d->write_ns;
	return ns + (ns ? sim_random(&d->random) % ns : 0);
}

static bool is_to_fail(struct sim_disk *d, enum block_op op)
{
	if (op == BLOCK_FLUSH && d->fail_flush_at && --d->fail_flush_at == 0) {
		d->fail_flush_at = d->fail_from;
		return true;
	}
	if (!d->fail_at || (d->fail_only && !(d->fail_only >> op & 1)))
		return false;
	if (d->fail_at > 1) {
		d->fail_at--;
		return false;
	}
	if (!d->fail_from && !d->fail_more)
		d->fail_at = 0;
	d->fail_more -= d->fail_more != 0;
	return true;
}

static void note_overlaps(struct sim_disk *d, const struct block_request *r)
{
	LIST_FOR_EACH(e, &d->queue) {
		const struct block_request *o = LIST_ENTRY(e, struct pending, link)->request;
		d->overlaps += changes(d, r->op) && changes(d, o->op) &&
			       r->sector < o->sector + o->sector_count && o->sector < r->sector + r->sector_count;
	}
}

static void mix(struct sim_disk *d, uint64_t v)
{
	d->hash = (d->hash ^ v) * 0x9e3779b97f4a7c15u;
	d->hash ^= d->hash >> 29;
}

static bool submit(struct block_device *device, struct block_request *r)
{
	struct sim_disk *d = of(device);
	if (d->queued >= d->queue_depth)
		return false;
	struct pending *p = sim_must(malloc(sizeof *p));
	*p = (struct pending){.request = r, .due_ns = d->sim->now_ns + duration(d, r->op)};
	p->fails = is_to_fail(d, r->op);
	uint64_t end = r->sector + r->sector_count;
	if (r->op != BLOCK_FLUSH && (end > device->sector_count || end < r->sector))
		p->fails = p->outside = true;
	note_overlaps(d, r);
	p->op = p->outside ? SIZE_MAX : record(d, r);
	d->operations++;
	mix(d, r->sector << 16 ^ (uint64_t)r->sector_count << 4 ^ (uint64_t)r->op);
	list_push_back(&d->queue, &p->link);
	d->queued++;
	return true;
}

static void kick(struct block_device *device)
{
	of(device)->kicks++;
}

static bool happens(struct sim_disk *d, uint32_t one_in)
{
	return one_in && sim_random(&d->random) % one_in == 0;
}

static void keep_older(struct sim_disk *d, uint64_t offset, uint64_t len)
{
	if (!d->stale_one_in)
		return;
	if (!d->older) {
		d->older = sim_must(malloc(d->bytes));
		memcpy(d->older, d->media, d->bytes);
	}
	memcpy(d->older + offset, d->media + offset, len);
}

static void perform_write(struct sim_disk *d, struct block_request *r, uint64_t at)
{
	uint64_t len = length(r);
	d->writes++;
	d->bytes_written += len;
	if (happens(d, d->lose_one_in)) {
		d->lost++;
		return;
	}
	if (happens(d, d->misdirect_one_in)) {
		d->misdirected++;
		at = sim_random(&d->random) % ((d->bytes - len) / 4096 + 1) * 4096;
	}
	keep_older(d, at, len);
	gather(r, d->media + at);
	sim_disk_touch(d, at, len);
}

static void perform_read(struct sim_disk *d, struct block_request *r, uint64_t at)
{
	const uint8_t *from = d->media;
	d->reads++;
	if (d->older && happens(d, d->stale_one_in)) {
		from = d->older;
		d->stale++;
	}
	for (uint32_t i = 0; i < r->buffer_count; at += r->buffer[i].len, i++)
		memcpy(r->buffer[i].ptr, from + at, r->buffer[i].len);
}

static void perform_discard(struct sim_disk *d, const struct pending *p, uint64_t at)
{
	uint64_t len = (uint64_t)p->request->sector_count * d->device.sector_size;
	d->discards++;
	if (d->discard == SIM_DISCARD_KEEPS)
		return;
	keep_older(d, at, len);
	if (p->op != SIZE_MAX)
		memcpy(d->media + at, d->ops[p->op].data, len);
	else
		fill_discarded(d, d->media + at, len);
	sim_disk_touch(d, at, len);
}

static void perform(struct sim_disk *d, const struct pending *p)
{
	struct block_request *r = p->request;
	uint64_t at = r->sector * d->device.sector_size;
	if (r->op == BLOCK_READ)
		perform_read(d, r, at);
	else if (r->op == BLOCK_WRITE)
		perform_write(d, r, at);
	else if (r->op == BLOCK_DISCARD)
		perform_discard(d, p, at);
	else
		d->flushes++;
	if (happens(d, d->rot_one_in)) {
		uint64_t block = sim_random(&d->random) % (d->bytes / 4096), seed = sim_random(&d->random);
		sim_disk_rot(d, block, (enum sim_rot)(seed % SIM_ROT_KINDS), seed);
	}
}

/* An error says nothing about what was done. */
static void fail_badly(struct sim_disk *d, const struct pending *p)
{
	struct block_request *r = p->request;
	if (!d->fails_badly || p->outside)
		return;
	if (r->op == BLOCK_WRITE && p->op != SIZE_MAX) {
		const struct sim_disk_op *op = &d->ops[p->op];
		for (uint64_t i = 0; i < op->len; i += SIM_SECTOR)
			if (sim_random(&d->random) % 2)
				memcpy(d->media + op->offset + i, op->data + i, SIM_SECTOR);
		sim_disk_touch(d, op->offset, op->len);
	}
	for (size_t i = d->first_open; r->op == BLOCK_FLUSH && i < d->op_count; i++)
		if (d->ops[i].durable == SIM_NOT_YET && d->ops[i].done != SIM_NOT_YET)
			d->ops[i].forgotten |= sim_random(&d->random) % 2;
}

static void complete(struct sim_disk *d, struct pending *p)
{
	struct block_request *r = p->request;
	if (p->fails) {
		d->failed++;
		fail_badly(d, p);
	} else {
		perform(d, p);
	}
	if (p->op != SIZE_MAX) {
		event(d);
		d->ops[p->op].forgotten = p->fails;
		if (!p->fails)
			d->ops[p->op].done = d->events;
		if (!p->fails && r->op == BLOCK_FLUSH)
			sim_disk_settle(d, &d->ops[p->op]);
	}
	mix(d, d->sim->now_ns << 1 ^ p->fails);
	r->result = p->fails ? ERR(IO) : OK;
	free(p);
	r->done(r);
}

static uint32_t poll(struct block_device *device)
{
	struct sim_disk *d = of(device);
	uint32_t count = 0;
	LIST_FOR_EACH(e, &d->queue) {
		struct pending *p = LIST_ENTRY(e, struct pending, link);
		if (p->due_ns > d->sim->now_ns)
			continue;
		list_remove(e);
		d->queued--;
		complete(d, p);
		count++;
	}
	return count;
}

static uint64_t next_ns(struct sim_source *source)
{
	struct sim_disk *d = CONTAINER_OF(source, struct sim_disk, source);
	uint64_t next = UINT64_MAX;
	LIST_FOR_EACH(e, &d->queue) {
		struct pending *p = LIST_ENTRY(e, struct pending, link);
		if (p->due_ns < next)
			next = p->due_ns;
	}
	return next;
}

void sim_disk_init(struct sim_disk *d, struct sim_platform *sim, uint64_t bytes,
	uint32_t sector_size, uint64_t seed)
{
	*d = (struct sim_disk){
		.device = {.sector_size = sector_size, .sector_count = bytes / sector_size,
			.has_flush = true, .buffers_max = BLOCK_BUFFERS_MAX,
			.transfer_max = BLOCK_BUFFERS_MAX * 4096, .name = "sim0", .submit = submit,
			.kick = kick, .poll = poll},
		.source = {.next_ns = next_ns},
		.sim = sim, .bytes = bytes, .random = seed, .queue_depth = 16,
		.read_ns = 50000, .write_ns = 50000, .flush_ns = 500000,
		.media = sim_must(calloc(1, bytes)),
	};
	list_init(&d->queue);
	sim_platform_add(sim, &d->source);
}

void sim_disk_drop_queue(struct sim_disk *d)
{
	LIST_FOR_EACH(e, &d->queue) {
		list_remove(e);
		free(LIST_ENTRY(e, struct pending, link));
	}
	d->queued = 0;
}

void sim_disk_free(struct sim_disk *d)
{
	sim_disk_drop_queue(d);
	list_remove(&d->source.link);
	sim_disk_forget(d);
	free(d->floor);
	free(d->floor_log);
	free(d->settled);
	free(d->ops);
	free(d->older);
	sim_marks_free(&d->above_origin);
	sim_marks_free(&d->above_floor);
	free(d->media);
	d->media = NULL;
}

void sim_disk_touch(struct sim_disk *d, uint64_t offset, uint64_t len)
{
	sim_marks_add(&d->above_origin, offset, len);
	sim_marks_add(&d->above_floor, offset, len);
}

void sim_disk_resize(struct sim_disk *d, uint64_t bytes)
{
	ASSERT(bytes <= d->bytes);
	d->device.sector_count = bytes / d->device.sector_size;
}

void sim_disk_rot(struct sim_disk *d, uint64_t block, enum sim_rot how, uint64_t seed)
{
	uint8_t *at = d->media + block * 4096;
	uint64_t len = how == SIM_ROT_BLOCK ? 4096 : SIM_SECTOR;
	uint64_t from = how == SIM_ROT_BLOCK ? 0 : sim_random(&seed) % 8 * SIM_SECTOR;
	bool garbage = sim_random(&seed) % 2;
	d->rotted++;
	sim_disk_touch(d, block * 4096, 4096);
	if (how == SIM_ROT_BIT) {
		uint64_t bit = sim_random(&seed) % (4096 * 8);
		at[bit / 8] ^= (uint8_t)(1u << bit % 8);
		return;
	}
	for (uint64_t i = from; i < from + len; i += 8) {
		uint64_t v = garbage ? sim_random(&seed) : 0;
		memcpy(at + i, &v, 8);
	}
}
