/* What an application should not do: each is said in the log, with its route, and its client gets a 500. */
#include "support/world.h"

#include <http/cookie.h>
#include <stdio.h>
#include <string.h>

static void second_answer(struct request *req)
{
	reply_text(req, 200, SLICE("first"));
	reply_redirect(req, "/elsewhere");
}

static void status_1000(struct request *req)
{
	reply_page(req, 1000, page_compiled(&world_of(req)->pages, SLICE("show")), page_data(req));
}

static void error_200(struct request *req)
{
	reply_error(req, 200, "all is well");
}

static void header_split(struct request *req)
{
	reply_header(req, "X-Name", SLICE("a\r\nSet-Cookie: b"));
	reply_text(req, 200, SLICE("never sent"));
}

static void header_name(struct request *req)
{
	reply_header(req, "X Name:", SLICE("a"));
	reply_text(req, 200, SLICE("never sent"));
}

static void header_ours(struct request *req)
{
	reply_text(req, 200, SLICE("never sent"));
	reply_header(req, "Content-Length", SLICE("3"));
}

static void header_null(struct request *req)
{
	reply_header(req, NULL, SLICE("a"));
	reply_text(req, 200, SLICE("never sent"));
}

static void redirect_null(struct request *req)
{
	reply_redirect(req, NULL);
}

static void no_answer(struct request *req)
{
	(void)req;
}

static void param_unknown(struct request *req)
{
	reply_text(req, 200, request_param(req, "idd"));
}

/* GET /pages and GET /pages/{n...}. */
static void param_of_another_route(struct request *req)
{
	reply_text(req, 200, arena_format(request_arena(req), "[%.*s]", SLICE_ARG(request_param(req, "n"))));
}

static void names_null(struct request *req)
{
	static struct slice (*const call[])(struct request *, const char *) = {
		request_param, request_query, request_header, request_cookie, form_text};
	reply_text(req, 200, call[request_query_int(req, "call", 0, 4, 0)](req, NULL));
}

static void range_reversed(struct request *req)
{
	reply_text(req, 200, request_query_int(req, "n", 10, 1, 5) ? SLICE("5") : SLICE("0"));
}

static void body_of_stream(struct request *req)
{
	reply_bytes(req, 200, NULL, request_body(req));
}

static void form_of_stream(struct request *req)
{
	if (form_open(req))
		reply_text(req, 200, SLICE("never sent"));
}

static void text_before_form(struct request *req)
{
	reply_text(req, 200, form_text(req, "name"));
}

static void text_of_parts(struct request *req)
{
	struct form_part part;
	while (part_next(req, &part))
		;
	reply_text(req, 200, form_text(req, "name"));
}

static void part_before_next(struct request *req)
{
	uint8_t byte;
	reply_text(req, part_read(req, &byte, 1) ? 200 : 201, SLICE("never sent"));
}

static void part_text_long(struct request *req)
{
	struct form_part part;
	if (part_next(req, &part))
		reply_text(req, 200, part_text(req, 8001));
}

static void read_after_begin(struct request *req)
{
	uint8_t piece[10];
	reply_begin(req, 200, "text/plain");
	reply_write(req, slice_of(piece, request_read(req, piece, sizeof piece)));
}

static void write_without_begin(struct request *req)
{
	reply_write(req, SLICE("into the blue"));
}

static void flush_without_begin(struct request *req)
{
	reply_flush(req);
}

static void cut_without_begin(struct request *req)
{
	reply_cut(req);
}

static void send_without_begin(struct request *req)
{
	event_send(req, &(struct app_event){.data = SLICE("x")});
}

static void wait_without_begin(struct request *req)
{
	event_wait(req, 10);
}

static void change_without_begin(struct request *req)
{
	event_wait_change(req);
}

static void begin_after_reply(struct request *req)
{
	reply_text(req, 200, SLICE("first"));
	reply_begin(req, 200, "text/plain");
}

static void header_after_body(struct request *req)
{
	reply_begin(req, 200, "text/plain");
	reply_write(req, SLICE("body"));
	if (request_query(req, "flush").len)
		reply_flush(req);
	reply_header(req, "X-Late", SLICE("never sent"));
}

static void longer_than_said(struct request *req)
{
	reply_begin_length(req, 200, "text/plain", 3);
	reply_write(req, SLICE("four"));
}

static void shorter_than_said(struct request *req)
{
	reply_begin_length(req, 200, "text/plain", 5);
	reply_write(req, SLICE("four"));
}

static void format_long(struct request *req)
{
	reply_begin(req, 200, "text/plain");
	char text[1100] = "";
	memset(text, 'x', sizeof text - 1);
	reply_writef(req, "%s", text);
}

static void format_unknown(struct request *req)
{
	reply_begin(req, 200, "text/plain");
	reply_writef(req, "%5d", 1);
}

static void log_format_unknown(struct request *req)
{
	app_log(req, "a third is %.2f", 1.0 / 3);
	reply_text(req, 200, SLICE("sent all the same"));
}

static void event_type(struct request *req)
{
	event_begin(req);
	event_send(req, &(struct app_event){.type = "a\nb", .data = SLICE("x")});
}

static void event_id(struct request *req)
{
	event_begin(req);
	event_send(req, &(struct app_event){.id = -1, .data = SLICE("x")});
}

static const struct cookie_set {
	const char *name, *value;
	struct cookie_options options;
	const char *said;
} cookies[] = {
	{"a b", "x", {0}, "\"a b\" has a name that"},
	{"", "x", {0}, "\"\" has a name that is empty"},
	{"a", "x;y", {0}, "a semicolon"},
	{"a", "x\r\nY: z", {0}, "not visible ASCII"},
	{"a", "x", {.path = "here"}, "a path that does not begin with a slash"},
	{"a", "x", {.path = "/;b"}, "a path that"},
	{"a", "x", {.domain = "a b"}, "a domain that is none"},
	{"a", "x", {.same_site = COOKIE_ANY_SITE}, "takes one that is secure"},
	{"__Host-a", "x", {0}, "kept for cookies which are secure"},
	{"__Host-a", "x", {.secure = true, .path = "/x"}, "without a domain and with the path /"},
	{"__secure-a", "x", {0}, "kept for cookies which are secure"},
	{"a", "x", {.max_age_s = -1}, "a time below 0"},
	{NULL, "x", {0}, "reply_cookie without a name"},
};

static void cookie_wrong(struct request *req)
{
	const struct cookie_set *set = &cookies[request_query_int(req, "n", 0, ARRAY_LEN(cookies) - 1, 0)];
	reply_cookie(req, set->name, slice_from_cstr(set->value), &set->options);
	reply_text(req, 200, SLICE("never sent"));
}

static void cookie_long(struct request *req)
{
	static uint8_t letters[HTTP_COOKIE_MAX];
	memset(letters, 'x', sizeof letters);
	reply_cookie(req, "a", slice_of(letters, sizeof letters), NULL);
	reply_text(req, 200, SLICE("never sent"));
}

static void cookies_right(struct request *req)
{
	reply_cookie(req, "a", SLICE("1"), NULL);
	reply_cookie(req, "__Host-b", SLICE("2"), &(struct cookie_options){.secure = true, .same_site = COOKIE_STRICT});
	reply_text(req, 200, SLICE("set"));
	reply_cookie(req, "c", SLICE(""), &(struct cookie_options){.path = "/c", .domain = "example.org",
		.expires_s = 784111777, .secure = true, .for_scripts = true, .same_site = COOKIE_ANY_SITE});
	reply_cookie_delete(req, "d", &(struct cookie_options){.path = "/d"});
}

static void no_database(struct request *req)
{
	db_run(req, "DELETE FROM entry");
	reply_text(req, 200, SLICE("never sent"));
}

static void sql_misuse(struct request *req)
{
	switch (request_query_int(req, "n", 0, 5, 0)) {
	case 0: db_run(req, NULL); break;
	case 1: db_next(db_query(req, NULL)); break;
	case 2: db_rows_into(req, page_data(req), NULL, "SELECT 1"); break;
	case 3: db_transaction(req, NULL, NULL); break;
	case 4: db_blob_open(req, "entry", NULL, 1); break;
	default: {
		struct db_rows *rows = db_query(req, "SELECT 1");
		db_next(rows);
		db_int(rows, 1);
	}
	}
	reply_text(req, 200, SLICE("never sent"));
}

static void form_ignored(struct request *req)
{
	if (!form_open(req))
		world_of(req)->calls++;
	db_run(req, "INSERT INTO entry (name) VALUES ('of another site')");
	reply_text(req, 200, SLICE("never sent"));
}

static void count(struct request *req)
{
	struct db_rows *rows = db_query(req, "SELECT count(*) FROM entry");
	reply_text(req, 200, db_next(rows) && db_int(rows, 0) ? SLICE("some") : SLICE("none"));
}

static const struct app_route routes[] = {
	GET("/second-answer", second_answer), GET("/status-1000", status_1000), GET("/error-200", error_200),
	GET("/header-split", header_split), GET("/header-name", header_name), GET("/header-ours", header_ours),
	GET("/header-null", header_null), GET("/redirect-null", redirect_null), GET("/no-answer", no_answer),
	GET("/param/{id}", param_unknown), GET("/pages", param_of_another_route), GET("/pages/{n...}", param_of_another_route),
	GET("/names-null", names_null), GET("/range", range_reversed),
	PUT("/body-of-stream", body_of_stream, BODY_STREAMED(1000)),
	POST("/form-of-stream", form_of_stream, BODY_STREAMED(1000)), POST("/text-before-form", text_before_form),
	POST("/text-of-parts", text_of_parts), POST("/part-before-next", part_before_next), POST("/part-long", part_text_long),
	PUT("/read-after-begin", read_after_begin, BODY_STREAMED(1000)),
	GET("/write-without-begin", write_without_begin), GET("/flush-without-begin", flush_without_begin),
	GET("/cut-without-begin", cut_without_begin), GET("/send-without-begin", send_without_begin),
	GET("/wait-without-begin", wait_without_begin), GET("/change-without-begin", change_without_begin),
	GET("/begin-after-reply", begin_after_reply), GET("/header-after-body", header_after_body),
	GET("/longer", longer_than_said), GET("/shorter", shorter_than_said), GET("/format", format_long),
	GET("/format-unknown", format_unknown), GET("/log-format", log_format_unknown),
	GET("/event-type", event_type), GET("/event-id", event_id), GET("/cookie", cookie_wrong),
	GET("/cookie-long", cookie_long), GET("/cookies", cookies_right), GET("/no-database", no_database),
	GET("/sql", sql_misuse), POST("/form-ignored", form_ignored), GET("/count", count),
};
static const size_t route_count = ARRAY_LEN(routes);
static const struct app_database database = {
	(const struct sql_migration[]){{1, "entry", "CREATE TABLE entry (id INTEGER PRIMARY KEY, name TEXT) STRICT;"}}, 1,
	&app_database_sqlite};
static const struct world_site site = {routes, &route_count, &database, NULL, 0};

static struct client *start(bool with_database)
{
	return client_new(world_new((struct world_options){.seed = 1, .site = &site, .database = with_database}));
}

/* Of the log, what has come since the last look. */
static void expect_logged(struct world *w, const char *text)
{
	if (!world_logged(w, text))
		fail_msg("the log has no \"%s\", but: %.*s", text, (int)w->lines_len, w->lines);
	w->lines_len = 0;
}

static const struct {
	const char *method, *target, *body, *said;
} misuses[] = {
	{"GET", "/second-answer", "", "GET /second-answer: a second answer (303) after one with 200"},
	{"GET", "/status-1000", "", "GET /status-1000: 1000 is not a status for this answer, which takes 200 to 599"},
	{"GET", "/error-200", "", "200 is not a status for this answer, which takes 400 to 599"},
	{"GET", "/header-split", "", "GET /header-split: the header field \"X-Name\" is malformed"},
	{"GET", "/header-name", "", "the header field \"X Name:\" is malformed"},
	{"GET", "/header-ours", "", "the header field \"Content-Length\" is malformed, one that Ingot writes itself"},
	{"GET", "/header-null", "", "reply_header without a name"},
	{"GET", "/redirect-null", "", "reply_redirect without a name"},
	{"GET", "/no-answer", "", "GET /no-answer: the handler gave no answer"},
	{"GET", "/param/7", "", "GET /param/{id}: request_param of \"idd\", which its pattern does not have"},
	{"GET", "/names-null?call=0", "", "request_param without a name"},
	{"GET", "/names-null?call=1", "", "request_query without a name"},
	{"GET", "/names-null?call=2", "", "request_header without a name"},
	{"GET", "/names-null?call=3", "", "request_cookie without a name"},
	{"GET", "/names-null?call=4", "", "form_text without a name"},
	{"GET", "/range?n=5", "", "a number between 10 and 1 is asked for"},
	{"PUT", "/body-of-stream", "some", "request_body in a route that is BODY_STREAMED"},
	{"POST", "/form-of-stream", "some", "form_open in a route that is BODY_STREAMED"},
	{"POST", "/text-before-form", "name=x", "form_text before form_open"},
	{"POST", "/text-of-parts", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--b--\r\n",
		"form_text of a form that comes in parts"},
	{"POST", "/part-before-next", "some", "part_read before part_next"},
	{"POST", "/part-long", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--b--\r\n",
		"part_text of more than 8000 bytes"},
	{"PUT", "/read-after-begin", "some", "request_read after reply_begin"},
	{"GET", "/write-without-begin", "", "reply_write without reply_begin"},
	{"GET", "/flush-without-begin", "", "reply_flush without reply_begin"},
	{"GET", "/cut-without-begin", "", "reply_cut without reply_begin"},
	{"GET", "/send-without-begin", "", "event_send without reply_begin"},
	{"GET", "/wait-without-begin", "", "event_wait without reply_begin"},
	{"GET", "/change-without-begin", "", "event_wait_change without reply_begin"},
	{"GET", "/begin-after-reply", "", "a second answer (200) after one with 200"},
	{"GET", "/header-after-body", "", "reply_header of X-Late after the body has begun"},
	{"GET", "/longer", "", "the answer is longer than reply_begin_length said (3 bytes)"},
	{"GET", "/shorter", "", "the answer has 4 bytes, and reply_begin_length said 5"},
	{"GET", "/format", "", "reply_writef of more than 1024 bytes"},
	{"GET", "/format-unknown", "", "or with a format that there is not: %5d"},
	{"GET", "/cookie-long", "", "is longer than the 4096 bytes"},
	{"GET", "/no-database", "", "this application has no database"},
};

static void each_is_a_500_and_a_line_in_the_log(void **state)
{
	(void)state;
	struct client *c = start(false);
	struct world *w = c->w;
	for (size_t i = 0; i < ARRAY_LEN(misuses); i++) {
		c = client_new(w); /* some close their connection */
		struct answer a = client_ask(c, misuses[i].method, misuses[i].target,
			"Content-Type: multipart/form-data; boundary=b\r\n", misuses[i].body);
		if (a.status != 500)
			fail_msg("%s is answered with %d", misuses[i].target, a.status);
		expect_logged(w, misuses[i].said);
		client_free(c);
	}
	world_end(w);
}

/* Then the client must not take it for the whole. */
static void after_the_head_the_connection_is_cut(void **state)
{
	(void)state;
	static const char *const cut[][2] = {
		{"/header-after-body?flush=1", "reply_header of X-Late after the body has begun"},
		{"/event-type", "event_send of a type with a line end"}, {"/event-id", "event_send of an id below 0"}};
	struct world *w = start(false)->w;
	for (size_t i = 0; i < ARRAY_LEN(cut); i++) {
		struct client *c = client_new(w);
		char text[200];
		snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", cut[i][0]);
		client_text(c, text);
		world_until(w, client_is_closed, c);
		assert_has(client_unread(c), "HTTP/1.1 200 OK\r\n");
		assert_false(slice_has(client_unread(c), "\r\n0\r\n\r\n"));
		expect_logged(w, cut[i][1]);
	}
	world_end(w);
}

static void a_cookie_that_a_browser_would_refuse_is_not_sent(void **state)
{
	(void)state;
	struct client *c = start(false);
	char target[40];
	for (size_t i = 0; i < ARRAY_LEN(cookies); i++) {
		snprintf(target, sizeof target, "/cookie?n=%u", (unsigned)i);
		struct answer a = client_get(c, target);
		assert_int_equal(a.status, 500);
		assert_int_equal(answer_field(&a, "Set-Cookie").len, 0);
		expect_logged(c->w, cookies[i].said);
	}
	world_end(c->w);
}

static void cookies_are_set_with_what_was_asked_for(void **state)
{
	(void)state;
	struct client *c = start(false);
	struct answer a = client_get(c, "/cookies");
	assert_int_equal(a.status, 200);
	assert_has(a.head, "Set-Cookie: a=1; Path=/; HttpOnly; SameSite=Lax\r\n");
	assert_has(a.head, "Set-Cookie: __Host-b=2; Path=/; Secure; HttpOnly; SameSite=Strict\r\n");
	assert_has(a.head, "Set-Cookie: c=; Path=/c; Domain=example.org; Expires=Sun, 06 Nov 1994 08:49:37 GMT; Secure; "
			   "SameSite=None\r\n");
	assert_has(a.head, "Set-Cookie: d=; Path=/d; Max-Age=0; HttpOnly; SameSite=Lax\r\n");
	world_end(c->w);
}

static void a_parameter_of_another_route_of_the_handler_is_empty(void **state)
{
	(void)state;
	struct client *c = start(false);
	assert_text(client_get(c, "/pages").body, "[]");
	assert_text(client_get(c, "/pages/2/3").body, "[2/3]");
	assert_text(client_get(c, "/pages/").body, "[]");
	world_end(c->w);
}

static void a_line_of_the_log_that_is_cut_says_so(void **state)
{
	(void)state;
	struct client *c = start(false);
	assert_int_equal(client_get(c, "/log-format").status, 200);
	assert_true(world_logged(c->w, "a third is "));
	expect_logged(c->w, "or a format that there is not: a third is %.2f");
	world_end(c->w);
}

static void the_databases_calls_say_what_they_lack(void **state)
{
	(void)state;
	static const char *const said[] = {"a statement that is NULL", "a statement that is NULL",
		"db_rows_into without a name", "db_transaction without a function", "db_blob_open without a table or column",
		"there is no column 1 in a row of 1"};
	struct client *c = start(true);
	char target[40];
	for (size_t i = 0; i < ARRAY_LEN(said); i++) {
		snprintf(target, sizeof target, "/sql?n=%u", (unsigned)i);
		assert_int_equal(client_get(c, target).status, 500);
		expect_logged(c->w, said[i]);
	}
	world_end(c->w);
}

static void a_form_that_was_refused_changes_nothing_even_if_its_handler_goes_on(void **state)
{
	(void)state;
	struct client *c = start(true);
	struct answer a = client_ask(c, "POST", "/form-ignored", "Content-Type: application/x-www-form-urlencoded\r\n", "name=x");
	assert_int_equal(a.status, 403);
	assert_has(a.body, "did not come from this site");
	assert_int_equal(c->w->calls, 1);
	assert_text(client_get(c, "/count").body, "none");
	world_end(c->w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_a_500_and_a_line_in_the_log),
		cmocka_unit_test(after_the_head_the_connection_is_cut),
		cmocka_unit_test(a_cookie_that_a_browser_would_refuse_is_not_sent),
		cmocka_unit_test(cookies_are_set_with_what_was_asked_for),
		cmocka_unit_test(a_parameter_of_another_route_of_the_handler_is_empty),
		cmocka_unit_test(a_line_of_the_log_that_is_cut_says_so),
		cmocka_unit_test(the_databases_calls_say_what_they_lack),
		cmocka_unit_test(a_form_that_was_refused_changes_nothing_even_if_its_handler_goes_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
