/* What the store's tests say over and over: one object, called main, in whose pages ids stand. All
 * of these run on a fiber of the rig; what fails in them fails the test. */
#ifndef STORE_SUPPORT_WORLD_H
#define STORE_SUPPORT_WORLD_H

#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define MIB (1024u * 1024u)

#define must(e) assert_int_equal((e).code, ERR_OK)

/* The object called main, made if it is not there. */
struct store_object *world_object(struct rig *r);
/* Page `page_no` becomes number `id`: in a transaction, or as one that returns its generation. */
void world_write(struct store_txn *t, uint32_t page_no, uint64_t id);
uint64_t world_commit(struct store_object *o, uint32_t page_no, uint64_t id);
/* Which id a page holds (see rig_identify): in a snapshot, or in the newest generation. */
uint64_t world_read(struct store_snapshot *s, uint32_t page_no);
uint64_t world_newest(struct store_object *o, uint32_t page_no);

#endif
