/* The head parser.
 *
 *   START -> METHOD -> TARGET -> VERSION -> LINE -> NAME -> BLANK -> VALUE -+
 *                                            ^  \-> DONE                    |
 *                                            +------------------------------+
 *
 * Invariants:
 *  1. p->pos bytes have been looked at and will not be again (but for at most the 9 bytes of an
 *     incomplete version, and a CR whose LF has not come).
 *  2. What happens depends on the bytes alone, never on where a call's input ended: input behind
 *     p->limit does not exist for the parser, and a phase that lacks bytes returns HTTP_MORE.
 *  3. Views in the request lie in p->base[0 .. p->pos) or in the arena. When the input moves they
 *     move along. */
#include <http/parse.h>

#include <string.h>
#include <base/bytes.h>

#include "bytes.h"
#include "known.h"
#include "scan.h"
#include "target.h"

/* As load_le32 and load_le64 read them. */
#define GET_BLANK 0x20544547u
#define POST 0x54534f50u
#define VERSION_1_1 UINT64_C(0x312e312f50545448) /* "HTTP/1.1" */

enum phase {
	PHASE_START,
	PHASE_METHOD,
	PHASE_TARGET,
	PHASE_VERSION,
	PHASE_LINE,
	PHASE_NAME,
	PHASE_BLANK,
	PHASE_VALUE,
	PHASE_DONE,
	PHASE_FAILED,
};

void http_parser_init(struct http_parser *p, struct arena *arena, uint32_t head_bytes_max)
{
	*p = (struct http_parser){.arena = arena, .limit = head_bytes_max, .phase = PHASE_START};
}

static COLD enum http_parse_result fail(struct http_parser *p, unsigned status)
{
	p->phase = PHASE_FAILED;
	p->status = (uint16_t)status;
	return HTTP_FAILED;
}

static inline enum http_parse_result more(struct http_parser *p, enum phase phase,
	const uint8_t *at)
{
	p->phase = (uint8_t)phase;
	p->pos = (uint32_t)(at - p->base);
	return HTTP_MORE;
}

static enum http_method method_find(struct slice name)
{
	if (LIKELY(name.len == 3 && name.ptr[0] == 'G' && name.ptr[1] == 'E' && name.ptr[2] == 'T'))
		return HTTP_GET;
	for (unsigned m = 0; m < HTTP_METHOD_COUNT; m++)
		if (slice_eq(http_method_name((enum http_method)m), name))
			return (enum http_method)m;
	return HTTP_METHOD_COUNT;
}

/* RFC 9112 section 2.3. *status 0: HTTP/1.x. */
static uint8_t version_parse(const uint8_t *v, unsigned *status)
{
	*status = 0;
	if (LIKELY(load_le64(v) == VERSION_1_1))
		return 1;
	if (memcmp(v, "HTTP/", 5) != 0 || !byte_is_digit(v[5]) || v[6] != '.'
		|| !byte_is_digit(v[7]))
		*status = 400;
	else if (v[5] != '1')
		*status = 505;
	return v[7] != '0';
}

static COLD enum http_parse_result parse_version(struct http_parser *p, const uint8_t *end,
	struct http_request *req)
{
	const uint8_t *at = p->base + p->pos;
	unsigned status;
	if (end - at < 10)
		return more(p, PHASE_VERSION, at);
	req->version_minor = version_parse(at, &status);
	if (at[8] != '\r' || at[9] != '\n')
		status = 400;
	if (status)
		return fail(p, status);
	p->pos += 10;
	p->phase = PHASE_LINE;
	return HTTP_DONE;
}

/* What targets are mostly made of, from `at` on; its end, or where it gave up. */
static inline const uint8_t *scan_usual_target(const uint8_t *at, const uint8_t *end, bool *special)
{
	unsigned count = 16;
	while (count == 16 && end - at >= 16) {
		count = scan_path(at, special);
		at += count;
	}
	return at;
}

static COLD enum http_parse_result parse_target(struct http_parser *p, const uint8_t *end,
	struct http_request *req)
{
	const uint8_t *at = p->base + p->pos, *start = p->base + p->mark;
	uint8_t class = 0, seen = 0;
	for (;;) {
		at = scan_usual_target(at, end, &p->special);
		while (at < end && !((class = http_byte_class[*at]) & BYTE_END)) {
			p->special = true; /* not looked for here */
			seen |= class;
			at++;
		}
		if (!p->question)
			p->seen |= seen;
		if (at == end)
			return more(p, PHASE_TARGET, at);
		if (*at != '?')
			break;
		if (!p->question)
			p->question = (uint32_t)(at - p->base);
		at++;
	}
	if (*at != ' ' || at == start || (p->seen & BYTE_PATH_BAD))
		return fail(p, 400);
	req->target = slice_of(start, (size_t)(at - start));
	size_t question = p->question ? p->question - p->mark : req->target.len;
	unsigned status = 0;
	/* An unknown method (CONNECT, too) may have a target of its own kind: 501 in the end. */
	if (req->method != HTTP_METHOD_COUNT)
		status = http_target_resolve(req, question, p->seen & BYTE_PERCENT, p->special, p->arena);
	if (status)
		return fail(p, status);
	p->pos = (uint32_t)(at + 1 - p->base);
	return parse_version(p, end, req);
}

static COLD enum http_parse_result parse_method(struct http_parser *p, const uint8_t *end,
	struct http_request *req)
{
	const uint8_t *at = p->base + p->pos;
	if (LIKELY(end - at >= 4 && load_le32(at) == GET_BLANK && p->pos == p->mark)) /* "GET " */
		at += 3;
	while (at < end && byte_is(*at, BYTE_TOKEN))
		at++;
	if (at == end)
		return more(p, PHASE_METHOD, at);
	req->method_name = slice_of(p->base + p->mark, (size_t)(at - p->base) - p->mark);
	if (*at != ' ' || req->method_name.len == 0)
		return fail(p, 400);
	req->method = method_find(req->method_name);
	p->pos = p->mark = (uint32_t)(at + 1 - p->base);
	return parse_target(p, end, req);
}

/* RFC 9112 section 2.2: an empty line before the request line is ignored; one, here. */
static COLD enum http_parse_result parse_start(struct http_parser *p, const uint8_t *end,
	struct http_request *req)
{
	const uint8_t *at = p->base + p->pos;
	if (at == end)
		return more(p, PHASE_START, at);
	if (*at == '\r' && !p->skipped_line) {
		if (end - at < 2)
			return more(p, PHASE_START, at);
		if (at[1] != '\n')
			return fail(p, 400);
		p->skipped_line = true;
		p->pos += 2;
	}
	p->mark = p->pos;
	return parse_method(p, end, req);
}

/* Notes the last field under its name, when that is a known one. */
static inline void field_index(struct http_request *req, struct slice name)
{
	unsigned known = known_find(name);
	if (!known)
		return;
	if (req->known[known - 1])
		req->known_repeated |= 1u << (known - 1);
	else
		req->known[known - 1] = (uint8_t)req->header_count;
}

/* Takes the field whose name is [name, colon) and whose line's CRLF is at `at`. */
static inline void field_finish(struct http_request *req, const uint8_t *name, const uint8_t *colon,
	const uint8_t *value, const uint8_t *at)
{
	struct http_header *h = &req->header[req->header_count++];
	while (UNLIKELY(byte_is_blank(at[-1])) && at > value)
		at--;
	h->name = slice_of(name, (size_t)(colon - name));
	h->value = slice_of(value, (size_t)(at - value));
	field_index(req, h->name);
}

/* A token from `at` on; its end. */
static inline const uint8_t *scan_name(const uint8_t *at, const uint8_t *end)
{
	if (LIKELY(end - at >= 16))
		at += scan_letters(at);
	while (at < end && UNLIKELY(*at != ':') && byte_is(*at, BYTE_TOKEN))
		at++;
	return at;
}

/* The first control character but HTAB from `at` on, or end. */
static inline const uint8_t *scan_value(const uint8_t *at, const uint8_t *end)
{
	at = scan_text(at, end);
	while (UNLIKELY(at < end && (*at == '\t' || *at >= 0x80)))
		at = scan_text(at + 1, end);
	return at;
}

/* Out of bytes in the middle of a field: where its parts lie is kept. */
static COLD enum http_parse_result more_field(struct http_parser *p, enum phase phase,
	const uint8_t *name, const uint8_t *colon, const uint8_t *value, const uint8_t *at)
{
	p->mark = (uint32_t)(name - p->base);
	p->colon = (uint32_t)(colon - p->base);
	p->value = (uint32_t)(value - p->base);
	return more(p, phase, at);
}

/* The bits of the 16 bytes from `at` on; near the end, where that many are not there, of those that are. At least
 * 16 bytes lie before `end`. */
#define BITS_AT(bits_of, at, end) (LIKELY((end) - (at) >= 16) ? bits_of(scan_load(at)) \
	: bits_of(scan_load((end) - 16)) >> (16 - ((end) - (at))))

/* The fields from `at` on as long as they are of the usual form ("Name: value", a name of letters and
 * '-', visible ASCII values without blanks at their ends). Returns where it stopped, at the start of a line:
 * parse_fields goes on from there, and does the same in general. At least 16 bytes lie before `end`. */
static inline const uint8_t *parse_usual_fields(const uint8_t *at, const uint8_t *end,
	struct http_request *req)
{
	while (end - at > 4 && req->header_count < HTTP_HEADERS_MAX) {
		const uint8_t *name = at, *colon = at + __builtin_ctz(~BITS_AT(scan_letter_bits, at, end));
		unsigned found;
		if (UNLIKELY(colon - at == 16))
			colon += __builtin_ctz(~BITS_AT(scan_letter_bits, colon, end));
		const uint8_t *value = colon + 2;
		if (end - colon < 5 || load_le16(colon) != 0x203a || *value <= ' ' || colon == name)
			return name;
		for (at = value; !(found = BITS_AT(scan_unusual, at, end)); at += 16)
			if (UNLIKELY(end - at <= 16))
				return name;
		at += __builtin_ctz(found);
		if (end - at < 2 || load_le16(at) != 0x0a0d || at[-1] <= ' ')
			return name;
		struct http_header *h = &req->header[req->header_count++];
		h->name = slice_of(name, (size_t)(colon - name));
		h->value = slice_of(value, (size_t)(at - value));
		at += 2;
		field_index(req, h->name);
	}
	return at;
}

/* "GET /path?query HTTP/1.1" (or POST) with a path that is what it looks like, as nearly all requests begin; its
 * end. NULL: it is another one, or not all there, and nothing that the phases rely on has been noted. */
static const uint8_t *parse_usual_line(const uint8_t *line, const uint8_t *end, struct http_request *req)
{
	unsigned count = 16, method_len = 3;
	bool special = false;
	if (end - line < 32)
		return NULL;
	if (UNLIKELY(load_le32(line) != GET_BLANK)) {
		if (load_le32(line) != POST)
			return NULL;
		req->method = HTTP_POST;
		method_len = 4;
	}
	const uint8_t *path = line + method_len + 1, *at = path;
	if (path[-1] != ' ' || *path != '/')
		return NULL;
	while (count == 16 && end - at >= 16) {
		count = scan_path(at, &special);
		at += count;
	}
	const uint8_t *question = at;
	if (UNLIKELY(count < 16 && *at == '?'))
		for (at++, count = 16; count == 16 && end - at >= 16; at += count)
			count = scan_query(at);
	if (special || end - at < 11 || *at != ' ' || load_le64(at + 1) != VERSION_1_1
		|| load_le16(at + 9) != 0x0a0d)
		return NULL;
	req->method_name = slice_of(line, method_len);
	req->path = slice_of(path, (size_t)(question - path));
	req->target = slice_of(path, (size_t)(at - path));
	if (UNLIKELY(at != question))
		req->query = slice_of(question + 1, (size_t)(at - question) - 1);
	req->version_minor = 1;
	return at + 11;
}

/* A head of the usual form that is all there; HTTP_MORE: it is not, and p->phase says from where on another look
 * is needed. */
static inline enum http_parse_result parse_usual(struct http_parser *p, const uint8_t *end, struct http_request *req)
{
	const uint8_t *at = parse_usual_line(p->base, end, req);
	if (UNLIKELY(!at))
		return HTTP_MORE;
	at = parse_usual_fields(at, end, req);
	p->pos = (uint32_t)(at - p->base);
	p->phase = PHASE_LINE;
	if (UNLIKELY(end - at < 2 || load_le16(at) != 0x0a0d))
		return HTTP_MORE;
	p->pos += 2;
	return HTTP_DONE;
}

static COLD enum http_parse_result parse_fields(struct http_parser *p, const uint8_t *end,
	struct http_request *req)
{
	const uint8_t *base = p->base, *at = base + p->pos;
	const uint8_t *name = base + p->mark, *colon = base + p->colon, *value = base + p->value;
	unsigned phase = p->phase;
	for (;; phase = PHASE_LINE) {
		switch (phase) {
		case PHASE_LINE:
			if (end - base >= 16)
				at = parse_usual_fields(at, end, req);
			if (UNLIKELY(at == end))
				return more(p, PHASE_LINE, at);
			if (*at == '\r') {
				if (UNLIKELY(end - at < 2))
					return more(p, PHASE_LINE, at);
				if (at[1] != '\n')
					return fail(p, 400);
				p->pos = (uint32_t)(at + 2 - base);
				return HTTP_DONE;
			}
			if (UNLIKELY(req->header_count == HTTP_HEADERS_MAX))
				return fail(p, 431);
			name = colon = value = at;
			__attribute__((fallthrough));
		case PHASE_NAME:
			at = scan_name(at, end);
			if (UNLIKELY(at == end))
				return more_field(p, PHASE_NAME, name, at, at, at);
			colon = at;
			/* A blank first is obs-fold, a blank before the colon request smuggling. */
			if (UNLIKELY(*at != ':' || at == name))
				return fail(p, 400);
			at++;
			__attribute__((fallthrough));
		case PHASE_BLANK:
			while (at < end && byte_is_blank(*at))
				at++;
			if (UNLIKELY(at == end))
				return more_field(p, PHASE_BLANK, name, colon, at, at);
			value = at;
			__attribute__((fallthrough));
		default: /* PHASE_VALUE */
			at = scan_value(at, end);
			if (UNLIKELY(end - at < 2)) {
				if (at < end && *at != '\r')
					return fail(p, 400);
				return more_field(p, PHASE_VALUE, name, colon, value, at);
			}
			if (UNLIKELY(load_le16(at) != 0x0a0d))
				return fail(p, 400);
			field_finish(req, name, colon, value, at);
			at += 2;
		}
	}
}

/* RFC 9112 section 6: how the body is framed. 0, or the status to refuse with. */
static unsigned framing_resolve(struct http_request *req)
{
	const uint32_t either = 1u << HTTP_CONTENT_LENGTH | 1u << HTTP_TRANSFER_ENCODING;
	bool length = req->known[HTTP_CONTENT_LENGTH], coded = req->known[HTTP_TRANSFER_ENCODING];
	if (LIKELY(!length && !coded))
		return 0;
	if ((length && coded) || (req->known_repeated & either)
		|| (coded && req->version_minor == 0))
		return 400;
	if (length) {
		struct slice value = http_request_known(req, HTTP_CONTENT_LENGTH);
		if (!slice_to_u64(value, &req->content_length) || req->content_length > INT64_MAX)
			return 400;
		req->framing = req->content_length ? HTTP_BODY_LENGTH : HTTP_BODY_NONE;
		return 0;
	}
	struct slice codings = http_request_known(req, HTTP_TRANSFER_ENCODING), coding;
	unsigned chunked = 0, others = 0;
	bool final = false;
	for (size_t at = 0; http_list_next(codings, &at, &coding);) {
		if (!coding.len)
			return 400;
		final = slice_eq_nocase(coding, SLICE("chunked"));
		*(final ? &chunked : &others) += 1;
	}
	if (!final || chunked != 1)
		return 400;
	req->framing = HTTP_BODY_CHUNKED;
	return others ? 501 : 0;
}

static unsigned host_resolve(struct http_request *req)
{
	unsigned field = req->known[HTTP_HOST];
	struct slice host = field ? req->header[field - 1].value : (struct slice){NULL, 0};
	if (req->known_repeated & 1u << HTTP_HOST)
		return 400;
	if (!host.ptr)
		return req->version_minor ? 400 : 0;
	if (!http_authority_is_valid(host))
		return 400;
	if (!req->host.ptr) /* RFC 9112 section 3.2.2: absolute-form overrides */
		req->host = host;
	return 0;
}

static unsigned expect_resolve(struct http_request *req)
{
	struct slice expect;
	if (LIKELY(!req->known[HTTP_EXPECT]) || req->version_minor == 0)
		return 0;
	expect = http_request_known(req, HTTP_EXPECT);
	if ((req->known_repeated & 1u << HTTP_EXPECT)
		|| !slice_eq_nocase(expect, SLICE("100-continue")))
		return 417;
	req->expect_continue = req->framing != HTTP_BODY_NONE;
	return 0;
}

static bool persistence(const struct http_request *req)
{
	if (!req->known[HTTP_CONNECTION])
		return req->version_minor == 1;
	/* The one value that browsers send, and that of clients that come once. */
	struct slice value = http_request_known(req, HTTP_CONNECTION);
	if (!(req->known_repeated & 1u << HTTP_CONNECTION)) {
		if (slice_eq(value, SLICE("keep-alive")))
			return true;
		if (slice_eq(value, SLICE("close")))
			return false;
	}
	if (http_request_lists(req, SLICE("connection"), SLICE("close")))
		return false;
	return req->version_minor == 1
		|| http_request_lists(req, SLICE("connection"), SLICE("keep-alive"));
}

static enum http_parse_result finish(struct http_parser *p, struct http_request *req)
{
	unsigned status = host_resolve(req);
	if (!status)
		status = framing_resolve(req);
	if (!status)
		status = expect_resolve(req);
	if (!status && req->method == HTTP_METHOD_COUNT)
		status = 501;
	if (status)
		return fail(p, status);
	req->keep_alive = persistence(req);
	p->head_len = p->pos;
	p->phase = PHASE_DONE;
	return HTTP_DONE;
}

enum http_parse_result http_parse_request(struct http_parser *p, struct slice input,
	struct http_request *req)
{
	enum http_parse_result result = HTTP_DONE;
	if (UNLIKELY(p->phase >= PHASE_DONE))
		return p->phase == PHASE_DONE ? HTTP_DONE : HTTP_FAILED;
	/* Fewer bytes than before are a part of what has been looked at. */
	if (!input.len || input.len < p->pos)
		return HTTP_MORE;
	const uint8_t *end = input.ptr + (input.len < p->limit ? input.len : p->limit), *before = p->base;
	p->base = input.ptr;
	if (LIKELY(!before)) {
		memset(req, 0, offsetof(struct http_request, header));
		if (LIKELY(parse_usual(p, end, req) == HTTP_DONE))
			return finish(p, req);
	} else if (before != input.ptr) {
		http_request_rebase(req, before, p->pos, input.ptr);
	}
	switch ((enum phase)p->phase) {
	case PHASE_START: result = parse_start(p, end, req); break;
	case PHASE_METHOD: result = parse_method(p, end, req); break;
	case PHASE_TARGET: result = parse_target(p, end, req); break;
	case PHASE_VERSION: result = parse_version(p, end, req); break;
	case PHASE_LINE:
	case PHASE_NAME:
	case PHASE_BLANK:
	case PHASE_VALUE:
	case PHASE_DONE:
	case PHASE_FAILED: break;
	}
	if (result == HTTP_DONE)
		result = parse_fields(p, end, req);
	if (LIKELY(result == HTTP_DONE))
		return finish(p, req);
	if (result == HTTP_MORE && input.len >= p->limit)
		return fail(p, p->phase <= PHASE_TARGET ? 414 : 431);
	return result;
}
