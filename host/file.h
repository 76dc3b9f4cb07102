/* A file as block device. */
#ifndef HOST_FILE_H
#define HOST_FILE_H

#include <base/cursor.h>
#include <platform/block.h>

struct file {
	struct block_device device;
	int fd;
	struct list submitted, kicked;
	uint32_t in_flight, kicked_count; /* all of both lists; of `kicked` */
};

struct file_options {
	uint64_t size;   /* bytes, for a file that is missing or empty; 0: such a one is refused */
	bool must_exist;
	bool read_only;  /* and not locked: others may write to it */
};

/* See host_create for the errors. */
MUST_USE err file_open(
	struct file *f, const char *path, const struct file_options *o, struct writer *why);
void file_close(struct file *f);
/* Whether poll would complete something. */
bool file_has_work(const struct file *f);

#endif
