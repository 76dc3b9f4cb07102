/* The program behind `ingot db`: SQLite and the page store on a volume file. A host program: it may
 * allocate and print, never frees what lives as long as it does, and ends with a message on the first
 * thing that goes wrong.
 *
 *   main.c      the commands and their words
 *   place.c     from what the user named to a volume file; who holds it
 *   session.c   a volume opened: platform, loop, store; reading one that a machine is writing to
 *   vfs.c       SQLite's files: one name is the volume's database, all others are ordinary files
 *   copy.c      the database's pages into an ordinary file
 *   held.c      what each snapshot costs
 *   shell.c, transfer.c, import.c, check.c, info.c, resize.c, snapshot.c   the commands
 *   btree.c     which table or index a page belongs to
 *
 * Everything after session_run runs on a fiber. */
#ifndef DB_TOOL_H
#define DB_TOOL_H

#include <base/api.h>
#include <base/random.h>
#include <core/log.h>
#include <core/loop.h>
#include <host/host.h>
#include <store/store.h>

#include <stdio.h>

/* --- text.c --- */

/* Prints "ingot: ..." and ends the program with status 1. */
_Noreturn void die(const char *fmt, ...) PRINTF_LIKE(1, 2);
void notice(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* What is half done, and goes when the program ends by die or by a signal; NULL: nothing. */
void die_removes(const char *path);
/* These do not return on failure. */
void *must_alloc(size_t size);
char *format(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* "4.2 MiB", "612 bytes" */
char *size_text(uint64_t bytes);
/* "64M" and the like, in bytes; ends the program when it is no size. */
uint64_t size_parse(const char *what, const char *text);
/* A line on the terminal, written over; nothing when standard error is none. `done` == `all`: wiped. */
void progress_show(const char *what, uint64_t done, uint64_t all);

/* --- place.c --- */

struct place {
	const char *path;   /* of the volume file; absolute when it exists */
	const char *folder; /* the application's, or NULL when a file was named */
	bool exists;
};
/* `where`: an application's folder, or a volume file; NULL: this folder. */
struct place place_find(const char *where);
/* Whether a word names a folder or a file. */
bool place_is(const char *word);
/* Whether it is an ordinary SQLite database. */
bool place_is_sqlite(const struct place *place);
/* Whether a machine (or another `ingot db`) has the volume open for writing. */
bool place_is_held(const struct place *place);
/* "ingot run (process 42)", or "another process". */
const char *place_holder(const struct place *place);

/* --- session.c --- */

enum session_mode {
	SESSION_READ,  /* never writes, whoever else does */
	SESSION_WRITE, /* alone; refused while another has it */
};

struct session {
	struct place place;
	enum session_mode mode;
	bool must_exist;   /* WRITE: a blank file is refused, not formatted */
	bool accept_loss, rebuild_space; /* see store_config */
	bool may_break;    /* the store's refusal is given to `work` (store is NULL) and does not end the program */
	uint64_t size;     /* WRITE, of a volume that is made; 0: it must exist */
	struct host *host;
	struct loop loop;
	struct log log;
	struct random random;
	struct store *store;
	struct store_info info;
	struct store_object *object; /* the database; NULL: the volume has none yet */
	uint32_t object_pages;       /* its size when it was opened */
	struct store_config config;
	err opened;
	uint8_t slots[2][4096]; /* as they were before the volume was opened */
	bool open_now;
	uint32_t reopened; /* how often */
	uint8_t *memory;
	char said[4096]; /* what the store logged, a line each */
	size_t said_len;
	bool keep_said;  /* gather the store's lines instead of printing them */
	int (*work)(struct session *, void *);
	void *context;
	int status;
};

/* Opens the volume, runs `work` on a fiber, closes the volume. The status that `work` gave. */
int session_run(struct session *s, int (*work)(struct session *, void *), void *context);
/* READ: lets go of what it has and reads the volume anew, as it is now. Parks. */
void session_reopen(struct session *s);
/* READ: whether a checkpoint has come since it was opened, so that blocks may have been overwritten with other things.
 * While it has not, a checksum that does not hold is damage. */
bool session_is_stale(struct session *s);

#endif
