#include <http/date.h>

#include <string.h>
#include <base/cursor.h>

#define DAY_S 86400
#define YEAR_9999_END 253402300799 /* 9999-12-31 23:59:59 */

static const char day_name[7][10] = {
	"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
};
static const char month_name[12][4] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
};

struct calendar {
	int64_t year;
	unsigned month, day; /* from 1 */
	unsigned hour, minute, second;
};

/* The proleptic Gregorian calendar by eras of 400 years that begin on 1 March, so that the leap day
 * is the last of a year (H. Hinnant's derivation). Years from 0 on. */
static int64_t days_from(int64_t year, unsigned month, unsigned day)
{
	int64_t y = month <= 2 ? year - 1 : year, era = y / 400, of_era = y - era * 400;
	int64_t of_year = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static struct calendar calendar_from(int64_t unix_s)
{
	int64_t days = unix_s / DAY_S + 719468, rest = unix_s % DAY_S;
	int64_t era = days / 146097, of_era = days - era * 146097;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	int64_t month = (5 * of_year + 2) / 153;
	struct calendar c = {
		.day = (unsigned)(of_year - (153 * month + 2) / 5 + 1),
		.month = (unsigned)(month < 10 ? month + 3 : month - 9),
		.hour = (unsigned)(rest / 3600),
		.minute = (unsigned)(rest / 60 % 60),
		.second = (unsigned)(rest % 60),
	};
	c.year = era * 400 + year + (c.month <= 2);
	return c;
}

static void write_text(struct writer *w, const char *s, size_t len)
{
	write_bytes(w, slice_of(s, len));
}

void http_date_format(int64_t unix_s, uint8_t out[HTTP_DATE_LEN])
{
	if (unix_s < 0)
		unix_s = 0;
	if (unix_s > YEAR_9999_END)
		unix_s = YEAR_9999_END;
	struct calendar c = calendar_from(unix_s);
	struct writer w = writer_of(out, HTTP_DATE_LEN);
	write_text(&w, day_name[(unix_s / DAY_S + 4) % 7], 3);
	write_text(&w, ", ", 2);
	write_dec_padded(&w, c.day, 2);
	write_u8(&w, ' ');
	write_text(&w, month_name[c.month - 1], 3);
	write_u8(&w, ' ');
	write_dec_padded(&w, (uint64_t)c.year, 4);
	write_u8(&w, ' ');
	write_dec_padded(&w, c.hour, 2);
	write_u8(&w, ':');
	write_dec_padded(&w, c.minute, 2);
	write_u8(&w, ':');
	write_dec_padded(&w, c.second, 2);
	write_text(&w, " GMT", 4);
}

struct slice http_date_line(struct http_date_cache *cache, int64_t unix_s)
{
	if (!cache->filled || cache->unix_s != unix_s) {
		memcpy(cache->line, "Date: ", 6);
		http_date_format(unix_s, cache->line + 6);
		memcpy(cache->line + 6 + HTTP_DATE_LEN, "\r\n", 2);
		cache->unix_s = unix_s;
		cache->filled = true;
	}
	return slice_of(cache->line, sizeof cache->line);
}

/* --- Parsing ---------------------------------------------------------------------------------- */

static void expect(struct reader *r, const char *text, size_t len)
{
	if (!slice_eq(read_bytes(r, len), slice_of(text, len)))
		r->failed = true;
}

static unsigned digits(struct reader *r, size_t count)
{
	uint64_t v = 0;
	if (!slice_to_u64(read_bytes(r, count), &v))
		r->failed = true;
	return (unsigned)v;
}

static unsigned month(struct reader *r)
{
	struct slice name = read_bytes(r, 3);
	for (unsigned m = 0; m < 12; m++)
		if (slice_eq(name, slice_of(month_name[m], 3)))
			return m + 1;
	r->failed = true;
	return 1;
}

static void time_of_day(struct reader *r, struct calendar *c)
{
	c->hour = digits(r, 2);
	expect(r, ":", 1);
	c->minute = digits(r, 2);
	expect(r, ":", 1);
	c->second = digits(r, 2);
}

/* 06 Nov 1994, after "Sun, ". */
static void parse_fixdate(struct reader *r, struct calendar *c)
{
	c->day = digits(r, 2);
	expect(r, " ", 1);
	c->month = month(r);
	expect(r, " ", 1);
	c->year = digits(r, 4);
	expect(r, " ", 1);
	time_of_day(r, c);
	expect(r, " GMT", 4);
}

/* 06-Nov-94, after "Sunday, ". */
static void parse_rfc850(struct reader *r, struct calendar *c, int64_t now_s)
{
	int64_t this_year = calendar_from(now_s < 0 ? 0 : now_s).year;
	c->day = digits(r, 2);
	expect(r, "-", 1);
	c->month = month(r);
	expect(r, "-", 1);
	c->year = this_year / 100 * 100 + digits(r, 2);
	if (c->year > this_year + 50)
		c->year -= 100;
	expect(r, " ", 1);
	time_of_day(r, c);
	expect(r, " GMT", 4);
}

/* Nov  6 08:49:37 1994, after "Sun ". */
static void parse_asctime(struct reader *r, struct calendar *c)
{
	c->month = month(r);
	expect(r, " ", 1);
	if (reader_left(r) && *r->pos == ' ') {
		expect(r, " ", 1);
		c->day = digits(r, 1);
	} else {
		c->day = digits(r, 2);
	}
	expect(r, " ", 1);
	time_of_day(r, c);
	expect(r, " ", 1);
	c->year = digits(r, 4);
}

static bool calendar_is_valid(const struct calendar *c)
{
	static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	if (c->month < 1 || c->month > 12)
		return false;
	bool leap = c->year % 4 == 0 && (c->year % 100 != 0 || c->year % 400 == 0);
	unsigned last = c->month == 2 && leap ? 29 : days[c->month - 1];
	return c->day >= 1 && c->day <= last && c->hour < 24 && c->minute < 60 && c->second <= 60;
}

bool http_date_parse(struct slice text, int64_t now_s, int64_t *unix_s)
{
	struct calendar c = {0};
	size_t comma = slice_index(text, ',');
	bool known = false, full = comma > 3 && comma < text.len;
	size_t name_len = full ? comma : 3;
	for (unsigned d = 0; d < 7; d++)
		known |= slice_eq(slice_sub(text, 0, name_len),
			slice_of(day_name[d], full ? strlen(day_name[d]) : 3));
	if (!known)
		return false;
	struct reader r = reader_of(slice_sub(text, name_len, text.len));
	if (comma == text.len) {
		expect(&r, " ", 1);
		parse_asctime(&r, &c);
	} else {
		expect(&r, ", ", 2);
		if (full)
			parse_rfc850(&r, &c, now_s);
		else
			parse_fixdate(&r, &c);
	}
	if (r.failed || reader_left(&r) || !calendar_is_valid(&c))
		return false;
	*unix_s = days_from(c.year, c.month, c.day) * DAY_S + c.hour * 3600 + c.minute * 60
		+ c.second;
	return true;
}
