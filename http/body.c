/* The body decoder.
 *
 *   LENGTH -> END
 *   SIZE -> [BLANK ->] [EXTENSION ->] SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE
 *                            \ size 0 -> TRAILER -> [NAME -> VALUE -> VALUE_LF -> TRAILER]
 *                                                         \-> LAST_LF -> END
 *
 * Each phase consumes bytes one by one (data: runs), so that a split cannot matter. */
#include <http/body.h>

#include "bytes.h"

enum phase {
	PHASE_END,
	PHASE_LENGTH,
	PHASE_SIZE,
	PHASE_BLANK,
	PHASE_EXTENSION,
	PHASE_SIZE_LF,
	PHASE_DATA,
	PHASE_DATA_CR,
	PHASE_DATA_LF,
	PHASE_TRAILER,
	PHASE_NAME,
	PHASE_VALUE,
	PHASE_VALUE_LF,
	PHASE_LAST_LF,
	PHASE_FAILED,
};

#define CHUNK_DIGITS_MAX 16

static uint8_t fail(struct http_body *b, unsigned status)
{
	b->status = (uint16_t)status;
	return PHASE_FAILED;
}

void http_body_init(struct http_body *b, const struct http_request *req, uint64_t limit)
{
	*b = (struct http_body){.limit = limit, .phase = PHASE_END};
	if (req->framing == HTTP_BODY_CHUNKED)
		b->phase = PHASE_SIZE;
	if (req->framing == HTTP_BODY_LENGTH) {
		b->left = req->content_length;
		b->phase = b->left > limit ? fail(b, 413) : PHASE_LENGTH;
	}
}

static uint8_t size_end(struct http_body *b, uint8_t c)
{
	if (b->line_len == 0)
		return fail(b, 400);
	switch (c) {
	case '\r': return PHASE_SIZE_LF;
	case ' ':
	case '\t': return PHASE_BLANK;
	case ';': return PHASE_EXTENSION;
	default: return fail(b, 400);
	}
}

static uint8_t size_digit(struct http_body *b, uint8_t c)
{
	int digit = hex_digit(c);
	if (digit < 0)
		return size_end(b, c);
	if (++b->line_len > CHUNK_DIGITS_MAX || b->left >> 60)
		return fail(b, 400);
	b->left = b->left << 4 | (unsigned)digit;
	return PHASE_SIZE;
}

static bool is_text(uint8_t c)
{
	return c == '\t' || (c >= 0x20 && c != 0x7f);
}

/* Extensions carry nothing for us: bounded for a chunk and over the whole body. */
static uint8_t extension(struct http_body *b, uint8_t c)
{
	if (c == '\r')
		return PHASE_SIZE_LF;
	if (!is_text(c) || ++b->line_len > HTTP_CHUNK_LINE_MAX
		|| ++b->wire_overhead > HTTP_EXTENSIONS_MAX)
		return fail(b, 400);
	return PHASE_EXTENSION;
}

static uint8_t blank(struct http_body *b, uint8_t c)
{
	if (c == ';')
		return PHASE_EXTENSION;
	if ((c != ' ' && c != '\t') || ++b->line_len > HTTP_CHUNK_LINE_MAX)
		return fail(b, 400);
	return PHASE_BLANK;
}

static uint8_t size_lf(struct http_body *b, uint8_t c)
{
	b->line_len = 0;
	if (c != '\n')
		return fail(b, 400);
	if (b->left > b->limit - b->received)
		return fail(b, 413);
	return b->left ? PHASE_DATA : PHASE_TRAILER;
}

static uint8_t trailer(struct http_body *b, uint8_t c)
{
	if (c == '\r')
		return PHASE_LAST_LF;
	return byte_is(c, BYTE_TOKEN) ? PHASE_NAME : fail(b, 400);
}

static uint8_t name(struct http_body *b, uint8_t c)
{
	if (c == ':')
		return PHASE_VALUE;
	return byte_is(c, BYTE_TOKEN) ? PHASE_NAME : fail(b, 400);
}

static uint8_t value(struct http_body *b, uint8_t c)
{
	if (c == '\r')
		return PHASE_VALUE_LF;
	return is_text(c) ? PHASE_VALUE : fail(b, 400);
}

static uint8_t expect(struct http_body *b, uint8_t c, uint8_t wanted, enum phase next)
{
	return c == wanted ? (uint8_t)next : fail(b, 400);
}

static uint8_t step(struct http_body *b, uint8_t c)
{
	if (b->phase >= PHASE_TRAILER && ++b->line_len > HTTP_TRAILERS_MAX)
		return fail(b, 400);
	switch ((enum phase)b->phase) {
	case PHASE_SIZE: return size_digit(b, c);
	case PHASE_BLANK: return blank(b, c);
	case PHASE_EXTENSION: return extension(b, c);
	case PHASE_SIZE_LF: return size_lf(b, c);
	case PHASE_DATA_CR: return expect(b, c, '\r', PHASE_DATA_LF);
	case PHASE_DATA_LF: return expect(b, c, '\n', PHASE_SIZE);
	case PHASE_TRAILER: return trailer(b, c);
	case PHASE_NAME: return name(b, c);
	case PHASE_VALUE: return value(b, c);
	case PHASE_VALUE_LF: return expect(b, c, '\n', PHASE_TRAILER);
	case PHASE_LAST_LF: return expect(b, c, '\n', PHASE_END);
	case PHASE_END:
	case PHASE_LENGTH:
	case PHASE_DATA:
	case PHASE_FAILED: break;
	}
	return fail(b, 400);
}

static struct slice take_data(struct http_body *b, struct slice input, size_t at)
{
	struct slice run = slice_sub(input, at, b->left < input.len ? (size_t)b->left : input.len);
	b->left -= run.len;
	b->received += run.len;
	if (b->left == 0)
		b->phase = b->phase == PHASE_LENGTH ? PHASE_END : PHASE_DATA_CR;
	return run;
}

enum http_body_result http_body_decode(struct http_body *b, struct slice input, size_t *consumed,
	struct slice *data)
{
	size_t at = 0;
	*data = (struct slice){NULL, 0};
	while (b->phase != PHASE_END && b->phase != PHASE_FAILED && at < input.len) {
		if (b->phase == PHASE_DATA || b->phase == PHASE_LENGTH) {
			*data = take_data(b, input, at);
			*consumed = at + data->len;
			return HTTP_BODY_DATA;
		}
		b->phase = step(b, input.ptr[at++]);
	}
	*consumed = at;
	if (b->phase == PHASE_END)
		return HTTP_BODY_END;
	return b->phase == PHASE_FAILED ? HTTP_BODY_FAILED : HTTP_BODY_MORE;
}
