/* static/: files, their types, and the codings in which they are sent.
 *
 * What is made from a file is kept in DIR/.ingot/assets under a hash of its content, so that it is made once. The
 * compressors are given all that they depend on: the same file and the same libraries give the same bytes. */
#include "assets.h"

#include <brotli/encode.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <base/hash.h>

#include "sink.h"

/* A coding costs room in the image, a head of its own and an entry of the table; it is kept when it spares at least
 * this many bytes and a tenth of what would be sent without it. Smaller ones spare no packet. */
enum { SAVED_MIN = 512, SAVED_TENTHS = 10 };
/* Brotli's best takes two seconds for a megabyte; what is larger gets its second best, at twenty times the speed. */
enum { SLOW_SIZE_MAX = 1 << 20 };

/* --- Which files are not compressed ---------------------------------------------------------------- */

/* static/.assets: lines of a pattern and the word `plain`. # begins a comment. A pattern without a slash is one for
 * the file's name, another for its path below static/. */
struct rules {
	struct strings plain;
};

static struct rules rules_read(const struct app_folder *app)
{
	struct rules rules = {0};
	char *path = format("%s/static/.assets", app->dir);
	if (!file_exists(path))
		return rules;
	struct slice text = file_read(path);
	for (unsigned line = 1; text.len; line++) {
		struct slice whole = slice_sub(text, 0, slice_index(text, '\n'));
		struct strings words = {0};
		text = slice_sub(text, whole.len + 1, text.len);
		whole.len = slice_index(whole, '#');
		strings_add_words(&words, format("%.*s", SLICE_ARG(whole)));
		if (!words.count)
			continue;
		if (words.count != 2 || strcmp(words.item[1], "plain") != 0)
			die("static/.assets:%u: a line is a pattern and the word plain, like: *.svg plain", line);
		strings_add(&rules.plain, words.item[0]);
	}
	return rules;
}

static bool is_plain(const struct rules *rules, struct slice path)
{
	const char *below = format("%.*s", SLICE_ARG(slice_sub(path, 1, path.len)));
	const char *name = strrchr(below, '/') ? strrchr(below, '/') + 1 : below;
	for (size_t i = 0; i < rules->plain.count; i++) {
		const char *pattern = rules->plain.item[i];
		if (fnmatch(pattern, strchr(pattern, '/') ? below : name, 0) == 0)
			return true;
	}
	return false;
}

/* --- Compression ----------------------------------------------------------------------------------- */

/* The header has neither a time nor a name. */
static struct slice gzip_make(struct slice bytes)
{
	z_stream z = {0};
	gz_header header = {.os = 255};
	if (deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK
		|| deflateSetHeader(&z, &header) != Z_OK || bytes.len > UINT32_MAX / 2)
		die("zlib does not compress %zu bytes", bytes.len);
	uLong room = deflateBound(&z, (uLong)bytes.len);
	uint8_t *out = must_alloc(room);
	z.next_in = (Bytef *)(uintptr_t)bytes.ptr;
	z.avail_in = (uInt)bytes.len;
	z.next_out = out;
	z.avail_out = (uInt)room;
	if (deflate(&z, Z_FINISH) != Z_STREAM_END)
		die("zlib does not compress %zu bytes", bytes.len);
	struct slice made = slice_of(out, z.total_out);
	deflateEnd(&z);
	return made;
}

static int brotli_quality(size_t size)
{
	return size <= SLOW_SIZE_MAX ? BROTLI_MAX_QUALITY : 9;
}

static struct slice brotli_make(struct slice bytes)
{
	size_t room = BrotliEncoderMaxCompressedSize(bytes.len);
	uint8_t *out = must_alloc(room);
	if (!room || !BrotliEncoderCompress(brotli_quality(bytes.len), BROTLI_MAX_WINDOW_BITS, BROTLI_MODE_GENERIC,
			     bytes.len, bytes.ptr, &room, out))
		die("brotli does not compress %zu bytes", bytes.len);
	return slice_of(out, room);
}

struct coder {
	enum page_coding coding;
	const char *ending;
	struct slice (*make)(struct slice bytes);
};

static char *kept_path(const struct app_folder *app, struct slice bytes, const char *ending)
{
	uint8_t digest[32];
	char text[33];
	hash_sha256(bytes, digest);
	for (unsigned i = 0; i < 16; i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	return format("%s/assets/%s.%s", app->out, text, ending);
}

static struct slice kept_or_made(const struct app_folder *app, const struct coder *coder, struct slice bytes,
	struct strings *used, char **path)
{
	*path = kept_path(app, bytes, coder->ending);
	strings_add(used, *path);
	if (!file_exists(*path))
		file_write(*path, coder->make(bytes));
	return file_read(*path);
}

static bool is_worth_it(size_t size, size_t without)
{
	return size + SAVED_MIN <= without && size <= without - without / SAVED_TENTHS;
}

/* gzip, which every client takes, then brotli where that is better still. */
static void compress_one(const struct app_folder *app, struct page_assets *assets, struct page_asset_source *s,
	struct strings *used)
{
	const struct coder coder[] = {
		{PAGE_CODING_GZIP, format("%s.gz", zlibVersion()), gzip_make},
		{PAGE_CODING_BROTLI, format("%x.br", BrotliEncoderVersion()), brotli_make},
	};
	struct slice bytes = s->asset.body;
	size_t best = bytes.len;
	for (size_t i = 0; i < ARRAY_LEN(coder); i++) {
		char *path;
		if (best < SAVED_MIN)
			return;
		struct slice coded = kept_or_made(app, &coder[i], bytes, used, &path);
		if (!is_worth_it(coded.len, best))
			continue;
		best = coded.len;
		err e = page_asset_add_coding(assets, s, coder[i].coding, slice_from_cstr(path), coded);
		if (failed(e))
			die("static%.*s: %s", SLICE_ARG(s->asset.path), err_text(e));
	}
}

/* --- All of it ------------------------------------------------------------------------------------- */

void assets_read(const struct app_folder *app, struct arena *arena, struct page_assets *assets)
{
	if (app->assets.count && !file_exists("/etc/mime.types"))
		die("there is no /etc/mime.types, from which the types of files come; install the package media-types");
	page_assets_init(assets, arena, app->assets.count ? file_read("/etc/mime.types") : SLICE(""));
	for (size_t i = 0; i < app->assets.count; i++) {
		char *file = format("%s/static/%s", app->dir, app->assets.item[i]);
		err e = page_asset_describe(assets, slice_from_cstr(format("/%s", app->assets.item[i])),
			slice_from_cstr(file), file_read(file), false);
		if (failed(e))
			die("static/%s: %s", app->assets.item[i], err_text(e));
	}
}

/* A style sheet whose references were changed is no file yet. */
static void made_write(const struct app_folder *app, struct page_asset_source *s, struct strings *used)
{
	if (s->file.len)
		return;
	char *path = kept_path(app, s->asset.body, "css");
	strings_add(used, path);
	file_write(path, s->asset.body);
	s->file = slice_from_cstr(path);
}

static bool is_among(const struct strings *s, const char *item)
{
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->item[i], item) == 0)
			return true;
	return false;
}

/* What was made of files that have changed or gone. */
static void forget_unused(const struct app_folder *app, const struct strings *used)
{
	char *dir = format("%s/assets", app->out);
	struct strings there = files_below(dir);
	for (size_t i = 0; i < there.count; i++) {
		char *path = format("%s/%s", dir, there.item[i]);
		if (!is_among(used, path))
			unlink(path);
	}
}

void assets_write(const struct app_folder *app, struct page_assets *assets)
{
	struct rules rules = rules_read(app);
	struct strings used = {0};
	make_directories(format("%s/assets", app->out));
	for (struct page_asset_source *s = assets->first; s; s = s->next) {
		made_write(app, s, &used);
		if (!s->twin && page_asset_is_compressible(s->type) && !is_plain(&rules, (s->origin ? s->origin : s)->asset.path))
			compress_one(app, assets, s, &used);
	}
	forget_unused(app, &used);
	err e = page_assets_finish(assets);
	if (failed(e))
		die("static: %s", err_text(e));
	struct text_sink t;
	text_sink_open(&t);
	page_assets_emit_c(assets, SLICE("app_assets"), &t.sink);
	text_sink_save(&t, app, "assets.c");
	text_sink_open(&t);
	page_assets_emit_asm(assets, SLICE("app_assets"), &t.sink);
	text_sink_save(&t, app, "assets_data.S");
}

bool assets_have_codings(const struct page_assets *assets)
{
	for (const struct page_asset_source *s = assets->first; s; s = s->next)
		if (s->asset.coded_count)
			return true;
	return false;
}

bool assets_have_large(const struct page_assets *assets)
{
	for (const struct page_asset_source *s = assets->first; s; s = s->next)
		if (s->asset.body.len >= PAGE_ASSET_LARGE)
			return true;
	return false;
}
