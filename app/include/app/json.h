/* Answers in JSON (RFC 8259), written as they are made: no tree of objects stands between a row and the answer.
 *
 * Example: rows, as they are; who has just these bytes is answered with 304
 *
 *	static void send_books(struct request *req)
 *	{
 *		struct json json;
 *		json_begin(&json, req, 200);
 *		json_object(&json, NULL);
 *		json_text(&json, "shop", SLICE("Ingot & Sons"));
 *		json_rows(&json, "books", "SELECT id, title, price FROM book ORDER BY id");
 *		json_row(&json, "dearest", "SELECT title FROM book ORDER BY price DESC LIMIT 1");
 *		json_close(&json);
 *		json_end(&json);
 *		reply_etag(req);
 *	}
 *
 * gives {"shop":"Ingot & Sons","books":[{"id":1,"title":"Emma","price":9.5}, ...],"dearest":{"title":"Emma"}}. Each call writes
 * one value: as the member `key` of the object that is open, or with NULL in an array and as the whole. At most JSON_DEPTH_MAX
 * are open at a time. A query of queries/ has NAME_json(&json, key, ...) (docs/sql.md).
 *
 * Example: values one by one
 *
 *	static void send_facts(struct request *req)
 *	{
 *		struct db_rows *rows = db_query(req, "SELECT title, cover FROM book");
 *		struct json json;
 *		json_begin(&json, req, 200);
 *		json.long_as_text = true;
 *		json_object(&json, NULL);
 *		json_int(&json, "most", INT64_MAX);
 *		json_real(&json, "tax", 0.07);
 *		json_bool(&json, "open", true);
 *		json_null(&json, "owner");
 *		json_base64(&json, "mark", slice_of("\x89PNG", 4));
 *		json_array(&json, "covers");
 *		while (db_next(rows)) {
 *			json_object(&json, NULL);
 *			json_columns(&json, rows);
 *			json_bool(&json, "drawn", db_type(rows, 1) == DB_BLOB);
 *			json_close(&json);
 *		}
 *		json_close(&json);
 *		json_close(&json);
 *		json_end(&json);
 *	}
 *
 * Up to JSON_WHOLE_MAX bytes are kept in the request's memory and answered with their length; a longer answer goes on
 * piece by piece (reply_begin says what that means), so any number of rows takes the same memory.
 *
 * Text that is no UTF-8 gets U+FFFD in place of what is wrong. As everywhere, no call need be checked: after a failure,
 * and when nobody wants the answer any more, they do nothing. What would be no JSON (a name in an array, an object that
 * is not closed) is a misuse: it is logged with its route, and the answer is a 500, or is cut. */
#ifndef APP_JSON_H
#define APP_JSON_H

#include <base/slice.h>

#define JSON_DEPTH_MAX 60
#define JSON_WHOLE_MAX 24000

struct request;
struct db_rows;
struct db_value;

/* The handler's, on its stack. But for the first member all fields are private. */
struct json {
	/* May be set after json_begin: integers beyond 2^53, which JavaScript and others round, are written as text. */
	bool long_as_text;
	bool streams, unwanted;
	uint8_t depth;
	uint32_t pieces;
	struct request *req;
	uint8_t *piece, *at, *end;
	uint64_t is_array, has_items; /* a bit for each that is open */
	uint16_t status;
};

API_BEGIN

/* Begins an answer of the type application/json. Header fields may be added before the first JSON_WHOLE_MAX bytes are
 * full. */
void json_begin(struct json *json, struct request *req, int status);
/* The value is complete. True when it is, and can be sent. */
bool json_end(struct json *json);

void json_object(struct json *json, const char *key);
void json_array(struct json *json, const char *key);
/* The innermost of the two. */
void json_close(struct json *json);

void json_text(struct json *json, const char *key, struct slice text);
void json_int(struct json *json, const char *key, int64_t value);
/* With as many digits as it takes to read the same number again, in JavaScript's form; null when it is no number. */
void json_real(struct json *json, const char *key, double value);
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);
void json_base64(struct json *json, const char *key, struct slice bytes);

/* Rows as an array of objects whose names are the columns' names: INTEGER, REAL, TEXT and NULL are what they are in
 * JSON, a BLOB is base64. Takes what db_query takes. The number of rows written. */
#define json_rows(json, key, sql, ...) json_rows_values(json, key, sql, DB_VALUES(__VA_ARGS__))
size_t json_rows_values(
	struct json *json, const char *key, const char *sql, size_t count, const struct db_value *values);
/* The first row as an object; false, and null, when there is none. */
#define json_row(json, key, sql, ...) json_row_values(json, key, sql, DB_VALUES(__VA_ARGS__))
bool json_row_values(
	struct json *json, const char *key, const char *sql, size_t count, const struct db_value *values);
/* The columns of the row at which `rows` stands, as members of the object that is open. */
void json_columns(struct json *json, struct db_rows *rows);

API_END

#endif
