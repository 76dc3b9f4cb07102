/* Escaping of a value's bytes into a page, in the way that the place asks for. */
#ifndef PAGE_ESCAPE_PRIVATE_H
#define PAGE_ESCAPE_PRIVATE_H

#include <page/render.h>

/* The longest slice of input whose escaped form is copied at once, bytes; and the most bytes that
 * one byte of input becomes. What a page allocates for a value stays below their product. */
#define ESCAPE_WINDOW 256
#define ESCAPE_GROWTH 6

/* ERR_NO_MEMORY or ERR_TOO_LARGE as in page_render. */
MUST_USE err escape_add(struct page_output *out, enum page_escape how, const struct page_value *v);
/* err form of page_output_add. */
MUST_USE err output_add(struct page_output *out, struct slice bytes);

#endif
