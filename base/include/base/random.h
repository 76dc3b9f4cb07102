/* A cryptographic random generator: ChaCha20 with fast key erasure (Bernstein, 2017). State is the
 * owner's; entropy is mixed in from outside. It never runs with a fixed seed: before the first
 * random_mix of at least 32 bytes, asking for output is a bug (asserted). */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <base/slice.h>

struct random {
	uint32_t key[8];
	uint8_t buffer[64 * 4 - 32];
	uint32_t available; /* unread bytes at the end of buffer */
	uint32_t seeded;    /* bytes of entropy mixed in so far, saturating at 32 */
};

API_BEGIN

void random_init(struct random *r);
/* Mixes in entropy of any length and quality; earlier outputs tell nothing about later ones. */
void random_mix(struct random *r, struct slice entropy);
bool random_is_seeded(const struct random *r);
void random_bytes(struct random *r, void *out, size_t len);
uint64_t random_u64(struct random *r);
/* Uniform in 0 .. bound - 1; bound > 0. */
uint32_t random_below(struct random *r, uint32_t bound);

API_END

#endif
