/* Load for measurements: an exact number of requests over a number of connections, each of which sends
 * its next request when the last one is answered. Unlike a load that runs for some time, it makes
 * counters of the guest comparable: what they have grown by, divided by the number of requests.
 *
 *   load [-c CONNECTIONS] [-n REQUESTS] [-C] [-w MS] [-H HEADER]... [-d BODY] [-t PARTS [-k COUNTERS]]
 *	http://ADDRESS[:PORT]/PATH
 *
 * -C: a connection for each request. -w: each connection waits so long between an answer and its next request.
 * -d: POST a form. -t: also a line for each of that many parts of the run,
 * with the guest's instructions for a request when -k names the file of bench/plugin's counters. Prints
 * "NAME VALUE" lines; an answer other than 2xx or 3xx, one without a length, one that is cut off, and a lost
 * connection are errors, and end in a status of 1. `unconnected` says how many of them were never established;
 * `resets`, how many connections were reset after their answer.
 *
 *   a connection: connecting -> sending -> head -> body -(-C)-> closing -> connecting
 *                                  ^--(-w: waiting)--'                                      */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	CONNECTIONS_MAX = 4096,
	HEAD_MAX = 8192,
	PARTS_MAX = 100,
	STALL_MS = 60000, /* with no event at all, the guest is taken for dead */
};

enum state { WAITING, SENDING, HEAD, BODY, CLOSING };

struct connection {
	int fd;
	bool fresh; /* nothing has been sent on it */
	enum state state;
	size_t sent, head_len;
	uint64_t body_left, started_ns;
	uint64_t due_ns; /* while WAITING */
	char head[HEAD_MAX + 1];
};

/* How things stood when a part of the run was done. */
struct mark {
	uint64_t ns, instructions;
	size_t ended, measured;
};

static struct load {
	struct sockaddr_in to;
	char request[16384];
	size_t request_len;
	bool close;
	size_t connections, requests, begun, ended, errors, unconnected, resets, measured;
	size_t parts, marked;
	struct mark marks[PARTS_MAX + 1]; /* the first one is the beginning */
	const volatile uint64_t *instructions; /* the guest's; NULL: not known */
	uint64_t body_bytes, pause_ns;
	uint32_t *latencies_us; /* one for each request */
	int epoll;
} load;

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "load: %s: %s\n", what, why);
	exit(2);
}

static void connection_open(struct connection *c)
{
	int on = 1;
	c->fresh = true;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("socket", strerror(errno));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(c->fd, (struct sockaddr *)&load.to, sizeof load.to) != 0 && errno != EINPROGRESS)
		die("connect", strerror(errno));
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
	if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
		die("epoll_ctl", strerror(errno));
}

/* The next request, when there is one left. */
static bool request_begin(struct connection *c)
{
	if (load.begun == load.requests)
		return false;
	load.begun++;
	c->state = SENDING;
	c->sent = c->head_len = 0;
	c->started_ns = now_ns();
	if (c->fd < 0)
		connection_open(c);
	return true;
}

static void mark(void)
{
	load.marks[load.marked++] = (struct mark){now_ns(), load.instructions ? *load.instructions : 0,
		load.ended, load.measured};
}

static void request_end(struct connection *c, bool well)
{
	load.ended++;
	if (well)
		load.latencies_us[load.measured++] = (uint32_t)((now_ns() - c->started_ns) / 1000);
	else
		load.errors++;
	if (load.parts && load.ended >= load.requests * load.marked / load.parts)
		mark();
}

/* The connection is gone: an error when a request was on its way. */
static void connection_lost(struct connection *c)
{
	close(c->fd);
	c->fd = -1;
	if (c->state == SENDING && c->fresh)
		load.unconnected++;
	if (c->state != CLOSING)
		request_end(c, false);
	request_begin(c);
}

static void response_end(struct connection *c)
{
	request_end(c, c->head[9] == '2' || c->head[9] == '3');
	if (load.close) {
		c->state = CLOSING;
	} else if (load.pause_ns) {
		c->state = WAITING;
		c->due_ns = now_ns() + load.pause_ns;
	} else if (!request_begin(c))
		c->state = CLOSING;
}

/* LEN more bytes are in c->head: the head's, and maybe of the body. False: not HTTP as we know it. */
static bool head_take(struct connection *c, size_t len)
{
	c->head_len += len;
	c->head[c->head_len] = '\0';
	char *end = strstr(c->head, "\r\n\r\n");
	if (!end)
		return c->head_len < HEAD_MAX;
	uint64_t body = c->head_len - (size_t)(end + 4 - c->head);
	char *length = strcasestr(c->head, "\r\ncontent-length:");
	bool bare = strncmp(c->head + 9, "204", 3) == 0 || strncmp(c->head + 9, "304", 3) == 0;
	uint64_t total = length && length < end ? strtoull(length + 17, NULL, 10) : 0;
	if (strncmp(c->head, "HTTP/1.1 ", 9) != 0 || (!length && !bare) || body > total)
		return false;
	load.body_bytes += total;
	c->body_left = total - body;
	c->state = BODY;
	if (c->body_left == 0)
		response_end(c);
	return true;
}

static bool body_take(struct connection *c, size_t len)
{
	if (len > c->body_left)
		return false;
	c->body_left -= len;
	if (c->body_left == 0)
		response_end(c);
	return true;
}

/* Reads once; false when there is no more for now, or no connection any more. */
static bool connection_read(struct connection *c)
{
	static char body[256 << 10];
	bool head = c->state == HEAD;
	ssize_t n = head ? recv(c->fd, c->head + c->head_len, HEAD_MAX - c->head_len, 0)
			 : recv(c->fd, body, sizeof body, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	bool well = n > 0 && c->state != CLOSING
		&& (head ? head_take(c, (size_t)n) : body_take(c, (size_t)n));
	if (!well)
		connection_lost(c);
	return well;
}

/* False when not all of the request could be sent. */
static bool connection_send(struct connection *c)
{
	ssize_t n = send(c->fd, load.request + c->sent, load.request_len - c->sent, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != ENOTCONN)
		connection_lost(c);
	if (n < 0)
		return false;
	c->fresh = false;
	c->sent += (size_t)n;
	if (c->sent < load.request_len)
		return false;
	c->state = HEAD;
	return true;
}

static void connection_progress(struct connection *c, uint32_t events)
{
	if (events & (EPOLLERR | EPOLLHUP)) {
		load.resets += c->state == CLOSING && events & EPOLLERR;
		connection_lost(c);
		return;
	}
	while (c->fd >= 0 && (c->state == SENDING ? connection_send(c) : connection_read(c)))
		continue;
}

/* Begins what is due; milliseconds until the next one is. */
static int waiting_begin(struct connection *all)
{
	uint64_t now = now_ns(), next = now + (uint64_t)STALL_MS * 1000000;
	for (size_t i = 0; i < load.connections; i++) {
		struct connection *c = &all[i];
		if (c->state == WAITING && c->due_ns <= now) {
			if (request_begin(c))
				connection_progress(c, 0);
			else
				c->state = CLOSING;
		}
		if (c->state == WAITING && c->due_ns < next)
			next = c->due_ns;
	}
	return (int)((next - now + 999999) / 1000000);
}

static void run(void)
{
	struct connection *all = calloc(load.connections, sizeof *all);
	if (!all)
		die("memory", strerror(errno));
	mark();
	for (size_t i = 0; i < load.connections; i++) {
		all[i].fd = -1;
		all[i].due_ns = now_ns() + load.pause_ns * i / load.connections;
		if (!load.pause_ns)
			request_begin(&all[i]);
	}
	while (load.ended < load.requests) {
		struct epoll_event events[64];
		int ms = load.pause_ns ? waiting_begin(all) : STALL_MS;
		int n = epoll_wait(load.epoll, events, 64, ms);
		if (n == 0 && ms >= STALL_MS)
			die("no answer", "nothing has arrived for a minute");
		for (int i = 0; i < n; i++)
			connection_progress(events[i].data.ptr, events[i].events);
	}
	free(all);
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

/* part NUMBER requests-a-second instructions-for-a-request p50-us p99-us max-us */
static void report_part(size_t number)
{
	const struct mark *from = &load.marks[number - 1], *to = &load.marks[number];
	size_t n = to->measured - from->measured;
	uint32_t *us = load.latencies_us + from->measured;
	double count = (double)(to->ended - from->ended);
	qsort(us, n, sizeof *us, compare);
	printf("part %zu %.0f %.0f", number, count * 1e9 / (double)(to->ns - from->ns),
		(double)(to->instructions - from->instructions) / count);
	if (n)
		printf(" %u %u %u", us[n / 2], us[n - 1 - n / 100], us[n - 1]);
	putchar('\n');
}

static void report(uint64_t ns)
{
	size_t n = load.measured;
	const uint32_t *us = load.latencies_us;
	for (size_t part = 1; part < load.marked; part++)
		report_part(part);
	qsort(load.latencies_us, n, sizeof *us, compare);
	printf("requests %zu\nerrors %zu\nunconnected %zu\nresets %zu\nbody_bytes %lu\nseconds %.3f\nper_second %.0f\n",
		load.ended, load.errors, load.unconnected, load.resets, load.body_bytes, (double)ns / 1e9,
		(double)load.ended * 1e9 / (double)ns);
	if (n)
		printf("p50_us %u\np99_us %u\np999_us %u\nmax_us %u\n", us[n / 2], us[n - 1 - n / 100],
			us[n - 1 - n / 1000], us[n - 1]);
}

/* http://ADDRESS[:PORT]/PATH; returns the path. */
static const char *url_take(char *url)
{
	char *host = url + 7, *path = strncmp(url, "http://", 7) == 0 ? strchr(host, '/') : NULL;
	if (!path)
		die(url, "is not like http://10.0.0.2:80/path");
	char text[64];
	snprintf(text, sizeof text, "%.*s", (int)(path - host), host);
	char *port = strchr(text, ':');
	if (port)
		*port++ = '\0';
	load.to = (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons((uint16_t)(port ? atoi(port) : 80))};
	if (inet_pton(AF_INET, text, &load.to.sin_addr) != 1)
		die(text, "is not an IPv4 address");
	return path;
}

static void request_compose(char *url, const char *headers, const char *body)
{
	const char *path = url_take(url);
	char length[128] = "";
	if (body)
		snprintf(length, sizeof length, "Content-Type: application/x-www-form-urlencoded\r\n"
			"Content-Length: %zu\r\n", strlen(body));
	int n = snprintf(load.request, sizeof load.request, "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s%s\r\n%s",
		body ? "POST" : "GET", path, inet_ntoa(load.to.sin_addr), headers,
		load.close ? "Connection: close\r\n" : "", length, body ? body : "");
	if (n < 0 || (size_t)n >= sizeof load.request)
		die("the request", "is too long");
	load.request_len = (size_t)n;
}

static const uint64_t *counters_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(uint64_t), PROT_READ, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		die(path, strerror(errno));
	close(fd);
	return at;
}

static _Noreturn void usage(void)
{
	die("usage", "load [-c N] [-n N] [-C] [-w MS] [-H HEADER]... [-d BODY] [-t PARTS [-k COUNTERS]] URL");
}

int main(int argc, char **argv)
{
	char headers[4096] = "";
	const char *body = NULL;
	load.connections = load.requests = 1;
	for (int c; (c = getopt(argc, argv, "c:n:Cw:H:d:t:k:")) != -1;) {
		size_t used = strlen(headers);
		switch (c) {
		case 'c': load.connections = strtoul(optarg, NULL, 10); break;
		case 'n': load.requests = strtoul(optarg, NULL, 10); break;
		case 'C': load.close = true; break;
		case 'w': load.pause_ns = strtoul(optarg, NULL, 10) * 1000000; break;
		case 'H': snprintf(headers + used, sizeof headers - used, "%s\r\n", optarg); break;
		case 'd': body = optarg; break;
		case 't': load.parts = strtoul(optarg, NULL, 10); break;
		case 'k': load.instructions = counters_open(optarg); break;
		default: usage();
		}
	}
	if (optind != argc - 1 || !load.connections || load.connections > CONNECTIONS_MAX || !load.requests
		|| load.parts > PARTS_MAX || load.parts > load.requests)
		usage();
	request_compose(argv[optind], headers, body);
	load.latencies_us = calloc(load.requests, sizeof *load.latencies_us);
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!load.latencies_us || load.epoll < 0)
		die("memory", strerror(errno));
	uint64_t start = now_ns();
	run();
	report(now_ns() - start);
	return load.errors != 0;
}
