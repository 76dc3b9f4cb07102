/* The schema in memory; see schema.h. */
#include "schema.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sql/sql.h>

#define HEAP_SIZE (256 << 20) /* address space; only what is used is touched */
#define NUMBER_MAX 999999
#define ERRORS_MAX 20 /* of one migration */

/* --- SQLite on a host without files ----------------------------------------------------------- */

static int no_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
	(void)vfs, (void)name, (void)flags, (void)out;
	file->pMethods = NULL;
	return SQLITE_CANTOPEN;
}

static int no_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	(void)vfs, (void)name, (void)sync;
	return SQLITE_IOERR_DELETE_NOENT;
}

static int no_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
	(void)vfs, (void)name, (void)flags;
	*out = 0;
	return SQLITE_OK;
}

static int same_path(sqlite3_vfs *vfs, const char *name, int len, char *out)
{
	(void)vfs;
	sqlite3_snprintf(len, out, "%s", name);
	return SQLITE_OK;
}

/* A build gives the same bytes each time, and nothing here is kept. */
static int no_randomness(sqlite3_vfs *vfs, int len, char *out)
{
	(void)vfs;
	memset(out, 42, (size_t)len);
	return len;
}

static int no_sleep(sqlite3_vfs *vfs, int us)
{
	(void)vfs;
	return us;
}

static int current_time(sqlite3_vfs *vfs, sqlite3_int64 *out)
{
	(void)vfs;
	*out = 210866760000000 + (sqlite3_int64)time(NULL) * 1000;
	return SQLITE_OK;
}

static sqlite3_vfs *build_vfs(void)
{
	static sqlite3_vfs vfs = {.iVersion = 2, .szOsFile = sizeof(sqlite3_file), .mxPathname = 64, .zName = "build",
		.xOpen = no_file, .xDelete = no_delete, .xAccess = no_access, .xFullPathname = same_path,
		.xRandomness = no_randomness, .xSleep = no_sleep, .xCurrentTimeInt64 = current_time};
	return &vfs;
}

static int refuse(const char **refusal, const char *why)
{
	*refusal = why;
	return SQLITE_DENY;
}

static int judge_pragma(const char **refusal, const char *name, const char *argument)
{
	if (argument && sqlite3_stricmp(name, "user_version") == 0)
		return refuse(refusal, "PRAGMA user_version is the number of the last migration; Ingot keeps it");
	if (argument && sqlite3_stricmp(name, "foreign_keys") == 0)
		return refuse(refusal, "PRAGMA foreign_keys cannot be changed: it is on, but while migrations run, and then"
			" all keys are checked before they are committed");
	if (!sql_pragma_allowed(name, argument))
		return refuse(refusal, format("PRAGMA %s%s: what it would change belongs to Ingot", name,
			argument ? " = ..." : ""));
	return SQLITE_OK;
}

/* As in the image (on_authorize in sql/conn.c), and what a transaction rules out. */
static int on_authorize(void *cookie, int action, const char *a, const char *b, const char *db, const char *by)
{
	const char **refusal = cookie;
	(void)db, (void)by;
	if (action == SQLITE_TRANSACTION)
		return refuse(refusal, format("%s: transactions are begun and ended by Ingot (all migrations are one; in a handler:"
			" db_begin)", a));
	if (action == SQLITE_SAVEPOINT)
		return refuse(refusal, "savepoints are not for SQL text (in a handler: db_savepoint)");
	if (action == SQLITE_ATTACH || action == SQLITE_DETACH)
		return refuse(refusal, "there is one database: ATTACH and DETACH are not possible");
	return action == SQLITE_PRAGMA && a ? judge_pragma(refusal, a, b) : SQLITE_OK;
}

static sqlite3 *database_open(void)
{
	sqlite3 *db;
	static const int limits[][2] = {{SQLITE_LIMIT_EXPR_DEPTH, SQL_LIMIT_EXPRESSION_DEPTH},
		{SQLITE_LIMIT_COMPOUND_SELECT, SQL_LIMIT_COMPOUND}, {SQLITE_LIMIT_SQL_LENGTH, SQL_LIMIT_TEXT},
		{SQLITE_LIMIT_VDBE_OP, SQL_LIMIT_STEPS}, {SQLITE_LIMIT_ATTACHED, 1}};
	sqlite3_config(SQLITE_CONFIG_HEAP, must_alloc(HEAP_SIZE), HEAP_SIZE, 64);
	if (sqlite3_initialize() != SQLITE_OK || sqlite3_vfs_register(build_vfs(), 0) != SQLITE_OK
		|| sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_EXRESCODE,
			   "build") != SQLITE_OK
		|| sqlite3_exec(db, "PRAGMA trusted_schema = OFF; PRAGMA foreign_keys = OFF", NULL, NULL, NULL) != SQLITE_OK
		|| sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL) != SQLITE_OK
		|| sqlite3_exec(db, "CREATE TABLE ingot_migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL,"
				    " hash INTEGER NOT NULL, applied_at INTEGER NOT NULL) STRICT",
			   NULL, NULL, NULL) != SQLITE_OK)
		die("a bug in Ingot itself: no database in memory; please report it");
	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		sqlite3_limit(db, limits[i][0], limits[i][1]);
	return db;
}

/* --- What SQLite says, and where -------------------------------------------------------------- */

/* The word that a message is about: what follows the last ": ", "named ", or stands in quotes after "near ". */
static struct slice word_of(const char *message)
{
	const char *at = NULL, *m;
	if ((m = strstr(message, "named ")))
		at = m + 6;
	else if ((m = strrchr(message, ':')) && m[1] == ' ')
		at = m + 2;
	if (!at)
		return (struct slice){NULL, 0};
	at += *at == '"';
	struct slice word = slice_sub(slice_from_cstr(at), 0, strcspn(at, " ()\""));
	size_t dot = word.len;
	while (dot > 0 && word.ptr[dot - 1] != '.')
		dot--;
	return slice_sub(word, dot, word.len);
}

static void offer_column_names(const struct schema *schema, struct guess *g, const char *from)
{
	sqlite3_stmt *s = schema_try(schema, from);
	while (s && sqlite3_step(s) == SQLITE_ROW)
		guess_offer(g, (const char *)sqlite3_column_text(s, 0));
	sqlite3_finalize(s);
}

/* The columns of the tables that stand in the statement; of all tables when that gives nothing. */
static const char *guess_column(const struct schema *schema, const char *sql, struct slice word)
{
	struct guess g = guess_begin(word);
	struct tokens t = lex_sql(slice_from_cstr(sql), false);
	for (size_t i = 0; i < t.count; i++) {
		const char *name = token_name(&t.item[i]);
		if (name && !slice_eq_nocase(slice_from_cstr(name), word))
			offer_column_names(schema, &g, sqlite3_mprintf("SELECT name FROM pragma_table_xinfo(%Q)", name));
	}
	return guess_text(&g);
}

static const char *guess_for(const struct schema *schema, const char *message, const char *sql, struct slice word)
{
	struct guess g = guess_begin(word);
	if (strstr(message, "no such column") || strstr(message, "has no column named"))
		return guess_column(schema, sql, word);
	if (strstr(message, "no such table"))
		offer_column_names(schema, &g, "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')"
			" AND name NOT LIKE 'ingot\\_%' ESCAPE '\\'");
	else if (strstr(message, "no such function"))
		offer_column_names(schema, &g, "SELECT DISTINCT name FROM pragma_function_list ORDER BY name");
	else
		return "";
	return guess_text(&g);
}

/* The token that the message is about: SQLite's offset, or the word that it names; else the first one. */
static const struct token *culprit(const struct tokens *t, int offset, struct slice word)
{
	for (size_t i = 0; offset >= 0 && i < t->count; i++)
		if (t->item[i].offset + t->item[i].text.len > (size_t)offset)
			return &t->item[i];
	for (size_t i = 0; word.len && i < t->count; i++) {
		const char *name = token_name(&t->item[i]);
		if (name && slice_eq_nocase(slice_from_cstr(name), word))
			return &t->item[i];
	}
	return offset >= 0 && t->count ? &t->item[t->count - 1] : t->item;
}

/* A qualified name's last part: "e.mesage" is about mesage. */
static const struct token *last_part(const struct tokens *t, const struct token *k, struct slice word)
{
	const struct token *end = t->item + t->count;
	while (k + 2 < end && token_is(k + 1, ".") && word.len && token_name(k)
		&& !slice_eq_nocase(slice_from_cstr(token_name(k)), word))
		k += 2;
	return k;
}

/* About the last call that failed, for a text of `len` bytes. */
static void report_sqlite(const struct schema *schema, struct report *r, const struct source *s, const char *sql,
	size_t len, size_t offset, const struct place_map *place)
{
	const char *message = format("%s", sqlite3_errmsg(schema->db));
	int at = sqlite3_error_offset(schema->db);
	char *text = format("%.*s", (int)len, sql);
	struct tokens t = lex_sql(slice_of(text, len), false);
	struct slice word = word_of(message);
	if (!t.count) {
		report_error(r, s, offset, 1, "%s", message);
		return;
	}
	const struct token *k = last_part(&t, culprit(&t, at, word), word);
	if (strcmp(message, "incomplete input") == 0)
		k = &t.item[t.count - 1];
	size_t first = k->offset, last = k->offset + k->text.len;
	if (place)
		first = place->offset[first], last = place->offset[last];
	else
		first += offset, last += offset;
	const char *refused = *schema->refusal;
	const char *hint = refused ? "" : guess_for(schema, message, text, word);
	report_error(r, s, first, last - first, "%s%s", refused ? refused : message, hint);
}

sqlite3_stmt *schema_prepare(const struct schema *schema, struct report *r, const struct source *s, const char *sql,
	size_t offset, const struct place_map *place)
{
	sqlite3_stmt *statement;
	*schema->refusal = NULL;
	if (sqlite3_prepare_v2(schema->db, sql, -1, &statement, NULL) == SQLITE_OK)
		return statement;
	report_sqlite(schema, r, s, sql, strlen(sql), offset, place);
	return NULL;
}

sqlite3_stmt *schema_try(const struct schema *schema, const char *sql)
{
	sqlite3_stmt *statement;
	*schema->refusal = NULL;
	return sqlite3_prepare_v2(schema->db, sql, -1, &statement, NULL) == SQLITE_OK ? statement : NULL;
}

/* --- Migrations ------------------------------------------------------------------------------- */

/* The number at the start of "012-name.sql" or "0012_name.sql". 0: it is not called so. */
static unsigned migration_number(const char *path)
{
	char *end;
	unsigned long n = strtoul(path, &end, 10);
	struct slice rest = slice_from_cstr(end);
	if (path[0] < '0' || path[0] > '9' || (*end != '-' && *end != '_') || n > NUMBER_MAX || strchr(path, '/')
		|| !slice_ends_with(rest, SLICE(".sql")) || rest.len < 6)
		return 0;
	return (unsigned)n;
}

static int by_number(const void *a, const void *b)
{
	unsigned x = ((const struct migration *)a)->number, y = ((const struct migration *)b)->number;
	return (x > y) - (x < y);
}

static void check_numbers(const struct schema *schema, struct report *r)
{
	for (size_t i = 0; i < schema->count; i++) {
		const struct migration *m = &schema->migration[i];
		unsigned last = i ? m[-1].number : 0;
		if (m->number == last)
			report_file(r, m->source.name, "number %u is taken by %s; give one of them the next free number",
				m->number, m[-1].source.name);
		else if (m->number != last + 1)
			report_file(r, m->source.name, "there is no migration %u before number %u; number them 1, 2, 3"
				" without gaps", last + 1, m->number);
	}
}

static void read_migrations(struct schema *schema, const struct app_folder *app, struct report *r)
{
	schema->migration = must_alloc((app->migrations.count + 1) * sizeof *schema->migration);
	for (size_t i = 0; i < app->migrations.count; i++) {
		const char *path = format("migrations/%s", app->migrations.item[i]);
		unsigned number = migration_number(app->migrations.item[i]);
		if (!number) {
			report_file(r, path, "a migration is called NUMBER-NAME.sql, like 001-entries.sql");
			continue;
		}
		struct migration *m = &schema->migration[schema->count++];
		*m = (struct migration){.number = number, .source = source_read(app, path)};
		source_is_text(&m->source, r);
	}
	qsort(schema->migration, schema->count, sizeof *schema->migration, by_number);
}

/* True when what comes after it can still be judged. */
static bool run_statement(const struct schema *schema, struct report *r, const struct source *s, const char *sql,
	size_t len, sqlite3_stmt *statement)
{
	int rc;
	*schema->refusal = NULL;
	while ((rc = sqlite3_step(statement)) == SQLITE_ROW)
		;
	if (rc != SQLITE_DONE)
		report_sqlite(schema, r, s, sql, len, (size_t)((const uint8_t *)sql - s->text.ptr), NULL);
	return rc == SQLITE_DONE;
}

/* The length of the first statement with its semicolon: what SQLite would take, also when it is wrong. */
static size_t statement_length(const char *sql)
{
	struct tokens t = lex_sql(slice_from_cstr(sql), false);
	char *part = format("%s", sql);
	for (size_t i = 0; i < t.count; i++) {
		size_t end = t.item[i].offset + 1;
		if (!token_is(&t.item[i], ";"))
			continue;
		char next = part[end];
		part[end] = '\0';
		bool complete = sqlite3_complete(part);
		part[end] = next;
		if (complete)
			return end;
	}
	return strlen(sql);
}

/* Whether what follows is built on it. */
static bool is_definition(const char *sql, size_t len)
{
	struct tokens t = lex_sql(slice_of(sql, len), false);
	return t.count && (token_is(t.item, "CREATE") || token_is(t.item, "ALTER") || token_is(t.item, "DROP"));
}

/* Goes on after a mistake, unless what follows is built on the statement that was not carried out. */
static bool apply(const struct schema *schema, const struct migration *m, struct report *r)
{
	const char *sql = format("%.*s", SLICE_ARG(m->source.text)), *begin = sql, *tail;
	struct source s = {m->source.name, slice_from_cstr(sql)};
	unsigned errors = 0;
	for (; *sql && errors < ERRORS_MAX; sql = tail) {
		sqlite3_stmt *statement;
		*schema->refusal = NULL;
		bool done = sqlite3_prepare_v2(schema->db, sql, -1, &statement, &tail) == SQLITE_OK;
		if (!done) {
			tail = sql + statement_length(sql);
			report_sqlite(schema, r, &s, sql, (size_t)(tail - sql), (size_t)(sql - begin), NULL);
		} else if (statement) {
			done = run_statement(schema, r, &s, sql, (size_t)(tail - sql), statement);
			sqlite3_finalize(statement);
		}
		errors += !done;
		if (!done && is_definition(sql, (size_t)(tail - sql)))
			break;
	}
	return errors == 0;
}

/* As a boot does before it commits. */
static void check_foreign_keys(const struct schema *schema, struct report *r)
{
	sqlite3_stmt *s = schema_try(schema, "PRAGMA foreign_key_check");
	if (s && sqlite3_step(s) == SQLITE_ROW)
		report_file(r, schema->migration[schema->count - 1].source.name,
			"after the migrations a row of %s refers to a row of %s that is not there",
			(const char *)sqlite3_column_text(s, 0), (const char *)sqlite3_column_text(s, 2));
	sqlite3_finalize(s);
}

struct schema schema_open(const struct app_folder *app, struct report *r)
{
	struct schema schema = {.db = database_open(), .refusal = must_alloc(sizeof *schema.refusal)};
	unsigned before = r->errors;
	read_migrations(&schema, app, r);
	check_numbers(&schema, r);
	if (r->errors > before)
		return schema;
	sqlite3_exec(schema.db, "BEGIN", NULL, NULL, NULL);
	sqlite3_set_authorizer(schema.db, on_authorize, schema.refusal);
	for (size_t i = 0; i < schema.count; i++)
		if (!apply(&schema, &schema.migration[i], r))
			break;
	if (r->errors == before && schema.count)
		check_foreign_keys(&schema, r);
	sqlite3_set_authorizer(schema.db, NULL, NULL);
	sqlite3_exec(schema.db, "COMMIT", NULL, NULL, NULL);
	sqlite3_set_authorizer(schema.db, on_authorize, schema.refusal);
	return schema;
}

/* --- Columns ---------------------------------------------------------------------------------- */

static bool has(const char *text, const char *part)
{
	char *upper = format("%s", text);
	for (char *p = upper; *p; p++)
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p - 32);
	return strstr(upper, part) != NULL;
}

enum kind_type schema_type(const char *type)
{
	if (!type || !*type)
		return KIND_UNKNOWN;
	if (has(type, "INT") || has(type, "BOOL"))
		return KIND_INT;
	if (has(type, "CHAR") || has(type, "CLOB") || has(type, "TEXT"))
		return KIND_TEXT;
	if (has(type, "BLOB"))
		return KIND_BLOB;
	if (has(type, "REAL") || has(type, "FLOA") || has(type, "DOUB"))
		return KIND_REAL;
	return KIND_UNKNOWN;
}

/* A full-text table's columns have no declaration: they are text. */
static bool is_full_text(const struct schema *schema, const char *table)
{
	char *sql = sqlite3_mprintf("SELECT 1 FROM sqlite_schema WHERE name = %Q COLLATE NOCASE AND sql LIKE"
		" 'CREATE VIRTUAL TABLE%%USING fts5%%'", table);
	sqlite3_stmt *s = schema_try(schema, sql);
	bool found = s && sqlite3_step(s) == SQLITE_ROW;
	sqlite3_finalize(s);
	return found;
}

/* Whether the column stands for the row's number: then it is never NULL, though not declared so. */
static bool is_row_number(const struct schema *schema, const char *table, const char *column)
{
	char *sql = sqlite3_mprintf("SELECT 1 FROM pragma_table_xinfo(%Q) WHERE pk = 1 AND type = 'INTEGER' COLLATE NOCASE"
		" AND name = %Q COLLATE NOCASE AND (SELECT count(*) FROM pragma_table_xinfo(%Q) WHERE pk > 0) = 1",
		table, column, table);
	sqlite3_stmt *s = schema_try(schema, sql);
	bool found = s && sqlite3_step(s) == SQLITE_ROW;
	sqlite3_finalize(s);
	return found;
}

/* Of a real table. False when there is no such column. */
static bool table_column(const struct schema *schema, const char *table, const char *column, struct kind *kind,
	const char **declared)
{
	int not_null, key, autoincrement;
	const char *type, *collation;
	if (sqlite3_table_column_metadata(schema->db, "main", table, column, &type, &collation, &not_null, &key,
		    &autoincrement) != SQLITE_OK)
		return false;
	kind->type = schema_type(type);
	if (kind->type == KIND_UNKNOWN && is_full_text(schema, table))
		kind->type = sqlite3_stricmp(column, "rank") == 0 ? KIND_REAL : KIND_TEXT;
	bool row_number = sqlite3_stricmp(column, "rowid") == 0 || is_row_number(schema, table, column);
	kind->nullable = !not_null && !row_number;
	*declared = type && *type ? format("%s", type) : NULL;
	return true;
}

bool schema_origin(const struct schema *schema, sqlite3_stmt *statement, int i, struct kind *kind, const char **declared)
{
	const char *table = sqlite3_column_table_name(statement, i);
	const char *column = sqlite3_column_origin_name(statement, i);
	return table && column && table_column(schema, table, column, kind, declared);
}

struct kind schema_column(const struct schema *schema, const char *table, const char *column)
{
	struct kind kind = {KIND_UNKNOWN, true};
	const char *declared;
	if (table_column(schema, table, column, &kind, &declared))
		return kind;
	/* A view. */
	const char *sql = sqlite3_mprintf("SELECT \"%w\" FROM \"%w\"", column, table);
	sqlite3_stmt *s = schema_try(schema, sql);
	if (s && schema_origin(schema, s, 0, &kind, &declared)) {
		bool all;
		kind.nullable |= schema_outer_tables(schema, sql, &all).count > 0 || all;
	}
	sqlite3_finalize(s);
	return kind;
}

struct strings schema_columns(const struct schema *schema, const char *table)
{
	struct strings names = {0};
	sqlite3_stmt *s = schema_try(schema, sqlite3_mprintf("SELECT name FROM pragma_table_info(%Q)", table));
	while (s && sqlite3_step(s) == SQLITE_ROW)
		strings_add(&names, (const char *)sqlite3_column_text(s, 0));
	sqlite3_finalize(s);
	return names;
}

/* --- Outer joins: which cursors the program fills up with NULL -------------------------------- */

static const char *table_at(const struct schema *schema, int64_t root)
{
	sqlite3_stmt *s = schema_try(schema, sqlite3_mprintf("SELECT tbl_name FROM sqlite_schema WHERE rootpage = %lld",
		(long long)root));
	const char *name = s && sqlite3_step(s) == SQLITE_ROW ? format("%s", sqlite3_column_text(s, 0)) : NULL;
	sqlite3_finalize(s);
	return name;
}

static bool uses_view(const struct schema *schema, const struct tokens *t)
{
	bool found = false;
	sqlite3_stmt *s = schema_try(schema, "SELECT name FROM sqlite_schema WHERE type = 'view'");
	while (s && sqlite3_step(s) == SQLITE_ROW)
		for (size_t i = 0; i < t->count; i++) {
			const char *name = token_name(&t->item[i]);
			found |= name && sqlite3_stricmp(name, (const char *)sqlite3_column_text(s, 0)) == 0;
		}
	sqlite3_finalize(s);
	return found;
}

static bool says_one_of(const struct tokens *t, const char *const *words, unsigned depth_min)
{
	for (size_t i = 0; i < t->count; i++)
		for (const char *const *w = words; *w; w++)
			if (t->item[i].depth >= depth_min && token_is(&t->item[i], *w))
				return true;
	return false;
}

bool schema_says(const struct schema *schema, const struct tokens *t, const char *const *words, unsigned depth_min)
{
	bool found = says_one_of(t, words, depth_min);
	if (found || !uses_view(schema, t))
		return found;
	sqlite3_stmt *s = schema_try(schema, "SELECT sql FROM sqlite_schema WHERE type = 'view'");
	while (s && sqlite3_step(s) == SQLITE_ROW) {
		struct tokens view = lex_sql(slice_from_cstr((const char *)sqlite3_column_text(s, 0)), false);
		found |= says_one_of(&view, words, 0);
	}
	sqlite3_finalize(s);
	return found;
}

/* What the cursors of a program stand for. */
struct cursors {
	int64_t root[256]; /* of the table or index; 0: something else */
	bool filled[256];  /* with NULL, when an outer join finds no row */
	int64_t automatic; /* the index that is being made, -1: none */
};

static bool is_op(const char *op, const char *name)
{
	return strcmp(op, name) == 0;
}

static void follow(struct cursors *c, const char *op, int64_t p1, int64_t p2)
{
	if (p1 < 0 || p1 >= (int64_t)ARRAY_LEN(c->root))
		return;
	if (is_op(op, "OpenRead") || is_op(op, "OpenWrite"))
		c->root[p1] = p2;
	else if (is_op(op, "NullRow"))
		c->filled[p1] = true;
	else if (is_op(op, "OpenAutoindex"))
		c->automatic = p1;
	else if (is_op(op, "IdxInsert") && c->automatic == p1)
		c->automatic = -1;
	else if (is_op(op, "Rewind") && c->automatic >= 0)
		c->root[c->automatic] = c->root[p1]; /* it is made of that table's rows */
}

struct strings schema_outer_tables(const struct schema *schema, const char *sql, bool *all)
{
	struct cursors c = {.automatic = -1};
	struct strings tables = {0};
	static const char *const outer[] = {"LEFT", "RIGHT", "FULL", "OUTER", NULL};
	struct tokens t = lex_sql(slice_from_cstr(sql), false);
	*all = false;
	if (!schema_says(schema, &t, outer, 0))
		return tables;
	/* Tables are opened by the program's last part, so that it is followed twice. */
	for (int round = 0; round < 2; round++) {
		sqlite3_stmt *s = schema_try(schema, format("EXPLAIN %s", sql));
		while (s && sqlite3_step(s) == SQLITE_ROW)
			follow(&c, (const char *)sqlite3_column_text(s, 1), sqlite3_column_int64(s, 2), sqlite3_column_int64(s, 3));
		sqlite3_finalize(s);
	}
	for (size_t i = 0; i < ARRAY_LEN(c.root); i++) {
		const char *name = c.filled[i] && c.root[i] ? table_at(schema, c.root[i]) : NULL;
		if (name)
			strings_add(&tables, name);
		*all |= c.filled[i] && !name;
	}
	return tables;
}
