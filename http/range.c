/* Several ranges in one request: RFC 9110 sections 14.2 and 15.3.7.2, and 17.15 on how they are abused.
 * An application whose files are all small does not have this in its image. */
#include "range.h"

/* A part has some 100 bytes of head: a gap that is smaller is cheaper sent than left out. */
#define GAP 100
#define PART_OVERHEAD 100

static uint64_t end_of(const struct http_range *r)
{
	return r->from + r->len;
}

static bool meet(const struct http_range *a, const struct http_range *b)
{
	return a->from <= end_of(b) + GAP && b->from <= end_of(a) + GAP;
}

/* Adds a range to `set`, of which no two meet. What it joins becomes part of it, in the place of the
 * first of those; all others stay in the order of the request. (One pass is enough: what lies in the gap
 * between two ranges that meet is near to both.) */
static void add(struct http_range *set, uint32_t *count, struct http_range r)
{
	uint32_t place = *count, kept = 0;
	for (uint32_t i = 0; i < *count; i++) {
		if (!meet(&set[i], &r))
			continue;
		uint64_t end = end_of(&r) > end_of(&set[i]) ? end_of(&r) : end_of(&set[i]);
		r.from = r.from < set[i].from ? r.from : set[i].from;
		r.len = end - r.from;
		set[i].len = 0;
		place = i < place ? i : place;
	}
	set[place] = r;
	*count += place == *count;
	for (uint32_t i = 0; i < *count; i++)
		if (set[i].len)
			set[kept++] = set[i];
	*count = kept;
}

enum http_range_result http_ranges_evaluate(const struct http_request *req,
	const struct http_validators *v, uint64_t size, int64_t now_s,
	struct http_range range[HTTP_RANGES_MAX], uint32_t *count)
{
	struct slice set;
	uint32_t specs = 0;
	uint64_t total = 0;
	*count = 0;
	if (!http_range_set(req, v, now_s, &set))
		return HTTP_RANGE_WHOLE;
	while (set.len) {
		struct http_range one;
		struct slice spec = slice_sub(set, 0, slice_index(set, ','));
		set = slice_sub(set, spec.len + 1, set.len);
		spec = slice_trim(spec);
		if (!spec.len)
			continue;
		enum http_range_result result = http_range_parse(spec, size, &one);
		if (result == HTTP_RANGE_WHOLE || specs++ == HTTP_RANGES_MAX)
			return HTTP_RANGE_WHOLE;
		if (result == HTTP_RANGE_PARTIAL)
			add(range, count, one);
	}
	for (uint32_t i = 0; i < *count; i++)
		total += range[i].len + PART_OVERHEAD;
	if (!specs || (*count > 1 && total >= size))
		return HTTP_RANGE_WHOLE;
	return *count ? HTTP_RANGE_PARTIAL : HTTP_RANGE_UNSATISFIABLE;
}
