/* Test guests: each is a platform_main that does one thing, mostly a forbidden one. */
#ifndef MACHINE_SUPPORT_GUEST_H
#define MACHINE_SUPPORT_GUEST_H

#include <base/cursor.h>
#include <platform/platform.h>

#include <stdarg.h>

static inline void PRINTF_LIKE(2, 3) say(struct platform *p, const char *fmt, ...)
{
	char buffer[256];
	struct writer w = writer_of(buffer, sizeof buffer - 1);
	va_list args;
	va_start(args, fmt);
	write_format(&w, fmt, args);
	va_end(args);
	*w.pos++ = '\n';
	p->console_write(p, writer_slice(&w));
}

static inline bool asked_for(const struct platform *p, struct slice word)
{
	struct slice s = p->command_line;
	for (size_t i = 0; i + word.len <= s.len; i++)
		if (slice_starts_with(slice_sub(s, i, s.len), word))
			return true;
	return false;
}

/* The forbidden thing was allowed. */
static inline _Noreturn void survived(struct platform *p)
{
	say(p, "FORBIDDEN BUT ALLOWED");
	p->power_off(p, PLATFORM_EXIT_OK);
	__builtin_unreachable();
}

#endif
