/* Kinds of expressions; see expression.h. */
#include "expression.h"

#include <string.h>

#define UNKNOWN ((struct kind){KIND_UNKNOWN, true})

static const char *const keywords[] = {
	"ALL", "AND", "AS", "ASC", "BETWEEN", "BY", "CASE", "CAST", "COLLATE", "CONFLICT", "CROSS",
	"DEFAULT", "DELETE", "DESC", "DISTINCT", "DO", "ELSE", "END", "ESCAPE", "EXCEPT", "EXISTS",
	"FILTER", "FROM", "FULL", "GLOB", "GROUP", "HAVING", "IN", "INDEXED", "INNER", "INSERT",
	"INTERSECT", "INTO", "IS", "ISNULL", "JOIN", "LEFT", "LIKE", "LIMIT", "MATCH", "NATURAL",
	"NOT", "NOTHING", "NOTNULL", "NULL", "OFFSET", "ON", "OR", "ORDER", "OUTER", "OVER",
	"RECURSIVE", "REGEXP", "RETURNING", "RIGHT", "SELECT", "SET", "THEN", "UNION", "UPDATE",
	"USING", "VALUES", "WHEN", "WHERE", "WINDOW", "WITH"};

bool is_keyword(const struct token *t)
{
	for (size_t i = 0; t->type == TOKEN_WORD && i < ARRAY_LEN(keywords); i++)
		if (token_is(t, keywords[i]))
			return true;
	return false;
}

/* --- Names ------------------------------------------------------------------------------------ */

/* `type`: "table" or "view"; NULL for either. */
static bool is_table(const struct schema *schema, const char *name, const char *type)
{
	sqlite3_stmt *s = schema_try(schema, sqlite3_mprintf("SELECT 1 FROM sqlite_schema WHERE type IN (%Q, %Q)"
		" AND name = %Q COLLATE NOCASE", type ? type : "table", type ? type : "view", name));
	bool found = s && sqlite3_step(s) == SQLITE_ROW;
	sqlite3_finalize(s);
	return found;
}

/* FROM a, (SELECT ...), JOIN (SELECT ...): a subquery at `i` that stands for a table. */
static bool selected_from(const struct tokens *t, size_t i)
{
	if (i < 2 || !token_is(&t->item[i], "SELECT") || !token_is(&t->item[i - 1], "("))
		return false;
	unsigned depth = t->item[i - 1].depth;
	if (token_is(&t->item[i - 2], "FROM") || token_is(&t->item[i - 2], "JOIN"))
		return true;
	if (!token_is(&t->item[i - 2], ","))
		return false;
	for (size_t k = i - 2; k > 0 && t->item[k - 1].depth >= depth; k--)
		if (t->item[k - 1].depth == depth && is_keyword(&t->item[k - 1]))
			return token_is(&t->item[k - 1], "FROM") || token_is(&t->item[k - 1], "JOIN") || token_is(&t->item[k - 1], "ON");
	return false;
}

/* Whether the statement names the table once, and not in a subquery. */
static bool stands_alone(const struct tokens *t, const char *table)
{
	unsigned n = 0;
	for (size_t i = 0; i < t->count; i++) {
		const char *name = token_name(&t->item[i]);
		bool column_of = i + 1 < t->count && token_is(&t->item[i + 1], ".");
		if (name && !column_of && sqlite3_stricmp(name, table) == 0)
			n += t->item[i].depth ? 2 : 1;
	}
	return n == 1;
}

bool scope_fills(const struct scope *s, const char *table)
{
	for (size_t i = 0; i < s->filled.count; i++)
		if (sqlite3_stricmp(s->filled.item[i], table) == 0)
			return true;
	/* What is filled up and no table is a subquery, of other tables than that one. */
	return (s->all_filled || s->risky) && !stands_alone(s->tokens, table);
}

struct scope scope_of(const struct schema *schema, const struct tokens *t, const char *sql)
{
	static const char *const before[] = {"FROM", "JOIN", "INTO", "UPDATE", ",", "(", ".", "ABORT", "FAIL", "IGNORE", "REPLACE",
		"ROLLBACK"};
	static const char *const risks[] = {"UNION", "EXCEPT", "INTERSECT", "COUNT", "SUM", "TOTAL", "AVG", "MIN", "MAX",
		"GROUP_CONCAT", "STRING_AGG", "JSON_GROUP_ARRAY", "JSON_GROUP_OBJECT", NULL};
	struct scope s = {.schema = schema, .tokens = t, .risky = schema_says(schema, t, risks, 1)};
	for (size_t i = 0; i < t->count; i++) {
		const char *name = token_name(&t->item[i]), *alias = NULL;
		bool may_be = false;
		s.grouped |= token_is(&t->item[i], "GROUP");
		s.derived |= token_is(&t->item[i], "WITH") || selected_from(t, i);
		for (size_t k = 0; i > 0 && k < ARRAY_LEN(before); k++)
			may_be |= token_is(&t->item[i - 1], before[k]);
		if (!may_be || !name || is_keyword(&t->item[i]) || !is_table(schema, name, NULL))
			continue;
		size_t next = i + 1 + (i + 1 < t->count && token_is(&t->item[i + 1], "AS"));
		if (next < t->count && !is_keyword(&t->item[next]))
			alias = token_name(&t->item[next]);
		strings_add(&s.alias, alias ? alias : name);
		strings_add(&s.table, name);
	}
	s.filled = schema_outer_tables(schema, sql, &s.all_filled);
	return s;
}

/* A column by its name, qualified or not. When several tables have one of that name they must agree. */
static struct kind column_kind(const struct scope *s, const char *qualifier, const char *name)
{
	struct kind found = UNKNOWN;
	bool any = false, known = false;
	for (size_t i = 0; qualifier && i < s->alias.count; i++)
		known |= sqlite3_stricmp(s->alias.item[i], qualifier) == 0;
	for (size_t i = 0; i < s->table.count; i++) {
		if (known && sqlite3_stricmp(s->alias.item[i], qualifier) != 0)
			continue;
		struct kind k = schema_column(s->schema, s->table.item[i], name);
		if (k.type == KIND_UNKNOWN)
			continue;
		if (any && k.type != found.type)
			return UNKNOWN;
		/* A view's tables are not told apart, nor what a subquery calls by that name. */
		k.nullable |= scope_fills(s, s->table.item[i]) || (s->derived && !known)
			|| (s->filled.count && is_table(s->schema, s->table.item[i], "view"));
		found = (struct kind){k.type, any ? k.nullable || found.nullable : k.nullable};
		any = true;
	}
	return found;
}

/* --- Functions -------------------------------------------------------------------------------- */

/* Whether the result can be NULL. */
enum null_rule {
	NEVER,
	ANY,   /* when an argument is */
	EVERY, /* when all arguments are */
	MAY,
	GROUP, /* an aggregate: of no rows, or when its argument is */
};

/* Argument types: i, r, t, b; ?: anything; =: the same as the other ones marked so, and as the result. The last one
 * goes for all further ones. KIND_UNKNOWN as a result: that of the arguments marked =. */
struct function {
	const char *name;
	enum kind_type result;
	enum null_rule null;
	const char *arguments;
};

static const struct function functions[] = {
	{"abs", KIND_UNKNOWN, ANY, "="}, {"avg", KIND_REAL, GROUP, "?"},
	{"bm25", KIND_REAL, NEVER, "?r"}, {"ceil", KIND_UNKNOWN, ANY, "="},
	{"changes", KIND_INT, NEVER, ""}, {"char", KIND_TEXT, NEVER, "i"},
	{"coalesce", KIND_UNKNOWN, EVERY, "="}, {"concat", KIND_TEXT, NEVER, "t"},
	{"concat_ws", KIND_TEXT, ANY, "t"}, {"count", KIND_INT, NEVER, "?"},
	{"cume_dist", KIND_REAL, NEVER, ""}, {"date", KIND_TEXT, MAY, "?t"},
	{"datetime", KIND_TEXT, MAY, "?t"}, {"dense_rank", KIND_INT, NEVER, ""},
	{"exp", KIND_REAL, MAY, "r"}, {"first_value", KIND_UNKNOWN, MAY, "=?"},
	{"floor", KIND_UNKNOWN, ANY, "="}, {"format", KIND_TEXT, MAY, "t?"},
	{"glob", KIND_INT, ANY, "t"}, {"group_concat", KIND_TEXT, GROUP, "?t"},
	{"hex", KIND_TEXT, NEVER, "?"}, {"highlight", KIND_TEXT, NEVER, "?itt"},
	{"ifnull", KIND_UNKNOWN, EVERY, "="}, {"iif", KIND_UNKNOWN, MAY, "?="},
	{"instr", KIND_INT, ANY, "t"}, {"json", KIND_TEXT, ANY, "t"},
	{"json_array", KIND_TEXT, NEVER, "?"}, {"json_array_length", KIND_INT, MAY, "t"},
	{"json_each", KIND_UNKNOWN, MAY, "t"}, {"json_extract", KIND_UNKNOWN, MAY, "t"},
	{"json_group_array", KIND_TEXT, NEVER, "?"}, {"json_group_object", KIND_TEXT, NEVER, "t?"},
	{"json_object", KIND_TEXT, NEVER, "?"}, {"json_tree", KIND_UNKNOWN, MAY, "t"},
	{"json_type", KIND_TEXT, MAY, "t"}, {"json_valid", KIND_INT, ANY, "ti"},
	{"julianday", KIND_REAL, MAY, "?t"}, {"lag", KIND_UNKNOWN, MAY, "=i="},
	{"last_insert_rowid", KIND_INT, NEVER, ""}, {"last_value", KIND_UNKNOWN, MAY, "=?"},
	{"lead", KIND_UNKNOWN, MAY, "=i="}, {"length", KIND_INT, ANY, "t"},
	{"like", KIND_INT, ANY, "t"}, {"ln", KIND_REAL, MAY, "r"}, {"log", KIND_REAL, MAY, "r"},
	{"lower", KIND_TEXT, ANY, "t"}, {"ltrim", KIND_TEXT, ANY, "t"},
	{"max", KIND_UNKNOWN, GROUP, "="}, {"min", KIND_UNKNOWN, GROUP, "="},
	{"mod", KIND_REAL, MAY, "r"}, {"nth_value", KIND_UNKNOWN, MAY, "=i"},
	{"ntile", KIND_INT, NEVER, "i"}, {"nullif", KIND_UNKNOWN, MAY, "="},
	{"octet_length", KIND_INT, ANY, "?"}, {"percent_rank", KIND_REAL, NEVER, ""},
	{"pi", KIND_REAL, NEVER, ""}, {"pow", KIND_REAL, MAY, "r"}, {"power", KIND_REAL, MAY, "r"},
	{"printf", KIND_TEXT, MAY, "t?"}, {"quote", KIND_TEXT, NEVER, "?"},
	{"random", KIND_INT, NEVER, ""}, {"randomblob", KIND_BLOB, NEVER, "i"},
	{"rank", KIND_INT, NEVER, ""}, {"replace", KIND_TEXT, ANY, "t"},
	{"round", KIND_REAL, ANY, "ri"}, {"row_number", KIND_INT, NEVER, ""},
	{"rtrim", KIND_TEXT, ANY, "t"}, {"sign", KIND_INT, MAY, "?"},
	{"snippet", KIND_TEXT, NEVER, "?ittti"}, {"sqlite_version", KIND_TEXT, NEVER, ""},
	{"sqrt", KIND_REAL, MAY, "r"}, {"strftime", KIND_TEXT, MAY, "t?t"},
	{"string_agg", KIND_TEXT, GROUP, "?t"}, {"substr", KIND_TEXT, ANY, "ti"},
	{"substring", KIND_TEXT, ANY, "ti"}, {"sum", KIND_UNKNOWN, GROUP, "="},
	{"time", KIND_TEXT, MAY, "?t"}, {"timediff", KIND_TEXT, MAY, "?"},
	{"total", KIND_REAL, NEVER, "?"}, {"total_changes", KIND_INT, NEVER, ""},
	{"trim", KIND_TEXT, ANY, "t"}, {"trunc", KIND_UNKNOWN, ANY, "="},
	{"typeof", KIND_TEXT, NEVER, "?"}, {"unhex", KIND_BLOB, MAY, "t"},
	{"unicode", KIND_INT, MAY, "t"}, {"unixepoch", KIND_INT, MAY, "?t"},
	{"upper", KIND_TEXT, ANY, "t"}, {"zeroblob", KIND_BLOB, NEVER, "i"},
};

static const struct function *function_find(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(functions); i++)
		if (slice_eq_nocase(name, slice_from_cstr(functions[i].name)))
			return &functions[i];
	return NULL;
}

static char argument_letter(const struct function *f, size_t i)
{
	size_t len = strlen(f->arguments);
	return len ? f->arguments[i < len ? i : len - 1] : '?';
}

enum kind_type function_argument(struct slice name, size_t i, bool *same)
{
	const struct function *f = function_find(name);
	char letter = f ? argument_letter(f, i) : '?';
	*same = letter == '=';
	switch (letter) {
	case 'i': return KIND_INT;
	case 'r': return KIND_REAL;
	case 't': return KIND_TEXT;
	case 'b': return KIND_BLOB;
	default: return KIND_UNKNOWN;
	}
}

/* Of two values that stand for each other: of a CASE, coalesce, min. NULL and parameters say nothing. */
static struct kind unite(struct kind a, struct kind b)
{
	bool nullable = a.nullable || b.nullable;
	if (a.type == KIND_UNKNOWN || a.type == b.type)
		return (struct kind){b.type, nullable};
	if (b.type == KIND_UNKNOWN)
		return (struct kind){a.type, nullable};
	bool numbers = (a.type == KIND_INT || a.type == KIND_REAL) && (b.type == KIND_INT || b.type == KIND_REAL);
	return (struct kind){numbers ? KIND_REAL : KIND_UNKNOWN, nullable};
}

/* The arguments between the brackets `open` and its other one. */
static struct kind call_kind(const struct scope *s, const struct function *f, size_t open, bool window)
{
	const struct tokens *t = s->tokens;
	size_t close = t->item[open].match, from = open + 1, n = 0;
	struct kind same = {KIND_UNKNOWN, false};
	bool any_null = false, all_null = true;
	from += from < close && token_is(&t->item[from], "DISTINCT");
	for (size_t i = from; i <= close && from < close; i++) {
		if (i != close && !(token_is(&t->item[i], ",") && t->item[i].depth == t->item[open].depth + 1))
			continue;
		struct kind k = expression_kind(s, from, i);
		if (argument_letter(f, n) == '=')
			same = n == 0 || same.type == KIND_UNKNOWN ? (struct kind){k.type, false} : unite(same, k);
		any_null |= k.nullable;
		all_null &= k.nullable;
		from = i + 1;
		n++;
	}
	struct kind result = {f->result != KIND_UNKNOWN ? f->result : same.type, true};
	bool aggregate = f->null == GROUP && n <= 1 + (f->arguments[1] != '\0');
	if (f->null == NEVER || (n == 0 && f->result == KIND_INT))
		result.nullable = false;
	else if (f->null == ANY || (f->null == GROUP && (!aggregate || (s->grouped && !window))))
		result.nullable = any_null;
	else if (f->null == EVERY)
		result.nullable = all_null;
	return result;
}

/* --- Operators -------------------------------------------------------------------------------- */

/* How tightly an operator binds, from 1; 0: it is none. */
static unsigned binding(const struct token *t)
{
	static const struct {
		const char *word;
		unsigned level;
	} operators[] = {{"OR", 1}, {"AND", 2}, {"NOT", 3}, {"=", 4}, {"==", 4}, {"!=", 4}, {"<>", 4}, {"IS", 4}, {"IN", 4},
		{"LIKE", 4}, {"GLOB", 4}, {"MATCH", 4}, {"REGEXP", 4}, {"BETWEEN", 4}, {"ISNULL", 4}, {"NOTNULL", 4}, {"<", 5},
		{"<=", 5}, {">", 5}, {">=", 5}, {"&", 6}, {"|", 6}, {"<<", 6}, {">>", 6}, {"+", 7}, {"-", 7}, {"*", 8},
		{"/", 8}, {"%", 8}, {"||", 9}, {"->", 9}, {"->>", 9}, {"COLLATE", 10}};
	for (size_t i = 0; i < ARRAY_LEN(operators); i++)
		if (token_is(t, operators[i].word))
			return operators[i].level;
	return 0;
}

/* Behind the bracket or CASE that begins at i; else the next token. */
static size_t skip_one(const struct tokens *t, size_t i, size_t to)
{
	if (token_is(&t->item[i], "("))
		return t->item[i].match > i ? t->item[i].match + 1 : to;
	if (!token_is(&t->item[i], "CASE"))
		return i + 1;
	unsigned depth = 0;
	for (; i < to; i++) {
		depth += token_is(&t->item[i], "CASE");
		if (token_is(&t->item[i], "END") && --depth == 0)
			return i + 1;
	}
	return to;
}

/* The operator that is carried out last; `to` when there is none. */
static size_t last_operator(const struct tokens *t, size_t from, size_t to)
{
	size_t found = to, next;
	unsigned lowest = 99;
	bool between = false, operand = false;
	for (size_t i = from; i < to; i = next) {
		const struct token *k = &t->item[i];
		unsigned level = binding(k);
		next = skip_one(t, i, to);
		bool sign = !operand && (token_is(k, "-") || token_is(k, "+") || token_is(k, "*"));
		if (between && token_is(k, "AND")) {
			between = operand = false;
			continue;
		}
		between |= token_is(k, "BETWEEN");
		if (level && !sign && level <= lowest && !(token_is(k, "NOT") && operand)) {
			lowest = level;
			found = i;
		}
		operand = !level || token_is(k, "ISNULL") || token_is(k, "NOTNULL");
	}
	return found;
}

static struct kind operator_kind(const struct scope *s, size_t from, size_t at, size_t to)
{
	const struct token *k = &s->tokens->item[at];
	unsigned level = binding(k);
	if (token_is(k, "IS") || token_is(k, "ISNULL") || token_is(k, "NOTNULL"))
		return (struct kind){KIND_INT, false};
	if (token_is(k, "IN") || token_is(k, "BETWEEN"))
		return (struct kind){KIND_INT, true};
	if (token_is(k, "COLLATE"))
		return expression_kind(s, from, at);
	struct kind a = at > from ? expression_kind(s, from, at) : (struct kind){KIND_UNKNOWN, false};
	struct kind b = expression_kind(s, at + 1, to);
	bool nullable = a.nullable || b.nullable;
	if (level <= 6)
		return (struct kind){KIND_INT, nullable};
	if (token_is(k, "||"))
		return (struct kind){KIND_TEXT, nullable};
	if (level == 9)
		return (struct kind){token_is(k, "->") ? KIND_TEXT : KIND_UNKNOWN, true};
	/* A parameter is what its other operand is (and the only thing that is unknown and not NULL). */
	if (a.type == KIND_UNKNOWN && !a.nullable && at > from)
		a.type = b.type;
	if (b.type == KIND_UNKNOWN && !b.nullable)
		b.type = a.type;
	bool real = a.type == KIND_REAL || b.type == KIND_REAL;
	bool known = a.type != KIND_UNKNOWN && b.type != KIND_UNKNOWN;
	return (struct kind){real ? KIND_REAL : known ? KIND_INT : KIND_UNKNOWN,
		nullable || token_is(k, "/") || token_is(k, "%")};
}

/* --- Expressions ------------------------------------------------------------------------------ */

/* The results of a CASE at from..to. */
static struct kind case_kind(const struct scope *s, size_t from, size_t to)
{
	const struct tokens *t = s->tokens;
	struct kind result = {KIND_UNKNOWN, false};
	bool otherwise = false, inside = false;
	size_t start = from;
	for (size_t i = from + 1; i < to; i = skip_one(t, i, to)) {
		const struct token *k = &t->item[i];
		bool ends = token_is(k, "WHEN") || token_is(k, "ELSE") || i == to - 1;
		if (inside && ends)
			result = unite(result, expression_kind(s, start, i));
		if (ends)
			inside = false;
		if (token_is(k, "THEN") || token_is(k, "ELSE")) {
			inside = true;
			start = i + 1;
		}
		otherwise |= token_is(k, "ELSE");
	}
	result.nullable |= !otherwise;
	return result;
}

/* The one column of a SELECT in brackets. */
static struct kind subquery_kind(const struct scope *s, size_t from, size_t to)
{
	const struct tokens *t = s->tokens;
	size_t end = from + 1;
	bool counts = end < to && token_is(&t->item[end], "COUNT");
	while (end < to && !token_is(&t->item[end], "FROM"))
		end = skip_one(t, end, to);
	for (size_t i = from; i < to; i++)
		counts &= !token_is(&t->item[i], "GROUP") && !token_is(&t->item[i], "LIMIT") && !token_is(&t->item[i], "HAVING");
	struct kind k = expression_kind(s, from + 1, end);
	k.nullable |= !counts;
	return k;
}

static struct kind cast_kind(const struct scope *s, size_t open, size_t close)
{
	const struct tokens *t = s->tokens;
	size_t as = open + 1;
	while (as < close && !token_is(&t->item[as], "AS"))
		as = skip_one(t, as, close);
	char *type = tokens_text(t, as + 1, close);
	struct kind value = expression_kind(s, open + 1, as);
	if (as >= close)
		return UNKNOWN;
	return (struct kind){schema_type(type), value.nullable};
}

static struct kind literal_kind(const struct token *t)
{
	switch (t->type) {
	case TOKEN_STRING: return (struct kind){KIND_TEXT, false};
	case TOKEN_BLOB: return (struct kind){KIND_BLOB, false};
	case TOKEN_INTEGER: return (struct kind){KIND_INT, false};
	case TOKEN_REAL: return (struct kind){KIND_REAL, false};
	case TOKEN_PARAMETER: return (struct kind){KIND_UNKNOWN, false};
	case TOKEN_WORD: break;
	case TOKEN_QUOTED:
	case TOKEN_MARK:
	case TOKEN_COMMENT:
	case TOKEN_BROKEN: return UNKNOWN;
	}
	if (token_is(t, "TRUE") || token_is(t, "FALSE"))
		return (struct kind){KIND_INT, false};
	if (token_is(t, "CURRENT_TIMESTAMP") || token_is(t, "CURRENT_DATE") || token_is(t, "CURRENT_TIME"))
		return (struct kind){KIND_TEXT, false};
	return UNKNOWN;
}

/* NAME(...), with FILTER and OVER behind it. */
static struct kind function_kind(const struct scope *s, size_t from, size_t to)
{
	const struct tokens *t = s->tokens;
	const struct function *f = function_find(t->item[from].text);
	size_t close = t->item[from + 1].match;
	bool window = close + 1 < to;
	if (token_is(&t->item[from], "CAST"))
		return cast_kind(s, from + 1, close);
	if (token_is(&t->item[from], "EXISTS"))
		return (struct kind){KIND_INT, false};
	return f ? call_kind(s, f, from + 1, window) : UNKNOWN;
}

struct kind expression_kind(const struct scope *s, size_t from, size_t to)
{
	const struct tokens *t = s->tokens;
	while (to > from + 1 && token_is(&t->item[from], "(") && t->item[from].match == to - 1)
		from++, to--;
	if (from >= to)
		return UNKNOWN;
	const struct token *first = &t->item[from];
	if (token_is(first, "SELECT"))
		return subquery_kind(s, from, to);
	if (token_is(first, "CASE") && skip_one(t, from, to) == to)
		return case_kind(s, from, to);
	size_t at = last_operator(t, from, to);
	if (at < to)
		return operator_kind(s, from, at, to);
	if (token_is(first, "-") || token_is(first, "+"))
		return expression_kind(s, from + 1, to);
	if (to == from + 1) {
		struct kind k = literal_kind(first);
		return k.type != KIND_UNKNOWN || first->type == TOKEN_PARAMETER || !token_name(first) ? k
			: column_kind(s, NULL, token_name(first));
	}
	if (token_is(first + 1, "("))
		return function_kind(s, from, to);
	if (token_is(first + 1, ".") && token_name(&t->item[to - 1]) && token_name(&t->item[to - 3]))
		return column_kind(s, token_name(&t->item[to - 3]), token_name(&t->item[to - 1]));
	return UNKNOWN;
}

/* --- Operands --------------------------------------------------------------------------------- */

/* Operators of that strength or less end it. */
static bool ends_operand(const struct token *t)
{
	unsigned level = binding(t);
	return (level && level <= 5) || (is_keyword(t) && !token_is(t, "CASE") && !token_is(t, "CAST") && !token_is(t, "COLLATE"))
		|| token_is(t, ",") || token_is(t, ")") || token_is(t, ";");
}

size_t operand_end(const struct tokens *t, size_t from, size_t limit)
{
	size_t i = from;
	while (i < limit && !ends_operand(&t->item[i]))
		i = skip_one(t, i, limit);
	return i;
}

size_t operand_start(const struct tokens *t, size_t to)
{
	size_t i = to;
	while (i > 0) {
		const struct token *k = &t->item[i - 1];
		if (token_is(k, ")"))
			i = k->match < i - 1 ? k->match : i - 1;
		else if (token_is(k, "END"))
			while (i > 0 && !token_is(&t->item[--i], "CASE"))
				;
		else if (token_is(k, "(") || ends_operand(k))
			break;
		else
			i--;
	}
	return i;
}
