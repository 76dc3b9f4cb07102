/* A DNS stub resolver (RFC 1034, 1035; negative answers RFC 2308, EDNS RFC 6891, forged answers RFC 5452): asks
 * the recursive servers that DHCP, router advertisements or the caller name, over UDP and, when an answer
 * is cut off, over TCP, and keeps the answers for as long as they are valid.
 *
 * Used from the thread of its engine; `done` is called from within dns_resolve, net_input, net_advance or
 * net_event_next. */
#ifndef NET_DNS_H
#define NET_DNS_H

#include <base/err.h>
#include <base/list.h>
#include <base/random.h>
#include <base/slice.h>
#include <net/address.h>

#define DNS_ADDRESSES_MAX 8 /* of each family; more in an answer are left out */
#define DNS_SERVERS_MAX 4

struct net;
struct dns;
struct dns_query;

enum dns_families {
	DNS_IP4 = 1 << 0,
	DNS_IP6 = 1 << 1,
	DNS_ANY = DNS_IP4 | DNS_IP6,
};

struct dns_config {
	struct net *net;       /* borrowed for the resolver's life, as is `random` */
	struct random *random;
	/* Asked in this order; none: those that the network has told of. Port 0: 53. */
	struct net_endpoint server[DNS_SERVERS_MAX];
	uint32_t server_count;
	/* Limits; 0 takes the default in brackets. */
	uint32_t lookups_max; /* names being asked for at a time [16]; each takes about 5 KiB */
	uint32_t cache_max;   /* answers kept [64] */
};

/* One waiting for one type of record: the resolver's. */
struct dns_wait {
	struct list link;
	struct dns_query *query;
};

/* In the caller's memory, with the name, from dns_resolve until `done` or dns_cancel. */
struct dns_query {
	struct slice name; /* "example.com", with or without a last dot; or an address as text */
	uint32_t families; /* bits of enum dns_families */
	void (*done)(struct dns_query *);
	void *cookie;      /* the caller's */

	/* Set before `done`. OK: at least one address, those to try first before others. ERR_NOT_FOUND: the name
	 * does not exist, or has no such address. ERR_TIMEOUT: no server answered. ERR_IO: none could say.
	 * ERR_CLOSED: there is no server to ask. ERR_NO_MEMORY: too many names are being asked for. */
	err result;
	struct net_address address[2 * DNS_ADDRESSES_MAX];
	uint32_t count;

	/* The resolver's. */
	struct dns_wait wait[2];
	uint32_t waiting;
	err trouble;
};

struct dns_counters {
	uint64_t queries, cache_hits, cache_misses, joined; /* joined: somebody else was asking already */
	uint64_t sent, answers, retries, timeouts, tcp_fallbacks;
	uint64_t rejected;  /* datagrams that were not the answer: wrong server, id, question or form */
	uint64_t lookup_failures; /* no lookup was free */
};

API_BEGIN

/* Bytes for dns_init, aligned to 64. */
size_t dns_memory_size(const struct dns_config *config);
/* `memory` is the resolver's for as long as it is used. ERR_INVALID: more than DNS_SERVERS_MAX servers. */
err dns_init(struct dns **out, const struct dns_config *config, void *memory) MUST_USE;
/* ERR_INVALID: not a name (RFC 1123, 2.1) and not an address, or no family; `done` is not called then. What is
 * known already is answered at once: `done` may be called before this returns. */
err dns_resolve(struct dns *dns, struct dns_query *query) MUST_USE;
/* `done` is not called any more. Harmless after it was. */
void dns_cancel(struct dns_query *query);
const struct dns_counters *dns_counters(const struct dns *dns);

API_END

#endif
