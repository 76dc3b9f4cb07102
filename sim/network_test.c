/* The simulated Ethernet does to frames what it is told to, and nothing else. */
#include <sim/network.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <base/bytes.h>
#include <sim/packet.h>

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)

struct bench {
	struct sim_network n;
	struct sim_port *port[3];
	uint32_t fates[SIM_NO_STATION + 1], done;
	struct sim_frame *sent[64], *answered;
	uint32_t sent_count;
};

static struct sim_frame *keep(const struct sim_frame *f)
{
	struct sim_frame *copy = malloc(sizeof *f + f->len);
	assert_non_null(copy);
	memcpy(copy, f, sizeof *f + f->len);
	return copy;
}

static void tap(void *cookie, enum sim_fate fate, const struct sim_frame *f)
{
	struct bench *b = cookie;
	b->fates[fate]++;
	if (fate == SIM_SENT && b->sent_count < ARRAY_LEN(b->sent))
		b->sent[b->sent_count++] = keep(f);
	if (fate == SIM_ANSWERED && !b->answered)
		b->answered = keep(f);
}

static void bench_start(struct bench *b, uint64_t seed)
{
	memset(b, 0, sizeof *b);
	sim_network_init(&b->n, seed, MS);
	b->n.tap = tap;
	b->n.cookie = b;
	for (uint8_t i = 0; i < 3; i++) {
		struct sim_port_config c = {.mac = {2, 0, 0, 0, 0, (uint8_t)(i + 1)}, .tx_ring = 4,
			.rx_buffers = 8, .rx_size = 2048, .rx_headroom = 12, .rx_checksum = SIM_RX_VERIFIED,
			.done_ns_max = 100 * US};
		b->port[i] = sim_network_add(&b->n, &c);
		b->port[i]->up.delay_ns = 10 * US;
	}
}

static void bench_stop(struct bench *b)
{
	for (uint32_t i = 0; i < b->sent_count; i++)
		free(b->sent[i]);
	free(b->answered);
	sim_network_free(&b->n);
}

static void done(void *owner, struct frame_tx *f)
{
	struct bench *b = owner;
	b->done++;
	free(f);
}

/* A TCP segment from port 0 to port 1, its checksum left to the card. */
static struct frame_tx *segment(struct bench *b, bool v6, const uint8_t *payload, uint32_t len)
{
	struct frame_tx *f = calloc(1, sizeof *f);
	assert_non_null(f);
	uint8_t *e = f->header + FRAME_TX_HEADROOM, *ip = e + SIM_ETHERNET, *tcp = ip + (v6 ? 40 : 20);
	memcpy(e, b->port[1]->config.mac, 6);
	memcpy(e + 6, b->port[0]->config.mac, 6);
	store_be16(e + 12, v6 ? 0x86dd : 0x0800);
	ip[0] = v6 ? 0x60 : 0x45;
	store_be16(ip + (v6 ? 4 : 2), (uint16_t)((v6 ? 20 : 40) + len));
	ip[v6 ? 6 : 9] = 6;
	ip[v6 ? 7 : 8] = 64;
	memset(ip + (v6 ? 8 : 12), 0x11, v6 ? 16 : 4);
	memset(ip + (v6 ? 24 : 16), 0x22, v6 ? 16 : 4);
	if (!v6)
		store_be16(ip + 10, (uint16_t)~sim_sum_fold(sim_sum(0, slice_of(ip, 20))));
	store_be16(tcp, 1000);
	store_be16(tcp + 2, 80);
	store_be32(tcp + 4, 5000);
	tcp[12] = 0x50;
	tcp[13] = SIM_ACK | SIM_PSH | SIM_FIN;
	uint32_t pseudo = sim_sum(6 + 20 + len, slice_of(ip + (v6 ? 8 : 12), v6 ? 32 : 8));
	store_be16(tcp + 16, sim_sum_fold(pseudo));
	f->header_len = (uint16_t)(tcp + 20 - e);
	f->checksum_start = (uint16_t)(tcp - e);
	f->checksum_offset = 16;
	f->payload_len = len;
	f->segment_count = 2;
	f->segment[0] = slice_of(payload, len / 3);
	f->segment[1] = slice_of(payload + len / 3, len - len / 3);
	f->done = done;
	f->owner = b;
	return f;
}

static void send_one(struct bench *b, uint32_t len)
{
	static const uint8_t payload[9000];
	assert_true(sim_port_send(b->port[0], segment(b, false, payload, len)));
}

static void run(struct bench *b, uint64_t ns)
{
	sim_network_advance(&b->n, b->n.now_ns + ns);
}

static void frames_too_large_for_the_wire_are_cut_as_a_device_does(void **state)
{
	(void)state;
	uint8_t payload[3500];
	for (size_t i = 0; i < sizeof payload; i++)
		payload[i] = (uint8_t)(i * 7);
	for (int v6 = 0; v6 < 2; v6++) {
		struct bench b;
		bench_start(&b, 1);
		struct frame_tx *f = segment(&b, v6, payload, sizeof payload);
		f->gso = v6 ? FRAME_GSO_TCP6 : FRAME_GSO_TCP4;
		f->gso_size = 1000;
		assert_true(sim_port_send(b.port[0], f));
		assert_int_equal(b.sent_count, 4);
		for (uint32_t i = 0; i < 4; i++) {
			struct sim_packet p;
			assert_null(sim_packet_parse(&p, slice_of(b.sent[i]->bytes, b.sent[i]->len)));
			assert_int_equal(p.seq, 5000 + 1000 * i);
			assert_int_equal(p.payload.len, i < 3 ? 1000 : 500);
			assert_memory_equal(p.payload.ptr, payload + 1000 * i, p.payload.len);
			assert_int_equal(p.flags, i < 3 ? SIM_ACK : SIM_ACK | SIM_PSH | SIM_FIN);
		}
		run(&b, MS);
		assert_int_equal(b.done, 1);
		assert_int_equal(b.fates[SIM_ARRIVED], 4);
		bench_stop(&b);
	}
}

static void what_does_not_fit_is_told_or_just_lost(void **state)
{
	(void)state;
	struct bench b;
	struct sim_packet p;
	bench_start(&b, 1);
	b.port[1]->down.mtu = 1000;
	send_one(&b, 1000);
	run(&b, MS);
	assert_int_equal(b.fates[SIM_TOO_BIG], 1);
	assert_int_equal(b.fates[SIM_ANSWERED], 0);
	b.port[1]->down.tells_mtu = true;
	send_one(&b, 1000);
	run(&b, MS);
	assert_int_equal(b.fates[SIM_ANSWERED], 1);
	assert_null(sim_packet_parse(&p, slice_of(b.answered->bytes, b.answered->len)));
	assert_int_equal(p.kind, SIM_ICMP4);
	assert_int_equal(load_be16(p.transport.ptr), 0x0304);
	assert_int_equal(load_be16(p.transport.ptr + 6), 1000);
	struct frame_rx *f = sim_port_receive(b.port[0]);
	assert_non_null(f);
	frame_rx_put(f);
	assert_null(sim_port_receive(b.port[1]));
	bench_stop(&b);
}

static void a_full_ring_refuses_until_frames_are_done(void **state)
{
	(void)state;
	struct bench b;
	static const uint8_t payload[100];
	bench_start(&b, 1);
	b.port[0]->tx_held = true;
	for (int i = 0; i < 4; i++)
		send_one(&b, 100);
	struct frame_tx *fifth = segment(&b, false, payload, 100);
	assert_false(sim_port_send(b.port[0], fifth));
	run(&b, MS);
	assert_int_equal(b.done, 0);
	assert_false(sim_port_send(b.port[0], fifth));
	sim_port_tx_release(b.port[0]);
	assert_int_equal(b.done, 4);
	assert_true(sim_port_send(b.port[0], fifth));
	bench_stop(&b);
	free(fifth); /* never given back: the network ended before */
}

static void without_buffers_frames_are_dropped(void **state)
{
	(void)state;
	struct bench b;
	bench_start(&b, 1);
	b.port[1]->rx_withheld = 6;
	for (int i = 0; i < 3; i++)
		send_one(&b, 100);
	run(&b, MS);
	assert_int_equal(b.fates[SIM_NO_BUFFER], 1);
	assert_int_equal(sim_port_rx_held(b.port[1]), 2);
	struct frame_rx *f = sim_port_receive(b.port[1]);
	assert_int_equal(f->checksum, FRAME_CHECKSUM_GOOD);
	assert_int_equal(f->data - f->buffer, 12);
	frame_rx_put(f);
	assert_int_equal(sim_port_rx_held(b.port[1]), 1);
	sim_port_reset(b.port[1]); /* the other one is the card's again */
	assert_int_equal(sim_port_rx_held(b.port[1]), 0);
	bench_stop(&b);
}

static void a_rate_is_kept_and_a_queue_is_bounded(void **state)
{
	(void)state;
	struct bench b;
	bench_start(&b, 1);
	b.port[0]->up.bytes_per_s = 1000000;
	b.port[0]->up.queue_max = 1500;
	for (int i = 0; i < 4; i++)
		send_one(&b, 946); /* 1,000 bytes with headers: a millisecond each */
	assert_int_equal(b.fates[SIM_QUEUE_FULL], 2);
	run(&b, MS);
	assert_int_equal(b.fates[SIM_ARRIVED], 0);
	run(&b, 100 * US);
	assert_int_equal(b.fates[SIM_ARRIVED], 1);
	run(&b, MS);
	assert_int_equal(b.fates[SIM_ARRIVED], 2);
	bench_stop(&b);
}

static void corruption_shows_and_a_forgery_does_not(void **state)
{
	(void)state;
	struct bench b;
	struct sim_packet p;
	bench_start(&b, 3);
	b.port[0]->up.corrupt = 10000;
	send_one(&b, 100);
	run(&b, MS);
	struct frame_rx *f = sim_port_receive(b.port[1]);
	assert_int_equal(b.fates[SIM_CORRUPTED], 1);
	assert_non_null(sim_packet_parse(&p, slice_of(f->data, f->len)));
	assert_int_equal(f->checksum, FRAME_CHECKSUM_NONE);
	frame_rx_put(f);
	b.port[0]->up.corrupt = 0;
	b.port[0]->up.forge = 10000;
	send_one(&b, 100);
	run(&b, MS);
	f = sim_port_receive(b.port[1]);
	assert_null(sim_packet_parse(&p, slice_of(f->data, f->len)));
	assert_int_equal(f->checksum, FRAME_CHECKSUM_GOOD);
	bool changed = false;
	for (size_t i = 0; i < p.payload.len; i++)
		changed |= p.payload.ptr[i] != 0;
	assert_true(changed);
	frame_rx_put(f);
	bench_stop(&b);
}

static uint64_t noisy_run(uint64_t seed, uint32_t *arrived)
{
	struct bench b;
	bench_start(&b, seed);
	b.port[0]->up = (struct sim_path){.loss = 2000, .duplicate = 2000, .reorder = 3000, .mtu = 1500,
		.delay_ns = 20 * US, .jitter_ns = 500 * US, .queue_max = UINT32_MAX};
	for (int i = 0; i < 400; i++) {
		struct frame_rx *f;
		send_one(&b, 100);
		run(&b, 200 * US);
		while ((f = sim_port_receive(b.port[1])))
			frame_rx_put(f);
	}
	run(&b, 10 * MS);
	*arrived = b.fates[SIM_ARRIVED];
	assert_int_equal(b.fates[SIM_ARRIVED], 400 - b.fates[SIM_LOST] + b.fates[SIM_DUPLICATED]);
	assert_in_range(b.fates[SIM_LOST], 50, 110);
	assert_in_range(b.fates[SIM_DUPLICATED], 35, 95);
	uint64_t hash = b.n.hash;
	bench_stop(&b);
	return hash;
}

static void the_same_seed_has_the_same_luck(void **state)
{
	(void)state;
	uint32_t a, b, c;
	uint64_t first = noisy_run(5, &a), second = noisy_run(5, &b), third = noisy_run(6, &c);
	assert_true(first == second && first != third);
	assert_int_equal(a, b);
}

static void a_broadcast_goes_to_all_others_and_a_stranger_to_nobody(void **state)
{
	(void)state;
	struct bench b;
	static const uint8_t payload[100];
	bench_start(&b, 1);
	struct frame_tx *f = segment(&b, false, payload, 100);
	memset(f->header + FRAME_TX_HEADROOM, 0xff, 6);
	assert_true(sim_port_send(b.port[0], f));
	run(&b, MS);
	assert_int_equal(b.fates[SIM_ARRIVED], 2);
	f = segment(&b, false, payload, 100);
	f->header[FRAME_TX_HEADROOM + 5] = 77;
	assert_true(sim_port_send(b.port[0], f));
	run(&b, MS);
	assert_int_equal(b.fates[SIM_NO_STATION], 1);
	for (uint32_t i = 1; i < 3; i++)
		frame_rx_put(sim_port_receive(b.port[i]));
	bench_stop(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_too_large_for_the_wire_are_cut_as_a_device_does),
		cmocka_unit_test(what_does_not_fit_is_told_or_just_lost),
		cmocka_unit_test(a_full_ring_refuses_until_frames_are_done),
		cmocka_unit_test(without_buffers_frames_are_dropped),
		cmocka_unit_test(a_rate_is_kept_and_a_queue_is_bounded),
		cmocka_unit_test(corruption_shows_and_a_forgery_does_not),
		cmocka_unit_test(the_same_seed_has_the_same_luck),
		cmocka_unit_test(a_broadcast_goes_to_all_others_and_a_stranger_to_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
