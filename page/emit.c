/* Compiled templates as C source.
 *
 * For each template: its bytes (static text, then names and indentations) as one array, the split
 * names as slices of it, the operations, and the template itself. Only that last symbol is global,
 * and only partials refer to it, so the linker drops what no page reaches (each array is in a
 * section of its own). The output depends on names and sources alone. */
#include "emit.h"

#include <base/cursor.h>
#include "symbol.h"
#include "unit.h"

void emit_bytes(struct page_sink *sink, struct slice s)
{
	if (s.len)
		sink->write(sink, s);
}

void emit_text(struct page_sink *sink, const char *text)
{
	emit_bytes(sink, slice_from_cstr(text));
}

void emit_number(struct page_sink *sink, uint64_t v)
{
	uint8_t buf[20];
	struct writer w = writer_of(buf, sizeof buf);
	write_dec(&w, v);
	emit_bytes(sink, writer_slice(&w));
}

void emit_symbol(struct page_sink *sink, struct slice name)
{
	for (size_t i = 0; i < name.len; i++) {
		uint8_t b = symbol_byte(name.ptr[i]);
		emit_bytes(sink, slice_of(&b, 1));
	}
}

static bool is_printable(uint8_t b)
{
	return b >= 0x20 && b < 0x7f && b != '"' && b != '\\' && b != '?';
}

static void emit_escaped(struct page_sink *sink, uint8_t b)
{
	uint8_t octal[4] = {'\\', (uint8_t)('0' + (b >> 6)), (uint8_t)('0' + (b >> 3 & 7)),
		(uint8_t)('0' + (b & 7))};
	if (b == '\n')
		emit_text(sink, "\\n");
	else if (b == '"' || b == '\\') /* but "?" in octal: it may begin a trigraph */
		emit_bytes(sink, slice_of((uint8_t[]){'\\', b}, 2));
	else
		emit_bytes(sink, slice_of(octal, sizeof octal));
}

static size_t printable_run(struct slice s)
{
	size_t n = 0;
	while (n < s.len && is_printable(s.ptr[n]))
		n++;
	return n;
}

static void emit_run(struct page_sink *sink, struct slice s)
{
	while (s.len) {
		size_t n = printable_run(s);
		emit_bytes(sink, slice_sub(s, 0, n));
		if (n < s.len)
			emit_escaped(sink, s.ptr[n++]);
		s = slice_sub(s, n, s.len);
	}
}

void emit_quoted(struct page_sink *sink, struct slice s)
{
	emit_text(sink, "\"");
	emit_run(sink, s);
	emit_text(sink, "\"");
}

void emit_literal(struct page_sink *sink, struct slice s)
{
	if (s.len == 0)
		emit_text(sink, "\n\t\"\"");
	while (s.len) {
		size_t line = slice_index(s, '\n') + 1;
		emit_text(sink, "\n\t");
		emit_quoted(sink, slice_sub(s, 0, line));
		s = slice_sub(s, line, s.len);
	}
}

/* --- One template ------------------------------------------------------------------------- */

/* Names and indentations stand behind the text, in the order in which the operations use them; so
 * their offsets are found again by counting. */
struct offsets {
	size_t byte; /* in the bytes */
	size_t path; /* in the array of split names */
};

static bool has_path(const struct page_op *op)
{
	return op->path_len != 0;
}

static bool has_indent(const struct page_op *op)
{
	return op->kind != PAGE_OP_TEXT && op->text.len != 0;
}

static void emit_strings(const struct page_unit *u, struct page_sink *sink)
{
	for (uint32_t i = 0; i < u->template.op_count; i++) {
		const struct page_op *op = &u->op[i];
		for (unsigned n = 0; has_path(op) && n < op->path_len; n++)
			emit_literal(sink, op->to.path[n]);
		if (has_indent(op))
			emit_literal(sink, op->text);
	}
}

static void emit_slice(const struct page_unit *u, struct page_sink *sink, size_t offset, size_t len)
{
	emit_text(sink, "{bytes_");
	emit_symbol(sink, u->template.name);
	emit_text(sink, " + ");
	emit_number(sink, offset);
	emit_text(sink, ", ");
	emit_number(sink, len);
	emit_text(sink, "}");
}

static void emit_paths(const struct page_unit *u, struct page_sink *sink)
{
	size_t offset = u->text_len, count = 0;
	for (uint32_t i = 0; i < u->template.op_count; i++)
		count += u->op[i].path_len;
	if (count == 0)
		return;
	emit_text(sink, "static const struct slice path_");
	emit_symbol(sink, u->template.name);
	emit_text(sink, "[] = {\n");
	for (uint32_t i = 0; i < u->template.op_count; i++) {
		const struct page_op *op = &u->op[i];
		for (unsigned n = 0; n < op->path_len; n++) {
			emit_text(sink, "\t");
			emit_slice(u, sink, offset, op->to.path[n].len);
			emit_text(sink, ",\n");
			offset += op->to.path[n].len;
		}
		if (has_indent(op))
			offset += op->text.len;
	}
	emit_text(sink, "};\n");
}

static void emit_target(const struct page_unit *u, const struct page_op *op, struct page_sink *sink,
	const struct offsets *at)
{
	if (has_path(op)) {
		emit_text(sink, ", .to.path = path_");
		emit_symbol(sink, u->template.name);
		emit_text(sink, " + ");
		emit_number(sink, at->path);
	} else if ((op->kind == PAGE_OP_PARTIAL || op->kind == PAGE_OP_PARENT) && op->to.partial) {
		emit_text(sink, ", .to.partial = &page_template_");
		emit_symbol(sink, op->to.partial->name);
	}
}

static void emit_op(const struct page_unit *u, const struct page_op *op, struct page_sink *sink,
	struct offsets *at)
{
	static const char *const kind[] = {"TEXT", "VARIABLE", "SECTION", "SECTION_END", "INVERTED",
		"PARTIAL", "PARENT", "PARENT_END", "BLOCK", "BLOCK_END", "RETURN"};
	static const char *const escape[] = {"NONE", "HTML", "ATTRIBUTE", "URL", "LINK", "JSON"};
	size_t indent_at = at->byte;
	for (unsigned n = 0; n < op->path_len; n++)
		indent_at += op->to.path[n].len;
	emit_text(sink, "\t{.kind = PAGE_OP_");
	emit_text(sink, kind[op->kind]);
	emit_text(sink, ", .escape = PAGE_ESCAPE_");
	emit_text(sink, escape[op->escape]);
	emit_text(sink, op->standalone ? ", .standalone = true, .path_len = " : ", .path_len = ");
	emit_number(sink, op->path_len);
	emit_text(sink, ", .jump = ");
	emit_number(sink, op->jump);
	if (op->kind == PAGE_OP_TEXT || has_indent(op)) {
		bool text = op->kind == PAGE_OP_TEXT;
		emit_text(sink, ", .text = ");
		emit_slice(
			u, sink, text ? (size_t)(op->text.ptr - u->text) : indent_at, op->text.len);
	}
	emit_target(u, op, sink, at);
	emit_text(sink, "},\n");
	at->path += op->path_len;
	at->byte = indent_at + (has_indent(op) ? op->text.len : 0);
}

static void emit_template(const struct page_unit *u, struct page_sink *sink)
{
	struct offsets at = {u->text_len, 0};
	emit_text(sink, "\n/* ");
	emit_symbol(sink, u->file);
	emit_text(sink, " */\nstatic const uint8_t bytes_");
	emit_symbol(sink, u->template.name);
	emit_text(sink, "[] =");
	emit_literal(sink, slice_of(u->text, u->text_len));
	emit_strings(u, sink);
	emit_text(sink, ";\n");
	emit_paths(u, sink);
	emit_text(sink, "static const struct page_op ops_");
	emit_symbol(sink, u->template.name);
	emit_text(sink, "[] = {\n");
	for (uint32_t i = 0; i < u->template.op_count; i++)
		emit_op(u, &u->op[i], sink, &at);
	emit_text(sink, "};\nconst struct page_template page_template_");
	emit_symbol(sink, u->template.name);
	emit_text(sink, " = {ops_");
	emit_symbol(sink, u->template.name);
	emit_text(sink, ", ");
	emit_number(sink, u->template.op_count);
	emit_text(sink, ", SLICE_INIT(");
	emit_quoted(sink, u->template.name);
	emit_text(sink, u->is_dynamic ? "), &all_templates};\n" : "), NULL};\n");
}

static const struct page_unit *unit_of(const struct page_template *t)
{
	return (const struct page_unit *)((const char *)t - offsetof(struct page_unit, template));
}

static void emit_declarations(const struct page_compiler *c, struct page_sink *sink)
{
	emit_text(sink, "API_BEGIN\n");
	for (uint32_t i = 0; i < c->set->count; i++) {
		emit_text(sink, "extern const struct page_template page_template_");
		emit_symbol(sink, c->set->template[i] -> name);
		emit_text(sink, ";\n");
	}
	emit_text(sink, "API_END\n");
}

static void emit_set(const struct page_compiler *c, struct page_sink *sink)
{
	emit_text(sink, "\nstatic const struct page_template *const template_list[] = {\n");
	for (uint32_t i = 0; i < c->set->count; i++) {
		emit_text(sink, "\t&page_template_");
		emit_symbol(sink, c->set->template[i] -> name);
		emit_text(sink, ",\n");
	}
	emit_text(
		sink, "};\nstatic const struct page_template_set all_templates = {template_list, ");
	emit_number(sink, c->set->count);
	emit_text(sink, "};\n");
}

void page_emit_header(const struct page_compiler *c, struct page_sink *sink)
{
	emit_text(sink, "/* Made by the page compiler. */\n#ifndef PAGE_TEMPLATES_H\n#define "
			"PAGE_TEMPLATES_H\n\n"
			"#include <page/template.h>\n\n");
	emit_declarations(c, sink);
	emit_text(sink, "\n#endif\n");
}

void page_emit_c(const struct page_compiler *c, struct page_sink *sink)
{
	bool dynamic = false;
	for (const struct page_unit *u = c->first_unit; u; u = u->next)
		dynamic |= u->is_dynamic;
	emit_text(sink, "/* Made by the page compiler. */\n#include <page/template.h>\n\n");
	emit_declarations(c, sink);
	if (dynamic)
		emit_set(c, sink);
	for (uint32_t i = 0; i < c->set->count; i++)
		emit_template(unit_of(c->set->template[i]), sink);
}
