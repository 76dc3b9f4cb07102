/* A command's words: [WHERE] ARGUMENT... and options, anywhere. */
#ifndef DB_WORDS_H
#define DB_WORDS_H

#include <stdbool.h>

struct words_option {
	const char *name;
	bool takes;        /* a value, as the next word or after '=' */
	bool given;
	const char *value;
};

struct words {
	const char *where; /* NULL: none was named */
	int count;
	char **rest;
};

/* Ends the program with the usage when the words do not fit. `options` ends with an empty one. There are at least `least`
 * and at most `most` arguments after WHERE. */
struct words words_take(int argc, char **argv, struct words_option *options, const char *usage, int least,
	int most);

#endif
