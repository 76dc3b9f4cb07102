#include <http/cookie.h>

#include <base/cursor.h>
#include <http/date.h>

#include "bytes.h"

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
		if (eq < pair.len && name.len && slice_eq(slice_trim(slice_sub(pair, 0, eq)), name))
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

/* Sections 4.1.3 and 5.7: browsers compare the prefix without regard to case. */
static const char *prefix_problem(const struct http_cookie *c)
{
	bool host = starts_with_nocase(c->name, SLICE("__Host-"));
	if ((host || starts_with_nocase(c->name, SLICE("__Secure-"))) && !c->secure)
		return "has a name that is kept for cookies which are secure";
	if (host && (c->domain.len || !slice_eq(c->path, SLICE("/"))))
		return "has a name that is kept for cookies without a domain and with the path /";
	return NULL;
}

/* Sections 4.1 and 5.6 of RFC 6265bis: what a browser would refuse, or understand otherwise. */
const char *http_cookie_problem(const struct http_cookie *c)
{
	if (!slice_is(c->name, BYTE_TOKEN))
		return "has a name that is empty, or has a character besides letters, digits and !#$%&'*+-.^_`|~";
	if (c->value.len && !slice_is(c->value, BYTE_COOKIE))
		return "has a blank, a quote, a comma, a semicolon, a backslash, or a byte that is not visible ASCII in "
		       "its value: encode it";
	if (c->name.len + c->value.len > HTTP_COOKIE_MAX)
		return "is longer than the 4096 bytes that browsers keep";
	if (!path_is_valid(c->path))
		return "has a path that does not begin with a slash, or has a semicolon or a byte that is not ASCII";
	if (!domain_is_valid(c->domain))
		return "has a domain that is none";
	if (c->path.len > HTTP_COOKIE_ATTRIBUTE_MAX || c->domain.len > HTTP_COOKIE_ATTRIBUTE_MAX)
		return "has a path or domain of more than 1024 bytes";
	if (c->same_site == HTTP_SAME_SITE_NONE && !c->secure)
		return "is for requests from other sites, which takes one that is secure";
	return prefix_problem(c);
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
	if (c->has_expires) {
		uint8_t date[HTTP_DATE_LEN];
		http_date_format(c->expires_s, date);
		write_attribute(w, SLICE("; Expires="), slice_of(date, sizeof date));
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

/* All attributes together: "; Path=", "; Domain=", ... with a number and a date. */
#define ATTRIBUTES_MAX 160

err http_cookie_format(const struct http_cookie *c, struct arena *arena, struct slice *out)
{
	if (http_cookie_problem(c))
		return ERR(INVALID);
	size_t size = c->name.len + c->value.len + c->path.len + c->domain.len + ATTRIBUTES_MAX;
	uint8_t *buf = arena_alloc(arena, size);
	if (!buf)
		return ERR(NO_MEMORY);
	struct writer w = writer_of(buf, size);
	cookie_write(&w, c);
	*out = writer_slice(&w);
	return OK;
}
