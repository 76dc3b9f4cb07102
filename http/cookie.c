#include <http/cookie.h>

#include <base/cursor.h>

#include "bytes.h"

#define SET_COOKIE_MAX 4096

static struct slice unquoted(struct slice v)
{
	if (v.len >= 2 && v.ptr[0] == '"' && v.ptr[v.len - 1] == '"')
		return slice_sub(v, 1, v.len - 2);
	return v;
}

struct slice http_cookie_find(struct slice field, struct slice name)
{
	while (field.len) {
		struct slice pair = slice_sub(field, 0, slice_index(field, ';'));
		field = slice_sub(field, pair.len + 1, field.len);
		size_t eq = slice_index(pair, '=');
		if (eq < pair.len && slice_eq(slice_trim(slice_sub(pair, 0, eq)), name))
			return unquoted(slice_trim(slice_sub(pair, eq + 1, pair.len)));
	}
	return (struct slice){NULL, 0};
}

struct slice http_cookie_get(const struct http_request *req, struct slice name)
{
	uint32_t at = 0;
	for (;;) {
		struct slice field = http_request_header_next(req, SLICE("cookie"), &at);
		if (!field.ptr)
			return field;
		struct slice value = http_cookie_find(field, name);
		if (value.ptr)
			return value;
	}
}

static bool path_is_valid(struct slice path)
{
	for (size_t i = 0; i < path.len; i++)
		if (path.ptr[i] < 0x20 || path.ptr[i] >= 0x7f || path.ptr[i] == ';')
			return false;
	return path.len == 0 || path.ptr[0] == '/';
}

static bool domain_is_valid(struct slice domain)
{
	for (size_t i = 0; i < domain.len; i++) {
		uint8_t c = domain.ptr[i];
		if (!byte_is(c, BYTE_HOST) || c == '_' || c == '~')
			return false;
	}
	return true;
}

static bool starts_with_nocase(struct slice s, struct slice prefix)
{
	return slice_eq_nocase(slice_sub(s, 0, prefix.len), prefix);
}

/* RFC 6265bis sections 4.1 and 5.6: what a browser would refuse is refused here. */
static bool cookie_is_valid(const struct http_cookie *c)
{
	if (!slice_is(c->name, BYTE_TOKEN) || (c->value.len && !slice_is(c->value, BYTE_COOKIE)))
		return false;
	if (!path_is_valid(c->path) || !domain_is_valid(c->domain))
		return false;
	if (c->same_site == HTTP_SAME_SITE_NONE && !c->secure)
		return false;
	if (starts_with_nocase(c->name, SLICE("__Secure-")) && !c->secure)
		return false;
	return !starts_with_nocase(c->name, SLICE("__Host-"))
		|| (c->secure && !c->domain.len && slice_eq(c->path, SLICE("/")));
}

static void write_attribute(struct writer *w, struct slice name, struct slice value)
{
	write_bytes(w, name);
	write_bytes(w, value);
}

static void cookie_write(struct writer *w, const struct http_cookie *c)
{
	write_attribute(w, c->name, SLICE("="));
	write_bytes(w, c->value);
	if (c->path.len)
		write_attribute(w, SLICE("; Path="), c->path);
	if (c->domain.len)
		write_attribute(w, SLICE("; Domain="), c->domain);
	if (c->has_max_age) {
		write_bytes(w, SLICE("; Max-Age="));
		write_dec(w, c->max_age_s > 0 ? (uint64_t)c->max_age_s : 0);
	}
	if (c->secure)
		write_bytes(w, SLICE("; Secure"));
	if (c->http_only)
		write_bytes(w, SLICE("; HttpOnly"));
	switch (c->same_site) {
	case HTTP_SAME_SITE_LAX: write_bytes(w, SLICE("; SameSite=Lax")); break;
	case HTTP_SAME_SITE_STRICT: write_bytes(w, SLICE("; SameSite=Strict")); break;
	case HTTP_SAME_SITE_NONE: write_bytes(w, SLICE("; SameSite=None")); break;
	case HTTP_SAME_SITE_UNSET: break;
	}
}

err http_cookie_format(const struct http_cookie *c, struct arena *arena, struct slice *out)
{
	size_t size = c->name.len + c->value.len + c->path.len + c->domain.len + 128;
	if (!cookie_is_valid(c))
		return ERR(INVALID);
	if (size > SET_COOKIE_MAX)
		return ERR(TOO_LARGE);
	uint8_t *buf = arena_alloc(arena, size);
	if (!buf)
		return ERR(NO_MEMORY);
	struct writer w = writer_of(buf, size);
	cookie_write(&w, c);
	*out = writer_slice(&w);
	return OK;
}
