/* Blobs in pieces: one value of one row, read or overwritten at any place without ever being whole in memory.
 * SQLite goes to the page that is asked for through the value's chain of pages, which it remembers. */
#include <base/assert.h>
#include "private.h"

#include <string.h>

static sqlite3_blob *handle_of(const struct sql_blob *b)
{
	ASSERT(b->handle);
	return b->handle;
}

static err blob_fail(struct sql_conn *conn, int code)
{
	if (code == SQLITE_ABORT)
		return sql_fail_text(conn, ERR(INVALID), "the row of this blob has been changed meanwhile");
	return sql_fail(conn, code, NULL);
}

/* SQLite looks the table up in the schema as this connection has last seen it. When it is not there, a statement
 * makes it look whether another has changed the schema. */
static int open_handle(struct sql_conn *conn, const char *table, const char *column, int64_t row, bool writes,
	sqlite3_blob **out)
{
	int rc = sqlite3_blob_open(conn->db, "main", table, column, row, writes, out);
	if ((rc & 0xff) != SQLITE_ERROR)
		return rc;
	rc = sqlite3_exec(conn->db, "SELECT 1 FROM sqlite_schema LIMIT 1", NULL, NULL, NULL);
	return rc == SQLITE_OK ? sqlite3_blob_open(conn->db, "main", table, column, row, writes, out) : rc;
}

err sql_blob_open(struct sql_conn *conn, struct sql_blob *b, const char *table, const char *column, int64_t row,
	enum sql_mode mode)
{
	sqlite3_blob *handle;
	*b = (struct sql_blob){.conn = conn, .writes = mode == SQL_WRITE};
	TRY(sql_check_usable(conn));
	TRY(sql_slot_take(conn, mode == SQL_WRITE, &b->holds_writer));
	int rc = open_handle(conn, table, column, row, mode == SQL_WRITE, &handle);
	if (rc != SQLITE_OK) {
		err e = blob_fail(conn, rc);
		if (b->holds_writer)
			sql_slot_leave(conn);
		/* SQLite's words for it: "no such rowid: 7"; its code is that of any error. */
		return e.code == ERR_INVALID && !strncmp(conn->message, "no such rowid", 13) ? ERR(NOT_FOUND) : e;
	}
	b->handle = handle;
	conn->queries++;
	conn->sql->stats.statements++;
	return OK;
}

uint32_t sql_blob_len(const struct sql_blob *b)
{
	return (uint32_t)sqlite3_blob_bytes(handle_of(b));
}

static err check_range(const struct sql_blob *b, uint32_t offset, size_t len)
{
	if (offset > sql_blob_len(b) || len > sql_blob_len(b) - offset)
		return sql_fail_text(b->conn, ERR(INVALID), "outside of the blob");
	return sql_check_usable(b->conn);
}

err sql_blob_read(struct sql_blob *b, uint32_t offset, void *out, size_t len)
{
	TRY(check_range(b, offset, len));
	int rc = sqlite3_blob_read(handle_of(b), out, (int)len, (int)offset);
	return rc == SQLITE_OK ? OK : blob_fail(b->conn, rc);
}

err sql_blob_write(struct sql_blob *b, uint32_t offset, struct slice in)
{
	if (!b->writes)
		return sql_fail_text(b->conn, ERR(INVALID), "this blob was opened for reading");
	TRY(check_range(b, offset, in.len));
	int rc = sqlite3_blob_write(handle_of(b), in.ptr, (int)in.len, (int)offset);
	return rc == SQLITE_OK ? OK : blob_fail(b->conn, rc);
}

err sql_blob_close(struct sql_blob *b)
{
	struct sql_conn *conn = b->conn;
	if (!b->handle)
		return OK;
	/* Where the write is a transaction of its own, this commits it. */
	int rc = sqlite3_blob_close(b->handle);
	err e = rc == SQLITE_OK ? OK : blob_fail(conn, rc);
	b->handle = NULL;
	conn->queries--;
	if (failed(e))
		sql_settle(conn);
	if (b->holds_writer)
		sql_slot_leave(conn);
	return e;
}
