/* The application of e2e/damage.sh's guest: rows that are added, counted, read and deleted. */
#include <ingot.h>

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

static void alive(struct request *req)
{
	reply_text(req, 200, SLICE("alive"));
}

APP_ROUTES(POST("/add", add), POST("/clear", clear), GET("/count", count), GET("/read", read_all),
	GET("/alive", alive))
