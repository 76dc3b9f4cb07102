/* SQL that stands as a string literal in a C source: the statements of db_query, db_run and so on. */
#ifndef CLI_LITERALS_H
#define CLI_LITERALS_H

#include "query.h"
#include "shown.h"

/* Checks each call in the source against the schema. SQL that is not a literal (a variable, a macro, a choice) is
 * left alone. */
void literals_check(const struct schema *schema, const struct source *s, struct report *r);
/* Adds the lists that the source fills: db_rows_into with literals, and NAME_into of the queries; and its words. */
void literals_lists(const struct schema *schema, const struct queries *queries, const struct source *s,
	struct shown_lists *lists);

/* Whether the source calls that function. */
bool literals_calls(const struct source *s, const char *function);
/* In an application without a database: its first call that needs one is an error. */
void literals_without_database(const struct source *s, struct report *r);

/* The names of files that calls of asset_path name, as they stand there and as URLs. */
struct asset_names {
	struct strings name, url;
};
struct page_assets;
/* Gives each file that the source names by asset_path its fingerprinted name, and adds that. One that is not there is
 * an error, and so is a name that is no literal. */
void literals_assets(const struct source *s, struct page_assets *assets, struct asset_names *names, struct report *r);

#endif
