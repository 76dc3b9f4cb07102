/* Lines of the access log, as the simulated machine's log has them. Virtual time begins at 2026-01-01. */
#include "support/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct world *start(const struct app_service *format)
{
	return world_new((struct world_options){.seed = 4, .access_log = format});
}

/* The log's last line that holds `text`, without its newline. */
static struct slice line_with(struct world *w, const char *text)
{
	struct slice found = {NULL, 0}, rest = slice_of(w->lines, w->lines_len);
	world_pass(w, 100 * MS);
	rest = slice_of(w->lines, w->lines_len);
	while (rest.len) {
		struct slice line = slice_sub(rest, 0, slice_index(rest, '\n'));
		rest = slice_sub(rest, line.len + 1, rest.len);
		if (slice_has(line, text))
			found = line;
	}
	assert_non_null(found.ptr);
	return found;
}

static size_t lines_with(struct world *w, const char *text)
{
	size_t n = 0;
	struct slice rest = slice_of(w->lines, w->lines_len);
	while (rest.len) {
		struct slice line = slice_sub(rest, 0, slice_index(rest, '\n'));
		rest = slice_sub(rest, line.len + 1, rest.len);
		n += slice_has(line, text);
	}
	return n;
}

static void check_ascii(struct slice line)
{
	for (size_t i = 0; i < line.len; i++)
		assert_true(line.ptr[i] >= 0x20 && line.ptr[i] < 0x7f);
}

/* --- A strict reader of a flat JSON object ---------------------------------------------------- */

static const uint8_t *json_string(const uint8_t *p, const uint8_t *end, uint32_t *out, size_t *count)
{
	*count = 0;
	assert_true(p < end && *p++ == '"');
	while (p < end && *p != '"') {
		uint32_t c = *p++;
		assert_true(c >= 0x20 && c < 0x7f && *count < 2000);
		if (c == '\\') {
			c = *p++;
			if (c == 'u') {
				char digits[5] = {(char)p[0], (char)p[1], (char)p[2], (char)p[3], 0};
				char *stop;
				c = (uint32_t)strtoul(digits, &stop, 16);
				assert_ptr_equal(stop, digits + 4);
				p += 4;
			} else {
				assert_true(c == '"' || c == '\\');
			}
		}
		out[(*count)++] = c;
	}
	assert_true(p < end);
	return p + 1;
}

struct member {
	uint32_t text[2000]; /* UTF-16 units; a number's characters */
	size_t count;
	bool is_string;
};

/* The member of that name; count SIZE_MAX: there is none. The whole line has to be an object. */
static struct member json_member(struct slice line, const char *name)
{
	static uint32_t key[2000];
	struct member m, found = {.count = SIZE_MAX};
	const uint8_t *p = line.ptr, *end = line.ptr + line.len;
	assert_int_equal(*p++, '{');
	do {
		size_t key_len;
		p = json_string(p, end, key, &key_len);
		assert_int_equal(*p++, ':');
		m = (struct member){.is_string = *p == '"'};
		if (m.is_string)
			p = json_string(p, end, m.text, &m.count);
		else
			while ((*p >= '0' && *p <= '9') || *p == '.')
				m.text[m.count++] = *p++;
		assert_true(m.is_string || m.count);
		bool is_it = key_len == strlen(name);
		for (size_t i = 0; is_it && i < key_len; i++)
			is_it = key[i] == (uint8_t)name[i];
		if (is_it) {
			assert_true(found.count == SIZE_MAX);
			found = m;
		}
	} while (*p == ',' && p++);
	assert_int_equal(*p++, '}');
	assert_ptr_equal(p, end);
	return found;
}

static void assert_member(struct slice line, const char *name, const char *text)
{
	struct member m = json_member(line, name);
	assert_int_equal(m.count, strlen(text));
	for (size_t i = 0; i < m.count; i++)
		assert_int_equal(m.text[i], (uint8_t)text[i]);
}

/* --- Lines ------------------------------------------------------------------------------------ */

static void combined_is_apaches_with_the_duration(void **state)
{
	(void)state;
	struct world *w = start(&app_service_access_log_combined);
	struct client *c = client_new(w);
	client_ask(c, "GET", "/text?a=b", "Referer: http://r/x\r\nUser-Agent: agent/1 (x)\r\n", "");
	assert_text(line_with(w, "/text"), "10.0.0.1 - - [01/Jan/2026:00:00:01 +0000] \"GET /text?a=b HTTP/1.1\" 200 14 "
		"\"http://r/x\" \"agent/1 (x)\" 0.000000");
	client_ask(c, "HEAD", "/site.css", "", "");
	struct slice line = line_with(w, "/site.css");
	assert_has(line, "\"HEAD /site.css HTTP/1.1\" 200 0 \"-\" \"-\" 0.0000");
	client_get(c, "/stream/lines?n=10");
	assert_has(line_with(w, "/stream"), "HTTP/1.1\" 200 70 ");
	client_text(c, "GET / HTTP/1.1\r\nno field\r\n\r\n");
	client_answer(c);
	assert_has(line_with(w, " 400 "), "] \"-\" 400 ");
	assert_int_equal(lines_with(w, "10.0.0.1"), 4);
	world_end(w);
}

static void json_has_a_member_for_each(void **state)
{
	(void)state;
	struct world *w = start(&app_service_access_log_json);
	struct client *c = client_new(w);
	client_text(c, "GET /wait?name=abcdef&q=\"1\\2\" HTTP/1.1\r\nHost: t\r\nReferer: http://r/\r\nUser-Agent: agent/1\r\n\r\n");
	world_pass(w, 1500 * MS);
	fiber_queue_wake_one(&w->gate);
	assert_int_equal(client_answer(c).status, 200);
	struct slice line = line_with(w, "/wait");
	assert_member(line, "peer", "10.0.0.1");
	assert_member(line, "method", "GET");
	assert_member(line, "target", "/wait?name=abcdef&q=\"1\\2\"");
	assert_member(line, "version", "HTTP/1.1");
	assert_member(line, "route", "/wait");
	assert_member(line, "status", "200");
	assert_member(line, "bytes", "6");
	assert_member(line, "referer", "http://r/");
	assert_member(line, "agent", "agent/1");
	struct member seconds = json_member(line, "seconds");
	assert_true(!seconds.is_string && seconds.text[0] == '1' && seconds.text[1] == '.' && seconds.count == 8);
	assert_has(line, "{\"time\":\"2026-01-01T00:00:02.");
	client_get(c, "/site.css");
	line = line_with(w, "/site.css");
	assert_true(json_member(line, "route").count == SIZE_MAX && json_member(line, "agent").count == SIZE_MAX);
	world_end(w);
}

/* --- What clients send ------------------------------------------------------------------------ */

/* Each byte that HTTP allows in a field, in one that is no UTF-8. */
static struct slice odd_agent(uint8_t *bytes, uint8_t *value, size_t *value_len)
{
	size_t n = 0;
	value[n++] = 'a'; /* blanks around it are not of the value */
	for (unsigned c = 1; c < 256; c++)
		if (c == '\t' || (c >= 0x20 && c != 0x7f))
			value[n++] = (uint8_t)c;
	struct writer w = writer_of(bytes, 2000);
	write_bytes(&w, SLICE("GET /text HTTP/1.1\r\nHost: t\r\nUser-Agent: "));
	write_bytes(&w, slice_of(value, n));
	write_bytes(&w, SLICE("\r\n\r\n"));
	*value_len = n;
	return writer_slice(&w);
}

static void no_byte_forges_a_line(void **state)
{
	(void)state;
	uint8_t bytes[2000], value[300];
	size_t len;
	struct slice request = odd_agent(bytes, value, &len);
	struct world *w = start(&app_service_access_log_json);
	struct client *c = client_new(w);
	client_send(c, request);
	assert_int_equal(client_answer(c).status, 200);
	struct slice line = line_with(w, "/text");
	check_ascii(line);
	struct member m = json_member(line, "agent");
	/* 512 bytes hold a part of it. */
	assert_true(m.count > 100 && m.text[m.count - 1] == '.');
	for (size_t i = 0; i < m.count - 3; i++)
		assert_int_equal(m.text[i], value[i]);
	world_end(w);

	w = start(&app_service_access_log_combined);
	c = client_new(w);
	client_send(c, request);
	assert_int_equal(client_answer(c).status, 200);
	line = line_with(w, "/text");
	check_ascii(line);
	assert_has(line, "\"a\\x09 !\\x22#$"); /* a quote never stands for itself, nor does a backslash */
	assert_has(line, "[\\x5c]");
	assert_has(line, "}~\\x80\\x81\\x82");
	size_t quotes = 0;
	for (size_t i = 0; i < line.len; i++)
		quotes += line.ptr[i] == '"';
	assert_int_equal(quotes, 6);
	world_end(w);
}

/* The second half of the bytes; and what a terminal would take for a command, in two codings. */
static void text_is_utf8_or_latin_1(void **state)
{
	(void)state;
	struct world *w = start(&app_service_access_log_json);
	struct client *c = client_new(w);
	client_ask(c, "GET", "/text?1", "User-Agent: \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xc2\x9b\r\n", "");
	assert_has(line_with(w, "/text?1"), "\"agent\":\"\\u00e9\\u20ac\\ud83d\\ude00\\u009b\"}");
	client_ask(c, "GET", "/text?2", "User-Agent: \xe9\x9b\xff\r\n", "");
	assert_has(line_with(w, "/text?2"), "\"agent\":\"\\u00e9\\u009b\\u00ff\"}");
	for (unsigned from = 0x80; from < 0x100; from += 64) {
		char field[128] = "User-Agent: x";
		size_t n = strlen(field);
		for (unsigned i = 0; i < 64; i++)
			field[n + i] = (char)(from + i);
		strcpy(field + n + 64, "\r\n");
		client_ask(c, "GET", "/text?3", field, "");
		struct slice line = line_with(w, "/text?3");
		check_ascii(line);
		struct member m = json_member(line, "agent");
		assert_int_equal(m.count, 65);
		for (unsigned i = 0; i < 64; i++)
			assert_int_equal(m.text[1 + i], from + i);
	}
	world_end(w);
}

static void what_is_long_is_cut(void **state)
{
	(void)state;
	static const struct app_service *const format[] = {
		&app_service_access_log_combined, &app_service_access_log_json};
	char target[5000] = "/text?x=", fields[2200] = "Referer: ";
	memset(target + 8, '\\', sizeof target - 9);
	memset(fields + 9, '"', 1000);
	strcpy(fields + 1009, "\r\nUser-Agent: ");
	memset(fields + strlen(fields), 0xff, 1000);
	strcat(fields, "\r\n");
	for (size_t i = 0; i < ARRAY_LEN(format); i++) {
		struct world *w = start(format[i]);
		struct client *c = client_new(w);
		client_ask(c, "GET", target, fields, "");
		struct slice line = line_with(w, "/text");
		check_ascii(line);
		assert_true(line.len > 1900 && line.len < 2500);
		assert_has(line, "...\"");
		if (i == 1)
			json_member(line, "agent");
		assert_int_equal(server_stats(w->server).access_log_dropped, 0);
		world_end(w);
	}
}

static void a_head_that_is_gone_is_not_shown(void **state)
{
	(void)state;
	struct world *w = start(&app_service_access_log_combined);
	struct client *c = client_new(w), *gone = client_new(w);
	assert_int_equal(client_get(c, "/inject?value=x%0d%0ay").status, 500);
	assert_has(line_with(w, " 500 "), "\"-\" 500 ");
	client_text(gone, "GET /wait HTTP/1.1\r\nHost: t\r\n\r\n");
	world_pass(w, 100 * MS);
	client_reset(gone);
	world_pass(w, 100 * MS);
	fiber_queue_wake_one(&w->gate);
	assert_has(line_with(w, " 499 "), "- - - [01/Jan/2026:00:00:01 +0000] \"GET /wait HTTP/1.1\" 499 0 ");
	world_end(w);
}

/* --- A device that is slow -------------------------------------------------------------------- */

static void a_full_ring_holds_up_nobody(void **state)
{
	(void)state;
	struct world *w = start(&app_service_access_log_combined);
	struct client *c = client_new(w);
	char target[300] = "/text?";
	memset(target + 6, 'x', 250);
	w->sim.log_full = true;
	uint64_t before = w->sim.now_ns;
	for (int i = 0; i < 400; i++) {
		snprintf(target + 256, sizeof target - 256, "%d", i);
		assert_int_equal(client_get(c, target).status, 200);
	}
	assert_true(w->sim.now_ns - before < 2 * SECOND);
	uint64_t dropped = server_stats(w->server).access_log_dropped;
	assert_true(dropped > 100 && dropped < 300);
	assert_int_equal(lines_with(w, "/text"), 0);
	w->sim.log_full = false;
	world_pass(w, 100 * MS);
	assert_int_equal(lines_with(w, "/text"), 400 - dropped);
	assert_has(line_with(w, "x0 HTTP"), "10.0.0.1 - - "); /* the first ones are there */
	char notice[80];
	snprintf(notice, sizeof notice, "%u lines of the access log were left out", (unsigned)dropped);
	assert_int_equal(lines_with(w, notice), 1);
	assert_has(line_with(w, "left out"), "warn  http: ");
	/* Round and round: nothing is lost of what fits. */
	for (int i = 0; i < 600; i++)
		client_get(c, target);
	world_pass(w, 100 * MS);
	assert_int_equal(lines_with(w, "/text"), 1000 - dropped);
	assert_int_equal(lines_with(w, "left out"), 1);
	struct answer a = client_get(c, "/metrics");
	snprintf(notice, sizeof notice, "\nhttp_access_log_dropped_total %u\n", (unsigned)dropped);
	assert_has(a.body, notice);
	world_end(w);
}

static void who_has_nothing_to_say_does_not_wake(void **state)
{
	(void)state;
	struct world *w = start(&app_service_access_log_json);
	struct client *c = client_new(w);
	client_get(c, "/text");
	world_pass(w, 100 * SECOND);
	uint64_t rounds = w->loop.rounds;
	world_pass(w, 1000 * SECOND);
	assert_true(w->loop.rounds - rounds < 50);
	world_end(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(combined_is_apaches_with_the_duration),
		cmocka_unit_test(json_has_a_member_for_each),
		cmocka_unit_test(no_byte_forges_a_line),
		cmocka_unit_test(text_is_utf8_or_latin_1),
		cmocka_unit_test(what_is_long_is_cut),
		cmocka_unit_test(a_head_that_is_gone_is_not_shown),
		cmocka_unit_test(a_full_ring_holds_up_nobody),
		cmocka_unit_test(who_has_nothing_to_say_does_not_wake),
	};
	return cmocka_run_group_tests_name("access log", tests, NULL, NULL);
}
