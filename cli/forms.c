/* Whether forms that post carry the token that form_open asks for. Without it each of them is refused with 403, and
 * that is hard to find for somebody who has not read why. */
#include "forms.h"

#include <string.h>
#include <strings.h>

#include "literals.h"

static size_t find(struct slice text, size_t from, const char *what)
{
	size_t len = strlen(what);
	for (; from + len <= text.len; from++)
		if (strncasecmp((const char *)text.ptr + from, what, len) == 0)
			return from;
	return text.len;
}

static bool has(struct slice text, const char *what)
{
	return find(text, 0, what) < text.len;
}

/* method=post, with quotes or without. */
static bool posts(struct slice tag)
{
	size_t at = find(tag, 0, "method");
	for (at += strlen("method"); at < tag.len && strchr(" \t\n='\"", tag.ptr[at]); at++)
		;
	return find(tag, at, "post") == at && at < tag.len;
}

/* To this site, and with all of its fields in sight. */
static bool lacks_token(struct slice tag, struct slice form)
{
	return posts(tag) && !has(tag, "action=\"http") && !has(form, "csrf") && !has(form, "{{>") && !has(form, "{{<")
		&& !has(form, "{{$");
}

static void check_page(const struct source *s, bool opened, bool protected, struct report *r)
{
	for (size_t at = 0; opened && (at = find(s->text, at, "<form")) < s->text.len;) {
		size_t end = find(s->text, at, ">"), close = find(s->text, at, "</form");
		if (lacks_token(slice_sub(s->text, at, end - at), slice_sub(s->text, at, close - at)))
			report_warning(r, s, at, strlen("<form"), "a form that posts, without {{{csrf}}} in it: form_open "
				"will refuse it with 403 (see Forms in <ingot.h>)");
		at = end;
	}
	size_t token = find(s->text, 0, "{{{csrf}}}");
	if (!protected && token < s->text.len)
		report_warning(r, s, token, strlen("{{{csrf}}}"), "nothing sets csrf, and form_open will refuse the form with "
			"403: the handler that shows this page calls form_protect(req, data)");
}

void forms_check(const struct app_folder *app, struct report *r)
{
	bool opened = false, protected = false;
	for (size_t i = 0; i < app->sources.count; i++) {
		struct source s = source_read(app, app->sources.item[i]);
		opened |= literals_calls(&s, "form_open") || literals_calls(&s, "form_open_parts");
		protected |= literals_calls(&s, "form_protect");
	}
	for (size_t i = 0; i < app->pages.count; i++) {
		struct source s = source_read(app, format("pages/%s", app->pages.item[i]));
		check_page(&s, opened, protected, r);
	}
}
