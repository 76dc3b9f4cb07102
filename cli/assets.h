/* static/: what becomes of an application's files. */
#ifndef CLI_ASSETS_H
#define CLI_ASSETS_H

#include "cli.h"
#include <page/asset_build.h>

/* Describes all files of static/. */
void assets_read(const struct app_folder *app, struct arena *arena, struct page_assets *assets);
/* After the pages, which may name some of them: compresses what becomes smaller by it, and writes assets.c and
 * assets_data.S. */
void assets_write(const struct app_folder *app, struct page_assets *assets);
/* What the server needs for them, after assets_write. */
bool assets_have_codings(const struct page_assets *assets);
bool assets_have_large(const struct page_assets *assets);

#endif
