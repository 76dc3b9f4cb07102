/* The compiler and the renderer together, through the public interface. */
#include <page/asset_build.h>
#include <page/compile.h>
#include <page/render.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static _Alignas(16) uint8_t memory[8u << 20];

struct world {
	struct arena arena;
	struct page_compiler compiler;
	struct page_output out;
};

static void world_init(struct world *w)
{
	arena_init(&w->arena, memory, sizeof memory, NULL, 0);
	page_compiler_init(&w->compiler, &w->arena);
	page_output_init(&w->out, &w->arena);
}

static err add(struct world *w, const char *name, const char *source)
{
	struct slice n = slice_from_cstr(name);
	return page_compile(&w->compiler, n, n, slice_from_cstr(source));
}

/* Everything that was written, as one string. */
struct text {
	struct page_sink sink;
	size_t len;
	char bytes[1u << 20];
};

static void text_write(struct page_sink *sink, struct slice s)
{
	struct text *t = (struct text *)sink;
	assert_true(t->len + s.len < sizeof t->bytes);
	if (s.len)
		memcpy(t->bytes + t->len, s.ptr, s.len);
	t->len += s.len;
	t->bytes[t->len] = 0;
}

static struct text *text_new(void)
{
	struct text *t = calloc(1, sizeof *t);
	t->sink.write = text_write;
	return t;
}

static struct text *joined(const struct page_output *out)
{
	struct text *t = text_new();
	for (const struct page_chunk *c = out->first; c; c = c->next)
		for (uint32_t i = 0; i < c->count; i++)
			text_write(&t->sink, c->segment[i]);
	assert_int_equal(t->len, out->byte_count);
	return t;
}

static void assert_page(struct world *w, const struct page_value *root, const char *expected)
{
	assert_false(failed(page_compile_link(&w->compiler)));
	page_output_init(&w->out, &w->arena);
	assert_false(
		failed(page_render(page_compiled(&w->compiler, SLICE("main")), root, &w->out)));
	struct text *t = joined(&w->out);
	assert_string_equal(t->bytes, expected);
	free(t);
}

/* What `source` shows for value = `text`. */
static void assert_shown(const char *source, const char *text, const char *expected)
{
	struct world w;
	world_init(&w);
	assert_false(failed(add(&w, "main", source)));
	struct page_value *root = page_object(&w.arena);
	page_set_text(root, "x", slice_from_cstr(text));
	assert_page(&w, root, expected);
}

static void assert_diagnostic(const char *source, uint32_t line, uint32_t column, const char *part)
{
	struct world w;
	world_init(&w);
	err e = add(&w, "main", source);
	if (!failed(e))
		e = page_compile_link(&w.compiler);
	const struct page_diagnostic *d = w.compiler.first_diagnostic;
	if (e.code != ERR_INVALID || !d)
		fail_msg("accepted: %s", source);
	struct text *t = text_new();
	page_diagnostic_write(d, &t->sink);
	if (d->line != line || d->column != column || !strstr(t->bytes, part))
		fail_msg("wanted %u:%u %s, got\n%s", line, column, part, t->bytes);
	free(t);
}

static void values_of_every_type_are_shown(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	assert_false(failed(add(&w, "main",
		"{{null}}|{{yes}}|{{no}}|{{min}}|{{price}}|{{debt}}|{{text}}|{{html}}|{{list}}|{{"
		"missing}}")));
	struct page_value *root = page_object(&w.arena);
	page_set_null(root, "null");
	page_set_bool(root, "yes", true);
	page_set_bool(root, "no", false);
	page_set_int(root, "min", INT64_MIN);
	page_set_decimal(root, "price", 1205, 2);
	page_set_decimal(root, "debt", -5, 2);
	page_set_text(root, "text", SLICE("first"));
	page_set_text(root, "text", SLICE("a<b"));
	page_set_html(root, "html", SLICE("<b>&amp;</b>"));
	page_list_add_int(page_set_list(root, "list"), 1);
	assert_page(&w, root, "|true|false|-9223372036854775808|12.05|-0.05|a&lt;b|<b>&amp;</b>||");
	assert_int_equal(w.out.bytes_copied, 20 + 5 + 5 + 6);
}

static void static_text_is_referenced_not_copied(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	assert_false(failed(
		add(&w, "main", "<h1>{{title}}</h1>\n{{! gone }}\n<p>{{{body}}}</p>{{none}} end")));
	struct page_value *root = page_object(&w.arena);
	struct slice title = SLICE("plain title"), body = SLICE("<i>");
	page_set_text(root, "title", title);
	page_set_text(root, "body", body);
	assert_page(&w, root, "<h1>plain title</h1>\n<p><i></p> end");
	const struct page_op *op = page_compiled(&w.compiler, SLICE("main"))->ops;
	struct slice s[5];
	assert_int_equal(page_output_segments(&w.out, s, 5), 5);
	assert_ptr_equal(s[0].ptr, op[0].text.ptr);
	assert_ptr_equal(s[1].ptr, title.ptr);
	assert_ptr_equal(s[2].ptr, op[2].text.ptr);
	assert_ptr_equal(s[3].ptr, body.ptr);
	/* The text on both sides of a value that shows nothing is one segment. */
	assert_ptr_equal(s[4].ptr, op[4].text.ptr);
	assert_int_equal(s[4].len, strlen("</p> end"));
	assert_int_equal(w.out.bytes_copied, 0);
}

static void only_the_window_with_a_special_byte_is_copied(void **state)
{
	(void)state;
	static char text[4096];
	struct world w;
	world_init(&w);
	memset(text, 'a', sizeof text);
	text[2000] = '<';
	assert_false(failed(add(&w, "main", "{{x}}")));
	struct page_value *root = page_object(&w.arena);
	page_set_text(root, "x", slice_of(text, sizeof text));
	assert_false(failed(page_compile_link(&w.compiler)));
	assert_false(failed(page_render(page_compiled(&w.compiler, SLICE("main")), root, &w.out)));
	assert_int_equal(w.out.byte_count, sizeof text + 3);
	assert_int_equal(w.out.segment_count, 3);
	assert_in_range(w.out.bytes_copied, 4, 300);
}

static void a_special_byte_is_seen_at_every_place(void **state)
{
	(void)state;
	const char special[] = "&<>\"'";
	for (size_t len = 1; len <= 40; len++)
		for (size_t at = 0; at < len; at++) {
			/* Of exactly this size: a read beyond its end is the sanitizer's. */
			char *text = malloc(len);
			struct world w;
			world_init(&w);
			memset(text, 'a' + (int)(at % 26), len);
			text[at] = special[at % 5];
			assert_false(failed(add(&w, "main", "{{x}}")));
			assert_false(failed(page_compile_link(&w.compiler)));
			struct page_value *root = page_object(&w.arena);
			page_set_text(root, "x", slice_of(text, len));
			const struct page_template *t = page_compiled(&w.compiler, SLICE("main"));
			assert_false(failed(page_render(t, root, &w.out)));
			assert_in_range(w.out.byte_count, len + 3, len + 5);
			assert_int_equal(w.out.bytes_copied, w.out.byte_count);
			free(text);
		}
}

static void values_are_escaped_for_where_they_stand(void **state)
{
	(void)state;
	assert_shown("<p>{{x}}</p>", "<&>\"'", "<p>&lt;&amp;&gt;&quot;&#39;</p>");
	assert_shown("<p>{{{x}}}{{&x}}", "<b>", "<p><b><b>");
	assert_shown(
		"<p class=\"a {{x}}\">", "\" onclick=\"", "<p class=\"a &quot; onclick=&quot;\">");
	assert_shown("<p class='{{x}}'>", "'", "<p class='&#39;'>");
	assert_shown("<a href=\"{{x}}\">", "/a?b=1&c", "<a href=\"/a?b=1&amp;c\">");
	assert_shown("<a href=\"{{x}}\">", "javascript:alert(1)", "<a href=\"#\">");
	assert_shown("<a href=\"{{x}}\">", "java\nscript:alert(1)", "<a href=\"#\">");
	assert_shown("<a href=\" {{x}}\">", "\1JavaScript:alert(1)", "<a href=\" #\">");
	assert_shown("<a href=\"{{x}}\">", "HTTPS://a/", "<a href=\"HTTPS://a/\">");
	assert_shown("<a href=\"/s?q={{x}}&n=1\">", "a&b=c d/\xc3\xa9",
		"<a href=\"/s?q=a%26b%3Dc%20d%2F%C3%A9&n=1\">");
	assert_shown("<img alt=x src=\"/img/{{x}}\">", "../a", "<img alt=x src=\"/img/..%2Fa\">");
	assert_shown("<script>let a = {{x}};</script>{{x}}", "</script>'\"\\\n\xe2\x80\xa8",
		"<script>let a = "
		"\"\\u003c/script\\u003e\\u0027\\u0022\\u005c\\u000a\\u2028\";</script>"
		"&lt;/script&gt;&#39;&quot;\\\n\xe2\x80\xa8");
	assert_shown(
		"<script>let a = [{{missing}}];</script>", "", "<script>let a = [null];</script>");
	assert_shown("<textarea>{{x}}</textarea>", "</textarea>",
		"<textarea>&lt;/textarea&gt;</textarea>");
	assert_shown("<script>if (a < b) f('</p>', {{x}})</script>", "1",
		"<script>if (a < b) f('</p>', \"1\")</script>");
	assert_shown("<!-- don't --><p title=\"{{x}}\">", "1", "<!-- don't --><p title=\"1\">");
	assert_shown("<!--><p title=\"-->{{x}}\">", "\"", "<!--><p title=\"-->&quot;\">");
	assert_shown("<script>a = 4 / 2 / '\nb = {{x}}</script>", "`${1}",
		"<script>a = 4 / 2 / '\nb = \"\\u0060\\u0024{1}\"</script>");
	assert_shown(
		"<script src=\"/{{x}}\"></script>", "/evil", "<script src=\"/%2Fevil\"></script>");
	assert_shown("1 < 2 {{x}}", ">", "1 < 2 &gt;");
}

static void trusted_markup_is_trusted_in_text_alone(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	assert_false(failed(add(&w, "main", "{{x}}<p title=\"{{x}}\"><title>{{x}}</title>")));
	struct page_value *root = page_object(&w.arena);
	page_set_html(root, "x", SLICE("<b>"));
	assert_page(&w, root, "<b><p title=\"&lt;b&gt;\"><title>&lt;b&gt;</title>");
}

static void a_script_gets_lists_and_objects_as_json(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	assert_false(failed(add(&w, "main", "<script>a = {{.}}, b = {{rows}}</script>")));
	struct page_value *root = page_object(&w.arena), *rows = page_set_list(root, "rows"), *row;
	row = page_list_add(rows);
	page_set_text(row, "a\"b", SLICE("</"));
	page_set_decimal(row, "n", 15, 1);
	page_list_add_null(rows);
	page_list_add_bool(rows, false);
	page_list_add_list(rows);
	assert_page(&w, root,
		"<script>a = {\"rows\":[{\"a\\u0022b\":\"\\u003c/\",\"n\":1.5},null,false,[]]}, "
		"b = [{\"a\\u0022b\":\"\\u003c/\",\"n\":1.5},null,false,[]]</script>");
	for (int i = 0; i < 20; i++)
		rows = page_list_add_list(rows);
	assert_int_equal(page_render(page_compiled(&w.compiler, SLICE("main")), root, &w.out).code,
		ERR_TOO_LARGE);
}

static void unsafe_places_are_refused(void **state)
{
	(void)state;
	assert_diagnostic("<p\n class={{x}}>", 2, 8, "quotes");
	assert_diagnostic("<p class=a{{x}}>", 1, 11, "quotes");
	assert_diagnostic("<p onclick=\"f({{x}})\">", 1, 15, "program");
	assert_diagnostic("<p ONCLICK='{{x}}'>", 1, 13, "program");
	assert_diagnostic("<p style=\"color: {{x}}\">", 1, 18, "CSS");
	assert_diagnostic("<style>p { color: {{x}} }</style>", 1, 19, "CSS");
	assert_diagnostic("<{{x}}>", 1, 2, "element");
	assert_diagnostic("<p {{x}}>", 1, 4, "attributes");
	assert_diagnostic("<p data-{{x}}=\"1\">", 1, 9, "attributes");
	assert_diagnostic("<!-- {{x}} -->", 1, 6, "comment");
	assert_diagnostic("<script>a = \"{{x}}\"</script>", 1, 14, "without quotes");
	assert_diagnostic("<script>// it's {{x}}\n</script>", 1, 17, "comment");
	assert_diagnostic(
		"<script>a = /\"/.test({{x}}, \"b\")</script>", 1, 22, "regular expression");
	assert_diagnostic("<script>a = /`/\nb = {{x}}</script>", 2, 5, "script> of its own");
	assert_diagnostic("<script>a = `${`{{x}}`}`</script>", 1, 17, "script> of its own");
	assert_diagnostic("<script>/{{x}}/</script>", 1, 10, "regular expression");
	assert_diagnostic("<script><!--\n{{x}}</script>", 2, 1, "script> of its own");
	assert_diagnostic("<script>/* ' */ a = '{{x}}'</script>", 1, 22, "without quotes");
	assert_diagnostic("<script src=\"{{x}}\"></script>", 1, 14, "choose the program");
	assert_diagnostic("<!--a--b-->{{x}}<!-- {{x}}", 1, 22, "comment");
	assert_diagnostic("<a href=\"javascript:f({{x}})\">", 1, 23, "program");
	assert_diagnostic("<iframe srcdoc=\"{{x}}\">", 1, 17, "document");
	assert_diagnostic("<script>{{>p}}</script>", 1, 9, "partial cannot stand");
	assert_diagnostic("<a href=\"{{$b}}/{{/b}}\">", 1, 10, "block cannot stand");
	assert_diagnostic(
		"{{#x}}<p title=\"{{/x}}\">", 1, 17, "began in text but ends in a quoted");
	assert_diagnostic("<p {{#x}}on{{/x}}click=\"{{y}}\">", 1, 25, "depends on a section");
	assert_diagnostic("<p>\n<script>", 2, 9, "the template ends in a <script>");
}

static void attributes_may_depend_on_sections(void **state)
{
	(void)state;
	assert_shown("<option{{#x}} selected{{/x}} value=\"{{x}}\">", "1",
		"<option selected value=\"1\">");
	assert_shown("<input {{#x}}checked{{/x}}>", "1", "<input checked>");
	assert_shown("<a href=\"/{{#x}}?page={{x}}{{/x}}\">", "2", "<a href=\"/?page=2\">");
	assert_shown("<p {{^x}}hidden{{/x}} class=\"{{x}}\">", "a", "<p  class=\"a\">");
}

static void errors_name_their_place(void **state)
{
	(void)state;
	assert_diagnostic("a\n {{#list}}\n", 2, 2, "{{#list}} is never closed");
	assert_diagnostic(
		"{{#a}}\n{{#b}}\n{{/a}}", 2, 1, "{{#b}} is not closed before {{/a}} of line 3");
	assert_diagnostic("{{#a}}{{/b}}{{/a}}", 1, 7, "{{/b}} where {{/a}} is expected");
	assert_diagnostic("x{{/b}}", 1, 2, "closes nothing");
	assert_diagnostic("\n\nxy{{name", 3, 3, "\"}}\" is missing");
	assert_diagnostic("{{{name}}", 1, 1, "\"}}}\" is missing");
	assert_diagnostic("{{name\n{{other}}", 1, 1, "before the next one opens");
	assert_diagnostic("{{}}", 1, 1, "name is missing");
	assert_diagnostic("{{#  }}", 1, 1, "name is missing");
	assert_diagnostic("{{a b}}", 1, 1, "blanks");
	assert_diagnostic("{{a..b}}", 1, 1, "part of the dotted name is empty");
	assert_diagnostic("{{=<%=}}", 1, 1, "delimiters");
	assert_diagnostic("{{=a b c=}}", 1, 1, "delimiters");
	assert_diagnostic("a\n  {{> nothing }}\n", 2, 3, "no template \"nothing\"");
	assert_diagnostic("{{<p}}{{x}}{{/p}}", 1, 7, "only blocks");
	assert_diagnostic("\t\xc3\xa9{{", 1, 4, "  \t\xc3\xa9{{\n  \t ^\n");
}

static void every_error_is_told(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	assert_int_equal(add(&w, "main", "{{}}\n{{a b}}\n{{/x}}").code, ERR_INVALID);
	assert_int_equal(add(&w, "main", "{{>no}}").code, ERR_INVALID);
	assert_int_equal(page_compile_link(&w.compiler).code, ERR_INVALID);
	assert_int_equal(w.compiler.diagnostic_count, 5);
}

static void a_template_that_includes_itself_ends(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	assert_false(failed(add(&w, "main", "{{>main}}")));
	assert_false(failed(add(&w, "twice", "{{>twice}}{{>twice}}")));
	assert_false(failed(add(&w, "block", "{{<base}}{{$a}}{{$a}}{{/a}}{{/a}}{{/base}}")));
	assert_false(failed(add(&w, "base", "{{$a}}{{/a}}")));
	assert_false(failed(page_compile_link(&w.compiler)));
	const char *const names[] = {"main", "twice", "block"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct page_template *t =
			page_compiled(&w.compiler, slice_from_cstr(names[i]));
		assert_int_equal(page_render(t, page_object(&w.arena), &w.out).code, ERR_TOO_LARGE);
	}
}

/* Renders with every smaller arena until it fits: each allocation fails once. */
static void exhaustion_is_an_error_at_every_allocation(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	assert_false(failed(add(
		&w, "main", "<ul>{{#rows}}<li title=\"{{name}}\">{{n}} {{>row}}{{/rows}}</ul>")));
	assert_false(failed(add(&w, "row", "{{name}}")));
	assert_false(failed(page_compile_link(&w.compiler)));
	const struct page_template *t = page_compiled(&w.compiler, SLICE("main"));
	size_t failures = 0, size = 16;
	for (;; size += 16) {
		struct arena small;
		uint8_t *buf = aligned_alloc(16, size);
		arena_init(&small, buf, size, NULL, 0);
		struct page_value *root = page_object(&small), *rows = page_set_list(root, "rows");
		for (int i = 0; i < 20; i++) {
			struct page_value *row = page_list_add(rows);
			page_set_text(row, "name", SLICE("<x>"));
			page_set_int(row, "n", i);
		}
		struct page_output out;
		page_output_init(&out, &small);
		err e = page_render(t, root, &out);
		free(buf);
		if (!failed(e))
			break;
		assert_int_equal(e.code, ERR_NO_MEMORY);
		failures++;
	}
	assert_in_range(failures, 100, 4096);
	assert_int_equal(page_render(t, NULL, &w.out).code, ERR_NO_MEMORY);
}

static void compiling_without_memory_is_an_error(void **state)
{
	(void)state;
	struct arena small;
	struct page_compiler c;
	size_t size = 16;
	for (;; size += 16) {
		uint8_t *buf = aligned_alloc(16, size);
		arena_init(&small, buf, size, NULL, 0);
		page_compiler_init(&c, &small);
		err e = page_compile(&c, SLICE("a"), SLICE("a"),
			SLICE("{{#a.b}} x {{>a}} {{<a}}{{$c}}{{/c}}{{/a}}{{/a.b}}"));
		if (!failed(e))
			e = page_compile_link(&c);
		free(buf);
		if (!failed(e))
			break;
		assert_int_equal(e.code, ERR_NO_MEMORY);
	}
	assert_in_range(size, 512, 16384);
}

static const char layout[] =
	"<!doctype html>\n<title>{{$title}}Untitled{{/title}}</title>\n<body>\n  {{$body}}\n  "
	"{{/body}}\n</body>\n";
static const char page[] =
	"{{<layout}}\n{{$title}}{{title}} \"?\?/\\\x01\t{{/title}}\n{{$body}}\n<ul>\n{{#rows}}\n"
	"  {{>item}}\n{{/rows}}\n</ul>{{>*extra}}\n{{/body}}\n{{/layout}}\n";
static const char item[] = "<li><a href=\"/entry/{{id}}\">{{name}}</a>{{#new}} new{{/new}}\n";

static struct page_value *sample(struct arena *arena)
{
	struct page_value *root = page_object(arena), *rows = page_set_list(root, "rows");
	page_set_text(root, "title", SLICE("A & B"));
	page_set_text(root, "extra", SLICE("blog/extra-1"));
	for (int i = 0; i < 3; i++) {
		struct page_value *row = page_list_add(rows);
		page_set_int(row, "id", i);
		page_set_text(row, "name", SLICE("<name>"));
		page_set_bool(row, "new", i == 1);
	}
	return root;
}

static void compile_site(struct world *w, bool reversed)
{
	const char *const source[][2] = {{"main", page}, {"layout", layout}, {"item", item},
		{"blog/extra-1", "[{{title}}]"}};
	for (size_t i = 0; i < ARRAY_LEN(source); i++) {
		size_t n = reversed ? ARRAY_LEN(source) - 1 - i : i;
		assert_false(failed(add(w, source[n][0], source[n][1])));
	}
	assert_false(failed(page_compile_link(&w->compiler)));
}

static void layouts_and_partials_compose(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	compile_site(&w, false);
	assert_page(&w, sample(&w.arena),
		"<!doctype html>\n<title>A &amp; B \"?\?/\\\x01\t</title>\n<body>\n  <ul>\n"
		"    <li><a href=\"/entry/0\">&lt;name&gt;</a>\n"
		"    <li><a href=\"/entry/1\">&lt;name&gt;</a> new\n"
		"    <li><a href=\"/entry/2\">&lt;name&gt;</a>\n"
		"  </ul>[A &amp; B]\n</body>\n");
}

static void write_file(const char *directory, const char *name, const char *bytes, size_t len)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", directory, name);
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void output_does_not_depend_on_order(void **state)
{
	(void)state;
	struct world w;
	struct text *a = text_new(), *b = text_new();
	world_init(&w);
	compile_site(&w, false);
	page_emit_c(&w.compiler, &a->sink);
	world_init(&w);
	compile_site(&w, true);
	page_emit_c(&w.compiler, &b->sink);
	assert_true(a->len > 1000);
	assert_string_equal(a->bytes, b->bytes);
	free(a);
	free(b);
}

/* A program around the emitted tables, which walks them as the compiled template here is walked:
 * all members of all operations are printed by both. */
static const char walker[] =
	"#include <stdio.h>\n#include \"templates.h\"\n#include <page/asset.h>\n"
	"extern const struct page_asset_table assets;\n"
	"static void show(struct slice s) { printf(\" %zu:\", s.len); fwrite(s.ptr, 1, s.len, "
	"stdout); }\n"
	"static void walk(const struct page_template *t) {\n"
	"	show(t->name); printf(\" %u %d\\n\", t->op_count, t->set ? (int)t->set->count : "
	"-1);\n"
	"	for (uint32_t i = 0; i < t->op_count; i++) { const struct page_op *o = t->ops + "
	"i;\n"
	"		printf(\"%d %d %d %d %u\", o->kind, o->escape, o->standalone, o->path_len, "
	"o->jump);\n"
	"		show(o->text);\n"
	"		for (int n = 0; n < o->path_len; n++) show(o->to.path[n]);\n"
	"		if (!o->path_len && o->to.partial) show(o->to.partial->name);\n"
	"		printf(\"\\n\"); } }\n";
static const char walker_main[] =
	"static void show_asset(const struct page_asset *a) {\n"
	"	show(a->path); show(a->head); show(page_asset_part_fields(a)); show(page_asset_etag(a));\n"
	"	printf(\"%d\", a->coding); show(a->body); }\n"
	"int main(void) { walk(&page_template_main); walk(&page_template_layout);\n"
	"	walk(&page_template_item); walk(&page_template_blog_extra_1);\n"
	"	for (uint32_t i = 0; i < assets.count; i++) { const struct page_asset *a = "
	"assets.asset + i;\n"
	"		show_asset(a);\n"
	"		for (int n = 0; n < a->coded_count; n++) show_asset(&a->coded[n]); }\n"
	"	return 0; }\n";

static void show(struct text *t, struct slice s)
{
	char buf[32];
	int n = snprintf(buf, sizeof buf, " %zu:", s.len);
	text_write(&t->sink, slice_of(buf, (size_t)n));
	text_write(&t->sink, s);
}

static void walk(struct text *to, const struct page_template *t)
{
	char buf[80];
	show(to, t->name);
	int n = snprintf(
		buf, sizeof buf, " %u %d\n", t->op_count, t->set ? (int)t->set->count : -1);
	text_write(&to->sink, slice_of(buf, (size_t)n));
	for (uint32_t i = 0; i < t->op_count; i++) {
		const struct page_op *o = t->ops + i;
		n = snprintf(buf, sizeof buf, "%d %d %d %d %u", o->kind, o->escape, o->standalone,
			o->path_len, o->jump);
		text_write(&to->sink, slice_of(buf, (size_t)n));
		show(to, o->text);
		for (int k = 0; k < o->path_len; k++)
			show(to, o->to.path[k]);
		if (!o->path_len && o->to.partial)
			show(to, o->to.partial->name);
		text_write(&to->sink, SLICE("\n"));
	}
}

static void walk_asset(struct text *to, const struct page_asset *a)
{
	show(to, a->path);
	show(to, a->head);
	show(to, page_asset_part_fields(a));
	show(to, page_asset_etag(a));
	text_write(&to->sink, slice_of(&"012"[a->coding], 1));
	show(to, a->body);
}

static void walk_assets(struct text *to, const struct page_asset_table *t)
{
	for (uint32_t i = 0; i < t->count; i++) {
		walk_asset(to, &t->asset[i]);
		for (unsigned n = 0; n < t->asset[i].coded_count; n++)
			walk_asset(to, &t->asset[i].coded[n]);
	}
}

static void emitted_sources_are_the_same_tables(void **state)
{
	(void)state;
	static const char big[] = "body \"with\" ?\?= \\ bytes\n\x7f\xff end";
	char directory[] = "/tmp/page-test-XXXXXX", command[1024], file[300];
	struct world w;
	struct page_assets assets;
	struct page_asset_table table;
	struct text *header = text_new(), *c = text_new(), *ac = text_new(), *as = text_new(),
		    *t = text_new();
	world_init(&w);
	compile_site(&w, false);
	assert_non_null(mkdtemp(directory));
	page_assets_init(&assets, &w.arena, SLICE(""));
	snprintf(file, sizeof file, "%s/bo?dy.css", directory);
	assert_false(failed(page_asset_describe(&assets, SLICE("/b.css"), slice_from_cstr(file),
		slice_of(big, sizeof big), false)));
	assert_false(failed(page_asset_describe(&assets, SLICE("/a?\"\\.bin"),
		slice_from_cstr(file), slice_of(big, sizeof big), true)));
	for (struct page_asset_source *a = assets.first; a; a = a->next)
		for (int coding = PAGE_CODING_GZIP; coding <= PAGE_CODING_BROTLI; coding++)
			assert_false(failed(page_asset_add_coding(&assets, a, (enum page_coding)coding,
				slice_from_cstr(file), slice_of(big, sizeof big))));
	assert_false(failed(page_assets_finish(&assets)));
	assert_false(failed(page_asset_table_build(&assets, &table)));
	page_emit_header(&w.compiler, &header->sink);
	page_emit_c(&w.compiler, &c->sink);
	page_assets_emit_c(&assets, SLICE("assets"), &ac->sink);
	page_assets_emit_asm(&assets, SLICE("assets"), &as->sink);
	write_file(directory, "bo?dy.css", big, sizeof big);
	write_file(directory, "templates.h", header->bytes, header->len);
	write_file(directory, "templates.c", c->bytes, c->len);
	write_file(directory, "assets.c", ac->bytes, ac->len);
	write_file(directory, "bodies.S", as->bytes, as->len);
	text_write(&t->sink, slice_from_cstr(walker));
	text_write(&t->sink, slice_from_cstr(walker_main));
	write_file(directory, "main.c", t->bytes, t->len);
	snprintf(command, sizeof command,
		"cc -std=c17 -Wall -Wextra -Wconversion -Wundef -Werror -fvisibility=hidden "
		"-Ipage/include "
		"-Ibase/include -I%s %s/*.c %s/bodies.S -o %s/walk && %s/walk > %s/out",
		directory, directory, directory, directory, directory, directory);
	assert_int_equal(system(command), 0);
	t->len = 0;
	walk(t, page_compiled(&w.compiler, SLICE("main")));
	walk(t, page_compiled(&w.compiler, SLICE("layout")));
	walk(t, page_compiled(&w.compiler, SLICE("item")));
	walk(t, page_compiled(&w.compiler, SLICE("blog/extra-1")));
	walk_assets(t, &table);
	write_file(directory, "expected", t->bytes, t->len);
	snprintf(command, sizeof command, "cd %s && cmp out expected && cd / && rm -r %s",
		directory, directory);
	assert_int_equal(system(command), 0);
	free(header);
	free(c);
	free(ac);
	free(as);
	free(t);
}

static void assets_by_name_are_static_text(void **state)
{
	(void)state;
	struct world w;
	struct page_assets assets;
	world_init(&w);
	page_assets_init(&assets, &w.arena, SLICE("text/css css"));
	w.compiler.assets = &assets;
	assert_false(failed(page_asset_describe(&assets, SLICE("/a.css"), SLICE("f"), SLICE("abc"), false)));
	assert_false(failed(
		page_asset_describe(&assets, SLICE("/b c/d.css"), SLICE("f"), SLICE("abc"), false)));
	assert_false(failed(add(&w, "main",
		"<link href=\"{{asset a.css}}\"><link href=\"{{ asset  /a.css }}\"><img src={{asset b c/d.css}}>"
		"<script>x = \"{{asset a.css}}\"</script>\n{{#asset}}{{asset}}{{/asset}}")));
	struct page_value *root = page_object(&w.arena);
	page_set_text(root, "asset", SLICE("a value"));
	assert_page(&w, root,
		"<link href=\"/a.ba7816bf8f01.css\"><link href=\"/a.ba7816bf8f01.css\">"
		"<img src=/b%20c/d.ba7816bf8f01.css><script>x = \"/a.ba7816bf8f01.css\"</script>\na value");
	assert_int_equal(page_compiled(&w.compiler, SLICE("main"))->op_count, 5); /* text, three, return */
	/* The text is longer than the source. */
	world_init(&w);
	page_assets_init(&assets, &w.arena, SLICE(""));
	w.compiler.assets = &assets;
	assert_false(failed(page_asset_describe(&assets, SLICE("/a"), SLICE("f"), SLICE("abc"), false)));
	assert_false(failed(add(&w, "main", "{{asset a}}{{asset a}}{{asset a}}{{asset a}}")));
	assert_page(&w, page_object(&w.arena),
		"/a.ba7816bf8f01/a.ba7816bf8f01/a.ba7816bf8f01/a.ba7816bf8f01");
}

static void an_asset_that_is_not_there_is_an_error(void **state)
{
	(void)state;
	struct world w;
	struct page_assets assets;
	world_init(&w);
	assert_int_equal(add(&w, "main", "<p>\n<img src=\"{{asset no.png}}\">").code, ERR_INVALID);
	page_assets_init(&assets, &w.arena, SLICE(""));
	w.compiler.assets = &assets;
	assert_int_equal(add(&w, "other", "<p>\n<img src=\"{{asset /no.png}}\">").code, ERR_INVALID);
	assert_int_equal(w.compiler.diagnostic_count, 2);
	for (struct page_diagnostic *d = w.compiler.first_diagnostic; d; d = d->next) {
		assert_true(slice_eq(d->message, SLICE("there is no file static/no.png")));
		assert_int_equal(d->line, 2);
		assert_int_equal(d->column, 11);
	}
}

static void names_with_one_symbol_are_refused(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	assert_false(failed(add(&w, "a-b", "1")));
	assert_false(failed(add(&w, "a/b", "2")));
	assert_int_equal(page_compile_link(&w.compiler).code, ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_of_every_type_are_shown),
		cmocka_unit_test(static_text_is_referenced_not_copied),
		cmocka_unit_test(only_the_window_with_a_special_byte_is_copied),
		cmocka_unit_test(a_special_byte_is_seen_at_every_place),
		cmocka_unit_test(values_are_escaped_for_where_they_stand),
		cmocka_unit_test(trusted_markup_is_trusted_in_text_alone),
		cmocka_unit_test(a_script_gets_lists_and_objects_as_json),
		cmocka_unit_test(unsafe_places_are_refused),
		cmocka_unit_test(attributes_may_depend_on_sections),
		cmocka_unit_test(errors_name_their_place),
		cmocka_unit_test(every_error_is_told),
		cmocka_unit_test(a_template_that_includes_itself_ends),
		cmocka_unit_test(exhaustion_is_an_error_at_every_allocation),
		cmocka_unit_test(compiling_without_memory_is_an_error),
		cmocka_unit_test(layouts_and_partials_compose),
		cmocka_unit_test(output_does_not_depend_on_order),
		cmocka_unit_test(emitted_sources_are_the_same_tables),
		cmocka_unit_test(assets_by_name_are_static_text),
		cmocka_unit_test(an_asset_that_is_not_there_is_an_error),
		cmocka_unit_test(names_with_one_symbol_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
