/* The counters of store and SQL by name, in the style of those of net/. */
#ifndef APP_DATABASE_COUNTERS_H
#define APP_DATABASE_COUNTERS_H

#include <base/cursor.h>
#include <sql/sql.h>

void database_counter_write(struct writer *w, const char *name, uint64_t value);
void database_counters_write(struct writer *w, const struct store_stats *store, const struct sql_stats *sql);

#endif
