/* The one error convention: a function that can fail returns `err`, which must be used; results go
 * through final out-parameters, which are not written on failure. "Not yet" is not an error. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>
#include <base/api.h>

enum err_code {
	ERR_OK = 0,
	ERR_NO_MEMORY,   /* a budgeted pool or arena is used up */
	ERR_NO_SPACE,    /* the volume or the given buffer is full */
	ERR_INVALID,     /* malformed input, or a value outside of its range */
	ERR_TOO_LARGE,   /* input over a limit */
	ERR_IO,          /* the device failed or timed out */
	ERR_CORRUPT,     /* a checksum or an invariant on the volume does not hold */
	ERR_FOREIGN,     /* the volume holds something that is not ours */
	ERR_UNSUPPORTED, /* a version or feature that this build does not know */
	ERR_NOT_FOUND,
	ERR_BUSY,        /* held by another; trying again may help */
	ERR_STALE,       /* the snapshot is no longer the newest generation */
	ERR_TIMEOUT,
	ERR_CLOSED,      /* the peer or the device has gone */
	ERR_DENIED,      /* not allowed */
	ERR_CODE_COUNT
};

typedef struct err {
	enum err_code code;
} err;

#define OK ((err){ERR_OK})
#define ERR(name) ((err){ERR_##name})

static inline bool failed(err e)
{
	return e.code != ERR_OK;
}

/* Returns from the calling function when `expr` fails. Only where there is nothing to release. */
#define TRY(expr)                                                                                  \
	do {                                                                                       \
		err try_err_ = (expr);                                                             \
		if (failed(try_err_))                                                              \
			return try_err_;                                                           \
	} while (0)

API_BEGIN
/* A short lower-case English phrase ("out of memory"); static storage, never NULL. */
const char *err_text(err e);
API_END

#endif
