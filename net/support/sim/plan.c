/* What the seed means: hosts, links, connections and faults. The order of the draws is the plan: each is a
 * statement of its own, since compilers order the parts of an expression as they like. */
#include "run.h"

#include <string.h>
#include <base/bytes.h>

/* Many small, few large. */
static uint64_t draw_size(struct run *r, uint64_t most)
{
	uint64_t bound = most;
	for (uint32_t i = draw_below(r, 4); i; i--)
		bound /= 8;
	return bound ? draw_between(r, 0, bound) : 0;
}

static uint32_t pick(struct run *r, const uint32_t *from, uint32_t count)
{
	return from[draw_below(r, count)];
}

/* --- Hosts ----------------------------------------------------------------------------------- */

static void plan_limits(struct run *r, struct host *h, struct net_config *c)
{
	static const uint32_t mtu[] = {1500, 1500, 1500, 1280, 1400, 576, 9000};
	static const uint32_t window[] = {2048, 4096, 16384, 65535, 65536, 262144, 1048576};
	static const uint32_t conns[] = {4, 16, 64}, syns[] = {1, 2, 8, 64}, waits[] = {1, 4, 64};
	static const uint32_t records[] = {1, 8, 64, 0, 0};
	static const uint32_t tx[] = {8, 16, 64, 256}, rx[] = {16, 48, 128, 512};
	c->mtu = (uint16_t)pick(r, mtu, ARRAY_LEN(mtu));
	c->tx_checksum = draw_chance(r, 70);
	c->tx_tso4 = c->tx_checksum && draw_chance(r, 70);
	c->tx_segments_max = draw_chance(r, 30) ? 1 + draw_below(r, 6) : 0;
	c->connections_max = h->patient ? 64 : pick(r, conns, ARRAY_LEN(conns));
	c->syn_max = pick(r, syns, ARRAY_LEN(syns));
	c->time_wait_max = pick(r, waits, ARRAY_LEN(waits));
	c->tx_frames_max = pick(r, tx, ARRAY_LEN(tx));
	c->rx_frames_max = pick(r, rx, ARRAY_LEN(rx));
	c->neighbors_max = draw_chance(r, 50) ? 8 : 64;
	c->receive_window = pick(r, window, ARRAY_LEN(window));
	c->receive_window_max = draw_chance(r, 50) ? c->receive_window : 0;
	c->sent_records_max = pick(r, records, ARRAY_LEN(records));
	c->ecn = draw_below(r, NET_ECN_OFF + 1);
	c->time_wait_ns = draw_between(r, 1, 60) * SECOND;
	c->fin_wait_2_ns = (h->patient ? 600 : draw_between(r, 1, 60)) * SECOND;
	c->user_timeout_ns = (h->patient ? 1200 : draw_between(r, 10, 120)) * SECOND;
	c->keepalive_idle_ns = (h->patient ? 300 : draw_between(r, 2, 60)) * SECOND;
	c->keepalive_interval_ns = (h->patient ? 30 : draw_between(r, 1, 10)) * SECOND;
}

static void plan_ip6(struct run *r, const struct host *h, struct net_config *c)
{
	bool wanted = draw_chance(r, 70), automatic = draw_chance(r, 40);
	if (!wanted || c->mtu < 1280)
		return;
	c->ip6 = automatic ? NET_IP6_AUTO : NET_IP6_STATIC;
	c->tx_tso6 = c->tx_checksum && draw_chance(r, 70);
	c->ip6_address = (struct net_address){{0xfd, 0, 0, 0, 0, 0, 0, 1}};
	c->ip6_address.octet[15] = (uint8_t)(h->index + 1);
	c->ip6_prefix_len = 64;
}

static void plan_host(struct run *r, uint32_t i)
{
	static const uint32_t ring[] = {4, 16, 64, 256};
	struct host *h = &r->host[i];
	*h = (struct host){.run = r, .index = i, .ip = 0x0a000001 + i, .patient = draw_chance(r, 80)};
	struct net_config *c = &h->config;
	*c = (struct net_config){.mac = {2, 0, 0, 0, 0, (uint8_t)(i + 1)}, .address = h->ip,
		.mask = 0xffffff00, .host_name = SLICE_INIT("sim")};
	plan_limits(r, h, c);
	plan_ip6(r, h, c);
	for (uint32_t k = 0; k < 4; k++)
		store_le64(h->random_seed + 8 * k, draw(r));
	h->input_max = draw_chance(r, 70) ? UINT32_MAX : 1 + draw_below(r, 8);
	uint32_t room = c->rx_frames_max + 4 + draw_below(r, 60);
	bool split = draw_chance(r, 40) || c->mtu > 2000;
	struct sim_port_config p = {.rx_buffers = room, .rx_split = split};
	p.tx_ring = pick(r, ring, ARRAY_LEN(ring));
	p.rx_size = draw_chance(r, 50) ? 2048 : 1600;
	p.rx_headroom = draw_below(r, 3) * 10;
	p.rx_checksum = draw_below(r, 3);
	p.done_ns_max = draw_between(r, 0, draw_chance(r, 20) ? 20 * MS : MS / 2);
	memcpy(p.mac, c->mac, 6);
	h->port = sim_network_add(&r->network, &p);
	h->port->up.mtu = h->port->down.mtu = c->mtu;
}

static void plan_link(struct run *r, struct sim_path *p)
{
	static const uint64_t delay[] = {0, 50000, 200000, MS, 10 * MS, 40 * MS, 100 * MS};
	p->delay_ns = delay[draw_below(r, ARRAY_LEN(delay))];
	p->jitter_ns = draw_chance(r, 50) ? p->delay_ns / 4 + draw_below(r, 100000) : 0;
	if (draw_chance(r, 25)) {
		p->bytes_per_s = draw_between(r, 40000, 5000000);
		p->queue_max = (uint32_t)draw_between(r, 20000, 200000);
	}
	p->loss = draw_chance(r, 30) ? draw_below(r, 300) : 0;
	p->reorder = draw_chance(r, 20) ? draw_below(r, 1000) : 0;
	p->duplicate = draw_chance(r, 15) ? draw_below(r, 300) : 0;
	p->corrupt = draw_chance(r, 15) ? draw_below(r, 200) : 0;
	p->mark = draw_chance(r, 15) ? draw_below(r, 1000) : 0;
}

/* --- Connections ----------------------------------------------------------------------------- */

static void plan_intent(struct run *r, struct intent *n)
{
	static const uint32_t chunk[] = {1, 100, 1460, 5000, 20000, 65536};
	*n = (struct intent){.to_send = draw_size(r, 600000), .abort_after = UINT64_MAX};
	n->send_max = pick(r, chunk, ARRAY_LEN(chunk));
	n->read_max = draw_chance(r, 60) ? UINT32_MAX : pick(r, chunk, ARRAY_LEN(chunk));
	if (n->send_max <= 100 && n->to_send > 4000)
		n->to_send = 4000;
	n->send_pause_ns = draw_chance(r, 20) ? draw_between(r, 1, 300 * MS) : 0;
	n->read_pause_ns = draw_chance(r, 25) ? draw_between(r, 1, 500 * MS) : 0;
	if (draw_chance(r, 8))
		n->abort_after = draw_between(r, 0, n->to_send + 2000);
	n->discards = draw_chance(r, 4);
	n->leaves_unread = draw_chance(r, 4);
}

/* A slow reader gets little, so that it is done in time. */
static void match(struct intent *reader, struct intent *writer)
{
	if (writer->send_pause_ns && writer->to_send / writer->send_max > 100)
		writer->to_send = 100 * writer->send_max;
	if (!reader->read_pause_ns && reader->read_max > 100)
		return;
	uint64_t most = (uint64_t)(reader->read_max < 20000 ? reader->read_max : 20000) * 100;
	if (!reader->read_pause_ns)
		most = 20000;
	if (writer->to_send > most)
		writer->to_send = most;
}

static void plan_flow(struct run *r, uint32_t i, uint64_t span_ns)
{
	struct flow *f = &r->flow[i];
	*f = (struct flow){.run = r, .id = i};
	f->client = draw_below(r, r->hosts);
	f->server = (f->client + 1 + draw_below(r, r->hosts - 1)) % r->hosts;
	f->port = (uint16_t)(PORT_FIRST + draw_below(r, LISTENERS));
	f->start_ns = START_NS + (draw_chance(r, 30) ? 0 : draw_between(r, 0, span_ns));
	f->simultaneous = draw_chance(r, 10);
	f->ip6 = draw_chance(r, 50) && r->host[f->client].config.ip6 && r->host[f->server].config.ip6;
	if (f->ip6) /* addresses are checked for duplicates first */
		f->start_ns += 3 * SECOND;
	for (uint32_t k = 0; k < 2; k++) {
		struct end *e = &f->end[k];
		plan_intent(r, &e->intent);
		*e = (struct end){.flow = f, .side = k, .intent = e->intent, .key = draw(r)};
	}
	uint32_t second = draw_below(r, 2);
	f->end[second].intent.close_after_peer = draw_chance(r, 40);
	match(&f->end[0].intent, &f->end[1].intent);
	match(&f->end[1].intent, &f->end[0].intent);
	f->ghost = (struct end){.flow = f, .side = true, .key = f->end[1].key};
	for (uint32_t k = 0; k < 2; k++)
		if (f->end[k].intent.abort_after != UINT64_MAX || f->end[k].intent.leaves_unread)
			f->excuse = "an end gives up";
}

/* --- Faults ---------------------------------------------------------------------------------- */

static uint64_t plan_amount(struct run *r, enum fault_kind kind)
{
	switch (kind) {
	case FAULT_LOSS: return draw_chance(r, 20) ? 10000 : draw_between(r, 50, 4000);
	case FAULT_DUPLICATE: return draw_between(r, 100, 5000);
	case FAULT_MARK: return draw_between(r, 100, 10000);
	case FAULT_REORDER: return draw_between(r, 100, 5000);
	case FAULT_CORRUPT: return draw_between(r, 50, 3000);
	case FAULT_DELAY: return draw_between(r, MS, 400 * MS);
	case FAULT_RATE: return draw_between(r, 10000, 200000);
	case FAULT_MTU:
	case FAULT_BLACK_HOLE: return draw_between(r, 576, 1400);
	case FAULT_RX_WITHHELD: return draw_between(r, 50, 100); /* percent */
	case FAULT_CLOCK_JUMP: return draw_chance(r, 50) ? draw_between(r, 1, 3 * SECOND)
			: draw_between(r, SECOND, 200 * SECOND);
	case FAULT_SMALL_STEPS: return draw_between(r, 1, 2 * MS);
	case FAULT_RESTART: return draw_below(r, 2); /* 1: with the same entropy, as from a snapshot */
	case FAULT_FLAP:
	case FAULT_TX_HELD:
	case FAULT_PAUSE:
	case FAULT_KINDS: break;
	}
	return draw_below(r, 2);
}

static void plan_fault(struct run *r, uint32_t i, uint64_t span_ns)
{
	struct fault *f = &r->fault[i];
	*f = (struct fault){.kind = draw_below(r, FAULT_KINDS)};
	f->host = draw_below(r, r->hosts);
	if (f->kind == FAULT_RESTART && draw_chance(r, 60))
		f->kind = FAULT_LOSS;
	uint64_t longest = f->kind == FAULT_TX_HELD ? 500 * MS : 12 * SECOND;
	if (f->kind == FAULT_SMALL_STEPS)
		longest = 50 * MS;
	f->from_ns = START_NS + draw_between(r, 0, span_ns);
	f->to_ns = f->from_ns + draw_between(r, 1, draw_chance(r, 50) ? longest / 10 : longest);
	f->amount = plan_amount(r, f->kind);
	/* Who sleeps that long may find others gone. */
	if (f->kind == FAULT_CLOCK_JUMP && f->amount > 3 * SECOND)
		r->host[f->host].patient = false;
	f->up = !draw_chance(r, 30);
	f->down = !f->up || draw_chance(r, 60);
}

void plan_draw(struct run *r)
{
	r->hosts = draw_chance(r, 50) ? 2 : (uint32_t)draw_between(r, 3, HOSTS_MAX);
	for (uint32_t i = 0; i < r->hosts; i++) {
		plan_host(r, i);
		plan_link(r, &r->host[i].port->up);
		plan_link(r, &r->host[i].port->down);
		r->host[i].base_up = r->host[i].port->up;
		r->host[i].base_down = r->host[i].port->down;
	}
	uint64_t span = draw_between(r, 1, 40) * SECOND;
	r->flows = 1 + draw_below(r, draw_chance(r, 50) ? 6 : FLOWS_MAX);
	for (uint32_t i = 0; i < r->flows; i++)
		plan_flow(r, i, span);
	r->faults = draw_chance(r, 20) ? 0 : draw_below(r, FAULTS_MAX);
	for (uint32_t i = 0; i < r->faults; i++)
		plan_fault(r, i, span);
	r->attacks = draw_chance(r, 60) ? 0 : draw_below(r, ATTACKS_MAX);
	for (uint32_t i = 0; i < r->attacks; i++) {
		struct attack *a = &r->attack[i];
		a->kind = draw_below(r, ATTACK_KINDS);
		a->at_ns = START_NS + draw_between(r, 0, span);
		a->amount = draw(r);
		a->victim = draw_below(r, r->hosts);
	}
	r->pings = draw_below(r, ARRAY_LEN(r->ping));
	for (uint32_t i = 0; i < r->pings; i++) {
		struct ping *p = &r->ping[i];
		*p = (struct ping){.at_ns = START_NS + draw_between(r, 0, span)};
		p->from = draw_below(r, r->hosts);
		p->len = draw_below(r, 1300);
		p->to = (p->from + 1 + draw_below(r, r->hosts - 1)) % r->hosts;
	}
	r->next_datagram_ns = START_NS;
	r->router = draw_chance(r, 50);
	r->next_advertisement_ns = START_NS + draw_between(r, 0, SECOND);
	r->work_end_ns = START_NS + span + 3 * SECOND;
	r->faults_end_ns = r->work_end_ns;
	for (uint32_t i = 0; i < r->faults; i++)
		if (r->fault[i].to_ns > r->faults_end_ns)
			r->faults_end_ns = r->fault[i].to_ns;
}
