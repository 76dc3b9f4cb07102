/* Many clients that do what clients do, in any order, at any moment: the seed decides. Whoever sent a
 * whole request and stays gets one well-formed response to it, in order; in the end all memory is back. */
#include "support/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENTS 24
#define STEPS 1200
#define ASKED_MAX 12

/* A request that was sent in whole, and what its response has to be. */
struct asked {
	int status; /* 0: any, but well-formed */
	bool to_head;
	uint32_t tag; /* in the body, unless 0 */
};

struct actor {
	struct client *c;
	struct asked asked[ASKED_MAX];
	uint32_t count, next;
	bool last_sent; /* nothing more may be sent */
	uint64_t since_ns;
};

struct soak {
	struct world *w;
	struct actor actor[CLIENTS];
	uint32_t tag;
	uint64_t answers, resets;
};

static void actor_end(struct actor *a)
{
	if (a->c)
		client_free(a->c);
	*a = (struct actor){0};
}

static uint32_t request_make(struct soak *s, char *out, size_t size, struct asked *asked)
{
	uint32_t tag = ++s->tag;
	static const char *const plain[] = {"GET /site.css", "GET /nothing", "GET /big.bin", "HEAD /text",
		"HEAD /big.bin", "DELETE /text", "OPTIONS /echo", "GET /none", "GET /hog", "GET /huge?n=3000",
		"GET /status-page?n=204", "GET /sql/count", "GET /sql/left-open", "GET /stream/lines?n=20",
		"GET /stream/lines?n=8000", "HEAD /stream/endless", "GET /stream/status?n=204", "GET /stream/cut",
		"GET /stream/rows?n=3000", "GET /events?n=2&wait=30"};
	static const int status[] = {200, 404, 200, 200, 200, 405, 204, 500, 503, 0, 204, 200, 200, 200, 200, 200, 204, 500,
		200, 200};
	*asked = (struct asked){.status = 200, .tag = tag};
	switch (world_below(s->w, 8)) {
	case 0:
		return (uint32_t)snprintf(out, size, "GET /echo/tag-%u-end HTTP/1.1\r\nHost: t\r\n\r\n", tag);
	case 1: {
		char body[40];
		int n = snprintf(body, sizeof body, "tag-%u-end", tag);
		return (uint32_t)snprintf(out, size,
			"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n%s", n, body);
	}
	case 2: {
		char body[40];
		int n = snprintf(body, sizeof body, "tag-%u-end", tag);
		return (uint32_t)snprintf(out, size, "PUT /echo HTTP/1.1\r\nHost: t\r\n"
			"Transfer-Encoding: chunked\r\n\r\n4\r\n%.4s\r\n%x\r\n%s\r\n0\r\n\r\n", body,
			(unsigned)(n - 4), body + 4);
	}
	case 3:
		asked->tag = 0;
		asked->status = 303;
		return (uint32_t)snprintf(out, size,
			"POST /sql/add?name=%u HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n", tag);
	case 4:
		return (uint32_t)snprintf(out, size, "GET /page?text=tag-%u-end HTTP/1.1\r\nHost: t\r\n\r\n", tag);
	case 5: { /* read piece by piece, or not to its end */
		static const char *const target[] = {"/upload?piece=50", "/upload?full=1", "/upload/start", "/upload/ignored",
			"/upload/store"};
		asked->tag = 0;
		return (uint32_t)snprintf(out, size, "PUT %s HTTP/1.1\r\nHost: t\r\nContent-Length: 150\r\n\r\n%150u",
			target[world_below(s->w, 5)], tag);
	}
	case 6: {
		char body[200];
		int n = snprintf(body, sizeof body, "--b\r\nContent-Disposition: form-data; name=\"tag-%u-end\"\r\n\r\n"
			"content\r\n--b--\r\n", tag);
		return (uint32_t)snprintf(out, size, "POST /parts HTTP/1.1\r\nHost: t\r\nContent-Type: multipart/form-data; "
			"boundary=b\r\nContent-Length: %d\r\n\r\n%s", n, body);
	}
	default: {
		uint32_t i = world_below(s->w, ARRAY_LEN(plain));
		asked->tag = 0;
		asked->status = status[i];
		asked->to_head = plain[i][0] == 'H';
		return (uint32_t)snprintf(out, size, "%s HTTP/1.1\r\nHost: t\r\n\r\n", plain[i]);
	}
	}
}

/* Sends in up to four pieces, with and without time between them. */
static void send_in_pieces(struct soak *s, struct client *c, const char *text, uint32_t len)
{
	uint32_t at = 0;
	while (at < len) {
		uint32_t n = world_below(s->w, 3) ? len - at : 1 + world_below(s->w, len - at);
		client_send(c, slice_of(text + at, n));
		at += n;
		if (world_below(s->w, 2))
			world_pass(s->w, world_below(s->w, 3000000));
	}
}

static void actor_ask(struct soak *s, struct actor *a)
{
	char text[1200];
	uint32_t len = 0, n = 1 + (world_below(s->w, 4) ? 0 : world_below(s->w, 4));
	for (uint32_t i = 0; i < n && a->count < ASKED_MAX; i++)
		len += request_make(s, text + len, sizeof text - len, &a->asked[a->count++]);
	if (!a->c->tcp)
		return;
	if (world_below(s->w, 20) == 0) { /* and leaves in the middle */
		send_in_pieces(s, a->c, text, 1 + world_below(s->w, len));
		actor_end(a);
		s->resets++;
		return;
	}
	send_in_pieces(s, a->c, text, len);
	if (a->count > ASKED_MAX - 4)
		a->last_sent = true;
	if (a->last_sent && world_below(s->w, 2))
		client_close(a->c);
}

static void answer_check(struct soak *s, const struct asked *asked, const struct answer *got)
{
	char tag[40];
	bool overload = got->status == 503;
	s->answers++;
	if (asked->status && !overload)
		assert_int_equal(got->status, asked->status);
	if (asked->tag && !overload) {
		snprintf(tag, sizeof tag, "tag-%u-end", asked->tag);
		assert_true(slice_has(got->body, tag));
	}
}

static void actor_read(struct soak *s, struct actor *a)
{
	struct answer got;
	while (a->c && a->next < a->count && client_has_answer(a->c, a->asked[a->next].to_head, &got)) {
		answer_check(s, &a->asked[a->next++], &got);
		a->since_ns = s->w->sim.now_ns;
		if (slice_eq(answer_field(&got, "Connection"), SLICE("close")))
			actor_end(a);
	}
	if (!a->c)
		return;
	if (a->next == a->count)
		assert_int_equal(client_unread(a->c).len, 0);
	if (a->c->closed || (a->next == a->count && a->last_sent))
		actor_end(a);
}

static void actor_step(struct soak *s, struct actor *a)
{
	if (!a->c) {
		a->c = client_new(s->w);
		a->since_ns = s->w->sim.now_ns;
	} else if (!a->c->connected && s->w->sim.now_ns - a->since_ns > 100 * MS) {
		actor_end(a); /* there was no room */
	} else if (!a->last_sent && a->count - a->next < 3) {
		actor_ask(s, a);
	} else if (world_below(s->w, 30) == 0) {
		actor_end(a);
		s->resets++;
	} else if (world_below(s->w, 10) == 0) {
		a->c->stalled = !a->c->stalled;
	}
}

/* A client that was shed may not know it: its RST was lost. One that found no room is still knocking. */
static bool server_knows(struct world *w, struct client *client)
{
	const struct pool *pool = &w->server->connections;
	for (uint32_t i = 0; i < pool->touched; i++) {
		struct connection *c = pool_at(pool, i);
		if (c->tcp && client->tcp && tcp_peer(c->tcp).port == tcp_local(client->tcp).port)
			return true;
	}
	return false;
}

static void soak(uint64_t seed, uint32_t loss, uint32_t connections, uint32_t blocks)
{
	struct soak s = {.w = world_new((struct world_options){.seed = seed, .database = true,
				 .connections_max = connections, .blocks = blocks, .fibers = 5})};
	s.w->loss = loss;
	s.w->disk.flush_ns = 5 * MS;
	for (uint32_t i = 0; i < STEPS; i++) {
		actor_step(&s, &s.actor[world_below(s.w, CLIENTS)]);
		world_pass(s.w, 1 + world_below(s.w, 4000000));
		for (uint32_t k = 0; k < CLIENTS; k++)
			if (s.actor[k].c)
				actor_read(&s, &s.actor[k]);
	}
	/* Those who stay and read get the rest of their answers. */
	for (uint32_t k = 0; k < CLIENTS; k++)
		if (s.actor[k].c)
			s.actor[k].c->stalled = false;
	for (uint32_t round = 0; round < 400; round++) {
		world_pass(s.w, 200 * MS);
		for (uint32_t k = 0; k < CLIENTS; k++)
			if (s.actor[k].c)
				actor_read(&s, &s.actor[k]);
	}
	for (uint32_t k = 0; k < CLIENTS; k++) {
		struct actor *a = &s.actor[k];
		if (a->c && a->next != a->count && server_knows(s.w, a->c))
			fail_msg("seed %lu: client %u still waits for %u answers", (unsigned long)seed, k,
				a->count - a->next);
		actor_end(a);
	}
	assert_true(s.answers > 50 && s.resets > 5);
	s.w->loss = 0;
	world_pass(s.w, 70 * SECOND);
	struct client *c = client_new(s.w);
	assert_int_equal(client_get(c, "/text").status, 200);
	world_end(s.w);
}

/* SOAK_SEED replays one seed, with SOAK_COUNT those that follow as well. */
static void seeds(uint64_t first, uint64_t count, uint32_t loss, uint32_t connections, uint32_t blocks)
{
	const char *seed = getenv("SOAK_SEED"), *more = getenv("SOAK_COUNT");
	if (seed) {
		first = strtoul(seed, NULL, 10);
		count = more ? strtoul(more, NULL, 10) : 1;
	}
	for (uint64_t i = first; i < first + count; i++)
		soak(i, loss, connections, blocks);
}

static void all_is_answered_and_given_back(void **state)
{
	(void)state;
	seeds(1, 3, 0, 40, 64);
}

static void also_when_frames_are_lost(void **state)
{
	(void)state;
	seeds(11, 3, 300, 40, 64);
}

static void also_when_there_is_too_little_of_everything(void **state)
{
	(void)state;
	seeds(21, 4, 50, 12, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_is_answered_and_given_back),
		cmocka_unit_test(also_when_frames_are_lost),
		cmocka_unit_test(also_when_there_is_too_little_of_everything),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
