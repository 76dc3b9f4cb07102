/* Looking things up in a parsed request head. */
#include <http/parse.h>

#include "bytes.h"
#include "known.h"

static const struct slice method_name[HTTP_METHOD_COUNT] = {
	[HTTP_GET] = SLICE_INIT("GET"),
	[HTTP_HEAD] = SLICE_INIT("HEAD"),
	[HTTP_POST] = SLICE_INIT("POST"),
	[HTTP_PUT] = SLICE_INIT("PUT"),
	[HTTP_DELETE] = SLICE_INIT("DELETE"),
	[HTTP_OPTIONS] = SLICE_INIT("OPTIONS"),
	[HTTP_PATCH] = SLICE_INIT("PATCH"),
	[HTTP_TRACE] = SLICE_INIT("TRACE"),
};

struct slice http_method_name(enum http_method m)
{
	return m < HTTP_METHOD_COUNT ? method_name[m] : SLICE("");
}

struct slice http_request_known(const struct http_request *req, enum http_known which)
{
	unsigned n = req->known[which];
	return n ? req->header[n - 1].value : (struct slice){NULL, 0};
}

struct slice http_request_header_next(const struct http_request *req, struct slice name,
	uint32_t *at)
{
	while (*at < req->header_count) {
		const struct http_header *h = &req->header[(*at)++];
		if (h->name.len == name.len && slice_eq_nocase(h->name, name))
			return h->value;
	}
	return (struct slice){NULL, 0};
}

struct slice http_request_header(const struct http_request *req, struct slice name)
{
	uint32_t at = 0;
	if (!slice_is(name, BYTE_TOKEN))
		return (struct slice){NULL, 0};
	unsigned known = known_find(name);
	if (known)
		return http_request_known(req, (enum http_known)(known - 1));
	return http_request_header_next(req, name, &at);
}

bool http_request_lists(const struct http_request *req, struct slice name, struct slice token)
{
	uint32_t field = 0;
	for (;;) {
		struct slice element, list = http_request_header_next(req, name, &field);
		size_t at = 0;
		if (!list.ptr)
			return false;
		while (http_list_next(list, &at, &element))
			if (slice_eq_nocase(element, token))
				return true;
	}
}

static void rebase(struct slice *s, const uint8_t *from, size_t len, const uint8_t *to)
{
	uintptr_t offset = (uintptr_t)s->ptr - (uintptr_t)from;
	if (s->ptr && offset < len)
		s->ptr = to + offset;
}

void http_request_rebase(struct http_request *req, const uint8_t *from, size_t len,
	const uint8_t *to)
{
	rebase(&req->method_name, from, len, to);
	rebase(&req->target, from, len, to);
	rebase(&req->path, from, len, to);
	rebase(&req->query, from, len, to);
	rebase(&req->host, from, len, to);
	for (unsigned i = 0; i < req->header_count; i++) {
		rebase(&req->header[i].name, from, len, to);
		rebase(&req->header[i].value, from, len, to);
	}
}
