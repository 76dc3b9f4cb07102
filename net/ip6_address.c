/* Our IPv6 addresses: how they are made (RFC 4862, with the interface identifiers of RFC 7217),
 * checked for duplicates, grow old, and which of them a packet comes from (RFC 6724).
 *
 *   (free) --made--> OPTIMISTIC --1 s, nobody objects--> PREFERRED --its time--> DEPRECATED --its time--> (free)
 *      \                | objection: another identifier, 3 times; then DUPLICATE        ^   |
 *       +--configured-> TENTATIVE --1 s--> PREFERRED                                    +---+ the router says so
 *                       | objection: DUPLICATE
 *
 * Made addresses are used while they are being checked (RFC 4429), so that a start is not delayed:
 * a collision of 64 bits is next to impossible. Configured ones are not: there, duplicates do
 * occur, by mistake. The random delays before the first messages of an interface (RFC 4862, 5.4.2;
 * 4861, 6.3.7) are left out: a machine that is started for one program has waited for enough. When
 * the link comes back, all are checked again.
 *
 * One timer serves all times in struct ip6: it is armed for the earliest one. */
#include "ip6.h"

#define DAD_QUESTIONS 1
#define DAD_CONFLICTS_MAX 3          /* IDGEN_RETRIES */
#define DAD_AGAIN_NS NS_PER_S        /* IDGEN_DELAY */
#define NO_FRAME_NS (50 * NS_PER_MS)
#define DEFEND_INTERVAL_NS (10 * NS_PER_S)
#define TWO_HOURS_NS (7200 * NS_PER_S)

/* --- Names of addresses ------------------------------------------------------------------------ */

struct ip6_own *ip6_own_find(struct net *net, const struct net_address *a)
{
	for (uint32_t i = 0; i < NET_IPV6_ADDRESSES_MAX; i++) {
		struct ip6_own *o = &net->ip6.own[i];
		if (o->used && net_address_equal(&o->address, a))
			return o;
	}
	return NULL;
}

static bool is_usable(const struct ip6_own *o)
{
	return o->used && (o->state == NET_IPV6_OPTIMISTIC || o->state == NET_IPV6_PREFERRED
		|| o->state == NET_IPV6_DEPRECATED);
}

bool ip6_is_own(const struct net *net, const struct net_address *a)
{
	for (uint32_t i = 0; i < NET_IPV6_ADDRESSES_MAX; i++) {
		const struct ip6_own *o = &net->ip6.own[i];
		if (is_usable(o) && net_address_equal(&o->address, a))
			return true;
	}
	return false;
}

/* Those with a meaning of their own (RFC 5453): no interface may have them. */
static bool identifier_is_reserved(uint64_t id)
{
	return id == 0 || (id & UINT64_C(0xffffffffff000000)) == UINT64_C(0x02005efffe000000)
		|| (id >= UINT64_C(0xfdffffffffffff80) && id <= UINT64_C(0xfdffffffffffffff));
}

/* RFC 7217, 5: a function of prefix, interface, number of conflicts, and secret. */
static void address_make(const struct net *net, struct ip6_own *o)
{
	uint8_t input[8 + 6 + 2], digest[32];
	uint64_t id;
	memcpy(input, o->address.octet, 8);
	memcpy(input + 8, net->mac, 6);
	input[14] = o->conflicts;
	input[15] = 0;
	do {
		hash_hmac_sha256(slice_of(net->ip6.secret, sizeof net->ip6.secret),
			slice_of(input, sizeof input), digest);
		id = load_be64(digest);
	} while (identifier_is_reserved(id) && ++input[15]);
	store_be64(o->address.octet + 8, id);
}

/* --- Duplicates (RFC 4862, 5.4) ---------------------------------------------------------------- */

static void changed(struct net *net)
{
	net->ip6.generation++;
}

static void group_join(struct net *net, const struct ip6_own *o)
{
	struct net_address group = ip6_solicited_node(&o->address);
	if (!mld_join(net, &group))
		net->counters.ndp_table_full++;
}

static void group_leave(struct net *net, const struct ip6_own *o)
{
	struct net_address group = ip6_solicited_node(&o->address);
	mld_leave(net, &group);
}

static void dad_start(struct ip6_own *o, enum net_ipv6_state meanwhile, uint64_t at_ns)
{
	o->state = meanwhile;
	o->dad_running = true;
	o->dad_left = DAD_QUESTIONS;
	o->dad_at_ns = at_ns;
}

static void dad_finish(struct net *net, struct ip6_own *o)
{
	o->dad_running = false;
	o->dad_at_ns = TIMER_NEVER;
	o->state = net->now_ns < o->preferred_until_ns ? NET_IPV6_PREFERRED : NET_IPV6_DEPRECATED;
	/* Who has an older idea of where the address is learns better, and the router does not have to ask
	 * when the first packet comes (RFC 9131). */
	ndp_announce(net, o);
	changed(net);
}

static void dad_step(struct net *net, struct ip6_own *o)
{
	if (!o->dad_left) {
		dad_finish(net, o);
		return;
	}
	random_bytes(net->random, o->nonce, sizeof o->nonce);
	bool sent = ndp_dad_solicit(net, o);
	o->dad_left -= sent;
	o->dad_at_ns = net->now_ns + (sent ? net->ip6.retrans_ns : NO_FRAME_NS);
}

static void dad_fail(struct net *net, struct ip6_own *o)
{
	group_leave(net, o);
	if (o->origin != NET_IPV6_CONFIGURED && o->conflicts < DAD_CONFLICTS_MAX) {
		o->conflicts++;
		address_make(net, o);
		group_join(net, o);
		/* Twice is no chance: somebody means it. No more optimism. */
		dad_start(o, NET_IPV6_TENTATIVE, net->now_ns + DAD_AGAIN_NS);
	} else {
		o->state = NET_IPV6_DUPLICATE;
		o->dad_running = false;
		o->dad_at_ns = TIMER_NEVER;
	}
	neighbors_reroute(net); /* what had begun from it finds no way */
	changed(net);
}

void ip6_contested(struct net *net, struct ip6_own *o)
{
	net->counters.ndp_conflicts++;
	if (o->dad_running) {
		dad_fail(net, o);
		ip6_schedule(net);
	} else if (is_usable(o) && (!o->defended_ns || net->now_ns - o->defended_ns >= DEFEND_INTERVAL_NS)) {
		o->defended_ns = net->now_ns;
		ndp_announce(net, o);
	}
}

/* --- Made and unmade --------------------------------------------------------------------------- */

static struct ip6_own *own_new(struct net *net, enum net_ipv6_origin origin,
	const struct net_address *address, uint8_t prefix_len)
{
	for (uint32_t i = 0; i < NET_IPV6_ADDRESSES_MAX; i++) {
		struct ip6_own *o = &net->ip6.own[i];
		if (o->used)
			continue;
		*o = (struct ip6_own){.used = true, .address = *address, .prefix_len = prefix_len,
			.origin = origin, .preferred_until_ns = TIMER_NEVER, .valid_until_ns = TIMER_NEVER};
		if (origin != NET_IPV6_CONFIGURED)
			address_make(net, o);
		group_join(net, o);
		dad_start(o, origin == NET_IPV6_CONFIGURED ? NET_IPV6_TENTATIVE : NET_IPV6_OPTIMISTIC,
			net->now_ns);
		changed(net);
		return o;
	}
	net->counters.ndp_table_full++;
	return NULL;
}

static void own_drop(struct net *net, struct ip6_own *o)
{
	if (o->state != NET_IPV6_DUPLICATE)
		group_leave(net, o);
	o->used = false;
	neighbors_reroute(net);
	changed(net);
}

static struct ip6_own *own_of_prefix(struct net *net, const struct net_address *prefix)
{
	for (uint32_t i = 0; i < NET_IPV6_ADDRESSES_MAX; i++) {
		struct ip6_own *o = &net->ip6.own[i];
		if (o->used && o->origin == NET_IPV6_ROUTER && load_le64(o->address.octet) == load_le64(prefix->octet))
			return o;
	}
	return NULL;
}

/* RFC 4862, 5.5.3 e: an unauthenticated advertisement cannot cut a lifetime below two hours. */
static void lifetimes_set(struct net *net, struct ip6_own *o, uint32_t valid_s, uint32_t preferred_s)
{
	uint64_t valid_ns = ip6_expiry(net, valid_s), two_hours_ns = net->now_ns + TWO_HOURS_NS;
	o->preferred_until_ns = ip6_expiry(net, preferred_s);
	if (valid_ns > two_hours_ns || valid_ns > o->valid_until_ns)
		o->valid_until_ns = valid_ns;
	else if (o->valid_until_ns > two_hours_ns)
		o->valid_until_ns = two_hours_ns;
	bool was = o->state == NET_IPV6_DEPRECATED;
	if (was && o->preferred_until_ns > net->now_ns)
		o->state = NET_IPV6_PREFERRED;
	else if (o->state == NET_IPV6_PREFERRED && o->preferred_until_ns <= net->now_ns)
		o->state = NET_IPV6_DEPRECATED;
	if (was != (o->state == NET_IPV6_DEPRECATED))
		changed(net);
}

void ip6_autonomous_heard(struct net *net, const struct net_address *prefix, uint8_t len,
	uint32_t valid_s, uint32_t preferred_s)
{
	if (net->ip6.mode != NET_IP6_AUTO || len != 64 || preferred_s > valid_s)
		return;
	struct ip6_own *o = own_of_prefix(net, prefix);
	if (o) {
		lifetimes_set(net, o, valid_s, preferred_s);
	} else if (valid_s && (o = own_new(net, NET_IPV6_ROUTER, prefix, len))) {
		o->valid_until_ns = ip6_expiry(net, valid_s);
		o->preferred_until_ns = ip6_expiry(net, preferred_s);
	}
}

static void own_age(struct net *net, struct ip6_own *o)
{
	if (o->valid_until_ns <= net->now_ns) {
		own_drop(net, o);
	} else if (o->dad_at_ns <= net->now_ns) {
		dad_step(net, o);
	} else if (o->state == NET_IPV6_PREFERRED && o->preferred_until_ns <= net->now_ns) {
		o->state = NET_IPV6_DEPRECATED;
		changed(net);
	}
}

/* --- Time -------------------------------------------------------------------------------------- */

uint64_t ip6_expiry(const struct net *net, uint32_t seconds)
{
	return seconds == UINT32_MAX ? TIMER_NEVER : net->now_ns + seconds * NS_PER_S;
}

static uint64_t own_next(const struct ip6_own *o)
{
	uint64_t at = o->valid_until_ns;
	if (o->dad_at_ns < at)
		at = o->dad_at_ns;
	if (o->state == NET_IPV6_PREFERRED && o->preferred_until_ns < at)
		at = o->preferred_until_ns;
	return at;
}

void ip6_schedule(struct net *net)
{
	uint64_t at = ip6_routes_next(net);
	for (uint32_t i = 0; i < NET_IPV6_ADDRESSES_MAX; i++) {
		const struct ip6_own *o = &net->ip6.own[i];
		if (o->used && own_next(o) < at)
			at = own_next(o);
	}
	if (at == TIMER_NEVER)
		timer_cancel(&net->timers, &net->ip6.timer);
	else
		timer_arm(&net->timers, &net->ip6.timer, at);
}

static void ip6_timer(struct timer *t)
{
	struct net *net = CONTAINER_OF(t, struct net, ip6.timer);
	mld_flush(net); /* switches on the way must know the group before its questions are answered */
	for (uint32_t i = 0; i < NET_IPV6_ADDRESSES_MAX; i++)
		if (net->ip6.own[i].used)
			own_age(net, &net->ip6.own[i]);
	ip6_routes_age(net);
	ip6_schedule(net);
}

/* --- Source selection (RFC 6724, 5) ------------------------------------------------------------ */

static unsigned scope_of(const struct net_address *a)
{
	if (net_address_is_multicast(a))
		return a->octet[1] & 15;
	return net_address_is_link_local(a) ? 2 : 14;
}

/* The labels of the default policy table that occur on a link (2.1). */
static unsigned label_of(const struct net_address *a)
{
	if ((a->octet[0] & 0xfe) == 0xfc)
		return 13;
	if (load_be16(a->octet) == 0x2002)
		return 2;
	return load_be32(a->octet) == 0x20010000 ? 5 : 1;
}

static uint32_t common_prefix(const struct net_address *a, const struct net_address *b)
{
	for (uint32_t i = 0; i < 16; i++) {
		uint32_t differ = a->octet[i] ^ b->octet[i];
		if (differ)
			return i * 8 + (uint32_t)__builtin_clz(differ) - 24;
	}
	return 128;
}

static unsigned fitness(const struct ip6_own *o)
{
	return o->state == NET_IPV6_PREFERRED ? 2 : o->state == NET_IPV6_OPTIMISTIC;
}

/* Rules 1, 2, 3, 6 and 8: there is one interface, and no home or temporary addresses. */
static bool is_better(const struct ip6_own *a, const struct ip6_own *b, const struct net_address *to)
{
	if (net_address_equal(&a->address, to) || net_address_equal(&b->address, to))
		return net_address_equal(&a->address, to);
	unsigned scope_a = scope_of(&a->address), scope_b = scope_of(&b->address), scope = scope_of(to);
	if (scope_a != scope_b)
		return scope_a < scope_b ? scope_a >= scope : scope_b < scope;
	if (fitness(a) != fitness(b))
		return fitness(a) > fitness(b);
	bool label_a = label_of(&a->address) == label_of(to), label_b = label_of(&b->address) == label_of(to);
	if (label_a != label_b)
		return label_a;
	uint32_t common_a = common_prefix(&a->address, to), common_b = common_prefix(&b->address, to);
	common_a = common_a < a->prefix_len ? common_a : a->prefix_len;
	common_b = common_b < b->prefix_len ? common_b : b->prefix_len;
	return common_a > common_b;
}

const struct net_address *ip6_source(const struct net *net, const struct net_address *to)
{
	const struct ip6_own *best = NULL;
	for (uint32_t i = 0; i < NET_IPV6_ADDRESSES_MAX; i++) {
		const struct ip6_own *o = &net->ip6.own[i];
		/* A link-local source does not get an answer from beyond the link (RFC 4007, 9). */
		if (!is_usable(o) || scope_of(&o->address) < scope_of(to))
			continue;
		if (!best || is_better(o, best, to))
			best = o;
	}
	return best ? &best->address : NULL;
}

/* --- Life -------------------------------------------------------------------------------------- */

bool ip6_config_is_valid(const struct net_config *c)
{
	const struct net_address *a = &c->ip6_address, *gateway = &c->ip6_gateway;
	if (c->ip6 != NET_IP6_STATIC)
		return true;
	return ip6_is_unicast(a) && !net_address_is_link_local(a) && c->ip6_prefix_len >= 1 && c->ip6_prefix_len <= 128
		&& (net_address_is_unspecified(gateway) || (ip6_is_unicast(gateway) && !net_address_equal(gateway, a)));
}

void ip6_init(struct net *net, const struct net_config *config)
{
	static const struct net_address link_local = {{0xfe, 0x80}};
	struct ip6 *s = &net->ip6;
	timer_init(&s->timer, ip6_timer);
	mld_init(net);
	ip6_routes_init(net);
	if (net->mtu < IP6_MTU_MIN)
		return;
	s->mode = config->ip6;
	if (s->mode == NET_IP6_OFF)
		return;
	memcpy(s->secret, config->ip6_secret, sizeof s->secret);
	own_new(net, NET_IPV6_LINK_LOCAL, &link_local, 64);
	if (s->mode == NET_IP6_STATIC) {
		own_new(net, NET_IPV6_CONFIGURED, &config->ip6_address, config->ip6_prefix_len);
		s->gateway = config->ip6_gateway;
		s->has_gateway = !net_address_is_unspecified(&s->gateway);
	}
	ip6_routers_seek(net);
	/* Not by the timer: what is said first should be said at once. */
	ip6_timer(&s->timer);
}

void ip6_link_up(struct net *net)
{
	if (net->ip6.mode == NET_IP6_OFF)
		return;
	for (uint32_t i = 0; i < NET_IPV6_ADDRESSES_MAX; i++) {
		struct ip6_own *o = &net->ip6.own[i];
		if (o->used && o->state != NET_IPV6_DUPLICATE)
			dad_start(o, is_usable(o) ? NET_IPV6_OPTIMISTIC : NET_IPV6_TENTATIVE, net->now_ns);
	}
	mld_link_up(net);
	ip6_routers_seek(net);
	ip6_timer(&net->ip6.timer);
}

uint32_t net_ipv6_generation(const struct net *net)
{
	return net->ip6.generation;
}

void net_ipv6(const struct net *net, struct net_ipv6 *out)
{
	const struct ip6 *s = &net->ip6;
	*out = (struct net_ipv6){.router = s->chosen, .mtu = s->mtu, .generation = s->generation};
	for (uint32_t i = 0; i < NET_IPV6_ADDRESSES_MAX; i++) {
		const struct ip6_own *o = &s->own[i];
		if (o->used)
			out->address[out->count++] = (struct net_ipv6_address){o->address, o->prefix_len, o->state,
				o->origin};
	}
	for (uint32_t i = 0; i < NET_IPV6_DNS_MAX; i++) {
		if (s->dns[i].until_ns > net->now_ns)
			out->dns[out->dns_count++] = s->dns[i].address;
	}
}
