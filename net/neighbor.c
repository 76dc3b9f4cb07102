/* The neighbour cache of both families: where frames for an on-link address go (RFC 4861, 7.3; IPv4
 * runs through the same states, with ARP as its way of asking).
 *
 *   FREE --use--> INCOMPLETE --answer--> REACHABLE --its time is over, use--> DELAY --5 s--> PROBE
 *                     |                   ^  ^  ^                               |              |
 *                     |        use: DELAY |  |  +--TCP sees progress------------+              |
 *                     |                 STALE +------------------answer-------------------------+
 *                     +--3 questions without answer--> FREE <--3 questions without answer-------+
 *
 * In all states but FREE and INCOMPLETE frames are sent. Who waits for an answer: up to
 * NEIGHBOR_QUEUE_MAX frames, and connections in a list, which cost nothing.
 *
 * Bounded: the table, the frames, the questions (one per entry and retransmission time). What comes
 * unasked never makes an entry, unless it asks for us; and then no entry gives way to it that has
 * answered lately. Questions about addresses that nobody has, however many, push out nobody who
 * answers.
 *
 * Progress of a connection is proof that its neighbour hears us (7.3.1). It is looked for only
 * while there is doubt, in DELAY: the first connection that sends then is the witness, and when it
 * is asked for the next segment and has got an acknowledgement meanwhile, nobody needs to be
 * probed. The usual path knows nothing of this. */
#include "ip6.h"
#include "tcp_conn.h"

#define TRIES_MAX 3
#define PROBE_SLOTS 8
#define DELAY_NS (5 * NS_PER_S)
#define IP4_REACHABLE_NS (60 * NS_PER_S)
#define IP4_RETRY_NS NS_PER_S

static uint64_t reachable_ns(const struct net *net, const struct neighbor *n)
{
	return net_address_is_v4(&n->address) ? IP4_REACHABLE_NS : net->ip6.reachable_ns;
}

static void ask(struct net *net, struct neighbor *n)
{
	bool v4 = net_address_is_v4(&n->address), known = n->state == NEIGHBOR_PROBE;
	if (v4) /* the last question goes to all: its card may have changed */
		arp_solicit(net, net_address_to_v4(&n->address),
			known && n->tries + 1 < TRIES_MAX ? n->mac : NULL);
	else
		ndp_solicit(net, &n->address, known ? n->mac : NULL);
	n->tries++;
	timer_arm(&net->timers, &n->timer, net->now_ns + (v4 ? IP4_RETRY_NS : net->ip6.retrans_ns));
}

/* Those who waited try again by themselves: connections by their retransmission timers. */
static void neighbor_fail(struct net *net, struct neighbor *n)
{
	struct list *e;
	bool v4 = net_address_is_v4(&n->address);
	if (v4)
		net->counters.arp_failures++;
	else
		net->counters.ndp_failures++;
	n->state = NEIGHBOR_FREE;
	n->generation++;
	timer_cancel(&net->timers, &n->timer);
	while ((e = list_pop_front(&n->queue)))
		net_frame_put(net, CONTAINER_OF(e, struct net_frame, tx.link));
	n->queued = 0;
	if (!v4)
		ip6_neighbor_failed(net, &n->address);
	while ((e = list_pop_front(&n->waiting)))
		tcp_conn_unreachable(CONTAINER_OF(e, struct tcp_conn, tx_link));
}

static void neighbor_timer(struct timer *t)
{
	struct neighbor *n = CONTAINER_OF(t, struct neighbor, timer);
	if (n->state == NEIGHBOR_DELAY) {
		n->state = NEIGHBOR_PROBE;
		n->tries = 0;
	}
	if (n->tries < TRIES_MAX)
		ask(n->net, n);
	else
		neighbor_fail(n->net, n);
}

static void mac_set(struct neighbor *n, const uint8_t mac[6])
{
	if (memcmp(n->mac, mac, 6) == 0)
		return;
	memcpy(n->mac, mac, 6);
	n->generation++;
}

/* The address is known from now on: whoever waited for it goes. */
static void release(struct net *net, struct neighbor *n)
{
	struct list *e;
	while ((e = list_pop_front(&n->queue))) {
		struct net_frame *f = CONTAINER_OF(e, struct net_frame, tx.link);
		memcpy(f->tx.header + FRAME_TX_HEADROOM, n->mac, 6);
		list_push_back(&net->out, e);
	}
	n->queued = 0;
	while ((e = list_pop_front(&n->waiting)))
		list_push_back(&net->tx_ready, e);
}

static void reachable(struct net *net, struct neighbor *n)
{
	n->state = NEIGHBOR_REACHABLE;
	n->confirmed_ns = net->now_ns;
	n->fresh_until_ns = net->now_ns + reachable_ns(net, n);
	n->tries = 0;
	timer_cancel(&net->timers, &n->timer);
}

/* Frames go there, and the next one makes us ask whether it is still so. */
static void stale(struct net *net, struct neighbor *n)
{
	n->state = NEIGHBOR_STALE;
	n->fresh_until_ns = 0;
	timer_cancel(&net->timers, &n->timer);
}

void neighbor_learned(struct net *net, struct neighbor *n, const uint8_t mac[6])
{
	mac_set(n, mac);
	reachable(net, n);
	release(net, n);
}

void neighbor_claimed(struct net *net, struct neighbor *n, const uint8_t mac[6])
{
	bool incomplete = n->state == NEIGHBOR_INCOMPLETE;
	if (!incomplete && memcmp(n->mac, mac, 6) == 0)
		return;
	mac_set(n, mac);
	stale(net, n);
	if (incomplete)
		release(net, n);
}

/* RFC 4861, 7.2.5 and appendix C. */
void neighbor_advertised(struct net *net, struct neighbor *n, const uint8_t *mac, bool solicited,
	bool override)
{
	if (n->state == NEIGHBOR_INCOMPLETE) {
		if (mac && solicited)
			neighbor_learned(net, n, mac);
		else if (mac)
			neighbor_claimed(net, n, mac);
		return;
	}
	bool differs = mac && memcmp(mac, n->mac, 6) != 0;
	if (differs && !override) {
		if (n->state == NEIGHBOR_REACHABLE)
			stale(net, n);
		return;
	}
	if (differs)
		mac_set(n, mac);
	if (solicited)
		reachable(net, n);
	else if (differs)
		stale(net, n);
}

/* What an entry is worth to whom another one would replace; NEIGHBOR_KEPT is not replaced at all. */
enum { NEIGHBOR_DOUBTED = 2, NEIGHBOR_ANSWERED = 3, NEIGHBOR_KEPT = 4 };

static unsigned neighbor_worth(const struct net *net, const struct neighbor *n)
{
	switch (n->state) {
	case NEIGHBOR_FREE: return 0;
	case NEIGHBOR_INCOMPLETE: return n->tries > 1 && list_is_empty(&n->waiting) ? 1 : NEIGHBOR_KEPT;
	case NEIGHBOR_STALE:
	case NEIGHBOR_DELAY:
	case NEIGHBOR_PROBE: return NEIGHBOR_DOUBTED;
	case NEIGHBOR_REACHABLE: return net->now_ns > n->fresh_until_ns ? NEIGHBOR_DOUBTED : NEIGHBOR_ANSWERED;
	}
	UNREACHABLE();
}

static uint32_t slot_of(const struct net *net, const struct net_address *a)
{
	uint64_t high = load_le64(a->octet), low = load_le64(a->octet + 8);
	const uint64_t *k = net->hash_key;
	uint64_t sum = k[0] + k[1] * (uint32_t)low + k[2] * (low >> 32) + k[3] * (uint32_t)high
		+ (k[1] ^ k[2] ^ k[3]) * (high >> 32);
	return (uint32_t)(sum >> 32) % net->neighbors_max;
}

static bool is_entry_of(const struct neighbor *n, const struct net_address *a)
{
	return net_address_equal(&n->address, a) && n->state != NEIGHBOR_FREE;
}

/* The slot of the address, or the one to use for it: of a worth below `limit`. NULL: there is none. */
static struct neighbor *slot_find(struct net *net, const struct net_address *a, unsigned limit)
{
	uint32_t at = slot_of(net, a);
	struct neighbor *best = NULL;
	unsigned best_worth = limit;
	bool unanswered = false;
	for (uint32_t i = 0; i < PROBE_SLOTS && i < net->neighbors_max; i++) {
		struct neighbor *n = &net->neighbors[(at + i) % net->neighbors_max];
		if (is_entry_of(n, a))
			return n;
		unsigned worth = neighbor_worth(net, n);
		unanswered |= n->state == NEIGHBOR_INCOMPLETE;
		if (worth < best_worth || (best && worth == best_worth && n->confirmed_ns < best->confirmed_ns)) {
			best = n;
			best_worth = worth;
		}
	}
	return best_worth == NEIGHBOR_ANSWERED && unanswered ? NULL : best;
}

static void neighbor_start(struct net *net, struct neighbor *n, const struct net_address *a)
{
	if (n->state == NEIGHBOR_INCOMPLETE)
		neighbor_fail(net, n);
	timer_cancel(&net->timers, &n->timer);
	n->address = *a;
	n->generation++;
	n->tries = 0;
	n->confirmed_ns = net->now_ns;
	n->state = NEIGHBOR_INCOMPLETE;
}

struct neighbor *neighbor_find(struct net *net, const struct net_address *a)
{
	struct neighbor *n = slot_find(net, a, NEIGHBOR_KEPT);
	return n && is_entry_of(n, a) ? n : NULL;
}

struct neighbor *neighbor_lookup(struct net *net, const struct net_address *a)
{
	struct neighbor *n = slot_find(net, a, NEIGHBOR_KEPT);
	if (n && !is_entry_of(n, a)) {
		neighbor_start(net, n, a);
		ask(net, n);
	}
	return n;
}

struct neighbor *neighbor_asks_us(struct net *net, const struct net_address *a)
{
	struct neighbor *n = slot_find(net, a, NEIGHBOR_ANSWERED);
	if (n && !is_entry_of(n, a))
		neighbor_start(net, n, a);
	return n;
}

static void doubt(struct net *net, struct neighbor *n)
{
	n->state = NEIGHBOR_DELAY;
	n->witness = NULL;
	timer_arm(&net->timers, &n->timer, net->now_ns + DELAY_NS);
}

bool neighbor_usable_slow(struct net *net, struct neighbor *n)
{
	if (n->state == NEIGHBOR_STALE || (n->state == NEIGHBOR_REACHABLE && net->now_ns > n->fresh_until_ns))
		doubt(net, n);
	return n->state != NEIGHBOR_FREE && n->state != NEIGHBOR_INCOMPLETE;
}

void neighbor_witness(struct net *net, struct neighbor *n, const void *who, uint64_t acknowledged)
{
	if (n->state != NEIGHBOR_DELAY && n->state != NEIGHBOR_PROBE)
		return;
	if (n->witness == who && acknowledged > n->witness_mark) {
		reachable(net, n);
	} else if (!n->witness) {
		n->witness = who;
		n->witness_mark = acknowledged;
	}
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
		if (net_address_is_v4(&n->address))
			net->counters.arp_queue_drops++;
		else
			net->counters.ndp_queue_drops++;
		net_frame_put(net, f);
	}
}

void neighbors_doubt(struct net *net)
{
	for (uint32_t i = 0; i < net->neighbors_max; i++) {
		if (net->neighbors[i].state == NEIGHBOR_REACHABLE)
			stale(net, &net->neighbors[i]);
	}
}

void neighbors_reroute(struct net *net)
{
	for (uint32_t i = 0; i < net->neighbors_max; i++)
		net->neighbors[i].generation++;
}

void neighbors_init(struct net *net)
{
	for (uint32_t i = 0; i < net->neighbors_max; i++) {
		struct neighbor *n = &net->neighbors[i];
		memset(n, 0, sizeof *n);
		list_init(&n->queue);
		list_init(&n->waiting);
		timer_init(&n->timer, neighbor_timer);
		n->net = net;
	}
}
