/* Peers of a TCP server, good and bad ones, each bounded in time and number:
 *
 *	intruder client ADDRESS PATH SECONDS MILLISECONDS
 *		A good one: a request each 50 ms on one connection, and every tenth on a new one. Ends with
 *		status 1 when one fails or takes longer than MILLISECONDS; prints "N requests, worst M ms".
 *	intruder hold ADDRESS PATH COUNT SECONDS
 *		COUNT connections ask for PATH, and never read: their windows close.
 *	intruder tiny ADDRESS PATH COUNT SECONDS
 *		The same with windows of some bytes, from which a byte is read now and then.
 *	intruder inject INTERFACE ADDRESS PATH ROUNDS SEED
 *		A kernel's connection to ADDRESS, into which segments are forged that nearly fit (the numbers are
 *		overheard): RSTs beside the next expected one, SYNs and data in and out of the window,
 *		acknowledgements of what was never sent, thousands of duplicate, old and split
 *		acknowledgements. Between the rounds the connection must answer requests, with every byte right.
 *	intruder ahead INTERFACE ADDRESS PATH SECONDS SEED
 *		Downloads PATH again and again while acknowledgements are forged for what the server has sent but the
 *		kernel has not acknowledged yet, and for more (optimistic acknowledgements).
 *
 * IPv4. inject and ahead need CAP_NET_RAW. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HOLD_MAX = 4096, REPLY_MAX = 1 << 20 };
enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void rest(double seconds)
{
	struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
	nanosleep(&t, NULL);
}

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "intruder: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int dial(const char *address, int receive_buffer)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80)};
	struct timeval limit = {10, 0};
	int s = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	if (s < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1)
		fail(address);
	if (receive_buffer)
		setsockopt(s, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(s, (struct sockaddr *)&to, sizeof to) != 0) {
		close(s);
		return -1;
	}
	return s;
}

/* One request on `s`; the length of the answer's body, copied to `body`, or -1. */
static long fetch(int s, const char *path, char *body)
{
	static char buffer[REPLY_MAX];
	char request[512];
	int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: intruder\r\n\r\n", path);
	if (send(s, request, (size_t)n, MSG_NOSIGNAL) != n)
		return -1;
	size_t have = 0;
	char *end = NULL, *length;
	for (;;) {
		ssize_t got = recv(s, buffer + have, sizeof buffer - 1 - have, 0);
		if (got <= 0)
			return -1;
		have += (size_t)got;
		buffer[have] = 0;
		if (!end && !(end = strstr(buffer, "\r\n\r\n")))
			continue;
		if (strncmp(buffer, "HTTP/1.1 200", 12) != 0 || !(length = strcasestr(buffer, "\ncontent-length:")))
			return -1;
		long len = strtol(length + 16, NULL, 10);
		size_t head = (size_t)(end + 4 - buffer);
		if (len < 0 || head + (size_t)len > sizeof buffer - 1)
			return -1;
		if (have < head + (size_t)len)
			continue;
		memcpy(body, buffer + head, (size_t)len);
		return len;
	}
}

/* --- A good client ---------------------------------------------------------------------------- */

static int client(const char *address, const char *path, double seconds, double limit_ms)
{
	static char first[REPLY_MAX], body[REPLY_MAX];
	double end = now() + seconds, worst = 0;
	long len = -1, count = 0;
	int kept = -1;
	for (; now() < end; count++) {
		double begin = now();
		int s = count % 10 == 9 ? -1 : kept;
		if (s < 0 && (s = dial(address, 0)) < 0)
			return printf("request %ld: no connection: %s\n", count, strerror(errno)), 1;
		long got = fetch(s, path, body);
		double ms = (now() - begin) * 1000;
		worst = ms > worst ? ms : worst;
		if (got < 0 || ms > limit_ms)
			return printf("request %ld: %s after %.0f ms\n", count, got < 0 ? "failed" : "answered", ms), 1;
		if (len < 0)
			memcpy(first, body, (size_t)(len = got));
		if (got != len || memcmp(first, body, (size_t)len) != 0)
			return printf("request %ld: another answer than before\n", count), 1;
		if (kept < 0)
			kept = s;
		else if (s != kept)
			close(s);
		rest(0.05);
	}
	printf("%ld requests, worst %.0f ms\n", count, worst);
	return count > 0 ? 0 : 1;
}

/* --- Those who do not read -------------------------------------------------------------------- */

static int hold(const char *address, const char *path, int count, double seconds, bool tiny)
{
	static int held[HOLD_MAX];
	double end = now() + seconds;
	char request[512], byte;
	int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: intruder\r\n\r\n", path), open = 0;
	for (; open < count && open < HOLD_MAX && now() < end; open++) {
		if ((held[open] = dial(address, tiny ? 1024 : 2048)) < 0)
			break;
		int clamp = 64;
		if (tiny)
			setsockopt(held[open], IPPROTO_TCP, TCP_WINDOW_CLAMP, &clamp, sizeof clamp);
		if (send(held[open], request, (size_t)n, MSG_NOSIGNAL) != n)
			break;
	}
	printf("%d held\n", open);
	fflush(stdout);
	for (int i = 0; now() < end; i++) {
		if (tiny && open)
			(void)!recv(held[i % open], &byte, 1, MSG_DONTWAIT);
		rest(tiny ? 0.001 : 0.05);
	}
	return open > 0 ? 0 : 1;
}

/* --- Forged segments -------------------------------------------------------------------------- */

struct overheard {
	int raw;
	struct sockaddr_ll link;
	uint8_t mac_own[6], mac_guest[6];
	uint32_t own, guest;
	uint16_t port;
	uint32_t sent_end, guest_end; /* the highest that each side has sent, in sequence numbers */
	uint32_t own_ack;             /* what the kernel has acknowledged last */
	uint32_t ts_own, ts_guest;
	bool has_ts, known, heard_own;
	uint64_t rng;
};

static uint32_t get32(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }
static void put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}
static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t draw(struct overheard *o)
{
	o->rng ^= o->rng >> 12;
	o->rng ^= o->rng << 25;
	o->rng ^= o->rng >> 27;
	return (uint32_t)((o->rng * 0x2545f4914f6cdd1dull) >> 32);
}

static void listen_on(struct overheard *o, const char *interface)
{
	o->raw = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)); /* what leaves too */
	if (o->raw < 0)
		fail("a raw socket");
	o->link = (struct sockaddr_ll){.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(interface)};
	if (!o->link.sll_ifindex || bind(o->raw, (struct sockaddr *)&o->link, sizeof o->link) != 0)
		fail(interface);
}

/* Which connection it is of. */
static void watch(struct overheard *o, int s, const char *address)
{
	struct sockaddr_in own;
	socklen_t len = sizeof own;
	getsockname(s, (struct sockaddr *)&own, &len);
	o->own = ntohl(own.sin_addr.s_addr);
	o->port = ntohs(own.sin_port);
	struct in_addr guest;
	inet_pton(AF_INET, address, &guest);
	o->guest = ntohl(guest.s_addr);
	o->known = o->heard_own = false;
}

static void timestamps(struct overheard *o, const uint8_t *t, size_t len, bool from_guest)
{
	for (size_t at = 20; at + 1 < len && t[at] != 0;) {
		if (t[at] == 1) {
			at++;
			continue;
		}
		if (t[at] == 8 && at + 10 <= len) {
			o->has_ts = true;
			*(from_guest ? &o->ts_guest : &o->ts_own) = get32(t + at + 2);
		}
		at += t[at + 1] ? t[at + 1] : 1u;
	}
}

/* Reads all that has passed since. */
static void overhear(struct overheard *o)
{
	uint8_t f[65536];
	for (ssize_t n; (n = recv(o->raw, f, sizeof f, MSG_DONTWAIT)) > 0;) {
		const uint8_t *h = f + 14, *t = h + (h[0] & 15) * 4;
		if (n < 54 || f[12] != 8 || f[13] != 0 || h[9] != 6)
			continue;
		uint32_t source = get32(h + 12), total = (uint32_t)(h[2] << 8 | h[3]);
		uint16_t from = (uint16_t)(t[0] << 8 | t[1]), to = (uint16_t)(t[2] << 8 | t[3]);
		bool ours = source == o->own && from == o->port, theirs = source == o->guest && to == o->port;
		if (!ours && !theirs)
			continue;
		uint32_t header = (uint32_t)(t[12] >> 4) * 4, len = total - (uint32_t)(t - h) - header;
		uint32_t end = get32(t + 4) + len + !!(t[13] & (SYN | FIN));
		timestamps(o, t, header, theirs);
		if (ours) {
			memcpy(o->mac_guest, f, 6);
			memcpy(o->mac_own, f + 6, 6);
			o->heard_own = true;
			o->sent_end = end;
			o->own_ack = get32(t + 8);
		} else if (!o->known || (int32_t)(end - o->guest_end) > 0) {
			o->guest_end = end;
			o->known = true;
		}
	}
}

static uint16_t sum16(const uint8_t *p, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* As if it were the kernel's. */
static void forge(struct overheard *o, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t len)
{
	uint8_t f[1514] = {0}, *h = f + 14, *t = h + 20;
	uint32_t header = o->has_ts && !(flags & SYN) ? 32 : 20, total = 20 + header + len;
	memcpy(f, o->mac_guest, 6);
	memcpy(f + 6, o->mac_own, 6);
	f[12] = 8;
	h[0] = 0x45;
	put16(h + 2, (uint16_t)total);
	h[6] = 0x40;
	h[8] = 64;
	h[9] = 6;
	put32(h + 12, o->own);
	put32(h + 16, o->guest);
	put16(h + 10, sum16(h, 20, 0));
	put16(t, o->port);
	put16(t + 2, 80);
	put32(t + 4, seq);
	put32(t + 8, ack);
	t[12] = (uint8_t)(header << 2);
	t[13] = flags;
	put16(t + 14, 501);
	if (header == 32) {
		memcpy(t + 20, "\1\1\10\12", 4);
		put32(t + 24, o->ts_own);
		put32(t + 28, o->ts_guest);
	}
	memset(t + header, 'X', len);
	uint32_t pseudo = 6 + header + len;
	for (int i = 12; i < 20; i += 2)
		pseudo += (uint32_t)(h[i] << 8 | h[i + 1]);
	put16(t + 16, sum16(t, header + len, pseudo));
	if (send(o->raw, f, 14 + total, 0) < 0 && errno != ENOBUFS)
		fail("sending a frame");
}

static void inject_round(struct overheard *o, int kind)
{
	uint32_t next = o->sent_end, una = o->guest_end;
	for (int i = 0; i < 200; i++) {
		uint32_t near = 1 + draw(o) % 60000, far = 1000000 + draw(o) % 1000000000;
		switch (kind) {
		case 0: forge(o, RST, next + near, 0, 0); break; /* in the window, but not the next */
		case 1: forge(o, RST | ACK, next - near, una, 0); break;
		case 2: forge(o, RST, next + far, 0, 0); break;
		case 3: forge(o, SYN, next + near % 100, 0, 0); break;
		case 4: forge(o, SYN | ACK, next, una, 0); break;
		case 5: forge(o, ACK | PSH, next + far, una, 100); break; /* data far outside */
		case 6: forge(o, ACK | PSH, next - 1 - near % 1000, una, 1); break; /* old data, other bytes */
		case 7: forge(o, ACK, next, una + near, 0); break; /* of what was never sent */
		case 8: forge(o, ACK, next, una - near % 200, 0); break; /* old, and duplicates */
		case 9: forge(o, ACK | PSH, next, una + far, 50); break; /* data with an impossible ACK */
		case 10: forge(o, FIN | ACK, next + near, una + 1 + near, 0); break;
		default: forge(o, (uint8_t)(draw(o) & 0x2a), next + 70000 + near, una, 10); break;
		}
	}
}

static int inject(const char *interface, const char *address, const char *path, int rounds, uint64_t seed)
{
	static char first[REPLY_MAX], body[REPLY_MAX];
	struct overheard o = {.rng = seed ? seed : 1};
	listen_on(&o, interface);
	int s = dial(address, 0);
	if (s < 0)
		fail("connecting");
	watch(&o, s, address);
	long len = fetch(s, path, first);
	for (int round = 0; round < rounds; round++) {
		rest(0.06); /* delayed acknowledgements are out */
		overhear(&o);
		if (!o.known || !o.heard_own)
			fail("the connection is not overheard");
		inject_round(&o, round % 12);
		rest(0.02);
		long got = fetch(s, path, body);
		if (got != len || memcmp(first, body, (size_t)len) != 0)
			return printf("round %d, kind %d: %s\n", round, round % 12,
				       got < 0 ? "the connection was lost" : "other bytes"), 1;
	}
	printf("%d rounds of 200 segments\n", rounds);
	return 0;
}

/* One download; its length, or 0 when the connection was lost. */
static size_t ahead_once(struct overheard *o, const char *address, const char *request, long *forged)
{
	static char body[REPLY_MAX];
	size_t have = 0;
	int s = dial(address, 0);
	if (s < 0)
		return 0;
	watch(o, s, address);
	if (send(s, request, strlen(request), MSG_NOSIGNAL) < 0)
		return 0;
	for (double end = now() + 10; now() < end;) {
		ssize_t got = recv(s, body, sizeof body, MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno != EAGAIN))
			break;
		have += got > 0 ? (size_t)got : 0;
		overhear(o);
		for (int i = 0; i < 8 && o->known && o->heard_own; i++, ++*forged)
			forge(o, ACK, o->sent_end, o->guest_end + (i & 1 ? draw(o) % 100000 : 0), 0);
		rest(0.0002);
	}
	close(s);
	return have;
}

static int ahead(const char *interface, const char *address, const char *path, double seconds, uint64_t seed)
{
	struct overheard o = {.rng = seed ? seed : 1};
	char request[512];
	long forged = 0, count = 0;
	size_t have = 0;
	snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: intruder\r\nConnection: close\r\n\r\n", path);
	listen_on(&o, interface);
	for (double end = now() + seconds; now() < end; count++)
		have += ahead_once(&o, address, request, &forged);
	printf("%zu bytes in %ld downloads, %ld forged\n", have, count, forged);
	return have > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc == 6 && strcmp(argv[1], "client") == 0)
		return client(argv[2], argv[3], atof(argv[4]), atof(argv[5]));
	if (argc == 6 && (strcmp(argv[1], "hold") == 0 || strcmp(argv[1], "tiny") == 0))
		return hold(argv[2], argv[3], atoi(argv[4]), atof(argv[5]), argv[1][0] == 't');
	if (argc == 7 && strcmp(argv[1], "inject") == 0)
		return inject(argv[2], argv[3], argv[4], atoi(argv[5]), strtoull(argv[6], NULL, 10));
	if (argc == 7 && strcmp(argv[1], "ahead") == 0)
		return ahead(argv[2], argv[3], argv[4], atof(argv[5]), strtoull(argv[6], NULL, 10));
	fprintf(stderr, "the head of this program's source says how it is used\n");
	return 2;
}
