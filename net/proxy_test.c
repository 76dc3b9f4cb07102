/* PROXY headers: what is one, what is none, and that it does not matter how they are cut. */
#include <net/proxy.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <base/cursor.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define IP4 "\xc0\0\2\1\xc6\x33\x64\2\x1f\x90\0\x50" /* 192.0.2.1:8080 to 198.51.100.2:80 */
#define BEHIND "GET / HTTP/1.1"

/* In pieces of `step`, each in memory of its own; what follows the header is not touched. */
static enum net_proxy_result play(struct net_proxy *p, struct slice bytes, size_t step, size_t *used)
{
	enum net_proxy_result result = NET_PROXY_MORE;
	net_proxy_init(p);
	*used = 0;
	for (size_t at = 0; at < bytes.len && result == NET_PROXY_MORE; at += step) {
		struct slice piece = slice_sub(bytes, at, step);
		uint8_t *copy = malloc(piece.len);
		size_t n;
		assert_non_null(copy);
		memcpy(copy, piece.ptr, piece.len);
		result = net_proxy_input(p, slice_of(copy, piece.len), &n);
		assert_true(n <= piece.len && (result != NET_PROXY_MORE || n == piece.len));
		*used += n;
		free(copy);
	}
	return result;
}

/* However it is cut, the outcome is the same. */
static enum net_proxy_result take(struct net_proxy *p, struct slice bytes, size_t *used)
{
	enum net_proxy_result result = play(p, bytes, bytes.len, used);
	for (size_t step = 1; step < bytes.len; step++) {
		struct net_proxy other;
		size_t other_used;
		assert_int_equal(play(&other, bytes, step, &other_used), result);
		assert_int_equal(other_used, *used);
		assert_int_equal(other.has_client, p->has_client);
		assert_int_equal(other.is_encrypted, p->is_encrypted);
		if (p->has_client)
			assert_memory_equal(&other.client, &p->client, sizeof p->client);
	}
	return result;
}

static void endpoint_is(const struct net_endpoint *e, const char *address, uint16_t port)
{
	uint8_t text[NET_ADDRESS_TEXT_MAX];
	struct writer w = writer_of(text, sizeof text);
	net_address_write(&w, &e->address);
	assert_true(slice_eq(writer_slice(&w), slice_from_cstr(address)));
	assert_int_equal(e->port, port);
}

/* A whole header, with something behind that is not its own. */
static struct net_proxy good(struct slice header)
{
	struct net_proxy p;
	uint8_t *all = malloc(header.len + sizeof BEHIND);
	size_t used;
	assert_non_null(all);
	memcpy(all, header.ptr, header.len);
	memcpy(all + header.len, BEHIND, sizeof BEHIND);
	assert_int_equal(take(&p, slice_of(all, header.len + sizeof BEHIND), &used), NET_PROXY_DONE);
	assert_int_equal(used, header.len);
	for (size_t len = 0; len < header.len; len++)
		assert_int_equal(play(&p, slice_of(all, len), len + 1, &used), NET_PROXY_MORE);
	assert_int_equal(play(&p, header, header.len, &used), NET_PROXY_DONE);
	free(all);
	return p;
}

/* Refused at the byte with that number at the latest, and from then on. */
static void bad(struct slice header, size_t at)
{
	struct net_proxy p;
	size_t used;
	assert_int_equal(take(&p, header, &used), NET_PROXY_FAILED);
	assert_true(used <= at);
	assert_false(p.has_client);
	assert_int_equal(net_proxy_input(&p, SLICE("PROXY"), &used), NET_PROXY_FAILED);
	assert_int_equal(used, 0);
}

/* Version 2: sixteen bytes, and what they announce. */
static struct slice head2(uint8_t *out, uint8_t command, uint8_t family, struct slice rest)
{
	memcpy(out, SIGNATURE, 12);
	out[12] = command;
	out[13] = family;
	store_be16(out + 14, (uint16_t)rest.len);
	memcpy(out + 16, rest.ptr, rest.len);
	return slice_of(out, 16 + rest.len);
}

static uint8_t buffer[8192];

static struct net_proxy good2(uint8_t command, uint8_t family, struct slice rest)
{
	return good(head2(buffer, command, family, rest));
}

static void bad2(uint8_t command, uint8_t family, struct slice rest)
{
	bad(head2(buffer, command, family, rest), 16 + rest.len);
}

/* --- Version 1 -------------------------------------------------------------------------------- */

static void a_line_says_who_has_connected(void **state)
{
	(void)state;
	struct net_proxy p = good(SLICE("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"));
	assert_true(p.has_client && !p.is_encrypted);
	endpoint_is(&p.client, "192.0.2.1", 56324);
	endpoint_is(&p.server, "198.51.100.2", 443);
	p = good(SLICE("PROXY TCP6 2001:db8::1 2001:db8:0:0:0:0:0:2 0 65535\r\n"));
	endpoint_is(&p.client, "2001:db8::1", 0);
	endpoint_is(&p.server, "2001:db8::2", 65535);
	p = good(SLICE("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		"65535 65535\r\n"));
	assert_true(p.has_client);
}

static void an_unknown_client_is_a_header_too(void **state)
{
	(void)state;
	assert_false(good(SLICE("PROXY UNKNOWN\r\n")).has_client);
	assert_false(good(SLICE("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n")).has_client);
}

static void what_is_no_line_is_refused(void **state)
{
	(void)state;
	bad(SLICE("GET / HTTP/1.1\r\n\r\n"), 0);
	bad(SLICE("PUT / HTTP/1.1\r\n\r\n"), 1);
	bad(SLICE("PROPFIND / HTTP/1.1\r\n\r\n"), 3);
	bad(SLICE("proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n"), 0);
	const char *const lines[] = {"PROXY \r\n", "PROXY TCP4\r\n", "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
		"PROXY UNKNOWNX\r\n", "PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
		"PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n", "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
		"PROXY TCP4 192.0.2.1 2001:db8::2 1 2\r\n", "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
		"PROXY TCP6 2001:db8::1 192.0.2.2 1 2\r\n", "PROXY TCP6 [2001:db8::1] 2001:db8::2 1 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\rX", "PROXY TCP4\t192.0.2.1 1.1.1.1 1 2\r\n",
		"PROXY UNKNOWN \x80\r\n"};
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		bad(slice_from_cstr(lines[i]), strlen(lines[i]));
	bad(SLICE("PROXY UNKNOWN \0\r\n"), 14);
}

static void a_line_has_107_bytes_at_most(void **state)
{
	(void)state;
	uint8_t line[200];
	memset(line, 'x', sizeof line);
	memcpy(line, "PROXY UNKNOWN ", 14);
	memcpy(line + 105, "\r\n", 2);
	assert_false(good(slice_of(line, 107)).has_client);
	memcpy(line + 105, "x\r\n", 3);
	bad(slice_of(line, 108), 106);
}

/* --- Version 2 -------------------------------------------------------------------------------- */

static void a_binary_header_says_who_has_connected(void **state)
{
	(void)state;
	struct net_proxy p = good2(0x21, 0x11, SLICE(IP4));
	assert_true(p.has_client);
	endpoint_is(&p.client, "192.0.2.1", 8080);
	endpoint_is(&p.server, "198.51.100.2", 80);
	p = good2(0x21, 0x21, SLICE("\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1" "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\2" "\1\2\3\4"));
	assert_true(p.has_client);
	endpoint_is(&p.client, "2001:db8::1", 0x102);
	endpoint_is(&p.server, "2001:db8::2", 0x304);
}

static void where_no_client_is_known_the_header_is_skipped(void **state)
{
	(void)state;
	uint8_t zeros[300] = {0};
	assert_false(good2(0x20, 0x00, SLICE("")).has_client);                 /* LOCAL, a health check */
	assert_false(good2(0x20, 0x11, SLICE(IP4)).has_client);
	assert_false(good2(0x20, 0xff, SLICE("whatever it is")).has_client);
	assert_false(good2(0x21, 0x00, SLICE("")).has_client);                 /* UNSPEC */
	assert_false(good2(0x21, 0x00, SLICE("unknown")).has_client);
	assert_false(good2(0x21, 0x31, slice_of(zeros, 216)).has_client);      /* UNIX */
	assert_false(good2(0x21, 0x12, SLICE(IP4)).has_client);                /* a datagram's */
}

static void fields_behind_the_addresses_are_walked(void **state)
{
	(void)state;
	assert_true(good2(0x21, 0x11, SLICE(IP4 "\4\0\0")).has_client); /* NOOP */
	struct net_proxy p = good2(0x21, 0x11, SLICE(IP4 "\1\0\2h2" "\2\0\7a.b.com" "\xea\0\1\1"));
	assert_true(p.has_client && !p.is_encrypted);
	p = good2(0x21, 0x11, SLICE(IP4 "\x20\0\xf\1\0\0\0\0\x21\0\7TLSv1.3" "\5\0\1u"));
	assert_true(p.has_client && p.is_encrypted);
	p = good2(0x21, 0x11, SLICE(IP4 "\x20\0\5\0\0\0\0\0"));
	assert_true(p.has_client && !p.is_encrypted);
}

static void fields_that_do_not_fit_are_refused(void **state)
{
	(void)state;
	bad2(0x21, 0x11, SLICE(IP4 "\1"));
	bad2(0x21, 0x11, SLICE(IP4 "\1\0"));
	bad2(0x21, 0x11, SLICE(IP4 "\1\0\1"));
	bad2(0x21, 0x11, SLICE(IP4 "\1\0\2x"));
	bad2(0x21, 0x11, SLICE(IP4 "\4\0\0" "\1\xff\xff" "x"));
	bad2(0x21, 0x11, SLICE(IP4 "\x20\0\4\1\0\0\0"));  /* SSL, too short */
	bad2(0x21, 0x11, SLICE(IP4 "\3\0\3\1\2\3"));      /* CRC32C of three bytes */
	bad2(0x21, 0x11, SLICE(IP4 "\3\0\4\1\2\3\4"));    /* a wrong one */
}

/* By another way than the parser's: bit by bit of the polynomial, from the other side. */
static uint32_t crc32c(const uint8_t *at, size_t len)
{
	uint32_t table[256], crc = UINT32_MAX;
	for (uint32_t i = 0; i < 256; i++) {
		table[i] = i;
		for (int k = 0; k < 8; k++)
			table[i] = table[i] & 1 ? table[i] >> 1 ^ UINT32_C(0x82f63b78) : table[i] >> 1;
	}
	while (len--)
		crc = crc >> 8 ^ table[(crc ^ *at++) & 255];
	return ~crc;
}

static void a_checksum_is_verified(void **state)
{
	(void)state;
	assert_int_equal(crc32c((const uint8_t *)"123456789", 9), 0xe3069283);
	struct slice all = head2(buffer, 0x21, 0x11, SLICE(IP4 "\1\0\2h2" "\3\0\4\0\0\0\0" "\4\0\1x"));
	store_be32(buffer + all.len - 8, crc32c(all.ptr, all.len));
	assert_true(good(all).has_client);
	for (size_t i = 16; i < all.len; i++) {
		if (i == all.len - 11)
			continue; /* it would be no checksum any more */
		buffer[i] ^= 0x40;
		struct net_proxy p;
		size_t used;
		assert_int_not_equal(take(&p, all, &used), NET_PROXY_DONE);
		buffer[i] ^= 0x40;
	}
}

static void what_is_no_binary_header_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < 12; i++) {
		struct slice all = head2(buffer, 0x21, 0x11, SLICE(IP4));
		buffer[i] ^= 1;
		bad(all, i);
	}
	bad2(0x11, 0x11, SLICE(IP4));        /* version 1 */
	bad2(0x22, 0x11, SLICE(IP4));        /* a command that is none */
	bad2(0x21, 0x41, SLICE(IP4));        /* a family that is none */
	bad2(0x21, 0x13, SLICE(IP4));        /* a transport that is none */
	bad2(0x21, 0x10, SLICE(IP4));
	bad2(0x21, 0x01, SLICE(IP4));
	bad2(0x21, 0x11, SLICE("\xc0\0\2\1\xc6\x33\x64\2\x1f\x90\0"));
	bad2(0x21, 0x21, SLICE(IP4));
	bad2(0x21, 0x31, SLICE(IP4));
}

static void a_header_over_the_limit_is_refused(void **state)
{
	(void)state;
	uint8_t rest[NET_PROXY_LEN_MAX] = {0};
	memcpy(rest, IP4, 12);
	rest[12] = 4;
	store_be16(rest + 13, NET_PROXY_LEN_MAX - 16 - 15);
	struct net_proxy p;
	size_t used;
	struct slice all = head2(buffer, 0x21, 0x11, slice_of(rest, NET_PROXY_LEN_MAX - 16));
	assert_int_equal(play(&p, all, 7, &used), NET_PROXY_DONE);
	assert_int_equal(used, NET_PROXY_LEN_MAX);
	all = head2(buffer, 0x21, 0x11, slice_of(rest, NET_PROXY_LEN_MAX - 15));
	assert_int_equal(play(&p, all, 7, &used), NET_PROXY_FAILED);
	assert_int_equal(used, 15);
	all = head2(buffer, 0x20, 0x00, slice_of(rest, NET_PROXY_LEN_MAX - 15));
	assert_int_equal(play(&p, all, all.len, &used), NET_PROXY_FAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_says_who_has_connected),
		cmocka_unit_test(an_unknown_client_is_a_header_too),
		cmocka_unit_test(what_is_no_line_is_refused),
		cmocka_unit_test(a_line_has_107_bytes_at_most),
		cmocka_unit_test(a_binary_header_says_who_has_connected),
		cmocka_unit_test(where_no_client_is_known_the_header_is_skipped),
		cmocka_unit_test(fields_behind_the_addresses_are_walked),
		cmocka_unit_test(fields_that_do_not_fit_are_refused),
		cmocka_unit_test(a_checksum_is_verified),
		cmocka_unit_test(what_is_no_binary_header_is_refused),
		cmocka_unit_test(a_header_over_the_limit_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
