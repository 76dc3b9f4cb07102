/* SQLite's programs for tests, with the page store as their default VFS: their main function runs on a fiber.
 *
 *	SUITE_SECTOR   the size of a sector that SQLite sees, and so the default size of a page (4096)
 *	SUITE_TXN_PAGES  pages that a transaction may change (8192)
 *	SUITE_FIBERS   two for each database (128)
 *	SUITE_OFF      set: the host's VFS stays the default, to compare */
#include "shim.h"

#include <base/assert.h>
#include <stdio.h>
#include <stdlib.h>

static struct suite_machine machine;
static struct suite_volumes volumes = {.machine = &machine, .disk_len = (size_t)256 << 20,
	.cache_pages = 256, .txn_pages_max = 8192};
static struct suite_vfs vfs;

int SUITE_MAIN(int argc, char **argv);
int suite_vfs_register(const char *unused);

/* SQLite calls this at the end of its initialisation, which may happen again and again. */
int suite_vfs_register(const char *unused)
{
	(void)unused;
	sqlite3_vfs *below = sqlite3_vfs_find("unix");
	const char *sector = getenv("SUITE_SECTOR"), *pages = getenv("SUITE_TXN_PAGES");
	if (!volumes.all.next)
		list_init(&volumes.all);
	if (pages)
		volumes.txn_pages_max = (uint32_t)atoi(pages);
	if (!vfs.below) {
		suite_vfs_init(&vfs, "store", below, &volumes);
		vfs.sector_size = sector ? atoi(sector) : 0;
	}
	return sqlite3_vfs_register(&vfs.base, getenv("SUITE_OFF") == NULL);
}

int main(int argc, char **argv)
{
	return suite_machine_run(&machine, SUITE_MAIN, argc, argv);
}
