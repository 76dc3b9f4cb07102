/* The value tree. Members and items are children in a singly linked list: objects have a handful of
 * members, which a scan that compares lengths first finds faster than a hash would.
 *
 * Invariants: a child's arena is its parent's; a NULL value is accepted everywhere, and is only
 * ever made together with arena->exhausted. */
#include <page/value.h>

#include <string.h>

struct page_value *page_root(struct arena *arena)
{
	return ARENA_NEW(arena, struct page_value);
}

struct page_value *page_object(struct arena *arena)
{
	struct page_value *v = page_root(arena);
	page_become_object(v, arena);
	return v;
}

static struct page_value *append(struct page_value *parent)
{
	struct page_value *v = ARENA_NEW(parent->as.children.arena, struct page_value);
	if (!v)
		return NULL;
	if (parent->as.children.last)
		parent->as.children.last->next = v;
	else
		parent->as.children.first = v;
	parent->as.children.last = v;
	parent->count++;
	return v;
}

const struct page_value *page_get(const struct page_value *object, struct slice name)
{
	if (!object || object->type != PAGE_OBJECT)
		return NULL;
	const struct page_value *v = object->as.children.first;
	for (; v; v = v->next) /* the lengths differ for most: no call for them */
		if (v->name.len == name.len && slice_eq(v->name, name))
			return v;
	return NULL;
}

struct page_value *page_member(struct page_value *object, struct slice name)
{
	if (!object || object->type != PAGE_OBJECT)
		return NULL;
	struct page_value *v = (struct page_value *)page_get(object, name);
	if (v) {
		*v = (struct page_value){.name = v->name, .next = v->next};
		return v;
	}
	v = append(object);
	if (v)
		v->name = name;
	return v;
}

struct page_value *page_item(struct page_value *list)
{
	return list && list->type == PAGE_LIST ? append(list) : NULL;
}

static void become(struct page_value *v, enum page_type type)
{
	v->type = (uint8_t)type;
	v->count = 0;
	memset(&v->as, 0, sizeof v->as);
}

void page_become_bool(struct page_value *v, bool value)
{
	if (!v)
		return;
	become(v, PAGE_BOOL);
	v->boolean = value;
}

void page_become_int(struct page_value *v, int64_t value)
{
	if (!v)
		return;
	become(v, PAGE_INT);
	v->as.integer = value;
}

void page_become_text(struct page_value *v, struct slice text)
{
	if (!v)
		return;
	become(v, PAGE_TEXT);
	v->as.text = text;
}

void page_become_html(struct page_value *v, struct slice html)
{
	if (!v)
		return;
	become(v, PAGE_HTML);
	v->as.text = html;
}

void page_become_list(struct page_value *v, struct arena *arena)
{
	if (!v)
		return;
	become(v, PAGE_LIST);
	v->as.children.arena = arena;
}

void page_become_object(struct page_value *v, struct arena *arena)
{
	if (!v)
		return;
	become(v, PAGE_OBJECT);
	v->as.children.arena = arena;
}

void page_set_null(struct page_value *object, const char *name)
{
	page_member(object, slice_from_cstr(name));
}

void page_set_bool(struct page_value *object, const char *name, bool value)
{
	page_become_bool(page_member(object, slice_from_cstr(name)), value);
}

void page_set_int(struct page_value *object, const char *name, int64_t value)
{
	page_become_int(page_member(object, slice_from_cstr(name)), value);
}

void page_set_decimal(struct page_value *object, const char *name, int64_t value, unsigned decimals)
{
	struct page_value *v = page_member(object, slice_from_cstr(name));
	if (!v)
		return;
	page_become_int(v, value);
	v->type = PAGE_DECIMAL;
	v->decimals = (uint8_t)(decimals < 18 ? decimals : 18);
}

void page_set_text(struct page_value *object, const char *name, struct slice text)
{
	page_become_text(page_member(object, slice_from_cstr(name)), text);
}

void page_set_html(struct page_value *object, const char *name, struct slice html)
{
	page_become_html(page_member(object, slice_from_cstr(name)), html);
}

struct page_value *page_set_list(struct page_value *object, const char *name)
{
	struct page_value *v = page_member(object, slice_from_cstr(name));
	page_become_list(v, v ? object->as.children.arena : NULL);
	return v;
}

struct page_value *page_set_object(struct page_value *object, const char *name)
{
	struct page_value *v = page_member(object, slice_from_cstr(name));
	page_become_object(v, v ? object->as.children.arena : NULL);
	return v;
}

struct page_value *page_list_add(struct page_value *list)
{
	struct page_value *v = page_item(list);
	page_become_object(v, v ? list->as.children.arena : NULL);
	return v;
}

struct page_value *page_list_add_list(struct page_value *list)
{
	struct page_value *v = page_item(list);
	page_become_list(v, v ? list->as.children.arena : NULL);
	return v;
}

void page_list_add_null(struct page_value *list)
{
	page_item(list);
}

void page_list_add_bool(struct page_value *list, bool value)
{
	page_become_bool(page_item(list), value);
}

void page_list_add_int(struct page_value *list, int64_t value)
{
	page_become_int(page_item(list), value);
}

void page_list_add_text(struct page_value *list, struct slice text)
{
	page_become_text(page_item(list), text);
}

void page_list_add_html(struct page_value *list, struct slice html)
{
	page_become_html(page_item(list), html);
}

bool page_is_true(const struct page_value *v)
{
	if (!v)
		return false;
	switch ((enum page_type)v->type) {
	case PAGE_NULL:
		return false;
	case PAGE_BOOL:
		return v->boolean;
	case PAGE_INT:
	case PAGE_DECIMAL:
		return v->as.integer != 0;
	case PAGE_TEXT:
	case PAGE_HTML:
		return v->as.text.len != 0;
	case PAGE_LIST:
		return v->count != 0;
	case PAGE_OBJECT:
		return true;
	}
	return false;
}
