/* Calls that an application should not have made. Each is a line in the log that says which route made it and what to do
 * instead, and fails the request: its client gets a 500, or when the head of the answer has gone, a cut connection.
 * So a mistake is seen by whoever writes the handler, and not by the visitors of a page that looks right. */
#include <app/ingot.h>

#include "server.h"

#include <stdarg.h>
#include <base/cursor.h>

void request_misuse(struct request *req, const char *fmt, ...)
{
	const struct server *s = req->exchange->server;
	const struct app_route *route = &s->config.manifest->routes[req->match.index];
	uint8_t text[320];
	struct writer w = writer_of(text, sizeof text);
	va_list args;
	if (req->broken)
		return;
	va_start(args, fmt);
	write_format(&w, fmt, args);
	va_end(args);
	log_write(s->config.log, LOG_ERROR, "app", "%s %s: %.*s", req->target == TARGET_ROUTE ? route->method : "?",
		req->target == TARGET_ROUTE ? route->pattern : "", SLICE_ARG(writer_slice(&w)));
	request_fail(req, 500);
}

void request_refuse(struct request *req, uint16_t status, const char *sentence)
{
	reply_error(req, status, sentence);
	req->broken = true;
}

struct slice request_name(struct request *req, const char *call, const char *name)
{
	if (name)
		return slice_from_cstr(name);
	request_misuse(req, "%s without a name (NULL)", call);
	return (struct slice){NULL, 0};
}
