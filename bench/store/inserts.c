/* The rival's inserts: durable single-row insertions into a table with one index, one transaction each,
 * straight into SQLite with no server around it.
 *
 *	inserts FILE wal|delete COUNT
 *
 * Prints "inserts N in S s: R/s". */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <sqlite3.h>

static sqlite3 *db;

static void run(const char *sql)
{
	char *error = NULL;
	if (sqlite3_exec(db, sql, NULL, NULL, &error) == SQLITE_OK)
		return;
	printf("inserts: %s: %s\n", sql, error);
	exit(1);
}

static double now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	if (argc != 4 || sqlite3_open(argv[1], &db) != SQLITE_OK) {
		printf("inserts FILE wal|delete COUNT\n");
		return 1;
	}
	char mode[64];
	snprintf(mode, sizeof mode, "PRAGMA journal_mode=%s", argv[2]);
	run(mode);
	run("PRAGMA synchronous=FULL");
	run("CREATE TABLE IF NOT EXISTS event (id INTEGER PRIMARY KEY, account INTEGER NOT NULL, note TEXT NOT NULL);"
	    "CREATE INDEX IF NOT EXISTS event_by_account ON event (account)");
	sqlite3_stmt *insert;
	if (sqlite3_prepare_v2(db, "INSERT INTO event (account, note) VALUES (abs(random()) % 100000, "
		"'forty bytes of text that are not compressed')", -1, &insert, NULL) != SQLITE_OK)
		return 1;
	long count = strtol(argv[3], NULL, 10);
	double start_s = now_s();
	for (long i = 0; i < count; i++) {
		if (sqlite3_step(insert) != SQLITE_DONE) {
			printf("inserts: %s\n", sqlite3_errmsg(db));
			return 1;
		}
		sqlite3_reset(insert);
	}
	double took_s = now_s() - start_s;
	printf("inserts %ld in %.3f s: %.0f/s\n", count, took_s, (double)count / took_s);
	return 0;
}
