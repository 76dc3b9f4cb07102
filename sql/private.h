/* What the files of this module share. */
#ifndef SQL_PRIVATE_H
#define SQL_PRIVATE_H

#include <sql/sql.h>
#include <sqlite3.h>

#define SQL_STATEMENTS_CACHED 32
#define SQL_PAGES_LENT_MAX 128
#define SQL_MESSAGE_MAX 512
/* Virtual machine steps between two looks at the clock, and how long a statement may keep the loop. */
#define SQL_PROGRESS_STEPS 2000
#define SQL_SLICE_NS 2000000

/* SQLite's handle of the database file; see file.c. */
struct sql_file {
	sqlite3_file base; /* first */
	struct store_object *object;
	struct sql_stats *stats;
	uint64_t *generation; /* raised to what the connection depends on; NULL until it stands */
	int lock;              /* SQLITE_LOCK_x */
	struct store_snapshot snapshot; /* while lock is at least SHARED */
	struct store_txn *txn; /* while lock is at least RESERVED and nothing has failed */
	bool txn_dirty, txn_failed, batch;
	bool too_large; /* the store has refused a page of the last transaction: txn_pages_max */
	uint32_t lent_count;
	struct {
		struct store_page *page;
		sqlite3_int64 offset;
	} lent[SQL_PAGES_LENT_MAX];
};

struct sql_cached {
	sqlite3_stmt *statement; /* NULL: free */
	const char *text;        /* SQLite's copy */
	const char *caller_text; /* where the caller's stood: a first, cheap comparison */
	uint64_t used;           /* conn->ticks when last used */
	bool busy;
};

struct sql_conn {
	struct sql *sql;
	sqlite3 *db;
	struct sql_file *file;
	bool acquired, in_transaction;
	bool preparing; /* a statement of the application's: not everything is allowed */
	uint32_t queries; /* open */
	uint64_t until_ns, slice_start_ns;
	uint64_t generation;
	uint64_t ticks;
	int error_code; /* SQLite's extended code of the last failure */
	char message[SQL_MESSAGE_MAX];
	struct sql_cached cache[SQL_STATEMENTS_CACHED];
};

/* The system that SQLite sees; see vfs.c. Whoever made it registers it. */
struct sql_vfs {
	sqlite3_vfs base; /* first */
	struct store_object *object;
	struct sql_stats *stats;
	struct loop *loop;
	struct random *random;
};

struct sql {
	struct sql_config config;
	struct store_object *object;
	struct sql_vfs vfs;
	struct sql_conn *writer; /* who holds the writer's slot */
	struct fiber_queue writer_queue, conn_queue;
	struct sql_stats stats;
	uint32_t conn_count; /* opened */
	bool ready;           /* sql_open has succeeded */
	struct sql_conn conn[];
};

/* vfs.c: a VFS called `name` (borrowed) whose one file is "main". */
void sql_vfs_init(struct sql_vfs *vfs, const char *name, struct store_object *object,
	struct sql_stats *stats, struct loop *loop, struct random *random);
/* file.c: several files may be open on one object; each is a connection of its own. */
int sql_file_open(struct sql_file *file, struct store_object *object, struct sql_stats *stats);
/* conn.c */
err sql_conn_open(struct sql_conn *conn, struct sql *sql, int cache_pages);
void sql_conn_close(struct sql_conn *conn);
err sql_writer_take(struct sql_conn *conn);
void sql_writer_put(struct sql_conn *conn);
/* Remembers what went wrong, and where in `text` (may be NULL); the err for SQLite's code. */
err sql_fail(struct sql_conn *conn, int code, const char *text);
err sql_fail_text(struct sql_conn *conn, err result, const char *what);
/* statement.c */
void sql_cache_clear(struct sql_conn *conn);
/* migrate.c */
err sql_migrate(struct sql *sql, struct sql_conn *conn);

#endif
