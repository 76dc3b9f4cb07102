/* What a client has already is not sent again: ETags of answers that handlers make. */
#include <app/ingot.h>

#include "server.h"

#include <base/cursor.h>
#include <base/hash.h>

/* Not a secret: the same bytes have the same tag after a restart as well. */
static const struct hash_key key = {0x696e676f74206574, 0x6167206f66206279};

/* Of all segments, in their order. Two answers have the same by a chance of 2^-64. */
static uint64_t body_hash(const struct request *req)
{
	struct hash_key k = key;
	if (req->reply == REPLY_BYTES)
		return hash_sip13(k, req->bytes);
	for (const struct page_chunk *chunk = req->page.first; chunk; chunk = chunk->next)
		for (uint32_t i = 0; i < chunk->count; i++)
			k.k0 = hash_sip13(k, chunk->segment[i]);
	return k.k0;
}

static struct slice body_etag(struct request *req)
{
	uint8_t text[18];
	struct writer w = writer_of(text, sizeof text);
	write_u8(&w, '"');
	write_hex(&w, body_hash(req), 16);
	write_u8(&w, '"');
	return arena_copy(&req->exchange->arena, writer_slice(&w));
}

/* What the answer has become, once the request's conditions have been looked at. */
static void conditions_apply(struct request *req, struct slice etag)
{
	const struct http_validators validators = {etag, HTTP_DATE_NONE, true};
	switch (http_condition_evaluate(&req->exchange->http.request, &validators, 0)) {
	case HTTP_CONDITION_NOT_MODIFIED:
		req->status = 304;
		req->bytes = (struct slice){NULL, 0};
		break;
	case HTTP_CONDITION_FAILED:
		req->reply = REPLY_ERROR;
		req->status = 412;
		req->bytes = (struct slice){NULL, 0};
		req->fields = NULL;
		break;
	case HTTP_CONDITION_PROCEED:
		break;
	}
}

void reply_etag(struct request *req)
{
	unsigned method = req->exchange->http.request.method;
	if (req->broken || req->status != 200 || (req->reply != REPLY_PAGE && req->reply != REPLY_BYTES) ||
		(method != HTTP_GET && method != HTTP_HEAD))
		return;
	struct slice etag = body_etag(req);
	if (!etag.len) {
		request_fail(req, 503);
		return;
	}
	reply_header(req, "ETag", etag);
	if (!req->broken)
		conditions_apply(req, etag);
}

void reply_page_as(struct request *req, int status, const char *content_type,
	const struct page_template *page, const struct page_value *data)
{
	bool first = req->reply == REPLY_NONE;
	reply_page(req, status, page, data);
	if (!first || req->reply != REPLY_PAGE)
		return;
	req->type_fields = SLICE("Cache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n");
	reply_header(req, "Content-Type", slice_from_cstr(content_type));
}
