/* What an SQL expression can be, as far as its text tells: the part of the type that SQLite itself does not know
 * before the statement runs. When in doubt: KIND_UNKNOWN, or nullable. */
#ifndef CLI_EXPRESSION_H
#define CLI_EXPRESSION_H

#include "schema.h"

/* The tables that a statement names, and what it calls them. */
struct scope {
	const struct schema *schema;
	const struct tokens *tokens;
	struct strings alias, table; /* side by side */
	bool grouped; /* has GROUP BY: an aggregate has at least one row */
	struct strings filled; /* tables that an outer join may fill up with NULL */
	bool all_filled;
	bool risky; /* subqueries or views unite or aggregate rows: what they give may be NULL where the column is not */
	bool derived; /* has subqueries or common table expressions to select from: columns that no table has */
};

/* `sql` is the whole statement, which SQLite takes. */
struct scope scope_of(const struct schema *schema, const struct tokens *tokens, const char *sql);
/* Whether a column of it may be NULL though it is declared NOT NULL. */
bool scope_fills(const struct scope *s, const char *table);
/* Of tokens from..to (exclusive). */
struct kind expression_kind(const struct scope *s, size_t from, size_t to);
/* What a function takes as its argument `i`; KIND_UNKNOWN when it may be anything. `same`: what its other
 * arguments are. */
enum kind_type function_argument(struct slice name, size_t i, bool *same);
/* Where the operand ends that begins at `from`, and where the one begins that ends before `to`. */
size_t operand_end(const struct tokens *t, size_t from, size_t limit);
size_t operand_start(const struct tokens *t, size_t to);
/* Whether the word begins or separates clauses, so that it is no name. */
bool is_keyword(const struct token *t);

#endif
