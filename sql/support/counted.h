/* An allocator for SQLite of which the Nth allocation fails, or all that go beyond so many bytes. */
#ifndef SQL_SUPPORT_COUNTED_H
#define SQL_SUPPORT_COUNTED_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct counted {
	int64_t left; /* allocations until one fails; negative: none */
	bool failed;  /* it has */
	size_t bytes, bytes_max;
};

extern struct counted counted;
extern const sqlite3_mem_methods counted_methods; /* for sql_config */

#endif
