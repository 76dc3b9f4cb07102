/* Entropy: the processor's generator, a virtio-rng where a driver registered one, and timing
 * jitter.
 *
 * The first two are counted in what entropy_read returns; jitter is mixed into it but never
 * counted, so that a machine with neither gives nothing, and the caller can refuse to start. RDRAND
 * without RDSEED is enough. Intel's guide to the digital random number generator: ten tries, then
 * it is broken. */
#include "machine.h"

#include <base/hash.h>
#include <string.h>

#define TRIES_MAX 10u
#define JITTER_ROUNDS 32u

static bool has_rdrand(void)
{
	return cpuid(1, 0).ecx & 1u << 30;
}

static bool has_rdseed(void)
{
	return cpuid(0, 0).eax >= 7 && (cpuid(7, 0).ebx & 1u << 18);
}

static bool hardware_word(bool seed, uint64_t *out)
{
	for (unsigned i = 0; i < TRIES_MAX; i++) {
		uint64_t v;
		bool ok;
		if (seed)
			__asm__ volatile("rdseed %0" : "=r"(v), "=@ccc"(ok));
		else
			__asm__ volatile("rdrand %0" : "=r"(v), "=@ccc"(ok));
		if (ok) {
			*out = v;
			return true;
		}
		cpu_relax();
	}
	return false;
}

/* What varies between two boots and between two calls. */
void entropy_jitter(struct machine *m)
{
	for (unsigned i = 0; i < JITTER_ROUNDS; i++) {
		uint64_t before = rdtsc();
		cpu_relax();
		uint64_t *word = &m->entropy_pool[i % ARRAY_LEN(m->entropy_pool)];
		*word = (*word << 7 | *word >> 57) ^ before ^ (rdtsc() - before) << 32;
	}
}

/* XORs bytes derived from the jitter pool over what was gathered: this can only add. */
static void jitter_mix(struct machine *m, uint8_t *out, size_t len)
{
	uint8_t digest[32];
	entropy_jitter(m);
	hash_sha256(slice_of(m->entropy_pool, sizeof m->entropy_pool), digest);
	for (size_t i = 0; i < len; i++)
		out[i] ^= digest[i % sizeof digest];
	hash_sha256(slice_of(digest, sizeof digest), (uint8_t *)m->entropy_pool);
}

static size_t hardware_read(uint8_t *out, size_t len)
{
	bool seed = has_rdseed(), random = has_rdrand();
	size_t n = 0;
	while (n < len) {
		uint64_t word;
		if (!(seed && hardware_word(true, &word)) &&
			!(random && hardware_word(false, &word)))
			break;
		size_t take = len - n < sizeof word ? len - n : sizeof word;
		memcpy(out + n, &word, take);
		n += take;
	}
	return n;
}

size_t entropy_read(struct platform *p, void *out, size_t len)
{
	struct machine *m = (struct machine *)(void *)p;
	uint8_t *bytes = out;
	size_t n = hardware_read(bytes, len);
	if (m->entropy_device) {
		/* The device's bytes are XORed over the processor's: either alone suffices. */
		uint8_t chunk[64];
		for (size_t at = 0; at < len;) {
			size_t want = len - at < sizeof chunk ? len - at : sizeof chunk;
			size_t got = m->entropy_device(m->entropy_cookie, chunk, want);
			if (got > want || got == 0)
				break;
			for (size_t i = 0; i < got; i++)
				bytes[at + i] = at + i < n ? bytes[at + i] ^ chunk[i] : chunk[i];
			at += got;
			if (at > n)
				n = at;
		}
	}
	jitter_mix(m, bytes, n);
	return n;
}
