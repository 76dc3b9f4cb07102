/* Reader and writer: cursors over a slice or a buffer with a sticky error. Parse straight through,
 * check `failed` once at the end; after a failure reads give zero and writes do nothing. */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include <base/bytes.h>
#include <base/slice.h>

struct reader {
	const uint8_t *pos, *end;
	bool failed;
};

struct writer {
	uint8_t *start, *pos, *end;
	bool failed; /* something did not fit */
};

static inline struct reader reader_of(struct slice s)
{
	return (struct reader){s.ptr, s.len ? s.ptr + s.len : s.ptr, false};
}

static inline size_t reader_left(const struct reader *r)
{
	return (size_t)(r->end - r->pos);
}

/* The next n bytes, borrowed from the input; empty after a failure. */
static inline struct slice read_bytes(struct reader *r, size_t n)
{
	if (r->failed || reader_left(r) < n) {
		r->failed = true;
		return (struct slice){NULL, 0};
	}
	struct slice s = {r->pos, n};
	r->pos += n;
	return s;
}

static inline uint8_t read_u8(struct reader *r)
{
	struct slice s = read_bytes(r, 1);
	return s.len ? s.ptr[0] : 0;
}

#define CURSOR_READ(name, bits)                                                                    \
	static inline uint##bits##_t read_##name(struct reader *r)                                 \
	{                                                                                          \
		struct slice s = read_bytes(r, bits / 8);                                          \
		return s.len ? load_##name(s.ptr) : 0;                                             \
	}
CURSOR_READ(be16, 16)
CURSOR_READ(be32, 32)
CURSOR_READ(be64, 64)
CURSOR_READ(le16, 16)
CURSOR_READ(le32, 32)
CURSOR_READ(le64, 64)

static inline struct writer writer_of(void *buf, size_t cap)
{
	return (struct writer){(uint8_t *)buf, (uint8_t *)buf, (uint8_t *)buf + cap, false};
}

static inline size_t writer_left(const struct writer *w)
{
	return (size_t)(w->end - w->pos);
}

static inline size_t writer_len(const struct writer *w)
{
	return (size_t)(w->pos - w->start);
}

/* What was written so far, borrowed from the buffer. */
static inline struct slice writer_slice(const struct writer *w)
{
	return (struct slice){w->start, writer_len(w)};
}

static inline uint8_t *write_reserve(struct writer *w, size_t n)
{
	if (w->failed || writer_left(w) < n) {
		w->failed = true;
		return NULL;
	}
	uint8_t *p = w->pos;
	w->pos += n;
	return p;
}

static inline void write_bytes(struct writer *w, struct slice s)
{
	uint8_t *p = write_reserve(w, s.len);
	if (p && s.len)
		memcpy(p, s.ptr, s.len);
}

static inline void write_u8(struct writer *w, uint8_t v)
{
	uint8_t *p = write_reserve(w, 1);
	if (p)
		*p = v;
}

#define CURSOR_WRITE(name, bits)                                                                   \
	static inline void write_##name(struct writer *w, uint##bits##_t v)                        \
	{                                                                                          \
		uint8_t *p = write_reserve(w, bits / 8);                                           \
		if (p)                                                                             \
			store_##name(p, v);                                                        \
	}
CURSOR_WRITE(be16, 16)
CURSOR_WRITE(be32, 32)
CURSOR_WRITE(be64, 64)
CURSOR_WRITE(le16, 16)
CURSOR_WRITE(le32, 32)
CURSOR_WRITE(le64, 64)

API_BEGIN

/* Decimal, without padding. */
void write_dec(struct writer *w, uint64_t v);
/* `digits` lower-case hexadecimal digits (1 to 16), high ones cut off. */
void write_hex(struct writer *w, uint64_t v, unsigned digits);
/* `width` decimal digits with leading zeros. */
void write_dec_padded(struct writer *w, uint64_t v, unsigned width);
/* A small formatter for logs and messages, without floating point or locale:
 * %s, %.*s (with SLICE_ARG), %u %d %x (int), %lu %ld %lx (64 bit), %c, %p, %%. The compiler
 * checks callers by PRINTF_LIKE; any other directive fails the writer. */
void write_format(struct writer *w, const char *fmt, __builtin_va_list args);

API_END

#endif
