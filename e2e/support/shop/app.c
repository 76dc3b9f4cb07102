/* The application of e2e/mixed.sh's guest: accounts, purchases with items, papers and a search, and a history that is
 * changed as a whole. Each change carries a token, which is kept with it. What is shown is verified first: an answer
 * that says "broken" is a 500. */
#include <ingot.h>

#include <stdarg.h>
#include <stdio.h>

#define HISTORY_ROWS 50000
#define PIECE 1000 /* bytes of a paper that are read at once */

static void say(struct request *req, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void say(struct request *req, int status, const char *fmt, ...)
{
	char *text = arena_alloc(request_arena(req), 200);
	va_list args;
	if (!text)
		return;
	va_start(args, fmt);
	int n = vsnprintf(text, 200, fmt, args);
	va_end(args);
	reply_text(req, status, slice_of((const uint8_t *)text, n > 199 ? 199 : (size_t)n));
}

static int64_t number(struct request *req, const char *name)
{
	return request_query_int(req, name, 0, INT32_MAX, 0);
}

static bool note_done(struct request *req)
{
	return db_run(req, "INSERT INTO done (token) VALUES (?)", request_query(req, "token"));
}

/* The first column of the first row; -1 when there is none. Ends the query. */
static int64_t take(struct db_rows *rows)
{
	int64_t n = db_next(rows) ? db_int(rows, 0) : -1;
	db_end(rows);
	return n;
}

/* --- Changes ---------------------------------------------------------------------------------- */

/* What a change has come to: its transaction's context. */
struct change {
	const char *refusal; /* NULL: none */
	int64_t id;
};

static void change(struct request *req, bool (*run)(struct request *, void *))
{
	struct change c = {0};
	bool committed = db_transaction(req, run, &c);
	if (c.refusal)
		say(req, 409, "%s\n", c.refusal);
	else if (committed)
		say(req, 200, "done %lld\n", (long long)c.id);
	else
		say(req, 503, "not committed\n");
}

static int64_t balance(struct request *req, int64_t account)
{
	return take(db_query(req, "SELECT balance FROM account WHERE id = ?", account));
}

/* Reads, computes here, writes: what another does in between would be lost. */
static bool move(struct request *req, struct change *c, int64_t source, int64_t target, int64_t amount)
{
	int64_t has = balance(req, source), had = balance(req, target);
	if (source == target || has < amount || had < 0) {
		c->refusal = "there is not so much";
		return false;
	}
	db_run(req, "UPDATE account SET balance = ? WHERE id = ?", has - amount, source);
	db_run(req, "UPDATE account SET balance = ? WHERE id = ?", had + amount, target);
	db_run(req, "INSERT INTO transfer (source, target, amount) VALUES (?, ?, ?)", source, target, amount);
	return true;
}

static bool do_transfer(struct request *req, void *context)
{
	return move(req, context, number(req, "from"), number(req, "to"), number(req, "amount")) && note_done(req);
}

static void transfer(struct request *req)
{
	change(req, do_transfer);
}

static void write_paper(struct request *req, int64_t purchase, int64_t seed, int64_t repeats)
{
	db_run(req, "INSERT INTO paper (purchase, seed, repeats, body) VALUES (?1, ?2, ?3, "
		"CAST(replace(hex(zeroblob(?3)), '00', printf('%08x', ?2)) AS BLOB)) "
		"ON CONFLICT (purchase) DO UPDATE SET seed = excluded.seed, repeats = excluded.repeats, "
		"body = excluded.body", purchase, seed, repeats);
}

/* Every third item is thought better of. */
static int64_t add_items(struct request *req, int64_t purchase, int64_t seed)
{
	int64_t total = 0;
	for (int64_t line = 1; line <= 1 + seed % 7; line++) {
		int64_t price = 1 + (seed * 31 + line * 17) % 500, count = 1 + (seed + line) % 5;
		db_savepoint(req);
		db_run(req, "INSERT INTO item (purchase, line, price, count) VALUES (?, ?, ?, ?)", purchase, line,
			price, count);
		if (line % 3 == 2) {
			db_savepoint_undo(req);
		} else {
			db_savepoint_release(req);
			total += price * count;
		}
	}
	return total;
}

static bool buy(struct request *req, struct change *c)
{
	int64_t seed = number(req, "seed");
	char tag[24], note[160];
	snprintf(tag, sizeof tag, "tag%d", (int)(seed % 97));
	snprintf(note, sizeof note, "%s purchase w%d, to be sent by w%d at w%d", tag, (int)(seed % 1009),
		(int)(seed % 4001), (int)(seed % 701));
	db_run(req, "INSERT INTO purchase (account, tag, note, total) VALUES (?, ?, ?, 0)", number(req, "account"), tag,
		note);
	c->id = db_last_id(req);
	int64_t total = add_items(req, c->id, seed);
	db_run(req, "UPDATE purchase SET total = ? WHERE id = ?", total, c->id);
	db_run(req, "INSERT INTO search (rowid, note) VALUES (?, ?)", c->id, note);
	write_paper(req, c->id, seed, 100 + seed % 1000);
	return true;
}

static bool do_purchase(struct request *req, void *context)
{
	return buy(req, context) && note_done(req);
}

static void purchase(struct request *req)
{
	change(req, do_purchase);
}

/* The first purchase from a number on. */
static int64_t some_purchase(struct request *req, struct change *c)
{
	c->id = take(db_query(req, "SELECT id FROM purchase WHERE id >= ? ORDER BY id LIMIT 1", number(req, "from")));
	if (c->id < 0)
		c->refusal = "there is no such purchase";
	return c->id;
}

static bool do_amend(struct request *req, void *context)
{
	int64_t id = some_purchase(req, context), seed = number(req, "seed"), count = 1 + seed % 9;
	if (id < 0)
		return false;
	int64_t total = take(db_query(req, "SELECT total FROM purchase WHERE id = ?", id));
	struct db_rows *first = db_query(req,
		"SELECT line, price, count FROM item WHERE purchase = ? ORDER BY line LIMIT 1", id);
	if (db_next(first)) {
		int64_t line = db_int(first, 0), price = db_int(first, 1);
		total += price * (count - db_int(first, 2));
		db_end(first);
		db_run(req, "UPDATE item SET count = ? WHERE purchase = ? AND line = ?", count, id, line);
	}
	char tag[24], note[160];
	snprintf(tag, sizeof tag, "tag%d", (int)(seed % 97));
	snprintf(note, sizeof note, "%s purchase w%d, amended by w%d", tag, (int)(seed % 1009), (int)(seed % 4001));
	db_run(req, "UPDATE purchase SET total = ?, tag = ?, note = ? WHERE id = ?", total, tag, note, id);
	db_run(req, "UPDATE search SET note = ? WHERE rowid = ?", note, id);
	write_paper(req, id, seed, 100 + seed % 1000);
	return note_done(req);
}

static void amend(struct request *req)
{
	change(req, do_amend);
}

static bool do_cancel(struct request *req, void *context)
{
	int64_t id = some_purchase(req, context);
	if (id < 0)
		return false;
	db_run(req, "DELETE FROM item WHERE purchase = ?", id);
	db_run(req, "DELETE FROM paper WHERE purchase = ?", id);
	db_run(req, "DELETE FROM search WHERE rowid = ?", id);
	db_run(req, "DELETE FROM purchase WHERE id = ?", id);
	return note_done(req);
}

static void cancel(struct request *req)
{
	change(req, do_cancel);
}

/* Much is done, then nothing of it. */
static bool do_regret(struct request *req, void *context)
{
	struct change *c = context;
	int64_t from = number(req, "from");
	buy(req, c);
	note_done(req);
	db_run(req, "DELETE FROM item WHERE purchase BETWEEN ?1 AND ?1 + 20", from);
	db_run(req, "UPDATE paper SET body = zeroblob(100) WHERE purchase BETWEEN ?1 AND ?1 + 20", from);
	db_run(req, "UPDATE account SET balance = 1");
	c->refusal = "regretted";
	return false;
}

static void regret(struct request *req)
{
	change(req, do_regret);
}

/* --- Large ones ------------------------------------------------------------------------------- */

static bool do_touch(struct request *req, void *context)
{
	(void)context;
	db_run(req, "UPDATE history SET touched = touched + 1");
	db_run(req, "UPDATE fact SET value = value + 1 WHERE name = 'touched'");
	return note_done(req);
}

static bool do_thin(struct request *req, void *context)
{
	struct change *c = context;
	db_run(req, "DELETE FROM history WHERE id % 2 = 0");
	c->id = db_changes(req);
	db_run(req, "UPDATE fact SET value = value - ? WHERE name = 'history'", c->id);
	return note_done(req);
}

/* Twice as many, up to what there was in the beginning. */
static bool do_double(struct request *req, void *context)
{
	struct change *c = context;
	int64_t rows = take(db_query(req, "SELECT value FROM fact WHERE name = 'history'"));
	db_run(req, "INSERT INTO history (touched, text) SELECT touched, text FROM history LIMIT ?",
		rows < HISTORY_ROWS ? HISTORY_ROWS - rows : 0);
	c->id = rows < HISTORY_ROWS ? db_changes(req) : 0;
	db_run(req, "UPDATE fact SET value = value + ? WHERE name = 'history'", c->id);
	return note_done(req);
}

static bool do_index(struct request *req, void *context)
{
	(void)context;
	db_run(req, "CREATE INDEX IF NOT EXISTS history_text ON history (text)");
	return note_done(req);
}

static bool do_unindex(struct request *req, void *context)
{
	(void)context;
	db_run(req, "DROP INDEX IF EXISTS history_text");
	return note_done(req);
}

static void large(struct request *req)
{
	static const struct {
		const char *name;
		bool (*run)(struct request *, void *);
	} known[] = {{"touch", do_touch}, {"thin", do_thin}, {"double", do_double}, {"index", do_index},
		{"unindex", do_unindex}};
	struct slice what = request_param(req, "what");
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (slice_eq(what, slice_from_cstr(known[i].name))) {
			change(req, known[i].run);
			return;
		}
	if (!slice_eq(what, SLICE("vacuum")))
		reply_error(req, 404, "There is no such change.");
	else if (db_run(req, "VACUUM") && note_done(req))
		say(req, 200, "done\n");
}

static void grow(struct request *req)
{
	if (db_run(req, "INSERT INTO filler (body) VALUES (?)", db_zeros((uint32_t)number(req, "size"))))
		say(req, 200, "done\n");
}

/* On a full volume, all in one statement. */
static void shrink(struct request *req)
{
	if (db_run(req, "DELETE FROM filler"))
		say(req, 200, "done\n");
}

/* Gives some of the free pages back to the volume, and says how many are left. In steps, as docs/sql.md says: each page
 * that moves changes others. */
static void trim(struct request *req)
{
	struct db_rows *rows = db_query(req, "PRAGMA incremental_vacuum(300)");
	while (db_next(rows))
		;
	db_end(rows);
	int64_t left = take(db_query(req, "PRAGMA freelist_count"));
	if (left >= 0)
		say(req, 200, "left %lld\n", (long long)left);
}

/* --- What is read, and verified --------------------------------------------------------------- */

/* `rows` gives how many things were looked at, and how many of them are not as they must be. */
static void verdict(struct request *req, const char *what, struct db_rows *rows)
{
	if (!db_next(rows))
		return;
	long long seen = db_int(rows, 0), wrong = db_int(rows, 1);
	db_end(rows);
	if (wrong)
		say(req, 500, "broken: %lld of %lld %s\n", wrong, seen, what);
	else
		say(req, 200, "well %lld %s\n", seen, what);
}

static void accounts(struct request *req)
{
	verdict(req, "accounts", db_query(req, "SELECT count(*), coalesce(sum(balance <> opening "
		"- (SELECT coalesce(sum(amount), 0) FROM transfer WHERE source = a.id) "
		"+ (SELECT coalesce(sum(amount), 0) FROM transfer WHERE target = a.id)), 0) "
		"FROM account a WHERE id BETWEEN ?1 AND ?1 + ?2", number(req, "from"), number(req, "count")));
}

static void balances(struct request *req)
{
	verdict(req, "accounts' balances",
		db_query(req, "SELECT count(*), sum(balance) <> sum(opening) FROM account"));
}

static void purchases(struct request *req)
{
	verdict(req, "purchases", db_query(req, "SELECT count(*), coalesce(sum(total <> "
		"(SELECT coalesce(sum(price * count), 0) FROM item WHERE item.purchase = p.id)), 0) "
		"FROM purchase p WHERE id BETWEEN ?1 AND ?1 + ?2", number(req, "from"), number(req, "count")));
}

static void papers(struct request *req)
{
	verdict(req, "papers", db_query(req, "SELECT count(*), coalesce(sum(body IS NOT "
		"CAST(replace(hex(zeroblob(repeats)), '00', printf('%08x', seed)) AS BLOB)), 0) "
		"FROM purchase LEFT JOIN paper ON purchase = id WHERE id BETWEEN ?1 AND ?1 + ?2",
		number(req, "from"), number(req, "count")));
}

static void history(struct request *req)
{
	verdict(req, "rows of the history", db_query(req, "SELECT count(*), coalesce(sum(length(text) <> 400 OR "
		"touched <> (SELECT value FROM fact WHERE name = 'touched')), 0) FROM history "
		"WHERE id BETWEEN ?1 AND ?1 + ?2", number(req, "from"), number(req, "count")));
}

static void history_count(struct request *req)
{
	verdict(req, "rows of the history", db_query(req, "SELECT n, n <> (SELECT value FROM fact WHERE name = 'history') "
		"FROM (SELECT count(*) AS n FROM history)"));
}

/* The index on tags and the search must find the same. */
static void search(struct request *req)
{
	char tag[24];
	snprintf(tag, sizeof tag, "tag%d", (int)number(req, "tag"));
	verdict(req, "purchases of a tag", db_query(req, "SELECT count(*), coalesce(sum(p.note IS NOT s.note), 0) + "
		"(count(*) <> (SELECT count(*) FROM purchase WHERE tag = ?1)) FROM search s "
		"LEFT JOIN purchase p ON p.id = s.rowid WHERE search MATCH ?1", tag));
}

/* Reads it in pieces; the place that is not as it was written, or its length. */
static size_t compare(struct db_blob *blob, const char *pattern, size_t len)
{
	char piece[PIECE];
	for (size_t at = 0; at < len; at += sizeof piece) {
		size_t n = len - at < sizeof piece ? len - at : sizeof piece;
		if (!db_blob_read(blob, at, piece, n))
			return at;
		for (size_t i = 0; i < n; i++)
			if (piece[i] != pattern[(at + i) % 8])
				return at + i;
	}
	return len;
}

static void paper(struct request *req)
{
	char pattern[9];
	db_begin_read(req);
	struct db_rows *row = db_query(req, "SELECT purchase, seed FROM paper WHERE purchase >= ? LIMIT 1",
		number(req, "from"));
	if (!db_next(row)) {
		say(req, 404, "there is none\n");
		return;
	}
	snprintf(pattern, sizeof pattern, "%08x", (unsigned)db_int(row, 1));
	struct db_blob *blob = db_blob_open(req, "paper", "body", db_int(row, 0));
	db_end(row);
	if (!blob)
		return;
	size_t len = db_blob_len(blob), same = compare(blob, pattern, len);
	if (same < len)
		say(req, 500, "broken: a paper is not what was written, at %zu of %zu\n", same, len);
	else
		say(req, 200, "well, %zu bytes of a paper\n", len);
}

APP_ROUTES(POST("/transfer", transfer), POST("/purchase", purchase), POST("/amend", amend), POST("/cancel", cancel),
	POST("/regret", regret), POST("/large/{what}", large), POST("/grow", grow), POST("/shrink", shrink),
	POST("/trim", trim),
	GET("/accounts", accounts), GET("/balances", balances), GET("/purchases", purchases), GET("/papers", papers),
	GET("/history", history), GET("/history/count", history_count), GET("/search", search), GET("/paper", paper))
