/* `ingot test`: hands over to the script that knows all tests. */
#include "cli.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

int command_test(int argc, char **argv)
{
	char *script = format("%s/e2e/run", ingot_home());
	struct strings words = {0};
	strings_add(&words, script);
	for (int i = 1; i < argc; i++)
		strings_add(&words, argv[i]);
	execv(script, words.item);
	die("cannot start %s: %s", script, strerror(errno));
}
