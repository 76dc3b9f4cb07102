#include "site_stream.h"

#include <string.h>
#include <base/cursor.h>

static void at_gate(struct world *w)
{
	w->at_gate++;
	if (!failed(fiber_queue_wait(&w->loop, &w->gate, TIMER_NEVER)))
		w->at_gate--;
}

/* --- Answers ---------------------------------------------------------------------------------- */

void stream_lines(struct request *req)
{
	int64_t n = request_query_int(req, "n", 0, 10000000, 10);
	if (!reply_begin(req, 200, "text/plain"))
		return;
	for (int64_t i = 0; i < n && reply_writef(req, "line %d\n", (int)i); i++)
		;
	world_of(req)->ends++;
}

/* Says `say` bytes, and writes `n`. */
void stream_length(struct request *req)
{
	uint8_t piece[100];
	int64_t n = request_query_int(req, "n", 0, 10000000, 0);
	memset(piece, 'x', sizeof piece);
	if (!reply_begin_length(req, 200, "text/plain", (uint64_t)request_query_int(req, "say", 0, 10000000, 0)))
		return;
	for (; n > 0 && reply_write(req, slice_of(piece, n < 100 ? (size_t)n : 100)); n -= 100)
		;
	if (request_query_int(req, "gate", 0, 1, 0) && reply_flush(req))
		at_gate(world_of(req));
}

void stream_endless(struct request *req)
{
	struct world *w = world_of(req);
	if (!reply_begin(req, 200, "text/plain"))
		return;
	while (reply_write(req, SLICE("and on it goes, and on it goes, and on it goes, and on it goes ")))
		w->calls++;
	w->ends++;
}

/* Sends a piece, waits at the gate, sends another. */
void stream_gate(struct request *req)
{
	struct world *w = world_of(req);
	reply_begin(req, 200, "text/plain");
	reply_write(req, SLICE("first "));
	if (request_query_int(req, "flush", 0, 1, 1))
		reply_flush(req);
	at_gate(w);
	reply_write(req, SLICE("second"));
	w->ends++;
}

void stream_status(struct request *req)
{
	reply_begin(req, (int)request_query_int(req, "n", 0, 9999, 0), NULL);
	reply_write(req, SLICE("a body"));
}

void stream_late_header(struct request *req)
{
	reply_begin(req, 200, "text/plain");
	reply_header(req, "X-Early", SLICE("sent"));
	reply_write(req, SLICE("body"));
	reply_header(req, "X-Late", SLICE("never sent"));
}

void stream_bad_header(struct request *req)
{
	reply_header(req, "X-Name", SLICE("a\r\nb"));
	reply_begin(req, 200, "text/plain");
	reply_write(req, SLICE("never sent"));
	reply_flush(req);
}

void stream_twice(struct request *req)
{
	reply_begin(req, 200, "text/plain");
	reply_text(req, 200, SLICE("ignored"));
	reply_begin(req, 201, "text/html");
	reply_write(req, SLICE("first"));
}

void stream_no_begin(struct request *req)
{
	reply_write(req, SLICE("into the blue"));
}

void stream_cut(struct request *req)
{
	reply_begin(req, 200, "text/plain");
	reply_write(req, SLICE("half of it"));
	if (request_query_int(req, "flush", 0, 1, 0))
		reply_flush(req);
	reply_cut(req);
	reply_write(req, SLICE("never sent"));
}

void stream_pages(struct request *req)
{
	const struct page_template *show = page_compiled(&world_of(req)->pages, SLICE("show"));
	uint8_t memory[2048];
	struct arena arena;
	arena_init(&arena, memory, sizeof memory, NULL, 0);
	reply_begin(req, 200, "text/html; charset=utf-8");
	for (int i = 0; i < 100; i++) {
		struct page_value *data = page_object(&arena);
		page_set_text(data, "text", arena_format(&arena, "<%d>", i));
		reply_write_page(req, show, data);
		arena_reset(&arena);
	}
}

void stream_rows(struct request *req)
{
	struct db_rows *rows = db_query(req, "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c "
		"LIMIT ?) SELECT x, 'name ' || x FROM c", request_query_int(req, "n", 0, 1000000, 100));
	reply_begin(req, 200, "text/csv");
	while (db_next(rows) && reply_writef(req, "%d,%.*s\n", (int)db_int(rows, 0), SLICE_ARG(db_text(rows, 1))))
		;
	world_of(req)->ends++;
}

/* Each piece says what has just been written. */
void stream_after_write(struct request *req)
{
	reply_begin(req, 200, "text/plain");
	for (int i = 0; i < 3; i++) {
		db_run(req, "INSERT INTO entry (name) VALUES (?)", i);
		reply_writef(req, "%d", i);
		reply_flush(req);
	}
	db_run(req, "INSERT INTO entry (name) VALUES ('end')");
	reply_write(req, SLICE("end"));
}

void stream_sql_error(struct request *req)
{
	reply_begin(req, 200, "text/plain");
	reply_write(req, SLICE("it begins well"));
	if (request_query_int(req, "flush", 0, 1, 0))
		reply_flush(req);
	db_run(req, "INSERT INTO nowhere VALUES (1)");
	reply_write(req, SLICE("never sent"));
}

/* --- Bodies ----------------------------------------------------------------------------------- */

/* Reads pieces of `piece` bytes, full ones if asked, and answers with the number of bytes and their sum; stops at the
 * gate first, or after the first piece, if asked. */
void upload_sum(struct request *req)
{
	struct world *w = world_of(req);
	uint8_t piece[4096];
	size_t len = (size_t)request_query_int(req, "piece", 1, sizeof piece, sizeof piece), n;
	bool full = request_query_int(req, "full", 0, 1, 0);
	uint64_t sum = 0, count = 0;
	w->calls++;
	int64_t gate = request_query_int(req, "gate", 0, 2, 0);
	if (gate == 1)
		at_gate(w);
	while ((n = full ? request_read_full(req, piece, len) : request_read(req, piece, len))) {
		for (size_t i = 0; i < n; i++)
			sum = sum * 31 + piece[i];
		count += n;
		w->bytes_read += n;
		if (gate == 2 && count == n)
			at_gate(w);
		assert_true(!full || n == len || !request_read(req, piece, len));
	}
	w->ends += !request_failed(req);
	reply_text(req, 200, arena_format(request_arena(req), "%lu %lu", (unsigned long)count, (unsigned long)sum));
}

void upload_ignored(struct request *req)
{
	world_of(req)->calls++;
	reply_text(req, 200, SLICE("not read"));
}

void upload_start(struct request *req)
{
	uint8_t start[5] = {0};
	size_t n = request_read_full(req, start, sizeof start);
	reply_text(req, 200, arena_format(request_arena(req), "%.*s", (int)n, (const char *)start));
}

/* A body and an answer of any length. */
void upload_echo(struct request *req)
{
	uint8_t all[2000];
	size_t n = request_read_full(req, all, sizeof all);
	if (!reply_begin(req, 200, "text/plain"))
		return;
	for (int i = 0; i < 100; i++)
		reply_write(req, slice_of(all, n));
}

void upload_late(struct request *req)
{
	uint8_t byte;
	reply_begin(req, 200, "text/plain");
	request_read(req, &byte, 1);
	reply_write(req, SLICE("never sent"));
}

void upload_form(struct request *req)
{
	if (form_open(req))
		reply_text(req, 200, SLICE("never sent"));
}

/* A row for each piece. */
void upload_store(struct request *req)
{
	uint8_t piece[4096];
	size_t n;
	int64_t count = 0;
	db_run(req, "CREATE TABLE IF NOT EXISTS piece (id INTEGER PRIMARY KEY, bytes BLOB)");
	while ((n = request_read_full(req, piece, sizeof piece)) &&
		db_run(req, "INSERT INTO piece (bytes) VALUES (?)", db_value_blob(slice_of(piece, n))))
		count++;
	reply_text(req, 200, arena_format(request_arena(req), "%d", (int)count));
}

void upload_in_transaction(struct request *req)
{
	uint8_t piece[1000];
	db_begin(req);
	db_run(req, "INSERT INTO entry (name) VALUES (NULL)");
	while (request_read(req, piece, sizeof piece))
		;
	db_run(req, "INSERT INTO entry (name) VALUES (NULL)");
	if (db_commit(req))
		reply_text(req, 201, SLICE("committed"));
}

/* Asks twice for the id that it has been given, with a wait for the client in between. */
void upload_last_id(struct request *req)
{
	uint8_t all[1000];
	db_run(req, "INSERT INTO entry (name) VALUES ('mine')");
	int64_t id = db_last_id(req);
	request_read_full(req, all, sizeof all);
	struct db_rows *rows = db_query(req, "SELECT count(*) FROM entry");
	int64_t count = db_next(rows) ? db_int(rows, 0) : -1;
	reply_text(req, 200, arena_format(request_arena(req), "%d %d %d %d", (int)id, (int)db_last_id(req),
		(int)db_changes(req), (int)count));
}

/* --- Events ----------------------------------------------------------------------------------- */

void events_some(struct request *req)
{
	struct world *w = world_of(req);
	int64_t n = request_query_int(req, "n", 0, 1000000, 3);
	uint32_t wait_ms = (uint32_t)request_query_int(req, "wait", 0, 10000000, 0);
	if (!event_begin(req))
		return;
	event_send(req, &(struct app_event){.id = 7, .type = "note", .data = SLICE("two\nlines"), .retry_ms = 2000});
	event_send(req, &(struct app_event){.data = SLICE("a\r\nb\rc\n")});
	while (n-- > 0 && event_wait(req, wait_ms) && event_send(req, &(struct app_event){.data = SLICE("tick")}))
		w->calls++;
	w->ends++;
}

void events_changes(struct request *req)
{
	int64_t last = event_last_id(req);
	if (!event_begin(req))
		return;
	do {
		struct db_rows *rows = db_query(req, "SELECT id, name FROM entry WHERE id > ? ORDER BY id", last);
		while (db_next(rows)) {
			last = db_int(rows, 0);
			event_send(req, &(struct app_event){.id = last, .data = db_text(rows, 1)});
		}
		world_of(req)->calls++;
	} while (event_wait_change(req));
	world_of(req)->ends++;
}

/* More queries and statements than a request's memory has room for, if each took some. */
void sql_many(struct request *req)
{
	int64_t sum = 0;
	for (int i = 0; i < 20000; i++) {
		struct db_rows *rows = db_query(req, "SELECT ? + ?", i, 1);
		if (db_next(rows))
			sum += db_int(rows, 0);
		db_end(rows);
		if (i % 20 == 0)
			db_run(req, "UPDATE entry SET name = ? WHERE id = ?", "nobody", i);
	}
	reply_text(req, 200, arena_format(request_arena(req), "%ld", (long)sum));
}

void sql_touch(struct request *req)
{
	db_run(req, "INSERT OR REPLACE INTO entry (id, name) VALUES (1, ?)", ++world_of(req)->touches);
	reply_text(req, 200, SLICE("touched"));
}

/* --- Parts ------------------------------------------------------------------------------------ */

static void parts_list(struct request *req, size_t piece_len)
{
	uint8_t piece[1000];
	struct form_part part;
	struct arena *arena = request_arena(req);
	uint8_t *out = arena_alloc(arena, 8000);
	struct writer w = writer_of(out, 8000);
	while (part_next(req, &part)) {
		uint64_t sum = 0, count = 0;
		size_t n;
		write_bytes(&w, part.name);
		write_bytes(&w, SLICE("|"));
		write_bytes(&w, part.filename);
		write_bytes(&w, SLICE("|"));
		write_bytes(&w, part.type);
		write_bytes(&w, part.is_file ? SLICE("|file|") : SLICE("|text|"));
		if (slice_eq(part.name, SLICE("skip")))
			continue;
		if (slice_eq(part.name, SLICE("title"))) {
			write_bytes(&w, part_text(req, 20));
			write_bytes(&w, SLICE("\n"));
			continue;
		}
		for (; (n = part_read(req, piece, piece_len)); count += n)
			for (size_t i = 0; i < n; i++)
				sum = sum * 31 + piece[i];
		write_dec(&w, count);
		write_bytes(&w, SLICE(" "));
		write_dec(&w, sum);
		write_bytes(&w, SLICE("\n"));
	}
	world_of(req)->ends += !request_failed(req);
	reply_text(req, 200, writer_slice(&w));
}

void parts_show(struct request *req)
{
	parts_list(req, (size_t)request_query_int(req, "piece", 1, 1000, 1000));
}

void parts_of_this_site(struct request *req)
{
	world_of(req)->calls++;
	if (form_open_parts(req))
		parts_list(req, 1000);
}
