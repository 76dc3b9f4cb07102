#include <core/log.h>

#include <base/cursor.h>
#include <stdarg.h>

#define LINE_MAX 512 /* bytes, with the newline */
#define TEXT_MAX 1024

void log_init(struct log *log, struct platform *platform, enum log_level level)
{
	*log = (struct log){.platform = platform, .level = level};
}

/* The civil date of a day since 1970 in the proleptic Gregorian calendar. Years are counted from
 * March, so that the leap day is the last of its year; 719468 is the day number of 1970-01-01 from
 * 0000-03-01. */
static void write_date(struct writer *w, int64_t days)
{
	uint64_t n = (uint64_t)(days + 719468);
	uint64_t era = n / 146097, day = n % 146097;
	uint64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	uint64_t day_of_year = day - (365 * year + year / 4 - year / 100);
	uint64_t month = (5 * day_of_year + 2) / 153;
	write_dec_padded(w, era * 400 + year + (month >= 10), 4);
	write_u8(w, '-');
	write_dec_padded(w, month < 10 ? month + 3 : month - 9, 2);
	write_u8(w, '-');
	write_dec_padded(w, day_of_year - (153 * month + 2) / 5 + 1, 2);
}

static void write_time(struct writer *w, int64_t wall_ns)
{
	uint64_t ms = wall_ns > 0 ? (uint64_t)wall_ns / 1000000 : 0;
	uint64_t seconds = ms / 1000;
	write_date(w, (int64_t)(seconds / 86400));
	write_u8(w, 'T');
	write_dec_padded(w, seconds / 3600 % 24, 2);
	write_u8(w, ':');
	write_dec_padded(w, seconds / 60 % 60, 2);
	write_u8(w, ':');
	write_dec_padded(w, seconds % 60, 2);
	write_u8(w, '.');
	write_dec_padded(w, ms % 1000, 3);
	write_u8(w, 'Z');
}

static bool is_control(uint8_t c)
{
	return c < 0x20 || c == 0x7f;
}

/* As much of the text as leaves room for the newline. */
static void write_escaped(struct writer *w, struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.ptr[i];
		if (writer_left(w) < (is_control(c) ? 5 : 2))
			return;
		if (is_control(c)) {
			write_bytes(w, SLICE("\\x"));
			write_hex(w, c, 2);
		} else {
			write_u8(w, c);
		}
	}
}

void log_write(struct log *log, enum log_level level, const char *part, const char *fmt, ...)
{
	static const char *const name[] = {"error ", "warn  ", "info  ", "debug "};
	if (level > log->level) {
		log->dropped++;
		return;
	}
	uint8_t text_buffer[TEXT_MAX], line_buffer[LINE_MAX];
	struct writer text = writer_of(text_buffer, sizeof text_buffer);
	struct writer line = writer_of(line_buffer, sizeof line_buffer);
	va_list args;
	va_start(args, fmt);
	write_format(&text, fmt, args);
	va_end(args);
	struct platform *p = log->platform;
	write_time(&line, p->wall_ns(p));
	write_u8(&line, ' ');
	write_bytes(&line, slice_from_cstr(name[level]));
	write_escaped(&line, slice_from_cstr(part));
	write_escaped(&line, SLICE(": "));
	write_escaped(&line, writer_slice(&text));
	if (text.failed) /* a part that did not fit was left out */
		write_escaped(&line, SLICE("..."));
	write_u8(&line, '\n');
	log->lines++;
	p->log_write(p, writer_slice(&line));
}
