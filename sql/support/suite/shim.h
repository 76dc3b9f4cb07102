/* A VFS on top of another one of the program's: main databases are in the page store, with the methods of
 * sql/file.c, and files without a name those of sql/scratch.c; journals and all that has a name is the other one's. */
#ifndef SQL_SUPPORT_SUITE_SHIM_H
#define SQL_SUPPORT_SUITE_SHIM_H

#include "volume.h"

struct suite_vfs {
	sqlite3_vfs base; /* first */
	sqlite3_vfs *below;
	struct suite_volumes *volumes;
	bool by_name;    /* see suite_volume_get */
	int sector_size; /* as SQLite sees it: its default page size. 0: file.c's */
};

/* Fills in `vfs`, called `name`; the caller registers it. */
void suite_vfs_init(struct suite_vfs *vfs, const char *name, sqlite3_vfs *below, struct suite_volumes *volumes);

/* The open main database `file` has this content, as if somebody else had written its mirror. SQLITE_x. */
int suite_file_fill(sqlite3_file *file, const void *data, int len);

#endif
