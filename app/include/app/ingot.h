/* Ingot: what an application includes.
 *
 *	#include <ingot.h>
 *	#include "pages.h"                          // made by the build from pages/
 *
 *	static void home(struct request *req)
 *	{
 *		struct page_value *data = page_data(req);
 *		page_set_text(data, "greeting", SLICE("Hello"));
 *		reply_page(req, 200, PAGE(home), data);
 *	}
 *
 *	APP_ROUTES(GET("/", home))
 *
 * An application is a folder: its C files here, templates in pages/, files to serve as they are in
 * static/ (docs/assets.md), the database's schema in migrations/ (NNN-name.sql), and queries that become functions in
 * queries/ (docs/sql.md). What it does not use is not in its image.
 *
 * A handler is straight-line code: it may wait for the database, and other requests go on meanwhile.
 * Memory comes from the request's arena and is freed with it, so nothing leaks; slices and pointers
 * that these functions return live until the request's end unless stated otherwise. No call here can
 * crash on what a client sends. When something fails (the database, memory), the request is answered
 * with an error page whatever the handler goes on to do, the reason is logged, and further calls do
 * nothing: a handler need not check each one. */
#ifndef APP_INGOT_H
#define APP_INGOT_H

#include <base/arena.h>
#include <base/slice.h>
#include <page/template.h>
#include <page/value.h>

API_BEGIN

struct request;

/* --- Routes -----------------------------------------------------------------------------------
 * A pattern is a path; "{name}" matches one part of it, "{name...}" the rest. Files below static/
 * are served before routes are looked at. HEAD is answered from GET, OPTIONS and wrong methods by
 * Ingot. */
struct app_route {
	const char *method, *pattern;
	void (*handler)(struct request *);
};

extern const struct app_route app_routes[];
extern const size_t app_route_count;

#define GET(pattern, handler) {"GET", pattern, handler}
#define POST(pattern, handler) {"POST", pattern, handler}
#define PUT(pattern, handler) {"PUT", pattern, handler}
#define PATCH(pattern, handler) {"PATCH", pattern, handler}
#define DELETE(pattern, handler) {"DELETE", pattern, handler}

/* The application's routes, once, in one of its files. */
#define APP_ROUTES(...)                                                                            \
	const struct app_route app_routes[] = {__VA_ARGS__};                                       \
	const size_t app_route_count = sizeof app_routes / sizeof app_routes[0];

/* --- What was asked for -----------------------------------------------------------------------
 * A value that is not there is empty (len 0). */
struct slice request_path(struct request *req); /* decoded and normalised, "/entry/7" */
struct slice request_param(struct request *req, const char *name);  /* from the route's pattern */
struct slice request_query(struct request *req, const char *name);  /* "?page=2" */
struct slice request_header(struct request *req, const char *name); /* any case */
struct slice request_cookie(struct request *req, const char *name);
struct slice request_body(struct request *req); /* as it came */
/* A query value as a number, `otherwise` when it is absent, malformed or outside min..max. */
int64_t request_query_int(
	struct request *req, const char *name, int64_t min, int64_t max, int64_t otherwise);
int64_t request_time(struct request *req); /* seconds since 1970, UTC */
/* Memory until the request's end: half a MiB in all, about 8 KiB in one piece. arena_alloc gives NULL when there is none. */
struct arena *request_arena(struct request *req);

/* --- Forms ------------------------------------------------------------------------------------
 * Every form that posts carries {{{csrf}}} inside its <form>, and the page that shows it takes that
 * from form_protect(); form_open() then refuses what another site sends in a visitor's name. */

/* Sets "csrf" in `data` to the hidden field, and the cookie that goes with it. */
void form_protect(struct request *req, struct page_value *data);
/* True when the body is a well-formed form of this site. Otherwise the request has been answered
 * (400, 403 or 415) and the handler should return. */
bool form_open(struct request *req);
/* A field's text, without blanks around it; empty when absent. After form_open(). Always valid
 * UTF-8, without control characters except newline and tab. */
struct slice form_text(struct request *req, const char *name);
/* The number of characters (code points) of a text, for length checks. */
size_t text_length(struct slice text);

/* The template pages/NAME.html; "blog/entry" is PAGE(blog_entry). */
#define PAGE(name) (&page_template_##name)

/* --- Answers ----------------------------------------------------------------------------------
 * The first one counts; a second one is a mistake that is logged. */
/* An object for a page's values, in the request's arena. */
struct page_value *page_data(struct request *req);
void reply_page(struct request *req, int status, const struct page_template *page,
	const struct page_value *data);
/* "text/plain; charset=utf-8". The text is not copied: it lives as long as the request, or longer. */
void reply_text(struct request *req, int status, struct slice text);
void reply_bytes(struct request *req, int status, const char *content_type, struct slice bytes);
/* 303 See Other: after a form that did something, so that a reload does not do it again. */
void reply_redirect(struct request *req, const char *location);
/* The error page for a status of 400 to 599, with a sentence for people (may be NULL). */
void reply_error(struct request *req, int status, const char *sentence);
/* A header field besides those that Ingot writes itself; before or after the reply_ call. Control
 * characters in it make the request fail: nobody can split a response. */
void reply_header(struct request *req, const char *name, struct slice value);

/* Writes to the log as this application's, at level info. */
void app_log(struct request *req, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* --- The database -----------------------------------------------------------------------------
 * Real SQLite. What stands in queries/ is called by its name, with typed arguments and rows; what
 * stands here as a literal is checked by the build as well (docs/sql.md). `?` stands for a value; values are never pasted into SQL. A change is on stable
 * storage before the answer leaves, together with those of all requests that were waiting. */
struct db_value {
	enum { DB_NULL, DB_INT, DB_REAL, DB_TEXT, DB_BLOB, DB_ZEROS } type;
	union {
		int64_t integer;
		double real;
		struct slice bytes;
	};
};

struct db_rows; /* a running query */

/* db_rows *db_query(req, "SELECT a FROM t WHERE b = ?", b); values may be integers, doubles, C
 * strings (NULL is SQL's NULL), slices (as text), db_value_blob(), db_null() and db_zeros().
 * The result ends by itself with the request, or at db_end(). */
#define db_query(req, sql, ...) db_query_values(req, sql, DB_VALUES(__VA_ARGS__))
struct db_rows *db_query_values(
	struct request *req, const char *sql, size_t count, const struct db_value *values);
/* Moves to the next row, the first one at first; false after the last. */
bool db_next(struct db_rows *rows);
/* Columns count from 0. Text lives until the next db_next. */
int64_t db_int(struct db_rows *rows, unsigned column);
double db_real(struct db_rows *rows, unsigned column);
struct slice db_text(struct db_rows *rows, unsigned column);
struct slice db_blob(struct db_rows *rows, unsigned column); /* of a BLOB */
bool db_is_null(struct db_rows *rows, unsigned column);
unsigned db_column_count(struct db_rows *rows);
struct slice db_column_name(struct db_rows *rows, unsigned column); /* until the query's end */
void db_end(struct db_rows *rows);

/* Runs a statement that gives no rows; true when it was carried out. */
#define db_run(req, sql, ...) db_run_values(req, sql, DB_VALUES(__VA_ARGS__))
bool db_run_values(
	struct request *req, const char *sql, size_t count, const struct db_value *values);

/* The same, for a statement that a constraint (UNIQUE, CHECK, ...) may stand against: false then, and
 * the request goes on. */
#define db_try(req, sql, ...) db_try_values(req, sql, DB_VALUES(__VA_ARGS__))
bool db_try_values(
	struct request *req, const char *sql, size_t count, const struct db_value *values);

/* Of the request's last INSERT: the new row's id. Of its last change: the number of rows. */
int64_t db_last_id(struct request *req);
int64_t db_changes(struct request *req);

/* Runs a query and puts its rows into `data` as a list of objects whose names are the columns'
 * names, ready for {{#name}}. The number of rows. */
#define db_rows_into(req, data, name, sql, ...)                                                    \
	db_rows_into_values(req, data, name, sql, DB_VALUES(__VA_ARGS__))
size_t db_rows_into_values(struct request *req, struct page_value *data, const char *name,
	const char *sql, size_t count, const struct db_value *values);

/* Several statements as one change: all of it happens or nothing. Not ended by db_commit(), it is
 * undone when the handler returns. db_begin waits until no other request is writing. */
bool db_begin(struct request *req);
bool db_commit(struct request *req);
void db_rollback(struct request *req); /* and closes what is open */
/* Several queries that see the same state, however much others write meanwhile; ended by db_commit or the handler's
 * end. */
bool db_begin_read(struct request *req);

/* Waits until all that this request has read and committed is safe on the volume. An answer does so by itself; this is for
 * an effect elsewhere that must not come before, or between two changes. False when it could not be made safe, or
 * within a transaction: the request fails. */
bool db_wait_durable(struct request *req);

/* The same as a function: `run` does its work and returns true to have it committed, false to have it undone. True
 * when it was committed. Called within another, it is a savepoint: false undoes only what it did itself. The
 * optimistic one does not wait for other writers before it writes, which serves long ones that read much first;
 * when another has changed something meanwhile, `run` is called again, so it must do nothing that may not be done
 * twice (an answer counts once: give it after). */
bool db_transaction(
	struct request *req, bool (*run)(struct request *req, void *context), void *context);
bool db_transaction_optimistic(
	struct request *req, bool (*run)(struct request *req, void *context), void *context);

/* Points in a transaction, which nest: each is closed by keeping or by undoing what was done since. */
bool db_savepoint(struct request *req);
bool db_savepoint_release(struct request *req);
bool db_savepoint_undo(struct request *req);

/* A blob or text in pieces, of any size: `column` of the row with this id (rowid) of `table`. NULL when there is no
 * such row. It cannot grow: insert it as db_zeros(len), then write. Closed at the request's end at the latest;
 * outside of a transaction closing commits what was written. */
struct db_blob;
struct db_blob *db_blob_open(
	struct request *req, const char *table, const char *column, int64_t row);
struct db_blob *db_blob_open_to_write(
	struct request *req, const char *table, const char *column, int64_t row);
size_t db_blob_len(struct db_blob *blob);
bool db_blob_read(struct db_blob *blob, size_t offset, void *out, size_t len);
bool db_blob_write(struct db_blob *blob, size_t offset, struct slice bytes);
bool db_blob_close(struct db_blob *blob);

static inline struct db_value db_value_int(int64_t v)
{
	return (struct db_value){.type = DB_INT, .integer = v};
}

static inline struct db_value db_value_real(double v)
{
	return (struct db_value){.type = DB_REAL, .real = v};
}

static inline struct db_value db_value_slice(struct slice v)
{
	return (struct db_value){.type = DB_TEXT, .bytes = v};
}

static inline struct db_value db_value_self(struct db_value v)
{
	return v;
}

static inline struct db_value db_value_blob(struct slice v)
{
	return (struct db_value){.type = DB_BLOB, .bytes = v};
}

static inline struct db_value db_null(void)
{
	return (struct db_value){.type = DB_NULL};
}

/* A blob of so many zero bytes, at most 1 GB. */
static inline struct db_value db_zeros(uint32_t len)
{
	return (struct db_value){.type = DB_ZEROS, .integer = len};
}

static inline struct db_value db_value_cstr(const char *v)
{
	return v ? db_value_slice(slice_of(v, __builtin_strlen(v)))
		 : (struct db_value){.type = DB_NULL};
}

API_END

/* The value of any supported C type. */
#define DB_VALUE(x)                                                                                \
	_Generic((x),                                                                              \
		struct db_value: db_value_self,                                                    \
		struct slice: db_value_slice,                                                      \
		char *: db_value_cstr,                                                             \
		const char *: db_value_cstr,                                                       \
		float: db_value_real,                                                              \
		double: db_value_real,                                                             \
		default: db_value_int)(x)

/* DB_VALUES(a, b) is `2, (struct db_value[]){...}`; up to sixteen values. */
#define DB_VALUES(...)                                                                             \
	DB_COUNT(__VA_ARGS__),                                                                     \
		(const struct db_value[])                                                          \
		{                                                                                  \
			DB_EACH(DB_COUNT(__VA_ARGS__), __VA_ARGS__)                                \
		}
#define DB_COUNT(...)                                                                              \
	DB_PICK(__VA_OPT__(__VA_ARGS__, ) 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define DB_PICK(...) DB_PICK_(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
#define DB_PICK_(a, b, c, d, e, f, g, h, i, j, k, l, m, o, p, q, n, ...) n
#define DB_EACH(n, ...) DB_EACH_(n, __VA_ARGS__)
#define DB_EACH_(n, ...) DB_EACH_##n(__VA_ARGS__)
#define DB_EACH_0(...) {.type = DB_NULL}
#define DB_EACH_1(a) DB_VALUE(a)
#define DB_EACH_2(a, ...) DB_VALUE(a), DB_EACH_1(__VA_ARGS__)
#define DB_EACH_3(a, ...) DB_VALUE(a), DB_EACH_2(__VA_ARGS__)
#define DB_EACH_4(a, ...) DB_VALUE(a), DB_EACH_3(__VA_ARGS__)
#define DB_EACH_5(a, ...) DB_VALUE(a), DB_EACH_4(__VA_ARGS__)
#define DB_EACH_6(a, ...) DB_VALUE(a), DB_EACH_5(__VA_ARGS__)
#define DB_EACH_7(a, ...) DB_VALUE(a), DB_EACH_6(__VA_ARGS__)
#define DB_EACH_8(a, ...) DB_VALUE(a), DB_EACH_7(__VA_ARGS__)
#define DB_EACH_9(a, ...) DB_VALUE(a), DB_EACH_8(__VA_ARGS__)
#define DB_EACH_10(a, ...) DB_VALUE(a), DB_EACH_9(__VA_ARGS__)
#define DB_EACH_11(a, ...) DB_VALUE(a), DB_EACH_10(__VA_ARGS__)
#define DB_EACH_12(a, ...) DB_VALUE(a), DB_EACH_11(__VA_ARGS__)
#define DB_EACH_13(a, ...) DB_VALUE(a), DB_EACH_12(__VA_ARGS__)
#define DB_EACH_14(a, ...) DB_VALUE(a), DB_EACH_13(__VA_ARGS__)
#define DB_EACH_15(a, ...) DB_VALUE(a), DB_EACH_14(__VA_ARGS__)
#define DB_EACH_16(a, ...) DB_VALUE(a), DB_EACH_15(__VA_ARGS__)

#endif
