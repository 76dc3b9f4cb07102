/* IPv6 inside the engine: what its files offer to each other and to TCP and UDP. Private to net/.
 *
 *   ip6.c         packets in and out: headers, extension headers, the pseudo-header (RFC 8200)
 *   icmp6.c       echo, errors, and the way to ndp.c and mld.c (RFC 4443)
 *   ip6_address.c our addresses, and which of them a packet comes from (RFC 4862, 6724, 7217)
 *   ip6_route.c   prefixes and routers: where a packet goes (RFC 4861, 4191)
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
#define ICMP6_NEIGHBOR_ADVERTISEMENT 136

/* ip6_address.c */
bool ip6_config_is_valid(const struct net_config *config);
void ip6_init(struct net *net, const struct net_config *config);
/* Unicast, ours, and no longer tentative: packets to it are taken, and may have it as their source. */
bool ip6_is_own(const struct net *net, const struct net_address *a);
/* Which of our addresses a packet for `to` should come from (RFC 6724, 5); NULL: none is usable. The pointer
 * is good until the engine is called again. */
const struct net_address *ip6_source(const struct net *net, const struct net_address *to);
void ip6_link_up(struct net *net);
/* In any state. */
struct ip6_own *ip6_own_find(struct net *net, const struct net_address *a);
/* Somebody else says that it is theirs, or is about to take it. */
void ip6_contested(struct net *net, struct ip6_own *o);
/* A router offers a prefix to make an address of. The caller schedules. */
void ip6_autonomous_heard(struct net *net, const struct net_address *prefix, uint8_t len,
	uint32_t valid_s, uint32_t preferred_s);
/* When a lifetime of so many seconds ends; UINT32_MAX: never. */
uint64_t ip6_expiry(const struct net *net, uint32_t seconds);
/* A time in struct ip6 has changed. */
void ip6_schedule(struct net *net);

/* ip6_route.c */
void ip6_routes_init(struct net *net);
/* The on-link address to which packets for `to` (unicast) go; false: none. */
bool ip6_route(struct net *net, const struct net_address *to, struct net_address *next_hop);
bool ip6_is_neighbor(const struct net *net, const struct net_address *a);
/* Which MTU packets have on this link: the smaller of net.mtu and what a router advertises. */
uint16_t ip6_link_mtu(const struct net *net);
/* The neighbour cache has given this one up: another router may do. */
void ip6_neighbor_failed(struct net *net, const struct net_address *a);
/* What a router says. The caller schedules. */
void ip6_router_heard(struct net *net, const struct net_address *a, uint16_t lifetime_s, int8_t preference);
void ip6_router_gone(struct net *net, const struct net_address *a);
void ip6_on_link_heard(struct net *net, const struct net_address *prefix, uint8_t len, uint32_t valid_s);
void ip6_dns_heard(struct net *net, const struct net_address *a, uint32_t lifetime_s);
void ip6_routers_seek(struct net *net);
/* What is due, and when the next will be. */
void ip6_routes_age(struct net *net);
uint64_t ip6_routes_next(const struct net *net);

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
/* 20 bits that are the same for all packets of a flow from us, and tell nothing (RFC 6437). */
uint32_t ip6_flow_label(const struct net *net, const struct net_address *source,
	const struct net_address *destination, uint16_t source_port, uint16_t destination_port);
/* Moves *at from the header of type *next to the one behind it, in a chain that begins at byte 40 of `packet`;
 * false: *next is no extension header that can be skipped, or it is not all there. */
bool ip6_extension_skip(struct slice packet, uint32_t *at, uint8_t *next);

/* icmp6.c; true: the frame was kept */
bool icmp6_input(struct net *net, const struct ip_packet *p);
bool icmp6_port_unreachable(struct net *net, const struct ip_packet *p);
bool icmp6_reassembly_exceeded(struct net *net, const struct ip_packet *p);
enum icmp6_problem {
	ICMP6_PROBLEM_FIELD,
	ICMP6_PROBLEM_NEXT_HEADER,
	ICMP6_PROBLEM_OPTION,
};
/* `at`: the byte of the packet that is the problem. `even_multicast`: also when it was not sent to us alone. */
bool icmp6_parameter_problem(struct net *net, const struct ip_packet *p, enum icmp6_problem code,
	uint32_t at, bool even_multicast);

/* ndp.c: ICMPv6 types 133 to 137. The caller (icmp6.c) has checked the ICMPv6 checksum and that the hop limit
 * is 255; all else is checked here. `icmp` begins with the type and is in one buffer. */
void ndp_input(struct net *net, const struct net_address *source, const struct net_address *destination,
	struct slice icmp);
/* Asks who has this address; `to_mac` NULL: by its solicited-node group. */
void ndp_solicit(struct net *net, const struct net_address *target, const uint8_t *to_mac);

/* Is the address free? False: could not be sent. */
bool ndp_dad_solicit(struct net *net, const struct ip6_own *o);
/* Tells everybody that the address is ours. */
void ndp_announce(struct net *net, const struct ip6_own *o);
void ndp_router_solicit(struct net *net);
/* A small message of ours in one frame, to an Ethernet address (NULL: to a neighbour, to be looked up):
 * `icmp` begins with ICMPv6's type, its checksum field is filled in here. `router_alert`: behind that
 * hop-by-hop option (RFC 2711). At most NDP_MESSAGE_MAX bytes. False: no frame was free. */
#define NDP_MESSAGE_MAX 64
bool ndp_message_send(struct net *net, const uint8_t *mac, const struct net_address *source,
	const struct net_address *destination, uint8_t *icmp, uint32_t len, bool router_alert);

/* mld.c: ICMPv6 types 130 to 132 and 143. The caller has checked the checksum, that the hop limit is 1, and
 * that there was a router alert (RFC 3810, 6.2). */
void mld_init(struct net *net);
void mld_input(struct net *net, const struct net_address *source, const struct net_address *destination,
	struct slice icmp);
bool mld_join(struct net *net, const struct net_address *group);
void mld_leave(struct net *net, const struct net_address *group);
/* A multicast group that we are in, on this link. */
bool ip6_is_joined(const struct net *net, const struct net_address *group);
/* Reports at once what waits to be reported. */
void mld_flush(struct net *net);
void mld_link_up(struct net *net);

static inline bool ip6_is_unicast(const struct net_address *a)
{
	/* Not ::/64, where loopback and mapped addresses are. */
	return !net_address_is_multicast(a) && load_le64(a->octet) != 0;
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
