/* What a handler answers, and how it becomes a response: segments that TCP sends by reference. */
#include <app/ingot.h>

#include "server.h"

#include <string.h>
#include <http/conditional.h>

/* Of the head, and of what is behind it: an asset or a text, or an error's page. */
#define HEAD_SEGMENTS (HTTP_RESPONSE_HEAD_SEGMENTS + 2)
#define ERROR_SEGMENTS (HTTP_RESPONSE_HEAD_SEGMENTS + HTTP_ERROR_PAGE_SEGMENTS)

#define SAFE_FIELDS "X-Content-Type-Options: nosniff\r\n"
#define HTML_FIELDS "Content-Type: text/html; charset=utf-8\r\nCache-Control: no-cache\r\n" SAFE_FIELDS

void request_init(struct request *req, struct exchange *x)
{
	memset(req, 0, offsetof(struct request, page));
	req->exchange = x;
	req->match.param_count = 0;
	req->fields = NULL;
	req->broken = false;
	req->head_lost = false;
	req->bytes_copied = req->bytes_body = 0;
	req->hold = NULL;
	req->database = NULL;
}

void request_fail(struct request *req, uint16_t status)
{
	if (req->broken)
		return;
	req->broken = true;
	req->reply = REPLY_ERROR;
	req->status = status;
	req->bytes = (struct slice){NULL, 0};
	req->fields = NULL;
}

/* False when there is an answer already; a second one is the application's mistake. */
bool reply_is_due(struct request *req, int status, int min)
{
	if (req->reply != REPLY_NONE)
		request_misuse(req, "a second answer (%d) after one with %u: return after the first", status,
			(unsigned)req->status);
	else if (status < min || status > 599)
		request_misuse(req, "%d is not a status for this answer, which takes %d to 599", status, min);
	return !req->broken;
}

static bool reply_claim(struct request *req, enum reply_kind kind, int status, int min)
{
	if (!reply_is_due(req, status, min))
		return false;
	req->reply = kind;
	req->status = (uint16_t)status;
	return true;
}

struct page_value *page_data(struct request *req)
{
	return page_object(&req->exchange->arena);
}

void reply_page(struct request *req, int status, const struct page_template *page,
	const struct page_value *data)
{
	if (!reply_claim(req, REPLY_PAGE, status, 200))
		return;
	req->type_fields = SLICE(HTML_FIELDS);
	page_output_init(&req->page, &req->exchange->arena);
	err e = page_render(page, data, &req->page);
	if (!failed(e)) {
		req->bytes_copied += req->page.bytes_copied;
		return;
	}
	log_write(req->exchange->server->config.log, LOG_WARN, "page", "%.*s: %s",
		SLICE_ARG(page->name), err_text(e));
	request_fail(req, e.code == ERR_NO_MEMORY ? 503 : 500);
}

bool reply_pieces(struct request *req, int status, struct slice type_fields)
{
	if (!reply_claim(req, REPLY_PAGE, status, 200))
		return false;
	req->type_fields = type_fields;
	return true;
}

void reply_text(struct request *req, int status, struct slice text)
{
	if (!reply_claim(req, REPLY_BYTES, status, 200))
		return;
	req->type_fields = SLICE("Content-Type: text/plain; charset=utf-8\r\n" SAFE_FIELDS);
	req->bytes = text;
}

void reply_bytes(struct request *req, int status, const char *content_type, struct slice bytes)
{
	if (!reply_claim(req, REPLY_BYTES, status, 200))
		return;
	req->type_fields = SLICE(SAFE_FIELDS);
	req->bytes = bytes;
	if (content_type)
		reply_header(req, "Content-Type", slice_from_cstr(content_type));
}

void reply_redirect(struct request *req, const char *location)
{
	if (!reply_claim(req, REPLY_BYTES, 303, 200))
		return;
	req->bytes = (struct slice){NULL, 0};
	reply_header(req, "Location", request_name(req, "reply_redirect", location));
}

void reply_error(struct request *req, int status, const char *sentence)
{
	if (!reply_claim(req, REPLY_ERROR, status, 400))
		return;
	req->bytes = sentence ? slice_from_cstr(sentence) : (struct slice){NULL, 0};
}

void reply_header(struct request *req, const char *name, struct slice value)
{
	struct slice text = request_name(req, "reply_header", name);
	if (req->fields_closed)
		request_misuse(req, "reply_header of %.*s %s", SLICE_ARG(text), req->fields_closed);
	if (req->broken)
		return;
	struct reply_field *field = ARENA_NEW(&req->exchange->arena, struct reply_field);
	if (!field) {
		request_fail(req, 503);
		return;
	}
	*field = (struct reply_field){NULL, text, value};
	struct reply_field **end = &req->fields;
	while (*end)
		end = &(*end)->next;
	*end = field;
}

/* --- Building --------------------------------------------------------------------------------- */

/* The page that says what went wrong, with the handler's sentence where it gave one. */
static void build_error(struct request *req, struct http_response *r)
{
	static const struct slice reason[] = {SLICE_INIT("reason")};
	static const struct slice sentence[] = {SLICE_INIT("sentence")};
	static const struct page_op ops[] = {
		{.kind = PAGE_OP_TEXT, .text = SLICE_INIT("<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">"
			"<meta name=\"viewport\" content=\"width=device-width\"><title>")},
		{.kind = PAGE_OP_VARIABLE, .escape = PAGE_ESCAPE_HTML, .path_len = 1,
			.to.path = reason},
		{.kind = PAGE_OP_TEXT, .text = SLICE_INIT("</title>\n<h1>")},
		{.kind = PAGE_OP_VARIABLE, .escape = PAGE_ESCAPE_HTML, .path_len = 1,
			.to.path = reason},
		{.kind = PAGE_OP_TEXT, .text = SLICE_INIT("</h1>\n<p>")},
		{.kind = PAGE_OP_VARIABLE, .escape = PAGE_ESCAPE_HTML, .path_len = 1,
			.to.path = sentence},
		{.kind = PAGE_OP_TEXT, .text = SLICE_INIT("</p>\n</html>\n")},
		{.kind = PAGE_OP_RETURN},
	};
	static const struct page_template page = {ops, ARRAY_LEN(ops), SLICE_INIT("error"), NULL};
	const struct app_error_pages *own = req->exchange->server->config.manifest->error_pages;
	if (own && (req->page_is_error = own->build(req, r)))
		return;
	if (!req->bytes.len) {
		http_response_error_page(r, req->status);
		return;
	}
	req->page_is_error = true;
	struct page_value *data = page_data(req);
	page_set_text(data, "reason", http_status_reason(req->status));
	page_set_text(data, "sentence", req->bytes);
	page_output_init(&req->page, &req->exchange->arena);
	http_response_status(r, req->status);
	http_response_static_fields(r, SLICE(HTML_FIELDS));
	r->error = failed(r->error) ? r->error : page_render(&page, data, &req->page);
	http_response_stream_length(r, req->page.byte_count);
}

/* RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5. */
static bool is_bodiless(const struct request *req)
{
	return req->status - 204u <= 1 || req->status == 304;
}

static void build_head(struct request *req, struct http_response *r)
{
	struct server *s = req->exchange->server;
	switch (req->reply) {
	case REPLY_PAGE:
		http_response_status(r, req->status);
		http_response_static_fields(r, req->type_fields);
		if (!is_bodiless(req))
			http_response_stream_length(r, req->page.byte_count);
		break;
	case REPLY_ASSET:
		http_response_static_head(r, req->status, req->type_fields);
		http_response_body(r, req->bytes);
		break;
	case REPLY_BYTES:
		http_response_status(r, req->status);
		if (req->type_fields.len)
			http_response_static_fields(r, req->type_fields);
		http_response_body(r, req->bytes);
		break;
	case REPLY_ERROR:
	case REPLY_STREAM:
	case REPLY_NONE:
		build_error(req, r);
		break;
	}
	for (struct reply_field *f = req->fields; f; f = f->next)
		http_response_header(r, f->name, f->value);
	if (req->status == 503)
		http_response_static_fields(r, SLICE("Retry-After: 1\r\n"));
	http_response_date(r, &s->dates, server_time(s));
}

/* The chunks of the page follow the head as sends of their own: their segment arrays are used as they
 * are. */
static bool build_page_sends(struct request *req, struct tcp_send *head)
{
	struct tcp_send *last = head;
	for (struct page_chunk *chunk = req->page.first; chunk; chunk = chunk->next) {
		struct tcp_send *send = ARENA_NEW(&req->exchange->arena, struct tcp_send);
		if (!send)
			return false;
		send->segments = chunk->segment;
		send->count = chunk->count;
		last = last->next = send;
	}
	return true;
}

static bool has_page(const struct request *req)
{
	return req->reply == REPLY_PAGE || req->page_is_error;
}

/* A file as it is: what most requests are for. */
struct file_reply {
	struct slice segment[3]; /* the head that the build made, the fields that vary, the file */
	uint8_t fields[64];
};
#define FILE_CLOSES "Connection: close\r\n\r\n"
_Static_assert(sizeof((struct file_reply *)0)->fields
	>= sizeof((struct http_date_cache *)0)->line + sizeof FILE_CLOSES, "the fields have room");

/* The answer to a plain GET of a file, to which nothing was added: what http_response would come to. */
static bool build_file(struct request *req, bool keep_alive)
{
	struct exchange *x = req->exchange;
	struct server *s = x->server;
	struct file_reply *f = arena_alloc(&x->arena, sizeof *f);
	if (!f)
		return false;
	(void)server_time(s);
	memcpy(f->fields, s->dates.line, sizeof s->dates.line);
	size_t len = sizeof s->dates.line + (keep_alive ? 2 : sizeof FILE_CLOSES - 1);
	if (LIKELY(keep_alive))
		memcpy(f->fields + sizeof s->dates.line, "\r\n", 2);
	else
		memcpy(f->fields + sizeof s->dates.line, FILE_CLOSES, sizeof FILE_CLOSES - 1);
	f->segment[0] = req->type_fields;
	f->segment[1] = slice_of(f->fields, len);
	f->segment[2] = req->bytes;
	x->send_head.segments = f->segment;
	x->send_head.count = ARRAY_LEN(f->segment);
	x->send_head.next = NULL;
	x->sends = &x->send_head;
	req->bytes_copied += len;
	req->bytes_body = req->bytes.len;
	s->stats.bytes_sent += req->bytes.len;
	return true;
}

static bool is_plain_file(const struct request *req)
{
	const struct http_request *http = &req->exchange->http.request;
	return req->reply == REPLY_ASSET && !req->fields && req->exchange->head_known
		&& http->method == HTTP_GET && http->version_minor;
}

static bool build(struct request *req, struct http_response *r, bool keep_alive)
{
	struct exchange *x = req->exchange;
	struct slice *list;
	uint32_t len;
	uint32_t count = req->reply == REPLY_ERROR ? ERROR_SEGMENTS : HEAD_SEGMENTS;
	struct slice *segments = ARENA_NEW_ARRAY(&x->arena, struct slice, count);
	if (!segments)
		return false;
	const struct http_request *http = x->head_known ? &x->http.request : NULL;
	http_response_init(r, segments, count, &x->arena, http, keep_alive);
	build_head(req, r);
	if (failed(http_response_finish(r, &list, &len)))
		return false;
	x->send_head = (struct tcp_send){.segments = list, .count = len};
	x->sends = &x->send_head;
	req->bytes_copied += r->bytes_copied;
	uint64_t body_len = r->body_len + (has_page(req) ? req->page.byte_count : 0);
	x->server->stats.bytes_sent += body_len;
	bool with_body = (!http || http->method != HTTP_HEAD) && !is_bodiless(req);
	if (with_body)
		req->bytes_body = body_len;
	return !has_page(req) || !with_body || build_page_sends(req, &x->send_head);
}

void reply_not_built(struct request *req, const struct http_response *r)
{
	req->broken = false;
	if (req->exchange->arena.exhausted) {
		log_write(req->exchange->server->config.log, LOG_WARN, "http", "no answer: out of memory");
		request_fail(req, 503);
	} else {
		request_misuse(req, "the header field \"%.*s\" is malformed, one that Ingot writes itself, or too long",
			SLICE_ARG(slice_sub(r->bad_name, 0, 80)));
	}
}

static NOINLINE bool build_any(struct request *req, bool keep_alive)
{
	struct http_response r = {.bad_name = {NULL, 0}};
	if (build(req, &r, keep_alive))
		return true;
	/* A field that is no field, or no memory: the error page needs next to nothing, and nothing that
	 * the request had in its memory is wanted any more. */
	reply_not_built(req, &r);
	req->head_lost = true;
	req->page_is_error = false;
	exchange_memory_reset(req->exchange);
	return build(req, &r, keep_alive);
}

bool reply_build(struct request *req, bool keep_alive)
{
	return (is_plain_file(req) && build_file(req, keep_alive)) || build_any(req, keep_alive);
}
