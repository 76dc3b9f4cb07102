/* An IPv6 link for tests of the control plane: station 1 of the world is the engine, and everything
 * else on the link is the test, which says ICMPv6 messages and looks at those that were said. */
#ifndef LINK6_H
#define LINK6_H

#include "world.h"

#define LINK6_LOG_MAX 512

struct link6_message {
	uint64_t at_ns;
	uint8_t to_mac[6];
	struct net_address source, destination;
	uint8_t hop_limit;
	bool router_alert;
	uint32_t len;
	uint8_t icmp[128]; /* from the type on */
};

struct link6 {
	struct world w;
	struct net *net;
	uint32_t count; /* messages in the log */
	struct link6_message log[LINK6_LOG_MAX];
	/* Sees each message of the engine; may answer. NULL: none. */
	void (*heard)(struct link6 *, const struct link6_message *);
	void *cookie;
};

/* The configuration of the engine, for changes: AUTO, and an IPv4 address. */
struct net_config link6_config(struct link6 *l, uint64_t seed);
void link6_start(struct link6 *l, const struct net_config *config);
/* Lets go by what is under way, and checks that nothing is left. */
void link6_stop(struct link6 *l);
void link6_run(struct link6 *l, uint64_t ns);

struct net_address link6_address(const char *text);
/* Says a message, with a right checksum, from 02:00:00:00:00:01. `alert`: with a router alert. */
void link6_say(struct link6 *l, const char *source, const char *destination, uint8_t hop_limit, bool alert,
	const uint8_t *icmp, uint32_t len);
/* Writes an ICMPv6 neighbour message with one option (0: none); the length. */
uint32_t link6_neighbor(uint8_t *out, uint8_t type, uint8_t flags, const struct net_address *target,
	uint8_t option, const uint8_t value[6]);
/* How many messages of that type have been heard since message number `from`. */
uint32_t link6_heard(const struct link6 *l, uint8_t type, uint32_t from);
/* The last one; NULL: there was none. */
const struct link6_message *link6_last(const struct link6 *l, uint8_t type);
/* The engine's address of that origin, number `index`; false: there is none. */
bool link6_own(struct link6 *l, enum net_ipv6_origin origin, uint32_t index, struct net_ipv6_address *out);

/* A router advertisement, built up by parts. */
struct link6_advertisement {
	uint32_t len;
	uint8_t bytes[512];
};
void link6_ra(struct link6_advertisement *ra, uint16_t lifetime_s);
void link6_ra_mac(struct link6_advertisement *ra);
/* Flags: 0x80 on-link, 0x40 autonomous. */
void link6_ra_prefix(struct link6_advertisement *ra, const char *prefix, uint8_t len, uint8_t flags,
	uint32_t valid_s, uint32_t preferred_s);
void link6_ra_mtu(struct link6_advertisement *ra, uint32_t mtu);
void link6_ra_dns(struct link6_advertisement *ra, const char *server, uint32_t lifetime_s);
/* From fe80::1 to all nodes. */
void link6_ra_say(struct link6 *l, struct link6_advertisement *ra);

#endif
