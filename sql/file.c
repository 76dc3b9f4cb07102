/* The database file, as SQLite sees it: an object of the page store.
 *
 *   SQLite's lock   what we hold                                   transition
 *   NONE            nothing
 *   SHARED          a snapshot                                     file_lock, file_unlock
 *   RESERVED        ... and the store's one transaction            file_lock
 *   EXCLUSIVE       the same: readers have snapshots of their own  file_lock
 *
 * Invariants
 * 1. While SHARED is held, every read gives the same generation; from the connection's first write on, that
 *    generation with its own writes on top.
 * 2. A transaction is taken only on the newest generation: from an older snapshot it is
 *    SQLITE_BUSY_SNAPSHOT, against another writer SQLITE_BUSY.
 * 3. All writes go into the store's transaction, whether SQLite makes them at the commit (as one batch) or
 *    spills them before. They become visible at one point: SQLITE_FCNTL_COMMIT_PHASETWO, SQLite's last step
 *    of a commit, after which it only unlocks. A transaction that is unlocked without it is aborted.
 *    So atomicity does not depend on SQLite's journal: that serves only to roll SQLite's own cache back. It is in
 *    memory until the cache spills, and then a file that need not survive (scratch.c).
 * 4. After any failed write the transaction can only be rolled back (txn_failed).
 * 5. A page is lent in place (xFetch) only while the transaction has written nothing, since the store lends
 *    committed pages.
 *
 * Nothing here flushes: durability is the business of whoever answers (store_wait_durable). */
#include <base/assert.h>
#include <sql/file.h>
#include "private.h"

#include <string.h>

static struct sql_file *file_of(sqlite3_file *base)
{
	return (struct sql_file *)base;
}

static int code_of(err e, int io_code)
{
	switch (e.code) {
	case ERR_OK:
		return SQLITE_OK;
	case ERR_NO_MEMORY:
		return SQLITE_IOERR_NOMEM;
	case ERR_NO_SPACE:
		return SQLITE_FULL;
	case ERR_CORRUPT:
		return SQLITE_IOERR_DATA;
	case ERR_BUSY:
		return SQLITE_BUSY;
	case ERR_STALE:
		return SQLITE_BUSY_SNAPSHOT;
	case ERR_INVALID:
	case ERR_TOO_LARGE:
	case ERR_IO:
	case ERR_FOREIGN:
	case ERR_UNSUPPORTED:
	case ERR_NOT_FOUND:
	case ERR_TIMEOUT:
	case ERR_CLOSED:
	case ERR_DENIED:
	case ERR_CODE_COUNT:
		break;
	}
	return io_code;
}

static void depend_on(struct sql_file *file, uint64_t generation)
{
	if (file->generation && *file->generation < generation)
		*file->generation = generation;
}

/* --- Reading ---------------------------------------------------------------------------------- */

static uint32_t pages_seen(const struct sql_file *file)
{
	return file->txn ? store_txn_pages(file->txn) : store_snapshot_pages(&file->snapshot);
}

static int read_failed(struct sql_file *file, uint32_t page_no, err e)
{
	if (e.code == ERR_CORRUPT)
		file->damaged = page_no + 1;
	return code_of(e, SQLITE_IOERR_READ);
}

/* A part of one page, copied. */
static int read_part(struct sql_file *file, uint32_t page_no, uint32_t from, uint8_t *out, uint32_t len)
{
	file->stats->pages_copied++;
	if (file->txn_dirty) {
		uint8_t page[STORE_PAGE_SIZE];
		err e = store_txn_read(file->txn, page_no, page);
		if (!failed(e))
			memcpy(out, page + from, len);
		return failed(e) ? read_failed(file, page_no, e) : SQLITE_OK;
	}
	struct store_page *page;
	err e = store_page_get(&file->snapshot, page_no, &page);
	if (failed(e))
		return read_failed(file, page_no, e);
	memcpy(out, store_page_data(page) + from, len);
	store_page_put(page);
	return SQLITE_OK;
}

static int read_locked(struct sql_file *file, uint8_t *out, uint64_t offset, uint32_t len)
{
	uint64_t size = (uint64_t)pages_seen(file) * STORE_PAGE_SIZE;
	while (len > 0 && offset < size) {
		uint32_t from = (uint32_t)(offset % STORE_PAGE_SIZE);
		uint32_t part = STORE_PAGE_SIZE - from < len ? STORE_PAGE_SIZE - from : len;
		int rc = read_part(file, (uint32_t)(offset / STORE_PAGE_SIZE), from, out, part);
		if (rc != SQLITE_OK)
			return rc;
		out += part;
		offset += part;
		len -= part;
	}
	memset(out, 0, len);
	return len ? SQLITE_IOERR_SHORT_READ : SQLITE_OK;
}

/* SQLite reads the header once before it has any lock. */
static void shared_begin(struct sql_file *file)
{
	file->too_large = false;
	file->damaged = 0;
	if (file->durable)
		store_snapshot_begin_durable(file->object, &file->snapshot);
	else
		store_snapshot_begin(file->object, &file->snapshot);
	depend_on(file, file->snapshot.generation);
}

static int file_read(sqlite3_file *base, void *out, int len, sqlite3_int64 offset)
{
	struct sql_file *file = file_of(base);
	bool unlocked = file->lock == SQLITE_LOCK_NONE;
	if (file->txn_failed)
		return SQLITE_IOERR_READ;
	if (unlocked)
		shared_begin(file);
	int rc = read_locked(file, out, (uint64_t)offset, (uint32_t)len);
	if (unlocked)
		store_snapshot_end(&file->snapshot);
	return rc;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *out)
{
	struct sql_file *file = file_of(base);
	bool unlocked = file->lock == SQLITE_LOCK_NONE;
	if (unlocked)
		shared_begin(file);
	*out = (sqlite3_int64)pages_seen(file) * STORE_PAGE_SIZE;
	if (unlocked)
		store_snapshot_end(&file->snapshot);
	return SQLITE_OK;
}

/* A page that has to be read: the device may take its time, so whoever waits may be asked to stop. Without memory
 * for it in place (*page is NULL) SQLite reads a copy. */
static int page_wait(struct sql_file *file, uint32_t page_no, struct store_page **page)
{
	*page = NULL;
	if (file->must_stop && file->must_stop(file->cookie))
		return SQLITE_INTERRUPT;
	err e = store_page_get(&file->snapshot, page_no, page);
	if (e.code == ERR_NO_MEMORY) {
		*page = NULL;
		return SQLITE_OK;
	}
	return failed(e) ? read_failed(file, page_no, e) : SQLITE_OK;
}

static int file_fetch(sqlite3_file *base, sqlite3_int64 offset, int len, void **out)
{
	struct sql_file *file = file_of(base);
	*out = NULL; /* declined: SQLite reads a copy */
	if (file->lock == SQLITE_LOCK_NONE || file->txn_dirty || file->txn_failed ||
		file->lent_count == SQL_PAGES_LENT_MAX || offset % STORE_PAGE_SIZE ||
		len != (int)STORE_PAGE_SIZE)
		return SQLITE_OK;
	uint64_t page_no = (uint64_t)offset / STORE_PAGE_SIZE;
	if (page_no >= store_snapshot_pages(&file->snapshot))
		return SQLITE_OK;
	struct store_page *page = store_page_peek(&file->snapshot, (uint32_t)page_no);
	if (!page) {
		int rc = page_wait(file, (uint32_t)page_no, &page);
		if (rc != SQLITE_OK || !page)
			return rc;
	}
	file->stats->pages_lent++;
	const void *data = store_page_data(page);
	file->lent[file->lent_count].page = page;
	file->lent[file->lent_count++].data = data;
	*out = (void *)(uintptr_t)data;
	return SQLITE_OK;
}

/* Without a page it only says that the mapping may go, of which there is none. */
static int file_unfetch(sqlite3_file *base, sqlite3_int64 offset, void *data)
{
	struct sql_file *file = file_of(base);
	(void)offset;
	if (!data)
		return SQLITE_OK;
	for (uint32_t i = file->lent_count; i-- > 0;) {
		if (file->lent[i].data != data)
			continue;
		store_page_put(file->lent[i].page);
		file->lent[i] = file->lent[--file->lent_count];
		return SQLITE_OK;
	}
	UNREACHABLE();
}

/* --- Writing ---------------------------------------------------------------------------------- */

static int fail_txn(struct sql_file *file, err e)
{
	file->txn_failed = true;
	file->too_large = e.code == ERR_NO_MEMORY;
	return code_of(e, SQLITE_IOERR_WRITE);
}

static err write_part(struct sql_file *file, uint32_t page_no, uint32_t from, const uint8_t *in,
	uint32_t len)
{
	if (len == STORE_PAGE_SIZE)
		return store_txn_write(file->txn, page_no, in);
	uint8_t page[STORE_PAGE_SIZE] = {0};
	if (page_no < store_txn_pages(file->txn))
		TRY(store_txn_read(file->txn, page_no, page));
	memcpy(page + from, in, len);
	return store_txn_write(file->txn, page_no, page);
}

static int begin_txn(struct sql_file *file);

/* Whether the file can be written to now. In exclusive locking mode SQLite keeps its lock after a commit and
 * writes again without asking for one, so the next transaction begins here; that nobody else has written
 * meanwhile is found out then. */
static int writable(struct sql_file *file, int io_code)
{
	if (!file->txn && !file->txn_failed && file->lock > SQLITE_LOCK_SHARED)
		return begin_txn(file);
	return file->txn && !file->txn_failed ? SQLITE_OK : io_code;
}

static int file_write(sqlite3_file *base, const void *bytes, int bytes_len, sqlite3_int64 at)
{
	struct sql_file *file = file_of(base);
	const uint8_t *in = bytes;
	uint64_t offset = (uint64_t)at;
	uint32_t len = (uint32_t)bytes_len;
	int rc = writable(file, SQLITE_IOERR_WRITE);
	if (rc != SQLITE_OK)
		return rc;
	file->txn_dirty = true;
	while (len > 0) {
		uint32_t from = (uint32_t)(offset % STORE_PAGE_SIZE);
		uint32_t part = STORE_PAGE_SIZE - from < len ? STORE_PAGE_SIZE - from : len;
		if (offset / STORE_PAGE_SIZE > UINT32_MAX)
			return SQLITE_FULL;
		err e = write_part(file, (uint32_t)(offset / STORE_PAGE_SIZE), from, in, part);
		if (failed(e))
			return fail_txn(file, e);
		file->stats->pages_written++;
		if (!file->batch)
			file->stats->pages_spilled++;
		in += part;
		offset += part;
		len -= part;
	}
	return SQLITE_OK;
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
	struct sql_file *file = file_of(base);
	int rc = writable(file, SQLITE_IOERR_TRUNCATE);
	if (rc != SQLITE_OK)
		return rc;
	uint64_t pages = ((uint64_t)size + STORE_PAGE_SIZE - 1) / STORE_PAGE_SIZE;
	if (pages > UINT32_MAX)
		return SQLITE_FULL;
	file->txn_dirty = true;
	err e = store_txn_truncate(file->txn, (uint32_t)pages);
	return failed(e) ? fail_txn(file, e) : SQLITE_OK;
}

static int file_sync(sqlite3_file *base, int flags)
{
	(void)base, (void)flags;
	return SQLITE_OK;
}

/* The one point at which a transaction becomes visible. The connection goes on with the new generation. */
static int commit(struct sql_file *file)
{
	if (!file->txn)
		return SQLITE_OK;
	if (file->txn_failed)
		return SQLITE_IOERR;
	struct store_txn *txn = file->txn;
	bool dirty = file->txn_dirty;
	file->txn = NULL;
	file->txn_dirty = false;
	uint64_t generation;
	err e = store_txn_commit(txn, &generation);
	if (failed(e))
		return fail_txn(file, e);
	if (!dirty)
		return SQLITE_OK;
	file->stats->commits++;
	store_snapshot_end(&file->snapshot);
	file->durable = false;
	shared_begin(file);
	depend_on(file, generation);
	return SQLITE_OK;
}

static void end_txn(struct sql_file *file)
{
	if (file->txn) {
		if (file->txn_dirty)
			file->stats->rollbacks++;
		store_txn_abort(file->txn);
	}
	file->txn = NULL;
	file->txn_dirty = file->txn_failed = file->batch = false;
}

/* --- Locks ------------------------------------------------------------------------------------ */

static int begin_txn(struct sql_file *file)
{
	if (!store_snapshot_is_newest(&file->snapshot)) {
		file->stats->stale++;
		return SQLITE_BUSY_SNAPSHOT;
	}
	err e = store_txn_begin_from(file->object, &file->snapshot, &file->txn);
	if (failed(e)) {
		file->txn = NULL;
		file->stats->busy += e.code == ERR_BUSY;
		return e.code == ERR_IO ? SQLITE_READONLY : code_of(e, SQLITE_IOERR_LOCK);
	}
	/* It may have parked, and another commit may have come first. */
	if (!store_snapshot_is_newest(&file->snapshot)) {
		end_txn(file);
		file->stats->stale++;
		return SQLITE_BUSY_SNAPSHOT;
	}
	return SQLITE_OK;
}

static int file_lock(sqlite3_file *base, int lock)
{
	struct sql_file *file = file_of(base);
	if (lock <= file->lock)
		return SQLITE_OK;
	if (file->lock == SQLITE_LOCK_NONE) {
		shared_begin(file);
		file->lock = SQLITE_LOCK_SHARED;
	}
	if (lock > SQLITE_LOCK_SHARED && file->lock == SQLITE_LOCK_SHARED) {
		int rc = begin_txn(file);
		if (rc != SQLITE_OK)
			return rc;
	}
	file->lock = lock;
	return SQLITE_OK;
}

static int file_unlock(sqlite3_file *base, int lock)
{
	struct sql_file *file = file_of(base);
	if (lock >= file->lock)
		return SQLITE_OK;
	if (file->lock > SQLITE_LOCK_SHARED)
		end_txn(file);
	if (lock == SQLITE_LOCK_NONE)
		store_snapshot_end(&file->snapshot);
	file->lock = lock;
	return SQLITE_OK;
}

static int file_check_reserved(sqlite3_file *base, int *out)
{
	*out = file_of(base)->lock >= SQLITE_LOCK_RESERVED;
	return SQLITE_OK;
}

static int file_close(sqlite3_file *base)
{
	struct sql_file *file = file_of(base);
	ASSERT(file->lent_count == 0);
	return file_unlock(base, SQLITE_LOCK_NONE);
}

/* --- The rest --------------------------------------------------------------------------------- */

static int file_control(sqlite3_file *base, int op, void *argument)
{
	struct sql_file *file = file_of(base);
	switch (op) {
	case SQLITE_FCNTL_BEGIN_ATOMIC_WRITE:
		file->batch = true;
		return writable(file, SQLITE_IOERR_BEGIN_ATOMIC);
	case SQLITE_FCNTL_COMMIT_ATOMIC_WRITE:
		file->batch = false;
		file->stats->batches++;
		return SQLITE_OK;
	case SQLITE_FCNTL_ROLLBACK_ATOMIC_WRITE:
		/* What the batch has written stays in the transaction: these are pages that SQLite still has in its
		 * cache, and it now writes them once more, or rolls the whole transaction back. */
		file->batch = false;
		return SQLITE_OK;
	case SQLITE_FCNTL_COMMIT_PHASETWO:
		return commit(file);
	case SQLITE_FCNTL_HAS_MOVED:
		*(int *)argument = 0;
		return SQLITE_OK;
	default:
		return SQLITE_NOTFOUND;
	}
}

static int file_sector_size(sqlite3_file *base)
{
	(void)base;
	return (int)STORE_PAGE_SIZE;
}

static int file_characteristics(sqlite3_file *base)
{
	(void)base;
	return SQLITE_IOCAP_BATCH_ATOMIC | SQLITE_IOCAP_POWERSAFE_OVERWRITE | SQLITE_IOCAP_SAFE_APPEND;
}

static const sqlite3_io_methods file_methods = {
	.iVersion = 3,
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_truncate,
	.xSync = file_sync,
	.xFileSize = file_size,
	.xLock = file_lock,
	.xUnlock = file_unlock,
	.xCheckReservedLock = file_check_reserved,
	.xFileControl = file_control,
	.xSectorSize = file_sector_size,
	.xDeviceCharacteristics = file_characteristics,
	.xFetch = file_fetch,
	.xUnfetch = file_unfetch,
};

int sql_file_open(struct sql_file *file, struct store_object *object, struct sql_stats *stats)
{
	*file = (struct sql_file){.base.pMethods = &file_methods, .object = object, .stats = stats};
	return SQLITE_OK;
}

size_t sql_file_bytes(void)
{
	return sizeof(struct sql_file);
}

int sql_file_init(struct sqlite3_file *file, struct store_object *object, struct sql_stats *stats)
{
	return sql_file_open((struct sql_file *)file, object, stats);
}
