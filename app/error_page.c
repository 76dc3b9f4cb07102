/* Pages for errors that the application brings (pages/404.html, pages/error.html), and the same as JSON for clients that
 * ask for that (RFC 9457). For what Ingot refuses by itself as well, as soon as it is known what was asked for: a
 * request that could not be understood is answered with a page that has nothing to do with it.
 *
 * When the page cannot be made (memory, a limit of pages), the built-in one is sent, which takes next to nothing: so
 * an error of an error page cannot lead to another. */
#include <app/manifest.h>

#include "server.h"

#define HTML_FIELDS "Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
#define JSON_FIELDS "Content-Type: application/problem+json\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"

static const struct slice reason[] = {SLICE_INIT("reason")};
static const struct slice status[] = {SLICE_INIT("status")};
static const struct slice sentence[] = {SLICE_INIT("sentence")};
static const struct page_op json_ops[] = {
	{.kind = PAGE_OP_TEXT, .text = SLICE_INIT("{\"type\":\"about:blank\",\"title\":")},
	{.kind = PAGE_OP_VARIABLE, .escape = PAGE_ESCAPE_JSON, .path_len = 1, .to.path = reason},
	{.kind = PAGE_OP_TEXT, .text = SLICE_INIT(",\"status\":")},
	{.kind = PAGE_OP_VARIABLE, .escape = PAGE_ESCAPE_JSON, .path_len = 1, .to.path = status},
	{.kind = PAGE_OP_SECTION, .path_len = 1, .jump = 7, .to.path = sentence},
	{.kind = PAGE_OP_TEXT, .text = SLICE_INIT(",\"detail\":")},
	{.kind = PAGE_OP_VARIABLE, .escape = PAGE_ESCAPE_JSON, .path_len = 1, .to.path = sentence},
	{.kind = PAGE_OP_SECTION_END, .jump = 4},
	{.kind = PAGE_OP_TEXT, .text = SLICE_INIT("}\n")},
	{.kind = PAGE_OP_RETURN},
};
static const struct page_template json = {json_ops, ARRAY_LEN(json_ops), SLICE_INIT("problem"), NULL};

/* It names JSON in Accept, and not HTML: a browser does the opposite. */
static bool wants_json(const struct http_request *http)
{
	struct slice accept = http_request_header(http, SLICE("accept"));
	bool found = false;
	while (accept.len) {
		struct slice item = slice_sub(accept, 0, slice_index(accept, ','));
		accept = slice_sub(accept, item.len + 1, accept.len);
		item = slice_trim(slice_sub(item, 0, slice_index(item, ';')));
		if (slice_eq_nocase(item, SLICE("text/html")))
			return false;
		found |= slice_eq_nocase(item, SLICE("application/json"))
			|| slice_eq_nocase(item, SLICE("application/problem+json"));
	}
	return found;
}

static const struct page_template *page_for(const struct app_error_pages *pages, uint16_t wanted)
{
	const struct page_template *any = NULL;
	for (uint32_t i = 0; i < pages->count; i++) {
		if (pages->page[i].status == wanted)
			return pages->page[i].page;
		if (!pages->page[i].status)
			any = pages->page[i].page;
	}
	return any;
}

/* The head may lie in the device's buffer, which goes back before the page has left. */
static struct slice path_of(struct request *req)
{
	struct slice path = req->exchange->http.request.path;
	return http_utf8_is_valid(path) ? arena_copy(&req->exchange->arena, path) : (struct slice){NULL, 0};
}

bool app_error_page_build(struct request *req, struct http_response *r)
{
	struct exchange *x = req->exchange;
	bool malformed = x->http.responding_error && req->status == 400;
	if (!x->head_known || req->head_lost || malformed)
		return false;
	const struct app_manifest *manifest = x->server->config.manifest;
	bool as_json = wants_json(&x->http.request);
	const struct page_template *page = as_json ? &json : page_for(manifest->error_pages, req->status);
	if (!page)
		return false;
	struct page_value *data = page_data(req);
	page_set_int(data, "status", req->status);
	page_set_text(data, "reason", http_status_reason(req->status));
	page_set_text(data, "path", path_of(req));
	page_set_text(data, "sentence", req->bytes);
	page_output_init(&req->page, &x->arena);
	err e = page_render(page, data, &req->page);
	if (failed(e)) {
		log_write(x->server->config.log, LOG_WARN, "page", "%.*s, for a %u: %s", SLICE_ARG(page->name),
			(unsigned)req->status, err_text(e));
		return false;
	}
	req->bytes_copied += req->page.bytes_copied;
	http_response_status(r, req->status);
	http_response_static_fields(r, as_json ? SLICE(JSON_FIELDS) : SLICE(HTML_FIELDS));
	http_response_stream_length(r, req->page.byte_count);
	return true;
}
