/* Texts and what is wrong with them; see source.h. A column counts characters, a tab as one. */
#include "source.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SHOWN_MAX 110
#define WORD_MAX 64

struct source source_read(const struct app_folder *app, const char *name)
{
	return (struct source){name, file_read(format("%s/%s", app->dir, name))};
}

unsigned source_line(const struct source *s, size_t offset)
{
	unsigned line = 1;
	for (size_t i = 0; i < offset && i < s->text.len; i++)
		line += s->text.ptr[i] == '\n';
	return line;
}

static bool starts_character(uint8_t c)
{
	return (c & 0xc0) != 0x80;
}

static unsigned characters(struct slice s)
{
	unsigned n = 0;
	for (size_t i = 0; i < s.len; i++)
		n += starts_character(s.ptr[i]);
	return n;
}

/* The line around `offset`, and where in it that is. */
static struct slice line_around(const struct source *s, size_t offset, size_t *at)
{
	size_t start = offset, end = offset;
	while (start > 0 && s->text.ptr[start - 1] != '\n')
		start--;
	while (end < s->text.len && s->text.ptr[end] != '\n' && s->text.ptr[end] != '\r')
		end++;
	*at = offset - start;
	return slice_sub(s->text, start, end - start);
}

static void show_line(struct slice line, size_t at, size_t len)
{
	size_t from = 0;
	if (line.len > LINE_SHOWN_MAX && at > LINE_SHOWN_MAX / 2)
		from = at - LINE_SHOWN_MAX / 2;
	while (from > 0 && !starts_character(line.ptr[from]))
		from--;
	struct slice shown = slice_sub(line, from, LINE_SHOWN_MAX);
	at -= from;
	fprintf(stderr, "  %.*s\n  ", SLICE_ARG(shown));
	for (size_t i = 0; i < at && i < shown.len; i++)
		if (starts_character(shown.ptr[i]))
			fputc(shown.ptr[i] == '\t' ? '\t' : ' ', stderr);
	fputc('^', stderr);
	for (unsigned n = characters(slice_sub(shown, at, len)); n > 1; n--)
		fputc('~', stderr);
	fputc('\n', stderr);
}

static void say(const struct source *s, size_t offset, size_t len, const char *what, const char *fmt, va_list args)
{
	size_t at;
	if (offset > s->text.len)
		offset = s->text.len;
	struct slice line = line_around(s, offset, &at);
	fflush(stdout);
	fprintf(stderr, "%s:%u:%u: %s: ", s->name, source_line(s, offset), characters(slice_sub(line, 0, at)) + 1,
		what);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	show_line(line, at, len);
}

void report_error(struct report *r, const struct source *s, size_t offset, size_t len, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	say(s, offset, len, "error", fmt, args);
	va_end(args);
	r->errors++;
}

void report_warning(struct report *r, const struct source *s, size_t offset, size_t len, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	say(s, offset, len, "warning", fmt, args);
	va_end(args);
	r->warnings++;
}

void report_file(struct report *r, const char *name, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	fflush(stdout);
	fprintf(stderr, "%s: error: ", name);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	r->errors++;
}

bool source_is_text(const struct source *s, struct report *r)
{
	size_t at = slice_index(s->text, 0);
	if (at < s->text.len)
		report_error(r, s, at, 1, "a byte 0: this is not text");
	return at == s->text.len;
}

/* --- Words that look alike -------------------------------------------------------------------- */

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

unsigned word_distance(struct slice a, struct slice b)
{
	static unsigned d[WORD_MAX + 1][WORD_MAX + 1];
	if (a.len > WORD_MAX || b.len > WORD_MAX)
		return WORD_MAX;
	for (size_t i = 0; i <= a.len; i++)
		for (size_t j = 0; j <= b.len; j++) {
			if (i == 0 || j == 0) {
				d[i][j] = (unsigned)(i + j);
				continue;
			}
			bool same = lower(a.ptr[i - 1]) == lower(b.ptr[j - 1]);
			d[i][j] = least(least(d[i - 1][j], d[i][j - 1]) + 1, d[i - 1][j - 1] + !same);
			if (i > 1 && j > 1 && lower(a.ptr[i - 1]) == lower(b.ptr[j - 2])
				&& lower(a.ptr[i - 2]) == lower(b.ptr[j - 1]))
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
		}
	return d[a.len][b.len];
}

struct guess guess_begin(struct slice wanted)
{
	/* A third of the letters may be wrong. */
	return (struct guess){.wanted = wanted, .distance = (unsigned)(wanted.len + 2) / 3 + 1};
}

void guess_offer(struct guess *g, const char *word)
{
	unsigned distance = word_distance(g->wanted, slice_from_cstr(word));
	if (distance >= g->distance)
		return;
	g->distance = distance;
	g->best = format("%s", word);
}

const char *guess_text(const struct guess *g)
{
	return g->best ? format("; did you mean \"%s\"?", g->best) : "";
}
