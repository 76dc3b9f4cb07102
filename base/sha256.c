/* SHA-256 (FIPS 180-4) and HMAC (RFC 2104). */
#include <base/hash.h>

#include <base/bytes.h>

#define BLOCK 64
#define LENGTH_BYTES 8 /* the message's length in bits, at the end of the last block */

struct sha256 {
	uint32_t h[8];
	uint64_t total; /* bytes */
	uint8_t block[BLOCK];
};

static const uint32_t round_constant[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
	0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
	0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
	0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
	0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
	0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
	0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
	0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotr(uint32_t v, unsigned n)
{
	return v >> n | v << (32 - n);
}

static void expand(uint32_t w[64], const uint8_t *block)
{
	for (unsigned i = 0; i < 16; i++)
		w[i] = load_be32(block + 4 * i);
	for (unsigned i = 16; i < 64; i++) {
		uint32_t a = w[i - 15], b = w[i - 2];
		uint32_t s0 = rotr(a, 7) ^ rotr(a, 18) ^ a >> 3;
		uint32_t s1 = rotr(b, 17) ^ rotr(b, 19) ^ b >> 10;
		w[i] = w[i - 16] + s0 + w[i - 7] + s1;
	}
}

static void compress(uint32_t h[8], const uint8_t *block)
{
	uint32_t w[64], v[8];
	expand(w, block);
	memcpy(v, h, sizeof v);
	for (unsigned i = 0; i < 64; i++) {
		uint32_t s1 = rotr(v[4], 6) ^ rotr(v[4], 11) ^ rotr(v[4], 25);
		uint32_t choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
		uint32_t t1 = v[7] + s1 + choice + round_constant[i] + w[i];
		uint32_t s0 = rotr(v[0], 2) ^ rotr(v[0], 13) ^ rotr(v[0], 22);
		uint32_t majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
		memmove(&v[1], &v[0], 7 * sizeof v[0]);
		v[4] += t1;
		v[0] = t1 + s0 + majority;
	}
	for (unsigned i = 0; i < 8; i++)
		h[i] += v[i];
}

static void sha256_init(struct sha256 *s)
{
	*s = (struct sha256){.h = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
				     0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

static void sha256_add(struct sha256 *s, struct slice data)
{
	while (data.len) {
		size_t used = s->total % BLOCK;
		size_t n = data.len < BLOCK - used ? data.len : BLOCK - used;
		memcpy(s->block + used, data.ptr, n);
		data = slice_of(data.ptr + n, data.len - n);
		s->total += n;
		if (used + n == BLOCK)
			compress(s->h, s->block);
	}
}

static void sha256_finish(struct sha256 *s, uint8_t out[32])
{
	uint64_t bits = s->total * 8;
	size_t used = s->total % BLOCK;
	s->block[used++] = 0x80;
	if (used > BLOCK - LENGTH_BYTES) {
		memset(s->block + used, 0, BLOCK - used);
		compress(s->h, s->block);
		used = 0;
	}
	memset(s->block + used, 0, BLOCK - LENGTH_BYTES - used);
	store_be64(s->block + BLOCK - LENGTH_BYTES, bits);
	compress(s->h, s->block);
	for (unsigned i = 0; i < 8; i++)
		store_be32(out + 4 * i, s->h[i]);
}

void hash_sha256(struct slice data, uint8_t out[32])
{
	struct sha256 s;
	sha256_init(&s);
	sha256_add(&s, data);
	sha256_finish(&s, out);
}

static void hmac_pass(
	const uint8_t key[BLOCK], uint8_t pad, struct slice data, uint8_t out[32])
{
	uint8_t block[BLOCK];
	struct sha256 s;
	for (unsigned i = 0; i < BLOCK; i++)
		block[i] = key[i] ^ pad;
	sha256_init(&s);
	sha256_add(&s, slice_of(block, BLOCK));
	sha256_add(&s, data);
	sha256_finish(&s, out);
}

void hash_hmac_sha256(struct slice key, struct slice data, uint8_t out[32])
{
	uint8_t padded[BLOCK] = {0}, inner[32];
	if (key.len > BLOCK)
		hash_sha256(key, padded);
	else if (key.len)
		memcpy(padded, key.ptr, key.len);
	hmac_pass(padded, 0x36, data, inner);
	hmac_pass(padded, 0x5c, slice_of(inner, sizeof inner), out);
}
