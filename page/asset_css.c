/* References in style sheets: url(...) and @import "...".
 *
 * The tokens of CSS Syntax 3 as far as they matter here: comments, strings and url(). A reference is
 * changed only when it means a file of ours without doubt: relative or from the root, without a query,
 * an escape or a percent sign, and there is such a file. Everything else stays as it is, byte for byte;
 * and as plain paths go on to work, a reference that is left alone is never a broken one. */
#include "asset.h"

#include <base/cursor.h>

#define PATH_MAX_LEN 1024

struct css {
	struct page_assets *assets;
	struct slice path;    /* of the style sheet */
	struct slice text;
	size_t copied;	      /* everything before is in `out` */
	struct writer out;
	bool changed;
};

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool is_name(uint8_t c)
{
	uint8_t letter = c | 0x20;
	return (letter >= 'a' && letter <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c >= 0x80 ||
	       c == '\\';
}

static size_t skip_space(struct slice s, size_t at)
{
	while (at < s.len && is_space(s.ptr[at]))
		at++;
	return at;
}

/* From a quote to behind the one that closes the string; a newline ends it too. */
static size_t skip_string(struct slice s, size_t at)
{
	uint8_t quote = s.ptr[at++];
	for (; at < s.len && s.ptr[at] != '\n'; at++) {
		if (s.ptr[at] == quote)
			return at + 1;
		if (s.ptr[at] == '\\')
			at++;
	}
	return at < s.len ? at : s.len;
}

static size_t skip_comment(struct slice s, size_t at)
{
	for (at += 2; at + 1 < s.len; at++)
		if (s.ptr[at] == '*' && s.ptr[at + 1] == '/')
			return at + 2;
	return s.len;
}

/* Adds "/segment"; ".." takes one away. False for what leaves the root. */
static bool add_segment(struct writer *w, struct slice segment)
{
	if (slice_eq(segment, SLICE(".")))
		return true;
	if (slice_eq(segment, SLICE(".."))) {
		if (w->pos == w->start)
			return false;
		while (*--w->pos != '/')
			;
		return true;
	}
	write_u8(w, '/');
	write_bytes(w, segment);
	return true;
}

static bool add_segments(struct writer *w, struct slice path)
{
	while (path.len) {
		struct slice segment = slice_sub(path, 0, slice_index(path, '/'));
		path = slice_sub(path, segment.len + 1, path.len);
		if (!segment.len || !add_segment(w, segment))
			return false;
	}
	return !w->failed;
}

/* The path that a reference means, in `buf`; empty when it is not to be touched. */
static struct slice resolve(const struct css *c, struct slice reference, uint8_t *buf)
{
	static const struct slice none = {NULL, 0};
	struct writer w = writer_of(buf, PATH_MAX_LEN);
	for (size_t i = 0; i < reference.len; i++)
		if (reference.ptr[i] < 0x21 || slice_index(SLICE("%\\?:\"'()<>"), reference.ptr[i]) < 10)
			return none;
	if (!reference.len || slice_ends_with(reference, SLICE("/")))
		return none;
	if (reference.ptr[0] == '/')
		return add_segments(&w, slice_sub(reference, 1, reference.len)) ? writer_slice(&w) : none;
	size_t folder = c->path.len;
	while (c->path.ptr[folder - 1] != '/')
		folder--;
	struct slice base = slice_sub(c->path, 1, folder - 1);
	if (base.len)
		base.len--; /* its last slash */
	return add_segments(&w, base) && add_segments(&w, reference) ? writer_slice(&w) : none;
}

/* text[from, to) is a URL: what stands before is copied, and its new form added, if it has one. */
static err link_reference(struct css *c, size_t from, size_t to)
{
	uint8_t buf[PATH_MAX_LEN];
	struct slice url, reference = slice_sub(c->text, from, to - from);
	struct slice fragment = slice_sub(reference, slice_index(reference, '#'), reference.len);
	reference.len -= fragment.len;
	struct slice path = resolve(c, reference, buf);
	if (!path.len)
		return OK;
	err e = page_asset_url(c->assets, path, &url);
	if (e.code == ERR_NOT_FOUND)
		return OK;
	TRY(e);
	write_bytes(&c->out, slice_sub(c->text, c->copied, from - c->copied));
	write_bytes(&c->out, url);
	write_bytes(&c->out, fragment);
	c->copied = to;
	c->changed = true;
	return OK;
}

/* The string that begins at `at`; *end is behind it. */
static err link_string(struct css *c, size_t at, size_t *end)
{
	*end = skip_string(c->text, at);
	if (*end < at + 2 || c->text.ptr[*end - 1] != c->text.ptr[at])
		return OK;
	return link_reference(c, at + 1, *end - 1);
}

/* Behind "url(". */
static err link_url(struct css *c, size_t at, size_t *end)
{
	struct slice s = c->text;
	at = skip_space(s, at);
	if (at < s.len && (s.ptr[at] == '"' || s.ptr[at] == '\''))
		return link_string(c, at, end);
	size_t to = at;
	while (to < s.len && s.ptr[to] != ')' && !is_space(s.ptr[to]))
		to++;
	*end = skip_space(s, to);
	if (*end >= s.len || s.ptr[*end] != ')')
		return OK;
	return link_reference(c, at, to);
}

static bool word_at(struct slice s, size_t at, struct slice word)
{
	return slice_eq_nocase(slice_sub(s, at, word.len), word) && (at == 0 || !is_name(s.ptr[at - 1]));
}

/* One token from `at` on, at least a byte. */
static err step(struct css *c, size_t at, size_t *end)
{
	struct slice s = c->text;
	*end = at + 1;
	if (s.ptr[at] == '/' && at + 1 < s.len && s.ptr[at + 1] == '*') {
		*end = skip_comment(s, at);
	} else if (s.ptr[at] == '"' || s.ptr[at] == '\'') {
		*end = skip_string(s, at);
	} else if (word_at(s, at, SLICE("url("))) {
		return link_url(c, at + 4, end);
	} else if (slice_eq_nocase(slice_sub(s, at, 7), SLICE("@import"))) {
		size_t string = skip_space(s, at + 7);
		*end = string;
		if (string < s.len && (s.ptr[string] == '"' || s.ptr[string] == '\''))
			return link_string(c, string, end);
	}
	return OK;
}

/* How many references there can be at most. */
static size_t candidates(struct slice s)
{
	size_t count = 0;
	for (size_t i = 0; i < s.len; i++)
		count += s.ptr[i] == '(' || s.ptr[i] == '@';
	return count;
}

err asset_css_link(struct page_assets *assets, struct slice path, struct slice *bytes)
{
	struct css c = {.assets = assets, .path = path, .text = *bytes};
	size_t references = candidates(*bytes);
	if (!references)
		return OK;
	size_t room = bytes->len + references * asset_url_max(assets);
	uint8_t *text = arena_alloc(assets->arena, room);
	if (!text)
		return ERR(NO_MEMORY);
	c.out = writer_of(text, room);
	for (size_t at = 0, end; at < c.text.len; at = end)
		TRY(step(&c, at, &end));
	if (!c.changed)
		return OK;
	write_bytes(&c.out, slice_sub(c.text, c.copied, c.text.len));
	*bytes = writer_slice(&c.out);
	return c.out.failed ? ERR(NO_MEMORY) : OK;
}
