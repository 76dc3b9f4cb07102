/* The connection machine and the body decoder. A vector is a stream of bytes and the events it must
 * give as text; each is replayed with every split in two and byte by byte, with heads in place,
 * gathered and moved, and always with the input's end at an unreadable page. */
#include <http/conn.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "support/guard.h"

#define MS UINT64_C(1000000)
#define S (1000 * MS)

enum mode { IN_PLACE, GATHER, MOVE, MODE_COUNT };

struct rig {
	struct http_limits limits;
	struct http_conn conn;
	struct arena arena;
	struct guard guard[2]; /* heads; and bodies, while the head is kept as the contract asks */
	uint8_t memory[4096], buffer[16384];
	char log[4096];
	enum mode mode;
	bool head_kept;
};

static void rig_init(struct rig *r, enum mode mode)
{
	http_limits_default(&r->limits);
	r->limits.head_bytes_max = 1024;
	r->limits.body_bytes_max = 1000;
	arena_init(&r->arena, r->memory, sizeof r->memory, NULL, 0);
	http_conn_init(&r->conn, &r->limits, &r->arena, 0);
	r->mode = mode;
	r->log[0] = 0;
	r->head_kept = false;
}

static void rig_log(struct rig *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void rig_log(struct rig *r, const char *fmt, ...)
{
	size_t n = strlen(r->log);
	va_list args;
	va_start(args, fmt);
	vsnprintf(r->log + n, sizeof r->log - n, fmt, args);
	va_end(args);
}

/* Answers the current request as a handler would that has read everything. */
static void answer(struct rig *r)
{
	bool keep = http_conn_respond(&r->conn, 0);
	const struct http_request *q = &r->conn.request;
	if (!r->conn.responding_error)
		rig_log(r, "=%.*s ", SLICE_ARG(q->path));
	http_conn_response_sent(&r->conn, 0);
	rig_log(r, keep ? "keep " : "last ");
	arena_reset(&r->arena);
	http_conn_take_buffer(&r->conn);
	r->head_kept = false;
}

static void log_event(struct rig *r, enum http_event e)
{
	struct http_conn *c = &r->conn;
	if (e == HTTP_EVENT_REQUEST) {
		rig_log(r, "%.*s ", SLICE_ARG(c->request.method_name));
		if (r->mode == MOVE)
			http_conn_move_head(c, r->buffer, sizeof r->buffer);
		r->head_kept = !c->buffer;
	}
	if (e == HTTP_EVENT_BODY)
		rig_log(r, "%.*s", SLICE_ARG(c->piece));
	if (e == HTTP_EVENT_REQUEST_END)
		rig_log(r, ". ");
	if (e == HTTP_EVENT_ERROR)
		rig_log(r, "%u ", c->status);
	bool complete = (e == HTTP_EVENT_REQUEST && c->request.framing == HTTP_BODY_NONE)
		|| e == HTTP_EVENT_REQUEST_END || e == HTTP_EVENT_ERROR;
	if (complete)
		answer(r);
}

/* Presents what of stream[0 .. until) is not consumed yet; the new number of consumed bytes. */
static size_t feed(struct rig *r, struct slice stream, size_t done, size_t until)
{
	struct http_conn *c = &r->conn;
	for (;;) {
		size_t used;
		struct slice piece = guard_copy(&r->guard[r->head_kept],
			slice_sub(stream, done, until - done));
		enum http_event e = http_conn_input(c, piece, 0, &used);
		assert_true(used <= piece.len);
		done += used;
		log_event(r, e);
		if (e == HTTP_EVENT_NEED_MORE && r->mode == GATHER && http_conn_needs_buffer(c)) {
			http_conn_give_buffer(c, r->buffer, sizeof r->buffer);
			continue;
		}
		bool idle_left = c->state == HTTP_CONN_IDLE && done < until;
		if (e == HTTP_EVENT_CLOSE || (!used && e == HTTP_EVENT_NEED_MORE && !idle_left)
			|| (e == HTTP_EVENT_NEED_MORE && done == until))
			return done;
	}
}

static void play(struct rig *r, struct slice stream, size_t cut, size_t step)
{
	size_t done = 0;
	for (size_t n = cut; n < stream.len; n += step)
		done = feed(r, stream, done, n);
	feed(r, stream, done, stream.len);
	http_conn_peer_closed(&r->conn, 0);
	rig_log(r, "end=%d", r->conn.end);
}

struct vector {
	struct slice stream;
	const char *wanted;
};

#define V(in, out) {SLICE_INIT(in), out}
#define H "Host: h\r\n"
#define GET(t) "GET " t " HTTP/1.1\r\n" H "\r\n"
#define POST(t, fields) "POST " t " HTTP/1.1\r\n" H fields "\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define LENGTH(n) "Content-Length: " #n "\r\n"

/* end: 1 clean, 2 server, 4 in head, 5 in body, 7 error */
static const struct vector vectors[] = {
	V("", "end=1"),
	V(GET("/a"), "GET =/a keep end=1"),
	V(GET("/a") GET("/b%20c") "\r\n" GET("/d"),
		"GET =/a keep GET =/b c keep GET =/d keep end=1"),
	V(GET("/a") "GET /b HT", "GET =/a keep end=4"),
	V("GET /a HTTP/1.0\r\n\r\n" GET("/never"), "GET =/a last end=2"),
	V("GET /a HTTP/1.1\r\n" H "Connection: close\r\n\r\nrest", "GET =/a last end=2"),
	V(POST("/p", LENGTH(5)) "hello" GET("/n"), "POST hello. =/p keep GET =/n keep end=1"),
	V(POST("/p", LENGTH(5)) "hel", "POST helend=5"),
	V(POST("/p", LENGTH(0)) GET("/n"), "POST =/p keep GET =/n keep end=1"),
	V(POST("/p", LENGTH(1001)), "POST 413 last end=7"),
	V(POST("/p", CHUNKED) "5\r\nhello\r\n0\r\n\r\n" GET("/n"),
		"POST hello. =/p keep GET =/n keep end=1"),
	V(POST("/p", CHUNKED) "0\r\n\r\n" GET("/n"), "POST . =/p keep GET =/n keep end=1"),
	V(POST("/p", CHUNKED) "2;a=b;c=\"d\"\r\nhe\r\n003 ;x\r\nllo\r\n00\r\nT: v\r\nU:\r\n\r\n" GET("/n"),
		"POST hello. =/p keep GET =/n keep end=1"),
	V(POST("/p", CHUNKED) "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
		"POST 01234567890123456789. =/p keep end=1"),
	V(POST("/p", CHUNKED) "3e9\r\n", "POST 413 last end=7"),
	V(POST("/p", CHUNKED) "5\r\nhel", "POST helend=5"),
	/* Chunks that others may frame differently. */
	V(POST("/p", CHUNKED) "5\nhello\r\n", "POST 400 last end=7"),
	V(POST("/p", CHUNKED) "5\rhello\r\n", "POST 400 last end=7"),
	V(POST("/p", CHUNKED) "5\r\nhello0\r\n\r\n", "POST hello400 last end=7"),
	V(POST("/p", CHUNKED) "5\r\nhello\n0\r\n\r\n", "POST hello400 last end=7"),
	V(POST("/p", CHUNKED) "5\r\nhello!\r\n0\r\n\r\n", "POST hello400 last end=7"),
	V(POST("/p", CHUNKED) "\r\n", "POST 400 last end=7"),
	V(POST("/p", CHUNKED) ";x\r\n", "POST 400 last end=7"),
	V(POST("/p", CHUNKED) " 5\r\nhello", "POST 400 last end=7"),
	V(POST("/p", CHUNKED) "5 \r\nhello", "POST 400 last end=7"),
	V(POST("/p", CHUNKED) "0x5\r\nhello", "POST 400 last end=7"),
	V(POST("/p", CHUNKED) "+5\r\nhello", "POST 400 last end=7"),
	V(POST("/p", CHUNKED) "-1\r\n", "POST 400 last end=7"),
	V(POST("/p", CHUNKED) "5g\r\n", "POST 400 last end=7"),
	V(POST("/p", CHUNKED) "5;a\nb\r\nhello", "POST 400 last end=7"),
	V(POST("/p", CHUNKED) "5;a\rb\r\nhello", "POST 400 last end=7"),
	V(POST("/p", CHUNKED) "5;a\0b\r\nhello", "POST 400 last end=7"),
	V(POST("/p", CHUNKED) "10000000000000000\r\n", "POST 400 last end=7"),
	V(POST("/p", CHUNKED) "00000000000000005\r\n", "POST 400 last end=7"),
	V(POST("/p", CHUNKED) "ffffffffffffffff\r\n", "POST 413 last end=7"),
	V(POST("/p", CHUNKED) "0\r\n\n", "POST 400 last end=7"),
	V(POST("/p", CHUNKED) "0\r\n T: v\r\n\r\n", "POST 400 last end=7"),
	V(POST("/p", CHUNKED) "0\r\nT : v\r\n\r\n", "POST 400 last end=7"),
	V(POST("/p", CHUNKED) "0\r\nT: v\n\r\n", "POST 400 last end=7"),
	V("GARBAGE\r\n\r\nmore garbage", "400 last end=7"),
	V(GET("/a") "BREW / HTTP/1.1\r\n" H "\r\n", "GET =/a keep 501 last end=7"),
	V(POST("/p", LENGTH(3) CHUNKED) "0\r\n\r\n" GET("/smuggled"), "400 last end=7"),
};

static void streams_give_the_same_events_at_every_split(void **state)
{
	(void)state;
	static struct rig r;
	guard_init(&r.guard[0]);
	guard_init(&r.guard[1]);
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		const struct vector *v = &vectors[i];
		for (int mode = 0; mode < MODE_COUNT; mode++) {
			for (size_t cut = 0; cut <= v->stream.len; cut++) {
				rig_init(&r, (enum mode)mode);
				play(&r, v->stream, cut, cut ? v->stream.len + 1 : 1);
				if (strcmp(r.log, v->wanted))
					print_message("mode %d cut %zu: %.*s\n", mode, cut, SLICE_ARG(v->stream));
				assert_string_equal(r.log, v->wanted);
			}
		}
	}
	guard_deinit(&r.guard[0]);
	guard_deinit(&r.guard[1]);
}

static struct http_limits limits;
static uint8_t memory[4096], buffer[16384];

static void start(struct http_conn *c, struct arena *arena)
{
	http_limits_default(&limits);
	arena_init(arena, memory, sizeof memory, NULL, 0);
	http_conn_init(c, &limits, arena, 0);
}

static enum http_event give(struct http_conn *c, struct slice bytes, uint64_t now)
{
	size_t used;
	return http_conn_input(c, bytes, now, &used);
}

static void every_state_has_a_deadline(void **state)
{
	(void)state;
	struct http_conn c;
	struct arena arena;
	start(&c, &arena);
	assert_int_equal(http_conn_deadline(&c), 60 * S);
	assert_int_equal(http_conn_timeout(&c, 60 * S - 1), HTTP_EVENT_NEED_MORE);
	assert_int_equal(http_conn_timeout(&c, 60 * S), HTTP_EVENT_CLOSE);
	assert_int_equal(c.end, HTTP_END_IDLE);
	assert_int_equal(http_conn_deadline(&c), HTTP_TIME_NEVER);

	start(&c, &arena); /* dribbling a head does not move its deadline */
	for (uint64_t i = 1; i <= 9; i++)
		assert_int_equal(give(&c, slice_sub(SLICE(GET("/")), 0, i), i * S), HTTP_EVENT_NEED_MORE);
	assert_int_equal(http_conn_deadline(&c), 11 * S);
	assert_int_equal(http_conn_timeout(&c, 11 * S), HTTP_EVENT_ERROR);
	assert_int_equal(c.status, 408);
	assert_false(http_conn_respond(&c, 11 * S));
	assert_int_equal(http_conn_deadline(&c), 41 * S);
	http_conn_hold(&c); /* the rest is yet to be made */
	assert_int_equal(http_conn_deadline(&c), HTTP_TIME_NEVER);
	assert_int_equal(http_conn_timeout(&c, 1000 * S), HTTP_EVENT_NEED_MORE);
	http_conn_progress(&c, 20 * S);
	assert_int_equal(http_conn_deadline(&c), 50 * S);
	assert_int_equal(http_conn_response_sent(&c, 21 * S), HTTP_EVENT_LINGER);
	assert_int_equal(http_conn_deadline(&c), 26 * S);
	assert_int_equal(http_conn_timeout(&c, 26 * S), HTTP_EVENT_CLOSE);
	assert_int_equal(c.count.timeouts, 2);

	start(&c, &arena); /* its first byte came before there was a machine to see it */
	http_conn_head_began(&c, 3 * S);
	assert_int_equal(http_conn_deadline(&c), 13 * S);
	assert_int_equal(http_conn_shutdown(&c, 4 * S), HTTP_EVENT_NEED_MORE);
	assert_int_equal(give(&c, SLICE(GET("/")), 12 * S), HTTP_EVENT_REQUEST);
	assert_int_equal(http_conn_deadline(&c), 72 * S);
	assert_false(http_conn_respond(&c, 12 * S));

	start(&c, &arena); /* a handler that never answers, and a response that nobody reads */
	assert_int_equal(give(&c, SLICE(GET("/")), 5 * S), HTTP_EVENT_REQUEST);
	assert_int_equal(http_conn_deadline(&c), 65 * S);
	assert_int_equal(http_conn_timeout(&c, 65 * S), HTTP_EVENT_ERROR);
	assert_int_equal(c.status, 503);
	assert_false(http_conn_respond(&c, 65 * S));
	assert_int_equal(http_conn_timeout(&c, 95 * S), HTTP_EVENT_CLOSE);
	assert_int_equal(c.end, HTTP_END_IN_RESPONSE);
}

static void a_body_must_keep_a_least_rate(void **state)
{
	(void)state;
	struct http_conn c;
	struct arena arena;
	static const uint8_t data[4096];
	start(&c, &arena);
	assert_int_equal(give(&c, SLICE(POST("/", LENGTH(9999))), 0), HTTP_EVENT_REQUEST);
	assert_int_equal(http_conn_deadline(&c), 10 * S);
	assert_int_equal(give(&c, slice_of(data, 4096), 9 * S), HTTP_EVENT_BODY);
	assert_int_equal(http_conn_deadline(&c), 14 * S);
	http_conn_pause(&c, 10 * S); /* the handler's fault, not the client's */
	assert_int_equal(http_conn_deadline(&c), HTTP_TIME_NEVER);
	http_conn_resume(&c, 100 * S);
	assert_int_equal(http_conn_deadline(&c), 104 * S);
	assert_int_equal(http_conn_timeout(&c, 104 * S), HTTP_EVENT_ERROR);
	assert_int_equal(c.status, 408);
}

static void an_unread_body_is_discarded_when_small(void **state)
{
	(void)state;
	struct http_conn c;
	struct arena arena;
	size_t used;
	start(&c, &arena);
	assert_int_equal(give(&c, SLICE(POST("/", LENGTH(5))), 0), HTTP_EVENT_REQUEST);
	assert_true(http_conn_respond(&c, 0));
	assert_int_equal(http_conn_response_sent(&c, 0), HTTP_EVENT_NEED_MORE);
	assert_int_equal(http_conn_input(&c, SLICE("hel"), 0, &used), HTTP_EVENT_NEED_MORE);
	assert_int_equal(http_conn_input(&c, SLICE("lo" GET("/")), 0, &used), HTTP_EVENT_NEED_MORE);
	assert_int_equal(used, 2);
	assert_int_equal(c.state, HTTP_CONN_IDLE);
	assert_int_equal(c.count.discarded_bytes, 5);
	assert_int_equal(give(&c, SLICE(GET("/")), 0), HTTP_EVENT_REQUEST);

	start(&c, &arena);
	limits.body_bytes_max = UINT64_MAX;
	assert_int_equal(give(&c, SLICE(POST("/", LENGTH(99999999))), 0), HTTP_EVENT_REQUEST);
	assert_false(http_conn_respond(&c, 0));
	assert_int_equal(http_conn_response_sent(&c, 0), HTTP_EVENT_LINGER);
}

static void expect_continue_is_asked_for_once(void **state)
{
	(void)state;
	struct http_conn c;
	struct arena arena;
	start(&c, &arena);
	struct slice head = SLICE(POST("/", LENGTH(5) "Expect: 100-continue\r\n"));
	assert_int_equal(give(&c, head, 0), HTTP_EVENT_REQUEST);
	assert_true(http_conn_wants_continue(&c));
	http_conn_continue_sent(&c, 0);
	assert_false(http_conn_wants_continue(&c));
	assert_int_equal(give(&c, SLICE("hello"), 0), HTTP_EVENT_BODY);

	start(&c, &arena); /* a handler that refuses without the body must close */
	assert_int_equal(give(&c, head, 0), HTTP_EVENT_REQUEST);
	assert_false(http_conn_respond(&c, 0));

	start(&c, &arena); /* nothing to ask for when the length is refused */
	assert_int_equal(give(&c, head, 0), HTTP_EVENT_REQUEST);
	http_conn_body_limit(&c, 4);
	assert_false(http_conn_wants_continue(&c));
	assert_int_equal(give(&c, SLICE(""), 0), HTTP_EVENT_ERROR);
	assert_int_equal(c.status, 413);
}

static void draining_ends_after_the_current_request(void **state)
{
	(void)state;
	struct http_conn c;
	struct arena arena;
	start(&c, &arena);
	assert_int_equal(http_conn_shutdown(&c, 0), HTTP_EVENT_CLOSE);
	assert_int_equal(c.end, HTTP_END_SERVER);
	start(&c, &arena);
	assert_int_equal(give(&c, SLICE(GET("/")), 0), HTTP_EVENT_REQUEST);
	assert_int_equal(http_conn_shutdown(&c, 0), HTTP_EVENT_NEED_MORE);
	assert_false(http_conn_respond(&c, 0));
	assert_int_equal(http_conn_response_sent(&c, 0), HTTP_EVENT_LINGER);
	assert_int_equal(http_conn_peer_closed(&c, 0), HTTP_EVENT_CLOSE);
	start(&c, &arena);
	limits.requests_max = 1;
	assert_int_equal(give(&c, SLICE(GET("/")), 0), HTTP_EVENT_REQUEST);
	assert_false(http_conn_respond(&c, 0));
}

static void later_requests_wait_and_buffers_come_back(void **state)
{
	(void)state;
	struct http_conn c;
	struct arena arena;
	size_t used;
	start(&c, &arena);
	assert_int_equal(give(&c, slice_sub(SLICE(GET("/")), 0, 9), 0), HTTP_EVENT_NEED_MORE);
	assert_true(http_conn_needs_buffer(&c));
	http_conn_give_buffer(&c, buffer, sizeof buffer);
	assert_false(http_conn_needs_buffer(&c));
	assert_null(http_conn_take_buffer(&c));
	assert_int_equal(http_conn_input(&c, SLICE(GET("/") GET("/2")), 0, &used), HTTP_EVENT_REQUEST);
	assert_int_equal(used, sizeof GET("/") - 1);
	assert_int_equal(http_conn_input(&c, SLICE(GET("/2")), 0, &used), HTTP_EVENT_WAIT);
	assert_int_equal(used, 0);
	assert_null(http_conn_take_buffer(&c));
	assert_int_equal(http_conn_peer_closed(&c, 0), HTTP_EVENT_NEED_MORE);
	assert_false(http_conn_respond(&c, 0));
	assert_int_equal(http_conn_response_sent(&c, 0), HTTP_EVENT_CLOSE);
	assert_ptr_equal(http_conn_take_buffer(&c), buffer);
	assert_null(http_conn_take_buffer(&c));
}

static void lingering_is_bounded(void **state)
{
	(void)state;
	struct http_conn c;
	struct arena arena;
	start(&c, &arena);
	limits.linger_bytes_max = 10;
	assert_int_equal(give(&c, SLICE("GET\r"), 0), HTTP_EVENT_ERROR);
	assert_int_equal(give(&c, SLICE("GET\r"), 0), HTTP_EVENT_WAIT);
	assert_false(http_conn_respond(&c, 0));
	assert_int_equal(http_conn_response_sent(&c, 0), HTTP_EVENT_LINGER);
	assert_int_equal(give(&c, SLICE("0123456789"), 0), HTTP_EVENT_NEED_MORE);
	assert_int_equal(give(&c, SLICE("0"), 0), HTTP_EVENT_CLOSE);
	assert_int_equal(c.end, HTTP_END_ERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_give_the_same_events_at_every_split),
		cmocka_unit_test(every_state_has_a_deadline),
		cmocka_unit_test(a_body_must_keep_a_least_rate),
		cmocka_unit_test(an_unread_body_is_discarded_when_small),
		cmocka_unit_test(expect_continue_is_asked_for_once),
		cmocka_unit_test(draining_ends_after_the_current_request),
		cmocka_unit_test(later_requests_wait_and_buffers_come_back),
		cmocka_unit_test(lingering_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
