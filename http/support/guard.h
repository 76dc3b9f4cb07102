/* For tests: a copy of some bytes that ends where memory ends, so that reading one byte too many
 * faults. */
#ifndef HTTP_SUPPORT_GUARD_H
#define HTTP_SUPPORT_GUARD_H

#include <base/slice.h>

#define GUARD_MAX 65536 /* bytes */

struct guard {
	uint8_t *end; /* the first byte that cannot be read */
};

void guard_init(struct guard *g);
void guard_deinit(struct guard *g);
/* The copy, valid until the next one; s.len <= GUARD_MAX. What stood there before is
 * overwritten. */
struct slice guard_copy(struct guard *g, struct slice s);

#endif
