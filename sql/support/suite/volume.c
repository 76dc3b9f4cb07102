#include "volume.h"

#include <base/assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- Stores ----------------------------------------------------------------------------------- */

static void *map(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static err open_store(struct suite_volumes *all, struct suite_volume *v)
{
	struct suite_machine *m = all->machine;
	struct store_config config = {.loop = &m->loop, .device = &v->disk.device, .log = &m->log,
		.random = &m->random, .cache_pages = all->cache_pages, .txn_pages_max = all->txn_pages_max};
	struct store_info info;
	config.memory_len = v->memory_len = store_memory_size(&config);
	config.memory = v->memory = map(v->memory_len);
	if (!v->memory)
		return ERR(NO_MEMORY);
	TRY(store_open(&config, &v->store, &info));
	return store_object_open(v->store, "main", true, &v->object);
}

static struct suite_volume *volume_new(struct suite_volumes *all)
{
	struct suite_volume *v = calloc(1, sizeof *v);
	list_init(&v->files);
	if (!suite_disk_init(&v->disk, all->machine, all->disk_len)) {
		free(v);
		return NULL;
	}
	err e = open_store(all, v);
	ASSERT(!failed(e));
	list_push_back(&all->all, &v->link);
	all->count++;
	return v;
}

static void add_stats(struct sql_stats *to, const struct sql_stats *s)
{
	to->commits += s->commits;
	to->batches += s->batches;
	to->pages_lent += s->pages_lent;
	to->pages_copied += s->pages_copied;
	to->pages_written += s->pages_written;
	to->pages_spilled += s->pages_spilled;
	to->rollbacks += s->rollbacks;
	to->busy += s->busy;
	to->stale += s->stale;
}

static void volume_free(struct suite_volumes *all, struct suite_volume *v)
{
	ASSERT(list_is_empty(&v->files));
	list_remove(&v->link);
	all->count--;
	err e = store_close(v->store);
	ASSERT(!failed(e));
	add_stats(&all->stats, &v->stats);
	munmap(v->memory, v->memory_len);
	suite_disk_deinit(&v->disk);
	free(v->name);
	free(v);
}

void suite_volumes_trim(struct suite_volumes *all, uint32_t keep)
{
	uint32_t idle = 0;
	struct suite_volume *oldest = NULL;
	do {
		if (oldest)
			volume_free(all, oldest);
		idle = 0;
		oldest = NULL;
		LIST_FOR_EACH(e, &all->all) {
			struct suite_volume *v = LIST_ENTRY(e, struct suite_volume, link);
			if (!list_is_empty(&v->files) || (v->name && !*v->name))
				continue; /* (the one for scratch files stays) */
			oldest = oldest ? oldest : v;
			idle++;
		}
	} while (idle > keep);
}

void suite_volumes_stats(const struct suite_volumes *all, struct sql_stats *out)
{
	*out = all->stats;
	LIST_FOR_EACH(e, &all->all)
		add_stats(out, &LIST_ENTRY(e, const struct suite_volume, link)->stats);
}

/* --- Which file is which ---------------------------------------------------------------------- */

static struct suite_volume *find(struct suite_volumes *all, const struct stat *st, const char *name)
{
	LIST_FOR_EACH(e, &all->all) {
		struct suite_volume *v = LIST_ENTRY(e, struct suite_volume, link);
		if (name ? v->name && strcmp(v->name, name) == 0
			 : !v->name && v->inode == st->st_ino && v->device == st->st_dev)
			return v;
	}
	return NULL;
}

struct suite_volume *suite_volume_get(struct suite_volumes *all, const char *path, bool by_name)
{
	struct stat st = {0};
	if (!by_name && stat(path, &st) < 0)
		return NULL;
	struct suite_volume *v = find(all, &st, by_name ? path : NULL);
	if (v) {
		list_remove(&v->link);
		list_push_back(&all->all, &v->link);
		return v;
	}
	suite_volumes_trim(all, 7);
	v = volume_new(all);
	if (!v)
		return NULL;
	v->inode = st.st_ino;
	v->device = st.st_dev;
	v->name = by_name ? strdup(path) : NULL;
	return v;
}

/* --- The mirror ------------------------------------------------------------------------------- */

/* The file's time says whether it has changed since; its clock is too coarse to tell two writes apart, so
 * we set a time that never was, and that no other process sets. */
void suite_volume_seen(struct suite_volumes *all, struct suite_volume *v, const char *path)
{
	v->known = v->name != NULL;
	if (v->name || stat(path, &v->seen) < 0 || v->seen.st_ino != v->inode)
		return;
	struct timespec times[2] = {v->seen.st_atim, v->seen.st_mtim};
	times[1].tv_nsec = (long)getpid() % 1000 * 1000000 + (long)(all->stamps++ % 1000000);
	if (utimensat(AT_FDCWD, path, times, 0) == 0 && stat(path, &v->seen) == 0)
		v->known = true;
}

static bool changed_by_others(const struct suite_volume *v, const char *path)
{
	struct stat st;
	if (v->name || !v->known)
		return !v->known;
	if (stat(path, &st) < 0 || st.st_ino != v->inode || st.st_dev != v->device)
		return false; /* removed or renamed: it is a file without a name, nobody else can write to it */
	return st.st_size != v->seen.st_size || st.st_mtim.tv_sec != v->seen.st_mtim.tv_sec ||
		st.st_mtim.tv_nsec != v->seen.st_mtim.tv_nsec;
}

static int copy_page(struct store_txn *txn, sqlite3_file *mirror, uint32_t page_no, uint64_t bytes)
{
	uint8_t there[STORE_PAGE_SIZE] = {0}, here[STORE_PAGE_SIZE];
	uint64_t at = (uint64_t)page_no * STORE_PAGE_SIZE;
	uint64_t len = bytes - at < STORE_PAGE_SIZE ? bytes - at : STORE_PAGE_SIZE;
	int rc = mirror->pMethods->xRead(mirror, there, (int)len, (sqlite3_int64)at);
	if (rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ)
		return rc;
	if (page_no < store_txn_pages(txn)) {
		err e = store_txn_read(txn, page_no, here);
		if (failed(e))
			return SQLITE_IOERR_READ;
		if (memcmp(here, there, STORE_PAGE_SIZE) == 0)
			return SQLITE_OK;
	}
	err e = store_txn_write(txn, page_no, there);
	return failed(e) ? SQLITE_IOERR_WRITE : SQLITE_OK;
}

static int copy_all(struct store_txn *txn, sqlite3_file *mirror, uint64_t bytes)
{
	uint64_t pages = (bytes + STORE_PAGE_SIZE - 1) / STORE_PAGE_SIZE;
	if (store_txn_pages(txn) != pages) {
		err e = store_txn_truncate(txn, (uint32_t)pages);
		if (failed(e))
			return SQLITE_IOERR_WRITE;
	}
	for (uint32_t i = 0; i < pages; i++) {
		int rc = copy_page(txn, mirror, i, bytes);
		if (rc != SQLITE_OK)
			return rc;
	}
	return SQLITE_OK;
}

int suite_volume_sync(struct suite_volumes *all, struct suite_volume *v, sqlite3_file *mirror, const char *path)
{
	if (!changed_by_others(v, path))
		return SQLITE_OK;
	struct store_txn *txn;
	err e = store_txn_begin(v->object, &txn);
	if (failed(e))
		return SQLITE_OK; /* one of ours is writing: its commit covers the other's change */
	sqlite3_int64 bytes = 0;
	int rc = mirror->pMethods->xFileSize(mirror, &bytes);
	if (rc == SQLITE_OK)
		rc = copy_all(txn, mirror, (uint64_t)bytes);
	if (rc != SQLITE_OK) {
		store_txn_abort(txn);
		return rc;
	}
	uint64_t generation;
	e = store_txn_commit(txn, &generation);
	ASSERT(!failed(e));
	v->bytes = (uint64_t)bytes;
	suite_volume_seen(all, v, path);
	return SQLITE_OK;
}
