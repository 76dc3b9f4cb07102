/* Fast key erasure: each refill makes 256 bytes of key stream from the key, of which the first 32
 * replace the key at once, and each byte that is handed out is wiped from the buffer. Whoever reads
 * the state later learns nothing about earlier output.
 *
 * New entropy goes through HMAC-SHA-256 keyed with the old key, so it may be of any length and even
 * be chosen by an attacker. */
#include <base/random.h>

#include <base/assert.h>
#include <base/bytes.h>
#include <base/hash.h>
#include "chacha20.h"

#define SEED_BYTES 32
#define REFILL_BLOCKS 4

void random_init(struct random *r)
{
	memset(r, 0, sizeof *r);
}

static void set_key(struct random *r, const uint8_t bytes[32])
{
	for (unsigned i = 0; i < 8; i++)
		r->key[i] = load_le32(bytes + 4 * i);
}

void random_mix(struct random *r, struct slice entropy)
{
	uint8_t old[32], mixed[32];
	for (unsigned i = 0; i < 8; i++)
		store_le32(old + 4 * i, r->key[i]);
	hash_hmac_sha256(slice_of(old, sizeof old), entropy, mixed);
	set_key(r, mixed);
	memset(r->buffer, 0, sizeof r->buffer);
	r->available = 0;
	uint32_t left = SEED_BYTES - r->seeded;
	r->seeded += entropy.len < left ? (uint32_t)entropy.len : left;
}

bool random_is_seeded(const struct random *r)
{
	return r->seeded >= SEED_BYTES;
}

static void refill(struct random *r)
{
	uint8_t stream[64 * REFILL_BLOCKS];
	for (uint32_t i = 0; i < REFILL_BLOCKS; i++)
		chacha20_block(r->key, (uint32_t[4]){i}, stream + (size_t)64 * i);
	set_key(r, stream);
	memcpy(r->buffer, stream + 32, sizeof r->buffer);
	r->available = sizeof r->buffer;
}

void random_bytes(struct random *r, void *out, size_t len)
{
	ASSERT(random_is_seeded(r));
	uint8_t *to = out;
	while (len) {
		if (!r->available)
			refill(r);
		size_t n = len < r->available ? len : r->available;
		uint8_t *from = r->buffer + sizeof r->buffer - r->available;
		memcpy(to, from, n);
		memset(from, 0, n);
		r->available -= (uint32_t)n;
		to += n;
		len -= n;
	}
}

uint64_t random_u64(struct random *r)
{
	uint8_t b[8];
	random_bytes(r, b, sizeof b);
	return load_le64(b);
}

uint32_t random_below(struct random *r, uint32_t bound)
{
	ASSERT(bound > 0);
	/* Lemire (2019): the high half of draw * bound is uniform once the low halves below
	 * 2^32 mod bound are drawn again. */
	uint32_t refuse = -bound % bound;
	for (;;) {
		uint64_t product = (random_u64(r) & 0xffffffff) * bound;
		if ((uint32_t)product >= refuse)
			return (uint32_t)(product >> 32);
	}
}
