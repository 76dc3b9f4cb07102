/* A database that was not made by migrations has a schema that some of them would make: it is compared with what
 * migrations 1 to k make of an empty one, for each k. */
#include "migrated.h"

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "tool.h"

static const char schema_query[] = "SELECT type, lower(name), lower(tbl_name), sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' "
	"AND name <> 'ingot_migration' ORDER BY 2, 1";

/* --- A statement, made comparable --- */

/* Skips a comment; the place behind it, or `s` when there is none. */
static const char *skip_comment(const char *s)
{
	if (s[0] == '-' && s[1] == '-') {
		while (*s && *s != '\n')
			s++;
	} else if (s[0] == '/' && s[1] == '*') {
		const char *end = strstr(s + 2, "*/");
		s = end ? end + 2 : s + strlen(s);
	}
	return s;
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || (c & 0x80);
}

/* Copies text in quotes: a string as it is, a name without its quotes. The place behind it. */
static const char *copy_quoted(const char *s, char **to)
{
	char end = *s == '[' ? ']' : *s;
	bool text = end == '\'';
	if (text)
		*(*to)++ = *s;
	for (s++; *s && *s != end; s++)
		*(*to)++ = text ? *s : (char)tolower((unsigned char)*s);
	if (text)
		*(*to)++ = end;
	return *s ? s + 1 : s;
}

static void drop(char *text, const char *what)
{
	char *at = strstr(text, what);
	if (at)
		memmove(at, at + strlen(what), strlen(at + strlen(what)) + 1);
}

char *migrated_normal(const char *sql)
{
	char *out = must_alloc(2 * strlen(sql) + 2), *to = out;
	while (*sql) {
		const char *behind = skip_comment(sql);
		if (behind != sql || isspace((unsigned char)*sql)) {
			sql = behind != sql ? behind : sql + 1;
			/* A blank matters between words only. */
			if (to > out && (is_word(to[-1]) || to[-1] == '\''))
				*to++ = ' ';
		} else if (strchr("'\"`[", *sql)) {
			sql = copy_quoted(sql, &to);
		} else {
			if (!is_word(*sql) && to > out && to[-1] == ' ')
				to--;
			*to++ = (char)tolower((unsigned char)*sql++);
		}
	}
	while (to > out && (to[-1] == ' ' || to[-1] == ';'))
		to--;
	*to = '\0';
	drop(out, "if not exists ");
	return out;
}

static char *schema_of(sqlite3 *db)
{
	sqlite3_stmt *q;
	char *all = format("%s", "");
	if (sqlite3_prepare_v2(db, schema_query, -1, &q, NULL) != SQLITE_OK)
		die("the schema cannot be read: %s", sqlite3_errmsg(db));
	while (sqlite3_step(q) == SQLITE_ROW) {
		const char *sql = (const char *)sqlite3_column_text(q, 3);
		all = format("%s%s %s %s %s\n", all, sqlite3_column_text(q, 0), sqlite3_column_text(q, 1),
			sqlite3_column_text(q, 2), migrated_normal(sql ? sql : ""));
	}
	sqlite3_finalize(q);
	return all;
}

/* --- An application's migrations --- */

struct migrations {
	struct dirent **file;
	int count;
};

static int is_migration(const struct dirent *e)
{
	size_t len = strlen(e->d_name);
	return len > 4 && strcmp(e->d_name + len - 4, ".sql") == 0 && isdigit((unsigned char)e->d_name[0]);
}

static char *file_text(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = NULL;
	size_t size = 0;
	if (!f || getdelim(&text, &size, '\0', f) < 0)
		text = format("%s", "");
	if (f)
		fclose(f);
	return text;
}

/* Whether each line of `part` is one of `all`. */
static bool has_lines(const char *all, const char *part)
{
	if (!*part)
		return false;
	while (*part) {
		size_t len = strcspn(part, "\n") + 1;
		const char *at = all;
		while ((at = memmem(at, strlen(at), part, len)) && at != all && at[-1] != '\n')
			at++;
		if (!at)
			return false;
		part += len;
	}
	return true;
}

/* The last migration after which all of the schema is in `have`; 0: none. */
static int64_t find_match(const struct migrations *m, const char *folder, const char *have)
{
	sqlite3 *db;
	int64_t match = 0;
	if (sqlite3_open_v2(":memory:", &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY,
		"unix") != SQLITE_OK)
		die("out of memory");
	for (int i = 0; i < m->count; i++) {
		const char *name = m->file[i]->d_name;
		char *sql = file_text(format("%s/migrations/%s", folder, name));
		if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
			break; /* which the build says better */
		if (has_lines(have, schema_of(db)))
			match = strtoll(name, NULL, 10);
	}
	sqlite3_close(db);
	return match;
}

static bool was_ours(sqlite3 *db)
{
	sqlite3_stmt *q;
	bool found = false;
	if (sqlite3_prepare_v2(db, "SELECT 1 FROM sqlite_schema WHERE name = 'ingot_migration'", -1, &q, NULL) ==
		SQLITE_OK)
		found = sqlite3_step(q) == SQLITE_ROW;
	sqlite3_finalize(q);
	return found;
}

static int64_t parse_number(const char *text)
{
	char *end;
	long long n = strtoll(text, &end, 10);
	if (end == text || *end || n < 0 || n > INT32_MAX)
		die("--migrated takes the number of a migration, or 0, not '%s'", text);
	return n;
}

int64_t migrated_decide(sqlite3 *db, const char *folder, const char *wanted)
{
	struct migrations m = {.count = 0};
	if (wanted)
		return parse_number(wanted);
	if (was_ours(db))
		return -1;
	if (folder)
		m.count = scandir(format("%s/migrations", folder), &m.file, is_migration, alphasort);
	if (m.count <= 0)
		return 0;
	int64_t match = find_match(&m, folder, schema_of(db));
	const char *last = m.file[m.count - 1]->d_name;
	if (match)
		notice("its schema has what the migrations up to %ld make: they count as applied", (long)match);
	else
		notice("its schema has not what the migrations make: the first run applies all of them, up to %s. "
		       "Where they make what is there already, write CREATE ... IF NOT EXISTS, or say with "
		       "--migrated N that those up to N need not be applied", last);
	return match;
}
