/* The `ingot` command: picks the subcommand. Help is the launcher's. */
#include "cli.h"

#include <string.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"new", command_new},
	{"build", command_build},
	{"run", command_run},
	{"test", command_test},
	{"sim", command_sim},
	{"db", command_db},
};

int main(int argc, char **argv)
{
	if (argc >= 2)
		for (size_t i = 0; i < ARRAY_LEN(commands); i++)
			if (strcmp(argv[1], commands[i].name) == 0)
				return commands[i].run(argc - 1, argv + 1);
	die("there is no such command; try: ingot help");
}
