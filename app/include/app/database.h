/* An application's database as boot/ opens it. Only what the build makes of migrations/ refers to
 * app_database_sqlite, so an image without migrations has neither SQLite nor the page store. */
#ifndef APP_DATABASE_H
#define APP_DATABASE_H

#include <base/cursor.h>
#include <base/err.h>
#include <base/random.h>
#include <core/log.h>
#include <core/loop.h>
#include <sql/sql.h>

struct database; /* an open one */
struct app_database;

struct database_config {
	struct loop *loop;
	struct log *log;
	struct random *random; /* seeded */
	struct block_device *device;
	uint8_t *memory; /* aligned to 4096 */
	size_t memory_len;
	bool operated; /* keeps one of the loop's fibers for operations, however many requests are at work */
};

/* What somebody who operates the machine asks of the database, in HTTP (boot/diagnose.h):
 *	GET /snapshots           a line for each: name, object, generation, seconds since 1970, pages; by tabs
 *	PUT /snapshots/NAME      keeps what is committed now under that name; durable when answered
 *	DELETE /snapshots/NAME   forgets it
 * PUT and DELETE are what a page on another site cannot have a browser send. */
struct database_operation {
	struct slice head; /* of the request: as long as the operation */
	struct writer out; /* a whole response is written there */
	void (*done)(struct database_operation *); /* on the loop */
	struct list link; /* private */
};

struct app_database_engine {
	/* Bytes below which `open` fails for the device. */
	size_t (*memory_min)(struct block_device *device);
	/* Recovers or formats the volume and applies the migrations. Parks. What is wrong is logged. */
	err (*open)(const struct app_database *, const struct database_config *, struct database **);
	/* Makes everything durable that was committed; requests may be at work. Parks. */
	err (*sync)(struct database *);
	/* The same, and lets go of the volume. No request may be using it. Parks. */
	err (*close)(struct database *);
	/* Whether it takes changes: not after its device has failed. Does not park. */
	bool (*is_writable)(struct database *);
	/* A line for each counter of the store and of SQL: its name, a space, its value. Does not park. */
	void (*counters)(struct database *, struct writer *);
	/* Begins an operation, or lets it wait for those before it; its memory is the caller's until it is done. False:
	 * it is none, or the database was not opened for it. */
	bool (*operate)(struct database *, struct database_operation *);
};

struct app_database {
	const struct sql_migration *migrations;
	uint32_t migration_count;
	const struct app_database_engine *engine;
};

API_BEGIN
extern const struct app_database_engine app_database_sqlite;
API_END

#endif
