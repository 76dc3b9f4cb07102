/* What bench/store.sh measures: durable insertions over HTTP, reads of the same table, and SQLite's own
 * speedtest1 inside the guest. */
#define _POSIX_C_SOURCE 200809L
#include <ingot.h>
#include "pages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int speedtest1_main(int argc, char **argv);

/* A row with one index, as in the rival's program: bench/store/inserts.c. */
#define INSERT "INSERT INTO event (account, note) VALUES (abs(random()) % 100000, " \
	       "'forty bytes of text that are not compressed')"

static void insert(struct request *req)
{
	db_run(req, INSERT);
	reply_text(req, 200, SLICE("ok\n"));
}

#define DIGITS 16

/* What is asked for, if anything is and it fits. */
static void query_text(struct request *req, const char *name, char text[DIGITS])
{
	struct slice value = request_query(req, name);
	if (!value.len || value.len >= DIGITS)
		return;
	memcpy(text, value.ptr, value.len);
	text[value.len] = '\0';
}

/* The same again and again, each durable before the next begins, as the rival does: no network in between. */
static void inserts(struct request *req)
{
	char digits[DIGITS] = "";
	query_text(req, "n", digits);
	long n = strtol(digits, NULL, 10);
	struct timespec from, to;
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (long i = 0; i < n; i++)
		if (!db_run(req, INSERT) || !db_wait_durable(req))
			return;
	clock_gettime(CLOCK_MONOTONIC, &to);
	double took_s = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
	printf("inserts %ld in %.3f s: %.0f/s\n", n, took_s, (double)n / took_s);
	fflush(stdout);
	reply_text(req, 200, SLICE("done\n"));
}

/* Some of the newest rows of an account, by the index. */
static void read(struct request *req)
{
	struct page_value *data = page_data(req);
	db_rows_into(req, data, "events", "SELECT id, note FROM event WHERE account BETWEEN ? AND ? + 20 "
		"ORDER BY account LIMIT 10", 50000, 50000);
	reply_page(req, 200, PAGE(events), data);
}

static void speedtest(struct request *req)
{
	char *words[] = {"speedtest1", "--size", "50", "main", NULL};
	char digits[DIGITS] = "50";
	query_text(req, "size", digits);
	words[2] = digits;
	int status = speedtest1_main(4, words);
	fflush(stdout);
	reply_text(req, status ? 500 : 200, SLICE("done\n"));
}

APP_ROUTES(GET("/read", read), POST("/insert", insert), POST("/inserts", inserts),
	POST("/speedtest", speedtest))
