/* The database's pages into an ordinary file. */
#ifndef DB_COPY_H
#define DB_COPY_H

#include "tool.h"

struct copy_job {
	const char *path, *what; /* for messages, for the progress line */
	const char *snapshot;    /* a named one; NULL: the newest generation */
	int fd;
	bool salvage; /* a page that cannot be had is zero in the file, and counted */
};

struct copy_result {
	uint64_t generation;
	uint32_t pages, lost; /* lost: of those, zero for want of better */
};

/* Ends the program when that cannot be done. Parks. */
struct copy_result copy_database(struct session *s, const struct copy_job *job);

#endif
