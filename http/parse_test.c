/* The head parser. A vector is the bytes received and what must come of them, as one line of text.
 * Every vector is given whole, split in two at every place (the two halves at different addresses),
 * and byte by byte, always with its end at an unreadable page. */
#include <http/parse.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "support/guard.h"

#define LIMIT 2048

struct outcome {
	char text[4096];
};

static void put(struct outcome *o, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void put(struct outcome *o, const char *fmt, ...)
{
	size_t n = strlen(o->text);
	va_list args;
	va_start(args, fmt);
	vsnprintf(o->text + n, sizeof o->text - n, fmt, args);
	va_end(args);
}

/* "GET /path?query 1.1 host=h keep length=3 rest=2 | name=value | ..." */
static void describe(struct outcome *o, const struct http_parser *p, enum http_parse_result result,
	const struct http_request *q, size_t input_len)
{
	o->text[0] = 0;
	if (result != HTTP_DONE) {
		put(o, result == HTTP_MORE ? "more" : "%u", p->status);
		return;
	}
	put(o, "%.*s %.*s", SLICE_ARG(q->method_name), SLICE_ARG(q->path));
	if (q->query.ptr)
		put(o, "?%.*s", SLICE_ARG(q->query));
	put(o, " 1.%u host=%.*s", q->version_minor, SLICE_ARG(q->host));
	put(o, "%s", q->keep_alive ? " keep" : " close");
	if (q->framing == HTTP_BODY_LENGTH)
		put(o, " length=%llu", (unsigned long long)q->content_length);
	if (q->framing == HTTP_BODY_CHUNKED)
		put(o, " chunked");
	if (q->expect_continue)
		put(o, " continue");
	if (p->head_len != input_len)
		put(o, " rest=%zu", input_len - p->head_len);
	for (unsigned i = 0; i < q->header_count; i++)
		if (!slice_eq_nocase(q->header[i].name, SLICE("host")))
			put(o, " | %.*s=%.*s", SLICE_ARG(q->header[i].name), SLICE_ARG(q->header[i].value));
}

/* Gives the first `cut` bytes, then steps of `step` bytes, each time at another address. */
static void parse_split(struct slice input, size_t cut, size_t step, struct outcome *o)
{
	struct guard g[2];
	struct arena arena;
	uint8_t memory[4096];
	struct http_parser p;
	struct http_request q;
	enum http_parse_result result = HTTP_MORE;
	memset(&q, 0xee, sizeof q);
	guard_init(&g[0]);
	guard_init(&g[1]);
	arena_init(&arena, memory, sizeof memory, NULL, 0);
	http_parser_init(&p, &arena, LIMIT);
	unsigned turn = 0;
	for (size_t n = cut; result == HTTP_MORE; n = n + step < input.len ? n + step : input.len) {
		result = http_parse_request(&p, guard_copy(&g[turn++ % 2], slice_sub(input, 0, n)), &q);
		if (n == input.len)
			break;
	}
	describe(o, &p, result, &q, input.len);
	guard_deinit(&g[0]);
	guard_deinit(&g[1]);
}

static void expect(struct slice input, const char *wanted)
{
	struct outcome whole, split;
	parse_split(input, input.len, 1, &whole);
	if (strcmp(whole.text, wanted))
		print_message("input: %.*s\n", SLICE_ARG(input));
	assert_string_equal(whole.text, wanted);
	for (size_t cut = 0; cut < input.len; cut++) {
		parse_split(input, cut, input.len, &split);
		assert_string_equal(split.text, wanted);
	}
	parse_split(input, 0, 1, &split);
	assert_string_equal(split.text, wanted);
}

struct vector {
	struct slice input;
	const char *wanted;
};

#define V(in, out) {SLICE_INIT(in), out}

static void run(const struct vector *v, size_t count)
{
	for (size_t i = 0; i < count; i++)
		expect(v[i].input, v[i].wanted);
}

#define H "Host: h\r\n"
#define GET_WITH(fields) "GET / HTTP/1.1\r\n" fields "\r\n"
#define TARGET(t) "GET " t " HTTP/1.1\r\n" H "\r\n"

static void requests_are_understood(void **state)
{
	(void)state;
	static const struct vector v[] = {
		V("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", "GET / 1.1 host=example.org keep"),
		V("\r\nGET / HTTP/1.1\r\n" H "\r\n", "GET / 1.1 host=h keep"),
		V("GET /a?b=c&d HTTP/1.1\r\nhOsT:\t h:8080 \t\r\n\r\n", "GET /a?b=c&d 1.1 host=h:8080 keep"),
		V("HEAD /? HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "HEAD /? 1.1 host=[::1]:80 keep"),
		V("GET /?a?b/../c HTTP/1.1\r\n" H "\r\n", "GET /?a?b/../c 1.1 host=h keep"),
		V("GET / HTTP/1.0\r\n\r\n", "GET / 1.0 host= close"),
		V("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
			"GET / 1.0 host= keep | Connection=Keep-Alive"),
		V("GET / HTTP/1.7\r\n" H "\r\n", "GET / 1.1 host=h keep"),
		V(GET_WITH(H "Connection: x, Close\r\n"), "GET / 1.1 host=h close | Connection=x, Close"),
		V(GET_WITH(H "Connection: keep-alive\r\nConnection: close\r\n"),
			"GET / 1.1 host=h close | Connection=keep-alive | Connection=close"),
		V(GET_WITH(H "Connection: closed\r\n"), "GET / 1.1 host=h keep | Connection=closed"),
		V("POST /f HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc",
			"POST /f 1.1 host=h keep length=3 rest=3 | Content-Length=3"),
		V("POST /f HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n",
			"POST /f 1.1 host=h keep | Content-Length=0"),
		V("POST /f HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n",
			"POST /f 1.1 host=h keep chunked | Transfer-Encoding=Chunked"),
		V("PUT /f HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 9\r\n\r\n",
			"PUT /f 1.1 host=h keep length=9 continue | Expect=100-Continue | Content-Length=9"),
		V(GET_WITH(H "Empty:\r\nBlank:   \r\n!#$%&'*+-.^_`|~09azAZ: a\tb \x80\xff\r\n"),
			"GET / 1.1 host=h keep | Empty= | Blank= | !#$%&'*+-.^_`|~09azAZ=a\tb \x80\xff"),
		V("GET http://a.b:81/c?d HTTP/1.1\r\nHost: other\r\n\r\n", "GET /c?d 1.1 host=a.b:81 keep"),
		V("GET HTTP://a.b HTTP/1.1\r\nHost: a.b\r\n\r\n", "GET / 1.1 host=a.b keep"),
		V("GET https://a.b?q HTTP/1.1\r\nHost: a.b\r\n\r\n", "GET /?q 1.1 host=a.b keep"),
		V("OPTIONS * HTTP/1.1\r\n" H "\r\n", "OPTIONS * 1.1 host=h keep"),
		V("GET / HTTP/1.1\r\n" H "\r\nGET /two HTTP/1.1\r\n", "GET / 1.1 host=h keep rest=19"),
		V("GET / HTTP/1.1\r\n" H, "more"),
		V("", "more"),
	};
	run(v, ARRAY_LEN(v));
}

/* Where 16 bytes that are looked at together begin and end must not matter, nor how near the head's end is. Byte
 * by byte a head goes through all phases; whole, most of these do not. */
static void each_length_is_understood_alike(void **state)
{
	(void)state;
	static const char *const method[] = {"GET", "POST", "HEAD", "GETS", "POS"};
	static const char *const query[] = {"", "?", "?q=a+b/../~%20[x]?y", "?a#b", "?a\"b", "?a\x80"};
	static const char *const host[] = {"a", "10.77.0.2", "www.example.org", "a-b_c.example.org:8080",
		"a23456789012345", "a234567890123456", "a2345678901234567", "a.name.of.more.than.32.bytes.example.org",
		"a.name.of.more.than/32.bytes.example.org", "[::1]:80", "a2345678901234/"};
	char target[64], head[512];
	for (unsigned i = 0; i < 33 * ARRAY_LEN(method) * ARRAY_LEN(query) * ARRAY_LEN(host); i++) {
		unsigned n = i % 33, h = i / 33 % ARRAY_LEN(host), q = i / 33 / ARRAY_LEN(host) % ARRAY_LEN(query);
		unsigned m = i / 33 / ARRAY_LEN(host) / ARRAY_LEN(query);
		if ((m || q) && (i * 7919u) % 11) /* all lengths with all hosts; of the rest some */
			continue;
		memset(target, 'a', n);
		target[n] = 0;
		if (n > 20)
			target[n - 3] = "/._%"[n % 4];
		int len = snprintf(head, sizeof head, "%s /%s%s HTTP/1.1\r\nHost: %s\r\n%s%.*s%s\r\n", method[m], target,
			query[q], host[h], n % 3 ? "X: " : "", n % 3 ? (int)n : 0, target, n % 3 ? "\r\n" : "");
		struct outcome whole, split;
		parse_split(slice_of(head, (size_t)len), (size_t)len, 1, &whole);
		parse_split(slice_of(head, (size_t)len), 0, 1, &split);
		assert_string_equal(whole.text, split.text);
		parse_split(slice_of(head, (size_t)len), (size_t)len - 1 - n, 1, &split);
		assert_string_equal(whole.text, split.text);
	}
}

static void paths_are_decoded_and_normalised_once(void **state)
{
	(void)state;
	static const struct vector v[] = {
		V(TARGET("/a%20b%2e%C3%BC"), "GET /a b.\xc3\xbc 1.1 host=h keep"),
		V(TARGET("/%252e%252e/x"), "GET /%2e%2e/x 1.1 host=h keep"),
		V(TARGET("/a/./b/../c"), "GET /a/c 1.1 host=h keep"),
		V(TARGET("/a/b/.."), "GET /a/ 1.1 host=h keep"),
		V(TARGET("/a/.."), "GET / 1.1 host=h keep"),
		V(TARGET("/a/."), "GET /a/ 1.1 host=h keep"),
		V(TARGET("/%2e%2E/%2e"), "400"),
		V(TARGET("/a/%2e%2e/b"), "GET /b 1.1 host=h keep"),
		V(TARGET("/.well-known/a..b/...c/..d"), "GET /.well-known/a..b/...c/..d 1.1 host=h keep"),
		/* Across what is looked at in one step. */
		V(TARGET("/aaaaaaaaaaaaa/../b"), "GET /b 1.1 host=h keep"),
		V(TARGET("/aaaaaaaaaaaaaa/../b"), "GET /b 1.1 host=h keep"),
		V(TARGET("/aaaaaaaaaaaaaaa/../b"), "GET /b 1.1 host=h keep"),
		V(TARGET("/aaaaaaaaaaaaaa//b"), "GET /aaaaaaaaaaaaaa/b 1.1 host=h keep"),
		V(TARGET("/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/./b"), "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/b 1.1 host=h keep"),
		V(TARGET("/aaaaaaaaaaaa~/../b"), "GET /b 1.1 host=h keep"),
		V(TARGET("//evil//x//"), "GET /evil/x/ 1.1 host=h keep"),
		V(TARGET("/a//../b"), "GET /b 1.1 host=h keep"),
		V(TARGET("/.."), "400"),
		V(TARGET("/../etc/passwd"), "400"),
		V(TARGET("/a/../../b"), "400"),
		V(TARGET("/a%00b"), "400"),
		V(TARGET("/a%2fb"), "400"),
		V(TARGET("/a%2Fb"), "400"),
		V(TARGET("/a%"), "400"),
		V(TARGET("/a%4"), "400"),
		V(TARGET("/a%4g"), "400"),
		V(TARGET("/a%?41"), "400"),
		V(TARGET("/a\\b"), "400"),
		V(TARGET("/a#b"), "400"),
		V(TARGET("/?a#b"), "400"),
		V(TARGET("/\xc3\xbc"), "400"),
	};
	run(v, ARRAY_LEN(v));
}

static void malformed_heads_are_refused(void **state)
{
	(void)state;
	static const struct vector v[] = {
		/* Lines: bare LF, bare CR, folds, blanks in wrong places, NUL. */
		V("GET / HTTP/1.1\nHost: h\r\n\r\n", "400"),
		V("GET / HTTP/1.1\r\nHost: h\n\r\n", "400"),
		V("GET / HTTP/1.1\r\n" H "\n", "400"),
		V("GET / HTTP/1.1\r\n" H "\r\r\n", "400"),
		V("GET / HTTP/1.1\r\n" H "A: b\rc\r\n\r\n", "400"),
		V("GET / HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n", "400"),
		V("GET / HTTP/1.1\r\n" H "A: b\r\n\tc\r\n\r\n", "400"),
		V("GET / HTTP/1.1\r\n Host: h\r\n\r\n", "400"),
		V("GET / HTTP/1.1\r\nHost : h\r\n\r\n", "400"),
		V("GET / HTTP/1.1\r\n" H "A\t: b\r\n\r\n", "400"),
		V("GET / HTTP/1.1\r\n" H ": b\r\n\r\n", "400"),
		V("GET / HTTP/1.1\r\n" H "A\r\n\r\n", "400"),
		V("GET / HTTP/1.1\r\n" H "A b: c\r\n\r\n", "400"),
		V("GET / HTTP/1.1\r\n" H "A(b): c\r\n\r\n", "400"),
		V("GET / HTTP/1.1\r\n" H "A\x80: c\r\n\r\n", "400"),
		V("GET / HTTP/1.1\r\n" H "A: b\0c\r\n\r\n", "400"),
		V("GET / HTTP/1.1\r\n" H "A\0: b\r\n\r\n", "400"),
		V("GET / HTTP/1.1\r\n" H "A: b\x7f\r\n\r\n", "400"),
		V("GET / HTTP/1.1\r\n" H "A: \x1b[0m\r\n\r\n", "400"),
		V("\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", "400"),
		V("\nGET / HTTP/1.1\r\n" H "\r\n", "400"),
		/* The request line. */
		V("GET  / HTTP/1.1\r\n" H "\r\n", "400"),
		V("GET /  HTTP/1.1\r\n" H "\r\n", "400"),
		V("GET /\tHTTP/1.1\r\n" H "\r\n", "400"),
		V(" GET / HTTP/1.1\r\n" H "\r\n", "400"),
		V("GET / HTTP/1.1 \r\n" H "\r\n", "400"),
		V("GET / HTTP/1.12\r\n" H "\r\n", "400"),
		V("GET / http/1.1\r\n" H "\r\n", "400"),
		V("GET / HTTP/x.1\r\n" H "\r\n", "400"),
		V("G@T / HTTP/1.1\r\n" H "\r\n", "400"),
		V("GET a/b HTTP/1.1\r\n" H "\r\n", "400"),
		V("GET * HTTP/1.1\r\n" H "\r\n", "400"),
		V("GET ftp://h/ HTTP/1.1\r\n" H "\r\n", "400"),
		V("GET http:///x HTTP/1.1\r\n" H "\r\n", "400"),
		V("GET http://u@h/ HTTP/1.1\r\n" H "\r\n", "400"),
		V("GET /\r\n", "400"),
		V("GET / HTTP/0.9\r\n\r\n", "505"),
		V("GET / HTTP/2.0\r\n" H "\r\n", "505"),
		V("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
		V("\x16\x03\x01\x02\x01", "400"),
		V("BREW / HTTP/1.1\r\n" H "\r\n", "501"),
		V("get / HTTP/1.1\r\n" H "\r\n", "501"),
		V("CONNECT h:443 HTTP/1.1\r\n" H "\r\n", "501"),
		/* Host. */
		V(GET_WITH(""), "400"),
		V(GET_WITH("Host:\r\n"), "400"),
		V(GET_WITH(H H), "400"),
		V(GET_WITH("Host: a b\r\n"), "400"),
		V(GET_WITH("Host: a,b\r\n"), "400"),
		V(GET_WITH("Host: a/b\r\n"), "400"),
		V(GET_WITH("Host: u@h\r\n"), "400"),
		V(GET_WITH("Host: h:65536\r\n"), "400"),
		V(GET_WITH("Host: h:8x\r\n"), "400"),
		V(GET_WITH("Host: [::1\r\n"), "400"),
		V(GET_WITH("Host: [::1]x\r\n"), "400"),
		V(GET_WITH(H "Expect: 200-ok\r\n"), "417"),
	};
	run(v, ARRAY_LEN(v));
}

#define POST_WITH(fields) "POST / HTTP/1.1\r\n" H fields "\r\n"

static void smuggling_is_refused(void **state)
{
	(void)state;
	static const struct vector v[] = {
		V(POST_WITH("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), "400"),
		V(POST_WITH("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"), "400"),
		V(POST_WITH("Content-Length: 3\r\nContent-Length: 3\r\n"), "400"),
		V(POST_WITH("Content-Length: 3\r\nContent-Length: 4\r\n"), "400"),
		V(POST_WITH("Content-Length: 3, 3\r\n"), "400"),
		V(POST_WITH("Content-Length: +3\r\n"), "400"),
		V(POST_WITH("Content-Length: -3\r\n"), "400"),
		V(POST_WITH("Content-Length: 0x3\r\n"), "400"),
		V(POST_WITH("Content-Length: 3 4\r\n"), "400"),
		V(POST_WITH("Content-Length:\r\n"), "400"),
		V(POST_WITH("Content-Length: 18446744073709551616\r\n"), "400"),
		V(POST_WITH("Content-Length: 9223372036854775808\r\n"), "400"),
		V(POST_WITH("Content-Length : 3\r\n"), "400"),
		V(POST_WITH("Transfer-Encoding : chunked\r\n"), "400"),
		V(POST_WITH("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), "400"),
		V(POST_WITH("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), "400"),
		V(POST_WITH("Transfer-Encoding: chunked, identity\r\n"), "400"),
		V(POST_WITH("Transfer-Encoding: chunked, chunked\r\n"), "400"),
		V(POST_WITH("Transfer-Encoding: identity\r\n"), "400"),
		V(POST_WITH("Transfer-Encoding: xchunked\r\n"), "400"),
		V(POST_WITH("Transfer-Encoding: chunkedx\r\n"), "400"),
		V(POST_WITH("Transfer-Encoding: \"chunked\"\r\n"), "400"),
		V(POST_WITH("Transfer-Encoding: chunked;q=1\r\n"), "400"),
		V(POST_WITH("Transfer-Encoding: \x0b"
			    "chunked\r\n"), "400"),
		V(POST_WITH("Transfer-Encoding:\r\n chunked\r\n"), "400"),
		V(POST_WITH("Transfer-Encoding: ,chunked\r\n"), "400"),
		V(POST_WITH("Transfer-Encoding:\r\n"), "400"),
		V(POST_WITH("X: y\nTransfer-Encoding: chunked\r\n"), "400"),
		V(POST_WITH("X: y\rTransfer-Encoding: chunked\r\n"), "400"),
		V(POST_WITH("Transfer-Encoding: gzip, chunked\r\n"), "501"),
		V("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
	};
	run(v, ARRAY_LEN(v));
}

static void limits_hold_at_the_byte(void **state)
{
	(void)state;
	char head[LIMIT + 64];
	struct outcome o;
	for (int over = 0; over < 2; over++) {
		int pad = LIMIT - (int)strlen("GET / HTTP/1.1\r\nHost: h\r\nA: \r\n\r\n") + over;
		int n = snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: h\r\nA: %0*d\r\n\r\n", pad, 0);
		parse_split(slice_of(head, (size_t)n), (size_t)n, 1, &o);
		assert_true(over ? !strcmp(o.text, "431") : !strncmp(o.text, "GET / 1.1", 9));
		parse_split(slice_of(head, (size_t)n), 0, 7, &o);
		assert_true(over ? !strcmp(o.text, "431") : !strncmp(o.text, "GET / 1.1", 9));
	}
	memset(head, 'a', sizeof head);
	memcpy(head, "GET /", 5);
	parse_split(slice_of(head, sizeof head), sizeof head, 1, &o);
	assert_string_equal(o.text, "414");
	parse_split(slice_of(head, sizeof head), 1, 100, &o);
	assert_string_equal(o.text, "414");
}

static void more_than_64_fields_are_refused(void **state)
{
	(void)state;
	char head[1024] = "GET / HTTP/1.1\r\nHost: h\r\n";
	struct outcome o;
	for (int i = 0; i < HTTP_HEADERS_MAX - 1; i++)
		strcat(head, "a: b\r\n");
	size_t n = strlen(head);
	strcat(head, "\r\n");
	parse_split(slice_from_cstr(head), 0, 13, &o);
	assert_memory_equal(o.text, "GET / 1.1", 9);
	strcpy(head + n, "a: b\r\n\r\n");
	parse_split(slice_from_cstr(head), 0, 13, &o);
	assert_string_equal(o.text, "431");
}

static void fields_are_found_by_name(void **state)
{
	(void)state;
	static const char *const known[HTTP_KNOWN_COUNT] = {
		"host", "connection", "content-length", "transfer-encoding", "expect", "if-match",
		"if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range", "accept",
		"accept-encoding", "content-type", "cookie", "origin", "referer", "user-agent",
		"authorization", "upgrade",
	};
	struct http_parser p;
	struct http_request q;
	struct arena arena;
	char head[256];
	for (unsigned k = 0; k < HTTP_KNOWN_COUNT; k++) {
		arena_init(&arena, NULL, 0, NULL, 0);
		http_parser_init(&p, &arena, LIMIT);
		const char *value = k == HTTP_EXPECT ? "100-continue" : k == HTTP_TRANSFER_ENCODING ? "chunked" : "7";
		snprintf(head, sizeof head, "GET / HTTP/1.%d\r\n%s%s: %s\r\nX-Y: z\r\nx-y:w\r\n\r\n", k != HTTP_HOST,
			k == HTTP_HOST ? "" : H, known[k], value);
		assert_int_equal(http_parse_request(&p, slice_from_cstr(head), &q), HTTP_DONE);
		assert_true(slice_eq(http_request_known(&q, (enum http_known)k), slice_from_cstr(value)));
		assert_true(slice_eq(http_request_header(&q, slice_from_cstr(known[k])), slice_from_cstr(value)));
		for (unsigned j = 1; j < HTTP_KNOWN_COUNT; j++)
			assert_int_equal(q.known[j] != 0, j == k);
	}
	uint32_t at = 0;
	assert_true(slice_eq(http_request_header(&q, SLICE("X-Y")), SLICE("z")));
	assert_true(slice_eq(http_request_header_next(&q, SLICE("X-Y"), &at), SLICE("z")));
	assert_true(slice_eq(http_request_header_next(&q, SLICE("X-Y"), &at), SLICE("w")));
	assert_null(http_request_header_next(&q, SLICE("X-Y"), &at).ptr);
	assert_null(http_request_header(&q, SLICE("X")).ptr);
	assert_null(http_request_header(&q, SLICE("")).ptr);
	assert_true(http_request_lists(&q, SLICE("x-y"), SLICE("W")));
	assert_false(http_request_lists(&q, SLICE("x-y"), SLICE("y")));
}

static void a_full_arena_is_an_error(void **state)
{
	(void)state;
	struct http_parser p;
	struct http_request q;
	struct arena arena;
	arena_init(&arena, NULL, 0, NULL, 0);
	http_parser_init(&p, &arena, LIMIT);
	assert_int_equal(http_parse_request(&p, SLICE(TARGET("/%41")), &q), HTTP_FAILED);
	assert_int_equal(p.status, 431);
	http_parser_init(&p, &arena, LIMIT);
	assert_int_equal(http_parse_request(&p, SLICE(TARGET("/plain.html")), &q), HTTP_DONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_understood),
		cmocka_unit_test(each_length_is_understood_alike),
		cmocka_unit_test(paths_are_decoded_and_normalised_once),
		cmocka_unit_test(malformed_heads_are_refused),
		cmocka_unit_test(smuggling_is_refused),
		cmocka_unit_test(limits_hold_at_the_byte),
		cmocka_unit_test(more_than_64_fields_are_refused),
		cmocka_unit_test(fields_are_found_by_name),
		cmocka_unit_test(a_full_arena_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
