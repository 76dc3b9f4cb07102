/* `ingot db import`: an ordinary SQLite database becomes the volume's.
 *
 *   source --(another page size or encoding)--> a copy with 4096 and UTF-8 --> pages --> the volume's database
 *
 * The source is opened for reading only, and read within one transaction, so that what stands in its write-ahead log
 * is there and another program may go on with it. The pages reach the volume in one step: a power cut leaves
 * what was there before. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "commands.h"
#include "migrated.h"
#include "vfs.h"
#include "words.h"

int sqlite_shell_main(int argc, char **argv);

enum { TXN_PAGES = 16384 };

#define SIZE_LEAST ((uint64_t)1 << 30) /* as `ingot run` makes one */

struct import {
	const char *file;
	sqlite3 *db;       /* the source, or its copy; a read transaction is open */
	char *copy;        /* its path; NULL: none was needed */
	int64_t pages;
	bool force;
	int64_t migrated;  /* of migrations; -1: whatever the file says */
};

static _Noreturn void die_of(const struct import *m, const char *what)
{
	die("%s: %s%s%s", m->file, what, *what ? ": " : "", sqlite3_errmsg(m->db));
}

/* --- The source ------------------------------------------------------------------------------- */

static void open_source(struct import *m, const char *path)
{
	int rc = sqlite3_open_v2(path, &m->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_EXRESCODE, "unix");
	sqlite3_busy_timeout(m->db, 10000);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(m->db, "BEGIN; SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
	if (rc == SQLITE_READONLY_ROLLBACK)
		die("%s was being written when its program died, and needs that undone: open it once with "
		    "sqlite3, then import it", m->file);
	if (rc == SQLITE_CANTOPEN || rc == SQLITE_READONLY_CANTINIT || rc == SQLITE_READONLY_RECOVERY)
		die("%s cannot be read; a database with a write-ahead log needs a folder that can be written "
		    "to: copy %s, %s-wal to one and import it from there", m->file, m->file, m->file);
	if (rc != SQLITE_OK)
		die_of(m, "");
}

static void close_source(struct import *m)
{
	sqlite3_exec(m->db, "COMMIT", NULL, NULL, NULL);
	sqlite3_close(m->db);
	m->db = NULL;
}

static int take_first(void *context, int columns, char **value, char **name)
{
	(void)columns, (void)name;
	char **out = context;
	if (!*out)
		*out = format("%s", value[0] ? value[0] : "");
	return 0;
}

static char *ask(struct import *m, const char *sql)
{
	char *value = NULL;
	if (sqlite3_exec(m->db, sql, take_first, &value, NULL) != SQLITE_OK)
		die_of(m, sql);
	return value ? value : format("%s", "");
}

static void check_source(struct import *m)
{
	m->pages = atoll(ask(m, "PRAGMA page_count"));
	if (m->pages == 0)
		die("%s is empty: there is nothing to import", m->file);
	const char *said = ask(m, "PRAGMA integrity_check(1)");
	if (strcmp(said, "ok") != 0)
		die("%s is damaged: %s. It was not imported; `sqlite3 %s .recover` may help", m->file, said, m->file);
	char *strange = ask(m, "SELECT group_concat(name, ', ') FROM sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL%' "
		"AND sql NOT LIKE '%USING fts5%' AND sql NOT LIKE '%USING rtree%'");
	if (*strange)
		notice("note: %s: the guest's SQLite has virtual tables of FTS5 and R*Tree only, so it cannot use: %s",
			m->file, strange);
}

/* --- Conversion ------------------------------------------------------------------------------- */

static const char *scratch_path;

static void remove_scratch(void)
{
	if (scratch_path)
		unlink(scratch_path);
}

/* Beside the source, since it may be large. */
static void make_scratch(struct import *m)
{
	m->copy = format("%s.import-XXXXXX", m->file);
	int fd = mkstemp(m->copy);
	if (fd < 0) {
		m->copy = format("%s", "/tmp/ingot-import-XXXXXX");
		fd = mkstemp(m->copy);
	}
	if (fd < 0)
		die("cannot make %s: %s", m->copy, strerror(errno));
	close(fd);
	scratch_path = m->copy;
	atexit(remove_scratch);
}

static void convert_page_size(struct import *m)
{
	char *sql = sqlite3_mprintf("COMMIT; PRAGMA page_size = %d; VACUUM INTO %Q", (int)STORE_PAGE_SIZE,
		m->copy);
	if (sqlite3_exec(m->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		die_of(m, "converting the page size");
	sqlite3_free(sql);
}

static _Noreturn void be_shell(int in, int out, char **argv, int argc)
{
	if (in >= 0)
		dup2(in, STDIN_FILENO);
	if (out >= 0)
		dup2(out, STDOUT_FILENO);
	sqlite3_shutdown(); /* the shell begins anew */
	int status = sqlite_shell_main(argc, argv);
	fflush(stdout);
	_exit(status);
}

/* SQLite cannot change the encoding of a database, only write all of it anew: as SQL, from one shell to another. */
static void convert_encoding(struct import *m)
{
	int ends[2], status[2] = {1, 1};
	char *dump[] = {format("sqlite3"), format("-readonly"), (char *)(uintptr_t)m->file,
		format(".dump --preserve-rowids"), NULL};
	char *load[] = {format("sqlite3"), format("-bail"), format("-cmd"),
		format("PRAGMA encoding='UTF-8'; PRAGMA page_size=%u; PRAGMA foreign_keys=OFF;", STORE_PAGE_SIZE),
		m->copy, NULL};
	char *application = ask(m, "PRAGMA application_id"), *version = ask(m, "PRAGMA user_version");
	close_source(m);
	fflush(NULL);
	if (pipe(ends) != 0)
		die("cannot make a pipe: %s", strerror(errno));
	pid_t from = fork();
	if (from == 0) {
		close(ends[0]);
		be_shell(-1, ends[1], dump, 4);
	}
	pid_t to = fork();
	if (to == 0) {
		close(ends[1]);
		be_shell(ends[0], -1, load, 5);
	}
	close(ends[0]);
	close(ends[1]);
	if (from < 0 || to < 0 || waitpid(from, &status[0], 0) < 0 || waitpid(to, &status[1], 0) < 0 ||
		status[0] || status[1])
		die("%s: its text could not be converted to UTF-8", m->file);
	sqlite3 *db;
	char *sql = sqlite3_mprintf("PRAGMA application_id = %s; PRAGMA user_version = %s", application, version);
	if (sqlite3_open_v2(m->copy, &db, SQLITE_OPEN_READWRITE, "unix") != SQLITE_OK ||
		sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK || sqlite3_close(db) != SQLITE_OK)
		die("%s: the converted copy cannot be written", m->file);
}

static void prepare_source(struct import *m)
{
	open_source(m, m->file);
	check_source(m);
	char *size = ask(m, "PRAGMA page_size"), *encoding = ask(m, "PRAGMA encoding");
	bool same_encoding = strcmp(encoding, "UTF-8") == 0;
	if (same_encoding && atoi(size) == (int)STORE_PAGE_SIZE)
		return;
	make_scratch(m);
	if (same_encoding) {
		notice("converting pages of %s bytes to pages of %u", size, STORE_PAGE_SIZE);
		convert_page_size(m);
		sqlite3_close(m->db);
	} else {
		notice("converting text from %s to UTF-8", encoding);
		convert_encoding(m);
	}
	open_source(m, m->copy);
	m->pages = atoll(ask(m, "PRAGMA page_count"));
}

/* --- Into the volume -------------------------------------------------------------------------- */

static void adjust_first_page(const struct import *m, uint8_t *page)
{
	page[18] = page[19] = 1; /* no write-ahead log */
	if (m->migrated >= 0)
		for (int i = 0; i < 4; i++) /* PRAGMA user_version, big-endian */
			page[60 + i] = (uint8_t)(m->migrated >> (24 - 8 * i));
}

static _Noreturn void die_full(const struct session *s, const struct import *m, err e)
{
	uint64_t needed = (uint64_t)m->pages * STORE_PAGE_SIZE;
	if (e.code == ERR_NO_SPACE)
		die("the volume %s is too small for %s: %s of it are free, and some of that is kept, for deleting. With "
		    "--size it is made larger. Nothing was changed", s->place.path, size_text(needed),
			size_text(s->info.blocks_free * 4096));
	die("%s: %s. Nothing was changed", s->place.path, err_text(e));
}

/* The pages go into an object of their own, in as many transactions as they need; then that takes the place of the
 * database, in one step. */
static const char scratch[] = "import";

struct sink {
	struct session *s;
	struct import *m;
	struct store_object *object;
	struct store_txn *txn;
	uint32_t in_txn;
};

/* Ends the program when `e` is a failure; then the room that was taken is given back. */
static void must(struct sink *k, err e)
{
	if (!failed(e))
		return;
	if (k->in_txn)
		store_txn_abort(k->txn);
	if (failed(store_object_delete(k->s->store, scratch)))
		notice("what was written so far takes room until the next import");
	die_full(k->s, k->m, e);
}

static void sink_commit(struct sink *k)
{
	uint64_t generation;
	k->in_txn = 0; /* it ends either way */
	must(k, store_txn_commit(k->txn, &generation));
}

static void sink_page(struct sink *k, uint32_t page_no, const uint8_t *page)
{
	if (!k->in_txn)
		must(k, store_txn_begin(k->object, &k->txn));
	k->in_txn++;
	must(k, store_txn_write(k->txn, page_no, page));
	if (k->in_txn == TXN_PAGES)
		sink_commit(k);
}

static void write_pages(struct sink *k)
{
	struct import *m = k->m;
	sqlite3_stmt *q;
	uint32_t done = 0;
	int rc = sqlite3_prepare_v2(m->db, "SELECT data FROM sqlite_dbpage('main') ORDER BY pgno", -1, &q, NULL);
	while (rc == SQLITE_OK && (rc = sqlite3_step(q)) == SQLITE_ROW) {
		uint8_t page[STORE_PAGE_SIZE];
		if (sqlite3_column_bytes(q, 0) != (int)STORE_PAGE_SIZE)
			die("%s: page %u cannot be read", m->file, done + 1);
		memcpy(page, sqlite3_column_blob(q, 0), sizeof page);
		if (done == 0)
			adjust_first_page(m, page);
		sink_page(k, done++, page);
		progress_show("importing", done, (uint64_t)m->pages);
		rc = SQLITE_OK;
	}
	progress_show("", 0, 0);
	if (rc != SQLITE_DONE || done != m->pages)
		die_of(m, "reading");
	if (k->in_txn)
		sink_commit(k);
	sqlite3_finalize(q);
}

static int do_import(struct session *s, void *argument)
{
	struct import *m = argument;
	struct sink k = {.s = s, .m = m};
	if (s->object_pages && !m->force)
		die("%s holds a database already (%s); with --force it is replaced. To keep a copy: ingot db export",
			s->place.path, size_text((uint64_t)s->object_pages * STORE_PAGE_SIZE));
	/* What an import that was cut off has left. */
	err e = store_object_delete(s->store, scratch);
	if (e.code != ERR_NOT_FOUND)
		must(&k, e);
	if (!s->object)
		must(&k, store_object_open(s->store, "main", true, &s->object));
	must(&k, store_object_open(s->store, scratch, true, &k.object));
	write_pages(&k);
	must(&k, store_object_replace(s->object, scratch));
	die_removes(NULL);
	printf("%s: %s imported, generation %lu\n", s->place.path,
		size_text((uint64_t)m->pages * STORE_PAGE_SIZE), (unsigned long)store_generation(s->store));
	return 0;
}

static void check_folder(const char *folder)
{
	if (folder && !place_is(format("%s/migrations", folder)) && !place_is(format("%s/static", folder)) &&
		!place_is(format("%s/.ingot", folder)) && !place_is(format("%s/app.c", folder)))
		die("'%s' is no application's folder: go there, or name it: ingot db import WHERE FILE.sqlite", folder);
	if (folder && mkdir(format("%s/.ingot", folder), 0777) != 0 && errno != EEXIST)
		die("cannot make the folder %s/.ingot: %s", folder, strerror(errno));
}

static uint64_t size_for(const struct import *m, const char *wanted)
{
	uint64_t size = (uint64_t)m->pages * STORE_PAGE_SIZE * 4;
	if (wanted)
		return size_parse("--size", wanted) & ~(uint64_t)4095;
	return (size > SIZE_LEAST ? size : SIZE_LEAST) & ~(uint64_t)((1 << 20) - 1);
}

int command_import(int argc, char **argv)
{
	struct words_option options[] = {{.name = "--force"}, {.name = "--size", .takes = true},
		{.name = "--migrated", .takes = true}, {0}};
	struct words w = words_take(argc, argv, options,
		"import [WHERE] FILE.sqlite [--force] [--size SIZE] [--migrated N]", 1, 1);
	struct import m = {.file = w.rest[0], .force = options[0].given};
	struct session s = {.place = place_find(w.where), .mode = SESSION_WRITE};
	if (!place_is(m.file))
		die("there is no %s", m.file);
	check_folder(s.place.folder);
	prepare_source(&m);
	m.migrated = migrated_decide(m.db, s.place.folder, options[2].value);
	if (!s.place.exists)
		s.size = size_for(&m, options[1].value);
	else if (options[1].given)
		die("%s is there already; to make it larger: ingot db resize", s.place.path);
	if (s.size)
		die_removes(s.place.path);
	int status = session_run(&s, do_import, &m);
	close_source(&m);
	return status;
}
