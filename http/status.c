#include "status.h"

#define STATUS(code, reason) {code, SLICE_INIT("HTTP/1.1 " #code " " reason "\r\n")}

/* RFC 9110 section 15, RFC 6585, RFC 8470. The first is the most frequent. */
static const struct status_entry table[] = {
	STATUS(200, "OK"),
	STATUS(304, "Not Modified"),
	STATUS(201, "Created"),
	STATUS(202, "Accepted"),
	STATUS(203, "Non-Authoritative Information"),
	STATUS(204, "No Content"),
	STATUS(205, "Reset Content"),
	STATUS(206, "Partial Content"),
	STATUS(300, "Multiple Choices"),
	STATUS(301, "Moved Permanently"),
	STATUS(302, "Found"),
	STATUS(303, "See Other"),
	STATUS(307, "Temporary Redirect"),
	STATUS(308, "Permanent Redirect"),
	STATUS(400, "Bad Request"),
	STATUS(401, "Unauthorized"),
	STATUS(402, "Payment Required"),
	STATUS(403, "Forbidden"),
	STATUS(404, "Not Found"),
	STATUS(405, "Method Not Allowed"),
	STATUS(406, "Not Acceptable"),
	STATUS(408, "Request Timeout"),
	STATUS(409, "Conflict"),
	STATUS(410, "Gone"),
	STATUS(411, "Length Required"),
	STATUS(412, "Precondition Failed"),
	STATUS(413, "Content Too Large"),
	STATUS(414, "URI Too Long"),
	STATUS(415, "Unsupported Media Type"),
	STATUS(416, "Range Not Satisfiable"),
	STATUS(417, "Expectation Failed"),
	STATUS(421, "Misdirected Request"),
	STATUS(422, "Unprocessable Content"),
	STATUS(425, "Too Early"),
	STATUS(426, "Upgrade Required"),
	STATUS(428, "Precondition Required"),
	STATUS(429, "Too Many Requests"),
	STATUS(431, "Request Header Fields Too Large"),
	STATUS(500, "Internal Server Error"),
	STATUS(501, "Not Implemented"),
	STATUS(502, "Bad Gateway"),
	STATUS(503, "Service Unavailable"),
	STATUS(504, "Gateway Timeout"),
	STATUS(505, "HTTP Version Not Supported"),
	STATUS(507, "Insufficient Storage"),
};

const struct status_entry *status_find(uint16_t status)
{
	for (unsigned i = 0; i < ARRAY_LEN(table); i++)
		if (table[i].status == status)
			return &table[i];
	return NULL;
}
