/* SQL on the page store: SQLite with a pool of connections, transactions that wait instead of failing,
 * a cache of prepared statements, and for each connection the commit generation that its results
 * depend on.
 *
 * Rules for using it
 * 1. Everything runs on the loop's fibers; any call may park its fiber (a page may have to be read), except
 *    where it says "never parks". A fiber that runs SQL needs a stack of at least 64 KiB.
 * 2. A connection belongs to one fiber from sql_acquire to sql_release. Readers see the generation that
 *    they began with and block nobody; writers queue for the one writer's slot, first come, first served.
 * 3. A commit is visible at once and durable later. An effect that must not be taken back waits until
 *    store_wait_durable(store, sql_generation(conn)): that covers what was written and what was read.
 * 4. Errors: an err for the program, sql_error() for people.
 *
 *	struct sql_query q;
 *	TRY(sql_query_begin(conn, &q, "SELECT name FROM entry WHERE id = ?", SQL_ARGS(sql_int(id))));
 *	while (sql_query_next(&q))
 *		show(sql_column_text(&q, 0));
 *	TRY(sql_query_end(&q));
 */
#ifndef SQL_SQL_H
#define SQL_SQL_H

#include <base/random.h>
#include <core/log.h>
#include <core/loop.h>
#include <store/store.h>

struct sql;
struct sql_conn;
struct sqlite3_mem_methods;

/* Applied once each, in order, at sql_open: all that are pending in one transaction (migrate.c). */
struct sql_migration {
	uint32_t number;  /* from 1, rising */
	const char *name; /* for the log */
	const char *sql;  /* any number of statements */
};

struct sql_config {
	struct store *store;
	struct loop *loop;
	struct log *log;       /* may be NULL */
	struct random *random; /* seeded */
	uint8_t *memory;       /* aligned to 4096; SQLite never uses more than this */
	size_t memory_len;     /* at least SQL_MEMORY_MIN */
	uint32_t connections;  /* 1 to SQL_CONNECTIONS_MAX */
	const struct sql_migration *migrations;
	uint32_t migration_count; /* 0: the schema is taken as it is */
	/* NULL; tests make SQLite's allocations fail with it. Used instead of the bounded heap. */
	const struct sqlite3_mem_methods *memory_methods;
};

#define SQL_CONNECTIONS_MAX 64
#define SQL_MEMORY_MIN (1024u * 1024u)

struct sql_stats {
	uint64_t statements, prepares; /* executions, and those that had to be compiled */
	uint64_t commits;       /* transactions that changed something */
	uint64_t batches;       /* atomic batches of page writes: a commit each, but for journal_opens */
	uint64_t journal_opens; /* transactions that did not fit in SQLite's page cache; else 0 */
	uint64_t scratch_opens; /* files on scratch pages: those journals, large sorts, VACUUM */
	uint64_t pages_lent, pages_copied; /* read in place, and through a copy */
	uint64_t pages_written, pages_spilled; /* spilled: before their transaction's commit */
	uint64_t rollbacks;     /* of transactions that had changed something */
	uint64_t busy, stale;   /* refused writes: another writer, an old snapshot */
	uint64_t memory_used, memory_max; /* bytes */
	uint64_t memory_failures; /* calls that failed for want of memory */
	uint64_t retries;       /* transactions that were run again by sql_transaction */
	uint64_t deadlines;     /* statements that ran into their deadline */
	uint64_t abandoned;     /* statements that were stopped because nobody waited for them any more */
};

enum sql_type {
	SQL_NULL,
	SQL_INT,
	SQL_REAL,
	SQL_TEXT, /* UTF-8 */
	SQL_BLOB,
	SQL_ZEROS, /* only as an argument: a blob of zeros, which takes no memory */
};

struct sql_value {
	enum sql_type type;
	int64_t integer;
	double real;
	struct slice bytes; /* of text and blob; borrowed until the statement has ended */
};

static inline struct sql_value sql_null(void)
{
	return (struct sql_value){.type = SQL_NULL};
}

static inline struct sql_value sql_int(int64_t v)
{
	return (struct sql_value){.type = SQL_INT, .integer = v};
}

static inline struct sql_value sql_real(double v)
{
	return (struct sql_value){.type = SQL_REAL, .real = v};
}

static inline struct sql_value sql_text(struct slice s)
{
	return (struct sql_value){.type = SQL_TEXT, .bytes = s};
}

static inline struct sql_value sql_blob(struct slice s)
{
	return (struct sql_value){.type = SQL_BLOB, .bytes = s};
}

/* `len` zeros, to be overwritten with sql_blob_write; it may be larger than any value that fits in memory. */
static inline struct sql_value sql_zeros(uint32_t len)
{
	return (struct sql_value){.type = SQL_ZEROS, .integer = len};
}

/* The last two arguments of sql_exec and sql_query_begin: SQL_ARGS(sql_int(1), sql_text(name)). */
#define SQL_ARGS(...)                                                                              \
	(const struct sql_value[]){__VA_ARGS__},                                                   \
		sizeof((const struct sql_value[]){__VA_ARGS__}) / sizeof(struct sql_value)
#define SQL_NO_ARGS NULL, 0

enum sql_mode {
	SQL_READ,  /* sees one generation from its first read to its end */
	SQL_WRITE, /* waits for the writer's slot first; cannot fail with ERR_STALE later */
};

/* A statement in progress; the structure is the caller's. All fields are private. */
struct sql_query {
	struct sql_conn *conn;
	void *statement;
	uint32_t cache_slot;
	bool done, holds_writer, raised;
	err result;
};

/* A blob that is read or written in pieces; the structure is the caller's. All fields are private. */
struct sql_blob {
	struct sql_conn *conn;
	void *handle;
	bool writes, holds_writer;
};

/* Asked now and then, while something runs on a connection or waits, whether whoever wants the result has gone;
 * then it ends with ERR_CLOSED. `gone` must not park; NULL: nobody goes. */
struct sql_watch {
	bool (*gone)(void *cookie);
	void *cookie;
};

/* What a statement may ask for. Depths are limited by a fiber's stack, of which SQLite gets up to 48 KiB (as
 * measured with the guest's flags: 340 bytes for a level of an expression, 770 for a term of a UNION, 112 for a % in
 * a pattern, 225 for a level of JSON, see SQLITE_JSON_MAX_DEPTH). What a stranger types reaches the last two. */
#define SQL_LIMIT_EXPRESSION_DEPTH 120
#define SQL_LIMIT_COMPOUND 48
#define SQL_LIMIT_PATTERN 600 /* bytes, LIKE and GLOB */
#define SQL_LIMIT_TEXT 1000000 /* bytes of one statement */
#define SQL_LIMIT_STEPS 250000 /* instructions of one statement */

API_BEGIN

/* Opens the object "main" of the store as the database (creating it), applies the migrations, and
 * returns when they are durable. Parks. One at a time in a program (SQLite has global state). The structure
 * lies in config->memory. Errors: ERR_NO_MEMORY, ERR_INVALID (config; a migration fails, or has changed
 * since it was applied, see the log), ERR_UNSUPPORTED (the volume's schema is newer than the last migration), the store's. */
MUST_USE err sql_open(const struct sql_config *config, struct sql **sql);
/* Whether an application's statement may say PRAGMA `name`, or with an `argument` (NULL: none). Any name. */
bool sql_pragma_allowed(const char *name, const char *argument);
/* No connection may be acquired (asserted). */
void sql_close(struct sql *sql);
/* Never parks. */
void sql_stats(struct sql *sql, struct sql_stats *out);
struct store *sql_store(struct sql *sql);

/* A connection from the pool; parks while all are in use, first come, first served. ERR_TIMEOUT after
 * `until_ns` (monotonic; TIMER_NEVER), which also becomes the deadline of everything that is run on it. */
MUST_USE err sql_acquire(struct sql *sql, uint64_t until_ns, struct sql_conn **conn);
/* The same with a watch, which is kept (by value) until sql_release: ERR_CLOSED when it says so. */
MUST_USE err sql_acquire_watched(struct sql *sql, uint64_t until_ns, const struct sql_watch *watch,
	struct sql_conn **conn);
/* An open transaction is rolled back; open queries are a bug (asserted). */
void sql_release(struct sql_conn *conn);
/* Whether others wait for what it has: a connection, or the writer's slot. Never parks. */
bool sql_is_awaited(const struct sql_conn *conn);
/* From now until sql_release, what only reads begins at the newest *durable* generation: its results wait for no
 * flush. What writes sees the newest, and after having seen that, reading goes on from there. In a SQL_READ
 * transaction that writes later this makes ERR_STALE likelier. Never parks. */
void sql_read_durable(struct sql_conn *conn);
/* Statements end with ERR_TIMEOUT when monotonic time passes it; TIMER_NEVER for none. Never parks. */
void sql_set_deadline(struct sql_conn *conn, uint64_t until_ns);

/* A transaction over several statements. Not nested (ERR_INVALID). */
MUST_USE err sql_begin(struct sql_conn *conn, enum sql_mode mode);
/* On failure the transaction has been rolled back. */
MUST_USE err sql_commit(struct sql_conn *conn);
/* Harmless when none is open. */
void sql_rollback(struct sql_conn *conn);
bool sql_in_transaction(const struct sql_conn *conn);
/* Runs `body` in a transaction, and commits when it returns OK; otherwise nothing of it has happened, and what it
 * returned is returned. With SQL_READ it does not wait for the writer's slot before it writes: when another has
 * written meanwhile (ERR_STALE, ERR_BUSY) it is undone and `body` runs again, a few times, the last time as with
 * SQL_WRITE. So `body` must do nothing outside of the database that may not be done twice. Within a
 * transaction: a savepoint, and `mode` means nothing. */
MUST_USE err sql_transaction(struct sql_conn *conn, enum sql_mode mode,
	err (*body)(struct sql_conn *conn, void *context), void *context);

/* A point in a transaction to which it can be undone; they nest. Release keeps what was done since the last one
 * that is open, undo undoes it; either closes it. ERR_INVALID outside of a transaction, or without one to close. */
MUST_USE err sql_savepoint(struct sql_conn *conn);
MUST_USE err sql_savepoint_release(struct sql_conn *conn);
MUST_USE err sql_savepoint_undo(struct sql_conn *conn);

/* Runs one statement to its end, ignoring rows. `sql` is NUL-terminated; `?` are filled from args, whose
 * count must match (ERR_INVALID). Outside a transaction it is one of its own. Errors:
 *   ERR_INVALID    the SQL is wrong, or a constraint does not hold (sql_error_is_constraint)
 *   ERR_STALE      a write in a SQL_READ transaction that no longer sees the newest generation
 *   ERR_BUSY       the same while another writes
 *   ERR_TIMEOUT    the deadline;  ERR_CLOSED: the watch
 *   ERR_NO_MEMORY, ERR_NO_SPACE, ERR_TOO_LARGE, ERR_CORRUPT, ERR_IO */
MUST_USE err sql_exec(struct sql_conn *conn, const char *sql, const struct sql_value *args,
	size_t arg_count);
/* Any number of statements, without arguments and without caching them. */
MUST_USE err sql_run(struct sql_conn *conn, const char *sql);

/* Begins a statement. Only after success call sql_query_next until it is false (or stop early), then
 * sql_query_end, which tells whether all went well. */
MUST_USE err sql_query_begin(struct sql_conn *conn, struct sql_query *q, const char *sql,
	const struct sql_value *args, size_t arg_count);
bool sql_query_next(struct sql_query *q);
MUST_USE err sql_query_end(struct sql_query *q);

/* The current row's columns, from 0 (asserted to be in range), converted by SQLite's rules. Slices are
 * valid until the next sql_query_next or sql_query_end, or another accessor on the same column. Never park,
 * except for values that go on in other pages. */
uint32_t sql_column_count(const struct sql_query *q);
struct slice sql_column_name(const struct sql_query *q, uint32_t column);
enum sql_type sql_column_type(const struct sql_query *q, uint32_t column);
int64_t sql_column_int(const struct sql_query *q, uint32_t column);
double sql_column_real(const struct sql_query *q, uint32_t column);
struct slice sql_column_text(const struct sql_query *q, uint32_t column);
struct slice sql_column_blob(const struct sql_query *q, uint32_t column);

/* The whole of a query that gives one row: its first column as a number. ERR_NOT_FOUND without a row. */
MUST_USE err sql_query_int(struct sql_conn *conn, const char *sql, const struct sql_value *args,
	size_t arg_count, int64_t *out);

/* One text or blob of a row, to be read (SQL_READ) or overwritten (SQL_WRITE) piece by piece; it cannot grow. A
 * large one is made with sql_zeros() and then written. Every one that was opened must be closed, which
 * commits what was written when no transaction is open. ERR_NOT_FOUND: no such row. ERR_INVALID: no such column,
 * one that cannot be written (it is part of a key), a range outside of it, or (from then on) the row has been
 * changed by other means. May park. */
MUST_USE err sql_blob_open(struct sql_conn *conn, struct sql_blob *blob, const char *table, const char *column,
	int64_t row, enum sql_mode mode);
uint32_t sql_blob_len(const struct sql_blob *blob); /* bytes */
MUST_USE err sql_blob_read(struct sql_blob *blob, uint32_t offset, void *out, size_t len);
MUST_USE err sql_blob_write(struct sql_blob *blob, uint32_t offset, struct slice bytes);
MUST_USE err sql_blob_close(struct sql_blob *blob);

/* What runs, NUL-terminated; until the query's end. */
const char *sql_query_text(const struct sql_query *query);

/* Of the last INSERT, UPDATE or DELETE. */
int64_t sql_last_id(const struct sql_conn *conn);
int64_t sql_changes(const struct sql_conn *conn);

/* The newest generation that anything read or written on this connection since sql_acquire depends on;
 * 0 when nothing was. Never parks. */
uint64_t sql_generation(const struct sql_conn *conn);

/* About the last call that failed: what, and where in the SQL (line and column). Valid until the next call
 * on the connection; "" when none has failed. */
const char *sql_error(const struct sql_conn *conn);
bool sql_error_is_constraint(const struct sql_conn *conn);
/* Nothing can be written, by nobody: the store is read-only. */
bool sql_error_is_read_only(const struct sql_conn *conn);
bool sql_error_is_unique(const struct sql_conn *conn);

API_END

#endif
