/* What the parts of the `ingot` command share. A host program: it may allocate and print, and it
 * ends with a message on the first thing that goes wrong. */
#ifndef CLI_H
#define CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <base/api.h>
#include <base/slice.h>

/* Prints "ingot: ..." and exits with status 1. */
_Noreturn void die(const char *fmt, ...) PRINTF_LIKE(1, 2);
void notice(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Memory is never freed: the command is short-lived. These do not return on failure. */
void *must_alloc(size_t size);
char *format(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Growing list of strings, NULL-terminated at `item[count]`. */
struct strings {
	char **item;
	size_t count, capacity;
};
void strings_add(struct strings *s, const char *item);
/* Splits `text` at blanks. */
void strings_add_words(struct strings *s, const char *text);

/* Files. Paths are the caller's; the errors name them. */
struct slice file_read(const char *path);
bool file_exists(const char *path);
uint64_t file_size(const char *path);
void make_directories(const char *path);
/* Leaves the file (and its time) alone when it already holds just that, so that make-like checks on
 * what depends on it stay quiet. */
void file_write(const char *path, struct slice content);
/* Every regular file below `dir`, as paths relative to it with '/', sorted; hidden ones left out.
 * An absent folder has none. */
struct strings files_below(const char *dir);

/* Runs a program; true when it exits with 0. `output` (may be NULL) gets its standard output. */
bool program_run(const struct strings *argv, struct slice *output);

/* Where Ingot's own files are. */
const char *ingot_home(void);
/* "4.2 MiB", "612 bytes" */
char *size_text(uint64_t bytes);

/* An application's folder and what was found in it. */
struct app_folder {
	const char *dir;  /* as given */
	const char *name; /* the folder's own name */
	const char *out;  /* DIR/.ingot */
	struct strings sources, pages, assets, migrations, queries;
};
struct app_folder app_folder_open(const char *dir);
/* Writes pages.h, queries.h, and the C and assembler sources for pages, assets, migrations, queries and the manifest,
 * to app->out; their names are added to `sources`. Ends the program when something is wrong with them. */
void app_generate(const struct app_folder *app, struct strings *sources);

/* A C string literal, whatever the bytes are. */
void write_c_literal(FILE *out, struct slice s);

/* Builds the image; the path of the ELF file. `output` NULL: in app->out. `report` prints sizes. */
const char *app_build(const struct app_folder *app, const char *output, bool report);

/* "kvm" or "tcg": what a guest can really run with. */
const char *accel_choose(const char *wanted);

int command_new(int argc, char **argv);
int command_build(int argc, char **argv);
int command_run(int argc, char **argv);
int command_test(int argc, char **argv);
int command_sim(int argc, char **argv);
int command_db(int argc, char **argv);

#endif
