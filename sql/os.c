/* What SQLite built for no operating system (SQLITE_OS_OTHER) calls at its start and end. A file of its own: a
 * program on the host in which SQLite knows the host's files too goes without it. */
#include "private.h"

/* The VFS is registered by sql_open, which has the context. */
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
