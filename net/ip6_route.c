/* Where IPv6 packets go: prefixes on the link, default routers (RFC 4861, 6.3; preferences RFC
 * 4191), and, since routers tell of them too, DNS servers (RFC 8106). All of it is what routers
 * advertise, each with its lifetime, or what is configured.
 *
 * A full table takes nothing new: a flood of advertisements cannot push out what came before, and
 * every entry goes when its time is over. Routers that do not answer are used again when no other
 * is left, those that failed longest ago first, or when they advertise themselves.
 *
 * Seeking routers: a question, and again after 4 s, 8 s, ... up to an hour (RFC 7559), until one
 * answers. */
#include "ip6.h"

#define SOLICIT_FIRST_NS (4 * NS_PER_S)
#define SOLICIT_MAX_NS (3600 * NS_PER_S)

static bool prefix_covers(const struct net_address *prefix, uint32_t len, const struct net_address *a)
{
	uint32_t bytes = len / 8, bits = len % 8;
	if (memcmp(prefix, a, bytes) != 0)
		return false;
	return !bits || ((prefix->octet[bytes] ^ a->octet[bytes]) & (0xff00 >> bits) & 0xff) == 0;
}

static bool is_on_link(const struct net *net, const struct net_address *to)
{
	const struct ip6 *s = &net->ip6;
	if (net_address_is_link_local(to) || (s->has_gateway && net_address_equal(to, &s->gateway)))
		return true;
	for (uint32_t i = 0; i < IP6_PREFIXES_MAX; i++) {
		const struct ip6_prefix *p = &s->on_link[i];
		if (p->until_ns > net->now_ns && prefix_covers(&p->prefix, p->len, to))
			return true;
	}
	for (uint32_t i = 0; i < NET_IPV6_ADDRESSES_MAX; i++) {
		const struct ip6_own *o = &s->own[i];
		if (o->used && o->origin == NET_IPV6_CONFIGURED && prefix_covers(&o->address, o->prefix_len, to))
			return true;
	}
	return false;
}

bool ip6_is_neighbor(const struct net *net, const struct net_address *a)
{
	return ip6_is_unicast(a) && is_on_link(net, a);
}

bool ip6_route(struct net *net, const struct net_address *to, struct net_address *next_hop)
{
	const struct ip6 *s = &net->ip6;
	if (s->mode == NET_IP6_OFF || !ip6_is_unicast(to))
		return false;
	if (is_on_link(net, to))
		*next_hop = *to;
	else if (net_address_is_unspecified(&s->chosen))
		return false;
	else
		*next_hop = s->chosen;
	return true;
}

uint16_t ip6_link_mtu(const struct net *net)
{
	return net->ip6.mtu;
}

/* --- Routers ----------------------------------------------------------------------------------- */

static bool is_better(const struct ip6_router *a, const struct ip6_router *b)
{
	if (!a->failed_ns != !b->failed_ns)
		return !a->failed_ns;
	return a->failed_ns ? a->failed_ns < b->failed_ns : a->preference > b->preference;
}

/* Finds out which router is used from now on. */
static void choose(struct net *net)
{
	struct ip6 *s = &net->ip6;
	const struct ip6_router *best = NULL;
	for (uint32_t i = 0; i < IP6_ROUTERS_MAX; i++) {
		const struct ip6_router *r = &s->router[i];
		if (r->until_ns > net->now_ns && (!best || is_better(r, best)))
			best = r;
	}
	struct net_address chosen = {{0}};
	if (s->has_gateway)
		chosen = s->gateway;
	else if (best)
		chosen = best->address;
	if (net_address_equal(&chosen, &s->chosen))
		return;
	s->chosen = chosen;
	s->generation++;
	neighbors_reroute(net);
}

static struct ip6_router *router_find(struct net *net, const struct net_address *a)
{
	for (uint32_t i = 0; i < IP6_ROUTERS_MAX; i++) {
		struct ip6_router *r = &net->ip6.router[i];
		if (r->until_ns && net_address_equal(&r->address, a))
			return r;
	}
	return NULL;
}

static struct ip6_router *router_free(struct net *net)
{
	for (uint32_t i = 0; i < IP6_ROUTERS_MAX; i++) {
		if (!net->ip6.router[i].until_ns)
			return &net->ip6.router[i];
	}
	net->counters.ndp_table_full++;
	return NULL;
}

void ip6_router_heard(struct net *net, const struct net_address *a, uint16_t lifetime_s, int8_t preference)
{
	struct ip6_router *r = router_find(net, a);
	if (!lifetime_s) {
		ip6_router_gone(net, a);
		return;
	}
	net->ip6.solicit_at_ns = TIMER_NEVER;
	if (!r && !(r = router_free(net)))
		return;
	*r = (struct ip6_router){*a, preference, ip6_expiry(net, lifetime_s), 0};
	choose(net);
}

void ip6_router_gone(struct net *net, const struct net_address *a)
{
	struct ip6_router *r = router_find(net, a);
	if (!r)
		return;
	r->until_ns = 0;
	choose(net);
	if (net_address_is_unspecified(&net->ip6.chosen))
		ip6_routers_seek(net);
}

void ip6_neighbor_failed(struct net *net, const struct net_address *a)
{
	struct ip6_router *r = router_find(net, a);
	if (!r)
		return;
	r->failed_ns = net->now_ns;
	choose(net);
}

/* --- Prefixes and servers ---------------------------------------------------------------------- */

void ip6_on_link_heard(struct net *net, const struct net_address *prefix, uint8_t len, uint32_t valid_s)
{
	struct ip6_prefix *slot = NULL;
	for (uint32_t i = 0; i < IP6_PREFIXES_MAX; i++) {
		struct ip6_prefix *p = &net->ip6.on_link[i];
		if (p->until_ns && p->len == len && prefix_covers(&p->prefix, len, prefix)) {
			p->until_ns = valid_s ? ip6_expiry(net, valid_s) : 0;
			if (!valid_s)
				neighbors_reroute(net);
			return;
		}
		if (!p->until_ns && !slot)
			slot = p;
	}
	if (!valid_s)
		return;
	if (!slot) {
		net->counters.ndp_table_full++;
		return;
	}
	*slot = (struct ip6_prefix){*prefix, len, ip6_expiry(net, valid_s)};
	neighbors_reroute(net);
}

void ip6_dns_heard(struct net *net, const struct net_address *a, uint32_t lifetime_s)
{
	struct ip6_dns *slot = NULL;
	for (uint32_t i = 0; i < NET_IPV6_DNS_MAX; i++) {
		struct ip6_dns *d = &net->ip6.dns[i];
		if (d->until_ns && net_address_equal(&d->address, a)) {
			d->until_ns = lifetime_s ? ip6_expiry(net, lifetime_s) : 0;
			net->ip6.generation += !lifetime_s;
			return;
		}
		if (!d->until_ns && !slot)
			slot = d;
	}
	if (!lifetime_s)
		return;
	if (!slot) {
		net->counters.ndp_table_full++;
		return;
	}
	*slot = (struct ip6_dns){*a, ip6_expiry(net, lifetime_s)};
	net->ip6.generation++;
}

/* --- Time -------------------------------------------------------------------------------------- */

/* A share of 1/10 more or less, so that machines that started together do not stay together. */
static uint64_t about(struct net *net, uint64_t ns)
{
	return ns - ns / 10 + ns / 5000 * random_below(net->random, 1001);
}

static void solicit(struct net *net)
{
	struct ip6 *s = &net->ip6;
	ndp_router_solicit(net);
	s->solicit_wait_ns = s->solicit_wait_ns ? about(net, 2 * s->solicit_wait_ns) : about(net, SOLICIT_FIRST_NS);
	if (s->solicit_wait_ns > SOLICIT_MAX_NS)
		s->solicit_wait_ns = about(net, SOLICIT_MAX_NS);
	s->solicit_at_ns = net->now_ns + s->solicit_wait_ns;
}

void ip6_routers_seek(struct net *net)
{
	if (net->ip6.has_gateway)
		return;
	net->ip6.solicit_wait_ns = 0;
	net->ip6.solicit_at_ns = net->now_ns;
}

void ip6_routes_age(struct net *net)
{
	struct ip6 *s = &net->ip6;
	bool routes = false, router = false;
	for (uint32_t i = 0; i < IP6_PREFIXES_MAX; i++) {
		if (s->on_link[i].until_ns && s->on_link[i].until_ns <= net->now_ns) {
			s->on_link[i].until_ns = 0;
			routes = true;
		}
	}
	for (uint32_t i = 0; i < IP6_ROUTERS_MAX; i++) {
		if (s->router[i].until_ns && s->router[i].until_ns <= net->now_ns) {
			s->router[i].until_ns = 0;
			router = true;
		}
	}
	for (uint32_t i = 0; i < NET_IPV6_DNS_MAX; i++) {
		if (s->dns[i].until_ns && s->dns[i].until_ns <= net->now_ns) {
			s->dns[i].until_ns = 0;
			s->generation++;
		}
	}
	if (routes)
		neighbors_reroute(net);
	choose(net);
	if (router && net_address_is_unspecified(&s->chosen))
		ip6_routers_seek(net);
	if (s->solicit_at_ns <= net->now_ns)
		solicit(net);
}

static void earlier(uint64_t *at, uint64_t than)
{
	if (than && than < *at)
		*at = than;
}

uint64_t ip6_routes_next(const struct net *net)
{
	const struct ip6 *s = &net->ip6;
	uint64_t at = s->solicit_at_ns;
	for (uint32_t i = 0; i < IP6_PREFIXES_MAX; i++)
		earlier(&at, s->on_link[i].until_ns);
	for (uint32_t i = 0; i < IP6_ROUTERS_MAX; i++)
		earlier(&at, s->router[i].until_ns);
	for (uint32_t i = 0; i < NET_IPV6_DNS_MAX; i++)
		earlier(&at, s->dns[i].until_ns);
	return at;
}

void ip6_routes_init(struct net *net)
{
	struct ip6 *s = &net->ip6;
	s->hop_limit = 64;
	s->mtu = net->mtu;
	s->retrans_ns = NS_PER_S;
	s->base_reachable_ms = 30000;
	s->reachable_ns = 30 * NS_PER_S;
	s->solicit_at_ns = TIMER_NEVER;
}
