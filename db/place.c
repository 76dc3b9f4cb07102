/* From the user's words to a volume file, and who else has it. `ingot run` locks the file with flock, an emulator started
 * by hand with locks of single bytes: whoever takes both over all of the file excludes both. */
#include "tool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

bool place_is(const char *word)
{
	struct stat st;
	return stat(word, &st) == 0;
}

static void absolute(struct place *p)
{
	char *real = realpath(p->path, NULL);
	if (real)
		p->path = real;
}

struct place place_find(const char *where)
{
	struct stat st;
	struct place p = {.path = where};
	if (!where)
		where = ".";
	if (stat(where, &st) == 0 && S_ISDIR(st.st_mode)) {
		p.folder = where;
		p.path = format("%s/.ingot/data.volume", where);
	}
	p.exists = stat(p.path, &st) == 0;
	if (!p.exists && errno != ENOENT)
		die("%s: %s", p.path, strerror(errno));
	if (p.exists && !S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		die("%s is neither a file nor a block device", p.path);
	absolute(&p);
	return p;
}

bool place_is_sqlite(const struct place *place)
{
	static const char magic[16] = "SQLite format 3";
	char head[16];
	int fd = open(place->path, O_RDONLY | O_CLOEXEC);
	bool is = fd >= 0 && read(fd, head, sizeof head) == sizeof head && !memcmp(head, magic, sizeof head);
	if (fd >= 0)
		close(fd);
	return is;
}

bool place_is_held(const struct place *place)
{
	int fd = open(place->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	bool held = fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
	if (!held)
		held = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
	close(fd);
	return held;
}

/* --- Who --- */

static bool has_open(const char *pid, const struct stat *file)
{
	char *dir = format("/proc/%s/fd", pid);
	DIR *d = opendir(dir);
	bool found = false;
	for (struct dirent *e; d && !found && (e = readdir(d));) {
		struct stat st;
		found = stat(format("%s/%s", dir, e->d_name), &st) == 0 && st.st_dev == file->st_dev &&
			st.st_ino == file->st_ino;
	}
	if (d)
		closedir(d);
	return found;
}

/* The first two words of how the process was called, without folders: "ingot run". */
static char *words_of(const char *pid)
{
	char text[512] = "";
	FILE *f = fopen(format("/proc/%s/cmdline", pid), "r");
	size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
	if (f)
		fclose(f);
	const char *slash = strrchr(text, '/'), *first = slash ? slash + 1 : text;
	const char *second = text + strlen(text) + 1;
	bool is_word = (size_t)(second - text) < n && second[0] != '-' && second[0] != '/';
	return format("%s%s%s", first, is_word ? " " : "", is_word ? second : "");
}

const char *place_holder(const struct place *place)
{
	struct stat file;
	DIR *d = opendir("/proc");
	const char *found = NULL;
	if (stat(place->path, &file) != 0)
		return "another process";
	for (struct dirent *e; d && (e = readdir(d));) {
		if (e->d_name[0] < '1' || e->d_name[0] > '9' || atol(e->d_name) == getpid() ||
			!has_open(e->d_name, &file))
			continue;
		const char *who = format("%s (process %s)", words_of(e->d_name), e->d_name);
		/* The emulator has it from `ingot run`, which is whom to tell. */
		if (!found || strncmp(who, "ingot", 5) == 0)
			found = who;
	}
	if (d)
		closedir(d);
	return found ? found : "another process";
}
