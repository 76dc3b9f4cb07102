/* Literal SQL in C: a lexer for C as far as it takes to find calls, their arguments and string literals (comments,
 * line splices, escapes and adjacent literals included), and the check of what was found.
 *
 * Each byte of a literal remembers where in the file it stands, so that a message points into the C source. */
#include "literals.h"

#include <stdlib.h>
#include <string.h>
#include <page/asset_build.h>

enum c_type {
	C_WORD,
	C_STRING,
	C_MARK, /* a single character, also of longer operators */
	C_OTHER, /* a number, a character constant */
};

struct c_token {
	enum c_type type;
	size_t start, end;
};

struct c_tokens {
	struct c_token *item;
	size_t count, capacity;
};

/* The functions whose argument number `sql` (from 0) is a statement. */
static const struct {
	const char *name;
	unsigned sql;
	bool values; /* what follows are the values, one by one */
} calls[] = {
	{"db_query", 1, true}, {"db_run", 1, true}, {"db_try", 1, true}, {"db_rows_into", 3, true},
	{"db_query_values", 1, false}, {"db_run_values", 1, false}, {"db_try_values", 1, false},
	{"db_rows_into_values", 3, false},
};

/* --- Tokens ----------------------------------------------------------------------------------- */

static uint8_t at(struct slice s, size_t i)
{
	return i < s.len ? s.ptr[i] : 0;
}

/* Behind the line splices at i. */
static size_t skip_splices(struct slice s, size_t i)
{
	while (at(s, i) == '\\' && (at(s, i + 1) == '\n' || (at(s, i + 1) == '\r' && at(s, i + 2) == '\n')))
		i += at(s, i + 1) == '\n' ? 2 : 3;
	return i;
}

static bool is_c_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || c >= 0x80;
}

static bool is_c_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* A string or character constant from its quote on, to behind the closing one (or the line's end: not ours to say). */
static size_t skip_c_quoted(struct slice s, size_t i)
{
	uint8_t quote = s.ptr[i];
	for (i++; i < s.len && s.ptr[i] != quote && s.ptr[i] != '\n'; i++) {
		size_t next = skip_splices(s, i);
		if (next > i)
			i = next - 1;
		else
			i += s.ptr[i] == '\\';
	}
	return i < s.len ? i + 1 : s.len;
}

static size_t skip_c_comment(struct slice s, size_t i)
{
	if (at(s, i + 1) == '*') {
		for (i += 2; i < s.len && !(s.ptr[i] == '*' && at(s, i + 1) == '/'); i++)
			;
		return i + 2;
	}
	for (; i < s.len && s.ptr[i] != '\n'; i++) {
		size_t next = skip_splices(s, i);
		if (next > i)
			i = next - 1;
	}
	return i;
}

/* A line of the preprocessor: macros are left alone. Comments in it may go on for lines. */
static size_t skip_directive(struct slice s, size_t i)
{
	while (i < s.len && s.ptr[i] != '\n') {
		size_t next = skip_splices(s, i);
		if (next > i)
			i = next;
		else if (s.ptr[i] == '/' && (at(s, i + 1) == '*' || at(s, i + 1) == '/'))
			i = skip_c_comment(s, i);
		else if (s.ptr[i] == '"' || s.ptr[i] == '\'')
			i = skip_c_quoted(s, i);
		else
			i++;
	}
	return i;
}

/* The directive on the line at i, "#  if 0" being "if 0". */
static bool is_directive(struct slice s, size_t i, struct slice name)
{
	for (i++; at(s, i) == ' ' || at(s, i) == '\t'; i++)
		;
	return slice_starts_with(slice_sub(s, i, s.len), name);
}

/* Behind what stands between #if 0 and its #else, #elif or #endif; a line is taken for a directive by its start. */
static size_t skip_disabled(struct slice s, size_t i)
{
	unsigned depth = 0;
	for (i = skip_directive(s, i); i < s.len; i = skip_directive(s, i)) {
		while (i < s.len && (s.ptr[i] == '\n' || s.ptr[i] == ' ' || s.ptr[i] == '\t' || s.ptr[i] == '\r'))
			i++;
		if (at(s, i) != '#')
			continue;
		bool ends = is_directive(s, i, SLICE("endif"));
		if (depth == 0 && (ends || is_directive(s, i, SLICE("el"))))
			break;
		depth += is_directive(s, i, SLICE("if"));
		depth -= ends;
	}
	return skip_directive(s, i);
}

static size_t skip_c_word(struct slice s, size_t i)
{
	for (;;) {
		size_t next = skip_splices(s, i);
		if (!is_c_letter(at(s, next)) && !is_c_digit(at(s, next)))
			return i;
		i = next + 1;
	}
}

static void add(struct c_tokens *t, struct c_token token)
{
	if (t->count == t->capacity) {
		t->capacity = t->capacity ? 2 * t->capacity : 256;
		t->item = realloc(t->item, t->capacity * sizeof *t->item);
		if (!t->item)
			die("out of memory");
	}
	t->item[t->count++] = token;
}

static struct c_tokens lex_c(struct slice s)
{
	struct c_tokens t = {0};
	bool line_begins = true;
	for (size_t i = 0; i < s.len;) {
		size_t next = skip_splices(s, i);
		uint8_t c = at(s, next);
		if (next > i || c == ' ' || (c >= '\t' && c <= '\r')) {
			line_begins |= next == i && c == '\n';
			i = next > i ? next : i + 1;
			continue;
		}
		if (c == '/' && (at(s, i + 1) == '/' || at(s, i + 1) == '*')) {
			i = skip_c_comment(s, i);
			continue;
		}
		if (c == '#' && line_begins) {
			i = is_directive(s, i, SLICE("if 0")) ? skip_disabled(s, i) : skip_directive(s, i);
			continue;
		}
		line_begins = false;
		struct c_token k = {C_MARK, i, i + 1};
		if (c == '"' || c == '\'') {
			k.type = c == '"' ? C_STRING : C_OTHER;
			k.end = skip_c_quoted(s, i);
		} else if (is_c_letter(c) || is_c_digit(c)) {
			k.type = is_c_letter(c) ? C_WORD : C_OTHER;
			k.end = skip_c_word(s, i);
			/* u8"..." is one, L"..." is none of ours. */
			if (at(s, k.end) == '"' && k.type == C_WORD && slice_eq(slice_sub(s, i, k.end - i), SLICE("u8"))) {
				k.type = C_STRING;
				k.start = k.end;
				k.end = skip_c_quoted(s, k.end);
			}
		}
		add(&t, k);
		i = k.end;
	}
	return t;
}

/* --- Literals --------------------------------------------------------------------------------- */

struct literal {
	char *text;
	size_t *offset; /* of each byte, and of the end */
	size_t len;
};

static void put(struct literal *l, unsigned c, size_t offset)
{
	l->text[l->len] = (char)c;
	l->offset[l->len++] = offset;
}

static void put_utf8(struct literal *l, unsigned long c, size_t offset)
{
	if (c < 0x80) {
		put(l, (unsigned)c, offset);
		return;
	}
	int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
	static const unsigned lead[] = {0, 0xc0, 0xe0, 0xf0};
	put(l, lead[more] | (unsigned)(c >> (6 * more)), offset);
	while (more--)
		put(l, 0x80 | (unsigned)((c >> (6 * more)) & 0x3f), offset);
}

static unsigned digit_value(uint8_t c)
{
	if (is_c_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10u : 99;
}

/* The escape whose letter stands at i: behind it. */
static size_t take_escape(struct literal *l, struct slice s, size_t i)
{
	static const char letters[] = "abfnrtv", meaning[] = "\a\b\f\n\r\t\v";
	uint8_t c = at(s, i);
	size_t start = i - 1;
	const char *found = c ? strchr(letters, c) : NULL;
	unsigned base = c == 'x' || c == 'u' || c == 'U' ? 16 : 8, max = c == 'x' ? 8 : c == 'u' ? 4 : c == 'U' ? 8 : 3;
	unsigned long value = 0;
	if (found) {
		put(l, (unsigned)meaning[found - letters], start);
		return i + 1;
	}
	if (base == 8 && digit_value(c) > 7) {
		put(l, c, start);
		return i + 1;
	}
	for (i += base == 16; max-- && digit_value(at(s, i)) < base; i++)
		value = value * base + digit_value(at(s, i));
	if (c == 'u' || c == 'U')
		put_utf8(l, value & 0x1fffff, start);
	else
		put(l, (unsigned)(value & 0xff), start);
	return i;
}

/* Adds what stands between the quotes. */
static void take_string(struct literal *l, struct slice s, struct c_token k)
{
	size_t end = k.end - 1;
	for (size_t i = k.start + 1; i < end;) {
		size_t next = skip_splices(s, i);
		if (next > i)
			i = next;
		else if (s.ptr[i] == '\\')
			i = take_escape(l, s, i + 1);
		else
			put(l, s.ptr[i], i), i++;
	}
	l->text[l->len] = '\0';
	l->offset[l->len] = end;
}

/* --- Calls ------------------------------------------------------------------------------------ */

static bool is_mark(const struct source *s, const struct c_tokens *t, size_t i, char c)
{
	return i < t->count && t->item[i].type == C_MARK && s->text.ptr[t->item[i].start] == (uint8_t)c;
}

static bool is_open(const struct source *s, const struct c_tokens *t, size_t i)
{
	return is_mark(s, t, i, '(') || is_mark(s, t, i, '[') || is_mark(s, t, i, '{');
}

static bool is_close(const struct source *s, const struct c_tokens *t, size_t i)
{
	return is_mark(s, t, i, ')') || is_mark(s, t, i, ']') || is_mark(s, t, i, '}');
}

/* The end of the argument that begins at i: the comma or bracket behind it. */
static size_t argument_end(const struct source *s, const struct c_tokens *t, size_t i)
{
	for (unsigned depth = 0; i < t->count; i++) {
		if (depth == 0 && (is_mark(s, t, i, ',') || is_close(s, t, i)))
			break;
		depth += is_open(s, t, i);
		depth -= is_close(s, t, i);
	}
	return i;
}

static struct slice c_word(const struct source *s, const struct c_token *k)
{
	return slice_sub(s->text, k->start, k->end - k->start);
}

/* The literal that an argument consists of; false when it is something else, or goes on in a macro. */
static bool take_literal(const struct source *s, const struct c_tokens *t, size_t from, size_t to, struct literal *l)
{
	while (to > from + 2 && is_mark(s, t, from, '(') && is_mark(s, t, to - 1, ')'))
		from++, to--;
	if (from >= to)
		return false;
	size_t size = t->item[to - 1].end - t->item[from].start + 1;
	*l = (struct literal){must_alloc(size), must_alloc(size * sizeof *l->offset), 0};
	for (size_t i = from; i < to; i++) {
		if (t->item[i].type != C_STRING)
			return false;
		take_string(l, s->text, t->item[i]);
	}
	return true;
}

/* How many values stand behind the statement; false when a macro may hide some. */
static bool count_values(const struct source *s, const struct c_tokens *t, size_t i, int *count)
{
	*count = 0;
	while (is_mark(s, t, i, ',')) {
		size_t end = argument_end(s, t, i + 1);
		for (size_t k = i + 1; k < end; k++)
			if (t->item[k].type == C_WORD && slice_eq(c_word(s, &t->item[k]), SLICE("__VA_ARGS__")))
				return false;
		++*count;
		i = end;
	}
	return true;
}

static const char *plural(int n, const char *noun)
{
	return format("%d %s%s", n, noun, n == 1 ? "" : "s");
}

static bool is_one_statement(const struct source *s, const struct literal *l, struct report *r, size_t start)
{
	struct tokens t = lex_sql(slice_of(l->text, l->len), false);
	size_t i = 0;
	while (i < t.count && !token_is(&t.item[i], ";"))
		i++;
	bool empty = i == 0;
	while (i < t.count && token_is(&t.item[i], ";"))
		i++;
	if (empty)
		report_error(r, s, start, 1, "there is no statement in it");
	else if (i < t.count)
		report_error(r, s, l->offset[t.item[i].offset], t.item[i].text.len,
			"a second statement; a call runs one (several are a transaction: db_begin)");
	return !empty && i >= t.count;
}

static void check_call(const struct schema *schema, const struct source *s, struct report *r, const struct c_tokens *t,
	size_t at_word, unsigned sql, bool values)
{
	size_t from = at_word + 2, to = argument_end(s, t, from);
	struct literal l;
	int given, wanted;
	for (; sql && is_mark(s, t, to, ','); sql--) {
		from = to + 1;
		to = argument_end(s, t, from);
	}
	if (sql || !take_literal(s, t, from, to, &l) || !is_one_statement(s, &l, r, t->item[from].start))
		return;
	struct place_map place = {l.offset};
	sqlite3_stmt *statement = schema_prepare(schema, r, s, l.text, 0, &place);
	if (!statement)
		return;
	wanted = sqlite3_bind_parameter_count(statement);
	if (values && count_values(s, t, to, &given) && given != wanted)
		report_error(r, s, t->item[at_word].start, c_word(s, &t->item[at_word]).len,
			"the statement has %s, and there %s", plural(wanted, "parameter"),
			given == 1 ? "is 1 value for it" : format("are %d values", given));
	sqlite3_finalize(statement);
}

void literals_check(const struct schema *schema, const struct source *s, struct report *r)
{
	struct c_tokens t = lex_c(s->text);
	for (size_t i = 0; i + 2 < t.count; i++)
		for (size_t k = 0; k < ARRAY_LEN(calls); k++)
			if (t.item[i].type == C_WORD && is_mark(s, &t, i + 1, '(')
				&& slice_eq(c_word(s, &t.item[i]), slice_from_cstr(calls[k].name)))
				check_call(schema, s, r, &t, i, calls[k].sql, calls[k].values);
	free(t.item);
}

/* The first call of that function; t->count: there is none. */
static size_t find_call(const struct source *s, const struct c_tokens *t, const char *function)
{
	for (size_t i = 0; i + 1 < t->count; i++)
		if (t->item[i].type == C_WORD && is_mark(s, t, i + 1, '(')
			&& slice_eq(c_word(s, &t->item[i]), slice_from_cstr(function)))
			return i;
	return t->count;
}

bool literals_calls(const struct source *s, const char *function)
{
	struct c_tokens t = lex_c(s->text);
	bool found = find_call(s, &t, function) < t.count;
	free(t.item);
	return found;
}

void literals_without_database(const struct source *s, struct report *r)
{
	struct c_tokens t = lex_c(s->text);
	size_t first = t.count;
	for (size_t k = 0; k < ARRAY_LEN(calls); k++) {
		size_t at = find_call(s, &t, calls[k].name);
		first = at < first ? at : first;
	}
	if (first < t.count)
		report_error(r, s, t.item[first].start, c_word(s, &t.item[first]).len, "there is no database: it takes a "
			"folder migrations/ with the tables, like migrations/001-entries.sql");
	free(t.item);
}

/* --- Lists for pages -------------------------------------------------------------------------- */

static struct shown_list *list_named(struct shown_lists *lists, const char *name)
{
	for (size_t i = 0; i < lists->count; i++)
		if (strcmp(lists->item[i].name, name) == 0)
			return &lists->item[i];
	lists->item = realloc(lists->item, (lists->count + 1) * sizeof *lists->item);
	if (!lists->item)
		die("out of memory");
	lists->item[lists->count] = (struct shown_list){.name = name};
	return &lists->item[lists->count++];
}

/* The argument number `n` of the call whose name stands at `word`, if it is a literal. */
static bool literal_argument(const struct source *s, const struct c_tokens *t, size_t word, unsigned n, struct literal *l)
{
	size_t from = word + 2, to = argument_end(s, t, from);
	for (; n && is_mark(s, t, to, ','); n--) {
		from = to + 1;
		to = argument_end(s, t, from);
	}
	return n == 0 && take_literal(s, t, from, to, l);
}

static const struct query *query_into(const struct queries *queries, struct slice word)
{
	for (size_t i = 0; i < queries->count; i++)
		if (slice_eq(word, slice_from_cstr(format("%s_into", queries->item[i].name))))
			return &queries->item[i];
	return NULL;
}

static void add_columns(const struct schema *schema, struct shown_list *list, const char *sql)
{
	sqlite3_stmt *statement = schema_try(schema, sql);
	for (int i = 0; statement && i < sqlite3_column_count(statement); i++)
		strings_add(&list->columns, sqlite3_column_name(statement, i));
	sqlite3_finalize(statement);
}

void literals_lists(const struct schema *schema, const struct queries *queries, const struct source *s,
	struct shown_lists *lists)
{
	struct c_tokens t = lex_c(s->text);
	struct literal name, sql;
	for (size_t i = 0; i < t.count; i++) {
		if (t.item[i].type == C_STRING && take_literal(s, &t, i, i + 1, &name))
			strings_add(&lists->words, name.text);
		if (t.item[i].type != C_WORD || !is_mark(s, &t, i + 1, '('))
			continue;
		struct slice word = c_word(s, &t.item[i]);
		const struct query *q = query_into(queries, word);
		bool literal = slice_eq(word, SLICE("db_rows_into"));
		if ((!q && !literal) || !literal_argument(s, &t, i, 2, &name))
			continue;
		if (q)
			add_columns(schema, list_named(lists, name.text), q->sql);
		else if (literal_argument(s, &t, i, 3, &sql))
			add_columns(schema, list_named(lists, name.text), sql.text);
	}
	free(t.item);
}

/* --- Names of files --------------------------------------------------------------------------- */

static void asset_name(const struct source *s, const struct literal *l, size_t start, size_t len,
	struct page_assets *assets, struct asset_names *names, struct report *r)
{
	const char *below = l->text[0] == '/' ? l->text + 1 : l->text;
	struct slice url;
	for (size_t i = 0; i < names->name.count; i++)
		if (strcmp(names->name.item[i], l->text) == 0)
			return;
	err e = page_asset_url(assets, slice_from_cstr(format("/%s", below)), &url);
	if (failed(e) && e.code != ERR_NOT_FOUND)
		die("static/%s: %s", below, err_text(e));
	if (!failed(e)) {
		strings_add(&names->name, l->text);
		strings_add(&names->url, format("%.*s", SLICE_ARG(url)));
		return;
	}
	struct guess g = guess_begin(slice_from_cstr(below));
	for (const struct page_asset_source *f = assets->first; f; f = f->next)
		if (!f->immutable)
			guess_offer(&g, format("%.*s", SLICE_ARG(slice_sub(f->asset.path, 1, f->asset.path.len))));
	report_error(r, s, start, len, "there is no file static/%s%s", below, guess_text(&g));
}

void literals_assets(const struct source *s, struct page_assets *assets, struct asset_names *names, struct report *r)
{
	struct c_tokens t = lex_c(s->text);
	struct literal l;
	for (size_t i = 0; i + 2 < t.count; i++) {
		if (t.item[i].type != C_WORD || !is_mark(s, &t, i + 1, '(')
			|| !slice_eq(c_word(s, &t.item[i]), SLICE("asset_path")))
			continue;
		size_t end = argument_end(s, &t, i + 2), start = t.item[i + 2].start;
		if (take_literal(s, &t, i + 2, end, &l))
			asset_name(s, &l, start, t.item[end - 1].end - start, assets, names, r);
		else
			report_error(r, s, t.item[i].start, strlen("asset_path"), "asset_path takes a name in quotes, "
				"which the build can see: asset_path(\"css/site.css\")");
	}
	free(t.item);
}
