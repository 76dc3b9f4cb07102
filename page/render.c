/* The renderer: a loop over operations with a stack of frames in the arena, so that neither the
 * depth of templates nor that of data reaches the machine's stack.
 *
 * Invariants
 * - `context` is what a frame restores; its links (scope, indent, overrides) point into frames that
 * are below or at the top of the stack, so they live as long as they are in use.
 * - A frame is pushed by SECTION, PARTIAL, PARENT and an overridden BLOCK, and popped by the
 * operation that ends it: SECTION_END, RETURN, RETURN, BLOCK_END.
 * - `line_start`: the next byte of this template's own text begins a line, and the indentation that
 *   applies (Mustache, partials: "prepended to each line of the partial") was not yet written. What
 *   values contain does not count: they are not indented.
 *
 * Overrides: the outermost template that overrides a block wins; so a list from the innermost
 * PARENT to the outermost is searched to its end. */
#include <page/render.h>

#include <string.h>
#include "escape.h"

struct scope {
	const struct scope *up;
	const struct page_value *value;
};

struct indent {
	const struct indent *up;
	struct slice text;
};

struct overrides {
	const struct overrides *up;
	const struct page_template *template;
	const struct page_op *parent; /* the PARENT operation, before its BLOCKs */
};

struct context {
	const struct page_template *template;
	const struct scope *scope;
	const struct indent *indent;
	const struct overrides *overrides;
};

struct frame {
	struct frame *up;
	struct context saved;
	const struct page_op *back; /* where to go on after the frame */
	const struct page_op *end;  /* the BLOCK_END of an overridden block */
	const struct page_value *item;
	struct scope scope;
	struct indent indent;
	struct overrides overrides;
	bool standalone;
};

struct render {
	struct page_output *out;
	struct context context;
	struct frame *frame, *free;
	uint32_t depth;
	bool line_start;
};

static const struct page_value *member_of(const struct page_value *v, const struct page_op *op)
{
	for (unsigned i = 1; v && i < op->path_len; i++)
		v = page_get(v, op->to.path[i]);
	return v;
}

/* Only the first name is searched for through the scopes; a chain that breaks does not search on.
 */
static const struct page_value *look_up(const struct render *r, const struct page_op *op)
{
	const struct scope *s = r->context.scope;
	if (op->path_len == 0)
		return s->value;
	for (; s; s = s->up) {
		const struct page_value *v = page_get(s->value, op->to.path[0]);
		if (v)
			return member_of(v, op);
	}
	return NULL;
}

static err push(struct render *r, const struct page_op *back, struct frame **out)
{
	if (r->depth >= PAGE_DEPTH_MAX)
		return ERR(TOO_LARGE);
	struct frame *f = r->free;
	if (f)
		r->free = f->up;
	else if (!(f = arena_alloc(r->out->arena, sizeof *f)))
		return ERR(NO_MEMORY);
	*f = (struct frame){.up = r->frame, .saved = r->context, .back = back};
	r->frame = f;
	r->depth++;
	*out = f;
	return OK;
}

static const struct page_op *pop(struct render *r)
{
	struct frame *f = r->frame;
	const struct page_op *back = f->back;
	r->context = f->saved;
	r->frame = f->up;
	r->depth--;
	f->up = r->free;
	r->free = f;
	return back;
}

static err add_indents(struct page_output *out, const struct indent *i)
{
	if (!i)
		return OK;
	/* The outermost comes first. The list is as long as partials nest, at most PAGE_DEPTH_MAX.
	 */
	const struct indent *chain[PAGE_DEPTH_MAX];
	unsigned n = 0;
	for (; i && n < PAGE_DEPTH_MAX; i = i->up)
		chain[n++] = i;
	while (n)
		TRY(output_add(out, chain[--n]->text));
	return OK;
}

static err begin_output(struct render *r)
{
	if (!r->line_start)
		return OK;
	r->line_start = false;
	return add_indents(r->out, r->context.indent);
}

static err add_text(struct render *r, struct slice text)
{
	if (text.len == 0)
		return OK;
	if (!r->context.indent) {
		r->line_start = text.ptr[text.len - 1] == '\n';
		return output_add(r->out, text);
	}
	while (text.len) {
		size_t line = slice_index(text, '\n');
		bool ends = line < text.len;
		TRY(begin_output(r));
		TRY(output_add(r->out, slice_sub(text, 0, line + ends)));
		r->line_start = ends;
		text = slice_sub(text, line + ends, text.len);
	}
	return OK;
}

static err add_variable(struct render *r, const struct page_op *op)
{
	TRY(begin_output(r));
	return escape_add(r->out, (enum page_escape)op->escape, look_up(r, op));
}

static void enter_item(struct frame *f, struct render *r, const struct page_value *v)
{
	f->scope = (struct scope){f->saved.scope, v};
	r->context.scope = &f->scope;
}

static err begin_section(struct render *r, const struct page_op **pc)
{
	const struct page_op *op = *pc;
	const struct page_value *v = look_up(r, op);
	const struct page_op *after = r->context.template->ops + op->jump + 1;
	struct frame *f;
	if (!page_is_true(v)) {
		*pc = after;
		return OK;
	}
	TRY(push(r, after, &f));
	f->item = v->type == PAGE_LIST ? v->as.children.first : NULL;
	enter_item(f, r, f->item ? f->item : v);
	*pc = op + 1;
	return OK;
}

static const struct page_op *end_section(struct render *r, const struct page_op *op)
{
	struct frame *f = r->frame;
	if (!f->item || !f->item->next)
		return pop(r);
	f->item = f->item->next;
	enter_item(f, r, f->item);
	return r->context.template->ops + op->jump + 1;
}

static const struct page_template *target_of(const struct render *r, const struct page_op *op)
{
	if (op->path_len == 0)
		return op->to.partial;
	const struct page_value *v = look_up(r, op);
	if (!v || v->type != PAGE_TEXT)
		return NULL;
	return page_template_find(r->context.template->set, v->as.text);
}

/* A partial that stands on a line of its own is indented as that line is, and by that line's
 * indentation; one within a line is not indented at all, but for what is due at its first byte. */
static err enter_template(struct render *r, const struct page_op *op, const struct page_op *back,
	const struct page_op **pc)
{
	const struct page_template *t = target_of(r, op);
	struct frame *f;
	if (!t) {
		*pc = back;
		return OK;
	}
	if (!op->standalone)
		TRY(begin_output(r));
	TRY(push(r, back, &f));
	f->standalone = op->standalone;
	if (!op->standalone) {
		r->context.indent = NULL;
	} else {
		r->line_start = true;
		if (op->text.len) {
			f->indent = (struct indent){f->saved.indent, op->text};
			r->context.indent = &f->indent;
		}
	}
	if (op->kind == PAGE_OP_PARENT) {
		f->overrides = (struct overrides){f->saved.overrides, f->saved.template, op};
		r->context.overrides = &f->overrides;
	}
	r->context.template = t;
	*pc = t->ops;
	return OK;
}

static const struct page_op *leave_template(struct render *r)
{
	/* The tag took its line's end with it, so the next text of the caller starts a line. */
	bool line_start = r->frame->standalone;
	const struct page_op *back = pop(r);
	r->line_start = line_start;
	return back;
}

static const struct page_op *block_among(const struct overrides *o, struct slice name)
{
	const struct page_op *op = o->parent + 1, *ops = o->template->ops;
	for (; op->kind == PAGE_OP_BLOCK; op = ops + op->jump + 1)
		if (slice_eq(op->to.path[0], name))
			return op;
	return NULL;
}

static err enter_block(struct render *r, const struct page_op **pc)
{
	const struct page_op *op = *pc, *found = NULL;
	const struct page_template *template = NULL;
	struct frame *f;
	for (const struct overrides *o = r->context.overrides; o; o = o->up) {
		const struct page_op *b = block_among(o, op->to.path[0]);
		if (b) {
			found = b;
			template = o->template;
		}
	}
	if (!found) {
		*pc = op + 1;
		return OK;
	}
	TRY(push(r, r->context.template->ops + op->jump + 1, &f));
	f->standalone = op->standalone;
	f->end = template->ops + found->jump;
	if (op->standalone)
		r->line_start = true;
	if (op->text.len) {
		f->indent = (struct indent){f->saved.indent, op->text};
		r->context.indent = &f->indent;
	}
	r->context.template = template;
	*pc = found + 1;
	return OK;
}

static const struct page_op *leave_block(struct render *r, const struct page_op *op)
{
	if (!r->frame || r->frame->end != op)
		return op + 1; /* default content */
	return pop(r);
}

static err step(struct render *r, const struct page_op **pc)
{
	const struct page_op *op = *pc;
	switch ((enum page_op_kind)op->kind) {
	case PAGE_OP_TEXT:
		*pc = op + 1;
		return add_text(r, op->text);
	case PAGE_OP_VARIABLE:
		*pc = op + 1;
		return add_variable(r, op);
	case PAGE_OP_SECTION:
		return begin_section(r, pc);
	case PAGE_OP_SECTION_END:
		*pc = end_section(r, op);
		return OK;
	case PAGE_OP_INVERTED:
		*pc = page_is_true(look_up(r, op)) ? r->context.template->ops + op->jump : op + 1;
		return OK;
	case PAGE_OP_PARTIAL:
		return enter_template(r, op, op + 1, pc);
	case PAGE_OP_PARENT:
		return enter_template(r, op, r->context.template->ops + op->jump + 1, pc);
	case PAGE_OP_BLOCK:
		return enter_block(r, pc);
	case PAGE_OP_BLOCK_END:
		*pc = leave_block(r, op);
		return OK;
	case PAGE_OP_RETURN:
		*pc = r->frame ? leave_template(r) : NULL;
		return OK;
	case PAGE_OP_PARENT_END: /* never run into: a PARENT's blocks are entered from elsewhere */
		break;
	}
	return ERR(INVALID);
}

err page_render(const struct page_template *template, const struct page_value *root,
	struct page_output *out)
{
	bool has_children = root && (root->type == PAGE_OBJECT || root->type == PAGE_LIST);
	if (!root || (has_children && root->as.children.arena->exhausted))
		return ERR(NO_MEMORY);
	struct scope scope = {NULL, root};
	struct render r = {
		.out = out,
		.context = {.template = template, .scope = &scope},
		.line_start = true,
	};
	const struct page_op *pc = template->ops;
	for (uint32_t steps = 0; pc; steps++) {
		if (steps == PAGE_STEPS_MAX)
			return ERR(TOO_LARGE);
		TRY(step(&r, &pc));
	}
	return OK;
}
