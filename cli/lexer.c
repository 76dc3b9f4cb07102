/* SQL's tokens; see lexer.h. */
#include "lexer.h"

#include <stdlib.h>
#include <string.h>

static bool is_blank(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

static bool is_word(uint8_t c)
{
	return is_letter(c) || is_digit(c) || c == '$';
}

static uint8_t at(struct slice s, size_t i)
{
	return i < s.len ? s.ptr[i] : 0;
}

static size_t skip_word(struct slice s, size_t i)
{
	while (i < s.len && is_word(s.ptr[i]))
		i++;
	return i;
}

/* After the closing quote; a doubled one stands for itself. 0 when there is none. */
static size_t skip_quoted(struct slice s, size_t i, uint8_t end)
{
	for (i++; i < s.len; i++) {
		if (s.ptr[i] != end)
			continue;
		if (end == ']' || at(s, i + 1) != end)
			return i + 1;
		i++;
	}
	return 0;
}

static size_t skip_number(struct slice s, size_t i, enum token_type *type)
{
	*type = TOKEN_INTEGER;
	if (at(s, i) == '0' && (at(s, i + 1) | 0x20) == 'x')
		return skip_word(s, i + 2);
	while (is_digit(at(s, i)) || at(s, i) == '_')
		i++;
	if (at(s, i) == '.') {
		*type = TOKEN_REAL;
		for (i++; is_digit(at(s, i)); i++)
			;
	}
	size_t sign = at(s, i + 1) == '+' || at(s, i + 1) == '-';
	if ((at(s, i) | 0x20) == 'e' && is_digit(at(s, i + 1 + sign))) {
		*type = TOKEN_REAL;
		for (i += 1 + sign; is_digit(at(s, i)); i++)
			;
	}
	return skip_word(s, i);
}

static size_t skip_comment(struct slice s, size_t i)
{
	if (s.ptr[i] == '-') {
		while (i < s.len && s.ptr[i] != '\n')
			i++;
		return i;
	}
	for (i += 2; i < s.len; i++)
		if (s.ptr[i] == '*' && at(s, i + 1) == '/')
			return i + 2;
	return s.len; /* SQLite takes the end of the text for the comment's, too */
}

static size_t skip_mark(struct slice s, size_t i)
{
	static const char *const marks[] = {"->>", "->", "<=", ">=", "<>", "==", "!=", "<<", ">>", "||"};
	for (size_t m = 0; m < ARRAY_LEN(marks); m++)
		if (slice_starts_with(slice_sub(s, i, 3), slice_from_cstr(marks[m])))
			return i + strlen(marks[m]);
	return i + 1;
}

/* The token that begins at `i`, which is no blank: its end. */
static size_t next_token(struct slice s, size_t i, enum token_type *type)
{
	uint8_t c = s.ptr[i], d = at(s, i + 1);
	size_t end;
	if ((c == '-' && d == '-') || (c == '/' && d == '*')) {
		*type = TOKEN_COMMENT;
		return skip_comment(s, i);
	}
	if (c == '\'' || c == '"' || c == '`' || c == '[' || ((c | 0x20) == 'x' && d == '\'')) {
		size_t quote = i + (d == '\'' && c != '\'' && (c | 0x20) == 'x');
		*type = c == '\'' ? TOKEN_STRING : quote > i ? TOKEN_BLOB : TOKEN_QUOTED;
		end = skip_quoted(s, quote, c == '[' ? ']' : s.ptr[quote]);
		if (!end)
			*type = TOKEN_BROKEN;
		return end ? end : s.len;
	}
	if (is_digit(c) || (c == '.' && is_digit(d)))
		return skip_number(s, i, type);
	if (c == '?' || ((c == ':' || c == '@' || c == '$' || c == '#') && is_word(d))) {
		*type = TOKEN_PARAMETER;
		return skip_word(s, i + 1);
	}
	if (is_letter(c)) {
		*type = TOKEN_WORD;
		return skip_word(s, i);
	}
	*type = TOKEN_MARK;
	return skip_mark(s, i);
}

static void add(struct tokens *t, struct token token)
{
	if (t->count == t->capacity) {
		t->capacity = t->capacity ? 2 * t->capacity : 64;
		t->item = realloc(t->item, t->capacity * sizeof *t->item);
		if (!t->item)
			die("out of memory");
	}
	t->item[t->count++] = token;
}

/* Depth, and which brackets belong together. */
static void match_brackets(struct tokens *t)
{
	size_t *open = must_alloc((t->count + 1) * sizeof *open), depth = 0;
	for (size_t i = 0; i < t->count; i++) {
		struct token *k = &t->item[i];
		k->match = i;
		if (token_is(k, ")") && depth) {
			k->match = open[--depth];
			t->item[k->match].match = i;
		}
		k->depth = (unsigned)depth;
		if (token_is(k, "("))
			open[depth++] = i;
	}
	free(open);
}

struct tokens lex_sql(struct slice text, bool comments)
{
	struct tokens t = {0};
	for (size_t i = 0; i < text.len;) {
		if (is_blank(text.ptr[i])) {
			i++;
			continue;
		}
		struct token k = {.offset = i};
		size_t end = next_token(text, i, &k.type);
		k.text = slice_sub(text, i, end - i);
		if (k.type != TOKEN_COMMENT || comments)
			add(&t, k);
		i = end;
	}
	match_brackets(&t);
	return t;
}

bool token_is(const struct token *t, const char *word)
{
	return (t->type == TOKEN_WORD || t->type == TOKEN_MARK) && slice_eq_nocase(t->text, slice_from_cstr(word));
}

const char *token_name(const struct token *t)
{
	if (t->type == TOKEN_WORD)
		return format("%.*s", SLICE_ARG(t->text));
	if (t->type != TOKEN_QUOTED)
		return NULL;
	char *name = must_alloc(t->text.len), *to = name;
	for (size_t i = 1; i + 1 < t->text.len; i++) {
		*to++ = (char)t->text.ptr[i];
		i += t->text.ptr[i] == t->text.ptr[0];
	}
	return name;
}

char *tokens_text(const struct tokens *t, size_t from, size_t to)
{
	char *text, *end;
	if (from >= to)
		return format("%s", "");
	const struct token *last = &t->item[to - 1];
	end = text = must_alloc(last->offset + last->text.len - t->item[from].offset + to - from + 1);
	for (size_t i = from; i < to; i++) {
		const struct token *k = &t->item[i];
		if (i > from && k->offset != k[-1].offset + k[-1].text.len)
			*end++ = ' ';
		memcpy(end, k->text.ptr, k->text.len);
		end += k->text.len;
	}
	return text;
}
