/* The files in queries/: which statements there are, their names, forms, comments and annotations. */
#include "query.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	const char *word;
	enum query_form form;
} forms[] = {
	{":one", QUERY_ONE},
	{":many", QUERY_MANY},
	{":exec", QUERY_EXEC},
	{":execrows", QUERY_EXEC_ROWS},
	{":execlastid", QUERY_EXEC_LASTID},
};

#define HEADER_FORM "-- name: NAME :one, :many, :exec, :execrows or :execlastid"

bool kind_parse(struct slice text, struct kind *kind)
{
	static const char *const types[] = {
		[KIND_INT] = "int", [KIND_REAL] = "real", [KIND_TEXT] = "text", [KIND_BLOB] = "blob"};
	kind->nullable = slice_ends_with(text, SLICE("?"));
	text.len -= kind->nullable;
	for (enum kind_type t = KIND_INT; t <= KIND_BLOB; t++)
		if (slice_eq_nocase(text, slice_from_cstr(types[t]))) {
			kind->type = t;
			return true;
		}
	return false;
}

const char *kind_text(struct kind kind)
{
	static const char *const types[] = {[KIND_UNKNOWN] = "unknown", [KIND_INT] = "int", [KIND_REAL] = "real",
		[KIND_TEXT] = "text", [KIND_BLOB] = "blob"};
	return format("%s%s", types[kind.type], kind.nullable ? "?" : "");
}

bool is_c_name(const char *name)
{
	static const char *const keywords[] = {"auto", "bool", "break", "case", "char", "const", "continue", "default",
		"do", "double", "else", "enum", "extern", "false", "float", "for", "goto", "if", "inline", "int", "long",
		"register", "restrict", "return", "short", "signed", "sizeof", "static", "struct", "switch", "true",
		"typedef", "union", "unsigned", "void", "volatile", "while", "asm", "typeof", "linux", "unix"};
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
	if (!*name || name[len] || (*name >= '0' && *name <= '9') || *name == '_')
		return false;
	for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
		if (strcmp(name, keywords[i]) == 0)
			return false;
	return true;
}

/* --- Comments --------------------------------------------------------------------------------- */

/* What is said in a line comment: without the dashes and blanks around it. */
static struct slice said(const struct token *t)
{
	struct slice s = slice_sub(t->text, 2, t->text.len);
	while (s.len && (s.ptr[s.len - 1] == '\r' || s.ptr[s.len - 1] == ' '))
		s.len--;
	return slice_trim(s);
}

static bool is_line_comment(const struct token *t)
{
	return t->type == TOKEN_COMMENT && t->text.ptr[0] == '-';
}

/* The first word of `s`, which is moved behind it. */
static struct slice word_take(struct slice *s)
{
	size_t len = 0;
	*s = slice_trim(*s);
	while (len < s->len && s->ptr[len] != ' ' && s->ptr[len] != '\t')
		len++;
	struct slice word = slice_sub(*s, 0, len);
	*s = slice_sub(*s, len, s->len);
	return word;
}

static size_t offset_in(const struct source *s, struct slice part)
{
	return (size_t)(part.ptr - s->text.ptr);
}

static bool begins_query(const struct token *t)
{
	struct slice s = is_line_comment(t) ? said(t) : (struct slice){NULL, 0};
	return slice_eq(word_take(&s), SLICE("name:"));
}

/* The first of the comment lines that stand right above token `i`, each on a line of its own. */
static size_t block_start(const struct source *s, const struct tokens *t, size_t i)
{
	unsigned line = source_line(s, t->item[i].offset);
	while (i > 0 && is_line_comment(&t->item[i - 1]) && !begins_query(&t->item[i - 1])) {
		const struct token *above = &t->item[i - 1];
		if (source_line(s, above->offset) + 1 != line)
			break;
		if (i > 1 && !is_line_comment(above - 1) && source_line(s, above[-1].offset + above[-1].text.len) == line - 1)
			break; /* it ends a line of the statement before */
		line--, i--;
	}
	return i;
}

static void annotate(struct query *q, struct report *r, struct slice s, bool of_column)
{
	struct slice whole = s, name = word_take(&s), type = word_take(&s);
	struct annotation a = {.of_column = of_column, .offset = offset_in(q->source, name), .len = name.len};
	const char *form = of_column ? "-- column NAME TYPE" : "-- param :NAME TYPE";
	if (!name.len || !type.len || (!of_column && name.ptr[0] != ':')) {
		report_error(r, q->source, offset_in(q->source, whole), whole.len ? whole.len : 1,
			"this should be `%s`, where TYPE is int, real, text or blob, with ? if it may be NULL", form);
		return;
	}
	if (!kind_parse(type, &a.kind)) {
		report_error(r, q->source, offset_in(q->source, type), type.len,
			"there is no type \"%.*s\"; it is int, real, text or blob, with ? if it may be NULL", SLICE_ARG(type));
		return;
	}
	a.name = format("%.*s", SLICE_ARG(slice_sub(name, !of_column, name.len)));
	q->annotation = realloc(q->annotation, (q->annotation_count + 1) * sizeof a);
	if (!q->annotation)
		die("out of memory");
	q->annotation[q->annotation_count++] = a;
}

/* Whether a comment that begins with "param" or "column" is meant for the build: its second word tells. */
static void take_comment(struct query *q, struct report *r, const struct token *t)
{
	struct slice s = said(t), rest = s, first = word_take(&rest);
	bool param = slice_eq(first, SLICE("param")) || slice_eq(first, SLICE("param:"));
	bool column = slice_eq(first, SLICE("column")) || slice_eq(first, SLICE("column:"));
	if (param || column)
		annotate(q, r, slice_trim(rest), column);
	else
		strings_add(&q->comment, format("%.*s", SLICE_ARG(s)));
}

/* --- Queries ---------------------------------------------------------------------------------- */

static void take_header(struct query *q, struct report *r, const struct token *t)
{
	struct slice s = said(t), name, form;
	word_take(&s);
	name = word_take(&s);
	form = word_take(&s);
	q->name = format("%.*s", SLICE_ARG(name));
	q->offset = name.len ? offset_in(q->source, name) : t->offset;
	q->len = name.len ? name.len : t->text.len;
	if (!is_c_name(q->name)) {
		report_error(r, q->source, q->offset, q->len, "\"%s\" cannot be a C function's name", q->name);
		q->name = NULL;
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(forms); i++)
		if (slice_eq(form, slice_from_cstr(forms[i].word))) {
			q->form = forms[i].form;
			return;
		}
	if (form.len)
		report_error(r, q->source, offset_in(q->source, form), form.len,
			"a query is :one, :many, :exec, :execrows or :execlastid");
	else
		report_error(r, q->source, q->offset, q->len, "what does it give? The line is `%s`", HEADER_FORM);
	q->name = NULL;
}

/* The text that SQLite gets, and where each of its bytes comes from. */
static void take_statement(struct query *q, struct report *r, const struct tokens *t, size_t from, size_t to)
{
	size_t end = from;
	while (end < to && !token_is(&t->item[end], ";"))
		end++;
	for (size_t i = from; i < end; i++)
		if (t->item[i].type == TOKEN_BROKEN) {
			report_error(r, q->source, t->item[i].offset, 1, "this is not closed");
			q->name = NULL;
			return;
		}
	size_t next = end;
	while (next < to && token_is(&t->item[next], ";"))
		next++;
	if (next < to)
		report_error(r, q->source, t->item[next].offset, t->item[next].text.len,
			"a second statement; each needs a line `%s`", HEADER_FORM);
	if (end == from) {
		report_error(r, q->source, q->offset, q->len, "there is no statement below it");
		q->name = NULL;
		return;
	}
	const struct token *first = &t->item[from], *last = &t->item[end - 1];
	struct slice text = slice_sub(q->source->text, first->offset, last->offset + last->text.len - first->offset);
	q->tokens = lex_sql(text, false);
	q->sql = tokens_text(&q->tokens, 0, q->tokens.count);
	size_t *offset = must_alloc((strlen(q->sql) + 1) * sizeof *offset), n = 0;
	for (size_t i = 0; i < q->tokens.count; i++) {
		struct token *k = &q->tokens.item[i];
		if (i && k->offset != k[-1].offset - first->offset + k[-1].text.len)
			n++; /* the blank stands where the token before it ends */
		for (size_t j = 0; j < k->text.len; j++)
			offset[n++] = first->offset + k->offset + j;
		k->offset += first->offset;
		offset[n] = k->offset + k->text.len;
	}
	q->place.offset = offset;
}

static void read_file(struct queries *all, const struct source *s, struct report *r)
{
	struct tokens t = lex_sql(s->text, true), bare = {0};
	size_t i = 0;
	for (; i < t.count && !begins_query(&t.item[i]); i++)
		if (t.item[i].type != TOKEN_COMMENT) {
			report_error(r, s, t.item[i].offset, t.item[i].text.len, "a query begins with a line `%s`", HEADER_FORM);
			break;
		}
	while (i < t.count && !begins_query(&t.item[i]))
		i++;
	bare.item = must_alloc((t.count + 1) * sizeof *bare.item);
	while (i < t.count) {
		struct query q = {.source = s};
		size_t from = block_start(s, &t, i), end = i + 1, to;
		while (end < t.count && !begins_query(&t.item[end]))
			end++;
		to = end < t.count ? block_start(s, &t, end) : end;
		take_header(&q, r, &t.item[i]);
		bare.count = 0;
		for (size_t k = from; k < to; k++) {
			bool header = bare.count == 0 && is_line_comment(&t.item[k]) && k != i;
			if (header)
				take_comment(&q, r, &t.item[k]);
			else if (t.item[k].type != TOKEN_COMMENT)
				bare.item[bare.count++] = t.item[k];
		}
		if (q.name)
			take_statement(&q, r, &bare, 0, bare.count);
		all->item = realloc(all->item, (all->count + 1) * sizeof q);
		if (!all->item)
			die("out of memory");
		if (q.name)
			all->item[all->count++] = q;
		i = end;
	}
}

/* The names that C sees, so that a second query of a name, or one called like a part of another, is refused here. */
static void check_names(const struct queries *all, struct report *r)
{
	for (size_t i = 0; i < all->count; i++) {
		const struct query *q = &all->item[i], *other = all->item;
		while (strcmp(q->name, other->name) != 0)
			other++;
		if (other != q)
			report_error(r, q->source, q->offset, q->len, "there is a query \"%s\" already: %s:%u", q->name,
				other->source->name, source_line(other->source, other->offset));
	}
}

struct queries queries_read(const struct app_folder *app, struct report *r)
{
	struct queries all = {0};
	for (size_t i = 0; i < app->queries.count; i++) {
		const char *name = format("queries/%s", app->queries.item[i]);
		if (!slice_ends_with(slice_from_cstr(name), SLICE(".sql"))) {
			report_file(r, name, "a file of queries has a name that ends in .sql");
			continue;
		}
		struct source *s = must_alloc(sizeof *s);
		*s = source_read(app, name);
		if (source_is_text(s, r))
			read_file(&all, s, r);
	}
	check_names(&all, r);
	return all;
}
