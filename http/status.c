#include "status.h"

#define LINE(code, reason) SLICE_INIT("HTTP/1.1 " #code " " reason "\r\n")
#define PLAIN(code, reason) {code, LINE(code, reason), {NULL, 0}}
#define PAGE(code, reason)                                                                         \
	{code, LINE(code, reason),                                                                 \
		SLICE_INIT("<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"           \
			   "<meta name=\"viewport\" content=\"width=device-width\">\n"             \
			   "<title>" #code " " reason "</title>\n<h1>" #code " " reason            \
			   "</h1>\n</html>\n")}

/* RFC 9110 section 15, RFC 6585, RFC 8470. The first is the most frequent. */
static const struct status_entry table[] = {
	PLAIN(200, "OK"),
	PLAIN(304, "Not Modified"),
	PLAIN(201, "Created"),
	PLAIN(202, "Accepted"),
	PLAIN(203, "Non-Authoritative Information"),
	PLAIN(204, "No Content"),
	PLAIN(205, "Reset Content"),
	PLAIN(206, "Partial Content"),
	PLAIN(300, "Multiple Choices"),
	PLAIN(301, "Moved Permanently"),
	PLAIN(302, "Found"),
	PLAIN(303, "See Other"),
	PLAIN(307, "Temporary Redirect"),
	PLAIN(308, "Permanent Redirect"),
	PAGE(400, "Bad Request"),
	PAGE(401, "Unauthorized"),
	PAGE(402, "Payment Required"),
	PAGE(403, "Forbidden"),
	PAGE(404, "Not Found"),
	PAGE(405, "Method Not Allowed"),
	PAGE(406, "Not Acceptable"),
	PAGE(408, "Request Timeout"),
	PAGE(409, "Conflict"),
	PAGE(410, "Gone"),
	PAGE(411, "Length Required"),
	PAGE(412, "Precondition Failed"),
	PAGE(413, "Content Too Large"),
	PAGE(414, "URI Too Long"),
	PAGE(415, "Unsupported Media Type"),
	PAGE(416, "Range Not Satisfiable"),
	PAGE(417, "Expectation Failed"),
	PAGE(421, "Misdirected Request"),
	PAGE(422, "Unprocessable Content"),
	PAGE(425, "Too Early"),
	PAGE(426, "Upgrade Required"),
	PAGE(428, "Precondition Required"),
	PAGE(429, "Too Many Requests"),
	PAGE(431, "Request Header Fields Too Large"),
	PAGE(500, "Internal Server Error"),
	PAGE(501, "Not Implemented"),
	PAGE(502, "Bad Gateway"),
	PAGE(503, "Service Unavailable"),
	PAGE(504, "Gateway Timeout"),
	PAGE(505, "HTTP Version Not Supported"),
	PAGE(507, "Insufficient Storage"),
};

const struct status_entry *status_find(uint16_t status)
{
	for (unsigned i = 0; i < ARRAY_LEN(table); i++)
		if (table[i].status == status)
			return &table[i];
	return NULL;
}
