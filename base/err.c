#include <base/err.h>

const char *err_text(err e)
{
	static const char *const text[ERR_CODE_COUNT] = {
		[ERR_OK] = "no error",
		[ERR_NO_MEMORY] = "out of memory",
		[ERR_NO_SPACE] = "no space left",
		[ERR_INVALID] = "invalid data",
		[ERR_TOO_LARGE] = "too large",
		[ERR_IO] = "device error",
		[ERR_CORRUPT] = "damaged data",
		[ERR_FOREIGN] = "not an Ingot volume",
		[ERR_UNSUPPORTED] = "not supported",
		[ERR_NOT_FOUND] = "not found",
		[ERR_BUSY] = "busy",
		[ERR_STALE] = "stale snapshot",
		[ERR_TIMEOUT] = "timed out",
		[ERR_CLOSED] = "closed",
		[ERR_DENIED] = "not allowed",
	};
	if ((unsigned)e.code >= ERR_CODE_COUNT)
		return "unknown error";
	return text[e.code];
}
