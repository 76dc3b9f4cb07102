/* ingot-db COMMAND ...: what `ingot db` starts (cli/db.c). */
#include <string.h>
#include "commands.h"
#include "tool.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"shell", command_shell},
	{"export", command_export},
	{"import", command_import},
	{"check", command_check},
	{"info", command_info},
	{"snapshot", command_snapshot},
	{"snapshots", command_snapshots},
	{"restore", command_restore},
	{"resize", command_resize},
	{"repair", command_repair},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < ARRAY_LEN(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 2, argv + 2);
	die(argc > 1 ? "there is no `ingot db %s`; try: ingot help db" : "what is to be done with the database? "
		"Try: ingot help db%s", argc > 1 ? argv[1] : "");
}
