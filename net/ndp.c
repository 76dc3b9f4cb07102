/* The packets of neighbour discovery and of router discovery (RFC 4861; RDNSS RFC 8106). What they
 * mean is decided in neighbor.c, ip6_address.c and ip6_route.c; here they are checked (7.1, 6.1,
 * 8.1), taken apart, and built.
 *
 * The hop limit of 255 proves that the sender is on the link, and nothing else: everybody there may
 * lie. So what an advertisement can do to us is bounded: values outside of sense are not taken
 * over, tables are small, and an address of ours that somebody claims is given up only while it is
 * being checked.
 *
 * Redirects are counted and not followed. A server's packets for beyond the link all go to its
 * router; what a redirect saves is one hop of hairpin, what a forged one takes is the traffic to a
 * host of the forger's choice. */
#include "ip6.h"

#include "checksum.h"

enum {
	ROUTER_SOLICITATION = 133,
	ROUTER_ADVERTISEMENT = 134,
	NEIGHBOR_SOLICITATION = 135,
	NEIGHBOR_ADVERTISEMENT = ICMP6_NEIGHBOR_ADVERTISEMENT,
	REDIRECT = 137,
};

enum {
	OPT_SOURCE_MAC = 1,
	OPT_TARGET_MAC = 2,
	OPT_PREFIX = 3,
	OPT_MTU = 5,
	OPT_NONCE = 14,
	OPT_RDNSS = 25,
};

enum { FLAG_ROUTER = 0x80, FLAG_SOLICITED = 0x40, FLAG_OVERRIDE = 0x20 };

#define NEIGHBOR_MESSAGE 24 /* without options */
#define ROUTER_MESSAGE 16
#define REDIRECT_MESSAGE 40
/* Routers that advertise less have a fault, or mean ill: packets would not reach beyond some hops. */
#define HOP_LIMIT_MIN 32
#define REACHABLE_MS_MAX 3600000 /* RFC 4861, 6.2.1 */
#define RETRANS_MS_MIN 100
#define RETRANS_MS_MAX 10000

static const struct net_address unspecified;
static const struct net_address all_nodes = {{0xff, 2, [15] = 1}}, all_routers = {{0xff, 2, [15] = 2}};

/* --- Out --------------------------------------------------------------------------------------- */

/* Sends to a neighbour whose Ethernet address may have to be found out. */
static void send_to_neighbor(struct net *net, struct net_frame *f, const struct net_address *to)
{
	struct neighbor *n = ip6_is_neighbor(net, to) ? neighbor_lookup(net, to) : NULL;
	if (n)
		neighbor_send(net, n, f);
	else
		net_frame_put(net, f);
}

bool ndp_message_send(struct net *net, const uint8_t *mac, const struct net_address *source,
	const struct net_address *destination, uint8_t *icmp, uint32_t len, bool router_alert)
{
	static const uint8_t alert[8] = {IP_PROTO_ICMP6, 0, 5, 2, 0, 0, 1, 0}; /* and padding */
	struct net_frame *f = frame_get(net);
	ASSERT(len <= NDP_MESSAGE_MAX);
	if (!f)
		return false;
	uint8_t *e = f->tx.header + FRAME_TX_HEADROOM, *h = e + ETHERNET_HEADER, *body = h + IP6_HEADER;
	uint32_t before = router_alert ? sizeof alert : 0;
	memcpy(e + 6, net->mac, 6);
	store_be16(e + 12, ETHERTYPE_IP6);
	store_be32(h, 0x60000000);
	store_be16(h + 4, (uint16_t)(before + len));
	h[6] = router_alert ? 0 : IP_PROTO_ICMP6;
	h[7] = router_alert ? 1 : 255;
	memcpy(h + 8, source, sizeof *source);
	memcpy(h + 24, destination, sizeof *destination);
	store_le16(icmp + 2, 0);
	uint64_t sum = checksum_sum(slice_of(h + 8, 32)) + (IP_PROTO_ICMP6 << 8)
		+ __builtin_bswap16((uint16_t)len) + checksum_sum(slice_of(icmp, len));
	store_le16(icmp + 2, (uint16_t)~checksum_fold(sum));
	memcpy(body, alert, before);
	memcpy(body + before, icmp, len);
	f->tx.header_len = (uint16_t)(ETHERNET_HEADER + IP6_HEADER + before + len);
	net->counters.ip6_out_requests++;
	if (!mac) {
		send_to_neighbor(net, f, destination);
		return true;
	}
	memcpy(e, mac, 6);
	list_push_back(&net->out, &f->tx.link);
	return true;
}

static uint8_t *put_mac(const struct net *net, uint8_t *p, uint8_t option)
{
	p[0] = option;
	p[1] = 1;
	memcpy(p + 2, net->mac, 6);
	return p + 8;
}

static bool group_send(struct net *net, const struct net_address *source, const struct net_address *group,
	uint8_t *icmp, uint32_t len)
{
	uint8_t mac[6];
	ip6_group_mac(group, mac);
	return ndp_message_send(net, mac, source, group, icmp, len, false);
}

static bool is_certain(struct net *net, const struct net_address *a)
{
	const struct ip6_own *o = a ? ip6_own_find(net, a) : NULL;
	return o && o->state != NET_IPV6_OPTIMISTIC;
}

/* From an address that nobody else has: an optimistic one must not get into others' caches (RFC 4429, 3.2).
 * NULL: there is none yet; the question is asked again in a second, when there will be. */
static const struct net_address *certain_source(struct net *net, const struct net_address *target)
{
	const struct net_address *source = ip6_source(net, target);
	if (is_certain(net, source))
		return source;
	for (uint32_t i = 0; i < NET_IPV6_ADDRESSES_MAX; i++) {
		source = &net->ip6.own[i].address;
		if (net->ip6.own[i].used && ip6_is_own(net, source) && is_certain(net, source))
			return source;
	}
	return NULL;
}

void ndp_solicit(struct net *net, const struct net_address *target, const uint8_t *to_mac)
{
	const struct net_address *source = certain_source(net, target);
	struct net_address group = ip6_solicited_node(target);
	uint8_t m[NEIGHBOR_MESSAGE + 8] = {NEIGHBOR_SOLICITATION};
	if (!source)
		return;
	memcpy(m + 8, target, 16);
	put_mac(net, m + NEIGHBOR_MESSAGE, OPT_SOURCE_MAC);
	net->counters.ndp_out_solicits++;
	if (to_mac)
		ndp_message_send(net, to_mac, source, target, m, sizeof m, false);
	else
		group_send(net, source, &group, m, sizeof m);
}

bool ndp_dad_solicit(struct net *net, const struct ip6_own *o)
{
	struct net_address group = ip6_solicited_node(&o->address);
	uint8_t m[NEIGHBOR_MESSAGE + 8] = {NEIGHBOR_SOLICITATION};
	memcpy(m + 8, &o->address, 16);
	m[NEIGHBOR_MESSAGE] = OPT_NONCE;
	m[NEIGHBOR_MESSAGE + 1] = 1;
	memcpy(m + NEIGHBOR_MESSAGE + 2, o->nonce, 6);
	if (!group_send(net, &unspecified, &group, m, sizeof m))
		return false;
	net->counters.ndp_out_solicits++;
	return true;
}

/* `mac` NULL: it has to be found. */
static void advertise(struct net *net, const struct ip6_own *o, const struct net_address *to,
	const uint8_t *mac, uint8_t flags)
{
	uint8_t m[NEIGHBOR_MESSAGE + 8] = {NEIGHBOR_ADVERTISEMENT};
	if (o->state != NET_IPV6_OPTIMISTIC)
		flags |= FLAG_OVERRIDE;
	m[4] = flags;
	memcpy(m + 8, &o->address, 16);
	put_mac(net, m + NEIGHBOR_MESSAGE, OPT_TARGET_MAC);
	net->counters.ndp_out_adverts++;
	ndp_message_send(net, mac, &o->address, to, m, sizeof m, false);
}

void ndp_announce(struct net *net, const struct ip6_own *o)
{
	uint8_t mac[6];
	ip6_group_mac(&all_nodes, mac);
	advertise(net, o, &all_nodes, mac, 0);
}

void ndp_router_solicit(struct net *net)
{
	const struct net_address *source = ip6_source(net, &all_routers);
	uint8_t m[16] = {ROUTER_SOLICITATION};
	uint32_t len = 8;
	if (is_certain(net, source)) {
		put_mac(net, m + 8, OPT_SOURCE_MAC);
		len = 16;
	}
	net->counters.ndp_out_router_solicits++;
	group_send(net, source ? source : &unspecified, &all_routers, m, len);
}

/* --- Options ----------------------------------------------------------------------------------- */

/* Steps to the next option; false: no more. The list has been found sound. */
static bool option_next(struct slice *options, struct slice *out)
{
	if (!options->len)
		return false;
	size_t len = options->ptr[1] * 8u;
	*out = slice_of(options->ptr, len);
	*options = slice_sub(*options, len, SIZE_MAX);
	return true;
}

/* Every option has a length, and ends where the packet does or before (4.6). */
static bool options_are_sound(struct slice options)
{
	while (options.len) {
		if (options.len < 8 || options.ptr[1] == 0 || options.ptr[1] * 8u > options.len)
			return false;
		options = slice_sub(options, options.ptr[1] * 8u, SIZE_MAX);
	}
	return true;
}

/* The Ethernet address in the first option of that type; NULL: there is none. */
static const uint8_t *mac_option(struct slice options, uint8_t type)
{
	struct slice o;
	while (option_next(&options, &o)) {
		if (o.ptr[0] == type && o.len == 8 && !(o.ptr[2] & 1))
			return o.ptr + 2;
	}
	return NULL;
}

static struct net_address address_at(struct slice icmp, size_t at)
{
	struct net_address a;
	memcpy(&a, icmp.ptr + at, sizeof a);
	return a;
}

/* --- Neighbours -------------------------------------------------------------------------------- */

static bool nonce_is_ours(struct slice options, const struct ip6_own *o)
{
	struct slice option;
	while (option_next(&options, &option)) {
		if (option.ptr[0] == OPT_NONCE && option.len == 8 && memcmp(option.ptr + 2, o->nonce, 6) == 0)
			return true;
	}
	return false;
}

/* Somebody checks whether the address is free. */
static void duplicate_check(struct net *net, struct ip6_own *o, struct slice options)
{
	if (o->dad_running && nonce_is_ours(options, o))
		net->counters.ndp_in_loops++;
	else
		ip6_contested(net, o);
}

static void solicited(struct net *net, struct ip6_own *o, const struct net_address *source,
	const uint8_t *mac)
{
	if (o->state == NET_IPV6_TENTATIVE)
		return;
	struct neighbor *n = mac && ip6_is_neighbor(net, source) ? neighbor_asks_us(net, source) : NULL;
	if (n)
		neighbor_claimed(net, n, mac);
	advertise(net, o, source, mac, FLAG_SOLICITED);
}

/* 7.1.1, 7.2.3 */
static bool solicitation_input(struct net *net, const struct net_address *source,
	const struct net_address *destination, struct slice icmp)
{
	struct slice options = slice_sub(icmp, NEIGHBOR_MESSAGE, SIZE_MAX);
	struct net_address target = address_at(icmp, 8), group = ip6_solicited_node(&target);
	const uint8_t *mac = mac_option(options, OPT_SOURCE_MAC);
	bool checks = net_address_is_unspecified(source);
	if (net_address_is_multicast(&target) || (checks && (mac || !net_address_equal(destination, &group))))
		return false;
	net->counters.ndp_in_solicits++;
	struct ip6_own *o = ip6_own_find(net, &target);
	if (!o || o->state == NET_IPV6_DUPLICATE)
		return true;
	if (checks)
		duplicate_check(net, o, options);
	else if (ip6_is_unicast(source) && !ip6_own_find(net, source))
		solicited(net, o, source, mac);
	return true;
}

/* 7.1.2, 7.2.5 */
static bool advertisement_input(struct net *net, const struct net_address *destination, struct slice icmp)
{
	struct net_address target = address_at(icmp, 8);
	const uint8_t *mac = mac_option(slice_sub(icmp, NEIGHBOR_MESSAGE, SIZE_MAX), OPT_TARGET_MAC);
	uint8_t flags = icmp.ptr[4];
	if (net_address_is_multicast(&target) || (net_address_is_multicast(destination) && flags & FLAG_SOLICITED))
		return false;
	net->counters.ndp_in_adverts++;
	struct ip6_own *o = ip6_own_find(net, &target);
	if (o && mac && memcmp(mac, net->mac, 6) == 0) {
		net->counters.ndp_in_loops++;
		return true;
	}
	if (o && o->state != NET_IPV6_DUPLICATE) {
		ip6_contested(net, o);
		return true;
	}
	struct neighbor *n = neighbor_find(net, &target);
	if (!n)
		return true;
	neighbor_advertised(net, n, mac, flags & FLAG_SOLICITED, flags & FLAG_OVERRIDE);
	if (!(flags & FLAG_ROUTER)) {
		ip6_router_gone(net, &target);
		ip6_schedule(net);
	}
	return true;
}

/* --- Routers ----------------------------------------------------------------------------------- */

/* Only what makes sense is taken over; 0: the router says nothing of it. */
static void link_heard(struct net *net, struct slice icmp)
{
	struct ip6 *s = &net->ip6;
	uint32_t reachable_ms = load_be32(icmp.ptr + 8), retrans_ms = load_be32(icmp.ptr + 12);
	if (icmp.ptr[4] >= HOP_LIMIT_MIN)
		s->hop_limit = icmp.ptr[4];
	if (retrans_ms >= RETRANS_MS_MIN && retrans_ms <= RETRANS_MS_MAX)
		s->retrans_ns = retrans_ms * NS_PER_MS;
	bool news = reachable_ms && reachable_ms <= REACHABLE_MS_MAX && reachable_ms != s->base_reachable_ms;
	if (news)
		s->base_reachable_ms = reachable_ms;
	/* Drawn anew now and then: neighbours should not be probed in step (6.3.4). */
	if (news || net->now_ns - s->reachable_drawn_ns > 3600 * NS_PER_S) {
		s->reachable_drawn_ns = net->now_ns;
		s->reachable_ns = s->base_reachable_ms * NS_PER_MS / 1000
			* (500 + random_below(net->random, 1001));
	}
}

static void prefix_option(struct net *net, struct slice o)
{
	if (o.len != 32)
		return;
	struct net_address prefix = address_at(o, 16);
	uint8_t len = o.ptr[2], flags = o.ptr[3];
	uint32_t valid_s = load_be32(o.ptr + 4), preferred_s = load_be32(o.ptr + 8);
	if (!len || len > 128 || !ip6_is_unicast(&prefix) || net_address_is_link_local(&prefix))
		return;
	if (flags & 0x80)
		ip6_on_link_heard(net, &prefix, len, valid_s);
	if (flags & 0x40)
		ip6_autonomous_heard(net, &prefix, len, valid_s, preferred_s);
}

static void mtu_option(struct net *net, struct slice o)
{
	uint32_t mtu = load_be32(o.ptr + 4);
	if (o.len != 8 || mtu < IP6_MTU_MIN || mtu > net->mtu || mtu == net->ip6.mtu)
		return;
	net->ip6.mtu = (uint16_t)mtu;
	net->ip6.generation++;
}

static void dns_option(struct net *net, struct slice o)
{
	for (size_t at = 8; at + 16 <= o.len; at += 16) {
		struct net_address a = address_at(o, at);
		if (ip6_is_unicast(&a))
			ip6_dns_heard(net, &a, load_be32(o.ptr + 4));
	}
}

/* 6.1.2, 6.3.4 */
static bool router_input(struct net *net, const struct net_address *source, struct slice icmp)
{
	if (!net_address_is_link_local(source))
		return false;
	struct slice options = slice_sub(icmp, ROUTER_MESSAGE, SIZE_MAX), o;
	const uint8_t *mac = mac_option(options, OPT_SOURCE_MAC);
	uint8_t preference = icmp.ptr[5] >> 3 & 3;
	net->counters.ndp_in_router_adverts++;
	if (net->ip6.has_gateway || ip6_own_find(net, source))
		return true; /* what is configured needs no advice */
	struct neighbor *n = mac ? neighbor_asks_us(net, source) : NULL;
	if (n)
		neighbor_claimed(net, n, mac);
	link_heard(net, icmp);
	ip6_router_heard(net, source, load_be16(icmp.ptr + 6),
		(int8_t)(preference == 1 ? 1 : preference == 3 ? -1 : 0));
	while (option_next(&options, &o)) {
		switch (o.ptr[0]) {
		case OPT_PREFIX: prefix_option(net, o); break;
		case OPT_MTU: mtu_option(net, o); break;
		case OPT_RDNSS: dns_option(net, o); break;
		default: break;
		}
	}
	ip6_schedule(net);
	return true;
}

/* 8.1 */
static bool redirect_input(struct net *net, const struct net_address *source, struct slice icmp)
{
	if (!net_address_is_link_local(source))
		return false;
	struct net_address target = address_at(icmp, 8), to = address_at(icmp, 24);
	if (net_address_is_multicast(&to) || (!net_address_is_link_local(&target) && !net_address_equal(&target, &to)))
		return false;
	net->counters.ndp_in_redirects++;
	return true;
}

static bool message_input(struct net *net, const struct net_address *source,
	const struct net_address *destination, struct slice icmp)
{
	static const uint8_t fixed[] = {8, ROUTER_MESSAGE, NEIGHBOR_MESSAGE, NEIGHBOR_MESSAGE, REDIRECT_MESSAGE};
	if (icmp.len < 8 || icmp.ptr[0] < ROUTER_SOLICITATION || icmp.ptr[0] > REDIRECT || icmp.ptr[1] != 0
		|| icmp.len < fixed[icmp.ptr[0] - ROUTER_SOLICITATION]
		|| !options_are_sound(slice_sub(icmp, fixed[icmp.ptr[0] - ROUTER_SOLICITATION], SIZE_MAX)))
		return false;
	switch (icmp.ptr[0]) {
	case ROUTER_ADVERTISEMENT: return router_input(net, source, icmp);
	case NEIGHBOR_SOLICITATION: return solicitation_input(net, source, destination, icmp);
	case NEIGHBOR_ADVERTISEMENT: return advertisement_input(net, destination, icmp);
	case REDIRECT: return redirect_input(net, source, icmp);
	default: return true; /* a question to routers */
	}
}

void ndp_input(struct net *net, const struct net_address *source, const struct net_address *destination,
	struct slice icmp)
{
	if (net->ip6.mode != NET_IP6_OFF && !message_input(net, source, destination, icmp))
		net->counters.ndp_in_errors++;
}
