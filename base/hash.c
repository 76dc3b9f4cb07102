#include <base/hash.h>

#include <base/bytes.h>

struct sip {
	uint64_t v0, v1, v2, v3;
};

static uint64_t rotl(uint64_t v, unsigned n)
{
	return v << n | v >> (64 - n);
}

static void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotl(s->v1, 13) ^ s->v0;
	s->v0 = rotl(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotl(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotl(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotl(s->v1, 17) ^ s->v2;
	s->v2 = rotl(s->v2, 32);
}

static void sip_word(struct sip *s, uint64_t m)
{
	s->v3 ^= m;
	sip_round(s);
	s->v0 ^= m;
}

uint64_t hash_sip13(struct hash_key key, struct slice data)
{
	struct sip s = {
		.v0 = key.k0 ^ 0x736f6d6570736575,
		.v1 = key.k1 ^ 0x646f72616e646f6d,
		.v2 = key.k0 ^ 0x6c7967656e657261,
		.v3 = key.k1 ^ 0x7465646279746573,
	};
	size_t whole = data.len & ~(size_t)7;
	for (size_t i = 0; i < whole; i += 8)
		sip_word(&s, load_le64(data.ptr + i));
	uint64_t last = (uint64_t)data.len << 56;
	for (size_t i = whole; i < data.len; i++)
		last |= (uint64_t)data.ptr[i] << (8 * (i & 7));
	sip_word(&s, last);
	s.v2 ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

bool hash_equal(const void *a, const void *b, size_t len)
{
	const volatile uint8_t *x = a, *y = b;
	unsigned difference = 0;
	for (size_t i = 0; i < len; i++)
		difference |= (unsigned)(x[i] ^ y[i]);
	return difference == 0;
}
