/* The compiler: one pass over a template's source, from tags to operations.
 *
 * Invariants
 * - Static text is collected in `unit->text` in the order of the TEXT operations, without what
 *   standalone tags take with them and without the indentation that blocks lose; text that meets in
 * the buffer is one operation, unless something jumps between (`barrier`).
 * - `top` is the innermost tag that is still open. Directly within a PARENT only BLOCKs count.
 *
 * The rules for lines (Mustache: sections, partials, inheritance):
 * - a section, inverted section, end, comment, partial or delimiter tag alone on its line takes the
 * whole line with it, its blanks and its end;
 * - a parent's first and last tag share that rule, whatever lies between them;
 * - a block that opens at a line's end loses the indentation of its first line on all of its lines,
 * and gets what its place in the parent has: the indentation of the default content, else of the
 * tag. */
#include <page/compile.h>

#include <string.h>
#include <base/assert.h>
#include "asset.h"
#include "context.h"
#include "unit.h"

#define SOURCE_MAX (16u << 20)
#define OPEN_MAX 64
#define PATH_MAX_NAMES 32
#define NO_OP UINT32_MAX

struct open_tag {
	struct open_tag *up;
	uint8_t kind;	    /* '#', '^', '<' or '$' */
	bool first_on_line; /* only blanks stand before it */
	bool override;	    /* a block directly within a parent */
	struct slice name;
	size_t at;
	uint32_t op;
	uint32_t space_op;   /* of a parent: the TEXT of the blanks before it, or NO_OP */
	struct slice dedent; /* to restore at its end */
	struct html_context html;
};

struct tag {
	uint8_t kind; /* the sigil; 0 for {{name}}, '{' for a triple */
	bool dynamic; /* an asterisk stands before the name */
	struct slice name;
	size_t at, end; /* in the source: its first byte, and the byte after it */
	size_t line_at,
		line_end; /* the same with the line that is its own, when it is standalone */
	bool blank_before, blank_after;
};

struct parser {
	struct page_compiler *c;
	struct page_unit *u;
	size_t pos;		  /* everything before is done */
	struct slice open, close; /* the delimiters */
	struct open_tag *top;
	uint32_t depth;
	struct slice dedent; /* what lines of a block lose at their start */
	bool barrier;	     /* the next operation is jumped to */
	struct html_context html;
};

static bool is_blank(uint8_t b)
{
	return b == ' ' || b == '\t';
}

static bool is_space(uint8_t b)
{
	return is_blank(b) || b == '\n' || b == '\r' || b == '\f' || b == '\v';
}

static struct slice trim(struct slice s)
{
	while (s.len && is_space(s.ptr[0]))
		s = slice_sub(s, 1, s.len);
	while (s.len && is_space(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

static bool find(struct slice s, size_t from, struct slice what, size_t *out)
{
	while (from < s.len && s.len - from >= what.len) {
		size_t at = from + slice_index(slice_sub(s, from, s.len), what.ptr[0]);
		if (at >= s.len)
			return false;
		if (slice_starts_with(slice_sub(s, at, s.len), what)) {
			*out = at;
			return true;
		}
		from = at + 1;
	}
	return false;
}

/* --- Operations and text ------------------------------------------------------------------ */

static err add_op(struct parser *p, enum page_op_kind kind, struct page_op **out)
{
	struct page_unit *u = p->u;
	if (u->template.op_count == u->op_capacity) {
		uint32_t capacity = u->op_capacity ? u->op_capacity * 2 : 32;
		struct page_op *op = ARENA_NEW_ARRAY(p->c->arena, struct page_op, capacity);
		if (!op)
			return ERR(NO_MEMORY);
		if (u->op_capacity)
			memcpy(op, u->op, u->op_capacity * sizeof *op);
		u->op = op;
		u->op_capacity = capacity;
	}
	*out = &u->op[u->template.op_count++];
	(*out)->kind = (uint8_t)kind;
	p->barrier = false;
	return OK;
}

static bool is_ignored(const struct parser *p)
{
	return p->top && p->top->kind == '<';
}

static err add_bytes(struct parser *p, struct slice s)
{
	struct page_unit *u = p->u;
	if (s.len == 0)
		return OK;
	uint8_t *to = u->text + u->text_len;
	struct page_op *last = u->template.op_count ? &u->op[u->template.op_count - 1] : NULL;
	bool joins = last && last->kind == PAGE_OP_TEXT && !p->barrier &&
		     last->text.ptr + last->text.len == to;
	if (!joins) {
		TRY(add_op(p, PAGE_OP_TEXT, &last));
		last->text = slice_of(to, 0);
	}
	ASSERT(s.len <= u->text_room - u->text_len);
	memcpy(to, s.ptr, s.len);
	u->text_len += s.len;
	last->text.len += s.len;
	if (!p->c->plain)
		context_text(&p->html, s);
	return OK;
}

static struct slice without_dedent(const struct parser *p, struct slice line)
{
	size_t n = 0;
	while (n < p->dedent.len && n < line.len && line.ptr[n] == p->dedent.ptr[n])
		n++;
	return slice_sub(line, n, line.len);
}

static bool begins_line(struct slice source, size_t at)
{
	return at == 0 || source.ptr[at - 1] == '\n';
}

/* The source from `from` to `to` as static text. */
static err add_text(struct parser *p, size_t from, size_t to)
{
	if (to <= from || is_ignored(p))
		return OK;
	struct slice source = p->u->source, s = slice_sub(source, from, to - from);
	if (p->dedent.len == 0)
		return add_bytes(p, s);
	while (s.len) {
		struct slice line = slice_sub(s, 0, slice_index(s, '\n') + 1);
		s = slice_sub(s, line.len, s.len);
		if (begins_line(source, (size_t)(line.ptr - source.ptr)))
			line = without_dedent(p, line);
		TRY(add_bytes(p, line));
	}
	return OK;
}

/* --- Names -------------------------------------------------------------------------------- */

static bool name_is_valid(struct parser *p, const struct tag *t)
{
	const char *what = NULL;
	if (t->name.len == 0)
		what = "a name is missing in this tag";
	for (size_t i = 0; i < t->name.len && !what; i++)
		if (is_space(t->name.ptr[i]))
			what = "a name must not contain blanks";
	if (what)
		diagnose(p->c, p->u, t->at, "%s", what);
	return !what;
}

/* Splits a dotted name; "." alone is the empty path. False after a diagnostic. */
static err set_path(struct parser *p, const struct tag *t, struct page_op *op, bool *valid)
{
	struct slice names[PATH_MAX_NAMES], rest = t->name;
	uint8_t n = 0;
	*valid = true;
	if (slice_eq(t->name, SLICE(".")))
		return OK;
	for (bool more = true; more;) {
		size_t dot = slice_index(rest, '.');
		more = dot < rest.len;
		if (dot == 0 || n == PATH_MAX_NAMES) {
			diagnose(p->c, p->u, t->at,
				dot ? "the name has over %d parts"
				    : "a part of the dotted name is empty",
				PATH_MAX_NAMES);
			*valid = false;
			return OK;
		}
		names[n++] = slice_sub(rest, 0, dot);
		rest = slice_sub(rest, dot + 1, rest.len);
	}
	struct slice *path = ARENA_NEW_ARRAY(p->c->arena, struct slice, n);
	if (!path)
		return ERR(NO_MEMORY);
	memcpy(path, names, n * sizeof *path);
	op->to.path = path;
	op->path_len = n;
	return OK;
}

static err refer(struct parser *p, const struct tag *t)
{
	struct page_unit *u = p->u;
	struct unit_reference *r = ARENA_NEW(p->c->arena, struct unit_reference);
	if (!r)
		return ERR(NO_MEMORY);
	*r = (struct unit_reference){.op = u->template.op_count - 1, .name = t->name, .at = t->at};
	*u->references_end = r;
	u->references_end = &r->next;
	return OK;
}

/* --- Tags --------------------------------------------------------------------------------- */

static void measure_line(struct slice source, struct tag *t)
{
	size_t at = t->at, end = t->end;
	while (at > 0 && is_blank(source.ptr[at - 1]))
		at--;
	while (end < source.len && is_blank(source.ptr[end]))
		end++;
	t->blank_before = begins_line(source, at);
	t->line_at = at;
	if (end + 1 < source.len && source.ptr[end] == '\r' && source.ptr[end + 1] == '\n')
		end++;
	t->blank_after = end == source.len || source.ptr[end] == '\n';
	t->line_end = end < source.len ? end + 1 : end;
}

static bool is_sigil(uint8_t b)
{
	return b && memchr("#^/><$!={&", b, 10) != NULL;
}

/* Reads the tag whose opening delimiter stands at `at`. False after a diagnostic. */
static bool read_tag(struct parser *p, size_t at, struct tag *t)
{
	struct slice source = p->u->source, inner;
	size_t begin = at + p->open.len, end;
	*t = (struct tag){.at = at};
	while (begin < source.len && is_space(source.ptr[begin]))
		begin++;
	if (begin < source.len && is_sigil(source.ptr[begin]))
		t->kind = source.ptr[begin++];
	uint8_t closer = t->kind == '{' ? '}' : t->kind == '=' ? '=' : 0;
	size_t from = begin;
	for (;; from = end + 1) {
		if (!find(source, from, p->close, &end)) {
			diagnose(p->c, p->u, at, "this tag is not closed: \"%s%.*s\" is missing",
				closer == '}' ? "}"
				: closer      ? "="
					      : "",
				SLICE_ARG(p->close));
			return false;
		}
		if (!closer || (end > begin && source.ptr[end - 1] == closer))
			break;
		/* "}}}": the brace that closes may come after a find of "}}". */
		if (closer && slice_starts_with(slice_sub(source, end + 1, source.len), p->close) &&
			source.ptr[end] == closer) {
			end++;
			break;
		}
	}
	t->end = end + p->close.len;
	inner = slice_sub(source, begin, end - begin - (closer ? 1 : 0));
	size_t nested;
	if (t->kind != '!' && t->kind != '=' && find(inner, 0, p->open, &nested)) {
		diagnose(p->c, p->u, at, "this tag is not closed before the next one opens");
		return false;
	}
	t->name = t->kind == '!' ? inner : trim(inner);
	if ((t->kind == '>' || t->kind == '<' || t->kind == '/') && t->name.len &&
		t->name.ptr[0] == '*') {
		t->dynamic = true;
		t->name = trim(slice_sub(t->name, 1, t->name.len));
	}
	measure_line(source, t);
	return true;
}

static void set_delimiters(struct parser *p, const struct tag *t)
{
	struct slice s = t->name;
	size_t i = 0, j = s.len;
	while (i < s.len && !is_space(s.ptr[i]))
		i++;
	while (j > i && !is_space(s.ptr[j - 1]))
		j--;
	struct slice open = slice_sub(s, 0, i), close = slice_sub(s, j, s.len);
	bool bad = open.len == 0 || close.len == 0 || trim(slice_sub(s, i, j - i)).len != 0 ||
		   slice_index(s, '=') < s.len;
	if (bad) {
		diagnose(p->c, p->u, t->at, "%s",
			"delimiters are set as {{=<% %>=}}: two of them, with a blank between and "
			"without =");
		return;
	}
	p->open = open;
	p->close = close;
}

/* --- Escaping ----------------------------------------------------------------------------- */

static void choose_escape(struct parser *p, const struct tag *t, struct page_op *op)
{
	enum page_escape how = PAGE_ESCAPE_HTML;
	const char *why = NULL;
	bool raw = t->kind == '{' || t->kind == '&';
	if (!p->c->plain && !context_variable(&p->html, &how, &why) && !raw)
		diagnose(p->c, p->u, t->at, "a value cannot be shown safely %s: %s",
			context_place(&p->html), why);
	op->escape = raw ? PAGE_ESCAPE_NONE : (uint8_t)how;
}

static void check_insertion(struct parser *p, const struct tag *t, const char *what)
{
	if (!p->c->plain && !context_allows_insertion(&p->html))
		diagnose(p->c, p->u, t->at,
			"a %s cannot stand %s: what it contains is escaped for text", what,
			context_place(&p->html));
}

static void check_branch(struct parser *p, const struct open_tag *o, const struct tag *t)
{
	if (p->c->plain)
		return;
	if (!context_join(&p->html, &o->html))
		diagnose(p->c, p->u, t->at, "{{%c%.*s}} of line %u began %s but ends %s", o->kind,
			SLICE_ARG(o->name), unit_line(p->u, o->at), context_place(&o->html),
			context_place(&p->html));
}

/* --- Opening and closing ------------------------------------------------------------------ */

static err push(struct parser *p, const struct tag *t)
{
	if (p->depth == OPEN_MAX) {
		diagnose(p->c, p->u, t->at, "tags are nested over %d deep", OPEN_MAX);
		return ERR(INVALID);
	}
	struct open_tag *o = ARENA_NEW(p->c->arena, struct open_tag);
	if (!o)
		return ERR(NO_MEMORY);
	*o = (struct open_tag){
		.up = p->top,
		.kind = t->kind,
		.name = t->name,
		.at = t->at,
		.op = p->u->template.op_count - 1,
		.space_op = NO_OP,
		.dedent = p->dedent,
		.first_on_line = t->blank_before,
		.html = p->html,
	};
	p->top = o;
	p->depth++;
	return OK;
}

/* Text before a tag that may have its line to itself, which then goes with it. */
static err take_line(struct parser *p, const struct tag *t, bool *standalone)
{
	*standalone = t->blank_before && t->blank_after;
	TRY(add_text(p, p->pos, *standalone ? t->line_at : t->at));
	p->pos = *standalone ? t->line_end : t->end;
	return OK;
}

/* Within a parent all but blocks would silently be lost. */
static bool is_misplaced(struct parser *p, const struct tag *t)
{
	if (!is_ignored(p))
		return false;
	diagnose(p->c, p->u, t->at,
		"only blocks, {{$name}}...{{/name}}, belong into {{<%.*s}}: this would not be "
		"shown",
		SLICE_ARG(p->top->name));
	return true;
}

static err on_variable(struct parser *p, const struct tag *t)
{
	struct page_op *op;
	bool valid;
	TRY(add_text(p, p->pos, t->at));
	p->pos = t->end;
	if (is_misplaced(p, t))
		return OK;
	TRY(add_op(p, PAGE_OP_VARIABLE, &op));
	TRY(set_path(p, t, op, &valid));
	choose_escape(p, t, op);
	return OK;
}

/* "asset NAME": blanks cannot stand in any other tag. */
static bool is_asset(const struct tag *t)
{
	return !t->kind && t->name.len > 6 && slice_starts_with(t->name, SLICE("asset")) && is_space(t->name.ptr[5]);
}

static err on_asset(struct parser *p, const struct tag *t)
{
	struct slice url, name = trim(slice_sub(t->name, 6, t->name.len));
	TRY(add_text(p, p->pos, t->at));
	p->pos = t->end;
	if (is_misplaced(p, t))
		return OK;
	if (slice_starts_with(name, SLICE("/")))
		name = slice_sub(name, 1, name.len);
	struct slice path = arena_format(p->c->arena, "/%.*s", SLICE_ARG(name));
	if (!path.len)
		return ERR(NO_MEMORY);
	err e = p->c->assets ? page_asset_url(p->c->assets, path, &url) : ERR(NOT_FOUND);
	if (e.code == ERR_NOT_FOUND) {
		diagnose(p->c, p->u, t->at, "there is no file static/%.*s", SLICE_ARG(name));
		return OK;
	}
	TRY(e);
	return add_bytes(p, url);
}

static err on_section(struct parser *p, const struct tag *t)
{
	struct page_op *op;
	bool standalone, valid;
	TRY(take_line(p, t, &standalone));
	is_misplaced(p, t);
	TRY(add_op(p, t->kind == '#' ? PAGE_OP_SECTION : PAGE_OP_INVERTED, &op));
	TRY(set_path(p, t, op, &valid));
	return push(p, t);
}

static struct slice indentation(const struct parser *p, const struct tag *t)
{
	return without_dedent(p, slice_sub(p->u->source, t->line_at, t->at - t->line_at));
}

static err set_target(struct parser *p, const struct tag *t, struct page_op *op)
{
	bool valid;
	if (!t->dynamic)
		return refer(p, t);
	p->u->is_dynamic = true;
	TRY(set_path(p, t, op, &valid));
	if (valid && op->path_len == 0)
		diagnose(p->c, p->u, t->at, "{{>*.}} names nothing");
	return OK;
}

static err on_partial(struct parser *p, const struct tag *t)
{
	struct page_op *op;
	bool standalone;
	TRY(take_line(p, t, &standalone));
	if (is_misplaced(p, t))
		return OK;
	check_insertion(p, t, "partial");
	TRY(add_op(p, PAGE_OP_PARTIAL, &op));
	op->standalone = standalone;
	if (standalone)
		op->text = indentation(p, t);
	return set_target(p, t, op);
}

static err on_parent(struct parser *p, const struct tag *t)
{
	struct page_op *op;
	uint32_t space_op = NO_OP;
	/* Whether it is standalone shows at its end: the blanks before it are kept apart until
	 * then. */
	TRY(add_text(p, p->pos, t->blank_before ? t->line_at : t->at));
	if (t->blank_before && indentation(p, t).len && !is_ignored(p)) {
		p->barrier = true;
		space_op = p->u->template.op_count;
		TRY(add_text(p, t->line_at, t->at));
	}
	p->pos = t->end;
	is_misplaced(p, t);
	check_insertion(p, t, "parent");
	TRY(add_op(p, PAGE_OP_PARENT, &op));
	if (t->blank_before)
		op->text = indentation(p, t);
	TRY(set_target(p, t, op));
	TRY(push(p, t));
	p->top->space_op = space_op;
	return OK;
}

/* The blanks at the start of the first line from `at` that holds anything else. */
static struct slice first_indentation(const struct parser *p, size_t at)
{
	struct slice rest = slice_sub(p->u->source, at, p->u->source.len);
	for (;;) {
		size_t n = 0;
		while (n < rest.len && is_blank(rest.ptr[n]))
			n++;
		bool empty = n < rest.len && (rest.ptr[n] == '\n' || rest.ptr[n] == '\r');
		if (!empty)
			return slice_sub(rest, 0, n);
		rest = slice_sub(rest, n + 1, rest.len);
	}
}

/* Whether the next thing from `at` on is a closing tag, so that a block is empty. */
static bool closes_next(const struct parser *p, size_t at)
{
	struct slice rest = trim(slice_sub(p->u->source, at, p->u->source.len));
	if (!slice_starts_with(rest, p->open))
		return false;
	rest = trim(slice_sub(rest, p->open.len, rest.len));
	return rest.len && rest.ptr[0] == '/';
}

static err on_override(struct parser *p, const struct tag *t)
{
	TRY(push(p, t));
	p->top->override = true;
	p->html = p->top->html = (struct html_context){0};
	p->pos = t->end;
	p->dedent = (struct slice){NULL, 0};
	if (t->blank_after) {
		p->pos = t->line_end;
		p->dedent = first_indentation(p, t->line_end);
	}
	return OK;
}

static err on_block(struct parser *p, const struct tag *t)
{
	struct page_op *op;
	bool override = is_ignored(p), standalone = false;
	if (!override) {
		TRY(take_line(p, t, &standalone));
		check_insertion(p, t, "block");
	}
	TRY(add_op(p, PAGE_OP_BLOCK, &op));
	struct slice *name = ARENA_NEW(p->c->arena, struct slice);
	if (!name)
		return ERR(NO_MEMORY);
	*name = t->name;
	op->to.path = name;
	op->path_len = 1;
	op->standalone = standalone;
	if (override)
		return on_override(p, t);
	if (standalone && !closes_next(p, t->line_end))
		op->text = without_dedent(p, first_indentation(p, t->line_end));
	else if (t->blank_before)
		op->text = indentation(p, t);
	return push(p, t);
}

static struct open_tag *opener_of(struct parser *p, const struct tag *t)
{
	for (struct open_tag *o = p->top; o; o = o->up)
		if (slice_eq(o->name, t->name))
			return o;
	return NULL;
}

static void drop(struct parser *p)
{
	p->dedent = p->top->dedent;
	p->top = p->top->up;
	p->depth--;
}

/* Finds what a closing tag closes; on a mismatch tells so and drops what was left open inside. */
static struct open_tag *match(struct parser *p, const struct tag *t)
{
	struct open_tag *o = opener_of(p, t);
	if (!o && !p->top)
		diagnose(p->c, p->u, t->at, "{{/%.*s}} closes nothing", SLICE_ARG(t->name));
	else if (!o)
		diagnose(p->c, p->u, t->at,
			"{{/%.*s}} where {{/%.*s}} is expected, for {{%c%.*s}} of line %u",
			SLICE_ARG(t->name), SLICE_ARG(p->top->name), p->top->kind,
			SLICE_ARG(p->top->name), unit_line(p->u, p->top->at));
	for (; o && p->top != o; drop(p))
		diagnose(p->c, p->u, p->top->at,
			"{{%c%.*s}} is not closed before {{/%.*s}} of line %u", p->top->kind,
			SLICE_ARG(p->top->name), SLICE_ARG(t->name), unit_line(p->u, t->at));
	return o;
}

static err close_parent(struct parser *p, const struct open_tag *o, const struct tag *t)
{
	struct page_op *parent = &p->u->op[o->op];
	p->pos = t->end;
	if (o->first_on_line && t->blank_after) {
		p->pos = t->line_end;
		parent->standalone = true;
		if (o->space_op != NO_OP)
			p->u->op[o->space_op].text.len = 0;
	} else {
		parent->text = (struct slice){NULL, 0};
	}
	return OK;
}

static err close_text(struct parser *p, const struct open_tag *o, const struct tag *t)
{
	bool standalone;
	if (!o->override)
		return take_line(p, t, &standalone);
	TRY(add_text(p, p->pos, t->blank_before ? t->line_at : t->at));
	p->pos = t->end;
	return OK;
}

static err on_close(struct parser *p, const struct tag *t)
{
	bool standalone;
	struct page_op *op;
	struct open_tag *o = match(p, t);
	if (!o)
		return take_line(p, t, &standalone);
	if (o->kind == '<')
		TRY(close_parent(p, o, t));
	else
		TRY(close_text(p, o, t));
	check_branch(p, o, t);
	if (o->override) /* back to where the parent stands */
		p->html = o->up->html;
	drop(p);
	if (o->kind == '^') {
		p->u->op[o->op].jump = p->u->template.op_count;
		p->barrier = true;
		return OK;
	}
	TRY(add_op(p,
		o->kind == '#'	 ? PAGE_OP_SECTION_END
		: o->kind == '<' ? PAGE_OP_PARENT_END
				 : PAGE_OP_BLOCK_END,
		&op));
	op->jump = o->op;
	p->u->op[o->op].jump = p->u->template.op_count - 1;
	return OK;
}

static err on_tag(struct parser *p, const struct tag *t)
{
	bool standalone;
	if (is_asset(t))
		return on_asset(p, t);
	if (t->kind != '!' && t->kind != '=' && !name_is_valid(p, t)) {
		p->pos = t->end;
		return OK;
	}
	switch (t->kind) {
	case '!':
		return take_line(p, t, &standalone);
	case '=':
		TRY(take_line(p, t, &standalone));
		set_delimiters(p, t);
		return OK;
	case '#':
	case '^':
		return on_section(p, t);
	case '/':
		return on_close(p, t);
	case '>':
		return on_partial(p, t);
	case '<':
		return on_parent(p, t);
	case '$':
		return on_block(p, t);
	default:
		return on_variable(p, t);
	}
}

static err parse(struct parser *p)
{
	struct slice source = p->u->source;
	struct page_op *op;
	size_t at, from = 0;
	while (find(source, from, p->open, &at)) {
		struct tag t;
		if (read_tag(p, at, &t))
			TRY(on_tag(p, &t));
		else
			p->pos = at + p->open.len;
		/* A standalone tag takes blanks with it that no tag can begin in. */
		from = p->pos;
	}
	for (; p->top; drop(p))
		diagnose(p->c, p->u, p->top->at, "{{%c%.*s}} is never closed: {{/%.*s}} is missing",
			p->top->kind, SLICE_ARG(p->top->name), SLICE_ARG(p->top->name));
	TRY(add_text(p, p->pos, source.len));
	if (!p->c->plain && p->html.state != CONTEXT_TEXT && p->html.state != CONTEXT_TAG_OPEN)
		diagnose(p->c, p->u, source.len, "the template ends %s", context_place(&p->html));
	return add_op(p, PAGE_OP_RETURN, &op);
}

static bool is_known(const struct page_compiler *c, struct slice name)
{
	for (const struct page_unit *u = c->first_unit; u; u = u->next)
		if (slice_eq(u->template.name, name))
			return true;
	return false;
}

/* Static text is no longer than the source, but where a URL is longer than the tag that names its file. */
static size_t text_room(const struct page_compiler *c, struct slice source)
{
	size_t count = 0, at = 0;
	if (!c->assets)
		return source.len;
	for (; find(source, at, SLICE("asset"), &at); at++)
		count++;
	return source.len + count * asset_url_max(c->assets);
}

static struct page_unit *add_unit(
	struct page_compiler *c, struct slice name, struct slice file, struct slice source)
{
	struct page_unit *u = ARENA_NEW(c->arena, struct page_unit);
	if (!u)
		return NULL;
	u->file = arena_copy(c->arena, file);
	u->source = arena_copy(c->arena, source);
	u->template.name = arena_copy(c->arena, name);
	u->text_room = text_room(c, source);
	u->text = arena_alloc(c->arena, u->text_room);
	u->references_end = &u->first_reference;
	if (!u->text || u->file.len != file.len || u->source.len != source.len ||
		u->template.name.len != name.len)
		return NULL;
	*c->units_end = u;
	c->units_end = &u->next;
	c->unit_count++;
	return u;
}

void page_compiler_init(struct page_compiler *c, struct arena *arena)
{
	*c = (struct page_compiler){.arena = arena};
	c->units_end = &c->first_unit;
	c->diagnostics_end = &c->first_diagnostic;
}

err page_compile(struct page_compiler *c, struct slice name, struct slice file, struct slice source)
{
	if (source.len > SOURCE_MAX)
		return ERR(TOO_LARGE);
	uint32_t before = c->diagnostic_count;
	bool known = is_known(c, name);
	struct page_unit *u = add_unit(c, name, file, source);
	if (!u)
		return ERR(NO_MEMORY);
	struct parser p = {.c = c, .u = u, .open = SLICE("{{"), .close = SLICE("}}")};
	if (known)
		diagnose(
			c, u, 0, "there is another template of the name \"%.*s\"", SLICE_ARG(name));
	TRY(parse(&p));
	u->template.ops = u->op;
	return c->diagnostic_count == before ? OK : ERR(INVALID);
}
