/* IPv6 inside the engine: what its files offer to each other and to TCP and UDP. Private to net/.
 *
 *   ip6.c         packets in and out: headers, extension headers, the pseudo-header (RFC 8200)
 *   icmp6.c       echo, errors, and the way to ndp.c and mld.c (RFC 4443)
 *   ip6_address.c our addresses, prefixes and routers: what is ours, where a packet goes, which source it has
 *                 (RFC 4862, 6724, 7217)
 *   ndp.c         the packets of neighbour discovery and of router discovery (RFC 4861, 8106)
 *   mld.c         which groups we listen to (RFC 3810)
 *   neighbor.c    the neighbour cache of both families; arp.c is IPv4's way of asking
 *
 * Addresses are struct net_address in network order; an IPv4 one is IPv4-mapped and never on a wire here. */
#ifndef IP6_H
#define IP6_H

#include "engine.h"

#define ETHERTYPE_IP6 0x86dd
#define IP6_HEADER 40
#define IP6_MTU_MIN 1280
#define IP_PROTO_ICMP6 58

/* ip6_address.c */
void ip6_init(struct net *net, const struct net_config *config);
/* Unicast, ours, and no longer tentative: packets to it are taken, and may have it as their source. */
bool ip6_is_own(const struct net *net, const struct net_address *a);
/* A multicast group that we are in, on this link. */
bool ip6_is_joined(const struct net *net, const struct net_address *group);
/* The on-link address to which packets for `to` (unicast) go; false: none. */
bool ip6_route(struct net *net, const struct net_address *to, struct net_address *next_hop);
/* Which of our addresses a packet for `to` should come from (RFC 6724, 5); NULL: none is usable. The pointer
 * is good until the engine is called again. */
const struct net_address *ip6_source(const struct net *net, const struct net_address *to);
/* Which MTU packets have on this link: the smaller of net.mtu and what a router advertises. */
uint16_t ip6_link_mtu(const struct net *net);
void ip6_link_up(struct net *net);
/* The neighbour cache has given this one up: another router may do. */
void ip6_neighbor_failed(struct net *net, const struct net_address *a);

/* ip6.c */
void ip6_input(struct net *net, struct frame_rx *frame, bool multicast);
/* Where the transport header goes in a frame for ip6_send. */
static inline uint8_t *ip6_transport(struct net_frame *f)
{
	return f->tx.header + FRAME_TX_HEADROOM + ETHERNET_HEADER + IP6_HEADER;
}
/* Writes Ethernet and IPv6 headers in front of transport header and payload that the caller has set, and
 * sends, to a neighbour, a router or a group. Consumes the frame. */
void ip6_send(struct net *net, struct net_frame *f, const struct net_address *source,
	const struct net_address *destination, uint8_t protocol, uint8_t hop_limit);
/* The sum of the pseudo-header without the length. */
uint64_t ip6_pseudo_sum(const struct net_address *source, const struct net_address *destination,
	uint8_t protocol);

/* ndp.c: ICMPv6 types 133 to 137. The caller (icmp6.c) has checked the ICMPv6 checksum and that the hop limit
 * is 255; all else is checked here. `icmp` begins with the type and is in one buffer. */
void ndp_input(struct net *net, const struct net_address *source, const struct net_address *destination,
	struct slice icmp);
/* Asks who has this address; `to_mac` NULL: by its solicited-node group. */
void ndp_solicit(struct net *net, const struct net_address *target, const uint8_t *to_mac);

/* A small message of ours in one frame, to an Ethernet address: `icmp` begins with ICMPv6's type, its checksum
 * field is filled in here. `router_alert`: behind that hop-by-hop option (RFC 2711). At most NDP_MESSAGE_MAX
 * bytes. False: no frame was free. */
#define NDP_MESSAGE_MAX 64
bool ndp_message_send(struct net *net, const uint8_t mac[6], const struct net_address *source,
	const struct net_address *destination, uint8_t *icmp, uint32_t len, bool router_alert);

/* mld.c: ICMPv6 types 130 to 132 and 143. */
void mld_input(struct net *net, const struct net_address *source, const struct net_address *destination,
	struct slice icmp);
bool mld_join(struct net *net, const struct net_address *group);
void mld_leave(struct net *net, const struct net_address *group);

static inline bool ip6_is_unspecified(const struct net_address *a)
{
	return (load_le64(a->octet) | load_le64(a->octet + 8)) == 0;
}

static inline bool ip6_is_multicast(const struct net_address *a)
{
	return a->octet[0] == 0xff;
}

static inline bool ip6_is_link_local(const struct net_address *a)
{
	return a->octet[0] == 0xfe && (a->octet[1] & 0xc0) == 0x80;
}

static inline bool ip6_equal(const struct net_address *a, const struct net_address *b)
{
	return load_le64(a->octet) == load_le64(b->octet) && load_le64(a->octet + 8) == load_le64(b->octet + 8);
}

/* ff02::1:ffXX:XXXX (RFC 4291, 2.7.1) */
static inline struct net_address ip6_solicited_node(const struct net_address *a)
{
	return (struct net_address){{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a->octet[13], a->octet[14],
		a->octet[15]}};
}

/* The Ethernet address of a group (RFC 2464, 7). */
static inline void ip6_group_mac(const struct net_address *group, uint8_t mac[6])
{
	mac[0] = mac[1] = 0x33;
	memcpy(mac + 2, group->octet + 12, 4);
}

#endif
