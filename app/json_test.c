/* Answers in JSON, and ETags of what handlers answer. */
#include "support/site_json.h"

#include "json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct world *start(void)
{
	return world_new((struct world_options){.seed = 5});
}

static struct world *start_with_database(void)
{
	return world_new((struct world_options){.seed = 5, .database = true});
}

/* --- A strict reader (RFC 8259) --------------------------------------------------------------- */

/* What follows the value at p; NULL: there is none. */
static const uint8_t *value_end(const uint8_t *p, const uint8_t *end, int depth);

static const uint8_t *digits_end(const uint8_t *p, const uint8_t *end)
{
	const uint8_t *from = p;
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p > from ? p : NULL;
}

static const uint8_t *number_end(const uint8_t *p, const uint8_t *end)
{
	p += p < end && *p == '-';
	p = p < end && *p == '0' ? p + 1 : digits_end(p, end);
	if (p && p < end && *p == '.')
		p = digits_end(p + 1, end);
	if (p && p < end && *p == 'e') {
		p++;
		p += p < end && (*p == '-' || *p == '+');
		p = digits_end(p, end);
	}
	return p;
}

static const uint8_t *string_end(const uint8_t *p, const uint8_t *end)
{
	for (p++; p < end && *p != '"'; p++) {
		if (*p < 0x20)
			return NULL;
		if (*p == '\\' && ++p < end && *p == 'u') {
			for (int i = 0; i < 4; i++)
				if (++p >= end || !strchr("0123456789abcdef", *p))
					return NULL;
		} else if (p[-1] == '\\' && (p >= end || !strchr("\"\\/bfnrt", *p))) {
			return NULL;
		}
	}
	return p < end ? p + 1 : NULL;
}

static const uint8_t *items_end(const uint8_t *p, const uint8_t *end, int depth)
{
	bool object = *p == '{';
	uint8_t close = object ? '}' : ']';
	if (depth == 0 || (++p < end && *p == close))
		return depth ? p + 1 : NULL;
	for (;; p++) {
		if (object && (p >= end || *p != '"' || !(p = string_end(p, end)) || p >= end || *p++ != ':'))
			return NULL;
		p = value_end(p, end, depth - 1);
		if (!p || p >= end || (*p != ',' && *p != close))
			return NULL;
		if (*p == close)
			return p + 1;
	}
}

static const uint8_t *value_end(const uint8_t *p, const uint8_t *end, int depth)
{
	static const char *const words[] = {"true", "false", "null"};
	if (p >= end)
		return NULL;
	if (*p == '{' || *p == '[')
		return items_end(p, end, depth);
	if (*p == '"')
		return string_end(p, end);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (slice_starts_with(slice_of(p, (size_t)(end - p)), slice_from_cstr(words[i])))
			return p + strlen(words[i]);
	return number_end(p, end);
}

static bool is_json(struct slice s)
{
	return value_end(s.ptr, s.ptr + s.len, 100) == s.ptr + s.len;
}

static void the_reader_is_strict(void **state)
{
	(void)state;
	static const char *const good[] = {"0", "-1.5e+10", "\"\\u00ff\\n\"", "[]", "{}", "[1,[{\"a\":null}],\"\"]"};
	static const char *const bad[] = {"", "01", "1.", ".5", "+1", "-", "1e", "\"\\x\"", "\"\n\"", "\"", "[1,]", "[,1]", "[1 2]",
		"{a:1}", "{\"a\"}", "{\"a\":1,}", "nul", "[1", "[1]]", "1,2", "'a'", "NaN", "\"\\u12\""};
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(is_json(slice_from_cstr(good[i])));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(is_json(slice_from_cstr(bad[i])));
}

/* --- Values ----------------------------------------------------------------------------------- */

static void each_value_is_written_as_what_it_is(void **state)
{
	(void)state;
	static const char *const base64[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="},
		{"%7e%7f~%3e%3f", "fn9+Pj8="}};
	struct world *w = start();
	struct client *c = client_new(w);
	for (size_t i = 0; i < ARRAY_LEN(base64); i++) {
		char target[64], wanted[300];
		snprintf(target, sizeof target, "/json/values?bytes=%s", base64[i][0]);
		snprintf(wanted, sizeof wanted,
			"{\"text\":\"plain\",\"least\":-9223372036854775808,\"real\":-0.25,\"yes\":true,\"no\":false,\"nothing\":null,"
			"\"bytes\":\"%s\",\"list\":[1,{},[]],\"a \\\"key\\\"\\n\":\"\"}", base64[i][1]);
		struct answer a = client_get(c, target);
		assert_int_equal(a.status, 201);
		assert_text(answer_field(&a, "Content-Type"), "application/json");
		assert_text(answer_field(&a, "X-Content-Type-Options"), "nosniff");
		assert_text(answer_field(&a, "X-Whole"), "yes");
		assert_text(a.body, wanted);
		assert_true(is_json(a.body));
	}
	world_end(w);
}

/* One U+FFFD for as much as could have become a character: as a browser reads it. */
static void text_is_escaped_and_what_is_no_utf8_is_replaced(void **state)
{
	(void)state;
	struct world *w = start();
	struct answer a = client_get(client_new(w), "/json/strings");
#define R "\xef\xbf\xbd"
	assert_text(a.body, "[\"\\u0000\\u001f\\b\\t\\n\\u000b\\f\\r\\\"\\\\/\x7f<&'\",\"a\xc3\xa4\xe6\xbc\xa2\xf0\x9f\x96\x8bz\","
		"\"" R "|" R "|" R "|" R "|" R R "|" R R R "|" R R R R "|" R "\",\"" R "(" R "\",\"end" R "\"]");
	assert_true(is_json(a.body));
	world_end(w);
}

static void a_real_has_the_digits_that_give_it_back(void **state)
{
	(void)state;
	static const char *const start_of[] = {"0", "-0", "1", "-1.5", "0.1", "0.3", "0.3333333333333333", "123456.789",
		"100000000000000000000", "1e+21", "123456789012345680000", "0.000001", "1e-7", "4.35", "5e-324",
		"2.2250738585072014e-308", "1.7976931348623157e+308", "2.225073858507201e-308", "9007199254740992", "1e+23",
		"2023347301156851.2", "0.00022935867309570312", "null", "null"};
	struct world *w = start();
	struct answer a = client_get(client_new(w), "/json/reals");
	assert_true(is_json(a.body));
	const char *p = (const char *)a.body.ptr + 1;
	for (size_t i = 0; i < ARRAY_LEN(start_of); i++) {
		size_t len = strcspn(p, ",]");
		assert_int_equal(len, strlen(start_of[i]));
		assert_memory_equal(p, start_of[i], len);
		if (i < json_site_real_count)
			assert_true(strtod(p, NULL) == json_site_real[i]);
		p += len + 1;
	}
	world_end(w);
}

/* Any double: its text is read as the same one, and no text with a digit fewer is. */
static void a_reals_digits_are_as_few_as_can_be(void **state)
{
	(void)state;
	uint64_t seed = 88172645463325252;
	for (int i = -2046; i < 20000; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		uint64_t bits = seed;
		if (i % 2) /* around 1, and few digits */
			bits = (bits & ~UINT64_C(0x7ff00000ffffffff)) | (UINT64_C(1000) + bits % 60) << 52;
		if (i < 0) /* the powers of two: what is below them lies half as near */
			bits = (uint64_t)-i << 52;
		double v;
		memcpy(&v, &bits, sizeof v);
		if (!isfinite(v))
			continue;
		char text[JSON_REAL_MAX + 1], shorter[40];
		struct writer w = writer_of(text, JSON_REAL_MAX);
		json_real_write(&w, v);
		assert_false(w.failed);
		*w.pos = 0;
		assert_true(strtod(text, NULL) == v && signbit(strtod(text, NULL)) == signbit(v) && is_json(writer_slice(&w)));
		int digits = 0;
		for (const char *p = text; *p && *p != 'e'; p++)
			digits += *p >= (digits ? '0' : '1') && *p <= '9';
		for (const char *p = text + strcspn(text, "e"); p > text && !strchr(text, '.') && p[-1] == '0'; p--)
			digits--;
		snprintf(shorter, sizeof shorter, "%.*e", digits > 1 ? digits - 2 : 0, v);
		assert_true(digits == 1 || strtod(shorter, NULL) != v);
	}
}

static void integers_that_others_would_round_are_text_where_that_is_wanted(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	struct answer a = client_get(c, "/json/longs");
	assert_text(a.body, "[9007199254740992,9007199254740993,-9007199254740993,9223372036854775807]");
	a = client_get(c, "/json/longs?text=1");
	assert_text(a.body, "[9007199254740992,\"9007199254740993\",\"-9007199254740993\",\"9223372036854775807\"]");
	world_end(w);
}

/* --- Structure -------------------------------------------------------------------------------- */

static void what_would_be_no_json_is_500_and_logged(void **state)
{
	(void)state;
	static const char *const log[] = {"only members of objects have names", "an answer without a value",
		"a member of an object needs a name", "only members of objects have names", "an object or an array is not closed",
		"json_close, and nothing is open", "a second value", "99 is not a status"};
	for (size_t i = 0; i < ARRAY_LEN(log); i++) {
		struct world *w = start();
		char target[64];
		snprintf(target, sizeof target, "/json/mistake?n=%d", (int)i);
		struct answer a = client_get(client_new(w), target);
		assert_int_equal(a.status, 500);
		assert_true(world_logged(w, log[i]));
		world_end(w);
	}
}

static void objects_and_arrays_nest_up_to_a_limit(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	struct answer a = client_get(c, "/json/deep?n=4");
	assert_text(a.body, "{\"list\":[[{}]]}");
	a = client_get(c, "/json/deep?n=60");
	assert_int_equal(a.status, 200);
	assert_true(is_json(a.body));
	a = client_get(c, "/json/deep?n=61");
	assert_int_equal(a.status, 500);
	assert_true(world_logged(w, "more than 60 objects and arrays"));
	world_end(w);
}

static void a_second_answer_in_json_is_500_and_logged(void **state)
{
	(void)state;
	struct world *w = start();
	struct answer a = client_get(client_new(w), "/json/late");
	assert_int_equal(a.status, 500);
	assert_true(world_logged(w, "GET /json/late: a second answer"));
	world_end(w);
}

/* --- Length ----------------------------------------------------------------------------------- */

static void check_count(struct slice body, int64_t n)
{
	size_t at = 1;
	assert_true(is_json(body));
	for (int64_t i = 0; i < n; i++) {
		char text[24];
		size_t len = (size_t)snprintf(text, sizeof text, "%s%ld", i ? "," : "", (long)i);
		assert_memory_equal(body.ptr + at, text, len);
		at += len;
	}
	assert_int_equal(at + 1, body.len);
}

/* 24,000 bytes are 5,022 numbers. */
static void a_long_answer_goes_on_piece_by_piece(void **state)
{
	(void)state;
	static const int n[] = {0, 1, 830, 835, 1000, 1030, 5000, 5020, 5021, 5022, 5023, 5024, 5025, 5030, 7000, 300000};
	struct world *w = start();
	struct client *c = client_new(w);
	for (size_t i = 0; i < ARRAY_LEN(n); i++) {
		char target[64];
		snprintf(target, sizeof target, "/json/count?n=%d", n[i]);
		struct answer a = client_get(c, target);
		assert_int_equal(a.status, 200);
		assert_text(answer_field(&a, "Content-Type"), "application/json");
		assert_text(answer_field(&a, "Cache-Control"), "no-cache");
		check_count(a.body, n[i]);
		bool kept = a.body.len <= JSON_WHOLE_MAX;
		assert_int_equal(answer_field(&a, "ETag").len > 0, kept);
		/* (A stream whose end comes before its first piece has left has a length as well.) */
		if (kept || a.body.len > 40000)
			assert_int_equal(answer_field(&a, "Content-Length").len > 0, kept);
	}
	assert_int_equal(server_stats(w->server).connections, 1);
	world_end(w);
}

static void to_head_there_is_a_head_alone(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	struct answer get = client_get(c, "/json/count?n=100"), head;
	char etag[32];
	snprintf(etag, sizeof etag, "%.*s", SLICE_ARG(answer_field(&get, "ETag")));
	client_text(c, "HEAD /json/count?n=100 HTTP/1.1\r\nHost: t\r\n\r\n");
	head = client_answer_to_head(c);
	assert_text(answer_field(&head, "Content-Length"), "291");
	assert_text(answer_field(&head, "ETag"), etag);
	client_text(c, "HEAD /json/count?n=1000000 HTTP/1.1\r\nHost: t\r\n\r\n");
	head = client_answer_to_head(c);
	assert_int_equal(head.status, 200);
	assert_text(answer_field(&head, "Content-Type"), "application/json");
	world_end(w);
}

static void a_failure_is_an_error_page_or_a_cut_but_never_a_whole_answer(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	struct answer a = client_get(c, "/json/count?n=5000&fail=4000");
	assert_int_equal(a.status, 500);
	a = client_get(c, "/json/count?n=5000&fail=0");
	assert_int_equal(a.status, 500);
	client_text(c, "GET /json/count?n=1000000&fail=900000 HTTP/1.1\r\nHost: t\r\n\r\n");
	world_until(w, client_is_closed, c);
	struct slice got = client_unread(c);
	assert_true(slice_starts_with(got, SLICE("HTTP/1.1 200 OK\r\n")) && slice_has(got, "899"));
	assert_false(slice_ends_with(got, SLICE("\r\n0\r\n\r\n")));
	world_end(w);
}

/* --- Rows ------------------------------------------------------------------------------------- */

static void rows_become_objects(void **state)
{
	(void)state;
	struct world *w = start_with_database();
	struct client *c = client_new(w);
	struct answer a = client_get(c, "/json/rows?text=%C3%A4%22");
	assert_text(a.body,
		"{\"rows\":[{\"number\":7,\"real\":2.5,\"text\":\"tex\\\"t\",\"none\":null,\"blob\":\"AP8Q\",\"a \\\"b\":\"\"},"
		"{\"number\":9223372036854775807,\"real\":1e+300,\"text\":\"\xc3\xa4\\\"\",\"none\":0,\"blob\":\"\",\"a \\\"b\":\"\\u0000\"}],"
		"\"empty\":[],\"count\":2}");
	a = client_get(c, "/json/row");
	assert_text(a.body, "[{\"one\":1,\"two\":2},true,null,false]");
	world_end(w);
}

/* The server's memory for requests is 512 KiB in all, and the answer three megabytes. */
static void any_number_of_rows_takes_the_same_memory(void **state)
{
	(void)state;
	struct world *w = start_with_database();
	struct client *c = client_new(w);
	struct answer a = client_get(c, "/json/many?n=100000");
	assert_int_equal(a.status, 200);
	assert_true(a.body.len > 3000000 && is_json(a.body));
	assert_has(a.body, "{\"id\":99999,\"name\":\"name 99999\"},{\"id\":100000,\"name\":\"name 100000\"}]");
	a = client_get(c, "/json/many?n=0");
	assert_text(a.body, "[]");
	/* No end to them, but nobody wants to see them. */
	client_text(c, "HEAD /json/many?n=-1 HTTP/1.1\r\nHost: t\r\n\r\n");
	assert_int_equal(client_answer_to_head(c).status, 200);
	world_end(w);
}

static void a_query_that_fails_is_an_error_page_or_a_cut(void **state)
{
	(void)state;
	struct world *w = start_with_database();
	struct client *c = client_new(w);
	struct answer a = client_get(c, "/json/broken-rows?n=10");
	assert_int_equal(a.status, 500);
	client_text(c, "GET /json/broken-rows?n=99990 HTTP/1.1\r\nHost: t\r\n\r\n");
	world_until(w, client_is_closed, c);
	struct slice got = client_unread(c);
	assert_true(slice_starts_with(got, SLICE("HTTP/1.1 200 OK\r\n")) && slice_has(got, "\"id\":90000"));
	assert_false(slice_ends_with(got, SLICE("\r\n0\r\n\r\n")));
	world_end(w);
}

/* --- What is copied --------------------------------------------------------------------------- */

static uint64_t copied(struct client *c, const char *target, struct answer *a)
{
	uint64_t before = server_stats(c->w->server).bytes_copied;
	*a = client_get(c, target);
	assert_int_equal(a->status, 200);
	return server_stats(c->w->server).bytes_copied - before;
}

/* The fields that vary, and the end of the head. */
static uint64_t head_copied(const struct answer *a)
{
	uint64_t len = strlen("Date: Thu, 01 Jan 2026 00:00:01 GMT\r\n\r\n") + strlen("Content-Length: \r\n");
	return len + answer_field(a, "Content-Length").len;
}

static void each_byte_of_json_is_copied_once(void **state)
{
	(void)state;
	struct world *w = start_with_database();
	struct client *c = client_new(w);
	struct answer a;
	uint64_t n = copied(c, "/json/many?n=500", &a);
	assert_true(a.body.len > 10000);
	assert_int_equal(n, a.body.len + head_copied(&a));
	/* What had been kept when the stream began is copied again. */
	n = copied(c, "/json/many?n=10000", &a);
	assert_in_range(n, a.body.len + JSON_WHOLE_MAX, a.body.len + JSON_WHOLE_MAX + 200);
	world_end(w);
}

/* SQLite's row is gone with the next one, so a text is copied from there to where TCP takes it from: once. */
static void each_byte_of_a_row_is_copied_once_on_its_way_into_a_page(void **state)
{
	(void)state;
	struct world *w = start_with_database();
	struct client *c = client_new(w);
	char name[300];
	struct answer a;
	memset(name, 'x', sizeof name);
	for (int i = 0; i < 10; i++) {
		char target[400];
		snprintf(target, sizeof target, "/sql/add?name=%d%.*s", i, 250, name);
		client_ask(c, "POST", target, "Content-Length: 0\r\n", "");
	}
	uint64_t n = copied(c, "/sql/list", &a);
	/* 10 rows of " ID=TEXT", ten being two digits; what is not in a row is the template's. */
	assert_int_equal(a.body.len, strlen("10:") + 10 * (strlen(" 1=") + 251) + 1 + strlen("\n"));
	assert_in_range(n, head_copied(&a) + 10 * 251, head_copied(&a) + a.body.len);
	world_end(w);
}

/* --- ETags ------------------------------------------------------------------------------------ */

static void check_tags(struct client *c, const char *target, const char *other)
{
	char fields[100], etag[40];
	struct answer a = client_get(c, target);
	snprintf(etag, sizeof etag, "%.*s", SLICE_ARG(answer_field(&a, "ETag")));
	assert_int_equal(a.status, 200);
	assert_true(strlen(etag) == 18 && etag[0] == '"');
	a = client_get(c, target);
	assert_text(answer_field(&a, "ETag"), etag);
	snprintf(fields, sizeof fields, "If-None-Match: \"else\", W/%s\r\n", etag);
	a = client_ask(c, "GET", target, fields, "");
	assert_int_equal(a.status, 304);
	assert_int_equal(a.body.len, 0);
	assert_text(answer_field(&a, "ETag"), etag);
	snprintf(fields, sizeof fields, "If-Match: %s\r\n", etag);
	a = client_ask(c, "GET", target, fields, "");
	assert_int_equal(a.status, 200);
	a = client_ask(c, "GET", target, "If-Match: \"else\"\r\n", "");
	assert_int_equal(a.status, 412);
	snprintf(fields, sizeof fields, "If-None-Match: %s\r\n", etag);
	a = client_ask(c, "GET", other, fields, "");
	assert_int_equal(a.status, 200);
	assert_true(a.body.len > 0);
}

static void who_has_an_answer_is_not_sent_it_again(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	check_tags(c, "/json/tagged?text=a", "/json/tagged?text=b");
	check_tags(c, "/json/page?text=a", "/json/page?text=b");
	check_tags(c, "/json/page?text=a&as=1", "/json/page?text=b&as=1");
	check_tags(c, "/json/count?n=5000", "/json/count?n=4999");
	struct answer a = client_get(c, "/json/page?text=a&as=1");
	assert_text(answer_field(&a, "Content-Type"), "application/x-test");
	assert_has(a.body, "<p>a</p>");
	world_end(w);
}

static void only_whole_answers_of_status_200_to_get_have_a_tag(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	struct answer a = client_ask(c, "POST", "/json/tagged?text=a", "If-None-Match: *\r\nContent-Length: 0\r\n", "");
	assert_int_equal(a.status, 200);
	assert_int_equal(answer_field(&a, "ETag").len, 0);
	a = client_ask(c, "GET", "/json/tagged?text=a&status=404", "If-None-Match: *\r\n", "");
	assert_int_equal(a.status, 404);
	assert_int_equal(answer_field(&a, "ETag").len, 0);
	a = client_ask(c, "GET", "/json/count?n=20000", "If-None-Match: *\r\n", "");
	assert_int_equal(a.status, 200);
	check_count(a.body, 20000);
	world_end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_reader_is_strict),
		cmocka_unit_test(each_value_is_written_as_what_it_is),
		cmocka_unit_test(text_is_escaped_and_what_is_no_utf8_is_replaced),
		cmocka_unit_test(a_real_has_the_digits_that_give_it_back),
		cmocka_unit_test(a_reals_digits_are_as_few_as_can_be),
		cmocka_unit_test(integers_that_others_would_round_are_text_where_that_is_wanted),
		cmocka_unit_test(what_would_be_no_json_is_500_and_logged),
		cmocka_unit_test(objects_and_arrays_nest_up_to_a_limit),
		cmocka_unit_test(a_second_answer_in_json_is_500_and_logged),
		cmocka_unit_test(a_long_answer_goes_on_piece_by_piece),
		cmocka_unit_test(to_head_there_is_a_head_alone),
		cmocka_unit_test(a_failure_is_an_error_page_or_a_cut_but_never_a_whole_answer),
		cmocka_unit_test(rows_become_objects),
		cmocka_unit_test(any_number_of_rows_takes_the_same_memory),
		cmocka_unit_test(a_query_that_fails_is_an_error_page_or_a_cut),
		cmocka_unit_test(each_byte_of_json_is_copied_once),
		cmocka_unit_test(each_byte_of_a_row_is_copied_once_on_its_way_into_a_page),
		cmocka_unit_test(who_has_an_answer_is_not_sent_it_again),
		cmocka_unit_test(only_whole_answers_of_status_200_to_get_have_a_tag),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
