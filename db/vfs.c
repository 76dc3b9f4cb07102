/* What sql/ brings is the file. To that we add what a server does elsewhere: a commit returns when it is durable. And
 * the journal mode cannot be changed: the page store is the journal. Nor can page size and encoding, which an image has to
 * know. */
#include "vfs.h"

#include <stdlib.h>
#include <string.h>
#include <sql/file.h>

static struct db_vfs *vfs_of(sqlite3_vfs *base)
{
	return (struct db_vfs *)base;
}

static bool is_ours(const struct db_vfs *v, const char *name)
{
	return name && strcmp(name, v->name) == 0;
}

/* --- The file --------------------------------------------------------------------------------- */

static int wait_durable(struct db_vfs *v)
{
	struct store *store = v->session->store;
	if (v->session->mode == SESSION_READ)
		return SQLITE_OK;
	err e = store_wait_durable(store, store_generation(store));
	return failed(e) ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

/* "PRAGMA journal_mode = X" and the like: what is changed nevertheless is answered as it is. */
static int on_pragma(char **words)
{
	if (sqlite3_stricmp(words[1], "journal_mode") == 0 && words[2]) {
		if (sqlite3_stricmp(words[2], "memory") == 0)
			return SQLITE_NOTFOUND;
		words[0] = sqlite3_mprintf("memory");
		return SQLITE_OK;
	}
	if (sqlite3_stricmp(words[1], "page_size") == 0 && words[2]) {
		words[0] = sqlite3_mprintf("the pages of a volume have 4096 bytes");
		return atoi(words[2]) == (int)STORE_PAGE_SIZE ? SQLITE_NOTFOUND : SQLITE_ERROR;
	}
	return SQLITE_NOTFOUND;
}

static int file_control(sqlite3_file *file, int op, void *argument)
{
	struct db_vfs *v = CONTAINER_OF(file->pMethods, struct db_vfs, methods);
	if (op == SQLITE_FCNTL_PRAGMA)
		return on_pragma(argument);
	int rc = v->inner->xFileControl(file, op, argument);
	if (op == SQLITE_FCNTL_COMMIT_PHASETWO && rc == SQLITE_OK)
		rc = wait_durable(v);
	return rc;
}

/* Page 1 says what an image cannot open. The shell's .restore copies such a page as it is. */
static const char *unfit(const uint8_t *page, int len)
{
	static const uint8_t page_size[2] = {STORE_PAGE_SIZE >> 8, STORE_PAGE_SIZE & 0xff};
	if (len < 100)
		return NULL;
	if (memcmp(page + 16, page_size, sizeof page_size) != 0)
		return "pages of another size than 4096 bytes";
	if (page[18] > 1 || page[19] > 1)
		return "a write-ahead log";
	return page[59] > 1 ? "texts in UTF-16" : NULL;
}

static int file_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at)
{
	struct db_vfs *v = CONTAINER_OF(file->pMethods, struct db_vfs, methods);
	const char *what = at == 0 ? unfit(bytes, len) : NULL;
	bool said = what && what == v->unfit; /* SQLite tries again, without a batch */
	if (at == 0)
		v->unfit = what;
	if (!what)
		return v->inner->xWrite(file, bytes, len, at);
	if (said)
		return SQLITE_IOERR_WRITE;
	notice("a volume's database cannot have %s: nothing was changed. A whole file becomes the database by: "
	       "ingot db import FILE.sqlite --force", what);
	return SQLITE_IOERR_WRITE;
}

static int file_close(sqlite3_file *file)
{
	struct db_vfs *v = CONTAINER_OF(file->pMethods, struct db_vfs, methods);
	v->files_open--;
	return v->inner->xClose(file);
}

static int open_ours(struct db_vfs *v, sqlite3_file *file, int flags, int *out_flags)
{
	file->pMethods = NULL;
	if (!(flags & SQLITE_OPEN_MAIN_DB) || !v->session->object)
		return SQLITE_CANTOPEN;
	int rc = sql_file_init(file, v->session->object, &v->stats);
	if (rc != SQLITE_OK)
		return rc;
	v->inner = file->pMethods;
	v->methods = *v->inner;
	v->methods.xWrite = file_write;
	v->methods.xFileControl = file_control;
	v->methods.xClose = file_close;
	v->files_open++;
	file->pMethods = &v->methods;
	bool reads = v->session->mode == SESSION_READ || (flags & SQLITE_OPEN_READONLY);
	if (out_flags)
		*out_flags = SQLITE_OPEN_MAIN_DB | (reads ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
	return SQLITE_OK;
}

/* --- The VFS ---------------------------------------------------------------------------------- */

static int vfs_open(sqlite3_vfs *base, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
	struct db_vfs *v = vfs_of(base);
	if (is_ours(v, name))
		return open_ours(v, file, flags, out_flags);
	return v->unix_vfs->xOpen(v->unix_vfs, name, file, flags, out_flags);
}

static int vfs_delete(sqlite3_vfs *base, const char *name, int sync_dir)
{
	struct db_vfs *v = vfs_of(base);
	if (is_ours(v, name))
		return SQLITE_IOERR_DELETE;
	return v->unix_vfs->xDelete(v->unix_vfs, name, sync_dir);
}

static int vfs_access(sqlite3_vfs *base, const char *name, int flags, int *out)
{
	struct db_vfs *v = vfs_of(base);
	return v->unix_vfs->xAccess(v->unix_vfs, name, flags, out);
}

static int vfs_full_pathname(sqlite3_vfs *base, const char *name, int out_len, char *out)
{
	struct db_vfs *v = vfs_of(base);
	if (!is_ours(v, name))
		return v->unix_vfs->xFullPathname(v->unix_vfs, name, out_len, out);
	if (strlen(name) >= (size_t)out_len)
		return SQLITE_CANTOPEN;
	memcpy(out, name, strlen(name) + 1);
	return SQLITE_OK;
}

static int vfs_randomness(sqlite3_vfs *base, int len, char *out)
{
	return vfs_of(base)->unix_vfs->xRandomness(vfs_of(base)->unix_vfs, len, out);
}

static int vfs_sleep(sqlite3_vfs *base, int us)
{
	return vfs_of(base)->unix_vfs->xSleep(vfs_of(base)->unix_vfs, us);
}

static int vfs_current_time(sqlite3_vfs *base, double *out)
{
	return vfs_of(base)->unix_vfs->xCurrentTime(vfs_of(base)->unix_vfs, out);
}

static int vfs_current_time64(sqlite3_vfs *base, sqlite3_int64 *out)
{
	return vfs_of(base)->unix_vfs->xCurrentTimeInt64(vfs_of(base)->unix_vfs, out);
}

static int vfs_last_error(sqlite3_vfs *base, int len, char *out)
{
	return vfs_of(base)->unix_vfs->xGetLastError(vfs_of(base)->unix_vfs, len, out);
}

/* Called for each connection that is opened, after its database. */
static int on_connection(sqlite3 *db, char **message, const void *api)
{
	(void)api, (void)message;
	sqlite3_vfs *vfs = NULL;
	const char *name = sqlite3_db_filename(db, "main");
	if (sqlite3_file_control(db, "main", SQLITE_FCNTL_VFS_POINTER, &vfs) != SQLITE_OK || !vfs ||
		vfs->xOpen != vfs_open || !is_ours(vfs_of(vfs), name))
		return SQLITE_OK;
	return sqlite3_exec(db, "PRAGMA main.journal_mode = MEMORY", NULL, NULL, NULL);
}

void db_vfs_register(struct db_vfs *v, struct session *s)
{
	if (sqlite3_initialize() != SQLITE_OK)
		die("out of memory");
	v->unix_vfs = sqlite3_vfs_find("unix");
	v->session = s;
	v->name = s->place.path;
	v->base = (sqlite3_vfs){
		.iVersion = 2,
		.szOsFile = v->unix_vfs->szOsFile,
		.mxPathname = v->unix_vfs->mxPathname,
		.zName = "ingot",
		.xOpen = vfs_open,
		.xDelete = vfs_delete,
		.xAccess = vfs_access,
		.xFullPathname = vfs_full_pathname,
		.xRandomness = vfs_randomness,
		.xSleep = vfs_sleep,
		.xCurrentTime = vfs_current_time,
		.xCurrentTimeInt64 = vfs_current_time64,
		.xGetLastError = vfs_last_error,
	};
	if ((size_t)v->base.szOsFile < sql_file_bytes())
		v->base.szOsFile = (int)sql_file_bytes();
	if (sqlite3_vfs_register(&v->base, 1) != SQLITE_OK ||
		sqlite3_auto_extension((void (*)(void))(uintptr_t)on_connection) != SQLITE_OK)
		die("out of memory");
}
