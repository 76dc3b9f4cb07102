/* The engine on a TAP interface, to be talked to by a real peer:
 * `tap_echo IFNAME ADDRESS [tso|plain [LOSS_PERCENT [ADDRESS6]]]`, with ADDRESS like 10.9.0.2, mask /24, and
 * ADDRESS6 like fd09::2, prefix /64; without it, IPv6 has what routers say. Port 7 echoes, 9 swallows, 80 answers `GET /N` with N bytes of a
 * pattern. Counters are printed on SIGINT or SIGTERM. Built by hand, for use in a network namespace. */
#include <base/timer.h>
#include <net/net.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define BODY_MAX (UINT64_C(1) << 30)
#define PIECE (1u << 20)

struct client {
	char request[2048];
	size_t len;
	struct slice slice[1 + BODY_MAX / PIECE];
	char head[200];
	struct tcp_send send;
	struct tcp_conn *conn;
	bool sending, gone, close;
};

struct echo {
	struct tcp_send send;
	struct slice slice;
	uint8_t bytes[];
};

static uint8_t pattern[PIECE];
static volatile sig_atomic_t stop;
static double loss; /* of 100 frames, each way: for kernels without netem */

static bool lost(void)
{
	return loss > 0 && drand48() * 100 < loss;
}

static void on_signal(int n)
{
	(void)n;
	stop = 1;
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void rx_free(void *owner, struct frame_rx *f)
{
	(void)owner;
	free(f);
}

static void echo_done(struct tcp_send *s, bool delivered)
{
	(void)delivered;
	free(s->cookie);
}

static void echo(struct tcp_conn *c)
{
	struct slice s;
	while (tcp_peek(c, &s)) {
		struct echo *e = malloc(sizeof *e + s.len);
		memcpy(e->bytes, s.ptr, s.len);
		e->slice = slice_of(e->bytes, s.len);
		e->send = (struct tcp_send){.segments = &e->slice, .count = 1, .done = echo_done, .cookie = e};
		if (failed(tcp_send(c, &e->send)))
			free(e);
		tcp_consume(c, s.len);
	}
}

static void response_done(struct tcp_send *s, bool delivered)
{
	struct client *k = s->cookie;
	(void)delivered;
	k->sending = false;
	if (k->gone)
		free(k);
}

static void respond(struct client *k)
{
	char *end;
	if (k->sending || !(end = strstr(k->request, "\r\n\r\n")))
		return;
	uint64_t n = strtoull(k->request + 5, NULL, 10);
	n = n < BODY_MAX ? n : BODY_MAX;
	k->close = strstr(k->request, "Connection: close") != NULL;
	int head = snprintf(k->head, sizeof k->head, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n",
		(unsigned long long)n);
	uint32_t count = 0;
	k->slice[count++] = slice_of(k->head, (size_t)head);
	for (; n; n -= k->slice[count++].len)
		k->slice[count] = slice_of(pattern, n < PIECE ? n : PIECE);
	k->send = (struct tcp_send){.segments = k->slice, .count = count, .done = response_done, .cookie = k};
	size_t used = (size_t)(end + 4 - k->request);
	memmove(k->request, k->request + used, k->len - used + 1);
	k->len -= used;
	k->sending = true;
	if (failed(tcp_send(k->conn, &k->send)))
		k->sending = false;
	if (k->close)
		tcp_close(k->conn);
}

static void http(struct tcp_conn *c, struct client *k)
{
	struct slice s;
	while (tcp_peek(c, &s) && k->len + 1 < sizeof k->request) {
		size_t n = s.len < sizeof k->request - 1 - k->len ? s.len : sizeof k->request - 1 - k->len;
		memcpy(k->request + k->len, s.ptr, n);
		k->len += n;
		k->request[k->len] = 0;
		tcp_consume(c, n);
	}
	respond(k);
}

static void serve(struct net *net)
{
	uint32_t events;
	struct tcp_conn *c;
	while ((c = net_event_next(net, &events))) {
		uint16_t port = tcp_local(c).port;
		if ((events & TCP_ACCEPTED) && port == 80) {
			struct client *k = calloc(1, sizeof *k);
			k->conn = c;
			tcp_set_cookie(c, k);
		}
		struct client *k = tcp_cookie(c);
		if (port == 7)
			echo(c);
		else if (port == 9)
			tcp_consume(c, tcp_readable(c));
		else
			http(c, k);
		if (events & TCP_PEER_CLOSED)
			tcp_close(c);
		if (events & TCP_CLOSED) {
			tcp_release(c);
			if (k && !k->sending)
				free(k);
			else if (k)
				k->gone = true;
		}
	}
}

static void output(struct net *net, int fd)
{
	struct frame_tx *f;
	while ((f = net_output(net))) {
		struct virtio_net_hdr v = {0};
		struct iovec io[2 + FRAME_TX_SEGMENTS_MAX];
		io[0] = (struct iovec){&v, sizeof v};
		io[1] = (struct iovec){f->header + FRAME_TX_HEADROOM, f->header_len};
		for (uint32_t i = 0; i < f->segment_count; i++)
			io[2 + i] = (struct iovec){(void *)(uintptr_t)f->segment[i].ptr, f->segment[i].len};
		if (f->checksum_start) {
			v.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
			v.csum_start = f->checksum_start;
			v.csum_offset = f->checksum_offset;
		}
		if (f->gso != FRAME_GSO_NONE) {
			v.gso_type = f->gso == FRAME_GSO_TCP4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
			v.gso_size = f->gso_size;
			v.hdr_len = f->header_len;
		}
		if (!lost() && writev(fd, io, 2 + f->segment_count) < 0)
			perror("writev");
		f->done(f->owner, f);
	}
}

static bool input(struct net *net, int fd)
{
	struct frame_rx *f = malloc(sizeof *f + 2048 + sizeof(struct virtio_net_hdr));
	uint8_t *b = (uint8_t *)(f + 1);
	ssize_t n = read(fd, b, 2048);
	if (n < (ssize_t)sizeof(struct virtio_net_hdr)) {
		free(f);
		return false;
	}
	*f = (struct frame_rx){.data = b + sizeof(struct virtio_net_hdr),
		.len = (uint32_t)n - (uint32_t)sizeof(struct virtio_net_hdr), .capacity = 2048, .buffer = b,
		.put = rx_free};
	if (lost())
		free(f);
	else
		net_input(net, f, now_ns());
	return true;
}

static int tap_open(const char *name)
{
	struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
	snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &r) < 0) {
		perror(name);
		exit(1);
	}
	return fd;
}

static void report(const struct net *net)
{
	const struct net_counters *n = net_counters(net);
	struct net_usage u = net_usage(net);
	printf("in %lu fast %lu out %lu retrans %lu timeouts %lu recoveries %lu ooo %lu errs %lu paws %lu "
	       "challenge %lu opens %lu time-waits %lu tail-probes %lu\n", n->tcp_in_segs, n->tcp_fast_path,
		n->tcp_out_segs, n->tcp_retrans_segs, n->tcp_timeouts, n->tcp_fast_recoveries,
		n->tcp_out_of_order, n->tcp_in_errs, n->tcp_paws_drops, n->tcp_challenge_acks,
		n->tcp_passive_opens, n->tcp_time_waits, n->tcp_tail_loss_probes);
	printf("connections %u syns %u tx %u rx %u\n", u.connections, u.syns, u.tx_frames, u.rx_frames);
}

int main(int argc, char **argv)
{
	struct random random;
	uint8_t seed[32];
	struct net *net;
	if (argc < 3 || getrandom(seed, sizeof seed, 0) != sizeof seed)
		return 2;
	for (uint32_t i = 0; i < PIECE; i++)
		pattern[i] = (uint8_t)(i * 7 + (i >> 8));
	random_init(&random);
	random_mix(&random, slice_of(seed, sizeof seed));
	bool tso = argc > 3 && strcmp(argv[3], "tso") == 0;
	struct net_config config = {.mac = {2, 0, 0, 0, 9, 2}, .address = ntohl(inet_addr(argv[2])),
		.mask = 0xffffff00, .random = &random, .now_ns = now_ns(), .tx_checksum = tso, .tx_tso4 = tso, .tx_tso6 = tso, .ip6 = argc > 5 ? NET_IP6_STATIC : NET_IP6_AUTO, .ip6_prefix_len = 64,
		.receive_window = 2 << 20, .rx_frames_max = 4096};
	loss = argc > 4 ? atof(argv[4]) : 0;
	memcpy(config.ip6_secret, seed, sizeof seed);
	if (argc > 5 && !net_address_parse(slice_from_cstr(argv[5]), &config.ip6_address))
		return 2;
	int fd = tap_open(argv[1]);
	void *memory = aligned_alloc(64, net_memory_size(&config));
	if (failed(net_init(&net, &config, memory)) || failed(tcp_listen(net, 7, 0))
		|| failed(tcp_listen(net, 9, 0)) || failed(tcp_listen(net, 80, 0)))
		return 1;
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	while (!stop) {
		for (int i = 0; i < 64 && input(net, fd); i++)
			;
		net_advance(net, now_ns());
		serve(net);
		output(net, fd);
		uint64_t at = net_next_deadline(net), now = now_ns();
		int wait = at == TIMER_NEVER ? 1000 : at <= now ? 0 : (int)((at - now) / 1000000 + 1);
		poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, wait < 1000 ? wait : 1000);
	}
	report(net);
	free(memory);
	return 0;
}
