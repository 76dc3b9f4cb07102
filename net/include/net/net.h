/* The TCP/IP engine: frames and time in, frames and events out. It does no I/O, reads no clock and
 * takes no memory but what net_init is given. One engine is one Ethernet interface, used from one
 * thread; any number of engines may exist.
 *
 * A round of the caller:
 *   for each received frame:   net_input(net, frame, now)
 *   net_advance(net, now)
 *   while ((conn = net_event_next(net, &events)))   serve it (net/tcp.h)
 *   while ((frame = net_output(net)))               device->send(frame)
 *   sleep until a frame comes or net_next_deadline(net)
 * Calling net_output last lets acknowledgements ride on responses. */
#ifndef NET_NET_H
#define NET_NET_H

#include <base/err.h>
#include <base/frame.h>
#include <base/random.h>
#include <net/address.h>
#include <net/tcp.h>
#include <net/udp.h>

/* Explicit congestion notification (RFC 3168). */
enum net_ecn {
	NET_ECN_ACCEPT, /* when the peer asks for it */
	NET_ECN_ASK,    /* and tcp_connect asks for it */
	NET_ECN_OFF,
};

enum net_ip6_mode {
	NET_IP6_OFF,
	NET_IP6_AUTO,
	NET_IP6_STATIC,
};

struct net_config {
	uint8_t mac[6];
	uint16_t mtu;        /* bytes of IP packet, 576 to 65535; 0: 1500 */
	bool tx_checksum;    /* the device fills in TCP and UDP checksums */
	bool tx_tso4;        /* the device cuts TCP segments (needs tx_checksum) */
	bool tx_tso6;        /* those of IPv6 too */
	uint32_t tx_segments_max; /* payload slices in one frame; 0: FRAME_TX_SEGMENTS_MAX */

	/* Limits; 0 takes the default in brackets. */
	uint32_t connections_max; /* established and opening by us [1024] */
	uint32_t syn_max;         /* half-open, by peers [256]; beyond: SYN cookies */
	uint32_t time_wait_max;   /* [4096]; beyond: the oldest is dropped */
	uint32_t tx_frames_max;   /* frames being sent [256] */
	uint32_t rx_frames_max;   /* received buffers that may be held unread [1024]: fewer than the
	                             caller has, so that the device is never starved */
	uint32_t neighbors_max;   /* [64] */
	uint32_t receive_window;  /* bytes per connection at its start [64 KiB] */
	uint32_t receive_window_max; /* to which it grows with what the path carries [a quarter of
	                             rx_frames_max full frames, but 64 KiB to 4 MiB] */
	uint32_t sent_records_max; /* notes on what is in flight, beyond one a connection [half of
	                             connections_max, but at least 1024]; 32 bytes each */
	enum net_ecn ecn;

	/* Times; 0 takes the default in brackets. Nanoseconds. */
	uint64_t time_wait_ns;    /* [60 s] */
	uint64_t fin_wait_2_ns;   /* [60 s] */
	uint64_t user_timeout_ns; /* no progress in sending [120 s] */
	uint64_t keepalive_idle_ns, keepalive_interval_ns; /* [300 s, 30 s], 5 probes */

	/* Addresses in host order; address 0: DHCP. */
	uint32_t address, mask, gateway;
	struct slice host_name; /* for DHCP, at most 63 bytes; may be empty. Copied. */

	/* IPv6. OFF: frames of it are dropped. AUTO: a link-local address, and others as routers say (RFC 4862).
	 * STATIC: a link-local one and `ip6_address`; routers are listened to for all but addresses. The
	 * gateway is a link-local or an on-link address, or all zeros: by router advertisement. */
	enum net_ip6_mode ip6;
	struct net_address ip6_address;
	uint8_t ip6_prefix_len; /* 1 to 128 */
	struct net_address ip6_gateway;
	/* Interface identifiers are drawn from it, the prefix, and the MAC address (RFC 7217): the same
	 * secret makes the same addresses after a restart; who knows it can tell them. */
	uint8_t ip6_secret[32];

	struct random *random; /* seeded; borrowed for the engine's life */
	uint64_t now_ns;
	bool memory_is_zero;   /* what net_init is given: then its tables need not be cleared */
};

/* Names after RFC 4022 (tcp*), 4113 (udp*), 4293 (ip*), 2466 (icmp6*) where there is one. */
struct net_counters {
	uint64_t if_in_frames, if_in_octets, if_out_frames, if_out_octets, if_in_discards_unknown;
	uint64_t if_in_runts;
	uint64_t arp_in_requests, arp_in_replies, arp_out_requests, arp_out_replies, arp_in_errors;
	uint64_t arp_conflicts, arp_failures, arp_queue_drops;
	uint64_t ndp_failures, ndp_queue_drops; /* neighbours that did not answer; frames in vain */
	uint64_t ndp_in_solicits, ndp_in_adverts, ndp_out_solicits, ndp_out_adverts;
	uint64_t ndp_in_router_adverts, ndp_out_router_solicits;
	uint64_t ndp_in_redirects;         /* valid ones; none is followed */
	uint64_t ndp_in_errors;            /* malformed, or not allowed by RFC 4861 */
	uint64_t ndp_in_loops;             /* our own questions, come back */
	uint64_t ndp_conflicts;            /* somebody else has, or wants, an address of ours */
	uint64_t ndp_table_full;           /* routers, prefixes, addresses, servers not taken for want of room */
	uint64_t mld_in_queries, mld_in_errors, mld_out_reports;
	uint64_t ip_in_receives, ip_in_hdr_errors, ip_in_addr_errors, ip_in_unknown_protos, ip_in_truncated;
	/* Both families. reqds: fragments received; oks and fails: packets. */
	uint64_t ip_reasm_reqds, ip_reasm_oks, ip_reasm_fails, ip_reasm_timeouts, ip_reasm_overlaps;
	uint64_t ip_out_requests, ip_out_no_routes;
	uint64_t icmp_in_msgs, icmp_in_errors, icmp_in_echos, icmp_out_echo_reps, icmp_out_dest_unreachs, icmp_out_time_exceeds;
	uint64_t icmp_out_rate_limited;
	uint64_t ip6_in_receives, ip6_in_hdr_errors, ip6_in_addr_errors, ip6_in_unknown_protos;
	uint64_t ip6_in_truncated, ip6_in_options_discards;
	uint64_t ip6_out_requests, ip6_out_no_routes;
	uint64_t icmp6_in_msgs, icmp6_in_errors, icmp6_in_echos, icmp6_in_dest_unreachs;
	uint64_t icmp6_in_pkt_too_bigs, icmp6_in_parm_problems;
	uint64_t icmp6_out_echo_replies, icmp6_out_dest_unreachs, icmp6_out_time_exceeds, icmp6_out_parm_problems;
	uint64_t icmp6_out_rate_limited;
	uint64_t udp_in_datagrams, udp_no_ports, udp_in_errors, udp_out_datagrams;
	uint64_t tcp_active_opens, tcp_passive_opens, tcp_attempt_fails, tcp_estab_resets;
	uint64_t tcp_in_segs, tcp_out_segs, tcp_retrans_segs, tcp_in_errs, tcp_out_rsts;
	uint64_t tcp_fast_path;            /* segments that took the short way */
	uint64_t tcp_syn_drops;            /* no half-open entry and no cookie possible */
	uint64_t tcp_syn_cookies_sent, tcp_syn_cookies_good, tcp_syn_cookies_bad;
	uint64_t tcp_accept_drops;         /* handshake complete, but no connection free */
	uint64_t tcp_listen_limit_drops;   /* the listener's own limit */
	uint64_t tcp_tail_loss_probes;     /* RFC 8985, 7 */
	uint64_t tcp_timeouts, tcp_fast_recoveries, tcp_dup_acks_in, tcp_zero_window_probes;
	uint64_t tcp_spurious_timeouts, tcp_spurious_recoveries; /* found out and undone */
	uint64_t tcp_lost_retransmits;     /* repeated segments that were lost again */
	uint64_t tcp_rack_reorderings;     /* segments that arrived later than one sent after them */
	uint64_t tcp_dsacks_in, tcp_dsacks_ignored, tcp_dsacks_out; /* RFC 2883 */
	uint64_t tcp_sack_discards, tcp_sack_reneges;
	uint64_t tcp_sent_record_failures; /* the pool of sent_records_max was empty */
	uint64_t tcp_hystart_exits;        /* from slow start, before any loss */
	uint64_t tcp_idle_restarts;        /* windows reduced for idleness */
	uint64_t tcp_ecn_connections, tcp_ecn_ce_in, tcp_ecn_ece_in, tcp_ecn_reductions;
	uint64_t tcp_pmtu_black_holes, tcp_pmtu_raises;
	uint64_t tcp_window_growths;       /* receive windows made larger */
	uint64_t tcp_peer_window_full;     /* data waited for room in the peer's window */
	uint64_t tcp_keepalive_probes, tcp_user_timeouts, tcp_fin_wait_2_timeouts;
	uint64_t tcp_challenge_acks, tcp_challenge_acks_limited, tcp_paws_drops, tcp_rst_ignored;
	uint64_t tcp_out_of_order, tcp_out_of_order_drops, tcp_rx_pressure_drops, tcp_rx_copied_octets;
	uint64_t tcp_time_waits, tcp_time_wait_recycled, tcp_time_wait_evicted;
	uint64_t dhcp_discovers, dhcp_requests, dhcp_acks, dhcp_naks, dhcp_expiries, dhcp_declines;
	uint64_t tx_frame_failures;        /* net_output found no free frame */
};

struct net_counter {
	const char *name; /* static */
	uint64_t value;
};

/* How much of each pool is in use now. */
struct net_usage {
	uint32_t connections, syns, time_waits, tx_frames, rx_frames, sent_records;
	uint32_t timers;
};

enum net_ipv4_state {
	NET_IPV4_NONE,    /* DHCP has not got an address yet */
	NET_IPV4_STATIC,
	NET_IPV4_BOUND,   /* by DHCP */
	NET_IPV4_LINK_LOCAL, /* 169.254/16 (RFC 3927), since no DHCP server answers */
};

struct net_ipv4 {
	enum net_ipv4_state state;
	uint32_t address, mask, gateway, dns[2]; /* host order; 0: none */
	uint32_t lease_s;                        /* as granted; 0 unless BOUND */
	uint32_t generation; /* grows with each change: compare to see news */
};

#define NET_IPV6_ADDRESSES_MAX 8
#define NET_IPV6_DNS_MAX 3

enum net_ipv6_state {
	NET_IPV6_TENTATIVE,  /* being checked for duplicates; not used yet */
	NET_IPV6_OPTIMISTIC, /* being checked, and used already (RFC 4429) */
	NET_IPV6_PREFERRED,
	NET_IPV6_DEPRECATED, /* used by what uses it, and for want of a better one */
	NET_IPV6_DUPLICATE,  /* somebody else has it; not used */
};

enum net_ipv6_origin {
	NET_IPV6_LINK_LOCAL,
	NET_IPV6_ROUTER, /* by router advertisement */
	NET_IPV6_CONFIGURED,
};

struct net_ipv6_address {
	struct net_address address;
	uint8_t prefix_len;
	enum net_ipv6_state state;
	enum net_ipv6_origin origin;
};

struct net_ipv6 {
	struct net_ipv6_address address[NET_IPV6_ADDRESSES_MAX];
	uint32_t count; /* 0: IPv6 is off */
	struct net_address router; /* the one that is used; all zeros: none */
	struct net_address dns[NET_IPV6_DNS_MAX];
	uint32_t dns_count;
	uint16_t mtu;
	uint32_t generation; /* grows with each change: compare to see news */
};

API_BEGIN

/* Bytes of memory for net_init; SIZE_MAX when the limits are absurd. */
size_t net_memory_size(const struct net_config *config);
/* `memory`, aligned to 64, is the engine's for as long as it is used; the engine lies at its start.
 * ERR_INVALID: an address, mtu or host name out of range. */
err net_init(struct net **out, const struct net_config *config, void *memory) MUST_USE;
/* Bytes for one idle connection, without its hash slot. */
size_t net_connection_size(void);

/* Consumes the frame; gives the buffer back by frame_rx_put at once, or when its payload has been
 * consumed or its connection released. Any bytes at all are fine. Time never runs backwards: smaller
 * values are taken as the largest so far. */
void net_input(struct net *net, struct frame_rx *frame, uint64_t now_ns);
void net_advance(struct net *net, uint64_t now_ns);
/* Monotonic ns; TIMER_NEVER when only a frame or a call can change anything. */
uint64_t net_next_deadline(const struct net *net);
/* The next frame to send, or NULL: nothing to send, or all frames are at the device (call again after
 * some `done`). The frame is the caller's until it calls frame->done(frame->owner, frame). */
struct frame_tx *net_output(struct net *net);

struct net_ipv4 net_ipv4(const struct net *net);
/* A host that is reached without a router. */
bool net_is_on_link(const struct net *net, const struct net_address *address);
/* A snapshot of IPv6's addresses. */
void net_ipv6(const struct net *net, struct net_ipv6 *out);
/* It only grows: a cheap look whether net_ipv6 has news. */
uint32_t net_ipv6_generation(const struct net *net);
const struct net_counters *net_counters(const struct net *net);
/* Counter number i, by its name in struct net_counters; false: there are fewer. */
bool net_counter_at(const struct net *net, uint32_t i, struct net_counter *out);
struct net_usage net_usage(const struct net *net);
/* The link came (back) up: announces the address, and lets DHCP confirm its lease. */
void net_link_up(struct net *net);

API_END

#endif
