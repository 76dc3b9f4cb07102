/* What the build makes of an application's folder, for boot/. Nothing else reads it, and an
 * application never does. */
#ifndef APP_MANIFEST_H
#define APP_MANIFEST_H

#include <app/ingot.h>
#include <page/asset.h>

struct app_database; /* app/database.h: named only by applications that have migrations/ */

struct app_manifest {
	const char *name;
	const struct app_route *routes;
	const size_t *route_count;
	const struct page_asset_table *assets;  /* NULL: no static/ */
	const struct app_database *database;    /* NULL: no migrations/, and no SQL in the image */
	/* app_asset_coding when a file has codings, app_asset_ranges when one is large; else NULL. */
	const struct page_asset *(*asset_coding)(struct request *req, const struct page_asset *asset);
	bool (*asset_ranges)(struct request *req, const struct page_asset *asset);
	const struct app_service *const *access_log; /* NULL: the application has no APP_ACCESS_LOG */
	const struct app_proxy *const *behind_proxy, *const *proxy_protocol; /* the same */
	const struct app_limits *limits;
	const struct app_error_pages *error_pages;   /* NULL: it has none, in pages/ */
};

/* pages/404.html and the like. */
struct app_error_page {
	uint16_t status; /* 0: those that have none of their own */
	const struct page_template *page;
};

struct http_response;

struct app_error_pages {
	bool (*build)(struct request *req, struct http_response *r); /* app_error_page_build */
	const struct app_error_page *page;
	uint32_t count;
};

API_BEGIN
/* Makes the answer to a request that has come to an error. False: there is no page for that one, or none can be made,
 * and nothing has been written to `r`. */
bool app_error_page_build(struct request *req, struct http_response *r);
extern const struct app_manifest app_manifest;
API_END

#endif
