/* The program as a Linux process:
 *
 *	program [--tap IFNAME | --net none] [--data FILE] [--data-size SIZE] [--memory SIZE]
 *		[--cmdline TEXT]
 *
 * main and the reference to platform_main are weak, so that a test, which has its own main and
 * perhaps no application, links with the whole module. */
#include <host/host.h>

#include <stdio.h>
#include <string.h>

#pragma weak platform_main

API_BEGIN
__attribute__((weak)) int main(int argc, char **argv);
API_END

#define EXIT_USAGE 2

static bool parse_size(const char *text, uint64_t *bytes)
{
	return host_parse_size(slice_from_cstr(text), bytes) && *bytes > 0;
}

/* One option and its value; false when it is none or the value is wrong. */
static bool parse_option(struct host_options *o, const char *name, const char *value)
{
	uint64_t memory;
	if (strcmp(name, "--tap") == 0) {
		o->tap = value;
	} else if (strcmp(name, "--net") == 0) {
		o->tap = NULL;
		return strcmp(value, "none") == 0;
	} else if (strcmp(name, "--data") == 0) {
		o->data = value;
	} else if (strcmp(name, "--data-size") == 0) {
		return parse_size(value, &o->data_size);
	} else if (strcmp(name, "--memory") == 0) {
		if (!parse_size(value, &memory))
			return false;
		o->memory_len = memory;
	} else if (strcmp(name, "--cmdline") == 0) {
		o->command_line = value;
	} else {
		return false;
	}
	return true;
}

static bool parse_options(struct host_options *o, int argc, char **argv)
{
	for (int i = 1; i < argc; i += 2) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;
		if (!value || !parse_option(o, argv[i], value)) {
			fprintf(stderr,
				"%s: wrong or incomplete option %s\n"
				"usage: %s [--tap IFNAME | --net none] [--data FILE]"
				" [--data-size SIZE] [--memory SIZE] [--cmdline TEXT]\n",
				argv[0], argv[i], argv[0]);
			return false;
		}
	}
	return true;
}

int main(int argc, char **argv)
{
	struct host_options options = {0};
	struct host *host;
	char text[512] = "";
	struct writer why = writer_of(text, sizeof text - 1);
	if (!parse_options(&options, argc, argv))
		return EXIT_USAGE;
	if (!platform_main) {
		fprintf(stderr, "%s: no program is linked\n", argv[0]);
		return PLATFORM_EXIT_FAILED;
	}
	err e = host_create(&options, &why, &host);
	if (failed(e)) {
		fprintf(stderr, "%s: %s\n", argv[0], text[0] ? text : err_text(e));
		return PLATFORM_EXIT_FAILED;
	}
	platform_main(host_platform(host));
}
