/* `ingot db check`: first the store (superblocks, the chain of records, the maps, every page's checksum), then what
 * SQLite says of the content. Whatever is damaged is named: object, page, block, and the table or index that it
 * belongs to.
 *
 * A volume that a machine writes to is checked as well. A finding counts only when the volume's checkpoint has not
 * moved meanwhile; else the block may have been reused, and all is checked anew. */
#include <abi/volume.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "btree.h"
#include "commands.h"
#include "vfs.h"
#include "words.h"

enum { TRIES = 20, LINES_MAX = 200, SQLITE_ERRORS_MAX = 50 };

struct check {
	struct session *s;
	struct db_vfs *vfs;
	bool quick;
	struct store_check_result result;
	struct store_damage *damage;
	size_t damage_count;
	char *line[LINES_MAX]; /* what was found */
	size_t lines, lines_more;
	size_t mendable; /* of the lines: no data is concerned */
	size_t kept;     /* ... and these are of pages that only snapshots hold */
	const char *keeper; /* one of those */
	size_t unreachable; /* pages of which SQLite says so, because others cannot be read */
};

static void say(struct check *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct check *c, const char *fmt, ...)
{
	va_list args;
	char *text;
	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		die("out of memory");
	va_end(args);
	if (c->lines < LINES_MAX)
		c->line[c->lines++] = text;
	else
		c->lines_more++;
}

static void on_damage(void *context, const struct store_damage *d)
{
	struct check *c = context;
	c->damage = realloc(c->damage, (c->damage_count + 1) * sizeof *c->damage);
	if (!c->damage)
		die("out of memory");
	c->damage[c->damage_count] = *d;
	c->damage[c->damage_count].object = format("%s", d->object);
	if (d->snapshot)
		c->damage[c->damage_count].snapshot = format("%s", d->snapshot);
	c->damage_count++;
}

static void on_progress(void *context, uint64_t done, uint64_t all)
{
	(void)context;
	progress_show("checksums", done, all);
}

/* --- What a page belongs to ------------------------------------------------------------------- */

struct owners {
	struct btree_walk walk;
	struct store_snapshot snapshot;
	char **name; /* by root page */
};

static bool read_page(void *context, uint32_t page_no, uint8_t page[4096])
{
	struct owners *o = context;
	struct store_page *p;
	if (failed(store_page_get(&o->snapshot, page_no - 1, &p)))
		return false;
	memcpy(page, store_page_data(p), STORE_PAGE_SIZE);
	store_page_put(p);
	return true;
}

static int add_tree(void *context, int columns, char **value, char **name)
{
	struct owners *o = context;
	uint32_t root = (uint32_t)strtoul(value[0] ? value[0] : "0", NULL, 10);
	(void)columns, (void)name;
	if (root < 1 || root > o->walk.pages || o->name[root])
		return 0;
	o->name[root] = format("%s %s", value[1], value[2]);
	btree_walk(&o->walk, root);
	return 0;
}

/* Walks all trees, as far as they can be read. */
static void owners_find(struct check *c, sqlite3 *db, struct owners *o)
{
	store_snapshot_begin(c->s->object, &o->snapshot);
	o->walk = (struct btree_walk){.read = read_page, .context = o,
		.pages = store_snapshot_pages(&o->snapshot)};
	o->walk.page = must_alloc(((size_t)o->walk.pages + 1) * sizeof *o->walk.page);
	o->name = must_alloc(((size_t)o->walk.pages + 1) * sizeof *o->name);
	if (o->walk.pages) {
		o->name[1] = format("the schema");
		btree_walk(&o->walk, 1);
		btree_walk_free(&o->walk);
		sqlite3_exec(db, "SELECT rootpage, type, name FROM sqlite_schema WHERE rootpage > 0", add_tree,
			o, NULL);
	}
	store_snapshot_end(&o->snapshot);
}

static const char *owner_text(const struct owners *o, uint32_t page_no)
{
	static const char *const part[] = {[BTREE_UNKNOWN] = "", [BTREE_INNER] = "an inner page of ",
		[BTREE_LEAF] = "a leaf of ", [BTREE_UNREAD] = "part of ",
		[BTREE_OVERFLOW] = "the rest of a long row of ", [BTREE_FREE] = "a free page, which nothing needs"};
	if (page_no > o->walk.pages)
		return "beyond the database's end";
	const struct btree_page *p = &o->walk.page[page_no];
	if (p->kind == BTREE_UNKNOWN)
		return "what it belongs to cannot be told, since pages above it cannot be read";
	return format("%s%s", part[p->kind], p->root && o->name[p->root] ? o->name[p->root] : "");
}

static void report_damage(struct check *c, const struct store_damage *d, const struct owners *o)
{
	bool database = o && !d->snapshot && strcmp(d->object, "main") == 0;
	const char *as = d->snapshot ? format(", as snapshot \"%s\" holds it,", d->snapshot) : "";
	const char *why = d->reason.code == ERR_IO ? "cannot be read (the device fails)" : "is damaged";
	if (d->kind == STORE_DAMAGE_MAP)
		say(c, "the map of object \"%s\"%s is damaged: %u pages from page %u on cannot be found", d->object,
			as, d->pages, d->page + 1);
	else if (database)
		say(c, "page %u of the database (block %u) %s: %s", d->page + 1, d->block, why,
			owner_text(o, d->page + 1));
	else
		say(c, "page %u of object \"%s\"%s (block %u) %s", d->page + 1, d->object, as, d->block, why);
	if (d->snapshot && d->kind != STORE_DAMAGE_MAP) {
		c->kept++;
		c->keeper = d->snapshot;
	}
}

/* --- What SQLite says ------------------------------------------------------------------------- */

/* What lies behind a damaged page looks to SQLite as if nothing used it. */
static bool is_unreachable(const struct check *c, const char *line)
{
	unsigned page;
	char rest[16] = "";
	return c->damage_count && sscanf(line, "Page %u: never %15s", &page, rest) == 2 && !strcmp(rest, "used");
}

/* One value may hold several lines. */
static int add_line(void *context, int columns, char **value, char **name)
{
	struct check *c = context;
	(void)columns, (void)name;
	if (strcmp(value[0] ? value[0] : "ok", "ok") == 0)
		return 0;
	for (char *rest = value[0], *line; (line = strsep(&rest, "\n"));) {
		if (is_unreachable(c, line))
			c->unreachable++;
		else if (*line && strcmp(line, "*** in database main ***") != 0)
			say(c, "SQLite: %s", line);
	}
	return 0;
}

static int add_foreign(void *context, int columns, char **value, char **name)
{
	(void)columns, (void)name;
	say(context, "SQLite: row %s of table %s refers to a row of table %s that is not there",
		value[1] ? value[1] : "(without rowid)", value[0], value[2]);
	return 0;
}

static void ask_sqlite(struct check *c, sqlite3 *db)
{
	char *message = NULL;
	progress_show("SQLite's integrity check", 0, 100);
	if (sqlite3_exec(db, format("PRAGMA integrity_check(%d)", SQLITE_ERRORS_MAX), add_line, c, &message))
		say(c, "SQLite: integrity_check: %s", message ? message : "out of memory");
	else if (sqlite3_exec(db, "PRAGMA foreign_key_check", add_foreign, c, &message))
		say(c, "SQLite: foreign_key_check: %s", message ? message : "out of memory");
	sqlite3_free(message);
	if (c->unreachable)
		say(c, "SQLite: %zu pages%s lie behind the damaged ones and cannot be reached", c->unreachable,
			c->unreachable + 1 < SQLITE_ERRORS_MAX / 2 ? "" : " or more");
	progress_show("", 0, 0);
}

static void check_database(struct check *c)
{
	sqlite3 *db = NULL;
	bool damaged = c->damage_count > 0;
	struct owners o = {.name = NULL};
	if (!c->s->object || c->s->object_pages == 0) {
		for (size_t i = 0; i < c->damage_count; i++)
			report_damage(c, &c->damage[i], NULL);
		return;
	}
	int rc = sqlite3_open_v2(c->vfs->name, &db, SQLITE_OPEN_READONLY, NULL);
	if (damaged)
		owners_find(c, db, &o);
	for (size_t i = 0; i < c->damage_count; i++)
		report_damage(c, &c->damage[i], &o);
	if (rc != SQLITE_OK)
		say(c, "SQLite cannot open the database: %s", sqlite3_errmsg(db));
	else if (!c->quick)
		ask_sqlite(c, db);
	sqlite3_close(db);
}

/* --- The command ------------------------------------------------------------------------------ */

/* What there is twice, or can be made anew. */
static void check_guards(struct check *c)
{
	const struct store_check_result *r = &c->result;
	for (uint32_t i = 0; i < 2; i++)
		if (r->slot_damaged[i])
			say(c, "the superblock in block %u is damaged; its copy in block %u holds", VOLUME_SLOT_BLOCK(i),
				VOLUME_SLOT_BLOCK(1 - i));
	if (r->space_damaged)
		say(c, "the space map is damaged, which says what is free");
	c->mendable = c->lines;
}

static void check_once(struct check *c)
{
	struct store_check_job job = {.map_only = c->quick, .space = true, .damage = on_damage,
		.progress = on_progress, .context = c};
	c->lines = c->lines_more = c->damage_count = c->unreachable = c->kept = 0;
	err e = store_check_all(c->s->store, &job, &c->result);
	progress_show("", 0, 0);
	if (failed(e) && e.code != ERR_CORRUPT)
		say(c, "the check itself failed: %s", err_text(e));
	check_guards(c);
	if (c->result.missing)
		say(c, "the space map shows %lu blocks as free that are in use; the next machine would write over them",
			(unsigned long)c->result.missing);
	if (c->result.twice)
		say(c, "%lu blocks are in use for two things at once", (unsigned long)c->result.twice);
	check_database(c);
}

static int tell(const struct check *c)
{
	for (size_t i = 0; i < c->lines; i++)
		printf("%s\n", c->line[i]);
	if (c->lines_more)
		printf("... and %zu more\n", c->lines_more);
	const char *where = c->s->place.folder ? c->s->place.folder : c->s->place.path;
	if (c->lines && c->lines == c->mendable) {
		printf("%s: the data is whole, and what is damaged can be made anew: ingot db repair %s\n", c->s->place.path,
			where);
		return 1;
	}
	if (c->kept && c->lines + c->lines_more == c->mendable + c->kept) {
		printf("%s: the database is whole; what is damaged is only in what snapshots keep. To forget one: "
			"ingot db snapshot %s %s --delete\n", c->s->place.path, where, c->keeper);
		return 1;
	}
	if (c->lines) {
		printf("%s: damaged. Restore it from a copy, or save what can be read: ingot db export %s FILE.sqlite --salvage\n",
			c->s->place.path, where);
		return 1;
	}
	if (c->result.leaked)
		printf("note: %s are in use for nothing; no data is concerned\n",
			size_text(c->result.leaked * STORE_PAGE_SIZE));
	printf("%s: ok: generation %lu, %s in %lu pages%s\n", c->s->place.path,
		(unsigned long)c->s->info.generation, size_text(c->result.pages * STORE_PAGE_SIZE),
		(unsigned long)c->result.pages, c->quick ? " (only the maps were checked, not the pages)" : "");
	return 0;
}

static int do_check(struct session *s, void *argument)
{
	struct check *c = argument;
	c->s = s;
	c->vfs = must_alloc(sizeof *c->vfs);
	db_vfs_register(c->vfs, s);
	s->keep_said = true; /* damage is reported by us */
	for (int i = 0;; i++) {
		check_once(c);
		if (!c->lines || !session_is_stale(s))
			return tell(c);
		if (i == TRIES)
			die("%s: a machine writes to it faster than it can be checked; stop it, or check a "
			    "snapshot of it: nothing can be said", s->place.path);
		session_reopen(s);
	}
}

int command_check(int argc, char **argv)
{
	struct words_option options[] = {{.name = "--quick"}, {0}};
	struct words w = words_take(argc, argv, options, "check [WHERE] [--quick]", 0, 0);
	struct session s = {.place = place_find(w.where), .mode = SESSION_READ};
	struct check c = {.quick = options[0].given};
	return session_run(&s, do_check, &c);
}
