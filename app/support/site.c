/* The application that the tests serve: handlers that do what applications do, and what they should
 * not. Each route is one behaviour. */
#include "site_stream.h"

#include <app/assets.h>

#include <stdlib.h>
#include <string.h>
#include <base/assert.h>

/* Long enough to be worth several segments on the wire. */
#define LONG_TEXT_50 "Static text that nobody touches on its way out...."
#define LONG_TEXT_200 LONG_TEXT_50 LONG_TEXT_50 LONG_TEXT_50 LONG_TEXT_50
#define LONG_TEXT LONG_TEXT_200 LONG_TEXT_200 LONG_TEXT_200 LONG_TEXT_200

#define ARENA_BLOCKS 16
#define ARENA_BLOCK (64u << 10)

static const struct page_template *page(struct request *req, const char *name)
{
	return page_compiled(&world_of(req)->pages, slice_from_cstr(name));
}

/* --- Answers ---------------------------------------------------------------------------------- */

static void show_page(struct request *req)
{
	struct page_value *data = page_data(req);
	page_set_text(data, "text", request_query(req, "text"));
	reply_page(req, 200, page(req, "show"), data);
}

static void show_text(struct request *req)
{
	reply_text(req, 200, SLICE("plain & simple"));
}

static void show_bytes(struct request *req)
{
	reply_header(req, "X-Early", SLICE("before"));
	reply_bytes(req, 201, "image/x-test", slice_of("\0\1\2", 3));
	reply_header(req, "X-Late", SLICE("after"));
}

static void redirect(struct request *req)
{
	reply_redirect(req, "/text?from=here");
}

static void error(struct request *req)
{
	reply_error(req, 422, "That <script> & \"this\" will not do.");
}

static void error_bare(struct request *req)
{
	reply_error(req, 418, NULL);
}

static void inject(struct request *req)
{
	reply_header(req, "X-Name", request_query(req, "value"));
	reply_text(req, 200, SLICE("never sent"));
}

static void own_length(struct request *req)
{
	reply_text(req, 200, SLICE("never sent"));
	reply_header(req, "Content-Length", SLICE("3"));
}

static void twice(struct request *req)
{
	reply_text(req, 200, SLICE("first"));
	reply_text(req, 200, SLICE("second"));
}

static void none(struct request *req)
{
	(void)req;
}

static void status(struct request *req)
{
	reply_text(req, (int)request_query_int(req, "n", 0, 9999, 0), SLICE("some text"));
}

static void status_page(struct request *req)
{
	struct page_value *data = page_data(req);
	page_set_text(data, "text", SLICE("a body"));
	reply_page(req, (int)request_query_int(req, "n", 0, 9999, 0), page(req, "show"), data);
}

static void huge(struct request *req)
{
	struct page_value *data = page_data(req);
	struct page_value *list = page_set_list(data, "items");
	int64_t n = request_query_int(req, "n", 0, 10000000, 0);
	for (int64_t i = 0; i < n; i++)
		page_set_int(page_list_add(list), "number", i);
	reply_page(req, 200, page(req, "list"), data);
}

static void hog(struct request *req)
{
	while (arena_alloc(request_arena(req), 16))
		;
	reply_text(req, 200, SLICE("the arena has not a byte left"));
}

static void echo_param(struct request *req)
{
	reply_text(req, 200, request_param(req, "name"));
}

static void echo_body(struct request *req)
{
	world_of(req)->calls++;
	reply_bytes(req, 200, "application/octet-stream", request_body(req));
}

static void echo_head(struct request *req)
{
	reply_text(req, 200, arena_format(request_arena(req), "%.*s|%.*s|%.*s", SLICE_ARG(request_path(req)),
		SLICE_ARG(request_header(req, "x-one")), SLICE_ARG(request_cookie(req, "taste"))));
}

static void number(struct request *req)
{
	reply_text(req, 200, arena_format(request_arena(req), "%d",
		(int)request_query_int(req, "n", -5, 10, 3)));
}

static void show_client(struct request *req)
{
	reply_text(req, 200, arena_format(request_arena(req), "%.*s %s", SLICE_ARG(request_client(req)),
		request_is_https(req) ? "https" : "http"));
}

static void show_big(struct request *req)
{
	reply_bytes(req, 200, NULL, slice_of(world_of(req)->big, BIG_LEN));
}

static void wait_at_gate(struct request *req)
{
	struct world *w = world_of(req);
	struct slice name = request_query(req, "name");
	w->at_gate++;
	if (failed(fiber_queue_wait(&w->loop, &w->gate, TIMER_NEVER)))
		return;
	w->at_gate--;
	w->calls++;
	reply_text(req, 200, name); /* the head must still be there */
}

/* --- Forms ------------------------------------------------------------------------------------ */

static void form_show(struct request *req)
{
	struct page_value *data = page_data(req);
	form_protect(req, data);
	reply_page(req, 200, page(req, "form"), data);
}

static void form_take(struct request *req)
{
	world_of(req)->calls++;
	if (!form_open(req))
		return;
	struct slice name = form_text(req, "name");
	reply_text(req, 200, arena_format(request_arena(req), "[%.*s] %lu", SLICE_ARG(name),
		(unsigned long)text_length(name)));
}

/* --- SQL -------------------------------------------------------------------------------------- */

static void count_reply(struct request *req)
{
	int64_t n = -1;
	struct db_rows *rows = db_query(req, "SELECT count(*) FROM entry");
	while (db_next(rows))
		n = db_int(rows, 0);
	reply_text(req, 200, arena_format(request_arena(req), "%d", (int)n));
}

static void sql_add(struct request *req)
{
	if (db_run(req, "INSERT INTO entry (name) VALUES (?)", request_query(req, "name")))
		reply_redirect(req, "/sql/count");
}

/* The second only when the first is safe. */
static void sql_add_two(struct request *req)
{
	if (db_run(req, "INSERT INTO entry (name) VALUES (?)", request_query(req, "name")) && db_wait_durable(req) &&
		db_run(req, "INSERT INTO entry (name) VALUES (?)", request_query(req, "then")))
		reply_redirect(req, "/sql/count");
}

static void sql_wait_within(struct request *req)
{
	if (db_begin(req) && db_wait_durable(req))
		reply_text(req, 200, SLICE("durable"));
}

static void sql_try(struct request *req)
{
	bool added = db_try(req, "INSERT INTO entry (name) VALUES (?)", request_query(req, "name"));
	reply_text(req, added ? 201 : 409, added ? SLICE("added") : SLICE("taken"));
}

static void sql_list(struct request *req)
{
	struct page_value *data = page_data(req);
	size_t n = db_rows_into(req, data, "rows", "SELECT id, name, NULL AS none FROM entry ORDER BY id");
	page_set_int(data, "count", (int64_t)n);
	reply_page(req, 200, page(req, "rows"), data);
}

static void sql_begin_only(struct request *req)
{
	db_begin(req);
	db_run(req, "INSERT INTO entry (name) VALUES ('never')");
	reply_text(req, 200, SLICE("begun"));
}

static void sql_both(struct request *req)
{
	db_begin(req);
	db_run(req, "INSERT INTO entry (name) VALUES ('one')");
	db_run(req, "INSERT INTO entry (name) VALUES ('two')");
	if (request_query_int(req, "commit", 0, 1, 1))
		db_commit(req);
	reply_text(req, 200, SLICE("both"));
}

/* Leaves with two queries in mid-air. */
static void sql_left_open(struct request *req)
{
	struct db_rows *a = db_query(req, "SELECT id FROM entry");
	struct db_rows *b = db_query(req, "SELECT name FROM entry");
	db_next(a);
	db_next(b);
	db_next(b);
	reply_text(req, 200, SLICE("left"));
}

static void sql_no_column(struct request *req)
{
	struct db_rows *rows = db_query(req, "SELECT id FROM entry");
	db_next(rows);
	db_text(rows, 1);
	reply_text(req, 200, SLICE("never sent"));
}

static void sql_before_first(struct request *req)
{
	struct db_rows *rows = db_query(req, "SELECT id FROM entry");
	int64_t id = db_int(rows, 0);
	db_end(rows);
	reply_text(req, 200, arena_format(request_arena(req), "%d after %d", (int)db_int(rows, 0), (int)id));
}

static void sql_wrong(struct request *req)
{
	struct db_rows *rows = db_query(req, "SELECT nothing FROM nowhere");
	while (db_next(rows))
		reply_text(req, 200, db_text(rows, 0));
	db_run(req, "INSERT INTO entry (name) VALUES ('after a failure')");
	reply_text(req, 200, SLICE("never sent"));
}

static void sql_conflict(struct request *req)
{
	db_run(req, "INSERT INTO entry (name) VALUES ('same')");
	db_run(req, "INSERT INTO entry (name) VALUES ('same')");
	reply_text(req, 200, SLICE("never sent"));
}

/* Answers first, then writes, then fails. */
static void sql_late(struct request *req)
{
	reply_text(req, 200, SLICE("too early"));
	db_run(req, "INSERT INTO nowhere VALUES (1)");
}

static void sql_values(struct request *req)
{
	struct db_rows *rows = db_query(req, "SELECT ?, ?, ?, ?", 7, 2.5, "text", SLICE("slice"));
	if (db_next(rows))
		reply_text(req, 200, arena_format(request_arena(req), "%d %d %.*s %.*s", (int)db_int(rows, 0),
			(int)(db_real(rows, 1) * 2), SLICE_ARG(db_text(rows, 2)), SLICE_ARG(db_text(rows, 3))));
}

/* Holds a connection of the database while it waits at the gate. */
static void sql_wait(struct request *req)
{
	struct world *w = world_of(req);
	struct db_rows *rows = db_query(req, "SELECT count(*) FROM entry");
	if (!db_next(rows))
		return;
	w->at_gate++;
	if (failed(fiber_queue_wait(&w->loop, &w->gate, TIMER_NEVER)))
		return;
	w->at_gate--;
	reply_text(req, 200, SLICE("waited"));
}

static bool add_two(struct request *req, void *context)
{
	int64_t *keep = context;
	db_run(req, "INSERT INTO entry (name) VALUES ('first')");
	if (*keep == 2 && !db_transaction(req, add_two, &(int64_t){0}))
		db_run(req, "INSERT INTO entry (name) VALUES ('the inner one was undone')");
	db_run(req, "INSERT INTO entry (name) VALUES (?)", db_null());
	return *keep != 0;
}

static void sql_transaction_reply(struct request *req)
{
	int64_t keep = request_query_int(req, "keep", 0, 2, 1);
	bool kept = db_transaction(req, add_two, &keep);
	reply_text(req, kept ? 201 : 409, kept ? SLICE("kept") : SLICE("undone"));
}

/* Reads, waits at the gate, and writes what it has read. */
static bool count_up(struct request *req, void *context)
{
	struct world *w = world_of(req);
	struct db_rows *rows = db_query(req, "SELECT count(*) FROM entry");
	int64_t *n = context;
	*n = db_next(rows) ? db_int(rows, 0) : 0;
	db_end(rows);
	w->calls++;
	w->at_gate++;
	if (failed(fiber_queue_wait(&w->loop, &w->gate, TIMER_NEVER)))
		return false;
	w->at_gate--;
	return db_run(req, "INSERT INTO entry (id) VALUES (? + 1000)", *n);
}

static void sql_optimistic(struct request *req)
{
	int64_t n;
	if (db_transaction_optimistic(req, count_up, &n))
		reply_text(req, 200, arena_format(request_arena(req), "%d", (int)n));
}

static void sql_savepoints(struct request *req)
{
	db_begin(req);
	db_run(req, "INSERT INTO entry (name) VALUES ('kept')");
	db_savepoint(req);
	db_run(req, "INSERT INTO entry (name) VALUES ('undone')");
	db_savepoint_undo(req);
	db_savepoint(req);
	db_run(req, "INSERT INTO entry (name) VALUES ('kept as well')");
	db_savepoint_release(req);
	db_commit(req);
	reply_text(req, 200, arena_format(request_arena(req), "%d %d", (int)db_last_id(req), (int)db_changes(req)));
}

/* Writes a blob of 300,000 bytes in pieces, reads it in others, and answers with what their sum is off. */
static void sql_blob_pieces(struct request *req)
{
	uint8_t piece[1000];
	int64_t sum = 0;
	db_run(req, "CREATE TABLE file (id INTEGER PRIMARY KEY, body BLOB)");
	db_run(req, "INSERT INTO file VALUES (7, ?)", db_zeros(300000));
	struct db_blob *b = db_blob_open_to_write(req, "file", "body", 7);
	for (size_t at = 0; at < db_blob_len(b); at += sizeof piece) {
		memset(piece, (int)(at / sizeof piece % 251), sizeof piece);
		sum += (int64_t)(at / sizeof piece % 251) * (int64_t)sizeof piece;
		db_blob_write(b, at, slice_of(piece, sizeof piece));
	}
	db_blob_close(b);
	b = db_blob_open(req, "file", "body", 7);
	for (size_t at = 0; at < db_blob_len(b); at += 750) {
		db_blob_read(b, at, piece, 750);
		for (size_t i = 0; i < 750; i++)
			sum -= piece[i];
	}
	reply_text(req, 200, arena_format(request_arena(req), "%d %d %d", (int)db_blob_len(b), (int)sum,
		db_blob_open(req, "file", "body", 8) != NULL));
}

static void sql_columns(struct request *req)
{
	struct db_rows *rows = db_query(req, "SELECT NULL AS a, ? AS b, ?, ?, ?, ?, ?, ?, ?, ?, ? AS last",
		db_value_blob(SLICE("x\0y")), 3, 4, 5, 6, 7, 8, 9, 10, "end");
	if (db_next(rows))
		reply_text(req, 200, arena_format(request_arena(req), "%d %d %d %d %.*s %.*s",
			(int)db_column_count(rows), db_is_null(rows, 0), db_is_null(rows, 1),
			(int)db_blob(rows, 1).len, SLICE_ARG(db_column_name(rows, 10)),
			SLICE_ARG(db_text(rows, 10))));
}

static void sql_too_many_rows(struct request *req)
{
	struct page_value *data = page_data(req);
	db_rows_into(req, data, "rows", "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 100000) "
		"SELECT x AS id, 'name ' || x AS name FROM c");
	reply_page(req, 200, page(req, "rows"), data);
}

/* As many rows, one at a time. */
static void sql_all_rows(struct request *req)
{
	int64_t sum = 0;
	struct db_rows *rows = db_query(req, "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c "
		"LIMIT 100000) SELECT x, 'name ' || x FROM c");
	while (db_next(rows))
		sum += db_int(rows, 0) + (int64_t)db_text(rows, 1).len;
	reply_text(req, 200, arena_format(request_arena(req), "%ld", (long)sum));
}

static void sql_endless(struct request *req)
{
	struct world *w = world_of(req);
	struct db_rows *rows = db_query(req,
		"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c");
	w->at_gate++;
	while (db_next(rows))
		;
	w->at_gate--;
	reply_text(req, 200, SLICE("it had an end"));
}

static void sql_write_and_wait(struct request *req)
{
	struct world *w = world_of(req);
	db_begin(req);
	w->at_gate++;
	if (failed(fiber_queue_wait(&w->loop, &w->gate, TIMER_NEVER)))
		return;
	w->at_gate--;
	db_commit(req);
	reply_text(req, 200, SLICE("waited"));
}

static const struct app_route routes[] = {
	GET("/page", show_page), GET("/text", show_text), GET("/bytes", show_bytes),
	GET("/redirect", redirect), GET("/error", error), GET("/error/bare", error_bare),
	GET("/inject", inject), GET("/own-length", own_length), GET("/twice", twice), GET("/none", none),
	GET("/status", status), GET("/status-page", status_page), GET("/huge", huge), GET("/hog", hog),
	GET("/echo/{name}", echo_param), POST("/echo", echo_body), PUT("/echo", echo_body),
	GET("/head", echo_head), GET("/number", number), GET("/client", show_client),
	GET("/limited/wait", wait_at_gate, LIMITS(.handle_s = 2)),
	GET("/limited/big", show_big, LIMITS(.write_s = 3)),
	POST("/limited/body", echo_body, BODY_MAX(100), LIMITS(.body_s = 2, .body_bytes_per_s = 100)),
	GET("/limited/endless", sql_endless, LIMITS(.handle_s = 2)),
	GET("/limited/long", sql_endless, LIMITS(.handle_s = 90)),
	GET("/wait", wait_at_gate), POST("/wait", wait_at_gate),
	GET("/form", form_show), POST("/form", form_take),
	GET("/sql/count", count_reply), POST("/sql/count", count_reply), POST("/sql/add", sql_add),
	POST("/sql/add-two", sql_add_two), POST("/sql/wait-within", sql_wait_within), POST("/sql/try", sql_try),
	GET("/sql/list", sql_list), POST("/sql/begin-only", sql_begin_only), POST("/sql/both", sql_both),
	GET("/sql/left-open", sql_left_open), GET("/sql/no-column", sql_no_column),
	GET("/sql/before-first", sql_before_first), POST("/sql/wrong", sql_wrong),
	POST("/sql/conflict", sql_conflict), POST("/sql/late", sql_late), GET("/sql/values", sql_values),
	GET("/sql/wait", sql_wait), POST("/sql/transaction", sql_transaction_reply),
	POST("/sql/optimistic", sql_optimistic), POST("/sql/savepoints", sql_savepoints),
	POST("/sql/blob", sql_blob_pieces), GET("/sql/columns", sql_columns),
	GET("/sql/too-many-rows", sql_too_many_rows), GET("/sql/all-rows", sql_all_rows),
	GET("/sql/endless", sql_endless), POST("/sql/write-and-wait", sql_write_and_wait),
	SITE_STREAM_ROUTES
	HEALTH("/healthz"), READY("/readyz"), METRICS("/metrics"),
	GET("/quote\"d\\path", show_text),
};
static const size_t route_count = ARRAY_LEN(routes);

static const struct sql_migration migrations[] = {
	{1, "entry", "CREATE TABLE entry (id INTEGER PRIMARY KEY, name TEXT UNIQUE) STRICT;"},
};
static const struct app_database database = {migrations, ARRAY_LEN(migrations), &app_database_sqlite};

/* --- What the build would make ---------------------------------------------------------------- */

static void compile(struct world *w, const char *name, const char *source)
{
	err e = page_compile(&w->pages, slice_from_cstr(name), slice_from_cstr(name), slice_from_cstr(source));
	ASSERT(!failed(e));
}

static void pages_make(struct world *w, const struct world_site *site)
{
	page_compiler_init(&w->pages, &w->arena);
	compile(w, "show", "<!doctype html><title>Show</title><!-- " LONG_TEXT " --><p>{{text}}</p>\n");
	compile(w, "list", "<!doctype html><ul>{{#items}}<li>{{number}}</li>{{/items}}</ul>\n");
	compile(w, "form", "<!doctype html><form method=\"post\">{{{csrf}}}<input name=\"name\"></form>\n");
	compile(w, "rows", "{{count}}:{{#rows}} {{id}}={{name}}{{none}}{{/rows}}\n");
	compile(w, "oops", "<!doctype html><title>{{status}} {{reason}}</title><a href=\"{{path}}\" title=\"{{sentence}}\">{{path}}</a>\n");
	compile(w, "oops404", "<!doctype html><p>{{path}} is not here{{#sentence}}: {{sentence}}{{/sentence}}</p>\n");
	compile(w, "endless", "{{>endless}}");
	for (size_t i = 0; site && i < site->page_count; i++)
		compile(w, site->pages[i][0], site->pages[i][1]);
	err e = page_compile_link(&w->pages);
	ASSERT(!failed(e));
}

static void asset_make(struct world *w, const char *path, struct slice bytes, bool immutable)
{
	err e = page_asset_describe(&w->assets, slice_from_cstr(path), SLICE("unused"), bytes, immutable);
	ASSERT(!failed(e));
}

/* (What is in it is nothing to the server.) */
static void asset_code(struct world *w, const char *path, enum page_coding coding, const char *bytes)
{
	struct page_asset_source *s = w->assets.first;
	while (!slice_eq(s->asset.path, slice_from_cstr(path)))
		s = s->next;
	err e = page_asset_add_coding(&w->assets, s, coding, SLICE("unused"), slice_from_cstr(bytes));
	ASSERT(!failed(e));
}

static void assets_make(struct world *w)
{
	w->big = malloc(BIG_LEN);
	ASSERT(w->big);
	for (uint32_t i = 0; i < BIG_LEN; i++)
		w->big[i] = (uint8_t)(i * 7 + (i >> 8));
	page_assets_init(&w->assets, &w->arena, SLICE("text/css css\ntext/html html\n"));
	asset_make(w, "/site.css", SLICE("body { margin: 0 }\n"), false);
	asset_make(w, "/big.bin", slice_of(w->big, BIG_LEN), true);
	asset_make(w, "/big.txt", slice_of(w->big, BIG_LEN), false);
	asset_make(w, "/empty.txt", SLICE(""), false);
	asset_make(w, "/a b\xc3\xa9/docs/index.html", SLICE("docs"), false);
	asset_make(w, "/index.html", SLICE("<!doctype html><title>Home</title>\n"), false);
	asset_code(w, "/big.txt", PAGE_CODING_GZIP, "the big text, as gzip");
	asset_code(w, "/big.txt", PAGE_CODING_BROTLI, "the big text, as br");
	err e = page_assets_finish(&w->assets);
	ASSERT(!failed(e));
	e = page_asset_table_build(&w->assets, &w->asset_table);
	ASSERT(!failed(e));
}

void site_make(struct world *w, bool with_database, const struct world_site *site)
{
	w->arena_memory = aligned_alloc(16, pool_memory_size(ARENA_BLOCK, ARENA_BLOCKS));
	ASSERT(w->arena_memory);
	pool_init(&w->arena_blocks, w->arena_memory, ARENA_BLOCK, ARENA_BLOCKS);
	arena_init(&w->arena, NULL, 0, &w->arena_blocks, ARENA_BLOCKS);
	pages_make(w, site);
	assets_make(w);
	w->manifest = (struct app_manifest){.name = "test", .routes = routes, .route_count = &route_count,
		.assets = &w->asset_table, .database = with_database ? &database : NULL,
		.asset_coding = app_asset_coding, .asset_ranges = app_asset_ranges};
	if (!site)
		return;
	w->manifest.assets = NULL;
	w->manifest.routes = site->routes;
	w->manifest.route_count = site->route_count;
	if (with_database)
		w->manifest.database = site->database;
}
