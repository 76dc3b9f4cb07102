/* A machine for programs of the host that use SQLite on the page store: a loop whose one large fiber runs the
 * program, a clock that moves only when asked, and any number of disks in memory, which complete their
 * requests at the loop's next round. */
#ifndef SQL_SUPPORT_SUITE_MACHINE_H
#define SQL_SUPPORT_SUITE_MACHINE_H

#include <base/random.h>
#include <core/log.h>
#include <core/loop.h>

struct suite_machine {
	struct platform platform;
	struct loop loop;
	uint64_t pending; /* requests that lie on the disks */
	struct log log;
	struct random random;
	uint64_t now_ns;
	int (*program)(int argc, char **argv);
	int argc, status;
	char **argv;
	bool done;
};

struct suite_disk {
	struct block_device device; /* first */
	struct suite_machine *machine;
	struct list requests;
	uint8_t *image; /* mapped, so that what is never written costs nothing */
	size_t image_len;
	uint64_t flushes;
};

/* Runs program(argc, argv) on a fiber; its status. */
int suite_machine_run(struct suite_machine *m, int (*program)(int, char **), int argc, char **argv);
/* False without memory. */
bool suite_disk_init(struct suite_disk *d, struct suite_machine *m, size_t len);
void suite_disk_deinit(struct suite_disk *d);

#endif
