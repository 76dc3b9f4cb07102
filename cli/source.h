/* A text that a person wrote, and what is wrong with it: "FILE:LINE:COLUMN: error: ...", the line, and a mark
 * below the place. Everything that is wrong is said, not only the first; the caller ends the build at last. */
#ifndef CLI_SOURCE_H
#define CLI_SOURCE_H

#include "cli.h"

struct source {
	const char *name; /* "queries/entries.sql" */
	struct slice text;
};

/* How much has been said. */
struct report {
	unsigned errors, warnings;
};

struct source source_read(const struct app_folder *app, const char *name);
/* Says so when it holds a byte 0, with which it is no SQL. */
bool source_is_text(const struct source *s, struct report *r);

/* The line from 1 on in which the byte at `offset` stands. */
unsigned source_line(const struct source *s, size_t offset);

/* About the `len` bytes at `offset`. */
void report_error(struct report *r, const struct source *s, size_t offset, size_t len, const char *fmt, ...)
	PRINTF_LIKE(5, 6);
void report_warning(struct report *r, const struct source *s, size_t offset, size_t len, const char *fmt, ...)
	PRINTF_LIKE(5, 6);
/* About a whole file. */
void report_file(struct report *r, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* How unlike two words are: insertions, deletions, replacements and swaps, without regard to case. */
unsigned word_distance(struct slice a, struct slice b);
/* Keeps in *best the word most like `wanted` of those that were offered, if it is like enough to be meant. */
struct guess {
	struct slice wanted;
	const char *best;
	unsigned distance;
};
struct guess guess_begin(struct slice wanted);
void guess_offer(struct guess *g, const char *word);
/* "; did you mean \"message\"?", or "" */
const char *guess_text(const struct guess *g);

#endif
