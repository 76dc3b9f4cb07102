/* Migrations: the database's schema as numbered steps.
 *
 * 1. All that are pending are applied in one transaction, together with the notes about them. So a power cut or a
 *    failure leaves the volume with the old schema, whole, or with the new one.
 * 2. PRAGMA user_version is the number of the last one that was applied. A higher one than the program knows is
 *    refused: the volume is newer.
 * 3. The table ingot_migration has a row for each, with a hash of its text (without comments and blanks). A text
 *    that has changed since is refused: the volume has not what the program says. A row that is not there (a volume
 *    from before the table was, an imported database) is added from what the program says.
 * 4. Foreign keys are not enforced statement by statement, since tables are rebuilt by DROP and RENAME; all of them
 *    are checked before the commit. */
#include "private.h"

#include <base/assert.h>
#include <string.h>

#define CREATE_TABLE                                                                               \
	"CREATE TABLE ingot_migration (number INTEGER PRIMARY KEY, name TEXT NOT NULL, hash INTEGER NOT NULL," \
	" applied_at INTEGER NOT NULL) STRICT"

/* What has been done to a volume, and what is to be done. */
struct plan {
	int64_t version; /* of the volume */
	uint32_t noted;  /* rows about migrations that it has */
	bool table;
	uint32_t applied, pending; /* migrations of the program */
};

static void say(struct sql *sql, enum log_level level, const char *what)
{
	if (sql->config.log)
		log_write(sql->config.log, level, "sql", "%s", what);
}

static const char *name_of(const struct sql_migration *m)
{
	return m->name ? m->name : "";
}

/* --- The text of a migration ------------------------------------------------------------------ */

/* Behind blanks and comments. */
static const char *skip_blank(const char *s)
{
	for (;;) {
		s += strspn(s, " \t\r\n\f");
		if (s[0] == '-' && s[1] == '-') {
			s += strcspn(s, "\n");
		} else if (s[0] == '/' && s[1] == '*') {
			const char *end = strstr(s + 2, "*/");
			s = end ? end + 2 : s + strlen(s);
		} else {
			return s;
		}
	}
}

static bool is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || (c & 0x80);
}

/* Behind a quoted string or name; a doubled quote begins the next one, which does as well. */
static const char *skip_quoted(const char *s)
{
	const char *end = strchr(s + 1, *s);
	return end ? end + 1 : s + strlen(s);
}

static uint64_t hash_add(uint64_t hash, char c)
{
	return (hash ^ (uint8_t)c) * 0x100000001b3u;
}

/* FNV-1a of the text without comments, and without blanks but those that part two words. */
static int64_t hash_of(const char *s)
{
	uint64_t hash = 0xcbf29ce484222325u;
	char last = 0;
	for (s = skip_blank(s); *s;) {
		const char *end = *s == '\'' || *s == '"' || *s == '`' ? skip_quoted(s) : s + 1;
		for (; s < end; s++)
			hash = hash_add(hash, last = *s);
		s = skip_blank(s);
		if (s > end && is_word(last) && is_word(*s))
			hash = hash_add(hash, ' ');
	}
	return (int64_t)hash;
}

static unsigned line_of(const char *text, const char *at)
{
	unsigned line = 1;
	for (; text < at; text++)
		line += *text == '\n';
	return line;
}

/* --- Applying --------------------------------------------------------------------------------- */

/* Runs the statement at `sql`; `*tail` is behind it. */
static err run_one(struct sql_conn *conn, const char *sql, const char **tail)
{
	sqlite3_stmt *statement;
	conn->preparing = true;
	int rc = sqlite3_prepare_v2(conn->db, sql, -1, &statement, tail);
	conn->preparing = false;
	if (rc != SQLITE_OK)
		return sql_fail(conn, rc, NULL);
	while (statement && (rc = sqlite3_step(statement)) == SQLITE_ROW)
		;
	err e = !statement || rc == SQLITE_DONE ? OK : sql_fail(conn, rc, NULL);
	sqlite3_finalize(statement);
	return e;
}

static err apply(struct sql_conn *conn, const struct sql_migration *m)
{
	for (const char *sql = skip_blank(m->sql), *tail; *sql; sql = skip_blank(tail)) {
		err e = run_one(conn, sql, &tail);
		if (!failed(e))
			continue;
		if (conn->sql->config.log)
			log_write(conn->sql->config.log, LOG_ERROR, "sql", "migration %u (%s), line %u: %s", m->number,
				name_of(m), line_of(m->sql, sql), sql_error(conn));
		return e;
	}
	return OK;
}

static err note(struct sql_conn *conn, const struct sql_migration *m)
{
	return sql_exec(conn, "INSERT OR IGNORE INTO ingot_migration VALUES (?, ?, ?, unixepoch())",
		SQL_ARGS(sql_int(m->number), sql_text(slice_from_cstr(name_of(m))), sql_int(hash_of(m->sql))));
}

static err check_foreign_keys(struct sql_conn *conn)
{
	struct sql_query q;
	TRY(sql_query_begin(conn, &q, "PRAGMA foreign_key_check", SQL_NO_ARGS));
	bool broken = sql_query_next(&q);
	if (broken && conn->sql->config.log) {
		struct slice table = sql_column_text(&q, 0), parent = sql_column_text(&q, 2);
		log_write(conn->sql->config.log, LOG_ERROR, "sql",
			"after the migrations row %ld of %.*s would refer to a row of %.*s that is not there",
			sql_column_int(&q, 1), SLICE_ARG(table), SLICE_ARG(parent));
	}
	TRY(sql_query_end(&q));
	return broken ? ERR(INVALID) : OK;
}

static err apply_all(struct sql_conn *conn, const struct plan *plan)
{
	const struct sql_config *config = &conn->sql->config;
	if (!plan->table)
		TRY(sql_exec(conn, CREATE_TABLE, SQL_NO_ARGS));
	for (uint32_t i = 0; i < config->migration_count; i++) {
		if (i >= plan->applied)
			TRY(apply(conn, &config->migrations[i]));
		TRY(note(conn, &config->migrations[i]));
	}
	if (!plan->pending)
		return OK;
	char version[64];
	sqlite3_snprintf(sizeof version, version, "PRAGMA user_version = %u",
		config->migrations[config->migration_count - 1].number);
	int rc = sqlite3_exec(conn->db, version, NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return sql_fail(conn, rc, NULL);
	return check_foreign_keys(conn);
}

static err carry_out(struct sql_conn *conn, const struct plan *plan)
{
	sqlite3_db_config(conn->db, SQLITE_DBCONFIG_ENABLE_FKEY, 0, NULL);
	err e = sql_begin(conn, SQL_WRITE);
	if (!failed(e)) {
		e = apply_all(conn, plan);
		if (failed(e))
			sql_rollback(conn);
		else
			e = sql_commit(conn);
	}
	sqlite3_db_config(conn->db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
	return e;
}

/* --- The volume ------------------------------------------------------------------------------- */

static err check_numbers(const struct sql_config *config)
{
	for (uint32_t i = 0, last = 0; i < config->migration_count; i++) {
		const struct sql_migration *m = &config->migrations[i];
		if (m->number <= last || m->number > INT32_MAX || !m->sql)
			return ERR(INVALID);
		last = m->number;
	}
	return OK;
}

static err refuse_changed(const struct sql_config *config, const struct sql_migration *m, struct slice name)
{
	if (config->log)
		log_write(config->log, LOG_ERROR, "sql",
			"migration %u (%s) is not what was applied to this volume as %.*s: its text has changed since. Put it "
			"back as it was and write a new migration instead; or, if the volume does have what it says now: "
			"DELETE FROM ingot_migration WHERE number = %u (ingot db shell)",
			m->number, name_of(m), SLICE_ARG(name), m->number);
	return ERR(INVALID);
}

/* Compares what was applied with what the program says. */
static err compare(struct sql_conn *conn, struct plan *plan)
{
	const struct sql_config *config = &conn->sql->config;
	struct sql_query q;
	err e = OK;
	uint32_t i = 0;
	TRY(sql_query_begin(conn, &q, "SELECT number, name, hash FROM ingot_migration ORDER BY number", SQL_NO_ARGS));
	while (!failed(e) && sql_query_next(&q)) {
		int64_t number = sql_column_int(&q, 0);
		while (i < plan->applied && config->migrations[i].number < number)
			i++;
		if (i == plan->applied || config->migrations[i].number != number)
			continue;
		plan->noted++;
		if (sql_column_int(&q, 2) != hash_of(config->migrations[i].sql))
			e = refuse_changed(config, &config->migrations[i], sql_column_text(&q, 1));
	}
	err end = sql_query_end(&q);
	return failed(e) ? e : end;
}

static err refuse_version(const struct sql_config *config, int64_t version)
{
	if (config->log)
		log_write(config->log, LOG_ERROR, "sql",
			"the volume's schema is number %ld, and this image knows migrations up to %u: it is older than the "
			"volume. Start an image that has migration %ld, or another volume; this one is untouched",
			version, config->migrations[config->migration_count - 1].number, version);
	return ERR(UNSUPPORTED);
}

static err plan_make(struct sql_conn *conn, struct plan *plan)
{
	const struct sql_config *config = &conn->sql->config;
	int64_t tables;
	*plan = (struct plan){0};
	TRY(sql_query_int(conn, "PRAGMA user_version", SQL_NO_ARGS, &plan->version));
	if (plan->version < 0 || plan->version > (int64_t)config->migrations[config->migration_count - 1].number)
		return refuse_version(config, plan->version);
	while (plan->applied < config->migration_count
		&& config->migrations[plan->applied].number <= plan->version)
		plan->applied++;
	plan->pending = config->migration_count - plan->applied;
	TRY(sql_query_int(conn, "SELECT count(*) FROM sqlite_schema WHERE name = 'ingot_migration'", SQL_NO_ARGS,
		&tables));
	plan->table = tables > 0;
	return plan->table ? compare(conn, plan) : OK;
}

/* A database from elsewhere whose tables the first migration wants to make. */
static bool looks_imported(struct sql_conn *conn, const struct plan *plan)
{
	int64_t tables = 0;
	return plan->version == 0 && !plan->table && !failed(sql_query_int(conn,
		"SELECT count(*) FROM sqlite_schema", SQL_NO_ARGS, &tables)) && tables > 0;
}

static void say_done(const struct sql_config *config, const struct plan *plan)
{
	for (uint32_t i = plan->applied; i < config->migration_count && config->log; i++)
		log_write(config->log, LOG_INFO, "sql", "migration %u (%s): applied", config->migrations[i].number,
			name_of(&config->migrations[i]));
}

err sql_migrate(struct sql *sql, struct sql_conn *conn)
{
	const struct sql_config *config = &sql->config;
	struct plan plan;
	TRY(check_numbers(config));
	if (!config->migration_count)
		return OK;
	TRY(plan_make(conn, &plan));
	if (!plan.pending && plan.noted == plan.applied)
		return OK;
	err e = carry_out(conn, &plan);
	if (!failed(e)) {
		say_done(config, &plan);
		return store_wait_durable(config->store, sql_generation(conn));
	}
	if (!plan.pending) {
		/* What the database needs is there. */
		say(sql, LOG_WARN, "the volume's notes about its migrations could not be completed");
		return OK;
	}
	say(sql, LOG_ERROR, "no migration was applied: the volume is as it was");
	if (looks_imported(conn, &plan))
		say(sql, LOG_ERROR, "it has tables, but no notes about migrations. If it was imported, import it again and "
			"say how many migrations it has already: ingot db import --migrated N");
	return e;
}
