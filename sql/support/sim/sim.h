/* SQLite on the page store under simulation (`ingot sim sql`): random transactions on a schema with an index,
 * triggers and full text, migrations in each life, power cuts at any event. The model is another SQLite, in memory
 * and in a process of its own, which is told each transaction that was committed and says what the database
 * must look like after it. */
#ifndef SQL_SUPPORT_SIM_SIM_H
#define SQL_SUPPORT_SIM_SIM_H

#include <sim/disk.h>
#include <sql/sql.h>

#include <support/rig.h>

#define GENERATIONS_MAX 4000u
#define MIGRATIONS 4u

struct options {
	uint64_t seed;
	uint32_t steps; /* transactions in each life; 0: from the seed */
	bool verbose, trace, no_errors;
	bool memory; /* the Nth allocation fails, for every N */
	uint64_t each; /* up to that N; beyond it one here and there */
	const char *sabotage; /* NULL: none */
};

struct verdict {
	bool finished;
	uint64_t hash, points, commits, excused;
	uint64_t counted, exhausted; /* allocations that failed; transactions of which each has */
};

/* --- model.c --- */

/* What a database looks like: all rows of all tables, and what an index and full text find; and a small part. */
struct image {
	uint64_t all, quick;
};

extern const char *const image_queries[]; /* NULL behind the last; the first IMAGE_QUICK are the small part */
#define IMAGE_QUICK 2
extern const struct sql_migration migrations[MIGRATIONS];

static inline uint64_t image_mix(uint64_t hash, const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
	return (hash ^ 0xff) * 0x100000001b3u;
}

struct model;
struct model *model_start(void);
void model_end(struct model *m);
/* Lines of SQL, each a statement; `failed` of them do not work. */
struct image model_apply(struct model *m, uint64_t generation, const char *sql, uint32_t *failed);
/* Later generations never were. */
struct image model_return_to(struct model *m, uint64_t generation);

/* --- seam.c: between SQLite and the store, by the linker --- */

bool seam_sabotage(const char *name); /* false: there is none of this name */

/* --- run.c --- */

void run_seed(const struct options *o, volatile struct verdict *v);

#endif
