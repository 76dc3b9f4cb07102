/* `ingot db resize`: a larger volume. The store takes the new size at the next opening, which is done here. A file that
 * has been made smaller than the volume on it gets its size back in the same way. */
#include <abi/volume.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "commands.h"
#include "tool.h"
#include "words.h"

/* Of what is no volume a small file is ERR_NO_SPACE, too. */
static bool is_volume(const struct session *s)
{
	static const uint64_t magic = VOLUME_MAGIC;
	return memcmp(s->slots[0], &magic, sizeof magic) == 0 || memcmp(s->slots[1], &magic, sizeof magic) == 0;
}

/* Whether it is a volume, and the file has been cut off. */
static int look(struct session *s, void *cut)
{
	if (failed(s->opened) && (s->opened.code != ERR_NO_SPACE || !is_volume(s)))
		die("%s: %s", s->place.path, s->said_len ? s->said : err_text(s->opened));
	*(bool *)cut = failed(s->opened);
	return 0;
}

static int tell(struct session *s, void *argument)
{
	(void)argument;
	printf("%s: %s, %s free\n", s->place.path, size_text(s->info.blocks * STORE_PAGE_SIZE),
		size_text(s->info.blocks_free * STORE_PAGE_SIZE));
	return 0;
}

static void grow(const struct place *place, uint64_t size)
{
	int fd = open(place->path, O_RDWR | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0)
		die("%s: %s", place->path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		die("the volume %s is in use by %s; stop that first", place->path, place_holder(place));
	if (!S_ISREG(st.st_mode))
		die("%s is a block device: make that larger; the next opening takes all of it", place->path);
	if (size < (uint64_t)st.st_size)
		die("a volume cannot be made smaller; this one has %s. Instead: `ingot db export` the database, move the "
		    "volume away, and `ingot db import --size` it into a new one", size_text((uint64_t)st.st_size));
	if (ftruncate(fd, (off_t)size) != 0)
		die("%s cannot be made that large: %s", place->path, strerror(errno));
	close(fd);
}

int command_resize(int argc, char **argv)
{
	struct words_option options[] = {{0}};
	struct words w = words_take(argc, argv, options, "resize [WHERE] SIZE", 1, 1);
	uint64_t size = size_parse("resize", w.rest[0]) & ~(uint64_t)4095;
	struct session before = {.place = place_find(w.where), .mode = SESSION_READ, .may_break = true};
	struct session after = {.place = before.place, .mode = SESSION_WRITE, .must_exist = true};
	if (before.place.exists && place_is_held(&before.place))
		die("the volume %s is in use by %s; stop that first", before.place.path,
			place_holder(&before.place));
	bool cut;
	session_run(&before, look, &cut);
	grow(&before.place, size);
	int status = session_run(&after, tell, NULL);
	if (cut)
		notice("the file had been cut off; whether something was lost says: ingot db check %s", w.where ? w.where : "");
	return status;
}
