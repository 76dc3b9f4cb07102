/* What flows through a guest that could not hold it: files into the database and out of it, answers without an end,
 * events. For e2e/streaming.sh. */
#include <ingot.h>

static int64_t events_open, flows_open;

/* --- Files ------------------------------------------------------------------------------------ */

/* Each piece is committed by itself, so a slow upload holds up nobody; `whole` says that all have come. */
static void file_put(struct request *req)
{
	uint8_t piece[4000];
	size_t n;
	struct slice name = request_param(req, "name");
	int64_t number = 0;
	db_run(req, "DELETE FROM piece WHERE file = (SELECT id FROM file WHERE name = ?)", name);
	db_run(req, "DELETE FROM file WHERE name = ?", name);
	db_run(req, "INSERT INTO file (name) VALUES (?)", name);
	int64_t id = db_last_id(req);
	while ((n = request_read_full(req, piece, sizeof piece)) &&
		db_run(req, "INSERT INTO piece (file, number, bytes) VALUES (?, ?, ?)", id, number,
			db_value_blob(slice_of(piece, n))))
		number++;
	db_run(req, "UPDATE file SET whole = 1 WHERE id = ?", id);
	reply_text(req, 201, SLICE("stored\n"));
}

static void file_get(struct request *req)
{
	struct db_rows *rows = db_query(req, "SELECT p.bytes FROM file f JOIN piece p ON p.file = f.id "
		"WHERE f.name = ? AND f.whole ORDER BY p.number", request_param(req, "name"));
	if (!db_next(rows)) {
		reply_error(req, 404, "There is no such file, or it has not come to its end.");
		return;
	}
	reply_begin(req, 200, "application/octet-stream");
	while (reply_write(req, db_blob(rows, 0)) && db_next(rows))
		;
}

/* The sums of a form's parts. (A program's form: no browser sends PUT of another site's accord.) */
static void form_put(struct request *req)
{
	uint8_t piece[8000];
	struct form_part part;
	struct slice text = {NULL, 0};
	uint64_t files = 0, count = 0;
	while (part_next(req, &part)) {
		if (!part.is_file)
			text = part_text(req, 1000);
		files += part.is_file;
		for (size_t n; (n = part_read(req, piece, sizeof piece)); count += n)
			;
	}
	reply_text(req, 200, arena_format(request_arena(req), "%.*s %lu %lu\n", SLICE_ARG(text), (unsigned long)files,
		(unsigned long)count));
}

/* --- Flows ------------------------------------------------------------------------------------ */

static void sum(struct request *req)
{
	uint8_t piece[8000];
	uint64_t count = 0, hash = 0;
	flows_open++;
	for (size_t n; (n = request_read(req, piece, sizeof piece)); count += n)
		for (size_t i = 0; i < n; i++)
			hash = hash * 31 + piece[i];
	flows_open--;
	reply_text(req, 200, arena_format(request_arena(req), "%lu %lu\n", (unsigned long)count, (unsigned long)hash));
}

static void endless(struct request *req)
{
	static const char text[] = "what has no end can be sent by who does not keep it\n";
	flows_open++;
	reply_begin(req, 200, "text/plain");
	while (reply_write(req, slice_of(text, sizeof text - 1)))
		;
	flows_open--;
}

/* Ends with a failure, after some of it has been sent. */
static void broken(struct request *req)
{
	reply_begin(req, 200, "text/plain");
	reply_write(req, SLICE("so far, "));
	reply_flush(req);
	reply_cut(req);
}

static void ignored(struct request *req)
{
	reply_error(req, 403, "Not here.");
}

/* --- Events ----------------------------------------------------------------------------------- */

static void events(struct request *req)
{
	int64_t last = event_last_id(req);
	if (!event_begin(req))
		return;
	events_open++;
	do {
		struct db_rows *rows = db_query(req, "SELECT id, name FROM file WHERE id > ? AND whole ORDER BY id", last);
		while (db_next(rows)) {
			last = db_int(rows, 0);
			event_send(req, &(struct app_event){.id = last, .type = "file", .data = db_text(rows, 1)});
		}
	} while (event_wait_change(req));
	events_open--;
}

static void state(struct request *req)
{
	reply_text(req, 200, arena_format(request_arena(req), "events %ld flows %ld\n", (long)events_open,
		(long)flows_open));
}

static void log_what_is_said(struct request *req)
{
	app_log(req, "%.*s", SLICE_ARG(request_query(req, "said")));
	reply_text(req, 200, SLICE("logged\n"));
}

APP_ROUTES(PUT("/file/{name}", file_put, BODY_STREAMED(1u << 30)), GET("/file/{name}", file_get),
	PUT("/form", form_put, BODY_STREAMED(2ull << 30)),
	PUT("/sum", sum, BODY_STREAMED(2ull << 30)), PUT("/small", sum, BODY_MAX(1000)),
	PUT("/ignored", ignored, BODY_STREAMED(1u << 30)), GET("/endless", endless), GET("/broken", broken),
	GET("/events", events), GET("/state", state),
	GET("/log", log_what_is_said), HEALTH("/healthz"), READY("/readyz"), METRICS("/metrics"))
APP_ACCESS_LOG(json)
