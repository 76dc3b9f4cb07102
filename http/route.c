#include <http/route.h>

#include <base/cursor.h>

enum kind { /* in ascending order of preference */
	KIND_NONE,
	KIND_REST,
	KIND_PARAM,
	KIND_LITERAL,
};

struct segment {
	enum kind kind;
	struct slice text; /* literal, or the parameter's name */
};

/* The segment behind the slash at s.ptr[*at]; moves *at to the next slash or the end. */
static struct slice segment_next(struct slice s, size_t *at)
{
	struct slice rest = slice_sub(s, *at + 1, s.len);
	struct slice seg = slice_sub(rest, 0, slice_index(rest, '/'));
	*at += 1 + seg.len;
	return seg;
}

static struct segment pattern_next(struct slice pattern, size_t *at)
{
	struct slice s = segment_next(pattern, at);
	if (s.len < 2 || s.ptr[0] != '{' || s.ptr[s.len - 1] != '}')
		return (struct segment){KIND_LITERAL, s};
	s = slice_sub(s, 1, s.len - 2);
	if (slice_ends_with(s, SLICE("...")))
		return (struct segment){KIND_REST, slice_sub(s, 0, s.len - 3)};
	return (struct segment){KIND_PARAM, s};
}

/* Matches and fills m->param. 0 when it does not fit, else the pattern's rank: two bits for the
 * kind of each segment, the first highest. */
static uint64_t pattern_match(struct slice pattern, struct slice path, struct http_match *m)
{
	uint64_t rank = 0;
	unsigned shift = 62;
	size_t p = 0, q = 0;
	m->param_count = 0;
	for (; p < pattern.len; shift -= 2) {
		struct segment s = pattern_next(pattern, &p);
		if (q >= path.len)
			return 0;
		struct slice value = slice_sub(path, q + 1, path.len);
		rank |= (uint64_t)s.kind << shift;
		if (s.kind == KIND_REST) {
			m->param[m->param_count++] = (struct http_param){s.text, value};
			return rank;
		}
		value = segment_next(path, &q);
		if (s.kind == KIND_LITERAL) {
			if (!slice_eq(value, s.text))
				return 0;
			continue;
		}
		if (!value.len)
			return 0;
		m->param[m->param_count++] = (struct http_param){s.text, value};
	}
	return q == path.len ? rank : 0;
}

static bool param_name_is_valid(struct slice name)
{
	for (size_t i = 0; i < name.len; i++) {
		uint8_t c = name.ptr[i];
		if (!((unsigned)(c | 0x20) - 'a' < 26 || c == '_' || (i && (unsigned)c - '0' < 10)))
			return false;
	}
	return name.len > 0;
}

static bool pattern_is_valid(struct slice pattern)
{
	unsigned segments = 0, params = 0;
	if (!pattern.len || pattern.ptr[0] != '/')
		return false;
	for (size_t at = 0; at < pattern.len;) {
		struct segment s = pattern_next(pattern, &at);
		bool last = at == pattern.len;
		if (++segments > HTTP_PATTERN_SEGMENTS_MAX)
			return false;
		if (s.kind == KIND_LITERAL) {
			if ((!s.text.len && !last) || slice_index(s.text, '{') < s.text.len
				|| slice_index(s.text, '}') < s.text.len)
				return false;
			continue;
		}
		if (++params > HTTP_PARAMS_MAX || !param_name_is_valid(s.text)
			|| (s.kind == KIND_REST && !last))
			return false;
	}
	return true;
}

/* The same paths: segment by segment the same kind, and literals the same text. */
static bool patterns_are_alike(struct slice a, struct slice b)
{
	size_t i = 0, j = 0;
	while (i < a.len && j < b.len) {
		struct segment s = pattern_next(a, &i), t = pattern_next(b, &j);
		if (s.kind != t.kind || (s.kind == KIND_LITERAL && !slice_eq(s.text, t.text)))
			return false;
	}
	return i >= a.len && j >= b.len;
}

COLD err http_routes_check(const struct http_route *routes, uint32_t count, uint32_t *row)
{
	for (uint32_t i = 0; i < count; i++) {
		*row = i;
		if (routes[i].method >= HTTP_METHOD_COUNT || !pattern_is_valid(routes[i].pattern))
			return ERR(INVALID);
		for (uint32_t j = 0; j < i; j++)
			if (routes[i].method == routes[j].method
				&& patterns_are_alike(routes[i].pattern, routes[j].pattern))
				return ERR(INVALID);
	}
	return OK;
}

static uint32_t allow_of(enum http_method m)
{
	return 1u << m | (m == HTTP_GET ? 1u << HTTP_HEAD : 0);
}

static uint32_t allow_all(const struct http_route *routes, uint32_t count)
{
	uint32_t allow = 1u << HTTP_OPTIONS;
	for (uint32_t i = 0; i < count; i++)
		allow |= allow_of(routes[i].method);
	return allow;
}

enum http_route_result http_route_find(const struct http_route *routes, uint32_t count,
	enum http_method method, struct slice path, struct http_match *m)
{
	uint64_t best = 0;
	struct http_match candidate;
	m->index = m->param_count = m->allow = 0;
	if (slice_eq(path, SLICE("*"))) {
		m->allow = allow_all(routes, count);
		return HTTP_ROUTE_OPTIONS;
	}
	for (uint32_t i = 0; i < count; i++) {
		const struct http_route *r = &routes[i];
		uint64_t rank = pattern_match(r->pattern, path, &candidate);
		if (!rank)
			continue;
		m->allow |= allow_of(r->method);
		bool exact = r->method == method;
		/* The lowest bit prefers a HEAD row to the GET row of the same pattern. */
		rank = (rank | 1) - !exact;
		if ((!exact && !(method == HTTP_HEAD && r->method == HTTP_GET)) || rank <= best)
			continue;
		best = rank;
		m->index = i;
		m->param_count = candidate.param_count;
		for (uint32_t k = 0; k < candidate.param_count; k++)
			m->param[k] = candidate.param[k];
	}
	if (best)
		return HTTP_ROUTE_FOUND;
	if (!m->allow)
		return HTTP_ROUTE_NOT_FOUND;
	m->allow |= 1u << HTTP_OPTIONS;
	return method == HTTP_OPTIONS ? HTTP_ROUTE_OPTIONS : HTTP_ROUTE_METHOD;
}

struct slice http_match_param(const struct http_match *m, struct slice name)
{
	for (uint32_t i = 0; i < m->param_count; i++)
		if (slice_eq(m->param[i].name, name))
			return m->param[i].value;
	return (struct slice){NULL, 0};
}

struct slice http_allow_list(uint32_t allow, struct arena *arena)
{
	uint8_t buf[96];
	struct writer w = writer_of(buf, sizeof buf);
	for (unsigned m = 0; m < HTTP_METHOD_COUNT; m++) {
		if (!(allow & 1u << m))
			continue;
		if (writer_len(&w))
			write_bytes(&w, SLICE(", "));
		write_bytes(&w, http_method_name((enum http_method)m));
	}
	return arena_copy(arena, writer_slice(&w));
}
