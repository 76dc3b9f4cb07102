#include "world.h"

#include <stdlib.h>
#include <string.h>
#include <base/assert.h>
#include <base/bytes.h>
#include "../checksum.h"

uint64_t world_random(struct world *w)
{
	/* splitmix64 */
	uint64_t z = (w->rng += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint32_t world_below(struct world *w, uint32_t bound)
{
	return (uint32_t)(world_random(w) % bound);
}

static void buffer_put(void *owner, struct frame_rx *f)
{
	struct station *s = owner;
	struct buffer *b = (struct buffer *)(void *)f;
	ASSERT(b->out);
	b->out = false;
	memset(b->bytes, 0xdd, sizeof b->bytes);
	s->buffers_out--;
}

static struct frame_rx *buffer_get(struct station *s, const uint8_t *bytes, uint32_t len)
{
	for (uint32_t i = 0; i < WORLD_RX_FRAMES; i++) {
		struct buffer *b = &s->buffers[i];
		if (b->out)
			continue;
		b->out = true;
		s->buffers_out++;
		memcpy(b->bytes, bytes, len);
		b->frame = (struct frame_rx){.data = b->bytes, .len = len, .capacity = WORLD_RX_SIZE,
			.buffer = b->bytes, .put = buffer_put, .owner = s};
		list_init(&b->frame.link);
		return &b->frame;
	}
	return NULL;
}

void world_init(struct world *w, uint64_t seed)
{
	memset(w, 0, sizeof *w);
	w->rng = seed;
	w->now_ns = 1000000000;
	for (uint32_t i = 0; i < 2; i++) {
		list_init(&w->station[i].inbox);
		list_init(&w->station[i].at_device);
	}
}

struct net_config world_config(struct world *w, uint32_t i)
{
	struct station *s = &w->station[i];
	uint8_t seed[32];
	for (uint32_t k = 0; k < 4; k++)
		store_le64(seed + 8 * k, world_random(w));
	random_init(&s->random);
	random_mix(&s->random, slice_of(seed, sizeof seed));
	return (struct net_config){
		.mac = {2, 0, 0, 0, 0, (uint8_t)(i + 1)},
		.mtu = 1500,
		.connections_max = 16,
		.syn_max = 8,
		.time_wait_max = 16,
		.tx_frames_max = 64,
		.rx_frames_max = 536,
		.address = i ? WORLD_B_IP : WORLD_A_IP,
		.mask = 0xffffff00,
		.random = &s->random,
		.now_ns = w->now_ns,
	};
}

struct net_address world_address(uint32_t i, bool ip6)
{
	if (!ip6)
		return net_address_v4(i ? WORLD_B_IP : WORLD_A_IP);
	return (struct net_address){{0xfd, [15] = (uint8_t)(i + 1)}};
}

void world_config_ip6(struct net_config *c, uint32_t i)
{
	c->ip6 = NET_IP6_STATIC;
	c->ip6_address = world_address(i, true);
	c->ip6_prefix_len = 64;
}

void world_start(struct world *w, uint32_t i, const struct net_config *config)
{
	struct station *s = &w->station[i];
	size_t size = net_memory_size(config);
	s->memory = aligned_alloc(64, (size + 63) & ~(size_t)63);
	s->buffers = calloc(WORLD_RX_FRAMES, sizeof s->buffers[0]);
	ASSERT(s->memory && s->buffers);
	memset(s->memory, 0xaa, size);
	err e = net_init(&s->net, config, s->memory);
	ASSERT(!failed(e));
}

void world_deinit(struct world *w)
{
	for (uint32_t i = 0; i < 2; i++) {
		struct station *s = &w->station[i];
		struct list *e;
		while ((e = list_pop_front(&s->inbox)))
			free(LIST_ENTRY(e, struct packet, link));
		while ((e = list_pop_front(&s->at_device)))
			free(LIST_ENTRY(e, struct sent, link));
		free(s->memory);
		free(s->buffers);
	}
}

/* --- The wire -------------------------------------------------------------------------------- */

static void deliver_at(struct station *to, struct packet *p)
{
	struct list *before = to->inbox.prev;
	while (before != &to->inbox && LIST_ENTRY(before, struct packet, link)->at_ns > p->at_ns)
		before = before->prev;
	list_insert_before(before->next, &p->link);
}

static bool chance(struct world *w, uint32_t of_10000)
{
	return of_10000 && world_below(w, 10000) < of_10000;
}

static void wire_once(struct world *w, uint32_t from, const uint8_t *bytes, uint32_t len)
{
	const struct faults *f = &w->faults;
	struct station *s = &w->station[from], *to = &w->station[!from];
	struct packet *p = malloc(sizeof *p);
	ASSERT(p && len <= sizeof p->bytes);
	memcpy(p->bytes, bytes, len);
	p->len = len;
	if (chance(w, f->corrupt))
		p->bytes[world_below(w, len)] ^= (uint8_t)(1u << world_below(w, 8));
	uint64_t leaves = w->now_ns;
	if (f->rate_bps) {
		leaves = s->line_free_ns > leaves ? s->line_free_ns : leaves;
		leaves += len * UINT64_C(1000000000) / f->rate_bps;
		s->line_free_ns = leaves;
	}
	p->at_ns = leaves + f->delay_ns;
	if (chance(w, f->reorder))
		p->at_ns += f->jitter_ns + world_below(w, (uint32_t)(f->jitter_ns + 1));
	deliver_at(to, p);
}

static void wire(struct world *w, uint32_t from, uint8_t *bytes, uint32_t len)
{
	w->packets++;
	for (uint32_t i = 0; i < len; i++)
		w->hash = (w->hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	if (w->filter && !w->filter(w, from, bytes, len))
		return;
	if (chance(w, w->faults.loss))
		return;
	wire_once(w, from, bytes, len);
	if (chance(w, w->faults.duplicate))
		wire_once(w, from, bytes, len);
}

/* --- The device ------------------------------------------------------------------------------ */

static uint64_t payload_hash(const struct frame_tx *f)
{
	uint64_t h = 1;
	for (uint32_t i = 0; i < f->segment_count; i++)
		for (size_t k = 0; k < f->segment[i].len; k++)
			h = (h ^ f->segment[i].ptr[k]) * UINT64_C(0x100000001b3);
	return h;
}

/* Fills in the checksum from what stands in the field on. */
static void checksum_complete(uint8_t *bytes, uint32_t len, uint32_t start, uint32_t offset)
{
	uint64_t sum = checksum_sum(slice_of(bytes + start, len - start));
	store_le16(bytes + start + offset, (uint16_t)~checksum_fold(sum));
}

/* What a device does that cuts TCP segments. */
static void cut(struct world *w, uint32_t from, const struct frame_tx *f, const uint8_t *payload)
{
	const uint8_t *h = f->header + FRAME_TX_HEADROOM;
	uint8_t out[WORLD_RX_SIZE];
	bool ip6 = f->gso == FRAME_GSO_TCP6;
	uint32_t tcp = ip6 ? 54 : 34;
	for (uint32_t at = 0; at < f->payload_len; at += f->gso_size) {
		uint32_t n = f->payload_len - at < f->gso_size ? f->payload_len - at : f->gso_size;
		uint32_t len = f->header_len + n;
		memcpy(out, h, f->header_len);
		memcpy(out + f->header_len, payload + at, n);
		if (ip6) {
			store_be16(out + 18, (uint16_t)(len - tcp));
		} else {
			store_be16(out + 16, (uint16_t)(len - 14));
			store_be16(out + 18, (uint16_t)(load_be16(h + 18) + at / f->gso_size));
			store_le16(out + 24, 0);
			store_le16(out + 24, (uint16_t)~checksum_fold(checksum_ip4_header(out + 14)));
		}
		store_be32(out + tcp + 4, load_be32(h + tcp + 4) + at);
		if (at + n < f->payload_len)
			out[tcp + 13] &= 0xf6; /* FIN and PSH belong to the last */
		struct slice addresses = ip6 ? slice_of(out + 22, 32) : slice_of(out + 26, 8);
		uint64_t pseudo = checksum_sum(addresses) + (6 << 8) + __builtin_bswap16((uint16_t)(len - tcp));
		store_le16(out + tcp + 16, checksum_fold(pseudo));
		checksum_complete(out, len, tcp, 16);
		wire(w, from, out, len);
	}
}

static void transmit(struct world *w, uint32_t from, struct frame_tx *f)
{
	static uint8_t flat[70000];
	uint32_t at = f->header_len;
	memcpy(flat, f->header + FRAME_TX_HEADROOM, f->header_len);
	for (uint32_t i = 0; i < f->segment_count; i++) {
		ASSERT(f->segment[i].len > 0 && at + f->segment[i].len <= sizeof flat);
		memcpy(flat + at, f->segment[i].ptr, f->segment[i].len);
		at += (uint32_t)f->segment[i].len;
	}
	ASSERT(at - f->header_len == f->payload_len);
	if (f->gso != FRAME_GSO_NONE) {
		ASSERT(f->payload_len > f->gso_size);
		ASSERT(f->gso == FRAME_GSO_TCP6 ? load_be16(flat + 18) == at - 54 : load_be16(flat + 16) == at - 14);
		cut(w, from, f, flat + f->header_len);
	} else {
		if (f->checksum_start)
			checksum_complete(flat, at, f->checksum_start, f->checksum_offset);
		wire(w, from, flat, at);
	}
	struct sent *s = malloc(sizeof *s);
	ASSERT(s);
	*s = (struct sent){.frame = f, .at_ns = w->now_ns + world_below(w, 300000), .sum = payload_hash(f)};
	list_push_back(&w->station[from].at_device, &s->link);
}

static void frames_finish(struct world *w, struct station *s)
{
	LIST_FOR_EACH(e, &s->at_device) {
		struct sent *sent = LIST_ENTRY(e, struct sent, link);
		if (sent->at_ns > w->now_ns)
			continue;
		ASSERT(payload_hash(sent->frame) == sent->sum);
		sent->frame->done(sent->frame->owner, sent->frame);
		list_remove(e);
		free(sent);
		e_next = s->at_device.next; /* done may have changed what follows */
	}
}

void world_inject(struct world *w, uint32_t to, const void *bytes, uint32_t len)
{
	struct station *s = &w->station[to];
	const uint8_t *p = bytes;
	uint32_t first = len;
	if (w->fragment && len > 200 && world_below(w, 3) == 0)
		first = 120 + world_below(w, len - 120);
	struct frame_rx *f = buffer_get(s, p, first);
	if (!f)
		return;
	if (first < len) {
		f->frag = buffer_get(s, p + first, len - first);
		if (!f->frag) {
			frame_rx_put(f);
			return;
		}
	}
	net_input(s->net, f, w->now_ns);
}

static void arrivals(struct world *w, uint32_t i)
{
	struct station *s = &w->station[i];
	while (!list_is_empty(&s->inbox)) {
		struct packet *p = LIST_ENTRY(s->inbox.next, struct packet, link);
		if (p->at_ns > w->now_ns)
			return;
		list_remove(&p->link);
		world_inject(w, i, p->bytes, p->len);
		free(p);
	}
}

static uint64_t next_time(const struct world *w)
{
	uint64_t next = TIMER_NEVER;
	for (uint32_t i = 0; i < 2; i++) {
		const struct station *s = &w->station[i];
		if (!s->net)
			continue;
		uint64_t at = net_next_deadline(s->net);
		next = at < next ? at : next;
		if (!list_is_empty(&s->inbox)) {
			at = LIST_ENTRY(s->inbox.next, struct packet, link)->at_ns;
			next = at < next ? at : next;
		}
		LIST_FOR_EACH(e, &s->at_device) {
			at = LIST_ENTRY(e, struct sent, link)->at_ns;
			next = at < next ? at : next;
		}
	}
	return next;
}

bool world_step(struct world *w, uint64_t until_ns)
{
	for (uint32_t i = 0; i < 2; i++) {
		struct frame_tx *f;
		while (w->station[i].net && (f = net_output(w->station[i].net)))
			transmit(w, i, f);
	}
	uint64_t next = next_time(w);
	if (next > until_ns) {
		w->now_ns = until_ns;
		for (uint32_t i = 0; i < 2; i++)
			if (w->station[i].net)
				net_advance(w->station[i].net, until_ns);
		return false;
	}
	if (next > w->now_ns)
		w->now_ns = next;
	for (uint32_t i = 0; i < 2; i++) {
		if (!w->station[i].net)
			continue;
		frames_finish(w, &w->station[i]);
		arrivals(w, i);
		net_advance(w->station[i].net, w->now_ns);
	}
	return true;
}

void world_run(struct world *w, uint64_t until_ns, void (*serve)(struct world *))
{
	while (world_step(w, until_ns)) {
		if (serve)
			serve(w);
	}
}
