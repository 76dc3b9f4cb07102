/* Stands before SQLite when that is compiled for the guest, for size: the compiler would put a `rep movsb` or `rep stosb`
 * where a number of bytes is not known, which costs a step for each byte (a page's journal: 4,096). So these are calls. */
#include <string.h>

void *sqlite_copy(void *, const void *, size_t) __asm__("memcpy");
void *sqlite_fill(void *, int, size_t) __asm__("memset");

#define memcpy(to, from, n)                                                                        \
	(__builtin_constant_p(n) ? __builtin_memcpy(to, from, n) : sqlite_copy(to, from, n))
#define memset(to, byte, n)                                                                        \
	(__builtin_constant_p(n) ? __builtin_memset(to, byte, n) : sqlite_fill(to, byte, n))
