/* Whether a page shows the columns that a query puts into it: a name in {{#list}} that is none of the
 * list's columns, that nobody sets in C, and that looks like one of the columns is a misspelt one,
 * and Mustache would show nothing for it. */
#include "shown.h"

#include <string.h>

#define NESTING_MAX 16

struct walk {
	const struct app_folder *app;
	const struct shown_lists *lists;
	struct report *report;
	const struct shown_list *open[NESTING_MAX]; /* lists whose section this is, NULL for other sections */
	unsigned depth, partials;
};

static bool contains(const struct strings *all, struct slice name)
{
	for (size_t i = 0; i < all->count; i++)
		if (slice_eq(slice_from_cstr(all->item[i]), name))
			return true;
	return false;
}

static const struct shown_list *list_find(const struct shown_lists *lists, struct slice name)
{
	for (size_t i = 0; i < lists->count; i++)
		if (slice_eq(slice_from_cstr(lists->item[i].name), name))
			return &lists->item[i];
	return NULL;
}

static void check_name(const struct walk *w, const struct source *s, struct slice name)
{
	const struct shown_list *innermost = NULL;
	for (unsigned i = 0; i < w->depth; i++) {
		if (!w->open[i])
			continue;
		if (contains(&w->open[i]->columns, name))
			return;
		innermost = w->open[i];
	}
	if (!innermost || !name.len || contains(&w->lists->words, name))
		return;
	struct guess g = guess_begin(name);
	for (size_t i = 0; i < innermost->columns.count; i++)
		guess_offer(&g, innermost->columns.item[i]);
	if (g.best)
		report_warning(w->report, s, (size_t)(name.ptr - s->text.ptr), name.len,
			"the rows of \"%s\" have no column \"%.*s\"%s", innermost->name, SLICE_ARG(name), guess_text(&g));
}

static void walk_file(struct walk *w, const char *name);

static void walk_partial(struct walk *w, struct slice name)
{
	static const char *const ends[] = {".html", ".mustache"};
	for (size_t i = 0; i < ARRAY_LEN(ends) && w->partials < NESTING_MAX; i++) {
		char *path = format("pages/%.*s%s", SLICE_ARG(name), ends[i]);
		if (!file_exists(format("%s/%s", w->app->dir, path)))
			continue;
		w->partials++;
		walk_file(w, path);
		w->partials--;
	}
}

/* What stands between {{ and }}. */
static void walk_tag(struct walk *w, const struct source *s, struct slice tag)
{
	uint8_t sign = tag.len ? tag.ptr[0] : 0;
	bool is_name = sign != '#' && sign != '^' && sign != '/' && sign != '>' && sign != '&' && sign != '{' && sign != '!';
	struct slice name = slice_trim(is_name ? tag : slice_sub(tag, 1, tag.len));
	if (sign == '!' || sign == '$' || sign == '<' || slice_index(name, '.') < name.len)
		return;
	if (sign == '/') {
		w->depth -= w->depth > 0;
		return;
	}
	if (sign == '>') {
		/* Only for the lists that it stands in. */
		if (w->depth)
			walk_partial(w, name);
		return;
	}
	if (sign != '#' && sign != '^') {
		check_name(w, s, name);
		return;
	}
	const struct shown_list *list = sign == '#' ? list_find(w->lists, name) : NULL;
	if (!list)
		check_name(w, s, name);
	if (w->depth < NESTING_MAX)
		w->open[w->depth++] = list;
}

static void walk_file(struct walk *w, const char *name)
{
	struct source *s = must_alloc(sizeof *s);
	unsigned depth = w->depth;
	*s = source_read(w->app, name);
	for (size_t i = 0; i + 3 < s->text.len; i++) {
		if (s->text.ptr[i] != '{' || s->text.ptr[i + 1] != '{')
			continue;
		size_t end = i + 2;
		while (end + 1 < s->text.len && !(s->text.ptr[end] == '}' && s->text.ptr[end + 1] == '}'))
			end++;
		struct slice tag = slice_trim(slice_sub(s->text, i + 2, end - i - 2));
		if (tag.len && tag.ptr[0] == '=')
			break; /* other delimiters from here on: not worth the trouble */
		walk_tag(w, s, tag);
		i = end + 1;
	}
	w->depth = depth;
}

void shown_check(const struct app_folder *app, const struct shown_lists *lists, struct report *r)
{
	for (size_t i = 0; i < app->pages.count; i++) {
		struct walk w = {.app = app, .lists = lists, .report = r};
		walk_file(&w, format("pages/%s", app->pages.item[i]));
	}
}
