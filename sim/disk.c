#include <sim/disk.h>

#include <stdlib.h>
#include <string.h>

#define TEAR 512u /* bytes that survive together */
#define NOT_YET UINT64_MAX

struct sim_disk_op {
	bool flush;
	uint64_t submitted, done; /* event numbers */
	uint64_t offset, len;     /* bytes */
	uint8_t *data;
};

/* While a request is queued, its cookie-less link is all we have; the rest stands here. */
struct pending {
	struct list link;
	struct block_request *request;
	uint64_t due_ns;
	size_t op; /* recorded as; SIZE_MAX: not */
	bool fails;
};

static struct sim_disk *of(struct block_device *device)
{
	return CONTAINER_OF(device, struct sim_disk, device);
}

static void *must(void *p)
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

static size_t record(struct sim_disk *d, const struct block_request *r)
{
	if (!d->recording || (r->op != BLOCK_WRITE && r->op != BLOCK_FLUSH))
		return SIZE_MAX;
	event(d);
	if (d->op_count == d->op_capacity) {
		d->op_capacity = d->op_capacity ? 2 * d->op_capacity : 256;
		d->ops = must(realloc(d->ops, d->op_capacity * sizeof *d->ops));
	}
	struct sim_disk_op *op = &d->ops[d->op_count];
	*op = (struct sim_disk_op){.flush = r->op == BLOCK_FLUSH, .submitted = d->events, .done = NOT_YET,
		.offset = r->sector * d->device.sector_size, .len = length(r)};
	if (!op->flush) {
		op->data = must(malloc(op->len));
		gather(r, op->data);
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
	if (d->fail_at && d->fail_at == 1)
		return true;
	if (d->fail_at)
		d->fail_at--;
	if (op == BLOCK_FLUSH && d->fail_flush_at && --d->fail_flush_at == 0) {
		d->fail_flush_at = d->fail_from;
		return true;
	}
	return false;
}

static bool submit(struct block_device *device, struct block_request *r)
{
	struct sim_disk *d = of(device);
	if (d->queued >= d->queue_depth)
		return false;
	struct pending *p = must(malloc(sizeof *p));
	*p = (struct pending){.request = r, .due_ns = d->sim->now_ns + duration(d, r->op)};
	p->fails = is_to_fail(d, r->op);
	if (p->fails && d->fail_at && !d->fail_from)
		d->fail_at = 0;
	uint64_t end = (r->sector + r->sector_count) * device->sector_size;
	if (r->op != BLOCK_FLUSH && (end > d->bytes || r->sector > d->bytes))
		p->fails = true;
	p->op = record(d, r);
	d->operations++;
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

static void perform_write(struct sim_disk *d, struct block_request *r, uint8_t *at)
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
		at = d->media + sim_random(&d->random) % ((d->bytes - len) / 4096 + 1) * 4096;
	}
	gather(r, at);
}

static void perform(struct sim_disk *d, struct block_request *r)
{
	uint8_t *at = d->media + r->sector * d->device.sector_size;
	if (r->op == BLOCK_READ) {
		d->reads++;
		for (uint32_t i = 0; i < r->buffer_count; at += r->buffer[i].len, i++)
			memcpy(r->buffer[i].ptr, at, r->buffer[i].len);
	} else if (r->op == BLOCK_WRITE) {
		perform_write(d, r, at);
	} else {
		d->flushes += r->op == BLOCK_FLUSH;
	}
}

static uint32_t poll(struct block_device *device)
{
	struct sim_disk *d = of(device);
	uint32_t count = 0;
	LIST_FOR_EACH(e, &d->queue) {
		struct pending *p = LIST_ENTRY(e, struct pending, link);
		if (p->due_ns > d->sim->now_ns)
			continue;
		struct block_request *r = p->request;
		list_remove(e);
		d->queued--;
		if (!p->fails)
			perform(d, r);
		if (p->op != SIZE_MAX) {
			event(d);
			if (!p->fails)
				d->ops[p->op].done = d->events;
		}
		r->result = p->fails ? ERR(IO) : OK;
		free(p);
		r->done(r);
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
		.media = must(calloc(1, bytes)),
	};
	list_init(&d->queue);
	sim_platform_add(sim, &d->source);
}

static void forget(struct sim_disk *d)
{
	for (size_t i = 0; i < d->op_count; i++)
		free(d->ops[i].data);
	free(d->ops);
	free(d->start);
	d->ops = NULL;
	d->start = NULL;
	d->op_count = d->op_capacity = 0;
}

void sim_disk_free(struct sim_disk *d)
{
	LIST_FOR_EACH(e, &d->queue)
		free(LIST_ENTRY(e, struct pending, link));
	list_remove(&d->source.link);
	forget(d);
	free(d->media);
	d->media = NULL;
}

void sim_disk_record(struct sim_disk *d)
{
	forget(d);
	d->start = must(malloc(d->bytes));
	memcpy(d->start, d->media, d->bytes);
	d->events = 0;
	d->recording = true;
}

/* A write is on stable storage when a flush that was submitted after its completion has completed. */
static bool is_durable(const struct sim_disk *d, size_t op, uint64_t at)
{
	for (size_t i = op + 1; i < d->op_count && d->ops[i].submitted < at; i++)
		if (d->ops[i].flush && d->ops[i].done < at && d->ops[i].submitted > d->ops[op].done)
			return true;
	return false;
}

static void tear(const struct sim_disk_op *op, uint64_t *random, uint8_t *image)
{
	uint64_t how = sim_random(random) % 4;
	for (uint64_t at = 0; at < op->len; at += TEAR)
		if (how == 0 || (how >= 2 && sim_random(random) % 2))
			memcpy(image + op->offset + at, op->data + at, TEAR);
}

uint32_t sim_disk_cut(const struct sim_disk *d, uint64_t at, enum sim_disk_cut_mode mode,
	uint64_t seed, uint8_t *image)
{
	enum { UNDECIDED_MAX = 4096 };
	size_t *undecided = must(malloc(UNDECIDED_MAX * sizeof(size_t)));
	uint32_t count = 0;
	memcpy(image, d->start, d->bytes);
	for (size_t i = 0; i < d->op_count && d->ops[i].submitted < at; i++) {
		if (d->ops[i].flush)
			continue;
		if (is_durable(d, i, at))
			memcpy(image + d->ops[i].offset, d->ops[i].data, d->ops[i].len);
		else if (count < UNDECIDED_MAX)
			undecided[count++] = i;
	}
	for (uint32_t i = 0; mode == SIM_CUT_RANDOM && i + 1 < count; i++) {
		uint32_t j = i + (uint32_t)(sim_random(&seed) % (count - i));
		size_t t = undecided[i];
		undecided[i] = undecided[j];
		undecided[j] = t;
	}
	for (uint32_t i = 0; i < count; i++) {
		const struct sim_disk_op *op = &d->ops[undecided[i]];
		if (mode == SIM_CUT_RANDOM)
			tear(op, &seed, image);
		else if (mode == SIM_CUT_KEEP || (mode == SIM_CUT_MASK && seed >> i % 64 & 1))
			memcpy(image + op->offset, op->data, op->len);
	}
	free(undecided);
	return count;
}
