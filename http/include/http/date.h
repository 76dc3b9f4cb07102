/* HTTP dates, RFC 9110 section 5.6.7. */
#ifndef HTTP_DATE_H
#define HTTP_DATE_H

#include <base/slice.h>

#define HTTP_DATE_LEN 29 /* "Sun, 06 Nov 1994 08:49:37 GMT" */
#define HTTP_DATE_NONE INT64_MIN

/* The Date field of the last second asked for; zero-initialised by its owner. */
struct http_date_cache {
	int64_t unix_s;
	bool filled;
	uint8_t line[6 + HTTP_DATE_LEN + 2]; /* "Date: " date CRLF */
};

API_BEGIN

/* Seconds since 1970 UTC, clamped to the years 1970 to 9999, as IMF-fixdate. `out` is not
 * NUL-terminated. */
void http_date_format(int64_t unix_s, uint8_t out[HTTP_DATE_LEN]);
/* Any of the three forms (IMF-fixdate, RFC 850, asctime); false when it is none. The day's name
 * must be one but need not fit. A two-digit year more than 50 years after `now_s` is of the past
 * century. */
bool http_date_parse(struct slice text, int64_t now_s, int64_t *unix_s);
/* "Date: ...\r\n", a view into the cache until its next use. */
struct slice http_date_line(struct http_date_cache *cache, int64_t unix_s);

API_END

#endif
