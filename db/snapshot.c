/* `ingot db snapshot`, `snapshots`, `restore`: named snapshots of the database. */
#include <string.h>
#include <time.h>
#include "commands.h"
#include "held.h"
#include "tool.h"
#include "words.h"

struct request {
	const char *name;
	bool delete, json, quick;
};

static _Noreturn void die_of(const struct session *s, const struct request *r, err e)
{
	const char *why = e.code == ERR_NOT_FOUND ? "there is no snapshot of that name; see: ingot db snapshots"
			: e.code == ERR_DENIED   ? "there is one of that name already; delete that, or choose another name"
			: e.code == ERR_INVALID  ? "a name has 1 to 31 bytes, and no control characters"
			: e.code == ERR_NO_SPACE ? "the volume has no room for it (or 31 snapshots already): delete one, or "
						   "make it larger: ingot db resize"
						 : err_text(e);
	die("%s: snapshot \"%s\": %s", s->place.path, r->name, why);
}

static void require_database(const struct session *s)
{
	if (!s->object)
		die("%s: there is no database in it yet", s->place.path);
}

static const char *time_text(uint64_t seconds)
{
	char text[64];
	time_t t = (time_t)seconds;
	struct tm tm;
	if (!seconds || !localtime_r(&t, &tm) || !strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm))
		return "unknown";
	return format("%s", text);
}

/* --- snapshot --- */

static int do_snapshot(struct session *s, void *argument)
{
	const struct request *r = argument;
	require_database(s);
	err e = r->delete ? store_named_delete(s->store, r->name)
			  : store_named_create(s->object, r->name, (uint64_t)time(NULL));
	if (failed(e))
		die_of(s, r, e);
	if (r->delete)
		printf("snapshot \"%s\" is deleted\n", r->name);
	else
		printf("snapshot \"%s\": generation %lu, %s\n", r->name, (unsigned long)store_generation(s->store),
			size_text((uint64_t)s->object_pages * STORE_PAGE_SIZE));
	return 0;
}

int command_snapshot(int argc, char **argv)
{
	struct words_option options[] = {{.name = "--delete"}, {0}};
	struct words w = words_take(argc, argv, options, "snapshot [WHERE] NAME [--delete]", 1, 1);
	struct session s = {.place = place_find(w.where), .mode = SESSION_WRITE, .must_exist = true};
	struct request r = {.name = w.rest[0], .delete = options[0].given};
	if (s.place.exists && place_is_held(&s.place))
		die("the volume %s is in use by %s. A machine that runs with --diagnose PORT does it itself: curl -X %s "
		    "http://localhost:PORT/snapshots/%s", s.place.path, place_holder(&s.place),
			r.delete ? "DELETE" : "PUT", r.name);
	return session_run(&s, do_snapshot, &r);
}

/* --- snapshots --- */

/* What only it holds, as text; "?" when that is not known. */
static const char *alone_text(const struct held *h, uint32_t i)
{
	return i < h->count ? size_text(h->alone[i] * STORE_PAGE_SIZE) : "?";
}

static void show_json(const struct store_named_info *n, const struct held *h, uint32_t i, bool first)
{
	printf("%s{\"name\":\"", first ? "" : ",");
	for (const char *p = n->name; *p; p++)
		printf(*p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
	printf("\",\"time\":%lu,\"generation\":%lu,\"pages\":%u,\"pages_alone\":%s}", (unsigned long)n->time,
		(unsigned long)n->generation, n->pages,
		i < h->count ? format("%lu", (unsigned long)h->alone[i]) : "null");
}

static int do_snapshots(struct session *s, void *argument)
{
	const struct request *r = argument;
	struct store_named_info n;
	struct held held = {0};
	uint32_t cursor = 0, shown = 0;
	if (!r->quick && !held_count(s, &held))
		notice("what each snapshot alone holds cannot be told: %s", place_is_held(&s->place)
			? "a machine writes to the volume faster than it can be read"
			: "a map cannot be read; see: ingot db check");
	if (r->json)
		putchar('[');
	for (uint32_t i = 0; store_named_next(s->store, &cursor, &n); i++) {
		if (strcmp(n.object, "main") != 0 && n.object[0])
			continue;
		if (r->json) {
			show_json(&n, &held, i, shown++ == 0);
			continue;
		}
		if (shown++ == 0)
			printf("%-31s  %-19s  %10s  %-10s  %s\n", "name", "when", "generation", "size", "only it holds");
		printf("%-31s  %-19s  %10lu  %-10s  %s\n", n.name, time_text(n.time), (unsigned long)n.generation,
			size_text((uint64_t)n.pages * STORE_PAGE_SIZE), alone_text(&held, i));
	}
	if (!r->json && held.count > 1)
		printf("without any of them %s more would be free\n", size_text(held.together * STORE_PAGE_SIZE));
	if (r->json)
		printf("]\n");
	else if (!shown)
		printf("there are no snapshots; to make one: ingot db snapshot NAME\n");
	return 0;
}

int command_snapshots(int argc, char **argv)
{
	struct words_option options[] = {{.name = "--json"}, {.name = "--quick"}, {0}};
	struct words w = words_take(argc, argv, options, "snapshots [WHERE] [--json] [--quick]", 0, 0);
	struct session s = {.place = place_find(w.where), .mode = SESSION_READ};
	struct request r = {.json = options[0].given, .quick = options[1].given};
	return session_run(&s, do_snapshots, &r);
}

/* --- restore --- */

static int do_restore(struct session *s, void *argument)
{
	const struct request *r = argument;
	require_database(s);
	err e = store_named_restore(s->object, r->name);
	if (failed(e))
		die_of(s, r, e);
	printf("the database is what snapshot \"%s\" holds, as generation %lu\n", r->name,
		(unsigned long)store_generation(s->store));
	return 0;
}

int command_restore(int argc, char **argv)
{
	struct words_option options[] = {{0}};
	struct words w = words_take(argc, argv, options, "restore [WHERE] NAME", 1, 1);
	struct session s = {.place = place_find(w.where), .mode = SESSION_WRITE, .must_exist = true};
	struct request r = {.name = w.rest[0]};
	return session_run(&s, do_restore, &r);
}
