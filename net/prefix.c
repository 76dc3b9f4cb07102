/* Prefixes of addresses, as text and against addresses. */
#include <net/address.h>

/* Whether the first `bits` of both are the same. */
static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	for (unsigned i = 0; i < bits / 8; i++)
		if (a[i] != b[i])
			return false;
	return bits % 8 == 0 || (a[bits / 8] ^ b[bits / 8]) >> (8 - bits % 8) == 0;
}

bool net_prefix_contains(const struct net_prefix *p, const struct net_address *a)
{
	return bits_equal(p->address.octet, a->octet, p->len);
}

bool net_prefix_parse(struct slice text, struct net_prefix *out)
{
	size_t slash = slice_index(text, '/');
	struct slice digits = slice_sub(text, slash + 1, text.len);
	if (!net_address_parse(slice_sub(text, 0, slash), &out->address))
		return false;
	uint64_t most = net_address_is_v4(&out->address) ? 32 : 128, len = most;
	if (slash < text.len && (digits.len > 3 || !slice_to_u64(digits, &len)))
		return false;
	if (len > most)
		return false;
	out->len = (uint8_t)(len + 128 - most);
	for (unsigned bit = out->len; bit < 128; bit++)
		if (out->address.octet[bit / 8] >> (7 - bit % 8) & 1)
			return false;
	return true;
}
