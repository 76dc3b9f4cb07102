#include "dns_cache.h"

#include <base/bytes.h>

#define PROBES 4
#define NS_IN_SECOND UINT64_C(1000000000)

static bool entry_is(const struct dns_cache_entry *e, const struct dns_name *name, uint16_t type)
{
	return e->expires_ns && e->type == type && dns_name_equal(&e->name, name);
}

/* Where the probe begins. Names that are asked for are in lower case. */
static uint32_t place(const struct dns_cache *c, const struct dns_name *name, uint16_t type)
{
	uint64_t h = hash_sip13(c->key, slice_of(name->byte, name->len)) + type;
	return (uint32_t)(h % c->count);
}

const struct dns_cache_entry *dns_cache_get(struct dns_cache *c, const struct dns_name *name,
	uint16_t type, uint64_t now_ns)
{
	uint32_t at = place(c, name, type);
	for (uint32_t i = 0; i < PROBES; i++) {
		struct dns_cache_entry *e = &c->entry[(at + i) % c->count];
		if (!entry_is(e, name, type) || e->expires_ns <= now_ns)
			continue;
		e->used_ns = now_ns;
		return e;
	}
	return NULL;
}

void dns_cache_put(struct dns_cache *c, const struct dns_name *name, uint16_t type,
	const struct dns_answer *answer, uint64_t now_ns)
{
	uint32_t at = place(c, name, type);
	struct dns_cache_entry *best = &c->entry[at];
	for (uint32_t i = 0; i < PROBES; i++) {
		struct dns_cache_entry *e = &c->entry[(at + i) % c->count];
		if (entry_is(e, name, type)) {
			best = e;
			break;
		}
		if (e->expires_ns <= now_ns)
			e->used_ns = 0;
		if (e->used_ns < best->used_ns)
			best = e;
	}
	best->expires_ns = now_ns + answer->ttl_s * NS_IN_SECOND;
	best->used_ns = now_ns;
	best->type = type;
	best->count = (uint16_t)answer->count;
	best->name = *name;
	memcpy(best->address, answer->address, answer->count * sizeof answer->address[0]);
}
