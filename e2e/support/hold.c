/* Holds many connections open, and uses them when it is told to:
 *
 *	hold ADDRESS PATH SOURCE...
 *
 * binds them to the SOURCE addresses in turn, and reads commands from its input, each answered with a line:
 *
 *	open COUNT            until there are COUNT: "COUNT open, N failed, MS ms"
 *	ask COUNT AT-ONCE     COUNT requests for PATH, over all connections in turn, AT-ONCE at a time: "N answered,
 *	                      N failed, MS ms"
 *	dribble COUNT AT-ONCE BYTES
 *	                      the same, but the first BYTES of a request come one by one, each in a packet
 *	close                 "N had been closed, MS ms": how many of them by the other side
 *
 * An answer is good when it is a whole 200 whose body is that of the first answer. Each answer is acknowledged
 * at once, with a packet of its own, so that as many packets go to and fro for one connection that is asked
 * again and again as for many in turn. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum { COUNT_MAX = 200000, OPENING = 256, ANSWER_MAX = 8192, PATIENCE_MS = 20000, READY = 256 };

enum state { CLOSED, OPENING_NOW, IDLE, ASKED };

struct held {
	int fd;
	enum state state;
};

static struct held held[COUNT_MAX];
static uint32_t count; /* of held */
static int poller;
static struct sockaddr_in to;
static struct sockaddr_in source[64];
static uint32_t source_count;
static char request[512];
static size_t request_len;
static char answer[ANSWER_MAX]; /* the one that is being looked at */
static char body[ANSWER_MAX];
static long body_len = -1;

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void drop(struct held *h)
{
	if (h->state != CLOSED)
		close(h->fd);
	h->state = CLOSED;
}

/* --- Opening ---------------------------------------------------------------------------------- */

static bool begin(uint32_t i)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
	struct epoll_event wanted = {.events = EPOLLOUT, .data.u32 = i};
	const struct sockaddr_in *from = &source[i % source_count];
	if (fd < 0)
		return false;
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (bind(fd, (const struct sockaddr *)from, sizeof *from) != 0
		|| (connect(fd, (const struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS)
		|| epoll_ctl(poller, EPOLL_CTL_ADD, fd, &wanted) != 0) {
		close(fd);
		return false;
	}
	held[i] = (struct held){.fd = fd, .state = OPENING_NOW};
	return true;
}

static bool opened(uint32_t i)
{
	struct epoll_event wanted = {.events = EPOLLIN, .data.u32 = i};
	int error = 0;
	socklen_t len = sizeof error;
	getsockopt(held[i].fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error || epoll_ctl(poller, EPOLL_CTL_MOD, held[i].fd, &wanted) != 0) {
		drop(&held[i]);
		return false;
	}
	held[i].state = IDLE;
	return true;
}

static void command_open(uint32_t wanted)
{
	int64_t start = now_ms(), progress = start;
	uint32_t next = 0, opening = 0, open = 0, failed = 0;
	if (wanted > COUNT_MAX)
		wanted = COUNT_MAX;
	while (count < wanted)
		held[count++].state = CLOSED;
	while ((next < wanted || opening) && now_ms() - progress < PATIENCE_MS) {
		for (; next < wanted && opening < OPENING; next++) {
			if (held[next].state == IDLE)
				open++;
			else if (begin(next))
				opening++;
			else
				failed++;
		}
		struct epoll_event ready[READY];
		int n = epoll_wait(poller, ready, READY, 100);
		for (int k = 0; k < n; k++) {
			uint32_t i = ready[k].data.u32;
			if (held[i].state != OPENING_NOW)
				continue;
			opening--;
			progress = now_ms();
			if (opened(i))
				open++;
			else
				failed++;
		}
	}
	printf("%u open, %u failed, %ld ms\n", open, failed + opening, (long)(now_ms() - start));
}

/* --- Asking ----------------------------------------------------------------------------------- */

static bool ask(struct held *h, uint32_t single)
{
	for (uint32_t i = 0; i < single; i++)
		if (send(h->fd, request + i, 1, MSG_NOSIGNAL) != 1)
			return false;
	h->state = ASKED;
	return send(h->fd, request + single, request_len - single, MSG_NOSIGNAL) == (ssize_t)(request_len - single);
}

/* 1: whole and good; 0: not yet; -1: bad. An answer is small enough to be looked at in the socket until it is
 * whole. */
static int answer_read(struct held *h)
{
	int on = 1;
	ssize_t n = recv(h->fd, answer, sizeof answer - 1, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -1;
	answer[n] = 0;
	const char *end = strstr(answer, "\r\n\r\n"), *field = strcasestr(answer, "\r\ncontent-length:");
	if (!end)
		return n == sizeof answer - 1 ? -1 : 0;
	long len = field && field < end ? atol(field + 17) : -1, head = end + 4 - answer;
	if (strncmp(answer, "HTTP/1.1 200 ", 13) != 0 || len < 0 || head + len > ANSWER_MAX - 1)
		return -1;
	if (n < head + len)
		return 0;
	(void)!recv(h->fd, answer, (size_t)n, MSG_DONTWAIT);
	setsockopt(h->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
	if (body_len < 0) {
		body_len = len;
		memcpy(body, answer + head, (size_t)len);
	}
	h->state = IDLE;
	return n == head + len && len == body_len && memcmp(body, answer + head, (size_t)len) == 0 ? 1 : -1;
}

static void command_ask(uint32_t wanted, uint32_t at_once, uint32_t single)
{
	int64_t start = now_ms(), progress = start;
	uint32_t next = 0, asked = 0, answered = 0, failed = 0;
	if (single >= request_len)
		single = (uint32_t)request_len - 1;
	while ((next < wanted || asked) && now_ms() - progress < PATIENCE_MS) {
		for (; next < wanted && asked < at_once; next++) {
			struct held *h = &held[next % count];
			if (h->state == ASKED) /* its turn comes again before its answer has */
				break;
			if (h->state == IDLE && ask(h, single)) {
				asked++;
			} else {
				failed++;
				drop(h);
			}
		}
		struct epoll_event ready[READY];
		int n = epoll_wait(poller, ready, READY, 100);
		for (int k = 0; k < n; k++) {
			struct held *h = &held[ready[k].data.u32];
			bool was_asked = h->state == ASKED;
			int result = h->state == CLOSED ? 0 : answer_read(h);
			if (result == 0)
				continue;
			asked -= was_asked;
			progress = now_ms();
			if (result == 1)
				answered++;
			else
				drop(h);
			failed += result < 0 && was_asked;
		}
	}
	printf("%u answered, %u failed, %ld ms\n", answered, failed + asked, (long)(now_ms() - start));
}

static void command_close(void)
{
	int64_t start = now_ms();
	uint32_t gone = 0;
	for (uint32_t i = 0; i < count; i++) {
		char byte;
		gone += held[i].state == CLOSED || recv(held[i].fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
		drop(&held[i]);
		if (i % OPENING == 0) /* what leaves at once does not fit into the interface's queue */
			nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	}
	count = 0;
	printf("%u had been closed, %ld ms\n", gone, (long)(now_ms() - start));
}

int main(int argc, char **argv)
{
	struct rlimit files = {COUNT_MAX + 100, COUNT_MAX + 100};
	char line[200];
	if (argc < 4 || argc - 3 > (int)(sizeof source / sizeof *source)) {
		fprintf(stderr, "hold ADDRESS PATH SOURCE...\n");
		return 2;
	}
	to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = inet_addr(argv[1])};
	request_len = (size_t)snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", argv[2], argv[1]);
	for (int i = 3; i < argc; i++)
		source[source_count++] =
			(struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(argv[i])};
	/* As many as this process may have: whoever wants more runs several. */
	if (setrlimit(RLIMIT_NOFILE, &files) != 0 && getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	poller = epoll_create1(0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof line, stdin)) {
		unsigned a = 0, b = 1, c = 0;
		if (sscanf(line, "open %u", &a) == 1)
			command_open(a);
		else if (sscanf(line, "ask %u %u", &a, &b) == 2)
			command_ask(a, b, 0);
		else if (sscanf(line, "dribble %u %u %u", &a, &b, &c) == 3)
			command_ask(a, b, c);
		else if (strncmp(line, "close", 5) == 0)
			command_close();
		else
			printf("no such command: %s", line);
	}
	return 0;
}
