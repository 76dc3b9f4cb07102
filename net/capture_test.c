/* The capture's stream is read back as any pcap reader would. */
#include <net/capture.h>
#include <net/net.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include "engine.h"
#include "support/world.h"

#define SECOND UINT64_C(1000000000)

/* Takes the whole stream, in the pieces that peek gives. */
static size_t drain(struct net_capture *c, uint8_t *out, size_t room)
{
	size_t len = 0;
	for (struct slice s; (s = net_capture_peek(c, 0)).len;) {
		assert_true(len + s.len <= room);
		memcpy(out + len, s.ptr, s.len);
		len += s.len;
		net_capture_consume(c, s.len);
	}
	return len;
}

struct seen {
	uint32_t records, syns, port_80, longest;
	uint64_t last_ns;
};

static struct seen records_read(const uint8_t *p, size_t len, uint32_t snap_len)
{
	struct seen seen = {0};
	const uint8_t *end = p + len;
	while (p < end) {
		assert_true(end - p >= 16);
		uint64_t at = load_le32(p) * SECOND + load_le32(p + 4);
		uint32_t kept = load_le32(p + 8), whole = load_le32(p + 12);
		assert_true(load_le32(p + 4) < SECOND && at >= seen.last_ns);
		assert_true(kept <= snap_len && kept <= whole && (size_t)(end - p) >= 16 + kept);
		const uint8_t *frame = p + 16;
		if (kept >= 54 && load_be16(frame + 12) == ETHERTYPE_IP4 && frame[23] == IP_PROTO_TCP) {
			seen.syns += frame[47] == 0x02;
			seen.port_80 += load_be16(frame + 34) == 80 || load_be16(frame + 36) == 80;
		}
		seen.longest = seen.longest > kept ? seen.longest : kept;
		seen.last_ns = at;
		seen.records++;
		p += 16 + kept;
	}
	return seen;
}

static void serve(struct world *w)
{
	uint32_t events;
	for (int i = 0; i < 2; i++)
		for (struct tcp_conn *c; (c = net_event_next(w->station[i].net, &events));)
			if (events & (TCP_ACCEPTED | TCP_CLOSED))
				tcp_release(c);
}

/* A connection from A to port 80 of B, which then refuses one to port 81; B is recorded. */
static void talk(struct world *w)
{
	struct net_endpoint to = {net_address_v4(WORLD_B_IP), 80};
	struct tcp_conn *c;
	assert_false(failed(tcp_connect(&c, w->station[0].net, &to)));
	to.port = 81;
	assert_false(failed(tcp_connect(&c, w->station[0].net, &to)));
	world_run(w, w->now_ns + SECOND, serve);
}

static void world_of_two(struct world *w)
{
	world_init(w, 3);
	for (uint32_t i = 0; i < 2; i++) {
		struct net_config c = world_config(w, i);
		world_start(w, i, &c);
	}
	assert_false(failed(tcp_listen(w->station[1].net, 80, 0)));
	world_run(w, SECOND, serve);
}

static void frames_of_both_directions_are_read_back_as_pcap(void **state)
{
	(void)state;
	struct world w;
	static uint8_t ring[8192], stream[8192];
	struct net_capture c = {.ring = ring, .size = sizeof ring, .snap_len = 65535,
		.wall_offset_ns = 1700000000 * (int64_t)SECOND};
	world_of_two(&w);
	net_capture_start(w.station[1].net, &c);
	talk(&w);
	size_t len = drain(&c, stream, sizeof stream);
	assert_int_equal(load_le32(stream), 0xa1b23c4d);
	assert_int_equal(load_le32(stream + 20), 1);
	struct seen seen = records_read(stream + 24, len - 24, 65535);
	assert_int_equal(seen.records, c.frames);
	assert_int_equal(seen.syns, 2);
	assert_int_equal(seen.port_80, 4); /* SYN, SYN|ACK, ACK, RST */
	assert_true(seen.last_ns / SECOND >= 1700000000 && seen.last_ns / SECOND < 1700000100);
	net_capture_stop(w.station[1].net);
	talk(&w);
	assert_int_equal(net_capture_peek(&c, 0).len, 0);
	world_deinit(&w);
}

static void long_frames_are_cut_and_a_port_can_be_left_out(void **state)
{
	(void)state;
	struct world w;
	static uint8_t ring[8192], stream[8192];
	struct net_capture c = {.ring = ring, .size = sizeof ring, .snap_len = 64, .port_left_out = 80};
	world_of_two(&w);
	net_capture_start(w.station[1].net, &c);
	talk(&w);
	size_t len = drain(&c, stream, sizeof stream);
	struct seen seen = records_read(stream + 24, len - 24, 64);
	assert_int_equal(seen.port_80, 0);
	assert_int_equal(seen.syns, 1);
	assert_int_equal(seen.longest, 64);
	world_deinit(&w);
}

static void a_full_ring_leaves_whole_records_out_and_goes_on_when_it_is_read(void **state)
{
	(void)state;
	struct world w;
	static uint8_t ring[NET_CAPTURE_SIZE_MIN], stream[NET_CAPTURE_SIZE_MIN];
	struct net_capture c = {.ring = ring, .size = sizeof ring, .snap_len = 65535};
	world_of_two(&w);
	net_capture_start(w.station[1].net, &c);
	for (int i = 0; i < 40; i++)
		talk(&w);
	assert_true(c.dropped > 0);
	uint64_t before = c.frames;
	size_t len = drain(&c, stream, sizeof stream);
	assert_int_equal(records_read(stream + 24, len - 24, 65535).records, before);
	for (int i = 0; i < 3; i++) { /* and around the ring's end */
		before = c.frames;
		talk(&w);
		len = drain(&c, stream, sizeof stream);
		assert_int_equal(records_read(stream, len, 65535).records, c.frames - before);
		assert_true(c.frames > before);
	}
	world_deinit(&w);
}

static void each_counter_has_a_name(void **state)
{
	(void)state;
	struct world w;
	struct net_counter counter;
	uint64_t frames = 0;
	world_of_two(&w);
	talk(&w);
	for (uint32_t i = 0; net_counter_at(w.station[1].net, i, &counter); i++)
		if (strcmp(counter.name, "if_in_frames") == 0)
			frames = counter.value;
	assert_int_equal(frames, net_counters(w.station[1].net)->if_in_frames);
	assert_true(frames > 0);
	world_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_of_both_directions_are_read_back_as_pcap),
		cmocka_unit_test(long_frames_are_cut_and_a_port_can_be_left_out),
		cmocka_unit_test(a_full_ring_leaves_whole_records_out_and_goes_on_when_it_is_read),
		cmocka_unit_test(each_counter_has_a_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
