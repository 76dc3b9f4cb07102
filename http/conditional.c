#include <http/conditional.h>

#include <base/cursor.h>

#include "bytes.h"
#include "range.h"

static struct slice opaque(struct slice tag)
{
	return slice_starts_with(tag, SLICE("W/")) ? slice_sub(tag, 2, tag.len) : tag;
}

bool http_etag_match_strong(struct slice a, struct slice b)
{
	return a.len && a.ptr[0] == '"' && slice_eq(a, b);
}

bool http_etag_match_weak(struct slice a, struct slice b)
{
	return a.len && slice_eq(opaque(a), opaque(b));
}

/* The next entity tag of a list; commas inside of the quotes are part of it. False at the end, or
 * at what is no entity tag. */
static bool next_tag(struct slice *list, struct slice *tag)
{
	while (list->len && (list->ptr[0] == ',' || list->ptr[0] == ' ' || list->ptr[0] == '\t'))
		*list = slice_sub(*list, 1, list->len);
	size_t open = slice_starts_with(*list, SLICE("W/")) ? 2 : 0;
	if (open >= list->len || list->ptr[open] != '"')
		return false;
	size_t close = open + 1 + slice_index(slice_sub(*list, open + 1, list->len), '"');
	if (close >= list->len)
		return false;
	*tag = slice_sub(*list, 0, close + 1);
	*list = slice_sub(*list, close + 1, list->len);
	return true;
}

/* Whether any field of that name lists our tag, or is "*" and there is a representation. */
static bool tag_listed(const struct http_request *req, struct slice field,
	const struct http_validators *v, bool strong)
{
	uint32_t at = 0;
	for (;;) {
		struct slice tag, list = http_request_header_next(req, field, &at);
		if (!list.ptr)
			return false;
		if (slice_eq(list, SLICE("*")))
			return v->exists;
		while (v->exists && next_tag(&list, &tag))
			if (strong ? http_etag_match_strong(tag, v->etag)
				   : http_etag_match_weak(tag, v->etag))
				return true;
	}
}

/* The date of a field that occurs, is valid and can be compared; RFC 9110 says to ignore it
 * else. */
static bool date_of(const struct http_request *req, enum http_known which,
	const struct http_validators *v, int64_t now_s, int64_t *date)
{
	return v->exists && v->last_modified != HTTP_DATE_NONE && req->known[which]
		&& !(req->known_repeated & 1u << which)
		&& http_date_parse(http_request_known(req, which), now_s, date);
}

enum http_condition http_condition_evaluate(const struct http_request *req,
	const struct http_validators *v, int64_t now_s)
{
	bool reads = req->method == HTTP_GET || req->method == HTTP_HEAD;
	int64_t date;
	if (req->method == HTTP_OPTIONS || req->method == HTTP_TRACE)
		return HTTP_CONDITION_PROCEED;
	if (req->known[HTTP_IF_MATCH]) {
		if (!tag_listed(req, SLICE("if-match"), v, true))
			return HTTP_CONDITION_FAILED;
	} else if (date_of(req, HTTP_IF_UNMODIFIED_SINCE, v, now_s, &date)) {
		if (v->last_modified > date)
			return HTTP_CONDITION_FAILED;
	}
	if (req->known[HTTP_IF_NONE_MATCH]) {
		if (tag_listed(req, SLICE("if-none-match"), v, false))
			return reads ? HTTP_CONDITION_NOT_MODIFIED : HTTP_CONDITION_FAILED;
	} else if (reads && date_of(req, HTTP_IF_MODIFIED_SINCE, v, now_s, &date)) {
		if (v->last_modified <= date)
			return HTTP_CONDITION_NOT_MODIFIED;
	}
	return HTTP_CONDITION_PROCEED;
}

/* RFC 9110 section 13.1.5. A date counts as a strong validator only when it is not of this
 * minute. */
static bool if_range_holds(const struct http_request *req, const struct http_validators *v,
	int64_t now_s)
{
	struct slice value = http_request_known(req, HTTP_IF_RANGE);
	int64_t date;
	if (!value.ptr)
		return true;
	if (req->known_repeated & 1u << HTTP_IF_RANGE)
		return false;
	if (slice_ends_with(value, SLICE("\"")))
		return http_etag_match_strong(value, v->etag);
	return date_of(req, HTTP_IF_RANGE, v, now_s, &date) && v->last_modified == date
		&& now_s - date >= 60;
}

bool http_range_set(const struct http_request *req, const struct http_validators *v, int64_t now_s,
	struct slice *set)
{
	struct slice value = http_request_known(req, HTTP_RANGE);
	if (!value.ptr || req->method != HTTP_GET || (req->known_repeated & 1u << HTTP_RANGE)
		|| !slice_eq_nocase(slice_sub(value, 0, 6), SLICE("bytes="))
		|| !if_range_holds(req, v, now_s))
		return false;
	*set = slice_trim(slice_sub(value, 6, value.len));
	return true;
}

/* A number too large to hold is as good as the largest. */
static bool range_number(struct slice s, uint64_t *n)
{
	for (size_t i = 0; i < s.len; i++)
		if (!byte_is_digit(s.ptr[i]))
			return false;
	if (s.len && !slice_to_u64(s, n))
		*n = UINT64_MAX;
	return true;
}

enum http_range_result http_range_parse(struct slice spec, uint64_t size, struct http_range *out)
{
	uint64_t first = 0, last = UINT64_MAX;
	size_t dash = slice_index(spec, '-');
	struct slice a = slice_sub(spec, 0, dash), b = slice_sub(spec, dash + 1, spec.len);
	if (dash == spec.len || (!a.len && !b.len) || !range_number(a, &first)
		|| !range_number(b, &last))
		return HTTP_RANGE_WHOLE;
	if (!a.len) {
		first = last < size ? size - last : 0;
		if (last == 0)
			return HTTP_RANGE_UNSATISFIABLE;
		last = UINT64_MAX;
	}
	if (first > last)
		return HTTP_RANGE_WHOLE;
	if (first >= size) /* nothing has no last bytes: a suffix can be satisfied, but no Content-Range would say so */
		return a.len ? HTTP_RANGE_UNSATISFIABLE : HTTP_RANGE_WHOLE;
	*out = (struct http_range){first, (last < size ? last + 1 : size) - first};
	return HTTP_RANGE_PARTIAL;
}

enum http_range_result http_range_evaluate(const struct http_request *req,
	const struct http_validators *v, uint64_t size, int64_t now_s, struct http_range *out)
{
	struct slice set;
	if (!http_range_set(req, v, now_s, &set))
		return HTTP_RANGE_WHOLE;
	return http_range_parse(set, size, out);
}

struct slice http_content_range(uint8_t *buf, uint64_t from, uint64_t len, uint64_t size)
{
	struct writer w = writer_of(buf, 72);
	write_bytes(&w, SLICE("bytes "));
	if (len) {
		write_dec(&w, from);
		write_u8(&w, '-');
		write_dec(&w, from + len - 1);
	} else {
		write_u8(&w, '*');
	}
	write_u8(&w, '/');
	write_dec(&w, size);
	return writer_slice(&w);
}
