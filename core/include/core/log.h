/* Log lines with levels, to the platform's log output, as
 *   2026-01-31T12:00:00.123Z info  http: message
 * Never blocks; formatting is write_format's. One line holds at most 512 bytes; longer is cut. */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include <platform/platform.h>

enum log_level {
	LOG_ERROR, /* something was lost or a part does not work */
	LOG_WARN,  /* something unusual that was dealt with */
	LOG_INFO,  /* what an operator wants to see in normal operation */
	LOG_DEBUG,
};

struct log {
	struct platform *platform;
	enum log_level level; /* lines above it are dropped */
	uint64_t lines, dropped;
};

API_BEGIN
void log_init(struct log *log, struct platform *platform, enum log_level level);
/* `part` is the module that speaks ("store"); control bytes in the text are written as \xNN, so that
 * no input forges a line. */
void log_write(struct log *log, enum log_level level, const char *part, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
API_END

#endif
