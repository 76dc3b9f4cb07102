#include "shim.h"

#include "../../private.h"

#include <base/assert.h>
#include <stdlib.h>
#include <string.h>

#define MMAP_SIZE_MAX 0x7fff0000 /* SQLITE_MAX_MMAP_SIZE */

struct suite_file {
	struct sql_file file; /* first: file.c's, whose methods SQLite calls but for those here */
	struct suite_vfs *vfs;
	struct suite_volume *volume;
	struct list link; /* in volume->files */
	const char *path; /* SQLite's, valid while it is open */
	sqlite3_file *mirror;
	sqlite3_io_methods methods;
	const sqlite3_io_methods *inner; /* file.c's */
	uint64_t bytes; /* the file's size as this connection sees it; the object is in whole pages */
	uint64_t *touched; /* bits: pages that the transaction has written */
	uint32_t touched_words;
	sqlite3_int64 mmap_size; /* as PRAGMA mmap_size shows it */
};

static struct suite_file *file_of(sqlite3_file *base)
{
	return (struct suite_file *)base;
}

/* --- What a transaction has touched ----------------------------------------------------------- */

static bool touch(struct suite_file *f, uint64_t page_no)
{
	uint32_t word = (uint32_t)(page_no / 64);
	if (word >= f->touched_words) {
		uint32_t words = word + 1 + f->touched_words;
		uint64_t *bits = realloc(f->touched, words * sizeof *bits);
		if (!bits)
			return false;
		memset(bits + f->touched_words, 0, (words - f->touched_words) * sizeof *bits);
		f->touched = bits;
		f->touched_words = words;
	}
	f->touched[word] |= 1ull << page_no % 64;
	return true;
}

static int file_write(sqlite3_file *base, const void *bytes, int len, sqlite3_int64 at)
{
	struct suite_file *f = file_of(base);
	uint64_t end = (uint64_t)at + (uint64_t)len;
	for (uint64_t page = (uint64_t)at / STORE_PAGE_SIZE; page * STORE_PAGE_SIZE < end; page++)
		if (!touch(f, page))
			return SQLITE_IOERR_NOMEM;
	if (f->bytes < end)
		f->bytes = end;
	return f->inner->xWrite(base, bytes, len, at);
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
	struct suite_file *f = file_of(base);
	f->bytes = (uint64_t)size;
	return f->inner->xTruncate(base, size);
}

/* --- The mirror ------------------------------------------------------------------------------- */

static int mirror_page(struct suite_file *f, uint64_t page_no)
{
	uint8_t page[STORE_PAGE_SIZE];
	uint64_t at = page_no * STORE_PAGE_SIZE;
	if (at >= f->bytes)
		return SQLITE_OK;
	uint64_t len = f->bytes - at < sizeof page ? f->bytes - at : sizeof page;
	int rc = f->inner->xRead(&f->file.base, page, (int)len, (sqlite3_int64)at);
	if (rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ)
		return rc;
	return f->mirror->pMethods->xWrite(f->mirror, page, (int)len, (sqlite3_int64)at);
}

static void mirror(struct suite_file *f)
{
	int rc = SQLITE_OK;
	for (uint32_t word = 0; word < f->touched_words; word++) {
		for (uint64_t bits = f->touched[word]; bits && rc == SQLITE_OK; bits &= bits - 1)
			rc = mirror_page(f, (uint64_t)word * 64 + (unsigned)__builtin_ctzl(bits));
		f->touched[word] = 0;
	}
	if (rc == SQLITE_OK && f->bytes != f->volume->bytes)
		rc = f->mirror->pMethods->xTruncate(f->mirror, (sqlite3_int64)f->bytes);
	f->volume->bytes = f->bytes;
	suite_volume_seen(f->vfs->volumes, f->volume, f->path);
}

/* There is no mapping whose size could be set: pages are lent or not. Tests look whether the number is kept. */
static int mmap_size(struct suite_file *f, sqlite3_int64 *size)
{
	sqlite3_int64 before = f->mmap_size;
	if (*size >= 0)
		f->mmap_size = *size < MMAP_SIZE_MAX ? *size : MMAP_SIZE_MAX;
	*size = before;
	return SQLITE_OK;
}

static int file_control(sqlite3_file *base, int op, void *argument)
{
	struct suite_file *f = file_of(base);
	switch (op) {
	case SQLITE_FCNTL_LOCKSTATE:
		*(int *)argument = f->file.lock;
		return SQLITE_OK;
	case SQLITE_FCNTL_MMAP_SIZE:
		return mmap_size(f, argument);
	case SQLITE_FCNTL_VFSNAME:
		*(char **)argument = sqlite3_mprintf("%s", f->vfs->base.zName);
		return SQLITE_OK;
	case SQLITE_FCNTL_TEMPFILENAME:
		return f->mirror->pMethods->xFileControl(f->mirror, op, argument);
	default:
		break;
	}
	bool changes = op == SQLITE_FCNTL_COMMIT_PHASETWO && f->file.txn && f->file.txn_dirty;
	int rc = f->inner->xFileControl(base, op, argument);
	if (changes && rc == SQLITE_OK)
		mirror(f);
	return rc;
}

static int sync_in(struct suite_file *f)
{
	return suite_volume_sync(f->vfs->volumes, f->volume, f->mirror, f->path);
}

/* --- Locks ------------------------------------------------------------------------------------ */

static int file_lock(sqlite3_file *base, int lock)
{
	struct suite_file *f = file_of(base);
	if (f->file.lock == SQLITE_LOCK_NONE) {
		int rc = sync_in(f);
		if (rc != SQLITE_OK)
			return rc;
	}
	bool unlocked = f->file.lock == SQLITE_LOCK_NONE;
	int rc = f->inner->xLock(base, lock);
	if (unlocked)
		f->bytes = f->volume->bytes;
	return rc;
}

/* What was written and not committed is gone. */
static int file_unlock(sqlite3_file *base, int lock)
{
	struct suite_file *f = file_of(base);
	if (lock <= SQLITE_LOCK_SHARED && f->file.lock > SQLITE_LOCK_SHARED) {
		f->bytes = f->volume->bytes;
		if (f->touched_words)
			memset(f->touched, 0, f->touched_words * sizeof *f->touched);
	}
	return f->inner->xUnlock(base, lock);
}

/* Pages may be smaller than the store's, and tests cut files off in the middle of a page. */
static int file_size(sqlite3_file *base, sqlite3_int64 *out)
{
	struct suite_file *f = file_of(base);
	int rc = f->file.lock == SQLITE_LOCK_NONE ? sync_in(f) : SQLITE_OK;
	uint64_t bytes = f->file.lock == SQLITE_LOCK_NONE ? f->volume->bytes : f->bytes;
	if (rc == SQLITE_OK)
		rc = f->inner->xFileSize(base, out);
	ASSERT(rc != SQLITE_OK || *out == (sqlite3_int64)((bytes + STORE_PAGE_SIZE - 1) & ~(uint64_t)(STORE_PAGE_SIZE - 1)));
	*out = (sqlite3_int64)bytes;
	return rc;
}

/* file.c speaks for its own connection alone, since in a guest there is no journal that this is about. */
static int file_check_reserved(sqlite3_file *base, int *out)
{
	*out = 0;
	LIST_FOR_EACH(e, &file_of(base)->volume->files)
		if (LIST_ENTRY(e, struct suite_file, link)->file.lock >= SQLITE_LOCK_RESERVED)
			*out = 1;
	return SQLITE_OK;
}

static int file_close(sqlite3_file *base)
{
	struct suite_file *f = file_of(base);
	int rc = f->inner->xClose(base);
	list_remove(&f->link);
	free(f->touched);
	int below = f->mirror->pMethods->xClose(f->mirror);
	return rc ? rc : below;
}

static int file_sector_size(sqlite3_file *base)
{
	return file_of(base)->vfs->sector_size;
}

int suite_file_fill(sqlite3_file *base, const void *data, int len)
{
	struct suite_file *f = file_of(base);
	const sqlite3_io_methods *m = f->mirror->pMethods;
	int rc = m->xTruncate(f->mirror, 0);
	if (rc == SQLITE_OK && len > 0)
		rc = m->xWrite(f->mirror, data, len, 0);
	f->volume->known = false;
	return rc;
}

/* --- Opening ---------------------------------------------------------------------------------- */

static int open_main(struct suite_vfs *vfs, const char *path, struct suite_file *f)
{
	f->volume = suite_volume_get(vfs->volumes, path, vfs->by_name);
	if (!f->volume)
		return SQLITE_IOERR_NOMEM;
	int rc = sql_file_open(&f->file, f->volume->object, &f->volume->stats);
	f->vfs = vfs;
	f->mmap_size = MMAP_SIZE_MAX;
	f->path = path;
	f->inner = f->file.base.pMethods;
	f->methods = *f->inner;
	f->methods.xClose = file_close;
	f->methods.xWrite = file_write;
	f->methods.xTruncate = file_truncate;
	f->methods.xFileControl = file_control;
	f->methods.xLock = file_lock;
	f->methods.xUnlock = file_unlock;
	f->methods.xFileSize = file_size;
	f->methods.xCheckReservedLock = file_check_reserved;
	if (vfs->sector_size)
		f->methods.xSectorSize = file_sector_size;
	f->file.base.pMethods = &f->methods;
	if (vfs->by_name && list_is_empty(&f->volume->files))
		f->volume->known = false;
	list_push_back(&f->volume->files, &f->link);
	if (rc == SQLITE_OK)
		rc = sync_in(f);
	if (rc != SQLITE_OK) {
		list_remove(&f->link);
		f->file.base.pMethods = NULL; /* or SQLite would close it */
	}
	return rc;
}

/* Sorters, sub-journals, temporary tables: as in a guest, on free blocks of a volume. */
static int open_scratch(struct suite_vfs *vfs, sqlite3_file *out)
{
	struct suite_volume *v = suite_volume_get(vfs->volumes, "", true);
	return v ? sql_scratch_open(out, v->store) : SQLITE_IOERR_NOMEM;
}

static int vfs_open(sqlite3_vfs *base, const char *name, sqlite3_file *out, int flags, int *out_flags)
{
	struct suite_vfs *vfs = (struct suite_vfs *)base;
	if (!name && !(flags & SQLITE_OPEN_MAIN_DB)) {
		if (out_flags)
			*out_flags = flags;
		return open_scratch(vfs, out);
	}
	if (!(flags & SQLITE_OPEN_MAIN_DB) || !name)
		return vfs->below->xOpen(vfs->below, name, out, flags, out_flags);
	struct suite_file *f = file_of(out);
	memset(f, 0, sizeof *f);
	f->mirror = (sqlite3_file *)(f + 1);
	int rc = vfs->below->xOpen(vfs->below, name, f->mirror, flags, out_flags);
	if (rc == SQLITE_OK) {
		rc = open_main(vfs, name, f);
		if (rc != SQLITE_OK)
			f->mirror->pMethods->xClose(f->mirror);
	}
	return rc;
}

void suite_vfs_init(struct suite_vfs *vfs, const char *name, sqlite3_vfs *below, struct suite_volumes *volumes)
{
	*vfs = (struct suite_vfs){.base = *below, .below = below, .volumes = volumes};
	vfs->base.pNext = NULL;
	vfs->base.zName = name;
	vfs->base.szOsFile = (int)sizeof(struct suite_file) + below->szOsFile;
	vfs->base.xOpen = vfs_open;
}
