/* Plays a script: the runner is the peer and the wire, the engine under test is station 1 of a world.
 *
 * Each segment that the engine emits waits in `heard` until a statement expects it; any other statement that
 * finds one there fails. Time moves only in `advance`: from one thing that the engine will do to the next. */
#include "script.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <base/bytes.h>
#include "support/world.h"

#define HEARD_MAX 512
#define COUNTERS_MAX 256

/* A connection as the peer sees it. */
struct flow {
	struct flow_ends ends;
	bool isn_known, ts_known, ts_agreed, peer_ts;
	uint32_t engine_isn, isn_step; /* and by how much it is above that of the connection before */
	uint32_t ts_base; /* the engine's timestamp that the script calls 0 */
	uint32_t ts_last; /* the newest that it sent */
	uint32_t peer_ts_base; /* the peer's, at peer_ts_ns */
	uint64_t peer_ts_ns;
	struct tcp_conn *conn;
	uint32_t events;
	uint32_t sent, consumed; /* bytes of the streams */
	uint32_t done, failed;
	uint32_t heard_end; /* behind what `pump` has taken */
};

struct heard {
	uint64_t at_ns;
	uint32_t len;
	uint8_t bytes[SCRIPT_FRAME_MAX];
};

/* In the caller's memory, as the engine wants it. */
struct sending {
	struct sending *next;
	struct tcp_send send;
	struct flow *flow;
	struct slice segment[32];
	uint8_t bytes[];
};

struct run {
	const struct script *script;
	struct world world;
	struct net *net;
	struct flow flow[SCRIPT_FLOWS_MAX];
	struct heard heard[HEARD_MAX];
	uint32_t heard_first, heard_count;
	uint64_t start_ns, last_ns; /* of the script, and of the newest statement */
	uint64_t counted[COUNTERS_MAX]; /* when they were asked for last */
	struct sending *sendings;
	uint16_t ip_id;
	FILE *log;
};

/* --- The log --------------------------------------------------------------------------------- */

static void log_segment(struct run *r, uint64_t at_ns, char direction, uint32_t flow, const struct segment *s)
{
	fprintf(r->log, "  %10.6f %.0u%c ", (double)(at_ns - r->start_ns) / 1e9, flow, direction);
	segment_print(r->log, s);
	fputc('\n', r->log);
}

static char *segment_text(const struct segment *s)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	if (!f)
		abort();
	segment_print(f, s);
	fclose(f);
	return text;
}

/* --- The wire -------------------------------------------------------------------------------- */

static bool wire_hears(struct world *w, uint32_t from, uint8_t *bytes, uint32_t len)
{
	struct run *r = w->cookie;
	(void)from;
	if (neighbour_hears(w, bytes, len, !r->script->neighbours_silent))
		return false;
	if (r->heard_first + r->heard_count == HEARD_MAX)
		return false;
	struct heard *h = &r->heard[r->heard_first + r->heard_count++];
	h->at_ns = w->now_ns;
	h->len = len < SCRIPT_FRAME_MAX ? len : SCRIPT_FRAME_MAX;
	memcpy(h->bytes, bytes, h->len);
	return false;
}

static struct flow *flow_find(struct run *r, const struct net_endpoint *peer, uint16_t own_port)
{
	for (uint32_t i = 0; i < SCRIPT_FLOWS_MAX; i++) {
		struct flow *f = &r->flow[i];
		if (f->ends.peer_port == peer->port && f->ends.own_port == own_port
			&& net_address_equal(&f->ends.peer, &peer->address))
			return f;
	}
	return NULL;
}

static void collect(struct run *r)
{
	uint32_t events;
	struct tcp_conn *c;
	while ((c = net_event_next(r->net, &events))) {
		struct net_endpoint peer = tcp_peer(c), own = tcp_local(c);
		struct flow *f = flow_find(r, &peer, own.port);
		if (!f) {
			tcp_release(c);
			continue;
		}
		f->conn = c;
		f->events |= events;
	}
}

/* When the engine or its device does something next. */
static uint64_t next_ns(const struct run *r)
{
	uint64_t next = net_next_deadline(r->net);
	LIST_FOR_EACH(e, &r->world.station[SCRIPT_ENGINE].at_device) {
		uint64_t at = LIST_ENTRY(e, struct sent, link)->at_ns;
		next = at < next ? at : next;
	}
	return next;
}

/* Lets the engine work until `until_ns`, or until it has said something if that is what is waited for. */
static void advance(struct run *r, uint64_t until_ns, bool stop_when_heard)
{
	struct world *w = &r->world;
	for (;;) {
		collect(r);
		while (world_step(w, w->now_ns))
			collect(r);
		if ((stop_when_heard && r->heard_count) || w->now_ns >= until_ns)
			return;
		uint64_t next = next_ns(r);
		world_step(w, next < until_ns ? next : until_ns);
		net_advance(r->net, w->now_ns);
	}
}

/* --- What the engine said -------------------------------------------------------------------- */

/* The engine's numbers become known with its first SYN, or, for an answer to a segment of no connection,
 * are taken as they are. */
static void flow_learn(struct flow *f, const struct segment *s)
{
	if (s->flags & FLAG_SYN) {
		const struct segment_option *ts = segment_option_find(s, OPTION_TS);
		bool news = !f->isn_known || f->engine_isn != s->seq;
		f->isn_step = f->isn_known ? s->seq - f->engine_isn : 0;
		f->isn_known = true;
		f->engine_isn = s->seq;
		f->ts_agreed = ts && f->peer_ts;
		f->ts_known = f->ts_known && !news;
	}
}

static script_complaint payload_check(const struct segment *s, const uint8_t *payload)
{
	for (uint32_t i = 0; i < s->len; i++) {
		if (payload[i] != stream_byte(true, s->seq - 1 + i))
			return complain("byte %u of its payload is not what was sent", i);
	}
	return NULL;
}

/* To numbers as the script has them. A flow whose connection the engine opens gets its port. */
static script_complaint heard_read(struct run *r, const struct heard *h, struct segment *s, uint32_t *flow)
{
	struct segment_path path = {.id = 0};
	const uint8_t *payload = NULL;
	script_complaint c = segment_read(h->bytes, h->len, s, &path, &payload);
	if (c || s->icmp)
		return c;
	struct net_endpoint peer = {path.destination, path.destination_port};
	struct flow *f = flow_find(r, &peer, path.source_port);
	if (!f)
		return complain("it belongs to no flow");
	*flow = (uint32_t)(f - r->flow);
	flow_learn(f, s);
	struct segment_option *ts = (struct segment_option *)segment_option_find(s, OPTION_TS);
	if (ts)
		f->ts_last = ts->number[0];
	struct segment_offsets by = {-f->engine_isn, -r->script->peer_isn, f->ts_known ? -f->ts_base : 0, 0};
	segment_shift(s, &by);
	return payload_check(s, payload);
}

/* The first timestamp that a script gives a number to says what is 0. */
static void timestamp_learn(struct flow *f, const struct segment *expected, struct segment *got)
{
	const struct segment_option *e = segment_option_find(expected, OPTION_TS);
	struct segment_option *g = (struct segment_option *)segment_option_find(got, OPTION_TS);
	if (f->ts_known || !e || !g || e->how[0] != NUMBER_GIVEN)
		return;
	f->ts_known = true;
	f->ts_base = g->number[0] - e->number[0];
	g->number[0] = e->number[0];
}

static script_complaint unexpected(struct run *r)
{
	struct segment s;
	uint32_t flow = 0;
	const struct heard *h = &r->heard[r->heard_first];
	script_complaint c = heard_read(r, h, &s, &flow);
	double at = (double)(h->at_ns - r->start_ns) / 1e9;
	if (c)
		return c;
	char *text = segment_text(&s);
	c = complain("unexpected, at %.6f: %.0u> %s", at, flow, text);
	free(text);
	return c;
}

static script_complaint late_or_early(const struct run *r, uint64_t at_ns, const struct statement *st)
{
	double at = (double)(at_ns - r->last_ns) / 1e9;
	if (at_ns + r->script->tolerance_ns < r->last_ns + st->wait_ns)
		return complain("too early: after %.6f s", at);
	if (at_ns > r->last_ns + st->wait_max_ns + r->script->tolerance_ns)
		return complain("too late: after %.6f s", at);
	return NULL;
}

static script_complaint expect_one(struct run *r, const struct statement *st, const struct segment *e)
{
	struct segment got;
	uint32_t flow = 0;
	advance(r, r->last_ns + st->wait_max_ns + r->script->tolerance_ns, true);
	if (!r->heard_count)
		return complain("nothing came");
	const struct heard *h = &r->heard[r->heard_first];
	script_complaint c = heard_read(r, h, &got, &flow);
	if (c)
		return c;
	timestamp_learn(&r->flow[st->flow], e, &got);
	uint64_t at_ns = h->at_ns;
	r->heard_first = --r->heard_count ? r->heard_first + 1 : 0;
	log_segment(r, at_ns, '>', flow, &got);
	uint32_t slack = (uint32_t)(r->script->tolerance_ns / 1000000 + 1);
	const char *difference = flow == st->flow ? segment_difference(e, &got, slack) : "the flow";
	if (difference) {
		char *text = segment_text(&got);
		c = complain("not %s; got: %.0u> %s", difference, flow, text);
		free(text);
	} else {
		c = late_or_early(r, at_ns, st);
	}
	r->last_ns = at_ns;
	return c;
}

/* A burst is as many segments of `piece` bytes as it takes; PSH and FIN are the last one's. */
static script_complaint expect(struct run *r, const struct statement *st)
{
	struct segment e = st->segment;
	struct statement rest = *st;
	uint32_t left = e.len, piece = e.piece ? e.piece : e.len;
	script_complaint c;
	do {
		e.len = left < piece ? left : piece;
		left -= e.len;
		e.flags = st->segment.flags & ~(left ? (uint32_t)(FLAG_PSH | FLAG_FIN) : 0);
		c = expect_one(r, &rest, &e);
		e.seq += e.len;
		rest.wait_ns = rest.wait_max_ns = 0;
	} while (!c && left);
	return c;
}

/* --- What the peer says ---------------------------------------------------------------------- */

static uint32_t peer_timestamp(const struct run *r, const struct flow *f)
{
	return f->peer_ts_base + (uint32_t)((r->world.now_ns - f->peer_ts_ns) / 1000000);
}

static void timestamp_fill(const struct run *r, const struct flow *f, struct segment_option *ts)
{
	if (ts->how[0] != NUMBER_GIVEN)
		ts->number[0] = peer_timestamp(r, f);
	if (ts->how[1] != NUMBER_GIVEN)
		ts->number[1] = f->ts_last - f->ts_base;
	ts->how[0] = ts->how[1] = NUMBER_GIVEN;
}

/* A segment without `<...>` has a timestamp when both sides agreed on that. */
static void timestamp_add(const struct run *r, const struct flow *f, struct segment *s)
{
	if (!s->has_options && f->ts_agreed && !(s->flags & (FLAG_SYN | FLAG_RST))) {
		s->option[0] = (struct segment_option){.kind = OPTION_NOP};
		s->option[1] = (struct segment_option){.kind = OPTION_NOP};
		s->option[2] = (struct segment_option){.kind = OPTION_TS, .count = 2,
			.how = {NUMBER_LAST, NUMBER_LAST}};
		s->option_count = 3;
	}
	for (uint32_t i = 0; i < s->option_count; i++) {
		if (s->option[i].kind == OPTION_TS)
			timestamp_fill(r, f, &s->option[i]);
	}
}

static void peer_syn(struct run *r, struct flow *f, const struct segment *s)
{
	const struct segment_option *ts = segment_option_find(s, OPTION_TS);
	f->peer_ts = ts != NULL;
	if (ts) {
		f->peer_ts_base = ts->number[0];
		f->peer_ts_ns = r->world.now_ns;
	}
}

static uint32_t seq_later(uint32_t a, uint32_t b)
{
	return (int32_t)(b - a) > 0 ? b : a;
}

static void frame_inject(struct run *r, const uint8_t *frame, uint32_t len, uint32_t fragment)
{
	uint8_t part[SCRIPT_FRAME_MAX];
	uint32_t n;
	if (!fragment) {
		world_inject(&r->world, SCRIPT_ENGINE, frame, len);
		return;
	}
	for (uint32_t i = 0; (n = packet_fragment(part, frame, len, fragment, i)); i++)
		world_inject(&r->world, SCRIPT_ENGINE, part, n);
}

static script_complaint inject(struct run *r, uint32_t flow, const struct segment *said)
{
	struct flow *f = &r->flow[flow];
	struct segment s = *said;
	uint8_t frame[SCRIPT_FRAME_MAX];
	if (s.len > 1460)
		return complain("a segment of more than 1460 bytes cannot be sent");
	if (!s.has_window)
		s.window = r->script->peer_window;
	if (s.flags & FLAG_SYN)
		peer_syn(r, f, &s);
	timestamp_add(r, f, &s);
	log_segment(r, r->world.now_ns, '<', flow, &s);
	struct segment_path path = {
		.source = s.has_source ? s.source : f->ends.peer,
		.destination = s.has_destination ? s.destination
			: world_address(SCRIPT_ENGINE, !net_address_is_v4(&f->ends.peer)),
		.source_port = f->ends.peer_port,
		.destination_port = f->ends.own_port,
		.id = r->ip_id++,
	};
	uint32_t position = s.seq - 1 + !!(s.flags & FLAG_SYN);
	struct segment_offsets by = {s.icmp ? f->engine_isn : r->script->peer_isn, f->engine_isn, 0, f->ts_base};
	segment_shift(&s, &by);
	frame_inject(r, frame, segment_write(frame, &s, &path, position), s.fragment);
	return NULL;
}

/* The handshake that most scripts begin with. */
static script_complaint establish(struct run *r, const struct statement *st)
{
	struct flow *f = &r->flow[st->flow];
	struct segment syn = st->segment;
	struct segment ack = {.flags = FLAG_ACK, .seq = 1, .has_ack = true, .ack = 1, .ecn = -1};
	struct segment got;
	uint32_t flow;
	script_complaint c = inject(r, st->flow, &syn);
	if (c)
		return c;
	advance(r, r->world.now_ns, true);
	if (!r->heard_count || (c = heard_read(r, &r->heard[r->heard_first], &got, &flow)))
		return c ? c : complain("the SYN is not answered");
	r->heard_first = --r->heard_count ? r->heard_first + 1 : 0;
	if (got.icmp || (got.flags & 0x17) != (FLAG_SYN | FLAG_ACK) || flow != st->flow)
		return complain("the SYN is not answered by SYN and ACK");
	const struct segment_option *ts = segment_option_find(&got, OPTION_TS);
	if (ts) {
		f->ts_known = true;
		f->ts_base = f->ts_last;
	}
	log_segment(r, r->world.now_ns, '>', flow, &got);
	advance(r, r->world.now_ns + st->rtt_ns, false);
	ack.has_window = st->segment.has_window;
	ack.window = st->segment.window;
	c = inject(r, st->flow, &ack);
	collect(r);
	if (!c && !f->conn)
		c = complain("no connection was accepted");
	f->events = 0;
	r->last_ns = r->world.now_ns;
	return c;
}

/* Takes what has come, whatever it is; `end` moves behind the last byte. */
static script_complaint take_all(struct run *r, uint32_t flow, uint32_t *end)
{
	struct segment got;
	for (; r->heard_count; r->heard_count--, r->heard_first++) {
		uint32_t of = flow;
		script_complaint c = heard_read(r, &r->heard[r->heard_first], &got, &of);
		if (c || of != flow)
			return c ? c : complain("it is another flow's");
		*end = seq_later(*end, got.seq + got.len);
	}
	r->heard_first = 0;
	return NULL;
}

static script_complaint pump(struct run *r, const struct statement *st)
{
	struct flow *f = &r->flow[st->flow];
	struct segment ack = {.flags = FLAG_ACK, .seq = 1, .has_ack = true, .ecn = -1};
	script_complaint c = take_all(r, st->flow, &f->heard_end);
	for (int64_t round = 0; round < st->number && !c; round++) {
		advance(r, r->world.now_ns + st->rtt_ns, false);
		c = take_all(r, st->flow, &f->heard_end);
		ack.ack = f->heard_end;
		if (!c)
			c = inject(r, st->flow, &ack);
		advance(r, r->world.now_ns, false);
		if (!c)
			c = take_all(r, st->flow, &f->heard_end);
	}
	r->last_ns = r->world.now_ns;
	return c;
}

/* --- Calls ----------------------------------------------------------------------------------- */

static void sending_done(struct tcp_send *send, bool delivered)
{
	struct sending *s = send->cookie;
	if (delivered)
		s->flow->done++;
	else
		s->flow->failed++;
}

static script_complaint call_send(struct run *r, struct flow *f, const struct statement *st)
{
	uint32_t len = (uint32_t)st->number, parts = st->number2 ? (uint32_t)st->number2 : 1;
	if (parts > 32)
		return complain("at most 32 parts");
	struct sending *s = calloc(1, sizeof *s + len);
	if (!s)
		abort();
	s->next = r->sendings;
	r->sendings = s;
	s->flow = f;
	s->send = (struct tcp_send){.segments = s->segment, .count = parts, .done = sending_done, .cookie = s};
	for (uint32_t i = 0; i < len; i++)
		s->bytes[i] = stream_byte(true, f->sent + i);
	for (uint32_t i = 0, at = 0; i < parts; i++) {
		uint32_t n = i + 1 < parts ? len / parts : len - at;
		s->segment[i] = slice_of(s->bytes + at, n);
		at += n;
	}
	f->sent += st->refused ? 0 : len;
	bool refused = failed(tcp_send(f->conn, &s->send));
	return refused == st->refused ? NULL : complain(refused ? "it is refused" : "it is not refused");
}

static script_complaint call_read(struct flow *f, const struct statement *st)
{
	size_t left = st->has_number ? (size_t)st->number : tcp_readable(f->conn);
	struct slice got;
	if (tcp_readable(f->conn) < left)
		return complain("only %zu bytes are readable", tcp_readable(f->conn));
	while (left && tcp_peek(f->conn, &got)) {
		got = slice_sub(got, 0, left);
		for (size_t i = 0; i < got.len; i++) {
			if (got.ptr[i] != stream_byte(false, f->consumed++))
				return complain("byte %u of the stream is not what the peer sent", f->consumed);
		}
		tcp_consume(f->conn, got.len);
		left -= got.len;
	}
	return left ? complain("%zu bytes less can be peeked at", left) : NULL;
}

static script_complaint call_connect(struct run *r, struct flow *f, const struct statement *st)
{
	struct net_endpoint to = {f->ends.peer, f->ends.peer_port};
	bool refused = failed(tcp_connect(&f->conn, r->net, &to));
	if (refused || st->refused)
		return refused == st->refused ? NULL
			: complain(refused ? "it is refused" : "it is not refused");
	f->ends.own_port = tcp_local(f->conn).port;
	f->peer_ts = true; /* as we offer it, an answer that has it agrees */
	return NULL;
}

static script_complaint check_events(struct flow *f, const struct statement *st)
{
	char text[128] = "none";
	uint32_t at = 0, got = f->events;
	f->events = 0;
	if (got == st->events)
		return NULL;
	for (uint32_t i = 0; got >> i; i++) {
		if (got >> i & 1)
			at += (uint32_t)snprintf(text + at, sizeof text - at, "%s ", event_name(i));
	}
	return complain("got: event %s", text);
}

/* --- Looking inside -------------------------------------------------------------------------- */

/* How much it has grown since it was asked for last. */
static script_complaint check_counter(struct run *r, const struct statement *st)
{
	struct net_counter c;
	uint32_t i = 0;
	while (net_counter_at(r->net, i, &c) && strcmp(c.name, st->name) != 0)
		i++;
	if (i >= COUNTERS_MAX || strcmp(c.name, st->name) != 0)
		return complain("there is no counter of this name");
	uint64_t grown = c.value - r->counted[i];
	r->counted[i] = c.value;
	return grown == (uint64_t)st->number ? NULL : complain("got: counter %s +%" PRIu64, st->name, grown);
}

static bool compare(const struct statement *st, int64_t got)
{
	switch (st->comparison) {
	case COMPARE_EQ: return got == st->number;
	case COMPARE_NE: return got != st->number;
	case COMPARE_LT: return got < st->number;
	case COMPARE_LE: return got <= st->number;
	case COMPARE_GT: return got > st->number;
	case COMPARE_GE: return got >= st->number;
	case COMPARE_IN: return got >= st->number && got <= st->number2;
	}
	return false;
}

struct named {
	const char *name;
	uint64_t value;
};

static script_complaint check_named(const struct statement *st, const struct named *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (strcmp(list[i].name, st->name) == 0)
			return compare(st, (int64_t)list[i].value) ? NULL
				: complain("got: %s == %" PRIu64, st->name, list[i].value);
	}
	return complain("there is nothing called %s", st->name);
}

static script_complaint check_usage(struct run *r, const struct statement *st)
{
	struct net_usage u = net_usage(r->net);
	const struct named list[] = {{"connections", u.connections}, {"syns", u.syns},
		{"time_waits", u.time_waits}, {"tx_frames", u.tx_frames}, {"rx_frames", u.rx_frames}};
	return check_named(st, list, ARRAY_LEN(list));
}

static uint32_t distance(uint32_t a, uint32_t b)
{
	return a > b ? a - b : b - a;
}

static script_complaint check_info(struct run *r, struct flow *f, const struct statement *st)
{
	struct tcp_info i;
	tcp_info(f->conn, &i);
	if (strcmp(st->name, "state") == 0)
		return (strcmp(i.state, st->text) == 0) == (st->comparison == COMPARE_EQ) ? NULL
			: complain("got: state == %s", i.state);
	const struct named list[] = {{"mss", i.mss}, {"cwnd", i.cwnd}, {"ssthresh", i.ssthresh},
		{"peer_window", i.peer_window}, {"receive_window", i.receive_window},
		{"in_flight", i.in_flight}, {"srtt", i.srtt_ns}, {"rto", i.rto_ns},
		{"out_of_order", i.out_of_order_frames}, {"readable", i.readable},
		{"unsent", tcp_unsent(f->conn)}, {"isn_step", f->isn_step},
		{"isn_apart", f->engine_isn - r->flow[0].engine_isn},
		{"own_port", f->ends.own_port},
		{"port_apart", distance(f->ends.own_port, r->flow[0].ends.own_port)}};
	return check_named(st, list, ARRAY_LEN(list));
}

/* --- Statements ------------------------------------------------------------------------------ */

static void call_release(struct flow *f)
{
	tcp_release(f->conn);
	f->conn = NULL;
	f->events = 0;
}

/* Those that need a connection. */
static script_complaint play_on_connection(struct run *r, struct flow *f, const struct statement *st)
{
	if (!f->conn)
		return complain("there is no connection");
	if (st->action == ACTION_SEND)
		return call_send(r, f, st);
	if (st->action == ACTION_READ)
		return call_read(f, st);
	if (st->action == ACTION_ASSERT)
		return check_info(r, f, st);
	if (st->action == ACTION_CLOSE)
		tcp_close(f->conn);
	else if (st->action == ACTION_ABORT)
		tcp_abort(f->conn);
	else if (st->action == ACTION_DISCARD)
		tcp_discard_input(f->conn);
	else
		call_release(f);
	return NULL;
}

static script_complaint check_done(struct flow *f, const struct statement *st)
{
	uint32_t got = strcmp(st->name, "done") == 0 ? f->done : f->failed;
	return got == st->number ? NULL : complain("got: %s %u", st->name, got);
}

static script_complaint play(struct run *r, const struct statement *st)
{
	struct flow *f = &r->flow[st->flow];
	switch (st->action) {
	case ACTION_INJECT: return inject(r, st->flow, &st->segment);
	case ACTION_EXPECT: return expect(r, st);
	case ACTION_ESTABLISH: return establish(r, st);
	case ACTION_LISTEN:
		return failed(tcp_listen(r->net, (uint16_t)st->number, (uint32_t)st->number2))
			? complain("it is refused") : NULL;
	case ACTION_UNLISTEN: tcp_unlisten(r->net, (uint16_t)st->number); return NULL;
	case ACTION_CONNECT: return call_connect(r, f, st);
	case ACTION_EVENT: collect(r); return check_events(f, st);
	case ACTION_DONE: return check_done(f, st);
	case ACTION_COUNTER: return check_counter(r, st);
	case ACTION_USAGE: return check_usage(r, st);
	case ACTION_QUIET: return NULL;
	case ACTION_PUMP: return pump(r, st);
	case ACTION_SEND:
	case ACTION_READ:
	case ACTION_CLOSE:
	case ACTION_ABORT:
	case ACTION_RELEASE:
	case ACTION_DISCARD:
	case ACTION_ASSERT: break;
	}
	return play_on_connection(r, f, st);
}

static script_complaint step(struct run *r, const struct statement *st)
{
	if (st->action == ACTION_EXPECT)
		return play(r, st);
	if (st->has_time) {
		advance(r, r->last_ns + st->wait_ns, false);
		r->last_ns += st->wait_ns;
	}
	if (r->heard_count && st->action != ACTION_PUMP)
		return unexpected(r);
	return play(r, st);
}

/* --- A run ----------------------------------------------------------------------------------- */

static void start(struct run *r)
{
	struct world *w = &r->world;
	world_init(w, r->script->seed);
	struct net_config wired = world_config(w, SCRIPT_ENGINE), c = r->script->config;
	memcpy(c.mac, wired.mac, sizeof c.mac);
	c.mtu = c.mtu ? c.mtu : wired.mtu;
	c.connections_max = c.connections_max ? c.connections_max : wired.connections_max;
	c.syn_max = c.syn_max ? c.syn_max : wired.syn_max;
	c.time_wait_max = c.time_wait_max ? c.time_wait_max : wired.time_wait_max;
	c.tx_frames_max = c.tx_frames_max ? c.tx_frames_max : wired.tx_frames_max;
	c.rx_frames_max = c.rx_frames_max ? c.rx_frames_max : wired.rx_frames_max;
	c.address = wired.address;
	c.mask = wired.mask;
	c.random = wired.random;
	c.now_ns = wired.now_ns;
	if (r->script->ip6)
		world_config_ip6(&c, SCRIPT_ENGINE);
	world_start(w, SCRIPT_ENGINE, &c);
	w->filter = wire_hears;
	w->cookie = r;
	w->fragment = r->script->split_buffers;
	r->net = w->station[SCRIPT_ENGINE].net;
	for (uint32_t i = 0; i < SCRIPT_FLOWS_MAX; i++)
		r->flow[i] = (struct flow){.ends = r->script->ends[i], .heard_end = 1};
	neighbour_introduce(w);
	advance(r, w->now_ns + (r->script->ip6 ? WORLD_IP6_READY_NS : 0), false);
	r->start_ns = r->last_ns = w->now_ns;
}

/* Whatever a script did, nothing may be left of it. */
static script_complaint finish(struct run *r)
{
	for (uint32_t i = 0; i < SCRIPT_FLOWS_MAX; i++) {
		if (r->flow[i].conn)
			call_release(&r->flow[i]);
	}
	r->heard_count = r->heard_first = 0;
	advance(r, r->world.now_ns + 1000000, false);
	struct net_usage u = net_usage(r->net);
	if (u.connections || u.rx_frames || r->world.station[SCRIPT_ENGINE].buffers_out)
		return complain("left over: %u connections, %u received buffers", u.connections, u.rx_frames);
	for (const struct sending *s = r->sendings; s; s = s->next) {
		if (s->send.conn && !s->send.finished && !s->send.dead)
			return complain("a send was never done");
	}
	return NULL;
}

static void stop(struct run *r)
{
	world_deinit(&r->world);
	while (r->sendings) {
		struct sending *next = r->sendings->next;
		free(r->sendings);
		r->sendings = next;
	}
	free(r);
}

/* What the engine has said that no statement has looked at. */
static void log_waiting(struct run *r)
{
	struct segment s;
	uint32_t flow = 0;
	for (; r->heard_count; r->heard_count--, r->heard_first++) {
		script_complaint c = heard_read(r, &r->heard[r->heard_first], &s, &flow);
		if (!c)
			log_segment(r, r->heard[r->heard_first].at_ns, '>', flow, &s);
		free(c);
	}
}

static script_complaint located(const struct script *s, const struct statement *st, script_complaint c,
	const char *log)
{
	script_complaint whole = complain("%s:%u: %s\n  expected: %s\n  so far:\n%s", s->path, st->line, c,
		st->source, log);
	free(c);
	return whole;
}

script_complaint script_run(const struct script *s)
{
	struct run *r = calloc(1, sizeof *r);
	script_complaint c = NULL;
	char *log;
	size_t log_len;
	if (!r || !(r->log = open_memstream(&log, &log_len)))
		abort();
	r->script = s;
	start(r);
	const struct statement *st = s->statement;
	for (; st < s->statement + s->count && !c; st++)
		c = step(r, st);
	if (!c && r->heard_count)
		c = unexpected(r);
	st--;
	if (c)
		log_waiting(r);
	else
		c = finish(r);
	fclose(r->log);
	if (c)
		c = located(s, st, c, log);
	free(log);
	stop(r);
	return c;
}
