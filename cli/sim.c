/* `ingot sim net|store|sql`: builds a simulator and runs it. Its own options are read by the program itself
 * ({net,store,sql}/support/sim/main.c). */
#include "cli.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int command_sim(int argc, char **argv)
{
	static const char *const simulators[] = {"net", "store", "sql"};
	const char *what = NULL;
	for (size_t i = 0; argc > 1 && i < ARRAY_LEN(simulators); i++)
		if (strcmp(argv[1], simulators[i]) == 0)
			what = simulators[i];
	if (!what)
		die("what is to be simulated? Try: ingot sim net --seed 1, ingot sim store --seed 1, ingot sim sql --seed 1");
	bool sanitize = argc > 2 && strcmp(argv[2], "--sanitize") == 0;
	const char *kind = sanitize ? "host" : "fast";
	char *program = format("build/%s/%s_sim", kind, what);
	struct strings make = {0}, words = {0};
	strings_add_words(&make, "make -s -C");
	strings_add(&make, ingot_home());
	strings_add(&make, program);
	if (!program_run(&make, NULL))
		die("%s could not be built", program);
	char *path = format("%s/%s", ingot_home(), program);
	strings_add(&words, path);
	for (int i = sanitize ? 3 : 2; i < argc; i++)
		strings_add(&words, argv[i]);
	execv(path, words.item);
	die("cannot start %s: %s", path, strerror(errno));
}
