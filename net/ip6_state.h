/* What IPv6's control plane remembers: a part of struct net, private to net/. Everything is a small
 * table that is walked: an attacker on the link can fill one, not make it grow. */
#ifndef IP6_STATE_H
#define IP6_STATE_H

#include <base/timer.h>
#include <net/net.h>

#define IP6_PREFIXES_MAX 8
#define IP6_ROUTERS_MAX 4
#define IP6_GROUPS_MAX (NET_IPV6_ADDRESSES_MAX + 4)

struct net;

/* An address of ours. */
struct ip6_own {
	struct net_address address;
	bool used;
	uint8_t prefix_len;
	enum net_ipv6_state state;
	enum net_ipv6_origin origin;
	uint8_t conflicts;    /* the DAD_Counter of RFC 7217 */
	uint8_t dad_left;     /* questions still to be sent; then the answer's time is awaited */
	bool dad_running;
	uint8_t nonce[6];     /* of our last question (RFC 7527) */
	uint64_t dad_at_ns;   /* the next step; TIMER_NEVER: none */
	uint64_t preferred_until_ns, valid_until_ns; /* TIMER_NEVER: for ever */
	uint64_t defended_ns; /* when last; 0: never */
};

struct ip6_prefix {
	struct net_address prefix;
	uint8_t len;
	uint64_t until_ns; /* 0: unused */
};

struct ip6_router {
	struct net_address address; /* link-local, or as configured */
	int8_t preference;          /* -1, 0, 1 (RFC 4191) */
	uint64_t until_ns;          /* 0: unused */
	uint64_t failed_ns;         /* did not answer then; 0: nothing of the kind is known */
};

struct ip6_dns {
	struct net_address address;
	uint64_t until_ns; /* 0: unused */
};

struct ip6_group {
	struct net_address address;
	uint8_t users;        /* 0 and no reports left: unused */
	uint8_t reports_left; /* of the change to the present state */
	uint64_t answer_at_ns; /* to a querier; TIMER_NEVER: not asked */
};

struct ip6 {
	enum net_ip6_mode mode;
	uint8_t secret[32];
	struct net_address gateway; /* as configured; unspecified: none */
	bool has_gateway;
	struct net_address chosen; /* where packets for beyond the link go; unspecified: nowhere */
	struct ip6_own own[NET_IPV6_ADDRESSES_MAX];
	struct ip6_prefix on_link[IP6_PREFIXES_MAX];
	struct ip6_router router[IP6_ROUTERS_MAX];
	struct ip6_dns dns[NET_IPV6_DNS_MAX];
	uint32_t generation;

	/* What routers say about the link. */
	uint8_t hop_limit;
	uint16_t mtu;
	uint32_t base_reachable_ms;
	uint64_t reachable_ns, retrans_ns; /* RFC 4861, 6.3.2 */
	uint64_t reachable_drawn_ns;       /* when reachable_ns was drawn */

	/* Asking for routers (RFC 7559). */
	uint64_t solicit_at_ns; /* TIMER_NEVER: not any more */
	uint64_t solicit_wait_ns; /* 0: nobody was asked yet */

	struct timer timer; /* the earliest of the times above */

	struct ip6_group group[IP6_GROUPS_MAX];
	uint64_t old_querier_until_ns; /* one that speaks MLDv1 only */
	uint64_t report_at_ns;         /* unasked reports; TIMER_NEVER: none */
	struct timer group_timer;
};

#endif
