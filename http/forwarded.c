/* Forwarded, RFC 7239 section 4, read from its beginning (where quotes are told from what they quote), and kept from its
 * end: the newest HTTP_HOPS_MAX elements, in a ring.
 *
 *   element = [ pair *( ";" pair ) ],  pair = token "=" ( token / quoted-string ),  blanks around ";" and ","
 *
 * A quoted value with a backslash in it stays as it is: no address has one. */
#include <http/forwarded.h>

#include "bytes.h"

#include <string.h>

struct element {
	struct http_hop hop;
	bool has_for, has_proto;
};

/* --- Nodes ------------------------------------------------------------------------------------ */

/* Without its port, and without brackets: RFC 7239 section 6, and an IPv6 address that stands alone. */
static struct slice node_of(struct slice text)
{
	size_t bracket = slice_index(text, ']'), colon = slice_index(text, ':');
	if (text.len && text.ptr[0] == '[') {
		bool ends = bracket + 1 >= text.len || text.ptr[bracket + 1] == ':';
		return bracket < text.len && ends ? slice_sub(text, 1, bracket - 1) : text;
	}
	struct slice behind = slice_sub(text, colon + 1, text.len);
	return slice_index(behind, ':') < behind.len ? text : slice_sub(text, 0, colon);
}

/* In the order of the fields; turned around at the end. */
static void hop_add(struct http_hops *hops, const struct http_hop *hop)
{
	hops->hop[hops->count++ % HTTP_HOPS_MAX] = *hop;
}

static void hops_turn(struct http_hops *hops)
{
	struct http_hop ring[HTTP_HOPS_MAX];
	uint32_t all = hops->count;
	memcpy(ring, hops->hop, sizeof ring);
	hops->count = all < HTTP_HOPS_MAX ? all : HTTP_HOPS_MAX;
	for (uint32_t i = 0; i < hops->count; i++)
		hops->hop[i] = ring[(all - 1 - i) % HTTP_HOPS_MAX];
}

/* --- Forwarded -------------------------------------------------------------------------------- */

static void blanks_skip(struct slice *s)
{
	while (s->len && (s->ptr[0] == ' ' || s->ptr[0] == '\t'))
		*s = slice_sub(*s, 1, s->len);
}

static bool token_take(struct slice *s, struct slice *out)
{
	size_t n = 0;
	while (n < s->len && byte_is(s->ptr[n], BYTE_TOKEN))
		n++;
	*out = slice_sub(*s, 0, n);
	*s = slice_sub(*s, n, s->len);
	return n > 0;
}

/* At its opening quote. */
static bool quoted_take(struct slice *s, struct slice *out)
{
	size_t n = 1;
	while (n < s->len && s->ptr[n] != '"')
		n += s->ptr[n] == '\\' ? 2 : 1;
	if (n >= s->len)
		return false;
	*out = slice_sub(*s, 1, n - 1);
	*s = slice_sub(*s, n + 1, s->len);
	return true;
}

/* A parameter that occurs twice says two things. */
static bool keep_once(struct slice value, struct slice *to, bool *has)
{
	bool first = !*has;
	*has = true;
	*to = value;
	return first;
}

static bool pair_take(struct slice *s, struct element *e)
{
	struct slice name, value;
	if (!token_take(s, &name) || !s->len || s->ptr[0] != '=')
		return false;
	*s = slice_sub(*s, 1, s->len);
	if (!(s->len && s->ptr[0] == '"' ? quoted_take(s, &value) : token_take(s, &value)))
		return false;
	if (slice_eq_nocase(name, SLICE("for")))
		return keep_once(node_of(value), &e->hop.node, &e->has_for);
	if (slice_eq_nocase(name, SLICE("proto")))
		return keep_once(value, &e->hop.proto, &e->has_proto);
	return true;
}

/* One field's elements. */
static bool list_take(struct slice s, struct http_hops *hops)
{
	for (;;) {
		struct element e = {.has_for = false};
		bool empty = true;
		for (blanks_skip(&s); s.len && s.ptr[0] != ',';) {
			empty = false;
			if (s.ptr[0] != ';' && !pair_take(&s, &e))
				return false;
			blanks_skip(&s);
			if (s.len && s.ptr[0] != ',' && s.ptr[0] != ';')
				return false;
			if (s.len && s.ptr[0] == ';')
				s = slice_sub(s, 1, s.len);
			blanks_skip(&s);
		}
		if (!empty)
			hop_add(hops, &e.hop);
		if (!s.len)
			return true;
		s = slice_sub(s, 1, s.len);
	}
}

bool http_forwarded(const struct http_request *req, struct http_hops *out)
{
	uint32_t field = 0;
	memset(out, 0, sizeof *out);
	for (struct slice list; (list = http_request_header_next(req, SLICE("forwarded"), &field)).ptr;)
		if (!list_take(list, out))
			return false;
	hops_turn(out);
	return true;
}

/* --- X-Forwarded-For, -Proto ------------------------------------------------------------------ */

/* Through all fields of a name. */
struct walk {
	struct slice name, list;
	uint32_t field;
	size_t at;
};

/* The next element that is not empty. */
static bool walk_next(const struct http_request *req, struct walk *w, struct slice *element)
{
	for (;;) {
		if (!w->list.ptr || !http_list_next(w->list, &w->at, element)) {
			w->list = http_request_header_next(req, w->name, &w->field);
			w->at = 0;
			if (!w->list.ptr)
				return false;
		} else if (element->len) {
			return true;
		}
	}
}

/* Proxies that add to one list add to the other: then each scheme is that of the address in the same place. Most write
 * the scheme anew: then it is the same for all. */
static void protos_join(const struct http_request *req, uint32_t all, struct http_hops *hops)
{
	struct walk w = {.name = SLICE("x-forwarded-proto")};
	struct slice proto, last = {NULL, 0};
	uint32_t count = 0, n = 0;
	for (; walk_next(req, &w, &proto); count++)
		last = proto;
	for (uint32_t i = 0; i < hops->count; i++)
		hops->hop[i].proto = last;
	if (!all)
		hops->proto = last;
	w = (struct walk){.name = SLICE("x-forwarded-proto")};
	for (; count == all && walk_next(req, &w, &proto); n++)
		if (all - n <= hops->count)
			hops->hop[all - n - 1].proto = proto;
}

bool http_x_forwarded(const struct http_request *req, struct http_hops *out)
{
	struct walk w = {.name = SLICE("x-forwarded-for")};
	struct slice node;
	memset(out, 0, sizeof *out);
	while (walk_next(req, &w, &node))
		hop_add(out, &(struct http_hop){.node = node_of(node)});
	uint32_t all = out->count;
	hops_turn(out);
	protos_join(req, all, out);
	return true;
}
