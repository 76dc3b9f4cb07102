#include "bytes.h"

#define ALNUM (BYTE_TOKEN | BYTE_HOST | BYTE_UNRESERVED | BYTE_COOKIE)
#define MARK (BYTE_TOKEN | BYTE_COOKIE)

const uint8_t http_byte_class[256] = {
	[0 ... ' '] = BYTE_END,
	['!'] = MARK,
	['"'] = BYTE_PATH_BAD,
	['#'] = MARK | BYTE_END,
	['$'] = MARK,
	['%'] = MARK | BYTE_PERCENT,
	['&'] = MARK,
	['\''] = MARK,
	['('] = BYTE_COOKIE,
	[')'] = BYTE_COOKIE,
	['*'] = MARK,
	['+'] = MARK,
	['-'] = ALNUM,
	['.'] = ALNUM,
	['/'] = BYTE_COOKIE,
	['0' ... '9'] = ALNUM,
	[':'] = BYTE_COOKIE,
	['<'] = BYTE_PATH_BAD | BYTE_COOKIE,
	['='] = BYTE_COOKIE,
	['>'] = BYTE_PATH_BAD | BYTE_COOKIE,
	['?'] = BYTE_END | BYTE_COOKIE,
	['@'] = BYTE_COOKIE,
	['A' ... 'Z'] = ALNUM,
	['['] = BYTE_COOKIE,
	['\\'] = BYTE_PATH_BAD,
	[']'] = BYTE_COOKIE,
	['^'] = MARK,
	['_'] = ALNUM,
	['`'] = MARK,
	['a' ... 'z'] = ALNUM,
	['{'] = BYTE_COOKIE,
	['|'] = MARK,
	['}'] = BYTE_COOKIE,
	['~'] = ALNUM,
	[0x7f ... 0xff] = BYTE_END,
};

bool http_list_next(struct slice list, size_t *at, struct slice *element)
{
	if (*at > list.len)
		return false;
	struct slice rest = slice_sub(list, *at, list.len);
	size_t comma = slice_index(rest, ',');
	*element = slice_trim(slice_sub(rest, 0, comma));
	*at += comma + 1;
	return true;
}
