/* The target is decoded and normalised in this file and nowhere else, so that what a router, a log
 * and a handler see cannot differ.
 *
 * Refused: malformed escapes; %00, which ends strings elsewhere; %2F, which would be a slash to one
 * reader and a byte to another; ".." above the root; '"', '<', '>' and '\' in a path. Merged: empty
 * segments, as "//host" would name another authority in a redirect. */
#include "target.h"

#include "bytes.h"
#include "scan.h"

static bool port_is_valid(struct slice port)
{
	unsigned n = 0;
	for (size_t i = 0; i < port.len; i++) {
		if (!byte_is_digit(port.ptr[i]) || i == 5)
			return false;
		n = n * 10 + port.ptr[i] - '0';
	}
	return n <= 65535;
}

static size_t ipv6_literal_len(struct slice s)
{
	size_t i = 1, colons = 0;
	for (; i < s.len && s.ptr[i] != ']'; i++) {
		if (s.ptr[i] == ':')
			colons++;
		else if (s.ptr[i] != '.' && hex_digit(s.ptr[i]) < 0)
			return 0;
	}
	return i < s.len && colons >= 2 && i <= 46 ? i + 1 : 0;
}

bool http_authority_is_valid(struct slice a)
{
	size_t name = 0;
	if (LIKELY(scan_is_host(a.ptr, a.len)))
		return true;
	if (a.len && a.ptr[0] == '[')
		name = ipv6_literal_len(a);
	else
		while (name < a.len && byte_is(a.ptr[name], BYTE_HOST))
			name++;
	if (name == 0)
		return false;
	return name == a.len
		|| (a.ptr[name] == ':' && port_is_valid(slice_sub(a, name + 1, a.len)));
}

/* Whether the segment at s.ptr[at], behind a slash, is to be removed: empty, "." or "..". */
static bool segment_is_special(struct slice s, size_t at)
{
	size_t left = s.len - at;
	const uint8_t *p = s.ptr + at;
	if (left == 0)
		return false;
	if (p[0] == '/')
		return true;
	if (p[0] != '.')
		return false;
	if (left > 1 && p[1] == '.')
		return left == 2 || p[2] == '/';
	return left == 1 || p[1] == '/';
}

static bool path_is_normal(struct slice path)
{
	for (size_t i = 0; i < path.len; i++)
		if (path.ptr[i] == '/' && segment_is_special(path, i + 1))
			return false;
	return true;
}

static bool unescape(struct slice from, uint8_t *to, size_t *len)
{
	size_t n = 0;
	for (size_t i = 0; i < from.len; i++) {
		uint8_t c = from.ptr[i];
		if (c == '%') {
			int v = percent_escape(from, i);
			if (v <= 0 || v == '/')
				return false;
			c = (uint8_t)v;
			i += 2;
		}
		to[n++] = c;
	}
	*len = n;
	return true;
}

/* RFC 3986 section 5.2.4 on an absolute path, in place; false when it would rise above the root. */
static bool remove_dot_segments(uint8_t *path, size_t *len)
{
	size_t n = *len, out = 0;
	for (size_t at = 0, next; at < n; at = next) {
		size_t from = at + 1;
		for (next = from; next < n && path[next] != '/'; next++)
			;
		size_t seg = next - from;
		bool last = next == n;
		if (seg == 2 && path[from] == '.' && path[from + 1] == '.') {
			if (out == 0)
				return false;
			while (path[--out] != '/')
				;
		} else if (seg && !(seg == 1 && path[from] == '.')) {
			for (size_t i = at; i < next; i++)
				path[out++] = path[i];
			continue;
		}
		if (last)
			path[out++] = '/';
	}
	*len = out;
	return true;
}

static uint16_t path_resolve(struct slice raw, bool escaped, bool special, struct arena *arena,
	struct slice *path)
{
	*path = raw;
	if (!escaped && (!special || path_is_normal(raw)))
		return 0;
	uint8_t *buf = arena_alloc(arena, raw.len);
	size_t len;
	if (!buf)
		return 431;
	if (!unescape(raw, buf, &len) || !remove_dot_segments(buf, &len))
		return 400;
	*path = slice_of(buf, len);
	return 0;
}

static size_t scheme_len(struct slice target)
{
	if (slice_eq_nocase(slice_sub(target, 0, 7), SLICE("http://")))
		return 7;
	return slice_eq_nocase(slice_sub(target, 0, 8), SLICE("https://")) ? 8 : 0;
}

uint16_t http_target_resolve(struct http_request *req, size_t question, bool escaped, bool special,
	struct arena *arena)
{
	struct slice target = req->target, path = slice_sub(target, 0, question);
	if (question < target.len)
		req->query = slice_sub(target, question + 1, target.len);
	if (path.len == 1 && path.ptr[0] == '*') {
		req->path = path;
		return req->method == HTTP_OPTIONS && !req->query.ptr ? 0 : 400;
	}
	if (path.len && path.ptr[0] != '/') {
		size_t scheme = scheme_len(target);
		if (!scheme)
			return 400;
		struct slice rest = slice_sub(path, scheme, path.len);
		req->host = slice_sub(rest, 0, slice_index(rest, '/'));
		if (!http_authority_is_valid(req->host))
			return 400;
		path = slice_sub(rest, req->host.len, rest.len);
		if (path.len == 0)
			path = SLICE("/");
	}
	if (path.len == 0)
		return 400;
	return path_resolve(path, escaped, special, arena, &req->path);
}
