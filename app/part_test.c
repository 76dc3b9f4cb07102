/* Multipart forms, part by part. */
#include "support/site_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOUNDARY "----form0"
#define D "--" BOUNDARY "\r\n"
#define CD(rest) "Content-Disposition: form-data; " rest "\r\n\r\n"
#define LAST "\r\n--" BOUNDARY "--\r\n"

static struct world *start(void)
{
	return world_new((struct world_options){.seed = 8});
}

static void end(struct world *w)
{
	struct answer a = client_get(client_new(w), "/text");
	assert_int_equal(a.status, 200);
	world_end(w);
}

static void post_head(struct client *c, const char *target, const char *fields, size_t len)
{
	char head[600];
	snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: ingot.test\r\n%s"
		"Content-Type: multipart/form-data; boundary=" BOUNDARY "\r\nContent-Length: %zu\r\n\r\n", target, fields, len);
	client_text(c, head);
}

static struct answer post(struct client *c, const char *target, const char *body)
{
	post_head(c, target, "", strlen(body));
	client_text(c, body);
	return client_answer(c);
}

static const char form[] = "ignored\r\n" D CD("name=\"title\"") " A \x01title\r\n\r\n" D CD("name=\"skip\"") "of no interest\r\n"
	D CD("name=\"none\"; filename=\"\"") "\r\n" D "Content-Disposition: form-data; name=\"f\"; filename=\"a%22b.txt\"\r\n"
	"Content-Type: image/png\r\n\r\nab\r\n--\r\n" D CD("name=\"bad\xff\"; filename=\"\xfe\"") "c" LAST "ignored";
static const char listed[] = "title||text/plain|text|A title\nskip||text/plain|text|none||text/plain|file|0 0\n"
	"f|a\"b.txt|image/png|file|6 2867931038\n||text/plain|file|1 99\n";

static void the_parts_come_in_their_order(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	static const char *const targets[] = {"/parts", "/parts?piece=1", "/parts/gathered"};
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		struct answer a = post(c, targets[i], form);
		assert_int_equal(a.status, 200);
		assert_text(a.body, listed);
	}
	assert_int_equal(server_stats(w->server).connections, 1);
	end(w);
}

static void a_form_may_be_cut_anywhere(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	struct slice all = slice_from_cstr(form);
	for (size_t cut = 1; cut < all.len; cut += 3) {
		post_head(c, "/parts?piece=7", "", all.len);
		client_segment(c, slice_sub(all, 0, cut));
		client_segment(c, slice_sub(all, cut, all.len));
		struct answer a = client_answer(c);
		assert_text(a.body, listed);
	}
	end(w);
}

static void a_file_of_any_size_passes(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	static const size_t lengths[] = {1, 4000, 4096, 5000, 100000, 2000000};
	const char *before = D CD("name=f; filename=x"), *after = LAST;
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		char wanted[100];
		uint64_t sum = 0;
		uint8_t *content = malloc(lengths[i]);
		assert_non_null(content);
		for (size_t k = 0; k < lengths[i]; k++) {
			content[k] = (uint8_t)(k % 50 == 0 ? '\r' : k % 50 == 1 ? '\n' : k % 50 < 8 ? '-' : (int)(k * 7));
			sum = sum * 31 + content[k];
		}
		post_head(c, "/parts", "", lengths[i] + strlen(before) + strlen(after));
		client_text(c, before);
		client_send(c, slice_of(content, lengths[i]));
		client_text(c, after);
		free(content);
		snprintf(wanted, sizeof wanted, "f|x|text/plain|file|%zu %lu\n", lengths[i], (unsigned long)sum);
		struct answer a = client_answer(c);
		assert_text(a.body, wanted);
	}
	assert_true(w->server->blocks.used_max < 8);
	end(w);
}

static void what_is_no_whole_form_is_refused(void **state)
{
	(void)state;
	struct world *w = start();
	static const struct {
		const char *body;
		int status;
	} v[] = {
		{"", 400},
		{"nothing of it", 400},
		{D CD("name=f") "half", 400},
		{D CD("name=f") "half\r\n--" BOUNDARY, 400},
		{D CD("name=f") "x\r\n--" BOUNDARY "x", 400},
		{D CD("filename=f") "no name" LAST, 400},
		{D CD("name=title") "longer than twenty bytes" LAST, 413},
	};
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		struct answer a = post(client_new(w), "/parts", v[i].body);
		assert_int_equal(a.status, v[i].status);
		a = post(client_new(w), "/parts/gathered", v[i].body);
		assert_int_equal(a.status, v[i].status);
	}
	char many[65 * (sizeof(D CD("name=f")) + 2)] = "";
	for (int i = 0; i < 65; i++)
		strcat(many, i ? "\r\n" D CD("name=f") : D CD("name=f"));
	struct answer a = post(client_new(w), "/parts", many);
	assert_int_equal(a.status, 413);
	assert_int_equal(w->ends, 0);
	a = client_ask(client_new(w), "POST", "/parts", "Content-Type: application/x-www-form-urlencoded\r\n", "a=b");
	assert_int_equal(a.status, 415);
	end(w);
}

/* --- Whose form it is ------------------------------------------------------------------------- */

static void only_this_sites_form_is_accepted(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	struct answer a = client_get(c, "/form");
	char token[33] = "", cookie[80], other[120], body[700];
	memcpy(token, answer_field(&a, "Set-Cookie").ptr + 5, 32);
	snprintf(cookie, sizeof cookie, "Cookie: csrf=%s\r\n", token);
	snprintf(other, sizeof other, "%sOrigin: http://elsewhere.test\r\n", cookie);
	for (int i = 0; i < 4; i++) {
		snprintf(body, sizeof body, "%s" D CD("name=\"csrf\"") "%.*s%s\r\n" D CD("name=\"a\"") "x" LAST,
			i == 1 ? D CD("name=\"b\"") "it does not come first\r\n" : "", i == 2 ? 31 : 32, token,
			i == 3 ? "x" : "");
		post_head(c, "/parts/site", cookie, strlen(body));
		client_text(c, body);
		a = client_answer(c);
		assert_int_equal(a.status, i ? 403 : 200);
	}
	snprintf(body, sizeof body, D CD("name=\"csrf\"") "%s" LAST, token);
	post_head(c, "/parts/site", other, strlen(body));
	client_text(c, body);
	a = client_answer(c);
	assert_int_equal(a.status, 403);
	post_head(c, "/parts/site", "", strlen(body));
	client_text(c, body);
	a = client_answer(c);
	assert_int_equal(a.status, 403);
	a = post(c, "/parts/site", "--" BOUNDARY "--\r\n");
	assert_int_equal(a.status, 403);
	a = post(client_new(w), "/parts/site", "x");
	assert_int_equal(a.status, 400);
	a = client_ask(client_new(w), "POST", "/parts/site", "Content-Type: text/plain\r\n", "a=b");
	assert_int_equal(a.status, 415);
	assert_int_equal(w->ends, 1);
	end(w);
}

static void without_memory_a_form_is_refused(void **state)
{
	(void)state;
	for (uint32_t blocks = 1; blocks < 5; blocks++) {
		struct world *w = world_new((struct world_options){.seed = 8, .blocks = blocks});
		struct answer a = post(client_new(w), "/parts", form);
		assert_true(a.status == 200 || a.status == 503);
		assert_true(blocks < 4 || a.status == 200);
		end(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_parts_come_in_their_order),
		cmocka_unit_test(a_form_may_be_cut_anywhere),
		cmocka_unit_test(a_file_of_any_size_passes),
		cmocka_unit_test(what_is_no_whole_form_is_refused),
		cmocka_unit_test(only_this_sites_form_is_accepted),
		cmocka_unit_test(without_memory_a_form_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
