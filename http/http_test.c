/* Everything beside parsing: responses, conditions, ranges, routes, forms, cookies, dates. */
#include <http/coding.h>
#include <http/conditional.h>
#include <http/cookie.h>
#include <http/date.h>
#include <http/form.h>
#include <http/response.h>
#include <http/route.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static uint8_t memory[65536];
static struct arena arena;

static struct http_request *request(const char *method, const char *fields)
{
	static struct http_request q;
	static char head[4096];
	struct http_parser p;
	arena_init(&arena, memory, sizeof memory, NULL, 0);
	http_parser_init(&p, &arena, 4096);
	int n = snprintf(head, sizeof head, "%s / HTTP/1.1\r\nHost: h\r\n%s\r\n", method, fields);
	assert_int_equal(http_parse_request(&p, slice_of(head, (size_t)n), &q), HTTP_DONE);
	return &q;
}

static void expect_slice(struct slice got, const char *wanted)
{
	if (!slice_eq(got, slice_from_cstr(wanted)))
		print_message("got: %.*s\n", SLICE_ARG(got));
	assert_true(slice_eq(got, slice_from_cstr(wanted)));
}

/* --- Responses -------------------------------------------------------------------------------- */

#define DATE_LINE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
#define DATE_S 784111777

struct built {
	struct http_response r;
	struct slice segment[12], *list;
	uint32_t count;
	struct http_date_cache dates;
	char text[70000];
};

static struct built built;

static struct http_response *build(const struct http_request *q, bool keep)
{
	arena_init(&arena, memory, sizeof memory, NULL, 0);
	http_response_init(&built.r, built.segment, ARRAY_LEN(built.segment), &arena, q, keep);
	return &built.r;
}

static const char *finish(void)
{
	size_t n = 0;
	http_response_date(&built.r, &built.dates, DATE_S);
	assert_false(failed(http_response_finish(&built.r, &built.list, &built.count)));
	for (uint32_t i = 0; i < built.count; i++) {
		memcpy(built.text + n, built.list[i].ptr, built.list[i].len);
		n += built.list[i].len;
	}
	built.text[n] = 0;
	return built.text;
}

static void a_static_asset_is_not_copied(void **state)
{
	(void)state;
	static const struct slice head = SLICE_INIT("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"x\"\r\n");
	static const struct slice body = SLICE_INIT("hello");
	struct http_response *r = build(request("GET", ""), true);
	http_response_static_head(r, 200, head);
	http_response_body(r, body);
	assert_string_equal(finish(), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"x\"\r\n" DATE_LINE
				      "\r\nhello");
	assert_int_equal(built.count, 3);
	assert_ptr_equal(built.list[0].ptr, head.ptr);
	assert_ptr_equal(built.list[2].ptr, body.ptr);
	assert_int_equal(r->bytes_copied, strlen(DATE_LINE) + 2);

	r = build(request("HEAD", ""), false);
	http_response_static_head(r, 200, head);
	http_response_body(r, body);
	assert_string_equal(finish(), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"x\"\r\n" DATE_LINE
				      "Connection: close\r\n\r\n");
}

static void a_page_is_counted_and_framed(void **state)
{
	(void)state;
	struct http_response *r = build(request("GET", ""), true);
	http_response_status(r, 200);
	http_response_static_fields(r, SLICE("Content-Type: text/html\r\n"));
	http_response_header(r, SLICE("X-A"), SLICE("b\tc"));
	http_response_body(r, SLICE("one "));
	http_response_body(r, SLICE(""));
	http_response_body(r, SLICE("two"));
	assert_string_equal(finish(), "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-A: b\tc\r\n" DATE_LINE
				      "Content-Length: 7\r\n\r\none two");
	assert_int_equal(r->bytes_copied, strlen("X-A: b\tc\r\n" DATE_LINE "Content-Length: 7\r\n\r\n"));
	assert_int_equal(built.count, 5);
}

static void framing_fits_status_method_and_version(void **state)
{
	(void)state;
	static const struct {
		uint16_t status;
		bool http10, keep, stream;
		const char *method, *wanted;
	} v[] = {
		{204, false, true, false, "GET", "HTTP/1.1 204 No Content\r\n" DATE_LINE "\r\n"},
		{304, false, true, false, "GET", "HTTP/1.1 304 Not Modified\r\n" DATE_LINE "\r\n"},
		{205, false, true, false, "GET", "HTTP/1.1 205 Reset Content\r\n" DATE_LINE "Content-Length: 0\r\n\r\n"},
		{205, false, true, true, "GET", "HTTP/1.1 205 Reset Content\r\n" DATE_LINE "Content-Length: 0\r\n\r\n"},
		{200, false, true, false, "HEAD", "HTTP/1.1 200 OK\r\n" DATE_LINE "Content-Length: 1\r\n\r\n"},
		{200, true, true, false, "GET",
			"HTTP/1.1 200 OK\r\n" DATE_LINE "Content-Length: 1\r\nConnection: keep-alive\r\n\r\nx"},
		{299, false, false, false, "GET",
			"HTTP/1.1 299 Unknown\r\n" DATE_LINE "Content-Length: 1\r\nConnection: close\r\n\r\nx"},
		{200, false, true, true, "GET",
			"HTTP/1.1 200 OK\r\n" DATE_LINE "Transfer-Encoding: chunked\r\n\r\n"},
		{200, true, true, true, "GET", "HTTP/1.1 200 OK\r\n" DATE_LINE "Connection: close\r\n\r\n"},
	};
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		struct http_request q = *request(v[i].method, "");
		q.version_minor = !v[i].http10;
		struct http_response *r = build(&q, v[i].keep);
		http_response_status(r, v[i].status);
		if (v[i].stream)
			http_response_stream(r);
		else
			http_response_body(r, SLICE("x"));
		assert_string_equal(finish(), v[i].wanted);
	}
	struct http_response *r = build(NULL, true); /* a length that may not be said */
	http_response_status(r, 204);
	http_response_stream_length(r, 7);
	assert_string_equal(finish(), "HTTP/1.1 204 No Content\r\n" DATE_LINE "\r\n");
	uint8_t buf[HTTP_CHUNK_HEAD_MAX];
	expect_slice(http_chunk_head(buf, 26), "1a\r\n");
	expect_slice(http_chunk_head(buf, UINT64_MAX), "ffffffffffffffff\r\n");
}

static void a_response_cannot_be_split(void **state)
{
	(void)state;
	static const struct {
		struct slice name, value;
	} bad[] = {
		{SLICE_INIT("X"), SLICE_INIT("a\r\nSet-Cookie: b")},
		{SLICE_INIT("X"), SLICE_INIT("a\nb")},
		{SLICE_INIT("X"), SLICE_INIT("a\rb")},
		{SLICE_INIT("X"), SLICE_INIT("a\0b")},
		{SLICE_INIT("X"), SLICE_INIT("a\x7f")},
		{SLICE_INIT("X: y\r\nZ"), SLICE_INIT("a")},
		{SLICE_INIT("X "), SLICE_INIT("a")},
		{SLICE_INIT(""), SLICE_INIT("a")},
		{SLICE_INIT("content-LENGTH"), SLICE_INIT("3")},
		{SLICE_INIT("Transfer-Encoding"), SLICE_INIT("chunked")},
		{SLICE_INIT("Connection"), SLICE_INIT("close")},
		{SLICE_INIT("Date"), SLICE_INIT("today")},
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct http_response *r = build(NULL, true);
		http_response_status(r, 200);
		http_response_header(r, bad[i].name, bad[i].value);
		err e = http_response_finish(r, &built.list, &built.count);
		assert_int_equal(e.code, ERR_INVALID);
	}
}

static void response_errors_are_sticky(void **state)
{
	(void)state;
	struct http_response *r = build(NULL, true);
	assert_int_equal(http_response_finish(r, &built.list, &built.count).code, ERR_INVALID);
	r = build(NULL, true);
	http_response_status(r, 1000);
	assert_int_equal(http_response_finish(r, &built.list, &built.count).code, ERR_INVALID);
	r = build(NULL, true);
	http_response_status(r, 200);
	for (int i = 0; i < 8; i++)
		http_response_body(r, SLICE("x"));
	assert_int_equal(http_response_finish(r, &built.list, &built.count).code, ERR_NO_SPACE);
	r = build(NULL, true);
	arena_init(&arena, NULL, 0, NULL, 0);
	http_response_status(r, 200);
	assert_int_equal(http_response_finish(r, &built.list, &built.count).code, ERR_NO_MEMORY);
}

static void fields_grow_up_to_their_limit(void **state)
{
	(void)state;
	char value[1001];
	memset(value, 'v', 1000);
	struct http_response *r = build(NULL, true);
	http_response_status(r, 200);
	for (int i = 0; i < 12; i++)
		http_response_header(r, SLICE("N"), slice_of(value, 1000));
	const char *text = finish();
	assert_int_equal(strlen(text), 17 + 12 * 1005 + strlen(DATE_LINE "Content-Length: 0\r\n\r\n"));
	r = build(NULL, true);
	http_response_status(r, 200);
	for (int i = 0; i < 40; i++)
		http_response_header(r, SLICE("N"), slice_of(value, 1000));
	assert_int_equal(http_response_finish(r, &built.list, &built.count).code, ERR_TOO_LARGE);
}

static void error_pages_are_static(void **state)
{
	(void)state;
	struct http_response *r = build(NULL, false);
	http_response_error_page(r, 404);
	const char *text = finish();
	assert_memory_equal(text, "HTTP/1.1 404 Not Found\r\nContent-Type: text/html", 47);
	assert_non_null(strstr(text, "Connection: close\r\n\r\n<!DOCTYPE html>"));
	assert_non_null(strstr(text, "<h1>404 Not Found</h1>"));
	expect_slice(http_status_reason(404), "Not Found");
	expect_slice(http_status_reason(299), "Unknown");
}

/* --- Conditions and ranges -------------------------------------------------------------------- */

#define THEN "Sun, 06 Nov 1994 08:49:37 GMT"
#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define NOW_S (DATE_S + 1000)

static void conditions_follow_the_order_of_the_specification(void **state)
{
	(void)state;
	static const struct {
		const char *method, *fields, *etag;
		int wanted;
	} v[] = {
		{"GET", "", "\"a\"", 200},
		{"GET", "If-None-Match: \"a\"\r\n", "\"a\"", 304},
		{"HEAD", "If-None-Match: \"x\", W/\"a\"\r\n", "\"a\"", 304},
		{"GET", "If-None-Match: \"x\"\r\nIf-None-Match: \"a\"\r\n", "W/\"a\"", 304},
		{"GET", "If-None-Match: \"a,b\", \"c\"\r\n", "\"a,b\"", 304},
		{"GET", "If-None-Match: a\r\n", "\"a\"", 200},
		{"GET", "If-None-Match: *\r\n", "\"a\"", 304},
		{"PUT", "If-None-Match: *\r\n", "\"a\"", 412},
		{"PUT", "If-None-Match: *\r\n", NULL, 200},
		{"GET", "If-None-Match: \"x\"\r\nIf-Modified-Since: " THEN "\r\n", "\"a\"", 200},
		{"GET", "If-Modified-Since: " THEN "\r\n", "\"a\"", 304},
		{"GET", "If-Modified-Since: " BEFORE "\r\n", "\"a\"", 200},
		{"POST", "If-Modified-Since: " THEN "\r\n", "\"a\"", 200},
		{"GET", "If-Modified-Since: yesterday\r\n", "\"a\"", 200},
		{"PUT", "If-Match: \"a\"\r\n", "\"a\"", 200},
		{"PUT", "If-Match: \"b\"\r\n", "\"a\"", 412},
		{"PUT", "If-Match: W/\"a\"\r\n", "W/\"a\"", 412},
		{"PUT", "If-Match: *\r\n", "\"a\"", 200},
		{"PUT", "If-Match: *\r\n", NULL, 412},
		{"GET", "If-Match: \"a\"\r\nIf-None-Match: \"a\"\r\n", "\"a\"", 304},
		{"PUT", "If-Unmodified-Since: " THEN "\r\n", "\"a\"", 200},
		{"PUT", "If-Unmodified-Since: " BEFORE "\r\n", "\"a\"", 412},
		{"PUT", "If-Match: \"a\"\r\nIf-Unmodified-Since: " BEFORE "\r\n", "\"a\"", 200},
		{"OPTIONS", "If-Match: \"b\"\r\n", "\"a\"", 200},
	};
	static const int status[] = {200, 304, 412};
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		struct http_validators val = {{NULL, 0}, DATE_S, v[i].etag};
		if (v[i].etag)
			val.etag = slice_from_cstr(v[i].etag);
		enum http_condition got = http_condition_evaluate(request(v[i].method, v[i].fields), &val, NOW_S);
		if (status[got] != v[i].wanted)
			print_message("%s %s\n", v[i].method, v[i].fields);
		assert_int_equal(status[got], v[i].wanted);
	}
}

static void single_ranges_are_served(void **state)
{
	(void)state;
	static const struct {
		const char *fields, *wanted;
	} v[] = {
		{"", "whole"},
		{"Range: bytes=0-4\r\n", "bytes 0-4/10"},
		{"Range: bytes=3-\r\n", "bytes 3-9/10"},
		{"Range: bytes=-3\r\n", "bytes 7-9/10"},
		{"Range: bytes=-30\r\n", "bytes 0-9/10"},
		{"Range: Bytes=9-9\r\n", "bytes 9-9/10"},
		{"Range: bytes=5-99999999999999999999999\r\n", "bytes 5-9/10"},
		{"Range: bytes=0-18446744073709551615\r\n", "bytes 0-9/10"},
		{"Range: bytes=10-\r\n", "bytes */10"},
		{"Range: bytes=99999999999999999999999-\r\n", "bytes */10"},
		{"Range: bytes=-0\r\n", "bytes */10"},
		{"Range: bytes=4-3\r\n", "whole"},
		{"Range: bytes=-\r\n", "whole"},
		{"Range: bytes=a-b\r\n", "whole"},
		{"Range: bytes=1\r\n", "whole"},
		{"Range: bytes=0-1,3-4\r\n", "whole"},
		{"Range: items=0-1\r\n", "whole"},
		{"Range: bytes=0-1\r\nIf-Range: \"a\"\r\n", "bytes 0-1/10"},
		{"Range: bytes=0-1\r\nIf-Range: \"b\"\r\n", "whole"},
		{"Range: bytes=0-1\r\nIf-Range: W/\"a\"\r\n", "whole"},
		{"Range: bytes=0-1\r\nIf-Range: " THEN "\r\n", "bytes 0-1/10"},
		{"Range: bytes=0-1\r\nIf-Range: " BEFORE "\r\n", "whole"},
	};
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		struct http_validators val = {SLICE("\"a\""), DATE_S, true};
		struct http_range r = {0, 0};
		uint8_t buf[72];
		enum http_range_result got = http_range_evaluate(request("GET", v[i].fields), &val, 10, NOW_S,
			&r);
		if (got == HTTP_RANGE_WHOLE)
			assert_string_equal(v[i].wanted, "whole");
		else
			expect_slice(http_content_range(buf, r.from, got == HTTP_RANGE_PARTIAL ? r.len : 0, 10),
				v[i].wanted);
	}
}

/* The ranges as "0-4 9-9/10", "whole" or "none". */
static const char *ranges_of(const char *fields, uint64_t size)
{
	static char text[400];
	struct http_validators val = {SLICE("\"a\""), DATE_S, true};
	struct http_range r[HTTP_RANGES_MAX];
	uint32_t count = 99;
	size_t n = 0;
	switch (http_ranges_evaluate(request("GET", fields), &val, size, NOW_S, r, &count)) {
	case HTTP_RANGE_WHOLE:
		return "whole";
	case HTTP_RANGE_UNSATISFIABLE:
		assert_int_equal(count, 0);
		return "none";
	case HTTP_RANGE_PARTIAL:
		break;
	}
	assert_in_range(count, 1, HTTP_RANGES_MAX);
	for (uint32_t i = 0; i < count; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "%s%u-%u", i ? " " : "", (unsigned)r[i].from,
			(unsigned)(r[i].from + r[i].len - 1));
	return text;
}

static void several_ranges_are_put_together_and_bounded(void **state)
{
	(void)state;
	static const struct {
		const char *set, *wanted;
	} v[] = {
		{"0-99,1000-1099", "0-99 1000-1099"},
		{"1000-1099,0-99", "1000-1099 0-99"}, /* in the client's order */
		{" 0-99 , 1000-1099 ,, ", "0-99 1000-1099"},
		{"0-99,-100", "0-99 9900-9999"},
		{"0-99,20000-", "0-99"},
		{"20000-,30000-40000", "none"},
		{"-0,20000-", "none"},
		{"20000-", "none"},
		{"0-99", "0-99"},
		{"", "whole"},
		{",,", "whole"},
		{"0-99,x", "whole"},
		{"0-99,5-4", "whole"},
		{"0-99 1000-1099", "whole"},
		/* What overlaps or nearly does is one. */
		{"0-99,50-149", "0-149"},
		{"0-99,100-199", "0-199"},
		{"0-99,200-299", "0-299"},
		{"0-99,201-299", "0-99 201-299"},
		{"200-299,0-99,5000-5001,100-199", "0-299 5000-5001"},
		{"1000-1099,3000-3099,5000-5099,1000-5099", "1000-5099"},
		{"3000-3099,1000-1099,900-3200,7000-7000", "900-3200 7000-7000"},
		/* All of it is not sent in pieces, nor more than once. */
		{"0-,0-,0-,0-,0-", "0-9999"},
		{"0-4899,5001-9999", "whole"},
		{"0-4000,5001-9000", "0-4000 5001-9000"},
		{"0-1,1000-1,", "whole"},
		/* Sixteen at most. */
		{"0-1,1000-1001,2000-2001,3000-3001,4000-4001,5000-5001,6000-6001,7000-7001,8000-8001,9000-9001,"
		 "500-501,1500-1501,2500-2501,3500-3501,4500-4501,5500-5501",
			"0-1 1000-1001 2000-2001 3000-3001 4000-4001 5000-5001 6000-6001 7000-7001 8000-8001 "
			"9000-9001 500-501 1500-1501 2500-2501 3500-3501 4500-4501 5500-5501"},
		{"0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1,0-1", "whole"},
	};
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		char fields[400];
		snprintf(fields, sizeof fields, "Range: bytes=%s\r\n", v[i].set);
		const char *got = ranges_of(fields, 10000);
		if (strcmp(got, v[i].wanted) != 0)
			print_message("%s: %s\n", v[i].set, got);
		assert_string_equal(got, v[i].wanted);
	}
	assert_string_equal(ranges_of("Range: bytes=0-1,500-600\r\nIf-Range: \"a\"\r\n", 10000), "0-1 500-600");
	assert_string_equal(ranges_of("Range: bytes=0-1,500-600\r\nIf-Range: \"b\"\r\n", 10000), "whole");
	assert_string_equal(ranges_of("Range: bytes=0-1,500-600\r\nIf-Range: " THEN "\r\n", 10000), "0-1 500-600");
	assert_string_equal(ranges_of("Range: bytes=0-1\r\nRange: bytes=500-600\r\n", 10000), "whole");
	assert_string_equal(ranges_of("Range: items=0-1,500-600\r\n", 10000), "whole");
	assert_string_equal(ranges_of("", 10000), "whole");
	assert_string_equal(ranges_of("Range: bytes=0-1,3-4\r\n", 0), "none");
}

/* --- Codings ---------------------------------------------------------------------------------- */

static void accept_encoding_weighs_each_coding(void **state)
{
	(void)state;
	static const struct {
		const char *fields;
		int identity, gzip, brotli;
	} v[] = {
		{"", 1, 0, 0},
		{"Accept-Encoding: \r\n", 1, 0, 0},
		{"Accept-Encoding: gzip\r\n", 1, 1001, 0},
		{"Accept-Encoding: x-gzip\r\n", 1, 1001, 0},
		{"Accept-Encoding: GZip, BR\r\n", 1, 1001, 1001},
		{"Accept-Encoding: gzip, deflate, br, zstd\r\n", 1, 1001, 1001},
		{"accept-encoding: compress;q=0.5, gzip;q=1.0\r\n", 1, 1001, 0},
		{"Accept-Encoding: gzip;q=0.5,br ; q=0.25\r\n", 1, 501, 251},
		{"Accept-Encoding: gzip;Q=0.125\r\n", 1, 126, 0},
		{"Accept-Encoding: gzip;q=0.001\r\n", 1, 2, 0},
		{"Accept-Encoding: gzip;q=0\r\n", 1, 0, 0},
		{"Accept-Encoding: gzip;q=0.000, br;q=1.000\r\n", 1, 0, 1001},
		{"Accept-Encoding: *\r\n", 1001, 1001, 1001},
		{"Accept-Encoding: *;q=0.1, gzip\r\n", 101, 1001, 101},
		{"Accept-Encoding: gzip;q=0, *\r\n", 1001, 0, 1001},
		{"Accept-Encoding: *;q=0\r\n", 0, 0, 0},
		{"Accept-Encoding: gzip, *;q=0\r\n", 0, 1001, 0},
		{"Accept-Encoding: identity;q=0.5, *;q=0\r\n", 501, 0, 0},
		{"Accept-Encoding: gzip;q=1.0, identity; q=0.5, *;q=0\r\n", 501, 1001, 0},
		{"Accept-Encoding: identity;q=0\r\n", 0, 0, 0},
		{"Accept-Encoding: identity\r\n", 1001, 0, 0},
		{"Accept-Encoding: gzip\r\nAccept-Encoding: br;q=0.5\r\n", 1, 1001, 501},
		{"Accept-Encoding: gzip\r\nX-Other: 1\r\nAccept-Encoding: identity;q=0\r\n", 0, 1001, 0},
		/* What is malformed is left out. */
		{"Accept-Encoding: gzip;q=2\r\n", 1, 0, 0},
		{"Accept-Encoding: gzip;q=1.001, br\r\n", 1, 0, 1001},
		{"Accept-Encoding: gzip;q=0.1234, br\r\n", 1, 0, 1001},
		{"Accept-Encoding: gzip;q=, br\r\n", 1, 0, 1001},
		{"Accept-Encoding: gzip;q=a, br\r\n", 1, 0, 1001},
		{"Accept-Encoding: gzip;q=0x5, br\r\n", 1, 0, 1001},
		{"Accept-Encoding: gzip;level=9, br\r\n", 1, 0, 1001},
		{"Accept-Encoding: ,;, ,;q=1,gzi, gzipp, \"gzip\", ,br,\r\n", 1, 0, 1001},
	};
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		uint16_t weight[HTTP_CODING_COUNT];
		http_accept_encoding(request("GET", v[i].fields), weight);
		if (weight[0] != v[i].identity || weight[1] != v[i].gzip || weight[2] != v[i].brotli)
			fail_msg("%s: %u %u %u", v[i].fields, weight[0], weight[1], weight[2]);
	}
}

/* --- Routes ----------------------------------------------------------------------------------- */

static const struct http_route routes[] = {
	{HTTP_GET, SLICE_INIT("/files/{path...}")},
	{HTTP_GET, SLICE_INIT("/entry/{id}")},
	{HTTP_GET, SLICE_INIT("/")},
	{HTTP_POST, SLICE_INIT("/entry/{id}")},
	{HTTP_GET, SLICE_INIT("/entry/new")},
	{HTTP_GET, SLICE_INIT("/{a}/{b}")},
	{HTTP_DELETE, SLICE_INIT("/files/{one}")},
};

static void routes_match_the_most_literal(void **state)
{
	(void)state;
	static const struct {
		enum http_method method;
		struct slice path;
		const char *wanted;
	} v[] = {
		{HTTP_GET, SLICE_INIT("/"), "2"},
		{HTTP_HEAD, SLICE_INIT("/"), "2"},
		{HTTP_GET, SLICE_INIT("/entry/7"), "1 id=7"},
		{HTTP_POST, SLICE_INIT("/entry/7"), "3 id=7"},
		{HTTP_GET, SLICE_INIT("/entry/new"), "4"},
		{HTTP_POST, SLICE_INIT("/entry/new"), "3 id=new"},
		{HTTP_GET, SLICE_INIT("/files/"), "0 path="},
		{HTTP_GET, SLICE_INIT("/files/a/b"), "0 path=a/b"},
		{HTTP_GET, SLICE_INIT("/files/a"), "0 path=a"},
		{HTTP_DELETE, SLICE_INIT("/files/a"), "6 one=a"},
		{HTTP_GET, SLICE_INIT("/x/y"), "5 a=x b=y"},
		{HTTP_GET, SLICE_INIT("/x/"), "404"},
		{HTTP_GET, SLICE_INIT("/entry/7/"), "404"},
		{HTTP_GET, SLICE_INIT("/files"), "404"},
		{HTTP_GET, SLICE_INIT("/nope"), "404"},
		{HTTP_PUT, SLICE_INIT("/entry/7"), "405 GET, HEAD, POST, OPTIONS"},
		{HTTP_POST, SLICE_INIT("/"), "405 GET, HEAD, OPTIONS"},
		{HTTP_OPTIONS, SLICE_INIT("/entry/7"), "options GET, HEAD, POST, OPTIONS"},
		{HTTP_OPTIONS, SLICE_INIT("/nope"), "404"},
		{HTTP_OPTIONS, SLICE_INIT("*"), "options GET, HEAD, POST, DELETE, OPTIONS"},
	};
	uint32_t row;
	assert_false(failed(http_routes_check(routes, ARRAY_LEN(routes), &row)));
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		struct http_match m;
		char got[256] = "404";
		arena_init(&arena, memory, sizeof memory, NULL, 0);
		enum http_route_result result = http_route_find(routes, ARRAY_LEN(routes), v[i].method,
			v[i].path, &m);
		struct slice allow = http_allow_list(m.allow, &arena);
		if (result == HTTP_ROUTE_METHOD || result == HTTP_ROUTE_OPTIONS)
			snprintf(got, sizeof got, "%s %.*s", result == HTTP_ROUTE_METHOD ? "405" : "options",
				SLICE_ARG(allow));
		if (result == HTTP_ROUTE_FOUND) {
			int n = snprintf(got, sizeof got, "%u", m.index);
			for (uint32_t k = 0; k < m.param_count; k++)
				n += snprintf(got + n, sizeof got - (size_t)n, " %.*s=%.*s",
					SLICE_ARG(m.param[k].name), SLICE_ARG(m.param[k].value));
		}
		assert_string_equal(got, v[i].wanted);
	}
}

static void bad_route_tables_are_refused(void **state)
{
	(void)state;
	static const struct slice bad[] = {
		SLICE_INIT(""), SLICE_INIT("a"), SLICE_INIT("/{}"), SLICE_INIT("/{a...}/b"), SLICE_INIT("/a{b}"),
		SLICE_INIT("/{a"), SLICE_INIT("/a//b"), SLICE_INIT("/{1a}"), SLICE_INIT("/{a b}"),
		SLICE_INIT("/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}"),
	};
	uint32_t row;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct http_route table[2] = {{HTTP_GET, SLICE("/ok")}, {HTTP_GET, bad[i]}};
		assert_true(failed(http_routes_check(table, 2, &row)));
		assert_int_equal(row, 1);
	}
	struct http_route twice[2] = {{HTTP_GET, SLICE("/a/{x}")}, {HTTP_GET, SLICE("/a/{y}")}};
	assert_true(failed(http_routes_check(twice, 2, &row)));
	twice[1].method = HTTP_POST;
	assert_false(failed(http_routes_check(twice, 2, &row)));
}

/* --- Forms and cookies ------------------------------------------------------------------------ */

static void forms_are_decoded(void **state)
{
	(void)state;
	struct http_form f;
	uint32_t at = 0;
	arena_init(&arena, memory, sizeof memory, NULL, 0);
	struct slice text = SLICE("name=J%C3%BC+x&&b=&c&=d&name=2%&p=a%3Db%26%zz&q=1=2");
	assert_false(failed(http_form_parse(text, 10, &arena, &f)));
	assert_int_equal(f.count, 7);
	expect_slice(http_form_get(&f, SLICE("name")), "J\xc3\xbc x");
	expect_slice(http_form_next(&f, SLICE("name"), &at), "J\xc3\xbc x");
	expect_slice(http_form_next(&f, SLICE("name"), &at), "2%");
	assert_null(http_form_next(&f, SLICE("name"), &at).ptr);
	expect_slice(http_form_get(&f, SLICE("p")), "a=b&%zz");
	expect_slice(http_form_get(&f, SLICE("q")), "1=2");
	expect_slice(http_form_get(&f, SLICE("")), "d");
	assert_non_null(http_form_get(&f, SLICE("c")).ptr);
	assert_null(http_form_get(&f, SLICE("d")).ptr);
	assert_ptr_equal(http_form_get(&f, SLICE("q")).ptr, text.ptr + text.len - 3);
	assert_int_equal(http_form_parse(text, 6, &arena, &f).code, ERR_TOO_LARGE);
	assert_false(failed(http_form_parse(SLICE(""), 0, &arena, &f)));
	assert_int_equal(f.count, 0);
	arena_init(&arena, NULL, 0, NULL, 0);
	assert_int_equal(http_form_parse(text, 10, &arena, &f).code, ERR_NO_MEMORY);
}

static void percent_coding_goes_both_ways(void **state)
{
	(void)state;
	struct slice out;
	uint8_t buf[256 * 3], all[256];
	arena_init(&arena, memory, sizeof memory, NULL, 0);
	for (unsigned i = 0; i < 256; i++)
		all[i] = (uint8_t)i;
	struct writer w = writer_of(buf, sizeof buf);
	http_percent_encode(&w, slice_of(all, 256));
	assert_false(failed(http_percent_decode(writer_slice(&w), &arena, &out)));
	assert_true(slice_eq(out, slice_of(all, 256)));
	w = writer_of(buf, sizeof buf);
	http_percent_encode(&w, SLICE("a/b?~ \xff"));
	expect_slice(writer_slice(&w), "a%2Fb%3F~%20%FF");
	assert_int_equal(http_percent_decode(SLICE("a%4"), &arena, &out).code, ERR_INVALID);
	assert_int_equal(http_percent_decode(SLICE("%g0"), &arena, &out).code, ERR_INVALID);
	assert_false(failed(http_percent_decode(SLICE("a+b"), &arena, &out)));
	expect_slice(out, "a+b");
}

static void only_well_formed_utf8_is_valid(void **state)
{
	(void)state;
	static const struct slice good[] = {SLICE_INIT(""), SLICE_INIT("az\x7f"), SLICE_INIT("\xc2\x80\xdf\xbf"),
		SLICE_INIT("\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80"), SLICE_INIT("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf")};
	static const struct slice bad[] = {SLICE_INIT("\x80"), SLICE_INIT("\xc0\x80"), SLICE_INIT("\xc1\xbf"),
		SLICE_INIT("\xc2"), SLICE_INIT("\xc2\x41"), SLICE_INIT("\xe0\x9f\xbf"), SLICE_INIT("\xed\xa0\x80"),
		SLICE_INIT("\xe2\x82"), SLICE_INIT("\xf0\x8f\xbf\xbf"), SLICE_INIT("\xf4\x90\x80\x80"),
		SLICE_INIT("\xf5\x80\x80\x80"), SLICE_INIT("\xff")};
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(http_utf8_is_valid(good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(http_utf8_is_valid(bad[i]));
}

static void cookies_are_found(void **state)
{
	(void)state;
	struct http_request *q = request("GET", "Cookie: a=1; b=\"two\";c= x =y ; aa=3\r\nCookie: d=4; a=9\r\n");
	expect_slice(http_cookie_get(q, SLICE("a")), "1");
	expect_slice(http_cookie_get(q, SLICE("b")), "two");
	expect_slice(http_cookie_get(q, SLICE("c")), "x =y");
	expect_slice(http_cookie_get(q, SLICE("aa")), "3");
	expect_slice(http_cookie_get(q, SLICE("d")), "4");
	assert_null(http_cookie_get(q, SLICE("A")).ptr);
	assert_null(http_cookie_get(q, SLICE("")).ptr);
}

/* As servers meet them: from scripts, old software and people who try things. */
static void what_is_no_cookie_is_skipped(void **state)
{
	(void)state;
	struct http_request *q = request("GET", "Cookie: ; ;;lonely; =nameless; \"q\"=1; a = \"; b=\"; c=\"\"; d={\"x\":1}; "
						 "e=f=g;\th\t=\t7\t; a=second; i\r\n");
	expect_slice(http_cookie_get(q, SLICE("a")), "\"");
	expect_slice(http_cookie_get(q, SLICE("b")), "\"");
	expect_slice(http_cookie_get(q, SLICE("c")), "");
	assert_non_null(http_cookie_get(q, SLICE("c")).ptr);
	expect_slice(http_cookie_get(q, SLICE("d")), "{\"x\":1}");
	expect_slice(http_cookie_get(q, SLICE("e")), "f=g");
	expect_slice(http_cookie_get(q, SLICE("h")), "7");
	assert_null(http_cookie_get(q, SLICE("lonely")).ptr);
	assert_null(http_cookie_get(q, SLICE("i")).ptr);
	assert_null(http_cookie_get(q, SLICE("q")).ptr);
	assert_null(http_cookie_get(q, SLICE("")).ptr);
	assert_null(http_cookie_find(SLICE(""), SLICE("a")).ptr);
}

static void cookies_are_written_and_refused(void **state)
{
	(void)state;
	struct slice out;
	arena_init(&arena, memory, sizeof memory, NULL, 0);
	struct http_cookie c = {.name = SLICE("__Host-s"), .value = SLICE("v"), .path = SLICE("/"),
		.has_max_age = true, .max_age_s = 60, .http_only = true, .secure = true,
		.same_site = HTTP_SAME_SITE_LAX};
	assert_false(failed(http_cookie_format(&c, &arena, &out)));
	expect_slice(out, "__Host-s=v; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax");
	c.domain = SLICE("example.org");
	assert_true(failed(http_cookie_format(&c, &arena, &out)));
	c = (struct http_cookie){.name = SLICE("s"), .has_max_age = true, .max_age_s = -1};
	assert_false(failed(http_cookie_format(&c, &arena, &out)));
	expect_slice(out, "s=; Max-Age=0");
	c = (struct http_cookie){.name = SLICE("s"), .value = SLICE("!#$/[]~"), .domain = SLICE("example.org"),
		.has_expires = true, .expires_s = DATE_S, .secure = true, .same_site = HTTP_SAME_SITE_NONE};
	assert_false(failed(http_cookie_format(&c, &arena, &out)));
	expect_slice(out, "s=!#$/[]~; Domain=example.org; Expires=" THEN "; Secure; SameSite=None");
	static uint8_t letters[HTTP_COOKIE_MAX + 1];
	memset(letters, 'x', sizeof letters);
	c = (struct http_cookie){.name = SLICE("s"), .value = slice_of(letters, HTTP_COOKIE_MAX - 1)};
	assert_null(http_cookie_problem(&c));
	c.value.len++;
	assert_non_null(strstr(http_cookie_problem(&c), "4096"));
	letters[0] = '/';
	c = (struct http_cookie){.name = SLICE("s"), .path = slice_of(letters, HTTP_COOKIE_ATTRIBUTE_MAX)};
	assert_null(http_cookie_problem(&c));
	c.path.len++;
	assert_non_null(strstr(http_cookie_problem(&c), "1024"));
	static const struct http_cookie bad[] = {
		{.name = SLICE_INIT("")},
		{.name = SLICE_INIT("a b")},
		{.name = SLICE_INIT("a"), .value = SLICE_INIT("b;c")},
		{.name = SLICE_INIT("a"), .value = SLICE_INIT("b\r\nc")},
		{.name = SLICE_INIT("a"), .value = SLICE_INIT("b c")},
		{.name = SLICE_INIT("a"), .path = SLICE_INIT("x")},
		{.name = SLICE_INIT("a"), .path = SLICE_INIT("/;x")},
		{.name = SLICE_INIT("a"), .domain = SLICE_INIT("x;y")},
		{.name = SLICE_INIT("a"), .same_site = HTTP_SAME_SITE_NONE},
		{.name = SLICE_INIT("__secure-a")},
		{.name = SLICE_INIT("__HOST-a"), .secure = true},
		{.name = SLICE_INIT("__Host-a"), .secure = true, .path = SLICE_INIT("/x")},
		{.name = SLICE_INIT("a"), .value = SLICE_INIT("\xc3\xa9")},
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(http_cookie_format(&bad[i], &arena, &out).code, ERR_INVALID);
}

/* --- Dates ------------------------------------------------------------------------------------ */

static void dates_are_written_and_read(void **state)
{
	(void)state;
	static const int64_t seconds[] = {0, 951782400, 951868799, 951868800, DATE_S, 1709164800, 4107542399,
		4107542400, 253402300799};
	uint8_t out[HTTP_DATE_LEN];
	int64_t got;
	http_date_format(DATE_S, out);
	expect_slice(slice_of(out, HTTP_DATE_LEN), THEN);
	http_date_format(951782400, out);
	expect_slice(slice_of(out, HTTP_DATE_LEN), "Tue, 29 Feb 2000 00:00:00 GMT");
	http_date_format(INT64_MAX, out);
	expect_slice(slice_of(out, HTTP_DATE_LEN), "Fri, 31 Dec 9999 23:59:59 GMT");
	http_date_format(-1, out);
	expect_slice(slice_of(out, HTTP_DATE_LEN), "Thu, 01 Jan 1970 00:00:00 GMT");
	for (size_t i = 0; i < ARRAY_LEN(seconds); i++) {
		http_date_format(seconds[i], out);
		assert_true(http_date_parse(slice_of(out, HTTP_DATE_LEN), 0, &got));
		assert_true(got == seconds[i]);
	}
	struct http_date_cache cache = {0};
	expect_slice(http_date_line(&cache, DATE_S), DATE_LINE);
	expect_slice(http_date_line(&cache, DATE_S - 1), "Date: " BEFORE "\r\n");
}

static void all_three_forms_are_read_and_others_refused(void **state)
{
	(void)state;
	static const struct slice good[] = {SLICE_INIT(THEN), SLICE_INIT("Sunday, 06-Nov-94 08:49:37 GMT"),
		SLICE_INIT("Sun Nov  6 08:49:37 1994")};
	static const struct slice bad[] = {SLICE_INIT(""), SLICE_INIT("Sun"), SLICE_INIT("Sun, 06 Nov 1994"),
		SLICE_INIT("Sun, 06 Nov 1994 08:49:37 UTC"), SLICE_INIT("Sun, 31 Feb 1994 08:49:37 GMT"),
		SLICE_INIT("Sun, 00 Nov 1994 08:49:37 GMT"), SLICE_INIT("Sun, 06 Nov 1994 24:49:37 GMT"),
		SLICE_INIT("Sun, 06 nov 1994 08:49:37 GMT"), SLICE_INIT("Sun, 06 Nov 1994 08:49:37 GMT "),
		SLICE_INIT("Xxx, 06 Nov 1994 08:49:37 GMT"), SLICE_INIT("Sun, 29 Feb 1900 08:49:37 GMT"),
		SLICE_INIT("Sunday, 06-Nov-1994 08:49:37 GMT"), SLICE_INIT("0"), SLICE_INIT("-1")};
	int64_t got;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_true(http_date_parse(good[i], DATE_S, &got));
		assert_int_equal(got, DATE_S);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(http_date_parse(bad[i], DATE_S, &got));
	/* 2026: "94" is 1994, "70" is 2070. */
	assert_true(http_date_parse(good[1], 1790000000, &got));
	assert_int_equal(got, DATE_S);
	assert_true(http_date_parse(SLICE("Thursday, 02-Jan-70 00:00:00 GMT"), 1790000000, &got));
	assert_true(got > 1790000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_static_asset_is_not_copied),
		cmocka_unit_test(a_page_is_counted_and_framed),
		cmocka_unit_test(framing_fits_status_method_and_version),
		cmocka_unit_test(a_response_cannot_be_split),
		cmocka_unit_test(response_errors_are_sticky),
		cmocka_unit_test(fields_grow_up_to_their_limit),
		cmocka_unit_test(error_pages_are_static),
		cmocka_unit_test(conditions_follow_the_order_of_the_specification),
		cmocka_unit_test(single_ranges_are_served),
		cmocka_unit_test(several_ranges_are_put_together_and_bounded),
		cmocka_unit_test(accept_encoding_weighs_each_coding),
		cmocka_unit_test(routes_match_the_most_literal),
		cmocka_unit_test(bad_route_tables_are_refused),
		cmocka_unit_test(forms_are_decoded),
		cmocka_unit_test(percent_coding_goes_both_ways),
		cmocka_unit_test(only_well_formed_utf8_is_valid),
		cmocka_unit_test(cookies_are_found),
		cmocka_unit_test(what_is_no_cookie_is_skipped),
		cmocka_unit_test(cookies_are_written_and_refused),
		cmocka_unit_test(dates_are_written_and_read),
		cmocka_unit_test(all_three_forms_are_read_and_others_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
