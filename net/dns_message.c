#include "dns_message.h"

#include <base/arith.h>
#include <base/bytes.h>
#include <base/cursor.h>

#define HEADER 12
#define FLAG_ANSWER 0x8000
#define FLAG_OPCODE 0x7800
#define FLAG_TRUNCATED 0x0200
#define FLAG_RECURSION 0x0100
#define CLASS_IN 1
#define OPT_SIZE 11
#define RECORDS_MAX 512
#define ALIASES_MAX 8
#define TTL_MAX 86400u
#define NEGATIVE_TTL_MAX 300u

/* A record, as it stands in a message. */
struct record {
	struct dns_name owner;
	uint16_t type, class;
	uint32_t ttl_s;
	size_t data_at; /* in the message */
	struct slice data;
};

static bool is_letter(uint8_t c)
{
	return (uint8_t)((c | 0x20) - 'a') < 26;
}

static uint8_t lower(uint8_t c)
{
	return is_letter(c) ? c | 0x20 : c;
}

static bool is_name_byte(uint8_t c)
{
	return is_letter(c) || (uint8_t)(c - '0') < 10 || c == '-' || c == '_';
}

bool dns_name_parse(struct slice text, struct dns_name *out)
{
	size_t at = 0;
	if (text.len && text.ptr[text.len - 1] == '.')
		text.len--;
	if (!text.len || text.len > DNS_NAME_MAX - 2)
		return false;
	while (text.len) {
		size_t len = slice_index(text, '.');
		if (len == 0 || len > 63 || len + 1 == text.len)
			return false;
		out->byte[at++] = (uint8_t)len;
		for (size_t i = 0; i < len; i++) {
			if (!is_name_byte(text.ptr[i]))
				return false;
			out->byte[at++] = lower(text.ptr[i]);
		}
		text = slice_sub(text, len + 1, text.len);
	}
	out->byte[at++] = 0;
	out->len = (uint8_t)at;
	return true;
}

bool dns_name_equal(const struct dns_name *a, const struct dns_name *b)
{
	/* A label's length is no letter: 63 at most. */
	return slice_eq_nocase(slice_of(a->byte, a->len), slice_of(b->byte, b->len));
}

size_t dns_query_write(uint8_t *out, uint16_t id, const struct dns_name *name, uint16_t type, bool edns,
	const uint8_t cases[DNS_NAME_MAX / 8 + 1])
{
	uint8_t *p = out + HEADER;
	memset(out, 0, HEADER);
	store_be16(out, id);
	store_be16(out + 2, FLAG_RECURSION);
	store_be16(out + 4, 1);
	store_be16(out + 10, edns);
	for (uint32_t i = 0; i < name->len; i++) {
		bool upper = is_letter(name->byte[i]) && (cases[i / 8] >> i % 8 & 1);
		*p++ = upper ? (uint8_t)(name->byte[i] & ~0x20) : name->byte[i];
	}
	store_be16(p, type);
	store_be16(p + 2, CLASS_IN);
	p += 4;
	if (edns) {
		memset(p, 0, OPT_SIZE);
		store_be16(p + 1, DNS_TYPE_OPT);
		store_be16(p + 3, DNS_UDP_PAYLOAD);
		p += OPT_SIZE;
	}
	return (size_t)(p - out);
}

/* The name at `at`, with pointers followed, and *next behind it. A pointer leads to before the place where the
 * name, or the part of it that a pointer led to, begins: so it ends. */
static bool name_read(struct slice message, size_t at, struct dns_name *out, size_t *next)
{
	size_t len = 0, floor = at;
	bool jumped = false;
	for (;;) {
		if (at >= message.len)
			return false;
		uint8_t n = message.ptr[at];
		if ((n & 0xc0) == 0xc0) {
			if (message.len - at < 2)
				return false;
			if (!jumped)
				*next = at + 2;
			jumped = true;
			at = load_be16(message.ptr + at) & 0x3fff;
			if (at >= floor)
				return false;
			floor = at;
			continue;
		}
		if (n > 63 || message.len - at < n + 1u || len + n + 1 > DNS_NAME_MAX)
			return false;
		memcpy(out->byte + len, message.ptr + at, n + 1u);
		len += n + 1u;
		at += n + 1u;
		if (n == 0)
			break;
	}
	out->len = (uint8_t)len;
	if (!jumped)
		*next = at;
	return true;
}

static bool record_read(struct slice message, size_t *at, struct record *r)
{
	size_t p;
	if (!name_read(message, *at, &r->owner, &p) || message.len - p < 10)
		return false;
	r->type = load_be16(message.ptr + p);
	r->class = load_be16(message.ptr + p + 2);
	r->ttl_s = load_be32(message.ptr + p + 4);
	if (r->ttl_s >> 31) /* RFC 2181, 8 */
		r->ttl_s = 0;
	uint16_t len = load_be16(message.ptr + p + 8);
	p += 10;
	if (message.len - p < len)
		return false;
	r->data_at = p;
	r->data = slice_of(message.ptr + p, len);
	*at = p + len;
	return true;
}

static void address_add(struct dns_answer *a, const struct record *r)
{
	if (a->count == DNS_ADDRESSES_MAX)
		return;
	struct net_address *to = &a->address[a->count];
	if (r->type == DNS_TYPE_A && r->data.len == 4)
		*to = net_address_v4(load_be32(r->data.ptr));
	else if (r->type == DNS_TYPE_AAAA && r->data.len == 16)
		memcpy(to->octet, r->data.ptr, 16);
	else
		return;
	a->count++;
	a->ttl_s = u32_min(a->ttl_s, r->ttl_s);
}

/* One pass over the answers about `name`: takes its addresses, and the alias that it is, if it is one. False:
 * malformed. */
static bool answers_scan(struct slice message, size_t at, uint32_t count, uint16_t type,
	const struct dns_name *name, struct dns_answer *a, size_t *end)
{
	struct record r;
	a->has_alias = false;
	for (; count; count--) {
		if (!record_read(message, &at, &r))
			return false;
		if (r.class != CLASS_IN || !dns_name_equal(&r.owner, name))
			continue;
		size_t next;
		if (r.type == type) {
			address_add(a, &r);
		} else if (r.type == DNS_TYPE_CNAME) {
			if (!name_read(message, r.data_at, &a->alias, &next)
				|| next > r.data_at + r.data.len)
				return false;
			a->has_alias = true;
			a->ttl_s = u32_min(a->ttl_s, r.ttl_s);
		}
	}
	*end = at;
	return true;
}

/* How long "there is none" holds: the smaller of the SOA's own time to live and its last field (RFC 2308, 5). */
static uint32_t negative_ttl(struct slice message, size_t at, uint32_t count)
{
	struct record r;
	for (; count && record_read(message, &at, &r); count--)
		if (r.type == DNS_TYPE_SOA && r.class == CLASS_IN && r.data.len >= 22)
			return u32_min(u32_min(r.ttl_s, load_be32(r.data.ptr + r.data.len - 4)),
				NEGATIVE_TTL_MAX);
	return 0;
}

static size_t question_len(struct slice query)
{
	size_t at = HEADER;
	while (query.ptr[at])
		at += query.ptr[at] + 1u;
	return at + 1 + 4 - HEADER;
}

/* It is the answer to this query, and to no other (RFC 5452, 9.1). */
static bool answers(struct slice message, struct slice query, size_t question)
{
	const uint8_t *m = message.ptr;
	if (message.len < HEADER || load_be16(m) != load_be16(query.ptr))
		return false;
	uint16_t flags = load_be16(m + 2);
	if (!(flags & FLAG_ANSWER) || (flags & FLAG_OPCODE))
		return false;
	/* A server that does not understand the query may leave the question out. */
	if (load_be16(m + 4) == 0)
		return (flags & 15) == DNS_RCODE_FORMAT || (flags & 15) == DNS_RCODE_NOT_IMPLEMENTED;
	return load_be16(m + 4) == 1 && message.len >= HEADER + question
		&& memcmp(m + HEADER, query.ptr + HEADER, question) == 0;
}

bool dns_answer_read(struct slice message, struct slice query, struct dns_answer *out)
{
	size_t question = question_len(query), end = HEADER + question, next;
	struct dns_name name;
	if (!answers(message, query, question))
		return false;
	const uint8_t *m = message.ptr;
	*out = (struct dns_answer){.rcode = m[3] & 15, .ttl_s = TTL_MAX,
		.truncated = load_be16(m + 2) & FLAG_TRUNCATED};
	if (out->truncated || (out->rcode != DNS_RCODE_OK && out->rcode != DNS_RCODE_NO_NAME))
		return true;
	uint16_t type = load_be16(query.ptr + HEADER + question - 4);
	uint32_t count = load_be16(m + 6);
	if (count > RECORDS_MAX || !name_read(query, HEADER, &name, &next))
		return false;
	bool aliased = false;
	for (int i = 0; i < ALIASES_MAX; i++) {
		if (!answers_scan(message, HEADER + question, count, type, &name, out, &end))
			return false;
		if (out->count || !out->has_alias)
			break;
		name = out->alias;
		aliased = true;
	}
	if (!out->count && out->rcode == DNS_RCODE_OK && aliased) {
		/* A chain that ends in silence is to be asked about, one that says "none" (SOA) is not. */
		uint32_t none = negative_ttl(message, end, load_be16(m + 8));
		out->has_alias = !none;
		out->alias = name;
		if (none)
			out->ttl_s = u32_min(out->ttl_s, none);
		return true;
	}
	out->has_alias = false;
	if (!out->count)
		out->ttl_s = u32_min(out->ttl_s, negative_ttl(message, end, load_be16(m + 8)));
	return true;
}
