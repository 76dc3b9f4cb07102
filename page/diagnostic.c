/* Messages for people: what, where (file, line, column), and the line itself with a caret. */
#include <page/compile.h>

#include <stdarg.h>
#include <base/cursor.h>
#include "unit.h"

#define MESSAGE_MAX 400
/* Of a longer source line only the part around the column is shown. */
#define LINE_SHOWN_MAX 160

uint32_t unit_line(const struct page_unit *u, size_t at)
{
	uint32_t line = 1;
	for (size_t i = 0; i < at && i < u->source.len; i++)
		line += u->source.ptr[i] == '\n';
	return line;
}

static size_t line_begin(struct slice source, size_t at)
{
	while (at > 0 && source.ptr[at - 1] != '\n')
		at--;
	return at;
}

void diagnose(struct page_compiler *c, const struct page_unit *u, size_t at, const char *fmt, ...)
{
	uint8_t buf[MESSAGE_MAX];
	struct writer w = writer_of(buf, sizeof buf);
	va_list args;
	va_start(args, fmt);
	write_format(&w, fmt, args);
	va_end(args);
	c->diagnostic_count++;
	struct page_diagnostic *d = ARENA_NEW(c->arena, struct page_diagnostic);
	if (!d)
		return;
	size_t begin = line_begin(u->source, at);
	struct slice line = slice_sub(u->source, begin, u->source.len);
	line.len = slice_index(line, '\n');
	if (line.len && line.ptr[line.len - 1] == '\r')
		line.len--;
	d->file = u->file;
	d->line = unit_line(u, at);
	d->column = (uint32_t)(at - begin) + 1;
	d->message = arena_copy(c->arena, writer_slice(&w));
	d->source_line = line;
	*c->diagnostics_end = d;
	c->diagnostics_end = &d->next;
}

static void put(struct page_sink *sink, struct slice s)
{
	if (s.len)
		sink->write(sink, s);
}

static void put_number(struct page_sink *sink, uint32_t v)
{
	uint8_t buf[10];
	struct writer w = writer_of(buf, sizeof buf);
	write_dec(&w, v);
	put(sink, writer_slice(&w));
}

/* Blanks up to the caret; a tab stays one, so that the caret stands right whatever its width. A
 * byte that continues a UTF-8 sequence takes no column on the screen. */
static void put_caret(struct page_sink *sink, struct slice before)
{
	for (size_t i = 0; i < before.len; i++)
		if ((before.ptr[i] & 0xc0) != 0x80)
			put(sink, before.ptr[i] == '\t' ? SLICE("\t") : SLICE(" "));
	put(sink, SLICE("^\n"));
}

void page_diagnostic_write(const struct page_diagnostic *d, struct page_sink *sink)
{
	put(sink, d->file);
	put(sink, SLICE(":"));
	put_number(sink, d->line);
	put(sink, SLICE(":"));
	put_number(sink, d->column);
	put(sink, SLICE(": error: "));
	put(sink, d->message);
	put(sink, SLICE("\n"));
	size_t column = d->column - 1, from = 0;
	if (d->source_line.len > LINE_SHOWN_MAX && column > LINE_SHOWN_MAX / 2)
		from = column - LINE_SHOWN_MAX / 2;
	struct slice shown = slice_sub(d->source_line, from, LINE_SHOWN_MAX);
	put(sink, SLICE("  "));
	put(sink, shown);
	put(sink, SLICE("\n  "));
	put_caret(sink, slice_sub(shown, 0, column - from));
}
