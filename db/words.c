#include "words.h"

#include <string.h>
#include "tool.h"

static struct words_option *find(struct words_option *options, const char *word)
{
	for (; options->name; options++) {
		size_t len = strlen(options->name);
		if (strncmp(word, options->name, len) == 0 &&
			(word[len] == '\0' || (options->takes && word[len] == '=')))
			return options;
	}
	return NULL;
}

/* The index of the option's last word. */
static int take_option(int argc, char **argv, int i, struct words_option *options, const char *usage)
{
	struct words_option *o = find(options, argv[i]);
	if (!o)
		die("%s is no option here; usage: ingot db %s", argv[i], usage);
	o->given = true;
	if (!o->takes)
		return i;
	const char *equals = strchr(argv[i], '=');
	if (!equals && i + 1 == argc)
		die("%s wants a value; usage: ingot db %s", argv[i], usage);
	o->value = equals ? equals + 1 : argv[i + 1];
	return equals ? i : i + 1;
}

struct words words_take(int argc, char **argv, struct words_option *options, const char *usage, int least,
	int most)
{
	struct words w = {.rest = must_alloc(((size_t)argc + 1) * sizeof(char *))};
	for (int i = 0; i < argc; i++) {
		if (argv[i][0] == '-' && argv[i][1])
			i = take_option(argc, argv, i, options, usage);
		else
			w.rest[w.count++] = argv[i];
	}
	if (w.count < least || w.count > most + 1)
		die("usage: ingot db %s", usage);
	if (w.count > most) {
		w.where = *w.rest++;
		w.count--;
	}
	return w;
}
