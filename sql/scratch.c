/* Files that need not survive, as SQLite sees them: what a sort, an index being built, VACUUM or the undo log of a
 * large transaction cannot hold in memory. Pages of such a file are scratch pages of the store.
 *
 * SQLite opens one only when its own memory for the purpose is used up. What it writes is mostly a stream of pieces
 * that are no pages; so one page is gathered in memory, and written when another one is wanted. The table of
 * pages is in SQLite's heap, in chunks: 4 KiB for a MiB. */
#include <base/assert.h>
#include "private.h"

#include <string.h>

#define CHUNK_PAGES 256u
#define NO_PAGE UINT32_MAX

struct sql_scratch {
	sqlite3_file base; /* first */
	struct store *store;
	uint64_t size;
	struct store_scratch_page **chunk; /* of CHUNK_PAGES */
	uint32_t chunks;
	uint32_t held;  /* the page in `page`; NO_PAGE: none */
	bool dirty;     /* and it is newer than what is written */
	uint8_t *page;
};

static struct sql_scratch *scratch_of(sqlite3_file *base)
{
	return (struct sql_scratch *)base;
}

static int code_of(err e, int io_code)
{
	if (e.code == ERR_NO_MEMORY)
		return SQLITE_IOERR_NOMEM;
	if (e.code == ERR_NO_SPACE)
		return SQLITE_FULL;
	if (e.code == ERR_CORRUPT)
		return SQLITE_IOERR_DATA;
	return failed(e) ? io_code : SQLITE_OK;
}

static struct store_scratch_page *page_at(struct sql_scratch *f, uint32_t page_no)
{
	return &f->chunk[page_no / CHUNK_PAGES][page_no % CHUNK_PAGES];
}

/* Makes the table reach to `page_no`. */
static bool reserve(struct sql_scratch *f, uint32_t page_no)
{
	uint32_t chunks = page_no / CHUNK_PAGES + 1;
	if (chunks <= f->chunks)
		return true;
	struct store_scratch_page **table = sqlite3_realloc64(f->chunk, chunks * sizeof *table);
	if (!table)
		return false;
	f->chunk = table;
	for (; f->chunks < chunks; f->chunks++) {
		size_t len = CHUNK_PAGES * sizeof **table;
		table[f->chunks] = sqlite3_malloc64(len);
		if (!table[f->chunks])
			return false;
		memset(table[f->chunks], 0, len);
	}
	return true;
}

static int write_held(struct sql_scratch *f)
{
	if (!f->dirty)
		return SQLITE_OK;
	err e = store_scratch_write(f->store, page_at(f, f->held), f->page);
	f->dirty = failed(e);
	return code_of(e, SQLITE_IOERR_WRITE);
}

/* Brings the page into `page`; `whole`: it will be overwritten. */
static int hold(struct sql_scratch *f, uint32_t page_no, bool whole)
{
	if (f->held == page_no)
		return SQLITE_OK;
	int rc = write_held(f);
	if (rc != SQLITE_OK)
		return rc;
	f->held = NO_PAGE;
	if (!whole)
		rc = code_of(store_scratch_read(f->store, page_at(f, page_no), f->page), SQLITE_IOERR_READ);
	if (rc == SQLITE_OK)
		f->held = page_no;
	return rc;
}

static int scratch_write(sqlite3_file *base, const void *bytes, int bytes_len, sqlite3_int64 at)
{
	struct sql_scratch *f = scratch_of(base);
	const uint8_t *in = bytes;
	uint64_t offset = (uint64_t)at, end = offset + (uint64_t)bytes_len;
	if (end / STORE_PAGE_SIZE >= NO_PAGE)
		return SQLITE_FULL;
	if (end > offset && !reserve(f, (uint32_t)((end - 1) / STORE_PAGE_SIZE)))
		return SQLITE_IOERR_NOMEM;
	while (offset < end) {
		uint32_t from = (uint32_t)(offset % STORE_PAGE_SIZE), len = STORE_PAGE_SIZE - from;
		if (len > end - offset)
			len = (uint32_t)(end - offset);
		int rc = hold(f, (uint32_t)(offset / STORE_PAGE_SIZE), len == STORE_PAGE_SIZE);
		if (rc != SQLITE_OK)
			return rc;
		memcpy(f->page + from, in, len);
		f->dirty = true;
		in += len;
		offset += len;
	}
	if (end > f->size)
		f->size = end;
	return SQLITE_OK;
}

static int scratch_read(sqlite3_file *base, void *bytes, int bytes_len, sqlite3_int64 at)
{
	struct sql_scratch *f = scratch_of(base);
	uint8_t *out = bytes;
	uint64_t offset = (uint64_t)at, end = offset + (uint64_t)bytes_len;
	while (offset < end && offset < f->size) {
		uint32_t from = (uint32_t)(offset % STORE_PAGE_SIZE), len = STORE_PAGE_SIZE - from;
		if (len > end - offset)
			len = (uint32_t)(end - offset);
		int rc = hold(f, (uint32_t)(offset / STORE_PAGE_SIZE), false);
		if (rc != SQLITE_OK)
			return rc;
		memcpy(out, f->page + from, len);
		if (offset + len > f->size)
			memset(out + (f->size - offset), 0, (size_t)(offset + len - f->size));
		out += len;
		offset += len;
	}
	memset(out, 0, (size_t)(offset < end ? end - offset : 0));
	return end > f->size ? SQLITE_IOERR_SHORT_READ : SQLITE_OK;
}

static void drop_from(struct sql_scratch *f, uint32_t page_no)
{
	if (f->held != NO_PAGE && f->held >= page_no) {
		f->held = NO_PAGE;
		f->dirty = false;
	}
	for (uint32_t i = page_no; i < f->chunks * CHUNK_PAGES; i++)
		store_scratch_free(f->store, page_at(f, i));
}

static int scratch_truncate(sqlite3_file *base, sqlite3_int64 at)
{
	struct sql_scratch *f = scratch_of(base);
	uint64_t size = (uint64_t)at;
	uint32_t from = (uint32_t)(size % STORE_PAGE_SIZE);
	if (size >= f->size)
		return SQLITE_OK;
	if (from) { /* what is cut off must read as zeros when the file grows again */
		int rc = hold(f, (uint32_t)(size / STORE_PAGE_SIZE), false);
		if (rc != SQLITE_OK)
			return rc;
		memset(f->page + from, 0, STORE_PAGE_SIZE - from);
		f->dirty = true;
	}
	drop_from(f, (uint32_t)((size + STORE_PAGE_SIZE - 1) / STORE_PAGE_SIZE));
	f->size = size;
	return SQLITE_OK;
}

static int scratch_close(sqlite3_file *base)
{
	struct sql_scratch *f = scratch_of(base);
	drop_from(f, 0);
	for (uint32_t i = 0; i < f->chunks; i++)
		sqlite3_free(f->chunk[i]);
	sqlite3_free(f->chunk);
	sqlite3_free(f->page);
	return SQLITE_OK;
}

static int scratch_size(sqlite3_file *base, sqlite3_int64 *out)
{
	*out = (sqlite3_int64)scratch_of(base)->size;
	return SQLITE_OK;
}

/* Nobody else has it, and nothing of it needs to last. */
static int scratch_sync(sqlite3_file *base, int flags)
{
	(void)base, (void)flags;
	return SQLITE_OK;
}

static int scratch_lock(sqlite3_file *base, int lock)
{
	(void)base, (void)lock;
	return SQLITE_OK;
}

static int scratch_check_reserved(sqlite3_file *base, int *out)
{
	(void)base;
	*out = 0;
	return SQLITE_OK;
}

static int scratch_control(sqlite3_file *base, int op, void *argument)
{
	(void)base, (void)op, (void)argument;
	return SQLITE_NOTFOUND;
}

static int scratch_sector_size(sqlite3_file *base)
{
	(void)base;
	return (int)STORE_PAGE_SIZE;
}

static int scratch_characteristics(sqlite3_file *base)
{
	(void)base;
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE | SQLITE_IOCAP_SAFE_APPEND;
}

static const sqlite3_io_methods scratch_methods = {
	.iVersion = 1,
	.xClose = scratch_close,
	.xRead = scratch_read,
	.xWrite = scratch_write,
	.xTruncate = scratch_truncate,
	.xSync = scratch_sync,
	.xFileSize = scratch_size,
	.xLock = scratch_lock,
	.xUnlock = scratch_lock,
	.xCheckReservedLock = scratch_check_reserved,
	.xFileControl = scratch_control,
	.xSectorSize = scratch_sector_size,
	.xDeviceCharacteristics = scratch_characteristics,
};

int sql_scratch_open(sqlite3_file *base, struct store *store)
{
	struct sql_scratch *f = scratch_of(base);
	uint8_t *page = sqlite3_malloc64(STORE_PAGE_SIZE);
	if (!page)
		return SQLITE_NOMEM;
	*f = (struct sql_scratch){.base.pMethods = &scratch_methods, .store = store, .held = NO_PAGE, .page = page};
	_Static_assert(sizeof *f <= sizeof(struct sql_file), "szOsFile is for both");
	return SQLITE_OK;
}
