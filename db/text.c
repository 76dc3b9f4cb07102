/* Messages, sizes, progress. */
#include "tool.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *volatile half_done;

static void on_signal(int signal)
{
	if (half_done)
		unlink(half_done);
	_exit(128 + signal);
}

void die_removes(const char *path)
{
	half_done = path;
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	signal(SIGHUP, on_signal);
}

static void message(const char *fmt, va_list args)
{
	progress_show("", 0, 0);
	fflush(stdout);
	fputs("ingot: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
}

void die(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	message(fmt, args);
	va_end(args);
	if (half_done)
		unlink(half_done);
	exit(1);
}

void notice(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	message(fmt, args);
	va_end(args);
}

void *must_alloc(size_t size)
{
	void *p = calloc(1, size ? size : 1);
	if (!p)
		die("out of memory");
	return p;
}

char *format(const char *fmt, ...)
{
	va_list args;
	char *text;
	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		die("out of memory");
	va_end(args);
	return text;
}

char *size_text(uint64_t bytes)
{
	static const char *const unit[] = {"KiB", "MiB", "GiB", "TiB"};
	if (bytes < 10000)
		return format("%lu bytes", (unsigned long)bytes);
	double n = (double)bytes / 1024;
	size_t i = 0;
	while (n >= 1000 && i + 1 < ARRAY_LEN(unit)) {
		n /= 1024;
		i++;
	}
	return format("%.*f %s", n < 10 ? 2 : n < 100 ? 1 : 0, n, unit[i]);
}

uint64_t size_parse(const char *what, const char *text)
{
	static const char units[] = "KMGT";
	char *end;
	errno = 0;
	unsigned long long n = strtoull(text, &end, 10);
	const char *unit = *end ? strchr(units, *end) : NULL;
	unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
	if (errno || end == text || *text == '-' || n == 0 || (*end && (!unit || end[1])) ||
		n > UINT64_MAX >> shift)
		die("%s takes a size like 512M or 2G, not '%s'", what, text);
	return n << shift;
}

void progress_show(const char *what, uint64_t done, uint64_t all)
{
	static bool shown;
	if (done < all && isatty(STDERR_FILENO)) {
		fprintf(stderr, "\r%s: %lu %%\033[K", what, (unsigned long)(done * 100 / all));
		shown = true;
	} else if (shown) {
		fputs("\r\033[K", stderr);
		shown = false;
	}
}
