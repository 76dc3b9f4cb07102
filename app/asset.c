/* Static files: conditional requests and ranges over bytes that are sent from where they lie. */
#include "server.h"

#include <http/conditional.h>

static void asset_part(struct request *req, const struct page_asset *asset, uint64_t from, uint64_t len)
{
	uint8_t text[72];
	struct slice range = http_content_range(text, from, len, asset->body.len);
	req->status = len ? 206 : 416;
	req->reply = len ? REPLY_BYTES : REPLY_ERROR;
	req->bytes = len ? slice_sub(asset->body, from, len) : (struct slice){NULL, 0};
	reply_header(req, "Content-Range", arena_copy(&req->connection->arena, range));
	if (!len)
		return;
	reply_header(req, "Content-Type", asset->content_type);
	/* The fields that RFC 9110 15.3.7 asks for are those of a 304. */
	req->type_fields = slice_sub(asset->head_not_modified,
		slice_index(asset->head_not_modified, '\n') + 1, asset->head_not_modified.len);
}

void asset_reply(struct request *req, const struct page_asset *asset)
{
	const struct http_request *http = &req->connection->http.request;
	struct http_validators validators = {asset->etag, HTTP_DATE_NONE, true};
	int64_t now = server_time(req->connection->server);
	uint64_t from, len;
	req->reply = REPLY_ASSET;
	switch (http_condition_evaluate(http, &validators, now)) {
	case HTTP_CONDITION_NOT_MODIFIED:
		req->status = 304;
		req->type_fields = asset->head_not_modified;
		return;
	case HTTP_CONDITION_FAILED:
		req->reply = REPLY_ERROR;
		req->status = 412;
		return;
	case HTTP_CONDITION_PROCEED:
		break;
	}
	switch (http_range_evaluate(http, &validators, asset->body.len, now, &from, &len)) {
	case HTTP_RANGE_PARTIAL:
		asset_part(req, asset, from, len);
		return;
	case HTTP_RANGE_UNSATISFIABLE:
		asset_part(req, asset, 0, 0);
		return;
	case HTTP_RANGE_WHOLE:
		break;
	}
	req->status = 200;
	req->type_fields = asset->head;
	req->bytes = asset->body;
}
