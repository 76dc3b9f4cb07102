/* A directory that was asked for without its final slash. */
#include "server.h"

#include <base/cursor.h>

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
