/* SQLite's fuzzcheck, its databases in the page store. It keeps them in memory, in three ways, all of which lead
 * here (the build renames what its sources call):
 *
 *   a VFS of its own, "inmem"       becomes what lies below ours, which takes its name
 *   sqlite3_open(NULL), then        an empty file of that VFS, filled as if by somebody else; SQLite finds
 *   sqlite3_deserialize               the content when it takes its first lock
 *   SQLITE_OPEN_MEMORY (ossfuzz.c)  an empty file of that VFS
 */
#include "shim.h"

#include <stdio.h>

#define FILE_NAME "fuzz.db"

static struct suite_machine machine;
static struct suite_volumes volumes = {.machine = &machine, .disk_len = (size_t)256 << 20,
	.cache_pages = 256, .txn_pages_max = 16384};
static struct suite_vfs vfs;

int fuzzcheck_main(int argc, char **argv);
int fuzzcheck_vfs_register(sqlite3_vfs *below, int make_default);
int fuzzcheck_open(const char *name, sqlite3 **db);
int fuzzcheck_open_v2(const char *name, sqlite3 **db, int flags, const char *vfs_name);
int fuzzcheck_deserialize(sqlite3 *db, const char *schema, unsigned char *data, sqlite3_int64 len,
	sqlite3_int64 allocated, unsigned flags);

int fuzzcheck_vfs_register(sqlite3_vfs *below, int make_default)
{
	list_init(&volumes.all);
	suite_vfs_init(&vfs, below->zName, below, &volumes);
	vfs.by_name = true;
	return sqlite3_vfs_register(&vfs.base, make_default);
}

static int open_empty(sqlite3 **db)
{
	vfs.below->xDelete(vfs.below, FILE_NAME, 0);
	vfs.below->xDelete(vfs.below, FILE_NAME "-journal", 0);
	return sqlite3_open_v2(FILE_NAME, db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs.base.zName);
}

int fuzzcheck_open(const char *name, sqlite3 **db)
{
	return name ? sqlite3_open(name, db) : open_empty(db);
}

int fuzzcheck_open_v2(const char *name, sqlite3 **db, int flags, const char *vfs_name)
{
	return flags & SQLITE_OPEN_MEMORY ? open_empty(db) : sqlite3_open_v2(name, db, flags, vfs_name);
}

int fuzzcheck_deserialize(sqlite3 *db, const char *schema, unsigned char *data, sqlite3_int64 len,
	sqlite3_int64 allocated, unsigned flags)
{
	(void)allocated;
	sqlite3_file *file;
	int rc = sqlite3_file_control(db, schema, SQLITE_FCNTL_FILE_POINTER, &file);
	if (rc == SQLITE_OK)
		rc = suite_file_fill(file, data, (int)len);
	if (flags & SQLITE_DESERIALIZE_FREEONCLOSE)
		sqlite3_free(data);
	return rc;
}

int main(int argc, char **argv)
{
	int status = suite_machine_run(&machine, fuzzcheck_main, argc, argv);
	struct sql_stats stats;
	suite_volumes_stats(&volumes, &stats);
	printf("store: %lu commits, %lu pages lent, %lu copied, %lu written, %lu spilled\n",
		(unsigned long)stats.commits, (unsigned long)stats.pages_lent, (unsigned long)stats.pages_copied,
		(unsigned long)stats.pages_written, (unsigned long)stats.pages_spilled);
	return status;
}
