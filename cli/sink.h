/* Generated text on its way to a file of DIR/.ingot. */
#ifndef CLI_SINK_H
#define CLI_SINK_H

#include "cli.h"
#include <page/compile.h>

struct text_sink {
	struct page_sink sink;
	FILE *file;
	char *text;
	size_t len;
};

void text_sink_open(struct text_sink *t);
/* Writes what was collected into DIR/.ingot/NAME. */
void text_sink_save(struct text_sink *t, const struct app_folder *app, const char *name);

#endif
