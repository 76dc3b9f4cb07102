/* The operating system that SQLite sees: one file called "main", a clock, entropy; and files that need not survive
 * (scratch.c). A journal is such a file too: it serves to undo a transaction that does not fit in SQLite's
 * memory, never to recover. It is counted, since such a transaction is no longer one batch. */
#include <core/fiber.h>
#include "private.h"

#include <string.h>

static struct sql_vfs *vfs_of(sqlite3_vfs *base)
{
	return (struct sql_vfs *)base;
}

static int vfs_open(sqlite3_vfs *vfs_base, const char *name, sqlite3_file *base, int flags, int *out_flags)
{
	struct sql_vfs *vfs = vfs_of(vfs_base);
	base->pMethods = NULL;
	if (!(flags & SQLITE_OPEN_MAIN_DB)) {
		vfs->stats->journal_opens += (flags & SQLITE_OPEN_MAIN_JOURNAL) != 0;
		vfs->stats->scratch_opens++;
		if (out_flags)
			*out_flags = flags;
		return sql_scratch_open(base, store_object_store(vfs->object));
	}
	if (!name || strcmp(name, "main") != 0)
		return SQLITE_CANTOPEN;
	if (out_flags)
		*out_flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_MAIN_DB;
	return sql_file_open((struct sql_file *)base, vfs->object, vfs->stats);
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
	/* Files that need not survive are gone when they are closed. */
	(void)vfs, (void)name, (void)sync_dir;
	return SQLITE_OK;
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
	(void)vfs, (void)flags;
	*out = strcmp(name, "main") == 0;
	return SQLITE_OK;
}

static int vfs_full_pathname(sqlite3_vfs *vfs, const char *name, int out_len, char *out)
{
	(void)vfs;
	size_t len = strlen(name);
	if (len >= (size_t)out_len)
		return SQLITE_CANTOPEN;
	memcpy(out, name, len + 1);
	return SQLITE_OK;
}

static int vfs_randomness(sqlite3_vfs *vfs, int len, char *out)
{
	random_bytes(vfs_of(vfs)->random, out, (size_t)len);
	return len;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
	struct loop *loop = vfs_of(vfs)->loop;
	if (fiber_self(loop))
		fiber_sleep_until(loop, loop->now_ns + (uint64_t)us * 1000);
	return us;
}

/* Milliseconds since noon in Greenwich on 24 November 4714 BC. */
static int vfs_current_time(sqlite3_vfs *vfs, sqlite3_int64 *out)
{
	struct platform *platform = vfs_of(vfs)->loop->platform;
	*out = 210866760000000 + platform->wall_ns(platform) / 1000000;
	return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *vfs, int len, char *out)
{
	(void)vfs;
	if (len > 0)
		out[0] = 0;
	return 0;
}

void sql_vfs_init(struct sql_vfs *vfs, const char *name, struct store_object *object,
	struct sql_stats *stats, struct loop *loop, struct random *random)
{
	*vfs = (struct sql_vfs){.object = object, .stats = stats, .loop = loop, .random = random};
	vfs->base = (sqlite3_vfs){
		.iVersion = 2,
		.szOsFile = sizeof(struct sql_file),
		.mxPathname = 64,
		.zName = name,
		.xOpen = vfs_open,
		.xDelete = vfs_delete,
		.xAccess = vfs_access,
		.xFullPathname = vfs_full_pathname,
		.xRandomness = vfs_randomness,
		.xSleep = vfs_sleep,
		.xGetLastError = vfs_last_error,
		.xCurrentTimeInt64 = vfs_current_time,
	};
}
