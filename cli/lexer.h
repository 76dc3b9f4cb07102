/* SQL as a list of tokens, by SQLite's rules. It knows just enough to say which part of a statement stands where;
 * whether the statement is right is for SQLite to say. */
#ifndef CLI_LEXER_H
#define CLI_LEXER_H

#include "source.h"

enum token_type {
	TOKEN_WORD,    /* a keyword or a name */
	TOKEN_QUOTED,  /* a name in "", `` or [] */
	TOKEN_STRING,
	TOKEN_BLOB,    /* x'00' */
	TOKEN_INTEGER,
	TOKEN_REAL,
	TOKEN_PARAMETER, /* ?, ?1, :name, @name, $name */
	TOKEN_MARK,      /* an operator, a bracket, ... */
	TOKEN_COMMENT,   /* from -- to the line's end, or in stars; kept on demand */
	TOKEN_BROKEN,    /* a string, name or comment that does not end */
};

struct token {
	enum token_type type;
	struct slice text;
	size_t offset; /* in the source */
	unsigned depth; /* of brackets around it; a bracket stands outside of itself */
	size_t match;   /* of a bracket: the index of its other one; else its own index */
};

struct tokens {
	struct token *item;
	size_t count, capacity;
};

struct tokens lex_sql(struct slice text, bool comments);
/* Whether it is this keyword or mark; `word` in upper case. */
bool token_is(const struct token *t, const char *word);
/* The name that a token stands for, without quotes; NULL when it is none. */
const char *token_name(const struct token *t);
/* Some of the tokens, as text: without comments, with one blank where there were any. */
char *tokens_text(const struct tokens *t, size_t from, size_t to);

#endif
