/* Connections: the pool, the one writer's slot, transactions, deadlines, what went wrong.
 *
 * Writers queue here, before SQLite asks the store for its transaction, so a write never fails because of
 * another one. The exception is a SQL_READ transaction that writes after all: its snapshot must still be
 * the newest (ERR_STALE) and the slot free at once (ERR_BUSY), since waiting could only make it older.
 *
 * SQLite rolls a transaction back by itself after some failures. in_transaction then stays set and every
 * further statement is refused until sql_rollback: none of them may run as a transaction of its own. */
#include <base/assert.h>
#include <base/cursor.h>
#include "private.h"

#include <stdarg.h>
#include <string.h>

/* --- Errors ----------------------------------------------------------------------------------- */

static err err_of(int code)
{
	if (code == SQLITE_BUSY_SNAPSHOT)
		return ERR(STALE);
	if (code == SQLITE_IOERR_NOMEM)
		return ERR(NO_MEMORY);
	if (code == SQLITE_IOERR_DATA || code == SQLITE_IOERR_CORRUPTFS)
		return ERR(CORRUPT);
	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERR(BUSY);
	case SQLITE_NOMEM:
		return ERR(NO_MEMORY);
	case SQLITE_FULL:
		return ERR(NO_SPACE);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return ERR(CORRUPT);
	case SQLITE_INTERRUPT:
		return ERR(TIMEOUT);
	case SQLITE_TOOBIG:
		return ERR(TOO_LARGE);
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
		return ERR(IO);
	case SQLITE_AUTH:
		return ERR(DENIED);
	default:
		return ERR(INVALID);
	}
}

static void put_format(struct writer *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void put_format(struct writer *w, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	write_format(w, fmt, args);
	va_end(args);
}

/* Line and column, both from 1, of the byte at `offset`. */
static void put_position(struct writer *w, const char *text, int offset)
{
	unsigned line = 1, column = 1;
	for (int i = 0; i < offset && text[i]; i++) {
		column = text[i] == '\n' ? 1 : column + 1;
		line += text[i] == '\n';
	}
	put_format(w, " (line %u, column %u)", line, column);
}

err sql_fail(struct sql_conn *conn, int code, const char *text)
{
	struct writer w = writer_of(conn->message, sizeof conn->message - 1);
	const char *what = sqlite3_errmsg(conn->db);
	conn->error_code = code;
	if (err_of(code).code == ERR_NO_MEMORY && conn->file && conn->file->too_large)
		what = "the transaction changes too many pages for this machine's memory: split it";
	write_bytes(&w, slice_sub(slice_from_cstr(what), 0, SQL_MESSAGE_MAX - 64));
	int offset = sqlite3_error_offset(conn->db);
	if (text && offset >= 0)
		put_position(&w, text, offset);
	*w.pos = 0;
	err e = err_of(code);
	conn->sql->stats.memory_failures += e.code == ERR_NO_MEMORY;
	return e;
}

err sql_fail_text(struct sql_conn *conn, err result, const char *what)
{
	struct writer w = writer_of(conn->message, sizeof conn->message - 1);
	conn->error_code = SQLITE_ERROR;
	write_bytes(&w, slice_sub(slice_from_cstr(what), 0, SQL_MESSAGE_MAX - 1));
	*w.pos = 0;
	return result;
}

const char *sql_error(const struct sql_conn *conn)
{
	return conn->message;
}

bool sql_error_is_constraint(const struct sql_conn *conn)
{
	return (conn->error_code & 0xff) == SQLITE_CONSTRAINT;
}

bool sql_error_is_unique(const struct sql_conn *conn)
{
	return conn->error_code == SQLITE_CONSTRAINT_UNIQUE ||
		conn->error_code == SQLITE_CONSTRAINT_PRIMARYKEY ||
		conn->error_code == SQLITE_CONSTRAINT_ROWID;
}

/* --- Opening ---------------------------------------------------------------------------------- */

/* SQLite calls this between virtual machine steps: a long statement lets others run, and ends at its
 * deadline. */
static int on_progress(void *cookie)
{
	struct sql_conn *conn = cookie;
	struct loop *loop = conn->sql->config.loop;
	uint64_t now_ns = loop->platform->now_ns(loop->platform);
	if (now_ns >= conn->until_ns) {
		conn->sql->stats.deadlines++;
		return 1;
	}
	if (now_ns - conn->slice_start_ns > SQL_SLICE_NS && fiber_self(loop)) {
		fiber_yield(loop);
		conn->slice_start_ns = loop->platform->now_ns(loop->platform);
	}
	return 0;
}

/* Settings that the VFS relies on; and transactions are begun by sql_begin alone. Only the application's own
 * statements are judged, not those that SQLite makes of them (VACUUM). */
static int on_authorize(void *cookie, int action, const char *a, const char *b, const char *db,
	const char *by)
{
	static const char *const fixed[] = {"journal_mode", "locking_mode", "synchronous", "mmap_size",
		"page_size", "temp_store", "writable_schema", "cache_spill"};
	struct sql_conn *conn = cookie;
	(void)db, (void)by;
	if (!conn->preparing)
		return SQLITE_OK;
	if (action == SQLITE_TRANSACTION)
		return SQLITE_DENY;
	if (action == SQLITE_SAVEPOINT)
		return conn->in_transaction ? SQLITE_OK : SQLITE_DENY;
	if (action != SQLITE_PRAGMA || !b)
		return SQLITE_OK;
	for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
		if (sqlite3_stricmp(a, fixed[i]) == 0)
			return SQLITE_DENY;
	return SQLITE_OK;
}

/* One of our own statements, without rows. */
static int run_own(struct sql_conn *conn, const char *text)
{
	return sqlite3_exec(conn->db, text, NULL, NULL, NULL);
}

static err configure(struct sql_conn *conn, int cache_pages)
{
	char text[128];
	sqlite3_snprintf(sizeof text, text,
		"PRAGMA journal_mode = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA cache_size = %d",
		cache_pages);
	int rc = run_own(conn, text);
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(conn->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_set_authorizer(conn->db, on_authorize, conn);
	if (rc == SQLITE_OK)
		rc = sqlite3_file_control(conn->db, "main", SQLITE_FCNTL_FILE_POINTER, &conn->file);
	if (rc != SQLITE_OK)
		return sql_fail(conn, rc, text);
	conn->file->generation = &conn->generation;
	sqlite3_progress_handler(conn->db, SQL_PROGRESS_STEPS, on_progress, conn);
	return OK;
}

err sql_conn_open(struct sql_conn *conn, struct sql *sql, int cache_pages)
{
	memset(conn, 0, sizeof *conn);
	conn->sql = sql;
	conn->until_ns = TIMER_NEVER;
	int rc = sqlite3_open_v2("main", &conn->db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_EXRESCODE, "store");
	err e = rc == SQLITE_OK ? configure(conn, cache_pages) : sql_fail(conn, rc, NULL);
	if (failed(e))
		sql_conn_close(conn);
	return e;
}

void sql_conn_close(struct sql_conn *conn)
{
	sql_cache_clear(conn);
	int rc = sqlite3_close(conn->db);
	ASSERT(rc == SQLITE_OK);
	conn->db = NULL;
}

/* --- The pool --------------------------------------------------------------------------------- */

static struct sql_conn *free_conn(struct sql *sql)
{
	for (uint32_t i = 0; i < sql->conn_count; i++)
		if (!sql->conn[i].acquired)
			return &sql->conn[i];
	return NULL;
}

err sql_acquire(struct sql *sql, uint64_t until_ns, struct sql_conn **out)
{
	struct sql_conn *conn;
	while (!(conn = free_conn(sql)))
		TRY(fiber_queue_wait(sql->config.loop, &sql->conn_queue, until_ns));
	conn->acquired = true;
	conn->until_ns = until_ns;
	conn->generation = 0;
	conn->error_code = SQLITE_OK;
	conn->message[0] = 0;
	*out = conn;
	return OK;
}

void sql_release(struct sql_conn *conn)
{
	ASSERT(conn->acquired && conn->queries == 0);
	conn->until_ns = TIMER_NEVER;
	sql_rollback(conn);
	conn->acquired = false;
	fiber_queue_wake_one(&conn->sql->conn_queue);
}

void sql_set_deadline(struct sql_conn *conn, uint64_t until_ns)
{
	conn->until_ns = until_ns;
}

uint64_t sql_generation(const struct sql_conn *conn)
{
	return conn->generation;
}

int64_t sql_last_id(const struct sql_conn *conn)
{
	return sqlite3_last_insert_rowid(conn->db);
}

int64_t sql_changes(const struct sql_conn *conn)
{
	return sqlite3_changes64(conn->db);
}

/* --- Transactions ----------------------------------------------------------------------------- */

err sql_writer_take(struct sql_conn *conn)
{
	struct sql *sql = conn->sql;
	ASSERT(sql->writer != conn);
	while (sql->writer) {
		err e = fiber_queue_wait(sql->config.loop, &sql->writer_queue, conn->until_ns);
		if (failed(e))
			return sql_fail_text(conn, e, "timed out waiting for another writer");
	}
	sql->writer = conn;
	return OK;
}

void sql_writer_put(struct sql_conn *conn)
{
	ASSERT(conn->sql->writer == conn);
	conn->sql->writer = NULL;
	fiber_queue_wake_one(&conn->sql->writer_queue);
}

bool sql_in_transaction(const struct sql_conn *conn)
{
	return conn->in_transaction;
}

static void end_transaction(struct sql_conn *conn)
{
	conn->in_transaction = false;
	if (conn->sql->writer == conn)
		sql_writer_put(conn);
}

err sql_begin(struct sql_conn *conn, enum sql_mode mode)
{
	if (conn->in_transaction)
		return sql_fail_text(conn, ERR(INVALID), "a transaction is already open");
	if (mode == SQL_WRITE) {
		if (conn->queries)
			return sql_fail_text(conn, ERR(INVALID), "a query is still open");
		TRY(sql_writer_take(conn));
	}
	conn->in_transaction = true;
	int rc = run_own(conn, mode == SQL_WRITE ? "BEGIN IMMEDIATE" : "BEGIN");
	if (rc == SQLITE_OK)
		return OK;
	err e = sql_fail(conn, rc, NULL);
	end_transaction(conn);
	return e;
}

err sql_commit(struct sql_conn *conn)
{
	if (!conn->in_transaction)
		return sql_fail_text(conn, ERR(INVALID), "no transaction is open");
	if (conn->queries)
		return sql_fail_text(conn, ERR(INVALID), "a query is still open");
	err e = OK;
	if (sqlite3_get_autocommit(conn->db)) {
		e = sql_fail_text(conn, ERR(INVALID), "the transaction has been rolled back");
	} else {
		int rc = run_own(conn, "COMMIT");
		if (rc != SQLITE_OK)
			e = sql_fail(conn, rc, NULL);
	}
	if (failed(e))
		sql_rollback(conn);
	else
		end_transaction(conn);
	return e;
}

void sql_rollback(struct sql_conn *conn)
{
	if (!conn->in_transaction)
		return;
	/* It cannot fail but by having happened already; a deadline must not stop it. */
	uint64_t until_ns = conn->until_ns;
	conn->until_ns = TIMER_NEVER;
	if (!sqlite3_get_autocommit(conn->db))
		run_own(conn, "ROLLBACK");
	conn->until_ns = until_ns;
	ASSERT(sqlite3_get_autocommit(conn->db));
	end_transaction(conn);
}
