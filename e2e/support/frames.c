/* Sends frames that nobody should send, from a raw socket:
 *
 *	frames KIND INTERFACE GUEST-MAC GUEST-ADDRESS COUNT SEED
 *
 * KIND: garbage (mutated, truncated and contradictory Ethernet, ARP, IPv4, IPv6, ICMP, UDP and TCP), or
 * one of the kinds below alone; syn (connection requests for port 80 from addresses that do not exist);
 * hold (one connection, from a neighbour that does not exist, that sends COUNT single bytes, each behind
 * a gap, so that the guest has to keep them all).
 * The same seed, the same frames. */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/if_ether.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FRAME_MAX = 1514, ETH = 14, IP = 20, TCP = 20, BURST = 64 };

static uint64_t state;
static uint8_t guest_mac[6];
static uint32_t guest_address;

/* xorshift64* */
static uint32_t draw(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)((state * 0x2545f4914f6cdd1dull) >> 32);
}
static uint32_t below(uint32_t n) { return draw() % n; }
static bool one_in(uint32_t n) { return below(n) == 0; }

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}
static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}
static void noise(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)draw();
}

static uint32_t sum(const uint8_t *p, size_t n, uint32_t s)
{
	for (size_t i = 0; i + 1 < n; i += 2)
		s += (uint32_t)p[i] << 8 | p[i + 1];
	if (n & 1)
		s += (uint32_t)p[n - 1] << 8;
	return s;
}
static uint32_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return ~s & 0xffff;
}

static size_t ethernet(uint8_t *f, uint32_t type)
{
	static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
	memcpy(f, one_in(8) ? all : guest_mac, 6);
	noise(f + 6, 6);
	f[6] = 0x02;
	put16(f + 12, type);
	return ETH;
}

/* Sources: elsewhere, on this link, and what can be none. */
static uint32_t source(void)
{
	static const uint32_t odd[] = {0, 0xffffffff, 0x7f000001, 0xe0000001, 0x0a4d00ff, 0x0a4d0000};
	if (one_in(6))
		return odd[below(6)];
	if (one_in(8))
		return guest_address; /* "LAND" */
	if (one_in(3))
		return (guest_address & 0xffffff00u) | (16 + below(200));
	return 0xc6120000u | below(1 << 17); /* 198.18.0.0/15 */
}

static void ip_header(uint8_t *p, uint32_t protocol, size_t payload, uint32_t from)
{
	memset(p, 0, IP);
	p[0] = 0x45;
	put16(p + 2, (uint32_t)(IP + payload));
	put16(p + 4, draw() & 0xffff);
	p[8] = 64;
	p[9] = (uint8_t)protocol;
	put32(p + 12, from);
	put32(p + 16, guest_address);
	put16(p + 10, fold(sum(p, IP, 0)));
}

/* The checksum of a TCP or UDP segment whose IP header stands in front of it. */
static void transport_checksum(uint8_t *ip, size_t len, size_t at)
{
	uint8_t *t = ip + IP;
	put16(t + at, 0);
	put16(t + at, fold(sum(t, len, sum(ip + 12, 8, ip[9] + (uint32_t)len))));
}

static size_t tcp_segment(uint8_t *f, uint32_t from, uint32_t flags, size_t options, size_t data)
{
	size_t n = ethernet(f, 0x0800), len = TCP + options + data;
	uint8_t *ip = f + n, *t = ip + IP;
	ip_header(ip, 6, len, from);
	put16(t, 1024 + below(60000));
	put16(t + 2, one_in(10) ? below(65536) : 80);
	put32(t + 4, draw());
	put32(t + 8, flags & 0x10 ? draw() : 0);
	t[12] = (uint8_t)((TCP + options) / 4 << 4);
	t[13] = (uint8_t)flags;
	put16(t + 14, one_in(4) ? 0 : 65535);
	put16(t + 18, 0);
	noise(t + TCP, options + data);
	transport_checksum(ip, len, 16);
	return n + IP + len;
}

/* --- What is sent ----------------------------------------------------------------------------- */

static size_t any_ethertype(uint8_t *f)
{
	size_t n = ethernet(f, draw() & 0xffff), len = below(FRAME_MAX - ETH + 1);
	noise(f + n, len);
	return n + len;
}

static size_t odd_flags(uint8_t *f)
{
	return tcp_segment(f, source(), draw() & 0xff, 0, below(3) * below(700));
}

/* Options that lie about their length, or stop in the middle. */
static size_t odd_options(uint8_t *f)
{
	static const uint8_t kinds[] = {0, 1, 2, 3, 4, 5, 8, 30, 34, 254};
	size_t options = 4 * (1 + below(10));
	size_t n = tcp_segment(f, source(), one_in(2) ? 0x02 : 0x10, options, below(30));
	uint8_t *ip = f + ETH, *o = ip + IP + TCP;
	for (size_t i = 0; i < options; i += 1 + below(4))
		o[i] = one_in(2) ? kinds[below(10)] : (uint8_t)below(12);
	transport_checksum(ip, n - ETH - IP, 16);
	return n;
}

/* A header length that does not fit the segment, with a checksum that does. */
static size_t odd_offset(uint8_t *f)
{
	size_t n = tcp_segment(f, source(), draw() & 0x3f, 0, below(20));
	f[ETH + IP + 12] = (uint8_t)draw();
	transport_checksum(f + ETH, n - ETH - IP, 16);
	return n;
}

static size_t odd_lengths(uint8_t *f)
{
	size_t n = tcp_segment(f, source(), 0x18, 0, 100);
	uint8_t *ip = f + ETH;
	switch (below(5)) {
	case 0: put16(ip + 2, draw() & 0xffff); break; /* total length */
	case 1: ip[0] = (uint8_t)draw(); break;        /* version and header length */
	case 2: put16(ip + 2, below(IP)); break;
	case 3: n = ETH + below(IP + TCP); break;      /* cut short */
	default: ip[0] = (uint8_t)(0x40 | below(16)); break;
	}
	if (!one_in(4)) {
		put16(ip + 10, 0);
		put16(ip + 10, fold(sum(ip, IP, 0)));
	}
	return n;
}

static size_t fragment(uint8_t *f)
{
	size_t n = ethernet(f, 0x0800), len = 8 * below(150) + below(8);
	uint8_t *ip = f + n;
	noise(ip + IP, len);
	ip_header(ip, one_in(2) ? 6 : one_in(2) ? 17 : 1, len, source());
	put16(ip + 4, below(8));
	put16(ip + 6, (one_in(3) ? 0 : 0x2000) | (one_in(5) ? 0x1fff : below(200)));
	put16(ip + 10, 0);
	put16(ip + 10, fold(sum(ip, IP, 0)));
	return n + IP + len;
}

/* Never in the name of 10.77.0.1: believing such a one is what ARP is. */
static size_t arp(uint8_t *f)
{
	size_t n = ethernet(f, 0x0806), len = one_in(4) ? below(28) : 28 + below(18);
	uint8_t *a = f + n;
	noise(a, 46);
	if (!one_in(4)) {
		put16(a, one_in(6) ? draw() & 0xffff : 1);
		put16(a + 2, one_in(6) ? draw() & 0xffff : 0x0800);
		a[4] = one_in(6) ? (uint8_t)draw() : 6;
		a[5] = one_in(6) ? (uint8_t)draw() : 4;
		put16(a + 6, one_in(4) ? draw() & 0xffff : 1 + below(2));
		put32(a + 14, source());
		put32(a + 24, one_in(3) ? draw() : guest_address);
	}
	return n + len;
}

/* Echo, redirect, "too big" with an absurd size, about connections that may or may not exist. */
static size_t icmp(uint8_t *f)
{
	static const uint8_t types[] = {0, 3, 3, 4, 5, 8, 8, 11, 12, 13, 255};
	size_t n = ethernet(f, 0x0800), len = one_in(5) ? below(8) : 8 + below(1400);
	uint8_t *ip = f + n, *m = ip + IP;
	noise(m, len + 64);
	m[0] = types[below(11)];
	m[1] = m[0] == 3 ? 4 : (uint8_t)below(4);
	if (m[0] == 3 && len > 8 + IP + 8) {
		put16(m + 6, one_in(2) ? 0 : below(1600));
		ip_header(m + 8, 6, 1000, guest_address);
		put32(m + 8 + 16, 0x0a4d0001);
		put16(m + 8 + IP, 80);
	}
	put16(m + 2, 0);
	put16(m + 2, fold(sum(m, len, 0)) ^ (one_in(8) ? 1 : 0));
	ip_header(ip, 1, len, source());
	return n + IP + len;
}

static size_t udp(uint8_t *f)
{
	static const uint16_t ports[] = {67, 68, 53, 0, 80, 5353};
	size_t n = ethernet(f, 0x0800), len = 8 + below(600);
	uint8_t *ip = f + n, *u = ip + IP;
	ip_header(ip, 17, len, source());
	noise(u, len);
	put16(u, ports[below(6)]);
	put16(u + 2, one_in(3) ? below(65536) : ports[below(6)]);
	put16(u + 4, one_in(3) ? draw() & 0xffff : (uint32_t)len);
	if (one_in(2))
		transport_checksum(ip, len, 6);
	else
		put16(u + 6, 0);
	return n + IP + len;
}

static size_t ipv6(uint8_t *f)
{
	size_t n = ethernet(f, 0x86dd), len = below(300);
	uint8_t *p = f + n;
	noise(p, 40 + len);
	p[0] = 0x60;
	put16(p + 4, one_in(3) ? draw() & 0xffff : (uint32_t)len);
	p[6] = (uint8_t)(one_in(3) ? draw() : one_in(2) ? 58 : one_in(2) ? 0 : 44);
	return n + 40 + len;
}

/* A good frame with a few wrong bits, and checksums that are sometimes right again. */
static size_t mutated(uint8_t *f)
{
	size_t n = tcp_segment(f, source(), one_in(2) ? 0x02 : 0x18, 4 * below(5), below(200));
	for (uint32_t i = 1 + below(6); i; i--)
		f[12 + below((uint32_t)n - 12)] ^= (uint8_t)(1u << below(8));
	if (one_in(2)) {
		put16(f + ETH + 10, 0);
		put16(f + ETH + 10, fold(sum(f + ETH, IP, 0)));
		transport_checksum(f + ETH, n - ETH - IP, 16);
	}
	return n;
}

static size_t syn(uint8_t *f)
{
	size_t n = tcp_segment(f, 0xc6120000u | below(1 << 17), 0x02, 4, 0);
	uint8_t *t = f + ETH + IP;
	memcpy(f, guest_mac, 6);
	put16(t + 2, 80);
	memcpy(t + TCP, (uint8_t[]){2, 4, 5, 180}, 4);
	transport_checksum(f + ETH, n - ETH - IP, 16);
	return n;
}

static const struct kind {
	const char *name;
	size_t (*make)(uint8_t *frame); /* returns its length */
} kinds[] = {
	{"ethertype", any_ethertype}, {"flags", odd_flags}, {"options", odd_options}, {"offset", odd_offset},
	{"lengths", odd_lengths}, {"fragment", fragment}, {"arp", arp}, {"icmp", icmp}, {"udp", udp},
	{"ipv6", ipv6}, {"mutated", mutated}, {"syn", syn}, /* last: not part of the garbage */
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* NULL: a mixture. */
static const struct kind *kind_find(const char *name)
{
	for (size_t i = 0; i < KINDS; i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	if (strcmp(name, "garbage") != 0) {
		fprintf(stderr, "there is no kind %s\n", name);
		exit(2);
	}
	return NULL;
}

/* `listen`: the protocols that are received; 0: none. */
static int raw_socket(const char *interface, uint16_t listen)
{
	int s = socket(AF_PACKET, SOCK_RAW, 0);
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(listen),
		.sll_ifindex = (int)if_nametoindex(interface)};
	if (s < 0 || !at.sll_ifindex || bind(s, (struct sockaddr *)&at, sizeof at) != 0) {
		perror(interface);
		exit(2);
	}
	return s;
}

/* --- A connection that makes the guest keep what it receives ----------------------------------- */

static const uint8_t holder_mac[6] = {0x02, 'h', 'o', 'l', 'd', 0};

static uint32_t holder_address(void) { return (guest_address & 0xffffff00u) | 99; }

static void holder_send(int s, uint32_t seq, uint32_t ack, uint8_t flags, bool with_byte)
{
	uint8_t f[64] = {0};
	size_t len = TCP + with_byte;
	uint8_t *t = f + ETH + IP;
	memcpy(f, guest_mac, 6);
	memcpy(f + 6, holder_mac, 6);
	put16(f + 12, 0x0800);
	ip_header(f + ETH, 6, len, holder_address());
	put16(t, 40000);
	put16(t + 2, 80);
	put32(t + 4, seq);
	put32(t + 8, ack);
	t[12] = TCP / 4 << 4;
	t[13] = flags;
	put16(t + 14, 65535);
	transport_checksum(f + ETH, len, 16);
	if (send(s, f, 60, 0) < 0)
		perror("send");
}

static void holder_answer_arp(int s, const uint8_t *question)
{
	uint8_t f[60] = {0};
	memcpy(f, question + 6, 6);
	memcpy(f + 6, holder_mac, 6);
	memcpy(f + 12, question + 12, 8);
	f[21] = 2;
	memcpy(f + 22, holder_mac, 6);
	memcpy(f + 28, question + 38, 4);
	memcpy(f + 32, question + 22, 10);
	if (send(s, f, sizeof f, 0) < 0)
		perror("send");
}

/* Answers ARP until the guest's SYN-ACK comes; its sequence number. */
static bool holder_await(int s, uint32_t *seq)
{
	uint8_t f[2048], me[4];
	put32(me, holder_address());
	for (int i = 0; i < 2000; i++) {
		ssize_t n = recv(s, f, sizeof f, 0);
		if (n < 42)
			continue;
		if (f[12] == 8 && f[13] == 6 && f[21] == 1 && memcmp(f + 38, me, 4) == 0)
			holder_answer_arp(s, f);
		if (n >= 54 && f[12] == 8 && f[13] == 0 && memcmp(f + 30, me, 4) == 0 && f[47] == 0x12) {
			*seq = (uint32_t)f[38] << 24 | (uint32_t)f[39] << 16 | (uint32_t)f[40] << 8 | f[41];
			return true;
		}
	}
	return false;
}

static int hold(int s, uint32_t count)
{
	uint32_t theirs, ours = 1000;
	struct timeval patience = {.tv_usec = 10000};
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	holder_send(s, ours, 0, 0x02, false);
	if (!holder_await(s, &theirs)) {
		fprintf(stderr, "no connection\n");
		return 1;
	}
	holder_send(s, ours + 1, theirs + 1, 0x10, false);
	for (uint32_t i = 0; i < count; i++) {
		holder_send(s, ours + 3 + 2 * i, theirs + 1, 0x18, true);
		if (i % BURST == 0)
			usleep(2000);
	}
	return 0;
}

int main(int argc, char **argv)
{
	unsigned m[6];
	if (argc != 7 || sscanf(argv[3], "%x:%x:%x:%x:%x:%x", m, m + 1, m + 2, m + 3, m + 4, m + 5) != 6) {
		fprintf(stderr, "frames KIND INTERFACE GUEST-MAC GUEST-ADDRESS COUNT SEED\n");
		return 2;
	}
	bool is_hold = strcmp(argv[1], "hold") == 0;
	const struct kind *only = is_hold ? NULL : kind_find(argv[1]);
	int s = raw_socket(argv[2], is_hold ? ETH_P_ALL : 0);
	for (int i = 0; i < 6; i++)
		guest_mac[i] = (uint8_t)m[i];
	guest_address = ntohl(inet_addr(argv[4]));
	state = strtoull(argv[6], NULL, 0) * 2 + 1;
	if (is_hold)
		return hold(s, (uint32_t)atol(argv[5]));
	long sent = 0;
	for (long i = 0, count = atol(argv[5]); i < count; i++) {
		uint8_t frame[FRAME_MAX + 128] = {0};
		const struct kind *kind = only ? only : &kinds[below(KINDS - 1)];
		size_t n = kind->make(frame);
		/* ENOBUFS: the guest's queue is full, and a wire would lose it, too. */
		sent += send(s, frame, n > FRAME_MAX ? FRAME_MAX : n, 0) > 0;
		if (i % BURST == BURST - 1)
			nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
	}
	printf("%ld frames sent\n", sent);
	return sent ? 0 : 1;
}
