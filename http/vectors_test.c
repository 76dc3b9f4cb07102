/* The conformance vectors of http/vectors (http/support/vector.h says how they are written) and the
 * HTTP machine: each is replayed with every split in two and byte by byte, with heads in place,
 * gathered and moved, three times in a row on one connection where that stays open, behind another
 * request, and always with the input's end at an unreadable page. app/vectors_test.c sends the same
 * bytes to a whole server.
 *
 *	build/host/test/http/vectors_test cl_te     those whose name has it
 *	build/host/test/http/vectors_test --list    names, methods, bytes: for e2e/differential.sh */
#include <http/conditional.h>
#include <http/conn.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "support/guard.h"
#include "support/vector.h"

#define HEAD_MAX 8192 /* as app/ has it, and the body below */
#define BODY_MAX 65536
#define SHOWN_MAX 60
#define BEFORE SIZE_MAX /* the line in front of the first */
#define SPLITS_MAX 300 /* of a long vector, not every one */

enum mode { IN_PLACE, GATHER, MOVE, MODE_COUNT };

struct rig {
	struct http_limits limits;
	struct http_conn conn;
	struct arena arena;
	struct guard guard[2]; /* heads; and bodies, while the head is kept as the contract asks */
	uint8_t memory[HEAD_MAX * 2], buffer[HEAD_MAX];
	const struct vector *vector;
	enum mode mode;
	bool head_kept;
	uint8_t body[BODY_MAX];
	size_t body_len;
	char log[8192];     /* one line for each request */
	size_t lines;
};

static struct rig rig;

static void rig_start(struct rig *r, const struct vector *v, enum mode mode)
{
	http_limits_default(&r->limits);
	r->limits.head_bytes_max = HEAD_MAX;
	r->limits.body_bytes_max = BODY_MAX;
	arena_init(&r->arena, r->memory, sizeof r->memory, NULL, 0);
	http_conn_init(&r->conn, &r->limits, &r->arena, 0);
	r->vector = v;
	r->mode = mode;
	r->head_kept = false;
	r->log[0] = 0;
	r->lines = r->body_len = 0;
}

static void say(struct rig *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct rig *r, const char *fmt, ...)
{
	size_t n = strlen(r->log);
	va_list args;
	va_start(args, fmt);
	vsnprintf(r->log + n, sizeof r->log - n, fmt, args);
	va_end(args);
}

static void say_bytes(struct rig *r, struct slice bytes)
{
	vector_escape(r->log, sizeof r->log, bytes);
}

/* --- What a resource makes of a request ------------------------------------------------------- */

/* The value of `name`, up to the next word or the end; empty: there is none. */
static struct slice word_of(const char *text, const char *name)
{
	const char *at = strstr(text, name);
	if (!at)
		return (struct slice){NULL, 0};
	at += strlen(name);
	const char *end = strchr(at, '=');
	if (!end)
		return slice_of(at, strlen(at));
	while (*end != ' ')
		end--;
	return slice_of(at, (size_t)(end - at));
}

static int64_t date_of(struct slice text, int64_t now)
{
	int64_t date = HTTP_DATE_NONE;
	if (text.len)
		assert_true(http_date_parse(text, now, &date));
	return date;
}

static void say_ranges(struct rig *r, const struct http_validators *v, uint64_t size, int64_t now)
{
	struct http_range range[HTTP_RANGES_MAX], one;
	uint32_t count;
	switch (http_ranges_evaluate(&r->conn.request, v, size, now, range, &count)) {
	case HTTP_RANGE_WHOLE: say(r, " -> 200"); return;
	case HTTP_RANGE_UNSATISFIABLE: say(r, " -> 416"); return;
	case HTTP_RANGE_PARTIAL: break;
	}
	say(r, " -> 206");
	for (uint32_t i = 0; i < count; i++)
		say(r, " %lu-%lu", (unsigned long)range[i].from, (unsigned long)(range[i].from + range[i].len - 1));
	/* The function for one range is another. */
	if (http_range_evaluate(&r->conn.request, v, size, now, &one) == HTTP_RANGE_PARTIAL)
		assert_true(count == 1 && one.from == range[0].from && one.len == range[0].len);
}

static void say_outcome(struct rig *r)
{
	const char *text = r->vector->resource;
	int64_t now = date_of(word_of(text, "now="), 0);
	if (now == HTTP_DATE_NONE)
		now = INT64_C(1790000000);
	uint64_t size = 10;
	struct slice number = word_of(text, "size=");
	if (number.len)
		assert_true(slice_to_u64(number, &size));
	struct http_validators v = {word_of(text, "etag="),
		date_of(word_of(text, "modified="), now), !strstr(text, "none")};
	switch (http_condition_evaluate(&r->conn.request, &v, now)) {
	case HTTP_CONDITION_NOT_MODIFIED: say(r, " -> 304"); break;
	case HTTP_CONDITION_FAILED: say(r, " -> 412"); break;
	case HTTP_CONDITION_PROCEED: say_ranges(r, &v, size, now); break;
	}
}

/* --- Playing ---------------------------------------------------------------------------------- */

/* The request as far as it is known when its head is. */
static void say_head(struct rig *r)
{
	const struct http_request *q = &r->conn.request;
	size_t count = r->vector->expected_count;
	const char *wanted = count && r->lines != BEFORE ? r->vector->expected[r->lines % count] : "";
	say_bytes(r, q->method_name);
	say(r, " ");
	say_bytes(r, q->path);
	if (q->query.len > SHOWN_MAX) {
		say(r, "?(%zu)", q->query.len);
	} else if (q->query.ptr) {
		say(r, "?");
		say_bytes(r, q->query);
	}
	if (strstr(wanted, " host=")) {
		say(r, " host=");
		say_bytes(r, q->host);
	}
	r->body_len = 0;
}

static void say_body(struct rig *r)
{
	if (r->body_len > SHOWN_MAX) {
		say(r, " body=%zu", r->body_len);
	} else if (r->body_len) {
		say(r, " body=\"");
		say_bytes(r, slice_of(r->body, r->body_len));
		say(r, "\"");
	}
}

/* Answers as a handler would that has read everything. */
static void answer(struct rig *r, bool refused)
{
	struct http_conn *c = &r->conn;
	if (!refused) {
		say_body(r);
		if (c->continue_sent)
			say(r, " continue");
		if (r->vector->resource)
			say_outcome(r);
	}
	bool keep = http_conn_respond(c, 0);
	if (!keep && !refused)
		say(r, " close");
	say(r, "\n");
	r->lines++;
	assert_int_equal(http_conn_response_sent(c, 0), keep ? HTTP_EVENT_NEED_MORE : HTTP_EVENT_LINGER);
	arena_reset(&r->arena);
	http_conn_take_buffer(c);
	r->head_kept = false;
}

static void take(struct rig *r, enum http_event e)
{
	struct http_conn *c = &r->conn;
	if (e == HTTP_EVENT_REQUEST) {
		say_head(r);
		if (r->mode == MOVE)
			http_conn_move_head(c, r->buffer, sizeof r->buffer);
		r->head_kept = !c->buffer;
		if (http_conn_wants_continue(c))
			http_conn_continue_sent(c, 0);
		if (c->request.framing == HTTP_BODY_NONE)
			answer(r, false);
	} else if (e == HTTP_EVENT_BODY) {
		assert_true(c->piece.len <= sizeof r->body - r->body_len);
		memcpy(r->body + r->body_len, c->piece.ptr, c->piece.len);
		r->body_len += c->piece.len;
	} else if (e == HTTP_EVENT_REQUEST_END) {
		answer(r, false);
	} else if (e == HTTP_EVENT_ERROR) {
		size_t n = strlen(r->log);
		say(r, "%s%u", n && r->log[n - 1] != '\n' ? " " : "", c->status);
		answer(r, true);
	}
}

/* Presents what of stream[0 .. until) is not consumed yet; the new number of consumed bytes. */
static size_t feed(struct rig *r, struct slice stream, size_t done, size_t until)
{
	struct http_conn *c = &r->conn;
	for (;;) {
		size_t used;
		size_t len = until - done < GUARD_MAX ? until - done : GUARD_MAX;
		struct slice piece = guard_copy(&r->guard[r->head_kept], slice_sub(stream, done, len));
		enum http_event e = http_conn_input(c, piece, 0, &used);
		assert_true(used <= piece.len);
		done += used;
		take(r, e);
		if (e == HTTP_EVENT_NEED_MORE && r->mode == GATHER && http_conn_needs_buffer(c)) {
			http_conn_give_buffer(c, r->buffer, sizeof r->buffer);
			continue;
		}
		if (e == HTTP_EVENT_CLOSE || (e == HTTP_EVENT_NEED_MORE && (!used || done == until)))
			return done;
	}
}

/* In pieces: up to `cut`, and from there on `step` bytes at a time. */
static void play(struct rig *r, struct slice stream, size_t cut, size_t step)
{
	size_t done = 0;
	for (size_t n = cut; n < stream.len; n += step)
		done = feed(r, stream, done, n);
	feed(r, stream, done, stream.len);
	enum http_conn_state state = r->conn.state;
	if (state == HTTP_CONN_HEAD)
		say(r, "more\n");
	else if (state == HTTP_CONN_BODY)
		say(r, " more\n");
	else
		assert_true(state == HTTP_CONN_IDLE || state == HTTP_CONN_LINGER);
	http_conn_abort(&r->conn);
	http_conn_take_buffer(&r->conn);
}

/* --- Comparing -------------------------------------------------------------------------------- */

static void expect(const struct rig *r, const char *before, unsigned times, const char *how,
	size_t cut)
{
	static char wanted[sizeof r->log];
	size_t n = (size_t)snprintf(wanted, sizeof wanted, "%s", before);
	for (unsigned k = 0; k < times; k++)
		for (size_t i = 0; i < r->vector->expected_count; i++)
			n += (size_t)snprintf(wanted + n, sizeof wanted - n, "%s\n", r->vector->expected[i]);
	if (strcmp(wanted, r->log) == 0)
		return;
	print_message("%s (line %zu of its file), %s, mode %d, cut at %zu\nexpected:\n%sgot:\n%s",
		r->vector->name, r->vector->line, how, r->mode, cut, wanted, r->log);
	fail();
}

static void play_split(struct rig *r, const struct vector *v, enum mode mode)
{
	size_t step = v->stream.len / SPLITS_MAX + 1;
	for (size_t cut = 0; cut <= v->stream.len; cut += step) {
		rig_start(r, v, mode);
		play(r, v->stream, cut, cut ? v->stream.len + 1 : step);
		expect(r, "", 1, cut ? "in two" : "in small pieces", cut);
	}
}

static struct slice joined(struct slice a, struct slice b, struct slice c)
{
	uint8_t *all = malloc(a.len + b.len + c.len + 1);
	if (!all)
		abort();
	memcpy(all, a.ptr, a.len);
	memcpy(all + a.len, b.ptr, b.len);
	memcpy(all + a.len + b.len, c.ptr, c.len);
	return slice_of(all, a.len + b.len + c.len);
}

static void play_joined(struct rig *r, const struct vector *v, struct slice stream,
	const char *before, unsigned times, const char *how)
{
	for (int mode = 0; mode < MODE_COUNT; mode++) {
		const size_t cuts[] = {stream.len, stream.len / 2, 1};
		for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
			rig_start(r, v, (enum mode)mode);
			r->lines = *before ? BEFORE : 0;
			play(r, stream, cuts[i], stream.len + 1);
			expect(r, before, times, how, cuts[i]);
		}
	}
	free((void *)(uintptr_t)stream.ptr);
}

static void does_what_it_says(void **state)
{
	const struct vector *v = *state;
	for (int mode = 0; mode < MODE_COUNT; mode++)
		play_split(&rig, v, (enum mode)mode);
	if (v->resource)
		return;
	struct slice before = SLICE("GET /before HTTP/1.1\r\nHost: h\r\n\r\n");
	play_joined(&rig, v, joined(before, v->stream, SLICE("")), "GET /before\n", 1, "behind another request");
	if (!vector_closes(v) && !vector_is_cut(v))
		play_joined(&rig, v, joined(v->stream, v->stream, v->stream), "", 3, "three times in a row");
}

/* --- The table -------------------------------------------------------------------------------- */

#define TABLE "docs/http-conformance.md"
#define NAME_BYTES "abcdefghijklmnopqrstuvwxyz0123456789_/"

static struct vectors all;

static char *table_read(void)
{
	FILE *f = fopen(TABLE, "r");
	assert_non_null(f);
	char *text = calloc(1, 1 << 20);
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
	fclose(f);
	return text;
}

static const struct vector *find(const char *name, size_t len)
{
	for (size_t i = 0; i < all.count; i++)
		if (strlen(all.vector[i].name) == len && memcmp(all.vector[i].name, name, len) == 0)
			return &all.vector[i];
	return NULL;
}

static void the_table_names_each_vector(void **state)
{
	(void)state;
	char quoted[160], *text = table_read();
	unsigned missing = 0;
	for (size_t i = 0; i < all.count; i++) {
		snprintf(quoted, sizeof quoted, "`%s`", all.vector[i].name);
		if (strstr(text, quoted))
			continue;
		print_message("%s does not name %s\n", TABLE, quoted);
		missing++;
	}
	free(text);
	assert_int_equal(missing, 0);
}

static void the_table_names_no_other(void **state)
{
	(void)state;
	char *text = table_read();
	unsigned wrong = 0;
	for (const char *at = strchr(text, '`'); at; at = strchr(at + 1, '`')) {
		size_t len = strspn(at + 1, NAME_BYTES);
		const char *slash = memchr(at + 1, '/', len);
		if (at[len + 1] != '`' || !slash || slash == at + 1 || find(at + 1, len))
			continue;
		print_message("%s names %.*s, but there is no such vector\n", TABLE, (int)len, at + 1);
		wrong++;
	}
	free(text);
	assert_int_equal(wrong, 0);
}

/* --- Which ------------------------------------------------------------------------------------ */

/* "chunked/one 1 POST,GET 504f..." for each that is not about an imagined resource; 1: the connection
 * persists, 0: not, 2: the input ends too early. */
static int list(void)
{
	for (size_t i = 0; i < all.count; i++) {
		const struct vector *v = &all.vector[i];
		if (v->resource || !v->stream.len)
			continue;
		printf("%s %d ", v->name, vector_is_cut(v) ? 2 : !vector_closes(v));
		for (size_t k = 0; k < v->expected_count; k++)
			printf("%s%.*s", k ? "," : "", (int)strcspn(v->expected[k], " "), v->expected[k]);
		printf(" ");
		for (size_t k = 0; k < v->stream.len; k++)
			printf("%02x", v->stream.ptr[k]);
		printf("\n");
	}
	return 0;
}

int main(int argc, char **argv)
{
	all = vectors_load();
	const char *part = argc > 1 ? argv[1] : "";
	if (strcmp(part, "--list") == 0)
		return list();
	guard_init(&rig.guard[0]);
	guard_init(&rig.guard[1]);
	struct CMUnitTest *tests = calloc(all.count + 2, sizeof *tests);
	size_t count = 0;
	if (!tests)
		abort();
	for (size_t i = 0; i < all.count; i++)
		if (strstr(all.vector[i].name, part))
			tests[count++] = (struct CMUnitTest){.name = all.vector[i].name,
				.test_func = does_what_it_says, .initial_state = &all.vector[i]};
	tests[count++] = (struct CMUnitTest)cmocka_unit_test(the_table_names_each_vector);
	tests[count++] = (struct CMUnitTest)cmocka_unit_test(the_table_names_no_other);
	int failures = _cmocka_run_group_tests("vectors", tests, count, NULL, NULL);
	free(tests);
	vectors_free(&all);
	return failures;
}
