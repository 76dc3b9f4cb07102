#include "support/world.h"

#include <stdio.h>
#include <string.h>

static struct client *start(void)
{
	return client_new(world_new((struct world_options){.seed = 1}));
}

/* The connection is still good, and everything comes back. */
static void end(struct client *c)
{
	struct answer a = client_get(c, "/text");
	assert_int_equal(a.status, 200);
	world_end(c->w);
}

/* --- Static files ----------------------------------------------------------------------------- */

static void an_asset_is_sent_whole_with_its_validator(void **state)
{
	(void)state;
	struct client *c = start();
	struct answer a = client_get(c, "/site.css");
	assert_int_equal(a.status, 200);
	assert_text(a.body, "body { margin: 0 }\n");
	assert_text(answer_field(&a, "Content-Type"), "text/css; charset=utf-8");
	assert_text(answer_field(&a, "Content-Length"), "19");
	assert_true(answer_field(&a, "ETag").len > 10);
	assert_text(answer_field(&a, "Cache-Control"), "no-cache");
	end(c);
}

static void a_directory_is_its_index(void **state)
{
	(void)state;
	struct client *c = start();
	struct answer a = client_get(c, "/");
	assert_int_equal(a.status, 200);
	assert_text(a.body, "<!doctype html><title>Home</title>\n");
	end(c);
}

/* So that the relative links of its index go where they should. */
static void a_directory_without_its_slash_is_redirected(void **state)
{
	(void)state;
	struct client *c = start();
	struct answer a = client_get(c, "/a%20b%C3%A9/docs?x=1");
	assert_int_equal(a.status, 301);
	assert_text(answer_field(&a, "Location"), "/a%20b%c3%a9/docs/?x=1");
	a = client_get(c, "/a%20b%c3%a9/docs/?x=1");
	assert_int_equal(a.status, 200);
	assert_text(a.body, "docs");
	a = client_get(c, "//a%20b%c3%a9/docs"); /* never a host of its own */
	assert_int_equal(a.status, 301);
	assert_text(answer_field(&a, "Location"), "/a%20b%c3%a9/docs/");
	assert_int_equal(client_get(c, "/a%20b%c3%a9/doc").status, 404);
	end(c);
}

static void an_empty_asset_has_a_length_of_nothing(void **state)
{
	(void)state;
	struct client *c = start();
	struct answer a = client_get(c, "/empty.txt");
	assert_int_equal(a.status, 200);
	assert_text(answer_field(&a, "Content-Length"), "0");
	a = client_ask(c, "GET", "/empty.txt", "Range: bytes=0-3\r\n", "");
	assert_true(a.status == 200 || a.status == 416);
	end(c);
}

static void head_is_get_without_the_body(void **state)
{
	(void)state;
	struct client *c = start();
	struct answer a = client_ask(c, "HEAD", "/site.css", "", "");
	assert_int_equal(a.status, 200);
	assert_text(answer_field(&a, "Content-Length"), "19");
	a = client_ask(c, "HEAD", "/text", "", "");
	assert_int_equal(a.status, 200);
	assert_text(answer_field(&a, "Content-Length"), "14");
	a = client_ask(c, "HEAD", "/page?text=abc", "", "");
	assert_int_equal(a.status, 200);
	assert_true(answer_field(&a, "Content-Length").len > 0);
	a = client_ask(c, "HEAD", "/error", "", "");
	assert_int_equal(a.status, 422);
	assert_int_equal(client_unread(c).len, 0);
	end(c);
}

static void a_known_etag_is_answered_with_304(void **state)
{
	(void)state;
	char fields[200];
	struct client *c = start();
	struct answer a = client_get(c, "/site.css");
	snprintf(fields, sizeof fields, "If-None-Match: \"other\", %.*s\r\n", SLICE_ARG(answer_field(&a, "ETag")));
	a = client_ask(c, "GET", "/site.css", fields, "");
	assert_int_equal(a.status, 304);
	assert_true(answer_field(&a, "ETag").len > 10);
	a = client_ask(c, "GET", "/site.css", "If-None-Match: \"other\"\r\n", "");
	assert_int_equal(a.status, 200);
	a = client_ask(c, "GET", "/site.css", "If-Match: \"other\"\r\n", "");
	assert_int_equal(a.status, 412);
	end(c);
}

static void a_range_is_that_part_of_the_file(void **state)
{
	(void)state;
	struct client *c = start();
	struct answer a = client_ask(c, "GET", "/big.bin", "Range: bytes=1000-4999\r\n", "");
	assert_int_equal(a.status, 206);
	assert_int_equal(a.body.len, 4000);
	assert_memory_equal(a.body.ptr, c->w->big + 1000, 4000);
	assert_text(answer_field(&a, "Content-Range"), "bytes 1000-4999/200000");
	assert_text(answer_field(&a, "Cache-Control"), "public, max-age=31536000, immutable");
	assert_true(answer_field(&a, "ETag").len > 10);
	a = client_ask(c, "GET", "/big.bin", "Range: bytes=-5\r\n", "");
	assert_int_equal(a.status, 206);
	assert_memory_equal(a.body.ptr, c->w->big + BIG_LEN - 5, 5);
	end(c);
}

static void a_range_behind_the_end_is_416_with_the_length(void **state)
{
	(void)state;
	struct client *c = start();
	struct answer a = client_ask(c, "GET", "/big.bin", "Range: bytes=200000-\r\n", "");
	assert_int_equal(a.status, 416);
	assert_text(answer_field(&a, "Content-Range"), "bytes */200000");
	end(c);
}

static void if_range_with_another_etag_is_the_whole(void **state)
{
	(void)state;
	char fields[200];
	struct client *c = start();
	struct answer a = client_ask(c, "GET", "/big.bin",
		"Range: bytes=0-9\r\nIf-Range: \"old\"\r\n", "");
	assert_int_equal(a.status, 200);
	assert_int_equal(a.body.len, BIG_LEN);
	assert_memory_equal(a.body.ptr, c->w->big, BIG_LEN);
	snprintf(fields, sizeof fields, "Range: bytes=0-9\r\nIf-Range: %.*s\r\n",
		SLICE_ARG(answer_field(&a, "ETag")));
	a = client_ask(c, "GET", "/big.bin", fields, "");
	assert_int_equal(a.status, 206);
	assert_int_equal(a.body.len, 10);
	end(c);
}

/* The next part of a multipart body; its Content-Range as text and its bytes. */
static struct slice next_part_of(struct slice *body, struct slice boundary, const char *type, const char *range,
	size_t len)
{
	char head[300];
	int n = snprintf(head, sizeof head, "\r\n--%.*s\r\nContent-Type: %s\r\nContent-Range: %s\r\n\r\n",
		SLICE_ARG(boundary), type, range);
	assert_true(slice_starts_with(*body, slice_of(head, (size_t)n)));
	struct slice part = slice_sub(*body, (size_t)n, len);
	*body = slice_sub(*body, (size_t)n + len, body->len);
	return part;
}

static void several_ranges_are_parts_that_nobody_copies(void **state)
{
	(void)state;
	struct client *c = start();
	uint64_t before = server_stats(c->w->server).bytes_copied;
	struct answer a = client_ask(c, "GET", "/big.bin", "Range: bytes=90000-99999,0-49999,-10\r\n", "");
	uint64_t copied = server_stats(c->w->server).bytes_copied - before;
	assert_int_equal(a.status, 206);
	struct slice type = answer_field(&a, "Content-Type"), prefix = SLICE("multipart/byteranges; boundary=");
	assert_true(slice_starts_with(type, prefix));
	assert_int_equal(answer_field(&a, "Content-Range").len, 0);
	assert_text(answer_field(&a, "Cache-Control"), "public, max-age=31536000, immutable");
	assert_true(answer_field(&a, "ETag").len > 10);
	struct slice boundary = slice_sub(type, prefix.len, type.len), rest = a.body, part;
	part = next_part_of(&rest, boundary, "application/octet-stream", "bytes 90000-99999/200000", 10000);
	assert_memory_equal(part.ptr, c->w->big + 90000, 10000);
	part = next_part_of(&rest, boundary, "application/octet-stream", "bytes 0-49999/200000", 50000);
	assert_memory_equal(part.ptr, c->w->big, 50000);
	part = next_part_of(&rest, boundary, "application/octet-stream", "bytes 199990-199999/200000", 10);
	assert_memory_equal(part.ptr, c->w->big + 199990, 10);
	assert_true(slice_starts_with(rest, SLICE("\r\n--")) && slice_ends_with(rest, SLICE("--\r\n")));
	assert_int_equal(rest.len, 4 + boundary.len + 4);
	/* Heads of the response and of the parts, and not a byte of the file. */
	assert_in_range(copied, a.body.len - 60010, a.body.len - 60010 + 200);
	end(c);
}

static void ranges_that_come_to_one_have_no_parts(void **state)
{
	(void)state;
	struct client *c = start();
	struct answer a = client_ask(c, "GET", "/big.bin", "Range: bytes=0-99,50-149\r\n", "");
	assert_int_equal(a.status, 206);
	assert_text(answer_field(&a, "Content-Range"), "bytes 0-149/200000");
	assert_int_equal(a.body.len, 150);
	a = client_ask(c, "GET", "/big.bin", "Range: bytes=200000-,300000-\r\n", "");
	assert_int_equal(a.status, 416);
	assert_text(answer_field(&a, "Content-Range"), "bytes */200000");
	a = client_ask(c, "GET", "/site.css", "Range: bytes=0-1,3-4\r\n", ""); /* not worth it */
	assert_int_equal(a.status, 200);
	a = client_ask(c, "HEAD", "/big.bin", "Range: bytes=0-99,500-599\r\n", "");
	assert_int_equal(a.status, 200);
	end(c);
}

/* The attack of 2011: hundreds of overlapping ranges. One request never costs more than the file once. */
static void many_ranges_are_the_whole(void **state)
{
	(void)state;
	struct client *c = start();
	char fields[4000];
	size_t n = (size_t)sprintf(fields, "Range: bytes=0-");
	for (int i = 0; i < 300; i++)
		n += (size_t)sprintf(fields + n, ",5-%d", i + 5);
	sprintf(fields + n, "\r\n");
	struct answer a = client_ask(c, "GET", "/big.bin", fields, "");
	assert_int_equal(a.status, 200);
	assert_int_equal(a.body.len, BIG_LEN);
	end(c);
}

/* --- Codings ---------------------------------------------------------------------------------- */

static void the_client_chooses_the_coding(void **state)
{
	(void)state;
	static const struct {
		const char *fields, *coding; /* NULL: none is fit */
	} v[] = {
		{"", ""},
		{"Accept-Encoding: gzip\r\n", "gzip"},
		{"Accept-Encoding: gzip, deflate, br\r\n", "br"}, /* of equals the smallest */
		{"Accept-Encoding: br;q=0.5, gzip\r\n", "gzip"},
		{"Accept-Encoding: br;q=0.5, gzip;q=0.5, identity\r\n", ""},
		{"Accept-Encoding: deflate\r\n", ""},
		{"Accept-Encoding: *\r\n", "br"},
		{"Accept-Encoding: br;q=0, *\r\n", "gzip"},
		{"Accept-Encoding: identity;q=0, gzip;q=0.001\r\n", "gzip"},
		{"Accept-Encoding: gzip;q=0\r\n", ""},
		{"Accept-Encoding: identity;q=0\r\n", NULL},
		{"Accept-Encoding: deflate, *;q=0\r\n", NULL},
	};
	struct client *c = start();
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		struct answer a = client_ask(c, "GET", "/big.txt", v[i].fields, "");
		assert_int_equal(a.status, v[i].coding ? 200 : 406);
		assert_text(answer_field(&a, "Vary"), "Accept-Encoding");
		if (!v[i].coding)
			continue;
		assert_text(answer_field(&a, "Content-Encoding"), v[i].coding);
		if (v[i].coding[0])
			assert_text(a.body, v[i].coding[0] == 'b' ? "the big text, as br" : "the big text, as gzip");
		else
			assert_int_equal(a.body.len, BIG_LEN);
	}
	struct answer a = client_ask(c, "GET", "/site.css", "Accept-Encoding: identity;q=0\r\n", "");
	assert_int_equal(a.status, 200); /* there is nothing to choose, and so nothing to refuse */
	assert_int_equal(answer_field(&a, "Vary").len, 0);
	end(c);
}

static void conditions_and_ranges_are_those_of_the_coding(void **state)
{
	(void)state;
	char plain[100], gzip[100], fields[400];
	struct client *c = start();
	struct answer a = client_get(c, "/big.txt");
	snprintf(plain, sizeof plain, "%.*s", SLICE_ARG(answer_field(&a, "ETag")));
	a = client_ask(c, "GET", "/big.txt", "Accept-Encoding: gzip\r\n", "");
	snprintf(gzip, sizeof gzip, "%.*s", SLICE_ARG(answer_field(&a, "ETag")));
	assert_string_not_equal(plain, gzip);
	snprintf(fields, sizeof fields, "Accept-Encoding: gzip\r\nIf-None-Match: %s\r\n", gzip);
	a = client_ask(c, "GET", "/big.txt", fields, "");
	assert_int_equal(a.status, 304);
	assert_text(answer_field(&a, "ETag"), gzip);
	assert_text(answer_field(&a, "Vary"), "Accept-Encoding");
	assert_int_equal(answer_field(&a, "Content-Type").len, 0); /* RFC 9110 section 15.4.5 */
	assert_int_equal(answer_field(&a, "Content-Length").len, 0);
	snprintf(fields, sizeof fields, "Accept-Encoding: gzip\r\nIf-None-Match: %s\r\n", plain);
	assert_int_equal(client_ask(c, "GET", "/big.txt", fields, "").status, 200);
	snprintf(fields, sizeof fields, "If-Match: %s\r\n", gzip);
	assert_int_equal(client_ask(c, "GET", "/big.txt", fields, "").status, 412);
	snprintf(fields, sizeof fields, "Accept-Encoding: gzip\r\nRange: bytes=4-6\r\nIf-Range: %s\r\n", gzip);
	a = client_ask(c, "GET", "/big.txt", fields, "");
	assert_int_equal(a.status, 206);
	assert_text(a.body, "big");
	assert_text(answer_field(&a, "Content-Range"), "bytes 4-6/21");
	assert_text(answer_field(&a, "Content-Encoding"), "gzip");
	assert_text(answer_field(&a, "Vary"), "Accept-Encoding");
	snprintf(fields, sizeof fields, "Range: bytes=4-6\r\nIf-Range: %s\r\n", gzip);
	assert_int_equal(client_ask(c, "GET", "/big.txt", fields, "").status, 200);
	a = client_ask(c, "GET", "/big.txt", "Range: bytes=0-99,1000-1099\r\n", "");
	assert_int_equal(a.status, 206);
	a = client_ask(c, "HEAD", "/big.txt", "Accept-Encoding: gzip\r\n", "");
	assert_text(answer_field(&a, "Content-Length"), "21");
	end(c);
}

/* What the CPU copies of an asset's response is the Date line and the end of the head. */
static void an_assets_bytes_are_not_copied(void **state)
{
	(void)state;
	struct client *c = start();
	static const char *const path[] = {"/site.css", "/big.bin"};
	for (size_t i = 0; i < ARRAY_LEN(path); i++) {
		uint64_t before = server_stats(c->w->server).bytes_copied;
		struct answer a = client_get(c, path[i]);
		assert_int_equal(a.status, 200);
		uint64_t copied = server_stats(c->w->server).bytes_copied - before;
		assert_int_equal(copied, strlen("Date: Thu, 01 Jan 2026 00:00:01 GMT\r\n\r\n"));
	}
	end(c);
}

static void of_a_page_only_what_varies_is_copied(void **state)
{
	(void)state;
	struct client *c = start();
	client_get(c, "/page?text=abc");
	uint64_t before = server_stats(c->w->server).bytes_copied;
	struct answer a = client_get(c, "/page?text=a%26b"); /* "a&amp;b" has to be made */
	uint64_t copied = server_stats(c->w->server).bytes_copied - before;
	assert_has(a.body, "<p>a&amp;b</p>");
	assert_true(a.body.len > 800);
	/* Date, Content-Length, the text, and what is too short to be worth a segment. */
	assert_in_range(copied, strlen("Date: Thu, 01 Jan 2026 00:00:01 GMT\r\n\r\n"), 150);
	end(c);
}

/* --- Where there is no route ------------------------------------------------------------------ */

static void an_unknown_path_is_404(void **state)
{
	(void)state;
	struct client *c = start();
	struct answer a = client_get(c, "/nothing/here?<script>");
	assert_int_equal(a.status, 404);
	assert_has(a.body, "Not Found");
	assert_false(slice_has(a.body, "script"));
	a = client_ask(c, "POST", "/nothing", "", "some body that nobody reads");
	assert_int_equal(a.status, 404);
	end(c);
}

static void a_wrong_method_is_405_and_says_what_is_allowed(void **state)
{
	(void)state;
	struct client *c = start();
	struct answer a = client_ask(c, "DELETE", "/text", "", "");
	assert_int_equal(a.status, 405);
	assert_has(answer_field(&a, "Allow"), "GET");
	assert_has(answer_field(&a, "Allow"), "HEAD");
	assert_false(slice_has(answer_field(&a, "Allow"), "DELETE"));
	a = client_ask(c, "GET", "/echo", "", "");
	assert_int_equal(a.status, 405);
	assert_has(answer_field(&a, "Allow"), "POST");
	assert_has(answer_field(&a, "Allow"), "PUT");
	a = client_ask(c, "POST", "/site.css", "", "x=y");
	assert_int_equal(a.status, 405);
	assert_has(answer_field(&a, "Allow"), "GET");
	end(c);
}

static void options_says_what_is_allowed(void **state)
{
	(void)state;
	struct client *c = start();
	static const char *const target[] = {"/text", "/site.css"};
	for (size_t i = 0; i < ARRAY_LEN(target); i++) {
		struct answer a = client_ask(c, "OPTIONS", target[i], "", "");
		assert_int_equal(a.status, 204);
		assert_has(answer_field(&a, "Allow"), "GET");
		assert_has(answer_field(&a, "Allow"), "OPTIONS");
		assert_int_equal(answer_field(&a, "Content-Length").len, 0);
	}
	end(c);
}

/* --- Handlers --------------------------------------------------------------------------------- */

static void a_page_escapes_what_it_shows(void **state)
{
	(void)state;
	struct client *c = start();
	struct answer a = client_get(c, "/page?text=%3Cscript%3E+%22x%22");
	assert_int_equal(a.status, 200);
	assert_text(answer_field(&a, "Content-Type"), "text/html; charset=utf-8");
	assert_has(a.body, "<p>&lt;script&gt; &quot;x&quot;</p>");
	end(c);
}

static void a_text_is_sent_as_text(void **state)
{
	(void)state;
	struct client *c = start();
	struct answer a = client_get(c, "/text");
	assert_int_equal(a.status, 200);
	assert_text(a.body, "plain & simple");
	assert_text(answer_field(&a, "Content-Type"), "text/plain; charset=utf-8");
	assert_text(answer_field(&a, "X-Content-Type-Options"), "nosniff");
	end(c);
}

static void bytes_have_the_type_and_the_fields_given(void **state)
{
	(void)state;
	struct client *c = start();
	struct answer a = client_get(c, "/bytes");
	assert_int_equal(a.status, 201);
	assert_int_equal(a.body.len, 3);
	assert_memory_equal(a.body.ptr, "\0\1\2", 3);
	assert_text(answer_field(&a, "Content-Type"), "image/x-test");
	assert_text(answer_field(&a, "X-Early"), "before");
	assert_text(answer_field(&a, "X-Late"), "after");
	end(c);
}

static void a_redirect_is_303_with_its_place(void **state)
{
	(void)state;
	struct client *c = start();
	struct answer a = client_get(c, "/redirect");
	assert_int_equal(a.status, 303);
	assert_text(answer_field(&a, "Location"), "/text?from=here");
	assert_text(answer_field(&a, "Content-Length"), "0");
	end(c);
}

static void an_errors_sentence_is_escaped(void **state)
{
	(void)state;
	struct client *c = start();
	struct answer a = client_get(c, "/error");
	assert_int_equal(a.status, 422);
	assert_has(a.body, "<p>That &lt;script&gt; &amp; &quot;this&quot; will not do.</p>");
	assert_has(a.body, "<title>Unprocessable Content</title>");
	a = client_get(c, "/error/bare");
	assert_int_equal(a.status, 418);
	assert_true(a.body.len > 0);
	end(c);
}

static void what_would_split_a_response_is_refused_and_logged(void **state)
{
	(void)state;
	struct client *c = start();
	static const char *const value[] = {"a%0d%0aSet-Cookie:+x=1", "a%0aB:c", "a%00b", "a%7f", "%0d"};
	for (size_t i = 0; i < ARRAY_LEN(value); i++) {
		char target[100];
		snprintf(target, sizeof target, "/inject?value=%s", value[i]);
		struct answer a = client_get(c, target);
		assert_int_equal(a.status, 500);
		assert_int_equal(answer_field(&a, "Set-Cookie").len, 0);
		assert_int_equal(answer_field(&a, "X-Name").len, 0);
	}
	assert_true(world_logged(c->w, "the header field \"X-Name\" is malformed"));
	struct answer a = client_get(c, "/inject?value=harmless");
	assert_int_equal(a.status, 200);
	assert_text(answer_field(&a, "X-Name"), "harmless");
	a = client_get(c, "/own-length");
	assert_int_equal(a.status, 500);
	end(c);
}

static void a_second_answer_is_500_and_logged(void **state)
{
	(void)state;
	struct client *c = start();
	struct answer a = client_get(c, "/twice");
	assert_int_equal(a.status, 500);
	assert_true(world_logged(c->w, "second answer"));
	end(c);
}

static void no_answer_is_500_and_logged(void **state)
{
	(void)state;
	struct client *c = start();
	struct answer a = client_get(c, "/none");
	assert_int_equal(a.status, 500);
	assert_true(world_logged(c->w, "/none: the handler gave no answer"));
	assert_int_equal(server_stats(c->w->server).errors, 1);
	end(c);
}

static void a_status_that_is_none_is_500_and_logged(void **state)
{
	(void)state;
	struct client *c = start();
	static const char *const bad[] = {"0", "99", "100", "199", "600", "9999"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char target[40];
		snprintf(target, sizeof target, "/status?n=%s", bad[i]);
		struct answer a = client_get(c, target);
		assert_int_equal(a.status, 500);
	}
	assert_true(world_logged(c->w, "is not a status"));
	struct answer a = client_get(c, "/status?n=299");
	assert_int_equal(a.status, 299);
	assert_text(a.body, "some text");
	end(c);
}

/* RFC 9110 15.3.5, 15.4.5: they end with their head, whatever the handler gave for a body. */
static void statuses_without_a_body_have_none(void **state)
{
	(void)state;
	struct client *c = start();
	static const char *const target[] = {"/status?n=204", "/status?n=304", "/status-page?n=204",
		"/status-page?n=304"};
	for (size_t i = 0; i < ARRAY_LEN(target); i++) {
		struct answer a = client_get(c, target[i]);
		assert_true(a.status == 204 || a.status == 304);
		if (a.status == 204)
			assert_int_equal(answer_field(&a, "Content-Length").len, 0);
		a = client_get(c, "/text");
		assert_int_equal(a.status, 200);
	}
	end(c);
}

static void the_head_is_there_for_the_handler(void **state)
{
	(void)state;
	struct client *c = start();
	struct answer a = client_ask(c, "GET", "/./x/../head", "X-One: 1\r\nCookie: a=b; taste=sweet\r\n", "");
	assert_int_equal(a.status, 200);
	assert_text(a.body, "/head|1|sweet");
	a = client_get(c, "/head");
	assert_text(a.body, "/head||");
	a = client_get(c, "/echo/%C3%A9+x");
	assert_text(a.body, "\xc3\xa9+x");
	end(c);
}

static void a_number_outside_its_range_is_the_default(void **state)
{
	(void)state;
	static const char *const query[][2] = {{"?n=7", "7"}, {"?n=-5", "-5"}, {"?n=10", "10"},
		{"?n=11", "3"}, {"?n=-6", "3"}, {"", "3"}, {"?n=", "3"}, {"?n=-", "3"}, {"?n=1x", "3"},
		{"?n=--1", "3"}, {"?n=99999999999999999999", "3"}, {"?n=9223372036854775807", "3"},
		{"?n=%2b1", "3"}, {"?n=4&n=5", "4"}};
	struct client *c = start();
	for (size_t i = 0; i < ARRAY_LEN(query); i++) {
		char target[60];
		snprintf(target, sizeof target, "/number%s", query[i][0]);
		struct answer a = client_get(c, target);
		assert_text(a.body, query[i][1]);
	}
	end(c);
}

static void a_query_that_is_not_utf8_is_empty(void **state)
{
	(void)state;
	struct client *c = start();
	struct answer a = client_get(c, "/page?text=%ff%fe");
	assert_int_equal(a.status, 200);
	assert_has(a.body, "<p></p>");
	end(c);
}

static void a_query_with_too_many_fields_is_400(void **state)
{
	(void)state;
	char target[1024] = "/page?text=1";
	struct client *c = start();
	for (int i = 0; i < 200; i++)
		strcat(target, "&a=b");
	struct answer a = client_get(c, target);
	assert_int_equal(a.status, 400);
	end(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_asset_is_sent_whole_with_its_validator),
		cmocka_unit_test(a_directory_is_its_index),
		cmocka_unit_test(a_directory_without_its_slash_is_redirected),
		cmocka_unit_test(an_empty_asset_has_a_length_of_nothing),
		cmocka_unit_test(head_is_get_without_the_body),
		cmocka_unit_test(a_known_etag_is_answered_with_304),
		cmocka_unit_test(a_range_is_that_part_of_the_file),
		cmocka_unit_test(a_range_behind_the_end_is_416_with_the_length),
		cmocka_unit_test(if_range_with_another_etag_is_the_whole),
		cmocka_unit_test(several_ranges_are_parts_that_nobody_copies),
		cmocka_unit_test(ranges_that_come_to_one_have_no_parts),
		cmocka_unit_test(many_ranges_are_the_whole),
		cmocka_unit_test(the_client_chooses_the_coding),
		cmocka_unit_test(conditions_and_ranges_are_those_of_the_coding),
		cmocka_unit_test(an_assets_bytes_are_not_copied),
		cmocka_unit_test(of_a_page_only_what_varies_is_copied),
		cmocka_unit_test(an_unknown_path_is_404),
		cmocka_unit_test(a_wrong_method_is_405_and_says_what_is_allowed),
		cmocka_unit_test(options_says_what_is_allowed),
		cmocka_unit_test(a_page_escapes_what_it_shows),
		cmocka_unit_test(a_text_is_sent_as_text),
		cmocka_unit_test(bytes_have_the_type_and_the_fields_given),
		cmocka_unit_test(a_redirect_is_303_with_its_place),
		cmocka_unit_test(an_errors_sentence_is_escaped),
		cmocka_unit_test(what_would_split_a_response_is_refused_and_logged),
		cmocka_unit_test(a_second_answer_is_500_and_logged),
		cmocka_unit_test(no_answer_is_500_and_logged),
		cmocka_unit_test(a_status_that_is_none_is_500_and_logged),
		cmocka_unit_test(statuses_without_a_body_have_none),
		cmocka_unit_test(the_head_is_there_for_the_handler),
		cmocka_unit_test(a_number_outside_its_range_is_the_default),
		cmocka_unit_test(a_query_that_is_not_utf8_is_empty),
		cmocka_unit_test(a_query_with_too_many_fields_is_400),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
