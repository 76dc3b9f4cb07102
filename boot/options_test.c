#include <app/manifest.h>

#include "options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

/* boot/ is linked as a whole, and it starts an application. */
const struct app_manifest app_manifest = {.name = "none"};

static bool parse(const char *text, struct options *o)
{
	struct slice bad = {NULL, 0};
	bool ok = options_parse(slice_from_cstr(text), o, &bad);
	if (!ok) /* the word at fault lies in the line */
		assert_true(bad.len && bad.ptr >= (const uint8_t *)text
			&& bad.ptr + bad.len <= (const uint8_t *)text + strlen(text));
	return ok;
}

static void an_address_has_a_mask_and_perhaps_a_gateway(void **state)
{
	(void)state;
	struct options o;
	assert_true(parse("ip=10.0.0.2/24,10.0.0.1", &o));
	assert_int_equal(o.address, 0x0a000002);
	assert_int_equal(o.mask, 0xffffff00);
	assert_int_equal(o.gateway, 0x0a000001);
	assert_false(o.debug);
	assert_true(parse("ip=192.168.255.1/31", &o));
	assert_int_equal(o.address, 0xc0a8ff01);
	assert_int_equal(o.mask, 0xfffffffe);
	assert_int_equal(o.gateway, 0);
	assert_true(parse("ip=10.1.2.3/1", &o));
	assert_int_equal(o.mask, 0x80000000);
}

static void an_empty_line_means_dhcp(void **state)
{
	(void)state;
	struct options o;
	static const char *const line[] = {"", " ", "   "};
	for (size_t i = 0; i < 3; i++) {
		memset(&o, 0xff, sizeof o);
		assert_true(parse(line[i], &o));
		assert_int_equal(o.address, 0);
		assert_int_equal(o.gateway, 0);
		assert_false(o.debug);
	}
}

static void diagnosis_is_off_unless_a_port_is_named(void **state)
{
	(void)state;
	struct options o;
	static const char *const bad[] = {"diagnose=", "diagnose=0", "diagnose=65536", "diagnose=x",
		"diagnose=9000,", "diagnose=9000,all", "diagnose=9000,any,"};
	assert_true(parse("debug", &o));
	assert_int_equal(o.diagnose_port, 0);
	assert_true(parse("diagnose=9000", &o));
	assert_int_equal(o.diagnose_port, 9000);
	assert_false(o.diagnose_any);
	assert_true(parse("diagnose=1,any", &o));
	assert_true(o.diagnose_any);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(parse(bad[i], &o));
}

static void words_that_are_not_known_are_left_alone(void **state)
{
	(void)state;
	struct options o;
	assert_true(parse("  console=ttyS0 debug  virtio_mmio.device=4K@0xd0000000:5 ip=10.0.0.2/8 debugger ipx=1 ",
		&o));
	assert_true(o.debug);
	assert_int_equal(o.address, 0x0a000002);
	assert_true(parse("debugger nodebug DEBUG", &o));
	assert_false(o.debug);
}

static void the_time_for_idle_connections_is_in_seconds(void **state)
{
	(void)state;
	struct options o;
	static const char *const word[] = {"keep-alive=", "keep-alive=0", "keep-alive=86401", "keep-alive=1s",
		"keep-alive=-1", "keep-alive=99999999999999999999"};
	assert_true(parse("keep-alive=75", &o));
	assert_int_equal(o.keep_alive_s, 75);
	assert_true(parse("keep-alive=86400 debug", &o));
	assert_int_equal(o.keep_alive_s, 86400);
	assert_true(parse("debug", &o));
	assert_int_equal(o.keep_alive_s, 0);
	for (size_t i = 0; i < sizeof word / sizeof word[0]; i++)
		assert_false(parse(word[i], &o));
}

static struct net_address address6(const char *text)
{
	struct net_address a;
	assert_true(net_address_parse(slice_from_cstr(text), &a));
	return a;
}

static void ip6_is_automatic_unless_said_otherwise(void **state)
{
	(void)state;
	struct options o;
	struct net_address a = address6("2001:db8::2"), gateway = address6("fe80::1");
	assert_true(parse("", &o));
	assert_int_equal(o.ip6, NET_IP6_AUTO);
	assert_int_equal(o.ip6_secret.len, 0);
	assert_true(parse("ip6=off", &o));
	assert_int_equal(o.ip6, NET_IP6_OFF);
	assert_true(parse("ip6=auto ip6.secret=walnut debug", &o));
	assert_int_equal(o.ip6, NET_IP6_AUTO);
	assert_true(slice_eq(o.ip6_secret, SLICE("walnut")));
	assert_true(parse("ip6=2001:db8::2/64,fe80::1 ip=10.0.0.2/24", &o));
	assert_int_equal(o.ip6, NET_IP6_STATIC);
	assert_true(net_address_equal(&o.ip6_address, &a));
	assert_int_equal(o.ip6_prefix_len, 64);
	assert_true(net_address_equal(&o.ip6_gateway, &gateway));
	assert_int_equal(o.address, 0x0a000002);
	assert_true(parse("ip6=2001:db8::2/128", &o));
	assert_true(net_address_is_unspecified(&o.ip6_gateway));
}

static void a_malformed_ip6_word_is_refused(void **state)
{
	(void)state;
	static const char *const word[] = {"ip6=", "ip6=on", "ip6=2001:db8::2", "ip6=2001:db8::2/0", "ip6=2001:db8::2/129",
		"ip6=2001:db8::2/", "ip6=/64", "ip6=fe80::1/64", "ip6=ff02::1/64", "ip6=::1/128", "ip6=::/64",
		"ip6=10.0.0.1/24", "ip6=2001:db8::2/64,", "ip6=2001:db8::2/64,2001:db8::2",
		"ip6=2001:db8::2/64,10.0.0.1", "ip6=2001:db8::2/64,ff02::2", "ip6=auto,fe80::1", "ip6=2001:db8::g/64",
		"ip6.secret="};
	struct options o;
	for (size_t i = 0; i < sizeof word / sizeof word[0]; i++)
		assert_false(parse(word[i], &o));
}

static void a_malformed_address_is_refused_with_its_word(void **state)
{
	(void)state;
	static const char *const word[] = {"ip=", "ip=/", "ip=10.0.0.2", "ip=10.0.0.2/", "ip=10.0.0.2/0",
		"ip=10.0.0.2/32", "ip=10.0.0.2/-1", "ip=10.0.0.2/24,", "ip=10.0.0.2/24,10.0.0",
		"ip=10.0.0.2/24,10.0.0.1,", "ip=10.0.0.256/24", "ip=10.0.0/24", "ip=10.0.0.0.2/24",
		"ip=10..0.2/24", "ip=.10.0.0.2/24", "ip=10.0.0.2./24", "ip=10.0.0.2/24/8", "ip=0.0.0.0/8",
		"ip=a.b.c.d/24", "ip=10.0.0.+2/24", "ip=dhcp", "ip=10.0.0.99999999999999999999/24", "ip=,",
		"ip=10.0.0.2,10.0.0.1", "ip=10.0.0.2/24,10.0.0.1/24"};
	struct options o;
	for (size_t i = 0; i < sizeof word / sizeof word[0]; i++) {
		struct slice bad;
		char line[100] = "debug ";
		strcat(line, word[i]);
		strcat(line, " x");
		assert_false(options_parse(slice_from_cstr(line), &o, &bad));
		assert_true(slice_eq(bad, slice_from_cstr(word[i])));
		assert_false(parse(word[i], &o));
	}
}

/* Every cut of a good line: no reading past its end (the sanitizer watches). */
static void a_line_that_is_cut_is_taken_or_refused(void **state)
{
	(void)state;
	static const char line[] = "debug ip=10.0.0.2/24,10.0.0.1 x";
	for (size_t len = 0; len < sizeof line; len++) {
		uint8_t copy[sizeof line];
		struct options o;
		struct slice bad;
		memcpy(copy, line, len);
		bool ok = options_parse(slice_of(copy, len), &o, &bad);
		/* From "ip=" on up to a whole address and mask, and after the comma, it is malformed. */
		bool partial = (len >= 9 && len < 19) || (len >= 21 && len < 29);
		assert_int_equal(ok, !partial);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_has_a_mask_and_perhaps_a_gateway),
		cmocka_unit_test(an_empty_line_means_dhcp),
		cmocka_unit_test(diagnosis_is_off_unless_a_port_is_named),
		cmocka_unit_test(words_that_are_not_known_are_left_alone),
		cmocka_unit_test(the_time_for_idle_connections_is_in_seconds),
		cmocka_unit_test(ip6_is_automatic_unless_said_otherwise),
		cmocka_unit_test(a_malformed_ip6_word_is_refused),
		cmocka_unit_test(a_malformed_address_is_refused_with_its_word),
		cmocka_unit_test(a_line_that_is_cut_is_taken_or_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
