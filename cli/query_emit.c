/* The functions that queries become: queries.h and queries.c in DIR/.ingot. */
#include "query.h"

#include <string.h>

static const char *c_type(enum kind_type type)
{
	switch (type) {
	case KIND_INT: return "int64_t ";
	case KIND_REAL: return "double ";
	case KIND_UNKNOWN:
	case KIND_TEXT:
	case KIND_BLOB: break;
	}
	return "struct slice ";
}

static const char *value_function(enum kind_type type)
{
	switch (type) {
	case KIND_INT: return "db_value_int";
	case KIND_REAL: return "db_value_real";
	case KIND_BLOB: return "db_value_blob";
	case KIND_UNKNOWN:
	case KIND_TEXT: break;
	}
	return "db_value_slice";
}

static const char *column_function(enum kind_type type)
{
	switch (type) {
	case KIND_INT: return "db_int";
	case KIND_REAL: return "db_real";
	case KIND_BLOB: return "db_blob";
	case KIND_UNKNOWN:
	case KIND_TEXT: break;
	}
	return "db_text";
}

static bool is_bytes(enum kind_type type)
{
	return type == KIND_TEXT || type == KIND_BLOB;
}

static bool gives_rows(const struct query *q)
{
	return q->form == QUERY_ONE || q->form == QUERY_MANY;
}

/* ", int64_t before, const struct slice *name": a pointer may be NULL, and then is. */
static void write_parameters(const struct query *q, FILE *out)
{
	for (size_t i = 0; i < q->params.count; i++) {
		const struct field *f = &q->params.item[i];
		fprintf(out, ", %s%s%s%s", f->kind.nullable ? "const " : "", c_type(f->kind.type), f->kind.nullable ? "*" : "",
			f->name);
	}
}

/* The last arguments of db_..._values: the number of values and the values. */
static void write_values(const struct query *q, FILE *out)
{
	if (!q->params.count) {
		fputs("0, 0", out);
		return;
	}
	fprintf(out, "%zu,\n\t\t(const struct db_value[]){", q->params.count);
	for (size_t i = 0; i < q->params.count; i++) {
		const struct field *f = &q->params.item[i];
		const char *convert = value_function(f->kind.type);
		if (f->kind.nullable)
			fprintf(out, "%s%s ? %s(*%s) : (struct db_value){.type = DB_NULL}", i ? ", " : "", f->name, convert, f->name);
		else
			fprintf(out, "%s%s(%s)", i ? ", " : "", convert, f->name);
	}
	fputs("}", out);
}

static void write_comment(const struct query *q, FILE *out)
{
	fputs("\n/* ", out);
	for (size_t i = 0; i < q->comment.count; i++) {
		for (const char *p = q->comment.item[i]; *p; p++)
			fprintf(out, "%c%s", *p, p[0] == '*' && p[1] == '/' ? " " : "");
		fputs("\n * ", out);
	}
	fprintf(out, "%s:%u */\n", q->source->name, source_line(q->source, q->offset));
}

static void write_row_type(const struct query *q, FILE *out)
{
	fprintf(out, "struct %s_row {\n", q->name);
	for (size_t i = 0; i < q->columns.count; i++) {
		const struct field *f = &q->columns.item[i];
		if (f->kind.nullable)
			fprintf(out, "\tbool has_%s; /* false: NULL */\n", f->name);
		fprintf(out, "\t%s%s;\n", c_type(f->kind.type), f->name);
	}
	fputs("};\n", out);
}

/* One line that is a declaration with `end` ";", and the head of a definition without it. */
static void write_into(const struct query *q, FILE *out)
{
	fprintf(out, "size_t %s_into(struct request *req, struct page_value *data, const char *list", q->name);
	write_parameters(q, out);
	fputs(")", out);
}

static void write_json(const struct query *q, FILE *out)
{
	fprintf(out, "%s %s_json(struct json *json_, const char *key_", q->form == QUERY_ONE ? "bool" : "size_t", q->name);
	write_parameters(q, out);
	fputs(")", out);
}

static void write_one(const struct query *q, FILE *out)
{
	fprintf(out, "bool %s(struct request *req", q->name);
	write_parameters(q, out);
	fprintf(out, ", struct %s_row *row)", q->name);
}

static void write_many(const struct query *q, FILE *out)
{
	fprintf(out, "struct %s %s(struct request *req", q->name, q->name);
	write_parameters(q, out);
	fputs(")", out);
}

static void write_exec(const struct query *q, const char *suffix, FILE *out)
{
	bool number = q->form != QUERY_EXEC;
	fprintf(out, "%s%s%s(struct request *req", number ? "int64_t " : "bool ", q->name, suffix);
	write_parameters(q, out);
	fputs(")", out);
}

static void declare(const struct query *q, FILE *out)
{
	write_comment(q, out);
	switch (q->form) {
	case QUERY_ONE:
		write_row_type(q, out);
		write_one(q, out);
		break;
	case QUERY_MANY:
		write_row_type(q, out);
		fprintf(out, "struct %s {\n\tstruct db_rows *rows;\n};\n", q->name);
		write_many(q, out);
		fprintf(out, ";\nbool %s_next(struct %s *query, struct %s_row *row);\nvoid %s_end(struct %s *query)", q->name,
			q->name, q->name, q->name, q->name);
		break;
	case QUERY_EXEC:
		write_exec(q, "", out);
		fputs(";\n", out);
		write_exec(q, "_try", out);
		break;
	case QUERY_EXEC_ROWS:
	case QUERY_EXEC_LASTID:
		write_exec(q, "", out);
		break;
	}
	if (gives_rows(q)) {
		fputs(";\n", out);
		write_into(q, out);
		fputs(";\n", out);
		write_json(q, out);
	}
	fputs(";\n", out);
}

void queries_emit_header(const struct queries *all, FILE *out)
{
	fputs("/* Made from queries/ by the build, which has checked them against migrations/.\n"
	      " *\n"
	      " * :many  struct NAME q = NAME(req, ...); while (NAME_next(&q, &row)) ...; it ends with the last row, with the\n"
	      " *        request or at NAME_end. Text lives until the next NAME_next.\n"
	      " * :one   true when there is a row; its text lives as long as the request.\n"
	      " *        NAME_into puts the rows of either into a page's data as a list, and says how many there were.\n"
	      " *        NAME_json writes them as JSON: an array of objects and how many; of :one, an object or null.\n"
	      " * :exec  true when it was carried out. NAME_try: false also when a constraint stood against it, and the\n"
	      " *        request goes on.\n"
	      " * :execrows, :execlastid  how many rows it changed; the number of the new row.\n"
	      " * An argument that is a pointer may be NULL, which means NULL. */\n"
	      "#ifndef QUERIES_H\n#define QUERIES_H\n\n#include <ingot.h>\n", out);
	for (size_t i = 0; i < all->count; i++)
		declare(&all->item[i], out);
	fputs("\n#endif\n", out);
}

/* --- Definitions ------------------------------------------------------------------------------ */

/* From the row that `rows` stands at. `copy`: what goes with it is copied into the request's arena. */
static void write_row(const struct query *q, const char *rows, bool copy, FILE *out)
{
	for (size_t i = 0; i < q->columns.count; i++) {
		const struct field *f = &q->columns.item[i];
		const char *get = column_function(f->kind.type);
		if (f->kind.nullable)
			fprintf(out, "\trow->has_%s = !db_is_null(%s, %zu);\n", f->name, rows, i);
		if (copy && is_bytes(f->kind.type))
			fprintf(out, "\trow->%s = arena_copy(request_arena(req), %s(%s, %zu));\n", f->name, get, rows, i);
		else
			fprintf(out, "\trow->%s = %s(%s, %zu);\n", f->name, get, rows, i);
	}
}

static void define_one(const struct query *q, FILE *out)
{
	write_one(q, out);
	fprintf(out, "\n{\n\tstruct db_rows *rows = db_query_values(req, sql_%s, ", q->name);
	write_values(q, out);
	fprintf(out, ");\n\t*row = (struct %s_row){0};\n\tif (!db_next(rows))\n\t\treturn false;\n", q->name);
	write_row(q, "rows", true, out);
	fputs("\tdb_end(rows);\n\treturn true;\n}\n", out);
}

static void define_many(const struct query *q, FILE *out)
{
	write_many(q, out);
	fprintf(out, "\n{\n\treturn (struct %s){db_query_values(req, sql_%s, ", q->name, q->name);
	write_values(q, out);
	fprintf(out, ")};\n}\n\nbool %s_next(struct %s *query, struct %s_row *row)\n{\n\tif (!db_next(query->rows))\n"
		"\t\treturn false;\n", q->name, q->name, q->name);
	write_row(q, "query->rows", false, out);
	fprintf(out, "\treturn true;\n}\n\nvoid %s_end(struct %s *query)\n{\n\tdb_end(query->rows);\n}\n", q->name, q->name);
}

static void define_exec(const struct query *q, const char *suffix, const char *run, FILE *out)
{
	write_exec(q, suffix, out);
	fprintf(out, "\n{\n\treturn %s(req, sql_%s, ", run, q->name);
	write_values(q, out);
	fprintf(out, ")%s;\n}\n", q->form == QUERY_EXEC_ROWS ? " ? db_changes(req) : 0"
		: q->form == QUERY_EXEC_LASTID ? " ? db_last_id(req) : 0" : "");
}

static void define(const struct query *q, FILE *out)
{
	fprintf(out, "\nstatic const char sql_%s[] =\n\t", q->name);
	write_c_literal(out, slice_from_cstr(q->sql));
	fputs(";\n\n", out);
	switch (q->form) {
	case QUERY_ONE:
		define_one(q, out);
		break;
	case QUERY_MANY:
		define_many(q, out);
		break;
	case QUERY_EXEC:
		define_exec(q, "", "db_run_values", out);
		fputc('\n', out);
		define_exec(q, "_try", "db_try_values", out);
		break;
	case QUERY_EXEC_ROWS:
	case QUERY_EXEC_LASTID:
		define_exec(q, "", "db_run_values", out);
		break;
	}
	if (!gives_rows(q))
		return;
	fputc('\n', out);
	write_into(q, out);
	fprintf(out, "\n{\n\treturn db_rows_into_values(req, data, list, sql_%s, ", q->name);
	write_values(q, out);
	fputs(");\n}\n\n", out);
	write_json(q, out);
	fprintf(out, "\n{\n\treturn %s(json_, key_, sql_%s, ", q->form == QUERY_ONE ? "json_row_values" : "json_rows_values",
		q->name);
	write_values(q, out);
	fputs(");\n}\n", out);
}

void queries_emit_c(const struct queries *all, FILE *out)
{
	fputs("/* Made from queries/ by the build. */\n#include \"queries.h\"\n", out);
	for (size_t i = 0; i < all->count; i++)
		define(&all->item[i], out);
}
