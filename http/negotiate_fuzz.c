/* Range, Accept-Encoding and the conditions with arbitrary values: three lines of input. Whatever they
 * hold, ranges lie within the representation, apart from each other, and together cost less than it; a
 * single range and several agree where there is one. */
#include <http/coding.h>
#include <http/conditional.h>

#include <base/assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t text[5000], memory[4096];
static struct http_request request;

static size_t put(size_t at, struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		text[at + i] = s.ptr[i];
	return at + s.len;
}

/* A field with the next line of the input; control characters, which end a head, become blanks. */
static size_t put_field(size_t at, struct slice name, struct slice *input)
{
	struct slice value = slice_sub(*input, 0, slice_index(*input, '\n'));
	*input = slice_sub(*input, value.len + 1, input->len);
	at = put(at, name);
	size_t from = at;
	at = put(at, slice_sub(value, 0, 1000));
	for (size_t i = from; i < at; i++)
		if (text[i] < 0x20 || text[i] == 0x7f)
			text[i] = ' ';
	return put(at, SLICE("\r\n"));
}

static bool parse(struct slice input)
{
	struct arena arena;
	struct http_parser p;
	size_t at = put(0, SLICE("GET / HTTP/1.1\r\nHost: h\r\n"));
	at = put_field(at, SLICE("Range: "), &input);
	at = put_field(at, SLICE("Accept-Encoding: "), &input);
	at = put_field(at, SLICE("If-None-Match: "), &input);
	at = put_field(at, SLICE("If-Range: "), &input);
	at = put(at, SLICE("\r\n"));
	arena_init(&arena, memory, sizeof memory, NULL, 0);
	http_parser_init(&p, &arena, sizeof text);
	return http_parse_request(&p, slice_of(text, at), &request) == HTTP_DONE;
}

static void check_ranges(uint64_t size)
{
	struct http_validators v = {SLICE("\"a\""), 784111777, true};
	struct http_range r[HTTP_RANGES_MAX], one;
	uint32_t count;
	uint64_t total = 0;
	enum http_range_result all = http_ranges_evaluate(&request, &v, size, 784112777, r, &count);
	enum http_range_result single = http_range_evaluate(&request, &v, size, 784112777, &one);
	ASSERT(single == HTTP_RANGE_WHOLE || single == all);
	if (all != HTTP_RANGE_PARTIAL)
		return;
	ASSERT(count >= 1 && count <= HTTP_RANGES_MAX);
	ASSERT(single != HTTP_RANGE_PARTIAL || (count == 1 && one.from == r[0].from && one.len == r[0].len));
	for (uint32_t i = 0; i < count; i++) {
		ASSERT(r[i].len > 0 && r[i].from < size && r[i].len <= size - r[i].from);
		for (uint32_t j = 0; j < i; j++)
			ASSERT(r[i].from > r[j].from + r[j].len || r[j].from > r[i].from + r[i].len);
		total += r[i].len;
	}
	ASSERT(total <= size && (count == 1 || total < size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_validators v = {SLICE("\"a\""), HTTP_DATE_NONE, true};
	uint16_t weight[HTTP_CODING_COUNT];
	if (size < 2 || !parse(slice_of(data + 2, size - 2)))
		return 0;
	check_ranges((uint64_t)data[0] << (data[1] & 15));
	http_accept_encoding(&request, weight);
	for (unsigned i = 0; i < HTTP_CODING_COUNT; i++)
		ASSERT(weight[i] <= 1001);
	ASSERT(http_condition_evaluate(&request, &v, 784112777) != HTTP_CONDITION_FAILED);
	return 0;
}
