/* Transactions over several statements, and savepoints within them.
 *
 *   none --sql_begin(SQL_READ)--> reading --a write, the slot is free, nobody has written--> writing
 *    ^ \--sql_begin(SQL_WRITE): waits for the slot-----------------------------------------> |
 *    +-------------------- sql_commit, sql_rollback ---------------------------------------- +
 *
 * Writers queue (conn.c) before SQLite asks the store for its transaction, so a write never fails because of
 * another one. The exception is a SQL_READ transaction that writes after all: its snapshot must still be
 * the newest (ERR_STALE) and the slot free at once (ERR_BUSY), since waiting could only make it older.
 *
 * SQLite rolls a transaction back by itself after some failures. in_transaction then stays set and every
 * further statement is refused until sql_rollback: none of them may run as a transaction of its own. */
#include <base/assert.h>
#include "private.h"

#define ATTEMPTS_MAX 4 /* of an optimistic transaction; the last one waits its turn */

void sql_transaction_clear(struct sql_conn *conn)
{
	for (uint32_t i = 0; i < SQL_OWN_COUNT; i++) {
		sqlite3_finalize(conn->own[i]);
		conn->own[i] = NULL;
	}
}

/* One of our own statements, prepared at its first use. */
static int own_statement(struct sql_conn *conn, enum sql_own which, sqlite3_stmt **out)
{
	static const char *const text[SQL_OWN_COUNT] = {
		[SQL_OWN_BEGIN] = "BEGIN", [SQL_OWN_BEGIN_IMMEDIATE] = "BEGIN IMMEDIATE",
		[SQL_OWN_COMMIT] = "COMMIT", [SQL_OWN_ROLLBACK] = "ROLLBACK",
		[SQL_OWN_SAVEPOINT] = "SAVEPOINT ingot", [SQL_OWN_RELEASE] = "RELEASE ingot",
		[SQL_OWN_ROLLBACK_TO] = "ROLLBACK TO ingot"};
	sqlite3_stmt *statement = conn->own[which];
	if (!statement) {
		int rc = sqlite3_prepare_v3(conn->db, text[which], -1, SQLITE_PREPARE_PERSISTENT, &statement,
			NULL);
		if (rc != SQLITE_OK)
			return rc;
		conn->own[which] = statement;
	}
	*out = statement;
	return SQLITE_OK;
}

int sql_transaction_prepare(struct sql_conn *conn)
{
	sqlite3_stmt *unused;
	return own_statement(conn, SQL_OWN_ROLLBACK, &unused);
}

static int run_own(struct sql_conn *conn, enum sql_own which)
{
	sqlite3_stmt *statement;
	int rc = own_statement(conn, which, &statement);
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_step(statement);
	return sqlite3_reset(statement);
}

bool sql_reserve_take(struct sql *sql)
{
	if (!sql->reserve)
		sql->reserve = sqlite3_malloc(SQL_RESERVE);
	return sql->reserve != NULL;
}

/* Neither a deadline nor who has gone may stop what undoes. */
static int undo_own(struct sql_conn *conn, enum sql_own which)
{
	conn->unstoppable = true;
	int rc = run_own(conn, which);
	conn->unstoppable = false;
	return rc;
}

/* It is prepared already, so it cannot fail but by having happened; unless a change of the schema has made SQLite
 * prepare it anew, and there is no memory for that. Nobody else runs before it has taken of what is let go. */
static void undo_all(struct sql_conn *conn)
{
	if (undo_own(conn, SQL_OWN_ROLLBACK) != SQLITE_NOMEM)
		return;
	sqlite3_free(conn->sql->reserve);
	conn->sql->reserve = NULL;
	undo_own(conn, SQL_OWN_ROLLBACK);
}

/* When what full text writes at a commit fails, SQLite rolls back within that commit, while a statement of full text
 * still reads: its read transaction stays open with nobody in it. The snapshot, and the store's transaction, would be
 * held, and the next statement would get the same error once more. A ROLLBACK, which has nothing to roll back then,
 * ends that as well. */
void sql_settle(struct sql_conn *conn)
{
	if (!conn->in_transaction && !conn->queries && conn->file->lock != SQLITE_LOCK_NONE)
		undo_all(conn);
}

bool sql_in_transaction(const struct sql_conn *conn)
{
	return conn->in_transaction;
}

static void end_transaction(struct sql_conn *conn)
{
	conn->in_transaction = conn->optimistic = false;
	conn->savepoints = 0;
	sql_settle(conn);
	if (conn->transaction_writes)
		sql_writer_put(conn);
	conn->transaction_writes = false;
}

err sql_begin(struct sql_conn *conn, enum sql_mode mode)
{
	conn->stopped = OK;
	if (conn->in_transaction)
		return sql_fail_text(conn, ERR(INVALID), "a transaction is already open");
	if (!sql_reserve_take(conn->sql))
		return sql_fail(conn, SQLITE_NOMEM, NULL);
	if (mode == SQL_WRITE) {
		if (conn->queries)
			return sql_fail_text(conn, ERR(INVALID), "a query is still open");
		TRY(sql_writer_take(conn));
		conn->transaction_writes = true;
	}
	conn->in_transaction = true;
	sql_choose_generation(conn, mode == SQL_WRITE);
	int rc = run_own(conn, mode == SQL_WRITE ? SQL_OWN_BEGIN_IMMEDIATE : SQL_OWN_BEGIN);
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
	conn->stopped = OK;
	err e = OK;
	if (sqlite3_get_autocommit(conn->db)) {
		e = sql_fail_text(conn, ERR(INVALID), "the transaction has been rolled back");
	} else {
		int rc = run_own(conn, SQL_OWN_COMMIT);
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
	if (!conn->in_transaction) {
		sql_settle(conn);
		return;
	}
	if (!sqlite3_get_autocommit(conn->db))
		undo_all(conn);
	ASSERT(sqlite3_get_autocommit(conn->db));
	end_transaction(conn);
}

/* --- Savepoints ------------------------------------------------------------------------------- */

err sql_savepoint(struct sql_conn *conn)
{
	if (!conn->in_transaction || sqlite3_get_autocommit(conn->db))
		return sql_fail_text(conn, ERR(INVALID), "a savepoint needs a transaction around it");
	conn->stopped = OK;
	int rc = run_own(conn, SQL_OWN_SAVEPOINT);
	if (rc != SQLITE_OK)
		return sql_fail(conn, rc, NULL);
	conn->savepoints++;
	return OK;
}

err sql_savepoint_release(struct sql_conn *conn)
{
	if (!conn->savepoints)
		return sql_fail_text(conn, ERR(INVALID), "no savepoint is open");
	if (sqlite3_get_autocommit(conn->db))
		return sql_fail_text(conn, ERR(INVALID), "the transaction has been rolled back after an error");
	conn->stopped = OK;
	int rc = run_own(conn, SQL_OWN_RELEASE);
	if (rc != SQLITE_OK)
		return sql_fail(conn, rc, NULL);
	conn->savepoints--;
	return OK;
}

err sql_savepoint_undo(struct sql_conn *conn)
{
	if (!conn->savepoints)
		return sql_fail_text(conn, ERR(INVALID), "no savepoint is open");
	if (sqlite3_get_autocommit(conn->db))
		return OK; /* all has been undone, and sql_rollback is still to come */
	int rc = undo_own(conn, SQL_OWN_ROLLBACK_TO);
	if (rc == SQLITE_OK)
		rc = undo_own(conn, SQL_OWN_RELEASE);
	if (rc != SQLITE_OK)
		return sql_fail(conn, rc, NULL);
	conn->savepoints--;
	return OK;
}

/* --- Functions in a transaction --------------------------------------------------------------- */

static err run_nested(struct sql_conn *conn, err (*body)(struct sql_conn *, void *), void *context)
{
	TRY(sql_savepoint(conn));
	err e = body(conn, context);
	if (!failed(e))
		return sql_savepoint_release(conn);
	err undone = sql_savepoint_undo(conn);
	return failed(undone) ? undone : e;
}

static err run_once(struct sql_conn *conn, enum sql_mode mode, err (*body)(struct sql_conn *, void *),
	void *context)
{
	conn->outdated = OK;
	TRY(sql_begin(conn, mode));
	conn->optimistic = true;
	err e = body(conn, context);
	/* Whatever the function has made of it: what it read is no longer so. */
	if (failed(conn->outdated))
		e = conn->outdated;
	if (!failed(e))
		return sql_commit(conn);
	sql_rollback(conn);
	return e;
}

err sql_transaction(struct sql_conn *conn, enum sql_mode mode, err (*body)(struct sql_conn *, void *),
	void *context)
{
	if (conn->in_transaction)
		return run_nested(conn, body, context);
	err e = OK;
	for (int attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
		e = run_once(conn, attempt == ATTEMPTS_MAX ? SQL_WRITE : mode, body, context);
		if (e.code != ERR_STALE && e.code != ERR_BUSY)
			return e;
		conn->sql->stats.retries++;
	}
	return e;
}
