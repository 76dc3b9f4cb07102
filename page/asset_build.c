/* From files to assets: validators, header blocks, tables. */
#include "asset.h"

#include <base/assert.h>
#include <base/cursor.h>
#include <base/hash.h>
#include "asset_hash.h"
#include "emit.h"

/* Bytes of the digest that the ETag shows: 96 bits do not collide by chance. */
#define ETAG_BYTES 12

void page_assets_init(struct page_assets *assets, struct arena *arena, struct slice mime_types)
{
	*assets = (struct page_assets){.arena = arena, .mime_types = mime_types};
}

static bool path_is_valid(struct slice path)
{
	if (path.len == 0 || path.len > 1024 || path.ptr[0] != '/' || path.ptr[path.len - 1] == '/')
		return false;
	for (size_t i = 0; i < path.len; i++)
		if (path.ptr[i] < 0x20 || path.ptr[i] == 0x7f)
			return false;
	return true;
}

/* Of the bytes that are sent: each coding has its own. */
struct slice asset_etag(struct arena *arena, struct slice bytes)
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
	s->type = page_asset_type(assets, path, bytes);
	s->etag = asset_etag(arena, bytes);
	s->immutable = immutable;
	if (arena->exhausted)
		return ERR(NO_MEMORY);
	s->next = *at;
	*at = s;
	assets->count++;
	return OK;
}

err page_asset_add_coding(struct page_assets *assets, struct page_asset_source *s,
	enum page_coding coding, struct slice file, struct slice bytes)
{
	unsigned at = s->asset.coded_count;
	for (unsigned i = 0; i < at; i++)
		if (s->coded[i].coding == coding)
			return ERR(INVALID);
	if (s->twin || coding == PAGE_CODING_NONE || coding >= PAGE_CODING_COUNT)
		return ERR(INVALID);
	file = arena_copy(assets->arena, file);
	struct slice etag = asset_etag(assets->arena, bytes);
	if (assets->arena->exhausted)
		return ERR(NO_MEMORY);
	for (; at > 0 && s->coded[at - 1].body.len > bytes.len; at--) {
		s->coded[at] = s->coded[at - 1];
		s->coded_file[at] = s->coded_file[at - 1];
		s->coded_etag[at] = s->coded_etag[at - 1];
	}
	s->coded[at] = (struct page_asset){
		.path = s->asset.path, .body = bytes, .coding = (uint8_t)coding};
	s->coded_file[at] = file;
	s->coded_etag[at] = etag;
	s->asset.coded_count++;
	return OK;
}

/* --- Heads ------------------------------------------------------------------------------------ */

static const char *coding_line(uint8_t coding)
{
	switch ((enum page_coding)coding) {
	case PAGE_CODING_GZIP:
		return "Content-Encoding: gzip\r\n";
	case PAGE_CODING_BROTLI:
		return "Content-Encoding: br\r\n";
	case PAGE_CODING_NONE:
	case PAGE_CODING_COUNT:
		break;
	}
	return "";
}

/* RFC 9110 section 12.5.5: Vary stands on all representations of what is negotiated, on no other. */
static void make_head(struct arena *arena, const struct page_asset_source *s, struct page_asset *a,
	struct slice etag, bool varies)
{
	uint8_t buf[1024];
	struct writer w = writer_of(buf, sizeof buf);
	write_bytes(&w, SLICE("HTTP/1.1 200 OK\r\nContent-Length: "));
	write_dec(&w, a->body.len);
	write_bytes(&w, SLICE("\r\n"));
	/* Some readers of large documents fetch parts only from who says so (RFC 9110 section 14.3). */
	if (a->coding == PAGE_CODING_NONE && a->body.len >= PAGE_ASSET_LARGE)
		write_bytes(&w, SLICE("Accept-Ranges: bytes\r\n"));
	a->fields_at = (uint16_t)writer_len(&w);
	write_bytes(&w, SLICE("Content-Type: "));
	write_bytes(&w, s->type);
	write_bytes(&w, SLICE("\r\n"));
	write_bytes(&w, slice_from_cstr(coding_line(a->coding)));
	a->etag_at = (uint16_t)writer_len(&w);
	a->etag_len = (uint16_t)etag.len;
	write_bytes(&w, SLICE("ETag: "));
	write_bytes(&w, etag);
	write_bytes(&w, s->immutable
				? SLICE("\r\nCache-Control: public, max-age=31536000, immutable\r\n")
				: SLICE("\r\nCache-Control: no-cache\r\n"));
	if (varies)
		write_bytes(&w, SLICE("Vary: Accept-Encoding\r\n"));
	ASSERT(!w.failed);
	a->head = arena_copy(arena, writer_slice(&w));
}

/* The head differs from its twin's, the bytes do not. */
static void take_codings(struct page_asset_source *s)
{
	const struct page_asset_source *twin = s->twin;
	if (!twin)
		return;
	s->asset.coded_count = twin->asset.coded_count;
	for (unsigned i = 0; i < s->asset.coded_count; i++) {
		s->coded[i] = twin->coded[i];
		s->coded[i].path = s->asset.path;
		s->coded_etag[i] = twin->coded_etag[i];
	}
}

static void slot_fill(struct page_assets *assets, struct slice path, uint32_t number)
{
	uint32_t i = asset_hash(path) & assets->slot_mask;
	while (assets->slot[i])
		i = (i + 1) & assets->slot_mask;
	assets->slot[i] = (uint16_t)number;
}

static struct slice directory_of(struct slice path)
{
	bool is_index = path.len > ASSET_INDEX.len && slice_ends_with(path, ASSET_INDEX) &&
			path.ptr[path.len - ASSET_INDEX.len - 1] == '/';
	return slice_sub(path, 0, is_index ? path.len - ASSET_INDEX.len : 0);
}

/* Twice as many as there are paths, indexes counted twice. */
static err make_slots(struct page_assets *assets)
{
	uint32_t paths = 0, size = 2, number = 0;
	for (const struct page_asset_source *s = assets->first; s; s = s->next)
		paths += directory_of(s->asset.path).len ? 2u : 1u;
	while (size < 2 * paths)
		size *= 2;
	assets->slot = ARENA_NEW_ARRAY(assets->arena, uint16_t, size);
	if (!assets->slot)
		return ERR(NO_MEMORY);
	assets->slot_mask = size - 1;
	for (const struct page_asset_source *s = assets->first; s; s = s->next) {
		struct slice directory = directory_of(s->asset.path);
		slot_fill(assets, s->asset.path, ++number);
		if (directory.len)
			slot_fill(assets, directory, number);
	}
	return OK;
}

err page_assets_finish(struct page_assets *assets)
{
	if (assets->count > UINT16_MAX)
		return ERR(TOO_LARGE);
	TRY(make_slots(assets));
	for (struct page_asset_source *s = assets->first; s; s = s->next) {
		take_codings(s);
		bool varies = s->asset.coded_count != 0;
		make_head(assets->arena, s, &s->asset, s->etag, varies);
		s->asset.coded = varies ? s->coded : NULL;
		for (unsigned i = 0; i < s->asset.coded_count; i++)
			make_head(assets->arena, s, &s->coded[i], s->coded_etag[i], true);
	}
	assets->finished = true;
	return assets->arena->exhausted ? ERR(NO_MEMORY) : OK;
}

err page_asset_table_build(const struct page_assets *assets, struct page_asset_table *out)
{
	struct page_asset *asset =
		ARENA_NEW_ARRAY(assets->arena, struct page_asset, assets->count + 1);
	uint32_t count = 0;
	ASSERT(assets->finished);
	if (!asset)
		return ERR(NO_MEMORY);
	for (const struct page_asset_source *s = assets->first; s; s = s->next)
		asset[count++] = s->asset;
	*out = (struct page_asset_table){asset, count, assets->slot_mask, assets->slot};
	return OK;
}

/* --- As source text --------------------------------------------------------------------------- */

static uint32_t number_of(const struct page_assets *assets, const struct page_asset_source *which)
{
	uint32_t n = 0;
	for (const struct page_asset_source *s = assets->first; s != which; s = s->next)
		n++;
	return n;
}

/* SYMBOL_body_3 is the file, SYMBOL_body_3_1 its first coding (`coding` counts from 1). */
static void emit_body_name(
	struct page_sink *sink, struct slice symbol, uint32_t number, unsigned coding)
{
	emit_symbol(sink, symbol);
	emit_text(sink, "_body_");
	emit_number(sink, number);
	if (!coding)
		return;
	emit_text(sink, "_");
	emit_number(sink, coding);
}

static void emit_member(struct page_sink *sink, const char *name, struct slice s)
{
	emit_text(sink, "\t\t.");
	emit_text(sink, name);
	emit_text(sink, " = SLICE_INIT(");
	emit_literal(sink, s);
	emit_text(sink, "),\n");
}

static void emit_count(struct page_sink *sink, const char *name, uint64_t value)
{
	emit_text(sink, "\t\t.");
	emit_text(sink, name);
	emit_text(sink, " = ");
	emit_number(sink, value);
	emit_text(sink, ",\n");
}

static void emit_asset(struct page_sink *sink, const struct page_asset *a, struct slice symbol,
	uint32_t body_number, unsigned coding)
{
	emit_text(sink, "\t{\n");
	emit_member(sink, "path", a->path);
	emit_member(sink, "head", a->head);
	emit_text(sink, "\t\t.body = {");
	emit_body_name(sink, symbol, body_number, coding);
	emit_text(sink, ", ");
	emit_number(sink, a->body.len);
	emit_text(sink, "},\n");
	emit_count(sink, "coding", a->coding);
	emit_count(sink, "fields_at", a->fields_at);
	emit_count(sink, "etag_at", a->etag_at);
	emit_count(sink, "etag_len", a->etag_len);
}

static void emit_source(const struct page_assets *assets, const struct page_asset_source *s,
	struct slice symbol, uint32_t number, struct page_sink *sink)
{
	uint32_t body = s->twin ? number_of(assets, s->twin) : number;
	emit_asset(sink, &s->asset, symbol, body, 0);
	if (s->asset.coded_count) {
		emit_text(sink, "\t\t.coded = coded_");
		emit_number(sink, number);
		emit_text(sink, ",\n");
		emit_count(sink, "coded_count", s->asset.coded_count);
	}
	emit_text(sink, "\t},\n");
}

static void emit_codings(const struct page_assets *assets, const struct page_asset_source *s,
	struct slice symbol, uint32_t number, struct page_sink *sink)
{
	uint32_t body = s->twin ? number_of(assets, s->twin) : number;
	if (!s->asset.coded_count)
		return;
	emit_text(sink, "\nstatic const struct page_asset coded_");
	emit_number(sink, number);
	emit_text(sink, "[] = {\n");
	for (unsigned i = 0; i < s->asset.coded_count; i++) {
		emit_asset(sink, &s->coded[i], symbol, body, i + 1);
		emit_text(sink, "\t},\n");
	}
	emit_text(sink, "};\n");
}

static void emit_declarations(
	const struct page_assets *assets, struct slice symbol, struct page_sink *sink)
{
	uint32_t n = 0;
	for (const struct page_asset_source *s = assets->first; s; s = s->next, n++)
		for (unsigned i = 0; !s->twin && i <= s->asset.coded_count; i++) {
			emit_text(sink, "extern const uint8_t ");
			emit_body_name(sink, symbol, n, i);
			emit_text(sink, "[];\n");
		}
}

static void emit_slots(const struct page_assets *assets, struct page_sink *sink)
{
	emit_text(sink, "\nstatic const uint16_t slots[] = {");
	for (uint32_t i = 0; i <= assets->slot_mask; i++) {
		emit_text(sink, i % 16 ? ", " : i ? ",\n\t" : "\n\t");
		emit_number(sink, assets->slot[i]);
	}
	emit_text(sink, "};\n");
}

void page_assets_emit_c(
	const struct page_assets *assets, struct slice symbol, struct page_sink *sink)
{
	uint32_t n = 0;
	ASSERT(assets->finished);
	emit_text(sink, "/* Made by the page compiler. */\n#include <page/asset.h>\n\n");
	emit_declarations(assets, symbol, sink);
	for (const struct page_asset_source *s = assets->first; s; s = s->next)
		emit_codings(assets, s, symbol, n++, sink);
	/* One more than there are: C has no empty arrays. */
	emit_text(sink, "\nstatic const struct page_asset list[] = {\n");
	n = 0;
	for (const struct page_asset_source *s = assets->first; s; s = s->next)
		emit_source(assets, s, symbol, n++, sink);
	if (!assets->count)
		emit_text(sink, "\t{.body = {NULL, 0}},\n");
	emit_text(sink, "};\n");
	emit_slots(assets, sink);
	emit_text(sink, "\nAPI_BEGIN\nextern const struct page_asset_table ");
	emit_symbol(sink, symbol);
	emit_text(sink, ";\nAPI_END\nconst struct page_asset_table ");
	emit_symbol(sink, symbol);
	emit_text(sink, " = {list, ");
	emit_number(sink, assets->count);
	emit_text(sink, ", ");
	emit_number(sink, assets->slot_mask);
	emit_text(sink, ", slots};\n");
}

/* The tag is there so that this text changes whenever the file does: nothing else says that what was
 * assembled before is out of date. */
static void emit_body(struct page_sink *sink, struct slice symbol, uint32_t n, unsigned coding,
	struct slice file, struct slice etag)
{
	/* A cache line's alignment: devices read it, and copies of small ones are aligned. */
	emit_text(sink, "\t.section .rodata.");
	emit_body_name(sink, symbol, n, coding);
	emit_text(sink, ", \"a\", @progbits\n\t.balign 64\n\t.globl ");
	emit_body_name(sink, symbol, n, coding);
	emit_text(sink, "\n\t.hidden ");
	emit_body_name(sink, symbol, n, coding);
	emit_text(sink, "\n");
	emit_body_name(sink, symbol, n, coding);
	emit_text(sink, ":\n\t.incbin ");
	emit_quoted(sink, file);
	emit_text(sink, " /* ");
	emit_bytes(sink, etag);
	emit_text(sink, " */\n");
}

void page_assets_emit_asm(
	const struct page_assets *assets, struct slice symbol, struct page_sink *sink)
{
	uint32_t n = 0;
	emit_text(sink, "/* Made by the page compiler. */\n");
	for (const struct page_asset_source *s = assets->first; s; s = s->next, n++) {
		if (s->twin)
			continue;
		emit_body(sink, symbol, n, 0, s->file, s->etag);
		for (unsigned i = 0; i < s->asset.coded_count; i++)
			emit_body(sink, symbol, n, i + 1, s->coded_file[i], s->coded_etag[i]);
	}
	emit_text(sink, "\t.section .note.GNU-stack, \"\", @progbits\n");
}
