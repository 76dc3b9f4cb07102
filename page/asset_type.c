/* Media types by extension. */
#include <page/asset_build.h>

struct known_type {
	struct slice extension, type;
};

/* What a web application is made of, as RFC 9239, RFC 8081, the WHATWG and IANA name it. It wins
 * over the database, in which some of these stand under their older names. */
static const struct known_type known[] = {
	{SLICE_INIT("html"), SLICE_INIT("text/html")},
	{SLICE_INIT("htm"), SLICE_INIT("text/html")},
	{SLICE_INIT("css"), SLICE_INIT("text/css")},
	{SLICE_INIT("js"), SLICE_INIT("text/javascript")},
	{SLICE_INIT("mjs"), SLICE_INIT("text/javascript")},
	{SLICE_INIT("json"), SLICE_INIT("application/json")},
	{SLICE_INIT("map"), SLICE_INIT("application/json")},
	{SLICE_INIT("webmanifest"), SLICE_INIT("application/manifest+json")},
	{SLICE_INIT("svg"), SLICE_INIT("image/svg+xml")},
	{SLICE_INIT("png"), SLICE_INIT("image/png")},
	{SLICE_INIT("jpg"), SLICE_INIT("image/jpeg")},
	{SLICE_INIT("jpeg"), SLICE_INIT("image/jpeg")},
	{SLICE_INIT("gif"), SLICE_INIT("image/gif")},
	{SLICE_INIT("webp"), SLICE_INIT("image/webp")},
	{SLICE_INIT("avif"), SLICE_INIT("image/avif")},
	{SLICE_INIT("ico"), SLICE_INIT("image/vnd.microsoft.icon")},
	{SLICE_INIT("woff"), SLICE_INIT("font/woff")},
	{SLICE_INIT("woff2"), SLICE_INIT("font/woff2")},
	{SLICE_INIT("ttf"), SLICE_INIT("font/ttf")},
	{SLICE_INIT("otf"), SLICE_INIT("font/otf")},
	{SLICE_INIT("txt"), SLICE_INIT("text/plain")},
	{SLICE_INIT("md"), SLICE_INIT("text/markdown")},
	{SLICE_INIT("csv"), SLICE_INIT("text/csv")},
	{SLICE_INIT("xml"), SLICE_INIT("application/xml")},
	{SLICE_INIT("pdf"), SLICE_INIT("application/pdf")},
	{SLICE_INIT("wasm"), SLICE_INIT("application/wasm")},
	{SLICE_INIT("mp3"), SLICE_INIT("audio/mpeg")},
	{SLICE_INIT("mp4"), SLICE_INIT("video/mp4")},
	{SLICE_INIT("webm"), SLICE_INIT("video/webm")},
};

static struct slice extension_of(struct slice path)
{
	for (size_t i = path.len; i > 0; i--) {
		if (path.ptr[i - 1] == '/')
			break;
		if (path.ptr[i - 1] == '.')
			return slice_sub(path, i, path.len);
	}
	return (struct slice){NULL, 0};
}

static bool is_blank(uint8_t b)
{
	return b == ' ' || b == '\t' || b == '\r';
}

/* The next word of a line, which it is removed from; empty at the end. */
static struct slice next_word(struct slice *line)
{
	size_t n = 0;
	while (line->len && is_blank(line->ptr[0]))
		*line = slice_sub(*line, 1, line->len);
	while (n < line->len && !is_blank(line->ptr[n]))
		n++;
	struct slice word = slice_sub(*line, 0, n);
	*line = slice_sub(*line, n, line->len);
	return word;
}

/* A media type goes into a header, so it has to be made of the characters of one (RFC 9110, 8.3.1).
 */
static bool type_is_valid(struct slice type)
{
	size_t slash = slice_index(type, '/');
	if (slash == 0 || slash + 1 >= type.len || type.len > 127)
		return false;
	for (size_t i = 0; i < type.len; i++) {
		uint8_t b = type.ptr[i];
		bool alnum = (b >= '0' && b <= '9') || ((b | 0x20) >= 'a' && (b | 0x20) <= 'z');
		if (!alnum && i != slash && slice_index(SLICE("!#$&-^_.+"), b) == 9)
			return false;
	}
	return true;
}

static struct slice look_up(struct slice database, struct slice extension)
{
	while (database.len) {
		struct slice line = slice_sub(database, 0, slice_index(database, '\n'));
		database = slice_sub(database, line.len + 1, database.len);
		line.len = slice_index(line, '#');
		struct slice type = next_word(&line), word;
		while ((word = next_word(&line)).len)
			if (slice_eq_nocase(word, extension) && type_is_valid(type))
				return type;
	}
	return (struct slice){NULL, 0};
}

/* Types whose content is text and that name no encoding themselves. JSON is UTF-8 by definition. */
static bool needs_charset(struct slice type)
{
	return slice_starts_with(type, SLICE("text/")) || slice_ends_with(type, SLICE("+xml")) ||
	       slice_eq(type, SLICE("application/xml"));
}

struct slice page_asset_type(const struct page_assets *assets, struct slice path)
{
	struct slice extension = extension_of(path), type = {NULL, 0};
	for (size_t i = 0; i < ARRAY_LEN(known) && !type.len; i++)
		if (slice_eq_nocase(known[i].extension, extension))
			type = known[i].type;
	if (!type.len && extension.len)
		type = look_up(assets->mime_types, extension);
	if (!type.len)
		return SLICE("application/octet-stream");
	if (!needs_charset(type))
		return type;
	return arena_format(assets->arena, "%.*s; charset=utf-8", SLICE_ARG(type));
}
