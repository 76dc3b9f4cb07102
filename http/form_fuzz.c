/* Forms, percent-coding, dates, ranges and entity tags over arbitrary bytes. Oracles:
 * decoding never grows, encoding and decoding are inverse, a date that parses is written and read
 * as itself, a range lies within its representation, views lie within their input. */
#include <http/conditional.h>
#include <http/form.h>

#include <stdlib.h>
#include <string.h>
#include <base/assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t memory[1 << 17];
static struct arena arena;

static void check_form(struct slice text)
{
	struct http_form f;
	size_t total = 0;
	arena_init(&arena, memory, sizeof memory, NULL, 0);
	if (failed(http_form_parse(text, 100, &arena, &f)))
		return;
	ASSERT(f.count <= 100);
	for (uint32_t i = 0; i < f.count; i++) {
		total += f.field[i].name.len + f.field[i].value.len;
		ASSERT(http_form_get(&f, f.field[i].name).ptr);
	}
	ASSERT(total <= text.len);
}

static void check_percent(struct slice text)
{
	static uint8_t buf[3 * 4096];
	struct writer w = writer_of(buf, sizeof buf);
	struct slice back;
	arena_init(&arena, memory, sizeof memory, NULL, 0);
	http_percent_encode(&w, text);
	ASSERT(!w.failed && !failed(http_percent_decode(writer_slice(&w), &arena, &back)));
	ASSERT(slice_eq(back, text));
	if (!failed(http_percent_decode(text, &arena, &back)))
		ASSERT(back.len <= text.len);
}

static void check_date(struct slice text)
{
	int64_t a, b;
	uint8_t out[HTTP_DATE_LEN];
	if (!http_date_parse(text, 1700000000, &a) || a < 0)
		return;
	http_date_format(a, out);
	ASSERT(http_date_parse(slice_of(out, sizeof out), 1700000000, &b) && a == b);
}

static void check_conditions(struct slice text)
{
	static struct http_request q;
	struct http_validators v = {SLICE("\"a\""), 784111777, true};
	struct http_range r;
	uint8_t buf[72];
	memset(&q, 0, sizeof q);
	q.header_count = 3;
	q.header[0] = (struct http_header){SLICE("if-none-match"), text};
	q.header[1] = (struct http_header){SLICE("if-match"), text};
	q.header[2] = (struct http_header){SLICE("range"), text};
	q.known[HTTP_IF_NONE_MATCH] = 1;
	(void)http_condition_evaluate(&q, &v, 1700000000);
	q.known[HTTP_IF_MATCH] = 2;
	(void)http_condition_evaluate(&q, &v, 1700000000);
	q.known[HTTP_RANGE] = 3;
	if (http_range_evaluate(&q, &v, 1000, 1700000000, &r) == HTTP_RANGE_PARTIAL) {
		ASSERT(r.len > 0 && r.from < 1000 && r.len <= 1000 - r.from);
		ASSERT(http_content_range(buf, r.from, r.len, 1000).len < sizeof buf);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 4096)
		return 0;
	uint8_t *copy = malloc(size ? size : 1);
	if (size)
		memcpy(copy, data, size);
	struct slice text = slice_of(copy, size);
	check_form(text);
	check_percent(text);
	check_date(text);
	check_conditions(text);
	(void)http_utf8_is_valid(text);
	free(copy);
	return 0;
}
