/* The operating system that SQLite sees: one file called "main", a clock, entropy. There are no other
 * files: a journal cannot be opened, so a mode in which SQLite would want one fails and is counted instead of
 * silently losing what makes a commit one batch. */
#include <core/fiber.h>
#include "private.h"

#include <string.h>

static struct sql *sql_of(sqlite3_vfs *vfs)
{
	return vfs->pAppData;
}

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags, int *out_flags)
{
	struct sql *sql = sql_of(vfs);
	base->pMethods = NULL;
	if (!(flags & SQLITE_OPEN_MAIN_DB)) {
		sql->stats.journal_opens++;
		return SQLITE_CANTOPEN;
	}
	if (!name || strcmp(name, "main") != 0)
		return SQLITE_CANTOPEN;
	if (out_flags)
		*out_flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_MAIN_DB;
	return sql_file_open((struct sql_file *)base, sql);
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
	(void)vfs, (void)name, (void)sync_dir;
	return SQLITE_IOERR_DELETE_NOENT;
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
	random_bytes(sql_of(vfs)->config.random, out, (size_t)len);
	return len;
}

static int vfs_sleep(sqlite3_vfs *vfs, int us)
{
	struct loop *loop = sql_of(vfs)->config.loop;
	if (fiber_self(loop))
		fiber_sleep_until(loop, loop->now_ns + (uint64_t)us * 1000);
	return us;
}

/* Milliseconds since noon in Greenwich on 24 November 4714 BC. */
static int vfs_current_time(sqlite3_vfs *vfs, sqlite3_int64 *out)
{
	struct platform *platform = sql_of(vfs)->config.loop->platform;
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

void sql_vfs_init(struct sql *sql)
{
	sql->vfs = (sqlite3_vfs){
		.iVersion = 2,
		.szOsFile = sizeof(struct sql_file),
		.mxPathname = 64,
		.zName = "store",
		.pAppData = sql,
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

/* SQLite calls these (SQLITE_OS_OTHER); sql_open registers the VFS itself, because it has the context. */
API_BEGIN

int sqlite3_os_init(void)
{
	return SQLITE_OK;
}

int sqlite3_os_end(void)
{
	return SQLITE_OK;
}

API_END
