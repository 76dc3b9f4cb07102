/* Runs each script below net/scripts: a test is a file. With arguments, only those files:
 *
 *   build/host/test/net/script_test net/scripts/reset/exact.pkt
 *
 * net/scripts/sabotage holds scripts that are wrong, and must fail where and how they say. */
#include "support/script/script.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* As it stands; with frames that come in two buffers; with a device that cuts segments. What is on the wire must be
 * the same. */
static script_complaint run_all(struct script *s)
{
	script_complaint c = script_run(s);
	s->split_buffers = 1;
	if (!c && (c = script_run(s)))
		fputs("with frames in two buffers:\n", stderr);
	s->config.tx_tso4 = s->config.tx_tso6 = s->config.tx_checksum = true;
	if (!c && (c = script_run(s)))
		fputs("with a device that cuts segments:\n", stderr);
	return c;
}

/* NULL: as it must be. */
static script_complaint verdict(const char *path)
{
	struct script s;
	char at[512];
	script_complaint c = script_parse(&s, path);
	if (!c)
		c = run_all(&s);
	if (s.fails_line) {
		snprintf(at, sizeof at, "%s:%u: ", path, s.fails_line);
		bool as_said = c && strncmp(c, at, strlen(at)) == 0 && strstr(c, s.fails_text);
		script_complaint got = as_said ? NULL
			: complain("%s: it must fail at line %u with \"%s\", but: %s", path,
				s.fails_line, s.fails_text, c ? c : "it passes");
		free(c);
		c = got;
	}
	script_free(&s);
	return c;
}

static void does_what_it_says(void **state)
{
	script_complaint c = verdict(*state);
	if (c) {
		fprintf(stderr, "%s\n", c); /* cmocka cuts what it prints */
		free(c);
		fail();
	}
}

int main(int argc, char **argv)
{
	glob_t found = {.gl_offs = 0};
	if (argc == 1)
		glob("net/scripts/*/*.pkt", 0, NULL, &found);
	size_t count = argc > 1 ? (size_t)argc - 1 : found.gl_pathc;
	char **path = argc > 1 ? argv + 1 : found.gl_pathv;
	struct CMUnitTest *tests = calloc(count + 1, sizeof *tests);
	if (!tests)
		return 1;
	for (size_t i = 0; i < count; i++)
		tests[i] = (struct CMUnitTest){.name = path[i], .test_func = does_what_it_says,
			.initial_state = path[i]};
	int failures = _cmocka_run_group_tests("scripts", tests, count, NULL, NULL);
	free(tests);
	globfree(&found);
	return failures || !count;
}
