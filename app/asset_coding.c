/* Which coding of a file a client gets. */
#include <app/assets.h>

#include "server.h"

#include <http/coding.h>

_Static_assert((int)PAGE_CODING_NONE == (int)HTTP_CODING_IDENTITY && (int)PAGE_CODING_GZIP == (int)HTTP_CODING_GZIP
	&& (int)PAGE_CODING_BROTLI == (int)HTTP_CODING_BROTLI, "page and http number the codings alike");

const struct page_asset *app_asset_coding(struct request *req, const struct page_asset *asset)
{
	const struct http_request *http = &req->exchange->http.request;
	uint16_t weight[HTTP_CODING_COUNT], most = 0;
	const struct page_asset *best = NULL;
	if (!http->known[HTTP_ACCEPT_ENCODING])
		return asset;
	http_accept_encoding(http, weight);
	/* The smallest comes first, the file itself last. */
	for (unsigned i = 0; i <= asset->coded_count; i++) {
		const struct page_asset *a = i < asset->coded_count ? &asset->coded[i] : asset;
		if (weight[a->coding] <= most)
			continue;
		most = weight[a->coding];
		best = a;
	}
	if (best)
		return best;
	/* The client has refused the file as it is, in so many words: RFC 9110 section 12.5.3 has it sent
	 * all the same only when that was not done. */
	reply_error(req, 406, NULL);
	reply_header(req, "Vary", SLICE("Accept-Encoding"));
	return NULL;
}
