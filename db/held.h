/* What each snapshot costs: how many pages only it has. */
#ifndef DB_HELD_H
#define DB_HELD_H

#include "tool.h"

struct held {
	uint32_t count; /* of the following, in the order of store_named_next; 0: not known */
	uint64_t alone[STORE_OBJECTS_MAX]; /* pages that nothing else has: free when only it goes */
	uint64_t together; /* pages that only snapshots have: free when all go */
};

/* False when the volume cannot be read: it is damaged, or a machine writes to it too fast. Parks. */
bool held_count(struct session *s, struct held *out);

#endif
