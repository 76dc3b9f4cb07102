/* Addresses of the network layer. IPv4 addresses are held in IPv4-mapped form (RFC 4291, 2.5.5.2), so
 * that both families are one type. */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include <base/bytes.h>
#include <base/slice.h>
#include <stdbool.h>

struct writer;

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

static inline bool net_address_equal(const struct net_address *a, const struct net_address *b)
{
	return load_le64(a->octet) == load_le64(b->octet) && load_le64(a->octet + 8) == load_le64(b->octet + 8);
}

/* :: (RFC 4291, 2.5.2). That of IPv4 is net_address_v4(0), and is not meant here. */
static inline bool net_address_is_unspecified(const struct net_address *a)
{
	return (load_le64(a->octet) | load_le64(a->octet + 8)) == 0;
}

/* ::1, or 127.0.0.0/8. */
static inline bool net_address_is_loopback(const struct net_address *a)
{
	return net_address_is_v4(a) ? a->octet[12] == 127
		: load_le64(a->octet) == 0 && load_be64(a->octet + 8) == 1;
}

/* ff00::/8, or 224.0.0.0/4. */
static inline bool net_address_is_multicast(const struct net_address *a)
{
	return a->octet[0] == 0xff || (net_address_is_v4(a) && a->octet[12] >> 4 == 14);
}

/* Unicast, fe80::/10 or 169.254.0.0/16. */
static inline bool net_address_is_link_local(const struct net_address *a)
{
	return (a->octet[0] == 0xfe && a->octet[1] >> 6 == 2)
		|| (net_address_is_v4(a) && load_be16(a->octet + 12) == 0xa9fe);
}

/* The addresses whose first `len` bits (0 to 128) are those of `address`: of IPv4, 96 to 128. */
struct net_prefix {
	struct net_address address;
	uint8_t len;
};

#define NET_ADDRESS_TEXT_MAX 39 /* bytes of the longest text, without a NUL */

API_BEGIN

/* "192.0.2.1", or an IPv6 address in any of the forms of RFC 4291, 2.2; no zone, no prefix, no brackets.
 * Parts of an IPv4 address are decimal without leading zeros. False: nothing of the kind, and *out is
 * undefined. */
bool net_address_parse(struct slice text, struct net_address *out);
/* As RFC 5952 wants it; an IPv4-mapped one as plain IPv4. */
void net_address_write(struct writer *w, const struct net_address *a);

/* "10.0.0.0/8", "fd00::/8", or an address alone. False: nothing of the kind, or a bit behind the prefix is set, which is
 * a mistake more often than not. */
bool net_prefix_parse(struct slice text, struct net_prefix *out);
bool net_prefix_contains(const struct net_prefix *p, const struct net_address *a);

API_END

#endif
