/* Neighbours on the link: ARP (RFC 826), announcements and defence of our address (RFC 5227).
 *
 *   FREE --use--> INCOMPLETE --reply--> REACHABLE --60 s, use--> PROBING --reply--> REACHABLE
 *                     |                                            |
 *                     +--3 questions without answer--> FREE <------+
 *
 * Bounded: the table, the frames that wait for an answer (NEIGHBOR_QUEUE_MAX each), the questions (one a
 * second for each entry). An unsolicited ARP never makes an entry, unless it asks for us. Before the
 * address is used no probes are sent (that would delay the start by seconds); it is announced, and
 * defended once in 10 s. */
#include "engine.h"

#include "tcp_conn.h"

#define ARP_SIZE 28
#define ARP_REQUEST 1
#define ARP_REPLY 2
#define ARP_TRIES 3
#define RETRY_NS NS_PER_S
#define PROBE_SLOTS 8
#define ANNOUNCEMENTS 2
#define ANNOUNCE_INTERVAL_NS (2 * NS_PER_S)
#define DEFEND_INTERVAL_NS (10 * NS_PER_S)

static const uint8_t broadcast_mac[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static void arp_send(struct net *net, uint16_t op, const uint8_t to_mac[6], uint32_t target_ip,
	const uint8_t target_mac[6])
{
	struct net_frame *f = frame_get(net);
	if (!f)
		return;
	uint8_t *p = f->tx.header + FRAME_TX_HEADROOM;
	memcpy(p, to_mac, 6);
	memcpy(p + 6, net->mac, 6);
	store_be16(p + 12, ETHERTYPE_ARP);
	p += ETHERNET_HEADER;
	store_be16(p, 1);
	store_be16(p + 2, ETHERTYPE_IP4);
	p[4] = 6;
	p[5] = 4;
	store_be16(p + 6, op);
	memcpy(p + 8, net->mac, 6);
	store_be32(p + 14, net->ipv4.address);
	memcpy(p + 18, target_mac, 6);
	store_be32(p + 24, target_ip);
	f->tx.header_len = ETHERNET_HEADER + ARP_SIZE;
	if (op == ARP_REQUEST)
		net->counters.arp_out_requests++;
	else
		net->counters.arp_out_replies++;
	list_push_back(&net->out, &f->tx.link);
}

static void ask(struct net *net, struct neighbor *n)
{
	static const uint8_t unknown[6];
	bool known = n->state == NEIGHBOR_PROBING && n->tries < 2;
	arp_send(net, ARP_REQUEST, known ? n->mac : broadcast_mac, n->ip, unknown);
	n->tries++;
	timer_arm(&net->timers, &n->timer, net->now_ns + RETRY_NS);
}

/* Those who waited try again by themselves: connections by their retransmission timers. */
static void neighbor_fail(struct net *net, struct neighbor *n)
{
	struct list *e;
	net->counters.arp_failures++;
	n->state = NEIGHBOR_FREE;
	n->generation++;
	timer_cancel(&net->timers, &n->timer);
	while ((e = list_pop_front(&n->queue)))
		net_frame_put(net, CONTAINER_OF(e, struct net_frame, tx.link));
	n->queued = 0;
	while ((e = list_pop_front(&n->waiting)))
		tcp_conn_unreachable(CONTAINER_OF(e, struct tcp_conn, tx_link));
}

static void neighbor_timer(struct timer *t)
{
	struct neighbor *n = CONTAINER_OF(t, struct neighbor, timer);
	if (n->tries < ARP_TRIES)
		ask(n->net, n);
	else
		neighbor_fail(n->net, n);
}

static void neighbor_learned(struct net *net, struct neighbor *n, const uint8_t mac[6])
{
	struct list *e;
	if (memcmp(n->mac, mac, 6) != 0) {
		memcpy(n->mac, mac, 6);
		n->generation++;
	}
	n->state = NEIGHBOR_REACHABLE;
	n->used_ns = net->now_ns;
	n->tries = 0;
	timer_cancel(&net->timers, &n->timer);
	while ((e = list_pop_front(&n->queue))) {
		struct net_frame *f = CONTAINER_OF(e, struct net_frame, tx.link);
		memcpy(f->tx.header + FRAME_TX_HEADROOM, n->mac, 6);
		list_push_back(&net->out, e);
	}
	n->queued = 0;
	while ((e = list_pop_front(&n->waiting)))
		list_push_back(&net->tx_ready, e);
}

/* What an entry is worth to whom another one would replace; NEIGHBOR_KEPT is not replaced at all. Who
 * answers stays: questions about addresses that nobody has, however many, must not push it out. */
enum { NEIGHBOR_KEPT = 4 };

static unsigned neighbor_worth(const struct net *net, const struct neighbor *n)
{
	switch (n->state) {
	case NEIGHBOR_FREE: return 0;
	case NEIGHBOR_INCOMPLETE: return n->tries > 1 && list_is_empty(&n->waiting) ? 1 : NEIGHBOR_KEPT;
	case NEIGHBOR_STALE: return 2;
	case NEIGHBOR_PROBING:
	case NEIGHBOR_REACHABLE: return net->now_ns - n->used_ns > NEIGHBOR_REACHABLE_NS ? 2 : 3;
	}
	UNREACHABLE();
}

/* The slot of `ip`, or the one to use for it; NULL when there is none. */
static struct neighbor *neighbor_find(struct net *net, uint32_t ip)
{
	uint32_t at = (uint32_t)((ip ^ net->hash_key[0]) * UINT64_C(0x9e3779b97f4a7c15) >> 32);
	struct neighbor *best = NULL;
	unsigned best_worth = NEIGHBOR_KEPT;
	bool unanswered = false;
	for (uint32_t i = 0; i < PROBE_SLOTS && i < net->neighbors_max; i++) {
		struct neighbor *n = &net->neighbors[(at + i) % net->neighbors_max];
		unsigned worth = neighbor_worth(net, n);
		if (n->state != NEIGHBOR_FREE && n->ip == ip)
			return n;
		unanswered |= n->state == NEIGHBOR_INCOMPLETE;
		if (worth < best_worth || (best && worth == best_worth && n->used_ns < best->used_ns)) {
			best = n;
			best_worth = worth;
		}
	}
	return best_worth == 3 && unanswered ? NULL : best;
}

static void neighbor_start(struct net *net, struct neighbor *n, uint32_t ip)
{
	timer_cancel(&net->timers, &n->timer);
	n->ip = ip;
	n->generation++;
	n->tries = 0;
	n->used_ns = net->now_ns;
	n->state = NEIGHBOR_INCOMPLETE;
}

struct neighbor *neighbor_lookup(struct net *net, uint32_t ip)
{
	struct neighbor *n = neighbor_find(net, ip);
	if (!n)
		return NULL;
	if (n->state == NEIGHBOR_FREE || n->ip != ip) {
		if (n->state == NEIGHBOR_INCOMPLETE)
			neighbor_fail(net, n);
		neighbor_start(net, n, ip);
		ask(net, n);
	}
	return n;
}

bool neighbor_usable_slow(struct net *net, struct neighbor *n)
{
	if (LIKELY(n->state == NEIGHBOR_REACHABLE)) {
		if (UNLIKELY(net->now_ns - n->used_ns > NEIGHBOR_REACHABLE_NS)) {
			n->state = NEIGHBOR_PROBING;
			n->tries = 0;
			ask(net, n);
		}
		return true;
	}
	return n->state == NEIGHBOR_PROBING || n->state == NEIGHBOR_STALE;
}

void neighbor_send(struct net *net, struct neighbor *n, struct net_frame *f)
{
	if (neighbor_usable(net, n)) {
		memcpy(f->tx.header + FRAME_TX_HEADROOM, n->mac, 6);
		list_push_back(&net->out, &f->tx.link);
	} else if (n->queued < NEIGHBOR_QUEUE_MAX) {
		n->queued++;
		list_push_back(&n->queue, &f->tx.link);
	} else {
		net->counters.arp_queue_drops++;
		net_frame_put(net, f);
	}
}

static void announce_timer(struct timer *t)
{
	struct net *net = CONTAINER_OF(t, struct net, announce_timer);
	static const uint8_t unknown[6];
	if (net->ipv4.state == NET_IPV4_NONE || !net->announcements)
		return;
	arp_send(net, ARP_REQUEST, broadcast_mac, net->ipv4.address, unknown);
	if (--net->announcements)
		timer_arm(&net->timers, t, net->now_ns + ANNOUNCE_INTERVAL_NS);
}

void arp_announce(struct net *net)
{
	net->announcements = ANNOUNCEMENTS;
	announce_timer(&net->announce_timer);
}

void arp_flush(struct net *net)
{
	for (uint32_t i = 0; i < net->neighbors_max; i++) {
		struct neighbor *n = &net->neighbors[i];
		if (n->state == NEIGHBOR_REACHABLE || n->state == NEIGHBOR_STALE)
			n->used_ns = net->now_ns > NEIGHBOR_REACHABLE_NS ? net->now_ns - NEIGHBOR_REACHABLE_NS : 0;
	}
}

void arp_init(struct net *net)
{
	for (uint32_t i = 0; i < net->neighbors_max; i++) {
		struct neighbor *n = &net->neighbors[i];
		memset(n, 0, sizeof *n);
		list_init(&n->queue);
		list_init(&n->waiting);
		timer_init(&n->timer, neighbor_timer);
		n->net = net;
	}
	timer_init(&net->announce_timer, announce_timer);
}

/* Another station claims our address: say once in a while that it is ours (RFC 5227, 2.4 b). */
static void conflict(struct net *net)
{
	static const uint8_t unknown[6];
	net->counters.arp_conflicts++;
	if (net->defended_ns && net->now_ns - net->defended_ns < DEFEND_INTERVAL_NS)
		return;
	net->defended_ns = net->now_ns;
	arp_send(net, ARP_REQUEST, broadcast_mac, net->ipv4.address, unknown);
}

static bool arp_is_valid(const struct net *net, struct slice packet)
{
	const uint8_t *p = packet.ptr;
	if (packet.len < ARP_SIZE || load_be16(p) != 1 || load_be16(p + 2) != ETHERTYPE_IP4)
		return false;
	return p[4] == 6 && p[5] == 4 && !(p[8] & 1) && memcmp(p + 8, net->mac, 6) != 0;
}

void arp_input(struct net *net, struct slice packet)
{
	if (!arp_is_valid(net, packet)) {
		net->counters.arp_in_errors++;
		return;
	}
	const uint8_t *sender_mac = packet.ptr + 8;
	uint16_t op = load_be16(packet.ptr + 6);
	uint32_t sender = load_be32(packet.ptr + 14), target = load_be32(packet.ptr + 24);
	if (op == ARP_REQUEST)
		net->counters.arp_in_requests++;
	else
		net->counters.arp_in_replies++;
	if (net->ipv4.state == NET_IPV4_NONE)
		return;
	if (sender == net->ipv4.address) {
		conflict(net);
		return;
	}
	uint32_t hop;
	if (!sender || !ip4_route(net, sender, &hop) || hop != sender)
		return;
	bool asks_us = op == ARP_REQUEST && target == net->ipv4.address;
	struct neighbor *n = neighbor_find(net, sender);
	if (n && n->state != NEIGHBOR_FREE && n->ip == sender) {
		neighbor_learned(net, n, sender_mac);
	} else if (n && asks_us) {
		neighbor_start(net, n, sender);
		neighbor_learned(net, n, sender_mac);
	}
	if (asks_us)
		arp_send(net, ARP_REPLY, sender_mac, sender, sender_mac);
}
