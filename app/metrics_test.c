/* What METRICS, HEALTH and READY answer. The text is read by a strict parser of the exposition format 0.0.4. */
#include "support/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GET_WAIT "GET /wait HTTP/1.1\r\nHost: t\r\n\r\n"

static struct world *start(void)
{
	return world_new((struct world_options){.seed = 3});
}

/* --- The format ------------------------------------------------------------------------------- */

enum { SAMPLES_MAX = 4096, NAME_MAX = 64, LABELS_MAX = 200 };

struct sample {
	char name[NAME_MAX], labels[LABELS_MAX]; /* labels as they stand, without braces */
	double value;
};

struct exposition {
	struct sample sample[SAMPLES_MAX];
	size_t count;
	char family[NAME_MAX], type[16], helped[NAME_MAX];
	char seen[512][NAME_MAX]; /* families */
	size_t seen_count;
	/* Of the histogram that is being read. */
	double le, below;
	char series[LABELS_MAX];
};

static bool is_name_char(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':'
		|| (!first && c >= '0' && c <= '9');
}

static const char *name_read(const char *p, char out[NAME_MAX])
{
	size_t n = 0;
	while (is_name_char(p[n], n == 0)) {
		assert_true(n + 1 < NAME_MAX);
		out[n] = p[n];
		n++;
	}
	assert_true(n > 0);
	out[n] = 0;
	return p + n;
}

static void family_read(struct exposition *e, const char *p)
{
	static const char *const types[] = {"counter", "gauge", "histogram", "summary"};
	bool known = false;
	char name[NAME_MAX];
	p = name_read(p, name);
	assert_int_equal(*p++, ' ');
	for (size_t i = 0; i < e->seen_count; i++)
		assert_string_not_equal(e->seen[i], name); /* a family's lines stand together */
	assert_true(e->seen_count < ARRAY_LEN(e->seen));
	strcpy(e->seen[e->seen_count++], name);
	assert_true(!*e->helped || !strcmp(e->helped, name)); /* HELP is that of the TYPE behind it */
	*e->helped = 0;
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		known |= !strcmp(p, types[i]);
	assert_true(known);
	strcpy(e->family, name);
	strcpy(e->type, p);
	*e->series = 0;
	size_t len = strlen(name);
	assert_int_equal(!strcmp(p, "counter"), len > 6 && !strcmp(name + len - 6, "_total"));
}

/* The labels up to '}'; the value of `le` is cut out, and given. */
static const char *labels_read(const char *p, char out[LABELS_MAX], char series[LABELS_MAX], double *le)
{
	const char *start = p;
	*series = 0;
	*le = -1;
	do {
		char name[NAME_MAX], value[LABELS_MAX];
		const char *label = p;
		size_t n = 0;
		p = name_read(p, name);
		assert_int_equal(*p++, '=');
		assert_int_equal(*p++, '"');
		for (; *p != '"'; p++) {
			if (*p == '\\') {
				p++;
				assert_true(*p == '\\' || *p == '"' || *p == 'n');
			}
			assert_true(*p && n + 1 < sizeof value);
			value[n++] = *p;
		}
		value[n] = 0;
		p++;
		if (!strcmp(name, "le"))
			*le = !strcmp(value, "+Inf") ? 1e300 : strtod(value, NULL);
		else
			strncat(series, label, (size_t)(p - label));
	} while (*p == ',' && p++);
	assert_int_equal(*p, '}');
	assert_true((size_t)(p - start) < LABELS_MAX);
	memcpy(out, start, (size_t)(p - start));
	out[p - start] = 0;
	return p + 1;
}

/* Buckets come in order, with numbers that do not fall, and end with that of all. */
static void histogram_check(struct exposition *e, const char *suffix, const char *series, double le, double value)
{
	if (!strcmp(suffix, "_bucket")) {
		assert_true(le >= 0);
		if (*e->series) {
			assert_string_equal(series, e->series);
			assert_true(le > e->le && value >= e->below);
		}
		strcpy(e->series, series);
		e->le = le;
		e->below = value;
		return;
	}
	assert_string_equal(series, e->series);
	assert_true(e->le == 1e300);
	if (!strcmp(suffix, "_count")) {
		assert_true(value == e->below);
		*e->series = 0;
	} else {
		assert_string_equal(suffix, "_sum");
	}
}

static void sample_read(struct exposition *e, const char *p)
{
	struct sample *s = &e->sample[e->count++];
	char series[LABELS_MAX] = "";
	double le = -1;
	char *end;
	assert_true(e->count < SAMPLES_MAX);
	*s->labels = 0;
	p = name_read(p, s->name);
	if (*p == '{')
		p = labels_read(p + 1, s->labels, series, &le);
	assert_int_equal(*p++, ' ');
	assert_true(*p >= '0' && *p <= '9'); /* none is negative here, and there are no timestamps */
	s->value = strtod(p, &end);
	assert_int_equal(*end, 0);
	for (size_t i = 0; i + 1 < e->count; i++)
		assert_true(strcmp(e->sample[i].name, s->name) != 0 || strcmp(e->sample[i].labels, s->labels) != 0);
	size_t len = strlen(e->family);
	assert_memory_equal(s->name, e->family, len);
	const char *suffix = s->name + len;
	if (!strcmp(e->type, "histogram"))
		histogram_check(e, suffix, series, le, s->value);
	else if (!strcmp(e->type, "summary"))
		assert_true(!strcmp(suffix, "_sum") || !strcmp(suffix, "_count"));
	else
		assert_int_equal(*suffix, 0);
}

static struct exposition *exposition_read(struct slice text)
{
	struct exposition *e = calloc(1, sizeof *e);
	char line[1024];
	assert_non_null(e);
	while (text.len) {
		size_t len = slice_index(text, '\n');
		assert_true(len < text.len && len > 0 && len < sizeof line);
		memcpy(line, text.ptr, len);
		line[len] = 0;
		assert_int_equal(strlen(line), len);
		text = slice_sub(text, len + 1, text.len);
		if (!strncmp(line, "# HELP ", 7))
			assert_int_equal(*name_read(line + 7, e->helped), ' ');
		else if (!strncmp(line, "# TYPE ", 7))
			family_read(e, line + 7);
		else
			sample_read(e, line);
	}
	return e;
}

static double value_of(const struct exposition *e, const char *name, const char *labels)
{
	for (size_t i = 0; i < e->count; i++)
		if (!strcmp(e->sample[i].name, name) && !strcmp(e->sample[i].labels, labels))
			return e->sample[i].value;
	fail_msg("there is no %s{%s}", name, labels);
	return -1;
}

static struct exposition *scrape(struct world *w)
{
	struct client *c = client_new(w);
	struct answer a = client_get(c, "/metrics");
	assert_int_equal(a.status, 200);
	assert_text(answer_field(&a, "Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
	assert_text(answer_field(&a, "Cache-Control"), "no-store");
	return exposition_read(a.body);
}

/* --- What is told ----------------------------------------------------------------------------- */

static void answers_are_counted_by_route_and_status(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	for (int i = 0; i < 3; i++)
		client_get(c, "/text");
	client_get(c, "/echo/a");
	client_get(c, "/echo/b");
	client_get(c, "/error");
	client_get(c, "/site.css");
	client_get(c, "/nowhere");
	client_ask(c, "POST", "/text", "", "");
	client_text(c, "GET / HTTP/1.1\r\nno field\r\n\r\n");
	client_answer(c);
	struct exposition *e = scrape(w);
	assert_true(value_of(e, "http_responses_total", "method=\"GET\",route=\"/text\",code=\"2xx\"") == 3);
	assert_true(value_of(e, "http_responses_total", "method=\"GET\",route=\"/echo/{name}\",code=\"2xx\"") == 2);
	assert_true(value_of(e, "http_responses_total", "method=\"GET\",route=\"/error\",code=\"4xx\"")
		+ value_of(e, "http_responses_total", "method=\"GET\",route=\"/error\",code=\"5xx\"") == 1);
	assert_true(value_of(e, "http_responses_total", "route=\"files\",code=\"2xx\"") == 1);
	assert_true(value_of(e, "http_responses_total", "route=\"none\",code=\"4xx\"") == 3);
	assert_true(value_of(e, "http_request_duration_seconds_count", "method=\"GET\",route=\"/text\"") == 3);
	assert_true(value_of(e, "http_requests_total", "") == 10); /* the malformed one is none */
	assert_true(value_of(e, "pool_items_used", "pool=\"fibers\"") == 1);
	assert_true(value_of(e, "pool_items", "pool=\"blocks\"") == 64);
	assert_true(value_of(e, "tcp_passive_opens_total", "") == 2);
	free(e);
	e = scrape(w);
	assert_true(value_of(e, "http_responses_total", "method=\"GET\",route=\"/metrics\",code=\"2xx\"") == 1);
	free(e);
	world_end(w);
}

static void a_duration_is_that_of_the_answer_not_of_the_wire(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w), *half = client_new(w);
	client_text(c, GET_WAIT);
	world_pass(w, 300 * MS);
	fiber_queue_wake_one(&w->gate);
	client_answer(c);
	client_text(half, "GET /text HT");
	world_pass(w, 700 * MS);
	client_text(half, "TP/1.1\r\nHost: t\r\n\r\n");
	client_answer(half);
	struct exposition *e = scrape(w);
	const char *wait = "method=\"GET\",route=\"/wait\"", *text = "method=\"GET\",route=\"/text\"";
	double sum = value_of(e, "http_request_duration_seconds_sum", wait);
	assert_true(sum > 0.28 && sum < 0.32);
	assert_true(value_of(e, "http_request_duration_seconds_bucket", "method=\"GET\",route=\"/wait\",le=\"0.25\"") == 0);
	assert_true(value_of(e, "http_request_duration_seconds_bucket", "method=\"GET\",route=\"/wait\",le=\"0.5\"") == 1);
	sum = value_of(e, "http_request_duration_seconds_sum", text); /* from the first byte on */
	assert_true(sum > 0.68 && sum < 0.72);
	free(e);
	/* A client that does not read makes no request long. */
	struct client *slow = client_new(w);
	slow->stalled = true;
	client_text(slow, "GET /big.bin HTTP/1.1\r\nHost: t\r\n\r\n");
	world_pass(w, 5 * SECOND);
	e = scrape(w);
	assert_true(value_of(e, "http_request_duration_seconds_count", "route=\"files\"") == 1);
	assert_true(value_of(e, "http_request_duration_seconds_sum", "route=\"files\"") < 0.1);
	free(e);
	world_end(w);
}

static void copied_bytes_are_told_apart_from_those_of_files(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	struct answer a = client_get(c, "/big.bin");
	assert_int_equal(a.body.len, BIG_LEN);
	client_ask(c, "HEAD", "/text", "", "");
	a = client_get(c, "/stream/lines?n=1000");
	double lines = (double)a.body.len;
	struct exposition *e = scrape(w);
	assert_true(value_of(e, "http_response_body_bytes_sum", "route=\"files\"") == BIG_LEN);
	double copied = value_of(e, "http_response_copied_bytes_sum", "route=\"files\"");
	assert_true(copied > 0 && copied < 200); /* what varies of the head */
	assert_true(value_of(e, "http_response_body_bytes_sum", "method=\"GET\",route=\"/text\"") == 0);
	assert_true(value_of(e, "http_response_body_bytes_sum", "method=\"GET\",route=\"/stream/lines\"") == lines);
	copied = value_of(e, "http_response_copied_bytes_sum", "method=\"GET\",route=\"/stream/lines\"");
	assert_true(copied > lines && copied < lines + 300);
	free(e);
	world_end(w);
}

static void answers_that_are_cut_or_come_too_late_are_told(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w), *gone = client_new(w), *waiting[8];
	client_text(c, "GET /stream/cut?flush=1 HTTP/1.1\r\nHost: t\r\n\r\n");
	client_text(gone, "GET /stream/endless HTTP/1.1\r\nHost: t\r\n\r\n");
	world_pass(w, 100 * MS);
	client_reset(gone);
	world_pass(w, 100 * MS);
	for (size_t i = 0; i < ARRAY_LEN(waiting); i++) {
		waiting[i] = client_new(w);
		client_text(waiting[i], GET_WAIT);
		world_pass(w, MS);
	}
	for (size_t i = 0; i < ARRAY_LEN(waiting); i++) /* at the gate, and before it */
		client_reset(waiting[i]);
	world_pass(w, 100 * MS);
	while (w->at_gate) {
		fiber_queue_wake_one(&w->gate);
		world_pass(w, MS);
	}
	struct exposition *e = scrape(w);
	assert_true(value_of(e, "http_responses_total", "method=\"GET\",route=\"/stream/cut\",code=\"5xx\"") == 1);
	assert_true(value_of(e, "http_responses_total", "method=\"GET\",route=\"/stream/endless\",code=\"4xx\"") == 1);
	assert_true(value_of(e, "http_responses_total", "method=\"GET\",route=\"/wait\",code=\"4xx\"") == 8);
	free(e);
	world_end(w);
}

static void a_label_is_escaped(void **state)
{
	(void)state;
	struct world *w = start();
	struct exposition *e = scrape(w);
	assert_true(value_of(e, "http_responses_total", "method=\"GET\",route=\"/quote\\\"d\\\\path\",code=\"2xx\"") == 0);
	free(e);
	world_end(w);
}

static void the_database_is_in_it(void **state)
{
	(void)state;
	struct world *w = world_new((struct world_options){.seed = 3, .database = true});
	struct client *c = client_new(w);
	struct exposition *before = scrape(w);
	assert_int_equal(client_ask(c, "POST", "/sql/add?name=a", "", "").status, 303);
	struct exposition *e = scrape(w);
	assert_true(value_of(e, "store_flushes_total", "") == value_of(before, "store_flushes_total", "") + 1);
	assert_true(value_of(e, "store_written_bytes_total", "") > 0);
	assert_true(value_of(e, "store_read_only", "") == 0);
	assert_true(value_of(e, "sql_memory_used_bytes", "") > 0);
	free(before);
	free(e);
	world_end(w);
}

/* --- Health ----------------------------------------------------------------------------------- */

static void health_needs_no_fiber(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w), *busy[8];
	for (size_t i = 0; i < ARRAY_LEN(busy); i++) {
		busy[i] = client_new(w);
		client_text(busy[i], GET_WAIT);
		world_pass(w, MS);
	}
	assert_int_equal(w->at_gate, 6);
	struct answer a = client_get(c, "/healthz");
	assert_int_equal(a.status, 200);
	assert_text(a.body, "ok\n");
	assert_text(answer_field(&a, "Cache-Control"), "no-store");
	a = client_get(c, "/readyz");
	assert_int_equal(a.status, 200);
	assert_text(a.body, "ready\n");
	assert_int_equal(client_ask(c, "POST", "/healthz", "", "x").status, 405);
	assert_int_equal(client_ask(c, "GET", "/healthz", "", "a body").status, 200);
	assert_int_equal(client_get(c, "/healthz").status, 200);
	while (w->at_gate) {
		fiber_queue_wake_one(&w->gate);
		world_pass(w, MS);
	}
	world_end(w);
}

static void a_machine_that_stops_is_not_ready(void **state)
{
	(void)state;
	struct world *w = start();
	struct client *c = client_new(w);
	client_text(c, "GET /readyz HTTP/1.1\r\nHo");
	world_pass(w, 100 * MS);
	server_drain(w->server);
	client_text(c, "st: t\r\n\r\n");
	struct answer a = client_answer(c);
	assert_int_equal(a.status, 503);
	assert_has(a.body, "about to stop");
	world_end(w);
}

static void a_database_that_takes_no_changes_is_not_ready(void **state)
{
	(void)state;
	struct world *w = world_new((struct world_options){.seed = 3, .database = true});
	struct client *c = client_new(w);
	assert_int_equal(client_get(c, "/readyz").status, 200);
	w->disk.fail_flush_at = 1;
	w->disk.fail_from = true;
	w->database_broken = true;
	client_ask(c, "POST", "/sql/add?name=lost", "", "");
	struct answer a = client_get(c, "/readyz");
	assert_int_equal(a.status, 503);
	assert_has(a.body, "database takes no changes");
	assert_int_equal(client_get(c, "/healthz").status, 200);
	struct exposition *e = scrape(w);
	assert_true(value_of(e, "store_read_only", "") == 1);
	free(e);
	world_end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_counted_by_route_and_status),
		cmocka_unit_test(a_duration_is_that_of_the_answer_not_of_the_wire),
		cmocka_unit_test(copied_bytes_are_told_apart_from_those_of_files),
		cmocka_unit_test(answers_that_are_cut_or_come_too_late_are_told),
		cmocka_unit_test(a_label_is_escaped),
		cmocka_unit_test(the_database_is_in_it),
		cmocka_unit_test(health_needs_no_fiber),
		cmocka_unit_test(a_machine_that_stops_is_not_ready),
		cmocka_unit_test(a_database_that_takes_no_changes_is_not_ready),
	};
	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
