/* For programs that bring a VFS of their own (tools on the host): the file through which SQLite sees an object of the
 * store. The guest's programs use sql.h alone. */
#ifndef SQL_FILE_H
#define SQL_FILE_H

#include <sql/sql.h>
#include <store/store.h>

struct sqlite3_file;

API_BEGIN

/* Bytes that the VFS's szOsFile must have room for. */
size_t sql_file_bytes(void);
/* What the VFS's xOpen does for a main database: its pages are those of `object`; `stats` counts. SQLite's code. The
 * connection must use PRAGMA journal_mode = MEMORY. Its calls park; a commit does not wait until it is durable. */
int sql_file_init(struct sqlite3_file *file, struct store_object *object, struct sql_stats *stats);

API_END

#endif
