#include "migrated.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <base/api.h>

/* The program never frees what it allocates (tool.h). */
API_BEGIN
const char *__asan_default_options(void);
API_END
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

static void is_normal(const char *sql, const char *normal)
{
	char *got = migrated_normal(sql);
	assert_string_equal(got, normal);
	free(got);
}

static void what_is_written_otherwise_is_the_same(void **state)
{
	(void)state;
	is_normal("CREATE TABLE  \"Entry\" (\n\tid INTEGER, -- the key\n\t[t] TEXT\n)", "create table entry(id integer,t text)");
	is_normal("create table entry(id integer, t text);", "create table entry(id integer,t text)");
	is_normal("CREATE TABLE IF NOT EXISTS e (a /* b */ TEXT)", "create table e(a text)");
	is_normal("CREATE TABLE e (a DEFAULT 'If  Not -- X')", "create table e(a default 'If  Not -- X')");
	is_normal("/* never ends", "");
	is_normal("'never ends", "'never ends'");
	is_normal("", "");
}

struct folder {
	char path[64];
	sqlite3 *db;
};

static void write_file(const struct folder *f, const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof path, "%s/migrations/%s", f->path, name);
	FILE *out = fopen(path, "w");
	assert_non_null(out);
	fputs(text, out);
	fclose(out);
}

static int set_up(void **state)
{
	struct folder *f = calloc(1, sizeof *f);
	char path[128];
	strcpy(f->path, "/tmp/migrated_test.XXXXXX");
	if (!mkdtemp(f->path))
		return -1;
	snprintf(path, sizeof path, "%s/migrations", f->path);
	mkdir(path, 0700);
	write_file(f, "001-a.sql", "CREATE TABLE a (id INTEGER PRIMARY KEY, t TEXT); CREATE INDEX ai ON a (t);");
	write_file(f, "002-b.sql", "ALTER TABLE a ADD COLUMN n INTEGER;");
	write_file(f, "010-c.sql", "CREATE TABLE c (x); CREATE TRIGGER ct AFTER INSERT ON c BEGIN SELECT 1; END;");
	*state = f;
	return sqlite3_open_v2(":memory:", &f->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "unix");
}

static int tear_down(void **state)
{
	struct folder *f = *state;
	char command[128];
	snprintf(command, sizeof command, "rm -rf %s", f->path);
	sqlite3_close(f->db);
	int rc = system(command);
	free(f);
	return rc;
}

static void has(struct folder *f, const char *sql, int64_t expected)
{
	assert_int_equal(sqlite3_exec(f->db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(migrated_decide(f->db, f->path, NULL), expected);
}

static void the_migrations_that_a_schema_has_are_found(void **state)
{
	struct folder *f = *state;
	has(f, "CREATE TABLE other (x)", 0);
	has(f, "create table A(id integer primary key, T text)", 0);
	has(f, "CREATE INDEX ai ON a(t)", 1);
	has(f, "ALTER TABLE a ADD COLUMN n INTEGER", 2);
	has(f, "CREATE TABLE c (x)", 2);
	has(f, "CREATE TRIGGER ct AFTER INSERT ON c BEGIN SELECT 1; END", 10);
}

static void what_the_user_or_the_file_says_counts_more(void **state)
{
	struct folder *f = *state;
	assert_int_equal(migrated_decide(f->db, f->path, "7"), 7);
	assert_int_equal(migrated_decide(f->db, NULL, NULL), 0);
	has(f, "CREATE TABLE ingot_migration (number)", -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_otherwise_is_the_same),
		cmocka_unit_test_setup_teardown(the_migrations_that_a_schema_has_are_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_the_user_or_the_file_says_counts_more, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("migrated", tests, NULL, NULL);
}
