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
/* How long a wait goes on at most before it is asked whether anybody still wants what it is for. */
#define SQL_LOOK_NS 50000000

/* Bytes of SQLite's heap that are kept for undoing a transaction when there is nothing left. */
#define SQL_RESERVE 8192

#define SQL_LIMIT_ZEROS 1000000000 /* bytes of a sql_zeros() */
#define SQL_VALUE_SHARE 8 /* a text or blob may take that part of SQLite's memory */

/* SQLite's handle of the database file; see file.c. */
struct sql_file {
	sqlite3_file base; /* first */
	struct store_object *object;
	struct sql_stats *stats;
	uint64_t *generation; /* raised to what the connection depends on; NULL until it stands */
	bool durable; /* a reader that begins now sees the newest durable generation, not the newest */
	/* Asked when a page had to be waited for, or will have to: whether the connection is to stop. NULL: never. */
	bool (*must_stop)(void *cookie);
	void *cookie;
	int lock;              /* SQLITE_LOCK_x */
	struct store_snapshot snapshot; /* while lock is at least SHARED */
	struct store_txn *txn; /* while lock is at least RESERVED and nothing has failed */
	bool txn_dirty, txn_failed, batch;
	uint32_t damaged; /* the page, as SQLite counts, that the store could not give because it has rotted; 0: none */
	bool too_large; /* the store had no memory for a page of the last transaction: see store_txn_write */
	uint32_t lent_count;
	struct {
		struct store_page *page;
		const void *data; /* its */
	} lent[SQL_PAGES_LENT_MAX];
};

struct sql_cached {
	sqlite3_stmt *statement; /* NULL: free */
	struct slice text;       /* SQLite's copy */
	uint64_t used;           /* conn->ticks when last used */
	bool busy;
};

/* The statements of transaction.c. */
enum sql_own {
	SQL_OWN_BEGIN,
	SQL_OWN_BEGIN_IMMEDIATE,
	SQL_OWN_COMMIT,
	SQL_OWN_ROLLBACK,
	SQL_OWN_SAVEPOINT,
	SQL_OWN_RELEASE,
	SQL_OWN_ROLLBACK_TO,
	SQL_OWN_COUNT
};

struct sql_conn {
	struct sql *sql;
	sqlite3 *db;
	struct sql_file *file;
	bool acquired, in_transaction;
	bool transaction_writes; /* one of writer_holds is the transaction's */
	bool reads_durable;      /* see sql_read_durable */
	bool optimistic;         /* an attempt of sql_transaction */
	bool unstoppable;        /* what runs now is not to be interrupted */
	uint32_t writer_holds;   /* its statements and its transaction that need the slot, while it has it */
	bool once;      /* what was prepared last is not to be cached */
	bool preparing; /* a statement of the application's: not everything is allowed */
	uint32_t queries; /* open, and blobs */
	uint32_t savepoints; /* open */
	uint64_t until_ns;
	uint64_t slice_start_ns, slice_round; /* since when it has been at work, in this round of the loop */
	struct sql_watch watch;
	err stopped;  /* why the last statement was interrupted */
	err outdated; /* ERR_STALE or ERR_BUSY: a write of this transaction could not be done */
	uint64_t generation;
	uint64_t ticks;
	int error_code; /* SQLite's extended code of the last failure */
	char message[SQL_MESSAGE_MAX];
	sqlite3_stmt *own[SQL_OWN_COUNT];
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
	struct list writer_line, conn_line; /* of who waits, first come first served */
	struct sql_stats stats;
	uint32_t conn_count; /* opened */
	int value_max;        /* bytes of a text or blob */
	void *reserve;        /* SQL_RESERVE; no transaction begins without it */
	bool ready;           /* sql_open has succeeded */
	struct sql_conn conn[];
};

/* vfs.c: a VFS called `name` (borrowed) whose one file is "main". */
void sql_vfs_init(struct sql_vfs *vfs, const char *name, struct store_object *object,
	struct sql_stats *stats, struct loop *loop, struct random *random);
/* file.c: several files may be open on one object; each is a connection of its own. */
int sql_file_open(struct sql_file *file, struct store_object *object, struct sql_stats *stats);
/* scratch.c: a file that need not survive. */
int sql_scratch_open(sqlite3_file *base, struct store *store);
/* conn.c */
/* Which generation is seen by what begins now. */
void sql_choose_generation(struct sql_conn *conn, bool writes);
err sql_conn_open(struct sql_conn *conn, struct sql *sql, int cache_pages);
void sql_conn_close(struct sql_conn *conn);
/* The writer's slot, for each statement and transaction that needs it; waits its turn. */
err sql_writer_take(struct sql_conn *conn);
void sql_writer_put(struct sql_conn *conn);
/* Remembers what went wrong, and where in `text` (may be NULL); the err for SQLite's code. */
err sql_fail(struct sql_conn *conn, int code, const char *text);
err sql_fail_text(struct sql_conn *conn, err result, const char *what);
/* transaction.c */
/* What undoing needs, so that it cannot fail for want of memory; SQLite's code. */
int sql_transaction_prepare(struct sql_conn *conn);
/* False: there is no memory for it. */
bool sql_reserve_take(struct sql *sql);
void sql_transaction_clear(struct sql_conn *conn);
/* After what failed outside a transaction: nothing of it stays. */
void sql_settle(struct sql_conn *conn);
/* The time; who has been at work for long lets others run first. */
uint64_t sql_slice(struct sql_conn *conn);
/* statement.c */
void sql_cache_clear(struct sql_conn *conn);
/* Whether a statement may begin now; forgets what went wrong before. */
err sql_check_usable(struct sql_conn *conn);
/* A write takes the writer's slot, unless its transaction has it: then *holds. To be left when it has ended. */
err sql_slot_take(struct sql_conn *conn, bool writes, bool *holds);
void sql_slot_leave(struct sql_conn *conn);
/* migrate.c */
err sql_migrate(struct sql *sql, struct sql_conn *conn);

#endif
