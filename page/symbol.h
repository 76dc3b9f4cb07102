/* C identifiers from the names of templates and assets. */
#ifndef PAGE_SYMBOL_PRIVATE_H
#define PAGE_SYMBOL_PRIVATE_H

#include <base/slice.h>

/* The byte that stands for `b` in an identifier. */
uint8_t symbol_byte(uint8_t b);
/* Whether two different names make the same identifier. */
bool symbols_clash(struct slice a, struct slice b);

#endif
