/* Text is taken in windows. A window without a special byte is referenced in place (and joins the
 * segment before it, as it follows it in memory); only a window with one is copied. */
#include "escape.h"

#include <string.h>
#include <base/cursor.h>

err output_add(struct page_output *out, struct slice bytes)
{
	if (page_output_add(out, bytes))
		return OK;
	return out->segment_count >= PAGE_SEGMENTS_MAX ? ERR(TOO_LARGE) : ERR(NO_MEMORY);
}

static struct slice html_of(uint8_t c)
{
	switch (c) {
	case '&':
		return SLICE("&amp;");
	case '<':
		return SLICE("&lt;");
	case '>':
		return SLICE("&gt;");
	case '"':
		return SLICE("&quot;");
	case '\'':
		return SLICE("&#39;");
	default:
		return (struct slice){NULL, 0};
	}
}

/* How deep lists and objects may nest that a script is given as JSON; more is ERR_TOO_LARGE. */
#define JSON_DEPTH_MAX 16

/* A bit for each way of escaping in which the byte does not stand for itself.
 * URL: all but the unreserved characters of RFC 3986, 2.3. JSON: also what ends a script or a
 * string of any kind, and 0xe2, which may begin U+2028 or U+2029, line ends in the strings of older
 * JavaScript. */
#define HTML_BIT 1
#define URL_BIT 2
#define JSON_BIT 4
#define ALL (HTML_BIT | URL_BIT | JSON_BIT)
#define EIGHT(v) v, v, v, v, v, v, v, v

static const uint8_t special[256] = {
	/* clang-format off */
	EIGHT(URL_BIT | JSON_BIT), EIGHT(URL_BIT | JSON_BIT),
	EIGHT(URL_BIT | JSON_BIT), EIGHT(URL_BIT | JSON_BIT),
	/* SP ! " # */ URL_BIT, URL_BIT, ALL, URL_BIT,
	/* $ % & ' */ URL_BIT | JSON_BIT, URL_BIT, ALL, ALL,
	/* ( ) * + , - . / */ URL_BIT, URL_BIT, URL_BIT, URL_BIT, URL_BIT, 0, 0, URL_BIT,
	/* digits */ EIGHT(0), 0, 0,
	/* : ; < = > ? */ URL_BIT, URL_BIT, ALL, URL_BIT, ALL, URL_BIT,
	/* @ */ URL_BIT, 0, 0, 0, 0, 0, 0, 0, EIGHT(0), EIGHT(0),
	/* X Y Z [ \ ] ^ _ */ 0, 0, 0, URL_BIT, URL_BIT | JSON_BIT, URL_BIT, URL_BIT, 0,
	/* ` */ URL_BIT | JSON_BIT, 0, 0, 0, 0, 0, 0, 0, EIGHT(0), EIGHT(0),
	/* x y z { | } ~ DEL */ 0, 0, 0, URL_BIT, URL_BIT, URL_BIT, 0, URL_BIT | JSON_BIT,
	EIGHT(URL_BIT), EIGHT(URL_BIT), EIGHT(URL_BIT), EIGHT(URL_BIT),
	EIGHT(URL_BIT), EIGHT(URL_BIT), EIGHT(URL_BIT), EIGHT(URL_BIT),
	EIGHT(URL_BIT), EIGHT(URL_BIT), EIGHT(URL_BIT), EIGHT(URL_BIT),
	/* 0xe0 */ URL_BIT, URL_BIT, URL_BIT | JSON_BIT, URL_BIT,
	URL_BIT, URL_BIT, URL_BIT, URL_BIT,
	EIGHT(URL_BIT), EIGHT(URL_BIT), EIGHT(URL_BIT),
	/* clang-format on */
};

static uint8_t bit_of(enum page_escape how)
{
	if (how == PAGE_ESCAPE_NONE)
		return 0;
	return how == PAGE_ESCAPE_URL ? URL_BIT : how == PAGE_ESCAPE_JSON ? JSON_BIT : HTML_BIT;
}

static bool is_plain(enum page_escape how, uint8_t c)
{
	return (special[c] & bit_of(how)) == 0;
}

static void write_json(struct writer *w, uint8_t c)
{
	write_bytes(w, SLICE("\\u00"));
	write_hex(w, c, 2);
}

static void write_escaped(struct writer *w, enum page_escape how, uint8_t c)
{
	if (is_plain(how, c)) {
		write_u8(w, c);
	} else if (how == PAGE_ESCAPE_URL) {
		static const char digit[] = "0123456789ABCDEF";
		write_u8(w, '%');
		write_u8(w, (uint8_t)digit[c >> 4]);
		write_u8(w, (uint8_t)digit[c & 15]);
	} else if (how == PAGE_ESCAPE_JSON) {
		if (c == 0xe2) /* the line separators were dealt with before */
			write_u8(w, c);
		else
			write_json(w, c);
	} else {
		write_bytes(w, html_of(c));
	}
}

static bool is_line_separator(struct slice s, size_t i)
{
	return s.len - i >= 3 && s.ptr[i] == 0xe2 && s.ptr[i + 1] == 0x80 &&
	       (s.ptr[i + 2] == 0xa8 || s.ptr[i + 2] == 0xa9);
}

/* Sixteen bytes at once (the compiler's vectors, not an instruction set's). */
typedef uint8_t bytes16 __attribute__((vector_size(16)));

static bool html_is_plain16(const uint8_t *low, const uint8_t *high)
{
	uint64_t half[2];
	bytes16 v;
	memcpy(&half[0], low, 8);
	memcpy(&half[1], high, 8);
	memcpy(&v, half, sizeof v);
	v = (bytes16)((v == '&') | (v == '<') | (v == '>') | (v == '"') | (v == '\''));
	memcpy(half, &v, sizeof v);
	return (half[0] | half[1]) == 0;
}

/* At least 8 bytes. The last step overlaps the one before it. */
static bool html_is_plain(struct slice s)
{
	size_t i = 0;
	for (; s.len - i >= 16; i += 16)
		if (!html_is_plain16(s.ptr + i, s.ptr + i + 8))
			return false;
	size_t low = s.len - i >= 8 ? i : s.len - 8;
	return html_is_plain16(s.ptr + low, s.ptr + s.len - 8);
}

static bool window_is_plain(enum page_escape how, struct slice s)
{
	uint8_t found = 0;
	if (s.len >= 8 && bit_of(how) == HTML_BIT)
		return html_is_plain(s);
	for (size_t i = 0; i < s.len; i++)
		found |= special[s.ptr[i]];
	return (found & bit_of(how)) == 0;
}

static err add_copy(struct page_output *out, struct slice bytes)
{
	struct slice copy = arena_copy(out->arena, bytes);
	if (bytes.len && !copy.len)
		return ERR(NO_MEMORY);
	out->bytes_copied += copy.len;
	return output_add(out, copy);
}

/* Escapes from s[from] on until the window's end; gives where the next window starts. */
static size_t escape_window(struct writer *w, enum page_escape how, struct slice s, size_t from)
{
	size_t i = from;
	while (i < s.len && i < from + ESCAPE_WINDOW) {
		if (how == PAGE_ESCAPE_JSON && is_line_separator(s, i)) {
			write_bytes(w, s.ptr[i + 2] == 0xa8 ? SLICE("\\u2028") : SLICE("\\u2029"));
			i += 3;
		} else {
			write_escaped(w, how, s.ptr[i++]);
		}
	}
	return i;
}

static err add_text(struct page_output *out, enum page_escape how, struct slice s)
{
	if (how == PAGE_ESCAPE_NONE)
		return output_add(out, s);
	for (size_t from = 0; from < s.len;) {
		struct slice window = slice_sub(s, from, ESCAPE_WINDOW);
		if (window_is_plain(how, window)) {
			TRY(output_add(out, window));
			from += window.len;
			continue;
		}
		uint8_t buf[ESCAPE_WINDOW * ESCAPE_GROWTH + 8];
		struct writer w = writer_of(buf, sizeof buf);
		from = escape_window(&w, how, s, from);
		TRY(add_copy(out, writer_slice(&w)));
	}
	return OK;
}

/* RFC 3986, 3.1: what stands before the first ":" is a scheme when it comes before any "/", "?",
 * "#". Browsers drop tabs and newlines within it and controls before it, so any byte that is not a
 * scheme's own makes it unsafe. */
static bool link_is_safe(struct slice s)
{
	static const struct slice safe[] = {
		SLICE_INIT("http"), SLICE_INIT("https"), SLICE_INIT("mailto"), SLICE_INIT("tel")};
	size_t end = 0;
	while (end < s.len && !memchr(":/?#", s.ptr[end], 4))
		end++;
	if (end == s.len || s.ptr[end] != ':')
		return true;
	for (size_t i = 0; i < ARRAY_LEN(safe); i++)
		if (slice_eq_nocase(slice_sub(s, 0, end), safe[i]))
			return true;
	return false;
}

static err add_string(struct page_output *out, enum page_escape how, struct slice s)
{
	if (how == PAGE_ESCAPE_LINK)
		return add_text(out, PAGE_ESCAPE_ATTRIBUTE, link_is_safe(s) ? s : SLICE("#"));
	if (how != PAGE_ESCAPE_JSON)
		return add_text(out, how, s);
	TRY(output_add(out, SLICE("\"")));
	TRY(add_text(out, how, s));
	return output_add(out, SLICE("\""));
}

static err add_number(struct page_output *out, int64_t value, unsigned decimals)
{
	uint8_t buf[24];
	struct writer w = writer_of(buf, sizeof buf);
	uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value, scale = 1;
	for (unsigned i = 0; i < decimals; i++)
		scale *= 10;
	if (value < 0)
		write_u8(&w, '-');
	write_dec(&w, magnitude / scale);
	if (decimals) {
		write_u8(&w, '.');
		write_dec_padded(&w, magnitude % scale, decimals);
	}
	return add_copy(out, writer_slice(&w));
}

static err add_scalar(struct page_output *out, enum page_escape how, const struct page_value *v)
{
	switch ((enum page_type)v->type) {
	case PAGE_BOOL:
		return output_add(out, v->boolean ? SLICE("true") : SLICE("false"));
	case PAGE_INT:
		return add_number(out, v->as.integer, 0);
	case PAGE_DECIMAL:
		return add_number(out, v->as.integer, v->decimals);
	case PAGE_TEXT:
		return add_string(out, how, v->as.text);
	case PAGE_HTML: /* trusted as text of a page; in other places it is text like any other */
		return how == PAGE_ESCAPE_HTML ? output_add(out, v->as.text)
					       : add_string(out, how, v->as.text);
	case PAGE_NULL:
	case PAGE_LIST:
	case PAGE_OBJECT:
		break;
	}
	return how == PAGE_ESCAPE_JSON ? output_add(out, SLICE("null")) : OK;
}

/* Recursive, but never deeper than JSON_DEPTH_MAX. */
static err add_json(struct page_output *out, const struct page_value *v, unsigned depth)
{
	bool object = v && v->type == PAGE_OBJECT;
	if (!v)
		return output_add(out, SLICE("null"));
	if (!object && v->type != PAGE_LIST)
		return add_scalar(out, PAGE_ESCAPE_JSON, v);
	if (depth == JSON_DEPTH_MAX)
		return ERR(TOO_LARGE);
	TRY(output_add(out, object ? SLICE("{") : SLICE("[")));
	for (const struct page_value *c = v->as.children.first; c; c = c->next) {
		if (c != v->as.children.first)
			TRY(output_add(out, SLICE(",")));
		if (object) {
			TRY(add_string(out, PAGE_ESCAPE_JSON, c->name));
			TRY(output_add(out, SLICE(":")));
		}
		TRY(add_json(out, c, depth + 1));
	}
	return output_add(out, object ? SLICE("}") : SLICE("]"));
}

err escape_add(struct page_output *out, enum page_escape how, const struct page_value *v)
{
	if (how == PAGE_ESCAPE_JSON)
		return add_json(out, v, 0);
	return v ? add_scalar(out, how, v) : OK;
}
