#include <page/asset_build.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static _Alignas(16) uint8_t memory[1u << 21];

struct site {
	struct arena arena;
	struct page_assets assets;
	struct page_asset_table table;
};

static void site_init(struct site *s, struct slice mime_types)
{
	arena_init(&s->arena, memory, sizeof memory, NULL, 0);
	page_assets_init(&s->assets, &s->arena, mime_types);
}

static err add(struct site *s, const char *path, struct slice bytes)
{
	return page_asset_describe(&s->assets, slice_from_cstr(path), SLICE("f"), bytes, false);
}

static const char *const paths[] = {"/index.html", "/a.css", "/docs/index.html", "/docs.html",
	"/docs/a.png", "/docs0", "/z", "/docs/sub/index.html", "/doc"};

static void site_fill(struct site *s)
{
	site_init(s, SLICE(""));
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		assert_false(failed(add(s, paths[i], slice_from_cstr(paths[i]))));
	assert_false(failed(page_assets_finish(&s->assets)));
	assert_false(failed(page_asset_table_build(&s->assets, &s->table)));
}

static void each_path_is_found_and_no_other(void **state)
{
	(void)state;
	struct site s;
	site_fill(&s);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		const struct page_asset *a = page_asset_find(&s.table, slice_from_cstr(paths[i]));
		assert_non_null(a);
		assert_true(slice_eq(a->body, slice_from_cstr(paths[i])));
	}
	const char *const absent[] = {
		"", "/docs", "/a.cs", "/a.css0", "/A.css", "a.css", "//", "/zz", "/doc/"};
	for (size_t i = 0; i < ARRAY_LEN(absent); i++)
		assert_null(page_asset_find(&s.table, slice_from_cstr(absent[i])));
}

static void a_directory_has_its_index(void **state)
{
	(void)state;
	struct site s;
	site_fill(&s);
	assert_true(slice_eq(page_asset_find(&s.table, SLICE("/"))->path, SLICE("/index.html")));
	assert_true(slice_eq(
		page_asset_find(&s.table, SLICE("/docs/"))->path, SLICE("/docs/index.html")));
	assert_true(page_asset_is_directory(&s.table, SLICE("/docs")));
	assert_true(page_asset_is_directory(&s.table, SLICE("/docs/sub")));
	assert_false(page_asset_is_directory(&s.table, SLICE("/docs/")));
	assert_false(page_asset_is_directory(&s.table, SLICE("/doc")));
	assert_false(page_asset_is_directory(&s.table, SLICE("")));
}

static void a_thousand_paths_are_found_and_no_others(void **state)
{
	(void)state;
	char path[40];
	struct site s;
	site_init(&s, SLICE(""));
	for (int i = 0; i < 1000; i++) {
		snprintf(path, sizeof path, i % 10 ? "/d%d/%010d" : "/d%d/%010d/index.html", i % 30, i);
		assert_false(failed(add(&s, path, SLICE("x"))));
	}
	assert_false(failed(page_assets_finish(&s.assets)));
	assert_false(failed(page_asset_table_build(&s.assets, &s.table)));
	for (int i = 0; i < 1000; i++) {
		snprintf(path, sizeof path, "/d%d/%010d%s", i % 30, i, i % 10 ? "" : "/");
		assert_non_null(page_asset_find(&s.table, slice_from_cstr(path)));
		snprintf(path, sizeof path, "/d%d/%010d%s", i % 30, i, i % 10 ? "/" : "");
		assert_null(page_asset_find(&s.table, slice_from_cstr(path)));
		assert_int_equal(page_asset_is_directory(&s.table, slice_from_cstr(path)), i % 10 == 0);
		snprintf(path, sizeof path, "/d%d/", i); /* its files' names are as long as index.html */
		assert_null(page_asset_find(&s.table, slice_from_cstr(path)));
		snprintf(path, sizeof path, "/d%d/%010d", i % 30, i + 1000);
		assert_null(page_asset_find(&s.table, slice_from_cstr(path)));
	}
}

static void an_empty_table_has_nothing(void **state)
{
	(void)state;
	struct page_asset_table none = {NULL, 0, 0, NULL};
	assert_null(page_asset_find(&none, SLICE("/")));
}

static void assert_type_of(struct site *s, const char *path, struct slice bytes, const char *type)
{
	struct slice got = page_asset_type(&s->assets, slice_from_cstr(path), bytes);
	if (!slice_eq(got, slice_from_cstr(type)))
		fail_msg("%s: %.*s", path, SLICE_ARG(got));
}

static void assert_type(struct site *s, const char *path, const char *type)
{
	assert_type_of(s, path, SLICE("text"), type);
}

static void types_come_from_the_database(void **state)
{
	(void)state;
	struct site s;
	site_init(&s, SLICE("# a comment\tcss\ntext/javascript\t\tes js\ntext/html html htm\n"
			    "image/svg+xml svg\napplication/json json\napplication/ecma cjs\n"
			    "application/epub+zip   epub x-epub # odd\nchemical/x-pdb "
			    "pdb\r\nnonsense foo\n"
			    "text/evil\x01 bar\ntext/x-tex ltx\nno/extensions"));
	assert_type(&s, "/a.html", "text/html; charset=utf-8");
	assert_type(&s, "/a.JS", "text/javascript; charset=utf-8");
	assert_type(&s, "/a.svg", "image/svg+xml; charset=utf-8");
	assert_type(&s, "/a.tar.json", "application/json");
	assert_type(&s, "/a.epub", "application/epub+zip");
	assert_type(&s, "/a.x-epub", "application/epub+zip");
	assert_type(&s, "/a.pdb", "chemical/x-pdb");
	assert_type(&s, "/a.ltx", "text/x-tex; charset=utf-8");
	assert_type(&s, "/a.css", "application/octet-stream");
	assert_type(&s, "/a.odd", "application/octet-stream");
	assert_type(&s, "/a.foo", "application/octet-stream");
	assert_type(&s, "/a.bar", "application/octet-stream");
	assert_type(&s, "/a.html/b", "application/octet-stream");
	assert_type(&s, "/a.", "application/octet-stream");
	/* What it lacks; what it has comes first. */
	assert_type(&s, "/a.js.map", "application/json");
	assert_type(&s, "/a.cjs", "application/ecma");
}

static void text_is_called_utf8_only_when_it_is(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		bool valid;
	} v[] = {
		{"", true},
		{"plain", true},
		{"\xc3\xa9", true},
		{"\xe2\x82\xac", true},
		{"\xf0\x9f\x98\x80", true},
		{"\xef\xbf\xbf\xf4\x8f\xbf\xbf", true},
		{"\xed\x9f\xbf\xee\x80\x80", true},
		{"caf\xe9", false},	    /* ISO 8859-1 */
		{"\xc0\xaf", false},	    /* overlong */
		{"\xe0\x9f\xbf", false},
		{"\xf0\x8f\xbf\xbf", false},
		{"\xed\xa0\x80", false},    /* a surrogate */
		{"\xf4\x90\x80\x80", false}, /* beyond Unicode */
		{"\x80", false},
		{"\xe2\x82", false},
		{"\xe2\x82 ", false},
	};
	struct site s;
	site_init(&s, SLICE("text/plain txt\napplication/json json\n"));
	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		assert_type_of(&s, "/a.txt", slice_from_cstr(v[i].bytes),
			v[i].valid ? "text/plain; charset=utf-8" : "text/plain");
	assert_type_of(&s, "/a.json", SLICE("caf\xe9"), "application/json");
}

static void only_what_is_not_compressed_yet_is_compressible(void **state)
{
	(void)state;
	assert_true(page_asset_is_compressible(SLICE("text/html; charset=utf-8")));
	assert_true(page_asset_is_compressible(SLICE("image/svg+xml; charset=utf-8")));
	assert_true(page_asset_is_compressible(SLICE("application/json")));
	assert_true(page_asset_is_compressible(SLICE("application/ld+json")));
	assert_true(page_asset_is_compressible(SLICE("application/wasm")));
	assert_true(page_asset_is_compressible(SLICE("font/ttf")));
	assert_false(page_asset_is_compressible(SLICE("font/woff2")));
	assert_false(page_asset_is_compressible(SLICE("image/png")));
	assert_false(page_asset_is_compressible(SLICE("application/zip")));
	assert_false(page_asset_is_compressible(SLICE("application/octet-stream")));
}

static void finish(struct site *s)
{
	assert_false(failed(page_assets_finish(&s->assets)));
	assert_false(failed(page_asset_table_build(&s->assets, &s->table)));
}

/* The digest of "abc" is the first example of FIPS 180. */
#define ABC "\"ba7816bf8f01cfea414140de\""

static void heads_are_whole_header_blocks(void **state)
{
	(void)state;
	struct site s;
	site_init(&s, SLICE("text/plain txt"));
	assert_false(failed(add(&s, "/a.txt", SLICE("abc"))));
	finish(&s);
	const struct page_asset *a = &s.table.asset[0];
	assert_true(slice_eq(a->head,
		SLICE("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Type: text/plain; charset=utf-8\r\n"
		      "ETag: " ABC "\r\nCache-Control: no-cache\r\n")));
	assert_true(slice_eq(page_asset_etag(a), SLICE(ABC)));
	assert_true(slice_eq(page_asset_part_fields(a),
		SLICE("Content-Type: text/plain; charset=utf-8\r\n"
		      "ETag: " ABC "\r\nCache-Control: no-cache\r\n")));
	assert_true(slice_eq(page_asset_validator_fields(a),
		SLICE("ETag: " ABC "\r\nCache-Control: no-cache\r\n")));
}

static void each_coding_has_a_head_of_its_own(void **state)
{
	(void)state;
	struct site s;
	site_init(&s, SLICE("text/plain txt"));
	assert_false(failed(add(&s, "/a.txt", SLICE("a longer text"))));
	struct page_asset_source *source = s.assets.first;
	assert_false(failed(page_asset_add_coding(
		&s.assets, source, PAGE_CODING_GZIP, SLICE("f.gz"), SLICE("abc"))));
	assert_int_equal(page_asset_add_coding(&s.assets, source, PAGE_CODING_GZIP, SLICE("g"), SLICE("x")).code,
		ERR_INVALID);
	assert_int_equal(page_asset_add_coding(&s.assets, source, PAGE_CODING_NONE, SLICE("g"), SLICE("x")).code,
		ERR_INVALID);
	assert_false(failed(
		page_asset_add_coding(&s.assets, source, PAGE_CODING_BROTLI, SLICE("f.br"), SLICE("b"))));
	finish(&s);
	const struct page_asset *a = &s.table.asset[0];
	assert_int_equal(a->coded_count, 2);
	assert_int_equal(a->coded[0].coding, PAGE_CODING_BROTLI); /* the smallest */
	assert_int_equal(a->coded[1].coding, PAGE_CODING_GZIP);
	assert_true(slice_eq(a->coded[1].body, SLICE("abc")));
	assert_true(slice_ends_with(a->head, SLICE("Vary: Accept-Encoding\r\n")));
	assert_true(slice_eq(a->coded[1].head,
		SLICE("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Type: text/plain; charset=utf-8\r\n"
		      "Content-Encoding: gzip\r\nETag: " ABC
		      "\r\nCache-Control: no-cache\r\nVary: Accept-Encoding\r\n")));
	assert_true(slice_eq(page_asset_validator_fields(&a->coded[1]),
		SLICE("ETag: " ABC "\r\nCache-Control: no-cache\r\nVary: Accept-Encoding\r\n")));
	assert_false(slice_eq(page_asset_etag(a), page_asset_etag(&a->coded[0])));
}

static struct slice url_of(struct site *s, const char *path)
{
	struct slice url = {NULL, 0};
	assert_false(failed(page_asset_url(&s->assets, slice_from_cstr(path), &url)));
	return url;
}

static void assert_slice(struct slice got, const char *wanted)
{
	if (!slice_eq(got, slice_from_cstr(wanted)))
		fail_msg("%.*s", SLICE_ARG(got));
}

static void a_fingerprinted_name_is_the_same_file_for_good(void **state)
{
	(void)state;
	struct site s;
	site_init(&s, SLICE("text/plain txt"));
	assert_false(failed(add(&s, "/b/a.min.txt", SLICE("abc"))));
	assert_false(failed(add(&s, "/a b\xc3\xa9(1).txt", SLICE("abc"))));
	assert_false(failed(add(&s, "/x.y/plain", SLICE("abc"))));
	assert_slice(url_of(&s, "/b/a.min.txt"), "/b/a.min.ba7816bf8f01.txt");
	assert_slice(url_of(&s, "/b/a.min.txt"), "/b/a.min.ba7816bf8f01.txt");
	assert_slice(url_of(&s, "/a b\xc3\xa9(1).txt"), "/a%20b%C3%A9%281%29.ba7816bf8f01.txt");
	assert_slice(url_of(&s, "/x.y/plain"), "/x.y/plain.ba7816bf8f01");
	struct slice url;
	assert_int_equal(page_asset_url(&s.assets, SLICE("/b/a.txt"), &url).code, ERR_NOT_FOUND);
	assert_int_equal(s.assets.count, 6);
	for (struct page_asset_source *a = s.assets.first; a; a = a->next)
		if (slice_eq(a->asset.path, SLICE("/b/a.min.txt")))
			assert_false(failed(page_asset_add_coding(
				&s.assets, a, PAGE_CODING_GZIP, SLICE("z"), SLICE("z"))));
	finish(&s);
	const struct page_asset *plain = page_asset_find(&s.table, SLICE("/b/a.min.txt"));
	const struct page_asset *made = page_asset_find(&s.table, SLICE("/b/a.min.ba7816bf8f01.txt"));
	assert_true(slice_ends_with(plain->head, SLICE("Cache-Control: no-cache\r\nVary: Accept-Encoding\r\n")));
	assert_true(slice_ends_with(made->head,
		SLICE("Cache-Control: public, max-age=31536000, immutable\r\nVary: Accept-Encoding\r\n")));
	assert_ptr_equal(made->body.ptr, plain->body.ptr);
	assert_int_equal(made->coded_count, 1);
	assert_true(slice_ends_with(made->coded->head,
		SLICE("Cache-Control: public, max-age=31536000, immutable\r\nVary: Accept-Encoding\r\n")));
	assert_non_null(page_asset_find(&s.table, SLICE("/a b\xc3\xa9(1).ba7816bf8f01.txt")));
}

/* What becomes of a style sheet /css/a.css under its fingerprinted name. */
static struct slice linked(struct site *s, const char *text)
{
	site_init(s, SLICE("text/css css"));
	assert_false(failed(add(s, "/css/a.css", slice_from_cstr(text))));
	assert_false(failed(add(s, "/css/b.css", SLICE("b"))));
	assert_false(failed(add(s, "/css/loop.css", SLICE("@import 'a.css';"))));
	assert_false(failed(add(s, "/i.png", SLICE("abc"))));
	url_of(s, "/css/a.css");
	for (struct page_asset_source *a = s->assets.first; a; a = a->next)
		if (a->immutable && slice_starts_with(a->asset.path, SLICE("/css/a.")))
			return a->asset.body;
	return (struct slice){NULL, 0};
}

static void style_sheets_name_their_files_by_fingerprint(void **state)
{
	(void)state;
#define I "/i.ba7816bf8f01.png"
	static const struct {
		const char *css, *wanted; /* NULL: as it was */
	} v[] = {
		{"a{b:url(../i.png)}", "a{b:url(" I ")}"},
		{"a{b:url( '../i.png' ) c}", "a{b:url( '" I "' ) c}"},
		{"a{b:URL(\"/i.png\"),url(../css/.././i.png)}", "a{b:URL(\"" I "\"),url(" I ")}"},
		{"@import 'b.css';@IMPORT url(b.css) print;", "@import '/css/b.3e23e8160039.css';@IMPORT "
							      "url(/css/b.3e23e8160039.css) print;"},
		{"a{b:url(../i.png#part)}", "a{b:url(" I "#part)}"},
		{"/* url(../i.png) */ a{b:url(../i.png)} /*", "/* url(../i.png) */ a{b:url(" I ")} /*"},
		{"a::after{content:'url(../i.png)'}", NULL},
		{"a{b:url(../i.png?v=1)}", NULL},
		{"a{b:url(../../i.png)}", NULL}, /* beyond the root */
		{"a{b:url(i.png)}", NULL},
		{"a{b:url(//i.png)}", NULL},
		{"a{b:url(https://h/i.png)}", NULL},
		{"a{b:url(data:image/png;base64,AAAA)}", NULL},
		{"a{b:url(../i\\.png)}", NULL},
		{"a{b:url(..%2fi.png)}", NULL},
		{"a{b:url(../i.png x)}", NULL},
		{"a{b:url(../i.png", NULL},
		{"a{b:url('../i.png", NULL},
		{"a{b:url('../i.png\n')}", NULL},
		{"a{b:-x-url(../i.png)}", NULL},
		{"a{b:url()}", NULL},
		{"a{b:url(", NULL},
		{"@import ", NULL},
		{"@import \"", NULL},
		{"a{b:url(#i)}", NULL},
		{"a{c:'\\", NULL},
		{"@import 'a.css';", "@import '/css/a.css';"}, /* itself */
		{"", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		struct site s;
		struct slice got = linked(&s, v[i].css);
		assert_slice(got, v[i].wanted ? v[i].wanted : v[i].css);
		for (struct page_asset_source *a = s.assets.first; a; a = a->next)
			if (slice_eq(a->asset.path, SLICE("/css/a.css"))) /* as it is */
				assert_slice(a->asset.body, v[i].css);
	}
	struct site s;
	struct slice got = linked(&s, "@import 'loop.css';a{b:url(../i.png)}");
	assert_true(slice_starts_with(got, SLICE("@import '/css/loop.")));
	assert_true(slice_ends_with(got, SLICE(".css';a{b:url(" I ")}")));
}

static void bad_paths_are_refused(void **state)
{
	(void)state;
	struct site s;
	site_init(&s, SLICE(""));
	assert_int_equal(add(&s, "", SLICE("")).code, ERR_INVALID);
	assert_int_equal(add(&s, "a", SLICE("")).code, ERR_INVALID);
	assert_int_equal(add(&s, "/", SLICE("")).code, ERR_INVALID);
	assert_int_equal(add(&s, "/a/", SLICE("")).code, ERR_INVALID);
	assert_int_equal(add(&s, "/a\r\nX: y", SLICE("")).code, ERR_INVALID);
	assert_false(failed(add(&s, "/a", SLICE(""))));
	assert_int_equal(add(&s, "/a", SLICE("")).code, ERR_BUSY);
	assert_int_equal(s.assets.count, 1);
}

static void describing_without_memory_is_an_error(void **state)
{
	(void)state;
	struct site s;
	size_t size = 16;
	for (;; size += 16) {
		arena_init(&s.arena, memory, size, NULL, 0);
		page_assets_init(&s.assets, &s.arena, SLICE(""));
		err e = add(&s, "/a.html", SLICE("x"));
		if (failed(e))
			assert_null(s.assets.first);
		else
			e = page_asset_add_coding(
				&s.assets, s.assets.first, PAGE_CODING_GZIP, SLICE("f.gz"), SLICE("y"));
		if (!failed(e))
			e = page_assets_finish(&s.assets);
		if (!failed(e))
			break;
		assert_int_equal(e.code, ERR_NO_MEMORY);
	}
	assert_in_range(size, 256, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_path_is_found_and_no_other),
		cmocka_unit_test(a_directory_has_its_index),
		cmocka_unit_test(a_thousand_paths_are_found_and_no_others),
		cmocka_unit_test(an_empty_table_has_nothing),
		cmocka_unit_test(types_come_from_the_database),
		cmocka_unit_test(text_is_called_utf8_only_when_it_is),
		cmocka_unit_test(only_what_is_not_compressed_yet_is_compressible),
		cmocka_unit_test(heads_are_whole_header_blocks),
		cmocka_unit_test(each_coding_has_a_head_of_its_own),
		cmocka_unit_test(a_fingerprinted_name_is_the_same_file_for_good),
		cmocka_unit_test(style_sheets_name_their_files_by_fingerprint),
		cmocka_unit_test(bad_paths_are_refused),
		cmocka_unit_test(describing_without_memory_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
