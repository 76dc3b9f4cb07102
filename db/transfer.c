/* `ingot db export`: the database as an ordinary SQLite file. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "commands.h"
#include "copy.h"
#include "words.h"

struct export {
	const char *to, *snapshot;
	bool force, salvage;
};

/* What lies beside a database file and would be taken for a part of it. */
static void refuse_leftovers(const char *path)
{
	static const char *const ends[] = {"-wal", "-journal", "-shm"};
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (place_is(format("%s%s", path, ends[i])))
			die("%s%s belongs to another database of that name, and would be taken for a part of "
			    "the new one: remove it first", path, ends[i]);
}

static void sync_folder(const char *path)
{
	int fd = open(dirname(format("%s", path)), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
}

static int do_export(struct session *s, void *argument)
{
	const struct export *x = argument;
	struct copy_job job = {.path = format("%s.part", x->to), .what = "exporting",
		.snapshot = x->snapshot, .salvage = x->salvage};
	job.fd = open(job.path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (job.fd < 0)
		die("cannot write %s: %s", job.path, strerror(errno));
	die_removes(job.path);
	struct copy_result r = copy_database(s, &job);
	if (r.pages == 0)
		die("%s: the database in it is empty; nothing was exported", s->place.path);
	if (fsync(job.fd) != 0 || close(job.fd) != 0 || rename(job.path, x->to) != 0)
		die("cannot write %s: %s", x->to, strerror(errno));
	die_removes(NULL);
	sync_folder(x->to);
	if (r.lost)
		notice("%u pages could not be had and are zero in %s; the rows that are left: ingot db shell %s .recover | sqlite3 "
		       "rescued.sqlite", r.lost, x->to, x->to);
	printf("%s: %s, generation %lu\n", x->to, size_text((uint64_t)r.pages * STORE_PAGE_SIZE),
		(unsigned long)r.generation);
	return r.lost ? 1 : 0;
}

int command_export(int argc, char **argv)
{
	struct words_option options[] = {{.name = "--snapshot", .takes = true}, {.name = "--force"},
		{.name = "--salvage"}, {0}};
	struct words w = words_take(argc, argv, options, "export [WHERE] FILE.sqlite [--snapshot NAME] [--force] [--salvage]", 1,
		1);
	struct export x = {.to = w.rest[0], .snapshot = options[0].value, .force = options[1].given,
		.salvage = options[2].given};
	struct session s = {.place = place_find(w.where), .mode = SESSION_READ};
	if (place_is(x.to) && !x.force)
		die("%s is there already; with --force it is replaced", x.to);
	refuse_leftovers(x.to);
	return session_run(&s, do_export, &x);
}
