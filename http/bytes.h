/* Classes of bytes and small helpers that the files of this module share. */
#ifndef HTTP_BYTES_H
#define HTTP_BYTES_H

#include <base/slice.h>

enum byte_class {
	BYTE_TOKEN = 1,      /* RFC 9110 tchar */
	BYTE_END = 2,        /* ends a run of target bytes: not visible ASCII, or '?', or '#' */
	BYTE_PERCENT = 4,    /* '%' */
	BYTE_PATH_BAD = 16,  /* never in a path: " < > \ */
	BYTE_HOST = 32,      /* letters, digits, - . _ ~ */
	BYTE_UNRESERVED = 64, /* RFC 3986: letters, digits, - . _ ~ */
	BYTE_COOKIE = 128,   /* RFC 6265 cookie-octet */
};

extern const uint8_t http_byte_class[256];

static inline bool byte_is(uint8_t c, unsigned classes)
{
	return (http_byte_class[c] & classes) != 0;
}

static inline bool slice_is(struct slice s, enum byte_class class)
{
	for (size_t i = 0; i < s.len; i++)
		if (!byte_is(s.ptr[i], class))
			return false;
	return s.len > 0;
}

static inline bool byte_is_digit(uint8_t c)
{
	return (unsigned)c - '0' < 10;
}

static inline bool byte_is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* 0 to 15, or -1. */
static inline int hex_digit(uint8_t c)
{
	unsigned d = (unsigned)c - '0', l = (unsigned)(c | 0x20) - 'a';
	return d < 10 ? (int)d : l < 6 ? (int)l + 10 : -1;
}

/* The value of the escape at s.ptr[at], '%' and two digits; -1 when it is none. */
static inline int percent_escape(struct slice s, size_t at)
{
	if (s.len - at < 3 || s.ptr[at] != '%')
		return -1;
	int high = hex_digit(s.ptr[at + 1]), low = hex_digit(s.ptr[at + 2]);
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* The next element of a comma-separated list without its blanks; false at the end. Empty elements
 * are given too. Start with *at = 0. */
bool http_list_next(struct slice list, size_t *at, struct slice *element);

#endif
