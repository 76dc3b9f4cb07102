/* The lists that queries put into pages, and whether the pages show what is in them. */
#ifndef CLI_SHOWN_H
#define CLI_SHOWN_H

#include "source.h"

struct shown_list {
	const char *name; /* {{#name}} */
	struct strings columns;
};

struct shown_lists {
	struct shown_list *item; /* one for each name: the columns of all queries that fill it */
	size_t count;
	struct strings words; /* every string literal in C: a name among them may be set by hand */
};

/* Warns of names in the pages that are misspelt columns. */
void shown_check(const struct app_folder *app, const struct shown_lists *lists, struct report *r);

#endif
