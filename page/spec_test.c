/* The Mustache specification's own cases, through the compiler and the renderer that applications
 * use. They are read from the directory that MUSTACHE_SPEC names (one JSON file for each module).
 */
#include <page/compile.h>
#include <page/render.h>

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ARENA_SIZE (1u << 20)

static _Alignas(16) uint8_t memory[ARENA_SIZE];

/* A number's text as JSON has it; integers and text are native. */
static void convert(struct page_value *v, const json_t *j, struct arena *arena)
{
	const char *key;
	json_t *child;
	size_t i;
	if (json_is_object(j)) {
		page_become_object(v, arena);
		json_object_foreach((json_t *)j, key, child)
			convert(page_member(v, slice_from_cstr(key)), child, arena);
	} else if (json_is_array(j)) {
		page_become_list(v, arena);
		json_array_foreach(j, i, child) convert(page_item(v), child, arena);
	} else if (json_is_boolean(j)) {
		page_become_bool(v, json_is_true(j));
	} else if (json_is_integer(j)) {
		page_become_int(v, json_integer_value(j));
	} else if (json_is_real(j)) {
		char text[40];
		int len = snprintf(text, sizeof text, "%.15g", json_real_value(j));
		page_become_text(v, arena_copy(arena, slice_of(text, (size_t)len)));
	} else if (json_is_string(j)) {
		page_become_text(v, slice_of(json_string_value(j), json_string_length(j)));
	}
}

static char *joined(const struct page_output *out)
{
	char *text = malloc(out->byte_count + 1), *to = text;
	for (const struct page_chunk *c = out->first; c; c = c->next)
		for (uint32_t i = 0; i < c->count; i++) {
			memcpy(to, c->segment[i].ptr, c->segment[i].len);
			to += c->segment[i].len;
		}
	*to = 0;
	return text;
}

static err compile_all(struct page_compiler *c, const json_t *test)
{
	const char *name;
	json_t *partial;
	err e = page_compile(c, SLICE("main"), SLICE("main"),
		slice_from_cstr(json_string_value(json_object_get(test, "template"))));
	json_object_foreach(json_object_get(test, "partials"), name, partial)
	{
		struct slice n = slice_from_cstr(name);
		err f = page_compile(c, n, n, slice_from_cstr(json_string_value(partial)));
		if (!failed(e))
			e = f;
	}
	err f = page_compile_link(c);
	return failed(e) ? e : f;
}

enum outcome { PASSED, FAILED, REFUSED };

static enum outcome run(const json_t *test, bool plain)
{
	struct arena arena;
	struct page_compiler c;
	struct page_output out;
	arena_init(&arena, memory, sizeof memory, NULL, 0);
	page_compiler_init(&c, &arena);
	c.allow_missing = true;
	c.plain = plain;
	const char *name = json_string_value(json_object_get(test, "name"));
	if (failed(compile_all(&c, test))) {
		if (plain && c.first_diagnostic)
			print_message("%s: %.*s\n", name, SLICE_ARG(c.first_diagnostic->message));
		return plain ? FAILED : REFUSED;
	}
	struct page_value *root = page_root(&arena);
	convert(root, json_object_get(test, "data"), &arena);
	page_output_init(&out, &arena);
	err e = page_render(page_compiled(&c, SLICE("main")), root, &out);
	const char *expected = json_string_value(json_object_get(test, "expected"));
	char *got = joined(&out);
	bool same = !failed(e) && strcmp(got, expected) == 0;
	if (!same)
		print_message("%s (%s): got <<%s>> for <<%s>>\n", name, err_text(e), got, expected);
	free(got);
	return same ? PASSED : FAILED;
}

static void run_module(const char *module, bool required)
{
	char path[1024];
	const char *directory = getenv("MUSTACHE_SPEC");
	unsigned count[3] = {0}, html[3] = {0};
	if (!directory) {
		print_message(
			"SKIP %s: MUSTACHE_SPEC does not name the specification's directory\n",
			module);
		skip();
	}
	json_error_t error;
	snprintf(path, sizeof path, "%s/%s.json", directory, module);
	json_t *file = json_load_file(path, 0, &error);
	if (!file && !required) { /* optional modules carry a tilde where they are published */
		snprintf(path, sizeof path, "%s/~%s.json", directory, module);
		file = json_load_file(path, 0, &error);
	}
	if (!file && !required) {
		print_message("SKIP %s: not in this version of the specification\n", module);
		skip();
	}
	if (!file)
		print_message("%s: %s\n", path, error.text);
	assert_non_null(file);
	size_t i;
	json_t *test, *tests = json_object_get(file, "tests");
	json_array_foreach(tests, i, test)
	{
		count[run(test, true)]++;
		html[run(test, false)]++;
	}
	print_message("%s: %u of %zu pass; checked as HTML %u pass, %u are refused\n", module,
		count[PASSED], json_array_size(tests), html[PASSED], html[REFUSED]);
	assert_true(json_array_size(tests) > 0);
	assert_int_equal(count[PASSED], json_array_size(tests));
	assert_int_equal(html[FAILED], 0);
	json_decref(file);
}

#define MODULE_TEST(name, file, required)                                                          \
	static void name(void **state)                                                             \
	{                                                                                          \
		(void)state;                                                                       \
		run_module(file, required);                                                        \
	}

MODULE_TEST(comments, "comments", true)
MODULE_TEST(delimiters, "delimiters", true)
MODULE_TEST(interpolation, "interpolation", true)
MODULE_TEST(inverted, "inverted", true)
MODULE_TEST(partials, "partials", true)
MODULE_TEST(sections, "sections", true)
MODULE_TEST(inheritance, "inheritance", false)
MODULE_TEST(dynamic_names, "dynamic-names", false)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comments),
		cmocka_unit_test(delimiters),
		cmocka_unit_test(interpolation),
		cmocka_unit_test(inverted),
		cmocka_unit_test(partials),
		cmocka_unit_test(sections),
		cmocka_unit_test(inheritance),
		cmocka_unit_test(dynamic_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
