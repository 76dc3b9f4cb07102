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
	/* A line for each counter of the store and of SQL: its name, a space, its value. Does not park. */
	void (*counters)(struct database *, struct writer *);
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
