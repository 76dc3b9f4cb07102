#include "database_counters.h"

#include <stddef.h>

/* The name in it, not a pointer to it: a string constant would be in images without a database, too. */
struct counter {
	char name[30];
	uint16_t offset;
};

#define COUNTER(of, field) {#of "_" #field, offsetof(struct of##_stats, field)}

static const struct counter of_store[] = {
	COUNTER(store, commits),
	COUNTER(store, records),
	COUNTER(store, seals),
	COUNTER(store, checkpoints),
	COUNTER(store, flushes),
	COUNTER(store, reads),
	COUNTER(store, writes),
	COUNTER(store, bytes_read),
	COUNTER(store, bytes_written),
	COUNTER(store, page_hits),
	COUNTER(store, page_misses),
	COUNTER(store, page_evictions),
	COUNTER(store, pages_written),
	COUNTER(store, pages_spilled),
	COUNTER(store, txns_large),
	COUNTER(store, pages_merged),
	COUNTER(store, corrupt_pages),
	COUNTER(store, io_retries),
	COUNTER(store, io_errors),
	COUNTER(store, no_space),
	COUNTER(store, no_memory),
	COUNTER(store, blocks),
	COUNTER(store, blocks_free),
	COUNTER(store, blocks_waiting),
};

static const struct counter of_sql[] = {
	COUNTER(sql, statements),
	COUNTER(sql, prepares),
	COUNTER(sql, commits),
	COUNTER(sql, batches),
	COUNTER(sql, journal_opens),
	COUNTER(sql, pages_lent),
	COUNTER(sql, pages_copied),
	COUNTER(sql, pages_written),
	COUNTER(sql, pages_spilled),
	COUNTER(sql, rollbacks),
	COUNTER(sql, busy),
	COUNTER(sql, stale),
	COUNTER(sql, memory_used),
	COUNTER(sql, memory_max),
	COUNTER(sql, memory_failures),
	COUNTER(sql, retries),
	COUNTER(sql, deadlines),
	COUNTER(sql, abandoned),
};

void database_counter_write(struct writer *w, const char *name, uint64_t value)
{
	write_bytes(w, slice_from_cstr(name));
	write_u8(w, ' ');
	write_dec(w, value);
	write_u8(w, '\n');
}

static void write_table(struct writer *w, const struct counter *table, size_t count, const void *stats)
{
	for (size_t i = 0; i < count; i++)
		database_counter_write(w, table[i].name,
			*(const uint64_t *)(const void *)((const uint8_t *)stats + table[i].offset));
}

void database_counters_write(struct writer *w, const struct store_stats *store, const struct sql_stats *sql)
{
	write_table(w, of_store, ARRAY_LEN(of_store), store);
	write_table(w, of_sql, ARRAY_LEN(of_sql), sql);
}
