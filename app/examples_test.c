/* The examples that stand in <ingot.h>, as an application: support/examples.awk takes them out of the header's comments,
 * so what a person copies from there compiles, and answers what is said here. */
#include "support/world.h"

#include <stdio.h>
#include <string.h>
#include <base/cursor.h>

#undef PAGE
#define PAGE(name) page_compiled(&world_of(req)->pages, SLICE(#name))

/* As the build makes it from static/style.css. */
static const char *asset_path(const char *name)
{
	return strcmp(name, "style.css") == 0 ? "/style.0123456789ab.css" : "";
}

#include "examples.inc"

static const struct sql_migration migrations[] = {{1, "books",
	"CREATE TABLE book (id INTEGER PRIMARY KEY, title TEXT NOT NULL UNIQUE, price REAL NOT NULL, cover BLOB) STRICT;"
	"CREATE TABLE piece (id INTEGER PRIMARY KEY, file TEXT, bytes BLOB) STRICT;"}};
static const struct app_database database = {migrations, ARRAY_LEN(migrations), &app_database_sqlite};

static const char *const pages[][2] = {
	{"home", "<!doctype html><h1>{{greeting}}</h1>\n"},
	{"sign", "<!doctype html><form method=\"post\">{{{csrf}}}<input name=\"name\"></form>\n"},
	{"card", "<p>{{number}}</p>\n"},
	{"books", "<!doctype html>{{count}}:{{#books}} {{id}} {{title}} {{price}};{{/books}}\n"},
};
static const struct world_site site = {app_routes, &app_route_count, &database, pages, ARRAY_LEN(pages)};

static struct client *start(void)
{
	return client_new(world_new((struct world_options){
		.seed = 1, .database = true, .site = &site, .access_log = app_access_log}));
}

static void add_books(struct client *c)
{
	assert_text(client_ask(c, "POST", "/books?title=Emma", "", "").body, "book 1\n");
	assert_text(client_ask(c, "POST", "/books?title=Ulysses", "", "").body, "book 2\n");
}

static void a_page_and_what_is_known_of_a_request(void **state)
{
	(void)state;
	struct client *c = start();
	assert_has(client_get(c, "/").body, "<h1>Hello</h1>");
	struct answer a = client_ask(c, "GET", "/book/7?copies=2&coupon=x%20y",
		"Accept-Language: fr\r\nCookie: a=b; theme=\"dark\"\r\n", "");
	assert_has(a.body, "/book/7: 2 of 7; x y; fr; dark; year ");
	assert_text(client_ask(c, "POST", "/echo", "", "as it is").body, "as it is");
	assert_int_equal(client_get(c, "/healthz").status, 200);
	assert_int_equal(client_get(c, "/readyz").status, 200);
	assert_has(client_get(c, "/metrics").body, "/book/{id}\"");
	assert_true(world_logged(c->w, "GET /book/7?copies=2"));
	world_end(c->w);
}

static void bodies_and_forms(void **state)
{
	(void)state;
	struct client *c = start();
	char fields[300], body[600];
	assert_text(client_ask(c, "PUT", "/file/paper", "", "%PDF and so on").body, "stored a PDF\n");
	assert_text(client_ask(c, "PUT", "/file/text", "", "and so on").body, "stored\n");
	struct answer a = client_get(c, "/sign");
	char token[33] = {0};
	memcpy(token, answer_field(&a, "Set-Cookie").ptr + 5, 32);
	snprintf(fields, sizeof fields, "Cookie: csrf=%s\r\nContent-Type: application/x-www-form-urlencoded\r\n", token);
	snprintf(body, sizeof body, "csrf=%s&name=Ada&copies=2", token);
	a = client_ask(c, "POST", "/sign", fields, body);
	assert_int_equal(a.status, 303);
	snprintf(body, sizeof body, "csrf=%s&name=Ada&copies=two", token);
	assert_int_equal(client_ask(c, "POST", "/sign", fields, body).status, 422);
	assert_int_equal(client_ask(c, "POST", "/sign", "", "name=Ada").status, 415);
	snprintf(fields, sizeof fields, "Cookie: csrf=%s\r\nContent-Type: multipart/form-data; boundary=b\r\n", token);
	snprintf(body, sizeof body, "--b\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n%s\r\n"
		"--b\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nA file\r\n"
		"--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n12345\r\n--b--\r\n", token);
	a = client_ask(c, "POST", "/upload", fields, body);
	assert_int_equal(a.status, 303);
	assert_true(world_logged(c->w, "an upload: A file, 5 bytes"));
	world_end(c->w);
}

static void answers_and_cookies(void **state)
{
	(void)state;
	struct client *c = start();
	struct answer a = client_get(c, "/cover");
	assert_text(answer_field(&a, "Content-Type"), "image/gif");
	assert_text(answer_field(&a, "Link"), "/style.0123456789ab.css");
	assert_int_equal(a.body.len, 14);
	assert_int_equal(client_get(c, "/cover?id=2").status, 404);
	assert_text(client_get(c, "/theme").body, "light");
	a = client_ask(c, "POST", "/theme/dark", "", "");
	assert_text(answer_field(&a, "Set-Cookie"), "theme=dark; Path=/; Max-Age=31536000; SameSite=Lax");
	assert_text(client_ask(c, "GET", "/theme", "Cookie: theme=dark\r\n", "").body, "dark");
	a = client_ask(c, "DELETE", "/theme", "", "");
	assert_text(answer_field(&a, "Set-Cookie"), "theme=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
	world_end(c->w);
}

static bool is_told(void *client)
{
	return slice_has(client_unread(client), "data: Dubliners\n\n");
}

static void answers_piece_by_piece(void **state)
{
	(void)state;
	struct client *c = start();
	struct world *w = c->w;
	add_books(c);
	assert_text(client_get(c, "/books.csv").body, "1,Emma\n2,Ulysses\n");
	assert_int_equal(client_get(c, "/zeros").body.len, 100000);
	assert_has(client_get(c, "/cards?n=2").body, "<p>1</p>\n<p>2</p>\n");
	struct client *cut = client_new(w), *listener = client_new(w);
	client_text(cut, "GET /cards?n=600 HTTP/1.1\r\nHost: a\r\n\r\n");
	world_until(w, client_is_closed, cut);
	assert_false(slice_has(client_unread(cut), "\r\n0\r\n\r\n"));
	client_text(listener, "GET /news HTTP/1.1\r\nHost: a\r\nLast-Event-ID: 1\r\n\r\n");
	world_pass(w, SECOND);
	assert_has(client_unread(listener), "id: 2\ndata: Ulysses\n\n");
	assert_false(slice_has(client_unread(listener), "Emma"));
	client_ask(c, "POST", "/books?title=Dubliners", "", "");
	world_until(w, is_told, listener);
	struct client *clock = client_new(w);
	client_text(clock, "GET /clock HTTP/1.1\r\nHost: a\r\n\r\n");
	world_pass(w, 2 * SECOND);
	assert_has(client_unread(clock), "event: time\ndata: ");
	world_end(w);
}

static void rows_and_changes(void **state)
{
	(void)state;
	struct client *c = start();
	assert_int_equal(client_get(c, "/columns").status, 404);
	add_books(c);
	assert_int_equal(client_ask(c, "POST", "/books?title=Emma", "", "").status, 409);
	assert_text(client_get(c, "/books").body, "<!doctype html>2: 1 Emma 9.5; 2 Ulysses 9.5;\n");
	assert_text(client_get(c, "/columns").body, "3 columns, title: Emma, 950 cents, 0 bytes (none)\n");
	assert_int_equal(client_ask(c, "PATCH", "/book/2?cents=400", "", "").status, 303);
	assert_int_equal(client_ask(c, "PATCH", "/book/3?cents=400", "", "").status, 404);
	assert_text(client_get(c, "/report").body, "1 of 2\n");
	assert_int_equal(client_ask(c, "POST", "/order", "", "").status, 303);
	assert_true(world_logged(c->w, "the dearer books are safe"));
	assert_has(client_get(c, "/books").body, "1 Emma 10.5; 2 Ulysses 5.0;");
	assert_int_equal(client_ask(c, "POST", "/swap", "", "").status, 303);
	assert_has(client_get(c, "/books").body, "1 Emma 5.0; 2 Ulysses 10.5;");
	assert_int_equal(client_ask(c, "POST", "/swap?wait=1", "", "").status, 303);
	assert_has(client_get(c, "/books").body, "1 Emma 10.5; 2 Ulysses 5.0;");
	assert_int_equal(client_ask(c, "POST", "/draft", "", "").status, 303);
	assert_has(client_get(c, "/books").body, "3 A draft 2.0; 1 Emma 10.5; 2 Ulysses 5.0;");
	assert_text(client_ask(c, "POST", "/scan/2", "", "").body, "scan");
	assert_int_equal(client_ask(c, "POST", "/scan/9", "", "").status, 404);
	world_end(c->w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_and_what_is_known_of_a_request),
		cmocka_unit_test(bodies_and_forms),
		cmocka_unit_test(answers_and_cookies),
		cmocka_unit_test(answers_piece_by_piece),
		cmocka_unit_test(rows_and_changes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
