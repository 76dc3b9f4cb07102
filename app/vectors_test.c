/* The conformance vectors of http/vectors (http/support/vector.h says how they are written) and a
 * whole server, with the application of app/support/site.c: each is sent in one piece, in three, and
 * three times in a row where the connection stays open. What "<" lines say is compared; else that
 * there is one answer for each request, refusals with their status, and that the connection ends or
 * goes on as it should. Nothing behind a refusal may be counted as a request.
 *
 *	build/host/test/app/vectors_test cl_te    those whose name has it */
#include "support/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vector.h>

#define SETTLE (100 * MS) /* clients acknowledge after up to 40 ms */

static struct world *world; /* of all vectors, until one fails */
static bool passed;

struct exchange_of {
	struct client *client;
	const struct vector *vector;
	size_t next_answer; /* of vector->answer */
	struct answer answer;
};

static const char *expected_at(const struct vector *v, size_t i)
{
	return v->expected[i % v->expected_count];
}

static void complain(const struct exchange_of *x, const char *what, const char *wanted)
{
	print_message("%s (line %zu of its file): %s, not as said: %s\nthe answer was:\n%.*s\n%.*s\n",
		x->vector->name, x->vector->line, what, wanted, SLICE_ARG(x->answer.head),
		x->answer.body.len > 200 ? 200 : (int)x->answer.body.len, (const char *)x->answer.body.ptr);
	fail();
}

/* --- One answer ------------------------------------------------------------------------------- */

static bool is_status(const char *line)
{
	return line[0] >= '1' && line[0] <= '5';
}

static void check_body(const struct exchange_of *x, const char *text)
{
	static uint8_t wanted[8192];
	size_t len = strlen(text), n;
	assert_true(len >= 2 && text[len - 1] == '"');
	assert_true(vector_unescape(text + 1, len - 2, wanted, sizeof wanted, &n));
	if (x->answer.body.len != n || memcmp(x->answer.body.ptr, wanted, n) != 0)
		complain(x, "its body", text);
}

static void check_field(const struct exchange_of *x, const char *line)
{
	char name[128];
	static uint8_t wanted[512];
	size_t len = strcspn(line, ":"), n;
	assert_true(len < sizeof name && line[len] == ':');
	snprintf(name, sizeof name, "%.*s", (int)len, line);
	struct slice value = answer_field(&x->answer, name);
	const char *text = line + len + 1 + strspn(line + len + 1, " ");
	if (strcmp(text, "*") == 0 && value.len)
		return;
	assert_true(vector_unescape(text, strlen(text), wanted, sizeof wanted, &n));
	if (value.len != n || memcmp(value.ptr, wanted, n) != 0)
		complain(x, "a field", line);
}

static void check_line(const struct exchange_of *x, const char *line)
{
	if (*line == '"')
		check_body(x, line);
	else if (strcmp(line, "*") == 0 ? !x->answer.body.len
					: *line == '!' && answer_field(&x->answer, line + 1).ptr)
		complain(x, "a field or the body", line);
	else if (*line != '!' && *line != '*')
		check_field(x, line);
}

/* Takes the next answer and compares it with the next "<" lines, or with what follows from `expected`. */
static int answer_check(struct exchange_of *x, const char *expected)
{
	const struct vector *v = x->vector;
	bool to_head = expected && strncmp(expected, "HEAD ", 5) == 0;
	x->answer = to_head ? client_answer_to_head(x->client) : client_answer(x->client);
	int refusal = expected ? vector_refusal(expected) : 0;
	if (x->next_answer == v->answer_count) {
		if (refusal && x->answer.status != refusal)
			complain(x, "its status", expected);
		if (refusal && !slice_has(answer_field(&x->answer, "Connection"), "close"))
			complain(x, "a refusal says that it closes", "Connection: close");
		return x->answer.status;
	}
	const char *line = v->answer[x->next_answer++];
	if (!is_status(line) || atoi(line) != x->answer.status)
		complain(x, "its status", line);
	while (x->next_answer < v->answer_count && !is_status(line = v->answer[x->next_answer])) {
		check_line(x, line + strspn(line, " "));
		x->next_answer++;
	}
	return x->answer.status;
}

/* --- One connection --------------------------------------------------------------------------- */

static bool is_cut(const char *expected)
{
	size_t len = strlen(expected);
	return len >= 4 && strcmp(expected + len - 4, "more") == 0;
}

static void check_end(struct exchange_of *x, bool closes)
{
	struct client *c = x->client;
	world_pass(world, SETTLE);
	if (client_unread(c).len || c->reset || (closes ? !c->peer_closed : c->peer_closed)) {
		print_message("%s: %zu bytes unread, %s by the server, expected %s\n", x->vector->name,
			client_unread(c).len, c->reset ? "reset" : c->peer_closed ? "closed" : "not closed",
			closes ? "a close" : "an open connection");
		fail();
	}
}

/* The machine has it, or an answer says it, as when it is given before the body. */
static bool connection_ends(const struct vector *v)
{
	for (size_t i = 0; i < v->answer_count; i++)
		if (strstr(v->answer[i], "Connection: close"))
			return true;
	return vector_closes(v);
}

/* Sends the vector `times` times, in pieces of `piece` bytes. */
static void converse(const struct vector *v, unsigned times, size_t piece)
{
	struct exchange_of x = {.client = client_new(world), .vector = v};
	uint64_t before = server_stats(world->server).requests, heads = 0;
	for (unsigned k = 0; k < times; k++)
		for (size_t at = 0; at < v->stream.len; at += piece)
			client_segment(x.client, slice_sub(v->stream, at, piece));
	for (size_t i = 0; i < v->expected_count * times; i++) {
		const char *expected = expected_at(v, i);
		if (i % v->expected_count == 0)
			x.next_answer = 0;
		heads += *expected >= 'A' && *expected <= 'Z';
		bool asks = x.next_answer < v->answer_count && atoi(v->answer[x.next_answer]) == 100;
		if (asks)
			assert_int_equal(answer_check(&x, NULL), 100);
		if (!is_cut(expected))
			answer_check(&x, expected);
	}
	assert_int_equal(x.next_answer, v->answer_count);
	check_end(&x, connection_ends(v));
	assert_int_equal(server_stats(world->server).requests - before, heads);
	if (!connection_ends(v) && !vector_is_cut(v)) {
		struct answer a = client_get(x.client, "/text");
		assert_text(a.body, "plain & simple");
	}
	client_free(x.client);
}

static void answers_as_it_says(void **state)
{
	const struct vector *v = *state;
	if (!world)
		world = world_new((struct world_options){.seed = 5});
	passed = false;
	converse(v, 1, v->stream.len + 1);
	converse(v, 1, v->stream.len / 3 + 1);
	if (!connection_ends(v) && !vector_is_cut(v))
		converse(v, 3, v->stream.len + 1);
	passed = true;
}

/* Who knows what is left in it. */
static int forget_if_failed(void **state)
{
	(void)state;
	if (!passed)
		world = NULL;
	return 0;
}

static void all_comes_back(void **state)
{
	(void)state;
	if (world)
		world_end(world);
	world = NULL;
}

int main(int argc, char **argv)
{
	struct vectors all = vectors_load();
	const char *part = argc > 1 ? argv[1] : "";
	struct CMUnitTest *tests = calloc(all.count + 1, sizeof *tests);
	size_t count = 0;
	if (!tests)
		abort();
	for (size_t i = 0; i < all.count; i++)
		if (!all.vector[i].resource && strstr(all.vector[i].name, part))
			tests[count++] = (struct CMUnitTest){.name = all.vector[i].name,
				.test_func = answers_as_it_says, .teardown_func = forget_if_failed,
				.initial_state = &all.vector[i]};
	tests[count++] = (struct CMUnitTest)cmocka_unit_test(all_comes_back);
	int failures = _cmocka_run_group_tests("vectors", tests, count, NULL, NULL);
	free(tests);
	vectors_free(&all);
	return failures;
}
