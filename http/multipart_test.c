/* The multipart decoder. Each vector is replayed with every split in two, with every split in three for the short
 * ones, and byte by byte, always with the input's end at an unreadable page. */
#include <http/multipart.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "support/guard.h"

#define TYPE "multipart/form-data; boundary=b0"

struct rig {
	struct http_multipart m;
	struct guard guard;
	char log[4096];
	size_t log_len;
	bool in_data;
};

static void rig_log(struct rig *r, struct slice s)
{
	assert_true(r->log_len + s.len < sizeof r->log);
	memcpy(r->log + r->log_len, s.ptr, s.len);
	r->log_len += s.len;
	r->log[r->log_len] = 0;
}

static void log_part(struct rig *r)
{
	rig_log(r, SLICE("<"));
	rig_log(r, r->m.name);
	if (r->m.filename.ptr) {
		rig_log(r, SLICE("|"));
		rig_log(r, r->m.filename);
	}
	if (!slice_eq(r->m.type, SLICE("text/plain"))) {
		rig_log(r, SLICE("|"));
		rig_log(r, r->m.type);
	}
	rig_log(r, SLICE(">"));
}

/* False: nothing more will come of it. */
static bool feed(struct rig *r, struct slice input)
{
	struct slice data;
	size_t used;
	for (;;) {
		struct slice piece = guard_copy(&r->guard, input);
		enum http_multipart_event e = http_multipart_decode(&r->m, piece, &used, &data);
		assert_true(used <= input.len);
		assert_true((data.len > 0) == (e == HTTP_MULTIPART_DATA));
		if (e == HTTP_MULTIPART_DATA)
			rig_log(r, data);
		input = slice_sub(input, used, input.len);
		switch (e) {
		case HTTP_MULTIPART_PART: log_part(r); break;
		case HTTP_MULTIPART_DATA: break;
		case HTTP_MULTIPART_PART_END: rig_log(r, SLICE("$")); break;
		case HTTP_MULTIPART_MORE: assert_int_equal(input.len, 0); return true;
		case HTTP_MULTIPART_END: assert_int_equal(input.len, 0); return false;
		case HTTP_MULTIPART_FAILED: return false;
		}
	}
}

static void outcome(struct rig *r)
{
	struct slice data;
	size_t used;
	char text[16];
	enum http_multipart_event e = http_multipart_decode(&r->m, SLICE(""), &used, &data);
	if (e == HTTP_MULTIPART_END)
		rig_log(r, SLICE("."));
	else if (e == HTTP_MULTIPART_FAILED)
		rig_log(r, slice_of(text, (size_t)sprintf(text, "!%u", r->m.status)));
	else
		rig_log(r, SLICE("..."));
}

static const char *play(struct rig *r, struct slice stream, size_t a, size_t b, size_t step)
{
	r->log_len = 0;
	r->log[0] = 0;
	assert_true(http_multipart_init(&r->m, SLICE(TYPE), 3));
	bool more = feed(r, slice_sub(stream, 0, a)) && feed(r, slice_sub(stream, a, b - a));
	for (size_t at = b; more && at < stream.len; at += step)
		more = feed(r, slice_sub(stream, at, step));
	outcome(r);
	return r->log;
}

static void check(struct slice stream, const char *wanted)
{
	struct rig r;
	guard_init(&r.guard);
	assert_string_equal(play(&r, stream, 0, 0, stream.len + 1), wanted);
	assert_string_equal(play(&r, stream, 0, 0, 1), wanted);
	for (size_t a = 0; a <= stream.len; a++) {
		assert_string_equal(play(&r, stream, a, a, stream.len + 1), wanted);
		for (size_t b = a; stream.len < 130 && b <= stream.len; b++)
			assert_string_equal(play(&r, stream, a, b, stream.len + 1), wanted);
	}
	guard_deinit(&r.guard);
}

struct vector {
	struct slice stream;
	const char *wanted;
};

#define V(in, out) {SLICE_INIT(in), out}
#define D "--b0\r\n"
#define LAST "\r\n--b0--\r\n"
#define CD(rest) "Content-Disposition: form-data; " rest "\r\n\r\n"
#define A CD("name=a")

static void run(const struct vector *v, size_t count)
{
	for (size_t i = 0; i < count; i++)
		check(v[i].stream, v[i].wanted);
}

static void forms_are_parsed(void **state)
{
	(void)state;
	static const struct vector v[] = {
		V(D CD("name=\"a\"") "hello" LAST, "<a>hello$."),
		V(D A LAST, "<a>$."),
		V(D A "one\r\n" D CD("name=\"b c\"") "two\r\n" D CD("name=d") "3" LAST, "<a>one$<b c>two$<d>3$."),
		V(D CD("name=\"f\"; filename=\"x.txt\"") "content" LAST, "<f|x.txt>content$."),
		V(D "content-disposition: FORM-DATA ;NAME=f; Filename=\"\"\r\ncontent-type:  image/png \r\nX-Other: y\r\n\r\n"
			"c" LAST, "<f||image/png>c$."),
		V(D A "x" LAST "and more \r\n--b0\r\n of it", "<a>x$."),
		V("preamble\r\n--b\r\n" "\r\n" D A "x" LAST, "<a>x$."),
		V("\r\n" D A "x" LAST, "<a>x$."),
		V("--b0 \t \r\n" A "x" "\r\n--b0--", "<a>x$."),
		V(D "Content-Transfer-Encoding: binary\r\n" A "x" LAST, "<a>x$."),
		V("--b0--\r\n", "."),
		V("--b0--", "."),
	};
	run(v, ARRAY_LEN(v));
}

static void content_may_look_like_a_delimiter(void **state)
{
	(void)state;
	static const struct vector v[] = {
		V(D A "\r" LAST, "<a>\r$."),
		V(D A "\r\n" LAST, "<a>\r\n$."),
		V(D A "\r\r\n\r\n-\r\n--\r\n--b\r\n--b1\r\n--c0 --b0 \n--b0\r\n" LAST,
			"<a>\r\r\n\r\n-\r\n--\r\n--b\r\n--b1\r\n--c0 --b0 \n--b0\r\n$."),
		V(D A "\r\n--\r\n--b0--", "<a>\r\n--$."),
		V(D A "\r\n--b\r\n--b0--", "<a>\r\n--b$."),
		V(D A "--b0" LAST, "<a>--b0$."),
		V(D A "\n--b0\n" LAST, "<a>\n--b0\n$."),
		V(D A "x\r\n-" LAST, "<a>x\r\n-$."),
	};
	run(v, ARRAY_LEN(v));
}

static void names_are_unquoted(void **state)
{
	(void)state;
	static const struct vector v[] = {
		V(D CD("name=\"a%22b\"") LAST, "<a\"b>$."),
		V(D CD("name=\"a\\\"b\\\\c\"") LAST, "<a\"b\\c>$."),
		V(D CD("name=f; filename=\"C:\\dir\\100%.txt\"") LAST, "<f|C:\\dir\\100%.txt>$."),
		V(D CD("name=f; filename=\"a%0D%0Ab%25%41\"") LAST, "<f|a\r\nb%25%41>$."),
		V(D CD("name=f; filename=\"a;b=c\"; x=\"y\"") LAST, "<f|a;b=c>$."),
		V(D CD("name=f; filename*=UTF-8''x; filename=\"gr\xc3\xbc\xc3\x9f\"") LAST, "<f|gr\xc3\xbc\xc3\x9f>$."),
		V(D CD("name=\"%2\"") LAST, "<%2>$."),
		V(D CD("name=\"../../etc/passwd\"") LAST, "<../../etc/passwd>$."),
	};
	run(v, ARRAY_LEN(v));
}

static void what_is_malformed_is_refused(void **state)
{
	(void)state;
	static const struct vector v[] = {
		V("--b0x\r\n" A LAST, "!400"),
		V("--b0\n" A LAST, "!400"),
		V("--b0\r" A LAST, "!400"),
		V("--b0-\r\n" A LAST, "!400"),
		V(D "\r\nno head" LAST, "!400"),
		V(D "X: y\r\n\r\n" LAST, "!400"),
		V(D CD("filename=x") LAST, "!400"),
		V(D CD("name=a; name=b") LAST, "!400"),
		V(D "Content-Disposition: form-data; name=a\r\n" A LAST, "!400"),
		V(D CD("name=\"a") LAST, "!400"),
		V(D CD("name=") LAST, "!400"),
		V(D CD("name=a;") LAST, "!400"),
		V(D CD("name=a b") LAST, "!400"),
		V(D "Content-Disposition: attachment; name=a\r\n\r\n" LAST, "!400"),
		V(D "Content-Disposition : form-data; name=a\r\n\r\n" LAST, "!400"),
		V(D "Content-Disposition: form-data;\r\n name=a\r\n\r\n" LAST, "!400"),
		V(D "Content-Disposition: form-data; name=a\n\r\n" LAST, "!400"),
		V(D "X: a\rb\r\n" A LAST, "!400"),
		V(D "X: a\0b\r\n" A LAST, "!400"),
		V(D "no colon\r\n" A LAST, "!400"),
		V(D "Content-Transfer-Encoding: base64\r\n" A "eA==" LAST, "!400"),
		V(D A "x\r\n--b0?", "<a>x$!400"),
	};
	run(v, ARRAY_LEN(v));
}

static void what_has_no_end_is_not_whole(void **state)
{
	(void)state;
	static const struct vector v[] = {
		V("", "..."),
		V("nothing of it", "..."),
		V(D "Content-Dispo", "..."),
		V(D A "half", "<a>half..."),
		V(D A "half\r\n--b0", "<a>half$..."),
		V(D A "half\r\n--b0\r\n", "<a>half$..."),
		V(D A "half\r\n--b0-", "<a>half$..."),
	};
	run(v, ARRAY_LEN(v));
}

static void parts_are_limited_in_number(void **state)
{
	(void)state;
	static const struct vector v[] = {
		V(D A "1\r\n" D A "2\r\n" D A "3" LAST, "<a>1$<a>2$<a>3$."),
		V(D A "1\r\n" D A "2\r\n" D A "3\r\n" D A "4" LAST, "<a>1$<a>2$<a>3$!413"),
	};
	run(v, ARRAY_LEN(v));
}

static void heads_are_limited_in_length(void **state)
{
	(void)state;
	static char stream[HTTP_MULTIPART_HEAD_MAX + 200];
	for (int over = 0; over < 2; over++) {
		int n = sprintf(stream, D "X: ");
		int fill = HTTP_MULTIPART_HEAD_MAX + (int)strlen(D) - n - (int)strlen("\r\n" A) + over;
		memset(stream + n, 'y', (size_t)fill);
		n += fill;
		n += sprintf(stream + n, "\r\n" A "x" LAST);
		check(slice_of(stream, (size_t)n), over ? "!413" : "<a>x$.");
	}
}

static void boundaries_are_found(void **state)
{
	(void)state;
	static const struct {
		const char *type, *boundary; /* NULL: refused */
	} v[] = {
		{"multipart/form-data; boundary=x", "x"},
		{"Multipart/Form-Data;charset=utf-8 ; Boundary=\"a b'()+_,-./:=?c\"", "a b'()+_,-./:=?c"},
		{"multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW", "----WebKitFormBoundary7MA4YWxkTrZu0gW"},
		{"multipart/form-data; boundary=1234567890123456789012345678901234567890123456789012345678901234567890",
			"1234567890123456789012345678901234567890123456789012345678901234567890"},
		{"multipart/form-data; boundary=12345678901234567890123456789012345678901234567890123456789012345678901", NULL},
		{"multipart/form-data", NULL},
		{"multipart/form-data; boundary=", NULL},
		{"multipart/form-data; boundary=\"\"", NULL},
		{"multipart/form-data; boundary=\"a ", NULL},
		{"multipart/form-data; boundary=\"a \"", NULL},
		{"multipart/form-data; boundary=a; boundary=a", NULL},
		{"multipart/form-data; boundary=\"a\\\"\"", NULL},
		{"multipart/form-data; boundary=a b", NULL},
		{"multipart/form-data, boundary=a", NULL},
		{"multipart/mixed; boundary=a", NULL},
		{"application/x-www-form-urlencoded", NULL},
		{"", NULL},
	};
	struct http_multipart m;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		assert_int_equal(http_multipart_init(&m, slice_from_cstr(v[i].type), 1), v[i].boundary != NULL);
		if (!v[i].boundary)
			continue;
		assert_int_equal(m.delimiter_len, 4 + strlen(v[i].boundary));
		assert_memory_equal(m.delimiter + 4, v[i].boundary, strlen(v[i].boundary));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms_are_parsed),
		cmocka_unit_test(content_may_look_like_a_delimiter),
		cmocka_unit_test(names_are_unquoted),
		cmocka_unit_test(what_is_malformed_is_refused),
		cmocka_unit_test(what_has_no_end_is_not_whole),
		cmocka_unit_test(parts_are_limited_in_number),
		cmocka_unit_test(heads_are_limited_in_length),
		cmocka_unit_test(boundaries_are_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
