/* The database that an application's migrations make, in memory, while it is built: what its queries are checked
 * against. The same SQLite with the same options, settings and refusals as in the image (sql/conn.c). */
#ifndef CLI_SCHEMA_H
#define CLI_SCHEMA_H

#include <sqlite3.h>

#include "lexer.h"

enum kind_type {
	KIND_UNKNOWN,
	KIND_INT,
	KIND_REAL,
	KIND_TEXT,
	KIND_BLOB,
};

/* What a value can be. */
struct kind {
	enum kind_type type;
	bool nullable;
};

struct migration {
	unsigned number;
	struct source source;
};

struct schema {
	sqlite3 *db;
	struct migration *migration; /* in order */
	size_t count;
	const char **refusal; /* why the last statement was refused, if Ingot refused it */
};

/* Applies the migrations as a boot does: all in one transaction. What is wrong with them, their names and
 * numbers included, goes into the report; then the schema is not to be used. */
struct schema schema_open(const struct app_folder *app, struct report *r);

/* Prepares one statement: the bytes at `offset` of `s`, to which errors are reported; `place` (may be NULL) tells for
 * each byte of `sql` where in `s` it stands. NULL after an error. */
struct place_map {
	const size_t *offset; /* one for each byte, and one for the end */
};
sqlite3_stmt *schema_prepare(const struct schema *schema, struct report *r, const struct source *s, const char *sql,
	size_t offset, const struct place_map *place);
/* Without a word about errors. */
sqlite3_stmt *schema_try(const struct schema *schema, const char *sql);

/* By SQLite's rules for a declared type; unknown for NUMERIC and the like, which hold text as well as numbers. */
enum kind_type schema_type(const char *declared);
/* What a column holds; KIND_UNKNOWN when there is none such, or its declaration does not say. */
struct kind schema_column(const struct schema *schema, const char *table, const char *column);
/* The result column `i` of a statement, when it comes from a table's column: false when it is computed. */
bool schema_origin(const struct schema *schema, sqlite3_stmt *statement, int i, struct kind *kind, const char **declared);
/* The columns that `INSERT INTO table VALUES` fills, in order. */
struct strings schema_columns(const struct schema *schema, const char *table);
/* Whether one of the words (NULL ends them) stands in the statement at that depth or deeper, or, when it uses a view,
 * in one of the views. */
bool schema_says(const struct schema *schema, const struct tokens *t, const char *const *words, unsigned depth_min);
/* The tables that an outer join may fill up with NULL (all: any of them, or one that cannot be told). */
struct strings schema_outer_tables(const struct schema *schema, const char *sql, bool *all);

#endif
