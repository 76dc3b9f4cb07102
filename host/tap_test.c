/* The TAP device against the kernel's own stack, in a network namespace of the test's own. Skipped
 * where that is not allowed. Here, 10.99.0.1 is the kernel and 10.99.0.2 is the device. */
#include <host/host.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include <base/bytes.h>

#define NAME "ingot-test0"
#define KERNEL 0x0a630001u
#define DEVICE 0x0a630002u
#define MS 1000000ull
#define BUFFERS 16
#define ETH 14
#define IP 20
#define UDP 8
#define TCP 20

struct bed {
	struct host *host;
	struct net_device *net;
	int udp;
	uint8_t kernel_mac[6];
	struct frame_rx rx[BUFFERS];
	uint8_t buffer[BUFFERS][2048];
	int done;
};

static int configure(struct bed *b)
{
	struct ifreq r = {.ifr_name = NAME};
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(KERNEL)};
	memcpy(&r.ifr_addr, &a, sizeof a);
	if (ioctl(b->udp, SIOCSIFADDR, &r) < 0)
		return -1;
	a.sin_addr.s_addr = htonl(0xffffff00);
	memcpy(&r.ifr_netmask, &a, sizeof a);
	if (ioctl(b->udp, SIOCSIFNETMASK, &r) < 0)
		return -1;
	r.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(b->udp, SIOCSIFFLAGS, &r) < 0 || ioctl(b->udp, SIOCGIFHWADDR, &r) < 0)
		return -1;
	memcpy(b->kernel_mac, r.ifr_hwaddr.sa_data, 6);
	a.sin_addr.s_addr = htonl(KERNEL);
	a.sin_port = htons(7000);
	return bind(b->udp, (struct sockaddr *)&a, sizeof a);
}

static int set_up(void **state)
{
	struct bed *b = calloc(1, sizeof *b);
	struct host_options o = {.tap = NAME, .memory_len = 65536};
	char why[256] = "";
	struct writer w = writer_of(why, sizeof why - 1);
	if (!b)
		return -1;
	if (unshare(CLONE_NEWNET) < 0 || failed(host_create(&o, &w, &b->host))) {
		fprintf(stderr,
			"# SKIP: needs the right to make a TAP interface. %s\n", why);
		free(b);
		return 0;
	}
	b->net = host_platform(b->host)->net[0];
	b->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	*state = b;
	return configure(b);
}

static int tear_down(void **state)
{
	struct bed *b = *state;
	if (b) {
		close(b->udp);
		host_destroy(b->host);
		free(b);
	}
	return 0;
}

static void put(void *owner, struct frame_rx *f)
{
	struct bed *b = owner;
	assert_true(b->net->give(b->net, f));
}

static void give_all(struct bed *b)
{
	for (int i = 0; i < BUFFERS; i++) {
		b->rx[i] = (struct frame_rx){
			.buffer = b->buffer[i],
			.capacity = sizeof b->buffer[i],
			.put = put,
			.owner = b,
		};
		put(b, &b->rx[i]);
	}
}

static void sent(void *owner, struct frame_tx *f)
{
	(void)f;
	((struct bed *)owner)->done++;
}

static void send_frame(struct bed *b, struct frame_tx *f)
{
	int before = b->done;
	f->done = sent;
	f->owner = b;
	assert_true(b->net->send(b->net, f));
	assert_int_equal(b->done, before);
	b->net->kick(b->net);
	struct list none;
	list_init(&none);
	b->net->poll(b->net, &none, 0);
	assert_int_equal(b->done, before + 1);
}

/* The next frame of this type (and IP protocol, if not 0), waiting at most 5 s; others are given
 * back. */
static struct frame_rx *receive(struct bed *b, uint16_t type, uint8_t protocol)
{
	struct platform *p = host_platform(b->host);
	uint64_t until = p->now_ns(p) + 5000 * MS;
	while (p->now_ns(p) < until) {
		struct list got, *e;
		list_init(&got);
		b->net->poll(b->net, &got, 1);
		if ((e = list_pop_front(&got)) == NULL) {
			p->idle(p, until);
			continue;
		}
		struct frame_rx *f = LIST_ENTRY(e, struct frame_rx, link);
		if (load_be16(f->data + 12) == type && (!protocol || f->data[ETH + 9] == protocol))
			return f;
		frame_rx_put(f);
	}
	fail_msg("no frame of type %x arrived", type);
	return NULL;
}

static void write_ethernet(struct writer *w, const struct bed *b, uint16_t type)
{
	write_bytes(w, slice_of(b->kernel_mac, 6));
	write_bytes(w, slice_of(b->net->mac, 6));
	write_be16(w, type);
}

static void finish(struct frame_tx *f, const struct writer *w)
{
	assert_false(w->failed);
	f->header_len = (uint16_t)writer_len(w);
}

static void answer_arp(struct bed *b)
{
	struct frame_rx *request = receive(b, 0x0806, 0);
	assert_int_equal(load_be32(request->data + ETH + 24), DEVICE);
	frame_rx_put(request);
	struct frame_tx f = {0};
	struct writer w = writer_of(f.header + FRAME_TX_HEADROOM, FRAME_TX_HEADER_MAX);
	write_ethernet(&w, b, 0x0806);
	write_be64(&w, 0x0001080006040002); /* Ethernet, IPv4, reply */
	write_bytes(&w, slice_of(b->net->mac, 6));
	write_be32(&w, DEVICE);
	write_bytes(&w, slice_of(b->kernel_mac, 6));
	write_be32(&w, KERNEL);
	finish(&f, &w);
	send_frame(b, &f);
}

static uint32_t sum16(struct slice s, uint32_t sum)
{
	for (size_t i = 0; i + 1 < s.len; i += 2)
		sum += load_be16(s.ptr + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* From port 9 to port 7000. The UDP checksum is the pseudo-header's: the rest is left to the
 * device. */
static void make_udp(struct bed *b, struct frame_tx *f, uint32_t payload_len)
{
	struct writer w = writer_of(f->header + FRAME_TX_HEADROOM, FRAME_TX_HEADER_MAX);
	uint16_t udp_len = (uint16_t)(UDP + payload_len);
	write_ethernet(&w, b, 0x0800);
	uint8_t *ip = w.pos;
	write_be32(&w, 0x45000000u | (IP + udp_len));
	write_be32(&w, 0);
	write_be32(&w, 0x40110000);
	write_be32(&w, DEVICE);
	write_be32(&w, KERNEL);
	store_be16(ip + 10, (uint16_t)~sum16(slice_of(ip, IP), 0));
	write_be32(&w, 9u << 16 | 7000);
	write_be16(&w, udp_len);
	write_be16(&w, (uint16_t)sum16(slice_of(ip + 12, 8), 17u + udp_len));
	finish(f, &w);
	f->checksum_start = ETH + IP;
	f->checksum_offset = 6;
	f->payload_len = payload_len;
}

static void the_kernel_and_the_device_talk(void **state)
{
	struct bed *b = *state;
	if (!b)
		skip();
	give_all(b);
	/* To the device: an ARP request, then the datagram. */
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(DEVICE)};
	assert_int_equal(sendto(b->udp, "hello", 5, 0, (struct sockaddr *)&to, sizeof to), 5);
	answer_arp(b);
	struct frame_rx *f = receive(b, 0x0800, 17);
	assert_memory_equal(f->data, b->net->mac, 6);
	assert_int_equal(f->len, ETH + IP + UDP + 5);
	assert_memory_equal(f->data + ETH + IP + UDP, "hello", 5);
	assert_int_equal(f->checksum, FRAME_CHECKSUM_PARTIAL);
	frame_rx_put(f);
}

static void segments_are_gathered_and_the_checksum_is_filled_in(void **state)
{
	struct bed *b = *state;
	if (!b)
		skip();
	struct frame_tx f = {0};
	char got[64] = "";
	make_udp(b, &f, 11);
	f.segment[0] = SLICE("gather");
	f.segment[1] = SLICE("ed ");
	f.segment[2] = SLICE("ok");
	f.segment_count = 3;
	send_frame(b, &f);
	struct timeval limit = {.tv_sec = 5};
	setsockopt(b->udp, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	assert_int_equal(recv(b->udp, got, sizeof got, 0), 11);
	assert_string_equal(got, "gathered ok");
	assert_true(b->net->tx_frames >= 1 && b->net->tx_kicks >= 1);
}

/* A segment of four times gso_size for a port where nobody listens. The kernel takes it whole: its
 * reset acknowledges every byte. */
static void a_large_segment_is_taken_in_one_piece(void **state)
{
	struct bed *b = *state;
	if (!b)
		skip();
	static uint8_t payload[4000];
	struct frame_tx f = {0};
	struct writer w = writer_of(f.header + FRAME_TX_HEADROOM, FRAME_TX_HEADER_MAX);
	write_ethernet(&w, b, 0x0800);
	uint8_t *ip = w.pos;
	write_be32(&w, 0x45000000u | (IP + TCP + sizeof payload));
	write_be32(&w, 0);
	write_be32(&w, 0x40060000);
	write_be32(&w, DEVICE);
	write_be32(&w, KERNEL);
	store_be16(ip + 10, (uint16_t)~sum16(slice_of(ip, IP), 0));
	write_be32(&w, 9u << 16 | 7001);
	write_be32(&w, 1000000); /* sequence number */
	write_be32(&w, 0);
	write_be32(&w, 0x5008ffff); /* PSH; a window */
	write_be16(&w, (uint16_t)sum16(slice_of(ip + 12, 8), 6u + TCP + sizeof payload));
	write_be16(&w, 0);
	finish(&f, &w);
	f.checksum_start = ETH + IP;
	f.checksum_offset = 16;
	f.gso = FRAME_GSO_TCP4;
	f.gso_size = 1000;
	f.segment[0] = slice_of(payload, 1500);
	f.segment[1] = slice_of(payload + 1500, 2500);
	f.segment_count = 2;
	f.payload_len = sizeof payload;
	send_frame(b, &f);
	struct frame_rx *reset = receive(b, 0x0800, 6);
	const uint8_t *tcp = reset->data + ETH + IP;
	assert_int_equal(tcp[13], 0x14); /* RST, ACK */
	assert_int_equal(load_be32(tcp + 8), 1000000 + sizeof payload);
	frame_rx_put(reset);
}

static void a_wrong_checksum_is_not_mended_unless_asked_for(void **state)
{
	struct bed *b = *state;
	if (!b)
		skip();
	struct frame_tx f = {0};
	char got[64];
	make_udp(b, &f, 2);
	f.checksum_start = f.checksum_offset = 0;
	f.segment[0] = SLICE("no");
	f.segment_count = 1;
	send_frame(b, &f);
	struct timeval limit = {.tv_usec = 50000};
	setsockopt(b->udp, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	assert_int_equal(recv(b->udp, got, sizeof got, 0), -1);
}

static void an_interface_that_goes_does_not_keep_the_machine_awake(void **state)
{
	struct bed *b = *state;
	if (!b)
		skip();
	struct platform *p = host_platform(b->host);
	if (system("command -v ip >/dev/null") != 0)
		skip();
	assert_int_equal(system("ip link delete " NAME), 0);
	p->idle(p, p->now_ns(p) + 1000 * MS);
	uint64_t until = p->now_ns(p) + 50 * MS;
	p->idle(p, until);
	assert_true(p->now_ns(p) >= until);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kernel_and_the_device_talk),
		cmocka_unit_test(segments_are_gathered_and_the_checksum_is_filled_in),
		cmocka_unit_test(a_large_segment_is_taken_in_one_piece),
		cmocka_unit_test(a_wrong_checksum_is_not_mended_unless_asked_for),
		cmocka_unit_test(an_interface_that_goes_does_not_keep_the_machine_awake),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
