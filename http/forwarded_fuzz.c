/* Forwarded, X-Forwarded-For and X-Forwarded-Proto with arbitrary values: three lines of input. Oracles: what comes out
 * lies in the head; and whatever a client sends, what its proxy adds behind it is the nearest hop, or the field is
 * malformed. */
#include <http/forwarded.h>

#include <base/assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t text[8000], memory[4096];
static size_t text_len;
static struct http_request request;

static void put(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		text[text_len++] = s.ptr[i];
}

/* A field with the next line of the input, and then `added`; control characters, which end a head, become blanks. */
static void put_field(struct slice name, struct slice *input, struct slice added)
{
	struct slice value = slice_sub(*input, 0, slice_index(*input, '\n'));
	*input = slice_sub(*input, value.len + 1, input->len);
	put(name);
	size_t from = text_len;
	put(slice_sub(value, 0, 2000));
	for (size_t i = from; i < text_len; i++)
		if ((text[i] < 0x20 && text[i] != '\t') || text[i] == 0x7f)
			text[i] = ' ';
	put(added);
	put(SLICE("\r\n"));
}

static void parse(struct slice input, struct slice forwarded, struct slice x_forwarded)
{
	struct arena arena;
	struct http_parser p;
	text_len = 0;
	put(SLICE("GET / HTTP/1.1\r\nHost: h\r\n"));
	put_field(SLICE("Forwarded: "), &input, forwarded);
	put_field(SLICE("X-Forwarded-For: "), &input, x_forwarded);
	put_field(SLICE("X-Forwarded-Proto: "), &input, SLICE(""));
	put(SLICE("\r\n"));
	arena_init(&arena, memory, sizeof memory, NULL, 0);
	http_parser_init(&p, &arena, sizeof text);
	ASSERT(http_parse_request(&p, slice_of(text, text_len), &request) == HTTP_DONE);
}

static void is_inside(struct slice s)
{
	ASSERT(!s.len || (s.ptr >= text && s.ptr + s.len <= text + text_len));
}

static void hops_check(const struct http_hops *hops)
{
	ASSERT(hops->count <= HTTP_HOPS_MAX);
	is_inside(hops->proto);
	for (uint32_t i = 0; i < hops->count; i++) {
		is_inside(hops->hop[i].node);
		is_inside(hops->hop[i].proto);
	}
}

/* What proxies of good manners add, in several forms. */
static const struct slice additions[] = {
	SLICE_INIT(", for=192.0.2.1"),
	SLICE_INIT(", for=192.0.2.1;proto=https"),
	SLICE_INIT(",for=\"192.0.2.1:80\";by=\"_x\";proto=https"),
	SLICE_INIT(", by=\"[2001:db8::1]:80\";for=\"192.0.2.1\";host=\"a.b:80\""),
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_hops hops;
	struct slice input = slice_of(data, size);
	parse(input, SLICE(""), SLICE(""));
	if (http_forwarded(&request, &hops))
		hops_check(&hops);
	ASSERT(http_x_forwarded(&request, &hops));
	hops_check(&hops);
	for (size_t i = 0; i < ARRAY_LEN(additions); i++) {
		parse(input, additions[i], SLICE(", 192.0.2.1"));
		if (http_forwarded(&request, &hops))
			ASSERT(hops.count >= 1 && slice_eq(hops.hop[0].node, SLICE("192.0.2.1")));
		ASSERT(http_x_forwarded(&request, &hops));
		ASSERT(hops.count >= 1 && slice_eq(hops.hop[0].node, SLICE("192.0.2.1")));
	}
	return 0;
}
