/* Static files: conditional requests and ranges over bytes that are sent from where they lie. */
#include "server.h"

#include <base/cursor.h>
#include <http/conditional.h>

static void asset_part(struct request *req, const struct page_asset *asset, uint64_t from, uint64_t len)
{
	uint8_t text[72];
	struct slice range = http_content_range(text, from, len, asset->body.len);
	req->status = len ? 206 : 416;
	req->reply = len ? REPLY_BYTES : REPLY_ERROR;
	req->bytes = len ? slice_sub(asset->body, from, len) : (struct slice){NULL, 0};
	reply_header(req, "Content-Range", arena_copy(&req->exchange->arena, range));
	if (!len)
		return;
	reply_header(req, "Content-Type", asset->content_type);
	/* The fields that RFC 9110 15.3.7 asks for are those of a 304. */
	req->type_fields = slice_sub(asset->head_not_modified,
		slice_index(asset->head_not_modified, '\n') + 1, asset->head_not_modified.len);
}

void asset_reply(struct request *req, const struct page_asset *asset)
{
	const struct http_request *http = &req->exchange->http.request;
	struct http_validators validators = {asset->etag, HTTP_DATE_NONE, true};
	int64_t now = server_time(req->exchange->server);
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

static bool is_plain(uint8_t c)
{
	uint8_t letter = c | 0x20;
	return (letter >= 'a' && letter <= 'z') || (c >= '0' && c <= '9') || c == '/' || c == '-'
		|| c == '.' || c == '_' || c == '~';
}

/* Percent-encoded again, with what directory and query need behind it; empty without memory. */
static struct slice directory_location(struct request *req)
{
	const struct http_request *http = &req->exchange->http.request;
	size_t size = 3 * http->path.len + http->query.len + 2;
	uint8_t *text = arena_alloc(&req->exchange->arena, size);
	struct writer w = writer_of(text, text ? size : 0);
	for (size_t i = 0; i < http->path.len; i++) {
		if (is_plain(http->path.ptr[i])) {
			write_u8(&w, http->path.ptr[i]);
		} else {
			write_u8(&w, '%');
			write_hex(&w, http->path.ptr[i], 2);
		}
	}
	write_bytes(&w, http->query.len ? SLICE("/?") : SLICE("/"));
	write_bytes(&w, http->query);
	return writer_slice(&w);
}

bool asset_directory_reply(struct request *req)
{
	const struct page_asset_table *assets = req->exchange->server->config.manifest->assets;
	const struct http_request *http = &req->exchange->http.request;
	if (!assets || (http->method != HTTP_GET && http->method != HTTP_HEAD)
		|| !page_asset_is_directory(assets, http->path))
		return false;
	struct slice location = directory_location(req);
	if (!location.len) {
		request_fail(req, 503);
		return true;
	}
	reply_bytes(req, 301, NULL, SLICE(""));
	reply_header(req, "Location", location);
	return true;
}
