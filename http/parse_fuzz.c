/* Oracle: whatever way a head is split, and wherever its pieces lie, the outcome is the same.
 * Pieces lie in allocations of their exact length, so that the sanitizer sees a read behind their
 * end. */
#include <http/parse.h>

#include <stdlib.h>
#include <string.h>
#include <base/assert.h>

#define LIMIT 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	struct http_parser p;
	struct http_request q;
	struct arena arena;
	uint8_t memory[LIMIT];
	enum http_parse_result result;
	uint8_t *last; /* what the request views into */
};

static void run(struct run *r, struct slice input, size_t first, size_t step)
{
	arena_init(&r->arena, r->memory, sizeof r->memory, NULL, 0);
	http_parser_init(&r->p, &r->arena, LIMIT);
	r->result = HTTP_MORE;
	r->last = NULL;
	for (size_t n = first < input.len ? first : input.len; r->result == HTTP_MORE;) {
		uint8_t *copy = malloc(n ? n : 1);
		if (n)
			memcpy(copy, input.ptr, n);
		r->result = http_parse_request(&r->p, slice_of(copy, n), &r->q);
		free(r->last);
		r->last = copy;
		if (n == input.len)
			break;
		n = input.len - n > step ? n + step : input.len;
	}
}

static void same(struct slice a, struct slice b)
{
	ASSERT(!a.ptr == !b.ptr && slice_eq(a, b));
}

static void path_is_normal(struct slice path)
{
	ASSERT(path.len && (path.ptr[0] == '/' || slice_eq(path, SLICE("*"))));
	for (size_t i = 0; i < path.len; i++) {
		struct slice rest = slice_sub(path, i, path.len);
		ASSERT(path.ptr[i] != 0 && !slice_starts_with(rest, SLICE("//")));
		ASSERT(!slice_starts_with(rest, SLICE("/../")) && !slice_starts_with(rest, SLICE("/./")));
		ASSERT(!slice_eq(rest, SLICE("/..")) && !slice_eq(rest, SLICE("/.")));
	}
}

static void compare(const struct run *a, const struct run *b)
{
	ASSERT(a->result == b->result && a->p.status == b->p.status);
	if (a->result != HTTP_DONE)
		return;
	const struct http_request *q = &a->q, *s = &b->q;
	ASSERT(a->p.head_len == b->p.head_len && q->method == s->method && q->framing == s->framing);
	ASSERT(q->content_length == s->content_length && q->version_minor == s->version_minor);
	ASSERT(q->keep_alive == s->keep_alive && q->expect_continue == s->expect_continue);
	ASSERT(q->header_count == s->header_count && q->known_repeated == s->known_repeated);
	ASSERT(memcmp(q->known, s->known, sizeof q->known) == 0);
	same(q->method_name, s->method_name);
	same(q->target, s->target);
	same(q->path, s->path);
	same(q->query, s->query);
	same(q->host, s->host);
	for (unsigned i = 0; i < q->header_count; i++) {
		same(q->header[i].name, s->header[i].name);
		same(q->header[i].value, s->header[i].value);
		struct slice v = q->header[i].value;
		for (size_t k = 0; k < v.len; k++)
			ASSERT(v.ptr[k] == '\t' || (v.ptr[k] >= 0x20 && v.ptr[k] != 0x7f));
	}
	path_is_normal(q->path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run whole, split;
	if (size < 2)
		return 0;
	struct slice input = slice_of(data + 2, size - 2);
	run(&whole, input, input.len, 1);
	run(&split, input, data[0], (size_t)data[1] + 1);
	compare(&whole, &split);
	free(split.last);
	if (input.len <= 512) {
		run(&split, input, 0, 1);
		compare(&whole, &split);
		free(split.last);
	}
	free(whole.last);
	return 0;
}
