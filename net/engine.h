/* The engine's state, private to net/.
 *
 * Layers, each a file: net.c (life, frames in and out), neighbor.c (neighbours of both families), arp.c,
 * ip4.c, icmp4.c, udp.c, dhcp.c; for IPv6 see ip6.h;
 * tcp_short.c (the expected segment), tcp.c (demultiplexing and the API), tcp_syn.c (half-open, cookies), tcp_time_wait.c, tcp_input.c,
 * tcp_receive.c (receive and reassembly queues), tcp_output.c, tcp_flight.c (what is in flight), tcp_rtt.c, tcp_rack.c
 * (losses), tcp_recovery.c, tcp_cubic.c (congestion), tcp_pmtu.c, tcp_timer.c.
 *
 * Sending is pulled: whoever wants to send stands in a list (a connection in `tx_ready`, a finished frame
 * in `out`), and a connection's segment is built only when net_output asks for it. So one frame carries
 * all that has piled up, and nothing is built that the device cannot take.
 *
 * IPv4 addresses and ports in here are in host order, except in struct tcp_key; IPv6 ones are struct
 * net_address. */
#ifndef ENGINE_H
#define ENGINE_H

#include <base/assert.h>
#include <base/bytes.h>
#include <base/hash.h>
#include <base/pool.h>
#include <base/timer.h>
#include <net/net.h>

#include "ip6_state.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

#define ETHERNET_HEADER 14
#define ETHERTYPE_IP4 0x0800
#define ETHERTYPE_ARP 0x0806
#define IP4_HEADER 20
#define IP_PROTO_ICMP 1
#define IP_PROTO_TCP 6
#define IP_PROTO_UDP 17
#define IP4_BROADCAST 0xffffffffu
#define IP_TTL 64 /* of IPv4 */

#define NEIGHBOR_QUEUE_MAX 4
#define LISTENERS_MAX 16

struct net_frame {
	struct frame_tx tx; /* first: frames are cast back from it */
	struct tcp_send *sends; /* the first one that it reads from, and how many in a row */
	uint32_t send_count;
	struct frame_rx *rx; /* an echo's payload lies here */
	struct udp_datagram *datagram;
};

/* RFC 4861, 7.3.2 */
enum neighbor_state {
	NEIGHBOR_FREE,
	NEIGHBOR_INCOMPLETE, /* asked, no answer yet */
	NEIGHBOR_REACHABLE,  /* until fresh_until_ns */
	NEIGHBOR_STALE,      /* usable; the next use casts doubt */
	NEIGHBOR_DELAY,      /* usable; waiting for TCP to see progress before asking */
	NEIGHBOR_PROBE,      /* usable; asked again */
};

struct neighbor {
	struct net_address address; /* IPv4: mapped */
	enum neighbor_state state;
	uint8_t mac[6];
	uint8_t tries;
	uint8_t queued;
	uint32_t generation; /* grows when the entry comes to mean something else */
	uint64_t fresh_until_ns, confirmed_ns;
	const void *witness; /* a connection, or one that was: not to be followed */
	uint64_t witness_mark;
	struct list queue;   /* frames that wait for the answer */
	struct list waiting; /* connections that do */
	struct timer timer;
	struct net *net;
};

/* Where to send frames for an address: an entry of the neighbour table at one of its generations. */
struct hop {
	struct neighbor *neighbor;
	uint32_t generation;
};

/* A received packet after the IP layer: `payload` is the part in the first buffer, `total` counts the
 * bytes with those in fragments of the frame (mergeable buffers). */
struct ip_packet {
	struct frame_rx *frame;
	const uint8_t *header; /* of IP: the addresses stand here */
	uint32_t header_len;   /* with options, or with extension headers */
	struct slice payload;
	uint32_t total;
	uint8_t family;        /* 4 or 6 */
	uint8_t protocol;      /* of the payload */
	uint8_t ecn;           /* the two bits of RFC 3168 */
	bool broadcast;        /* not sent to us alone, on whichever layer: multicast too */
	bool fragment_header;  /* IPv6: it came with one, in pieces or whole */
	bool router_alert;     /* IPv6: its hop-by-hop option was there (RFC 2711) */
};

static inline uint32_t ip4_packet_source(const struct ip_packet *p)
{
	return load_be32(p->header + 12);
}

static inline uint32_t ip4_packet_destination(const struct ip_packet *p)
{
	return load_be32(p->header + 16);
}

/* Of either family. */
static inline struct net_address ip_packet_source(const struct ip_packet *p)
{
	struct net_address a;
	if (p->family == 4)
		return net_address_v4(ip4_packet_source(p));
	memcpy(a.octet, p->header + 8, sizeof a.octet);
	return a;
}

static inline struct net_address ip_packet_destination(const struct ip_packet *p)
{
	struct net_address a;
	if (p->family == 4)
		return net_address_v4(ip4_packet_destination(p));
	memcpy(a.octet, p->header + 24, sizeof a.octet);
	return a;
}

/* What ICMP of either family says about a packet of ours. */
enum ip_error {
	IP_ERROR_SOFT,    /* it may pass another time */
	IP_ERROR_HARD,    /* nobody takes this protocol or port */
	IP_ERROR_TOO_BIG,
};

#define REASSEMBLIES_MAX 16

/* A packet of which fragments have come: reassembly.c. */
struct reassembly {
	struct list link;  /* of net.reassemblies, oldest first, or net.reassemblies_free */
	struct list parts; /* frame_rx.link */
	uint64_t expires_ns;
	uint32_t id;
	uint32_t end;      /* the packet's length; 0: the last fragment has not come */
	uint32_t received; /* bytes */
	uint32_t buffers;
	uint8_t family, protocol, ecn;
	bool broadcast;
	uint8_t addresses[32]; /* as they stand in the header; 8 of IPv4 */
};

/* What a datagram is copied to when it came in several buffers and must be in one piece. */
#define GATHER_MAX 8192u

/* Allows `burst` events at once and one more every `interval_ns`. */
struct rate_limit {
	uint64_t full_at_ns; /* when the bucket would be full again */
};

struct tcp_listener {
	uint16_t port; /* 0: unused */
	uint32_t connections, connections_max;
	struct tcp_handler *handler; /* or NULL */
};

enum dhcp_state {
	DHCP_OFF,
	DHCP_INIT,
	DHCP_SELECTING,
	DHCP_REQUESTING,
	DHCP_CHECKING, /* granted; does nobody else have it? */
	DHCP_BOUND,
	DHCP_RENEWING,
	DHCP_REBINDING,
	DHCP_REBOOTING, /* the link came back: is the lease still good here? */
};

#define DHCP_MESSAGE_MAX 548
#define DHCP_MESSAGES 3

struct dhcp_offer {
	uint8_t type;
	uint8_t overload; /* where options go on: 1 in `file`, 2 in `sname` (RFC 2132, 9.3) */
	uint16_t mtu;
	bool classless;   /* routes of RFC 3442: then `router` is from those */
	uint32_t address, mask, router, dns[2], server, lease_s, t1_s, t2_s;
};

/* What the probes for an address have shown (RFC 5227). */
enum probe_result {
	PROBE_RUNNING,
	PROBE_FREE,
	PROBE_TAKEN,
};

struct dhcp {
	struct net *net;
	enum dhcp_state state;
	uint32_t xid, tries;
	uint32_t offered, server;
	enum probe_result probe; /* of `offered` */
	struct dhcp_offer grant; /* while CHECKING */
	uint64_t bound_ns;       /* when the address was taken into use */
	uint8_t link_conflicts;  /* link-local addresses that others had */
	uint64_t started_ns, t1_ns, t2_ns, expiry_ns;
	struct timer timer;
	struct udp_socket socket;
	/* Several, since an answer may come before the device says that the question has left. */
	struct dhcp_message {
		struct udp_datagram datagram;
		bool sending;
		uint8_t bytes[DHCP_MESSAGE_MAX];
	} message[DHCP_MESSAGES];
};

struct net {
	/* Settings, fixed after net_init. */
	uint8_t mac[6];
	uint64_t mac_shifted; /* the six bytes as load_le64 reads them, shifted left by 16 */
	uint16_t mtu;
	bool tx_checksum, tx_tso4, tx_tso6;
	uint32_t tx_segments_max, rx_frames_max, receive_window, neighbors_max, time_wait_max;
	uint8_t ecn; /* enum net_ecn */
	uint32_t receive_window_max;
	uint64_t time_wait_ns, fin_wait_2_ns, user_timeout_ns, keepalive_idle_ns, keepalive_interval_ns;
	struct random *random;
	uint8_t host_name[64];
	uint8_t host_name_len;
	uint8_t receive_scale; /* window scale that we offer */

	struct net_capture *capture; /* NULL: none runs */
	uint64_t now_ns;
	uint32_t now_us; /* of it; wraps */
	struct timer_wheel timers;
	struct list out;      /* net_frame.tx.link: complete, next to leave */
	struct list tx_ready; /* tcp_conn.tx_link */
	struct list events;   /* tcp_conn.event_link */
	struct pool frames;

	struct neighbor *neighbors; /* neighbors_max, found by hash and a short probe */
	struct ip6 ip6;

	/* IPv4 */
	struct net_ipv4 ipv4;
	uint32_t own_address_wire; /* our address as load_le32 reads it; 0: none */
	uint16_t ip_id;
	struct rate_limit echo_limit, unreachable_limit;
	uint32_t announcements; /* gratuitous ARPs still to be sent */
	struct timer announce_timer;
	uint64_t defended_ns;
	struct arp_probe {
		uint32_t address; /* 0: none is probed */
		uint32_t left;
		uint64_t interval_ns;
		struct timer timer;
	} probe;
	uint16_t ip4_mtu; /* the smaller of mtu and what DHCP says */
	struct dhcp dhcp;
	struct list udp_sockets;
	struct reassembly reassembly[REASSEMBLIES_MAX];
	struct list reassemblies, reassemblies_free;
	uint32_t reassembly_buffers;
	struct timer reassembly_timer;
	uint8_t *gather; /* GATHER_MAX bytes */

	/* TCP */
	uint64_t hash_key[4]; /* of tcp_table_hash */
	uint64_t fold_key[8]; /* of tcp_ip6_fold */
	struct hash_key isn_key, cookie_key, flow_key;
	struct pool conns, syns, time_waits, sents;
	uint32_t hash_mask; /* all three tables have hash_mask + 1 slots */
	struct tcp_conn **conn_table;
	struct tcp_syn **syn_table;
	struct tcp_time_wait **time_wait_table;
	struct list time_wait_list; /* oldest first */
	struct timer time_wait_timer;
	struct list ooo_conns;      /* those that hold segments out of order, tcp_conn.ooo_link */
	uint32_t rx_frames_held;
	uint64_t cookies_until_ns;  /* acknowledgements may carry a cookie until then */
	struct tcp_listener listener[LISTENERS_MAX];

	struct net_counters counters;
};

/* net.c */
/* NULL when all are at the device. */
struct net_frame *frame_get(struct net *net);
void net_frame_put(struct net *net, struct net_frame *f);
bool rate_limit_pass(struct rate_limit *r, uint64_t now_ns, uint64_t interval_ns, uint32_t burst);

/* neighbor.c */
void neighbors_init(struct net *net);
/* The entry for an on-link unicast address of either family, made (and asked for) when there is none; NULL
 * when the table is full of unanswered questions. */
struct neighbor *neighbor_lookup(struct net *net, const struct net_address *a);
/* The same, but NULL when there is none. */
struct neighbor *neighbor_find(struct net *net, const struct net_address *a);
/* The same for one who asks for us: made when no better one has to go; nobody is asked. A new one is
 * INCOMPLETE: neighbor_learned or neighbor_claimed must follow. */
struct neighbor *neighbor_asks_us(struct net *net, const struct net_address *a);
/* True when frames may be sent to it (asks again in the background when that is in doubt). */
bool neighbor_usable_slow(struct net *net, struct neighbor *n);
static inline bool neighbor_usable(struct net *net, struct neighbor *n)
{
	if (LIKELY(n->state == NEIGHBOR_REACHABLE && net->now_ns <= n->fresh_until_ns))
		return true;
	return neighbor_usable_slow(net, n);
}
/* A connection whose frames go to a usable neighbour tells how far its data has been acknowledged: so is seen
 * that it hears us. Only for those that are not REACHABLE. */
void neighbor_witness(struct net *net, struct neighbor *n, const void *who, uint64_t acknowledged);
/* Sends the frame, whose Ethernet header wants its destination, now or when the answer comes. */
void neighbor_send(struct net *net, struct neighbor *n, struct net_frame *f);
/* It is at `mac`, and hears us. */
void neighbor_learned(struct net *net, struct neighbor *n, const uint8_t mac[6]);
/* It says that it is at `mac`; that it hears us is not shown. */
void neighbor_claimed(struct net *net, struct neighbor *n, const uint8_t mac[6]);
/* A neighbour advertisement; `mac` NULL: it has none. */
void neighbor_advertised(struct net *net, struct neighbor *n, const uint8_t *mac, bool solicited,
	bool override);
/* The link was away: what is known is used, and checked. */
void neighbors_doubt(struct net *net);
/* Our addresses or routes have changed: every connection looks for its way again. */
void neighbors_reroute(struct net *net);

/* arp.c */
void arp_init(struct net *net);
void arp_input(struct net *net, struct slice packet);
/* Asks who has this address; `to_mac` NULL: everybody. */
void arp_solicit(struct net *net, uint32_t ip, const uint8_t *to_mac);
/* Announces our address some times (RFC 5227). */
void arp_announce(struct net *net);
/* Asks `count` times, each `interval_ns`, whether somebody has the address; dhcp_probed follows (not from within
 * this call), unless another probe begins first or it is given up. */
void arp_probe(struct net *net, uint32_t ip, uint32_t count, uint64_t interval_ns);
void arp_probe_end(struct net *net);

/* ip4.c */
void ip4_input(struct net *net, struct frame_rx *frame, bool broadcast);
bool ip4_is_own(const struct net *net, uint32_t ip);
/* The on-link address to which packets for `ip` go; false: none. */
bool ip4_route(const struct net *net, uint32_t ip, uint32_t *next_hop);
/* The sum of the pseudo-header without the length. */
uint64_t ip4_pseudo_sum(uint32_t source, uint32_t destination, uint8_t protocol);
/* Writes Ethernet and IPv4 headers in front of `transport_len` header bytes and payload that the caller
 * has set, and sends. Consumes the frame. */
void ip4_send(struct net *net, struct net_frame *f, uint32_t source, uint32_t destination,
	uint8_t protocol);
/* Where the transport header goes in a frame for ip4_send. */
static inline uint8_t *ip4_transport(struct net_frame *f)
{
	return f->tx.header + FRAME_TX_HEADROOM + ETHERNET_HEADER + IP4_HEADER;
}
void ip4_configure(struct net *net, const struct net_ipv4 *ipv4);
static inline uint64_t ip4_sum_addresses(uint64_t addresses)
{
	return (addresses & 0xffffffff) + (addresses >> 32);
}

/* icmp4.c; true: the frame was kept */
bool icmp4_input(struct net *net, const struct ip_packet *p);
void icmp4_port_unreachable(struct net *net, const struct ip_packet *p);
void icmp4_reassembly_exceeded(struct net *net, const struct ip_packet *p);

/* reassembly.c */
void reassembly_init(struct net *net);
/* A fragment, of which `p` describes the header and `p->payload` the fragment's own bytes; its place is `offset`.
 * Takes the frame. True: with it the packet is whole; `p` is that packet then, and its frame the caller's. */
bool ip_reassemble(struct net *net, struct ip_packet *p, uint32_t id, uint32_t offset, bool more);
/* The payload in one piece, good until the next call; empty when it is too long for that. */
struct slice ip_payload_gather(struct net *net, const struct ip_packet *p);

/* ip.c: for both families */
/* The sum over the payload in all its buffers. */
uint64_t ip_payload_sum(const struct ip_packet *p);
/* The sum of the pseudo-header, with the length. */
uint64_t ip_packet_pseudo_sum(const struct ip_packet *p, uint32_t len);
/* The on-link address to which packets for `to` (unicast) go; false: none. */
bool ip_route(struct net *net, const struct net_address *to, struct net_address *next_hop);
/* Unicast, and ours to receive at and to send from. */
bool ip_is_own(const struct net *net, const struct net_address *a);
/* Which of our addresses packets for `to` come from; false: none is usable. */
bool ip_source(const struct net *net, const struct net_address *to, struct net_address *source);
/* How much IP packet fits in one frame for that family. */
uint16_t ip_mtu(const struct net *net, bool ip6);

/* udp.c; true: the frame was kept */
bool udp_input(struct net *net, const struct ip_packet *p);

/* dhcp.c */
void dhcp_init(struct net *net);
void dhcp_start(struct net *net);
void dhcp_link_up(struct net *net);
void dhcp_probed(struct net *net, bool taken);
/* Somebody else says that our address is theirs. True: it is given up; false: defend it. `again`: it was
 * defended lately. */
bool dhcp_conflict(struct net *net, bool again);

/* tcp_short.c: true: the frame was what an established connection expects, and is consumed. False: the long
 * way is for it. */
bool tcp_short_way(struct net *net, struct frame_rx *frame);

/* tcp.c */
bool tcp_input(struct net *net, const struct ip_packet *p);
void tcp_init(struct net *net);
/* A frame has left the device. */
void tcp_frame_done(struct net *net, struct tcp_send *first, uint32_t count);
/* ICMP says that a packet from us with these addresses, whose transport header began with these 8 bytes, did
 * not arrive. `mtu`, of IP_ERROR_TOO_BIG: what the router told; 0: nothing. */
void tcp_icmp_error(struct net *net, const struct net_address *source,
	const struct net_address *destination, const uint8_t *transport, enum ip_error what, uint32_t mtu);

#endif
