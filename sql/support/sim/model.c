/* The model's process: SQLite in memory, with a VFS that has no files. */
#include "sim.h"

#include <base/assert.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

const char *const image_queries[] = {
	"SELECT count(*), sum(k), sum(length(v)) FROM t",
	"SELECT count(*) FROM audit",
	"SELECT id, k, v FROM t ORDER BY id",
	"SELECT id FROM t WHERE k BETWEEN 20 AND 60 ORDER BY k, id",
	"SELECT n, what FROM audit ORDER BY n",
	"SELECT rowid, body FROM f ORDER BY rowid",
	"SELECT rowid FROM f WHERE f MATCH 'w3 OR w17' ORDER BY rowid",
	"SELECT id, length(data), hex(substr(data, 1, 8)) FROM large ORDER BY id",
	"SELECT a, b FROM extra0 ORDER BY a",
	"SELECT a, b FROM extra1 ORDER BY a",
	"SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'ingot%' ORDER BY name",
	"PRAGMA user_version",
	NULL,
};

const struct sql_migration migrations[MIGRATIONS] = {
	{1, "tables", "CREATE TABLE t (id INTEGER PRIMARY KEY, k INTEGER NOT NULL, v TEXT, u INTEGER UNIQUE);"
		"CREATE TABLE audit (n INTEGER PRIMARY KEY, what TEXT);"
		"CREATE TABLE large (id INTEGER PRIMARY KEY, data BLOB);"
		"CREATE INDEX t_k ON t (k, v);"},
	{2, "triggers", "CREATE TRIGGER t_gone AFTER DELETE ON t BEGIN"
		" INSERT INTO audit (what) VALUES ('gone ' || old.id); END;"
		"CREATE TRIGGER t_new AFTER INSERT ON t WHEN new.k > 90 BEGIN"
		" INSERT INTO audit (what) VALUES ('new ' || new.id); END;"},
	{3, "full text", "CREATE VIRTUAL TABLE f USING fts5(body);"
		"INSERT INTO f (rowid, body) SELECT id, 'w' || (k % 20) || ' ' || coalesce(v, '') FROM t;"},
	{4, "another column", "ALTER TABLE t ADD COLUMN w TEXT DEFAULT 'x'; UPDATE t SET w = k || v WHERE k % 2;"
		"CREATE INDEX t_w ON t (w);"},
};

struct head {
	char what; /* A: apply; R: return */
	uint64_t generation;
	uint32_t len;
};

struct answer {
	struct image image;
	uint32_t failed;
};

struct model {
	int to, from;
	pid_t pid;
};

/* --- The model's side --- */

struct entry {
	uint64_t generation;
	char *sql;
};

struct teller {
	sqlite3 *db;
	struct entry *log;
	uint32_t count, capacity;
};

static int no_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
	(void)vfs, (void)name, (void)file, (void)flags, (void)out;
	return SQLITE_CANTOPEN;
}

static int no_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	(void)vfs, (void)name, (void)sync;
	return SQLITE_IOERR_DELETE;
}

static int no_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
	(void)vfs, (void)name, (void)flags;
	*out = 0;
	return SQLITE_OK;
}

static int full_name(sqlite3_vfs *vfs, const char *name, int len, char *out)
{
	(void)vfs;
	strncpy(out, name, (size_t)len - 1);
	out[len - 1] = 0;
	return SQLITE_OK;
}

static int no_randomness(sqlite3_vfs *vfs, int len, char *out)
{
	(void)vfs;
	memset(out, 7, (size_t)len);
	return len;
}

static int current_time(sqlite3_vfs *vfs, sqlite3_int64 *out)
{
	(void)vfs;
	*out = 210866760000000;
	return SQLITE_OK;
}

static void teller_open(struct teller *t)
{
	int rc = sqlite3_open_v2(":memory:", &t->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "nowhere");
	ASSERT(rc == SQLITE_OK);
}

static void teller_init(struct teller *t)
{
	enum { HEAP = 256 << 20 };
	static sqlite3_vfs vfs = {.iVersion = 2, .szOsFile = sizeof(sqlite3_file), .mxPathname = 64, .zName = "nowhere",
		.xOpen = no_open, .xDelete = no_delete, .xAccess = no_access, .xFullPathname = full_name,
		.xRandomness = no_randomness, .xCurrentTimeInt64 = current_time};
	int rc = sqlite3_config(SQLITE_CONFIG_HEAP, malloc(HEAP), HEAP, 64);
	ASSERT(rc == SQLITE_OK);
	rc = sqlite3_initialize();
	ASSERT(rc == SQLITE_OK);
	sqlite3_vfs_register(&vfs, 1);
	teller_open(t);
}

/* A line is a statement, or several that stand together. */
static uint32_t run_lines(struct teller *t, const char *sql)
{
	uint32_t failed = 0;
	char *copy = strdup(sql), *save = NULL;
	sqlite3_exec(t->db, "BEGIN", NULL, NULL, NULL);
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		failed += sqlite3_exec(t->db, line, NULL, NULL, NULL) != SQLITE_OK;
	int rc = sqlite3_exec(t->db, "COMMIT", NULL, NULL, NULL);
	ASSERT(rc == SQLITE_OK);
	free(copy);
	return failed;
}

static struct image look(struct teller *t)
{
	struct image image = {.all = 1};
	for (uint32_t i = 0; image_queries[i]; i++) {
		sqlite3_stmt *s = NULL;
		if (sqlite3_prepare_v2(t->db, image_queries[i], -1, &s, NULL) != SQLITE_OK)
			image.all = image_mix(image.all, "none", 4);
		while (s && sqlite3_step(s) == SQLITE_ROW)
			for (int c = 0; c < sqlite3_column_count(s); c++)
				image.all = image_mix(image.all, sqlite3_column_text(s, c), (size_t)sqlite3_column_bytes(s, c));
		sqlite3_finalize(s);
		if (i + 1 == IMAGE_QUICK)
			image.quick = image.all;
	}
	return image;
}

static void teller_return(struct teller *t, uint64_t generation)
{
	uint32_t before = t->count;
	while (t->count && t->log[t->count - 1].generation > generation)
		free(t->log[--t->count].sql);
	if (t->count == before)
		return;
	sqlite3_close(t->db);
	teller_open(t);
	for (uint32_t i = 0; i < t->count; i++)
		(void)run_lines(t, t->log[i].sql);
}

static void read_all(int from, void *to, size_t len)
{
	for (size_t got = 0; got < len;) {
		ssize_t n = read(from, (uint8_t *)to + got, len - got);
		if (n <= 0)
			_exit(0);
		got += (size_t)n;
	}
}

static void write_all(int to, const void *from, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = write(to, (const uint8_t *)from + done, len - done);
		ASSERT(n > 0);
		done += (size_t)n;
	}
}

static _Noreturn void tell(int from, int to)
{
	struct teller t = {.db = NULL};
	struct head h;
	teller_init(&t);
	for (;;) {
		struct answer a = {.failed = 0};
		read_all(from, &h, sizeof h);
		if (h.what == 'R') {
			teller_return(&t, h.generation);
		} else {
			if (t.count == t.capacity)
				t.log = realloc(t.log, (t.capacity += 256) * sizeof *t.log);
			ASSERT(t.log);
			struct entry *e = &t.log[t.count++];
			*e = (struct entry){h.generation, calloc(1, h.len + 1)};
			read_all(from, e->sql, h.len);
			a.failed = run_lines(&t, e->sql);
		}
		a.image = look(&t);
		write_all(to, &a, sizeof a);
	}
}

/* --- The simulator's side --- */

struct model *model_start(void)
{
	struct model *m = calloc(1, sizeof *m);
	int there[2], back[2];
	ASSERT(m);
	int rc = pipe(there) || pipe(back);
	ASSERT(rc == 0);
	m->pid = fork();
	ASSERT(m->pid >= 0);
	if (m->pid == 0) {
		close(there[1]);
		close(back[0]);
		tell(there[0], back[1]);
	}
	close(there[0]);
	close(back[1]);
	m->to = there[1];
	m->from = back[0];
	return m;
}

void model_end(struct model *m)
{
	close(m->to);
	close(m->from);
	waitpid(m->pid, NULL, 0);
	free(m);
}

static struct answer ask(struct model *m, char what, uint64_t generation, const char *sql)
{
	struct head h;
	struct answer a;
	memset(&h, 0, sizeof h);
	h.what = what;
	h.generation = generation;
	h.len = (uint32_t)strlen(sql);
	write_all(m->to, &h, sizeof h);
	write_all(m->to, sql, h.len);
	read_all(m->from, &a, sizeof a);
	return a;
}

struct image model_apply(struct model *m, uint64_t generation, const char *sql, uint32_t *failed)
{
	struct answer a = ask(m, 'A', generation, sql);
	*failed = a.failed;
	return a.image;
}

struct image model_return_to(struct model *m, uint64_t generation)
{
	return ask(m, 'R', generation, "").image;
}
