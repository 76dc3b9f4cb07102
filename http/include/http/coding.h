/* Which content codings a client takes: RFC 9110 section 12.5.3. */
#ifndef HTTP_CODING_H
#define HTTP_CODING_H

#include <http/parse.h>

enum http_coding {
	HTTP_CODING_IDENTITY,
	HTTP_CODING_GZIP, /* also as "x-gzip" */
	HTTP_CODING_BROTLI,
	HTTP_CODING_COUNT
};

API_BEGIN

/* Sets weight[c] for each coding that we know, from all Accept-Encoding fields: 0 when it is not
 * acceptable, else 1 + 1000 times its q. Identity that is neither named nor refused has 1, so that
 * it comes last. Without the field identity alone is acceptable: a client that says nothing may take
 * anything, but some that say nothing decode nothing. What is malformed in the list is left out. */
void http_accept_encoding(const struct http_request *req, uint16_t weight[HTTP_CODING_COUNT]);

API_END

#endif
