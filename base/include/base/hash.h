/* Keyed and unkeyed hashes. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <base/slice.h>

struct hash_key {
	uint64_t k0, k1;
};

API_BEGIN

/* SipHash-1-3 (Aumasson, Bernstein): for tables whose keys an attacker chooses, initial sequence
 * numbers, cookies. */
uint64_t hash_sip13(struct hash_key key, struct slice data);
/* SHA-256 (FIPS 180-4) and HMAC over it (RFC 2104), for signed cookies and tokens. */
void hash_sha256(struct slice data, uint8_t out[32]);
void hash_hmac_sha256(struct slice key, struct slice data, uint8_t out[32]);
/* Equal in time that depends on `len` alone. */
bool hash_equal(const void *a, const void *b, size_t len);

API_END

#endif
