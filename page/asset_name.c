/* Fingerprinted names: "/css/site.css" is also "/css/site.1f0c3a5b7d9e.css", a path that changes with the
 * content, so that a client which has it need never ask again. Only files that something names so have
 * one. The plain path goes on to serve the file as it is. */
#include <page/asset_build.h>

#include <base/cursor.h>
#include "asset.h"

/* Digits of the content's hash: what they must tell apart is the versions of one file. */
#define FINGERPRINT_DIGITS 12

static bool is_unreserved(uint8_t c)
{
	uint8_t letter = c | 0x20;
	return (letter >= 'a' && letter <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
	       c == '~';
}

/* Such a URL can stand in any attribute, string or url() without escapes of its own. */
static struct slice url_of(struct arena *arena, struct slice path)
{
	static const char digit[] = "0123456789ABCDEF";
	uint8_t *text = arena_alloc(arena, 3 * path.len);
	struct writer w = writer_of(text, text ? 3 * path.len : 0);
	for (size_t i = 0; i < path.len; i++) {
		uint8_t c = path.ptr[i];
		if (is_unreserved(c) || c == '/') {
			write_u8(&w, c);
			continue;
		}
		write_u8(&w, '%');
		write_u8(&w, (uint8_t)digit[c >> 4]);
		write_u8(&w, (uint8_t)digit[c & 15]);
	}
	return writer_slice(&w);
}

/* Before the last dot of the name, so that the ending stays what it is. */
static struct slice fingerprinted(struct arena *arena, struct slice path, struct slice etag)
{
	size_t dot = path.len;
	for (size_t i = path.len; i > 0 && path.ptr[i - 1] != '/'; i--)
		if (path.ptr[i - 1] == '.' && path.ptr[i - 2] != '/' && dot == path.len)
			dot = i - 1;
	size_t size = path.len + 1 + FINGERPRINT_DIGITS;
	uint8_t *text = arena_alloc(arena, size);
	struct writer w = writer_of(text, text ? size : 0);
	write_bytes(&w, slice_sub(path, 0, dot));
	write_u8(&w, '.');
	write_bytes(&w, slice_sub(etag, 1, FINGERPRINT_DIGITS));
	write_bytes(&w, slice_sub(path, dot, path.len));
	return writer_slice(&w);
}

static struct page_asset_source *find(struct page_assets *assets, struct slice path)
{
	for (struct page_asset_source *s = assets->first; s; s = s->next)
		if (!s->immutable && slice_eq(s->asset.path, path))
			return s;
	return NULL;
}

static err fingerprint(struct page_assets *assets, struct page_asset_source *s)
{
	struct slice bytes = s->asset.body, path;
	struct page_asset_source *made;
	if (slice_starts_with(s->type, SLICE("text/css")))
		TRY(asset_css_link(assets, s->asset.path, &bytes));
	bool same = bytes.ptr == s->asset.body.ptr;
	path = fingerprinted(assets->arena, s->asset.path, same ? s->etag : asset_etag(assets->arena, bytes));
	if (assets->arena->exhausted)
		return ERR(NO_MEMORY);
	TRY(page_asset_describe(assets, path, same ? s->file : SLICE(""), bytes, true));
	for (made = assets->first; !slice_eq(made->asset.path, path);)
		made = made->next;
	made->origin = s;
	made->twin = same ? s : NULL;
	s->url = url_of(assets->arena, path);
	return OK;
}

err page_asset_url(struct page_assets *assets, struct slice path, struct slice *url)
{
	struct page_asset_source *s = find(assets, path);
	if (!s)
		return ERR(NOT_FOUND);
	/* A style sheet that imports itself, over whatever detours, cannot contain its own hash. */
	if (s->naming) {
		*url = url_of(assets->arena, path);
		return OK;
	}
	s->naming = true;
	err e = s->url.len ? OK : fingerprint(assets, s);
	s->naming = false;
	*url = s->url;
	return e;
}

size_t asset_url_max(const struct page_assets *assets)
{
	size_t max = 0;
	for (const struct page_asset_source *s = assets->first; s; s = s->next)
		max = s->asset.path.len > max ? s->asset.path.len : max;
	return 3 * max + 1 + FINGERPRINT_DIGITS;
}
