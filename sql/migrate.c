/* Migrations: PRAGMA user_version is the number of the last one that was applied. Each is one
 * transaction together with its number, so that a power cut leaves it applied or not. */
#include "private.h"

static void say(struct sql *sql, enum log_level level, const struct sql_migration *m, const char *what)
{
	if (sql->config.log)
		log_write(sql->config.log, level, "sql", "migration %u (%s): %s", m->number,
			m->name ? m->name : "", what);
}

static err apply(struct sql_conn *conn, const struct sql_migration *m)
{
	char version[64];
	sqlite3_snprintf(sizeof version, version, "PRAGMA user_version = %u", m->number);
	TRY(sql_begin(conn, SQL_WRITE));
	err e = sql_run(conn, m->sql);
	if (!failed(e))
		e = sql_run(conn, version);
	if (failed(e)) {
		say(conn->sql, LOG_ERROR, m, sql_error(conn));
		sql_rollback(conn);
		return e;
	}
	TRY(sql_commit(conn));
	say(conn->sql, LOG_INFO, m, "applied");
	return OK;
}

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

err sql_migrate(struct sql *sql, struct sql_conn *conn)
{
	const struct sql_config *config = &sql->config;
	TRY(check_numbers(config));
	int64_t version;
	TRY(sql_query_int(conn, "PRAGMA user_version", SQL_NO_ARGS, &version));
	uint32_t count = config->migration_count;
	if (count && version > (int64_t)config->migrations[count - 1].number) {
		if (config->log)
			log_write(config->log, LOG_ERROR, "sql",
				"the volume's schema is version %ld, this program knows up to %u: "
				"run the newer program, or use another volume",
				version, config->migrations[count - 1].number);
		return ERR(UNSUPPORTED);
	}
	for (uint32_t i = 0; i < count; i++)
		if ((int64_t)config->migrations[i].number > version)
			TRY(apply(conn, &config->migrations[i]));
	return store_wait_durable(config->store, conn->generation);
}
