/* IPv6 below TCP: what comes in malformed or from nowhere goes nowhere; extension headers, ICMPv6, UDP. The
 * engine is station B; the peer is the test. */
#include <net/net.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "checksum.h"
#include "support/world.h"

#define SECOND UINT64_C(1000000000)
#define MS UINT64_C(1000000)
#define IP 14        /* where the IPv6 header begins in a frame */
#define BODY (IP + 40)

struct tape {
	struct world w;
	struct net *net;
	uint8_t last[2048]; /* what the engine said last, but for neighbours and groups */
	uint32_t last_len, said;
};

/* A frame being made. */
struct packet6 {
	uint8_t f[1600];
	uint32_t len;
	uint32_t next_at; /* where the number of the header that comes next goes */
};

static struct net_address address(const char *text)
{
	struct net_address a;
	assert_true(net_address_parse(slice_from_cstr(text), &a));
	return a;
}

static uint64_t pseudo(const uint8_t *f, uint8_t protocol, uint32_t len)
{
	return checksum_sum(slice_of(f + IP + 8, 32)) + ((uint32_t)protocol << 8) + __builtin_bswap32(len);
}

static struct packet6 packet(const char *from, const char *to)
{
	struct packet6 p = {.f = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60}, .len = BODY,
		.next_at = IP + 6};
	struct net_address source = address(from), destination = address(to);
	if (destination.octet[0] == 0xff) {
		p.f[0] = p.f[1] = 0x33;
		memcpy(p.f + 2, destination.octet + 12, 4);
	}
	p.f[IP + 6] = 59;
	p.f[IP + 7] = 64;
	memcpy(p.f + IP + 8, source.octet, 16);
	memcpy(p.f + IP + 24, destination.octet, 16);
	return p;
}

/* Appends an extension header of the given type; its first byte is the next header's number. */
static void extend(struct packet6 *p, uint8_t type, const void *bytes, uint32_t len)
{
	p->f[p->next_at] = type;
	p->next_at = p->len;
	memcpy(p->f + p->len, bytes, len);
	p->f[p->len] = 59;
	p->len += len;
}

/* Appends the last header, whose checksum stands at `sum_at`, with `extra` more bytes behind it. */
static void finish(struct packet6 *p, uint8_t type, const void *bytes, uint32_t len, uint32_t sum_at)
{
	uint8_t *b = p->f + p->len;
	p->f[p->next_at] = type;
	memcpy(b, bytes, len);
	store_le16(b + sum_at, (uint16_t)~checksum_fold(pseudo(p->f, type, len) + checksum_sum(slice_of(b, len))));
	p->len += len;
	store_be16(p->f + IP + 4, (uint16_t)(p->len - BODY));
}

static void echo(struct packet6 *p)
{
	uint8_t m[108] = {128, 0, 0, 0, 0xab, 0xcd, 0, 7};
	for (uint32_t i = 8; i < sizeof m; i++)
		m[i] = (uint8_t)(i * 3);
	finish(p, 58, m, sizeof m, 2);
}

static void datagram(struct packet6 *p, uint16_t port, const char *text)
{
	uint8_t m[64] = {0};
	uint32_t len = 8 + (uint32_t)strlen(text);
	store_be16(m, 4000);
	store_be16(m + 2, port);
	store_be16(m + 4, (uint16_t)len);
	memcpy(m + 8, text, len - 8);
	finish(p, 17, m, len, 6);
}

/* The peer is asked for its address, and answers. */
static void advertise(struct tape *t, const uint8_t *asked)
{
	struct packet6 p = packet("fd00::1", "fd00::2");
	uint8_t m[32] = {136, 0, 0, 0, 0x60};
	memcpy(p.f + IP + 8, asked + BODY + 8, 16);
	memcpy(p.f + IP + 24, asked + IP + 8, 16);
	memcpy(m + 8, asked + BODY + 8, 16);
	m[24] = 2;
	m[25] = 1;
	memcpy(m + 26, p.f + 6, 6);
	p.f[IP + 7] = 255;
	finish(&p, 58, m, sizeof m, 2);
	world_inject(&t->w, 1, p.f, p.len);
}

static bool record(struct world *w, uint32_t from, uint8_t *b, uint32_t len)
{
	struct tape *t = w->cookie;
	uint8_t type = len > BODY ? b[BODY] : 0;
	(void)from;
	if (load_be16(b + 12) != 0x86dd || b[IP + 6] == 0 || (b[IP + 6] == 58 && type >= 130)) {
		if (load_be16(b + 12) == 0x86dd && b[IP + 6] == 58 && type == 135 && load_be64(b + IP + 8))
			advertise(t, b);
		return false;
	}
	assert_int_equal(load_be16(b + IP + 4), len - BODY);
	assert_int_equal(checksum_fold(pseudo(b, b[IP + 6], len - BODY)
		+ checksum_sum(slice_of(b + BODY, len - BODY))), 0xffff);
	memcpy(t->last, b, len);
	t->last_len = len;
	t->said++;
	return false;
}

static void run(struct tape *t, uint64_t ns)
{
	world_run(&t->w, t->w.now_ns + ns, NULL);
}

static void tape_start(struct tape *t)
{
	memset(t, 0, sizeof *t);
	world_init(&t->w, 3);
	t->w.filter = record;
	t->w.cookie = t;
	struct net_config c = world_config(&t->w, 1);
	world_config_ip6(&c, 1);
	world_start(&t->w, 1, &c);
	t->net = t->w.station[1].net;
	run(t, WORLD_IP6_READY_NS);
	t->said = 0;
}

static void tape_stop(struct tape *t)
{
	run(t, 20 * SECOND);
	assert_int_equal(net_usage(t->net).tx_frames, 0);
	assert_int_equal(net_usage(t->net).rx_frames, 0);
	assert_int_equal(t->w.station[1].buffers_out, 0);
	world_deinit(&t->w);
}

/* How many packets the engine says to this one. */
static uint32_t say(struct tape *t, const struct packet6 *p)
{
	uint32_t before = t->said;
	world_inject(&t->w, 1, p->f, p->len);
	run(t, 50 * MS); /* the limits on answers recover */
	return t->said - before;
}

static void assert_echo_reply(const struct tape *t, const struct packet6 *p)
{
	assert_int_equal(t->last[IP + 6], 58);
	assert_int_equal(t->last[BODY], 129);
	assert_int_equal(t->last_len, BODY + 108);
	assert_memory_equal(t->last + BODY + 4, p->f + p->len - 104, 104);
	assert_memory_equal(t->last + IP + 24, p->f + IP + 8, 16);
}

static void assert_error(const struct tape *t, const struct packet6 *p, uint8_t type, uint8_t code, uint32_t word)
{
	assert_int_equal(t->last[IP + 6], 58);
	assert_int_equal(t->last[BODY], type);
	assert_int_equal(t->last[BODY + 1], code);
	assert_int_equal(load_be32(t->last + BODY + 4), word);
	uint32_t quote = p->len - IP < 1232 ? p->len - IP : 1232;
	assert_int_equal(t->last_len, BODY + 8 + quote);
	assert_memory_equal(t->last + BODY + 8, p->f + IP, quote);
}

static void echo_is_answered_from_our_unicast_address(void **state)
{
	(void)state;
	struct tape t;
	struct net_address own = address("fd00::2");
	tape_start(&t);
	struct packet6 p = packet("fd00::1", "fd00::2");
	echo(&p);
	assert_int_equal(say(&t, &p), 1);
	assert_echo_reply(&t, &p);
	assert_memory_equal(t.last + IP + 8, own.octet, 16);
	p = packet("fd00::1", "ff02::1");
	echo(&p);
	assert_int_equal(say(&t, &p), 1);
	assert_echo_reply(&t, &p);
	assert_memory_equal(t.last + IP + 8, own.octet, 16);
	p.f[p.len - 1] ^= 1;
	assert_int_equal(say(&t, &p), 0);
	assert_int_equal(net_counters(t.net)->icmp6_in_errors, 1);
	tape_stop(&t);
}

static void a_flood_of_questions_gets_a_bounded_number_of_answers(void **state)
{
	(void)state;
	struct tape t;
	tape_start(&t);
	struct packet6 p = packet("fd00::1", "fd00::2"), q = packet("fd00::1", "fd00::2");
	echo(&p);
	datagram(&q, 9, "x");
	say(&t, &p);
	for (uint32_t i = 0; i < 1000; i++) {
		world_inject(&t.w, 1, p.f, p.len);
		world_inject(&t.w, 1, q.f, q.len);
		if (i % 20 == 0)
			run(&t, 10000);
	}
	run(&t, 10 * MS);
	assert_true(net_counters(t.net)->icmp6_out_echo_replies <= 1 + 220);
	assert_true(net_counters(t.net)->icmp6_out_dest_unreachs <= 22);
	assert_true(net_counters(t.net)->icmp6_out_rate_limited > 1500);
	tape_stop(&t);
}

static void what_is_cut_short_or_of_another_version_is_dropped(void **state)
{
	(void)state;
	struct tape t;
	tape_start(&t);
	struct packet6 p = packet("fd00::1", "fd00::2");
	echo(&p);
	for (uint32_t len = 0; len < p.len; len++)
		world_inject(&t.w, 1, p.f, len);
	run(&t, MS);
	assert_int_equal(net_counters(t.net)->ip6_in_hdr_errors, 40);
	assert_int_equal(net_counters(t.net)->ip6_in_truncated, p.len - BODY);
	p.f[IP] = 0x40;
	assert_int_equal(say(&t, &p), 0);
	assert_int_equal(net_counters(t.net)->ip6_in_hdr_errors, 41);
	p.f[IP] = 0x60;
	p.len += 20; /* padding behind the packet is not looked at */
	assert_int_equal(say(&t, &p), 1);
	assert_int_equal(t.last_len, BODY + 108);
	tape_stop(&t);
}

static void no_packet_from_or_to_an_impossible_address_is_taken(void **state)
{
	(void)state;
	static const char *const ends[][2] = {
		{"ff02::1", "fd00::2"}, {"::1", "fd00::2"}, {"::ffff:10.0.0.1", "fd00::2"}, {"::", "fd00::2"},
		{"fd00::2", "fd00::2"}, {"fd00::1", "fd00::3"}, {"fd00::1", "::1"}, {"fd00::1", "::"},
		{"fd00::1", "::ffff:10.0.0.2"}, {"fd00::1", "ff02::1234"}, {"fd00::1", "ff01::1"},
		{"fd00::1", "ff00::1"}, {"fd00::1", "fe80::77"},
	};
	struct tape t;
	tape_start(&t);
	uint64_t before = net_counters(t.net)->ip6_in_addr_errors;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct packet6 p = packet(ends[i][0], ends[i][1]);
		echo(&p);
		if (say(&t, &p))
			fail_msg("from %s to %s was answered", ends[i][0], ends[i][1]);
		assert_int_equal(net_counters(t.net)->ip6_in_addr_errors, ++before);
	}
	/* To all on the link, but a unicast address inside: nothing that tells anybody. */
	struct packet6 p = packet("fd00::1", "fd00::2");
	p.f[0] = p.f[1] = 0x33;
	datagram(&p, 9, "x");
	assert_int_equal(say(&t, &p), 0);
	/* With no address one cannot be told anything. */
	p = packet("::", "ff02::1");
	echo(&p);
	assert_int_equal(say(&t, &p), 0);
	tape_stop(&t);
}

static void extension_headers_are_skipped(void **state)
{
	(void)state;
	static const uint8_t padded[16] = {0, 1, 1, 4, 0, 0, 0, 0, 0x1e, 0, 1, 4}, routing[24] = {0, 2, 0, 0};
	static const uint8_t unknown_but_harmless[8] = {0, 0, 0x1e, 2, 0, 0, 1, 0}, atomic[8] = {0};
	struct tape t;
	tape_start(&t);
	struct packet6 p = packet("fd00::1", "fd00::2");
	extend(&p, 0, padded, sizeof padded);
	extend(&p, 60, unknown_but_harmless, sizeof unknown_but_harmless);
	extend(&p, 43, routing, sizeof routing);
	extend(&p, 44, atomic, sizeof atomic);
	extend(&p, 60, padded, sizeof padded);
	echo(&p);
	assert_int_equal(say(&t, &p), 1);
	assert_echo_reply(&t, &p);
	/* Each byte that is missing from the chain is missed. */
	uint32_t chain = p.len - 108 - BODY, all = p.len;
	for (uint32_t len = 0; len < chain; len++) {
		store_be16(p.f + IP + 4, (uint16_t)len);
		assert_int_equal(say(&t, &p), 0);
	}
	assert_int_equal(all, p.len);
	tape_stop(&t);
}

static void an_unknown_next_header_is_a_parameter_problem(void **state)
{
	(void)state;
	static const uint8_t body[600] = {1, 2, 3}, pad[8] = {0, 0, 1, 4};
	struct tape t;
	tape_start(&t);
	struct packet6 p = packet("fd00::1", "fd00::2");
	finish(&p, 253, body, sizeof body, 2);
	assert_int_equal(say(&t, &p), 1);
	assert_error(&t, &p, 4, 1, 6);
	p = packet("fd00::1", "fd00::2");
	extend(&p, 60, pad, sizeof pad);
	extend(&p, 60, pad, sizeof pad);
	finish(&p, 253, body, sizeof body, 2);
	assert_int_equal(say(&t, &p), 1);
	assert_error(&t, &p, 4, 1, 48);
	/* Hop-by-hop options anywhere but in front. */
	p = packet("fd00::1", "fd00::2");
	extend(&p, 60, pad, sizeof pad);
	extend(&p, 0, pad, sizeof pad);
	echo(&p);
	assert_int_equal(say(&t, &p), 1);
	assert_error(&t, &p, 4, 1, 40);
	p = packet("fd00::1", "ff02::1");
	finish(&p, 253, body, sizeof body, 2);
	assert_int_equal(say(&t, &p), 0);
	/* "No next header" is none. */
	p = packet("fd00::1", "fd00::2");
	store_be16(p.f + IP + 4, 0);
	assert_int_equal(say(&t, &p), 0);
	assert_int_equal(net_counters(t.net)->ip6_in_unknown_protos, 4);
	tape_stop(&t);
}

static void an_error_quotes_no_more_than_passes_everywhere(void **state)
{
	(void)state;
	static const uint8_t body[1400] = {1, 2, 3};
	struct tape t;
	tape_start(&t);
	struct packet6 p = packet("fd00::1", "fd00::2");
	finish(&p, 253, body, sizeof body, 2);
	assert_int_equal(say(&t, &p), 1);
	assert_error(&t, &p, 4, 1, 6);
	assert_int_equal(t.last_len - IP, 1280);
	tape_stop(&t);
}

static void unknown_options_have_the_effect_that_their_number_says(void **state)
{
	(void)state;
	struct tape t;
	tape_start(&t);
	static const struct {
		uint8_t option;
		uint32_t answers, answers_multicast, problem;
	} cases[] = {{0x1e, 1, 1, 0}, {0x5e, 0, 0, 0}, {0x9e, 1, 1, 1}, {0xde, 1, 0, 1}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint8_t options[8] = {0, 0, 1, 0, cases[i].option, 1, 0, 0};
		for (uint32_t multicast = 0; multicast < 2; multicast++) {
			struct packet6 p = packet("fd00::1", multicast ? "ff02::1" : "fd00::2");
			extend(&p, i % 2 ? 60 : 0, options, sizeof options);
			echo(&p);
			uint32_t want = multicast ? cases[i].answers_multicast : cases[i].answers;
			assert_int_equal(say(&t, &p), want);
			if (want && cases[i].problem)
				assert_error(&t, &p, 4, 2, 44);
			else if (want)
				assert_echo_reply(&t, &p);
		}
	}
	tape_stop(&t);
}

static void source_routes_are_refused(void **state)
{
	(void)state;
	uint8_t routing[24] = {0, 2, 0, 1};
	struct tape t;
	tape_start(&t);
	for (uint8_t type = 0; type < 5; type += 2) {
		struct packet6 p = packet("fd00::1", "fd00::2");
		routing[2] = type;
		extend(&p, 43, routing, sizeof routing);
		echo(&p);
		assert_int_equal(say(&t, &p), 1);
		assert_error(&t, &p, 4, 0, 42);
	}
	tape_stop(&t);
}

static void chains_options_and_padding_are_bounded(void **state)
{
	(void)state;
	static const uint8_t pad[8] = {0, 0, 1, 4};
	struct tape t;
	tape_start(&t);
	struct packet6 p = packet("fd00::1", "fd00::2");
	for (uint32_t i = 0; i < 8; i++)
		extend(&p, 60, pad, sizeof pad);
	struct packet6 q = p;
	echo(&p);
	assert_int_equal(say(&t, &p), 1);
	extend(&q, 60, pad, sizeof pad);
	echo(&q);
	assert_int_equal(say(&t, &q), 0);
	uint8_t many[32] = {0, 3};
	for (uint32_t i = 0; i < 10; i++) /* of one byte each, harmless */
		memcpy(many + 2 + 3 * i, "\x1e\x01\x00", 3);
	p = packet("fd00::1", "fd00::2");
	extend(&p, 60, many, sizeof many);
	echo(&p);
	assert_int_equal(say(&t, &p), 0);
	uint8_t padding[16] = {0, 1, 1, 12};
	p = packet("fd00::1", "fd00::2");
	extend(&p, 60, padding, sizeof padding);
	echo(&p);
	assert_int_equal(say(&t, &p), 0);
	assert_int_equal(net_counters(t.net)->ip6_in_options_discards, 2);
	uint8_t beyond[8] = {0, 0, 0x1e, 5}; /* an option that ends behind its header */
	p = packet("fd00::1", "fd00::2");
	extend(&p, 60, beyond, sizeof beyond);
	echo(&p);
	assert_int_equal(say(&t, &p), 0);
	tape_stop(&t);
}

/* A solicitation for our address, behind an extension header of 8 bytes or none. */
static struct packet6 solicitation(uint8_t extension, uint8_t hop_limit)
{
	static const uint8_t options[8] = {0, 0, 1, 4}, atomic[8] = {0};
	struct packet6 p = packet("fd00::1", "fd00::2");
	struct net_address own = address("fd00::2");
	uint8_t m[32] = {135};
	memcpy(m + 8, own.octet, 16);
	m[24] = m[25] = 1;
	memcpy(m + 26, p.f + 6, 6);
	if (extension)
		extend(&p, extension, extension == 44 ? atomic : options, 8);
	p.f[IP + 7] = hop_limit;
	finish(&p, 58, m, sizeof m, 2);
	return p;
}

static void neighbours_are_heard_from_this_link_only_and_never_in_fragments(void **state)
{
	(void)state;
	static const struct {
		uint8_t extension, hop_limit;
		bool heard;
	} cases[] = {{0, 255, true}, {60, 255, true}, {0, 254, false}, {44, 255, false}};
	struct tape t;
	tape_start(&t);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct packet6 p = solicitation(cases[i].extension, cases[i].hop_limit);
		uint64_t heard = net_counters(t.net)->ndp_in_solicits, bad = net_counters(t.net)->ndp_in_errors;
		say(&t, &p);
		assert_int_equal(net_counters(t.net)->ndp_in_solicits - heard, cases[i].heard);
		assert_int_equal(net_counters(t.net)->ndp_in_errors - bad, !cases[i].heard);
	}
	tape_stop(&t);
}

static void no_error_answers_an_error(void **state)
{
	(void)state;
	static const uint8_t bad_option[8] = {0, 0, 1, 0, 0x9e, 1, 0, 0};
	struct tape t;
	tape_start(&t);
	uint8_t m[60] = {1, 4};
	struct packet6 p = packet("fd00::1", "fd00::2");
	extend(&p, 60, bad_option, sizeof bad_option);
	finish(&p, 58, m, sizeof m, 2);
	assert_int_equal(say(&t, &p), 0);
	m[0] = 137; /* a redirect */
	p = packet("fd00::1", "fd00::2");
	extend(&p, 60, bad_option, sizeof bad_option);
	finish(&p, 58, m, sizeof m, 2);
	assert_int_equal(say(&t, &p), 0);
	m[0] = 200; /* a message of a kind that nobody knows */
	p = packet("fd00::1", "fd00::2");
	extend(&p, 60, bad_option, sizeof bad_option);
	finish(&p, 58, m, sizeof m, 2);
	assert_int_equal(say(&t, &p), 1);
	assert_error(&t, &p, 4, 2, 44);
	tape_stop(&t);
}

/* --- UDP ------------------------------------------------------------------------------------- */

struct heard {
	struct udp_socket socket;
	struct net_endpoint from;
	char text[32];
	uint32_t count;
};

static void heard_receive(struct udp_socket *s, const struct net_endpoint *from, struct slice payload)
{
	struct heard *h = s->cookie;
	h->from = *from;
	h->count++;
	assert_true(payload.len < sizeof h->text);
	memcpy(h->text, payload.ptr, payload.len);
	h->text[payload.len] = 0;
}

static uint32_t finished;

static void datagram_done(struct udp_datagram *d)
{
	(void)d;
	finished++;
}

static void a_socket_hears_both_families(void **state)
{
	(void)state;
	struct tape t;
	struct heard h = {.socket = {.port = 53, .receive = heard_receive, .cookie = &h}};
	tape_start(&t);
	assert_false(failed(udp_bind(t.net, &h.socket)));
	struct packet6 p = packet("fd00::1", "fd00::2");
	datagram(&p, 53, "six");
	assert_int_equal(say(&t, &p), 0);
	struct net_address peer = address("fd00::1");
	assert_string_equal(h.text, "six");
	assert_true(net_address_equal(&h.from.address, &peer));
	assert_int_equal(h.from.port, 4000);
	/* And IPv4. */
	uint8_t f[64] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17};
	store_be32(f + 26, WORLD_A_IP);
	store_be32(f + 30, WORLD_B_IP);
	store_le16(f + 24, (uint16_t)~checksum_fold(checksum_ip4_header(f + 14)));
	store_be16(f + 34, 4001);
	store_be16(f + 36, 53);
	store_be16(f + 38, 12);
	memcpy(f + 42, "four", 4);
	world_inject(&t.w, 1, f, 46); /* without a checksum, which IPv4 allows */
	assert_string_equal(h.text, "four");
	assert_true(net_address_is_v4(&h.from.address));
	udp_unbind(&h.socket);
	tape_stop(&t);
}

static void a_datagram_with_a_wrong_or_no_checksum_is_refused(void **state)
{
	(void)state;
	struct tape t;
	struct heard h = {.socket = {.port = 53, .receive = heard_receive, .cookie = &h}};
	tape_start(&t);
	assert_false(failed(udp_bind(t.net, &h.socket)));
	struct packet6 p = packet("fd00::1", "fd00::2");
	datagram(&p, 53, "six");
	for (uint32_t bit = IP * 8 + 64; bit < p.len * 8; bit++) { /* from the source address on */
		p.f[bit / 8] ^= (uint8_t)(1u << bit % 8);
		world_inject(&t.w, 1, p.f, p.len);
		p.f[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	store_be16(p.f + BODY + 6, 0);
	world_inject(&t.w, 1, p.f, p.len);
	assert_int_equal(h.count, 0);
	assert_true(net_counters(t.net)->udp_in_errors > 100);
	udp_unbind(&h.socket);
	tape_stop(&t);
}

static void a_closed_port_is_unreachable(void **state)
{
	(void)state;
	struct tape t;
	tape_start(&t);
	struct packet6 p = packet("fd00::1", "fd00::2");
	datagram(&p, 9, "hello");
	assert_int_equal(say(&t, &p), 1);
	assert_error(&t, &p, 1, 4, 0);
	p = packet("fd00::1", "ff02::1");
	datagram(&p, 9, "hello");
	assert_int_equal(say(&t, &p), 0);
	assert_int_equal(net_counters(t.net)->udp_no_ports, 2);
	tape_stop(&t);
}

static void datagrams_leave_with_the_source_that_fits(void **state)
{
	(void)state;
	static const uint8_t big[1453];
	struct tape t;
	struct heard h = {.socket = {.receive = heard_receive, .cookie = &h}};
	struct udp_datagram d = {.segment = {SLICE_INIT("ab"), SLICE_INIT("cde")}, .count = 2,
		.done = datagram_done};
	tape_start(&t);
	finished = 0;
	assert_false(failed(udp_bind(t.net, &h.socket)));
	struct net_endpoint to = {address("fd00::1"), 5353};
	assert_false(failed(udp_send(&h.socket, &to, &d)));
	run(&t, 10 * MS);
	struct net_address own = address("fd00::2");
	assert_int_equal(t.said, 1);
	assert_memory_equal(t.last + IP + 8, own.octet, 16);
	assert_memory_equal(t.last + BODY + 8, "abcde", 5);
	assert_int_equal(finished, 1);
	to.address = address("ff02::fb");
	assert_false(failed(udp_send(&h.socket, &to, &d)));
	run(&t, 10 * MS);
	assert_int_equal(t.said, 2);
	assert_int_equal(load_be16(t.last), 0x3333);
	assert_int_equal(t.last[5], 0xfb);
	assert_int_equal(t.last[IP + 8], 0xfe); /* link-local to the link */
	to.address = address("fd00::1");
	d.segment[0] = slice_of(big, sizeof big);
	d.count = 1;
	assert_int_equal(udp_send(&h.socket, &to, &d).code, ERR_TOO_LARGE);
	d.segment[0].len--;
	assert_false(failed(udp_send(&h.socket, &to, &d)));
	to.address = address("::1");
	assert_true(failed(udp_send(&h.socket, &to, &d)));
	run(&t, 10 * MS);
	assert_int_equal(finished, 3);
	udp_unbind(&h.socket);
	tape_stop(&t);
}

static void a_connection_over_the_link_has_a_link_local_source(void **state)
{
	(void)state;
	struct tape t;
	struct tcp_conn *c;
	static const char *const nobody[] = {"ff02::1", "::1", "::", "fd00::2"};
	tape_start(&t);
	struct net_endpoint to = {address("fe80::1"), 80};
	assert_false(failed(tcp_connect(&c, t.net, &to)));
	run(&t, 100 * MS);
	assert_int_equal(t.said, 1);
	assert_int_equal(t.last[IP + 6], 6);
	assert_int_equal(load_be16(t.last + IP + 8), 0xfe80);
	assert_memory_equal(t.last + IP + 24, to.address.octet, 16);
	struct net_endpoint local = tcp_local(c), peer = tcp_peer(c);
	assert_memory_equal(local.address.octet, t.last + IP + 8, 16);
	assert_memory_equal(peer.address.octet, to.address.octet, 16);
	assert_int_equal(load_be16(t.last + BODY + 22), 1440); /* the size that it takes: the MTU less headers */
	tcp_release(c);
	for (size_t i = 0; i < ARRAY_LEN(nobody); i++) {
		to.address = address(nobody[i]);
		assert_true(failed(tcp_connect(&c, t.net, &to)));
	}
	tape_stop(&t);
}

static void without_ip6_its_frames_are_dropped(void **state)
{
	(void)state;
	struct tape t = {0};
	struct tcp_conn *c;
	world_init(&t.w, 3);
	t.w.filter = record;
	t.w.cookie = &t;
	struct net_config config = world_config(&t.w, 1);
	world_start(&t.w, 1, &config);
	t.net = t.w.station[1].net;
	struct packet6 p = packet("fd00::1", "fd00::2");
	echo(&p);
	assert_int_equal(say(&t, &p), 0);
	p = packet("fe80::1", "ff02::1");
	echo(&p);
	assert_int_equal(say(&t, &p), 0);
	struct net_endpoint to = {address("fd00::1"), 80};
	assert_true(failed(tcp_connect(&c, t.net, &to)));
	tape_stop(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(echo_is_answered_from_our_unicast_address),
		cmocka_unit_test(a_flood_of_questions_gets_a_bounded_number_of_answers),
		cmocka_unit_test(what_is_cut_short_or_of_another_version_is_dropped),
		cmocka_unit_test(no_packet_from_or_to_an_impossible_address_is_taken),
		cmocka_unit_test(extension_headers_are_skipped),
		cmocka_unit_test(an_unknown_next_header_is_a_parameter_problem),
		cmocka_unit_test(an_error_quotes_no_more_than_passes_everywhere),
		cmocka_unit_test(unknown_options_have_the_effect_that_their_number_says),
		cmocka_unit_test(source_routes_are_refused),
		cmocka_unit_test(chains_options_and_padding_are_bounded),
		cmocka_unit_test(neighbours_are_heard_from_this_link_only_and_never_in_fragments),
		cmocka_unit_test(no_error_answers_an_error),
		cmocka_unit_test(a_socket_hears_both_families),
		cmocka_unit_test(a_datagram_with_a_wrong_or_no_checksum_is_refused),
		cmocka_unit_test(a_closed_port_is_unreachable),
		cmocka_unit_test(datagrams_leave_with_the_source_that_fits),
		cmocka_unit_test(a_connection_over_the_link_has_a_link_local_source),
		cmocka_unit_test(without_ip6_its_frames_are_dropped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
