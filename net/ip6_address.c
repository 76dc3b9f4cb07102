#include "ip6.h"

void ip6_init(struct net *net, const struct net_config *config)
{
	struct ip6 *s = &net->ip6;
	s->mode = config->ip6;
	s->retrans_ns = NS_PER_S;
	s->reachable_ns = 30 * NS_PER_S;
	s->hop_limit = 64;
	s->mtu = net->mtu;
	if (s->mode == NET_IP6_OFF)
		return;
	struct ip6_own *o = &s->own[0];
	static const struct net_address fe80 = {{0xfe, 0x80}};
	o->used = true;
	o->prefix_len = 64;
	o->state = NET_IPV6_PREFERRED;
	o->address = fe80;
	memcpy(o->address.octet + 8, net->mac, 3);
	o->address.octet[8] ^= 2;
	o->address.octet[11] = 0xff;
	o->address.octet[12] = 0xfe;
	memcpy(o->address.octet + 13, net->mac + 3, 3);
	if (s->mode == NET_IP6_STATIC) {
		o = &s->own[1];
		o->used = true;
		o->address = config->ip6_address;
		o->prefix_len = config->ip6_prefix_len;
		o->state = NET_IPV6_PREFERRED;
		s->gateway = config->ip6_gateway;
		s->has_gateway = !ip6_is_unspecified(&s->gateway);
	}
}

static const struct ip6_own *own_find(const struct net *net, const struct net_address *a)
{
	for (uint32_t i = 0; i < NET_IPV6_ADDRESSES_MAX; i++) {
		const struct ip6_own *o = &net->ip6.own[i];
		if (o->used && ip6_equal(&o->address, a))
			return o;
	}
	return NULL;
}

bool ip6_is_own(const struct net *net, const struct net_address *a)
{
	const struct ip6_own *o = own_find(net, a);
	return o && o->state != NET_IPV6_TENTATIVE && o->state != NET_IPV6_DUPLICATE;
}

bool ip6_is_joined(const struct net *net, const struct net_address *group)
{
	static const struct net_address all_nodes = {{0xff, 2, [15] = 1}};
	if (net->ip6.mode == NET_IP6_OFF || ip6_equal(group, &all_nodes))
		return net->ip6.mode != NET_IP6_OFF;
	for (uint32_t i = 0; i < NET_IPV6_ADDRESSES_MAX; i++) {
		const struct ip6_own *o = &net->ip6.own[i];
		struct net_address mine = ip6_solicited_node(&o->address);
		if (o->used && ip6_equal(&mine, group))
			return true;
	}
	return false;
}

static bool prefix_equal(const struct net_address *a, const struct net_address *b, uint32_t len)
{
	uint32_t bytes = len / 8, bits = len % 8;
	if (memcmp(a, b, bytes) != 0)
		return false;
	return !bits || ((a->octet[bytes] ^ b->octet[bytes]) & (0xff00 >> bits) & 0xff) == 0;
}

bool ip6_route(struct net *net, const struct net_address *to, struct net_address *next_hop)
{
	const struct ip6 *s = &net->ip6;
	if (s->mode == NET_IP6_OFF || ip6_is_multicast(to) || ip6_is_unspecified(to))
		return false;
	*next_hop = *to;
	if (ip6_is_link_local(to))
		return true;
	for (uint32_t i = 0; i < NET_IPV6_ADDRESSES_MAX; i++)
		if (s->own[i].used && prefix_equal(&s->own[i].address, to, s->own[i].prefix_len))
			return true;
	*next_hop = s->gateway;
	return s->has_gateway;
}

const struct net_address *ip6_source(const struct net *net, const struct net_address *to)
{
	const struct ip6 *s = &net->ip6;
	bool link = ip6_is_link_local(to) || (ip6_is_multicast(to) && (to->octet[1] & 15) <= 2);
	if (s->mode == NET_IP6_OFF)
		return NULL;
	return &s->own[s->mode == NET_IP6_STATIC && !link].address;
}

uint16_t ip6_link_mtu(const struct net *net)
{
	return net->ip6.mtu;
}

void ip6_link_up(struct net *net)
{
	(void)net;
}

void ip6_neighbor_failed(struct net *net, const struct net_address *a)
{
	(void)net;
	(void)a;
}

uint32_t net_ipv6_generation(const struct net *net)
{
	return net->ip6.generation;
}

void net_ipv6(const struct net *net, struct net_ipv6 *out)
{
	*out = (struct net_ipv6){.generation = net->ip6.generation};
}
