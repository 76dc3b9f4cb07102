/* A guestbook: a list with paging, and a form to sign it. */
#include <ingot.h>
#include "pages.h"
#include "queries.h"

enum {
	ENTRIES_ON_A_PAGE = 10,
	NAME_LENGTH_MAX = 60,
	MESSAGE_LENGTH_MAX = 1000,
};

/* Fills in the entries older than number `before`, and where the page goes on. */
static void add_entries(struct request *req, struct page_value *data, int64_t before)
{
	struct last_of_page_row last;
	size_t shown = older_entries_into(req, data, "entries", before, ENTRIES_ON_A_PAGE);
	if (last_of_page(req, before, ENTRIES_ON_A_PAGE, &last))
		page_set_int(data, "older", last.id);
	page_set_bool(data, "newer", before != INT64_MAX);
	page_set_bool(data, "empty", shown == 0);
}

static void show_page(struct request *req, int status, int64_t before, struct page_value *data)
{
	form_protect(req, data);
	add_entries(req, data, before);
	reply_page(req, status, PAGE(guestbook), data);
}

static void show_entries(struct request *req)
{
	int64_t before = request_query_int(req, "before", 1, INT64_MAX, INT64_MAX);
	show_page(req, 200, before, page_data(req));
}

/* What is wrong with an entry, in words for its writer; NULL when nothing is. */
static const char *entry_problem(struct slice name, struct slice message)
{
	if (name.len == 0)
		return "Please tell us your name.";
	if (text_length(name) > NAME_LENGTH_MAX)
		return "That name is too long: 60 characters at most, please.";
	if (message.len == 0)
		return "Please write a few words.";
	if (text_length(message) > MESSAGE_LENGTH_MAX)
		return "That message is too long: 1,000 characters at most, please.";
	return NULL;
}

static void sign(struct request *req)
{
	if (!form_open(req))
		return;
	struct slice name = form_text(req, "name");
	struct slice message = form_text(req, "message");
	const char *problem = entry_problem(name, message);
	if (problem) {
		struct page_value *data = page_data(req);
		page_set_text(data, "problem", slice_from_cstr(problem));
		page_set_text(data, "name", name);
		page_set_text(data, "message", message);
		show_page(req, 422, INT64_MAX, data);
		return;
	}
	add_entry(req, name, message, request_time(req));
	reply_redirect(req, "/");
}

APP_ROUTES(GET("/", show_entries), POST("/sign", sign))
