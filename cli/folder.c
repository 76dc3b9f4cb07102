/* An application's folder, and what its parts are called. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool ends_with(const char *s, const char *end)
{
	return slice_ends_with(slice_from_cstr(s), slice_from_cstr(end));
}

static bool starts_with(const char *s, const char *start)
{
	return slice_starts_with(slice_from_cstr(s), slice_from_cstr(start));
}

/* The C files, besides what lies in the folders that mean something else. */
static struct strings find_sources(const char *dir)
{
	struct strings all = files_below(dir), sources = {0};
	for (size_t i = 0; i < all.count; i++) {
		const char *f = all.item[i];
		if (ends_with(f, ".c") && !starts_with(f, "static/") && !starts_with(f, "pages/")
			&& !starts_with(f, "migrations/") && !starts_with(f, "queries/"))
			strings_add(&sources, f);
	}
	return sources;
}

/* Hidden files are not served, but for those that RFC 8615 has in .well-known. */
static struct strings find_assets(const char *dir)
{
	struct strings assets = files_below(format("%s/static", dir));
	struct strings known = files_below(format("%s/static/.well-known", dir));
	for (size_t i = 0; i < known.count; i++)
		strings_add(&assets, format(".well-known/%s", known.item[i]));
	return assets;
}

struct app_folder app_folder_open(const char *dir)
{
	struct stat st;
	if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode))
		die("there is no folder '%s'", dir);
	char *real = realpath(dir, NULL);
	if (!real)
		die("%s: %s", dir, strerror(errno));
	struct app_folder app = {
		.dir = real,
		.name = strrchr(real, '/') + 1,
		.out = format("%s/.ingot", real),
		.sources = find_sources(real),
		.pages = files_below(format("%s/pages", real)),
		.assets = find_assets(real),
		.migrations = files_below(format("%s/migrations", real)),
		.queries = files_below(format("%s/queries", real)),
	};
	if (!app.sources.count && !app.assets.count)
		die("'%s' is not an application: it has neither a C file nor static/.\n"
		    "       To begin one:  ingot new NAME", dir);
	return app;
}
