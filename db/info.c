/* `ingot db info`: what a volume holds. */
#include <stdlib.h>
#include <string.h>
#include "commands.h"
#include "vfs.h"
#include "words.h"

struct info {
	bool json;
	char *user_version, *page_count, *freelist, *tables; /* SQLite's; NULL: not known */
};

static int take_value(void *context, int columns, char **value, char **name)
{
	(void)columns, (void)name;
	*(char **)context = format("%s", value[0] ? value[0] : "");
	return 0;
}

static void ask(sqlite3 *db, const char *sql, char **out)
{
	if (sqlite3_exec(db, sql, take_value, out, NULL) != SQLITE_OK)
		*out = NULL;
}

static void ask_sqlite(struct session *s, struct info *i)
{
	struct db_vfs *vfs = must_alloc(sizeof *vfs);
	sqlite3 *db = NULL;
	db_vfs_register(vfs, s);
	if (sqlite3_open_v2(vfs->name, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK) {
		ask(db, "PRAGMA user_version", &i->user_version);
		ask(db, "PRAGMA page_count", &i->page_count);
		ask(db, "PRAGMA freelist_count", &i->freelist);
		ask(db, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
			&i->tables);
	}
	sqlite3_close(db);
}

static const char *uuid_text(const uint8_t u[16])
{
	char *out = must_alloc(40), *p = out;
	for (int i = 0; i < 16; i++)
		p += snprintf(p, 4, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", u[i]);
	return out;
}

static void row(const char *name, const char *value)
{
	printf("%-12s%s\n", name, value);
}

/* What else there is, as words. */
static char *others(const struct session *s)
{
	struct store_object_info o;
	char *text = format("%s", "");
	for (uint32_t cursor = 0; store_object_next(s->store, &cursor, &o);)
		if (strcmp(o.name, "main") != 0)
			text = format("%s%s\"%s\" (%s)", text, *text ? ", " : "", o.name,
				size_text((uint64_t)o.pages * STORE_PAGE_SIZE));
	return text;
}

static uint32_t snapshot_count(const struct session *s)
{
	struct store_named_info n;
	uint32_t count = 0;
	for (uint32_t cursor = 0; store_named_next(s->store, &cursor, &n);)
		count++;
	return count;
}

static void tell_people(const struct session *s, const struct info *i, const char *holder)
{
	const struct store_info *v = &s->info;
	uint64_t used = v->blocks - v->blocks_free;
	row("volume", s->place.path);
	row("uuid", uuid_text(v->uuid));
	row("format", format("version %u, features that a reader must know: %#x, may ignore: %#x", v->version,
		v->features_incompatible, v->features_compatible));
	row("in use by", holder ? holder : "nobody");
	row("size", format("%s, %s in use, %s free", size_text(v->blocks * 4096), size_text(used * 4096),
		size_text(v->blocks_free * 4096)));
	row("generation", format("%lu", (unsigned long)v->generation));
	row("last stop", v->records_replayed ? format("not a clean one%s: %u records to replay",
		holder ? " (a machine is at work)" : "", v->records_replayed) : "clean");
	if (snapshot_count(s))
		row("snapshots", format("%u; what they hold: ingot db snapshots", snapshot_count(s)));
	if (*others(s))
		row("besides", others(s));
	if (!s->object_pages) {
		row("database", "none yet");
		return;
	}
	row("database", format("%s in %s pages, %s of them free",
		size_text((uint64_t)s->object_pages * 4096), i->page_count ? i->page_count : "?",
		i->freelist ? i->freelist : "?"));
	row("schema", format("version %s (the last migration), %s tables",
		i->user_version ? i->user_version : "?", i->tables ? i->tables : "?"));
}

static void put_text(const char *name, const char *value)
{
	printf("\"%s\":\"", name);
	for (; *value; value++)
		printf(*value == '"' || *value == '\\' ? "\\%c" : (uint8_t)*value < 32 ? "\\u%04x" : "%c", *value);
	printf("\",");
}

static void tell_programs(const struct session *s, const struct info *i, const char *holder)
{
	const struct store_info *v = &s->info;
	putchar('{');
	put_text("volume", s->place.path);
	put_text("uuid", uuid_text(v->uuid));
	printf("\"version\":%u,\"features_incompatible\":%u,\"features_compatible\":%u,", v->version,
		v->features_incompatible, v->features_compatible);
	if (holder)
		put_text("holder", holder);
	printf("\"snapshots\":%u,\"held\":%s,\"bytes\":%lu,\"bytes_free\":%lu,\"generation\":%lu,\"records_to_replay\":%u,",
		snapshot_count(s), holder ? "true" : "false", (unsigned long)v->blocks * 4096, (unsigned long)v->blocks_free * 4096,
		(unsigned long)v->generation, v->records_replayed);
	printf("\"pages\":%s,\"pages_free\":%s,\"tables\":%s,\"schema_version\":%s}\n",
		i->page_count ? i->page_count : "null", i->freelist ? i->freelist : "null",
		i->tables ? i->tables : "null", i->user_version ? i->user_version : "null");
}

static int do_info(struct session *s, void *argument)
{
	struct info *i = argument;
	const char *holder = place_is_held(&s->place) ? place_holder(&s->place) : NULL;
	if (s->object_pages)
		ask_sqlite(s, i);
	(i->json ? tell_programs : tell_people)(s, i, holder);
	return 0;
}

int command_info(int argc, char **argv)
{
	struct words_option options[] = {{.name = "--json"}, {0}};
	struct words w = words_take(argc, argv, options, "info [WHERE] [--json]", 0, 0);
	struct session s = {.place = place_find(w.where), .mode = SESSION_READ};
	struct info i = {.json = options[0].given};
	return session_run(&s, do_info, &i);
}
