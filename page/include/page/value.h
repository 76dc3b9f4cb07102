/* The data that a page shows: a tree of values in an arena, usually the request's.
 *
 *	struct page_value *page = page_object(arena);
 *	page_set_text(page, "title", SLICE("Guestbook"));
 *	struct page_value *rows = page_set_list(page, "rows");
 *	while (...) {
 *		struct page_value *row = page_list_add(rows);
 *		page_set_text(row, "name", name);
 *		page_set_int(row, "number", number);
 *	}
 *	err e = page_render(&page_template_index, page, &out);
 *
 * Nothing here reports an error: when the arena is used up, constructors return NULL, every
 *function accepts that NULL and does nothing, and page_render returns ERR_NO_MEMORY.
 *
 * Names and text are borrowed: they must stay as they are until the rendered page was sent, as the
 * page's segments may point at them. Copy what does not last (arena_copy). Text is escaped wherever
 *a template shows it; markup that shall not be is made with page_set_html, and only with it. */
#ifndef PAGE_VALUE_H
#define PAGE_VALUE_H

#include <base/arena.h>
#include <base/slice.h>

enum page_type {
	PAGE_NULL,
	PAGE_BOOL,
	PAGE_INT,
	PAGE_DECIMAL,
	PAGE_TEXT,
	PAGE_HTML,
	PAGE_LIST,
	PAGE_OBJECT,
};

/* Read by the renderer; written by the functions below alone. */
struct page_value {
	uint8_t type;	  /* enum page_type */
	uint8_t decimals; /* of a DECIMAL: digits after the point, 0 to 18 */
	bool boolean;
	uint32_t count;		 /* children */
	struct slice name;	 /* within an object */
	struct page_value *next; /* the next child of the same list or object */
	union {
		int64_t integer; /* of a DECIMAL: the value times 10^decimals */
		struct slice text;
		struct {
			struct page_value *first, *last;
			struct arena *arena;
		} children;
	} as;
};

API_BEGIN

/* A new object to stand at the root. */
struct page_value *page_object(struct arena *arena);

/* Set a member of an object; one of the same name is replaced. `name` lasts as text does (a
 * literal, usually). On anything but an object they do nothing. */
void page_set_null(struct page_value *object, const char *name);
void page_set_bool(struct page_value *object, const char *name, bool value);
void page_set_int(struct page_value *object, const char *name, int64_t value);
/* value / 10^decimals: (121, 2) shows 1.21. At most 18 decimals (more are taken as 18). */
void page_set_decimal(
	struct page_value *object, const char *name, int64_t value, unsigned decimals);
void page_set_text(struct page_value *object, const char *name, struct slice text);
/* Markup that the caller vouches for: never escaped in HTML text. */
void page_set_html(struct page_value *object, const char *name, struct slice html);
/* The new, empty list or object. */
struct page_value *page_set_list(struct page_value *object, const char *name);
struct page_value *page_set_object(struct page_value *object, const char *name);

/* Append to a list. */
struct page_value *page_list_add(struct page_value *list); /* an empty object */
struct page_value *page_list_add_list(struct page_value *list);
void page_list_add_null(struct page_value *list);
void page_list_add_bool(struct page_value *list, bool value);
void page_list_add_int(struct page_value *list, int64_t value);
void page_list_add_text(struct page_value *list, struct slice text);
void page_list_add_html(struct page_value *list, struct slice html);

/* The same as the above for names that are slices, and any kind of root: what code that converts
 * from another model uses. page_member is the member of that name, new or emptied; page_item a new
 * item. Both are null values; page_become gives them a type, and for text their bytes. */
struct page_value *page_root(struct arena *arena);
struct page_value *page_member(struct page_value *object, struct slice name);
struct page_value *page_item(struct page_value *list);
void page_become_bool(struct page_value *v, bool value);
void page_become_int(struct page_value *v, int64_t value);
void page_become_text(struct page_value *v, struct slice text);
void page_become_html(struct page_value *v, struct slice html);
void page_become_list(struct page_value *v, struct arena *arena);
void page_become_object(struct page_value *v, struct arena *arena);

/* The member of that name, or NULL (also when it is no object). */
const struct page_value *page_get(const struct page_value *object, struct slice name);
/* Whether a section of it is shown: everything but null, false, 0, "" and the empty list. */
bool page_is_true(const struct page_value *v);

API_END

#endif
