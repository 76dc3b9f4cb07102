/* SQLite's files in this program: one name is the volume's database, all others are ordinary files. */
#ifndef DB_VFS_H
#define DB_VFS_H

#include "tool.h"
#include <sql/sql.h>
#include <sqlite3.h>

struct db_vfs {
	sqlite3_vfs base; /* first */
	sqlite3_io_methods methods; /* those of sql/, with file controls of ours */
	const sqlite3_io_methods *inner;
	sqlite3_vfs *unix_vfs;
	struct session *session;
	const char *name; /* of the database: the volume's path */
	struct sql_stats stats;
	uint32_t files_open; /* of the database */
	const char *unfit;   /* what the last page 1 that was written could not be */
};

/* Initialises SQLite and makes this its default VFS. The structure lives as long as the program does. Each connection to
 * the database gets the settings that sql/ relies on. */
void db_vfs_register(struct db_vfs *vfs, struct session *s);

#endif
