/* Which of an application's migrations an existing database already has. */
#ifndef DB_MIGRATED_H
#define DB_MIGRATED_H

#include <sqlite3.h>
#include <stdint.h>

/* What user_version an imported database gets: the number of the last migration that counts as applied, or -1: it was a
 * volume's before and says so itself. `folder`: the application's, or NULL; `wanted`: --migrated, or NULL. Says on standard
 * error what it has found. */
int64_t migrated_decide(sqlite3 *db, const char *folder, const char *wanted);

/* A CREATE statement as it is compared: without comments, with single blanks, in lower case outside of text, without
 * IF NOT EXISTS and quotes around names. The result is allocated. */
char *migrated_normal(const char *sql);

#endif
