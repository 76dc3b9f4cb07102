/* Media types by extension, from a database in the form of Debian's /etc/mime.types. */
#include <page/asset_build.h>

struct known_type {
	struct slice extension, type;
};

/* What the database lacks: source maps (ECMA-426) and CommonJS modules. Whatever it has comes first. */
static const struct known_type lacking[] = {
	{SLICE_INIT("map"), SLICE_INIT("application/json")},
	{SLICE_INIT("cjs"), SLICE_INIT("text/javascript")},
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
static bool is_text(struct slice type)
{
	return slice_starts_with(type, SLICE("text/")) || slice_ends_with(type, SLICE("+xml")) ||
	       slice_eq(type, SLICE("application/xml"));
}

/* The bytes that follow the first one of a character, as RFC 3629 section 4 has them; 0 when it is
 * malformed. */
static size_t character_len(const uint8_t *p, size_t left)
{
	static const uint8_t low[] = {0x80, 0xa0, 0x90}, high[] = {0xbf, 0x9f, 0x8f};
	uint8_t c = p[0];
	size_t len = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
	if (len < 2 || len > left)
		return len > left ? 0 : len;
	uint8_t from = low[c == 0xe0 ? 1 : c == 0xf0 ? 2 : 0];
	uint8_t to = high[c == 0xed ? 1 : c == 0xf4 ? 2 : 0];
	if (p[1] < from || p[1] > to)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

static bool is_utf8(struct slice s)
{
	for (size_t at = 0, len; at < s.len; at += len)
		if ((len = character_len(s.ptr + at, s.len - at)) == 0)
			return false;
	return true;
}

struct slice page_asset_type(
	const struct page_assets *assets, struct slice path, struct slice bytes)
{
	struct slice extension = extension_of(path), type = {NULL, 0};
	if (extension.len)
		type = look_up(assets->mime_types, extension);
	for (size_t i = 0; i < ARRAY_LEN(lacking) && !type.len; i++)
		if (slice_eq_nocase(lacking[i].extension, extension))
			type = lacking[i].type;
	if (!type.len)
		return SLICE("application/octet-stream");
	if (!is_text(type) || !is_utf8(bytes))
		return type;
	return arena_format(assets->arena, "%.*s; charset=utf-8", SLICE_ARG(type));
}

bool page_asset_is_compressible(struct slice type)
{
	static const struct slice also[] = {
		SLICE_INIT("application/json"), SLICE_INIT("application/wasm"),
		SLICE_INIT("application/javascript"), SLICE_INIT("application/rtf"),
		SLICE_INIT("application/vnd.ms-fontobject"), SLICE_INIT("font/ttf"),
		SLICE_INIT("font/otf"), SLICE_INIT("font/collection"), SLICE_INIT("image/bmp"),
		SLICE_INIT("image/vnd.microsoft.icon"), SLICE_INIT("image/x-ms-bmp")};
	type.len = slice_index(type, ';');
	if (is_text(type) || slice_ends_with(type, SLICE("+json")))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(also); i++)
		if (slice_eq(type, also[i]))
			return true;
	return false;
}
