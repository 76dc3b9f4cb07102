/* Addresses of the network layer. IPv4 addresses are held in IPv4-mapped form (RFC 4291, 2.5.5.2), so
 * that both families are one type. */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include <base/bytes.h>
#include <stdbool.h>

struct net_address {
	uint8_t octet[16]; /* network order; ::ffff:a.b.c.d for IPv4 */
};

struct net_endpoint {
	struct net_address address;
	uint16_t port;
};

/* `ip` in host order: 0x7f000001 is 127.0.0.1. */
static inline struct net_address net_address_v4(uint32_t ip)
{
	struct net_address a = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}};
	store_be32(a.octet + 12, ip);
	return a;
}

static inline bool net_address_is_v4(const struct net_address *a)
{
	return load_be64(a->octet) == 0 && load_be32(a->octet + 8) == 0xffff;
}

/* The IPv4 address in host order; only for those that net_address_is_v4. */
static inline uint32_t net_address_to_v4(const struct net_address *a)
{
	return load_be32(a->octet + 12);
}

#endif
