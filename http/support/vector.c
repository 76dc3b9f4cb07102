#include "vector.h"

#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STREAM_MAX 65536

/* The file that is being read. */
struct source {
	const char *path, *topic;
	size_t line;
	struct vectors *all;
	struct vector *now; /* NULL: before the first */
	uint8_t stream[STREAM_MAX];
	size_t stream_len;
};

static _Noreturn void bad(const struct source *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
static _Noreturn void bad(const struct source *s, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	fprintf(stderr, "%s:%zu: ", s->path, s->line);
	vfprintf(stderr, fmt, args);
	fputs("\n", stderr);
	va_end(args);
	exit(1);
}

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

/* --- Escapes ---------------------------------------------------------------------------------- */

static int hex_value(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

/* One byte, plain or escaped, from *from on; -1: malformed. */
static int byte_take(const char **from, const char *end)
{
	static const char names[] = "rnt0s\"\\", bytes[] = "\r\n\t\0 \"\\";
	const char *p = (*from)++;
	if (*p != '\\')
		return (uint8_t)*p;
	if (*from == end)
		return -1;
	char kind = *(*from)++;
	const char *at = strchr(names, kind);
	if (at && kind)
		return (uint8_t)bytes[at - names];
	if (kind != 'x' || end - *from < 2)
		return -1;
	int high = hex_value((*from)[0]), low = hex_value((*from)[1]);
	*from += 2;
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* "\{N*TEXT}" from *from on. */
static bool repeat(const char **from, const char *end, uint8_t *to, size_t capacity, size_t *n)
{
	char *star;
	unsigned long times = strtoul(*from + 2, &star, 10);
	const char *close = memchr(*from, '}', (size_t)(end - *from));
	size_t len;
	if (*star != '*' || !close || close < star)
		return false;
	*from = close + 1;
	for (; times; times--) {
		if (!vector_unescape(star + 1, (size_t)(close - star - 1), to + *n, capacity - *n, &len))
			return false;
		*n += len;
	}
	return true;
}

bool vector_unescape(const char *from, size_t len, uint8_t *to, size_t capacity, size_t *written)
{
	const char *end = from + len;
	size_t n = 0;
	while (from < end) {
		if (end - from > 2 && from[0] == '\\' && from[1] == '{') {
			if (!repeat(&from, end, to, capacity, &n))
				return false;
			continue;
		}
		int byte = byte_take(&from, end);
		if (byte < 0 || n == capacity)
			return false;
		to[n++] = (uint8_t)byte;
	}
	*written = n;
	return true;
}

void vector_escape(char *to, size_t capacity, struct slice bytes)
{
	static const char names[] = "rnts\"\\", special[] = "\r\n\t \"\\";
	size_t n = strlen(to);
	for (size_t i = 0; i < bytes.len && n + 5 < capacity; i++) {
		uint8_t c = bytes.ptr[i];
		const char *at = c ? strchr(special, c) : NULL;
		if (at)
			n += (size_t)snprintf(to + n, capacity - n, "\\%c", names[at - special]);
		else if (c < 0x20 || c >= 0x7f)
			n += (size_t)snprintf(to + n, capacity - n, "\\x%02x", c);
		else
			to[n++] = (char)c;
	}
	to[n] = 0;
}

/* --- What is expected ------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
	size_t a = strlen(text), b = strlen(end);
	return a >= b && strcmp(text + a - b, end) == 0;
}

int vector_refusal(const char *expected)
{
	size_t len = strlen(expected);
	const char *last = len < 3 ? "" : expected + len - 3;
	if (strspn(last, "0123456789") != 3 || strstr(expected, "->") || (len > 3 && last[-1] != ' '))
		return 0;
	return atoi(last);
}

bool vector_is_request(const char *expected)
{
	return *expected >= 'A' && *expected <= 'Z' && !vector_refusal(expected) && !ends_with(expected, " more");
}

static const char *last_line(const struct vector *v)
{
	return v->expected_count ? v->expected[v->expected_count - 1] : "";
}

bool vector_closes(const struct vector *v)
{
	return vector_refusal(last_line(v)) || strstr(last_line(v), " close");
}

bool vector_is_cut(const struct vector *v)
{
	return strcmp(last_line(v), "more") == 0 || ends_with(last_line(v), " more");
}

/* --- Files ------------------------------------------------------------------------------------ */

static void finish(struct source *s)
{
	struct vector *v = s->now;
	if (!v)
		return;
	if (!v->section)
		bad(s, "%s has no section", v->name);
	if (!v->expected_count && s->stream_len)
		bad(s, "%s expects nothing", v->name);
	uint8_t *bytes = must(malloc(s->stream_len + 1));
	memcpy(bytes, s->stream, s->stream_len);
	v->stream = slice_of(bytes, s->stream_len);
	s->stream_len = 0;
	s->now = NULL;
}

static void begin(struct source *s, const char *name)
{
	struct vectors *all = s->all;
	finish(s);
	if (!*name || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(name))
		bad(s, "'%s' is no name", name);
	all->vector = must(realloc(all->vector, (all->count + 1) * sizeof *all->vector));
	s->now = &all->vector[all->count++];
	memset(s->now, 0, sizeof *s->now);
	s->now->line = s->line;
	snprintf(s->now->name, sizeof s->now->name, "%s/%s", s->topic, name);
	for (size_t i = 0; i + 1 < all->count; i++)
		if (strcmp(all->vector[i].name, s->now->name) == 0)
			bad(s, "there are two of the name %s", name);
}

static void sent(struct source *s, const char *text)
{
	size_t len = strlen(text), written;
	bool joined = len && text[len - 1] == '\\' && (len < 2 || text[len - 2] != '\\');
	if (!vector_unescape(text, len - joined, s->stream + s->stream_len, STREAM_MAX - s->stream_len - 2, &written))
		bad(s, "a malformed escape, or too long: %s", text);
	s->stream_len += written;
	if (joined)
		return;
	memcpy(s->stream + s->stream_len, "\r\n", 2);
	s->stream_len += 2;
}

static void add(struct source *s, char **list, size_t *count, const char *text)
{
	if (*count == VECTOR_LINES_MAX)
		bad(s, "too many lines");
	list[(*count)++] = must(strdup(text));
}

static void line_take(struct source *s, char *line)
{
	struct vector *v = s->now;
	char *text = line + strcspn(line, " ");
	text += *text != 0;
	if (!*line || *line == '#')
		return;
	if (strncmp(line, "name: ", 6) == 0)
		begin(s, text);
	else if (!v)
		bad(s, "a vector begins with its name");
	else if (strncmp(line, "section: ", 9) == 0 && !v->section)
		v->section = must(strdup(text));
	else if (strncmp(line, "resource:", 9) == 0 && !v->resource)
		v->resource = must(strdup(text));
	else if (*line == '>')
		sent(s, text);
	else if (*line == '=')
		add(s, v->expected, &v->expected_count, text);
	else if (*line == '<')
		add(s, v->answer, &v->answer_count, text);
	else
		bad(s, "what is this? %s", line);
}

static void file_load(struct vectors *all, const char *path)
{
	static struct source s;
	char line[4096];
	FILE *f = must(fopen(path, "r"));
	s = (struct source){.path = path, .topic = strrchr(path, '/') + 1, .all = all};
	while (fgets(line, sizeof line, f)) {
		s.line++;
		if (!strchr(line, '\n'))
			bad(&s, "this line is too long, or has no end");
		line[strcspn(line, "\n")] = 0;
		line_take(&s, line);
	}
	finish(&s);
	fclose(f);
}

struct vectors vectors_load(void)
{
	struct vectors all = {NULL, 0};
	glob_t found;
	if (glob("http/vectors/*", 0, NULL, &found) != 0) {
		fputs("there is nothing in http/vectors; tests are run where the Makefile is\n", stderr);
		exit(1);
	}
	for (size_t i = 0; i < found.gl_pathc; i++)
		if (!strchr(strrchr(found.gl_pathv[i], '/'), '.'))
			file_load(&all, found.gl_pathv[i]);
	globfree(&found);
	return all;
}

void vectors_free(struct vectors *all)
{
	for (size_t i = 0; i < all->count; i++) {
		struct vector *v = &all->vector[i];
		free((void *)(uintptr_t)v->stream.ptr);
		free(v->section);
		free(v->resource);
		for (size_t k = 0; k < v->expected_count; k++)
			free(v->expected[k]);
		for (size_t k = 0; k < v->answer_count; k++)
			free(v->answer[k]);
	}
	free(all->vector);
}
