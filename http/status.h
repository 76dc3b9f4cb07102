/* Status codes with what is static about them. */
#ifndef HTTP_STATUS_H
#define HTTP_STATUS_H

#include <base/slice.h>

struct status_entry {
	uint16_t status;
	struct slice line; /* "HTTP/1.1 404 Not Found\r\n" */
};

/* NULL for a status that is not in the table. */
const struct status_entry *status_find(uint16_t status);

#endif
