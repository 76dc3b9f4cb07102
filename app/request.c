/* What a handler asks about its request. */
#include <app/ingot.h>

#include "server.h"

#include <stdarg.h>
#include <base/cursor.h>
#include <http/cookie.h>

struct slice request_path(struct request *req)
{
	return req->exchange->http.request.path;
}

struct slice request_param(struct request *req, const char *name)
{
	return http_match_param(&req->match, slice_from_cstr(name));
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
	struct slice value = http_form_get(&req->query, slice_from_cstr(name));
	return http_utf8_is_valid(value) ? value : (struct slice){NULL, 0};
}

int64_t request_query_int(
	struct request *req, const char *name, int64_t min, int64_t max, int64_t otherwise)
{
	struct slice text = request_query(req, name);
	bool negative = text.len && text.ptr[0] == '-';
	uint64_t magnitude;
	if (!slice_to_u64(slice_sub(text, negative, text.len), &magnitude) || magnitude > INT64_MAX)
		return otherwise;
	int64_t value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
	return value < min || value > max ? otherwise : value;
}

struct slice request_header(struct request *req, const char *name)
{
	return http_request_header(&req->exchange->http.request, slice_from_cstr(name));
}

struct slice request_cookie(struct request *req, const char *name)
{
	return http_cookie_get(&req->exchange->http.request, slice_from_cstr(name));
}

struct slice request_body(struct request *req)
{
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
	log_write(req->exchange->server->config.log, LOG_INFO, "app", "%.*s",
		SLICE_ARG(writer_slice(&w)));
}
