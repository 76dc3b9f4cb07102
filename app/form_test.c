#include "support/world.h"

#include <stdio.h>
#include <string.h>

#define TYPE "Content-Type: application/x-www-form-urlencoded\r\n"

struct visitor {
	struct client *c;
	char token[33], cookie[80];
};

/* Looks at the form's page, and keeps what it gives. */
static struct visitor start(void)
{
	struct visitor v = {.c = client_new(world_new((struct world_options){.seed = 4}))};
	struct answer a = client_get(v.c, "/form");
	assert_int_equal(a.status, 200);
	struct slice cookie = answer_field(&a, "Set-Cookie");
	assert_true(slice_starts_with(cookie, SLICE("csrf=")) && cookie.len > 37);
	assert_has(cookie, "HttpOnly");
	assert_has(cookie, "SameSite=Strict");
	memcpy(v.token, cookie.ptr + 5, 32);
	snprintf(v.cookie, sizeof v.cookie, "Cookie: csrf=%s\r\n", v.token);
	char hidden[120];
	snprintf(hidden, sizeof hidden, "<input type=\"hidden\" name=\"csrf\" value=\"%s\">", v.token);
	assert_has(a.body, hidden);
	return v;
}

static struct answer post(struct visitor *v, const char *fields, const char *body)
{
	return client_ask(v->c, "POST", "/form", fields, body);
}

/* With everything as it should be; `fields` besides, `body` behind the token. */
static struct answer post_good(struct visitor *v, const char *fields, const char *body)
{
	char all[400], form[4096];
	snprintf(all, sizeof all, TYPE "%s%s", v->cookie, fields);
	int n = snprintf(form, sizeof form, "csrf=%s%s", v->token, body);
	assert_true(n > 0 && (size_t)n < sizeof form);
	return post(v, all, form);
}

static void end(struct visitor *v)
{
	struct answer a = post_good(v, "", "&name=last");
	assert_int_equal(a.status, 200);
	assert_text(a.body, "[last] 4");
	world_end(v->c->w);
}

static void this_sites_form_is_accepted(void **state)
{
	(void)state;
	struct visitor v = start();
	struct answer a = post_good(&v, "", "&name=Ann+Lee");
	assert_int_equal(a.status, 200);
	assert_text(a.body, "[Ann Lee] 7");
	a = post_good(&v, "Origin: http://ingot.test\r\n", "&name=x");
	assert_int_equal(a.status, 200);
	a = post_good(&v, "Origin: https://INGOT.test\r\n", "&name=x");
	assert_int_equal(a.status, 200);
	end(&v);
}

static void a_visitor_keeps_its_token(void **state)
{
	(void)state;
	struct visitor v = start();
	struct answer a = client_ask(v.c, "GET", "/form", v.cookie, "");
	assert_int_equal(answer_field(&a, "Set-Cookie").len, 0);
	assert_has(a.body, v.token);
	a = client_get(v.c, "/form"); /* another visitor */
	assert_false(slice_has(a.body, v.token));
	end(&v);
}

static void a_cookie_that_is_no_token_is_replaced(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "\"><script>", "0123456789abcdef0123456789abcdeg",
		"0123456789abcdef0123456789abcde", "0123456789ABCDEF0123456789ABCDEF"};
	struct visitor v = start();
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char cookie[100];
		snprintf(cookie, sizeof cookie, "Cookie: csrf=%s\r\n", bad[i]);
		struct answer a = client_ask(v.c, "GET", "/form", cookie, "");
		assert_int_equal(a.status, 200);
		assert_true(answer_field(&a, "Set-Cookie").len > 0);
		assert_false(slice_has(a.body, "script"));
	}
	end(&v);
}

static void without_the_right_token_a_form_is_refused(void **state)
{
	(void)state;
	struct visitor v = start();
	char cookie_only[200], both[200], wrong[80], longer[80];
	snprintf(cookie_only, sizeof cookie_only, TYPE "%s", v.cookie);
	snprintf(both, sizeof both, "csrf=%s&name=x", v.token);
	snprintf(wrong, sizeof wrong, "csrf=%s&name=x", v.token);
	wrong[5] = wrong[5] == '0' ? '1' : '0';
	snprintf(longer, sizeof longer, "csrf=%s0&name=x", v.token);
	struct answer a = post(&v, cookie_only, "name=x");
	assert_int_equal(a.status, 403);
	a = post(&v, cookie_only, "csrf=&name=x");
	assert_int_equal(a.status, 403);
	a = post(&v, cookie_only, wrong);
	assert_int_equal(a.status, 403);
	a = post(&v, cookie_only, longer);
	assert_int_equal(a.status, 403);
	a = post(&v, cookie_only, "csrf=abc&name=x");
	assert_int_equal(a.status, 403);
	a = post(&v, TYPE, both); /* the field, but no cookie */
	assert_int_equal(a.status, 403);
	a = post(&v, TYPE "Cookie: csrf=abc\r\n", "csrf=abc&name=x");
	assert_int_equal(a.status, 403);
	a = post(&v, TYPE "Cookie: csrf=\r\n", "csrf=&name=x");
	assert_int_equal(a.status, 403);
	assert_has(a.body, "reload the page");
	end(&v);
}

static void a_form_from_elsewhere_is_refused(void **state)
{
	(void)state;
	static const char *const origin[] = {"http://evil.test", "null", "ingot.test", "http://ingot.test.evil",
		"http://evil.test://ingot.test", "http://ingot.test:8080", "x"};
	struct visitor v = start();
	for (size_t i = 0; i < ARRAY_LEN(origin); i++) {
		char field[100];
		snprintf(field, sizeof field, "Origin: %s\r\n", origin[i]);
		struct answer a = post_good(&v, field, "&name=x");
		assert_int_equal(a.status, 403);
	}
	end(&v);
}

static void a_body_of_another_type_is_415(void **state)
{
	(void)state;
	static const char *const type[] = {"", "Content-Type: text/plain\r\n",
		"Content-Type: multipart/form-data; boundary=x\r\n", "Content-Type: application/json\r\n"};
	struct visitor v = start();
	for (size_t i = 0; i < ARRAY_LEN(type); i++) {
		char fields[300];
		snprintf(fields, sizeof fields, "%s%s", type[i], v.cookie);
		struct answer a = post(&v, fields, "csrf=x&name=y");
		assert_int_equal(a.status, 415);
	}
	char fields[300], body[100];
	snprintf(fields, sizeof fields,
		"Content-Type: Application/X-WWW-Form-URLencoded ; charset=UTF-8\r\n%s", v.cookie);
	snprintf(body, sizeof body, "csrf=%s&name=y", v.token);
	assert_int_equal(post(&v, fields, body).status, 200);
	end(&v);
}

static void a_text_is_utf8_without_controls_and_blanks_around(void **state)
{
	(void)state;
	static const char *const text[][2] = {
		{"%c3%a9%e2%82%ac", "[\xc3\xa9\xe2\x82\xac] 2"},
		{"++a+b%09%0d%0a", "[a b] 3"},
		{"a%0d%0ab", "[a\nb] 3"},
		{"%00a%01%7fb%1b[0m", "[ab[0m] 5"},
		{"%01", "[] 0"},
		{"%ff", "[] 0"},
		{"a%c3", "[] 0"},
		{"%c0%80", "[] 0"},
		{"%ed%a0%80", "[] 0"},
		{"%0a+%09", "[] 0"},
		{"", "[] 0"},
		{"a%c2%85b%c2%9fc", "[abc] 3"}, /* controls of the upper half */
		{"%c2%a0%c2%80", "[\xc2\xa0] 1"},
	};
	struct visitor v = start();
	for (size_t i = 0; i < ARRAY_LEN(text); i++) {
		char body[100];
		snprintf(body, sizeof body, "&name=%s", text[i][0]);
		struct answer a = post_good(&v, "", body);
		assert_int_equal(a.status, 200);
		assert_text(a.body, text[i][1]);
	}
	assert_text(post_good(&v, "", "&other=1").body, "[] 0");
	end(&v);
}

static void too_many_fields_are_400(void **state)
{
	(void)state;
	char body[1000] = "";
	struct visitor v = start();
	for (int i = 0; i < REQUEST_FIELDS_MAX - 1; i++)
		strcat(body, "&a=b");
	assert_int_equal(post_good(&v, "", body).status, 200);
	strcat(body, "&a=b");
	assert_int_equal(post_good(&v, "", body).status, 400);
	end(&v);
}

static void a_form_without_a_body_is_refused(void **state)
{
	(void)state;
	struct visitor v = start();
	char fields[200];
	snprintf(fields, sizeof fields, TYPE "%s", v.cookie);
	struct answer a = post(&v, fields, "");
	assert_int_equal(a.status, 403);
	end(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(this_sites_form_is_accepted),
		cmocka_unit_test(a_visitor_keeps_its_token),
		cmocka_unit_test(a_cookie_that_is_no_token_is_replaced),
		cmocka_unit_test(without_the_right_token_a_form_is_refused),
		cmocka_unit_test(a_form_from_elsewhere_is_refused),
		cmocka_unit_test(a_body_of_another_type_is_415),
		cmocka_unit_test(a_text_is_utf8_without_controls_and_blanks_around),
		cmocka_unit_test(too_many_fields_are_400),
		cmocka_unit_test(a_form_without_a_body_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
