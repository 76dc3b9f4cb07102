/* Queries that have names: what stands in queries/, and what the build makes of it.
 *
 *	-- The entries older than :before, newest first.
 *	-- name: older_entries :many
 *	SELECT id, name FROM entry WHERE id < :before ORDER BY id DESC LIMIT :limit;
 *
 * Comments above the name, or between it and the statement, become the C comment; those that begin with `param`
 * and `column` give a type that cannot be found, or another one:
 *
 *	-- param :since text?      (int, real, text or blob; ?: may be NULL)
 *	-- column total int */
#ifndef CLI_QUERY_H
#define CLI_QUERY_H

#include "schema.h"

enum query_form {
	QUERY_ONE,
	QUERY_MANY,
	QUERY_EXEC,
	QUERY_EXEC_ROWS,   /* gives the number of changed rows */
	QUERY_EXEC_LASTID, /* gives the new row's number */
};

/* A parameter or a result column. */
struct field {
	const char *name;
	struct kind kind;
	size_t offset, len; /* where it was first seen */
	bool annotated;
};

struct fields {
	struct field *item;
	size_t count;
};

struct annotation {
	bool of_column, used;
	const char *name;
	struct kind kind;
	size_t offset, len;
};

struct query {
	const struct source *source;
	const char *name;
	enum query_form form;
	size_t offset, len; /* of the name */
	struct strings comment;
	struct tokens tokens; /* of the statement; offsets count in the source */
	const char *sql;      /* the same as text */
	struct place_map place; /* of each byte of `sql` in the source */
	struct annotation *annotation;
	size_t annotation_count;
	struct fields params, columns;
};

struct queries {
	struct query *item;
	size_t count;
};

/* query_file.c: reads the files; the statements are not looked at yet. */
struct queries queries_read(const struct app_folder *app, struct report *r);
/* query_types.c: prepares the query and finds out its parameters and columns. */
void query_check(const struct schema *schema, struct query *q, struct report *r);
/* query_emit.c */
void queries_emit_header(const struct queries *all, FILE *out);
void queries_emit_c(const struct queries *all, FILE *out);

/* "int", "text?": false when it is no type. */
bool kind_parse(struct slice text, struct kind *kind);
const char *kind_text(struct kind kind);
/* query_file.c: whether C takes it for a name of one's own. */
bool is_c_name(const char *name);

#endif
