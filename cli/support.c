/* Messages, memory, strings, files and programs for the command. */
#include "cli.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <base/assert.h>

static void message(const char *fmt, va_list args)
{
	fflush(stdout);
	fputs("ingot: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
}

void die(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	message(fmt, args);
	va_end(args);
	exit(1);
}

void notice(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	message(fmt, args);
	va_end(args);
}

void *must_alloc(size_t size)
{
	void *p = calloc(1, size ? size : 1);
	if (!p)
		die("out of memory");
	return p;
}

char *format(const char *fmt, ...)
{
	va_list args;
	char *text;
	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		die("out of memory");
	va_end(args);
	return text;
}

void strings_add(struct strings *s, const char *item)
{
	if (s->count + 1 >= s->capacity) {
		s->capacity = s->capacity ? 2 * s->capacity : 16;
		s->item = realloc(s->item, s->capacity * sizeof *s->item);
		if (!s->item)
			die("out of memory");
	}
	s->item[s->count++] = item ? format("%s", item) : NULL;
	s->item[s->count] = NULL;
}

void strings_add_words(struct strings *s, const char *text)
{
	char *copy = format("%s", text), *save = NULL;
	for (char *w = strtok_r(copy, " \t\n", &save); w; w = strtok_r(NULL, " \t\n", &save))
		strings_add(s, w);
}

bool file_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

uint64_t file_size(const char *path)
{
	struct stat st;
	if (stat(path, &st) != 0)
		die("%s: %s", path, strerror(errno));
	return (uint64_t)st.st_size;
}

static bool read_whole(const char *path, struct slice *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0)
		return false;
	size_t size = (size_t)st.st_size, have = 0;
	uint8_t *bytes = must_alloc(size + 1);
	while (have < size) {
		ssize_t n = read(fd, bytes + have, size - have);
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	close(fd);
	*out = slice_of(bytes, have);
	return have == size;
}

struct slice file_read(const char *path)
{
	struct slice content;
	if (!read_whole(path, &content))
		die("cannot read %s: %s", path, strerror(errno));
	return content;
}

void file_write(const char *path, struct slice content)
{
	struct slice old;
	if (file_exists(path) && read_whole(path, &old) && slice_eq(old, content))
		return;
	char *temporary = format("%s.new", path);
	FILE *f = fopen(temporary, "wb");
	if (!f || fwrite(content.ptr, 1, content.len, f) != content.len || fclose(f) != 0
		|| rename(temporary, path) != 0)
		die("cannot write %s: %s", path, strerror(errno));
}

void make_directories(const char *path)
{
	char *copy = format("%s", path);
	for (char *p = copy + 1;; p++) {
		if (*p != '/' && *p != '\0')
			continue;
		char end = *p;
		*p = '\0';
		if (mkdir(copy, 0777) != 0 && errno != EEXIST)
			die("cannot make the folder %s: %s", copy, strerror(errno));
		if (!end)
			return;
		*p = end;
	}
}

static void walk(const char *root, const char *below, struct strings *found)
{
	char *dir = format("%s%s%s", root, *below ? "/" : "", below);
	DIR *d = opendir(dir);
	if (!d) {
		if (errno == ENOENT && !*below)
			return;
		die("cannot read the folder %s: %s", dir, strerror(errno));
	}
	for (struct dirent *e; (e = readdir(d));) {
		if (e->d_name[0] == '.')
			continue;
		char *path = format("%s%s%s", below, *below ? "/" : "", e->d_name);
		struct stat st;
		if (stat(format("%s/%s", root, path), &st) != 0)
			die("%s/%s: %s", root, path, strerror(errno));
		if (S_ISDIR(st.st_mode))
			walk(root, path, found);
		else if (S_ISREG(st.st_mode))
			strings_add(found, path);
	}
	closedir(d);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct strings files_below(const char *dir)
{
	struct strings found = {0};
	walk(dir, "", &found);
	if (found.count)
		qsort(found.item, found.count, sizeof *found.item, by_name);
	return found;
}

static struct slice read_all_from(int fd)
{
	size_t capacity = 65536, have = 0;
	char *bytes = must_alloc(capacity);
	for (ssize_t n; (n = read(fd, bytes + have, capacity - have)) > 0;) {
		have += (size_t)n;
		if (have == capacity && !(bytes = realloc(bytes, capacity *= 2)))
			die("out of memory");
	}
	return slice_of(bytes, have);
}

bool program_run(const struct strings *argv, struct slice *output)
{
	int ends[2] = {-1, -1}, status;
	if (output && pipe2(ends, O_CLOEXEC) != 0)
		die("cannot make a pipe: %s", strerror(errno));
	fflush(NULL);
	pid_t child = fork();
	if (child < 0)
		die("cannot start %s: %s", argv->item[0], strerror(errno));
	if (child == 0) {
		if (output)
			dup2(ends[1], STDOUT_FILENO);
		execvp(argv->item[0], argv->item);
		die("cannot start %s: %s", argv->item[0], strerror(errno));
	}
	if (output) {
		close(ends[1]);
		*output = read_all_from(ends[0]);
		close(ends[0]);
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			die("lost %s: %s", argv->item[0], strerror(errno));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

const char *ingot_home(void)
{
	const char *home = getenv("INGOT_HOME");
	if (!home || !*home)
		die("start this by the script `ingot` at the root of the repository");
	return home;
}

char *size_text(uint64_t bytes)
{
	if (bytes < 10000)
		return format("%lu bytes", bytes);
	if (bytes < 1000 * 1024)
		return format("%.1f KiB", (double)bytes / 1024);
	return format("%.2f MiB", (double)bytes / 1048576);
}

void assert_fail(const char *what, const char *file, int line)
{
	die("a bug in Ingot itself: %s:%d: %s does not hold; please report it", file, line, what);
}
