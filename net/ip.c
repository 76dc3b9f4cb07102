/* What TCP, UDP and ICMP need of the network layer without caring which family it is. */
#include "checksum.h"
#include "ip6.h"

uint64_t ip_payload_sum(const struct ip_packet *p)
{
	struct slice part[FRAME_TX_SEGMENTS_MAX] = {p->payload};
	uint32_t count = 1, left = p->total - (uint32_t)p->payload.len;
	for (const struct frame_rx *f = p->frame->frag; f && left && count < ARRAY_LEN(part);
		f = f->frag) {
		uint32_t n = f->len < left ? f->len : left;
		part[count++] = slice_of(f->data, n);
		left -= n;
	}
	/* A packet in more buffers than that is not believed. */
	return left ? 0 : checksum_sum_slices(part, count);
}

uint64_t ip_packet_pseudo_sum(const struct ip_packet *p, uint32_t len)
{
	uint64_t sum = __builtin_bswap32(len) + (uint64_t)__builtin_bswap32(p->protocol);
	if (LIKELY(p->family == 4))
		return sum + ip4_sum_addresses(load_le64(p->header + 12));
	return sum + checksum_sum(slice_of(p->header + 8, 32));
}

bool ip_route(struct net *net, const struct net_address *to, struct net_address *next_hop)
{
	uint32_t hop;
	if (!net_address_is_v4(to)) {
		bool unicast = !net_address_is_multicast(to) && !net_address_is_unspecified(to)
			&& !net_address_is_loopback(to);
		return unicast && ip6_route(net, to, next_hop);
	}
	if (!ip4_route(net, net_address_to_v4(to), &hop))
		return false;
	*next_hop = net_address_v4(hop);
	return true;
}

bool ip_is_own(const struct net *net, const struct net_address *a)
{
	return net_address_is_v4(a) ? ip4_is_own(net, net_address_to_v4(a)) : ip6_is_own(net, a);
}

bool ip_source(const struct net *net, const struct net_address *to, struct net_address *source)
{
	if (net_address_is_v4(to)) {
		*source = net_address_v4(net->ipv4.address);
		return net->ipv4.state != NET_IPV4_NONE;
	}
	const struct net_address *own = ip6_source(net, to);
	if (own)
		*source = *own;
	return own != NULL;
}

uint16_t ip_mtu(const struct net *net, bool ip6)
{
	return ip6 ? ip6_link_mtu(net) : net->ip4_mtu;
}
