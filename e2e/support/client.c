/* A TCP client of the kernel's, for e2e/peer.sh: sends a part of a file, receives, and compares what comes.
 *
 *	client [OPTION...] ADDRESS PORT FILE
 *	client --make N                     prints N bytes, the same ones each time
 *
 *	--line TEXT    is sent first, with a line feed
 *	--send N       then the first N bytes of FILE, then our side is closed
 *	--recv N       the first N bytes that come have to be FILE's; what follows them is printed
 *	--keep-open    our side is closed only after the peer's
 *	--oob          each 10,000th byte is sent as urgent data
 *	--pause MS     nothing is read for so long, once half of N has come (0: at the start)
 *	--wait MS      between connecting and closing our side, when nothing is to be sent
 *	--reset        after half of N has been sent or received, the connection is reset
 *	--want-reset   the peer resets: that is the success
 *	--listen       waits for one connection to PORT instead (ADDRESS is ours)
 *	--buffer N     SO_RCVBUF, set before connecting
 *
 * The last line is "N bytes sent, M received, T s"; status 0: all was as it has to be. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 1 << 16, OOB_EACH = 10000 };

struct plan {
	const char *line;
	size_t send, recv;
	bool keep_open, oob, reset, want_reset, listen;
	long pause_ms, wait_ms;
	int buffer;
	const uint8_t *file;
	size_t file_len;
};

struct progress {
	size_t sent, received;
	bool closed, paused;
	double resume; /* when reading goes on */
};

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static _Noreturn void fail(const char *what, const char *why)
{
	printf("client: %s: %s\n", what, why);
	exit(1);
}

static void file_map(struct plan *p, const char *path)
{
	struct stat s;
	int fd = open(path, O_RDONLY);
	if (fd < 0 || fstat(fd, &s) < 0)
		fail(path, strerror(errno));
	p->file_len = (size_t)s.st_size;
	void *at = mmap(NULL, p->file_len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (at == MAP_FAILED || p->send > p->file_len || p->recv > p->file_len)
		fail(path, "too short");
	p->file = at;
	close(fd);
}

static int connection(const struct plan *p, const char *address, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *a;
	if (getaddrinfo(address, port, &hints, &a) != 0)
		fail(address, "no address");
	int on = 1, s = socket(a->ai_family, SOCK_STREAM, 0);
	if (p->buffer)
		setsockopt(s, SOL_SOCKET, SO_RCVBUF, &p->buffer, sizeof p->buffer);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (!p->listen) {
		if (connect(s, a->ai_addr, a->ai_addrlen) < 0)
			fail("connect", strerror(errno));
		return s;
	}
	if (bind(s, a->ai_addr, a->ai_addrlen) < 0 || listen(s, 1) < 0)
		fail("listen", strerror(errno));
	printf("listening\n");
	fflush(stdout);
	int c = accept(s, NULL, NULL);
	if (c < 0)
		fail("accept", strerror(errno));
	close(s);
	return c;
}

static _Noreturn void reset(int s)
{
	struct linger now = {.l_onoff = 1};
	setsockopt(s, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(s);
	printf("reset\n");
	exit(0);
}

static void broken(const struct plan *p, const char *what)
{
	if (p->want_reset && (errno == ECONNRESET || errno == EPIPE)) {
		printf("reset by the peer\n");
		exit(0);
	}
	fail(what, strerror(errno));
}

static void close_ours(int s, struct progress *g)
{
	if (shutdown(s, SHUT_WR) < 0)
		fail("shutdown", strerror(errno));
	g->closed = true;
}

static void send_some(const struct plan *p, struct progress *g, int s)
{
	size_t n = p->send - g->sent;
	int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
	if (n > CHUNK)
		n = CHUNK;
	if (p->oob && g->sent % OOB_EACH == 0) {
		n = n < 1 ? n : 1;
		flags |= MSG_OOB;
	} else if (p->oob && n > OOB_EACH - g->sent % OOB_EACH) {
		n = OOB_EACH - g->sent % OOB_EACH;
	}
	ssize_t done = send(s, p->file + g->sent, n, flags);
	if (done < 0 && errno != EAGAIN)
		broken(p, "send");
	g->sent += done > 0 ? (size_t)done : 0;
	if (p->reset && g->sent > p->send / 2)
		reset(s);
	if (g->sent == p->send && !p->keep_open)
		close_ours(s, g);
}

/* False: the peer has closed its side. */
static bool receive_some(const struct plan *p, struct progress *g, int s)
{
	static uint8_t bytes[CHUNK];
	ssize_t n = recv(s, bytes, sizeof bytes, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return true;
	if (n < 0)
		broken(p, "receive");
	if (n == 0)
		return false;
	size_t len = (size_t)n, left = p->recv > g->received ? p->recv - g->received : 0, same = len < left ? len : left;
	if (memcmp(bytes, p->file + g->received, same) != 0) {
		printf("client: other bytes after %zu\n", g->received);
		exit(1);
	}
	fwrite(bytes + same, 1, len - same, stdout);
	g->received += len;
	if (p->reset && p->recv && g->received > p->recv / 2)
		reset(s);
	return true;
}

static bool is_paused(const struct plan *p, struct progress *g)
{
	if (p->pause_ms >= 0 && !g->paused && g->received >= (p->pause_ms ? p->recv / 2 : 0)) {
		g->paused = true;
		g->resume = seconds() + (double)p->pause_ms / 1e3;
	}
	return g->paused && seconds() < g->resume;
}

static void exchange(const struct plan *p, struct progress *g, int s)
{
	for (bool open = true; open || g->sent < p->send;) {
		bool paused = open && is_paused(p, g), sending = g->sent < p->send;
		struct pollfd f = {s, (short)((paused || !open ? 0 : POLLIN) | (sending ? POLLOUT : 0)), 0};
		if (poll(&f, 1, paused ? 10 : -1) < 0)
			fail("poll", strerror(errno));
		if (sending && (f.revents & (POLLOUT | POLLERR)))
			send_some(p, g, s);
		if (open && !paused && (f.revents & (POLLIN | POLLHUP | POLLERR)))
			open = receive_some(p, g, s);
		else if (paused && (f.revents & (POLLERR | POLLHUP)))
			g->resume = 0; /* nothing more comes */
	}
}

static bool flag(struct plan *p, const char *name)
{
	if (strcmp(name, "--keep-open") == 0) return p->keep_open = true;
	if (strcmp(name, "--oob") == 0) return p->oob = true;
	if (strcmp(name, "--reset") == 0) return p->reset = true;
	if (strcmp(name, "--want-reset") == 0) return p->want_reset = true;
	if (strcmp(name, "--listen") == 0) return p->listen = true;
	return false;
}

static void option(struct plan *p, const char *name, const char *value)
{
	if (strcmp(name, "--line") == 0) p->line = value;
	else if (strcmp(name, "--send") == 0) p->send = strtoull(value, NULL, 10);
	else if (strcmp(name, "--recv") == 0) p->recv = strtoull(value, NULL, 10);
	else if (strcmp(name, "--pause") == 0) p->pause_ms = atol(value);
	else if (strcmp(name, "--wait") == 0) p->wait_ms = atol(value);
	else if (strcmp(name, "--buffer") == 0) p->buffer = atoi(value);
	else fail(name, "no such option");
}

/* Nothing in them repeats that a stack could get wrong without being noticed. e2e/peer.sh's guest has the same. */
static int make(size_t n)
{
	uint64_t x = 0x9e3779b97f4a7c15u;
	for (size_t i = 0; i < n; i += sizeof x) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		fwrite(&x, 1, n - i < sizeof x ? n - i : sizeof x, stdout);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct plan p = {.pause_ms = -1};
	struct progress g = {0};
	int i = 1;
	if (argc == 3 && strcmp(argv[1], "--make") == 0)
		return make(strtoull(argv[2], NULL, 10));
	for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++)
		if (!flag(&p, argv[i])) {
			if (i + 1 == argc)
				fail(argv[i], "no value");
			option(&p, argv[i], argv[i + 1]);
			i++;
		}
	if (argc - i != 3)
		fail("usage", "client [OPTION...] ADDRESS PORT FILE");
	file_map(&p, argv[i + 2]);
	double start = seconds();
	int s = connection(&p, argv[i], argv[i + 1]);
	if (p.line) {
		char line[256];
		int n = snprintf(line, sizeof line, "%s\n", p.line);
		if (send(s, line, (size_t)n, MSG_NOSIGNAL) != n)
			broken(&p, "send");
	}
	if (p.wait_ms)
		usleep((useconds_t)p.wait_ms * 1000);
	if (!p.send && !p.keep_open)
		close_ours(s, &g);
	exchange(&p, &g, s);
	if (p.want_reset)
		fail("the peer", "closed instead of resetting");
	if (g.received < p.recv || g.sent < p.send) {
		printf("client: the peer closed after %zu bytes, %zu were sent\n", g.received, g.sent);
		return 1;
	}
	printf("%zu bytes sent, %zu received, %.3f s\n", g.sent, g.received, seconds() - start);
	return 0;
}
