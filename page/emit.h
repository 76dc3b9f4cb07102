/* C source as text, through a sink. */
#ifndef PAGE_EMIT_PRIVATE_H
#define PAGE_EMIT_PRIVATE_H

#include <page/compile.h>

void emit_text(struct page_sink *sink, const char *text);
void emit_bytes(struct page_sink *sink, struct slice s);
void emit_number(struct page_sink *sink, uint64_t v);
/* The name as an identifier's tail. */
void emit_symbol(struct page_sink *sink, struct slice name);
/* A string literal, broken into one for each line of text; "" when empty. Trigraphs are broken up.
 */
void emit_literal(struct page_sink *sink, struct slice s);
/* The same for C and assembler: on one line. */
void emit_quoted(struct page_sink *sink, struct slice s);

#endif
