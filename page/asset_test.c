#include <page/asset_build.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static _Alignas(16) uint8_t memory[1u << 18];

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

static void an_empty_table_has_nothing(void **state)
{
	(void)state;
	struct page_asset_table none = {NULL, 0};
	assert_null(page_asset_find(&none, SLICE("/")));
}

static void assert_type(struct site *s, const char *path, const char *type)
{
	struct slice got = page_asset_type(&s->assets, slice_from_cstr(path));
	if (!slice_eq(got, slice_from_cstr(type)))
		fail_msg("%s: %.*s", path, SLICE_ARG(got));
}

static void types_come_from_the_table_then_from_the_database(void **state)
{
	(void)state;
	struct site s;
	site_init(&s, SLICE("# a comment\tcss\napplication/javascript\t\tjs\n"
			    "application/epub+zip   epub x-epub # odd\nchemical/x-pdb "
			    "pdb\r\nnonsense foo\n"
			    "text/evil\x01 bar\ntext/x-tex ltx\nno/extensions"));
	assert_type(&s, "/a.html", "text/html; charset=utf-8");
	assert_type(&s, "/a.JS", "text/javascript; charset=utf-8");
	assert_type(&s, "/a.svg", "image/svg+xml; charset=utf-8");
	assert_type(&s, "/a.tar.json", "application/json");
	assert_type(&s, "/a.wasm", "application/wasm");
	assert_type(&s, "/a.epub", "application/epub+zip");
	assert_type(&s, "/a.x-epub", "application/epub+zip");
	assert_type(&s, "/a.pdb", "chemical/x-pdb");
	assert_type(&s, "/a.ltx", "text/x-tex; charset=utf-8");
	assert_type(&s, "/a.odd", "application/octet-stream");
	assert_type(&s, "/a.foo", "application/octet-stream");
	assert_type(&s, "/a.bar", "application/octet-stream");
	assert_type(&s, "/a.html/b", "application/octet-stream");
	assert_type(&s, "/a.", "application/octet-stream");
}

static void heads_are_whole_header_blocks(void **state)
{
	(void)state;
	struct site s;
	site_init(&s, SLICE(""));
	assert_false(failed(add(&s, "/a.txt", SLICE("abc"))));
	const struct page_asset *a = &s.assets.first->asset;
	/* The digest of "abc" is the first example of FIPS 180. */
	assert_true(slice_eq(a->etag, SLICE("\"ba7816bf8f01cfea414140de\"")));
	assert_true(slice_eq(
		a->head, SLICE("HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
			       "ETag: \"ba7816bf8f01cfea414140de\"\r\nContent-Length: "
			       "3\r\nCache-Control: no-cache\r\n")));
	assert_true(slice_eq(a->head_not_modified,
		SLICE("HTTP/1.1 304 Not Modified\r\n"
		      "ETag: \"ba7816bf8f01cfea414140de\"\r\nCache-Control: no-cache\r\n")));
}

static void bad_paths_are_refused(void **state)
{
	(void)state;
	struct site s;
	site_init(&s, SLICE(""));
	assert_int_equal(add(&s, "", SLICE("")).code, ERR_INVALID);
	assert_int_equal(add(&s, "a", SLICE("")).code, ERR_INVALID);
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
		if (!failed(e))
			break;
		assert_int_equal(e.code, ERR_NO_MEMORY);
		assert_null(s.assets.first);
	}
	assert_in_range(size, 256, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_path_is_found_and_no_other),
		cmocka_unit_test(a_directory_has_its_index),
		cmocka_unit_test(an_empty_table_has_nothing),
		cmocka_unit_test(types_come_from_the_table_then_from_the_database),
		cmocka_unit_test(heads_are_whole_header_blocks),
		cmocka_unit_test(bad_paths_are_refused),
		cmocka_unit_test(describing_without_memory_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
