/* Parts of the server that only some applications' files need. The build names them in the manifest
 * when there are such files; what it does not name is not in the image. */
#ifndef APP_ASSETS_H
#define APP_ASSETS_H

#include <app/ingot.h>
#include <page/asset.h>

API_BEGIN

/* For files with codings: the one that the client prefers (RFC 9110 section 12.5.3), `asset` itself
 * among them; of equals the smallest. NULL when it takes none of them: the request was answered with 406
 * then. */
const struct page_asset *app_asset_coding(struct request *req, const struct page_asset *asset);
/* For large files: answers a request for several ranges. False when the whole is to be sent. */
bool app_asset_ranges(struct request *req, const struct page_asset *asset);

API_END

#endif
