/* What a stupid or hostile statement comes to: an error with a reason, while everybody else goes on. */
#include "support/check.h"
#include "private.h"

#include <stdlib.h>

#define DISK_LEN (32u << 20)
#define DEADLINE_NS 20000000 /* of the world's clock, which moves by a microsecond at each look */

static const struct sql_migration schema[] = {
	{1, "numbers", "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT);"
		       "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 1000) "
		       "INSERT INTO t SELECT x, 'name ' || x FROM c;"},
};

static struct world *new_world(void)
{
	struct world *w = world_new(DISK_LEN);
	w->sql_config.migrations = schema;
	w->sql_config.migration_count = ARRAY_LEN(schema);
	w->sql_config.memory_len = 2u << 20;
	return w;
}

#define WORLD_TEST(name)                                                                           \
	static void name##_run(struct world *w);                                                   \
	static void name(void **state)                                                             \
	{                                                                                          \
		(void)state;                                                                       \
		in_world(new_world(), name##_run);                                                 \
	}                                                                                          \
	static void name##_run(struct world *w)

/* `head`, then `part` n times, then `tail`; the caller frees it. */
static char *repeat(const char *head, const char *part, uint32_t n, const char *tail)
{
	size_t part_len = strlen(part), len = strlen(head);
	char *s = malloc(len + part_len * n + strlen(tail) + 1);
	assert_non_null(s);
	memcpy(s, head, len);
	for (uint32_t i = 0; i < n; i++, len += part_len)
		memcpy(s + len, part, part_len);
	strcpy(s + len, tail);
	return s;
}

/* It ends with one of the errors that are an answer, with a reason; and everything still works. */
static void ends_with(struct world *w, const char *sql, enum err_code expected, const char *reason)
{
	struct sql_conn *conn = acquire(w), *other = acquire(w);
	sql_set_deadline(conn, w->now_ns + DEADLINE_NS);
	err e = sql_exec(conn, sql, SQL_NO_ARGS);
	if (e.code != expected)
		fail_msg("%.60s...: %s: %s", sql, err_text(e), sql_error(conn));
	if (expected != ERR_OK && !strstr(sql_error(conn), reason))
		fail_msg("%.60s...: %s", sql, sql_error(conn));
	sql_set_deadline(conn, TIMER_NEVER);
	assert_int_equal(number(conn, "SELECT count(*) FROM t"), 1000);
	assert_int_equal(number(other, "SELECT count(*) FROM t WHERE name LIKE '%9%'"), 271);
	sql_release(conn);
	sql_release(other);
}

static void repeated_ends_with(struct world *w, const char *head, const char *part, uint32_t n, const char *tail,
	enum err_code expected, const char *reason)
{
	char *sql = repeat(head, part, n, tail);
	ends_with(w, sql, expected, reason);
	free(sql);
}

WORLD_TEST(a_huge_value_is_refused)
{
	ends_with(w, "SELECT zeroblob(1000000000)", ERR_TOO_LARGE, "too big");
	ends_with(w, "SELECT hex(zeroblob(200000))", ERR_TOO_LARGE, "too big");
	ends_with(w, "SELECT replace(hex(zeroblob(60000)), '0', 'xxxxxxxxxxxxxxxxxxxxxxxxxx')", ERR_TOO_LARGE, "too big");
	ends_with(w, "SELECT group_concat(a.name || b.name) FROM t a, t b", ERR_TOO_LARGE, "too big");
	ends_with(w, "SELECT json_group_array(a.name || b.name) FROM t a, t b", ERR_NO_MEMORY, "out of memory");
	ends_with(w, "INSERT INTO t VALUES (5000, zeroblob(999999999))", ERR_TOO_LARGE, "too big");
}

WORLD_TEST(an_endless_query_ends_at_its_deadline)
{
	ends_with(w, "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c",
		ERR_TIMEOUT, "deadline");
	ends_with(w, "SELECT count(*) FROM t a, t b, t c WHERE a.id + b.id + c.id = 7", ERR_TIMEOUT, "deadline");
}

WORLD_TEST(depth_is_limited)
{
	repeated_ends_with(w, "SELECT ", "(", 5000, "1", ERR_INVALID, "");
	repeated_ends_with(w, "SELECT 1", "+1", SQL_LIMIT_EXPRESSION_DEPTH + 1, "", ERR_INVALID, "depth");
	repeated_ends_with(w, "SELECT 1", "+1", SQL_LIMIT_EXPRESSION_DEPTH - 5, "", ERR_OK, "");
	repeated_ends_with(w, "SELECT 1 ", "UNION SELECT 1 ", SQL_LIMIT_COMPOUND, "", ERR_INVALID, "too many terms");
	repeated_ends_with(w, "SELECT 1 ", "UNION SELECT 1 ", SQL_LIMIT_COMPOUND - 1, "", ERR_OK, "");
	repeated_ends_with(w, "SELECT json('", "[", 161, "')", ERR_INVALID, "JSON");
	repeated_ends_with(w, "SELECT json_valid('", "[", 100000, "')", ERR_OK, "");
}

/* What visitors type into a search comes here. */
WORLD_TEST(a_pattern_is_limited)
{
	repeated_ends_with(w, "SELECT count(*) FROM t WHERE name LIKE '", "%a", SQL_LIMIT_PATTERN / 2 + 1, "'",
		ERR_INVALID, "pattern too complex");
	repeated_ends_with(w, "SELECT count(*) FROM t WHERE name GLOB '", "*a", SQL_LIMIT_PATTERN / 2 + 1, "'",
		ERR_INVALID, "pattern too complex");
	repeated_ends_with(w, "SELECT count(*) FROM t WHERE name LIKE '", "%a", SQL_LIMIT_PATTERN / 2, "'", ERR_OK, "");
	struct sql_conn *conn = acquire(w);
	char *pattern = repeat("", "%_", 100000, "");
	int64_t n;
	assert_err(sql_query_int(conn, "SELECT count(*) FROM t WHERE name LIKE ?",
			   SQL_ARGS(sql_text(slice_from_cstr(pattern))), &n),
		INVALID);
	free(pattern);
	sql_release(conn);
}

WORLD_TEST(a_huge_statement_is_refused)
{
	repeated_ends_with(w, "SELECT count(*) FROM t WHERE id IN (1", ",1", 1000, ")", ERR_OK, "");
	repeated_ends_with(w, "SELECT count(*) FROM t WHERE id IN (1", ",1", 20000, ")", ERR_NO_MEMORY, "memory");
	repeated_ends_with(w, "SELECT count(*) FROM t WHERE id IN (1", ",1", 600000, ")", ERR_NO_MEMORY, "memory");
	repeated_ends_with(w, "SELECT 1", ", 1", 3000, "", ERR_INVALID, "too many columns");
	repeated_ends_with(w, "SELECT ?40000", "", 0, "", ERR_INVALID, "variable number");
	repeated_ends_with(w, "SELECT count(*) FROM t a0", ", t", 70, "", ERR_INVALID, "at most 64 tables");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_huge_value_is_refused),
		cmocka_unit_test(an_endless_query_ends_at_its_deadline),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(a_pattern_is_limited),
		cmocka_unit_test(a_huge_statement_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
