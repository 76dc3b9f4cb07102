#include <http/coding.h>

#include "bytes.h"

#define UNNAMED UINT16_MAX

/* Three digits at most behind the point; false for anything else, and for more than 1. */
static bool weight_parse(struct slice s, uint16_t *weight)
{
	unsigned value, scale = 100;
	if (!s.len || s.len > 5 || (s.ptr[0] != '0' && s.ptr[0] != '1') || (s.len > 1 && s.ptr[1] != '.'))
		return false;
	value = s.ptr[0] == '1' ? 1000 : 0;
	for (size_t i = 2; i < s.len; i++, scale /= 10) {
		if (!byte_is_digit(s.ptr[i]))
			return false;
		value += (unsigned)(s.ptr[i] - '0') * scale;
	}
	*weight = (uint16_t)(value ? value + 1 : 0);
	return value <= 1000;
}

/* "gzip", "gzip;q=0.5", blanks around the semicolon. False when it is malformed. */
static bool element_parse(struct slice element, struct slice *name, uint16_t *weight)
{
	size_t semicolon = slice_index(element, ';');
	struct slice rest = slice_trim(slice_sub(element, semicolon + 1, element.len));
	*name = slice_trim(slice_sub(element, 0, semicolon));
	*weight = 1001;
	if (semicolon == element.len)
		return true;
	return slice_eq_nocase(slice_sub(rest, 0, 2), SLICE("q="))
		&& weight_parse(slice_sub(rest, 2, rest.len), weight);
}

static unsigned coding_of(struct slice name)
{
	static const struct {
		struct slice name;
		unsigned coding;
	} known[] = {
		{SLICE_INIT("gzip"), HTTP_CODING_GZIP},
		{SLICE_INIT("br"), HTTP_CODING_BROTLI},
		{SLICE_INIT("identity"), HTTP_CODING_IDENTITY},
		{SLICE_INIT("x-gzip"), HTTP_CODING_GZIP},
		{SLICE_INIT("*"), HTTP_CODING_COUNT},
	};
	for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++)
		if (slice_eq_nocase(name, known[i].name))
			return known[i].coding;
	return HTTP_CODING_COUNT + 1;
}

/* named[HTTP_CODING_COUNT] is that of "*". */
static void list_take(struct slice list, uint16_t named[HTTP_CODING_COUNT + 1])
{
	while (list.len) {
		struct slice name, element = slice_sub(list, 0, slice_index(list, ','));
		uint16_t weight;
		list = slice_sub(list, element.len + 1, list.len);
		if (!element_parse(element, &name, &weight))
			continue;
		unsigned c = coding_of(name);
		if (c <= HTTP_CODING_COUNT)
			named[c] = weight;
	}
}

void http_accept_encoding(const struct http_request *req, uint16_t weight[HTTP_CODING_COUNT])
{
	uint16_t named[HTTP_CODING_COUNT + 1] = {UNNAMED, UNNAMED, UNNAMED, UNNAMED};
	unsigned first = req->known[HTTP_ACCEPT_ENCODING];
	uint32_t at = first ? first - 1 : req->header_count;
	struct slice list;
	while ((list = http_request_header_next(req, SLICE("accept-encoding"), &at)).ptr)
		list_take(list, named);
	uint16_t any = named[HTTP_CODING_COUNT];
	for (unsigned c = 0; c < HTTP_CODING_COUNT; c++) {
		uint16_t unnamed = any != UNNAMED ? any : c == HTTP_CODING_IDENTITY;
		weight[c] = named[c] != UNNAMED ? named[c] : unnamed;
	}
}
