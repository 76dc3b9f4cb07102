/* The resolver against a name server that behaves as told: station A is the server, station B resolves. */
#include <net/dns.h>
#include <net/net.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include "dns_message.h"
#include "support/world.h"

#define SECOND UINT64_C(1000000000)
#define ANSWERS_MAX 16

/* What the server does with a question. */
enum manner {
	ADDRESSES,   /* 192.0.2.x and 2001:db8::x, `count` of each */
	SILENT,
	FAILS,       /* SERVFAIL */
	NO_NAME,     /* NXDOMAIN with a SOA */
	NO_DATA,     /* the name is there, the type is not; with a SOA */
	ALIAS,       /* to alias.example, whose addresses follow */
	ALIAS_ALONE, /* to alias.example, about which nothing is said */
	ALIAS_LOOP,  /* to itself */
	NO_EDNS,     /* FORMERR to a question with an OPT record */
	CUT_OFF,     /* over UDP; by TCP as ADDRESSES */
	CUT_OFF_DEAD, /* the same, and the TCP port is closed */
	CUT_OFF_ALIAS, /* over UDP; by TCP as ALIAS_ALONE */
	FORGED,      /* first four that are not the answer, then ADDRESSES */
	OTHER_CASE,  /* the question in lower case */
};

struct server {
	enum manner manner;
	uint32_t count, ttl_s, questions, by_tcp, with_edns;
	struct udp_socket socket, other; /* of the right address, but not where the question went */
	struct udp_datagram datagram[8];
	uint8_t reply[8][1400];
	uint32_t next;
	struct tcp_handler handler;
	uint8_t message[4][1402];
	struct tcp_send send[4];
	struct slice segment[4];
	uint16_t last_port;
	uint32_t ports_differ;
	uint8_t last_name[64];
	bool case_differs;
};

struct bench {
	struct world w;
	struct server server;
	struct dns *dns;
	void *memory;
	struct random random;
	struct dns_query query;
	bool done;
};

static uint8_t *name_put(uint8_t *p, const char *name)
{
	while (*name) {
		const char *dot = strchr(name, '.');
		size_t n = dot ? (size_t)(dot - name) : strlen(name);
		*p++ = (uint8_t)n;
		memcpy(p, name, n);
		p += n;
		name += n + (dot != NULL);
	}
	*p++ = 0;
	return p;
}

/* A record about the name at offset `owner` of the message. */
static uint8_t *record_put(uint8_t *p, uint16_t owner, uint16_t type, uint32_t ttl_s, const uint8_t *data,
	size_t len)
{
	store_be16(p, 0xc000 | owner);
	store_be16(p + 2, type);
	store_be16(p + 4, 1);
	store_be32(p + 6, ttl_s);
	store_be16(p + 10, (uint16_t)len);
	memcpy(p + 12, data, len);
	return p + 12 + len;
}

static uint8_t *addresses_put(const struct server *s, uint8_t *p, uint16_t owner, uint16_t type)
{
	for (uint32_t i = 0; i < s->count; i++) {
		uint8_t a4[4] = {192, 0, 2, (uint8_t)i}, a6[16] = {0x20, 1, 0xd, 0xb8, [15] = (uint8_t)i};
		p = type == DNS_TYPE_A ? record_put(p, owner, type, s->ttl_s, a4, 4)
			: record_put(p, owner, type, s->ttl_s, a6, 16);
	}
	return p;
}

static uint8_t *soa_put(uint8_t *p, uint32_t minimum)
{
	uint8_t data[64], *d = name_put(data, "ns.example");
	d = name_put(d, "root.example");
	memset(d, 0, 20);
	store_be32(d + 16, minimum);
	return record_put(p, 12, DNS_TYPE_SOA, 3600, data, (size_t)(d + 20 - data));
}

static size_t reply_make(struct server *s, struct slice q, bool tcp, uint8_t *out)
{
	size_t name_end = 12;
	while (q.ptr[name_end])
		name_end += q.ptr[name_end] + 1u;
	size_t question_end = name_end + 5;
	uint16_t type = load_be16(q.ptr + name_end + 1);
	bool edns = load_be16(q.ptr + 10) == 1;
	memcpy(out, q.ptr, question_end);
	store_be16(out + 2, 0x8180);
	store_be16(out + 10, 0);
	uint8_t *p = out + question_end;
	uint16_t alias_at = (uint16_t)(question_end + 12);
	uint8_t alias[32];
	size_t alias_len = (size_t)(name_put(alias, "alias.example") - alias);
	bool asks_alias = memcmp(q.ptr + 12, "\5", 1) == 0 && (q.ptr[13] | 32) == 'a' && (q.ptr[14] | 32) == 'l';
	switch (s->manner) {
	case FAILS:
		out[3] |= 2;
		break;
	case NO_NAME:
		out[3] |= 3;
		/* fall through */
	case NO_DATA:
		p = soa_put(p, 100);
		store_be16(out + 8, 1);
		break;
	case ALIAS:
		p = record_put(p, 12, DNS_TYPE_CNAME, 7, alias, alias_len);
		p = addresses_put(s, p, alias_at, type);
		store_be16(out + 6, (uint16_t)(1 + s->count));
		break;
	case CUT_OFF_ALIAS:
		if (!asks_alias && !tcp) {
			out[2] |= 2;
			break;
		}
		/* fall through */
	case ALIAS_ALONE:
		if (!asks_alias) {
			p = record_put(p, 12, DNS_TYPE_CNAME, 7, alias, alias_len);
			store_be16(out + 6, 1);
			break;
		}
		p = addresses_put(s, p, 12, type);
		store_be16(out + 6, (uint16_t)s->count);
		break;
	case ALIAS_LOOP:
		p = record_put(p, 12, DNS_TYPE_CNAME, 7, alias, alias_len);
		p = record_put(p, alias_at, DNS_TYPE_CNAME, 7, (const uint8_t *)"\xc0\x0c", 2);
		store_be16(out + 6, 2);
		break;
	case CUT_OFF:
	case CUT_OFF_DEAD:
		if (!tcp) {
			out[2] |= 2;
			break;
		}
		p = addresses_put(s, p, 12, type);
		store_be16(out + 6, (uint16_t)s->count);
		break;
	case NO_EDNS:
		if (edns) {
			out[3] |= 1;
			break;
		}
		/* fall through */
	case ADDRESSES:
	case FORGED:
	case OTHER_CASE:
		p = addresses_put(s, p, 12, type);
		store_be16(out + 6, (uint16_t)s->count);
		break;
	case SILENT:
		return 0;
	}
	if (s->manner == OTHER_CASE)
		for (size_t i = 12; i < name_end; i++)
			out[i] |= out[i] >= 'A' && out[i] <= 'Z' ? 32 : 0;
	return (size_t)(p - out);
}

static void left(struct udp_datagram *d)
{
	(void)d;
}

static void udp_answer(struct server *s, struct udp_socket *socket, const struct net_endpoint *to,
	struct slice reply)
{
	uint32_t i = s->next++ % 8;
	memcpy(s->reply[i], reply.ptr, reply.len);
	s->datagram[i] = (struct udp_datagram){.segment = {slice_of(s->reply[i], reply.len)}, .count = 1,
		.done = left};
	assert_false(failed(udp_send(socket, to, &s->datagram[i])));
}

static void asked(struct udp_socket *socket, const struct net_endpoint *from, struct slice q)
{
	struct server *s = socket->cookie;
	uint8_t reply[1400];
	s->questions++;
	s->with_edns += load_be16(q.ptr + 10) == 1;
	s->ports_differ += s->last_port && from->port != s->last_port;
	s->last_port = from->port;
	s->case_differs |= s->questions > 1 && memcmp(s->last_name, q.ptr + 12, 12) != 0;
	memcpy(s->last_name, q.ptr + 12, 12);
	size_t len = reply_make(s, q, false, reply);
	if (!len)
		return;
	if (s->manner == FORGED) {
		udp_answer(s, &s->other, from, slice_of(reply, len));
		reply[0] ^= 1; /* another id */
		udp_answer(s, &s->socket, from, slice_of(reply, len));
		reply[0] ^= 1;
		reply[13] ^= 1; /* another name */
		udp_answer(s, &s->socket, from, slice_of(reply, len));
		reply[13] ^= 1;
		udp_answer(s, &s->socket, from, slice_of(reply, len / 2)); /* half of it */
	}
	udp_answer(s, &s->socket, from, slice_of(reply, len));
}

static void tcp_left(struct tcp_send *send, bool delivered)
{
	(void)send;
	(void)delivered;
}

static void tcp_asked(struct tcp_handler *h, struct tcp_conn *c, uint32_t events)
{
	struct server *s = CONTAINER_OF(h, struct server, handler);
	struct slice q;
	if (events & TCP_READABLE && tcp_peek(c, &q) && q.len > 2 && q.len == 2u + load_be16(q.ptr)) {
		uint32_t i = s->by_tcp++ % 4;
		size_t len = reply_make(s, slice_sub(q, 2, q.len), true, s->message[i] + 2);
		store_be16(s->message[i], (uint16_t)len);
		s->segment[i] = slice_of(s->message[i], len + 2);
		s->send[i] = (struct tcp_send){.segments = &s->segment[i], .count = 1, .done = tcp_left};
		assert_false(failed(tcp_send(c, &s->send[i])));
		tcp_consume(c, q.len);
		tcp_close(c);
	}
	if (events & TCP_CLOSED)
		tcp_release(c);
}

static void resolved(struct dns_query *q)
{
	struct bench *b = q->cookie;
	assert_false(b->done);
	b->done = true;
}

static void bench_start(struct bench *b, enum manner manner, uint32_t lookups)
{
	memset(b, 0, sizeof *b);
	world_init(&b->w, 5);
	for (uint32_t i = 0; i < 2; i++) {
		struct net_config c = world_config(&b->w, i);
		world_start(&b->w, i, &c);
	}
	b->server = (struct server){.manner = manner, .count = 2, .ttl_s = 60};
	b->server.socket = (struct udp_socket){.port = 53, .receive = asked, .cookie = &b->server};
	assert_false(failed(udp_bind(b->w.station[0].net, &b->server.socket)));
	b->server.other = (struct udp_socket){.port = 54};
	assert_false(failed(udp_bind(b->w.station[0].net, &b->server.other)));
	b->server.handler.event = tcp_asked;
	if (manner != CUT_OFF_DEAD)
		assert_false(failed(tcp_listen_for(b->w.station[0].net, 53, 0, &b->server.handler)));
	random_init(&b->random);
	random_mix(&b->random, SLICE("a seed of thirty-two bytes, as it must be"));
	struct dns_config config = {.net = b->w.station[1].net, .random = &b->random,
		.server = {{net_address_v4(WORLD_A_IP), 0}}, .server_count = 1, .lookups_max = lookups};
	b->memory = aligned_alloc(64, (dns_memory_size(&config) + 63) / 64 * 64);
	assert_false(failed(dns_init(&b->dns, &config, b->memory)));
}

static void bench_stop(struct bench *b)
{
	world_deinit(&b->w);
	free(b->memory);
}

static void serve(struct world *w)
{
	uint32_t events;
	for (int i = 0; i < 2; i++)
		assert_null(net_event_next(w->station[i].net, &events));
}

static err ask(struct bench *b, const char *name, uint32_t families, uint64_t ns)
{
	b->done = false;
	net_advance(b->w.station[1].net, b->w.now_ns);
	b->query = (struct dns_query){.name = slice_from_cstr(name), .families = families, .done = resolved,
		.cookie = b};
	assert_false(failed(dns_resolve(b->dns, &b->query)));
	world_run(&b->w, b->w.now_ns + ns, serve);
	assert_true(b->done);
	return b->query.result;
}

static void a_name_has_addresses_of_both_families(void **state)
{
	(void)state;
	struct bench b;
	bench_start(&b, ADDRESSES, 4);
	assert_false(failed(ask(&b, "www.example.com", DNS_ANY, SECOND)));
	assert_int_equal(b.query.count, 4);
	assert_int_equal(b.server.questions, 2);
	assert_int_equal(b.server.with_edns, 2);
	uint32_t v4 = 0;
	for (uint32_t i = 0; i < 4; i++)
		v4 += net_address_is_v4(&b.query.address[i]);
	assert_int_equal(v4, 2);
	bench_stop(&b);
}

static void an_answer_is_kept_until_it_expires(void **state)
{
	(void)state;
	struct bench b;
	bench_start(&b, ADDRESSES, 4);
	assert_false(failed(ask(&b, "www.example.com", DNS_IP4, SECOND)));
	assert_false(failed(ask(&b, "WWW.Example.com.", DNS_IP4, SECOND)));
	assert_int_equal(b.server.questions, 1);
	assert_int_equal(dns_counters(b.dns)->cache_hits, 1);
	assert_false(failed(ask(&b, "www.example.org", DNS_IP4, 57 * SECOND)));
	assert_int_equal(b.server.questions, 2);
	assert_false(failed(ask(&b, "www.example.com", DNS_IP4, 2 * SECOND)));
	assert_int_equal(b.server.questions, 2);
	assert_false(failed(ask(&b, "www.example.com", DNS_IP4, SECOND)));
	assert_int_equal(b.server.questions, 3);
	bench_stop(&b);
}

static void that_there_is_none_is_kept_too_as_long_as_the_zone_says(void **state)
{
	(void)state;
	static const enum manner none[] = {NO_NAME, NO_DATA};
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		struct bench b;
		bench_start(&b, none[i], 4);
		assert_int_equal(ask(&b, "nobody.example", DNS_IP4, SECOND).code, ERR_NOT_FOUND);
		assert_int_equal(ask(&b, "nobody.example", DNS_IP4, 98 * SECOND).code, ERR_NOT_FOUND);
		assert_int_equal(b.server.questions, 1);
		assert_int_equal(ask(&b, "nobody.example", DNS_IP4, 2 * SECOND).code, ERR_NOT_FOUND);
		assert_int_equal(b.server.questions, 1);
		assert_int_equal(ask(&b, "nobody.example", DNS_IP4, 2 * SECOND).code, ERR_NOT_FOUND);
		assert_int_equal(b.server.questions, 2);
		bench_stop(&b);
	}
}

static void aliases_are_followed_in_an_answer_and_by_another_question(void **state)
{
	(void)state;
	struct bench b;
	bench_start(&b, ALIAS, 4);
	assert_false(failed(ask(&b, "www.example.com", DNS_IP4, SECOND)));
	assert_int_equal(b.query.count, 2);
	assert_int_equal(b.server.questions, 1);
	/* The alias holds for 7 s, and so does the answer. */
	assert_false(failed(ask(&b, "www.example.com", DNS_IP4, 7 * SECOND)));
	assert_int_equal(b.server.questions, 1);
	assert_false(failed(ask(&b, "www.example.com", DNS_IP4, SECOND)));
	assert_int_equal(b.server.questions, 2);
	bench_stop(&b);
	bench_start(&b, ALIAS_ALONE, 4);
	assert_false(failed(ask(&b, "www.example.com", DNS_IP6, SECOND)));
	assert_int_equal(b.query.count, 2);
	assert_int_equal(b.server.questions, 2);
	assert_false(failed(ask(&b, "www.example.com", DNS_IP6, 7 * SECOND)));
	assert_int_equal(b.server.questions, 2);
	assert_false(failed(ask(&b, "www.example.com", DNS_IP6, SECOND)));
	assert_true(b.server.questions > 2);
	bench_stop(&b);
}

static void aliases_that_lead_nowhere_end(void **state)
{
	(void)state;
	struct bench b;
	bench_start(&b, ALIAS_LOOP, 4);
	assert_int_equal(ask(&b, "www.example.com", DNS_IP4, 60 * SECOND).code, ERR_IO);
	assert_true(b.server.questions < 12);
	bench_stop(&b);
}

static void an_answer_that_is_cut_off_is_fetched_by_tcp(void **state)
{
	(void)state;
	struct bench b;
	bench_start(&b, CUT_OFF, 4);
	b.server.count = 20;
	assert_false(failed(ask(&b, "many.example", DNS_ANY, 5 * SECOND)));
	assert_int_equal(b.query.count, 2 * DNS_ADDRESSES_MAX);
	assert_int_equal(b.server.by_tcp, 2);
	assert_int_equal(dns_counters(b.dns)->tcp_fallbacks, 2);
	world_run(&b.w, b.w.now_ns + 200 * SECOND, serve);
	assert_int_equal(net_usage(b.w.station[1].net).connections, 0);
	assert_int_equal(net_usage(b.w.station[0].net).connections, 0);
	bench_stop(&b);
	bench_start(&b, CUT_OFF_DEAD, 4);
	assert_int_equal(ask(&b, "many.example", DNS_IP4, 60 * SECOND).code, ERR_IO);
	assert_int_equal(net_usage(b.w.station[1].net).connections, 0);
	bench_stop(&b);
}

/* The world looks whether what the device still reads is what it was. */
static void no_question_is_made_in_the_place_of_one_that_has_not_left(void **state)
{
	(void)state;
	struct bench b;
	char name[] = "a.example";
	bench_start(&b, CUT_OFF_ALIAS, 4);
	for (; name[0] <= 'z'; name[0]++) {
		assert_false(failed(ask(&b, name, DNS_IP4, 20 * SECOND)));
		assert_int_equal(b.query.count, 2);
	}
	assert_int_equal(b.server.by_tcp, 26);
	bench_stop(&b);
}

static void a_server_that_knows_no_edns_is_asked_without(void **state)
{
	(void)state;
	struct bench b;
	bench_start(&b, NO_EDNS, 4);
	assert_false(failed(ask(&b, "www.example.com", DNS_IP4, SECOND)));
	assert_int_equal(b.server.questions, 2);
	assert_int_equal(b.server.with_edns, 1);
	bench_stop(&b);
}

static void what_is_not_the_answer_changes_nothing(void **state)
{
	(void)state;
	struct bench b;
	bench_start(&b, FORGED, 4);
	assert_false(failed(ask(&b, "www.example.com", DNS_IP4, SECOND)));
	assert_int_equal(dns_counters(b.dns)->rejected, 4);
	assert_int_equal(b.server.questions, 1);
	bench_stop(&b);
	/* The case of the letters is part of the question. By chance all are lower: once in 2^13. */
	bench_start(&b, OTHER_CASE, 4);
	assert_int_equal(ask(&b, "www.example.com", DNS_IP4, 60 * SECOND).code, ERR_TIMEOUT);
	bench_stop(&b);
}

static void who_is_silent_is_asked_three_times_with_patience(void **state)
{
	(void)state;
	struct bench b;
	bench_start(&b, SILENT, 4);
	b.query = (struct dns_query){.name = SLICE("www.example.com"), .families = DNS_IP4,
		.done = resolved, .cookie = &b};
	assert_false(failed(dns_resolve(b.dns, &b.query)));
	world_run(&b.w, b.w.now_ns + 6 * SECOND, serve);
	assert_false(b.done);
	assert_int_equal(b.server.questions, 3);
	world_run(&b.w, b.w.now_ns + 2 * SECOND, serve);
	assert_true(b.done);
	assert_int_equal(b.query.result.code, ERR_TIMEOUT);
	/* Each from a port and with letters of its own. */
	assert_int_equal(b.server.ports_differ, 2);
	assert_true(b.server.case_differs);
	bench_stop(&b);
}

static void a_server_that_cannot_say_is_no_reason_to_wait(void **state)
{
	(void)state;
	struct bench b;
	bench_start(&b, FAILS, 4);
	assert_int_equal(ask(&b, "www.example.com", DNS_ANY, SECOND / 2).code, ERR_IO);
	bench_stop(&b);
}

static void the_next_server_is_asked_when_one_is_silent_and_stays_the_first(void **state)
{
	(void)state;
	struct bench b;
	bench_start(&b, ADDRESSES, 4);
	struct dns_config config = {.net = b.w.station[1].net, .random = &b.random,
		.server = {{net_address_v4(WORLD_A_IP), 5353}, {net_address_v4(WORLD_A_IP), 0}}, .server_count = 2};
	free(b.memory);
	b.memory = aligned_alloc(64, (dns_memory_size(&config) + 63) / 64 * 64);
	assert_false(failed(dns_init(&b.dns, &config, b.memory)));
	assert_false(failed(ask(&b, "one.example", DNS_IP4, 2 * SECOND)));
	assert_int_equal(dns_counters(b.dns)->retries, 1);
	assert_false(failed(ask(&b, "two.example", DNS_IP4, SECOND / 2)));
	assert_int_equal(dns_counters(b.dns)->retries, 1);
	bench_stop(&b);
}

static void the_same_question_is_asked_once_for_many(void **state)
{
	(void)state;
	struct bench b;
	static struct dns_query query[5];
	bool done = false;
	bench_start(&b, ADDRESSES, 1);
	for (int i = 0; i < 4; i++) {
		query[i] = (struct dns_query){.name = SLICE("www.example.com"), .families = DNS_IP4,
			.done = resolved, .cookie = &b};
		assert_false(failed(dns_resolve(b.dns, &query[i])));
	}
	/* No lookup is left for another name. */
	b.done = done;
	query[4] = query[0];
	query[4].name = SLICE("www.example.org");
	assert_false(failed(dns_resolve(b.dns, &query[4])));
	assert_true(b.done);
	assert_int_equal(query[4].result.code, ERR_NO_MEMORY);
	b.done = false;
	for (int i = 1; i < 4; i++)
		dns_cancel(&query[i]); /* else `resolved` would be called again */
	world_run(&b.w, b.w.now_ns + SECOND, serve);
	assert_true(b.done);
	assert_int_equal(b.server.questions, 1);
	assert_int_equal(dns_counters(b.dns)->joined, 3);
	dns_cancel(&query[0]);
	/* And the lookup is free again. */
	assert_false(failed(ask(&b, "www.example.org", DNS_IP4, SECOND)));
	bench_stop(&b);
}

static void addresses_and_local_names_need_no_server(void **state)
{
	(void)state;
	struct bench b;
	bench_start(&b, SILENT, 4);
	assert_false(failed(ask(&b, "192.0.2.7", DNS_ANY, 0)));
	assert_int_equal(net_address_to_v4(&b.query.address[0]), 0xc0000207);
	assert_false(failed(ask(&b, "2001:db8::1", DNS_IP6, 0)));
	assert_int_equal(ask(&b, "2001:db8::1", DNS_IP4, 0).code, ERR_NOT_FOUND);
	assert_int_equal(ask(&b, "localhost", DNS_ANY, 0).code, ERR_NOT_FOUND);
	assert_int_equal(ask(&b, "www.localhost.", DNS_ANY, 0).code, ERR_NOT_FOUND);
	assert_int_equal(b.server.questions, 0);
	bench_stop(&b);
}

static void what_is_no_name_is_refused(void **state)
{
	(void)state;
	struct bench b;
	static const char *const bad[] = {"", ".", "a..b", ".a", "a b", "a/b", "1.2.3.4.5 ", "\xc3\xa4.example",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example"};
	char text[300];
	bench_start(&b, SILENT, 4);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		b.query = (struct dns_query){.name = slice_from_cstr(bad[i]), .families = DNS_IP4,
			.done = resolved, .cookie = &b};
		assert_int_equal(dns_resolve(b.dns, &b.query).code, ERR_INVALID);
	}
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = i % 2 ? '.' : 'a';
	b.query.name = slice_of(text, 255);
	assert_int_equal(dns_resolve(b.dns, &b.query).code, ERR_INVALID);
	b.query.name = slice_of(text, 253);
	assert_false(failed(dns_resolve(b.dns, &b.query)));
	dns_cancel(&b.query);
	bench_stop(&b);
}

static void a_compressed_name_that_points_forward_or_at_itself_is_malformed(void **state)
{
	(void)state;
	struct dns_name name;
	struct dns_answer a;
	uint8_t query[DNS_QUERY_MAX], m[64], cases[DNS_NAME_MAX / 8 + 1] = {0};
	assert_true(dns_name_parse(SLICE("a.b"), &name));
	size_t len = dns_query_write(query, 7, &name, DNS_TYPE_A, false, cases);
	for (uint16_t to = 0; to < 64; to++) {
		memcpy(m, query, len);
		m[2] = 0x81;
		store_be16(m + 6, 1);
		uint8_t *end = record_put(m + len, to, DNS_TYPE_A, 60, (const uint8_t *)"\1\2\3\4", 4);
		bool good = dns_answer_read(slice_of(m, (size_t)(end - m)), slice_of(query, len), &a);
		/* Only what lies before can be meant. Of it, some bytes are names by chance. */
		if (to >= len)
			assert_false(good);
		if (to == 12)
			assert_int_equal(a.count, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_has_addresses_of_both_families),
		cmocka_unit_test(an_answer_is_kept_until_it_expires),
		cmocka_unit_test(that_there_is_none_is_kept_too_as_long_as_the_zone_says),
		cmocka_unit_test(aliases_are_followed_in_an_answer_and_by_another_question),
		cmocka_unit_test(aliases_that_lead_nowhere_end),
		cmocka_unit_test(an_answer_that_is_cut_off_is_fetched_by_tcp),
		cmocka_unit_test(no_question_is_made_in_the_place_of_one_that_has_not_left),
		cmocka_unit_test(a_server_that_knows_no_edns_is_asked_without),
		cmocka_unit_test(what_is_not_the_answer_changes_nothing),
		cmocka_unit_test(who_is_silent_is_asked_three_times_with_patience),
		cmocka_unit_test(a_server_that_cannot_say_is_no_reason_to_wait),
		cmocka_unit_test(the_next_server_is_asked_when_one_is_silent_and_stays_the_first),
		cmocka_unit_test(the_same_question_is_asked_once_for_many),
		cmocka_unit_test(addresses_and_local_names_need_no_server),
		cmocka_unit_test(what_is_no_name_is_refused),
		cmocka_unit_test(a_compressed_name_that_points_forward_or_at_itself_is_malformed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
