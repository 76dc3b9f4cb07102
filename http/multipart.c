/* The multipart decoder.
 *
 *   PREAMBLE --delimiter--> AFTER --blanks, CR--> AFTER_LF --LF--> HEAD --CRLF CRLF--> CONTENT --delimiter--> AFTER
 *                             \--"-"--> DASH --"-"--> END
 *
 * The delimiter is CRLF, two dashes and the boundary; the one at the very start has no line end before it, so there
 * the first two bytes count as seen. CR occurs in it as its first byte only. Hence, when a match breaks off, no
 * later start lies within what has matched: that is content, and the byte that broke it is looked at anew. */
#include <http/multipart.h>

#include <string.h>

#include "bytes.h"

enum phase {
	PHASE_PREAMBLE,
	PHASE_AFTER,
	PHASE_AFTER_LF,
	PHASE_DASH,
	PHASE_HEAD,
	PHASE_CONTENT,
	PHASE_CONTENT_END, /* PART_END is to be told */
	PHASE_END,
	PHASE_FAILED,
};

/* --- Parameters ------------------------------------------------------------------------------- */

/* Takes a parameter, ';' NAME '=' VALUE, from the front of *rest. VALUE is a token, or stands in quotes, and then
 * *quoted is what stands between them. False: there is none, or it is malformed, and then *rest is not empty. */
static bool param_next(struct slice *rest, struct slice *name, struct slice *value, bool *quoted)
{
	struct slice s = slice_trim(*rest);
	*rest = s;
	if (!s.len || s.ptr[0] != ';')
		return false;
	s = slice_trim(slice_sub(s, 1, s.len));
	size_t equals = slice_index(s, '=');
	*name = slice_sub(s, 0, equals);
	s = slice_sub(s, equals + 1, s.len);
	if (!slice_is(*name, BYTE_TOKEN) || !s.len)
		return false;
	size_t end = 0;
	*quoted = s.ptr[0] == '"';
	if (*quoted) {
		for (end = 1; end < s.len && s.ptr[end] != '"'; end++)
			end += s.ptr[end] == '\\' && end + 1 < s.len && (s.ptr[end + 1] == '"' || s.ptr[end + 1] == '\\');
		if (end >= s.len)
			return false;
		*value = slice_sub(s, 1, end - 1);
		*rest = slice_sub(s, end + 1, s.len);
		return true;
	}
	while (end < s.len && byte_is(s.ptr[end], BYTE_TOKEN))
		end++;
	*value = slice_sub(s, 0, end);
	*rest = slice_sub(s, end, s.len);
	return end > 0;
}

static bool boundary_is_valid(struct slice b)
{
	for (size_t i = 0; i < b.len; i++) {
		uint8_t c = b.ptr[i];
		bool alnum = byte_is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
		if (!alnum && !memchr("'()+_,-./:=? ", c, 13))
			return false;
	}
	return b.len > 0 && b.len <= HTTP_MULTIPART_BOUNDARY_MAX && b.ptr[b.len - 1] != ' ';
}

bool http_multipart_init(struct http_multipart *m, struct slice content_type, uint32_t parts_max)
{
	size_t end = slice_index(content_type, ';');
	struct slice rest = slice_sub(content_type, end, content_type.len), name, value, boundary = {NULL, 0};
	bool quoted;
	if (!slice_eq_nocase(slice_trim(slice_sub(content_type, 0, end)), SLICE("multipart/form-data")))
		return false;
	while (param_next(&rest, &name, &value, &quoted)) {
		if (!slice_eq_nocase(name, SLICE("boundary")))
			continue;
		if (boundary.ptr)
			return false;
		boundary = value;
	}
	if (rest.len || !boundary_is_valid(boundary))
		return false;
	memset(m, 0, offsetof(struct http_multipart, delimiter));
	m->parts_max = parts_max;
	memcpy(m->delimiter, "\r\n--", 4);
	memcpy(m->delimiter + 4, boundary.ptr, boundary.len);
	m->delimiter_len = (uint8_t)(4 + boundary.len);
	m->matched = 2;
	return true;
}

/* --- The head of a part ----------------------------------------------------------------------- */

static bool fail(struct http_multipart *m, unsigned status)
{
	m->status = (uint16_t)status;
	m->phase = PHASE_FAILED;
	return false;
}

/* What a quoted value says, written over it. Programs put a backslash before a quote; browsers write a quote as
 * %22, and line ends as %0D and %0A, and leave every other '%' as it is. */
static struct slice unquoted(struct http_multipart *m, struct slice value)
{
	uint8_t *start = m->head + (value.ptr - m->head), *to = start;
	for (size_t i = 0; i < value.len; i++) {
		uint8_t c = value.ptr[i];
		int escape = percent_escape(value, i);
		if (c == '\\' && i + 1 < value.len && (value.ptr[i + 1] == '"' || value.ptr[i + 1] == '\\')) {
			c = value.ptr[++i];
		} else if (escape == '"' || escape == '\r' || escape == '\n') {
			c = (uint8_t)escape;
			i += 2;
		}
		*to++ = c;
	}
	return slice_of(start, (size_t)(to - start));
}

static bool disposition_take(struct http_multipart *m, struct slice value)
{
	size_t end = slice_index(value, ';');
	struct slice rest = slice_sub(value, end, value.len), name;
	bool quoted;
	if (m->name.ptr || !slice_eq_nocase(slice_trim(slice_sub(value, 0, end)), SLICE("form-data")))
		return false;
	while (param_next(&rest, &name, &value, &quoted)) {
		bool is_name = slice_eq_nocase(name, SLICE("name"));
		struct slice *to = is_name ? &m->name : &m->filename;
		if (!is_name && !slice_eq_nocase(name, SLICE("filename")))
			continue; /* filename* among them: RFC 7578 section 4.2 */
		if (to->ptr)
			return false;
		*to = quoted ? unquoted(m, value) : value;
	}
	return !rest.len && m->name.ptr;
}

static bool encoding_is_none(struct slice value)
{
	return slice_eq_nocase(value, SLICE("binary")) || slice_eq_nocase(value, SLICE("8bit"))
		|| slice_eq_nocase(value, SLICE("7bit"));
}

static bool field_take(struct http_multipart *m, struct slice line)
{
	size_t colon = slice_index(line, ':');
	struct slice name = slice_sub(line, 0, colon), value = slice_trim(slice_sub(line, colon + 1, line.len));
	if (colon == line.len || !slice_is(name, BYTE_TOKEN))
		return false;
	for (size_t i = 0; i < value.len; i++)
		if ((value.ptr[i] < 0x20 && value.ptr[i] != '\t') || value.ptr[i] == 0x7f)
			return false;
	if (slice_eq_nocase(name, SLICE("content-disposition")))
		return disposition_take(m, value);
	if (slice_eq_nocase(name, SLICE("content-type")))
		m->type = value;
	return !slice_eq_nocase(name, SLICE("content-transfer-encoding")) || encoding_is_none(value);
}

/* The fields in m->head, each with its CRLF, and the empty line. */
static bool head_take(struct http_multipart *m)
{
	struct slice left = slice_of(m->head, m->head_len - 2);
	m->name = m->filename = (struct slice){NULL, 0};
	m->type = SLICE("text/plain");
	while (left.len) {
		size_t end = slice_index(left, '\r');
		if (end + 1 >= left.len || left.ptr[end + 1] != '\n' || !field_take(m, slice_sub(left, 0, end)))
			return fail(m, 400);
		left = slice_sub(left, end + 2, left.len);
	}
	if (!m->name.ptr)
		return fail(m, 400);
	if (m->parts == m->parts_max)
		return fail(m, 413);
	m->parts++;
	m->phase = PHASE_CONTENT;
	return true;
}

/* One byte; true when the head is complete and in order. */
static bool head_byte(struct http_multipart *m, uint8_t c)
{
	if (m->head_len == HTTP_MULTIPART_HEAD_MAX)
		return fail(m, 413);
	m->head[m->head_len++] = c;
	if (c != '\n')
		return false;
	if (m->head_len < 2 || m->head[m->head_len - 2] != '\r')
		return fail(m, 400);
	bool empty = m->head_len == 2 || (m->head_len >= 4 && m->head[m->head_len - 3] == '\n');
	return empty && head_take(m);
}

/* --- Content ---------------------------------------------------------------------------------- */

static void delimiter_found(struct http_multipart *m)
{
	m->matched = 0;
	m->phase = m->phase == PHASE_CONTENT ? PHASE_CONTENT_END : PHASE_AFTER;
}

/* Goes on from input.ptr[*at] while that belongs to the delimiter. True: what had matched is content after all. */
static bool delimiter_match(struct http_multipart *m, struct slice input, size_t *at)
{
	while (*at < input.len && input.ptr[*at] == m->delimiter[m->matched]) {
		++*at;
		if (++m->matched == m->delimiter_len) {
			delimiter_found(m);
			return false;
		}
	}
	return *at < input.len && m->matched;
}

/* The run of content that begins at *at, and where its end may be a delimiter's begin, that too. */
static struct slice content_run(struct http_multipart *m, struct slice input, size_t *at)
{
	size_t from = *at;
	while (*at < input.len) {
		*at += slice_index(slice_sub(input, *at, input.len), '\r');
		size_t to = *at;
		if (to == input.len || !delimiter_match(m, input, at))
			return slice_sub(input, from, to - from);
		m->matched = 0; /* within this input: it goes on as the same run */
	}
	return slice_sub(input, from, *at - from);
}

static struct slice content(struct http_multipart *m, struct slice input, size_t *at)
{
	if (m->matched && delimiter_match(m, input, at)) {
		/* It began in an earlier input, which is gone. */
		struct slice before = slice_of(m->delimiter, m->matched);
		m->matched = 0;
		return before;
	}
	if (m->matched || (m->phase != PHASE_CONTENT && m->phase != PHASE_PREAMBLE))
		return (struct slice){NULL, 0};
	return content_run(m, input, at);
}

/* A byte behind a delimiter. */
static void after(struct http_multipart *m, uint8_t c)
{
	enum phase phase = (enum phase)m->phase;
	m->head_len = 0;
	if (phase == PHASE_AFTER && byte_is_blank(c))
		return;
	if (phase == PHASE_AFTER && c == '\r')
		m->phase = PHASE_AFTER_LF;
	else if (phase == PHASE_AFTER && c == '-')
		m->phase = PHASE_DASH;
	else if (phase == PHASE_AFTER_LF && c == '\n')
		m->phase = PHASE_HEAD;
	else if (phase == PHASE_DASH && c == '-')
		m->phase = PHASE_END;
	else
		fail(m, 400);
}

/* As far as the first event; the phase says which, or MORE. */
static enum http_multipart_event decode(struct http_multipart *m, struct slice input, size_t *at, struct slice *data)
{
	while (*at < input.len) {
		switch ((enum phase)m->phase) {
		case PHASE_PREAMBLE:
			(void)content(m, input, at);
			break;
		case PHASE_CONTENT:
			*data = content(m, input, at);
			if (data->len)
				return HTTP_MULTIPART_DATA;
			break;
		case PHASE_HEAD:
			if (head_byte(m, input.ptr[(*at)++]))
				return HTTP_MULTIPART_PART;
			break;
		case PHASE_AFTER:
		case PHASE_AFTER_LF:
		case PHASE_DASH:
			after(m, input.ptr[(*at)++]);
			break;
		case PHASE_CONTENT_END:
		case PHASE_END:
		case PHASE_FAILED:
			return HTTP_MULTIPART_MORE;
		}
	}
	return HTTP_MULTIPART_MORE;
}

enum http_multipart_event http_multipart_decode(
	struct http_multipart *m, struct slice input, size_t *consumed, struct slice *data)
{
	*data = (struct slice){NULL, 0};
	*consumed = 0;
	enum http_multipart_event event = decode(m, input, consumed, data);
	if (event != HTTP_MULTIPART_MORE)
		return event;
	switch ((enum phase)m->phase) {
	case PHASE_CONTENT_END:
		m->phase = PHASE_AFTER;
		return HTTP_MULTIPART_PART_END;
	case PHASE_END:
		*consumed = input.len;
		return HTTP_MULTIPART_END;
	case PHASE_FAILED: return HTTP_MULTIPART_FAILED;
	case PHASE_PREAMBLE:
	case PHASE_AFTER:
	case PHASE_AFTER_LF:
	case PHASE_DASH:
	case PHASE_HEAD:
	case PHASE_CONTENT: break;
	}
	return HTTP_MULTIPART_MORE;
}
