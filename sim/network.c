/* The switch and the links: events in order of time. The card is in network_card.c.
 *
 * Each card has a generator of its own for what concerns its link, so that a change to one host's traffic
 * does not reshuffle the others' luck. */
#include <sim/network.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <base/assert.h>
#include <base/bytes.h>
#include <sim/packet.h>
#include "network_private.h"

#define ROUTER_ADDRESS 0x0a0000feu /* 10.0.0.254; and fe80::fe */
#define QUOTE_MAX 120

static const uint8_t router_mac[6] = {2, 0, 0, 0, 0, 0xfe};

static bool chance(uint64_t *random, uint32_t of_10000)
{
	return of_10000 && sim_random(random) % 10000 < of_10000;
}

/* --- Events, in a heap by time and order of making ------------------------------------------- */

static bool earlier(const struct sim_event *a, const struct sim_event *b)
{
	return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

void sim_event_add(struct sim_network *n, struct sim_event e)
{
	ASSERT(n->events < SIM_EVENTS_MAX);
	uint32_t i = n->events++;
	e.order = n->order++;
	while (i && earlier(&e, &n->heap[(i - 1) / 2])) {
		n->heap[i] = n->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	n->heap[i] = e;
}

static struct sim_event event_take(struct sim_network *n)
{
	struct sim_event top = n->heap[0], last = n->heap[--n->events];
	uint32_t i = 0;
	while (2 * i + 1 < n->events) {
		uint32_t child = 2 * i + 1;
		if (child + 1 < n->events && earlier(&n->heap[child + 1], &n->heap[child]))
			child++;
		if (!earlier(&n->heap[child], &last))
			break;
		n->heap[i] = n->heap[child];
		i = child;
	}
	n->heap[i] = last;
	return top;
}

/* --- Frames ---------------------------------------------------------------------------------- */

struct sim_frame *sim_frame_new(uint32_t len)
{
	struct sim_frame *f = malloc(sizeof *f + len);
	ASSERT(f);
	*f = (struct sim_frame){.len = len, .to = SIM_PORTS_MAX};
	return f;
}

static struct sim_frame *frame_copy(const struct sim_frame *f)
{
	struct sim_frame *copy = sim_frame_new(f->len);
	memcpy(copy, f, sizeof *f + f->len);
	return copy;
}

void sim_frame_complete(struct sim_frame *f)
{
	if (!f->checksum_start)
		return;
	uint32_t start = f->checksum_start, at = start + f->checksum_offset;
	f->checksum_start = 0;
	ASSERT(at + 2 <= f->len);
	uint16_t sum = (uint16_t)~sim_sum_fold(sim_sum(0, slice_of(f->bytes + start, f->len - start)));
	store_be16(f->bytes + at, sum ? sum : 0xffff);
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
	return hash ^ hash >> 29;
}

static uint64_t bytes_hash(const uint8_t *p, uint32_t len)
{
	uint64_t hash = len;
	uint32_t i = 0;
	for (; i + 8 <= len; i += 8)
		hash = mix(hash, load_le64(p + i));
	for (; i < len; i++)
		hash = mix(hash, p[i]);
	return hash;
}

void sim_fate(struct sim_network *n, enum sim_fate fate, const struct sim_frame *f)
{
	n->hash = mix(n->hash, n->now_ns);
	n->hash = mix(n->hash, (uint64_t)fate << 16 | f->from << 8 | f->to);
	if (fate == SIM_SENT || fate == SIM_ARRIVED)
		n->hash = mix(n->hash, bytes_hash(f->bytes, f->len));
	if (n->tap)
		n->tap(n->cookie, fate, f);
}

static void frame_drop(struct sim_network *n, enum sim_fate fate, struct sim_frame *f)
{
	sim_fate(n, fate, f);
	free(f);
}

/* --- A link ---------------------------------------------------------------------------------- */

/* ARP has no checksum, and on a real Ethernet the frame's own keeps it intact: only IP is hit. */
static void corrupt(struct sim_network *n, uint64_t *random, struct sim_frame *f, bool forge)
{
	struct sim_packet p;
	sim_frame_complete(f);
	(void)sim_packet_parse(&p, slice_of(f->bytes, f->len));
	if (p.kind == SIM_OTHER || p.kind == SIM_ARP || (forge && !p.payload.len))
		return;
	uint32_t from = forge ? (uint32_t)(p.payload.ptr - f->bytes) : SIM_ETHERNET;
	uint32_t at = from + (uint32_t)(sim_random(random) % (f->len - from));
	f->bytes[at] ^= (uint8_t)(1 + sim_random(random) % 255);
	if (forge)
		sim_packet_mend(f->bytes, f->len);
	sim_fate(n, forge ? SIM_FORGED : SIM_CORRUPTED, f);
}

static void mark(struct sim_frame *f)
{
	uint8_t *ip = f->bytes + SIM_ETHERNET;
	uint16_t type = load_be16(f->bytes + 12);
	if (type == 0x0800 && (ip[1] & 3)) {
		/* RFC 1624: the sum of the header changes by as much. */
		uint32_t sum = (uint16_t)~load_be16(ip + 10) + (3u - (ip[1] & 3));
		ip[1] |= 3;
		store_be16(ip + 10, (uint16_t)~sim_sum_fold(sum));
	} else if (type == 0x86dd && (ip[1] >> 4 & 3)) {
		ip[1] |= 0x30;
	}
}

static void too_big_ip4(struct sim_frame *answer, const struct sim_frame *f, uint32_t mtu)
{
	uint8_t *h = answer->bytes + SIM_ETHERNET, *icmp = h + 20;
	store_be16(answer->bytes + 12, 0x0800);
	h[0] = 0x45;
	store_be16(h + 2, (uint16_t)(answer->len - SIM_ETHERNET));
	h[8] = 64;
	h[9] = 1;
	store_be32(h + 12, ROUTER_ADDRESS);
	memcpy(h + 16, f->bytes + SIM_ETHERNET + 12, 4);
	icmp[0] = 3;
	icmp[1] = 4;
	store_be16(icmp + 6, (uint16_t)mtu);
}

static void too_big_ip6(struct sim_frame *answer, const struct sim_frame *f, uint32_t mtu)
{
	uint8_t *h = answer->bytes + SIM_ETHERNET, *icmp = h + 40;
	store_be16(answer->bytes + 12, 0x86dd);
	h[0] = 0x60;
	store_be16(h + 4, (uint16_t)(answer->len - SIM_ETHERNET - 40));
	h[6] = 58;
	h[7] = 64;
	h[8] = 0xfe;
	h[9] = 0x80;
	h[23] = 0xfe;
	memcpy(h + 24, f->bytes + SIM_ETHERNET + 8, 16);
	icmp[0] = 2;
	store_be32(icmp + 4, mtu);
}

/* What a router says about a packet that does not fit (RFC 1191, RFC 8201), to its sender. */
static void tell_too_big(struct sim_network *n, const struct sim_frame *f, uint32_t mtu)
{
	bool v6 = load_be16(f->bytes + 12) == 0x86dd;
	uint32_t quote = f->len - SIM_ETHERNET < QUOTE_MAX ? f->len - SIM_ETHERNET : QUOTE_MAX;
	uint32_t headers = SIM_ETHERNET + (v6 ? 40 : 20) + 8;
	struct sim_frame *answer = sim_frame_new(headers + quote);
	memset(answer->bytes, 0, answer->len);
	memcpy(answer->bytes, f->bytes + 6, 6);
	memcpy(answer->bytes + 6, router_mac, 6);
	memcpy(answer->bytes + headers, f->bytes + SIM_ETHERNET, quote);
	if (v6)
		too_big_ip6(answer, f, mtu);
	else
		too_big_ip4(answer, f, mtu);
	sim_packet_mend(answer->bytes, answer->len);
	answer->number = f->number;
	answer->from = SIM_PORTS_MAX;
	answer->to = f->from;
	sim_fate(n, SIM_ANSWERED, answer);
	if (f->from < n->ports)
		sim_path_take(n, &n->port[f->from], false, answer);
	else
		free(answer);
}

static bool is_ip(const struct sim_frame *f)
{
	uint16_t type = load_be16(f->bytes + 12);
	return type == 0x0800 || type == 0x86dd;
}

static bool fits(struct sim_network *n, struct sim_path *path, struct sim_frame *f)
{
	if (f->len <= SIM_ETHERNET + path->mtu)
		return true;
	sim_fate(n, SIM_TOO_BIG, f);
	if (path->tells_mtu && is_ip(f))
		tell_too_big(n, f, path->mtu);
	free(f);
	return false;
}

/* When the last byte has left; UINT64_MAX: the queue is full. */
static uint64_t line_time(const struct sim_network *n, struct sim_path *path, uint32_t len)
{
	uint64_t start = path->free_ns > n->now_ns ? path->free_ns : n->now_ns;
	if (!path->bytes_per_s)
		return n->now_ns;
	if ((start - n->now_ns) / 1000 * path->bytes_per_s / 1000000 > path->queue_max)
		return UINT64_MAX;
	path->free_ns = start + len * UINT64_C(1000000000) / path->bytes_per_s;
	return path->free_ns;
}

static void travel(struct sim_network *n, struct sim_port *port, bool up, struct sim_frame *f)
{
	struct sim_path *path = up ? &port->up : &port->down;
	uint64_t at = line_time(n, path, f->len);
	if (at == UINT64_MAX || n->events > SIM_EVENTS_MAX / 2) {
		frame_drop(n, SIM_QUEUE_FULL, f);
		return;
	}
	bool late = chance(&port->random, path->reorder);
	at += path->delay_ns + (path->jitter_ns ? sim_random(&port->random) % path->jitter_ns : 0);
	if (late) {
		at += path->jitter_ns + path->delay_ns / 2;
	} else {
		at = at > path->last_ns ? at : path->last_ns;
		path->last_ns = at;
	}
	if (chance(&port->random, path->mark))
		mark(f);
	if (chance(&port->random, path->corrupt))
		corrupt(n, &port->random, f, false);
	if (chance(&port->random, path->forge))
		corrupt(n, &port->random, f, true);
	sim_event_add(n, (struct sim_event){.at_ns = at, .port = port->index, .epoch = port->epoch,
		.at_switch = up, .frame = f});
}

void sim_path_take(struct sim_network *n, struct sim_port *port, bool up, struct sim_frame *f)
{
	struct sim_path *path = up ? &port->up : &port->down;
	if (path->down) {
		frame_drop(n, SIM_LINK_DOWN, f);
	} else if (chance(&port->random, path->loss)) {
		frame_drop(n, SIM_LOST, f);
	} else if (fits(n, path, f)) {
		if (chance(&port->random, path->duplicate)) {
			sim_fate(n, SIM_DUPLICATED, f);
			travel(n, port, up, frame_copy(f));
		}
		travel(n, port, up, f);
	}
}

/* --- The switch ------------------------------------------------------------------------------ */

static void forward(struct sim_network *n, struct sim_port *port, struct sim_frame *f)
{
	const struct sim_port *from = &n->port[f->from];
	bool partial = port->config.rx_checksum == SIM_RX_PARTIAL
		&& from->config.rx_checksum == SIM_RX_PARTIAL;
	f->to = port->index;
	if (!partial)
		sim_frame_complete(f);
	sim_path_take(n, port, false, f);
}

static void at_switch(struct sim_network *n, struct sim_frame *f)
{
	if (f->bytes[0] & 1) {
		for (uint32_t i = 0; i < n->ports; i++)
			if (i != f->from)
				forward(n, &n->port[i], frame_copy(f));
		free(f);
		return;
	}
	for (uint32_t i = 0; i < n->ports; i++) {
		if (memcmp(n->port[i].config.mac, f->bytes, 6) == 0) {
			forward(n, &n->port[i], f);
			return;
		}
	}
	frame_drop(n, SIM_NO_STATION, f);
}

/* --- Life ------------------------------------------------------------------------------------ */

void sim_network_init(struct sim_network *n, uint64_t seed, uint64_t now_ns)
{
	*n = (struct sim_network){.random = seed, .now_ns = now_ns, .hash = seed};
	n->heap = malloc(SIM_EVENTS_MAX * sizeof *n->heap);
	ASSERT(n->heap);
}

void sim_network_free(struct sim_network *n)
{
	for (uint32_t i = 0; i < n->events; i++) {
		free(n->heap[i].frame);
		free(n->heap[i].tx);
	}
	for (uint32_t i = 0; i < n->ports; i++)
		sim_card_free(&n->port[i]);
	free(n->heap);
}

struct sim_port *sim_network_add(struct sim_network *n, const struct sim_port_config *config)
{
	ASSERT(n->ports < SIM_PORTS_MAX);
	struct sim_port *p = &n->port[n->ports];
	*p = (struct sim_port){.network = n, .index = n->ports++, .config = *config,
		.random = sim_random(&n->random)};
	p->up.mtu = p->down.mtu = SIM_FRAME_MAX - SIM_ETHERNET;
	p->up.queue_max = p->down.queue_max = UINT32_MAX;
	sim_card_init(p);
	return p;
}

uint64_t sim_network_next(const struct sim_network *n)
{
	return n->events ? n->heap[0].at_ns : UINT64_MAX;
}

void sim_network_advance(struct sim_network *n, uint64_t now_ns)
{
	while (n->events && n->heap[0].at_ns <= now_ns) {
		struct sim_event e = event_take(n);
		struct sim_port *port = &n->port[e.port];
		if (e.at_ns > n->now_ns)
			n->now_ns = e.at_ns;
		if (!e.frame)
			sim_card_done(port, e.tx);
		else if (e.at_switch)
			at_switch(n, e.frame);
		else
			sim_card_arrival(port, e.frame);
	}
	if (now_ns > n->now_ns)
		n->now_ns = now_ns;
}

void sim_network_inject(struct sim_network *n, struct sim_port *to, struct slice bytes)
{
	struct sim_frame *f = sim_frame_new((uint32_t)bytes.len);
	memcpy(f->bytes, bytes.ptr, bytes.len);
	f->number = ++n->frames;
	f->from = SIM_PORTS_MAX;
	f->to = to->index;
	sim_fate(n, SIM_ANSWERED, f);
	sim_card_arrival(to, f);
}

const char *sim_fate_text(enum sim_fate fate)
{
	static const char *const text[] = {"sent", "arrives", "duplicated", "corrupted", "forged",
		"answered", "LOST", "LINK DOWN", "QUEUE FULL", "TOO BIG", "NO BUFFER", "NO STATION"};
	return text[fate];
}

/* --- pcap ------------------------------------------------------------------------------------ */

void sim_pcap_begin(void *file)
{
	/* Nanosecond stamps, version 2.4, Ethernet. */
	uint32_t header[6] = {0xa1b23c4d, 4 << 16 | 2, 0, 0, 65535, 1};
	fwrite(header, sizeof header, 1, file);
}

void sim_pcap_frame(void *file, uint64_t at_ns, const struct sim_frame *f)
{
	uint32_t header[4] = {(uint32_t)(at_ns / 1000000000), (uint32_t)(at_ns % 1000000000), f->len, f->len};
	fwrite(header, sizeof header, 1, file);
	fwrite(f->bytes, f->len, 1, file);
}
