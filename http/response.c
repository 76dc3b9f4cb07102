/* The list's layout while it is built: the first HTTP_RESPONSE_HEAD_SEGMENTS places are kept free
 * for the head, body pieces come behind; finish fills the head in right before the body, so that no
 * segment moves. The head is: status line, static blocks, and one block with all that varies. */
#include <http/response.h>

#include <string.h>
#include <base/cursor.h>

#include "bytes.h"
#include "status.h"

#define FIELDS_FIRST 160 /* bytes: Date, a length, a type; most responses need no more */
#define FIELDS_END_ROOM 96 /* what finish may still write */

static void fail(struct http_response *r, err e)
{
	if (!failed(r->error))
		r->error = e;
}

void http_response_init(struct http_response *r, struct slice *segment, uint32_t capacity,
	struct arena *arena, const struct http_request *req, bool keep_alive)
{
	*r = (struct http_response){
		.arena = arena,
		.segment = segment,
		.capacity = capacity,
		.count = HTTP_RESPONSE_HEAD_SEGMENTS,
		.is_head = req && req->method == HTTP_HEAD,
		.http10 = req && req->version_minor == 0,
		.keep_alive = keep_alive,
	};
	if (capacity <= HTTP_RESPONSE_HEAD_SEGMENTS)
		fail(r, ERR(NO_SPACE));
}

static void head_block(struct http_response *r, struct slice block)
{
	if (r->head_count == ARRAY_LEN(r->head))
		fail(r, ERR(NO_SPACE));
	else if (block.len)
		r->head[r->head_count++] = block;
}

/* Room for `len` bytes of fields; NULL after a failure. What moves when the block grows is
 * counted. */
static uint8_t *fields_reserve(struct http_response *r, size_t len)
{
	if (failed(r->error))
		return NULL;
	if (len > r->fields_cap - r->fields_len) {
		size_t cap = r->fields_cap ? r->fields_cap : FIELDS_FIRST;
		while (cap - r->fields_len < len && cap <= HTTP_RESPONSE_FIELDS_MAX)
			cap *= 2;
		if (cap - r->fields_len < len || cap > HTTP_RESPONSE_FIELDS_MAX * 2) {
			fail(r, ERR(TOO_LARGE));
			return NULL;
		}
		uint8_t *grown = arena_alloc(r->arena, cap);
		if (!grown) {
			fail(r, ERR(NO_MEMORY));
			return NULL;
		}
		if (r->fields_len)
			memcpy(grown, r->fields, r->fields_len);
		r->bytes_copied += r->fields_len;
		r->fields = grown;
		r->fields_cap = (uint32_t)cap;
	}
	uint8_t *p = r->fields + r->fields_len;
	r->fields_len += (uint32_t)len;
	r->bytes_copied += len;
	return p;
}

static void fields_add(struct http_response *r, struct slice s)
{
	uint8_t *p = fields_reserve(r, s.len);
	if (p)
		memcpy(p, s.ptr, s.len);
}

static void fields_add_number(struct http_response *r, struct slice before, uint64_t v)
{
	uint8_t buf[64];
	struct writer w = writer_of(buf, sizeof buf);
	write_bytes(&w, before);
	write_dec(&w, v);
	write_bytes(&w, SLICE("\r\n"));
	fields_add(r, writer_slice(&w));
}

void http_response_status(struct http_response *r, uint16_t status)
{
	if (status < 200 || status > 599 || r->status) {
		fail(r, ERR(INVALID));
		return;
	}
	const struct status_entry *e = status_find(status);
	r->status = status;
	if (e) {
		head_block(r, e->line);
		return;
	}
	struct slice line = arena_format(r->arena, "HTTP/1.1 %u Unknown\r\n", (unsigned)status);
	if (!line.len)
		fail(r, ERR(NO_MEMORY));
	r->bytes_copied += line.len;
	head_block(r, line);
}

void http_response_static_head(struct http_response *r, uint16_t status, struct slice head)
{
	if (r->status || status < 200 || status > 599) {
		fail(r, ERR(INVALID));
		return;
	}
	r->status = status;
	r->length_known = true;
	head_block(r, head);
}

void http_response_static_fields(struct http_response *r, struct slice lines)
{
	head_block(r, lines);
}

static bool name_is_ours(struct slice name)
{
	return slice_eq_nocase(name, SLICE("content-length"))
		|| slice_eq_nocase(name, SLICE("transfer-encoding"))
		|| slice_eq_nocase(name, SLICE("connection"))
		|| slice_eq_nocase(name, SLICE("date"));
}

static bool value_is_safe(struct slice value)
{
	for (size_t i = 0; i < value.len; i++)
		if ((value.ptr[i] < 0x20 && value.ptr[i] != '\t') || value.ptr[i] == 0x7f)
			return false;
	return true;
}

void http_response_header(struct http_response *r, struct slice name, struct slice value)
{
	bool valid = slice_is(name, BYTE_TOKEN) && !name_is_ours(name) && value_is_safe(value);
	if (failed(r->error))
		return;
	if (!valid)
		fail(r, ERR(INVALID));
	else if (name.len > HTTP_RESPONSE_FIELDS_MAX || value.len > HTTP_RESPONSE_FIELDS_MAX)
		fail(r, ERR(TOO_LARGE));
	uint8_t *p = fields_reserve(r, name.len + value.len + 4);
	if (!p) {
		r->bad_name = name;
		return;
	}
	struct writer w = writer_of(p, name.len + value.len + 4);
	write_bytes(&w, name);
	write_bytes(&w, SLICE(": "));
	write_bytes(&w, value);
	write_bytes(&w, SLICE("\r\n"));
}

void http_response_date(struct http_response *r, struct http_date_cache *cache, int64_t unix_s)
{
	if (!r->has_date)
		fields_add(r, http_date_line(cache, unix_s));
	r->has_date = true;
}

/* RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5. */
static bool has_no_body(const struct http_response *r)
{
	return r->status - 204u <= 1 || r->status == 304;
}

void http_response_body(struct http_response *r, struct slice piece)
{
	if (!piece.len || failed(r->error))
		return;
	r->body_len += piece.len;
	if (r->is_head)
		return;
	if (r->count == r->capacity)
		fail(r, ERR(NO_SPACE));
	else
		r->segment[r->count++] = piece;
}

void http_response_stream(struct http_response *r)
{
	r->chunked = !r->http10;
	r->until_close = r->http10;
	if (r->http10)
		r->keep_alive = false;
}

void http_response_stream_length(struct http_response *r, uint64_t len)
{
	r->length_known = true;
	if (!has_no_body(r))
		fields_add_number(r, SLICE("Content-Length: "), len);
}

static void end_fields(struct http_response *r)
{
	bool none = has_no_body(r);
	if (none) {
		r->count = HTTP_RESPONSE_HEAD_SEGMENTS;
		r->body_len = 0;
	}
	if (none ? r->status == 205 : !r->chunked && !r->length_known && !r->until_close)
		fields_add_number(r, SLICE("Content-Length: "), r->body_len);
	else if (r->chunked && !none)
		fields_add(r, SLICE("Transfer-Encoding: chunked\r\n"));
	if (!r->keep_alive)
		fields_add(r, SLICE("Connection: close\r\n\r\n"));
	else if (r->http10)
		fields_add(r, SLICE("Connection: keep-alive\r\n\r\n"));
	else
		fields_add(r, SLICE("\r\n"));
}

err http_response_finish(struct http_response *r, struct slice **list, uint32_t *list_len)
{
	if (!r->status)
		fail(r, ERR(INVALID));
	if (!failed(r->error))
		end_fields(r);
	if (failed(r->error))
		return r->error;
	uint32_t at = HTTP_RESPONSE_HEAD_SEGMENTS;
	r->segment[--at] = slice_of(r->fields, r->fields_len);
	for (uint32_t i = r->head_count; i > 0; i--)
		r->segment[--at] = r->head[i - 1];
	*list = r->segment + at;
	*list_len = r->count - at;
	return OK;
}

void http_response_error_page(struct http_response *r, uint16_t status)
{
	const struct status_entry *e = status_find(status);
	http_response_status(r, status);
	http_response_static_fields(r, SLICE("Content-Type: text/html; charset=utf-8\r\n"
					      "Cache-Control: no-store\r\n"));
	struct slice title = e ? slice_sub(e->line, 9, e->line.len - 11) : SLICE("Error");
	http_response_body(r, SLICE("<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
				    "<meta name=\"viewport\" content=\"width=device-width\">\n<title>"));
	http_response_body(r, title);
	http_response_body(r, SLICE("</title>\n<h1>"));
	http_response_body(r, title);
	http_response_body(r, SLICE("</h1>\n</html>\n"));
}

struct slice http_chunk_head(uint8_t *buf, uint64_t len)
{
	struct writer w = writer_of(buf, HTTP_CHUNK_HEAD_MAX);
	unsigned digits = 1;
	while (digits < 16 && len >> (4 * digits))
		digits++;
	write_hex(&w, len, digits);
	write_bytes(&w, SLICE("\r\n"));
	return writer_slice(&w);
}

struct slice http_status_reason(uint16_t status)
{
	const struct status_entry *e = status_find(status);
	return e ? slice_sub(e->line, 13, e->line.len - 15) : SLICE("Unknown");
}
