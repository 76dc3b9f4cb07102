/* A simulated network card: its rings, what it does to frames that leave (cutting, checksums), and the
 * buffers that it fills. */
#include <sim/network.h>

#include <stdlib.h>
#include <string.h>
#include <base/assert.h>
#include <base/bytes.h>
#include <sim/packet.h>
#include "network_private.h"

#define HEADERS_MAX 134 /* Ethernet, and the longest IPv4 or IPv6 and TCP headers that are cut apart */
#define SPLIT_MAX 4

/* A buffer's bytes have an allocation of their own, so that the sanitizers see what runs over. */
struct sim_rx_buffer {
	struct frame_rx frame;
	uint8_t *bytes;
	uint32_t epoch;
	bool out;
};

/* --- Sending --------------------------------------------------------------------------------- */

static uint64_t payload_sum(const struct frame_tx *f)
{
	uint64_t sum = f->payload_len;
	for (uint32_t i = 0; i < f->segment_count; i++)
		for (size_t k = 0; k < f->segment[i].len; k++)
			sum = (sum ^ f->segment[i].ptr[k]) * 0x100000001b3u;
	return sum;
}

static void onto_wire(struct sim_port *p, struct sim_frame *f)
{
	struct sim_network *n = p->network;
	f->number = ++n->frames;
	f->from = p->index;
	p->sent++;
	/* Judged and hashed as it would be on a wire, whoever fills in the sum later. */
	struct sim_frame *whole = sim_frame_new(f->len);
	memcpy(whole, f, sizeof *f + f->len);
	sim_frame_complete(whole);
	sim_fate(n, SIM_SENT, whole);
	free(whole);
	sim_path_take(n, p, true, f);
}

/* `change` is added to the pseudo-header's sum that stands in the field: its length was that of the
 * whole. A stack that left a wrong one sends wrong checksums. */
static void pseudo_adjust(uint8_t *field, uint32_t old_len, uint32_t new_len)
{
	uint32_t sum = load_be16(field) + (0xffffu - old_len % 0xffff) + new_len;
	store_be16(field, sim_sum_fold(sum));
}

static void cut_headers(const struct frame_tx *f, uint8_t *out, uint32_t at, uint32_t n)
{
	uint8_t *ip = out + SIM_ETHERNET, *tcp = out + f->checksum_start;
	uint32_t header = f->header_len - f->checksum_start, index = at / f->gso_size;
	bool last = at + n == f->payload_len;
	if (f->gso == FRAME_GSO_TCP4) {
		store_be16(ip + 2, (uint16_t)(f->header_len + n - SIM_ETHERNET));
		store_be16(ip + 4, (uint16_t)(load_be16(ip + 4) + index));
		store_be16(ip + 10, 0);
		store_be16(ip + 10, (uint16_t)~sim_sum_fold(sim_sum(0, slice_of(ip, (ip[0] & 15u) * 4))));
	} else {
		store_be16(ip + 4, (uint16_t)(f->header_len + n - SIM_ETHERNET - 40u));
	}
	store_be32(tcp + 4, load_be32(tcp + 4) + at);
	if (!last)
		tcp[13] &= (uint8_t)~(SIM_FIN | SIM_PSH);
	if (index)
		tcp[13] &= (uint8_t)~SIM_CWR;
	pseudo_adjust(tcp + f->checksum_offset, header + f->payload_len, header + n);
}

static void cut(struct sim_port *p, const struct frame_tx *f, const uint8_t *flat)
{
	bool v6 = load_be16(flat + 12) == 0x86dd;
	ASSERT(f->gso == (v6 ? FRAME_GSO_TCP6 : FRAME_GSO_TCP4) && f->checksum_start && f->gso_size);
	ASSERT(f->payload_len > f->gso_size);
	for (uint32_t at = 0, n; at < f->payload_len; at += n) {
		n = f->payload_len - at < f->gso_size ? f->payload_len - at : f->gso_size;
		struct sim_frame *out = sim_frame_new(f->header_len + n);
		memcpy(out->bytes, flat, f->header_len);
		memcpy(out->bytes + f->header_len, flat + f->header_len + at, n);
		cut_headers(f, out->bytes, at, n);
		out->checksum_start = f->checksum_start;
		out->checksum_offset = f->checksum_offset;
		onto_wire(p, out);
	}
}

static void whole(struct sim_port *p, const struct frame_tx *f, const uint8_t *flat, uint32_t len)
{
	struct sim_frame *out = sim_frame_new(len);
	memcpy(out->bytes, flat, len);
	out->checksum_start = f->checksum_start;
	out->checksum_offset = f->checksum_offset;
	onto_wire(p, out);
}

bool sim_port_send(struct sim_port *p, struct frame_tx *f)
{
	struct sim_network *n = p->network;
	if (p->tx_used == p->config.tx_ring) {
		p->refused++;
		return false;
	}
	uint32_t len = f->header_len, total = f->header_len + f->payload_len;
	ASSERT(f->header_len >= SIM_ETHERNET && f->header_len <= FRAME_TX_HEADER_MAX);
	ASSERT(f->segment_count <= FRAME_TX_SEGMENTS_MAX);
	uint8_t *flat = malloc(total);
	ASSERT(flat);
	memcpy(flat, f->header + FRAME_TX_HEADROOM, len);
	for (uint32_t i = 0; i < f->segment_count; i++) {
		ASSERT(f->segment[i].len > 0 && f->segment[i].len <= total - len);
		memcpy(flat + len, f->segment[i].ptr, f->segment[i].len);
		len += (uint32_t)f->segment[i].len;
	}
	ASSERT(len == total);
	struct sim_tx *tx = malloc(sizeof *tx);
	ASSERT(tx);
	*tx = (struct sim_tx){.frame = f, .epoch = p->epoch, .sum = payload_sum(f)};
	p->tx_used++;
	sim_event_add(n, (struct sim_event){.port = p->index, .tx = tx,
		.at_ns = n->now_ns + sim_random(&p->random) % (p->config.done_ns_max + 1)});
	if (f->gso != FRAME_GSO_NONE)
		cut(p, f, flat);
	else
		whole(p, f, flat, total);
	free(flat);
	return true;
}

static void give_back(struct sim_port *p, struct sim_tx *tx)
{
	p->tx_used--;
	ASSERT(payload_sum(tx->frame) == tx->sum);
	tx->frame->done(tx->frame->owner, tx->frame);
	free(tx);
	if (p->network->attention)
		p->network->attention(p->network->cookie, p);
}

void sim_card_done(struct sim_port *p, struct sim_tx *tx)
{
	if (tx->epoch != p->epoch)
		free(tx);
	else if (p->tx_held)
		list_push_back(&p->tx_waiting, &tx->link);
	else
		give_back(p, tx);
}

void sim_port_tx_release(struct sim_port *p)
{
	struct list *e;
	p->tx_held = false;
	while ((e = list_pop_front(&p->tx_waiting)))
		give_back(p, LIST_ENTRY(e, struct sim_tx, link));
}

/* --- Receiving ------------------------------------------------------------------------------- */

static void buffer_put(void *owner, struct frame_rx *f)
{
	struct sim_port *p = owner;
	struct sim_rx_buffer *b = CONTAINER_OF(f, struct sim_rx_buffer, frame);
	if (b->epoch != p->epoch)
		return;
	ASSERT(b->out);
	b->out = false;
	memset(b->bytes, 0xdd, p->config.rx_headroom + p->config.rx_size);
	list_push_back(&p->rx_free, &b->frame.link);
	p->rx_free_count++;
}

static struct frame_rx *buffer_fill(struct sim_port *p, const uint8_t *bytes, uint32_t len)
{
	if (p->rx_free_count <= p->rx_withheld)
		return NULL;
	struct sim_rx_buffer *b = LIST_ENTRY(list_pop_front(&p->rx_free), struct sim_rx_buffer, frame.link);
	p->rx_free_count--;
	b->out = true;
	b->epoch = p->epoch;
	b->frame = (struct frame_rx){.buffer = b->bytes, .data = b->bytes + p->config.rx_headroom,
		.len = len, .capacity = p->config.rx_headroom + p->config.rx_size, .put = buffer_put, .owner = p};
	list_init(&b->frame.link);
	memcpy(b->frame.data, bytes, len);
	return &b->frame;
}

/* How much of the rest goes into the next buffer. */
static uint32_t split(struct sim_port *p, uint32_t done, uint32_t left, uint32_t pieces)
{
	uint32_t least = done ? 1 : HEADERS_MAX, most = left < p->config.rx_size ? left : p->config.rx_size;
	bool may = p->config.rx_split && pieces < SPLIT_MAX && most > least;
	if (!may || sim_random(&p->random) % 3)
		return most;
	return least + (uint32_t)(sim_random(&p->random) % (most - least));
}

static struct frame_rx *frame_fill(struct sim_port *p, const struct sim_frame *f)
{
	struct frame_rx *first = NULL, **tail = &first;
	for (uint32_t at = 0, pieces = 0, n; at < f->len; at += n, pieces++) {
		n = split(p, at, f->len - at, pieces);
		*tail = buffer_fill(p, f->bytes + at, n);
		if (!*tail) {
			frame_rx_put(first);
			return NULL;
		}
		tail = &(*tail)->frag;
	}
	return first;
}

static enum frame_checksum verdict(const struct sim_port *p, const struct sim_frame *f)
{
	struct sim_packet packet;
	if (f->checksum_start)
		return FRAME_CHECKSUM_PARTIAL;
	if (p->config.rx_checksum == SIM_RX_UNCHECKED || sim_packet_parse(&packet, slice_of(f->bytes, f->len)))
		return FRAME_CHECKSUM_NONE;
	bool known = packet.kind == SIM_TCP || packet.kind == SIM_UDP;
	return known ? FRAME_CHECKSUM_GOOD : FRAME_CHECKSUM_NONE;
}

void sim_card_arrival(struct sim_port *p, struct sim_frame *f)
{
	struct frame_rx *rx = frame_fill(p, f);
	if (!rx) {
		p->rx_dropped++;
		sim_fate(p->network, SIM_NO_BUFFER, f);
	} else {
		rx->checksum = verdict(p, f);
		p->received++;
		list_push_back(&p->rx_ready, &rx->link);
		sim_fate(p->network, SIM_ARRIVED, f);
		if (p->network->attention)
			p->network->attention(p->network->cookie, p);
	}
	free(f);
}

struct frame_rx *sim_port_receive(struct sim_port *p)
{
	struct list *e = list_pop_front(&p->rx_ready);
	return e ? LIST_ENTRY(e, struct frame_rx, link) : NULL;
}

uint32_t sim_port_rx_held(const struct sim_port *p)
{
	return p->config.rx_buffers - p->rx_free_count;
}

/* --- Life ------------------------------------------------------------------------------------ */

static void buffers_start(struct sim_port *p)
{
	list_init(&p->rx_free);
	list_init(&p->rx_ready);
	list_init(&p->tx_waiting);
	for (uint32_t i = 0; i < p->config.rx_buffers; i++) {
		p->buffers[i].out = false;
		list_push_back(&p->rx_free, &p->buffers[i].frame.link);
	}
	p->rx_free_count = p->config.rx_buffers;
	p->tx_used = 0;
	p->tx_held = false;
}

void sim_card_init(struct sim_port *p)
{
	p->buffers = calloc(p->config.rx_buffers, sizeof *p->buffers);
	ASSERT(p->buffers);
	for (uint32_t i = 0; i < p->config.rx_buffers; i++) {
		p->buffers[i].bytes = malloc(p->config.rx_headroom + p->config.rx_size);
		ASSERT(p->buffers[i].bytes);
	}
	buffers_start(p);
}

static void waiting_forget(struct sim_port *p)
{
	struct list *e;
	while ((e = list_pop_front(&p->tx_waiting)))
		free(LIST_ENTRY(e, struct sim_tx, link));
}

void sim_port_reset(struct sim_port *p)
{
	waiting_forget(p);
	p->epoch++;
	buffers_start(p);
}

void sim_card_free(struct sim_port *p)
{
	waiting_forget(p);
	for (uint32_t i = 0; i < p->config.rx_buffers; i++)
		free(p->buffers[i].bytes);
	free(p->buffers);
}
