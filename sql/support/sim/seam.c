/* What stands between sql/, SQLite and the store: the linker sends these calls here first (--wrap). Here what is to
 * happen when there is no memory is broken on purpose: each mistake must be noticed by some of the checks. */
#include "sim.h"

#include "../counted.h"

#include <sqlite3.h>
#include <store/store.h>
#include <string.h>
#include <support/sim/memory.h>

enum sabotage {
	NONE,
	SWALLOW, /* a page for which there is no memory is not written, and nobody is told */
	KEEP,    /* a transaction is committed instead of aborted */
	LEAK,    /* a statement is never given back */
	SABOTAGES
};
static const char *const names[SABOTAGES] = {"", "swallow", "keep", "leak"};

static enum sabotage how;

bool seam_sabotage(const char *name)
{
	for (uint32_t i = 1; i < SABOTAGES; i++)
		if (strcmp(names[i], name) == 0)
			how = (enum sabotage)i;
	return how != NONE;
}

#define WRAP(type, name, ...)                                                                      \
	type __real_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__)

WRAP(err, store_txn_write, struct store_txn *t, uint32_t page_no, const void *page)
{
	err e = __real_store_txn_write(t, page_no, page);
	return how == SWALLOW && e.code == ERR_NO_MEMORY ? OK : e;
}

WRAP(void, store_txn_abort, struct store_txn *t)
{
	uint64_t generation;
	if (how == KEEP)
		(void)!failed(store_txn_commit(t, &generation));
	else
		__real_store_txn_abort(t);
}

WRAP(int, sqlite3_finalize, sqlite3_stmt *s)
{
	return how == LEAK && (counted.failed || seam_has_failed()) ? SQLITE_OK : __real_sqlite3_finalize(s);
}
