/* Lives of a database. Each opens it with one migration more (or as many), works, and ends with a power cut at
 * some event; what several outcomes have left is looked at beside. */
#include "sim.h"

#include "../../private.h"
#include "../counted.h"

#include <base/assert.h>
#include <support/sim/memory.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SQL_LEN (8u << 20)
#define STACK (512u * 1024u)
#define TEXT_MAX 65536u

struct life {
	struct rig rig;
	struct sql *sql;
	uint8_t *memory;
	uint64_t *durable; /* by event */
	uint64_t durable_capacity, least;
	uint32_t migrations;
};

struct run {
	const struct options *options;
	volatile struct verdict *verdict;
	struct model *model;
	struct life life[2], again;
	struct life *now;
	uint64_t random, blocks, newest, next_id;
	uint32_t steps;
	bool writer_done, failing;
	struct image image[GENERATIONS_MAX];
	uint32_t version[GENERATIONS_MAX]; /* migrations that it has */
};

__attribute__((format(printf, 4, 5))) static _Noreturn void fail_at(struct run *r, const char *file, int line,
	const char *format, ...)
{
	va_list args;
	va_start(args, format);
	printf("seed %lu: ", (unsigned long)r->options->seed);
	vprintf(format, args);
	va_end(args);
	printf(" (%s:%d)\nthe store's last line: %s\n", file, line, r->now->rig.last_log);
	fflush(stdout);
	_Exit(1);
}

#define CHECK(r, condition, ...)                                                                   \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_at(r, __FILE__, __LINE__, __VA_ARGS__);                               \
	} while (0)

#define TRACE(r, ...)                                                                              \
	do {                                                                                       \
		if ((r)->options->trace)                                                           \
			printf(__VA_ARGS__);                                                       \
	} while (0)

static uint32_t below(struct run *r, uint32_t bound)
{
	return (uint32_t)(sim_random(&r->random) % bound);
}

static void mix(struct run *r, uint64_t v)
{
	r->verdict->hash = image_mix(r->verdict->hash, &v, sizeof v);
}

/* The device fails on purpose, memory or the volume is full: not a mistake. */
static bool excused(struct run *r, err e)
{
	bool yes = e.code == ERR_NO_SPACE || e.code == ERR_NO_MEMORY || e.code == ERR_TOO_LARGE ||
		   (e.code == ERR_IO && r->failing);
	r->verdict->excused += yes;
	return yes;
}

/* --- Machines --- */

static void note_event(void *cookie)
{
	struct life *l = cookie;
	uint64_t at = l->rig.disk.events + 1;
	while (at >= l->durable_capacity) {
		l->durable_capacity = 2 * l->durable_capacity + 1024;
		l->durable = realloc(l->durable, l->durable_capacity * sizeof *l->durable);
		ASSERT(l->durable);
	}
	uint64_t before = at > 1 ? l->durable[at - 1] : l->least;
	uint64_t told = l->rig.store ? store_durable_generation(l->rig.store) : 0;
	l->durable[at] = told > before ? told : before;
}

static void life_init(struct run *r, struct life *l, uint64_t seed)
{
	rig_init_large(&l->rig, r->blocks * 4096, seed % 2 ? 512 : 4096, seed, 8, STACK);
	l->rig.disk.on_event = note_event;
	l->rig.disk.cookie = l;
	l->rig.config.cache_pages = 64 + (uint32_t)(r->options->seed % 3) * 100;
	if (r->options->memory) /* no large transactions */
		l->rig.config.txn_pages_max = 4000;
	l->memory = aligned_alloc(4096, SQL_LEN);
	ASSERT(l->memory);
}

/* The machine has lost its memory, SQLite's globals too. */
static void life_crash(struct run *r, struct life *l)
{
	if (sqlite3_vfs_find("store"))
		sqlite3_vfs_unregister(sqlite3_vfs_find("store"));
	sqlite3_shutdown();
	rig_crash(&l->rig);
	l->sql = NULL;
	r->now = NULL;
}

static void life_free(struct run *r, struct life *l)
{
	life_crash(r, l);
	rig_free(&l->rig);
	free(l->memory);
	free(l->durable);
}

struct opening {
	struct run *run;
	struct life *life;
	err result;
};

static void open_sql(void *argument)
{
	struct opening *o = argument;
	struct life *l = o->life;
	struct sql_config config = {.store = l->rig.store, .loop = &l->rig.loop, .log = &l->rig.log,
		.random = &l->rig.random, .memory = l->memory, .memory_len = SQL_LEN, .connections = 4,
		.migrations = migrations, .migration_count = l->migrations,
		.memory_methods = o->run->options->memory && l != &o->run->again ? &counted_methods : NULL};
	o->result = sql_open(&config, &l->sql);
}

/* The store is opened, recorded from its first request on; then SQLite with so many migrations (0: as it is). */
static err life_start(struct run *r, struct life *l, uint32_t count)
{
	r->now = l;
	l->migrations = count;
	sim_disk_record(&l->rig.disk);
	return rig_open(&l->rig);
}

static err life_open_sql(struct run *r, struct life *l)
{
	struct opening o = {r, l, OK};
	rig_run(&l->rig, open_sql, &o);
	return o.result;
}

/* --- Looking --- */

static uint64_t mix_rows(struct sql_conn *conn, const char *sql, uint64_t hash, err *e)
{
	struct sql_query q;
	*e = sql_query_begin(conn, &q, sql, SQL_NO_ARGS);
	if (failed(*e) && e->code == ERR_INVALID) {
		*e = OK;
		return image_mix(hash, "none", 4);
	}
	if (failed(*e))
		return hash;
	while (sql_query_next(&q))
		for (uint32_t c = 0; c < sql_column_count(&q); c++) {
			struct slice text = sql_column_text(&q, c);
			hash = image_mix(hash, text.ptr, text.len);
		}
	*e = sql_query_end(&q);
	if (failed(*e) && e->code == ERR_INVALID) { /* it was known, and is gone */
		*e = OK;
		return image_mix(hash, "none", 4);
	}
	return hash;
}

static err look(struct sql_conn *conn, bool quick, struct image *out)
{
	err e = OK;
	*out = (struct image){.all = 1};
	for (uint32_t i = 0; image_queries[i] && (!quick || i < IMAGE_QUICK) && !failed(e); i++) {
		out->all = mix_rows(conn, image_queries[i], out->all, &e);
		if (i + 1 == IMAGE_QUICK)
			out->quick = out->all;
	}
	return e;
}

static void is_sound(struct run *r, struct sql_conn *conn)
{
	struct sql_query q;
	err e = sql_query_begin(conn, &q, "PRAGMA integrity_check", SQL_NO_ARGS);
	CHECK(r, !failed(e), "integrity_check: %s", sql_error(conn));
	while (sql_query_next(&q)) {
		struct slice text = sql_column_text(&q, 0);
		CHECK(r, slice_eq(text, SLICE("ok")), "integrity_check: %.*s", SLICE_ARG(text));
	}
	e = sql_query_end(&q);
	CHECK(r, !failed(e), "integrity_check: %s", sql_error(conn));
}

static void compare(void *argument)
{
	struct run *r = argument;
	uint64_t generation = store_generation(r->now->rig.store);
	struct sql_conn *conn;
	struct image image;
	err e = sql_acquire(r->now->sql, TIMER_NEVER, &conn);
	CHECK(r, !failed(e), "no connection: %s", err_text(e));
	e = look(conn, false, &image);
	CHECK(r, !failed(e), "generation %lu cannot be read: %s", (unsigned long)generation, sql_error(conn));
	CHECK(r, image.all == r->image[generation].all,
		"generation %lu is not what the model says", (unsigned long)generation);
	is_sound(r, conn);
	sql_release(conn);
}

/* --- Work --- */

static void statement(struct run *r, char *out, size_t size)
{
	uint32_t a = below(r, 60), b = below(r, 100), what = below(r, 16);
	uint64_t id = ++r->next_id;
	if (what < 5)
		snprintf(out, size, "INSERT INTO t (k, v, u) VALUES (%u, 'v%u w%lu', %lu)", b, a, (unsigned long)(id % 23),
			(unsigned long)(id % 400));
	else if (what < 7)
		snprintf(out, size, "UPDATE t SET k = (k * 7 + %u) %% 100, v = v || 'x%u' WHERE id %% 13 = %u", a, a, b % 13);
	else if (what == 7)
		snprintf(out, size, "DELETE FROM t WHERE k BETWEEN %u AND %u", b, b + 5);
	else if (what == 8)
		snprintf(out, size, "INSERT INTO large (data) VALUES (zeroblob(%u))", 500 + 700 * a);
	else if (what == 9)
		snprintf(out, size, "UPDATE large SET data = hex(zeroblob(%u)) WHERE id %% 3 = %u", 100 * b, a % 3);
	else if (what == 10)
		snprintf(out, size, "DELETE FROM large WHERE id %% 4 = %u", a % 4);
	else if (what == 11)
		snprintf(out, size, "INSERT INTO f (body) VALUES ('w%u w%u text %lu')", a % 20, b % 20, (unsigned long)id);
	else if (what == 12)
		snprintf(out, size, "DELETE FROM f WHERE rowid %% 7 = %u", a % 7);
	else if (what == 13)
		snprintf(out, size, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %u) "
			"INSERT INTO t (k, v) SELECT i %% 100, hex(zeroblob(i %% 50)) FROM n", 10 + 8 * a);
	else if (what == 14)
		snprintf(out, size, "%s extra%u%s", a % 2 ? "DROP TABLE" : "CREATE TABLE", b % 2,
			a % 2 ? "" : " (a INTEGER PRIMARY KEY, b TEXT)");
	else
		snprintf(out, size, "INSERT INTO extra%u (b) VALUES ('b%u')", b % 2, a);
}

/* The text is told to the model line by line, once it is committed. */
static err statements(struct run *r, struct sql_conn *conn, char *text, uint32_t *refused)
{
	uint32_t count = 1 + below(r, r->options->memory ? 3 : 6);
	*refused = 0;
	for (uint32_t i = 0; i < count; i++) {
		char one[600];
		statement(r, one, 512);
		if (r->options->memory) /* not in the statement cache */
			snprintf(one + strlen(one), 80, " /* %lu */", (unsigned long)r->next_id);
		err e = sql_exec(conn, one, SQL_NO_ARGS);
		if (failed(e) && e.code != ERR_INVALID)
			return e;
		*refused += failed(e);
		strcat(text, one);
		strcat(text, "\n");
	}
	return OK;
}

static void committed(struct run *r, uint64_t generation, const char *text, uint32_t refused)
{
	uint32_t failures;
	CHECK(r, generation < GENERATIONS_MAX, "too many generations for one seed");
	CHECK(r, generation == r->newest + 1, "generation %lu follows upon %lu", (unsigned long)generation,
		(unsigned long)r->newest);
	r->image[generation] = model_apply(r->model, generation, text, &failures);
	r->version[generation] = r->version[r->newest];
	CHECK(r, failures == refused, "generation %lu: %u statements failed, in memory %u", (unsigned long)generation,
		refused, failures);
	r->newest = generation;
	r->verdict->commits++;
	mix(r, r->image[generation].all);
	TRACE(r, "event %lu: generation %lu:\n%s", (unsigned long)r->now->rig.disk.events, (unsigned long)generation, text);
}

static err transaction(struct run *r, struct sql_conn *conn)
{
	static char text[TEXT_MAX];
	uint32_t refused;
	TRY(sql_begin(conn, SQL_WRITE));
	text[0] = 0;
	uint64_t before = store_generation(r->now->rig.store);
	err e = statements(r, conn, text, &refused);
	if (failed(e) || below(r, 8) == 0) {
		sql_rollback(conn);
		return e;
	}
	TRY(sql_commit(conn));
	uint64_t generation = store_generation(r->now->rig.store);
	if (generation != before)
		committed(r, generation, text, refused);
	return OK;
}

static void write_on(void *argument)
{
	struct run *r = argument;
	for (uint32_t i = 0; i < r->steps && store_state(r->now->rig.store) == STORE_OPEN; i++) {
		struct sql_conn *conn;
		err e = sql_acquire(r->now->sql, TIMER_NEVER, &conn);
		CHECK(r, !failed(e), "no connection: %s", err_text(e));
		e = transaction(r, conn);
		CHECK(r, !failed(e) || excused(r, e), "a transaction: %s (%s)", err_text(e), sql_error(conn));
		uint64_t generation = sql_generation(conn);
		sql_release(conn);
		if (below(r, 3) == 0) {
			e = store_wait_durable(r->now->rig.store, generation);
			CHECK(r, !failed(e) || excused(r, e), "waiting: %s", err_text(e));
		}
	}
	r->writer_done = true;
}

/* Each transaction sees one generation, whatever is written meanwhile. */
static void read_on(void *argument)
{
	struct run *r = argument;
	while (!r->writer_done) {
		struct sql_conn *conn;
		struct image first, again;
		err e = sql_acquire(r->now->sql, TIMER_NEVER, &conn);
		CHECK(r, !failed(e), "no connection: %s", err_text(e));
		e = sql_begin(conn, SQL_READ);
		if (!failed(e))
			e = look(conn, true, &first);
		uint64_t generation = sql_generation(conn);
		fiber_sleep_until(&r->now->rig.loop, r->now->rig.sim.now_ns + 700000);
		if (!failed(e))
			e = look(conn, true, &again);
		CHECK(r, !failed(e) || excused(r, e), "reading: %s (%s)", err_text(e), sql_error(conn));
		CHECK(r, failed(e) || first.quick == again.quick, "a reader sees generation %lu change",
			(unsigned long)generation);
		CHECK(r, failed(e) || generation > r->newest || first.quick == r->image[generation].quick, "a reader of generation %lu sees something else",
			(unsigned long)generation);
		sql_rollback(conn);
		sql_release(conn);
		fiber_sleep_until(&r->now->rig.loop, r->now->rig.sim.now_ns + 300000);
	}
}

/* --- Memory --- */

static void arm(bool store, uint64_t n)
{
	seam_fail_allocation(store ? n : 0);
	counted.failed = false;
	counted.left = store ? -1 : (int64_t)n - 1;
}

static bool disarm(bool store)
{
	bool has = store ? seam_has_failed() : counted.failed;
	seam_fail_allocation(0);
	counted.left = -1;
	return has;
}

/* The transaction that gets no memory fails alone: it has left nothing, and all that follows on this connection and on
 * others goes on at once. */
static void goes_on(struct run *r, struct sql_conn *conn, uint64_t n, bool whole)
{
	struct image image;
	CHECK(r, !sql_in_transaction(conn), "number %lu: the transaction is still open", (unsigned long)n);
	CHECK(r, conn->file->lock == SQLITE_LOCK_NONE && !conn->sql->writer, "number %lu: a lock stays", (unsigned long)n);
	err e = look(conn, !whole, &image);
	CHECK(r, !failed(e), "after number %lu: %s (%s)", (unsigned long)n, err_text(e), sql_error(conn));
	const struct image *want = &r->image[r->newest];
	CHECK(r, image.quick == want->quick && (!whole || image.all == want->all),
		"after number %lu the database is not generation %lu", (unsigned long)n, (unsigned long)r->newest);
	if (whole)
		is_sound(r, conn);
}

/* True: allocation number `n` was one, and has failed. */
static bool fail_once(struct run *r, bool store, uint64_t n, bool *refused)
{
	struct sql_conn *conn;
	uint64_t before = store_generation(r->now->rig.store);
	err e = sql_acquire(r->now->sql, TIMER_NEVER, &conn);
	CHECK(r, !failed(e), "no connection: %s", err_text(e));
	arm(store, n);
	e = transaction(r, conn);
	bool hit = disarm(store);
	CHECK(r, !failed(e) || (hit && e.code == ERR_NO_MEMORY) || e.code == ERR_NO_SPACE, "number %lu: %s (%s)",
		(unsigned long)n, err_text(e), sql_error(conn));
	CHECK(r, !failed(e) || store_generation(r->now->rig.store) == before, "number %lu failed, and was committed",
		(unsigned long)n);
	*refused = failed(e);
	r->verdict->excused += failed(e);
	goes_on(r, conn, n, n % 32 == 0 || !hit);
	sql_release(conn);
	return hit;
}

/* The same transaction again and again, with more allocations before one fails, until none does: each up to a
 * number, and of those beyond it one here and there. */
static void fail_transaction(struct run *r, bool store)
{
	const uint64_t draw = r->random;
	uint64_t picks = draw ^ 0x6d656d, n = 1, tried = 0, refusals = 0;
	bool refused;
	while (fail_once(r, store, n, &refused)) {
		n += n < r->options->each ? 1 : 1 + sim_random(&picks) % (n / 8);
		refusals += refused;
		tried++;
		r->random = draw;
	}
	r->verdict->counted += tried;
	r->verdict->exhausted += n <= r->options->each;
	TRACE(r, "%s: %lu allocations failed, of %lu; %lu transactions with them\n", store ? "the store" : "SQLite",
		(unsigned long)tried, (unsigned long)n - 1, (unsigned long)refusals);
}

static void fail_each(void *argument)
{
	struct run *r = argument;
	for (uint32_t i = 0; i < r->steps; i++)
		fail_transaction(r, i % 2 == 0);
	r->writer_done = true;
}

static void close_sql(void *argument)
{
	struct life *l = argument;
	sql_close(l->sql);
}

static void work_without_memory(struct run *r)
{
	r->steps = r->options->steps ? r->options->steps : 4;
	rig_spawn(&r->now->rig, fail_each, r);
	rig_spawn(&r->now->rig, read_on, r);
	rig_finish(&r->now->rig);
	rig_run(&r->now->rig, close_sql, r->now);
	CHECK(r, counted.bytes == 0, "%lu bytes of SQLite's memory are never given back", (unsigned long)counted.bytes);
}

static void work(struct run *r)
{
	r->writer_done = false;
	if (r->options->memory) {
		work_without_memory(r);
		return;
	}
	r->steps = r->options->steps ? r->options->steps : 5 + below(r, 40);
	rig_spawn(&r->now->rig, write_on, r);
	rig_spawn(&r->now->rig, read_on, r);
	rig_spawn(&r->now->rig, read_on, r);
	rig_finish(&r->now->rig);
}

/* --- Migrations --- */

static void migrations_text(uint32_t from, uint32_t to, char *text, size_t size)
{
	text[0] = 0;
	for (uint32_t i = from; i < to; i++)
		snprintf(text + strlen(text), size - strlen(text), "%s\n", migrations[i].sql);
	snprintf(text + strlen(text), size - strlen(text), "PRAGMA user_version = %u\n", to);
}

/* Opens with `to` migrations. All that are pending are one generation, after that which makes the database. */
static bool migrate(struct run *r, struct life *l, uint32_t to)
{
	static char text[TEXT_MAX];
	uint64_t before = store_generation(l->rig.store);
	uint32_t failures, had = r->version[r->newest];
	err e = life_open_sql(r, l);
	CHECK(r, !failed(e) || excused(r, e), "opening with %u migrations: %s", to, err_text(e));
	uint64_t after = store_generation(l->rig.store);
	CHECK(r, after <= before + 1 && (after == before) == (had >= to || failed(e)),
		"opening with %u migrations after %u makes %lu generations", to, had, (unsigned long)(after - before));
	if (after == before)
		return !failed(e);
	migrations_text(had, to, text, sizeof text);
	CHECK(r, after < GENERATIONS_MAX, "too many generations for one seed");
	r->image[after] = model_apply(r->model, after, text, &failures);
	r->version[after] = to;
	r->newest = after;
	TRACE(r, "event %lu: generation %lu: %u migrations\n", (unsigned long)l->rig.disk.events, (unsigned long)after, to);
	return !failed(e);
}

/* --- Lives --- */

static uint64_t durable_before(const struct life *l, uint64_t event)
{
	return event <= l->rig.disk.events ? l->durable[event] : store_durable_generation(l->rig.store);
}

static void cut(struct run *r, struct life *l, uint64_t event, struct sim_disk *to)
{
	struct sim_cut c;
	sim_cut_begin(&c, &l->rig.disk, event);
	sim_cut_random(&c, sim_random(&r->random));
	sim_disk_drop_queue(to);
	sim_cut_apply(&c, to);
	sim_cut_end(&c);
}

/* SQLite is one in a process: l's is gone from now on, its recording is not. */
static void look_at_cuts(struct run *r, struct life *l)
{
	for (uint32_t i = 0; i < 12; i++) {
		uint64_t event = 1 + sim_random(&r->random) % (l->rig.disk.events + 1);
		uint64_t least = durable_before(l, event);
		life_crash(r, &r->again);
		cut(r, l, event, &r->again.rig.disk);
		r->again.least = least;
		err e = life_start(r, &r->again, 0);
		CHECK(r, !failed(e), "after a power cut the volume does not open: %s", err_text(e));
		uint64_t found = r->again.rig.info.generation;
		CHECK(r, found >= least && found <= r->newest, "generation %lu instead of %lu to %lu",
			(unsigned long)found, (unsigned long)least, (unsigned long)r->newest);
		e = life_open_sql(r, &r->again);
		CHECK(r, !failed(e), "after a power cut the database does not open: %s", err_text(e));
		rig_run(&r->again.rig, compare, r);
		r->verdict->points++;
	}
	life_crash(r, &r->again);
}

static void apply_errors(struct run *r, struct life *l)
{
	struct sim_disk *d = &l->rig.disk;
	d->fail_at = r->failing ? 1 + below(r, 400) : 0;
	d->fail_more = r->failing ? below(r, 8) : 0;
	d->fail_from = false;
	d->fails_badly = true;
}

static void live(struct run *r, struct life *l, struct life *next, uint32_t count)
{
	err e = life_start(r, l, count);
	CHECK(r, !failed(e), "the volume does not open: %s", err_text(e));
	uint64_t found = l->rig.info.generation;
	CHECK(r, found >= l->least && found <= r->newest, "generation %lu instead of %lu to %lu", (unsigned long)found,
		(unsigned long)l->least, (unsigned long)r->newest);
	r->newest = found;
	r->image[found] = model_return_to(r->model, found);
	TRACE(r, "opens with generation %lu\n", (unsigned long)found);
	if (r->version[found] > count)
		count = l->migrations = r->version[found];
	apply_errors(r, l);
	if (migrate(r, l, count))
		work(r);
	l->rig.disk.fail_at = l->rig.disk.fail_more = 0;
	mix(r, l->rig.disk.hash);
	look_at_cuts(r, l);
	uint64_t event = 1 + sim_random(&r->random) % (l->rig.disk.events + 1);
	next->least = durable_before(l, event);
	TRACE(r, "cut before event %lu of %lu\n", (unsigned long)event, (unsigned long)l->rig.disk.events);
	cut(r, l, event, &next->rig.disk);
	life_crash(r, l);
	rig_crash(&next->rig);
}

void run_seed(const struct options *o, volatile struct verdict *v)
{
	struct run *r = calloc(1, sizeof *r);
	ASSERT(r);
	r->options = o;
	r->verdict = v;
	r->random = o->seed;
	r->next_id = o->seed * 1000;
	r->blocks = 400 + below(r, 1500) + (o->memory ? 4000 : 0);
	r->failing = !o->no_errors && !o->memory && below(r, 4) == 0;
	r->model = model_start();
	for (uint32_t i = 0; i < 2; i++)
		life_init(r, &r->life[i], o->seed);
	life_init(r, &r->again, o->seed);
	r->image[0] = model_return_to(r->model, 0);
	for (uint32_t i = 0; i < 2 + MIGRATIONS; i++)
		live(r, &r->life[i % 2], &r->life[(i + 1) % 2], i < MIGRATIONS ? i + 1 : MIGRATIONS);
	model_end(r->model);
	for (uint32_t i = 0; i < 2; i++)
		life_free(r, &r->life[i]);
	life_free(r, &r->again);
	free(r);
}
