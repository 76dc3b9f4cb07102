/* `ingot build`: generates, compiles and links an application's image, and says what is in it.
 *
 * The toolchain (compiler, flags, the library's parts) is what the Makefile has written down in
 * build/guest/toolchain, one `NAME value` a line, so that an application is compiled exactly as the
 * library was. Objects are kept in DIR/.ingot and made again only when something they come from is
 * newer. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct toolchain {
	const char *cc, *flags, *parts, *link;
	struct timespec changed; /* of the toolchain itself */
};

static struct timespec changed_at(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 ? st.st_mtim : (struct timespec){0};
}

static bool is_newer(struct timespec a, struct timespec b)
{
	return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

static const char *toolchain_line(struct slice text, const char *name)
{
	char *key = format("%s ", name);
	for (struct slice rest = text; rest.len;) {
		size_t end = slice_index(rest, '\n');
		struct slice line = slice_sub(rest, 0, end);
		if (slice_starts_with(line, slice_from_cstr(key)))
			return format("%.*s", SLICE_ARG(slice_sub(line, strlen(key), line.len)));
		rest = slice_sub(rest, end + 1, rest.len);
	}
	die("build/guest/toolchain has no line %s; remove the folder build and try again", name);
}

static struct toolchain toolchain_read(void)
{
	char *path = format("%s/build/guest/toolchain", ingot_home());
	struct slice text = file_read(path);
	return (struct toolchain){
		.cc = toolchain_line(text, "CC"),
		.flags = toolchain_line(text, "FLAGS"),
		.parts = toolchain_line(text, "PARTS"),
		.link = toolchain_line(text, "LINK"),
		.changed = changed_at(path),
	};
}

/* True when any file that `object` was made from (its .d file names them) is newer, or is unknown. */
static bool is_stale(const struct toolchain *t, const char *object)
{
	char *depends = format("%.*s.d", (int)strlen(object) - 2, object);
	if (!file_exists(object) || !file_exists(depends))
		return true;
	struct timespec made = changed_at(object);
	if (is_newer(t->changed, made))
		return true;
	struct slice text = file_read(depends);
	struct strings words = {0};
	strings_add_words(&words, format("%.*s", SLICE_ARG(text)));
	for (size_t i = 1; i < words.count; i++) {
		size_t len = strlen(words.item[i]);
		if (strcmp(words.item[i], "\\") == 0 || words.item[i][len - 1] == ':')
			continue;
		if (!file_exists(words.item[i]) || is_newer(changed_at(words.item[i]), made))
			return true;
	}
	return false;
}

static char *compile(const struct toolchain *t, const struct app_folder *app, const char *source)
{
	char *name = format("%s", strncmp(source, app->dir, strlen(app->dir)) == 0
						? source + strlen(app->dir) + 1 : source);
	for (char *p = name; *p; p++)
		if (*p == '/' || *p == '.')
			*p = '-';
	char *object = format("%s/%s.o", app->out, name);
	if (!is_stale(t, object))
		return object;
	struct strings argv = {0};
	strings_add(&argv, t->cc);
	strings_add_words(&argv, t->flags);
	strings_add(&argv, format("-ffile-prefix-map=%s=.", app->dir));
	strings_add(&argv, format("-I%s", app->out));
	strings_add_words(&argv, "-MMD -MP -c");
	strings_add(&argv, source);
	strings_add(&argv, "-o");
	strings_add(&argv, object);
	if (!program_run(&argv, NULL))
		die("%s does not compile; what is wrong with it is above", source);
	return object;
}

static struct strings compile_all(const struct toolchain *t, const struct app_folder *app)
{
	struct strings generated = {0}, objects = {0};
	app_generate(app, &generated);
	for (size_t i = 0; i < generated.count; i++)
		strings_add(&objects, compile(t, app, format("%s/%s", app->out, generated.item[i])));
	for (size_t i = 0; i < app->sources.count; i++)
		strings_add(&objects, compile(t, app, format("%s/%s", app->dir, app->sources.item[i])));
	return objects;
}

static bool must_link(const struct toolchain *t, const struct strings *objects, const char *image)
{
	if (!file_exists(image) || is_newer(t->changed, changed_at(image)))
		return true;
	struct strings parts = {0};
	strings_add_words(&parts, t->parts);
	for (size_t i = 0; i < objects->count; i++)
		strings_add(&parts, objects->item[i]);
	for (size_t i = 0; i < parts.count; i++)
		if (is_newer(changed_at(parts.item[i]), changed_at(image)))
			return true;
	return false;
}

static void link_image(const struct toolchain *t, const struct app_folder *app,
	const struct strings *objects, const char *image)
{
	struct strings argv = {0};
	strings_add_words(&argv, t->link);
	strings_add(&argv, image);
	for (size_t i = 0; i < objects->count; i++)
		strings_add(&argv, objects->item[i]);
	strings_add_words(&argv, t->parts);
	if (!program_run(&argv, NULL))
		die("%s does not link; what is missing is above", app->name);
}

/* --- The report: bytes by part, from the linker's map ------------------------------------------ */

struct part {
	char *name;
	uint64_t bytes;
};

struct parts {
	struct part part[64];
	size_t count;
};

static void part_add(struct parts *parts, const char *name, uint64_t bytes)
{
	for (size_t i = 0; i < parts->count; i++) {
		if (strcmp(parts->part[i].name, name) != 0)
			continue;
		parts->part[i].bytes += bytes;
		return;
	}
	if (parts->count < ARRAY_LEN(parts->part))
		parts->part[parts->count++] = (struct part){format("%s", name), bytes};
}

/* What a linked object is to a person: "net", "sqlite", "libc", "your pages". */
static const char *part_name(const struct app_folder *app, const char *object)
{
	const char *slash = strrchr(object, '/');
	const char *base = slash ? slash + 1 : object;
	if (strstr(object, "libc.a("))
		return "musl";
	if (strstr(base, ".symbols.o"))
		return "names for backtraces";
	if (strncmp(object, app->out, strlen(app->out)) != 0) {
		const char *dot = strrchr(base, '.');
		return format("%.*s", (int)(dot ? dot - base : (long)strlen(base)), base);
	}
	if (strstr(base, "-pages-c.o"))
		return "application: pages";
	if (strstr(base, "-assets"))
		return "application: static files";
	if (strstr(base, "-database-c.o"))
		return "application: migrations";
	if (strstr(base, "-queries-c.o"))
		return "application: queries";
	return "application: code";
}

/* " .text.foo  0xaddress  0xsize  object", the section's name on a line of its own when it is long. */
static bool map_line(const char *line, uint64_t *bytes, const char **object)
{
	unsigned long address, size;
	int at = 0;
	const char *hex = strstr(line, "0x");
	if (line[0] != ' ' || !hex || sscanf(hex, "%lx 0x%lx %n", &address, &size, &at) != 2 || !at)
		return false;
	*object = hex + at;
	*bytes = size;
	return address != 0 && size != 0 && **object == '/';
}

static struct parts parts_read(const struct app_folder *app, const char *map)
{
	struct parts parts = {.count = 0};
	FILE *f = fopen(map, "r");
	char line[4096];
	bool inside = false;
	if (!f)
		die("cannot read %s", map);
	while (fgets(line, sizeof line, f)) {
		const char *object;
		uint64_t bytes;
		line[strcspn(line, "\n")] = '\0';
		inside |= strncmp(line, "Linker script and memory map", 28) == 0;
		/* What takes memory but no room in the image comes last. */
		if (strncmp(line, ".bss", 4) == 0)
			break;
		if (inside && map_line(line, &bytes, &object))
			part_add(&parts, part_name(app, object), bytes);
	}
	fclose(f);
	return parts;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = ((const struct part *)a)->bytes, y = ((const struct part *)b)->bytes;
	return (x < y) - (x > y);
}

static void image_report(const struct app_folder *app, const char *image)
{
	struct parts parts = parts_read(app, format("%s.map", image));
	qsort(parts.part, parts.count, sizeof parts.part[0], by_size);
	printf("%s  %s\n", image, size_text(file_size(image)));
	for (size_t i = 0; i < parts.count; i++)
		printf("  %-28s %12s\n", parts.part[i].name, size_text(parts.part[i].bytes));
}

/* Two builds of one folder at a time would trip over each other's files. The lock is held until the descriptor is
 * closed. */
static int folder_lock(const struct app_folder *app)
{
	make_directories(app->out);
	char *path = format("%s/lock", app->out);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0 || flock(fd, LOCK_EX) != 0)
		die("cannot lock %s: %s", path, strerror(errno));
	return fd;
}

const char *app_build(const struct app_folder *app, const char *output, bool report)
{
	struct toolchain t = toolchain_read();
	const char *image = output ? output : format("%s/%s.elf", app->out, app->name);
	int lock = folder_lock(app);
	struct strings objects = compile_all(&t, app);
	if (must_link(&t, &objects, image))
		link_image(&t, app, &objects, image);
	if (report)
		image_report(app, image);
	close(lock);
	return image;
}

int command_build(int argc, char **argv)
{
	const char *output = NULL;
	for (int c; (c = getopt(argc, argv, "o:")) != -1;) {
		if (c != 'o')
			die("try: ingot help build");
		output = optarg;
	}
	if (argc - optind > 1)
		die("one application at a time; try: ingot help build");
	struct app_folder app = app_folder_open(optind < argc ? argv[optind] : ".");
	app_build(&app, output, true);
	return 0;
}
