/* Addresses as text, in and out. */
#include <net/address.h>

#include <base/cursor.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void text_of(const struct net_address *a, char out[NET_ADDRESS_TEXT_MAX + 1])
{
	struct writer w = writer_of(out, NET_ADDRESS_TEXT_MAX);
	net_address_write(&w, a);
	assert_false(w.failed);
	*w.pos = 0;
}

static void what_is_read_is_written_as_the_canonical_text(void **state)
{
	(void)state;
	static const char *const pairs[][2] = {
		{"::", "::"},
		{"::1", "::1"},
		{"1::", "1::"},
		{"2001:db8::1", "2001:db8::1"},
		{"2001:0DB8:0000:0000:0000:0000:0000:0001", "2001:db8::1"},
		{"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"}, /* the first of two runs */
		{"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},       /* the longer one */
		{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"}, /* one group is not shortened */
		{"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
		{"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
		{"0:0:0:0:0:0:0:0", "::"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
		{"::ffff:10.0.0.1", "10.0.0.1"},
		{"10.0.0.1", "10.0.0.1"},
		{"255.255.255.255", "255.255.255.255"},
		{"0.0.0.0", "0.0.0.0"},
		{"fe80::10:0", "fe80::10:0"},
	};
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		struct net_address a;
		char text[NET_ADDRESS_TEXT_MAX + 1];
		assert_true(net_address_parse(slice_from_cstr(pairs[i][0]), &a));
		text_of(&a, text);
		assert_string_equal(text, pairs[i][1]);
	}
}

static void what_is_no_address_is_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"", ":", ":::", "::1::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
		"1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "1::2:3:4:5:6:7:8", ":1:2:3:4:5:6:7", "1:2:3:4:5:6:7:",
		"12345::", "g::", "::1%eth0", "fe80::/64", "[::1]", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.04",
		"1.2.3.", ".1.2.3", "1..2.3", "1.2.3.4 ", " 1.2.3.4", "0x1.2.3.4", "::1.2.3", "::1.2.3.4:5",
		"1.2.3.4::", "1:2:3:4:5:6:7:1.2.3.4", "::1:2:3:4:5:6:1.2.3.4", "1 ::", "::ffff:1.2.3.4.", "-1::",
		"1.2.3.1000"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct net_address a;
		if (net_address_parse(slice_from_cstr(bad[i]), &a))
			fail_msg("\"%s\" was taken", bad[i]);
	}
}

static void every_address_survives_its_text(void **state)
{
	(void)state;
	uint64_t x = 88172645463325252u;
	for (uint32_t i = 0; i < 20000; i++) {
		struct net_address a, b;
		char text[NET_ADDRESS_TEXT_MAX + 1];
		for (uint32_t k = 0; k < 8; k++) { /* many groups of zero */
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			store_be16(a.octet + 2 * k, x & 0x30000 ? 0 : (uint16_t)(x >> 20 & (x & 0x40000 ? 0xf : 0xffff)));
		}
		text_of(&a, text);
		assert_true(net_address_parse(slice_from_cstr(text), &b));
		assert_true(net_address_equal(&a, &b));
	}
}

static void a_writer_without_room_says_so(void **state)
{
	(void)state;
	struct net_address a;
	uint8_t out[8];
	struct writer w = writer_of(out, sizeof out);
	assert_true(net_address_parse(SLICE("2001:db8::1"), &a));
	net_address_write(&w, &a);
	assert_true(w.failed);
}

static void kinds_are_told_apart(void **state)
{
	(void)state;
	struct net_address a;
	assert_true(net_address_parse(SLICE("ff02::1"), &a) && net_address_is_multicast(&a));
	assert_true(net_address_parse(SLICE("224.0.0.251"), &a) && net_address_is_multicast(&a));
	assert_true(net_address_parse(SLICE("10.0.0.1"), &a) && !net_address_is_multicast(&a));
	assert_true(net_address_parse(SLICE("febf::1"), &a) && net_address_is_link_local(&a));
	assert_true(net_address_parse(SLICE("fec0::1"), &a) && !net_address_is_link_local(&a));
	assert_true(net_address_parse(SLICE("169.254.3.4"), &a) && net_address_is_link_local(&a));
	assert_true(net_address_parse(SLICE("::1"), &a) && net_address_is_loopback(&a));
	assert_true(net_address_parse(SLICE("127.1.2.3"), &a) && net_address_is_loopback(&a));
	assert_true(net_address_parse(SLICE("::2"), &a) && !net_address_is_loopback(&a));
	assert_true(net_address_parse(SLICE("::"), &a) && net_address_is_unspecified(&a));
	assert_true(net_address_parse(SLICE("::1"), &a) && !net_address_is_unspecified(&a));
}

static bool holds(const char *prefix, const char *address)
{
	struct net_prefix p;
	struct net_address a;
	assert_true(net_prefix_parse(slice_from_cstr(prefix), &p));
	assert_true(net_address_parse(slice_from_cstr(address), &a));
	return net_prefix_contains(&p, &a);
}

static void a_prefix_holds_its_addresses_and_no_others(void **state)
{
	(void)state;
	assert_true(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.0"));
	assert_true(holds("192.168.128.0/17", "192.168.200.1") && !holds("192.168.128.0/17", "192.168.127.255"));
	assert_true(holds("10.1.2.3", "10.1.2.3") && !holds("10.1.2.3", "10.1.2.2"));
	assert_true(holds("0.0.0.0/0", "255.1.2.3") && !holds("0.0.0.0/0", "2001:db8::1"));
	assert_true(holds("fd00::/8", "fdff::1") && !holds("fd00::/8", "fc00::1"));
	assert_true(holds("2001:db8:8000::/33", "2001:db8:ffff::") && !holds("2001:db8:8000::/33", "2001:db8:7fff::"));
	assert_true(holds("::/0", "::1") && holds("::1", "::1") && !holds("::1", "::2"));
	assert_true(holds("::ffff:10.0.0.0/8", "10.1.1.1"));
}

static void what_is_no_prefix_is_refused(void **state)
{
	(void)state;
	struct net_prefix p;
	const char *const bad[] = {"", "/", "10.0.0.0/", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/8/8", "10.0.0.0/-1", "10.0.0/8",
		"fd00::/129", "fd00::1/8", "fd00::/0000008", "10.0.0.0/8 ", "/8", "localhost/8", "[::1]"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(net_prefix_parse(slice_from_cstr(bad[i]), &p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_read_is_written_as_the_canonical_text),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(every_address_survives_its_text),
		cmocka_unit_test(a_writer_without_room_says_so),
		cmocka_unit_test(kinds_are_told_apart),
		cmocka_unit_test(a_prefix_holds_its_addresses_and_no_others),
		cmocka_unit_test(what_is_no_prefix_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
