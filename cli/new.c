/* `ingot new NAME`: a folder with an application that runs as it is: a copy of the template in
 * examples/notes, so that what a newcomer starts from is built and tested like everything else. */
#include "cli.h"

int command_new(int argc, char **argv)
{
	if (argc != 2 || argv[1][0] == '-' || !argv[1][0])
		die("a name is needed: ingot new NAME");
	const char *target = argv[1];
	if (file_exists(target))
		die("'%s' is there already; choose another name", target);
	char *template = format("%s/examples/notes", ingot_home());
	struct strings files = files_below(template);
	for (size_t i = 0; i < files.count; i++) {
		char *path = format("%s/%s", target, files.item[i]);
		char *slash = path;
		for (char *p = path; *p; p++)
			if (*p == '/')
				slash = p;
		make_directories(format("%.*s", (int)(slash - path), path));
		file_write(path, file_read(format("%s/%s", template, files.item[i])));
	}
	file_write(format("%s/.gitignore", target), SLICE("/.ingot/\n"));
	printf("%s is ready. Next:  cd %s && ingot run\n", target, target);
	return 0;
}
