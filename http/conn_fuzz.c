/* Oracle: a stream of bytes gives the same requests, bodies, refusals and end in one piece and in
 * many; every call makes progress or says that it waits; a state but CLOSED has a deadline. */
#include <http/conn.h>

#include <stdlib.h>
#include <string.h>
#include <base/assert.h>
#include <base/cursor.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	struct http_conn c;
	struct arena arena;
	uint8_t memory[2048], buffer[1024];
	struct writer log;
	uint8_t text[1 << 16];
	bool early; /* answer when the head is there, without the body */
	bool answered;
};

static void answer(struct run *r)
{
	write_u8(&r->log, http_conn_respond(&r->c, 0) ? 'k' : 'c');
	http_conn_response_sent(&r->c, 0);
	arena_reset(&r->arena);
	http_conn_take_buffer(&r->c);
}

static void handle(struct run *r, enum http_event e)
{
	struct http_conn *c = &r->c;
	if (e == HTTP_EVENT_REQUEST) {
		/* The piece goes away: the head must be moved when it was parsed in place. */
		http_conn_move_head(c, r->buffer, sizeof r->buffer);
		write_u8(&r->log, 'R');
		write_bytes(&r->log, c->request.path);
	}
	if (e == HTTP_EVENT_BODY) {
		ASSERT(c->piece.len);
		write_bytes(&r->log, c->piece);
	}
	if (e == HTTP_EVENT_REQUEST_END)
		write_u8(&r->log, 'E');
	if (e == HTTP_EVENT_ERROR)
		write_dec(&r->log, c->status);
	if (e == HTTP_EVENT_REQUEST_END || e == HTTP_EVENT_ERROR
		|| (e == HTTP_EVENT_REQUEST && (r->early || c->request.framing == HTTP_BODY_NONE)))
		answer(r);
}

/* Presents stream[done .. until); returns how much of it is consumed in the end. */
static size_t feed(struct run *r, struct slice stream, size_t done, size_t until)
{
	for (unsigned idle = 0; idle < 4;) {
		size_t n = until - done, used;
		uint8_t *copy = malloc(n ? n : 1);
		if (n)
			memcpy(copy, stream.ptr + done, n);
		enum http_event e = http_conn_input(&r->c, slice_of(copy, n), 0, &used);
		ASSERT(used <= n);
		ASSERT(r->c.state == HTTP_CONN_CLOSED
			|| http_conn_deadline(&r->c) != HTTP_TIME_NEVER);
		done += used;
		handle(r, e);
		free(copy);
		if (http_conn_needs_buffer(&r->c))
			http_conn_give_buffer(&r->c, r->buffer, sizeof r->buffer);
		idle = used || e == HTTP_EVENT_REQUEST || e == HTTP_EVENT_ERROR ? 0 : idle + 1;
	}
	return done;
}

static void run(struct run *r, struct slice stream, size_t step, bool early)
{
	static struct http_limits limits;
	http_limits_default(&limits);
	limits.head_bytes_max = sizeof r->buffer;
	limits.body_bytes_max = 512;
	limits.discard_bytes_max = 128;
	limits.linger_bytes_max = UINT64_MAX;
	r->log = writer_of(r->text, sizeof r->text);
	r->early = early;
	arena_init(&r->arena, r->memory, sizeof r->memory, NULL, 0);
	http_conn_init(&r->c, &limits, &r->arena, 0);
	size_t done = 0;
	for (size_t n = step; n < stream.len; n += step)
		done = feed(r, stream, done, n);
	feed(r, stream, done, stream.len);
	http_conn_peer_closed(&r->c, 0);
	ASSERT(r->c.state == HTTP_CONN_CLOSED && r->c.end != HTTP_END_NONE);
	write_dec(&r->log, r->c.end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run whole, split;
	if (size < 2 || size > 8192)
		return 0;
	struct slice stream = slice_of(data + 2, size - 2);
	bool early = data[0] & 1;
	run(&whole, stream, stream.len + 1, early);
	run(&split, stream, (size_t)data[1] % 64 + 1, early);
	ASSERT(slice_eq(writer_slice(&whole.log), writer_slice(&split.log)));
	return 0;
}
