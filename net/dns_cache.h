/* Answers that still hold. A fixed table, found by a keyed hash and a short probe; what is new replaces what
 * has expired, or has not been used for longest among the places that it may have. */
#ifndef DNS_CACHE_H
#define DNS_CACHE_H

#include <base/hash.h>

#include "dns_message.h"

struct dns_cache_entry {
	uint64_t expires_ns; /* 0: free */
	uint64_t used_ns;
	uint16_t type;
	uint16_t count;      /* 0: there is none */
	struct dns_name name;
	struct net_address address[DNS_ADDRESSES_MAX];
};

struct dns_cache {
	struct dns_cache_entry *entry;
	uint32_t count;
	struct hash_key key;
};

/* What holds at now_ns, or NULL; good until the next put. */
const struct dns_cache_entry *dns_cache_get(struct dns_cache *cache, const struct dns_name *name,
	uint16_t type, uint64_t now_ns);
void dns_cache_put(struct dns_cache *cache, const struct dns_name *name, uint16_t type,
	const struct dns_answer *answer, uint64_t now_ns);

#endif
