/* Forwarded and X-Forwarded-: what is said of whom, from the nearest proxy on. */
#include <http/forwarded.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static uint8_t memory[4096];
static char text[16384];
static struct http_request request;

/* With these fields, "Name: value\r\n" each. */
static void head(const char *fields)
{
	struct arena arena;
	struct http_parser p;
	int len = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", fields);
	assert_true(len > 0 && (size_t)len < sizeof text);
	arena_init(&arena, memory, sizeof memory, NULL, 0);
	http_parser_init(&p, &arena, sizeof text - 1);
	assert_int_equal(http_parse_request(&p, slice_of(text, (size_t)len), &request), HTTP_DONE);
}

/* "node proto; node proto; ...", the nearest first; "-" for what is not said. */
static void hops_are(const struct http_hops *hops, const char *want)
{
	char got[4096] = "";
	size_t at = 0;
	for (uint32_t i = 0; i < hops->count; i++) {
		struct slice node = hops->hop[i].node.len ? hops->hop[i].node : SLICE("-");
		struct slice proto = hops->hop[i].proto.len ? hops->hop[i].proto : SLICE("-");
		at += (size_t)snprintf(got + at, sizeof got - at, "%s%.*s %.*s", i ? "; " : "", SLICE_ARG(node), SLICE_ARG(proto));
	}
	assert_string_equal(got, want);
}

static void forwarded(const char *value, const char *want)
{
	char fields[8192];
	struct http_hops hops;
	snprintf(fields, sizeof fields, "Forwarded: %s\r\n", value);
	head(fields);
	assert_true(http_forwarded(&request, &hops));
	hops_are(&hops, want);
}

static void malformed(const char *value)
{
	char fields[8192];
	struct http_hops hops;
	snprintf(fields, sizeof fields, "Forwarded: %s\r\n", value);
	head(fields);
	assert_false(http_forwarded(&request, &hops));
}

static void each_element_is_a_claim_from_the_nearest_on(void **state)
{
	(void)state;
	forwarded("for=192.0.2.43", "192.0.2.43 -");
	forwarded("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60 http");
	forwarded("for=192.0.2.43, for=198.51.100.17;by=203.0.113.60;proto=https;host=example.com", "198.51.100.17 https; 192.0.2.43 -");
	forwarded("FOR=192.0.2.1;PROTO=https", "192.0.2.1 https");
	forwarded("by=203.0.113.43;ext=\"a,b;c\", for=192.0.2.1 ; proto=http ,", "192.0.2.1 http; - -");
	forwarded("", "");
	forwarded(" , ,for=_a,,", "_a -");
}

static void nodes_lose_their_ports_and_brackets(void **state)
{
	(void)state;
	forwarded("for=\"192.0.2.43:47011\"", "192.0.2.43 -");
	forwarded("for=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17 -");
	forwarded("for=\"[2001:db8:cafe::17]\"", "2001:db8:cafe::17 -");
	forwarded("for=\"[2001:db8::1]:_port\"", "2001:db8::1 -");
	forwarded("for=unknown", "unknown -");
	forwarded("for=_hidden, for=\"_SEVKISEK:_x\"", "_SEVKISEK -; _hidden -");
	forwarded("for=\"[2001:db8::1\"", "[2001:db8::1 -");
	forwarded("for=\"[2001:db8::1]x\"", "[2001:db8::1]x -");
	forwarded("for=\"\"", "- -");
	forwarded("for=\"192.0.2.\\1\"", "192.0.2.\\1 -");
}

static void fields_are_one_list(void **state)
{
	(void)state;
	struct http_hops hops;
	head("Forwarded: for=1.1.1.1, for=2.2.2.2\r\nX-Other: a\r\nforwarded: for=3.3.3.3\r\n");
	assert_true(http_forwarded(&request, &hops));
	hops_are(&hops, "3.3.3.3 -; 2.2.2.2 -; 1.1.1.1 -");
	head("X-Forwarded-For: 1.1.1.1\r\n");
	assert_true(http_forwarded(&request, &hops));
	assert_int_equal(hops.count, 0);
}

static void what_is_malformed_is_not_believed(void **state)
{
	(void)state;
	const char *const bad[] = {"for", "for=", "=1.1.1.1", "for=1.1.1.1 proto=http", "for =1.1.1.1", "for= 1.1.1.1",
		"for=\"1.1.1.1", "for=[2001:db8::1]", "for=2001:db8::1", "for=1.1.1.1:80", "for=\"1.1.1.1\"x", "for=1.1.1.1;for=2.2.2.2",
		"for=1.1.1.1;proto=http;proto=https", "for=\"a\\", "for=\"a\\\"", "1.1.1.1", "for=1.1.1.1/"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		malformed(bad[i]);
}

/* A client leaves a quote open, so that what its proxy adds, at the end, is taken for a part of what it said. */
static void an_open_quote_swallows_nothing(void **state)
{
	(void)state;
	malformed("for=\", for=192.0.2.1");
	malformed("for=\", for=\"[2001:db8::1]\"");
	malformed("for=6.6.6.6;x=\", for=\"[2001:db8::1]\";by=\"[2001:db8::2]\"");
	malformed("for=\"\\\", for=\"[2001:db8::1]\"");
	malformed("for=6.6.6.6;x=\", for=1.2.3.4;host=\",for=6.6.6.6\"");
}

static void only_the_last_ones_are_kept(void **state)
{
	(void)state;
	char value[2000] = "";
	size_t at = 0;
	for (int i = 0; i < 40; i++)
		at += (size_t)snprintf(value + at, sizeof value - at, "%sfor=10.0.0.%d", i ? "," : "", i);
	forwarded(value, "10.0.0.39 -; 10.0.0.38 -; 10.0.0.37 -; 10.0.0.36 -; 10.0.0.35 -; 10.0.0.34 -; 10.0.0.33 -; 10.0.0.32 -; "
		"10.0.0.31 -; 10.0.0.30 -; 10.0.0.29 -; 10.0.0.28 -; 10.0.0.27 -; 10.0.0.26 -; 10.0.0.25 -; 10.0.0.24 -");
}

static void x_forwarded(const char *fields, const char *want, const char *proto)
{
	struct http_hops hops;
	head(fields);
	assert_true(http_x_forwarded(&request, &hops));
	hops_are(&hops, want);
	assert_true(slice_eq(hops.proto, slice_from_cstr(proto)));
}

static void the_older_fields_say_the_same(void **state)
{
	(void)state;
	x_forwarded("X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1 -", "");
	x_forwarded("X-Forwarded-For: 192.0.2.1, 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2\r\n", "10.0.0.2 -; 10.0.0.1 -; 192.0.2.1 -", "");
	x_forwarded("X-Forwarded-For: , 192.0.2.1,, 2001:db8::1 ,\r\n", "2001:db8::1 -; 192.0.2.1 -", "");
	x_forwarded("X-Forwarded-For: 192.0.2.1:80, [2001:db8::1]:443, unknown, \"q\"\r\n", "\"q\" -; unknown -; 2001:db8::1 -; 192.0.2.1 -", "");
	x_forwarded("Forwarded: for=1.1.1.1\r\n", "", "");
}

static void a_scheme_is_of_the_address_in_its_place_or_of_all(void **state)
{
	(void)state;
	x_forwarded("X-Forwarded-For: 1.1.1.1, 2.2.2.2\r\nX-Forwarded-Proto: https, http\r\n", "2.2.2.2 http; 1.1.1.1 https", "");
	x_forwarded("X-Forwarded-For: 1.1.1.1, 2.2.2.2\r\nX-Forwarded-Proto: https\r\n", "2.2.2.2 https; 1.1.1.1 https", "");
	x_forwarded("X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https, http\r\n", "1.1.1.1 http", "");
	x_forwarded("X-Forwarded-Proto: http, https\r\n", "", "https");
}

static void schemes_keep_their_places_among_many(void **state)
{
	(void)state;
	char fields[2000] = "X-Forwarded-For: 1.1.1.1", *end = fields + strlen(fields);
	struct http_hops hops;
	for (int i = 0; i < 19; i++)
		end += sprintf(end, ",10.0.0.%d", i);
	end += sprintf(end, "\r\nX-Forwarded-Proto: p");
	for (int i = 0; i < 19; i++)
		end += sprintf(end, ",p%d", i);
	sprintf(end, "\r\n");
	head(fields);
	assert_true(http_x_forwarded(&request, &hops));
	assert_int_equal(hops.count, HTTP_HOPS_MAX);
	for (int i = 0; i < HTTP_HOPS_MAX; i++) {
		char node[16], proto[16];
		sprintf(node, "10.0.0.%d", 18 - i);
		sprintf(proto, "p%d", 18 - i);
		assert_true(slice_eq(hops.hop[i].node, slice_from_cstr(node)));
		assert_true(slice_eq(hops.hop[i].proto, slice_from_cstr(proto)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_element_is_a_claim_from_the_nearest_on),
		cmocka_unit_test(nodes_lose_their_ports_and_brackets),
		cmocka_unit_test(fields_are_one_list),
		cmocka_unit_test(what_is_malformed_is_not_believed),
		cmocka_unit_test(an_open_quote_swallows_nothing),
		cmocka_unit_test(only_the_last_ones_are_kept),
		cmocka_unit_test(the_older_fields_say_the_same),
		cmocka_unit_test(a_scheme_is_of_the_address_in_its_place_or_of_all),
		cmocka_unit_test(schemes_keep_their_places_among_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
