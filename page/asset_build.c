/* From files to assets: validators, header blocks, tables. */
#include <page/asset_build.h>

#include <base/cursor.h>
#include <base/hash.h>
#include "emit.h"

/* Bytes of the digest that the ETag shows: 96 bits do not collide by chance. */
#define ETAG_BYTES 12

void page_assets_init(struct page_assets *assets, struct arena *arena, struct slice mime_types)
{
	*assets = (struct page_assets){.arena = arena, .mime_types = mime_types};
}

static bool path_is_valid(struct slice path)
{
	if (path.len == 0 || path.len > 1024 || path.ptr[0] != '/')
		return false;
	for (size_t i = 0; i < path.len; i++)
		if (path.ptr[i] < 0x20 || path.ptr[i] == 0x7f)
			return false;
	return true;
}

static struct slice make_etag(struct arena *arena, struct slice bytes)
{
	uint8_t digest[32], buf[2 + 2 * ETAG_BYTES];
	struct writer w = writer_of(buf, sizeof buf);
	hash_sha256(bytes, digest);
	write_u8(&w, '"');
	for (unsigned i = 0; i < ETAG_BYTES; i++)
		write_hex(&w, digest[i], 2);
	write_u8(&w, '"');
	return arena_copy(arena, writer_slice(&w));
}

static void make_heads(struct arena *arena, struct page_asset *a, bool immutable)
{
	const char *cache = immutable ? "public, max-age=31536000, immutable" : "no-cache";
	a->head = arena_format(arena,
		"HTTP/1.1 200 OK\r\nContent-Type: %.*s\r\nETag: %.*s\r\nContent-Length: %lu\r\n"
		"Cache-Control: %s\r\n",
		SLICE_ARG(a->content_type), SLICE_ARG(a->etag), (unsigned long)a->body.len, cache);
	a->head_not_modified = arena_format(arena,
		"HTTP/1.1 304 Not Modified\r\nETag: %.*s\r\nCache-Control: %s\r\n",
		SLICE_ARG(a->etag), cache);
}

/* The list is sorted by path. */
err page_asset_describe(struct page_assets *assets, struct slice path, struct slice file,
	struct slice bytes, bool immutable)
{
	struct arena *arena = assets->arena;
	struct page_asset_source **at = &assets->first;
	if (!path_is_valid(path))
		return ERR(INVALID);
	while (*at && slice_cmp((*at)->asset.path, path) < 0)
		at = &(*at)->next;
	if (*at && slice_eq((*at)->asset.path, path))
		return ERR(BUSY);
	struct page_asset_source *s = ARENA_NEW(arena, struct page_asset_source);
	if (!s)
		return ERR(NO_MEMORY);
	s->asset.path = arena_copy(arena, path);
	s->file = arena_copy(arena, file);
	s->asset.body = bytes;
	s->asset.content_type = page_asset_type(assets, path);
	s->asset.etag = make_etag(arena, bytes);
	make_heads(arena, &s->asset, immutable);
	if (arena->exhausted)
		return ERR(NO_MEMORY);
	s->next = *at;
	*at = s;
	assets->count++;
	return OK;
}

err page_asset_table_build(const struct page_assets *assets, struct page_asset_table *out)
{
	struct page_asset *asset =
		ARENA_NEW_ARRAY(assets->arena, struct page_asset, assets->count + 1);
	uint32_t count = 0;
	if (!asset)
		return ERR(NO_MEMORY);
	for (const struct page_asset_source *s = assets->first; s; s = s->next)
		asset[count++] = s->asset;
	*out = (struct page_asset_table){asset, count};
	return OK;
}

static void emit_body_name(struct page_sink *sink, struct slice symbol, uint32_t number)
{
	emit_symbol(sink, symbol);
	emit_text(sink, "_body_");
	emit_number(sink, number);
}

static void emit_member(struct page_sink *sink, const char *name, struct slice s)
{
	emit_text(sink, "\t\t.");
	emit_text(sink, name);
	emit_text(sink, " = SLICE_INIT(");
	emit_literal(sink, s);
	emit_text(sink, "),\n");
}

static void emit_asset(
	struct page_sink *sink, const struct page_asset *a, struct slice symbol, uint32_t number)
{
	emit_text(sink, "\t{\n");
	emit_member(sink, "path", a->path);
	emit_member(sink, "content_type", a->content_type);
	emit_member(sink, "etag", a->etag);
	emit_member(sink, "head", a->head);
	emit_member(sink, "head_not_modified", a->head_not_modified);
	emit_text(sink, "\t\t.body = {");
	emit_body_name(sink, symbol, number);
	emit_text(sink, ", ");
	emit_number(sink, a->body.len);
	emit_text(sink, "},\n\t},\n");
}

void page_assets_emit_c(
	const struct page_assets *assets, struct slice symbol, struct page_sink *sink)
{
	uint32_t n = 0;
	emit_text(sink, "/* Made by the page compiler. */\n#include <page/asset.h>\n\n");
	for (const struct page_asset_source *s = assets->first; s; s = s->next) {
		emit_text(sink, "extern const uint8_t ");
		emit_body_name(sink, symbol, n++);
		emit_text(sink, "[];\n");
	}
	/* One more than there are: C has no empty arrays. */
	emit_text(sink, "\nstatic const struct page_asset list[] = {\n");
	n = 0;
	for (const struct page_asset_source *s = assets->first; s; s = s->next)
		emit_asset(sink, &s->asset, symbol, n++);
	emit_text(sink,
		"\t{.body = {NULL, 0}},\n};\n\nAPI_BEGIN\nextern const struct page_asset_table ");
	emit_symbol(sink, symbol);
	emit_text(sink, ";\nAPI_END\nconst struct page_asset_table ");
	emit_symbol(sink, symbol);
	emit_text(sink, " = {list, ");
	emit_number(sink, assets->count);
	emit_text(sink, "};\n");
}

void page_assets_emit_asm(
	const struct page_assets *assets, struct slice symbol, struct page_sink *sink)
{
	uint32_t n = 0;
	emit_text(sink, "/* Made by the page compiler. */\n");
	for (const struct page_asset_source *s = assets->first; s; s = s->next, n++) {
		/* A cache line's alignment: devices read it, and copies of small ones are aligned.
		 */
		emit_text(sink, "\t.section .rodata.");
		emit_body_name(sink, symbol, n);
		emit_text(sink, ", \"a\", @progbits\n\t.balign 64\n\t.globl ");
		emit_body_name(sink, symbol, n);
		emit_text(sink, "\n\t.hidden ");
		emit_body_name(sink, symbol, n);
		emit_text(sink, "\n");
		emit_body_name(sink, symbol, n);
		emit_text(sink, ":\n\t.incbin ");
		emit_quoted(sink, s->file);
		emit_text(sink, "\n");
	}
	emit_text(sink, "\t.section .note.GNU-stack, \"\", @progbits\n");
}
