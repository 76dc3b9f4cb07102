/* Statements: the cache of prepared ones, binding, rows.
 *
 * The cache is looked up by the address of the caller's text first (a string literal stays where it is) and
 * then by its content. A statement in use is not shared: the same text then gets another one. */
#include <base/assert.h>
#include "private.h"

#include <string.h>

#define SLOT_NONE UINT32_MAX

/* --- The cache -------------------------------------------------------------------------------- */

void sql_cache_clear(struct sql_conn *conn)
{
	for (uint32_t i = 0; i < SQL_STATEMENTS_CACHED; i++) {
		sqlite3_finalize(conn->cache[i].statement);
		conn->cache[i] = (struct sql_cached){0};
	}
}

static uint32_t cache_find(const struct sql_conn *conn, const char *text)
{
	struct slice wanted = slice_from_cstr(text);
	for (uint32_t i = 0; i < SQL_STATEMENTS_CACHED; i++) {
		const struct sql_cached *c = &conn->cache[i];
		if (c->statement && !c->busy && slice_eq(c->text, wanted))
			return i;
	}
	return SLOT_NONE;
}

/* The slot that was used longest ago, emptied; SLOT_NONE when all are in use. */
static uint32_t cache_evict(struct sql_conn *conn)
{
	uint32_t oldest = SLOT_NONE;
	for (uint32_t i = 0; i < SQL_STATEMENTS_CACHED; i++) {
		if (conn->cache[i].busy)
			continue;
		if (oldest == SLOT_NONE || conn->cache[i].used < conn->cache[oldest].used)
			oldest = i;
	}
	if (oldest != SLOT_NONE) {
		sqlite3_finalize(conn->cache[oldest].statement);
		conn->cache[oldest] = (struct sql_cached){0};
	}
	return oldest;
}

static bool is_blank(const char *s)
{
	return s[strspn(s, " \t\r\n;")] == 0;
}

static err prepare(struct sql_conn *conn, const char *text, unsigned flags, sqlite3_stmt **out,
	const char **tail)
{
	conn->sql->stats.prepares++;
	sqlite3_stmt *statement;
	conn->preparing = true;
	conn->once = false;
	int rc = sqlite3_prepare_v3(conn->db, text, -1, flags, &statement, tail);
	conn->preparing = false;
	if (rc != SQLITE_OK)
		return sql_fail(conn, rc, text);
	*out = statement;
	return OK;
}

static err statement_get(struct sql_conn *conn, const char *text, struct sql_query *q)
{
	uint32_t slot = cache_find(conn, text);
	if (slot == SLOT_NONE) {
		sqlite3_stmt *statement;
		const char *tail;
		slot = cache_evict(conn);
		TRY(prepare(conn, text, SQLITE_PREPARE_PERSISTENT, &statement, &tail));
		if (!statement || !is_blank(tail)) {
			sqlite3_finalize(statement);
			return sql_fail_text(conn, ERR(INVALID), "expected exactly one statement");
		}
		q->statement = statement;
		if (conn->once)
			slot = SLOT_NONE;
		if (slot != SLOT_NONE)
			conn->cache[slot] = (struct sql_cached){.statement = statement,
				.text = slice_from_cstr(sqlite3_sql(statement))};
	}
	q->cache_slot = slot;
	if (slot != SLOT_NONE) {
		struct sql_cached *c = &conn->cache[slot];
		q->statement = c->statement;
		c->used = ++conn->ticks;
		c->busy = true;
	}
	return OK;
}

/* SQLite's result for the whole statement. */
static int statement_put(struct sql_query *q)
{
	int rc;
	if (q->cache_slot == SLOT_NONE) {
		rc = sqlite3_finalize(q->statement);
	} else {
		rc = sqlite3_reset(q->statement);
		sqlite3_clear_bindings(q->statement);
		q->conn->cache[q->cache_slot].busy = false;
	}
	if (q->raised)
		sqlite3_limit(q->conn->db, SQLITE_LIMIT_LENGTH, q->conn->sql->value_max);
	q->raised = false;
	q->statement = NULL;
	return rc;
}

/* --- Binding ---------------------------------------------------------------------------------- */

/* SQLite takes a null pointer for NULL, also with length 0. */
static const void *pointer_of(struct slice s)
{
	return s.ptr ? (const void *)s.ptr : "";
}

static int bind_one(sqlite3_stmt *s, int at, const struct sql_value *v)
{
	switch (v->type) {
	case SQL_NULL:
		return sqlite3_bind_null(s, at);
	case SQL_INT:
		return sqlite3_bind_int64(s, at, v->integer);
	case SQL_REAL:
		return sqlite3_bind_double(s, at, v->real);
	case SQL_TEXT:
		return sqlite3_bind_text64(s, at, pointer_of(v->bytes), v->bytes.len, SQLITE_STATIC,
			SQLITE_UTF8);
	case SQL_BLOB:
		return sqlite3_bind_blob64(s, at, pointer_of(v->bytes), v->bytes.len, SQLITE_STATIC);
	case SQL_ZEROS:
		return sqlite3_bind_zeroblob64(s, at, (sqlite3_uint64)v->integer);
	}
	UNREACHABLE();
}

static err bind_all(struct sql_query *q, const char *text, const struct sql_value *args, size_t count)
{
	if ((size_t)sqlite3_bind_parameter_count(q->statement) != count)
		return sql_fail_text(q->conn, ERR(INVALID), "wrong number of arguments");
	for (size_t i = 0; i < count; i++) {
		if (args[i].type == SQL_ZEROS && !q->raised) {
			q->raised = true;
			sqlite3_limit(q->conn->db, SQLITE_LIMIT_LENGTH, SQL_LIMIT_ZEROS);
		}
		int rc = bind_one(q->statement, (int)i + 1, &args[i]);
		if (rc != SQLITE_OK)
			return sql_fail(q->conn, rc, text);
	}
	return OK;
}

/* --- Running ---------------------------------------------------------------------------------- */

err sql_check_usable(struct sql_conn *conn)
{
	ASSERT(conn->acquired || !conn->sql->ready);
	uint64_t now_ns = sql_slice(conn); /* many short statements are as good as a long one */
	conn->error_code = SQLITE_OK;
	conn->message[0] = 0;
	sql_choose_generation(conn, false); /* preparing reads the schema */
	if (conn->in_transaction && sqlite3_get_autocommit(conn->db))
		return sql_fail_text(conn, ERR(INVALID),
			"the transaction has been rolled back after an error");
	conn->stopped = OK;
	if (now_ns >= conn->until_ns)
		return sql_fail_text(conn, ERR(TIMEOUT), "the deadline has passed");
	return OK;
}

/* A write that is a transaction of its own waits for the slot. One in a SQL_READ transaction does not: waiting
 * could only make its snapshot older. If the slot is free it takes it, since others must wait for it now. */
err sql_slot_take(struct sql_conn *conn, bool writes, bool *holds)
{
	*holds = false;
	if (conn->transaction_writes || !writes)
		return OK;
	sql_choose_generation(conn, true);
	if (conn->in_transaction && conn->sql->writer && conn->sql->writer != conn) {
		conn->sql->stats.busy++;
		return sql_fail_text(conn, ERR(BUSY),
			"another is writing: begin a transaction for writing, which waits its turn");
	}
	TRY(sql_writer_take(conn));
	*holds = true;
	return OK;
}

/* The slot stays with a transaction that has become a writing one. */
void sql_slot_leave(struct sql_conn *conn)
{
	if (conn->in_transaction && conn->file->txn && !conn->transaction_writes)
		conn->transaction_writes = true;
	else
		sql_writer_put(conn);
}

err sql_query_begin(struct sql_conn *conn, struct sql_query *q, const char *sql,
	const struct sql_value *args, size_t arg_count)
{
	*q = (struct sql_query){.conn = conn, .cache_slot = SLOT_NONE};
	TRY(sql_check_usable(conn));
	TRY(statement_get(conn, sql, q));
	err e = bind_all(q, sql, args, arg_count);
	if (!failed(e))
		e = sql_slot_take(conn, !sqlite3_stmt_readonly(q->statement), &q->holds_writer);
	if (failed(e)) {
		statement_put(q);
		return e;
	}
	conn->queries++;
	conn->sql->stats.statements++;
	return OK;
}

bool sql_query_next(struct sql_query *q)
{
	if (q->done)
		return false;
	int rc = sqlite3_step(q->statement);
	if (rc == SQLITE_ROW)
		return true;
	q->done = true;
	if (rc != SQLITE_DONE)
		q->result = sql_fail(q->conn, rc, sqlite3_sql(q->statement));
	return false;
}

err sql_query_end(struct sql_query *q)
{
	struct sql_conn *conn = q->conn;
	bool was_done = q->done;
	q->done = true;
	int rc = statement_put(q);
	if (!was_done && rc != SQLITE_OK)
		q->result = sql_fail(conn, rc, NULL);
	conn->queries--;
	if (failed(q->result))
		sql_settle(conn);
	if (q->holds_writer)
		sql_slot_leave(conn);
	return q->result;
}

err sql_exec(struct sql_conn *conn, const char *sql, const struct sql_value *args, size_t arg_count)
{
	struct sql_query q;
	TRY(sql_query_begin(conn, &q, sql, args, arg_count));
	while (sql_query_next(&q))
		;
	return sql_query_end(&q);
}

static err run_one(struct sql_conn *conn, sqlite3_stmt *statement, const char *text)
{
	bool holds;
	TRY(sql_slot_take(conn, !sqlite3_stmt_readonly(statement), &holds));
	conn->sql->stats.statements++;
	int rc;
	do {
		rc = sqlite3_step(statement);
	} while (rc == SQLITE_ROW);
	err e = rc == SQLITE_DONE ? OK : sql_fail(conn, rc, text);
	sqlite3_reset(statement);
	if (failed(e))
		sql_settle(conn);
	if (holds)
		sql_slot_leave(conn);
	return e;
}

err sql_run(struct sql_conn *conn, const char *sql)
{
	while (!is_blank(sql)) {
		sqlite3_stmt *statement;
		const char *tail;
		TRY(sql_check_usable(conn));
		TRY(prepare(conn, sql, 0, &statement, &tail));
		err e = statement ? run_one(conn, statement, sql) : OK;
		sqlite3_finalize(statement);
		TRY(e);
		sql = tail;
	}
	return OK;
}

const char *sql_query_text(const struct sql_query *q)
{
	return sqlite3_sql(q->statement);
}

/* --- Columns ---------------------------------------------------------------------------------- */

uint32_t sql_column_count(const struct sql_query *q)
{
	return (uint32_t)sqlite3_column_count(q->statement);
}

static int column_of(const struct sql_query *q, uint32_t column)
{
	ASSERT(column < sql_column_count(q));
	return (int)column;
}

struct slice sql_column_name(const struct sql_query *q, uint32_t column)
{
	const char *name = sqlite3_column_name(q->statement, column_of(q, column));
	return name ? slice_from_cstr(name) : SLICE("");
}

enum sql_type sql_column_type(const struct sql_query *q, uint32_t column)
{
	switch (sqlite3_column_type(q->statement, column_of(q, column))) {
	case SQLITE_INTEGER:
		return SQL_INT;
	case SQLITE_FLOAT:
		return SQL_REAL;
	case SQLITE_TEXT:
		return SQL_TEXT;
	case SQLITE_BLOB:
		return SQL_BLOB;
	default:
		return SQL_NULL;
	}
}

int64_t sql_column_int(const struct sql_query *q, uint32_t column)
{
	return sqlite3_column_int64(q->statement, column_of(q, column));
}

double sql_column_real(const struct sql_query *q, uint32_t column)
{
	return sqlite3_column_double(q->statement, column_of(q, column));
}

struct slice sql_column_text(const struct sql_query *q, uint32_t column)
{
	const unsigned char *text = sqlite3_column_text(q->statement, column_of(q, column));
	return slice_of(text, text ? (size_t)sqlite3_column_bytes(q->statement, (int)column) : 0);
}

struct slice sql_column_blob(const struct sql_query *q, uint32_t column)
{
	const void *blob = sqlite3_column_blob(q->statement, column_of(q, column));
	return slice_of(blob, blob ? (size_t)sqlite3_column_bytes(q->statement, (int)column) : 0);
}

err sql_query_int(struct sql_conn *conn, const char *sql, const struct sql_value *args,
	size_t arg_count, int64_t *out)
{
	struct sql_query q;
	TRY(sql_query_begin(conn, &q, sql, args, arg_count));
	bool found = sql_query_next(&q);
	int64_t value = found ? sql_column_int(&q, 0) : 0;
	TRY(sql_query_end(&q));
	if (!found)
		return sql_fail_text(conn, ERR(NOT_FOUND), "no row");
	*out = value;
	return OK;
}
