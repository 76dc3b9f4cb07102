/* What people read: log lines, trace events, metrics. */
#include <core/log.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include <core/metrics.h>
#include <core/trace.h>
#include "support/fake.h"

static void log_at(struct fake *f, int64_t wall_ns, const char *text)
{
	struct log log;
	fake_init(f, 4096);
	f->wall_ns = wall_ns;
	log_init(&log, &f->platform, LOG_INFO);
	log_write(&log, LOG_INFO, "http", "%s", text);
	fake_deinit(f);
}

static void a_line_has_time_level_part_and_text(void **state)
{
	(void)state;
	struct fake f;
	log_at(&f, 1769860800123456789, "message");
	assert_string_equal(f.log, "2026-01-31T12:00:00.123Z info  http: message\n");
}

static void dates_are_right_around_leap_days_and_years(void **state)
{
	(void)state;
	static const struct {
		int64_t seconds;
		const char *text;
	} known[] = {
		{0, "1970-01-01T00:00:00"},
		{951782399, "2000-02-28T23:59:59"},
		{951782400, "2000-02-29T00:00:00"},
		{951868800, "2000-03-01T00:00:00"},
		{1709164800, "2024-02-29T00:00:00"},
		{1735689599, "2024-12-31T23:59:59"},
		{1735689600, "2025-01-01T00:00:00"},
		{4107542400, "2100-03-01T00:00:00"},
		{-5, "1970-01-01T00:00:00"},
	};
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		struct fake f;
		log_at(&f, known[i].seconds * 1000000000, "x");
		assert_memory_equal(f.log, known[i].text, strlen(known[i].text));
	}
}

static void control_bytes_cannot_forge_a_line(void **state)
{
	(void)state;
	struct fake f;
	log_at(&f, 0, "a\nb\r\t\x1b[31m\x7f\xc3\xa9");
	assert_string_equal(f.log,
		"1970-01-01T00:00:00.000Z info  http: a\\x0ab\\x0d\\x09\\x1b[31m\\x7f\xc3\xa9\n");
}

static void a_long_line_is_cut_and_still_ends(void **state)
{
	(void)state;
	struct fake f;
	static char text[901];
	memset(text, 'x', 900);
	log_at(&f, 0, text);
	assert_int_equal(f.log_len, 512);
	assert_true(strchr(f.log, '\n') == f.log + 511);
	memset(text, '\n', 900);
	log_at(&f, 0, text);
	assert_in_range(f.log_len, 508, 512);
	assert_true(strchr(f.log, '\n') == f.log + f.log_len - 1);
	assert_memory_equal(f.log + f.log_len - 5, "\\x0a", 4);
}

static void text_too_long_for_the_formatter_is_marked(void **state)
{
	(void)state;
	struct fake f;
	static char text[5001];
	memset(text, 'y', 5000);
	log_at(&f, 0, text);
	assert_non_null(strstr(f.log, "http: ...\n"));
}

static void lines_above_the_level_are_dropped_and_counted(void **state)
{
	(void)state;
	struct fake f;
	struct log log;
	fake_init(&f, 4096);
	log_init(&log, &f.platform, LOG_WARN);
	log_write(&log, LOG_INFO, "a", "no");
	log_write(&log, LOG_DEBUG, "a", "no");
	log_write(&log, LOG_WARN, "a", "yes %d", 1);
	log_write(&log, LOG_ERROR, "a", "yes %d", 2);
	assert_string_equal(f.log, "1970-01-01T00:00:00.000Z warn  a: yes 1\n"
				   "1970-01-01T00:00:00.000Z error a: yes 2\n");
	assert_int_equal(log.lines, 2);
	assert_int_equal(log.dropped, 2);
	fake_deinit(&f);
}

static void append(void *cookie, struct slice line)
{
	char *text = cookie;
	strncat(text, (const char *)line.ptr, line.len);
}

static void the_trace_keeps_the_last_events_in_order(void **state)
{
	(void)state;
	struct trace_event ring[4];
	struct trace t;
	char text[512] = "";
	trace_init(&t, ring, 4);
	trace_write(&t, 10, append, text);
	assert_string_equal(text, "");
	trace_add(&t, 1234567000, "tcp retransmit", 8080, 3);
	trace_write(&t, 10, append, text);
	assert_string_equal(text, "   1.234567 tcp retransmit 0x1f90 0x3\n");
	for (uint64_t i = 2; i <= 6; i++)
		trace_add(&t, i * 100000000000, "e", i, UINT64_MAX);
	text[0] = 0;
	trace_write(&t, 2, append, text);
	assert_string_equal(text, " 500.000000 e 0x5 0xffffffffffffffff\n"
				  " 600.000000 e 0x6 0xffffffffffffffff\n");
	text[0] = 0;
	trace_write(&t, 10, append, text);
	assert_memory_equal(text, " 300.000000", 11);
}

static void metrics_show_the_present_values(void **state)
{
	(void)state;
	struct metrics m;
	struct metric a, b;
	uint64_t x = 1, y = UINT64_MAX;
	char text[128] = {0};
	metrics_init(&m);
	metrics_add(&m, &a, "first_total", &x);
	metrics_add(&m, &b, "second_total", &y);
	x = 42;
	struct writer w = writer_of(text, sizeof text - 1);
	metrics_write(&m, &w);
	assert_string_equal(text, "first_total 42\nsecond_total 18446744073709551615\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_time_level_part_and_text),
		cmocka_unit_test(dates_are_right_around_leap_days_and_years),
		cmocka_unit_test(control_bytes_cannot_forge_a_line),
		cmocka_unit_test(a_long_line_is_cut_and_still_ends),
		cmocka_unit_test(text_too_long_for_the_formatter_is_marked),
		cmocka_unit_test(lines_above_the_level_are_dropped_and_counted),
		cmocka_unit_test(the_trace_keeps_the_last_events_in_order),
		cmocka_unit_test(metrics_show_the_present_values),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
