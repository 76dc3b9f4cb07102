/* `ingot db shell`: SQLite's own shell, whose main runs on a fiber, since the page store wants one to wait on. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "commands.h"
#include "copy.h"
#include "vfs.h"

/* shell.c's main, renamed; and what it calls in the place of sqlite3_initialize (third_party/sqlite.mk). */
int sqlite_shell_main(int argc, char **argv);
void db_shell_init(void);

/* That call has no argument, so this is where it looks. */
static struct db_vfs *shell_vfs;

void db_shell_init(void)
{
	if (shell_vfs)
		db_vfs_register(shell_vfs, shell_vfs->session);
	else if (sqlite3_initialize() != SQLITE_OK)
		die("out of memory");
}

struct words {
	int count;
	char **word;
};

static int run_shell(const char *database, const struct words *words)
{
	char **argv = must_alloc(((size_t)words->count + 3) * sizeof *argv);
	argv[0] = format("ingot db shell");
	argv[1] = format("%s", database);
	for (int i = 0; i < words->count; i++)
		argv[2 + i] = words->word[i];
	return sqlite_shell_main(words->count + 2, argv);
}

/* --- On the volume itself --- */

static int on_volume(struct session *s, void *words)
{
	struct db_vfs *v = must_alloc(sizeof *v);
	if (!s->object && failed(store_object_open(s->store, "main", true, &s->object)))
		die("%s: the database cannot be made", s->place.path);
	v->session = s;
	shell_vfs = v;
	int status = run_shell(s->place.path, words);
	/* After an error the shell leaves its connection open, perhaps in a transaction. What was committed is
	 * durable; the next opening finds it as after a power cut. */
	if (v->files_open) {
		fflush(NULL);
		exit(status);
	}
	return status;
}

/* --- On a copy, when a machine has the volume --- */

static char copy_path[4096];

static void remove_copy(void)
{
	unlink(copy_path);
}

static int make_copy(struct session *s, void *argument)
{
	(void)argument;
	const char *dir = getenv("TMPDIR");
	snprintf(copy_path, sizeof copy_path, "%s/ingot-db-XXXXXX", dir && *dir ? dir : "/tmp");
	struct copy_job job = {.path = copy_path, .what = "copying", .fd = mkstemp(copy_path)};
	if (job.fd < 0)
		die("cannot make %s: %s", copy_path, strerror(errno));
	atexit(remove_copy);
	die_removes(copy_path);
	copy_database(s, &job);
	close(job.fd);
	return 0;
}

static int on_copy(const struct place *place, struct words *words, const char *why)
{
	struct session s = {.place = *place, .mode = SESSION_READ};
	session_run(&s, make_copy, NULL);
	notice("%s: this is a copy of the database as it is now, for reading", why);
	char *readonly = format("-readonly");
	struct words more = {words->count + 1, must_alloc(((size_t)words->count + 1) * sizeof(char *))};
	more.word[0] = readonly;
	memcpy(more.word + 1, words->word, (size_t)words->count * sizeof(char *));
	return run_shell(copy_path, &more);
}

/* A first word that is no path is SQL, an option or a dot command; but who mistypes a path shall hear so. */
static const char *take_where(int *argc, char ***argv)
{
	const char *word = *argc > 0 ? (*argv)[0] : NULL;
	if (!word || *word == '-')
		return NULL;
	bool is_path = place_is(word);
	if (!is_path && strchr(word, ' ') == NULL && *word != '.' && (*argc > 1 || strchr(word, '/')))
		die("there is no folder or file '%s'", word);
	if (!is_path)
		return NULL;
	++*argv;
	--*argc;
	return word;
}

int command_shell(int argc, char **argv)
{
	const char *where = take_where(&argc, &argv);
	struct session s = {.place = place_find(where), .mode = SESSION_WRITE, .must_exist = true};
	struct words words = {argc, argv};
	if (place_is_sqlite(&s.place))
		return run_shell(s.place.path, &words);
	if (s.place.exists && place_is_held(&s.place))
		return on_copy(&s.place, &words, format("%s has the volume", place_holder(&s.place)));
	if (s.place.exists && access(s.place.path, W_OK) != 0)
		return on_copy(&s.place, &words, format("%s: %s", s.place.path, strerror(errno)));
	return session_run(&s, on_volume, &words);
}
