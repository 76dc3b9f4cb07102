/* Cookies that a handler sets; what a browser would refuse is not sent. */
#include <app/ingot.h>

#include "server.h"

#include <http/cookie.h>

struct slice request_cookie(struct request *req, const char *name)
{
	struct slice value = http_cookie_get(&req->exchange->http.request, request_name(req, "request_cookie", name));
	return http_utf8_is_valid(value) ? value : (struct slice){NULL, 0};
}

static struct slice or_nothing(const char *text)
{
	return text ? slice_from_cstr(text) : (struct slice){NULL, 0};
}

static struct http_cookie cookie_of(struct slice name, struct slice value, const struct cookie_options *o)
{
	static const enum http_same_site same_site[] = {
		[COOKIE_LAX] = HTTP_SAME_SITE_LAX, [COOKIE_STRICT] = HTTP_SAME_SITE_STRICT,
		[COOKIE_ANY_SITE] = HTTP_SAME_SITE_NONE};
	return (struct http_cookie){
		.name = name,
		.value = value,
		.path = o->path ? slice_from_cstr(o->path) : SLICE("/"),
		.domain = or_nothing(o->domain),
		.has_max_age = o->max_age_s > 0,
		.max_age_s = o->max_age_s,
		.has_expires = o->expires_s > 0,
		.expires_s = o->expires_s,
		.http_only = !o->for_scripts,
		.secure = o->secure,
		.same_site = o->same_site < ARRAY_LEN(same_site) ? same_site[o->same_site] : HTTP_SAME_SITE_STRICT,
	};
}

static void cookie_send(struct request *req, const struct http_cookie *c)
{
	struct slice field;
	const char *problem = http_cookie_problem(c);
	if (problem)
		request_misuse(req, "the cookie \"%.*s\" %s", SLICE_ARG(slice_sub(c->name, 0, 60)), problem);
	if (req->broken)
		return;
	err e = http_cookie_format(c, &req->exchange->arena, &field);
	if (failed(e))
		request_fail(req, 503);
	else
		reply_header(req, "Set-Cookie", field);
}

void reply_cookie(struct request *req, const char *name, struct slice value, const struct cookie_options *options)
{
	static const struct cookie_options none = {0};
	struct slice text = request_name(req, "reply_cookie", name);
	const struct cookie_options *o = options ? options : &none;
	if (o->max_age_s < 0 || o->expires_s < 0)
		request_misuse(req, "the cookie \"%.*s\" has a time below 0: to forget one there is reply_cookie_delete",
			SLICE_ARG(slice_sub(text, 0, 60)));
	struct http_cookie c = cookie_of(text, value, o);
	cookie_send(req, &c);
}

void reply_cookie_delete(struct request *req, const char *name, const struct cookie_options *options)
{
	static const struct cookie_options none = {0};
	struct slice text = request_name(req, "reply_cookie_delete", name);
	struct http_cookie c = cookie_of(text, SLICE(""), options ? options : &none);
	c.has_max_age = true;
	c.max_age_s = 0;
	c.has_expires = false;
	cookie_send(req, &c);
}
