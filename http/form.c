#include <http/form.h>

#include "bytes.h"

enum plus { PLUS_IS_BLANK, PLUS_IS_PLUS };

static bool needs_decoding(struct slice s, enum plus plus)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] == '%' || (plus == PLUS_IS_BLANK && s.ptr[i] == '+'))
			return true;
	return false;
}

/* `strict`: a '%' that begins no escape is refused, else it stands for itself. */
static err decode(struct slice s, enum plus plus, bool strict, struct arena *arena,
	struct slice *out)
{
	if (!needs_decoding(s, plus)) {
		*out = s;
		return OK;
	}
	uint8_t *buf = arena_alloc(arena, s.len);
	if (!buf)
		return ERR(NO_MEMORY);
	size_t n = 0;
	for (size_t i = 0; i < s.len; i++) {
		int escape = percent_escape(s, i);
		uint8_t c = s.ptr[i];
		if (escape >= 0) {
			c = (uint8_t)escape;
			i += 2;
		} else if (c == '%' && strict) {
			return ERR(INVALID);
		} else if (c == '+' && plus == PLUS_IS_BLANK) {
			c = ' ';
		}
		buf[n++] = c;
	}
	*out = slice_of(buf, n);
	return OK;
}

err http_percent_decode(struct slice text, struct arena *arena, struct slice *out)
{
	return decode(text, PLUS_IS_PLUS, true, arena, out);
}

/* The next pair that is not empty; false at the end. */
static bool pair_next(struct slice *rest, struct slice *pair)
{
	while (rest->len) {
		*pair = slice_sub(*rest, 0, slice_index(*rest, '&'));
		*rest = slice_sub(*rest, pair->len + 1, rest->len);
		if (pair->len)
			return true;
	}
	return false;
}

static err pair_parse(struct slice pair, struct arena *arena, struct http_field *f)
{
	size_t eq = slice_index(pair, '=');
	TRY(decode(slice_sub(pair, 0, eq), PLUS_IS_BLANK, false, arena, &f->name));
	return decode(slice_sub(pair, eq + 1, pair.len), PLUS_IS_BLANK, false, arena, &f->value);
}

err http_form_parse(struct slice text, uint32_t fields_max, struct arena *arena,
	struct http_form *out)
{
	struct http_form form = {NULL, 0};
	struct slice pair, rest = text;
	uint32_t count = 0;
	while (pair_next(&rest, &pair))
		if (count++ == fields_max)
			return ERR(TOO_LARGE);
	if (count) {
		form.field = ARENA_NEW_ARRAY(arena, struct http_field, count);
		if (!form.field)
			return ERR(NO_MEMORY);
	}
	for (rest = text; pair_next(&rest, &pair); form.count++)
		TRY(pair_parse(pair, arena, &form.field[form.count]));
	*out = form;
	return OK;
}

struct slice http_form_next(const struct http_form *form, struct slice name, uint32_t *at)
{
	while (*at < form->count) {
		const struct http_field *f = &form->field[(*at)++];
		if (slice_eq(f->name, name))
			return f->value;
	}
	return (struct slice){NULL, 0};
}

struct slice http_form_get(const struct http_form *form, struct slice name)
{
	uint32_t at = 0;
	return http_form_next(form, name, &at);
}

void http_percent_encode(struct writer *w, struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.ptr[i];
		if (byte_is(c, BYTE_UNRESERVED)) {
			write_u8(w, c);
			continue;
		}
		write_u8(w, '%');
		write_u8(w, (uint8_t) "0123456789ABCDEF"[c >> 4]);
		write_u8(w, (uint8_t) "0123456789ABCDEF"[c & 15]);
	}
}

/* The length of the well-formed sequence that starts s, 0 when there is none. The second byte's
 * range depends on the first (RFC 3629 section 4): that keeps out overlong forms and surrogates. */
static size_t utf8_sequence(struct slice s)
{
	uint8_t first = s.ptr[0], low = 0x80, high = 0xbf;
	size_t len = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	if ((first >= 0x80 && first < 0xc2) || first > 0xf4 || len > s.len)
		return 0;
	if (first == 0xe0)
		low = 0xa0;
	else if (first == 0xed)
		high = 0x9f;
	else if (first == 0xf0)
		low = 0x90;
	else if (first == 0xf4)
		high = 0x8f;
	for (size_t i = 1; i < len; i++, low = 0x80, high = 0xbf)
		if (s.ptr[i] < low || s.ptr[i] > high)
			return 0;
	return len;
}

bool http_utf8_is_valid(struct slice text)
{
	while (text.len) {
		size_t n = utf8_sequence(text);
		if (!n)
			return false;
		text = slice_sub(text, n, text.len);
	}
	return true;
}
