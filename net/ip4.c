/* IPv4 (RFC 791, RFC 1122): validation of what comes in, headers of what goes out. Options are skipped and
 * not obeyed. What we send is never fragmented (DF is set throughout). */
#include "engine.h"

#include "checksum.h"

bool ip4_is_own(const struct net *net, uint32_t ip)
{
	return net->ipv4.state != NET_IPV4_NONE && ip == net->ipv4.address;
}

static bool is_unicast(uint32_t ip)
{
	uint32_t top = ip >> 24;
	return top != 0 && top != 127 && top < 224;
}

static bool is_subnet_broadcast(const struct net *net, uint32_t ip)
{
	uint32_t mask = net->ipv4.mask;
	/* A /31 or /32 has no broadcast address (RFC 3021). */
	if (net->ipv4.state == NET_IPV4_NONE || mask >= 0xfffffffe)
		return false;
	return ip == (net->ipv4.address | ~mask) || ip == (net->ipv4.address & mask);
}

bool ip4_route(const struct net *net, uint32_t ip, uint32_t *next_hop)
{
	if (net->ipv4.state == NET_IPV4_NONE || !is_unicast(ip) || is_subnet_broadcast(net, ip))
		return false;
	bool on_link = ((ip ^ net->ipv4.address) & net->ipv4.mask) == 0;
	if (!on_link && !net->ipv4.gateway)
		return false;
	*next_hop = on_link ? ip : net->ipv4.gateway;
	return true;
}

uint64_t ip4_pseudo_sum(uint32_t source, uint32_t destination, uint8_t protocol)
{
	return (uint64_t)__builtin_bswap32(source) + __builtin_bswap32(destination)
		+ ((uint32_t)protocol << 8);
}

/* Unicast to us, or a broadcast; while we have no address, anything may be an answer to DHCP. */
static bool destination_is_ours(const struct net *net, uint32_t ip, bool *broadcast)
{
	if (LIKELY(ip4_is_own(net, ip)))
		return true;
	if (ip == IP4_BROADCAST || is_subnet_broadcast(net, ip)) {
		*broadcast = true;
		return true;
	}
	return net->ipv4.state == NET_IPV4_NONE && is_unicast(ip);
}

/* Fills in `p`; false: the packet is to be dropped, and was counted. */
static bool ip4_parse(struct net *net, struct frame_rx *frame, struct ip_packet *p)
{
	const uint8_t *h = frame->data + ETHERNET_HEADER;
	size_t have = frame->len - ETHERNET_HEADER;
	net->counters.ip_in_receives++;
	if (UNLIKELY(have < IP4_HEADER || h[0] >> 4 != 4 || (h[0] & 15) < 5))
		goto malformed;
	uint32_t header_len = (h[0] & 15u) * 4, total_len = load_be16(h + 2);
	if (UNLIKELY(have < header_len || total_len < header_len))
		goto malformed;
	uint64_t sum = checksum_ip4_header(h);
	if (UNLIKELY(header_len > IP4_HEADER))
		sum += checksum_sum(slice_of(h + IP4_HEADER, header_len - IP4_HEADER));
	if (UNLIKELY(checksum_fold(sum) != 0xffff))
		goto malformed;
	p->frame = frame;
	p->header = h;
	p->header_len = header_len;
	p->family = 4;
	p->protocol = h[9];
	p->ecn = h[1] & 3;
	p->total = total_len - header_len;
	size_t first = have < total_len ? have : total_len;
	p->payload = slice_of(h + header_len, first - header_len);
	size_t whole = have;
	for (const struct frame_rx *f = frame->frag; UNLIKELY(f != NULL); f = f->frag)
		whole += f->len;
	if (UNLIKELY(whole < total_len)) {
		net->counters.ip_in_truncated++;
		return false;
	}
	return true;
malformed:
	net->counters.ip_in_hdr_errors++;
	return false;
}

static bool addresses_are_sane(const struct net *net, struct ip_packet *p)
{
	uint32_t source = ip4_packet_source(p);
	if (!destination_is_ours(net, ip4_packet_destination(p), &p->broadcast))
		return false;
	/* Only a DHCP client has no address, and we serve none: sources are hosts, and not us. */
	return is_unicast(source) && !is_subnet_broadcast(net, source) && !ip4_is_own(net, source);
}

static bool ip4_dispatch(struct net *net, const struct ip_packet *p)
{
	switch (p->protocol) {
	case IP_PROTO_TCP:
		return !p->broadcast && tcp_input(net, p);
	case IP_PROTO_UDP:
		return udp_input(net, p);
	case IP_PROTO_ICMP:
		return icmp4_input(net, p);
	default:
		net->counters.ip_in_unknown_protos++;
		return false;
	}
}

/* True: the packet is whole. False: its fragment was taken. */
static bool fragment_pass(struct net *net, struct ip_packet *p)
{
	uint16_t field = load_be16(p->header + 6);
	return LIKELY(!(field & 0x3fff))
		|| ip_reassemble(net, p, load_be16(p->header + 4), (field & 0x1fffu) * 8, field & 0x2000);
}

void ip4_input(struct net *net, struct frame_rx *frame, bool broadcast)
{
	struct ip_packet p = {.broadcast = broadcast, .frame = frame};
	if (UNLIKELY(!ip4_parse(net, frame, &p))) {
		frame_rx_put(frame);
	} else if (UNLIKELY(!addresses_are_sane(net, &p))) {
		net->counters.ip_in_addr_errors++;
		frame_rx_put(frame);
	} else if (fragment_pass(net, &p) && !ip4_dispatch(net, &p)) {
		frame_rx_put(p.frame);
	}
}

static void ip4_header(struct net *net, struct net_frame *f, uint32_t source, uint32_t destination,
	uint8_t protocol)
{
	uint8_t *e = f->tx.header + FRAME_TX_HEADROOM, *h = e + ETHERNET_HEADER;
	uint32_t len = f->tx.header_len - ETHERNET_HEADER + f->tx.payload_len;
	memcpy(e + 6, net->mac, 6);
	store_be16(e + 12, ETHERTYPE_IP4);
	h[0] = 0x45;
	h[1] = 0;
	store_be16(h + 2, (uint16_t)len);
	store_be16(h + 4, net->ip_id++);
	store_be16(h + 6, 0x4000);
	h[8] = IP_TTL;
	h[9] = protocol;
	store_le16(h + 10, 0);
	store_be32(h + 12, source);
	store_be32(h + 16, destination);
	store_le16(h + 10, (uint16_t)~checksum_fold(checksum_ip4_header(h)));
}

void ip4_send(struct net *net, struct net_frame *f, uint32_t source, uint32_t destination,
	uint8_t protocol)
{
	uint32_t hop;
	net->counters.ip_out_requests++;
	ip4_header(net, f, source, destination, protocol);
	if (destination == IP4_BROADCAST) {
		memset(f->tx.header + FRAME_TX_HEADROOM, 0xff, 6);
		list_push_back(&net->out, &f->tx.link);
		return;
	}
	bool routed = ip4_route(net, destination, &hop);
	struct net_address next = net_address_v4(routed ? hop : 0);
	struct neighbor *n = routed ? neighbor_lookup(net, &next) : NULL;
	if (!n) {
		net->counters.ip_out_no_routes++;
		net_frame_put(net, f);
		return;
	}
	neighbor_send(net, n, f);
}

void ip4_configure(struct net *net, const struct net_ipv4 *ipv4)
{
	uint32_t generation = net->ipv4.generation + 1;
	bool changed = ipv4->address != net->ipv4.address || ipv4->state != net->ipv4.state;
	net->ipv4 = *ipv4;
	net->ipv4.generation = generation;
	net->own_address_wire = ipv4->state == NET_IPV4_NONE ? 0 : __builtin_bswap32(ipv4->address);
	if (changed)
		neighbors_reroute(net); /* what had begun from another address finds no way */
	if (changed && ipv4->state != NET_IPV4_NONE)
		arp_announce(net);
}
