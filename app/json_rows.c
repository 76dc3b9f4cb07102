/* Rows as JSON: each value goes from SQLite's row to the answer. */
#include <app/json.h>
#include <app/ingot.h>

#include "json.h"

static void column_put(struct json *json, struct db_rows *rows, unsigned column)
{
	if (!json_member(json, db_column_name(rows, column)))
		return;
	switch (db_type(rows, column)) {
	case DB_INT:
		json_put_int(json, db_int(rows, column));
		break;
	case DB_REAL:
		json_put_real(json, db_real(rows, column));
		break;
	case DB_TEXT:
		json_put_text(json, db_text(rows, column));
		break;
	case DB_BLOB:
		json_put_base64(json, db_blob(rows, column));
		break;
	default:
		json_put_null(json);
		break;
	}
}

void json_columns(struct json *json, struct db_rows *rows)
{
	unsigned columns = db_column_count(rows);
	for (unsigned i = 0; i < columns; i++)
		column_put(json, rows, i);
}

size_t json_rows_values(
	struct json *json, const char *key, const char *sql, size_t count, const struct db_value *values)
{
	struct db_rows *rows = db_query_values(json->req, sql, count, values);
	size_t n = 0;
	json_array(json, key);
	for (; !json->unwanted && db_next(rows); n++) {
		json_object(json, NULL);
		json_columns(json, rows);
		json_close(json);
	}
	db_end(rows);
	json_close(json);
	return n;
}

bool json_row_values(
	struct json *json, const char *key, const char *sql, size_t count, const struct db_value *values)
{
	struct db_rows *rows = db_query_values(json->req, sql, count, values);
	bool found = db_next(rows);
	if (found) {
		json_object(json, key);
		json_columns(json, rows);
		json_close(json);
	} else {
		json_null(json, key);
	}
	db_end(rows);
	return found;
}
