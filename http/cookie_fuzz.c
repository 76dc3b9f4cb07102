/* Cookies over arbitrary bytes. The first byte of the input says how long the name is that is looked for, the rest is a
 * Cookie field; the same bytes, cut into four, are also the parts of a cookie to be set.
 *
 * Oracles: what is found is what a search from the specification's words finds, and lies within the field; a cookie
 * that is written holds no byte that could end it, and is found again as it was, between others. */
#include <http/cookie.h>

#include <stdlib.h>
#include <string.h>
#include <base/assert.h>
#include <base/cursor.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t memory[1 << 16];

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* From one '=' to the next ';' on both sides of it, byte by byte. */
static struct slice search(struct slice field, struct slice name)
{
	for (size_t start = 0, end; start <= field.len && name.len; start = end + 1) {
		for (end = start; end < field.len && field.ptr[end] != ';'; end++)
			;
		size_t from = start, eq = start, to = end;
		while (eq < end && field.ptr[eq] != '=')
			eq++;
		if (eq == end)
			continue;
		size_t name_end = eq++;
		while (from < name_end && is_blank(field.ptr[from]))
			from++;
		while (name_end > from && is_blank(field.ptr[name_end - 1]))
			name_end--;
		while (eq < to && is_blank(field.ptr[eq]))
			eq++;
		while (to > eq && is_blank(field.ptr[to - 1]))
			to--;
		if (name_end - from != name.len || memcmp(field.ptr + from, name.ptr, name.len) != 0)
			continue;
		if (to - eq >= 2 && field.ptr[eq] == '"' && field.ptr[to - 1] == '"')
			return slice_of(field.ptr + eq + 1, to - eq - 2);
		return slice_of(field.ptr + eq, to - eq);
	}
	return (struct slice){NULL, 0};
}

static void check_found(struct slice field, struct slice name)
{
	struct slice value = http_cookie_find(field, name), other = search(field, name);
	ASSERT(!value.ptr == !other.ptr && slice_eq(value, other));
	ASSERT(!value.ptr || (value.ptr >= field.ptr && value.ptr + value.len <= field.ptr + field.len));
}

static void check_written(const struct http_cookie *c, struct slice text)
{
	static uint8_t field[1 << 15];
	struct writer w = writer_of(field, sizeof field);
	for (size_t i = 0; i < text.len; i++)
		ASSERT(text.ptr[i] >= 0x20 && text.ptr[i] < 0x7f);
	struct slice pair = slice_sub(text, 0, slice_index(text, ';'));
	ASSERT(pair.len == c->name.len + 1 + c->value.len);
	write_bytes(&w, SLICE("a; =b; "));
	write_bytes(&w, pair);
	write_bytes(&w, SLICE(";c=d"));
	struct slice again = http_cookie_find(writer_slice(&w), c->name);
	ASSERT(!w.failed && again.ptr && slice_eq(again, c->value));
}

static void check_set(const uint8_t *data, size_t size)
{
	size_t part = size / 4;
	struct arena arena;
	struct slice text;
	struct http_cookie c = {
		.name = slice_of(data, part), .value = slice_of(data + part, part),
		.path = slice_of(data + 2 * part, part), .domain = slice_of(data + 3 * part, part),
		.secure = size & 1, .http_only = size & 2, .has_max_age = size & 4, .has_expires = size & 8,
		.max_age_s = (int64_t)size - 100, .expires_s = (int64_t)((uint64_t)size << (size & 63)),
		.same_site = (enum http_same_site)(size >> 4 & 3),
	};
	for (int i = 0; i < 3; i++) {
		arena_init(&arena, memory, sizeof memory, NULL, 0);
		bool right = !http_cookie_problem(&c);
		ASSERT(right == !failed(http_cookie_format(&c, &arena, &text)));
		if (right)
			check_written(&c, text);
		/* With more of it right than chance makes it. */
		c.path = c.domain = (struct slice){NULL, 0};
		if (i)
			c.name = SLICE("name");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size || size > 8192)
		return 0;
	size_t name_len = data[0] < size ? data[0] : size - 1;
	uint8_t *name = malloc(name_len + 1), *field = malloc(size - name_len);
	memcpy(name, data + 1, name_len);
	memcpy(field, data + 1 + name_len, size - 1 - name_len);
	check_found(slice_of(field, size - 1 - name_len), slice_of(name, name_len));
	check_set(data, size);
	free(name);
	free(field);
	return 0;
}
