/* A query's parameters and columns. SQLite says whether the statement is right and which table's column a result is;
 * what a parameter should be is read off the place where it stands: what it is compared with, which column it goes
 * into, which function takes it. Where that does not tell, the person has to. */
#include "query.h"
#include "expression.h"

#include <stdlib.h>
#include <string.h>

/* Of one query, while it is looked at. */
struct work {
	struct query *q;
	struct report *report;
	const struct schema *schema;
	const struct tokens *t;
	struct scope scope;
	/* INSERT INTO table (...): the columns that are filled, and where the values begin. */
	const char *target;
	struct strings target_columns;
	size_t target_end;
};

static struct field *field_find(const struct fields *all, const char *name)
{
	for (size_t i = 0; i < all->count; i++)
		if (sqlite3_stricmp(all->item[i].name, name) == 0)
			return &all->item[i];
	return NULL;
}

static struct field *field_add(struct fields *all, struct field field)
{
	all->item = realloc(all->item, (all->count + 1) * sizeof field);
	if (!all->item)
		die("out of memory");
	all->item[all->count] = field;
	return &all->item[all->count++];
}

static struct annotation *annotation_find(const struct query *q, bool of_column, const char *name)
{
	for (size_t i = 0; i < q->annotation_count; i++)
		if (q->annotation[i].of_column == of_column && strcmp(q->annotation[i].name, name) == 0)
			return &q->annotation[i];
	return NULL;
}

/* --- INSERT ----------------------------------------------------------------------------------- */

static void find_target(struct work *w)
{
	const struct tokens *t = w->t;
	size_t i = 0;
	while (i < t->count && !(t->item[i].depth == 0 && token_is(&t->item[i], "INTO")))
		i++;
	if (++i >= t->count)
		return;
	if (i + 2 < t->count && token_is(&t->item[i + 1], "."))
		i += 2;
	w->target = token_name(&t->item[i++]);
	if (!w->target)
		return;
	if (i + 1 < t->count && token_is(&t->item[i], "AS"))
		i += 2;
	w->target_columns = schema_columns(w->schema, w->target);
	w->target_end = i;
	if (i >= t->count || !token_is(&t->item[i], "("))
		return;
	w->target_columns = (struct strings){0};
	for (size_t k = i + 1; k < t->item[i].match; k++)
		if (token_name(&t->item[k]))
			strings_add(&w->target_columns, token_name(&t->item[k]));
	w->target_end = t->item[i].match + 1;
}

/* How many commas of that depth stand in from..to. */
static size_t commas(const struct tokens *t, size_t from, size_t to, unsigned depth)
{
	size_t n = 0;
	for (size_t i = from; i < to; i++)
		n += t->item[i].depth == depth && token_is(&t->item[i], ",");
	return n;
}

static struct kind target_kind(const struct work *w, size_t position)
{
	if (!w->target || position >= w->target_columns.count)
		return (struct kind){KIND_UNKNOWN, true};
	return schema_column(w->schema, w->target, w->target_columns.item[position]);
}

/* The whole item of INSERT ... SELECT item, item FROM. */
static bool selected_into(const struct work *w, size_t from, size_t to, struct kind *kind)
{
	const struct tokens *t = w->t;
	size_t start = from;
	if (!w->target || t->item[from].depth != 0 || from < w->target_end)
		return false;
	while (start > w->target_end && !token_is(&t->item[start - 1], "SELECT")) {
		if (is_keyword(&t->item[start - 1]) && !token_is(&t->item[start - 1], "NULL"))
			return false;
		start--;
	}
	bool begins = from == start || token_is(&t->item[from - 1], ",");
	bool ends = to == t->count || token_is(&t->item[to], ",") || is_keyword(&t->item[to]);
	if (start == w->target_end || !begins || !ends)
		return false;
	*kind = target_kind(w, commas(t, start, from, 0));
	return true;
}

/* --- What stands around a parameter ----------------------------------------------------------- */

/* The bracket around the token at `at`, or `at` itself when there is none. */
static size_t bracket_around(const struct tokens *t, size_t at)
{
	for (size_t i = at; i > 0; i--)
		if (token_is(&t->item[i - 1], "(") && t->item[i - 1].match > at)
			return i - 1;
	return at;
}

static bool is_comparison(const struct token *t)
{
	static const char *const marks[] = {"=", "==", "!=", "<>", "<", "<=", ">", ">=", "IS"};
	for (size_t i = 0; i < ARRAY_LEN(marks); i++)
		if (token_is(t, marks[i]))
			return true;
	return false;
}

static bool is_arithmetic(const struct token *t)
{
	static const char *const marks[] = {"+", "-", "*", "/", "%", "&", "|", "<<", ">>"};
	for (size_t i = 0; i < ARRAY_LEN(marks); i++)
		if (token_is(t, marks[i]))
			return true;
	return false;
}

static bool is_one_of(const struct token *t, const char *const *words)
{
	for (; *words; words++)
		if (token_is(t, *words))
			return true;
	return false;
}

/* What ends before token `to`: the left side of an operator. */
static struct kind kind_before(const struct work *w, size_t to)
{
	if (to > 0 && token_is(&w->t->item[to - 1], "NOT"))
		to--;
	return expression_kind(&w->scope, operand_start(w->t, to), to);
}

static struct kind kind_after(const struct work *w, size_t from)
{
	return expression_kind(&w->scope, from, operand_end(w->t, from, w->t->count));
}

/* (a, b) = (:x, :y): the element of the other list, `open` being the bracket around the parameter. */
static struct kind list_kind(const struct work *w, size_t open, size_t at)
{
	const struct tokens *t = w->t;
	size_t position = commas(t, open + 1, at, t->item[open].depth + 1), other, from;
	size_t close = t->item[open].match;
	if (open > 1 && is_comparison(&t->item[open - 1]) && token_is(&t->item[open - 2], ")"))
		other = t->item[open - 2].match;
	else if (close + 2 < t->count && is_comparison(&t->item[close + 1]) && token_is(&t->item[close + 2], "("))
		other = close + 2;
	else
		return (struct kind){KIND_UNKNOWN, true};
	from = other + 1;
	for (; position && from < t->item[other].match; from++)
		position -= token_is(&t->item[from], ",") && t->item[from].depth == t->item[other].depth + 1;
	return kind_after(w, from);
}

/* The other arguments of a function that takes several of one type. */
static struct kind others_kind(const struct work *w, size_t open, size_t at)
{
	const struct tokens *t = w->t;
	for (size_t from = open + 1; from < t->item[open].match;) {
		size_t end = from;
		while (end < t->item[open].match && !(token_is(&t->item[end], ",") && t->item[end].depth == t->item[open].depth + 1))
			end++;
		struct kind k = expression_kind(&w->scope, from, end);
		if ((at < from || at >= end) && k.type != KIND_UNKNOWN)
			return k;
		from = end + 1;
	}
	return (struct kind){KIND_UNKNOWN, true};
}

/* An item of a list in brackets: values, a function's argument, IN (...). */
static struct kind item_kind(const struct work *w, size_t open, size_t at)
{
	const struct tokens *t = w->t;
	size_t position = commas(t, open + 1, at, t->item[open].depth + 1), row = open;
	const struct token *before = open ? &t->item[open - 1] : NULL;
	if (before && token_is(before, "IN"))
		return kind_before(w, open - 1);
	while (row > 1 && token_is(&t->item[row - 1], ",") && token_is(&t->item[row - 2], ")"))
		row = t->item[row - 2].match;
	if (row > 0 && token_is(&t->item[row - 1], "VALUES") && t->item[row].depth == 0)
		return target_kind(w, position);
	if (before && (before->type == TOKEN_WORD) && !is_keyword(before)) {
		bool same;
		enum kind_type type = function_argument(before->text, position, &same);
		struct kind others = {type, true};
		if (same)
			others = others_kind(w, open, at);
		return others;
	}
	return list_kind(w, open, at);
}

/* BETWEEN low AND :at. */
static bool ends_between(const struct tokens *t, size_t and, size_t *between)
{
	for (size_t i = and; i > 0 && t->item[i - 1].depth >= t->item[and].depth; i--) {
		if (t->item[i - 1].depth != t->item[and].depth)
			continue;
		if (token_is(&t->item[i - 1], "BETWEEN")) {
			*between = i - 1;
			return true;
		}
		if (is_keyword(&t->item[i - 1]))
			return false;
	}
	return false;
}

/* CASE base WHEN :at THEN :at ELSE :at END: what the other results are, or the base; `word` stands before `at`. */
static struct kind case_kind_at(const struct work *w, size_t word)
{
	const struct tokens *t = w->t;
	unsigned depth = t->item[word].depth, inner = 0;
	size_t start = word, end = word;
	while (start > 0 && !(token_is(&t->item[start], "CASE") && t->item[start].depth == depth && inner == 0)) {
		bool same = t->item[start].depth == depth;
		inner += same && token_is(&t->item[start], "END");
		inner -= same && inner && token_is(&t->item[start], "CASE");
		start--;
	}
	for (inner = 0; end < t->count; end++) {
		bool same = t->item[end].depth == depth;
		inner += same && token_is(&t->item[end], "CASE");
		if (same && token_is(&t->item[end], "END") && inner-- == 0)
			break;
	}
	if (!token_is(&t->item[word], "WHEN"))
		return expression_kind(&w->scope, start, end < t->count ? end + 1 : end);
	if (token_is(&t->item[start + 1], "WHEN"))
		return (struct kind){KIND_INT, false};
	return expression_kind(&w->scope, start + 1, operand_end(t, start + 1, t->count));
}

/* What the parameter at token `at` should be, as far as this place tells. */
static struct kind kind_at(const struct work *w, size_t at)
{
	static const char *const text[] = {"LIKE", "GLOB", "MATCH", "REGEXP", "||", "->", "->>", "ESCAPE", NULL};
	static const char *const truth[] = {"AND", "OR", "NOT", "WHERE", "ON", "HAVING", "FILTER", NULL};
	static const char *const cases[] = {"WHEN", "THEN", "ELSE", NULL};
	const struct tokens *t = w->t;
	const struct kind unknown = {KIND_UNKNOWN, true};
	size_t from = at, to = at + 1, between;
	struct kind into;
	/* Brackets around it alone, but a list's or a function's. */
	while (from > 1 && to < t->count && token_is(&t->item[from - 1], "(") && token_is(&t->item[to], ")")
		&& (t->item[from - 2].type == TOKEN_MARK || (is_keyword(&t->item[from - 2])
			&& !token_is(&t->item[from - 2], "IN") && !token_is(&t->item[from - 2], "VALUES"))))
		from--, to++;
	const struct token *before = from ? &t->item[from - 1] : NULL, *after = to < t->count ? &t->item[to] : NULL;
	if (!before)
		return unknown;
	if (token_is(before, "LIMIT") || token_is(before, "OFFSET")
		|| (token_is(before, ",") && from > 1 && operand_start(t, from - 1) > 0
			&& token_is(&t->item[operand_start(t, from - 1) - 1], "LIMIT")))
		return (struct kind){KIND_INT, false};
	if (is_one_of(before, text) || (after && is_one_of(after, text)))
		return (struct kind){KIND_TEXT, false};
	if (after && token_is(after, "AS") && from > 1 && token_is(before, "(") && token_is(&t->item[from - 2], "CAST"))
		return expression_kind(&w->scope, from - 2, t->item[from - 1].match + 1);
	if (is_comparison(before))
		return kind_before(w, from - 1);
	if (token_is(before, "NOT") && from > 1 && token_is(&t->item[from - 2], "IS"))
		return kind_before(w, from - 2);
	if (token_is(before, "BETWEEN"))
		return kind_before(w, from - 1);
	if (token_is(before, "AND") && ends_between(t, from - 1, &between))
		return kind_before(w, between);
	if (after && token_is(after, "IS"))
		return to + 1 < t->count && !token_is(&t->item[to + 1], "NULL") && !token_is(&t->item[to + 1], "NOT")
			? kind_after(w, to + 1) : unknown;
	if (after && is_comparison(after))
		return kind_after(w, to + 1);
	if (after && token_is(after, "BETWEEN"))
		return kind_after(w, to + 1);
	if (is_arithmetic(before) && from > 1)
		return kind_before(w, from - 1);
	if (after && is_arithmetic(after))
		return kind_after(w, to + 1);
	if (is_one_of(before, cases))
		return case_kind_at(w, from - 1);
	if (selected_into(w, from, to, &into))
		return into;
	if (t->item[at].depth && (token_is(before, "(") || token_is(before, ",")))
		return item_kind(w, bracket_around(t, from), from);
	if (is_one_of(before, truth) && (!after || !token_is(after, "ISNULL")))
		return (struct kind){KIND_INT, false};
	return unknown;
}

/* --- Parameters ------------------------------------------------------------------------------- */

static void take_parameter(struct work *w, size_t at)
{
	const struct token *k = &w->t->item[at];
	struct query *q = w->q;
	if (k->text.ptr[0] != ':') {
		report_error(w->report, q->source, k->offset, k->text.len,
			"a query's parameters have names: write :name instead of %.*s", SLICE_ARG(k->text));
		return;
	}
	const char *name = format("%.*s", SLICE_ARG(slice_sub(k->text, 1, k->text.len)));
	struct annotation *a = annotation_find(q, false, name);
	struct field *f = NULL;
	for (size_t i = 0; i < q->params.count; i++)
		if (strcmp(q->params.item[i].name, name) == 0)
			f = &q->params.item[i];
	struct kind kind = kind_at(w, at);
	if (!f) {
		f = field_add(&q->params, (struct field){.name = name, .offset = k->offset, .len = k->text.len});
		if (!is_c_name(name) || strcmp(name, "req") == 0 || strcmp(name, "row") == 0 || strcmp(name, "data") == 0
			|| strcmp(name, "list") == 0 || strcmp(name, "json_") == 0 || strcmp(name, "key_") == 0)
			report_error(w->report, q->source, k->offset, k->text.len,
				":%s cannot be the name of an argument in C; choose another one", name);
		if (a) {
			f->kind = a->kind;
			f->annotated = a->used = true;
		} else {
			f->kind.type = kind.type;
		}
		return;
	}
	if (f->annotated || kind.type == KIND_UNKNOWN)
		return;
	if (f->kind.type == KIND_UNKNOWN)
		f->kind.type = kind.type;
	else if (f->kind.type != kind.type)
		report_error(w->report, q->source, k->offset, k->text.len, ":%s is %s here, but %s in line %u; give it a type:"
			" `-- param :%s %s`", name, kind_text((struct kind){kind.type, false}), kind_text(f->kind),
			source_line(q->source, f->offset), name, kind_text(f->kind));
}

static void check_parameters(struct work *w)
{
	struct query *q = w->q;
	for (size_t i = 0; i < w->t->count; i++)
		if (w->t->item[i].type == TOKEN_PARAMETER)
			take_parameter(w, i);
	for (size_t i = 0; i < q->params.count; i++) {
		const struct field *f = &q->params.item[i];
		if (f->kind.type == KIND_UNKNOWN)
			report_error(w->report, q->source, f->offset, f->len, "what type :%s has cannot be told from where it"
				" stands; say it above the statement: `-- param :%s text` (or int, real, blob)", f->name, f->name);
	}
}

/* --- Columns ---------------------------------------------------------------------------------- */

/* Where the list of results stands: after the first SELECT at depth 0, or after RETURNING. */
static bool find_results(const struct work *w, size_t *from, size_t *to)
{
	static const char *const ends[] = {"FROM", "WHERE", "GROUP", "HAVING", "WINDOW", "ORDER", "LIMIT", "UNION", "EXCEPT",
		"INTERSECT", NULL};
	const struct tokens *t = w->t;
	size_t i = 0;
	bool returning = false;
	for (size_t k = 0; k < t->count; k++)
		if (t->item[k].depth == 0 && token_is(&t->item[k], "RETURNING"))
			i = k, returning = true;
	while (!returning && i < t->count && !(t->item[i].depth == 0 && token_is(&t->item[i], "SELECT")))
		i++;
	if (i++ >= t->count)
		return false;
	if (i < t->count && (token_is(&t->item[i], "DISTINCT") || token_is(&t->item[i], "ALL")))
		i++;
	*from = i;
	while (i < t->count && !(t->item[i].depth == 0 && is_one_of(&t->item[i], ends)))
		i++;
	*to = i;
	return true;
}

/* The tokens of result `n` without its alias; false when stars make it impossible to count. */
static bool result_tokens(const struct work *w, size_t n, size_t *from, size_t *to)
{
	const struct tokens *t = w->t;
	size_t start, end, at, stars = 0;
	if (!find_results(w, &start, &end))
		return false;
	for (size_t i = start; i < end; i++)
		if (t->item[i].depth == 0) {
			bool star = token_is(&t->item[i], "*") && (i == start || token_is(&t->item[i - 1], ",")
				|| token_is(&t->item[i - 1], "."));
			stars += star;
		}
	if (stars)
		return false;
	for (at = start; n && at < end; at++)
		n -= t->item[at].depth == 0 && token_is(&t->item[at], ",");
	*from = at;
	while (at < end && !(t->item[at].depth == 0 && token_is(&t->item[at], ",")))
		at++;
	*to = at;
	if (at - *from > 2 && token_is(&t->item[at - 2], "AS"))
		*to = at - 2;
	else if (at - *from > 1 && token_name(&t->item[at - 1]) && !is_keyword(&t->item[at - 1])
		&& !token_is(&t->item[at - 2], ".") && (t->item[at - 2].type != TOKEN_MARK || token_is(&t->item[at - 2], ")")))
		*to = at - 1;
	return true;
}

static bool is_compound(const struct work *w)
{
	static const char *const words[] = {"UNION", "EXCEPT", "INTERSECT", NULL};
	for (size_t i = 0; i < w->t->count; i++)
		if (w->t->item[i].depth == 0 && is_one_of(&w->t->item[i], words))
			return true;
	return false;
}

/* An aggregate without GROUP BY gives a row even if there is none to take a column from. */
static bool is_bare_aggregate(const struct work *w)
{
	size_t from, to;
	static const char *const aggregates[] = {"COUNT", "SUM", "TOTAL", "AVG", "MIN", "MAX", "GROUP_CONCAT", "STRING_AGG",
		"JSON_GROUP_ARRAY", "JSON_GROUP_OBJECT", NULL};
	if (w->scope.grouped || !find_results(w, &from, &to))
		return false;
	for (size_t i = from; i + 1 < to; i++)
		if (token_is(&w->t->item[i + 1], "(") && is_one_of(&w->t->item[i], aggregates)) {
			size_t close = w->t->item[i + 1].match;
			if (close + 1 >= to || !token_is(&w->t->item[close + 1], "OVER"))
				return true;
		}
	return false;
}

static bool may_be_filled_up(const struct work *w, sqlite3_stmt *statement, int i)
{
	const char *table = sqlite3_column_table_name(statement, i);
	return table ? scope_fills(&w->scope, table) : w->scope.all_filled;
}

/* The place of result `i`, for messages. */
static void column_place(const struct work *w, int i, struct field *f)
{
	size_t from, to;
	if (result_tokens(w, (size_t)i, &from, &to) && to > from) {
		const struct token *first = &w->t->item[from], *last = &w->t->item[to - 1];
		f->offset = first->offset;
		f->len = last->offset + last->text.len - first->offset;
	} else {
		f->offset = w->t->item[0].offset;
		f->len = w->t->item[0].text.len;
	}
}

static struct kind column_kind(const struct work *w, sqlite3_stmt *statement, int i, const char **declared)
{
	struct kind kind = {KIND_UNKNOWN, true};
	size_t from, to;
	if (schema_origin(w->schema, statement, i, &kind, declared)) {
		kind.nullable |= is_compound(w) || is_bare_aggregate(w) || may_be_filled_up(w, statement, i);
		return kind;
	}
	bool found = result_tokens(w, (size_t)i, &from, &to);
	/* A name for something that a subquery has computed. */
	bool named = found && w->scope.derived && (to == from + 1 || token_is(&w->t->item[from + 1], "."));
	if (found && !named)
		kind = expression_kind(&w->scope, from, to);
	if (is_compound(w) || may_be_filled_up(w, statement, i))
		kind.nullable = true;
	return kind;
}

static void take_column(struct work *w, sqlite3_stmt *statement, int i)
{
	struct query *q = w->q;
	const char *name = sqlite3_column_name(statement, i), *declared = NULL;
	struct field f = {.name = format("%s", name ? name : "")};
	struct annotation *a = annotation_find(q, true, f.name);
	column_place(w, i, &f);
	if (a) {
		f.kind = a->kind;
		f.annotated = a->used = true;
	} else {
		f.kind = column_kind(w, statement, i, &declared);
	}
	const struct field *twin = field_find(&q->columns, f.name);
	if (!is_c_name(f.name))
		report_error(w->report, q->source, f.offset, f.len, "\"%s\" cannot be a name in C; name the column with AS",
			f.name);
	else if (twin)
		report_error(w->report, q->source, f.offset, f.len, "two columns are called \"%s\"; rename one with AS", f.name);
	else if (f.kind.type == KIND_UNKNOWN && declared)
		report_error(w->report, q->source, f.offset, f.len, "\"%s\" is declared %s, which may hold text or numbers; say"
			" above the statement what it is: `-- column %s text` (or int, real, blob)", f.name, declared, f.name);
	else if (f.kind.type == KIND_UNKNOWN)
		report_error(w->report, q->source, f.offset, f.len, "what type \"%s\" has cannot be told; say it above the"
			" statement: `-- column %s text` (or int, real, blob, with ? if it may be NULL)", f.name, f.name);
	field_add(&q->columns, f);
}

static void check_has_names(struct work *w)
{
	/* has_email says whether `email` is there. */
	for (size_t i = 0; i < w->q->columns.count; i++) {
		const struct field *f = &w->q->columns.item[i];
		if (f->kind.nullable && field_find(&w->q->columns, format("has_%s", f->name)))
			report_error(w->report, w->q->source, f->offset, f->len,
				"has_%s will say whether %s is NULL, and is a column as well; rename it with AS", f->name, f->name);
	}
}

/* --- The query -------------------------------------------------------------------------------- */

static void check_form(const struct work *w, sqlite3_stmt *statement)
{
	const struct query *q = w->q;
	bool rows = sqlite3_column_count(statement) > 0;
	if (rows && q->form != QUERY_ONE && q->form != QUERY_MANY)
		report_error(w->report, q->source, q->offset, q->len, "%s gives rows, so it is :one or :many", q->name);
	if (!rows && (q->form == QUERY_ONE || q->form == QUERY_MANY))
		report_error(w->report, q->source, q->offset, q->len, "%s gives no rows, so it is :exec", q->name);
}

static void check_annotations(const struct work *w)
{
	for (size_t i = 0; i < w->q->annotation_count; i++) {
		const struct annotation *a = &w->q->annotation[i];
		const struct fields *all = a->of_column ? &w->q->columns : &w->q->params;
		struct guess g = guess_begin(slice_from_cstr(a->name));
		if (a->used)
			continue;
		for (size_t k = 0; k < all->count; k++)
			guess_offer(&g, all->item[k].name);
		report_error(w->report, w->q->source, a->offset, a->len, "the query has no %s \"%s\"%s",
			a->of_column ? "column" : "parameter", a->name, guess_text(&g));
	}
}

void query_check(const struct schema *schema, struct query *q, struct report *r)
{
	struct work w = {.q = q, .report = r, .schema = schema, .t = &q->tokens};
	sqlite3_stmt *statement = schema_prepare(schema, r, q->source, q->sql, 0, &q->place);
	if (!statement)
		return;
	w.scope = scope_of(schema, w.t, q->sql);
	find_target(&w);
	check_form(&w, statement);
	check_parameters(&w);
	for (int i = 0; i < sqlite3_column_count(statement); i++)
		take_column(&w, statement, i);
	check_has_names(&w);
	check_annotations(&w);
	sqlite3_finalize(statement);
}
