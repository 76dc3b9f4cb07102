/* Static files: conditional requests, ranges and codings, over bytes that are sent from where they lie. */
#include <app/assets.h>

#include "server.h"

#include <http/conditional.h>

static struct http_validators validators_of(const struct page_asset *asset)
{
	return (struct http_validators){page_asset_etag(asset), HTTP_DATE_NONE, true};
}

static void content_range_reply(struct request *req, struct http_range range, uint64_t size)
{
	uint8_t text[72];
	struct slice value = http_content_range(text, range.from, range.len, size);
	reply_header(req, "Content-Range", arena_copy(&req->exchange->arena, value));
}

void asset_part_reply(struct request *req, const struct page_asset *asset, struct http_range range)
{
	req->reply = REPLY_BYTES;
	req->status = 206;
	req->type_fields = page_asset_part_fields(asset);
	req->bytes = slice_sub(asset->body, range.from, range.len);
	content_range_reply(req, range, asset->body.len);
}

void asset_unsatisfiable_reply(struct request *req, const struct page_asset *asset)
{
	req->reply = REPLY_ERROR;
	req->status = 416;
	req->bytes = (struct slice){NULL, 0};
	content_range_reply(req, (struct http_range){0, 0}, asset->body.len);
}

/* True when there is an answer: not the whole of it. */
static bool condition_reply(struct request *req, const struct page_asset *asset)
{
	const struct http_request *http = &req->exchange->http.request;
	struct http_validators validators = validators_of(asset);
	if (!http->known[HTTP_IF_MATCH] && !http->known[HTTP_IF_NONE_MATCH])
		return false;
	switch (http_condition_evaluate(http, &validators, 0)) {
	case HTTP_CONDITION_NOT_MODIFIED:
		req->reply = REPLY_BYTES;
		req->status = 304;
		req->type_fields = page_asset_validator_fields(asset);
		return true;
	case HTTP_CONDITION_FAILED:
		req->reply = REPLY_ERROR;
		req->status = 412;
		return true;
	case HTTP_CONDITION_PROCEED:
		break;
	}
	return false;
}

static bool range_reply(struct request *req, const struct page_asset *asset)
{
	const struct app_manifest *manifest = req->exchange->server->config.manifest;
	const struct http_request *http = &req->exchange->http.request;
	struct http_validators validators = validators_of(asset);
	struct http_range range;
	if (!http->known[HTTP_RANGE])
		return false;
	switch (http_range_evaluate(http, &validators, asset->body.len, 0, &range)) {
	case HTTP_RANGE_PARTIAL:
		asset_part_reply(req, asset, range);
		return true;
	case HTTP_RANGE_UNSATISFIABLE:
		asset_unsatisfiable_reply(req, asset);
		return true;
	case HTTP_RANGE_WHOLE:
		break;
	}
	return manifest->asset_ranges && manifest->asset_ranges(req, asset);
}

void asset_reply(struct request *req, const struct page_asset *asset)
{
	if (asset->coded_count) {
		asset = req->exchange->server->config.manifest->asset_coding(req, asset);
		if (!asset)
			return;
	}
	/* Files have no date: nothing else can be compared with them. */
	const uint8_t *known = req->exchange->http.request.known;
	if (UNLIKELY(known[HTTP_IF_MATCH] | known[HTTP_IF_NONE_MATCH] | known[HTTP_RANGE])
		&& (condition_reply(req, asset) || range_reply(req, asset)))
		return;
	req->reply = REPLY_ASSET;
	req->status = 200;
	req->type_fields = asset->head;
	req->bytes = asset->body;
}
