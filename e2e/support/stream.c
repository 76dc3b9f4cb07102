/* The TCP engine as a process, on a TAP interface: services for e2e/peer.sh to talk to.
 *
 *	stream --tap IFNAME --address A.B.C.D/BITS --gateway A.B.C.D [--address6 A::B/BITS --gateway6 A::C]
 *		--file FILE [--both BYTES] [--mtu N] [--window BYTES] [--plain]
 *
 * --plain: no offloads; the engine cuts segments and sums them itself. What comes is compared with FILE, what is
 * sent is FILE's. Services, by port:
 *
 *	7   echo
 *	9   takes FILE, or its beginning; after the peer's FIN it says "ok N", or "differs after N"
 *	19  reads a line with a number N, sends N bytes of FILE, closes
 *	20  as 9, but it reads nothing for a second, and again after each 2 MiB
 *	21  sends FILE, or as much of it as --both says, while it takes it, then says "ok N" and closes
 *	23  sends 1,000 bytes and closes at once; what comes after that is taken
 *	24  resets the connection when a byte has come
 *	25  reads a line "put ADDRESS PORT N" or "get ADDRESS PORT N", connects there, sends or takes N bytes of
 *	    FILE, closes, and says how it went
 *
 * SIGUSR1 prints the state of each connection; SIGTERM ends it. Both print the counters. "closing" is printed
 * for a connection that both sides close at the same time. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <base/timer.h>
#include <host/host.h>
#include <net/net.h>

enum {
	BUFFERS = 8192,
	CONNECTIONS = 256,
	ECHO_UNSENT_MAX = 1 << 20,
	PAUSE_EACH = 2 << 20,
	LINE_MAX_LEN = 100,
	SECOND_NS = 1000000000,
};

enum service { ECHO = 7, TAKE = 9, SOURCE = 19, SLEEPER = 20, BOTH = 21, FIRST = 23, ABORT = 24, CONTROL = 25 };

struct piece { /* something that is sent */
	struct tcp_send send;
	struct slice slice;
	struct talk *talk;
	uint8_t bytes[];
};

/* A connection and what it is about. */
struct talk {
	struct list link;
	struct tcp_conn *conn;
	enum service service;
	uint32_t pieces; /* that are still the engine's */
	uint64_t received, wanted, paused_at;
	uint64_t wake_ns;      /* nothing is read before; 0: at once */
	uint64_t differs_at;
	bool differs, answered, released, peer_closed;
	char line[LINE_MAX_LEN + 1];
	size_t line_len;
	struct talk *boss;     /* the CONTROL connection that asked for this one */
};

struct stream {
	struct host *host;
	struct platform *platform;
	struct net_device *device;
	struct net *net;
	struct frame_tx *unsent;
	struct random random;
	const uint8_t *file;
	size_t file_len, both_len;
	struct list talks;
};

static volatile sig_atomic_t asked;

static void on_signal(int n)
{
	(void)n;
	asked = 1;
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "stream: %s\n", what);
	exit(1);
}

/* --- Talking ----------------------------------------------------------------------------------- */

static void talk_free(struct talk *t)
{
	if (!t->released || t->pieces)
		return;
	list_remove(&t->link);
	free(t);
}

static void piece_done(struct tcp_send *s, bool delivered)
{
	struct piece *p = s->cookie;
	struct talk *t = p->talk;
	(void)delivered;
	t->pieces--;
	free(p);
	talk_free(t);
}

/* Sends bytes that stay where they are, or, when `copy`, may go away. */
static void say(struct talk *t, const void *bytes, size_t len, bool copy)
{
	struct piece *p = calloc(1, sizeof *p + (copy ? len : 0));
	if (!p)
		die("out of memory");
	if (copy)
		memcpy(p->bytes, bytes, len);
	p->slice = slice_of(copy ? p->bytes : bytes, len);
	p->talk = t;
	p->send = (struct tcp_send){.segments = &p->slice, .count = 1, .done = piece_done, .cookie = p};
	t->pieces++;
	if (failed(tcp_send(t->conn, &p->send))) {
		t->pieces--;
		free(p);
	}
}

static void say_result(struct talk *t, const struct talk *of)
{
	char line[LINE_MAX_LEN];
	int n = snprintf(line, sizeof line, "%s %llu\n", of->differs ? "differs after" : "ok",
		(unsigned long long)(of->differs ? of->differs_at : of->received));
	say(t, line, (size_t)n, true);
}

static void compare(struct stream *s, struct talk *t, struct slice bytes)
{
	bool beyond = t->received + bytes.len > s->file_len;
	if (!t->differs && (beyond || memcmp(bytes.ptr, s->file + t->received, bytes.len) != 0)) {
		t->differs = true;
		t->differs_at = t->received;
	}
	t->received += bytes.len;
}

static void take(struct stream *s, struct talk *t)
{
	struct slice bytes;
	while (tcp_peek(t->conn, &bytes)) {
		compare(s, t, bytes);
		tcp_consume(t->conn, bytes.len);
		if (t->service == SLEEPER && t->received - t->paused_at >= PAUSE_EACH) {
			t->paused_at = t->received;
			t->wake_ns = s->platform->now_ns(s->platform) + SECOND_NS;
			return;
		}
	}
}

static void echo(struct talk *t)
{
	struct slice bytes;
	while (tcp_unsent(t->conn) < ECHO_UNSENT_MAX && tcp_peek(t->conn, &bytes)) {
		say(t, bytes.ptr, bytes.len, true);
		tcp_consume(t->conn, bytes.len);
	}
}

/* True: the line is whole. */
static bool read_line(struct talk *t)
{
	struct slice bytes;
	while (tcp_peek(t->conn, &bytes)) {
		uint8_t c = bytes.ptr[0];
		tcp_consume(t->conn, 1);
		if (c == '\n')
			return true;
		if (t->line_len < LINE_MAX_LEN)
			t->line[t->line_len++] = (char)c;
	}
	return false;
}

static struct talk *talk_new(struct stream *s, struct tcp_conn *c, enum service service)
{
	struct talk *t = calloc(1, sizeof *t);
	if (!t)
		die("out of memory");
	t->conn = c;
	t->service = service;
	list_push_back(&s->talks, &t->link);
	tcp_set_cookie(c, t);
	return t;
}

static bool address_parse(const char *text, struct net_address *out)
{
	struct in_addr four;
	if (inet_pton(AF_INET, text, &four) == 1) {
		*out = net_address_v4(ntohl(four.s_addr));
		return true;
	}
	return inet_pton(AF_INET6, text, out->octet) == 1;
}

/* CONTROL's line has come: opens the connection that it asks for. */
static void obey(struct stream *s, struct talk *boss)
{
	char verb[4], address[64];
	unsigned port;
	unsigned long long count;
	struct net_endpoint to;
	struct tcp_conn *c;
	if (sscanf(boss->line, "%3s %63s %u %llu", verb, address, &port, &count) != 4
		|| !address_parse(address, &to.address) || count > s->file_len) {
		say(boss, "what?\n", 6, true);
		tcp_close(boss->conn);
		return;
	}
	to.port = (uint16_t)port;
	if (failed(tcp_connect(&c, s->net, &to))) {
		say(boss, "no connection\n", 14, true);
		tcp_close(boss->conn);
		return;
	}
	struct talk *t = talk_new(s, c, TAKE);
	t->boss = boss;
	boss->pieces++; /* lives as long as the one that answers to it */
	t->answered = true;
	if (strcmp(verb, "put") == 0) {
		say(t, s->file, count, false);
		tcp_close(c);
	}
	t->wanted = strcmp(verb, "put") == 0 ? 0 : count;
}

static void talk_begin(struct stream *s, struct talk *t)
{
	if (t->service == BOTH)
		say(t, s->file, s->both_len, false);
	if (t->service == SLEEPER)
		t->wake_ns = s->platform->now_ns(s->platform) + SECOND_NS;
	if (t->service == FIRST) {
		say(t, s->file, 1000, false);
		tcp_close(t->conn);
	}
}

static void talk_read(struct stream *s, struct talk *t)
{
	switch (t->service) {
	case ECHO: echo(t); break;
	case TAKE: case BOTH: case FIRST: take(s, t); break;
	case SLEEPER:
		if (s->platform->now_ns(s->platform) >= t->wake_ns)
			take(s, t);
		break;
	case SOURCE:
		if (!t->answered && read_line(t)) {
			unsigned long long n = strtoull(t->line, NULL, 10);
			t->answered = true;
			say(t, s->file, n < s->file_len ? n : s->file_len, false);
			tcp_close(t->conn);
		}
		break;
	case ABORT:
		if (tcp_readable(t->conn))
			tcp_abort(t->conn);
		break;
	case CONTROL:
		if (!t->answered && read_line(t)) {
			t->answered = true;
			obey(s, t);
		}
		break;
	}
}

/* The peer has said all, and we have read it. */
static void talk_end_of_input(struct talk *t)
{
	struct tcp_info info;
	tcp_info(t->conn, &info);
	if (strcmp(info.state, "CLOSING") == 0 || strcmp(info.state, "TIME_WAIT") == 0)
		printf("closing\n");
	if (t->service == CONTROL)
		return; /* the answer is still to come */
	if (!t->answered && (t->service == TAKE || t->service == SLEEPER || t->service == BOTH))
		say_result(t, t);
	t->answered = true;
	tcp_close(t->conn);
}

static void talk_closed(struct talk *t, uint32_t events)
{
	if (events & (TCP_RESET | TCP_TIMED_OUT))
		printf("port %d: %s after %llu bytes\n", t->service, events & TCP_RESET ? "reset" : "timed out",
			(unsigned long long)t->received);
	if (t->boss) {
		t->differs |= (events & (TCP_RESET | TCP_TIMED_OUT)) || t->received < t->wanted;
		if (!t->boss->released) {
			say_result(t->boss, t);
			tcp_close(t->boss->conn);
		}
		t->boss->pieces--;
		talk_free(t->boss);
	}
	fflush(stdout);
	t->released = true;
	tcp_release(t->conn);
	talk_free(t);
}

static void serve(struct stream *s)
{
	struct tcp_conn *c;
	uint32_t events;
	while ((c = net_event_next(s->net, &events)) != NULL) {
		struct talk *t = tcp_cookie(c);
		if (!t) {
			t = talk_new(s, c, (enum service)tcp_local(c).port);
			talk_begin(s, t);
		}
		t->peer_closed |= (events & TCP_PEER_CLOSED) != 0;
		talk_read(s, t);
		if (t->peer_closed && !tcp_readable(c) && !(events & TCP_CLOSED))
			talk_end_of_input(t);
		if (events & TCP_CLOSED)
			talk_closed(t, events);
	}
}

/* Those that slept. The time of the next one to wake. */
static uint64_t wake(struct stream *s, uint64_t now)
{
	uint64_t next = UINT64_MAX;
	LIST_FOR_EACH (e, &s->talks) {
		struct talk *t = LIST_ENTRY(e, struct talk, link);
		if (!t->wake_ns || t->released)
			continue;
		if (t->wake_ns <= now) {
			t->wake_ns = 0;
			talk_read(s, t);
			if (t->peer_closed && !tcp_readable(t->conn))
				talk_end_of_input(t);
		}
		if (t->wake_ns && t->wake_ns < next)
			next = t->wake_ns;
	}
	return next;
}

/* --- Words about it ---------------------------------------------------------------------------- */

static void report(const struct stream *s)
{
	struct net_usage u = net_usage(s->net);
	struct net_counter c;
	printf("counters:");
	for (uint32_t i = 0; net_counter_at(s->net, i, &c); i++)
		if (c.value)
			printf(" %s %llu", c.name, (unsigned long long)c.value);
	printf("\n");
	printf("in use: connections %u, half-open %u, tx frames %u, rx frames %u\n", u.connections, u.syns,
		u.tx_frames, u.rx_frames);
	LIST_FOR_EACH (e, &s->talks) {
		const struct talk *t = LIST_ENTRY(e, struct talk, link);
		struct tcp_info i;
		if (t->released)
			continue;
		tcp_info(t->conn, &i);
		printf("port %d: %s, received %llu, readable %u, unsent %zu; mss %u, cwnd %u, ssthresh %u, in flight %u,"
			" peer's window %u, ours %u; srtt %llu us, rto %llu us; out of order %u\n", t->service,
			i.state, (unsigned long long)t->received, i.readable, tcp_unsent(t->conn), i.mss, i.cwnd,
			i.ssthresh, i.in_flight, i.peer_window, i.receive_window,
			(unsigned long long)i.srtt_ns / 1000, (unsigned long long)i.rto_ns / 1000,
			i.out_of_order_frames);
	}
	fflush(stdout);
}

/* --- The loop ---------------------------------------------------------------------------------- */

static void buffer_put(void *owner, struct frame_rx *f)
{
	struct stream *s = owner;
	f->data = f->buffer;
	f->len = 0;
	f->frag = NULL;
	if (!s->device->give(s->device, f))
		free(f);
}

/* Keeps the device supplied: what the engine holds is not in its ring. */
static void buffers_give(struct stream *s)
{
	size_t size = s->device->mtu + 64u;
	for (;;) {
		struct frame_rx *f = malloc(sizeof *f + size);
		if (!f)
			die("out of memory");
		*f = (struct frame_rx){.buffer = (uint8_t *)(f + 1), .capacity = (uint32_t)size, .put = buffer_put,
			.owner = s};
		list_init(&f->link);
		f->data = f->buffer;
		if (!s->device->give(s->device, f)) {
			free(f);
			return;
		}
	}
}

static void round_of(struct stream *s)
{
	struct platform *p = s->platform;
	struct list frames;
	list_init(&frames);
	uint32_t count = s->device->poll(s->device, &frames, 64);
	uint64_t now = p->now_ns(p);
	for (struct list *e; (e = list_pop_front(&frames)) != NULL;)
		net_input(s->net, LIST_ENTRY(e, struct frame_rx, link), now);
	if (count)
		buffers_give(s);
	net_advance(s->net, now);
	serve(s);
	uint64_t next = wake(s, now);
	struct frame_tx *f = s->unsent;
	for (; f || (f = net_output(s->net)) != NULL; f = NULL)
		if (!s->device->send(s->device, f))
			break;
	s->unsent = f;
	s->device->kick(s->device);
	uint64_t deadline = net_next_deadline(s->net);
	if (!count)
		p->idle(p, deadline < next ? deadline : next);
	if (asked) {
		asked = 0;
		report(s);
	}
}

struct settings {
	struct host_options host;
	const char *file;
	size_t both;
	struct net_config net;
	bool plain;
};

/* "10.77.0.2/24": the bits. */
static unsigned address_and_bits(const char *text, struct net_address *out)
{
	char copy[64];
	unsigned bits = 0;
	if (sscanf(text, "%63[^/]/%u", copy, &bits) != 2 || !address_parse(copy, out) || !bits)
		die("an address should be like 10.77.0.2/24 or fd77::2/64");
	return bits;
}

static void settings_read(struct settings *o, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i], *value = argv[i + 1];
		if (strcmp(name, "--plain") == 0) {
			o->plain = true;
			continue;
		}
		if (!value)
			die("an option has no value");
		i++;
		if (strcmp(name, "--tap") == 0) {
			o->host.tap = value;
		} else if (strcmp(name, "--address") == 0) {
			struct net_address a;
			unsigned bits = address_and_bits(value, &a);
			o->net.address = net_address_to_v4(&a);
			o->net.mask = ~(uint32_t)0 << (32 - bits);
		} else if (strcmp(name, "--address6") == 0) {
			o->net.ip6 = NET_IP6_STATIC;
			o->net.ip6_prefix_len = (uint8_t)address_and_bits(value, &o->net.ip6_address);
		} else if (strcmp(name, "--gateway6") == 0) {
			if (!address_parse(value, &o->net.ip6_gateway))
				die("--gateway6 is no address");
		} else if (strcmp(name, "--gateway") == 0) {
			o->net.gateway = ntohl(inet_addr(value));
		} else if (strcmp(name, "--file") == 0) {
			o->file = value;
		} else if (strcmp(name, "--both") == 0) {
			o->both = strtoull(value, NULL, 10);
		} else if (strcmp(name, "--mtu") == 0) {
			o->net.mtu = (uint16_t)atoi(value);
		} else if (strcmp(name, "--window") == 0) {
			o->net.receive_window = (uint32_t)atol(value);
		} else {
			die("no such option; see the head of stream.c");
		}
	}
}

static void file_map(struct stream *s, const char *path)
{
	struct stat st;
	int fd = open(path ? path : "", O_RDONLY);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < 1000)
		die("--file: cannot be read, or has less than 1,000 bytes");
	s->file_len = (size_t)st.st_size;
	void *at = mmap(NULL, s->file_len, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (at == MAP_FAILED)
		die("--file: cannot be mapped");
	s->file = at;
	close(fd);
}

static void engine_start(struct stream *s, struct settings *o)
{
	static const uint16_t ports[] = {ECHO, TAKE, SOURCE, SLEEPER, BOTH, FIRST, ABORT, CONTROL};
	uint8_t seed[64];
	char why[256] = "";
	struct writer w = writer_of(why, sizeof why - 1);
	o->host.memory_len = 1 << 20; /* of ours we take none */
	if (failed(host_create(&o->host, &w, &s->host)))
		die(why);
	s->platform = host_platform(s->host);
	if (s->platform->net_count == 0)
		die("--tap is missing");
	s->device = s->platform->net[0];
	random_init(&s->random);
	random_mix(&s->random, slice_of(seed, s->platform->entropy(s->platform, seed, sizeof seed)));
	struct net_config *c = &o->net;
	memcpy(c->mac, s->device->mac, sizeof c->mac);
	c->mtu = c->mtu ? c->mtu : s->device->mtu;
	c->tx_checksum = !o->plain;
	c->tx_tso4 = c->tx_tso6 = !o->plain;
	random_bytes(&s->random, c->ip6_secret, sizeof c->ip6_secret);
	c->tx_segments_max = s->device->tx_segments_max;
	c->connections_max = CONNECTIONS;
	c->rx_frames_max = BUFFERS;
	c->tx_frames_max = 1024;
	c->random = &s->random;
	c->now_ns = s->platform->now_ns(s->platform);
	void *memory = aligned_alloc(64, (net_memory_size(c) + 63) & ~(size_t)63);
	if (!memory || failed(net_init(&s->net, c, memory)))
		die("the engine cannot start");
	for (size_t i = 0; i < sizeof ports / sizeof ports[0]; i++)
		if (failed(tcp_listen(s->net, ports[i], 0)))
			die("a port is taken");
}

int main(int argc, char **argv)
{
	static struct stream s;
	struct settings o = {0};
	settings_read(&o, argc, argv);
	file_map(&s, o.file);
	s.both_len = o.both && o.both < s.file_len ? o.both : s.file_len;
	list_init(&s.talks);
	engine_start(&s, &o);
	signal(SIGUSR1, on_signal);
	buffers_give(&s);
	printf("stream: up\n");
	fflush(stdout);
	while (!s.platform->power_button(s.platform))
		round_of(&s);
	report(&s);
	return 0;
}
