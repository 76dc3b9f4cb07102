/* Error pages that the application brings. */
#include "support/world.h"

#include <stdio.h>
#include <string.h>

static struct app_error_page page[2];
static struct app_error_pages pages = {app_error_page_build, page, ARRAY_LEN(page)};

static struct client *start_with(const char *for_404, const char *for_others)
{
	struct world *w = world_new((struct world_options){.seed = 1});
	page[0] = (struct app_error_page){404, page_compiled(&w->pages, slice_from_cstr(for_404))};
	page[1] = (struct app_error_page){0, page_compiled(&w->pages, slice_from_cstr(for_others))};
	w->manifest.error_pages = &pages;
	return client_new(w);
}

static struct client *start(void)
{
	return start_with("oops404", "oops");
}

static void end(struct client *c)
{
	struct answer a = client_get(c, "/text");
	assert_int_equal(a.status, 200);
	world_end(c->w);
}

static void what_is_not_there_has_its_page(void **state)
{
	(void)state;
	struct client *c = start();
	struct answer a = client_get(c, "/no%3Cb%3E?x=1");
	assert_int_equal(a.status, 404);
	assert_text(a.body, "<!doctype html><p>/no&lt;b&gt; is not here</p>\n");
	assert_text(answer_field(&a, "Content-Type"), "text/html; charset=utf-8");
	assert_text(answer_field(&a, "Cache-Control"), "no-store");
	a = client_ask(c, "HEAD", "/no%3Cb%3E", "", "");
	assert_int_equal(a.status, 404);
	assert_text(answer_field(&a, "Content-Length"), "47");
	assert_int_equal(client_unread(c).len, 0);
	a = client_get(c, "/%ff");
	assert_text(a.body, "<!doctype html><p> is not here</p>\n"); /* that is no text */
	assert_int_equal(server_stats(c->w->server).errors, 0);
	end(c);
}

static void all_others_have_the_page_for_all(void **state)
{
	(void)state;
	struct client *c = start();
	struct answer a = client_ask(c, "POST", "/text", "", "");
	assert_int_equal(a.status, 405);
	assert_has(a.body, "<title>405 Method Not Allowed</title>");
	assert_text(answer_field(&a, "Allow"), "GET, HEAD, OPTIONS");
	a = client_get(c, "/error");
	assert_int_equal(a.status, 422);
	assert_has(a.body, "title=\"That &lt;script&gt; &amp; &quot;this&quot; will not do.\">/error</a>");
	a = client_get(c, "/none");
	assert_int_equal(a.status, 500);
	assert_has(a.body, "<title>500 Internal Server Error</title><a href=\"/none\"");
	a = client_get(c, "/stream/cut");
	assert_int_equal(a.status, 500);
	assert_has(a.body, "<title>500 ");
	assert_int_equal(server_stats(c->w->server).errors, 2);
	a = client_ask(c, "GET", "/site.css", "If-Match: \"other\"\r\n", "");
	assert_int_equal(a.status, 412);
	assert_has(a.body, "<title>412 ");
	end(c);
}

static void a_body_that_is_too_long_has_it_too(void **state)
{
	(void)state;
	struct client *c = start();
	struct world *w = c->w;
	client_text(c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
	struct answer a = client_answer(c);
	assert_int_equal(a.status, 413);
	assert_has(a.body, "<title>413 Content Too Large</title><a href=\"/echo\"");
	end(client_new(w));
}

/* What they say is not to be trusted, as far as it was understood at all. */
static void malformed_requests_have_the_plain_page(void **state)
{
	(void)state;
	struct client *c = start();
	struct world *w = c->w;
	static const char *const bad[] = {"GET / HTTP/1.1\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		c = client_new(w);
		client_text(c, bad[i]);
		struct answer a = client_answer(c);
		assert_int_equal(a.status, 400);
		assert_has(a.body, "<h1>400 Bad Request</h1>");
	}
	end(client_new(w));
}

static void clients_that_ask_for_json_get_it(void **state)
{
	(void)state;
	struct client *c = start();
	struct answer a = client_ask(c, "GET", "/no", "Accept: application/json\r\n", "");
	assert_int_equal(a.status, 404);
	assert_text(answer_field(&a, "Content-Type"), "application/problem+json");
	assert_text(a.body, "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404}\n");
	a = client_ask(c, "GET", "/error", "Accept: text/plain;q=0.1 , Application/Problem+JSON;q=1\r\n", "");
	assert_has(a.body, ",\"status\":422,\"detail\":\"That \\u003cscript\\u003e ");
	a = client_ask(c, "GET", "/no", "Accept: application/json, text/html;q=0.1\r\n", "");
	assert_has(a.body, "<!doctype html>");
	a = client_ask(c, "GET", "/no", "Accept: */*\r\n", "");
	assert_has(a.body, "<!doctype html>");
	a = client_ask(c, "HEAD", "/no", "Accept: application/json\r\n", "");
	assert_text(answer_field(&a, "Content-Length"), "56");
	end(c);
}

static void without_memory_the_plain_page_is_sent(void **state)
{
	(void)state;
	struct client *c = start();
	struct answer a = client_get(c, "/hog");
	assert_int_equal(a.status, 503);
	assert_has(a.body, "<h1>503 Service Unavailable</h1>");
	end(c);
}

static void a_page_that_cannot_be_shown_leads_to_no_other(void **state)
{
	(void)state;
	struct client *c = start_with("endless", "endless");
	struct answer a = client_get(c, "/no");
	assert_int_equal(a.status, 404);
	assert_has(a.body, "<h1>404 Not Found</h1>");
	assert_true(world_logged(c->w, "endless, for a 404"));
	a = client_get(c, "/error"); /* with its sentence */
	assert_int_equal(a.status, 422);
	assert_has(a.body, "will not do.</p>");
	end(c);
}

static void a_status_without_a_page_has_the_plain_one(void **state)
{
	(void)state;
	struct client *c = start();
	page[1].status = 500;
	struct answer a = client_get(c, "/error/bare");
	assert_int_equal(a.status, 418);
	assert_has(a.body, "<h1>Error</h1>");
	a = client_get(c, "/none");
	assert_has(a.body, "<title>500 ");
	end(c);
}

static void the_path_may_be_as_long_as_a_head_may(void **state)
{
	(void)state;
	struct client *c = start();
	char target[7000];
	memset(target, 'x', sizeof target);
	target[0] = '/';
	target[sizeof target - 1] = 0;
	struct answer a = client_get(c, target);
	assert_int_equal(a.status, 404);
	assert_has(a.body, "xxx is not here</p>");
	end(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_there_has_its_page),
		cmocka_unit_test(all_others_have_the_page_for_all),
		cmocka_unit_test(a_body_that_is_too_long_has_it_too),
		cmocka_unit_test(malformed_requests_have_the_plain_page),
		cmocka_unit_test(clients_that_ask_for_json_get_it),
		cmocka_unit_test(without_memory_the_plain_page_is_sent),
		cmocka_unit_test(a_page_that_cannot_be_shown_leads_to_no_other),
		cmocka_unit_test(a_status_without_a_page_has_the_plain_one),
		cmocka_unit_test(the_path_may_be_as_long_as_a_head_may),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
