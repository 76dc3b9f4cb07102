/* `ingot db`: builds the program that knows volumes and SQLite, when it is first asked for, and runs it
 * (db/program.c). */
#include "cli.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int command_db(int argc, char **argv)
{
	static const char program[] = "build/desk/ingot-db";
	char *path = format("%s/%s", ingot_home(), program);
	struct strings make = {0}, words = {0};
	/* One build at a time, as the launcher has it. */
	strings_add(&make, "flock");
	strings_add(&make, format("%s/build/lock", ingot_home()));
	strings_add_words(&make, "make -s -C");
	strings_add(&make, ingot_home());
	strings_add(&make, program);
	if (!file_exists(path))
		notice("building SQLite's shell (the first time takes a minute)");
	if (!program_run(&make, NULL))
		die("%s could not be built", program);
	strings_add(&words, path);
	for (int i = 1; i < argc; i++)
		strings_add(&words, argv[i]);
	execv(path, words.item);
	die("cannot start %s: %s", path, strerror(errno));
}
