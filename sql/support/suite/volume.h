/* The databases of a program of the host: each is the one object of a store on a disk in memory.
 *
 * Programs also look at a database as a file: they copy it, ask for its size, overwrite bytes in it. So each
 * volume has a mirror below it, a file of another VFS: what is committed is written to it afterwards, and when
 * the file has been changed by others it is read in, as a commit of its own. The database itself is
 * never read from there while nobody else writes to it. */
#ifndef SQL_SUPPORT_SUITE_VOLUME_H
#define SQL_SUPPORT_SUITE_VOLUME_H

#include "machine.h"

#include <sql/sql.h>
#include <sqlite3.h>
#include <sys/stat.h>

struct suite_volume {
	struct list link;  /* in suite_volumes.all, least recently used first */
	struct list files; /* open */
	struct suite_disk disk;
	uint8_t *memory;
	size_t memory_len;
	struct store *store;
	struct store_object *object;
	struct sql_stats stats;
	dev_t device; /* which file it is */
	ino_t inode;
	char *name;   /* where the mirror has no inode: its name; else NULL */
	struct stat seen; /* the mirror, as we have left it */
	bool known;       /* whether that is true: false after a failure */
	uint64_t bytes;   /* of the mirror; the object is in whole pages */
};

struct suite_volumes {
	struct suite_machine *machine;
	struct list all;
	uint32_t count;
	uint64_t stamps;
	struct sql_stats stats; /* of volumes that are gone */
	size_t disk_len;
	uint32_t cache_pages, txn_pages_max;
};

/* The volume of the file called `path` (made when missing); NULL: no memory. `by_name`: it is not a file of
 * the host, so its name is all there is; "" has the scratch files. Parks. */
struct suite_volume *suite_volume_get(struct suite_volumes *all, const char *path, bool by_name);
/* Reads in what others have made of the mirror. SQLITE_x; parks. */
int suite_volume_sync(struct suite_volumes *all, struct suite_volume *v, sqlite3_file *mirror, const char *path);
/* To be called when the mirror has been written: what is there is ours. */
void suite_volume_seen(struct suite_volumes *all, struct suite_volume *v, const char *path);
/* Closes those that nobody uses, all but the last `keep`. Parks. */
void suite_volumes_trim(struct suite_volumes *all, uint32_t keep);
/* Of all volumes, those that are gone too. */
void suite_volumes_stats(const struct suite_volumes *all, struct sql_stats *out);

#endif
