/* TCP by hand, where a script (net/scripts) would not do, over IPv4 and over IPv6. Station B of the world is
 * the engine under test; the peer is the test itself. */
#include <net/net.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include "checksum.h"
#include "support/world.h"
#include "tcp_conn.h"

#define SECOND UINT64_C(1000000000)
#define MS UINT64_C(1000000)
#define FIN TCP_FIN
#define SYN TCP_SYN
#define RST TCP_RST
#define ACK TCP_ACK

/* Which family the tests speak now, and where a segment begins in a frame of it. */
static bool ip6;

static uint32_t segment_at(void)
{
	return ip6 ? 54 : 34;
}

/* Payload bytes in a full segment. */
static uint32_t full(void)
{
	return ip6 ? 1440 : 1460;
}

static uint64_t pseudo_of(const uint8_t *frame, uint32_t tcp_len)
{
	struct slice addresses = ip6 ? slice_of(frame + 22, 32) : slice_of(frame + 26, 8);
	return checksum_sum(addresses) + (6 << 8) + __builtin_bswap16((uint16_t)tcp_len);
}

/* What the engine has said last, and everything that it said since it was asked. */
struct heard {
	uint8_t flags;
	uint32_t seq, ack, window, len, options_len;
	uint8_t options[40];
	uint64_t at_ns;
};

struct script {
	struct world w;
	struct net *net;
	uint16_t port, own_port; /* own: 0: 80 */
	uint32_t seq, ack; /* the peer's next, and what it expects */
	uint8_t peer;      /* the last byte of its IPv6 address; 0: station A's */
	uint32_t flow;     /* what stood in the last IPv6 header before the length */
	struct heard heard[64];
	uint32_t heard_count, arps, icmps;
	uint8_t icmp_type;
	bool silent; /* does not answer ARP */
	uint16_t window; /* that the peer offers; 0: 0xffff */
	uint32_t events; /* seen while time passed */
	struct tcp_conn *conn;
};

static void arp_answer(struct world *w, const uint8_t *asked)
{
	uint8_t f[42];
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
	memcpy(f, asked + 6, 6);
	memcpy(f + 6, mac, 6);
	memcpy(f + 12, asked + 12, 8);
	store_be16(f + 20, 2);
	memcpy(f + 22, mac, 6);
	memcpy(f + 28, asked + 38, 4);
	memcpy(f + 32, asked + 22, 10);
	world_inject(w, 1, f, sizeof f);
}

/* To who asks for the address of station A; the answer is always "solicited". */
static void ndp_answer(struct world *w, const uint8_t *asked)
{
	uint8_t f[86] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255};
	memcpy(f + 22, asked + 62, 16);
	memcpy(f + 38, asked + 22, 16);
	f[54] = 136;
	f[58] = 0x60;
	memcpy(f + 62, asked + 62, 16);
	f[78] = 2;
	f[79] = 1;
	memcpy(f + 80, f + 6, 6);
	uint64_t sum = checksum_sum(slice_of(f + 22, 32)) + (58 << 8) + __builtin_bswap16(32);
	store_le16(f + 56, (uint16_t)~checksum_fold(sum + checksum_sum(slice_of(f + 54, 32))));
	world_inject(w, 1, f, sizeof f);
}

/* Neighbour discovery, for this suite only whether our address is asked for. True: it was not TCP. */
static bool listen_in_icmp6(struct script *s, const uint8_t *b)
{
	struct net_address a = world_address(0, true);
	if (b[20] == 6)
		return false;
	if (b[20] == 58 && b[54] == 135 && memcmp(b + 62, a.octet, 15) == 0
		&& (b[77] == a.octet[15] || b[77] == s->peer)) {
		s->arps++;
		if (!s->silent)
			ndp_answer(&s->w, b);
	}
	return true;
}

static bool listen_in(struct world *w, uint32_t from, uint8_t *b, uint32_t len)
{
	struct script *s = w->cookie;
	assert_int_equal(from, 1);
	if (load_be16(b + 12) == 0x0806) {
		s->arps++;
		if (!s->silent && load_be16(b + 20) == 1 && load_be32(b + 38) == WORLD_A_IP)
			arp_answer(w, b);
		return false;
	}
	if (load_be16(b + 12) == 0x86dd) {
		if (listen_in_icmp6(s, b))
			return false;
		assert_true(ip6);
		assert_int_equal(load_be16(b + 18), len - 54);
		s->flow = load_be32(b + 14);
	} else {
		assert_int_equal(checksum_fold(checksum_ip4_header(b + 14)), 0xffff);
	}
	if (!ip6 && b[23] == 1) {
		s->icmps++;
		s->icmp_type = b[34];
		assert_int_equal(checksum_fold(checksum_sum(slice_of(b + 34, len - 34))), 0xffff);
		return false;
	}
	const uint8_t *t = b + segment_at();
	uint32_t tcp_len = len - segment_at();
	assert_int_equal(checksum_fold(pseudo_of(b, tcp_len) + checksum_sum(slice_of(t, tcp_len))), 0xffff);
	assert_true(s->heard_count < ARRAY_LEN(s->heard));
	struct heard *h = &s->heard[s->heard_count++];
	*h = (struct heard){.flags = t[13] & 0x17, .seq = load_be32(t + 4), .ack = load_be32(t + 8),
		.window = load_be16(t + 14), .at_ns = w->now_ns};
	h->options_len = (t[12] >> 4) * 4u - 20;
	memcpy(h->options, t + 20, h->options_len);
	h->len = tcp_len - 20 - h->options_len;
	return false;
}

static void script_start(struct script *s, uint32_t connections, uint32_t syns, uint32_t time_waits)
{
	memset(s, 0, sizeof *s);
	world_init(&s->w, 1);
	s->w.filter = listen_in;
	s->w.cookie = s;
	struct net_config c = world_config(&s->w, 1);
	c.connections_max = connections;
	c.syn_max = syns;
	c.time_wait_max = time_waits;
	if (ip6)
		world_config_ip6(&c, 1);
	world_start(&s->w, 1, &c);
	s->net = s->w.station[1].net;
	if (ip6)
		world_run(&s->w, s->w.now_ns + WORLD_IP6_READY_NS, NULL);
	s->port = 4000;
	s->seq = 1000;
	assert_false(failed(tcp_listen(s->net, 80, 0)));
}

static void collect(struct world *w)
{
	struct script *s = w->cookie;
	uint32_t events;
	struct tcp_conn *c;
	while ((c = net_event_next(s->net, &events))) {
		s->conn = c;
		s->events |= events;
	}
}

static void script_stop(struct script *s)
{
	world_run(&s->w, s->w.now_ns + SECOND, collect);
	assert_int_equal(net_usage(s->net).tx_frames, 0);
	world_deinit(&s->w);
}

static void run(struct script *s, uint64_t ns)
{
	s->heard_count = 0;
	world_run(&s->w, s->w.now_ns + ns, collect);
}

static const struct heard *last(const struct script *s)
{
	assert_true(s->heard_count > 0);
	return &s->heard[s->heard_count - 1];
}

/* Ethernet and IP header in front of `total` bytes of segment. */
static void ip_head_build(uint8_t *f, uint32_t total)
{
	static const uint8_t head[] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45};
	struct net_address a = world_address(0, ip6), b = world_address(1, ip6);
	memcpy(f, head, sizeof head);
	if (ip6) {
		store_be16(f + 12, 0x86dd);
		f[14] = 0x60;
		store_be16(f + 18, (uint16_t)total);
		f[20] = 6;
		f[21] = 64;
		memcpy(f + 22, a.octet, 16);
		memcpy(f + 38, b.octet, 16);
		return;
	}
	store_be16(f + 16, (uint16_t)(20 + total));
	f[22] = 64;
	f[23] = 6;
	store_be32(f + 26, WORLD_A_IP);
	store_be32(f + 30, WORLD_B_IP);
	store_le16(f + 24, (uint16_t)~checksum_fold(checksum_ip4_header(f + 14)));
}

static void segment_sum(uint8_t *f, uint32_t total)
{
	uint8_t *t = f + segment_at();
	store_le16(t + 16, 0);
	store_le16(t + 16, (uint16_t)~checksum_fold(pseudo_of(f, total) + checksum_sum(slice_of(t, total))));
}

/* Writes the frame that the peer would send to `f` (1,600 bytes, zero); its length. */
static uint32_t frame_build(struct script *s, uint8_t *f, uint8_t flags, uint32_t seq, uint32_t ack,
	const void *options, uint32_t options_len, const void *data, uint32_t len)
{
	uint32_t total = 20 + options_len + len;
	ip_head_build(f, total);
	if (s->peer && ip6)
		f[37] = s->peer;
	uint8_t *t = f + segment_at();
	store_be16(t, s->port);
	store_be16(t + 2, s->own_port ? s->own_port : 80);
	store_be32(t + 4, seq);
	store_be32(t + 8, ack);
	t[12] = (uint8_t)((20 + options_len) << 2);
	t[13] = flags;
	store_be16(t + 14, s->window ? s->window : 0xffff);
	if (options_len)
		memcpy(t + 20, options, options_len);
	if (len)
		memcpy(t + 20 + options_len, data, len);
	segment_sum(f, total);
	return segment_at() + total;
}

static void say_raw(struct script *s, uint8_t flags, uint32_t seq, uint32_t ack, const void *options,
	uint32_t options_len, const void *data, uint32_t len)
{
	uint8_t f[1600] = {0};
	world_inject(&s->w, 1, f, frame_build(s, f, flags, seq, ack, options, options_len, data, len));
}

static void say(struct script *s, uint8_t flags, const char *data)
{
	uint32_t len = (uint32_t)strlen(data);
	say_raw(s, flags, s->seq, s->ack, NULL, 0, data, len);
	s->seq += len + !!(flags & SYN) + !!(flags & FIN);
}

static struct tcp_conn *handshake(struct script *s)
{
	uint32_t events;
	say_raw(s, SYN, s->seq, 0, "\x02\x04\x05\xb4\x01\x01\x04\x02", 8, NULL, 0);
	s->seq++;
	run(s, 10 * MS);
	assert_int_equal(last(s)->flags, SYN | ACK);
	assert_int_equal(last(s)->ack, s->seq);
	s->ack = last(s)->seq + 1;
	say(s, ACK, "");
	struct tcp_conn *c = net_event_next(s->net, &events);
	assert_non_null(c);
	assert_int_equal(events, TCP_ACCEPTED);
	s->events = 0;
	return c;
}

static uint32_t events_of(struct script *s, struct tcp_conn *c)
{
	uint32_t all;
	collect(&s->w);
	if (s->events)
		assert_ptr_equal(s->conn, c);
	all = s->events;
	s->events = 0;
	return all;
}

static uint32_t done_count, delivered_count;

static void count_done(struct tcp_send *send, bool delivered)
{
	(void)send;
	done_count++;
	delivered_count += delivered;
}

static void a_request_is_answered_with_one_frame_that_acknowledges_it(void **state)
{
	(void)state;
	struct script s;
	struct slice got, text = SLICE("response");
	struct tcp_send send = {.segments = &text, .count = 1, .done = count_done};
	script_start(&s, 4, 4, 4);
	struct tcp_conn *c = handshake(&s);
	say(&s, ACK, "request");
	assert_int_equal(events_of(&s, c), TCP_READABLE);
	assert_true(tcp_peek(c, &got) && slice_eq(got, SLICE("request")));
	assert_false(failed(tcp_send(c, &send)));
	tcp_consume(c, got.len);
	done_count = delivered_count = 0;
	run(&s, 100 * MS);
	assert_int_equal(s.heard_count, 1);
	assert_int_equal(last(&s)->len, 8);
	assert_int_equal(last(&s)->ack, s.seq);
	assert_int_equal(done_count, 0);
	s.ack += 8;
	say(&s, ACK, "");
	run(&s, MS);
	assert_int_equal(delivered_count, 1);
	assert_int_equal(events_of(&s, c), TCP_SENT);
	tcp_release(c);
	script_stop(&s);
}

/* What fills a hole is older than the last window heard by its sequence number, and newer by its ACK: counted
 * from that ACK, the old window would reach further than the peer has said. */
static void an_old_segment_with_a_new_ack_says_the_window(void **state)
{
	(void)state;
	struct script s;
	static uint8_t bytes[2000];
	struct slice text = {bytes, sizeof bytes};
	struct tcp_send first = {.segments = &text, .count = 1, .done = count_done}, second = first;
	script_start(&s, 4, 4, 4);
	struct tcp_conn *c = handshake(&s);
	assert_false(failed(tcp_send(c, &first)));
	run(&s, MS);
	s.window = 5000;
	say_raw(&s, ACK, s.seq + 3, s.ack, NULL, 0, "def", 3);
	s.window = 1000;
	s.ack += 2000;
	say_raw(&s, ACK, s.seq, s.ack, NULL, 0, "abc", 3);
	assert_false(failed(tcp_send(c, &second)));
	run(&s, MS);
	assert_true(s.heard_count > 0);
	for (uint32_t i = 0; i < s.heard_count; i++)
		assert_true((int32_t)(s.heard[i].seq + s.heard[i].len - s.ack - 1000) <= 0);
	tcp_release(c);
	script_stop(&s);
}

static void a_reset_counts_only_at_the_exact_number(void **state)
{
	(void)state;
	struct script s;
	script_start(&s, 4, 4, 4);
	struct tcp_conn *c = handshake(&s);
	say_raw(&s, RST, s.seq + 1, 0, NULL, 0, NULL, 0);
	run(&s, MS);
	assert_int_equal(events_of(&s, c), 0);
	assert_int_equal(last(&s)->flags, ACK); /* the challenge */
	assert_int_equal(last(&s)->ack, s.seq);
	say_raw(&s, RST, s.seq + 100000000, 0, NULL, 0, NULL, 0);
	run(&s, MS);
	assert_int_equal(s.heard_count, 0);
	assert_int_equal(events_of(&s, c), 0);
	say_raw(&s, RST, s.seq, 0, NULL, 0, NULL, 0);
	assert_int_equal(events_of(&s, c), TCP_RESET | TCP_CLOSED);
	tcp_release(c);
	assert_int_equal(net_usage(s.net).connections, 0);
	script_stop(&s);
}

static void a_syn_in_the_window_gets_a_challenge(void **state)
{
	(void)state;
	struct script s;
	script_start(&s, 4, 4, 4);
	struct tcp_conn *c = handshake(&s);
	say_raw(&s, SYN, s.seq + 10, 0, NULL, 0, NULL, 0);
	run(&s, MS);
	assert_int_equal(last(&s)->flags, ACK);
	assert_int_equal(events_of(&s, c), 0);
	tcp_release(c);
	script_stop(&s);
}

static void closing_from_both_ends_leaves_a_time_wait_only(void **state)
{
	(void)state;
	struct script s;
	script_start(&s, 4, 4, 4);
	struct tcp_conn *c = handshake(&s);
	tcp_close(c);
	run(&s, MS);
	assert_int_equal(last(&s)->flags, FIN | ACK);
	uint32_t fin = last(&s)->seq;
	say(&s, FIN | ACK, ""); /* simultaneous: ours is not acknowledged */
	run(&s, MS);
	assert_int_equal(last(&s)->ack, s.seq);
	s.ack = fin + 1;
	say(&s, ACK, "");
	assert_int_equal(events_of(&s, c), TCP_PEER_CLOSED | TCP_CLOSED);
	tcp_release(c);
	assert_int_equal(net_usage(s.net).time_waits, 1);
	run(&s, 61 * SECOND);
	assert_int_equal(net_usage(s.net).time_waits, 0);
	script_stop(&s);
}

static void half_closed_by_the_peer_we_can_still_send(void **state)
{
	(void)state;
	struct script s;
	struct slice text = SLICE("late");
	struct tcp_send send = {.segments = &text, .count = 1, .done = count_done};
	script_start(&s, 4, 4, 4);
	struct tcp_conn *c = handshake(&s);
	say(&s, FIN | ACK, "bye");
	assert_int_equal(events_of(&s, c), TCP_READABLE | TCP_PEER_CLOSED);
	assert_int_equal(tcp_readable(c), 3);
	assert_false(failed(tcp_send(c, &send)));
	tcp_close(c);
	run(&s, MS);
	assert_int_equal(last(&s)->flags, FIN | ACK);
	assert_int_equal(last(&s)->len, 4);
	assert_int_equal(last(&s)->ack, s.seq);
	s.ack += 5;
	say(&s, ACK, "");
	run(&s, MS);
	assert_true(events_of(&s, c) & TCP_CLOSED);
	assert_int_equal(net_usage(s.net).time_waits, 0);
	assert_int_equal(tcp_readable(c), 3); /* until the handle goes */
	tcp_release(c);
	script_stop(&s);
}

static void an_unanswered_half_open_connection_is_dropped(void **state)
{
	(void)state;
	struct script s;
	script_start(&s, 4, 4, 4);
	say(&s, SYN, "");
	run(&s, 70 * SECOND);
	assert_int_equal(s.heard_count, 6);
	assert_int_equal(net_usage(s.net).syns, 0);
	script_stop(&s);
}

static void a_full_table_of_half_open_ones_is_answered_by_cookies(void **state)
{
	(void)state;
	struct script s;
	uint32_t events;
	uint8_t options[20], echo[12];
	script_start(&s, 64, 2, 4);
	for (uint32_t i = 0; i < 50; i++) {
		s.port = (uint16_t)(5000 + i);
		say_raw(&s, SYN, 77, 0, NULL, 0, NULL, 0);
	}
	assert_int_equal(net_usage(s.net).syns, 2);
	run(&s, MS);
	assert_true(net_counters(s.net)->tcp_syn_cookies_sent == 48);
	store_be32(options, 0x020405b4);
	store_be32(options + 4, 0x0402080a);
	store_be32(options + 8, 12345);
	store_be32(options + 12, 0);
	store_be32(options + 16, 0x01030307);
	s.port = 9000;
	say_raw(&s, SYN, 100, 0, options, 20, NULL, 0);
	run(&s, MS);
	const struct heard *h = last(&s);
	store_be32(echo, 0x0101080a);
	store_be32(echo + 4, 12346);
	memcpy(echo + 8, h->options + 8, 4);
	say_raw(&s, ACK, 101, h->seq + 2, echo, 12, "GET", 3); /* near miss */
	assert_null(net_event_next(s.net, &events));
	s.window = 32;
	say_raw(&s, ACK, 101, h->seq + 1, echo, 12, "GET", 3);
	struct tcp_conn *c = net_event_next(s.net, &events);
	assert_non_null(c);
	assert_int_equal(events, TCP_ACCEPTED | TCP_READABLE);
	/* No other window was ever heard: half of what was is worth a segment (RFC 9293, 3.8.6.2.1). */
	assert_int_equal(c->snd_wnd_max, 32 << 7);
	struct tcp_info info;
	tcp_info(c, &info);
	assert_int_equal(info.mss, full() - 12); /* size and timestamps came through */
	tcp_release(c);
	run(&s, 70 * SECOND);
	script_stop(&s);
}

static void a_hundred_thousand_connections_come_and_go(void **state)
{
	(void)state;
	struct script s;
	script_start(&s, 4, 4, 4);
	for (uint32_t i = 0; i < 100000; i++) {
		s.port = (uint16_t)(1024 + i % 60000);
		s.seq = i * 7919;
		struct tcp_conn *c = handshake(&s);
		switch (i % 3) {
		case 0: /* they vanish */
			say(&s, RST, "");
			assert_int_equal(events_of(&s, c), TCP_RESET | TCP_CLOSED);
			break;
		case 1: /* we close first, orderly */
			tcp_close(c);
			run(&s, MS);
			s.ack++;
			say(&s, FIN | ACK, "");
			assert_true(events_of(&s, c) & TCP_CLOSED);
			break;
		default:
			break; /* we drop it */
		}
		tcp_release(c);
		run(&s, MS);
	}
	assert_int_equal(net_usage(s.net).connections, 0);
	assert_int_equal(net_usage(s.net).syns, 0);
	assert_int_equal(net_counters(s.net)->tcp_passive_opens, 100000);
	assert_true(net_counters(s.net)->tcp_time_wait_evicted > 1000);
	script_stop(&s);
}

static void without_a_free_connection_a_syn_is_dropped_and_counted(void **state)
{
	(void)state;
	struct script s;
	script_start(&s, 1, 4, 4);
	struct tcp_conn *c = handshake(&s);
	s.port++;
	say_raw(&s, SYN, 5, 0, NULL, 0, NULL, 0);
	run(&s, MS);
	assert_int_equal(s.heard_count, 0);
	assert_int_equal(net_counters(s.net)->tcp_accept_drops, 1);
	tcp_release(c);
	run(&s, MS);
	handshake(&s); /* a place is free again */
	script_stop(&s);
}

static void time_wait_is_left_early_for_a_newer_syn_only(void **state)
{
	(void)state;
	struct script s;
	script_start(&s, 4, 4, 4);
	struct tcp_conn *c = handshake(&s);
	tcp_close(c);
	run(&s, MS);
	s.ack++;
	say(&s, FIN | ACK, "");
	assert_true(events_of(&s, c) & TCP_CLOSED);
	tcp_release(c);
	run(&s, MS);
	uint32_t old_ack = s.ack;
	say_raw(&s, SYN, s.seq - 100, 0, NULL, 0, NULL, 0);
	run(&s, MS);
	assert_int_equal(last(&s)->flags, ACK);
	assert_int_equal(net_usage(s.net).time_waits, 1);
	s.seq += 100;
	c = handshake(&s);
	assert_true((int32_t)(s.ack - old_ack) > 0);
	assert_int_equal(net_usage(s.net).time_waits, 0);
	tcp_release(c);
	script_stop(&s);
}

static void a_simultaneous_open_takes_the_window_of_a_syn_as_it_is(void **state)
{
	(void)state;
	struct script s;
	struct tcp_conn *c;
	static uint8_t bytes[3000];
	struct slice text = {bytes, sizeof bytes};
	struct tcp_send send = {.segments = &text, .count = 1, .done = count_done};
	struct net_endpoint to = {world_address(0, ip6), 4000};
	script_start(&s, 4, 4, 4);
	assert_false(failed(tcp_connect(&c, s.net, &to)));
	s.own_port = tcp_local(c).port;
	s.window = 1024;
	run(&s, MS);
	uint32_t iss = last(&s)->seq;
	say_raw(&s, SYN, s.seq, 0, "\x02\x04\x05\xb4\x01\x03\x03\x05", 8, NULL, 0);
	run(&s, MS);
	say_raw(&s, SYN | ACK, s.seq, iss + 1, "\x02\x04\x05\xb4\x01\x03\x03\x05", 8, NULL, 0);
	assert_false(failed(tcp_send(c, &send)));
	run(&s, MS);
	assert_true(s.heard_count > 0);
	for (uint32_t i = 0; i < s.heard_count; i++)
		assert_true((int32_t)(s.heard[i].seq + s.heard[i].len - iss - 1 - 1024) <= 0);
	tcp_release(c);
	script_stop(&s);
}

static void connecting_to_nobody_ends_by_itself(void **state)
{
	(void)state;
	struct script s;
	struct tcp_conn *c;
	struct net_endpoint to = {net_address_v4(0x0a000063), 80};
	if (ip6) {
		to.address = world_address(0, true);
		to.address.octet[14] = 0x63;
	}
	script_start(&s, 4, 4, 4);
	assert_false(failed(tcp_connect(&c, s.net, &to)));
	run(&s, 10 * SECOND);
	assert_int_equal(events_of(&s, c), TCP_CLOSED | TCP_TIMED_OUT);
	tcp_release(c);
	script_stop(&s);
}

static void a_closed_port_answers_with_a_reset(void **state)
{
	(void)state;
	struct script s;
	script_start(&s, 4, 4, 4);
	tcp_unlisten(s.net, 80);
	say(&s, SYN, "");
	run(&s, MS);
	assert_int_equal(last(&s)->flags, RST | ACK);
	assert_int_equal(last(&s)->ack, s.seq);
	assert_int_equal(last(&s)->seq, 0);
	script_stop(&s);
}

static void an_idle_connection_fits_in_a_kibibyte(void **state)
{
	(void)state;
	assert_true(net_connection_size() <= 1024);
	print_message("# an idle connection takes %u bytes\n", (unsigned)net_connection_size());
}

static void the_demultiplexing_hash_spreads_neighbouring_ends_and_depends_on_the_secret(void **state)
{
	(void)state;
	struct script s;
	uint32_t slots[256] = {0}, same = 0, most = 0;
	script_start(&s, 4, 4, 4);
	for (uint32_t i = 0; i < 4096; i++) {
		struct tcp_key key = tcp_key_of(WORLD_A_IP + i / 512, WORLD_B_IP, (uint16_t)(32768 + i % 512), 80);
		uint32_t hash = tcp_hash(s.net, &key), *slot = &slots[hash % 256];
		++*slot;
		most = *slot > most ? *slot : most;
		s.net->hash_key[3] ^= UINT64_C(0x123456789abcdef1);
		same += tcp_hash(s.net, &key) == hash;
		s.net->hash_key[3] ^= UINT64_C(0x123456789abcdef1);
	}
	assert_int_equal(same, 0);
	assert_true(most < 64); /* 16 on average */
	script_stop(&s);
}

static void an_expected_segment_with_any_one_bit_wrong_is_not_accepted(void **state)
{
	(void)state;
	for (uint32_t bit = 0; bit < (segment_at() + 20 + 10) * 8; bit++) {
		struct script s;
		uint8_t f[1600] = {0};
		if (bit / 8 >= 6 && bit / 8 < 12) /* the sender's Ethernet address is not looked at */
			continue;
		/* Nor are, with IPv6, traffic class, flow label and hop limit, which no checksum covers. */
		if (ip6 && ((bit / 8 >= 14 && bit / 8 < 18 && !(bit / 8 == 14 && bit % 8 >= 4)) || bit / 8 == 21))
			continue;
		script_start(&s, 4, 4, 4);
		struct tcp_conn *c = handshake(&s);
		uint64_t fast = net_counters(s.net)->tcp_fast_path;
		uint32_t len = frame_build(&s, f, ACK | TCP_PSH, s.seq, s.ack, NULL, 0, "0123456789", 10);
		f[bit / 8] ^= (uint8_t)(1u << bit % 8);
		world_inject(&s.w, 1, f, len);
		assert_int_equal(tcp_readable(c), 0);
		f[bit / 8] ^= (uint8_t)(1u << bit % 8);
		world_inject(&s.w, 1, f, len);
		assert_int_equal(tcp_readable(c), 10);
		assert_int_equal(net_counters(s.net)->tcp_fast_path, fast + 1);
		tcp_release(c);
		script_stop(&s);
	}
}

/* A message of ICMP about a segment that the engine has sent, with its first `quoted` bytes of TCP. */
static void icmp_say(struct script *s, uint8_t type, uint8_t code, uint32_t word, uint32_t seq, uint32_t quoted)
{
	uint8_t f[200] = {0};
	uint32_t header = segment_at() - 14, len = 8 + header + quoted;
	uint8_t *m = f + segment_at(), *quote = m + 8;
	ip_head_build(f, len);
	f[ip6 ? 20 : 23] = ip6 ? 58 : 1;
	if (!ip6) {
		store_le16(f + 24, 0);
		store_le16(f + 24, (uint16_t)~checksum_fold(checksum_ip4_header(f + 14)));
	}
	m[0] = type;
	m[1] = code;
	store_be32(m + 4, word);
	memcpy(quote, f + 14, header); /* from us to the peer: the other way round */
	if (ip6) {
		memcpy(quote + 8, f + 38, 16);
		memcpy(quote + 24, f + 22, 16);
		quote[6] = 6;
	} else {
		memcpy(quote + 12, f + 30, 4);
		memcpy(quote + 16, f + 26, 4);
		quote[9] = 6;
	}
	uint8_t tcp[20] = {0};
	store_be16(tcp, s->own_port ? s->own_port : 80);
	store_be16(tcp + 2, s->port);
	store_be32(tcp + 4, seq);
	memcpy(quote + header, tcp, quoted < 20 ? quoted : 20);
	uint64_t sum = checksum_sum(slice_of(m, len));
	if (ip6)
		sum += checksum_sum(slice_of(f + 22, 32)) + (58 << 8) + __builtin_bswap16((uint16_t)len);
	store_le16(m + 2, (uint16_t)~checksum_fold(sum));
	world_inject(&s->w, 1, f, segment_at() + len);
}

static void too_big_say(struct script *s, uint32_t mtu, uint32_t seq)
{
	icmp_say(s, ip6 ? 2 : 3, ip6 ? 0 : 4, mtu, seq, 8);
}

static uint32_t mss_of(const struct tcp_conn *c)
{
	struct tcp_info info;
	tcp_info(c, &info);
	return info.mss;
}

static void too_big_makes_segments_smaller_but_only_as_far_as_every_path_goes(void **state)
{
	(void)state;
	struct script s;
	static uint8_t bytes[8000];
	struct slice text = {bytes, sizeof bytes};
	struct tcp_send send = {.segments = &text, .count = 1, .done = count_done};
	uint32_t headers = segment_at() - 14 + 20, least = ip6 ? 1280 : 576;
	script_start(&s, 4, 4, 4);
	struct tcp_conn *c = handshake(&s);
	assert_false(failed(tcp_send(c, &send)));
	run(&s, MS);
	assert_int_equal(last(&s)->seq, s.ack + 5 * full());
	/* About what was never sent, or is acknowledged: not believed. */
	too_big_say(&s, 1400, s.ack - 1);
	too_big_say(&s, 1400, s.ack + 8000);
	assert_int_equal(mss_of(c), full());
	too_big_say(&s, 1400, s.ack);
	assert_int_equal(mss_of(c), 1400 - headers);
	run(&s, MS);
	assert_int_equal(s.heard[0].seq, s.ack);
	assert_int_equal(s.heard[0].len, 1400 - headers);
	too_big_say(&s, 1450, s.ack); /* larger than now: nothing */
	assert_int_equal(mss_of(c), 1400 - headers);
	too_big_say(&s, 70, s.ack); /* no path is like that: as small as may be, or a lie as a whole (RFC 8201, 4) */
	assert_int_equal(mss_of(c), (ip6 ? 1400 : 576) - headers);
	too_big_say(&s, least, s.ack);
	assert_int_equal(mss_of(c), least - headers);
	tcp_release(c);
	script_stop(&s);
}

static void messages_that_end_early_change_nothing(void **state)
{
	(void)state;
	struct script s;
	static uint8_t bytes[8000];
	struct slice text = {bytes, sizeof bytes};
	struct tcp_send send = {.segments = &text, .count = 1, .done = count_done};
	script_start(&s, 4, 4, 4);
	struct tcp_conn *c = handshake(&s);
	assert_false(failed(tcp_send(c, &send)));
	run(&s, MS);
	for (uint32_t quoted = 0; quoted < 8; quoted++)
		icmp_say(&s, ip6 ? 2 : 3, ip6 ? 0 : 4, 1300, s.ack, quoted);
	assert_int_equal(mss_of(c), full());
	icmp_say(&s, ip6 ? 1 : 3, ip6 ? 4 : 3, 0, s.ack, 8); /* nobody there, it says: a connection goes on */
	assert_int_equal(events_of(&s, c), 0);
	tcp_release(c);
	script_stop(&s);
}

static void an_unreachable_port_ends_an_attempt_to_connect(void **state)
{
	(void)state;
	struct script s;
	struct tcp_conn *c;
	script_start(&s, 4, 4, 4);
	struct net_endpoint to = {world_address(0, ip6), 4000};
	assert_false(failed(tcp_connect(&c, s.net, &to)));
	run(&s, MS);
	assert_int_equal(last(&s)->flags, SYN);
	uint8_t type = ip6 ? 1 : 3, code = ip6 ? 4 : 3;
	/* The messages are about a connection from port 80; take this one's place. */
	uint16_t port = tcp_local(c).port;
	uint32_t seq = last(&s)->seq;
	icmp_say(&s, type, code, 0, seq, 8);
	assert_int_equal(events_of(&s, c), 0); /* another connection */
	s.own_port = port;
	icmp_say(&s, type, code, 0, seq + 1, 8);
	assert_int_equal(events_of(&s, c), 0); /* another number */
	icmp_say(&s, type, 0, 0, seq, 8);
	assert_int_equal(events_of(&s, c), 0); /* no route, now */
	icmp_say(&s, type, code, 0, seq, 8);
	assert_int_equal(events_of(&s, c), TCP_RESET | TCP_CLOSED);
	tcp_release(c);
	script_stop(&s);
}

static void flows_have_labels_of_their_own_that_stay(void **state)
{
	(void)state;
	struct script s;
	struct slice text = SLICE("x");
	struct tcp_send send = {.segments = &text, .count = 1, .done = count_done};
	uint32_t label[2], sizes = 0;
	if (!ip6)
		return;
	script_start(&s, 4, 4, 4);
	for (uint32_t i = 0; i < 2; i++) {
		s.port = (uint16_t)(4000 + i);
		struct tcp_conn *c = handshake(&s);
		label[i] = s.flow;
		assert_int_equal(label[i] >> 20, 0x600);
		s.flow = 0;
		assert_false(failed(tcp_send(c, &send)));
		run(&s, MS);
		assert_int_equal(s.flow, label[i]);
		s.flow = 0;
		tcp_abort(c);
		run(&s, MS);
		assert_int_equal(last(&s)->flags, RST | ACK);
		assert_int_equal(s.flow, label[i]);
		events_of(&s, c);
		tcp_release(c);
		sizes += (label[i] & 0xfffff) != 0;
	}
	assert_int_equal(sizes, 2);
	assert_true(label[0] != label[1]);
	script_stop(&s);
}

static void half_open_and_past_ones_whose_keys_collide_are_two_as_well(void **state)
{
	(void)state;
	struct script s;
	if (!ip6)
		return;
	script_start(&s, 4, 4, 4);
	memset(s.net->fold_key, 0, sizeof s.net->fold_key);
	for (uint8_t i = 1; i < 3; i++) {
		s.peer = (uint8_t)(100 + i);
		say_raw(&s, SYN, 77, 0, NULL, 0, NULL, 0);
	}
	assert_int_equal(net_usage(s.net).syns, 2);
	s.port++;
	struct tcp_conn *c = handshake(&s);
	tcp_close(c);
	run(&s, MS);
	s.ack++;
	say(&s, FIN | ACK, "");
	assert_true(events_of(&s, c) & TCP_CLOSED);
	tcp_release(c);
	run(&s, MS);
	assert_int_equal(net_usage(s.net).time_waits, 1);
	s.peer = 1; /* an old number, but not of that one */
	say_raw(&s, SYN, s.seq - 100, 0, NULL, 0, NULL, 0);
	run(&s, MS);
	assert_int_equal(last(&s)->flags, SYN | ACK);
	run(&s, 70 * SECOND);
	script_stop(&s);
}

/* The fold of IPv6 addresses tells nearly all apart: here it tells nothing. */
static void ends_whose_keys_collide_are_still_two(void **state)
{
	(void)state;
	struct script s;
	struct slice got;
	struct tcp_conn *c[2];
	if (!ip6)
		return;
	script_start(&s, 4, 4, 4);
	memset(s.net->fold_key, 0, sizeof s.net->fold_key);
	uint32_t seq[2], ack[2];
	for (uint8_t i = 0; i < 2; i++) {
		s.peer = (uint8_t)(1 + 100 * i);
		s.silent = false;
		c[i] = handshake(&s);
		seq[i] = s.seq;
		ack[i] = s.ack;
	}
	assert_int_equal(c[0]->hash, c[1]->hash);
	assert_true(tcp_key_equal(&c[0]->key, &c[1]->key));
	for (uint8_t i = 0; i < 2; i++) { /* the long way, since out of order, and the short one */
		s.peer = (uint8_t)(1 + 100 * i);
		say_raw(&s, ACK, seq[i] + 1, ack[i], NULL, 0, "b", 1);
		say_raw(&s, ACK, seq[i], ack[i], NULL, 0, "a", 1);
		say_raw(&s, ACK, seq[i] + 2, ack[i], NULL, 0, "c", 1);
		assert_int_equal(tcp_readable(c[i]), 3);
		assert_int_equal(tcp_readable(c[!i]), i ? 3 : 0);
		assert_int_equal(tcp_peer(c[i]).address.octet[15], s.peer);
	}
	/* A third one's is nobody's, even with the numbers of either. */
	s.peer = 77;
	say_raw(&s, ACK, seq[0] + 3, ack[0], NULL, 0, "d", 1);
	say_raw(&s, ACK, seq[1] + 3, ack[1], NULL, 0, "d", 1);
	run(&s, MS);
	assert_true(tcp_peek(c[0], &got));
	assert_int_equal(tcp_readable(c[0]), 3);
	assert_int_equal(tcp_readable(c[1]), 3);
	tcp_release(c[0]);
	tcp_release(c[1]);
	script_stop(&s);
}

static void the_hash_of_ip6_ends_spreads_and_depends_on_each_word(void **state)
{
	(void)state;
	struct script s;
	uint32_t slots[256] = {0}, most = 0;
	struct net_address own = world_address(1, true), peer = world_address(0, true);
	script_start(&s, 4, 4, 4);
	for (uint32_t i = 0; i < 4096; i++) { /* one host with a prefix to itself */
		store_be32(peer.octet + 8, i / 16);
		struct tcp_key key = {tcp_ip6_fold(s.net, peer.octet, own.octet), 80u << 24 | (i % 16) | TCP_KEY_IP6};
		uint32_t *slot = &slots[tcp_hash(s.net, &key) % 256];
		most = ++*slot > most ? *slot : most;
	}
	assert_true(most < 64); /* 16 on average */
	uint64_t fold = tcp_ip6_fold(s.net, peer.octet, own.octet);
	for (uint32_t i = 0; i < 32; i++) {
		uint8_t *b = i < 16 ? &peer.octet[i] : &own.octet[i - 16];
		*b ^= 1;
		assert_true(tcp_ip6_fold(s.net, peer.octet, own.octet) != fold);
		*b ^= 1;
	}
	script_stop(&s);
}

static int use_ip4(void **state)
{
	(void)state;
	ip6 = false;
	return 0;
}

static int use_ip6(void **state)
{
	(void)state;
	ip6 = true;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_is_answered_with_one_frame_that_acknowledges_it),
		cmocka_unit_test(an_old_segment_with_a_new_ack_says_the_window),
		cmocka_unit_test(a_reset_counts_only_at_the_exact_number),
		cmocka_unit_test(a_syn_in_the_window_gets_a_challenge),
		cmocka_unit_test(closing_from_both_ends_leaves_a_time_wait_only),
		cmocka_unit_test(half_closed_by_the_peer_we_can_still_send),
		cmocka_unit_test(an_unanswered_half_open_connection_is_dropped),
		cmocka_unit_test(a_full_table_of_half_open_ones_is_answered_by_cookies),
		cmocka_unit_test(without_a_free_connection_a_syn_is_dropped_and_counted),
		cmocka_unit_test(time_wait_is_left_early_for_a_newer_syn_only),
		cmocka_unit_test(a_simultaneous_open_takes_the_window_of_a_syn_as_it_is),
		cmocka_unit_test(connecting_to_nobody_ends_by_itself),
		cmocka_unit_test(the_demultiplexing_hash_spreads_neighbouring_ends_and_depends_on_the_secret),
		cmocka_unit_test(an_expected_segment_with_any_one_bit_wrong_is_not_accepted),
		cmocka_unit_test(a_closed_port_answers_with_a_reset),
		cmocka_unit_test(too_big_makes_segments_smaller_but_only_as_far_as_every_path_goes),
		cmocka_unit_test(messages_that_end_early_change_nothing),
		cmocka_unit_test(an_unreachable_port_ends_an_attempt_to_connect),
		cmocka_unit_test(flows_have_labels_of_their_own_that_stay),
		cmocka_unit_test(ends_whose_keys_collide_are_still_two),
		cmocka_unit_test(half_open_and_past_ones_whose_keys_collide_are_two_as_well),
		cmocka_unit_test(the_hash_of_ip6_ends_spreads_and_depends_on_each_word),
		cmocka_unit_test(an_idle_connection_fits_in_a_kibibyte),
		cmocka_unit_test(a_hundred_thousand_connections_come_and_go),
	};
	int failures = cmocka_run_group_tests_name("IPv4", tests, use_ip4, NULL);
	return failures + cmocka_run_group_tests_name("IPv6", tests, use_ip6, NULL);
}
