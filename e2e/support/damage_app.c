/* The application of e2e/damage.sh's guest: rows that are added, counted, read and deleted. */
#include <ingot.h>

#include <stdio.h>

static void add(struct request *req)
{
	if (db_run(req, "INSERT INTO entry (name, body) VALUES (?, zeroblob(?))",
		    request_query(req, "name"), request_query_int(req, "size", 0, 100000, 0)))
		reply_text(req, 200, SLICE("added"));
}

static void clear(struct request *req)
{
	if (db_run(req, "DELETE FROM entry"))
		reply_text(req, 200, SLICE("cleared"));
}

static void answer(struct request *req, const char *sql)
{
	struct db_rows *rows = db_query(req, sql);
	int64_t n = db_next(rows) ? db_int(rows, 0) : -1;
	db_end(rows);
	uint8_t *text = arena_alloc(request_arena(req), 24);
	size_t at = 24;
	if (!text || n < 0)
		return;
	do
		text[--at] = (uint8_t)('0' + n % 10);
	while ((n /= 10) > 0);
	reply_text(req, 200, slice_of(text + at, 24 - at));
}

static void count(struct request *req)
{
	answer(req, "SELECT count(*) FROM entry");
}

/* Reads the name of each row, so each page of the table. */
static void read_all(struct request *req)
{
	answer(req, "SELECT sum(length(name)) FROM entry");
}

#define PIECE 4000

/* A file of `pieces` pieces that begin with their number, written and sent one by one. */
static void write_file(struct request *req)
{
	char piece[PIECE] = "";
	int64_t pieces = request_query_int(req, "pieces", 1, 1000, 1);
	db_begin(req);
	db_run(req, "INSERT INTO entry (id, name, body) VALUES (100000, 'file', ?)", db_zeros(pieces * PIECE));
	struct db_blob *file = db_blob_open_to_write(req, "entry", "body", 100000);
	for (int64_t i = 0; i < pieces; i++) {
		snprintf(piece, sizeof piece, "piece %06lld", (long long)i);
		db_blob_write(file, (size_t)i * PIECE, slice_of(piece, PIECE));
	}
	db_blob_close(file);
	if (db_commit(req))
		reply_text(req, 200, SLICE("written"));
}

static void send_file(struct request *req)
{
	uint8_t piece[PIECE];
	struct db_blob *file = db_blob_open(req, "entry", "body", 100000);
	if (!file || !reply_begin_length(req, 200, "application/octet-stream", db_blob_len(file)))
		return;
	for (size_t at = 0; at < db_blob_len(file) && db_blob_read(file, at, piece, PIECE); at += PIECE)
		reply_write(req, slice_of(piece, PIECE));
	db_blob_close(file);
}

static void alive(struct request *req)
{
	reply_text(req, 200, SLICE("alive"));
}

APP_ROUTES(POST("/add", add), POST("/clear", clear), GET("/count", count), GET("/read", read_all),
	GET("/alive", alive), POST("/file", write_file), GET("/file", send_file))
