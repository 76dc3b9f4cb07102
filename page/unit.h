/* A template while the compiler works on it. */
#ifndef PAGE_UNIT_PRIVATE_H
#define PAGE_UNIT_PRIVATE_H

#include <page/compile.h>

/* A static partial or parent that page_compile_link looks up. */
struct unit_reference {
	struct unit_reference *next;
	uint32_t op;
	struct slice name;
	size_t at; /* offset of its tag in the source */
};

struct page_unit {
	struct page_unit *next;
	struct page_template template; /* ops is `op` */
	struct page_op *op;
	uint32_t op_capacity;
	struct slice file, source; /* copies in the arena */
	uint8_t *text;		   /* all static text, in the order of the TEXT operations */
	size_t text_len, text_room; /* room for all of the source, and for what URLs of assets add */
	struct unit_reference *first_reference, **references_end;
	bool is_dynamic; /* names templates by value, so it needs the set */
};

/* Notes an error at source[at]. Never fails: without memory, diagnostic_count alone grows. */
void diagnose(struct page_compiler *c, const struct page_unit *u, size_t at, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
/* The line, from 1, of source[at]. */
uint32_t unit_line(const struct page_unit *u, size_t at);

#endif
