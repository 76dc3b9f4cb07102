/* Connections: the pool, the one writer's slot, deadlines, what went wrong.
 *
 * There are two lines, for the slot and for a connection, each served first come, first served: what is put back
 * is handed to the first who waits, so nobody who comes at that moment gets in between. */
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
	err e = (code & 0xff) == SQLITE_INTERRUPT && failed(conn->stopped) ? conn->stopped : err_of(code);
	if (e.code == ERR_NO_MEMORY && conn->file && conn->file->too_large)
		what = "the transaction changes more pages than fit in memory, and the volume has no place for its "
		       "spill (32 objects and snapshots): delete a snapshot or split it";
	else if (e.code == ERR_TIMEOUT)
		what = "the deadline has passed";
	else if (e.code == ERR_CLOSED)
		what = "nobody waits for the result any more";
	else if (e.code == ERR_DENIED)
		what = "transactions are begun by calls, a connection's settings are fixed, and there is "
		       "one database, without temporary tables";
	else if (e.code == ERR_STALE)
		what = "another has written since this began to read: begin a transaction for writing first";
	if (e.code == ERR_CORRUPT && conn->file && conn->file->damaged) {
		put_format(&w, "page %u of the database has rotted on the disk (object \"main\", page %u of the store)",
			conn->file->damaged, conn->file->damaged - 1);
		what = "";
	} else if ((code & 0xff) == SQLITE_READONLY && store_state(conn->sql->config.store) == STORE_READ_ONLY) {
		put_format(&w, "the volume is read-only: %s", store_reason(conn->sql->config.store));
		what = "";
	}
	write_bytes(&w, slice_sub(slice_from_cstr(what), 0, writer_left(&w) - 64));
	int offset = sqlite3_error_offset(conn->db);
	if (text && offset >= 0)
		put_position(&w, text, offset);
	*w.pos = 0;
	conn->sql->stats.memory_failures += e.code == ERR_NO_MEMORY;
	if (e.code == ERR_STALE || e.code == ERR_BUSY)
		conn->outdated = e;
	return e;
}

err sql_fail_text(struct sql_conn *conn, err result, const char *what)
{
	struct writer w = writer_of(conn->message, sizeof conn->message - 1);
	conn->error_code = SQLITE_ERROR;
	if (result.code == ERR_STALE || result.code == ERR_BUSY)
		conn->outdated = result;
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

bool sql_error_is_read_only(const struct sql_conn *conn)
{
	return (conn->error_code & 0xff) == SQLITE_READONLY;
}

bool sql_error_is_unique(const struct sql_conn *conn)
{
	return conn->error_code == SQLITE_CONSTRAINT_UNIQUE ||
		conn->error_code == SQLITE_CONSTRAINT_PRIMARYKEY ||
		conn->error_code == SQLITE_CONSTRAINT_ROWID;
}

/* --- Opening ---------------------------------------------------------------------------------- */

/* Whether what runs is to end, and why. */
static bool must_stop(struct sql_conn *conn, uint64_t now_ns)
{
	if (conn->unstoppable)
		return false;
	if (now_ns >= conn->until_ns) {
		conn->sql->stats.deadlines++;
		conn->stopped = ERR(TIMEOUT);
		return true;
	}
	if (conn->watch.gone && conn->watch.gone(conn->watch.cookie)) {
		conn->sql->stats.abandoned++;
		conn->stopped = ERR(CLOSED);
		return true;
	}
	return false;
}

/* The file asks, where the clock of the round is good enough. */
static bool on_wait(void *cookie)
{
	struct sql_conn *conn = cookie;
	return must_stop(conn, conn->sql->config.loop->now_ns);
}

uint64_t sql_slice(struct sql_conn *conn)
{
	struct loop *loop = conn->sql->config.loop;
	uint64_t now_ns = loop->platform->now_ns(loop->platform);
	if (conn->slice_round != loop->rounds) {
		conn->slice_round = loop->rounds;
		conn->slice_start_ns = now_ns;
	} else if (now_ns - conn->slice_start_ns > SQL_SLICE_NS && fiber_self(loop)) {
		fiber_yield(loop);
		conn->slice_start_ns = now_ns = loop->platform->now_ns(loop->platform);
	}
	return now_ns;
}

/* SQLite calls this between virtual machine steps: a long statement lets others run, and ends at its
 * deadline or when nobody waits for it any more. */
static int on_progress(void *cookie)
{
	struct sql_conn *conn = cookie;
	return must_stop(conn, sql_slice(conn));
}

static bool is_one_of(const char *name, const char *const list[], size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (sqlite3_stricmp(name, list[i]) == 0)
			return true;
	return false;
}

/* A PRAGMA either belongs to the database, or only tells something. What it would set for a connection would be
 * there for whoever gets the connection next, and some of it the VFS relies on. */
bool sql_pragma_allowed(const char *name, const char *argument)
{
	static const char *const any[] = {"application_id", "auto_vacuum", "defer_foreign_keys", "foreign_key_check",
		"foreign_key_list", "incremental_vacuum", "index_info", "index_list", "index_xinfo",
		"integrity_check", "optimize", "quick_check", "table_info", "table_list", "table_xinfo",
		"user_version"};
	static const char *const bare[] = {"cache_size", "cell_size_check", "collation_list", "compile_options",
		"data_version", "database_list", "encoding", "foreign_keys", "freelist_count", "function_list",
		"journal_mode", "locking_mode", "mmap_size", "module_list", "page_count", "page_size",
		"pragma_list", "recursive_triggers", "schema_version", "secure_delete", "synchronous",
		"temp_store", "trusted_schema"};
	return is_one_of(name, any, ARRAY_LEN(any)) || (!argument && is_one_of(name, bare, ARRAY_LEN(bare)));
}

/* Transactions are begun by sql_begin alone, there is one database, and temporary tables would stay with the
 * connection, for whoever gets it next. PRAGMA optimize passes for a statement that only reads, but may run ANALYZE:
 * so it needs a transaction that writes. What depends on the transaction is judged each time, so it is not kept.
 * Only the application's own statements are judged, not those that SQLite makes of them (VACUUM attaches a
 * database). */
static int on_authorize(void *cookie, int action, const char *a, const char *b, const char *db,
	const char *by)
{
	struct sql_conn *conn = cookie;
	(void)by;
	if (!conn->preparing)
		return SQLITE_OK;
	switch (action) {
	case SQLITE_TRANSACTION:
	case SQLITE_ATTACH:
	case SQLITE_DETACH:
	case SQLITE_CREATE_TEMP_INDEX:
	case SQLITE_CREATE_TEMP_TABLE:
	case SQLITE_CREATE_TEMP_TRIGGER:
	case SQLITE_CREATE_TEMP_VIEW:
		return SQLITE_DENY;
	case SQLITE_CREATE_VTABLE:
		return db && sqlite3_stricmp(db, "temp") == 0 ? SQLITE_DENY : SQLITE_OK;
	default:
		break;
	}
	bool optimizes = action == SQLITE_PRAGMA && sqlite3_stricmp(a, "optimize") == 0;
	conn->once |= action == SQLITE_SAVEPOINT || optimizes;
	if (action == SQLITE_SAVEPOINT)
		return conn->in_transaction ? SQLITE_OK : SQLITE_DENY;
	if (optimizes)
		return conn->transaction_writes ? SQLITE_OK : SQLITE_DENY;
	return action != SQLITE_PRAGMA || sql_pragma_allowed(a, b) ? SQLITE_OK : SQLITE_DENY;
}

static void set_limits(struct sql_conn *conn)
{
	static const struct {
		int which, value;
	} limits[] = {
		{SQLITE_LIMIT_SQL_LENGTH, SQL_LIMIT_TEXT},
		{SQLITE_LIMIT_EXPR_DEPTH, SQL_LIMIT_EXPRESSION_DEPTH},
		{SQLITE_LIMIT_COMPOUND_SELECT, SQL_LIMIT_COMPOUND},
		{SQLITE_LIMIT_LIKE_PATTERN_LENGTH, SQL_LIMIT_PATTERN},
		{SQLITE_LIMIT_VDBE_OP, SQL_LIMIT_STEPS},
		{SQLITE_LIMIT_ATTACHED, 1}, /* VACUUM's */
		{SQLITE_LIMIT_WORKER_THREADS, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		sqlite3_limit(conn->db, limits[i].which, limits[i].value);
	sqlite3_limit(conn->db, SQLITE_LIMIT_LENGTH, conn->sql->value_max);
}

/* (cell_size_check stays off. SQLite looks at a page anew whenever it is lent one, and would go through all of its cells
 * each time: an index would cost four times as much. What has rotted is found by the checksums.) */
static err configure(struct sql_conn *conn, int cache_pages)
{
	char text[160];
	sqlite3_snprintf(sizeof text, text,
		"PRAGMA trusted_schema = OFF;"
		"PRAGMA cache_size = %d",
		cache_pages);
	int rc = sqlite3_exec(conn->db, text, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_db_config(conn->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (rc == SQLITE_OK) /* which makes all that is prepared be prepared anew */
		rc = sqlite3_set_authorizer(conn->db, on_authorize, conn);
	if (rc == SQLITE_OK)
		rc = sql_transaction_prepare(conn);
	if (rc == SQLITE_OK)
		rc = sqlite3_file_control(conn->db, "main", SQLITE_FCNTL_FILE_POINTER, &conn->file);
	if (rc != SQLITE_OK)
		return sql_fail(conn, rc, text);
	set_limits(conn);
	conn->file->must_stop = on_wait;
	conn->file->cookie = conn;
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
	sql_transaction_clear(conn);
	int rc = sqlite3_close(conn->db);
	ASSERT(rc == SQLITE_OK);
	conn->db = NULL;
}

/* --- The pool --------------------------------------------------------------------------------- */

/* Somebody in a line. In it until served, or until the wait is given up. */
struct waiter {
	struct list link;
	struct fiber_queue turn;
	bool served;
	struct sql_conn *conn; /* who waits for the writer's slot; what has been given */
};

static bool is_gone(const struct sql_watch *watch)
{
	return watch->gone && watch->gone(watch->cookie);
}

/* Waits behind all who are in the line already, for what serve() hands to its first. */
static err line_wait(struct sql *sql, struct list *line, struct waiter *w, uint64_t until_ns,
	const struct sql_watch *watch)
{
	struct loop *loop = sql->config.loop;
	err e = OK;
	fiber_queue_init(&w->turn);
	list_push_back(line, &w->link);
	while (!w->served && !failed(e)) {
		uint64_t look_ns = watch->gone ? loop->now_ns + SQL_LOOK_NS : TIMER_NEVER;
		if (is_gone(watch))
			e = ERR(CLOSED);
		else if (failed(fiber_queue_wait(loop, &w->turn, look_ns < until_ns ? look_ns : until_ns)) &&
			 until_ns <= loop->now_ns)
			e = ERR(TIMEOUT);
	}
	if (w->served)
		return OK;
	list_remove(&w->link);
	return e;
}

static struct waiter *serve(struct list *line)
{
	struct list *first = list_pop_front(line);
	if (!first)
		return NULL;
	struct waiter *w = LIST_ENTRY(first, struct waiter, link);
	w->served = true;
	(void)fiber_queue_wake_one(&w->turn);
	return w;
}

static struct sql_conn *free_conn(struct sql *sql)
{
	for (uint32_t i = 0; i < sql->conn_count; i++)
		if (!sql->conn[i].acquired)
			return &sql->conn[i];
	return NULL;
}

err sql_acquire_watched(struct sql *sql, uint64_t until_ns, const struct sql_watch *watch,
	struct sql_conn **out)
{
	/* While others wait for one, none is free: it was handed to the first. */
	struct waiter w = {.conn = free_conn(sql)};
	if (!w.conn)
		TRY(line_wait(sql, &sql->conn_line, &w, until_ns, watch));
	struct sql_conn *conn = w.conn;
	conn->acquired = true;
	conn->until_ns = until_ns;
	conn->watch = *watch;
	conn->reads_durable = false;
	conn->generation = 0;
	conn->error_code = SQLITE_OK;
	conn->message[0] = 0;
	*out = conn;
	return OK;
}

err sql_acquire(struct sql *sql, uint64_t until_ns, struct sql_conn **out)
{
	return sql_acquire_watched(sql, until_ns, &(struct sql_watch){NULL, NULL}, out);
}

void sql_release(struct sql_conn *conn)
{
	ASSERT(conn->acquired && conn->queries == 0);
	sql_rollback(conn);
	conn->until_ns = TIMER_NEVER;
	conn->watch.gone = NULL;
	struct waiter *next = serve(&conn->sql->conn_line);
	conn->acquired = next != NULL;
	if (next)
		next->conn = conn;
}

bool sql_is_awaited(const struct sql_conn *conn)
{
	const struct sql *sql = conn->sql;
	return !list_is_empty(&sql->conn_line) || (sql->writer == conn && !list_is_empty(&sql->writer_line));
}

void sql_set_deadline(struct sql_conn *conn, uint64_t until_ns)
{
	conn->until_ns = until_ns;
}

void sql_read_durable(struct sql_conn *conn)
{
	conn->reads_durable = true;
}

/* Whoever has seen something newer than the newest durable generation goes on with the newest: nobody goes back. */
void sql_choose_generation(struct sql_conn *conn, bool writes)
{
	conn->file->durable = conn->reads_durable && !writes && !conn->transaction_writes &&
		!conn->optimistic && conn->generation <= store_durable_generation(conn->sql->config.store);
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

/* --- The writer's slot ------------------------------------------------------------------------ */

err sql_writer_take(struct sql_conn *conn)
{
	struct sql *sql = conn->sql;
	if (sql->writer == conn) {
		conn->writer_holds++;
		return OK;
	}
	if (sql->writer) {
		struct waiter w = {.conn = conn};
		err e = line_wait(sql, &sql->writer_line, &w, conn->until_ns, &conn->watch);
		if (failed(e))
			return sql_fail_text(conn, e, e.code == ERR_CLOSED ?
				"nobody waits for the result any more" :
				"the deadline passed while others were writing");
	}
	sql->writer = conn;
	conn->writer_holds = 1;
	return OK;
}

void sql_writer_put(struct sql_conn *conn)
{
	struct sql *sql = conn->sql;
	ASSERT(sql->writer == conn && conn->writer_holds);
	if (--conn->writer_holds)
		return;
	struct waiter *next = serve(&sql->writer_line);
	sql->writer = next ? next->conn : NULL;
}
