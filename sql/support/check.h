/* What the tests of this module have in common. Failures end the test (cmocka) and name their line. */
#ifndef SQL_SUPPORT_CHECK_H
#define SQL_SUPPORT_CHECK_H

#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static inline void ok_at(err e, struct sql_conn *conn, int line)
{
	if (failed(e))
		fail_msg("line %d: %s: %s", line, err_text(e), conn ? sql_error(conn) : "");
}
#define ok(e, conn) ok_at(e, conn, __LINE__)

static inline void assert_err_at(err e, enum err_code expected, int line)
{
	if (e.code != expected)
		fail_msg("line %d: %s instead of %s", line, err_text(e), err_text((err){expected}));
}
#define assert_err(e, name) assert_err_at(e, ERR_##name, __LINE__)

static inline struct sql_conn *acquire(struct world *w)
{
	struct sql_conn *conn;
	ok(sql_acquire(w->sql, TIMER_NEVER, &conn), NULL);
	return conn;
}

static inline int64_t number_at(struct sql_conn *conn, const char *sql, int line)
{
	int64_t n = -1;
	ok_at(sql_query_int(conn, sql, SQL_NO_ARGS, &n), conn, line);
	return n;
}
#define number(conn, sql) number_at(conn, sql, __LINE__)

static inline void check_integrity(struct sql_conn *conn)
{
	struct sql_query q;
	ok(sql_query_begin(conn, &q, "PRAGMA integrity_check", SQL_NO_ARGS), conn);
	assert_true(sql_query_next(&q));
	assert_true(slice_eq(sql_column_text(&q, 0), SLICE("ok")));
	ok(sql_query_end(&q), conn);
}

static inline void open_world(struct world *w)
{
	ok(world_open(w), NULL);
}

static inline void close_world(struct world *w)
{
	world_close(w);
}

/* Runs a test on a fiber, in an open world of which nothing is left after it. */
static inline void in_world(struct world *w, void (*run)(struct world *))
{
	world_run(w, open_world);
	world_run(w, run);
	world_run(w, close_world);
	world_free(w);
}

#endif
