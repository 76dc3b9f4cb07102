/* Multipart forms, part by part: the body is read as far as the handler asks, through one buffer. */
#include <app/ingot.h>

#include "server.h"

#include <string.h>
#include <http/multipart.h>

#define BUFFER_LEN 4096

/* In the request's memory. */
struct form_parts {
	struct http_multipart multipart;
	struct slice input; /* of the buffer: not decoded yet */
	struct slice data;  /* of the part's content: not asked for yet */
	bool in_part, ended;
	uint8_t buffer[BUFFER_LEN];
};

/* NULL: the request has failed, or been answered. */
static struct form_parts *parts_of(struct request *req)
{
	if (req->broken)
		return NULL;
	if (req->parts)
		return req->parts;
	struct form_parts *p = arena_alloc(&req->exchange->arena, sizeof *p);
	if (!p) {
		request_fail(req, 503);
		return NULL;
	}
	if (!http_multipart_init(&p->multipart, request_header(req, "Content-Type"), REQUEST_FIELDS_MAX)) {
		request_refuse(req, 415, "This address takes forms with files (multipart/form-data).");
		return NULL;
	}
	p->input = p->data = (struct slice){NULL, 0};
	p->in_part = p->ended = false;
	return req->parts = p;
}

/* More input. False: there is none, and the form is not whole. */
static bool input_take(struct request *req, struct form_parts *p)
{
	p->input = slice_of(p->buffer, request_read(req, p->buffer, sizeof p->buffer));
	if (!p->input.len)
		request_fail(req, 400);
	return p->input.len > 0;
}

/* The next event that is worth one; FAILED also when the request has. */
static enum http_multipart_event event_next(struct request *req, struct form_parts *p)
{
	size_t used;
	for (;;) {
		enum http_multipart_event event = http_multipart_decode(&p->multipart, p->input, &used, &p->data);
		p->input = slice_sub(p->input, used, p->input.len);
		if (event == HTTP_MULTIPART_FAILED)
			request_fail(req, p->multipart.status);
		if (event != HTTP_MULTIPART_MORE)
			return event;
		if (!input_take(req, p))
			return HTTP_MULTIPART_FAILED;
	}
}

/* What a client sends behind the form is read, so that the next request may follow. */
static void rest_read(struct request *req, struct form_parts *p)
{
	p->ended = true;
	while (request_read(req, p->buffer, sizeof p->buffer))
		;
}

static struct slice text_or_nothing(struct slice s)
{
	return http_utf8_is_valid(s) ? s : (struct slice){NULL, 0};
}

bool part_next(struct request *req, struct form_part *part)
{
	struct form_parts *p = parts_of(req);
	enum http_multipart_event event = HTTP_MULTIPART_MORE;
	while (p && !p->ended && event != HTTP_MULTIPART_PART && event != HTTP_MULTIPART_FAILED) {
		event = event_next(req, p);
		if (event == HTTP_MULTIPART_END)
			rest_read(req, p);
	}
	if (event != HTTP_MULTIPART_PART)
		return false;
	const struct http_multipart *m = &p->multipart;
	p->in_part = true;
	*part = (struct form_part){text_or_nothing(m->name), text_or_nothing(m->filename), text_or_nothing(m->type),
		m->filename.ptr != NULL};
	return true;
}

/* More of the part's content to p->data. */
static bool data_take(struct request *req, struct form_parts *p)
{
	enum http_multipart_event event = event_next(req, p);
	if (event != HTTP_MULTIPART_DATA)
		p->in_part = false;
	return event == HTTP_MULTIPART_DATA;
}

size_t part_read(struct request *req, void *out, size_t len)
{
	struct form_parts *p = req->parts;
	size_t n = 0;
	if (!p)
		request_misuse(req, "part_read before part_next has given a part");
	while (p && p->in_part && n < len && (p->data.len || data_take(req, p))) {
		struct slice some = slice_sub(p->data, 0, len - n);
		memcpy((uint8_t *)out + n, some.ptr, some.len);
		p->data = slice_sub(p->data, some.len, p->data.len);
		n += some.len;
	}
	return req->broken ? 0 : n;
}
