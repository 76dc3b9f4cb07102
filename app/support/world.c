#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <base/assert.h>

#define SERVER_IP 0x0a000002u
#define CLIENT_IP 0x0a000001u
#define STACK_SIZE (512u << 10)
#define DATABASE_MEMORY (12u << 20)
#define STUCK_NS (300 * SECOND)
#define GRACE_NS (200 * SECOND)

struct packet {
	struct list link;
	uint64_t at_ns;
	uint32_t to, len;
	uint8_t bytes[];
};

struct sent {
	struct list link;
	struct frame_tx *frame;
	uint64_t at_ns, sum;
};

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

uint32_t world_below(struct world *w, uint32_t bound)
{
	return (uint32_t)(sim_random(&w->rng) % bound);
}

struct world *world_of(struct request *req)
{
	return CONTAINER_OF(req->exchange->server->config.log, struct world, log);
}

/* --- The wire --------------------------------------------------------------------------------- */

static void buffer_put(void *owner, struct frame_rx *f)
{
	struct station *s = owner;
	s->buffers_out--;
	free(f->buffer);
	free(f);
}

/* Each frame gets memory of its own size: reading past it, or after its end, is seen. */
static void deliver(struct world *w, const struct packet *p)
{
	struct station *s = &w->station[p->to];
	struct frame_rx *f = must(calloc(1, sizeof *f));
	f->buffer = must(malloc(p->len));
	memcpy(f->buffer, p->bytes, p->len);
	f->data = f->buffer;
	f->len = f->capacity = p->len;
	f->put = buffer_put;
	f->owner = s;
	list_init(&f->link);
	s->buffers_out++;
	net_input(s->net, f, w->sim.now_ns);
}

static bool arrivals(struct world *w)
{
	bool any = false;
	while (!list_is_empty(&w->packets)) {
		struct packet *p = LIST_ENTRY(w->packets.next, struct packet, link);
		if (p->at_ns > w->sim.now_ns)
			break;
		list_remove(&p->link);
		deliver(w, p);
		free(p);
		any = true;
	}
	return any;
}

static uint64_t payload_sum(const struct frame_tx *f)
{
	uint64_t h = 1;
	for (uint32_t i = 0; i < f->segment_count; i++)
		for (size_t k = 0; k < f->segment[i].len; k++)
			h = (h ^ f->segment[i].ptr[k]) * UINT64_C(0x100000001b3);
	return h;
}

static bool frames_finish(struct world *w, struct station *s)
{
	bool any = false;
	while (!list_is_empty(&s->at_device)) {
		struct sent *sent = LIST_ENTRY(s->at_device.next, struct sent, link);
		if (sent->at_ns > w->sim.now_ns)
			break;
		ASSERT(payload_sum(sent->frame) == sent->sum);
		list_remove(&sent->link);
		sent->frame->done(sent->frame->owner, sent->frame);
		free(sent);
		any = true;
	}
	return any;
}

static void transmit(struct world *w, uint32_t from, struct frame_tx *f)
{
	uint32_t at = f->header_len;
	struct packet *p = must(malloc(sizeof *p + at + f->payload_len));
	*p = (struct packet){.at_ns = w->sim.now_ns + w->delay_ns, .to = !from, .len = at + f->payload_len};
	memcpy(p->bytes, f->header + FRAME_TX_HEADROOM, at);
	for (uint32_t i = 0; i < f->segment_count; i++) {
		memcpy(p->bytes + at, f->segment[i].ptr, f->segment[i].len);
		at += (uint32_t)f->segment[i].len;
	}
	ASSERT(at == p->len);
	if (w->loss && world_below(w, 10000) < w->loss)
		free(p);
	else
		list_push_back(&w->packets, &p->link);
	struct sent *sent = must(malloc(sizeof *sent));
	*sent = (struct sent){
		.frame = f, .at_ns = w->sim.now_ns + w->delay_ns / 2, .sum = payload_sum(f)};
	list_push_back(&w->station[from].at_device, &sent->link);
}

static void client_events(struct client *c, uint32_t events);

static bool wire_poll(struct loop_client *client)
{
	struct world *w = CONTAINER_OF(client, struct world, wire);
	bool any = arrivals(w);
	struct tcp_conn *tcp;
	uint32_t events;
	for (int i = 0; i < 2; i++) {
		any |= frames_finish(w, &w->station[i]);
		net_advance(w->station[i].net, w->sim.now_ns);
	}
	while ((tcp = net_event_next(w->station[CLIENT].net, &events))) {
		client_events(tcp_cookie(tcp), events);
		any = true;
	}
	LIST_FOR_EACH(e, &w->clients)
		if (!LIST_ENTRY(e, struct client, link)->stalled)
			client_read(LIST_ENTRY(e, struct client, link), SIZE_MAX);
	return any;
}

static void wire_flush(struct loop_client *client)
{
	struct world *w = CONTAINER_OF(client, struct world, wire);
	for (uint32_t i = 0; i < 2; i++)
		for (struct frame_tx *f; (f = net_output(w->station[i].net));)
			transmit(w, i, f);
}

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t wire_next(struct sim_source *source)
{
	struct world *w = CONTAINER_OF(source, struct world, source);
	uint64_t next = w->until_ns;
	if (!list_is_empty(&w->packets))
		next = min(next, LIST_ENTRY(w->packets.next, struct packet, link)->at_ns);
	for (int i = 0; i < 2; i++) {
		struct station *s = &w->station[i];
		if (!list_is_empty(&s->at_device))
			next = min(next, LIST_ENTRY(s->at_device.next, struct sent, link)->at_ns);
		next = min(next, net_next_deadline(s->net));
	}
	return next;
}

static void station_start(struct world *w, uint32_t i, uint32_t connections)
{
	struct station *s = &w->station[i];
	uint8_t seed[64];
	for (size_t k = 0; k < sizeof seed; k++)
		seed[k] = (uint8_t)sim_random(&w->rng);
	random_init(&s->random);
	random_mix(&s->random, slice_of(seed, sizeof seed));
	list_init(&s->at_device);
	struct net_config config = {
		.mac = {2, 0, 0, 0, 0, (uint8_t)(i + 1)},
		.connections_max = connections,
		.syn_max = 64,
		.time_wait_ns = 2 * SECOND,
		.fin_wait_2_ns = 20 * SECOND,
		.receive_window = 64 << 10,
		.address = i == SERVER ? SERVER_IP : CLIENT_IP,
		.mask = 0xffffff00,
		.random = &s->random,
		.now_ns = w->sim.now_ns,
	};
	size_t size = net_memory_size(&config);
	s->memory = must(aligned_alloc(64, (size + 63) & ~(size_t)63));
	memset(s->memory, 0xaa, size);
	assert_false(failed(net_init(&s->net, &config, s->memory)));
}

/* --- Time ------------------------------------------------------------------------------------- */

void world_pass(struct world *w, uint64_t ns)
{
	uint64_t until = w->sim.now_ns + ns;
	while (w->sim.now_ns < until) {
		w->until_ns = until;
		loop_round(&w->loop, true);
	}
	w->until_ns = UINT64_MAX;
	/* What has become due in the very last moment; a long query has no such moment. */
	while (loop_round(&w->loop, false) && !w->tick_ns)
		;
}

void world_until(struct world *w, bool (*done)(void *), void *argument)
{
	uint64_t limit = w->sim.now_ns + STUCK_NS;
	w->until_ns = limit;
	while (!done(argument)) {
		if (w->sim.now_ns >= limit)
			fail_msg("still waiting after five minutes");
		loop_round(&w->loop, true);
	}
	w->until_ns = UINT64_MAX;
}

struct on_fiber {
	void (*run)(void *);
	void *argument;
	bool ended;
};

static void fiber_body(void *argument)
{
	struct on_fiber *f = argument;
	f->run(f->argument);
	f->ended = true;
}

static bool fiber_has_ended(void *argument)
{
	return ((struct on_fiber *)argument)->ended;
}

void world_on_fiber(struct world *w, void (*run)(void *), void *argument)
{
	struct on_fiber f = {run, argument, false};
	assert_false(failed(fiber_spawn(&w->loop, fiber_body, &f)));
	world_until(w, fiber_has_ended, &f);
	while (loop_round(&w->loop, false))
		;
}

/* --- The log ---------------------------------------------------------------------------------- */

static void log_line(void *cookie, struct slice line)
{
	struct world *w = cookie;
	if (getenv("WORLD_LOG"))
		fprintf(stderr, "# %.*s\n", SLICE_ARG(line));
	if (w->lines_len + line.len + 1 > w->lines_capacity) {
		w->lines_capacity = 2 * (w->lines_len + line.len + 1);
		w->lines = must(realloc(w->lines, w->lines_capacity));
	}
	memcpy(w->lines + w->lines_len, line.ptr, line.len);
	w->lines_len += line.len;
}

bool slice_has(struct slice s, const char *text)
{
	return s.len && memmem(s.ptr, s.len, text, strlen(text));
}

bool world_logged(struct world *w, const char *text)
{
	return slice_has(slice_of(w->lines, w->lines_len), text);
}

/* --- Life ------------------------------------------------------------------------------------- */

static void database_open(void *argument)
{
	struct world *w = argument;
	struct database_config config = {.loop = &w->loop, .log = &w->log, .random = &w->random,
		.device = &w->disk.device, .memory = w->database_memory,
		.memory_len = w->database_memory_len, .operated = !w->unoperated};
	const struct app_database *database = w->manifest.database;
	assert_true(config.memory_len >= database->engine->memory_min(config.device));
	assert_false(failed(database->engine->open(database, &config, &w->database)));
}

static void database_close(void *argument)
{
	struct world *w = argument;
	err e = w->manifest.database->engine->close(w->database);
	assert_true(failed(e) == w->database_broken);
}

static void database_start(struct world *w, const struct world_options *o)
{
	sim_disk_init(&w->disk, &w->sim, (uint64_t)(o->disk_kib ? o->disk_kib : 16384) << 10, 512, o->seed);
	w->database_memory_len = DATABASE_MEMORY;
	w->database_memory = must(aligned_alloc(4096, DATABASE_MEMORY));
	world_on_fiber(w, database_open, w);
}

static void server_begin(struct world *w, const struct world_options *o)
{
	struct server_config config = {.loop = &w->loop, .log = &w->log,
		.net = w->station[SERVER].net, .random = &w->random, .database = w->database,
		.manifest = &w->manifest, .port = WORLD_PORT,
		.connections_max = o->connections_max ? o->connections_max : 32,
		.exchanges = o->exchanges ? o->exchanges : 32,
		.blocks = o->blocks ? o->blocks : 64, .per_address_max = o->per_address_max,
		.command_line = o->command_line ? slice_from_cstr(o->command_line) : (struct slice){NULL, 0}};
	size_t size = server_memory_size(&config);
	w->server_memory = must(aligned_alloc(16, (size + 15) & ~(size_t)15));
	memset(w->server_memory, 0xaa, size);
	assert_true(failed(server_start(&config, w->server_memory, &w->server)) == o->may_not_start);
}

static uint64_t ticking_now_ns(struct platform *p)
{
	struct world *w = CONTAINER_OF(p, struct world, sim.platform);
	return w->sim.now_ns += w->tick_ns;
}

struct world *world_new(struct world_options o)
{
	struct world *w = must(calloc(1, sizeof *w));
	sim_platform_init(&w->sim, o.seed, NULL, 0);
	w->sim.platform.now_ns = ticking_now_ns;
	w->sim.now_ns = SECOND;
	w->sim.log = log_line;
	w->sim.cookie = w;
	w->rng = o.seed;
	w->delay_ns = MS / 10;
	w->until_ns = UINT64_MAX;
	list_init(&w->packets);
	list_init(&w->clients);
	fiber_queue_init(&w->gate);
	log_init(&w->log, &w->sim.platform, LOG_INFO);
	random_init(&w->random);
	random_mix(&w->random, SLICE("a test needs no secrets, but at least 32 bytes of them"));
	uint32_t fibers = (o.fibers ? o.fibers : 6) + (o.database ? 3 : 0); /* the store takes two, operators one */
	size_t size = loop_memory_size(fibers, STACK_SIZE);
	w->loop_memory = must(aligned_alloc(4096, (size + 4095) & ~(size_t)4095));
	loop_init(&w->loop, &w->sim.platform, w->loop_memory, fibers, STACK_SIZE);
	w->unoperated = o.unoperated;
	site_make(w, o.database, o.site);
	w->access_log = o.access_log;
	w->manifest.access_log = o.access_log ? &w->access_log : NULL;
	w->behind_proxy = o.behind_proxy;
	w->manifest.behind_proxy = o.behind_proxy ? &w->behind_proxy : NULL;
	w->proxy_protocol = o.proxy_protocol;
	w->manifest.proxy_protocol = o.proxy_protocol ? &w->proxy_protocol : NULL;
	w->manifest.limits = o.limits;
	station_start(w, SERVER, (o.connections_max ? o.connections_max : 32) + 8);
	station_start(w, CLIENT, 512);
	w->source = (struct sim_source){.next_ns = wire_next};
	sim_platform_add(&w->sim, &w->source);
	w->wire = (struct loop_client){.poll = wire_poll, .flush = wire_flush};
	loop_add(&w->loop, &w->wire);
	if (o.database)
		database_start(w, &o);
	server_begin(w, &o);
	w->fibers_before = w->loop.fibers.used;
	return w;
}

static void check_returned(struct world *w)
{
	struct net_usage net = net_usage(w->station[SERVER].net);
	const struct server *s = w->server;
	assert_int_equal(s->connections.used, 0);
	assert_int_equal(s->exchanges.used, 0);
	assert_int_equal(s->blocks.used, 0);
	assert_int_equal(s->bodies.used, 0);
	assert_int_equal(s->refusals.used, 0);
	for (uint32_t i = 0; i <= s->config.connections_max; i++)
		assert_int_equal(s->addresses[i], 0);
	assert_true(list_is_empty(&s->idle) && list_is_empty(&s->queued) && list_is_empty(&s->waiting));
	assert_int_equal(w->loop.fibers.used, w->fibers_before);
	assert_int_equal(net.connections, 0);
	assert_int_equal(net.syns, 0);
	assert_int_equal(net.time_waits, 0);
	assert_int_equal(net.tx_frames, 0);
	assert_int_equal(net.rx_frames, 0);
	assert_int_equal(w->station[SERVER].buffers_out, 0);
	assert_int_equal(w->station[CLIENT].buffers_out, 0);
}

void world_end(struct world *w)
{
	w->loss = 0;
	while (!list_is_empty(&w->clients))
		client_free(LIST_ENTRY(w->clients.next, struct client, link));
	world_pass(w, GRACE_NS);
	if (w->server)
		check_returned(w);
	if (w->database) {
		world_on_fiber(w, database_close, w);
		sim_disk_free(&w->disk);
	}
	for (int i = 0; i < 2; i++)
		free(w->station[i].memory);
	free(w->database_memory);
	free(w->server_memory);
	free(w->loop_memory);
	free(w->arena_memory);
	free(w->big);
	free(w->lines);
	free(w);
}

/* --- Clients ---------------------------------------------------------------------------------- */

void client_read(struct client *c, size_t most)
{
	struct slice bytes;
	while (c->tcp && most && tcp_peek(c->tcp, &bytes)) {
		bytes = slice_sub(bytes, 0, most);
		most -= bytes.len;
		if (c->in_len + bytes.len > c->in_capacity) {
			c->in_capacity = 2 * (c->in_len + bytes.len);
			c->in = must(realloc(c->in, c->in_capacity));
		}
		memcpy(c->in + c->in_len, bytes.ptr, bytes.len);
		c->in_len += bytes.len;
		tcp_consume(c->tcp, bytes.len);
	}
}

static void client_events(struct client *c, uint32_t events)
{
	c->connected |= (events & TCP_CONNECTED) != 0;
	c->peer_closed |= (events & TCP_PEER_CLOSED) != 0;
	c->reset |= (events & TCP_RESET) != 0;
	if (!(events & TCP_CLOSED))
		return;
	client_read(c, SIZE_MAX);
	c->closed = true;
	tcp_release(c->tcp);
	c->tcp = NULL;
}

struct client *client_new(struct world *w)
{
	struct client *c = must(calloc(1, sizeof *c));
	struct net_endpoint to = {.address = net_address_v4(SERVER_IP), .port = WORLD_PORT};
	c->w = w;
	assert_false(failed(tcp_connect(&c->tcp, w->station[CLIENT].net, &to)));
	tcp_set_cookie(c->tcp, c);
	list_push_back(&w->clients, &c->link);
	return c;
}

struct client_send {
	struct tcp_send send;
	struct slice bytes;
	struct client *client;
	uint8_t copy[];
};

static void send_done(struct tcp_send *send, bool delivered)
{
	struct client_send *s = send->cookie;
	(void)delivered;
	s->client->sends--;
	free(s);
}

void client_send(struct client *c, struct slice bytes)
{
	struct client_send *s = must(calloc(1, sizeof *s + bytes.len));
	memcpy(s->copy, bytes.ptr, bytes.len);
	s->client = c;
	s->bytes = slice_of(s->copy, bytes.len);
	s->send = (struct tcp_send){.segments = &s->bytes, .count = 1, .done = send_done, .cookie = s};
	c->sends++;
	if (c->tcp && !failed(tcp_send(c->tcp, &s->send)))
		return;
	c->sends--;
	free(s);
}

void client_text(struct client *c, const char *text)
{
	client_send(c, slice_from_cstr(text));
}

void client_segment(struct client *c, struct slice bytes)
{
	client_send(c, bytes);
	world_pass(c->w, 2 * MS);
}

void client_close(struct client *c)
{
	if (c->tcp)
		tcp_close(c->tcp);
}

void client_reset(struct client *c)
{
	if (c->tcp)
		tcp_abort(c->tcp);
}

bool client_is_closed(void *client)
{
	struct client *c = client;
	return c->closed || c->peer_closed;
}

static bool sends_are_done(void *client)
{
	return ((struct client *)client)->sends == 0;
}

void client_free(struct client *c)
{
	struct tcp_conn *tcp = c->tcp;
	c->tcp = NULL;
	if (tcp)
		tcp_release(tcp);
	world_until(c->w, sends_are_done, c); /* the device may still read them */
	list_remove(&c->link);
	free(c->in);
	free(c);
}

struct slice client_unread(const struct client *c)
{
	return slice_of(c->in + c->taken, c->in_len - c->taken);
}

/* --- Responses -------------------------------------------------------------------------------- */

/* The next line without its CRLF; false when it has no end. */
static bool line_next(struct slice *text, struct slice *line)
{
	const uint8_t *end = memmem(text->ptr, text->len, "\r\n", 2);
	if (!end)
		return false;
	*line = slice_of(text->ptr, (size_t)(end - text->ptr));
	*text = slice_sub(*text, line->len + 2, text->len);
	return true;
}

static struct slice field_find(struct slice head, const char *name, uint32_t *count)
{
	struct slice line, found = {NULL, 0};
	*count = 0;
	while (line_next(&head, &line)) {
		size_t colon = slice_index(line, ':');
		if (!slice_eq_nocase(slice_sub(line, 0, colon), slice_from_cstr(name)))
			continue;
		found = slice_trim(slice_sub(line, colon + 1, line.len));
		++*count;
	}
	return found;
}

struct slice answer_field(const struct answer *a, const char *name)
{
	uint32_t count;
	return field_find(a->head, name, &count);
}

/* What every response must be, whatever the handler did. */
static void head_check(struct slice head)
{
	uint32_t count;
	struct slice line;
	field_find(head, "Date", &count);
	bool is_fixed = slice_has(head, "503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n");
	assert_int_equal(count, !is_fixed); /* (RFC 9110 section 6.6.1 asks for none in a 5xx) */
	field_find(head, "Content-Length", &count);
	assert_true(count <= 1);
	field_find(head, "Content-Type", &count);
	assert_true(count <= 1);
	assert_true(line_next(&head, &line));
	while (line_next(&head, &line)) {
		size_t colon = slice_index(line, ':');
		assert_true(colon > 0 && colon < line.len);
		for (size_t i = 0; i < line.len; i++)
			assert_true(line.ptr[i] >= 0x20);
	}
}

/* A body in chunks, put together where it lies. */
static bool chunks_join(struct client *c, int status, struct slice head, struct answer *out)
{
	struct http_request framing = {.framing = HTTP_BODY_CHUNKED};
	struct http_body body;
	struct slice in = slice_sub(client_unread(c), head.len + 2, SIZE_MAX), piece;
	size_t at = 0, used;
	enum http_body_result result;
	http_body_init(&body, &framing, UINT64_MAX);
	while ((result = http_body_decode(&body, slice_sub(in, at, SIZE_MAX), &used, &piece)) == HTTP_BODY_DATA)
		at += used;
	assert_true(result != HTTP_BODY_FAILED);
	if (result != HTTP_BODY_END)
		return false;
	uint8_t *to = c->in + c->taken + head.len + 2, *end = to;
	c->taken += head.len + 2 + at + used;
	http_body_init(&body, &framing, UINT64_MAX);
	for (at = 0; http_body_decode(&body, slice_sub(in, at, SIZE_MAX), &used, &piece) == HTTP_BODY_DATA; at += used) {
		memmove(end, piece.ptr, piece.len);
		end += piece.len;
	}
	*out = (struct answer){status, head, slice_of(to, (size_t)(end - to))};
	return true;
}

bool client_has_answer(struct client *c, bool to_head, struct answer *out)
{
	struct slice in = client_unread(c), line;
	uint64_t len = 0, status;
	uint32_t count;
	const uint8_t *end = in.len ? memmem(in.ptr, in.len, "\r\n\r\n", 4) : NULL;
	if (!end)
		return false;
	struct slice head = slice_of(in.ptr, (size_t)(end - in.ptr) + 2), rest = head;
	assert_true(line_next(&rest, &line));
	assert_true(slice_starts_with(line, SLICE("HTTP/1.1 ")) && line.len > 13);
	assert_true(slice_to_u64(slice_sub(line, 9, 3), &status));
	if (status == 100) {
		assert_int_equal(head.len, line.len + 2);
		*out = (struct answer){100, head, {NULL, 0}};
		c->taken += head.len + 2;
		return true;
	}
	head_check(head);
	field_find(head, "Retry-After", &count);
	assert_true(status != 503 || count == 1); /* whatever there was no room for */
	bool bare = status == 204 || status == 304;
	field_find(head, "Transfer-Encoding", &count);
	if (count && !to_head)
		return chunks_join(c, (int)status, head, out);
	struct slice length = field_find(head, "Content-Length", &count);
	assert_true(bare || to_head || slice_to_u64(length, &len));
	if (to_head || bare)
		len = 0;
	if (in.len < head.len + 2 + len)
		return false;
	*out = (struct answer){(int)status, head, slice_sub(in, head.len + 2, len)};
	c->taken += head.len + 2 + len;
	return true;
}

struct waiting {
	struct client *client;
	bool to_head;
	struct answer answer;
};

static bool has_answer(void *argument)
{
	struct waiting *w = argument;
	if (client_has_answer(w->client, w->to_head, &w->answer))
		return true;
	if (w->client->closed)
		fail_msg("the connection ended without a response");
	return false;
}

struct answer client_answer(struct client *c)
{
	struct waiting wait = {.client = c};
	world_until(c->w, has_answer, &wait);
	return wait.answer;
}

struct answer client_answer_to_head(struct client *c)
{
	struct waiting wait = {.client = c, .to_head = true};
	world_until(c->w, has_answer, &wait);
	return wait.answer;
}

struct answer client_ask(struct client *c, const char *method, const char *target, const char *fields,
	const char *body)
{
	char head[8192], length[64] = "";
	if (*body)
		snprintf(length, sizeof length, "Content-Length: %zu\r\n", strlen(body));
	int n = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: ingot.test\r\n%s%s\r\n", method,
		target, fields, length);
	assert_true(n > 0 && (size_t)n < sizeof head);
	client_text(c, head);
	if (*body)
		client_text(c, body);
	return strcmp(method, "HEAD") == 0 ? client_answer_to_head(c) : client_answer(c);
}

struct answer client_get(struct client *c, const char *target)
{
	return client_ask(c, "GET", target, "", "");
}
