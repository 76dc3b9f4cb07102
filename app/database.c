/* SQL for handlers, on a connection that a request takes at its first call and gives back when its
 * handler returns.
 *
 * A response depends on the newest generation that its request has read or written: if that is not
 * yet on stable storage, the response is held (request->hold) until the store says so. The
 * database itself never waits: the next transaction runs meanwhile, and one flush serves all. */
#include <app/database.h>

#include "database_counters.h"
#include "stream.h"

#include <base/assert.h>
#include <string.h>

/* SQLite's share of the memory, of 16; the rest is the page cache. */
#define SQLITE_SHARE 6
#define SQLITE_MEMORY_MAX (64u << 20)
#define CONNECTION_MEMORY (512u << 10) /* of SQLite's, for each connection */
#define STORE_MEMORY_MIN (1u << 20)
#define LOG_EVERY_NS 1000000000u
#define STORE_CACHE_PAGES_LEAST (4 * STORE_CACHE_PAGES_MIN)
/* A client that has closed its side may still read, but most that do so have gone. */
#define HALF_CLOSED_NS 5000000000u

struct database {
	struct sql *sql;
	struct store *store;
	struct loop *loop;
	struct log *log;
	/* What operators ask, in turn, and the fiber that does it. */
	struct list operations;
	struct fiber_queue operations_begin, operations_end;
	bool operated, closing;
	/* What the volume is to blame for may hit every request: one line in a while. */
	uint64_t log_at_ns, left_out;
};

struct db_rows {
	struct db_rows *next; /* of the request's open queries */
	struct request *req;
	struct sql_query query;
	bool open;
};

struct db_blob {
	struct db_blob *next; /* of the request's open ones */
	struct request *req;
	struct sql_blob blob;
	bool open;
};

/* What a request holds of the database. */
struct db_request {
	struct sql_conn *conn; /* NULL: given back, until the handler asks again */
	uint64_t generation;   /* that earlier ones have seen */
	int64_t last_id, changes; /* of an earlier one, while `moved` */
	bool moved;
	struct db_rows *open, *ended; /* ended ones serve again: a handler may ask without end */
	struct db_blob *blobs, *closed;
	uint64_t half_closed_ns; /* when that was first seen; 0: not yet */
	bool retrying; /* db_transaction may run its function again */
	bool again;    /* and will: until then nothing is done */
	struct store_waiter waiter;
	struct request *req;
};

/* --- Opening ---------------------------------------------------------------------------------- */

static size_t whole_pages(size_t n)
{
	return (n + 4095) & ~(size_t)4095;
}

/* What the store cannot do without: it grows with the volume. */
static size_t store_memory_min(struct block_device *device)
{
	struct store_config plan = {.device = device, .cache_pages = STORE_CACHE_PAGES_LEAST};
	size_t n = whole_pages(store_memory_size(&plan));
	return n < STORE_MEMORY_MIN ? STORE_MEMORY_MIN : n;
}

/* Of the memory that is for both. */
static size_t sqlite_share(size_t memory_len, size_t store_min)
{
	size_t share = memory_len / 16 * SQLITE_SHARE;
	if (share > SQLITE_MEMORY_MAX)
		share = SQLITE_MEMORY_MAX;
	if (share > memory_len - store_min)
		share = memory_len - store_min;
	if (share < SQL_MEMORY_MIN)
		share = SQL_MEMORY_MIN;
	return share & ~(size_t)4095;
}

/* The largest page cache that fits. */
static struct store_config store_plan(const struct database_config *config, size_t memory_len)
{
	struct store_config plan = {.loop = config->loop, .device = config->device, .log = config->log,
		.random = config->random, .memory = config->memory, .memory_len = memory_len};
	uint32_t low = STORE_CACHE_PAGES_MIN, high = (uint32_t)(memory_len / STORE_PAGE_SIZE);
	while (low < high) {
		plan.cache_pages = low + (high - low + 1) / 2;
		if (store_memory_size(&plan) <= memory_len)
			low = plan.cache_pages;
		else
			high = plan.cache_pages - 1;
	}
	plan.cache_pages = low;
	return plan;
}

static size_t database_memory_min(struct block_device *device)
{
	return whole_pages(sizeof(struct database)) + SQL_MEMORY_MIN + store_memory_min(device);
}

static uint32_t connection_count(size_t sqlite_memory)
{
	size_t n = sqlite_memory / CONNECTION_MEMORY;
	return n < 2 ? 2 : n > 16 ? 16 : (uint32_t)n;
}

static void operate_all(void *database);

static err operator_start(struct database *db)
{
	list_init(&db->operations);
	fiber_queue_init(&db->operations_begin);
	fiber_queue_init(&db->operations_end);
	TRY(fiber_spawn(db->loop, operate_all, db));
	db->operated = true;
	return OK;
}

static void operator_stop(struct database *db)
{
	if (!db->operated)
		return;
	db->closing = true;
	(void)fiber_queue_wake_one(&db->operations_begin);
	while (db->operated)
		if (failed(fiber_queue_wait(db->loop, &db->operations_end, TIMER_NEVER)))
			continue;
}

static err database_open(
	const struct app_database *app, const struct database_config *config, struct database **out)
{
	size_t own = whole_pages(sizeof(struct database));
	if (config->memory_len < database_memory_min(config->device))
		return ERR(NO_MEMORY);
	size_t sqlite_memory = sqlite_share(config->memory_len - own, store_memory_min(config->device));
	struct database_config rest = *config;
	rest.memory += own;
	struct store_config plan = store_plan(&rest, config->memory_len - own - sqlite_memory);
	struct store_info info;
	struct database *db = (struct database *)(void *)config->memory;
	*db = (struct database){.loop = config->loop, .log = config->log};
	TRY(store_open(&plan, &db->store, &info));
	struct sql_config sql = {.store = db->store, .loop = config->loop, .log = config->log,
		.random = config->random, .memory = rest.memory + plan.memory_len,
		.memory_len = sqlite_memory, .connections = connection_count(sqlite_memory),
		.migrations = app->migrations, .migration_count = app->migration_count};
	err e = sql_open(&sql, &db->sql);
	if (!failed(e) && config->operated && failed(e = operator_start(db)))
		sql_close(db->sql);
	if (failed(e)) {
		if (failed(store_close(db->store)))
			log_write(db->log, LOG_WARN, "store", "the volume could not be closed in order");
		return e;
	}
	*out = db;
	return OK;
}

static err database_sync(struct database *db)
{
	TRY(store_wait_durable(db->store, store_generation(db->store)));
	return store_checkpoint(db->store);
}

static err database_close(struct database *db)
{
	operator_stop(db);
	sql_close(db->sql);
	return store_close(db->store);
}

static bool database_is_writable(struct database *db)
{
	return store_state(db->store) == STORE_OPEN;
}

static void database_counters(struct database *db, struct writer *w)
{
	struct store_stats store;
	struct sql_stats sql;
	store_stats(db->store, &store);
	sql_stats(db->sql, &sql);
	database_counter_write(w, "store_read_only", !database_is_writable(db));
	database_counter_write(w, "store_generation", store_generation(db->store));
	database_counter_write(w, "store_generation_durable", store_durable_generation(db->store));
	database_counters_write(w, &store, &sql);
}

/* --- What an operator asks -------------------------------------------------------------------- */

#define SNAPSHOTS "/snapshots"

/* The path's part after "/snapshots/", decoded; false when it is none. */
static bool snapshot_name(struct slice path, struct arena *arena, char name[STORE_OBJECT_NAME_MAX + 1])
{
	struct slice text;
	size_t skip = sizeof SNAPSHOTS; /* with the second slash */
	if (path.len <= skip || path.ptr[skip - 1] != '/' ||
		failed(http_percent_decode(slice_sub(path, skip, path.len), arena, &text)) ||
		text.len > STORE_OBJECT_NAME_MAX || slice_index(text, 0) < text.len)
		return false;
	memcpy(name, text.ptr, text.len);
	name[text.len] = 0;
	return true;
}

static void reply_head(struct writer *w, const char *status)
{
	write_bytes(w, SLICE("HTTP/1.0 "));
	write_bytes(w, slice_from_cstr(status));
	write_bytes(w, SLICE("\r\nContent-Type: text/plain\r\nCache-Control: no-store\r\n"
			     "Connection: close\r\n\r\n"));
}

static void snapshots_list(const struct store *store, struct writer *w)
{
	struct store_named_info info;
	reply_head(w, "200 OK");
	for (uint32_t cursor = 0; store_named_next(store, &cursor, &info);) {
		write_bytes(w, slice_from_cstr(info.name));
		write_u8(w, '\t');
		write_bytes(w, slice_from_cstr(info.object));
		write_u8(w, '\t');
		write_dec(w, info.generation);
		write_u8(w, '\t');
		write_dec(w, info.time);
		write_u8(w, '\t');
		write_dec(w, info.pages);
		write_u8(w, '\n');
	}
}

static void reply_line(struct writer *w, const char *status, const char *line)
{
	reply_head(w, status);
	write_bytes(w, slice_from_cstr(line));
	write_u8(w, '\n');
}

/* (A table of these strings would be kept in images without a database.) */
static void reply_result(struct writer *w, err e, const char *done, const char *name)
{
	if (!failed(e))
		reply_line(w, done, name);
	else if (e.code == ERR_DENIED)
		reply_line(w, "409 Conflict", "there is a snapshot of that name: delete it, or choose another");
	else if (e.code == ERR_NOT_FOUND)
		reply_line(w, "404 Not Found", "there is no snapshot of that name");
	else if (e.code == ERR_INVALID)
		reply_line(w, "400 Bad Request", "GET /snapshots, or PUT or DELETE /snapshots/NAME; a name has "
			"1 to 31 bytes and no control characters");
	else if (e.code == ERR_BUSY)
		reply_line(w, "503 Service Unavailable", "it is being read: try again later");
	else if (e.code == ERR_NO_SPACE)
		reply_line(w, "507 Insufficient Storage", "there are as many as a volume can have: delete one");
	else
		reply_line(w, "500 Internal Server Error", "the device has failed; the log says more");
}

static err snapshot_create(struct database *db, const char *name)
{
	struct platform *p = db->loop->platform;
	struct store_object *object;
	TRY(store_object_open(db->store, "main", false, &object));
	TRY(store_named_create(object, name, (uint64_t)(p->wall_ns(p) / 1000000000)));
	log_write(db->log, LOG_INFO, "store", "snapshot \"%s\" of generation %lu", name,
		store_durable_generation(db->store));
	return OK;
}

static err snapshot_delete(struct database *db, const char *name)
{
	TRY(store_named_delete(db->store, name));
	log_write(db->log, LOG_INFO, "store", "snapshot \"%s\" is deleted", name);
	return OK;
}

static void operate(struct database *db, struct database_operation *op)
{
	uint8_t memory[256];
	char name[STORE_OBJECT_NAME_MAX + 1] = "";
	struct arena arena;
	struct slice method = slice_sub(op->head, 0, slice_index(op->head, ' '));
	struct slice path = slice_sub(op->head, method.len + 1, op->head.len);
	path = slice_sub(path, 0, slice_index(path, ' '));
	arena_init(&arena, memory, sizeof memory, NULL, 0);
	if (slice_eq(method, SLICE("GET")) && path.len + 1 == sizeof SNAPSHOTS)
		snapshots_list(db->store, &op->out);
	else if (!snapshot_name(path, &arena, name))
		reply_result(&op->out, ERR(INVALID), "", "");
	else if (slice_eq(method, SLICE("PUT")))
		reply_result(&op->out, snapshot_create(db, name), "201 Created", name);
	else if (slice_eq(method, SLICE("DELETE")))
		reply_result(&op->out, snapshot_delete(db, name), "200 OK", name);
	else
		reply_line(&op->out, "405 Method Not Allowed", "PUT and DELETE change snapshots");
	op->done(op);
}

/* A fiber of its own: under load the others are always taken, and whoever is responsible for the machine must not
 * have to wait for that to end. */
static void operate_all(void *database)
{
	struct database *db = database;
	while (!db->closing || !list_is_empty(&db->operations)) {
		struct list *first = list_pop_front(&db->operations);
		if (first)
			operate(db, LIST_ENTRY(first, struct database_operation, link));
		else if (failed(fiber_queue_wait(db->loop, &db->operations_begin, TIMER_NEVER)))
			continue;
	}
	db->operated = false;
	fiber_queue_wake_all(&db->operations_end);
}

static bool database_operate(struct database *db, struct database_operation *op)
{
	size_t target = slice_index(op->head, ' ') + 1;
	if (!db->operated || db->closing ||
		!slice_starts_with(slice_sub(op->head, target, op->head.len), SLICE(SNAPSHOTS)))
		return false;
	list_push_back(&db->operations, &op->link);
	(void)fiber_queue_wake_one(&db->operations_begin);
	return true;
}

const struct app_database_engine app_database_sqlite = {
	.memory_min = database_memory_min,
	.open = database_open,
	.sync = database_sync,
	.close = database_close,
	.is_writable = database_is_writable,
	.counters = database_counters,
	.operate = database_operate,
};

/* --- A request's connection ------------------------------------------------------------------- */

static uint16_t status_of(err e)
{
	switch (e.code) {
	case ERR_NO_MEMORY:
	case ERR_TIMEOUT:
	case ERR_BUSY:
	case ERR_STALE: return 503;
	case ERR_NO_SPACE: return 507;
	case ERR_OK:
	case ERR_INVALID:
	case ERR_TOO_LARGE:
	case ERR_IO:
	case ERR_CORRUPT:
	case ERR_FOREIGN:
	case ERR_UNSUPPORTED:
	case ERR_NOT_FOUND:
	case ERR_CLOSED:
	case ERR_DENIED:
	case ERR_CODE_COUNT: break;
	}
	return 500;
}

static bool may_log(struct database *db, err e)
{
	if (!db || (e.code != ERR_CORRUPT && e.code != ERR_IO && e.code != ERR_NO_SPACE))
		return true;
	if (db->loop->now_ns < db->log_at_ns) {
		db->left_out++;
		return false;
	}
	if (db->left_out)
		log_write(db->log, LOG_WARN, "sql", "%lu more failures of the volume's were not logged",
			db->left_out);
	db->left_out = 0;
	db->log_at_ns = db->loop->now_ns + LOG_EVERY_NS;
	return true;
}

static void database_fail(struct request *req, const struct sql_conn *conn, const char *sql, err e)
{
	const char *why = conn ? sql_error(conn) : "";
	struct db_request *d = req->database;
	if (d && d->retrying && (e.code == ERR_STALE || e.code == ERR_BUSY)) {
		d->again = true;
		return;
	}
	if (may_log(req->exchange->server->config.database, e))
		log_write(req->exchange->server->config.log,
			e.code == ERR_CLOSED ? LOG_INFO : LOG_ERROR, "sql", "%s: %s (in: %s)",
			err_text(e), *why ? why : "no connection", sql);
	request_fail(req, conn && sql_error_is_read_only(conn) ? 503 : status_of(e));
}

/* Whether nobody waits for the answer any more. */
static bool client_gone(void *cookie)
{
	struct db_request *d = cookie;
	const struct exchange *x = d->req->exchange;
	uint64_t now_ns = x->server->config.loop->now_ns;
	if (!x->tcp)
		return true;
	if (!x->connection->peer_closed)
		return false;
	if (!d->half_closed_ns)
		d->half_closed_ns = now_ns;
	return now_ns - d->half_closed_ns >= HALF_CLOSED_NS;
}

static void waiter_done(struct store_waiter *waiter, err result)
{
	struct db_request *d = CONTAINER_OF(waiter, struct db_request, waiter);
	request_release(d->req, !failed(result));
}

static void rows_and_blobs_close(struct db_request *d)
{
	while (d->open)
		db_end(d->open);
	while (d->blobs)
		db_blob_close(d->blobs);
}

static uint64_t generation_of(const struct db_request *d)
{
	uint64_t now = d->conn ? sql_generation(d->conn) : 0;
	return now > d->generation ? now : d->generation;
}

static void conn_give(struct db_request *d)
{
	if (!d->conn)
		return;
	d->generation = generation_of(d);
	if (!d->moved) {
		d->last_id = sql_last_id(d->conn);
		d->changes = sql_changes(d->conn);
		d->moved = true;
	}
	sql_release(d->conn);
	d->conn = NULL;
}

/* Gives the connection back. True: the response waits for its generation. */
static bool database_finish(struct request *req)
{
	struct db_request *d = req->database;
	struct database *db = req->exchange->server->config.database;
	rows_and_blobs_close(d);
	conn_give(d);
	uint64_t generation = d->generation;
	if (generation <= store_durable_generation(db->store))
		return false;
	d->waiter = (struct store_waiter){.generation = generation, .done = waiter_done};
	loop_trace(db->loop, "response held: generation, durable", generation,
		store_durable_generation(db->store));
	store_waiter_add(db->store, &d->waiter);
	return true;
}

/* A part of the answer is to leave while the handler goes on. */
static bool database_settle(struct request *req)
{
	struct db_request *d = req->database;
	struct database *db = req->exchange->server->config.database;
	uint64_t generation = generation_of(d);
	if (generation <= store_durable_generation(db->store) ||
		!failed(store_wait_durable(db->store, generation)))
		return true;
	request_fail(req, 500);
	return false;
}

/* Half of the time after which a request that is not answered loses its connection: 30 s, unless its route says
 * otherwise. That counts from the request's end; what is usual, from where the database is first asked. */
static uint64_t deadline_of(const struct exchange *x)
{
	const struct http_limits *limits = x->http.limits;
	bool from_end = limits != &x->server->limits && x->http.state == HTTP_CONN_HANDLING;
	return (from_end ? x->http.since : x->server->config.loop->now_ns) + limits->handle_ns / 2;
}

/* The handler waits for its client, and that may be slow: between statements it needs no connection. */
static bool database_park(struct request *req)
{
	struct db_request *d = req->database;
	if (d->conn && !d->open && !d->blobs && !sql_in_transaction(d->conn))
		conn_give(d);
	return d->conn != NULL;
}

/* While it has a transaction open, others may wait for that. */
static void database_renew(struct request *req)
{
	struct db_request *d = req->database;
	d->half_closed_ns = 0; /* it gets on with its client */
	if (d->conn && !sql_in_transaction(d->conn))
		sql_set_deadline(d->conn, deadline_of(d->req->exchange));
}

static bool database_is_awaited(struct request *req)
{
	const struct db_request *d = req->database;
	return d->conn && sql_is_awaited(d->conn);
}

static const struct request_hold database_hold = {
	database_finish, database_settle, database_park, database_renew, database_is_awaited};

/* Takes a connection for a request that has none, or none any more. */
static bool conn_take(struct request *req, struct db_request *d)
{
	struct database *db = req->exchange->server->config.database;
	err e = sql_acquire_watched(db->sql, deadline_of(req->exchange),
		&(struct sql_watch){client_gone, d}, &d->conn);
	if (failed(e)) {
		database_fail(req, NULL, "connecting", e);
		return false;
	}
	/* Who only asks need not wait for what others are about to make durable. */
	unsigned method = req->exchange->http.request.method;
	if (method == HTTP_GET || method == HTTP_HEAD)
		sql_read_durable(d->conn);
	return true;
}

/* The request's connection, taken at its first use. NULL after a failure. */
static struct db_request *database_use(struct request *req)
{
	if (req->broken)
		return NULL;
	struct db_request *d = req->database;
	if (d && d->conn)
		return d->again ? NULL : d;
	if (!req->exchange->server->config.database) {
		request_misuse(req, "a db_ call, and this application has no database: it takes a folder migrations/");
		return NULL;
	}
	if (!d) {
		d = ARENA_NEW(&req->exchange->arena, struct db_request);
		if (!d) {
			database_fail(req, NULL, "connecting", ERR(NO_MEMORY));
			return NULL;
		}
		d->req = req;
	}
	if (!conn_take(req, d))
		return NULL;
	req->database = d;
	req->hold = &database_hold;
	return d;
}

#define VALUES_MAX 16 /* as many as DB_VALUES writes */

/* Into `out`, or if they are more, into the request's memory; NULL when that is full. */
static struct sql_value *values_convert(struct request *req, size_t count, const struct db_value *values,
	struct sql_value out[VALUES_MAX])
{
	static const enum sql_type types[] = {
		[DB_NULL] = SQL_NULL, [DB_INT] = SQL_INT, [DB_REAL] = SQL_REAL, [DB_TEXT] = SQL_TEXT,
		[DB_BLOB] = SQL_BLOB, [DB_ZEROS] = SQL_ZEROS};
	if (count > VALUES_MAX)
		out = ARENA_NEW_ARRAY(&req->exchange->arena, struct sql_value, count);
	for (size_t i = 0; out && i < count; i++) {
		out[i] = (struct sql_value){.type = types[values[i].type]};
		if (values[i].type == DB_INT || values[i].type == DB_ZEROS)
			out[i].integer = values[i].integer;
		else if (values[i].type == DB_REAL)
			out[i].real = values[i].real;
		else if (values[i].type != DB_NULL)
			out[i].bytes = values[i].bytes;
	}
	return out;
}

/* The connection for a statement; NULL, and the request has failed, when that is NULL. */
static struct db_request *database_use_for(struct request *req, const char *sql)
{
	if (!sql)
		request_misuse(req, "a statement that is NULL");
	return database_use(req);
}

/* Whether it leaves what db_last_id tells as it is. */
static bool starts_with_select(const char *sql)
{
	return slice_eq_nocase(slice_sub(slice_from_cstr(sql), 0, 6), SLICE("SELECT"));
}

/* --- Queries ---------------------------------------------------------------------------------- */

struct db_rows *db_query_values(
	struct request *req, const char *sql, size_t count, const struct db_value *values)
{
	struct db_request *d = database_use_for(req, sql);
	if (!d)
		return NULL;
	struct sql_value few[VALUES_MAX], *args = values_convert(req, count, values, few);
	struct db_rows *rows = d->ended;
	if (rows)
		d->ended = rows->next;
	else
		rows = ARENA_NEW(&req->exchange->arena, struct db_rows);
	if (!rows || !args) {
		request_fail(req, 503);
		return NULL;
	}
	rows->req = req;
	err e = sql_query_begin(d->conn, &rows->query, sql, args, count);
	if (failed(e)) {
		database_fail(req, d->conn, sql, e);
		return NULL;
	}
	d->moved &= starts_with_select(sql);
	rows->open = true;
	rows->next = d->open;
	d->open = rows;
	return rows;
}

bool db_next(struct db_rows *rows)
{
	if (!rows || !rows->open)
		return false;
	if (sql_query_next(&rows->query))
		return true;
	db_end(rows);
	return false;
}

/* With its end the query's text is gone. */
static void end_failed(struct db_rows *rows)
{
	struct db_request *d = rows->req->database;
	char text[160];
	struct writer w = writer_of(text, sizeof text - 1);
	write_bytes(&w, slice_sub(slice_from_cstr(sql_query_text(&rows->query)), 0, writer_left(&w)));
	*w.pos = 0;
	err e = sql_query_end(&rows->query);
	database_fail(rows->req, d->conn, text, e);
}

void db_end(struct db_rows *rows)
{
	if (!rows || !rows->open)
		return;
	struct db_request *d = rows->req->database;
	struct db_rows **at = &d->open;
	while (*at != rows)
		at = &(*at)->next;
	*at = rows->next;
	rows->open = false;
	rows->next = d->ended;
	d->ended = rows;
	if (failed(rows->query.result)) {
		end_failed(rows);
		return;
	}
	err e = sql_query_end(&rows->query);
	if (failed(e))
		database_fail(rows->req, d->conn, "a query", e);
}

/* False for a column that the query has not got: the application's mistake, and it is logged. */
static bool has_column(struct db_rows *rows, unsigned column)
{
	if (!rows || !rows->open)
		return false;
	if (column < sql_column_count(&rows->query))
		return true;
	request_misuse(rows->req, "there is no column %u in a row of %u; the first one is 0", column,
		sql_column_count(&rows->query));
	return false;
}

int64_t db_int(struct db_rows *rows, unsigned column)
{
	return has_column(rows, column) ? sql_column_int(&rows->query, column) : 0;
}

double db_real(struct db_rows *rows, unsigned column)
{
	return has_column(rows, column) ? sql_column_real(&rows->query, column) : 0;
}

struct slice db_text(struct db_rows *rows, unsigned column)
{
	return has_column(rows, column) ? sql_column_text(&rows->query, column)
					: (struct slice){NULL, 0};
}

struct slice db_blob(struct db_rows *rows, unsigned column)
{
	return has_column(rows, column) ? sql_column_blob(&rows->query, column)
					: (struct slice){NULL, 0};
}

bool db_is_null(struct db_rows *rows, unsigned column)
{
	return !has_column(rows, column) || sql_column_type(&rows->query, column) == SQL_NULL;
}

unsigned db_column_count(struct db_rows *rows)
{
	return rows && rows->open ? sql_column_count(&rows->query) : 0;
}

struct slice db_column_name(struct db_rows *rows, unsigned column)
{
	return has_column(rows, column) ? sql_column_name(&rows->query, column) : (struct slice){NULL, 0};
}

/* False when it was not carried out. `may_conflict`: a constraint that does not hold is no failure. */
static bool run(struct request *req, const char *sql, size_t count, const struct db_value *values,
	bool may_conflict)
{
	struct db_request *d = database_use_for(req, sql);
	if (!d)
		return false;
	struct sql_value few[VALUES_MAX], *args = values_convert(req, count, values, few);
	if (!args) {
		request_fail(req, 503);
		return false;
	}
	err e = sql_exec(d->conn, sql, args, count);
	d->moved = false;
	if (failed(e) && !(may_conflict && sql_error_is_constraint(d->conn)))
		database_fail(req, d->conn, sql, e);
	return !failed(e);
}

bool db_run_values(
	struct request *req, const char *sql, size_t count, const struct db_value *values)
{
	return run(req, sql, count, values, false);
}

bool db_try_values(
	struct request *req, const char *sql, size_t count, const struct db_value *values)
{
	return run(req, sql, count, values, true);
}

int64_t db_last_id(struct request *req)
{
	struct db_request *d = req->database;
	return !d ? 0 : d->moved ? d->last_id : sql_last_id(d->conn);
}

int64_t db_changes(struct request *req)
{
	struct db_request *d = req->database;
	return !d ? 0 : d->moved ? d->changes : sql_changes(d->conn);
}

/* --- Transactions ----------------------------------------------------------------------------- */

static bool transaction(struct request *req, const char *what, err (*carry_out)(struct sql_conn *))
{
	struct db_request *d = database_use(req);
	err e = d ? carry_out(d->conn) : OK;
	if (d && failed(e))
		database_fail(req, d->conn, what, e);
	return d && !failed(e);
}

static err begin(struct sql_conn *conn)
{
	return sql_begin(conn, SQL_WRITE);
}

static err begin_read(struct sql_conn *conn)
{
	return sql_begin(conn, SQL_READ);
}

bool db_begin(struct request *req)
{
	return transaction(req, "begin", begin);
}

bool db_begin_read(struct request *req)
{
	return transaction(req, "begin", begin_read);
}

bool db_commit(struct request *req)
{
	return transaction(req, "commit", sql_commit);
}

void db_rollback(struct request *req)
{
	struct db_request *d = req->database;
	if (!d || !d->conn)
		return;
	rows_and_blobs_close(d);
	sql_rollback(d->conn);
}

bool db_wait_durable(struct request *req)
{
	struct db_request *d = database_use(req);
	if (!d)
		return false;
	err e = ERR(INVALID); /* what is not committed will never be */
	if (!sql_in_transaction(d->conn))
		e = store_wait_durable(req->exchange->server->config.database->store, generation_of(d));
	if (failed(e))
		database_fail(req, d->conn, "waiting until it is durable", e);
	return !failed(e);
}

/* One run of a handler's function. */
struct body {
	struct request *req;
	bool (*run)(struct request *, void *);
	void *context;
	bool refused;
};

/* ERR_DENIED: the function or a failure of the request's does not want it; ERR_STALE: again. */
static err body_run(struct sql_conn *conn, void *context)
{
	struct body *b = context;
	struct db_request *d = b->req->database;
	struct db_rows *open = d->open;
	struct db_blob *blobs = d->blobs;
	(void)conn;
	bool wanted = b->run(b->req, b->context);
	/* What it has left open must not hold up the commit. */
	while (d->open != open)
		db_end(d->open);
	while (d->blobs != blobs)
		db_blob_close(d->blobs);
	if (d->again)
		return ERR(STALE);
	b->refused = !wanted && !b->req->broken;
	return wanted && !b->req->broken ? OK : ERR(DENIED);
}

static err body_attempt(struct sql_conn *conn, void *context)
{
	struct body *b = context;
	struct db_request *d = b->req->database;
	d->again = false;
	return body_run(conn, context);
}

static bool transact(struct request *req, enum sql_mode mode, bool (*body)(struct request *, void *),
	void *context)
{
	if (!body)
		request_misuse(req, "db_transaction without a function (NULL)");
	struct db_request *d = database_use(req);
	struct body b = {.req = req, .run = body, .context = context};
	if (!d)
		return false;
	bool outermost = !sql_in_transaction(d->conn);
	if (outermost)
		d->retrying = true;
	err e = sql_transaction(d->conn, mode, outermost ? body_attempt : body_run, &b);
	if (outermost)
		d->retrying = d->again = false;
	if (failed(e) && !b.refused && !req->broken)
		database_fail(req, d->conn, "a transaction", e);
	return !failed(e);
}

bool db_transaction(struct request *req, bool (*body)(struct request *, void *),
	void *context)
{
	return transact(req, SQL_WRITE, body, context);
}

bool db_transaction_optimistic(struct request *req, bool (*body)(struct request *, void *),
	void *context)
{
	return transact(req, SQL_READ, body, context);
}

bool db_savepoint(struct request *req)
{
	return transaction(req, "savepoint", sql_savepoint);
}

bool db_savepoint_release(struct request *req)
{
	return transaction(req, "savepoint", sql_savepoint_release);
}

bool db_savepoint_undo(struct request *req)
{
	return transaction(req, "savepoint", sql_savepoint_undo);
}

/* --- Blobs ------------------------------------------------------------------------------------ */

static struct db_blob *blob_open(struct request *req, const char *table, const char *column, int64_t row,
	enum sql_mode mode)
{
	if (!table || !column)
		request_misuse(req, "db_blob_open without a table or column (NULL)");
	struct db_request *d = database_use(req);
	if (!d)
		return NULL;
	struct db_blob *b = d->closed;
	if (b)
		d->closed = b->next;
	else
		b = ARENA_NEW(&req->exchange->arena, struct db_blob);
	if (!b) {
		request_fail(req, 503);
		return NULL;
	}
	err e = sql_blob_open(d->conn, &b->blob, table, column, row, mode);
	if (e.code == ERR_NOT_FOUND)
		return NULL;
	if (failed(e)) {
		database_fail(req, d->conn, table, e);
		return NULL;
	}
	b->req = req;
	b->open = true;
	b->next = d->blobs;
	d->blobs = b;
	return b;
}

struct db_blob *db_blob_open(struct request *req, const char *table, const char *column, int64_t row)
{
	return blob_open(req, table, column, row, SQL_READ);
}

struct db_blob *db_blob_open_to_write(struct request *req, const char *table, const char *column, int64_t row)
{
	return blob_open(req, table, column, row, SQL_WRITE);
}

size_t db_blob_len(struct db_blob *b)
{
	return b && b->open ? sql_blob_len(&b->blob) : 0;
}

static bool blob_done(struct db_blob *b, const char *what, err e)
{
	struct db_request *d = b->req->database;
	if (failed(e))
		database_fail(b->req, d->conn, what, e);
	return !failed(e);
}

bool db_blob_read(struct db_blob *b, size_t offset, void *out, size_t len)
{
	if (!b || !b->open)
		return false;
	return blob_done(b, "reading a blob", offset <= UINT32_MAX ?
		sql_blob_read(&b->blob, (uint32_t)offset, out, len) : ERR(INVALID));
}

bool db_blob_write(struct db_blob *b, size_t offset, struct slice bytes)
{
	if (!b || !b->open || b->req->broken)
		return false;
	return blob_done(b, "writing a blob", offset <= UINT32_MAX ?
		sql_blob_write(&b->blob, (uint32_t)offset, bytes) : ERR(INVALID));
}

bool db_blob_close(struct db_blob *b)
{
	if (!b || !b->open)
		return false;
	struct db_request *d = b->req->database;
	struct db_blob **at = &d->blobs;
	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	b->open = false;
	b->next = d->closed;
	d->closed = b;
	return blob_done(b, "closing a blob", sql_blob_close(&b->blob));
}

/* --- Waiting for others' changes -------------------------------------------------------------- */

struct change_waiter {
	struct store_waiter waiter;
	struct exchange *exchange;
	bool done, ok;
};

static void change_done(struct store_waiter *waiter, err result)
{
	struct change_waiter *c = CONTAINER_OF(waiter, struct change_waiter, waiter);
	c->done = true;
	c->ok = !failed(result);
	(void)c->exchange->stream->kind->event(c->exchange);
}

bool event_wait_change(struct request *req)
{
	struct reply_stream *s = reply_stream_of(req, "event_wait_change");
	struct database *db = req->exchange->server->config.database;
	struct db_request *d = req->database;
	if (!s || (!db && !database_use(req)) || (d && !database_settle(req)))
		return false;
	if (d) {
		rows_and_blobs_close(d);
		conn_give(d);
		if (d->generation > s->generation)
			s->generation = d->generation;
	}
	if (!s->generation)
		s->generation = store_durable_generation(db->store);
	struct change_waiter c = {
		.waiter = {.generation = s->generation + 1, .done = change_done}, .exchange = req->exchange};
	store_waiter_add(db->store, &c.waiter);
	bool wanted = event_sleep(req, s, TIMER_NEVER, &c.done);
	if (!c.done)
		store_waiter_remove(&c.waiter);
	s->generation = store_durable_generation(db->store);
	return wanted && c.ok;
}

/* --- Rows into pages -------------------------------------------------------------------------- */

static void column_into(struct arena *arena, struct sql_query *q, uint32_t i, struct page_value *v)
{
	struct slice text;
	switch (sql_column_type(q, i)) {
	case SQL_NULL:
	case SQL_ZEROS:
		break;
	case SQL_INT:
		page_become_int(v, sql_column_int(q, i));
		break;
	case SQL_REAL:
	case SQL_TEXT:
	case SQL_BLOB:
		text = sql_column_text(q, i);
		page_become_text(v, arena_copy(arena, text));
		break;
	}
}

size_t db_rows_into_values(struct request *req, struct page_value *data, const char *name,
	const char *sql, size_t count, const struct db_value *values)
{
	struct arena *arena = &req->exchange->arena;
	if (!name)
		request_misuse(req, "db_rows_into without a name (NULL)");
	struct db_rows *rows = db_query_values(req, sql, count, values);
	struct page_value *list = page_set_list(data, name ? name : "");
	if (!rows)
		return 0;
	uint32_t columns = sql_column_count(&rows->query);
	struct slice *names = ARENA_NEW_ARRAY(arena, struct slice, columns + 1);
	for (uint32_t i = 0; names && i < columns; i++)
		names[i] = arena_copy(arena, sql_column_name(&rows->query, i));
	size_t n = 0;
	for (; !arena->exhausted && db_next(rows); n++) {
		struct page_value *row = page_list_add(list);
		for (uint32_t i = 0; i < columns; i++)
			column_into(arena, &rows->query, i, page_member(row, names[i]));
	}
	db_end(rows);
	if (arena->exhausted && !req->broken) {
		log_write(req->exchange->server->config.log, LOG_ERROR, "sql",
			"%u rows are more than a request's memory holds: ask for fewer, with LIMIT (in: %s)",
			(unsigned)n, sql);
		request_fail(req, 503);
	}
	return n;
}
