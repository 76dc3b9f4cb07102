/* What becomes of pages/, static/, migrations/ and queries/: C and assembler source in the application's
 * .ingot folder. The same folder always gives the same bytes. */
#include "assets.h"
#include "forms.h"
#include "literals.h"
#include "sink.h"

#include <stdlib.h>
#include <string.h>
#include <page/compile.h>

enum {
	ARENA_SIZE = 256 << 20, /* address space; only what is used is touched */
};

static void text_sink_write(struct page_sink *sink, struct slice s)
{
	struct text_sink *t = CONTAINER_OF(sink, struct text_sink, sink);
	fwrite(s.ptr, 1, s.len, t->file);
}

void text_sink_open(struct text_sink *t)
{
	*t = (struct text_sink){.sink.write = text_sink_write};
	t->file = open_memstream(&t->text, &t->len);
	if (!t->file)
		die("out of memory");
}

void text_sink_save(struct text_sink *t, const struct app_folder *app, const char *name)
{
	fclose(t->file);
	file_write(format("%s/%s", app->out, name), slice_of(t->text, t->len));
	free(t->text);
}

/* "blog/entry.html" is the template blog/entry. */
static struct slice template_name(const char *path)
{
	struct slice name = slice_from_cstr(path);
	if (slice_ends_with(name, SLICE(".html")))
		return slice_sub(name, 0, name.len - 5);
	if (slice_ends_with(name, SLICE(".mustache")))
		return slice_sub(name, 0, name.len - 9);
	die("pages/%s: a template's name ends in .html or .mustache", path);
}

static _Noreturn void print_diagnostics(const struct page_compiler *c)
{
	struct text_sink t;
	text_sink_open(&t);
	for (struct page_diagnostic *d = c->first_diagnostic; d; d = d->next)
		page_diagnostic_write(d, &t.sink);
	fclose(t.file);
	fwrite(t.text, 1, t.len, stderr);
	die("%u %s in the templates", c->diagnostic_count, c->diagnostic_count == 1 ? "error" : "errors");
}

static void generate_pages(const struct app_folder *app, struct arena *arena, struct page_assets *assets)
{
	struct page_compiler c;
	page_compiler_init(&c, arena);
	c.assets = assets;
	for (size_t i = 0; i < app->pages.count; i++) {
		const char *path = app->pages.item[i];
		struct slice source = file_read(format("%s/pages/%s", app->dir, path));
		err e = page_compile(&c, template_name(path),
			slice_from_cstr(format("pages/%s", path)), source);
		if (failed(e) && e.code != ERR_INVALID)
			die("pages/%s: %s", path, err_text(e));
	}
	err e = page_compile_link(&c);
	if (failed(e) && c.diagnostic_count)
		print_diagnostics(&c);
	if (failed(e))
		die("pages: %s", err_text(e));
	struct text_sink t;
	text_sink_open(&t);
	page_emit_header(&c, &t.sink);
	text_sink_save(&t, app, "pages.h");
	text_sink_open(&t);
	page_emit_c(&c, &t.sink);
	text_sink_save(&t, app, "pages.c");
}

void write_c_literal(FILE *out, struct slice s)
{
	fputc('"', out);
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.ptr[i];
		if (c == '\n')
			fputs("\\n\"\n\t\t\"", out);
		else if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f || c == '?')
			fprintf(out, "\\%03o", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void generate_migrations(const struct app_folder *app, const struct schema *schema)
{
	struct text_sink t;
	text_sink_open(&t);
	fputs("#include <app/database.h>\n\n"
	      "static const struct sql_migration migrations[] = {\n", t.file);
	for (size_t i = 0; i < schema->count; i++) {
		const struct migration *m = &schema->migration[i];
		fprintf(t.file, "\t{%u, \"%s\",\n\t\t", m->number, m->source.name + strlen("migrations/"));
		write_c_literal(t.file, m->source.text);
		fputs("},\n", t.file);
	}
	fprintf(t.file, "};\n\nextern const struct app_database app_database;\n"
		"const struct app_database app_database = {migrations, %zu, &app_database_sqlite};\n", schema->count);
	text_sink_save(&t, app, "database.c");
}

static void generate_queries(const struct app_folder *app, const struct queries *queries)
{
	struct text_sink t;
	text_sink_open(&t);
	queries_emit_header(queries, t.file);
	text_sink_save(&t, app, "queries.h");
	text_sink_open(&t);
	queries_emit_c(queries, t.file);
	text_sink_save(&t, app, "queries.c");
}

static void check_shown(const struct app_folder *app, const struct schema *schema, const struct queries *queries,
	struct report *r)
{
	struct shown_lists lists = {0};
	for (size_t i = 0; i < app->sources.count; i++) {
		struct source s = source_read(app, app->sources.item[i]);
		literals_lists(schema, queries, &s, &lists);
	}
	shown_check(app, &lists, r);
}

/* Migrations, queries, and SQL that stands in the C sources: all that is wrong with them is said. */
static void generate_sql(const struct app_folder *app, struct strings *sources)
{
	struct report r = {0};
	struct schema schema = schema_open(app, &r);
	if (r.errors)
		die("%u %s in the migrations; the queries are looked at when they are right", r.errors,
			r.errors == 1 ? "error" : "errors");
	struct queries queries = queries_read(app, &r);
	for (size_t i = 0; i < queries.count; i++)
		query_check(&schema, &queries.item[i], &r);
	for (size_t i = 0; i < app->sources.count; i++) {
		struct source s = source_read(app, app->sources.item[i]);
		literals_check(&schema, &s, &r);
	}
	if (r.errors)
		die("%u %s in the SQL", r.errors, r.errors == 1 ? "error" : "errors");
	check_shown(app, &schema, &queries, &r);
	generate_migrations(app, &schema);
	strings_add(sources, "database.c");
	if (!app->queries.count)
		return;
	generate_queries(app, &queries);
	strings_add(sources, "queries.c");
}

/* What C sources name by asset_path: static.h, in which the name becomes the URL at compile time. */
static void generate_asset_names(const struct app_folder *app, struct page_assets *assets)
{
	struct asset_names names = {0};
	struct report r = {0};
	struct text_sink t;
	for (size_t i = 0; i < app->sources.count; i++) {
		struct source s = source_read(app, app->sources.item[i]);
		literals_assets(&s, assets, &names, &r);
	}
	if (r.errors)
		die("%u %s in the names of files", r.errors, r.errors == 1 ? "error" : "errors");
	text_sink_open(&t);
	fputs("/* Made by the build from the calls of asset_path: the paths of files in static/, with their content's\n"
	      " * fingerprints. */\n#ifndef STATIC_H\n#define STATIC_H\n\n"
	      "__attribute__((error(\"asset_path is looked for in .c files, with a name in quotes\")))\n"
	      "extern const char *asset_path_of_no_c_file(const char *name);\n"
	      "static inline __attribute__((always_inline, unused)) const char *asset_path(const char *name)\n{\n", t.file);
	for (size_t i = 0; i < names.name.count; i++) {
		fputs("\tif (__builtin_strcmp(name, ", t.file);
		write_c_literal(t.file, slice_from_cstr(names.name.item[i]));
		fprintf(t.file, ") == 0)\n\t\treturn \"%s\";\n", names.url.item[i]);
	}
	fputs("\treturn asset_path_of_no_c_file(name);\n}\n\n#endif\n", t.file);
	text_sink_save(&t, app, "static.h");
}

/* The status that pages/NAME is the page for: 400 to 599, 0 for all others; -1: none. */
static int error_page_status(struct slice name)
{
	uint64_t status;
	if (slice_eq(name, SLICE("error")))
		return 0;
	return name.len == 3 && slice_to_u64(name, &status) && status >= 400 && status <= 599 ? (int)status : -1;
}

/* True when there are any. */
static bool generate_error_pages(const struct app_folder *app, FILE *out)
{
	struct strings rows = {0};
	for (size_t i = 0; i < app->pages.count; i++) {
		struct slice name = template_name(app->pages.item[i]);
		int status = error_page_status(name);
		if (status >= 0)
			strings_add(&rows, format("{%d, &page_template_%.*s}", status, SLICE_ARG(name)));
	}
	if (!rows.count)
		return false;
	fputs("#include \"pages.h\"\n\nstatic const struct app_error_page error_page[] = {", out);
	for (size_t i = 0; i < rows.count; i++)
		fprintf(out, "%s%s", i ? ", " : "", rows.item[i]);
	fprintf(out, "};\nstatic const struct app_error_pages error_pages = {app_error_page_build, error_page, %zu};\n\n",
		rows.count);
	return true;
}

static void generate_manifest(const struct app_folder *app, const struct page_assets *assets)
{
	struct text_sink t;
	text_sink_open(&t);
	fputs("#include <app/manifest.h>\n#include <app/assets.h>\n\n", t.file);
	bool errors = generate_error_pages(app, t.file);
	if (app->assets.count)
		fputs("extern const struct page_asset_table app_assets;\n", t.file);
	if (app->migrations.count)
		fputs("extern const struct app_database app_database;\n", t.file);
	if (!app->sources.count)
		fputs("const struct app_route app_routes[1];\nconst size_t app_route_count = 0;\n", t.file);
	/* Only some applications define it. */
	fputs("extern const struct app_service *const app_access_log __attribute__((weak));\n"
		"extern const struct app_proxy *const app_behind_proxy __attribute__((weak));\n"
		"extern const struct app_proxy *const app_proxy_protocol __attribute__((weak));\n"
		"extern const struct app_limits app_limits __attribute__((weak));\n", t.file);
	fprintf(t.file, "\nconst struct app_manifest app_manifest = {\n\t\"%s\",\n\tapp_routes,\n"
		"\t&app_route_count,\n\t%s,\n\t%s,\n\t%s,\n\t%s,\n\t&app_access_log,\n"
		"\t&app_behind_proxy,\n\t&app_proxy_protocol,\n\t&app_limits,\n\t%s,\n};\n", app->name,
		app->assets.count ? "&app_assets" : "0", app->migrations.count ? "&app_database" : "0",
		assets_have_codings(assets) ? "app_asset_coding" : "0", assets_have_large(assets) ? "app_asset_ranges" : "0",
		errors ? "&error_pages" : "0");
	text_sink_save(&t, app, "manifest.c");
}

static void refuse_sql(const struct app_folder *app)
{
	struct report r = {0};
	for (size_t i = 0; i < app->sources.count; i++) {
		struct source s = source_read(app, app->sources.item[i]);
		literals_without_database(&s, &r);
	}
	if (r.errors)
		die("SQL without a database");
}

void app_generate(const struct app_folder *app, struct strings *sources)
{
	struct arena arena;
	struct page_assets assets;
	make_directories(app->out);
	arena_init(&arena, must_alloc(ARENA_SIZE), ARENA_SIZE, NULL, 0);
	assets_read(app, &arena, &assets);
	generate_pages(app, &arena, &assets);
	strings_add(sources, "pages.c");
	generate_asset_names(app, &assets);
	if (app->assets.count) {
		assets_write(app, &assets);
		strings_add(sources, "assets.c");
		strings_add(sources, "assets_data.S");
	}
	if (app->queries.count && !app->migrations.count)
		die("queries/ needs migrations/: numbered files that make the tables, like migrations/001-entries.sql");
	if (app->migrations.count)
		generate_sql(app, sources);
	else
		refuse_sql(app);
	forms_check(app, &(struct report){0});
	generate_manifest(app, &assets);
	strings_add(sources, "manifest.c");
}
