/* Calls each form of query, and says in plain text what came back. */
#include <ingot.h>
#include "pages.h"
#include "queries.h"

static void page_line(struct page_value *list, const char *what, struct slice text)
{
	struct page_value *line = page_list_add(list);
	page_set_text(line, "what", slice_from_cstr(what));
	page_set_text(line, "text", text);
}

static void page_number(struct page_value *list, const char *what, int64_t n)
{
	struct page_value *line = page_list_add(list);
	page_set_text(line, "what", slice_from_cstr(what));
	page_set_int(line, "text", n);
}

static void fill(struct request *req)
{
	int64_t born = 1775;
	struct slice note = SLICE("with a note"), cover = SLICE("\0\1\2");
	struct page_value *data = page_data(req), *lines = page_set_list(data, "lines");
	int64_t jane = add_author(req, SLICE("Jane"), &born), anon = add_author(req, SLICE("Anon"), NULL);
	page_number(lines, "jane", jane);
	page_number(lines, "anon", anon);
	page_number(lines, "emma", add_book(req, jane, SLICE("Emma"), 9.5, &cover, &note));
	page_number(lines, "persuasion", add_book(req, jane, SLICE("Persuasion"), 4.25, NULL, NULL));
	page_number(lines, "renamed to a name that is taken", rename_author_try(req, SLICE("Jane"), anon));
	page_number(lines, "renamed", rename_author_try(req, SLICE("Anonymous"), anon));
	page_number(lines, "raised", raise_prices(req, 2, 5));
	reply_page(req, 200, PAGE(lines), data);
}

static void show(struct request *req)
{
	struct page_value *data = page_data(req), *lines = page_set_list(data, "lines");
	struct book_row row;
	struct authors q = authors(req);
	struct authors_row a;
	while (authors_next(&q, &a)) {
		page_line(lines, "author", arena_copy(request_arena(req), a.name));
		page_number(lines, a.has_born ? "born" : "born, unknown", a.born);
		page_number(lines, "books", a.books);
		page_number(lines, a.has_dearest ? "dearest" : "dearest, none", (int64_t)(a.dearest * 100));
	}
	if (book(req, 1, &row)) {
		page_line(lines, "title", row.title);
		page_line(lines, "by", row.name);
		page_line(lines, row.has_note ? "note" : "no note", row.note);
		page_number(lines, row.has_cover ? "cover" : "no cover", (int64_t)row.cover.len);
		page_number(lines, "cents", (int64_t)(row.price * 100));
	}
	if (book(req, 2, &row)) {
		page_line(lines, row.has_note ? "note" : "no note", row.note);
		page_number(lines, row.has_cover ? "cover" : "no cover", (int64_t)row.cover.len);
	}
	page_number(lines, "a third one", book(req, 3, &row));
	struct cheap_books stopped = cheap_books(req, 100);
	struct cheap_books_row cheap;
	page_number(lines, "a first cheap one", cheap_books_next(&stopped, &cheap));
	cheap_books_end(&stopped);
	page_number(lines, "after the end", cheap_books_next(&stopped, &cheap));
	reply_page(req, 200, PAGE(lines), data);
}

static void cheap(struct request *req)
{
	struct page_value *data = page_data(req);
	page_set_bool(data, "empty", cheap_books_into(req, data, "books", 9) == 0);
	reply_page(req, 200, PAGE(cheap), data);
}

static void removed(struct request *req)
{
	struct remove_book_row row;
	if (remove_book(req, 2, &row))
		reply_text(req, 200, row.title);
	else
		reply_error(req, 404, NULL);
}

APP_ROUTES(GET("/fill", fill), GET("/show", show), GET("/cheap", cheap), GET("/remove", removed))
