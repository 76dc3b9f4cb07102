/* What a handler asks about its request. */
#include <app/ingot.h>

#include "server.h"

#include <stdarg.h>
#include <base/cursor.h>

struct slice request_path(struct request *req)
{
	return req->exchange->http.request.path;
}

/* In any of the routes of this request's handler: one that serves several may ask for what only some of them have. */
static bool handler_has_param(const struct request *req, const char *name)
{
	const struct server *s = req->exchange->server;
	const struct app_route *routes = s->config.manifest->routes;
	size_t len = slice_from_cstr(name).len;
	for (uint32_t i = 0; i < s->route_count; i++) {
		struct slice rest = s->routes[i].pattern;
		if (routes[i].handler != routes[req->match.index].handler)
			continue;
		while (slice_index(rest, '{') < rest.len) {
			rest = slice_sub(rest, slice_index(rest, '{') + 1, rest.len);
			uint8_t end = len < rest.len ? rest.ptr[len] : 0;
			if (slice_starts_with(rest, slice_from_cstr(name)) && (end == '}' || end == '.'))
				return true;
		}
	}
	return false;
}

struct slice request_param(struct request *req, const char *name)
{
	struct slice value = http_match_param(&req->match, request_name(req, "request_param", name));
	if (!value.ptr && name && !handler_has_param(req, name))
		request_misuse(req, "request_param of \"%s\", which its pattern does not have", name);
	return value;
}

struct slice request_query(struct request *req, const char *name)
{
	if (!req->query_parsed) {
		req->query_parsed = true;
		err e = http_form_parse(req->exchange->http.request.query, REQUEST_FIELDS_MAX,
			&req->exchange->arena, &req->query);
		if (failed(e))
			request_fail(req, e.code == ERR_TOO_LARGE ? 400 : 503);
	}
	struct slice value = http_form_get(&req->query, request_name(req, "request_query", name));
	return http_utf8_is_valid(value) ? value : (struct slice){NULL, 0};
}

int64_t request_query_int(
	struct request *req, const char *name, int64_t min, int64_t max, int64_t otherwise)
{
	return request_int(req, request_query(req, name), min, max, otherwise);
}

int64_t request_int(struct request *req, struct slice text, int64_t min, int64_t max, int64_t otherwise)
{
	if (min > max)
		request_misuse(req, "a number between %ld and %ld is asked for: the least value comes first", (long)min, (long)max);
	bool negative = text.len && text.ptr[0] == '-';
	uint64_t magnitude;
	if (!slice_to_u64(slice_sub(text, negative, text.len), &magnitude) || magnitude > INT64_MAX)
		return otherwise;
	int64_t value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
	return value < min || value > max ? otherwise : value;
}

struct slice request_header(struct request *req, const char *name)
{
	return http_request_header(&req->exchange->http.request, request_name(req, "request_header", name));
}

struct slice request_body(struct request *req)
{
	if (req->body_left)
		request_misuse(req, "request_body in a route that is BODY_STREAMED: there it is read with request_read");
	return req->body;
}

int64_t request_time(struct request *req)
{
	return server_time(req->exchange->server);
}

struct slice request_client(struct request *req)
{
	struct exchange *x = req->exchange;
	uint8_t *text = x->tcp ? arena_alloc(&x->arena, NET_ADDRESS_TEXT_MAX) : NULL;
	if (!text)
		return (struct slice){NULL, 0};
	struct client_view client = exchange_client(x);
	struct writer w = writer_of(text, NET_ADDRESS_TEXT_MAX);
	net_address_write(&w, &client.address);
	return writer_slice(&w);
}

bool request_is_https(struct request *req)
{
	return req->exchange->tcp && exchange_client(req->exchange).is_https;
}

struct arena *request_arena(struct request *req)
{
	return &req->exchange->arena;
}

void app_log(struct request *req, const char *fmt, ...)
{
	uint8_t text[400];
	struct writer w = writer_of(text, sizeof text);
	va_list args;
	va_start(args, fmt);
	write_format(&w, fmt, args);
	va_end(args);
	struct log *log = req->exchange->server->config.log;
	log_write(log, LOG_INFO, "app", "%.*s", SLICE_ARG(writer_slice(&w)));
	if (w.failed) /* not the handler's fault, perhaps: a client's text may be long */
		log_write(log, LOG_WARN, "app", "the line before is cut: it has more than %u bytes, or a format that there is "
			"not: %s", (unsigned)sizeof text, fmt);
}
