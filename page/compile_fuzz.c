/* Templates of arbitrary bytes through the compiler, linker, renderer and emitter. The input holds
 * two templates that know each other, and their first byte chooses the options.
 *
 * What must hold, besides no fault: a template that compiles renders to an end or to a limit;
 * static text is never counted as copied; and where a value stands in checked HTML text, its "<" is
 * escaped. */
#include <page/compile.h>
#include <page/render.h>

#include <stdlib.h>
#include <base/assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static _Alignas(16) uint8_t memory[4u << 20];

static void discard(struct page_sink *sink, struct slice s)
{
	(void)sink;
	ASSERT(s.len == 0 || s.ptr);
}

static struct page_value *values(struct arena *arena)
{
	struct page_value *root = page_object(arena), *list = page_set_list(root, "l");
	page_set_text(root, "a", SLICE("\x01<a&\"'"));
	page_set_text(root, "b", SLICE("javascript:\x01<b"));
	page_set_text(root, "p", SLICE("q"));
	page_set_object(root, "o");
	for (int i = 0; i < 2; i++)
		page_set_int(page_list_add(list), "a", i);
	return root;
}

/* Values are marked with a byte 1 before their "<". In checked templates without triples no such
 * pair reaches the page. */
static void check_segments(const struct page_output *out, bool escaped)
{
	uint64_t total = 0;
	uint8_t last = 0;
	for (const struct page_chunk *c = out->first; c; c = c->next) {
		ASSERT(c->count > 0 && c->count <= PAGE_CHUNK_SEGMENTS);
		for (uint32_t i = 0; i < c->count; i++) {
			struct slice s = c->segment[i];
			ASSERT(s.len > 0);
			total += s.len;
			for (size_t k = 0; k < s.len; k++) {
				ASSERT(!escaped || last != 1 || s.ptr[k] != '<');
				last = s.ptr[k];
			}
		}
	}
	ASSERT(total == out->byte_count && out->bytes_copied <= total);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;
	struct page_compiler c;
	struct page_output out;
	struct page_sink sink = {discard};
	if (size < 1 || size > 4096)
		return 0;
	struct slice input = slice_of(data + 1, size - 1);
	size_t cut = slice_index(input, 0);
	/* The marker must come from values alone, and no value may be shown raw. */
	bool marked = slice_index(input, 1) < input.len || slice_index(input, '{') == input.len;
	for (size_t i = 0; i + 1 < input.len; i++)
		marked |= input.ptr[i] == '&' || input.ptr[i] == '=' ||
			  (input.ptr[i] == '{' && input.ptr[i + 1] == '{' && i + 2 < input.len &&
				  input.ptr[i + 2] == '{');
	for (size_t i = 0; i + 1 < input.len; i++) /* {{ {x}}} is a triple as well */
		marked |= input.ptr[i] == '{' && input.ptr[i + 1] != '{' &&
			  (i == 0 || input.ptr[i - 1] != '{');
	arena_init(&arena, memory, sizeof memory, NULL, 0);
	page_compiler_init(&c, &arena);
	c.plain = data[0] & 1;
	c.allow_missing = data[0] & 2;
	err a = page_compile(&c, SLICE("p"), SLICE("p"), slice_sub(input, 0, cut));
	err b = page_compile(&c, SLICE("q"), SLICE("q"), slice_sub(input, cut + 1, input.len));
	err l = page_compile_link(&c);
	for (const struct page_diagnostic *d = c.first_diagnostic; d; d = d->next)
		page_diagnostic_write(d, &sink);
	if (failed(a) || failed(b) || failed(l)) {
		ASSERT(c.diagnostic_count > 0 || arena.exhausted);
		return 0;
	}
	page_emit_c(&c, &sink);
	page_output_init(&out, &arena);
	err e = page_render(page_compiled(&c, SLICE("p")), values(&arena), &out);
	ASSERT(!failed(e) || e.code == ERR_TOO_LARGE ||
		(e.code == ERR_NO_MEMORY && arena.exhausted));
	check_segments(&out, !marked);
	return 0;
}
