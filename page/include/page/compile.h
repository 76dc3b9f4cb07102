/* The page compiler: Mustache templates in, segment tables out. It runs at build time; still it
 *does no I/O: the caller reads the files, and takes C source or diagnostics through a sink.
 *
 *	page_compiler_init(&c, &arena);
 *	page_compile(&c, SLICE("index"), SLICE("pages/index.mustache"), text);   for each template
 *	if (failed(page_compile_link(&c)))
 *		for (d = c.first_diagnostic; d; d = d->next)
 *			page_diagnostic_write(d, &sink);
 *	page_emit_header(&c, &sink); page_emit_c(&c, &sink);
 *
 * The language is Mustache 1.4 with inheritance and dynamic names; lambdas are not supported, as
 *data here holds no code. What differs: an unknown partial is an error (see allow_missing).
 *
 * Escaping follows the place in the HTML where a tag stands (context.h, beside compile.c):
 * - in text and in quoted attributes, {{name}} is escaped as HTML;
 * - in an attribute that holds a URL, at its start it is a whole URL, whose scheme is checked;
 *after that it is percent-encoded, "/" included: one segment of the path, or one value of the
 *query;
 * - in a <script> it is a JSON literal with its own quotes, of lists and objects as well;
 * - where no escaping is safe (unquoted attributes, names of tags and attributes, on* handlers,
 *style, srcset, srcdoc, comments, strings in scripts, the address of a script) it is an error.
 * {{asset css/site.css}} is the URL of the file static/css/site.css under a name that changes with its
 * content: static text, made by the compiler. A file that is not there is an error.
 * {{{name}}} and {{&name}} are neither escaped nor checked. Partials and blocks are escaped for
 *text, so they stand in text, in <title> and <textarea>, or in a plain quoted attribute. */
#ifndef PAGE_COMPILE_H
#define PAGE_COMPILE_H

#include <base/arena.h>
#include <base/err.h>
#include <page/template.h>

struct page_diagnostic {
	struct page_diagnostic *next;
	struct slice file;
	uint32_t line, column; /* from 1; a column is a byte */
	struct slice message;
	struct slice source_line; /* without its end */
};

/* Where output text goes; `write` gets pieces in order and keeps none. */
struct page_sink {
	void (*write)(struct page_sink *, struct slice);
};

struct page_unit; /* one template on its way */
struct page_assets; /* page/asset_build.h */

struct page_compiler {
	struct arena *arena;
	struct page_unit *first_unit, **units_end;
	struct page_diagnostic *first_diagnostic,
		**diagnostics_end; /* in the order of compilation */
	uint32_t unit_count, diagnostic_count;
	struct page_template_set *set; /* after page_compile_link: all templates */
	struct page_assets *assets;    /* what {{asset NAME}} may name; NULL: nothing (borrowed) */
	bool allow_missing;	       /* an unknown partial is empty instead of an error */
	bool plain; /* templates are not HTML: escape as HTML everywhere, without checks */
};

API_BEGIN

/* Templates, diagnostics and the copies of their text live in the arena (borrowed). */
void page_compiler_init(struct page_compiler *c, struct arena *arena);
/* Compiles one template. `name` is what partials call it, `file` what diagnostics call it; all
 * three slices are borrowed for the call only. ERR_INVALID: there are diagnostics (compiling others
 * may go on, to find their errors as well). ERR_NO_MEMORY. ERR_TOO_LARGE: over 16 MiB. */
MUST_USE err page_compile(
	struct page_compiler *c, struct slice name, struct slice file, struct slice source);
/* Resolves partials when all templates were compiled. ERR_INVALID: there are diagnostics, from here
 * or from page_compile. Also with ERR_INVALID no template may be used. */
MUST_USE err page_compile_link(struct page_compiler *c);
/* After page_compile_link: the template, ready for page_render; NULL when there is none. */
const struct page_template *page_compiled(const struct page_compiler *c, struct slice name);

/* "file:line:column: error: message", the source line, and a caret below the column. */
void page_diagnostic_write(const struct page_diagnostic *d, struct page_sink *sink);

/* After page_compile_link. C that defines `const struct page_template page_template_NAME` for each
 * template (characters other than letters and digits become _), and a header that declares them.
 * The same templates in any order give the same bytes. */
void page_emit_c(const struct page_compiler *c, struct page_sink *sink);
void page_emit_header(const struct page_compiler *c, struct page_sink *sink);

API_END

#endif
