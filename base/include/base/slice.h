/* A borrowed run of bytes. Passed by value; says nothing about who owns the bytes: the header of the
 * function that returns one says when it expires. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <base/api.h>

struct slice {
	const uint8_t *ptr;
	size_t len;
};

/* The bytes of a string literal, without its NUL. */
#define SLICE(lit) ((struct slice){(const uint8_t *)("" lit), sizeof(lit) - 1})
/* The same, usable in a static initialiser. */
#define SLICE_INIT(lit) {(const uint8_t *)("" lit), sizeof(lit) - 1}
/* For printf: `"%.*s", SLICE_ARG(s)`. */
#define SLICE_ARG(s) (int)(s).len, (const char *)(s).ptr

static inline struct slice slice_of(const void *ptr, size_t len)
{
	return (struct slice){(const uint8_t *)ptr, len};
}

/* The part from `from` (clamped to s.len) of at most `len` bytes. */
static inline struct slice slice_sub(struct slice s, size_t from, size_t len)
{
	if (from > s.len)
		from = s.len;
	if (len > s.len - from)
		len = s.len - from;
	return (struct slice){s.ptr ? s.ptr + from : NULL, len};
}

API_BEGIN

struct slice slice_from_cstr(const char *s);
bool slice_eq(struct slice a, struct slice b);
/* ASCII letters compare without regard to case; other bytes exactly. */
bool slice_eq_nocase(struct slice a, struct slice b);
bool slice_starts_with(struct slice s, struct slice prefix);
bool slice_ends_with(struct slice s, struct slice suffix);
/* The index of the first `byte`, or s.len when there is none. */
size_t slice_index(struct slice s, uint8_t byte);
/* Without leading and trailing SP and HTAB. */
struct slice slice_trim(struct slice s);
/* Decimal digits only, at least one, no sign; false on anything else and on overflow. */
bool slice_to_u64(struct slice s, uint64_t *out);
/* memcmp order, shorter first on a common prefix: <0, 0, >0. */
int slice_cmp(struct slice a, struct slice b);

API_END

#endif
