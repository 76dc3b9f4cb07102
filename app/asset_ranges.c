/* Several ranges of a file: a multipart body whose parts are sent from where the file lies. */
#include <app/assets.h>

#include "server.h"

#include <http/conditional.h>

/* The boundary is the ETag without its quotes: a hash of the file does not occur in the file. */
static struct slice boundary_of(const struct page_asset *asset)
{
	return slice_sub(page_asset_etag(asset), 1, asset->etag_len - 2u);
}

static bool add_made(struct request *req, struct slice text)
{
	req->bytes_copied += text.len;
	return text.len && page_output_add(&req->page, text);
}

static bool part_add(struct request *req, const struct page_asset *asset, struct slice type, struct http_range range)
{
	uint8_t text[72];
	struct slice value = http_content_range(text, range.from, range.len, asset->body.len);
	return add_made(req, arena_format(&req->exchange->arena, "\r\n--%.*s\r\n%.*sContent-Range: %.*s\r\n\r\n",
		       SLICE_ARG(boundary_of(asset)), SLICE_ARG(type), SLICE_ARG(value)))
		&& page_output_add(&req->page, slice_sub(asset->body, range.from, range.len));
}

static bool parts_add(struct request *req, const struct page_asset *asset, const struct http_range *range,
	uint32_t count)
{
	struct slice fields = page_asset_part_fields(asset);
	struct slice type = slice_sub(fields, 0, slice_index(fields, '\n') + 1);
	page_output_init(&req->page, &req->exchange->arena);
	for (uint32_t i = 0; i < count; i++)
		if (!part_add(req, asset, type, range[i]))
			return false;
	return add_made(req,
		arena_format(&req->exchange->arena, "\r\n--%.*s--\r\n", SLICE_ARG(boundary_of(asset))));
}

bool app_asset_ranges(struct request *req, const struct page_asset *asset)
{
	struct http_range range[HTTP_RANGES_MAX];
	struct http_validators validators = {page_asset_etag(asset), HTTP_DATE_NONE, true};
	uint32_t count;
	/* Implementations do not agree on which head Content-Encoding belongs to. */
	if (asset->coding != PAGE_CODING_NONE || asset->body.len < PAGE_ASSET_LARGE)
		return false;
	switch (http_ranges_evaluate(&req->exchange->http.request, &validators, asset->body.len, 0, range, &count)) {
	case HTTP_RANGE_WHOLE:
		return false;
	case HTTP_RANGE_UNSATISFIABLE:
		asset_unsatisfiable_reply(req, asset);
		return true;
	case HTTP_RANGE_PARTIAL:
		break;
	}
	if (count == 1) {
		asset_part_reply(req, asset, range[0]);
		return true;
	}
	req->reply = REPLY_PAGE;
	req->status = 206;
	req->type_fields = page_asset_validator_fields(asset);
	if (parts_add(req, asset, range, count))
		reply_header(req, "Content-Type", arena_format(&req->exchange->arena,
			"multipart/byteranges; boundary=%.*s", SLICE_ARG(boundary_of(asset))));
	else
		request_fail(req, 503);
	return true;
}
