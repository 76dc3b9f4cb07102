/* A library: a catalogue with paging, books and authors, full-text search, a feed of new books, and the same as JSON. */
#include <ingot.h>
#include "pages.h"
#include "queries.h"

enum {
	BOOKS_ON_A_PAGE = 20,
	BOOKS_IN_THE_FEED = 20,
	BOOKS_IN_AN_ANSWER_MAX = 1000,
	FOUND_MAX = 50,
	SEARCH_WORDS_MAX = 10,
	SEARCH_WORD_LEN_MAX = 60, /* bytes */
};

/* --- The catalogue ---------------------------------------------------------------------------- */

/* Where a page of it begins. */
struct place {
	int64_t year, id;
};

static struct place asked_place(struct request *req)
{
	return (struct place){request_query_int(req, "year", -9999, 9999, -9999), request_query_int(req, "id", 0, INT64_MAX, 0)};
}

static void show_catalogue(struct request *req)
{
	struct place from = asked_place(req);
	struct page_value *data = page_data(req);
	struct next_page_row next;
	book_count_into(req, data, "library");
	books_from_into(req, data, "entries", from.year, from.id, BOOKS_ON_A_PAGE);
	if (next_page(req, from.year, from.id, BOOKS_ON_A_PAGE, &next)) {
		struct page_value *link = page_set_object(data, "next");
		page_set_int(link, "year", next.year);
		page_set_int(link, "id", next.id);
	}
	reply_page(req, 200, PAGE(catalogue), data);
}

static void show_book(struct request *req)
{
	struct page_value *data = page_data(req);
	if (book_into(req, data, "entry", request_param(req, "slug")))
		reply_page(req, 200, PAGE(book), data);
	else
		reply_error(req, 404, NULL); /* pages/404.html */
}

static void show_author(struct request *req)
{
	struct slice slug = request_param(req, "slug");
	struct page_value *data = page_data(req);
	if (!author_into(req, data, "person", slug)) {
		reply_error(req, 404, NULL); /* pages/404.html */
		return;
	}
	books_of_into(req, data, "entries", slug);
	reply_page(req, 200, PAGE(author), data);
}

/* --- Search ----------------------------------------------------------------------------------- */

static bool is_between_words(uint8_t c)
{
	return c <= ' ' || c == '"' || c == 0x7f;
}

static struct slice next_word(struct slice *text)
{
	size_t from = 0;
	while (from < text->len && is_between_words(text->ptr[from]))
		from++;
	size_t to = from;
	while (to < text->len && !is_between_words(text->ptr[to]))
		to++;
	struct slice word = slice_sub(*text, from, to - from);
	*text = slice_sub(*text, to, text->len);
	return word;
}

/* What a visitor has typed, as FTS5 wants it. Each word stands in quotes, so none of it is an operator; a star finds
 * words that begin so. Empty when there is no word. */
static struct slice asked_words(struct request *req)
{
	struct slice typed = request_query(req, "q"), words = SLICE("");
	for (unsigned n = 0; n < SEARCH_WORDS_MAX; n++) {
		struct slice word = slice_sub(next_word(&typed), 0, SEARCH_WORD_LEN_MAX);
		if (word.len)
			words = arena_format(request_arena(req), "%.*s \"%.*s\"*", SLICE_ARG(words), SLICE_ARG(word));
	}
	return words;
}

static struct slice cut(struct slice *text, uint8_t mark)
{
	size_t at = slice_index(*text, mark);
	struct slice before = slice_sub(*text, 0, at);
	*text = slice_sub(*text, at + 1, text->len);
	return before;
}

/* A text with marks around what was found in it becomes a list of {plain, hit}, so that the page escapes all of it. */
static void add_marked(struct request *req, struct page_value *entry, const char *name, struct slice text)
{
	struct page_value *parts = page_set_list(entry, name);
	text = arena_copy(request_arena(req), text);
	while (text.len) {
		struct page_value *part = page_list_add(parts);
		page_set_text(part, "plain", cut(&text, 2));
		page_set_text(part, "hit", cut(&text, 3));
	}
}

static void add_found(struct request *req, struct page_value *list, struct slice words)
{
	struct found_books query = found_books(req, words, FOUND_MAX);
	struct found_books_row row;
	while (found_books_next(&query, &row)) {
		struct page_value *entry = page_list_add(list);
		page_set_text(entry, "slug", arena_copy(request_arena(req), row.slug));
		page_set_text(entry, "dated", arena_copy(request_arena(req), row.dated));
		add_marked(req, entry, "title", row.title);
		add_marked(req, entry, "original", row.original);
		add_marked(req, entry, "author", row.author);
		add_marked(req, entry, "passage", row.passage);
	}
}

static void show_search(struct request *req)
{
	struct slice words = asked_words(req);
	struct page_value *data = page_data(req), *found = page_set_list(data, "found");
	struct found_count_row count = {0};
	page_set_text(data, "q", request_query(req, "q"));
	page_set_bool(data, "asked", words.len > 0);
	if (words.len && found_count(req, words, &count))
		add_found(req, found, words);
	page_set_int(data, "count", count.books);
	page_set_bool(data, "more", count.books > FOUND_MAX);
	reply_page(req, 200, PAGE(search), data);
}

/* --- For programs ----------------------------------------------------------------------------- */

static void send_missing(struct request *req)
{
	struct json json;
	json_begin(&json, req, 404);
	json_object(&json, NULL);
	json_text(&json, "error", SLICE("there is no such book"));
	json_close(&json);
	json_end(&json);
}

/* GET /api/books?year=1800&id=7&count=20: where the list goes on stands in the answer and in a Link field. */
static void send_books(struct request *req)
{
	struct place from = asked_place(req);
	int64_t count = request_query_int(req, "count", 1, BOOKS_IN_AN_ANSWER_MAX, BOOKS_ON_A_PAGE);
	struct next_page_row next;
	struct json json;
	json_begin(&json, req, 200);
	json_object(&json, NULL);
	if (next_page(req, from.year, from.id, count, &next)) {
		struct slice link = arena_format(request_arena(req), "/api/books?year=%ld&id=%ld&count=%ld", (long)next.year,
			(long)next.id, (long)count);
		reply_header(req, "Link", arena_format(request_arena(req), "<%.*s>; rel=\"next\"", SLICE_ARG(link)));
		json_text(&json, "next", link);
	}
	books_from_json(&json, "books", from.year, from.id, count);
	json_close(&json);
	json_end(&json);
	reply_etag(req);
}

static void send_book(struct request *req)
{
	struct slice slug = request_param(req, "slug");
	struct book_row row;
	struct json json;
	if (!book(req, slug, &row)) {
		send_missing(req);
		return;
	}
	json_begin(&json, req, 200);
	book_json(&json, NULL, slug);
	json_end(&json);
	reply_etag(req);
}

static void send_found(struct request *req)
{
	struct slice words = asked_words(req);
	struct found_count_row count = {0};
	struct json json;
	json_begin(&json, req, 200);
	json_object(&json, NULL);
	if (words.len && found_count(req, words, &count))
		found_entries_json(&json, "books", words, FOUND_MAX);
	json_int(&json, "found", count.books);
	json_close(&json);
	json_end(&json);
	reply_etag(req);
}

/* Atom (RFC 4287), whose addresses are absolute. */
static void send_feed(struct request *req)
{
	struct page_value *data = page_data(req);
	struct last_added_row last;
	page_set_text(data, "site", arena_format(request_arena(req), "%s://%.*s", request_is_https(req) ? "https" : "http",
		SLICE_ARG(request_header(req, "Host"))));
	if (last_added(req, &last))
		page_set_text(data, "updated", last.at);
	newest_books_into(req, data, "entries", BOOKS_IN_THE_FEED);
	reply_page_as(req, 200, "application/atom+xml", PAGE(feed), data);
	reply_etag(req);
}

APP_ROUTES(GET("/", show_catalogue), GET("/book/{slug}", show_book), GET("/author/{slug}", show_author),
	GET("/search", show_search), GET("/feed.atom", send_feed), GET("/api/books", send_books),
	GET("/api/books/{slug}", send_book), GET("/api/search", send_found))
