/* The second step of the compiler: all templates are known, so partials find each other. */
#include <page/compile.h>

#include "symbol.h"
#include "unit.h"

/* Heapsort: no memory, no recursion. */
static void sift(const struct page_template **t, uint32_t at, uint32_t count)
{
	for (;;) {
		uint32_t child = 2 * at + 1;
		if (child >= count)
			return;
		if (child + 1 < count && slice_cmp(t[child]->name, t[child + 1]->name) < 0)
			child++;
		if (slice_cmp(t[at]->name, t[child]->name) >= 0)
			return;
		const struct page_template *swap = t[at];
		t[at] = t[child];
		t[child] = swap;
		at = child;
	}
}

static void sort(const struct page_template **t, uint32_t count)
{
	for (uint32_t i = count / 2; i-- > 0;)
		sift(t, i, count);
	for (uint32_t end = count; end-- > 1;) {
		const struct page_template *largest = t[0];
		t[0] = t[end];
		t[end] = largest;
		sift(t, 0, end);
	}
}

static err make_set(struct page_compiler *c)
{
	struct page_template_set *set = ARENA_NEW(c->arena, struct page_template_set);
	const struct page_template **t =
		ARENA_NEW_ARRAY(c->arena, const struct page_template *, c->unit_count + 1);
	if (!set || !t)
		return ERR(NO_MEMORY);
	for (struct page_unit *u = c->first_unit; u; u = u->next)
		t[set->count++] = &u->template;
	sort(t, set->count);
	set->template = t;
	c->set = set;
	return OK;
}

static void resolve(struct page_compiler *c, struct page_unit *u)
{
	for (struct unit_reference *r = u->first_reference; r; r = r->next) {
		const struct page_template *t = page_template_find(c->set, r->name);
		u->op[r->op].to.partial = t;
		if (!t && !c->allow_missing)
			diagnose(c, u, r->at, "there is no template \"%.*s\"", SLICE_ARG(r->name));
	}
	if (u->is_dynamic)
		u->template.set = c->set;
}

/* Names may differ and their symbols not: a-b and a/b. */
static void check_symbols(struct page_compiler *c)
{
	for (struct page_unit *u = c->first_unit; u; u = u->next)
		for (struct page_unit *v = u->next; v; v = v->next)
			if (symbols_clash(u->template.name, v->template.name))
				diagnose(c, v, 0,
					"the name \"%.*s\" makes the same C symbol as \"%.*s\"",
					SLICE_ARG(v->template.name), SLICE_ARG(u->template.name));
}

err page_compile_link(struct page_compiler *c)
{
	TRY(make_set(c));
	for (struct page_unit *u = c->first_unit; u; u = u->next)
		resolve(c, u);
	check_symbols(c);
	return c->diagnostic_count ? ERR(INVALID) : OK;
}

const struct page_template *page_compiled(const struct page_compiler *c, struct slice name)
{
	return page_template_find(c->set, name);
}
