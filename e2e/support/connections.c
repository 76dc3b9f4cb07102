/* Opens connections and drops them, as many at once as it may:
 *
 *	connections ADDRESS COUNT SECONDS
 *
 * They end in turn by FIN, by RST, by RST in the middle of a request, and by RST with a response on its
 * way. Prints how many were established; stops after SECONDS, whatever has been reached. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { AT_ONCE = 128, KINDS = 4, PATIENCE_MS = 1500 };

struct open_connection {
	int fd; /* -1: none */
	int64_t since_ms;
};

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool begin(struct open_connection *c, const struct sockaddr_in *to, int poll, uint32_t index)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct epoll_event wanted = {.events = EPOLLOUT, .data.u32 = index};
	if (fd < 0 || (connect(fd, (const struct sockaddr *)to, sizeof *to) != 0 && errno != EINPROGRESS)
		|| epoll_ctl(poll, EPOLL_CTL_ADD, fd, &wanted) != 0) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	*c = (struct open_connection){fd, now_ms()};
	return true;
}

static void end(struct open_connection *c, bool reset)
{
	struct linger none = {1, 0};
	if (reset)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
	close(c->fd);
	c->fd = -1;
}

/* It is established, or refused. True in the first case. */
static bool drop(struct open_connection *c, unsigned long number)
{
	static const char whole[] = "GET / HTTP/1.1\r\nHost: guest\r\n\r\n";
	int error = 0;
	socklen_t len = sizeof error;
	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	unsigned kind = (unsigned)(number % KINDS);
	if (!error && kind >= 2)
		(void)!send(c->fd, whole, kind == 2 ? 12 : sizeof whole - 1, MSG_NOSIGNAL);
	end(c, kind != 0);
	return !error;
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "connections ADDRESS COUNT SECONDS\n");
		return 2;
	}
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = inet_addr(argv[1])};
	unsigned long count = strtoul(argv[2], NULL, 10), established = 0, tried = 0, lost = 0;
	int64_t until = now_ms() + atol(argv[3]) * 1000;
	int poll = epoll_create1(0);
	struct open_connection open[AT_ONCE];
	for (int i = 0; i < AT_ONCE; i++)
		open[i].fd = -1;
	while (established < count && now_ms() < until) {
		for (uint32_t i = 0; i < AT_ONCE; i++) {
			if (open[i].fd >= 0 && now_ms() - open[i].since_ms > PATIENCE_MS) {
				end(&open[i], true);
				lost++;
			}
			if (open[i].fd < 0)
				tried += begin(&open[i], &to, poll, i);
		}
		struct epoll_event ready[AT_ONCE];
		int n = epoll_wait(poll, ready, AT_ONCE, 50);
		for (int i = 0; i < n; i++)
			established += drop(&open[ready[i].data.u32], established);
	}
	printf("%lu connections established and dropped, %lu tried, %lu given up after %d ms\n", established,
		tried, lost, PATIENCE_MS);
	return established ? 0 : 1;
}
